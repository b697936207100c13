/*
 * An item: what lies in a segment for one entry. A header, the parts that this item has, the key,
 * the value, in a row; nothing of it is ever changed once it is published, except where it says so.
 * A changed entry is another item.
 *
 *   bytes  0           2      3  4       8        12            14       15         16
 *          key length  marks  0  expiry  version  value length  history  frequency  parts, ...
 *
 * Time is in milliseconds since the cache was opened, plus 3 (clock.h). An expiry of 0 is never.
 */
#ifndef LARDER_MEMORY_ITEM_H
#define LARDER_MEMORY_ITEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <larder/util/epoch.h>

#include "bytes.h"
#include "hash.h"

/** Items begin at multiples of this; a location counts in it. 2^32 of them are 16 GiB. */
#define ITEM_UNIT 4u

/* Parts, in the order in which they lie. */
#define ITEM_FLAGS 1u  /* u32: the caller's flags, when they are not 0 */
#define ITEM_SPACE 2u  /* u32: the number of its namespace */
#define ITEM_FAR 4u    /* u32: upper half of an expiry that does not fit 32 bits (49 days) */
#define ITEM_SLIDES 8u /* u32: each hit gives the entry this TTL anew */
#define ITEM_LEASE 16u /* u64, u64: token and end of a lease */
#define ITEM_LARGE 32u /* u64, u64: a block that holds key and value, and the hash */
/* No parts. */
#define ITEM_ABSENT 64u /* a negative entry */

/** Longer values have a block of their own, which views can hold. */
#define VALUE_INLINE_MAX 4096u

/** What expired before the cache was opened: a lease without a value. */
#define EXPIRY_PAST 1u
/** A writer is about to decide: whoever finds such an item waits for it. No time, the first is 3.
 */
#define EXPIRY_CLAIMED 2u

struct item {
    uint16_t key_length;
    uint8_t marks;
    uint8_t zero;            /* so that the head can be compared as one */
    _Atomic uint32_t expiry; /* touched in place, later only, under the stripe's lock, or by a
                                sliding hit; for the orders see larder__item_claim() */
    uint32_t version;
    uint16_t value_length;
    /* What the policy knows of its past, see policy.h; of one that was dropped by a scan, what is
     * to be done yet, see scan.c. Relaxed: of whoever has the segment, or the stripe's lock. */
    _Atomic uint8_t history;
    _Atomic uint8_t frequency; /* relaxed, lossy: hits since the policy last looked */
    unsigned char parts[];
};

#define ITEM_HEADER_BYTES offsetof(struct item, parts)

/* The head: the first four, of which one is 0, in one word. Key length in bits 0 to 15, marks in 16
 * to 23, expiry in 32 to 63. */
#define HEAD_EXPIRY(head) ((uint32_t)((head) >> 32))
#define HEAD_KEY_AND_MARKS UINT64_C(0x00000000ffffffff)
#define HEAD_ALL UINT64_MAX

/** Of an item that never ends and has no part, or its space alone: what lies where is known without
 * looking at each part. */
static inline uint64_t larder__plain_head(size_t key_length, uint32_t space)
{
    return key_length | (space != 0 ? ITEM_SPACE : 0) << 16;
}

/** One load in the place of three, where nothing watches: a processor has room for so many loads
 * under way, and that is what many reads at once need. The expiry in it may be any that was there
 * meanwhile, whole: it crosses no line. The rest never changes. */
static inline uint64_t larder__item_head(const struct item *item)
{
#if LARDER_EPOCH_SYMMETRIC || !defined(__x86_64__)
    return item->key_length | (uint64_t)item->marks << 16 |
           (uint64_t)atomic_load_explicit(&item->expiry, memory_order_relaxed) << 32;
#else
    uint64_t head;
    memcpy(&head, item, sizeof(head));
    return head;
#endif
}

/** Writes a head, of an item that nobody knows yet. */
static inline void larder__item_set_head(struct item *item, uint64_t head)
{
#if LARDER_EPOCH_SYMMETRIC || !defined(__x86_64__)
    item->key_length = (uint16_t)head;
    item->marks = (uint8_t)(head >> 16);
    item->zero = 0;
    atomic_init(&item->expiry, HEAD_EXPIRY(head));
#else
    memcpy(item, &head, sizeof(head));
#endif
}

/* Of an item that has no part, or its space alone. */
static inline const unsigned char *larder__plain_key(const struct item *item, uint32_t space)
{
    return item->parts + (space != 0 ? sizeof(space) : 0);
}

static inline uint32_t larder__item_space(const struct item *item)
{
    uint32_t space;
    memcpy(&space, item->parts, sizeof(space));
    return space;
}

/* An item's lines, but for the first, which is asked for anyway. */
static inline void larder__prefetch_item(const struct item *item)
{
    __builtin_prefetch((const char *)item + 64);
    __builtin_prefetch((const char *)item + 128);
}

/* The first, and the one where a key of a common length ends. */
static inline void larder__ask_for_key(const struct item *item)
{
    __builtin_prefetch(item);
    __builtin_prefetch((const char *)item->parts + 31);
}

/* All of them, by whoever comes back later. */
static inline void larder__ask_for_item(const struct item *item)
{
    __builtin_prefetch(item);
    larder__prefetch_item(item);
}

/** What a key is found by. */
struct key {
    const unsigned char *bytes;
    size_t length;
    uint64_t hash;
    uint32_t space; /* 0: none */
};

/** A value too long, or a key, to be copied about: see large.h. */
struct large;

/** How many bytes the parts take. */
static inline size_t larder__parts_bytes(unsigned marks)
{
    static const uint8_t words_of[64] = {0, 1, 1, 2,  1, 2,  2,  3,  1, 2,  2,  3,  2,  3,  3,  4,
                                         4, 5, 5, 6,  5, 6,  6,  7,  5, 6,  6,  7,  6,  7,  7,  8,
                                         4, 5, 5, 6,  5, 6,  6,  7,  5, 6,  6,  7,  6,  7,  7,  8,
                                         8, 9, 9, 10, 9, 10, 10, 11, 9, 10, 10, 11, 10, 11, 11, 12};
    return 4u * (size_t)words_of[marks % 64];
}

/** Where a part begins. */
static inline const unsigned char *larder__part(const struct item *item, unsigned part)
{
    return item->parts + larder__parts_bytes(item->marks & (part - 1));
}

static inline uint32_t larder__part_u32(const struct item *item, unsigned part)
{
    uint32_t number = 0;
    if ((item->marks & part) != 0)
        memcpy(&number, larder__part(item, part), sizeof(number));
    return number;
}

static inline const unsigned char *larder__item_key(const struct item *item)
{
    return item->marks == 0 ? item->parts : item->parts + larder__parts_bytes(item->marks);
}

static inline size_t larder__item_bytes(size_t parts_bytes, size_t key_length, size_t value_length)
{
    size_t bytes = ITEM_HEADER_BYTES + parts_bytes + key_length + value_length;
    return (bytes + ITEM_UNIT - 1) / ITEM_UNIT * ITEM_UNIT;
}

/** What the item takes in its segment. */
static inline size_t larder__item_size(const struct item *item)
{
    return larder__item_bytes(larder__parts_bytes(item->marks), item->key_length,
                              item->value_length);
}

/** When its value ends, by the word in its header; UINT64_MAX: never. */
static inline uint64_t larder__item_expiry_of(const struct item *item, uint32_t low)
{
    if ((item->marks & ITEM_FAR) != 0)
        return (uint64_t)larder__part_u32(item, ITEM_FAR) << 32 | low;
    return low != 0 ? low : UINT64_MAX;
}

/** When its value ends; UINT64_MAX: never. Under the stripe's lock, of one that is not claimed. */
static inline uint64_t larder__item_expiry_ms(const struct item *item)
{
    return larder__item_expiry_of(item, atomic_load_explicit(&item->expiry, memory_order_relaxed));
}

/*
 * Claiming: readers judge by the time without a lock, so what a writer decides by the time, it
 * decides while nobody judges: it claims the item, reads the clock, and then replaces the item or
 * gives it a date. A few instructions; readers that come meanwhile wait for the stripe's lock.
 */
static inline uint32_t larder__item_expiry(const struct item *item)
{
    /* acquire: pairs with the exchange of the claim */
    return atomic_load_explicit(&item->expiry, memory_order_acquire);
}

/** Under the stripe's lock. @return what the header says, for larder__item_unclaim() */
static inline uint32_t larder__item_claim(struct item *item)
{
    /* seq_cst: who reads the clock afterwards reads it after readers can see the claim */
    return atomic_exchange_explicit(&item->expiry, EXPIRY_CLAIMED, memory_order_seq_cst);
}

static inline void larder__item_unclaim(struct item *item, uint32_t expiry)
{
    atomic_store_explicit(&item->expiry, expiry, memory_order_release); /* as larder__item_date() */
}

/** The word in the header for such an end. */
static inline uint32_t larder__expiry_word(uint64_t expiry_ms)
{
    uint32_t low = expiry_ms == UINT64_MAX ? 0 : (uint32_t)expiry_ms;
    return low == EXPIRY_CLAIMED ? EXPIRY_CLAIMED + 1 : low;
}

/** Gives a claimed item its end. The upper half stays: at its edge, every 49 days, the end is a
 * little too early rather than wrong. */
static inline void larder__item_date(struct item *item, uint64_t expiry_ms)
{
    uint64_t half = (item->marks & ITEM_FAR) != 0 ? larder__part_u32(item, ITEM_FAR) : 0;
    bool fits = expiry_ms >> 32 == half || (expiry_ms == UINT64_MAX && half == 0);
    uint32_t low = fits ? larder__expiry_word(expiry_ms) : UINT32_MAX;
    /* release: pairs with the acquire of larder__item_expiry() */
    atomic_store_explicit(&item->expiry, low, memory_order_release);
}

/** A lease: token 0: none. */
struct item_lease {
    uint64_t token;
    uint64_t end_ms;
};

static inline struct item_lease larder__item_lease(const struct item *item)
{
    struct item_lease lease = {0, 0};
    if ((item->marks & ITEM_LEASE) != 0)
        memcpy(&lease, larder__part(item, ITEM_LEASE), sizeof(lease));
    return lease;
}

/** When nothing is left of it, neither value nor lease. */
static inline uint64_t larder__item_end_ms(const struct item *item)
{
    uint64_t expiry_ms = larder__item_expiry_ms(item);
    if ((item->marks & ITEM_LEASE) == 0)
        return expiry_ms;
    struct item_lease lease = larder__item_lease(item);
    return lease.end_ms > expiry_ms ? lease.end_ms : expiry_ms;
}

struct item_block {
    struct large *large;
    uint64_t hash;
};

static inline struct item_block larder__item_block(const struct item *item)
{
    struct item_block block = {NULL, 0};
    if ((item->marks & ITEM_LARGE) != 0)
        memcpy(&block, larder__part(item, ITEM_LARGE), sizeof(block));
    return block;
}

/** The hash of its key. */
static inline uint64_t larder__item_hash(const struct hash_key *key, const struct item *item)
{
    if ((item->marks & ITEM_LARGE) != 0)
        return larder__item_block(item).hash;
    return larder__hash(key, larder__item_key(item), item->key_length,
                        larder__part_u32(item, ITEM_SPACE));
}

/** What an item is made of. */
struct draft {
    struct item_lease lease; /* token 0: none */
    uint64_t expiry_ms;      /* UINT64_MAX: never */
    int64_t ttl_ms;      /* above 0: it ends so long after it is found, and at about expiry_ms */
    struct large *large; /* NULL: key and value lie in the item */
    const unsigned char *head, *tail; /* the value: both, one behind the other */
    size_t head_length, tail_length;
    uint32_t flags;
    uint32_t slides_ms; /* 0: it doesn't */
    uint32_t version;
    uint32_t marks; /* the item's, and what it takes: see larder__draft_measure() */
    size_t bytes;
    uint8_t frequency;
    uint8_t history;
    bool absent;
};

ALWAYS_INLINE unsigned larder__draft_marks(const struct draft *draft, const struct key *key)
{
    unsigned marks = draft->absent ? ITEM_ABSENT : 0;
    marks |= draft->flags != 0 ? ITEM_FLAGS : 0;
    marks |= key->space != 0 ? ITEM_SPACE : 0;
    marks |= draft->expiry_ms != UINT64_MAX && draft->expiry_ms > UINT32_MAX ? ITEM_FAR : 0;
    marks |= draft->slides_ms != 0 ? ITEM_SLIDES : 0;
    marks |= draft->lease.token != 0 ? ITEM_LEASE : 0;
    return marks | (draft->large != NULL ? ITEM_LARGE : 0);
}

/** Finds out what parts the item will have, and what it takes. */
ALWAYS_INLINE void larder__draft_measure(struct draft *draft, const struct key *key)
{
    draft->marks = larder__draft_marks(draft, key);
    size_t parts = draft->marks != 0 ? larder__parts_bytes(draft->marks) : 0;
    draft->bytes =
        draft->large != NULL
            ? larder__item_bytes(parts, 0, 0)
            : larder__item_bytes(parts, key->length, draft->head_length + draft->tail_length);
}

/** Writes it, once measured, at `place`, which has that many bytes. */
void larder__draft_write(const struct draft *draft, const struct key *key, struct item *place);
/** A draft that makes the same item again, all but its lease as it is; key and value stay where
 * they are. */
void larder__draft_of_item(const struct item *item, struct draft *draft);

/** Of an item with any parts. */
bool larder__marked_item_has_key(const struct item *item, const struct key *key);

ALWAYS_INLINE bool larder__item_has_key(const struct item *item, const struct key *key)
{
    if (__builtin_expect((item->marks & ~ITEM_ABSENT) != 0, 0))
        return larder__marked_item_has_key(item, key);
    return item->key_length == key->length && key->space == 0 &&
           larder__bytes_equal(item->parts, key->bytes, key->length);
}

#endif
