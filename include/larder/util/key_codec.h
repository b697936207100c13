/*
 * Keys as memcached takes them. One format for every backend that speaks to memcached, so that they
 * find each other's keys; docs/key-codec.md publishes it with test vectors.
 *
 *   plain   1 to 250 bytes of 0x21-0x7e and 0x80-0xff, the first not '~': goes out as it is
 *   ~b...   what is not plain, in unpadded base64url, while that fits 250 bytes (186 bytes of key)
 *   ~h...   43 characters of unpadded base64url: the SHA-256 of what is longer
 *
 * Pure functions but for larder_key_codec_prepare(). Plain keys and ~b keys are injective; ~h keys
 * are collision-resistant.
 */
#ifndef LARDER_UTIL_KEY_CODEC_H
#define LARDER_UTIL_KEY_CODEC_H

#include <larder/backend.h>

/** Source: memcached's doc/protocol.txt, section "Keys". */
#define LARDER_WIRE_KEY_BYTES_MAX 250u

/** The longest key that travels in base64url: 2 + 248 = 250 characters. */
#define LARDER_WIRE_KEY_ENCODED_MAX 186u

/** A slice of the key itself when it is plain, else of `buffer`. */
struct larder_wire_key {
    struct larder_slice bytes; /* 1 to LARDER_WIRE_KEY_BYTES_MAX */
    char buffer[LARDER_WIRE_KEY_BYTES_MAX];
};

/**
 * Fetches what hashing needs, once for the process, from any thread. Backends call it when they
 * open: libcrypto sets itself up with thousands of allocations and does not survive each one's
 * failure, while a hash afterwards takes two. Without it the first hash fetches.
 * @return OK or NO_MEMORY
 */
enum larder_status larder_key_codec_prepare(void);

/** 1 when every byte may stand in a wire key and the length fits; '~' in front is fine. */
int larder_wire_key_valid(struct larder_slice key);

/**
 * Makes the wire key. It borrows `key` when that is plain, so it lives no longer than that, and is
 * never copied by assignment.
 * @param scope_flags  with LARDER_SCOPE_OWN_KEY a plain key may start with '~'
 * @return OK; NO_MEMORY when the hash could not be made; BAD_KEY for no bytes at all
 */
enum larder_status larder_key_encode(struct larder_slice key, uint32_t scope_flags,
                                     struct larder_wire_key *wire);

/** What places an entry when tags are on: the bytes between the first '{' and the '}' after it when
 * there are any, else the whole key. */
struct larder_slice larder_key_tag(struct larder_slice key);

#endif
