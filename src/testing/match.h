/* Which calls a match chooses. */
#ifndef LARDER_TESTING_MATCH_H
#define LARDER_TESTING_MATCH_H

#include <larder/testing.h>

/** 1 when `match` (NULL: any) chooses the call. */
int larder__match(const struct larder_match *match, const struct larder_observed *call);

/** Copies `given`, whatever its version, with its texts.
 * @param texts  on OK what to free() with the copy
 * @return OK; BAD_ARGUMENT; NO_MEMORY */
enum larder_status larder__match_copy(const struct larder_match *given, struct larder_match *match,
                                      void **texts);

/** 1 when it asks for a key, a prefix or a namespace. */
int larder__match_by_key(const struct larder_match *match);

#endif
