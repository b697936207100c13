/* Lists of servers: split at commas, each taken apart from its end: weight, port, host. */
#include <larder/util/servers.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include <larder/util/message.h>

/* For "%.*s": no message is worth more of somebody's input than this. */
#define QUOTE(text, length) (int)((length) < 80 ? (length) : 80), (text)

static int parse_number(const char *text, size_t length, uint32_t smallest, uint32_t largest,
                        uint32_t *number)
{
    uint32_t sum = 0;
    if (length == 0 || length > 5)
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        sum = sum * 10 + (uint32_t)(text[i] - '0');
    }
    *number = sum;
    return sum >= smallest && sum <= largest;
}

static const char *last_of(const char *text, size_t length, char byte)
{
    while (length > 0)
        if (text[--length] == byte)
            return text + length;
    return NULL;
}

static void host_set(struct larder_server *server, const char *text, size_t length)
{
    memcpy(server->host, text, length);
    server->host[length] = '\0';
}

static enum larder_status parse_path(const char *text, size_t length, struct larder_server *server,
                                     const struct larder_message *message)
{
    if (length > LARDER_SERVER_PATH_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the socket path \"%.*s\" is longer than %u bytes", QUOTE(text, length),
                           LARDER_SERVER_PATH_MAX);
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]))
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "a socket path has no control characters");
    server->port = 0;
    host_set(server, text, length);
    return LARDER_OK;
}

/* "[::1]" or "[::1]:11211". */
static enum larder_status parse_brackets(const char *text, size_t length,
                                         struct larder_server *server,
                                         const struct larder_message *message)
{
    unsigned char address[sizeof(struct in6_addr)];
    const char *close = memchr(text, ']', length);
    size_t inside = close != NULL ? (size_t)(close - text - 1) : 0;
    size_t rest = close != NULL ? length - inside - 2 : 0;
    if (close == NULL || inside >= INET6_ADDRSTRLEN)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "\"%.*s\" is no IPv6 address in brackets",
                           QUOTE(text, length));
    host_set(server, text + 1, inside);
    if (inet_pton(AF_INET6, server->host, address) != 1)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "\"%.*s\" is no IPv6 address",
                           QUOTE(text, length));
    if (rest > 0 &&
        (close[1] != ':' || !parse_number(close + 2, rest - 1, 1, 65535, &server->port)))
        return larder_fail(message, LARDER_BAD_ARGUMENT, "the port of \"%.*s\" is 1 to 65535",
                           QUOTE(text, length));
    return LARDER_OK;
}

static int name_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '.' || byte == '-' || byte == '_';
}

/* "host", "host:port", ":port". */
static enum larder_status parse_name(const char *text, size_t length, struct larder_server *server,
                                     const struct larder_message *message)
{
    const char *colon = memchr(text, ':', length);
    size_t host = colon != NULL ? (size_t)(colon - text) : length;
    if (colon != NULL && !parse_number(colon + 1, length - host - 1, 1, 65535, &server->port))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the port of \"%.*s\" is 1 to 65535 (IPv6 goes in brackets)",
                           QUOTE(text, length));
    for (size_t i = 0; i < host; i++)
        if (!name_byte(text[i]))
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "\"%.*s\" is no host: letters, digits, '.', '-' and '_'",
                               QUOTE(text, length));
    if (host >= LARDER_SERVER_HOST_BYTES)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "a host is at most %u bytes",
                           LARDER_SERVER_HOST_BYTES - 1);
    if (host > 0)
        host_set(server, text, host);
    return LARDER_OK;
}

/* Lists are written with other marks elsewhere: libmemcached's strings have spaces, for one. */
static enum larder_status check_separators(const char *text, size_t length,
                                           const struct larder_message *message)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != '\0' && strchr("; |", text[i]) != NULL)
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "\"%.*s\" is no server: servers are separated by commas, not by "
                               "'%c'",
                               QUOTE(text, length), text[i]);
    return LARDER_OK;
}

enum larder_status larder_server_parse(const char *text, size_t length,
                                       struct larder_server *server,
                                       const struct larder_message *message)
{
    if (length > 0 && text[0] != '/' && check_separators(text, length, message) != LARDER_OK)
        return LARDER_BAD_ARGUMENT;
    const char *star = last_of(text, length, '*');
    *server = (struct larder_server){"127.0.0.1", LARDER_SERVER_PORT_DEFAULT, 1};
    if (star != NULL) {
        size_t digits = (size_t)(text + length - star - 1);
        if (!parse_number(star + 1, digits, 1, LARDER_SERVER_WEIGHT_MAX, &server->weight))
            return larder_fail(message, LARDER_BAD_ARGUMENT, "the weight of \"%.*s\" is 1 to %u",
                               QUOTE(text, length), LARDER_SERVER_WEIGHT_MAX);
        length = (size_t)(star - text);
    }
    if (length > 0 && text[0] == '/')
        return parse_path(text, length, server, message);
    if (length > 0 && text[0] == '[')
        return parse_brackets(text, length, server, message);
    return parse_name(text, length, server, message);
}

enum larder_status larder_servers_add(struct larder_server *servers, size_t *count,
                                      const struct larder_server *server,
                                      const struct larder_message *message)
{
    if (*count == LARDER_SERVERS_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "more than %u servers",
                           LARDER_SERVERS_MAX);
    for (size_t i = 0; i < *count; i++)
        if (servers[i].port == server->port && strcmp(servers[i].host, server->host) == 0)
            return larder_fail(message, LARDER_BAD_ARGUMENT, "the server %s is listed twice",
                               server->host);
    servers[(*count)++] = *server;
    return LARDER_OK;
}

/* Takes the slashes of a URI off: "//a,b/" and "///run/x" become "a,b" and "/run/x". */
static size_t trim(const char **text, size_t length)
{
    if (length >= 2 && (*text)[0] == '/' && (*text)[1] == '/') {
        *text += 2;
        length -= 2;
    }
    const char *comma = last_of(*text, length, ',');
    const char *last = comma != NULL ? comma + 1 : *text;
    const char *end = *text + length;
    if (end > last && end[-1] == '/' && (last[0] != '/' || end == last + 1))
        length--;
    return length;
}

enum larder_status larder_servers_parse(const char *text, struct larder_server *servers,
                                        size_t *count, const struct larder_message *message)
{
    *count = 0;
    if (text == NULL)
        text = "";
    size_t left = trim(&text, strlen(text));
    for (;;) {
        struct larder_server server;
        const char *comma = memchr(text, ',', left);
        size_t length = comma != NULL ? (size_t)(comma - text) : left;
        enum larder_status status = larder_server_parse(text, length, &server, message);
        if (status == LARDER_OK)
            status = larder_servers_add(servers, count, &server, message);
        if (status != LARDER_OK || comma == NULL)
            return status;
        text = comma + 1;
        left -= length + 1;
    }
}
