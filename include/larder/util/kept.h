/*
 * Blocks of values that were released, kept by the thread that released them for the next value
 * that it gets: else a view of a small value costs more for its memory than for everything else. A
 * thread that exits frees them.
 */
#ifndef LARDER_UTIL_KEPT_H
#define LARDER_UTIL_KEPT_H

#include <larder/backend.h>
#include <larder/util/thread.h>

struct larder_kept {
    struct larder_owner owner; /* first: a pointer to it is a pointer to the block */
    union {
        unsigned size_class;      /* while it is a value's */
        struct larder_kept *next; /* while it is kept */
    };
    unsigned char bytes[];
};

/** Of a value in a block of a size class, which has 64, 128 or 256 bytes with what comes before it
 * (where a pointer has 8). Longer values are copied for longer than malloc() takes. */
#define LARDER_KEPT_BYTES(size_class) ((64u << (size_class)) - 16u)
#define LARDER_KEPT_BYTES_MAX LARDER_KEPT_BYTES(LARDER_KEPT_CLASSES - 1)

/** @param length  of a value, up to LARDER_KEPT_BYTES_MAX */
static inline unsigned larder_kept_class(size_t length)
{
    return (length > LARDER_KEPT_BYTES(0)) + (unsigned)(length > LARDER_KEPT_BYTES(1));
}

/** A block that the calling thread keeps, with its owner set, for a value of that length.
 * @return NULL: it keeps none, as where AddressSanitizer watches; see larder_value_allocate() */
static inline struct larder_kept *larder_kept_take(struct larder_thread *thread, size_t length)
{
    if (length > LARDER_KEPT_BYTES_MAX)
        return NULL;
    unsigned size_class = larder_kept_class(length);
    struct larder_kept *block = thread->kept[size_class];
    if (block == NULL)
        return NULL;
    thread->kept[size_class] = block->next;
    thread->kept_count[size_class]--;
    block->size_class = size_class;
    return block;
}

#endif
