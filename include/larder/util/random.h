/* Random numbers from the kernel, and the keyed hash that is seeded with them. */
#ifndef LARDER_UTIL_RANDOM_H
#define LARDER_UTIL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/** 64 unpredictable bits. */
uint64_t larder_random(void);

struct larder_hash_key {
    uint64_t words[2];
};

/** A hash that whoever does not know the key can't find collisions for. Several slices hash as
 * their concatenation would if each were preceded by its length: pass the hash of the first as
 * `chain` for the next, 0 at the start. Source: SipHash-1-3, Aumasson and Bernstein, "SipHash: a
 * fast short-input PRF", 2012. */
uint64_t larder_hash(const struct larder_hash_key *key, uint64_t chain, const void *data,
                     size_t length);

#endif
