/* A process of its own for each URI in each round: this program again, or its bare peer. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

#include "results.h"

/** Measures one URI, once, and keeps its figures and how much other processes disturbed it.
 * @param arguments  this program's own, NULL-terminated; the child gets them too
 * @param server     whose work is ours as well; 0: none
 * @return 0 with a message on stderr */
int child_measure(struct results *results, struct subject *subject, unsigned round,
                  char **arguments, pid_t server);

#endif
