/* Completing what a backend left out. */
#ifndef LARDER_FALLBACK_H
#define LARDER_FALLBACK_H

#include <larder/backend.h>

/** Copies `given` and puts a stand-in into every row that is NULL. */
void larder__ops_complete(const struct larder_ops *given, struct larder_ops *ops);

/** Copies `given` and adds what the stand-ins for `own`'s missing rows can do. */
void larder__traits_complete(const struct larder_traits *given, const struct larder_ops *own,
                             struct larder_traits *traits);

/** Multi calls, a row at a time by the other rows of the scope's table. */
larder_many_fn larder__many_by_rows;

#endif
