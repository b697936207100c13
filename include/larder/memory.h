/*
 * memory: an in-process cache with time-bucketed expiry and a byte bound.
 *
 * Readers take no lock. Whether an entry lives is decided where it is read, by a clock that may be
 * coarse: an entry never ends too early, and up to the trait ttl_late_ms too late (0 with a clock
 * of the caller's). Its memory is given back when its time bucket is past: within `bucket_interval`
 * and a second after its expiry, as long as there are calls, each of which takes a bounded step;
 * there is no thread. larder_purge() does it without calls, for as long as it is given, and says
 * when there is something to do again, at the earliest.
 *
 * `max_bytes` counts everything that the cache takes: entries, the memory that is kept for more of
 * them, their index, namespaces' names, what is remembered of evicted entries, and values of over
 * 4 KiB for as long as a view holds them. It is never exceeded, at no instant, but after it was
 * lowered. Not counted: views of values up to 4 KiB, which are copies and the caller's; the handle;
 * and 128 bytes for each thread, which all caches share, with up to 48 blocks of 64 to 256 bytes
 * that it keeps for its next views.
 *
 * - A value of over 4 KiB takes whole pages, together with its key: 4,097 bytes take 8 KiB.
 * - All else lies in segments, of a thousandth of the bound (4 KiB to 1 MiB), 16 GiB of them at
 * most; what goes beyond is for large values.
 * - Addresses of some 30 times the bound are reserved, which takes no memory.
 *
 * Eviction looks at a limited number of entries for each that it evicts; a store that finds no room
 * answers LARDER_NO_MEMORY and leaves what was under its key. Only a plain set that fits in no
 * other place than the old value's gives that one up first, as if it had been evicted; cas,
 * replace, append and the like answer NO_MEMORY then. With evict=off a full cache refuses what is
 * new; deletes, flushes and expiries make room.
 *
 * Every key fits the smallest cache (256 KiB). The trait value_max is the longest value that fits,
 * alone, beside a key of 256 bytes in a namespace with the longest name; each further byte of the
 * key takes one from it. What does not fit the whole cache answers LARDER_TOO_LARGE.
 *
 * With max_bytes=0 the cache has no bound of its own: it grows as needed up to half of the
 * machine's memory, and gives memory back when entries end or are deleted.
 *
 * With sliding=on each hit (read, get, many, a lease that answers OK) gives an entry that has a TTL
 * that TTL anew. The new end is written at most four times an interval, or a TTL where that is
 * shorter: an entry that is hit lives for at least three quarters of its TTL more. A touch gives
 * the entry another TTL, which slides from then on. TTLs of over 49 days (2^32 ms) and negative
 * entries don't slide.
 *
 * Statistics of its own, beside the hits and misses that the core counts:
 *
 * - items: entries, with those that ended and wait for their bucket
 * - bytes, max_bytes: what is counted, and the bound
 * - evictions: for room; evictions_new: of entries that were hardly hit; evictions_main: others
 * - expirations: entries that were removed after their end, or with their namespace's flush
 * - moves: entries that were copied because their segment was emptied
 * - segment_bytes: of one segment
 * - segments: that take memory; segments_free: of these kept for more; segments_retired: given up,
 *   in which readers may still be
 * - index_bytes, ghost_bytes, large_bytes: of the index, of what is remembered, of large values
 */
#ifndef LARDER_MEMORY_H
#define LARDER_MEMORY_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define LARDER_MEMORY_OPTIONS_TABLE(NUMBER, STRING)                                                  \
    NUMBER(BYTES, max_bytes, max_bytes, 67108864, 0, UINT64_MAX / 2,                               \
           "the most memory that entries, their index and all else take together, at least 256K; " \
           "0: half of the machine's")                                                             \
    NUMBER(COUNT, buckets, buckets, 60, 1, 4096,                                                   \
           "how many time buckets there are; an entry waits in the one in which it expires")       \
    NUMBER(DURATION, bucket_interval, bucket_interval_ms, 15000, 10, 86400000,                     \
           "how much time one bucket covers; memory of expired entries is back within this")       \
    NUMBER(SWITCH, evict, evict, 1, 0, 1,                                                          \
           "off: answer NO_MEMORY at the bound instead of evicting")                               \
    NUMBER(SWITCH, huge_pages, huge_pages, 1, 0, 1,                                                \
           "huge pages for index and entries, from 512M on, where the kernel gives them; "         \
           "segments are 2 MiB then")                                                              \
    NUMBER(SWITCH, sliding, sliding, 0, 0, 1,                                                      \
           "on: each hit gives an entry that has a TTL that TTL anew")
/* clang-format on */

/** Options of larder_memory_open(). Start from LARDER_MEMORY_OPTIONS_INIT. */
struct larder_memory_options {
    size_t struct_size;
    LARDER_MEMORY_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};
/* clang-format off */
#define LARDER_MEMORY_OPTIONS_INIT \
    { sizeof(struct larder_memory_options) \
      LARDER_MEMORY_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT) }
/* clang-format on */

/** Opens a memory cache. Parameters and result as larder_open(). */
LARDER_API LARDER_MUST_USE enum larder_status
larder_memory_open(const struct larder_memory_options *options,
                   const struct larder_open_options *open_options, struct larder_cache **cache,
                   char *message, size_t message_size);

/** The smallest bound, in bytes. */
#define LARDER_MEMORY_BYTES_MIN UINT64_C(262144)
/** How many times larger or smaller than at open a bound may become. */
#define LARDER_MEMORY_GROWTH_FACTOR 8u

/**
 * Changes the byte bound of a memory cache while it runs.
 *
 * @param cache      what larder_memory_open() or larder_open() gave; no client, namespace or
 * session
 * @param max_bytes  an eighth to 8 times of what the cache was opened with, at least
 *                   LARDER_MEMORY_BYTES_MIN; the reservation of addresses is the reason for the
 * limit
 * @return LARDER_OK; LARDER_BAD_ARGUMENT for another cache or number, and nothing changes;
 *         LARDER_CLOSED; LARDER_NO_MEMORY when there are too many threads to keep account of
 *
 * A higher bound counts at once. Towards a lower one the cache shrinks in steps, one segment for
 * each following call that writes, and as far as time allows in larder_purge(); it takes nothing
 * more meanwhile. With evict=off only deletes, flushes and expiries shrink it. Which entries were
 * read is known from the time on when the cache is half full: one that was emptier goes by age. The
 * trait value_max stays; a value that no longer fits answers LARDER_NO_MEMORY.
 * Threads: any; blocks for a step of shrinking.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_memory_set_max_bytes(struct larder_cache *cache, uint64_t max_bytes);

/**
 * Is told of a value that was evicted for room: not of one that ended, was deleted, overwritten or
 * flushed, and not of negative entries and leases.
 *
 * Called with no lock held, in the thread that needed the room; names and bytes are borrowed for
 * the call. It may use any cache, also the one that calls, but must not shut down or close that
 * one. A store into the one that calls evicts nothing more: it may answer LARDER_NO_MEMORY.
 * @param space  the name of the key's namespace; of no bytes: none
 */
typedef void larder_memory_evicted_fn(void *context, struct larder_slice space,
                                      struct larder_slice key, struct larder_slice value);

/**
 * Sets who is told of evictions. @param evicted  NULL: nobody
 * @return LARDER_OK; LARDER_BAD_ARGUMENT for a cache that is no memory leaf; LARDER_CLOSED
 *
 * Threads: any; never blocks. One that is replaced may still be called by threads that are evicting
 * at that moment.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_memory_on_evicted(struct larder_cache *cache, larder_memory_evicted_fn *evicted,
                         void *context);

#ifdef __cplusplus
}
#endif

#endif
