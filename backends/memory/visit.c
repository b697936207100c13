/* Visits: begin, put, touch, remove, end. */
#include "visit.h"

uint64_t larder__expiry_after(const struct memory *memory, uint64_t now_ms, int64_t ttl_ms)
{
    if (ttl_ms == LARDER_TTL_FOREVER)
        return UINT64_MAX;
    uint64_t from_ms = now_ms + memory->slack_ms;
    /* past the end of time is for ever */
    return (uint64_t)ttl_ms > UINT64_MAX / 2 - from_ms ? UINT64_MAX : from_ms + (uint64_t)ttl_ms;
}

bool larder__lease_is_valid(const struct item *item, uint64_t token, uint64_t now_ms)
{
    struct item_lease lease = larder__item_lease(item);
    return lease.token != 0 && (token == 0 || lease.token == token) && now_ms < lease.end_ms;
}

struct larder_slice larder__item_value(const struct item *item)
{
    const struct large *large = larder__item_block(item).large;
    if (large != NULL)
        return larder_bytes(larder__large_value(large), large->value_length);
    return larder_bytes(larder__item_key(item) + item->key_length, item->value_length);
}

static int64_t ttl_left_ms(const struct memory *memory, const struct item *item, uint64_t now_ms)
{
    uint64_t expiry_ms = larder__item_expiry_ms(item);
    if (expiry_ms == UINT64_MAX)
        return LARDER_TTL_FOREVER;
    /* What was added because the clock is coarse is not told; what is there has something left. */
    uint64_t until_ms = now_ms + memory->slack_ms;
    return expiry_ms > until_ms ? (int64_t)(expiry_ms - until_ms) : 1;
}

void larder__item_info(const struct memory *memory, const struct item *item, uint64_t now_ms,
                       struct larder_info *info)
{
    if (info == NULL)
        return;
    info->flags = larder__part_u32(item, ITEM_FLAGS);
    info->length = larder__item_value(item).length;
    info->version = item->version;
    if ((info->want & LARDER_WANT_TTL) != 0)
        info->ttl_ms = ttl_left_ms(memory, item, now_ms);
}

/* ---- begin and end ------------------------------------------------------------------------- */

void larder__item_dies(struct memory *memory, struct item *item)
{
    struct segment *segment = larder__segment_of(&memory->arena, item);
    larder__segment_lost(&memory->arena, segment, (uint32_t)larder__item_size(item));
    struct large *large = larder__item_block(item).large;
    if (large != NULL)
        atomic_fetch_sub_explicit(&memory->arena.heavy_bytes[segment->queue], large->charged_bytes,
                                  memory_order_relaxed);
}

static void forget(struct visit *visit)
{
    struct large *large = larder__item_block(visit->item).large;
    larder__slot_clear(visit->slot);
    larder__item_dies(visit->memory, visit->item);
    if (large != NULL)
        larder__large_retire(large);
    larder__stripe_count(visit->stripe, -1);
    visit->item = NULL;
    visit->presence = MISSING;
}

void larder__visit_remove(struct visit *visit)
{
    if (visit->item != NULL)
        forget(visit);
}

static void look(struct visit *visit)
{
    visit->index = larder__index(visit->memory);
    visit->presence = MISSING;
    visit->item =
        larder__slot_find(visit->index, &visit->memory->arena, &visit->key, &visit->slot);
    if (visit->item == NULL)
        return;
    if (visit->now_ms < larder__item_expiry_ms(visit->item)) {
        visit->presence = (visit->item->marks & ITEM_ABSENT) != 0 ? NEGATIVE : PRESENT;
    } else if (!larder__lease_is_valid(visit->item, 0, visit->now_ms)) {
        visit->stripe->guarded.expirations++;
        forget(visit);
    }
}

/* @return false, and nothing is locked, when the cache is closed */
static bool lock_and_look(struct visit *visit)
{
    pthread_mutex_lock(&visit->stripe->lock);
    if (visit->stripe->guarded.closed) {
        pthread_mutex_unlock(&visit->stripe->lock);
        return false;
    }
    visit->now_ms = larder__now_ms(visit->memory);
    look(visit);
    return true;
}

enum larder_status larder__visit_begin(struct visit *visit, const struct larder_scope *scope,
                                       struct larder_slice name)
{
    struct memory *memory = scope->self;
    memset(visit, 0, sizeof(*visit));
    visit->memory = memory;
    visit->thread = larder_thread();
    if (visit->thread == NULL)
        return LARDER_NO_MEMORY;
    visit->outer_call = larder_call_begin(&memory->epoch, visit->thread);
    visit->key.bytes = name.data;
    visit->key.length = name.length;
    if (scope->space != NULL) {
        visit->key.space = larder__space_enter(&memory->spaces, scope->space->name);
        if (visit->key.space == SPACE_UNKNOWN) {
            larder_call_end(visit->thread, visit->outer_call);
            return LARDER_NO_MEMORY;
        }
    }
    visit->key.hash =
        larder__hash(&memory->hash_key, name.data, name.length, visit->key.space);
    visit->stripe = larder__stripe_of(memory, visit->key.hash);
    if (lock_and_look(visit))
        return LARDER_OK;
    larder_call_end(visit->thread, visit->outer_call);
    return LARDER_CLOSED;
}

/* Work that nobody waits for: what the operation took is given back, the index grows if it is
 * full. */
static void visit_unlocked(struct visit *visit)
{
    if (visit->reserved_bytes > 0)
        larder__budget_give(visit->memory->budget, visit->reserved_bytes);
    visit->reserved_bytes = 0;
    if (!larder__index_adapt(visit->memory, visit->stripe))
        (void)larder__make_room_for_index(visit->memory, visit->thread, visit->now_ms);
    larder__housekeeping(visit->memory, visit->thread, visit->now_ms);
    larder_call_end(visit->thread, visit->outer_call);
}

void larder__visit_end(struct visit *visit)
{
    pthread_mutex_unlock(&visit->stripe->lock);
    visit_unlocked(visit);
}

/* ---- storing ------------------------------------------------------------------------------- */

/* What was reserved for the last attempt is kept for the next, so an attempt after the first fails
 * only when others took the segment, or changed the entry, meanwhile. */
#define ATTEMPTS_MAX 32

static bool lacks(const struct visit *visit)
{
    return visit->lacks_segment || visit->lacks_index || visit->lacking_bytes > 0;
}

enum larder_status larder__visit_storing(const struct larder_scope *scope, struct larder_slice name,
                                         larder_attempt_fn *attempt, void *arguments)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, name);
    if (status != LARDER_OK)
        return status;
    status = attempt(&visit, arguments);
    for (int i = 1; i < ATTEMPTS_MAX && status == LARDER_NO_MEMORY && lacks(&visit); i++) {
        pthread_mutex_unlock(&visit.stripe->lock);
        bool room = larder__make_room(&visit);
        visit.lacks_segment = visit.lacks_index = false;
        visit.lacking_bytes = 0;
        if (!room || !lock_and_look(&visit)) {
            visit_unlocked(&visit);
            return room ? LARDER_CLOSED : LARDER_NO_MEMORY;
        }
        status = attempt(&visit, arguments);
    }
    larder__visit_end(&visit);
    return status;
}

struct item *larder__append_locked(struct memory *memory, struct lane *lane, enum queue queue,
                                   const struct draft *draft, const struct key *key,
                                   uint64_t now_ms, uint32_t reserve)
{
    uint64_t end_ms = draft->expiry_ms;
    if (draft->lease.token != 0 && draft->lease.end_ms > end_ms)
        end_ms = draft->lease.end_ms;
    struct append append = {.queue = queue,
                            .now_ms = now_ms,
                            .end_ms = end_ms,
                            .interval_ms = memory->interval_ms,
                            .bytes = larder__draft_size(draft, key),
                            .weight = draft->large != NULL ? draft->large->charged_bytes : 0,
                            .reserve = reserve};
    pthread_mutex_lock(&lane->lock);
    struct item *item = larder__lane_append(lane, &memory->arena, &append);
    if (item == NULL) {
        pthread_mutex_unlock(&lane->lock);
        return NULL;
    }
    larder__draft_write(draft, key, item);
    struct segment *segment = larder__segment_of(&memory->arena, item);
    atomic_fetch_add_explicit(&segment->live_bytes, (uint32_t)append.bytes, memory_order_relaxed);
    if (append.weight > 0)
        atomic_fetch_add_explicit(&memory->arena.heavy_bytes[queue], append.weight,
                                  memory_order_relaxed);
    return item;
}

/* Moves a long value, or a long key, into a block of its own. A draft that has one keeps it. */
static enum larder_status make_large(struct visit *visit, struct draft *draft)
{
    struct memory *memory = visit->memory;
    size_t length = draft->head_length + draft->tail_length;
    if (draft->large != NULL ||
        (length <= VALUE_INLINE_MAX &&
         larder__draft_size(draft, &visit->key) <= memory->inline_bytes))
        return LARDER_OK;
    uint64_t bytes = larder__large_bound(memory->large, visit->key.length, length);
    if (bytes > visit->reserved_bytes) {
        if (!larder__budget_take(memory->budget, bytes - visit->reserved_bytes)) {
            visit->lacking_bytes = bytes - visit->reserved_bytes;
            return LARDER_NO_MEMORY;
        }
        visit->reserved_bytes = bytes;
    }
    draft->large = larder__large_new(memory->large, &visit->key, draft);
    if (draft->large == NULL)
        return LARDER_NO_MEMORY;
    visit->reserved_bytes -= bytes;
    return LARDER_OK;
}

/* An entry that is stored again stays in its queue, with its past. */
static enum queue queue_for(const struct visit *visit, struct draft *draft)
{
    if (visit->item != NULL) {
        draft->frequency = atomic_load_explicit(&visit->item->frequency, memory_order_relaxed);
        draft->history = visit->item->history;
        return larder__segment_of(&visit->memory->arena, visit->item)->queue;
    }
    double bytes = (double)larder__draft_size(draft, &visit->key);
    bytes += draft->large != NULL ? (double)draft->large->charged_bytes : 0;
    return larder__policy_admit(&visit->memory->policy, visit->key.hash,
                                bytes / (double)larder__budget_max(visit->memory->budget),
                                &draft->history);
}

static uint32_t next_version(struct stripe *stripe)
{
    if (++stripe->guarded.version == 0)
        ++stripe->guarded.version;
    return stripe->guarded.version;
}

/* Lets the new item be found, and the old one no more. @return false: no memory in the index */
static bool make_found(struct visit *visit, struct item *item)
{
    struct memory *memory = visit->memory;
    uint32_t location = larder__location_of(&memory->arena, item);
    if (visit->item != NULL) {
        larder__slot_replace(visit->slot, location);
        larder__item_dies(memory, visit->item);
    } else {
        if (!larder__slot_free(visit->index, visit->key.hash, &visit->slot))
            return false;
        larder__slot_fill(visit->slot, visit->key.hash, location);
        larder__stripe_count(visit->stripe, 1);
    }
    return true;
}

static enum larder_status put_item(struct visit *visit, struct draft *draft)
{
    struct memory *memory = visit->memory;
    struct lane *lane = larder__lane_of(memory, visit->thread);
    struct large *old_large =
        visit->item != NULL ? larder__item_block(visit->item).large : NULL;
    struct item *item = larder__append_locked(memory, lane, queue_for(visit, draft), draft, &visit->key,
                                              visit->now_ms,
                                              visit->item != NULL ? RESERVE_FOR_OVERWRITE
                                                                  : RESERVE_FOR_NEW);
    if (item == NULL) {
        visit->lacks_segment = true;
        return LARDER_NO_MEMORY;
    }
    bool found = make_found(visit, item);
    if (!found)
        larder__item_dies(memory, item);
    pthread_mutex_unlock(&lane->lock);
    if (!found) {
        visit->lacks_index = true;
        return LARDER_NO_MEMORY;
    }
    if (old_large != NULL && old_large != draft->large)
        larder__large_retire(old_large);
    visit->item = item;
    return LARDER_OK;
}

enum larder_status larder__visit_put(struct visit *visit, struct draft *draft)
{
    struct memory *memory = visit->memory;
    struct large *shared = draft->large;
    uint64_t length = (uint64_t)draft->head_length + draft->tail_length;
    if (length > memory->traits.value_max ||
        larder__large_bound(memory->large, visit->key.length, (size_t)length) >
            memory->capacity_bytes)
        return LARDER_TOO_LARGE;
    enum larder_status status = make_large(visit, draft);
    if (status != LARDER_OK)
        return status;
    if (draft->version == 0)
        draft->version = next_version(visit->stripe);
    status = put_item(visit, draft);
    if (status != LARDER_OK && draft->large != shared)
        larder__large_retire(draft->large); /* nobody saw it, but it goes the same way */
    return status;
}

/* ---- small changes ------------------------------------------------------------------------- */

/* In place when it ends later, in the same form: its segment is then looked at too early, which is
 * what that look is for. Else as another item. */
enum larder_status larder__visit_touch(struct visit *visit, int64_t ttl_ms)
{
    struct item *item = visit->item;
    uint64_t expiry_ms = larder__expiry_after(visit->memory, visit->now_ms, ttl_ms);
    uint64_t old_ms = larder__item_expiry_ms(item);
    if (expiry_ms == old_ms)
        return LARDER_OK;
    if (old_ms != UINT64_MAX && expiry_ms > old_ms && expiry_ms <= UINT32_MAX &&
        (item->marks & ITEM_FAR) == 0) {
        atomic_store_explicit(&item->expiry, (uint32_t)expiry_ms, memory_order_relaxed);
        return LARDER_OK;
    }
    struct draft draft;
    larder__draft_of_item(item, &draft);
    draft.lease = larder__item_lease(item);
    draft.expiry_ms = expiry_ms;
    return larder__visit_put(visit, &draft);
}

/* As unique as versions are, and not to be guessed without having seen one. */
uint64_t larder__visit_token(struct visit *visit)
{
    uint64_t token;
    do
        token = ((uint64_t)next_version(visit->stripe) << 32 | next_version(visit->stripe)) ^
                visit->memory->token_mask;
    while (token == 0);
    return token;
}
