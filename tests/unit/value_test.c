/* Values: blocks that were released are kept for the next ones, within limits. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/thread.h>
#include <larder/util/value.h>

#include "sanitizer.h"

enum { KEPT_BYTES = 240, KEPT_BLOCKS = 16 };

static struct larder_value value_of(size_t length, char fill)
{
    struct larder_value value = {0};
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    memset(bytes, fill, length);
    assert_int_equal(larder_value_copy(&value, bytes, length), LARDER_OK);
    assert_int_equal(value.bytes.length, length);
    assert_non_null(value.bytes.data);
    assert_memory_equal(value.bytes.data, bytes, length);
    free(bytes);
    return value;
}

static int start(void **state)
{
    (void)state;
    assert_non_null(larder_thread());
    larder_values_trim();
    return 0;
}

static void any_length_is_copied_whole(void **state)
{
    struct larder_value value = {0}, other = {0};
    (void)state;
    for (size_t length = 0; length < 3 * KEPT_BYTES; length++) {
        value = value_of(length, 'a');
        other = value_of(length, 'b');
        assert_ptr_not_equal(value.owner, other.owner);
        const char *bytes = value.bytes.data; /* the second has left the first alone */
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], 'a');
        larder_value_release(&value);
        larder_value_release(&other);
    }
}

static void a_block_is_used_again_up_to_240_bytes(void **state)
{
    (void)state;
    if (HAS_ADDRESS_SANITIZER) {
        print_message("left out under AddressSanitizer, where no block is kept\n");
        skip();
    }
    for (size_t length = KEPT_BYTES - 1; length <= KEPT_BYTES + 1; length++) {
        larder_values_trim();
        struct larder_value value = value_of(length, 'a');
        const struct larder_owner *owner = value.owner;
        larder_value_release(&value);
        assert_int_equal(larder_thread()->kept_count, length <= KEPT_BYTES);
        value = value_of(1, 'b');
        if (length <= KEPT_BYTES)
            assert_ptr_equal(value.owner, owner);
        larder_value_release(&value);
    }
}

static uint32_t kept_after(uint32_t blocks)
{
    struct larder_value values[KEPT_BLOCKS + 1];
    larder_values_trim();
    for (uint32_t i = 0; i < blocks; i++)
        values[i] = value_of(100, (char)i);
    for (uint32_t i = 0; i < blocks; i++)
        larder_value_release(&values[i]);
    return larder_thread()->kept_count;
}

static void so_many_are_kept_and_no_more(void **state)
{
    (void)state;
    uint32_t most = HAS_ADDRESS_SANITIZER ? 0 : KEPT_BLOCKS;
    for (uint32_t blocks = KEPT_BLOCKS - 1; blocks <= KEPT_BLOCKS + 1; blocks++)
        assert_int_equal(kept_after(blocks), blocks < most ? blocks : most);
    larder_values_trim();
    assert_int_equal(larder_thread()->kept_count, 0);
    assert_null(larder_thread()->kept);
}

static void *release(void *value)
{
    larder_value_release(value);
    return NULL;
}

/* That has never called before, too. */
static void another_thread_may_release(void **state)
{
    pthread_t thread;
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct larder_value value = value_of(100, 'a');
        assert_int_equal(pthread_create(&thread, NULL, release, &value), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_null(value.owner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(any_length_is_copied_whole, start),
        cmocka_unit_test_setup(a_block_is_used_again_up_to_240_bytes, start),
        cmocka_unit_test_setup(so_many_are_kept_and_no_more, start),
        cmocka_unit_test_setup(another_thread_may_release, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
