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

/* A value up to this length is copied behind its line: gathering it costs the kernel more. A longer
 * one goes out from where it is. */
#define COPIED_BYTES 1024u

/* Counters: relaxed, they order nothing. */
#define META_COUNT(meta, name) \
    atomic_fetch_add_explicit(&(meta)->common->counters.name, 1, memory_order_relaxed)
/* Of a server, and of all that there were. */
#define SITE_COUNT(site, name) SITE_ADD(site, name, 1)
#define SITE_UNCOUNT(site, name) SITE_ADD(site, name, UINT64_MAX)
#define SITE_ADD(site, name, number)                                                           \
    do {                                                                                       \
        atomic_fetch_add_explicit(&(site)->counters.name, number, memory_order_relaxed);       \
        atomic_fetch_add_explicit(&(site)->common->totals.name, number, memory_order_relaxed); \
    } while (0)

/* Of the whole cache, and of those that follow it. ROW(name) */
#define META_COUNTER_TABLE(ROW)                                                        \
    ROW(wins_returned) /* rights to renew a stale entry that a plain read was given */ \
    ROW(quiet_lost)    /* writes without a reply that were refused, or whose fate is not known */

/* Of each server, and added up for the cache. ROW(name) */
#define SITE_COUNTER_TABLE(ROW)                                                                    \
    ROW(connections) /* that there are now */                                                      \
    ROW(dials)       /* connections that were begun */                                             \
    ROW(dials_failed)                                                                              \
    ROW(connections_replaced) /* closed since they were stale, or to probe */                      \
    ROW(tls_resumed)          /* connections that went on with a session from before */            \
    ROW(calls_repeated)       /* on a new connection, when the idle one turned out to be closed */ \
    ROW(refused_down)         /* calls answered UNAVAILABLE since the server was marked down */

/* Exchanges by how long they took: [n] from 2^(n-1) microseconds to less than 2^n; [0] less than 1;
 * the last also all that is more. */
#define LATENCY_BUCKETS 24u

#define META_COUNTER_FIELD(name) _Atomic uint64_t name;
struct meta_counters {
    META_COUNTER_TABLE(META_COUNTER_FIELD)
};
struct site_counters {
    SITE_COUNTER_TABLE(META_COUNTER_FIELD)
};
#undef META_COUNTER_FIELD

/* What a meta and those that follow it with other servers have in common. The last one frees it. */
struct common {
    _Atomic uint32_t holders; /* metas and sites; acq_rel: what others did comes before the end */
    struct meta_counters counters;
    struct site_counters totals; /* of all servers, also those that left */
    int nodelay;                 /* these: set in open, then only read */
    int keepalive;
    larder_meta_connect_fn *connect;
    void *connect_context;
    struct tls_context *tls;   /* NULL: cleartext */
    struct larder_slice login; /* empty: none */
};

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
    struct tls_peer *tls;               /* NULL: cleartext */
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
    struct site_counters counters; /* these three are relaxed, and go with the server */
    _Atomic uint64_t failed[LARDER_META_FAILURES];
    _Atomic uint64_t latency[LATENCY_BUCKETS];
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
    int in_order; /* there is one connection to each server */
    int leases;   /* 0: no entry is leased or stale, so none is looked at before it is changed */
    uint64_t stale_ms;     /* so long a deleted entry stays as a stale one; 0: it goes at once */
    int stale_on_conflict; /* so does what a cas or a fill lost against */
    larder_meta_trace_fn *trace;
    void *trace_context;
    struct larder_traits traits;
    /* No call begins any more. Relaxed: one that misses it is one that began before. */
    atomic_bool shut;
};

/* ---- site.c -------------------------------------------------------------------------------- */

/** @return OK, given back with meta_common_let_go(); BAD_ARGUMENT with a message; NO_MEMORY */
enum larder_status meta_common_open(const struct larder_meta_options *options,
                                    const struct larder_message *message, struct common **common);
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
    uint64_t now_ns; /* when the clock was last looked at: whoever has waited looks again */
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
/** Both: a call on one key. */
enum larder_status meta_call_begin_on(struct call *call, const struct larder_scope *scope,
                                      struct larder_slice key, struct target *target);
uint32_t meta_place(const struct meta *meta, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire);

/** A member on loan for one exchange. */
struct line {
    struct site *site;
    struct member *member;
    uint64_t ticket;     /* of the mark-down's prober; 0: none */
    uint64_t connect_ns; /* until when the server must have accepted */
    uint64_t began_ns;   /* when it was lent */
    uint64_t granted_ns; /* how long it had */
    int fresh;           /* nothing was asked on this connection before */
};

/** Asks the mark-down, takes a member, hears what it is owed, and begins to connect it where it is
 * not.
 * @param wait  0: don't wait for a member
 * @return OK, given back with meta_line_close(); TIMEOUT, UNAVAILABLE, NO_MEMORY, CLOSED,
 * WOULD_BLOCK: nothing was sent */
enum larder_status meta_line_open(struct call *call, struct site *site, int wait,
                                  struct line *line);
/** Tells the mark-down, and keeps or closes the connection. */
void meta_line_close(struct call *call, struct line *line, enum connection_step step,
                     const struct exchange *exchange);
/** 1 when what ended so may be asked again: the connection had been idle, and was closed before it
 * answered, and a write before any of it had left. */
int meta_line_may_repeat(const struct call *call, const struct line *line,
                         enum connection_step step, const struct exchange *exchange, int is_read);
/** What a call that ended so answers: CLOSED when it has changed nothing and the cache was shut
 * down meanwhile. */
enum larder_status meta_step_failure(struct site *site, enum connection_step step,
                                     const struct exchange *exchange, int is_read);

#define OPAQUE_BYTES 8u
/** The next opaque of a connection, in hex. */
struct larder_slice meta_next_opaque(struct connection *connection, char text[OPAQUE_BYTES]);
struct larder_slice meta_format_opaque(uint32_t number, char text[OPAQUE_BYTES]);

/** 1 for an answer of use: an error says nothing of what is there, so no mg can use it. */
static inline int meta_is_of_use(const struct larder_meta_request *request,
                                 const struct larder_meta_reply *reply)
{
    return request->command != LARDER_META_GET || reply->cause == LARDER_META_NO_ERROR;
}

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
    int is_list;               /* whoever takes the last reply sets `due` to 1 */
    int quiet;                 /* a write that is OK when it was sent; its reply is taken by whoever
                                  uses the connection next */
    enum larder_status status; /* the answer */
    const char *text;          /* a classic request instead, with its line end; NULL: none */
    char opaque[OPAQUE_BYTES];
};

/** All but the request, where nothing else is to be said. Most questions are asked so, and clearing
 * the whole would cost more than the rest of it. */
static inline void meta_question_init(struct question *question, answer_fn *answer, int is_read)
{
    question->value = larder_bytes(NULL, 0);
    question->answer = answer;
    question->is_read = is_read;
    question->is_list = question->quiet = 0;
    question->text = NULL;
}

/** Asks a site; a read once more when the connection had been closed while idle.
 * @return the answer; for a read that failed TIMEOUT, UNAVAILABLE or PROTOCOL, for a write UNKNOWN
 *         once a byte may have left; as meta_line_open() when nothing was sent */
enum larder_status meta_ask(struct call *call, struct site *site, struct question *question);

/* ---- outcome.c ----------------------------------------------------------------------------- */

/** What an exchange came to. */
struct outcome {
    enum larder_meta_failure failure; /* unless `answered` */
    int answered;
    int quiet;       /* it went well so far: nothing was to be heard yet */
    const char *why; /* static storage */
    uint32_t flags;  /* of its event */
    uint64_t took_ns;
    int marked;    /* it marked the server down */
    int recovered; /* it was the probe, and the server is back */
};

/** Judges, counts, and tells the mark-down. Before the connection is closed. */
void meta_outcome_take(const struct call *call, const struct line *line, enum connection_step step,
                       const struct exchange *exchange, struct outcome *outcome);
void meta_outcome_tell(struct call *call, const struct site *site, const struct outcome *outcome);
/** Tells whoever traces. When the member was given back. */
static inline void meta_outcome_trace(struct call *call, const struct site *site,
                                      const struct outcome *outcome)
{
    if (call->meta->trace != NULL && !outcome->quiet)
        meta_outcome_tell(call, site, outcome);
}

/* ---- figures.c ----------------------------------------------------------------------------- */

larder_stats_fn meta_stats;

/* ---- login.c ------------------------------------------------------------------------------- */

/** @param reference  NULL: none. @return OK, given back with meta_login_close(); BAD_ARGUMENT with
 * a message; NO_MEMORY */
enum larder_status meta_login_open(const char *reference, const struct larder_message *message,
                                   struct larder_slice *request);
/** Wipes it. */
void meta_login_close(struct larder_slice request);

/* ---- limits.c ------------------------------------------------------------------------------ */

/** @return OK, TOO_LARGE when the server would refuse this value (and drop the old one), or what
 * came of asking the server for its limit */
enum larder_status meta_limit_check(struct call *call, struct site *site, struct larder_slice wire,
                                    size_t length, uint32_t flags);

/* ---- state.c ------------------------------------------------------------------------------- */

enum state {
    STATE_NONE,
    STATE_LIVE,
    STATE_STALE,  /* marked by a delete, or by another program */
    STATE_PENDING /* the placeholder of a lease */
};

/** @param reply  to mg with the flags f, and s where it has no v */
static inline enum state meta_state_of(const struct larder_meta_reply *reply)
{
    uint64_t length = larder_meta_has_value(reply) ? reply->value_length : reply->size;
    if (reply->code == LARDER_META_EN)
        return STATE_NONE;
    /* Only what is leased is marked: an empty value is a value. One without flags that somebody
     * renews looks as a placeholder does, and is taken for one by all, from lease_get on. */
    if (reply->marks != 0 && length == 0 && reply->client_flags == 0)
        return STATE_PENDING;
    return (reply->marks & LARDER_META_STALE) != 0 ? STATE_STALE : STATE_LIVE;
}

/** What a look saw. */
struct sight {
    enum state state;
    uint64_t version; /* 0: the server gives none (-C), and nothing can be done at one */
    uint64_t length;
    uint32_t flags;
    int won;        /* looking took the right to renew it: meta_change() gives that back */
    int leased;     /* somebody else has that right */
    unsigned round; /* from 0 */
};

/** @return OK, also when nothing is there; or why it could not be seen */
enum larder_status meta_look(struct call *call, const struct target *target, struct sight *sight);

/** Somebody else changed what was seen. */
#define META_DISTURBED LARDER_ASKED
/** Does something about what is there, at the version that was seen. Clears sight->won when that
 * used up, or ended, the right to renew it. */
typedef enum larder_status change_fn(struct call *call, const struct target *target,
                                     struct sight *sight, const void *what);
/** Looks and changes until nobody disturbs it, by the call's deadline. */
enum larder_status meta_change(struct call *call, const struct target *target, change_fn *change,
                               const void *what);
/** What a request is answered that the server refused because something is there: `status` when
 * that is live, MISS when it is missing to our callers. */
enum larder_status meta_refusal(struct call *call, const struct target *target,
                                enum larder_status status);

/** What a request has to put right when it met what is missing to our callers. */
struct amends {
    int won;       /* it was given the right to renew it */
    int touched;   /* it gave it a TTL */
    int64_t ttl_s; /* then: what it had before */
};
struct amends meta_amends_of_marked(const struct larder_meta_request *request,
                                    const struct larder_meta_reply *reply);
void meta_amend(struct call *call, const struct target *target, const struct amends *amends);

/* Both for nearly all replies: what bears no mark is live, or not there. */
static inline struct amends meta_amends_of(const struct larder_meta_request *request,
                                           const struct larder_meta_reply *reply)
{
    return reply->marks != 0 ? meta_amends_of_marked(request, reply) : (struct amends){0};
}
static inline void meta_make_amends(struct call *call, const struct target *target,
                                    const struct amends *amends)
{
    if (amends->won || amends->touched)
        meta_amend(call, target, amends);
}
/** Hands the right to renew a stale entry to the next reader. @param version  0: as it is now */
void meta_return_win(struct call *call, const struct target *target, uint64_t version);

/* ---- rows of the ops table: read.c, write.c, remove.c, count.c, many.c, lease.c ------------ */

larder_read_fn meta_read;
larder_get_fn meta_get;
larder_get_and_touch_fn meta_get_and_touch;
larder_touch_fn meta_touch;
larder_store_fn meta_store;
larder_remove_fn meta_remove;
larder_count_fn meta_count;
larder_lease_get_fn meta_lease_get;
larder_lease_fill_fn meta_lease_fill;
larder_lease_return_fn meta_lease_return;
larder_flush_fn meta_flush;
larder_many_fn meta_many;

/* ---- the same within one call -------------------------------------------------------------- */

/** Where a read goes. */
struct delivery {
    struct larder_info *info;   /* may be NULL */
    struct larder_value *value; /* get; NULL: read */
    void *buffer;
    size_t size;
    int64_t touch_ttl_ms; /* that it gives; LARDER_TTL_UNKNOWN: none */
};

/** The flags of a read, and the TTL that it gives. */
void meta_read_request(struct larder_meta_request *request, struct larder_slice wire,
                       const struct delivery *delivery);
/** Takes the reply to such a request. @return its status */
enum larder_status meta_deliver(const struct delivery *delivery,
                                const struct larder_meta_reply *reply, void **sink,
                                size_t *sink_size);
/** The same for what is to be had, whatever is_missing. */
enum larder_status meta_deliver_value(const struct delivery *delivery,
                                      const struct larder_meta_reply *reply, void **sink,
                                      size_t *sink_size);
/** Takes back what was delivered of a reply that broke. */
void meta_undeliver(const struct delivery *delivery);
void meta_touch_request(struct larder_meta_request *request, struct larder_slice wire,
                        int64_t ttl_ms);
enum larder_status meta_touch_answer(const struct larder_meta_reply *reply);

/** 1 when a write is to be sent and left. */
int meta_is_quiet(const struct call *call);
/** The flags and the exptime of a store. */
void meta_store_request(struct larder_meta_request *request, enum larder_mode mode,
                        struct larder_slice wire, const struct larder_write *write);
/** @return 1, and the status; 0 for a reply that can't be an answer in this mode */
int meta_store_answer(enum larder_mode mode, const struct larder_meta_reply *reply,
                      enum larder_status *status);
void meta_remove_request(const struct meta *meta, struct larder_meta_request *request,
                         struct larder_slice wire, uint64_t version);
int meta_remove_answer(const struct larder_meta_reply *reply, enum larder_status *status);
enum larder_status meta_call_read(struct call *call, const struct target *target,
                                  const struct delivery *delivery);
enum larder_status meta_call_store(struct call *call, enum larder_mode mode,
                                   const struct target *target, const struct larder_write *write,
                                   uint64_t *version);
enum larder_status meta_call_remove(struct call *call, const struct target *target,
                                    uint64_t version);
/** 1 when a store of this mode, or a delete, begins with a look. */
int meta_store_looks(const struct meta *meta, enum larder_mode mode);
int meta_remove_looks(const struct meta *meta);
/** Marks what a store lost against as stale, where it did and the options say so. @return status */
enum larder_status meta_lost(struct call *call, const struct target *target,
                             enum larder_status status);
/** What follows a store, or a delete at a version, that was refused or too large. */
enum larder_status meta_store_afterthought(struct call *call, enum larder_mode mode,
                                           const struct target *target,
                                           const struct larder_write *write, uint64_t *version,
                                           enum larder_status status);
enum larder_status meta_remove_afterthought(struct call *call, const struct target *target,
                                            enum larder_status status);

/** One request at a version, which may be 0: whatever is there.
 * @return OK; META_DISTURBED; or a failure */
enum larder_status meta_store_at(struct call *call, enum larder_mode mode,
                                 const struct target *target, const struct larder_write *write,
                                 uint64_t at, uint64_t *version);
enum larder_status meta_remove_at(struct call *call, const struct target *target, uint64_t at);
/** Marks stale: for `stale_ms`, or where that is 0 for as long as it has. */
enum larder_status meta_mark_at(struct call *call, const struct target *target, uint64_t at,
                                uint64_t stale_ms);

/** The exptime for a TTL: never early, at most two seconds late. */
int32_t meta_exptime_from_now(int64_t ttl_ms);
/** The exptime that leaves an entry the time it has. @param ttl_s  as the server told; -1: for ever
 */
int32_t meta_exptime_of_left(int64_t ttl_s);

#endif
