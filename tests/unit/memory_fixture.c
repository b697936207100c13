#include "memory_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <larder/util/value.h>

extern const struct larder_backend larder_memory_backend;

void cache_open(struct cache *cache, const struct larder_memory_options *options)
{
    char text[256] = "";
    struct larder_message message = {text, sizeof(text)};
    memset(cache, 0, sizeof(*cache));
    manual_clock_init(&cache->clock);
    struct larder_host host = {.version = LARDER_BACKEND_VERSION,
                               .size = sizeof(host),
                               .clock = manual_clock_of(&cache->clock)};
    cache->scope.ops = larder_memory_backend.ops;
    assert_int_equal(larder_memory_backend.open(&host, options, &message, &cache->scope.self),
                     LARDER_OK);
    assert_string_equal(text, "");
}

void cache_open_default(struct cache *cache)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    cache_open(cache, &options);
}

void cache_open_bytes(struct cache *cache, uint64_t max_bytes)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    options.max_bytes = max_bytes;
    cache_open(cache, &options);
}

void cache_close(struct cache *cache)
{
    cache->scope.ops->close(cache->scope.self);
    larder_values_trim();
}

void cache_in(struct cache *seen, const struct cache *cache, const char *name)
{
    memset(seen, 0, sizeof(*seen));
    seen->space.size = sizeof(seen->space);
    seen->space.name = larder_text(name);
    seen->scope = cache->scope;
    seen->scope.space = &seen->space;
}

struct larder_call *cache_call(struct cache *cache)
{
    struct larder_call call = LARDER_CALL_INIT;
    cache->call = call;
    cache->scope.call = &cache->call;
    return &cache->call;
}

void cache_plain(struct cache *cache)
{
    cache->scope.call = NULL;
}

enum larder_status cache_store(struct cache *cache, enum larder_mode mode, const char *key,
                               const char *value, int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(larder_text(value), ttl_ms);
    uint64_t version = 0;
    enum larder_status status =
        cache->scope.ops->store(&cache->scope, mode, larder_text(key), &write, &version);
    assert_int_equal(status == LARDER_OK, version != 0);
    return status;
}

enum larder_status cache_set(struct cache *cache, const char *key, const char *value,
                             int64_t ttl_ms)
{
    return cache_store(cache, LARDER_SET, key, value, ttl_ms);
}

enum larder_status cache_set_bytes(struct cache *cache, const char *key, int fill, size_t size,
                                   int64_t ttl_ms)
{
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memset(bytes, fill, size);
    struct larder_write write = larder_write_of(larder_bytes(bytes, size), ttl_ms);
    uint64_t version = 0;
    enum larder_status status =
        cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text(key), &write, &version);
    free(bytes);
    return status;
}

enum larder_status cache_cas(struct cache *cache, const char *key, const char *value,
                             uint64_t version)
{
    struct larder_write write = larder_write_of(larder_text(value), LARDER_TTL_FOREVER);
    write.version = version;
    return cache->scope.ops->store(&cache->scope, LARDER_CAS, larder_text(key), &write, &version);
}

enum larder_status cache_set_absent(struct cache *cache, const char *key, int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(larder_bytes(NULL, 0), ttl_ms);
    uint64_t version = 0;
    write.marks = LARDER_WRITE_ABSENT;
    return cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text(key), &write, &version);
}

enum larder_status cache_peek(struct cache *cache, const char *key, struct larder_info *info)
{
    if (info != NULL)
        info->want = LARDER_WANT_VERSION | LARDER_WANT_TTL;
    enum larder_status status =
        cache->scope.ops->read(&cache->scope, larder_text(key), NULL, 0, info);
    return status == LARDER_PARTIAL ? LARDER_OK : status;
}

enum larder_status cache_get(struct cache *cache, const char *key, struct larder_value *value)
{
    memset(value, 0, sizeof(*value));
    return cache->scope.ops->get(&cache->scope, larder_text(key), value);
}

enum larder_status cache_delete(struct cache *cache, const char *key, uint64_t version)
{
    return cache->scope.ops->remove(&cache->scope, larder_text(key), version);
}

enum larder_status cache_touch(struct cache *cache, const char *key, int64_t ttl_ms)
{
    return cache->scope.ops->touch(&cache->scope, larder_text(key), ttl_ms);
}

enum larder_status cache_count(struct cache *cache, const char *key,
                               enum larder_direction direction, uint64_t delta,
                               const struct larder_initial *initial, uint64_t *result)
{
    *result = 0;
    return cache->scope.ops->count(&cache->scope, larder_text(key), direction, delta, initial,
                                   result);
}

enum larder_status cache_lease(struct cache *cache, const char *key, uint32_t lease_ms,
                               struct larder_lease *lease)
{
    struct larder_value value;
    memset(&value, 0, sizeof(value));
    memset(lease, 0, sizeof(*lease));
    enum larder_status status =
        cache->scope.ops->lease_get(&cache->scope, larder_text(key), lease_ms, &value, lease);
    assert_int_equal(status == LARDER_OK, value.owner != NULL);
    assert_int_equal(value.info.marks & LARDER_REFRESH_WANTED,
                     status == LARDER_OK && lease->token != 0 ? LARDER_REFRESH_WANTED : 0);
    if (value.owner != NULL)
        value.owner->release(value.owner);
    return status;
}

enum larder_status cache_fill(struct cache *cache, const char *key, struct larder_lease lease,
                              const char *value)
{
    struct larder_write write = larder_write_of(larder_text(value), LARDER_TTL_FOREVER);
    return cache->scope.ops->lease_fill(&cache->scope, larder_text(key), lease, &write);
}

enum larder_status cache_return(struct cache *cache, const char *key, struct larder_lease lease)
{
    return cache->scope.ops->lease_return(&cache->scope, larder_text(key), lease);
}

uint64_t cache_version(struct cache *cache, const char *key)
{
    struct larder_info info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(cache_peek(cache, key, &info), LARDER_OK);
    return info.version;
}

uint64_t cache_stat(struct cache *cache, const char *name)
{
    struct larder_stat rows[32];
    struct larder_stats_out out = {rows, 32, 0, NULL};
    cache->scope.ops->stats(&cache->scope, &out);
    for (size_t i = 0; i < out.count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("no statistic %s", name);
    return 0;
}

void cache_assert_value(struct cache *cache, const char *key, const char *value)
{
    char buffer[256];
    struct larder_info info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(
        cache->scope.ops->read(&cache->scope, larder_text(key), buffer, sizeof(buffer), &info),
        LARDER_OK);
    assert_int_equal(info.length, strlen(value));
    assert_memory_equal(buffer, value, info.length);
}
