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
    uint64_t judged_ms; /* the time, or TIMELESS */
    uint32_t space;
    uint32_t count;
    struct larder_row *rows[GROUP];
    uint64_t hashes[GROUP];
    const struct bucket *buckets[GROUP];
    struct item *items[GROUP]; /* that the tags point to first; NULL: none */
};

static void ask_for_buckets(struct group *group)
{
    const struct memory *memory = group->look.memory;
    uint64_t shape = larder__index_shape(group->index);
    for (uint32_t i = 0; i < group->count; i++) {
        struct larder_slice name = group->rows[i]->key;
        group->hashes[i] = larder__hash(&memory->hash_key, name.data, name.length, group->space);
        group->buckets[i] = larder__index_bucket(group->index, shape, group->hashes[i]);
        __builtin_prefetch(group->buckets[i]);
    }
}

static void ask_for_items(struct group *group)
{
    const struct arena *arena = &group->look.memory->arena;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct bucket *bucket = group->buckets[i];
        unsigned found = larder__bucket_match_atomic(bucket, larder__tag_pattern(group->hashes[i]));
        uint32_t location = 0;
        if (__builtin_expect(found != 0, 1))
            location = atomic_load_explicit(&bucket->locations[__builtin_ctz(found)],
                                            memory_order_acquire);
        struct item *item = larder__item_at(arena, location);
        group->items[i] = location != 0 ? item : NULL;
        larder__ask_for_item(item);
    }
}

/* Any row. */
__attribute__((noinline)) static enum larder_status
answer_generally(struct group *group, enum larder_many_kind many, uint32_t i)
{
    struct larder_row *row = group->rows[i];
    struct key key = {row->key.data, row->key.length, group->hashes[i], group->space};
    struct item *item = larder__index_find(group->index, &group->look.memory->arena, &key);
    if (larder__look_at(&group->look, item) != SIGHT_CLEAR)
        return LARDER_ASKED;
    enum larder_status status = larder__look_judge(&group->look, item);
    if (status != LARDER_OK)
        return status;
    if (many == LARDER_MANY_GET)
        return larder__view(&group->look, item, &row->value);
    return larder__copy_value(&group->look, item, row->buffer, row->size, &row->value.info);
}

/* A read that hits an item without parts and asks for nothing but the value. */
ALWAYS_INLINE enum larder_status answer(struct group *group, enum larder_many_kind many, uint32_t i)
{
    struct larder_row *row = group->rows[i];
    struct item *item = group->items[i];
    if (__builtin_expect(item == NULL || many != LARDER_MANY_READ || row->value.info.want != 0 ||
                             group->space != 0,
                         0))
        return answer_generally(group, many, i);
    uint64_t head = larder__item_head(item);
    if (__builtin_expect((head & HEAD_KEY_AND_MARKS) !=
                                 larder__plain_head(row->key.length, SPACE_NONE) ||
                             !larder__bytes_equal(item->parts, row->key.data, row->key.length) ||
                             !larder__plain_is_live(HEAD_EXPIRY(head), group->judged_ms),
                         0))
        return answer_generally(group, many, i);
    larder__item_hit(group->look.memory, item, group->look.thread);
    size_t length = item->value_length;
    if (row->size > 0)
        larder__copy_bytes(row->buffer, item->parts + row->key.length,
                           length < row->size ? length : row->size);
    row->value.info.length = length;
    return length <= row->size ? LARDER_OK : LARDER_PARTIAL;
}

WIDE_AND_NARROW static void read_group(enum larder_many_kind many, struct group *group)
{
    struct memory *memory = group->look.memory;
    larder_epoch_enter(&memory->epoch, group->look.thread);
    group->index = larder__index(memory);
    if (group->index != NULL) {
        ask_for_buckets(group);
        ask_for_items(group);
    }
    for (uint32_t i = 0; i < group->count; i++)
        group->rows[i]->status = group->index != NULL ? answer(group, many, i) : LARDER_CLOSED;
    larder_epoch_leave(group->look.thread);
}

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
    group.judged_ms = group.look.now_ms != 0 ? group.look.now_ms : TIMELESS;
    group.space = larder__scope_space(group.look.memory, scope);
    for (size_t next = 0; next < rows->count;) {
        next = gather(&group, rows, next);
        read_group(many, &group);
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
