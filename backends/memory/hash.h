/*
 * The hash of a key: keyed, so that whoever chooses keys can't choose where they go.
 *
 * Up to 128 bytes it is NH (Black et al., "UMAC: Fast and secure message authentication", 1999): a
 * sum of products of 64-bit words, each with a secret word added; two different keys of one length
 * have the same 128-bit sum with probability 2^-64, whoever chose them. The sum is folded with two
 * more secret words, the length and the space. A multiplication per 8 bytes is about a fifth of
 * what SipHash-1-3 costs; longer keys take that. Keys of 17 to 32 bytes, as most are, take less
 * still where the processor has instructions for AES: see handy_wide.h.
 */
#ifndef LARDER_MEMORY_HASH_H
#define LARDER_MEMORY_HASH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <larder/util/random.h>

#include "width.h"

#define HASH_WORDS 16u
#define HASH_BYTES_MAX (HASH_WORDS * 8)

struct hash_key {
    uint64_t words[HASH_WORDS];
    uint64_t last[2];
    struct larder_hash_key long_keys;
    uint8_t topmost[16], ones[16]; /* 7 and 1 in each byte: of plain.h, for instructions that take
                                      them from memory */
    enum width width; /* from WIDE on keys of 17 to 32 bytes have the hash of handy_wide.h */
};

static inline void larder__hash_key_init(struct hash_key *key)
{
    for (unsigned i = 0; i < HASH_WORDS; i++)
        key->words[i] = larder_random();
    for (unsigned i = 0; i < 2; i++) {
        key->last[i] = larder_random();
        key->long_keys.words[i] = larder_random();
    }
    memset(key->topmost, 7, sizeof(key->topmost));
    memset(key->ones, 1, sizeof(key->ones));
    key->width = larder__width();
}

__extension__ typedef unsigned __int128 hash_sum;

static inline uint64_t larder__hash_load(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static inline hash_sum larder__hash_pair(const uint64_t *secret, uint64_t one, uint64_t other)
{
    return (hash_sum)(one + secret[0]) * (other + secret[1]);
}

static inline uint64_t larder__hash_fold(const struct hash_key *key, hash_sum sum, size_t length,
                                         uint32_t space)
{
    uint64_t low = (uint64_t)sum + key->last[0] + length;
    uint64_t high = ((uint64_t)(sum >> 64) ^ key->last[1]) + space * UINT64_C(0xd6e8feb86659fd93);
    hash_sum product = (hash_sum)low * high;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/** Fewer than 16 bytes, or more than HASH_BYTES_MAX. */
uint64_t larder__hash_rest(const struct hash_key *key, const unsigned char *bytes, size_t length,
                           uint32_t space);

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

#define HANDY_BYTES_MAX 32u

/** Whether a key is of the length that most have, 17 to HANDY_BYTES_MAX: see handy.h. */
ALWAYS_INLINE bool larder__is_handy(size_t length)
{
    return (length - 1) / 16 == 1;
}

/** Of a handy key, where the processor is wide. */
uint64_t larder__hash_wide(const struct hash_key *key, const unsigned char *bytes, size_t length,
                           uint32_t space);

/** Whether bytes so long need nothing of larder__hash_rest(). */
ALWAYS_INLINE bool larder__hash_takes(size_t length)
{
    return length - 16 <= HASH_BYTES_MAX - 16; /* fewer than 16 wrap around */
}

/** @param space  the number of the namespace; 0: none */
ALWAYS_INLINE uint64_t larder__hash(const struct hash_key *key, const void *data, size_t length,
                                    uint32_t space)
{
#ifdef LARDER_CONSTANT_HASH /* for tests: every key collides with every other */
    (void)key, (void)data, (void)length, (void)space;
    return 0;
#else
    const unsigned char *bytes = data;
#if defined(__x86_64__)
    if (key->width != NARROW && larder__is_handy(length))
        return larder__hash_wide(key, bytes, length, space);
#endif
    if (__builtin_expect(!larder__hash_takes(length), 0))
        return larder__hash_rest(key, bytes, length, space);
    /* The last pair is taken from the end and may overlap the one before it. */
    const unsigned char *end = bytes + length - 16;
    size_t i = 16;
    hash_sum sum =
        larder__hash_pair(key->words, larder__hash_load(bytes), larder__hash_load(bytes + 8));
    for (; __builtin_expect(i + 16 < length, 0); i += 16)
        sum += larder__hash_pair(key->words + i / 8, larder__hash_load(bytes + i),
                                 larder__hash_load(bytes + i + 8));
    sum +=
        larder__hash_pair(key->words + i / 8, larder__hash_load(end), larder__hash_load(end + 8));
    return larder__hash_fold(key, sum, length, space);
#endif
}

#endif
