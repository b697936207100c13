/* meta: opened from its options, described, closed. */
#include "meta.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <larder/util/deadline.h>
#include <larder/util/message.h>
#include <larder/util/value.h>

/* How long open waits for names; its callers must not wait for a network. */
#define RESOLVE_MS 100u
/* How long a shutdown waits for calls under way before it cuts their connections. */
#define SHUTDOWN_GRACE_MS 200u

/* ---- traits -------------------------------------------------------------------------------- */

#define META_CAN                                                                                  \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |                   \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT | \
     LARDER_CAN_COUNT_INITIAL | LARDER_CAN_READ_TTL | LARDER_CAN_READ_ACCESS |                    \
     LARDER_CAN_STORE_VERSION | LARDER_CAN_WIRE_KEY | LARDER_CAN_MANY_READ |                      \
     LARDER_CAN_MANY_WRITE)

/* Where entries are leased, these look first; where they are stale too, counting does. */
#define LOOKING (LARDER_CAN_REPLACE | LARDER_CAN_APPEND)
#define LOOKING_AT_STALE (LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL)

static void set_lease_traits(struct larder_traits *traits, const struct meta *meta)
{
    if (!meta->leases)
        return;
    traits->steps |= LOOKING | (meta->stale_ms != 0 ? LOOKING_AT_STALE : 0);
    traits->can &= ~traits->steps;
    traits->can |= LARDER_CAN_LEASE;
    traits->options |= LARDER_TAKES_RECACHE;
}

/* One key is on one server, and a server's operations on it have one order; writes that ended
 * UNKNOWN may land later, which linearizability allows an operation without an answer. */
static void set_traits(struct larder_traits *traits, const struct larder_meta_options *options)
{
    *traits = (struct larder_traits){
        .size = sizeof(*traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = META_CAN | (options->exclusive != 0 ? LARDER_CAN_FLUSH : 0),
        .promises = LARDER_SHARED | LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE,
        .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_NO_REPLY | LARDER_TAKES_TIMEOUT |
                   LARDER_TAKES_TOUCH | LARDER_TAKES_ROUTING_KEY,
        .value_max = options->value_max,
        .delta_max = UINT64_MAX,
        .ttl_step_ms = 1000,
        .ttl_late_ms = 2000,
        .key_max = LARDER_WIRE_KEY_BYTES_MAX,
        .timeout_ms = options->timeout_ms < UINT32_MAX ? (uint32_t)options->timeout_ms : UINT32_MAX,
    };
}

static const struct larder_traits *meta_traits(const void *self)
{
    return &((const struct meta *)self)->traits;
}

/* ---- open and close ------------------------------------------------------------------------ */

/* @return 0: they were shut before */
static int sites_shut(struct meta *meta)
{
    if (atomic_exchange_explicit(&meta->shut, true, memory_order_relaxed))
        return 0;
    for (uint32_t i = 0; i < meta->site_count; i++)
        meta_site_shut(meta->sites[i]);
    return 1;
}

static void sites_close(struct meta *meta)
{
    (void)sites_shut(meta);
    while (meta->site_count > 0)
        meta_site_close(meta->sites[--meta->site_count]);
    free(meta->sites);
}

static int is_same_server(const struct larder_server *server, const struct larder_server *other)
{
    return server->port == other->port && strcmp(server->host, other->host) == 0;
}

/* @return the site of that server, or NULL */
static struct site *site_of(const struct meta *meta, const struct larder_server *server)
{
    for (uint32_t i = 0; meta != NULL && i < meta->site_count; i++)
        if (is_same_server(&meta->sites[i]->server, server))
            return meta->sites[i];
    return NULL;
}

/* @param older  whose sites are shared; NULL: nobody's */
static enum larder_status sites_open(struct meta *meta, const struct larder_server *servers,
                                     size_t count, const struct larder_meta_options *options,
                                     const struct meta *older)
{
    enum larder_status status = LARDER_OK;
    meta->sites = calloc(count, sizeof(struct site *));
    if (meta->sites == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < count && status == LARDER_OK; i++) {
        meta->sites[i] = site_of(older, &servers[i]);
        if (meta->sites[i] == NULL || !meta_site_share(meta->sites[i]))
            status = meta_site_open(meta->common, &servers[i], options, &meta->sites[i]);
        meta->site_count += status == LARDER_OK;
    }
    if (status != LARDER_OK)
        sites_close(meta);
    return status;
}

static void wait_for_names(struct meta *meta)
{
    char address[LARDER_ADDRESS_BYTES];
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), RESOLVE_MS);
    for (uint32_t i = 0; i < meta->site_count; i++)
        if (meta->sites[i]->name != NULL)
            larder_name_wait(meta->sites[i]->name, deadline_ns, address);
}

static enum larder_placement_method method_of(const char *distribution)
{
    static const char *const names[] = {[LARDER_PLACEMENT_KETAMA] = "ketama",
                                        [LARDER_PLACEMENT_KETAMA_WEIGHTED] = "ketama_weighted",
                                        [LARDER_PLACEMENT_UHASHRING] = "uhashring",
                                        [LARDER_PLACEMENT_RENDEZVOUS] = "rendezvous",
                                        [LARDER_PLACEMENT_JUMP] = "jump"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], distribution) == 0)
            return (enum larder_placement_method)i;
    return LARDER_PLACEMENT_KETAMA;
}

static enum larder_status placement_open(struct meta *meta, const struct larder_server *servers,
                                         size_t count, const struct larder_meta_options *options,
                                         const struct larder_message *message)
{
    struct larder_placement_server places[LARDER_SERVERS_MAX];
    const struct larder_placement_options placement = {
        options->place != NULL ? LARDER_PLACEMENT_CALLER : method_of(options->distribution), places,
        count, options->place, options->place_context};
    for (size_t i = 0; i < count; i++)
        places[i] = (struct larder_placement_server){
            {NULL, 0}, servers[i].host, servers[i].port, servers[i].weight};
    enum larder_status status = larder_placement_create(&placement, &meta->placement);
    if (status == LARDER_BAD_ARGUMENT)
        return larder_fail(message, status, "%s%s takes no weights",
                           options->place != NULL ? "place" : "distribution=",
                           options->place != NULL ? "" : options->distribution);
    if (status == LARDER_TOO_LARGE)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the weights are too large for distribution=%s", options->distribution);
    return status;
}

static void take_options(struct meta *meta, const struct larder_meta_options *options)
{
    meta->timeout_ms = options->timeout_ms;
    meta->connect_timeout_ms = options->connect_timeout_ms;
    meta->tags = options->tags != 0;
    meta->classic = options->classic_reads != 0;
    meta->in_order = options->size == 1;
    meta->stale_ms = options->stale_ms;
    meta->stale_on_conflict = options->stale_on_conflict != 0;
    meta->leases = !meta->classic && options->metadata == NULL;
    meta->trace = options->trace;
    meta->trace_context = options->trace_context;
    set_traits(&meta->traits, options);
    set_lease_traits(&meta->traits, meta);
}

static enum larder_status check_options(const struct larder_meta_options *options,
                                        const struct larder_message *message)
{
    if (options->stale_on_conflict != 0 && options->stale_ms == 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "stale_on_conflict: nothing is kept stale; give stale=…");
    if (options->stale_ms != 0 && options->classic_reads != 0)
        return larder_fail(
            message, LARDER_BAD_ARGUMENT,
            "stale: classic_reads=on can't tell what is stale; one of them is right");
    if (options->stale_ms != 0 && options->metadata != NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "stale: a keyspace with metadata keeps records instead; one of them is "
                           "right");
    return LARDER_OK;
}

static enum larder_status check_names(const struct larder_server *servers, size_t count,
                                      const struct larder_meta_options *options,
                                      const struct larder_message *message)
{
    int named =
        options->tls == 0 || options->tls_name != NULL || strcmp(options->tls_verify, "on") != 0;
    for (size_t i = 0; i < count && !named; i++)
        if (larder_server_is_unix(&servers[i]))
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "%s has no name to check: write tls_name=…", servers[i].host);
    return LARDER_OK;
}

/* What is the older one's goes on: nothing differs but the servers. */
static enum larder_status common_open(struct meta *meta, const struct larder_meta_options *options,
                                      const struct meta *older,
                                      const struct larder_message *message)
{
    if (older == NULL)
        return meta_common_open(options, message, &meta->common);
    meta->common = meta_common_hold(older->common);
    return LARDER_OK;
}

static enum larder_status meta_build(struct meta *meta, const struct larder_meta_options *options,
                                     const struct meta *older, const struct larder_message *message)
{
    struct larder_server servers[LARDER_SERVERS_MAX];
    size_t count;
    enum larder_status status = check_options(options, message);
    if (status == LARDER_OK)
        status = larder_servers_parse(options->servers, servers, &count, message);
    if (status != LARDER_OK)
        return status;
    take_options(meta, options);
    status = check_names(servers, count, options, message);
    if (status == LARDER_OK)
        status = common_open(meta, options, older, message);
    if (status == LARDER_OK)
        status = placement_open(meta, servers, count, options, message);
    if (status != LARDER_OK)
        return status;
    status = sites_open(meta, servers, count, options, older);
    if (status != LARDER_OK)
        larder_placement_release(meta->placement);
    else
        wait_for_names(meta);
    return status;
}

/* @param older  what it has in common with that; NULL: nothing */
static enum larder_status meta_new(const struct larder_meta_options *options,
                                   const struct meta *older, const struct larder_message *message,
                                   void **self)
{
    enum larder_status status = larder_key_codec_prepare();
    if (status != LARDER_OK)
        return status;
    struct meta *meta = calloc(1, sizeof(*meta));
    if (meta == NULL)
        return LARDER_NO_MEMORY;
    status = meta_build(meta, options, older, message);
    if (status == LARDER_OK) {
        *self = meta;
        return LARDER_OK;
    }
    if (meta->common != NULL)
        meta_common_let_go(meta->common);
    free(meta);
    return status;
}

static enum larder_status meta_open(const struct larder_host *host, const void *given,
                                    struct larder_message *message, void **self)
{
    (void)host; /* expiry is the server's, and waits are real */
    return meta_new(given, NULL, message, self);
}

static void site_follow(struct site *site, struct site *older)
{
    larder_markdown_follow(&site->markdown, &older->markdown, larder_monotonic_ns());
    atomic_store_explicit(&site->item_max,
                          atomic_load_explicit(&older->item_max, memory_order_relaxed),
                          memory_order_relaxed);
}

/* With other options: what is known of the servers that both have stays known. */
static enum larder_status meta_succeed(const struct larder_host *host, const void *given,
                                       void *predecessor, struct larder_message *message,
                                       void **self)
{
    enum larder_status status = meta_open(host, given, message, self);
    if (status != LARDER_OK)
        return status;
    struct meta *meta = *self;
    for (uint32_t i = 0; i < meta->site_count; i++) {
        struct site *older = site_of(predecessor, &meta->sites[i]->server);
        if (older != NULL)
            site_follow(meta->sites[i], older);
    }
    return LARDER_OK;
}

/* With other servers alone: those that both have are the same, connections and all. */
static enum larder_status meta_relist(const struct larder_host *host, const void *given,
                                      void *predecessor, struct larder_message *message,
                                      void **self)
{
    (void)host;
    return meta_new(given, predecessor, message, self);
}

static int sites_are_quiet(const struct meta *meta)
{
    for (uint32_t i = 0; i < meta->site_count; i++)
        if (!meta_site_is_quiet(meta->sites[i]))
            return 0;
    return 1;
}

/* What is under way ends by itself, or is cut: a write that was sent is UNKNOWN then. */
static void meta_shutdown(void *self)
{
    const struct timespec moment = {0, 1000000};
    struct meta *meta = self;
    uint64_t until_ns = larder_deadline_after(larder_monotonic_ns(), SHUTDOWN_GRACE_MS);
    if (!sites_shut(meta))
        return;
    while (!sites_are_quiet(meta) && larder_monotonic_ns() < until_ns)
        nanosleep(&moment, NULL);
    for (uint32_t i = 0; i < meta->site_count; i++)
        meta_site_cut(meta->sites[i]);
}

static void meta_retire(void *self)
{
    (void)sites_shut(self);
}

static void meta_close(void *self)
{
    struct meta *meta = self;
    sites_close(meta);
    larder_placement_release(meta->placement);
    meta_common_let_go(meta->common);
    free(meta);
}

static void meta_fork(void *self, enum larder_fork_step step)
{
    struct meta *meta = self;
    for (uint32_t i = 0; i < meta->site_count; i++)
        meta_site_fork(meta->sites[i], step);
}

/* ---- keys and servers ---------------------------------------------------------------------- */

static enum larder_status meta_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, size_t *length)
{
    struct larder_wire_key wire;
    enum larder_status status = larder_key_encode(key, scope->flags, &wire);
    if (status != LARDER_OK)
        return status;
    *length = wire.bytes.length;
    return larder_copy_out(buffer, size, wire.bytes.data, wire.bytes.length, NULL);
}

static uint32_t meta_servers(const struct larder_scope *scope)
{
    return ((const struct meta *)scope->self)->site_count;
}

static uint32_t meta_placed(const struct larder_scope *scope, struct larder_slice key)
{
    struct larder_wire_key wire;
    if (larder_key_encode(key, scope->flags, &wire) != LARDER_OK)
        return 0;
    return meta_place(scope->self, scope, key, wire.bytes);
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static const struct larder_ops meta_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "meta",
    .read = meta_read,
    .store = meta_store,
    .remove = meta_remove,
    .traits = meta_traits,
    .close = meta_close,
    .get = meta_get,
    .touch = meta_touch,
    .get_and_touch = meta_get_and_touch,
    .count = meta_count,
    .lease_get = meta_lease_get,
    .lease_fill = meta_lease_fill,
    .lease_return = meta_lease_return,
    .many = meta_many,
    .flush = meta_flush,
    .stats = meta_stats,
    .wire_key = meta_wire_key,
    .servers = meta_servers,
    .place = meta_placed,
    .shutdown = meta_shutdown,
    .fork = meta_fork,
    .retire = meta_retire,
};

#define LARDER_OPTIONS_STRUCT struct larder_meta_options
static const struct larder_option meta_options[] = {
    LARDER_META_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

extern const struct larder_backend larder_meta_backend;
const struct larder_backend larder_meta_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "meta",
    .sentence = "memcached servers, over the meta protocol; a pool of connections to each",
    .ops = &meta_ops,
    .open = meta_open,
    .options = meta_options,
    .option_count = sizeof(meta_options) / sizeof(meta_options[0]),
    .options_size = sizeof(struct larder_meta_options),
    .succeed = meta_succeed,
    .relist = meta_relist,
};
