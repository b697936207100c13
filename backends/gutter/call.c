/* One call: first `of`, then perhaps the spare. */
#include "gutter.h"

#include <larder/util/lower.h>

/* ---- on the way to `of` -------------------------------------------------------------------- */

enum larder_status gutter_begin(struct passage *passage, const struct larder_scope *scope)
{
    struct gutter *gutter = scope->self;
    if (larder_gate_enter(&gutter->gate, scope) != LARDER_OK)
        return LARDER_CLOSED;
    passage->gutter = gutter;
    passage->scope = scope;
    passage->of = larder_part_scope(scope, gutter->parts, GUTTER_OF);
    passage->spare.deadline_ns = scope->deadline_ns;
    if (!gutter->waits)
        return LARDER_OK;
    /* a TIMEOUT here is no fault of `of` */
    return larder_parts_share_time(scope, gutter->of_ms, gutter->all_ms, &passage->of.deadline_ns,
                                   &passage->spare.deadline_ns);
}

/* ---- on the way to the spare --------------------------------------------------------------- */

static void lower_call(struct passage *passage)
{
    const struct gutter *gutter = passage->gutter;
    struct larder_call *call = &passage->lowered;
    if (passage->scope->call == NULL)
        return;
    *call = *passage->scope->call;
    larder_call_lower(call, gutter->ttl_ms);
    passage->spare.call = call;
}

void gutter_ready_spare(struct passage *passage)
{
    uint64_t deadline_ns = passage->spare.deadline_ns;
    passage->spare = larder_part_scope(passage->scope, passage->gutter->parts, GUTTER_SPARE);
    passage->spare.deadline_ns = deadline_ns;
    lower_call(passage);
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
    if (!larder_is_down(status) || (call != NULL && call->version != 0))
        return 0;
    if (!gutter_spare_may_be_read(gutter)) {
        GUTTER_COUNT(gutter, spare_avoided);
        return 0;
    }
    gutter_ready_spare(passage);
    passage->leaves = turn == GUTTER_WRITE || prolongs(passage);
    if (passage->leaves)
        gutter_spare_holds(gutter);
    if (turn == GUTTER_WRITE)
        GUTTER_COUNT(gutter, writes_turned);
    else
        GUTTER_COUNT(gutter, reads_turned);
    return 1;
}

enum larder_status gutter_settle(const struct passage *passage, enum larder_status of,
                                 enum larder_status spare)
{
    if (passage->leaves)
        gutter_spare_holds(passage->gutter);
    return larder_is_down(spare) ? of : spare;
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
