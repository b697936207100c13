/*
 * Plain reads and gets: nothing is asked for but the value, and nothing is wrong, as with nearly
 * all calls. The fewer instructions they take, the more of them a processor works on at once while
 * they wait for memory; so nothing is done here that can be left to the backend, and the call ends
 * there.
 */
#include "hit.h"

#include "calls.h"

/* What checks found, in full; of a get see below. */
enum larder_status larder__read_otherwise(struct larder_reader *reader, struct larder_slice key,
                                          void *buffer, size_t size)
{
    return larder_read_with(larder__cache_of(reader), NULL, key, buffer, size, NULL);
}

enum larder_status larder__read_hit_refused(struct larder_reader *reader, struct larder_slice key,
                                            void *buffer, size_t size,
                                            const struct larder_scope *scope)
{
    (void)scope;
    return larder__read_otherwise(reader, key, buffer, size);
}

enum larder_status larder__get_hit_refused(struct larder_reader *reader, struct larder_slice key,
                                           struct larder_value *value,
                                           const struct larder_scope *scope)
{
    (void)scope;
    return larder_get_with(larder__cache_of(reader), NULL, key, value);
}

enum larder_status larder__hit_counted(const struct larder_reader *reader,
                                       enum larder_operation operation)
{
    const struct larder_cache *cache = (const struct larder_cache *)(const void *)reader;
    larder__count_call_slowly(cache->counters, operation, LARDER_OK, 1);
    return LARDER_OK;
}

enum larder_status larder__hit_missed(struct larder_reader *reader, struct larder_slice key,
                                      enum larder_operation operation)
{
    return larder__finish(larder__cache_of(reader), operation, key, LARDER_MISS);
}

/* ---- by a backend's rows ------------------------------------------------------------------- */

/* The call was made: it must not be made again, but where a reload shut the backend down. */
__attribute__((noinline)) static enum larder_status finish(struct larder_cache *cache,
                                                           const struct larder_scope *scope,
                                                           struct larder_slice key, void *buffer,
                                                           size_t size, enum larder_status status)
{
    const struct target *target = larder__target_of_scope(scope);
    if (status == LARDER_CLOSED && larder__moved(cache, target))
        return larder_read_with(cache, NULL, key, buffer, size, NULL);
    return larder__finish(cache, LARDER_OPERATION_READ, key, status);
}

static enum larder_status read_by_row(struct larder_reader *reader, struct larder_slice key,
                                      void *buffer, size_t size, const struct larder_scope *scope)
{
    struct larder_cache *cache = larder__cache_of(reader);
    if (__builtin_expect(larder__key_check(key) != LARDER_OK, 0))
        return larder__read_otherwise(reader, key, buffer, size);
    enum larder_status status = scope->ops->read(scope, key, buffer, size, NULL);
    if (__builtin_expect(status != LARDER_OK, 0))
        return finish(cache, scope, key, buffer, size, status);
    larder__count_call(cache->counters, LARDER_OPERATION_READ, LARDER_OK);
    return LARDER_OK;
}

static enum larder_status get_by_row(struct larder_reader *reader, struct larder_slice key,
                                     struct larder_value *value, const struct larder_scope *scope)
{
    struct larder_cache *cache = larder__cache_of(reader);
    if (__builtin_expect(larder__key_check(key) != LARDER_OK, 0))
        return larder_get_with(cache, NULL, key, value);
    *value = (struct larder_value){.info = {.ttl_ms = LARDER_TTL_UNKNOWN, .idle_ms = -1}};
    enum larder_status status = scope->ops->get(scope, key, value);
    larder__view_settle(value, status);
    if (status == LARDER_CLOSED && larder__moved(cache, larder__target_of_scope(scope)))
        return larder_get_with(cache, NULL, key, value);
    return larder__finish(cache, LARDER_OPERATION_GET, key, status);
}

struct larder_hits larder__hits_of(struct larder_scope *scope)
{
    struct larder_hits hits = {read_by_row, get_by_row};
    scope->ops->hits_of(scope, &hits);
    return hits;
}

/* Of a leaf, which stays where it leads, the row is asked at once. */
enum larder_status larder__get_otherwise(struct larder_reader *reader, struct larder_slice key,
                                         struct larder_value *value)
{
    struct larder_cache *cache = larder__cache_of(reader);
    const struct target *target = larder__target(cache);
    if (cache->kind != HANDLE_LEAF || target->refusal != LARDER_OK)
        return larder_get_with(cache, NULL, key, value);
    return get_by_row(reader, key, value, &target->scope);
}

/* ---- on a visit ---------------------------------------------------------------------------- */

/* With its arguments in the same registers as larder_read(), which then moves none. */
__attribute__((noinline)) static enum larder_status read_generally(struct larder_cache *cache,
                                                                   struct larder_slice key,
                                                                   void *buffer, size_t size,
                                                                   struct larder_info *info)
{
    return larder_read_with(cache, NULL, key, buffer, size, info);
}

static inline bool visit_begin(struct larder_thread *thread, bool fences)
{
    return __builtin_expect(thread != NULL, 1) &&
           (fences ? larder_visit_begin(&larder__visits, thread)
                   : larder_visit_begin_asymmetric(&larder__visits, thread));
}

static inline enum larder_status read_in_visit(struct larder_reader *reader,
                                               struct larder_slice key, void *buffer, size_t size,
                                               bool fences)
{
    struct larder_cache *cache = larder__cache_of(reader);
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(!visit_begin(thread, fences), 0))
        return read_generally(cache, key, buffer, size, NULL);
    const struct target *target = larder__target(cache); /* also one that refuses has hits */
    enum larder_status status = target->hits.read(reader, key, buffer, size, &target->scope);
    larder_visit_end(thread);
    return status;
}

static inline enum larder_status get_in_visit(struct larder_reader *reader, struct larder_slice key,
                                              struct larder_value *value, bool fences)
{
    struct larder_cache *cache = larder__cache_of(reader);
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(!visit_begin(thread, fences), 0))
        return larder_get_with(cache, NULL, key, value);
    const struct target *target = larder__target(cache);
    enum larder_status status = target->hits.get(reader, key, value, &target->scope);
    larder_visit_end(thread);
    return status;
}

#define HITS_ON_VISIT(name, fences)                                                              \
    static enum larder_status read_##name(struct larder_reader *reader, struct larder_slice key, \
                                          void *buffer, size_t size,                             \
                                          const struct larder_scope *scope)                      \
    {                                                                                            \
        (void)scope;                                                                             \
        return read_in_visit(reader, key, buffer, size, fences);                                 \
    }                                                                                            \
    static enum larder_status get_##name(struct larder_reader *reader, struct larder_slice key,  \
                                         struct larder_value *value,                             \
                                         const struct larder_scope *scope)                       \
    {                                                                                            \
        (void)scope;                                                                             \
        return get_in_visit(reader, key, value, fences);                                         \
    }                                                                                            \
    const struct larder_hits larder__hits_##name = {read_##name, get_##name};

HITS_ON_VISIT(on_visit, false)
HITS_ON_VISIT(on_fenced_visit, true)
#undef HITS_ON_VISIT

/* ---- the calls ----------------------------------------------------------------------------- */

enum larder_status larder_read(struct larder_cache *cache, struct larder_slice key, void *buffer,
                               size_t size, struct larder_info *info)
{
    if (__builtin_expect(cache == NULL || key.data == NULL || buffer == NULL || info != NULL, 0))
        return read_generally(cache, key, buffer, size, info);
    const struct larder_scope *scope = &larder__target(cache)->scope;
    /* acquire: pairs with the release in larder__lead_locked() */
    larder_read_hit_fn *hit = atomic_load_explicit(&cache->read_hit, memory_order_acquire);
    return hit(&cache->reader, key, buffer, size, scope); /* in the registers they came in */
}

enum larder_status larder_get(struct larder_cache *cache, struct larder_slice key,
                              struct larder_value *value)
{
    if (__builtin_expect(
            cache == NULL || key.data == NULL || value == NULL || value->info.want != 0, 0))
        return larder_get_with(cache, NULL, key, value);
    const struct larder_scope *scope = &larder__target(cache)->scope;
    /* acquire: likewise */
    larder_get_hit_fn *hit = atomic_load_explicit(&cache->get_hit, memory_order_acquire);
    return hit(&cache->reader, key, value, scope);
}
