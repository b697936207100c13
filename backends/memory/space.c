/* Namespaces: a small table that readers go through without a lock. */
#include "space.h"

#include <stdlib.h>

#define TABLE_ENTRIES_MIN 16u
#define HEAP_BYTES 16u /* that malloc() takes beside what it gives */
#define NUMBER_LAST (UINT32_MAX - 1)

static struct space_table *table_new(uint32_t entries)
{
    struct space_table *table = calloc(1, sizeof(*table) + entries * sizeof(table->entries[0]));
    if (table != NULL)
        table->mask = entries - 1;
    return table;
}

void larder__spaces_open(struct spaces *spaces, struct budget *budget)
{
    spaces->budget = budget;
    larder__hash_key_init(&spaces->hash_key);
    atomic_init(&spaces->table, NULL);
    pthread_mutex_init(&spaces->lock, NULL);
}

void larder__spaces_close(struct spaces *spaces)
{
    struct space_table *table = atomic_load_explicit(&spaces->table, memory_order_relaxed);
    while (table != NULL) {
        struct space_table *older = table->older;
        free(table);
        table = older;
    }
    struct space *space = atomic_load_explicit(&spaces->first, memory_order_relaxed);
    while (space != NULL) {
        struct space *next = space->next;
        free(space);
        space = next;
    }
    pthread_mutex_destroy(&spaces->lock);
}

static uint64_t hash_of(const struct spaces *spaces, struct larder_slice name)
{
    return larder__hash(&spaces->hash_key, name.data, name.length, 0);
}

static struct space *find(const struct spaces *spaces, struct larder_slice name, uint64_t hash)
{
    /* acquire: pairs with the release of whoever added a name or a larger table */
    struct space_table *table = atomic_load_explicit(&spaces->table, memory_order_acquire);
    if (table == NULL)
        return NULL;
    for (uint32_t i = (uint32_t)hash;; i++) {
        struct space *space =
            atomic_load_explicit(&table->entries[i & table->mask], memory_order_acquire);
        if (space == NULL || (space->hash == hash && larder__space_is(space, name)))
            return space;
    }
}

uint32_t larder__space_look_up(struct spaces *spaces, struct larder_slice name)
{
    struct space *space = find(spaces, name, hash_of(spaces, name));
    if (space == NULL)
        return SPACE_UNKNOWN;
    atomic_store_explicit(larder__space_place(spaces, name), space, memory_order_release);
    return atomic_load_explicit(&space->number, memory_order_acquire);
}

static void table_add(struct space_table *table, struct space *space)
{
    uint32_t i = (uint32_t)space->hash;
    while (atomic_load_explicit(&table->entries[i & table->mask], memory_order_relaxed) != NULL)
        i++;
    /* release: pairs with the acquire of find() */
    atomic_store_explicit(&table->entries[i & table->mask], space, memory_order_release);
}

/* Half of the table is always empty. @return 0: there is room in it; else how many it needs */
static uint32_t larger_table_locked(const struct spaces *spaces)
{
    const struct space_table *table = atomic_load_explicit(&spaces->table, memory_order_relaxed);
    if (table == NULL)
        return TABLE_ENTRIES_MIN;
    return spaces->guarded.count * 2 < table->mask ? 0 : (table->mask + 1) * 2;
}

/* What one name more is charged. */
static uint64_t charge_of(uint32_t table_entries)
{
    uint64_t table_bytes = sizeof(struct space_table) + table_entries * sizeof(struct space *);
    return sizeof(struct space) + HEAP_BYTES + (table_entries > 0 ? table_bytes + HEAP_BYTES : 0);
}

/* @return NULL: no memory */
static struct space_table *table_for_one_more_locked(struct spaces *spaces)
{
    struct space_table *table = atomic_load_explicit(&spaces->table, memory_order_relaxed);
    uint32_t entries = larger_table_locked(spaces);
    if (entries == 0)
        return table;
    struct space_table *larger = table_new(entries);
    if (larger == NULL)
        return NULL;
    larger->older = table;
    struct space *space = atomic_load_explicit(&spaces->first, memory_order_relaxed);
    for (; space != NULL; space = space->next)
        table_add(larger, space);
    atomic_store_explicit(&spaces->table, larger, memory_order_release);
    return larger;
}

static bool next_number_locked(struct spaces *spaces, uint32_t *number)
{
    if (spaces->guarded.last_number == NUMBER_LAST)
        return false;
    *number = ++spaces->guarded.last_number;
    return true;
}

/* What is charged stays charged: a table that was made for a name which then found no memory is
 * there for the next. */
static uint32_t make_locked(struct spaces *spaces, struct larder_slice name, uint64_t hash)
{
    uint32_t number;
    struct space *space;
    struct space_table *table = table_for_one_more_locked(spaces);
    space = table != NULL ? malloc(sizeof(*space)) : NULL;
    if (space == NULL || !next_number_locked(spaces, &number)) {
        free(space);
        return SPACE_UNKNOWN;
    }
    space->hash = hash;
    space->length = name.length;
    memcpy(space->name, name.data, name.length);
    atomic_init(&space->number, number);
    space->next = atomic_load_explicit(&spaces->first, memory_order_relaxed);
    atomic_store_explicit(&spaces->first, space, memory_order_release);
    spaces->guarded.count++;
    table_add(table, space);
    return number;
}

static uint32_t add_locked(struct spaces *spaces, struct larder_slice name, uint64_t hash,
                           uint64_t *lacking_bytes)
{
    const struct space *space = find(spaces, name, hash); /* somebody may have been faster */
    if (space != NULL)
        return atomic_load_explicit(&space->number, memory_order_relaxed);
    uint64_t bytes = charge_of(larger_table_locked(spaces));
    if (!larder__budget_take(spaces->budget, bytes)) {
        *lacking_bytes = bytes;
        return SPACE_UNKNOWN;
    }
    const struct space_table *before = atomic_load_explicit(&spaces->table, memory_order_relaxed);
    uint32_t number = make_locked(spaces, name, hash);
    uint64_t unused_bytes = 0;
    if (number == SPACE_UNKNOWN) {
        bool grown = before != atomic_load_explicit(&spaces->table, memory_order_relaxed);
        unused_bytes = grown ? charge_of(0) : bytes;
    }
    larder__budget_give(spaces->budget, unused_bytes);
    spaces->guarded.charged_bytes += bytes - unused_bytes;
    return number;
}

uint32_t larder__space_enter(struct spaces *spaces, struct larder_slice name,
                             uint64_t *lacking_bytes)
{
    *lacking_bytes = 0;
    uint32_t known = larder__space_number(spaces, name);
    if (known != SPACE_UNKNOWN)
        return known;
    uint64_t hash = hash_of(spaces, name);
    pthread_mutex_lock(&spaces->lock);
    uint32_t number = add_locked(spaces, name, hash, lacking_bytes);
    pthread_mutex_unlock(&spaces->lock);
    return number;
}

const _Atomic uint32_t *larder__space_number_at(struct spaces *spaces, struct larder_slice name)
{
    uint64_t hash = hash_of(spaces, name), lacking_bytes;
    struct space *space = find(spaces, name, hash);
    if (space == NULL && pthread_mutex_trylock(&spaces->lock) == 0) {
        (void)add_locked(spaces, name, hash, &lacking_bytes);
        pthread_mutex_unlock(&spaces->lock);
        space = find(spaces, name, hash);
    }
    return space != NULL ? &space->number : NULL;
}

bool larder__space_flush(struct spaces *spaces, struct larder_slice name)
{
    uint32_t number = 0;
    struct space *space = find(spaces, name, hash_of(spaces, name));
    if (space == NULL)
        return true; /* nothing was ever stored */
    pthread_mutex_lock(&spaces->lock);
    bool numbered = next_number_locked(spaces, &number);
    if (numbered) /* release: pairs with the acquire of every call */
        atomic_store_explicit(&space->number, number, memory_order_release);
    pthread_mutex_unlock(&spaces->lock);
    atomic_fetch_add_explicit(&spaces->flushes, 1, memory_order_relaxed);
    return numbered;
}

struct larder_slice larder__space_name(const struct spaces *spaces, uint32_t number)
{
    const struct space *space = atomic_load_explicit(&spaces->first, memory_order_acquire);
    for (; space != NULL && number != SPACE_NONE; space = space->next)
        if (atomic_load_explicit(&space->number, memory_order_relaxed) == number)
            return larder_bytes(space->name, space->length);
    return larder_bytes(NULL, 0);
}

#define LOOKED_AT_MAX 64

bool larder__space_is_stale(const struct spaces *spaces, uint32_t number)
{
    if (number == SPACE_NONE || atomic_load_explicit(&spaces->flushes, memory_order_relaxed) == 0)
        return false;
    const struct space *space = atomic_load_explicit(&spaces->first, memory_order_acquire);
    for (int i = 0; i < LOOKED_AT_MAX && space != NULL; i++, space = space->next)
        if (atomic_load_explicit(&space->number, memory_order_relaxed) == number)
            return false;
    return space == NULL;
}
