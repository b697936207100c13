/*
 * Segments: equal parts of one range of addresses, each filled with items from its beginning to its
 * end and given back as a whole.
 *
 *   vacant ──> open ──> sealed ──> scanned ──> retired ──> free ──> open …
 *     ^        (a lane    (waits     (one        (readers     |
 *     |         appends)   in a       thread       may still  |
 *     |                    queue)     empties it)  look)      |
 *     └──────────────────────────────────────────────────────┘ when there are more than are needed
 *
 * Free ones have memory and are charged for it; vacant ones have none.
 */
#ifndef LARDER_MEMORY_SEGMENT_H
#define LARDER_MEMORY_SEGMENT_H

#include <larder/util/epoch.h>

#include "brief.h"
#include "budget.h"
#include "item.h"
#include "region.h"
#include "wheel.h"

/** The policy's queues, see policy.h: new entries, and those that were hit. */
enum queue { QUEUE_SMALL, QUEUE_MAIN, QUEUES };

enum segment_state {
    SEGMENT_VACANT,
    SEGMENT_FREE,
    SEGMENT_OPEN,
    SEGMENT_SEALED,
    SEGMENT_SCANNED,
    SEGMENT_RETIRED
};

#define NO_SEGMENT UINT32_MAX
#define DUE_NOT_YET (UINT64_MAX - 1)

struct segment {
    uint32_t next, previous;     /* in its queue or list; guarded by the arena's lock */
    struct wheel_link link;      /* likewise */
    _Atomic uint32_t used_bytes; /* relaxed; stored under its lane's lock, then constant */
    _Atomic uint32_t dead_bytes; /* relaxed: of items that are found no more; goes up under the
                                    locks of their stripes or lanes, or by who looks through it.
                                    What is left of used_bytes is alive: appending need not count */
    uint64_t first_end_ms;       /* the earliest of its items' ends; as used_bytes */
    uint32_t retired_epoch;      /* guarded by the arena's lock */
    /* How often it was opened: set then, before the state says so. */
    _Atomic uint32_t life;
    /* Stored with release under the arena's lock; loaded with acquire by recyclers: who sees that
     * it is sealed sees what was set before. */
    _Atomic uint8_t state;
    uint8_t queue;    /* set when it is opened */
    uint16_t lane;    /* guarded by the arena's lock: which lane opened it */
    bool swept;       /* guarded by the arena's lock: taken because it was due */
    bool marked;      /* of who looks through it, or does so again after a fork: something is to be
                         done for what was dropped. Until it is opened again */
    uint32_t flushes; /* set when it is opened: of namespaces, until then */
};

/** A list of segments, first in, first out. */
struct segment_list {
    uint32_t first, last;
    uint32_t count;
};

/* What every call reads lies in other lines than what changes with each segment. */
struct arena {
    /* set when opened, then only read */
    unsigned char *base;
    unsigned char *items; /* where location 0 is: in front of base, by the bytes of a head */
    struct segment *segments;
    unsigned shift; /* log2 of a segment's bytes */
    uint32_t capacity;
    struct budget *budget;
    struct larder_epoch *epoch;

    /* the innermost: nothing is taken under it */
    alignas(LARDER_LINE_BYTES) struct brief_lock lock;
    struct { /* touched only while holding lock */
        struct region items, headers;
        struct segment_list queues[QUEUES];
        struct segment_list free, vacant, retired;
        struct wheel wheel;
        uint32_t fresh;        /* segments from here on never had memory */
        uint32_t open[QUEUES]; /* how many are open */
        uint32_t scanned;
        uint64_t swept_due_ms; /* of the one that is being swept; UINT64_MAX: none is */
    } guarded;
    /* relaxed: when the wheel wants a visit, in ms; UINT64_MAX: nothing waits, and readers need no
     * fence; where they do, it is DUE_NOT_YET in its place. A hint but for that; stored under the
     * lock. */
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t due_ms;
    /* relaxed: what a read has to look after beside what it reads, of those below; 0: nothing. A
     * hint but for DUTY_FENCE. */
    _Atomic uint32_t duties;
    _Atomic uint32_t flushes; /* relaxed: of namespaces; older segments may hold what they left */
    /* relaxed: goes up with segments opened and bytes died, now and then: whoever cleans looks when
     * it has */
    alignas(LARDER_LINE_BYTES) _Atomic uint32_t turnover;
    _Atomic uint32_t ready;  /* relaxed: how many are free; a hint */
    _Atomic uint32_t spare;  /* relaxed: how many are free or soon will be; a hint */
    _Atomic uint32_t in_use; /* relaxed: how many have memory and are not free; a hint */
    _Atomic uint64_t
        heavy_bytes[QUEUES]; /* relaxed: of the large values that a queue's items have */
    uint64_t header_bytes;   /* what the headers are charged; guarded by lock */
};

#define DUTY_TIME 1u  /* due_ms is not UINT64_MAX */
#define DUTY_HITS 2u  /* it may come to evicting soon: hits are counted */
#define DUTY_FENCE 4u /* readers need a fence. For good, and then DUTY_TIME is not set */

static inline uint32_t larder__duties(const struct arena *arena)
{
    return atomic_load_explicit(&arena->duties, memory_order_relaxed);
}

static inline void larder__set_duty(struct arena *arena, uint32_t what, bool wanted)
{
    if (((larder__duties(arena) & what) != 0) == wanted)
        return;
    if (wanted)
        atomic_fetch_or_explicit(&arena->duties, what, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&arena->duties, ~what, memory_order_relaxed);
}

static inline size_t larder__segment_bytes(const struct arena *arena)
{
    return (size_t)1 << arena->shift;
}

/** Location 0 is none: its item has a head of zeros, which is that of no key. */
static inline struct item *larder__item_at(const struct arena *arena, uint32_t location)
{
    return (struct item *)(void *)(arena->items + (size_t)location * ITEM_UNIT);
}

static inline uint32_t larder__location_of(const struct arena *arena, const struct item *item)
{
    return (uint32_t)((size_t)((const unsigned char *)item - arena->items) / ITEM_UNIT);
}

static inline struct segment *larder__segment_of(const struct arena *arena, const struct item *item)
{
    return &arena->segments[(size_t)((const unsigned char *)item - arena->base) >> arena->shift];
}

static inline enum segment_state larder__segment_state(const struct segment *segment)
{
    return (enum segment_state)atomic_load_explicit(&segment->state, memory_order_acquire);
}

static inline uint32_t larder__segment_life(const struct segment *segment)
{
    return atomic_load_explicit(&segment->life, memory_order_relaxed); /* see state */
}

static inline uint32_t larder__segment_used(const struct segment *segment)
{
    return atomic_load_explicit(&segment->used_bytes, memory_order_relaxed);
}

/** Bytes of items that are still found, or that are kept for what will be (recycle.h). */
static inline uint32_t larder__segment_live(const struct segment *segment)
{
    return larder__segment_used(segment) -
           atomic_load_explicit(&segment->dead_bytes, memory_order_relaxed);
}

static inline void larder__segment_loses(struct segment *segment, uint32_t bytes)
{
    atomic_fetch_add_explicit(&segment->dead_bytes, bytes, memory_order_relaxed);
}

static inline uint32_t larder__segment_number(const struct arena *arena,
                                              const struct segment *segment)
{
    return (uint32_t)(segment - arena->segments);
}

static inline unsigned char *larder__segment_begin(const struct arena *arena, uint32_t number)
{
    return arena->base + ((size_t)number << arena->shift);
}

/** @param heads  for the wheel @return false: no addresses, or not even the bound for one */
bool larder__arena_open(struct arena *arena, struct budget *budget, struct larder_epoch *epoch,
                        size_t reserved_bytes, unsigned shift, bool huge);
void larder__arena_close(struct arena *arena);

/** Opens a segment for a lane. @param reserve  how many free ones are left for others
 * @return NULL when no more are free and none may be had */
struct segment *larder__segment_open(struct arena *arena, enum queue queue, uint16_t lane,
                                     uint64_t due_ms, uint32_t reserve);
/** Whether that would go. */
bool larder__arena_has_room(struct arena *arena, uint32_t reserve);
/** With fewer free segments it is asked whether readers have left those that were retired. */
#define SPARE_SEGMENTS 4u
/** Something in it ends at `end_ms`: it is due by then. */
void larder__segment_hurry(struct arena *arena, struct segment *segment, uint64_t end_ms);
/** The lane appends no more: it waits at the end of its queue. */
void larder__segment_seal(struct arena *arena, struct segment *segment);

/** Takes the oldest of a queue, for one thread to empty. @return NULL: none is sealed */
struct segment *larder__segment_scan(struct arena *arena, enum queue queue);
/** Takes this one, if it is sealed. */
bool larder__segment_scan_this(struct arena *arena, struct segment *segment);
/** Puts one that could not be emptied back, to be looked at first again. */
void larder__segment_unscan(struct arena *arena, struct segment *segment, uint64_t due_ms);
/** Nothing in it is found any more: free when the last reader has left. */
void larder__segment_retire(struct arena *arena, struct segment *segment);

/** In the child of a fork, which has the arena's lock: what threads that are no more had taken goes
 * back to its queue. */
void larder__segments_adopt(struct arena *arena);
/** Retires all that are sealed. */
void larder__segments_retire_all(struct arena *arena);
/** What those take that readers may still look at. */
uint64_t larder__segments_retired_bytes(struct arena *arena);
/** Frees what no reader looks at any more. @return how many became free */
uint32_t larder__segments_reclaim(struct arena *arena);
/** Takes memory from up to `count` free segments. @return the bytes that are no longer charged */
uint64_t larder__segments_vacate(struct arena *arena, uint32_t count);

#define LANE_NONE UINT32_MAX

/** Takes the first segment that is due by now, for the calling thread to empty. One that is still
 * open is not taken, only named, with the lane that it is open in at this instant.
 * @param open_in LANE_NONE: it was taken
 * @return NULL: none is due */
struct segment *larder__segment_due(struct arena *arena, uint64_t now_ms, uint32_t *open_in);

#endif
