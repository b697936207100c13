/* memory when allocation number n fails, for n = 0, 1, 2 ... until none does. The linker turns the
 * library's allocations into those below. */
#include "memory_fixture.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const struct larder_backend larder_memory_backend;

static long fails_at = -1; /* allocations to go until the one that fails; below 0: none */

static int fails_now(void)
{
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
    struct larder_host host = {.version = LARDER_BACKEND_VERSION,
                               .size = sizeof(host),
                               .clock = manual_clock_of(&clock)};
    for (; status != LARDER_OK; failures++) {
        void *self = NULL;
        fails_at = failures;
        status = larder_memory_backend.open(&host, &options, NULL, &self);
        fails_at = -1;
        if (status == LARDER_OK)
            larder_memory_backend.ops->close(self);
        else
            assert_int_equal(status, LARDER_NO_MEMORY);
    }
    assert_int_equal(failures, 4); /* three allocations, and the time when none failed */
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

/* Enough to make every table grow. */
static enum larder_status fill(struct cache *cache)
{
    char key[32];
    enum larder_status status = LARDER_OK;
    for (int i = 0; i < 400 && status == LARDER_OK; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        status = cache_set(cache, key, "v", 1000);
    }
    return status;
}

static int fail_each_allocation_of(step_fn *step)
{
    enum larder_status status = LARDER_NO_MEMORY;
    int failures = 0;
    for (; status != LARDER_OK; failures++) {
        struct cache cache;
        cache_open_bytes(&cache, 300000);
        uint64_t empty = cache_stat(&cache, "bytes");
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
        assert_int_equal(cache_stat(&cache, "bytes"), empty);
        cache_close(&cache);
    }
    return failures - 1;
}

static void every_failed_allocation_is_no_memory_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation_of(first_set), 1);
    assert_int_equal(fail_each_allocation_of(append), 1);
    assert_int_equal(fail_each_allocation_of(overwrite), 1);
    assert_int_equal(fail_each_allocation_of(count), 1);
    assert_int_equal(fail_each_allocation_of(get_small), 1);
}

static void a_failed_fill_leaves_the_lease_with_its_holder(void **state)
{
    struct cache cache;
    struct larder_lease lease;
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_lease(&cache, "k", 1000, &lease), LARDER_MISS);
    fails_at = 0;
    assert_int_equal(cache_fill(&cache, "k", lease, "v"), LARDER_NO_MEMORY);
    fails_at = -1;
    assert_int_equal(cache_fill(&cache, "k", lease, "v"), LARDER_OK);
    fails_at = 0;
    assert_int_equal(cache_lease(&cache, "other", 1000, &lease), LARDER_NO_MEMORY);
    fails_at = -1;
    assert_int_equal(lease.token, 0);
    cache_close(&cache);
}

static void an_index_that_cannot_grow_stays_whole(void **state)
{
    (void)state;
    /* 400 entries, and each doubling of the index from 32 buckets on */
    assert_true(fail_each_allocation_of(fill) > 400);
}

/* Not what the cache says it takes, but what the heap says. */
static void the_heap_never_gives_more_than_the_bound(void **state)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct cache cache;
    unsigned seed = 4711;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    options.max_bytes = 300000;
    uint64_t before = heap_bytes;
    cache_open(&cache, &options);
    for (int i = 0; i < 50000; i++) {
        char key[32], value[1200];
        size_t length = (size_t)rand() % sizeof(value);
        memset(value, 'v', length);
        struct larder_write write =
            larder_write_of(larder_bytes(value, length), rand() % 4 == 0 ? 1 + rand() % 99 : 0);
        uint64_t version = 0;
        snprintf(key, sizeof(key), "key%d", rand() % 3000);
        assert_int_equal(
            cache.scope.ops->store(&cache.scope, LARDER_SET, larder_text(key), &write, &version),
            LARDER_OK);
        manual_clock_advance(&cache.clock, 1);
        assert_true(heap_bytes - before <= options.max_bytes);
        assert_true(heap_bytes - before <= cache_stat(&cache, "bytes"));
    }
    assert_true(heap_bytes - before > options.max_bytes * 9 / 10);
    cache_close(&cache);
    assert_int_equal(heap_bytes, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_that_fails_leaves_nothing),
        cmocka_unit_test(every_failed_allocation_is_no_memory_and_changes_nothing),
        cmocka_unit_test(a_failed_fill_leaves_the_lease_with_its_holder),
        cmocka_unit_test(an_index_that_cannot_grow_stays_whole),
        cmocka_unit_test(the_heap_never_gives_more_than_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
