/* What a hot cache remembers of keys. */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

struct table *hot_table_new(uint64_t seed)
{
    struct table *table = aligned_alloc(LARDER_LINE_BYTES, sizeof(*table));
    if (table == NULL)
        return NULL;
    memset(table, 0, sizeof(*table)); /* every atomic is 0 */
    atomic_init(&table->users, 1);
    table->seed = seed != 0 ? seed : larder_random();
    table->hash.words[0] = table->seed;
    table->hash.words[1] = seed != 0 ? ~seed : larder_random();
    return table;
}

struct table *hot_table_share(struct table *table)
{
    atomic_fetch_add_explicit(&table->users, 1, memory_order_relaxed);
    return table;
}

void hot_table_release(struct table *table)
{
    /* acq_rel: the last one frees it after all the others are done with it */
    if (atomic_fetch_sub_explicit(&table->users, 1, memory_order_acq_rel) == 1)
        free(table);
}

struct slot *hot_slot(struct table *table, const struct larder_space *space,
                      struct larder_slice key)
{
    uint64_t hash = 0;
    if (space != NULL)
        hash = larder_hash(&table->hash, hash, space->name.data, space->name.length);
    return &table->slots[larder_hash(&table->hash, hash, key.data, key.length) % HOT_SLOTS];
}

int hot_roll(struct table *table, uint64_t one_in)
{
    if (one_in == 1)
        return 1;
    const struct larder_hash_key key = {
        {table->seed, atomic_fetch_add_explicit(&table->rolls, 1, memory_order_relaxed)}};
    return larder_hash(&key, 0, NULL, 0) % one_in == 0;
}

/* ---- figures ------------------------------------------------------------------------------- */

void hot_count(struct table *table, enum hot_figure figure)
{
    const struct larder_thread *thread = larder_thread();
    uint32_t number = thread != NULL ? thread->cell : LARDER_THREAD_CELLS;
    _Atomic uint64_t *cell = &table->figures[number].cells[figure];
    if (number == LARDER_THREAD_CELLS)
        atomic_fetch_add_explicit(cell, 1, memory_order_relaxed);
    else
        atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

uint64_t hot_figure(const struct table *table, enum hot_figure figure)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= LARDER_THREAD_CELLS; i++)
        sum += atomic_load_explicit(&table->figures[i].cells[figure], memory_order_relaxed);
    return sum;
}
