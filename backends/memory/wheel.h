/* Time buckets: entries by the time at which they end. */
#ifndef LARDER_MEMORY_WHEEL_H
#define LARDER_MEMORY_WHEEL_H

#include "entry.h"

#define WHEEL_LEVELS 5u
#define WHEEL_COARSE_BUCKETS 64u

/** Guarded by the lock of its shard. */
struct wheel {
    uint64_t interval_ns;
    uint64_t span[WHEEL_LEVELS];  /* of one bucket, in intervals */
    uint64_t count[WHEEL_LEVELS]; /* of entries */
    uint64_t position;            /* in intervals: everything before it was swept */
    uint64_t due_ns;              /* of the next step, while it is known */
    bool due_is_known;            /* finding it takes divisions, which a read should not pay */
    struct entry **first[WHEEL_LEVELS];
    uint32_t buckets;
};

/** How many list heads a wheel of `buckets` needs. */
size_t larder__wheel_heads(uint32_t buckets);
void larder__wheel_init(struct wheel *wheel, struct entry **heads, uint32_t buckets,
                        uint64_t interval_ns, uint64_t now_ns);

/** Hangs an entry into the bucket of its end; one that never ends into none. */
void larder__wheel_link(struct wheel *wheel, struct entry *entry);
/** Takes it out again. In none: does nothing. */
void larder__wheel_unlink(struct wheel *wheel, struct entry *entry);

enum wheel_turn { WHEEL_IDLE, WHEEL_MOVED, WHEEL_CASCADED, WHEEL_DUE };

/** Takes one step towards `now_ns`. @param due  on WHEEL_DUE an entry whose bucket is past */
enum wheel_turn larder__wheel_turn(struct wheel *wheel, uint64_t now_ns, struct entry **due);

/** When the next step is due, at the earliest; LARDER_NEVER_NS: nothing waits. */
uint64_t larder__wheel_due_ns(struct wheel *wheel);

#endif
