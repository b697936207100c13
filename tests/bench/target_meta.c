#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_BYTES 64u /* of a request or a reply beside key and value */
#define INPUT_BYTES 65536u
#define SLACK_BYTES 512u /* behind the input: a line is compared with what might be longer */
/* Everything is sent before anything is read: the server's own buffers must take it. */
#define OUTPUT_BYTES_MAX 100000u

int target_open(struct target *target, const struct plan *plan)
{
    target->classic = plan_peer_of(plan->subject) == PLAN_PEER_META_CLASSIC;
    if (!bare_server_read(&target->server, plan))
        return 0;
    if (plan->batch * (plan->key_bytes + LINE_BYTES) <= OUTPUT_BYTES_MAX)
        return 1;
    fprintf(stderr, "larder-bench: %s: more in one --batch than is sent at once\n", plan->subject);
    return 0;
}

void target_close(struct target *target)
{
    (void)target;
}

int target_is_local(const struct target *target)
{
    (void)target;
    return 0;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static int dial_tcp(const struct bare_server *server)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, server->host, &address.sin_addr) == 1 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

int target_enter(struct target *target, const struct plan *plan, struct target_thread *thread)
{
    const struct bare_server *server = &target->server;
    size_t output_size = plan->batch * (plan->key_bytes + LINE_BYTES) + plan->value_bytes;
    *thread = (struct target_thread){
        .descriptor = server->socket != NULL ? dial_unix(server->socket) : dial_tcp(server),
        .classic = target->classic,
        .output = malloc(output_size),
        .input_size = INPUT_BYTES + plan->value_bytes,
        .key_bytes = plan->key_bytes,
        .value_bytes = plan->value_bytes,
        .expiration = bare_expiration(plan->ttl_ms),
    };
    thread->input = calloc(1, thread->input_size + SLACK_BYTES);
    if (thread->descriptor >= 0 && thread->output != NULL && thread->input != NULL)
        return 1;
    fprintf(stderr, "larder-bench: no connection to %s: %s\n", plan->subject, strerror(errno));
    target_leave(thread);
    return 0;
}

void target_leave(struct target_thread *thread)
{
    if (thread->descriptor >= 0)
        close(thread->descriptor);
    free(thread->output);
    free(thread->input);
}
