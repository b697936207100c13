/* One call of a pair: which part leads, and what the other one gets afterwards. */
#include "pair_inside.h"

#include <larder/util/deadline.h>
#include <larder/util/lower.h>

#define COUNT(pair, name) atomic_fetch_add_explicit(&(pair)->name, 1, memory_order_relaxed)

void larder_pair_init(struct larder_pair *pair, const struct larder_pair_kind *kind,
                      const struct larder_part *parts)
{
    pair->kind = kind;
    pair->parts = parts;
    pair->traits.size = sizeof(pair->traits);
    atomic_init(&pair->gate, LARDER_GATE_OPEN);
#define COUNTER_INIT(name) atomic_init(&pair->name, 0);
    LARDER_PAIR_COUNTER_TABLE(COUNTER_INIT)
#undef COUNTER_INIT
}

/* ---- setting out --------------------------------------------------------------------------- */

static const struct larder_traits *traits_of(const struct larder_passage *passage, unsigned index)
{
    const struct larder_part *part = &passage->pair->parts[index];
    return passage->scope->space != NULL ? part->space_traits : part->traits;
}

const struct larder_traits *larder_pair_other_traits(const struct larder_passage *passage)
{
    return traits_of(passage, !passage->lead);
}

int larder_pair_has(const struct larder_passage *passage, struct larder_slice key)
{
    return passage->pair->kind->has == NULL || passage->pair->kind->has(passage->pair, key);
}

/* What the follower is asked for is no matter of versions, nor need it go unacknowledged. */
static void ready_call(struct larder_passage *passage)
{
    const struct larder_call plain = LARDER_CALL_INIT, *given = passage->scope->call;
    uint64_t takes = larder_pair_other_traits(passage)->options;
    if (given == NULL)
        return;
    passage->call = plain;
    passage->call.flags = given->flags & LARDER_NO_WAIT;
    passage->call.timeout_ms = given->timeout_ms;
    if ((takes & LARDER_TAKES_ROUTING_KEY) != 0)
        passage->call.routing_key = given->routing_key;
    passage->other.call = &passage->call;
}

/* A session's deadline and flags hold for the follower as well. */
static void ready_other(struct larder_passage *passage)
{
    const struct larder_pair *pair = passage->pair;
    struct larder_scope scope = *passage->scope;
    if (pair->kind->only_copies && scope.session != NULL && scope.session->owner == scope.self) {
        passage->alone = *scope.session;
        passage->alone.owner = passage->alone.member = NULL;
        scope.session = &passage->alone;
    }
    passage->other = larder_part_scope(&scope, pair->parts, !passage->lead);
    ready_call(passage);
}

static int may_wait(const struct larder_passage *passage)
{
    return (passage->pair->traits.promises & LARDER_NEVER_BLOCKS) == 0;
}

static enum larder_status share_time(struct larder_passage *passage)
{
    uint32_t lead_ms = traits_of(passage, passage->lead)->timeout_ms;
    uint32_t all_ms = lead_ms + larder_pair_other_traits(passage)->timeout_ms;
    if (passage->pair->kind->only_copies)
        lead_ms = all_ms;
    return larder_parts_share_time(passage->scope, lead_ms, all_ms, &passage->of.deadline_ns,
                                   &passage->other.deadline_ns);
}

enum larder_status larder_pair_begin(struct larder_passage *passage,
                                     const struct larder_scope *scope,
                                     const struct larder_slice *key, int reads, int writes)
{
    struct larder_pair *pair = scope->self;
    if (larder_gate_enter(&pair->gate, scope) != LARDER_OK)
        return LARDER_CLOSED;
    passage->pair = pair;
    passage->scope = scope;
    pair->kind->set_out(passage, reads);
    int has = key == NULL || larder_pair_has(passage, *key);
    passage->looks &= reads && has;
    passage->follows &= writes && has;
    passage->of = larder_part_scope(scope, pair->parts, passage->lead);
    if (!passage->follows && !passage->looks)
        return LARDER_OK;
    ready_other(passage);
    if (!may_wait(passage))
        return LARDER_OK;
    /* the leader must not take what the follower would have to wait for */
    if (passage->follows && !pair->kind->only_copies && larder_scope_no_wait(scope))
        return LARDER_WOULD_BLOCK;
    return share_time(passage);
}

/* ---- what follows -------------------------------------------------------------------------- */

static int joins(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

static int is_unanswered(const struct larder_passage *passage)
{
    const struct larder_call *call = passage->scope->call;
    return call != NULL && (call->flags & LARDER_NO_REPLY) != 0;
}

static int can_hold(const struct larder_passage *passage, const struct larder_write *write)
{
    const struct larder_traits *traits = larder_pair_other_traits(passage);
    return write->value.length <= traits->value_max &&
           ((write->marks & LARDER_WRITE_ABSENT) == 0 || larder_can(traits, LARDER_CAN_ABSENT));
}

static enum follow follow_store(const struct larder_passage *passage, enum larder_mode mode,
                                enum larder_status status, const struct larder_write *write)
{
    if (status != LARDER_OK && status != LARDER_UNKNOWN)
        return FOLLOW_NOT;
    if (status == LARDER_UNKNOWN || joins(mode) || (mode != LARDER_SET && is_unanswered(passage)))
        return FOLLOW_DELETE;
    return can_hold(passage, write) ? FOLLOW_SET : FOLLOW_LEAVE_OUT;
}

/* @param version  that the call named, or 0. A negative entry is not touched. */
static enum follow follow_touch(const struct larder_passage *passage, enum larder_status status,
                                uint64_t version)
{
    if (status == LARDER_ABSENT || !larder_delete_spreads(status, version))
        return FOLLOW_NOT;
    return larder_can(larder_pair_other_traits(passage), LARDER_CAN_TOUCH) ? FOLLOW_TOUCH
                                                                           : FOLLOW_LEAVE_OUT;
}

static uint64_t version_of(const struct larder_passage *passage)
{
    return passage->scope->call != NULL ? passage->scope->call->version : 0;
}

enum follow larder__pair_follow_row(const struct larder_passage *passage,
                                    enum larder_many_kind many, enum larder_mode mode, int touches,
                                    const struct larder_row *row)
{
    if (!passage->follows || !larder_pair_has(passage, row->key))
        return FOLLOW_NOT;
    switch (many) {
    case LARDER_MANY_STORE:
        return follow_store(passage, mode, row->status, &row->write);
    case LARDER_MANY_DELETE:
        return larder_delete_spreads(row->status, row->write.version) ? FOLLOW_DELETE : FOLLOW_NOT;
    case LARDER_MANY_TOUCH:
        return follow_touch(passage, row->status, version_of(passage));
    case LARDER_MANY_READ:
    case LARDER_MANY_GET:
        break;
    }
    return touches ? follow_touch(passage, row->status, 0) : FOLLOW_NOT;
}

struct larder_write larder__pair_write(const struct larder_passage *passage,
                                       const struct larder_write *write)
{
    struct larder_write low =
        larder_write_lowered(write, larder_pair_other_traits(passage)->ttl_max_ms);
    low.version = 0;
    return low;
}

void larder__pair_settle(struct larder_passage *passage, enum follow follow,
                         struct larder_slice key, enum larder_status status)
{
    COUNT(passage->pair, copies);
    if (follow == FOLLOW_LEAVE_OUT)
        COUNT(passage->pair, copies_left_out);
    if (status == LARDER_OK || (status == LARDER_MISS && follow != FOLLOW_SET))
        return;
    COUNT(passage->pair, copies_failed);
    if ((follow == FOLLOW_SET || follow == FOLLOW_TOUCH) && !larder_is_down(status))
        (void)passage->other.ops->remove(&passage->other, key, 0);
}

void larder__pair_follow(struct larder_passage *passage, enum follow follow,
                         struct larder_slice key, const struct larder_write *write)
{
    const struct larder_scope *other = &passage->other;
    enum larder_status status = LARDER_OK;
    uint64_t version = 0;
    if (follow == FOLLOW_NOT)
        return;
    struct larder_write low = larder__pair_write(passage, write);
    if (follow == FOLLOW_SET)
        status = other->ops->store(other, LARDER_SET, key, &low, &version);
    else if (follow == FOLLOW_TOUCH)
        status = other->ops->touch(other, key, low.ttl_ms);
    else
        status = other->ops->remove(other, key, 0);
    larder__pair_settle(passage, follow, key, status);
}
