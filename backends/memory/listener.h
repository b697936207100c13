/*
 * The listener: who is told of evictions, with no lock held, by the thread that evicted. It may use
 * the cache, but a store of its own evicts nothing there: the segment that is being told of is not
 * free yet, and evicting more meanwhile would go on until nothing is left.
 */
#ifndef LARDER_MEMORY_LISTENER_H
#define LARDER_MEMORY_LISTENER_H

#include "memory.h"

/** A hint: true where one was set before, in an order that this thread has seen. */
static inline bool larder__is_listening(const struct memory *memory)
{
    return atomic_load_explicit(&memory->listens, memory_order_relaxed);
}

/** Both as they were set together; evicted NULL: none. */
struct listener larder__listener_of(struct memory *memory);
void larder__listener_set(struct memory *memory, larder_memory_evicted_fn *evicted, void *context);
void larder__listener_tell(const struct memory *memory, const struct listener *listener,
                           const struct item *item);

/** A thread is telling the listener of a cache; on its stack, one in the other. */
struct telling {
    const struct memory *memory;
    const struct telling *outer;
};

#define TELLING_BEGINS ((UINT64_C(1) << 32) + 1)
#define TELLING_ENDS UINT64_C(1)

static inline void larder__telling_begin(struct telling *telling, struct memory *memory,
                                         struct larder_thread *thread)
{
    *telling = (struct telling){memory, thread->telling};
    thread->telling = telling;
    /* acq_rel: comes before a call in another cache, which would hide this one's */
    atomic_fetch_add_explicit(&memory->tellings, TELLING_BEGINS, memory_order_acq_rel);
}

static inline void larder__telling_end(const struct telling *telling, struct memory *memory,
                                       struct larder_thread *thread)
{
    thread->telling = telling->outer;
    /* release: comes after that call; pairs with larder__calls_are_over() */
    atomic_fetch_sub_explicit(&memory->tellings, TELLING_ENDS, memory_order_release);
}

/** As larder_calls_are_over(), and right also where a listener that is being told has called
 * another cache: then the thread's record tells of that call alone. Whoever is hidden so during
 * both looks was telling at the number in between, or has begun since. */
bool larder__calls_are_over(const struct memory *memory);

static inline bool larder__is_telling(const struct memory *memory,
                                      const struct larder_thread *thread)
{
    const struct telling *telling = thread->telling;
    while (telling != NULL && telling->memory != memory)
        telling = telling->outer;
    return telling != NULL;
}

#endif
