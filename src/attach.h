/* A leaf: one open backend behind a handle. */
#ifndef LARDER_ATTACH_H
#define LARDER_ATTACH_H

#include "handle.h"
#include "parts.h"

/** Refuses a table of another version, or one without a required row or a name. Older, shorter
 * tables are taken.
 * @param name  of the backend, for the message
 * @return OK, or UNSUPPORTED with a message that says what is wrong */
enum larder_status larder__ops_check(const struct larder_ops *ops, const char *name,
                                     const struct larder_message *message);

/** What a leaf follows; it stays as it is. */
struct predecessor {
    const struct larder_cache *leaf; /* of the same backend; NULL: none */
    int differs_in_servers;          /* and in nothing else */
};
#define NOTHING_BEFORE ((struct predecessor){NULL, 0})

/**
 * Opens a leaf.
 * @return as larder_open_backend()
 */
enum larder_status larder__leaf_open(const struct larder_backend *backend, const void *options,
                                     const struct larder_open_options *open_options,
                                     struct predecessor predecessor, struct larder_cache **cache,
                                     char *text, size_t text_size);

/** The clock that a leaf was opened with. */
struct larder_clock larder__leaf_clock(const struct larder_cache *leaf);

/** The parts of a composition; none of any other leaf. */
const struct parts *larder__leaf_parts(const struct larder_cache *leaf);
/** Makes a composition ready for calls in namespaces; nothing else needs it. Before the first such
 * call; a second time does nothing. @return OK or NO_MEMORY */
enum larder_status larder__leaf_name(struct larder_cache *leaf, uint64_t poll_ms, int generation);
/** What it can do in a namespace, once it is named. */
const struct larder_traits *larder__leaf_space_traits(const struct larder_cache *leaf);
/** The leaf that has every write of what is stored in this one: itself, or, of a composition, that
 * of the part which the option "of" names. @return NULL: there is none */
const struct larder_cache *larder__leaf_authority(const struct larder_cache *leaf);
/** Whether the two are one, or the same composition of such ones, with whatever options. */
int larder__leaf_is_alike(const struct larder_cache *leaf, const struct larder_cache *other);

/*
 * Holding. A leaf may be held by what a client has of it and by any number of compositions; from
 * then on it is not the application's to end. Each holder leaves once, when it is shut down or
 * retired, and lets go once, when nobody can be inside any more: the last that leaves ends the
 * leaf, the last that lets go closes it. Threads: any.
 */
void larder__leaf_hold(struct larder_cache *leaf);
/** Undoes a hold, as if it had not been: the holder was not opened. */
void larder__leaf_give_back(struct larder_cache *leaf);
/** @param retires  the holder was replaced: unless another one was shut down, calls under way end
 * as they would have */
void larder__leaf_leave(struct larder_cache *leaf, int retires);
void larder__leaf_let_go(struct larder_cache *leaf);
int larder__leaf_is_held(const struct larder_cache *leaf);

/** Makes the leaf a client's, which alone may route to it. @return 1, or 0 when it is one's already
 */
int larder__leaf_own(struct larder_cache *leaf);
/** No name of that client leads to it any more: another one may own it. */
void larder__leaf_disown(struct larder_cache *leaf);

/** What the application does to a leaf that nobody holds. */
void larder__leaf_shutdown(struct larder_cache *leaf);
void larder__leaf_close(struct larder_cache *leaf);

#endif
