/* What makes no sense is refused, whatever the cache: NULLs, unknown enums and bits. */
#include "contract.h"

#include <larder/client.h>

#include <string.h>

static void a_null_cache_is_a_bad_argument(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0};
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_lease held = {1, 0};
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_read(NULL, there, buffer, 8, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_get(NULL, there, &value));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_store(NULL, LARDER_SET, there, &write, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_delete(NULL, there, 0));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_touch(NULL, there, 0));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_get_and_touch(NULL, there, 0, &value));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_incr(NULL, there, 1, NULL, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_get(NULL, there, 1, &value, &held));
    held.token = 1;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_fill(NULL, there, held, &write));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_lease_return(NULL, there, held));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_flush(NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_keys(NULL, &cursor, buffer, 8, keys, 1, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_stats(NULL, NULL, 0, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_purge(NULL, 0, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_wire_key(NULL, there, buffer, 8, &count));
    larder_shutdown(NULL);
    larder_close(NULL);
    larder_release(NULL);
}

static void a_null_output_is_a_bad_argument(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count = 0;
    struct larder_cache *cache = fixture->cache;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_read(cache, there, NULL, 1, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_get(cache, there, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_get_and_touch(cache, there, 0, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_store(cache, LARDER_SET, there, NULL, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_keys(cache, NULL, buffer, 8, keys, 1, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_keys(cache, &cursor, NULL, 8, keys, 1, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_keys(cache, &cursor, buffer, 8, NULL, 1, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_keys(cache, &cursor, buffer, 8, keys, 1, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_wire_key(cache, there, NULL, 8, &count));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_wire_key(cache, there, buffer, 8, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_bind(fixture->owner, "main", NULL));
}

static void a_value_that_is_not_there_is_a_bad_argument(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_set(fixture->cache, there, larder_bytes(NULL, 1), 0));
    expect_none(fixture, there, LARDER_MISS);
}

static void a_write_must_make_sense(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_cache *cache = fixture->cache;
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_store(cache, (enum larder_mode)6, there, &write, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_store(cache, (enum larder_mode) - 1, there, &write, NULL));
    write.version = 5;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_store(cache, LARDER_SET, there, &write, NULL));
    write.version = 0;
    write.marks = 2;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_store(cache, LARDER_SET, there, &write, NULL));
    write.marks = LARDER_WRITE_ABSENT;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_store(cache, LARDER_SET, there, &write, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_count(cache, there, (enum larder_direction)2, 1, NULL, NULL));
    expect_none(fixture, there, LARDER_MISS);
}

static void an_unknown_want_is_a_bad_argument(struct fixture *fixture)
{
    struct larder_info info = {.want = 8};
    struct larder_value value = {.info.want = 0x80000000u};
    struct larder_slice there = key(fixture, "k");
    expect(fixture, LARDER_BAD_ARGUMENT, larder_read(fixture->cache, there, NULL, 0, &info));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_get(fixture->cache, there, &value));
    expect_number(fixture, 8, info.want);
}

static void want_is_kept_in_an_info_that_is_used_again(struct fixture *fixture)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_text(""), 0));
    for (unsigned i = 0; i < 3; i++) {
        enum larder_status status = larder_read(fixture->cache, there, NULL, 0, &info);
        expect(fixture, subject_is_null(fixture->subject) ? LARDER_MISS : LARDER_OK, status);
        expect_number(fixture, LARDER_WANT_VERSION, info.want);
        expect_that(fixture, status != LARDER_OK || info.version != 0);
    }
}

static void only_a_client_binds_namespaces(struct fixture *fixture)
{
    struct larder_cache *view = fixture->cache, *again = NULL;
    if (!subject_is_client(fixture->subject)) {
        expect(fixture, LARDER_BAD_ARGUMENT, larder_bind(fixture->cache, "main", &view));
        expect_that(fixture, view == NULL);
        return;
    }
    expect(fixture, LARDER_BAD_ARGUMENT, larder_bind(fixture->owner, "unknown", &view));
    expect_that(fixture, view == NULL);
    expect(fixture, LARDER_BAD_ARGUMENT, larder_bind(fixture->owner, "not a name", &view));
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, "sister", &view));
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, "sister", &again));
    expect_that(fixture, view == again);
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, NULL, &view));
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, "", &again));
    expect_that(fixture, view == again);
    expect(fixture, LARDER_OK, larder_bind(fixture->owner, "main", &again));
    expect_that(fixture, view == again);
    expect(fixture, LARDER_BAD_ARGUMENT, larder_bind(again, "sister", &view));
}

const struct contract_test argument_tests[] = {
    CONTRACT_TEST(a_null_cache_is_a_bad_argument),
    CONTRACT_TEST(a_null_output_is_a_bad_argument),
    CONTRACT_TEST(a_value_that_is_not_there_is_a_bad_argument),
    CONTRACT_TEST(a_write_must_make_sense),
    CONTRACT_TEST(an_unknown_want_is_a_bad_argument),
    CONTRACT_TEST(want_is_kept_in_an_info_that_is_used_again),
    CONTRACT_TEST(only_a_client_binds_namespaces),
    CONTRACT_TESTS_END,
};
