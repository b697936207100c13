/* What all compositions do alike. Optional parts that were not given are passed over. */
#include <larder/util/parts.h>

#include <stdio.h>
#include <stdlib.h>

/* The longest name of a part within a part within a part. */
#define PREFIX_BYTES 56

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

void larder_rows_refuse(const struct larder_rows *rows, enum larder_status status)
{
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            larder_row_at(rows, i)->status = status;
}
