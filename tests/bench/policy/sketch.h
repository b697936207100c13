/*
 * How often an object was asked for, roughly: four rows of counters up to 15, of which the lowest
 * counts (a count-min sketch with conservative update). Once there were ten times as many additions
 * as entries, all counters are halved, so that old popularity fades.
 */
#ifndef BENCH_POLICY_SKETCH_H
#define BENCH_POLICY_SKETCH_H

#include <stdint.h>

#define SKETCH_ROWS 4

struct sketch {
    uint8_t *counters; /* a counter of each row side by side */
    uint32_t mask;     /* the rows' length - 1; a power of two, four times the entries */
    uint64_t additions, period;
};

/** @return 0 when memory ran out */
int sketch_init(struct sketch *sketch, uint32_t entries);
void sketch_clean_up(struct sketch *sketch);
void sketch_add(struct sketch *sketch, uint32_t object);
unsigned sketch_of(const struct sketch *sketch, uint32_t object);

#endif
