/* An edge: opened from the options, closed last. */
#include "edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/message.h>

/* How long open waits for names; its callers must not wait for a network. */
#define RESOLVE_MS 100u

/* ---- sites --------------------------------------------------------------------------------- */

/* A prober waits for its client and its call; who takes longer than this has died. */
static uint64_t claim_ms(const struct config *config)
{
    return 4 * config->timeout_ms + config->probe_ms;
}

static enum larder_status site_open(struct site *site, const struct config *config, size_t index)
{
    site->server = &config->servers[index];
    if (!larder_server_is_unix(site->server) &&
        !larder_address_numeric(site->server->host, site->address)) {
        site->name = larder_name_resolve(site->server->host);
        if (site->name == NULL)
            return LARDER_NO_MEMORY;
    }
    enum larder_status status =
        larder_markdown_init(&site->markdown, config->probe_ms, claim_ms(config));
    if (status != LARDER_OK)
        larder_name_release(site->name);
    return status;
}

static void sites_close(struct site *sites, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        larder_markdown_clean_up(&sites[i].markdown);
        larder_name_release(sites[i].name);
    }
    free(sites);
}

static enum larder_status sites_open(struct edge *edge)
{
    enum larder_status status = LARDER_OK;
    edge->sites = calloc(edge->config->server_count, sizeof(*edge->sites));
    if (edge->sites == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < edge->config->server_count && status == LARDER_OK; i++) {
        status = site_open(&edge->sites[i], edge->config, i);
        edge->site_count += status == LARDER_OK;
    }
    if (status != LARDER_OK)
        sites_close(edge->sites, edge->site_count);
    return status;
}

static void wait_for_names(struct edge *edge)
{
    char address[LARDER_ADDRESS_BYTES];
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), RESOLVE_MS);
    for (uint32_t i = 0; i < edge->site_count; i++)
        if (edge->sites[i].name != NULL)
            larder_name_wait(edge->sites[i].name, deadline_ns, address);
}

/* ---- the ring ------------------------------------------------------------------------------ */

static int ring_configure(memcached_st *ring, const struct config *config)
{
    memcached_behavior_t behaviour = MEMCACHED_BEHAVIOR_DISTRIBUTION;
    uint64_t value = config->distribution;
    if (config->weighted) {
        behaviour = MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED;
        value = 1;
    }
    /* The weighted ketama sets its own hash. */
    return memcached_success(memcached_behavior_set(ring, behaviour, value)) &&
           (config->weighted || config->hash == MEMCACHED_HASH_DEFAULT ||
            memcached_success(
                memcached_behavior_set(ring, MEMCACHED_BEHAVIOR_HASH, (uint64_t)config->hash)));
}

static int ring_add(memcached_st *ring, const struct larder_server *server)
{
    if (larder_server_is_unix(server))
        return memcached_success(
            memcached_server_add_unix_socket_with_weight(ring, server->host, server->weight));
    return memcached_success(memcached_server_add_with_weight(
        ring, server->host, (in_port_t)server->port, server->weight));
}

static enum larder_status ring_open(struct edge *edge, const struct larder_message *message)
{
    edge->ring = memcached_create(NULL);
    if (edge->ring == NULL)
        return LARDER_NO_MEMORY;
    if (!ring_configure(edge->ring, edge->config)) {
        memcached_free(edge->ring);
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "hash: this libmemcached was built without it");
    }
    for (size_t i = 0; i < edge->config->server_count; i++)
        if (!ring_add(edge->ring, &edge->config->servers[i])) {
            memcached_free(edge->ring);
            return larder_fail(message, LARDER_BAD_ARGUMENT, "libmemcached refuses the server %s",
                               edge->config->servers[i].host);
        }
    return LARDER_OK;
}

static uint32_t ring_place(const struct edge *edge, struct larder_slice bytes)
{
    return memcached_generate_hash(edge->ring, bytes.data, bytes.length);
}

uint32_t edge_place(const struct edge *edge, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire)
{
    if (scope->server != 0)
        return scope->server - 1;
    if (edge->site_count == 1)
        return 0;
    if (scope->call != NULL && scope->call->routing_key.length > 0)
        return ring_place(edge, scope->call->routing_key);
    if (edge->config->tags) {
        struct larder_slice tag = larder_key_tag(key);
        if (tag.length != key.length)
            return ring_place(edge, tag);
    }
    return ring_place(edge, wire);
}

/* ---- traits -------------------------------------------------------------------------------- */

#define EDGE_CAN                                                                             \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |              \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_COUNT | LARDER_CAN_WIRE_KEY | \
     LARDER_CAN_MANY_READ)

#define EDGE_STEPS (LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT_INITIAL)

/*
 * One key is on one server, and a server's operations on it have one order; writes that ended
 * UNKNOWN may land later, which linearizability allows an operation without an answer. A TTL is cut
 * at the server's last second in 2038, which is not a number of milliseconds: ttl_max_ms says no
 * maximum.
 */
static void set_traits(struct larder_traits *traits, const struct config *config, uint64_t promises)
{
    *traits = (struct larder_traits){
        .size = sizeof(*traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = EDGE_CAN | (config->exclusive ? LARDER_CAN_FLUSH : 0),
        .steps = EDGE_STEPS,
        .promises = LARDER_SHARED | promises,
        .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_TIMEOUT | LARDER_TAKES_ROUTING_KEY,
        .value_max = config->value_max,
        .delta_max = config->binary ? UINT64_MAX : UINT32_MAX,
        .ttl_step_ms = 1000,
        .ttl_late_ms = 2000,
        .key_max = LARDER_WIRE_KEY_BYTES_MAX,
        .timeout_ms = config->timeout_ms < UINT32_MAX ? (uint32_t)config->timeout_ms : UINT32_MAX,
    };
}

const struct larder_traits *edge_traits(const void *edge)
{
    return &((const struct edge *)edge)->traits;
}

/* ---- counters ------------------------------------------------------------------------------ */

static void counters_let_go(struct edge_counters *counters)
{
    if (counters != NULL &&
        atomic_fetch_sub_explicit(&counters->holders, 1, memory_order_acq_rel) == 1)
        free(counters);
}

static struct edge_counters *counters_new(void)
{
    struct edge_counters *counters = calloc(1, sizeof(*counters));
    if (counters != NULL)
        atomic_init(&counters->holders, 1);
    return counters;
}

/* ---- open and close ------------------------------------------------------------------------ */

/* Older ones read a miss out of a timeout, and loop on a response counter that ran under 0. */
static enum larder_status check_library(const struct larder_message *message)
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
    const char *version = memcached_lib_version();
    if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) == 3 &&
        major * 10000 + minor * 100 + patch >= 10104)
        return LARDER_OK;
    return larder_fail(message, LARDER_UNSUPPORTED,
                       "libmemcached %s is loaded; 1.1.4 or newer is needed", version);
}

static enum larder_status edge_build(struct edge *edge, const struct common_options *options,
                                     const struct larder_message *message)
{
    edge->config = malloc(sizeof(*edge->config));
    if (edge->config == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = config_read(edge->config, options, message);
    if (status != LARDER_OK)
        goto free_config;
    status = ring_open(edge, message);
    if (status != LARDER_OK)
        goto clean_up_config;
    status = sites_open(edge);
    if (status != LARDER_OK)
        goto free_ring;
    wait_for_names(edge);
    return LARDER_OK;

free_ring:
    memcached_free(edge->ring);
clean_up_config:
    config_clean_up(edge->config);
free_config:
    free(edge->config);
    return status;
}

enum larder_status edge_open(const struct common_options *options, uint64_t promises,
                             const struct larder_message *message, struct edge **edge)
{
    enum larder_status status = check_library(message);
    if (status == LARDER_OK)
        status = larder_key_codec_prepare();
    if (status != LARDER_OK)
        return status;
    struct edge *opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return LARDER_NO_MEMORY;
    opened->counters = counters_new();
    if (opened->counters == NULL || pthread_mutex_init(&opened->mutex, NULL) != 0) {
        counters_let_go(opened->counters);
        free(opened);
        return LARDER_NO_MEMORY;
    }
    status = edge_build(opened, options, message);
    if (status != LARDER_OK) {
        pthread_mutex_destroy(&opened->mutex);
        counters_let_go(opened->counters);
        free(opened);
        return status;
    }
    set_traits(&opened->traits, opened->config, promises);
    *edge = opened;
    return LARDER_OK;
}

/* ---- inside and outside -------------------------------------------------------------------- */

/* All but the shell. */
struct bulk {
    struct config *config; /* NULL: there is none, or none to be freed yet */
    struct site *sites;
    uint32_t site_count;
    memcached_st *ring;
};

static struct bulk bulk_take_locked(struct edge *edge)
{
    struct bulk bulk = {edge->config, edge->sites, edge->site_count, edge->ring};
    edge->config = NULL;
    edge->sites = NULL;
    edge->ring = NULL;
    return bulk;
}

static struct bulk bulk_take_if_over_locked(struct edge *edge)
{
    struct bulk none = {NULL, NULL, 0, NULL};
    return edge->guarded.shut && edge->guarded.inside == 0 ? bulk_take_locked(edge) : none;
}

static void bulk_free(struct bulk bulk)
{
    if (bulk.config == NULL)
        return;
    sites_close(bulk.sites, bulk.site_count);
    memcached_free(bulk.ring);
    config_clean_up(bulk.config);
    free(bulk.config);
}

int edge_enter(struct edge *edge)
{
    pthread_mutex_lock(&edge->mutex);
    int is_open = !edge->guarded.shut;
    edge->guarded.inside += (uint32_t)is_open;
    pthread_mutex_unlock(&edge->mutex);
    return is_open;
}

void edge_leave(struct edge *edge)
{
    pthread_mutex_lock(&edge->mutex);
    edge->guarded.inside--;
    struct bulk bulk = bulk_take_if_over_locked(edge);
    pthread_mutex_unlock(&edge->mutex);
    bulk_free(bulk);
}

void edge_shut(struct edge *edge)
{
    pthread_mutex_lock(&edge->mutex);
    edge->guarded.shut = 1;
    struct bulk bulk = bulk_take_if_over_locked(edge);
    pthread_mutex_unlock(&edge->mutex);
    bulk_free(bulk);
}

void edge_close(struct edge *edge)
{
    if (edge == NULL)
        return;
    bulk_free(bulk_take_locked(edge));
    pthread_mutex_destroy(&edge->mutex);
    counters_let_go(edge->counters);
    free(edge);
}

static int is_same_server(const struct site *site, const struct site *other)
{
    return site->server->port == other->server->port &&
           strcmp(site->server->host, other->server->host) == 0;
}

static void site_follow(struct site *site, struct site *older)
{
    larder_markdown_follow(&site->markdown, &older->markdown, larder_monotonic_ns());
    atomic_store_explicit(&site->item_max,
                          atomic_load_explicit(&older->item_max, memory_order_relaxed),
                          memory_order_relaxed);
}

void edge_follow(struct edge *edge, struct edge *older)
{
    if (!edge_enter(older))
        return;
    for (uint32_t i = 0; i < edge->site_count; i++)
        for (uint32_t j = 0; j < older->site_count; j++)
            if (is_same_server(&edge->sites[i], &older->sites[j]))
                site_follow(&edge->sites[i], &older->sites[j]);
    edge_leave(older);
}

void edge_relist(struct edge *edge, struct edge *older)
{
    edge_follow(edge, older);
    counters_let_go(edge->counters);
    atomic_fetch_add_explicit(&older->counters->holders, 1, memory_order_relaxed);
    edge->counters = older->counters;
}

/* Nobody empties the edge between the steps: the mutex is held, and its sites' under it. */
void edge_fork(struct edge *edge, enum larder_fork_step step)
{
    if (step == LARDER_FORK_PREPARE)
        pthread_mutex_lock(&edge->mutex);
    for (uint32_t i = 0; edge->sites != NULL && i < edge->site_count; i++)
        larder_markdown_fork(&edge->sites[i].markdown, step);
    if (step == LARDER_FORK_CHILD) {
        edge->generation++;
        atomic_store_explicit(&edge->counters->links_open, 0, memory_order_relaxed);
    }
    if (step != LARDER_FORK_PREPARE)
        pthread_mutex_unlock(&edge->mutex);
}

/* ---- figures ------------------------------------------------------------------------------- */

static void stat_add_site(struct larder_stats_out *out, uint32_t index, const char *what,
                          uint64_t value)
{
    char name[sizeof(((struct larder_stat *)NULL)->name)];
    snprintf(name, sizeof(name), "server.%u.%s", index, what);
    larder_stat_add(out, name, value);
}

void edge_stats(struct edge *edge, struct larder_stats_out *out)
{
#define EDGE_COUNTER_STAT(name) \
    larder_stat_add(out, #name, atomic_load_explicit(&edge->counters->name, memory_order_relaxed));
    EDGE_COUNTER_TABLE(EDGE_COUNTER_STAT)
#undef EDGE_COUNTER_STAT
    if (!edge_enter(edge))
        return;
    for (uint32_t i = 0; i < edge->site_count; i++) {
        struct larder_markdown_figures figures;
        larder_markdown_read(&edge->sites[i].markdown, &figures);
        stat_add_site(out, i, "down", (uint64_t)figures.down);
        stat_add_site(out, i, "markdowns", figures.markdowns);
        stat_add_site(out, i, "probes", figures.probes);
    }
    edge_leave(edge);
}
