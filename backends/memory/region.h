/*
 * A range of addresses, reserved once, that gets memory from its beginning as it grows: what is in
 * it never moves. A reservation takes no memory and counts against no limit of the kernel's but
 * that of addresses.
 */
#ifndef LARDER_MEMORY_REGION_H
#define LARDER_MEMORY_REGION_H

#include <stdbool.h>
#include <stddef.h>

struct region {
    unsigned char *base;
    size_t reserved_bytes;
    size_t committed_bytes; /* guarded by whoever grows the region */
    size_t front_bytes;     /* before the base, which read as zeros */
    bool huge;              /* ask for huge pages */
};

/** @return false when there are no addresses left */
bool larder__region_reserve(struct region *region, size_t bytes, bool huge);
/** Likewise, with a page in front that reads as zeros. */
bool larder__region_reserve_behind_zeros(struct region *region, size_t bytes, bool huge);
void larder__region_release(struct region *region);

/** Makes the first `bytes` usable; new ones are zero. @return false: past the reservation, or the
 * kernel has no memory; nothing changed */
bool larder__region_commit(struct region *region, size_t bytes);
/** Gives the memory of a part back; its bytes are zero when they are used again. */
void larder__region_forget(struct region *region, size_t offset, size_t bytes);

size_t larder__page_bytes(void);

static inline size_t larder__round_up(size_t bytes, size_t step)
{
    return (bytes + step - 1) / step * step;
}

#endif
