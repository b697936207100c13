/* Lists of servers, as in "10.0.0.1,cache2:11212*3,[::1]:11211,/run/memcached.sock". */
#ifndef LARDER_UTIL_SERVERS_H
#define LARDER_UTIL_SERVERS_H

#include <larder/backend.h>

/** libmemcached asserts that its ring has at most this many. */
#define LARDER_SERVERS_MAX 100u
#define LARDER_SERVER_HOST_BYTES 256u
#define LARDER_SERVER_PORT_DEFAULT 11211u
#define LARDER_SERVER_WEIGHT_MAX 65535u
/** sizeof(sun_path) less the terminator. */
#define LARDER_SERVER_PATH_MAX 107u

struct larder_server {
    char host[LARDER_SERVER_HOST_BYTES]; /* a name, an address without brackets, or a path */
    uint32_t port;                       /* 0 for a Unix socket */
    uint32_t weight;                     /* 1 to LARDER_SERVER_WEIGHT_MAX */
};

/** 1 for a Unix socket. */
static inline int larder_server_is_unix(const struct larder_server *server)
{
    return server->host[0] == '/';
}

/**
 * Reads a list. No host means 127.0.0.1, no port 11211, no "*weight" 1. The slashes of a URI
 * ("//host/", "///run/memcached.sock") may stand around it.
 * @param text     NULL or "": one server, 127.0.0.1:11211
 * @param servers  room for LARDER_SERVERS_MAX
 * @return OK; BAD_ARGUMENT with a message that names the server which is wrong
 */
enum larder_status larder_servers_parse(const char *text, struct larder_server *servers,
                                        size_t *count, const struct larder_message *message);

/** One server of such a list, `length` bytes. */
enum larder_status larder_server_parse(const char *text, size_t length,
                                       struct larder_server *server,
                                       const struct larder_message *message);

/** Adds one; refuses what is there already, and one too many. */
enum larder_status larder_servers_add(struct larder_server *servers, size_t *count,
                                      const struct larder_server *server,
                                      const struct larder_message *message);

#endif
