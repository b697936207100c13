/*
 * The right to store a page that is being rendered, void as soon as the page's key is deleted.
 *
 * It closes the race of every cache in front of a database: one thread reads the database, another
 * edits it and drops the page from the cache, the first stores what it read, and the old page
 * stays. A plain store can't see the drop. A lease can, and where the cache has none, a placeholder
 * under the same key that is replaced by cas does the same.
 */
#ifndef PACKAGES_TICKET_H
#define PACKAGES_TICKET_H

#include <larder/larder.h>

/* Set in the flags of a placeholder. */
#define TICKET_PLACEHOLDER (UINT32_C(1) << 31)

enum ticket_kind {
    TICKET_NONE, /* somebody else is rendering it, or the cache failed */
    TICKET_LEASE,
    TICKET_VERSION
};

struct ticket {
    enum ticket_kind kind;
    struct larder_lease lease;
    uint64_t version; /* of the placeholder */
};

/** Asks for the right to store under `key`. @return OK with a ticket; MISS when another has it; or
 * the cache's failure */
enum larder_status ticket_take(struct larder_cache *cache, struct larder_slice key,
                               struct ticket *ticket);
/** @return OK; CONFLICT or MISS when the ticket was void: nothing is stored */
enum larder_status ticket_store(struct larder_cache *cache, struct larder_slice key,
                                struct ticket *ticket, const struct larder_write *write);
/** Gives it back unused. */
void ticket_return(struct larder_cache *cache, struct larder_slice key, struct ticket *ticket);

#endif
