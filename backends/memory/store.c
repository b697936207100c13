/*
 * Plain stores: a set of a value that neither ends nor has more to it than key and namespace, with
 * a key of the usual length; over another such value of the same length, or where there is nothing.
 * Most stores of many caches are such; whatever is otherwise goes the general way.
 *
 * It is written out, as a hit is, and compiled for each width: the fewer instructions, the sooner a
 * processor works on what comes after the call while it waits for the entry. It does not look past
 * taking a lock: so both are taken first, one after the other, and then the entry is looked at,
 * which was asked for before.
 */
#include "operations.h"

#include "plain.h"

/* Where it was looked for before there was a lock. */
struct forecast {
    struct index *index;
    uint64_t shape;
    struct bucket *bucket;
};

/* ---- under both locks ----------------------------------------------------------------------- */

/* By all of its chain. @return false: something is there; or there is no slot */
__attribute__((noinline)) static bool find_spare(const struct memory *memory, struct index *index,
                                                 const struct wanted *wanted, struct slot *slot)
{
    const struct key key = {wanted->name.data, wanted->name.length, wanted->hash, wanted->space};
    return larder__slot_find(index, &memory->arena, &key, slot) == NULL &&
           larder__slot_spare(index, wanted->hash, slot);
}

/* @param old  what is there; NULL: nothing, and the slot is free
 * @return false: anything else is, or the index is another by now, or none, since the cache is
 * closed */
ALWAYS_INLINE bool find_again(const struct memory *memory, const struct forecast *forecast,
                              const struct wanted *wanted, struct slot *slot, struct item **old)
{
    struct plain plain;
    struct bucket *bucket = forecast->bucket;
    if (larder__index(memory) != forecast->index ||
        larder__index_shape(forecast->index) != forecast->shape)
        return false;
    unsigned found = larder__bucket_match_atomic(bucket, wanted->tag);
    if (found != 0 && larder__plain_in(&memory->arena, bucket, found, wanted, &plain)) {
        *slot = (struct slot){bucket, (unsigned)__builtin_ctz(found)};
        *old = plain.item;
        return true;
    }
    *old = NULL;
    unsigned free_slots = larder__bucket_free(bucket);
    if (found != 0 || free_slots == 0 || larder__bucket_has_more(bucket))
        return find_spare(memory, forecast->index, wanted, slot);
    *slot = (struct slot){bucket, (unsigned)__builtin_ctz(free_slots)};
    return true;
}

/* Where no segment that is open has room. */
__attribute__((noinline)) static struct item *append_to_another(struct lane *lane,
                                                                struct arena *arena,
                                                                enum queue queue, size_t bytes,
                                                                uint32_t reserve)
{
    const struct append append = {
        .queue = queue, .end_ms = UINT64_MAX, .bytes = bytes, .reserve = reserve};
    return larder__lane_append(lane, arena, &append);
}

ALWAYS_INLINE struct item *append(struct lane *lane, struct arena *arena, enum queue queue,
                                  size_t bytes, uint32_t reserve)
{
    struct item *place = larder__lane_append_endless(lane, arena, queue, bytes);
    return place != NULL ? place : append_to_another(lane, arena, queue, bytes, reserve);
}

/* What the policy knows of its past. */
struct past {
    uint8_t history, frequency;
};

ALWAYS_INLINE void write_item(struct item *place, const struct wanted *wanted,
                              struct larder_slice value, uint32_t version, struct past past)
{
    size_t length = wanted->name.length;
    larder__item_set_head(place, larder__plain_head(length, wanted->space));
    place->version = version;
    place->value_length = (uint16_t)value.length;
    atomic_init(&place->history, past.history);
    atomic_init(&place->frequency, past.frequency);
    unsigned char *bytes = place->parts;
    if (wanted->space != SPACE_NONE) {
        memcpy(bytes, &wanted->space, sizeof(wanted->space));
        bytes += sizeof(wanted->space);
    }
    larder__handy_store(bytes, wanted->handy, length);
    larder__copy_bytes(bytes + length, value.data, value.length);
}

/* One that is found no more; the new one, as large, is. */
ALWAYS_INLINE void leave_old(struct memory *memory, struct stripe *stripe, struct lane *lane,
                             struct segment *segment, struct item *item, size_t bytes,
                             bool recycles)
{
    if (recycles &&
        larder__lane_leave(lane, segment, larder__location_of(&memory->arena, item), bytes))
        return;
    larder__stripe_live(stripe, (int64_t)bytes); /* of the new one */
    larder__segment_loses(segment, larder__item_leaves(memory, stripe, item));
}

/* What was known of the old one is known of the new one. @return the new version; 0: no room */
ALWAYS_INLINE uint32_t overwrite(struct memory *memory, struct stripe *stripe, struct lane *lane,
                                 const struct wanted *wanted, struct larder_slice value,
                                 struct slot slot, struct item *old, size_t bytes)
{
    struct item *place = NULL;
    struct arena *arena = &memory->arena;
    struct segment *segment = larder__segment_of(arena, old);
    bool recycles = larder__recycles(memory);
    if (recycles)
        place = larder__recycler_take(&lane->guarded.recycler, arena, bytes, segment->queue,
                                      UINT64_MAX);
    if (place == NULL)
        place = append(lane, arena, segment->queue, bytes, RESERVE_FOR_OVERWRITE);
    if (place == NULL)
        return 0;
    struct past past = {atomic_load_explicit(&old->history, memory_order_relaxed),
                        atomic_load_explicit(&old->frequency, memory_order_relaxed)};
    uint32_t version = larder__next_version(stripe);
    write_item(place, wanted, value, version, past);
    larder__slot_replace(slot, larder__location_of(arena, place));
    leave_old(memory, stripe, lane, segment, old, bytes, recycles);
    return version;
}

/* @return the new version; 0: no room */
ALWAYS_INLINE uint32_t insert(struct memory *memory, struct stripe *stripe, struct lane *lane,
                              const struct wanted *wanted, struct larder_slice value,
                              struct slot slot, size_t bytes)
{
    struct past past = {0, 0};
    struct arena *arena = &memory->arena;
    enum queue queue = larder__policy_admit(&memory->policy, wanted->hash, &past.history);
    struct item *place = append(lane, arena, queue, bytes, RESERVE_FOR_NEW);
    if (place == NULL)
        return 0;
    uint32_t version = larder__next_version(stripe);
    write_item(place, wanted, value, version, past);
    larder__slot_fill(slot, wanted->hash, larder__location_of(arena, place));
    larder__stripe_count(stripe, 1);
    larder__stripe_live(stripe, (int64_t)bytes);
    return version;
}

/* What a store did. */
struct done {
    uint32_t version; /* 0: nothing */
    bool inserted;
};

ALWAYS_INLINE struct done store_locked(struct memory *memory, struct stripe *stripe,
                                       struct lane *lane, const struct forecast *forecast,
                                       const struct wanted *wanted, struct larder_slice value)
{
    struct slot slot;
    struct item *old;
    struct done done = {0, false};
    size_t parts = wanted->space != SPACE_NONE ? sizeof(wanted->space) : 0;
    size_t bytes = larder__item_bytes(parts, wanted->name.length, value.length);
    if (!find_again(memory, forecast, wanted, &slot, &old))
        return done;
    done.inserted = old == NULL;
    if (done.inserted)
        done.version = insert(memory, stripe, lane, wanted, value, slot, bytes);
    else if (old->value_length == value.length)
        done.version = overwrite(memory, stripe, lane, wanted, value, slot, old, bytes);
    return done;
}

/* ---- the call ------------------------------------------------------------------------------- */

/* Within the call, where there is an index. So that all is on its way while the locks are taken:
 * the bucket, and what seems to be there, or else what may be remembered of it. */
ALWAYS_INLINE void ask_for_all(const struct memory *memory, const struct wanted *wanted,
                               struct forecast *forecast)
{
    forecast->shape = larder__index_shape(forecast->index);
    forecast->bucket = larder__index_bucket(forecast->index, forecast->shape, wanted->hash);
    larder__ask_to_write(larder__stripe_of(memory, wanted->hash));
    larder__ask_to_write(forecast->bucket);
    if (!larder__ask_for_first(&memory->arena, forecast->bucket, wanted->tag))
        larder__policy_ask(&memory->policy, wanted->hash);
}

/* What need not be done each time, and what is due. */
__attribute__((noinline)) static void do_now_and_then(struct memory *memory,
                                                      struct larder_thread *thread,
                                                      const struct stripe *stripe, bool index_fits)
{
    uint64_t now_ms = larder__now_ms(memory);
    if (!index_fits)
        larder__index_follow(memory, thread, stripe, now_ms);
    larder__housekeeping(memory, thread, now_ms);
}

ALWAYS_INLINE bool store(struct memory *memory, struct larder_thread *thread,
                         const struct wanted *wanted, struct index *index,
                         struct larder_slice value, uint64_t *version)
{
    struct forecast forecast = {.index = index};
    struct stripe *stripe = larder__stripe_of(memory, wanted->hash);
    struct lane *lane = larder__lane_of(memory, thread);
    ask_for_all(memory, wanted, &forecast);
    larder__brief_lock(&stripe->lock);
    larder__brief_lock(&lane->lock);
    struct done done = store_locked(memory, stripe, lane, &forecast, wanted, value);
    larder__brief_unlock(&lane->lock);
    larder__brief_unlock(&stripe->lock);
    if (done.version == 0)
        return false;
    *version = done.version;
    bool occasion = larder__is_occasion(done.version);
    bool index_fits = !(occasion || done.inserted) || larder__index_fits(memory, index, stripe);
    if (__builtin_expect(occasion, 0))
        larder__tell_length(memory, value.length);
    if (__builtin_expect(occasion || !index_fits || larder__has_chores(memory, lane), 0))
        do_now_and_then(memory, thread, stripe, index_fits);
    return true;
}

/* Within the call: while there is an index, all else is there, too. */
ALWAYS_INLINE bool store_in_call(const struct larder_scope *scope, struct larder_thread *thread,
                                 struct larder_slice name, struct larder_slice value,
                                 uint64_t *version)
{
    struct memory *memory = scope->self;
    struct index *index = larder__index(memory);
    if (index == NULL)
        return false;
    struct wanted wanted = larder__want(memory, name, larder__scope_space(memory, scope), TIMELESS);
    return wanted.space != SPACE_UNKNOWN && store(memory, thread, &wanted, index, value, version);
}

static bool is_plain(const struct memory *memory, enum larder_mode mode,
                     const struct larder_write *write)
{
    return mode == LARDER_SET && write->ttl_ms == LARDER_TTL_FOREVER &&
           (write->flags | write->marks) == 0 && write->value.length <= memory->plain_value_max;
}

NO_CANARY enum larder_status NAME_OF_WIDTH(larder__memory_store)(const struct larder_scope *scope,
                                                                 enum larder_mode mode,
                                                                 struct larder_slice name,
                                                                 const struct larder_write *write,
                                                                 uint64_t *version)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    if (thread == NULL || !larder__is_handy(name.length) || !is_plain(memory, mode, write))
        return larder__store_generally(scope, mode, name, write, version);
    uint64_t outer = larder_call_begin(&memory->epoch, thread);
    bool done = store_in_call(scope, thread, name, write->value, version);
    larder_call_end(thread, outer);
    return done ? LARDER_OK : larder__store_generally(scope, mode, name, write, version);
}
