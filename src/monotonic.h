/* The clock that a cache runs on when it was given none. */
#ifndef LARDER_MONOTONIC_H
#define LARDER_MONOTONIC_H

#include <larder/larder.h>

/** `given`, or CLOCK_MONOTONIC where it has no function. */
struct larder_clock larder__clock_or_default(struct larder_clock given);

#endif
