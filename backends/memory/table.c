/*
 * uthash with two changes: its own arrays are charged to the ledger before they are allocated, and
 * keys compare as namespace and name without being joined. With HASH_NONFATAL_OOM uthash 2.3 undoes
 * an addition whose growth was refused, so the table is then as it was before.
 *
 * The macros expand `table` and `allowance` from the function they stand in.
 */
#define uthash_malloc(size) larder__allowance_allocate(allowance, size)
#define uthash_free(pointer, size) larder__ledger_free(table->ledger, pointer)
#define HASH_KEYCMP(entry, key, length) (!larder__entry_has_key(entry, key))

#include "table.h"

struct entry *larder__table_find(const struct table *table, const struct key *key)
{
    struct entry *entry;
    HASH_FIND_BYHASHVALUE(hh, table->oldest, key, (unsigned)key->name.length, (unsigned)key->hash,
                          entry);
    return entry;
}

bool larder__table_add(struct table *table, struct allowance *allowance, const struct key *key,
                       struct entry *entry)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->oldest, entry, key->name.length, (unsigned)key->hash,
                                entry);
    return larder_hash_added(entry);
}

void larder__table_remove(struct table *table, struct entry *entry)
{
    if (table->hand == entry)
        table->hand = entry->hh.next;
    HASH_DELETE(hh, table->oldest, entry);
}

uint64_t larder__table_count(const struct table *table)
{
    return HASH_COUNT(table->oldest);
}

struct entry *larder__table_next(const struct entry *entry)
{
    return entry->hh.next;
}

uint64_t larder__table_least_bytes(void)
{
    return larder__heap_bound(sizeof(UT_hash_table)) +
           larder__heap_bound(HASH_INITIAL_NUM_BUCKETS * sizeof(UT_hash_bucket));
}

static uint32_t reverse(uint32_t bits)
{
    bits = (bits & UINT32_C(0x55555555)) << 1 | (bits >> 1 & UINT32_C(0x55555555));
    bits = (bits & UINT32_C(0x33333333)) << 2 | (bits >> 2 & UINT32_C(0x33333333));
    bits = (bits & UINT32_C(0x0f0f0f0f)) << 4 | (bits >> 4 & UINT32_C(0x0f0f0f0f));
    return __builtin_bswap32(bits);
}

static struct table_place place_of(const struct entry *entry)
{
    struct table_place place = {reverse(entry->hh.hashv), entry->sequence};
    return place;
}

static bool before(struct table_place left, struct table_place right)
{
    return left.reversed != right.reversed ? left.reversed < right.reversed
                                           : left.sequence < right.sequence;
}

static struct entry *first_in_bucket(const UT_hash_table *hash, const UT_hash_bucket *bucket,
                                     struct table_place from)
{
    struct entry *first = NULL;
    for (UT_hash_handle *handle = bucket->hh_head; handle != NULL; handle = handle->hh_next) {
        struct entry *entry = ELMT_FROM_HH(hash, handle);
        if (!before(place_of(entry), from) &&
            (first == NULL || before(place_of(entry), place_of(first))))
            first = entry;
    }
    return first;
}

struct entry *larder__table_walk(const struct table *table, struct table_place *place,
                                 uint32_t buckets)
{
    if (table->oldest == NULL) {
        place->reversed = TABLE_PLACE_END;
        return NULL;
    }
    const UT_hash_table *hash = table->oldest->hh.tbl;
    unsigned shift = 32 - hash->log2_num_buckets;
    for (; buckets > 0 && place->reversed < TABLE_PLACE_END; buckets--) {
        uint64_t number = place->reversed >> shift;
        const UT_hash_bucket *bucket = &hash->buckets[reverse((uint32_t)number) >> shift];
        struct entry *entry = first_in_bucket(hash, bucket, *place);
        if (entry != NULL) {
            *place = place_of(entry);
            place->sequence++;
            return entry;
        }
        place->reversed = (number + 1) << shift;
        place->sequence = 0;
    }
    return NULL;
}
