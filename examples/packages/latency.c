/* Buckets: the first doublings are exact, each later one has LATENCY_STEPS even parts. */
#include "latency.h"

#include <stddef.h>

static size_t bucket_of(uint64_t microseconds)
{
    size_t shift = 0;
    while (microseconds >> shift >= 2 * LATENCY_STEPS)
        shift++;
    size_t bucket = shift * LATENCY_STEPS + (size_t)(microseconds >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t least_of(size_t bucket)
{
    if (bucket < 2 * LATENCY_STEPS)
        return bucket;
    size_t shift = bucket / LATENCY_STEPS - 1;
    return (uint64_t)(bucket - shift * LATENCY_STEPS) << shift;
}

void latency_add(struct latency *latency, uint64_t microseconds)
{
    latency->buckets[bucket_of(microseconds)]++;
    latency->total++;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    into->total += from->total;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t latency_quantile(const struct latency *latency, double share)
{
    uint64_t wanted = (uint64_t)((double)latency->total * share);
    uint64_t seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > wanted)
            return least_of(i);
    }
    return 0;
}
