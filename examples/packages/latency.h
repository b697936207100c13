/* How long requests took: counts in buckets that are 1/32 wide or finer, from a microsecond up. */
#ifndef PACKAGES_LATENCY_H
#define PACKAGES_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS 32 /* buckets in each doubling */
#define LATENCY_BUCKETS (LATENCY_STEPS * 28)

struct latency {
    uint64_t total;
    uint32_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t microseconds);
void latency_merge(struct latency *into, const struct latency *from);
/** @param share  0.99 for p99 @return microseconds */
uint64_t latency_quantile(const struct latency *latency, double share);

#endif
