/*
 * Actors: threads that ask one cache at once, round after round, and write down a history of each.
 * Every round has keys of its own, which nobody used before.
 *
 * The clock is the test's. The cache reads it in the middle of its calls, and there a thread gives
 * up its turn now and then: without that, calls of a microsecond hardly ever meet.
 */
#ifndef TESTS_ACTORS_H
#define TESTS_ACTORS_H

#include "history.h"

#define ACTORS_MAX 8u
#define ACTOR_CALLS_MAX                                                                       \
    8u                  /* a round; times ACTORS_MAX not more than one key's history may have \
                         */
#define HISTORY_KEYS 3u /* of a round; the last one is a counter */

struct cast {
    unsigned actors;
    unsigned calls;    /* of each, in a round */
    size_t part_bytes; /* how long a value of one number is; a multiple of 8 */
    unsigned flushes;  /* one in so many that come up is played; 0: none */
    uint64_t seed;
};

struct stage;

/** For larder_open_options.clock, before the stage is opened: there is one clock. */
struct larder_clock stage_clock(void);

/** Starts the actors on a cache, borrowed until the stage is closed. Fails the cmocka test if it
 * can't. */
struct stage *stage_open(struct larder_cache *cache, const struct cast *cast);

struct history {
    struct event events[ACTORS_MAX * ACTOR_CALLS_MAX];
    size_t count;
    uint64_t now_ms; /* when it began */
};

/** Plays one round, and waits for its end. */
void stage_play(struct stage *stage, struct history *history);
void stage_close(struct stage *stage);

#endif
