/* What a TTL means for a handle: the default, the maximum, what the backend can. */
#ifndef LARDER_TTL_H
#define LARDER_TTL_H

#include <larder/larder.h>
#include <larder/util/lower.h>

struct ttl_policy {
    int64_t default_ms; /* 0: for ever */
    int64_t max_ms;     /* 0: no maximum */
};

/** The policy that holds when both hold. @param default_ms LARDER_TTL_DEFAULT: outer's own */
struct ttl_policy larder__ttl_narrow(struct ttl_policy outer, int64_t default_ms, int64_t max_ms);

/** @return OK and *resolved (0 for ever, else positive), or BAD_ARGUMENT for a negative TTL */
static inline enum larder_status larder__ttl_resolve(struct ttl_policy policy, int64_t ttl_ms,
                                                     int64_t *resolved)
{
    if (ttl_ms == LARDER_TTL_DEFAULT)
        ttl_ms = policy.default_ms;
    if (ttl_ms < 0)
        return LARDER_BAD_ARGUMENT;
    *resolved = larder_ttl_lowered(ttl_ms, policy.max_ms);
    return LARDER_OK;
}

#endif
