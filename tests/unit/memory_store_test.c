/* memory: plain stores, which go a way of their own: of values that do not end and have no flags,
 * under keys of 17 to 32 bytes. They do what any store does. */
#include "memory_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define LENGTH 100u

static const char *key_of(unsigned number)
{
    static char key[48];
    snprintf(key, sizeof(key), "a key of some length, %u", number);
    return key;
}

static enum larder_status set(struct cache *cache, unsigned number)
{
    return cache_set_bytes(cache, key_of(number), (int)(number % 26) + 'a', LENGTH, 0);
}

static void assert_is_there(struct cache *cache, unsigned number)
{
    char wanted[LENGTH + 1];
    memset(wanted, (int)(number % 26) + 'a', LENGTH);
    wanted[LENGTH] = 0;
    cache_assert_value(cache, key_of(number), wanted);
}

/* ---- where there is nothing ------------------------------------------------------------------ */

static void what_is_new_is_found_while_the_index_grows(void **state)
{
    enum { ALL = 200000 };
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, 64 * MIB);
    uint64_t least = cache_stat(&cache, "index_bytes");
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(set(&cache, i), LARDER_OK);
    for (unsigned i = 0; i < ALL; i++)
        assert_is_there(&cache, i);
    assert_int_equal(cache_stat(&cache, "items"), ALL);
    /* 7 entries a line, and what overflows meanwhile: not chains of ever more */
    assert_true(cache_stat(&cache, "index_bytes") > 10 * least);
    assert_true(cache_stat(&cache, "index_bytes") < ALL * 16);
    cache_close(&cache);
}

static void more_than_fits_stays_within_the_bound(void **state)
{
    static const uint64_t bounds[] = {LARDER_MEMORY_BYTES_MIN, 1 * MIB, 8 * MIB};
    (void)state;
    for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++) {
        struct cache cache;
        cache_open_bytes(&cache, bounds[b]);
        for (unsigned i = 0; i < bounds[b] / 32; i++) {
            assert_int_equal(set(&cache, i), LARDER_OK);
            assert_is_there(&cache, i);
            assert_true(cache_stat(&cache, "bytes") <= bounds[b]);
        }
        assert_true(cache_stat(&cache, "evictions") > 0);
        assert_true(cache_stat(&cache, "items") > bounds[b] / 400);
        cache_close(&cache);
    }
}

/* From when on hits are counted follows from stores, whichever way they go. */
static void what_is_hit_outlives_what_is_not(void **state)
{
    enum { HOT = 50, COLD = 50000 };
    struct cache cache;
    unsigned kept = 0;
    (void)state;
    cache_open_bytes(&cache, 1 * MIB);
    for (unsigned i = 0; i < HOT; i++)
        assert_int_equal(set(&cache, i), LARDER_OK);
    for (unsigned i = HOT; i < COLD; i++) {
        assert_int_equal(set(&cache, i), LARDER_OK);
        (void)cache_peek(&cache, key_of(i % HOT), NULL);
    }
    for (unsigned i = 0; i < HOT; i++)
        kept += cache_peek(&cache, key_of(i), NULL) == LARDER_OK;
    assert_int_equal(kept, HOT);
    cache_close(&cache);
}

static void with_eviction_off_what_has_no_room_is_refused_and_takes_nothing(void **state)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct cache cache;
    unsigned count = 0;
    (void)state;
    options.max_bytes = 2 * MIB;
    options.evict = 0;
    cache_open(&cache, &options);
    while (set(&cache, count) == LARDER_OK)
        count++;
    uint64_t bytes = cache_stat(&cache, "bytes");
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(set(&cache, count + i), LARDER_NO_MEMORY);
    assert_int_equal(cache_stat(&cache, "bytes"), bytes);
    assert_int_equal(cache_stat(&cache, "items"), count);
    for (unsigned i = 0; i < count; i++)
        assert_is_there(&cache, i);
    assert_int_equal(cache_delete(&cache, key_of(0), 0), LARDER_OK);
    cache_close(&cache);
}

/* ---- over what is there ---------------------------------------------------------------------- */

/* Of the same length and of another, in a full cache, which recycles nothing. */
static void in_a_full_cache_what_was_stored_last_is_there(void **state)
{
    enum { KEPT = 100 };
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, 1 * MIB);
    for (unsigned i = 0; cache_stat(&cache, "evictions") == 0; i++)
        assert_int_equal(set(&cache, KEPT + i), LARDER_OK);
    for (unsigned i = 0; i < 200 * KEPT; i++) {
        const char *key = key_of(i % KEPT);
        int fill = (int)(i / KEPT % 26) + 'a';
        size_t length = i % 7 == 0 ? 20 : LENGTH;
        char text[LENGTH + 1] = "";
        memset(text, fill, length);
        assert_int_equal(cache_set(&cache, key, text, 0), LARDER_OK);
        cache_assert_value(&cache, key, text);
        assert_true(cache_stat(&cache, "bytes") <= 1 * MIB);
    }
    cache_close(&cache);
}

typedef void put_fn(struct cache *cache, const char *key);

static void put_what_ends(struct cache *cache, const char *key)
{
    assert_int_equal(cache_set_bytes(cache, key, 'x', LENGTH, 1000), LARDER_OK);
}

static void put_what_has_ended(struct cache *cache, const char *key)
{
    put_what_ends(cache, key);
    manual_clock_advance(&cache->clock, 1000);
}

static void put_absence(struct cache *cache, const char *key)
{
    assert_int_equal(cache_set_absent(cache, key, 1000), LARDER_OK);
}

static void put_long_value(struct cache *cache, const char *key)
{
    assert_int_equal(cache_set_bytes(cache, key, 'x', 10000, 0), LARDER_OK);
}

static void put_other_length(struct cache *cache, const char *key)
{
    assert_int_equal(cache_set_bytes(cache, key, 'x', LENGTH - 1, 0), LARDER_OK);
}

static void put_flags(struct cache *cache, const char *key)
{
    char value[LENGTH] = "";
    struct larder_write write = larder_write_of(larder_bytes(value, LENGTH), 0);
    uint64_t version;
    write.flags = 7;
    assert_int_equal(
        cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text(key), &write, &version),
        LARDER_OK);
}

static void put_nothing(struct cache *cache, const char *key)
{
    (void)cache, (void)key;
}

/* It takes the place of whatever is there, and nothing of that is left. */
static void whatever_was_there_is_replaced(void **state)
{
    static put_fn *const puts[] = {put_nothing, put_what_ends,  put_what_has_ended, put_absence,
                                   put_flags,   put_long_value, put_other_length};
    struct cache cache, seen;
    (void)state;
    cache_open_default(&cache);
    for (int in = 0; in < 2; in++) {
        if (in == 0)
            seen = cache;
        else
            cache_in(&seen, &cache, "a namespace");
        for (unsigned i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
            struct larder_info info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL};
            puts[i](&seen, key_of(i));
            assert_int_equal(set(&seen, i), LARDER_OK);
            assert_is_there(&seen, i);
            assert_int_equal(cache_peek(&seen, key_of(i), &info), LARDER_OK);
            assert_int_equal(info.flags, 0);
            assert_int_equal(info.ttl_ms, LARDER_TTL_FOREVER);
            manual_clock_advance(&cache.clock, 100000);
            assert_is_there(&seen, i);
        }
    }
    assert_int_equal(cache_stat(&cache, "items"), 2 * sizeof(puts) / sizeof(puts[0]));
    cache_close(&cache);
}

static void a_lease_is_void_afterwards(void **state)
{
    struct larder_lease lease;
    struct cache cache;
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_lease(&cache, key_of(0), 10000, &lease), LARDER_MISS);
    assert_int_equal(set(&cache, 0), LARDER_OK);
    assert_int_equal(cache_fill(&cache, key_of(0), lease, "late"), LARDER_CONFLICT);
    assert_is_there(&cache, 0);
    cache_close(&cache);
}

/* ---- what is due ----------------------------------------------------------------------------- */

/* Memory of what has ended is back within an interval and a second of any calls. */
static void what_has_ended_is_swept_by_stores_of_what_does_not(void **state)
{
    enum { ENDING = 20000 };
    struct cache cache;
    (void)state;
    cache_open_bytes(&cache, 64 * MIB);
    for (unsigned i = 0; i < ENDING; i++)
        assert_int_equal(cache_set_bytes(&cache, key_of(i), 'x', LENGTH, 1000), LARDER_OK);
    manual_clock_advance(&cache.clock, 62000);
    for (unsigned i = 0; i < ENDING; i++)
        assert_int_equal(set(&cache, ENDING + i % 10), LARDER_OK);
    assert_int_equal(cache_stat(&cache, "items"), 10);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_is_found_while_the_index_grows),
        cmocka_unit_test(more_than_fits_stays_within_the_bound),
        cmocka_unit_test(what_is_hit_outlives_what_is_not),
        cmocka_unit_test(with_eviction_off_what_has_no_room_is_refused_and_takes_nothing),
        cmocka_unit_test(in_a_full_cache_what_was_stored_last_is_there),
        cmocka_unit_test(whatever_was_there_is_replaced),
        cmocka_unit_test(a_lease_is_void_afterwards),
        cmocka_unit_test(what_has_ended_is_swept_by_stores_of_what_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
