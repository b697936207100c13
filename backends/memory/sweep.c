/*
 * Housekeeping without a thread: every call takes a small step of what is due. What has ended is
 * swept segment by segment, one thread at a time, a few entries a call; who comes meanwhile goes
 * on. A sweep that is late takes longer steps, so that few calls suffice.
 */
#include "scan.h"

#define ITEMS_PER_READ 8u
#define ITEMS_PER_WRITE 32u
#define LATE_MS 500u /* half of the second that the documentation allows */
#define LATE_FACTOR 16u
#define VACATED_PER_STEP 8u
#define RETIRED_LARGE_MAX (UINT64_C(1) << 20)
#define ITEMS_PER_PLACE 64u /* that waits to be recycled: else there would be many such places */
#define FREE_KEPT 32u /* a thirty-second of the segments in use, and a few, keep their memory */

/* ---- sweeping -------------------------------------------------------------------------------- */

static bool sweep_begin(struct memory *memory)
{
    uint32_t idle = 0;
    /* acquire: pairs with the release of the last one that swept */
    return atomic_load_explicit(&memory->sweeping, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong_explicit(&memory->sweeping, &idle, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void sweep_end(struct memory *memory)
{
    atomic_store_explicit(&memory->sweeping, 0, memory_order_release);
}

/* One that is still open is sealed, and due again. @return false: nothing is due */
static bool take_due(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    uint32_t open_in;
    struct segment *segment = larder__segment_due(&memory->arena, now_ms, &open_in);
    if (segment == NULL)
        return false;
    if (open_in == LANE_NONE)
        larder__scan_begin(memory->sweep, memory, thread, segment, SCAN_SORT, now_ms);
    else
        larder__lane_seal(&memory->lanes[open_in], &memory->arena, segment);
    return true;
}

/* Where a reader, or a writer, was still in one at its flush. */
static void reclaim_indexes(struct memory *memory)
{
    if (pthread_mutex_trylock(&memory->growth) != 0)
        return; /* somebody else is at it */
    larder__indexes_reclaim_locked(memory, false);
    pthread_mutex_unlock(&memory->growth);
}

bool larder__give_back(struct memory *memory, uint32_t most)
{
    struct arena *arena = &memory->arena;
    reclaim_indexes(memory);
    larder__large_reclaim(memory->large);
    larder__segments_reclaim(arena);
    larder__brief_lock(&arena->lock);
    uint32_t free_count = arena->guarded.free.count;
    uint32_t used = arena->guarded.fresh - arena->guarded.vacant.count - free_count;
    larder__brief_unlock(&arena->lock);
    uint32_t kept = used > 0 ? used / FREE_KEPT + SPARE_SEGMENTS : 0;
    if (free_count > kept)
        larder__segments_vacate(arena, free_count - kept < most ? free_count - kept : most);
    return free_count > kept && free_count - kept > most;
}

/* @return false: nothing is due */
static bool sweep_some(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                       uint32_t items)
{
    struct scan *sweep = memory->sweep;
    if (sweep->segment == NULL && !take_due(memory, thread, now_ms))
        return false;
    if (sweep->segment == NULL)
        return true;
    sweep->thread = thread;
    sweep->now_ms = now_ms;
    if (!larder__scan_step(sweep, items))
        return true;
    bool stuck = sweep->stuck;
    larder__scan_end(sweep);
    if (stuck)
        larder__evict_ahead(memory, thread, now_ms);
    larder__give_back(memory, VACATED_PER_STEP);
    return !stuck;
}

bool larder__sweep(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                   uint32_t items)
{
    if (!sweep_begin(memory))
        return false;
    bool more = sweep_some(memory, thread, now_ms, items);
    sweep_end(memory);
    return more;
}

void larder__sweep_finish(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    if (!sweep_begin(memory))
        return;
    if (memory->sweep->segment != NULL)
        (void)sweep_some(memory, thread, now_ms, UINT32_MAX);
    sweep_end(memory);
}

uint64_t larder__sweep_due_ms(struct memory *memory)
{
    uint64_t due_ms = atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
    if (!sweep_begin(memory))
        return due_ms;
    due_ms = memory->sweep->segment != NULL ? 0 : due_ms;
    sweep_end(memory);
    return due_ms;
}

/* ---- the index ------------------------------------------------------------------------------- */

#define STEPS_MAX 2 /* a call */

static bool split_locked(struct memory *memory, struct index *index)
{
    struct item_hashes hashes = {&memory->arena, &memory->hash_key};
    struct stripe *stripe = larder__stripe_of(memory, larder__index_next_split(index));
    larder__brief_lock(&stripe->lock);
    bool split = larder__index(memory) == index && larder__index_split(index, &hashes);
    larder__brief_unlock(&stripe->lock);
    return split;
}

static bool merge_locked(struct memory *memory, struct index *index)
{
    uint32_t bucket;
    if (!larder__index_next_merge(index, memory->first_level, &bucket))
        return false;
    struct stripe *stripe = larder__stripe_of(memory, bucket);
    larder__brief_lock(&stripe->lock);
    bool merged = larder__index(memory) == index && larder__index_merge(index);
    larder__brief_unlock(&stripe->lock);
    if (merged) {
        memory->guarded.trim_epoch = larder_epoch_advance(&memory->epoch);
        memory->guarded.trims = true;
    }
    return merged;
}

/* Buckets that were merged lose their memory when no reader can be in them; a writer that has not
 * locked its stripe yet finds nothing there. */
static void trim_locked(struct memory *memory, struct index *index)
{
    if (!memory->guarded.trims || !larder__index_is_loose(index))
        return;
    larder_epoch_order(&memory->epoch, memory->guarded.trim_epoch);
    if (!larder_epoch_passed(memory->guarded.trim_epoch, larder_epoch_oldest(&memory->epoch)))
        return;
    larder__index_trim(index);
    memory->guarded.trims = false;
}

/* @return false: there was no memory to grow */
static bool adapt_locked(struct memory *memory, const struct stripe *stripe)
{
    struct index *index = larder__index(memory);
    bool grown = true;
    for (int i = 0; i < STEPS_MAX && index != NULL; i++) {
        uint64_t full = larder__full_stripe(memory, larder__index_shape(index));
        uint64_t items = larder__stripe_items(stripe);
        if (items > full)
            grown = split_locked(memory, index);
        else if (items >= full / 4 || !merge_locked(memory, index))
            break;
    }
    if (index != NULL)
        trim_locked(memory, index);
    return grown;
}

void larder__index_follow(struct memory *memory, struct larder_thread *thread,
                          const struct stripe *stripe, uint64_t now_ms)
{
    if (pthread_mutex_trylock(&memory->growth) != 0)
        return; /* somebody else is at it */
    bool grown = adapt_locked(memory, stripe);
    pthread_mutex_unlock(&memory->growth);
    if (!grown)
        (void)larder__make_room_for_index(memory, thread, now_ms);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void sweep_due(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                      uint32_t items)
{
    /* relaxed: a hint */
    uint64_t due_ms = atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
    if (__builtin_expect(now_ms >= due_ms, 0))
        larder__sweep(memory, thread, now_ms,
                      now_ms - due_ms > LATE_MS ? items * LATE_FACTOR : items);
}

/* What large values held goes back soon, also where nothing needs it. */
static void reclaim_large(struct memory *memory)
{
    uint64_t most = larder__budget_max(memory->budget) / 16;
    if (larder__large_retired_bytes(memory->large) >=
        (most < RETIRED_LARGE_MAX ? most : RETIRED_LARGE_MAX))
        larder__large_reclaim(memory->large);
}

/* Which entries were hit is asked when one has to go: it is told from the time on when the cache is
 * half full. */
static void watch_room(struct memory *memory)
{
    bool counts = (larder__duties(&memory->arena) & DUTY_HITS) != 0;
    uint64_t used = larder__budget_used(memory->budget), max = larder__budget_max(memory->budget);
    larder__set_duty(&memory->arena, DUTY_HITS,
                     memory->evicts && used >= (counts ? max / 8 * 3 : max / 2));
}

void larder__housekeeping(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    struct lane *lane = larder__lane_of(memory, thread);
    if (__builtin_expect(atomic_load_explicit(&lane->turns, memory_order_relaxed), 0))
        larder__lane_turn(lane, &memory->arena,
                          larder__memory_items(memory) / ITEMS_PER_PLACE / (memory->lane_mask + 1));
    sweep_due(memory, thread, now_ms, ITEMS_PER_WRITE);
    watch_room(memory);
    larder__evict_ahead(memory, thread, now_ms);
    if (__builtin_expect(larder__has_turned_over(memory), 0))
        larder__clean(memory, thread, now_ms);
    if (__builtin_expect(larder__large_retired_bytes(memory->large) > 0, 0))
        reclaim_large(memory);
}

void larder__read_housekeeping(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    uint64_t outer = larder_call_begin(&memory->epoch, thread);
    if (larder__index(memory) != NULL)
        sweep_due(memory, thread, now_ms, ITEMS_PER_READ);
    larder_call_end(thread, outer);
}
