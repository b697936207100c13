#include "bare.h"

#include <stdio.h>
#include <string.h>

#define RELATIVE_SECONDS_MOST (60 * 60 * 24 * 30)

static int read_address(struct bare_server *server, const char *text)
{
    char end = '\0';
    *server = (struct bare_server){.socket = NULL};
    if (strncmp(text, "//", 2) == 0)
        text += 2;
    if (*text == '/') {
        server->socket = text;
        return 1;
    }
    int found = sscanf(text, "%15[0-9.]:%hu%c", server->host, &server->port, &end);
    return (found == 2 || (found == 3 && end == '/')) && server->port != 0;
}

int bare_server_read(struct bare_server *server, const struct plan *plan)
{
    const char *address = strchr(plan->subject, ':'); /* behind the peer's name */
    if (plan->namespace_name != NULL || plan->session) {
        fprintf(stderr, "larder-bench: bare peers have no namespaces and no sessions\n");
        return 0;
    }
    if (address != NULL && read_address(server, address + 1))
        return 1;
    fprintf(stderr, "larder-bench: \"%s\" names no socket and no IPv4 address with a port\n",
            plan->subject);
    return 0;
}

time_t bare_expiration(int64_t ttl_ms)
{
    int64_t seconds = ttl_ms > 0 ? (ttl_ms + 999) / 1000 : 0;
    return seconds > RELATIVE_SECONDS_MOST ? time(NULL) + (time_t)seconds : (time_t)seconds;
}
