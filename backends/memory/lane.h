/*
 * Lanes: where threads append. A lane has some segments open, one for each queue and time class, so
 * that what ends together lies together; threads are spread over the lanes, so that they rarely
 * wait for each other.
 */
#ifndef LARDER_MEMORY_LANE_H
#define LARDER_MEMORY_LANE_H

#include "recycle.h"

#define LANE_CLASSES_MAX 32u /* beside the one of what never ends */

struct open_segment {
    struct segment *segment; /* NULL: none */
    unsigned char *begin;    /* of its bytes */
    uint64_t class;
    uint64_t due_ms; /* what the wheel was told */
    uint64_t weight; /* bytes that its items keep, large values included */
};

struct lane {
    alignas(2 * LARDER_LINE_BYTES) struct brief_lock lock; /* order: see memory.h */
    uint16_t number;
    uint16_t classes; /* how many are in use */
    uint64_t weight_max;
    struct { /* touched only while holding lock */
        struct open_segment open[QUEUES][LANE_CLASSES_MAX + 1];
        struct recycler recycler;
    } guarded;
    _Atomic bool turns; /* relaxed: a hint, larder__lane_turn() has something to do */
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
    bool recycles;    /* it takes the place of something of its queue */
};

/** Room for an item, at the end of an open segment. Under the lane's lock, which is held until the
 * item is found, or given up: a segment that is sealed has no item that is half written.
 * @return NULL: there is no free segment */
struct item *larder__lane_append(struct lane *lane, struct arena *arena,
                                 const struct append *append);
/** Likewise, of what never ends and lies there wholly. @return NULL: no segment is open that has
 * room for it; larder__lane_append() opens another */
static inline struct item *larder__lane_append_endless(struct lane *lane, const struct arena *arena,
                                                       enum queue queue, size_t bytes)
{
    struct open_segment *open = &lane->guarded.open[queue][0];
    if (open->segment == NULL)
        return NULL;
    uint32_t used_bytes = larder__segment_used(open->segment);
    if (used_bytes + bytes > larder__segment_bytes(arena) ||
        open->weight + bytes > lane->weight_max)
        return NULL;
    atomic_store_explicit(&open->segment->used_bytes, used_bytes + (uint32_t)bytes,
                          memory_order_relaxed);
    open->weight += bytes;
    return (struct item *)(void *)(open->begin + used_bytes);
}
/** Whether there is room for it in a segment that is open. Takes the lane's lock. */
bool larder__lane_has_room(struct lane *lane, const struct arena *arena,
                           const struct append *append);
/** Seals this one if it is open here, else does nothing. Takes the lane's lock. */
void larder__lane_seal(struct lane *lane, struct arena *arena, const struct segment *segment);
/** Seals all. Takes the lane's lock. */
void larder__lane_seal_all(struct lane *lane, struct arena *arena);

/** Counts a place that found no room, and asks for a turn now and then. Under the lane's lock. */
void larder__lane_note_refusal(struct lane *lane);

/** The place of an item that is found no more is recycled, its segment keeps counting it. Under the
 * lane's lock. @return false: it is not */
static inline bool larder__lane_leave(struct lane *lane, const struct segment *segment,
                                      uint32_t location, size_t bytes)
{
    struct recycler *recycler = &lane->guarded.recycler;
    if (__builtin_expect(larder__recycler_is_full(recycler), 0)) {
        larder__lane_note_refusal(lane);
        return false;
    }
    larder__recycler_leave(recycler, segment, location, bytes);
    if (__builtin_expect(larder__recycler_is_full(recycler), 0))
        atomic_store_explicit(&lane->turns, true, memory_order_relaxed);
    return true;
}
/** Lets what was left behind be taken, when readers have left it. Holding no lock and no section.
 * @param limit  how many places may wait next */
void larder__lane_turn(struct lane *lane, struct arena *arena, uint64_t limit);
/** Gives up what was left behind: its segments count it no more. */
void larder__lanes_give_up(struct lane *lanes, uint32_t count, struct arena *arena);
/** Waits until what is being written in recycled places is found. */
void larder__lanes_await(struct lane *lanes, uint32_t count);
/** In the child of a fork, which has their locks. */
void larder__lanes_adopt(struct lane *lanes, uint32_t count);

#endif
