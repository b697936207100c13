/* Reads of one key. */
#include "inside.h"

#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/value.h>

/* ---- elections ----------------------------------------------------------------------------- */

/* @return 1: this caller is the one who asks anew */
static int elect(struct passage *passage)
{
    struct hot *hot = passage->hot;
    _Atomic uint64_t *office = &passage->slot->elected_until_ns;
    uint64_t now_ns = hot->clock.now_ns(hot->clock.context);
    uint64_t there = atomic_load_explicit(office, memory_order_relaxed);
    uint64_t until_ns = larder_deadline_after(now_ns, hot->reelect_ms);
    if (there > now_ns || !atomic_compare_exchange_strong_explicit(
                              office, &there, until_ns, memory_order_acq_rel, memory_order_relaxed))
        return 0;
    passage->office_ns = until_ns;
    hot_count(hot->table, HOT_revalidations);
    if (there != 0)
        hot_count(hot->table, HOT_reelections);
    return 1;
}

/* Who was too late, and has a successor, leaves it to him. */
static void resign(struct passage *passage)
{
    (void)atomic_compare_exchange_strong_explicit(&passage->slot->elected_until_ns,
                                                  &passage->office_ns, 0, memory_order_acq_rel,
                                                  memory_order_relaxed);
    passage->office_ns = 0;
}

static enum hot_standing serve(const struct passage *passage, const struct sight *sight)
{
    hot_count(passage->hot->table, HOT_hits);
    if (!hot_is_fresh(passage, sight))
        hot_count(passage->hot->table, HOT_stale_hits);
    return HOT_SERVES;
}

/* What was found before the election may have been renewed since, by the one elected before. */
enum hot_standing hot_find(struct passage *passage, struct larder_slice key, enum hot_form form,
                           struct sight *sight)
{
    passage->office_ns = 0;
    if (!hot_look(passage, key, form, sight))
        return HOT_NONE;
    if (hot_is_fresh(passage, sight) || larder_scope_no_wait(passage->scope) || !elect(passage))
        return serve(passage, sight);
    hot_sight_release(sight);
    int found = hot_look(passage, key, form, sight);
    if (found && !hot_is_fresh(passage, sight))
        return HOT_ASKS;
    resign(passage);
    return found ? serve(passage, sight) : HOT_NONE;
}

int hot_stands(struct passage *passage, struct larder_slice key, enum larder_status status,
               enum hot_form form, struct sight *sight)
{
    if (status == LARDER_MISS || status == LARDER_ABSENT)
        hot_drop(passage, key);
    if (status >= LARDER_OK && status != LARDER_WOULD_BLOCK) {
        resign(passage);
        return 0;
    }
    hot_count(passage->hot->table, HOT_revalidations_failed);
    return status != LARDER_CLOSED && hot_look(passage, key, form, sight) &&
           serve(passage, sight) == HOT_SERVES;
}

void hot_passed_by(struct passage *passage, struct larder_slice key, enum larder_status status)
{
    const struct larder_call *call = passage->scope->call;
    int touches = call != NULL && call->touch_ttl_ms != LARDER_TTL_UNKNOWN;
    if (touches || status == LARDER_MISS || status == LARDER_ABSENT || status == LARDER_STALE)
        hot_drop(passage, key);
}

/* ---- from a copy, or from `of` for one ----------------------------------------------------- */

/* Asks `of`, and leaves a copy of what it says. On OK the view is the caller's. */
static enum larder_status ask(const struct passage *passage, struct larder_slice key,
                              struct larder_value *value)
{
    struct moment moment = hot_moment(passage);
    memset(value, 0, sizeof(*value));
    value->info.want = hot_wants(passage);
    larder_info_clear(&value->info);
    enum larder_status status = passage->of.ops->get(&passage->of, key, value);
    value->info.want = 0;
    if (status == LARDER_OK)
        hot_keep(passage, key, &moment, value->bytes, &value->info);
    return status;
}

/* `of` may be asked twice in one call, for want of memory; there is one deadline for both. */
static void share_time(struct passage *passage)
{
    uint32_t timeout_ms = hot_part_traits(passage, HOT_OF)->timeout_ms;
    if (timeout_ms != 0)
        passage->of.deadline_ns = larder_scope_deadline(passage->scope, timeout_ms);
}

/* @return OK with something to release in `sight`; the answer of `of`; LARDER_ASKED: there is no
 * copy, and none is to be left */
static enum larder_status obtain(struct passage *passage, struct larder_slice key,
                                 enum hot_form form, struct sight *sight)
{
    struct larder_value value;
    enum hot_standing standing = hot_find(passage, key, form, sight);
    if (standing == HOT_SERVES)
        return LARDER_OK;
    if (standing == HOT_NONE && !hot_roll(passage->hot->table, passage->hot->one_in))
        return LARDER_ASKED;
    if (standing == HOT_ASKS)
        hot_sight_release(sight);
    share_time(passage);
    enum larder_status status = ask(passage, key, &value);
    if (standing == HOT_ASKS && hot_stands(passage, key, status, form, sight)) {
        larder_value_release(&value);
        return LARDER_OK;
    }
    if (status == LARDER_NO_MEMORY) /* a plain read may need none */
        return LARDER_ASKED;
    sight->view = value;
    sight->bytes = value.bytes;
    sight->info = value.info;
    return status;
}

/* ---- the rows ------------------------------------------------------------------------------ */

static void tell(struct larder_info *info, const struct sight *sight)
{
    if (info != NULL)
        *info = sight->info;
}

enum larder_status hot_read(const struct larder_scope *scope, struct larder_slice key, void *buffer,
                            size_t size, struct larder_info *info)
{
    struct passage passage;
    struct sight sight;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    if (!hot_aim(&passage, key) || !hot_may_serve(&passage, info != NULL ? info->want : 0)) {
        status = passage.of.ops->read(&passage.of, key, buffer, size, info);
        hot_passed_by(&passage, key, status);
        return status;
    }
    status = obtain(&passage, key, HOT_BYTES, &sight);
    if (status == LARDER_ASKED)
        return passage.of.ops->read(&passage.of, key, buffer, size, info);
    if (status == LARDER_OK) {
        tell(info, &sight);
        status = larder_copy_out(buffer, size, sight.bytes.data, sight.bytes.length, info);
    }
    hot_sight_release(&sight);
    return status;
}

enum larder_status hot_get(const struct larder_scope *scope, struct larder_slice key,
                           struct larder_value *value)
{
    struct passage passage;
    struct sight sight;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    if (!hot_aim(&passage, key) || !hot_may_serve(&passage, value->info.want)) {
        status = passage.of.ops->get(&passage.of, key, value);
        hot_passed_by(&passage, key, status);
        return status;
    }
    status = obtain(&passage, key, HOT_VIEW, &sight);
    if (status == LARDER_ASKED)
        return passage.of.ops->get(&passage.of, key, value);
    value->bytes = sight.bytes;
    value->info = sight.info;
    value->owner = sight.view.owner;
    return status;
}

enum larder_status hot_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                     int64_t ttl_ms, struct larder_value *value)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->get_and_touch(&passage.of, key, ttl_ms, value);
    hot_drop(&passage, key);
    return status;
}

enum larder_status hot_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                 uint32_t lease_ms, struct larder_value *value,
                                 struct larder_lease *lease)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->lease_get(&passage.of, key, lease_ms, value, lease);
    hot_passed_by(&passage, key, status);
    return status;
}
