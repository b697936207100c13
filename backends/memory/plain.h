/* Finding what most entries are: nothing but key, value and namespace, with a key of any length,
 * and one of the usual length at its best. */
#ifndef LARDER_MEMORY_PLAIN_H
#define LARDER_MEMORY_PLAIN_H

#include "look.h"
#include "variant.h"

/* ---- what is looked for -------------------------------------------------------------------- */

struct wanted {
    struct larder_slice name;
    struct handy handy; /* where larder__is_handy() */
    uint32_t space;
    uint64_t hash;
    tag_pattern tag;
    uint64_t head_mask; /* what of its head is to be as if it never ended */
};

ALWAYS_INLINE void larder__want_handy(const struct memory *memory, struct wanted *wanted)
{
    const struct hash_key *key = &memory->hash_key;
    size_t length = wanted->name.length;
    wanted->handy = larder__handy_load(wanted->name.data, length);
#if LARDER_WIDTH != LARDER_NARROW && \
    LARDER_MATCHES_AT_ONCE /* the tag is the topmost byte, and not 0 */
    __m128i sum = larder__handy_sum_wide(key, wanted->handy, length, wanted->space);
    wanted->hash = (uint64_t)_mm_cvtsi128_si64(sum);
    sum = _mm_shuffle_epi8(sum, _mm_loadu_si128((const __m128i *)(const void *)key->topmost));
    wanted->tag = _mm_max_epu8(sum, _mm_loadu_si128((const __m128i *)(const void *)key->ones));
#else
    wanted->hash = HANDY_HASH(key, wanted->handy, length, wanted->space);
    wanted->tag = larder__tag_pattern(wanted->hash);
#endif
}

ALWAYS_INLINE struct wanted larder__want(const struct memory *memory, struct larder_slice name,
                                         uint32_t space, uint64_t now_ms)
{
    struct wanted wanted = {.name = name, .space = space};
    if (larder__is_handy(name.length)) {
        larder__want_handy(memory, &wanted);
    } else {
        wanted.hash = larder__hash(&memory->hash_key, name.data, name.length, space);
        wanted.tag = larder__tag_pattern(wanted.hash);
    }
    wanted.head_mask = now_ms == TIMELESS ? HEAD_ALL : HEAD_KEY_AND_MARKS;
    return wanted;
}

/* ---- where it lies ------------------------------------------------------------------------- */

/* An item with no part but its space. */
struct plain {
    struct item *item;
    uint64_t head;
    const unsigned char *value;
};

/* In the first of the slots whose tags fit, which is nearly always the only one.
 * @return false: it is anything else */
ALWAYS_INLINE bool larder__plain_in(const struct arena *arena, const struct bucket *bucket,
                                    unsigned found, const struct wanted *wanted,
                                    struct plain *plain)
{
    uint32_t location = larder__bucket_location(bucket, found);
    plain->item = larder__item_at(arena, location);
    plain->head = larder__item_head(plain->item);
    bool found_it = larder__plain_is_of(plain->item, plain->head & wanted->head_mask, wanted->name,
                                        wanted->handy, wanted->space, &plain->value);
    return __builtin_expect(found_it, 1);
}

/* Likewise, in its own bucket. */
ALWAYS_INLINE bool larder__find_plain(const struct memory *memory, const struct index *index,
                                      const struct wanted *wanted, struct plain *plain)
{
    const struct bucket *bucket =
        larder__index_bucket(index, larder__index_shape(index), wanted->hash);
    unsigned found = larder__bucket_match_atomic(bucket, wanted->tag);
    if (__builtin_expect(found == 0, 0))
        return false;
    return larder__plain_in(&memory->arena, bucket, found, wanted, plain);
}

#endif
