#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "attach.h"
#include "namespace.h"

/* ---- names --------------------------------------------------------------------------------- */

int larder__namespace_is_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_-");
    return length > 0 && length <= LARDER_NAMESPACE_BYTES_MAX && name[length] == '\0';
}

const struct route *larder__graph_line(const struct graph *graph, const char *name)
{
    struct route *route;
    HASH_FIND_STR(graph->routes, name, route);
    return route;
}

const struct route *larder__graph_route(const struct graph *graph, const char *name)
{
    const struct route *route = larder__graph_line(graph, name);
    return route != NULL ? route : larder__graph_line(graph, "*");
}

/* ---- caches -------------------------------------------------------------------------------- */

static const struct part *part_find(const struct graph *graph, const struct larder_cache *leaf)
{
    const struct part *part;
    HASH_FIND_PTR(graph->by_leaf, &leaf, part);
    return part;
}

int larder__graph_has_leaf(const struct graph *graph, const struct larder_cache *leaf)
{
    return part_find(graph, leaf) != NULL;
}

int larder__graph_has_backing(const struct graph *graph, const struct backing *backing)
{
    const struct part *part = part_find(graph, backing->leaf);
    return part != NULL && part->backing == backing;
}

static enum larder_status backing_name(struct backing *backing)
{
    const struct target *target = larder__last_target(backing->leaf);
    int generation = backing->generation != 0;
    if (larder_can(target->traits, LARDER_CAN_NAMESPACES)) {
        enum larder_status status = larder__leaf_name(backing->leaf, backing->poll_ms, generation);
        backing->traits = larder__leaf_space_traits(backing->leaf);
        return status;
    }
    backing->namespaced =
        larder__namespaced_new(&target->scope, target->traits, larder__leaf_clock(backing->leaf),
                               backing->poll_ms, generation);
    if (backing->namespaced == NULL)
        return LARDER_NO_MEMORY;
    backing->scope = larder__namespaced_scope(backing->namespaced);
    backing->traits = larder__namespaced_traits(backing->namespaced);
    return LARDER_OK;
}

static struct backing *backing_new(struct larder_cache *leaf,
                                   const struct larder_client_options *options)
{
    struct backing *backing = calloc(1, sizeof(*backing));
    if (backing == NULL)
        return NULL;
    backing->leaf = leaf;
    atomic_init(&backing->left, 0);
    backing->poll_ms = options->namespace_poll_ms;
    backing->generation = options->generation;
    backing->scope = larder__last_target(leaf)->scope;
    if (backing_name(backing) != LARDER_OK) {
        free(backing);
        return NULL;
    }
    larder__leaf_hold(leaf);
    return backing;
}

/* It was never in force. */
static void backing_drop(struct backing *backing)
{
    larder__namespaced_free(backing->namespaced);
    larder__leaf_give_back(backing->leaf);
    free(backing);
}

static void leave(struct backing *backing, int retires)
{
    if (atomic_exchange_explicit(&backing->left, 1, memory_order_acq_rel) == 0)
        larder__leaf_leave(backing->leaf, retires);
}

void larder__backing_leave(struct backing *backing)
{
    leave(backing, 0);
}

void larder__backing_retire(struct backing *backing, const struct graph *graph)
{
    leave(backing, 1);
    if (!larder__graph_has_leaf(graph, backing->leaf))
        larder__leaf_disown(backing->leaf);
}

void larder__backing_close(struct backing *backing)
{
    larder__namespaced_free(backing->namespaced);
    larder__leaf_let_go(backing->leaf);
    free(backing);
}

/* The backing of a leaf that the graph before had as well, if it would be made the same. */
static struct backing *backing_kept(const struct part *before,
                                    const struct larder_client_options *options)
{
    struct backing *backing = before != NULL ? before->backing : NULL;
    if (backing == NULL || backing->namespaced == NULL)
        return backing;
    return backing->poll_ms == options->namespace_poll_ms &&
                   backing->generation == options->generation
               ? backing
               : NULL;
}

/* What a part has of its own goes back: the leaf is the caller's. */
static void part_drop(struct part *part)
{
    if (part->has_new_backing)
        backing_drop(part->backing);
    if (part->has_new_leaf)
        larder__leaf_disown(part->leaf);
}

static enum larder_status part_fill(struct part *part, const struct graph *graph,
                                    const struct part *before, const struct larder_route *route,
                                    const struct larder_message *message)
{
    part->leaf = route->cache;
    part->name = route->name;
    part->backing = backing_kept(before, &graph->options);
    part->has_new_backing = part->backing == NULL;
    part->has_new_leaf = before == NULL;
    part->may_know = !part->has_new_leaf || larder__leaf_is_held(part->leaf) ||
                     larder__leaf_parts(part->leaf)->count > 0;
    if (part->has_new_leaf && !larder__leaf_own(part->leaf))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace %s: its cache belongs to another client", route->name);
    if (part->has_new_backing)
        part->backing = backing_new(part->leaf, &graph->options);
    if (part->backing != NULL)
        return LARDER_OK;
    if (part->has_new_leaf)
        larder__leaf_disown(part->leaf);
    return LARDER_NO_MEMORY;
}

static enum larder_status part_of(struct graph *graph, const struct graph *before,
                                  const struct larder_route *route,
                                  const struct larder_message *message, const struct part **found)
{
    *found = part_find(graph, route->cache);
    if (*found != NULL)
        return LARDER_OK;
    struct part *part = &graph->parts[graph->part_count];
    const struct part *part_before = before != NULL ? part_find(before, route->cache) : NULL;
    enum larder_status status = part_fill(part, graph, part_before, route, message);
    if (status != LARDER_OK)
        return status;
    HASH_ADD_PTR(graph->by_leaf, leaf, part);
    if (!larder_hash_added(part)) {
        part_drop(part);
        return LARDER_NO_MEMORY;
    }
    graph->part_count++;
    *found = part;
    return LARDER_OK;
}

/* ---- the map ------------------------------------------------------------------------------- */

static enum larder_status route_check(const struct graph *graph, const struct larder_route *route,
                                      const struct larder_message *message)
{
    if (route->name == NULL ||
        (strcmp(route->name, "*") != 0 && !larder__namespace_is_valid(route->name)))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace \"%.40s\": a name is 1 to 32 of [A-Za-z0-9_-], or *",
                           route->name != NULL ? route->name : "");
    if (larder__graph_line(graph, route->name) != NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "namespace %s is mapped twice",
                           route->name);
    if (route->cache == NULL || route->cache->kind != HANDLE_LEAF)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace %s: not a cache that a client can route to", route->name);
    if (larder__is_closed(route->cache))
        return larder_fail(message, LARDER_BAD_ARGUMENT, "namespace %s: its cache is shut down",
                           route->name);
    if (larder__hides_errors(route->cache))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace %s: errors=miss belongs to the client, not to its caches",
                           route->name);
    if ((route->default_ttl_ms < 0 && route->default_ttl_ms != LARDER_TTL_DEFAULT) ||
        route->max_ttl_ms < 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "namespace %s: a TTL is 0 or more",
                           route->name);
    return LARDER_OK;
}

static enum larder_status route_add(struct graph *graph, const struct graph *before,
                                    const struct larder_route *given,
                                    const struct larder_message *message)
{
    enum larder_status status = route_check(graph, given, message);
    if (status != LARDER_OK)
        return status;
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL)
        return LARDER_NO_MEMORY;
    memcpy(route->name, given->name, strlen(given->name) + 1);
    route->default_ttl_ms = given->default_ttl_ms;
    route->max_ttl_ms = given->max_ttl_ms;
    status = part_of(graph, before, given, message, &route->part);
    if (status == LARDER_OK) {
        HASH_ADD_STR(graph->routes, name, route);
        status = larder_hash_added(route) ? LARDER_OK : LARDER_NO_MEMORY;
    }
    if (status != LARDER_OK)
        free(route);
    return status;
}

static enum larder_status routes_add(struct graph *graph, const struct graph *before,
                                     const struct larder_route *routes, size_t count,
                                     const struct larder_message *message)
{
    if ((routes == NULL && count > 0) || count > LARDER_NAMESPACES_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "routes: an array of at most %u",
                           LARDER_NAMESPACES_MAX);
    graph->parts = calloc(count + 1, sizeof(*graph->parts));
    if (graph->parts == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        enum larder_status status = route_add(graph, before, &routes[i], message);
        if (status != LARDER_OK)
            return status;
    }
    for (size_t i = 0; i < graph->part_count; i++) /* names of our own, not the caller's */
        graph->parts[i].name = larder__graph_line(graph, graph->parts[i].name)->name;
    if (larder__graph_route(graph, graph->default_namespace) == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the default namespace \"%s\" is not in the map",
                           graph->default_namespace);
    return LARDER_OK;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum larder_status options_read(struct graph *graph,
                                       const struct larder_client_options *given,
                                       const struct larder_open_options *open_options,
                                       const struct larder_message *message)
{
    struct larder_client_options *options = &graph->options;
    struct larder_client_options defaults = LARDER_CLIENT_OPTIONS_INIT;
    *options = defaults;
    if (given != NULL &&
        !larder_struct_read(given, given->struct_size,
                            LARDER_SIZE_UP_TO(struct larder_client_options, generation), options,
                            sizeof(*options)))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "client options: start from LARDER_CLIENT_OPTIONS_INIT");
    if (options->default_namespace == NULL ||
        !larder__namespace_is_valid(options->default_namespace))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "default_namespace: a name is 1 to 32 of [A-Za-z0-9_-]");
    if (options->namespace_poll_ms < 1 || options->namespace_poll_ms > 3600000 ||
        options->generation > 1)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "client options: namespace_poll is 1ms to 1h, generation on or off");
    memcpy(graph->default_namespace, options->default_namespace,
           strlen(options->default_namespace) + 1);
    options->default_namespace = graph->default_namespace;
    return larder__open_options_read(open_options, &graph->open_options, message);
}

void larder__graph_free(struct graph *graph)
{
    struct route *route, *next;
    HASH_ITER(hh, graph->routes, route, next)
    {
        HASH_DEL(graph->routes, route);
        free(route);
    }
    HASH_CLEAR(hh, graph->by_leaf);
    free(graph->parts);
    free(graph);
}

void larder__graph_drop(struct graph *graph)
{
    for (size_t i = 0; i < graph->part_count; i++)
        part_drop(&graph->parts[i]);
    larder__graph_free(graph);
}

enum larder_status larder__graph_open(const struct graph *before,
                                      const struct larder_client_options *options,
                                      const struct larder_open_options *open_options,
                                      const struct larder_route *routes, size_t count,
                                      struct graph **graph, const struct larder_message *message)
{
    struct graph *opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    enum larder_status status = options_read(opened, options, open_options, message);
    if (status == LARDER_OK)
        status = routes_add(opened, before, routes, count, message);
    if (status != LARDER_OK) {
        larder__graph_drop(opened);
        return status;
    }
    *graph = opened;
    return LARDER_OK;
}
