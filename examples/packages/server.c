/* Between libmicrohttpd and the site. The body goes out straight from the cache's view: an answer
 * is a vector of three parts, and the view is released when the last byte is sent. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 512
#define IDLE_SECONDS 30
#define SYNOPSIS_BYTES_MAX 1200 /* 300 characters of up to 4 bytes */
#define POST_BUFFER_BYTES 4096

struct server {
    struct MHD_Daemon *daemon;
    struct site *site;
    uint16_t port;
};

/* A request whose body is still coming in. */
struct upload {
    struct MHD_PostProcessor *processor;
    struct text synopsis;
};

/* Marks a request without a body of which the head has been seen. */
static char head_seen;

static void answer_done(void *answer)
{
    answer_free(answer);
    free(answer);
}

static unsigned add_part(struct MHD_IoVec *parts, unsigned count, const void *data, size_t length)
{
    if (length == 0)
        return count;
    parts[count].iov_base = data;
    parts[count].iov_len = length;
    return count + 1;
}

static struct MHD_Response *response_of(struct answer *answer)
{
    struct MHD_IoVec parts[3];
    unsigned count = add_part(parts, 0, answer->head.data, answer->head.length);
    count = add_part(parts, count, answer->served.body.data, answer->served.body.length);
    count = add_part(parts, count, answer->foot.data, answer->foot.length);
    bool failed = answer->head.failed || answer->foot.failed || answer->location.failed;
    struct MHD_Response *response =
        failed ? NULL : MHD_create_response_from_iovec(parts, count, answer_done, answer);
    if (response == NULL)
        answer_done(answer);
    return response;
}

static void add_headers(struct MHD_Response *response, const char *location)
{
    MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (location != NULL)
        MHD_add_response_header(response, "Location", location);
}

static enum MHD_Result send_answer(struct server *server, struct MHD_Connection *connection,
                                   const struct request *request)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL)
        return MHD_NO;
    site_answer(server->site, request, answer);
    unsigned code = answer->code;
    struct MHD_Response *response = response_of(answer);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, answer->location.data);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_plain(struct MHD_Connection *connection, unsigned code,
                                  const char *message)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(message), (void *)(uintptr_t)message, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result answer_request(struct server *server, struct MHD_Connection *connection,
                                      const char *path, const struct upload *upload)
{
    const struct request request = {
        .post = upload != NULL,
        .path = path,
        .from = argument(connection, "from"),
        .search = argument(connection, "q"),
        .dropped = argument(connection, "dropped"),
        .took_us = argument(connection, "took"),
        .synopsis = upload != NULL ? upload->synopsis.data : NULL,
    };
    return send_answer(server, connection, &request);
}

/* ---- POST ---------------------------------------------------------------------------------- */

/* A browser says where a form came from; a page of another site must not edit here. */
static bool foreign_origin(struct MHD_Connection *connection)
{
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    if (origin == NULL)
        return false;
    const char *authority = strstr(origin, "://");
    return authority == NULL || host == NULL || strcmp(authority + 3, host) != 0;
}

static enum MHD_Result take_field(void *context, enum MHD_ValueKind kind, const char *key,
                                  const char *filename, const char *content_type,
                                  const char *transfer_encoding, const char *data, uint64_t offset,
                                  size_t size)
{
    struct upload *upload = context;
    (void)kind, (void)filename, (void)content_type, (void)transfer_encoding, (void)offset;
    if (strcmp(key, "synopsis") != 0)
        return MHD_YES;
    if (upload->synopsis.length + size > SYNOPSIS_BYTES_MAX)
        return MHD_NO;
    text_add(&upload->synopsis, data, size);
    return MHD_YES;
}

static enum MHD_Result begin_upload(struct MHD_Connection *connection, void **state)
{
    if (foreign_origin(connection))
        return send_plain(connection, 403, "this form is not from here\n");
    struct upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL)
        return MHD_NO;
    upload->processor =
        MHD_create_post_processor(connection, POST_BUFFER_BYTES, take_field, upload);
    if (upload->processor == NULL) {
        free(upload);
        return send_plain(connection, 415, "a form is wanted\n");
    }
    *state = upload;
    return MHD_YES;
}

static enum MHD_Result go_on_upload(struct server *server, struct MHD_Connection *connection,
                                    const char *path, struct upload *upload, const char *data,
                                    size_t *size)
{
    if (*size == 0)
        return answer_request(server, connection, path, upload);
    enum MHD_Result result = MHD_post_process(upload->processor, data, *size);
    *size = 0;
    return result;
}

/* ---- libmicrohttpd's callbacks ------------------------------------------------------------- */

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    struct server *server = context;
    (void)version;
    bool post = strcmp(method, "POST") == 0;
    if (*state == NULL && post)
        return begin_upload(connection, state);
    if (post)
        return go_on_upload(server, connection, path, *state, data, size);
    if (*state == NULL) {
        *state = &head_seen;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_plain(connection, 405, "GET, HEAD and POST are understood here\n");
    return answer_request(server, connection, path, NULL);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode reason)
{
    (void)context, (void)connection, (void)reason;
    struct upload *upload = *state;
    if (upload == NULL || (void *)upload == (void *)&head_seen)
        return;
    MHD_destroy_post_processor(upload->processor);
    text_free(&upload->synopsis);
    free(upload);
    *state = NULL;
}

struct server *server_start(struct site *site, uint16_t port, bool everywhere, unsigned threads)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(everywhere ? INADDR_ANY : INADDR_LOOPBACK);
    server->site = site;
    server->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD, port, NULL, NULL, handle, server, MHD_OPTION_SOCK_ADDR,
        &address, MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED,
        completed, NULL, MHD_OPTION_END);
    if (server->daemon == NULL) {
        fprintf(stderr, "packages: port %u: %s\n", (unsigned)port,
                errno != 0 ? strerror(errno) : "can't be served");
        free(server);
        return NULL;
    }
    server->port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return server;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}
