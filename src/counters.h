/*
 * How often each operation gave each answer: one general table from which all figures of the
 * contract come. Striped, so that threads rarely write the same line.
 */
#ifndef LARDER_COUNTERS_H
#define LARDER_COUNTERS_H

#include <larder/backend.h>

struct larder_counters;

struct larder_counters *larder__counters_new(void); /* NULL: no memory */
void larder__counters_free(struct larder_counters *counters);
void larder__count_call(struct larder_counters *counters, enum larder_operation operation,
                        enum larder_status status);

struct larder_totals {
    uint64_t calls[LARDER_OPERATIONS][19]; /* [operation][status - LARDER_CLOSED] */
};
/** Adds a handle's figures to `totals`. */
void larder__counters_total(const struct larder_counters *counters, struct larder_totals *totals);
/** Writes every figure that is not 0 as "operation.STATUS". */
void larder__totals_rows(const struct larder_totals *totals, struct larder_stats_out *out);

#endif
