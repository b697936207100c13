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

/* Aligned to huge pages, so that they are to be had from the first byte on. */
bool larder__region_reserve(struct region *region, size_t bytes, bool huge)
{
    size_t reserved = larder__round_up(bytes, HUGE_PAGE_BYTES);
    unsigned char *place = mmap(NULL, reserved + HUGE_PAGE_BYTES, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return false;
    size_t before = (HUGE_PAGE_BYTES - (uintptr_t)place % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (before > 0)
        munmap(place, before);
    munmap(place + before + reserved, HUGE_PAGE_BYTES - before);
    *region = (struct region){place + before, reserved, 0, huge};
    if (huge) /* where the kernel has none, small ones do */
        (void)madvise(region->base, reserved, MADV_HUGEPAGE);
    else
        (void)madvise(region->base, reserved, MADV_NOHUGEPAGE);
    return true;
}

void larder__region_release(struct region *region)
{
    if (region->base != NULL)
        munmap(region->base, region->reserved_bytes);
    *region = (struct region){NULL, 0, 0, false};
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
