/* memory when allocation number n fails, for n = 0, 1, 2 ... until none does: of the heap, of
 * addresses (mmap), or of memory for addresses (mprotect). The linker turns the library's calls
 * into those below. */
#include "memory_fixture.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

extern const struct larder_backend larder_memory_backend;

static long fails_at = -1; /* allocations to go until the one that fails; below 0: none */

static bool fails_on; /* from then on all of them */

static bool fails_now(void)
{
    if (fails_at == 0 && fails_on)
        return true;
    return fails_at >= 0 && fails_at-- == 0;
}

/* What the heap gave to the library and has not got back. */
static uint64_t heap_bytes;

static void *counted(void *allocation)
{
    if (allocation != NULL)
        heap_bytes += malloc_usable_size(allocation) + sizeof(size_t);
    return allocation;
}

void __real_free(void *allocation);
void __wrap_free(void *allocation);
void __wrap_free(void *allocation)
{
    if (allocation != NULL)
        heap_bytes -= malloc_usable_size(allocation) + sizeof(size_t);
    __real_free(allocation);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : counted(__real_malloc(size));
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : counted(__real_calloc(count, size));
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

/* Addresses that the library has and has not given back. */
static uint64_t mapped_bytes;

void *__real_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    if (fails_now())
        return MAP_FAILED;
    void *place = __real_mmap(address, length, protection, flags, file, offset);
    mapped_bytes += place != MAP_FAILED ? length : 0;
    return place;
}

int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length)
{
    mapped_bytes -= length;
    return __real_munmap(address, length);
}

int __real_mprotect(void *address, size_t length, int protection);
int __wrap_mprotect(void *address, size_t length, int protection);
int __wrap_mprotect(void *address, size_t length, int protection)
{
    return fails_now() ? -1 : __real_mprotect(address, length, protection);
}

static void release(struct larder_value *value)
{
    if (value->owner != NULL)
        value->owner->release(value->owner);
}

static void an_open_that_fails_leaves_nothing(void **state)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct manual_clock clock;
    enum larder_status status = LARDER_NO_MEMORY;
    int failures = 0;
    (void)state;
    manual_clock_init(&clock);
    struct larder_host host = {
        .version = LARDER_BACKEND_VERSION, .size = sizeof(host), .clock = manual_clock_of(&clock)};
    uint64_t heap_before = heap_bytes, mapped_before = mapped_bytes;
    for (; status != LARDER_OK; failures++) {
        void *self = NULL;
        fails_at = failures;
        status = larder_memory_backend.open(&host, &options, NULL, &self);
        fails_at = -1;
        if (status == LARDER_OK)
            larder_memory_backend.ops->close(self);
        else
            assert_int_equal(status, LARDER_NO_MEMORY);
        assert_int_equal(heap_bytes, heap_before);
        assert_int_equal(mapped_bytes, mapped_before);
    }
    /* object, sweep, stripes, lanes, recycled places, wheel, large store, index; addresses of large
     * values, of their links, of segments and the page in front, of headers, of buckets, of
     * overflow; memory of the first buckets; none */
    assert_int_equal(failures, 17);
}

/* Allocates nothing itself. */
static enum larder_status set_sized(struct cache *cache, const char *key, size_t length,
                                    int64_t ttl_ms)
{
    static const char bytes[30000];
    struct larder_write write = larder_write_of(larder_bytes(bytes, length), ttl_ms);
    uint64_t version = 0;
    return cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text(key), &write, &version);
}

/* One step of a workload: OK, or NO_MEMORY and nothing has changed. */
typedef enum larder_status step_fn(struct cache *cache);

static enum larder_status first_set(struct cache *cache)
{
    return cache_set(cache, "k", "new", 0);
}

static enum larder_status append(struct cache *cache)
{
    return cache_store(cache, LARDER_APPEND, "old", "+", 0);
}

static enum larder_status overwrite(struct cache *cache)
{
    return cache_set(cache, "old", "value+", 0);
}

static enum larder_status count(struct cache *cache)
{
    struct larder_initial initial = {.value = 1};
    uint64_t number;
    return cache_count(cache, "counter", LARDER_UP, 1, &initial, &number);
}

static enum larder_status get_small(struct cache *cache)
{
    struct larder_value value;
    enum larder_status status = cache_get(cache, "old", &value);
    assert_int_equal(status == LARDER_OK, value.owner != NULL);
    release(&value);
    return status;
}

static enum larder_status set_large(struct cache *cache)
{
    return set_sized(cache, "large", 30000, 0);
}

static enum larder_status set_in_namespace(struct cache *cache)
{
    struct cache seen;
    cache_in(&seen, cache, "space");
    return cache_set(&seen, "k", "v", 0);
}

static enum larder_status flush_all(struct cache *cache)
{
    return cache->scope.ops->flush(&cache->scope);
}

/* @return how many allocations the step makes */
static int fail_each_allocation_of(step_fn *step)
{
    enum larder_status status = LARDER_NO_MEMORY;
    int failures = 0;
    for (; status != LARDER_OK; failures++) {
        struct cache cache;
        uint64_t heap_before = heap_bytes, mapped_before = mapped_bytes;
        cache_open_bytes(&cache, 300000);
        assert_int_equal(cache_set(&cache, "old", "value", 0), LARDER_OK);
        fails_at = failures;
        status = step(&cache);
        fails_at = -1;
        if (status != LARDER_OK) {
            assert_int_equal(status, LARDER_NO_MEMORY);
            cache_assert_value(&cache, "old", "value");
        }
        assert_int_equal(step(&cache), LARDER_OK); /* it works again, no lock is held */
        assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
        assert_int_equal(cache_stat(&cache, "large_bytes"), 0);
        cache_close(&cache);
        assert_int_equal(heap_bytes, heap_before);
        assert_int_equal(mapped_bytes, mapped_before);
    }
    return failures - 1;
}

/* What allocates at all: copies of small values for views, and what grows. A store in a segment
 * that is open allocates nothing. */
static void every_failed_allocation_is_no_memory_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation_of(first_set), 0);
    assert_int_equal(fail_each_allocation_of(append), 0);
    assert_int_equal(fail_each_allocation_of(overwrite), 0);
    assert_int_equal(fail_each_allocation_of(count), 0);
    assert_int_equal(fail_each_allocation_of(get_small), 1);
    assert_int_equal(fail_each_allocation_of(set_large), 2);        /* pages, and their links */
    assert_int_equal(fail_each_allocation_of(set_in_namespace), 2); /* table and name */
}

/* Where the prepaid index can't be had, another one is tried, with as many steps. */
static void a_flush_without_memory_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation_of(flush_all), 0);
    for (int i = 0; i < 2; i++) {
        struct cache cache;
        cache_open_default(&cache);
        assert_int_equal(cache_set(&cache, "k", "v", 0), LARDER_OK);
        fails_at = 0, fails_on = true;
        assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_NO_MEMORY);
        fails_at = -1, fails_on = false;
        cache_assert_value(&cache, "k", "v");
        assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
        assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_MISS);
        cache_close(&cache);
    }
}

static enum larder_status set_numbered(struct cache *cache, int number)
{
    char key[32];
    snprintf(key, sizeof(key), "key%d", number);
    return set_sized(cache, key, number % 100 == 0 ? 9000 : 60, 1 + number % 7 * 10000);
}

/* Under a failure segments, index, ghost and pages can't grow. What was stored is there, or was
 * evicted; nothing is torn. */
static void what_can_not_grow_stays_whole(void **state)
{
    enum { KEYS = 4000 };
    (void)state;
    for (int failure = 0; failure < 40; failure++) {
        struct cache cache;
        int refused = 0;
        uint64_t mapped_before = mapped_bytes, heap_before = heap_bytes;
        cache_open_bytes(&cache, 2000000);
        fails_at = failure;
        for (int i = 0; i < KEYS; i++) {
            enum larder_status status = set_numbered(&cache, i);
            refused += status == LARDER_NO_MEMORY;
            assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY);
            assert_true(cache_stat(&cache, "bytes") <= 2000000);
        }
        fails_at = -1;
        assert_true(refused <= 1);
        assert_int_equal(cache_stat(&cache, "items") + cache_stat(&cache, "evictions"),
                         (uint64_t)(KEYS - refused));
        cache_close(&cache);
        assert_int_equal(heap_bytes, heap_before);
        assert_int_equal(mapped_bytes, mapped_before);
    }
}

/* As long as there is no memory at all: what is there stays, and what it has is used. */
static void without_memory_the_cache_goes_on_with_what_it_has(void **state)
{
    struct cache cache;
    int stored = 0;
    (void)state;
    cache_open_bytes(&cache, 2000000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(set_numbered(&cache, i), LARDER_OK);
    fails_at = 0, fails_on = true;
    for (int i = 1000; i < 3000; i++) {
        enum larder_status status = set_numbered(&cache, i);
        assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY);
        stored += status == LARDER_OK;
    }
    fails_at = -1, fails_on = false;
    assert_true(stored > 0);
    for (int i = 3000; i < 4000; i++)
        assert_int_equal(set_numbered(&cache, i), LARDER_OK);
    cache_close(&cache);
}

/* What the heap gave, measured by the heap, is within what the cache says that it takes. */
static void the_heap_gives_less_than_what_is_counted(void **state)
{
    struct cache cache;
    unsigned seed = 4711;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    uint64_t before = heap_bytes;
    cache_open_bytes(&cache, 300000);
    for (int i = 0; i < 50000; i++) {
        char key[32], name[32];
        struct cache seen;
        snprintf(key, sizeof(key), "key%d", rand() % 3000);
        snprintf(name, sizeof(name), "name%d", rand() % 20);
        cache_in(&seen, &cache, name);
        assert_int_equal(set_sized(rand() % 2 ? &seen : &cache, key, (size_t)rand() % 1200,
                                   rand() % 4 == 0 ? 9 : 0),
                         LARDER_OK);
        manual_clock_advance(&cache.clock, 1);
        assert_true(cache_stat(&cache, "bytes") <= 300000);
        /* beside the segments, which are pages and not of the heap */
        assert_true(heap_bytes - before + cache_stat(&cache, "segments") * 4096 <=
                    cache_stat(&cache, "bytes") + 1024);
    }
    cache_close(&cache);
    assert_int_equal(heap_bytes, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_that_fails_leaves_nothing),
        cmocka_unit_test(every_failed_allocation_is_no_memory_and_changes_nothing),
        cmocka_unit_test(a_flush_without_memory_changes_nothing),
        cmocka_unit_test(what_can_not_grow_stays_whole),
        cmocka_unit_test(without_memory_the_cache_goes_on_with_what_it_has),
        cmocka_unit_test(the_heap_gives_less_than_what_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
