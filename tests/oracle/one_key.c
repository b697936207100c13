/* Reading, storing, deleting and counting one key. */
#include "operations.h"

#include <larder/util/counter.h>
#include <larder/util/value.h>

#include "table.h"

static uint64_t call_version(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->version : 0;
}

static int64_t call_touch(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->touch_ttl_ms : LARDER_TTL_UNKNOWN;
}

static void touch_entry(struct oracle_visit *visit, int64_t ttl_ms)
{
    if (ttl_ms != LARDER_TTL_UNKNOWN)
        visit->entry->expiry_ns = oracle_expiry(visit->now_ns, ttl_ms);
}

/* ---- reads --------------------------------------------------------------------------------- */

static enum larder_status status_of(const struct oracle_visit *visit)
{
    return visit->presence == ORACLE_PRESENT    ? LARDER_OK
           : visit->presence == ORACLE_NEGATIVE ? LARDER_ABSENT
                                                : LARDER_MISS;
}

enum larder_status oracle_read(const struct larder_scope *scope, struct larder_slice key,
                               void *buffer, size_t size, struct larder_info *info)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = status_of(&visit);
    if (status == LARDER_OK) {
        touch_entry(&visit, call_touch(scope));
        oracle_tell(&visit, info);
        status = larder_copy_out(buffer, size, visit.entry->value, visit.entry->value_length, info);
    }
    oracle_leave(&visit);
    return status;
}

static enum larder_status get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                        int64_t ttl_ms, struct larder_value *value)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = status_of(&visit);
    if (status == LARDER_OK) {
        touch_entry(&visit, ttl_ms);
        status = oracle_view(&visit, value);
    }
    oracle_leave(&visit);
    return status;
}

enum larder_status oracle_get(const struct larder_scope *scope, struct larder_slice key,
                              struct larder_value *value)
{
    return get_and_touch(scope, key, call_touch(scope), value);
}

enum larder_status oracle_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                        int64_t ttl_ms, struct larder_value *value)
{
    return get_and_touch(scope, key, ttl_ms, value);
}

enum larder_status oracle_touch(const struct larder_scope *scope, struct larder_slice key,
                                int64_t ttl_ms)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    uint64_t version = call_version(scope);
    if (visit.presence != ORACLE_PRESENT)
        status = LARDER_MISS;
    else if (version != 0 && version != visit.entry->version)
        status = LARDER_CONFLICT;
    else
        touch_entry(&visit, ttl_ms);
    oracle_leave(&visit);
    return status;
}

/* ---- stores -------------------------------------------------------------------------------- */

static bool joins(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

/* Whether what is there lets the store go on. */
static enum larder_status admit(const struct oracle_visit *visit, const struct larder_scope *scope,
                                enum larder_mode mode, const struct larder_write *write)
{
    uint64_t version = mode == LARDER_CAS ? write->version : joins(mode) ? call_version(scope) : 0;
    if (mode == LARDER_SET)
        return LARDER_OK;
    if (mode == LARDER_ADD)
        return visit->presence == ORACLE_PRESENT ? LARDER_EXISTS : LARDER_OK;
    if (visit->presence != ORACLE_PRESENT)
        return LARDER_MISS;
    return version == 0 || version == visit->entry->version ? LARDER_OK : LARDER_CONFLICT;
}

static struct oracle_draft draft_of(const struct oracle_visit *visit, enum larder_mode mode,
                                    const struct larder_write *write)
{
    struct oracle_draft draft = {.head = write->value,
                                 .flags = write->flags,
                                 .absent = (write->marks & LARDER_WRITE_ABSENT) != 0,
                                 .expiry_ns = oracle_expiry(visit->now_ns, write->ttl_ms)};
    if (!joins(mode))
        return draft;
    struct larder_slice old = larder_bytes(visit->entry->value, visit->entry->value_length);
    draft.head = mode == LARDER_APPEND ? old : write->value;
    draft.tail = mode == LARDER_APPEND ? write->value : old;
    draft.flags = visit->entry->flags;
    draft.expiry_ns = visit->entry->expiry_ns;
    return draft;
}

enum larder_status oracle_store(const struct larder_scope *scope, enum larder_mode mode,
                                struct larder_slice key, const struct larder_write *write,
                                uint64_t *version)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = admit(&visit, scope, mode, write);
    if (status == LARDER_OK) {
        struct oracle_draft draft = draft_of(&visit, mode, write);
        status = oracle_put(&visit, &draft);
    }
    if (status == LARDER_OK)
        *version = visit.entry->version;
    oracle_leave(&visit);
    return status;
}

/* A plain delete also drops what others see as missing: a negative entry, a lease. */
enum larder_status oracle_remove(const struct larder_scope *scope, struct larder_slice key,
                                 uint64_t version)
{
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    bool there = visit.presence == ORACLE_PRESENT;
    if (!there)
        status = LARDER_MISS;
    else if (version != 0 && version != visit.entry->version)
        status = LARDER_CONFLICT;
    if (status == LARDER_OK || (!there && version == 0 && visit.entry != NULL))
        oracle_drop(visit.oracle, visit.entry);
    oracle_leave(&visit);
    return status;
}

/* ---- counters ------------------------------------------------------------------------------ */

struct counting {
    const struct larder_scope *scope;
    enum larder_direction direction;
    uint64_t delta;
    const struct larder_initial *initial;
};

/* What a count starts from, and what it keeps. */
static enum larder_status begin_count(const struct oracle_visit *visit,
                                      const struct counting *counting, uint64_t *number,
                                      struct oracle_draft *draft)
{
    const struct larder_initial *initial = counting->initial;
    const struct oracle_entry *entry = visit->entry;
    uint64_t version = call_version(counting->scope);
    int64_t touch_ms = call_touch(counting->scope);
    if (visit->presence != ORACLE_PRESENT) {
        if (initial == NULL || version != 0)
            return LARDER_MISS;
        draft->flags = initial->flags;
        draft->expiry_ns = oracle_expiry(visit->now_ns, initial->ttl_ms);
        *number = initial->value;
        return LARDER_OK;
    }
    if (version != 0 && version != entry->version)
        return LARDER_CONFLICT;
    draft->flags = entry->flags;
    draft->expiry_ns =
        touch_ms == LARDER_TTL_UNKNOWN ? entry->expiry_ns : oracle_expiry(visit->now_ns, touch_ms);
    return larder_counter_parse(larder_bytes(entry->value, entry->value_length), number)
               ? LARDER_OK
               : LARDER_NOT_A_NUMBER;
}

static enum larder_status count_visited(struct oracle_visit *visit, const struct counting *counting,
                                        uint64_t *result)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    struct oracle_draft draft = {0};
    uint64_t number;
    enum larder_status status = begin_count(visit, counting, &number, &draft);
    if (status != LARDER_OK)
        return status;
    number = larder_counter_step(number, counting->direction, counting->delta);
    draft.head = larder_bytes(text, larder_counter_format(number, text));
    status = oracle_put(visit, &draft);
    if (status == LARDER_OK)
        *result = number;
    return status;
}

enum larder_status oracle_count(const struct larder_scope *scope, struct larder_slice key,
                                enum larder_direction direction, uint64_t delta,
                                const struct larder_initial *initial, uint64_t *result)
{
    struct counting counting = {scope, direction, delta, initial};
    struct oracle_visit visit;
    enum larder_status status = oracle_enter(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = count_visited(&visit, &counting, result);
    oracle_leave(&visit);
    return status;
}
