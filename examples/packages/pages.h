/*
 * Rendered pages, from the cache or from the database.
 *
 * Each page is one entry, and it depends on every package that it shows: an edit drops them all
 * with one call, whichever process stored them. A cache that fails, in whatever way, only ever
 * costs time: the page then comes from the database.
 */
#ifndef PACKAGES_PAGES_H
#define PACKAGES_PAGES_H

#include "caches.h"
#include "figures.h"
#include "page.h"

struct pages {
    struct larder_cache *cache; /* set once; the namespace "pages" */
    bool keeps_nothing;         /* set once: the cache is switched off */
    struct figures figures;
    /* How often the cache could hold old pages (an edit could not be told to it, or it had lost
     * what ties pages to packages), and how much of that a flush has mended: no page is believed
     * while the two differ. Release and acquire: who sees a failure mended comes after the flush,
     * who was answered by an edit sees its failure. */
    _Atomic uint64_t suspicions, mended;
    _Atomic uint64_t flush_after_ns; /* relaxed: when to try a flush again */
    /* Different while a flush is under way. Release and acquire: see a_flush_runs(). */
    _Atomic uint64_t flushes_begun, flushes_ended;
};

/** One page, ready to be sent. */
struct served {
    enum page_result result;
    struct larder_value view; /* on a hit: the page as the cache holds it */
    struct page page;         /* else: as it was rendered */
    struct larder_slice body; /* of one or the other */
    bool hit, stored;
    enum larder_status status; /* what the cache answered last */
    uint32_t questions;        /* what rendering it asked of the database, now or then */
    uint32_t render_us;        /* how long that took */
    uint32_t total_us;         /* how long all of it took, now */
};

struct dropped {
    enum larder_status status;
    uint64_t pages;
    bool suspected; /* more pages may have shown the package than were found */
    bool flushed;   /* so all pages were dropped; else none is believed until they could be */
};

void pages_init(struct pages *pages, struct larder_cache *cache);
void pages_serve(struct pages *pages, struct database *database, const struct page_address *address,
                 struct served *served);
void served_free(struct served *served);
/** Takes every page that shows a package out of the cache; after an edit, before it is answered. */
struct dropped pages_drop(struct pages *pages, const char *package);

#endif
