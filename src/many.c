/* Calls on many keys: prepare every row, enter once, finish every row. */
#include "calls.h"

#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/value.h>

/* What a row is refused for whatever the cache, and before the call is, as the single form does. */
static enum larder_status row_makes_sense(enum larder_many_kind many, const struct larder_row *row)
{
    if (row->reserved != 0 || (many == LARDER_MANY_READ && row->buffer == NULL && row->size > 0))
        return LARDER_BAD_ARGUMENT;
    return larder__key_check(row->key);
}

static enum larder_status row_check(const struct target *target, enum larder_many_kind many,
                                    enum larder_mode mode, struct larder_row *row)
{
    struct larder_write complete;
    enum larder_status status;
    switch (many) {
    case LARDER_MANY_READ:
    case LARDER_MANY_GET:
        return larder__want_check(target, row->value.info.want);
    case LARDER_MANY_STORE:
        status = larder__write_check(target, mode, &row->write, &complete);
        if (status == LARDER_OK)
            row->write.ttl_ms = complete.ttl_ms;
        return status;
    case LARDER_MANY_TOUCH:
        return larder__touch_check(target, &row->write.ttl_ms);
    case LARDER_MANY_DELETE:
        return larder__delete_check(target, row->write.version);
    }
    return LARDER_BAD_ARGUMENT;
}

/* Reads are many, and nearly all ask for nothing but the value. */
static inline int is_plain_read(const struct larder_row *row)
{
    return (row->value.info.want | row->reserved) == 0 && row->buffer != NULL &&
           larder__key_check(row->key) == LARDER_OK;
}

static inline void plain_read_prepare(struct larder_row *row)
{
    struct larder_value *value = &row->value;
    memset(value, 0, sizeof(*value));
    value->info.ttl_ms = LARDER_TTL_UNKNOWN;
    value->info.idle_ms = -1;
    row->status = LARDER_ASKED;
}

static void row_prepare(const struct target *target, enum larder_many_kind many,
                        enum larder_mode mode, struct larder_row *row)
{
    larder__value_clear(&row->value);
    enum larder_status status = row_makes_sense(many, row);
    if (status == LARDER_OK)
        status = row_check(target, many, mode, row);
    row->status = status == LARDER_OK ? LARDER_ASKED : status;
}

static int is_read(enum larder_many_kind many)
{
    return many == LARDER_MANY_READ || many == LARDER_MANY_GET;
}

static void finish_row(struct larder_cache *cache, enum larder_many_kind many,
                       struct larder_row *row)
{
    /* a backend that forgot a row must not pass for one that answered */
    if (row->status == LARDER_ASKED)
        row->status = is_read(many) ? LARDER_UNAVAILABLE : LARDER_UNKNOWN;
    if (many == LARDER_MANY_GET)
        larder__view_settle(&row->value, row->status);
    else if (many == LARDER_MANY_READ)
        larder__info_settle(&row->value.info, row->status);
    row->status = larder__finish(cache, larder_many_operation(many), row->key, row->status);
}

static enum larder_status refuse_rows(struct larder_cache *cache, enum larder_many_kind many,
                                      const struct larder_rows *rows, enum larder_status status)
{
    enum larder_status lowest = status;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        enum larder_status own = row_makes_sense(many, row);
        larder__value_clear(&row->value);
        row->status = larder__finish(cache, larder_many_operation(many), row->key,
                                     own != LARDER_OK ? own : status);
        lowest = row->status < lowest ? row->status : lowest;
    }
    return lowest;
}

/* ---- a call -------------------------------------------------------------------------------- */

/* A call under way. */
struct passage {
    struct larder_cache *cache;
    const struct larder_call *call;
    enum larder_many_kind many;
    enum larder_mode mode;
    struct entry entry;
};

static void send_rows(const struct passage *passage, const struct larder_rows *rows)
{
    const struct larder_scope *scope = passage->entry.scope;
    scope->ops->many(scope, passage->many, passage->mode, rows);
}

static void prepare_rows(const struct passage *passage, const struct larder_rows *rows)
{
    const struct target *target = passage->entry.target;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (passage->many == LARDER_MANY_READ && is_plain_read(row))
            plain_read_prepare(row);
        else
            row_prepare(target, passage->many, passage->mode, row);
    }
}

/* Asks again for what a retired backend left undone, where the cache leads to another one by now. A
 * default TTL stays the one that it was resolved to at first.
 * @return 0: there are none, or it leads nowhere else */
static int send_again(struct passage *passage, const struct larder_rows *rows)
{
    int any = 0;
    for (size_t i = 0; i < rows->count && !any; i++)
        any = larder_row_at(rows, i)->status == LARDER_CLOSED;
    if (!any || !larder__moved(passage->cache, passage->entry.target) ||
        larder__enter(passage->cache, larder_many_operation(passage->many), passage->call,
                      &passage->entry) != LARDER_OK)
        return 0;
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_CLOSED)
            row_prepare(passage->entry.target, passage->many, passage->mode,
                        larder_row_at(rows, i));
    send_rows(passage, rows);
    return 1;
}

/* Up to the first row that was not answered like most: a read, OK. They are counted together.
 * @return how many */
static size_t finish_plain_reads(const struct passage *passage, const struct larder_rows *rows)
{
    size_t count = 0;
    for (; passage->many == LARDER_MANY_READ && count < rows->count; count++) {
        struct larder_row *row = larder_row_at(rows, count);
        if (row->status != LARDER_OK)
            break;
        larder__info_hide(&row->value.info);
    }
    if (count > 0)
        larder__count_calls(passage->cache->counters, LARDER_OPERATION_READ, LARDER_OK, count);
    return count;
}

static struct larder_rows rows_from(const struct larder_rows *rows, size_t first)
{
    return (struct larder_rows){larder_row_at(rows, first), rows->count - first, rows->stride};
}

/* Before anybody is told of a row, all are answered. */
static enum larder_status finish_rows(struct passage *passage, const struct larder_rows *rows)
{
    enum larder_status lowest = LARDER_OK;
    size_t next = finish_plain_reads(passage, rows);
    struct larder_rows rest = rows_from(rows, next);
    while (next < rows->count && send_again(passage, &rest))
        continue;
    while (next < rows->count) {
        struct larder_row *row = larder_row_at(rows, next++);
        finish_row(passage->cache, passage->many, row);
        if (row->status < lowest)
            lowest = row->status;
        rest = rows_from(rows, next);
        next += finish_plain_reads(passage, &rest);
    }
    return lowest;
}

enum larder_status larder_many(struct larder_cache *cache, const struct larder_call *call,
                               enum larder_many_kind many, enum larder_mode mode,
                               struct larder_row *rows, size_t count, size_t row_size)
{
    LARDER_VISIT(cache);
    struct passage passage = {.cache = cache, .call = call, .many = many, .mode = mode};
    const struct larder_rows all = {rows, count, row_size};
    if ((rows == NULL && count > 0) || row_size < LARDER_SIZE_UP_TO(struct larder_row, value) ||
        count > SIZE_MAX / row_size)
        return LARDER_BAD_ARGUMENT;
    if ((unsigned)many > LARDER_MANY_TOUCH)
        return refuse_rows(cache, LARDER_MANY_READ, &all, LARDER_BAD_ARGUMENT);
    enum larder_status status = LARDER_BAD_ARGUMENT;
    if ((unsigned)mode <= LARDER_CAS &&
        (many != LARDER_MANY_STORE || larder__mode_takes_call(mode, call)))
        status = larder__enter(cache, larder_many_operation(many), call, &passage.entry);
    if (status != LARDER_OK)
        return refuse_rows(cache, many, &all, status);
    prepare_rows(&passage, &all);
    if (count > 0)
        send_rows(&passage, &all);
    return finish_rows(&passage, &all);
}
