/*
 * Shards and visits. The clock is the caller's and is read before the lock is taken; a shard's own
 * time is the latest reading that any visit brought, so that under the lock time never goes back.
 */
#include "shard.h"

#include <stdlib.h>

uint64_t larder__memory_now_ns(const struct memory *memory)
{
    return memory->clock.now_ns(memory->clock.context);
}

bool larder__shard_lock(struct shard *shard, uint64_t now_ns)
{
    pthread_mutex_lock(&shard->lock);
    if (shard->guarded.closed) {
        pthread_mutex_unlock(&shard->lock);
        return false;
    }
    if (shard->guarded.now_ns < now_ns)
        shard->guarded.now_ns = now_ns;
    return true;
}

void larder__shard_unlock(struct shard *shard)
{
    atomic_store_explicit(&shard->due_ns, larder__wheel_due_ns(&shard->guarded.wheel),
                          memory_order_relaxed);
    pthread_mutex_unlock(&shard->lock);
}

void larder__shard_unlink(struct shard *shard, struct entry *entry)
{
    larder__wheel_unlink(&shard->guarded.wheel, entry);
    larder__table_remove(&shard->guarded.table, entry);
    larder__entry_release(entry);
}

/* ---- one key ------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct memory *memory, const struct key *key)
{
#ifdef LARDER_CONSTANT_HASH /* for tests: every key collides with every other */
    (void)memory, (void)key;
    return 0;
#else
    uint64_t chain = 0;
    if (key->space.length > 0)
        chain = larder_hash(&memory->hash_key, 0, key->space.data, key->space.length);
    return larder_hash(&memory->hash_key, chain, key->name.data, key->name.length);
#endif
}

/* The low half of a hash places the entry in its table, so the high bits choose the shard. */
static struct shard *shard_of(struct memory *memory, uint64_t hash)
{
    return &memory->shards[hash >> 32 & (memory->shard_count - 1)];
}

bool larder__entry_is_live(const struct entry *entry, uint64_t now_ns)
{
    return now_ns < entry->expiry_ns;
}

bool larder__lease_is_valid(const struct entry *entry, uint64_t token, uint64_t now_ns)
{
    return token != 0 && entry->lease_token == token && now_ns < entry->lease_end_ns;
}

static void visit_look(struct visit *visit)
{
    struct shard *shard = visit->shard;
    visit->now_ns = shard->guarded.now_ns;
    visit->presence = MISSING;
    visit->entry = larder__table_find(&shard->guarded.table, &visit->key);
    if (visit->entry == NULL)
        return;
    if (larder__entry_is_live(visit->entry, visit->now_ns)) {
        visit->presence = visit->entry->absent ? NEGATIVE : PRESENT;
        visit->entry->visited = true;
    } else if (!larder__lease_is_valid(visit->entry, visit->entry->lease_token, visit->now_ns)) {
        shard->guarded.expirations++;
        larder__visit_remove(visit);
    }
}

enum larder_status larder__visit_begin(struct visit *visit, const struct larder_scope *scope,
                                       struct larder_slice name)
{
    struct memory *memory = scope->self;
    visit->memory = memory;
    visit->key.space = scope->space != NULL ? scope->space->name : larder_bytes(NULL, 0);
    visit->key.name = name;
    visit->key.hash = hash_of(memory, &visit->key);
    visit->shard = shard_of(memory, visit->key.hash);
    visit->allowance = (struct allowance){memory->ledger, 0, 0};
    if (!larder__shard_lock(visit->shard, larder__memory_now_ns(memory)))
        return LARDER_CLOSED;
    visit_look(visit);
    return LARDER_OK;
}

void larder__visit_end(struct visit *visit, uint32_t swept)
{
    larder__allowance_end(&visit->allowance);
    larder__shard_sweep(visit->shard, swept);
    larder__shard_unlock(visit->shard);
    larder__patrol(visit->memory, visit->now_ns);
}

/* ---- storing ------------------------------------------------------------------------------- */

/* What was reserved for the last attempt is kept for the next, so an attempt after the first fails
 * only when others changed the entry or the index meanwhile. */
#define ATTEMPTS_MAX 8

enum larder_status larder__visit_storing(const struct larder_scope *scope, struct larder_slice name,
                                         larder_attempt_fn *attempt, void *arguments)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, name);
    if (status != LARDER_OK)
        return status;
    status = attempt(&visit, arguments);
    for (int i = 1; i < ATTEMPTS_MAX && visit.allowance.lacking > 0; i++) {
        larder__shard_unlock(visit.shard);
        bool room = larder__make_room(&visit);
        if (!larder__shard_lock(visit.shard, visit.now_ns)) {
            larder__allowance_end(&visit.allowance);
            return LARDER_CLOSED;
        }
        if (!room)
            break;
        visit_look(&visit);
        status = attempt(&visit, arguments);
    }
    larder__visit_end(&visit, SWEPT_BY_WRITES);
    return status;
}

/* Where there is no room beside the entry that is replaced, takes that one's: nobody else is
 * evicted for it. Should the heap or the index then refuse the new one, the old one is gone
 * all the same, uncounted.
 * @return false when that does not go, or does not suffice */
static bool take_room_of_old(struct visit *visit, const struct draft *draft)
{
    struct entry *old = visit->entry;
    struct allowance *allowance = &visit->allowance;
    if (old == NULL || allowance->lacking == 0 || draft->appends || larder__entry_is_pinned(old))
        return false;
    if (!larder__ledger_exchange(allowance->ledger, larder__heap_bytes(old), allowance->lacking))
        return false;
    allowance->held += allowance->lacking;
    allowance->lacking = 0;
    larder__wheel_unlink(&visit->shard->guarded.wheel, old);
    larder__table_remove(&visit->shard->guarded.table, old);
    free(old); /* its bytes are counted out already */
    visit->entry = NULL;
    return true;
}

static void put_in_place(struct visit *visit, struct entry *entry)
{
    struct shard *shard = visit->shard;
    struct entry *old = visit->entry;
    entry->version = ++shard->guarded.version;
    entry->sequence = old != NULL ? old->sequence : ++shard->guarded.sequence;
    entry->visited = old != NULL && old->visited;
    larder__wheel_link(&shard->guarded.wheel, entry);
    if (old != NULL)
        larder__shard_unlink(shard, old);
    visit->entry = entry;
}

enum larder_status larder__visit_put(struct visit *visit, const struct draft *draft)
{
    struct allowance *allowance = &visit->allowance;
    uint64_t length = (uint64_t)draft->head.length + draft->tail.length;
    if (length > visit->memory->traits.value_max ||
        larder__entry_bound(&visit->key, draft) > visit->memory->capacity_bytes)
        return LARDER_TOO_LARGE;
    struct entry *entry = larder__entry_new(allowance, &visit->key, draft);
    if (entry == NULL && take_room_of_old(visit, draft))
        entry = larder__entry_new(allowance, &visit->key, draft);
    if (entry == NULL)
        return LARDER_NO_MEMORY;
    if (!larder__table_add(&visit->shard->guarded.table, allowance, &visit->key, entry)) {
        larder__allowance_free(allowance, entry);
        return LARDER_NO_MEMORY;
    }
    put_in_place(visit, entry);
    return LARDER_OK;
}

/* ---- small changes ------------------------------------------------------------------------- */

uint64_t larder__expiry_after(uint64_t now_ns, int64_t ttl_ms)
{
    return ttl_ms == LARDER_TTL_FOREVER ? LARDER_NEVER_NS
                                        : larder_deadline_after(now_ns, (uint64_t)ttl_ms);
}

void larder__visit_touch(struct visit *visit, int64_t ttl_ms)
{
    struct wheel *wheel = &visit->shard->guarded.wheel;
    larder__wheel_unlink(wheel, visit->entry);
    visit->entry->expiry_ns = larder__expiry_after(visit->now_ns, ttl_ms);
    larder__wheel_link(wheel, visit->entry);
}

void larder__visit_remove(struct visit *visit)
{
    larder__shard_unlink(visit->shard, visit->entry);
    visit->entry = NULL;
}

/* As unique as versions are, and not to be guessed without having seen one. */
uint64_t larder__visit_token(struct visit *visit)
{
    uint64_t token;
    do
        token = ++visit->shard->guarded.version ^ visit->memory->token_mask;
    while (token == 0);
    return token;
}
