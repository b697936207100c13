/* Time and memory of this process. */
#ifndef BENCH_MOMENT_H
#define BENCH_MOMENT_H

#include <stdint.h>
#include <time.h>

static inline uint64_t moment_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/** Processor time of the calling thread, in user and kernel. */
static inline uint64_t moment_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/** What one moment_ns() costs, in nanoseconds: the least of many pairs in a row. */
double moment_cost_ns(void);

/** Bytes of anonymous memory resident in this process; 0 where /proc does not say. */
double moment_resident_bytes(void);

#endif
