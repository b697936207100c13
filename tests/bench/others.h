/* How much of our cores other processes took meanwhile: what makes a figure doubtful. */
#ifndef BENCH_OTHERS_H
#define BENCH_OTHERS_H

#include <sys/types.h>

struct others {
    pid_t server;
    double busy_seconds; /* of all processes on our cores, from here on at the beginning */
    double own_seconds;
    double wall_seconds;
};

/** @param server  one more process whose work is our own; 0: none */
void others_begin(struct others *others, pid_t server);

/** The share, 0 to 1, of the cores that this process may use, since others_begin(). Own are the
 * children that were waited for, and the server. */
double others_share(const struct others *others);

#endif
