/*
 * Expiry. Everything is planted at once, and looked at once all TTLs of AGEING_TTL_MS are over, so
 * that a cache whose clock can't be set waits one time.
 */
#include "contract.h"

#include <string.h>

uint64_t ageing_ms(const struct fixture *fixture)
{
    return AGEING_TTL_MS + fixture->traits->ttl_late_ms +
           (fixture_has_manual_clock(fixture) ? 0 : 20);
}

static void store_for(struct fixture *fixture, const char *name, const char *text, int64_t ttl_ms)
{
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key(fixture, name), larder_text(text), ttl_ms));
    expect_text(fixture, key(fixture, name), text);
}

static void expect_gone(struct fixture *fixture, const char *name)
{
    expect_none(fixture, key(fixture, name), LARDER_MISS);
}

static void plant_plain(struct fixture *fixture)
{
    store_for(fixture, "plain short", "v", AGEING_TTL_MS);
    store_for(fixture, "plain long", "v", AGEING_LONG_MS);
    store_for(fixture, "plain for ever", "v", LARDER_TTL_FOREVER);
}

static void check_plain(struct fixture *fixture)
{
    expect_gone(fixture, "plain short");
    expect_text(fixture, key(fixture, "plain long"), "v");
    expect_text(fixture, key(fixture, "plain for ever"), "v");
}

/* First of all: it flushes. What a flush drops is gone for good, and what comes after it stays,
 * also when a namespace's generation is looked up again. */
static void plant_flushed(struct fixture *fixture)
{
    store_for(fixture, "before the flush", "v", LARDER_TTL_FOREVER);
    expect(fixture, if_can(fixture, LARDER_CAN_FLUSH, LARDER_OK), flush(fixture, fixture->handle));
    store_for(fixture, "after the flush", "v", LARDER_TTL_FOREVER);
}

static void check_flushed(struct fixture *fixture)
{
    expect_text(fixture, key(fixture, "after the flush"), "v");
    if (can(fixture, LARDER_CAN_FLUSH))
        expect_gone(fixture, "before the flush");
}

static void plant_reset(struct fixture *fixture)
{
    store_for(fixture, "reset longer", "old", AGEING_TTL_MS);
    store_for(fixture, "reset longer", "new", AGEING_LONG_MS);
    store_for(fixture, "reset shorter", "old", AGEING_LONG_MS);
    store_for(fixture, "reset shorter", "new", AGEING_TTL_MS);
    store_for(fixture, "deleted and set", "old", AGEING_TTL_MS);
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, key(fixture, "deleted and set"), 0));
    store_for(fixture, "deleted and set", "new", LARDER_TTL_FOREVER);
}

static void check_reset(struct fixture *fixture)
{
    expect_text(fixture, key(fixture, "reset longer"), "new");
    expect_gone(fixture, "reset shorter");
    expect_text(fixture, key(fixture, "deleted and set"), "new");
}

static void plant_joined(struct fixture *fixture)
{
    store_for(fixture, "joined short", "b", AGEING_TTL_MS);
    store_for(fixture, "joined long", "b", AGEING_LONG_MS);
    if (!can(fixture, LARDER_CAN_APPEND))
        return;
    for (unsigned i = 0; i < 2; i++) {
        struct larder_slice there = key(fixture, i == 0 ? "joined short" : "joined long");
        struct larder_write write =
            larder_write_of(larder_text("c"), i == 0 ? AGEING_LONG_MS : AGEING_TTL_MS);
        expect(fixture, LARDER_OK,
               larder_store(fixture->cache, LARDER_APPEND, there, &write, NULL));
        write.value = larder_text("a");
        expect(fixture, LARDER_OK,
               larder_store(fixture->cache, LARDER_PREPEND, there, &write, NULL));
    }
}

static void check_joined(struct fixture *fixture)
{
    expect_gone(fixture, "joined short");
    expect_text(fixture, key(fixture, "joined long"),
                can(fixture, LARDER_CAN_APPEND) ? "abc" : "b");
}

static void plant_counted(struct fixture *fixture)
{
    const struct larder_initial initial = {5, AGEING_TTL_MS, 0, 0};
    store_for(fixture, "counted short", "1", AGEING_TTL_MS);
    store_for(fixture, "counted long", "1", AGEING_LONG_MS);
    if (!can(fixture, LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL))
        return;
    expect(fixture, LARDER_OK,
           larder_incr(fixture->cache, key(fixture, "counted short"), 1, NULL, NULL));
    expect(fixture, LARDER_OK,
           larder_incr(fixture->cache, key(fixture, "counted long"), 1, &initial, NULL));
    expect(fixture, LARDER_OK,
           larder_incr(fixture->cache, key(fixture, "counted new"), 1, &initial, NULL));
    expect_text(fixture, key(fixture, "counted new"), "6");
}

static void check_counted(struct fixture *fixture)
{
    expect_gone(fixture, "counted short");
    expect_gone(fixture, "counted new");
    expect_text(fixture, key(fixture, "counted long"),
                can(fixture, LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL) ? "2" : "1");
}

static void plant_touched(struct fixture *fixture)
{
    struct larder_value value = {0};
    if (can(fixture, LARDER_CAN_TOUCH)) {
        store_for(fixture, "touched longer", "v", AGEING_TTL_MS);
        store_for(fixture, "touched for ever", "v", AGEING_TTL_MS);
        store_for(fixture, "touched shorter", "v", AGEING_LONG_MS);
        store_for(fixture, "touched from ever", "v", LARDER_TTL_FOREVER);
        expect(fixture, LARDER_OK,
               larder_touch(fixture->cache, key(fixture, "touched longer"), AGEING_LONG_MS));
        expect(fixture, LARDER_OK,
               larder_touch(fixture->cache, key(fixture, "touched for ever"), 0));
        expect(fixture, LARDER_OK,
               larder_touch(fixture->cache, key(fixture, "touched shorter"), AGEING_TTL_MS));
        expect(fixture, LARDER_OK,
               larder_touch(fixture->cache, key(fixture, "touched from ever"), AGEING_TTL_MS));
    }
    if (can(fixture, LARDER_CAN_GET_AND_TOUCH)) {
        store_for(fixture, "got longer", "v", AGEING_TTL_MS);
        expect(fixture, LARDER_OK,
               larder_get_and_touch(fixture->cache, key(fixture, "got longer"), AGEING_LONG_MS,
                                    &value));
        larder_value_release(&value);
        store_for(fixture, "got shorter", "v", AGEING_LONG_MS);
        expect(fixture, LARDER_OK,
               larder_get_and_touch(fixture->cache, key(fixture, "got shorter"), AGEING_TTL_MS,
                                    &value));
        larder_value_release(&value);
    }
}

static void check_touched(struct fixture *fixture)
{
    if (can(fixture, LARDER_CAN_TOUCH)) {
        expect_text(fixture, key(fixture, "touched longer"), "v");
        expect_text(fixture, key(fixture, "touched for ever"), "v");
        expect_gone(fixture, "touched shorter");
        expect_gone(fixture, "touched from ever");
    }
    if (can(fixture, LARDER_CAN_GET_AND_TOUCH)) {
        expect_text(fixture, key(fixture, "got longer"), "v");
        expect_gone(fixture, "got shorter");
    }
}

static void plant_modes(struct fixture *fixture)
{
    struct larder_slice added = key(fixture, "added"), replaced = key(fixture, "replaced");
    struct larder_slice swapped = key(fixture, "swapped");
    if (can(fixture, LARDER_CAN_ADD))
        expect(fixture, LARDER_OK,
               larder_add(fixture->cache, added, larder_text("v"), AGEING_TTL_MS));
    put(fixture, replaced, "old");
    if (can(fixture, LARDER_CAN_REPLACE))
        expect(fixture, LARDER_OK,
               larder_replace(fixture->cache, replaced, larder_text("v"), AGEING_TTL_MS));
    put(fixture, swapped, "old");
    if (can(fixture, LARDER_CAN_CAS))
        expect(fixture, LARDER_OK,
               larder_cas(fixture->cache, swapped, larder_text("v"), AGEING_TTL_MS,
                          version_of(fixture, swapped)));
}

static void check_modes(struct fixture *fixture)
{
    expect_none(fixture, key(fixture, "added"), LARDER_MISS);
    if (can(fixture, LARDER_CAN_REPLACE))
        expect_gone(fixture, "replaced");
    if (can(fixture, LARDER_CAN_CAS))
        expect_gone(fixture, "swapped");
}

static void plant_rows(struct fixture *fixture)
{
    struct larder_row rows[2] = {{.key = key(fixture, "row short")},
                                 {.key = key(fixture, "row long")}};
    rows[0].write = larder_write_of(larder_text("v"), AGEING_TTL_MS);
    rows[1].write = larder_write_of(larder_text("v"), AGEING_LONG_MS);
    expect(fixture, LARDER_OK, larder_store_multi(fixture->cache, LARDER_SET, rows, 2));
    if (!can(fixture, LARDER_CAN_TOUCH))
        return;
    rows[0].write.ttl_ms = AGEING_LONG_MS;
    rows[1].write.ttl_ms = AGEING_TTL_MS;
    expect(fixture, LARDER_OK, larder_touch_multi(fixture->cache, rows, 2));
}

static void check_rows(struct fixture *fixture)
{
    int touched = can(fixture, LARDER_CAN_TOUCH);
    struct larder_row rows[2] = {{.key = key(fixture, "row short")},
                                 {.key = key(fixture, "row long")}};
    expect(fixture, LARDER_OK, larder_get_multi(fixture->cache, rows, 2));
    expect(fixture, touched ? LARDER_OK : LARDER_MISS, rows[0].status);
    expect(fixture, touched ? LARDER_MISS : LARDER_OK, rows[1].status);
    larder_rows_release(rows, 2);
}

static void plant_negative(struct fixture *fixture)
{
    expect(fixture, if_can(fixture, LARDER_CAN_ABSENT, LARDER_OK),
           larder_set_absent(fixture->cache, key(fixture, "negative"), AGEING_TTL_MS));
    expect(fixture, if_can(fixture, LARDER_CAN_ABSENT, LARDER_OK),
           larder_set_absent(fixture->cache, key(fixture, "negative long"), AGEING_LONG_MS));
}

static void check_negative(struct fixture *fixture)
{
    expect_gone(fixture, "negative");
    expect_none(fixture, key(fixture, "negative long"),
                can(fixture, LARDER_CAN_ABSENT) ? LARDER_ABSENT : LARDER_MISS);
}

/* ---- leases -------------------------------------------------------------------------------- */

static struct larder_lease unfilled, filled_in_time;

static void plant_leases(struct fixture *fixture)
{
    struct larder_write write = larder_write_of(larder_text("v"), AGEING_TTL_MS);
    struct larder_lease other;
    if (!can(fixture, LARDER_CAN_LEASE))
        return;
    expect(fixture, LARDER_MISS,
           lease(fixture, key(fixture, "unfilled"), AGEING_TTL_MS, &unfilled));
    expect_that(fixture, unfilled.token != 0);
    expect(fixture, LARDER_MISS, lease(fixture, key(fixture, "unfilled"), AGEING_TTL_MS, &other));
    expect_number(fixture, 0, other.token);
    expect(fixture, LARDER_MISS,
           lease(fixture, key(fixture, "filled"), AGEING_TTL_MS, &filled_in_time));
    expect(fixture, LARDER_OK,
           larder_lease_fill(fixture->cache, key(fixture, "filled"), filled_in_time, &write));
    expect_text(fixture, key(fixture, "filled"), "v");
    expect(fixture, LARDER_MISS,
           lease(fixture, key(fixture, "filled long"), AGEING_TTL_MS, &filled_in_time));
    write.ttl_ms = AGEING_LONG_MS;
    expect(fixture, LARDER_OK,
           larder_lease_fill(fixture->cache, key(fixture, "filled long"), filled_in_time, &write));
}

/* A lease that ran out is void, and the next caller gets one. */
static void check_leases(struct fixture *fixture)
{
    struct larder_write write = larder_write_of(larder_text("late"), LARDER_TTL_FOREVER);
    struct larder_lease next;
    if (!can(fixture, LARDER_CAN_LEASE)) {
        leave_out(fixture, "traits lack LEASE");
        return;
    }
    expect(fixture, LARDER_CONFLICT,
           larder_lease_fill(fixture->cache, key(fixture, "unfilled"), unfilled, &write));
    expect_gone(fixture, "unfilled");
    expect(fixture, LARDER_MISS, lease(fixture, key(fixture, "unfilled"), 60000, &next));
    expect_that(fixture, next.token != 0 && next.token != unfilled.token);
    expect(fixture, LARDER_CONFLICT,
           larder_lease_return(fixture->cache, key(fixture, "unfilled"), unfilled));
    expect(fixture, LARDER_OK,
           larder_lease_fill(fixture->cache, key(fixture, "unfilled"), next, &write));
    expect_gone(fixture, "filled");
    expect_text(fixture, key(fixture, "filled long"), "v");
}

const struct ageing ageings[] = {
    {"what_is_stored_after_a_flush_stays", plant_flushed, check_flushed},
    {"an_entry_dies_of_its_ttl", plant_plain, check_plain},
    {"a_key_set_again_has_its_new_ttl", plant_reset, check_reset},
    {"append_and_prepend_keep_the_ttl", plant_joined, check_joined},
    {"counting_keeps_the_ttl", plant_counted, check_counted},
    {"touch_gives_a_new_ttl", plant_touched, check_touched},
    {"every_mode_sets_the_ttl", plant_modes, check_modes},
    {"rows_have_ttls_of_their_own", plant_rows, check_rows},
    {"a_negative_entry_dies_of_its_ttl", plant_negative, check_negative},
    {"a_lease_runs_out", plant_leases, check_leases},
    {"every_operation_on_an_expired_key", states_plant_expiring, states_check_expired},
    {NULL, NULL, NULL},
};
