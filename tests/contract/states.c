/*
 * The contract's table: every operation on a key in every state, what it answers, and what is there
 * afterwards.
 */
#include "contract.h"

#include <stdio.h>
#include <string.h>

/* A live entry is LIVE_TEXT: a counter, so that every operation has something to do. */
#define LIVE_TEXT "7"
#define NEW_TEXT "new"
#define LIVE_FLAGS 0xf00dcafeu
#define NO_SUCH_VERSION UINT64_C(0x7fedcba987654321)

/* What is there after an operation. */
#define UNCHANGED NULL
#define NOTHING ""

struct planted {
    struct larder_slice key;
    uint64_t version;          /* of the entry that is or was there; else one that nothing has */
    struct larder_lease lease; /* of a pending key */
};

struct operation {
    const char *name;
    uint64_t needs; /* LARDER_CAN_* */
    enum larder_status (*run)(struct fixture *fixture, const struct planted *planted);
    enum larder_status live, gone, negative;
    const char *after_live; /* the text that is there then */
    const char *after_gone;
};

/* ---- the operations ------------------------------------------------------------------------ */

static enum larder_status run_read(struct fixture *fixture, const struct planted *planted)
{
    char buffer[64];
    return larder_read(fixture->cache, planted->key, buffer, sizeof(buffer), NULL);
}

static enum larder_status run_get(struct fixture *fixture, const struct planted *planted)
{
    struct larder_value value = {0};
    enum larder_status status = larder_get(fixture->cache, planted->key, &value);
    larder_value_release(&value);
    return status;
}

static enum larder_status store(struct fixture *fixture, const struct planted *planted,
                                enum larder_mode mode, const char *text)
{
    struct larder_write write = larder_write_of(larder_text(text), LARDER_TTL_FOREVER);
    write.version = mode == LARDER_CAS ? planted->version : 0;
    return larder_store(fixture->cache, mode, planted->key, &write, NULL);
}

#define RUN_STORE(name, mode, text)                                                        \
    static enum larder_status name(struct fixture *fixture, const struct planted *planted) \
    {                                                                                      \
        return store(fixture, planted, mode, text);                                        \
    }
RUN_STORE(run_set, LARDER_SET, NEW_TEXT)
RUN_STORE(run_add, LARDER_ADD, NEW_TEXT)
RUN_STORE(run_replace, LARDER_REPLACE, NEW_TEXT)
RUN_STORE(run_append, LARDER_APPEND, "x")
RUN_STORE(run_prepend, LARDER_PREPEND, "x")
RUN_STORE(run_cas, LARDER_CAS, NEW_TEXT)

static enum larder_status run_old_cas(struct fixture *fixture, const struct planted *planted)
{
    return larder_cas(fixture->cache, planted->key, larder_text(NEW_TEXT), LARDER_TTL_FOREVER,
                      NO_SUCH_VERSION);
}

static enum larder_status run_delete(struct fixture *fixture, const struct planted *planted)
{
    return larder_delete(fixture->cache, planted->key, 0);
}

static enum larder_status run_invalidate(struct fixture *fixture, const struct planted *planted)
{
    return larder_invalidate(fixture->cache, planted->key);
}

static enum larder_status run_delete_version(struct fixture *fixture, const struct planted *planted)
{
    return larder_delete(fixture->cache, planted->key, planted->version);
}

static enum larder_status run_delete_old_version(struct fixture *fixture,
                                                 const struct planted *planted)
{
    return larder_delete(fixture->cache, planted->key, NO_SUCH_VERSION);
}

static enum larder_status run_touch(struct fixture *fixture, const struct planted *planted)
{
    return larder_touch(fixture->cache, planted->key, AGEING_LONG_MS);
}

static enum larder_status run_get_and_touch(struct fixture *fixture, const struct planted *planted)
{
    struct larder_value value = {0};
    enum larder_status status =
        larder_get_and_touch(fixture->cache, planted->key, AGEING_LONG_MS, &value);
    if (status == LARDER_OK)
        expect_slice(fixture, larder_text(LIVE_TEXT), value.bytes);
    else
        expect_that(fixture, value.owner == NULL && value.bytes.length == 0);
    larder_value_release(&value);
    return status;
}

static enum larder_status count(struct fixture *fixture, const struct planted *planted,
                                enum larder_direction direction, uint64_t delta, int initial)
{
    const struct larder_initial from = {100, AGEING_LONG_MS, LIVE_FLAGS, 0};
    uint64_t result = 55, stored = 0;
    enum larder_status status = larder_count(fixture->cache, planted->key, direction, delta,
                                             initial ? &from : NULL, &result);
    if (status != LARDER_OK) {
        expect_number(fixture, 0, result);
        return status;
    }
    expect(fixture, LARDER_OK,
           larder_count(fixture->cache, planted->key, LARDER_UP, 0, NULL, &stored));
    expect_number(fixture, result, stored);
    return status;
}

#define RUN_COUNT(name, direction, delta, initial)                                         \
    static enum larder_status name(struct fixture *fixture, const struct planted *planted) \
    {                                                                                      \
        return count(fixture, planted, direction, delta, initial);                         \
    }
RUN_COUNT(run_incr, LARDER_UP, 3, 0)
RUN_COUNT(run_decr, LARDER_DOWN, 3, 0)
RUN_COUNT(run_count_read, LARDER_UP, 0, 0)
RUN_COUNT(run_incr_initial, LARDER_UP, 3, 1)
RUN_COUNT(run_decr_initial, LARDER_DOWN, 1, 1)

static enum larder_status run_lease_get(struct fixture *fixture, const struct planted *planted)
{
    struct larder_lease taken = {0, 0};
    enum larder_status status = lease(fixture, planted->key, 60000, &taken);
    if (status == LARDER_OK || status == LARDER_ABSENT)
        expect_number(fixture, 0, taken.token);
    return status;
}

/* `many` of one row, which must answer as the single form. */
static enum larder_status run_many(struct fixture *fixture, const struct planted *planted,
                                   enum larder_many_kind many, enum larder_mode mode)
{
    char buffer[64];
    struct larder_row row = {.key = planted->key, .buffer = buffer, .size = sizeof(buffer)};
    row.write = larder_write_of(larder_text(NEW_TEXT), AGEING_LONG_MS);
    row.write.version = many == LARDER_MANY_STORE && mode == LARDER_CAS ? planted->version : 0;
    enum larder_status all =
        larder_many(fixture->cache, NULL, many, mode, &row, 1, sizeof(struct larder_row));
    expect(fixture, row.status < LARDER_OK ? row.status : LARDER_OK, all);
    larder_rows_release(&row, 1);
    return row.status;
}

#define RUN_MANY(name, many, mode)                                                         \
    static enum larder_status name(struct fixture *fixture, const struct planted *planted) \
    {                                                                                      \
        return run_many(fixture, planted, many, mode);                                     \
    }
RUN_MANY(run_read_multi, LARDER_MANY_READ, LARDER_SET)
RUN_MANY(run_get_multi, LARDER_MANY_GET, LARDER_SET)
RUN_MANY(run_set_multi, LARDER_MANY_STORE, LARDER_SET)
RUN_MANY(run_add_multi, LARDER_MANY_STORE, LARDER_ADD)
RUN_MANY(run_replace_multi, LARDER_MANY_STORE, LARDER_REPLACE)
RUN_MANY(run_cas_multi, LARDER_MANY_STORE, LARDER_CAS)
RUN_MANY(run_delete_multi, LARDER_MANY_DELETE, LARDER_SET)
RUN_MANY(run_touch_multi, LARDER_MANY_TOUCH, LARDER_SET)

#define COUNT_BITS (LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL)
/* clang-format off */
static const struct operation operations[] = {
    /* name, needs, run, on a live key, on none, on a negative one, there then: after live, none */
    {"read", 0, run_read, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
    {"get", 0, run_get, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
    {"read_multi", 0, run_read_multi, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
    {"get_multi", 0, run_get_multi, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
    {"set", 0, run_set, LARDER_OK, LARDER_OK, LARDER_OK, NEW_TEXT, NEW_TEXT},
    {"set_multi", 0, run_set_multi, LARDER_OK, LARDER_OK, LARDER_OK, NEW_TEXT, NEW_TEXT},
    {"add", LARDER_CAN_ADD, run_add, LARDER_EXISTS, LARDER_OK, LARDER_OK, UNCHANGED, NEW_TEXT},
    {"add_multi", LARDER_CAN_ADD, run_add_multi, LARDER_EXISTS, LARDER_OK, LARDER_OK, UNCHANGED, NEW_TEXT},
    {"replace", LARDER_CAN_REPLACE, run_replace, LARDER_OK, LARDER_MISS, LARDER_MISS, NEW_TEXT, UNCHANGED},
    {"replace_multi", LARDER_CAN_REPLACE, run_replace_multi, LARDER_OK, LARDER_MISS, LARDER_MISS, NEW_TEXT, UNCHANGED},
    {"append", LARDER_CAN_APPEND, run_append, LARDER_OK, LARDER_MISS, LARDER_MISS, LIVE_TEXT "x", UNCHANGED},
    {"prepend", LARDER_CAN_APPEND, run_prepend, LARDER_OK, LARDER_MISS, LARDER_MISS, "x" LIVE_TEXT, UNCHANGED},
    {"cas", LARDER_CAN_CAS, run_cas, LARDER_OK, LARDER_MISS, LARDER_MISS, NEW_TEXT, UNCHANGED},
    {"cas_multi", LARDER_CAN_CAS, run_cas_multi, LARDER_OK, LARDER_MISS, LARDER_MISS, NEW_TEXT, UNCHANGED},
    {"cas_of_another_version", LARDER_CAN_CAS, run_old_cas, LARDER_CONFLICT, LARDER_MISS, LARDER_MISS, UNCHANGED, UNCHANGED},
    {"delete", 0, run_delete, LARDER_OK, LARDER_MISS, LARDER_MISS, NOTHING, NOTHING},
    {"delete_multi", 0, run_delete_multi, LARDER_OK, LARDER_MISS, LARDER_MISS, NOTHING, NOTHING},
    {"invalidate", 0, run_invalidate, LARDER_OK, LARDER_OK, LARDER_OK, NOTHING, NOTHING},
    {"delete_at_its_version", LARDER_CAN_DELETE_VERSION, run_delete_version, LARDER_OK, LARDER_MISS, LARDER_MISS, NOTHING, UNCHANGED},
    {"delete_at_another_version", LARDER_CAN_DELETE_VERSION, run_delete_old_version, LARDER_CONFLICT, LARDER_MISS, LARDER_MISS, UNCHANGED, UNCHANGED},
    {"touch", LARDER_CAN_TOUCH, run_touch, LARDER_OK, LARDER_MISS, LARDER_MISS, UNCHANGED, UNCHANGED},
    {"touch_multi", LARDER_CAN_TOUCH, run_touch_multi, LARDER_OK, LARDER_MISS, LARDER_MISS, UNCHANGED, UNCHANGED},
    {"get_and_touch", LARDER_CAN_GET_AND_TOUCH, run_get_and_touch, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
    {"incr", LARDER_CAN_COUNT, run_incr, LARDER_OK, LARDER_MISS, LARDER_MISS, "10", UNCHANGED},
    {"decr", LARDER_CAN_COUNT, run_decr, LARDER_OK, LARDER_MISS, LARDER_MISS, "4", UNCHANGED},
    {"incr_by_0", LARDER_CAN_COUNT, run_count_read, LARDER_OK, LARDER_MISS, LARDER_MISS, UNCHANGED, UNCHANGED},
    {"incr_with_initial", COUNT_BITS, run_incr_initial, LARDER_OK, LARDER_OK, LARDER_OK, "10", "103"},
    {"decr_with_initial", COUNT_BITS, run_decr_initial, LARDER_OK, LARDER_OK, LARDER_OK, "6", "99"},
    {"lease_get", LARDER_CAN_LEASE, run_lease_get, LARDER_OK, LARDER_MISS, LARDER_ABSENT, UNCHANGED, UNCHANGED},
};
/* clang-format on */
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* ---- states -------------------------------------------------------------------------------- */

static struct larder_slice state_key(struct fixture *fixture, const char *state,
                                     const struct operation *operation)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", state, operation->name);
    return key(fixture, name);
}

static struct planted plant(struct fixture *fixture, const char *state,
                            const struct operation *operation, int64_t ttl_ms)
{
    struct planted planted = {.key = state_key(fixture, state, operation)};
    struct larder_write write = larder_write_of(larder_text(LIVE_TEXT), ttl_ms);
    write.flags = LIVE_FLAGS;
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_SET, planted.key, &write, NULL));
    planted.version =
        can(fixture, LARDER_CAN_CAS) ? version_of(fixture, planted.key) : NO_SUCH_VERSION;
    return planted;
}

/* Says which row of the table a failure belongs to. */
static void name_row(struct fixture *fixture, char (*name)[96], const char *test,
                     const struct operation *operation)
{
    snprintf(*name, sizeof(*name), "%s: %s", test, operation->name);
    fixture->test = *name;
}

static void expect_after(struct fixture *fixture, struct larder_slice there, const char *after,
                         enum larder_status unchanged)
{
    if (after != UNCHANGED && strcmp(after, NOTHING) != 0)
        expect_text(fixture, there, after);
    else if (after == UNCHANGED && unchanged == LARDER_OK)
        expect_text(fixture, there, LIVE_TEXT);
    else
        expect_none(fixture, there, after == UNCHANGED ? unchanged : LARDER_MISS);
}

static void run_live(struct fixture *fixture, const struct operation *operation)
{
    struct planted planted = plant(fixture, "live", operation, LARDER_TTL_FOREVER);
    enum larder_status wanted = if_can(fixture, operation->needs, operation->live);
    expect(fixture, wanted, operation->run(fixture, &planted));
    expect_after(fixture, planted.key,
                 wanted == LARDER_UNSUPPORTED ? UNCHANGED : operation->after_live, LARDER_OK);
}

static void run_gone(struct fixture *fixture, const struct operation *operation,
                     const struct planted *planted)
{
    enum larder_status wanted = if_can(fixture, operation->needs, operation->gone);
    expect(fixture, wanted, operation->run(fixture, planted));
    expect_after(fixture, planted->key,
                 wanted == LARDER_UNSUPPORTED ? UNCHANGED : operation->after_gone, LARDER_MISS);
}

static void every_operation_on_a_live_key(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    for (size_t i = 0; i < OPERATIONS; i++) {
        name_row(fixture, &name, test, &operations[i]);
        run_live(fixture, &operations[i]);
    }
    fixture->test = test;
}

static void every_operation_on_a_missing_key(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct planted planted = {.key = state_key(fixture, "missing", &operations[i]),
                                  .version = NO_SUCH_VERSION};
        name_row(fixture, &name, test, &operations[i]);
        run_gone(fixture, &operations[i], &planted);
    }
    fixture->test = test;
}

static void every_operation_on_a_deleted_key(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct planted planted = plant(fixture, "deleted", &operations[i], LARDER_TTL_FOREVER);
        name_row(fixture, &name, test, &operations[i]);
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, planted.key, 0));
        run_gone(fixture, &operations[i], &planted);
    }
    fixture->test = test;
}

static void every_operation_on_a_flushed_key(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    struct planted planted[OPERATIONS];
    if (!can(fixture, LARDER_CAN_FLUSH)) {
        leave_out(fixture, "traits lack FLUSH");
        return;
    }
    for (size_t i = 0; i < OPERATIONS; i++)
        planted[i] = plant(fixture, "flushed", &operations[i], LARDER_TTL_FOREVER);
    expect(fixture, LARDER_OK, flush(fixture, fixture->handle));
    for (size_t i = 0; i < OPERATIONS; i++) {
        name_row(fixture, &name, test, &operations[i]);
        run_gone(fixture, &operations[i], &planted[i]);
    }
    fixture->test = test;
}

static void run_negative(struct fixture *fixture, const struct operation *operation)
{
    struct planted planted = {.key = state_key(fixture, "negative", operation),
                              .version = NO_SUCH_VERSION};
    enum larder_status wanted = if_can(fixture, operation->needs, operation->negative);
    expect(fixture, LARDER_OK, larder_set_absent(fixture->cache, planted.key, LARDER_TTL_FOREVER));
    expect_none(fixture, planted.key, LARDER_ABSENT);
    expect(fixture, wanted, operation->run(fixture, &planted));
    expect_after(fixture, planted.key,
                 wanted == LARDER_UNSUPPORTED ? UNCHANGED : operation->after_gone, LARDER_ABSENT);
}

static void every_operation_on_a_negative_entry(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    if (!can(fixture, LARDER_CAN_ABSENT)) {
        struct larder_slice there = key(fixture, "negative");
        put(fixture, there, LIVE_TEXT);
        expect(fixture, LARDER_UNSUPPORTED, larder_set_absent(fixture->cache, there, 0));
        expect_text(fixture, there, LIVE_TEXT);
        return;
    }
    for (size_t i = 0; i < OPERATIONS; i++) {
        name_row(fixture, &name, test, &operations[i]);
        run_negative(fixture, &operations[i]);
    }
    fixture->test = test;
}

/* A pending key is missing to all, and its lease is void once something was stored or deleted. */
static void run_pending(struct fixture *fixture, const struct operation *operation)
{
    struct planted planted = {.key = state_key(fixture, "pending", operation),
                              .version = NO_SUCH_VERSION};
    struct larder_write write = larder_write_of(larder_text("filled"), LARDER_TTL_FOREVER);
    expect(fixture, LARDER_MISS, lease(fixture, planted.key, 60000, &planted.lease));
    expect_that(fixture, planted.lease.token != 0);
    run_gone(fixture, operation, &planted);
    int is_void = can(fixture, operation->needs) && operation->after_gone != UNCHANGED;
    expect(fixture, is_void ? LARDER_CONFLICT : LARDER_OK,
           larder_lease_fill(fixture->cache, planted.key, planted.lease, &write));
    expect_after(fixture, planted.key, is_void ? operation->after_gone : "filled", LARDER_MISS);
}

static void every_operation_on_a_pending_key(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    if (!can(fixture, LARDER_CAN_LEASE)) {
        leave_out(fixture, "traits lack LEASE");
        return;
    }
    for (size_t i = 0; i < OPERATIONS; i++) {
        name_row(fixture, &name, test, &operations[i]);
        run_pending(fixture, &operations[i]);
    }
    fixture->test = test;
}

/* ---- expired ------------------------------------------------------------------------------- */

static struct planted expiring[OPERATIONS];

void states_plant_expiring(struct fixture *fixture)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        expiring[i] = plant(fixture, "expired", &operations[i], AGEING_TTL_MS);
}

void states_check_expired(struct fixture *fixture)
{
    const char *test = fixture->test;
    char name[96];
    for (size_t i = 0; i < OPERATIONS; i++) {
        name_row(fixture, &name, test, &operations[i]);
        run_gone(fixture, &operations[i], &expiring[i]);
    }
    fixture->test = test;
}

const struct contract_test state_tests[] = {
    CONTRACT_TEST(every_operation_on_a_live_key),
    CONTRACT_TEST(every_operation_on_a_missing_key),
    CONTRACT_TEST(every_operation_on_a_deleted_key),
    CONTRACT_TEST(every_operation_on_a_flushed_key),
    CONTRACT_TEST(every_operation_on_a_negative_entry),
    CONTRACT_TEST(every_operation_on_a_pending_key),
    CONTRACT_TESTS_END,
};
