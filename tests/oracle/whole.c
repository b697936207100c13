/* What concerns the whole cache: flush, the list of keys, statistics, purge. */
#include "operations.h"

#include <string.h>

#include "table.h"

#define NS_PER_MS UINT64_C(1000000)

enum larder_status oracle_flush(const struct larder_scope *scope)
{
    struct oracle *oracle = scope->self;
    struct oracle_entry *entry, *next;
    if (!oracle_lock(oracle))
        return LARDER_CLOSED;
    HASH_ITER(hh, oracle->guarded.first, entry, next)
    if (oracle_is_in(entry, scope->space))
        oracle_drop(oracle, entry);
    pthread_mutex_unlock(&oracle->lock);
    return LARDER_OK;
}

/* ---- keys ---------------------------------------------------------------------------------- */

struct listing {
    unsigned char *buffer;
    size_t left; /* bytes of the buffer */
    struct larder_slice *keys;
    size_t capacity;
    size_t count;
};

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

/* The cursor is the sequence of the next entry to list. @return false when the listing is full */
static bool list(const struct oracle *oracle, const struct larder_space *space,
                 struct larder_cursor *cursor, struct listing *listing)
{
    uint64_t now_ns = oracle_now_ns(oracle);
    for (struct oracle_entry *entry = oracle->guarded.first; entry != NULL;
         entry = entry->hh.next) {
        if (entry->sequence < cursor->words[0] || entry->absent || now_ns >= entry->expiry_ns ||
            !oracle_is_in(entry, space))
            continue;
        if (!append_key(listing, oracle_name(entry)))
            return false;
        cursor->words[0] = entry->sequence + 1;
    }
    return true;
}

enum larder_status oracle_keys(const struct larder_scope *scope, struct larder_cursor *cursor,
                               void *buffer, size_t size, struct larder_slice *keys,
                               size_t capacity, size_t *count)
{
    struct oracle *oracle = scope->self;
    struct listing listing = {buffer, size, keys, capacity, 0};
    if (!oracle_lock(oracle))
        return LARDER_CLOSED;
    bool all = list(oracle, scope->space, cursor, &listing);
    pthread_mutex_unlock(&oracle->lock);
    *count = listing.count;
    return all || listing.count > 0 || capacity == 0 ? LARDER_OK : LARDER_TOO_LARGE;
}

/* ---- statistics and purge ------------------------------------------------------------------ */

void oracle_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct oracle *oracle = scope->self;
    pthread_mutex_lock(&oracle->lock);
    larder_stat_add(out, "items", HASH_COUNT(oracle->guarded.first));
    pthread_mutex_unlock(&oracle->lock);
}

static uint64_t end_of(const struct oracle_entry *entry)
{
    bool leased = entry->lease_token != 0 && entry->lease_end_ns > entry->expiry_ns;
    return leased ? entry->lease_end_ns : entry->expiry_ns;
}

/* Drops what has ended. @return when the next one ends */
static uint64_t sweep(struct oracle *oracle, uint64_t now_ns)
{
    struct oracle_entry *entry, *next;
    uint64_t due_ns = LARDER_NEVER_NS;
    HASH_ITER(hh, oracle->guarded.first, entry, next)
    {
        if (end_of(entry) <= now_ns)
            oracle_drop(oracle, entry);
        else if (end_of(entry) < due_ns)
            due_ns = end_of(entry);
    }
    return due_ns;
}

enum larder_status oracle_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                uint64_t *next_due_ms)
{
    struct oracle *oracle = scope->self;
    (void)budget_ms;
    if (!oracle_lock(oracle))
        return LARDER_CLOSED;
    uint64_t now_ns = oracle_now_ns(oracle);
    uint64_t due_ns = sweep(oracle, now_ns);
    pthread_mutex_unlock(&oracle->lock);
    if (next_due_ms != NULL)
        *next_due_ms =
            due_ns == LARDER_NEVER_NS ? UINT64_MAX : (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return LARDER_OK;
}
