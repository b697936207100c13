/*
 * The inside of a client, as client.c and reload.c share it: its graph, the namespaces that were
 * bound, and where each of their handles leads.
 */
#ifndef LARDER_VIEWS_H
#define LARDER_VIEWS_H

#include "client.h"
#include "graph.h"

/* Where a namespace leads. Immutable once a handle leads there. */
struct lead {
    struct target target;        /* first */
    struct larder_traits traits; /* the cache's, with this namespace's TTLs */
    const struct backing *backing;
    struct lead *next; /* among the retired ones; guarded by the client's mutex */
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
        int reloading; /* somebody is; only that thread changes graph, source and leads */
        struct lead *retired_leads;
        struct backing *retired_backings;
        uint32_t retired_lead_count, retired_backing_count;
        uint32_t lead_limit, backing_limit;
    } guarded;
    struct fork_hook fork;
};

/** Gives back a graph that was held for a call on the whole client, or that was the client's. */
void larder__graph_release(struct larder_client *client, struct graph *graph);

/** Where a namespace leads in a graph. */
void larder__lead_init(struct lead *lead, const struct graph *graph, const struct route *route,
                       const struct larder_space *space);

/** The view of that name, or NULL. */
struct view *larder__view_known_locked(const struct larder_client *client, const char *name);
/** The same, made if need be. @return OK; BAD_ARGUMENT for a name that `graph` doesn't have;
 * TOO_LARGE; NO_MEMORY; CLOSED */
enum larder_status larder__view_find_locked(struct larder_client *client, const struct graph *graph,
                                            const char *name, struct view **found);
void larder__view_free(struct view *view);
/** The one after `view`; the first for NULL. Takes the client's mutex. */
struct view *larder__next_view(struct larder_client *client, struct view *view);

#endif
