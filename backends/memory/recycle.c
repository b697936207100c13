/* Recycling the places of dead items. */
#include "recycle.h"

#include "lane.h"

void larder__recycler_open(struct recycler *recycler, struct recycled_place *places,
                           uint32_t capacity)
{
    recycler->capacity = capacity;
    recycler->waiting = places;
    recycler->ripe = places + capacity;
}

bool larder__recycler_leave(struct recycler *recycler, const struct arena *arena,
                            const struct item *item, size_t bytes)
{
    if (recycler->count == recycler->capacity) {
        recycler->refused++;
        return false;
    }
    recycler->waiting[recycler->count++] =
        (struct recycled_place){.location = larder__location_of(arena, item),
                                .life = larder__segment_life(larder__segment_of(arena, item)),
                                .units = (uint16_t)(bytes / ITEM_UNIT)};
    return true;
}

static struct segment *segment_of(const struct arena *arena, const struct recycled_place *place)
{
    return larder__segment_of(arena, larder__item_at(arena, place->location));
}

/* In a segment that holds still, of what ends not before it is looked at. A segment that is open
 * may still change its mind about when that is. */
static bool serves(const struct arena *arena, const struct recycled_place *place,
                   const struct append *append)
{
    const struct segment *segment = segment_of(arena, place);
    if (larder__segment_state(segment) != SEGMENT_SEALED ||
        larder__segment_life(segment) != place->life || segment->queue != append->queue)
        return false;
    return append->end_ms == UINT64_MAX ? segment->first_end_ms == UINT64_MAX
                                        : append->end_ms >= segment->first_end_ms;
}

static uint16_t *bin_of(struct recycler *recycler, size_t units)
{
    return &recycler->bins[units % RECYCLE_BINS];
}

static void ask_for_place(const struct arena *arena, const struct recycled_place *place)
{
    larder__ask_for_item(larder__item_at(arena, place->location));
}

#define LOOKS_MAX 4

struct item *larder__recycler_take(struct recycler *recycler, const struct arena *arena,
                                   const struct append *append)
{
    uint16_t *link = bin_of(recycler, append->bytes / ITEM_UNIT);
    for (int i = 0; i < LOOKS_MAX && *link != 0; i++) {
        struct recycled_place *place = &recycler->ripe[*link - 1];
        if (place->units != append->bytes / ITEM_UNIT || !serves(arena, place, append)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        if (*link != 0) /* for the next one to come */
            ask_for_place(arena, &recycler->ripe[*link - 1]);
        return larder__item_at(arena, place->location);
    }
    return NULL;
}

/* Its segment has it no more. While that is not looked through, its life lasts: see recycle.h. */
static void give_up(struct arena *arena, const struct recycled_place *place)
{
    struct segment *segment = segment_of(arena, place);
    enum segment_state state = larder__segment_state(segment);
    if ((state == SEGMENT_SEALED || state == SEGMENT_OPEN) &&
        larder__segment_life(segment) == place->life)
        atomic_fetch_sub_explicit(&segment->live_bytes, place->units * ITEM_UNIT,
                                  memory_order_relaxed);
}

static void give_up_bin(struct recycler *recycler, struct arena *arena, uint16_t *bin)
{
    for (; *bin != 0; *bin = recycler->ripe[*bin - 1].next)
        give_up(arena, &recycler->ripe[*bin - 1]);
}

void larder__recycler_turn(struct recycler *recycler, struct arena *arena)
{
    struct recycled_place *ripe = recycler->waiting;
    for (unsigned i = 0; i < RECYCLE_BINS; i++)
        give_up_bin(recycler, arena, &recycler->bins[i]);
    recycler->waiting = recycler->ripe;
    recycler->ripe = ripe;
    for (uint32_t i = recycler->count; i > 0; i--) { /* so that the oldest is taken first */
        uint16_t *bin = bin_of(recycler, ripe[i - 1].units);
        ripe[i - 1].next = *bin;
        *bin = (uint16_t)i;
    }
    recycler->count = recycler->refused = 0;
    recycler->ended = false;
    /* somebody may want to look how much is dead now */
    atomic_fetch_add_explicit(&arena->turnover, 1, memory_order_relaxed);
}
