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

#endif
