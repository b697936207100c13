/*
 * Sliding expiry: a hit gives an entry its TTL anew. It is written at most four times an interval,
 * or a TTL where that is shorter, in place, by readers without a lock. Whatever a writer did to the
 * date meanwhile wins.
 */
#include "look.h"

/* The date's upper half can't be changed in place: each 49 days of the cache's time, an entry that
 * slides over that edge becomes another item. Should the stripe be busy or no segment free, the
 * next hit does it. */
static void slide_locked(struct memory *memory, struct stripe *stripe, struct item *item,
                         uint64_t now_ms, uint64_t expiry_ms)
{
    struct slot slot;
    uint64_t hash = larder__item_hash(&memory->hash_key, item);
    uint32_t location = larder__location_of(&memory->arena, item);
    if (stripe->guarded.closed || !larder__slot_holds(larder__index(memory), hash, location, &slot))
        return;
    struct lane *lane = larder__lane_of(memory, larder__own_thread);
    struct key key = larder__key_of(item, hash);
    struct draft draft;
    larder__draft_of_item(item, &draft);
    draft.lease = larder__item_lease(item);
    draft.expiry_ms = expiry_ms;
    enum queue queue = larder__segment_of(&memory->arena, item)->queue;
    larder__draft_measure(&draft, &key);
    struct append append = larder__append_of(memory, queue, &draft, now_ms, RESERVE_FOR_OVERWRITE);
    struct item *copy = larder__append_locked(memory, lane, &append, &draft, &key);
    if (copy == NULL)
        return;
    larder__slot_replace(slot, larder__location_of(&memory->arena, copy));
    larder__brief_unlock(&lane->lock);
    larder__item_dies(memory, item, hash);
}

static void slide_over_the_edge(struct memory *memory, struct item *item, uint64_t now_ms,
                                uint64_t expiry_ms)
{
    struct stripe *stripe = larder__stripe_of(memory, larder__item_hash(&memory->hash_key, item));
    if (!larder__brief_try(&stripe->lock)) /* within a section nobody waits */
        return;
    slide_locked(memory, stripe, item, now_ms, expiry_ms);
    larder__brief_unlock(&stripe->lock);
}

uint64_t larder__item_slide(struct memory *memory, struct item *item, uint64_t now_ms)
{
    uint64_t slides_ms = larder__part_u32(item, ITEM_SLIDES);
    uint64_t expiry_ms = larder__expiry_after(memory, now_ms, (int64_t)slides_ms);
    uint64_t step_ms = (slides_ms < memory->interval_ms ? slides_ms : memory->interval_ms) / 4;
    uint32_t old = atomic_load_explicit(&item->expiry, memory_order_relaxed);
    uint64_t old_ms = larder__item_expiry_of(item, old);
    if (old == EXPIRY_CLAIMED)
        return 0;
    if (expiry_ms <= old_ms || expiry_ms - old_ms < step_ms)
        return old_ms;
    if (expiry_ms >> 32 != larder__part_u32(item, ITEM_FAR)) {
        slide_over_the_edge(memory, item, now_ms, expiry_ms);
        return old_ms;
    }
    /* relaxed: the number is all there is to see */
    bool slid =
        atomic_compare_exchange_strong_explicit(&item->expiry, &old, larder__expiry_word(expiry_ms),
                                                memory_order_relaxed, memory_order_relaxed);
    return slid ? expiry_ms : old_ms;
}
