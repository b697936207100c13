/* The clock that a cache runs on when it was given none. */
#ifndef LARDER_MONOTONIC_H
#define LARDER_MONOTONIC_H

#include <larder/larder.h>

/** `given`, or CLOCK_MONOTONIC where it has no function. */
struct larder_clock larder__clock_or_default(struct larder_clock given);

/** A clock that is read faster than `clock` and is behind it by at most `behind_ms` milliseconds:
 * CLOCK_MONOTONIC_COARSE for CLOCK_MONOTONIC, else `clock` itself.
 * @param clock_id  the kernel's number of it; -1: it has none */
struct larder_clock larder__clock_coarse(struct larder_clock clock, uint32_t *behind_ms,
                                         int32_t *clock_id);

/** 1 for the clock that a cache has when it was given none. */
int larder__clock_is_default(struct larder_clock clock);

#endif
