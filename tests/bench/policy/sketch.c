#include "sketch.h"

#include <stdlib.h>

#define COUNT_MOST 15
#define ADDITIONS_PER_ENTRY 10

int sketch_init(struct sketch *sketch, uint32_t entries)
{
    uint32_t length = 64;
    while (length < UINT32_C(1) << 30 && length / SKETCH_ROWS < entries)
        length *= 2;
    *sketch = (struct sketch){.mask = length - 1,
                              .period = (uint64_t)ADDITIONS_PER_ENTRY * (entries > 0 ? entries : 1),
                              .counters = calloc(length, SKETCH_ROWS)};
    return sketch->counters != NULL;
}

void sketch_clean_up(struct sketch *sketch)
{
    free(sketch->counters);
}

/* The finalizer of splitmix64: every bit of the object and of the row changes half of the result.
 */
static uint8_t *counter_at(const struct sketch *sketch, uint32_t object, unsigned row)
{
    uint64_t mixed = ((uint64_t)object * SKETCH_ROWS + row + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return &sketch->counters[(mixed & sketch->mask) * SKETCH_ROWS + row];
}

static void halve(struct sketch *sketch)
{
    for (uint64_t i = 0; i < ((uint64_t)sketch->mask + 1) * SKETCH_ROWS; i++)
        sketch->counters[i] /= 2;
    sketch->additions /= 2;
}

unsigned sketch_of(const struct sketch *sketch, uint32_t object)
{
    unsigned least = COUNT_MOST;
    for (unsigned row = 0; row < SKETCH_ROWS; row++) {
        unsigned count = *counter_at(sketch, object, row);
        least = count < least ? count : least;
    }
    return least;
}

void sketch_add(struct sketch *sketch, uint32_t object)
{
    unsigned count = sketch_of(sketch, object);
    for (unsigned row = 0; row < SKETCH_ROWS && count < COUNT_MOST; row++) {
        uint8_t *counter = counter_at(sketch, object, row);
        if (*counter == count)
            ++*counter;
    }
    if (++sketch->additions >= sketch->period)
        halve(sketch);
}
