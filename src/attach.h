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

/** The clock that a leaf was opened with. */
struct larder_clock larder__leaf_clock(const struct larder_cache *leaf);

/** Gives the leaf to a client. @return 1, or 0 when it has an owner already */
int larder__leaf_own(struct larder_cache *leaf);
int larder__leaf_is_owned(const struct larder_cache *leaf);
void larder__leaf_disown(struct larder_cache *leaf);

void larder__leaf_shutdown(struct larder_cache *leaf);
void larder__leaf_close(struct larder_cache *leaf);

#endif
