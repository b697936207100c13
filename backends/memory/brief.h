/*
 * Locks that are held for a few hundred instructions: who finds one taken tries again a few times
 * before it sleeps, which would cost it more than the other one's work takes.
 */
#ifndef LARDER_MEMORY_BRIEF_H
#define LARDER_MEMORY_BRIEF_H

#include <pthread.h>

static inline void larder__brief_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

#endif
