/*
 * Runs a step on a cache and on its model, and compares the answers. A lockstep has one model per
 * keyspace: the fixture's cache and, in a client, its sister namespace on the same backend, under
 * the same keys.
 */
#ifndef TESTS_LOCKSTEP_H
#define TESTS_LOCKSTEP_H

#include "asking.h"
#include "contract.h"
#include "model.h"

#define LOCKSTEP_SIDES 2
#define LOCKSTEP_TRAIL 16

/* A step, and how the model's answer began. */
struct lockstep_note {
    unsigned side;
    struct model_step step; /* its value must stay */
    enum larder_status status;
    size_t length;
    char start[24];
};

struct lockstep {
    struct fixture fixture;
    unsigned sides;
    struct larder_cache *cache[LOCKSTEP_SIDES];
    struct model model[LOCKSTEP_SIDES];
    struct larder_slice key[MODEL_KEYS];
    uint64_t seen[LOCKSTEP_SIDES][MODEL_KEYS];            /* versions */
    struct larder_lease held[LOCKSTEP_SIDES][MODEL_KEYS]; /* leases */
    struct asker asker[LOCKSTEP_SIDES];
    char buffer[MODEL_BYTES + 8];
    struct lockstep_note trail[LOCKSTEP_TRAIL]; /* the last steps, for a failure */
    int pads; /* a counter may be followed by spaces: numbers are compared, not texts */
    uint64_t steps;
    uint64_t seed;
};

void lockstep_open(struct lockstep *lockstep, const struct subject *subject, const char *test,
                   uint64_t seed);
void lockstep_close(struct lockstep *lockstep);

/** 1 when the traits have the operation that a step needs. */
int lockstep_can(const struct lockstep *lockstep, enum model_does does);
/** Runs one step on one side; a difference ends the test. */
void lockstep_run(struct lockstep *lockstep, unsigned side, const struct model_step *step);
/** Runs several of one kind (reads, stores, deletes, touches) as one multi call. */
void lockstep_run_many(struct lockstep *lockstep, unsigned side, const struct model_step *steps,
                       size_t count);
/** Reads every key of every side. */
void lockstep_check(struct lockstep *lockstep);

#endif
