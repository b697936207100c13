/* memory: expiry, to the millisecond where it is read, and the sweep that gives memory back. */
#include "memory_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define INTERVAL_MS 1000u
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

static void open_with_buckets(struct cache *cache, uint64_t buckets, uint64_t interval_ms)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    options.buckets = buckets;
    options.bucket_interval_ms = interval_ms;
    cache_open(cache, &options);
}

static void set_numbered(struct cache *cache, int number, int64_t ttl_ms)
{
    char key[32];
    snprintf(key, sizeof(key), "key%d", number);
    assert_int_equal(cache_set(cache, key, "value", ttl_ms), LARDER_OK);
}

/* Calls that have nothing to do with what waits, over `milliseconds` of the clock. */
static void trickle(struct cache *cache, int calls, uint64_t milliseconds)
{
    for (int i = 0; i < calls; i++) {
        manual_clock_advance(&cache->clock, milliseconds / (uint64_t)calls);
        assert_int_equal(cache_peek(cache, "nobody", NULL), LARDER_MISS);
    }
}

static void an_entry_is_dead_at_its_expiry_and_not_before(void **state)
{
    static const int64_t ttls_ms[] = {1,     999,    1000,        1001,        59999,
                                      60000, 900000, 2 * HOUR_MS, 30 * DAY_MS, 3650 * DAY_MS};
    static const uint64_t buckets[] = {1, 2, 60, 4096};
    (void)state;
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        struct cache cache;
        open_with_buckets(&cache, buckets[i], INTERVAL_MS);
        for (size_t j = 0; j < sizeof(ttls_ms) / sizeof(ttls_ms[0]); j++) {
            assert_int_equal(cache_set(&cache, "k", "v", ttls_ms[j]), LARDER_OK);
            manual_clock_advance(&cache.clock, (uint64_t)ttls_ms[j] - 1);
            trickle(&cache, 50, 0);
            assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_OK);
            manual_clock_advance(&cache.clock, 1);
            assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_MISS);
            assert_int_equal(cache_store(&cache, LARDER_REPLACE, "k", "v", 0), LARDER_MISS);
            assert_int_equal(cache_store(&cache, LARDER_ADD, "k", "v", 1), LARDER_OK);
        }
        cache_close(&cache);
    }
}

static void a_ttl_past_the_end_of_time_is_for_ever(void **state)
{
    struct cache cache;
    struct larder_info info = {0};
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", INT64_MAX), LARDER_OK);
    manual_clock_advance(&cache.clock, UINT64_C(100) * 365 * (uint64_t)DAY_MS);
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, LARDER_TTL_FOREVER);
    cache_close(&cache);
}

static void the_ttl_left_is_rounded_up(void **state)
{
    struct cache cache;
    struct larder_info info = {0};
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", 2), LARDER_OK);
    atomic_fetch_add(&cache.clock.now_ns, 1);
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, 2);
    atomic_fetch_add(&cache.clock.now_ns, 1999998);
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, 1);
    cache_close(&cache);
}

static void touch_moves_the_expiry_both_ways(void **state)
{
    struct cache cache;
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", 1000), LARDER_OK);
    assert_int_equal(cache_touch(&cache, "k", HOUR_MS), LARDER_OK);
    manual_clock_advance(&cache.clock, (uint64_t)HOUR_MS - 1);
    trickle(&cache, 100, 0);
    assert_int_equal(cache_touch(&cache, "k", 10), LARDER_OK);
    manual_clock_advance(&cache.clock, 10);
    assert_int_equal(cache_touch(&cache, "k", 10), LARDER_MISS);
    assert_int_equal(cache_set(&cache, "k", "v", 1000), LARDER_OK);
    assert_int_equal(cache_touch(&cache, "k", LARDER_TTL_FOREVER), LARDER_OK);
    manual_clock_advance(&cache.clock, (uint64_t)(3650 * DAY_MS));
    trickle(&cache, 100, 0);
    assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_OK);
    cache_close(&cache);
}

#define EXPIRED 10000

static void expired_memory_is_back_within_an_interval_and_a_second(void **state)
{
    static const uint64_t buckets[] = {1, 3, 60};
    (void)state;
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        struct cache cache;
        open_with_buckets(&cache, buckets[i], INTERVAL_MS);
        for (int j = 0; j < EXPIRED; j++)
            set_numbered(&cache, j, 5000);
        manual_clock_advance(&cache.clock, 5000 + INTERVAL_MS);
        trickle(&cache, 500, 1000);
        assert_int_equal(cache_stat(&cache, "segments"), 0); /* not even a free one is kept */
        assert_int_equal(cache_stat(&cache, "items"), 0);
        assert_int_equal(cache_stat(&cache, "expirations"), EXPIRED);
        cache_close(&cache);
    }
}

static void what_expires_far_off_is_swept_in_its_time(void **state)
{
    static const int64_t ttls_ms[] = {HOUR_MS, 30 * DAY_MS, 3650 * DAY_MS};
    static const uint64_t buckets[] = {1, 60, 4096};
    (void)state;
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        struct cache cache;
        uint64_t now_ms = 0;
        open_with_buckets(&cache, buckets[i], INTERVAL_MS);
        for (int j = 0; j < 3; j++)
            set_numbered(&cache, j, ttls_ms[j]);
        for (int j = 0; j < 3; j++) {
            manual_clock_advance(&cache.clock, (uint64_t)ttls_ms[j] - 1 - now_ms);
            trickle(&cache, 1500, 0);
            assert_int_equal(cache_stat(&cache, "items"), 3 - j);
            manual_clock_advance(&cache.clock, 1 + INTERVAL_MS);
            trickle(&cache, 1500, 1000 * 1000 / 1000);
            assert_int_equal(cache_stat(&cache, "items"), 2 - j);
            now_ms = (uint64_t)ttls_ms[j] + INTERVAL_MS;
        }
        cache_close(&cache);
    }
}

/* The bug of the bucket cache that this one learned from: its sweep deleted by key. */
static void a_key_is_never_harmed_by_its_older_self(void **state)
{
    struct cache cache;
    (void)state;
    open_with_buckets(&cache, 60, INTERVAL_MS);
    assert_int_equal(cache_set(&cache, "longer", "old", 2000), LARDER_OK);
    assert_int_equal(cache_set(&cache, "longer", "new", HOUR_MS), LARDER_OK);
    assert_int_equal(cache_set(&cache, "for ever", "old", 2000), LARDER_OK);
    assert_int_equal(cache_set(&cache, "for ever", "new", LARDER_TTL_FOREVER), LARDER_OK);
    assert_int_equal(cache_set(&cache, "deleted", "old", 2000), LARDER_OK);
    assert_int_equal(cache_delete(&cache, "deleted", 0), LARDER_OK);
    assert_int_equal(cache_set(&cache, "deleted", "new", HOUR_MS), LARDER_OK);
    for (int i = 0; i < 200; i++) {
        manual_clock_advance(&cache.clock, INTERVAL_MS);
        trickle(&cache, 100, 0);
        cache_assert_value(&cache, "longer", "new");
        cache_assert_value(&cache, "for ever", "new");
        cache_assert_value(&cache, "deleted", "new");
    }
    cache_close(&cache);
}

/* Its other bug: every store left something behind in a list. */
static void storing_one_key_again_and_again_takes_no_memory(void **state)
{
    struct cache cache;
    (void)state;
    open_with_buckets(&cache, 60, INTERVAL_MS);
    set_numbered(&cache, 1, 5000);
    for (int i = 0; i < 100000; i++)
        set_numbered(&cache, 1, 1000 + i % 5000);
    /* A few segments: what is open for each time class, and the free ones that are kept. */
    assert_true(cache_stat(&cache, "segments") <= 16);
    assert_int_equal(cache_stat(&cache, "items"), 1);
    cache_close(&cache);
}

static void purge_sweeps_and_tells_when_to_come_again(void **state)
{
    struct cache cache;
    uint64_t next_ms = 0;
    (void)state;
    open_with_buckets(&cache, 60, INTERVAL_MS);
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 0, &next_ms), LARDER_OK);
    assert_int_equal(next_ms, UINT64_MAX);
    for (int i = 0; i < EXPIRED; i++)
        set_numbered(&cache, i, 2500);
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 10000, &next_ms), LARDER_OK);
    assert_true(next_ms >= 1 && next_ms <= 2500 + INTERVAL_MS);
    manual_clock_advance(&cache.clock, 2500 + INTERVAL_MS);
    assert_int_equal(cache.scope.ops->purge(&cache.scope, 10000, &next_ms), LARDER_OK);
    assert_int_equal(next_ms, UINT64_MAX);
    assert_int_equal(cache_stat(&cache, "items"), 0);
    cache_close(&cache);
}

/* ---- sliding ------------------------------------------------------------------------------- */

/* What a sweep has looked through in part goes as well. */
static void a_flush_amid_a_sweep_gives_everything_back(void **state)
{
    struct cache cache;
    (void)state;
    open_with_buckets(&cache, 60, INTERVAL_MS);
    for (int i = 0; i < 20000; i++)
        set_numbered(&cache, i, INTERVAL_MS);
    for (int i = 0; i < 5000 && cache_stat(&cache, "expirations") == 0; i++)
        trickle(&cache, 1, 1);
    assert_in_range(cache_stat(&cache, "items"), 1, 19999);
    assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_OK);
    assert_int_equal(cache_stat(&cache, "segments"), 0);
    cache_close(&cache);
}

static void open_sliding(struct cache *cache)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    options.bucket_interval_ms = INTERVAL_MS;
    options.sliding = 1;
    cache_open(cache, &options);
}

static enum larder_status hit_by_read(struct cache *cache)
{
    return cache_peek(cache, "k", NULL);
}

static enum larder_status hit_by_get(struct cache *cache)
{
    struct larder_value value;
    enum larder_status status = cache_get(cache, "k", &value);
    if (value.owner != NULL)
        value.owner->release(value.owner);
    return status;
}

static enum larder_status hit_by_many(struct cache *cache)
{
    struct larder_row row;
    memset(&row, 0, sizeof(row));
    row.key = larder_text("k");
    row.status = LARDER_ASKED;
    struct larder_rows rows = {&row, 1, sizeof(row)};
    cache->scope.ops->many(&cache->scope, LARDER_MANY_READ, LARDER_SET, &rows);
    return row.status == LARDER_PARTIAL ? LARDER_OK : row.status;
}

static enum larder_status hit_by_lease(struct cache *cache)
{
    struct larder_lease lease;
    return cache_lease(cache, "k", 10, &lease);
}

typedef enum larder_status hit_fn(struct cache *cache);
static hit_fn *const hits[] = {hit_by_read, hit_by_get, hit_by_many, hit_by_lease};
#define HITS (sizeof(hits) / sizeof(hits[0]))

static void a_hit_gives_a_sliding_entry_its_ttl_anew(void **state)
{
    static const int64_t ttls_ms[] = {8, 100, 4000, HOUR_MS, 40 * DAY_MS};
    (void)state;
    for (size_t i = 0; i < sizeof(ttls_ms) / sizeof(ttls_ms[0]); i++)
        for (size_t j = 0; j < HITS; j++) {
            struct cache cache;
            uint64_t ttl_ms = (uint64_t)ttls_ms[i];
            uint64_t step_ms = (ttl_ms < INTERVAL_MS ? ttl_ms : INTERVAL_MS) / 4;
            open_sliding(&cache);
            assert_int_equal(cache_set(&cache, "k", "v", ttls_ms[i]), LARDER_OK);
            for (int k = 0; k < 20; k++) {
                manual_clock_advance(&cache.clock, ttl_ms - step_ms);
                trickle(&cache, 20, 0); /* its segment is looked at meanwhile, and it moves */
                assert_int_equal(hits[j](&cache), LARDER_OK);
            }
            manual_clock_advance(&cache.clock, ttl_ms);
            assert_int_equal(hits[j](&cache), LARDER_MISS);
            cache_close(&cache);
        }
}

static void what_slides_is_written_four_times_an_interval(void **state)
{
    struct cache cache;
    struct larder_info info = {0};
    (void)state;
    open_sliding(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", HOUR_MS), LARDER_OK);
    manual_clock_advance(&cache.clock, INTERVAL_MS / 4 - 1);
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, HOUR_MS - INTERVAL_MS / 4 + 1);
    manual_clock_advance(&cache.clock, 1);
    assert_int_equal(cache_peek(&cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, HOUR_MS);
    cache_close(&cache);
}

/* The end has a lower and an upper half: 2^32 ms are 49.7 days. */
static void what_slides_passes_the_edge_of_49_days(void **state)
{
    struct cache cache;
    (void)state;
    open_sliding(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", DAY_MS), LARDER_OK);
    for (int hours = 0; hours < 24 * 110; hours += 6) {
        manual_clock_advance(&cache.clock, 6 * (uint64_t)HOUR_MS);
        trickle(&cache, 5, 0);
        cache_assert_value(&cache, "k", "v");
    }
    manual_clock_advance(&cache.clock, (uint64_t)DAY_MS);
    assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_MISS);
    cache_close(&cache);
}

static void what_has_no_ttl_or_another_slides_accordingly(void **state)
{
    struct cache cache;
    struct larder_info info = {0};
    struct larder_initial initial = {.value = 1, .ttl_ms = 1000};
    uint64_t number;
    (void)state;
    open_sliding(&cache);
    assert_int_equal(cache_set(&cache, "for ever", "v", 0), LARDER_OK);
    assert_int_equal(cache_peek(&cache, "for ever", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, LARDER_TTL_FOREVER);
    assert_int_equal(cache_set(&cache, "k", "v", 1000), LARDER_OK);
    assert_int_equal(cache_touch(&cache, "k", 5000), LARDER_OK); /* from now on 5 s */
    assert_int_equal(cache_store(&cache, LARDER_APPEND, "k", "+", 0), LARDER_OK);
    manual_clock_advance(&cache.clock, 4000);
    cache_assert_value(&cache, "k", "v+");
    manual_clock_advance(&cache.clock, 4000);
    cache_assert_value(&cache, "k", "v+");
    assert_int_equal(cache_touch(&cache, "k", LARDER_TTL_FOREVER), LARDER_OK);
    manual_clock_advance(&cache.clock, 99000);
    cache_assert_value(&cache, "k", "v+");
    assert_int_equal(cache_count(&cache, "c", LARDER_UP, 1, &initial, &number), LARDER_OK);
    manual_clock_advance(&cache.clock, 800);
    assert_int_equal(cache_peek(&cache, "c", NULL), LARDER_OK);
    manual_clock_advance(&cache.clock, 800);
    assert_int_equal(cache_peek(&cache, "c", NULL), LARDER_OK);
    assert_int_equal(cache_set_absent(&cache, "absent", 1000), LARDER_OK);
    manual_clock_advance(&cache.clock, 800);
    assert_int_equal(cache_peek(&cache, "absent", NULL), LARDER_ABSENT);
    manual_clock_advance(&cache.clock, 200);
    assert_int_equal(cache_peek(&cache, "absent", NULL), LARDER_MISS);
    cache_close(&cache);
}

static void without_the_option_nothing_slides(void **state)
{
    (void)state;
    for (size_t i = 0; i < HITS; i++) {
        struct cache cache;
        open_with_buckets(&cache, 60, INTERVAL_MS);
        assert_int_equal(cache_set(&cache, "k", "v", 1000), LARDER_OK);
        manual_clock_advance(&cache.clock, 999);
        assert_int_equal(hits[i](&cache), LARDER_OK);
        manual_clock_advance(&cache.clock, 1);
        assert_int_equal(hits[i](&cache), LARDER_MISS);
        cache_close(&cache);
    }
}

/* Against a model: an array of expiries. */
static void random_ttls_agree_with_a_model(void **state)
{
    enum { KEYS = 300, STEPS = 30000 };
    static uint64_t expiry_ms[KEYS];
    struct cache cache;
    uint64_t now_ms = 0;
    unsigned seed = 20251;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    open_with_buckets(&cache, 4, 50);
    memset(expiry_ms, 0, sizeof(expiry_ms));
    for (int i = 0; i < STEPS; i++) {
        char key[32];
        int number = rand() % KEYS;
        uint64_t ttl_ms = (uint64_t)1 << rand() % 24, step_ms = (uint64_t)rand() % 30;
        if (rand() % 1000 == 0)
            step_ms = (uint64_t)1 << rand() % 24;
        ttl_ms += (uint64_t)rand() % ttl_ms;
        snprintf(key, sizeof(key), "key%d", number);
        manual_clock_advance(&cache.clock, step_ms);
        now_ms += step_ms;
        enum larder_status expected = now_ms < expiry_ms[number] ? LARDER_OK : LARDER_MISS;
        switch (rand() % 4) {
        case 0:
            assert_int_equal(cache_set(&cache, key, "v", (int64_t)ttl_ms), LARDER_OK);
            expiry_ms[number] = now_ms + ttl_ms;
            break;
        case 1:
            assert_int_equal(cache_touch(&cache, key, (int64_t)ttl_ms), expected);
            if (expected == LARDER_OK)
                expiry_ms[number] = now_ms + ttl_ms;
            break;
        case 2:
            assert_int_equal(cache_delete(&cache, key, 0), expected);
            expiry_ms[number] = 0;
            break;
        default:
            assert_int_equal(cache_peek(&cache, key, NULL), expected);
        }
    }
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_dead_at_its_expiry_and_not_before),
        cmocka_unit_test(a_ttl_past_the_end_of_time_is_for_ever),
        cmocka_unit_test(the_ttl_left_is_rounded_up),
        cmocka_unit_test(touch_moves_the_expiry_both_ways),
        cmocka_unit_test(expired_memory_is_back_within_an_interval_and_a_second),
        cmocka_unit_test(what_expires_far_off_is_swept_in_its_time),
        cmocka_unit_test(a_key_is_never_harmed_by_its_older_self),
        cmocka_unit_test(storing_one_key_again_and_again_takes_no_memory),
        cmocka_unit_test(purge_sweeps_and_tells_when_to_come_again),
        cmocka_unit_test(a_flush_amid_a_sweep_gives_everything_back),
        cmocka_unit_test(a_hit_gives_a_sliding_entry_its_ttl_anew),
        cmocka_unit_test(what_slides_is_written_four_times_an_interval),
        cmocka_unit_test(what_slides_passes_the_edge_of_49_days),
        cmocka_unit_test(what_has_no_ttl_or_another_slides_accordingly),
        cmocka_unit_test(without_the_option_nothing_slides),
        cmocka_unit_test(random_ttls_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
