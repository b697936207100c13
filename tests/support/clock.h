/* A clock that stands still until it is told to go on. Safe from any thread. */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include <larder/larder.h>
#include <stdatomic.h>

struct manual_clock {
    _Atomic uint64_t now_ns; /* relaxed: a clock orders nothing */
};

void manual_clock_init(struct manual_clock *clock); /* starts at 1000 s */
void manual_clock_advance(struct manual_clock *clock, uint64_t milliseconds);
struct larder_clock manual_clock_of(struct manual_clock *clock); /* for larder_open_options.clock */

#endif
