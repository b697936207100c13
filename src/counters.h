/*
 * How often each operation gave each answer: one general table from which all figures of the
 * contract come. The common answers are counted in cells that a thread has for itself, made when it
 * first needs them, so that no two threads write one line and no call has a locked instruction in
 * it; everything else, and what comes from the 65th thread on, in a table that all share.
 */
#ifndef LARDER_COUNTERS_H
#define LARDER_COUNTERS_H

#include <larder/backend.h>
#include <larder/util/thread.h>

#define LARDER_COUNTED_STATUSES 19 /* from LARDER_CLOSED to LARDER_WOULD_BLOCK */
#define LARDER_OWN_CELLS 16

/* Written by one thread, a record's owner, at a time; relaxed: figures order nothing. What the last
 * owner of the record wrote the next one sees: see larder_thread.taken. */
struct own_counters {
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t cells[LARDER_OWN_CELLS];
};

struct larder_counters {
    /* By a thread's cell; stored by that thread with release, loaded by others with acquire. The
     * last one stays NULL. */
    _Atomic(struct own_counters *) own[LARDER_THREAD_CELLS + 1];
    /* relaxed */
    _Atomic uint64_t shared[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES];
};

extern const uint8_t larder__hot_cells[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES];

struct larder_counters *larder__counters_new(void); /* NULL: no memory */
void larder__counters_free(struct larder_counters *counters);
void larder__count_call_slowly(struct larder_counters *counters, enum larder_operation operation,
                               enum larder_status status, uint64_t calls);

/** The cell of a read that was answered OK. */
#define LARDER_READ_OK_CELL 1

static inline void larder__count_own(struct own_counters *own, uint8_t cell, uint64_t calls)
{
    uint64_t count = atomic_load_explicit(&own->cells[cell], memory_order_relaxed);
    atomic_store_explicit(&own->cells[cell], count + calls, memory_order_relaxed);
}

static inline void larder__count_call(struct larder_counters *counters,
                                      enum larder_operation operation, enum larder_status status)
{
    const struct larder_thread *thread = larder__own_thread;
    uint8_t cell = larder__hot_cells[operation][status - LARDER_CLOSED];
    struct own_counters *own = NULL;
    if (thread != NULL && cell != 0)
        own = atomic_load_explicit(&counters->own[thread->cell], memory_order_relaxed);
    if (__builtin_expect(own != NULL, 1))
        larder__count_own(own, cell, 1);
    else
        larder__count_call_slowly(counters, operation, status, 1);
}

/** Reads that were answered OK. */
static inline void larder__count_reads(struct larder_counters *counters, uint64_t calls)
{
    const struct larder_thread *thread = larder__own_thread;
    struct own_counters *own = NULL;
    if (__builtin_expect(thread != NULL, 1))
        own = atomic_load_explicit(&counters->own[thread->cell], memory_order_relaxed);
    if (__builtin_expect(own != NULL, 1))
        larder__count_own(own, LARDER_READ_OK_CELL, calls);
    else
        larder__count_call_slowly(counters, LARDER_OPERATION_READ, LARDER_OK, calls);
}

struct larder_totals {
    uint64_t calls[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES]; /* [..][status - LARDER_CLOSED] */
};
/** Adds a handle's figures to `totals`. */
void larder__counters_total(const struct larder_counters *counters, struct larder_totals *totals);
/** Writes every figure that is not 0 as "operation.STATUS". */
void larder__totals_rows(const struct larder_totals *totals, struct larder_stats_out *out);

#endif
