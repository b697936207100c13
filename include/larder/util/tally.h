/*
 * How backends within the library count hits: in a line that the calling thread has for itself in
 * each handle, and with no locked instruction. A module can't: the records of its threads are
 * others, numbered otherwise, so two threads would count in one line; larder_hit_count() is for it.
 */
#ifndef LARDER_UTIL_TALLY_H
#define LARDER_UTIL_TALLY_H

#include <larder/util/hit.h>
#include <larder/util/thread.h>

#define LARDER_TALLY_CELLS 16
/** The cells of what was answered OK. */
#define LARDER_TALLY_READ 1
#define LARDER_TALLY_GET 4

/** How often a thread got which answer from a handle: larder_reader.tallies has one by each
 * thread's cell, stored by that thread with release, loaded by others with acquire; NULL: it has
 * none yet; the last one stays NULL. Written by one thread, a record's owner, at a time; relaxed:
 * figures order nothing. What the last owner of the record wrote the next one sees: see
 * larder_thread.taken. */
struct larder_tally {
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t cells[LARDER_TALLY_CELLS];
};

static inline void larder_tally_add(struct larder_tally *tally, unsigned cell, uint64_t calls)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    /* in one instruction; a store of 8 bytes is whole */
    __asm__ volatile("addq %1, %0" : "+m"(tally->cells[cell]) : "er"(calls) : "cc");
#else
    uint64_t count = atomic_load_explicit(&tally->cells[cell], memory_order_relaxed);
    atomic_store_explicit(&tally->cells[cell], count + calls, memory_order_relaxed);
#endif
}

/** As larder_hit_count(). @param thread  the calling one */
static inline enum larder_status larder__hit_count(const struct larder_reader *reader,
                                                   const struct larder_thread *thread,
                                                   enum larder_operation operation)
{
    struct larder_tally *own =
        atomic_load_explicit(&reader->tallies[thread->cell], memory_order_relaxed);
    if (__builtin_expect(own == NULL, 0))
        return reader->count(reader, operation);
    larder_tally_add(own, operation == LARDER_OPERATION_READ ? LARDER_TALLY_READ : LARDER_TALLY_GET,
                     1);
    return LARDER_OK;
}

#endif
