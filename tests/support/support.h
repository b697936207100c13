/* What every cmocka test starts with. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <larder/larder.h>
#include <larder/traits.h>

/** Compares statuses and names both. */
#define assert_status(expected, actual)                                                       \
    do {                                                                                      \
        enum larder_status expected_status = (expected), actual_status = (actual);            \
        if (expected_status != actual_status)                                                 \
            fail_msg("%s: expected %s, got %s", #actual, larder_status_name(expected_status), \
                     larder_status_name(actual_status));                                      \
    } while (0)

/** Compares a slice with a string. */
#define assert_slice(expected, slice)                                          \
    do {                                                                       \
        struct larder_slice actual_slice = (slice);                            \
        assert_int_equal(strlen(expected), actual_slice.length);               \
        assert_memory_equal(expected, actual_slice.data, actual_slice.length); \
    } while (0)

#endif
