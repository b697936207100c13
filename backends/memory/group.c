/* Reading a group of keys. Compiled for each width, see variant.h. */
#include "group.h"

#include "variant.h"

/* Of a step, which may lie behind the last row. */
static inline uint32_t step_end(const struct group *group, uint32_t first)
{
    return first + GROUP_STEP < group->count ? first + GROUP_STEP : group->count;
}

static void ask_for_buckets(struct group *group, uint32_t first)
{
    uint32_t end = step_end(group, first);
    const struct hash_key *key = &group->look.memory->hash_key;
    uint64_t shape = larder__index_shape(group->index);
    for (uint32_t i = first; i < end; i++) {
        struct larder_slice name = group->rows[i]->key;
        if (__builtin_expect(larder__is_handy(name.length), 1)) {
            group->handy[i] = larder__handy_load(name.data, name.length);
            group->hashes[i] = HANDY_HASH(key, group->handy[i], name.length, group->space);
        } else {
            group->hashes[i] = larder__hash(key, name.data, name.length, group->space);
        }
        group->buckets[i] = larder__index_bucket(group->index, shape, group->hashes[i]);
        __builtin_prefetch(group->buckets[i]);
    }
}

static void ask_for_items(struct group *group, uint32_t first)
{
    uint32_t end = step_end(group, first);
    const struct arena *arena = &group->look.memory->arena;
    for (uint32_t i = first; i < end; i++) {
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
    if (larder__look_at(&group->look, item) != SIGHT_CLEAR) {
        group->unanswered++;
        return LARDER_ASKED;
    }
    enum larder_status status = larder__look_judge(&group->look, item);
    if (status != LARDER_OK)
        return status;
    if (many == LARDER_MANY_GET)
        return larder__view(&group->look, item, &row->value);
    return larder__copy_value(&group->look, item, row->buffer, row->size, &row->value.info);
}

ALWAYS_INLINE enum larder_status copy_out(const struct memory *memory, const struct item *item,
                                          const unsigned char *value, struct larder_row *row)
{
    size_t length = item->value_length, usual = larder__usual_length(memory);
    size_t foretold = larder__as_foretold(usual);
    row->value.info.length = length;
    if (__builtin_expect(length == usual && length <= row->size, 1)) {
        larder__copy_at_once(row->buffer, value, foretold);
        return LARDER_OK;
    }
    if (row->size > 0)
        larder__copy_bytes(row->buffer, value, length < row->size ? length : row->size);
    return length <= row->size ? LARDER_OK : LARDER_PARTIAL;
}

/* At its best a read that hits, and asks for nothing but the value. */
ALWAYS_INLINE enum larder_status answer(struct group *group, enum larder_many_kind many, uint32_t i)
{
    struct larder_row *row = group->rows[i];
    struct item *item = group->items[i];
    if (__builtin_expect(item == NULL || many != LARDER_MANY_READ || row->value.info.want != 0, 0))
        return answer_generally(group, many, i);
    uint64_t head = larder__item_head(item);
    const unsigned char *value;
    if (__builtin_expect(!larder__plain_is_of(item, head & HEAD_KEY_AND_MARKS, row->key,
                                              group->handy[i], group->space, &value) ||
                             !larder__plain_is_live(HEAD_EXPIRY(head), group->judged_ms),
                         0))
        return answer_generally(group, many, i);
    larder__item_hit(group->look.memory, item, group->look.thread);
    return copy_out(group->look.memory, item, value, row);
}

static void answer_rows(struct group *group, enum larder_many_kind many, uint32_t first)
{
    uint32_t end = step_end(group, first);
    for (uint32_t i = first; i < end; i++)
        group->rows[i]->status = answer(group, many, i);
}

static void refuse_rows(const struct group *group)
{
    for (uint32_t i = 0; i < group->count; i++)
        group->rows[i]->status = LARDER_CLOSED;
}

void NAME_OF_WIDTH(larder__read_group)(enum larder_many_kind many, struct group *group)
{
    struct memory *memory = group->look.memory;
    group->unanswered = 0;
    larder_epoch_enter(&memory->epoch, group->look.thread);
    group->index = larder__index(memory);
    if (__builtin_expect(group->index == NULL, 0))
        refuse_rows(group);
    else
        for (uint32_t next = 0; next < group->count + 2 * GROUP_STEP; next += GROUP_STEP) {
            ask_for_buckets(group, next);
            if (next >= GROUP_STEP)
                ask_for_items(group, next - GROUP_STEP);
            if (next >= 2 * GROUP_STEP)
                answer_rows(group, many, next - 2 * GROUP_STEP);
        }
    larder_epoch_leave(group->look.thread);
}
