/*
 * The inside of the meta backend. A meta is one open cache: sites (servers, with what is known of
 * each and a pool of connections), and a table that places keys. A call takes one connection of
 * each site that it speaks with, in the order of the sites, so that no two calls wait for each
 * other.
 *
 * Locks: each site's pool, mark-down and mutex are taken alone, and never while anything is sent or
 * received.
 */
#ifndef META_META_H
#define META_META_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <larder/meta.h>
#include <larder/pool.h>
#include <larder/util/key_codec.h>
#include <larder/util/markdown.h>
#include <larder/util/placement.h>
#include <larder/util/resolver.h>

#include "connection.h"

/* Counters: relaxed, they order nothing. ROW(name) */
#define META_COUNTER_TABLE(ROW)                                                                    \
    ROW(dials) /* connections opened */                                                            \
    ROW(dials_failed)                                                                              \
    ROW(connections)          /* that there are now */                                             \
    ROW(connections_replaced) /* closed after an answer that was not known to be good, or stale */ \
    ROW(timeouts)                                                                                  \
    ROW(closed) /* connections that the server closed under a call */                              \
    ROW(protocol_errors)                                                                           \
    ROW(reads_repeated) /* on a new connection, after the idle one turned out to be closed */      \
    ROW(wins_returned)  /* rights to renew a stale entry that a plain read was given */            \
    ROW(refused_down)   /* calls answered UNAVAILABLE because the server was marked down */

struct meta_counters {
#define META_COUNTER_FIELD(name) _Atomic uint64_t name;
    META_COUNTER_TABLE(META_COUNTER_FIELD)
#undef META_COUNTER_FIELD
};

/* What a meta and those that follow it with other servers have in common. The last one frees it. */
struct common {
    _Atomic uint32_t holders; /* metas and sites; acq_rel: what others did comes before the end */
    struct meta_counters counters;
    int nodelay; /* these: set in open, then only read */
    int keepalive;
    larder_meta_connect_fn *connect;
    void *connect_context;
};

/* Of a meta or a site. */
#define META_COUNT(of, name) \
    atomic_fetch_add_explicit(&(of)->common->counters.name, 1, memory_order_relaxed)
#define META_UNCOUNT(of, name) \
    atomic_fetch_sub_explicit(&(of)->common->counters.name, 1, memory_order_relaxed)

/* A connection in the pool of its site. */
struct member {
    struct connection connection; /* of the thread that has the member on loan */
    struct member *next;          /* this and published: guarded by the site's mutex */
    int published;                /* the descriptor, while shutdown and fork may end it; -1 */
    uint64_t epoch;               /* of the site when it was dialled */
};

/* A server. Metas of which one followed the other with another list share those in both. */
struct site {
    struct common *common;
    struct larder_server server;
    struct larder_name *name;           /* NULL: the address needs no resolving */
    char address[LARDER_ADDRESS_BYTES]; /* then this is it; "" for a Unix socket */
    struct larder_pool *pool;
    struct larder_markdown markdown;
    /* Connections older than this are replaced before they are used. Relaxed: whoever misses the
     * newest step finds the closed connection itself. */
    _Atomic uint64_t epoch;
    _Atomic uint64_t item_max; /* relaxed; the server's largest item in bytes; 0: to be asked for */
    pthread_mutex_t mutex;     /* a leaf */
    struct member *members;    /* guarded by mutex: all there are, for shutdown and fork */
    uint32_t users;   /* guarded by mutex: metas that are open to calls; of 0 nothing is dialled */
    uint32_t holders; /* metas that are not yet closed: touched by who opens or closes, one at a
                         time */
    uint32_t forking; /* metas whose step around fork() is under way: touched by that thread */
};

struct meta {
    struct common *common; /* this down to traits: set in open, then only read */
    struct site **sites;
    uint32_t site_count;
    struct larder_placement *placement;
    uint64_t timeout_ms;
    uint64_t connect_timeout_ms;
    int tags;
    int classic;
    struct larder_traits traits;
    /* No call begins any more. Relaxed: one that misses it is one that began before. */
    atomic_bool shut;
};

/* ---- site.c -------------------------------------------------------------------------------- */

/** @return NULL: no memory */
struct common *meta_common_new(const struct larder_meta_options *options);
struct common *meta_common_hold(struct common *common);
void meta_common_let_go(struct common *common);

/** Opens a site for one meta. @return OK, given back with meta_site_close(); NO_MEMORY */
enum larder_status meta_site_open(struct common *common, const struct larder_server *server,
                                  const struct larder_meta_options *options, struct site **site);
/** Opens one that another meta has for one more. @return 0: that was shut down, nothing is done */
int meta_site_share(struct site *site);
/** One meta lets no call in any more. The last one ends what waits for a member. */
void meta_site_shut(struct site *site);
/** Whether nothing is under way that meta_site_cut() would end. */
int meta_site_is_quiet(struct site *site);
/** Ends what is under way, where the last meta was shut. */
void meta_site_cut(struct site *site);
/** One meta is closed, after it was shut; the last one frees it. */
void meta_site_close(struct site *site);
/** 1 after the last one was shut, and to whoever sees his connection end by it. */
int meta_site_is_shut(struct site *site);
void meta_site_fork(struct site *site, enum larder_fork_step step);
/** Begins to connect a member. @return OVER, WAIT, LATER, CLOSED, MEMORY: as meta_connection_dial()
 */
enum connection_step meta_site_dial(struct site *site, struct member *member);
void meta_site_hang_up(struct site *site, struct member *member);
/** Everybody's idle connections are replaced, and the limits asked for, before they are used. */
void meta_site_renew(struct site *site);

/* ---- call.c -------------------------------------------------------------------------------- */

/** One public call. On the stack of its thread. */
struct call {
    struct meta *meta;
    const struct larder_scope *scope;
    uint64_t deadline_ns;
};

/** @return OK; CLOSED; WOULD_BLOCK: every call waits for the network */
enum larder_status meta_call_begin(struct call *call, const struct larder_scope *scope);

/** A key on its way. */
struct target {
    struct larder_wire_key wire;
    uint32_t number; /* of the site */
    struct site *site;
};

/** @return OK; NO_MEMORY; BAD_ARGUMENT for a scope that names a server which there isn't */
enum larder_status meta_call_target(const struct call *call, struct larder_slice key,
                                    struct target *target);
uint32_t meta_place(const struct meta *meta, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire);

/** A member on loan for one exchange. */
struct line {
    struct site *site;
    struct member *member;
    uint64_t ticket;     /* of the mark-down's prober; 0: none */
    uint64_t connect_ns; /* until when the server must have accepted */
    uint64_t granted_ms; /* how long it had at least */
    int fresh;           /* nothing was asked on this connection before */
};

/** Asks the mark-down, takes a member, and begins to connect it where it is not.
 * @param wait  0: don't wait for a member
 * @return OK, given back with meta_line_close(); TIMEOUT, UNAVAILABLE, NO_MEMORY, CLOSED,
 * WOULD_BLOCK: nothing was sent */
enum larder_status meta_line_open(struct call *call, struct site *site, int wait,
                                  struct line *line);
/** Tells the mark-down, and keeps or closes the connection. */
void meta_line_close(struct call *call, struct line *line, enum connection_step step,
                     const struct exchange *exchange);
/** 1 when what ended so may be asked again: the connection had been idle, and was closed before it
 * answered. */
int meta_line_may_repeat(const struct call *call, const struct line *line,
                         enum connection_step step, const struct exchange *exchange);
/** What a call that ended so answers: CLOSED when it has changed nothing and the cache was shut
 * down meanwhile. */
enum larder_status meta_step_failure(struct site *site, enum connection_step step,
                                     const struct exchange *exchange, int is_read);

#define OPAQUE_BYTES 8u
/** The next opaque of a connection, in hex. */
struct larder_slice meta_next_opaque(struct connection *connection, char text[OPAQUE_BYTES]);
struct larder_slice meta_format_opaque(uint32_t number, char text[OPAQUE_BYTES]);

/** One request and its answer. Embedded, first, in what it needs. */
struct question;
typedef int answer_fn(struct question *question, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size);
struct question {
    struct exchange exchange; /* first: a pointer to it is a pointer to the whole */
    struct larder_meta_request request;
    struct larder_slice value; /* STORE */
    answer_fn *answer;         /* as exchange_reply_fn, for a reply that fits */
    int is_read;               /* harmless to repeat */
    enum larder_status status; /* the answer */
    const char *text;          /* a classic request instead, with its line end; NULL: none */
    char opaque[OPAQUE_BYTES];
};

/** Asks a site; a read once more when the connection had been closed while idle.
 * @return the answer; for a read that failed TIMEOUT, UNAVAILABLE or PROTOCOL, for a write UNKNOWN
 *         once a byte may have left; as meta_line_open() when nothing was sent */
enum larder_status meta_ask(struct call *call, struct site *site, struct question *question);

/* ---- limits.c ------------------------------------------------------------------------------ */

/** @return OK, TOO_LARGE when the server would refuse this value (and drop the old one), or what
 * came of asking the server for its limit */
enum larder_status meta_limit_check(struct call *call, struct site *site, struct larder_slice wire,
                                    size_t length, uint32_t flags);

/* ---- rows of the ops table: read.c, write.c, many.c ---------------------------------------- */

larder_read_fn meta_read;
larder_get_fn meta_get;
larder_get_and_touch_fn meta_get_and_touch;
larder_touch_fn meta_touch;
larder_store_fn meta_store;
larder_remove_fn meta_remove;
larder_count_fn meta_count;
larder_flush_fn meta_flush;
larder_many_fn meta_many;

/* ---- the same within one call -------------------------------------------------------------- */

/** Where a read goes. */
struct delivery {
    struct larder_info *info;   /* may be NULL */
    struct larder_value *value; /* get; NULL: read */
    void *buffer;
    size_t size;
};

/** The flags of a read, and the TTL that it gives. @param touch_ttl_ms  LARDER_TTL_UNKNOWN: none */
void meta_read_request(struct larder_meta_request *request, struct larder_slice wire,
                       const struct larder_info *info, int64_t touch_ttl_ms);
/** Takes the reply to such a request. @return 1, and its status; 0 for one that can't be */
int meta_deliver(const struct delivery *delivery, const struct larder_meta_reply *reply,
                 void **sink, size_t *sink_size, enum larder_status *status);
/** Takes back what was delivered of a reply that broke. */
void meta_undeliver(const struct delivery *delivery);
/** 1 when a reply gave us the right to renew a stale entry. */
int meta_is_unwanted_win(const struct larder_meta_reply *reply);
/** Hands such a right to the next reader. */
void meta_return_win(struct call *call, const struct target *target);

/** The flags and the exptime of a store. */
void meta_store_request(struct larder_meta_request *request, enum larder_mode mode,
                        struct larder_slice wire, const struct larder_write *write);
/** @return 1, and the status; 0 for a reply that can't be an answer in this mode */
int meta_store_answer(enum larder_mode mode, const struct larder_meta_reply *reply,
                      enum larder_status *status);
void meta_remove_request(struct larder_meta_request *request, struct larder_slice wire,
                         uint64_t version);
int meta_remove_answer(const struct larder_meta_reply *reply, enum larder_status *status);
enum larder_status meta_call_read(struct call *call, const struct target *target,
                                  const struct delivery *delivery, int64_t touch_ttl_ms);
/** What follows a store that was refused or too large. */
enum larder_status meta_store_afterthought(struct call *call, enum larder_mode mode,
                                           const struct target *target,
                                           const struct larder_write *write,
                                           enum larder_status status);

/** The exptime for a TTL: never early, at most two seconds late. */
int32_t meta_exptime_from_now(int64_t ttl_ms);

#endif
