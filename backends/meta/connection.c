/* A connection to one memcached. */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <larder/util/deadline.h>

/* From here on a value is read straight to where it belongs. */
#define DIRECT_BYTES 4096u
/* sendmsg() takes so many. Source: IOV_MAX of Linux. */
#define VECTORS_MAX 1024u
/* A quick answer is waited for in recv() itself, which saves a system call; poll(), which keeps the
 * deadline to the millisecond, comes after that. */
#define PATIENCE_MS 20u
#define KEEPIDLE_S 60

enum state { AT_LINE = 0, IN_VALUE, AT_END };

/* ---- dialling ------------------------------------------------------------------------------ */

void meta_connection_init(struct connection *connection)
{
    connection->descriptor = -1;
    connection->connecting = 0;
    connection->used = 0;
    connection->opaque = 0;
    connection->owed = 0;
    connection->idle_ns = 0;
    connection->start = connection->end = 0;
}

void meta_connection_close(struct connection *connection)
{
    if (connection->descriptor >= 0)
        close(connection->descriptor);
    meta_connection_init(connection);
}

static void set_option(int descriptor, int level, int option, int value)
{
    (void)setsockopt(descriptor, level, option, &value, sizeof(value)); /* none is essential */
}

/* Calls that must not wait say so themselves, with MSG_DONTWAIT. */
static void become_patient(int descriptor)
{
    const struct timeval patience = {0, PATIENCE_MS * 1000};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
}

static enum connection_step connected(struct connection *connection)
{
    connection->connecting = 0;
    become_patient(connection->descriptor);
    return STEP_OVER;
}

static enum connection_step give_up(struct connection *connection, int error)
{
    meta_connection_close(connection);
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ? STEP_MEMORY
                                                                                     : STEP_CLOSED;
}

static enum connection_step connect_to(struct connection *connection,
                                       const struct sockaddr *address, socklen_t length)
{
    int code;
    do {
        code = connect(connection->descriptor, address, length);
    } while (code != 0 && errno == EINTR);
    if (code == 0 || errno == EISCONN)
        return connected(connection);
    if (errno == EINPROGRESS || errno == EALREADY) {
        connection->connecting = 1;
        return STEP_WAIT;
    }
    int error = errno;
    (void)give_up(connection, error);
    if (error == EAGAIN) /* a Unix socket whose backlog is full */
        return STEP_LATER;
    return STEP_CLOSED;
}

static enum connection_step open_socket(struct connection *connection, int family)
{
    connection->descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return connection->descriptor >= 0 ? STEP_OVER : give_up(connection, errno);
}

static enum connection_step dial_unix(struct connection *connection,
                                      const struct endpoint *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(endpoint->address);
    if (length >= sizeof(address.sun_path))
        return STEP_CLOSED;
    memcpy(address.sun_path, endpoint->address, length + 1);
    enum connection_step step = open_socket(connection, AF_UNIX);
    if (step != STEP_OVER)
        return step;
    return connect_to(connection, (const struct sockaddr *)&address, sizeof(address));
}

static enum connection_step dial_found(struct connection *connection,
                                       const struct endpoint *endpoint,
                                       const struct addrinfo *found)
{
    enum connection_step step = open_socket(connection, found->ai_family);
    if (step != STEP_OVER)
        return step;
    set_option(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, endpoint->nodelay);
    set_option(connection->descriptor, SOL_SOCKET, SO_KEEPALIVE, endpoint->keepalive);
    set_option(connection->descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPIDLE_S);
    return connect_to(connection, found->ai_addr, found->ai_addrlen);
}

/* Numeric addresses only, of both families: nothing is looked up. */
static enum connection_step dial_internet(struct connection *connection,
                                          const struct endpoint *endpoint)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[12];
    snprintf(port, sizeof(port), "%u", endpoint->port);
    int code = getaddrinfo(endpoint->address, port, &hints, &found);
    if (code != 0)
        return code == EAI_MEMORY ? STEP_MEMORY : STEP_CLOSED;
    enum connection_step step = dial_found(connection, endpoint, found);
    freeaddrinfo(found);
    return step;
}

enum connection_step meta_connection_dial(struct connection *connection,
                                          const struct endpoint *endpoint)
{
    if (endpoint->connect == NULL)
        return endpoint->port == 0 ? dial_unix(connection, endpoint)
                                   : dial_internet(connection, endpoint);
    connection->descriptor =
        endpoint->connect(endpoint->connect_context, endpoint->address, endpoint->port);
    return connection->descriptor >= 0 ? connected(connection) : STEP_CLOSED;
}

static enum connection_step finish_connecting(struct connection *connection)
{
    struct pollfd writable = {.fd = connection->descriptor, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof(error);
    if (poll(&writable, 1, 0) <= 0)
        return STEP_WAIT;
    if (getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ||
        error != 0)
        return STEP_CLOSED;
    return connected(connection);
}

int meta_connection_has_news(const struct connection *connection)
{
    char byte;
    ssize_t got = recv(connection->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EINTR);
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

/* @return OVER when something went out, WAIT when nothing could, CLOSED */
static enum connection_step send_some(struct connection *connection, struct exchange *exchange)
{
    struct msghdr message = {
        .msg_iov = exchange->unsent,
        .msg_iovlen = exchange->unsent_count < VECTORS_MAX ? exchange->unsent_count : VECTORS_MAX};
    ssize_t sent;
    do {
        sent = sendmsg(connection->descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? STEP_WAIT : STEP_CLOSED;
    count_sent(exchange, (size_t)sent);
    return STEP_OVER;
}

/* ---- receiving ----------------------------------------------------------------------------- */

static enum connection_step received(ssize_t got, int error)
{
    if (got > 0)
        return STEP_OVER;
    return got < 0 && (error == EAGAIN || error == EINTR) ? STEP_WAIT : STEP_CLOSED;
}

/* A long value, without a copy in between. */
static enum connection_step receive_value(struct connection *connection, struct exchange *exchange,
                                          int flags)
{
    size_t most =
        exchange->sink_left < exchange->value_left ? exchange->sink_left : exchange->value_left;
    ssize_t got = recv(connection->descriptor, exchange->sink, most, flags);
    if (got > 0) {
        exchange->sink += got;
        exchange->sink_left -= (size_t)got;
        exchange->value_left -= (size_t)got;
    }
    return received(got, errno);
}

/* @param flags  MSG_DONTWAIT, or 0 to be patient. @return OVER when something came, WAIT, CLOSED */
static enum connection_step receive(struct connection *connection, struct exchange *exchange,
                                    int flags)
{
    uint32_t left = connection->end - connection->start;
    if (left == 0 && exchange->state == IN_VALUE && exchange->sink_left >= DIRECT_BYTES &&
        exchange->value_left >= DIRECT_BYTES)
        return receive_value(connection, exchange, flags);
    if (left == 0 || connection->end == CONNECTION_INPUT_BYTES) {
        memmove(connection->input, connection->input + connection->start, left);
        connection->start = 0;
        connection->end = left;
    }
    ssize_t got = recv(connection->descriptor, connection->input + connection->end,
                       CONNECTION_INPUT_BYTES - connection->end, flags);
    if (got > 0) {
        connection->end += (uint32_t)got;
        exchange->partial = 1;
    }
    return received(got, errno);
}

/* ---- replies ------------------------------------------------------------------------------- */

/* @return OVER when the line is taken, WAIT when it is not all there, BROKEN */
static enum connection_step take_line(struct connection *connection, struct exchange *exchange)
{
    struct larder_meta_reply reply;
    void *sink = NULL;
    size_t sink_size = 0;
    enum larder_meta_parse parse =
        larder_meta_parse_line(connection->input + connection->start,
                               connection->end - connection->start, exchange->value_max, &reply);
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

static enum connection_step take_part(struct connection *connection, struct exchange *exchange)
{
    switch (exchange->state) {
    case IN_VALUE:
        return take_value(connection, exchange);
    case AT_END:
        return take_end(connection, exchange);
    default:
        return take_line(connection, exchange);
    }
}

/* @return OVER behind the last reply, WAIT when more has to come, BROKEN */
static enum connection_step take_replies(struct connection *connection, struct exchange *exchange)
{
    while (exchange->due > 0) {
        enum connection_step step = take_part(connection, exchange);
        if (step != STEP_OVER)
            return step;
        if (exchange->state != AT_LINE)
            continue;
        exchange->heard++;
        exchange->partial = connection->start != connection->end;
        if (exchange->due != EXCHANGE_OPEN)
            exchange->due--;
    }
    return connection->start == connection->end && exchange->unsent_count == 0 ? STEP_OVER
                                                                               : STEP_BROKEN;
}

/* ---- steps --------------------------------------------------------------------------------- */

static enum connection_step wait_for(const struct exchange *exchange, short *events)
{
    *events = exchange->unsent_count > 0 ? POLLIN | POLLOUT : POLLIN;
    return STEP_WAIT;
}

/* Reads until the answers are there, or nothing more is. */
static enum connection_step listen_to(struct connection *connection, struct exchange *exchange,
                                      short *events)
{
    for (;;) {
        enum connection_step step = receive(connection, exchange, MSG_DONTWAIT);
        if (step == STEP_WAIT)
            return wait_for(exchange, events);
        if (step == STEP_OVER)
            step = take_replies(connection, exchange);
        if (step != STEP_WAIT)
            return step;
    }
}

/* Of a server that takes no more. */
static enum connection_step last_words(struct connection *connection, struct exchange *exchange,
                                       short *events)
{
    enum connection_step step = listen_to(connection, exchange, events);
    return step == STEP_BROKEN ? STEP_BROKEN : STEP_CLOSED;
}

enum connection_step meta_connection_step(struct connection *connection, struct exchange *exchange,
                                          short *events)
{
    *events = POLLOUT;
    if (connection->connecting) {
        enum connection_step step = finish_connecting(connection);
        if (step != STEP_OVER)
            return step;
    }
    if (exchange->unsent_count > 0) {
        enum connection_step step = send_some(connection, exchange);
        if (step == STEP_CLOSED) /* but it may have said why */
            return last_words(connection, exchange, events);
        if (step == STEP_OVER && exchange->unsent_count == 0) /* has no answer yet */
            return exchange->due == 0 ? STEP_OVER : wait_for(exchange, events);
    }
    return listen_to(connection, exchange, events);
}

/* The usual case: the answer comes at once. */
static enum connection_step be_patient(struct connection *connection, struct exchange *exchange)
{
    enum connection_step step = receive(connection, exchange, 0);
    return step == STEP_OVER ? take_replies(connection, exchange) : step;
}

static void wait_on(int descriptor, short events, uint64_t until_ns)
{
    struct pollfd polled = {.fd = descriptor, .events = events};
    uint64_t left_ms = larder_deadline_left_ms(until_ns);
    (void)poll(&polled, 1, left_ms < 60000 ? (int)left_ms : 60000);
}

enum connection_step meta_connection_run(struct connection *connection, struct exchange *exchange,
                                         uint64_t connect_ns, uint64_t deadline_ns)
{
    for (;;) {
        short events;
        enum connection_step step = meta_connection_step(connection, exchange, &events);
        if (step != STEP_WAIT)
            return step;
        uint64_t until_ns = deadline_ns;
        if (connection->connecting && connect_ns < deadline_ns)
            until_ns = connect_ns;
        uint64_t left_ms = larder_deadline_left_ms(until_ns);
        if (left_ms == 0)
            return STEP_TIMEOUT;
        if (events == POLLIN && left_ms > 2 * PATIENCE_MS) {
            step = be_patient(connection, exchange);
            if (step != STEP_WAIT)
                return step;
        } else {
            wait_on(connection->descriptor, events, until_ns);
        }
    }
}
