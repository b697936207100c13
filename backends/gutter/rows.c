/* The rows for one key. */
#include "gutter.h"

#include <larder/util/lower.h>
#include <larder/util/value.h>

/* ---- reading ------------------------------------------------------------------------------- */

/* A copy of the spare's can't be used for cas. */
static void forget_version(struct larder_info *info)
{
    if (info != NULL)
        info->version = 0;
}

enum larder_status gutter_read(const struct larder_scope *scope, struct larder_slice key,
                               void *buffer, size_t size, struct larder_info *info)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->read(&passage.of, key, buffer, size, info);
    if (status >= LARDER_OK || !gutter_turns(&passage, GUTTER_READ, status))
        return status;
    larder_info_clear(info);
    status = gutter_settle(&passage, status,
                           passage.spare.ops->read(&passage.spare, key, buffer, size, info));
    forget_version(info);
    return status;
}

/* What an answer that was none may have left. */
static void clear_value(struct larder_value *value)
{
    larder_value_release(value);
    larder_info_clear(&value->info);
}

enum larder_status gutter_get(const struct larder_scope *scope, struct larder_slice key,
                              struct larder_value *value)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->get(&passage.of, key, value);
    if (status >= LARDER_OK || !gutter_turns(&passage, GUTTER_READ, status))
        return status;
    clear_value(value);
    status = gutter_settle(&passage, status, passage.spare.ops->get(&passage.spare, key, value));
    forget_version(&value->info);
    return status;
}

/* The value is what is wanted: when nobody knows whether the TTL has reached `of`, the spare is
 * read all the same. */
static enum larder_status as_read(enum larder_status status)
{
    return status == LARDER_UNKNOWN ? LARDER_TIMEOUT : status;
}

enum larder_status gutter_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                        int64_t ttl_ms, struct larder_value *value)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->get_and_touch(&passage.of, key, ttl_ms, value);
    if (status >= LARDER_OK || !gutter_turns(&passage, GUTTER_WRITE, as_read(status)))
        return status;
    clear_value(value);
    status = gutter_settle(
        &passage, status,
        passage.spare.ops->get_and_touch(
            &passage.spare, key, larder_ttl_lowered(ttl_ms, passage.gutter->ttl_ms), value));
    forget_version(&value->info);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

enum larder_status gutter_store(const struct larder_scope *scope, enum larder_mode mode,
                                struct larder_slice key, const struct larder_write *write,
                                uint64_t *version)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->store(&passage.of, mode, key, write, version);
    if (gutter_outdates(&passage, status))
        gutter_drop(&passage, key);
    if (mode == LARDER_CAS || !gutter_turns(&passage, GUTTER_WRITE, status))
        return status;
    struct larder_write low = larder_write_lowered(write, passage.gutter->ttl_ms);
    status = gutter_settle(&passage, status,
                           passage.spare.ops->store(&passage.spare, mode, key, &low, version));
    *version = 0;
    return status;
}

enum larder_status gutter_remove(const struct larder_scope *scope, struct larder_slice key,
                                 uint64_t version)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->remove(&passage.of, key, version);
    if (larder_delete_spreads(status, version))
        gutter_drop(&passage, key);
    return status;
}

enum larder_status gutter_touch(const struct larder_scope *scope, struct larder_slice key,
                                int64_t ttl_ms)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->touch(&passage.of, key, ttl_ms);
    if (status >= LARDER_OK || !gutter_turns(&passage, GUTTER_WRITE, status))
        return status;
    return gutter_settle(
        &passage, status,
        passage.spare.ops->touch(&passage.spare, key,
                                 larder_ttl_lowered(ttl_ms, passage.gutter->ttl_ms)));
}

enum larder_status gutter_count(const struct larder_scope *scope, struct larder_slice key,
                                enum larder_direction direction, uint64_t delta,
                                const struct larder_initial *initial, uint64_t *result)
{
    struct passage passage;
    struct larder_initial low;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->count(&passage.of, key, direction, delta, initial, result);
    if (gutter_outdates(&passage, status))
        gutter_drop(&passage, key);
    if (!gutter_turns(&passage, GUTTER_WRITE, status))
        return status;
    return gutter_settle(
        &passage, status,
        passage.spare.ops->count(&passage.spare, key, direction, delta,
                                 larder_initial_lowered(initial, passage.gutter->ttl_ms, &low),
                                 result));
}

/* ---- leases -------------------------------------------------------------------------------- */

static int is_of_spare(struct larder_lease lease)
{
    return larder_lease_part(lease) == GUTTER_SPARE;
}

enum larder_status gutter_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                    uint32_t lease_ms, struct larder_value *value,
                                    struct larder_lease *lease)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->lease_get(&passage.of, key, lease_ms, value, lease);
    larder_lease_sign(lease, GUTTER_OF);
    if (status >= LARDER_OK || !gutter_turns(&passage, GUTTER_WRITE, as_read(status)))
        return status;
    clear_value(value);
    lease->token = lease->reserved = 0;
    status =
        gutter_settle(&passage, status,
                      passage.spare.ops->lease_get(
                          &passage.spare, key,
                          larder_span_lowered(lease_ms, passage.gutter->ttl_ms), value, lease));
    larder_lease_sign(lease, GUTTER_SPARE);
    forget_version(&value->info);
    return status;
}

/* One that the spare must not have been read for is void. */
static int is_lost(const struct gutter *gutter, struct larder_lease lease)
{
    return is_of_spare(lease) && !gutter_spare_may_be_read(gutter);
}

static enum larder_status fill_spare(struct passage *passage, struct larder_slice key,
                                     struct larder_lease lease, const struct larder_write *write)
{
    struct larder_write low = larder_write_lowered(write, passage->gutter->ttl_ms);
    gutter_ready_spare(passage);
    gutter_spare_holds(passage->gutter);
    enum larder_status status =
        passage->spare.ops->lease_fill(&passage->spare, key, larder_lease_unsigned(lease), &low);
    gutter_spare_holds(passage->gutter);
    return status;
}

enum larder_status gutter_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_lease lease, const struct larder_write *write)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    if (is_lost(passage.gutter, lease))
        return LARDER_CONFLICT;
    if (is_of_spare(lease))
        return fill_spare(&passage, key, lease, write);
    status = passage.of.ops->lease_fill(&passage.of, key, larder_lease_unsigned(lease), write);
    if (gutter_outdates(&passage, status))
        gutter_drop(&passage, key);
    return status;
}

enum larder_status gutter_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                       struct larder_lease lease)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    if (!is_of_spare(lease))
        return passage.of.ops->lease_return(&passage.of, key, larder_lease_unsigned(lease));
    gutter_ready_spare(&passage);
    return passage.spare.ops->lease_return(&passage.spare, key, larder_lease_unsigned(lease));
}
