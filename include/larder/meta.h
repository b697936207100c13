/*
 * meta: caches on memcached servers, over the meta protocol and larder's own sockets. What
 * libmemcached can't: no call outlives its deadline, a store tells its version, the TTL left can be
 * read, get-and-touch and counters with an initial value are one operation, writes of many keys
 * take one round trip per server, and no reply of a server's is believed before it is checked.
 *
 * It finds the keys of `memcached:` and `pooled-memcached:` where it is given the same servers and
 * distribution, and they find its. Each server has a pool of `size` connections that are opened
 * when first needed, the one that was used last first: there are no more than calls at once. A call
 * that finds none free waits for one by its deadline, first come, first served.
 *
 * Leases are those of the protocol, in keyspaces without metadata. A pending key is an empty
 * placeholder on the server, and a token is its version, so whatever is stored or deleted between
 * winning and filling makes the fill CONFLICT. The server keeps the time: lease_ms is rounded up to
 * seconds, and a holder that died is replaced by then or up to 2 s later. The lease on a value that
 * is near its end (recache_ms), or stale, lasts as long as that value: when its holder dies without
 * a word, nobody else renews it before it is gone. With `stale`, deletes leave the value for so
 * long to lease_get, which answers STALE with it, and to one caller a token; every other call
 * misses it. With stale_on_conflict as well, two writers who collide leave neither value as the
 * last word: what the cas or the fill that lost has found is marked stale, by one request more. (It
 * is not the ms … I of the protocol, which answers as if it had won, and lets nobody renew.)
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
 * With tls=on every connection is TLS 1.2 or newer, and its certificate is checked against tls_ca
 * and the server's name; with login= it starts by logging in. docs/security.md says what is told
 * where a server refuses us, or we it.
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
    NUMBER(SWITCH, stale_on_conflict, stale_on_conflict, 0, 0, 1,                                     \
           "on: what makes a cas or a fill CONFLICT is marked stale as by a delete, so that one caller " \
           "computes anew; needs stale")                                                              \
    NUMBER(SWITCH, nodelay, nodelay, 1, 0, 1, "TCP_NODELAY")                                          \
    NUMBER(SWITCH, keepalive, keepalive, 1, 0, 1, "TCP keep-alive, from 60 s of silence on")          \
    NUMBER(SWITCH, exclusive, exclusive, 0, 0, 1,                                                     \
           "on: nobody else uses these servers, so flush may empty them")                             \
    NUMBER(BYTES, value_max, value_max, 1048263, 1, 1073741824,                                       \
           "the longest value; give it when the servers run with another -I. Each server's real "     \
           "limit is asked as well. What append and prepend join may be longer than this")            \
    NUMBER(SWITCH, tls, tls, 0, 0, 1, "on: TLS 1.2 or newer, to every server")                         \
    STRING(TEXT, tls_verify, tls_verify, "on", "on|off_insecure",                                     \
           "off_insecure: whoever answers is believed, whatever certificate he shows")                \
    STRING(TEXT, tls_ca, tls_ca, NULL, NULL,                                                          \
           "the certificates to trust, a PEM file or a folder as of openssl rehash; else the system's") \
    STRING(TEXT, tls_name, tls_name, NULL, NULL,                                                      \
           "the name that the servers' certificates are for; else each server's own in the list")     \
    STRING(TEXT, tls_certificate, tls_certificate, NULL, NULL,                                        \
           "a PEM file with our own certificate and its chain, for servers that ask for one")         \
    STRING(SECRET, tls_key, tls_key, NULL, NULL, "its key, in PEM, without a passphrase")              \
    STRING(SECRET, login, login, NULL, NULL,                                                          \
           "for servers with -Y: the user, a space, the password")                                    \
    LARDER_METADATA_OPTION(STRING)
/* clang-format on */

/** Connects to a server. Called in the thread of a call, at once from several, and counted against
 * that call's deadline, which it has to keep itself.
 * @param host  as in the list of servers: an address, or the path of a Unix socket
 * @param port  0 for a Unix socket
 * @return a connected stream socket that becomes the cache's, or -1 */
typedef int larder_meta_connect_fn(void *context, const char *host, uint32_t port);

/** Chooses the server of a key. Called in the thread of a call, at once from several; must neither
 * wait nor call larder, and answer the same for the same key.
 * @param key      as it goes out, or the routing key, or the {tag} with tags=on; not terminated
 * @param servers  how many there are
 * @return the server's number, from 0 in the order of the list; what is not below `servers` is
 *         taken modulo it */
typedef uint32_t larder_meta_place_fn(void *context, struct larder_slice key, uint32_t servers);

/* ---- what happens with servers ------------------------------------------------------------- */

/**
 * Why an exchange with a server failed. Each is a row of every server's statistics, as
 * "server.0.failed.certificate".
 *
 * ROW(NAME, text, sentence)
 */
/* clang-format off */
#define LARDER_META_FAILURE_TABLE(ROW)                                                                \
    ROW(REFUSED, refused, "no connection: refused, out of reach, or closed before it answered")       \
    ROW(FULL, full, "it has as many connections as it may")                                           \
    ROW(CONNECT_TIMEOUT, connect_timeout, "no connection in time, TLS and login included")            \
    ROW(TLS, tls, "no TLS handshake; or it speaks TLS where none was wanted")                         \
    ROW(CERTIFICATE, certificate, "its certificate is another host's, expired, or not trusted")       \
    ROW(LOGIN, login, "it wants a login, or refused ours")                                            \
    ROW(TIMEOUT, timeout, "no answer before the call's deadline")                                     \
    ROW(CLOSED, closed, "it closed a connection that had been good")                                  \
    ROW(PROTOCOL, protocol, "what it said was no answer")                                             \
    ROW(MEMORY, memory, "no descriptor, or no memory, was left here")
/* clang-format on */

enum larder_meta_failure {
#define LARDER_META_FAILURE_ROW(name, text, sentence) LARDER_META_FAILURE_##name,
    LARDER_META_FAILURE_TABLE(LARDER_META_FAILURE_ROW)
#undef LARDER_META_FAILURE_ROW
        LARDER_META_FAILURES
};

enum larder_meta_happening {
    LARDER_META_ANSWERED,    /* an exchange with a server is over, and all went well */
    LARDER_META_FAILED,      /* it failed */
    LARDER_META_MARKED_DOWN, /* by this failure, which has been told: calls are UNAVAILABLE now */
    LARDER_META_BACK         /* a server that was marked down has answered */
};

/* larder_meta_event.flags */
#define LARDER_META_DIALLED 1u /* the exchange opened its connection */
#define LARDER_META_RESUMED 2u /* by a TLS session from before */

/** What a trace is told. It names servers, and neither keys nor values nor secrets. */
struct larder_meta_event {
    uint32_t size; /* sizeof(struct larder_meta_event) */
    enum larder_meta_happening what;
    const char *host; /* as in the list of servers; borrowed for the call */
    uint32_t port;    /* 0: a Unix socket */
    uint32_t flags;   /* LARDER_META_DIALLED | LARDER_META_RESUMED */
    uint64_t took_ns; /* ANSWERED, FAILED: from when the exchange had its member of the pool */
    enum larder_meta_failure failure; /* FAILED, MARKED_DOWN */
    uint32_t reserved;
    const char *why; /* FAILED, MARKED_DOWN: for people, as "certificate has expired"; else "".
                        Static storage */
};

/** Called in the thread of a call, at once from several, with no lock held. Its time is the call's.
 * It must not use the cache that tells. */
typedef void larder_meta_trace_fn(void *context, const struct larder_meta_event *event);

/* ---- opening ------------------------------------------------------------------------------- */

/** Options of larder_meta_open(). Start from LARDER_META_OPTIONS_INIT. */
struct larder_meta_options {
    size_t struct_size;
    LARDER_META_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
    larder_meta_connect_fn *connect; /* NULL: connect(2) */
    void *connect_context;           /* must outlive the cache */
    larder_meta_trace_fn *trace;     /* NULL: nobody */
    void *trace_context;             /* must outlive the cache */
    larder_meta_place_fn *place; /* in place of `distribution`, and without weights; NULL: that */
    void *place_context;         /* must outlive the cache */
};
/* clang-format off */
#define LARDER_META_OPTIONS_INIT \
    { sizeof(struct larder_meta_options) \
      LARDER_META_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT), NULL, NULL, NULL, NULL, NULL, NULL }
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
