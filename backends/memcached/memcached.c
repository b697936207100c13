/*
 * memcached: an edge whose clients stand in a list, the last one given back on top. A thread takes
 * one for a call, so there are never more than threads that call at once, an exiting thread leaves
 * its connection to the next one, and nothing hangs on threads at all.
 */
#include "edge.h"

#include <stdlib.h>

struct stack {
    struct edge *edge;
    uint32_t limit;        /* set once */
    pthread_mutex_t mutex; /* a leaf */
    struct {               /* touched only while holding mutex */
        struct client *top;
        uint32_t count; /* clients in the list and lent */
        int closed;
    } guarded;
};

/* ---- lending ------------------------------------------------------------------------------- */

/* @return OK with a client, or with NULL when one more may be made */
static enum larder_status stack_pop(struct stack *stack, struct client **client)
{
    enum larder_status status = LARDER_OK;
    pthread_mutex_lock(&stack->mutex);
    *client = stack->guarded.top;
    if (*client != NULL)
        stack->guarded.top = (*client)->next;
    else if (stack->guarded.closed)
        status = LARDER_CLOSED;
    else if (stack->guarded.count == stack->limit)
        status = LARDER_UNAVAILABLE;
    else
        stack->guarded.count++;
    pthread_mutex_unlock(&stack->mutex);
    return status;
}

static void stack_forget(struct stack *stack)
{
    pthread_mutex_lock(&stack->mutex);
    stack->guarded.count--;
    pthread_mutex_unlock(&stack->mutex);
}

static enum larder_status stack_borrow(void *lender, uint64_t deadline_ns, struct client **client)
{
    struct stack *stack = lender;
    (void)deadline_ns; /* nobody waits here */
    enum larder_status status = stack_pop(stack, client);
    if (status != LARDER_OK || *client != NULL)
        return status;
    *client = client_create(stack->edge);
    if (*client != NULL)
        return LARDER_OK;
    stack_forget(stack);
    return LARDER_NO_MEMORY;
}

static void stack_give_back(void *lender, struct client *client)
{
    struct stack *stack = lender;
    pthread_mutex_lock(&stack->mutex);
    int closed = stack->guarded.closed;
    if (closed) {
        stack->guarded.count--;
    } else {
        client->next = stack->guarded.top;
        stack->guarded.top = client;
    }
    pthread_mutex_unlock(&stack->mutex);
    if (closed)
        client_free(stack->edge, client);
}

static struct stack *stack_of(const struct edge *edge)
{
    return edge->lender.context;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void free_idle(struct stack *stack)
{
    pthread_mutex_lock(&stack->mutex);
    struct client *client = stack->guarded.top;
    stack->guarded.top = NULL;
    stack->guarded.closed = 1;
    pthread_mutex_unlock(&stack->mutex);
    while (client != NULL) {
        struct client *next = client->next;
        client_free(stack->edge, client);
        client = next;
    }
}

/* libmemcached can't be woken: calls under way end by their own timeouts. */
static void memcached_backend_shutdown(void *self)
{
    free_idle(stack_of(self));
    edge_shut(self);
}

static void memcached_backend_close(void *self)
{
    struct edge *edge = self;
    struct stack *stack = stack_of(edge);
    free_idle(stack);
    pthread_mutex_destroy(&stack->mutex);
    free(stack);
    edge_close(edge);
}

static void count_idle_locked(struct stack *stack)
{
    stack->guarded.count = 0;
    for (struct client *client = stack->guarded.top; client != NULL; client = client->next)
        stack->guarded.count++;
}

/* The child keeps the clients, without their connections; those that were lent to the parent's
 * threads are gone. */
static void memcached_backend_fork(void *self, enum larder_fork_step step)
{
    struct stack *stack = stack_of(self);
    if (step == LARDER_FORK_PREPARE)
        pthread_mutex_lock(&stack->mutex);
    edge_fork(self, step);
    if (step == LARDER_FORK_CHILD)
        count_idle_locked(stack);
    if (step != LARDER_FORK_PREPARE) /* in the child as well: its thread is the one that locked */
        pthread_mutex_unlock(&stack->mutex);
}

static void memcached_backend_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct stack *stack = stack_of(scope->self);
    pthread_mutex_lock(&stack->mutex);
    uint32_t clients = stack->guarded.count;
    pthread_mutex_unlock(&stack->mutex);
    larder_stat_add(out, "clients", clients);
    edge_stats(scope->self, out);
}

static enum larder_status memcached_backend_open(const struct larder_host *host, const void *given,
                                                 struct larder_message *message, void **self)
{
    const struct larder_memcached_options *options = given;
    const struct common_options common = COMMON_OPTIONS_OF(options);
    struct edge *edge;
    (void)host; /* expiry is the server's, and waits are real */
    enum larder_status status = edge_open(&common, 0, message, &edge);
    if (status != LARDER_OK)
        return status;
    struct stack *stack = calloc(1, sizeof(*stack));
    if (stack == NULL || pthread_mutex_init(&stack->mutex, NULL) != 0) {
        free(stack);
        edge_close(edge);
        return LARDER_NO_MEMORY;
    }
    stack->edge = edge;
    stack->limit = (uint32_t)options->clients_max;
    edge->lender = (struct lender){stack_borrow, stack_give_back, stack};
    *self = edge;
    return LARDER_OK;
}

static enum larder_status memcached_backend_succeed(const struct larder_host *host,
                                                    const void *options, void *predecessor,
                                                    struct larder_message *message, void **self)
{
    enum larder_status status = memcached_backend_open(host, options, message, self);
    if (status == LARDER_OK)
        edge_follow(*self, predecessor);
    return status;
}

static enum larder_status memcached_backend_relist(const struct larder_host *host,
                                                   const void *options, void *predecessor,
                                                   struct larder_message *message, void **self)
{
    enum larder_status status = memcached_backend_open(host, options, message, self);
    if (status == LARDER_OK)
        edge_relist(*self, predecessor);
    return status;
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static const struct larder_ops memcached_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "memcached",
    .read = edge_read,
    .store = edge_store,
    .remove = edge_remove,
    .traits = edge_traits,
    .close = memcached_backend_close,
    .get = edge_get,
    .touch = edge_touch,
    .get_and_touch = edge_get_and_touch,
    .count = edge_count,
    .many = edge_many,
    .flush = edge_flush,
    .stats = memcached_backend_stats,
    .wire_key = edge_wire_key,
    .servers = edge_servers,
    .place = edge_placed,
    .shutdown = memcached_backend_shutdown,
    .fork = memcached_backend_fork,
};

#define LARDER_OPTIONS_STRUCT struct larder_memcached_options
static const struct larder_option memcached_options[] = {
    LARDER_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

extern const struct larder_backend larder_memcached_backend;
const struct larder_backend larder_memcached_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "memcached",
    .sentence = "memcached servers, over libmemcached; a connection per calling thread",
    .ops = &memcached_ops,
    .open = memcached_backend_open,
    .options = memcached_options,
    .option_count = sizeof(memcached_options) / sizeof(memcached_options[0]),
    .options_size = sizeof(struct larder_memcached_options),
    .succeed = memcached_backend_succeed,
    .relist = memcached_backend_relist,
};
