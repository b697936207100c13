/* A leaf: one open backend behind a handle. */
#ifndef LARDER_ATTACH_H
#define LARDER_ATTACH_H

#include "handle.h"

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

/** Gives the leaf to a client. @return 1, or 0 when it has an owner already */
int larder__leaf_own(struct larder_cache *leaf);
int larder__leaf_is_owned(const struct larder_cache *leaf);
void larder__leaf_disown(struct larder_cache *leaf);

/** Counts what of its client needs the leaf. By whoever opens, reloads or closes that, alone. */
void larder__leaf_hold(struct larder_cache *leaf);
/** @return 1: nothing needs it any more */
int larder__leaf_let_go(struct larder_cache *leaf);

void larder__leaf_shutdown(struct larder_cache *leaf);
/** As a shutdown, but calls under way end as they would have. */
void larder__leaf_retire(struct larder_cache *leaf);
void larder__leaf_close(struct larder_cache *leaf);

#endif
