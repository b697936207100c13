/*
 * Wires. They have no TTL of their own: one that ended before it was followed would count as lost,
 * and a lost wire costs a flush of all pages. Dropping its package frees a wire; what is never
 * dropped stays until the cache evicts it, at most LARDER_DEPENDENCY_WIRES_MAX per package.
 */
#include "wires.h"

#include <stdio.h>

#include <larder/dependency.h>

#define MASTER_MAX (PACKAGE_NAME_MAX + 16)

static struct larder_slice master_of(const char *package, char master[MASTER_MAX])
{
    int length = snprintf(master, MASTER_MAX, "shows/%s", package);
    return larder_bytes(master, (size_t)length);
}

/* A page that is rendered again is wired again, so the wires of a package that is shown often and
 * edited never add up. When it is full they are all followed: some pages go that need not. */
static enum larder_status wire(struct larder_cache *cache, struct larder_slice key,
                               const char *package)
{
    char bytes[MASTER_MAX];
    struct larder_slice master = master_of(package, bytes);
    enum larder_status status = larder_dependency_add(cache, master, key, LARDER_TTL_FOREVER);
    if (status == LARDER_TOO_LARGE)
        larder_dependency_delete(cache, master, NULL);
    return status;
}

enum larder_status wires_add(struct larder_cache *cache, struct larder_slice key,
                             const struct page *page)
{
    enum larder_status status = LARDER_OK;
    for (size_t i = 0; i < page->shown_count && status == LARDER_OK; i++)
        status = wire(cache, key, page->shown[i].name);
    return status;
}

enum larder_status wires_drop(struct larder_cache *cache, const char *package,
                              struct wires_dropped *dropped)
{
    char bytes[MASTER_MAX];
    struct larder_dependency_result result = {0};
    enum larder_status status = larder_dependency_delete(cache, master_of(package, bytes), &result);
    dropped->pages = result.dropped;
    dropped->lost = result.lost;
    return status;
}
