/* Copies: whether one may be served, how it is left, and how it is voided. */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/value.h>

#define NS_PER_MS UINT64_C(1000000)

/* A test is built so, to see that it finds what goes wrong then: a write deletes the copy, and that
 * is all. */
#ifdef LARDER_HOT_UNCHECKED
#define HOT_IGNORES_WRITES 1
#else
#define HOT_IGNORES_WRITES 0
#endif

static uint64_t now_ns(const struct hot *hot)
{
    return hot->clock.now_ns(hot->clock.context);
}

/* ---- which calls --------------------------------------------------------------------------- */

int hot_aim(struct passage *passage, struct larder_slice key)
{
    struct hot *hot = passage->hot;
    if (!hot_prefixes_match(&hot->prefixes, key))
        return 0;
    passage->slot = hot_slot(hot->table, passage->scope->space, key);
    return 1;
}

/* Versions and TTLs are exact or nothing, what touches is a write, and a routing key may lead to
 * another entry under the same key. */
int hot_may_serve(const struct passage *passage, uint32_t want)
{
    const struct larder_scope *scope = passage->scope;
    const struct larder_call *call = scope->call;
    if (want != 0 || scope->server != 0 || (scope->flags & LARDER_SCOPE_OWN_KEY) != 0)
        return 0;
    return call == NULL ||
           (call->touch_ttl_ms == LARDER_TTL_UNKNOWN && call->routing_key.length == 0);
}

struct moment hot_moment(const struct passage *passage)
{
    const struct table *table = passage->hot->table;
    struct moment moment;
    moment.writes = atomic_load_explicit(&passage->slot->writes, memory_order_acquire);
    moment.flushes = atomic_load_explicit(&table->flushes, memory_order_acquire);
    moment.now_ns = now_ns(passage->hot);
    return moment;
}

/* What costs nothing where it is native. */
uint32_t hot_wants(const struct passage *passage)
{
    const struct larder_traits *traits = hot_part_traits(passage, HOT_OF);
    return ((traits->can & LARDER_CAN_READ_TTL) != 0 ? LARDER_WANT_TTL : 0) |
           ((traits->can & LARDER_CAN_READ_ACCESS) != 0 ? LARDER_WANT_ACCESS : 0);
}

/* ---- looking ------------------------------------------------------------------------------- */

void hot_sight_release(struct sight *sight)
{
    larder_value_release(&sight->view);
}

static int record_get(const struct passage *passage, struct larder_slice key, struct sight *sight)
{
    if (passage->copies.ops->get(&passage->copies, key, &sight->view) != LARDER_OK)
        return 0;
    sight->bytes = sight->view.bytes;
    return 1;
}

static int record_read(const struct passage *passage, struct larder_slice key, struct sight *sight)
{
    struct larder_info info = {.want = 0};
    larder_info_clear(&info);
    enum larder_status status =
        passage->copies.ops->read(&passage->copies, key, sight->room, sizeof(sight->room), &info);
    sight->bytes = larder_bytes(sight->room, info.length);
    return status == LARDER_OK || (status == LARDER_PARTIAL && record_get(passage, key, sight));
}

/* No write of its key, and no flush, was answered since before its value was asked for. Relaxed:
 * see struct slot. */
static int is_valid(const struct passage *passage, const struct stamp *stamp, uint64_t at_ns)
{
    const struct table *table = passage->hot->table;
    if (!HOT_IGNORES_WRITES &&
        stamp->writes != atomic_load_explicit(&passage->slot->writes, memory_order_relaxed))
        return 0;
    return stamp->flushes == atomic_load_explicit(&table->flushes, memory_order_relaxed) &&
           at_ns < stamp->end_ns;
}

/* Takes the stamp off. @return 0 when the copy may not be served; then it goes, unless it is
 * another cache's */
static int record_open(const struct passage *passage, struct larder_slice key, struct sight *sight)
{
    struct stamp stamp;
    if (sight->bytes.length < sizeof(stamp))
        return 0;
    memcpy(&stamp, sight->bytes.data, sizeof(stamp));
    if (stamp.identity != passage->hot->identity)
        return 0;
    sight->now_ns = now_ns(passage->hot);
    if (!is_valid(passage, &stamp, sight->now_ns)) {
        (void)passage->copies.ops->remove(&passage->copies, key, 0);
        return 0;
    }
    sight->bytes = larder_bytes((const char *)sight->bytes.data + sizeof(stamp),
                                sight->bytes.length - sizeof(stamp));
    sight->asked_ns = stamp.asked_ns;
    sight->info.flags = stamp.flags;
    sight->info.length = sight->bytes.length;
    return 1;
}

int hot_look(const struct passage *passage, struct larder_slice key, enum hot_form form,
             struct sight *sight)
{
    memset(&sight->view, 0, sizeof(sight->view));
    memset(&sight->info, 0, sizeof(sight->info));
    sight->info.ttl_ms = sight->view.info.ttl_ms = LARDER_TTL_UNKNOWN;
    int found =
        form == HOT_VIEW ? record_get(passage, key, sight) : record_read(passage, key, sight);
    if (found && record_open(passage, key, sight))
        return 1;
    hot_sight_release(sight);
    return 0;
}

int hot_is_fresh(const struct passage *passage, const struct sight *sight)
{
    return sight->now_ns < sight->asked_ns ||
           (sight->now_ns - sight->asked_ns) / NS_PER_MS < passage->hot->fresh_ms;
}

/* ---- keeping ------------------------------------------------------------------------------- */

/* A copy ends with the entry, if that can be known: never later than the server's own clock, which
 * may count in steps, says. */
static uint64_t end_of(const struct passage *passage, const struct moment *moment,
                       const struct larder_info *info)
{
    uint64_t end_ns = larder_deadline_after(moment->now_ns, passage->hot->life_ms);
    if (info->ttl_ms == LARDER_TTL_UNKNOWN || info->ttl_ms == LARDER_TTL_FOREVER)
        return end_ns;
    uint64_t ttl_ms = (uint64_t)info->ttl_ms;
    uint64_t step_ms = hot_part_traits(passage, HOT_OF)->ttl_step_ms;
    uint64_t entry_ns =
        larder_deadline_after(moment->now_ns, ttl_ms > step_ms ? ttl_ms - step_ms : 0);
    return entry_ns < end_ns ? entry_ns : end_ns;
}

static enum larder_status record_store(const struct passage *passage, struct larder_slice key,
                                       const struct stamp *stamp, struct larder_slice bytes,
                                       void *record, int64_t ttl_ms)
{
    size_t length = sizeof(*stamp) + bytes.length;
    struct larder_write write = larder_write_of(larder_bytes(record, length), ttl_ms);
    uint64_t version = 0;
    memcpy(record, stamp, sizeof(*stamp));
    if (bytes.length > 0)
        memcpy((char *)record + sizeof(*stamp), bytes.data, bytes.length);
    return passage->copies.ops->store(&passage->copies, LARDER_SET, key, &write, &version);
}

static enum larder_status record_make(const struct passage *passage, struct larder_slice key,
                                      const struct stamp *stamp, struct larder_slice bytes,
                                      int64_t ttl_ms)
{
    unsigned char room[sizeof(*stamp) + HOT_ROOM_BYTES];
    if (bytes.length <= HOT_ROOM_BYTES)
        return record_store(passage, key, stamp, bytes, room, ttl_ms);
    void *record = malloc(sizeof(*stamp) + bytes.length);
    if (record == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = record_store(passage, key, stamp, bytes, record, ttl_ms);
    free(record);
    return status;
}

/* Who was elected and is late, and has a successor, may have an older answer than that one. */
static int is_late(const struct passage *passage)
{
    return passage->office_ns != 0 &&
           passage->office_ns !=
               atomic_load_explicit(&passage->slot->elected_until_ns, memory_order_relaxed);
}

/* Read before, and lately, as far as can be known. What was hot when its copy was left stays so:
 * its readers are served here, where `of` sees none of them. */
static int is_warm(const struct passage *passage, const struct larder_info *info)
{
    uint64_t recent_ms = passage->hot->recent_ms;
    if (passage->office_ns != 0 || info->idle_ms < 0)
        return 1;
    return (info->marks & LARDER_HIT_BEFORE) != 0 &&
           (recent_ms == 0 || (uint64_t)info->idle_ms <= recent_ms);
}

/* A value that its readers are to renew soon is left to them. */
static int may_be_kept(const struct passage *passage, const struct stamp *stamp,
                       struct larder_slice bytes, const struct larder_info *info)
{
    uint64_t value_max = hot_part_traits(passage, HOT_COPIES)->value_max;
    return (info->marks & LARDER_REFRESH_WANTED) == 0 && is_warm(passage, info) &&
           bytes.length <= value_max && value_max - bytes.length >= sizeof(*stamp) &&
           is_valid(passage, stamp, now_ns(passage->hot)) && !is_late(passage);
}

void hot_keep(const struct passage *passage, struct larder_slice key, const struct moment *moment,
              struct larder_slice bytes, const struct larder_info *info)
{
    const struct stamp stamp = {.identity = passage->hot->identity,
                                .writes = moment->writes,
                                .flushes = moment->flushes,
                                .asked_ns = moment->now_ns,
                                .end_ns = end_of(passage, moment, info),
                                .flags = info->flags};
    int64_t ttl_ms = (int64_t)((stamp.end_ns - moment->now_ns) / NS_PER_MS) + 1;
    enum larder_status status = LARDER_TOO_LARGE;
    if (may_be_kept(passage, &stamp, bytes, info))
        status = record_make(passage, key, &stamp, bytes, ttl_ms);
    hot_count(passage->hot->table, status == LARDER_OK ? HOT_kept : HOT_not_kept);
}

/* ---- dropping ------------------------------------------------------------------------------ */

void hot_drop(struct passage *passage, struct larder_slice key)
{
    if (!hot_aim(passage, key))
        return;
    /* release: pairs with the acquire of hot_moment() */
    atomic_fetch_add_explicit(&passage->slot->writes, 1, memory_order_release);
    hot_count(passage->hot->table, HOT_drops);
    if (HOT_IGNORES_WRITES)
        (void)passage->copies.ops->remove(&passage->copies, key, 0);
}

void hot_drop_all(const struct passage *passage)
{
    atomic_fetch_add_explicit(&passage->hot->table->flushes, 1, memory_order_release);
    hot_count(passage->hot->table, HOT_drops);
}
