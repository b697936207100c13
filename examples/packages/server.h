/* The HTTP server: libmicrohttpd with a pool of threads, around a site. */
#ifndef PACKAGES_SERVER_H
#define PACKAGES_SERVER_H

#include <stdint.h>

#include "site.h"

struct server;

/** Serves on the loopback interface, or on all with `everywhere`.
 * @param port  0: any that is free
 * @return NULL, and standard error says why */
struct server *server_start(struct site *site, uint16_t port, bool everywhere, unsigned threads);
uint16_t server_port(const struct server *server);
/** Ends running requests, closes every connection, frees. */
void server_stop(struct server *server);

#endif
