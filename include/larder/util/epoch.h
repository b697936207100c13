/*
 * Epochs: what readers without locks are protected by (Fraser, "Practical lock-freedom", 2004;
 * asymmetric as in liburcu, Desnoyers et al., "User-level implementations of read-copy update",
 * 2012).
 *
 * A reader writes the number of the current epoch into its thread's record, reads, and clears the
 * record. A writer unlinks something, then advances the epoch: what it unlinked carries the number
 * of the epoch that ended, and may be reused once no reader's record shows that number or an older
 * one. One domain of epochs a cache: a reader that stands still in one cache keeps nothing in any
 * other.
 *
 * Any number of threads may enter, advance and ask for the oldest epoch at once.
 *
 * The one delicate point: a reader's store of its record must come before its loads, as the writer
 * sees it. On x86 that takes a full fence a read; here the writer pays instead, with membarrier(2),
 * which makes every running thread of the process execute one. That interrupts them: some 10 us of
 * a processor each, so it is done once for many things unlinked. All of it is in this file and
 * src/util/epoch.c; the memory backend's locks (brief.h) pair with it as well. Where
 * ThreadSanitizer watches, or the kernel has no membarrier, the reader's store is sequentially
 * consistent instead.
 */
#ifndef LARDER_UTIL_EPOCH_H
#define LARDER_UTIL_EPOCH_H

#include <stdbool.h>

#include <larder/util/thread.h>

#if defined(__SANITIZE_THREAD__)
#define LARDER_EPOCH_SYMMETRIC 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LARDER_EPOCH_SYMMETRIC 1
#endif
#endif
#ifndef LARDER_EPOCH_SYMMETRIC
#define LARDER_EPOCH_SYMMETRIC 0
#endif

struct larder_epoch {
    /* The domain's number in the upper half, the epoch's in the lower. Stored with release by
     * advance (what was unlinked comes before), loaded with acquire by enter. */
    _Atomic uint64_t word;
    /* What carries an older number was unlinked before readers were ordered: the sections tell all
     * about it. Raised with release after that, loaded with acquire before they are looked at. */
    _Atomic uint32_t ordered;
};

/** True when readers need no fence. Set before the first domain is there, then only read. */
extern bool larder__epoch_asymmetric;

/** Whether readers need no fence, since who needs one of them makes them execute it. */
static inline bool larder_fences_are_asymmetric(void)
{
    return !LARDER_EPOCH_SYMMETRIC && __builtin_expect(larder__epoch_asymmetric, 1);
}

/** Before this returns every other thread has executed a full fence between two of its
 * instructions; one that is not running did so when it stopped. Pairs with a signal fence between a
 * store and a load of another thread; where fences are not asymmetric, with a store and a load that
 * are seq_cst. */
void larder_fence_threads(void);

void larder_epoch_init(struct larder_epoch *epoch);

/** Begins a section: what is found from now on stays until larder_epoch_leave(). Sections do not
 * nest, are short, and hold no call to anybody else's code. */
static inline void larder_epoch_enter(const struct larder_epoch *epoch,
                                      struct larder_thread *thread)
{
    /* acquire: pairs with the release of advance */
    uint64_t word = atomic_load_explicit(&epoch->word, memory_order_acquire);
    if (!larder_fences_are_asymmetric()) {
        /* seq_cst: pairs with larder_epoch_order(), and the seq_cst loads of oldest */
        atomic_store_explicit(&thread->section, word, memory_order_seq_cst);
        return;
    }
    /* release: whoever sees this section sees that the one before is over */
    atomic_store_explicit(&thread->section, word, memory_order_release);
    /* Only the compiler is held back; pairs with the membarrier of larder_epoch_order(). */
    atomic_signal_fence(memory_order_seq_cst);
}

/** Likewise, for who knows that readers need no fence (larder__epoch_asymmetric). */
static inline void larder_epoch_enter_asymmetric(const struct larder_epoch *epoch,
                                                 struct larder_thread *thread)
{
    uint64_t word = atomic_load_explicit(&epoch->word, memory_order_acquire);
    atomic_store_explicit(&thread->section, word, memory_order_release); /* as in enter */
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void larder_epoch_leave(struct larder_thread *thread)
{
    /* release: our reads come before; pairs with the acquire of larder_epoch_oldest() */
    atomic_store_explicit(&thread->section, 0, memory_order_release);
}

/*
 * Calls: how it is known that no writer is inside any more. A call may be long, wait, and contain
 * others, but looks at nothing meanwhile. So calls keep what is large and seldom unlinked, and the
 * whole domain; what is often unlinked would wait too long for them.
 */
/** A call within another one hides that, which is to look at nothing until it goes on.
 * @return what the thread was in before, for larder_call_end() */
static inline uint64_t larder_call_begin(const struct larder_epoch *epoch,
                                         struct larder_thread *thread)
{
    /* relaxed below: only the thread itself stores its call */
    uint64_t word = atomic_load_explicit(&epoch->word, memory_order_acquire); /* as in enter */
    uint64_t outer = atomic_load_explicit(&thread->call, memory_order_relaxed);
    if (!larder_fences_are_asymmetric())
        atomic_store_explicit(&thread->call, word, memory_order_seq_cst); /* as in enter */
    else
        atomic_store_explicit(&thread->call, word, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* as in enter */
    return outer;
}

static inline void larder_call_end(struct larder_thread *thread, uint64_t outer)
{
    /* seq_cst: as in begin, since a call that this one had hidden goes on. Else release: what the
     * call did comes before; pairs with larder_calls_are_over() and larder_calls_oldest(). */
    if (outer != 0 && !larder_fences_are_asymmetric())
        atomic_store_explicit(&thread->call, outer, memory_order_seq_cst);
    else
        atomic_store_explicit(&thread->call, outer, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* as in enter */
}

/** Whether no other thread's innermost call is in this domain, once new calls are turned away. */
bool larder_calls_are_over(const struct larder_epoch *epoch);

/** As larder_epoch_oldest(), of other threads' innermost calls. */
uint32_t larder_calls_oldest(const struct larder_epoch *epoch);

/*
 * Visits: sections that may be long, wait, and contain others, which are then part of the outermost
 * one. What was unlinked waits for every visit that began before: so visits are for what is small
 * and seldom unlinked. There is one domain of visits a process.
 */
/** @return false: the thread is on a visit already, which this one is a part of; else it is to be
 * ended with larder_visit_end() */
static inline bool larder_visit_begin(const struct larder_epoch *epoch,
                                      struct larder_thread *thread)
{
    /* relaxed: only the thread itself stores its visit */
    if (atomic_load_explicit(&thread->visit, memory_order_relaxed) != 0)
        return false;
    uint64_t word = atomic_load_explicit(&epoch->word, memory_order_acquire); /* as in enter */
    if (!larder_fences_are_asymmetric())
        atomic_store_explicit(&thread->visit, word, memory_order_seq_cst); /* as in enter */
    else
        atomic_store_explicit(&thread->visit, word, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* as in enter; pairs with larder_visits_oldest() */
    return true;
}

/** Likewise, for who knows that readers need no fence (larder__epoch_asymmetric). */
static inline bool larder_visit_begin_asymmetric(const struct larder_epoch *epoch,
                                                 struct larder_thread *thread)
{
    if (atomic_load_explicit(&thread->visit, memory_order_relaxed) != 0)
        return false;
    uint64_t word = atomic_load_explicit(&epoch->word, memory_order_acquire);
    atomic_store_explicit(&thread->visit, word, memory_order_release); /* as in enter */
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

static inline void larder_visit_end(struct larder_thread *thread)
{
    /* release: what the visit did comes before; pairs with larder_visits_oldest() */
    atomic_store_explicit(&thread->visit, 0, memory_order_release);
}

/** As larder_epoch_oldest(), of visits, the calling thread's included. */
uint32_t larder_visits_oldest(const struct larder_epoch *epoch);

/** Ends the current epoch. @return its number: what was unlinked before carries it */
uint32_t larder_epoch_advance(struct larder_epoch *epoch);

/** Lets larder_epoch_oldest() pass `number`, and all others that have ended by now. Costs a
 * membarrier, unless it was done since `number` ended. */
void larder_epoch_order(struct larder_epoch *epoch, uint32_t number);

/** The oldest epoch in which somebody may still read, or the first that was not ordered yet. What
 * carries an older number may be reused: see larder_epoch_passed(). */
uint32_t larder_epoch_oldest(const struct larder_epoch *epoch);

/** Whether nobody can see any more what was unlinked in `number`. Right for numbers less than 2^31
 * apart: that many epochs need more memory retired at once than there is. */
static inline bool larder_epoch_passed(uint32_t number, uint32_t oldest)
{
    return (int32_t)(number - oldest) < 0;
}

#endif
