/* Recycling the places of dead items. */
#include "recycle.h"

void larder__recycler_open(struct recycler *recycler, struct recycled_place *places,
                           uint32_t capacity)
{
    recycler->capacity = capacity;
    recycler->limit = capacity < RECYCLE_PLACES_MIN ? capacity : RECYCLE_PLACES_MIN;
    recycler->waiting = places;
    recycler->ripe = places + capacity;
}

static struct segment *segment_of(const struct arena *arena, const struct recycled_place *place)
{
    return larder__segment_of(arena, larder__item_at(arena, place->location));
}

enum fate {
    FATE_GONE,
    FATE_OPEN,    /* what is in it may still change, and nobody knows for how long */
    FATE_SCANNED, /* it goes, or should that not go on, it is still again */
    FATE_STILL    /* nobody begins to look through it while the lane's lock is held */
};

/* What has become of a place's segment. */
static enum fate fate_in(const struct segment *segment, const struct recycled_place *place)
{
    enum segment_state state = larder__segment_state(segment);
    if (larder__segment_life(segment) != place->life)
        return FATE_GONE;
    switch (state) {
    case SEGMENT_OPEN:
        return FATE_OPEN;
    case SEGMENT_SCANNED:
        return FATE_SCANNED;
    case SEGMENT_SEALED:
        return FATE_STILL;
    default:
        return FATE_GONE;
    }
}

/* What is asked of nearly every place, by itself. */
static bool is_still(const struct segment *segment, const struct recycled_place *place)
{
    return larder__segment_state(segment) == SEGMENT_SEALED &&
           larder__segment_life(segment) == place->life;
}

static enum fate fate_of(const struct arena *arena, const struct recycled_place *place)
{
    return fate_in(segment_of(arena, place), place);
}

/* Of what ends not before its segment is looked at. */
static bool serves(const struct segment *segment, enum queue queue, uint64_t end_ms)
{
    if (segment->queue != queue)
        return false;
    return end_ms == UINT64_MAX ? segment->first_end_ms == UINT64_MAX
                                : end_ms >= segment->first_end_ms;
}

/* Its segment has it no more. While that is not looked through, its life lasts: see recycle.h. */
static void give_up(struct arena *arena, const struct recycled_place *place)
{
    enum fate fate = fate_of(arena, place);
    if (fate == FATE_STILL || fate == FATE_OPEN)
        larder__segment_loses(segment_of(arena, place), place->units * ITEM_UNIT);
}

/* ---- ripe ones ------------------------------------------------------------------------------ */

/* Places of one size that serve different things lie in different bins: else those that nobody
 * wants now would lie in front of the others. */
static uint16_t *bin_of(struct recycler *recycler, size_t units, enum queue queue, bool ends)
{
    return &recycler->bins[(units * 4 + queue * 2 + ends) % RECYCLE_BINS];
}

/* That a link leads to. */
static struct recycled_place *place_of(struct recycler *recycler, uint16_t link)
{
    return &recycler->ripe[link - 1];
}

/* Takes out the one that a link leads to. */
static struct recycled_place *unlink_place(struct recycler *recycler, uint16_t *link)
{
    uint16_t number = *link;
    struct recycled_place *place = place_of(recycler, number);
    *link = place->next;
    place->next = recycler->free;
    recycler->free = number;
    recycler->ripe_count--;
    return place;
}

static void put_in_bin(struct recycler *recycler, const struct segment *segment,
                       const struct recycled_place *from)
{
    uint16_t number = recycler->free;
    if (number != 0)
        recycler->free = place_of(recycler, number)->next;
    else
        number = (uint16_t)++recycler->fresh;
    struct recycled_place *place = place_of(recycler, number);
    uint16_t *bin =
        bin_of(recycler, from->units, segment->queue, segment->first_end_ms != UINT64_MAX);
    *place = *from;
    place->next = *bin;
    *bin = number;
    recycler->ripe_count++;
}

static void ask_for_place(const struct arena *arena, const struct recycled_place *place)
{
    larder__ask_for_item(larder__item_at(arena, place->location));
}

#define LOOKS_MAX 4

struct item *larder__recycler_take(struct recycler *recycler, const struct arena *arena,
                                   size_t bytes, enum queue queue, uint64_t end_ms)
{
    size_t units = bytes / ITEM_UNIT;
    uint16_t *link = bin_of(recycler, units, queue, end_ms != UINT64_MAX);
    for (int i = 0; i < LOOKS_MAX && *link != 0; i++) {
        struct recycled_place *place = place_of(recycler, *link);
        const struct segment *segment = segment_of(arena, place);
        if (!is_still(segment, place) || place->units != units || !serves(segment, queue, end_ms)) {
            if (fate_in(segment, place) == FATE_GONE)
                unlink_place(recycler, link);
            else
                link = &place->next;
            continue;
        }
        unlink_place(recycler, link);
        if (*link != 0) /* for the next one to come */
            ask_for_place(arena, place_of(recycler, *link));
        return larder__item_at(arena, place->location);
    }
    return NULL;
}

/* ---- giving up and turning ------------------------------------------------------------------ */

#define GIVEN_UP_AT_ONCE 16

/* Some of each bin in turn. */
static void give_up_ripe(struct recycler *recycler, struct arena *arena, uint32_t left)
{
    for (; recycler->ripe_count > left; recycler->hand = (recycler->hand + 1) % RECYCLE_BINS) {
        uint16_t *bin = &recycler->bins[recycler->hand];
        for (int i = 0; i < GIVEN_UP_AT_ONCE && *bin != 0 && recycler->ripe_count > left; i++)
            give_up(arena, unlink_place(recycler, bin));
    }
}

void larder__recycler_give_up(struct recycler *recycler, struct arena *arena)
{
    give_up_ripe(recycler, arena, 0);
    for (uint32_t i = 0; i < recycler->count; i++)
        give_up(arena, &recycler->waiting[i]);
    recycler->count = recycler->refused = 0;
    recycler->ended = false;
}

/* Places in an open segment would lie in front of the others, of no use for long.
 * @return false: it has to wait on */
static bool ripen(struct recycler *recycler, struct arena *arena,
                  const struct recycled_place *place)
{
    enum fate fate = fate_of(arena, place);
    if (fate == FATE_STILL)
        put_in_bin(recycler, segment_of(arena, place), place);
    else
        give_up(arena, place);
    return fate != FATE_SCANNED;
}

void larder__recycler_turn(struct recycler *recycler, struct arena *arena, uint64_t limit)
{
    uint64_t wanted = limit > RECYCLE_PLACES_MIN ? limit : RECYCLE_PLACES_MIN;
    uint32_t most = wanted < recycler->capacity ? (uint32_t)wanted : recycler->capacity;
    uint32_t count = recycler->count;
    give_up_ripe(recycler, arena, most * RECYCLE_RIPE > count ? most * RECYCLE_RIPE - count : 0);
    recycler->count = recycler->refused = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!ripen(recycler, arena, &recycler->waiting[i]))
            recycler->waiting[recycler->count++] = recycler->waiting[i];
    recycler->limit = most;
    recycler->ended = false;
    /* somebody may want to look how much is dead now */
    atomic_fetch_add_explicit(&arena->turnover, 1, memory_order_relaxed);
}
