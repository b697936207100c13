/* Sessions: a handle whose scope carries a deadline and perhaps a member of a pool. */
#include <stdlib.h>

#include <larder/util/deadline.h>

#include "handle.h"

/* A namespace as the session sees it: with its deadline and its member. */
struct bound {
    struct larder_cache handle;
    struct bound *next;
};

struct session {
    struct larder_cache handle; /* first: a handle of kind HANDLE_SESSION is a session */
    struct larder_session held;
    struct bound *bound; /* touched by the session's thread alone */
};

/* Makes `handle` one that sees `cache` through the session. */
static void look_through(struct larder_cache *handle, enum handle_kind kind,
                         const struct larder_cache *cache, const struct larder_scope *scope,
                         struct larder_session *held)
{
    handle->kind = kind;
    handle->open_scope = *scope;
    handle->open_scope.session = held;
    handle->traits = cache->traits;
    handle->ttl = cache->ttl;
    handle->errors_as_miss = cache->errors_as_miss;
    handle->listener = cache->listener;
    handle->listener_context = cache->listener_context;
    handle->counters = cache->counters;
    atomic_init(&handle->scope, &handle->open_scope);
}

static void session_init(struct session *session, const struct larder_cache *cache,
                         const struct larder_scope *scope, uint32_t budget_ms, uint32_t flags)
{
    session->held =
        (struct larder_session){sizeof(session->held), flags, LARDER_NEVER_NS, NULL, NULL};
    if (budget_ms != 0)
        session->held.deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    look_through(&session->handle, HANDLE_SESSION, cache, scope, &session->held);
    session->handle.client = cache->client;
}

static enum larder_status session_open(struct session *session, struct larder_cache *root)
{
    const struct larder_scope *scope = &session->handle.open_scope;
    enum larder_status status = larder__derive(root, &session->handle);
    if (status != LARDER_OK)
        return status;
    status = scope->ops->acquire(scope, &session->held);
    if (status != LARDER_OK)
        larder__underive(&session->handle);
    return status;
}

enum larder_status larder_acquire(struct larder_cache *cache, uint32_t budget_ms, uint32_t flags,
                                  struct larder_cache **session)
{
    if (session != NULL)
        *session = NULL;
    if (cache == NULL || session == NULL || cache->kind == HANDLE_SESSION ||
        (flags & ~LARDER_NO_WAIT) != 0)
        return LARDER_BAD_ARGUMENT;
    /* acquire: pairs with the release of whoever swaps the scope */
    const struct larder_scope *scope = atomic_load_explicit(&cache->scope, memory_order_acquire);
    if (scope == &larder__closed_scope)
        return LARDER_CLOSED;
    if ((flags & LARDER_NO_WAIT) != 0 && (cache->traits->options & LARDER_TAKES_NO_WAIT) == 0)
        return LARDER_UNSUPPORTED;
    struct session *opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return LARDER_NO_MEMORY;
    session_init(opened, cache, scope, budget_ms, flags);
    enum larder_status status = session_open(opened, cache->root);
    if (status != LARDER_OK) {
        free(opened);
        return status;
    }
    *session = &opened->handle;
    return LARDER_OK;
}

static struct bound *bound_find(const struct session *session, const struct larder_space *space)
{
    struct bound *bound = session->bound;
    while (bound != NULL && bound->handle.open_scope.space != space)
        bound = bound->next;
    return bound;
}

static enum larder_status bound_new(struct session *session, const struct larder_cache *view,
                                    struct bound **made)
{
    struct bound *bound = calloc(1, sizeof(*bound));
    if (bound == NULL)
        return LARDER_NO_MEMORY;
    look_through(&bound->handle, HANDLE_NAMESPACE, view, &view->open_scope, &session->held);
    enum larder_status status = larder__derive(session->handle.root, &bound->handle);
    if (status != LARDER_OK) {
        free(bound);
        return status;
    }
    bound->next = session->bound;
    session->bound = bound;
    *made = bound;
    return LARDER_OK;
}

enum larder_status larder__session_bind(struct larder_cache *handle,
                                        const struct larder_cache *view,
                                        struct larder_cache **bound_handle)
{
    struct session *session = (struct session *)(void *)handle;
    struct bound *bound = bound_find(session, view->open_scope.space);
    enum larder_status status = LARDER_OK;
    if (bound == NULL)
        status = bound_new(session, view, &bound);
    if (status == LARDER_OK)
        *bound_handle = &bound->handle;
    return status;
}

static void bound_free_all(struct session *session)
{
    while (session->bound != NULL) {
        struct bound *bound = session->bound;
        session->bound = bound->next;
        larder__underive(&bound->handle);
        free(bound);
    }
}

void larder_release(struct larder_cache *handle)
{
    if (handle == NULL || handle->kind != HANDLE_SESSION)
        return;
    struct session *session = (struct session *)(void *)handle;
    /* the own scope: also after a shutdown what is held goes back */
    handle->open_scope.ops->release(&handle->open_scope, &session->held);
    bound_free_all(session);
    larder__underive(handle);
    free(session);
}
