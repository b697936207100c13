/*
 * Reloading a client: everything that can fail is done beside what is in force, a lead is prepared
 * for every handle, and then graph and handles change in one step. What they led to before is freed
 * when the calls under way are over, by this reload or a later one.
 *
 * Opening a cache registers a hook for fork(), which holds the hooks' mutex while it takes every
 * other. So whoever reloads holds no mutex meanwhile, but is marked under the client's.
 */
#include <stdlib.h>

#include <larder/util/message.h>

#include "attach.h"
#include "views.h"

/* ---- one after the other ------------------------------------------------------------------- */

enum larder_status larder__client_reload_begin(struct larder_client *client)
{
    pthread_mutex_lock(&client->mutex);
    while (client->guarded.reloading)
        pthread_cond_wait(&client->idle, &client->mutex);
    int is_closed = larder__is_closed(&client->handle);
    client->guarded.reloading = !is_closed;
    pthread_mutex_unlock(&client->mutex);
    return is_closed ? LARDER_CLOSED : LARDER_OK;
}

void larder__client_reload_end(struct larder_client *client)
{
    pthread_mutex_lock(&client->mutex);
    client->guarded.reloading = 0;
    pthread_cond_broadcast(&client->idle);
    pthread_mutex_unlock(&client->mutex);
}

/* The cache that had all that the name wrote, and will: what is in it is no older. */
static const struct larder_cache *kept_of(const struct view *view, const struct backing *backing)
{
    if (larder__target(&view->handle)->refusal != LARDER_OK)
        return NULL;
    const struct larder_cache *kept = larder__leaf_authority(view->lead->backing->leaf);
    return kept == larder__leaf_authority(backing->leaf) ? kept : NULL;
}

/* Whether a name is led to caches of this process that it may have been led to before, and
 * elsewhere meanwhile. */
static int comes_back(const struct view *view, const struct route *route)
{
    const struct target *target = larder__target(&view->handle);
    if (route == NULL || !route->part->may_know || target->refusal == LARDER_CLOSED)
        return 0;
    return target->refusal != LARDER_OK ||
           !larder__leaf_is_alike(view->lead->backing->leaf, route->part->backing->leaf);
}

/* A cache that others share is theirs, too. */
static enum larder_status flush_in(const struct backing *backing, const struct view *view)
{
    struct larder_scope scope = backing->scope;
    const struct larder_cache *kept = kept_of(view, backing);
    const struct parts *parts = larder__leaf_parts(backing->leaf);
    if (parts->count > 0)
        return larder__parts_flush_unshared(parts, &view->space, kept);
    if ((backing->traits->promises & LARDER_SHARED) != 0 || backing->leaf == kept)
        return LARDER_OK;
    scope.space = &view->space;
    enum larder_status status = scope.ops->flush(&scope);
    return status != LARDER_UNSUPPORTED ? status : LARDER_OK;
}

/* What a name stored in a cache before it was led elsewhere is older than what it stored there: it
 * must not come back with it. */
static enum larder_status flush_entering(struct larder_client *client, const struct graph *graph)
{
    enum larder_status lowest = LARDER_OK;
    for (struct view *view = larder__next_view(client, NULL); view != NULL;
         view = larder__next_view(client, view)) {
        const struct route *route = larder__graph_route(graph, view->name);
        enum larder_status status =
            comes_back(view, route) ? flush_in(route->part->backing, view) : LARDER_OK;
        lowest = status < lowest ? status : lowest;
    }
    return lowest;
}

/* ---- preparing ----------------------------------------------------------------------------- */

/* Whether calls would find the same. */
static int leads_there(const struct lead *lead, const struct backing *backing,
                       const struct target *target)
{
    return lead->backing == backing && lead->target.ttl.default_ms == target->ttl.default_ms &&
           lead->target.ttl.max_ms == target->ttl.max_ms &&
           lead->target.errors_as_miss == target->errors_as_miss &&
           lead->target.listener == target->listener &&
           lead->target.listener_context == target->listener_context;
}

static void unprepare_locked(struct larder_client *client)
{
    for (struct view *view = client->guarded.views; view != NULL; view = view->hh.next) {
        if (view->prepared != view->lead)
            larder__lead_free_locked(view->prepared);
        view->prepared = NULL;
    }
}

static enum larder_status view_prepare_locked(struct larder_client *client, struct view *view,
                                              const struct graph *graph)
{
    struct target target;
    struct larder_traits traits;
    const struct route *route = larder__graph_route(graph, view->name);
    view->prepared = NULL;
    if (route == NULL)
        return LARDER_OK;
    larder__target_of(graph, route, &view->space, &target, &traits);
    if (leads_there(view->lead, route->part->backing, &target))
        view->prepared = view->lead;
    else
        view->prepared = larder__lead_new_locked(client, graph, route, &view->space);
    return view->prepared != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

static uint32_t prepared_count_locked(const struct larder_client *client)
{
    uint32_t count = 0;
    for (const struct view *view = client->guarded.views; view != NULL; view = view->hh.next)
        count += view->prepared != NULL && view->prepared != view->lead;
    return count;
}

static uint32_t leaving_count(const struct graph *before, const struct graph *graph)
{
    uint32_t count = 0;
    for (size_t i = 0; i < before->part_count; i++)
        count += !larder__graph_has_backing(graph, before->parts[i].backing);
    return count;
}

static enum larder_status limits_check_locked(const struct larder_client *client,
                                              const struct graph *graph,
                                              const struct larder_message *message)
{
    const struct retired *backings = &client->guarded.backings, *maps = &client->guarded.maps;
    uint32_t more_backings = leaving_count(client->guarded.graph, graph);
    uint32_t more_maps = prepared_count_locked(client) + 1; /* and the graph */
    if (backings->count + more_backings <= backings->limit &&
        maps->count + more_maps <= maps->limit)
        return LARDER_OK;
    return larder_fail(
        message, LARDER_TOO_LARGE,
        "calls or sessions are still on as many replaced caches as a client can keep "
        "track of (%u, or %u of its namespaces' handles): let them end",
        backings->limit, maps->limit);
}

static enum larder_status prepare_locked(struct larder_client *client, const struct graph *graph,
                                         const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    for (struct view *view = client->guarded.views; view != NULL && status == LARDER_OK;
         view = view->hh.next)
        status = view_prepare_locked(client, view, graph);
    if (status != LARDER_OK)
        return larder_fail(message, status, "no memory");
    return limits_check_locked(client, graph, message);
}

/* ---- the step ------------------------------------------------------------------------------ */

/* Where no lead is prepared the view's stays: the name may come back. */
static void lead_views_locked(struct larder_client *client)
{
    for (struct view *view = client->guarded.views; view != NULL; view = view->hh.next)
        larder__lead_locked(&view->handle, view->prepared != NULL ? &view->prepared->target
                                                                  : &larder__unmapped_target);
}

/* After all handles are led elsewhere: the client's own shares the lead of a view. */
static void retire_leads_locked(struct larder_client *client)
{
    for (struct view *view = client->guarded.views; view != NULL; view = view->hh.next) {
        struct lead *lead = view->prepared;
        view->prepared = NULL;
        if (lead == NULL || lead == view->lead)
            continue;
        larder__retire_locked(&client->guarded.maps, &view->lead->retiree, larder__lead_reclaim);
        view->lead = lead;
    }
}

/* The one step: before it nothing has changed, after it everything has. */
static enum larder_status lead_all_locked(struct larder_client *client, struct graph *graph,
                                          const struct view *main_view,
                                          struct larder_source *source)
{
    struct larder_cache *root = &client->handle;
    pthread_mutex_lock(&root->derived.mutex);
    int is_closed = root->derived.closed;
    if (!is_closed) {
        lead_views_locked(client);
        larder__lead_locked(root, &main_view->prepared->target);
        client->guarded.graph = graph;
        client->guarded.source = source;
        retire_leads_locked(client);
    }
    pthread_mutex_unlock(&root->derived.mutex);
    return is_closed ? LARDER_CLOSED : LARDER_OK;
}

static void view_forget_locked(struct larder_client *client, struct view *view)
{
    larder__underive(&view->handle);
    HASH_DEL(client->guarded.views, view);
    larder__view_free_locked(view);
}

static enum larder_status enforce_locked(struct larder_client *client, struct graph *graph,
                                         struct larder_source *source,
                                         const struct larder_message *message)
{
    struct view *main_view;
    int has_main_view = larder__view_known_locked(client, graph->default_namespace) != NULL;
    enum larder_status status =
        larder__view_find_locked(client, graph, graph->default_namespace, &main_view);
    if (status != LARDER_OK)
        return larder_fail(message, status, "%s", larder_status_sentence(status));
    status = prepare_locked(client, graph, message);
    if (status == LARDER_OK)
        status = lead_all_locked(client, graph, main_view, source);
    if (status == LARDER_OK)
        return LARDER_OK;
    unprepare_locked(client);
    if (!has_main_view)
        view_forget_locked(client, main_view);
    return status;
}

/* ---- what was replaced --------------------------------------------------------------------- */

static void graph_reclaim(struct retiree *graph)
{
    larder__graph_free((struct graph *)(void *)graph);
}

static void backing_reclaim(struct retiree *backing)
{
    larder__backing_close((struct backing *)(void *)backing);
}

/* Calls under way may be in it still; those that come to it from now on are led to `graph`. */
static void retire(struct larder_client *client, struct graph *before, const struct graph *graph)
{
    for (size_t i = 0; i < before->part_count; i++) {
        struct backing *backing = before->parts[i].backing;
        if (larder__graph_has_backing(graph, backing))
            continue;
        larder__backing_retire(backing, graph);
        pthread_mutex_lock(&client->mutex);
        larder__retire_locked(&client->guarded.backings, &backing->retiree, backing_reclaim);
        pthread_mutex_unlock(&client->mutex);
    }
    pthread_mutex_lock(&client->mutex);
    larder__retire_locked(&client->guarded.maps, &before->retiree, graph_reclaim);
    pthread_mutex_unlock(&client->mutex);
}

static void reclaim(struct larder_client *client, struct retired *retired)
{
    pthread_mutex_lock(&client->mutex);
    struct retiree *over = larder__reclaim_locked(retired);
    pthread_mutex_unlock(&client->mutex);
    larder__retirees_free(over);
}

/* Frees what calls are over on; leads before the backings that they hold. */
static void tidy(struct larder_client *client)
{
    reclaim(client, &client->guarded.maps);
    reclaim(client, &client->guarded.backings);
}

struct larder_source *larder__client_source(struct larder_client *client)
{
    pthread_mutex_lock(&client->mutex);
    struct larder_source *source = client->guarded.source;
    pthread_mutex_unlock(&client->mutex);
    return source;
}

void larder__client_keep_source(struct larder_cache *handle, struct larder_source *source)
{
    handle->client->guarded.source = source;
}

enum larder_status larder__client_reload(struct larder_client *client,
                                         const struct larder_client_options *options,
                                         const struct larder_open_options *open_options,
                                         const struct larder_route *routes, size_t route_count,
                                         struct larder_source *source,
                                         const struct larder_message *message)
{
    struct graph *before = client->guarded.graph, *graph;
    tidy(client);
    enum larder_status status =
        larder__graph_open(before, options, open_options, routes, route_count, &graph, message);
    if (status != LARDER_OK)
        return status;
    status = flush_entering(client, graph);
    if (status == LARDER_OK) {
        pthread_mutex_lock(&client->mutex);
        status = enforce_locked(client, graph, source, message);
        pthread_mutex_unlock(&client->mutex);
    }
    if (status != LARDER_OK) {
        larder__graph_drop(graph);
        return status;
    }
    retire(client, before, graph);
    tidy(client);
    return LARDER_OK;
}

void larder__client_limit_retired(struct larder_client *client, uint32_t caches, uint32_t maps)
{
    pthread_mutex_lock(&client->mutex);
    client->guarded.backings.limit = caches;
    client->guarded.maps.limit = maps;
    pthread_mutex_unlock(&client->mutex);
}
