/* A real server, a proxy in front of it that makes faults, and a cache that goes past it: for the
 * tests of meta that run all of their cases on one of each. */
#ifndef META_PROXIED_H
#define META_PROXIED_H

#include <larder/larder.h>

#include "fault_proxy.h"
#include "memcached_server.h"

extern struct memcached_server *server;
extern struct fault_proxy *proxy;
extern struct larder_cache *direct; /* past the proxy */

/** Fails the test when it can't be opened. */
struct larder_cache *open_uri(const char *uri);

/** For cmocka_run_group_tests(). */
int start_proxied(void **state);
int stop_proxied(void **state);

#endif
