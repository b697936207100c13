/* Namespaces over servers: wire keys, generations, and what a server's failure does to them. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/client.h>

#include "clock.h"
#include "fake_servers.h"

#define POLL_MS 1000

struct world {
    struct manual_clock clock;
    struct fake_servers servers;
    struct larder_cache *client;
    struct larder_cache *red, *blue;
    int in_clock;
    uint64_t first_deadline_ns;
};

static void open_world(struct world *world, uint32_t server_count, uint64_t generation)
{
    memset(world, 0, sizeof(*world));
    manual_clock_init(&world->clock);
    world->servers.count = server_count;
    world->servers.clock = manual_clock_of(&world->clock);
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.clock = manual_clock_of(&world->clock);
    struct larder_cache *leaf;
    assert_status(LARDER_OK, fake_servers_open(&world->servers, &options, &leaf));
    struct larder_client_options client_options = LARDER_CLIENT_OPTIONS_INIT;
    client_options.namespace_poll_ms = POLL_MS;
    client_options.generation = generation;
    client_options.default_namespace = "red";
    struct larder_route routes[] = {{"red", leaf, LARDER_TTL_DEFAULT, 0},
                                    {"blue", leaf, LARDER_TTL_DEFAULT, 0}};
    char message[256];
    assert_status(LARDER_OK, larder_client_open(&client_options, NULL, routes, 2, &world->client,
                                                message, sizeof(message)));
    assert_status(LARDER_OK, larder_bind(world->client, "red", &world->red));
    assert_status(LARDER_OK, larder_bind(world->client, "blue", &world->blue));
}

static void close_world(struct world *world)
{
    larder_close(world->client);
    assert_int_equal(1, world->servers.closed);
}

static void set(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, larder_text(key), larder_text(value), 0));
}

static void expect(struct larder_cache *cache, const char *key, const char *value)
{
    char buffer[64];
    struct larder_info info = {0};
    assert_status(LARDER_OK, larder_read(cache, larder_text(key), buffer, sizeof(buffer), &info));
    assert_slice(value, larder_bytes(buffer, info.length));
}

static void expect_status(struct larder_cache *cache, const char *key, enum larder_status status)
{
    assert_status(status, larder_read(cache, larder_text(key), NULL, 0, NULL));
}

static void namespaces_on_one_server_do_not_see_each_other(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    set(world.red, "k", "red");
    set(world.blue, "k", "blue");
    expect(world.red, "k", "red");
    expect(world.blue, "k", "blue");
    expect(world.client, "k", "red"); /* the default namespace */
    assert_status(LARDER_OK, larder_flush(world.red));
    expect_status(world.red, "k", LARDER_MISS);
    expect(world.blue, "k", "blue");
    close_world(&world);
}

static void a_wire_key_is_name_generation_key(void **state)
{
    (void)state;
    struct world world;
    char before[128], after[128];
    size_t length;
    open_world(&world, 1, 1);
    assert_status(LARDER_OK,
                  larder_wire_key(world.red, larder_text("k"), before, sizeof(before), &length));
    before[length] = '\0';
    assert_memory_equal("red:", before, 4);
    assert_string_equal(":k", before + length - 2);
    assert_true(length >= 7 && length <= 4 + 16 + 2);
    assert_status(LARDER_OK, larder_flush(world.red));
    assert_status(LARDER_OK,
                  larder_wire_key(world.red, larder_text("k"), after, sizeof(after), &length));
    after[length] = '\0';
    assert_string_not_equal(before, after);
    close_world(&world);
}

static void without_generations_the_wire_key_is_name_key_and_flush_is_unsupported(void **state)
{
    (void)state;
    struct world world;
    char wire[64];
    size_t length;
    open_world(&world, 1, 0);
    assert_status(LARDER_OK,
                  larder_wire_key(world.blue, larder_text("k"), wire, sizeof(wire), &length));
    assert_slice("blue:k", larder_bytes(wire, length));
    assert_status(LARDER_UNSUPPORTED, larder_flush(world.blue));
    assert_status(LARDER_UNSUPPORTED, larder_flush(world.client));
    set(world.blue, "k", "v");
    expect(world.blue, "k", "v");
    close_world(&world);
}

static struct larder_slice generation_key = {"~g:red", 6};

static void a_flush_by_another_process_counts_within_the_poll_period(void **state)
{
    (void)state;
    struct world world;
    uint64_t result;
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    assert_status(LARDER_OK,
                  larder_incr(world.servers.memory[0], generation_key, 1, NULL, &result));
    expect(world.red, "k", "v");
    manual_clock_advance(&world.clock, POLL_MS - 1);
    expect(world.red, "k", "v");
    manual_clock_advance(&world.clock, 1);
    expect_status(world.red, "k", LARDER_MISS);
    close_world(&world);
}

static void an_evicted_generation_invalidates_and_never_revives(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    for (int round = 0; round < 100; round++) {
        set(world.red, "k", "v");
        assert_status(LARDER_OK, larder_delete(world.servers.memory[0], generation_key, 0));
        manual_clock_advance(&world.clock, POLL_MS);
        expect_status(world.red, "k", LARDER_MISS);
    }
    close_world(&world);
}

static void a_generation_that_a_stranger_overwrote_is_started_anew(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    set(world.servers.memory[0], "~g:red", "rubbish, and a long one at that");
    manual_clock_advance(&world.clock, POLL_MS);
    expect_status(world.red, "k", LARDER_MISS);
    set(world.red, "k", "w");
    manual_clock_advance(&world.clock, POLL_MS);
    expect(world.red, "k", "w");
    set(world.servers.memory[0], "~g:red", "rubbish");
    assert_status(LARDER_OK, larder_flush(world.red));
    expect_status(world.red, "k", LARDER_MISS);
    close_world(&world);
}

/* Answers of a server that can be reached for entries but not for its generation can't be had from
 * the fake; so the generation's last number is used with a server that is down and comes back. */
static void while_polls_fail_the_last_generation_counts_for_three_periods(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    uint64_t calls = world.servers.calls[0];
    world.servers.status[0] = LARDER_TIMEOUT;
    manual_clock_advance(&world.clock, 3 * POLL_MS - 1);
    /* the poll fails, the entry itself is still asked for */
    expect_status(world.red, "k", LARDER_TIMEOUT);
    assert_true(world.servers.calls[0] >= calls + 2);
    manual_clock_advance(&world.clock, 1);
    calls = world.servers.calls[0];
    expect_status(world.red, "k", LARDER_UNAVAILABLE);
    assert_int_equal(calls + 1, world.servers.calls[0]); /* the poll alone */
    world.servers.status[0] = LARDER_OK;
    expect(world.red, "k", "v");
    close_world(&world);
}

static void a_poll_whose_own_start_is_unknown_never_makes_a_read_unknown(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    world.servers.status[0] = LARDER_UNKNOWN;
    expect_status(world.red, "k", LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_set(world.red, larder_text("k"), larder_text("v"), 0));
    close_world(&world);
}

static void a_flush_that_may_have_landed_is_read_again(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    world.servers.status[0] = LARDER_UNKNOWN;
    assert_status(LARDER_UNKNOWN, larder_flush(world.red));
    world.servers.status[0] = LARDER_OK;
    uint64_t result;
    assert_status(LARDER_OK,
                  larder_incr(world.servers.memory[0], generation_key, 1, NULL, &result));
    expect_status(world.red, "k", LARDER_MISS);
    close_world(&world);
}

/* ---- several servers ----------------------------------------------------------------------- */

static void every_server_keeps_its_own_generation(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 4, 1);
    char key[2] = "a";
    for (; key[0] <= 'h'; key[0]++)
        set(world.red, key, key);
    for (uint32_t server = 0; server < 4; server++)
        assert_status(LARDER_PARTIAL,
                      larder_read(world.servers.memory[server], generation_key, NULL, 0, NULL));
    assert_status(LARDER_OK, larder_flush(world.red));
    for (key[0] = 'a'; key[0] <= 'h'; key[0]++)
        expect_status(world.red, key, LARDER_MISS);
    close_world(&world);
}

static void a_server_that_is_down_takes_only_its_own_entries_along(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 4, 1);
    char key[2] = "a";
    for (; key[0] <= 'h'; key[0]++)
        set(world.red, key, key);
    world.servers.status['a' % 4] = LARDER_UNAVAILABLE;
    manual_clock_advance(&world.clock, 10 * POLL_MS);
    for (key[0] = 'a'; key[0] <= 'h'; key[0]++)
        if (key[0] % 4 == 'a' % 4)
            expect_status(world.red, key, LARDER_UNAVAILABLE);
        else
            expect(world.red, key, key);
    /* the others are flushed all the same */
    assert_status(LARDER_UNAVAILABLE, larder_flush(world.red));
    expect_status(world.red, "b", LARDER_MISS);
    close_world(&world);
}

static void many_keys_go_to_their_servers_and_come_back_in_order(void **state)
{
    (void)state;
    struct world world;
    struct larder_row rows[8];
    char keys[8][2];
    open_world(&world, 4, 1);
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < 8; i++) {
        keys[i][0] = (char)('a' + i);
        rows[i].key = larder_bytes(keys[i], 1);
        rows[i].write = larder_write_of(rows[i].key, 0);
    }
    assert_status(LARDER_OK, larder_store_multi(world.red, LARDER_SET, rows, 8));
    world.servers.status[2] = LARDER_TIMEOUT;
    rows[3].key = larder_bytes(NULL, 0);
    assert_status(LARDER_TIMEOUT, larder_get_multi(world.red, rows, 8));
    for (int i = 0; i < 8; i++) {
        if (i == 3) {
            assert_status(LARDER_BAD_KEY, rows[i].status);
        } else if (keys[i][0] % 4 == 2) {
            assert_status(LARDER_TIMEOUT, rows[i].status);
        } else {
            assert_status(LARDER_OK, rows[i].status);
            assert_memory_equal(keys[i], rows[i].value.bytes.data, 1);
        }
    }
    larder_rows_release(rows, 8);
    close_world(&world);
}

static void a_multi_call_larger_than_a_batch_is_answered_whole(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct larder_row rows[COUNT];
    static char keys[COUNT][8];
    struct world world;
    open_world(&world, 3, 1);
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", i);
        rows[i].key = larder_text(keys[i]);
        rows[i].write = larder_write_of(rows[i].key, 0);
    }
    assert_status(LARDER_OK, larder_store_multi(world.blue, LARDER_SET, rows, COUNT));
    assert_status(LARDER_OK, larder_get_multi(world.blue, rows, COUNT));
    for (int i = 0; i < COUNT; i++)
        assert_slice(keys[i], rows[i].value.bytes);
    larder_rows_release(rows, COUNT);
    close_world(&world);
}

/* ---- races --------------------------------------------------------------------------------- */

static void flush_behind_the_reader(void *context, uint32_t server, struct larder_slice key)
{
    struct world *world = context;
    (void)server;
    if (key.length != generation_key.length || memcmp(key.data, generation_key.data, 6) != 0)
        return;
    world->servers.after_read = NULL;
    assert_status(LARDER_OK, larder_flush(world->red));
}

static void a_poll_that_a_flush_overtook_does_not_bring_the_old_generation_back(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    manual_clock_advance(&world.clock, POLL_MS);
    world.servers.after_read_context = &world;
    world.servers.after_read = flush_behind_the_reader;
    expect_status(world.red, "k", LARDER_MISS);
    expect_status(world.red, "k", LARDER_MISS);
    close_world(&world);
}

static void flush_behind_the_flush(void *context)
{
    struct world *world = context;
    world->servers.after_count = NULL;
    assert_status(LARDER_OK, larder_flush(world->red));
}

static void two_flushes_at_once_leave_the_generation_of_the_server(void **state)
{
    (void)state;
    struct world world;
    char wire[64], kept[32], expected[64];
    size_t length;
    struct larder_info info = {0};
    open_world(&world, 1, 1);
    set(world.red, "k", "v");
    world.servers.after_count_context = &world;
    world.servers.after_count = flush_behind_the_flush;
    assert_status(LARDER_OK, larder_flush(world.red));
    assert_status(LARDER_OK,
                  larder_wire_key(world.red, larder_text("k"), wire, sizeof(wire), &length));
    assert_status(LARDER_OK, larder_read(world.servers.memory[0], generation_key, kept,
                                         sizeof(kept) - 1, &info));
    kept[info.length] = '\0';
    snprintf(expected, sizeof(expected), "red:%llx:k", strtoull(kept, NULL, 10));
    assert_slice(expected, larder_bytes(wire, length));
    close_world(&world);
}

static void the_poll_is_slow(void *context, uint32_t server, struct larder_slice key)
{
    struct world *world = context;
    (void)server;
    if (key.length == generation_key.length && memcmp(key.data, generation_key.data, 6) == 0)
        manual_clock_advance(&world->clock, POLL_MS - 200);
}

static void a_slow_poll_does_not_stretch_the_period(void **state)
{
    (void)state;
    struct world world;
    uint64_t result;
    open_world(&world, 1, 1);
    world.servers.after_read_context = &world;
    world.servers.after_read = the_poll_is_slow;
    set(world.red, "k", "v");
    world.servers.after_read = NULL;
    assert_status(LARDER_OK,
                  larder_incr(world.servers.memory[0], generation_key, 1, NULL, &result));
    manual_clock_advance(&world.clock, 200);
    expect_status(world.red, "k", LARDER_MISS);
    close_world(&world);
}

static uint64_t look_at_the_clock(void *context)
{
    struct world *world = context;
    /* an application's clock may do what it likes, also use the cache that asks for the time */
    if (world->client != NULL && !world->in_clock) {
        world->in_clock = 1;
        enum larder_status status = larder_read(world->client, larder_text("other"), NULL, 0, NULL);
        assert_true(status == LARDER_MISS);
        world->in_clock = 0;
    }
    return 1;
}

static void a_clock_that_uses_the_cache_does_not_lock_it_up(void **state)
{
    (void)state;
    struct world world;
    memset(&world, 0, sizeof(world));
    world.servers.count = 1;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.clock.now_ns = look_at_the_clock;
    options.clock.context = &world;
    struct larder_cache *leaf;
    assert_status(LARDER_OK, fake_servers_open(&world.servers, &options, &leaf));
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, routes, 1, &world.client, NULL, 0));
    set(world.client, "k", "v");
    expect(world.client, "k", "v");
    close_world(&world);
}

static void note_the_deadline(void *context, uint32_t server, struct larder_slice key)
{
    struct world *world = context;
    (void)server, (void)key;
    if (world->first_deadline_ns == 0)
        world->first_deadline_ns = world->servers.seen_deadline_ns;
}

static void all_steps_of_a_call_share_its_deadline(void **state)
{
    (void)state;
    struct world world;
    memset(&world, 0, sizeof(world));
    world.servers.count = 1;
    world.servers.timeout_ms = 60000;
    world.servers.after_read = note_the_deadline;
    world.servers.after_read_context = &world;
    struct larder_cache *leaf;
    assert_status(LARDER_OK, fake_servers_open(&world.servers, NULL, &leaf));
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, routes, 1, &world.client, NULL, 0));
    expect_status(world.client, "k", LARDER_MISS); /* reads the generation, then the key */
    assert_true(world.first_deadline_ns != 0);
    assert_int_equal(world.first_deadline_ns, world.servers.seen_deadline_ns);
    close_world(&world);
}

static void many_keys_take_one_round_a_server(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct larder_row rows[COUNT];
    struct world world;
    open_world(&world, 2, 1);
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < COUNT; i++)
        rows[i].key = larder_text(i % 2 ? "a" : "b");
    set(world.red, "a", "v");
    set(world.red, "b", "v");
    world.servers.many_calls = 0;
    assert_status(LARDER_OK, larder_get_multi(world.red, rows, COUNT));
    assert_int_equal(2, world.servers.many_calls);
    larder_rows_release(rows, COUNT);
    close_world(&world);
}

static void the_longest_key_fits_with_its_prefix(void **state)
{
    (void)state;
    static char key[LARDER_KEY_BYTES_MAX];
    struct world world;
    memset(key, 'k', sizeof(key));
    open_world(&world, 1, 1);
    /* the memory cache behind the fake takes what an application may give, so the prefix makes this
     * one too long for it; a shorter one passes */
    struct larder_slice long_key = larder_bytes(key, sizeof(key) - 64);
    assert_status(LARDER_OK, larder_set(world.red, long_key, larder_text("v"), 0));
    assert_status(LARDER_OK, larder_delete(world.red, long_key, 0));
    close_world(&world);
}

static void the_default_namespace_has_three_names(void **state)
{
    (void)state;
    struct world world;
    struct larder_cache *by_null, *by_empty, *unknown;
    open_world(&world, 1, 1);
    assert_status(LARDER_OK, larder_bind(world.client, NULL, &by_null));
    assert_status(LARDER_OK, larder_bind(world.client, "", &by_empty));
    assert_ptr_equal(world.red, by_null);
    assert_ptr_equal(world.red, by_empty);
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(world.client, "green", &unknown));
    assert_null(unknown);
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(world.client, "bad name", &unknown));
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(world.red, "blue", &unknown));
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(world.client, "red", NULL));
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(namespaces_on_one_server_do_not_see_each_other),
        cmocka_unit_test(a_wire_key_is_name_generation_key),
        cmocka_unit_test(without_generations_the_wire_key_is_name_key_and_flush_is_unsupported),
        cmocka_unit_test(a_flush_by_another_process_counts_within_the_poll_period),
        cmocka_unit_test(an_evicted_generation_invalidates_and_never_revives),
        cmocka_unit_test(a_generation_that_a_stranger_overwrote_is_started_anew),
        cmocka_unit_test(while_polls_fail_the_last_generation_counts_for_three_periods),
        cmocka_unit_test(a_poll_whose_own_start_is_unknown_never_makes_a_read_unknown),
        cmocka_unit_test(a_flush_that_may_have_landed_is_read_again),
        cmocka_unit_test(every_server_keeps_its_own_generation),
        cmocka_unit_test(a_server_that_is_down_takes_only_its_own_entries_along),
        cmocka_unit_test(many_keys_go_to_their_servers_and_come_back_in_order),
        cmocka_unit_test(a_multi_call_larger_than_a_batch_is_answered_whole),
        cmocka_unit_test(a_poll_that_a_flush_overtook_does_not_bring_the_old_generation_back),
        cmocka_unit_test(two_flushes_at_once_leave_the_generation_of_the_server),
        cmocka_unit_test(a_slow_poll_does_not_stretch_the_period),
        cmocka_unit_test(a_clock_that_uses_the_cache_does_not_lock_it_up),
        cmocka_unit_test(all_steps_of_a_call_share_its_deadline),
        cmocka_unit_test(many_keys_take_one_round_a_server),
        cmocka_unit_test(the_longest_key_fits_with_its_prefix),
        cmocka_unit_test(the_default_namespace_has_three_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
