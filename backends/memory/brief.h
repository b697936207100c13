/*
 * Locks that are mostly held for a few hundred instructions, two of them on the way of every store.
 * A mutex unlocks with a locked instruction, for which a processor waits until all that was stored
 * before has arrived, some of it in lines that another one has; here it is a plain store, behind
 * which the next call's work begins at once.
 *
 * Who finds a lock taken tries again for a while, then says that it waits, and sleeps. The delicate
 * point is that the holder gives the lock back, then looks whether anybody waits, with no fence
 * between the two: so who waits makes every thread execute one before it looks at the lock again
 * (larder_fence_threads() in epoch.h, which has what ThreadSanitizer sees in its place). Either it
 * finds the lock free then, or the holder sees it wait.
 *
 * Not fair, not to be taken twice; zeroed memory is a lock. It is looked at once more after it was
 * given back: who frees its memory must know that nobody is in there any more, as who waits for
 * calls and sections to be over does.
 */
#ifndef LARDER_MEMORY_BRIEF_H
#define LARDER_MEMORY_BRIEF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <larder/util/epoch.h>

struct brief_lock {
    /* 1: somebody has it. Taken with seq_cst, of which acquire pairs with the release of giving it
     * back; the rest is of those that wait. */
    _Atomic uint32_t held;
    _Atomic uint32_t waiters; /* how many sleep, or are about to. seq_cst */
};

/** @return false: somebody has it */
static inline bool larder__brief_try(struct brief_lock *lock)
{
    uint32_t free = 0;
    /* seq_cst: of who waits, see above; for others acquire would do, and costs the same */
    return atomic_compare_exchange_strong_explicit(&lock->held, &free, 1, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}

/** Waits until it is free. */
void larder__brief_wait(struct brief_lock *lock);
/** Wakes one who waits. */
void larder__brief_wake(struct brief_lock *lock);

static inline void larder__brief_lock(struct brief_lock *lock)
{
    if (__builtin_expect(!larder__brief_try(lock), 0))
        larder__brief_wait(lock);
}

static inline void larder__brief_unlock(struct brief_lock *lock)
{
    if (larder_fences_are_asymmetric())
        atomic_store_explicit(&lock->held, 0, memory_order_release);
    else /* seq_cst: with the load below it pairs with the two of who waits */
        atomic_store_explicit(&lock->held, 0, memory_order_seq_cst);
    atomic_signal_fence(memory_order_seq_cst); /* pairs with larder_fence_threads() */
    if (__builtin_expect(atomic_load_explicit(&lock->waiters, memory_order_seq_cst) != 0, 0))
        larder__brief_wake(lock);
}

/** In the child of a fork, by the thread that has it: who waited is no more. */
static inline void larder__brief_adopt(struct brief_lock *lock)
{
    atomic_store_explicit(&lock->waiters, 0, memory_order_relaxed);
}

#endif
