#include "monotonic.h"

#include <time.h>

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

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static uint64_t coarse_now_ns(void *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail where the resolution is known */
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

struct larder_clock larder__clock_coarse(struct larder_clock clock, uint32_t *behind_ms,
                                         int32_t *clock_id)
{
    struct larder_clock coarse = {coarse_now_ns, NULL};
    struct timespec step;
    *behind_ms = 0;
    *clock_id = -1;
    if (clock.now_ns != monotonic_now_ns || clock_getres(CLOCK_MONOTONIC_COARSE, &step) != 0 ||
        step.tv_sec != 0)
        return clock;
    *behind_ms = (uint32_t)(((uint64_t)step.tv_nsec + NS_PER_MS - 1) / NS_PER_MS);
    *clock_id = CLOCK_MONOTONIC_COARSE;
    return coarse;
}

int larder__clock_is_default(struct larder_clock clock)
{
    return clock.now_ns == monotonic_now_ns;
}
