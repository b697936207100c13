/*
 * A connection to one memcached, and what is said on it. It belongs to one thread at a time.
 * Nothing here waits but meta_connection_run(): an event loop can poll `descriptor` for what
 * meta_connection_step() asks for, and step again.
 *
 * An exchange is bytes to send and replies that are due. They are read while the rest is still
 * being sent, so that a server whose own buffers are full never waits for us while we wait for it.
 * What memcached would not say at that point ends the connection, and so do bytes behind the last
 * reply.
 */
#ifndef META_CONNECTION_H
#define META_CONNECTION_H

#include <sys/uio.h>

#include <larder/util/meta_wire.h>

#include "tls.h"

/** Holds any reply line; longer values go straight to where they belong. */
#define CONNECTION_INPUT_BYTES 16384u

/** On TCP a quick answer is waited for in recv() itself, which saves a system call; poll(), which
 * keeps the deadline to the millisecond, comes after that. On a Unix socket a recv() that waits
 * costs more than poll() and one that does not: measured, on Linux 6.18. */
#define PATIENCE_MS 20u

/** Returns a connected stream socket, or -1. Called in the thread of a call, within its deadline.
 */
typedef int connect_fn(void *context, const char *host, uint32_t port);

/** How a server is reached. What it points to must outlive the connections. */
struct endpoint {
    const char *address; /* numeric, or the path of a Unix socket */
    uint32_t port;       /* 0: a Unix socket */
    int nodelay;
    int keepalive;
    connect_fn *connect; /* NULL: connect(2) */
    void *connect_context;
    struct tls_peer *tls;      /* NULL: none */
    struct larder_slice login; /* a request that is answered STORED before others are taken; empty:
                                  none */
};

struct exchange;

/**
 * Takes one reply, whose slices are gone when it returns.
 * @param sink       comes in NULL; where the value goes
 * @param sink_size  comes in 0; the rest of a longer value is read and dropped
 * @return 0 for a reply that can't be: the connection ends
 */
typedef int exchange_reply_fn(struct exchange *exchange, const struct larder_meta_reply *reply,
                              void **sink, size_t *sink_size);

#define EXCHANGE_OPEN UINT32_MAX /* `due` of a list; whoever sees its end sets it to 1 */

struct exchange {
    exchange_reply_fn *reply;
    const struct larder_meta_request *request; /* that the next reply must answer; NULL: a classic
                                                  one, or whatever `reply` takes */
    uint32_t due;                 /* replies, this one included; 0: over when all is sent */
    struct iovec *unsent;         /* changed as bytes go out */
    size_t unsent_count;          /* while not 0 something is to be sent */
    size_t value_max;             /* a longer value is no value of this server's */
    size_t sent;                  /* bytes. 0: nothing can have arrived */
    uint32_t heard;               /* replies that came whole */
    int partial;                  /* the first bytes of one more have come */
    enum larder_meta_cause cause; /* why the last reply ended the connection */
    int state;                    /* of the value that is on its way; 0: none is, and the rest is
                                     nothing */
    char *sink;
    size_t sink_left;
    size_t value_left;
};

/** Nothing sent or heard yet, and no value on its way. */
static inline void exchange_init(struct exchange *exchange, exchange_reply_fn *reply, uint32_t due,
                                 struct iovec *unsent, size_t unsent_count)
{
    exchange->reply = reply;
    exchange->request = NULL;
    exchange->due = due;
    exchange->unsent = unsent;
    exchange->unsent_count = unsent_count;
    exchange->value_max = LARDER_META_VALUE_BYTES_MAX;
    exchange->sent = 0;
    exchange->heard = 0;
    exchange->partial = 0;
    exchange->cause = LARDER_META_NO_ERROR;
    exchange->state = 0;
}

/** 1 while the value of a reply that was taken is not all there. */
static inline int exchange_in_value(const struct exchange *exchange)
{
    return exchange->state != 0;
}

/** What is still to be done before requests can go out. */
enum connection_stage { STAGE_READY = 0, STAGE_CONNECT, STAGE_HANDSHAKE, STAGE_LOGIN };

struct connection {
    int descriptor;                   /* -1: none */
    enum connection_stage connecting; /* 0 when requests can go out */
    int patient;                      /* recv() may wait, for PATIENCE_MS */
    int used;                         /* it has answered before: a close may mean that it was idle
                                         too long */
    uint32_t opaque;                  /* of the last request */
    int owed;                         /* 1: the reply to that request has still to come */
    uint64_t idle_ns;                 /* when it was last used, on CLOCK_MONOTONIC */
    struct tls_peer *peer;            /* of its endpoint */
    struct tls *tls;                  /* NULL: bytes go as they are */
    struct iovec login_bytes;         /* that are still to go out */
    struct exchange login;            /* its answer */
    uint32_t start, end;              /* of what was received and not yet taken */
    char input[CONNECTION_INPUT_BYTES];
};

enum connection_step {
    STEP_OVER,    /* all replies are there, and nothing else is */
    STEP_WAIT,    /* for `events` */
    STEP_LATER,   /* the server's queue is full: again in a moment */
    STEP_CLOSED,  /* refused, reset, or the end of the connection */
    STEP_BROKEN,  /* what came was no reply to this */
    STEP_TIMEOUT, /* only meta_connection_run() */
    STEP_MEMORY   /* while it is opened: no descriptor, no memory */
};

/** Empty, not connected. */
void meta_connection_init(struct connection *connection);
/** Begins to connect; never waits, unless the endpoint's own function does. Handshake and login
 * come with the first steps. @return OVER when it is done, WAIT when it has begun, LATER, CLOSED,
 * MEMORY
 */
enum connection_step meta_connection_dial(struct connection *connection,
                                          const struct endpoint *endpoint);
/** Closes, and forgets what came. */
void meta_connection_close(struct connection *connection);
/** 1 when something waits to be read, or the server has closed: an idle connection has neither. */
int meta_connection_has_news(const struct connection *connection);

/** Goes as far as it can without waiting.
 * @param events  on WAIT what to poll(2) the descriptor for */
enum connection_step meta_connection_step(struct connection *connection, struct exchange *exchange,
                                          short *events);
/** Steps until it is over, or the deadline. Interrupted by no signal.
 * @param now_ns      the time, as of before this exchange
 * @param connect_ns  until when requests must be able to go out */
enum connection_step meta_connection_run(struct connection *connection, struct exchange *exchange,
                                         uint64_t now_ns, uint64_t connect_ns,
                                         uint64_t deadline_ns);

/* ---- between dial.c and connection.c ------------------------------------------------------- */

/** Goes on opening. @return OVER when requests can go out; WAIT for `events`; CLOSED, BROKEN,
 * MEMORY
 * @param cause  why the login was refused */
enum connection_step meta_connection_open_step(struct connection *connection, short *events,
                                               enum larder_meta_cause *cause);
/** A step of an exchange on a connection that is open so far. */
enum connection_step meta_connection_converse(struct connection *connection,
                                              struct exchange *exchange, short *events);

#endif
