/*
 * Reading a group of keys in three stages: ask for the bucket, then, with the tags at hand, for the
 * item, then compare and copy. A step of the group is in each stage: while the items of one come,
 * and the buckets of the next, those of the one before are copied. So the memory always works on
 * many of them at once.
 */
#ifndef LARDER_MEMORY_GROUP_H
#define LARDER_MEMORY_GROUP_H

#include "handy.h"
#include "look.h"

#define GROUP_ROWS 64u
#define GROUP_STEP 16u

struct group {
    struct look look;
    const struct index *index;
    uint64_t judged_ms; /* the time, or TIMELESS */
    uint32_t space;
    uint32_t count;
    uint32_t unanswered;
    struct larder_row *rows[GROUP_ROWS];
    struct handy handy[GROUP_ROWS]; /* of keys that are */
    uint64_t hashes[GROUP_ROWS];
    const struct bucket *buckets[GROUP_ROWS];
    struct item *items[GROUP_ROWS]; /* that the tags point to first; NULL: none */
};

typedef void larder_read_group_fn(enum larder_many_kind many, struct group *group);

/** LARDER_MANY_READ or LARDER_MANY_GET of its rows. A row that was claimed, or ends where nobody
 * has read the clock, stays LARDER_ASKED, and is counted. */
larder_read_group_fn larder__read_group_narrow, larder__read_group_wide, larder__read_group_widest;

#endif
