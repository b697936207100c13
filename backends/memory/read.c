/* Reading, and touching. */
#include "operations.h"

#include <larder/util/value.h>

#include "shard.h"

static enum larder_status status_of(enum presence presence)
{
    switch (presence) {
    case PRESENT:
        return LARDER_OK;
    case NEGATIVE:
        return LARDER_ABSENT;
    case MISSING:
        break;
    }
    return LARDER_MISS;
}

enum larder_status larder__memory_read(const struct larder_scope *scope, struct larder_slice key,
                                       void *buffer, size_t size, struct larder_info *info)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = status_of(visit.presence);
    if (status == LARDER_OK) {
        if (larder__call_touch(scope) != LARDER_TTL_UNKNOWN)
            larder__visit_touch(&visit, larder__call_touch(scope));
        struct larder_slice value = larder__entry_value(visit.entry);
        larder__entry_info(visit.entry, visit.now_ns, info);
        status = larder_copy_out(buffer, size, value.data, value.length, info);
    }
    larder__visit_end(&visit, SWEPT_BY_READS);
    return status;
}

/* LARDER_TTL_UNKNOWN touches nothing. */
static enum larder_status get_with_ttl(const struct larder_scope *scope, struct larder_slice key,
                                       int64_t ttl_ms, struct larder_value *value)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = status_of(visit.presence);
    if (status == LARDER_OK) {
        if (ttl_ms != LARDER_TTL_UNKNOWN)
            larder__visit_touch(&visit, ttl_ms);
        status = larder__entry_view(visit.entry, visit.now_ns, value);
    }
    larder__visit_end(&visit, SWEPT_BY_READS);
    return status;
}

enum larder_status larder__memory_get(const struct larder_scope *scope, struct larder_slice key,
                                      struct larder_value *value)
{
    return get_with_ttl(scope, key, larder__call_touch(scope), value);
}

enum larder_status larder__memory_get_and_touch(const struct larder_scope *scope,
                                                struct larder_slice key, int64_t ttl_ms,
                                                struct larder_value *value)
{
    return get_with_ttl(scope, key, ttl_ms, value);
}

enum larder_status larder__memory_touch(const struct larder_scope *scope, struct larder_slice key,
                                        int64_t ttl_ms)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    uint64_t version = larder__call_version(scope);
    if (visit.presence != PRESENT)
        status = LARDER_MISS;
    else if (version != 0 && version != visit.entry->version)
        status = LARDER_CONFLICT;
    else
        larder__visit_touch(&visit, ttl_ms);
    larder__visit_end(&visit, SWEPT_BY_WRITES);
    return status;
}
