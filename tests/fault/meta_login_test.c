/*
 * meta on memcached with -Y: the right login, wrong ones, none; secrets that aren't there or are
 * too long; servers that answer a login with something else, or never. Where it matters: what is
 * told of it, and that no secret is in it. Then what is counted of each server, and what a trace is
 * told.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <larder/meta.h>
#include <larder/util/deadline.h>

#include "memcached_server.h"
#include "scripted_server.h"
#include "stats.h"

#define SECRET "s3cret"
#define VARIABLE "LARDER_TEST_LOGIN"

static struct memcached_server *server;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static int start(void **state)
{
    char path[] = "/tmp/larder-login-XXXXXX";
    const char *const arguments[] = {"-Y", path, NULL};
    int descriptor = mkstemp(path);
    (void)state;
    if (descriptor < 0)
        return 1;
    close(descriptor);
    write_file(path, "shop:" SECRET "\n");
    server = memcached_server_start(arguments);
    unlink(path);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    memcached_server_stop(server);
    return 0;
}

/* ---- what a trace was told ----------------------------------------------------------------- */

enum { EVENTS_MAX = 100000 };
static struct larder_meta_event events[EVENTS_MAX];
static unsigned event_count;
static const char *watched; /* a server; NULL: none */
static unsigned of_watched; /* events that were told of it */

static void note(void *context, const struct larder_meta_event *event)
{
    (void)context;
    assert_int_equal(event->size, sizeof(*event));
    assert_null(strstr(event->why, SECRET));
    of_watched += watched != NULL && strcmp(event->host, watched) == 0;
    if (event_count < EVENTS_MAX)
        events[event_count++] = *event;
}

static struct larder_cache *open_on(const char *path, const char *login)
{
    struct larder_meta_options options = LARDER_META_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    options.servers = path;
    options.size = 1;
    options.timeout_ms = options.connect_timeout_ms = 20000;
    options.login = login;
    options.trace = note;
    event_count = 0;
    if (larder_meta_open(&options, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
    return cache;
}

static enum larder_status read_one(struct larder_cache *cache)
{
    char byte;
    return larder_read(cache, larder_text("none"), &byte, 1, NULL);
}

/* ---- logins -------------------------------------------------------------------------------- */

static void the_right_login_is_let_in(void **state)
{
    (void)state;
    char path[] = "/tmp/larder-secret-XXXXXX", reference[64];
    setenv(VARIABLE, "shop " SECRET, 1);
    struct larder_cache *cache = open_on(memcached_server_path(server), "env:" VARIABLE);
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    assert_status(LARDER_MISS, read_one(cache));
    assert_int_equal(stat_of(cache, "dials"), 1);
    larder_close(cache);

    close(mkstemp(path));
    write_file(path, "shop " SECRET "\n");
    snprintf(reference, sizeof(reference), "file:%s", path);
    cache = open_on(memcached_server_path(server), reference);
    unlink(path); /* it is read when the cache is opened */
    assert_status(LARDER_MISS, read_one(cache));
    larder_close(cache);
}

/* Nothing is written, each call is told, and the server isn't asked again and again. */
static void assert_refused(const char *login)
{
    struct larder_cache *cache = open_on(memcached_server_path(server), login);
    assert_status(LARDER_PROTOCOL, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    assert_int_equal(events[0].what, LARDER_META_FAILED);
    assert_int_equal(events[0].failure, LARDER_META_FAILURE_LOGIN);
    assert_non_null(strstr(events[0].why, "login"));
    assert_int_equal(events[1].what, LARDER_META_MARKED_DOWN);
    assert_status(LARDER_UNAVAILABLE, read_one(cache));
    assert_int_equal(stat_of(cache, "server.0.failed.login"), 1);
    assert_int_equal(stat_of(cache, "dials"), 1);
    assert_int_equal(stat_of(cache, "connections"), 0);
    larder_close(cache);
}

static void a_wrong_login_is_refused_and_so_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"shop s3cres", "shop s3cret2", "sho s3cret", "shop s3cr"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv(VARIABLE, wrong[i], 1);
        assert_refused("env:" VARIABLE);
    }
    assert_refused(NULL);
}

/* A server without -Y takes the login for a set; it must not keep it, nor any key of ours go. */
static void a_server_that_asks_for_no_login_keeps_none(void **state)
{
    (void)state;
    struct memcached_server *open_one = memcached_server_start(NULL);
    setenv(VARIABLE, "shop " SECRET, 1);
    struct larder_cache *cache = open_on(memcached_server_path(open_one), "env:" VARIABLE);
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    larder_close(cache);
    char line[256];
    int descriptor = scripted_dial(memcached_server_path(open_one));
    assert_true(descriptor >= 0);
    scripted_say(descriptor, "mg ~login v\r\n");
    assert_string_equal(scripted_read_line(descriptor, line, sizeof(line)), "EN");
    close(descriptor);
    memcached_server_stop(open_one);
}

/* ---- secrets ------------------------------------------------------------------------------- */

static void assert_option_refused(const char *login, const char *why)
{
    struct larder_meta_options options = LARDER_META_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    options.login = login;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_meta_open(&options, NULL, &cache, message, sizeof(message)));
    assert_null(cache);
    assert_null(strstr(message, SECRET));
    if (strstr(message, why) == NULL)
        fail_msg("\"%s\" says nothing of %s", message, why);
}

static void a_secret_that_is_none_is_refused_and_never_told(void **state)
{
    (void)state;
    static const char *const none[] = {SECRET, "shop", " " SECRET, "shop ", "shop " SECRET "\nx"};
    char path[] = "/tmp/larder-secret-XXXXXX", reference[64];
    unsetenv(VARIABLE);
    assert_option_refused("env:" VARIABLE, VARIABLE);
    assert_option_refused("file:/nowhere/at-all", "/nowhere/at-all");
    assert_option_refused("shop " SECRET, "never written here");
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        setenv(VARIABLE, none[i], 1);
        assert_option_refused("env:" VARIABLE, "user, space, password");
    }
    close(mkstemp(path));
    snprintf(reference, sizeof(reference), "file:%s", path);
    assert_option_refused(reference, path); /* empty */
    unlink(path);
}

/* 1024 bytes, from either place; and no more. */
static void a_secret_has_a_limit(void **state)
{
    (void)state;
    char path[] = "/tmp/larder-secret-XXXXXX", reference[64], text[1028] = "";
    close(mkstemp(path));
    snprintf(reference, sizeof(reference), "file:%s", path);
    memset(text, 'p', 1025);
    memcpy(text, "u ", 2);
    for (int too_long = 1; too_long >= 0; too_long--) {
        text[1024 + too_long] = '\0';
        setenv(VARIABLE, text, 1);
        if (too_long) {
            assert_option_refused("env:" VARIABLE, "1024");
            write_file(path, text);
            assert_option_refused(reference, "1024");
            continue;
        }
        larder_close(open_on("127.0.0.1:1", "env:" VARIABLE));
        memcpy(text + 1024, "\r\n", 3);
        write_file(path, text);
        larder_close(open_on("127.0.0.1:1", reference));
    }
    unlink(path);
}

/* ---- other answers ------------------------------------------------------------------------- */

static void answer_login(void *context, int descriptor, unsigned number)
{
    char line[256];
    (void)number;
    if (scripted_read_line(descriptor, line, sizeof(line)) != NULL &&
        scripted_read_line(descriptor, line, sizeof(line)) != NULL)
        scripted_say(descriptor, context);
    scripted_wait_for_close(descriptor);
}

static void assert_answer_refused(const char *answer, enum larder_meta_failure failure)
{
    struct scripted_server *scripted =
        scripted_server_start(answer_login, (void *)(uintptr_t)answer);
    setenv(VARIABLE, "shop " SECRET, 1);
    struct larder_cache *cache = open_on(scripted_server_path(scripted), "env:" VARIABLE);
    /* no request has left: nothing is UNKNOWN */
    assert_status(LARDER_PROTOCOL, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    assert_int_equal(events[0].failure, failure);
    assert_int_equal(stat_of(cache, "connections"), 0);
    larder_close(cache);
    scripted_server_stop(scripted);
}

static void anything_but_stored_ends_the_connection(void **state)
{
    (void)state;
    assert_answer_refused("NOT_STORED\r\n", LARDER_META_FAILURE_PROTOCOL);
    assert_answer_refused("HD\r\n", LARDER_META_FAILURE_PROTOCOL);
    assert_answer_refused("STORED\r\nSTORED\r\n", LARDER_META_FAILURE_PROTOCOL);
    assert_answer_refused("STORED\n", LARDER_META_FAILURE_PROTOCOL);
    assert_answer_refused("ERROR\r\n", LARDER_META_FAILURE_PROTOCOL);
    assert_answer_refused("CLIENT_ERROR authentication failure\r\n", LARDER_META_FAILURE_LOGIN);
}

static void a_login_without_an_answer_ends_in_time(void **state)
{
    (void)state;
    struct scripted_server *scripted =
        scripted_server_start(answer_login, (void *)(uintptr_t) "STOR");
    struct larder_cache *cache;
    char uri[256];
    setenv(VARIABLE, "shop " SECRET, 1);
    snprintf(uri, sizeof(uri), "meta://%s?timeout=50ms&connect_timeout=50ms&login=env:" VARIABLE,
             scripted_server_path(scripted));
    assert_status(LARDER_OK, larder_open(uri, NULL, &cache, NULL, 0));
    uint64_t began_ns = larder_monotonic_ns();
    assert_status(LARDER_TIMEOUT, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    assert_in_range((larder_monotonic_ns() - began_ns) / 1000000, 50, 2050); /* when busy */
    assert_int_equal(stat_of(cache, "server.0.failed.connect_timeout"), 1);
    larder_close(cache);
    scripted_server_stop(scripted);
}

/* ---- figures and traces -------------------------------------------------------------------- */

static uint64_t exchanges_in(struct larder_cache *cache, uint64_t *least_us)
{
    struct larder_stat rows[256];
    size_t count;
    uint64_t exchanges = 0;
    assert_status(LARDER_OK, larder_stats(cache, rows, 256, &count));
    assert_true(count <= 256);
    *least_us = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        unsigned long from;
        if (sscanf(rows[i].name, "server.0.latency_us.%lu", &from) != 1)
            continue;
        exchanges += rows[i].value;
        *least_us = from < *least_us ? from : *least_us;
    }
    return exchanges;
}

static void serve_slowly(void *context, int descriptor, unsigned number)
{
    char line[256];
    (void)context;
    (void)number;
    while (scripted_read_line(descriptor, line, sizeof(line)) != NULL) {
        const char *opaque = strstr(line, " O");
        char reply[64];
        scripted_pause(20);
        assert_non_null(opaque);
        snprintf(reply, sizeof(reply), "EN knone O%.*s\r\n", (int)strcspn(opaque + 2, " "),
                 opaque + 2);
        scripted_say(descriptor, reply);
    }
}

static void answers_are_counted_by_how_long_they_took(void **state)
{
    (void)state;
    struct scripted_server *scripted = scripted_server_start(serve_slowly, NULL);
    struct larder_cache *cache = open_on(scripted_server_path(scripted), NULL);
    uint64_t least_us;
    for (int i = 0; i < 3; i++)
        assert_status(LARDER_MISS, read_one(cache));
    assert_int_equal(exchanges_in(cache, &least_us), 3);
    assert_true(least_us >= 16384); /* 20 ms fall into that bucket, or a later one */
    assert_int_equal(event_count, 3);
    assert_int_equal(events[0].flags, LARDER_META_DIALLED);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(events[i].what, LARDER_META_ANSWERED);
        assert_true(events[i].took_ns >= 20000000);
        assert_string_equal(events[i].why, "");
    }
    assert_int_equal(events[1].flags, 0);
    larder_close(cache);
    scripted_server_stop(scripted);
}

/* Refused, marked down, and back: in the figures of that server alone. */
static void each_server_has_its_own_figures(void **state)
{
    (void)state;
    struct memcached_server *one = memcached_server_start(NULL),
                            *two = memcached_server_start(NULL);
    struct larder_cache *cache;
    char servers[256];
    unsigned failed = 0, marked = 0, back = 0;
    snprintf(servers, sizeof(servers), "%s,%s", memcached_server_path(one),
             memcached_server_path(two));
    cache = open_on(servers, NULL);
    watched = memcached_server_path(two);
    of_watched = 0;
    memcached_server_kill(two);
    for (char key = 'a'; key <= 'z'; key++)
        (void)!larder_set(cache, larder_bytes(&key, 1), larder_text("v"), 0);
    assert_int_equal(stat_of(cache, "server.0.failed.refused"), 0);
    assert_int_equal(stat_of(cache, "server.0.dials"), 1);
    assert_int_equal(stat_of(cache, "server.0.connections"), 1);
    assert_true(stat_of(cache, "server.1.failed.refused") > 0);
    assert_true(stat_of(cache, "server.1.dials_failed") > 0);
    assert_true(stat_of(cache, "server.1.refused_down") > 0);
    assert_int_equal(stat_of(cache, "server.1.connections"), 0);
    assert_int_equal(stat_of(cache, "connections"), 1);
    assert_int_equal(stat_of(cache, "server.1.markdowns"), 1);
    memcached_server_restart(two);
    uint64_t until_ns = larder_deadline_after(larder_monotonic_ns(), 20000);
    while (stat_of(cache, "server.1.down") && larder_monotonic_ns() < until_ns) {
        for (char key = 'a'; key <= 'z'; key++)
            (void)!larder_set(cache, larder_bytes(&key, 1), larder_text("v"), 0);
        scripted_pause(20);
    }
    assert_int_equal(stat_of(cache, "server.1.down"), 0);
    for (unsigned i = 0; i < event_count; i++) {
        failed += events[i].what == LARDER_META_FAILED;
        marked += events[i].what == LARDER_META_MARKED_DOWN;
        back += events[i].what == LARDER_META_BACK;
    }
    assert_true(failed > 0);
    assert_int_equal(marked, 1);
    assert_int_equal(back, 1);
    assert_true(of_watched >= failed + marked + back);
    larder_close(cache);
    memcached_server_stop(two);
    memcached_server_stop(one);
}

#ifndef LARDER_WITH_TLS
static void a_build_without_tls_says_so(void **state)
{
    (void)state;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    assert_status(LARDER_UNSUPPORTED,
                  larder_open("meta:?tls=on", NULL, &cache, message, sizeof(message)));
    assert_null(cache);
    assert_non_null(strstr(message, "LARDER_TLS=OFF"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_login_is_let_in),
        cmocka_unit_test(a_wrong_login_is_refused_and_so_is_none),
        cmocka_unit_test(a_server_that_asks_for_no_login_keeps_none),
        cmocka_unit_test(a_secret_that_is_none_is_refused_and_never_told),
        cmocka_unit_test(a_secret_has_a_limit),
        cmocka_unit_test(anything_but_stored_ends_the_connection),
        cmocka_unit_test(a_login_without_an_answer_ends_in_time),
        cmocka_unit_test(answers_are_counted_by_how_long_they_took),
        cmocka_unit_test(each_server_has_its_own_figures),
#ifndef LARDER_WITH_TLS
        cmocka_unit_test(a_build_without_tls_says_so),
#endif
    };
    return cmocka_run_group_tests(tests, start, stop);
}
