/* memory: what is stored again takes the place of what is dead. */
#include "memory_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dice.h"

#define ENTRIES 20000u
#define LARGE_ENTRIES 200000u
#define OVERWRITES_PER_ENTRY 10u
#define OVERWRITES (OVERWRITES_PER_ENTRY * ENTRIES)

static const char *key_of(unsigned number)
{
    static char key[48];
    snprintf(key, sizeof(key), "a key of some length, %u", number);
    return key;
}

static void set(struct cache *cache, unsigned number, size_t length, int64_t ttl_ms)
{
    assert_int_equal(
        cache_set_bytes(cache, key_of(number), (int)(number % 26) + 'a', length, ttl_ms),
        LARDER_OK);
}

static void fill(struct cache *cache, unsigned entries, int64_t ttl_ms)
{
    for (unsigned i = 0; i < entries; i++)
        set(cache, i, 100, ttl_ms);
}

/* Of all that was stored over something. */
static double moved_share(struct cache *cache, unsigned entries, size_t least, size_t most,
                          int64_t ttl_ms)
{
    struct dice dice = {4711};
    unsigned overwrites = OVERWRITES_PER_ENTRY * entries;
    fill(cache, entries, ttl_ms);
    uint64_t before = cache_stat(cache, "moves");
    for (unsigned i = 0; i < overwrites; i++)
        set(cache, (unsigned)roll(&dice, entries), least + roll(&dice, most - least + 1), ttl_ms);
    return (double)(cache_stat(cache, "moves") - before) / overwrites;
}

static void overwriting_moves_nothing_and_takes_no_memory(void **state)
{
    (void)state;
    for (int64_t ttl_ms = 0; ttl_ms <= 3600000; ttl_ms += 3600000) {
        struct cache cache;
        cache_open_bytes(&cache, UINT64_C(64) << 20);
        fill(&cache, ENTRIES, ttl_ms);
        uint64_t loaded = cache_stat(&cache, "bytes");
        double share = moved_share(&cache, ENTRIES, 100, 100, ttl_ms);
        print_message("%.4f of them were moved\n", share);
        assert_true(share < 0.01);
        assert_true(cache_stat(&cache, "bytes") < loaded + loaded / 10);
        cache_close(&cache);
    }
}

/* What is stored again looks at nothing but its entry; the rest is done now and then. */
static void overwriting_lets_the_index_shrink(void **state)
{
    struct cache cache;
    unsigned kept = 200, overwrites = 0;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(64) << 20);
    fill(&cache, kept, 0);
    for (unsigned i = kept; i < LARGE_ENTRIES; i++)
        set(&cache, i, 100, 1000);
    for (unsigned i = 0; i < 100000; i++) /* until there are places for all */
        set(&cache, i % kept, 100, 0);
    uint64_t grown = cache_stat(&cache, "index_bytes");
    manual_clock_advance(&cache.clock, 62000); /* an interval and a second */
    while (cache_stat(&cache, "index_bytes") > grown / 4 && overwrites++ < 2000000)
        set(&cache, overwrites % kept, 100, 0);
    print_message("after %u overwrites\n", overwrites);
    assert_true(cache_stat(&cache, "index_bytes") <= grown / 4);
    cache_close(&cache);
}

#define WRITERS 4u

struct writer {
    pthread_t thread;
    struct cache *cache;
    uint64_t seed;
    unsigned entries;
};

static void *overwrite(void *context)
{
    struct writer *writer = context;
    struct dice dice = {writer->seed};
    char key[48];
    for (unsigned i = 0; i < OVERWRITES_PER_ENTRY * writer->entries / WRITERS; i++) {
        snprintf(key, sizeof(key), "a key of some length, %u",
                 (unsigned)roll(&dice, writer->entries));
        if (cache_set_bytes(writer->cache, key, 'v', 100, 0) != LARDER_OK)
            return writer;
    }
    return NULL;
}

/* Of 2 MiB, of which each writer has one open: there lie many places that nobody can take yet. They
 * are not to lie in the way of the others. */
static void in_large_segments_of_several_writers_as_well(void **state)
{
    struct writer writers[WRITERS];
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(512) << 20);
    fill(&cache, LARGE_ENTRIES, 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.cache = &cache, .seed = i + 1, .entries = LARGE_ENTRIES};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, overwrite, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        void *failed;
        pthread_join(writers[i].thread, &failed);
        assert_null(failed);
    }
    double share = (double)cache_stat(&cache, "moves") / (OVERWRITES_PER_ENTRY * LARGE_ENTRIES);
    print_message("%.4f of them were moved\n", share);
    assert_true(share < 0.1);
    cache_close(&cache);
}

/* Each finds a place that one as long left behind, nearly always. */
static void values_of_many_lengths_find_places_too(void **state)
{
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(64) << 20);
    assert_true(moved_share(&cache, ENTRIES, 80, 160, 0) < 0.5); /* without that it is about two */
    cache_close(&cache);
}

/* Entries of several lives lie in one segment then; each ends at its own time. */
static void an_entry_in_anothers_place_ends_at_its_own_time(void **state)
{
    struct cache cache;
    uint64_t next_ms;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(64) << 20);
    fill(&cache, ENTRIES, 10000);
    for (unsigned round = 0; round < 4; round++)
        for (unsigned i = 0; i < ENTRIES; i++) /* shorter, longer, and never */
            set(&cache, i, 100, i % 3 == 0 ? 5000 : i % 3 == 1 ? 20000 : 0);
    manual_clock_advance(&cache.clock, 4999);
    assert_int_equal(cache_stat(&cache, "items"), ENTRIES);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(cache_peek(&cache, key_of(i), NULL), LARDER_OK);
    manual_clock_advance(&cache.clock, 1);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(cache_peek(&cache, key_of(i), NULL), i % 3 == 0 ? LARDER_MISS : LARDER_OK);
    manual_clock_advance(&cache.clock, 15000);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(cache_peek(&cache, key_of(i), NULL), i % 3 != 2 ? LARDER_MISS : LARDER_OK);
    manual_clock_advance(&cache.clock, 61000); /* an interval and a second */
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 10000, &next_ms), LARDER_OK);
    assert_int_equal(cache_stat(&cache, "items"), ENTRIES / 3);
    cache_close(&cache);
}

/* Long values have places as small as any: many of them are not to lie in one segment. */
static void long_values_stored_again_are_evicted_one_by_one(void **state)
{
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, UINT64_C(64) << 20);
    for (unsigned i = 0; i < 4 * 450; i++)
        set(&cache, i % 450, 100000, 0);
    uint64_t before = cache_stat(&cache, "bytes");
    for (unsigned i = 0; cache_stat(&cache, "evictions") == 0; i++)
        set(&cache, 1000 + i, 100000, 0);
    assert_true(cache_stat(&cache, "bytes") > before);
    cache_close(&cache);
}

/* Where nothing is evicted, places that wait are not in the way of what is new. */
static void with_eviction_off_places_make_room(void **state)
{
    static const size_t length = 4000;
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct cache cache;
    unsigned count = 0;
    (void)state;
    options.max_bytes = UINT64_C(16) << 20;
    options.evict = 0;
    cache_open(&cache, &options);
    for (enum larder_status status = LARDER_OK; status == LARDER_OK; count++) {
        status = cache_set_bytes(&cache, key_of(count), 'v', length, 0);
        for (unsigned i = 0; status == LARDER_OK && i < 8; i++) {
            unsigned number = count * 7919u * (i + 1) % (count + 1);
            status = cache_set_bytes(&cache, key_of(number), 'v', length, 0);
        }
    }
    print_message("%u entries of %zu bytes\n", count, length);
    assert_true(count * length > options.max_bytes / 10 * 9);
    cache_close(&cache);
}

/* At the bound: places go with the segments that are evicted, and values are what was stored. */
static void at_the_bound_what_is_read_is_what_was_stored(void **state)
{
    static unsigned lengths[ENTRIES];
    struct cache cache;
    struct dice dice = {42};
    (void)state;
    cache_open_bytes(&cache, UINT64_C(2) << 20);
    for (unsigned i = 0; i < OVERWRITES; i++) {
        unsigned number = (unsigned)roll(&dice, ENTRIES / 2);
        char buffer[256], wanted[256];
        struct larder_info info = {0};
        enum larder_status status = cache.scope.ops->read(&cache.scope, larder_text(key_of(number)),
                                                          buffer, sizeof(buffer), &info);
        if (status == LARDER_OK) {
            memset(wanted, (int)(number % 26) + 'a', sizeof(wanted));
            assert_int_equal(info.length, lengths[number]);
            assert_memory_equal(buffer, wanted, info.length);
        }
        if (i % 1000 == 0)
            assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
        lengths[number] = 60 + (unsigned)roll(&dice, 4) * 20;
        set(&cache, number, lengths[number], 0);
        assert_int_equal(cache_peek(&cache, key_of(number), NULL), LARDER_OK);
        assert_true(cache_stat(&cache, "bytes") <= UINT64_C(2) << 20);
    }
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overwriting_moves_nothing_and_takes_no_memory),
        cmocka_unit_test(overwriting_lets_the_index_shrink),
        cmocka_unit_test(in_large_segments_of_several_writers_as_well),
        cmocka_unit_test(values_of_many_lengths_find_places_too),
        cmocka_unit_test(an_entry_in_anothers_place_ends_at_its_own_time),
        cmocka_unit_test(long_values_stored_again_are_evicted_one_by_one),
        cmocka_unit_test(with_eviction_off_places_make_room),
        cmocka_unit_test(at_the_bound_what_is_read_is_what_was_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
