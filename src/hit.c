/*
 * Plain reads: nothing is asked for but the value, and nothing is wrong, as with nearly all calls.
 * The fewer instructions they take, the more of them a processor works on at once while they wait
 * for memory; so nothing is done here that can be left to the backend, and the call ends there.
 */
#include "hit.h"

#include "calls.h"

/* What checks found, in full. */
enum larder_status larder__hit_otherwise(struct larder_reader *reader, struct larder_slice key,
                                         void *buffer, size_t size)
{
    return larder_read_with(larder__cache_of(reader), NULL, key, buffer, size, NULL);
}

enum larder_status larder__hit_refused(struct larder_reader *reader, struct larder_slice key,
                                       void *buffer, size_t size, const struct larder_scope *scope)
{
    (void)scope;
    return larder__hit_otherwise(reader, key, buffer, size);
}

enum larder_status larder__hit_count_slowly(const struct larder_reader *reader)
{
    const struct larder_cache *cache = (const struct larder_cache *)(const void *)reader;
    larder__count_call_slowly(cache->counters, LARDER_OPERATION_READ, LARDER_OK, 1);
    return LARDER_OK;
}

enum larder_status larder__hit_missed(struct larder_reader *reader, struct larder_slice key)
{
    return larder__finish(larder__cache_of(reader), LARDER_OPERATION_READ, key, LARDER_MISS);
}

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

static enum larder_status hit_by_read(struct larder_reader *reader, struct larder_slice key,
                                      void *buffer, size_t size, const struct larder_scope *scope)
{
    struct larder_cache *cache = larder__cache_of(reader);
    if (__builtin_expect(larder__key_check(key) != LARDER_OK, 0))
        return larder__hit_otherwise(reader, key, buffer, size);
    enum larder_status status = scope->ops->read(scope, key, buffer, size, NULL);
    if (__builtin_expect(status != LARDER_OK, 0))
        return finish(cache, scope, key, buffer, size, status);
    larder__count_call(cache->counters, LARDER_OPERATION_READ, LARDER_OK);
    return LARDER_OK;
}

larder_hit_fn *larder__hit_of_read(struct larder_scope *scope)
{
    (void)scope;
    return hit_by_read;
}

/* With its arguments in the same registers as larder_read(), which then moves none. */
__attribute__((noinline)) static enum larder_status read_generally(struct larder_cache *cache,
                                                                   struct larder_slice key,
                                                                   void *buffer, size_t size,
                                                                   struct larder_info *info)
{
    return larder_read_with(cache, NULL, key, buffer, size, info);
}

static inline enum larder_status hit_on_visit(struct larder_reader *reader, struct larder_slice key,
                                              void *buffer, size_t size, bool fences)
{
    struct larder_cache *cache = larder__cache_of(reader);
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL ||
                             !(fences ? larder_visit_begin(&larder__visits, thread)
                                      : larder_visit_begin_asymmetric(&larder__visits, thread)),
                         0))
        return read_generally(cache, key, buffer, size, NULL);
    const struct target *target = larder__target(cache); /* also one that refuses has a hit */
    enum larder_status status = target->hit(reader, key, buffer, size, &target->scope);
    larder_visit_end(thread);
    return status;
}

enum larder_status larder__hit_on_visit(struct larder_reader *reader, struct larder_slice key,
                                        void *buffer, size_t size, const struct larder_scope *scope)
{
    (void)scope;
    return hit_on_visit(reader, key, buffer, size, false);
}

enum larder_status larder__hit_on_fenced_visit(struct larder_reader *reader,
                                               struct larder_slice key, void *buffer, size_t size,
                                               const struct larder_scope *scope)
{
    (void)scope;
    return hit_on_visit(reader, key, buffer, size, true);
}

enum larder_status larder_read(struct larder_cache *cache, struct larder_slice key, void *buffer,
                               size_t size, struct larder_info *info)
{
    if (__builtin_expect(cache == NULL || key.data == NULL || buffer == NULL || info != NULL, 0))
        return read_generally(cache, key, buffer, size, info);
    const struct larder_scope *scope = &larder__target(cache)->scope;
    /* acquire: pairs with the release in larder__lead_locked() */
    larder_hit_fn *hit = atomic_load_explicit(&cache->hit, memory_order_acquire);
    return hit(&cache->reader, key, buffer, size, scope); /* in the registers they came in */
}
