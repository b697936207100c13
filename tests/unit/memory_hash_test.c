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

/* As hit.c makes it for each width. */
static void expect_same_hash(const struct hash_key *key, const unsigned char *bytes, size_t length,
                             uint32_t space)
{
    struct handy handy = larder__handy_load(bytes, length);
    uint64_t hash = larder__hash(key, bytes, length, space);
    assert_true(larder__is_handy(length));
    if (key->width == NARROW)
        assert_int_equal(larder__handy_hash(key, handy, length, space), hash);
    else
        assert_int_equal(larder__hash_wide(key, bytes, length, space), hash);
}

static void a_handy_key_has_the_hash_that_it_has_as_any_key(void **state)
{
    (void)state;
    struct hash_key key;
    unsigned char bytes[MOST];
    larder__hash_key_init(&key);
    for (enum width width = NARROW; width <= larder__width(); width++)
        for (unsigned round = 0; round < 1000; round++)
            for (size_t length = LEAST; length <= MOST; length++) {
                key.width = width;
                fill(bytes, round);
                expect_same_hash(&key, bytes, length, round % 3);
            }
}

/* Whoever chooses keys knows the lengths of theirs, and which namespaces there are. */
static void lengths_and_namespaces_are_not_to_be_undone(void **state)
{
    (void)state;
    struct hash_key key;
    unsigned char plain[MOST] = {0}, undone[MOST];
    larder__hash_key_init(&key);
    for (enum width width = NARROW; width <= larder__width(); width++)
        for (uint32_t space = 0; space < 100; space++)
            for (size_t length = LEAST; length < MOST; length++) {
                uint64_t difference = (uint64_t)space << 32 | (length ^ MOST);
                key.width = width;
                memcpy(undone, plain, MOST);
                memcpy(undone, &difference, sizeof(difference));
                assert_int_not_equal(larder__hash(&key, undone, length, space),
                                     larder__hash(&key, plain, MOST, 0));
            }
}

/* What a round of AES makes of a difference in its first byte is one of 255. */
static void a_length_is_not_to_be_undone_by_the_last_half(void **state)
{
    (void)state;
    struct hash_key key;
    unsigned char shorter[MOST] = {0};
    larder__hash_key_init(&key);
    uint64_t hash = larder__hash(&key, shorter, MOST - 1, 0);
    for (unsigned byte = 1; byte < 256; byte++) {
        unsigned char longer[MOST] = {0};
        unsigned twice = byte << 1 ^ (byte > 127 ? 0x11b : 0);
        const unsigned char column[4] = {(unsigned char)twice, (unsigned char)byte,
                                         (unsigned char)byte, (unsigned char)(twice ^ byte)};
        memcpy(longer + 16, column, sizeof(column));
        assert_int_not_equal(larder__hash(&key, longer, MOST, 0), hash);
    }
}

#define KEYS 65536u

/* How many of the buckets that they would have at one key each stay empty: of random ones a
 * e^-1th. */
static double empty_share(const struct hash_key *key, void make(unsigned char *bytes, uint32_t i),
                          unsigned shift)
{
    static unsigned char taken[KEYS];
    unsigned char bytes[MOST];
    unsigned empty = 0;
    memset(taken, 0, sizeof(taken));
    for (uint32_t i = 0; i < KEYS; i++) {
        make(bytes, i);
        taken[larder__hash(key, bytes, MOST, 0) >> shift & (KEYS - 1)] = 1;
    }
    for (uint32_t i = 0; i < KEYS; i++)
        empty += taken[i] == 0;
    return (double)empty / KEYS;
}

static void count_up_in_text(unsigned char *bytes, uint32_t i)
{
    memset(bytes, 'k', MOST);
    for (int place = MOST - 1; i > 0; i /= 10)
        bytes[place--] = (unsigned char)('0' + i % 10);
}

static void count_up_in_words(unsigned char *bytes, uint32_t i)
{
    for (int place = 0; place < MOST; place += 4)
        memcpy(bytes + place, &i, sizeof(i));
}

static void one_bit_in_every_other_byte(unsigned char *bytes, uint32_t i)
{
    memset(bytes, 0, MOST);
    for (unsigned bit = 0; bit < 16; bit++)
        bytes[2 * bit] = (unsigned char)((i >> bit & 1) << bit % 8);
}

/* A byte of each half: what a hash that adds up its halves too early is bad at. */
static void a_byte_of_each_half(unsigned char *bytes, uint32_t i)
{
    memset(bytes, 0, MOST);
    bytes[5] = (unsigned char)i;
    bytes[16 + 5] = (unsigned char)(i >> 8);
}

static void keys_that_are_alike_spread_as_random_ones(void **state)
{
    (void)state;
    void (*makers[])(unsigned char *, uint32_t) = {
        count_up_in_text, count_up_in_words, one_bit_in_every_other_byte, a_byte_of_each_half};
    struct hash_key key;
    larder__hash_key_init(&key);
    for (enum width width = NARROW; width <= larder__width(); width++)
        for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
            for (unsigned shift = 0; shift <= 48; shift += 8) {
                key.width = width;
                double share = empty_share(&key, makers[i], shift);
                assert_true(share > 0.36 && share < 0.376); /* 0.3679, a deviation is 0.001 */
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
        cmocka_unit_test(lengths_and_namespaces_are_not_to_be_undone),
        cmocka_unit_test(a_length_is_not_to_be_undone_by_the_last_half),
        cmocka_unit_test(keys_that_are_alike_spread_as_random_ones),
        cmocka_unit_test(handy_keys_are_equal_when_each_byte_is),
        cmocka_unit_test(keys_of_other_lengths_are_not_handy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
