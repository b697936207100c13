/* Parts of a composition that are watched and can be broken; every call of the contract on one key,
 * as it is made in tests; and tables of documentation that say what follows an answer. */
#ifndef TESTS_PARTS_ASKING_H
#define TESTS_PARTS_ASKING_H

#include "support.h"

#include <larder/testing.h>

/* ---- a part -------------------------------------------------------------------------------- */

/** A memory cache between its faults and its log. */
struct watched_part {
    struct larder_faults *faults;
    struct larder_recording *log;
    struct larder_cache *cache;
};

void watched_part_open(struct watched_part *part, struct larder_manual_clock *clock);
/** After the cache was closed, by whoever holds it. */
void watched_part_free(struct watched_part *part);

/** From now on these operations (LARDER_ON(…); 0: all) answer `status`, and are not made. */
void part_answers(struct watched_part *part, uint32_t operations, enum larder_status status);
/** How many calls there were. @param key  NULL: any */
size_t part_was_asked(const struct watched_part *part, uint32_t operations, const char *key);
/** Stores for ever. */
void put(struct larder_cache *cache, const char *key, const char *value);
/** Of an entry that is there. */
int64_t ttl_left(struct larder_cache *cache, const char *key);

/** A cache that stores nothing, may wait, and remembers until when the last store might have, and
 * its TTL. It can't tell one. */
struct timed_part {
    struct larder_traits traits;
    uint64_t deadline_ns;
    int64_t ttl_ms;
};

/** @param timeout_ms  of its traits */
struct larder_cache *timed_part_open(struct timed_part *part, uint32_t timeout_ms);

/* ---- the calls ----------------------------------------------------------------------------- */

struct asking {
    struct larder_cache *cache;
    const struct call *call;
    int is_many; /* a row between two that are answered without any cache */
    const char *key;
    struct larder_slice value; /* what a read brought; of `bytes` */
    char bytes[16];
    uint64_t version; /* that came with it */
    uint64_t given;   /* the version that a call names */
    struct larder_lease lease;
};

typedef enum larder_status ask_fn(struct asking *asking);

struct call {
    const char *name;
    ask_fn *ask;
    uint32_t operation; /* LARDER_ON(…) as the parts see it */
    int reads, has_many, leaves_a_ttl;
    enum larder_mode mode;
};

#define CALLS 15
extern const struct call calls[CALLS];

/** It needs the lease that lease_get gave. */
int is_about_a_lease(const struct call *call);
/** Takes a lease on a key that is missing, for such a call. */
void asking_take_lease(struct asking *asking);

/* ---- tables -------------------------------------------------------------------------------- */

/** @param status  what the part that is asked first answers; OK: by itself */
typedef void check_cell_fn(const struct call *call, int is_many, enum larder_status status,
                           const char *cell);
/** Checks every cell of the table in a page of documentation whose first column is "call" and
 * whose others are kinds of answers. Each call is to be in one row. */
void every_cell(const char *page, check_cell_fn *check);
int says(const char *cell, const char *word);

#endif
