/*
 * The listener: who is told of evictions, with no lock held, by the thread that evicted. It may use
 * the cache, but a store of its own evicts nothing there: the segment that is being told of is not
 * free yet, and evicting more meanwhile would go on until nothing is left.
 */
#ifndef LARDER_MEMORY_LISTENER_H
#define LARDER_MEMORY_LISTENER_H

#include "memory.h"

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

static inline void larder__telling_begin(struct telling *telling, const struct memory *memory,
                                         struct larder_thread *thread)
{
    *telling = (struct telling){memory, thread->telling};
    thread->telling = telling;
}

static inline void larder__telling_end(const struct telling *telling, struct larder_thread *thread)
{
    thread->telling = telling->outer;
}

static inline bool larder__is_telling(const struct memory *memory,
                                      const struct larder_thread *thread)
{
    const struct telling *telling = thread->telling;
    while (telling != NULL && telling->memory != memory)
        telling = telling->outer;
    return telling != NULL;
}

#endif
