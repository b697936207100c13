/*
 * Two real memcached servers for a cmocka group, and caches on them through every backend that was
 * built and speaks to one.
 */
#ifndef TESTS_TWO_SERVERS_H
#define TESTS_TWO_SERVERS_H

#include <larder/larder.h>

#include "memcached_server.h"

extern struct memcached_server *two_servers[2];

/** Group setup and teardown. */
int two_servers_start(void **state);
int two_servers_stop(void **state);

/** The schemes that were built: NULL ends them. */
extern const char *const server_schemes[];

/** Opens a cache of that scheme on one of the servers. Fails the cmocka test if it can't.
 * @param more  options of the URI beside the timeout, as in "&exclusive=on" */
struct larder_cache *two_servers_open(const char *scheme, size_t server, unsigned timeout_ms,
                                      const char *more);

#endif
