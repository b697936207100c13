/*
 * pooled-memcached: an edge whose clients are the objects of an eager pool. A call takes one by its
 * deadline; a session holds one. The pool makes its clients at once and they connect when first
 * used, so opening never waits for a server.
 */
#include <edge.h>

#include <larder/pool.h>
#include <larder/util/deadline.h>
#include <larder/util/pool_fork.h>

static struct larder_pool *pool_of(const struct edge *edge)
{
    return edge->lender.context;
}

/* ---- lending ------------------------------------------------------------------------------- */

static enum larder_status create_client(void *context, void **object)
{
    struct client *client = client_create(context);
    *object = client;
    return client != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

static void destroy_client(void *context, void *object)
{
    client_free(context, object);
}

static enum larder_status pool_borrow(void *lender, uint64_t deadline_ns, struct client **client)
{
    void *object;
    enum larder_status status = larder_pool_acquire_until(lender, deadline_ns, &object);
    *client = object;
    return status;
}

/* Broken is a client that lost what connections it had; others keep those to healthy servers. */
static void pool_give_back(void *lender, struct client *client)
{
    larder_pool_release(lender, client, client->link_lost > 0 && client->link_count == 0);
}

/* ---- sessions ------------------------------------------------------------------------------ */

static enum larder_status pooled_acquire(const struct larder_scope *scope,
                                         struct larder_session *session)
{
    struct edge *edge = scope->self;
    struct client *client;
    if (!edge_enter(edge))
        return LARDER_CLOSED;
    /* a session without a budget still waits for its member no longer than a call would */
    uint64_t deadline_ns = (session->flags & LARDER_NO_WAIT) != 0
                               ? 0
                               : larder_scope_deadline(scope, edge->config->timeout_ms);
    enum larder_status status = pool_borrow(pool_of(edge), deadline_ns, &client);
    if (status != LARDER_OK) {
        edge_leave(edge);
        return status;
    }
    client->link_lost = 0;
    session->owner = edge;
    session->member = client;
    return LARDER_OK;
}

static void pooled_release(const struct larder_scope *scope, struct larder_session *session)
{
    struct edge *edge = scope->self;
    if (session->owner != edge || session->member == NULL)
        return;
    pool_give_back(pool_of(edge), session->member);
    session->owner = NULL;
    session->member = NULL;
    edge_leave(edge);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Wakes who waits for a client; libmemcached can't be woken, calls under way end by their own
 * timeouts. */
static void pooled_shutdown(void *self)
{
    larder_pool_shutdown(pool_of(self));
    edge_shut(self);
}

static void pooled_close(void *self)
{
    struct edge *edge = self;
    larder_pool_close(pool_of(edge));
    edge_close(edge);
}

static void pooled_fork(void *self, enum larder_fork_step step)
{
    edge_fork(self, step);
    larder_pool_fork(pool_of(self), step);
}

static void pooled_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct larder_pool_figures pool;
    larder_pool_stats(pool_of(scope->self), &pool);
    larder_stat_add(out, "pool.size", pool.size);
    larder_stat_add(out, "pool.idle", pool.idle);
    larder_stat_add(out, "pool.empty", pool.empty);
    larder_stat_add(out, "pool.waiting", pool.waiting);
    larder_stat_add(out, "pool.acquired", pool.acquired);
    larder_stat_add(out, "pool.timeouts", pool.timeouts);
    larder_stat_add(out, "pool.created", pool.created);
    larder_stat_add(out, "pool.failed", pool.failed);
    edge_stats(scope->self, out);
}

static enum larder_status pooled_open(const struct larder_host *host, const void *given,
                                      struct larder_message *message, void **self)
{
    const struct larder_pooled_memcached_options *options = given;
    const struct common_options common = COMMON_OPTIONS_OF(options);
    struct edge *edge;
    struct larder_pool *pool;
    (void)host; /* expiry is the server's, and waits are real */
    enum larder_status status = edge_open(&common, LARDER_POOLED, message, &edge);
    if (status != LARDER_OK)
        return status;
    const struct larder_pool_options pool_options = {sizeof(pool_options), options->size,
                                                     create_client, destroy_client, edge};
    status = larder_pool_open(&pool_options, &pool);
    if (status != LARDER_OK) {
        edge_close(edge);
        return status;
    }
    edge->lender = (struct lender){pool_borrow, pool_give_back, pool};
    *self = edge;
    return LARDER_OK;
}

static enum larder_status pooled_succeed(const struct larder_host *host, const void *options,
                                         void *predecessor, struct larder_message *message,
                                         void **self)
{
    enum larder_status status = pooled_open(host, options, message, self);
    if (status == LARDER_OK)
        edge_follow(*self, predecessor);
    return status;
}

static enum larder_status pooled_relist(const struct larder_host *host, const void *options,
                                        void *predecessor, struct larder_message *message,
                                        void **self)
{
    enum larder_status status = pooled_open(host, options, message, self);
    if (status == LARDER_OK)
        edge_relist(*self, predecessor);
    return status;
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static const struct larder_ops pooled_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "pooled-memcached",
    .read = edge_read,
    .store = edge_store,
    .remove = edge_remove,
    .traits = edge_traits,
    .close = pooled_close,
    .get = edge_get,
    .touch = edge_touch,
    .get_and_touch = edge_get_and_touch,
    .count = edge_count,
    .many = edge_many,
    .flush = edge_flush,
    .stats = pooled_stats,
    .wire_key = edge_wire_key,
    .acquire = pooled_acquire,
    .release = pooled_release,
    .servers = edge_servers,
    .place = edge_placed,
    .shutdown = pooled_shutdown,
    .fork = pooled_fork,
};

#define LARDER_OPTIONS_STRUCT struct larder_pooled_memcached_options
static const struct larder_option pooled_options[] = {
    LARDER_POOLED_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

extern const struct larder_backend larder_pooled_memcached_backend;
const struct larder_backend larder_pooled_memcached_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "pooled-memcached",
    .sentence = "memcached servers, over libmemcached; a pool of clients of a fixed size",
    .ops = &pooled_ops,
    .open = pooled_open,
    .options = pooled_options,
    .option_count = sizeof(pooled_options) / sizeof(pooled_options[0]),
    .options_size = sizeof(struct larder_pooled_memcached_options),
    .succeed = pooled_succeed,
    .relist = pooled_relist,
};
