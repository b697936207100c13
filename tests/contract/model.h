/*
 * The contract as a program so simple that it can be seen to be right: an array of entries, no
 * hashing, no bound, no threads. The lockstep test runs every step here and on a real cache.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <larder/larder.h>

#define MODEL_KEYS 6
#define MODEL_BYTES 12000u /* no value grows longer: steps that would are not generated */

/** X(name): what a step does. */
#define MODEL_DOES_TABLE(X)                                            \
    X(READ)                                                            \
    X(GET)                                                             \
    X(OBSERVE) /* remembers the version, for CAS and DELETE_VERSION */ \
    X(READ_TTL)                                                        \
    X(SET)                                                             \
    X(ADD)                                                             \
    X(REPLACE)                                                         \
    X(APPEND)                                                          \
    X(PREPEND)                                                         \
    X(CAS)                                                             \
    X(SET_ABSENT)                                                      \
    X(DELETE)                                                          \
    X(DELETE_VERSION)                                                  \
    X(TOUCH)                                                           \
    X(GET_AND_TOUCH)                                                   \
    X(COUNT)                                                           \
    X(COUNT_INITIAL)                                                   \
    X(LEASE_GET)                                                       \
    X(LEASE_FILL)                                                      \
    X(LEASE_RETURN)                                                    \
    X(FLUSH)                                                           \
    X(ADVANCE) /* the clock, by ttl_ms */

enum model_does {
#define MODEL_DOES_ROW(name) MODEL_##name,
    MODEL_DOES_TABLE(MODEL_DOES_ROW)
#undef MODEL_DOES_ROW
        MODEL_DOES
};

/** "SET" for MODEL_SET. */
const char *model_does_name(enum model_does does);

struct model_step {
    enum model_does does;
    unsigned key;
    struct larder_slice value;
    uint32_t flags;
    int64_t ttl_ms; /* of the store, touch, lease or initial value */
    size_t size;    /* of a read's buffer */
    enum larder_direction direction;
    uint64_t number; /* delta */
    uint64_t initial;
    /* for caches beside each other; the model knows neither */
    uint32_t marks;                 /* of a store */
    const struct larder_call *call; /* its version, if not 0, stands for the one seen last */
};

/** What a step answers; what the status leaves open is 0. */
struct model_answer {
    enum larder_status status;
    struct larder_slice value; /* borrowed */
    size_t length;             /* of the whole value */
    uint32_t flags;
    uint64_t number; /* the counter; or the TTL left */
    int has_token;   /* of a lease */
};

enum model_state { MODEL_GONE, MODEL_LIVE, MODEL_NEGATIVE, MODEL_PENDING };

struct model_entry {
    enum model_state state;
    unsigned char bytes[MODEL_BYTES];
    size_t length;
    uint32_t flags;
    uint64_t expiry_ms; /* UINT64_MAX: never */
    uint64_t version;
    uint64_t seen;  /* the version that OBSERVE saw last; 0: none */
    uint64_t lease; /* of a pending entry */
    uint64_t held;  /* the lease that LEASE_GET got last; 0: none */
    int counted;    /* since it was stored: a server may have padded it with spaces */
};

struct model {
    struct model_entry entries[MODEL_KEYS];
    uint64_t now_ms;
    uint64_t next; /* version or lease */
    int keeps_nothing;
};

void model_init(struct model *model);
void model_run(struct model *model, const struct model_step *step, struct model_answer *answer);
/** The entry of a key after what has expired is gone. */
struct model_entry *model_entry(struct model *model, unsigned key);
/** 1 and *number when the bytes of an entry are a counter: 1 to 20 digits of at most 2^64-1, then
 * perhaps spaces. */
int model_number(const struct model_entry *entry, uint64_t *number);

#endif
