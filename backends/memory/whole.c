/* What concerns the whole cache: flush, statistics, purge. One shard after the other. */
#include "operations.h"

#include "shard.h"

#define NS_PER_MS UINT64_C(1000000)
#define PURGED_PER_LOCK 256u

/* ---- flush --------------------------------------------------------------------------------- */

static void flush_shard(struct shard *shard, const struct larder_space *space)
{
    struct entry *next;
    for (struct entry *entry = shard->guarded.table.oldest; entry != NULL; entry = next) {
        next = larder__table_next(entry);
        if (space == NULL || larder__entry_is_in(entry, space->name))
            larder__shard_unlink(shard, entry);
    }
}

enum larder_status larder__memory_flush(const struct larder_scope *scope)
{
    struct memory *memory = scope->self;
    for (uint32_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        if (!larder__shard_lock(shard, larder__memory_now_ns(memory)))
            return LARDER_CLOSED;
        flush_shard(shard, scope->space);
        larder__shard_unlock(shard);
    }
    return LARDER_OK;
}

/* ---- statistics ---------------------------------------------------------------------------- */

void larder__memory_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct memory *memory = scope->self;
    uint64_t items = 0, evictions = 0, expirations = 0;
    for (uint32_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        if (!larder__shard_lock(shard, 0))
            continue;
        items += larder__table_count(&shard->guarded.table);
        evictions += shard->guarded.evictions;
        expirations += shard->guarded.expirations;
        larder__shard_unlock(shard);
    }
    larder_stat_add(out, "items", items);
    larder_stat_add(out, "bytes", larder__ledger_bytes(memory->ledger));
    larder_stat_add(out, "max_bytes", memory->ledger->max_bytes);
    larder_stat_add(out, "evictions", evictions);
    larder_stat_add(out, "expirations", expirations);
    larder_stat_add(out, "shards", memory->shard_count);
}

/* ---- purge --------------------------------------------------------------------------------- */

/* @return when the shard is due next */
static uint64_t purge_shard(struct shard *shard, uint64_t now_ns, uint64_t deadline_ns)
{
    uint64_t due_ns;
    do {
        if (!larder__shard_lock(shard, now_ns))
            return LARDER_NEVER_NS;
        larder__shard_sweep(shard, PURGED_PER_LOCK);
        due_ns = larder__wheel_due_ns(&shard->guarded.wheel);
        larder__shard_unlock(shard);
    } while (due_ns <= now_ns && larder_deadline_left_ms(deadline_ns) > 0);
    return due_ns;
}

static uint64_t milliseconds_until(uint64_t due_ns, uint64_t now_ns)
{
    if (due_ns == LARDER_NEVER_NS)
        return UINT64_MAX;
    if (due_ns <= now_ns)
        return 0;
    uint64_t left_ns = due_ns - now_ns;
    return left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);
}

enum larder_status larder__memory_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                        uint64_t *next_due_ms)
{
    struct memory *memory = scope->self;
    uint64_t now_ns = larder__memory_now_ns(memory);
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    uint64_t first_due_ns = LARDER_NEVER_NS;
    for (uint32_t i = 0; i < memory->shard_count; i++) {
        uint64_t due_ns = purge_shard(&memory->shards[i], now_ns, deadline_ns);
        if (due_ns < first_due_ns)
            first_due_ns = due_ns;
    }
    if (next_due_ms != NULL)
        *next_due_ms = milliseconds_until(first_due_ns, now_ns);
    return LARDER_OK;
}
