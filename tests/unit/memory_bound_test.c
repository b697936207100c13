/* memory: the byte bound, which holds at every instant, and eviction under it. */
#include "memory_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SMALLEST LARDER_MEMORY_BYTES_MIN

static void assert_within(struct cache *cache)
{
    assert_true(cache_stat(cache, "bytes") <= cache_stat(cache, "max_bytes"));
}

/* What stays when nothing is in a cache: what it took when it was opened, headers of segments and
 * overflow pages of the index that were used once, and the ghost of what was evicted. */
static void assert_emptied(struct cache *cache, uint64_t empty)
{
    uint64_t pages = cache_stat(cache, "max_bytes") / 4096;
    assert_int_equal(cache_stat(cache, "items"), 0);
    assert_int_equal(cache_stat(cache, "segments"), 0);
    assert_int_equal(cache_stat(cache, "large_bytes"), 0);
    assert_true(cache_stat(cache, "bytes") <=
                empty + cache_stat(cache, "ghost_bytes") + pages * 80 + 4096 * 4);
}

static void key_of(char key[32], int number)
{
    snprintf(key, 32, "key%d", number);
}

static void release(struct larder_value *value)
{
    if (value->owner != NULL)
        value->owner->release(value->owner);
    value->owner = NULL;
}

/* Entries of 100 bytes. How many pages the index takes from the segments depends on the hash's seed
 * and on what was stored when: up to two segments of 33 entries were seen between two fillings. */
enum { SEGMENTS_OF_A_SEED = 3 * 33 };

static void open_without_eviction(struct cache *cache)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    options.max_bytes = SMALLEST;
    options.evict = 0;
    cache_open(cache, &options);
}

/* Stores until one is refused. @return how many took */
static int fill_up(struct cache *cache, size_t size, int64_t ttl_ms)
{
    char key[32];
    for (int i = 0; i < 100000; i++) {
        key_of(key, i);
        enum larder_status status = cache_set_bytes(cache, key, 'f', size, ttl_ms);
        if (status != LARDER_OK) {
            assert_int_equal(status, LARDER_NO_MEMORY);
            return i;
        }
    }
    fail_msg("never full");
    return 0;
}

static void fill_up_evicting(struct cache *cache)
{
    char key[32];
    for (int i = 0; i < 3000; i++) {
        key_of(key, i);
        assert_int_equal(cache_set_bytes(cache, key, 'f', 100, 0), LARDER_OK);
    }
}

/* One random call. Sizes go to 64 KiB, one in ten over a page. */
static void one_call(struct cache *cache, struct larder_value *views, int view_count)
{
    char key[32];
    size_t size = (size_t)rand() % (rand() % 10 == 0 ? 65536 : 600);
    int number = rand() % 1200;
    key_of(key, number);
    switch (rand() % 8) {
    case 0: {
        struct larder_value *view = &views[rand() % view_count];
        release(view);
        (void)cache_get(cache, key, view);
        break;
    }
    case 1:
        (void)cache_delete(cache, key, 0);
        break;
    case 2:
        (void)cache_store(cache, LARDER_APPEND, key, "more and more", 0);
        break;
    case 3: {
        struct larder_lease lease;
        (void)cache_lease(cache, key, 50, &lease);
        break;
    }
    default: {
        enum larder_status status =
            cache_set_bytes(cache, key, number, size, rand() % 3 == 0 ? rand() % 5000 : 0);
        assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY ||
                    status == LARDER_TOO_LARGE);
    }
    }
    manual_clock_advance(&cache->clock, (uint64_t)rand() % 20);
}

static void random_calls_stay_within_the_bound(void **state)
{
    enum { VIEWS = 6, CALLS = 30000 };
    static const uint64_t bounds[] = {SMALLEST, SMALLEST + 1, 300000, 2200000};
    unsigned seed = 77;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct cache cache;
        struct larder_value views[VIEWS];
        memset(views, 0, sizeof(views));
        cache_open_bytes(&cache, bounds[i]);
        uint64_t empty = cache_stat(&cache, "bytes");
        for (int j = 0; j < CALLS; j++) {
            one_call(&cache, views, VIEWS);
            assert_within(&cache);
        }
        assert_true(cache_stat(&cache, "evictions") > 0);
        for (int j = 0; j < VIEWS; j++)
            release(&views[j]);
        assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
        assert_emptied(&cache, empty);
        cache_close(&cache);
    }
}

static void the_longest_value_fits_and_a_longer_one_does_not(void **state)
{
    static const uint64_t bounds[] = {SMALLEST, 300000, 3000000, 67108864};
    (void)state;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct cache cache;
        cache_open_bytes(&cache, bounds[i]);
        size_t longest = (size_t)cache.scope.ops->traits(cache.scope.self)->value_max;
        assert_true(longest > bounds[i] / 2);
        assert_int_equal(cache_set_bytes(&cache, "other", 'o', 100, 0), LARDER_OK);
        assert_int_equal(cache_set_bytes(&cache, "k", 'k', longest - 1, 0), LARDER_OK);
        assert_int_equal(cache_set_bytes(&cache, "k", 'k', longest, 0), LARDER_OK);
        assert_int_equal(cache_set_bytes(&cache, "k", 'k', longest + 1, 0), LARDER_TOO_LARGE);
        assert_int_equal(cache_store(&cache, LARDER_APPEND, "k", "x", 0), LARDER_TOO_LARGE);
        struct larder_info info = {0};
        assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
        assert_int_equal(info.length, longest);
        /* Old and new do not fit together: a set gives the old one up, what depends on it can't. */
        char *bytes = calloc(1, longest);
        struct larder_write write = larder_write_of(larder_bytes(bytes, longest), 0);
        uint64_t version = 0;
        write.version = info.version;
        assert_int_equal(
            cache.scope.ops->store(&cache.scope, LARDER_CAS, larder_text("k"), &write, &version),
            LARDER_NO_MEMORY);
        assert_int_equal(cache.scope.ops->store(&cache.scope, LARDER_REPLACE, larder_text("k"),
                                                &write, &version),
                         LARDER_NO_MEMORY);
        assert_int_equal(cache_version(&cache, "k"), info.version);
        free(bytes);
        assert_within(&cache);
        assert_int_equal(cache_set_bytes(&cache, "another", 'a', longest, 0), LARDER_OK);
        assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_MISS);
        cache_close(&cache);
    }
}

static void a_refused_store_evicts_nothing(void **state)
{
    struct cache cache;
    char key[32];
    (void)state;
    cache_open_bytes(&cache, SMALLEST);
    for (int i = 0; i < 3000; i++) {
        key_of(key, i);
        assert_int_equal(cache_set_bytes(&cache, key, 'v', 100, 0), LARDER_OK);
    }
    uint64_t evictions = cache_stat(&cache, "evictions"), items = cache_stat(&cache, "items");
    assert_true(evictions > 0);
    char large[20001];
    memset(large, 'l', 20000);
    large[20000] = '\0';
    assert_int_equal(cache_store(&cache, LARDER_ADD, key, large, 0), LARDER_EXISTS);
    assert_int_equal(cache_store(&cache, LARDER_REPLACE, "none", large, 0), LARDER_MISS);
    assert_int_equal(cache_cas(&cache, key, large, 1), LARDER_CONFLICT);
    assert_int_equal(cache_set_bytes(&cache, key, 'v', SMALLEST, 0), LARDER_TOO_LARGE);
    assert_int_equal(cache_stat(&cache, "evictions"), evictions);
    assert_int_equal(cache_stat(&cache, "items"), items);
    cache_close(&cache);
}

static void with_eviction_off_a_full_cache_refuses(void **state)
{
    struct cache cache;
    char key[32];
    (void)state;
    open_without_eviction(&cache);
    int stored = fill_up(&cache, 100, 0);
    assert_true(stored > 100);
    for (int i = 0; i < stored; i++) {
        key_of(key, i);
        assert_int_equal(cache_peek(&cache, key, NULL), LARDER_OK);
    }
    assert_int_equal(cache_stat(&cache, "evictions"), 0);
    assert_int_equal(cache_delete(&cache, "key3", 0), LARDER_OK);
    assert_int_equal(cache_set_bytes(&cache, "new", 'n', 100, 0), LARDER_OK);
    /* What is there can be overwritten, in exchange for its older self. */
    assert_int_equal(cache_set_bytes(&cache, "key5", 'n', 100, 0), LARDER_OK);
    assert_within(&cache);
    cache_close(&cache);
}

static void a_full_cache_can_be_flushed(void **state)
{
    struct cache cache;
    (void)state;
    open_without_eviction(&cache);
    int stored = fill_up(&cache, 100, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
        assert_within(&cache);
        assert_int_equal(cache_stat(&cache, "items"), 0);
        int again = fill_up(&cache, 100, 0);
        assert_true(again >= stored - SEGMENTS_OF_A_SEED && again <= stored + SEGMENTS_OF_A_SEED);
    }
    cache_close(&cache);
}

static void with_eviction_off_what_expired_makes_room(void **state)
{
    struct cache cache;
    (void)state;
    open_without_eviction(&cache);
    int stored = fill_up(&cache, 100, 1000);
    assert_int_equal(cache_set_bytes(&cache, "more", 'm', 100, 0), LARDER_NO_MEMORY);
    manual_clock_advance(&cache.clock, 1000); /* its bucket is not past yet */
    assert_int_equal(cache_set_bytes(&cache, "more", 'm', 100, 0), LARDER_OK);
    assert_true(fill_up(&cache, 100, 0) >= stored - SEGMENTS_OF_A_SEED);
    cache_close(&cache);
}

static void a_store_that_finds_no_room_leaves_what_was_there(void **state)
{
    struct cache cache;
    struct larder_value views[3];
    (void)state;
    cache_open_bytes(&cache, SMALLEST);
    assert_int_equal(cache_set_bytes(&cache, "k", 'k', 100, 0), LARDER_OK);
    for (int i = 0; i < 3; i++) {
        char key[32];
        key_of(key, i);
        assert_int_equal(cache_set_bytes(&cache, key, 'v', 60000, 0), LARDER_OK);
        assert_int_equal(cache_get(&cache, key, &views[i]), LARDER_OK);
    }
    assert_int_equal(cache_set_bytes(&cache, "k", 'n', 120000, 0), LARDER_NO_MEMORY);
    struct larder_info info = {0};
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.length, 100);
    for (int i = 0; i < 3; i++)
        release(&views[i]);
    assert_int_equal(cache_set_bytes(&cache, "k", 'n', 120000, 0), LARDER_OK);
    cache_close(&cache);
}

static void a_view_outlives_the_eviction_of_its_entry(void **state)
{
    struct cache cache;
    struct larder_value small, large;
    char key[32];
    (void)state;
    cache_open_bytes(&cache, SMALLEST);
    assert_int_equal(cache_set_bytes(&cache, "small", 's', 50, 0), LARDER_OK);
    assert_int_equal(cache_set_bytes(&cache, "large", 'l', 9000, 0), LARDER_OK);
    assert_int_equal(cache_get(&cache, "small", &small), LARDER_OK);
    assert_int_equal(cache_get(&cache, "large", &large), LARDER_OK);
    for (int i = 0; i < 2000; i++) {
        key_of(key, i);
        assert_int_equal(cache_set_bytes(&cache, key, 'x', 200, 0), LARDER_OK);
        assert_int_equal(cache_peek(&cache, key, NULL), LARDER_OK); /* drives the hand round */
        assert_within(&cache);
    }
    assert_int_equal(cache_peek(&cache, "small", NULL), LARDER_MISS);
    for (size_t i = 0; i < 9000; i++)
        assert_int_equal(((const char *)large.bytes.data)[i], 'l');
    assert_int_equal(((const char *)small.bytes.data)[49], 's');
    release(&small);
    release(&large);
    cache_close(&cache);
}

static void what_is_read_outlives_a_scan(void **state)
{
    struct cache cache;
    char key[32];
    int kept = 0;
    (void)state;
    cache_open_bytes(&cache, 1000000);
    for (int i = 0; i < 200; i++) {
        key_of(key, i);
        assert_int_equal(cache_set_bytes(&cache, key, 'h', 100, 0), LARDER_OK);
        assert_int_equal(cache_peek(&cache, key, NULL), LARDER_OK);
    }
    for (int i = 0; i < 10000; i++) { /* more than fits */
        char scanned[32];
        snprintf(scanned, sizeof(scanned), "scan%d", i);
        assert_int_equal(cache_set_bytes(&cache, scanned, 's', 100, 0), LARDER_OK);
        key_of(key, i % 200);
        (void)cache_peek(&cache, key, NULL);
    }
    for (int i = 0; i < 200; i++) {
        key_of(key, i);
        kept += cache_peek(&cache, key, NULL) == LARDER_OK;
    }
    assert_true(cache_stat(&cache, "evictions") > 1000);
    assert_true(kept >= 195);
    cache_close(&cache);
}

extern const struct larder_backend larder_memory_backend;

static const struct larder_option *option_named(const char *name)
{
    const struct larder_option *option = larder_memory_backend.options;
    while (strcmp(option->name, name) != 0)
        option++;
    return option;
}

/* The smallest cache with the most buckets, seen in a namespace with the longest name. */
static void open_tightest(struct cache *cache, struct cache *seen)
{
    static char name[LARDER_NAMESPACE_BYTES_MAX + 1];
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    memset(name, 'n', sizeof(name) - 1);
    options.max_bytes = LARDER_MEMORY_BYTES_MIN;
    options.buckets = option_named("buckets")->largest;
    cache_open(cache, &options);
    cache_in(seen, cache, name);
}

static enum larder_status store_sized(struct cache *cache, size_t key_length, size_t value_length)
{
    static char bytes[SMALLEST];
    struct larder_write write = larder_write_of(larder_bytes(bytes, value_length), 0);
    uint64_t version = 0;
    return cache->scope.ops->store(&cache->scope, LARDER_SET, larder_bytes(bytes, key_length),
                                   &write, &version);
}

static void the_longest_key_fits_the_smallest_cache(void **state)
{
    static char key[LARDER_KEY_BYTES_MAX];
    struct cache cache, seen;
    struct larder_info info = {0};
    (void)state;
    open_tightest(&cache, &seen);
    assert_int_equal(cache_stat(&cache, "max_bytes"), SMALLEST);
    assert_int_equal(store_sized(&seen, sizeof(key), 1), LARDER_OK);
    assert_int_equal(
        seen.scope.ops->read(&seen.scope, larder_bytes(key, sizeof(key)), key, 1, &info),
        LARDER_OK);
    assert_int_equal(info.length, 1);
    cache_close(&cache);
}

static void a_key_over_256_bytes_takes_from_the_longest_value(void **state)
{
    struct cache cache, seen;
    (void)state;
    open_tightest(&cache, &seen);
    size_t longest = (size_t)cache.scope.ops->traits(cache.scope.self)->value_max;
    size_t further = LARDER_KEY_BYTES_MAX - 256;
    assert_int_equal(store_sized(&seen, 256, longest), LARDER_OK);
    assert_int_equal(store_sized(&seen, 256 + further, longest - further), LARDER_OK);
    assert_int_equal(store_sized(&seen, 256 + further, longest), LARDER_TOO_LARGE);
    cache_close(&cache);
}

#define LONG_BYTES ((size_t)600 << 10) /* two of them are more than 1 MiB */
#define MINUTE_MS 60000

/* A long value, and the lease of it that outlives it. */
static struct larder_lease lease_of_a_long_value(struct cache *cache)
{
    struct larder_lease lease;
    cache_open_bytes(cache, UINT64_C(1) << 20);
    assert_int_equal(cache_set_bytes(cache, "k", 'a', LONG_BYTES, 1000), LARDER_OK);
    cache_call(cache)->recache_ms = 2000;
    assert_int_equal(cache_lease(cache, "k", 10 * MINUTE_MS, &lease), LARDER_OK);
    cache_plain(cache);
    assert_int_not_equal(lease.token, 0);
    manual_clock_advance(&cache->clock, 1000);
    return lease;
}

static void what_has_ended_makes_room_for_what_its_lease_fills_in(void **state)
{
    static char value[LONG_BYTES + 1];
    struct larder_value filled;
    struct cache cache;
    (void)state;
    struct larder_lease lease = lease_of_a_long_value(&cache);
    memset(value, 'b', LONG_BYTES);
    assert_int_equal(cache_fill(&cache, "k", lease, value), LARDER_OK);
    assert_int_equal(cache_get(&cache, "k", &filled), LARDER_OK);
    assert_int_equal(filled.bytes.length, LONG_BYTES);
    assert_memory_equal(filled.bytes.data, value, LONG_BYTES);
    filled.owner->release(filled.owner);
    cache_close(&cache);
}

static void a_lease_does_not_keep_the_memory_of_what_has_ended(void **state)
{
    struct cache cache;
    uint64_t next_ms;
    (void)state;
    struct larder_lease lease = lease_of_a_long_value(&cache);
    manual_clock_advance(&cache.clock, MINUTE_MS);
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 10000, &next_ms), LARDER_OK);
    assert_int_equal(cache_stat(&cache, "large_bytes"), 0);
    assert_int_equal(cache_fill(&cache, "k", lease, "b"), LARDER_OK);
    cache_assert_value(&cache, "k", "b");
    cache_close(&cache);
}

/* A lease of an entry whose key is too long for a segment, and whose value has ended. */
static void a_lease_of_a_long_key_outlives_its_value(void **state)
{
    static char key[5001];
    struct cache cache;
    struct larder_lease lease;
    uint64_t next_ms;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(1) << 20);
    memset(key, 'k', sizeof(key) - 1);
    assert_int_equal(cache_set(&cache, key, "value", 1000), LARDER_OK);
    cache_call(&cache)->recache_ms = 2000;
    assert_int_equal(cache_lease(&cache, key, 10 * MINUTE_MS, &lease), LARDER_OK);
    cache_plain(&cache);
    manual_clock_advance(&cache.clock, MINUTE_MS + 1000);
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 10000, &next_ms), LARDER_OK);
    assert_int_equal(cache_peek(&cache, key, NULL), LARDER_MISS);
    assert_int_equal(cache_fill(&cache, key, lease, "b"), LARDER_OK);
    cache_assert_value(&cache, key, "b");
    cache_close(&cache);
}

/* Of a full cache: what is lent takes no more than what is filled in. */
static void leases_of_long_keys_can_be_filled(void **state)
{
    static char key[2001];
    struct cache cache;
    struct larder_lease lease;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(1) << 20);
    for (int i = 0; i < 1000; i++) {
        memset(key, 'k', sizeof(key) - 1);
        key[snprintf(key, sizeof(key), "%d", i)] = '-';
        assert_int_equal(cache_lease(&cache, key, MINUTE_MS, &lease), LARDER_MISS);
        assert_int_equal(cache_fill(&cache, key, lease, "a value"), LARDER_OK);
    }
    cache_close(&cache);
}

static void names_of_namespaces_are_within_the_bound(void **state)
{
    static const int evict[] = {1, 0};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
        struct cache cache, seen;
        char name[32];
        int taken = 0;
        enum larder_status status = LARDER_OK;
        options.max_bytes = SMALLEST;
        options.evict = (uint64_t)evict[i];
        cache_open(&cache, &options);
        uint64_t empty = cache_stat(&cache, "bytes");
        if (evict[i])
            fill_up_evicting(&cache);
        for (; status == LARDER_OK && taken < 10000; taken++) {
            snprintf(name, sizeof(name), "name%d", taken);
            cache_in(&seen, &cache, name);
            status = cache_set(&seen, "k", "v", 0);
            assert_within(&cache);
        }
        assert_int_equal(status, LARDER_NO_MEMORY); /* names are never given up */
        assert_true(taken > 500 && taken < 10000);
        assert_true(cache_stat(&cache, "bytes") > empty + 100000);
        cache_close(&cache);
    }
}

static void with_eviction_off_a_flushed_namespace_makes_room(void **state)
{
    struct cache cache, seen;
    (void)state;
    open_without_eviction(&cache);
    cache_in(&seen, &cache, "flushed");
    int stored = fill_up(&seen, 100, 0);
    assert_int_equal(cache_set_bytes(&cache, "more", 'm', 100, 0), LARDER_NO_MEMORY);
    assert_int_equal(seen.scope.ops->flush(&seen.scope), LARDER_OK);
    int again = fill_up(&cache, 100, 0);
    assert_true(again >= stored - SEGMENTS_OF_A_SEED);
    assert_within(&cache);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_calls_stay_within_the_bound),
        cmocka_unit_test(the_longest_value_fits_and_a_longer_one_does_not),
        cmocka_unit_test(a_refused_store_evicts_nothing),
        cmocka_unit_test(with_eviction_off_a_full_cache_refuses),
        cmocka_unit_test(a_full_cache_can_be_flushed),
        cmocka_unit_test(with_eviction_off_what_expired_makes_room),
        cmocka_unit_test(a_store_that_finds_no_room_leaves_what_was_there),
        cmocka_unit_test(a_view_outlives_the_eviction_of_its_entry),
        cmocka_unit_test(what_is_read_outlives_a_scan),
        cmocka_unit_test(what_has_ended_makes_room_for_what_its_lease_fills_in),
        cmocka_unit_test(a_lease_does_not_keep_the_memory_of_what_has_ended),
        cmocka_unit_test(a_lease_of_a_long_key_outlives_its_value),
        cmocka_unit_test(leases_of_long_keys_can_be_filled),
        cmocka_unit_test(names_of_namespaces_are_within_the_bound),
        cmocka_unit_test(with_eviction_off_a_flushed_namespace_makes_room),
        cmocka_unit_test(the_longest_key_fits_the_smallest_cache),
        cmocka_unit_test(a_key_over_256_bytes_takes_from_the_longest_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
