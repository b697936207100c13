/*
 * Large values: key and value in a block of their own, in whole pages, which a view can hold on to
 * while everything else goes on. The item in its segment only points to it.
 *
 * Addresses are cheap and memory is not: blocks lie in a range of addresses many times the bound,
 * in runs of pages of some classes of length. A run keeps its addresses for the next block of its
 * class and gives its memory back at once; only pages that a block needs are ever used.
 */
#ifndef LARDER_MEMORY_LARGE_H
#define LARDER_MEMORY_LARGE_H

#include <pthread.h>

#include <larder/backend.h>
#include <larder/util/epoch.h>

#include "budget.h"
#include "item.h"
#include "region.h"

#define LARGE_CLASSES 256u

struct large_store;

struct large {
    struct larder_owner owner; /* of views; first: a pointer to it is a pointer to the block */
    struct large_store *store;
    uint64_t charged_bytes;
    size_t value_length;
    uint32_t key_length;
    uint32_t space;
    _Atomic uint32_t references;   /* the item's one, and one for each view */
    uint32_t first_page, class;    /* of its run */
    uint32_t retired_epoch;        /* guarded by the store's lock, as `next` */
    struct large *next, *previous; /* of those in use, or that are retired */
    bool listed;                   /* in use */
    unsigned char bytes[];         /* key, value */
};

/** Outlives its cache as long as there are views; so does the budget. */
struct large_store {
    struct budget budget;
    struct larder_epoch *epoch; /* NULL once the cache is closed; guarded by lock */
    size_t page_bytes;
    pthread_mutex_t lock; /* innermost, as the arena's */
    struct {              /* touched only while holding lock */
        struct region pages;
        struct region links;          /* a u32 a page: the next free run of its class */
        uint32_t fresh;               /* pages from here on were never used */
        uint32_t free[LARGE_CLASSES]; /* the first free run of a class, plus 1 */
        struct large *first;          /* of those in use */
        struct large *retired_first, *retired_last;
        uint64_t blocks;
        uint64_t bytes; /* that blocks are charged */
        bool closed;
    } guarded;
    /* relaxed: what those are charged whose readers have not left; changed under the lock */
    _Atomic uint64_t retired_bytes;
    _Atomic uint64_t holders; /* the cache, and each view; the last one frees the store */
};

/** @return NULL: no memory or addresses */
struct large_store *larder__large_store_open(uint64_t max_bytes, uint64_t reserved_bytes,
                                             struct larder_epoch *epoch);
/** No call is inside. Views stay readable. */
void larder__large_store_close(struct large_store *store);

/** What a block for key and value is charged; UINT64_MAX for what no block can hold. */
uint64_t larder__large_bound(const struct large_store *store, size_t key_length,
                             size_t value_length);
/** Makes a block, whose charge was taken from the budget by the caller: it is the block's now.
 * @return NULL: no addresses or memory; the charge is still the caller's */
struct large *larder__large_new(struct large_store *store, const struct key *key,
                                const struct draft *draft);
/** Ends a block that nobody has seen. @return its charge, which is the caller's again */
uint64_t larder__large_discard(struct large *large);
/** The item is found no more. Under its stripe's lock. A flush then spares the block. */
void larder__large_unlist(struct large *large);
/** The same, if that was not done before; its reference ends when the last reader has left. */
void larder__large_retire(struct large *large);
/** Likewise, and clears the mark that says it is to be done, in one step for a child of fork(). */
void larder__large_retire_marked(struct large *large, _Atomic uint8_t *mark);
/** Does that with all. Under the locks of all stripes. */
void larder__large_retire_all(struct large_store *store);
/** Ends what readers have left. @return how many blocks lost their item's reference */
uint32_t larder__large_reclaim(struct large_store *store);

/** What all blocks are charged. */
uint64_t larder__large_bytes(struct large_store *store);
/** What those are charged that readers may still be in. */
static inline uint64_t larder__large_retired_bytes(const struct large_store *store)
{
    return atomic_load_explicit(&store->retired_bytes, memory_order_relaxed);
}

static inline const unsigned char *larder__large_value(const struct large *large)
{
    return large->bytes + large->key_length;
}

/** What would come back if the item went now: its block's charge, unless a view holds the block.
 * Under the stripe's lock. @param item  NULL: 0 */
uint64_t larder__large_sole_bytes(const struct item *item);

/** Gives a view of its value. Within a section, or under the stripe's lock. */
void larder__large_view(struct large *large, struct larder_value *value);

#endif
