/* ephemeral: whatever a call says of TTLs, `of` is told at most `ttl`; by the core where it is the
 * cache that the program uses, and by its own rows where it is a part. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/ephemeral.h>
#include <larder/memory.h>
#include <larder/testing.h>

#define TTL_MS 60000
#define START_NS UINT64_C(1000000000)

extern const struct larder_backend larder_ephemeral_backend;

struct trial {
    struct larder_manual_clock *clock;
    struct larder_cache *of, *cache;
    struct larder_scope row; /* leads to the rows themselves, past the core */
};

static void trial_open_at(struct trial *trial, uint64_t ttl_ms, int64_t max_ttl_ms)
{
    struct larder_ephemeral_options options = LARDER_EPHEMERAL_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    memset(trial, 0, sizeof(*trial));
    trial->clock = larder_manual_clock_new(START_NS);
    assert_non_null(trial->clock);
    open.clock = larder_manual_clock_of(trial->clock);
    open.max_ttl_ms = max_ttl_ms;
    assert_status(LARDER_OK, larder_memory_open(NULL, &open, &trial->of, NULL, 0));
    open.max_ttl_ms = 0;
    options.of = trial->of;
    options.ttl_ms = ttl_ms;
    assert_status(LARDER_OK, larder_ephemeral_open(&options, &open, &trial->cache, NULL, 0));
    trial->row.ops = larder_ephemeral_backend.ops;
    assert_status(LARDER_OK,
                  larder_backend_object(trial->cache, &larder_ephemeral_backend, &trial->row.self));
}

static void trial_open(struct trial *trial)
{
    trial_open_at(trial, TTL_MS, 0);
}

static void trial_close(struct trial *trial)
{
    larder_close(trial->cache);
    larder_manual_clock_free(trial->clock);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

static int64_t ttl_left(struct trial *trial, const char *key)
{
    struct larder_info info = {.want = LARDER_WANT_TTL};
    char bytes[16];
    assert_status(LARDER_OK, larder_read(trial->of, text(key), bytes, sizeof(bytes), &info));
    return info.ttl_ms;
}

/* As if it had been there before. */
static void plant(struct trial *trial, const char *key)
{
    assert_status(LARDER_OK, larder_set(trial->of, text(key), text("7"), LARDER_TTL_FOREVER));
}

static const struct {
    int64_t given_ms, wanted_ms;
} ttls[] = {{LARDER_TTL_FOREVER, TTL_MS}, {1, 1},
            {TTL_MS - 1, TTL_MS - 1},     {TTL_MS, TTL_MS},
            {TTL_MS + 1, TTL_MS},         {INT64_MAX, TTL_MS}};
#define TTLS (sizeof(ttls) / sizeof(ttls[0]))

/* ---- through the core ---------------------------------------------------------------------- */

static void no_ttl_of_a_call_is_longer(void **state)
{
    struct trial trial;
    (void)state;
    trial_open(&trial);
    assert_int_equal(larder_describe(trial.cache)->ttl_max_ms, TTL_MS);
    for (size_t i = 0; i < TTLS; i++) {
        struct larder_call call = LARDER_CALL_INIT;
        char byte;
        call.touch_ttl_ms = ttls[i].given_ms;
        assert_status(LARDER_OK, larder_set(trial.cache, text("set"), text("7"), ttls[i].given_ms));
        assert_int_equal(ttl_left(&trial, "set"), ttls[i].wanted_ms);
        plant(&trial, "touched");
        assert_status(LARDER_OK, larder_touch(trial.cache, text("touched"), ttls[i].given_ms));
        assert_int_equal(ttl_left(&trial, "touched"), ttls[i].wanted_ms);
        plant(&trial, "read");
        assert_status(LARDER_OK,
                      larder_read_with(trial.cache, &call, text("read"), &byte, 1, NULL));
        assert_int_equal(ttl_left(&trial, "read"), ttls[i].wanted_ms);
    }
    trial_close(&trial);
}

static void what_keeps_an_entrys_ttl_keeps_it(void **state)
{
    struct trial trial;
    (void)state;
    trial_open(&trial);
    plant(&trial, "k");
    assert_status(LARDER_OK, larder_incr(trial.cache, text("k"), 1, NULL, NULL));
    assert_status(LARDER_OK, larder_append(trial.cache, text("k"), text("0")));
    assert_int_equal(ttl_left(&trial, "k"), LARDER_TTL_FOREVER);
    trial_close(&trial);
}

/* Nobody gets a token the millisecond before `ttl`, somebody at it. */
static void a_lease_ends_with_the_ttl(void **state)
{
    struct trial trial;
    struct larder_value value = {0};
    struct larder_lease lease;
    (void)state;
    trial_open(&trial);
    assert_status(LARDER_MISS, larder_lease_get(trial.cache, text("k"), 86400000, &value, &lease));
    assert_true(lease.token != 0);
    larder_manual_clock_advance(trial.clock, TTL_MS - 1);
    assert_status(LARDER_MISS, larder_lease_get(trial.cache, text("k"), 1000, &value, &lease));
    assert_true(lease.token == 0);
    larder_manual_clock_advance(trial.clock, 1);
    assert_status(LARDER_MISS, larder_lease_get(trial.cache, text("k"), 1000, &value, &lease));
    assert_true(lease.token != 0);
    trial_close(&trial);
}

/* A value with an hour left is renewed an hour before its end, but not here. */
static void a_value_is_not_renewed_earlier_than_the_ttl(void **state)
{
    struct trial trial;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_call call = LARDER_CALL_INIT;
    (void)state;
    trial_open(&trial);
    call.recache_ms = 86400000;
    assert_status(LARDER_OK, larder_set(trial.of, text("k"), text("7"), TTL_MS + 1));
    assert_status(LARDER_OK,
                  larder_lease_get_with(trial.cache, &call, text("k"), 1000, &value, &lease));
    larder_value_release(&value);
    assert_true(lease.token == 0);
    larder_manual_clock_advance(trial.clock, 2);
    assert_status(LARDER_OK,
                  larder_lease_get_with(trial.cache, &call, text("k"), 1000, &value, &lease));
    larder_value_release(&value);
    assert_true(lease.token != 0);
    trial_close(&trial);
}

static void the_smaller_maximum_is_the_one(void **state)
{
    struct trial trial;
    (void)state;
    trial_open_at(&trial, TTL_MS, 1000);
    assert_int_equal(larder_describe(trial.cache)->ttl_max_ms, 1000);
    assert_status(LARDER_OK, larder_set(trial.cache, text("k"), text("7"), LARDER_TTL_FOREVER));
    assert_int_equal(ttl_left(&trial, "k"), 1000);
    trial_close(&trial);
}

/* ---- as a part ----------------------------------------------------------------------------- */

static void its_own_rows_lower_every_ttl(void **state)
{
    struct trial trial;
    (void)state;
    trial_open(&trial);
    const struct larder_ops *ops = trial.row.ops;
    for (size_t i = 0; i < TTLS; i++) {
        struct larder_write write = larder_write_of(text("7"), ttls[i].given_ms);
        struct larder_initial initial = {.value = 1, .ttl_ms = ttls[i].given_ms};
        struct larder_value value = {0};
        uint64_t number = 0;
        assert_status(LARDER_OK, ops->store(&trial.row, LARDER_SET, text("set"), &write, &number));
        assert_int_equal(ttl_left(&trial, "set"), ttls[i].wanted_ms);
        plant(&trial, "touched");
        assert_status(LARDER_OK, ops->touch(&trial.row, text("touched"), ttls[i].given_ms));
        assert_int_equal(ttl_left(&trial, "touched"), ttls[i].wanted_ms);
        plant(&trial, "got");
        assert_status(LARDER_OK,
                      ops->get_and_touch(&trial.row, text("got"), ttls[i].given_ms, &value));
        larder_value_release(&value);
        assert_int_equal(ttl_left(&trial, "got"), ttls[i].wanted_ms);
        (void)larder_delete(trial.of, text("n"), 0);
        assert_status(LARDER_OK,
                      ops->count(&trial.row, text("n"), LARDER_UP, 1, &initial, &number));
        assert_int_equal(ttl_left(&trial, "n"), ttls[i].wanted_ms);
    }
    trial_close(&trial);
}

static void a_filled_lease_has_a_lowered_ttl(void **state)
{
    struct trial trial;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_write write = larder_write_of(text("7"), LARDER_TTL_FOREVER);
    (void)state;
    trial_open(&trial);
    assert_status(LARDER_MISS,
                  trial.row.ops->lease_get(&trial.row, text("k"), 1000, &value, &lease));
    assert_status(LARDER_OK, trial.row.ops->lease_fill(&trial.row, text("k"), lease, &write));
    assert_int_equal(ttl_left(&trial, "k"), TTL_MS);
    trial_close(&trial);
}

/* A row that came in answered is left alone. */
static void rows_are_told_the_ttl_that_was_applied(void **state)
{
    static const enum larder_many_kind kinds[] = {LARDER_MANY_STORE, LARDER_MANY_TOUCH};
    struct trial trial;
    (void)state;
    trial_open(&trial);
    for (size_t kind = 0; kind < 2; kind++) {
        struct larder_row rows[2];
        struct larder_rows all = {rows, 2, sizeof(rows[0])};
        memset(rows, 0, sizeof(rows));
        for (size_t i = 0; i < 2; i++) {
            rows[i].key = text(i == 0 ? "k" : "another");
            rows[i].write = larder_write_of(text("7"), LARDER_TTL_FOREVER);
            rows[i].status = i == 0 ? LARDER_ASKED : LARDER_BAD_KEY;
        }
        trial.row.ops->many(&trial.row, kinds[kind], LARDER_SET, &all);
        assert_status(LARDER_OK, rows[0].status);
        assert_int_equal(rows[0].write.ttl_ms, TTL_MS);
        assert_int_equal(ttl_left(&trial, "k"), TTL_MS);
        assert_status(LARDER_BAD_KEY, rows[1].status);
        assert_int_equal(rows[1].write.ttl_ms, LARDER_TTL_FOREVER);
    }
    trial_close(&trial);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void ttl_has_bounds(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        enum larder_status status;
    } trials[] = {{0, LARDER_BAD_ARGUMENT},
                  {1, LARDER_OK},
                  {2592000000, LARDER_OK},
                  {2592000001, LARDER_BAD_ARGUMENT}};
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct larder_ephemeral_options options = LARDER_EPHEMERAL_OPTIONS_INIT;
        struct larder_cache *cache = NULL;
        assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
        options.ttl_ms = trials[i].ttl_ms;
        assert_status(trials[i].status, larder_ephemeral_open(&options, NULL, &cache, NULL, 0));
        larder_close(cache);
        if (trials[i].status != LARDER_OK)
            larder_close(options.of);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_ttl_of_a_call_is_longer),
        cmocka_unit_test(what_keeps_an_entrys_ttl_keeps_it),
        cmocka_unit_test(a_lease_ends_with_the_ttl),
        cmocka_unit_test(a_value_is_not_renewed_earlier_than_the_ttl),
        cmocka_unit_test(the_smaller_maximum_is_the_one),
        cmocka_unit_test(its_own_rows_lower_every_ttl),
        cmocka_unit_test(a_filled_lease_has_a_lowered_ttl),
        cmocka_unit_test(rows_are_told_the_ttl_that_was_applied),
        cmocka_unit_test(ttl_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
