/*
 * The memcached backends against a real memcached that is killed, stopped and restarted. Every test
 * runs over text and binary, with a connection per thread and with a pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libmemcached/memcached.h>

#include <larder/memcached.h>
#include <larder/util/deadline.h>
#include "memcached_server.h"
#include "scripted_server.h"
#include "sanitizer.h"

/* Patient: no healthy server, however busy the machine, runs into it. Hasty: to be run into. */
#define PATIENT_MS 20000u
#define HASTY_MS 200u
#define PROBE_MS 50u
#define POOL_SIZE 4u

extern const struct larder_backend larder_memcached_backend;

struct variant {
    int binary;
    int pooled;
};

static char servers_text[512];

static struct larder_cache *open_with(const struct variant *variant, const char *servers,
                                      uint64_t timeout_ms)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct larder_pooled_memcached_options pooled = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    struct larder_cache *cache;
    char message[256];
    options.servers = pooled.servers = servers;
    options.binary = pooled.binary = (uint64_t)variant->binary;
    options.timeout_ms = pooled.timeout_ms = timeout_ms;
    options.connect_timeout_ms = pooled.connect_timeout_ms = timeout_ms;
    options.probe_ms = pooled.probe_ms = PROBE_MS;
    options.exclusive = pooled.exclusive = 1;
    pooled.size = POOL_SIZE;
    enum larder_status status =
        variant->pooled
            ? larder_pooled_memcached_open(&pooled, NULL, &cache, message, sizeof(message))
            : larder_memcached_open(&options, NULL, &cache, message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("%s", message);
    return cache;
}

static struct larder_cache *open_at(const struct variant *variant, const char *servers)
{
    return open_with(variant, servers, PATIENT_MS);
}

static struct larder_cache *open_on(void **state, const struct memcached_server *server)
{
    return open_at(*state, memcached_server_path(server));
}

static struct larder_cache *open_hasty(void **state, const struct memcached_server *server)
{
    return open_with(*state, memcached_server_path(server), HASTY_MS);
}

static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[256];
    size_t count;
    assert_int_equal(larder_stats(cache, rows, 256, &count), LARDER_OK);
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("no figure %s", name);
    return 0;
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
    return (larder_monotonic_ns() - since_ns) / 1000000;
}

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    return larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER);
}

static enum larder_status is_there(struct larder_cache *cache, const char *key)
{
    enum larder_status status = larder_read(cache, larder_text(key), NULL, 0, NULL);
    return status == LARDER_PARTIAL ? LARDER_OK : status;
}

static void assert_value(struct larder_cache *cache, const char *key, const char *expected)
{
    char buffer[64];
    struct larder_info info = {0};
    assert_int_equal(larder_read(cache, larder_text(key), buffer, sizeof(buffer), &info),
                     LARDER_OK);
    assert_int_equal(info.length, strlen(expected));
    assert_memory_equal(buffer, expected, info.length);
}

/* Polls, since the server is back only when a prober has found it. */
static enum larder_status wait_until_set(struct larder_cache *cache, const char *key,
                                         const char *value, uint64_t limit_ms)
{
    uint64_t start_ns = larder_monotonic_ns();
    enum larder_status status;
    do {
        status = set(cache, key, value);
    } while (status != LARDER_OK && elapsed_ms(start_ns) < limit_ms);
    return status;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void keys_that_carry_commands_do_no_harm(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    char buffer[64];
    assert_int_equal(set(cache, "victim", "secret"), LARDER_OK);
    struct larder_slice reader = larder_text("q\r\nget victim");
    assert_int_equal(larder_read(cache, reader, buffer, sizeof(buffer), NULL), LARDER_MISS);
    struct larder_slice flusher = larder_text("q\r\nflush_all");
    assert_int_equal(larder_delete(cache, flusher, 0), LARDER_MISS);
    assert_int_equal(larder_set(cache, flusher, larder_text("flush_all\r\n"), 0), LARDER_OK);
    assert_int_equal(larder_incr(cache, reader, 1, NULL, NULL), LARDER_MISS);
    assert_int_equal(larder_touch(cache, reader, 1000), LARDER_MISS);
    assert_value(cache, "victim", "secret");
    assert_value(cache, "q\r\nflush_all", "flush_all\r\n");
    larder_close(cache);
    memcached_server_stop(server);
}

static void every_byte_and_length_makes_a_key(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    static const size_t lengths[] = {1, 2, 185, 186, 187, 188, 249, 250, 251, 65535};
    static char key[LARDER_KEY_BYTES_MAX];
    char value[16];
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            struct larder_slice name = larder_bytes(key, lengths[i]);
            memset(key, (int)byte, lengths[i]);
            snprintf(value, sizeof(value), "%u:%zu", byte, i);
            assert_int_equal(larder_set(cache, name, larder_text(value), 0), LARDER_OK);
        }
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            char found[16] = "";
            memset(key, (int)byte, lengths[i]);
            snprintf(value, sizeof(value), "%u:%zu", byte, i);
            assert_int_equal(
                larder_read(cache, larder_bytes(key, lengths[i]), found, sizeof(found), NULL),
                LARDER_OK);
            assert_string_equal(found, value);
        }
    larder_close(cache);
    memcached_server_stop(server);
}

/* ---- values -------------------------------------------------------------------------------- */

static void a_narrow_server_keeps_the_old_value(void **state)
{
    static const char *const arguments[] = {"-I", "512k", NULL};
    struct memcached_server *server = memcached_server_start(arguments);
    struct larder_cache *cache = open_on(state, server);
    char *large = calloc(1, 1000000);
    assert_non_null(large);
    size_t longest = 524288 - 59 - strlen("key");
    assert_int_equal(set(cache, "key", "old"), LARDER_OK);
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, 1000000), 0),
                     LARDER_TOO_LARGE);
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, longest + 1), 0),
                     LARDER_TOO_LARGE);
    assert_value(cache, "key", "old");
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, longest), 0),
                     LARDER_OK);
    assert_int_equal(larder_append(cache, larder_text("key"), larder_text("x")), LARDER_TOO_LARGE);
    assert_int_equal(is_there(cache, "key"), LARDER_OK);
    assert_int_equal(figure(cache, "links_replaced"), 0);
    free(large);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_limit_is_asked_for_again_after_a_restart(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    char *large = calloc(1, 2000000);
    assert_non_null(large);
    uint64_t most = larder_describe(cache)->value_max;
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, most), 0),
                     LARDER_OK);
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, most + 1), 0),
                     LARDER_TOO_LARGE);
    assert_int_equal(is_there(cache, "key"), LARDER_OK);
    memcached_server_restart(server);
    assert_int_equal(is_there(cache, "key"), LARDER_MISS);
    assert_int_equal(larder_set(cache, larder_text("key"), larder_bytes(large, most), 0),
                     LARDER_OK);
    free(large);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_delete_at_a_version_is_atomic(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    assert_int_equal(set(cache, "key", "1"), LARDER_OK);
    assert_int_equal(larder_read(cache, larder_text("key"), NULL, 0, &info), LARDER_PARTIAL);
    uint64_t old = info.version;
    assert_true(old != 0);
    assert_int_equal(set(cache, "key", "2"), LARDER_OK);
    assert_int_equal(larder_delete(cache, larder_text("key"), old), LARDER_CONFLICT);
    assert_value(cache, "key", "2");
    assert_int_equal(larder_read(cache, larder_text("key"), NULL, 0, &info), LARDER_PARTIAL);
    assert_int_equal(larder_delete(cache, larder_text("key"), info.version), LARDER_OK);
    assert_int_equal(is_there(cache, "key"), LARDER_MISS);
    assert_int_equal(larder_delete(cache, larder_text("key"), info.version), LARDER_MISS);
    assert_int_equal(larder_add(cache, larder_text("key"), larder_text("3"), 0), LARDER_OK);
    larder_close(cache);
    memcached_server_stop(server);
}

/* The server's text parser refuses the largest number. */
static void the_largest_version_is_nobodys(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    struct larder_slice key = larder_text("key");
    struct larder_write write = larder_write_of(larder_text("new"), LARDER_TTL_FOREVER);
    write.version = UINT64_MAX;
    assert_int_equal(larder_store(cache, LARDER_CAS, key, &write, NULL), LARDER_MISS);
    assert_int_equal(larder_delete(cache, key, UINT64_MAX), LARDER_MISS);
    assert_int_equal(set(cache, "key", "old"), LARDER_OK);
    assert_int_equal(larder_store(cache, LARDER_CAS, key, &write, NULL), LARDER_CONFLICT);
    assert_int_equal(larder_delete(cache, key, UINT64_MAX), LARDER_CONFLICT);
    assert_value(cache, "key", "old");
    larder_close(cache);
    memcached_server_stop(server);
}

static void counting_what_is_no_number_is_told_apart(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    uint64_t number = 7;
    assert_int_equal(set(cache, "key", "text"), LARDER_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(larder_incr(cache, larder_text("key"), 1, NULL, &number),
                         LARDER_NOT_A_NUMBER);
    assert_int_equal(number, 0);
    assert_int_equal(figure(cache, "server.0.markdowns"), 0);
    assert_value(cache, "key", "text");
    larder_close(cache);
    memcached_server_stop(server);
}

/* ---- a server that is down ------------------------------------------------------------------ */

static void opening_with_the_server_down_is_fine(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    memcached_server_kill(server);
    struct larder_cache *cache = open_on(state, server);
    uint64_t number;
    assert_int_equal(is_there(cache, "key"), LARDER_UNAVAILABLE);
    assert_int_equal(set(cache, "key", "value"), LARDER_UNAVAILABLE);
    assert_int_equal(larder_delete(cache, larder_text("key"), 0), LARDER_UNAVAILABLE);
    assert_int_equal(larder_touch(cache, larder_text("key"), 1000), LARDER_UNAVAILABLE);
    assert_int_equal(larder_incr(cache, larder_text("key"), 1, NULL, &number), LARDER_UNAVAILABLE);
    assert_int_equal(larder_flush(cache), LARDER_UNAVAILABLE);
    memcached_server_restart(server);
    assert_int_equal(wait_until_set(cache, "key", "value", PATIENT_MS), LARDER_OK);
    assert_value(cache, "key", "value");
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_server_that_is_marked_down_costs_nothing(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    memcached_server_kill(server);
    is_there(cache, "key");
    uint64_t start_ns = larder_monotonic_ns();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(is_there(cache, "key"), LARDER_UNAVAILABLE);
    uint64_t periods = elapsed_ms(start_ns) / PROBE_MS + 1;
    assert_in_range(figure(cache, "server.0.probes"), 0, periods);
    assert_in_range(figure(cache, "dials_failed"), 1, periods + 1);
    assert_in_range(figure(cache, "refused_down"), 100000 - periods, 100001);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_stopped_server_is_marked_down_and_found_back(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *patient = open_on(state, server);
    struct larder_cache *cache = open_hasty(state, server);
    char key[16];
    char value[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        snprintf(value, sizeof(value), "value%d", i);
        assert_int_equal(set(patient, key, value), LARDER_OK);
    }
    assert_int_equal(wait_until_set(cache, "other", "value", PATIENT_MS), LARDER_OK);
    memcached_server_pause(server);
    uint64_t start_ns = larder_monotonic_ns();
    for (int i = 0; i < 3; i++) {
        enum larder_status status = set(cache, "key0", "late");
        /* TIMEOUT: it was still dialling, so nothing was sent */
        assert_true(status == LARDER_UNKNOWN || status == LARDER_TIMEOUT);
    }
    assert_true(elapsed_ms(start_ns) >= 3 * HASTY_MS - 5);
    assert_int_equal(figure(cache, "server.0.down"), 1);
    memcached_server_resume(server);
    assert_int_equal(wait_until_set(cache, "other", "value", PATIENT_MS), LARDER_OK);
    /* no late reply is taken for the answer to another key */
    for (int i = 1; i < 50; i++) {
        char found[16] = "";
        snprintf(key, sizeof(key), "key%d", i);
        snprintf(value, sizeof(value), "value%d", i);
        enum larder_status status =
            larder_read(cache, larder_text(key), found, sizeof(found) - 1, NULL);
        assert_true(status == LARDER_OK || status == LARDER_TIMEOUT);
        if (status == LARDER_OK)
            assert_string_equal(found, value);
        assert_value(patient, key, value);
    }
    /* the write that was UNKNOWN has landed, or has not */
    char found[16] = "";
    assert_int_equal(larder_read(patient, larder_text("key0"), found, sizeof(found) - 1, NULL),
                     LARDER_OK);
    assert_true(strcmp(found, "late") == 0 || strcmp(found, "value0") == 0);
    larder_close(cache);
    larder_close(patient);
    memcached_server_stop(server);
}

static void an_idle_connection_survives_a_restart_for_reads(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    assert_int_equal(is_there(cache, "key"), LARDER_OK);
    memcached_server_restart(server);
    for (unsigned i = 0; i < POOL_SIZE; i++)
        assert_int_equal(is_there(cache, "key"), LARDER_MISS);
    assert_int_equal(set(cache, "key", "new"), LARDER_OK);
    assert_value(cache, "key", "new");
    assert_int_equal(figure(cache, "server.0.markdowns"), 0);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_write_on_a_connection_that_had_died_is_unknown_once(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    for (unsigned i = 0; i < POOL_SIZE; i++)
        assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    memcached_server_restart(server);
    assert_int_equal(set(cache, "key", "new"), LARDER_UNKNOWN);
    for (unsigned i = 0; i < POOL_SIZE; i++)
        assert_int_equal(set(cache, "key", "new"), LARDER_OK);
    larder_close(cache);
    memcached_server_stop(server);
}

/* ---- many keys ------------------------------------------------------------------------------ */

#define MANY 3000

static char many_keys[MANY][24];

static void name_rows(struct larder_row *rows, size_t count)
{
    memset(rows, 0, count * sizeof(*rows));
    for (size_t i = 0; i < count; i++) {
        /* plain and encoded ones, each third one twice */
        size_t number = i % 3 == 2 ? i - 1 : i;
        snprintf(many_keys[i], sizeof(many_keys[i]), number % 2 ? "key %zu" : "key-%zu", number);
        rows[i].key = larder_text(many_keys[i]);
    }
}

static void many_keys_on_two_servers_come_back_in_place(void **state)
{
    struct memcached_server *first = memcached_server_start(NULL);
    struct memcached_server *second = memcached_server_start(NULL);
    snprintf(servers_text, sizeof(servers_text), "%s,%s", memcached_server_path(first),
             memcached_server_path(second));
    struct larder_cache *cache = open_at(*state, servers_text);
    struct larder_row *rows = calloc(MANY, sizeof(*rows));
    assert_non_null(rows);
    name_rows(rows, MANY);
    for (size_t i = 0; i < MANY; i++)
        rows[i].write = larder_write_of(rows[i].key, 0);
    assert_int_equal(larder_store_multi(cache, LARDER_SET, rows, MANY / 2), LARDER_OK);
    name_rows(rows, MANY);
    assert_int_equal(larder_get_multi(cache, rows, MANY), LARDER_OK);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(rows[i].status, i < MANY / 2 ? LARDER_OK : LARDER_MISS);
        if (rows[i].status == LARDER_OK) {
            assert_int_equal(rows[i].value.bytes.length, rows[i].key.length);
            assert_memory_equal(rows[i].value.bytes.data, rows[i].key.data, rows[i].key.length);
        }
    }
    larder_rows_release(rows, MANY);
    free(rows);
    larder_close(cache);
    memcached_server_stop(first);
    memcached_server_stop(second);
}

static void a_large_value_is_given_to_all_who_asked(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    struct larder_row rows[3];
    char *large = malloc(500000);
    assert_non_null(large);
    memset(large, 'L', 500000);
    assert_int_equal(larder_set(cache, larder_text("large"), larder_bytes(large, 500000), 0),
                     LARDER_OK);
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < 3; i++)
        rows[i].key = larder_text("large");
    assert_int_equal(larder_get_multi(cache, rows, 3), LARDER_OK);
    larder_close(cache);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rows[i].value.bytes.length, 500000);
        assert_memory_equal(rows[i].value.bytes.data, large, 500000);
    }
    larder_rows_release(rows, 3);
    free(large);
    memcached_server_stop(server);
}

static void keys_of_a_dead_server_are_no_misses(void **state)
{
    struct memcached_server *first = memcached_server_start(NULL);
    struct memcached_server *second = memcached_server_start(NULL);
    snprintf(servers_text, sizeof(servers_text), "%s,%s", memcached_server_path(first),
             memcached_server_path(second));
    struct larder_cache *cache = open_at(*state, servers_text);
    struct larder_row rows[60];
    name_rows(rows, 60);
    for (size_t i = 0; i < 60; i++)
        rows[i].write = larder_write_of(rows[i].key, 0);
    assert_int_equal(larder_store_multi(cache, LARDER_SET, rows, 30), LARDER_OK);
    memcached_server_kill(second);
    name_rows(rows, 60);
    assert_int_equal(larder_get_multi(cache, rows, 60), LARDER_UNAVAILABLE);
    size_t unavailable = 0;
    for (size_t i = 0; i < 60; i++) {
        unavailable += rows[i].status == LARDER_UNAVAILABLE;
        if (rows[i].status != LARDER_UNAVAILABLE)
            assert_int_equal(rows[i].status, i < 30 ? LARDER_OK : LARDER_MISS);
    }
    assert_in_range(unavailable, 1, 59);
    larder_rows_release(rows, 60);

    /* and a stopped one */
    struct larder_cache *hasty = open_with(*state, servers_text, HASTY_MS);
    memcached_server_pause(first);
    name_rows(rows, 60);
    assert_true(larder_get_multi(hasty, rows, 60) < 0);
    for (size_t i = 0; i < 60; i++)
        assert_true(rows[i].status == LARDER_UNAVAILABLE || rows[i].status == LARDER_TIMEOUT);
    memcached_server_resume(first);
    larder_close(hasty);

    /* writes to the dead one cost nothing */
    name_rows(rows, 60);
    for (size_t i = 0; i < 60; i++)
        rows[i].write = larder_write_of(larder_text("v"), 0);
    uint64_t start_ns = larder_monotonic_ns();
    assert_int_equal(larder_store_multi(cache, LARDER_SET, rows, 60), LARDER_UNAVAILABLE);
    assert_in_range(elapsed_ms(start_ns), 0, PATIENT_MS / 2);
    larder_close(cache);
    memcached_server_stop(first);
    memcached_server_stop(second);
}

static void a_routing_key_places_an_entry(void **state)
{
    struct memcached_server *first = memcached_server_start(NULL);
    struct memcached_server *second = memcached_server_start(NULL);
    snprintf(servers_text, sizeof(servers_text), "%s,%s", memcached_server_path(first),
             memcached_server_path(second));
    struct larder_cache *cache = open_at(*state, servers_text);
    struct larder_call call = LARDER_CALL_INIT;
    call.routing_key = larder_text("together");
    struct larder_row rows[40];
    name_rows(rows, 40);
    for (size_t i = 0; i < 40; i++)
        rows[i].write = larder_write_of(rows[i].key, 0);
    assert_int_equal(
        larder_many(cache, &call, LARDER_MANY_STORE, LARDER_SET, rows, 40, sizeof(rows[0])),
        LARDER_OK);
    size_t elsewhere = 0;
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(larder_read_with(cache, &call, rows[i].key, NULL, 0, NULL),
                         LARDER_PARTIAL);
        elsewhere += larder_read(cache, rows[i].key, NULL, 0, NULL) == LARDER_MISS;
    }
    assert_in_range(elsewhere, 1, 39);
    larder_close(cache);
    memcached_server_stop(first);
    memcached_server_stop(second);
}

/* As the core asks for it, to keep a namespace's generation on every server. */
static void each_server_keeps_entries_of_its_own(void **state)
{
    struct memcached_server *first = memcached_server_start(NULL);
    struct memcached_server *second = memcached_server_start(NULL);
    snprintf(servers_text, sizeof(servers_text), "%s,%s", memcached_server_path(first),
             memcached_server_path(second));
    struct larder_cache *cache = open_at(*state, servers_text);
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    const struct larder_host host = {.version = LARDER_BACKEND_VERSION, .size = sizeof(host)};
    const struct larder_ops *ops = larder_memcached_backend.ops;
    struct larder_message message = {NULL, 0};
    void *self;
    options.servers = servers_text;
    options.timeout_ms = PATIENT_MS;
    assert_int_equal(larder_memcached_backend.open(&host, &options, &message, &self), LARDER_OK);
    struct larder_scope scope = {.ops = ops, .self = self, .flags = LARDER_SCOPE_OWN_KEY};
    struct larder_slice key = larder_text("~g:main");
    uint64_t version = 0;
    assert_int_equal(ops->servers(&scope), 2);
    for (scope.server = 1; scope.server <= 2; scope.server++) {
        struct larder_write write = larder_write_of(larder_text(scope.server == 1 ? "A" : "B"), 0);
        assert_int_equal(ops->store(&scope, LARDER_SET, key, &write, &version), LARDER_OK);
    }
    for (scope.server = 1; scope.server <= 2; scope.server++) {
        char found = 0;
        assert_int_equal(ops->read(&scope, key, &found, 1, NULL), LARDER_OK);
        assert_int_equal(found, scope.server == 1 ? 'A' : 'B');
    }
    assert_int_equal(ops->read(&scope, key, NULL, 0, NULL), LARDER_BAD_ARGUMENT); /* of 3 */
    ops->close(self);
    larder_close(cache);
    memcached_server_stop(first);
    memcached_server_stop(second);
}

static void libmemcached_finds_what_we_stored(void **state)
{
    const struct variant *variant = *state;
    struct memcached_server *first = memcached_server_start(NULL);
    struct memcached_server *second = memcached_server_start(NULL);
    snprintf(servers_text, sizeof(servers_text), "%s,%s*3", memcached_server_path(first),
             memcached_server_path(second));
    struct larder_cache *cache = open_at(variant, servers_text);
    memcached_st *bare = memcached_create(NULL);
    assert_non_null(bare);
    memcached_behavior_set(bare, MEMCACHED_BEHAVIOR_DISTRIBUTION,
                           MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA);
    memcached_behavior_set(bare, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, (uint64_t)variant->binary);
    memcached_server_add_unix_socket_with_weight(bare, memcached_server_path(first), 1);
    memcached_server_add_unix_socket_with_weight(bare, memcached_server_path(second), 3);
    for (int i = 0; i < 100; i++) {
        char key[16];
        size_t length = 0;
        uint32_t flags = 0;
        memcached_return_t code;
        snprintf(key, sizeof(key), "interop%d", i);
        struct larder_write write = larder_write_of(larder_text(key), 0);
        write.flags = (uint32_t)i * 40000001u;
        assert_int_equal(larder_store(cache, LARDER_SET, larder_text(key), &write, NULL),
                         LARDER_OK);
        char *value = memcached_get(bare, key, strlen(key), &length, &flags, &code);
        assert_int_equal(code, MEMCACHED_SUCCESS);
        assert_int_equal(length, strlen(key));
        assert_memory_equal(value, key, length);
        assert_int_equal(flags, write.flags);
        free(value);
    }
    memcached_free(bare);
    larder_close(cache);
    memcached_server_stop(first);
    memcached_server_stop(second);
}

/* ---- traffic -------------------------------------------------------------------------------- */

#define THREADS 8
#define KEYS 64

/* A value says whose it is, so that any mix-up shows. */
static size_t value_make(char *value, size_t size, unsigned key, unsigned version)
{
    int length = snprintf(value, size, "k%u v%u ", key, version);
    size_t filler = 20 + key * 7;
    memset(value + length, 'a' + (int)(key % 26), filler);
    return (size_t)length + filler;
}

static int value_good(const char *value, size_t length, unsigned key)
{
    unsigned found = 0;
    unsigned version = 0;
    char expected[1024];
    if (sscanf(value, "k%u v%u ", &found, &version) != 2 || found != key)
        return 0;
    return value_make(expected, sizeof(expected), key, version) == length &&
           memcmp(expected, value, length) == 0;
}

struct traffic {
    struct larder_cache *cache;
    _Atomic int stop;
    _Atomic unsigned wrong_values;
    _Atomic unsigned wrong_statuses;
    _Atomic unsigned hits;
    _Atomic unsigned seed;
};

static void traffic_read(struct traffic *traffic, unsigned key, struct larder_slice name)
{
    char value[1024];
    struct larder_info info = {0};
    enum larder_status status = larder_read(traffic->cache, name, value, sizeof(value) - 1, &info);
    if (status == LARDER_OK) {
        traffic->hits++;
        value[info.length] = '\0';
        if (!value_good(value, info.length, key))
            traffic->wrong_values++;
    } else if (status != LARDER_MISS && status != LARDER_TIMEOUT && status != LARDER_UNAVAILABLE) {
        traffic->wrong_statuses++;
        print_message("          read: %s\n", larder_status_name(status));
    }
}

static void traffic_write(struct traffic *traffic, unsigned key, unsigned version,
                          struct larder_slice name)
{
    char value[1024];
    struct larder_slice bytes = larder_bytes(value, value_make(value, sizeof(value), key, version));
    enum larder_status status = larder_set(traffic->cache, name, bytes, 0);
    if (status != LARDER_OK && status != LARDER_UNKNOWN && status != LARDER_UNAVAILABLE &&
        status != LARDER_TIMEOUT) {
        traffic->wrong_statuses++;
        print_message("          set: %s\n", larder_status_name(status));
    }
}

static void *run_traffic(void *argument)
{
    struct traffic *traffic = argument;
    unsigned random = ++traffic->seed * 2654435761u;
    unsigned version = 0;
    while (!traffic->stop) {
        char name[16];
        random = random * 1664525u + 1013904223u;
        unsigned key = random >> 16 & (KEYS - 1);
        snprintf(name, sizeof(name), "t%u", key);
        if ((random >> 28) < 4)
            traffic_write(traffic, key, version++, larder_text(name));
        else
            traffic_read(traffic, key, larder_text(name));
    }
    return NULL;
}

static void start_traffic(struct traffic *traffic, pthread_t threads[THREADS])
{
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_traffic, traffic), 0);
}

static void stop_traffic(struct traffic *traffic, pthread_t threads[THREADS])
{
    traffic->stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(traffic->wrong_values, 0);
    assert_int_equal(traffic->wrong_statuses, 0);
}

static void wait_for_hits(struct traffic *traffic, unsigned more, uint64_t limit_ms)
{
    uint64_t start_ns = larder_monotonic_ns();
    unsigned before = traffic->hits;
    while (traffic->hits - before < more) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
        if (elapsed_ms(start_ns) > limit_ms)
            fail_msg("%u hits in %llu ms", traffic->hits - before, (unsigned long long)limit_ms);
    }
}

static void a_server_killed_under_traffic_gives_no_wrong_value(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct traffic traffic = {.cache = open_on(state, server)};
    pthread_t threads[THREADS];
    start_traffic(&traffic, threads);
    for (int i = 0; i < 3; i++) {
        wait_for_hits(&traffic, 500, PATIENT_MS);
        memcached_server_kill(server);
        memcached_server_restart(server);
        wait_for_hits(&traffic, 100, PATIENT_MS);
    }
    stop_traffic(&traffic, threads);
    larder_close(traffic.cache);
    memcached_server_stop(server);
}

static void a_server_stopped_under_traffic_gives_no_wrong_value(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct traffic traffic = {.cache = open_hasty(state, server)};
    pthread_t threads[THREADS];
    start_traffic(&traffic, threads);
    wait_for_hits(&traffic, 500, PATIENT_MS);
    memcached_server_pause(server);
    uint64_t start_ns = larder_monotonic_ns();
    while (figure(traffic.cache, "server.0.down") == 0)
        assert_in_range(elapsed_ms(start_ns), 0, PATIENT_MS);
    memcached_server_resume(server);
    wait_for_hits(&traffic, 500, PATIENT_MS);
    stop_traffic(&traffic, threads);
    larder_close(traffic.cache);
    memcached_server_stop(server);
}

static void *touch_the_cache(void *cache)
{
    return is_there(cache, "key") == LARDER_OK ? cache : NULL;
}

static void ten_thousand_threads_do_not_dial_ten_thousand_times(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    pthread_t threads[THREADS];
    assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    for (int i = 0; i < 10000 / THREADS; i++) {
        for (int j = 0; j < THREADS; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, touch_the_cache, cache), 0);
        for (int j = 0; j < THREADS; j++) {
            void *result = NULL;
            pthread_join(threads[j], &result);
            assert_ptr_equal(result, cache);
        }
    }
    assert_in_range(figure(cache, "dials"), 1, THREADS);
    larder_close(cache);
    memcached_server_stop(server);
}

/* ---- fork ----------------------------------------------------------------------------------- */

static int child_works(struct larder_cache *cache, int number)
{
    char key[16];
    char value[16];
    char found[16] = "";
    snprintf(key, sizeof(key), "child%d", number);
    for (int i = 0; i < 200; i++) {
        snprintf(value, sizeof(value), "%d:%d", number, i);
        if (set(cache, key, value) != LARDER_OK)
            return 1;
        if (larder_read(cache, larder_text(key), found, sizeof(found) - 1, NULL) != LARDER_OK)
            return 2;
        if (strncmp(found, value, strlen(value)) != 0)
            return 3;
    }
    larder_close(cache);
    return 0;
}

static void children_and_parent_do_not_hear_each_other(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    pid_t children[4];
    assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    fflush(NULL);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(child_works(cache, i));
    }
    for (int i = 0; i < 1000; i++)
        assert_value(cache, "key", "value");
    for (int i = 0; i < 4; i++) {
        int result = 0;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    assert_value(cache, "key", "value");
    assert_int_equal(figure(cache, "links_replaced"), 0);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_fork_amid_traffic_leaves_a_child_that_works(void **state)
{
    LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR();
    struct memcached_server *server = memcached_server_start(NULL);
    struct traffic traffic = {.cache = open_on(state, server)};
    pthread_t threads[THREADS];
    fflush(NULL);
    start_traffic(&traffic, threads);
    for (int i = 0; i < 10; i++) {
        int result = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(child_works(traffic.cache, i));
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    stop_traffic(&traffic, threads);
    larder_close(traffic.cache);
    memcached_server_stop(server);
}

/* ---- sessions and waiting ------------------------------------------------------------------- */

static void a_session_holds_a_member(void **state)
{
    const struct variant *variant = *state;
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    struct larder_cache *sessions[POOL_SIZE];
    struct larder_cache *one_more = NULL;
    for (unsigned i = 0; i < POOL_SIZE; i++) {
        assert_int_equal(larder_acquire(cache, PATIENT_MS, 0, &sessions[i]), LARDER_OK);
        assert_int_equal(set(sessions[i], "key", "value"), LARDER_OK);
        assert_value(sessions[i], "key", "value");
    }
    uint64_t start_ns = larder_monotonic_ns();
    enum larder_status status = larder_acquire(cache, 50, 0, &one_more);
    assert_int_equal(status, variant->pooled ? LARDER_TIMEOUT : LARDER_OK);
    if (variant->pooled) {
        assert_in_range(elapsed_ms(start_ns), 50, PATIENT_MS / 2);
        struct larder_call call = LARDER_CALL_INIT;
        call.timeout_ms = 20;
        assert_int_equal(larder_read_with(cache, &call, larder_text("key"), NULL, 0, NULL),
                         LARDER_TIMEOUT);
        assert_int_equal(larder_acquire(cache, 50, LARDER_NO_WAIT, &one_more), LARDER_WOULD_BLOCK);
    }
    larder_release(one_more);
    for (unsigned i = 0; i < POOL_SIZE; i++)
        larder_release(sessions[i]);
    assert_int_equal(is_there(cache, "key"), LARDER_OK);
    larder_close(cache);
    memcached_server_stop(server);
}

static void who_must_not_wait_is_told_so(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    struct larder_call call = LARDER_CALL_INIT;
    call.flags = LARDER_NO_WAIT;
    assert_int_equal(larder_read_with(cache, &call, larder_text("key"), NULL, 0, NULL),
                     LARDER_WOULD_BLOCK);
    assert_int_equal(larder_delete_with(cache, &call, larder_text("key"), 0), LARDER_WOULD_BLOCK);
    assert_int_equal(figure(cache, "dials"), 0);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_flush_empties_an_exclusive_server(void **state)
{
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(state, server);
    assert_int_equal(set(cache, "key", "value"), LARDER_OK);
    assert_int_equal(larder_flush(cache), LARDER_OK);
    assert_int_equal(is_there(cache, "key"), LARDER_MISS);
    larder_close(cache);
    memcached_server_stop(server);
}

static void a_name_without_an_address_is_unavailable_at_once(void **state)
{
    uint64_t start_ns = larder_monotonic_ns();
    struct larder_cache *cache = open_at(*state, "no-such-host.invalid");
    for (int i = 0; i < 100; i++)
        assert_int_equal(is_there(cache, "key"), LARDER_UNAVAILABLE);
    assert_in_range(elapsed_ms(start_ns), 0, 3000);
    larder_close(cache);
}

/* ---- TCP ------------------------------------------------------------------------------------ */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (descriptor >= 0 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static int pump(int from, int to)
{
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof(bytes), 0);
    return got > 0 && scripted_send(to, bytes, (size_t)got);
}

/* Passes everything on to the memcached whose socket is the context. */
static void relay(void *context, int descriptor, unsigned number)
{
    struct pollfd ends[2] = {{.fd = descriptor, .events = POLLIN},
                             {.fd = connect_to(context), .events = POLLIN}};
    int open = ends[1].fd >= 0;
    (void)number;
    while (open && poll(ends, 2, -1) > 0) {
        for (int i = 0; open && i < 2; i++)
            if (ends[i].revents != 0)
                open = pump(ends[i].fd, ends[1 - i].fd);
    }
    close(ends[1].fd);
}

/* By number, and by a name that the resolver knows without a network. */
static void a_server_is_reached_over_tcp(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "127.1"};
    struct memcached_server *server = memcached_server_start(NULL);
    struct scripted_server *tcp =
        scripted_server_start_tcp(relay, (void *)(uintptr_t)memcached_server_path(server));
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char value[8];
        snprintf(servers_text, sizeof(servers_text), "%s:%u", hosts[i], scripted_server_port(tcp));
        snprintf(value, sizeof(value), "v%zu", i);
        struct larder_cache *cache = open_at(*state, servers_text);
        assert_int_equal(wait_until_set(cache, "key", value, PATIENT_MS), LARDER_OK);
        assert_value(cache, "key", value);
        larder_close(cache);
    }
    scripted_server_stop(tcp);
    struct larder_cache *cache = open_at(*state, servers_text);
    assert_int_equal(set(cache, "key", "value"), LARDER_UNAVAILABLE);
    larder_close(cache);
    memcached_server_stop(server);
}

/* ---- all of them, four times ---------------------------------------------------------------- */

#define TEST(function)      \
    {                       \
#function, function \
    }

static const struct {
    const char *name;
    CMUnitTestFunction function;
} all[] = {
    TEST(keys_that_carry_commands_do_no_harm),
    TEST(every_byte_and_length_makes_a_key),
    TEST(a_narrow_server_keeps_the_old_value),
    TEST(a_limit_is_asked_for_again_after_a_restart),
    TEST(a_delete_at_a_version_is_atomic),
    TEST(the_largest_version_is_nobodys),
    TEST(counting_what_is_no_number_is_told_apart),
    TEST(opening_with_the_server_down_is_fine),
    TEST(a_server_that_is_marked_down_costs_nothing),
    TEST(a_stopped_server_is_marked_down_and_found_back),
    TEST(an_idle_connection_survives_a_restart_for_reads),
    TEST(a_write_on_a_connection_that_had_died_is_unknown_once),
    TEST(many_keys_on_two_servers_come_back_in_place),
    TEST(a_large_value_is_given_to_all_who_asked),
    TEST(keys_of_a_dead_server_are_no_misses),
    TEST(a_routing_key_places_an_entry),
    TEST(each_server_keeps_entries_of_its_own),
    TEST(libmemcached_finds_what_we_stored),
    TEST(a_server_killed_under_traffic_gives_no_wrong_value),
    TEST(a_server_stopped_under_traffic_gives_no_wrong_value),
    TEST(ten_thousand_threads_do_not_dial_ten_thousand_times),
    TEST(children_and_parent_do_not_hear_each_other),
    TEST(a_fork_amid_traffic_leaves_a_child_that_works),
    TEST(a_session_holds_a_member),
    TEST(who_must_not_wait_is_told_so),
    TEST(a_flush_empties_an_exclusive_server),
    TEST(a_server_is_reached_over_tcp),
    TEST(a_name_without_an_address_is_unavailable_at_once),
};

#define ALL (sizeof(all) / sizeof(all[0]))

int main(void)
{
    static struct variant variants[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    static char names[4 * ALL][128];
    static struct CMUnitTest tests[4 * ALL];
    for (size_t i = 0; i < 4 * ALL; i++) {
        struct variant *variant = &variants[i / ALL];
        snprintf(names[i], sizeof(names[i]), "%s: %s (%s)",
                 variant->pooled ? "pooled-memcached" : "memcached", all[i % ALL].name,
                 variant->binary ? "binary" : "text");
        tests[i] = (struct CMUnitTest){names[i], all[i % ALL].function, NULL, NULL, variant};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
