/* Many keys at once: reads a group at a time, see group.h; everything else one after the other. */
#include "operations.h"

#include <larder/util/parts.h>

#include "group.h"

/* Rows that were claimed, or end and nobody had read the clock: one at a time. */
static void answer_rest(const struct larder_scope *scope, enum larder_many_kind many,
                        const struct group *group)
{
    for (const struct group_place *place = group->places; place < group->end; place++) {
        struct larder_row *row = place->row;
        if (row->status != LARDER_ASKED)
            continue;
        row->status = many == LARDER_MANY_GET ? larder__memory_get(scope, row->key, &row->value)
                                              : larder__memory_read(scope, row->key, row->buffer,
                                                                    row->size, &row->value.info);
    }
}

/* What is the same for all rows; behind larder__look_begin(). */
static void group_begin(struct group *group, const struct larder_scope *scope,
                        enum larder_many_kind many, const struct larder_rows *rows)
{
    const struct look *look = &group->look;
    group->rows = *rows;
    group->judged_ms = look->now_ms != 0 ? look->now_ms : TIMELESS;
    group->space = larder__scope_space(look->memory, scope);
    group->views = many == LARDER_MANY_GET;
    group->usual_length = larder__usual_length(look->memory);
    group->reach = 0;
    if (group->usual_length != LENGTH_UNUSUAL)
        group->reach =
            ITEM_HEADER_BYTES + sizeof(group->space) + HANDY_BYTES_MAX + group->usual_length - 1;
}

static void read_rows(const struct larder_scope *scope, enum larder_many_kind many,
                      const struct larder_rows *rows)
{
    struct group group;
    if (!larder__look_begin(&group.look, scope->self)) {
        larder_rows_refuse(rows, LARDER_NO_MEMORY);
        return;
    }
    group_begin(&group, scope, many, rows);
    while (group.rows.count > 0) {
        PICK_BY_WIDTH(group.look.memory->hash_key.width, larder__read_group)(&group);
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
