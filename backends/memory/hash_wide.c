/* The hash of handy keys, for all that is not compiled for wide processors itself. */
#include "handy_wide.h"

uint64_t larder__hash_wide(const struct hash_key *key, const unsigned char *bytes, size_t length,
                           uint32_t space)
{
    return larder__handy_hash_wide(key, larder__handy_load(bytes, length), length, space);
}
