/* Hashes of keys that are short or long. */
#include "hash.h"

/* Fewer than 16 bytes as two words; with the length, no two keys have the same ones. */
static hash_sum hash_short(const struct hash_key *key, const unsigned char *bytes, size_t length)
{
    uint64_t words[2] = {0, 0};
    if (length >= 8) {
        words[0] = larder__hash_load(bytes);
        words[1] = larder__hash_load(bytes + length - 8);
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + length - 4, 4);
        words[0] = (uint64_t)first << 32 | last;
    } else if (length > 0) {
        words[0] = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[length / 2] << 8 | bytes[length - 1];
    }
    return larder__hash_pair(key->words, words[0], words[1]);
}

uint64_t larder__hash_rest(const struct hash_key *key, const unsigned char *bytes, size_t length,
                           uint32_t space)
{
    if (length > HASH_BYTES_MAX)
        return larder_hash(&key->long_keys, space, bytes, length);
    return larder__hash_fold(key, hash_short(key, bytes, length), length, space);
}
