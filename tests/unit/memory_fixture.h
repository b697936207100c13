/* A memory cache under test, spoken to as the core speaks to it: by a scope. */
#ifndef TESTS_MEMORY_FIXTURE_H
#define TESTS_MEMORY_FIXTURE_H

#include <larder/backend.h>
#include <larder/memory.h>

#include "clock.h"

struct cache {
    struct larder_scope scope;
    struct larder_space space; /* what scope.space points to, if anything */
    struct larder_call call;   /* what scope.call points to, if anything */
    struct manual_clock clock;
};

/** Opens a memory cache with the manual clock; fails the test when that does not go. */
void cache_open(struct cache *cache, const struct larder_memory_options *options);
void cache_open_default(struct cache *cache);
void cache_open_bytes(struct cache *cache, uint64_t max_bytes);
void cache_close(struct cache *cache);

/** The same cache, seen in a namespace. */
void cache_in(struct cache *seen, const struct cache *cache, const char *name);
/** The options of the next calls; all off at first. */
struct larder_call *cache_call(struct cache *cache);
void cache_plain(struct cache *cache);

enum larder_status cache_store(struct cache *cache, enum larder_mode mode, const char *key,
                               const char *value, int64_t ttl_ms);
enum larder_status cache_set(struct cache *cache, const char *key, const char *value,
                             int64_t ttl_ms);
/** Stores `size` bytes of `fill`. */
enum larder_status cache_set_bytes(struct cache *cache, const char *key, int fill, size_t size,
                                   int64_t ttl_ms);
enum larder_status cache_cas(struct cache *cache, const char *key, const char *value,
                             uint64_t version);
enum larder_status cache_set_absent(struct cache *cache, const char *key, int64_t ttl_ms);
/** Whether it is there: reads no bytes, so a value answers PARTIAL, which becomes OK. */
enum larder_status cache_peek(struct cache *cache, const char *key, struct larder_info *info);
enum larder_status cache_get(struct cache *cache, const char *key, struct larder_value *value);
enum larder_status cache_delete(struct cache *cache, const char *key, uint64_t version);
enum larder_status cache_touch(struct cache *cache, const char *key, int64_t ttl_ms);
enum larder_status cache_count(struct cache *cache, const char *key,
                               enum larder_direction direction, uint64_t delta,
                               const struct larder_initial *initial, uint64_t *result);
enum larder_status cache_lease(struct cache *cache, const char *key, uint32_t lease_ms,
                               struct larder_lease *lease);
enum larder_status cache_fill(struct cache *cache, const char *key, struct larder_lease lease,
                              const char *value);
enum larder_status cache_return(struct cache *cache, const char *key, struct larder_lease lease);

uint64_t cache_version(struct cache *cache, const char *key);
uint64_t cache_stat(struct cache *cache, const char *name);
/** Asserts that the value is exactly this. */
void cache_assert_value(struct cache *cache, const char *key, const char *value);

#endif
