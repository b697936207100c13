/* The ways by which the memory cache hashes and compares one key: what one of them stores the
 * others find. */
#include "support.h"

#include "handy.h"

enum { LEAST = 17, MOST = 32 };

static void fill(unsigned char bytes[MOST], unsigned seed)
{
    for (unsigned i = 0; i < MOST; i++)
        bytes[i] = (unsigned char)(larder_random() >> 8 ^ seed);
}

static void a_handy_key_has_the_hash_that_it_has_as_any_key(void **state)
{
    (void)state;
    struct hash_key key;
    unsigned char bytes[MOST];
    larder__hash_key_init(&key);
    for (unsigned round = 0; round < 1000; round++)
        for (size_t length = LEAST; length <= MOST; length++) {
            fill(bytes, round);
            struct handy handy = larder__handy_load(bytes, length);
            uint32_t space = round % 3;
            assert_true(larder__is_handy(length));
            assert_int_equal(larder__handy_hash(&key, handy, length, space),
                             larder__hash(&key, bytes, length, space));
        }
}

static void handy_keys_are_equal_when_each_byte_is(void **state)
{
    (void)state;
    unsigned char one[MOST], other[MOST];
    for (size_t length = LEAST; length <= MOST; length++)
        for (size_t place = 0; place < MOST; place++) {
            fill(one, 0);
            memcpy(other, one, sizeof(other));
            other[place] ^= 1;
            assert_int_equal(larder__handy_equal(larder__handy_load(one, length),
                                                 larder__handy_load(other, length)),
                             place >= length);
            assert_int_equal(larder__bytes_equal(one, other, length), place >= length);
        }
}

static void keys_of_other_lengths_are_not_handy(void **state)
{
    (void)state;
    const size_t lengths[] = {1, 15, 16, 33, 128, 65535};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        assert_false(larder__is_handy(lengths[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handy_key_has_the_hash_that_it_has_as_any_key),
        cmocka_unit_test(handy_keys_are_equal_when_each_byte_is),
        cmocka_unit_test(keys_of_other_lengths_are_not_handy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
