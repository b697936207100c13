/* One figure of a cache's statistics. */
#ifndef TESTS_STATS_H
#define TESTS_STATS_H

#include <larder/larder.h>

/** The row of that name; where there is none, the sum of those that have it behind a prefix, as a
 * client's caches have. Fails the cmocka test when there is none either. Threads: any. */
uint64_t stat_of(struct larder_cache *cache, const char *name);

#endif
