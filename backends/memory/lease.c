/*
 * Leases. A lease on a missing key is a pending entry: no value, a token and the lease's end. One
 * on a live entry that is near its end stands in that entry; should the value end first, what is
 * left of the entry is pending. Any store makes a new entry and any delete removes it, which voids
 * the lease.
 */
#include "operations.h"

#include "shard.h"

struct lease_arguments {
    const struct larder_scope *scope;
    uint32_t lease_ms;
    struct larder_value *value;
    struct larder_lease *lease;
    const struct larder_write *write; /* fill */
};

static bool wants_refresh(const struct visit *visit, const struct larder_scope *scope)
{
    const struct entry *entry = visit->entry;
    uint64_t recache_ms = scope->call != NULL ? scope->call->recache_ms : 0;
    if (recache_ms == 0 || entry->expiry_ns == LARDER_NEVER_NS)
        return false;
    return entry->expiry_ns < larder_deadline_after(visit->now_ns, recache_ms) &&
           !larder__lease_is_valid(entry, entry->lease_token, visit->now_ns);
}

/* The entry may end later now, so it changes its bucket. */
static void set_lease(struct visit *visit, uint64_t token, uint64_t end_ns)
{
    struct wheel *wheel = &visit->shard->guarded.wheel;
    larder__wheel_unlink(wheel, visit->entry);
    visit->entry->lease_token = token;
    visit->entry->lease_end_ns = end_ns;
    larder__wheel_link(wheel, visit->entry);
}

static enum larder_status get_present(struct visit *visit, const struct lease_arguments *get)
{
    enum larder_status status = larder__entry_view(visit->entry, visit->now_ns, get->value);
    if (status != LARDER_OK || !wants_refresh(visit, get->scope))
        return status;
    get->lease->token = larder__visit_token(visit);
    get->value->info.marks |= LARDER_REFRESH_WANTED;
    set_lease(visit, get->lease->token, larder_deadline_after(visit->now_ns, get->lease_ms));
    return LARDER_OK;
}

static enum larder_status put_pending(struct visit *visit, const struct lease_arguments *get)
{
    struct draft draft = {.expiry_ns = 0,
                          .lease_token = larder__visit_token(visit),
                          .lease_end_ns = larder_deadline_after(visit->now_ns, get->lease_ms)};
    enum larder_status status = larder__visit_put(visit, &draft);
    if (status != LARDER_OK)
        return status;
    get->lease->token = draft.lease_token;
    return LARDER_MISS;
}

static enum larder_status get_attempt(struct visit *visit, void *arguments)
{
    const struct lease_arguments *get = arguments;
    if (visit->presence == PRESENT)
        return get_present(visit, get);
    if (visit->presence == NEGATIVE)
        return LARDER_ABSENT;
    return visit->entry != NULL ? LARDER_MISS : put_pending(visit, get);
}

enum larder_status larder__memory_lease_get(const struct larder_scope *scope,
                                            struct larder_slice key, uint32_t lease_ms,
                                            struct larder_value *value, struct larder_lease *lease)
{
    struct lease_arguments get = {scope, lease_ms, value, lease, NULL};
    lease->token = 0;
    return larder__visit_storing(scope, key, get_attempt, &get);
}

static bool holds(const struct visit *visit, const struct larder_lease *lease)
{
    return visit->entry != NULL &&
           larder__lease_is_valid(visit->entry, lease->token, visit->now_ns);
}

static enum larder_status fill_attempt(struct visit *visit, void *arguments)
{
    const struct lease_arguments *fill = arguments;
    const struct larder_write *write = fill->write;
    if (!holds(visit, fill->lease))
        return LARDER_CONFLICT;
    struct draft draft = {.head = write->value,
                          .flags = write->flags,
                          .absent = (write->marks & LARDER_WRITE_ABSENT) != 0,
                          .expiry_ns = larder__expiry_after(visit->now_ns, write->ttl_ms)};
    return larder__visit_put(visit, &draft);
}

enum larder_status larder__memory_lease_fill(const struct larder_scope *scope,
                                             struct larder_slice key, struct larder_lease lease,
                                             const struct larder_write *write)
{
    struct lease_arguments fill = {scope, 0, NULL, &lease, write};
    return larder__visit_storing(scope, key, fill_attempt, &fill);
}

enum larder_status larder__memory_lease_return(const struct larder_scope *scope,
                                               struct larder_slice key, struct larder_lease lease)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    if (!holds(&visit, &lease))
        status = LARDER_CONFLICT;
    else if (visit.presence == MISSING)
        larder__visit_remove(&visit);
    else
        set_lease(&visit, 0, 0);
    larder__visit_end(&visit, SWEPT_BY_WRITES);
    return status;
}
