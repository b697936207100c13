/*
 * gutter: a cache with a spare beside it. Calls go to `of`; what `of` can't answer because it is
 * down goes to `spare`, where nothing lives longer than `ttl`. So an outage costs some hits for
 * some seconds, and what the spare was given is forgotten by itself when it is over.
 *
 *     [pool]                                   [front]
 *     uri = memcached://10.0.0.1,10.0.0.2/     uri = gutter:?of=@pool&spare=@aside&ttl=10s
 *     [aside]                                  [namespaces]
 *     uri = memcached://10.0.0.9/              main = @front
 *
 * docs/gutter.md has a table of what is answered when. In short, "down" being UNAVAILABLE, TIMEOUT
 * and PROTOCOL:
 * - Reads, and writes that have changed nothing, go to the spare when `of` is down; every TTL, of
 *   stores, touches, leases and early renewals, is lowered to `ttl`.
 * - Deletes go to both, always. The answer is that of `of`: one that missed it is never OK.
 * - A write whose outcome is UNKNOWN stays UNKNOWN, and the spare's copy is deleted.
 * - What names a version (cas, delete at a version) is a matter of `of` alone: a copy that comes
 *   from the spare has version 0.
 * - A write that `of` took deletes the spare's copy, while this process may have left one there.
 * - A spare that missed such a delete is not asked before all that it may have of then has expired.
 *
 * So, within a process, what the spare gives is never older than the last write that was
 * acknowledged through this cache. What `of` itself missed while it was down is not the gutter's to
 * know: put a `tracker:` between (larder/tracker.h).
 *
 * In time, a shorter deadline than both parts' timeouts together is shared out in proportion to
 * them, so that an `of` that stalls leaves the spare its share.
 */
#ifndef LARDER_GUTTER_H
#define LARDER_GUTTER_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARDER_GUTTER_OPTIONS_TABLE(NUMBER, CACHE)                                       \
    CACHE(of, of, 1, "the cache that is used while it is up")                            \
    CACHE(spare, spare, 1, "the cache that is asked while `of` is down; deletes always") \
    NUMBER(DURATION, ttl, ttl_ms, 10000, 1, 86400000, "nothing lives longer on the spare")

/** On OK the new cache holds `of` and `spare`: larder_shutdown() and larder_close() on them do
 * nothing from then on, and each is closed with the last cache that holds it. Other caches may hold
 * them as well, and calls on them go on working. On failure they stay the caller's. */
struct larder_gutter_options {
    size_t struct_size;
    LARDER_GUTTER_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_CACHE_FIELD)
};
/* clang-format off */
#define LARDER_GUTTER_OPTIONS_INIT \
    { sizeof(struct larder_gutter_options) \
      LARDER_GUTTER_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_CACHE_DEFAULT) }
/* clang-format on */

/**
 * Opens a gutter. Parameters and result else as larder_open_backend().
 * @return BAD_ARGUMENT also for a part that is missing, shut down, opened with errors_as_miss, or
 * no leaf or composition; and for one cache in both places
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_gutter_open(const struct larder_gutter_options *options,
                   const struct larder_open_options *open_options, struct larder_cache **cache,
                   char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
