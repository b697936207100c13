/* One call: first `of`, then perhaps the spare. */
#include "gutter.h"

#include <larder/util/deadline.h>

/* ---- on the way to `of` -------------------------------------------------------------------- */

/* Both attempts have one deadline; a short one is shared out as the timeouts are.
 * @return OK, or TIMEOUT when nothing is left of it: then it is no fault of `of` */
static enum larder_status share_time(struct passage *passage)
{
    const struct gutter *gutter = passage->gutter;
    uint64_t all_ms = gutter->all_ms != 0 ? gutter->all_ms : UINT64_MAX;
    uint64_t now_ns = larder_monotonic_ns();
    uint64_t end_ns = larder_scope_deadline(passage->scope, all_ms);
    if (end_ns == LARDER_NEVER_NS)
        return LARDER_OK;
    if (end_ns <= now_ns)
        return LARDER_TIMEOUT;
    double share = gutter->of_ms != 0 ? (double)gutter->of_ms / gutter->all_ms : 1.0;
    passage->spare.deadline_ns = end_ns;
    passage->of.deadline_ns = now_ns + (uint64_t)((double)(end_ns - now_ns) * share);
    return LARDER_OK;
}

enum larder_status gutter_begin(struct passage *passage, const struct larder_scope *scope)
{
    struct gutter *gutter = scope->self;
    if (atomic_load_explicit(&gutter->closed, memory_order_relaxed))
        return LARDER_CLOSED;
    passage->gutter = gutter;
    passage->scope = scope;
    passage->of = larder_part_scope(scope, gutter->parts, GUTTER_OF);
    passage->spare.deadline_ns = scope->deadline_ns;
    return gutter->waits ? share_time(passage) : LARDER_OK;
}

/* ---- on the way to the spare --------------------------------------------------------------- */

int64_t gutter_lower(const struct gutter *gutter, int64_t ttl_ms)
{
    return ttl_ms == LARDER_TTL_FOREVER || ttl_ms > gutter->ttl_ms ? gutter->ttl_ms : ttl_ms;
}

static void lower_call(struct passage *passage)
{
    const struct gutter *gutter = passage->gutter;
    struct larder_call *call = &passage->lowered;
    if (passage->scope->call == NULL)
        return;
    *call = *passage->scope->call;
    if (call->touch_ttl_ms != LARDER_TTL_UNKNOWN)
        call->touch_ttl_ms = gutter_lower(gutter, call->touch_ttl_ms);
    if (call->recache_ms > gutter->ttl_ms)
        call->recache_ms = (uint32_t)gutter->ttl_ms;
    passage->spare.call = call;
}

void gutter_ready_spare(struct passage *passage)
{
    uint64_t deadline_ns = passage->spare.deadline_ns;
    passage->spare = larder_part_scope(passage->scope, passage->gutter->parts, GUTTER_SPARE);
    passage->spare.deadline_ns = deadline_ns;
    lower_call(passage);
}

int gutter_is_down(enum larder_status status)
{
    return status == LARDER_UNAVAILABLE || status == LARDER_TIMEOUT || status == LARDER_PROTOCOL;
}

static int prolongs(const struct passage *passage)
{
    const struct larder_call *call = passage->scope->call;
    return call != NULL && call->touch_ttl_ms != LARDER_TTL_UNKNOWN;
}

int gutter_turns(struct passage *passage, enum gutter_turn turn, enum larder_status status)
{
    struct gutter *gutter = passage->gutter;
    const struct larder_call *call = passage->scope->call;
    /* a version is one of `of`'s */
    if (!gutter_is_down(status) || (call != NULL && call->version != 0))
        return 0;
    if (!gutter_spare_may_be_read(gutter)) {
        GUTTER_COUNT(gutter, spare_avoided);
        return 0;
    }
    gutter_ready_spare(passage);
    if (turn == GUTTER_WRITE || prolongs(passage))
        gutter_spare_holds(gutter);
    if (turn == GUTTER_WRITE)
        GUTTER_COUNT(gutter, writes_turned);
    else
        GUTTER_COUNT(gutter, reads_turned);
    return 1;
}

enum larder_status gutter_settle(enum larder_status of, enum larder_status spare)
{
    return gutter_is_down(spare) ? of : spare;
}

/* ---- the spare's copy ---------------------------------------------------------------------- */

void gutter_ready_drop(struct passage *passage)
{
    gutter_ready_spare(passage);
    passage->lowered.version = 0; /* these were about the write on `of` */
    passage->lowered.touch_ttl_ms = LARDER_TTL_UNKNOWN;
    passage->lowered.recache_ms = 0;
}

void gutter_drop(struct passage *passage, struct larder_slice key)
{
    gutter_ready_drop(passage);
    enum larder_status status = passage->spare.ops->remove(&passage->spare, key, 0);
    GUTTER_COUNT(passage->gutter, drops);
    if (status != LARDER_OK && status != LARDER_MISS)
        gutter_spare_missed(passage->gutter);
}

int gutter_outdates(const struct passage *passage, enum larder_status status)
{
    return (status == LARDER_OK || status == LARDER_UNKNOWN) &&
           gutter_spare_may_hold(passage->gutter);
}

int gutter_deletes(enum larder_status status, uint64_t version)
{
    if (version != 0 || status == LARDER_WOULD_BLOCK)
        return status == LARDER_OK || status == LARDER_UNKNOWN;
    return status >= LARDER_OK || status == LARDER_UNKNOWN || gutter_is_down(status);
}
