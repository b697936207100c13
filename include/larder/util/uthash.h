/*
 * uthash, with its exit() on out-of-memory switched off. Whoever adds must look whether the
 * addition took: larder_hash_added(element). Include this, never <uthash.h>.
 */
#ifndef LARDER_UTIL_UTHASH_H
#define LARDER_UTIL_UTHASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* uthash marks an element whose addition failed by leaving it without a table. */
#define larder_hash_added(element) ((element)->hh.tbl != NULL)

#endif
