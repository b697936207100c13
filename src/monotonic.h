/* The clock that a cache runs on when it was given none. */
#ifndef LARDER_MONOTONIC_H
#define LARDER_MONOTONIC_H

#include <larder/larder.h>

/** `given`, or CLOCK_MONOTONIC where it has no function. */
struct larder_clock larder__clock_or_default(struct larder_clock given);

/** 1 for the clock that a cache has when it was given none. */
int larder__clock_is_default(struct larder_clock clock);

#endif
