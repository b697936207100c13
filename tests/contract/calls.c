/*
 * Options of a call: honoured, or UNSUPPORTED as the traits said, or BAD_ARGUMENT where they make
 * no sense; never ignored.
 */
#include "contract.h"

#include <stdio.h>
#include <string.h>

enum probe {
    PROBE_READ,
    PROBE_GET,
    PROBE_SET,
    PROBE_APPEND,
    PROBE_DELETE,
    PROBE_TOUCH,
    PROBE_GET_AND_TOUCH,
    PROBE_COUNT,
    PROBE_LEASE_GET,
    PROBES
};

static const char *const probe_names[] = {"read",  "get",           "set",   "append",   "delete",
                                          "touch", "get_and_touch", "count", "lease_get"};
static const uint64_t probe_needs[] = {0,
                                       0,
                                       0,
                                       LARDER_CAN_APPEND,
                                       0,
                                       LARDER_CAN_TOUCH,
                                       LARDER_CAN_GET_AND_TOUCH,
                                       LARDER_CAN_COUNT,
                                       LARDER_CAN_LEASE};

static enum larder_status run_probe(struct fixture *fixture, enum probe probe,
                                    const struct larder_call *call, struct larder_slice there)
{
    struct larder_cache *cache = fixture->cache;
    struct larder_value value = {0};
    struct larder_lease held;
    struct larder_write write = larder_write_of(larder_text("1"), 0);
    enum larder_status status = LARDER_OK;
    char buffer[8];
    switch (probe) {
    case PROBE_READ:
        return larder_read_with(cache, call, there, buffer, sizeof(buffer), NULL);
    case PROBE_GET:
        status = larder_get_with(cache, call, there, &value);
        break;
    case PROBE_SET:
        return larder_store_with(cache, call, LARDER_SET, there, &write, NULL);
    case PROBE_APPEND:
        return larder_store_with(cache, call, LARDER_APPEND, there, &write, NULL);
    case PROBE_DELETE:
        return larder_delete_with(cache, call, there, 0);
    case PROBE_TOUCH:
        return larder_touch_with(cache, call, there, AGEING_LONG_MS);
    case PROBE_GET_AND_TOUCH:
        status = larder_get_and_touch_with(cache, call, there, AGEING_LONG_MS, &value);
        break;
    case PROBE_COUNT:
        return larder_count_with(cache, call, there, LARDER_UP, 1, NULL, NULL);
    case PROBE_LEASE_GET:
    case PROBES:
        status = larder_lease_get_with(cache, call, there, 1000, &value, &held);
        break;
    }
    larder_value_release(&value);
    return status;
}

/* Which operations an option makes sense for, one bit per probe. */
#define ON(probe) (1u << PROBE_##probe)
#define ON_ALL ((1u << PROBES) - 1)

struct option {
    const char *name;
    uint64_t takes;
    unsigned sense;
};

static const struct option options[] = {
    {"no_wait", LARDER_TAKES_NO_WAIT, ON_ALL},
    {"no_reply", LARDER_TAKES_NO_REPLY, ON(SET) | ON(APPEND) | ON(DELETE) | ON(TOUCH)},
    {"timeout_ms", LARDER_TAKES_TIMEOUT, ON_ALL},
    {"recache_ms", LARDER_TAKES_RECACHE, ON(LEASE_GET)},
    {"touch_ttl_ms", LARDER_TAKES_TOUCH, ON(READ) | ON(GET) | ON(COUNT)},
    {"version", LARDER_TAKES_VERSION, ON(APPEND) | ON(TOUCH) | ON(COUNT)},
    {"routing_key", LARDER_TAKES_ROUTING_KEY, ON_ALL},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static struct larder_call call_with(uint64_t takes, uint64_t version)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.flags |= (takes & LARDER_TAKES_NO_WAIT) != 0 ? LARDER_NO_WAIT : 0;
    call.flags |= (takes & LARDER_TAKES_NO_REPLY) != 0 ? LARDER_NO_REPLY : 0;
    call.timeout_ms = (takes & LARDER_TAKES_TIMEOUT) != 0 ? 4000 : 0;
    call.recache_ms = (takes & LARDER_TAKES_RECACHE) != 0 ? 1 : 0;
    call.touch_ttl_ms = (takes & LARDER_TAKES_TOUCH) != 0 ? AGEING_LONG_MS : LARDER_TTL_UNKNOWN;
    call.version = (takes & LARDER_TAKES_VERSION) != 0 ? version : 0;
    if ((takes & LARDER_TAKES_ROUTING_KEY) != 0)
        call.routing_key = larder_text("elsewhere");
    return call;
}

static void probe_option(struct fixture *fixture, const struct option *option, enum probe probe)
{
    char row[64];
    struct larder_slice there = key(fixture, "k");
    int taken = (fixture->traits->options & option->takes) != 0;
    int keeps = !subject_is_null(fixture->subject);
    uint64_t version = 1;
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("1"), 0));
    if (keeps && can(fixture, LARDER_CAN_CAS))
        version = version_of(fixture, there);
    struct larder_call call = call_with(option->takes, version);
    enum larder_status status = run_probe(fixture, probe, &call, there);
    snprintf(row, sizeof(row), "%s with %s", probe_names[probe], option->name);
    if ((option->sense & 1u << probe) == 0) {
        expect_status(fixture, LARDER_BAD_ARGUMENT, status, row, __FILE__, __LINE__);
    } else if (!taken || !can(fixture, probe_needs[probe])) {
        expect_status(fixture, LARDER_UNSUPPORTED, status, row, __FILE__, __LINE__);
    } else if (keeps && option->takes == LARDER_TAKES_NO_WAIT) {
        expect_true(fixture, status == LARDER_OK || status == LARDER_WOULD_BLOCK, row, __FILE__,
                    __LINE__);
    } else if (keeps && option->takes != LARDER_TAKES_ROUTING_KEY) {
        expect_status(fixture, LARDER_OK, status, row, __FILE__, __LINE__);
    } else {
        expect_true(fixture, status >= LARDER_OK, row, __FILE__, __LINE__);
    }
    larder_invalidate(fixture->cache, there);
}

static void every_option_is_honoured_or_refused(struct fixture *fixture)
{
    for (size_t i = 0; i < OPTIONS; i++)
        for (unsigned probe = 0; probe < PROBES; probe++)
            probe_option(fixture, &options[i], (enum probe)probe);
}

static void a_plain_call_has_no_options(struct fixture *fixture)
{
    const struct larder_call none = LARDER_CALL_INIT;
    struct larder_slice there = key(fixture, "k");
    for (unsigned probe = 0; probe < PROBES; probe++) {
        expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("1"), 0));
        enum larder_status with_null = run_probe(fixture, (enum probe)probe, NULL, there);
        expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("1"), 0));
        enum larder_status with_none = run_probe(fixture, (enum probe)probe, &none, there);
        expect(fixture, with_null, with_none);
    }
}

static void a_call_of_another_size_or_with_unknown_bits_is_refused(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    static const uint32_t sizes[] = {0, 1, sizeof(struct larder_call) - 1, 100000, UINT32_MAX};
    for (unsigned probe = 0; probe < PROBES; probe++) {
        struct larder_call call = LARDER_CALL_INIT;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            call.size = sizes[i];
            expect(fixture, LARDER_BAD_ARGUMENT,
                   run_probe(fixture, (enum probe)probe, &call, there));
        }
        for (unsigned bit = 2; bit < 32; bit++) {
            call = (struct larder_call)LARDER_CALL_INIT;
            call.flags = 1u << bit;
            expect(fixture, LARDER_BAD_ARGUMENT,
                   run_probe(fixture, (enum probe)probe, &call, there));
        }
        call = (struct larder_call)LARDER_CALL_INIT;
        call.touch_ttl_ms = -2;
        expect(fixture, LARDER_BAD_ARGUMENT, run_probe(fixture, (enum probe)probe, &call, there));
        call = (struct larder_call)LARDER_CALL_INIT;
        call.routing_key = larder_bytes("r", LARDER_KEY_BYTES_MAX + 1);
        enum larder_status status = run_probe(fixture, (enum probe)probe, &call, there);
        expect_that(fixture, status == LARDER_BAD_ARGUMENT || status == LARDER_BAD_KEY ||
                                 status == LARDER_UNSUPPORTED);
    }
}

/* A program that was built against a larger struct may run with today's library. */
static void a_larger_call_with_an_empty_tail_is_taken(struct fixture *fixture)
{
    struct {
        struct larder_call call;
        char tail[32];
    } larger;
    memset(&larger, 0, sizeof(larger));
    larger.call = (struct larder_call)LARDER_CALL_INIT;
    larger.call.size = sizeof(larger);
    expect(fixture, LARDER_OK, run_probe(fixture, PROBE_SET, &larger.call, key(fixture, "k")));
    larger.tail[31] = 1;
    expect(fixture, LARDER_BAD_ARGUMENT,
           run_probe(fixture, PROBE_SET, &larger.call, key(fixture, "k")));
}

static void an_option_of_a_multi_call_counts_for_all_rows(struct fixture *fixture)
{
    struct larder_row row = {.key = key(fixture, "k")};
    struct larder_call call = LARDER_CALL_INIT;
    row.write = larder_write_of(larder_text("v"), 0);
    call.recache_ms = 1;
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(fixture->cache, &call, LARDER_MANY_STORE, LARDER_SET, &row, 1, sizeof(row)));
    expect(fixture, LARDER_BAD_ARGUMENT, row.status);
    call = (struct larder_call)LARDER_CALL_INIT;
    call.flags = LARDER_NO_REPLY;
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(fixture->cache, &call, LARDER_MANY_GET, LARDER_SET, &row, 1, sizeof(row)));
    expect_none(fixture, row.key, LARDER_MISS);
}

/* ---- honoured, in effect ------------------------------------------------------------------- */

static void a_touch_option_gives_a_new_ttl(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    static const char *const names[] = {"read", "get", "count"};
    static const enum probe probes[] = {PROBE_READ, PROBE_GET, PROBE_COUNT};
    if ((fixture->traits->options & LARDER_TAKES_TOUCH) == 0 ||
        !fixture_has_manual_clock(fixture) || subject_is_null(fixture->subject)) {
        leave_out(fixture, "traits lack TOUCH, nothing is kept, or the clock is a server's");
        return;
    }
    call.touch_ttl_ms = 5000;
    for (size_t i = 0; i < 3; i++) {
        struct larder_slice there = key(fixture, names[i]);
        expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text("1"), 1000));
        expect(fixture, LARDER_OK, run_probe(fixture, probes[i], &call, there));
        expect(fixture, LARDER_MISS, run_probe(fixture, probes[i], &call, key(fixture, "missing")));
    }
    fixture_wait(fixture, 4999);
    for (size_t i = 0; i < 3; i++)
        expect(fixture, LARDER_OK, peek(fixture, key(fixture, names[i])));
    fixture_wait(fixture, 1 + fixture->traits->ttl_late_ms);
    for (size_t i = 0; i < 3; i++)
        expect(fixture, LARDER_MISS, peek(fixture, key(fixture, names[i])));
}

static void a_version_option_holds_for_that_version_only(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_slice there = key(fixture, "k");
    static const enum probe probes[] = {PROBE_APPEND, PROBE_TOUCH, PROBE_COUNT};
    if ((fixture->traits->options & LARDER_TAKES_VERSION) == 0 ||
        subject_is_null(fixture->subject)) {
        leave_out(fixture, "traits lack VERSION, or nothing is kept");
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!can(fixture, probe_needs[probes[i]]))
            continue;
        put(fixture, there, "1");
        call.version = version_of(fixture, there) ^ UINT64_C(0x4000000000000000);
        expect(fixture, LARDER_CONFLICT, run_probe(fixture, probes[i], &call, there));
        expect_text(fixture, there, "1");
        call.version = version_of(fixture, there);
        expect(fixture, LARDER_OK, run_probe(fixture, probes[i], &call, there));
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
        expect(fixture, LARDER_MISS, run_probe(fixture, probes[i], &call, there));
    }
}

const struct contract_test call_tests[] = {
    CONTRACT_TEST(every_option_is_honoured_or_refused),
    CONTRACT_TEST(a_plain_call_has_no_options),
    CONTRACT_TEST(a_call_of_another_size_or_with_unknown_bits_is_refused),
    CONTRACT_TEST(a_larger_call_with_an_empty_tail_is_taken),
    CONTRACT_TEST(an_option_of_a_multi_call_counts_for_all_rows),
    CONTRACT_TEST(a_touch_option_gives_a_new_ttl),
    CONTRACT_TEST(a_version_option_holds_for_that_version_only),
    CONTRACT_TESTS_END,
};
