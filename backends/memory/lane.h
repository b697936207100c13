/*
 * Lanes: where threads append. A lane has some segments open, one for each queue and time class, so
 * that what ends together lies together; threads are spread over the lanes, so that they rarely
 * wait for each other.
 */
#ifndef LARDER_MEMORY_LANE_H
#define LARDER_MEMORY_LANE_H

#include "segment.h"

#define LANE_CLASSES_MAX 32u /* beside the one of what never ends */

struct open_segment {
    struct segment *segment; /* NULL: none */
    uint64_t class;
    uint64_t due_ms; /* what the wheel was told */
    uint64_t weight; /* bytes that its items keep, large values included */
};

struct lane {
    alignas(2 * LARDER_LINE_BYTES) pthread_mutex_t lock; /* order: see memory.h */
    uint16_t number;
    uint16_t classes; /* how many are in use */
    uint64_t weight_max;
    struct { /* touched only while holding lock */
        struct open_segment open[QUEUES][LANE_CLASSES_MAX + 1];
    } guarded;
};

/** What is to be appended. */
struct append {
    enum queue queue;
    uint64_t now_ms;
    uint64_t end_ms; /* UINT64_MAX: never */
    uint64_t interval_ms;
    size_t bytes;
    uint64_t weight;  /* of a large value beside them */
    uint32_t reserve; /* free segments that it may not take */
};

/** Room for an item, at the end of an open segment. Under the lane's lock, which is held until the
 * item is found, or given up: a segment that is sealed has no item that is half written.
 * @return NULL: there is no free segment */
struct item *larder__lane_append(struct lane *lane, struct arena *arena,
                                 const struct append *append);
/** Seals this one if it is open here, else does nothing. Takes the lane's lock. */
void larder__lane_seal(struct lane *lane, struct arena *arena, const struct segment *segment);
/** Seals all. Takes the lane's lock. */
void larder__lane_seal_all(struct lane *lane, struct arena *arena);

#endif
