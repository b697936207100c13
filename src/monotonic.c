#include "monotonic.h"

#include <larder/util/deadline.h>

static uint64_t monotonic_now_ns(void *context)
{
    (void)context;
    return larder_monotonic_ns();
}

struct larder_clock larder__clock_or_default(struct larder_clock given)
{
    struct larder_clock monotonic = {monotonic_now_ns, NULL};
    return given.now_ns != NULL ? given : monotonic;
}

int larder__clock_is_default(struct larder_clock clock)
{
    return clock.now_ns == monotonic_now_ns;
}
