/* A caller's function in the place of a distribution. */
#include "support.h"

#include <stdio.h>

#include <larder/meta.h>

#include "two_servers.h"

static struct larder_cache *alone[2];

/* The last byte of what goes out says it: 'b' is even, taken modulo two. */
static uint32_t by_last_byte(void *context, struct larder_slice key, uint32_t servers)
{
    const char *bytes = key.data;
    assert_int_equal(servers, 2);
    ++*(int *)context;
    return (uint32_t)bytes[key.length - 1];
}

static int start(void **state)
{
    if (two_servers_start(state) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++)
        alone[i] = two_servers_open("meta", i, 5000, "");
    return 0;
}

static int stop(void **state)
{
    for (size_t i = 0; i < 2; i++)
        larder_close(alone[i]);
    return two_servers_stop(state);
}

static enum larder_status open_placed(int *asked, const char *weight, int tags,
                                      struct larder_cache **cache, char message[256])
{
    char servers[256];
    struct larder_meta_options options = LARDER_META_OPTIONS_INIT;
    snprintf(servers, sizeof(servers), "%s,%s%s", memcached_server_path(two_servers[0]),
             memcached_server_path(two_servers[1]), weight);
    options.servers = servers;
    options.timeout_ms = 5000;
    options.tags = (uint64_t)tags;
    options.place = by_last_byte;
    options.place_context = asked;
    return larder_meta_open(&options, NULL, cache, message, 256);
}

static void must_be_on(const char *key, size_t server)
{
    char byte;
    for (size_t i = 0; i < 2; i++)
        assert_status(i == server ? LARDER_OK : LARDER_MISS,
                      larder_read(alone[i], larder_text(key), &byte, 1, NULL));
}

static void a_callers_function_places_keys(void **state)
{
    static const char *const keys[] = {"even-b", "odd-a", "many-b", "many-a"};
    int asked = 0;
    char message[256] = "";
    struct larder_cache *cache;
    struct larder_row rows[2] = {{.key = larder_text(keys[2])}, {.key = larder_text(keys[3])}};
    (void)state;
    assert_status(LARDER_OK, open_placed(&asked, "", 0, &cache, message));
    assert_status(LARDER_OK, larder_set(cache, larder_text(keys[0]), larder_text("v"), 0));
    assert_status(LARDER_OK, larder_set(cache, larder_text(keys[1]), larder_text("v"), 0));
    for (size_t i = 0; i < 2; i++)
        rows[i].write = larder_write_of(larder_text("v"), 0);
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_SET, rows, 2));
    assert_int_equal(asked, 4);
    for (size_t i = 0; i < 4; i++)
        must_be_on(keys[i], i % 2); /* 'b' is even */
    larder_close(cache);
}

static void tags_and_routing_keys_reach_the_function(void **state)
{
    int asked = 0;
    char message[256] = "";
    struct larder_cache *cache;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    (void)state;
    assert_status(LARDER_OK, open_placed(&asked, "", 1, &cache, message));
    assert_status(LARDER_OK, larder_set(cache, larder_text("{xa}b"), larder_text("v"), 0));
    must_be_on("{xa}b", 1);
    call.routing_key = larder_text("a");
    assert_status(LARDER_OK, larder_store_with(cache, &call, LARDER_SET, larder_text("routed b"),
                                               &write, NULL));
    must_be_on("routed b", 1);
    larder_close(cache);
}

static void weights_are_refused(void **state)
{
    int asked = 0;
    char message[256] = "";
    struct larder_cache *cache;
    (void)state;
    assert_status(LARDER_BAD_ARGUMENT, open_placed(&asked, "*2", 0, &cache, message));
    assert_non_null(strstr(message, "place takes no weights"));
    assert_int_equal(asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callers_function_places_keys),
        cmocka_unit_test(tags_and_routing_keys_reach_the_function),
        cmocka_unit_test(weights_are_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
