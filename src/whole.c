/* Calls on a whole cache: shutdown and close, flush, keys, statistics, housekeeping, description.
 */
#include <stdlib.h>

#include <larder/util/value.h>

#include "attach.h"
#include "calls.h"
#include "client.h"
#include "description.h"

void larder_shutdown(struct larder_cache *cache)
{
    if (cache == NULL)
        return;
    if (cache->kind == HANDLE_LEAF && !larder__leaf_is_held(cache))
        larder__leaf_shutdown(cache);
    else if (cache->kind == HANDLE_CLIENT)
        larder__client_shutdown(cache->client);
}

void larder_close(struct larder_cache *cache)
{
    if (cache == NULL)
        return;
    larder_values_trim(); /* so that a program of one thread has given all back */
    if (cache->kind == HANDLE_LEAF && !larder__leaf_is_held(cache))
        larder__leaf_close(cache);
    else if (cache->kind == HANDLE_CLIENT)
        larder__client_close(cache->client);
}

static const struct larder_slice no_key = {NULL, 0};

enum larder_status larder_flush(struct larder_cache *cache)
{
    LARDER_VISIT(cache);
    struct entry entry;
    enum larder_status status = larder__enter(cache, LARDER_OPERATION_FLUSH, NULL, &entry);
    if (status == LARDER_OK && cache->client != NULL)
        status = larder__client_flush(cache->client, entry.scope);
    else if (status == LARDER_OK && !larder_can(entry.target->traits, LARDER_CAN_FLUSH))
        status = LARDER_UNSUPPORTED;
    else if (status == LARDER_OK)
        status = entry.scope->ops->flush(entry.scope);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_flush(cache);
    return larder__finish(cache, LARDER_OPERATION_FLUSH, no_key, status);
}

enum larder_status larder_keys(struct larder_cache *cache, struct larder_cursor *cursor,
                               void *buffer, size_t size, struct larder_slice *keys,
                               size_t capacity, size_t *count)
{
    LARDER_VISIT(cache);
    struct entry entry;
    enum larder_status status = LARDER_BAD_ARGUMENT;
    if (count != NULL)
        *count = 0;
    if (cursor != NULL && buffer != NULL && keys != NULL && capacity > 0 && count != NULL)
        status = larder__enter(cache, LARDER_OPERATION_KEYS, NULL, &entry);
    if (status == LARDER_OK && !larder_can(entry.target->traits, LARDER_CAN_KEYS))
        status = LARDER_UNSUPPORTED;
    if (status == LARDER_OK)
        status = entry.scope->ops->keys(entry.scope, cursor, buffer, size, keys, capacity, count);
    if (larder__is_overtaken(cache, &entry, status))
        return larder_keys(cache, cursor, buffer, size, keys, capacity, count);
    return larder__finish(cache, LARDER_OPERATION_KEYS, no_key, status);
}

enum larder_status larder_stats(struct larder_cache *cache, struct larder_stat *rows,
                                size_t capacity, size_t *count)
{
    LARDER_VISIT(cache);
    if (count != NULL)
        *count = 0;
    if (cache == NULL || count == NULL || (rows == NULL && capacity > 0))
        return LARDER_BAD_ARGUMENT;
    const struct target *target = larder__target(cache);
    if (target->refusal != LARDER_OK)
        return target->refusal;
    struct larder_stats_out out = {rows, capacity, 0, NULL};
    struct larder_totals totals = {{{0}}};
    larder__counters_total(cache->counters, &totals);
    if (cache->client != NULL)
        larder__client_totals(cache->client, &totals);
    larder__totals_rows(&totals, &out);
    if (cache->client != NULL)
        larder__client_stats(cache->client, &out);
    else
        target->scope.ops->stats(&target->scope, &out);
    *count = out.count;
    return LARDER_OK;
}

enum larder_status larder_purge(struct larder_cache *cache, uint32_t budget_ms,
                                uint64_t *next_due_ms)
{
    LARDER_VISIT(cache);
    uint64_t unwanted;
    next_due_ms = next_due_ms != NULL ? next_due_ms : &unwanted;
    *next_due_ms = UINT64_MAX;
    if (cache == NULL)
        return LARDER_BAD_ARGUMENT;
    const struct target *target = larder__target(cache);
    if (target->refusal != LARDER_OK)
        return target->refusal;
    if (cache->client != NULL)
        return larder__client_purge(cache->client, budget_ms, next_due_ms);
    return target->scope.ops->purge(&target->scope, budget_ms, next_due_ms);
}

const struct larder_traits *larder_describe(const struct larder_cache *cache)
{
    if (cache == NULL)
        return NULL;
    LARDER_VISIT(cache);
    const struct target *target = larder__last_target(cache);
    if (target->retiree != NULL)
        larder__description_show(target->traits);
    return target->traits;
}

enum larder_status larder_wire_key(struct larder_cache *cache, struct larder_slice key,
                                   void *buffer, size_t size, size_t *length)
{
    LARDER_VISIT(cache);
    if (length != NULL)
        *length = 0;
    if (cache == NULL || length == NULL || (buffer == NULL && size > 0))
        return LARDER_BAD_ARGUMENT;
    if (larder__key_check(key) != LARDER_OK)
        return LARDER_BAD_KEY;
    const struct target *target = larder__target(cache);
    if (target->refusal != LARDER_OK)
        return target->refusal;
    if (!larder_can(target->traits, LARDER_CAN_WIRE_KEY))
        return LARDER_UNSUPPORTED;
    enum larder_status status =
        target->scope.ops->wire_key(&target->scope, key, buffer, size, length);
    if (status == LARDER_CLOSED && larder__moved(cache, target))
        return larder_wire_key(cache, key, buffer, size, length);
    return status;
}
