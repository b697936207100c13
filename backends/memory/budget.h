/* The byte bound: what the cache takes, counted before it is taken. */
#ifndef LARDER_MEMORY_BUDGET_H
#define LARDER_MEMORY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget {
    _Atomic uint64_t max_bytes;  /* relaxed: may change while the cache runs */
    _Atomic uint64_t used_bytes; /* relaxed: a count, it orders nothing */
};

/** Takes `bytes` if they are within the bound. Never, at no instant, are more taken than that. */
static inline bool larder__budget_take(struct budget *budget, uint64_t bytes)
{
    uint64_t max_bytes = atomic_load_explicit(&budget->max_bytes, memory_order_relaxed);
    uint64_t used_bytes = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    do {
        if (used_bytes > max_bytes || bytes > max_bytes - used_bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used_bytes, &used_bytes,
                                                    used_bytes + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static inline void larder__budget_give(struct budget *budget, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&budget->used_bytes, bytes, memory_order_relaxed);
}

static inline uint64_t larder__budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
}

static inline uint64_t larder__budget_max(const struct budget *budget)
{
    return atomic_load_explicit(&budget->max_bytes, memory_order_relaxed);
}

/** Whether that could be taken now. */
static inline bool larder__budget_has(const struct budget *budget, uint64_t bytes)
{
    uint64_t used_bytes = larder__budget_used(budget), max_bytes = larder__budget_max(budget);
    return used_bytes <= max_bytes && bytes <= max_bytes - used_bytes;
}

/** Whether more is taken than may be: after the bound was lowered. */
static inline bool larder__budget_is_over(const struct budget *budget)
{
    return larder__budget_used(budget) > larder__budget_max(budget);
}

#endif
