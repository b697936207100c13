/*
 * Making room: SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI 2024), one hand per shard,
 * the shards taking turns. A hit sets a bit and moves nothing; the hand goes from the oldest entry
 * to the newest, spares what was used since it last came by, and evicts the first that was not. The
 * entries of a scan are evicted at the hand's first pass, what is in use outlives them; on web
 * traces it misses less than LRU, and it needs no list beside the one that uthash keeps.
 *
 * All of it is bounded: the hand looks at a limited number of entries for one victim, and gives up
 * after a limited number of fruitless looks.
 */
#include "shard.h"

#define LOOKS_MAX 64u     /* for one victim */
#define VICTIMS_MAX 16u   /* under one holding of a lock */
#define FRUITLESS_MAX 16u /* visits in a row, beside one to every shard */

/* Evicting an entry that a view pins, or that is about to be replaced, gives no memory back. */
static bool is_of_use(const struct entry *entry, const struct entry *spared)
{
    return entry != spared && !larder__entry_is_pinned(entry);
}

static struct entry *advance_hand(struct table *table)
{
    struct entry *entry = table->hand != NULL ? table->hand : table->oldest;
    if (entry != NULL)
        table->hand = larder__table_next(entry);
    return entry;
}

/* The first that ended or that nobody read; else, where evicting is on, the first that could go. */
static struct entry *find_victim(struct shard *shard, bool evicts, const struct entry *spared)
{
    struct entry *second_best = NULL;
    for (uint32_t i = 0; i < LOOKS_MAX; i++) {
        struct entry *entry = advance_hand(&shard->guarded.table);
        if (entry == NULL)
            break;
        if (!is_of_use(entry, spared))
            continue;
        if (larder__entry_end_ns(entry) <= shard->guarded.now_ns || (evicts && !entry->visited))
            return entry;
        entry->visited = false;
        if (second_best == NULL)
            second_best = entry;
    }
    return evicts ? second_best : NULL;
}

static void evict(struct shard *shard, struct entry *victim)
{
    if (larder__entry_end_ns(victim) <= shard->guarded.now_ns)
        shard->guarded.expirations++;
    else
        shard->guarded.evictions++;
    larder__shard_unlink(shard, victim);
}

/* @return whether anything was freed */
static bool evict_some(struct visit *visit, struct shard *shard)
{
    if (!larder__shard_lock(shard, visit->now_ns))
        return false;
    bool freed = larder__shard_sweep(shard, VICTIMS_MAX) > 0;
    for (uint32_t i = 0; i < VICTIMS_MAX; i++) {
        if (larder__allowance_reserve_lacking(&visit->allowance))
            break;
        struct entry *victim = find_victim(shard, visit->memory->evicts, visit->entry);
        if (victim == NULL)
            break;
        evict(shard, victim);
        freed = true;
    }
    larder__shard_unlock(shard);
    return freed;
}

bool larder__make_room(struct visit *visit)
{
    struct memory *memory = visit->memory;
    uint32_t fruitless = 0;
    while (!larder__allowance_reserve_lacking(&visit->allowance)) {
        uint32_t turn = atomic_fetch_add_explicit(&memory->eviction_shard, 1, memory_order_relaxed);
        struct shard *shard = &memory->shards[turn & (memory->shard_count - 1)];
        fruitless = evict_some(visit, shard) ? 0 : fruitless + 1;
        if (fruitless > memory->shard_count + FRUITLESS_MAX)
            return false;
    }
    return true;
}
