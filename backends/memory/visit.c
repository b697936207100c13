/* Visits: begin, put, touch, remove, end. */
#include "visit.h"

uint64_t larder__expiry_after(const struct memory *memory, uint64_t now_ms, int64_t ttl_ms)
{
    if (ttl_ms == LARDER_TTL_FOREVER)
        return UINT64_MAX;
    uint64_t from_ms = now_ms + memory->clock.slack_ms;
    /* past the end of time is for ever */
    return (uint64_t)ttl_ms > UINT64_MAX / 2 - from_ms ? UINT64_MAX : from_ms + (uint64_t)ttl_ms;
}

void larder__draft_expires_after(const struct visit *visit, struct draft *draft, int64_t ttl_ms)
{
    draft->expiry_ms = larder__expiry_after(visit->memory, visit->now_ms, ttl_ms);
    draft->ttl_ms = draft->expiry_ms == UINT64_MAX ? 0 : ttl_ms;
    if (visit->memory->slides)
        draft->slides_ms =
            draft->ttl_ms > UINT32_MAX || draft->absent ? 0 : (uint32_t)draft->ttl_ms;
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

struct key larder__key_of(const struct item *item, uint64_t hash)
{
    const struct large *large = larder__item_block(item).large;
    struct key key = {larder__item_key(item), item->key_length, hash,
                      larder__part_u32(item, ITEM_SPACE)};
    if (large == NULL)
        return key;
    key.bytes = large->bytes;
    key.length = large->key_length;
    key.space = large->space;
    return key;
}

/* ---- begin and end ------------------------------------------------------------------------- */

uint32_t larder__item_leaves(struct memory *memory, struct stripe *stripe, struct item *item)
{
    uint32_t bytes = (uint32_t)larder__item_size(item);
    larder__stripe_live(stripe, -(int64_t)bytes);
    stripe->guarded.died_bytes += bytes;
    if (stripe->guarded.died_bytes >= memory->told_bytes) {
        stripe->guarded.died_bytes = 0;
        atomic_fetch_add_explicit(&memory->arena.turnover, 1, memory_order_relaxed);
    }
    struct large *large = larder__item_block(item).large;
    if (large != NULL)
        atomic_fetch_sub_explicit(
            &memory->arena.heavy_bytes[larder__segment_of(&memory->arena, item)->queue],
            large->charged_bytes, memory_order_relaxed);
    return bytes;
}

void larder__item_dies(struct memory *memory, struct item *item, uint64_t hash)
{
    uint32_t bytes = larder__item_leaves(memory, larder__stripe_of(memory, hash), item);
    larder__segment_loses(larder__segment_of(&memory->arena, item), bytes);
}

static void forget(struct visit *visit)
{
    struct large *large = larder__item_block(visit->item).large;
    larder__slot_clear(visit->index, visit->key.hash, visit->slot);
    larder__item_dies(visit->memory, visit->item, visit->key.hash);
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
    visit->item = larder__slot_find(visit->index, &visit->memory->arena, &visit->key, &visit->slot);
    if (visit->item == NULL)
        return;
    if (visit->now_ms < larder__item_expiry_ms(visit->item)) {
        visit->presence = (visit->item->marks & ITEM_ABSENT) != 0 ? NEGATIVE : PRESENT;
    } else if (!larder__lease_is_valid(visit->item, 0, visit->now_ms)) {
        visit->stripe->guarded.expired++;
        forget(visit);
    }
}

/* @return false, and nothing is locked, when the cache is closed */
static bool lock_and_look(struct visit *visit)
{
    larder__brief_lock(&visit->stripe->lock);
    if (visit->stripe->guarded.closed) {
        larder__brief_unlock(&visit->stripe->lock);
        return false;
    }
    visit->now_ms = larder__now_ms(visit->memory);
    look(visit);
    return true;
}

/* So that all is on its way while the lock is taken, which waits until everything before it is
 * done: the bucket, and what seems to be there. In no section, which would be long: of threads that
 * wait for a processor many would be in one, and nothing be recycled. */
static void ask_for_all(const struct visit *visit)
{
    const struct memory *memory = visit->memory;
    const struct index *index = larder__index_to_find(memory);
    uint64_t hash = visit->key.hash;
    larder__ask_for_place(memory, index, hash);
    const struct bucket *bucket = larder__index_bucket(index, larder__index_shape(index), hash);
    (void)larder__ask_for_first(&memory->arena, bucket, larder__tag_pattern(hash));
}

/* A new name takes room like anything else. */
static uint32_t enter_space(const struct visit *visit, struct larder_slice name)
{
    struct memory *memory = visit->memory;
    uint64_t lacking_bytes;
    uint32_t number = larder__space_enter(&memory->spaces, name, &lacking_bytes);
    if (number != SPACE_UNKNOWN || lacking_bytes == 0 ||
        !larder__make_room_for(memory, visit->thread, larder__now_ms(memory), lacking_bytes))
        return number;
    return larder__space_enter(&memory->spaces, name, &lacking_bytes);
}

enum larder_status larder__visit_begin(struct visit *visit, const struct larder_scope *scope,
                                       struct larder_slice name)
{
    struct memory *memory = scope->self;
    visit->memory = memory;
    visit->thread = larder_thread();
    visit->lacks_segment = visit->lacks_index = visit->needs_lease = false;
    visit->late = visit->gives_up_old = false;
    visit->lacking_bytes = visit->reserved_bytes = visit->old_bytes = 0;
    visit->block = NULL;
    if (visit->thread == NULL)
        return LARDER_NO_MEMORY;
    visit->outer_call = larder_call_begin(&memory->epoch, visit->thread);
    if (larder__index(memory) == NULL) { /* while there is one, all else is there, too */
        larder_call_end(visit->thread, visit->outer_call);
        return LARDER_CLOSED;
    }
    visit->key.bytes = name.data;
    visit->key.length = name.length;
    visit->key.space = SPACE_NONE;
    if (scope->space != NULL) {
        visit->key.space = enter_space(visit, scope->space->name);
        if (visit->key.space == SPACE_UNKNOWN) {
            larder_call_end(visit->thread, visit->outer_call);
            return LARDER_NO_MEMORY;
        }
    }
    visit->key.hash = larder__hash(&memory->hash_key, name.data, name.length, visit->key.space);
    visit->stripe = larder__stripe_of(memory, visit->key.hash);
    ask_for_all(visit);
    if (lock_and_look(visit))
        return LARDER_OK;
    larder_call_end(visit->thread, visit->outer_call);
    return LARDER_CLOSED;
}

static void drop_block(struct visit *visit)
{
    if (visit->block != NULL)
        visit->reserved_bytes += larder__large_discard(visit->block);
    visit->block = NULL;
}

/* Work that nobody waits for: what the operation took is given back, the index follows the number
 * of entries. */
static void visit_unlocked(struct visit *visit, bool index_fits)
{
    drop_block(visit);
    if (visit->reserved_bytes > 0)
        larder__budget_give(visit->memory->budget, visit->reserved_bytes);
    visit->reserved_bytes = 0;
    if (!index_fits)
        larder__index_follow(visit->memory, visit->thread, visit->stripe, visit->now_ms);
    larder__housekeeping(visit->memory, visit->thread, visit->now_ms);
    larder_call_end(visit->thread, visit->outer_call);
}

void larder__visit_end(struct visit *visit)
{
    /* under the lock, while it is the index */
    bool index_fits = larder__index_fits(visit->memory, visit->index, visit->stripe);
    larder__brief_unlock(&visit->stripe->lock);
    visit_unlocked(visit, index_fits);
}

/* ---- storing ------------------------------------------------------------------------------- */

/* What was reserved for the last attempt is kept for the next, so an attempt after the first fails
 * only when others took the segment, or changed the entry, meanwhile. */
#define ATTEMPTS_MAX 32

static bool lacks(const struct visit *visit)
{
    return visit->lacks_segment || visit->lacks_index || visit->lacking_bytes > 0;
}

/* Again, as long as what was there ended meanwhile. Under the lock. */
static enum larder_status try_in_time(struct visit *visit, larder_attempt_fn *attempt,
                                      void *arguments, enum larder_status status)
{
    while (visit->late) {
        visit->late = false;
        visit->now_ms = larder__now_ms(visit->memory);
        look(visit);
        status = attempt(visit, arguments);
    }
    drop_block(visit);
    return status;
}

/* An attempt was late, or has failed for want of memory. */
__attribute__((noinline)) static enum larder_status try_again(struct visit *visit,
                                                              larder_attempt_fn *attempt,
                                                              void *arguments,
                                                              enum larder_status status)
{
    status = try_in_time(visit, attempt, arguments, status);
    for (int i = 1; i < ATTEMPTS_MAX && status == LARDER_NO_MEMORY && lacks(visit); i++) {
        larder__brief_unlock(&visit->stripe->lock);
        bool room = larder__make_room(visit);
        visit->lacks_segment = visit->lacks_index = false;
        visit->lacking_bytes = 0;
        bool closed = !lock_and_look(visit);
        if (closed || !room) {
            if (!closed)
                larder__brief_unlock(&visit->stripe->lock);
            visit_unlocked(visit, true);
            return closed ? LARDER_CLOSED : LARDER_NO_MEMORY;
        }
        status = try_in_time(visit, attempt, arguments, attempt(visit, arguments));
    }
    larder__visit_end(visit);
    return status;
}

enum larder_status larder__visit_storing(const struct larder_scope *scope, struct larder_slice name,
                                         larder_attempt_fn *attempt, void *arguments)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, name);
    if (status != LARDER_OK)
        return status;
    status = attempt(&visit, arguments);
    if (__builtin_expect(visit.late || status == LARDER_NO_MEMORY, 0))
        return try_again(&visit, attempt, arguments, status);
    larder__visit_end(&visit);
    return status;
}

/* One that is used again, or at the end of a segment. */
static struct item *place_for(struct lane *lane, struct arena *arena, const struct append *append)
{
    struct item *item = NULL;
    if (append->recycles)
        item = larder__recycler_take(&lane->guarded.recycler, arena, append->bytes, append->queue,
                                     append->end_ms);
    if (item != NULL)
        return item;
    return larder__lane_append(lane, arena, append);
}

struct item *larder__append_locked(struct memory *memory, struct lane *lane,
                                   const struct append *append, const struct draft *draft,
                                   const struct key *key)
{
    larder__brief_lock(&lane->lock);
    struct item *item = place_for(lane, &memory->arena, append);
    if (item == NULL) {
        larder__brief_unlock(&lane->lock);
        return NULL;
    }
    larder__draft_write(draft, key, item);
    larder__stripe_live(larder__stripe_of(memory, key->hash), (int64_t)append->bytes);
    if (append->weight > 0)
        atomic_fetch_add_explicit(&memory->arena.heavy_bytes[append->queue], append->weight,
                                  memory_order_relaxed);
    return item;
}

/* 0: nothing is there. Where an item lies says nothing of what it is: places are used again. */
static uint32_t version_there(const struct visit *visit)
{
    return visit->item != NULL ? visit->item->version : 0;
}

static bool fits_in_segment(const struct memory *memory, const struct draft *draft)
{
    return draft->large != NULL || (draft->bytes <= memory->inline_bytes &&
                                    draft->head_length + draft->tail_length <= VALUE_INLINE_MAX);
}

/* Moves a long value, or a long key, into a block of its own. */
static enum larder_status make_large(struct visit *visit, struct draft *draft)
{
    struct memory *memory = visit->memory;
    size_t length = draft->head_length + draft->tail_length;
    if (length > memory->traits.value_max ||
        larder__large_bound(memory->large, visit->key.length, length) > memory->capacity_bytes)
        return LARDER_TOO_LARGE;
    if (visit->block != NULL && visit->block_version == version_there(visit) &&
        visit->block_presence == visit->presence) {
        draft->large = visit->block;
        visit->block = NULL;
        return LARDER_OK;
    }
    uint64_t bytes = larder__large_bound(memory->large, visit->key.length, length);
    drop_block(visit);
    if (bytes > visit->reserved_bytes) {
        if (!larder__take_for_large(memory, bytes - visit->reserved_bytes)) {
            visit->lacking_bytes = bytes - visit->reserved_bytes;
            visit->old_bytes = larder__large_sole_bytes(visit->item);
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
        draft->history = atomic_load_explicit(&visit->item->history, memory_order_relaxed);
        return larder__segment_of(&visit->memory->arena, visit->item)->queue;
    }
    return larder__policy_admit(&visit->memory->policy, visit->key.hash, &draft->history);
}

/* What is there is claimed, so that no reader judges it by a later time than the one that counts
 * here. It stays claimed when it is replaced: who still finds it looks again.
 * @return false: it, or the lease that is needed, ended meanwhile */
static bool claim(struct visit *visit)
{
    struct item *item = visit->item;
    uint32_t expiry = larder__item_claim(item);
    uint64_t now_ms = larder__now_ms(visit->memory);
    bool lives = now_ms < larder__item_expiry_of(item, expiry);
    if (lives == (visit->presence != MISSING) &&
        (!visit->needs_lease || larder__lease_is_valid(item, 0, now_ms))) {
        visit->now_ms = now_ms;
        return true;
    }
    larder__item_unclaim(item, expiry);
    visit->late = true;
    return false;
}

static bool depends_on_time(const struct visit *visit, const struct draft *draft)
{
    return draft->ttl_ms > 0 || visit->needs_lease ||
           larder__item_expiry_ms(visit->item) != UINT64_MAX;
}

static void date(struct visit *visit, struct item *item, int64_t ttl_ms)
{
    larder__item_date(item, larder__expiry_after(visit->memory, visit->now_ms, ttl_ms));
}

/* What is found no more. Under the lane's lock. */
static void leave_behind(const struct visit *visit, struct lane *lane, bool recycles)
{
    struct memory *memory = visit->memory;
    size_t bytes = larder__item_size(visit->item);
    if (recycles && (visit->item->marks & ITEM_LARGE) == 0 &&
        larder__lane_leave(lane, larder__segment_of(&memory->arena, visit->item),
                           larder__location_of(&memory->arena, visit->item), bytes))
        larder__stripe_live(visit->stripe, -(int64_t)bytes);
    else
        larder__item_dies(memory, visit->item, visit->key.hash);
}

static bool replace(struct visit *visit, struct lane *lane, bool recycles,
                    const struct draft *draft, struct item *item)
{
    if (depends_on_time(visit, draft) && !claim(visit))
        return false;
    if (draft->ttl_ms > 0)
        date(visit, item, draft->ttl_ms);
    larder__slot_replace(visit->slot, larder__location_of(&visit->memory->arena, item));
    leave_behind(visit, lane, recycles);
    return true;
}

/* A new entry's time counts from when it is found, and nobody judges it before that is known. */
static bool insert(struct visit *visit, const struct draft *draft, struct item *item)
{
    if (!larder__slot_free(visit->index, visit->key.hash, &visit->slot)) {
        visit->lacks_index = true;
        return false;
    }
    if (draft->ttl_ms > 0)
        (void)larder__item_claim(item);
    larder__slot_fill(visit->slot, visit->key.hash,
                      larder__location_of(&visit->memory->arena, item));
    larder__stripe_count(visit->stripe, 1);
    if (draft->ttl_ms > 0) {
        (void)larder__item_claim(item); /* again, so that the time is read afterwards */
        visit->now_ms = larder__now_ms(visit->memory);
        date(visit, item, draft->ttl_ms);
    }
    return true;
}

/* Not a long value, whose place says nothing of what it takes. */
static bool recycles(const struct visit *visit, const struct draft *draft)
{
    return visit->item != NULL && draft->large == NULL && larder__recycles(visit->memory);
}

static enum larder_status lacks_room(struct visit *visit, const struct append *append)
{
    visit->append = *append;
    return LARDER_NO_MEMORY;
}

static enum larder_status put_item(struct visit *visit, struct draft *draft)
{
    struct memory *memory = visit->memory;
    struct lane *lane = larder__lane_of(memory, visit->thread);
    struct large *old_large = visit->item != NULL ? larder__item_block(visit->item).large : NULL;
    struct append append =
        larder__append_of(memory, queue_for(visit, draft), draft, visit->now_ms,
                          visit->item != NULL ? RESERVE_FOR_OVERWRITE : RESERVE_FOR_NEW);
    append.recycles = recycles(visit, draft);
    struct item *item = larder__append_locked(memory, lane, &append, draft, &visit->key);
    visit->lacks_segment = item == NULL;
    if (item == NULL)
        return lacks_room(visit, &append);
    /* the new item is found, and the old one no more; or, there is no memory in the index, or what
     * was there has ended */
    bool found = visit->item != NULL ? replace(visit, lane, append.recycles, draft, item)
                                     : insert(visit, draft, item);
    if (!found)
        larder__item_dies(memory, item, visit->key.hash);
    larder__brief_unlock(&lane->lock);
    if (!found)
        return lacks_room(visit, &append);
    if (old_large != NULL && old_large != draft->large)
        larder__large_retire(old_large);
    visit->item = item;
    if (larder__is_occasion(draft->version))
        larder__tell_length(memory, draft->head_length + draft->tail_length);
    return LARDER_OK;
}

enum larder_status larder__visit_put(struct visit *visit, struct draft *draft)
{
    struct large *shared = draft->large;
    enum larder_status status = LARDER_OK;
    larder__draft_measure(draft, &visit->key);
    if (!fits_in_segment(visit->memory, draft)) {
        status = make_large(visit, draft);
        larder__draft_measure(draft, &visit->key);
    }
    if (status != LARDER_OK)
        return status;
    if (draft->version == 0)
        draft->version = larder__next_version(visit->stripe);
    status = put_item(visit, draft);
    if (status != LARDER_OK && draft->large != shared) {
        visit->block = draft->large;
        visit->block_version = version_there(visit);
        visit->block_presence = visit->presence;
    }
    return status;
}

/* ---- small changes ------------------------------------------------------------------------- */

/* In place when it ends later, and slides as before, in the same form: its segment is then looked
 * at too early, which is what that look is for. */
static bool touches_in_place(const struct visit *visit, uint64_t expiry_ms, int64_t ttl_ms)
{
    const struct item *item = visit->item;
    uint64_t old_ms = larder__item_expiry_ms(item);
    struct draft draft = {.slides_ms = larder__part_u32(item, ITEM_SLIDES)};
    uint32_t slides_ms = draft.slides_ms;
    larder__draft_expires(visit, &draft, ttl_ms);
    return old_ms != UINT64_MAX && expiry_ms > old_ms && draft.slides_ms == slides_ms &&
           expiry_ms >> 32 == larder__part_u32(item, ITEM_FAR);
}

static enum larder_status touch_in_place(struct visit *visit, int64_t ttl_ms)
{
    visit->lacks_segment = visit->lacks_index = false;
    visit->lacking_bytes = 0;
    if (!claim(visit))
        return LARDER_NO_MEMORY; /* and late: it is tried again */
    date(visit, visit->item, ttl_ms);
    return LARDER_OK;
}

/* What ends earlier, or at last, in the same form: where there is no room for another item. Its
 * segment may then be looked at too late, and its memory come back with that. */
static bool fits_in_place(const struct visit *visit, uint64_t expiry_ms)
{
    uint32_t half = larder__part_u32(visit->item, ITEM_FAR);
    return !visit->memory->slides &&
           (expiry_ms >> 32 == half || (expiry_ms == UINT64_MAX && half == 0));
}

/* Else as another item. */
enum larder_status larder__visit_touch(struct visit *visit, int64_t ttl_ms)
{
    struct item *item = visit->item;
    uint64_t expiry_ms = larder__expiry_after(visit->memory, visit->now_ms, ttl_ms);
    if (expiry_ms == larder__item_expiry_ms(item) && larder__part_u32(item, ITEM_SLIDES) == 0)
        return LARDER_OK;
    if (touches_in_place(visit, expiry_ms, ttl_ms))
        return touch_in_place(visit, ttl_ms);
    struct draft draft;
    larder__draft_of_item(item, &draft);
    draft.lease = larder__item_lease(item);
    larder__draft_expires(visit, &draft, ttl_ms);
    enum larder_status status = larder__visit_put(visit, &draft);
    return status == LARDER_NO_MEMORY && !visit->late && fits_in_place(visit, expiry_ms)
               ? touch_in_place(visit, ttl_ms)
               : status;
}

/* As unique as versions are, and not to be guessed without having seen one. */
uint64_t larder__visit_token(struct visit *visit)
{
    uint64_t token;
    do
        token = ((uint64_t)larder__next_version(visit->stripe) << 32 |
                 larder__next_version(visit->stripe)) ^
                visit->memory->token_mask;
    while (token == 0);
    return token;
}
