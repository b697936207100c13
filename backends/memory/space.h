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
#include "bytes.h"
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

#define SPACES_RECENT 16u

struct spaces {
    /* By the place of a name that was looked for: what was found there last. A guess, compared
     * before it is used; relaxed, since entries are complete before anybody finds them. */
    _Atomic(struct space *) recent[SPACES_RECENT];
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

/** What larder__space_number() does for a name that is not among the recent ones. */
uint32_t larder__space_look_up(struct spaces *spaces, struct larder_slice name);

static inline bool larder__space_is(const struct space *space, struct larder_slice name)
{
    return space->length == name.length &&
           larder__bytes_equal((const unsigned char *)space->name, name.data, name.length);
}

static inline _Atomic(struct space *) *larder__space_place(struct spaces *spaces,
                                                           struct larder_slice name)
{
    return &spaces->recent[(uintptr_t)name.data / 64 % SPACES_RECENT];
}

/** The number of a name that was entered before; else SPACE_UNKNOWN. Takes no lock. */
ALWAYS_INLINE uint32_t larder__space_number(struct spaces *spaces, struct larder_slice name)
{
    /* acquire: pairs with the release of larder__space_look_up() */
    const struct space *space =
        atomic_load_explicit(larder__space_place(spaces, name), memory_order_acquire);
    if (__builtin_expect(space == NULL || !larder__space_is(space, name), 0))
        return larder__space_look_up(spaces, name);
    return atomic_load_explicit(&space->number, memory_order_acquire);
}
/** The number of a name, a new one for a name that was never seen.
 * @param lacking_bytes  above 0 when it failed for that many bytes of the bound
 * @return SPACE_UNKNOWN: no memory or no room for it, or numbers are used up */
uint32_t larder__space_enter(struct spaces *spaces, struct larder_slice name,
                             uint64_t *lacking_bytes);
/** Where its number lies, until close, for who will ask for it often. Does not wait. Who is given
 * none looks the name up each time.
 * @return NULL: there is none, as above, or somebody else is entering a name */
const _Atomic uint32_t *larder__space_number_at(struct spaces *spaces, struct larder_slice name);
/** The name that has this number; of no bytes: none has. */
struct larder_slice larder__space_name(const struct spaces *spaces, uint32_t number);
/** Nothing of that name is found any more. @return false: numbers are used up */
bool larder__space_flush(struct spaces *spaces, struct larder_slice name);
/** Whether nothing that carries this number is found any more. A guess where there are many names:
 * false may be wrong. */
bool larder__space_is_stale(const struct spaces *spaces, uint32_t number);

#endif
