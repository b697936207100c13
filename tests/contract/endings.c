/* Shutdown and close: calls end with CLOSED, handles stay valid until close, views beyond it. */
#include "contract.h"

#include <larder/client.h>

#include <string.h>

#include "memcached_server.h"

static void expect_closed(struct fixture *fixture, struct larder_cache *cache)
{
    struct larder_slice there = larder_text("k");
    struct larder_value value = {0};
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_lease held = {1, 0};
    struct larder_row row = {.key = there};
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count = 0;
    expect(fixture, LARDER_CLOSED, larder_read(cache, there, buffer, 8, NULL));
    expect(fixture, LARDER_CLOSED, larder_get(cache, there, &value));
    for (int mode = LARDER_SET; mode <= LARDER_CAS; mode++) {
        write.version = mode == LARDER_CAS ? 1 : 0;
        expect(fixture, LARDER_CLOSED,
               larder_store(cache, (enum larder_mode)mode, there, &write, NULL));
    }
    write.version = 0;
    expect(fixture, LARDER_CLOSED, larder_delete(cache, there, 0));
    expect(fixture, LARDER_CLOSED, larder_invalidate(cache, there));
    expect(fixture, LARDER_CLOSED, larder_touch(cache, there, 0));
    expect(fixture, LARDER_CLOSED, larder_get_and_touch(cache, there, 0, &value));
    expect(fixture, LARDER_CLOSED, larder_incr(cache, there, 1, NULL, NULL));
    expect(fixture, LARDER_CLOSED, larder_lease_get(cache, there, 1, &value, &held));
    held.token = 1;
    expect(fixture, LARDER_CLOSED, larder_lease_fill(cache, there, held, &write));
    expect(fixture, LARDER_CLOSED, larder_lease_return(cache, there, held));
    row.write = write;
    for (int many = LARDER_MANY_READ; many <= LARDER_MANY_TOUCH; many++) {
        row.status = LARDER_OK;
        expect(fixture, LARDER_CLOSED,
               larder_many(cache, NULL, (enum larder_many_kind)many, LARDER_SET, &row, 1,
                           sizeof(row)));
        expect(fixture, LARDER_CLOSED, row.status);
    }
    expect(fixture, LARDER_CLOSED, larder_flush(cache));
    expect(fixture, LARDER_CLOSED, larder_keys(cache, &cursor, buffer, 8, keys, 1, &count));
    expect(fixture, LARDER_CLOSED, larder_wire_key(cache, there, buffer, 8, &count));
}

static void after_shutdown_every_call_is_closed(struct fixture *fixture)
{
    struct larder_cache *session = fixture->cache;
    expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), larder_text("v"), 0));
    fixture_check(fixture);
    larder_shutdown(fixture->owner);
    fixture_forget_keys(fixture);
    fixture->witness = NULL;
    expect_closed(fixture, fixture->cache);
    expect_closed(fixture, fixture->handle);
    expect_closed(fixture, fixture->owner);
    larder_shutdown(fixture->owner);
    larder_shutdown(fixture->handle);
    expect_closed(fixture, fixture->cache);
    expect_that(fixture, larder_describe(fixture->cache) != NULL);
    expect(fixture, LARDER_CLOSED, larder_acquire(fixture->handle, 0, 0, &session));
    expect_that(fixture, session == NULL);
}

/* A row's own mistake is told, also where the cache would have refused any row. */
static void a_row_that_makes_no_sense_is_refused_as_alone(struct fixture *fixture)
{
    char buffer[8];
    struct larder_value value = {0};
    struct larder_row rows[] = {
        {.key = {"k", 0}, .buffer = buffer, .size = sizeof(buffer)},
        {.key = larder_text("k"), .size = sizeof(buffer)},
        {.key = {"k", 0}, .size = sizeof(buffer)},
        {.key = larder_text("k"), .buffer = buffer, .size = sizeof(buffer)}};
    larder_shutdown(fixture->owner);
    fixture_forget_keys(fixture);
    fixture->witness = NULL;
    enum larder_status lowest = LARDER_OK, status = larder_read_multi(fixture->cache, rows, 4);
    for (size_t i = 0; i < 4; i++) {
        enum larder_status alone =
            larder_read(fixture->cache, rows[i].key, rows[i].buffer, rows[i].size, NULL);
        expect(fixture, alone, rows[i].status);
        lowest = alone < lowest ? alone : lowest;
    }
    expect(fixture, lowest, status);
    (void)larder_get_multi(fixture->cache, rows, 4);
    for (size_t i = 0; i < 4; i++)
        expect(fixture, larder_get(fixture->cache, rows[i].key, &value), rows[i].status);
}

static void a_view_outlives_shutdown_and_close(struct fixture *fixture)
{
    struct larder_value value = {0};
    if (subject_is_null(fixture->subject)) {
        leave_out(fixture, "nothing is kept");
        return;
    }
    put(fixture, key(fixture, "k"), "still here");
    expect(fixture, LARDER_OK, larder_get(fixture->cache, key(fixture, "k"), &value));
    fixture_check(fixture);
    larder_shutdown(fixture->owner);
    expect_slice(fixture, larder_text("still here"), value.bytes);
    fixture_close(fixture);
    expect_slice(fixture, larder_text("still here"), value.bytes);
    larder_value_release(&value);
    larder_value_release(&value);
}

static void a_cache_is_opened_and_closed_often(struct fixture *fixture)
{
    for (unsigned i = 0; i < 20; i++) {
        struct fixture other;
        fixture_open(&other, fixture->subject, fixture->test, NULL);
        expect(&other, LARDER_OK, larder_set(other.cache, key(&other, "k"), larder_text("v"), 0));
        fixture_close(&other);
    }
}

static void a_namespace_is_not_shut_down_by_itself(struct fixture *fixture)
{
    struct larder_cache *sister = NULL;
    if (!subject_is_client(fixture->subject)) {
        leave_out(fixture, "not a client");
        return;
    }
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, "sister", &sister));
    larder_shutdown(sister);
    larder_close(sister);
    expect(fixture, LARDER_OK, larder_set(sister, larder_text("k"), larder_text("v"), 0));
}

/* ---- a server that is gone ------------------------------------------------------------------ */

static void expect_failed_write(struct fixture *fixture, enum larder_status status)
{
    expect_that(fixture, status == LARDER_UNAVAILABLE || status == LARDER_TIMEOUT ||
                             status == LARDER_UNKNOWN);
}

static void a_dead_server_is_a_failure_and_a_miss_only_where_asked(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    if (!subject_has_server(fixture->subject)) {
        leave_out(fixture, "no server to kill");
        return;
    }
    for (uint32_t as_miss = 0; as_miss < 2; as_miss++) {
        struct memcached_server *server = memcached_server_start(NULL);
        struct fixture other;
        char byte;
        options.errors_as_miss = as_miss;
        fixture_open_at(&other, fixture->subject, fixture->test, &options,
                        (struct server_use){memcached_server_path(server), 0});
        put(&other, key(&other, "k"), "v");
        expect_text(&other, key(&other, "k"), "v");
        memcached_server_kill(server);
        for (unsigned i = 0; i < 3; i++) {
            enum larder_status read = larder_read(other.cache, key(&other, "k"), &byte, 1, NULL);
            expect_that(&other, as_miss != 0
                                    ? read == LARDER_MISS
                                    : read == LARDER_UNAVAILABLE || read == LARDER_TIMEOUT);
            expect_failed_write(&other,
                                larder_set(other.cache, key(&other, "k"), larder_text("v"), 0));
            expect_failed_write(&other, larder_delete(other.cache, key(&other, "k"), 0));
        }
        other.witness = NULL;
        fixture_close(&other);
        memcached_server_stop(server);
    }
}

static void a_client_refuses_a_cache_that_hides_errors(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *client = fixture->cache;
    struct fixture other;
    char message[256] = "";
    if (fixture->subject->shape != SHAPE_BARE) {
        leave_out(fixture, "no leaf");
        return;
    }
    options.errors_as_miss = 1;
    fixture_open(&other, fixture->subject, fixture->test, &options);
    const struct larder_route route = {"main", other.cache, LARDER_TTL_DEFAULT, 0};
    expect(&other, LARDER_BAD_ARGUMENT,
           larder_client_open(NULL, NULL, &route, 1, &client, message, sizeof(message)));
    expect_that(&other, client == NULL && message[0] != '\0');
    fixture_close(&other);
}

const struct contract_test ending_tests[] = {
    CONTRACT_TEST(after_shutdown_every_call_is_closed),
    CONTRACT_TEST(a_row_that_makes_no_sense_is_refused_as_alone),
    CONTRACT_TEST(a_view_outlives_shutdown_and_close),
    CONTRACT_TEST(a_cache_is_opened_and_closed_often),
    CONTRACT_TEST(a_namespace_is_not_shut_down_by_itself),
    CONTRACT_TEST(a_dead_server_is_a_failure_and_a_miss_only_where_asked),
    CONTRACT_TEST(a_client_refuses_a_cache_that_hides_errors),
    CONTRACT_TESTS_END,
};
