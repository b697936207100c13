/* What the bare peers have in common: where their server is, and what they have not. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <netinet/in.h>
#include <time.h>

#include "plan.h"

struct bare_server {
    const char *socket; /* a path, borrowed from the plan; NULL: TCP */
    char host[16];      /* of TCP: an IPv4 address */
    in_port_t port;
};

/** Reads the plan's subject, as "bare-meta:/path", "bare-meta:///path" or
 * "bare-meta://127.0.0.1:11211/".
 * @return 0 with a message on stderr, also for a plan with a namespace or sessions */
int bare_server_read(struct bare_server *server, const struct plan *plan);

/** A TTL as memcached takes it: seconds up to 30 days, else a date; 0: for ever. */
time_t bare_expiration(int64_t ttl_ms);

#endif
