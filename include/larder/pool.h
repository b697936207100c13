/*
 * An eager pool of anything: creates all its objects at once, lends them first in, first out, to
 * waiters that are served first come, first served, each with a deadline, and replaces what broke.
 *
 * Never more than `size` objects exist: a broken one is destroyed before its replacement is made.
 * Every function may be called from any thread, but for close. The pool's lock is never held while
 * `create` or `destroy` runs: while these take their time, everybody else goes on.
 */
#ifndef LARDER_POOL_H
#define LARDER_POOL_H

#include <larder/larder.h>

#ifdef __cplusplus
extern "C" {
#endif

struct larder_pool;

/**
 * Makes an object. Called with no lock held, from any thread, also from several at once.
 * @param object  on OK not NULL (a NULL counts as NO_MEMORY); no two live objects are the same
 * @return OK and *object, or a failure that acquire (or open) hands on
 */
typedef enum larder_status larder_pool_create_fn(void *context, void **object);
/** Frees an object. Called with no lock held, from any thread, also from several at once. */
typedef void larder_pool_destroy_fn(void *context, void *object);

/** The most objects that one pool holds. */
#define LARDER_POOL_SIZE_MAX 65536u
/** Wait without a deadline. */
#define LARDER_POOL_FOREVER UINT64_MAX

struct larder_pool_options {
    size_t struct_size;
    size_t size; /* how many objects; 1 to LARDER_POOL_SIZE_MAX */
    larder_pool_create_fn *create;
    larder_pool_destroy_fn *destroy;
    void *context; /* must outlive the pool */
};

/** Figures of a pool. */
struct larder_pool_figures {
    size_t size;       /* slots */
    size_t idle;       /* slots that nobody holds, the empty ones included */
    size_t empty;      /* idle slots whose object broke and waits for its replacement */
    size_t waiting;    /* callers in line; while there are any, nothing is idle */
    uint64_t acquired; /* successful acquires so far */
    uint64_t timeouts; /* acquires that ended at their deadline */
    uint64_t created;  /* objects made, at open or as a replacement */
    uint64_t failed;   /* replacements that could not be made */
};

/**
 * Opens a pool and creates all its objects; when one can't be created, destroys those that were and
 * hands the factory's status on. All memory that the pool will ever need is allocated here.
 * @param pool  on OK closed with larder_pool_close(); else NULL
 * @return OK; BAD_ARGUMENT; NO_MEMORY; what the factory said
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_pool_open(const struct larder_pool_options *options, struct larder_pool **pool);

/**
 * Takes an object: the one that was idle longest, for the caller that has waited longest. Nobody
 * overtakes the line. A slot whose object broke is filled here by the factory; should that fail,
 * the slot goes, still empty, to whoever is next in line, or else behind the idle ones.
 * @param timeout_ms  how long to wait in line, in milliseconds, beside what the factory takes;
 *                    0: not at all; LARDER_POOL_FOREVER: no deadline
 * @param object      on OK given back with larder_pool_release(); else NULL
 * @return OK; TIMEOUT; WOULD_BLOCK (only with a timeout of 0); CLOSED; BAD_ARGUMENT; NO_MEMORY;
 * what the factory said (the slot stays and a later acquire tries again)
 *
 * Threads: any; no cancellation point while it waits.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_pool_acquire(struct larder_pool *pool, uint64_t timeout_ms, void **object);

/**
 * The same until a point in time.
 * @param deadline_ns  nanoseconds of CLOCK_MONOTONIC; one that has passed still takes what is idle,
 *                     else answers TIMEOUT; 0: WOULD_BLOCK instead; LARDER_POOL_FOREVER: no
 * deadline
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_pool_acquire_until(struct larder_pool *pool, uint64_t deadline_ns, void **object);

/**
 * Gives an object back, in any thread. Calls `destroy` for a broken one, never `create`; neither
 * waits nor allocates.
 * @param broken  not 0: destroy it; the slot is filled by the next acquire, never here
 * @return OK; BAD_ARGUMENT for an object that is not on loan from this pool: nothing is changed
 */
LARDER_API enum larder_status larder_pool_release(struct larder_pool *pool, void *object,
                                                  int broken);

/** Any time, any thread: one consistent picture. All 0 for a pool that is NULL. */
LARDER_API void larder_pool_stats(struct larder_pool *pool, struct larder_pool_figures *stats);

/** Wakes all waiters, lets acquire answer CLOSED and destroys the idle objects; those on loan can
 * still be released, which destroys them. Any time, any thread, any number of times. NULL does
 * nothing. */
LARDER_API void larder_pool_shutdown(struct larder_pool *pool);

/** Destroys the idle objects and the pool. Last and alone, with nobody in line and nothing on loan
 * (what still is, is the borrower's to lose). NULL does nothing. */
LARDER_API void larder_pool_close(struct larder_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
