/* meta beside the memcached backend and bare libmemcached: on the same servers each finds what the
 * other has written, whatever the key, the flags and the value. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <libmemcached/memcached.h>

#include "memcached_server.h"

static struct memcached_server *servers[3];
static struct larder_cache *meta, *other;

static struct larder_cache *open_on_all(const char *scheme)
{
    struct larder_cache *cache = NULL;
    char uri[512], message[256] = "";
    snprintf(uri, sizeof(uri), "%s://%s,%s,%s?timeout=5s", scheme,
             memcached_server_path(servers[0]), memcached_server_path(servers[1]),
             memcached_server_path(servers[2]));
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}

static int start(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        servers[i] = memcached_server_start(NULL);
    meta = open_on_all("meta");
    other = open_on_all("memcached");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    larder_close(meta);
    larder_close(other);
    for (size_t i = 0; i < 3; i++)
        memcached_server_stop(servers[i]);
    return 0;
}

/* ---- keys of every class ------------------------------------------------------------------- */

static char long_key[65535];

/* Plain, of high bytes, encoded, hashed; at the bounds between them. */
static struct larder_slice key_of(size_t number)
{
    static const struct {
        char byte;
        size_t length;
    } keys[] = {{'k', 1},   {'k', 250},  {'k', 251}, {'k', 65535}, {' ', 1},
                {' ', 186}, {' ', 187},  {'\0', 10}, {'\xe9', 1},  {'\xe9', 250},
                {'~', 1},   {'\x7f', 5}, {'\n', 3},  {'\r', 4},    {'{', 7}};
    if (number >= sizeof(keys) / sizeof(keys[0]))
        return larder_bytes(NULL, 0);
    memset(long_key, keys[number].byte, keys[number].length);
    return larder_bytes(long_key, keys[number].length);
}

static void write_and_read(struct larder_cache *writer, struct larder_cache *reader)
{
    static const uint32_t flags[] = {0, 1, 0x80000000u, UINT32_MAX};
    static const size_t lengths[] = {0, 1, 100, 5000, 200000};
    static char bytes[200000], buffer[200000];
    for (size_t number = 0; key_of(number).length > 0; number++)
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
                struct larder_slice key = key_of(number);
                struct larder_info info = {0};
                memset(bytes, (int)('a' + number), lengths[j]);
                struct larder_write write = larder_write_of(larder_bytes(bytes, lengths[j]), 60000);
                write.flags = flags[i];
                assert_status(LARDER_OK, larder_store(writer, LARDER_SET, key, &write, NULL));
                assert_status(LARDER_OK, larder_read(reader, key, buffer, sizeof(buffer), &info));
                assert_int_equal(info.length, lengths[j]);
                assert_memory_equal(buffer, bytes, lengths[j]);
                assert_int_equal(info.flags, flags[i]);
            }
}

static void each_backend_reads_what_the_other_writes(void **state)
{
    (void)state;
    write_and_read(meta, other);
    write_and_read(other, meta);
}

/* On three servers: both place each key alike, or half of these would be misses. */
static void versions_counters_and_deletes_are_shared(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        char key[32], text[32];
        uint64_t number = 0;
        struct larder_info info = {.want = LARDER_WANT_VERSION};
        int length = snprintf(key, sizeof(key), "shared:%u", i);
        struct larder_slice name = larder_bytes(key, (size_t)length);
        assert_status(LARDER_OK, larder_set(meta, name, larder_text("10"), 60000));
        assert_status(LARDER_OK, larder_incr(other, name, 5, NULL, &number));
        assert_status(LARDER_OK, larder_decr(meta, name, 8, NULL, &number));
        assert_int_equal(number, 7);
        assert_status(LARDER_OK, larder_read(other, name, text, sizeof(text), &info));
        assert_status(LARDER_OK, larder_cas(meta, name, larder_text("new"), 60000, info.version));
        assert_status(LARDER_CONFLICT, larder_delete(other, name, info.version));
        assert_status(LARDER_OK, larder_delete(other, name, 0));
        assert_status(LARDER_MISS, larder_read(meta, name, text, sizeof(text), NULL));
    }
}

/* ---- a program without larder -------------------------------------------------------------- */

static memcached_st *bare_client(void)
{
    memcached_st *bare = memcached_create(NULL);
    assert_non_null(bare);
    assert_int_equal(memcached_behavior_set(bare, MEMCACHED_BEHAVIOR_KETAMA, 1), MEMCACHED_SUCCESS);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(memcached_server_add_unix_socket(bare, memcached_server_path(servers[i])),
                         MEMCACHED_SUCCESS);
    return bare;
}

static void bare_libmemcached_reads_and_writes_the_same(void **state)
{
    (void)state;
    memcached_st *bare = bare_client();
    for (unsigned i = 0; i < 200; i++) {
        char key[32], text[32];
        size_t length = 0;
        uint32_t flags = 0;
        memcached_return_t code;
        struct larder_info info = {0};
        size_t key_length = (size_t)snprintf(key, sizeof(key), "bare:%u", i);
        struct larder_slice name = larder_bytes(key, key_length);
        struct larder_write write = larder_write_of(larder_bytes(key, i % 5), 60000);
        write.flags = i;
        assert_status(LARDER_OK, larder_store(meta, LARDER_SET, name, &write, NULL));
        char *value = memcached_get(bare, key, key_length, &length, &flags, &code);
        assert_int_equal(code, MEMCACHED_SUCCESS);
        assert_int_equal(length, i % 5);
        assert_int_equal(flags, i);
        free(value);
        assert_int_equal(memcached_set(bare, key, key_length, "theirs", 6, 60, 3),
                         MEMCACHED_SUCCESS);
        assert_status(LARDER_OK, larder_read(meta, name, text, sizeof(text), &info));
        assert_int_equal(info.length, 6);
        assert_memory_equal(text, "theirs", 6);
        assert_int_equal(info.flags, 3);
    }
    memcached_free(bare);
}

/* By the key as it goes out, which a program without larder asks for. */
static void swap_with(memcached_st *bare, struct larder_slice key, uint32_t flags, size_t length)
{
    static char bytes[5000], buffer[5000];
    char wire[LARDER_KEY_BYTES_MAX];
    size_t wire_length = 0, found = 0;
    uint32_t found_flags = 0;
    memcached_return_t code;
    struct larder_info info = {0};
    struct larder_write write = larder_write_of(larder_bytes(bytes, length), 60000);
    write.flags = flags;
    memset(bytes, 'm', length);
    assert_status(LARDER_OK, larder_store(meta, LARDER_SET, key, &write, NULL));
    assert_status(LARDER_OK, larder_wire_key(meta, key, wire, sizeof(wire), &wire_length));
    char *value = memcached_get(bare, wire, wire_length, &found, &found_flags, &code);
    assert_int_equal(code, MEMCACHED_SUCCESS);
    assert_int_equal(found, length);
    assert_int_equal(found_flags, flags);
    assert_true(length == 0 || memcmp(value, bytes, length) == 0);
    free(value);
    memset(bytes, 'b', length);
    assert_int_equal(memcached_set(bare, wire, wire_length, bytes, length, 60, ~flags),
                     MEMCACHED_SUCCESS);
    assert_status(LARDER_OK, larder_read(meta, key, buffer, sizeof(buffer), &info));
    assert_int_equal(info.length, length);
    assert_int_equal(info.flags, ~flags);
    assert_memory_equal(buffer, bytes, length);
}

static void bare_libmemcached_swaps_every_kind_of_key_flags_and_value(void **state)
{
    static const uint32_t flags[] = {0, 1, 0x80000000u, UINT32_MAX};
    static const size_t lengths[] = {0, 1, 100, 5000};
    (void)state;
    memcached_st *bare = bare_client();
    for (size_t number = 0; key_of(number).length > 0; number++)
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++)
                swap_with(bare, key_of(number), flags[i], lengths[j]);
    memcached_free(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_backend_reads_what_the_other_writes),
        cmocka_unit_test(versions_counters_and_deletes_are_shared),
        cmocka_unit_test(bare_libmemcached_reads_and_writes_the_same),
        cmocka_unit_test(bare_libmemcached_swaps_every_kind_of_key_flags_and_value),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
