/*
 * What must be done around fork(): every lock of the library is held while the process is copied,
 * so that a child finds none held by a thread that it doesn't have.
 */
#ifndef LARDER_FORK_H
#define LARDER_FORK_H

#include <pthread.h>

#include <larder/backend.h>

/** Owned by whoever registers it. */
struct fork_hook {
    larder_fork_fn *fork;
    void *self;
    struct fork_hook *next; /* guarded by the list's mutex */
    struct fork_hook *previous;
};

/** Calls `fork` around every fork() from now on. */
void larder__fork_hook_add(struct fork_hook *hook, larder_fork_fn *fork, void *self);
void larder__fork_hook_remove(struct fork_hook *hook);

/** The three steps for a plain mutex. */
void larder__fork_mutex(pthread_mutex_t *mutex, enum larder_fork_step step);

#endif
