#include "colliding_keys.h"

#include <string.h>

#define BITS 17u

/* For each bit of the number one of two blocks that a hash takes for the same. */
static size_t join_blocks(uint32_t number, const void *zero, const void *one, size_t length,
                          unsigned char *key)
{
    for (unsigned bit = 0; bit < BITS; bit++)
        memcpy(key + bit * length, (number >> bit & 1) != 0 ? one : zero, length);
    return BITS * length;
}

/* h = 31 h + c, as Java's String.hashCode() */
static size_t make_31(uint32_t number, unsigned char *key)
{
    return join_blocks(number, "Aa", "BB", 2, key);
}

/* h = 33 h + c, as Bernstein's hash of old */
static size_t make_33(uint32_t number, unsigned char *key)
{
    return join_blocks(number, "Ab", "BA", 2, key);
}

/* A table that takes the low bits of a word. */
static size_t make_low_bits(uint32_t number, unsigned char *key)
{
    uint64_t word = (uint64_t)number << 40;
    memcpy(key, &word, sizeof(word));
    return sizeof(word);
}

/*
 * MurmurHash64A. A block's word is mixed without the seed and then xored in; two blocks whose mixed
 * words differ in the highest bit alone leave a difference there that the next pair takes away.
 * Source: Aumasson, Bernstein and Bosslet, "Hash-flooding DoS reloaded", 2012.
 */
#define MURMUR_M UINT64_C(0xc6a4a7935bd1e995)
#define MURMUR_SHIFT 47
#define HIGHEST_BIT (UINT64_C(1) << 63)

/* Newton's iteration: each round doubles the bits that are right. */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd;
    for (int i = 0; i < 6; i++)
        inverse *= 2 - odd * inverse;
    return inverse;
}

static uint64_t word_that_mixes_to(uint64_t mixed)
{
    uint64_t word = mixed * inverse_of(MURMUR_M);
    word ^= word >> MURMUR_SHIFT;
    return word * inverse_of(MURMUR_M);
}

static size_t make_murmur(uint32_t number, unsigned char *key)
{
    const uint64_t low = word_that_mixes_to(12345), high = word_that_mixes_to(12345 ^ HIGHEST_BIT);
    const uint64_t zero[2] = {low, low}, one[2] = {high, high};
    return join_blocks(number, zero, one, sizeof(zero), key);
}

/*
 * wyhash and rapidhash with the constants that they are published with: a word that equals a
 * constant makes a factor 0, and with the product the other factor is lost, the seed within it.
 * Source: wyhash.h (final version 4), wyhash() and _wyp; rapidhash.h, rapidhash_internal().
 */
#define SECRET_ONE UINT64_C(0x8bb84b93962eacc9)
#define SECRET_TWO UINT64_C(0x4b33a62ed433d4a3)

static size_t make_words(uint64_t one, uint64_t two, uint64_t three, uint64_t four,
                         unsigned char *key)
{
    const uint64_t words[4] = {one, two, three, four};
    memcpy(key, words, sizeof(words));
    return sizeof(words);
}

static size_t make_wyhash_16(uint32_t number, unsigned char *key)
{
    const uint32_t halves[4] = {(uint32_t)(SECRET_ONE >> 32), number, (uint32_t)SECRET_ONE,
                                number * UINT32_C(2654435761)};
    memcpy(key, halves, sizeof(halves));
    return sizeof(halves);
}

static size_t make_wyhash_head(uint32_t number, unsigned char *key)
{
    return make_words(SECRET_ONE, number, 7, 7, key);
}

static size_t make_rapidhash_head(uint32_t number, unsigned char *key)
{
    return make_words(SECRET_TWO, number, 7, 7, key);
}

static size_t make_tail(uint32_t number, unsigned char *key)
{
    return make_words(number, 7, SECRET_ONE, number, key);
}

const struct colliding_keys colliding_keys[] = {
    {"h * 31 + c", make_31},
    {"h * 33 + c", make_33},
    {"low bits", make_low_bits},
    {"MurmurHash64A", make_murmur},
    {"wyhash and rapidhash, 16 bytes", make_wyhash_16},
    {"wyhash, first word", make_wyhash_head},
    {"rapidhash, first word", make_rapidhash_head},
    {"wyhash and rapidhash, third word", make_tail},
};
const size_t colliding_keys_count = sizeof(colliding_keys) / sizeof(colliding_keys[0]);
