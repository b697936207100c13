/*
 * Time buckets: segments by the time at which they are due. A hierarchical timing wheel (Varghese
 * and Lauck, "Hashed and hierarchical timing wheels", 1987): level 0 has one bucket per interval,
 * `buckets` of them; what is due later waits in coarser levels of 64 buckets and moves into finer
 * ones as its time comes near, at most once per level. What is due past the last level goes round
 * in it until it fits.
 *
 * A segment is due when its items have ended, or when so many may have that it is worth a look; see
 * sweep.c. Whether an entry lives is decided where it is read.
 */
#ifndef LARDER_MEMORY_WHEEL_H
#define LARDER_MEMORY_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_LEVELS 5u
#define WHEEL_COARSE_BUCKETS 64u
#define NO_LINK UINT32_MAX

/** Part of whatever hangs in the wheel. */
struct wheel_link {
    uint32_t next, previous;
    uint32_t bucket; /* NO_LINK: in none */
    uint64_t due_ms;
};

/** Guarded by the lock of what it is a part of. */
struct wheel {
    uint64_t interval_ms;
    uint64_t span[WHEEL_LEVELS];  /* of one bucket, in intervals */
    uint32_t count[WHEEL_LEVELS]; /* of links */
    uint32_t first[WHEEL_LEVELS]; /* bucket of each level */
    uint64_t position;            /* in intervals: everything before it was taken out */
    uint32_t buckets;
    uint32_t *heads;
    /* Links lie in an array of larger things: where, and how far apart. */
    unsigned char *links;
    size_t stride;
};

/** How many heads a wheel of `buckets` needs. */
size_t larder__wheel_heads(uint32_t buckets);
void larder__wheel_init(struct wheel *wheel, uint32_t *heads, uint32_t buckets,
                        uint64_t interval_ms, void *first_link, size_t stride);

/** Hangs `number` into the bucket of `due_ms`. UINT64_MAX: into none. */
void larder__wheel_link(struct wheel *wheel, uint32_t number, uint64_t due_ms);
/** Takes it out again. In none: does nothing. */
void larder__wheel_unlink(struct wheel *wheel, uint32_t number);

enum wheel_turn { WHEEL_IDLE, WHEEL_MOVED, WHEEL_DUE };

/** Takes one step towards `now_ms`. @param due  on WHEEL_DUE one whose bucket is past; it stays */
enum wheel_turn larder__wheel_turn(struct wheel *wheel, uint64_t now_ms, uint32_t *due);

/** When the next step is due, at the earliest; UINT64_MAX: nothing waits. */
uint64_t larder__wheel_due_ms(const struct wheel *wheel);

#endif
