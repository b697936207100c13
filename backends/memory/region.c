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

/* Gives back what lies before the page in front of a region, and behind it. */
static void trim(unsigned char *place, size_t bytes, const unsigned char *base, size_t reserved)
{
    size_t before = (size_t)(base - place) - larder__page_bytes();
    size_t behind = (size_t)(place + bytes - (base + reserved));
    if (before > 0)
        munmap(place, before);
    if (behind > 0)
        munmap(place + bytes - behind, behind);
}

/* Aligned to huge pages, so that they are to be had from the first byte on. */
bool larder__region_reserve(struct region *region, size_t bytes, bool huge)
{
    size_t reserved = larder__round_up(bytes, HUGE_PAGE_BYTES);
    unsigned char *place = mmap(NULL, reserved + HUGE_PAGE_BYTES, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return false;
    unsigned char *base = place + HUGE_PAGE_BYTES - (uintptr_t)place % HUGE_PAGE_BYTES;
    trim(place, reserved + HUGE_PAGE_BYTES, base, reserved);
    *region = (struct region){base, reserved, 0, huge};
    if (mprotect(base - larder__page_bytes(), larder__page_bytes(), PROT_READ) != 0) {
        larder__region_release(region);
        return false;
    }
    if (huge) /* where the kernel has none, small ones do */
        (void)madvise(base, reserved, MADV_HUGEPAGE);
    else
        (void)madvise(base, reserved, MADV_NOHUGEPAGE);
    return true;
}

void larder__region_release(struct region *region)
{
    if (region->base != NULL)
        munmap(region->base - larder__page_bytes(), larder__page_bytes() + region->reserved_bytes);
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
