/*
 * Twins: the memory cache beside the oracle, on one clock. Every step goes to the memory cache and
 * then to the oracle, and everything that they answer has to be the same: status, bytes, flags,
 * length, TTL left, whether a lease was given. Versions are numbers of each one's own; of them the
 * contract is checked: equal while nothing is written, never given twice.
 *
 * A cache that is small may evict. It then answers as if the key were missing; that is forgiven as
 * often as its statistics count an eviction, and the oracle's entry is deleted to stay in step.
 * NO_MEMORY is forgiven while views pin memory.
 */
#ifndef TESTS_TWINS_H
#define TESTS_TWINS_H

#include "asking.h"
#include "clock.h"

#define TWINS_SPACES_MAX 3u
#define TWINS_KEYS_MAX 200u
#define TWINS_VIEWS 8u
#define TWINS_VERSIONS 32u
#define TWINS_ROWS_MAX 8u
#define TWINS_TRAIL 24u

enum twin { TRIED, ORACLE, TWINS };

struct twins_shape {
    const char *name;
    const char *uri; /* of the memory cache */
    unsigned spaces; /* 1: a leaf; more: namespaces of a client over one leaf */
    unsigned keys;
    int may_evict;
};

/* What is known of the versions of one key in one namespace. */
struct twins_versions {
    uint64_t tried, oracle;        /* of the same write; 0: unknown */
    uint64_t last[TWINS_VERSIONS]; /* that the memory cache gave, in a ring */
    uint64_t count;
};

struct twins_view {
    struct larder_value value;
    uint64_t checksum;
};

struct twins {
    const struct twins_shape *shape;
    struct manual_clock clock;
    struct larder_cache *owner[TWINS];
    struct asker asker[TWINS_SPACES_MAX][TWINS];
    struct larder_slice key[TWINS_KEYS_MAX];
    uint64_t seen[TWINS_SPACES_MAX][TWINS][TWINS_KEYS_MAX];
    struct larder_lease held[TWINS_SPACES_MAX][TWINS][TWINS_KEYS_MAX];
    struct twins_versions versions[TWINS_SPACES_MAX][TWINS_KEYS_MAX];
    struct twins_view view[TWINS_VIEWS];
    uint64_t value_max; /* bytes, of both */
    uint64_t seed, steps;
    uint64_t forgiven; /* entries that the memory cache had evicted */
    uint64_t refused;  /* stores that found no room */
    int must_be_there; /* for one step: an eviction is not forgiven */
    char trail[TWINS_TRAIL][200];
};

/** Opens both. `seed` is for messages. What goes wrong, here and below, ends the cmocka test. */
void twins_open(struct twins *twins, const struct twins_shape *shape, uint64_t seed);
void twins_close(struct twins *twins);

/** Runs one step; FLUSH flushes the namespace, ADVANCE moves the clock.
 * @return what the memory cache answered */
enum larder_status twins_run(struct twins *twins, unsigned space, const struct model_step *step);
/** Runs up to TWINS_ROWS_MAX steps of one kind as one multi call of the memory cache. */
void twins_run_many(struct twins *twins, unsigned space, const struct model_step *steps,
                    size_t count);
/** Gets a view of a key and keeps it; the one that was in that place is looked at once more. */
void twins_hold(struct twins *twins, unsigned space, unsigned key, unsigned place);
/** Looks at all views that are held, and releases them. */
void twins_let_go(struct twins *twins);
/** Lists all keys through a buffer of `size` bytes, up to `capacity` (of 16) at once. */
void twins_list(struct twins *twins, unsigned space, size_t size, size_t capacity);
/** Flushes leaf or client. */
void twins_flush_all(struct twins *twins);
/** What the oracle says of an entry's TTL left; 0: none, or no entry. */
int64_t twins_ttl_left_ms(struct twins *twins, unsigned space, unsigned key);
/** Gets every key of every namespace. */
void twins_check(struct twins *twins);

/** `length` bytes, different for each `place`: of a pool, not made anew. */
struct larder_slice twins_bytes(uint64_t place, size_t length);

#endif
