/* What ties pages to the packages they show: larder's CacheDependency, with one master per package.
 */
#ifndef PACKAGES_WIRES_H
#define PACKAGES_WIRES_H

#include "page.h"

#include <larder/larder.h>

/** Makes the page under `key` depend on every package that it shows. @return OK, or why not all of
 * them could be wired: then the page must not be stored */
enum larder_status wires_add(struct larder_cache *cache, struct larder_slice key,
                             const struct page *page);

struct wires_dropped {
    uint64_t pages;
    uint64_t lost; /* wires whose page can't be known any more: evicted, or just being made */
};

/** Deletes every page that depends on a package. */
enum larder_status wires_drop(struct larder_cache *cache, const char *package,
                              struct wires_dropped *dropped);

#endif
