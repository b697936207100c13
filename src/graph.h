/*
 * A client's graph: which names there are, and the caches that they lead to. It is built as a whole
 * and then only read, so that a reload can build a new one beside it and let everything as it is
 * when that fails.
 *
 * Caches that both have are shared. What only the old one has is retired: its cache lets no call in
 * any more, which frees the most of it, and is closed when those that began before are over.
 */
#ifndef LARDER_GRAPH_H
#define LARDER_GRAPH_H

#include <larder/client.h>
#include <larder/util/uthash.h>

#include "grace.h"
#include "handle.h"

struct namespaced;

/** One distinct cache, which it holds. Set while opening, then only read but for what says
 * otherwise. Its leads hold it. */
struct backing {
    struct retiree retiree; /* first */
    struct larder_cache *leaf;
    struct namespaced *namespaced; /* NULL: the leaf keeps namespaces apart itself */
    uint64_t poll_ms, generation;  /* what `namespaced` was made with */
    struct larder_scope scope;     /* what its namespaces' scopes are made of */
    const struct larder_traits *traits;
    atomic_int left; /* acq_rel on itself: it leaves its leaf once */
};

/** A cache as one graph knows it. */
struct part {
    UT_hash_handle hh; /* by leaf */
    struct larder_cache *leaf;
    struct backing *backing;
    const char *name;    /* the first that is routed to it, for statistics */
    int has_new_backing; /* that came with this graph */
    int has_new_leaf;
    int may_know; /* the leaf was there before, or a part of it: it may have entries of ours */
};

/** One line of the map. */
struct route {
    UT_hash_handle hh;
    char name[LARDER_NAMESPACE_BYTES_MAX + 1];
    const struct part *part;
    int64_t default_ttl_ms;
    int64_t max_ttl_ms;
};

struct graph {
    struct retiree retiree; /* first */
    struct larder_open_options open_options;
    struct larder_client_options options;
    char default_namespace[LARDER_NAMESPACE_BYTES_MAX + 1];
    struct part *parts;
    size_t part_count;
    struct part *by_leaf;
    struct route *routes; /* by name, "*" included */
};

/**
 * Builds a graph.
 * @param before  the one that it is to follow, whose caches the routes may name; NULL: none
 * @return OK: the caches that are new are owned; on failure they stay the caller's
 */
enum larder_status larder__graph_open(const struct graph *before,
                                      const struct larder_client_options *options,
                                      const struct larder_open_options *open_options,
                                      const struct larder_route *routes, size_t count,
                                      struct graph **graph, const struct larder_message *message);
/** Frees a graph that was never put into force, and gives its new caches back to the caller. */
void larder__graph_drop(struct graph *graph);
/** Frees a graph alone: its backings go on. */
void larder__graph_free(struct graph *graph);

/** @return NULL when no line takes that name */
const struct route *larder__graph_route(const struct graph *graph, const char *name);
/** The line of that very name, or NULL. */
const struct route *larder__graph_line(const struct graph *graph, const char *name);
int larder__namespace_is_valid(const char *name);

/** Whether the graph has this cache, whatever else it has of it. */
int larder__graph_has_leaf(const struct graph *graph, const struct larder_cache *leaf);
int larder__graph_has_backing(const struct graph *graph, const struct backing *backing);

/** Leaves the backing's cache, which shuts it down where nobody else uses it. A second time does
 * nothing. */
void larder__backing_leave(struct backing *backing);
/** Leaves what was replaced by `graph`, which is in force now: no call comes to it any more. */
void larder__backing_retire(struct backing *backing, const struct graph *graph);
/** Frees it; its cache is closed with the last that holds it. */
void larder__backing_close(struct backing *backing);

#endif
