/* MD5. */
#include "md5.h"

#include <stdint.h>
#include <string.h>

#define BLOCK_BYTES 64u

/* The first 32 bits of the fraction of |sin(i + 1)|. */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const unsigned char turns[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t word_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* What a step mixes in of b, c, d, and which word of the block. */
static uint32_t mix(unsigned step, const uint32_t v[4], unsigned *word)
{
    switch (step / 16) {
    case 0:
        *word = step;
        return (v[1] & v[2]) | (~v[1] & v[3]);
    case 1:
        *word = (5 * step + 1) % 16;
        return (v[3] & v[1]) | (~v[3] & v[2]);
    case 2:
        *word = (3 * step + 5) % 16;
        return v[1] ^ v[2] ^ v[3];
    default:
        *word = 7 * step % 16;
        return v[2] ^ (v[1] | ~v[3]);
    }
}

static void absorb(uint32_t state[4], const unsigned char *block)
{
    uint32_t v[4] = {state[0], state[1], state[2], state[3]};
    for (unsigned step = 0; step < 64; step++) {
        unsigned word;
        uint32_t sum = v[0] + mix(step, v, &word) + sines[step];
        sum = v[1] + rotate(sum + word_at(block + 4 * word), turns[step / 16][step % 4]);
        v[0] = v[3];
        v[3] = v[2];
        v[2] = v[1];
        v[1] = sum;
    }
    for (unsigned i = 0; i < 4; i++)
        state[i] += v[i];
}

void larder__md5(const void *data, size_t length, unsigned char digest[MD5_BYTES])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    unsigned char tail[2 * BLOCK_BYTES] = {0};
    const unsigned char *bytes = data;
    size_t left = length;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, bytes += BLOCK_BYTES)
        absorb(state, bytes);
    if (left > 0)
        memcpy(tail, bytes, left);
    tail[left] = 0x80;
    size_t end = left < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    for (unsigned i = 0; i < 8; i++)
        tail[end - 8 + i] = (unsigned char)((uint64_t)length * 8 >> 8 * i);
    absorb(state, tail);
    if (end > BLOCK_BYTES)
        absorb(state, tail + BLOCK_BYTES);
    for (unsigned i = 0; i < MD5_BYTES; i++)
        digest[i] = (unsigned char)(state[i / 4] >> 8 * (i % 4));
}
