/*
 * Eviction policies as they are described, object by object: what hit ratios are compared with.
 *
 * A policy is asked for one object after the other and answers whether it had it; what it hadn't it
 * takes in, and drops others for it (get, and set on a miss). Objects are numbered from 0. Each has
 * a weight: 1, or its size in bytes. One thread uses a policy.
 */
#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <stddef.h>
#include <stdint.h>

#define POLICY_NEVER UINT32_MAX /* an object that isn't asked for again */

/** What is known beforehand. It must stay until the policy is closed. */
struct policy_input {
    uint32_t objects;
    const uint32_t *weights; /* of each object, at least 1 */
    uint64_t capacity;       /* the sum of weights that fit */
    uint32_t entries;        /* about how many objects fit: what sketches and ghosts are sized by */
    const uint32_t *next;    /* of each request, the one that asks for its object again, or
                                POLICY_NEVER; only Belady's may look */
};

struct policy {
    const char *name;
    const char *sentence;
    /** @return NULL when memory ran out */
    void *(*open)(const struct policy_input *input);
    /** @param request  the number of this request, for input->next
     * @return 1 for a hit */
    int (*ask)(void *self, uint32_t object, size_t request);
    void (*close)(void *self);
};

extern const struct policy policy_fifo, policy_lru, policy_s3fifo, policy_sieve, policy_tinylfu_1,
    policy_tinylfu_10, policy_belady, policy_segments;

#endif
