/*
 * Clients: names routed to caches. A namespace's handle goes straight to the cache that its name is
 * routed to, with the namespace in its scope; the client's own handle is that of the default
 * namespace, but for the calls on the whole cache.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/growth.h>
#include <larder/util/message.h>
#include <larder/util/uthash.h>

#include "attach.h"
#include "namespace.h"

/* One distinct cache. */
struct backing {
    struct larder_cache *leaf;
    struct namespaced *namespaced; /* NULL: the leaf keeps namespaces apart itself */
    struct larder_scope scope;     /* what its namespaces' scopes are made of */
    const struct larder_traits *traits;
    const char *name; /* the first that is routed to it, for statistics */
};

/* One line of the map. */
struct route {
    UT_hash_handle hh;
    char name[LARDER_NAMESPACE_BYTES_MAX + 1];
    const struct backing *backing;
    int64_t default_ttl_ms;
    int64_t max_ttl_ms;
};

/* One namespace that was bound. */
struct view {
    struct larder_cache handle;
    UT_hash_handle hh;
    char name[LARDER_NAMESPACE_BYTES_MAX + 1];
    struct larder_space space;
    struct larder_traits traits; /* the cache's, with this namespace's TTLs */
    const struct backing *backing;
};

struct larder_client {
    struct larder_cache handle; /* first */
    /* set while opening, then only read */
    struct larder_open_options open_options;
    struct larder_client_options options;
    char default_namespace[LARDER_NAMESPACE_BYTES_MAX + 1];
    struct backing *backings;
    size_t backing_count;
    struct route *routes; /* by name, "*" included */

    pthread_mutex_t mutex; /* order: before a root's derived.mutex */
    struct view *views;    /* guarded by mutex; a view stays until the client is closed */
    struct fork_hook fork;
};

static void fork_client(void *self, enum larder_fork_step step)
{
    struct larder_client *client = self;
    larder__fork_mutex(&client->mutex, step);
}

/* ---- names --------------------------------------------------------------------------------- */

static int name_is_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_-");
    return length > 0 && length <= LARDER_NAMESPACE_BYTES_MAX && name[length] == '\0';
}

static const struct route *route_find(const struct larder_client *client, const char *name)
{
    struct route *route;
    HASH_FIND_STR(client->routes, name, route);
    if (route == NULL)
        HASH_FIND_STR(client->routes, "*", route);
    return route;
}

/* ---- views --------------------------------------------------------------------------------- */

static void view_init(struct view *view, struct larder_client *client, const struct route *route,
                      const char *name)
{
    const struct backing *backing = route->backing;
    const struct larder_open_options *options = &client->open_options;
    struct larder_cache *handle = &view->handle;
    memcpy(view->name, name, strlen(name) + 1);
    view->space.size = sizeof(view->space);
    view->space.name = larder_bytes(view->name, strlen(view->name));
    view->backing = backing;
    handle->kind = HANDLE_NAMESPACE;
    handle->open_scope = backing->scope;
    handle->open_scope.space = &view->space;
    int64_t common_default =
        options->default_ttl_ms != 0 ? options->default_ttl_ms : LARDER_TTL_DEFAULT;
    handle->ttl = larder__ttl_narrow(backing->leaf->ttl, common_default, options->max_ttl_ms);
    handle->ttl = larder__ttl_narrow(handle->ttl, route->default_ttl_ms, route->max_ttl_ms);
    view->traits = *backing->traits;
    view->traits.ttl_max_ms = handle->ttl.max_ms;
    handle->traits = &view->traits;
    handle->errors_as_miss = options->errors_as_miss;
    int own_listener = options->listener != NULL;
    handle->listener = own_listener ? options->listener : backing->leaf->listener;
    handle->listener_context =
        own_listener ? options->listener_context : backing->leaf->listener_context;
    atomic_init(&handle->scope, &handle->open_scope);
}

static struct view *view_new(struct larder_client *client, const struct route *route,
                             const char *name)
{
    struct view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        return NULL;
    view->handle.counters = larder__counters_new();
    if (view->handle.counters == NULL) {
        free(view);
        return NULL;
    }
    view_init(view, client, route, name);
    return view;
}

static void view_free(struct view *view)
{
    larder__counters_free(view->handle.counters);
    free(view);
}

static enum larder_status view_add_locked(struct larder_client *client, struct view *view)
{
    HASH_ADD_STR(client->views, name, view);
    if (!larder_hash_added(view))
        return LARDER_NO_MEMORY;
    enum larder_status status = larder__derive(&client->handle, &view->handle);
    if (status != LARDER_OK)
        HASH_DEL(client->views, view);
    return status;
}

static enum larder_status view_find_locked(struct larder_client *client, const char *name,
                                           struct view **found)
{
    HASH_FIND_STR(client->views, name, *found);
    if (*found != NULL)
        return LARDER_OK;
    const struct route *route = route_find(client, name);
    if (route == NULL)
        return LARDER_BAD_ARGUMENT;
    if (HASH_COUNT(client->views) >= LARDER_NAMESPACES_MAX)
        return LARDER_TOO_LARGE;
    struct view *view = view_new(client, route, name);
    if (view == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = view_add_locked(client, view);
    if (status != LARDER_OK)
        view_free(view);
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
    if (name == NULL || name[0] == '\0')
        name = client->default_namespace;
    if (!name_is_valid(name))
        return LARDER_BAD_ARGUMENT;
    pthread_mutex_lock(&client->mutex);
    enum larder_status status = view_find_locked(client, name, &view);
    pthread_mutex_unlock(&client->mutex);
    if (status == LARDER_OK && cache->kind == HANDLE_SESSION)
        return larder__session_bind(cache, &view->handle, handle);
    if (status == LARDER_OK)
        *handle = &view->handle;
    return status;
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum larder_status backing_init(const struct larder_client *client, struct backing *backing,
                                       const struct larder_route *route)
{
    struct larder_cache *leaf = route->cache;
    backing->name = route->name;
    backing->scope = leaf->open_scope;
    backing->traits = leaf->traits;
    if (!larder_can(leaf->traits, LARDER_CAN_NAMESPACES)) {
        backing->namespaced = larder__namespaced_new(
            &leaf->open_scope, leaf->traits, larder__leaf_clock(leaf),
            client->options.namespace_poll_ms, client->options.generation != 0);
        if (backing->namespaced == NULL)
            return LARDER_NO_MEMORY;
        backing->scope = larder__namespaced_scope(backing->namespaced);
        backing->traits = larder__namespaced_traits(backing->namespaced);
    }
    backing->leaf = leaf;
    return LARDER_OK;
}

static enum larder_status backing_of(struct larder_client *client, const struct larder_route *route,
                                     const struct larder_message *message,
                                     const struct backing **found)
{
    for (size_t i = 0; i < client->backing_count; i++)
        if (client->backings[i].leaf == route->cache) {
            *found = &client->backings[i];
            return LARDER_OK;
        }
    if (!larder__leaf_own(route->cache))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace %s: its cache belongs to another client", route->name);
    struct backing *backing = &client->backings[client->backing_count];
    enum larder_status status = backing_init(client, backing, route);
    if (status != LARDER_OK) {
        larder__leaf_disown(route->cache);
        return status;
    }
    client->backing_count++;
    *found = backing;
    return LARDER_OK;
}

static enum larder_status route_check(const struct larder_client *client,
                                      const struct larder_route *route,
                                      const struct larder_message *message)
{
    struct route *known;
    if (route->name == NULL || (strcmp(route->name, "*") != 0 && !name_is_valid(route->name)))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "namespace \"%.40s\": a name is 1 to 32 of [A-Za-z0-9_-], or *",
                           route->name != NULL ? route->name : "");
    HASH_FIND_STR(client->routes, route->name, known);
    if (known != NULL)
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

static enum larder_status route_add(struct larder_client *client, const struct larder_route *given,
                                    const struct larder_message *message)
{
    enum larder_status status = route_check(client, given, message);
    if (status != LARDER_OK)
        return status;
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL)
        return LARDER_NO_MEMORY;
    memcpy(route->name, given->name, strlen(given->name) + 1);
    route->default_ttl_ms = given->default_ttl_ms;
    route->max_ttl_ms = given->max_ttl_ms;
    status = backing_of(client, given, message, &route->backing);
    if (status == LARDER_OK) {
        HASH_ADD_STR(client->routes, name, route);
        status = larder_hash_added(route) ? LARDER_OK : LARDER_NO_MEMORY;
    }
    if (status != LARDER_OK)
        free(route);
    return status;
}

static enum larder_status options_read(struct larder_client *client,
                                       const struct larder_client_options *given,
                                       const struct larder_open_options *open_options,
                                       const struct larder_message *message)
{
    struct larder_client_options *options = &client->options;
    struct larder_client_options defaults = LARDER_CLIENT_OPTIONS_INIT;
    *options = defaults;
    if (given != NULL &&
        !larder_struct_read(given, given->struct_size,
                            LARDER_SIZE_UP_TO(struct larder_client_options, generation), options,
                            sizeof(*options)))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "client options: start from LARDER_CLIENT_OPTIONS_INIT");
    if (options->default_namespace == NULL || !name_is_valid(options->default_namespace))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "default_namespace: a name is 1 to 32 of [A-Za-z0-9_-]");
    if (options->namespace_poll_ms < 1 || options->namespace_poll_ms > 3600000 ||
        options->generation > 1)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "client options: namespace_poll is 1ms to 1h, generation on or off");
    memcpy(client->default_namespace, options->default_namespace,
           strlen(options->default_namespace) + 1);
    options->default_namespace = client->default_namespace;
    return larder__open_options_read(open_options, &client->open_options, message);
}

static enum larder_status routes_add(struct larder_client *client,
                                     const struct larder_route *routes, size_t count,
                                     const struct larder_message *message)
{
    if ((routes == NULL && count > 0) || count > LARDER_NAMESPACES_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "routes: an array of at most %u",
                           LARDER_NAMESPACES_MAX);
    client->backings = calloc(count + 1, sizeof(*client->backings));
    if (client->backings == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        enum larder_status status = route_add(client, &routes[i], message);
        if (status != LARDER_OK)
            return status;
    }
    for (size_t i = 0; i < client->backing_count; i++) {
        struct route *route; /* names of our own, not the caller's */
        HASH_FIND_STR(client->routes, client->backings[i].name, route);
        client->backings[i].name = route->name;
    }
    if (route_find(client, client->default_namespace) == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the default namespace \"%s\" is not in the map",
                           client->default_namespace);
    return LARDER_OK;
}

/* The client's own handle is the default namespace's. */
static enum larder_status default_bind(struct larder_client *client)
{
    const struct route *route = route_find(client, client->default_namespace);
    struct view *view = view_new(client, route, client->default_namespace);
    if (view == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status =
        larder__root_init(&client->handle, HANDLE_CLIENT, &view->handle.open_scope,
                          view->handle.traits, &client->open_options);
    if (status != LARDER_OK) {
        view_free(view);
        return status;
    }
    client->handle.client = client;
    client->handle.ttl = view->handle.ttl;
    client->handle.listener = view->handle.listener;
    client->handle.listener_context = view->handle.listener_context;
    status = view_add_locked(client, view);
    if (status != LARDER_OK) {
        view_free(view);
        larder__root_clean_up(&client->handle);
    }
    return status;
}

/* Frees what only the client knows; the caches stay whose they are. */
static void client_free(struct larder_client *client)
{
    struct view *view, *next_view;
    HASH_ITER(hh, client->views, view, next_view)
    {
        HASH_DEL(client->views, view);
        view_free(view);
    }
    struct route *route, *next_route;
    HASH_ITER(hh, client->routes, route, next_route)
    {
        HASH_DEL(client->routes, route);
        free(route);
    }
    for (size_t i = 0; i < client->backing_count; i++)
        larder__namespaced_free(client->backings[i].namespaced);
    free(client->backings);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

static enum larder_status client_open(struct larder_client *client,
                                      const struct larder_client_options *options,
                                      const struct larder_open_options *open_options,
                                      const struct larder_route *routes, size_t route_count,
                                      const struct larder_message *message)
{
    enum larder_status status = options_read(client, options, open_options, message);
    if (status == LARDER_OK)
        status = routes_add(client, routes, route_count, message);
    if (status == LARDER_OK)
        status = default_bind(client);
    return status;
}

enum larder_status larder_client_open(const struct larder_client_options *options,
                                      const struct larder_open_options *open_options,
                                      const struct larder_route *routes, size_t route_count,
                                      struct larder_cache **cache, char *text, size_t text_size)
{
    struct larder_message message = {text, text_size};
    larder_message_set(&message, "%s", "");
    if (cache == NULL)
        return larder_fail(&message, LARDER_BAD_ARGUMENT, "client is NULL");
    *cache = NULL;
    struct larder_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return larder_fail(&message, LARDER_NO_MEMORY, "no memory");
    pthread_mutex_init(&client->mutex, NULL);
    enum larder_status status =
        client_open(client, options, open_options, routes, route_count, &message);
    if (status != LARDER_OK) {
        for (size_t i = 0; i < client->backing_count; i++)
            larder__leaf_disown(client->backings[i].leaf);
        client_free(client);
        return status;
    }
    larder__fork_hook_add(&client->fork, fork_client, client);
    *cache = &client->handle;
    return LARDER_OK;
}

/* ---- the whole client ---------------------------------------------------------------------- */

void larder__client_shutdown(struct larder_client *client)
{
    larder__root_close(&client->handle);
    for (size_t i = 0; i < client->backing_count; i++)
        larder__leaf_shutdown(client->backings[i].leaf);
}

void larder__client_close(struct larder_client *client)
{
    larder__client_shutdown(client);
    larder__fork_hook_remove(&client->fork);
    for (size_t i = 0; i < client->backing_count; i++)
        larder__leaf_close(client->backings[i].leaf);
    larder__root_clean_up(&client->handle);
    client_free(client);
}

/* Every name that is known to go to a server: those of the map, and those that "*" took. Names are
 * copied in batches, since nothing may be held over I/O. */
static int name_is_of(const struct larder_client *client, const char *name,
                      const struct backing *backing)
{
    const struct route *route = route_find(client, name);
    return route != NULL && route->backing == backing && strcmp(name, "*") != 0;
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

/* A view stays until the client is closed, so its place in the list is where to go on. */
static struct view *next_view(struct larder_client *client, struct view *view)
{
    pthread_mutex_lock(&client->mutex);
    struct view *next = view == NULL ? client->views : view->hh.next;
    pthread_mutex_unlock(&client->mutex);
    return next;
}

static enum larder_status flush_names(struct larder_client *client, const struct backing *backing,
                                      const struct larder_scope *caller)
{
    enum larder_status lowest = LARDER_OK;
    for (struct route *route = client->routes; route != NULL; route = route->hh.next)
        if (name_is_of(client, route->name, backing))
            lowest = lower(lowest, flush_name(backing, caller, route->name));
    for (struct view *view = next_view(client, NULL); view != NULL;
         view = next_view(client, view)) {
        struct route *mapped;
        HASH_FIND_STR(client->routes, view->name, mapped);
        if (mapped == NULL && view->backing == backing)
            lowest = lower(lowest, flush_name(backing, caller, view->name));
    }
    return lowest;
}

static int takes_any_name(const struct larder_client *client, const struct backing *backing)
{
    struct route *any;
    HASH_FIND_STR(client->routes, "*", any);
    return any != NULL && any->backing == backing;
}

static enum larder_status flush_backing(struct larder_client *client, const struct backing *backing,
                                        const struct larder_scope *caller)
{
    struct larder_scope scope = backing->leaf->open_scope;
    scope.session = caller->session;
    /* A leaf that can flush itself holds nothing but this client's namespaces. Where it takes their
     * generations along, new ones are started at once: what is stored next must not be lost when
     * the next poll misses them. */
    int leaf_flushes = larder_can(backing->leaf->traits, LARDER_CAN_FLUSH);
    int names_flush = backing->namespaced != NULL && larder_can(backing->traits, LARDER_CAN_FLUSH);
    if (!leaf_flushes && !names_flush)
        return LARDER_UNSUPPORTED;
    enum larder_status status = leaf_flushes ? scope.ops->flush(&scope) : LARDER_OK;
    if (names_flush)
        status = lower(status, flush_names(client, backing, caller));
    /* others may have stored under names that nobody here has heard of */
    if (!leaf_flushes && takes_any_name(client, backing))
        status = lower(status, LARDER_UNSUPPORTED);
    return status;
}

enum larder_status larder__client_flush(struct larder_client *client,
                                        const struct larder_scope *scope)
{
    enum larder_status lowest = LARDER_OK;
    for (size_t i = 0; i < client->backing_count; i++)
        lowest = lower(lowest, flush_backing(client, &client->backings[i], scope));
    return lowest;
}

void larder__client_totals(struct larder_client *client, struct larder_totals *totals)
{
    for (struct view *view = next_view(client, NULL); view != NULL; view = next_view(client, view))
        larder__counters_total(view->handle.counters, totals);
}

void larder__client_stats(struct larder_client *client, struct larder_stats_out *out)
{
    for (size_t i = 0; i < client->backing_count; i++) {
        const struct larder_scope *scope = &client->backings[i].leaf->open_scope;
        out->prefix = client->backings[i].name;
        scope->ops->stats(scope, out);
    }
    out->prefix = NULL;
}

enum larder_status larder__client_purge(struct larder_client *client, uint32_t budget_ms,
                                        uint64_t *next_due_ms)
{
    enum larder_status lowest = LARDER_OK;
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    for (size_t i = 0; i < client->backing_count; i++) {
        const struct larder_scope *scope = &client->backings[i].leaf->open_scope;
        uint64_t due_ms = UINT64_MAX;
        uint32_t left_ms = (uint32_t)larder_deadline_left_ms(deadline_ns);
        lowest = lower(lowest, scope->ops->purge(scope, left_ms, &due_ms));
        if (due_ms < *next_due_ms)
            *next_due_ms = due_ms;
    }
    return lowest;
}
