/* TTLs lowered to a maximum, for caches on which nothing is to live longer: of everything in a call
 * that has one. A maximum of 0 is none. */
#ifndef LARDER_UTIL_LOWER_H
#define LARDER_UTIL_LOWER_H

#include <larder/backend.h>

/** @param ttl_ms  resolved: 0 for ever, else positive */
static inline int64_t larder_ttl_lowered(int64_t ttl_ms, int64_t max_ms)
{
    return max_ms != 0 && (ttl_ms == LARDER_TTL_FOREVER || ttl_ms > max_ms) ? max_ms : ttl_ms;
}

/** The smaller of two maxima. */
static inline int64_t larder_ttl_max_of(int64_t one_ms, int64_t other_ms)
{
    return one_ms == 0 ? other_ms : larder_ttl_lowered(other_ms, one_ms);
}

static inline struct larder_write larder_write_lowered(const struct larder_write *write,
                                                       int64_t max_ms)
{
    struct larder_write low = *write;
    low.ttl_ms = larder_ttl_lowered(write->ttl_ms, max_ms);
    return low;
}

/** Puts the counter's start with a lowered TTL into `low`. @return `low`; NULL for NULL */
static inline const struct larder_initial *
larder_initial_lowered(const struct larder_initial *initial, int64_t max_ms,
                       struct larder_initial *low)
{
    if (initial == NULL)
        return NULL;
    *low = *initial;
    low->ttl_ms = larder_ttl_lowered(initial->ttl_ms, max_ms);
    return low;
}

/** How long a lease lasts, and how early a value is renewed, are no TTLs for ever when they are 0.
 */
static inline uint32_t larder_span_lowered(uint32_t span_ms, int64_t max_ms)
{
    return max_ms != 0 && span_ms > max_ms ? (uint32_t)max_ms : span_ms;
}

/** The options of a call. */
static inline void larder_call_lower(struct larder_call *call, int64_t max_ms)
{
    if (call->touch_ttl_ms != LARDER_TTL_UNKNOWN)
        call->touch_ttl_ms = larder_ttl_lowered(call->touch_ttl_ms, max_ms);
    call->recache_ms = larder_span_lowered(call->recache_ms, max_ms);
}

#endif
