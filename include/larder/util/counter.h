/* Counters as text: 1 to 20 decimal digits of at most 2^64-1, then perhaps spaces. */
#ifndef LARDER_UTIL_COUNTER_H
#define LARDER_UTIL_COUNTER_H

#include <larder/backend.h>

#define LARDER_COUNTER_BYTES_MAX 20u

/** @return 1 and *number when `text` is a counter, else 0 */
int larder_counter_parse(struct larder_slice text, uint64_t *number);
/** Writes digits, no terminator. @return how many */
size_t larder_counter_format(uint64_t number, char text[LARDER_COUNTER_BYTES_MAX]);
/** UP wraps at 2^64, DOWN stops at 0. */
uint64_t larder_counter_step(uint64_t number, enum larder_direction direction, uint64_t delta);

#endif
