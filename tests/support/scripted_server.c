/* A server that does what a test tells it. */
#include "scripted_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024 /* at a time */

enum slot { SLOT_FREE, SLOT_SERVED, SLOT_OVER };

/* Its slot is used again when it is over. */
struct connection {
    struct scripted_server *server;
    pthread_t thread;
    unsigned number;
    int descriptor;    /* closed when the thread was joined: nobody shuts another's by its number */
    _Atomic int state; /* enum slot; OVER is set by the thread, as its last step */
};

struct scripted_server {
    scripted_serve_fn *serve;
    void *context;
    int listener;
    pthread_t acceptor;
    char directory[48]; /* "": on TCP */
    char path[80];
    unsigned port;
    _Atomic unsigned count;                         /* written by the acceptor */
    struct connection connections[CONNECTIONS_MAX]; /* the acceptor's, and after it stop's */
};

static void give_up(const char *what)
{
    fprintf(stderr, "scripted_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *serve_connection(void *argument)
{
    struct connection *connection = argument;
    connection->server->serve(connection->server->context, connection->descriptor,
                              connection->number);
    shutdown(connection->descriptor, SHUT_RDWR);
    atomic_store(&connection->state, SLOT_OVER);
    return NULL;
}

static void end_connection(struct connection *connection)
{
    pthread_join(connection->thread, NULL);
    close(connection->descriptor);
    atomic_store(&connection->state, SLOT_FREE);
}

/* Ends all that are over. @return a free slot; NULL when there is none */
static struct connection *tidy(struct scripted_server *server)
{
    struct connection *found = NULL;
    for (unsigned i = CONNECTIONS_MAX; i > 0; i--) {
        struct connection *connection = &server->connections[i - 1];
        if (atomic_load(&connection->state) == SLOT_OVER)
            end_connection(connection);
        if (atomic_load(&connection->state) == SLOT_FREE)
            found = connection;
    }
    return found;
}

static void *accept_connections(void *argument)
{
    struct scripted_server *server = argument;
    for (unsigned number = 1;; number++) {
        int descriptor = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor < 0)
            break;
        struct connection *connection = tidy(server);
        if (connection == NULL) {
            close(descriptor);
            continue;
        }
        connection->server = server;
        connection->number = number;
        connection->descriptor = descriptor;
        atomic_store(&connection->state, SLOT_SERVED);
        /* before the thread can answer: whoever has the answer sees the connection counted */
        atomic_store(&server->count, number);
        if (pthread_create(&connection->thread, NULL, serve_connection, connection) != 0)
            give_up("pthread_create");
    }
    return NULL;
}

static struct scripted_server *server_create(scripted_serve_fn *serve, void *context, int family)
{
    struct scripted_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        give_up("calloc");
    server->serve = serve;
    server->context = context;
    server->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0)
        give_up("socket");
    return server;
}

static void server_listen(struct scripted_server *server)
{
    if (listen(server->listener, 128) != 0)
        give_up("listen");
    if (pthread_create(&server->acceptor, NULL, accept_connections, server) != 0)
        give_up("pthread_create");
}

struct scripted_server *scripted_server_start(scripted_serve_fn *serve, void *context)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct scripted_server *server = server_create(serve, context, AF_UNIX);
    memcpy(server->directory, "/tmp/larder-test-XXXXXX", sizeof("/tmp/larder-test-XXXXXX"));
    if (mkdtemp(server->directory) == NULL)
        give_up("mkdtemp");
    snprintf(server->path, sizeof(server->path), "%s/scripted.sock", server->directory);
    memcpy(address.sun_path, server->path, strlen(server->path) + 1);
    if (bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("bind");
    server_listen(server);
    return server;
}

struct scripted_server *scripted_server_start_tcp(scripted_serve_fn *serve, void *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct scripted_server *server = server_create(serve, context, AF_INET);
    if (bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &length) != 0)
        give_up("bind");
    server->port = ntohs(address.sin_port);
    server_listen(server);
    return server;
}

unsigned scripted_server_port(const struct scripted_server *server)
{
    return server->port;
}

const char *scripted_server_path(const struct scripted_server *server)
{
    return server->path;
}

unsigned scripted_server_connections(const struct scripted_server *server)
{
    return atomic_load(&server->count);
}

void scripted_server_stop(struct scripted_server *server)
{
    if (server == NULL)
        return;
    shutdown(server->listener, SHUT_RDWR); /* wakes accept() */
    pthread_join(server->acceptor, NULL);
    close(server->listener);
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (atomic_load(&connection->state) == SLOT_FREE)
            continue;
        shutdown(connection->descriptor, SHUT_RDWR);
        end_connection(connection);
    }
    if (server->directory[0] != '\0') {
        unlink(server->path);
        rmdir(server->directory);
    }
    free(server);
}

/* ---- what a script says and hears ----------------------------------------------------------- */

int scripted_dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (descriptor < 0 ||
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

int scripted_dial_tcp(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

char *scripted_read_line(int descriptor, char *line, size_t size)
{
    size_t length = 0;
    while (length + 1 < size) {
        ssize_t got = recv(descriptor, line + length, 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NULL;
        if (line[length] == '\n')
            break;
        length++;
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    return line;
}

int scripted_send(int descriptor, const void *bytes, size_t length)
{
    const char *left = bytes;
    while (length > 0) {
        ssize_t sent = send(descriptor, left, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return 0;
        left += sent;
        length -= (size_t)sent;
    }
    return 1;
}

int scripted_say(int descriptor, const char *text)
{
    return scripted_send(descriptor, text, strlen(text));
}

char *scripted_next(int descriptor, char *line, size_t size)
{
    while (scripted_read_line(descriptor, line, size) != NULL) {
        if (strcmp(line, "quit") == 0)
            return NULL;
        if (strcmp(line, "version") != 0)
            return line;
        if (!scripted_say(descriptor, "VERSION 1.6.18\r\n"))
            return NULL;
    }
    return NULL;
}

void scripted_wait_for_close(int descriptor)
{
    char bytes[256];
    ssize_t got;
    do {
        got = recv(descriptor, bytes, sizeof(bytes), 0);
    } while (got > 0 || (got < 0 && errno == EINTR));
}

void scripted_pause(unsigned milliseconds)
{
    struct timespec pause = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
}
