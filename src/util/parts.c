/* What all compositions do alike. Optional parts that were not given are passed over. */
#include <larder/util/parts.h>

#include <stdio.h>
#include <stdlib.h>

#include <larder/util/deadline.h>
#include <larder/util/lower.h>

/* The longest name of a part within a part within a part. */
#define PREFIX_BYTES 56

/* ---- the end ------------------------------------------------------------------------------- */

static void gate_set(void *self, enum larder_gate state)
{
    atomic_store_explicit((atomic_int *)self, (int)state, memory_order_relaxed);
}

void larder_gate_shutdown(void *self)
{
    gate_set(self, LARDER_GATE_SHUT);
}

void larder_gate_retire(void *self)
{
    gate_set(self, LARDER_GATE_RETIRED);
}

/* ---- scopes -------------------------------------------------------------------------------- */

static struct larder_session *session_of(const struct larder_scope *scope, size_t index)
{
    struct larder_session *session = scope->session;
    if (session == NULL || session->owner != scope->self)
        return session;
    return &((struct larder_session *)session->member)[index];
}

struct larder_scope larder_part_scope(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t index)
{
    const struct larder_part *part = &parts[index];
    struct larder_scope inner = *scope;
    inner.ops = scope->space != NULL ? part->space_ops : part->ops;
    inner.self = scope->space != NULL ? part->space_self : part->self;
    inner.session = session_of(scope, index);
    return inner;
}

enum larder_status larder_parts_share_time(const struct larder_scope *scope, uint32_t first_ms,
                                           uint32_t all_ms, uint64_t *first_ns, uint64_t *second_ns)
{
    uint64_t now_ns = larder_monotonic_ns();
    uint64_t end_ns = larder_scope_deadline(scope, all_ms != 0 ? all_ms : UINT64_MAX);
    if (end_ns == LARDER_NEVER_NS)
        return LARDER_OK;
    if (end_ns <= now_ns)
        return LARDER_TIMEOUT;
    double share = first_ms != 0 ? (double)first_ms / all_ms : 1.0;
    *second_ns = end_ns;
    *first_ns = now_ns + (uint64_t)((double)(end_ns - now_ns) * share);
    return LARDER_OK;
}

/* ---- traits -------------------------------------------------------------------------------- */

#define BOTH_PROMISE                                                                              \
    (LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE | LARDER_KEEPS_NOTHING | LARDER_STRICT_COUNTERS | \
     LARDER_OLD_TOKENS_CONFLICT)
#define EITHER_PROMISES (LARDER_SHARED | LARDER_POOLED)

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static uint32_t larger(uint32_t one, uint32_t other)
{
    return one > other ? one : other;
}

void larder_traits_pass_namespaces(struct larder_traits *traits)
{
    traits->can |= LARDER_CAN_NAMESPACES;
    traits->steps &= ~(uint64_t)LARDER_CAN_NAMESPACES;
}

void larder_traits_join(const struct larder_traits *one, const struct larder_traits *other,
                        uint64_t alone, struct larder_traits *traits)
{
    traits->consistency = LARDER_EVENTUAL;
    traits->can = one->can & (other->can | alone);
    traits->steps = (one->can | one->steps) & (other->can | other->steps | alone) & ~traits->can;
    traits->promises = (one->promises & other->promises & BOTH_PROMISE) |
                       ((one->promises | other->promises) & EITHER_PROMISES);
    traits->options = one->options & other->options;
    traits->value_max = smaller(one->value_max, other->value_max);
    traits->delta_max = smaller(one->delta_max, other->delta_max);
    traits->ttl_max_ms = larder_ttl_max_of(one->ttl_max_ms, other->ttl_max_ms);
    traits->ttl_step_ms = larger(one->ttl_step_ms, other->ttl_step_ms);
    traits->ttl_late_ms = larger(one->ttl_late_ms, other->ttl_late_ms);
    traits->key_max = (uint32_t)smaller(one->key_max, other->key_max);
    traits->timeout_ms = one->timeout_ms + other->timeout_ms;
    larder_traits_pass_namespaces(traits);
}

/* ---- answers ------------------------------------------------------------------------------- */

int larder_delete_spreads(enum larder_status status, uint64_t version)
{
    if (version != 0 || status == LARDER_WOULD_BLOCK)
        return status == LARDER_OK || status == LARDER_UNKNOWN;
    return status >= LARDER_OK || status == LARDER_UNKNOWN || larder_is_down(status);
}

/* ---- sessions ------------------------------------------------------------------------------ */

static void release_first(const struct larder_scope *scope, const struct larder_part *parts,
                          size_t count, struct larder_session *sessions)
{
    for (size_t i = 0; i < count; i++) {
        struct larder_scope inner = larder_part_scope(scope, parts, i);
        if (parts[i].ops != NULL)
            inner.ops->release(&inner, &sessions[i]);
    }
    free(sessions);
}

enum larder_status larder_parts_acquire(const struct larder_scope *scope,
                                        const struct larder_part *parts, size_t count,
                                        struct larder_session *session)
{
    struct larder_session *sessions = calloc(count, sizeof(*sessions));
    if (sessions == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct larder_scope inner = larder_part_scope(scope, parts, i);
        enum larder_status status = LARDER_OK;
        sessions[i] = *session;
        if (parts[i].ops != NULL)
            status = inner.ops->acquire(&inner, &sessions[i]);
        if (status != LARDER_OK) {
            release_first(scope, parts, i, sessions);
            return status;
        }
    }
    session->owner = scope->self;
    session->member = sessions;
    return LARDER_OK;
}

void larder_parts_release(const struct larder_scope *scope, const struct larder_part *parts,
                          size_t count, struct larder_session *session)
{
    if (session->owner != scope->self)
        return;
    release_first(scope, parts, count, session->member);
    session->owner = session->member = NULL;
}

/* ---- the whole ----------------------------------------------------------------------------- */

enum larder_status larder_parts_flush(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count)
{
    enum larder_status lowest = LARDER_OK;
    for (size_t i = 0; i < count; i++) {
        struct larder_scope inner = larder_part_scope(scope, parts, i);
        enum larder_status status = parts[i].ops != NULL ? inner.ops->flush(&inner) : LARDER_OK;
        lowest = status < lowest ? status : lowest;
    }
    return lowest;
}

void larder_parts_stats(const struct larder_scope *scope, const struct larder_part *parts,
                        size_t count, struct larder_stats_out *out)
{
    const char *outer = out->prefix;
    char prefix[PREFIX_BYTES];
    for (size_t i = 0; i < count; i++) {
        struct larder_scope inner = larder_part_scope(scope, parts, i);
        if (parts[i].ops == NULL)
            continue;
        snprintf(prefix, sizeof(prefix), "%s%s%s", outer != NULL ? outer : "",
                 outer != NULL ? "." : "", parts[i].name);
        out->prefix = prefix;
        inner.ops->stats(&inner, out);
    }
    out->prefix = outer;
}

enum larder_status larder_parts_purge(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count,
                                      uint32_t budget_ms, uint64_t *next_due_ms)
{
    enum larder_status lowest = LARDER_OK;
    *next_due_ms = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        struct larder_scope inner = larder_part_scope(scope, parts, i);
        uint64_t due_ms = UINT64_MAX;
        enum larder_status status =
            parts[i].ops != NULL ? inner.ops->purge(&inner, budget_ms, &due_ms) : LARDER_OK;
        lowest = status < lowest ? status : lowest;
        *next_due_ms = due_ms < *next_due_ms ? due_ms : *next_due_ms;
    }
    return lowest;
}

/* ---- many rows ----------------------------------------------------------------------------- */

int larder_rows_run(const struct larder_rows *rows, size_t *next, struct larder_rows *run)
{
    size_t first = *next, end;
    while (first < rows->count && larder_row_at(rows, first)->status != LARDER_ASKED)
        first++;
    for (end = first; end < rows->count; end++)
        if (larder_row_at(rows, end)->status != LARDER_ASKED)
            break;
    *next = end;
    if (end == first)
        return 0;
    *run = (struct larder_rows){larder_row_at(rows, first), end - first, rows->stride};
    return 1;
}

void larder_rows_hand(const struct larder_rows *rows, enum larder_status status,
                      larder_run_fn *each, void *passage, enum larder_many_kind many,
                      enum larder_mode mode)
{
    struct larder_rows run;
    size_t next = 0;
    if (status != LARDER_OK)
        larder_rows_refuse(rows, status);
    else
        while (larder_rows_run(rows, &next, &run))
            each(passage, many, mode, &run);
}

void larder_rows_refuse(const struct larder_rows *rows, enum larder_status status)
{
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            larder_row_at(rows, i)->status = status;
}
