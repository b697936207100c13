/*
 * Listing keys. The cursor is a shard and a place in its hash order, which neither evictions nor
 * growth nor overwriting change: an entry that stays is passed exactly when the cursor comes to it.
 */
#include "operations.h"

#include <string.h>

#include "shard.h"

#define BUCKETS_PER_LOCK 1024u
#define ENTRIES_PER_LOCK 256u

/* words of struct larder_cursor */
enum { CURSOR_SHARD, CURSOR_REVERSED, CURSOR_SEQUENCE };

struct listing {
    struct larder_slice space; /* empty: all */
    unsigned char *buffer;
    size_t left; /* bytes of the buffer */
    struct larder_slice *keys;
    size_t capacity;
    size_t count;
};

static bool is_listed(const struct listing *listing, const struct entry *entry, uint64_t now_ns)
{
    if (entry->absent || !larder__entry_is_live(entry, now_ns))
        return false;
    return listing->space.length == 0 || larder__entry_is_in(entry, listing->space);
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

/* Goes some way through one shard. @return false when the listing is full; `place` is then where to
 * go on */
static bool list_some(struct listing *listing, struct shard *shard, struct table_place *place)
{
    for (uint32_t i = 0; i < ENTRIES_PER_LOCK; i++) {
        struct table_place next = *place;
        struct entry *entry = larder__table_walk(&shard->guarded.table, &next, BUCKETS_PER_LOCK);
        if (entry != NULL && is_listed(listing, entry, shard->guarded.now_ns) &&
            !append_key(listing, larder__entry_key(entry)))
            return false;
        *place = next;
        if (entry == NULL)
            break;
    }
    return true;
}

static enum larder_status list(struct memory *memory, struct listing *listing,
                               struct larder_cursor *cursor)
{
    bool more = true;
    while (more && cursor->words[CURSOR_SHARD] < memory->shard_count) {
        struct shard *shard = &memory->shards[cursor->words[CURSOR_SHARD]];
        struct table_place place = {cursor->words[CURSOR_REVERSED], cursor->words[CURSOR_SEQUENCE]};
        if (!larder__shard_lock(shard, larder__memory_now_ns(memory)))
            return LARDER_CLOSED;
        more = list_some(listing, shard, &place);
        larder__shard_unlock(shard);
        if (place.reversed >= TABLE_PLACE_END) {
            cursor->words[CURSOR_SHARD]++;
            place = (struct table_place){0, 0};
        }
        cursor->words[CURSOR_REVERSED] = place.reversed;
        cursor->words[CURSOR_SEQUENCE] = place.sequence;
    }
    return more || listing->count > 0 || listing->capacity == 0 ? LARDER_OK : LARDER_TOO_LARGE;
}

enum larder_status larder__memory_keys(const struct larder_scope *scope,
                                       struct larder_cursor *cursor, void *buffer, size_t size,
                                       struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct listing listing = {.buffer = buffer, .left = size, .keys = keys, .capacity = capacity};
    if (scope->space != NULL)
        listing.space = scope->space->name;
    enum larder_status status = list(scope->self, &listing, cursor);
    *count = listing.count;
    return status;
}
