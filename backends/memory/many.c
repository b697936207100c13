/* Many keys at once: reads a group at a time, see group.h; everything else one after the other. */
#include "operations.h"

#include <larder/util/parts.h>

#include "group.h"

/* Rows that were claimed, or end and nobody had read the clock: one at a time. */
static void answer_rest(const struct larder_scope *scope, enum larder_many_kind many,
                        const struct group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct larder_row *row = group->rows[i];
        if (row->status != LARDER_ASKED)
            continue;
        row->status = many == LARDER_MANY_GET ? larder__memory_get(scope, row->key, &row->value)
                                              : larder__memory_read(scope, row->key, row->buffer,
                                                                    row->size, &row->value.info);
    }
}

static size_t gather(struct group *group, const struct larder_rows *rows, size_t first)
{
    group->count = 0;
    for (; first < rows->count && group->count < GROUP_ROWS; first++) {
        struct larder_row *row = larder_row_at(rows, first);
        if (row->status == LARDER_ASKED)
            group->rows[group->count++] = row;
    }
    return first;
}

static void read_rows(const struct larder_scope *scope, enum larder_many_kind many,
                      const struct larder_rows *rows)
{
    struct group group;
    if (!larder__look_begin(&group.look, scope->self)) {
        larder_rows_refuse(rows, LARDER_NO_MEMORY);
        return;
    }
    group.judged_ms = group.look.now_ms != 0 ? group.look.now_ms : TIMELESS;
    group.space = larder__scope_space(group.look.memory, scope);
    for (size_t next = 0; next < rows->count;) {
        next = gather(&group, rows, next);
        PICK_BY_WIDTH(group.look.memory->hash_key.width, larder__read_group)(many, &group);
        if (group.unanswered > 0)
            answer_rest(scope, many, &group);
    }
    larder__look_end(&group.look);
}

static enum larder_status write_row(const struct larder_scope *scope, enum larder_many_kind many,
                                    enum larder_mode mode, struct larder_row *row)
{
    switch (many) {
    case LARDER_MANY_STORE:
        return larder__memory_store(scope, mode, row->key, &row->write, &row->value.info.version);
    case LARDER_MANY_DELETE:
        return larder__memory_remove(scope, row->key, row->write.version);
    case LARDER_MANY_TOUCH:
        return larder__memory_touch(scope, row->key, row->write.ttl_ms);
    case LARDER_MANY_READ:
        return larder__memory_read(scope, row->key, row->buffer, row->size, &row->value.info);
    case LARDER_MANY_GET:
        return larder__memory_get(scope, row->key, &row->value);
    }
    return LARDER_BAD_ARGUMENT;
}

static bool is_plain_read(const struct larder_scope *scope, enum larder_many_kind many)
{
    return (many == LARDER_MANY_READ || many == LARDER_MANY_GET) &&
           larder__call_touch(scope) == LARDER_TTL_UNKNOWN;
}

void larder__memory_many(const struct larder_scope *scope, enum larder_many_kind many,
                         enum larder_mode mode, const struct larder_rows *rows)
{
    if (is_plain_read(scope, many)) {
        read_rows(scope, many, rows);
        return;
    }
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = write_row(scope, many, mode, row);
    }
}
