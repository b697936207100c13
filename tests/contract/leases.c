/* Leases: one caller computes, and only what it computed in time and undisturbed is stored. */
#include "contract.h"

#define LEASE_MS 60000

static int cannot_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "cannot");
    struct larder_lease held = {9, 9}, made_up = {9, 0};
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    if (can(fixture, LARDER_CAN_LEASE))
        return 0;
    put(fixture, there, "v");
    expect(fixture, LARDER_UNSUPPORTED, lease(fixture, there, LEASE_MS, &held));
    expect_number(fixture, 0, held.token);
    expect(fixture, LARDER_UNSUPPORTED, larder_lease_fill(fixture->cache, there, made_up, &write));
    expect(fixture, LARDER_UNSUPPORTED, larder_lease_return(fixture->cache, there, made_up));
    expect_text(fixture, there, "v");
    return 1;
}

/* The lease of a missing key. */
static struct larder_lease take(struct fixture *fixture, struct larder_slice missing)
{
    struct larder_lease held = {0, 0};
    expect(fixture, LARDER_MISS, lease(fixture, missing, LEASE_MS, &held));
    expect_that(fixture, held.token != 0);
    return held;
}

static enum larder_status fill(struct fixture *fixture, struct larder_slice pending,
                               struct larder_lease held, const char *text)
{
    struct larder_write write = larder_write_of(larder_text(text), 0);
    return larder_lease_fill(fixture->cache, pending, held, &write);
}

static void one_caller_computes_what_is_missing(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_lease other = {1, 1};
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    for (unsigned i = 0; i < 3; i++) {
        expect(fixture, LARDER_MISS, lease(fixture, there, LEASE_MS, &other));
        expect_number(fixture, 0, other.token);
    }
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_OK, fill(fixture, there, held, "computed"));
    expect_text(fixture, there, "computed");
    expect(fixture, LARDER_OK, lease(fixture, there, LEASE_MS, &other));
    expect_number(fixture, 0, other.token);
}

static void a_lease_reads_a_live_value(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_lease held = {1, 1};
    struct larder_value value = {0};
    if (cannot_lease(fixture))
        return;
    put(fixture, there, "live");
    expect(fixture, LARDER_OK, larder_lease_get(fixture->cache, there, LEASE_MS, &value, &held));
    expect_slice(fixture, larder_text("live"), value.bytes);
    larder_value_release(&value);
    expect_number(fixture, 0, held.token);
}

static void a_lease_fills_once(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    expect(fixture, LARDER_OK, fill(fixture, there, held, "first"));
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "second"));
    expect(fixture, LARDER_CONFLICT, larder_lease_return(fixture->cache, there, held));
    expect_text(fixture, there, "first");
}

static void a_lease_fills_every_kind_of_value(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text(""), 0);
    if (cannot_lease(fixture))
        return;
    write.flags = UINT32_MAX;
    expect(fixture, LARDER_OK,
           larder_lease_fill(fixture->cache, there, take(fixture, there), &write));
    expect_text(fixture, there, "");
    expect_number(fixture, UINT32_MAX, flags_of(fixture, there));
    if (!can(fixture, LARDER_CAN_ABSENT))
        return;
    write.flags = 0;
    write.marks = LARDER_WRITE_ABSENT;
    expect(fixture, LARDER_OK,
           larder_lease_fill(fixture->cache, key(fixture, "absent"),
                             take(fixture, key(fixture, "absent")), &write));
    expect_none(fixture, key(fixture, "absent"), LARDER_ABSENT);
}

static void a_returned_lease_goes_to_the_next(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    expect(fixture, LARDER_OK, larder_lease_return(fixture->cache, there, held));
    expect(fixture, LARDER_CONFLICT, larder_lease_return(fixture->cache, there, held));
    struct larder_lease next = take(fixture, there);
    expect_that(fixture, next.token != held.token);
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "late"));
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_OK, fill(fixture, there, next, "computed"));
    expect_text(fixture, there, "computed");
}

static void a_store_voids_a_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k"), added = key(fixture, "added");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    put(fixture, there, "stored");
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "late"));
    expect(fixture, LARDER_CONFLICT, larder_lease_return(fixture->cache, there, held));
    expect_text(fixture, there, "stored");
    held = take(fixture, added);
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_OK),
           larder_add(fixture->cache, added, larder_text("stored"), 0));
    expect(fixture, LARDER_CONFLICT, fill(fixture, added, held, "late"));
    expect_text(fixture, added, "stored");
}

static void a_delete_voids_a_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    expect(fixture, LARDER_MISS, larder_delete(fixture->cache, there, 0));
    struct larder_lease next = take(fixture, there);
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "older than the delete"));
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_OK, fill(fixture, there, next, "newer"));
    expect_text(fixture, there, "newer");
}

static void a_store_and_a_delete_void_a_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    put(fixture, there, "stored");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "late"));
    expect_none(fixture, there, LARDER_MISS);
}

static void a_flush_voids_a_lease(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, there);
    expect(fixture, if_can(fixture, LARDER_CAN_FLUSH, LARDER_OK), flush(fixture, fixture->handle));
    if (!can(fixture, LARDER_CAN_FLUSH))
        return;
    expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "late"));
    expect_none(fixture, there, LARDER_MISS);
}

static void a_lease_is_for_its_key_only(struct fixture *fixture)
{
    struct larder_slice one = key(fixture, "one"), other = key(fixture, "other");
    if (cannot_lease(fixture))
        return;
    struct larder_lease held = take(fixture, one);
    expect(fixture, LARDER_CONFLICT, fill(fixture, other, held, "v"));
    expect_none(fixture, other, LARDER_MISS);
    put(fixture, other, "stays");
    expect(fixture, LARDER_CONFLICT, fill(fixture, other, held, "v"));
    expect(fixture, LARDER_CONFLICT, larder_lease_return(fixture->cache, other, held));
    expect_text(fixture, other, "stays");
    expect(fixture, LARDER_OK, fill(fixture, one, held, "v"));
}

static void a_lease_read_by_rows_is_missing(struct fixture *fixture)
{
    struct larder_row rows[2] = {{.key = key(fixture, "pending")}, {.key = key(fixture, "live")}};
    if (cannot_lease(fixture))
        return;
    take(fixture, rows[0].key);
    put(fixture, rows[1].key, "v");
    expect(fixture, LARDER_OK, larder_get_multi(fixture->cache, rows, 2));
    expect(fixture, LARDER_MISS, rows[0].status);
    expect(fixture, LARDER_OK, rows[1].status);
    larder_rows_release(rows, 2);
}

static void lease_arguments_are_checked(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    struct larder_lease held = {7, 7};
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_get(fixture->cache, there, 0, &value, &held));
    expect_number(fixture, 0, held.token);
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_lease_get(fixture->cache, there, LEASE_MS, NULL, &held));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_lease_get(fixture->cache, there, LEASE_MS, &value, NULL));
    if (cannot_lease(fixture))
        return;
    held = take(fixture, there);
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_fill(fixture->cache, there, held, NULL));
    struct larder_write write = larder_write_of(larder_text("v"), -5);
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_fill(fixture->cache, there, held, &write));
    expect(fixture, LARDER_OK, fill(fixture, there, held, "still mine"));
}

/* With less TTL left than recache_ms, one caller gets a token beside the value. */
static void recache_elects_one_caller_near_the_end(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    struct larder_lease held = {0, 0}, other = {0, 0};
    call.recache_ms = AGEING_LONG_MS / 2;
    if (!can(fixture, LARDER_CAN_LEASE) || (fixture->traits->options & LARDER_TAKES_RECACHE) == 0) {
        leave_out(fixture, "traits lack LEASE or RECACHE");
        return;
    }
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, there, larder_text("old"), AGEING_LONG_MS));
    expect(fixture, LARDER_OK,
           larder_lease_get_with(fixture->cache, &call, there, LEASE_MS, &value, &held));
    larder_value_release(&value);
    expect_number(fixture, 0, held.token);
    call.recache_ms = AGEING_LONG_MS + 60000;
    expect(fixture, LARDER_OK,
           larder_lease_get_with(fixture->cache, &call, there, LEASE_MS, &value, &held));
    expect_slice(fixture, larder_text("old"), value.bytes);
    larder_value_release(&value);
    expect_that(fixture, held.token != 0);
    expect(fixture, LARDER_OK,
           larder_lease_get_with(fixture->cache, &call, there, LEASE_MS, &value, &other));
    larder_value_release(&value);
    expect_number(fixture, 0, other.token);
    expect_text(fixture, there, "old");
    expect(fixture, LARDER_OK, fill(fixture, there, held, "fresh"));
    expect_text(fixture, there, "fresh");
}

static void a_returned_refresh_leaves_the_value(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    call.recache_ms = AGEING_LONG_MS;
    if (!can(fixture, LARDER_CAN_LEASE) || (fixture->traits->options & LARDER_TAKES_RECACHE) == 0) {
        leave_out(fixture, "traits lack LEASE or RECACHE");
        return;
    }
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("old"), 60000));
    for (unsigned i = 0; i < 3; i++) {
        struct larder_lease held = {0, 0};
        expect(fixture, LARDER_OK,
               larder_lease_get_with(fixture->cache, &call, there, LEASE_MS, &value, &held));
        larder_value_release(&value);
        expect_that(fixture, held.token != 0);
        expect(fixture, LARDER_OK, larder_lease_return(fixture->cache, there, held));
        expect(fixture, LARDER_CONFLICT, fill(fixture, there, held, "late"));
        expect_text(fixture, there, "old");
    }
}

const struct contract_test lease_tests[] = {
    CONTRACT_TEST(one_caller_computes_what_is_missing),
    CONTRACT_TEST(a_lease_reads_a_live_value),
    CONTRACT_TEST(a_lease_fills_once),
    CONTRACT_TEST(a_lease_fills_every_kind_of_value),
    CONTRACT_TEST(a_returned_lease_goes_to_the_next),
    CONTRACT_TEST(a_store_voids_a_lease),
    CONTRACT_TEST(a_delete_voids_a_lease),
    CONTRACT_TEST(a_store_and_a_delete_void_a_lease),
    CONTRACT_TEST(a_flush_voids_a_lease),
    CONTRACT_TEST(a_lease_is_for_its_key_only),
    CONTRACT_TEST(a_lease_read_by_rows_is_missing),
    CONTRACT_TEST(lease_arguments_are_checked),
    CONTRACT_TEST(recache_elects_one_caller_near_the_end),
    CONTRACT_TEST(a_returned_refresh_leaves_the_value),
    CONTRACT_TESTS_END,
};
