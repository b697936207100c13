/*
 * The eviction policy, decided for each entry while the oldest segment of a queue is looked
 * through; a hit only raises a counter in the item.
 *
 * It is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new
 * entries wait in the small queue; what is hit there twice moves into the main one; what is hit in
 * the main one goes round. Three things are added, each because it measured better on every trace
 * (docs/hit-ratios.md):
 *
 * - An entry has a history, how often it was hit over several stays; the ghost remembers it.
 * - Only entries with enough history are admitted to the main queue: `level` times what entries
 *   have that leave it unhit. Loops, which hit everything equally, then keep a part of themselves
 *   instead of nothing.
 * - How large the small queue is follows from which ghosts come back (as in ARC: Megiddo and Modha,
 *   FAST 2003).
 *
 * All numbers here are relaxed atomics that threads change without a lock: what one overwrites of
 * another's costs a slightly wrong number, which the next change mends.
 */
#ifndef LARDER_MEMORY_POLICY_H
#define LARDER_MEMORY_POLICY_H

#include "segment.h"

#define FREQUENCY_MAX 3u
#define HISTORY_MAX 7u
#define HISTORY_REFUSED                                                     \
    8u /* a mark beside the number: it came back from the ghost and was not \
          admitted to the main queue */

#define GHOST_SLOTS 31u

/** What was evicted not long ago, a ring a bucket. Slot: fingerprint 11 bits, history 3, kind 2. */
struct ghost_bucket {
    alignas(LARDER_LINE_BYTES) _Atomic uint16_t slots[GHOST_SLOTS];
    _Atomic uint16_t cursor; /* the slot that is written next, below GHOST_SLOTS */
};

enum ghost_kind { GHOST_COLD, GHOST_REFUSED, GHOST_FROM_MAIN, GHOST_KINDS };

/* What every store reads, and what changes, lie in lines of their own. */
struct policy {
    struct budget *budget;
    /* Set by the first eviction, with release, under growth; loaded with acquire. */
    _Atomic(struct ghost_bucket *) ghosts;
    uint32_t ghost_buckets;                          /* set before `ghosts` is */
    struct region region;                            /* of the ghosts; guarded by growth */
    uint64_t charged_bytes;                          /* likewise */
    alignas(LARDER_LINE_BYTES) _Atomic double items; /* how many entries there are, as of the last
                                                        count */
    _Atomic double share; /* of the small queue, of all bytes: 0.01 to 0.25 */
    _Atomic double level; /* 0 to 1.5 */
    _Atomic double guard; /* the history of what leaves the main queue unhit, averaged */
    _Atomic double left[GHOST_KINDS]; /* how many went into the ghost, halved now and then */
};

/** What a scan gave up since the policy was told. */
struct forgotten {
    uint32_t left[GHOST_KINDS];
    uint32_t unhit;         /* of those from the main queue, how many had no hit */
    uint32_t unhit_history; /* and theirs, in sum */
};

void larder__policy_open(struct policy *policy, struct budget *budget);
void larder__policy_close(struct policy *policy);
/** What a ghost for so many entries takes. */
uint64_t larder__policy_ghost_bytes(uint64_t items);
/** Makes the ghost; under growth. @return false: there is no room for it, or no memory */
bool larder__policy_make_ghost(struct policy *policy, uint64_t items);
uint64_t larder__policy_bytes(const struct policy *policy);

/** A new entry comes. */
enum queue larder__policy_admit(struct policy *policy, uint64_t hash, uint8_t *history);

/** The oldest entries of a queue are looked at. @return true: it is kept, in the main queue */
bool larder__policy_keeps(struct policy *policy, enum queue queue, uint8_t *frequency,
                          uint8_t *history);
/** It is not: the ghost remembers, and `forgotten` what there is to be learnt. */
void larder__policy_forgets(struct policy *policy, struct forgotten *forgotten, enum queue queue,
                            uint64_t hash, uint8_t frequency, uint8_t history);
/** Learns that, and clears it. */
void larder__policy_learn_forgotten(struct policy *policy, struct forgotten *forgotten);

/* Other bits of the hash than the index takes. */
static inline uint32_t larder__ghost_place(const struct policy *policy, uint64_t hash)
{
    return (uint32_t)(((hash >> 16 & UINT32_MAX) * policy->ghost_buckets) >> 32);
}

/** Where the ghost would be. @return NULL: nothing was evicted yet */
static inline struct ghost_bucket *larder__ghost_bucket(const struct policy *policy, uint64_t hash)
{
    struct ghost_bucket *ghosts = atomic_load_explicit(&policy->ghosts, memory_order_acquire);
    return ghosts != NULL ? &ghosts[larder__ghost_place(policy, hash)] : NULL;
}

/** Asks for that place. */
static inline void larder__policy_ask(const struct policy *policy, uint64_t hash)
{
    const struct ghost_bucket *bucket = larder__ghost_bucket(policy, hash);
    if (bucket != NULL)
        larder__ask_to_write(bucket);
}

#endif
