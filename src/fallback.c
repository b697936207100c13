/*
 * Stand-ins for the optional rows of a backend's table, in terms of its other rows. A completed
 * table has no NULL, so calls never ask.
 */
#include "fallback.h"

#include <string.h>

#include <larder/util/counter.h>
#include <larder/util/value.h>

#define FIRST_GUESS_BYTES 512
/* How often a round that lost a race is repeated before the call gives up: an entry that changes
 * this often in between is not getting anywhere. */
#define ROUNDS_MAX 32

static enum larder_status fallback_get(const struct larder_scope *scope, struct larder_slice key,
                                       struct larder_value *value)
{
    size_t size = FIRST_GUESS_BYTES;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        void *bytes = larder_value_allocate(value, size);
        if (bytes == NULL)
            return LARDER_NO_MEMORY;
        enum larder_status status = scope->ops->read(scope, key, bytes, size, &value->info);
        if (status == LARDER_OK) {
            value->bytes.length = value->info.length;
            return LARDER_OK;
        }
        size = value->info.length;
        larder_value_release(value);
        larder_info_clear(&value->info);
        if (status != LARDER_PARTIAL)
            return status;
    }
    return LARDER_UNAVAILABLE;
}

/* The steps keep the call's deadline and place; its version and TTL are honoured here. */
static struct larder_scope step_scope(const struct larder_scope *scope, struct larder_call *call)
{
    struct larder_scope step = *scope;
    if (scope->call != NULL) {
        *call = *scope->call;
        call->version = 0;
        call->touch_ttl_ms = LARDER_TTL_UNKNOWN;
        step.call = call;
    }
    return step;
}

/* One round of read, change, cas. MISS and CONFLICT mean that somebody was faster. */
static enum larder_status get_for_cas(const struct larder_scope *scope, struct larder_slice key,
                                      struct larder_value *value)
{
    memset(value, 0, sizeof(*value));
    value->info.want = LARDER_WANT_VERSION | LARDER_WANT_TTL;
    larder_info_clear(&value->info);
    struct larder_call call;
    struct larder_scope step = step_scope(scope, &call);
    enum larder_status status = step.ops->get(&step, key, value);
    return status == LARDER_ABSENT ? LARDER_MISS : status;
}

static int is_wanted_version(const struct larder_scope *scope, const struct larder_value *old)
{
    return scope->call == NULL || scope->call->version == 0 ||
           scope->call->version == old->info.version;
}

static int64_t ttl_after(const struct larder_scope *scope, const struct larder_value *old)
{
    return scope->call != NULL && scope->call->touch_ttl_ms != LARDER_TTL_UNKNOWN
               ? scope->call->touch_ttl_ms
               : old->info.ttl_ms;
}

static enum larder_status put_by_cas(const struct larder_scope *scope, struct larder_slice key,
                                     const struct larder_value *old, struct larder_slice bytes,
                                     int64_t ttl_ms)
{
    uint64_t unwanted = 0;
    struct larder_call call;
    struct larder_scope step = step_scope(scope, &call);
    struct larder_write write = larder_write_of(bytes, ttl_ms);
    write.flags = old->info.flags;
    write.version = old->info.version;
    return step.ops->store(&step, LARDER_CAS, key, &write, &unwanted);
}

static enum larder_status fallback_touch(const struct larder_scope *scope, struct larder_slice key,
                                         int64_t ttl_ms)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct larder_value old;
        enum larder_status status = get_for_cas(scope, key, &old);
        if (status != LARDER_OK)
            return status;
        int is_wanted = is_wanted_version(scope, &old);
        status = is_wanted ? put_by_cas(scope, key, &old, old.bytes, ttl_ms) : LARDER_CONFLICT;
        larder_value_release(&old);
        if (status != LARDER_CONFLICT || !is_wanted)
            return status;
    }
    return LARDER_UNAVAILABLE;
}

static enum larder_status fallback_get_and_touch(const struct larder_scope *scope,
                                                 struct larder_slice key, int64_t ttl_ms,
                                                 struct larder_value *value)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum larder_status touched = scope->ops->touch(scope, key, ttl_ms);
        if (touched != LARDER_OK && touched != LARDER_MISS)
            return touched;
        /* touch takes a negative entry for missing; get tells them apart */
        enum larder_status status = scope->ops->get(scope, key, value);
        if (touched == LARDER_OK || status != LARDER_OK)
            return status;
        larder_value_release(value); /* it came in between, and has another TTL than it should */
        larder_info_clear(&value->info);
    }
    return LARDER_UNAVAILABLE;
}

static enum larder_status count_from(const struct larder_scope *scope, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t number = larder_counter_step(initial->value, direction, delta);
    uint64_t unwanted = 0;
    struct larder_write write =
        larder_write_of(larder_bytes(text, larder_counter_format(number, text)), initial->ttl_ms);
    write.flags = initial->flags;
    struct larder_call call;
    struct larder_scope step = step_scope(scope, &call);
    enum larder_status status = step.ops->store(&step, LARDER_ADD, key, &write, &unwanted);
    if (status == LARDER_OK)
        *result = number;
    return status == LARDER_EXISTS ? LARDER_CONFLICT : status;
}

static enum larder_status count_on(const struct larder_scope *scope, struct larder_slice key,
                                   enum larder_direction direction, uint64_t delta,
                                   const struct larder_value *old, uint64_t *result)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t number;
    if (!larder_counter_parse(old->bytes, &number))
        return LARDER_NOT_A_NUMBER;
    number = larder_counter_step(number, direction, delta);
    enum larder_status status =
        put_by_cas(scope, key, old, larder_bytes(text, larder_counter_format(number, text)),
                   ttl_after(scope, old));
    if (status == LARDER_OK)
        *result = number;
    return status == LARDER_MISS ? LARDER_CONFLICT : status;
}

static enum larder_status fallback_count(const struct larder_scope *scope, struct larder_slice key,
                                         enum larder_direction direction, uint64_t delta,
                                         const struct larder_initial *initial, uint64_t *result)
{
    int any_version = scope->call == NULL || scope->call->version == 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct larder_value old;
        int is_wanted = 1;
        enum larder_status status = get_for_cas(scope, key, &old);
        if (status == LARDER_OK) {
            is_wanted = is_wanted_version(scope, &old);
            status =
                is_wanted ? count_on(scope, key, direction, delta, &old, result) : LARDER_CONFLICT;
            larder_value_release(&old);
        } else if (status == LARDER_MISS && initial != NULL && any_version) {
            status = count_from(scope, key, direction, delta, initial, result);
        }
        if (status != LARDER_CONFLICT || !is_wanted)
            return status;
    }
    return LARDER_UNAVAILABLE;
}

static enum larder_status one_row(const struct larder_scope *scope, enum larder_many_kind many,
                                  enum larder_mode mode, struct larder_row *row)
{
    switch (many) {
    case LARDER_MANY_READ:
        return scope->ops->read(scope, row->key, row->buffer, row->size, &row->value.info);
    case LARDER_MANY_GET:
        return scope->ops->get(scope, row->key, &row->value);
    case LARDER_MANY_STORE:
        return scope->ops->store(scope, mode, row->key, &row->write, &row->value.info.version);
    case LARDER_MANY_DELETE:
        return scope->ops->remove(scope, row->key, row->write.version);
    case LARDER_MANY_TOUCH:
        return scope->ops->touch(scope, row->key, row->write.ttl_ms);
    }
    return LARDER_UNSUPPORTED;
}

void larder__many_by_rows(const struct larder_scope *scope, enum larder_many_kind many,
                          enum larder_mode mode, const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = one_row(scope, many, mode, row);
    }
}

static enum larder_status no_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                       uint32_t lease_ms, struct larder_value *value,
                                       struct larder_lease *lease)
{
    (void)scope, (void)key, (void)lease_ms, (void)value, (void)lease;
    return LARDER_UNSUPPORTED;
}

static enum larder_status no_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                        struct larder_lease lease, const struct larder_write *write)
{
    (void)scope, (void)key, (void)lease, (void)write;
    return LARDER_UNSUPPORTED;
}

static enum larder_status no_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                          struct larder_lease lease)
{
    (void)scope, (void)key, (void)lease;
    return LARDER_UNSUPPORTED;
}

static enum larder_status no_flush(const struct larder_scope *scope)
{
    (void)scope;
    return LARDER_UNSUPPORTED;
}

static enum larder_status no_keys(const struct larder_scope *scope, struct larder_cursor *cursor,
                                  void *buffer, size_t size, struct larder_slice *keys,
                                  size_t capacity, size_t *count)
{
    (void)scope, (void)cursor, (void)buffer, (void)size, (void)keys, (void)capacity, (void)count;
    return LARDER_UNSUPPORTED;
}

static void no_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    (void)scope, (void)out;
}

static enum larder_status nothing_due(const struct larder_scope *scope, uint32_t budget_ms,
                                      uint64_t *next_due_ms)
{
    (void)scope, (void)budget_ms;
    *next_due_ms = UINT64_MAX;
    return LARDER_OK;
}

static enum larder_status no_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                      void *buffer, size_t size, size_t *length)
{
    (void)scope, (void)key, (void)buffer, (void)size, (void)length;
    return LARDER_UNSUPPORTED;
}

static enum larder_status nothing_to_hold(const struct larder_scope *scope,
                                          struct larder_session *session)
{
    (void)scope, (void)session;
    return LARDER_OK;
}

static void nothing_held(const struct larder_scope *scope, struct larder_session *session)
{
    (void)scope, (void)session;
}

static uint32_t one_server(const struct larder_scope *scope)
{
    (void)scope;
    return 1;
}

static uint32_t first_server(const struct larder_scope *scope, struct larder_slice key)
{
    (void)scope, (void)key;
    return 0;
}

static void nothing_to_wake(void *self)
{
    (void)self;
}

static void nothing_at_fork(void *self, enum larder_fork_step step)
{
    (void)self, (void)step;
}

static void no_hits(struct larder_scope *scope, struct larder_hits *hits)
{
    (void)scope, (void)hits;
}

void larder__ops_complete(const struct larder_ops *given, struct larder_ops *ops)
{
    memset(ops, 0, sizeof(*ops));
    memcpy(ops, given, given->size < sizeof(*ops) ? given->size : sizeof(*ops));
    ops->size = sizeof(*ops);
#define STAND_IN(row, function) \
    if (ops->row == NULL)       \
    ops->row = function
    STAND_IN(get, fallback_get);
    STAND_IN(touch, fallback_touch);
    STAND_IN(get_and_touch, fallback_get_and_touch);
    STAND_IN(count, fallback_count);
    STAND_IN(lease_get, no_lease_get);
    STAND_IN(lease_fill, no_lease_fill);
    STAND_IN(lease_return, no_lease_return);
    STAND_IN(many, larder__many_by_rows);
    STAND_IN(flush, no_flush);
    STAND_IN(keys, no_keys);
    STAND_IN(stats, no_stats);
    STAND_IN(purge, nothing_due);
    STAND_IN(wire_key, no_wire_key);
    STAND_IN(acquire, nothing_to_hold);
    STAND_IN(release, nothing_held);
    STAND_IN(servers, one_server);
    STAND_IN(place, first_server);
    STAND_IN(shutdown, nothing_to_wake);
    STAND_IN(fork, nothing_at_fork);
    STAND_IN(retire, ops->shutdown);
    STAND_IN(hits_of, no_hits);
#undef STAND_IN
}

void larder__traits_complete(const struct larder_traits *given, const struct larder_ops *own,
                             struct larder_traits *traits)
{
    memset(traits, 0, sizeof(*traits));
    memcpy(traits, given, given->size < sizeof(*traits) ? given->size : sizeof(*traits));
    traits->size = sizeof(*traits);
    int by_cas = larder_can(traits, LARDER_CAN_CAS | LARDER_CAN_READ_TTL);
    if (by_cas && own->touch == NULL)
        traits->steps |= LARDER_CAN_TOUCH;
    if (by_cas && own->count == NULL)
        traits->steps |= LARDER_CAN_COUNT;
    if (by_cas && own->count == NULL && larder_can(traits, LARDER_CAN_ADD))
        traits->steps |= LARDER_CAN_COUNT_INITIAL;
    if (own->get_and_touch == NULL && larder_can(traits, LARDER_CAN_TOUCH))
        traits->steps |= LARDER_CAN_GET_AND_TOUCH;
    if (own->count == NULL)
        traits->delta_max = UINT64_MAX;
    traits->steps &= ~traits->can;
}
