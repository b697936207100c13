/*
 * What memcached and pooled-memcached share: an edge is one open cache. It has sites (servers, with
 * what is known of each), a ring that places keys, and a lender that hands a client to whoever
 * calls. A client belongs to one thread while it is lent, and holds one link per site: a
 * libmemcached handle with that one server in it, connected when first used.
 *
 * One handle per server, rather than one with all of them, so that an answer, a failure or a stale
 * connection always belongs to a known server, and names can be resolved outside of libmemcached.
 * The ring is a handle that never connects; only the pure memcached_generate_hash() is called on
 * it.
 *
 * Nothing here is locked while libmemcached is at work.
 *
 * Whoever works with an edge enters it before and leaves it after, and so does a session for as
 * long as it holds a client. Shutting an edge down lets nobody in any more, and whoever leaves it
 * last frees all but its shell, which stays until close.
 */
#ifndef MEMCACHED_EDGE_H
#define MEMCACHED_EDGE_H

#include <libmemcached/memcached.h>

#include <larder/util/key_codec.h>
#include <larder/util/markdown.h>
#include <larder/util/resolver.h>
#include "config.h"

/* No server has a larger item. Source: memcached's largest -I is 1 GiB. */
#define ITEM_BYTES_MAX (UINT64_C(1) << 30)

/* Counters of an edge: relaxed, they order nothing. ROW(name) */
#define EDGE_COUNTER_TABLE(ROW)                                                                  \
    ROW(dials) /* connections opened */                                                          \
    ROW(dials_failed)                                                                            \
    ROW(links_open)      /* connections there are now */                                         \
    ROW(links_replaced)  /* closed after an answer that was not known to be good, or as stale */ \
    ROW(links_abandoned) /* left to the parent after fork() */                                   \
    ROW(timeouts)                                                                                \
    ROW(closed) /* connections that the server closed under a call */                            \
    ROW(protocol_errors)                                                                         \
    ROW(wrong_keys)     /* replies to another key than was asked for */                          \
    ROW(reads_repeated) /* on a new connection, after the idle one turned out to be closed */    \
    ROW(refused_down)   /* calls answered UNAVAILABLE because the server was marked down */

/* Of an edge and those that follow it with other servers. The last one frees it. */
struct edge_counters {
    _Atomic uint32_t holders; /* acq_rel: what others counted comes before the end */
#define EDGE_COUNTER_FIELD(name) _Atomic uint64_t name;
    EDGE_COUNTER_TABLE(EDGE_COUNTER_FIELD)
#undef EDGE_COUNTER_FIELD
};

#define EDGE_COUNT(edge, name) \
    atomic_fetch_add_explicit(&(edge)->counters->name, 1, memory_order_relaxed)
#define EDGE_UNCOUNT(edge, name) \
    atomic_fetch_sub_explicit(&(edge)->counters->name, 1, memory_order_relaxed)

/* A server. */
struct site {
    const struct larder_server *server; /* in the edge's config */
    struct larder_name *name;           /* NULL: the address needs no resolving */
    char address[LARDER_ADDRESS_BYTES]; /* then this is it; "" for a Unix socket */
    struct larder_markdown markdown;
    /* Connections older than this are replaced before they are used. Relaxed: whoever misses the
     * newest step finds the closed connection itself. */
    _Atomic uint64_t epoch;
    _Atomic uint64_t item_max; /* relaxed; the server's largest item in bytes; 0: to be asked for */
};

/* A connection. Owned by its client. */
struct link {
    memcached_st *handle; /* NULL: none */
    memcached_result_st result;
    uint64_t epoch;     /* of the site when it was dialled */
    int32_t timeout_ms; /* as set in the handle */
    int cas;            /* whether text reads ask for versions */
    int used; /* it has answered a call before: a close may mean that it was idle too long */
};

/* Lent to one thread at a time. */
struct client {
    struct client *next; /* in the lender's list */
    uint64_t generation; /* of the edge when its links were dialled */
    uint32_t link_count; /* links with a handle */
    uint32_t link_lost;  /* links that broke while it was lent */
    struct link links[]; /* one per site */
};

/** Lends a client until the deadline. @return OK; TIMEOUT; UNAVAILABLE; NO_MEMORY; CLOSED */
typedef enum larder_status lender_borrow_fn(void *lender, uint64_t deadline_ns,
                                            struct client **client);
typedef void lender_give_back_fn(void *lender, struct client *client);

struct lender {
    lender_borrow_fn *borrow;
    lender_give_back_fn *give_back;
    void *context;
};

struct edge {
    struct lender lender; /* set by the backend before the first call */
    uint32_t site_count;  /* set in open, then only read, as are the traits */
    struct larder_traits traits;
    /* What the shell lacks: set in open, then only read, by those who are inside; NULL when the
     * last has left an edge that was shut down. */
    struct config *config;
    struct site *sites;
    memcached_st *ring;
    /* Steps in a forked child, before it has a second thread: connections of an older generation
     * are the parent's. */
    uint64_t generation;
    struct edge_counters *counters; /* held */
    pthread_mutex_t mutex;          /* order: before a mark-down's, and that around fork() alone */
    struct {                        /* touched only while holding mutex */
        uint32_t inside;            /* calls, and sessions that hold a client */
        int shut;
    } guarded;
};

/* ---- edge.c -------------------------------------------------------------------------------- */

/** @return OK with an edge that lacks only its lender; BAD_ARGUMENT; UNSUPPORTED; NO_MEMORY */
enum larder_status edge_open(const struct common_options *options, uint64_t promises,
                             const struct larder_message *message, struct edge **edge);
/** Goes on from what `older`, which is open, knows of the servers that both have. Before the first
 * call. */
void edge_follow(struct edge *edge, struct edge *older);
/** Likewise, of an edge that differs in its servers alone: it goes on counting, too. Clients are
 * its own, since each has connections to the servers of a list. */
void edge_relist(struct edge *edge, struct edge *older);
/** @return 0: it was shut down; 1: it stays as it is until edge_leave() */
int edge_enter(struct edge *edge);
void edge_leave(struct edge *edge);
/** Lets nobody in any more. The lender's idle clients are freed before. */
void edge_shut(struct edge *edge);
/** Last and alone; the lender's clients are freed before. NULL does nothing. */
void edge_close(struct edge *edge);
/** The child's step forgets the parent's connections. */
void edge_fork(struct edge *edge, enum larder_fork_step step);
void edge_stats(struct edge *edge, struct larder_stats_out *out);
const struct larder_traits *edge_traits(const void *edge);
/** Where a key belongs. @param key  the caller's; @param wire  its wire form */
uint32_t edge_place(const struct edge *edge, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire);

/* ---- client.c ------------------------------------------------------------------------------ */

/** Makes a client without connections: never blocks. NULL when memory ran out. */
struct client *client_create(const struct edge *edge);
/** Closes its connections. NULL does nothing. */
void client_free(struct edge *edge, struct client *client);
/** Forgets connections that a forked child inherited, without a byte on them. */
void client_leave_inherited(struct edge *edge, struct client *client);

/** What became of a connection in an exchange. */
enum fate {
    FATE_CLEAN,   /* the answer was complete and known: keep it */
    FATE_REFUSED, /* an answer that may mean several things. This and what follows: replace it */
    FATE_TIMEOUT,
    FATE_CLOSED,
    FATE_PROTOCOL
};

/** Connects, with a `version` exchange, so that a link with a handle is known to work.
 * @return OK; TIMEOUT; UNAVAILABLE; PROTOCOL; NO_MEMORY. Nothing was written but "version". */
enum larder_status link_dial(struct edge *edge, struct client *client, uint32_t site,
                             uint64_t deadline_ns);
void link_drop(struct edge *edge, struct client *client, uint32_t site);
/** Lets the handle wait as long as the deadline says, at least 1 ms. @return 0 when nothing is left
 */
int link_set_deadline(struct link *link, uint64_t deadline_ns);
/** Whether text reads are to ask for versions. */
void link_set_cas(struct link *link, int cas);
/** The next result of a read. @return NULL after the last one, with a code for link_answered() */
memcached_result_st *link_fetch(struct link *link, memcached_return_t *code);
/** 1 when the results went up to the answer's proper end. */
int link_answered(const struct link *link, memcached_return_t code);
/** Gives back what a large value took: an idle connection keeps no more than a small buffer. */
void link_trim(struct link *link, size_t length);
/** 1 while the connection stands: libmemcached closes it on whatever it did not understand. */
int link_alive(const struct link *link);
/** What a return code that is no known good answer says about the connection. */
enum fate link_fate(const struct link *link, memcached_return_t code);

/* ---- exchange.c ---------------------------------------------------------------------------- */

/** One public call. On the stack of its thread. */
struct call {
    struct edge *edge;
    const struct larder_scope *scope;
    uint64_t deadline_ns;
    struct client *client; /* NULL: none was needed so far */
    int held;              /* the client is the session's */
    int entered;           /* the edge is to be left */
};

/** @return OK; CLOSED; WOULD_BLOCK: every call waits for the network. call_end() follows always */
enum larder_status call_begin(struct call *call, const struct larder_scope *scope);
/** Gives the client back and leaves. */
void call_end(struct call *call);

/** Takes a client, unless the call has one. @return OK; as lender_borrow_fn */
enum larder_status call_borrow(struct call *call);
/** 1 when the call's client needs no dialling for that site. */
int call_connected(const struct call *call, uint32_t site);

/** A key on its way. */
struct target {
    struct larder_wire_key wire;
    uint32_t site;
};

/** @return OK; NO_MEMORY; BAD_ARGUMENT for a scope that names a server which there isn't */
enum larder_status call_target(const struct call *call, struct larder_slice key,
                               struct target *target);

/** A site to speak with. */
struct line {
    struct link *link;
    uint32_t site;
    uint64_t ticket;     /* of the mark-down's prober; 0: none */
    uint64_t granted_ms; /* how long the server had at least */
    int fresh;           /* nothing was asked on this connection before */
};

/** Gets a working connection. @return OK, closed again with line_close(); TIMEOUT, UNAVAILABLE,
 * PROTOCOL, NO_MEMORY, CLOSED: nothing was sent */
enum larder_status line_open(struct call *call, uint32_t site, struct line *line);
/** Tells the mark-down, and keeps or replaces the connection. */
void line_close(struct call *call, const struct line *line, enum fate fate);
/** 1 when a read that ended so may be repeated: the connection had been idle, and was closed. */
int line_may_repeat(const struct call *call, const struct line *line, enum fate fate);

/** One question and its answer. Embedded, first, in what the question needs. */
struct talk;
typedef enum fate talk_fn(struct link *link, struct talk *talk);
struct talk {
    talk_fn *run;
    int is_read;
    enum larder_status status; /* the answer, when the fate is clean or refused */
};

/** Speaks with a site; a read once more when the connection had been closed while idle.
 * @return the answer; for a read that failed TIMEOUT, UNAVAILABLE or PROTOCOL, for a write UNKNOWN;
 *         as line_open() when nothing was sent */
enum larder_status converse(struct call *call, uint32_t site, struct talk *talk);
/** What a read that ended so answers. */
enum larder_status read_failure(enum fate fate);

/* ---- limits.c ------------------------------------------------------------------------------ */

/** @return OK, TOO_LARGE when the server would refuse this value (and drop the old one), or what
 * came of asking the server for its limit */
enum larder_status limit_check(struct call *call, const struct target *target, size_t length,
                               uint32_t flags);

/* ---- ttl.c --------------------------------------------------------------------------------- */

/** The exptime for a TTL: never early, at most two seconds late, never past the server's last
 * second.
 * @param now_s  the wall clock, for TTLs past 30 days */
time_t exptime_of(int64_t ttl_ms, int64_t now_s);
time_t exptime_from_now(int64_t ttl_ms);

/* ---- operations: rows of the ops tables ---------------------------------------------------- */

larder_read_fn edge_read;
larder_get_fn edge_get;
larder_store_fn edge_store;
larder_remove_fn edge_remove;
larder_touch_fn edge_touch;
larder_get_and_touch_fn edge_get_and_touch;
larder_count_fn edge_count;
larder_many_fn edge_many;
larder_flush_fn edge_flush;
larder_wire_key_fn edge_wire_key;
larder_servers_fn edge_servers;
larder_place_fn edge_placed;

/* ---- the same within one call -------------------------------------------------------------- */

enum larder_status call_read(struct call *call, struct larder_slice key, void *buffer, size_t size,
                             struct larder_info *info);
enum larder_status call_get(struct call *call, struct larder_slice key, struct larder_value *value);
enum larder_status call_store(struct call *call, enum larder_mode mode, struct larder_slice key,
                              const struct larder_write *write);
enum larder_status call_remove(struct call *call, struct larder_slice key, uint64_t version);
enum larder_status call_touch(struct call *call, struct larder_slice key, int64_t ttl_ms);

/** 0 for bytes that no item has: libmemcached passes on lengths that ran over. */
int bytes_plausible(const void *bytes, size_t length);
int result_is_plausible(const memcached_result_st *result);
/** Fills in what a result says. */
void info_take(struct larder_info *info, const memcached_result_st *result);
/** Makes a view of a result. */
enum larder_status value_take(struct larder_value *value, memcached_result_st *result);
/** Takes back a view that was made too early. */
void value_undo(struct larder_value *value);
/** 1 when a result answers this wire key. */
int result_is_of(const memcached_result_st *result, struct larder_slice wire);

#endif
