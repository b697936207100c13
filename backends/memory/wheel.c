/* The timing wheel. */
#include "wheel.h"

size_t larder__wheel_heads(uint32_t buckets)
{
    return (size_t)buckets + (WHEEL_LEVELS - 1) * WHEEL_COARSE_BUCKETS;
}

static uint32_t level_buckets(const struct wheel *wheel, unsigned level)
{
    return level == 0 ? wheel->buckets : WHEEL_COARSE_BUCKETS;
}

void larder__wheel_init(struct wheel *wheel, uint32_t *heads, uint32_t buckets,
                        uint64_t interval_ms, void *first_link, size_t stride)
{
    *wheel = (struct wheel){.interval_ms = interval_ms,
                            .buckets = buckets,
                            .heads = heads,
                            .links = first_link,
                            .stride = stride};
    for (size_t i = 0; i < larder__wheel_heads(buckets); i++)
        heads[i] = NO_LINK;
    wheel->span[0] = 1;
    for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
        wheel->span[level] = wheel->span[level - 1] * level_buckets(wheel, level - 1);
        wheel->first[level] = wheel->first[level - 1] + level_buckets(wheel, level - 1);
    }
}

static struct wheel_link *link_at(const struct wheel *wheel, uint32_t number)
{
    return (struct wheel_link *)(void *)(wheel->links + number * wheel->stride);
}

static unsigned level_of(const struct wheel *wheel, uint32_t bucket)
{
    unsigned level = 0;
    while (level + 1 < WHEEL_LEVELS && bucket >= wheel->first[level + 1])
        level++;
    return level;
}

static uint32_t bucket_at(const struct wheel *wheel, unsigned level, uint64_t turn)
{
    return wheel->first[level] + (uint32_t)(turn % level_buckets(wheel, level));
}

/* The finest level whose window reaches that far. What is due before the position goes into the
 * position's bucket; past the last level, into its furthest bucket. */
static uint32_t bucket_for(const struct wheel *wheel, uint64_t due)
{
    uint64_t here = 0;
    due = due > wheel->position ? due : wheel->position;
    for (unsigned i = 0; i < WHEEL_LEVELS; i++) {
        here = wheel->position / wheel->span[i];
        if (due / wheel->span[i] - here < level_buckets(wheel, i))
            return bucket_at(wheel, i, due / wheel->span[i]);
    }
    return bucket_at(wheel, WHEEL_LEVELS - 1, here + WHEEL_COARSE_BUCKETS - 1);
}

void larder__wheel_link(struct wheel *wheel, uint32_t number, uint64_t due_ms)
{
    struct wheel_link *link = link_at(wheel, number);
    *link = (struct wheel_link){NO_LINK, NO_LINK, NO_LINK, due_ms};
    if (due_ms == UINT64_MAX)
        return;
    link->bucket = bucket_for(wheel, due_ms / wheel->interval_ms);
    link->next = wheel->heads[link->bucket];
    if (link->next != NO_LINK)
        link_at(wheel, link->next)->previous = number;
    wheel->heads[link->bucket] = number;
    wheel->count[level_of(wheel, link->bucket)]++;
}

void larder__wheel_unlink(struct wheel *wheel, uint32_t number)
{
    struct wheel_link *link = link_at(wheel, number);
    if (link->bucket == NO_LINK)
        return;
    if (link->previous != NO_LINK)
        link_at(wheel, link->previous)->next = link->next;
    else
        wheel->heads[link->bucket] = link->next;
    if (link->next != NO_LINK)
        link_at(wheel, link->next)->previous = link->previous;
    wheel->count[level_of(wheel, link->bucket)]--;
    link->bucket = NO_LINK;
}

/* Where the position next has something to do: the next interval while the finest level holds
 * links, else the start of the next bucket of the finest level that does. */
static uint64_t next_stop(const struct wheel *wheel)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        if (wheel->count[level] > 0)
            return (wheel->position / wheel->span[level] + 1) * wheel->span[level];
    return UINT64_MAX;
}

/* One of a coarse bucket that begins at the position: it belongs into a finer one now. */
static uint32_t to_cascade(const struct wheel *wheel)
{
    for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
        if (wheel->count[level] == 0 || wheel->position % wheel->span[level] != 0)
            continue;
        uint32_t number =
            wheel->heads[bucket_at(wheel, level, wheel->position / wheel->span[level])];
        if (number != NO_LINK)
            return number;
    }
    return NO_LINK;
}

enum wheel_turn larder__wheel_turn(struct wheel *wheel, uint64_t now_ms, uint32_t *due)
{
    uint64_t now = now_ms / wheel->interval_ms;
    uint32_t early = to_cascade(wheel);
    if (early != NO_LINK) {
        uint64_t due_ms = link_at(wheel, early)->due_ms;
        larder__wheel_unlink(wheel, early);
        larder__wheel_link(wheel, early, due_ms);
        return WHEEL_MOVED;
    }
    if (wheel->position >= now)
        return WHEEL_IDLE;
    *due = wheel->heads[bucket_at(wheel, 0, wheel->position)];
    if (*due != NO_LINK)
        return WHEEL_DUE;
    uint64_t stop = next_stop(wheel);
    wheel->position = stop < now ? stop : now;
    return WHEEL_MOVED;
}

uint64_t larder__wheel_due_ms(const struct wheel *wheel)
{
    uint64_t stop = to_cascade(wheel) != NO_LINK ? wheel->position : next_stop(wheel);
    return stop > UINT64_MAX / wheel->interval_ms ? UINT64_MAX : stop * wheel->interval_ms;
}
