#include "clock.h"

static uint64_t manual_now_ns(void *context)
{
    struct manual_clock *clock = context;
    return atomic_load_explicit(&clock->now_ns, memory_order_relaxed);
}

void manual_clock_init(struct manual_clock *clock)
{
    atomic_init(&clock->now_ns, UINT64_C(1000000000000));
}

void manual_clock_advance(struct manual_clock *clock, uint64_t milliseconds)
{
    atomic_fetch_add_explicit(&clock->now_ns, milliseconds * UINT64_C(1000000),
                              memory_order_relaxed);
}

struct larder_clock manual_clock_of(struct manual_clock *clock)
{
    struct larder_clock as_option = {manual_now_ns, clock};
    return as_option;
}
