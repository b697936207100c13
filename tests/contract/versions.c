/* Versions: cas tokens, that change with every write and never come back. */
#include "contract.h"

#include <string.h>

static void cas_stores_at_the_version_that_was_read(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    put(fixture, there, "old");
    uint64_t version = version_of(fixture, there);
    expect(fixture, LARDER_OK, larder_cas(fixture->cache, there, larder_text("new"), 0, version));
    expect_text(fixture, there, "new");
    expect(fixture, LARDER_CONFLICT,
           larder_cas(fixture->cache, there, larder_text("late"), 0, version));
    expect_text(fixture, there, "new");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    expect(fixture, LARDER_MISS,
           larder_cas(fixture->cache, there, larder_text("late"), 0, version));
    expect_none(fixture, there, LARDER_MISS);
}

static void read_and_get_show_the_same_version(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    put(fixture, there, "v");
    uint64_t version = version_of(fixture, there);
    expect_number(fixture, version, version_of(fixture, there));
    expect(fixture, LARDER_OK, larder_get(fixture->cache, there, &value));
    expect_number(fixture, version, value.info.version);
    larder_value_release(&value);
}

static void version_0_is_a_bad_argument_of_cas(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    put(fixture, there, "old");
    expect(fixture, if_can(fixture, LARDER_CAN_CAS, LARDER_BAD_ARGUMENT),
           larder_cas(fixture->cache, there, larder_text("flush_all\r\n"), 0, 0));
    expect_text(fixture, there, "old");
}

/* Each of these writes to a live "5". */
static enum larder_status write_once(struct fixture *fixture, struct larder_slice there,
                                     unsigned how)
{
    struct larder_slice text = larder_text("6");
    switch (how) {
    case 0:
        return larder_set(fixture->cache, there, text, 0);
    case 1:
        return larder_replace(fixture->cache, there, text, 0);
    case 2:
        return larder_append(fixture->cache, there, text);
    case 3:
        return larder_prepend(fixture->cache, there, text);
    case 4:
        return larder_cas(fixture->cache, there, text, 0, version_of(fixture, there));
    default:
        return larder_incr(fixture->cache, there, 1, NULL, NULL);
    }
}

static void every_write_makes_a_new_version(struct fixture *fixture)
{
    static const uint64_t needs[] = {0,
                                     LARDER_CAN_REPLACE,
                                     LARDER_CAN_APPEND,
                                     LARDER_CAN_APPEND,
                                     LARDER_CAN_CAS,
                                     LARDER_CAN_COUNT};
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    for (unsigned how = 0; how < 6; how++) {
        if (!can(fixture, needs[how]))
            continue;
        put(fixture, there, "5");
        uint64_t version = version_of(fixture, there);
        expect(fixture, LARDER_OK, write_once(fixture, there, how));
        expect_that(fixture, version_of(fixture, there) != version);
        expect(fixture, LARDER_CONFLICT,
               larder_cas(fixture->cache, there, larder_text("late"), 0, version));
    }
}

static void a_version_never_comes_back(struct fixture *fixture)
{
    enum { ROUNDS = 60 };
    uint64_t seen[ROUNDS];
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        put(fixture, there, "same bytes");
        seen[round] = version_of(fixture, there);
        for (unsigned earlier = 0; earlier < round; earlier++)
            expect_that(fixture, seen[earlier] != seen[round]);
        if (round % 3 == 1)
            expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
        if (round % 3 == 2 && can(fixture, LARDER_CAN_FLUSH))
            expect(fixture, LARDER_OK, flush(fixture, fixture->handle));
    }
}

static void a_version_from_before_a_delete_conflicts(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    put(fixture, there, "v");
    uint64_t version = version_of(fixture, there);
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    put(fixture, there, "v");
    expect(fixture, LARDER_CONFLICT,
           larder_cas(fixture->cache, there, larder_text("late"), 0, version));
    expect(fixture, if_can(fixture, LARDER_CAN_DELETE_VERSION, LARDER_CONFLICT),
           larder_delete(fixture->cache, there, version));
    expect_text(fixture, there, "v");
}

static void a_delete_takes_only_the_version_it_names(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_DELETE_VERSION)) {
        leave_out(fixture, "traits lack DELETE_VERSION");
        return;
    }
    put(fixture, there, "old");
    uint64_t old = version_of(fixture, there);
    put(fixture, there, "new");
    expect(fixture, LARDER_CONFLICT, larder_delete(fixture->cache, there, old));
    expect_text(fixture, there, "new");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, version_of(fixture, there)));
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_MISS, larder_delete(fixture->cache, there, old));
    /* and nothing of it is in the way of what comes next */
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_OK),
           larder_add(fixture->cache, there, larder_text("next"), 0));
}

static void a_store_tells_its_version_where_the_traits_say_so(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    uint64_t version = 99;
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_SET, there, &write, &version));
    if (can(fixture, LARDER_CAN_STORE_VERSION))
        expect_number(fixture, version_of(fixture, there), version);
    else
        expect_number(fixture, 0, version);
    version = 99;
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_EXISTS),
           larder_store(fixture->cache, LARDER_ADD, there, &write, &version));
    expect_number(fixture, 0, version);
}

const struct contract_test version_tests[] = {
    CONTRACT_TEST(cas_stores_at_the_version_that_was_read),
    CONTRACT_TEST(read_and_get_show_the_same_version),
    CONTRACT_TEST(version_0_is_a_bad_argument_of_cas),
    CONTRACT_TEST(every_write_makes_a_new_version),
    CONTRACT_TEST(a_version_never_comes_back),
    CONTRACT_TEST(a_version_from_before_a_delete_conflicts),
    CONTRACT_TEST(a_delete_takes_only_the_version_it_names),
    CONTRACT_TEST(a_store_tells_its_version_where_the_traits_say_so),
    CONTRACT_TESTS_END,
};
