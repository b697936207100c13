#include "target.h"

#include <stdio.h>

#define RELATIVE_SECONDS_MOST (60 * 60 * 24 * 30)

int target_open(struct target *target, const struct plan *plan)
{
    const char *socket = plan->subject;
    if (strncmp(socket, PLAN_BARE, strlen(PLAN_BARE)) == 0)
        socket += strlen(PLAN_BARE);
    if (strncmp(socket, "//", 2) == 0)
        socket += 2;
    target->socket = socket;
    if (plan->namespace_name == NULL && !plan->session)
        return 1;
    fprintf(stderr, "larder-bench: bare libmemcached has no namespaces and no sessions\n");
    return 0;
}

void target_close(struct target *target)
{
    target->socket = NULL;
}

int target_is_local(const struct target *target)
{
    (void)target;
    return 0;
}

static time_t expiration_of(int64_t ttl_ms)
{
    int64_t seconds = ttl_ms > 0 ? (ttl_ms + 999) / 1000 : 0;
    return seconds > RELATIVE_SECONDS_MOST ? time(NULL) + (time_t)seconds : (time_t)seconds;
}

int target_enter(struct target *target, const struct plan *plan, struct target_thread *thread)
{
    *thread = (struct target_thread){
        .client = memcached_create(NULL),
        .keys = calloc(plan->batch, sizeof(*thread->keys)),
        .lengths = calloc(plan->batch, sizeof(*thread->lengths)),
        .key_bytes = plan->key_bytes,
        .value_bytes = plan->value_bytes,
        .expiration = expiration_of(plan->ttl_ms),
    };
    if (thread->client != NULL && thread->keys != NULL && thread->lengths != NULL &&
        memcached_server_add_unix_socket(thread->client, target->socket) == MEMCACHED_SUCCESS &&
        memcached_behavior_set(thread->client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1) ==
            MEMCACHED_SUCCESS)
        return 1;
    target_leave(thread);
    fprintf(stderr, "larder-bench: no libmemcached client for %s\n", target->socket);
    return 0;
}

void target_leave(struct target_thread *thread)
{
    if (thread->client != NULL)
        memcached_free(thread->client);
    free(thread->keys);
    free(thread->lengths);
}
