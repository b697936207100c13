/*
 * The index: where the item of a key lies. Buckets of one cache line, each with 12 tags (8 bits of
 * the hash) and 12 locations, and a chain of overflow buckets behind those that are full. It grows
 * and shrinks a bucket at a time (linear hashing: Litwin, 1980), so nothing ever waits for it.
 *
 * Readers take no lock. Writers hold the lock of the key's stripe: a stripe is what has the same
 * lowest bits in its hashes, so a bucket, what it is split into, and its chain all belong to one.
 *
 *          | find      | slot_*, split, merge
 *   find   | any time  | any time
 *   slot_* |           | under the lock of the stripe
 *   split, merge |     | under the lock of the stripe and that of growth
 *
 * What makes a reader right:
 * - A slot's item is replaced by one store, so a key that is there is never missing meanwhile.
 * - A reader that found nothing looks whether an entry could have moved past it: entries move only
 *   in a split or merge, from their old bucket to a new one (then the shape has changed before the
 *   old one is cleared), or within a chain, into a bucket further in front (then the first bucket's
 *   sequence has, which is loaded before any tag). It looks again.
 * - One that stood still meanwhile must not take a shape or a sequence that has come round for what
 *   it was: another era has begun then.
 */
#ifndef LARDER_MEMORY_INDEX_H
#define LARDER_MEMORY_INDEX_H

#include <stdalign.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "segment.h"

#define BUCKET_SLOTS 12u
#define BUCKET_SLOTS_MASK 0xfffu
/* Entries a bucket, on average, when the index grows. Buckets that were not split yet in a round
 * have up to twice as many as those that were, so more than 7 of 12 leaves too many in overflow
 * buckets: with 9, reads of cold keys measured 10 % slower, for 1.3 bytes less an entry. */
#define BUCKETS_PER_LOAD 7u

struct bucket {
    /* Bytes 0 to 7 and 8 to 11 are tags; then a byte, and 24 bits of the number of the overflow
     * bucket behind, plus 1. The byte is the sequence, which counts moves within the chain, of a
     * first bucket; of an overflow bucket it is 0 while that is in a chain. Tag 0: a free slot.
     * Stored with release, loaded with acquire: who sees a tag sees what was done before. */
    alignas(64) _Atomic uint64_t tags[2];
    /* 0: none. Stored with release, loaded with acquire: who sees a location sees the item. */
    _Atomic uint32_t locations[BUCKET_SLOTS];
};

_Static_assert(sizeof(struct bucket) == 64, "a bucket is a cache line");

/* How many buckets there are: 2^level + split, of which the first `split` were split already. The
 * upper half is 2^level - 1. */
#define SHAPE_MASK(shape) ((uint32_t)((shape) >> 32))
#define SHAPE_SPLIT(shape) ((uint32_t)(shape))
#define SHAPE_LEVEL(shape) ((unsigned)__builtin_popcount(SHAPE_MASK(shape)))

struct index {
    struct bucket *buckets;  /* set when opened, then only read */
    struct bucket *overflow; /* likewise */
    struct budget *budget;
    size_t step_bytes; /* how much memory is added at a time */
    size_t left_bytes; /* of the bound, that growing leaves: for segments to be emptied */
    /* Stored with release under the lock of growth, when what it says is true; loaded with
     * acquire. */
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t shape;
    /* Begun anew by each change of the shape, before that is published, and at every 128th move of
     * a bucket: so between two equal shapes, or two equal sequences of a bucket, lie two. Added to
     * with release; loaded with acquire, before all else and after it. */
    _Atomic uint64_t era;
    /* The rest is touched only by writers. */
    alignas(LARDER_LINE_BYTES) struct brief_lock lock; /* of the overflow pool; under a stripe's */
    struct {                                           /* touched only while holding lock */
        struct region overflow;
        uint32_t overflow_fresh; /* from here on they were never used */
        uint32_t overflow_free;  /* the first that is free again, plus 1 */
        uint32_t overflow_used;
    } guarded;
    struct region region; /* of buckets; guarded by the lock of growth */
    struct index *next;   /* of those that a flush replaced; likewise */
    uint32_t retired_epoch;
};

/** Has one bucket, and no entry. All memories that were shut down share it; nobody writes to it. */
extern struct index larder__index_of_nothing;

static inline uint8_t larder__tag_of(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 56);
    return (uint8_t)(tag + (tag == 0)); /* 0 is no tag */
}

static inline size_t larder__shape_bucket(uint64_t shape, uint64_t hash)
{
    /* of 64 bits throughout, so that nothing has to be extended */
    uint64_t mask = shape >> 32, further = hash & (2 * mask + 1), number = further & mask;
    /* there in any case, so that no branch, which nothing could predict, chooses */
    __asm__("" : "+r"(further));
    return (uint32_t)number < SHAPE_SPLIT(shape) ? further : number;
}

static inline uint32_t larder__shape_buckets(uint64_t shape)
{
    return SHAPE_MASK(shape) + 1 + SHAPE_SPLIT(shape);
}

/* Both words of tags. */
#if LARDER_MATCHES_AT_ONCE
/** What tags are compared with: in each byte the one that is looked for. */
typedef __m128i tag_pattern;

ALWAYS_INLINE tag_pattern larder__tag_pattern(uint64_t hash)
{
    return _mm_set1_epi8((char)larder__tag_of(hash));
}

ALWAYS_INLINE unsigned larder__bucket_match_atomic(const struct bucket *bucket, tag_pattern wanted)
{
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)bucket);
    atomic_signal_fence(memory_order_acquire);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, wanted)) & BUCKET_SLOTS_MASK;
}
#endif

static inline unsigned larder__bucket_match(uint64_t tags0, uint64_t tags1, uint8_t tag);

#if !LARDER_MATCHES_AT_ONCE
typedef uint8_t tag_pattern;

ALWAYS_INLINE tag_pattern larder__tag_pattern(uint64_t hash)
{
    return larder__tag_of(hash);
}

ALWAYS_INLINE unsigned larder__bucket_match_atomic(const struct bucket *bucket, tag_pattern tag)
{
    return larder__bucket_match(atomic_load_explicit(&bucket->tags[0], memory_order_acquire),
                                atomic_load_explicit(&bucket->tags[1], memory_order_acquire), tag);
}
#endif

static inline uint32_t larder__bucket_overflow(uint64_t tags1)
{
    return (uint32_t)(tags1 >> 40);
}

/* A bit for each slot that is free. Under the stripe's lock. */
ALWAYS_INLINE unsigned larder__bucket_free(const struct bucket *bucket)
{
#if LARDER_MATCHES_AT_ONCE
    return larder__bucket_match_atomic(bucket, _mm_setzero_si128());
#else
    return larder__bucket_match_atomic(bucket, 0);
#endif
}

/* Whether there is an overflow bucket behind. Under the stripe's lock. */
ALWAYS_INLINE bool larder__bucket_has_more(const struct bucket *bucket)
{
    return larder__bucket_overflow(atomic_load_explicit(&bucket->tags[1], memory_order_relaxed)) !=
           0;
}

/* The location in the first of the slots that were found. (Told in bytes, the compiler adds it to
 * the address in the same instruction.) */
ALWAYS_INLINE uint32_t larder__bucket_location(const struct bucket *bucket, unsigned found)
{
    const char *locations = (const char *)bucket->locations;
    size_t offset = sizeof(bucket->locations[0]) * (size_t)(unsigned)__builtin_ctz(found);
    return atomic_load_explicit((const _Atomic uint32_t *)(const void *)(locations + offset),
                                memory_order_acquire);
}

/** Asks for the key of the first item whose tag fits. @return false: none does */
ALWAYS_INLINE bool larder__ask_for_first(const struct arena *arena, const struct bucket *bucket,
                                         tag_pattern wanted)
{
    unsigned found = larder__bucket_match_atomic(bucket, wanted);
    if (found != 0)
        larder__ask_for_key(larder__item_at(arena, larder__bucket_location(bucket, found)));
    return found != 0;
}

/* A bit for each slot with that tag. */
static inline unsigned larder__bucket_match(uint64_t tags0, uint64_t tags1, uint8_t tag)
{
#if defined(__SSE2__)
    __m128i tags = _mm_set_epi64x((long long)tags1, (long long)tags0);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) &
           BUCKET_SLOTS_MASK;
#else
    unsigned found = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t word = i < 8 ? tags0 >> 8 * i : tags1 >> 8 * (i - 8);
        found |= (unsigned)((uint8_t)word == tag) << i;
    }
    return found;
#endif
}

static inline struct bucket *larder__index_bucket(const struct index *index, uint64_t shape,
                                                  uint64_t hash)
{
    return &index->buckets[larder__shape_bucket(shape, hash)];
}

/** The overflow bucket behind; NULL: there is none. Without the stripe's lock what is in it may
 * have moved, and it may be in another chain by now. */
static inline struct bucket *larder__index_behind(const struct index *index,
                                                  const struct bucket *bucket)
{
    uint32_t number =
        larder__bucket_overflow(atomic_load_explicit(&bucket->tags[1], memory_order_acquire));
    return number != 0 ? &index->overflow[number - 1] : NULL;
}

static inline uint64_t larder__index_shape(const struct index *index)
{
    return atomic_load_explicit(&index->shape, memory_order_acquire);
}

/* The item of a key among those of a bucket whose tags were read. */
ALWAYS_INLINE struct item *larder__bucket_find(const struct arena *arena,
                                               const struct bucket *bucket, uint64_t tags0,
                                               uint64_t tags1, const struct key *key)
{
    unsigned found = larder__bucket_match(tags0, tags1, larder__tag_of(key->hash));
    for (; found != 0; found &= found - 1) {
        uint32_t location =
            atomic_load_explicit(&bucket->locations[__builtin_ctz(found)], memory_order_acquire);
        struct item *item = larder__item_at(arena, location);
        larder__prefetch_item(item);
        if (__builtin_expect(location != 0 && larder__item_has_key(item, key), 1))
            return item;
    }
    return NULL;
}

/** What a reader saw of the index before it looked at any entry. */
struct outlook {
    uint64_t era, shape;
    const struct bucket *bucket; /* the key's own */
    uint64_t tags1;              /* of that: the sequence and the chain */
};

ALWAYS_INLINE struct outlook larder__index_outlook(const struct index *index, uint64_t hash)
{
    struct outlook outlook;
    outlook.era = atomic_load_explicit(&index->era, memory_order_acquire);
    outlook.shape = larder__index_shape(index);
    outlook.bucket = larder__index_bucket(index, outlook.shape, hash);
    outlook.tags1 = atomic_load_explicit(&outlook.bucket->tags[1], memory_order_acquire);
    return outlook;
}

/** Whether nothing can have moved past who saw that. */
ALWAYS_INLINE bool larder__outlook_holds(const struct index *index, const struct outlook *before)
{
    uint64_t tags1 = atomic_load_explicit(&before->bucket->tags[1], memory_order_acquire);
    return before->tags1 >> 32 == tags1 >> 32 && before->shape == larder__index_shape(index) &&
           before->era == atomic_load_explicit(&index->era, memory_order_acquire);
}

/** In the key's own bucket. */
ALWAYS_INLINE struct item *larder__index_find_first(const struct arena *arena,
                                                    const struct key *key,
                                                    const struct outlook *outlook)
{
    uint64_t tags0 = atomic_load_explicit(&outlook->bucket->tags[0], memory_order_acquire);
    return larder__bucket_find(arena, outlook->bucket, tags0, outlook->tags1, key);
}

/** What larder__index_find() does when that does not have it. */
struct item *larder__index_find_further(const struct index *index, const struct arena *arena,
                                        const struct key *key, const struct outlook *before);

/** Finds the item of a key. Within a section of the arena's epoch, or under the stripe's lock.
 * @return NULL: there is none */
ALWAYS_INLINE struct item *larder__index_find(const struct index *index, const struct arena *arena,
                                              const struct key *key)
{
    struct outlook outlook = larder__index_outlook(index, key->hash);
    struct item *item = larder__index_find_first(arena, key, &outlook);
    if (__builtin_expect(item != NULL, 1))
        return item;
    if (larder__bucket_overflow(outlook.tags1) == 0 && larder__outlook_holds(index, &outlook))
        return NULL;
    return larder__index_find_further(index, arena, key, &outlook);
}

/** A place in the index. */
struct slot {
    struct bucket *bucket;
    unsigned number;
};

/** What an index of its first size takes, in whole pages. */
size_t larder__index_least_bytes(unsigned level);
/** @param prepaid  its least bytes were taken from the budget by the caller: they are its charge
 * now
 * @return false: no addresses, or not within the bound */
bool larder__index_open(struct index *index, struct budget *budget, size_t reserved_bytes,
                        unsigned level, size_t step_bytes, bool huge, bool prepaid);
/** Gives its memory and its charge back, for good. Who still looks at its buckets finds nothing.
 * @param kept_bytes  of its charge, that stay taken */
void larder__index_empty(struct index *index, uint64_t kept_bytes);
/** Likewise, and its addresses. */
void larder__index_close(struct index *index);
/** What it is charged; 0 once it is empty. */
uint64_t larder__index_bytes(struct index *index);

/* Under the lock of the key's stripe. */
/** Finds the slot of a key. @return its item; NULL: there is none */
struct item *larder__slot_find(struct index *index, const struct arena *arena,
                               const struct key *key, struct slot *slot);
/** Finds the slot that holds this very location. @return false: it is found no more */
bool larder__slot_holds(struct index *index, uint64_t hash, uint32_t location, struct slot *slot);
/** Finds a free slot in the buckets that there are. @return false: there is none */
bool larder__slot_spare(struct index *index, uint64_t hash, struct slot *slot);
/** Finds a free slot, with an overflow bucket more if need be. @return false: no memory for that */
bool larder__slot_free(struct index *index, uint64_t hash, struct slot *slot);
void larder__slot_fill(struct slot slot, uint64_t hash, uint32_t location);
/** Another item of the same key. */
static inline void larder__slot_replace(struct slot slot, uint32_t location)
{
    atomic_store_explicit(&slot.bucket->locations[slot.number], location, memory_order_release);
}
/** Clears a slot. What lies at the end of the chain moves up, and an overflow bucket that is empty
 * then is given back: else, where entries come and go, every bucket has one in the end. Other slots
 * of the chain that were found before are not to be used any more. */
void larder__slot_clear(struct index *index, uint64_t hash, struct slot slot);

/** What a location's hash is computed from. */
struct item_hashes {
    const struct arena *arena;
    const struct hash_key *key;
};

/* Under the lock of growth, and, for the bucket that is named, of its stripe. */
/** The bucket that would be split next. */
uint32_t larder__index_next_split(const struct index *index);
/** Splits it. @return false: no memory; nothing changed */
bool larder__index_split(struct index *index, const struct item_hashes *hashes);
/** The bucket that would take another one's entries next. @return false: it is as small as it was
 * at first */
bool larder__index_next_merge(const struct index *index, unsigned first_level, uint32_t *bucket);
/** Merges it. Its memory stays until larder__index_trim(). @return false: no memory */
bool larder__index_merge(struct index *index);
/** Whether there is so much that it is worth it. */
bool larder__index_is_loose(const struct index *index);
/** Gives back the memory of buckets that were merged, once no reader can be in them.
 * @return how many bytes */
uint64_t larder__index_trim(struct index *index);

#endif
