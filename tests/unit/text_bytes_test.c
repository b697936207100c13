/* Bytes that may stand in a line, eight at a time, beside one at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/text_bytes.h"

static int valid_one_by_one(const unsigned char *bytes, size_t length, unsigned least)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] < least || bytes[i] == 0x7f)
            return 0;
    return 1;
}

/* All of one byte but for one other. */
static void check_all(unsigned char most_bytes, unsigned least)
{
    unsigned char text[27];
    for (size_t length = 0; length <= 26; length++)
        for (size_t position = 0; position <= length; position++)
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, most_bytes, sizeof(text));
                text[position] = (unsigned char)byte; /* also just behind the end */
                assert_int_equal(larder__text_bytes_valid(text, length, least),
                                 valid_one_by_one(text, length, least));
            }
}

static void every_byte_in_every_position_of_every_length(void **state)
{
    (void)state;
    const unsigned char edges[] = {0x20, 0x21, 'k', 0x7e, 0x80, 0xff};
    for (size_t i = 0; i < sizeof(edges); i++) {
        check_all(edges[i], 0x20);
        check_all(edges[i], 0x21);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_in_every_position_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
