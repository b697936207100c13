/*
 * meta: caches on memcached servers, over the meta protocol and larder's own sockets. What
 * libmemcached can't: no call outlives its deadline, a store tells its version, the TTL left can be
 * read, get-and-touch and counters with an initial value are one operation, writes of many keys
 * take one round trip per server, and no reply of a server's is believed before it is checked.
 *
 * It finds the keys of `memcached:` and `pooled-memcached:` where it is given the same servers and
 * distribution, and they find its. Each server has a pool of `size` connections that are opened
 * when first needed; a call that finds none free waits for one by its deadline, first come, first
 * served.
 *
 * Leases are those of the protocol, in keyspaces without metadata. A pending key is an empty
 * placeholder on the server, and a token is its version, so whatever is stored or deleted between
 * winning and filling makes the fill CONFLICT. The server keeps the time: lease_ms is rounded up to
 * seconds, and a holder that died is replaced by then or up to 2 s later. The lease on a value that
 * is near its end (recache_ms), or stale, lasts as long as that value: when its holder dies without
 * a word, nobody else renews it before it is gone. With `stale`, deletes leave the value for so
 * long to lease_get, which answers STALE with it, and to one caller a token; every other call
 * misses it.
 *
 * To all calls but lease_get a placeholder and a stale entry are missing, whoever made them. Reads,
 * touches and deletes see that in the answer; when they took the right to renew a stale entry,
 * which memcached gives to any `mg`, they hand it back, and a TTL that they gave to what is missing
 * too. Replace, append and prepend look first and then change what they saw; add, cas and delete at
 * a version look when they were refused. Three limits:
 * - An empty value with flags 0 looks as a placeholder does while somebody renews it early, and is
 *   missing to all from that moment on until it is filled.
 * - Classic replies show no marks. To programs that read by `get`, among them `memcached:` and
 *   `pooled-memcached:` without metadata, a pending key is an empty value and a stale one is live.
 *   Where they share a keyspace in which entries are leased, all declare metadata=leases.
 * - A server without versions (-C) gives no token to anybody.
 *
 * With size=1, a set or a plain delete with LARDER_NO_REPLY is sent and left: its reply is taken,
 * and checked, ahead of the next one on that connection, and what went wrong is counted (the figure
 * quiet_lost). With more connections another call could overtake it, so there every write is
 * acknowledged.
 *
 * classic_reads=on is for keyspaces in which nobody leases entries or marks them stale. Reads of
 * many keys go out as one classic `gets` line per server (100 keys as `mg` cost
 * memcached 1.6.18 1.4 times as much, or more), leases are UNSUPPORTED, and no write looks first.
 *
 * What memcached itself does differently, and no client can change: it counts on from anything that
 * strtoull() takes (the trait STRICT_COUNTERS is absent).
 */
#ifndef LARDER_META_H
#define LARDER_META_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define LARDER_META_OPTIONS_TABLE(NUMBER, STRING)                                                     \
    STRING(SERVERS, servers, servers, "127.0.0.1:11211", NULL,                                        \
           "host:port, [IPv6]:port or /socket/path, each with *weight if need be, with commas between") \
    NUMBER(COUNT, size, size, 10, 1, 65536, "how many connections there are at most to each server")  \
    NUMBER(DURATION, timeout, timeout_ms, 250, 1, 3600000, "how long a call may take in all")         \
    NUMBER(DURATION, connect_timeout, connect_timeout_ms, 200, 1, 3600000,                            \
           "how long connecting may take, within the call's timeout")                                 \
    NUMBER(DURATION, probe, probe_ms, 1000, 10, 3600000,                                              \
           "how often one call tries a server that is marked down")                                   \
    STRING(TEXT, distribution, distribution, "ketama",                                                \
           "ketama|ketama_weighted|rendezvous|jump|uhashring",                                        \
           "how keys are spread; with weights ketama is the weighted one")                            \
    NUMBER(SWITCH, tags, tags, 0, 0, 1,                                                               \
           "on: the {tag} in a key places it, so that keys of one tag share a server")                \
    NUMBER(SWITCH, classic_reads, classic_reads, 0, 0, 1,                                             \
           "on: many keys are read by classic gets lines, which cost the server less; for keyspaces "  \
           "in which nobody leases entries or marks them stale, since these lines don't tell")        \
    NUMBER(DURATION, stale, stale_ms, 0, 0, 2592000000,                                               \
           "a deleted entry stays so long as a stale one, which lease_get serves as STALE while one "  \
           "caller computes; 0s: it goes at once")                                                    \
    NUMBER(SWITCH, nodelay, nodelay, 1, 0, 1, "TCP_NODELAY")                                          \
    NUMBER(SWITCH, keepalive, keepalive, 1, 0, 1, "TCP keep-alive, from 60 s of silence on")          \
    NUMBER(SWITCH, exclusive, exclusive, 0, 0, 1,                                                     \
           "on: nobody else uses these servers, so flush may empty them")                             \
    NUMBER(BYTES, value_max, value_max, 1048263, 1, 1073741824,                                       \
           "the longest value; give it when the servers run with another -I. Each server's real "     \
           "limit is asked as well. What append and prepend join may be longer than this")            \
    LARDER_METADATA_OPTION(STRING)
/* clang-format on */

/** Connects to a server. Called in the thread of a call, at once from several, and counted against
 * that call's deadline, which it has to keep itself.
 * @param host  as in the list of servers: an address, or the path of a Unix socket
 * @param port  0 for a Unix socket
 * @return a connected stream socket that becomes the cache's, or -1 */
typedef int larder_meta_connect_fn(void *context, const char *host, uint32_t port);

/** Options of larder_meta_open(). Start from LARDER_META_OPTIONS_INIT. */
struct larder_meta_options {
    size_t struct_size;
    LARDER_META_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
    larder_meta_connect_fn *connect; /* NULL: connect(2) */
    void *connect_context;           /* must outlive the cache */
};
/* clang-format off */
#define LARDER_META_OPTIONS_INIT \
    { sizeof(struct larder_meta_options) \
      LARDER_META_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT), NULL, NULL }
/* clang-format on */

/**
 * Opens a cache on memcached servers, 1.6.18 or newer. Parameters and result as larder_open(). A
 * server that is down is no reason to fail. Host names are resolved by a thread of their own: open
 * waits for it for at most 100 ms, and until there is an address, calls on that server are
 * UNAVAILABLE. Addresses, "localhost" and sockets need none.
 */
static inline LARDER_MUST_USE enum larder_status
larder_meta_open(const struct larder_meta_options *options,
                 const struct larder_open_options *open_options, struct larder_cache **cache,
                 char *message, size_t message_size)
{
    return larder_open_scheme("meta", options, open_options, cache, message, message_size);
}

/** Static builds, which have no module folder: makes the backend known. Links the component
 * larder::meta. @return OK or NO_MEMORY; any number of times */
LARDER_API enum larder_status larder_meta_register(void);

#ifdef __cplusplus
}
#endif

#endif
