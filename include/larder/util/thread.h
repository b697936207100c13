/*
 * A record for each thread that calls, so that it can say what it is reading and count what it does
 * without writing a line that another thread writes. Found by one thread-local pointer; handed on
 * to a new thread when its owner exits; all of them live until the library is unloaded.
 *
 * The first 64 records lie in the library, so that the first call of a thread allocates only when
 * more threads than that are alive. 10^5 threads one after the other use one record.
 */
#ifndef LARDER_UTIL_THREAD_H
#define LARDER_UTIL_THREAD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LARDER_LINE_BYTES 64
/** Tables that have something for each of the first so many records have one place more, for all
 * others. */
#define LARDER_THREAD_CELLS 64

/** Sizes of blocks that a thread keeps. */
#define LARDER_KEPT_CLASSES 3
struct larder_kept;

struct larder_thread {
    /* What the thread reads at the moment (util/epoch.h); 0: nothing. Written by the thread alone.
     */
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t section;
    /* The domain and the epoch in which the thread's call began, while it writes; 0: none. As
     * `section`. */
    _Atomic uint64_t call;
    /* The epoch in which the thread's outermost visit began (util/epoch.h); 0: none. Likewise. */
    _Atomic uint64_t visit;
    _Atomic uint8_t scratch;                 /* written, never read */
    uint32_t number;                         /* from 0, small: of the record. Constant. */
    uint32_t cell;                           /* likewise, but no more than LARDER_THREAD_CELLS */
    uint8_t kept_count[LARDER_KEPT_CLASSES]; /* the owner's: of `kept` */
    const void *telling;        /* the owner's: whose listeners it is telling at the moment */
    struct larder_thread *next; /* constant once the record is in the list */
    _Atomic uint32_t taken;     /* 1: has an owner. Taken with acquire, given with release, so that
                                   the next owner sees what the last one did */
    /* The owner's: blocks of values that were released, by size, for the next ones
     * (larder/util/kept.h). */
    struct larder_kept *kept[LARDER_KEPT_CLASSES];
};

extern _Thread_local struct larder_thread *larder__own_thread
    __attribute__((tls_model("initial-exec")));

/** Takes a record for the calling thread. @return NULL when memory ran out */
struct larder_thread *larder__thread_take(void);

/** The calling thread's record. @return NULL when there is none and memory ran out */
static inline struct larder_thread *larder_thread(void)
{
    struct larder_thread *own = larder__own_thread;
    return __builtin_expect(own != NULL, 1) ? own : larder__thread_take();
}

/** All records, those without an owner included. */
struct larder_thread *larder_threads(void);

#endif
