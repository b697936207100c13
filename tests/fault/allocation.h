/*
 * Allocations that fail: the faults themselves, the caches and the calls that they are tried on.
 * allocation_test.c brings them together. One thread at a time does anything here.
 */
#ifndef TESTS_ALLOCATION_H
#define TESTS_ALLOCATION_H

#include <stddef.h>
#include <stdint.h>

#include <larder/larder.h>

/* ---- faults -------------------------------------------------------------------------------- */

/** From now on allocation number n (from 0) fails; and all after it, if `for_ever`. */
void faults_begin(unsigned long n, int for_ever);
/** @return how many have failed since */
unsigned long faults_end(void);
/** How many allocations were let through that libmemcached can't do without. */
unsigned long faults_spared(void);
/** Blocks of the library: how many it holds, and how many it ever took. */
struct blocks {
    size_t live;
    unsigned long made;
};
struct blocks faults_blocks(void);
/** Tells what is left of those that came since. */
void faults_print_left(struct blocks before);

/* ---- caches -------------------------------------------------------------------------------- */

#define TARGETS 4

/** One key that a call works on, what is under it before and after, and what the call answered. */
struct target {
    char key[640];
    const char *before, *after; /* NULL: nothing */
    enum larder_status status;
};

/** An open cache, and what a call was given to work on. */
struct fixture {
    const struct cache_kind *kind;
    struct larder_cache *leaf;     /* NULL: the client has it */
    struct larder_cache *client;   /* NULL: none */
    struct larder_cache *handle;   /* the leaf or a namespace */
    struct larder_cache *cache;    /* the handle or a session of it; NULL: the call opens its own */
    struct larder_cache *preparer; /* where the targets are set up */
    struct target targets[TARGETS];
    size_t count;
    uint64_t version; /* of the first target */
    struct larder_lease lease;
};

enum leaf {
    LEAF_NOTHING,
    LEAF_MEMORY,
    LEAF_SPARSE,
    LEAF_GUTTER,    /* over a tracker over sparse, with memory as its spare */
    LEAF_HOT,       /* over sparse; every hit leaves a copy, which is old at once */
    LEAF_MIGRATION, /* from sparse to memory */
    LEAF_SHADOW,    /* of memory, its copy sparse */
    LEAF_NULL,
    LEAF_MEMCACHED,
    LEAF_POOLED,
    LEAF_META
};

struct cache_kind {
    const char *name;
    enum leaf leaf;
    int is_namespace, is_session;
    const char *options; /* of the URI */
};

extern const struct cache_kind cache_kinds[];
extern const size_t cache_kind_count;

/** Servers and files for all that follows. */
void caches_start(void);
void caches_stop(void);
void fixture_open(struct fixture *fixture, const struct cache_kind *kind);
void fixture_close(struct fixture *fixture);
int kind_is_remote(const struct cache_kind *kind);

/** "scheme://server?options" of a kind. */
void cache_uri(enum leaf leaf, const char *options, char *uri, size_t size);
/** A configuration file with a cache of every kind. */
const char *cache_file(void);
/** Another one, in which every cache is another. */
const char *changed_file(void);

/* ---- calls --------------------------------------------------------------------------------- */

typedef enum larder_status call_fn(struct fixture *fixture);

#define CALL_WRITES 1u      /* may be UNKNOWN on a server */
#define CALL_HAS_ROWS 2u    /* answers each target by itself */
#define CALL_HAS_STEPS 4u   /* one that failed may have done a part */
#define CALL_TAKES_ROOT 8u  /* not for a session */
#define CALL_OF_CLIENT 16u  /* needs a client */
#define CALL_DEPENDS 32u    /* wires the first target to the master */
#define CALL_MAY_REPEAT 64u /* has no targets to set up again */

struct call {
    const char *name;
    call_fn *run;
    call_fn *ready; /* NULL: the targets are all it needs */
    uint64_t can, takes;
    const char *before, *after;
    enum larder_status answer, null_answer;
    unsigned flags;
};

/** Calls on an open cache, and those that open something themselves. */
extern const struct call calls[], openings[];
extern const size_t call_count, opening_count;

/** What dependencies hang on. */
struct larder_slice call_master(void);

/** Counts a failure and prints it with the call that runs. @return `holds` */
int expect(int holds, const char *what);

#endif
