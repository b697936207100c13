/* One figure of a cache's statistics. */
#ifndef TESTS_STATS_H
#define TESTS_STATS_H

#include <larder/larder.h>

/** The sum of all rows of that name, also behind the prefixes that a client's caches have. Fails
 * the cmocka test when there is none. Threads: any. */
uint64_t stat_of(struct larder_cache *cache, const char *name);

#endif
