/*
 * Leases of the protocol itself. `mg N` makes an empty placeholder of a missing key and tells one
 * caller that it won; the placeholder dies when the lease has ended, and the next caller wins. `mg
 * R` lets one caller win an entry near its end, and a stale entry is won by whoever first looks.
 * These two are not replaced when their holder dies: nobody wins again before the entry is over.
 *
 * A token is the version of what was won: whatever was stored, deleted or marked since has another
 * one, so a fill that comes after it finds its lease void.
 */
#include "meta.h"

/* What is added to a version, so that the token of one key fits no other: each server counts its
 * versions from 1. Source: FNV-1a. */
static uint64_t salt_of(struct larder_slice wire)
{
    const unsigned char *bytes = wire.data;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < wire.length; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t version_of(const struct target *target, struct larder_lease lease)
{
    return lease.token - salt_of(target->wire.bytes);
}

/* ---- taking -------------------------------------------------------------------------------- */

struct lease_question {
    struct question question;
    const struct delivery *delivery;
    uint64_t won; /* the version; 0: it was not won, or the server gives no versions */
};

static int take_lease(struct question *question, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct lease_question *lease = (struct lease_question *)(void *)question;
    enum state state = meta_state_of(reply);
    lease->won = (reply->marks & LARDER_META_WON) != 0 ? reply->version : 0;
    question->status = LARDER_MISS;
    if (state == STATE_LIVE || state == STATE_STALE)
        question->status = meta_deliver_value(lease->delivery, reply, sink, sink_size);
    if (state == STATE_STALE && question->status == LARDER_OK)
        question->status = LARDER_STALE;
    if (state == STATE_LIVE && lease->won != 0)
        lease->delivery->value->info.marks |= LARDER_REFRESH_WANTED;
    return 1;
}

/* An entry has up to a second more than its TTL, see meta_exptime_from_now(). */
static int32_t recache_s(uint32_t recache_ms)
{
    return (int32_t)(recache_ms / 1000 + (recache_ms % 1000 != 0) + 1);
}

static void lease_request(struct larder_meta_request *request, const struct target *target,
                          const struct delivery *delivery, uint32_t lease_ms,
                          const struct larder_call *options)
{
    meta_read_request(request, target->wire.bytes, delivery);
    request->flags |= LARDER_META_FLAG_VIVIFY | LARDER_META_FLAG_RETURN_VERSION;
    request->vivify_ttl = meta_exptime_from_now(lease_ms);
    if (options == NULL || options->recache_ms == 0)
        return;
    request->flags |= LARDER_META_FLAG_RECACHE;
    request->recache_s = recache_s(options->recache_ms);
}

static enum larder_status give_back(struct call *call, const struct target *target,
                                    uint64_t version);

enum larder_status meta_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                  uint32_t lease_ms, struct larder_value *value,
                                  struct larder_lease *lease)
{
    const struct delivery delivery = {NULL, value, NULL, 0, LARDER_TTL_UNKNOWN};
    struct lease_question ask = {.question = {.answer = take_lease}, .delivery = &delivery};
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status != LARDER_OK)
        return status;
    lease_request(&ask.question.request, &target, &delivery, lease_ms, scope->call);
    status = meta_ask(&call, target.site, &ask.question);
    if (status >= 0) {
        lease->token = ask.won != 0 ? ask.won + salt_of(target.wire.bytes) : 0;
        return status;
    }
    meta_undeliver(&delivery);
    if (ask.won != 0) /* the caller does not learn that he has it */
        (void)give_back(&call, &target, ask.won);
    return status;
}

/* ---- ending -------------------------------------------------------------------------------- */

enum larder_status meta_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                   struct larder_lease lease, const struct larder_write *write)
{
    struct call call;
    struct target target;
    uint64_t version;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status == LARDER_OK && version_of(&target, lease) == 0)
        status = LARDER_CONFLICT;
    if (status == LARDER_OK)
        status = meta_limit_check(&call, target.site, target.wire.bytes, write->value.length,
                                  write->flags);
    if (status == LARDER_OK)
        status =
            meta_store_at(&call, LARDER_SET, &target, write, version_of(&target, lease), &version);
    return status == META_DISTURBED ? meta_lost(&call, &target, LARDER_CONFLICT) : status;
}

/* The same value under a new version, with nobody renewing it: TTL and flags stay. */
static enum larder_status store_again(struct call *call, const struct target *target,
                                      uint64_t version)
{
    const struct larder_write nothing = larder_write_of(larder_bytes(NULL, 0), LARDER_TTL_FOREVER);
    uint64_t stored;
    return meta_store_at(call, LARDER_APPEND, target, &nothing, version, &stored);
}

static enum larder_status end(struct call *call, const struct target *target, struct sight *sight,
                              const void *what)
{
    const uint64_t version = *(const uint64_t *)what;
    enum larder_status status = LARDER_CONFLICT;
    if (version == 0 || sight->version != version || !sight->leased)
        return LARDER_CONFLICT;
    if (sight->state == STATE_PENDING)
        status = meta_remove_at(call, target, version);
    else if (sight->state == STATE_STALE)
        status = meta_mark_at(call, target, version, 0);
    else if (sight->state == STATE_LIVE)
        status = store_again(call, target, version);
    return status == META_DISTURBED ? LARDER_CONFLICT : status;
}

static enum larder_status give_back(struct call *call, const struct target *target,
                                    uint64_t version)
{
    return meta_change(call, target, end, &version);
}

enum larder_status meta_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_lease lease)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    return status == LARDER_OK ? give_back(&call, &target, version_of(&target, lease)) : status;
}
