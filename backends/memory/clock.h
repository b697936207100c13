/*
 * The cache's clock: milliseconds since the cache was opened, plus 3, never going back.
 *
 * An application's own clock is asked each time. In the place of the system's, its coarse one is,
 * which is behind it by a few milliseconds and costs a few loads. (Reading the processor's time
 * stamp counter to ask it less often was tried: the counter's instruction waits for those before
 * it, which cost twice what it saved.)
 */
#ifndef LARDER_MEMORY_CLOCK_H
#define LARDER_MEMORY_CLOCK_H

#include <time.h>

#include <larder/backend.h>

/* The first time is 3: what ended at EXPIRY_PAST always has, and 2 is EXPIRY_CLAIMED. */
#define CLOCK_FIRST_MS 3u

typedef int clock_gettime_fn(clockid_t id, struct timespec *time);

/* Set when the cache is opened, then only read. */
struct memory_clock {
    struct larder_clock clock;
    clockid_t id; /* asked in its place; -1: none */
    clock_gettime_fn *gettime;
    uint64_t birth_ms;
    uint64_t slack_ms; /* how far it may be behind: expiries are put off by so much */
};

static inline uint64_t larder__clock_read_ms(const struct memory_clock *clock)
{
    struct timespec now;
    if (__builtin_expect(clock->id < 0, 0))
        return clock->clock.now_ns(clock->clock.context) / 1000000;
    (void)clock->gettime(clock->id, &now); /* the core has asked it before */
    return (uint64_t)now.tv_sec * 1000 + (uint32_t)now.tv_nsec / UINT32_C(1000000);
}

void larder__clock_open(struct memory_clock *clock, const struct larder_host *host);

#endif
