/*
 * For files that are compiled once for each width (width.h). `….c` is the narrow one; `…_wide.c`
 * and `…_widest.c` define LARDER_WIDTH, and include it.
 */
#ifndef LARDER_MEMORY_VARIANT_H
#define LARDER_MEMORY_VARIANT_H

#include "width.h"

/** The name of a function in what is being compiled. */
#if LARDER_WIDTH == LARDER_WIDEST
#define NAME_OF_WIDTH(name) name##_widest
#elif LARDER_WIDTH == LARDER_WIDE
#define NAME_OF_WIDTH(name) name##_wide
#else
#define NAME_OF_WIDTH(name) name##_narrow
#endif

#if LARDER_WIDTH != LARDER_NARROW
#include "handy_wide.h"
#define HANDY_HASH larder__handy_hash_wide
#else
#include "handy.h"
#define HANDY_HASH larder__handy_hash
#endif

/* For functions with no array on their stack that could be overrun: where the check would be a good
 * part of what they do. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define NO_CANARY __attribute__((no_stack_protector))
#else
#define NO_CANARY
#endif

#endif
