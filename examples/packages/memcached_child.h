/* A memcached of our own, on a socket in a given folder; it ends with us, whatever becomes of us.
 */
#ifndef PACKAGES_MEMCACHED_CHILD_H
#define PACKAGES_MEMCACHED_CHILD_H

#include <sys/types.h>

#include "text.h"

struct memcached_child {
    pid_t pid;
    struct text socket; /* its path */
};

/** Starts one and waits until it takes connections. @return 0; or -1: there is none on this
 * machine, or it does not start */
int memcached_start(struct memcached_child *child, const char *folder, unsigned megabytes);
/** Ends it and removes its socket. */
void memcached_stop(struct memcached_child *child);

#endif
