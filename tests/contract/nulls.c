/* null's own table, instead of the suite: writes are OK, reads MISS, everybody gets a lease. */
#include "contract.h"

#include <string.h>

static void writes_are_ok_and_keep_nothing(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    for (int mode = LARDER_SET; mode <= LARDER_CAS; mode++) {
        uint64_t version = 0;
        write.version = mode == LARDER_CAS ? 77 : 0;
        expect(fixture, LARDER_OK,
               larder_store(fixture->cache, (enum larder_mode)mode, there, &write, &version));
        expect_none(fixture, there, LARDER_MISS);
    }
    expect(fixture, LARDER_OK, larder_set_absent(fixture->cache, there, 0));
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 5));
    expect(fixture, LARDER_OK, larder_invalidate(fixture->cache, there));
    expect(fixture, LARDER_OK, larder_flush(fixture->cache));
}

static void what_reads_misses(struct fixture *fixture)
{
    const struct larder_initial initial = {1, 0, 0, 0};
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    uint64_t result = 9;
    expect(fixture, LARDER_MISS, larder_touch(fixture->cache, there, 1000));
    expect(fixture, LARDER_MISS, larder_get_and_touch(fixture->cache, there, 1000, &value));
    expect(fixture, LARDER_MISS, larder_incr(fixture->cache, there, 1, NULL, &result));
    expect_number(fixture, 0, result);
    expect(fixture, LARDER_MISS, larder_decr(fixture->cache, there, 1, NULL, NULL));
    expect(fixture, LARDER_MISS, larder_incr(fixture->cache, there, 1, &initial, &result));
    expect(fixture, LARDER_MISS, larder_decr(fixture->cache, there, 1, &initial, &result));
    expect_number(fixture, 0, result);
}

static void everybody_gets_a_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct larder_lease held = {0, 0};
        expect(fixture, LARDER_MISS, lease(fixture, there, 1000, &held));
        expect_that(fixture, held.token != 0);
        expect(fixture, LARDER_OK, larder_lease_fill(fixture->cache, there, held, &write));
        expect(fixture, LARDER_OK, larder_lease_return(fixture->cache, there, held));
        expect_none(fixture, there, LARDER_MISS);
    }
}

static void rows_are_answered_alike(struct fixture *fixture)
{
    static const enum larder_status wanted[] = {LARDER_MISS, LARDER_MISS, LARDER_OK, LARDER_OK,
                                                LARDER_MISS};
    for (int many = LARDER_MANY_READ; many <= LARDER_MANY_TOUCH; many++) {
        struct larder_row rows[2] = {{.key = key(fixture, "a")}, {.key = key(fixture, "b")}};
        rows[0].write = rows[1].write = larder_write_of(larder_text("v"), 0);
        expect(fixture, LARDER_OK,
               larder_many(fixture->cache, NULL, (enum larder_many_kind)many, LARDER_SET, rows, 2,
                           sizeof(rows[0])));
        expect(fixture, wanted[many], rows[0].status);
        expect(fixture, wanted[many], rows[1].status);
    }
}

static void there_are_no_keys(struct fixture *fixture)
{
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[4];
    char buffer[64];
    size_t count = 9;
    expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), larder_text("v"), 0));
    expect(fixture, LARDER_OK,
           larder_keys(fixture->cache, &cursor, buffer, sizeof(buffer), keys, 4, &count));
    expect_number(fixture, 0, count);
}

static void the_traits_say_that_nothing_is_kept(struct fixture *fixture)
{
    expect_that(fixture, (fixture->traits->promises & LARDER_KEEPS_NOTHING) != 0);
}

static void limits_hold_where_nothing_is_kept(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    expect(fixture, LARDER_BAD_KEY,
           larder_set(fixture->cache, larder_bytes("", 0), larder_text("v"), 0));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_set(fixture->cache, there, larder_text("v"), -1));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_cas(fixture->cache, there, larder_text("v"), 0, 0));
}

const struct contract_test null_tests[] = {
    CONTRACT_TEST(writes_are_ok_and_keep_nothing),
    CONTRACT_TEST(what_reads_misses),
    CONTRACT_TEST(everybody_gets_a_lease),
    CONTRACT_TEST(rows_are_answered_alike),
    CONTRACT_TEST(there_are_no_keys),
    CONTRACT_TEST(the_traits_say_that_nothing_is_kept),
    CONTRACT_TEST(limits_hold_where_nothing_is_kept),
    CONTRACT_TESTS_END,
};
