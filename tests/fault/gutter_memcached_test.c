/*
 * gutter over real servers: the first one is killed, stopped and started again under it. While it
 * is down the spare answers, in time; what is deleted stays deleted there; when it is back, it is
 * used again.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <larder/client.h>
#include <larder/gutter.h>
#include <larder/util/deadline.h>

#include "two_servers.h"

#define TIMEOUT_MS 300u
/* On a machine that is busy with other tests. */
#define LATE_MS 2000u
/* For a server to be found back: it is probed once a second. */
#define PATIENCE_MS 20000u

enum shape { BARE, NAMESPACE, SESSION, SHAPES };
static const char *const shape_names[SHAPES] = {"bare", "in a namespace", "in a session"};

/* ---- opening ------------------------------------------------------------------------------- */

struct opened {
    struct larder_cache *cache;   /* what is tried */
    struct larder_cache *owner;   /* what is closed */
    struct larder_cache *session; /* or NULL */
};

static struct opened open_gutter(const char *scheme, enum shape shape, uint64_t ttl_ms)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct opened opened = {NULL, NULL, NULL};
    options.of = two_servers_open(scheme, 0, TIMEOUT_MS, "");
    options.spare = two_servers_open(scheme, 1, TIMEOUT_MS, "");
    options.ttl_ms = ttl_ms;
    assert_status(LARDER_OK, larder_gutter_open(&options, NULL, &opened.owner, NULL, 0));
    opened.cache = opened.owner;
    if (shape == NAMESPACE) {
        const struct larder_route route = {"main", opened.owner, LARDER_TTL_DEFAULT, 0};
        assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &opened.owner, NULL, 0));
        opened.cache = opened.owner;
    }
    if (shape == SESSION) {
        assert_status(LARDER_OK, larder_acquire(opened.owner, 0, 0, &opened.session));
        opened.cache = opened.session;
    }
    return opened;
}

static void close_gutter(struct opened *opened)
{
    larder_release(opened->session);
    larder_close(opened->owner);
}

/* ---- calls, timed -------------------------------------------------------------------------- */

static uint64_t began_ns;

static void begin(void)
{
    began_ns = larder_monotonic_ns();
}

static enum larder_status in_time(enum larder_status status)
{
    uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000;
    if (took_ms > 2 * TIMEOUT_MS + LATE_MS)
        fail_msg("%llu ms", (unsigned long long)took_ms);
    return status;
}

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    begin();
    return in_time(larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER));
}

static enum larder_status read_text(struct larder_cache *cache, const char *key, char value[64])
{
    struct larder_info info = {0};
    begin();
    enum larder_status status = in_time(larder_read(cache, larder_text(key), value, 63, &info));
    value[status == LARDER_OK ? info.length : 0] = '\0';
    return status;
}

static void assert_read(struct larder_cache *cache, const char *key, const char *wanted)
{
    char value[64];
    assert_status(LARDER_OK, read_text(cache, key, value));
    assert_string_equal(value, wanted);
}

static void assert_missing(struct larder_cache *cache, const char *key)
{
    char value[64];
    assert_status(LARDER_MISS, read_text(cache, key, value));
}

static void rest(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Writes until the spare has it. A call that the first server has heard, and not answered, is
 * UNKNOWN: before it is known to be down, and once a second when it is probed. Where the spare is
 * too slow (a busy machine) the call fails, and it may be left alone for its ttl. */
static void set_in_outage(struct larder_cache *cache, const char *key, const char *value)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    enum larder_status status = set(cache, key, value);
    while (status != LARDER_OK && larder_monotonic_ns() < end_ns) {
        assert_true(status < LARDER_OK);
        rest(1);
        status = set(cache, key, value);
    }
    assert_status(LARDER_OK, status);
}

/* Waits until the first server is asked again: it has a key that the spare has not. */
static void wait_until_back(struct larder_cache *cache, const char *key)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    char value[64];
    while (read_text(cache, key, value) != LARDER_OK) {
        if (larder_monotonic_ns() >= end_ns)
            fail_msg("the server was not found back");
        rest(20);
    }
}

/* Puts a key on the first server beside the gutter, under the same wire key. */
static void plant_beside(const char *scheme, enum shape shape, const char *key)
{
    struct larder_cache *direct = two_servers_open(scheme, 0, TIMEOUT_MS, ""), *client = NULL;
    struct larder_cache *cache = direct;
    if (shape == NAMESPACE) {
        const struct larder_route route = {"main", direct, LARDER_TTL_DEFAULT, 0};
        assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0));
        cache = client;
    }
    assert_status(LARDER_OK, larder_set(cache, larder_text(key), larder_text("there"), 0));
    larder_close(cache);
}

/* ---- outages ------------------------------------------------------------------------------- */

/* What holds in every outage, once the server is known to be down. */
static void live_through_it(struct larder_cache *cache)
{
    struct larder_row rows[2];
    char buffers[2][16];
    assert_missing(cache, "before");
    set_in_outage(cache, "during", "1");
    assert_read(cache, "during", "1");
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 2; i++) {
        rows[i].key = larder_text(i == 0 ? "before" : "during");
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
    begin();
    assert_status(LARDER_OK, in_time(larder_read_multi(cache, rows, 2)));
    assert_status(LARDER_MISS, rows[0].status);
    assert_status(LARDER_OK, rows[1].status);
    assert_true(larder_delete(cache, larder_text("during"), 0) < LARDER_OK);
    assert_missing(cache, "during");
}

static void in_every_shape(void (*run)(const char *scheme, enum shape shape))
{
    for (size_t i = 0; server_schemes[i] != NULL; i++)
        for (int shape = BARE; shape < SHAPES; shape++) {
            print_message("%s, %s\n", server_schemes[i], shape_names[shape]);
            run(server_schemes[i], (enum shape)shape);
        }
}

static void run_killed(const char *scheme, enum shape shape)
{
    struct opened opened = open_gutter(scheme, shape, 10000);
    assert_status(LARDER_OK, set(opened.cache, "before", "1"));
    memcached_server_kill(two_servers[0]);
    set_in_outage(opened.cache, "turned", "yes");
    live_through_it(opened.cache);
    memcached_server_restart(two_servers[0]);
    plant_beside(scheme, shape, "back");
    wait_until_back(opened.cache, "back");
    assert_missing(opened.cache, "before");
    assert_missing(opened.cache, "during");
    assert_status(LARDER_OK, set(opened.cache, "after", "2"));
    assert_read(opened.cache, "after", "2");
    close_gutter(&opened);
}

static void a_server_that_is_killed_and_restarted(void **state)
{
    (void)state;
    in_every_shape(run_killed);
}

static void run_stopped(const char *scheme, enum shape shape)
{
    struct opened opened = open_gutter(scheme, shape, 10000);
    assert_status(LARDER_OK, set(opened.cache, "stays", "1"));
    memcached_server_pause(two_servers[0]);
    set_in_outage(opened.cache, "turned", "yes");
    live_through_it(opened.cache);
    memcached_server_resume(two_servers[0]);
    wait_until_back(opened.cache, "stays");
    assert_read(opened.cache, "stays", "1");
    assert_status(LARDER_OK, set(opened.cache, "stays", "2"));
    assert_read(opened.cache, "stays", "2");
    close_gutter(&opened);
}

static void a_server_that_is_stopped_and_goes_on(void **state)
{
    (void)state;
    in_every_shape(run_stopped);
}

/* Before anybody knows that the server is down: each part has half of the call's time. */
static void a_stalled_server_leaves_the_spare_its_share(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct opened opened = open_gutter(server_schemes[i], BARE, 10000);
        struct larder_call call = LARDER_CALL_INIT;
        char byte;
        assert_status(LARDER_OK, set(opened.cache, "k", "1"));
        memcached_server_pause(two_servers[0]);
        call.timeout_ms = TIMEOUT_MS;
        begin();
        enum larder_status status =
            in_time(larder_read_with(opened.cache, &call, larder_text("missing"), &byte, 1, NULL));
        memcached_server_resume(two_servers[0]);
        assert_status(LARDER_MISS, status);
        close_gutter(&opened);
    }
}

static void what_the_spare_was_given_is_gone_after_its_ttl(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct opened opened = open_gutter(server_schemes[i], BARE, 1000);
        memcached_server_kill(two_servers[0]);
        set_in_outage(opened.cache, "turned", "yes");
        set_in_outage(opened.cache, "during", "1");
        assert_read(opened.cache, "during", "1");
        rest(1000 + 2000 + 500); /* the ttl, what a server may be late, and some */
        assert_missing(opened.cache, "during");
        close_gutter(&opened);
        memcached_server_restart(two_servers[0]);
    }
}

static void a_flush_during_an_outage_is_a_failure(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct opened opened = open_gutter(server_schemes[i], NAMESPACE, 10000);
        assert_status(LARDER_OK, set(opened.cache, "k", "1"));
        memcached_server_kill(two_servers[0]);
        set_in_outage(opened.cache, "turned", "yes");
        set_in_outage(opened.cache, "during", "1");
        assert_true(larder_flush(opened.cache) < LARDER_OK);
        assert_missing(opened.cache, "during"); /* on the spare it is done */
        memcached_server_restart(two_servers[0]);
        close_gutter(&opened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_killed_and_restarted),
        cmocka_unit_test(a_server_that_is_stopped_and_goes_on),
        cmocka_unit_test(a_stalled_server_leaves_the_spare_its_share),
        cmocka_unit_test(what_the_spare_was_given_is_gone_after_its_ttl),
        cmocka_unit_test(a_flush_during_an_outage_is_a_failure),
    };
    return cmocka_run_group_tests(tests, two_servers_start, two_servers_stop);
}
