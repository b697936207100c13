/*
 * Hits: what a backend needs that answers plain reads and gets by itself (larder_hits_of_fn in
 * backend.h). The core does nothing after it, so the backend counts.
 */
#ifndef LARDER_UTIL_HIT_H
#define LARDER_UTIL_HIT_H

#include <larder/backend.h>
#include <larder/util/thread.h>

/** The head of every handle. Constant. */
struct larder_reader {
    /* makes the call from the start, by the row `read` */
    enum larder_status (*read_otherwise)(struct larder_reader *reader, struct larder_slice key,
                                         void *buffer, size_t size);
    /* see larder_hit_count() */
    enum larder_status (*count)(const struct larder_reader *reader,
                                enum larder_operation operation);
    _Atomic(struct larder_tally *) *tallies; /* the core's; see below */
    /* counts a READ or a GET that missed, and answers MISS; a get has emptied its view */
    enum larder_status (*missed)(struct larder_reader *reader, struct larder_slice key,
                                 enum larder_operation operation);
    /* makes the call from the start, by the row `get` */
    enum larder_status (*get_otherwise)(struct larder_reader *reader, struct larder_slice key,
                                        struct larder_value *value);
};

/** The last thing that a hit does. @param operation  READ or GET @return OK */
static inline enum larder_status larder_hit_count(const struct larder_reader *reader,
                                                  enum larder_operation operation)
{
    return reader->count(reader, operation);
}

/* ---- of backends within the library -------------------------------------------------------- */
/* In a line that the calling thread has for itself in each handle, and with no locked instruction.
 * Who it is its record says, and a module has records of its own, numbered otherwise: two threads
 * would count in one line. */

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
