/*
 * A hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987).
 * Level 0 has one bucket per interval, `buckets` of them; what ends later waits in coarser levels
 * of 64 buckets and cascades into finer ones as its time comes near, at most once per level, so the
 * sweep is O(expired). What ends past the last level goes round in it until it fits.
 *
 * Entries are linked both ways: whoever is stored again, touched or deleted leaves its bucket, so a
 * bucket never knows an older self of a key. Buckets only give memory back; whether an entry lives
 * is decided where it is read.
 */
#include "wheel.h"

size_t larder__wheel_heads(uint32_t buckets)
{
    return (size_t)buckets + (WHEEL_LEVELS - 1) * WHEEL_COARSE_BUCKETS;
}

void larder__wheel_init(struct wheel *wheel, struct entry **heads, uint32_t buckets,
                        uint64_t interval_ns, uint64_t now_ns)
{
    wheel->interval_ns = interval_ns;
    wheel->buckets = buckets;
    wheel->position = now_ns / interval_ns;
    wheel->span[0] = 1;
    wheel->span[1] = buckets;
    wheel->first[0] = heads;
    wheel->first[1] = heads + buckets;
    for (unsigned level = 2; level < WHEEL_LEVELS; level++) {
        wheel->span[level] = wheel->span[level - 1] * WHEEL_COARSE_BUCKETS;
        wheel->first[level] = wheel->first[level - 1] + WHEEL_COARSE_BUCKETS;
    }
}

static uint64_t level_buckets(const struct wheel *wheel, unsigned level)
{
    return level == 0 ? wheel->buckets : WHEEL_COARSE_BUCKETS;
}

static struct entry **bucket_at(const struct wheel *wheel, unsigned level, uint64_t number)
{
    return &wheel->first[level][number % level_buckets(wheel, level)];
}

/* The finest level whose window reaches that far. Past the last one: its furthest bucket. The end
 * is never before the position, which trails the shard's time. */
static struct entry **bucket_for(const struct wheel *wheel, uint64_t end, uint8_t *level)
{
    uint64_t here = 0;
    for (uint8_t i = 0; i < WHEEL_LEVELS; i++) {
        here = wheel->position / wheel->span[i];
        *level = i;
        if (end / wheel->span[i] - here < level_buckets(wheel, i))
            return bucket_at(wheel, i, end / wheel->span[i]);
    }
    return bucket_at(wheel, WHEEL_LEVELS - 1, here + WHEEL_COARSE_BUCKETS - 1);
}

void larder__wheel_link(struct wheel *wheel, struct entry *entry)
{
    uint64_t end_ns = larder__entry_end_ns(entry);
    if (end_ns == LARDER_NEVER_NS)
        return;
    uint64_t end = end_ns / wheel->interval_ns;
    struct entry **head = bucket_for(wheel, end, &entry->wheel_level);
    entry->wheel_next = *head;
    entry->wheel_link = head;
    if (*head != NULL)
        (*head)->wheel_link = &entry->wheel_next;
    *head = entry;
    wheel->count[entry->wheel_level]++;
    wheel->due_is_known = false;
}

void larder__wheel_unlink(struct wheel *wheel, struct entry *entry)
{
    if (entry->wheel_link == NULL)
        return;
    *entry->wheel_link = entry->wheel_next;
    if (entry->wheel_next != NULL)
        entry->wheel_next->wheel_link = entry->wheel_link;
    entry->wheel_link = NULL;
    wheel->count[entry->wheel_level]--;
}

/* Where the position next has something to do: the next interval while the finest level holds
 * entries, else the start of the next bucket of the finest level that does. */
static uint64_t next_stop(const struct wheel *wheel)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        if (wheel->count[level] > 0)
            return (wheel->position / wheel->span[level] + 1) * wheel->span[level];
    return UINT64_MAX;
}

/* An entry of a coarse bucket that begins at the position: it belongs into a finer one now. */
static struct entry *to_cascade(const struct wheel *wheel)
{
    for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
        if (wheel->count[level] == 0 || wheel->position % wheel->span[level] != 0)
            continue;
        struct entry *entry = *bucket_at(wheel, level, wheel->position / wheel->span[level]);
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

enum wheel_turn larder__wheel_turn(struct wheel *wheel, uint64_t now_ns, struct entry **due)
{
    uint64_t now = now_ns / wheel->interval_ns;
    wheel->due_is_known = false;
    struct entry *early = to_cascade(wheel);
    if (early != NULL) {
        larder__wheel_unlink(wheel, early);
        larder__wheel_link(wheel, early);
        return WHEEL_CASCADED;
    }
    if (wheel->position >= now)
        return WHEEL_IDLE;
    *due = *bucket_at(wheel, 0, wheel->position);
    if (*due != NULL)
        return WHEEL_DUE;
    uint64_t stop = next_stop(wheel);
    wheel->position = stop < now ? stop : now;
    return WHEEL_MOVED;
}

uint64_t larder__wheel_due_ns(struct wheel *wheel)
{
    if (wheel->due_is_known)
        return wheel->due_ns;
    uint64_t stop = to_cascade(wheel) != NULL ? wheel->position : next_stop(wheel);
    wheel->due_ns =
        stop > UINT64_MAX / wheel->interval_ns ? LARDER_NEVER_NS : stop * wheel->interval_ns;
    wheel->due_is_known = true;
    return wheel->due_ns;
}
