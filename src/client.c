/*
 * Clients: names routed to caches. A namespace's handle goes straight to the cache that its name is
 * routed to, with the namespace in its scope; the client's own handle is that of the default
 * namespace, but for the calls on the whole cache.
 *
 * Where handles lead is decided by the client's graph; reload.c changes it.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/message.h>
#include <larder/util/uthash.h>

#include "attach.h"
#include "hit.h"
#include "source.h"
#include "views.h"

static void fork_client(void *self, enum larder_fork_step step)
{
    struct larder_client *client = self;
    if (step == LARDER_FORK_CHILD) { /* neither who reloads nor who waits for that is here */
        client->guarded.reloading = 0;
        pthread_cond_init(&client->idle, NULL);
    }
    larder__fork_mutex(&client->mutex, step);
}

/* For a call on the whole client: its visit keeps the graph, also when a reload replaces it. */
static struct graph *graph_of(struct larder_client *client)
{
    pthread_mutex_lock(&client->mutex);
    struct graph *graph = client->guarded.graph;
    pthread_mutex_unlock(&client->mutex);
    return graph;
}

/* ---- leads --------------------------------------------------------------------------------- */

void larder__target_of(const struct graph *graph, const struct route *route,
                       const struct larder_space *space, struct target *target,
                       struct larder_traits *traits)
{
    const struct backing *backing = route->part->backing;
    const struct larder_open_options *options = &graph->open_options;
    const struct target *leaf = larder__last_target(backing->leaf);
    memset(target, 0, sizeof(*target));
    target->scope = backing->scope;
    target->scope.space = space;
    target->scope.hit_context = NULL; /* that was of the leaf */
    int64_t common_default =
        options->default_ttl_ms != 0 ? options->default_ttl_ms : LARDER_TTL_DEFAULT;
    target->ttl = larder__ttl_narrow(leaf->ttl, common_default, options->max_ttl_ms);
    target->ttl = larder__ttl_narrow(target->ttl, route->default_ttl_ms, route->max_ttl_ms);
    *traits = *backing->traits;
    traits->ttl_max_ms = target->ttl.max_ms;
    target->errors_as_miss = options->errors_as_miss;
    int own_listener = options->listener != NULL;
    target->listener = own_listener ? options->listener : leaf->listener;
    target->listener_context = own_listener ? options->listener_context : leaf->listener_context;
}

struct lead *larder__lead_new_locked(struct larder_client *client, const struct graph *graph,
                                     const struct route *route, const struct larder_space *space)
{
    struct larder_traits traits;
    struct lead *lead = calloc(1, sizeof(*lead));
    if (lead == NULL)
        return NULL;
    larder__target_of(graph, route, space, &lead->target, &traits);
    lead->description = larder__description_find(&client->guarded.descriptions, &traits);
    if (lead->description == NULL) {
        free(lead);
        return NULL;
    }
    lead->target.traits = &lead->description->traits;
    lead->target.retiree = &lead->retiree;
    lead->client = client;
    lead->backing = route->part->backing;
    larder__hold(&lead->backing->retiree);
    lead->target.hits = larder__hits_of(&lead->target.scope);
    return lead;
}

void larder__lead_free_locked(struct lead *lead)
{
    if (lead == NULL)
        return;
    larder__description_leave(&lead->client->guarded.descriptions, lead->description);
    larder__let_go(&lead->backing->retiree);
    free(lead);
}

void larder__lead_reclaim(struct retiree *retiree)
{
    struct lead *lead = (struct lead *)(void *)retiree;
    struct larder_client *client = lead->client;
    pthread_mutex_lock(&client->mutex);
    larder__lead_free_locked(lead);
    pthread_mutex_unlock(&client->mutex);
}

/* ---- views --------------------------------------------------------------------------------- */

void larder__view_free_locked(struct view *view)
{
    larder__counters_free(view->handle.counters);
    larder__lead_free_locked(view->lead);
    free(view);
}

static struct view *view_new_locked(struct larder_client *client, const struct graph *graph,
                                    const struct route *route, const char *name)
{
    struct view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        return NULL;
    memcpy(view->name, name, strlen(name) + 1);
    view->space.size = sizeof(view->space);
    view->space.name = larder_bytes(view->name, strlen(view->name));
    view->handle.kind = HANDLE_NAMESPACE;
    enum larder_status status = larder__counts_in(&view->handle, larder__counters_new());
    view->lead = larder__lead_new_locked(client, graph, route, &view->space);
    if (status != LARDER_OK || view->lead == NULL) {
        larder__view_free_locked(view);
        return NULL;
    }
    larder__lead_first(&view->handle, &view->lead->target);
    return view;
}

static enum larder_status view_add_locked(struct larder_client *client, struct view *view)
{
    HASH_ADD_STR(client->guarded.views, name, view);
    if (!larder_hash_added(view))
        return LARDER_NO_MEMORY;
    enum larder_status status = larder__derive(&client->handle, &view->handle);
    if (status != LARDER_OK)
        HASH_DEL(client->guarded.views, view);
    return status;
}

struct view *larder__view_known_locked(const struct larder_client *client, const char *name)
{
    struct view *view;
    HASH_FIND_STR(client->guarded.views, name, view);
    return view;
}

enum larder_status larder__view_find_locked(struct larder_client *client, const struct graph *graph,
                                            const char *name, struct view **found)
{
    *found = larder__view_known_locked(client, name);
    const struct route *route = larder__graph_route(graph, name);
    if (route == NULL)
        return LARDER_BAD_ARGUMENT;
    if (*found != NULL)
        return LARDER_OK;
    if (HASH_COUNT(client->guarded.views) >= LARDER_NAMESPACES_MAX)
        return LARDER_TOO_LARGE;
    struct view *view = view_new_locked(client, graph, route, name);
    if (view == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = view_add_locked(client, view);
    if (status != LARDER_OK)
        larder__view_free_locked(view);
    else
        *found = view;
    return status;
}

enum larder_status larder_bind(struct larder_cache *cache, const char *name,
                               struct larder_cache **handle)
{
    if (handle != NULL)
        *handle = NULL;
    if (cache == NULL || handle == NULL || cache->root->client == NULL ||
        (cache->kind != HANDLE_CLIENT && cache->kind != HANDLE_SESSION))
        return LARDER_BAD_ARGUMENT;
    struct larder_client *client = cache->root->client;
    struct view *view = NULL;
    if (larder__is_closed(cache))
        return LARDER_CLOSED;
    int is_default = name == NULL || name[0] == '\0';
    if (!is_default && !larder__namespace_is_valid(name))
        return LARDER_BAD_ARGUMENT;
    LARDER_VISIT(cache);
    pthread_mutex_lock(&client->mutex);
    const struct graph *graph = client->guarded.graph;
    enum larder_status status = larder__view_find_locked(
        client, graph, is_default ? graph->default_namespace : name, &view);
    pthread_mutex_unlock(&client->mutex);
    if (status == LARDER_OK && cache->kind == HANDLE_SESSION)
        return larder__session_bind(cache, &view->handle, handle);
    if (status == LARDER_OK)
        *handle = &view->handle;
    return status;
}

/* A view stays until the client is closed, so its place in the list is where to go on. */
struct view *larder__next_view(struct larder_client *client, struct view *view)
{
    pthread_mutex_lock(&client->mutex);
    struct view *next = view == NULL ? client->guarded.views : view->hh.next;
    pthread_mutex_unlock(&client->mutex);
    return next;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void views_free(struct larder_client *client)
{
    struct view *view, *next;
    HASH_ITER(hh, client->guarded.views, view, next)
    {
        HASH_DEL(client->guarded.views, view);
        larder__view_free_locked(view);
    }
}

/* Frees what only the client knows; the caches stay whose they are. */
static void client_free(struct larder_client *client)
{
    views_free(client);
    larder__descriptions_free(&client->guarded.descriptions);
    pthread_cond_destroy(&client->idle);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

/* The client's own handle is the default namespace's. */
static enum larder_status default_bind(struct larder_client *client)
{
    const struct graph *graph = client->guarded.graph;
    const char *name = graph->default_namespace;
    struct view *view = view_new_locked(client, graph, larder__graph_route(graph, name), name);
    if (view == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status =
        larder__root_init(&client->handle, HANDLE_CLIENT, &view->lead->target);
    if (status != LARDER_OK) {
        larder__view_free_locked(view);
        return status;
    }
    client->handle.client = client;
    status = view_add_locked(client, view);
    if (status != LARDER_OK) {
        larder__view_free_locked(view);
        larder__root_clean_up(&client->handle);
    }
    return status;
}

static struct larder_client *client_new(struct graph *graph)
{
    struct larder_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return NULL;
    pthread_mutex_init(&client->mutex, NULL);
    pthread_cond_init(&client->idle, NULL);
    larder__grace_prepare();
    client->guarded.graph = graph;
    client->guarded.maps.limit = LARDER__RETIRED_MAPS_MAX;
    client->guarded.backings.limit = LARDER_RETIRED_CACHES_MAX;
    return client;
}

enum larder_status larder_client_open(const struct larder_client_options *options,
                                      const struct larder_open_options *open_options,
                                      const struct larder_route *routes, size_t route_count,
                                      struct larder_cache **cache, char *text, size_t text_size)
{
    struct larder_message message = {text, text_size};
    struct graph *graph;
    larder_message_set(&message, "%s", "");
    if (cache == NULL)
        return larder_fail(&message, LARDER_BAD_ARGUMENT, "client is NULL");
    *cache = NULL;
    enum larder_status status =
        larder__graph_open(NULL, options, open_options, routes, route_count, &graph, &message);
    if (status != LARDER_OK)
        return status;
    struct larder_client *client = client_new(graph);
    status = client != NULL ? default_bind(client) : LARDER_NO_MEMORY;
    if (status != LARDER_OK) {
        larder__graph_drop(graph);
        if (client != NULL)
            client_free(client);
        return larder_fail(&message, status, "no memory");
    }
    larder__fork_hook_add(&client->fork, fork_client, client);
    *cache = &client->handle;
    return LARDER_OK;
}

void larder__client_shutdown(struct larder_client *client)
{
    LARDER_VISIT(&client->handle);
    larder__root_close(&client->handle);
    /* from here on no reload changes the graph any more */
    struct graph *graph = graph_of(client);
    for (size_t i = 0; i < graph->part_count; i++)
        larder__backing_leave(graph->parts[i].backing);
}

static void backings_close(struct larder_client *client)
{
    struct graph *graph = client->guarded.graph;
    for (size_t i = 0; i < graph->part_count; i++) {
        larder__leaf_disown(graph->parts[i].leaf); /* a composition may hold it still */
        larder__backing_close(graph->parts[i].backing);
    }
    larder__graph_free(graph);
}

void larder__client_close(struct larder_client *client)
{
    larder__client_shutdown(client);
    larder__fork_hook_remove(&client->fork);
    larder__retirees_free(client->guarded.maps.first);
    views_free(client);
    larder__retirees_free(client->guarded.backings.first);
    backings_close(client);
    larder__source_free(client->guarded.source);
    larder__root_clean_up(&client->handle);
    client_free(client);
}

/* ---- the whole client ---------------------------------------------------------------------- */

/* Every name that is known to go to a server: those of the map, and those that "*" took. */
static int name_is_of(const struct graph *graph, const char *name, const struct backing *backing)
{
    const struct route *route = larder__graph_route(graph, name);
    return route != NULL && route->part->backing == backing && strcmp(name, "*") != 0;
}

static enum larder_status flush_name(const struct backing *backing,
                                     const struct larder_scope *caller, const char *name)
{
    struct larder_space space = {sizeof(space), 0, larder_text(name)};
    struct larder_scope scope = backing->scope;
    scope.space = &space;
    scope.session = caller->session;
    return scope.ops->flush(&scope);
}

static enum larder_status lower(enum larder_status one, enum larder_status other)
{
    return one < other ? one : other;
}

static enum larder_status flush_names(struct larder_client *client, const struct graph *graph,
                                      const struct backing *backing,
                                      const struct larder_scope *caller)
{
    enum larder_status lowest = LARDER_OK;
    for (struct route *route = graph->routes; route != NULL; route = route->hh.next)
        if (name_is_of(graph, route->name, backing))
            lowest = lower(lowest, flush_name(backing, caller, route->name));
    for (struct view *view = larder__next_view(client, NULL); view != NULL;
         view = larder__next_view(client, view))
        if (larder__graph_line(graph, view->name) == NULL && name_is_of(graph, view->name, backing))
            lowest = lower(lowest, flush_name(backing, caller, view->name));
    return lowest;
}

static int takes_any_name(const struct graph *graph, const struct backing *backing)
{
    const struct route *any = larder__graph_line(graph, "*");
    return any != NULL && any->part->backing == backing;
}

static enum larder_status flush_backing(struct larder_client *client, const struct graph *graph,
                                        const struct backing *backing,
                                        const struct larder_scope *caller)
{
    const struct target *leaf = larder__last_target(backing->leaf);
    struct larder_scope scope = leaf->scope;
    scope.session = caller->session;
    /* A leaf that can flush itself holds nothing but this client's namespaces. Where it takes their
     * generations along, new ones are started at once: what is stored next must not be lost when
     * the next poll misses them. */
    int leaf_flushes = larder_can(leaf->traits, LARDER_CAN_FLUSH);
    int keeps_names = backing->namespaced == NULL && larder__leaf_parts(backing->leaf)->count == 0;
    int names_flush = !keeps_names && larder_can(backing->traits, LARDER_CAN_FLUSH);
    if (!leaf_flushes && !names_flush)
        return LARDER_UNSUPPORTED;
    enum larder_status status = leaf_flushes ? scope.ops->flush(&scope) : LARDER_OK;
    if (names_flush)
        status = lower(status, flush_names(client, graph, backing, caller));
    /* others may have stored under names that nobody here has heard of */
    if (!leaf_flushes && takes_any_name(graph, backing))
        status = lower(status, LARDER_UNSUPPORTED);
    return status;
}

enum larder_status larder__client_flush(struct larder_client *client,
                                        const struct larder_scope *scope)
{
    enum larder_status lowest = LARDER_OK;
    struct graph *graph = graph_of(client);
    for (size_t i = 0; i < graph->part_count; i++)
        lowest = lower(lowest, flush_backing(client, graph, graph->parts[i].backing, scope));
    /* a reload may have shut one down meanwhile */
    int is_over = lowest != LARDER_CLOSED || graph == graph_of(client);
    return is_over ? lowest : larder__client_flush(client, scope);
}

void larder__client_totals(struct larder_client *client, struct larder_totals *totals)
{
    for (struct view *view = larder__next_view(client, NULL); view != NULL;
         view = larder__next_view(client, view))
        larder__counters_total(view->handle.counters, totals);
}

void larder__client_stats(struct larder_client *client, struct larder_stats_out *out)
{
    struct graph *graph = graph_of(client);
    for (size_t i = 0; i < graph->part_count; i++) {
        const struct larder_scope *scope =
            &larder__last_target(graph->parts[i].backing->leaf)->scope;
        out->prefix = graph->parts[i].name;
        scope->ops->stats(scope, out);
    }
    out->prefix = NULL;
}

enum larder_status larder__client_purge(struct larder_client *client, uint32_t budget_ms,
                                        uint64_t *next_due_ms)
{
    enum larder_status lowest = LARDER_OK;
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    struct graph *graph = graph_of(client);
    for (size_t i = 0; i < graph->part_count; i++) {
        const struct larder_scope *scope =
            &larder__last_target(graph->parts[i].backing->leaf)->scope;
        uint64_t due_ms = UINT64_MAX;
        uint32_t left_ms = (uint32_t)larder_deadline_left_ms(deadline_ns);
        lowest = lower(lowest, scope->ops->purge(scope, left_ms, &due_ms));
        if (due_ms < *next_due_ms)
            *next_due_ms = due_ms;
    }
    return lowest;
}
