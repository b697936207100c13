/*
 * Measures one URI once: opens it, loads the keys, runs every operation on every number of threads,
 * and prints what it found, a line each, fields apart by tabs:
 *
 *   clock      nanoseconds that reading the clock costs
 *   memory     bytes that became resident per item while loading; only where they lie in this
 * process OPERATION  threads  operations/s  p50  p99  p99.9  processor time  hit ratio  failures
 *
 * Times are nanoseconds; processor time is that of the threads, not the server's, per operation.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "plan.h"

/** @return an exit status: not 0 when something could not be opened, or a value was wrong */
int measure(const struct plan *plan);

#endif
