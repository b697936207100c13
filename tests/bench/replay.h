/*
 * Replays a trace (get, and set on a miss) on a policy or on a real cache, and counts hits.
 */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include <stdint.h>

#include "policy/policy.h"
#include "trace.h"

/** An object that weighs more than the whole cache misses and is not taken in.
 * @param ratio  hits to counted requests
 * @return 0 when memory ran out */
int replay_policy(const struct policy *policy, const struct trace *trace, uint64_t capacity,
                  double *ratio);

/** A real cache: opened by URI, driven by public calls only. */
struct replay_cache {
    const char *uri;      /* without max_bytes, which is appended */
    uint32_t value_bytes; /* of each value; 0: as many as the object weighs */
    uint64_t max_bytes;   /* out: what was found to hold the capacity */
    double held;          /* out: what it held when filled, as a share of the capacity */
};

/**
 * Finds the max_bytes with which a cache holds `capacity` of the trace's objects: fills one after
 * the other with all of them and reads the statistic `items`. Then replays on a fresh cache.
 * @return 0 when a cache doesn't open, has no such statistic or fails; message says which
 */
int replay_cache(struct replay_cache *cache, const struct trace *trace, uint64_t capacity,
                 double *ratio, const char **message);

#endif
