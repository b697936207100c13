/* A connection to one memcached. */
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <larder/util/deadline.h>

/* From here on a value is read straight to where it belongs. */
#define DIRECT_BYTES 4096u
/* sendmsg() takes so many. Source: IOV_MAX of Linux. */
#define VECTORS_MAX 1024u
/* Without a look at the clock: a server that never stops talking must not keep us from it. */
#define RECEIVES_MAX 8u

enum state { AT_LINE = 0, IN_VALUE, AT_END };

/* ---- bytes --------------------------------------------------------------------------------- */

int meta_connection_has_news(const struct connection *connection)
{
    char byte;
    ssize_t got = recv(connection->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* As recv(2); EPROTO: TLS has failed. */
static ssize_t take_bytes(struct connection *connection, void *bytes, size_t size, int flags)
{
    if (connection->tls != NULL)
        return meta_tls_receive(connection->tls, bytes, size);
    return recv(connection->descriptor, bytes, size, flags);
}

#define SEND_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

static ssize_t send_vectors(int descriptor, struct iovec *vectors, size_t count)
{
    const struct msghdr message = {.msg_iov = vectors,
                                   .msg_iovlen = count < VECTORS_MAX ? count : VECTORS_MAX};
    return sendmsg(descriptor, &message, SEND_FLAGS);
}

/* As sendmsg(2). One vector, the usual case, goes by send(), which costs the kernel less. */
static ssize_t give_bytes(struct connection *connection, struct iovec *vectors, size_t count)
{
    if (connection->tls != NULL)
        return meta_tls_send(connection->tls, vectors, count);
    if (count == 1)
        return send(connection->descriptor, vectors->iov_base, vectors->iov_len, SEND_FLAGS);
    return send_vectors(connection->descriptor, vectors, count);
}

static enum connection_step after_error(int error)
{
    if (error == EAGAIN || error == EINTR)
        return STEP_WAIT;
    return error == EPROTO ? STEP_BROKEN : STEP_CLOSED;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void count_sent(struct exchange *exchange, size_t sent)
{
    exchange->sent += sent;
    while (exchange->unsent_count > 0 && sent >= exchange->unsent->iov_len) {
        sent -= exchange->unsent->iov_len;
        exchange->unsent++;
        exchange->unsent_count--;
    }
    if (sent > 0) {
        exchange->unsent->iov_base = (char *)exchange->unsent->iov_base + sent;
        exchange->unsent->iov_len -= sent;
    }
}

/* @return OVER when something went out, WAIT when nothing could, CLOSED, BROKEN */
static enum connection_step send_some(struct connection *connection, struct exchange *exchange)
{
    ssize_t sent;
    do {
        sent = give_bytes(connection, exchange->unsent, exchange->unsent_count);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return after_error(errno);
    count_sent(exchange, (size_t)sent);
    return STEP_OVER;
}

/* ---- receiving ----------------------------------------------------------------------------- */

static enum connection_step received(ssize_t got, int error)
{
    if (got > 0)
        return STEP_OVER;
    return got < 0 ? after_error(error) : STEP_CLOSED;
}

/* A long value, without a copy in between. */
static enum connection_step receive_value(struct connection *connection, struct exchange *exchange,
                                          int flags)
{
    size_t most =
        exchange->sink_left < exchange->value_left ? exchange->sink_left : exchange->value_left;
    ssize_t got = take_bytes(connection, exchange->sink, most, flags);
    if (got > 0) {
        exchange->sink += got;
        exchange->sink_left -= (size_t)got;
        exchange->value_left -= (size_t)got;
    }
    return received(got, errno);
}

/* @param flags  MSG_DONTWAIT, or 0 to be patient. @return OVER when something came, WAIT, CLOSED,
 * BROKEN */
static enum connection_step receive(struct connection *connection, struct exchange *exchange,
                                    int flags)
{
    uint32_t left = connection->end - connection->start;
    if (left == 0 && exchange->state == IN_VALUE && exchange->sink_left >= DIRECT_BYTES &&
        exchange->value_left >= DIRECT_BYTES)
        return receive_value(connection, exchange, flags);
    if (left == 0) {
        connection->start = connection->end = 0;
    } else if (connection->end == CONNECTION_INPUT_BYTES) {
        memmove(connection->input, connection->input + connection->start, left);
        connection->start = 0;
        connection->end = left;
    }
    ssize_t got = take_bytes(connection, connection->input + connection->end,
                             CONNECTION_INPUT_BYTES - connection->end, flags);
    if (got > 0) {
        connection->end += (uint32_t)got;
        exchange->partial = 1;
    }
    return received(got, errno);
}

/* ---- replies ------------------------------------------------------------------------------- */

static enum larder_meta_parse parse_line(const struct connection *connection,
                                         const struct exchange *exchange,
                                         struct larder_meta_reply *reply)
{
    const char *bytes = connection->input + connection->start;
    size_t length = connection->end - connection->start;
    if (exchange->request == NULL)
        return larder_meta_parse_line(bytes, length, exchange->value_max, reply);
    return larder_meta_parse_answer(bytes, length, exchange->value_max, exchange->request, reply);
}

/* @return OVER when the line is taken, WAIT when it is not all there, BROKEN */
static enum connection_step take_line(struct connection *connection, struct exchange *exchange)
{
    struct larder_meta_reply reply;
    void *sink = NULL;
    size_t sink_size = 0;
    enum larder_meta_parse parse = parse_line(connection, exchange, &reply);
    if (parse != LARDER_META_WHOLE)
        return parse == LARDER_META_MORE ? STEP_WAIT : STEP_BROKEN;
    exchange->cause = reply.cause;
    if (!larder_meta_in_step(&reply) || !exchange->reply(exchange, &reply, &sink, &sink_size))
        return STEP_BROKEN;
    connection->start += (uint32_t)reply.line_length;
    exchange->value_left = reply.value_length;
    exchange->sink = sink;
    exchange->sink_left = sink_size;
    exchange->state = larder_meta_has_value(&reply) ? IN_VALUE : AT_LINE;
    return STEP_OVER;
}

static enum connection_step take_value(struct connection *connection, struct exchange *exchange)
{
    size_t there = connection->end - connection->start;
    size_t taken = there < exchange->value_left ? there : exchange->value_left;
    size_t kept = taken < exchange->sink_left ? taken : exchange->sink_left;
    if (kept > 0) {
        memcpy(exchange->sink, connection->input + connection->start, kept);
        exchange->sink += kept;
        exchange->sink_left -= kept;
    }
    connection->start += (uint32_t)taken;
    exchange->value_left -= taken;
    if (exchange->value_left > 0)
        return STEP_WAIT;
    exchange->state = AT_END;
    return STEP_OVER;
}

static enum connection_step take_end(struct connection *connection, struct exchange *exchange)
{
    if (connection->end - connection->start < LARDER_META_LINE_END_BYTES)
        return STEP_WAIT;
    if (memcmp(connection->input + connection->start, LARDER_META_LINE_END,
               LARDER_META_LINE_END_BYTES) != 0)
        return STEP_BROKEN;
    connection->start += LARDER_META_LINE_END_BYTES;
    exchange->state = AT_LINE;
    return STEP_OVER;
}

/* From where it was left. @return OVER when it is whole, WAIT when more has to come, BROKEN */
static enum connection_step take_reply(struct connection *connection, struct exchange *exchange)
{
    enum connection_step step = STEP_OVER;
    if (exchange->state == AT_LINE)
        step = take_line(connection, exchange);
    if (step == STEP_OVER && exchange->state == IN_VALUE)
        step = take_value(connection, exchange);
    if (step == STEP_OVER && exchange->state == AT_END)
        step = take_end(connection, exchange);
    return step;
}

/* @return OVER behind the last reply, WAIT when more has to come, BROKEN */
static enum connection_step take_replies(struct connection *connection, struct exchange *exchange)
{
    while (exchange->due > 0) {
        enum connection_step step = take_reply(connection, exchange);
        if (step != STEP_OVER)
            return step;
        exchange->heard++;
        exchange->partial = connection->start != connection->end;
        if (exchange->due != EXCHANGE_OPEN)
            exchange->due--;
    }
    int more = connection->start != connection->end ||
               (connection->tls != NULL && meta_tls_has_more(connection->tls));
    return !more && exchange->unsent_count == 0 ? STEP_OVER : STEP_BROKEN;
}

/* ---- steps --------------------------------------------------------------------------------- */

static enum connection_step wait_for(const struct connection *connection,
                                     const struct exchange *exchange, short *events)
{
    int wanted = exchange->unsent_count > 0 ? POLLIN | POLLOUT : POLLIN;
    if (connection->tls != NULL)
        wanted |= meta_tls_events(connection->tls);
    *events = (short)wanted;
    return STEP_WAIT;
}

/* Reads until the answers are there, or nothing more is. */
static enum connection_step listen_to(struct connection *connection, struct exchange *exchange,
                                      short *events)
{
    for (unsigned i = 0; i < RECEIVES_MAX; i++) {
        enum connection_step step = receive(connection, exchange, MSG_DONTWAIT);
        if (step == STEP_WAIT)
            return wait_for(connection, exchange, events);
        if (step == STEP_OVER)
            step = take_replies(connection, exchange);
        if (step != STEP_WAIT)
            return step;
    }
    *events =
        POLLIN | POLLOUT; /* at once, as a rule: TLS may have read ahead what is to come next */
    return STEP_WAIT;
}

/* Of a server that takes no more. */
static enum connection_step last_words(struct connection *connection, struct exchange *exchange,
                                       short *events)
{
    enum connection_step step = listen_to(connection, exchange, events);
    return step == STEP_BROKEN ? STEP_BROKEN : STEP_CLOSED;
}

/* Behind a request that has only just gone out, this alone can be there to be read. */
static int has_read_ahead(const struct connection *connection)
{
    return connection->tls != NULL && meta_tls_has_read_ahead(connection->tls);
}

enum connection_step meta_connection_converse(struct connection *connection,
                                              struct exchange *exchange, short *events)
{
    if (exchange->unsent_count > 0) {
        enum connection_step step = send_some(connection, exchange);
        if (step == STEP_CLOSED) /* but it may have said why */
            return last_words(connection, exchange, events);
        if (step == STEP_BROKEN)
            return step;
        if (step == STEP_OVER && exchange->unsent_count == 0 && exchange->due == 0)
            return STEP_OVER;
        if (step == STEP_OVER && exchange->unsent_count == 0 && !has_read_ahead(connection))
            return wait_for(connection, exchange, events);
    }
    return listen_to(connection, exchange, events);
}

enum connection_step meta_connection_step(struct connection *connection, struct exchange *exchange,
                                          short *events)
{
    enum connection_step step = STEP_OVER;
    if (connection->connecting != STAGE_READY)
        step = meta_connection_open_step(connection, events, &exchange->cause);
    return step == STEP_OVER ? meta_connection_converse(connection, exchange, events) : step;
}

/* The usual case: the answer comes at once. TLS may take several recv() for one step, and none of
 * them may wait. */
static int may_be_patient(const struct connection *connection, short events, uint64_t left_ns)
{
    return connection->patient && connection->tls == NULL &&
           connection->connecting == STAGE_READY && events == POLLIN &&
           left_ns > 2 * PATIENCE_MS * UINT64_C(1000000);
}

static enum connection_step be_patient(struct connection *connection, struct exchange *exchange)
{
    enum connection_step step = receive(connection, exchange, 0);
    return step == STEP_OVER ? take_replies(connection, exchange) : step;
}

static void wait_on(int descriptor, short events, uint64_t left_ns)
{
    struct pollfd polled = {.fd = descriptor, .events = events};
    uint64_t left_ms = left_ns / 1000000 + (left_ns % 1000000 != 0);
    (void)poll(&polled, 1, left_ms < 60000 ? (int)left_ms : 60000);
}

/* Flat, as meta_ask(). */
__attribute__((flatten)) enum connection_step
meta_connection_run(struct connection *connection, struct exchange *exchange, uint64_t now_ns,
                    uint64_t connect_ns, uint64_t deadline_ns)
{
    for (int waited = 0;; waited = 1) {
        short events;
        enum connection_step step = meta_connection_step(connection, exchange, &events);
        if (step != STEP_WAIT)
            return step;
        if (waited)
            now_ns = larder_monotonic_ns();
        uint64_t until_ns = deadline_ns;
        if (connection->connecting != STAGE_READY && connect_ns < deadline_ns)
            until_ns = connect_ns;
        if (now_ns >= until_ns)
            return STEP_TIMEOUT;
        if (may_be_patient(connection, events, until_ns - now_ns)) {
            step = be_patient(connection, exchange);
            if (step != STEP_WAIT)
                return step;
        } else {
            wait_on(connection->descriptor, events, until_ns - now_ns);
        }
    }
}
