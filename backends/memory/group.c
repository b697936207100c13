/* Reading a group of keys. Compiled for each width, see variant.h. */
#include "group.h"

#include "plain.h"

_Static_assert(GROUP_ROWS % GROUP_STEP == 0, "a group is whole steps");

/* ---- asking for memory ---------------------------------------------------------------------- */

/* Takes a step's rows. @return the end of them */
ALWAYS_INLINE struct group_place *ask_for_buckets(struct group *group, struct group_place *place)
{
    const struct index *index = group->index;
    uint64_t shape = larder__index_shape(index);
    struct larder_rows rows = group->rows;
    struct group_place *end = place < group->places + GROUP_ROWS ? place + GROUP_STEP : place;
    for (; rows.count > 0 && place < end; rows.count--) {
        struct larder_row *row = rows.first;
        rows.first = larder_row_at(&rows, 1);
        if (__builtin_expect(row->status != LARDER_ASKED, 0))
            continue;
        struct wanted wanted = larder__want(group->look.memory, row->key, group->space, TIMELESS);
        place->tag = wanted.tag;
        place->row = row;
        place->hash = wanted.hash;
        place->bucket = larder__index_bucket(index, shape, wanted.hash);
        __builtin_prefetch(place->bucket);
        place++;
    }
    group->rows = rows;
    return place;
}

/* An item whose value has the usual length lies in up to four lines. One that was not asked for
 * costs more than asking for all. */
ALWAYS_INLINE struct item *ask_for_item(const struct group *group, const struct bucket *bucket,
                                        unsigned found)
{
    struct item *item =
        larder__item_at(&group->look.memory->arena, larder__bucket_location(bucket, found));
    larder__ask_for_item(item);
    __builtin_prefetch((const char *)item + group->reach);
    return item;
}

/* Other entries with the same tag. */
__attribute__((noinline)) static void ask_for_others(const struct group *group,
                                                     const struct bucket *bucket, unsigned found)
{
    for (; found != 0; found &= found - 1)
        (void)ask_for_item(group, bucket, found);
}

ALWAYS_INLINE void ask_for_items(const struct group *group, struct group_place *place,
                                 const struct group_place *end)
{
    for (; place < end; place++) {
        unsigned found = larder__bucket_match_atomic(place->bucket, place->tag);
        if (__builtin_expect(found != 0, 1)) {
            place->item = ask_for_item(group, place->bucket, found);
            if (__builtin_expect((found & (found - 1)) != 0, 0))
                ask_for_others(group, place->bucket, found & (found - 1));
        } else {
            const struct bucket *behind = larder__index_behind(group->index, place->bucket);
            if (behind != NULL)
                __builtin_prefetch(behind);
            place->item = NULL;
        }
    }
}

/* What none in its own bucket fits may be in the one behind, which was asked for. */
__attribute__((noinline)) static void ask_behind(const struct group *group,
                                                 const struct group_place *place)
{
    const struct bucket *behind = larder__index_behind(group->index, place->bucket);
    if (behind != NULL)
        ask_for_others(group, behind, larder__bucket_match_atomic(behind, place->tag));
}

/* ---- answering ------------------------------------------------------------------------------ */

ALWAYS_INLINE enum larder_status copy_out(const struct group *group, const struct item *item,
                                          const unsigned char *value, struct larder_row *row)
{
    size_t length = item->value_length, foretold = larder__as_foretold(group->usual_length);
    row->value.info.length = length;
    if (__builtin_expect(length == group->usual_length && length <= row->size, 1)) {
        larder__copy_at_once(row->buffer, value, foretold);
        return LARDER_OK;
    }
    if (row->size > 0)
        larder__copy_bytes(row->buffer, value, length < row->size ? length : row->size);
    return length <= row->size ? LARDER_OK : LARDER_PARTIAL;
}

/* A read that hits at the first attempt, and asks for nothing but the value.
 * @return LARDER_ASKED: it is anything else */
ALWAYS_INLINE enum larder_status answer(const struct group *group, const struct group_place *place)
{
    struct larder_row *row = place->row;
    struct item *item = place->item;
    struct handy handy = {0};
    const unsigned char *value;
    if (__builtin_expect(item == NULL || (row->value.info.want | group->views) != 0, 0))
        return LARDER_ASKED;
    uint64_t head = larder__item_head(item);
    if (larder__is_handy(row->key.length))
        handy = larder__handy_load(row->key.data, row->key.length);
    if (__builtin_expect(!larder__plain_is_of(item, head & HEAD_KEY_AND_MARKS, row->key, handy,
                                              group->space, &value) ||
                             !larder__plain_is_live(HEAD_EXPIRY(head), group->judged_ms),
                         0))
        return LARDER_ASKED;
    larder__item_hit(group->look.memory, item, group->look.thread);
    return copy_out(group, item, value, row);
}

ALWAYS_INLINE void answer_rows(struct group *group, const struct group_place *place,
                               const struct group_place *end)
{
    for (; place < end; place++) {
        enum larder_status status = answer(group, place);
        place->row->status = status;
        if (__builtin_expect(status != LARDER_ASKED, 1))
            continue;
        group->late = true;
        if (place->item == NULL)
            ask_behind(group, place);
    }
}

/* Any row. */
static enum larder_status answer_generally(struct group *group, const struct group_place *place)
{
    struct larder_row *row = place->row;
    struct key key = {row->key.data, row->key.length, place->hash, group->space};
    struct item *item = larder__index_find(group->index, &group->look.memory->arena, &key);
    if (larder__look_at(&group->look, item) != SIGHT_CLEAR)
        return LARDER_ASKED;
    enum larder_status status = larder__look_judge(&group->look, item);
    if (status != LARDER_OK)
        return status;
    if (group->views)
        return larder__view(&group->look, item, &row->value);
    return larder__copy_value(&group->look, item, row->buffer, row->size, &row->value.info);
}

__attribute__((noinline)) static void answer_late(struct group *group)
{
    for (const struct group_place *place = group->places; place < group->end; place++) {
        struct larder_row *row = place->row;
        if (row->status != LARDER_ASKED)
            continue;
        row->status = answer_generally(group, place);
        group->unanswered += row->status == LARDER_ASKED;
    }
}

/* ---- a group -------------------------------------------------------------------------------- */

static void read_rows(struct group *group)
{
    struct group_place *taken = group->places, *asked = taken, *answered = taken;
    do {
        struct group_place *next = ask_for_buckets(group, taken);
        ask_for_items(group, asked, taken);
        answer_rows(group, answered, asked);
        answered = asked;
        asked = taken;
        taken = next;
    } while (answered < taken);
    group->end = taken;
    if (group->late)
        answer_late(group);
}

static void refuse_rows(struct group *group)
{
    for (; group->rows.count > 0; group->rows.count--) {
        if (group->rows.first->status == LARDER_ASKED)
            group->rows.first->status = LARDER_CLOSED;
        group->rows.first = larder_row_at(&group->rows, 1);
    }
}

void NAME_OF_WIDTH(larder__read_group)(struct group *group)
{
    struct memory *memory = group->look.memory;
    larder_epoch_enter(&memory->epoch, group->look.thread);
    group->late = false;
    group->unanswered = 0;
    group->index = larder__index(memory);
    if (__builtin_expect(group->index == NULL, 0))
        refuse_rows(group);
    else
        read_rows(group);
    larder_epoch_leave(group->look.thread);
}
