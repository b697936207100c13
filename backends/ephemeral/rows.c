/* The rows of ephemeral: the call, with lower TTLs. */
#include "inside.h"

#include <larder/util/lower.h>

/* Makes way for a call, or answers. */
#define BEGIN(passage, scope)                                       \
    enum larder_status status = ephemeral_begin(&(passage), scope); \
    if (status != LARDER_OK)                                        \
    return status

enum larder_status ephemeral_begin(struct passage *passage, const struct larder_scope *scope)
{
    struct ephemeral *ephemeral = scope->self;
    if (larder_gate_enter(&ephemeral->gate, scope) != LARDER_OK)
        return LARDER_CLOSED;
    passage->ephemeral = ephemeral;
    passage->of = larder_part_scope(scope, ephemeral->parts, 0);
    if (scope->call == NULL)
        return LARDER_OK;
    passage->call = *scope->call;
    larder_call_lower(&passage->call, ephemeral->ttl_ms);
    passage->of.call = &passage->call;
    return LARDER_OK;
}

/* ---- one key ------------------------------------------------------------------------------- */

enum larder_status ephemeral_read(const struct larder_scope *scope, struct larder_slice key,
                                  void *buffer, size_t size, struct larder_info *info)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->read(&passage.of, key, buffer, size, info);
}

enum larder_status ephemeral_get(const struct larder_scope *scope, struct larder_slice key,
                                 struct larder_value *value)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->get(&passage.of, key, value);
}

enum larder_status ephemeral_store(const struct larder_scope *scope, enum larder_mode mode,
                                   struct larder_slice key, const struct larder_write *write,
                                   uint64_t *version)
{
    struct passage passage;
    BEGIN(passage, scope);
    struct larder_write low = larder_write_lowered(write, passage.ephemeral->ttl_ms);
    return passage.of.ops->store(&passage.of, mode, key, &low, version);
}

enum larder_status ephemeral_remove(const struct larder_scope *scope, struct larder_slice key,
                                    uint64_t version)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->remove(&passage.of, key, version);
}

enum larder_status ephemeral_touch(const struct larder_scope *scope, struct larder_slice key,
                                   int64_t ttl_ms)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->touch(&passage.of, key,
                                 larder_ttl_lowered(ttl_ms, passage.ephemeral->ttl_ms));
}

enum larder_status ephemeral_get_and_touch(const struct larder_scope *scope,
                                           struct larder_slice key, int64_t ttl_ms,
                                           struct larder_value *value)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->get_and_touch(
        &passage.of, key, larder_ttl_lowered(ttl_ms, passage.ephemeral->ttl_ms), value);
}

enum larder_status ephemeral_count(const struct larder_scope *scope, struct larder_slice key,
                                   enum larder_direction direction, uint64_t delta,
                                   const struct larder_initial *initial, uint64_t *result)
{
    struct passage passage;
    struct larder_initial low;
    BEGIN(passage, scope);
    initial = larder_initial_lowered(initial, passage.ephemeral->ttl_ms, &low);
    return passage.of.ops->count(&passage.of, key, direction, delta, initial, result);
}

/* ---- leases -------------------------------------------------------------------------------- */

enum larder_status ephemeral_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                       uint32_t lease_ms, struct larder_value *value,
                                       struct larder_lease *lease)
{
    struct passage passage;
    BEGIN(passage, scope);
    lease_ms = larder_span_lowered(lease_ms, passage.ephemeral->ttl_ms);
    return passage.of.ops->lease_get(&passage.of, key, lease_ms, value, lease);
}

enum larder_status ephemeral_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                        struct larder_lease lease, const struct larder_write *write)
{
    struct passage passage;
    BEGIN(passage, scope);
    struct larder_write low = larder_write_lowered(write, passage.ephemeral->ttl_ms);
    return passage.of.ops->lease_fill(&passage.of, key, lease, &low);
}

enum larder_status ephemeral_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                          struct larder_lease lease)
{
    struct passage passage;
    BEGIN(passage, scope);
    return passage.of.ops->lease_return(&passage.of, key, lease);
}

/* ---- many keys ----------------------------------------------------------------------------- */

/* The caller's rows get the TTL that was applied, as everywhere. */
static void lower_rows(const struct ephemeral *ephemeral, const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->write.ttl_ms = larder_ttl_lowered(row->write.ttl_ms, ephemeral->ttl_ms);
    }
}

void ephemeral_many(const struct larder_scope *scope, enum larder_many_kind many,
                    enum larder_mode mode, const struct larder_rows *rows)
{
    struct passage passage;
    enum larder_status status = ephemeral_begin(&passage, scope);
    if (status != LARDER_OK) {
        larder_rows_refuse(rows, status);
        return;
    }
    if (many == LARDER_MANY_STORE || many == LARDER_MANY_TOUCH)
        lower_rows(passage.ephemeral, rows);
    passage.of.ops->many(&passage.of, many, mode, rows);
}
