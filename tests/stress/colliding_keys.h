/*
 * Keys that collide in hash functions that are in wide use, whatever the seed: what an attacker
 * would send who hopes that a cache uses one of them.
 */
#ifndef TESTS_COLLIDING_KEYS_H
#define TESTS_COLLIDING_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define COLLIDING_KEY_BYTES_MAX 288u

struct colliding_keys {
    const char *name; /* of the hash function */
    /** Writes key `number`, from 0 to 2^17 - 1; different numbers give different keys.
     * @return its length in bytes, the same for each number */
    size_t (*make)(uint32_t number, unsigned char key[COLLIDING_KEY_BYTES_MAX]);
};

extern const struct colliding_keys colliding_keys[];
extern const size_t colliding_keys_count;

#endif
