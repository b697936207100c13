/*
 * Asks a cache to do a step and writes down what it answered, so that the answer can be compared:
 * with the model's, or with another cache's.
 */
#ifndef TESTS_ASKING_H
#define TESTS_ASKING_H

#include "model.h"

/** One keyspace that is asked. */
struct asker {
    struct larder_cache *cache;
    const struct larder_slice *key; /* how the steps' keys are called here */
    uint64_t *seen;                 /* for each key, the version that was observed last; or 0 */
    struct larder_lease *held;      /* for each key, the lease that was got last */
    char *buffer;                   /* for what is read, until the next step */
    size_t size;                    /* of it, in bytes */
    uint32_t want;                  /* LARDER_WANT_*: asked for beyond what the step itself does */
};

struct answered {
    struct model_answer answer;
    struct larder_info info;  /* of a read; of a store: its version */
    struct larder_value view; /* to be released */
};

/** Every step but ADVANCE. */
void ask(struct asker *asker, const struct model_step *step, struct answered *answered);

#endif
