/*
 * Who was dropped not long ago: 16 bits each. A bucket is a ring of 31 of them, so that age is a
 * place in the ring and needs no bits. An object is known by 11 bits of its hash: one that never
 * was here is taken for a known one in 1.5 % of cases.
 */
#ifndef BENCH_POLICY_GHOST_H
#define BENCH_POLICY_GHOST_H

#include <stdint.h>

#define GHOST_RING 31u
#define GHOST_HISTORY_MOST 7u

/* Why it left. */
enum ghost_kind {
    GHOST_COLD,    /* too few hits in the small queue */
    GHOST_REFUSED, /* the main queue was too good for it */
    GHOST_DROPPED, /* from the main queue */
    GHOST_KINDS
};

struct ghost_entry {
    enum ghost_kind kind;
    unsigned history; /* 1 to GHOST_HISTORY_MOST */
    unsigned age;     /* out: how many came into its bucket after it */
};

struct ghost {
    struct ghost_bucket {
        uint16_t ring[GHOST_RING]; /* 0: nobody */
        uint16_t cursor;           /* where the next one goes, over the oldest */
    } * buckets;
    uint32_t count;
};

/** @return 0 when memory ran out */
int ghost_init(struct ghost *ghost, uint64_t entries);
void ghost_clean_up(struct ghost *ghost);
void ghost_put(struct ghost *ghost, uint32_t object, const struct ghost_entry *entry);
/** Forgets an object, and says what was known. @return 0 when nothing was */
int ghost_take(struct ghost *ghost, uint32_t object, struct ghost_entry *entry);

#endif
