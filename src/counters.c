#include "counters.h"

#include <stdio.h>
#include <stdlib.h>

#define LOWEST_STATUS LARDER_CLOSED
#define STATUSES (LARDER_WOULD_BLOCK - LOWEST_STATUS + 1)
_Static_assert(STATUSES == LARDER_COUNTED_STATUSES, "struct larder_totals has a column per status");

/* Which of a thread's own cells an answer is counted in; 0: in none of them. */
#define HOT(operation, status) [LARDER_OPERATION_##operation][LARDER_##status - LOWEST_STATUS]
const uint8_t larder__hot_cells[LARDER_OPERATIONS][LARDER_COUNTED_STATUSES] = {
    HOT(READ, OK) = LARDER_TALLY_READ,
    HOT(READ, MISS) = 2,
    HOT(READ, PARTIAL) = 3,
    HOT(GET, OK) = LARDER_TALLY_GET,
    HOT(GET, MISS) = 5,
    HOT(STORE, OK) = 6,
    HOT(STORE, EXISTS) = 7,
    HOT(DELETE, OK) = 8,
    HOT(DELETE, MISS) = 9,
    HOT(TOUCH, OK) = 10,
    HOT(COUNT, OK) = 11,
    HOT(COUNT, MISS) = 12,
    HOT(LEASE_GET, OK) = 13,
    HOT(LEASE_GET, MISS) = 14,
    HOT(LEASE_FILL, OK) = 15,
};

struct larder_counters *larder__counters_new(void)
{
    return calloc(1, sizeof(struct larder_counters));
}

void larder__counters_free(struct larder_counters *counters)
{
    if (counters == NULL)
        return;
    for (size_t i = 0; i < LARDER_THREAD_CELLS; i++)
        free(atomic_load_explicit(&counters->own[i], memory_order_relaxed));
    free(counters);
}

/* @return NULL: the thread's number is too high, or there is no memory */
static struct larder_tally *own_tally(struct larder_counters *counters)
{
    const struct larder_thread *thread = larder_thread();
    if (thread == NULL || thread->cell == LARDER_THREAD_CELLS)
        return NULL;
    struct larder_tally *own =
        atomic_load_explicit(&counters->own[thread->cell], memory_order_relaxed);
    if (own != NULL)
        return own;
    own = aligned_alloc(LARDER_LINE_BYTES, sizeof(*own));
    if (own == NULL)
        return NULL;
    for (size_t i = 0; i < LARDER_TALLY_CELLS; i++)
        atomic_init(&own->cells[i], 0);
    /* release: pairs with the acquire of whoever adds up */
    atomic_store_explicit(&counters->own[thread->cell], own, memory_order_release);
    return own;
}

void larder__count_call_slowly(struct larder_counters *counters, enum larder_operation operation,
                               enum larder_status status, uint64_t calls)
{
    uint8_t cell = larder__hot_cells[operation][status - LOWEST_STATUS];
    struct larder_tally *own = cell != 0 ? own_tally(counters) : NULL;
    if (own != NULL)
        larder_tally_add(own, cell, calls);
    else
        atomic_fetch_add_explicit(&counters->shared[operation][status - LOWEST_STATUS], calls,
                                  memory_order_relaxed);
}

static void add_own(const struct larder_tally *own, struct larder_totals *totals)
{
    for (size_t i = 0; i < LARDER_OPERATIONS; i++)
        for (size_t j = 0; j < STATUSES; j++)
            if (larder__hot_cells[i][j] != 0)
                totals->calls[i][j] += atomic_load_explicit(&own->cells[larder__hot_cells[i][j]],
                                                            memory_order_relaxed);
}

void larder__counters_total(const struct larder_counters *counters, struct larder_totals *totals)
{
    for (size_t i = 0; i < LARDER_OPERATIONS; i++)
        for (size_t j = 0; j < STATUSES; j++)
            totals->calls[i][j] +=
                atomic_load_explicit(&counters->shared[i][j], memory_order_relaxed);
    for (size_t i = 0; i < LARDER_THREAD_CELLS; i++) {
        const struct larder_tally *own =
            atomic_load_explicit(&counters->own[i], memory_order_acquire);
        if (own != NULL)
            add_own(own, totals);
    }
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
