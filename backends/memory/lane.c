/* Appending, and the turns of what is recycled. */
#include "lane.h"

#define TURN_AGAIN 64u /* places refused, while a reader stands still */

/*
 * The time class of what ends at `end_ms`: a stretch of time whose length is a quarter of what is
 * left until then, in powers of 4 of the interval, at least one. So there are some 16 classes at a
 * time for each factor of 4, and what is far off waits in long ones; when a long one comes due its
 * segments are looked through and what is left moves into shorter ones, at most once per factor.
 *
 * A class's number says its length, too: two classes of different lengths are different.
 */
static uint64_t class_of(const struct append *append, uint64_t *begin_ms)
{
    uint64_t left_ms = append->end_ms > append->now_ms ? append->end_ms - append->now_ms : 0;
    uint64_t length_ms = append->interval_ms, factor = 0;
    while (length_ms <= left_ms / 16) {
        length_ms *= 4;
        factor++;
    }
    uint64_t number = append->end_ms / length_ms;
    *begin_ms = number * length_ms;
    return number << 6 | factor;
}

static void seal(struct arena *arena, struct open_segment *open)
{
    if (open->segment != NULL)
        larder__segment_seal(arena, open->segment);
    open->segment = NULL;
}

static bool has_room(const struct lane *lane, const struct arena *arena,
                     const struct open_segment *open, const struct append *append)
{
    return larder__segment_used(open->segment) + append->bytes <= larder__segment_bytes(arena) &&
           (open->weight + append->weight <= lane->weight_max || open->weight == 0);
}

/* Another class's segment is taken along while it is not half full: what is mixed is sorted when it
 * comes due, but segments with next to nothing in them would use up the cache. */
static bool may_mix(const struct arena *arena, const struct open_segment *open, uint64_t class)
{
    return open->class == class ||
           larder__segment_used(open->segment) < larder__segment_bytes(arena) / 2;
}

static struct item *append_to(struct arena *arena, struct open_segment *open,
                              const struct append *append)
{
    struct segment *segment = open->segment;
    uint32_t used_bytes = larder__segment_used(segment);
    struct item *item = (struct item *)(void *)(open->begin + used_bytes);
    atomic_store_explicit(&segment->used_bytes, used_bytes + (uint32_t)append->bytes,
                          memory_order_relaxed);
    open->weight += append->bytes + append->weight;
    if (append->end_ms < segment->first_end_ms)
        segment->first_end_ms = append->end_ms;
    if (append->end_ms < open->due_ms) {
        open->due_ms = append->end_ms;
        larder__segment_hurry(arena, segment, append->end_ms);
    }
    return item;
}

/* Where it goes. @param due_ms  when a segment of that class is looked at, at the latest */
static struct open_segment *open_for(struct lane *lane, const struct append *append,
                                     uint64_t *class, uint64_t *due_ms)
{
    struct open_segment *open = lane->guarded.open[append->queue];
    *class = 0;
    *due_ms = UINT64_MAX;
    if (append->end_ms == UINT64_MAX)
        return open;
    *class = class_of(append, due_ms);
    return open + 1 + (*class >> 6) % lane->classes;
}

ALWAYS_INLINE bool takes(const struct lane *lane, const struct arena *arena,
                         const struct open_segment *open, uint64_t class,
                         const struct append *append)
{
    return open->segment != NULL && may_mix(arena, open, class) &&
           has_room(lane, arena, open, append);
}

bool larder__lane_has_room(struct lane *lane, const struct arena *arena,
                           const struct append *append)
{
    uint64_t due_ms, class;
    larder__brief_lock(&lane->lock);
    const struct open_segment *open = open_for(lane, append, &class, &due_ms);
    bool room = takes(lane, arena, open, class, append);
    larder__brief_unlock(&lane->lock);
    return room;
}

/* A fresh segment in the place of what is open there. @return false: there is none */
static bool open_another(struct lane *lane, struct arena *arena, struct open_segment *open,
                         const struct append *append, uint64_t class, uint64_t due_ms)
{
    seal(arena, open);
    struct segment *segment =
        larder__segment_open(arena, append->queue, lane->number, due_ms, append->reserve);
    if (segment == NULL)
        return false;
    *open = (struct open_segment){
        .segment = segment,
        .begin = larder__segment_begin(arena, larder__segment_number(arena, segment)),
        .class = class,
        .due_ms = due_ms};
    return true;
}

struct item *larder__lane_append(struct lane *lane, struct arena *arena,
                                 const struct append *append)
{
    uint64_t due_ms, class;
    struct open_segment *open = open_for(lane, append, &class, &due_ms);
    if (__builtin_expect(!takes(lane, arena, open, class, append), 0) &&
        !open_another(lane, arena, open, append, class, due_ms))
        return NULL;
    return append_to(arena, open, append);
}

void larder__lane_seal(struct lane *lane, struct arena *arena, const struct segment *segment)
{
    larder__brief_lock(&lane->lock);
    for (unsigned queue = 0; queue < QUEUES; queue++)
        for (unsigned i = 0; i <= lane->classes; i++)
            if (lane->guarded.open[queue][i].segment == segment)
                seal(arena, &lane->guarded.open[queue][i]);
    larder__brief_unlock(&lane->lock);
}

void larder__lane_seal_all(struct lane *lane, struct arena *arena)
{
    larder__brief_lock(&lane->lock);
    for (unsigned queue = 0; queue < QUEUES; queue++)
        for (unsigned i = 0; i <= lane->classes; i++)
            seal(arena, &lane->guarded.open[queue][i]);
    larder__brief_unlock(&lane->lock);
}

void larder__lanes_give_up(struct lane *lanes, uint32_t count, struct arena *arena)
{
    for (uint32_t i = 0; i < count; i++) {
        larder__brief_lock(&lanes[i].lock);
        larder__recycler_give_up(&lanes[i].guarded.recycler, arena);
        larder__brief_unlock(&lanes[i].lock);
    }
}

void larder__lanes_await(struct lane *lanes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        larder__brief_lock(&lanes[i].lock);
        larder__brief_unlock(&lanes[i].lock);
    }
}

void larder__lanes_adopt(struct lane *lanes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        larder__brief_adopt(&lanes[i].lock);
}

/* The number of the epoch that those which wait belong to. @return false: there are too few */
static bool end_epoch(struct lane *lane, struct larder_epoch *epoch, uint32_t *number)
{
    struct recycler *recycler = &lane->guarded.recycler;
    larder__brief_lock(&lane->lock);
    bool full = larder__recycler_is_full(recycler);
    atomic_store_explicit(&lane->turns, false, memory_order_relaxed);
    if (full && !recycler->ended) {
        recycler->epoch = larder_epoch_advance(epoch);
        recycler->ended = true;
    }
    *number = recycler->epoch;
    larder__brief_unlock(&lane->lock);
    return full;
}

void larder__lane_turn(struct lane *lane, struct arena *arena, uint64_t limit)
{
    uint32_t number;
    struct recycler *recycler = &lane->guarded.recycler;
    if (!end_epoch(lane, arena->epoch, &number))
        return;
    larder_epoch_order(arena->epoch, number); /* not under the lock: it takes long */
    bool passed = larder_epoch_passed(number, larder_epoch_oldest(arena->epoch));
    larder__brief_lock(&lane->lock);
    if (passed && recycler->ended && recycler->epoch == number)
        larder__recycler_turn(recycler, arena, limit);
    larder__brief_unlock(&lane->lock);
}

void larder__lane_note_refusal(struct lane *lane)
{
    struct recycler *recycler = &lane->guarded.recycler;
    if (recycler->capacity > 0 && ++recycler->refused % TURN_AGAIN == 0)
        atomic_store_explicit(&lane->turns, true, memory_order_relaxed);
}
