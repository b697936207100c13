/* What the programs share that print figures of a memory cache. */
#ifndef FIGURES_H
#define FIGURES_H

#include <larder/larder.h>

/** Prints "`what` failed", and ends the program with 1. */
void give_up(const char *what);

/** Opens "memory:?`options`", with `more` behind them when it is not empty. */
struct larder_cache *open_memory(const char *options, const char *more);

#endif
