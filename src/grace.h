/*
 * Grace: what a reload has replaced is freed when no call can be inside it any more.
 *
 * Every call on a client's handle is a visit (util/epoch.h): a word in its thread's own record says
 * in which epoch it began, so calls share no line that any of them writes. What is replaced is
 * retired with the number of the epoch that ends thereby, and freed once every visit under way
 * began later and nothing else holds it. A leaf by itself is never replaced: calls on it are no
 * visits.
 *
 * Only whoever reloads or closes a client retires and reclaims, one at a time.
 */
#ifndef LARDER_GRACE_H
#define LARDER_GRACE_H

#include <larder/util/epoch.h>

#include "handle.h"

/** Embedded in what a reload may replace. */
struct retiree {
    struct retiree *next; /* this and the next two: of the list of the retired */
    void (*free)(struct retiree *retiree);
    uint32_t epoch; /* that ended when it was retired */
    /* Sessions, or retirees, that need it beside calls. Added to (relaxed) on a visit, or by who
     * holds it already; taken from with release, which pairs with an acquire load when it is
     * reclaimed. */
    _Atomic uint32_t holders;
};

/** May be NULL, which does nothing. */
static inline void larder__hold(struct retiree *retiree)
{
    if (retiree != NULL)
        atomic_fetch_add_explicit(&retiree->holders, 1, memory_order_relaxed);
}
static inline void larder__let_go(struct retiree *retiree)
{
    if (retiree != NULL)
        atomic_fetch_sub_explicit(&retiree->holders, 1, memory_order_release);
}

/** What waits until it can be freed: guarded by its client's mutex. */
struct retired {
    struct retiree *first;
    uint32_t count, limit; /* whoever retires sees to it beforehand */
};

/** Puts into the list what no handle leads to any more. */
void larder__retire_locked(struct retired *retired, struct retiree *retiree,
                           void (*free_it)(struct retiree *retiree));
/** Takes out what nobody can be inside of any more; the rest waits for the next time.
 * @return for larder__retirees_free() */
struct retiree *larder__reclaim_locked(struct retired *retired);
/** Holding no lock: it may close caches. */
void larder__retirees_free(struct retiree *first);

/* ---- visits -------------------------------------------------------------------------------- */

/* Hidden, so that a hit need not look up where it is. */
__attribute__((visibility("hidden"))) extern struct larder_epoch larder__visits;
/** Stands for the record of a thread that has none, for want of memory. */
extern struct larder_thread larder__stranger;

/** Before the first client is there. */
void larder__grace_prepare(void);
/** Of a thread that may have no record. @return as larder__visit_begin() */
struct larder_thread *larder__visit_begin_slowly(void);
void larder__stranger_leaves(void);

/** @return for larder__visit_end(); NULL: there is nothing to end */
static inline struct larder_thread *larder__visit_begin(const struct larder_cache *cache)
{
    if (cache == NULL || cache->kind == HANDLE_LEAF)
        return NULL;
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL, 0))
        return larder__visit_begin_slowly();
    return larder_visit_begin(&larder__visits, thread) ? thread : NULL;
}

static inline void larder__visit_end(struct larder_thread *const *visit)
{
    if (*visit == &larder__stranger)
        larder__stranger_leaves();
    else if (*visit != NULL)
        larder_visit_end(*visit);
}

/** Makes the rest of the block a visit. */
#define LARDER_VISIT(cache)                                                                 \
    __attribute__((cleanup(larder__visit_end), unused)) struct larder_thread *const visit = \
        larder__visit_begin(cache)

#endif
