/* The cache as a whole: flush, the list of keys, statistics, housekeeping, the listener. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- flush --------------------------------------------------------------------------------- */

static void flush_drops_every_key(struct fixture *fixture)
{
    enum larder_status wanted = if_can(fixture, LARDER_CAN_FLUSH, LARDER_OK);
    put(fixture, key(fixture, "a"), "1");
    put(fixture, key(fixture, "b"), "2");
    expect(fixture, wanted, flush(fixture, fixture->handle));
    if (wanted != LARDER_OK) {
        expect_text(fixture, key(fixture, "a"), "1");
        return;
    }
    expect_none(fixture, key(fixture, "a"), LARDER_MISS);
    expect_none(fixture, key(fixture, "b"), LARDER_MISS);
    put(fixture, key(fixture, "a"), "again");
    expect_text(fixture, key(fixture, "a"), "again");
    expect(fixture, LARDER_OK, flush(fixture, fixture->handle));
    expect(fixture, LARDER_OK, flush(fixture, fixture->handle));
    expect_none(fixture, key(fixture, "a"), LARDER_MISS);
}

/* A session flushes what its cache would. */
static void a_flush_through_the_handle_under_test(struct fixture *fixture)
{
    enum larder_status wanted = if_can(fixture, LARDER_CAN_FLUSH, LARDER_OK);
    put(fixture, key(fixture, "a"), "1");
    expect(fixture, wanted, flush(fixture, fixture->cache));
    expect_none(fixture, key(fixture, "b"), LARDER_MISS);
    if (wanted == LARDER_OK)
        expect_none(fixture, key(fixture, "a"), LARDER_MISS);
}

/* On a server that was not said to be this program's alone. */
static void a_flush_spares_what_others_keep_on_a_server(struct fixture *fixture)
{
    struct fixture other, foreign;
    const struct subject bare = {fixture->subject->name, fixture->subject->leaf, SHAPE_BARE};
    const struct server_use shared = {NULL, 1};
    if (!subject_has_server(fixture->subject)) {
        leave_out(fixture, "no server");
        return;
    }
    fixture_open_at(&foreign, &bare, fixture->test, NULL, shared);
    fixture_open_at(&other, fixture->subject, fixture->test, NULL, shared);
    put(&foreign, key(&foreign, "another program's"), "v");
    put(&other, key(&other, "k"), "v");
    expect_that(&foreign, !can(&foreign, LARDER_CAN_FLUSH));
    expect(&foreign, LARDER_UNSUPPORTED, flush(&foreign, foreign.cache));
    expect(&other, if_can(&other, LARDER_CAN_FLUSH, LARDER_OK), flush(&other, other.handle));
    expect_none(&other, key(&other, "gone or never there"), LARDER_MISS);
    if (can(&other, LARDER_CAN_FLUSH))
        expect_none(&other, key(&other, "k"), LARDER_MISS);
    else
        expect_text(&other, key(&other, "k"), "v");
    expect_text(&foreign, key(&foreign, "another program's"), "v");
    fixture_check(&other);
    fixture_close(&other);
    fixture_close(&foreign);
}

/* ---- keys ---------------------------------------------------------------------------------- */

#define LISTED 500

/* Counts how often each of the keys "l0" to "l499" of this fixture is listed; others are counted as
 * strangers. */
static unsigned list_keys(struct fixture *fixture, size_t room, size_t capacity,
                          unsigned seen[LISTED])
{
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[64];
    char *buffer = malloc(room);
    unsigned strangers = 0;
    size_t count = 1;
    memset(seen, 0, LISTED * sizeof(seen[0]));
    for (unsigned rounds = 0; count > 0 && rounds < 100000; rounds++) {
        expect(fixture, LARDER_OK,
               larder_keys(fixture->cache, &cursor, buffer, room, keys, capacity, &count));
        expect_that(fixture, count <= capacity);
        for (size_t i = 0; i < count; i++) {
            char text[64] = "";
            unsigned number = 0, owner = 0;
            memcpy(text, keys[i].data, keys[i].length < 63 ? keys[i].length : 63);
            if (sscanf(text, "t%u.l%u", &owner, &number) == 2 && owner == fixture->number &&
                number < LISTED)
                seen[number]++;
            else
                strangers++;
        }
    }
    free(buffer);
    expect_number(fixture, 0, count);
    return strangers;
}

static struct larder_slice listed_key(struct fixture *fixture, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), "l%u", number);
    return key(fixture, name);
}

static int cannot_list(struct fixture *fixture)
{
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count = 9;
    if (can(fixture, LARDER_CAN_KEYS))
        return 0;
    expect(fixture, LARDER_UNSUPPORTED,
           larder_keys(fixture->cache, &cursor, buffer, sizeof(buffer), keys, 1, &count));
    expect_number(fixture, 0, count);
    return 1;
}

static void every_key_that_stays_is_listed(struct fixture *fixture)
{
    static const struct {
        size_t room, capacity;
    } ways[] = {{65536, 64}, {65536, 1}, {40, 64}, {200, 7}};
    unsigned seen[LISTED];
    if (cannot_list(fixture))
        return;
    for (unsigned i = 0; i < LISTED; i++)
        put(fixture, listed_key(fixture, i), "v");
    for (unsigned i = 0; i < LISTED; i += 5)
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, listed_key(fixture, i), 0));
    for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        list_keys(fixture, ways[way].room, ways[way].capacity, seen);
        for (unsigned i = 0; i < LISTED; i++)
            expect_that(fixture, (seen[i] > 0) == (i % 5 != 0));
    }
}

/* Fresh, so that nothing but what the test put there can be listed. */
static void only_live_keys_of_this_cache_are_listed(struct fixture *fixture)
{
    unsigned seen[LISTED];
    struct larder_lease held;
    if (cannot_list(fixture))
        return;
    expect_number(fixture, 0, list_keys(fixture, 65536, 64, seen));
    put(fixture, listed_key(fixture, 0), "v");
    put(fixture, listed_key(fixture, 1), "v");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, listed_key(fixture, 1), 0));
    if (can(fixture, LARDER_CAN_LEASE))
        expect(fixture, LARDER_MISS, lease(fixture, listed_key(fixture, 2), 60000, &held));
    if (fixture_has_manual_clock(fixture)) {
        expect(fixture, LARDER_OK,
               larder_set(fixture->cache, listed_key(fixture, 3), larder_text("v"), 5));
        fixture_wait(fixture, 5 + fixture->traits->ttl_late_ms);
    }
    expect_number(fixture, 0, list_keys(fixture, 65536, 64, seen));
    for (unsigned i = 0; i < LISTED; i++)
        expect_number(fixture, i == 0 ? 1 : 0, seen[i]);
    expect(fixture, if_can(fixture, LARDER_CAN_FLUSH, LARDER_OK), flush(fixture, fixture->handle));
    expect_number(fixture, 0, list_keys(fixture, 65536, 64, seen));
    expect_number(fixture, 0, can(fixture, LARDER_CAN_FLUSH) ? seen[0] : 0);
}

static void a_key_that_does_not_fit_waits_for_more_room(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "a key of some length");
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[4];
    char buffer[256];
    size_t count = 9;
    if (cannot_list(fixture))
        return;
    put(fixture, there, "v");
    expect(fixture, LARDER_TOO_LARGE,
           larder_keys(fixture->cache, &cursor, buffer, there.length - 1, keys, 4, &count));
    expect_number(fixture, 0, count);
    expect(fixture, LARDER_OK,
           larder_keys(fixture->cache, &cursor, buffer, sizeof(buffer), keys, 4, &count));
    expect_number(fixture, 1, count);
    expect_slice(fixture, there, keys[0]);
}

/* ---- statistics ---------------------------------------------------------------------------- */

#define STATS_MAX 1024

static uint64_t stat_of(struct fixture *fixture, const char *name)
{
    static struct larder_stat rows[STATS_MAX];
    size_t count = 0;
    expect(fixture, LARDER_OK, larder_stats(fixture->cache, rows, STATS_MAX, &count));
    expect_that(fixture, count <= STATS_MAX);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return 0;
}

static void each_answer_is_counted(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    static const char *const names[] = {
        "read.OK",  "read.MISS",          "read.PARTIAL", "get.OK",     "get.BAD_KEY",
        "store.OK", "store.BAD_ARGUMENT", "delete.OK",    "delete.MISS"};
    uint64_t before[9];
    static const uint64_t more[] = {1, 2, 1, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < 9; i++)
        before[i] = stat_of(fixture, names[i]);
    struct larder_cache *cache = fixture->cache;
    char byte;
    expect(fixture, LARDER_MISS, larder_read(cache, there, &byte, 1, NULL));
    put(fixture, there, "v");
    expect(fixture, LARDER_OK, larder_read(cache, there, &byte, 1, NULL));
    expect(fixture, LARDER_PARTIAL, larder_read(cache, there, NULL, 0, NULL));
    expect(fixture, LARDER_OK, larder_get(cache, there, &value));
    larder_value_release(&value);
    expect(fixture, LARDER_BAD_KEY, larder_get(cache, larder_bytes("", 0), &value));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_set(cache, there, larder_text("v"), -1));
    expect(fixture, LARDER_OK, larder_delete(cache, there, 0));
    expect(fixture, LARDER_MISS, larder_delete(cache, there, 0));
    expect(fixture, LARDER_MISS, larder_read(cache, there, &byte, 1, NULL));
    for (size_t i = 0; i < 9; i++) {
        char row[80];
        snprintf(row, sizeof(row), "%s grows by %u", names[i], (unsigned)more[i]);
        expect_equal(fixture, before[i] + more[i], stat_of(fixture, names[i]), row, __FILE__,
                     __LINE__);
    }
}

static void statistics_fit_any_room(struct fixture *fixture)
{
    struct larder_stat rows[2];
    size_t count = 0, again = 0;
    memset(rows, '#', sizeof(rows));
    expect(fixture, LARDER_OK, larder_stats(fixture->cache, NULL, 0, &count));
    expect_that(fixture, count > 0 && count <= STATS_MAX);
    expect(fixture, LARDER_OK, larder_stats(fixture->cache, rows, 1, &again));
    expect_number(fixture, count, again);
    expect_that(fixture, rows[1].name[0] == '#');
    expect_that(fixture, memchr(rows[0].name, '\0', sizeof(rows[0].name)) != NULL);
    expect(fixture, LARDER_BAD_ARGUMENT, larder_stats(fixture->cache, NULL, 1, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_stats(fixture->cache, rows, 1, NULL));
}

/* ---- housekeeping -------------------------------------------------------------------------- */

static void purge_harms_nothing(struct fixture *fixture)
{
    uint64_t next_due_ms = 0;
    put(fixture, key(fixture, "stays"), "v");
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key(fixture, "long"), larder_text("v"), AGEING_LONG_MS));
    if (fixture_has_manual_clock(fixture)) {
        for (unsigned i = 0; i < 100; i++)
            expect(fixture, LARDER_OK,
                   larder_set(fixture->cache, listed_key(fixture, i), larder_text("v"), 1000));
        fixture_wait(fixture, 60000);
    }
    expect(fixture, LARDER_OK, larder_purge(fixture->cache, 0, &next_due_ms));
    expect(fixture, LARDER_OK, larder_purge(fixture->cache, 50, NULL));
    expect_text(fixture, key(fixture, "stays"), "v");
    expect_text(fixture, key(fixture, "long"), "v");
    expect_none(fixture, key(fixture, "none"), LARDER_MISS);
}

static void purge_tells_when_it_is_due(struct fixture *fixture)
{
    uint64_t next_due_ms = 0;
    if (!fixture_has_manual_clock(fixture)) {
        leave_out(fixture, "a server keeps house itself");
        return;
    }
    put(fixture, key(fixture, "for ever"), "v");
    expect(fixture, LARDER_OK, larder_purge(fixture->cache, 50, &next_due_ms));
    expect_number(fixture, UINT64_MAX, next_due_ms);
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key(fixture, "k"), larder_text("v"), AGEING_TTL_MS));
    expect(fixture, LARDER_OK, larder_purge(fixture->cache, 50, &next_due_ms));
    expect_that(fixture, next_due_ms > 0 && next_due_ms < UINT64_MAX);
    fixture_wait(fixture, AGEING_TTL_MS + next_due_ms);
    expect(fixture, LARDER_OK, larder_purge(fixture->cache, 50, &next_due_ms));
    expect_number(fixture, UINT64_MAX, next_due_ms);
}

/* ---- the listener -------------------------------------------------------------------------- */

struct heard {
    unsigned calls;
    enum larder_operation operation;
    enum larder_status status;
    size_t key_length;
};

static void hear(void *context, const struct larder_event *event)
{
    struct heard *heard = context;
    heard->calls++;
    heard->operation = event->operation;
    heard->status = event->status;
    heard->key_length = event->key.length;
}

static void the_listener_hears_failures_and_nothing_else(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct heard heard = {0, LARDER_OPERATION_READ, LARDER_OK, 0};
    struct fixture other;
    options.listener = hear;
    options.listener_context = &heard;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    put(&other, key(&other, "k"), "v");
    expect_none(&other, key(&other, "none"), LARDER_MISS);
    expect_number(&other, 0, heard.calls);
    expect(&other, LARDER_BAD_ARGUMENT, larder_touch(other.cache, key(&other, "k"), -1));
    expect_number(&other, 1, heard.calls);
    expect_that(&other, heard.operation == LARDER_OPERATION_TOUCH);
    expect(&other, LARDER_BAD_ARGUMENT, heard.status);
    expect_number(&other, key(&other, "k").length, heard.key_length);
    fixture_check(&other);
    fixture_close(&other);
}

const struct contract_test whole_tests[] = {
    CONTRACT_TEST(only_live_keys_of_this_cache_are_listed),
    CONTRACT_TEST(flush_drops_every_key),
    CONTRACT_TEST(a_flush_through_the_handle_under_test),
    CONTRACT_TEST(a_flush_spares_what_others_keep_on_a_server),
    CONTRACT_TEST(every_key_that_stays_is_listed),
    CONTRACT_TEST(a_key_that_does_not_fit_waits_for_more_room),
    CONTRACT_TEST(each_answer_is_counted),
    CONTRACT_TEST(statistics_fit_any_room),
    CONTRACT_TEST(purge_harms_nothing),
    CONTRACT_TEST(purge_tells_when_it_is_due),
    CONTRACT_TEST(the_listener_hears_failures_and_nothing_else),
    CONTRACT_TESTS_END,
};
