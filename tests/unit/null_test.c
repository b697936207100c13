/* null: the table of its answers. */
#include <larder/null.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

extern const struct larder_backend larder_null_backend;

static void open_null(struct larder_scope *scope)
{
    struct larder_host host;
    memset(&host, 0, sizeof(host));
    memset(scope, 0, sizeof(*scope));
    scope->ops = larder_null_backend.ops;
    assert_int_equal(larder_null_backend.open(&host, NULL, NULL, &scope->self), LARDER_OK);
    assert_non_null(scope->self);
}

static void every_store_is_ok_and_has_a_version(void **state)
{
    struct larder_scope scope;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    (void)state;
    open_null(&scope);
    for (int mode = LARDER_SET; mode <= LARDER_CAS; mode++) {
        uint64_t version = 0;
        write.version = mode == LARDER_CAS ? 99 : 0;
        assert_int_equal(
            scope.ops->store(&scope, (enum larder_mode)mode, larder_text("k"), &write, &version),
            LARDER_OK);
        assert_int_not_equal(version, 0);
    }
    scope.ops->close(scope.self);
}

static void nothing_stored_is_ever_read(void **state)
{
    struct larder_scope scope;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_initial initial = {.value = 1};
    struct larder_value value;
    struct larder_slice key = larder_text("k");
    uint64_t version = 0, result = 0;
    char buffer[8];
    (void)state;
    memset(&value, 0, sizeof(value));
    open_null(&scope);
    assert_int_equal(scope.ops->store(&scope, LARDER_SET, key, &write, &version), LARDER_OK);
    assert_int_equal(scope.ops->read(&scope, key, buffer, sizeof(buffer), NULL), LARDER_MISS);
    assert_int_equal(scope.ops->get(&scope, key, &value), LARDER_MISS);
    assert_int_equal(scope.ops->touch(&scope, key, 5), LARDER_MISS);
    assert_int_equal(scope.ops->get_and_touch(&scope, key, 5, &value), LARDER_MISS);
    assert_null(value.owner);
    assert_int_equal(scope.ops->count(&scope, key, LARDER_UP, 1, NULL, &result), LARDER_MISS);
    assert_int_equal(scope.ops->count(&scope, key, LARDER_UP, 1, &initial, &result), LARDER_MISS);
    assert_int_equal(result, 0);
    assert_int_equal(scope.ops->remove(&scope, key, 0), LARDER_OK);
    assert_int_equal(scope.ops->remove(&scope, key, 7), LARDER_OK);
    assert_int_equal(scope.ops->flush(&scope), LARDER_OK);
    scope.ops->close(scope.self);
}

static void everybody_gets_the_lease(void **state)
{
    struct larder_scope scope;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_slice key = larder_text("k");
    (void)state;
    open_null(&scope);
    for (int i = 0; i < 3; i++) {
        struct larder_value value;
        struct larder_lease lease = {0, 0};
        memset(&value, 0, sizeof(value));
        assert_int_equal(scope.ops->lease_get(&scope, key, 1000, &value, &lease), LARDER_MISS);
        assert_int_not_equal(lease.token, 0);
        assert_int_equal(scope.ops->lease_fill(&scope, key, lease, &write), LARDER_OK);
        assert_int_equal(scope.ops->lease_return(&scope, key, lease), LARDER_OK);
    }
    scope.ops->close(scope.self);
}

static void there_are_no_keys(void **state)
{
    struct larder_scope scope;
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count = 9;
    (void)state;
    open_null(&scope);
    assert_int_equal(scope.ops->keys(&scope, &cursor, buffer, sizeof(buffer), keys, 1, &count),
                     LARDER_OK);
    assert_int_equal(count, 0);
    scope.ops->close(scope.self);
}

static void the_traits_say_that_nothing_is_kept(void **state)
{
    struct larder_scope scope;
    (void)state;
    open_null(&scope);
    const struct larder_traits *traits = scope.ops->traits(scope.self);
    assert_int_equal(traits->promises, LARDER_KEEPS_NOTHING | LARDER_NEVER_BLOCKS |
                                           LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE);
    assert_false(larder_can(traits, LARDER_CAN_WIRE_KEY));
    assert_true(larder_can(traits, LARDER_CAN_NAMESPACES | LARDER_CAN_LEASE | LARDER_CAN_CAS));
    scope.ops->close(scope.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_store_is_ok_and_has_a_version),
        cmocka_unit_test(nothing_stored_is_ever_read),
        cmocka_unit_test(everybody_gets_the_lease),
        cmocka_unit_test(there_are_no_keys),
        cmocka_unit_test(the_traits_say_that_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
