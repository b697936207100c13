/* A clock that stands still until it is told to go on. */
#include <larder/testing.h>

#include <stdatomic.h>
#include <stdlib.h>

#include <larder/util/deadline.h>

struct larder_manual_clock {
    _Atomic uint64_t now_ns; /* relaxed: a clock orders nothing; it only grows */
};

static uint64_t manual_now_ns(void *context)
{
    return larder_manual_clock_now_ns(context);
}

struct larder_manual_clock *larder_manual_clock_new(uint64_t start_ns)
{
    struct larder_manual_clock *clock = malloc(sizeof(*clock));
    if (clock != NULL)
        atomic_init(&clock->now_ns, start_ns);
    return clock;
}

struct larder_clock larder_manual_clock_of(struct larder_manual_clock *clock)
{
    struct larder_clock option = {manual_now_ns, clock};
    return option;
}

uint64_t larder_manual_clock_now_ns(struct larder_manual_clock *clock)
{
    return atomic_load_explicit(&clock->now_ns, memory_order_relaxed);
}

void larder_manual_clock_advance(struct larder_manual_clock *clock, uint64_t milliseconds)
{
    uint64_t now_ns = larder_manual_clock_now_ns(clock);
    while (!atomic_compare_exchange_weak_explicit(&clock->now_ns, &now_ns,
                                                  larder_deadline_after(now_ns, milliseconds),
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

void larder_manual_clock_free(struct larder_manual_clock *clock)
{
    free(clock);
}
