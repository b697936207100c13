/* An entry: key, value and what is known of them, in one allocation that views can outlive. */
#ifndef LARDER_MEMORY_ENTRY_H
#define LARDER_MEMORY_ENTRY_H

#include <larder/backend.h>
#include <larder/util/deadline.h>
#include <larder/util/uthash.h>

#include "ledger.h"

/** What an entry is found by: namespaces have keys of their own. */
struct key {
    struct larder_slice space; /* empty: none */
    struct larder_slice name;
    uint64_t hash; /* of both */
};

/** What an entry is made of. */
struct draft {
    struct larder_slice head, tail; /* the value is both, one behind the other */
    uint64_t expiry_ns;             /* LARDER_NEVER_NS: none */
    uint64_t lease_token;           /* 0: no lease */
    uint64_t lease_end_ns;
    uint32_t flags;
    bool absent;  /* a negative entry */
    bool appends; /* head points into the entry that is replaced */
};

/*
 * The bytes behind the struct (namespace, key, value) and the fields above `references` never
 * change; the rest is guarded by the shard's lock. A lease lives beside the value or, where the
 * value is dead (or never was), alone: the entry is then pending.
 */
struct entry {
    struct larder_owner owner; /* of views; first: a pointer to it is a pointer to the entry */
    struct ledger *ledger;
    size_t value_length;
    uint32_t key_length;
    uint32_t flags;
    uint8_t space_length;
    bool absent;
    _Atomic uint32_t references; /* the table's one, and one for each view */

    bool visited; /* read since the eviction hand came by */
    uint8_t wheel_level;
    uint64_t version;
    uint64_t sequence;  /* of the key's first store: a place among equal hashes */
    uint64_t expiry_ns; /* of the value */
    uint64_t lease_token;
    uint64_t lease_end_ns;
    struct entry *wheel_next;
    struct entry **wheel_link; /* what points to this entry; NULL: in no bucket */
    UT_hash_handle hh;
    unsigned char bytes[];
};

/** Far more than any heap holds, and far from overflowing. */
#define ENTRY_VALUE_MAX (SIZE_MAX / 4)

/** @return the most that such an entry is charged; UINT64_MAX for what no allocation can hold */
uint64_t larder__entry_bound(const struct key *key, const struct draft *draft);

/** Makes an entry with one reference. @return NULL as larder__allowance_allocate() */
struct entry *larder__entry_new(struct allowance *allowance, const struct key *key,
                                const struct draft *draft);

/** Gives one reference back; the last one frees the entry and counts its charge out. */
void larder__entry_release(struct entry *entry);

/** Holds while the shard's lock is held: only a holder of that lock makes new references. */
bool larder__entry_is_pinned(const struct entry *entry);

struct larder_slice larder__entry_key(const struct entry *entry);
struct larder_slice larder__entry_value(const struct entry *entry);
bool larder__entry_is_in(const struct entry *entry, struct larder_slice space);
bool larder__entry_has_key(const struct entry *entry, const struct key *key);

/** When nothing of the entry is left, neither value nor lease. */
uint64_t larder__entry_end_ns(const struct entry *entry);

void larder__entry_info(const struct entry *entry, uint64_t now_ns, struct larder_info *info);

/** Gives a view: a copy of a small value, a reference to a large one. @return OK or NO_MEMORY */
enum larder_status larder__entry_view(struct entry *entry, uint64_t now_ns,
                                      struct larder_value *value);

#endif
