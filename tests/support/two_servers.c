#include "two_servers.h"

#include "support.h"

#include <stdio.h>

struct memcached_server *two_servers[2];

const char *const server_schemes[] = {
#ifdef LARDER_WITH_META
    "meta",
#endif
#ifdef LARDER_WITH_MEMCACHED
    "memcached", "pooled-memcached",
#endif
    NULL};

int two_servers_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        two_servers[i] = memcached_server_start(NULL);
    return 0;
}

int two_servers_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        memcached_server_stop(two_servers[i]);
    return 0;
}

struct larder_cache *two_servers_open(const char *scheme, size_t server, unsigned timeout_ms,
                                      const char *more)
{
    char uri[256], message[256] = "";
    struct larder_cache *cache = NULL;
    snprintf(uri, sizeof(uri), "%s://%s?timeout=%ums%s", scheme,
             memcached_server_path(two_servers[server]), timeout_ms, more);
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}
