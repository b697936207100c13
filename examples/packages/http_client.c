/* One request at a time, answers with a Content-Length, and bounds on everything. */
#include "http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (1u << 20)
#define WAIT_SECONDS 20

static int dial(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct timeval wait = {WAIT_SECONDS, 0};
    const int on = 1;
    int dialled = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dialled < 0)
        return -1;
    setsockopt(dialled, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(dialled, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    setsockopt(dialled, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(dialled, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return dialled;
    close(dialled);
    return -1;
}

int http_open(struct http_client *client, uint16_t port)
{
    *client = (struct http_client){.socket = dial(port)};
    if (client->socket < 0)
        return -1;
    client->answer = malloc(ANSWER_BYTES_MAX + 1);
    if (client->answer != NULL)
        return 0;
    http_close(client);
    return -1;
}

void http_close(struct http_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
    free(client->answer);
    client->answer = NULL;
    text_free(&client->request);
}

static bool send_all(int socket, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Reads until `wanted` bytes are there in all. */
static bool receive(struct http_client *client, size_t *length, size_t wanted)
{
    while (*length < wanted) {
        ssize_t received =
            recv(client->socket, client->answer + *length, ANSWER_BYTES_MAX - *length, 0);
        if (received <= 0)
            return false;
        *length += (size_t)received;
        client->answer[*length] = '\0';
    }
    return true;
}

static bool receive_headers(struct http_client *client, size_t *length)
{
    client->answer[0] = '\0';
    client->body = NULL;
    while (client->body == NULL) {
        if (*length == ANSWER_BYTES_MAX || !receive(client, length, *length + 1))
            return false;
        client->body = strstr(client->answer, "\r\n\r\n");
    }
    client->body += 4;
    return true;
}

static bool content_length(const char *headers, const char *body, size_t *length)
{
    static const char field[] = "\r\nContent-Length:";
    for (const char *line = headers; line < body; line++) {
        if (strncasecmp(line, field, sizeof(field) - 1) != 0)
            continue;
        *length = strtoul(line + sizeof(field) - 1, NULL, 10);
        return *length <= ANSWER_BYTES_MAX;
    }
    return false;
}

static int receive_answer(struct http_client *client)
{
    size_t length = 0, body_length = 0;
    if (!receive_headers(client, &length) ||
        !content_length(client->answer, client->body, &body_length))
        return -1;
    size_t whole = (size_t)(client->body - client->answer) + body_length;
    /* More than was asked for would be another's answer. */
    if (whole > ANSWER_BYTES_MAX || !receive(client, &length, whole) || length != whole)
        return -1;
    if (strncmp(client->answer, "HTTP/1.1 ", 9) != 0)
        return -1;
    return (int)strtol(client->answer + 9, NULL, 10);
}

static int exchange(struct http_client *client)
{
    if (client->request.failed ||
        !send_all(client->socket, client->request.data, client->request.length))
        return -1;
    return receive_answer(client);
}

int http_get(struct http_client *client, const char *path)
{
    text_clear(&client->request);
    text_format(&client->request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return exchange(client);
}

int http_post(struct http_client *client, const char *path, const char *form)
{
    text_clear(&client->request);
    text_format(&client->request,
                "POST %s HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                "Content-Length: %zu\r\n\r\n%s",
                path, strlen(form), form);
    return exchange(client);
}
