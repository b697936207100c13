/*
 * The inside of a client, as client.c and reload.c share it: its graph, the namespaces that were
 * bound, and where each of their handles leads.
 */
#ifndef LARDER_VIEWS_H
#define LARDER_VIEWS_H

#include "client.h"
#include "description.h"
#include "graph.h"

/* Where a namespace leads. Immutable once a handle leads there; sessions hold it. */
struct lead {
    struct retiree retiree; /* first */
    struct target target;
    struct larder_client *client;
    struct description *description; /* the cache's traits, with this namespace's TTLs */
    struct backing *backing;         /* held */
};

/* One namespace that was bound. */
struct view {
    struct larder_cache handle; /* first */
    UT_hash_handle hh;
    char name[LARDER_NAMESPACE_BYTES_MAX + 1];
    struct larder_space space;
    struct lead *lead;     /* the last that the handle led to; guarded by the client's mutex */
    struct lead *prepared; /* where a reload leads it; NULL: nowhere; as `lead` */
};

struct larder_client {
    struct larder_cache handle; /* first */
    pthread_mutex_t mutex;      /* order: before a root's derived.mutex */
    pthread_cond_t idle;        /* nobody reloads any more */
    struct {                    /* touched only while holding mutex */
        struct graph *graph;
        struct larder_source *source; /* what the graph was made from; NULL: no file */
        struct view *views;           /* a view stays until the client is closed */
        struct description *descriptions;
        int reloading;           /* somebody is; only that thread changes graph, source and leads */
        struct retired maps;     /* what reloads have replaced: leads and graphs */
        struct retired backings; /* likewise; leads hold them */
    } guarded;
    struct fork_hook fork;
};

/** What a namespace's handle would lead to in a graph, but for its traits and where its hits go.
 * @param traits  those */
void larder__target_of(const struct graph *graph, const struct route *route,
                       const struct larder_space *space, struct target *target,
                       struct larder_traits *traits);
/** Where a namespace leads in a graph. Holding the client's mutex. @return NULL: no memory */
struct lead *larder__lead_new_locked(struct larder_client *client, const struct graph *graph,
                                     const struct route *route, const struct larder_space *space);
/** NULL does nothing. */
void larder__lead_free_locked(struct lead *lead);
/** Holding no lock, of one that handles led to. */
void larder__lead_reclaim(struct retiree *lead);

/** The view of that name, or NULL. */
struct view *larder__view_known_locked(const struct larder_client *client, const char *name);
/** The same, made if need be. @return OK; BAD_ARGUMENT for a name that `graph` doesn't have;
 * TOO_LARGE; NO_MEMORY; CLOSED */
enum larder_status larder__view_find_locked(struct larder_client *client, const struct graph *graph,
                                            const char *name, struct view **found);
void larder__view_free_locked(struct view *view);
/** The one after `view`; the first for NULL. Takes the client's mutex. */
struct view *larder__next_view(struct larder_client *client, struct view *view);

#endif
