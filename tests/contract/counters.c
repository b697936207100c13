/* Counters: unsigned 64-bit numbers in decimal text. */
#include "contract.h"

#include <larder/util/counter.h>

#include <stdio.h>
#include <string.h>

#define MAX_TEXT "18446744073709551615"

/*
 * Of a number from 2^63 on memcached's safe_strtoull() says NOT_A_NUMBER when a '-' follows
 * anywhere before the next NUL in its memory: it searches past the end of the value for one.
 */
static int is_safe(struct fixture *fixture, uint64_t number)
{
    if (number <= INT64_MAX || (fixture->traits->promises & LARDER_STRICT_COUNTERS) != 0)
        return 1;
    leave_out(fixture, "numbers from 2^63 on: traits lack STRICT_COUNTERS");
    return 0;
}

/* The stored text must be this number; spaces may follow. */
static void expect_counter(struct fixture *fixture, struct larder_slice there, uint64_t wanted)
{
    struct larder_value value = {0};
    uint64_t number = ~wanted;
    expect(fixture, LARDER_OK, larder_get(fixture->cache, there, &value));
    int is_counter = larder_counter_parse(value.bytes, &number);
    larder_value_release(&value);
    expect_that(fixture, is_counter);
    expect_number(fixture, wanted, number);
    if (!is_safe(fixture, wanted))
        return;
    number = ~wanted;
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 0, NULL, &number));
    expect_number(fixture, wanted, number);
}

static int cannot_count(struct fixture *fixture)
{
    if (can(fixture, LARDER_CAN_COUNT))
        return 0;
    leave_out(fixture, "traits lack COUNT");
    return 1;
}

static void a_counter_counts_up_and_down(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 0;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "7");
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 95, NULL, &result));
    expect_number(fixture, 102, result);
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 3, NULL, &result));
    expect_number(fixture, 99, result);
    expect_counter(fixture, there, 99);
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, NULL));
    expect_counter(fixture, there, 100);
}

static void a_shortened_counter_is_still_a_number(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 0;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "10");
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 9, result);
    expect_counter(fixture, there, 9);
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 10, result);
    expect_counter(fixture, there, 10);
}

static void a_counter_may_end_in_spaces(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 0;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "41   ");
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 42, result);
    expect_counter(fixture, there, 42);
}

static void incr_wraps_at_2_to_the_64(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 1;
    if (cannot_count(fixture) || !is_safe(fixture, UINT64_MAX))
        return;
    put(fixture, there, MAX_TEXT);
    expect_counter(fixture, there, UINT64_MAX);
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 0, result);
    expect_counter(fixture, there, 0);
    put(fixture, there, MAX_TEXT);
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1000, NULL, &result));
    expect_number(fixture, 999, result);
}

static void decr_stops_at_0(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 1;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "5");
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 6, NULL, &result));
    expect_number(fixture, 0, result);
    expect_counter(fixture, there, 0);
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 0, result);
    put(fixture, there, "5");
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 5, NULL, &result));
    expect_number(fixture, 0, result);
}

static void counting_keeps_flags(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("9"), 0);
    if (cannot_count(fixture))
        return;
    write.flags = 0x80000001u;
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_SET, there, &write, NULL));
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, NULL));
    expect_number(fixture, 0x80000001u, flags_of(fixture, there));
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, 1, NULL, NULL));
    expect_number(fixture, 0x80000001u, flags_of(fixture, there));
}

static void refuse_to_count(struct fixture *fixture, struct larder_slice text)
{
    const struct larder_initial initial = {1, 0, 0, 0};
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 99;
    char name[64];
    const char *test = fixture->test;
    snprintf(name, sizeof(name), "%s: \"%.*s\"", test, (int)text.length, (const char *)text.data);
    fixture->test = name;
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, text, 0));
    expect(fixture, LARDER_NOT_A_NUMBER, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 0, result);
    expect(fixture, LARDER_NOT_A_NUMBER, larder_decr(fixture->cache, there, 1, NULL, NULL));
    expect(fixture, LARDER_NOT_A_NUMBER, larder_incr(fixture->cache, there, 0, NULL, NULL));
    if (can(fixture, LARDER_CAN_COUNT_INITIAL))
        expect(fixture, LARDER_NOT_A_NUMBER, larder_incr(fixture->cache, there, 1, &initial, NULL));
    expect_value(fixture, there, text);
    fixture->test = test;
}

static void what_is_no_number_is_left_alone(struct fixture *fixture)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "word",
                                        "12x",
                                        "x12",
                                        "1.5",
                                        "0x10",
                                        "1e3",
                                        "18446744073709551616",
                                        "99999999999999999999"};
    /* memcached asks strtoull(), which reads over white space, even past the value's end */
    static const char *const strict[] = {" ",   " 1",  "\t1", "-1",  "+1",
                                         "1 2", "1 x", "1\n", "1\t", "000000000000000000001"};
    if (cannot_count(fixture))
        return;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        refuse_to_count(fixture, larder_text(texts[i]));
    if ((fixture->traits->promises & LARDER_STRICT_COUNTERS) == 0) {
        leave_out(fixture, "signs, white space, NUL: traits lack STRICT_COUNTERS");
        return;
    }
    refuse_to_count(fixture, larder_bytes("1\0", 2));
    for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++)
        refuse_to_count(fixture, larder_text(strict[i]));
}

static void a_counter_may_have_leading_zeros(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 0;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "00000000000000000041");
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 42, result);
    expect_counter(fixture, there, 42);
}

static void start_counter(struct fixture *fixture, enum larder_direction direction, uint64_t from,
                          uint64_t delta, uint64_t wanted)
{
    const struct larder_initial initial = {from, 0, 0xc0ffee00u, 0};
    struct larder_slice there = key(fixture, "k");
    uint64_t result = ~wanted;
    expect(fixture, LARDER_OK,
           larder_count(fixture->cache, there, direction, delta, &initial, &result));
    expect_number(fixture, wanted, result);
    expect_counter(fixture, there, wanted);
    expect_number(fixture, 0xc0ffee00u, flags_of(fixture, there));
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
}

static void a_missing_counter_starts_at_its_initial_value_and_delta(struct fixture *fixture)
{
    if (!can(fixture, LARDER_CAN_COUNT_INITIAL)) {
        leave_out(fixture, "traits lack COUNT_INITIAL");
        return;
    }
    start_counter(fixture, LARDER_UP, 100, 5, 105);
    start_counter(fixture, LARDER_DOWN, 100, 5, 95);
    start_counter(fixture, LARDER_UP, 0, 0, 0);
    start_counter(fixture, LARDER_DOWN, 3, 5, 0);
    start_counter(fixture, LARDER_UP, UINT64_MAX, 1, 0);
    start_counter(fixture, LARDER_UP, UINT64_MAX, 0, UINT64_MAX);
}

static void an_initial_value_is_of_no_use_to_a_live_counter(struct fixture *fixture)
{
    const struct larder_initial initial = {100, 0, 3, 0};
    struct larder_slice there = key(fixture, "k");
    uint64_t result = 0;
    if (!can(fixture, LARDER_CAN_COUNT_INITIAL)) {
        leave_out(fixture, "traits lack COUNT_INITIAL");
        return;
    }
    put(fixture, there, "1");
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, 1, &initial, &result));
    expect_number(fixture, 2, result);
    expect_number(fixture, 0, flags_of(fixture, there));
}

static void a_delta_over_its_maximum_is_too_large(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    uint64_t largest = fixture->traits->delta_max, result = 0;
    if (cannot_count(fixture))
        return;
    put(fixture, there, "0");
    expect(fixture, LARDER_OK, larder_incr(fixture->cache, there, largest, NULL, &result));
    expect_number(fixture, largest, result);
    expect_counter(fixture, there, largest);
    if (!is_safe(fixture, largest))
        return;
    expect(fixture, LARDER_OK, larder_decr(fixture->cache, there, largest, NULL, &result));
    expect_number(fixture, 0, result);
    if (largest == UINT64_MAX)
        return;
    put(fixture, there, "1");
    expect(fixture, LARDER_TOO_LARGE,
           larder_incr(fixture->cache, there, largest + 1, NULL, &result));
    expect(fixture, LARDER_TOO_LARGE,
           larder_decr(fixture->cache, there, UINT64_MAX, NULL, &result));
    expect_number(fixture, 0, result);
    expect_counter(fixture, there, 1);
}

const struct contract_test counter_tests[] = {
    CONTRACT_TEST(a_counter_counts_up_and_down),
    CONTRACT_TEST(a_shortened_counter_is_still_a_number),
    CONTRACT_TEST(a_counter_may_end_in_spaces),
    CONTRACT_TEST(incr_wraps_at_2_to_the_64),
    CONTRACT_TEST(decr_stops_at_0),
    CONTRACT_TEST(counting_keeps_flags),
    CONTRACT_TEST(what_is_no_number_is_left_alone),
    CONTRACT_TEST(a_counter_may_have_leading_zeros),
    CONTRACT_TEST(a_missing_counter_starts_at_its_initial_value_and_delta),
    CONTRACT_TEST(an_initial_value_is_of_no_use_to_a_live_counter),
    CONTRACT_TEST(a_delta_over_its_maximum_is_too_large),
    CONTRACT_TESTS_END,
};
