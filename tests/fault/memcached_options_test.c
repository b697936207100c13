/* Options of the memcached backends: what opens, and what is refused for which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <larder/traits.h>
#include <edge.h>

static char text[512];
static const struct larder_message message = {text, sizeof(text)};

static void read_string(const char *string, struct config *config)
{
    *config = (struct config){0};
    if (config_read_string(config, string, &message) != LARDER_OK)
        fail_msg("\"%s\": %s", string, text);
}

static void assert_refused(const char *string, const char *why)
{
    struct config config = {0};
    assert_int_equal(config_read_string(&config, string, &message), LARDER_BAD_ARGUMENT);
    if (strstr(text, why) == NULL)
        fail_msg("\"%s\" is refused with \"%s\", not for \"%s\"", string, text, why);
}

static void a_libmemcached_string_is_taken_over(void **state)
{
    (void)state;
    struct config config;
    read_string("--SERVER=10.0.0.1:11212/?3 --SERVER=b  --SOCKET=\"/run/m.sock/?2\"\n"
                "--BINARY-PROTOCOL --tcp-nodelay --TCP-KEEPALIVE --TCP-KEEPIDLE=30 "
                "--POLL-TIMEOUT=77 --CONNECT-TIMEOUT=88 --RETRY-TIMEOUT=2 --SUPPORT-CAS "
                "--FETCH-VERSION --DISTRIBUTION=consistent,MD5",
                &config);
    assert_int_equal(config.server_count, 3);
    assert_string_equal(config.servers[0].host, "10.0.0.1");
    assert_int_equal(config.servers[0].port, 11212);
    assert_int_equal(config.servers[0].weight, 3);
    assert_int_equal(config.servers[1].port, 11211);
    assert_string_equal(config.servers[2].host, "/run/m.sock");
    assert_int_equal(config.servers[2].weight, 2);
    assert_int_equal(config.binary, 1);
    assert_int_equal(config.nodelay, 1);
    assert_int_equal(config.keepalive, 1);
    assert_int_equal(config.keepidle_s, 30);
    assert_int_equal(config.timeout_ms, 77);
    assert_int_equal(config.connect_timeout_ms, 88);
    assert_int_equal(config.probe_ms, 2000);
    assert_int_equal(config.distribution, MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA);
    assert_int_equal(config.hash, MEMCACHED_HASH_MD5);
}

static void what_would_break_the_contract_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const refused[] = {"NAMESPACE=x",
                                          "HASH-WITH-NAMESPACE",
                                          "BUFFER-REQUESTS",
                                          "NOREPLY",
                                          "USE-UDP",
                                          "NUMBER-OF-REPLICAS=2",
                                          "VERIFY-KEY",
                                          "REMOVE-FAILED-SERVERS=1",
                                          "AUTO-EJECT-HOSTS",
                                          "SORT-HOSTS",
                                          "CONFIGURE-FILE=\"x\"",
                                          "POOL-MAX=5",
                                          "SND-TIMEOUT=5",
                                          "RCV-TIMEOUT=5",
                                          "RANDOMIZE-REPLICA-READ",
                                          "DISTRIBUTION=random"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char string[80];
        char name[40] = "--";
        snprintf(string, sizeof(string), "--SERVER=a --%s", refused[i]);
        strncat(name, refused[i], strcspn(refused[i], "="));
        assert_refused(string, name);
    }
}

static void what_is_unknown_or_malformed_is_refused(void **state)
{
    (void)state;
    assert_refused("--SERVER=a --FROBNICATE", "FROBNICATE");
    assert_refused("--SERVER=a BINARY-PROTOCOL", "starts with");
    assert_refused("--BINARY-PROTOCOL", "needs --SERVER");
    assert_refused("--SERVER", "takes a value");
    assert_refused("--SERVER=a --BINARY-PROTOCOL=1", "takes no value");
    assert_refused("--SERVER=a --POLL-TIMEOUT=0", "number");
    assert_refused("--SERVER=a --POLL-TIMEOUT=-1", "number");
    assert_refused("--SERVER=a/?0", "number");
    assert_refused("--SERVER=a --HASH=rot13", "hash");
    assert_refused("--SERVER=a --SOCKET=run", "path");
    assert_refused("--SERVER=a --DISTRIBUTION=vbucket", "consistent");
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum larder_status open_with(const struct larder_memcached_options *options)
{
    struct larder_cache *cache = NULL;
    text[0] = '\0';
    enum larder_status status = larder_memcached_open(options, NULL, &cache, text, sizeof(text));
    larder_close(cache);
    return status;
}

static void the_defaults_open_without_a_server(void **state)
{
    (void)state;
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    options.servers = "/nonexistent/memcached.sock";
    assert_int_equal(open_with(&options), LARDER_OK);
}

static void a_wrong_server_list_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    options.servers = "a,a";
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "twice"));
    options.servers = "--SERVER=a --NOREPLY";
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "NOREPLY"));
}

static void every_placement_and_hash_opens_or_says_why(void **state)
{
    (void)state;
    static const char *const distributions[] = {"ketama", "ketama_weighted", "modula"};
    static const char *const hashes[] = {"default",  "md5",     "crc",      "fnv1_64",
                                         "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh",
                                         "murmur",   "jenkins", "murmur3"};
    for (size_t d = 0; d < 3; d++)
        for (size_t h = 0; h < sizeof(hashes) / sizeof(hashes[0]); h++) {
            struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
            options.servers = "/a.sock*2,/b.sock,127.0.0.1";
            options.distribution = distributions[d];
            options.hash = hashes[h];
            enum larder_status status = open_with(&options);
            if (status != LARDER_OK && strstr(text, "built without it") == NULL)
                fail_msg("%s, %s: %s", distributions[d], hashes[h], text);
        }
}

static void metadata_is_declared_by_name(void **state)
{
    (void)state;
    struct larder_pooled_memcached_options options = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    struct larder_cache *cache;
    options.metadata = "leases,negative";
    assert_int_equal(larder_pooled_memcached_open(&options, NULL, &cache, text, sizeof(text)),
                     LARDER_OK);
    assert_true(larder_can(larder_describe(cache),
                           LARDER_CAN_LEASE | LARDER_CAN_ABSENT | LARDER_CAN_READ_TTL));
    larder_close(cache);
    options.metadata = "tags";
    assert_int_equal(larder_pooled_memcached_open(&options, NULL, &cache, text, sizeof(text)),
                     LARDER_UNSUPPORTED);
    assert_int_equal(larder_open("memcached:?binary=on&metadata=leases,negativ", NULL, &cache, text,
                                 sizeof(text)),
                     LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "column 31: metadata: 'negativ' is no metadata (did you mean "
                              "negative?); write leases, negative; several with commas between");
    assert_int_equal(larder_open("memcached:?metadata=codec", NULL, &cache, text, sizeof(text)),
                     LARDER_UNSUPPORTED);
    assert_string_equal(text, "column 21: metadata: this larder can't keep codec yet; what it can "
                              "keep is leases, negative");
}

static void sasl_asks_for_what_it_needs(void **state)
{
    (void)state;
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    options.sasl_user = "u";
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    options.sasl_password = "env:LARDER_TEST_SECRET";
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "binary"));
    options.binary = 1;
    unsetenv("LARDER_TEST_SECRET");
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "LARDER_TEST_SECRET"));
    setenv("LARDER_TEST_SECRET", "s3cret", 1);
    assert_int_equal(open_with(&options), LARDER_OK);
    options.servers = "/a.sock";
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "Unix"));
    unsetenv("LARDER_TEST_SECRET");
}

static void a_secret_comes_from_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/larder-secret-XXXXXX";
    char reference[64];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    snprintf(reference, sizeof(reference), "file:%s", path);
    options.sasl_user = "u";
    options.sasl_password = reference;
    options.binary = 1;
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT); /* empty */
    assert_int_equal(write(descriptor, "s3cret\n", 7), 7);
    assert_int_equal(open_with(&options), LARDER_OK);
    close(descriptor);
    unlink(path);
    assert_int_equal(open_with(&options), LARDER_BAD_ARGUMENT);
    assert_null(strstr(text, "s3cret"));
}

/* ---- TTLs ---------------------------------------------------------------------------------- */

#define DAY_MS INT64_C(86400000)
#define NOW_S INT64_C(1800000000)

static void a_ttl_is_rounded_up_and_one_more(void **state)
{
    (void)state;
    assert_int_equal(exptime_of(LARDER_TTL_FOREVER, NOW_S), 0);
    assert_int_equal(exptime_of(1, NOW_S), 2);
    assert_int_equal(exptime_of(1000, NOW_S), 2);
    assert_int_equal(exptime_of(1001, NOW_S), 3);
    assert_int_equal(exptime_of(60000, NOW_S), 61);
}

static void past_thirty_days_a_ttl_is_a_date(void **state)
{
    (void)state;
    assert_int_equal(exptime_of(30 * DAY_MS - 1000, NOW_S), 2592000);
    assert_int_equal(exptime_of(30 * DAY_MS - 999, NOW_S), NOW_S + 2592001);
    assert_int_equal(exptime_of(30 * DAY_MS, NOW_S), NOW_S + 2592001);
    assert_int_equal(exptime_of(365 * DAY_MS, NOW_S), NOW_S + 365 * 86400 + 1);
}

static void a_ttl_never_wraps_at_the_last_second(void **state)
{
    (void)state;
    assert_int_equal(exptime_of((INT32_MAX - NOW_S - 1) * 1000, NOW_S), INT32_MAX);
    assert_int_equal(exptime_of((INT32_MAX - NOW_S) * 1000, NOW_S), INT32_MAX);
    assert_int_equal(exptime_of(INT64_MAX, NOW_S), INT32_MAX);
    /* near that second, and after it */
    assert_int_equal(exptime_of(60 * DAY_MS, INT32_MAX - 100), 2592000);
    assert_int_equal(exptime_of(60 * DAY_MS, INT64_C(4000000000)), 2592000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_libmemcached_string_is_taken_over),
        cmocka_unit_test(what_would_break_the_contract_is_refused_by_name),
        cmocka_unit_test(what_is_unknown_or_malformed_is_refused),
        cmocka_unit_test(the_defaults_open_without_a_server),
        cmocka_unit_test(a_wrong_server_list_is_refused_with_a_reason),
        cmocka_unit_test(every_placement_and_hash_opens_or_says_why),
        cmocka_unit_test(metadata_is_declared_by_name),
        cmocka_unit_test(sasl_asks_for_what_it_needs),
        cmocka_unit_test(a_secret_comes_from_a_file),
        cmocka_unit_test(a_ttl_is_rounded_up_and_one_more),
        cmocka_unit_test(past_thirty_days_a_ttl_is_a_date),
        cmocka_unit_test(a_ttl_never_wraps_at_the_last_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
