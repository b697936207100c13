/*
 * Listing keys, in the order of their hashes read backwards. A bucket holds one stretch of that
 * order however many buckets there are, and neither evictions nor growth nor overwriting change a
 * key's place in it: an entry that stays is passed exactly when the cursor comes to it. Equal
 * hashes are told apart by a second one.
 */
#include "operations.h"

#include "visit.h"

/* words of struct larder_cursor: a place, and whether the next key is there or behind it */
enum { CURSOR_REVERSED, CURSOR_SECOND, CURSOR_STATE };
enum { STATE_BEGIN, STATE_BEHIND, STATE_END };

struct place {
    uint64_t reversed, second;
};

struct listing {
    const struct memory *memory;
    uint32_t space;
    unsigned char *buffer;
    size_t left; /* bytes of the buffer */
    struct larder_slice *keys;
    size_t capacity;
    size_t count;
    uint64_t now_ms;
};

static uint64_t reversed_bits(uint64_t word)
{
    word = (word >> 1 & UINT64_C(0x5555555555555555)) | (word & UINT64_C(0x5555555555555555)) << 1;
    word = (word >> 2 & UINT64_C(0x3333333333333333)) | (word & UINT64_C(0x3333333333333333)) << 2;
    word = (word >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    return __builtin_bswap64(word);
}

static struct larder_slice key_of(const struct item *item)
{
    const struct large *large = larder__item_block(item).large;
    if (large != NULL)
        return larder_bytes(large->bytes, large->key_length);
    return larder_bytes(larder__item_key(item), item->key_length);
}

static struct place place_of(const struct memory *memory, const struct item *item)
{
    struct larder_slice key = key_of(item);
    struct place place = {reversed_bits(larder__item_hash(&memory->hash_key, item)),
                          larder_hash(&memory->hash_key.long_keys, 0, key.data, key.length)};
    return place;
}

static bool is_before(const struct place *one, const struct place *other)
{
    return one->reversed != other->reversed ? one->reversed < other->reversed
                                            : one->second < other->second;
}

static bool is_behind(const struct larder_cursor *cursor, const struct place *place)
{
    struct place at = {cursor->words[CURSOR_REVERSED], cursor->words[CURSOR_SECOND]};
    return cursor->words[CURSOR_STATE] == STATE_BEGIN ? !is_before(place, &at)
                                                      : is_before(&at, place);
}

static bool is_listed(const struct listing *listing, const struct item *item)
{
    return (item->marks & ITEM_ABSENT) == 0 && listing->now_ms < larder__item_expiry_ms(item) &&
           (listing->space == larder__part_u32(item, ITEM_SPACE) ||
            (listing->space == SPACE_NONE &&
             !larder__space_is_stale(&listing->memory->spaces,
                                     larder__part_u32(item, ITEM_SPACE))));
}

static bool append_key(struct listing *listing, struct larder_slice key)
{
    if (listing->count == listing->capacity || key.length > listing->left)
        return false;
    memcpy(listing->buffer, key.data, key.length);
    listing->keys[listing->count++] = larder_bytes(listing->buffer, key.length);
    listing->buffer += key.length;
    listing->left -= key.length;
    return true;
}

/* The first entry behind the cursor in a chain. @return NULL: none */
static struct item *next_in_chain(const struct listing *listing, const struct index *index,
                                  const struct bucket *bucket, const struct larder_cursor *cursor,
                                  struct place *next)
{
    struct item *found = NULL;
    while (bucket != NULL) {
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint32_t location = atomic_load_explicit(&bucket->locations[i], memory_order_relaxed);
            struct item *item = larder__item_at(&listing->memory->arena, location);
            if (location == 0 || !is_listed(listing, item))
                continue;
            struct place place = place_of(listing->memory, item);
            if (is_behind(cursor, &place) && (found == NULL || is_before(&place, next))) {
                found = item;
                *next = place;
            }
        }
        bucket = larder__index_behind(index, bucket);
    }
    return found;
}

/* Lists what is left of the bucket that the cursor is in, under its stripe's lock. @return false:
 * the listing is full */
static bool list_bucket(struct listing *listing, const struct index *index, uint64_t shape,
                        struct larder_cursor *cursor)
{
    const struct bucket *bucket =
        larder__index_bucket(index, shape, reversed_bits(cursor->words[CURSOR_REVERSED]));
    struct place next = {0, 0};
    struct item *item;
    while ((item = next_in_chain(listing, index, bucket, cursor, &next)) != NULL) {
        if (!append_key(listing, key_of(item)))
            return false;
        cursor->words[CURSOR_REVERSED] = next.reversed;
        cursor->words[CURSOR_SECOND] = next.second;
        cursor->words[CURSOR_STATE] = STATE_BEHIND;
    }
    return true;
}

/* Moves the cursor to the end of its bucket's stretch. */
static void pass_bucket(struct larder_cursor *cursor, uint64_t shape)
{
    uint64_t hash = reversed_bits(cursor->words[CURSOR_REVERSED]);
    unsigned bits = SHAPE_LEVEL(shape);
    uint64_t mask = (UINT64_C(1) << bits) - 1;
    bits += (hash & mask) < SHAPE_SPLIT(shape); /* split: a stretch half as long */
    uint64_t last = bits > 0 ? UINT64_MAX >> bits : UINT64_MAX;
    uint64_t end = cursor->words[CURSOR_REVERSED] | last;
    if (end == UINT64_MAX) {
        cursor->words[CURSOR_STATE] = STATE_END;
        return;
    }
    cursor->words[CURSOR_REVERSED] = end;
    cursor->words[CURSOR_SECOND] = UINT64_MAX;
    cursor->words[CURSOR_STATE] = STATE_BEHIND;
}

/* The bucket in which the next key is: the cursor's, or the one behind when it is at its end. */
static void enter_next(struct larder_cursor *cursor)
{
    if (cursor->words[CURSOR_STATE] != STATE_BEHIND || cursor->words[CURSOR_SECOND] != UINT64_MAX)
        return;
    cursor->words[CURSOR_REVERSED]++;
    cursor->words[CURSOR_SECOND] = 0;
    cursor->words[CURSOR_STATE] = STATE_BEGIN;
}

static enum larder_status list(struct memory *memory, struct listing *listing,
                               struct larder_cursor *cursor)
{
    bool more = true;
    while (more && cursor->words[CURSOR_STATE] != STATE_END) {
        enter_next(cursor);
        struct stripe *stripe =
            larder__stripe_of(memory, reversed_bits(cursor->words[CURSOR_REVERSED]));
        larder__brief_lock(&stripe->lock);
        if (stripe->guarded.closed) {
            larder__brief_unlock(&stripe->lock);
            return LARDER_CLOSED;
        }
        const struct index *index = larder__index(memory);
        uint64_t shape = larder__index_shape(index);
        listing->now_ms = larder__now_ms(memory);
        more = list_bucket(listing, index, shape, cursor);
        if (more)
            pass_bucket(cursor, shape);
        larder__brief_unlock(&stripe->lock);
    }
    return more || listing->count > 0 ? LARDER_OK : LARDER_TOO_LARGE;
}

enum larder_status larder__memory_keys(const struct larder_scope *scope,
                                       struct larder_cursor *cursor, void *buffer, size_t size,
                                       struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct memory *memory = scope->self;
    struct call call;
    enum larder_status status = larder__call_begin(memory, &call);
    if (status != LARDER_OK)
        return status;
    struct listing listing = {.memory = memory,
                              .space = larder__scope_space(memory, scope),
                              .buffer = buffer,
                              .left = size,
                              .keys = keys,
                              .capacity = capacity};
    status = list(memory, &listing, cursor);
    *count = listing.count;
    larder__call_end(&call);
    return status;
}
