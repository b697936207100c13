/* The testing library: what users' tests rely on. */
#include "support.h"

#include <larder/client.h>
#include <larder/memory.h>
#include <larder/null.h>
#include <larder/testing.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memcached_server.h"

#include "sanitizer.h"

#define START_NS UINT64_C(1000000000)

/* ---- fixtures ------------------------------------------------------------------------------ */

static struct larder_cache *open_memory(struct larder_manual_clock *clock)
{
    struct larder_cache *cache = NULL;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    if (clock != NULL)
        options.clock = larder_manual_clock_of(clock);
    assert_status(LARDER_OK, larder_memory_open(NULL, &options, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_null(void)
{
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_null_open(NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *wrap(struct larder_cache *inner, const struct larder_observer *observer)
{
    struct larder_cache *cache = NULL;
    char message[256];
    enum larder_status status =
        larder_observed_open(inner, observer, NULL, &cache, message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("%s: %s", larder_status_name(status), message);
    return cache;
}

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    return larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER);
}

/* One read of at most 64 bytes. */
static enum larder_status read_one(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

static struct larder_fault fault_of(uint32_t operations, const char *key,
                                    enum larder_fault_when when, enum larder_status status)
{
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.match = larder_match_of(operations, key, LARDER_ANY_STATUS);
    fault.when = when;
    fault.status = status;
    return fault;
}

#ifndef TESTING_ALLOCATIONS_FAIL

static const struct larder_observer nobody = LARDER_OBSERVER_INIT;

static struct larder_cache *client_over(struct larder_cache *cache)
{
    struct larder_cache *client = NULL;
    const struct larder_route route = {"*", cache, LARDER_TTL_DEFAULT, 0};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0));
    return client;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the clock ----------------------------------------------------------------------------- */

static void a_clock_moves_only_when_told(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    assert_non_null(clock);
    struct larder_clock option = larder_manual_clock_of(clock);
    assert_int_equal(START_NS, option.now_ns(option.context));
    assert_int_equal(START_NS, larder_manual_clock_now_ns(clock));
    larder_manual_clock_advance(clock, 7);
    assert_int_equal(START_NS + 7000000, option.now_ns(option.context));
    larder_manual_clock_free(clock);
    larder_manual_clock_free(NULL);
}

static void a_clock_never_wraps(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(UINT64_MAX - 5);
    larder_manual_clock_advance(clock, 1);
    assert_int_equal(UINT64_MAX, larder_manual_clock_now_ns(clock));
    larder_manual_clock_advance(clock, UINT64_MAX);
    assert_int_equal(UINT64_MAX, larder_manual_clock_now_ns(clock));
    larder_manual_clock_free(clock);
}

static void an_entry_expires_by_the_clock(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    struct larder_cache *cache = wrap(open_memory(clock), &nobody);
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 1000));
    larder_manual_clock_advance(clock, 999);
    assert_status(LARDER_OK, read_one(cache, "k"));
    larder_manual_clock_advance(clock, 1);
    assert_status(LARDER_MISS, read_one(cache, "k"));
    larder_close(cache);
    larder_manual_clock_free(clock);
}

/* ---- transparency -------------------------------------------------------------------------- */

/* What one call answered, but for the numbers of versions and tokens. */
struct answer {
    enum larder_status status;
    enum larder_status row_status[3];
    char bytes[64];
    struct larder_info info;
    uint64_t number;
};

static void keep_info(struct answer *answer, struct larder_info info)
{
    info.version = info.version != 0;
    answer->info = info;
}

static void keep_value(struct answer *answer, struct larder_value *value)
{
    if (value->bytes.length > 0)
        memcpy(answer->bytes, value->bytes.data,
               value->bytes.length < 64 ? value->bytes.length : 64);
    keep_info(answer, value->info);
    larder_value_release(value);
}

static void ask_many(struct larder_cache *cache, struct larder_slice key, unsigned dice,
                     struct answer *answer)
{
    struct larder_row rows[3] = {0};
    char buffer[8];
    rows[0].key = key;
    rows[1].key = larder_bytes(NULL, 0); /* refused, in the middle */
    rows[2].key = larder_text("k1");
    for (size_t i = 0; i < 3; i++) {
        rows[i].write = larder_write_of(larder_text("many"), i == 2 ? 500 : 0);
        rows[i].value.info.want = LARDER_WANT_TTL;
        rows[i].buffer = buffer;
        rows[i].size = i == 2 ? 2 : sizeof(buffer);
    }
    answer->status = larder_many(cache, NULL, (enum larder_many_kind)(dice % 5),
                                 dice % 2 != 0 ? LARDER_ADD : LARDER_SET, rows, 3, sizeof(rows[0]));
    for (size_t i = 0; i < 3; i++)
        answer->row_status[i] = rows[i].status;
    keep_value(answer, &rows[2].value);
    larder_rows_release(rows, 3);
}

static void ask_lease(struct larder_cache *cache, struct larder_slice key, unsigned dice,
                      struct answer *answer)
{
    struct larder_lease lease;
    struct larder_value value = {0};
    struct larder_write write = larder_write_of(larder_text("leased"), 700);
    answer->status = larder_lease_get(cache, key, 100, &value, &lease);
    answer->number = lease.token != 0;
    keep_value(answer, &value);
    if (lease.token != 0)
        answer->row_status[0] = dice % 2 != 0 ? larder_lease_fill(cache, key, lease, &write)
                                              : larder_lease_return(cache, key, lease);
}

static void ask_one(struct larder_cache *cache, struct larder_slice key, unsigned dice,
                    struct answer *answer)
{
    struct larder_info info = {.want = LARDER_WANT_TTL | LARDER_WANT_VERSION};
    struct larder_value value = {.info = {.want = LARDER_WANT_TTL}};
    struct larder_write write = larder_write_of(larder_text(dice % 2 != 0 ? "12" : "text"), dice);
    struct larder_initial initial = {10, 300, 3, 0};
    struct larder_call call = LARDER_CALL_INIT;
    write.flags = dice;
    write.version = dice % 6 == LARDER_CAS ? 1 : 0;
    call.touch_ttl_ms = 900;
    switch (dice % 9) {
    case 0:
        answer->status = larder_read(cache, key, answer->bytes, dice % 16, &info);
        keep_info(answer, info);
        return;
    case 1:
        answer->status = larder_get(cache, key, &value);
        keep_value(answer, &value);
        return;
    case 2:
        answer->status = larder_store(cache, (enum larder_mode)(dice % 6), key, &write, NULL);
        return;
    case 3:
        answer->status = larder_delete(cache, key, dice % 2);
        return;
    case 4:
        answer->status = larder_touch(cache, key, dice % 1000);
        return;
    case 5:
        answer->status = larder_get_and_touch(cache, key, 800, &value);
        keep_value(answer, &value);
        return;
    case 6:
        answer->status = larder_count(cache, key, (enum larder_direction)(dice % 2), dice,
                                      dice % 3 != 0 ? &initial : NULL, &answer->number);
        return;
    case 7:
        answer->status = larder_get_with(cache, &call, key, &value);
        keep_value(answer, &value);
        return;
    default:
        answer->status = larder_set_absent(cache, key, 400);
    }
}

static void ask_whole(struct larder_cache *cache, unsigned dice, struct answer *answer)
{
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[8];
    size_t count = 0;
    char buffer[256];
    if (dice % 8 == 0) {
        answer->status = larder_flush(cache);
        return;
    }
    answer->status = larder_keys(cache, &cursor, buffer, sizeof(buffer), keys, 8, &count);
    answer->number = count != 0;
}

static struct answer ask(struct larder_cache *cache, unsigned dice)
{
    static const char *const names[] = {"k0", "k1", "k2"};
    struct answer answer;
    struct larder_slice key = larder_text(names[dice / 16 % 3]);
    memset(&answer, 0, sizeof(answer));
    dice /= 64;
    if (dice % 16 == 0)
        ask_whole(cache, dice / 16, &answer);
    else if (dice % 16 < 4)
        ask_many(cache, key, dice / 16, &answer);
    else if (dice % 16 < 6)
        ask_lease(cache, key, dice / 16, &answer);
    else
        ask_one(cache, key, dice / 16, &answer);
    return answer;
}

static void assert_same_answer(const struct answer *bare, const struct answer *wrapped, int step)
{
    if (bare->status != wrapped->status)
        fail_msg("step %d: bare %s, wrapped %s", step, larder_status_name(bare->status),
                 larder_status_name(wrapped->status));
    assert_memory_equal(bare->row_status, wrapped->row_status, sizeof(bare->row_status));
    assert_memory_equal(bare->bytes, wrapped->bytes, sizeof(bare->bytes));
    assert_int_equal(bare->info.length, wrapped->info.length);
    assert_int_equal(bare->info.flags, wrapped->info.flags);
    assert_int_equal(bare->info.version, wrapped->info.version);
    assert_int_equal(bare->info.ttl_ms, wrapped->info.ttl_ms);
    assert_int_equal(bare->number, wrapped->number);
}

static void compare(struct larder_cache *bare, struct larder_cache *wrapped,
                    struct larder_manual_clock *clock)
{
    unsigned random = 20261120; /* fixed: a failure names the step */
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        struct answer left = ask(bare, random >> 4), right = ask(wrapped, random >> 4);
        assert_same_answer(&left, &right, step);
        if (random >> 28 == 0)
            larder_manual_clock_advance(clock, 150);
    }
}

/* All three, one around the other, then `compare`. */
static void compare_wrapped(struct larder_cache *bare, struct larder_cache *inner,
                            struct larder_manual_clock *clock, int in_client)
{
    struct larder_recording *recording = larder_recording_new(100, 8, NULL);
    struct larder_counting *counting = larder_counting_new(50);
    struct larder_faults *faults = larder_faults_new(1);
    struct larder_cache *wrapped = wrap(inner, larder_recording_observer(recording));
    wrapped = wrap(wrapped, larder_counting_observer(counting));
    wrapped = wrap(wrapped, larder_faults_observer(faults));
    if (in_client) {
        struct larder_cache *bare_view, *wrapped_view;
        bare = client_over(bare);
        wrapped = client_over(wrapped);
        assert_status(LARDER_OK, larder_bind(bare, "some", &bare_view));
        assert_status(LARDER_OK, larder_bind(wrapped, "some", &wrapped_view));
        compare(bare_view, wrapped_view, clock);
    } else {
        compare(bare, wrapped, clock);
    }
    assert_true(larder_counting_count(counting, NULL) > 10000);
    assert_true(larder_recording_lost(recording) > 0);
    larder_close(bare);
    larder_close(wrapped);
    larder_recording_free(recording);
    larder_counting_free(counting);
    larder_faults_free(faults);
}

static void wrappers_without_faults_are_transparent(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    for (int in_client = 0; in_client < 2; in_client++) {
        compare_wrapped(open_memory(clock), open_memory(clock), clock, in_client);
        compare_wrapped(open_null(), open_null(), clock, in_client);
    }
    larder_manual_clock_free(clock);
}

static void a_wrapper_has_the_traits_of_its_cache(void **state)
{
    (void)state;
    struct larder_cache *bare = open_memory(NULL), *cache = wrap(open_memory(NULL), &nobody);
    assert_memory_equal(larder_describe(bare), larder_describe(cache),
                        sizeof(struct larder_traits));
    struct larder_faults *faults = larder_faults_new(1);
    cache = wrap(cache, larder_faults_observer(faults));
    assert_int_equal(larder_describe(bare)->promises &
                         ~(uint64_t)(LARDER_NEVER_BLOCKS | LARDER_MISS_IS_ABSENCE),
                     larder_describe(cache)->promises);
    larder_close(bare);
    larder_close(cache);
    larder_faults_free(faults);
}

static uint64_t stat_named(struct larder_cache *cache, const char *name, size_t *found)
{
    struct larder_stat rows[300];
    uint64_t value = 0;
    size_t count;
    assert_status(LARDER_OK, larder_stats(cache, rows, 300, &count));
    *found = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) {
            value = rows[i].value;
            (*found)++;
        }
    return value;
}

static void a_wrapper_shows_the_backends_figures_once(void **state)
{
    (void)state;
    struct larder_cache *bare = open_memory(NULL), *cache = wrap(open_memory(NULL), &nobody);
    struct larder_stat row[300];
    size_t bare_count, count, found;
    assert_status(LARDER_OK, set(bare, "k", "v"));
    assert_status(LARDER_OK, set(cache, "k", "v"));
    assert_status(LARDER_OK, larder_stats(bare, row, 300, &bare_count));
    assert_status(LARDER_OK, larder_stats(cache, row, 300, &count));
    assert_int_equal(bare_count, count);
    assert_int_equal(1, stat_named(cache, "store.OK", &found));
    assert_int_equal(1, found);
    larder_close(bare);
    larder_close(cache);
}

static void a_wrapper_has_a_default_ttl_of_its_own(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache;
    options.default_ttl_ms = 50;
    assert_status(LARDER_OK,
                  larder_observed_open(open_memory(clock), &nobody, &options, &cache, NULL, 0));
    assert_status(LARDER_OK,
                  larder_set(cache, larder_text("k"), larder_text("v"), LARDER_TTL_DEFAULT));
    larder_manual_clock_advance(clock, 50);
    assert_status(LARDER_MISS, read_one(cache, "k"));
    larder_close(cache);
    larder_manual_clock_free(clock);
}

static void a_view_outlives_its_cache(void **state)
{
    (void)state;
    struct larder_recording *recording = larder_recording_new(0, 100, NULL);
    struct larder_cache *cache = wrap(open_memory(NULL), larder_recording_observer(recording));
    struct larder_value value = {0};
    assert_status(LARDER_OK, set(cache, "k", "still here"));
    assert_status(LARDER_OK, larder_get(cache, larder_text("k"), &value));
    larder_close(cache);
    assert_slice("still here", value.bytes);
    larder_value_release(&value);
    assert_slice("still here", larder_recording_at(recording, 1)->call.value);
    larder_recording_free(recording);
}

static void a_closed_cache_is_closed_through_its_wrapper(void **state)
{
    (void)state;
    struct larder_cache *inner = open_memory(NULL), *cache = wrap(inner, &nobody);
    struct larder_cache *session;
    assert_status(LARDER_OK, larder_acquire(cache, 0, 0, &session));
    larder_shutdown(cache);
    assert_status(LARDER_CLOSED, read_one(cache, "k"));
    assert_status(LARDER_CLOSED, read_one(session, "k"));
    assert_status(LARDER_CLOSED, read_one(inner, "k"));
    larder_release(session);
    larder_close(cache);
}

static void a_namespace_of_a_client_can_be_wrapped(void **state)
{
    (void)state;
    struct larder_cache *client = client_over(open_memory(NULL)), *view, *cache;
    struct larder_counting *counting = larder_counting_new(10);
    assert_status(LARDER_OK, larder_bind(client, "members", &view));
    cache = wrap(view, larder_counting_observer(counting));
    assert_false(larder_can(larder_describe(cache), LARDER_CAN_NAMESPACES));
    assert_status(LARDER_OK, set(cache, "alice", "1"));
    assert_status(LARDER_OK, read_one(view, "alice"));
    assert_status(LARDER_MISS, read_one(client, "alice"));
    struct larder_match match = larder_match_of(LARDER_ON(STORE), "alice", LARDER_OK);
    assert_int_equal(1, larder_counting_count(counting, &match));
    larder_close(cache);
    assert_status(LARDER_OK, read_one(view, "alice"));
    larder_close(client);
    larder_counting_free(counting);
}

static void a_client_can_be_wrapped(void **state)
{
    (void)state;
    struct larder_cache *client = client_over(open_memory(NULL)), *view;
    assert_status(LARDER_OK, larder_bind(client, "members", &view));
    assert_status(LARDER_OK, set(view, "k", "v"));
    struct larder_cache *cache = wrap(client, &nobody);
    assert_status(LARDER_OK, set(cache, "k", "v"));
    assert_status(LARDER_OK, read_one(client, "k"));
    assert_status(LARDER_OK, larder_flush(cache));
    assert_status(LARDER_MISS, read_one(cache, "k"));
    assert_status(LARDER_MISS, read_one(view, "k"));
    larder_close(cache);
}

static void a_cache_that_cannot_be_wrapped_stays_the_callers(void **state)
{
    (void)state;
    struct larder_cache *inner = open_memory(NULL), *cache = inner;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    char message[200] = "";
    options.errors_as_miss = 2;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_observed_open(inner, &nobody, &options, &cache, message, sizeof(message)));
    assert_null(cache);
    assert_true(message[0] != '\0');
    assert_status(LARDER_BAD_ARGUMENT, larder_observed_open(NULL, &nobody, NULL, &cache, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_observed_open(inner, NULL, NULL, &cache, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_observed_open(inner, &nobody, NULL, NULL, NULL, 0));
    assert_status(LARDER_OK, set(inner, "k", "v"));
    larder_close(inner);
}

/* ---- counting ------------------------------------------------------------------------------ */

static uint64_t counted(struct larder_counting *counting, uint32_t operations, const char *key,
                        enum larder_status status)
{
    struct larder_match match = larder_match_of(operations, key, status);
    return larder_counting_count(counting, &match);
}

static void counting_tells_operations_and_statuses_apart(void **state)
{
    (void)state;
    struct larder_counting *counting = larder_counting_new(0);
    struct larder_cache *cache = wrap(open_memory(NULL), larder_counting_observer(counting));
    assert_status(LARDER_MISS, read_one(cache, "k"));
    assert_status(LARDER_OK, set(cache, "k", "v"));
    assert_status(LARDER_OK, read_one(cache, "k"));
    assert_status(LARDER_OK, read_one(cache, "k"));
    assert_status(LARDER_BAD_KEY, read_one(cache, "")); /* never reaches the cache */
    assert_int_equal(1, counted(counting, LARDER_ON(READ), NULL, LARDER_MISS));
    assert_int_equal(2, counted(counting, LARDER_ON(READ), NULL, LARDER_OK));
    assert_int_equal(3, counted(counting, LARDER_ON_READS, NULL, LARDER_ANY_STATUS));
    assert_int_equal(1, counted(counting, LARDER_ON_WRITES, NULL, LARDER_ANY_STATUS));
    assert_int_equal(4, larder_counting_count(counting, NULL));
    assert_int_equal(0, counted(counting, 0, "k", LARDER_ANY_STATUS)); /* not counted by key */
    assert_int_equal(0, larder_counting_lost(counting));
    larder_counting_reset(counting);
    assert_int_equal(0, larder_counting_count(counting, NULL));
    larder_close(cache);
    larder_counting_free(counting);
    larder_counting_free(NULL);
}

static void counting_tells_multi_calls_from_their_rows(void **state)
{
    (void)state;
    struct larder_counting *counting = larder_counting_new(0);
    struct larder_cache *cache = wrap(open_null(), larder_counting_observer(counting));
    struct larder_row rows[3] = {{.key = {"a", 1}}, {.key = {"b", 1}}, {.key = {"c", 1}}};
    struct larder_match match = LARDER_MATCH_INIT;
    assert_status(LARDER_OK, larder_get_multi(cache, rows, 3));
    assert_status(LARDER_OK, larder_get_multi(cache, rows, 2));
    assert_status(LARDER_MISS, read_one(cache, "a"));
    assert_status(LARDER_OK, larder_get_multi(cache, NULL, 0));
    assert_int_equal(6, larder_counting_count(counting, &match));
    match.forms = LARDER_FORM_FIRST_ROW;
    assert_int_equal(2, larder_counting_count(counting, &match));
    match.forms = LARDER_FORM_FIRST_ROW | LARDER_FORM_SINGLE;
    assert_int_equal(3, larder_counting_count(counting, &match));
    larder_close(cache);
    larder_counting_free(counting);
}

static void counting_by_key_is_bounded(void **state)
{
    (void)state;
    struct larder_counting *counting = larder_counting_new(2);
    struct larder_cache *cache = wrap(open_null(), larder_counting_observer(counting));
    assert_status(LARDER_OK, set(cache, "user:1", "v"));
    assert_status(LARDER_OK, set(cache, "user:1", "v"));
    assert_status(LARDER_OK, set(cache, "user:2", "v"));
    assert_status(LARDER_OK, set(cache, "user:3", "v"));
    assert_int_equal(2, counted(counting, 0, "user:1", LARDER_OK));
    assert_int_equal(1, counted(counting, 0, "user:2", LARDER_OK));
    assert_int_equal(0, counted(counting, 0, "user:3", LARDER_OK));
    assert_int_equal(1, larder_counting_lost(counting));
    struct larder_match match = LARDER_MATCH_INIT;
    match.key_prefix = larder_text("user:");
    assert_int_equal(3, larder_counting_count(counting, &match));
    assert_int_equal(4, larder_counting_count(counting, NULL));
    larder_close(cache);
    assert_int_equal(4, larder_counting_count(counting, NULL));
    larder_counting_free(counting);
}

static void counts_keys_of_namespaces(struct larder_cache *inner)
{
    struct larder_counting *counting = larder_counting_new(10);
    struct larder_cache *client = client_over(wrap(inner, larder_counting_observer(counting)));
    struct larder_cache *members, *session;
    assert_status(LARDER_OK, larder_bind(client, "members", &members));
    assert_status(LARDER_OK, set(members, "k", "v"));
    assert_status(LARDER_OK, set(client, "k", "v"));
    assert_status(LARDER_OK, larder_acquire(members, 1000, 0, &session));
    assert_status(LARDER_OK, set(session, "k", "v"));
    larder_release(session);
    struct larder_match match = larder_match_of(LARDER_ON(STORE), "k", LARDER_OK);
    assert_int_equal(3, larder_counting_count(counting, &match));
    match.name_space = "members";
    assert_int_equal(2, larder_counting_count(counting, &match));
    match.name_space = "main";
    assert_int_equal(1, larder_counting_count(counting, &match));
    match.name_space = "";
    assert_int_equal(0, larder_counting_count(counting, &match));
    assert_status(LARDER_OK, larder_flush(members));
    assert_int_equal(1, counted(counting, LARDER_ON(FLUSH), NULL, LARDER_OK));
    assert_int_equal(4, larder_counting_count(counting, NULL)); /* nothing but the caller's calls */
    larder_close(client);
    larder_counting_free(counting);
}

static void a_key_is_seen_in_its_namespace(void **state)
{
    (void)state;
    counts_keys_of_namespaces(open_memory(NULL));
    counts_keys_of_namespaces(open_null());
}

static void a_flush_of_a_namespace_leaves_its_sisters_alone(void **state)
{
    (void)state;
    struct larder_cache *client = client_over(wrap(open_memory(NULL), &nobody)), *left, *right;
    assert_status(LARDER_OK, larder_bind(client, "left", &left));
    assert_status(LARDER_OK, larder_bind(client, "right", &right));
    assert_status(LARDER_OK, set(left, "k", "l"));
    assert_status(LARDER_OK, set(right, "k", "r"));
    assert_status(LARDER_OK, larder_flush(left));
    assert_status(LARDER_MISS, read_one(left, "k"));
    assert_status(LARDER_OK, read_one(right, "k"));
    assert_status(LARDER_OK, larder_flush(client));
    assert_status(LARDER_MISS, read_one(right, "k"));
    larder_close(client);
}

static void the_longest_key_works_in_a_namespace(void **state)
{
    (void)state;
    struct larder_cache *client = client_over(wrap(open_memory(NULL), &nobody));
    char *key = malloc(LARDER_KEY_BYTES_MAX), byte;
    assert_non_null(key);
    memset(key, 'k', LARDER_KEY_BYTES_MAX);
    struct larder_slice longest = larder_bytes(key, LARDER_KEY_BYTES_MAX);
    assert_status(LARDER_OK, larder_set(client, longest, larder_text("v"), 0));
    assert_status(LARDER_OK, larder_read(client, longest, &byte, 1, NULL));
    free(key);
    larder_close(client);
}

/* ---- faults -------------------------------------------------------------------------------- */

struct faulty {
    struct larder_faults *faults;
    struct larder_cache *inner;
    struct larder_cache *cache;
};

static struct faulty faulty_open(struct larder_cache *inner, uint64_t seed)
{
    struct faulty faulty = {larder_faults_new(seed), inner, NULL};
    assert_non_null(faulty.faults);
    faulty.cache = wrap(inner, larder_faults_observer(faulty.faults));
    return faulty;
}

static void faulty_close(struct faulty *faulty)
{
    larder_close(faulty->cache);
    larder_faults_free(faulty->faults);
}

static void add(struct faulty *faulty, struct larder_fault fault)
{
    assert_status(LARDER_OK, larder_faults_add(faulty->faults, &fault));
}

static void a_fault_before_leaves_the_cache_alone(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    add(&faulty, fault_of(LARDER_ON(STORE), NULL, LARDER_FAULT_BEFORE, LARDER_UNAVAILABLE));
    assert_status(LARDER_UNAVAILABLE, set(faulty.cache, "k", "v"));
    assert_status(LARDER_MISS, read_one(faulty.cache, "k"));
    assert_int_equal(1, larder_faults_injected(faulty.faults, 0));
    larder_faults_reset(faulty.faults);
    assert_int_equal(0, larder_faults_injected(faulty.faults, LARDER_FAULTS_MAX));
    assert_status(LARDER_OK, set(faulty.cache, "k", "v"));
    faulty_close(&faulty);
}

static void a_fault_after_lets_the_write_land(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    uint64_t version = 7;
    add(&faulty, fault_of(LARDER_ON_WRITES, NULL, LARDER_FAULT_AFTER, LARDER_UNKNOWN));
    assert_status(LARDER_UNKNOWN,
                  larder_store(faulty.cache, LARDER_SET, larder_text("k"), &write, &version));
    assert_int_equal(0, version);
    assert_status(LARDER_OK, read_one(faulty.cache, "k"));
    assert_status(LARDER_UNKNOWN, larder_delete(faulty.cache, larder_text("k"), 0));
    assert_status(LARDER_MISS, read_one(faulty.cache, "k"));
    assert_int_equal(2, larder_faults_injected(faulty.faults, 0));
    faulty_close(&faulty);
}

static void a_fault_after_chooses_by_the_caches_answer(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_AFTER, LARDER_PROTOCOL);
    fault.match.status = LARDER_MISS;
    add(&faulty, fault);
    assert_status(LARDER_PROTOCOL, read_one(faulty.cache, "k"));
    assert_status(LARDER_OK, set(faulty.cache, "k", "v"));
    assert_status(LARDER_OK, read_one(faulty.cache, "k"));
    faulty_close(&faulty);
}

/* Which of `count` reads failed, as "..x..x". */
static void failures(struct larder_cache *cache, char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text[i] = read_one(cache, "k") == LARDER_TIMEOUT ? 'x' : '.';
    text[count] = '\0';
}

static void a_fault_hits_the_calls_that_it_names(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_null(), 1);
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_BEFORE, LARDER_TIMEOUT);
    char text[32];
    fault.every = 3;
    add(&faulty, fault);
    failures(faulty.cache, text, 9);
    assert_string_equal("..x..x..x", text);
    larder_faults_reset(faulty.faults);
    fault.from = 4;
    fault.every = 2;
    fault.times = 2;
    add(&faulty, fault);
    failures(faulty.cache, text, 12);
    assert_string_equal("....x.x.....", text);
    assert_int_equal(2, larder_faults_injected(faulty.faults, 0));
    larder_faults_reset(faulty.faults);
    fault.every = fault.times = 0;
    add(&faulty, fault);
    failures(faulty.cache, text, 6);
    assert_string_equal("...xxx", text);
    faulty_close(&faulty);
}

static void chance_of(uint64_t seed, uint32_t per_million, char *text, size_t count)
{
    struct faulty faulty = faulty_open(open_null(), seed);
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_BEFORE, LARDER_TIMEOUT);
    fault.chance_per_million = per_million;
    add(&faulty, fault);
    failures(faulty.cache, text, count);
    faulty_close(&faulty);
}

static void a_seed_repeats_its_faults(void **state)
{
    (void)state;
    char first[2001], again[2001], other[2001];
    size_t hits = 0;
    chance_of(42, 250000, first, 2000);
    chance_of(42, 250000, again, 2000);
    chance_of(43, 250000, other, 2000);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    for (size_t i = 0; i < 2000; i++)
        hits += first[i] == 'x';
    assert_in_range(hits, 400, 600); /* 500 expected; fixed by the seed */
    chance_of(42, 1000000, first, 50);
    assert_null(strchr(first, '.'));
}

static void a_fault_hits_rows_of_a_multi_call(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_row rows[4] = {
        {.key = {"a1", 2}}, {.key = {"b1", 2}}, {.key = {"a2", 2}}, {.key = {"b2", 2}}};
    struct larder_fault fault = fault_of(LARDER_ON(GET), NULL, LARDER_FAULT_BEFORE, LARDER_TIMEOUT);
    for (size_t i = 0; i < 4; i++)
        assert_status(LARDER_OK, larder_set(faulty.cache, rows[i].key, rows[i].key, 0));
    fault.match.key_prefix = larder_text("b");
    add(&faulty, fault);
    fault = fault_of(LARDER_ON(GET), "a2", LARDER_FAULT_AFTER, LARDER_PROTOCOL);
    add(&faulty, fault);
    assert_status(LARDER_PROTOCOL, larder_get_multi(faulty.cache, rows, 4));
    assert_status(LARDER_OK, rows[0].status);
    assert_slice("a1", rows[0].value.bytes);
    assert_status(LARDER_TIMEOUT, rows[1].status);
    assert_status(LARDER_PROTOCOL, rows[2].status);
    assert_null(rows[2].value.owner);
    assert_status(LARDER_TIMEOUT, rows[3].status);
    assert_int_equal(2, larder_faults_injected(faulty.faults, 0));
    assert_int_equal(3, larder_faults_injected(faulty.faults, LARDER_FAULTS_MAX));
    larder_rows_release(rows, 4);
    faulty_close(&faulty);
}

static void a_fault_hits_one_namespace(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_cache *client = client_over(faulty.cache), *members, *funds;
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_BEFORE, LARDER_UNAVAILABLE);
    fault.match.name_space = "members";
    add(&faulty, fault);
    assert_status(LARDER_OK, larder_bind(client, "members", &members));
    assert_status(LARDER_OK, larder_bind(client, "funds", &funds));
    assert_status(LARDER_UNAVAILABLE, set(members, "k", "v"));
    assert_status(LARDER_OK, set(funds, "k", "v"));
    faulty.cache = client;
    faulty_close(&faulty);
}

static void a_rule_has_copies_of_its_texts(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_cache *client = client_over(faulty.cache), *members;
    char key[] = "user:1", prefix[] = "user:", name[] = "members";
    struct larder_fault fault = fault_of(0, key, LARDER_FAULT_BEFORE, LARDER_UNAVAILABLE);
    fault.match.key_prefix = larder_text(prefix);
    fault.match.name_space = name;
    add(&faulty, fault);
    key[0] = prefix[0] = name[0] = 'x';
    assert_status(LARDER_OK, larder_bind(client, "members", &members));
    assert_status(LARDER_UNAVAILABLE, set(members, "user:1", "v"));
    assert_status(LARDER_OK, set(members, "user:2", "v"));
    assert_status(LARDER_OK, set(client, "user:1", "v"));
    faulty.cache = client;
    faulty_close(&faulty);
}

static void an_injected_failure_leaves_no_value(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_value value = {0};
    struct larder_lease lease;
    char buffer[8];
    struct larder_info info = {0};
    assert_status(LARDER_OK, set(faulty.cache, "k", "v"));
    add(&faulty, fault_of(LARDER_ON_READS, NULL, LARDER_FAULT_AFTER, LARDER_UNAVAILABLE));
    assert_status(LARDER_UNAVAILABLE, larder_get(faulty.cache, larder_text("k"), &value));
    assert_null(value.owner);
    assert_int_equal(0, value.info.length);
    assert_status(LARDER_UNAVAILABLE,
                  larder_read(faulty.cache, larder_text("k"), buffer, sizeof(buffer), &info));
    assert_int_equal(0, info.length);
    assert_status(LARDER_UNAVAILABLE,
                  larder_lease_get(faulty.cache, larder_text("new"), 100, &value, &lease));
    assert_int_equal(0, lease.token);
    assert_null(value.owner);
    faulty_close(&faulty);
}

static void an_injected_ok_reads_as_an_empty_value(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_null(), 1);
    struct larder_value value = {0};
    struct larder_info info = {0};
    char buffer[8];
    add(&faulty, fault_of(LARDER_ON_READS, NULL, LARDER_FAULT_BEFORE, LARDER_OK));
    assert_status(LARDER_OK, larder_get(faulty.cache, larder_text("k"), &value));
    assert_non_null(value.bytes.data);
    assert_int_equal(0, value.bytes.length);
    larder_value_release(&value);
    assert_status(LARDER_OK,
                  larder_read(faulty.cache, larder_text("k"), buffer, sizeof(buffer), &info));
    assert_int_equal(0, info.length);
    faulty_close(&faulty);
}

static void errors_as_miss_hides_injected_failures(void **state)
{
    (void)state;
    struct larder_faults *faults = larder_faults_new(1);
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache;
    size_t found;
    options.errors_as_miss = 1;
    assert_status(LARDER_OK, larder_observed_open(open_memory(NULL), larder_faults_observer(faults),
                                                  &options, &cache, NULL, 0));
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_BEFORE, LARDER_UNAVAILABLE);
    assert_status(LARDER_OK, larder_faults_add(faults, &fault));
    assert_status(LARDER_MISS, read_one(cache, "k"));
    assert_status(LARDER_UNAVAILABLE, set(cache, "k", "v"));
    assert_int_equal(1, stat_named(cache, "read.UNAVAILABLE", &found));
    larder_close(cache);
    larder_faults_free(faults);
}

static void rules_out_of_bounds_are_refused(void **state)
{
    (void)state;
    struct larder_faults *faults = larder_faults_new(1);
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = LARDER_FAULT_DELAY_MS_MAX + 1;
    assert_status(LARDER_BAD_ARGUMENT, larder_faults_add(faults, &fault));
    fault.delay_ms = 0;
    fault.status = (enum larder_status)50;
    assert_status(LARDER_BAD_ARGUMENT, larder_faults_add(faults, &fault));
    fault.status = LARDER_OK;
    fault.chance_per_million = 1000001;
    assert_status(LARDER_BAD_ARGUMENT, larder_faults_add(faults, &fault));
    fault.chance_per_million = 0;
    fault.match.name_space = "a-name-that-is-longer-than-32-bytes";
    assert_status(LARDER_BAD_ARGUMENT, larder_faults_add(faults, &fault));
    fault.match.name_space = NULL;
    assert_status(LARDER_BAD_ARGUMENT, larder_faults_add(faults, NULL));
    for (unsigned i = 0; i < LARDER_FAULTS_MAX; i++)
        assert_status(LARDER_OK, larder_faults_add(faults, &fault));
    assert_status(LARDER_TOO_LARGE, larder_faults_add(faults, &fault));
    larder_faults_free(faults);
    larder_faults_free(NULL);
}

/* ---- delays -------------------------------------------------------------------------------- */

static void a_delay_is_waited(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = 20;
    add(&faulty, fault);
    fault.when = LARDER_FAULT_AFTER;
    add(&faulty, fault);
    uint64_t start = now_ms();
    assert_status(LARDER_OK, set(faulty.cache, "k", "v"));
    assert_true(now_ms() - start >= 39);
    faulty_close(&faulty);
}

static void a_delay_ends_with_the_deadline(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_slice key = larder_text("k");
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = LARDER_FAULT_DELAY_MS_MAX;
    add(&faulty, fault);
    call.timeout_ms = 10;
    assert_status(LARDER_TIMEOUT,
                  larder_store_with(faulty.cache, &call, LARDER_SET, key, &write, NULL));
    larder_faults_reset(faulty.faults);
    assert_status(LARDER_MISS, read_one(faulty.cache, "k"));
    fault.when = LARDER_FAULT_AFTER;
    add(&faulty, fault);
    assert_status(LARDER_UNKNOWN,
                  larder_store_with(faulty.cache, &call, LARDER_SET, key, &write, NULL));
    assert_status(LARDER_TIMEOUT, larder_read_with(faulty.cache, &call, key, NULL, 0, NULL));
    larder_faults_reset(faulty.faults);
    assert_status(LARDER_OK, read_one(faulty.cache, "k"));
    faulty_close(&faulty);
}

static void a_delay_ends_with_the_session(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_cache *session;
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = LARDER_FAULT_DELAY_MS_MAX;
    add(&faulty, fault);
    assert_status(LARDER_OK, larder_acquire(faulty.cache, 10, 0, &session));
    assert_status(LARDER_TIMEOUT, read_one(session, "k"));
    larder_release(session);
    faulty_close(&faulty);
}

static int use_up_the_deadline(void *context, struct larder_observed *call)
{
    (void)context;
    while (now_ms() * 1000000 < call->deadline_ns)
        usleep(100);
    return 0;
}

static void what_a_hook_used_up_is_not_given_twice(void **state)
{
    (void)state;
    struct larder_observer slow = LARDER_OBSERVER_INIT;
    struct larder_counting *counting = larder_counting_new(0);
    struct larder_cache *cache = wrap(open_memory(NULL), larder_counting_observer(counting));
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_row row = {.key = {"k", 1}};
    slow.before = use_up_the_deadline;
    cache = wrap(cache, &slow);
    call.timeout_ms = 3;
    assert_status(LARDER_TIMEOUT, larder_read_with(cache, &call, larder_text("k"), NULL, 0, NULL));
    assert_status(LARDER_TIMEOUT,
                  larder_many(cache, &call, LARDER_MANY_GET, LARDER_SET, &row, 1, sizeof(row)));
    assert_int_equal(0, larder_counting_count(counting, NULL));
    larder_close(cache);
    larder_counting_free(counting);
}

static void a_call_that_must_not_wait_is_not_delayed(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = LARDER_FAULT_DELAY_MS_MAX;
    add(&faulty, fault);
    call.flags = LARDER_NO_WAIT;
    assert_status(LARDER_WOULD_BLOCK,
                  larder_read_with(faulty.cache, &call, larder_text("k"), NULL, 0, NULL));
    faulty_close(&faulty);
}

static void *read_in_thread(void *context)
{
    static const int numbers[] = {LARDER_MISS, LARDER_CLOSED};
    enum larder_status status = read_one(context, "k");
    return (void *)(uintptr_t)(status == LARDER_MISS ? &numbers[0] : &numbers[1]);
}

/* Starts a read that is delayed for a minute, and waits until it is. */
static pthread_t start_delayed(struct faulty *faulty)
{
    pthread_t thread;
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.delay_ms = LARDER_FAULT_DELAY_MS_MAX;
    add(faulty, fault);
    assert_int_equal(0, pthread_create(&thread, NULL, read_in_thread, faulty->cache));
    while (larder_faults_injected(faulty->faults, 0) == 0)
        usleep(100);
    return thread;
}

static void a_reset_ends_delays(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    void *result;
    pthread_t thread = start_delayed(&faulty);
    larder_faults_reset(faulty.faults);
    assert_int_equal(0, pthread_join(thread, &result));
    assert_int_equal(LARDER_MISS, *(int *)result);
    faulty_close(&faulty);
}

static void a_shutdown_ends_delays(void **state)
{
    (void)state;
    struct faulty faulty = faulty_open(open_memory(NULL), 1);
    void *result;
    pthread_t thread = start_delayed(&faulty);
    larder_shutdown(faulty.cache);
    assert_int_equal(0, pthread_join(thread, &result));
    assert_int_equal(LARDER_CLOSED, *(int *)result);
    faulty_close(&faulty);
}

/* ---- recording ----------------------------------------------------------------------------- */

static void a_log_holds_what_was_called(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    struct larder_clock option = larder_manual_clock_of(clock);
    struct larder_recording *recording = larder_recording_new(0, 3, &option);
    struct larder_cache *cache = wrap(open_memory(clock), larder_recording_observer(recording));
    char buffer[2];
    assert_status(LARDER_OK, larder_add(cache, larder_text("k"), larder_text("hello"), 5000));
    larder_manual_clock_advance(clock, 2);
    assert_status(LARDER_PARTIAL,
                  larder_read(cache, larder_text("k"), buffer, sizeof(buffer), NULL));
    const struct larder_entry *entry = larder_recording_at(recording, 0);
    assert_int_equal(START_NS, entry->time_ns);
    assert_int_equal(LARDER_OPERATION_STORE, entry->call.operation);
    assert_int_equal(LARDER_ADD, entry->call.mode);
    assert_slice("k", entry->call.key);
    assert_slice("hel", entry->call.value);
    assert_int_equal(5, entry->call.value_length);
    assert_int_equal(5000, entry->call.ttl_ms);
    entry = larder_recording_at(recording, 1);
    assert_int_equal(START_NS + 2000000, entry->time_ns);
    assert_status(LARDER_PARTIAL, entry->call.status);
    assert_slice("he", entry->call.value);
    assert_int_equal(5, entry->call.value_length);
    assert_null(larder_recording_at(recording, 2));
    larder_close(cache);
    larder_recording_free(recording);
    larder_recording_free(NULL);
    larder_manual_clock_free(clock);
}

static void a_log_is_searched(void **state)
{
    (void)state;
    struct larder_recording *recording = larder_recording_new(0, 0, NULL);
    struct larder_cache *cache = wrap(open_null(), larder_recording_observer(recording));
    assert_status(LARDER_MISS, read_one(cache, "a"));
    assert_status(LARDER_OK, set(cache, "a", "1"));
    assert_status(LARDER_MISS, read_one(cache, "b"));
    assert_status(LARDER_OK, larder_delete(cache, larder_text("a"), 0));
    const struct larder_match steps[] = {
        larder_match_of(LARDER_ON(READ), "a", LARDER_MISS),
        larder_match_of(LARDER_ON(STORE), "a", LARDER_OK),
        larder_match_of(LARDER_ON(DELETE), "a", LARDER_OK),
        larder_match_of(LARDER_ON(STORE), "a", LARDER_OK),
    };
    assert_int_equal(4, larder_recording_count(recording, NULL));
    assert_int_equal(1, larder_recording_count(recording, &steps[1]));
    assert_int_equal(1, larder_recording_find(recording, &steps[1], 0));
    assert_int_equal(LARDER_NOT_RECORDED, larder_recording_find(recording, &steps[1], 2));
    assert_int_equal(3, larder_recording_in_order(recording, steps, 3));
    assert_int_equal(3, larder_recording_in_order(recording, steps, 4));
    assert_int_equal(0, larder_recording_in_order(recording, steps, 0));
    const struct larder_match twice[] = {steps[1], steps[1]}; /* one entry is found once */
    assert_int_equal(1, larder_recording_in_order(recording, twice, 2));
    larder_recording_reset(recording);
    assert_int_equal(0, larder_recording_count(recording, NULL));
    larder_close(cache);
    larder_recording_free(recording);
}

static const char log_text[] = "0: 0.000 ms read \"main\":\"a\" MISS\n"
                               "1: 1.000 ms set \"main\":\"a\" OK ttl 60000 ms 4 bytes \"x\\x00\"\n"
                               "2: 1.000 ms get_multi \"main\":\"a\" OK 4 bytes \"x\\x00\"\n"
                               "3: 1.000 ms get_multi... \"main\":\"b\" MISS\n"
                               "4: 1.000 ms flush \"\" OK\n"
                               "1 more calls are lost\n";

static void a_log_prints_itself(void **state)
{
    (void)state;
    struct larder_manual_clock *clock = larder_manual_clock_new(START_NS);
    struct larder_clock option = larder_manual_clock_of(clock);
    struct larder_recording *recording = larder_recording_new(5, 2, &option);
    struct larder_cache *client =
        client_over(wrap(open_memory(clock), larder_recording_observer(recording)));
    struct larder_row rows[2] = {{.key = {"a", 1}}, {.key = {"b", 1}}};
    char text[1000];
    assert_status(LARDER_MISS, read_one(client, "a"));
    larder_manual_clock_advance(clock, 1);
    assert_status(LARDER_OK, larder_set(client, larder_text("a"), larder_bytes("x\0yz", 4), 60000));
    assert_status(LARDER_OK, larder_get_multi(client, rows, 2));
    assert_status(LARDER_OK, larder_flush(client));
    assert_status(LARDER_MISS, read_one(client, "a"));
    assert_int_equal(sizeof(log_text) - 1, larder_recording_format(recording, text, sizeof(text)));
    assert_string_equal(log_text, text);
    assert_int_equal(sizeof(log_text) - 1, larder_recording_format(recording, text, 5));
    assert_string_equal("0: 0", text);
    assert_int_equal(sizeof(log_text) - 1, larder_recording_format(recording, NULL, 0));
    larder_rows_release(rows, 2);
    larder_close(client);
    larder_recording_free(recording);
    larder_manual_clock_free(clock);
}

static void a_log_out_of_bounds_is_refused(void **state)
{
    (void)state;
    assert_null(larder_recording_new(LARDER_RECORDING_ENTRIES_MAX + 1, 0, NULL));
}

/* ---- sessions ------------------------------------------------------------------------------ */

#ifdef LARDER_WITH_MEMCACHED
static void a_session_holds_the_member_of_the_pool(void **state)
{
    (void)state;
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_counting *counting = larder_counting_new(0);
    struct larder_cache *inner, *cache, *session, *second;
    char uri[256];
    snprintf(uri, sizeof(uri), "pooled-memcached://%s?size=1&timeout=5s",
             memcached_server_path(server));
    assert_status(LARDER_OK, larder_open(uri, NULL, &inner, NULL, 0));
    cache = wrap(inner, larder_counting_observer(counting));
    assert_status(LARDER_OK, larder_acquire(cache, 2000, 0, &session));
    assert_status(LARDER_TIMEOUT, larder_acquire(cache, 20, 0, &second));
    assert_status(LARDER_WOULD_BLOCK, larder_acquire(cache, 0, LARDER_NO_WAIT, &second));
    assert_status(LARDER_OK, set(session, "k", "v")); /* with the one member */
    assert_status(LARDER_OK, read_one(session, "k"));
    larder_release(session);
    assert_status(LARDER_OK, read_one(cache, "k"));
    assert_int_equal(3, larder_counting_count(counting, NULL));
    larder_close(cache);
    larder_counting_free(counting);
    memcached_server_stop(server);
}

static void a_wire_key_is_that_of_the_cache(void **state)
{
    (void)state;
    struct larder_cache *inner, *cache;
    char bare[300], wrapped[300];
    size_t bare_length, wrapped_length;
    struct larder_slice key = larder_text("a key with blanks");
    assert_status(LARDER_OK, larder_open("memcached://127.0.0.1:1", NULL, &inner, NULL, 0));
    cache = wrap(inner, &nobody);
    assert_status(LARDER_OK, larder_wire_key(inner, key, bare, sizeof(bare), &bare_length));
    assert_status(LARDER_OK,
                  larder_wire_key(cache, key, wrapped, sizeof(wrapped), &wrapped_length));
    assert_int_equal(bare_length, wrapped_length);
    assert_memory_equal(bare, wrapped, bare_length);
    larder_close(cache);
}

static void a_client_makes_namespaces_where_the_cache_has_none(void **state)
{
    (void)state;
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_recording *recording = larder_recording_new(0, 0, NULL);
    struct larder_cache *inner, *client, *left, *right;
    struct larder_match match = LARDER_MATCH_INIT;
    char uri[256];
    snprintf(uri, sizeof(uri), "memcached://%s?timeout=5s", memcached_server_path(server));
    assert_status(LARDER_OK, larder_open(uri, NULL, &inner, NULL, 0));
    client = client_over(wrap(inner, larder_recording_observer(recording)));
    assert_status(LARDER_OK, larder_bind(client, "left", &left));
    assert_status(LARDER_OK, larder_bind(client, "right", &right));
    assert_status(LARDER_OK, set(left, "k", "l"));
    assert_status(LARDER_OK, set(right, "k", "r"));
    assert_status(LARDER_OK, larder_flush(left));
    assert_status(LARDER_MISS, read_one(left, "k"));
    assert_status(LARDER_OK, read_one(right, "k"));
    match.key_prefix = larder_text("left:");
    assert_int_equal(2, larder_recording_count(recording, &match));
    larder_close(client);
    larder_recording_free(recording);
    memcached_server_stop(server);
}
#endif

/* ---- threads and processes ----------------------------------------------------------------- */

#define THREADS 8
#define CALLS_PER_THREAD 2000

static void *use(void *context)
{
    struct larder_cache *cache = context, *view, *session;
    size_t failed = 0;
    if (larder_bind(cache, "busy", &view) != LARDER_OK ||
        larder_acquire(view, 0, 0, &session) != LARDER_OK)
        return context;
    for (int i = 0; i < CALLS_PER_THREAD / 2; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i % 50);
        failed += set(i % 2 != 0 ? view : session, key, "value") == LARDER_TIMEOUT;
        failed += read_one(view, key) == LARDER_TIMEOUT;
    }
    larder_release(session);
    return failed <= CALLS_PER_THREAD ? NULL : context;
}

static void threads_share_a_wrapper(void **state)
{
    (void)state;
    struct larder_recording *recording = larder_recording_new(THREADS * CALLS_PER_THREAD, 8, NULL);
    struct larder_counting *counting = larder_counting_new(1000);
    struct faulty faulty = faulty_open(open_memory(NULL), 3);
    struct larder_fault fault =
        fault_of(LARDER_ON(READ), NULL, LARDER_FAULT_BEFORE, LARDER_TIMEOUT);
    fault.chance_per_million = 100000;
    add(&faulty, fault);
    struct larder_cache *cache = wrap(faulty.cache, larder_counting_observer(counting));
    cache = client_over(wrap(cache, larder_recording_observer(recording)));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, use, cache));
    while (larder_recording_count(recording, NULL) < THREADS * CALLS_PER_THREAD / 2)
        usleep(1000);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        assert_int_equal(0, pthread_join(threads[i], &result));
        assert_null(result);
    }
    assert_int_equal(THREADS * CALLS_PER_THREAD, larder_counting_count(counting, NULL));
    assert_int_equal(THREADS * CALLS_PER_THREAD, larder_recording_count(recording, NULL));
    assert_int_equal(larder_faults_injected(faulty.faults, 0),
                     counted(counting, LARDER_ON(READ), NULL, LARDER_TIMEOUT));
    assert_int_equal(0, larder_counting_lost(counting));
    larder_close(cache);
    larder_counting_free(counting);
    larder_recording_free(recording);
    larder_faults_free(faulty.faults);
}

struct traffic {
    struct larder_cache *cache;
    struct larder_recording *recording;
    atomic_int stop; /* relaxed: it orders nothing */
};

/* Holds the log's lock most of the time. */
static void *make_traffic(void *context)
{
    struct traffic *traffic = context;
    while (!atomic_load_explicit(&traffic->stop, memory_order_relaxed)) {
        if (set(traffic->cache, "k", "v") != LARDER_OK)
            return context;
        (void)larder_recording_format(traffic->recording, NULL, 0);
    }
    return NULL;
}

/* Few shards: ThreadSanitizer counts the locks that are held around a fork. */
static struct larder_cache *open_small_memory(void)
{
    struct larder_cache *cache = NULL;
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    options.max_bytes = 2u << 20;
    assert_status(LARDER_OK, larder_memory_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

/* One log watches two caches, so that it is held twice around each fork. */
static void a_forked_child_can_go_on(void **state)
{
    LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR();
    (void)state;
    struct larder_recording *recording = larder_recording_new(0, 8, NULL);
    struct larder_cache *cache = wrap(open_small_memory(), larder_recording_observer(recording));
    cache = wrap(cache, larder_recording_observer(recording));
    struct traffic traffic = {cache, recording, 0};
    pthread_t thread;
    void *result;
    for (int i = 0; i < 500; i++)
        assert_status(LARDER_OK, set(cache, "k", "v"));
    assert_int_equal(0, pthread_create(&thread, NULL, make_traffic, &traffic));
    for (int i = 0; i < 20; i++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(set(cache, "k", "child") == LARDER_OK ? 0 : 1);
        }
        assert_int_equal(child, waitpid(child, &status, 0));
        assert_int_equal(0, status);
    }
    atomic_store_explicit(&traffic.stop, 1, memory_order_relaxed);
    assert_int_equal(0, pthread_join(thread, &result));
    assert_null(result);
    larder_close(cache);
    larder_recording_free(recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_moves_only_when_told),
        cmocka_unit_test(a_clock_never_wraps),
        cmocka_unit_test(an_entry_expires_by_the_clock),
        cmocka_unit_test(wrappers_without_faults_are_transparent),
        cmocka_unit_test(a_wrapper_has_the_traits_of_its_cache),
        cmocka_unit_test(a_wrapper_shows_the_backends_figures_once),
        cmocka_unit_test(a_wrapper_has_a_default_ttl_of_its_own),
        cmocka_unit_test(a_view_outlives_its_cache),
        cmocka_unit_test(a_closed_cache_is_closed_through_its_wrapper),
        cmocka_unit_test(a_namespace_of_a_client_can_be_wrapped),
        cmocka_unit_test(a_client_can_be_wrapped),
        cmocka_unit_test(a_cache_that_cannot_be_wrapped_stays_the_callers),
        cmocka_unit_test(counting_tells_operations_and_statuses_apart),
        cmocka_unit_test(counting_tells_multi_calls_from_their_rows),
        cmocka_unit_test(counting_by_key_is_bounded),
        cmocka_unit_test(a_key_is_seen_in_its_namespace),
        cmocka_unit_test(a_flush_of_a_namespace_leaves_its_sisters_alone),
        cmocka_unit_test(the_longest_key_works_in_a_namespace),
        cmocka_unit_test(a_fault_before_leaves_the_cache_alone),
        cmocka_unit_test(a_fault_after_lets_the_write_land),
        cmocka_unit_test(a_fault_after_chooses_by_the_caches_answer),
        cmocka_unit_test(a_fault_hits_the_calls_that_it_names),
        cmocka_unit_test(a_seed_repeats_its_faults),
        cmocka_unit_test(a_fault_hits_rows_of_a_multi_call),
        cmocka_unit_test(a_fault_hits_one_namespace),
        cmocka_unit_test(a_rule_has_copies_of_its_texts),
        cmocka_unit_test(an_injected_failure_leaves_no_value),
        cmocka_unit_test(an_injected_ok_reads_as_an_empty_value),
        cmocka_unit_test(errors_as_miss_hides_injected_failures),
        cmocka_unit_test(rules_out_of_bounds_are_refused),
        cmocka_unit_test(a_delay_is_waited),
        cmocka_unit_test(a_delay_ends_with_the_deadline),
        cmocka_unit_test(a_delay_ends_with_the_session),
        cmocka_unit_test(what_a_hook_used_up_is_not_given_twice),
        cmocka_unit_test(a_call_that_must_not_wait_is_not_delayed),
        cmocka_unit_test(a_reset_ends_delays),
        cmocka_unit_test(a_shutdown_ends_delays),
        cmocka_unit_test(a_log_holds_what_was_called),
        cmocka_unit_test(a_log_is_searched),
        cmocka_unit_test(a_log_prints_itself),
        cmocka_unit_test(a_log_out_of_bounds_is_refused),
#ifdef LARDER_WITH_MEMCACHED
        cmocka_unit_test(a_session_holds_the_member_of_the_pool),
        cmocka_unit_test(a_wire_key_is_that_of_the_cache),
        cmocka_unit_test(a_client_makes_namespaces_where_the_cache_has_none),
#endif
        cmocka_unit_test(threads_share_a_wrapper),
        cmocka_unit_test(a_forked_child_can_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* TESTING_ALLOCATIONS_FAIL */

/* ---- allocations that fail ----------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static size_t allocations_left = SIZE_MAX; /* the one after these fails, and all later ones */

static int may_allocate(void)
{
    if (allocations_left == SIZE_MAX)
        return 1;
    if (allocations_left == 0)
        return 0;
    allocations_left--;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

static int make_all(struct larder_cache *inner)
{
    struct larder_recording *recording = larder_recording_new(10, 10, NULL);
    struct larder_counting *counting = larder_counting_new(10);
    struct larder_faults *faults = larder_faults_new(1);
    struct larder_manual_clock *clock = larder_manual_clock_new(1);
    struct larder_fault fault = fault_of(0, "key", LARDER_FAULT_AFTER, LARDER_OK);
    struct larder_cache *cache = NULL;
    int made = recording != NULL && counting != NULL && faults != NULL && clock != NULL &&
               larder_faults_add(faults, &fault) == LARDER_OK &&
               larder_observed_open(inner, larder_recording_observer(recording), NULL, &cache, NULL,
                                    0) == LARDER_OK;
    allocations_left = SIZE_MAX;
    if (!made) {
        assert_null(cache);
        assert_status(LARDER_OK, set(inner, "k", "v")); /* still the caller's */
    }
    larder_close(made ? cache : inner);
    larder_recording_free(recording);
    larder_counting_free(counting);
    larder_faults_free(faults);
    larder_manual_clock_free(clock);
    return made;
}

static void making_them_without_memory_is_refused(void **state)
{
    (void)state;
    int made = 0;
    for (size_t n = 0; !made; n++) {
        struct larder_cache *inner = open_memory(NULL);
        allocations_left = n;
        made = make_all(inner);
        assert_true(n < 100);
    }
}

static void a_call_without_memory_is_only_lost_from_the_log(void **state)
{
    (void)state;
    struct larder_recording *recording = larder_recording_new(10, 10, NULL);
    struct larder_counting *counting = larder_counting_new(10);
    struct larder_cache *cache = wrap(open_null(), larder_recording_observer(recording));
    cache = wrap(cache, larder_counting_observer(counting));
    for (size_t n = 0; n < 5; n++) {
        allocations_left = n;
        enum larder_status status = set(cache, "k", "v");
        allocations_left = SIZE_MAX;
        assert_status(LARDER_OK, status);
    }
    assert_int_equal(5, larder_recording_count(recording, NULL) + larder_recording_lost(recording));
    assert_true(larder_recording_lost(recording) > 0);
    assert_true(larder_counting_lost(counting) > 0);
    assert_int_equal(5, larder_counting_count(counting, NULL));
    larder_close(cache);
    larder_counting_free(counting);
    larder_recording_free(recording);
}

static void an_injected_ok_without_memory_is_no_memory(void **state)
{
    (void)state;
    struct larder_faults *faults = larder_faults_new(1);
    struct larder_fault fault = fault_of(0, NULL, LARDER_FAULT_BEFORE, LARDER_OK);
    struct larder_cache *cache = wrap(open_null(), larder_faults_observer(faults));
    struct larder_value value = {0};
    assert_status(LARDER_OK, larder_faults_add(faults, &fault));
    allocations_left = 0;
    enum larder_status status = larder_get(cache, larder_text("k"), &value);
    allocations_left = SIZE_MAX;
    assert_status(LARDER_NO_MEMORY, status);
    assert_null(value.owner);
    assert_status(LARDER_OK, read_one(cache, "k"));
    larder_close(cache);
    larder_faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_them_without_memory_is_refused),
        cmocka_unit_test(a_call_without_memory_is_only_lost_from_the_log),
        cmocka_unit_test(an_injected_ok_without_memory_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
