/*
 * How often each operation gave each answer: one general table from which all figures of the
 * contract come. The common answers are counted in cells that a thread has for itself, made when it
 * first needs them, so that no two threads write one line and no call has a locked instruction in
 * it; everything else, and what comes from the 65th thread on, in a table that all share.
 */
#ifndef LARDER_COUNTERS_H
#define LARDER_COUNTERS_H

#include <larder/backend.h>
#include <larder/util/tally.h>

#define LARDER_COUNTED_STATUSES 19 /* from LARDER_CLOSED to LARDER_WOULD_BLOCK */

struct larder_counters {
    _Atomic(struct larder_tally *) own[LARDER_THREAD_CELLS + 1]; /* see larder_reader.tallies */
    /* relaxed */
    _Atomic uint64_t shared[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES];
};

extern const uint8_t larder__hot_cells[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES];

struct larder_counters *larder__counters_new(void); /* NULL: no memory */
void larder__counters_free(struct larder_counters *counters);
void larder__count_call_slowly(struct larder_counters *counters, enum larder_operation operation,
                               enum larder_status status, uint64_t calls);

static inline void larder__count_calls(struct larder_counters *counters,
                                       enum larder_operation operation, enum larder_status status,
                                       uint64_t calls)
{
    const struct larder_thread *thread = larder__own_thread;
    uint8_t cell = larder__hot_cells[operation][status - LARDER_CLOSED];
    struct larder_tally *own = NULL;
    if (thread != NULL && cell != 0)
        own = atomic_load_explicit(&counters->own[thread->cell], memory_order_relaxed);
    if (__builtin_expect(own != NULL, 1))
        larder_tally_add(own, cell, calls);
    else
        larder__count_call_slowly(counters, operation, status, calls);
}

static inline void larder__count_call(struct larder_counters *counters,
                                      enum larder_operation operation, enum larder_status status)
{
    larder__count_calls(counters, operation, status, 1);
}

struct larder_totals {
    uint64_t calls[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES]; /* [..][status - LARDER_CLOSED] */
};
/** Adds a handle's figures to `totals`. */
void larder__counters_total(const struct larder_counters *counters, struct larder_totals *totals);
/** Writes every figure that is not 0 as "operation.STATUS". */
void larder__totals_rows(const struct larder_totals *totals, struct larder_stats_out *out);

#endif
