/*
 * Reading a group of keys in three stages: ask for the bucket, then, with the tags at hand, for the
 * item, then compare and copy. A step of the group is in each stage: while the items of one come,
 * and the buckets of the next, those of the one before are copied. So the memory always works on
 * many of them at once. What is not found where it is looked for first is asked for as well, and
 * answered at the end.
 */
#ifndef LARDER_MEMORY_GROUP_H
#define LARDER_MEMORY_GROUP_H

#include "look.h"

#define GROUP_ROWS 64u
/* 16 measured the same, 4 slower. */
#define GROUP_STEP 8u

/* A row on its way. */
struct group_place {
    tag_pattern tag;
    struct larder_row *row;
    uint64_t hash;
    const struct bucket *bucket;
    struct item *item; /* that the tag points to first; NULL: none */
};

struct group {
    struct look look;
    struct larder_rows rows; /* that no group took yet */
    const struct index *index;
    uint64_t judged_ms;  /* the time, or TIMELESS */
    size_t usual_length; /* of values, see look.h */
    size_t reach;        /* from an item to its last byte, where its value has that length, and its
                            key no more bytes than HANDY_BYTES_MAX; or a little further */
    uint32_t space;
    uint32_t views;                /* 1: rows want them, in place of copies */
    bool late;                     /* rows were not answered in passing */
    uint32_t unanswered;           /* of them, how many stay LARDER_ASKED */
    const struct group_place *end; /* of the places that were taken */
    struct group_place places[GROUP_ROWS];
};

typedef void larder_read_group_fn(struct group *group);

/** Takes the next rows that are asked, or all where there is no index any more, and answers them. A
 * row that was claimed, or ends where nobody has read the clock, stays LARDER_ASKED, and is
 * counted. */
larder_read_group_fn larder__read_group_narrow, larder__read_group_wide, larder__read_group_widest;

#endif
