/*
 * A client routes namespaces to caches. It is a cache itself: calls on it go to the default
 * namespace; larder_bind() gives a handle for another. Configuration files open as clients, see
 * larder_open_file(); this is the typed factory.
 */
#ifndef LARDER_CLIENT_H
#define LARDER_CLIENT_H

#include <larder/larder.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One line of a client's map. Several names may go to one cache. */
struct larder_route {
    const char *name; /* [A-Za-z0-9_-]{1,32}, or "*" for every name without a line of its own */
    struct larder_cache *cache;
    int64_t default_ttl_ms; /* of the namespace; LARDER_TTL_DEFAULT: the cache's */
    int64_t max_ttl_ms;     /* of the namespace; 0: only the cache's */
};

struct larder_client_options {
    size_t struct_size;
    const char *default_namespace; /* the name that NULL and "" stand for; must be in the map */
    uint64_t namespace_poll_ms;    /* how often a namespace's generation is read from a server: a
                                      flush by another process counts after at most this; default
                                      1000 */
    uint64_t generation;           /* 0: leave the generation out of wire keys, for other programs'
                                      sake; flush of a namespace on a server is then UNSUPPORTED */
};
/* clang-format off */
#define LARDER_CLIENT_OPTIONS_INIT { sizeof(struct larder_client_options), "main", 1000, 1 }
/* clang-format on */

/**
 * Opens a client over caches that are open.
 *
 * @param options  NULL for LARDER_CLIENT_OPTIONS_INIT
 * @param routes   borrowed for the call; on OK the client holds the caches and closes each of them
 *                 once, unless a composition still holds it; on failure they stay the caller's
 * @return OK; BAD_ARGUMENT: no default namespace in the map, a bad or repeated name, a cache that
 * is itself a client, namespace or session, or was opened with `errors_as_miss`; NO_MEMORY
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_client_open(const struct larder_client_options *options,
                   const struct larder_open_options *open_options,
                   const struct larder_route *routes, size_t route_count,
                   struct larder_cache **client, char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
