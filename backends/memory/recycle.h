/*
 * Recycling: an entry that is stored again may lie where another one lay that was as large and is
 * dead. Then nothing is left behind that would have to be cleaned up, and the place is still near.
 *
 *   dead ──> waiting (when enough do, an epoch ends) ──> ripe (its readers have left) ──> an item
 *
 * A place waits and is ripe in the lane of the thread that left it behind. Until it is taken, or
 * given up, its segment counts it as alive. Segments come and go meanwhile: so a place knows the
 * life of its segment in which it was left, and is taken only while that life lasts and nobody
 * looks through the segment; who begins to do so waits for the lanes first (larder__lanes_await()).
 */
#ifndef LARDER_MEMORY_RECYCLE_H
#define LARDER_MEMORY_RECYCLE_H

#include "segment.h"

#define RECYCLE_BINS 512u /* a power of two; by size, queue, and whether it ends */
/* So many are left behind for each time that readers are waited for, which interrupts every other
 * processor (epoch.h): some 10 us, 5 ns for each place. */
#define RECYCLE_PLACES_MAX 2048u
#define RECYCLE_PLACES_MIN 64u /* with fewer it costs more than it saves: then there are none */
#define RECYCLE_RIPE 2u        /* times as many may be ripe: sizes come in turns */

struct recycled_place {
    uint32_t location;
    uint32_t life;  /* of its segment */
    uint16_t units; /* its size */
    uint16_t next;  /* in a bin, or free: the next one's number, plus 1 */
};

/* A lane's; all but what never changes is touched only while holding the lane's lock. */
struct recycler {
    uint32_t capacity; /* set when opened: of those that wait; 0: nothing is recycled */
    struct recycled_place *waiting; /* likewise */
    struct recycled_place *ripe;    /* likewise: RECYCLE_RIPE times as many */
    uint32_t limit;                 /* how many may wait now */
    uint32_t count;                 /* how many do */
    uint32_t refused;               /* since that is all that may */
    bool ended;                     /* their epoch has */
    uint32_t epoch;                 /* its number */
    uint32_t ripe_count;
    uint32_t fresh;              /* ripe ones from here on were never used */
    uint16_t free;               /* the first that is free again, plus 1 */
    uint16_t bins[RECYCLE_BINS]; /* of ripe ones: the first one's number, plus 1 */
    uint32_t hand;               /* the bin that gives one up next */
};

/** @param places  for all of them, larder__recycler_places() */
static inline size_t larder__recycler_places(uint32_t capacity)
{
    return (size_t)capacity * (1 + RECYCLE_RIPE);
}
void larder__recycler_open(struct recycler *recycler, struct recycled_place *places,
                           uint32_t capacity);
static inline bool larder__recycler_is_full(const struct recycler *recycler)
{
    return recycler->count >= recycler->limit;
}
/** Takes over the place of an item that is found no more. Only while it is not full. */
static inline void larder__recycler_leave(struct recycler *recycler, const struct segment *segment,
                                          uint32_t location, size_t bytes)
{
    recycler->waiting[recycler->count++] =
        (struct recycled_place){.location = location,
                                .life = larder__segment_life(segment),
                                .units = (uint16_t)(bytes / ITEM_UNIT)};
}
/** A ripe place of so many bytes, for what ends at `end_ms`; UINT64_MAX: never. Its segment counts
 * it as alive already.
 * @return NULL: none */
struct item *larder__recycler_take(struct recycler *recycler, const struct arena *arena,
                                   size_t bytes, enum queue queue, uint64_t end_ms);
/** Lets those that wait be ripe, whose readers have left: but for those in segments that are open,
 * which are given up, or looked through, which wait on. Where too many are ripe, some are given up.
 * @param limit  how many may wait from now on, within what there is room for */
void larder__recycler_turn(struct recycler *recycler, struct arena *arena, uint64_t limit);
/** Gives all up, those that wait as well: cleaning up finds what they take. */
void larder__recycler_give_up(struct recycler *recycler, struct arena *arena);

#endif
