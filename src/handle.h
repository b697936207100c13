/*
 * A handle: what an application holds. Leaves, clients, namespaces and sessions are all handles
 * with the same calls; they differ in the target that they lead to.
 *
 * A target is immutable, and a call loads it once: whoever loaded one goes on with it, also when a
 * reload or a shutdown has led the handle elsewhere meanwhile. A leaf's stays until it is closed; a
 * client's are replaced by reloads, and freed when no call can be on them any more: see grace.h.
 *
 * A root (a leaf or a client) owns everything; derived handles (a client's namespaces, a root's or
 * a namespace's sessions) hang in its list, so that shutdown reaches them.
 */
#ifndef LARDER_HANDLE_H
#define LARDER_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>

#include <larder/backend.h>

#include "counters.h"
#include "fork.h"
#include "ttl.h"

enum handle_kind {
    HANDLE_LEAF,
    HANDLE_CLIENT,
    HANDLE_NAMESPACE,
    HANDLE_SESSION,
    HANDLE_BOUND /* a namespace, bound through a session */
};

struct larder_client;
struct retiree;

/** What a call needs to know of its handle. */
struct target {
    struct larder_scope scope;  /* first: its address is the target's */
    enum larder_status refusal; /* OK; else what every call answers, and only `hits` count beside */
    uint32_t errors_as_miss;
    struct larder_hits hits; /* where plain calls go */
    const struct larder_traits *traits;
    struct ttl_policy ttl;
    larder_listener_fn *listener;
    void *listener_context;
    struct retiree *retiree; /* what a session holds of a client's cache; NULL: never replaced */
};

struct larder_cache {
    struct larder_reader reader; /* the head: what a backend sees of a handle */
    /* What calls go through. Stored with release, holding root->derived.mutex, by whoever opens,
     * reloads or shuts down; loaded with acquire by every call. */
    _Atomic(const struct target *) target;
    /* Where a plain read goes, and a plain get. Stored and loaded with it: before the target, and
     * after it, so that nobody goes with a new target where the old one led. */
    _Atomic(larder_read_hit_fn *) read_hit;
    _Atomic(larder_get_hit_fn *) get_hit;
    /* The last one that was no refusal: what the handle describes, and who listens, also when it is
     * closed. Stored and loaded as `target`, before it. */
    _Atomic(const struct target *) last;

    /* set while opening, then only read */
    enum handle_kind kind;
    struct larder_counters *counters; /* a session's are those of what it was taken from */
    struct larder_client *client;     /* of a client and its sessions; else NULL */
    struct larder_cache *root;        /* itself, or what it was derived from */
    struct larder_cache *next;        /* derived: guarded by root->derived.mutex */
    struct larder_cache *previous;

    /* of a root */
    struct {
        pthread_mutex_t mutex; /* order: a client's before it, none under it */
        struct larder_cache *first;
        int closed; /* no handle is derived any more, and none is led elsewhere */
    } derived;
    struct fork_hook derived_fork;
};

/** A target that a cache of these options has. Both pointers must live as long as it. */
void larder__target_init(struct target *target, const struct larder_scope *scope,
                         const struct larder_traits *traits,
                         const struct larder_open_options *options);

/** Lets a handle that nobody else knows yet lead to `target`. */
void larder__lead_first(struct larder_cache *cache, const struct target *target);
/** Leads calls that begin from now on to `target`. Holding root->derived.mutex, while it is not
 * closed. */
void larder__lead_locked(struct larder_cache *cache, const struct target *target);

static inline const struct target *larder__target(const struct larder_cache *cache)
{
    /* acquire: pairs with the release in larder__lead_locked() and of a shutdown */
    return atomic_load_explicit(&cache->target, memory_order_acquire);
}

static inline const struct target *larder__target_of_scope(const struct larder_scope *scope)
{
    return (const struct target *)(const void *)((const char *)scope -
                                                 offsetof(struct target, scope));
}

static inline struct larder_cache *larder__cache_of(struct larder_reader *reader)
{
    return (struct larder_cache *)(void *)reader;
}

/** Counts in `counters`, which may be NULL for want of memory, what is called on the handle.
 * @return OK or NO_MEMORY */
enum larder_status larder__counts_in(struct larder_cache *cache, struct larder_counters *counters);

/** The last target that was no refusal. */
static inline const struct target *larder__last_target(const struct larder_cache *cache)
{
    /* acquire: as in larder__target() */
    return atomic_load_explicit(&cache->last, memory_order_acquire);
}

/** What a call that its backend answered with CLOSED does about it.
 * @return 1: the handle leads elsewhere by now, so the call, which has done nothing, is repeated;
 *         0: it is closed */
int larder__moved(struct larder_cache *cache, const struct target *target);

/** Makes `cache` a root that leads to `target`. @return OK or NO_MEMORY */
enum larder_status larder__root_init(struct larder_cache *cache, enum handle_kind kind,
                                     const struct target *target);
/** Frees what the root has; a second time does nothing. */
void larder__root_clean_up(struct larder_cache *cache);

/** Hangs `derived` into its root's list. @return OK, or CLOSED */
enum larder_status larder__derive(struct larder_cache *root, struct larder_cache *derived);
void larder__underive(struct larder_cache *derived);

/** Lets a root and all derived from it answer CLOSED. @return 1 for the first time, else 0 */
int larder__root_close(struct larder_cache *root);

/** 1 when calls on this handle answer CLOSED. */
int larder__is_closed(const struct larder_cache *cache);

/** Gives a session's handle of a namespace, whose client's view is `view`; freed with the session.
 * @return OK, NO_MEMORY or CLOSED */
enum larder_status larder__session_bind(struct larder_cache *session, struct larder_cache *view,
                                        struct larder_cache **bound);

/** Lets a session, or a namespace bound through one, lead to where what it was taken from leads by
 * now. In the session's thread. @return 1; 0: that is where it leads */
int larder__session_follow(struct larder_cache *cache);

/** 1 when failed reads answer MISS on this handle: helpers and compositions refuse it. */
int larder__hides_errors(const struct larder_cache *cache);

/** Where a handle leads after a shutdown. */
extern const struct target larder__closed_target;
/** Where a namespace leads that a reload took out of the map: BAD_ARGUMENT, as from
 * larder_bind(). */
extern const struct target larder__unmapped_target;

/** Reads what a caller of any version gave; NULL gives the defaults. @return OK or BAD_ARGUMENT */
enum larder_status larder__open_options_read(const struct larder_open_options *given,
                                             struct larder_open_options *options,
                                             const struct larder_message *message);
/** What is left of complete options for a cache that is a part of what the program uses. TTLs,
 * listener and errors=miss are about what the program sees. */
struct larder_open_options larder__open_options_of_part(const struct larder_open_options *options);

#endif
