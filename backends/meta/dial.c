/* How a connection comes about: connect, TLS handshake, login; and how it ends. */
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

#define KEEPIDLE_S 60

/* ---- beginning and end --------------------------------------------------------------------- */

void meta_connection_init(struct connection *connection)
{
    connection->descriptor = -1;
    connection->connecting = STAGE_READY;
    connection->patient = 0;
    connection->used = 0;
    connection->opaque = 0;
    connection->owed = 0;
    connection->idle_ns = 0;
    connection->peer = NULL;
    connection->tls = NULL;
    connection->login_bytes = (struct iovec){NULL, 0};
    connection->start = connection->end = 0;
}

void meta_connection_close(struct connection *connection)
{
    meta_tls_end(connection->tls);
    if (connection->descriptor >= 0)
        close(connection->descriptor);
    meta_connection_init(connection);
}

/* ---- connecting ---------------------------------------------------------------------------- */

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

static enum connection_stage after_handshake(const struct connection *connection)
{
    return connection->login_bytes.iov_len > 0 ? STAGE_LOGIN : STAGE_READY;
}

/* @return OVER, MEMORY */
static enum connection_step connected(struct connection *connection)
{
    if (connection->patient)
        become_patient(connection->descriptor);
    connection->connecting = after_handshake(connection);
    if (connection->peer == NULL)
        return STEP_OVER;
    connection->connecting = STAGE_HANDSHAKE;
    connection->tls = meta_tls_begin(connection->peer, connection->descriptor);
    return connection->tls != NULL ? STEP_OVER : STEP_MEMORY;
}

/* Before anybody else knows the descriptor. */
static enum connection_step connected_at_once(struct connection *connection)
{
    enum connection_step step = connected(connection);
    if (step != STEP_OVER)
        meta_connection_close(connection);
    return step;
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
        return connected_at_once(connection);
    if (errno == EINPROGRESS || errno == EALREADY) {
        connection->connecting = STAGE_CONNECT;
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

static int take_login(struct exchange *exchange, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    (void)exchange;
    (void)sink;
    (void)sink_size;
    return reply->code == LARDER_META_CLASSIC_STORED;
}

static void prepare_login(struct connection *connection, struct larder_slice login)
{
    connection->login_bytes = (struct iovec){(void *)(uintptr_t)login.data, login.length};
    connection->login = (struct exchange){
        .reply = take_login, .due = 1, .unsent = &connection->login_bytes, .unsent_count = 1};
}

enum connection_step meta_connection_dial(struct connection *connection,
                                          const struct endpoint *endpoint)
{
    connection->peer = endpoint->tls;
    connection->patient = endpoint->port != 0;
    prepare_login(connection, endpoint->login);
    if (endpoint->connect == NULL)
        return endpoint->port == 0 ? dial_unix(connection, endpoint)
                                   : dial_internet(connection, endpoint);
    connection->descriptor =
        endpoint->connect(endpoint->connect_context, endpoint->address, endpoint->port);
    return connection->descriptor >= 0 ? connected_at_once(connection) : STEP_CLOSED;
}

/* ---- stages -------------------------------------------------------------------------------- */

static enum connection_step finish_connecting(struct connection *connection, short *events)
{
    struct pollfd writable = {.fd = connection->descriptor, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof(error);
    *events = POLLOUT;
    if (poll(&writable, 1, 0) <= 0)
        return STEP_WAIT;
    if (getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ||
        error != 0)
        return STEP_CLOSED;
    return connected(connection);
}

static enum connection_step shake_hands(struct connection *connection, short *events)
{
    if (meta_tls_handshake(connection->tls) == 1) {
        connection->connecting = after_handshake(connection);
        return STEP_OVER;
    }
    *events = meta_tls_events(connection->tls);
    if (errno == EAGAIN)
        return STEP_WAIT;
    return errno == EPROTO ? STEP_BROKEN : STEP_CLOSED;
}

static enum connection_step log_in(struct connection *connection, short *events,
                                   enum larder_meta_cause *cause)
{
    struct exchange *login = &connection->login;
    enum connection_step step = meta_connection_converse(connection, login, events);
    *cause = login->cause;
    if (step == STEP_OVER)
        connection->connecting = STAGE_READY;
    return step;
}

enum connection_step meta_connection_open_step(struct connection *connection, short *events,
                                               enum larder_meta_cause *cause)
{
    enum connection_step step = STEP_OVER;
    while (step == STEP_OVER && connection->connecting != STAGE_READY)
        if (connection->connecting == STAGE_CONNECT)
            step = finish_connecting(connection, events);
        else if (connection->connecting == STAGE_HANDSHAKE)
            step = shake_hands(connection, events);
        else
            step = log_in(connection, events, cause);
    return step;
}
