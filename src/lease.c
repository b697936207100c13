/* Calls on leases. */
#include "calls.h"

static enum larder_status lease_enter(struct larder_cache *cache, enum larder_operation operation,
                                      const struct larder_call *call, struct larder_slice key,
                                      struct entry *entry)
{
    enum larder_status status = larder__key_check(key);
    if (status == LARDER_OK)
        status = larder__enter(cache, operation, call, entry);
    if (status == LARDER_OK && !larder_can(entry->target->traits, LARDER_CAN_LEASE))
        status = LARDER_UNSUPPORTED;
    return status;
}

enum larder_status larder_lease_get_with(struct larder_cache *cache, const struct larder_call *call,
                                         struct larder_slice key, uint32_t lease_ms,
                                         struct larder_value *value, struct larder_lease *lease)
{
    LARDER_VISIT(cache);
    struct entry entry;
    enum larder_status status = LARDER_BAD_ARGUMENT;
    if (value != NULL)
        larder__value_clear(value);
    if (lease != NULL)
        lease->token = lease->reserved = 0;
    if (value != NULL && lease != NULL && lease_ms != 0)
        status = lease_enter(cache, LARDER_OPERATION_LEASE_GET, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__want_check(entry.target, value->info.want);
    if (status == LARDER_OK)
        status = entry.scope->ops->lease_get(entry.scope, key, lease_ms, value, lease);
    if (value != NULL)
        larder__view_settle(value, status);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_lease_get_with(cache, call, key, lease_ms, value, lease);
    return larder__finish(cache, LARDER_OPERATION_LEASE_GET, key, status);
}

enum larder_status larder_lease_get(struct larder_cache *cache, struct larder_slice key,
                                    uint32_t lease_ms, struct larder_value *value,
                                    struct larder_lease *lease)
{
    return larder_lease_get_with(cache, NULL, key, lease_ms, value, lease);
}

enum larder_status larder_lease_fill_with(struct larder_cache *cache,
                                          const struct larder_call *call, struct larder_slice key,
                                          struct larder_lease lease,
                                          const struct larder_write *write)
{
    LARDER_VISIT(cache);
    struct entry entry;
    struct larder_write complete;
    enum larder_status status =
        lease.token == 0 ? LARDER_BAD_ARGUMENT
                         : lease_enter(cache, LARDER_OPERATION_LEASE_FILL, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__write_check(entry.target, LARDER_SET, write, &complete);
    if (status == LARDER_OK)
        status = entry.scope->ops->lease_fill(entry.scope, key, lease, &complete);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_lease_fill_with(cache, call, key, lease, write);
    return larder__finish(cache, LARDER_OPERATION_LEASE_FILL, key, status);
}

enum larder_status larder_lease_fill(struct larder_cache *cache, struct larder_slice key,
                                     struct larder_lease lease, const struct larder_write *write)
{
    return larder_lease_fill_with(cache, NULL, key, lease, write);
}

enum larder_status larder_lease_return_with(struct larder_cache *cache,
                                            const struct larder_call *call, struct larder_slice key,
                                            struct larder_lease lease)
{
    LARDER_VISIT(cache);
    struct entry entry;
    enum larder_status status =
        lease.token == 0 ? LARDER_BAD_ARGUMENT
                         : lease_enter(cache, LARDER_OPERATION_LEASE_RETURN, call, key, &entry);
    if (status == LARDER_OK)
        status = entry.scope->ops->lease_return(entry.scope, key, lease);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_lease_return_with(cache, call, key, lease);
    return larder__finish(cache, LARDER_OPERATION_LEASE_RETURN, key, status);
}

enum larder_status larder_lease_return(struct larder_cache *cache, struct larder_slice key,
                                       struct larder_lease lease)
{
    return larder_lease_return_with(cache, NULL, key, lease);
}
