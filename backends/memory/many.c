/*
 * Many keys at once, a group at a time in three stages: ask for the buckets of all, then, with the
 * tags at hand, for the items of all, then compare and copy. The memory works on all of them at
 * once instead of on one after the other.
 */
#include "operations.h"

#include "look.h"

#define GROUP 16u

struct group {
    struct look look;
    const struct index *index;
    struct key keys[GROUP];
    struct larder_row *rows[GROUP];
    uint32_t count;
};

static void ask_for_buckets(struct group *group, const struct larder_scope *scope)
{
    const struct index *index = group->index;
    uint64_t shape = larder__index_shape(index);
    for (uint32_t i = 0; i < group->count; i++) {
        group->keys[i] = larder__look_key(&group->look, scope, group->rows[i]->key);
        __builtin_prefetch(larder__index_bucket(index, shape, group->keys[i].hash));
    }
}

/* The first item whose tag fits; a wrong guess costs a line. */
static void ask_for_items(const struct group *group)
{
    uint64_t shape = larder__index_shape(group->index);
    for (uint32_t i = 0; i < group->count; i++) {
        uint64_t hash = group->keys[i].hash;
        const struct bucket *bucket = larder__index_bucket(group->index, shape, hash);
        /* relaxed, both: a guess */
        unsigned found = larder__bucket_match(
            atomic_load_explicit(&bucket->tags[0], memory_order_relaxed),
            atomic_load_explicit(&bucket->tags[1], memory_order_relaxed), larder__tag_of(hash));
        if (found == 0)
            continue;
        const struct item *item = larder__item_at(
            &group->look.memory->arena,
            atomic_load_explicit(&bucket->locations[__builtin_ctz(found)], memory_order_relaxed));
        __builtin_prefetch(item);
        larder__prefetch_item(item);
    }
}

static enum larder_status answer(struct group *group, enum larder_many_kind many, uint32_t i)
{
    struct larder_row *row = group->rows[i];
    struct item *item =
        larder__index_find(group->index, &group->look.memory->arena, &group->keys[i]);
    if (item != NULL && larder__look_must_wait(&group->look, item))
        return LARDER_ASKED;
    enum larder_status status = larder__look_judge(&group->look, item);
    if (status != LARDER_OK)
        return status;
    if (many == LARDER_MANY_GET)
        return larder__view(&group->look, item, &row->value);
    return larder__copy_value(&group->look, item, row->buffer, row->size, &row->value.info);
}

static void read_group(const struct larder_scope *scope, enum larder_many_kind many,
                       struct group *group)
{
    struct memory *memory = group->look.memory;
    larder_epoch_enter(&memory->epoch, group->look.thread);
    group->index = larder__index(memory);
    if (group->index != NULL) {
        ask_for_buckets(group, scope);
        ask_for_items(group);
    }
    for (uint32_t i = 0; i < group->count; i++)
        group->rows[i]->status = group->index != NULL ? answer(group, many, i) : LARDER_CLOSED;
    larder_epoch_leave(group->look.thread);
}

/* Rows that ended within a section that nobody had read the clock for: one at a time. */
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
    for (; first < rows->count && group->count < GROUP; first++) {
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
        for (size_t i = 0; i < rows->count; i++)
            if (larder_row_at(rows, i)->status == LARDER_ASKED)
                larder_row_at(rows, i)->status = LARDER_NO_MEMORY;
        return;
    }
    for (size_t next = 0; next < rows->count;) {
        next = gather(&group, rows, next);
        read_group(scope, many, &group);
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
