/* Sessions: a handle whose scope carries a deadline and perhaps a member of a pool. */
#include <stdlib.h>

#include <larder/util/deadline.h>

#include "handle.h"

struct session {
    struct larder_cache handle; /* first: a handle of kind HANDLE_SESSION is a session */
    struct larder_session held;
};

static void session_init(struct session *session, const struct larder_cache *cache,
                         const struct larder_scope *scope, uint32_t budget_ms, uint32_t flags)
{
    session->held =
        (struct larder_session){sizeof(session->held), flags, LARDER_NEVER_NS, NULL, NULL};
    if (budget_ms != 0)
        session->held.deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    struct larder_cache *handle = &session->handle;
    handle->kind = HANDLE_SESSION;
    handle->open_scope = *scope;
    handle->open_scope.session = &session->held;
    handle->traits = cache->traits;
    handle->ttl = cache->ttl;
    handle->errors_as_miss = cache->errors_as_miss;
    handle->listener = cache->listener;
    handle->listener_context = cache->listener_context;
    handle->counters = cache->counters;
    handle->client = cache->client;
    atomic_init(&handle->scope, &handle->open_scope);
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

void larder_release(struct larder_cache *handle)
{
    if (handle == NULL || handle->kind != HANDLE_SESSION)
        return;
    struct session *session = (struct session *)(void *)handle;
    /* the own scope: also after a shutdown what is held goes back */
    handle->open_scope.ops->release(&handle->open_scope, &session->held);
    larder__underive(handle);
    free(session);
}
