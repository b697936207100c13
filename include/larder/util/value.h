/* Bytes that a view owns. */
#ifndef LARDER_UTIL_VALUE_H
#define LARDER_UTIL_VALUE_H

#include <larder/backend.h>

/** Gives `value` a copy of `length` bytes, with an owner. info is left alone but for its length.
 * @return OK or NO_MEMORY (value stays empty) */
enum larder_status larder_value_copy(struct larder_value *value, const void *data, size_t length);

/** Gives `value` a new block of `length` bytes to fill in, with an owner.
 * @return the block, or NULL when memory ran out */
void *larder_value_allocate(struct larder_value *value, size_t length);

/** Frees the blocks that the calling thread keeps for its next values: of those that it released,
 * at most 16 each of 64, 128 and 256 bytes, for values of up to 48, 112 and 240. A thread that
 * exits frees them by itself, if it could be noted that it has any. */
void larder_values_trim(void);

/** Gives `value` bytes that malloc() made; free()d with the last release, or at once on failure.
 * @return OK or NO_MEMORY */
enum larder_status larder_value_adopt(struct larder_value *value, void *data, size_t length);

/** Copies what fits. @return OK, or PARTIAL when length > size. info (may be NULL) gets the length
 */
enum larder_status larder_copy_out(void *buffer, size_t size, const void *data, size_t length,
                                   struct larder_info *info);

/** Empties everything but `want`; ttl_ms becomes LARDER_TTL_UNKNOWN, idle_ms -1. NULL does nothing.
 */
void larder_info_clear(struct larder_info *info);

#endif
