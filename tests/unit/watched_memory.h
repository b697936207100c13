/* A memory cache that can be broken, and watched: a part for tests of compositions. */
#ifndef TESTS_WATCHED_MEMORY_H
#define TESTS_WATCHED_MEMORY_H

#include <larder/testing.h>

/** A cache in which `observer` sees every call; it owns `inner`. Fails the cmocka test when it does
 * not open. */
struct larder_cache *watch(struct larder_cache *inner, const struct larder_observer *observer);

/** Opens a memory cache with faults, and around them a log. Both are freed after it is closed. */
struct larder_cache *watched_memory_open(struct larder_clock clock, struct larder_faults **faults,
                                         struct larder_recording **log);

/** From now on these operations (0: all) have this answer, and the cache is not asked. */
void answer(struct larder_faults *faults, uint32_t operations, enum larder_status status);

/** How many of these operations (0: all) there were, on a key (NULL: any). */
size_t asked(struct larder_recording *log, uint32_t operations, const char *key);

#endif
