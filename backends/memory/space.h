/*
 * Namespaces: a number for each name, which its items carry. Flushing one gives the name another
 * number, so that nothing that carries the old one is found any more. No number is given twice.
 */
#ifndef LARDER_MEMORY_SPACE_H
#define LARDER_MEMORY_SPACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <larder/backend.h>

#include "budget.h"
#include "hash.h"

#define SPACE_NONE 0u
#define SPACE_UNKNOWN UINT32_MAX

struct space {
    uint64_t hash;
    size_t length;
    char name[LARDER_NAMESPACE_BYTES_MAX];
    /* Stored with release by a flush, loaded with acquire by every call. */
    _Atomic uint32_t number;
    struct space *next; /* of all */
};

/* Open addressing; full entries never change. */
struct space_table {
    uint32_t mask;
    struct space_table *older; /* replaced by this one; readers may be in it until close */
    _Atomic(struct space *) entries[];
};

struct spaces {
    struct hash_key hash_key;
    struct budget *budget; /* names are never given up: their charge ends with the cache */
    /* Stored with release under lock, loaded with acquire. */
    _Atomic(struct space_table *) table;
    pthread_mutex_t lock; /* innermost */
    struct {              /* touched only while holding lock */
        uint32_t count;
        uint32_t last_number;
        uint64_t charged_bytes;
    } guarded;
    /* All of them, the newest first; `next` never changes. Stored with release, loaded with
     * acquire. */
    _Atomic(struct space *) first;
    _Atomic uint64_t flushes; /* relaxed: how many numbers went out of use */
};

void larder__spaces_open(struct spaces *spaces, struct budget *budget);
void larder__spaces_close(struct spaces *spaces);

/** The number of a name that was stored under before; else SPACE_UNKNOWN. Takes no lock. */
uint32_t larder__space_number(const struct spaces *spaces, struct larder_slice name);
/** The number of a name, a new one for a name that was never seen.
 * @param lacking_bytes  above 0 when it failed for that many bytes of the bound
 * @return SPACE_UNKNOWN: no memory or no room for it, or numbers are used up */
uint32_t larder__space_enter(struct spaces *spaces, struct larder_slice name,
                             uint64_t *lacking_bytes);
/** The name that has this number; of no bytes: none has. */
struct larder_slice larder__space_name(const struct spaces *spaces, uint32_t number);
/** Nothing of that name is found any more. @return false: numbers are used up */
bool larder__space_flush(struct spaces *spaces, struct larder_slice name);
/** Whether nothing that carries this number is found any more. A guess where there are many names:
 * false may be wrong. */
bool larder__space_is_stale(const struct spaces *spaces, uint32_t number);

#endif
