/*
 * memory: an in-process cache with time-bucketed expiry and a byte bound.
 *
 * Whether an entry lives is decided where it is read, to the millisecond. Its memory is given back
 * when its time bucket is past: within `bucket_interval` and a second after its expiry, as long as
 * there are calls, each of which takes a bounded step (of up to about 300 entries once it is late;
 * fewer calls than entries / 300 in that second take longer); there is no thread. larder_purge()
 * does it without calls.
 *
 * `max_bytes` counts everything that the cache allocates (entries, index, buckets, and values of
 * over 4 KiB for as long as a view holds them), by what the heap takes for it, and is never
 * exceeded. Not counted: views of values up to 4 KiB, which are copies and the caller's, the
 * handle, and what malloc() keeps of freed memory for other threads: with many threads that evict,
 * glibc's arenas can hold as much again (measured: 2.0 x with 8 threads, 1.15 x with
 * MALLOC_ARENA_MAX=1). Eviction looks at a limited number of entries for each that it evicts; a
 * store that finds no room answers LARDER_NO_MEMORY and leaves what was under its key. Only an
 * overwrite that fits in no other place than the old value's gives that one up first, as if it had
 * been evicted.
 *
 * Every key fits the smallest cache. The trait value_max is the longest value that fits, alone,
 * beside a key of 256 bytes in a namespace with the longest name; each further byte of the key
 * takes one from it. What does not fit the whole cache answers LARDER_TOO_LARGE.
 *
 * Statistics of its own: items (with those that expired and wait for their bucket), bytes,
 * max_bytes, evictions, expirations, shards.
 */
#ifndef LARDER_MEMORY_H
#define LARDER_MEMORY_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define LARDER_MEMORY_OPTIONS_TABLE(NUMBER, STRING)                                                  \
    NUMBER(BYTES, max_bytes, max_bytes, 67108864, 262144, UINT64_MAX / 2,                          \
           "the most memory that entries, their index and all else take together")                 \
    NUMBER(COUNT, buckets, buckets, 60, 1, 4096,                                                   \
           "how many time buckets there are; an entry waits in the one in which it expires")       \
    NUMBER(DURATION, bucket_interval, bucket_interval_ms, 15000, 10, 86400000,                     \
           "how much time one bucket covers; memory of expired entries is back within this")       \
    NUMBER(SWITCH, evict, evict, 1, 0, 1,                                                          \
           "off: answer NO_MEMORY at the bound instead of evicting")                               \
    NUMBER(SWITCH, huge_pages, huge_pages, 1, 0, 1,                                                \
           "huge pages for index and entries, from 64M on, where the kernel gives them")
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

/** Told of an entry that was evicted (not of one that expired or was deleted). Called with no lock
 * held, in the thread that needed the room; key and value are borrowed for the call. It may use any
 * cache but must not close the one that calls. */
typedef void larder_memory_evicted_fn(void *context, struct larder_slice key,
                                      struct larder_slice value);

/** Opens a memory cache. Parameters and result as larder_open(). */
LARDER_API LARDER_MUST_USE enum larder_status
larder_memory_open(const struct larder_memory_options *options,
                   const struct larder_open_options *open_options, struct larder_cache **cache,
                   char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
