/*
 * A server between larder and a real memcached that logs, and cuts where a test says.
 *
 * The last byte of a request is only looked at until its fate is decided: a Unix socket that is
 * closed with a byte unread resets the connection, one that is not ends it.
 */
#include "recording_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scripted_server.h"

#define MESSAGE_BYTES_MAX 2048
#define HEADER_BYTES 24 /* of a binary packet */
#define BINARY_REQUEST 0x80

struct recording_server {
    struct scripted_server *scripted;
    const char *upstream;
    pthread_mutex_t mutex;
    struct { /* touched only while holding mutex */
        struct recording_cut cut;
        struct recording_log log;
    } guarded;
};

struct message {
    unsigned char bytes[MESSAGE_BYTES_MAX + 1];
    size_t length;
};

static void give_up(const char *what)
{
    fprintf(stderr, "recording_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* @return 1 when so many bytes came */
static int receive(int descriptor, struct message *message, size_t count, int flags)
{
    if (count > MESSAGE_BYTES_MAX - message->length)
        return 0;
    while (count > 0) {
        ssize_t got = recv(descriptor, message->bytes + message->length, count, flags);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        message->length += (size_t)got;
        count -= (size_t)got;
    }
    message->bytes[message->length] = '\0';
    return 1;
}

static int take(int descriptor, struct message *message, size_t count)
{
    return receive(descriptor, message, count, 0);
}

static int look_at_last(int descriptor, struct message *message)
{
    return receive(descriptor, message, 1, MSG_PEEK);
}

/* Takes the byte that was looked at. */
static void take_last(int descriptor)
{
    struct message last = {.length = 0};
    (void)take(descriptor, &last, 1);
}

static unsigned long big_endian(const unsigned char *bytes, size_t count)
{
    unsigned long number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

static size_t packet_length(const unsigned char *header)
{
    return HEADER_BYTES + big_endian(header + 8, 4);
}

/* ---- requests ------------------------------------------------------------------------------- */

static int is_binary(const struct message *request)
{
    return request->bytes[0] == BINARY_REQUEST;
}

/* Of the text in front of it: the length of the value that follows a storage command. */
static int value_follows(const char *line, size_t *length)
{
    static const char *const commands[] = {"set", "add", "replace", "append", "prepend", "cas"};
    char command[16];
    if (sscanf(line, "%15s %*s %*u %*d %zu", command, length) != 2)
        return 0;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(command, commands[i]) == 0)
            return 1;
    return 0;
}

static int read_text_request(int descriptor, struct message *request)
{
    size_t length;
    while (look_at_last(descriptor, request)) {
        if (request->bytes[request->length - 1] != '\n') {
            take_last(descriptor);
            continue;
        }
        if (!value_follows((const char *)request->bytes, &length))
            return 1;
        take_last(descriptor);
        return take(descriptor, request, length + 1) && look_at_last(descriptor, request);
    }
    return 0;
}

static int read_binary_request(int descriptor, struct message *request)
{
    const size_t known = 12; /* with the length of the body, and before the last byte */
    return take(descriptor, request, known) &&
           take(descriptor, request, packet_length(request->bytes) - known - 1) &&
           look_at_last(descriptor, request);
}

/* All but the last byte is taken. @return 0 when it did not come whole */
static int read_request(int descriptor, struct message *request)
{
    request->length = 0;
    if (!look_at_last(descriptor, request))
        return 0;
    int binary = is_binary(request);
    request->length = 0;
    return binary ? read_binary_request(descriptor, request)
                  : read_text_request(descriptor, request);
}

static enum recording_kind binary_kind(unsigned char opcode)
{
    switch (opcode) {
    case 0x0b:
        return RECORDING_GREETING;
    case 0x07:
        return RECORDING_QUIT;
    case 0x00: /* get */
    case 0x0c: /* get with the key */
    case 0x0a: /* no operation */
        return RECORDING_READ;
    default:
        return RECORDING_WRITE;
    }
}

static enum recording_kind text_kind(const char *line)
{
    if (strncmp(line, "version", 7) == 0)
        return RECORDING_GREETING;
    if (strncmp(line, "quit", 4) == 0)
        return RECORDING_QUIT;
    return strncmp(line, "get", 3) == 0 ? RECORDING_READ : RECORDING_WRITE;
}

static enum recording_kind kind_of(const struct message *request)
{
    return is_binary(request) ? binary_kind(request->bytes[1])
                              : text_kind((const char *)request->bytes);
}

/* ---- replies -------------------------------------------------------------------------------- */

static int read_line(int descriptor, struct message *reply)
{
    do {
        if (!take(descriptor, reply, 1))
            return 0;
    } while (reply->bytes[reply->length - 1] != '\n');
    return 1;
}

static int read_text_reply(int descriptor, struct message *reply)
{
    size_t length;
    for (;;) {
        const char *line = (const char *)reply->bytes + reply->length;
        if (!read_line(descriptor, reply))
            return 0;
        if (sscanf(line, "VALUE %*s %*u %zu", &length) != 1)
            return 1;
        if (!take(descriptor, reply, length + 2))
            return 0;
    }
}

static int read_reply(int descriptor, const struct message *request, struct message *reply)
{
    reply->length = 0;
    if (!is_binary(request))
        return read_text_reply(descriptor, reply);
    return take(descriptor, reply, HEADER_BYTES) &&
           take(descriptor, reply, packet_length(reply->bytes) - HEADER_BYTES);
}

/* ---- the log -------------------------------------------------------------------------------- */

/* @return what to do with the request that is the last in the log: an armed cut, or none */
static struct recording_cut decide_locked(struct recording_server *server)
{
    const struct recording_log *log = &server->guarded.log;
    struct recording_cut cut = server->guarded.cut;
    enum recording_kind kind = log->requests[log->count - 1].kind;
    unsigned number = 0;
    for (size_t i = 0; i < log->count; i++)
        number += log->requests[i].kind == kind;
    if (log->cut || kind != cut.kind || number != cut.number)
        cut.number = 0;
    return cut;
}

static struct recording_request *enter(struct recording_server *server,
                                       const struct message *request, struct recording_cut *cut)
{
    pthread_mutex_lock(&server->mutex);
    struct recording_log *log = &server->guarded.log;
    if (log->count == RECORDING_REQUESTS_MAX)
        give_up("more requests than expected");
    struct recording_request *entry = &log->requests[log->count++];
    *entry = (struct recording_request){.kind = kind_of(request), .length = request->length};
    *cut = decide_locked(server);
    if (cut->number != 0)
        log->cut = 1;
    pthread_mutex_unlock(&server->mutex);
    return entry;
}

static void note(struct recording_server *server, size_t *figure, size_t value)
{
    pthread_mutex_lock(&server->mutex);
    *figure = value;
    pthread_mutex_unlock(&server->mutex);
}

static void note_partial(struct recording_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->guarded.log.partial++;
    pthread_mutex_unlock(&server->mutex);
}

/* ---- handing on ----------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        give_up("socket");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("connect");
    return descriptor;
}

static size_t at_most(size_t wanted, size_t there)
{
    return wanted < there ? wanted : there;
}

/* Ends the connection to memcached, and waits until it has seen that. */
static void settle(int upstream)
{
    shutdown(upstream, SHUT_WR);
    scripted_wait_for_close(upstream);
}

/* The scripted server keeps the number of the descriptor until it stops, so another file takes it:
 * only a real close resets. */
static void hang_up(int client)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup3(nothing, client, O_CLOEXEC) < 0)
        give_up("/dev/null");
    close(nothing);
}

/* Sends the request or its start on, and reads what is answered to the whole. */
static void ask_upstream(struct recording_server *server, int upstream,
                         const struct recording_cut *cut, const struct message *request,
                         struct message *reply, struct recording_request *entry)
{
    size_t forwarded = request->length;
    if (cut->number != 0 && !cut->in_reply)
        forwarded = at_most(cut->after, forwarded);
    note(server, &entry->forwarded, forwarded);
    reply->length = 0;
    if (!scripted_send(upstream, request->bytes, forwarded) ||
        (forwarded == request->length && !read_reply(upstream, request, reply)))
        give_up("memcached is gone");
    note(server, &entry->reply_length, reply->length);
}

/* @return 0 when the connection has ended */
static int hand_on(struct recording_server *server, int client, int upstream,
                   const struct message *request)
{
    struct recording_cut cut;
    struct message reply;
    struct recording_request *entry = enter(server, request, &cut);
    ask_upstream(server, upstream, &cut, request, &reply, entry);
    size_t answered = reply.length;
    if (cut.number != 0)
        answered = cut.in_reply ? at_most(cut.after, answered) : 0;
    note(server, &entry->answered, answered);
    if (cut.number != 0)
        settle(upstream);
    if (cut.number == 0 || !cut.reset)
        take_last(client);
    int sent = scripted_send(client, reply.bytes, answered);
    if (cut.number != 0)
        hang_up(client);
    return sent && cut.number == 0;
}

static void serve(void *context, int client, unsigned number)
{
    struct recording_server *server = context;
    struct message request;
    int upstream = connect_to(server->upstream);
    (void)number;
    while (read_request(client, &request) && kind_of(&request) != RECORDING_QUIT) {
        int goes_on = hand_on(server, client, upstream, &request);
        request.length = 0;
        if (!goes_on)
            break;
    }
    if (request.length > 0 && kind_of(&request) != RECORDING_QUIT)
        note_partial(server);
    close(upstream);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct recording_server *recording_server_start(const char *upstream)
{
    struct recording_server *server = calloc(1, sizeof(*server));
    if (server == NULL || pthread_mutex_init(&server->mutex, NULL) != 0)
        give_up("calloc");
    server->upstream = upstream;
    server->scripted = scripted_server_start(serve, server);
    return server;
}

const char *recording_server_path(const struct recording_server *server)
{
    return scripted_server_path(server->scripted);
}

void recording_server_arm(struct recording_server *server, const struct recording_cut *cut)
{
    pthread_mutex_lock(&server->mutex);
    server->guarded.cut = *cut;
    memset(&server->guarded.log, 0, sizeof(server->guarded.log));
    pthread_mutex_unlock(&server->mutex);
}

struct recording_log recording_server_log(struct recording_server *server)
{
    pthread_mutex_lock(&server->mutex);
    struct recording_log log = server->guarded.log;
    pthread_mutex_unlock(&server->mutex);
    return log;
}

void recording_server_stop(struct recording_server *server)
{
    if (server == NULL)
        return;
    scripted_server_stop(server->scripted);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
