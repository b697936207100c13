/*
 * A handle: what an application holds. Leaves, clients, namespaces and sessions are all handles
 * with the same calls; they differ in the scope that their calls go through.
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

enum handle_kind { HANDLE_LEAF, HANDLE_CLIENT, HANDLE_NAMESPACE, HANDLE_SESSION };

struct larder_client;

struct larder_cache {
    /* What calls go through: &open_scope, or the closed scope after a shutdown. Stored with release
     * by whoever shuts down or (later) reloads, loaded with acquire by every call. */
    _Atomic(const struct larder_scope *) scope;

    /* set while opening, then only read */
    enum handle_kind kind;
    struct larder_scope open_scope;
    const struct larder_traits *traits;
    struct ttl_policy ttl;
    uint32_t errors_as_miss;
    larder_listener_fn *listener;
    void *listener_context;
    struct larder_counters *counters; /* a session's are those of what it was taken from */
    struct larder_client *client;     /* of a client and its sessions; else NULL */
    struct larder_cache *root;        /* itself, or what it was derived from */
    struct larder_cache *next;        /* derived: guarded by root->derived.mutex */
    struct larder_cache *previous;

    /* of a root */
    struct {
        pthread_mutex_t mutex; /* order: taken alone, held over nothing but the list */
        struct larder_cache *first;
        int closed; /* no handle is derived any more */
    } derived;
    struct fork_hook derived_fork;
};

/** Makes `cache` a root that goes through `scope`. @return OK or NO_MEMORY */
enum larder_status larder__root_init(struct larder_cache *cache, enum handle_kind kind,
                                     const struct larder_scope *scope,
                                     const struct larder_traits *traits,
                                     const struct larder_open_options *options);
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
enum larder_status larder__session_bind(struct larder_cache *session,
                                        const struct larder_cache *view,
                                        struct larder_cache **bound);

/** 1 when failed reads answer MISS on this handle: helpers and compositions refuse it. */
int larder__hides_errors(const struct larder_cache *cache);

/** The scope in which every row answers CLOSED. */
extern const struct larder_scope larder__closed_scope;

/** Reads what a caller of any version gave; NULL gives the defaults. @return OK or BAD_ARGUMENT */
enum larder_status larder__open_options_read(const struct larder_open_options *given,
                                             struct larder_open_options *options,
                                             const struct larder_message *message);

#endif
