/* What the site counts. Every field is atomic and relaxed: figures, which order nothing. */
#ifndef PACKAGES_FIGURES_H
#define PACKAGES_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>

struct figures {
    _Atomic uint64_t hits, misses;
    _Atomic uint64_t stored;          /* pages that went into the cache */
    _Atomic uint64_t questions;       /* asked of the database */
    _Atomic uint64_t questions_saved; /* that a hit did not ask */
    _Atomic uint64_t edits;
    _Atomic uint64_t dropped; /* pages that edits took out of the cache */
    _Atomic uint64_t flushed; /* times that all pages were, to be on the safe side */
};

static inline void figure_add(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_fetch_add_explicit(figure, more, memory_order_relaxed);
}

static inline uint64_t figure_get(_Atomic uint64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

#endif
