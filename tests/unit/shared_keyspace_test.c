/*
 * Keyspaces on a real memcached that a program without larder uses as well, over libmemcached: what
 * each of the two finds of the other's.
 */
#include "support.h"

#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>

#include <larder/dependency.h>
#include <larder/util/record_codec.h>

#include "memcached_server.h"

#define K larder_text("k")

static struct memcached_server *server;
static memcached_st *bare;

static struct larder_cache *open_cache(const char *options)
{
    char uri[256], message[256] = "";
    struct larder_cache *cache = NULL;
    snprintf(uri, sizeof(uri), "memcached://%s?timeout=5s%s", memcached_server_path(server),
             options);
    enum larder_status status = larder_open(uri, NULL, &cache, message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}

static void bare_set(const void *bytes, size_t length, uint32_t flags)
{
    assert_int_equal(memcached_set(bare, "k", 1, bytes, length, 0, flags), MEMCACHED_SUCCESS);
}

static void bare_expects(const void *bytes, size_t length, uint32_t flags)
{
    size_t found_length = 0;
    uint32_t found_flags = 0;
    memcached_return_t code;
    char *found = memcached_get(bare, "k", 1, &found_length, &found_flags, &code);
    assert_int_equal(code, MEMCACHED_SUCCESS);
    assert_int_equal(found_length, length);
    assert_int_equal(found_flags, flags);
    if (length > 0)
        assert_memory_equal(found, bytes, length);
    free(found);
}

static void larder_expects(struct larder_cache *cache, const void *bytes, size_t length,
                           uint32_t flags)
{
    struct larder_value value = {0};
    assert_status(LARDER_OK, larder_get(cache, K, &value));
    assert_int_equal(value.bytes.length, length);
    if (length > 0)
        assert_memory_equal(value.bytes.data, bytes, length);
    assert_int_equal(value.info.flags, flags);
    larder_value_release(&value);
}

static void larder_sets(struct larder_cache *cache, const void *bytes, size_t length,
                        uint32_t flags, int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(larder_bytes(bytes, length), ttl_ms);
    write.flags = flags;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, K, &write, NULL));
}

/* Everything that a keyspace with metadata would take for something else. */
static const struct {
    const char *bytes;
    size_t length;
    uint32_t flags;
} values[] = {
    {"plain", 5, 0},
    {"plain", 5, 42},
    {"", 0, 0},
    {"", 0, 7},
    {"bytes", 5, LARDER_RECORD_FLAGS},
    {"\xc9LR\x01\x01", 5, LARDER_RECORD_FLAGS},
    {"\0\r\n\xff", 4, UINT32_MAX},
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static void a_raw_keyspace_is_byte_for_byte_raw(const char *options)
{
    struct larder_cache *cache = open_cache(options);
    for (size_t i = 0; i < VALUES; i++) {
        bare_set(values[i].bytes, values[i].length, values[i].flags);
        larder_expects(cache, values[i].bytes, values[i].length, values[i].flags);
        for (int64_t ttl_ms = 0; ttl_ms <= 60000; ttl_ms += 60000) {
            assert_status(LARDER_OK, larder_delete(cache, K, 0));
            larder_sets(cache, values[i].bytes, values[i].length, values[i].flags, ttl_ms);
            bare_expects(values[i].bytes, values[i].length, values[i].flags);
        }
    }
    larder_close(cache);
}

static void a_keyspace_without_metadata_is_raw(void **state)
{
    (void)state;
    a_raw_keyspace_is_byte_for_byte_raw("");
    a_raw_keyspace_is_byte_for_byte_raw("&binary=on");
}

static void plain_values_are_shared_with_metadata_too(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=leases,negative");
    for (size_t i = 0; i < 2; i++) {
        bare_set(values[i].bytes, values[i].length, values[i].flags);
        larder_expects(cache, values[i].bytes, values[i].length, values[i].flags);
        larder_sets(cache, "ours", 4, values[i].flags, LARDER_TTL_FOREVER);
        bare_expects("ours", 4, values[i].flags);
    }
    larder_sets(cache, "12", 2, 0, LARDER_TTL_FOREVER);
    assert_status(LARDER_OK, larder_incr(cache, K, 1, NULL, NULL));
    assert_status(LARDER_OK, larder_append(cache, K, larder_text("0")));
    bare_expects("130", 3, 0);
    larder_close(cache);
}

/* Whatever is stored comes back; what others must not take for plain has the flags of records. */
static void the_rest_is_enveloped(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=negative&binary=on");
    for (size_t i = 0; i < VALUES; i++) {
        uint32_t flags = 0;
        size_t length = 0;
        memcached_return_t code;
        larder_sets(cache, values[i].bytes, values[i].length, values[i].flags, 60000);
        larder_expects(cache, values[i].bytes, values[i].length, values[i].flags);
        char *bytes = memcached_get(bare, "k", 1, &length, &flags, &code);
        assert_int_equal(code, MEMCACHED_SUCCESS);
        assert_int_equal(flags, LARDER_RECORD_FLAGS);
        assert_int_equal(length, LARDER_RECORD_HEADER_MIN + values[i].length);
        free(bytes);
    }
    larder_close(cache);
}

/* As a meta client leaves it on winning a lease. */
static void a_placeholder_of_another_program_is_pending(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=leases");
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    bare_set("", 0, 0);
    assert_status(LARDER_MISS, larder_get(cache, K, &value));
    assert_status(LARDER_MISS, larder_lease_get(cache, K, 1000, &value, &lease));
    assert_int_equal(lease.token, 0);
    assert_status(LARDER_MISS, larder_append(cache, K, larder_text("x")));
    bare_expects("", 0, 0);
    assert_status(LARDER_OK, larder_add(cache, K, larder_text("v"), 0));
    bare_expects("v", 1, 0);
    larder_close(cache);
}

static void another_program_can_not_count_on_from_a_record(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=leases");
    uint64_t number = 0;
    larder_sets(cache, "1", 1, 0, 60000);
    assert_int_not_equal(memcached_increment(bare, "k", 1, 1, &number), MEMCACHED_SUCCESS);
    larder_expects(cache, "1", 1, 0);
    larder_close(cache);
}

static void a_server_that_gives_no_versions_can_only_be_read_and_set(void **state)
{
    const char *const arguments[] = {"-C", NULL};
    struct memcached_server *kept = server;
    (void)state;
    server = memcached_server_start(arguments);
    struct larder_cache *cache = open_cache("&metadata=leases");
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    larder_sets(cache, "v", 1, 0, 60000);
    larder_expects(cache, "v", 1, 0);
    assert_status(LARDER_UNSUPPORTED, larder_append(cache, K, larder_text("x")));
    assert_status(LARDER_UNSUPPORTED, larder_lease_get(cache, K, 1000, &value, &lease));
    larder_close(cache);
    memcached_server_stop(server);
    server = kept;
}

/* Wires and their counter are entries like any other: raw or records. */
static void dependencies_work_over_records(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=leases,negative");
    for (int64_t ttl_ms = 0; ttl_ms <= 60000; ttl_ms += 60000) {
        struct larder_slice master = larder_text("master");
        struct larder_write write = larder_write_of(larder_text("v"), ttl_ms);
        struct larder_dependency_result result;
        assert_status(LARDER_OK, larder_dependency_set(cache, K, &write, &master, 1, ttl_ms));
        assert_status(LARDER_OK, larder_dependency_set(cache, larder_text("other"), &write, &master,
                                                       1, ttl_ms));
        assert_status(LARDER_OK, larder_dependency_delete(cache, master, &result));
        assert_int_equal(result.dropped, 2);
        assert_int_equal(result.lost, 0);
        assert_status(LARDER_MISS, larder_read(cache, K, NULL, 0, NULL));
    }
    larder_close(cache);
}

/* Looking failed, so nothing was written; only a plain store may have left. */
static void a_call_to_a_hung_server_says_what_it_knows(void **state)
{
    (void)state;
    struct larder_cache *cache = open_cache("&metadata=leases,negative");
    struct larder_call brief = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(larder_text("2"), 60000);
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    brief.timeout_ms = 100;
    larder_sets(cache, "1", 1, 0, 60000);
    memcached_server_pause(server);
    assert_status(LARDER_TIMEOUT, larder_store_with(cache, &brief, LARDER_APPEND, K, &write, NULL));
    assert_status(LARDER_TIMEOUT, larder_delete_with(cache, &brief, K, 0));
    assert_status(LARDER_TIMEOUT, larder_lease_get_with(cache, &brief, K, 1000, &value, &lease));
    memcached_server_resume(server);
    larder_close(cache);
    cache = open_cache("&metadata=leases,negative"); /* which has not marked the server down */
    larder_expects(cache, "1", 1, 0);
    memcached_server_pause(server);
    assert_status(LARDER_UNKNOWN, larder_store_with(cache, &brief, LARDER_SET, K, &write, NULL));
    memcached_server_resume(server);
    larder_close(cache);
}

static int start(void **state)
{
    (void)state;
    server = memcached_server_start(NULL);
    bare = memcached_create(NULL);
    return bare == NULL || memcached_server_add_unix_socket(bare, memcached_server_path(server)) !=
                               MEMCACHED_SUCCESS;
}

static int stop(void **state)
{
    (void)state;
    memcached_free(bare);
    memcached_server_stop(server);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_keyspace_without_metadata_is_raw),
        TEST(plain_values_are_shared_with_metadata_too),
        TEST(the_rest_is_enveloped),
        TEST(a_placeholder_of_another_program_is_pending),
        TEST(another_program_can_not_count_on_from_a_record),
        TEST(dependencies_work_over_records),
        TEST(a_call_to_a_hung_server_says_what_it_knows),
        TEST(a_server_that_gives_no_versions_can_only_be_read_and_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
