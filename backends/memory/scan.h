/* Emptying a segment: each entry in it goes, or moves into another segment. */
#ifndef LARDER_MEMORY_SCAN_H
#define LARDER_MEMORY_SCAN_H

#include "visit.h"

enum scan_reason {
    SCAN_EVICT, /* the policy says what stays */
    SCAN_SORT   /* all stays that has not ended: its segment is due, or has much dead in it */
};

struct scan {
    struct memory *memory;
    struct larder_thread *thread;
    struct segment *segment; /* this thread's */
    enum scan_reason reason;
    uint32_t offset; /* of the next item */
    uint64_t now_ms;
    /* SCAN_EVICT in the main queue: when more has survived, nothing does that was not hit twice */
    uint32_t survivors_max_bytes;
    uint32_t survived_bytes;
    struct ends ends;           /* what all are to be told */
    uint32_t dead_bytes;        /* what the segment is to be told */
    struct forgotten forgotten; /* what the policy is to be told */
    const struct key *spared;   /* SCAN_EVICT: the entry that room is made for stays; NULL: none */
    uint32_t others;            /* entries that were found beside that one */
    bool stuck;                 /* there was no segment for what should move */
};

void larder__scan_begin(struct scan *scan, struct memory *memory, struct larder_thread *thread,
                        struct segment *segment, enum scan_reason reason, uint64_t now_ms);
/** Looks at up to `items` of them. Holds no lock when it returns.
 * @return false: there is more */
bool larder__scan_step(struct scan *scan, uint32_t items);
/** After the last step, or when stuck: the segment is retired, or goes back to its queue. */
void larder__scan_end(struct scan *scan);

/** A step of sweeping what is due, unless another thread is at it.
 * @return false: nothing is due, or it is not for us to do */
bool larder__sweep(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                   uint32_t items);
/** Ends with the segment that is being swept, if there is one, unless another thread is at it. */
void larder__sweep_finish(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** When there is something to sweep; UINT64_MAX: nothing waits. */
uint64_t larder__sweep_due_ms(struct memory *memory);
/** Memory that nothing needs goes back: of `most` segments. @return true: there is more */
bool larder__give_back(struct memory *memory, uint32_t most);

#endif
