/*
 * Making room: from what nobody reads any more, from what has ended, from what the policy gives up;
 * each in bounded pieces, by the threads that need it. Nothing of it is done under a lock of the
 * thread that asks.
 */
#include "scan.h"

#include <sched.h>

#include <larder/util/deadline.h>

#include "listener.h"

#define SCANS_MAX 64u          /* of segments, beside one of each, until room is given up */
#define BOTH_FROM_SCANS 16u    /* from this one on both queues are looked at whatever their share */
#define COPIES_BOUND_SCANS 32u /* from this one on only a part of a segment survives */
#define WAIT_NS UINT64_C(100000000) /* for readers, who may be off the processor for that long */
#define SURVIVORS_PERCENT 75u
#define VACATED_PER_STEP 4u

uint64_t larder__memory_items(const struct memory *memory)
{
    uint64_t items = 0;
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        items += larder__stripe_items(&memory->stripes[i]);
    return items;
}

/* ---- evicting a segment ---------------------------------------------------------------------- */

static uint64_t queue_bytes(struct memory *memory, enum queue queue)
{
    struct arena *arena = &memory->arena;
    larder__brief_lock(&arena->lock);
    uint64_t segments = arena->guarded.queues[queue].count + arena->guarded.open[queue];
    larder__brief_unlock(&arena->lock);
    return (segments << arena->shift) +
           atomic_load_explicit(&arena->heavy_bytes[queue], memory_order_relaxed);
}

static enum queue queue_to_scan(struct memory *memory, uint32_t scans)
{
    double small = (double)queue_bytes(memory, QUEUE_SMALL);
    double main = (double)queue_bytes(memory, QUEUE_MAIN);
    double share = atomic_load_explicit(&memory->policy.share, memory_order_relaxed);
    if (scans >= BOTH_FROM_SCANS)
        return scans % 2 == 0 ? QUEUE_SMALL : QUEUE_MAIN;
    return small >= share * (small + main) ? QUEUE_SMALL : QUEUE_MAIN;
}

static void seal_all(struct memory *memory)
{
    for (uint32_t lane = 0; lane <= memory->lane_mask; lane++)
        larder__lane_seal_all(&memory->lanes[lane], &memory->arena);
}

/* Who evicts, and how far it may go. */
struct need {
    uint32_t scans;           /* how many were in vain */
    const struct key *spared; /* the entry that room is made for; NULL: none */
    bool seals; /* also what is open, where the latest entries are. Not for what nobody waits for:
                   an entry outlives the call that stored it. */
};

/* The oldest of the queue that is to shrink; else of the other; else, where everything is open, of
 * what the lanes now seal. */
static struct segment *choose(struct memory *memory, const struct need *need)
{
    enum queue queue = queue_to_scan(memory, need->scans);
    for (int i = 0; i < 2; i++) {
        struct segment *segment = larder__segment_scan(&memory->arena, queue);
        if (segment == NULL)
            segment = larder__segment_scan(&memory->arena,
                                           queue == QUEUE_SMALL ? QUEUE_MAIN : QUEUE_SMALL);
        if (segment != NULL || i == 1 || !need->seals)
            return segment;
        seal_all(memory);
    }
    return NULL;
}

/* Adding up takes every stripe's line from whoever wrote it last: not for each segment. */
#define SEGMENTS_PER_COUNT 32u

static void count_items(struct memory *memory)
{
    struct arena *arena = &memory->arena;
    uint32_t turnover = atomic_load_explicit(&arena->turnover, memory_order_relaxed);
    uint32_t step = atomic_load_explicit(&arena->in_use, memory_order_relaxed) / SEGMENTS_PER_COUNT;
    if (turnover - atomic_load_explicit(&memory->counted_at, memory_order_relaxed) < step)
        return;
    atomic_store_explicit(&memory->counted_at, turnover, memory_order_relaxed);
    uint64_t items = larder__memory_items(memory);
    atomic_store_explicit(&memory->policy.items, items > 0 ? (double)items : 1.0,
                          memory_order_relaxed);
}

enum evicted { EVICTED_NONE, EVICTED_NONE_BUT_SPARED, EVICTED_SOME };

/* @return NONE: there is nothing to evict */
static enum evicted evict_segment(struct memory *memory, struct larder_thread *thread,
                                  uint64_t now_ms, const struct need *need)
{
    struct scan scan;
    if (larder__is_telling(memory, thread))
        return EVICTED_NONE;
    struct segment *segment = choose(memory, need);
    if (segment == NULL)
        return EVICTED_NONE;
    larder__scan_begin(&scan, memory, thread, segment, SCAN_EVICT, now_ms);
    if (need->scans >= COPIES_BOUND_SCANS)
        scan.survivors_max_bytes = larder__segment_used(segment) / 100 * SURVIVORS_PERCENT;
    scan.spared = need->spared;
    while (!larder__scan_step(&scan, UINT32_MAX))
        continue;
    larder__scan_end(&scan);
    if (scan.stuck)
        return EVICTED_NONE;
    return scan.others == 0 && scan.survived_bytes > 0 ? EVICTED_NONE_BUT_SPARED : EVICTED_SOME;
}

static uint32_t reclaim(struct memory *memory)
{
    return larder__segments_reclaim(&memory->arena) + larder__large_reclaim(memory->large);
}

/* What comes back when readers have left that are on their way now. */
static uint64_t retired_bytes(struct memory *memory)
{
    return larder__segments_retired_bytes(&memory->arena) +
           larder__large_retired_bytes(memory->large);
}

/* Frees so much that could be taken, for whoever is first. @return false when that does not go */
static bool free_bytes(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                       uint64_t bytes, const struct need *need)
{
    uint64_t most = (bytes >> memory->arena.shift) * 2 + BOTH_FROM_SCANS;
    count_items(memory);
    for (uint64_t scans = 0; scans < most; scans++) {
        reclaim(memory);
        while (!larder__budget_has(memory->budget, bytes))
            if (larder__segments_vacate(&memory->arena, 1) == 0)
                break;
        if (larder__budget_has(memory->budget, bytes))
            return true;
        if (!memory->evicts || retired_bytes(memory) >= bytes ||
            evict_segment(memory, thread, now_ms, need) != EVICTED_SOME)
            return false;
    }
    return false;
}

/* The first eviction is when the ghost is made: until then nothing is to be remembered. */
static void make_ghost(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                       const struct need *need)
{
    if (atomic_load_explicit(&memory->policy.ghosts, memory_order_acquire) != NULL)
        return;
    uint64_t items = larder__memory_items(memory);
    if (!free_bytes(memory, thread, now_ms, larder__policy_ghost_bytes(items), need))
        return;
    pthread_mutex_lock(&memory->growth);
    (void)larder__policy_make_ghost(&memory->policy, items);
    pthread_mutex_unlock(&memory->growth);
}

/* ---- where nothing may be evicted: what has ended, and what is dead ---------------------------
 */

/* How much of it stays, as far as is known. What was flushed with its namespace is found by looking
 * through it, after all that is known. @return UINT32_MAX: all of it */
static uint32_t known_live(const struct arena *arena, const struct segment *segment,
                           uint64_t now_ms)
{
    uint32_t live = larder__segment_live(segment);
    if (segment->first_end_ms <= now_ms)
        return 0;
    if (live < larder__segment_used(segment))
        return live;
    return segment->flushes != atomic_load_explicit(&arena->flushes, memory_order_relaxed)
               ? UINT32_MAX - 1
               : UINT32_MAX;
}

/* One in which something has ended, or else the emptiest: what is left moves. */
static struct segment *choose_emptiest(struct memory *memory, uint64_t now_ms)
{
    struct arena *arena = &memory->arena;
    struct segment *emptiest = NULL;
    uint32_t least = UINT32_MAX;
    larder__brief_lock(&arena->lock);
    for (int queue = 0; queue < QUEUES; queue++)
        for (uint32_t number = arena->guarded.queues[queue].first; number != NO_SEGMENT;
             number = arena->segments[number].next) {
            uint32_t live = known_live(arena, &arena->segments[number], now_ms);
            if (live < least) {
                least = live;
                emptiest = &arena->segments[number];
            }
        }
    larder__brief_unlock(&arena->lock);
    return emptiest;
}

static bool sort_segment(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                         struct segment *segment)
{
    struct scan scan;
    if (segment == NULL || !larder__segment_scan_this(&memory->arena, segment))
        return false;
    larder__scan_begin(&scan, memory, thread, segment, SCAN_SORT, now_ms);
    while (!larder__scan_step(&scan, UINT32_MAX))
        continue;
    larder__scan_end(&scan);
    return !scan.stuck;
}

static bool tidy_segment(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    struct segment *segment = choose_emptiest(memory, now_ms);
    if (segment == NULL) {
        seal_all(memory); /* what is open may have something, and what waits to be recycled */
        larder__lanes_give_up(memory->lanes, memory->lane_mask + 1, &memory->arena);
        segment = choose_emptiest(memory, now_ms);
    }
    return sort_segment(memory, thread, now_ms, segment);
}

/* ---- for one visit --------------------------------------------------------------------------- */

static bool lane_has_room(const struct visit *visit)
{
    struct memory *memory = visit->memory;
    return larder__lane_has_room(larder__lane_of(memory, visit->thread), &memory->arena,
                                 &visit->append);
}

/* For the index, and for the segment that comes before it; whoever takes it first has it. */
static bool has_index_step(const struct visit *visit)
{
    struct memory *memory = visit->memory;
    uint64_t bytes = memory->index_step_bytes + larder__left_for_segments(memory);
    bytes += lane_has_room(visit) ? 0 : larder__segment_bytes(&memory->arena);
    while (!larder__budget_has(memory->budget, bytes))
        if (larder__segments_vacate(&memory->arena, 1) == 0)
            return false;
    return true;
}

/* For a large value. */
static bool take_lacking(struct visit *visit)
{
    while (!larder__take_for_large(visit->memory, visit->lacking_bytes))
        if (larder__segments_vacate(&visit->memory->arena, 1) == 0)
            return false;
    visit->reserved_bytes += visit->lacking_bytes;
    visit->lacking_bytes = 0;
    return true;
}

static bool has_segment(const struct visit *visit)
{
    struct memory *memory = visit->memory;
    return lane_has_room(visit) || larder__arena_has_room(&memory->arena, visit->append.reserve);
}

static bool is_there(struct visit *visit)
{
    if (visit->lacking_bytes > 0 && !take_lacking(visit))
        return false;
    if (visit->lacks_index && !has_index_step(visit))
        return false;
    return !visit->lacks_segment || has_segment(visit);
}

/* Whether only readers are in the way: then nothing more is given up. */
static bool is_on_its_way(const struct visit *visit)
{
    struct memory *memory = visit->memory;
    uint64_t bytes = visit->lacking_bytes;
    bytes += visit->lacks_index ? memory->index_step_bytes : 0;
    bytes += visit->lacks_segment ? SPARE_SEGMENTS * larder__segment_bytes(&memory->arena) : 0;
    return retired_bytes(memory) >= bytes;
}

static uint32_t scans_max(struct memory *memory)
{
    struct arena *arena = &memory->arena;
    larder__brief_lock(&arena->lock);
    uint32_t segments = arena->guarded.fresh;
    larder__brief_unlock(&arena->lock);
    return segments + SCANS_MAX;
}

/* Readers that are on their way, or were stopped in the middle, keep what is retired. */
static bool wait_for_readers(struct visit *visit)
{
    uint64_t until_ns = larder_monotonic_ns() + WAIT_NS;
    while (retired_bytes(visit->memory) > 0 && larder_monotonic_ns() < until_ns) {
        sched_yield();
        if (reclaim(visit->memory) > 0 && is_there(visit))
            return true;
    }
    return false;
}

#define SPARED_SCANS_MAX 8u /* in a row, that found nothing but the entry itself */

static bool give_up_something(struct visit *visit, uint32_t scans, const struct key *spared,
                              uint32_t *spared_scans)
{
    struct memory *memory = visit->memory;
    if (!memory->evicts)
        return tidy_segment(memory, visit->thread, visit->now_ms);
    struct need need = {scans, spared, true};
    enum evicted evicted = evict_segment(memory, visit->thread, visit->now_ms, &need);
    *spared_scans = evicted == EVICTED_NONE_BUT_SPARED ? *spared_scans + 1 : 0;
    return evicted != EVICTED_NONE && *spared_scans < SPARED_SCANS_MAX;
}

#define VAIN_MAX 64u /* in a row: other threads have what is to be looked through, or its room */

/* What readers are about to leave may go to others; then more is given up. */
static bool try_to_make_room(struct visit *visit, const struct key *spared)
{
    uint64_t until_ns = larder_monotonic_ns() + WAIT_NS;
    uint32_t most = scans_max(visit->memory), spared_scans = 0, vain = 0;
    count_items(visit->memory);
    for (uint32_t scans = 0; scans < most && vain < VAIN_MAX;) {
        reclaim(visit->memory);
        if (is_there(visit))
            return true;
        if (is_on_its_way(visit)) {
            if (larder_monotonic_ns() >= until_ns)
                return false;
            sched_yield();
            continue;
        }
        bool given_up = give_up_something(visit, scans++, spared, &spared_scans);
        if (!given_up && (!visit->memory->evicts || spared_scans >= SPARED_SCANS_MAX))
            break;
        vain = given_up ? 0 : vain + 1;
        if (!given_up)
            sched_yield();
    }
    return wait_for_readers(visit);
}

/* Whether the entry has to go, and whether that would do. */
static bool old_one_helps(const struct visit *visit)
{
    const struct budget *budget = visit->memory->budget;
    uint64_t used_bytes = larder__budget_used(budget);
    return visit->gives_up_old && visit->old_bytes > 0 && visit->old_bytes <= used_bytes &&
           used_bytes - visit->old_bytes + visit->lacking_bytes <= larder__budget_max(budget);
}

/* The entry itself is the last to go, and only for a plain store. */
bool larder__make_room(struct visit *visit)
{
    const struct key *spared = visit->item != NULL ? &visit->key : NULL;
    struct need need = {0, spared, true};
    if (visit->memory->evicts)
        make_ghost(visit->memory, visit->thread, visit->now_ms, &need);
    if (try_to_make_room(visit, spared))
        return true;
    return spared != NULL && old_one_helps(visit) && try_to_make_room(visit, NULL);
}

bool larder__make_room_for_index(struct memory *memory, struct larder_thread *thread,
                                 uint64_t now_ms)
{
    const struct need need = {0, NULL, false};
    return free_bytes(memory, thread, now_ms,
                      memory->index_step_bytes + larder__left_for_segments(memory), &need);
}

bool larder__make_room_for(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                           uint64_t bytes)
{
    const struct need need = {0, NULL, true};
    return free_bytes(memory, thread, now_ms, bytes, &need);
}

/* ---- ahead of need --------------------------------------------------------------------------- */

/* After the bound was lowered: what is free goes first, then what the policy gives up, unless that
 * is on its way already. */
static bool is_over(struct memory *memory)
{
    return larder__budget_used(memory->budget) >
           larder__budget_max(memory->budget) + retired_bytes(memory);
}

/* Until the bound holds again. What was retired may be enough. */
static void shrink_a_step(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    const struct need need = {0, NULL, true};
    reclaim(memory);
    if (larder__budget_is_over(memory->budget))
        larder__segments_vacate(&memory->arena, VACATED_PER_STEP);
    if (memory->evicts && is_over(memory))
        (void)evict_segment(memory, thread, now_ms, &need);
}

/* One segment. Those that are free are used up meanwhile; then a batch of them has been retired. */
static void evict_a_step(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    const struct need need = {0, NULL, false};
    (void)evict_segment(memory, thread, now_ms, &need);
    if (atomic_load_explicit(&memory->arena.ready, memory_order_relaxed) >= SPARE_SEGMENTS)
        return;
    reclaim(memory);
    count_items(memory);
}

bool larder__shrink(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    uint64_t before = larder__budget_used(memory->budget);
    larder__evict_ahead(memory, thread, now_ms);
    return larder__budget_is_over(memory->budget) && larder__budget_used(memory->budget) < before;
}

void larder__evict_ahead(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    uint32_t idle = 0;
    if (!larder__is_short(memory))
        return;
    /* relaxed: only keeps two threads from doing the same; looked at first, so that who comes while
     * another evicts does not take the line from it */
    if (atomic_load_explicit(&memory->evicting, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong_explicit(&memory->evicting, &idle, 1, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    const struct need need = {0, NULL, false};
    if (memory->evicts)
        make_ghost(memory, thread, now_ms, &need);
    /* it may have been raised or lowered meanwhile: what is not to be evicted stays */
    if (larder__budget_is_over(memory->budget))
        shrink_a_step(memory, thread, now_ms);
    else if (memory->evicts)
        evict_a_step(memory, thread, now_ms);
    atomic_store_explicit(&memory->evicting, 0, memory_order_relaxed);
}

/* ---- dead bytes ------------------------------------------------------------------------------ */

/*
 * Overwriting leaves dead bytes behind. While all segments together hold more than 6 bytes for 5
 * that are alive, the emptiest segment is emptied into others. For overwriting at random that means
 * about two copies for each store (Rosenblum and Ousterhout, "The design and implementation of a
 * log-structured file system", 1992, section 3.5); with a share of 1/4 it would be 1.7, with 1/7
 * three.
 */
#define DEAD_SHARE 5u
#define WORTH_IT(used) ((used) - (used) / 16) /* one with more alive is left alone */

static bool has_much_dead(struct memory *memory)
{
    struct arena *arena = &memory->arena;
    uint64_t live_bytes = 0;
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        live_bytes += atomic_load_explicit(&memory->stripes[i].live_bytes, memory_order_relaxed);
    larder__brief_lock(&arena->lock);
    uint64_t sealed = arena->guarded.queues[QUEUE_SMALL].count;
    sealed += arena->guarded.queues[QUEUE_MAIN].count;
    larder__brief_unlock(&arena->lock);
    return sealed << arena->shift > live_bytes + live_bytes / DEAD_SHARE;
}

void larder__clean(struct memory *memory, struct larder_thread *thread, uint64_t now_ms)
{
    uint32_t turnover = atomic_load_explicit(&memory->arena.turnover, memory_order_relaxed);
    struct segment *segment = has_much_dead(memory) ? choose_emptiest(memory, now_ms) : NULL;
    if (segment != NULL && larder__segment_live(segment) > WORTH_IT(larder__segment_used(segment)))
        segment = NULL;
    if (segment == NULL) {
        atomic_store_explicit(&memory->cleaned_at, turnover, memory_order_relaxed);
        return;
    }
    (void)sort_segment(memory, thread, now_ms, segment);
    larder__give_back(memory, VACATED_PER_STEP);
}
