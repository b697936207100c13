/* Calls on one key: check the arguments, enter the backend, finish. */
#include "calls.h"

#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/value.h>

/* ---- options of a call --------------------------------------------------------------------- */

#define ON(operation) (1u << LARDER_OPERATION_##operation)
#define ON_ANY ((1u << LARDER_OPERATIONS) - 1)

/* For which operations an option makes sense. */
static const struct {
    uint64_t takes;
    uint32_t operations;
} sense[] = {
    {LARDER_TAKES_NO_WAIT, ON_ANY},
    {LARDER_TAKES_NO_REPLY, ON(STORE) | ON(DELETE) | ON(TOUCH)},
    {LARDER_TAKES_TIMEOUT, ON_ANY},
    {LARDER_TAKES_RECACHE, ON(LEASE_GET)},
    {LARDER_TAKES_TOUCH, ON(READ) | ON(GET) | ON(COUNT)},
    {LARDER_TAKES_VERSION, ON(STORE) | ON(TOUCH) | ON(COUNT)},
    {LARDER_TAKES_ROUTING_KEY, ON_ANY},
};

static uint64_t asked_options(const struct larder_call *call)
{
    uint64_t asked = 0;
    asked |= call->flags & LARDER_NO_WAIT ? LARDER_TAKES_NO_WAIT : 0;
    asked |= call->flags & LARDER_NO_REPLY ? LARDER_TAKES_NO_REPLY : 0;
    asked |= call->timeout_ms != 0 ? LARDER_TAKES_TIMEOUT : 0;
    asked |= call->recache_ms != 0 ? LARDER_TAKES_RECACHE : 0;
    asked |= call->touch_ttl_ms != LARDER_TTL_UNKNOWN ? LARDER_TAKES_TOUCH : 0;
    asked |= call->version != 0 ? LARDER_TAKES_VERSION : 0;
    asked |= call->routing_key.length != 0 ? LARDER_TAKES_ROUTING_KEY : 0;
    return asked;
}

/* What no cache takes, whatever its traits. */
static enum larder_status options_check(enum larder_operation operation,
                                        const struct larder_call *call)
{
    uint64_t asked = asked_options(call);
    if ((call->flags & ~(LARDER_NO_WAIT | LARDER_NO_REPLY)) != 0)
        return LARDER_BAD_ARGUMENT;
    if (call->routing_key.length > LARDER_KEY_BYTES_MAX ||
        (call->routing_key.length != 0 && call->routing_key.data == NULL))
        return LARDER_BAD_ARGUMENT;
    for (size_t i = 0; i < sizeof(sense) / sizeof(sense[0]); i++)
        if ((asked & sense[i].takes) != 0 && (sense[i].operations & 1u << operation) == 0)
            return LARDER_BAD_ARGUMENT;
    return LARDER_OK;
}

static enum larder_status call_complete(const struct target *target,
                                        enum larder_operation operation,
                                        const struct larder_call *given, struct larder_call *call)
{
    struct larder_call none = LARDER_CALL_INIT;
    *call = none;
    if (!larder_struct_read(given, given->size, LARDER_SIZE_UP_TO(struct larder_call, routing_key),
                            call, sizeof(*call)))
        return LARDER_BAD_ARGUMENT;
    call->size = sizeof(*call);
    enum larder_status status = options_check(operation, call);
    if (status == LARDER_OK && call->touch_ttl_ms != LARDER_TTL_UNKNOWN)
        status = larder__ttl_resolve(target->ttl, call->touch_ttl_ms, &call->touch_ttl_ms);
    if (status == LARDER_OK && (asked_options(call) & ~target->traits->options) != 0)
        status = LARDER_UNSUPPORTED;
    return status;
}

/* ---- enter and finish ---------------------------------------------------------------------- */

enum larder_status larder__enter_with(enum larder_operation operation,
                                      const struct larder_call *call, struct entry *entry)
{
    enum larder_status status = call_complete(entry->target, operation, call, &entry->call);
    if (status != LARDER_OK)
        return status;
    entry->with_call = *entry->scope;
    entry->with_call.call = &entry->call;
    entry->scope = &entry->with_call;
    return LARDER_OK;
}

static enum larder_status enter_key(struct larder_cache *cache, enum larder_operation operation,
                                    const struct larder_call *call, struct larder_slice key,
                                    struct entry *entry)
{
    enum larder_status status = larder__key_check(key);
    return status == LARDER_OK ? larder__enter(cache, operation, call, entry) : status;
}

static int is_read(enum larder_operation operation)
{
    return operation == LARDER_OPERATION_READ || operation == LARDER_OPERATION_GET ||
           operation == LARDER_OPERATION_GET_AND_TOUCH || operation == LARDER_OPERATION_LEASE_GET;
}

enum larder_status larder__finish_failure(struct larder_cache *cache,
                                          enum larder_operation operation, struct larder_slice key,
                                          enum larder_status status)
{
    if (cache == NULL)
        return status;
    if (status < LARDER_CLOSED || status > LARDER_WOULD_BLOCK)
        status = LARDER_PROTOCOL; /* a backend of somebody's that makes numbers up */
    larder__count_call(cache->counters, operation, status);
    const struct target *target = larder__last_target(cache);
    if (target->listener != NULL) {
        struct larder_event event = {sizeof(event), operation, status, key,
                                     target->scope.ops->name};
        target->listener(target->listener_context, &event);
    }
    if (target->errors_as_miss && is_read(operation) &&
        larder_status_class(status) != LARDER_CLASS_CALLER)
        return LARDER_MISS;
    return status;
}

/* ---- checks -------------------------------------------------------------------------------- */

enum larder_status larder__want_check(const struct target *target, uint32_t want)
{
    if ((want & ~(LARDER_WANT_VERSION | LARDER_WANT_TTL | LARDER_WANT_ACCESS)) != 0)
        return LARDER_BAD_ARGUMENT;
    if ((want & LARDER_WANT_TTL) != 0 && !larder_can(target->traits, LARDER_CAN_READ_TTL))
        return LARDER_UNSUPPORTED;
    if ((want & LARDER_WANT_ACCESS) != 0 && !larder_can(target->traits, LARDER_CAN_READ_ACCESS))
        return LARDER_UNSUPPORTED;
    if ((want & LARDER_WANT_VERSION) != 0 && !larder_can(target->traits, LARDER_CAN_CAS))
        return LARDER_UNSUPPORTED;
    return LARDER_OK;
}

static const uint64_t mode_needs[] = {
    [LARDER_SET] = 0,
    [LARDER_ADD] = LARDER_CAN_ADD,
    [LARDER_REPLACE] = LARDER_CAN_REPLACE,
    [LARDER_APPEND] = LARDER_CAN_APPEND,
    [LARDER_PREPEND] = LARDER_CAN_APPEND,
    [LARDER_CAS] = LARDER_CAN_CAS,
};

static int is_joining(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

/* What no cache takes, whatever it can. */
static int write_makes_sense(enum larder_mode mode, const struct larder_write *write)
{
    int absent = (write->marks & LARDER_WRITE_ABSENT) != 0;
    if (write->value.data == NULL && write->value.length > 0)
        return 0;
    if ((write->marks & ~LARDER_WRITE_ABSENT) != 0 || write->reserved[0] != 0 ||
        write->reserved[1] != 0)
        return 0;
    if (absent && (write->value.length > 0 || is_joining(mode)))
        return 0;
    return (mode == LARDER_CAS) == (write->version != 0);
}

enum larder_status larder__write_check(const struct target *target, enum larder_mode mode,
                                       const struct larder_write *write,
                                       struct larder_write *complete)
{
    const struct larder_traits *traits = target->traits;
    if (write == NULL || (unsigned)mode > LARDER_CAS || !write_makes_sense(mode, write))
        return LARDER_BAD_ARGUMENT;
    *complete = *write;
    enum larder_status status = larder__ttl_resolve(target->ttl, write->ttl_ms, &complete->ttl_ms);
    if (status != LARDER_OK)
        return status;
    uint64_t needs = mode_needs[mode];
    if ((write->marks & LARDER_WRITE_ABSENT) != 0)
        needs |= LARDER_CAN_ABSENT;
    if (!larder_can(traits, needs))
        return LARDER_UNSUPPORTED;
    return write->value.length > traits->value_max ? LARDER_TOO_LARGE : LARDER_OK;
}

enum larder_status larder__touch_check(const struct target *target, int64_t *ttl_ms)
{
    enum larder_status status = larder__ttl_resolve(target->ttl, *ttl_ms, ttl_ms);
    if (status != LARDER_OK)
        return status;
    return larder_can(target->traits, LARDER_CAN_TOUCH) ? LARDER_OK : LARDER_UNSUPPORTED;
}

enum larder_status larder__delete_check(const struct target *target, uint64_t version)
{
    return version == 0 || larder_can(target->traits, LARDER_CAN_DELETE_VERSION)
               ? LARDER_OK
               : LARDER_UNSUPPORTED;
}

void larder__value_clear(struct larder_value *value)
{
    larder_info_clear(&value->info);
    value->bytes = larder_bytes(NULL, 0);
    value->owner = NULL;
}

/* ---- the calls ----------------------------------------------------------------------------- */

enum larder_status larder_read_with(struct larder_cache *cache, const struct larder_call *call,
                                    struct larder_slice key, void *buffer, size_t size,
                                    struct larder_info *info)
{
    LARDER_VISIT(cache);
    struct entry entry;
    larder_info_clear(info);
    enum larder_status status = buffer == NULL && size > 0 ? LARDER_BAD_ARGUMENT : LARDER_OK;
    if (status == LARDER_OK)
        status = enter_key(cache, LARDER_OPERATION_READ, call, key, &entry);
    if (status == LARDER_OK && info != NULL && info->want != 0)
        status = larder__want_check(entry.target, info->want);
    if (status == LARDER_OK)
        status = entry.scope->ops->read(entry.scope, key, buffer, size, info);
    if (info != NULL)
        larder__info_settle(info, status);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_read_with(cache, call, key, buffer, size, info);
    return larder__finish(cache, LARDER_OPERATION_READ, key, status);
}

enum larder_status larder_get_with(struct larder_cache *cache, const struct larder_call *call,
                                   struct larder_slice key, struct larder_value *value)
{
    LARDER_VISIT(cache);
    struct entry entry;
    if (value == NULL)
        return larder__finish(cache, LARDER_OPERATION_GET, key, LARDER_BAD_ARGUMENT);
    larder__value_clear(value);
    enum larder_status status = enter_key(cache, LARDER_OPERATION_GET, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__want_check(entry.target, value->info.want);
    if (status == LARDER_OK)
        status = entry.scope->ops->get(entry.scope, key, value);
    larder__view_settle(value, status);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_get_with(cache, call, key, value);
    return larder__finish(cache, LARDER_OPERATION_GET, key, status);
}

/* Where a call leads that has no options, by a way without detours. @return NULL: by the general
 * one
 */
static inline const struct target *target_of_leaf(struct larder_cache *cache,
                                                  struct larder_slice key)
{
    if (cache == NULL || cache->kind != HANDLE_LEAF || larder__key_check(key) != LARDER_OK)
        return NULL;
    const struct target *target = larder__target(cache);
    return target->refusal == LARDER_OK ? target : NULL;
}

void larder_value_release(struct larder_value *value)
{
    if (value == NULL)
        return;
    struct larder_owner *owner = value->owner;
    value->owner = NULL;
    value->bytes = larder_bytes(NULL, 0);
    if (owner != NULL)
        owner->release(owner);
}

enum larder_status larder_store_with(struct larder_cache *cache, const struct larder_call *call,
                                     enum larder_mode mode, struct larder_slice key,
                                     const struct larder_write *write, uint64_t *version)
{
    LARDER_VISIT(cache);
    struct entry entry;
    struct larder_write complete;
    uint64_t unwanted;
    version = version != NULL ? version : &unwanted;
    *version = 0;
    enum larder_status status = larder__mode_takes_call(mode, call)
                                    ? enter_key(cache, LARDER_OPERATION_STORE, call, key, &entry)
                                    : LARDER_BAD_ARGUMENT;
    if (status == LARDER_OK)
        status = larder__write_check(entry.target, mode, write, &complete);
    if (status == LARDER_OK)
        status = entry.scope->ops->store(entry.scope, mode, key, &complete, version);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_store_with(cache, call, mode, key, write, version);
    return larder__finish(cache, LARDER_OPERATION_STORE, key, status);
}

/* A set in which there is nothing to complete, as nearly all stores are. */
static int is_plain(const struct target *target, const struct larder_write *write)
{
    return write->value.data != NULL && write->value.length <= target->traits->value_max &&
           write->ttl_ms >= 0 && target->ttl.max_ms == 0 &&
           (write->marks | write->version | write->reserved[0] | write->reserved[1]) == 0;
}

enum larder_status larder_store(struct larder_cache *cache, enum larder_mode mode,
                                struct larder_slice key, const struct larder_write *write,
                                uint64_t *version)
{
    uint64_t given = 0; /* `version` may lie in *write, which the backend reads */
    const struct target *target = target_of_leaf(cache, key);
    if (target == NULL || write == NULL || mode != LARDER_SET || !is_plain(target, write))
        return larder_store_with(cache, NULL, mode, key, write, version);
    enum larder_status status =
        target->scope.ops->store(&target->scope, LARDER_SET, key, write, &given);
    if (status == LARDER_CLOSED && larder__moved(cache, target))
        return larder_store_with(cache, NULL, mode, key, write, version);
    if (version != NULL)
        *version = given;
    return larder__finish(cache, LARDER_OPERATION_STORE, key, status);
}

enum larder_status larder_delete_with(struct larder_cache *cache, const struct larder_call *call,
                                      struct larder_slice key, uint64_t version)
{
    LARDER_VISIT(cache);
    struct entry entry;
    enum larder_status status = enter_key(cache, LARDER_OPERATION_DELETE, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__delete_check(entry.target, version);
    if (status == LARDER_OK)
        status = entry.scope->ops->remove(entry.scope, key, version);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_delete_with(cache, call, key, version);
    return larder__finish(cache, LARDER_OPERATION_DELETE, key, status);
}

enum larder_status larder_delete(struct larder_cache *cache, struct larder_slice key,
                                 uint64_t version)
{
    return larder_delete_with(cache, NULL, key, version);
}

enum larder_status larder_touch_with(struct larder_cache *cache, const struct larder_call *call,
                                     struct larder_slice key, int64_t ttl_ms)
{
    LARDER_VISIT(cache);
    struct entry entry;
    int64_t resolved_ms = ttl_ms;
    enum larder_status status = enter_key(cache, LARDER_OPERATION_TOUCH, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__touch_check(entry.target, &resolved_ms);
    if (status == LARDER_OK)
        status = entry.scope->ops->touch(entry.scope, key, resolved_ms);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_touch_with(cache, call, key, ttl_ms);
    return larder__finish(cache, LARDER_OPERATION_TOUCH, key, status);
}

enum larder_status larder_touch(struct larder_cache *cache, struct larder_slice key, int64_t ttl_ms)
{
    return larder_touch_with(cache, NULL, key, ttl_ms);
}

enum larder_status larder_get_and_touch_with(struct larder_cache *cache,
                                             const struct larder_call *call,
                                             struct larder_slice key, int64_t ttl_ms,
                                             struct larder_value *value)
{
    LARDER_VISIT(cache);
    struct entry entry;
    int64_t resolved_ms = ttl_ms;
    if (value == NULL)
        return larder__finish(cache, LARDER_OPERATION_GET_AND_TOUCH, key, LARDER_BAD_ARGUMENT);
    larder__value_clear(value);
    enum larder_status status = enter_key(cache, LARDER_OPERATION_GET_AND_TOUCH, call, key, &entry);
    if (status == LARDER_OK)
        status = larder__ttl_resolve(entry.target->ttl, ttl_ms, &resolved_ms);
    if (status == LARDER_OK)
        status = larder__want_check(entry.target, value->info.want);
    if (status == LARDER_OK && !larder_can(entry.target->traits, LARDER_CAN_GET_AND_TOUCH))
        status = LARDER_UNSUPPORTED;
    if (status == LARDER_OK)
        status = entry.scope->ops->get_and_touch(entry.scope, key, resolved_ms, value);
    larder__view_settle(value, status);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_get_and_touch_with(cache, call, key, ttl_ms, value);
    return larder__finish(cache, LARDER_OPERATION_GET_AND_TOUCH, key, status);
}

enum larder_status larder_get_and_touch(struct larder_cache *cache, struct larder_slice key,
                                        int64_t ttl_ms, struct larder_value *value)
{
    return larder_get_and_touch_with(cache, NULL, key, ttl_ms, value);
}

static enum larder_status count_check(const struct target *target, uint64_t delta,
                                      const struct larder_initial *initial,
                                      struct larder_initial *complete)
{
    if (initial != NULL && initial->reserved != 0)
        return LARDER_BAD_ARGUMENT;
    if (initial != NULL) {
        *complete = *initial;
        enum larder_status status =
            larder__ttl_resolve(target->ttl, initial->ttl_ms, &complete->ttl_ms);
        if (status != LARDER_OK)
            return status;
    }
    if (!larder_can(target->traits, initial != NULL ? LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL
                                                    : LARDER_CAN_COUNT))
        return LARDER_UNSUPPORTED;
    return delta > target->traits->delta_max ? LARDER_TOO_LARGE : LARDER_OK;
}

enum larder_status larder_count_with(struct larder_cache *cache, const struct larder_call *call,
                                     struct larder_slice key, enum larder_direction direction,
                                     uint64_t delta, const struct larder_initial *initial,
                                     uint64_t *result)
{
    LARDER_VISIT(cache);
    struct entry entry;
    struct larder_initial complete;
    uint64_t unwanted;
    result = result != NULL ? result : &unwanted;
    *result = 0;
    enum larder_status status = enter_key(cache, LARDER_OPERATION_COUNT, call, key, &entry);
    if (status == LARDER_OK && (unsigned)direction > LARDER_DOWN)
        status = LARDER_BAD_ARGUMENT;
    if (status == LARDER_OK)
        status = count_check(entry.target, delta, initial, &complete);
    if (status == LARDER_OK)
        status = entry.scope->ops->count(entry.scope, key, direction, delta,
                                         initial != NULL ? &complete : NULL, result);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_count_with(cache, call, key, direction, delta, initial, result);
    return larder__finish(cache, LARDER_OPERATION_COUNT, key, status);
}

enum larder_status larder_count(struct larder_cache *cache, struct larder_slice key,
                                enum larder_direction direction, uint64_t delta,
                                const struct larder_initial *initial, uint64_t *result)
{
    return larder_count_with(cache, NULL, key, direction, delta, initial, result);
}
