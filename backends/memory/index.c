/* The writers' side of the index. */
#include "index.h"

#define OVERFLOW_MAX ((UINT32_C(1) << 24) - 2)
#define SEQUENCE_ONE (UINT64_C(1) << 32)
#define SEQUENCE_MASK (UINT64_C(0xff) << 32)
#define CHAIN_MASK (UINT64_C(0xffffff) << 40)
#define SEQUENCE_HALF (UINT64_C(128) * SEQUENCE_ONE)

static uint64_t make_shape(unsigned level, uint32_t split)
{
    return ((UINT64_C(1) << level) - 1) << 32 | split;
}

static struct bucket bucket_of_nothing;
struct index larder__index_of_nothing = {.buckets = &bucket_of_nothing}; /* of shape 0 */

/* ---- finding ------------------------------------------------------------------------------- */

/* The rest of the chain, whose first bucket had these tags. */
static struct item *find_in_chain(const struct index *index, const struct arena *arena,
                                  const struct key *key, uint64_t tags1)
{
    uint32_t next;
    while ((next = larder__bucket_overflow(tags1)) != 0) {
        const struct bucket *bucket = &index->overflow[next - 1];
        uint64_t tags0 = atomic_load_explicit(&bucket->tags[0], memory_order_acquire);
        tags1 = atomic_load_explicit(&bucket->tags[1], memory_order_acquire);
        struct item *item = larder__bucket_find(arena, bucket, tags0, tags1, key);
        if (item != NULL || (tags1 & SEQUENCE_MASK) != 0) /* in no chain any more */
            return item;
    }
    return NULL;
}

struct item *larder__index_find_further(const struct index *index, const struct arena *arena,
                                        const struct key *key, const struct outlook *before)
{
    struct outlook outlook = *before;
    for (;;) {
        struct item *item = find_in_chain(index, arena, key, outlook.tags1);
        if (item != NULL || larder__outlook_holds(index, &outlook))
            return item;
        outlook = larder__index_outlook(index, key->hash);
        item = larder__index_find_first(arena, key, &outlook);
        if (item != NULL)
            return item;
    }
}

static void begin_era(struct index *index)
{
    /* release: pairs with the acquire of readers */
    atomic_fetch_add_explicit(&index->era, 1, memory_order_release);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Makes `bytes` of a region usable, and charges what that adds. */
static bool commit(struct index *index, struct region *region, size_t bytes)
{
    if (bytes <= region->committed_bytes)
        return true;
    bytes = larder__round_up(bytes, index->step_bytes);
    if (bytes > region->reserved_bytes)
        return false;
    size_t more = bytes - region->committed_bytes;
    if (!larder__budget_take_leaving(index->budget, more, index->left_bytes))
        return false;
    if (larder__region_commit(region, bytes))
        return true;
    larder__budget_give(index->budget, more);
    return false;
}

size_t larder__index_least_bytes(unsigned level)
{
    return larder__round_up(sizeof(struct bucket) << level, larder__page_bytes());
}

bool larder__index_open(struct index *index, struct budget *budget, size_t reserved_bytes,
                        unsigned level, size_t step_bytes, bool huge, bool prepaid)
{
    *index = (struct index){.budget = budget, .step_bytes = step_bytes};
    if (!larder__region_reserve(&index->region, reserved_bytes, huge))
        return false;
    if (!larder__region_reserve(&index->guarded.overflow, reserved_bytes, false)) {
        larder__region_release(&index->region);
        return false;
    }
    index->buckets = (struct bucket *)(void *)index->region.base;
    index->overflow = (struct bucket *)(void *)index->guarded.overflow.base;
    atomic_init(&index->shape, make_shape(level, 0));
    if (prepaid ? larder__region_commit(&index->region, larder__index_least_bytes(level))
                : commit(index, &index->region, sizeof(struct bucket) << level))
        return true;
    larder__index_close(index);
    return false;
}

static void empty(struct region *region)
{
    larder__region_forget(region, 0, region->committed_bytes);
    region->committed_bytes = 0;
}

void larder__index_empty(struct index *index, uint64_t kept_bytes)
{
    uint64_t bytes = larder__index_bytes(index);
    empty(&index->region);
    larder__brief_lock(&index->lock);
    empty(&index->guarded.overflow);
    larder__brief_unlock(&index->lock);
    larder__budget_give(index->budget, bytes - kept_bytes); /* once it is back */
}

void larder__index_close(struct index *index)
{
    uint64_t bytes = larder__index_bytes(index);
    larder__region_release(&index->region);
    larder__region_release(&index->guarded.overflow);
    larder__budget_give(index->budget, bytes);
}

uint64_t larder__index_bytes(struct index *index)
{
    larder__brief_lock(&index->lock);
    uint64_t bytes = index->region.committed_bytes + index->guarded.overflow.committed_bytes;
    larder__brief_unlock(&index->lock);
    return bytes;
}

/* ---- overflow buckets ---------------------------------------------------------------------- */

static uint64_t chain_bits(uint32_t overflow)
{
    return (uint64_t)overflow << 40;
}

static uint64_t load_tags(const struct bucket *bucket, unsigned word)
{
    /* relaxed: under the stripe's lock nobody else stores here */
    return atomic_load_explicit(&bucket->tags[word], memory_order_relaxed);
}

static void store_tags(struct bucket *bucket, unsigned word, uint64_t tags)
{
    atomic_store_explicit(&bucket->tags[word], tags, memory_order_release);
}

static uint32_t location_of(const struct bucket *bucket, unsigned number)
{
    /* relaxed: under the stripe's lock */
    return atomic_load_explicit(&bucket->locations[number], memory_order_relaxed);
}

/* @return its number plus 1; 0: no memory */
static uint32_t overflow_take_locked(struct index *index)
{
    uint32_t overflow = index->guarded.overflow_free;
    if (overflow != 0) {
        struct bucket *bucket = &index->overflow[overflow - 1];
        index->guarded.overflow_free = larder__bucket_overflow(load_tags(bucket, 1));
        store_tags(bucket, 1, 0);
        return overflow;
    }
    overflow = index->guarded.overflow_fresh + 1;
    if (overflow > OVERFLOW_MAX ||
        !commit(index, &index->guarded.overflow, overflow * sizeof(struct bucket)))
        return 0;
    return ++index->guarded.overflow_fresh;
}

static uint32_t overflow_take(struct index *index)
{
    larder__brief_lock(&index->lock);
    uint32_t overflow = overflow_take_locked(index);
    index->guarded.overflow_used += overflow != 0;
    larder__brief_unlock(&index->lock);
    return overflow;
}

/* One that is empty. It has the number of the next that is free where one in a chain has that of
 * the next of it, and a mark beside it, so that a reader who is still in it comes to its end. And
 * it may be in use again at once: that reader finds nothing there, and what it looks for has moved,
 * which it will see, or is gone. */
static void overflow_give(struct index *index, uint32_t overflow)
{
    larder__brief_lock(&index->lock);
    store_tags(&index->overflow[overflow - 1], 1,
               SEQUENCE_MASK | chain_bits(index->guarded.overflow_free));
    index->guarded.overflow_free = overflow;
    index->guarded.overflow_used--;
    larder__brief_unlock(&index->lock);
}

/* ---- slots --------------------------------------------------------------------------------- */

static struct bucket *first_bucket(struct index *index, uint64_t hash)
{
    /* The shape may change meanwhile, but not for a bucket whose stripe's lock is held. */
    return larder__index_bucket(index, larder__index_shape(index), hash);
}

static unsigned match(const struct bucket *bucket, uint64_t hash)
{
    return larder__bucket_match_atomic(bucket, larder__tag_pattern(hash));
}

struct item *larder__slot_find(struct index *index, const struct arena *arena,
                               const struct key *key, struct slot *slot)
{
    for (slot->bucket = first_bucket(index, key->hash); slot->bucket != NULL;
         slot->bucket = larder__index_behind(index, slot->bucket))
        for (unsigned found = match(slot->bucket, key->hash); found != 0; found &= found - 1) {
            slot->number = (unsigned)__builtin_ctz(found);
            struct item *item = larder__item_at(arena, location_of(slot->bucket, slot->number));
            if (larder__item_has_key(item, key))
                return item;
        }
    return NULL;
}

bool larder__slot_holds(struct index *index, uint64_t hash, uint32_t location, struct slot *slot)
{
    for (slot->bucket = first_bucket(index, hash); slot->bucket != NULL;
         slot->bucket = larder__index_behind(index, slot->bucket))
        for (unsigned found = match(slot->bucket, hash); found != 0; found &= found - 1) {
            slot->number = (unsigned)__builtin_ctz(found);
            if (location_of(slot->bucket, slot->number) == location)
                return true;
        }
    return false;
}

static bool find_free(struct index *index, struct bucket *bucket, struct slot *slot,
                      struct bucket **last)
{
    for (; bucket != NULL; bucket = larder__index_behind(index, bucket)) {
        unsigned found = larder__bucket_free(bucket);
        *last = bucket;
        if (found != 0) {
            *slot = (struct slot){bucket, (unsigned)__builtin_ctz(found)};
            return true;
        }
    }
    return false;
}

static bool free_in_chain(struct index *index, struct bucket *bucket, struct slot *slot)
{
    struct bucket *last = bucket;
    if (find_free(index, bucket, slot, &last))
        return true;
    uint32_t overflow = overflow_take(index);
    if (overflow == 0)
        return false;
    *slot = (struct slot){&index->overflow[overflow - 1], 0};
    store_tags(last, 1, load_tags(last, 1) | chain_bits(overflow));
    return true;
}

bool larder__slot_spare(struct index *index, uint64_t hash, struct slot *slot)
{
    struct bucket *last;
    return find_free(index, first_bucket(index, hash), slot, &last);
}

bool larder__slot_free(struct index *index, uint64_t hash, struct slot *slot)
{
    return free_in_chain(index, first_bucket(index, hash), slot);
}

static void set_tag(struct slot slot, uint8_t tag)
{
    unsigned word = slot.number / 8, shift = slot.number % 8 * 8;
    uint64_t tags = load_tags(slot.bucket, word) & ~(UINT64_C(0xff) << shift);
    store_tags(slot.bucket, word, tags | (uint64_t)tag << shift);
}

static void fill(struct slot slot, uint8_t tag, uint32_t location)
{
    larder__slot_replace(slot, location);
    set_tag(slot, tag);
}

void larder__slot_fill(struct slot slot, uint64_t hash, uint32_t location)
{
    fill(slot, larder__tag_of(hash), location);
}

static void clear(struct slot slot)
{
    set_tag(slot, 0);
    larder__slot_replace(slot, 0);
}

/* ---- chains that become shorter ------------------------------------------------------------- */

static uint8_t tag_at(const struct bucket *bucket, unsigned number)
{
    return (uint8_t)(load_tags(bucket, number / 8) >> number % 8 * 8);
}

/* Between the new place of what moves and the clearing of the old: see the reader's side. */
static void count_move(struct index *index, struct bucket *first)
{
    uint64_t tags1 = load_tags(first, 1), sequence = (tags1 + SEQUENCE_ONE) & SEQUENCE_MASK;
    if (sequence % SEQUENCE_HALF == 0)
        begin_era(index);
    store_tags(first, 1, (tags1 & ~SEQUENCE_MASK) | sequence);
}

/* Moves what lies in the last bucket of a chain into those before it. @return false: not all of it
 * has room there */
static bool empty_into(struct index *index, struct bucket *first, struct bucket *last)
{
    struct slot slot;
    struct bucket *end;
    for (unsigned used = ~larder__bucket_free(last) & BUCKET_SLOTS_MASK; used != 0;
         used &= used - 1) {
        unsigned number = (unsigned)__builtin_ctz(used);
        if (!find_free(index, first, &slot, &end) || slot.bucket == last)
            return false;
        fill(slot, tag_at(last, number), location_of(last, number));
        count_move(index, first);
        clear((struct slot){last, number});
    }
    return true;
}

__attribute__((noinline)) static void shorten(struct index *index, struct bucket *first)
{
    for (;;) {
        struct bucket *before = NULL, *last = first, *next;
        for (; (next = larder__index_behind(index, last)) != NULL; last = next)
            before = last;
        if (before == NULL || !empty_into(index, first, last))
            return;
        store_tags(before, 1, load_tags(before, 1) & ~CHAIN_MASK);
        overflow_give(index, (uint32_t)(last - index->overflow) + 1);
    }
}

void larder__slot_clear(struct index *index, uint64_t hash, struct slot slot)
{
    struct bucket *first = first_bucket(index, hash);
    clear(slot);
    if (__builtin_expect(larder__bucket_has_more(first), 0))
        shorten(index, first);
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* Which of a bucket's entries have this bit in their hashes. Their items are asked for together,
 * since each is far away. */
static unsigned who_goes(const struct bucket *bucket, const struct item_hashes *hashes,
                         uint64_t bit)
{
    unsigned used = ~larder__bucket_free(bucket) & BUCKET_SLOTS_MASK, going = 0;
    for (unsigned left = used; left != 0; left &= left - 1)
        __builtin_prefetch(
            larder__item_at(hashes->arena, location_of(bucket, (unsigned)__builtin_ctz(left))));
    for (unsigned left = used; left != 0; left &= left - 1) {
        unsigned number = (unsigned)__builtin_ctz(left);
        const struct item *item = larder__item_at(hashes->arena, location_of(bucket, number));
        going |= (larder__item_hash(hashes->key, item) & bit) != 0 ? 1u << number : 0;
    }
    return going;
}

static bool copy_slot(struct index *index, struct bucket *target, const struct bucket *from,
                      unsigned number)
{
    struct slot slot;
    if (!free_in_chain(index, target, &slot))
        return false;
    fill(slot, tag_at(from, number), location_of(from, number));
    return true;
}

/* Empties a chain; its overflow buckets are free. The sequence goes on: see struct index, era. */
static void clear_chain(struct index *index, struct bucket *bucket)
{
    struct bucket *next = larder__index_behind(index, bucket);
    store_tags(bucket, 0, 0);
    store_tags(bucket, 1, load_tags(bucket, 1) & SEQUENCE_MASK);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        larder__slot_replace((struct slot){bucket, i}, 0);
    if (next == NULL)
        return;
    clear_chain(index, next);
    overflow_give(index, (uint32_t)(next - index->overflow) + 1);
}

static void publish(struct index *index, unsigned level, uint32_t split)
{
    if (split == UINT32_C(1) << level) {
        level++;
        split = 0;
    }
    begin_era(index);
    /* release: pairs with the acquire of larder__index_shape() */
    atomic_store_explicit(&index->shape, make_shape(level, split), memory_order_release);
}

uint32_t larder__index_next_split(const struct index *index)
{
    return SHAPE_SPLIT(larder__index_shape(index));
}

static bool copy_going(struct index *index, struct bucket *old, struct bucket *new,
                       const struct item_hashes *hashes, uint64_t bit)
{
    for (struct bucket *bucket = old; bucket != NULL; bucket = larder__index_behind(index, bucket))
        for (unsigned going = who_goes(bucket, hashes, bit); going != 0; going &= going - 1)
            if (!copy_slot(index, new, bucket, (unsigned)__builtin_ctz(going)))
                return false;
    return true;
}

bool larder__index_split(struct index *index, const struct item_hashes *hashes)
{
    uint64_t shape = larder__index_shape(index);
    uint32_t split = SHAPE_SPLIT(shape), number = larder__shape_buckets(shape);
    uint64_t bit = UINT64_C(1) << SHAPE_LEVEL(shape);
    if (!commit(index, &index->region, ((size_t)number + 1) * sizeof(struct bucket)))
        return false;
    struct bucket *old = &index->buckets[split], *new = &index->buckets[number];
    if (!copy_going(index, old, new, hashes, bit)) {
        clear_chain(index, new); /* nobody saw it */
        return false;
    }
    publish(index, SHAPE_LEVEL(shape), split + 1);
    for (struct bucket *bucket = old; bucket != NULL; bucket = larder__index_behind(index, bucket))
        for (unsigned going = who_goes(bucket, hashes, bit); going != 0; going &= going - 1)
            clear((struct slot){bucket, (unsigned)__builtin_ctz(going)});
    shorten(index, old);
    return true;
}

/* ---- shrinking ----------------------------------------------------------------------------- */

/* The shape before the last split. */
static uint64_t shape_before(uint64_t shape)
{
    if (SHAPE_SPLIT(shape) > 0)
        return shape - 1;
    return make_shape(SHAPE_LEVEL(shape) - 1, (UINT32_C(1) << (SHAPE_LEVEL(shape) - 1)) - 1);
}

bool larder__index_next_merge(const struct index *index, unsigned first_level, uint32_t *bucket)
{
    uint64_t shape = larder__index_shape(index);
    if (shape == make_shape(first_level, 0))
        return false;
    *bucket = SHAPE_SPLIT(shape_before(shape));
    return true;
}

static unsigned count_chain(struct index *index, struct bucket *bucket)
{
    unsigned count = 0;
    for (; bucket != NULL; bucket = larder__index_behind(index, bucket))
        count += (unsigned)__builtin_popcount(~larder__bucket_free(bucket) & BUCKET_SLOTS_MASK);
    return count;
}

/* Overflow buckets enough for `count` entries more, so that nothing fails half way. */
static bool make_free(struct index *index, struct bucket *bucket, unsigned count)
{
    unsigned free_slots = 0;
    for (;; bucket = larder__index_behind(index, bucket)) {
        free_slots += (unsigned)__builtin_popcount(larder__bucket_free(bucket));
        if (free_slots >= count)
            return true;
        if (larder__index_behind(index, bucket) != NULL)
            continue;
        uint32_t overflow = overflow_take(index);
        if (overflow == 0)
            return false;
        store_tags(bucket, 1, load_tags(bucket, 1) | chain_bits(overflow));
    }
}

bool larder__index_merge(struct index *index)
{
    uint64_t before = shape_before(larder__index_shape(index));
    uint32_t split = SHAPE_SPLIT(before);
    struct bucket *target = &index->buckets[split];
    struct bucket *source = &index->buckets[larder__shape_buckets(before)];
    if (!make_free(index, target, count_chain(index, source)))
        return false;
    for (struct bucket *bucket = source; bucket != NULL;
         bucket = larder__index_behind(index, bucket))
        for (unsigned used = ~larder__bucket_free(bucket) & BUCKET_SLOTS_MASK; used != 0;
             used &= used - 1)
            (void)copy_slot(index, target, bucket, (unsigned)__builtin_ctz(used));
    publish(index, SHAPE_LEVEL(before), split);
    clear_chain(index, source);
    return true;
}

static size_t needed_bytes(const struct index *index)
{
    size_t bytes = larder__shape_buckets(larder__index_shape(index)) * sizeof(struct bucket);
    return larder__round_up(bytes, index->step_bytes);
}

bool larder__index_is_loose(const struct index *index)
{
    return needed_bytes(index) + index->step_bytes < index->region.committed_bytes;
}

uint64_t larder__index_trim(struct index *index)
{
    size_t bytes = needed_bytes(index), less = index->region.committed_bytes - bytes;
    larder__region_forget(&index->region, bytes, less);
    index->region.committed_bytes = bytes;
    larder__budget_give(index->budget, less);
    return less;
}
