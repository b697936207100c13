/* Tickets, by lease or by placeholder, as the cache's traits say. */
#include "ticket.h"

#include <larder/traits.h>

/* Long enough for the slowest page; whoever dies with a ticket blocks the key no longer than this.
 */
#define TICKET_MS 5000

static enum larder_status take_lease(struct larder_cache *cache, struct larder_slice key,
                                     struct ticket *ticket)
{
    struct larder_value value = {0};
    enum larder_status status = larder_lease_get(cache, key, TICKET_MS, &value, &ticket->lease);
    larder_value_release(&value);
    if (status < 0)
        return status;
    if (ticket->lease.token == 0)
        return LARDER_MISS;
    ticket->kind = TICKET_LEASE;
    return LARDER_OK;
}

/* add elects one, and reading the placeholder back gives the version for the cas. If ours was
 * dropped in between and another's is read, both may store, and the first does: no harm, since the
 * database is read only after this. */
static enum larder_status take_version(struct larder_cache *cache, struct larder_slice key,
                                       struct ticket *ticket)
{
    struct larder_write placeholder = larder_write_of(larder_bytes("", 0), TICKET_MS);
    placeholder.flags = TICKET_PLACEHOLDER;
    enum larder_status status = larder_store(cache, LARDER_ADD, key, &placeholder, NULL);
    if (status != LARDER_OK)
        return status < 0 ? status : LARDER_MISS;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    status = larder_read(cache, key, NULL, 0, &info);
    if (status < 0)
        return status;
    if (status != LARDER_OK || info.version == 0 || (info.flags & TICKET_PLACEHOLDER) == 0)
        return LARDER_MISS;
    ticket->version = info.version;
    ticket->kind = TICKET_VERSION;
    return LARDER_OK;
}

enum larder_status ticket_take(struct larder_cache *cache, struct larder_slice key,
                               struct ticket *ticket)
{
    *ticket = (struct ticket){0};
    const struct larder_traits *traits = larder_describe(cache);
    if (larder_can(traits, LARDER_CAN_LEASE))
        return take_lease(cache, key, ticket);
    if (larder_can(traits, LARDER_CAN_ADD | LARDER_CAN_CAS))
        return take_version(cache, key, ticket);
    return LARDER_UNSUPPORTED;
}

enum larder_status ticket_store(struct larder_cache *cache, struct larder_slice key,
                                struct ticket *ticket, const struct larder_write *write)
{
    enum ticket_kind kind = ticket->kind;
    ticket->kind = TICKET_NONE;
    if (kind == TICKET_LEASE)
        return larder_lease_fill(cache, key, ticket->lease, write);
    if (kind != TICKET_VERSION)
        return LARDER_CONFLICT;
    struct larder_write store = *write;
    store.version = ticket->version;
    return larder_store(cache, LARDER_CAS, key, &store, NULL);
}

void ticket_return(struct larder_cache *cache, struct larder_slice key, struct ticket *ticket)
{
    enum ticket_kind kind = ticket->kind;
    ticket->kind = TICKET_NONE;
    if (kind == TICKET_LEASE)
        larder_lease_return(cache, key, ticket->lease);
    else if (kind == TICKET_VERSION)
        larder_delete(cache, key, ticket->version);
}
