/*
 * ephemeral: a cache on which nothing lives longer than `ttl`.
 *
 *     [pool]                                   [trial]
 *     uri = memcached://10.0.0.1,10.0.0.2/     uri = ephemeral:?of=@pool&ttl=60s
 *
 * For the time in which not everybody invalidates what is cached: a read path that is tried before
 * its write path is there, a version that is rolled out server by server. What goes stale is gone
 * after `ttl`, whoever forgot to delete it.
 *
 * Every TTL of a call is lowered to `ttl`, for ever included: of stores, touches, get_and_touch,
 * `touch_ttl_ms`, a counter's start and lease_fill; so are a lease's own `lease_ms` and how early a
 * value is renewed (`recache_ms`). What keeps an entry's TTL (append, prepend, incr, decr) keeps
 * it. Entries that others stored in `of`, or that were there before, live as long as they were
 * given.
 *
 * The option `max_ttl` that every cache and namespace has lowers the TTLs of stores and touches of
 * the cache that the program uses; this one does it in a part of another composition as well.
 * docs/ephemeral.md says more.
 */
#ifndef LARDER_EPHEMERAL_H
#define LARDER_EPHEMERAL_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARDER_EPHEMERAL_OPTIONS_TABLE(NUMBER, CACHE)         \
    CACHE(of, of, 1, "the cache on which entries are to end") \
    NUMBER(DURATION, ttl, ttl_ms, 60000, 1, 2592000000, "nothing that is stored lives longer")

/** On OK the new cache holds `of`, as with larder_gutter_open(). */
struct larder_ephemeral_options {
    size_t struct_size;
    LARDER_EPHEMERAL_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_CACHE_FIELD)
};
/* clang-format off */
#define LARDER_EPHEMERAL_OPTIONS_INIT \
    { sizeof(struct larder_ephemeral_options) \
      LARDER_EPHEMERAL_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_CACHE_DEFAULT) }
/* clang-format on */

/** Opens such a cache. Parameters and result as larder_open_backend(). */
LARDER_API LARDER_MUST_USE enum larder_status
larder_ephemeral_open(const struct larder_ephemeral_options *options,
                      const struct larder_open_options *open_options, struct larder_cache **cache,
                      char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
