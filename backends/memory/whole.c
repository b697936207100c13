/* What concerns the whole cache: flush, statistics, purge. */
#include "operations.h"

#include <stdlib.h>

#include <larder/util/deadline.h>

#include "scan.h"

enum larder_status larder__call_begin(struct memory *memory, struct call *call)
{
    call->thread = larder_thread();
    if (call->thread == NULL)
        return LARDER_NO_MEMORY;
    call->outer = larder_call_begin(&memory->epoch, call->thread);
    if (larder__index(memory) != NULL)
        return LARDER_OK;
    larder__call_end(call);
    return LARDER_CLOSED;
}

/* ---- flush --------------------------------------------------------------------------------- */

struct index *larder__index_new(struct memory *memory, bool prepaid)
{
    struct index *index = aligned_alloc(alignof(struct index), sizeof(*index));
    if (index == NULL)
        return NULL;
    if (larder__index_open(index, memory->budget, memory->index_reserved_bytes, memory->first_level,
                           memory->index_step_bytes, memory->huge, prepaid)) {
        index->left_bytes = larder__left_for_segments(memory);
        return index;
    }
    free(index);
    return NULL;
}

/* Its memory goes, its addresses stay readable. What it was charged pays for the index of the next
 * flush first. */
static void index_empty_locked(struct memory *memory, struct index *index)
{
    if (larder__index_bytes(index) == 0)
        return;
    bool prepaid = memory->guarded.prepaid;
    memory->guarded.prepaid = true;
    larder__index_empty(index, prepaid ? 0 : larder__index_least_bytes(memory->first_level));
}

static void index_free_locked(struct memory *memory, struct index *index)
{
    index_empty_locked(memory, index);
    larder__index_close(index);
    free(index);
}

/* Readers look at an index within sections, which are short: when they have left, its memory goes.
 * Writers look at one within calls, before they have the lock under which they learn that it is no
 * more, and find nothing in it: its addresses wait for them. */
void larder__indexes_reclaim_locked(struct memory *memory, bool all)
{
    struct index **link = &memory->guarded.retired;
    if (*link == NULL)
        return;
    larder_epoch_order(&memory->epoch, (*link)->retired_epoch); /* the latest comes first */
    uint32_t readers = larder_epoch_oldest(&memory->epoch);
    uint32_t writers = larder_calls_oldest(&memory->epoch);
    while (*link != NULL) {
        struct index *index = *link;
        bool unread = all || larder_epoch_passed(index->retired_epoch, readers);
        if (unread)
            index_empty_locked(memory, index);
        if (!unread || (!all && !larder_epoch_passed(index->retired_epoch, writers))) {
            link = &index->next;
            continue;
        }
        *link = index->next;
        index_free_locked(memory, index);
    }
}

void larder__stripes_lock(struct memory *memory)
{
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        larder__brief_lock(&memory->stripes[i].lock);
}

void larder__stripes_unlock(struct memory *memory)
{
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        larder__brief_unlock(&memory->stripes[i].lock);
}

void larder__stripes_adopt(struct memory *memory)
{
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        larder__brief_adopt(&memory->stripes[i].lock);
}

/* Puts an empty index, or none, in the place of the one that is there: nothing is found any more.
 * With all stripes locked. */
void larder__drop_all_locked(struct memory *memory, struct index *fresh)
{
    struct index *old = larder__index(memory);
    /* release: pairs with the acquire of larder__index_to_find() */
    atomic_store_explicit(&memory->index, fresh != NULL ? fresh : &larder__index_of_nothing,
                          memory_order_release);
    for (uint32_t i = 0; i <= memory->stripe_mask; i++) {
        atomic_store_explicit(&memory->stripes[i].items, 0, memory_order_relaxed);
        atomic_store_explicit(&memory->stripes[i].live_bytes, 0, memory_order_relaxed);
    }
    for (uint32_t i = 0; i <= memory->lane_mask; i++)
        larder__lane_seal_all(&memory->lanes[i], &memory->arena);
    for (int i = 0; i < QUEUES; i++)
        atomic_store_explicit(&memory->arena.heavy_bytes[i], 0, memory_order_relaxed);
    larder__segments_retire_all(&memory->arena);
    /* who gives up recycled places may have seen a segment as it was before */
    larder__lanes_await(memory->lanes, memory->lane_mask + 1);
    larder__large_retire_all(memory->large);
    if (old != NULL) {
        old->retired_epoch = larder_epoch_advance(&memory->epoch);
        old->next = memory->guarded.retired;
        memory->guarded.retired = old;
    }
}

/* The one that is paid for already; where a reader keeps an older one, whose charge comes back with
 * it, another. */
static struct index *prepaid_index(struct memory *memory)
{
    struct index *fresh = NULL;
    pthread_mutex_lock(&memory->growth);
    larder__indexes_reclaim_locked(memory, false);
    if (memory->guarded.prepaid)
        fresh = larder__index_new(memory, true);
    if (fresh != NULL)
        memory->guarded.prepaid = false;
    pthread_mutex_unlock(&memory->growth);
    return fresh;
}

static struct index *fresh_index(struct memory *memory, struct larder_thread *thread)
{
    struct index *fresh = prepaid_index(memory);
    if (fresh == NULL &&
        larder__make_room_for(memory, thread, larder__now_ms(memory), memory->index_step_bytes))
        fresh = larder__index_new(memory, false);
    return fresh;
}

static enum larder_status flush_all(struct memory *memory, struct larder_thread *thread)
{
    struct index *fresh = fresh_index(memory, thread);
    if (fresh == NULL)
        return larder__index(memory) != NULL ? LARDER_NO_MEMORY : LARDER_CLOSED;
    pthread_mutex_lock(&memory->growth);
    larder__stripes_lock(memory);
    bool closed = memory->stripes[0].guarded.closed;
    if (!closed)
        larder__drop_all_locked(memory, fresh);
    larder__stripes_unlock(memory);
    if (closed)
        index_free_locked(memory, fresh);
    larder__indexes_reclaim_locked(memory, false);
    pthread_mutex_unlock(&memory->growth);
    if (!closed) /* in no queue, so it was not retired with the others */
        larder__sweep_finish(memory, thread, larder__now_ms(memory));
    (void)larder__give_back(memory, UINT32_MAX);
    return closed ? LARDER_CLOSED : LARDER_OK;
}

enum larder_status larder__memory_flush(const struct larder_scope *scope)
{
    struct memory *memory = scope->self;
    struct call call;
    enum larder_status status = larder__call_begin(memory, &call);
    if (status != LARDER_OK)
        return status;
    if (scope->space == NULL)
        status = flush_all(memory, call.thread);
    else if (!larder__space_flush(&memory->spaces, scope->space->name))
        status = LARDER_NO_MEMORY;
    else /* relaxed: what it tells is where to look for room */
        atomic_fetch_add_explicit(&memory->arena.flushes, 1, memory_order_relaxed);
    larder__call_end(&call);
    return status;
}

static uint64_t index_bytes_locked(const struct index *index)
{
    return index->region.committed_bytes + index->guarded.overflow.committed_bytes;
}

uint64_t larder__recount_locked(const struct memory *memory)
{
    const struct arena *arena = &memory->arena;
    uint64_t segments = arena->guarded.fresh - arena->guarded.vacant.count;
    uint64_t bytes = memory->fixed_bytes + arena->header_bytes + (segments << arena->shift) +
                     index_bytes_locked(larder__index(memory)) + memory->policy.charged_bytes +
                     memory->large->guarded.bytes + memory->spaces.guarded.charged_bytes;
    for (const struct index *old = memory->guarded.retired; old != NULL; old = old->next)
        bytes += index_bytes_locked(old);
    if (!memory->guarded.prepaid) /* a part of fixed_bytes, and of an index */
        bytes -= larder__index_least_bytes(memory->first_level);
    return bytes;
}

/* ---- statistics ---------------------------------------------------------------------------- */

static uint64_t total_of(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static uint64_t expired_by_writers(struct memory *memory)
{
    uint64_t expired = 0;
    for (uint32_t i = 0; i <= memory->stripe_mask; i++) {
        larder__brief_lock(&memory->stripes[i].lock);
        expired += memory->stripes[i].guarded.expired;
        larder__brief_unlock(&memory->stripes[i].lock);
    }
    return expired;
}

static void add_ends(struct memory *memory, struct larder_stats_out *out)
{
    const struct ends_total *ends = &memory->ends;
    uint64_t small = total_of(&ends->evicted[QUEUE_SMALL]);
    uint64_t main = total_of(&ends->evicted[QUEUE_MAIN]);
    larder_stat_add(out, "evictions", small + main);
    larder_stat_add(out, "evictions_new", small);
    larder_stat_add(out, "evictions_main", main);
    larder_stat_add(out, "expirations", total_of(&ends->expired) + expired_by_writers(memory));
    larder_stat_add(out, "moves", total_of(&ends->moved));
}

static void add_arena(struct memory *memory, struct larder_stats_out *out)
{
    struct arena *arena = &memory->arena;
    larder__brief_lock(&arena->lock);
    uint64_t committed = arena->guarded.fresh - arena->guarded.vacant.count;
    uint64_t free_count = arena->guarded.free.count, retired = arena->guarded.retired.count;
    larder__brief_unlock(&arena->lock);
    larder_stat_add(out, "segment_bytes", larder__segment_bytes(arena));
    larder_stat_add(out, "segments", committed);
    larder_stat_add(out, "segments_free", free_count);
    larder_stat_add(out, "segments_retired", retired);
}

static void add_index(struct memory *memory, struct larder_stats_out *out)
{
    pthread_mutex_lock(&memory->growth);
    struct index *index = larder__index(memory);
    uint64_t bytes = index != NULL ? larder__index_bytes(index) : 0;
    uint64_t ghost_bytes = larder__policy_bytes(&memory->policy);
    pthread_mutex_unlock(&memory->growth);
    larder_stat_add(out, "index_bytes", bytes);
    larder_stat_add(out, "ghost_bytes", ghost_bytes);
}

void larder__memory_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct memory *memory = scope->self;
    struct call call;
    if (larder__call_begin(memory, &call) != LARDER_OK)
        return;
    larder_stat_add(out, "items", larder__memory_items(memory));
    larder_stat_add(out, "bytes", larder__budget_used(memory->budget));
    larder_stat_add(out, "max_bytes", larder__budget_max(memory->budget));
    add_ends(memory, out);
    larder_stat_add(out, "large_bytes", larder__large_bytes(memory->large));
    add_arena(memory, out);
    add_index(memory, out);
    larder__call_end(&call);
}

/* ---- purge --------------------------------------------------------------------------------- */

#define PURGED_PER_STEP 256u
#define GIVEN_BACK_PER_STEP 8u /* segments */

enum larder_status larder__memory_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                        uint64_t *next_due_ms)
{
    struct memory *memory = scope->self;
    struct call call;
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    uint64_t now_ms = larder__now_ms(memory);
    enum larder_status status = larder__call_begin(memory, &call);
    if (status == LARDER_CLOSED && next_due_ms != NULL)
        *next_due_ms = UINT64_MAX;
    if (status != LARDER_OK) /* one that a reload has retired has nothing to do, and that is well */
        return status == LARDER_CLOSED ? LARDER_OK : status;
    bool more = true;
    do {
        more = larder__sweep(memory, call.thread, now_ms, PURGED_PER_STEP);
        more |= larder__give_back(memory, GIVEN_BACK_PER_STEP);
        more |= larder__shrink(memory, call.thread, now_ms);
    } while (more && larder_deadline_left_ms(deadline_ns) > 0);
    uint64_t due_ms = larder__sweep_due_ms(memory);
    larder__call_end(&call);
    if (next_due_ms != NULL)
        *next_due_ms = due_ms >= DUE_NOT_YET ? UINT64_MAX : due_ms > now_ms ? due_ms - now_ms : 0;
    return LARDER_OK;
}
