#include "counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LOWEST_STATUS LARDER_CLOSED
#define STATUSES (LARDER_WOULD_BLOCK - LOWEST_STATUS + 1)
#define STRIPES 4
#define LINE_BYTES 64

_Static_assert(STATUSES == 19, "struct larder_totals has a column per status");

struct stripe {
    /* relaxed: figures order nothing */
    _Alignas(LINE_BYTES) _Atomic uint64_t calls[LARDER_OPERATIONS][STATUSES];
};

struct larder_counters {
    struct stripe stripes[STRIPES];
};

struct larder_counters *larder__counters_new(void)
{
    struct larder_counters *counters = aligned_alloc(LINE_BYTES, sizeof(*counters));
    if (counters == NULL)
        return NULL;
    for (size_t stripe = 0; stripe < STRIPES; stripe++)
        for (size_t i = 0; i < LARDER_OPERATIONS; i++)
            for (size_t j = 0; j < STATUSES; j++)
                atomic_init(&counters->stripes[stripe].calls[i][j], 0);
    return counters;
}

void larder__counters_free(struct larder_counters *counters)
{
    free(counters);
}

/* Threads' descriptors lie a stack apart; the upper bits of a product spread them. */
static size_t own_stripe(void)
{
    uint64_t thread = (uint64_t)(uintptr_t)pthread_self();
    return (size_t)((thread * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % STRIPES;
}

void larder__count_call(struct larder_counters *counters, enum larder_operation operation,
                        enum larder_status status)
{
    struct stripe *stripe = &counters->stripes[own_stripe()];
    atomic_fetch_add_explicit(&stripe->calls[operation][status - LOWEST_STATUS], 1,
                              memory_order_relaxed);
}

void larder__counters_total(const struct larder_counters *counters, struct larder_totals *totals)
{
    for (size_t stripe = 0; stripe < STRIPES; stripe++)
        for (size_t i = 0; i < LARDER_OPERATIONS; i++)
            for (size_t j = 0; j < STATUSES; j++)
                totals->calls[i][j] += atomic_load_explicit(&counters->stripes[stripe].calls[i][j],
                                                            memory_order_relaxed);
}

static const char *const operation_names[LARDER_OPERATIONS] = {
#define OPERATION_NAME(name, text) #text,
    LARDER_OPERATION_TABLE(OPERATION_NAME)
#undef OPERATION_NAME
};

void larder__totals_rows(const struct larder_totals *totals, struct larder_stats_out *out)
{
    for (size_t i = 0; i < LARDER_OPERATIONS; i++)
        for (int j = 0; j < STATUSES; j++) {
            if (totals->calls[i][j] == 0)
                continue;
            char name[sizeof(((struct larder_stat *)0)->name)];
            snprintf(name, sizeof(name), "%s.%s", operation_names[i],
                     larder_status_name((enum larder_status)(j + LOWEST_STATUS)));
            larder_stat_add(out, name, totals->calls[i][j]);
        }
}
