/*
 * The hash of a handy key on processors that have instructions for AES: the first half takes two
 * rounds, the last is added and takes a third, then length and namespace are added, and all take
 * two more; under secrets. Whoever chose two keys whose first halves differ, two rounds of AES give
 * them a certain difference, the one that the last halves would undo, with a probability of
 * 53 / 2^34 at most (Keliher and Sui, "Exact maximum expected differential and linear probability
 * for two-round Advanced Encryption Standard", 2007). Where first halves are the same, a difference
 * of the last ones is that of a length or a number after a round only if four bytes of it meet as
 * they should: 2^-24. What it takes to slow down a table is thousands in one bucket. (With one
 * round in the place of two, of 65,536 keys that differ in a byte of each half 256 would share each
 * hash, and with length added before the last half, one of 255 keys would have another one's hash.)
 * It is a fourth of the instructions of the one in hash.h, and they are what counts of a hit: see
 * hit.c.
 */
#ifndef LARDER_MEMORY_HANDY_WIDE_H
#define LARDER_MEMORY_HANDY_WIDE_H

#include <immintrin.h>

#include "handy.h"

ALWAYS_INLINE __m128i larder__secret(const struct hash_key *key, unsigned number)
{
    return _mm_loadu_si128((const __m128i *)(const void *)(key->words + 2 * number));
}

/* The lower half is the hash. */
ALWAYS_INLINE __m128i larder__handy_sum_wide(const struct hash_key *key, struct handy handy,
                                             size_t length, uint32_t space)
{
#ifdef LARDER_CONSTANT_HASH
    (void)key, (void)handy, (void)length, (void)space;
    return _mm_setzero_si128();
#else
    __m128i rest = _mm_cvtsi64_si128((long long)((uint64_t)space << 32 | length));
    __m128i sum = _mm_xor_si128(handy.first, larder__secret(key, 0));
    sum = _mm_aesenc_si128(sum, larder__secret(key, 1));
    sum = _mm_aesenc_si128(sum, handy.last);
    sum = _mm_aesenc_si128(sum, _mm_xor_si128(rest, larder__secret(key, 2)));
    sum = _mm_aesenc_si128(sum, larder__secret(key, 3));
    sum = _mm_aesenc_si128(sum, larder__secret(key, 4));
    return sum;
#endif
}

ALWAYS_INLINE uint64_t larder__handy_hash_wide(const struct hash_key *key, struct handy handy,
                                               size_t length, uint32_t space)
{
    return (uint64_t)_mm_cvtsi128_si64(larder__handy_sum_wide(key, handy, length, space));
}

#endif
