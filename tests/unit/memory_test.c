/* memory: what an entry is: values, versions, counters, leases, views, namespaces, keys. */
#include "memory_fixture.h"

#include <larder/util/hit.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fallback.h"

#define LARGE 20000u /* more than is copied */

static int open_one(void **state)
{
    struct cache *cache = malloc(sizeof(*cache));
    if (cache == NULL)
        return -1;
    cache_open_default(cache);
    *state = cache;
    return 0;
}

static int close_one(void **state)
{
    cache_close(*state);
    free(*state);
    return 0;
}

static void release(struct larder_value *value)
{
    if (value->owner != NULL)
        value->owner->release(value->owner);
    value->owner = NULL;
}

/* ---- values and versions ------------------------------------------------------------------- */

static void a_read_tells_flags_length_version_and_ttl(void **state)
{
    struct cache *cache = *state;
    struct larder_write write = larder_write_of(larder_text("value"), 1500);
    struct larder_info info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL};
    uint64_t version = 0;
    char buffer[3];
    write.flags = 0xfeedbeef;
    assert_int_equal(
        cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text("k"), &write, &version),
        LARDER_OK);
    manual_clock_advance(&cache->clock, 499);
    assert_int_equal(cache->scope.ops->read(&cache->scope, larder_text("k"), buffer, 3, &info),
                     LARDER_PARTIAL);
    assert_memory_equal(buffer, "val", 3);
    assert_int_equal(info.flags, 0xfeedbeef);
    assert_int_equal(info.length, 5);
    assert_int_equal(info.version, version);
    assert_int_equal(info.ttl_ms, 1001);
}

static void a_value_of_no_bytes_is_a_value(void **state)
{
    struct cache *cache = *state;
    struct larder_value value;
    assert_int_equal(cache_set(cache, "k", "", 0), LARDER_OK);
    assert_int_equal(cache_get(cache, "k", &value), LARDER_OK);
    assert_non_null(value.bytes.data);
    assert_int_equal(value.bytes.length, 0);
    assert_int_equal(value.info.ttl_ms, LARDER_TTL_FOREVER);
    release(&value);
}

static void every_store_mode_answers_as_the_table_says(void **state)
{
    struct cache *cache = *state;
    assert_int_equal(cache_store(cache, LARDER_REPLACE, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_PREPEND, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_cas(cache, "k", "x", 1), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_ADD, "k", "b", 0), LARDER_OK);
    assert_int_equal(cache_store(cache, LARDER_ADD, "k", "x", 0), LARDER_EXISTS);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "c", 0), LARDER_OK);
    assert_int_equal(cache_store(cache, LARDER_PREPEND, "k", "a", 0), LARDER_OK);
    cache_assert_value(cache, "k", "abc");
    assert_int_equal(cache_store(cache, LARDER_REPLACE, "k", "d", 0), LARDER_OK);
    cache_assert_value(cache, "k", "d");
}

static void append_keeps_ttl_and_flags_and_gives_a_new_version(void **state)
{
    struct cache *cache = *state;
    struct larder_write write = larder_write_of(larder_text("a"), 5000);
    struct larder_info info = {0};
    uint64_t before = 0;
    write.flags = 7;
    assert_int_equal(
        cache->scope.ops->store(&cache->scope, LARDER_SET, larder_text("k"), &write, &before),
        LARDER_OK);
    manual_clock_advance(&cache->clock, 1000);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "b", 99000), LARDER_OK);
    assert_int_equal(cache_peek(cache, "k", &info), LARDER_OK);
    assert_int_equal(info.flags, 7);
    assert_int_equal(info.ttl_ms, 4000);
    assert_true(info.version > before);
}

static void cas_stores_only_at_its_version(void **state)
{
    struct cache *cache = *state;
    assert_int_equal(cache_set(cache, "k", "a", 0), LARDER_OK);
    uint64_t version = cache_version(cache, "k");
    assert_int_equal(cache_cas(cache, "k", "b", version), LARDER_OK);
    assert_int_equal(cache_cas(cache, "k", "c", version), LARDER_CONFLICT);
    cache_assert_value(cache, "k", "b");
}

static void no_version_is_given_twice_to_one_key(void **state)
{
    struct cache *cache = *state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cache_set(cache, "k", "a", 0), LARDER_OK);
        uint64_t version = cache_version(cache, "k");
        assert_true(version > last);
        last = version;
        if (i % 3 == 0)
            assert_int_equal(cache_delete(cache, "k", 0), LARDER_OK);
        if (i % 7 == 0)
            assert_int_equal(cache->scope.ops->flush(&cache->scope), LARDER_OK);
    }
}

static void a_touch_keeps_the_version(void **state)
{
    struct cache *cache = *state;
    assert_int_equal(cache_set(cache, "k", "a", 1000), LARDER_OK);
    uint64_t version = cache_version(cache, "k");
    assert_int_equal(cache_touch(cache, "k", 9000), LARDER_OK);
    assert_int_equal(cache_version(cache, "k"), version);
    assert_int_equal(cache_touch(cache, "none", 9000), LARDER_MISS);
}

static void delete_at_a_version_spares_any_other(void **state)
{
    struct cache *cache = *state;
    assert_int_equal(cache_set(cache, "k", "a", 0), LARDER_OK);
    uint64_t version = cache_version(cache, "k");
    assert_int_equal(cache_delete(cache, "k", version + 1), LARDER_CONFLICT);
    assert_int_equal(cache_delete(cache, "k", version), LARDER_OK);
    assert_int_equal(cache_delete(cache, "k", version), LARDER_MISS);
    assert_int_equal(cache_delete(cache, "k", 0), LARDER_MISS);
}

static void call_options_touch_and_insist_on_versions(void **state)
{
    struct cache *cache = *state;
    struct larder_info info = {0};
    uint64_t number;
    assert_int_equal(cache_set(cache, "k", "1", 1000), LARDER_OK);
    cache_call(cache)->touch_ttl_ms = 7000;
    assert_int_equal(cache_peek(cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, 7000);
    cache_call(cache)->touch_ttl_ms = 8000;
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_OK);
    cache_plain(cache);
    assert_int_equal(cache_peek(cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, 8000);

    cache_call(cache)->version = info.version + 1;
    assert_int_equal(cache_touch(cache, "k", 1), LARDER_CONFLICT);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_CONFLICT);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "x", 0), LARDER_CONFLICT);
    assert_int_equal(cache_store(cache, LARDER_PREPEND, "k", "x", 0), LARDER_CONFLICT);
    cache_call(cache)->version = info.version;
    assert_int_equal(cache_touch(cache, "k", 5000), LARDER_OK);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_OK);
    assert_int_equal(number, 3);
}

static void many_answers_each_row_and_leaves_answered_ones(void **state)
{
    static struct larder_ops completed;
    struct cache *cache = *state;
    struct larder_row rows[3];
    memset(rows, 0, sizeof(rows));
    assert_int_equal(cache_set(cache, "a", "1", 0), LARDER_OK);
    for (int i = 0; i < 3; i++) {
        rows[i].key = larder_text(i == 1 ? "none" : "a");
        rows[i].status = i == 2 ? LARDER_BAD_KEY : LARDER_ASKED;
    }
    struct larder_rows all = {rows, 3, sizeof(rows[0])};
    larder__ops_complete(cache->scope.ops, &completed); /* memory has no row of its own for this */
    cache->scope.ops = &completed;
    cache->scope.ops->many(&cache->scope, LARDER_MANY_GET, LARDER_SET, &all);
    assert_int_equal(rows[0].status, LARDER_OK);
    assert_int_equal(rows[1].status, LARDER_MISS);
    assert_int_equal(rows[2].status, LARDER_BAD_KEY);
    assert_memory_equal(rows[0].value.bytes.data, "1", 1);
    release(&rows[0].value);
}

/* ---- negative entries ---------------------------------------------------------------------- */

static void a_negative_entry_is_absent_to_reads_and_missing_to_all_else(void **state)
{
    struct cache *cache = *state;
    struct larder_value value;
    struct larder_lease lease;
    uint64_t number;
    assert_int_equal(cache_set_absent(cache, "k", 1000), LARDER_OK);
    assert_int_equal(cache_peek(cache, "k", NULL), LARDER_ABSENT);
    assert_int_equal(cache_get(cache, "k", &value), LARDER_ABSENT);
    assert_null(value.owner);
    assert_int_equal(cache->scope.ops->get_and_touch(&cache->scope, larder_text("k"), 9000, &value),
                     LARDER_ABSENT);
    assert_int_equal(cache_lease(cache, "k", 1000, &lease), LARDER_ABSENT);
    assert_int_equal(lease.token, 0);
    assert_int_equal(cache_touch(cache, "k", 9000), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_REPLACE, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_cas(cache, "k", "x", 1), LARDER_MISS);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_MISS);
    manual_clock_advance(&cache->clock, 1000);
    assert_int_equal(cache_peek(cache, "k", NULL), LARDER_MISS);
}

static void add_count_and_delete_replace_a_negative_entry(void **state)
{
    struct cache *cache = *state;
    struct larder_initial initial = {.value = 10};
    uint64_t number;
    assert_int_equal(cache_set_absent(cache, "a", 0), LARDER_OK);
    assert_int_equal(cache_store(cache, LARDER_ADD, "a", "x", 0), LARDER_OK);
    assert_int_equal(cache_set_absent(cache, "b", 0), LARDER_OK);
    assert_int_equal(cache_count(cache, "b", LARDER_UP, 1, &initial, &number), LARDER_OK);
    assert_int_equal(number, 11);
    assert_int_equal(cache_set_absent(cache, "c", 0), LARDER_OK);
    assert_int_equal(cache_delete(cache, "c", 0), LARDER_MISS);
    assert_int_equal(cache_peek(cache, "c", NULL), LARDER_MISS);
}

/* ---- counters ------------------------------------------------------------------------------ */

static void counters_wrap_up_and_stop_at_zero(void **state)
{
    struct cache *cache = *state;
    uint64_t number;
    assert_int_equal(cache_set(cache, "k", "18446744073709551615", 0), LARDER_OK);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 2, NULL, &number), LARDER_OK);
    assert_int_equal(number, 1);
    cache_assert_value(cache, "k", "1");
    assert_int_equal(cache_count(cache, "k", LARDER_DOWN, 5, NULL, &number), LARDER_OK);
    assert_int_equal(number, 0);
    assert_int_equal(cache_count(cache, "none", LARDER_UP, 1, NULL, &number), LARDER_MISS);
}

static void a_value_that_is_no_number_stays_as_it_is(void **state)
{
    static const char *const texts[] = {"", "x", "-1", " 1", "1x", "18446744073709551616"};
    struct cache *cache = *state;
    uint64_t number;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(cache_set(cache, "k", texts[i], 0), LARDER_OK);
        uint64_t version = cache_version(cache, "k");
        assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_NOT_A_NUMBER);
        assert_int_equal(cache_version(cache, "k"), version);
        cache_assert_value(cache, "k", texts[i]);
    }
}

static void a_count_keeps_the_ttl_and_takes_the_initial_one_at_first(void **state)
{
    struct cache *cache = *state;
    struct larder_initial initial = {.value = 5, .ttl_ms = 2000, .flags = 3};
    struct larder_info info = {0};
    uint64_t number;
    assert_int_equal(cache_count(cache, "k", LARDER_DOWN, 9, &initial, &number), LARDER_OK);
    assert_int_equal(number, 0);
    manual_clock_advance(&cache->clock, 500);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 7, &initial, &number), LARDER_OK);
    assert_int_equal(number, 7);
    assert_int_equal(cache_peek(cache, "k", &info), LARDER_OK);
    assert_int_equal(info.ttl_ms, 1500);
    assert_int_equal(info.flags, 3);
}

/* ---- leases -------------------------------------------------------------------------------- */

static void one_caller_gets_the_lease_of_a_missing_key(void **state)
{
    struct cache *cache = *state;
    struct larder_lease first, second;
    assert_int_equal(cache_lease(cache, "k", 1000, &first), LARDER_MISS);
    assert_int_not_equal(first.token, 0);
    assert_int_equal(cache_lease(cache, "k", 1000, &second), LARDER_MISS);
    assert_int_equal(second.token, 0);
    assert_int_equal(cache_fill(cache, "k", second, "x"), LARDER_CONFLICT);
    assert_int_equal(cache_fill(cache, "k", first, "a"), LARDER_OK);
    assert_int_equal(cache_fill(cache, "k", first, "b"), LARDER_CONFLICT);
    cache_assert_value(cache, "k", "a");
}

static void a_pending_key_is_missing_to_everything_else(void **state)
{
    struct cache *cache = *state;
    struct larder_lease lease;
    uint64_t number;
    assert_int_equal(cache_lease(cache, "k", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache_peek(cache, "k", NULL), LARDER_MISS);
    assert_int_equal(cache_touch(cache, "k", 1), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_REPLACE, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_APPEND, "k", "x", 0), LARDER_MISS);
    assert_int_equal(cache_cas(cache, "k", "x", 1), LARDER_MISS);
    assert_int_equal(cache_count(cache, "k", LARDER_UP, 1, NULL, &number), LARDER_MISS);
    assert_int_equal(cache_delete(cache, "k", 1), LARDER_MISS);
    assert_int_equal(cache_fill(cache, "k", lease, "a"), LARDER_OK);
}

static void a_store_or_a_delete_voids_a_lease(void **state)
{
    struct cache *cache = *state;
    struct larder_initial initial = {.value = 1};
    struct larder_lease lease;
    uint64_t number;
    assert_int_equal(cache_lease(cache, "set", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache_set(cache, "set", "a", 0), LARDER_OK);
    assert_int_equal(cache_fill(cache, "set", lease, "b"), LARDER_CONFLICT);
    cache_assert_value(cache, "set", "a");

    assert_int_equal(cache_lease(cache, "add", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache_store(cache, LARDER_ADD, "add", "a", 0), LARDER_OK);
    assert_int_equal(cache_return(cache, "add", lease), LARDER_CONFLICT);

    assert_int_equal(cache_lease(cache, "count", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache_count(cache, "count", LARDER_UP, 1, &initial, &number), LARDER_OK);
    assert_int_equal(cache_fill(cache, "count", lease, "b"), LARDER_CONFLICT);

    assert_int_equal(cache_lease(cache, "delete", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache_delete(cache, "delete", 0), LARDER_MISS);
    assert_int_equal(cache_fill(cache, "delete", lease, "b"), LARDER_CONFLICT);
    assert_int_equal(cache_peek(cache, "delete", NULL), LARDER_MISS);

    assert_int_equal(cache_lease(cache, "flush", 1000, &lease), LARDER_MISS);
    assert_int_equal(cache->scope.ops->flush(&cache->scope), LARDER_OK);
    assert_int_equal(cache_fill(cache, "flush", lease, "b"), LARDER_CONFLICT);
}

static void a_returned_lease_goes_to_the_next_caller(void **state)
{
    struct cache *cache = *state;
    struct larder_lease first, second;
    assert_int_equal(cache_lease(cache, "k", 1000, &first), LARDER_MISS);
    assert_int_equal(cache_return(cache, "k", first), LARDER_OK);
    assert_int_equal(cache_return(cache, "k", first), LARDER_CONFLICT);
    assert_int_equal(cache_lease(cache, "k", 1000, &second), LARDER_MISS);
    assert_int_not_equal(second.token, 0);
    assert_int_not_equal(second.token, first.token);
}

static void a_lease_ends_with_its_time(void **state)
{
    struct cache *cache = *state;
    struct larder_lease first, second;
    assert_int_equal(cache_lease(cache, "k", 1000, &first), LARDER_MISS);
    manual_clock_advance(&cache->clock, 999);
    assert_int_equal(cache_lease(cache, "k", 1000, &second), LARDER_MISS);
    assert_int_equal(second.token, 0);
    manual_clock_advance(&cache->clock, 1);
    assert_int_equal(cache_lease(cache, "k", 1000, &second), LARDER_MISS);
    assert_int_not_equal(second.token, 0);
    assert_int_equal(cache_fill(cache, "k", first, "old"), LARDER_CONFLICT);
    assert_int_equal(cache_return(cache, "k", first), LARDER_CONFLICT);
    assert_int_equal(cache_fill(cache, "k", second, "new"), LARDER_OK);
}

/* A live entry with 300 ms left, and the one token for it. */
static struct larder_lease lease_of_an_ageing_entry(struct cache *cache, uint32_t lease_ms)
{
    struct larder_lease lease;
    assert_int_equal(cache_set(cache, "k", "old", 1000), LARDER_OK);
    cache_call(cache)->recache_ms = 400;
    assert_int_equal(cache_lease(cache, "k", lease_ms, &lease), LARDER_OK);
    assert_int_equal(lease.token, 0);
    manual_clock_advance(&cache->clock, 700);
    assert_int_equal(cache_lease(cache, "k", lease_ms, &lease), LARDER_OK);
    assert_int_not_equal(lease.token, 0);
    return lease;
}

static void near_its_end_one_caller_may_renew_an_entry(void **state)
{
    struct cache *cache = *state;
    struct larder_lease holder = lease_of_an_ageing_entry(cache, 100), other;
    assert_int_equal(cache_lease(cache, "k", 100, &other), LARDER_OK);
    assert_int_equal(other.token, 0);
    assert_int_equal(cache_fill(cache, "k", holder, "new"), LARDER_OK);
    cache_assert_value(cache, "k", "new");
}

static void a_renewal_lapses_is_returned_or_voided(void **state)
{
    struct cache *cache = *state;
    struct larder_lease first = lease_of_an_ageing_entry(cache, 100), second, third;
    manual_clock_advance(&cache->clock, 100);
    assert_int_equal(cache_lease(cache, "k", 100, &second), LARDER_OK);
    assert_int_not_equal(second.token, 0);
    assert_int_equal(cache_fill(cache, "k", first, "x"), LARDER_CONFLICT);
    assert_int_equal(cache_return(cache, "k", second), LARDER_OK);
    cache_assert_value(cache, "k", "old");
    assert_int_equal(cache_lease(cache, "k", 100, &third), LARDER_OK);
    assert_int_not_equal(third.token, 0);
    assert_int_equal(cache_delete(cache, "k", 0), LARDER_OK);
    assert_int_equal(cache_fill(cache, "k", third, "x"), LARDER_CONFLICT);
}

static void a_renewal_outlives_the_value(void **state)
{
    struct cache *cache = *state;
    struct larder_lease holder = lease_of_an_ageing_entry(cache, 5000), other;
    manual_clock_advance(&cache->clock, 300);
    assert_int_equal(cache_peek(cache, "k", NULL), LARDER_MISS);
    assert_int_equal(cache_lease(cache, "k", 100, &other), LARDER_MISS);
    assert_int_equal(other.token, 0);
    assert_int_equal(cache_fill(cache, "k", holder, "new"), LARDER_OK);
    cache_assert_value(cache, "k", "new");
}

/* ---- views --------------------------------------------------------------------------------- */

static void assert_filled(const struct larder_value *value, int fill, size_t size)
{
    const unsigned char *bytes = value->bytes.data;
    assert_int_equal(value->bytes.length, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], fill);
}

static void a_view_outlives_overwriting_deleting_and_flushing(void **state)
{
    static const size_t sizes[] = {10, LARGE};
    struct cache *cache = *state;
    struct larder_value views[3];
    for (size_t i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            assert_int_equal(cache_set_bytes(cache, "k", 'a' + j, sizes[i], 0), LARDER_OK);
            assert_int_equal(cache_get(cache, "k", &views[j]), LARDER_OK);
        }
        assert_int_equal(cache_delete(cache, "k", 0), LARDER_OK);
        assert_int_equal(cache->scope.ops->flush(&cache->scope), LARDER_OK);
        for (int j = 0; j < 3; j++) {
            assert_filled(&views[j], 'a' + j, sizes[i]);
            release(&views[j]);
        }
    }
}

static void a_large_view_stays_charged_until_it_is_released(void **state)
{
    struct cache *cache = *state;
    struct larder_value value;
    assert_int_equal(cache_set_bytes(cache, "k", 'a', LARGE, 0), LARDER_OK);
    assert_int_equal(cache_get(cache, "k", &value), LARDER_OK);
    assert_int_equal(cache_delete(cache, "k", 0), LARDER_OK);
    assert_int_equal(cache->scope.ops->purge(&cache->scope, 1000, NULL), LARDER_OK);
    uint64_t held = cache_stat(cache, "bytes");
    assert_true(cache_stat(cache, "large_bytes") >= LARGE);
    release(&value);
    assert_int_equal(cache_stat(cache, "large_bytes"), 0);
    assert_true(cache_stat(cache, "bytes") <= held - LARGE);
}

static void a_view_outlives_its_cache(void **state)
{
    struct cache cache;
    struct larder_value small, large;
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_set_bytes(&cache, "small", 's', 10, 0), LARDER_OK);
    assert_int_equal(cache_set_bytes(&cache, "large", 'l', LARGE, 0), LARDER_OK);
    assert_int_equal(cache_get(&cache, "small", &small), LARDER_OK);
    assert_int_equal(cache_get(&cache, "large", &large), LARDER_OK);
    cache.scope.ops->shutdown(cache.scope.self);
    assert_filled(&large, 'l', LARGE);
    cache_close(&cache);
    assert_filled(&small, 's', 10);
    assert_filled(&large, 'l', LARGE);
    release(&small);
    release(&large);
}

/* ---- namespaces and keys ------------------------------------------------------------------- */

static void a_namespace_has_keys_of_its_own(void **state)
{
    struct cache *cache = *state, left, right;
    cache_in(&left, cache, "a");
    cache_in(&right, cache, "ab");
    assert_int_equal(cache_set(&left, "bc", "left", 0), LARDER_OK);
    assert_int_equal(cache_set(&right, "c", "right", 0), LARDER_OK);
    assert_int_equal(cache_peek(cache, "abc", NULL), LARDER_MISS);
    assert_int_equal(cache_peek(&left, "c", NULL), LARDER_MISS);
    assert_int_equal(cache_set(cache, "bc", "bare", 0), LARDER_OK);
    cache_assert_value(&left, "bc", "left");
    assert_int_equal(left.scope.ops->flush(&left.scope), LARDER_OK);
    assert_int_equal(cache_peek(&left, "bc", NULL), LARDER_MISS);
    cache_assert_value(&right, "c", "right");
    cache_assert_value(cache, "bc", "bare");
}

static enum larder_status read_gone_on(struct larder_reader *reader, struct larder_slice key,
                                       void *buffer, size_t size)
{
    (void)reader, (void)key, (void)buffer, (void)size;
    return LARDER_CLOSED; /* as the row `read` answers */
}

static enum larder_status get_gone_on(struct larder_reader *reader, struct larder_slice key,
                                      struct larder_value *value)
{
    (void)reader, (void)key, (void)value;
    return LARDER_CLOSED;
}

/* As a handle that is led there would be, while another thread shuts down. */
static void a_name_may_be_seen_first_after_a_shutdown(void **state)
{
    struct cache *cache = *state, seen;
    struct larder_reader reader = {.read_otherwise = read_gone_on, .get_otherwise = get_gone_on};
    struct larder_hits hits = {NULL, NULL};
    struct larder_value view = {0};
    char value[8];
    cache->scope.ops->shutdown(cache->scope.self);
    cache_in(&seen, cache, "late");
    seen.scope.ops->hits_of(&seen.scope, &hits);
    assert_null(seen.scope.hit_context);
    assert_int_equal(hits.read(&reader, larder_text("key"), value, sizeof(value), &seen.scope),
                     LARDER_CLOSED);
    assert_int_equal(hits.get(&reader, larder_text("key"), &view, &seen.scope), LARDER_CLOSED);
    assert_int_equal(cache_peek(&seen, "key", NULL), LARDER_CLOSED);
}

#define LISTED 500

/* Goes on with a listing for one call. @return how many came */
static size_t list_more(struct cache *cache, struct larder_cursor *cursor, size_t capacity,
                        unsigned char *seen)
{
    char buffer[256];
    struct larder_slice keys[8];
    size_t count = 0;
    assert_int_equal(cache->scope.ops->keys(&cache->scope, cursor, buffer, sizeof(buffer), keys,
                                            capacity, &count),
                     LARDER_OK);
    for (size_t i = 0; i < count; i++) {
        char text[16] = "";
        memcpy(text, keys[i].data, keys[i].length);
        if (text[0] == 'k')
            seen[atoi(text + 1)]++;
    }
    return count;
}

static void set_numbered(struct cache *cache, char letter, int number)
{
    char key[16];
    snprintf(key, sizeof(key), "%c%d", letter, number);
    assert_int_equal(cache_set(cache, key, "v", 0), LARDER_OK);
}

static void keys_lists_every_live_key_of_its_namespace_once(void **state)
{
    struct cache *cache = *state, space;
    struct larder_cursor cursor = {{0}};
    struct larder_lease lease;
    unsigned char seen[LISTED] = {0};
    size_t total = 0, count;
    cache_in(&space, cache, "space");
    for (int i = 0; i < LISTED; i++) {
        set_numbered(&space, 'k', i);
        set_numbered(cache, 'k', i);
    }
    assert_int_equal(cache_set_absent(&space, "absent", 0), LARDER_OK);
    assert_int_equal(cache_lease(&space, "pending", 1000, &lease), LARDER_MISS);
    while ((count = list_more(&space, &cursor, 7, seen)) > 0)
        total += count;
    assert_int_equal(total, LISTED);
    for (int i = 0; i < LISTED; i++)
        assert_int_equal(seen[i], 1);
}

static void keys_lists_what_stays_while_the_rest_grows_and_changes(void **state)
{
    struct cache *cache = *state;
    struct larder_cursor cursor = {{0}};
    unsigned char seen[LISTED] = {0};
    int other = 0;
    for (int i = 0; i < LISTED; i++)
        set_numbered(cache, 'k', i);
    for (int round = 0; list_more(cache, &cursor, 3, seen) > 0; round++) {
        assert_true(round < 100000);
        for (int i = 0; i < 50 && other < 20000; i++)
            set_numbered(cache, 'o', other++); /* the tables grow */
        for (int i = 0; i < 20 && other > 1000; i++) {
            char key[16];
            snprintf(key, sizeof(key), "o%d", rand() % other);
            (void)cache_delete(cache, key, 0);
        }
        for (int i = 0; i < 10; i++)
            set_numbered(cache, 'k', (round * 10 + i) % LISTED); /* stored again */
    }
    for (int i = 0; i < LISTED; i++)
        assert_true(seen[i] >= 1);
}

static void keys_keeps_its_place_when_not_even_one_fits(void **state)
{
    struct cache *cache = *state;
    struct larder_cursor cursor = {{0}};
    struct larder_slice key;
    char buffer[8];
    size_t count;
    assert_int_equal(cache_set(cache, "longkey", "v", 0), LARDER_OK);
    assert_int_equal(cache->scope.ops->keys(&cache->scope, &cursor, buffer, 3, &key, 1, &count),
                     LARDER_TOO_LARGE);
    assert_int_equal(cache->scope.ops->keys(&cache->scope, &cursor, buffer, 8, &key, 1, &count),
                     LARDER_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(key.data, "longkey", 7);
    assert_int_equal(cache->scope.ops->keys(&cache->scope, &cursor, buffer, 8, &key, 1, &count),
                     LARDER_OK);
    assert_int_equal(count, 0);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void after_shutdown_everything_answers_closed(void **state)
{
    struct cache cache;
    struct larder_value value;
    struct larder_lease lease = {1, 0};
    struct larder_cursor cursor = {{0}};
    uint64_t number;
    size_t count;
    (void)state;
    cache_open_default(&cache);
    assert_int_equal(cache_set(&cache, "k", "v", 0), LARDER_OK);
    cache.scope.ops->shutdown(cache.scope.self);
    struct larder_stats_out none = {NULL, 0, 0, NULL};
    cache.scope.ops->stats(&cache.scope, &none);
    assert_int_equal(none.count, 0);
    assert_int_equal(cache_peek(&cache, "k", NULL), LARDER_CLOSED);
    assert_int_equal(cache_get(&cache, "k", &value), LARDER_CLOSED);
    assert_int_equal(cache_set(&cache, "k", "v", 0), LARDER_CLOSED);
    assert_int_equal(cache_set(&cache, "of the usual length", "v", 0), LARDER_CLOSED);
    assert_int_equal(cache_peek(&cache, "of the usual length", NULL), LARDER_CLOSED);
    assert_int_equal(cache_delete(&cache, "k", 0), LARDER_CLOSED);
    assert_int_equal(cache_touch(&cache, "k", 0), LARDER_CLOSED);
    assert_int_equal(cache_count(&cache, "k", LARDER_UP, 1, NULL, &number), LARDER_CLOSED);
    assert_int_equal(cache_fill(&cache, "k", lease, "v"), LARDER_CLOSED);
    assert_int_equal(cache_return(&cache, "k", lease), LARDER_CLOSED);
    assert_int_equal(cache_lease(&cache, "k", 1, &lease), LARDER_CLOSED);
    assert_int_equal(cache.scope.ops->flush(&cache.scope), LARDER_CLOSED);
    assert_int_equal(cache.scope.ops->keys(&cache.scope, &cursor, NULL, 0, NULL, 0, &count),
                     LARDER_CLOSED);
    cache_close(&cache);
}

static void a_forked_child_has_a_copy_that_works(void **state)
{
    struct cache *cache = *state;
    int wait_status = 0;
    assert_int_equal(cache_set(cache, "k", "parent", 0), LARDER_OK);
    cache->scope.ops->fork(cache->scope.self, LARDER_FORK_PREPARE);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        cache->scope.ops->fork(cache->scope.self, LARDER_FORK_CHILD);
        int works = cache_peek(cache, "k", NULL) == LARDER_OK &&
                    cache_set(cache, "k", "child", 0) == LARDER_OK &&
                    cache_set(cache, "other", "child", 0) == LARDER_OK;
        cache_close(cache);
        _exit(works ? 0 : 1);
    }
    cache->scope.ops->fork(cache->scope.self, LARDER_FORK_PARENT);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 0);
    cache_assert_value(cache, "k", "parent");
    assert_int_equal(cache_peek(cache, "other", NULL), LARDER_MISS);
}

#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ONE(a_read_tells_flags_length_version_and_ttl),
        WITH_ONE(a_value_of_no_bytes_is_a_value),
        WITH_ONE(every_store_mode_answers_as_the_table_says),
        WITH_ONE(append_keeps_ttl_and_flags_and_gives_a_new_version),
        WITH_ONE(cas_stores_only_at_its_version),
        WITH_ONE(no_version_is_given_twice_to_one_key),
        WITH_ONE(a_touch_keeps_the_version),
        WITH_ONE(delete_at_a_version_spares_any_other),
        WITH_ONE(call_options_touch_and_insist_on_versions),
        WITH_ONE(many_answers_each_row_and_leaves_answered_ones),
        WITH_ONE(a_negative_entry_is_absent_to_reads_and_missing_to_all_else),
        WITH_ONE(add_count_and_delete_replace_a_negative_entry),
        WITH_ONE(counters_wrap_up_and_stop_at_zero),
        WITH_ONE(a_value_that_is_no_number_stays_as_it_is),
        WITH_ONE(a_count_keeps_the_ttl_and_takes_the_initial_one_at_first),
        WITH_ONE(one_caller_gets_the_lease_of_a_missing_key),
        WITH_ONE(a_pending_key_is_missing_to_everything_else),
        WITH_ONE(a_store_or_a_delete_voids_a_lease),
        WITH_ONE(a_returned_lease_goes_to_the_next_caller),
        WITH_ONE(a_lease_ends_with_its_time),
        WITH_ONE(near_its_end_one_caller_may_renew_an_entry),
        WITH_ONE(a_renewal_lapses_is_returned_or_voided),
        WITH_ONE(a_renewal_outlives_the_value),
        WITH_ONE(a_view_outlives_overwriting_deleting_and_flushing),
        WITH_ONE(a_large_view_stays_charged_until_it_is_released),
        cmocka_unit_test(a_view_outlives_its_cache),
        WITH_ONE(a_namespace_has_keys_of_its_own),
        WITH_ONE(a_name_may_be_seen_first_after_a_shutdown),
        WITH_ONE(keys_lists_every_live_key_of_its_namespace_once),
        WITH_ONE(keys_lists_what_stays_while_the_rest_grows_and_changes),
        WITH_ONE(keys_keeps_its_place_when_not_even_one_fits),
        cmocka_unit_test(after_shutdown_everything_answers_closed),
        WITH_ONE(a_forked_child_has_a_copy_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
