/*
 * Housekeeping without a thread: every call that is on a shard anyway takes a small step of its
 * sweep, and now and then one step for a shard that is due and that nobody visits. A sweep that is
 * late takes longer steps, so that few calls suffice.
 */
#include "shard.h"

#define LATE_NS UINT64_C(500000000) /* half of the second that the documentation allows */
#define LATE_FACTOR 16u
#define MOVES_MAX 1024u /* past empty buckets; a move is a few ns */
#define PATROL_INTERVAL_NS UINT64_C(100000000)

static uint32_t step_size(struct shard *shard, uint32_t entries)
{
    uint64_t due_ns = larder__wheel_due_ns(&shard->guarded.wheel);
    if (due_ns > shard->guarded.now_ns)
        return 0;
    return shard->guarded.now_ns - due_ns > LATE_NS ? entries * LATE_FACTOR : entries;
}

static void expire(struct shard *shard, struct entry *entry)
{
    larder__shard_unlink(shard, entry);
    shard->guarded.expirations++;
}

uint32_t larder__shard_sweep(struct shard *shard, uint32_t entries)
{
    struct entry *due = NULL;
    uint32_t freed = 0, moves = 0;
    uint32_t left = step_size(shard, entries);
    while (left > 0 && moves < MOVES_MAX) {
        switch (larder__wheel_turn(&shard->guarded.wheel, shard->guarded.now_ns, &due)) {
        case WHEEL_IDLE:
            return freed;
        case WHEEL_MOVED:
            moves++;
            break;
        case WHEEL_CASCADED:
            left--;
            break;
        case WHEEL_DUE:
            expire(shard, due);
            freed++;
            left--;
            break;
        }
    }
    return freed;
}

static bool is_due(const struct shard *shard, uint64_t now_ns)
{
    return atomic_load_explicit(&shard->due_ns, memory_order_relaxed) <= now_ns;
}

/* A lock that is taken needs no help: its holder sweeps. */
static bool try_sweep(struct shard *shard, uint64_t now_ns)
{
    if (pthread_mutex_trylock(&shard->lock) != 0)
        return false;
    if (shard->guarded.now_ns < now_ns)
        shard->guarded.now_ns = now_ns;
    if (!shard->guarded.closed)
        larder__shard_sweep(shard, SWEPT_BY_WRITES);
    larder__shard_unlock(shard);
    return true;
}

void larder__patrol(struct memory *memory, uint64_t now_ns)
{
    if (now_ns < atomic_load_explicit(&memory->patrol_ns, memory_order_relaxed))
        return;
    uint32_t begin = atomic_fetch_add_explicit(&memory->patrol_shard, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[(begin + i) & (memory->shard_count - 1)];
        if (is_due(shard, now_ns) && try_sweep(shard, now_ns))
            return;
    }
    atomic_store_explicit(&memory->patrol_ns, now_ns + PATROL_INTERVAL_NS, memory_order_relaxed);
}
