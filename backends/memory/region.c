/* Reserved ranges of addresses. */
#include "region.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

size_t larder__page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Aligned to huge pages, so that they are to be had from the first byte on; of what is too much
 * some bytes stay in front. */
static bool reserve(struct region *region, size_t bytes, bool huge, size_t front_bytes)
{
    size_t reserved = larder__round_up(bytes, HUGE_PAGE_BYTES);
    unsigned char *place = mmap(NULL, reserved + HUGE_PAGE_BYTES, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return false;
    size_t before = HUGE_PAGE_BYTES - (uintptr_t)place % HUGE_PAGE_BYTES;
    munmap(place, before - front_bytes);
    if (before < HUGE_PAGE_BYTES)
        munmap(place + before + reserved, HUGE_PAGE_BYTES - before);
    *region = (struct region){.base = place + before,
                              .reserved_bytes = reserved,
                              .front_bytes = front_bytes,
                              .huge = huge};
    /* where the kernel has no huge pages, small ones do */
    (void)madvise(region->base, reserved, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return true;
}

bool larder__region_reserve(struct region *region, size_t bytes, bool huge)
{
    return reserve(region, bytes, huge, 0);
}

bool larder__region_reserve_behind_zeros(struct region *region, size_t bytes, bool huge)
{
    size_t front_bytes = larder__page_bytes();
    if (!reserve(region, bytes, huge, front_bytes))
        return false;
    if (mprotect(region->base - front_bytes, front_bytes, PROT_READ) == 0)
        return true;
    larder__region_release(region);
    return false;
}

void larder__region_release(struct region *region)
{
    if (region->base != NULL)
        munmap(region->base - region->front_bytes, region->front_bytes + region->reserved_bytes);
    *region = (struct region){0};
}

bool larder__region_commit(struct region *region, size_t bytes)
{
    if (bytes <= region->committed_bytes)
        return true;
    if (bytes > region->reserved_bytes ||
        mprotect(region->base + region->committed_bytes, bytes - region->committed_bytes,
                 PROT_READ | PROT_WRITE) != 0)
        return false;
    region->committed_bytes = bytes;
    return true;
}

void larder__region_forget(struct region *region, size_t offset, size_t bytes)
{
    (void)madvise(region->base + offset, bytes, MADV_DONTNEED);
}
