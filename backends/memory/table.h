/* The index of one shard: uthash, charged to the ledger. */
#ifndef LARDER_MEMORY_TABLE_H
#define LARDER_MEMORY_TABLE_H

#include "entry.h"

/** Guarded by the lock of its shard. */
struct table {
    struct entry *oldest; /* uthash's head: entries hang in the order in which they were added */
    struct entry *hand;   /* where eviction looks next; NULL: at the oldest */
    struct ledger *ledger;
};

struct entry *larder__table_find(const struct table *table, const struct key *key);

/** Adds an entry, beside an older one of the same key if there is one: the newer is found.
 * @return false when the index would have to grow and may not (see the allowance), or cannot */
bool larder__table_add(struct table *table, struct allowance *allowance, const struct key *key,
                       struct entry *entry);
void larder__table_remove(struct table *table, struct entry *entry);

uint64_t larder__table_count(const struct table *table);
struct entry *larder__table_next(const struct entry *entry);

/** What an index of one entry takes. */
uint64_t larder__table_least_bytes(void);

/** A place in an order of the entries that no growth and no overwriting changes: the bits of the
 * hash read backwards, then the sequence. A bucket is one stretch of it, however many buckets there
 * are. */
struct table_place {
    uint64_t reversed; /* up to 2^32: behind all */
    uint64_t sequence;
};

/** Finds the first entry at or behind `place`, looking through `buckets` buckets at most, and moves
 * `place` to just behind it, or behind what was looked through. @return NULL when none was there */
struct entry *larder__table_walk(const struct table *table, struct table_place *place,
                                 uint32_t buckets);
#define TABLE_PLACE_END (UINT64_C(1) << 32)

#endif
