/* Random numbers that a seed repeats. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

struct dice {
    uint64_t state; /* the seed: any is a good one */
};

/** 0 to sides - 1. */
uint64_t roll(struct dice *dice, uint64_t sides);

/** LARDER_SEED of the environment, to repeat a run; else the time. Whoever rolls prints it. */
uint64_t chosen_seed(void);

#endif
