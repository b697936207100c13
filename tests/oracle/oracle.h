/*
 * oracle: the contract as a cache that can be seen to be right. One lock, one table, views that are
 * copies; nothing is evicted and nothing is clever. Tests put it beside the cache that they try and
 * compare answers. It is the simple memory cache that the fast one replaced, made simpler still.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <larder/backend.h>

/* clang-format off */
#define ORACLE_OPTIONS_TABLE(NUMBER, STRING)                                                       \
    NUMBER(BYTES, value_max, value_max, 67108864, 0, UINT64_MAX / 4, "the longest value")
/* clang-format on */

/** Options of oracle_open(). Start from ORACLE_OPTIONS_INIT. */
struct oracle_options {
    size_t struct_size;
    ORACLE_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};
/* clang-format off */
#define ORACLE_OPTIONS_INIT \
    { sizeof(struct oracle_options) ORACLE_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT) }
/* clang-format on */

/** Makes "oracle:" known to larder_open(). @return OK, or EXISTS when it is */
enum larder_status oracle_register(void);

/** Opens one. Parameters and result as larder_open(). */
enum larder_status oracle_open(const struct oracle_options *options,
                               const struct larder_open_options *open_options,
                               struct larder_cache **cache, char *message, size_t message_size);

#endif
