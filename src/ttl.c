#include "ttl.h"

#include <larder/util/lower.h>

struct ttl_policy larder__ttl_narrow(struct ttl_policy outer, int64_t default_ms, int64_t max_ms)
{
    struct ttl_policy narrow = outer;
    if (default_ms != LARDER_TTL_DEFAULT)
        narrow.default_ms = default_ms;
    narrow.max_ms = larder_ttl_max_of(outer.max_ms, max_ms);
    return narrow;
}

enum larder_status larder__ttl_resolve(struct ttl_policy policy, int64_t ttl_ms, int64_t *resolved)
{
    if (ttl_ms == LARDER_TTL_DEFAULT)
        ttl_ms = policy.default_ms;
    if (ttl_ms < 0)
        return LARDER_BAD_ARGUMENT;
    *resolved = larder_ttl_lowered(ttl_ms, policy.max_ms);
    return LARDER_OK;
}
