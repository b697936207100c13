/* A cache on a server, of one connection, is used on by a child of fork(). */
#ifndef TESTS_CHILD_DIALS_H
#define TESTS_CHILD_DIALS_H

#include <larder/larder.h>

/** Lets a child read what was stored before: it must do so on one connection of its own, and its
 * close must say nothing on that of its parent, which is still good. Fails the cmocka test if not.
 */
void child_must_dial(struct larder_cache *cache);

#endif
