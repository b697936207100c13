/*
 * Plain overwrites: a set over a value of the same length, where neither ends nor has more to it
 * than key and namespace, of a key of the usual length, into a place that is used again. Of the
 * index only the location changes, and how many bytes are where stays as it was. Most stores of
 * many caches are such; whatever is otherwise goes the general way.
 *
 * It is written out, as a hit is, and compiled for each width: the fewer instructions, the sooner a
 * processor works on what comes after the call while it waits for the entry. It does not look past
 * taking a lock: so both are taken first, one after the other, and then the entry is looked at,
 * which was asked for before.
 */
#include "operations.h"

#include "plain.h"

/* ---- under both locks ----------------------------------------------------------------------- */

/* What was known of the old one is known of the new one. */
ALWAYS_INLINE void write_over(struct item *place, const struct item *old,
                              const struct wanted *wanted, struct larder_slice value,
                              uint32_t version)
{
    size_t length = wanted->name.length;
    larder__item_set_head(place, larder__plain_head(length, wanted->space));
    place->version = version;
    place->value_length = (uint16_t)value.length;
    atomic_init(&place->history, atomic_load_explicit(&old->history, memory_order_relaxed));
    atomic_init(&place->frequency, atomic_load_explicit(&old->frequency, memory_order_relaxed));
    unsigned char *bytes = place->parts;
    if (wanted->space != SPACE_NONE) {
        memcpy(bytes, &wanted->space, sizeof(wanted->space));
        bytes += sizeof(wanted->space);
    }
    larder__handy_store(bytes, wanted->handy, length);
    larder__copy_bytes(bytes + length, value.data, value.length);
}

/* One that is found no more. */
ALWAYS_INLINE void leave_old(struct memory *memory, struct stripe *stripe, struct lane *lane,
                             struct segment *segment, struct item *item, size_t bytes)
{
    if (larder__lane_leave(lane, segment, larder__location_of(&memory->arena, item), bytes))
        return;
    larder__stripe_live(stripe, (int64_t)bytes); /* of the new one */
    larder__segment_loses(segment, larder__item_leaves(memory, stripe, item));
}

/* Where it was looked for before there was a lock. */
struct forecast {
    const struct index *index;
    uint64_t shape;
    struct bucket *bucket;
};

/* @return NULL: it is anything else, or the index is another by now, or none, since the cache is
 * closed */
ALWAYS_INLINE struct item *find_again(const struct memory *memory, const struct forecast *forecast,
                                      const struct wanted *wanted, size_t length, struct slot *slot)
{
    struct plain plain;
    if (larder__index(memory) != forecast->index ||
        larder__index_shape(forecast->index) != forecast->shape)
        return NULL;
    unsigned found = larder__bucket_match_atomic(forecast->bucket, wanted->tag);
    if (found == 0 || !larder__plain_in(&memory->arena, forecast->bucket, found, wanted, &plain))
        return NULL;
    *slot = (struct slot){forecast->bucket, (unsigned)__builtin_ctz(found)};
    return plain.item->value_length == length ? plain.item : NULL;
}

/* @return the new version; 0: nothing was done */
ALWAYS_INLINE uint32_t overwrite_locked(struct memory *memory, struct stripe *stripe,
                                        struct lane *lane, const struct forecast *forecast,
                                        const struct wanted *wanted, struct larder_slice value)
{
    struct slot slot;
    struct arena *arena = &memory->arena;
    struct item *item = find_again(memory, forecast, wanted, value.length, &slot);
    if (item == NULL)
        return 0;
    size_t parts = wanted->space != SPACE_NONE ? sizeof(wanted->space) : 0;
    size_t bytes = larder__item_bytes(parts, wanted->name.length, value.length);
    struct segment *segment = larder__segment_of(arena, item);
    struct item *place =
        larder__recycler_take(&lane->guarded.recycler, arena, bytes, segment->queue, UINT64_MAX);
    if (place == NULL)
        return 0;
    uint32_t version = larder__next_version(stripe);
    write_over(place, item, wanted, value, version);
    larder__slot_replace(slot, larder__location_of(arena, place));
    leave_old(memory, stripe, lane, segment, item, bytes);
    return version;
}

/* ---- the call ------------------------------------------------------------------------------- */

/* Within the call, where there is an index. So that all is on its way while the locks are taken:
 * the bucket, and what seems to be there. @return false: nothing does */
ALWAYS_INLINE bool ask_for_all(const struct memory *memory, const struct wanted *wanted,
                               struct forecast *forecast)
{
    forecast->shape = larder__index_shape(forecast->index);
    forecast->bucket = larder__index_bucket(forecast->index, forecast->shape, wanted->hash);
    larder__ask_to_write(larder__stripe_of(memory, wanted->hash));
    larder__ask_to_write(forecast->bucket);
    return larder__ask_for_first(&memory->arena, forecast->bucket, wanted->tag);
}

/* What need not be done each time. */
__attribute__((noinline)) static void do_now_and_then(struct memory *memory, struct stripe *stripe,
                                                      const struct index *index, size_t length)
{
    larder__tell_length(memory, length);
    if (!larder__index_fits(memory, index, stripe))
        (void)larder__index_adapt(memory, stripe);
}

ALWAYS_INLINE bool overwrite(struct memory *memory, struct larder_thread *thread,
                             const struct wanted *wanted, const struct index *index,
                             struct larder_slice value, uint64_t *version)
{
    struct forecast forecast = {.index = index};
    struct stripe *stripe = larder__stripe_of(memory, wanted->hash);
    struct lane *lane = larder__lane_of(memory, thread);
    if (!ask_for_all(memory, wanted, &forecast))
        return false;
    larder__brief_lock(&stripe->lock);
    larder__brief_lock(&lane->lock);
    uint32_t given = overwrite_locked(memory, stripe, lane, &forecast, wanted, value);
    larder__brief_unlock(&lane->lock);
    larder__brief_unlock(&stripe->lock);
    if (given == 0)
        return false;
    *version = given;
    if (__builtin_expect(larder__is_occasion(given), 0))
        do_now_and_then(memory, stripe, index, value.length);
    if (__builtin_expect(larder__has_chores(memory, lane), 0))
        larder__housekeeping(memory, thread, larder__now_ms(memory));
    return true;
}

/* Within the call: while there is an index, all else is there, too. */
ALWAYS_INLINE bool overwrite_in_call(const struct larder_scope *scope, struct larder_thread *thread,
                                     struct larder_slice name, struct larder_slice value,
                                     uint64_t *version)
{
    struct memory *memory = scope->self;
    const struct index *index = larder__index(memory);
    if (index == NULL || !larder__recycles(memory))
        return false;
    struct wanted wanted = larder__want(memory, name, larder__scope_space(memory, scope), TIMELESS);
    return overwrite(memory, thread, &wanted, index, value, version);
}

static bool is_plain(enum larder_mode mode, const struct larder_write *write)
{
    return mode == LARDER_SET && write->ttl_ms == LARDER_TTL_FOREVER &&
           (write->flags | write->marks) == 0;
}

NO_CANARY enum larder_status NAME_OF_WIDTH(larder__memory_store)(const struct larder_scope *scope,
                                                                 enum larder_mode mode,
                                                                 struct larder_slice name,
                                                                 const struct larder_write *write,
                                                                 uint64_t *version)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    if (thread == NULL || !larder__is_handy(name.length) || !is_plain(mode, write))
        return larder__store_generally(scope, mode, name, write, version);
    uint64_t outer = larder_call_begin(&memory->epoch, thread);
    bool done = overwrite_in_call(scope, thread, name, write->value, version);
    larder_call_end(thread, outer);
    return done ? LARDER_OK : larder__store_generally(scope, mode, name, write, version);
}
