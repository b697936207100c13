/* Deletes, of one key and of all: at once, or to a stale entry that lease_get still serves. */
#include "meta.h"

/* A delete that was disturbed so often takes whatever is there: deletes must get through. */
#define REMOVE_ROUNDS 32

/* ---- one key ------------------------------------------------------------------------------- */

/* md does not tell whether it deleted a value or a placeholder. mg does, and with a TTL that is
 * over it deletes as well. */
void meta_remove_request(const struct meta *meta, struct larder_meta_request *request,
                         struct larder_slice wire, uint64_t version)
{
    if (version == 0 && meta->leases) {
        *request = (struct larder_meta_request){.command = LARDER_META_GET,
                                                .flags = LARDER_META_FLAG_TTL |
                                                         LARDER_META_FLAG_RETURN_FLAGS |
                                                         LARDER_META_FLAG_RETURN_SIZE,
                                                .key = wire,
                                                .ttl = -1};
        return;
    }
    *request = (struct larder_meta_request){
        .command = LARDER_META_DELETE, .key = wire, .compare = version};
    if (version != 0)
        request->flags |= LARDER_META_FLAG_COMPARE;
}

int meta_remove_answer(const struct larder_meta_reply *reply, enum larder_status *status)
{
    if (reply->code == LARDER_META_EN || (reply->present & LARDER_META_FLAG_RETURN_SIZE) != 0)
        *status = meta_state_of(reply) == STATE_LIVE ? LARDER_OK : LARDER_MISS;
    else
        *status = reply->code == LARDER_META_HD   ? LARDER_OK
                  : reply->code == LARDER_META_NF ? LARDER_MISS
                  : reply->code == LARDER_META_EX ? LARDER_CONFLICT
                                                  : LARDER_UNKNOWN;
    return *status != LARDER_UNKNOWN;
}

static int take_removed(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    (void)sink;
    (void)sink_size;
    return meta_remove_answer(reply, &question->status);
}

static enum larder_status ask_to_remove(struct call *call, const struct target *target,
                                        struct question *removal)
{
    enum larder_status status = meta_ask(call, target->site, removal);
    return status == LARDER_CONFLICT || status == LARDER_MISS ? META_DISTURBED : status;
}

enum larder_status meta_remove_at(struct call *call, const struct target *target, uint64_t at)
{
    struct question removal = {.request = {.command = LARDER_META_DELETE,
                                           .flags = at != 0 ? LARDER_META_FLAG_COMPARE : 0,
                                           .key = target->wire.bytes,
                                           .compare = at},
                               .answer = take_removed};
    return ask_to_remove(call, target, &removal);
}

enum larder_status meta_mark_at(struct call *call, const struct target *target, uint64_t at,
                                uint64_t stale_ms)
{
    struct question mark = {.request = {.command = LARDER_META_DELETE,
                                        .flags = LARDER_META_FLAG_INVALIDATE |
                                                 (at != 0 ? LARDER_META_FLAG_COMPARE : 0) |
                                                 (stale_ms != 0 ? LARDER_META_FLAG_TTL : 0),
                                        .key = target->wire.bytes,
                                        .compare = at,
                                        .ttl = meta_exptime_from_now((int64_t)stale_ms)},
                            .answer = take_removed};
    return ask_to_remove(call, target, &mark);
}

/* Marks a value stale, also one that is so already: whoever computes does it from what was before.
 */
static enum larder_status mark(struct call *call, const struct target *target, struct sight *sight,
                               const void *what)
{
    uint64_t version = *(const uint64_t *)what;
    uint64_t at = version == 0 && sight->round >= REMOVE_ROUNDS ? 0 : sight->version;
    int live = sight->state == STATE_LIVE;
    if (sight->state == STATE_NONE || (version != 0 && !live))
        return LARDER_MISS;
    if (version != 0 && version != sight->version)
        return LARDER_CONFLICT;
    enum larder_status status = sight->state == STATE_PENDING
                                    ? meta_remove_at(call, target, at)
                                    : meta_mark_at(call, target, at, call->meta->stale_ms);
    sight->won &= status != LARDER_OK;
    return status == LARDER_OK && !live ? LARDER_MISS : status;
}

int meta_remove_looks(const struct meta *meta)
{
    return meta->stale_ms != 0;
}

enum larder_status meta_remove_afterthought(struct call *call, const struct target *target,
                                            enum larder_status status)
{
    return status == LARDER_CONFLICT ? meta_refusal(call, target, status) : status;
}

enum larder_status meta_call_remove(struct call *call, const struct target *target,
                                    uint64_t version)
{
    struct question removal = {.answer = take_removed};
    if (meta_remove_looks(call->meta))
        return meta_change(call, target, mark, &version);
    meta_remove_request(call->meta, &removal.request, target->wire.bytes, version);
    removal.quiet = version == 0 && meta_is_quiet(call);
    return meta_remove_afterthought(call, target, meta_ask(call, target->site, &removal));
}

enum larder_status meta_remove(const struct larder_scope *scope, struct larder_slice key,
                               uint64_t version)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status == LARDER_OK)
        status = meta_call_remove(&call, &target, version);
    return status;
}

/* ---- flush --------------------------------------------------------------------------------- */

static int take_flushed(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    (void)sink;
    (void)sink_size;
    question->status = LARDER_OK;
    return reply->code == LARDER_META_CLASSIC_OK;
}

enum larder_status meta_flush(const struct larder_scope *scope)
{
    struct call call;
    enum larder_status lowest = meta_call_begin(&call, scope);
    if (lowest != LARDER_OK)
        return lowest;
    if (scope->server > call.meta->site_count)
        return LARDER_BAD_ARGUMENT;
    for (uint32_t i = 0; i < call.meta->site_count; i++) {
        struct question flush = {.answer = take_flushed, .text = "flush_all\r\n"};
        if (scope->server != 0 && scope->server - 1 != i)
            continue;
        enum larder_status status = meta_ask(&call, call.meta->sites[i], &flush);
        if (status < lowest)
            lowest = status;
    }
    return lowest;
}
