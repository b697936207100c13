/* TTLs, as far as no time need pass: what is refused, what is applied, what can be read. */
#include "contract.h"

#include <larder/client.h>

#include <string.h>

static void a_negative_ttl_is_a_bad_argument(struct fixture *fixture)
{
    static const int64_t negative[] = {-1, -2, -1000, INT64_MIN + 1};
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    put(fixture, there, "1");
    for (size_t i = 0; i < sizeof(negative) / sizeof(negative[0]); i++) {
        const struct larder_initial initial = {1, negative[i], 0, 0};
        expect(fixture, LARDER_BAD_ARGUMENT,
               larder_set(fixture->cache, there, larder_text("2"), negative[i]));
        expect(fixture, LARDER_BAD_ARGUMENT,
               larder_add(fixture->cache, key(fixture, "none"), larder_text("2"), negative[i]));
        expect(fixture, LARDER_BAD_ARGUMENT, larder_touch(fixture->cache, there, negative[i]));
        expect(fixture, LARDER_BAD_ARGUMENT,
               larder_get_and_touch(fixture->cache, there, negative[i], &value));
        expect(fixture, LARDER_BAD_ARGUMENT, larder_incr(fixture->cache, there, 1, &initial, NULL));
    }
    expect_text(fixture, there, "1");
    expect_none(fixture, key(fixture, "none"), LARDER_MISS);
}

/* The TTL that a store applies to a row that asks for `ttl_ms`. */
static int64_t applied(struct fixture *fixture, int64_t ttl_ms)
{
    struct larder_row row = {.key = key(fixture, "k")};
    row.write = larder_write_of(larder_text("v"), ttl_ms);
    expect(fixture, LARDER_OK, larder_store_multi(fixture->cache, LARDER_SET, &row, 1));
    expect(fixture, LARDER_OK, row.status);
    return row.write.ttl_ms;
}

static void without_options_a_ttl_is_applied_as_it_is(struct fixture *fixture)
{
    expect_number(fixture, 0, applied(fixture, LARDER_TTL_FOREVER));
    expect_number(fixture, 0, applied(fixture, LARDER_TTL_DEFAULT));
    expect_number(fixture, 1, applied(fixture, 1));
    expect_number(fixture, 123456, applied(fixture, 123456));
}

static void the_default_ttl_is_that_of_the_options(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct fixture other;
    options.default_ttl_ms = 50000;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    expect_number(&other, 50000, applied(&other, LARDER_TTL_DEFAULT));
    expect_number(&other, 0, applied(&other, LARDER_TTL_FOREVER));
    expect_number(&other, 70000, applied(&other, 70000));
    fixture_check(&other);
    fixture_close(&other);
}

static void max_ttl_cuts_longer_ttls_and_forever(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct fixture other;
    options.max_ttl_ms = 60000;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    expect_number(&other, 60000, applied(&other, LARDER_TTL_FOREVER));
    expect_number(&other, 60000, applied(&other, LARDER_TTL_DEFAULT));
    expect_number(&other, 60000, applied(&other, 60001));
    expect_number(&other, 60000, applied(&other, INT64_MAX));
    expect_number(&other, 60000, applied(&other, 60000));
    expect_number(&other, 59999, applied(&other, 59999));
    fixture_check(&other);
    fixture_close(&other);
}

static void a_default_ttl_over_the_maximum_is_cut(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct fixture other;
    options.default_ttl_ms = 90000;
    options.max_ttl_ms = 60000;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    expect_number(&other, 60000, applied(&other, LARDER_TTL_DEFAULT));
    fixture_check(&other);
    fixture_close(&other);
}

static const int64_t long_ttls[] = {
    INT64_C(2591999999),     /* 30 days, less a millisecond */
    INT64_C(2592000000),     /* 30 days: memcached's last relative second */
    INT64_C(2592001000),     /* ... and the first that it takes for 1970 */
    INT64_C(31536000000),    /* a year */
    INT64_C(2147483647000),  /* 2^31 - 1 seconds */
    INT64_C(4294967296000),  /* 2^32 seconds */
    INT64_C(8589934592000),  /* 2^33 seconds */
    INT64_C(99999999999000), /* more than memcached's text */
    INT64_MAX - 1,           INT64_MAX,
};
#define LONG_TTLS (sizeof(long_ttls) / sizeof(long_ttls[0]))

static void a_long_ttl_is_never_gone_at_once(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    for (size_t i = 0; i < LONG_TTLS; i++) {
        expect(fixture, LARDER_OK,
               larder_set(fixture->cache, there, larder_text("v"), long_ttls[i]));
        expect_text(fixture, there, "v");
        if (!can(fixture, LARDER_CAN_TOUCH))
            continue;
        put(fixture, there, "w");
        expect(fixture, LARDER_OK, larder_touch(fixture->cache, there, long_ttls[i]));
        expect_text(fixture, there, "w");
    }
}

static void a_counter_starts_with_a_long_ttl(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_COUNT_INITIAL)) {
        leave_out(fixture, "traits lack COUNT_INITIAL");
        return;
    }
    for (size_t i = 0; i < LONG_TTLS; i++) {
        const struct larder_initial initial = {1, long_ttls[i], 0, 0};
        expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, &initial, NULL));
        expect_text(fixture, there, "2");
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    }
}

static void the_ttl_left_is_read_where_the_traits_say_so(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_info info = {.want = LARDER_WANT_TTL};
    put(fixture, there, "");
    if (!can(fixture, LARDER_CAN_READ_TTL)) {
        expect(fixture, LARDER_UNSUPPORTED, larder_read(fixture->cache, there, NULL, 0, &info));
        return;
    }
    expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, &info));
    expect_number(fixture, LARDER_TTL_FOREVER, info.ttl_ms);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text(""), AGEING_LONG_MS));
    expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, &info));
    int64_t slack = fixture_has_manual_clock(fixture) ? 0 : 10000;
    expect_that(fixture, info.ttl_ms <= AGEING_LONG_MS + fixture->traits->ttl_late_ms);
    expect_that(fixture, info.ttl_ms >= AGEING_LONG_MS - fixture->traits->ttl_step_ms - slack);
}

static void whether_it_was_read_before_is_told_where_the_traits_say_so(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_info info = {.want = LARDER_WANT_ACCESS}, plain = {0};
    put(fixture, there, "");
    if (!can(fixture, LARDER_CAN_READ_ACCESS)) {
        expect(fixture, LARDER_UNSUPPORTED, larder_read(fixture->cache, there, NULL, 0, &info));
        return;
    }
    for (int reads = 0; reads < 3; reads++) {
        expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, &info));
        expect_number(fixture, reads > 0 ? LARDER_HIT_BEFORE : 0, info.marks);
        expect_that(fixture, info.idle_ms >= 0 && info.idle_ms <= 20000);
    }
    expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, &plain));
    expect_number(fixture, 0, plain.marks); /* nobody asked */
    expect_number(fixture, -1, plain.idle_ms);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text(""), 0));
    expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, &info));
    expect_number(fixture, 0, info.marks);
}

static void a_manual_clock_expires_on_the_millisecond(struct fixture *fixture)
{
    static const int64_t ttls[] = {1, 2, 10, 999, 14999, 15000, 15001, 899999, 900001, 86400000};
    if (!fixture_has_manual_clock(fixture)) {
        leave_out(fixture, "the clock is a server's");
        return;
    }
    for (size_t i = 0; i < sizeof(ttls) / sizeof(ttls[0]); i++) {
        struct larder_slice there = key(fixture, "k");
        expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("v"), ttls[i]));
        fixture_wait(fixture, (uint64_t)ttls[i] - 1);
        expect_text(fixture, there, "v");
        fixture_wait(fixture, 1 + fixture->traits->ttl_late_ms);
        expect_none(fixture, there, LARDER_MISS);
    }
}

static void a_manual_clock_reaches_far_ttls(struct fixture *fixture)
{
    const uint64_t day = UINT64_C(86400000);
    if (!fixture_has_manual_clock(fixture)) {
        leave_out(fixture, "the clock is a server's");
        return;
    }
    put(fixture, key(fixture, "for ever"), "v");
    expect(
        fixture, LARDER_OK,
        larder_set(fixture->cache, key(fixture, "31 days"), larder_text("v"), (int64_t)(31 * day)));
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key(fixture, "20 years"), larder_text("v"),
                      (int64_t)(7300 * day)));
    fixture_wait(fixture, 31 * day - 1);
    expect_text(fixture, key(fixture, "31 days"), "v");
    fixture_wait(fixture, 1);
    expect_none(fixture, key(fixture, "31 days"), LARDER_MISS);
    fixture_wait(fixture, 7269 * day - 1);
    expect_text(fixture, key(fixture, "20 years"), "v");
    fixture_wait(fixture, 1);
    expect_none(fixture, key(fixture, "20 years"), LARDER_MISS);
    expect_text(fixture, key(fixture, "for ever"), "v");
}

/* ---- default and maximum, however a TTL is given -------------------------------------------- */

static const char *const ways[] = {"set", "add",           "row",  "touch",
                                   "got", "count initial", "fill", "absent"};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void give(struct fixture *fixture, struct larder_slice there, size_t way, int64_t ttl_ms)
{
    const struct larder_initial initial = {1, ttl_ms, 0, 0};
    struct larder_cache *cache = fixture->cache;
    struct larder_row row = {.key = there};
    struct larder_value value = {0};
    struct larder_lease held;
    struct larder_write write = larder_write_of(larder_text("1"), ttl_ms);
    row.write = write;
    if (way == 3 || way == 4)
        put(fixture, there, "1");
    if (way == 0)
        expect(fixture, LARDER_OK, larder_set(cache, there, write.value, ttl_ms));
    else if (way == 1)
        expect(fixture, LARDER_OK, larder_add(cache, there, write.value, ttl_ms));
    else if (way == 2)
        expect(fixture, LARDER_OK, larder_store_multi(cache, LARDER_SET, &row, 1));
    else if (way == 3)
        expect(fixture, LARDER_OK, larder_touch(cache, there, ttl_ms));
    else if (way == 4)
        expect(fixture, LARDER_OK, larder_get_and_touch(cache, there, ttl_ms, &value));
    else if (way == 5)
        expect(fixture, LARDER_OK, larder_incr(cache, there, 1, &initial, NULL));
    else if (way == 6 && lease(fixture, there, 1000, &held) == LARDER_MISS)
        expect(fixture, LARDER_OK, larder_lease_fill(cache, there, held, &write));
    else if (way == 7)
        expect(fixture, LARDER_OK, larder_set_absent(cache, there, ttl_ms));
    larder_value_release(&value);
}

/* Given every way, all must live for exactly this long. */
static void expect_lifetime(struct fixture *fixture, int64_t ttl_ms, uint64_t lifetime_ms)
{
    for (size_t way = 0; way < WAYS; way++)
        give(fixture, key(fixture, ways[way]), way, ttl_ms);
    fixture_wait(fixture, lifetime_ms - 1);
    for (size_t way = 0; way < WAYS; way++)
        expect(fixture, way == 7 ? LARDER_ABSENT : LARDER_OK,
               peek(fixture, key(fixture, ways[way])));
    fixture_wait(fixture, 1);
    for (size_t way = 0; way < WAYS; way++)
        expect_none(fixture, key(fixture, ways[way]), LARDER_MISS);
}

static void default_and_maximum_hold_however_a_ttl_is_given(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct fixture other;
    if (!fixture_has_manual_clock(fixture)) {
        leave_out(fixture, "the clock is a server's");
        return;
    }
    options.default_ttl_ms = 7000;
    options.max_ttl_ms = 9000;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    expect_lifetime(&other, LARDER_TTL_DEFAULT, 7000);
    expect_lifetime(&other, LARDER_TTL_FOREVER, 9000);
    expect_lifetime(&other, INT64_MAX, 9000);
    expect_lifetime(&other, 8000, 8000);
    fixture_close(&other);
}

/* A client takes the caches over, so it is what the fixture closes. */
static void a_namespace_has_ttls_of_its_own(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct fixture other;
    struct larder_cache *client = NULL;
    if (fixture->subject->shape != SHAPE_BARE) {
        leave_out(fixture, "no leaf");
        return;
    }
    options.default_ttl_ms = 50000;
    options.max_ttl_ms = 80000;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    const struct larder_route routes[] = {{"main", other.owner, LARDER_TTL_DEFAULT, 0},
                                          {"short", other.owner, 20000, 30000},
                                          {"long", other.owner, 0, 90000}};
    expect(&other, LARDER_OK, larder_client_open(NULL, NULL, routes, 3, &client, NULL, 0));
    other.owner = other.handle = other.cache = client;
    expect_number(&other, 50000, applied(&other, LARDER_TTL_DEFAULT));
    expect_number(&other, 80000, applied(&other, LARDER_TTL_FOREVER));
    expect(&other, LARDER_OK, larder_bind(client, "short", &other.cache));
    other.handle = other.cache;
    expect_number(&other, 20000, applied(&other, LARDER_TTL_DEFAULT));
    expect_number(&other, 30000, applied(&other, LARDER_TTL_FOREVER));
    expect_number(&other, 30000, applied(&other, 70000));
    expect(&other, LARDER_OK, larder_bind(client, "long", &other.cache));
    other.handle = other.cache;
    expect_number(&other, 80000, applied(&other, LARDER_TTL_DEFAULT));
    expect_number(&other, 80000, applied(&other, 85000));
    fixture_close(&other);
}

const struct contract_test ttl_tests[] = {
    CONTRACT_TEST(a_negative_ttl_is_a_bad_argument),
    CONTRACT_TEST(without_options_a_ttl_is_applied_as_it_is),
    CONTRACT_TEST(the_default_ttl_is_that_of_the_options),
    CONTRACT_TEST(max_ttl_cuts_longer_ttls_and_forever),
    CONTRACT_TEST(a_default_ttl_over_the_maximum_is_cut),
    CONTRACT_TEST(default_and_maximum_hold_however_a_ttl_is_given),
    CONTRACT_TEST(a_namespace_has_ttls_of_its_own),
    CONTRACT_TEST(a_long_ttl_is_never_gone_at_once),
    CONTRACT_TEST(a_counter_starts_with_a_long_ttl),
    CONTRACT_TEST(the_ttl_left_is_read_where_the_traits_say_so),
    CONTRACT_TEST(whether_it_was_read_before_is_told_where_the_traits_say_so),
    CONTRACT_TEST(a_manual_clock_expires_on_the_millisecond),
    CONTRACT_TEST(a_manual_clock_reaches_far_ttls),
    CONTRACT_TESTS_END,
};
