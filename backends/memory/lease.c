/*
 * Leases. A lease on a missing key is a pending item: no value, a token and the lease's end. One on
 * a live entry that is near its end stands in that entry's item; should the value end first, what
 * is left is pending. Any store makes an item without a lease and any delete removes it, which
 * voids the lease.
 */
#include "operations.h"

#include "look.h"

struct lease_arguments {
    const struct larder_scope *scope;
    uint32_t lease_ms;
    struct larder_value *value;
    struct larder_lease *lease;
    const struct larder_write *write; /* fill */
};

static uint64_t recache_ms_of(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->recache_ms : 0;
}

static uint64_t after(uint64_t now_ms, uint64_t more_ms)
{
    return more_ms > UINT64_MAX / 2 - now_ms ? UINT64_MAX / 2 : now_ms + more_ms;
}

static bool wants_refresh(const struct visit *visit, const struct larder_scope *scope)
{
    uint64_t expiry_ms = larder__item_expiry_ms(visit->item);
    if (recache_ms_of(scope) == 0 || expiry_ms == UINT64_MAX)
        return false;
    return expiry_ms < after(visit->now_ms, recache_ms_of(scope)) &&
           !larder__lease_is_valid(visit->item, 0, visit->now_ms);
}

/* The same entry, with this lease or none. */
static enum larder_status put_lease(struct visit *visit, struct item_lease lease)
{
    struct draft draft;
    larder__draft_of_item(visit->item, &draft);
    draft.lease = lease;
    return larder__visit_put(visit, &draft);
}

static struct item_lease new_lease(struct visit *visit, uint32_t lease_ms)
{
    struct item_lease lease = {larder__visit_token(visit),
                               after(visit->now_ms, lease_ms + visit->memory->clock.slack_ms)};
    return lease;
}

/* The view is there before the lease, so that nobody holds a lease that could not be told. */
static enum larder_status lease_present(struct visit *visit, const struct lease_arguments *get)
{
    struct item_lease lease = new_lease(visit, get->lease_ms);
    enum larder_status status = put_lease(visit, lease);
    if (status != LARDER_OK) {
        larder_value_release(get->value);
        return status;
    }
    struct look look = larder__look_of_visit(visit); /* it has another version now */
    larder__look_info(&look, visit->item, &get->value->info);
    get->lease->token = lease.token;
    get->value->info.marks |= LARDER_REFRESH_WANTED;
    return LARDER_OK;
}

static enum larder_status get_present(struct visit *visit, const struct lease_arguments *get)
{
    larder__item_hit(visit->memory, visit->item, visit->thread);
    if ((visit->item->marks & ITEM_SLIDES) != 0)
        (void)larder__item_slide(visit->memory, visit->item, visit->now_ms);
    struct look look = larder__look_of_visit(visit);
    enum larder_status status = larder__view(&look, visit->item, get->value);
    return status == LARDER_OK && wants_refresh(visit, get->scope) ? lease_present(visit, get)
                                                                   : status;
}

static enum larder_status put_pending(struct visit *visit, const struct lease_arguments *get)
{
    struct draft draft = {.expiry_ms = EXPIRY_PAST, .lease = new_lease(visit, get->lease_ms)};
    enum larder_status status = larder__visit_put(visit, &draft);
    if (status != LARDER_OK)
        return status;
    get->lease->token = draft.lease.token;
    return LARDER_MISS;
}

static enum larder_status get_attempt(struct visit *visit, void *arguments)
{
    const struct lease_arguments *get = arguments;
    if (visit->presence == PRESENT)
        return get_present(visit, get);
    if (visit->presence == NEGATIVE)
        return LARDER_ABSENT;
    return visit->item != NULL ? LARDER_MISS : put_pending(visit, get);
}

enum larder_status larder__memory_lease_get(const struct larder_scope *scope,
                                            struct larder_slice key, uint32_t lease_ms,
                                            struct larder_value *value, struct larder_lease *lease)
{
    struct lease_arguments get = {scope, lease_ms, value, lease, NULL};
    lease->token = 0;
    if (recache_ms_of(scope) == 0) { /* a hit needs no lock */
        enum larder_status status = larder__memory_get(scope, key, value);
        if (status != LARDER_MISS)
            return status;
    }
    return larder__visit_storing(scope, key, get_attempt, &get);
}

static bool holds(const struct visit *visit, const struct larder_lease *lease)
{
    return visit->item != NULL && lease->token != 0 &&
           larder__lease_is_valid(visit->item, lease->token, visit->now_ms);
}

/* A long value that has ended is not to be in the way of the one that takes its place. */
static enum larder_status drop_ended_value(struct visit *visit)
{
    const struct large *large = larder__item_block(visit->item).large;
    if (visit->presence != MISSING || large == NULL || large->value_length == 0)
        return LARDER_OK;
    struct draft draft = {.expiry_ms = EXPIRY_PAST, .lease = larder__item_lease(visit->item)};
    return larder__visit_put(visit, &draft);
}

static enum larder_status fill_attempt(struct visit *visit, void *arguments)
{
    const struct lease_arguments *fill = arguments;
    const struct larder_write *write = fill->write;
    if (!holds(visit, fill->lease))
        return LARDER_CONFLICT;
    visit->needs_lease = true;
    enum larder_status status = drop_ended_value(visit);
    if (status != LARDER_OK)
        return status;
    struct draft draft = {.head = write->value.data,
                          .head_length = write->value.length,
                          .flags = write->flags,
                          .absent = (write->marks & LARDER_WRITE_ABSENT) != 0};
    larder__draft_expires(visit, &draft, write->ttl_ms);
    return larder__visit_put(visit, &draft);
}

enum larder_status larder__memory_lease_fill(const struct larder_scope *scope,
                                             struct larder_slice key, struct larder_lease lease,
                                             const struct larder_write *write)
{
    struct lease_arguments fill = {scope, 0, NULL, &lease, write};
    return larder__visit_storing(scope, key, fill_attempt, &fill);
}

static enum larder_status return_attempt(struct visit *visit, void *arguments)
{
    const struct larder_lease *lease = arguments;
    if (!holds(visit, lease))
        return LARDER_CONFLICT;
    if (visit->presence != MISSING)
        return put_lease(visit, (struct item_lease){0, 0});
    larder__visit_remove(visit);
    return LARDER_OK;
}

enum larder_status larder__memory_lease_return(const struct larder_scope *scope,
                                               struct larder_slice key, struct larder_lease lease)
{
    return larder__visit_storing(scope, key, return_attempt, &lease);
}
