#include "histogram.h"

#include <math.h>

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->total += from->total;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
}

static uint64_t bucket_middle(size_t bucket)
{
    if (bucket < 2 * HISTOGRAM_PARTS)
        return bucket;
    size_t shift = bucket / HISTOGRAM_PARTS - 1;
    uint64_t low = (uint64_t)(bucket - shift * HISTOGRAM_PARTS) << shift;
    return low + (UINT64_C(1) << shift) / 2;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t rank = (uint64_t)ceil(quantile * (double)histogram->total);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && seen >= rank)
            return bucket_middle(i);
    }
    return 0;
}
