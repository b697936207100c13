/*
 * The keys and the order in which they are asked for: the same for every cache, every time. With
 * the defaults (1,000,000 keys of 32 bytes, seed 0) keys and draws are those of the harness that
 * measured other caches, so that figures compare. Set by workload_init(), then only read.
 *
 * Source of the generator: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "plan.h"

#define WORKLOAD_SET UINT32_C(0x80000000) /* this draw of a mix is a set */

enum workload_kind {
    WORKLOAD_PLAIN,
    WORKLOAD_MIX, /* one in twenty marked WORKLOAD_SET */
    WORKLOAD_KINDS
};

struct workload {
    uint32_t keys;
    size_t key_bytes;
    size_t draws; /* per thread and kind; a power of two */
    char *texts;  /* of all keys, in a row */
    uint32_t *draw[PLAN_THREADS_MAX][WORKLOAD_KINDS];
};

/** @return 0 when memory ran out */
int workload_init(struct workload *workload, const struct plan *plan);
void workload_clean_up(struct workload *workload);

/** Writes the text of a key; numbers past `keys` give keys that are never stored. */
void workload_key(uint32_t number, size_t length, char *text);

/** The next of a sequence of 64-bit numbers. */
uint64_t workload_random(uint64_t *state);

#endif
