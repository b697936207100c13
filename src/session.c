/* Sessions: a handle whose scope carries a deadline and perhaps a member of a pool. */
#include <stdlib.h>

#include <larder/util/deadline.h>

#include "grace.h"
#include "handle.h"

/* A handle that sees another one through a session: with its deadline and its member. */
struct through {
    struct larder_cache handle; /* first */
    const struct larder_cache *of;
    struct target target; /* touched by the session's thread alone; its retiree is held */
};

/* A namespace that was bound through a session. */
struct bound {
    struct through through; /* first */
    struct bound *next;
};

struct session {
    struct through through; /* first: a handle of kind HANDLE_SESSION is a session */
    struct larder_session held;
    struct target acquired; /* how: what is held goes back by it, wherever the session leads */
    struct bound *bound;    /* touched by the session's thread alone */
};

static struct through *through_of(struct larder_cache *handle)
{
    return (struct through *)(void *)handle;
}

static int is_through(const struct larder_cache *cache)
{
    return cache->kind == HANDLE_SESSION || cache->kind == HANDLE_BOUND;
}

/* Makes `through` one that sees `cache`, which leads to `target`, through the session. One that is
 * seen through another session may be gone before this one. */
static void look_through(struct through *through, enum handle_kind kind, struct larder_cache *cache,
                         const struct target *target, struct larder_session *held)
{
    through->handle.kind = kind;
    (void)larder__counts_in(&through->handle, cache->counters);
    larder__hold(target->retiree);
    through->of = is_through(cache) ? through_of(cache)->of : cache;
    through->target = *target;
    through->target.scope.session = held;
    larder__lead_first(&through->handle, &through->target);
}

/* A session keeps what it was taken from, whatever a reload does, for as long as that answers: one
 * that holds a member until its end, any other until its cache is shut down. */
int larder__session_follow(struct larder_cache *cache)
{
    struct through *through = through_of(cache);
    struct larder_session *held = through->target.scope.session;
    const struct target *now = larder__target(through->of);
    if (through->target.refusal != LARDER_OK || (now->scope.ops == through->target.scope.ops &&
                                                 now->scope.self == through->target.scope.self))
        return 0;
    if (now->refusal != LARDER_OK) {
        through->target.refusal = now->refusal;
        through->target.hits = now->hits;
        return 1;
    }
    larder__hold(now->retiree);
    larder__let_go(through->target.retiree);
    through->target = *now;
    through->target.scope.session = held;
    return 1;
}

static void session_init(struct session *session, struct larder_cache *cache,
                         const struct target *target, uint32_t budget_ms, uint32_t flags)
{
    session->held =
        (struct larder_session){sizeof(session->held), flags, LARDER_NEVER_NS, NULL, NULL};
    if (budget_ms != 0)
        session->held.deadline_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    look_through(&session->through, HANDLE_SESSION, cache, target, &session->held);
    session->through.handle.client = cache->client;
    session->acquired = session->through.target;
    larder__hold(session->acquired.retiree);
}

static void session_free(struct session *session)
{
    larder__let_go(session->through.target.retiree);
    larder__let_go(session->acquired.retiree);
    free(session);
}

static enum larder_status session_open(struct session *session, struct larder_cache *root)
{
    enum larder_status status = larder__derive(root, &session->through.handle);
    if (status != LARDER_OK)
        return status;
    status = session->acquired.scope.ops->acquire(&session->acquired.scope, &session->held);
    if (status != LARDER_OK)
        larder__underive(&session->through.handle);
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
    LARDER_VISIT(cache);
    const struct target *target = larder__target(cache);
    if (target->refusal != LARDER_OK)
        return target->refusal;
    if ((flags & LARDER_NO_WAIT) != 0 && (target->traits->options & LARDER_TAKES_NO_WAIT) == 0)
        return LARDER_UNSUPPORTED;
    struct session *opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return LARDER_NO_MEMORY;
    session_init(opened, cache, target, budget_ms, flags);
    enum larder_status status = session_open(opened, cache->root);
    if (status != LARDER_OK)
        session_free(opened);
    if (status == LARDER_CLOSED && larder__moved(cache, target))
        return larder_acquire(cache, budget_ms, flags, session);
    if (status == LARDER_OK)
        *session = &opened->through.handle;
    return status;
}

static struct bound *bound_find(const struct session *session, const struct larder_cache *view)
{
    struct bound *bound = session->bound;
    while (bound != NULL && bound->through.of != view)
        bound = bound->next;
    return bound;
}

static void bound_free(struct bound *bound)
{
    larder__let_go(bound->through.target.retiree);
    free(bound);
}

static enum larder_status bound_new(struct session *session, struct larder_cache *view,
                                    struct bound **made)
{
    const struct target *target = larder__target(view);
    if (target->refusal != LARDER_OK)
        return target->refusal;
    struct bound *bound = calloc(1, sizeof(*bound));
    if (bound == NULL)
        return LARDER_NO_MEMORY;
    look_through(&bound->through, HANDLE_BOUND, view, target, &session->held);
    enum larder_status status =
        larder__derive(session->through.handle.root, &bound->through.handle);
    if (status != LARDER_OK) {
        bound_free(bound);
        return status;
    }
    bound->next = session->bound;
    session->bound = bound;
    *made = bound;
    return LARDER_OK;
}

enum larder_status larder__session_bind(struct larder_cache *handle, struct larder_cache *view,
                                        struct larder_cache **bound_handle)
{
    struct session *session = (struct session *)(void *)handle;
    struct bound *bound = bound_find(session, view);
    enum larder_status status = LARDER_OK;
    if (bound == NULL)
        status = bound_new(session, view, &bound);
    if (status == LARDER_OK)
        *bound_handle = &bound->through.handle;
    return status;
}

static void bound_free_all(struct session *session)
{
    while (session->bound != NULL) {
        struct bound *bound = session->bound;
        session->bound = bound->next;
        larder__underive(&bound->through.handle);
        bound_free(bound);
    }
}

void larder_release(struct larder_cache *handle)
{
    if (handle == NULL || handle->kind != HANDLE_SESSION)
        return;
    struct session *session = (struct session *)(void *)handle;
    session->acquired.scope.ops->release(&session->acquired.scope, &session->held);
    bound_free_all(session);
    larder__underive(handle);
    session_free(session);
}
