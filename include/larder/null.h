/*
 * null: keeps nothing, for unit tests and for switching a cache off.
 *
 * Every store, delete and flush is OK, every read, touch and count (with an initial value too) a
 * MISS. larder_lease_get() is a MISS with a token for everybody; fill and return are OK. There are
 * no keys. A store tells version 1, so that whoever stores and then uses cas needs no case of its
 * own.
 */
#ifndef LARDER_NULL_H
#define LARDER_NULL_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Opens the null cache. It has no options of its own. Parameters and result as larder_open(). */
LARDER_API LARDER_MUST_USE enum larder_status
larder_null_open(const struct larder_open_options *options, struct larder_cache **cache,
                 char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
