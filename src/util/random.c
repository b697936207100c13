/* Kernel randomness and SipHash-1-3. */
#include <larder/util/random.h>

#include <string.h>
#include <sys/random.h>

#include <larder/util/deadline.h>

uint64_t larder_random(void)
{
    uint64_t bits = 0;
    /* 8 bytes are never cut short; a kernel without getrandom still gets something that varies. */
    if (getrandom(&bits, sizeof(bits), 0) != (long)sizeof(bits))
        bits = larder_monotonic_ns() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)&bits;
    return bits;
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t larder_hash(const struct larder_hash_key *key, uint64_t chain, const void *data,
                     size_t length)
{
    uint64_t v[4] = {
        key->words[0] ^ UINT64_C(0x736f6d6570736575), key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        key->words[0] ^ UINT64_C(0x6c7967656e657261), key->words[1] ^ UINT64_C(0x7465646279746573)};
    const unsigned char *bytes = data;
    if (chain != 0)
        sip_absorb(v, chain);
    size_t whole = length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        sip_absorb(v, word);
    }
    uint64_t last = (uint64_t)length << 56;
    for (size_t i = whole; i < length; i++)
        last |= (uint64_t)bytes[i] << 8 * (i - whole);
    sip_absorb(v, last);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
