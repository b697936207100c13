/*
 * A log-linear histogram of nanoseconds: each power of two is cut into HISTOGRAM_PARTS buckets of
 * one width, so that a percentile is right to 1 in 2 * HISTOGRAM_PARTS. One thread adds; merge when
 * it has finished.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_PART_BITS 6u
#define HISTOGRAM_PARTS (1u << HISTOGRAM_PART_BITS)
#define HISTOGRAM_VALUE_BITS 40u /* 18 minutes; longer is counted as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_PART_BITS + 1u) * HISTOGRAM_PARTS)

struct histogram {
    uint64_t total;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* Below HISTOGRAM_PARTS a bucket is one number; above, the highest bits choose it. */
static inline size_t histogram_bucket(uint64_t value)
{
    if (value >= UINT64_C(1) << HISTOGRAM_VALUE_BITS)
        return HISTOGRAM_BUCKETS - 1;
    if (value < HISTOGRAM_PARTS)
        return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
    return (size_t)shift * HISTOGRAM_PARTS + (size_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->total++;
}

void histogram_merge(struct histogram *into, const struct histogram *from);

/** The value that a share of `quantile` (0 to 1) of all is not above: its bucket's middle.
 * 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
