/*
 * hot: a cache with copies of its hottest entries in this process. A hit leaves a copy by chance,
 * one in `one_in`, so that keys which are read often have one soon and all others none; from then
 * on they are read here. The idea, and that of one caller who asks anew while the others are served
 * the old value, is that of the probabilistic hot cache of meta-memcache-py.
 *
 *     [pool]                          [front]
 *     uri = meta://10.0.0.1,10.0.0.2/ uri = hot:?of=@pool&life=10s
 *                                     [namespaces]
 *                                     main = @front
 *
 * docs/hot.md has it all. In short:
 * - Whatever is written through this cache drops the copy of its key before the call returns, also
 *   when a read that began earlier is about to leave an older value. So whoever wrote a value reads
 *   it, or a newer one.
 * - What other processes write is seen after at most `life`.
 * - A copy that is older than `fresh` is asked about anew by one caller at a time, while the others
 *   are served the copy. When no answer comes, the next one asks after `reelect`.
 * - What needs exactness goes to `of`: reads that want a version or the TTL left, leases, counters.
 */
#ifndef LARDER_HOT_H
#define LARDER_HOT_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The most that `life` may be, in milliseconds. */
#define LARDER_HOT_LIFE_MS_MAX 3600000

/* OPENED: see backend.h. Source of `one_in`, `life`, `fresh` and `recent`: probability_factor,
 * cache_ttl, max_stale_while_revalidate_seconds and max_last_access_age_seconds of
 * meta-memcache-py; the defaults are larder's own. */
#define LARDER_HOT_OPTIONS_TABLE(NUMBER, STRING, CACHE, OPENED)                                    \
    CACHE(of, of, 1, "the cache whose hottest entries are copied")                                 \
    OPENED(copies, copies, "memory:?max_bytes=8M",                                                 \
           "where the copies are: a cache of this process that nothing else uses")                 \
    NUMBER(COUNT, one_in, one_in, 100, 1, 1000000000,                                              \
           "of so many hits one, by chance, leaves a copy; 1: each does")                          \
    NUMBER(DURATION, life, life_ms, 10000, 1, LARDER_HOT_LIFE_MS_MAX,                              \
           "no copy is served that is older: within this, writes of other processes are seen")     \
    NUMBER(                                                                                        \
        DURATION, fresh, fresh_ms, 5000, 0, LARDER_HOT_LIFE_MS_MAX,                                \
        "when a copy is older, one caller asks anew while the others are served the copy; from "   \
        "`life` on nobody is")                                                                     \
    NUMBER(DURATION, reelect, reelect_ms, 1000, 1, LARDER_HOT_LIFE_MS_MAX,                         \
           "when that caller has brought nothing new within this, another one asks")               \
    NUMBER(DURATION, recent, recent_ms, 120000, 0, 2592000000,                                     \
           "where `of` tells when an entry was last read, only one that was read within this, by " \
           "anybody, is copied; 0s: whatever was read before")                                     \
    STRING(                                                                                        \
        TEXT, prefixes, prefixes, NULL, NULL,                                                      \
        "only keys that begin with one of these are copied, up to 64 with commas between; none: "  \
        "all keys")                                                                                \
    NUMBER(COUNT, seed, seed, 0, 0, UINT64_MAX,                                                    \
           "the same seed and the same calls in the same order leave the same copies, for tests; " \
           "0: drawn anew")

/** The most prefixes. */
#define LARDER_HOT_PREFIXES_MAX 64

/** On OK the new cache holds `of` and, if given, `copies`: larder_shutdown() and larder_close() on
 * them do nothing from then on, and each is closed with the last cache that holds it. On failure
 * they stay the caller's. */
struct larder_hot_options {
    size_t struct_size;
    LARDER_HOT_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD, LARDER_CACHE_FIELD,
                             LARDER_CACHE_FIELD)
};
/* clang-format off */
#define LARDER_HOT_OPTIONS_INIT \
    { sizeof(struct larder_hot_options) \
      LARDER_HOT_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT, LARDER_CACHE_DEFAULT, \
                               LARDER_CACHE_DEFAULT) }
/* clang-format on */

/**
 * Opens a hot cache. Parameters and result else as larder_open_backend().
 * @return BAD_ARGUMENT also for a part that is shut down, opened with errors_as_miss, or no leaf or
 * composition; without `of`; for one cache in both places; for `copies` that other processes share;
 * and for a prefix of no bytes, or too many of them
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_hot_open(const struct larder_hot_options *options,
                const struct larder_open_options *open_options, struct larder_cache **cache,
                char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
