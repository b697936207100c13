/* Recording what was lost, and making up for it. */
#include "inside.h"

#include <stdlib.h>

#include <larder/util/deadline.h>

/* After a replay that failed, calls carry none along for this long. */
#define CARRY_PAUSE_NS UINT64_C(100000000)

uint64_t tracker_now_ns(const struct tracker *tracker)
{
    return tracker->clock.now_ns(tracker->clock.context);
}

enum larder_status tracker_begin(struct passage *passage, const struct larder_scope *scope)
{
    struct tracker *tracker = scope->self;
    uint32_t timeout_ms = tracker->traits.timeout_ms;
    if (larder_gate_enter(&tracker->gate, scope) != LARDER_OK)
        return LARDER_CLOSED;
    passage->tracker = tracker;
    passage->of = larder_part_scope(scope, tracker->parts, 0);
    passage->is_calm = journal_is_empty(tracker->journal);
    /* replay and call have one deadline */
    if (timeout_ms != 0 && !passage->is_calm)
        passage->of.deadline_ns = larder_scope_deadline(scope, timeout_ms);
    return LARDER_OK;
}

/* ---- making up for it ---------------------------------------------------------------------- */

/* A replay is a plain call: the options of the call that it goes before are not its own. */
static struct larder_scope plain_scope(const struct passage *passage, struct larder_call *call)
{
    struct larder_scope scope = passage->of;
    if (scope.call != NULL) {
        *call = *scope.call;
        call->flags &= LARDER_NO_WAIT;
        call->version = 0;
        call->recache_ms = 0;
        call->touch_ttl_ms = LARDER_TTL_UNKNOWN;
        scope.call = call;
    }
    return scope;
}

/* `of` without its namespaces: all of it. */
static enum larder_status flush_all(const struct tracker *tracker, struct larder_scope scope)
{
    scope.ops = tracker->parts[0].ops;
    scope.self = tracker->parts[0].self;
    scope.space = NULL;
    return scope.ops->flush(&scope);
}

static enum larder_status make_up(const struct passage *passage, enum lost_kind kind,
                                  struct larder_slice key)
{
    struct larder_call call;
    struct larder_scope scope = plain_scope(passage, &call);
    if (kind == LOST_ALL)
        return flush_all(passage->tracker, scope);
    if (kind == LOST_SPACE)
        return scope.ops->flush(&scope);
    return scope.ops->remove(&scope, key, 0);
}

/* What a call is told whose key could not be made up for: it has done nothing. */
static enum larder_status refusal(enum larder_status status)
{
    switch (status) {
    case LARDER_TIMEOUT:
    case LARDER_NO_MEMORY:
    case LARDER_WOULD_BLOCK:
    case LARDER_CLOSED:
        return status;
    default:
        return LARDER_UNAVAILABLE;
    }
}

/* @return OK when what was seen is made up for */
static enum larder_status replay(struct passage *passage, struct larder_slice key,
                                 const struct sight *sight)
{
    struct tracker *tracker = passage->tracker;
    atomic_fetch_add_explicit(&tracker->replays, 1, memory_order_relaxed);
    enum larder_status status = make_up(passage, sight->kind, key);
    if (status != LARDER_OK && status != LARDER_MISS) {
        atomic_fetch_add_explicit(&tracker->replays_failed, 1, memory_order_relaxed);
        return refusal(status);
    }
    return journal_made_up(tracker->journal, passage->of.space, key, sight, tracker_now_ns(tracker),
                           tracker->settle_ns)
               ? LARDER_OK
               : LARDER_UNAVAILABLE;
}

/* While what was doubtful settles, another delete would say nothing new. */
static int is_settling(const struct tracker *tracker, const struct sight *sight)
{
    return sight->deleted_ns != 0 &&
           tracker_now_ns(tracker) - sight->deleted_ns < tracker->settle_ns;
}

static enum larder_status ready_kind(struct passage *passage, enum lost_kind kind,
                                     struct larder_slice key)
{
    struct sight sight;
    enum larder_status status =
        journal_look(passage->tracker->journal, kind, passage->of.space, key, &sight);
    if (status != LARDER_OK || sight.number == 0)
        return status;
    status =
        is_settling(passage->tracker, &sight) ? LARDER_UNAVAILABLE : replay(passage, key, &sight);
    if (status != LARDER_OK)
        atomic_fetch_add_explicit(&passage->tracker->refused, 1, memory_order_relaxed);
    return status;
}

enum larder_status tracker_ready_around(struct passage *passage)
{
    const struct larder_slice none = {NULL, 0};
    if (passage->is_calm)
        return LARDER_OK;
    enum larder_status status = ready_kind(passage, LOST_ALL, none);
    return status == LARDER_OK ? ready_kind(passage, LOST_SPACE, none) : status;
}

enum larder_status tracker_ready(struct passage *passage, struct larder_slice key)
{
    if (passage->is_calm)
        return LARDER_OK;
    enum larder_status status = tracker_ready_around(passage);
    return status == LARDER_OK ? ready_kind(passage, LOST_KEY, key) : status;
}

/* ---- recording ----------------------------------------------------------------------------- */

static int is_lost(enum larder_status status)
{
    return status == LARDER_UNAVAILABLE || status == LARDER_TIMEOUT || status == LARDER_PROTOCOL ||
           status == LARDER_UNKNOWN;
}

void tracker_note(struct passage *passage, enum larder_operation operation, struct larder_slice key,
                  enum larder_status status, int doubtful)
{
    struct tracker *tracker = passage->tracker;
    const struct larder_space *space = passage->of.space;
    enum lost_kind recorded;
    struct larder_lost lost = {.size = sizeof(lost),
                               .operation = operation,
                               .status = status,
                               .name_space = space != NULL ? space->name : larder_bytes(NULL, 0),
                               .key = key};
    if (!is_lost(status))
        return;
    int is_new = journal_record(tracker->journal, tracker->keys_max, space, &lost,
                                doubtful && status == LARDER_UNKNOWN, &recorded);
    if (!is_new || tracker->on_lost == NULL)
        return;
    if (recorded != LOST_KEY)
        lost.key = larder_bytes(NULL, 0);
    if (recorded == LOST_ALL)
        lost.name_space = lost.key;
    tracker->on_lost(tracker->lost_context, &lost);
}

/* ---- carrying along ------------------------------------------------------------------------ */

/* Replays the entry that was left alone for longest. @return OK; MISS when there is none */
static enum larder_status replay_next(struct passage *passage)
{
    struct entry_copy copy;
    struct passage other = *passage;
    if (!journal_next(passage->tracker->journal, 0, &copy))
        return LARDER_MISS;
    const struct larder_part *part = passage->tracker->parts;
    other.of.space = copy.has_space ? &copy.space : NULL;
    other.of.ops = copy.has_space ? part->space_ops : part->ops;
    other.of.self = copy.has_space ? part->space_self : part->self;
    other.of.server = 0;
    enum larder_status status = is_settling(passage->tracker, &copy.sight)
                                    ? LARDER_UNAVAILABLE
                                    : replay(&other, copy.lost.key, &copy.sight);
    free(copy.bytes);
    return status;
}

void tracker_carry(struct passage *passage, enum larder_status status)
{
    struct tracker *tracker = passage->tracker;
    if (passage->is_calm || status < LARDER_OK || status == LARDER_WOULD_BLOCK)
        return;
    uint64_t now_ns = larder_monotonic_ns();
    if (now_ns < atomic_load_explicit(&tracker->carry_ns, memory_order_relaxed))
        return;
    if (replay_next(passage) != LARDER_OK)
        atomic_store_explicit(&tracker->carry_ns, now_ns + CARRY_PAUSE_NS, memory_order_relaxed);
}

void tracker_replay_some(struct passage *passage, uint64_t until_ns)
{
    struct journal_figures figures;
    journal_read(passage->tracker->journal, &figures);
    for (uint64_t left = figures.keys + figures.wholes; left > 0; left--)
        if (replay_next(passage) != LARDER_OK || larder_monotonic_ns() >= until_ns)
            return;
}
