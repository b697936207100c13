#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int subject_init(struct subject *subject, const struct results *results, const char *name)
{
    subject->name = name;
    subject->others = calloc(results->plan->rounds + 1, sizeof(double));
    subject->cells = calloc(results->cell_count, sizeof(*subject->cells));
    if (subject->others == NULL || subject->cells == NULL)
        return 0;
    for (unsigned i = 0; i < results->cell_count * FIGURES; i++) {
        double *numbers = calloc(results->plan->rounds + 1, sizeof(double));
        if ((subject->cells[i / FIGURES].rounds[i % FIGURES] = numbers) == NULL)
            return 0;
    }
    return 1;
}

int results_init(struct results *results, const struct plan *plan)
{
    *results =
        (struct results){.plan = plan, .cell_count = plan->operation_count * plan->threads_count};
    for (unsigned i = 0; i < plan->uri_count; i++)
        if (!subject_init(&results->subjects[i], results, plan->uris[i]))
            return 0;
    return 1;
}

void results_clean_up(struct results *results)
{
    for (unsigned i = 0; i < results->plan->uri_count; i++) {
        struct subject *subject = &results->subjects[i];
        for (unsigned n = 0; subject->cells != NULL && n < results->cell_count * FIGURES; n++)
            free(subject->cells[n / FIGURES].rounds[n % FIGURES]);
        free(subject->cells);
        free(subject->others);
        free(subject->uri);
    }
}

static struct cell *cell_find(const struct results *results, struct subject *subject,
                              const char *operation, unsigned threads)
{
    for (unsigned i = 0; i < results->cell_count; i++)
        if (cell_threads(results->plan, i) == threads &&
            strcmp(plan_operation_name(cell_operation(results->plan, i)), operation) == 0)
            return &subject->cells[i];
    return NULL;
}

int results_take(struct results *results, struct subject *subject, unsigned round, const char *line)
{
    char operation[16];
    unsigned threads;
    double figures[FIGURES];
    if (sscanf(line, "clock\t%lf", &figures[0]) == 1) {
        if (results->clock_ns == 0 || figures[0] < results->clock_ns)
            results->clock_ns = figures[0]; /* the least disturbed reading */
        return 1;
    }
    if (sscanf(line, "memory\t%lf", &subject->memory_bytes) == 1)
        return 1;
    if (sscanf(line, "%15s\t%u\t%lf\t%lf\t%lf\t%lf\t%lf\t%lf\t%lf", operation, &threads,
               &figures[0], &figures[1], &figures[2], &figures[3], &figures[4], &figures[5],
               &figures[6]) != 2 + FIGURES)
        return 0;
    struct cell *cell = cell_find(results, subject, operation, threads);
    if (cell == NULL)
        return 0;
    for (unsigned i = 0; i < FIGURES; i++)
        cell->rounds[i][round] = figures[i];
    return 1;
}

void results_take_spare(struct results *results, struct subject *subject, unsigned round)
{
    unsigned spare = RESULTS_SPARE(results->plan);
    subject->others[round] = subject->others[spare];
    for (unsigned i = 0; i < results->cell_count * FIGURES; i++) {
        double *rounds = subject->cells[i / FIGURES].rounds[i % FIGURES];
        rounds[round] = rounds[spare];
    }
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

struct summary summary_of(const double *numbers, unsigned count)
{
    double sorted[PLAN_ROUNDS_MAX];
    memcpy(sorted, numbers, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_size);
    return (struct summary){.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
                            .least = sorted[0],
                            .most = sorted[count - 1]};
}

struct summary summary_to(const struct results *results, unsigned subject, unsigned base,
                          unsigned cell)
{
    double ratios[PLAN_ROUNDS_MAX];
    const double *mine = results->subjects[subject].cells[cell].rounds[FIGURE_RATE];
    const double *its = results->subjects[base].cells[cell].rounds[FIGURE_RATE];
    for (unsigned i = 0; i < results->plan->rounds; i++)
        ratios[i] = its[i] > 0 ? mine[i] / its[i] : 0;
    return summary_of(ratios, results->plan->rounds);
}
