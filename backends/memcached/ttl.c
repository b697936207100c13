/*
 * TTLs as memcached takes them: seconds, relative up to 30 days, beyond that the wall clock's time.
 *
 * The server's clock ticks once a second and an entry dies with a tick, so an exptime of n lives
 * more than n - 1 and at most n seconds. One is added to the rounded TTL: never early, at most two
 * late. Source: memcached's doc/protocol.txt, "Expiration times"; its realtime() works in 32 bits.
 */
#include "edge.h"

#include <time.h>

#define MS_PER_SECOND 1000
#define RELATIVE_MAX_S 2592000

time_t exptime_of(int64_t ttl_ms, int64_t now_s)
{
    if (ttl_ms == LARDER_TTL_FOREVER)
        return 0;
    int64_t seconds = ttl_ms / MS_PER_SECOND + (ttl_ms % MS_PER_SECOND != 0) + 1;
    if (seconds <= RELATIVE_MAX_S)
        return (time_t)seconds;
    if (seconds <= INT32_MAX - now_s)
        return (time_t)(now_s + seconds);
    /* Past the server's last second: that second, or while it is near the longest relative time. */
    return now_s < INT32_MAX - RELATIVE_MAX_S ? INT32_MAX : RELATIVE_MAX_S;
}

time_t exptime_from_now(int64_t ttl_ms)
{
    return exptime_of(ttl_ms, (int64_t)time(NULL));
}
