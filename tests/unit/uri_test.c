/* URIs: what they set, where they are wrong, and that any bytes are read or refused. */
#include "uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handle.h"
#include "mutation.h"
#include "scripted_backend.h"

static char text[512];

static enum larder_status open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    scripted_reset();
    memset(text, 'x', sizeof(text));
    enum larder_status status = larder_open(uri, NULL, &cache, text, sizeof(text));
    assert_true((cache != NULL) == (status == LARDER_OK));
    assert_true(memchr(text, '\0', sizeof(text)) != NULL);
    assert_true((text[0] == '\0') == (status == LARDER_OK));
    larder_close(cache);
    assert_int_equal(scripted.opened, scripted.closed);
    return status;
}

static void expect_open(const char *uri)
{
    enum larder_status status = open_uri(uri);
    if (status != LARDER_OK)
        print_error("%s: %s\n", uri, text);
    assert_int_equal(status, LARDER_OK);
}

/* ---- what is right ------------------------------------------------------------------------- */

static void a_scheme_alone_opens_with_the_defaults(void **state)
{
    (void)state;
    expect_open("null:");
    expect_open("memory:");
    expect_open("scripted:");
    assert_string_equal(scripted.servers, "127.0.0.1");
    assert_int_equal(scripted.room_bytes, 65536);
    assert_string_equal(scripted.mood, "calm");
}

static void options_of_every_type_are_set(void **state)
{
    (void)state;
    expect_open("scripted:?room=64M&patience=2m&hands=7&polite=off&mood=busy&note=a%20b%3D%26+c"
                "&password=env:SCRIPTED_PASSWORD");
    assert_int_equal(scripted.room_bytes, 64 << 20);
    assert_int_equal(scripted.patience_ms, 120000);
    assert_int_equal(scripted.hands, 7);
    assert_int_equal(scripted.polite, 0);
    assert_string_equal(scripted.mood, "busy");
    assert_string_equal(scripted.note, "a b=&+c");
    assert_string_equal(scripted.password, "env:SCRIPTED_PASSWORD");
}

static void what_stands_before_the_question_mark_are_the_servers(void **state)
{
    const struct {
        const char *uri, *servers;
    } rows[] = {
        {"scripted://", "127.0.0.1"},
        {"scripted:///", "127.0.0.1"},
        {"scripted://10.0.0.1", "10.0.0.1"},
        {"scripted://10.0.0.1:11211,10.0.0.2/", "10.0.0.1:11211,10.0.0.2"},
        {"scripted://[::1]:11211,[fe80::1%25eth0]/?hands=2", "[::1]:11211,[fe80::1%eth0]"},
        {"scripted:///run/x.sock", "/run/x.sock"},
        {"scripted:/run/x.sock?hands=2", "/run/x.sock"},
        {"scripted:///run/a%20b.sock", "/run/a b.sock"},
        {"scripted:///run/a%3Fb.sock", "/run/a?b.sock"},
        {"scripted:///srv/user@host.sock", "/srv/user@host.sock"},
        {"scripted:--SERVER=a:1/?5 --SERVER=b --POOL-MIN=5",
         "--SERVER=a:1/?5 --SERVER=b --POOL-MIN=5"},
        {"scripted:--SOCKET=\"/run/%41.sock\"", "--SOCKET=\"/run/%41.sock\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_open(rows[i].uri);
        assert_string_equal(scripted.servers, rows[i].servers);
    }
}

static void options_of_every_cache_win_over_the_open_options(void **state)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)state;
    options.default_ttl_ms = 1;
    options.max_ttl_ms = 2;
    options.errors_as_miss = 1;
    assert_int_equal(
        larder_open("null:?default_ttl=5s&errors=report", &options, &cache, text, sizeof(text)),
        LARDER_OK);
    assert_int_equal(larder__target(cache)->ttl.default_ms, 5000);
    assert_int_equal(larder__target(cache)->ttl.max_ms, 2);
    assert_int_equal(larder__target(cache)->errors_as_miss, 0);
    larder_close(cache);
    assert_int_equal(larder_open("null:?max_ttl=0", &options, &cache, text, sizeof(text)),
                     LARDER_OK);
    assert_int_equal(larder__target(cache)->ttl.default_ms, 1);
    assert_int_equal(larder__target(cache)->ttl.max_ms, 0);
    assert_int_equal(larder__target(cache)->errors_as_miss, 1);
    larder_close(cache);
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static void a_wrong_uri_is_told_where_and_what_would_be_right(void **state)
{
    const struct {
        const char *uri, *message;
    } rows[] = {
        {"", "column 1: an empty URI; write one as in memory:?max_bytes=64M"},
        {"memory", "column 7: no ':' after the scheme; write a URI as in memory:?max_bytes=64M"},
        {"caches.conf", "column 12: no ':' after the scheme; write a URI as in "
                        "memory:?max_bytes=64M, or open a configuration file with "
                        "larder_open_file()"},
        {"/etc/caches", "column 12: no ':' after the scheme; write a URI as in "
                        "memory:?max_bytes=64M, or open a configuration file with "
                        "larder_open_file()"},
        {".conf?", "column 7: no ':' after the scheme; write a URI as in memory:?max_bytes=64M"},
        {"@hot",
         "column 1: '@hot' refers to a section of a configuration file; a URI begins with a "
         "scheme, as in memory:"},
        {"memory:?", "column 9: an empty option; write name=value after '?' and each '&'"},
        {"null:?errors=miss&",
         "column 19: an empty option; write name=value after '?' and each '&'"},
        {"null:?errors", "column 7: no option; write name=value"},
        {"null:?=miss", "column 7: no option; write name=value"},
        {"null:?errors=", "column 14: errors has no value"},
        {"null:?error=miss", "column 7: null has no option 'error' (did you mean errors?); it has "
                             "default_ttl, max_ttl, errors, tracker, tracker_keys, tracker_settle, "
                             "gutter, gutter_ttl"},
        {"null:?x\x1b[1m=1", "column 8: a control character in a URI; write %1B"},
        {"null:?errors=mi ss", "column 16: a space in a URI; write %20"},
        {"null: # big", "column 6: a space in a URI; write %20"},
        {"null:?errors=mi%0gss", "column 16: '%' wants two hexadecimal digits, as in %20"},
        {"null:?errors=mi%", "column 16: '%' wants two hexadecimal digits, as in %20"},
        {"null:?errors=mi%00", "column 16: %00 can't be part of a value"},
        {"null:?errors=miss&errors=miss",
         "column 26: errors is given a second time; once is right"},
        {"null://10.0.0.1", "column 8: null has no servers; write null: and its options after '?'"},
        {"null:--SERVER=a", "column 6: null has no servers; write null: and its options after '?'"},
        {"scripted:10.0.0.1",
         "column 10: after the scheme come servers with //, a path with /, or options with ?"},
        {"scripted:--BINARY",
         "column 10: after the scheme come servers with //, a path with /, or options with ?"},
        {"scripted:me:hunter2@a",
         "column 10: after the scheme come servers with //, a path with /, or options with ?"},
        {"scripted:--SERVER=a\n", "column 20: a control character in a URI; write %0A"},
        {"scripted://me:hunter2@a", "column 12: '@' among the servers; names and passwords are "
                                    "options, by env: or file: reference"},
        {"scripted:?servers=a", "column 11: servers are no option; write them as in "
                                "scripted://10.0.0.1,10.0.0.2"},
        {"scripted:?password=hunter2", "column 20: password: a secret is never written here; write "
                                       "where it is, env:NAME or file:/absolute/path"},
        {"scripted:?hands=65", "column 17: hands: 65 is too large; write 1 to 64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(open_uri(rows[i].uri), LARDER_BAD_ARGUMENT);
        assert_string_equal(text, rows[i].message);
        assert_null(strstr(text, "hunter2"));
    }
}

static void a_uri_has_at_most_65536_bytes(void **state)
{
    const char start[] = "scripted:?note=";
    char *uri = malloc(LARDER__URI_BYTES_MAX + 2);
    (void)state;
    assert_non_null(uri);
    memset(uri, 'n', LARDER__URI_BYTES_MAX + 1);
    memcpy(uri, start, sizeof(start) - 1);
    uri[LARDER__URI_BYTES_MAX] = '\0';
    expect_open(uri);
    assert_int_equal(strlen(scripted.note), LARDER__URI_BYTES_MAX - (sizeof(start) - 1));
    uri[LARDER__URI_BYTES_MAX] = 'n';
    uri[LARDER__URI_BYTES_MAX + 1] = '\0';
    assert_int_equal(open_uri(uri), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "column 1: a URI of more than 65536 bytes; write a shorter one");
    free(uri);
}

static void null_arguments_are_bad_arguments(void **state)
{
    struct larder_cache *cache = (struct larder_cache *)(void *)text;
    (void)state;
    assert_int_equal(larder_open(NULL, NULL, &cache, text, sizeof(text)), LARDER_BAD_ARGUMENT);
    assert_null(cache);
    assert_string_equal(text, "uri is NULL");
    assert_int_equal(larder_open("null:", NULL, NULL, text, sizeof(text)), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "cache is NULL");
}

static void a_message_is_cut_to_its_buffer(void **state)
{
    struct larder_cache *cache = NULL;
    char whole[512], cut[512];
    (void)state;
    assert_int_equal(larder_open("memroy:", NULL, &cache, whole, sizeof(whole)),
                     LARDER_BAD_ARGUMENT);
    for (size_t size = 1; size < strlen(whole) + 2; size++) {
        memset(cut, 'x', sizeof(cut));
        assert_int_equal(larder_open("memroy:", NULL, &cache, cut, size), LARDER_BAD_ARGUMENT);
        assert_int_equal(strlen(cut), size <= strlen(whole) ? size - 1 : strlen(whole));
        assert_memory_equal(cut, whole, strlen(cut));
        assert_int_equal(cut[size], 'x');
    }
    assert_int_equal(larder_open("memroy:", NULL, &cache, cut, 0), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_open("memroy:", NULL, &cache, NULL, 0), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_open("null:", NULL, &cache, NULL, 0), LARDER_OK);
    larder_close(cache);
}

static void a_backend_that_does_not_open_says_why_and_leaves_nothing(void **state)
{
    struct larder_cache *cache = NULL;
    (void)state;
    scripted_reset();
    scripted.fail_open_number = 1;
    assert_int_equal(larder_open("scripted:", NULL, &cache, text, sizeof(text)),
                     LARDER_UNSUPPORTED);
    assert_null(cache);
    assert_string_equal(text, "servers: the script says no");
    scripted_reset();
    scripted.fail_open_number = 1;
    assert_int_equal(larder_open("scripted:?hands=2", NULL, &cache, text, sizeof(text)),
                     LARDER_UNSUPPORTED);
    assert_string_equal(text, "servers: the script says no");
    scripted_reset();
    scripted.fail_open_number = 1;
    assert_int_equal(larder_open("scripted://a?hands=2", NULL, &cache, text, sizeof(text)),
                     LARDER_UNSUPPORTED);
    assert_string_equal(text, "column 12: servers: the script says no");
}

/* ---- any bytes ----------------------------------------------------------------------------- */

static void any_bytes_are_read_or_refused(void **state)
{
    static const char *const seeds[] = {
        "memory:?max_bytes=64M&buckets=60&bucket_interval=15s&evict=off",
        "null:?default_ttl=5m&max_ttl=1h&errors=miss",
        "scripted://10.0.0.1:11211,[::1]/?hands=2&mood=busy&note=%41%20b",
        "scripted:///run/x.sock?room=1M&patience=10ms&polite=on&password=env:NAME",
        "scripted:--SERVER=a:11211/?5 --SERVER=b",
    };
    struct mutation mutation;
    int read = 0;
    (void)state;
    mutation_init(&mutation);
    for (int i = 0; i < 100000; i++) {
        const char *seed = seeds[i % 5];
        const struct larder__place place = {NULL, NULL, 0};
        const struct larder_message message = {text, sizeof(text)};
        struct larder__spec spec = {0};
        mutation_make(&mutation, seed, strlen(seed));
        struct larder__text uri = {(char *)mutation.bytes, mutation.length, 0, &place};
        memset(text, 0, sizeof(text));
        enum larder_status status = larder__uri_read(uri, &spec, &message);
        read += status == LARDER_OK;
        if (status != LARDER_OK && strncmp(text, "column ", 7) != 0)
            fail_msg("seed %llu, mutation %d: %s", mutation.seed, i, text);
        larder__spec_clean_up(&spec);
    }
    mutation_clean_up(&mutation);
    assert_true(read > 1000); /* or the mutations are too wild to say anything */
}

static int setup(void **state)
{
    (void)state;
    return larder_register_backend(&scripted_backend) == LARDER_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scheme_alone_opens_with_the_defaults),
        cmocka_unit_test(options_of_every_type_are_set),
        cmocka_unit_test(what_stands_before_the_question_mark_are_the_servers),
        cmocka_unit_test(options_of_every_cache_win_over_the_open_options),
        cmocka_unit_test(a_wrong_uri_is_told_where_and_what_would_be_right),
        cmocka_unit_test(a_uri_has_at_most_65536_bytes),
        cmocka_unit_test(null_arguments_are_bad_arguments),
        cmocka_unit_test(a_message_is_cut_to_its_buffer),
        cmocka_unit_test(a_backend_that_does_not_open_says_why_and_leaves_nothing),
        cmocka_unit_test(any_bytes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
