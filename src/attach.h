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

/**
 * Opens a leaf.
 * @param predecessor  a leaf of the same backend that this one follows; it stays as it is. NULL:
 *                     none
 * @return as larder_open_backend()
 */
enum larder_status larder__leaf_open(const struct larder_backend *backend, const void *options,
                                     const struct larder_open_options *open_options,
                                     const struct larder_cache *predecessor,
                                     struct larder_cache **cache, char *text, size_t text_size);

/** The clock that a leaf was opened with. */
struct larder_clock larder__leaf_clock(const struct larder_cache *leaf);

/** Gives the leaf to a client. @return 1, or 0 when it has an owner already */
int larder__leaf_own(struct larder_cache *leaf);
int larder__leaf_is_owned(const struct larder_cache *leaf);
void larder__leaf_disown(struct larder_cache *leaf);

void larder__leaf_shutdown(struct larder_cache *leaf);
/** Shuts down a leaf that nobody has a handle of, and frees all of it that calls which are still on
 * their way to it don't touch. */
void larder__leaf_retire(struct larder_cache *leaf);
/** Of one that was retired, too. */
void larder__leaf_close(struct larder_cache *leaf);

#endif
