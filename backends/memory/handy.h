/*
 * Keys of 17 to 32 bytes, as most are: two loads of 16 bytes, which may overlap, hash them and
 * compare them. A processor has room for so many loads under way, and that is how many reads it
 * works on at once.
 */
#ifndef LARDER_MEMORY_HANDY_H
#define LARDER_MEMORY_HANDY_H

#include "bytes.h"

#if defined(__SSE2__)
typedef __m128i handy_half;
#else
typedef hash_sum handy_half;
#endif

struct handy {
    handy_half first, last;
};

ALWAYS_INLINE struct handy larder__handy_between(const unsigned char *begin,
                                                 const unsigned char *end)
{
    struct handy handy;
    memcpy(&handy.first, begin, sizeof(handy.first));
    memcpy(&handy.last, end - 16, sizeof(handy.last));
    return handy;
}

ALWAYS_INLINE struct handy larder__handy_load(const unsigned char *bytes, size_t length)
{
    return larder__handy_between(bytes, bytes + length);
}

ALWAYS_INLINE void larder__handy_store(unsigned char *bytes, struct handy handy, size_t length)
{
    memcpy(bytes, &handy.first, sizeof(handy.first));
    memcpy(bytes + length - 16, &handy.last, sizeof(handy.last));
}

#if defined(__SSE2__)
ALWAYS_INLINE bool larder__handy_equal(struct handy one, struct handy other)
{
#if LARDER_WIDTH == LARDER_WIDEST
    __mmask16 first = _mm_cmpeq_epi8_mask(one.first, other.first);
    __mmask16 both = _mm_mask_cmpeq_epi8_mask(first, one.last, other.last);
    return _kortestc_mask16_u8(both, both);
#else
    return _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(one.first, other.first),
                                           _mm_cmpeq_epi8(one.last, other.last))) == 0xffff;
#endif
}

/* As larder__hash_pair() of the two words. */
ALWAYS_INLINE hash_sum larder__handy_pair(const uint64_t *secret, handy_half half)
{
    __m128i words = _mm_add_epi64(half, _mm_loadu_si128((const __m128i *)(const void *)secret));
    return (hash_sum)(uint64_t)_mm_cvtsi128_si64(words) *
           (uint64_t)_mm_cvtsi128_si64(_mm_shuffle_epi32(words, 0xee));
}
#else
ALWAYS_INLINE bool larder__handy_equal(struct handy one, struct handy other)
{
    return ((one.first ^ other.first) | (one.last ^ other.last)) == 0;
}

ALWAYS_INLINE hash_sum larder__handy_pair(const uint64_t *secret, handy_half half)
{
    uint64_t words[2];
    memcpy(words, &half, sizeof(words));
    return larder__hash_pair(secret, words[0], words[1]);
}
#endif

/** What larder__hash() makes of the same bytes, on a processor that is NARROW. */
ALWAYS_INLINE uint64_t larder__handy_hash(const struct hash_key *key, struct handy handy,
                                          size_t length, uint32_t space)
{
#ifdef LARDER_CONSTANT_HASH
    (void)key, (void)handy, (void)length, (void)space;
    return 0;
#else
    hash_sum sum = larder__handy_pair(key->words, handy.first) +
                   larder__handy_pair(key->words + 2, handy.last);
    return larder__hash_fold(key, sum, length, space);
#endif
}

#endif
