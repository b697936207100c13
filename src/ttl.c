#include "ttl.h"

struct ttl_policy larder__ttl_narrow(struct ttl_policy outer, int64_t default_ms, int64_t max_ms)
{
    struct ttl_policy narrow = outer;
    if (default_ms != LARDER_TTL_DEFAULT)
        narrow.default_ms = default_ms;
    narrow.max_ms = larder_ttl_max_of(outer.max_ms, max_ms);
    return narrow;
}
