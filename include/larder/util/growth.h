/*
 * Structs that grow. The caller says how large its struct is; fields are only appended, and 0 in
 * one means what it meant before there was such a field.
 */
#ifndef LARDER_UTIL_GROWTH_H
#define LARDER_UTIL_GROWTH_H

#include <stddef.h>
#include <string.h>

/** The size of a struct whose last field is this one: of its first published form, say. */
#define LARDER_SIZE_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/** What claims to be larger is no struct. */
#define LARDER_STRUCT_BYTES_MAX 65536u

/**
 * Copies a caller's struct over the defaults in `complete`. An older caller's is shorter, and the
 * rest keeps its defaults; a newer one's is longer, and its tail must be 0.
 *
 * @param given_size  of the caller's struct, as it says
 * @param first_size  of the first published form: the least that is taken
 * @param known_size  of `complete`
 * @return 1; 0 for a size or a tail that can't be: `complete` is as it was
 */
static inline int larder_struct_read(const void *given, size_t given_size, size_t first_size,
                                     void *complete, size_t known_size)
{
    const unsigned char *bytes = (const unsigned char *)given;
    if (given_size < first_size || given_size > LARDER_STRUCT_BYTES_MAX)
        return 0;
    for (size_t i = known_size; i < given_size; i++)
        if (bytes[i] != 0)
            return 0;
    memcpy(complete, given, given_size < known_size ? given_size : known_size);
    return 1;
}

#endif
