/* In which order a pool lends what is idle, for a backend built on one. */
#ifndef LARDER_UTIL_POOL_ORDER_H
#define LARDER_UTIL_POOL_ORDER_H

#include <larder/pool.h>

/**
 * Lends what came back last first, in place of what was idle longest: no more objects are in use
 * than there are callers at once, and these stay warm in every cache on their way. The others lie
 * idle, so whoever lends connections must be ready for one that the server has closed meanwhile.
 * Waiters are served in turn as ever. Before the first acquire.
 */
void larder_pool_lend_newest(struct larder_pool *pool);

/** As larder_pool_release() of what is not broken, but it is lent after all that is idle: what has
 * something to do before it is of use, while others are ready. @return OK or BAD_ARGUMENT */
enum larder_status larder_pool_release_last(struct larder_pool *pool, void *object);

#endif
