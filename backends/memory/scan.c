/*
 * Scans go in groups: the headers of a group are read in a row, the buckets of all are asked for,
 * and then each entry is judged under the lock of its stripe.
 */
#include "scan.h"

#include "listener.h"

#define GROUP 16u

/* In place of the history of an item that nobody finds any more. */
#define EVICTED_MARK 0xffu /* the listener is told */
#define ENDED_MARK 0xfeu

struct scanned {
    struct item *item;
    uint64_t hash;
};

void larder__scan_begin(struct scan *scan, struct memory *memory, struct larder_thread *thread,
                        struct segment *segment, enum scan_reason reason, uint64_t now_ms)
{
    *scan = (struct scan){.memory = memory,
                          .thread = thread,
                          .segment = segment,
                          .reason = reason,
                          .now_ms = now_ms,
                          .survivors_max_bytes = UINT32_MAX};
    /* nobody takes a place in it from now on: its state says so */
    larder__lanes_await(memory->lanes, memory->lane_mask + 1);
}

static unsigned char *begin_of(const struct scan *scan)
{
    const struct arena *arena = &scan->memory->arena;
    return larder__segment_begin(arena, larder__segment_number(arena, scan->segment));
}

static uint32_t gather(struct scan *scan, struct scanned group[GROUP], uint32_t most)
{
    const struct memory *memory = scan->memory;
    unsigned char *begin = begin_of(scan);
    uint32_t count = 0;
    for (; count < most && scan->offset < larder__segment_used(scan->segment); count++) {
        struct item *item = (struct item *)(void *)(begin + scan->offset);
        group[count] = (struct scanned){item, larder__item_hash(&memory->hash_key, item)};
        scan->offset += (uint32_t)larder__item_size(item);
    }
    return count;
}

static void ask_for_places(const struct scan *scan, const struct scanned group[GROUP],
                           uint32_t count)
{
    struct memory *memory = scan->memory;
    const struct index *index = larder__index_to_find(memory);
    for (uint32_t i = 0; i < count; i++)
        larder__ask_for_place(memory, index, group[i].hash);
}

/* The heads of the next group, where items are of some 150 bytes, as many are. */
#define AHEAD_BYTES 2560u

static void ask_for_next(const struct scan *scan)
{
    const unsigned char *begin = begin_of(scan);
    uint32_t end = larder__segment_used(scan->segment);
    if (end - scan->offset > AHEAD_BYTES)
        end = scan->offset + AHEAD_BYTES;
    for (uint32_t offset = scan->offset; offset < end; offset += LARDER_LINE_BYTES)
        __builtin_prefetch(begin + offset);
}

/* ---- one entry, under its stripe's lock ------------------------------------------------------ */

/* The same item; where its value has ended and a lease has not, the lease alone, but for a key that
 * is in the value's block since it is too long for a segment. */
static struct draft draft_of_what_is_left(const struct scan *scan, const struct item *item,
                                          const struct key *key)
{
    struct draft draft, lease = {.expiry_ms = EXPIRY_PAST, .version = item->version};
    larder__draft_of_item(item, &draft);
    if (scan->now_ms < larder__item_lease(item).end_ms)
        draft.lease = lease.lease = larder__item_lease(item);
    bool ended = larder__item_expiry_ms(item) <= scan->now_ms;
    larder__draft_measure(&lease, key);
    return ended && lease.bytes <= scan->memory->inline_bytes ? lease : draft;
}

/* What an item that is found no more leaves behind is seen to at the end of the scan; most leave
 * nothing. */
static void mark(struct scan *scan, struct item *item, uint8_t as)
{
    struct large *large = larder__item_block(item).large;
    if (large != NULL)
        larder__large_unlist(large);
    else if (as == ENDED_MARK || !larder__is_listening(scan->memory))
        return;
    scan->segment->marked = true;
    atomic_store_explicit(&item->history, as, memory_order_relaxed); /* see there */
}

static bool relocate(struct scan *scan, const struct slot *slot, struct item *item, uint64_t hash,
                     enum queue queue, uint8_t frequency, uint8_t history)
{
    struct memory *memory = scan->memory;
    struct lane *lane = larder__lane_of(memory, scan->thread);
    struct key key = larder__key_of(item, hash);
    struct draft draft = draft_of_what_is_left(scan, item, &key);
    draft.frequency = frequency;
    draft.history = history;
    larder__draft_measure(&draft, &key);
    struct append append = larder__append_of(memory, queue, &draft, scan->now_ms, RESERVE_FOR_SCAN);
    struct item *copy = larder__append_locked(memory, lane, &append, &draft, &key);
    if (copy == NULL)
        return false;
    larder__slot_replace(*slot, larder__location_of(&memory->arena, copy));
    larder__brief_unlock(&lane->lock);
    scan->dead_bytes += larder__item_leaves(memory, larder__stripe_of(memory, hash), item);
    if (draft.large != larder__item_block(item).large)
        mark(scan, item, ENDED_MARK);
    scan->survived_bytes += (uint32_t)larder__item_size(item);
    scan->ends.moved++;
    return true;
}

static void drop(struct scan *scan, struct stripe *stripe, const struct slot *slot,
                 const struct scanned *scanned, bool evicted)
{
    struct item *item = scanned->item;
    larder__slot_clear(larder__index(scan->memory), scanned->hash, *slot);
    scan->dead_bytes += larder__item_leaves(scan->memory, stripe, item);
    larder__stripe_count(stripe, -1);
    if (evicted)
        scan->ends.evicted[scan->segment->queue]++;
    else
        scan->ends.expired++;
    bool told = evicted && (item->marks & ITEM_ABSENT) == 0 &&
                scan->now_ms < larder__item_expiry_ms(item); /* no lease without a value */
    mark(scan, item, told ? EVICTED_MARK : ENDED_MARK);
}

static bool survives(struct scan *scan, uint8_t *frequency, uint8_t *history)
{
    if (scan->survived_bytes > scan->survivors_max_bytes && *frequency < 2)
        return false;
    return larder__policy_keeps(&scan->memory->policy, scan->segment->queue, frequency, history);
}

/* @return false: it should move, and can't */
static bool judge(struct scan *scan, struct stripe *stripe, const struct scanned *scanned)
{
    struct memory *memory = scan->memory;
    struct item *item = scanned->item;
    uint8_t frequency = atomic_load_explicit(&item->frequency, memory_order_relaxed);
    uint8_t history = atomic_load_explicit(&item->history, memory_order_relaxed);
    enum queue queue = scan->segment->queue;
    struct slot slot;
    uint32_t location = larder__location_of(&memory->arena, item);
    if (stripe->guarded.closed || /* and the index gone */
        !larder__slot_holds(larder__index(memory), scanned->hash, location, &slot))
        return true;
    if (larder__item_end_ms(item) <= scan->now_ms ||
        larder__space_is_stale(&memory->spaces, larder__part_u32(item, ITEM_SPACE))) {
        drop(scan, stripe, &slot, scanned, false);
        return true;
    }
    if (scan->spared != NULL && scanned->hash == scan->spared->hash &&
        larder__item_has_key(item, scan->spared))
        return relocate(scan, &slot, item, scanned->hash, queue, frequency, history);
    scan->others++;
    if (scan->reason == SCAN_SORT)
        return relocate(scan, &slot, item, scanned->hash, queue, frequency, history);
    if (survives(scan, &frequency, &history) &&
        relocate(scan, &slot, item, scanned->hash, QUEUE_MAIN, frequency, history))
        return true;
    drop(scan, stripe, &slot, scanned, true);
    larder__policy_forgets(&memory->policy, &scan->forgotten, queue, scanned->hash, frequency,
                           history);
    return true;
}

/* Once for a group: every thread that stores needs these lines. */
static void tell(struct scan *scan)
{
    if (scan->dead_bytes > 0)
        larder__segment_loses(scan->segment, scan->dead_bytes);
    scan->dead_bytes = 0;
    larder__policy_learn_forgotten(&scan->memory->policy, &scan->forgotten);
    larder__ends_add(&scan->memory->ends, &scan->ends);
    scan->ends = (struct ends){0};
}

bool larder__scan_step(struct scan *scan, uint32_t items)
{
    struct scanned group[GROUP];
    while (items > 0 && !scan->stuck) {
        uint32_t count = gather(scan, group, items < GROUP ? items : GROUP);
        if (count == 0)
            return true;
        ask_for_places(scan, group, count);
        ask_for_next(scan);
        for (uint32_t i = 0; i < count && !scan->stuck; i++) {
            struct stripe *stripe = larder__stripe_of(scan->memory, group[i].hash);
            larder__brief_lock(&stripe->lock);
            scan->stuck = !judge(scan, stripe, &group[i]);
            larder__brief_unlock(&stripe->lock);
        }
        tell(scan);
        items -= count;
    }
    return scan->stuck;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* What was dropped: the listener is told, and blocks go. No lock is held, and the segment is still
 * this thread's. */
static void end_dropped(struct scan *scan, const struct listener *listener)
{
    struct memory *memory = scan->memory;
    unsigned char *begin = begin_of(scan);
    for (uint32_t offset = 0; offset < scan->offset;) {
        struct item *item = (struct item *)(void *)(begin + offset);
        uint8_t mark = atomic_load_explicit(&item->history, memory_order_relaxed);
        offset += (uint32_t)larder__item_size(item);
        if (mark != EVICTED_MARK && mark != ENDED_MARK)
            continue;
        if (mark == EVICTED_MARK && listener->evicted != NULL)
            larder__listener_tell(memory, listener, item);
        struct large *large = larder__item_block(item).large;
        if (large != NULL)
            larder__large_retire_marked(large, &item->history);
        else
            atomic_store_explicit(&item->history, 0, memory_order_relaxed);
    }
}

static void tell_of_dropped(struct scan *scan)
{
    struct listener listener = larder__listener_of(scan->memory);
    struct telling telling;
    if (listener.evicted != NULL)
        larder__telling_begin(&telling, scan->memory, scan->thread);
    end_dropped(scan, &listener);
    if (listener.evicted != NULL)
        larder__telling_end(&telling, scan->memory, scan->thread);
}

void larder__scan_end(struct scan *scan)
{
    struct arena *arena = &scan->memory->arena;
    struct segment *segment = scan->segment;
    if (segment->marked)
        tell_of_dropped(scan);
    scan->segment = NULL; /* first: from the next line on it is no longer this thread's */
    if (scan->stuck)
        larder__segment_unscan(arena, segment, segment->first_end_ms);
    else
        larder__segment_retire(arena, segment);
}
