/* Many keys: a row at a time. The keys of a call are spread over the shards, so that rows have
 * nothing to share. */
#include "operations.h"

static enum larder_status answer(const struct larder_scope *scope, enum larder_many many,
                                 enum larder_mode mode, struct larder_row *row)
{
    switch (many) {
    case LARDER_MANY_READ:
        return larder__memory_read(scope, row->key, row->buffer, row->size, &row->value.info);
    case LARDER_MANY_GET:
        return larder__memory_get(scope, row->key, &row->value);
    case LARDER_MANY_STORE:
        return larder__memory_store(scope, mode, row->key, &row->write, &row->value.info.version);
    case LARDER_MANY_DELETE:
        return larder__memory_remove(scope, row->key, row->write.version);
    case LARDER_MANY_TOUCH:
        return larder__memory_touch(scope, row->key, row->write.ttl_ms);
    }
    return LARDER_UNSUPPORTED;
}

void larder__memory_many(const struct larder_scope *scope, enum larder_many many,
                         enum larder_mode mode, const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = answer(scope, many, mode, row);
    }
}
