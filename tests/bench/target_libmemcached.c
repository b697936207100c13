#include "target.h"

#include <stdio.h>

int target_open(struct target *target, const struct plan *plan)
{
    return bare_server_read(&target->server, plan);
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

static memcached_return_t add_server(memcached_st *client, const struct bare_server *server)
{
    if (server->socket != NULL)
        return memcached_server_add_unix_socket(client, server->socket);
    return memcached_server_add(client, server->host, server->port);
}

int target_enter(struct target *target, const struct plan *plan, struct target_thread *thread)
{
    *thread = (struct target_thread){
        .client = memcached_create(NULL),
        .keys = calloc(plan->batch, sizeof(*thread->keys)),
        .lengths = calloc(plan->batch, sizeof(*thread->lengths)),
        .key_bytes = plan->key_bytes,
        .value_bytes = plan->value_bytes,
        .expiration = bare_expiration(plan->ttl_ms),
    };
    if (thread->client != NULL && thread->keys != NULL && thread->lengths != NULL &&
        add_server(thread->client, &target->server) == MEMCACHED_SUCCESS &&
        memcached_behavior_set(thread->client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1) ==
            MEMCACHED_SUCCESS)
        return 1;
    target_leave(thread);
    fprintf(stderr, "larder-bench: no libmemcached client for %s\n", plan->subject);
    return 0;
}

void target_leave(struct target_thread *thread)
{
    if (thread->client != NULL)
        memcached_free(thread->client);
    free(thread->keys);
    free(thread->lengths);
}
