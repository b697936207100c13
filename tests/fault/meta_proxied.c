#include "meta_proxied.h"

#include "support.h"

#include <stdio.h>

struct memcached_server *server;
struct fault_proxy *proxy;
struct larder_cache *direct;

struct larder_cache *open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    char message[256] = "";
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}

int start_proxied(void **state)
{
    char uri[256];
    (void)state;
    server = memcached_server_start(NULL);
    proxy = fault_proxy_start(memcached_server_path(server));
    snprintf(uri, sizeof(uri), "meta://%s?timeout=5s", memcached_server_path(server));
    direct = open_uri(uri);
    return 0;
}

int stop_proxied(void **state)
{
    (void)state;
    larder_close(direct);
    fault_proxy_stop(proxy);
    memcached_server_stop(server);
    return 0;
}
