/* What the rounds found, and medians over them. */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "plan.h"

enum figure {
    FIGURE_RATE, /* operations per second */
    FIGURE_P50,  /* nanoseconds of one call, the clock's own cost included */
    FIGURE_P99,
    FIGURE_P999,
    FIGURE_CPU,  /* nanoseconds of processor time of the threads, per operation */
    FIGURE_HITS, /* ratio */
    FIGURE_FAILURES,
    FIGURES
};

/* One operation on so many threads over one URI. */
struct cell {
    double *rounds[FIGURES]; /* and one place more, RESULTS_SPARE() */
};

struct subject {
    const char *name;    /* as given on the command line */
    char *uri;           /* with a started server's socket in it */
    double memory_bytes; /* per item, of the first round; 0: not known */
    double *others;      /* per round: the share of the cores that other processes took */
    struct cell *cells;  /* operation_count * threads_count, threads innermost */
};

/* Where a further try of a round is kept until it is known to be better. */
#define RESULTS_SPARE(plan) ((plan)->rounds)

struct results {
    const struct plan *plan;
    unsigned cell_count;
    double clock_ns;
    struct subject subjects[PLAN_URIS_MAX];
};

struct summary {
    double median;
    double least;
    double most;
};

/** @return 0 when memory ran out */
int results_init(struct results *results, const struct plan *plan);
void results_clean_up(struct results *results);

/** Takes one line of measure.h's into a round. @return 0 for a line that is none */
int results_take(struct results *results, struct subject *subject, unsigned round,
                 const char *line);

/** Puts the spare round in the place of `round`. */
void results_take_spare(struct results *results, struct subject *subject, unsigned round);

/** Over `count` numbers. */
struct summary summary_of(const double *numbers, unsigned count);

/** Of a cell, round by round against that of subject `base` in the same round: speed, where 2 is
 * twice as many operations per second. */
struct summary summary_to(const struct results *results, unsigned subject, unsigned base,
                          unsigned cell);

static inline unsigned cell_operation(const struct plan *plan, unsigned cell)
{
    return plan->operations[cell / plan->threads_count];
}

static inline unsigned cell_threads(const struct plan *plan, unsigned cell)
{
    return plan->threads[cell % plan->threads_count];
}

#endif
