/*
 * Leases. One on a missing key is an entry without a value; one on a live entry that is near its
 * end stands in that entry. Any store and any delete voids it.
 */
#include "operations.h"

#include "table.h"

static bool wants_refresh(const struct oracle_visit *visit, const struct larder_scope *scope)
{
    uint64_t recache_ms = scope->call != NULL ? scope->call->recache_ms : 0;
    return recache_ms != 0 && visit->entry->expiry_ns != LARDER_NEVER_NS &&
           visit->entry->expiry_ns < larder_deadline_after(visit->now_ns, recache_ms) &&
           !oracle_lease_is_valid(visit->entry, visit->now_ns);
}

static enum larder_status lease_present(struct oracle_visit *visit, uint32_t lease_ms, bool refresh,
                                        struct larder_value *value, struct larder_lease *lease)
{
    enum larder_status status = oracle_view(visit, value);
    if (status != LARDER_OK || !refresh)
        return status;
    lease->token = ++visit->oracle->guarded.version;
    value->info.marks |= LARDER_REFRESH_WANTED;
    visit->entry->lease_token = lease->token;
    visit->entry->lease_end_ns = larder_deadline_after(visit->now_ns, lease_ms);
    return LARDER_OK;
}

static enum larder_status lease_missing(struct oracle_visit *visit, uint32_t lease_ms,
                                        struct larder_lease *lease)
{
    if (visit->entry != NULL)
        return LARDER_MISS; /* somebody has it */
    struct oracle_draft draft = {.lease_token = ++visit->oracle->guarded.version,
                                 .lease_end_ns = larder_deadline_after(visit->now_ns, lease_ms)};
    enum larder_status status = oracle_put(visit, &draft);
    if (status != LARDER_OK)
        return status;
    lease->token = draft.lease_token;
    return LARDER_MISS;
}

enum larder_status oracle_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                    uint32_t lease_ms, struct larder_value *value,
                                    struct larder_lease *lease)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    if (visit.presence == ORACLE_PRESENT)
        status = lease_present(&visit, lease_ms, wants_refresh(&visit, scope), value, lease);
    else if (visit.presence == ORACLE_NEGATIVE)
        status = LARDER_ABSENT;
    else
        status = lease_missing(&visit, lease_ms, lease);
    oracle_leave(&visit);
    return status;
}

static bool holds(const struct oracle_visit *visit, struct larder_lease lease)
{
    return visit->entry != NULL && visit->entry->lease_token == lease.token &&
           oracle_lease_is_valid(visit->entry, visit->now_ns);
}

enum larder_status oracle_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_lease lease, const struct larder_write *write)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    struct oracle_draft draft = {.head = write->value,
                                 .flags = write->flags,
                                 .absent = (write->marks & LARDER_WRITE_ABSENT) != 0,
                                 .expiry_ns = oracle_expiry(visit.now_ns, write->ttl_ms)};
    status = holds(&visit, lease) ? oracle_put(&visit, &draft) : LARDER_CONFLICT;
    oracle_leave(&visit);
    return status;
}

enum larder_status oracle_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                       struct larder_lease lease)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    if (!holds(&visit, lease))
        status = LARDER_CONFLICT;
    else if (visit.presence == ORACLE_MISSING)
        oracle_drop(visit.oracle, visit.entry);
    else
        visit.entry->lease_token = 0;
    oracle_leave(&visit);
    return status;
}
