/* The published key format: docs/key-codec.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <larder/util/key_codec.h>

static char long_key[LARDER_BACKEND_KEY_BYTES_MAX];

static struct larder_slice repeated(char byte, size_t length)
{
    memset(long_key, byte, length);
    return larder_bytes(long_key, length);
}

static void assert_wire(struct larder_slice key, uint32_t flags, const char *expected)
{
    struct larder_wire_key wire;
    assert_int_equal(larder_key_encode(key, flags, &wire), LARDER_OK);
    assert_int_equal(wire.bytes.length, strlen(expected));
    assert_memory_equal(wire.bytes.data, expected, strlen(expected));
    assert_true(larder_wire_key_valid(wire.bytes));
}

static void assert_plain(struct larder_slice key, uint32_t flags)
{
    struct larder_wire_key wire;
    assert_int_equal(larder_key_encode(key, flags, &wire), LARDER_OK);
    assert_ptr_equal(wire.bytes.data, key.data);
    assert_int_equal(wire.bytes.length, key.length);
}

static size_t wire_length(struct larder_slice key, char *kind)
{
    struct larder_wire_key wire;
    assert_int_equal(larder_key_encode(key, 0, &wire), LARDER_OK);
    assert_true(larder_wire_key_valid(wire.bytes));
    *kind = ((const char *)wire.bytes.data)[0] == '~' ? ((const char *)wire.bytes.data)[1] : 'p';
    return wire.bytes.length;
}

static void the_published_vectors_hold(void **state)
{
    (void)state;
    assert_wire(larder_text("user:42"), 0, "user:42");
    assert_wire(larder_text("caf\xc3\xa9"), 0, "caf\xc3\xa9");
    assert_wire(larder_text(" "), 0, "~bIA");
    assert_wire(larder_text("two words"), 0, "~bdHdvIHdvcmRz");
    assert_wire(larder_text("a\r\nflush_all"), 0, "~bYQ0KZmx1c2hfYWxs");
    assert_wire(larder_bytes("\0", 1), 0, "~bAA");
    assert_wire(larder_text("\x7f"), 0, "~bfw");
    assert_wire(larder_text("~"), 0, "~bfg");
    assert_wire(larder_text("~bIA"), 0, "~bfmJJQQ");
    assert_wire(larder_text("\xff\xfe\xfd "), 0, "~b__79IA");
    assert_wire(repeated('a', 251), 0, "~hdy-RHdnWaSiXGI0LA_cY-1-9AgIND84TdPE1SjEgUCQ");
    assert_wire(repeated(' ', 187), 0, "~hwTDniEGkC6GHhBBmP58xayjbi45553pSviY22ni6uvw");
    assert_wire(repeated('x', 65535), 0, "~hCat0ldPmGnbw3rEssDBvBpbLsX_8EhMTaMepOfEvVtM");
    for (unsigned byte = 0; byte < 256; byte++)
        long_key[byte] = (char)byte;
    assert_wire(larder_bytes(long_key, 256), 0, "~hQK_y6dLYki5Hr9RkjmlnSXFYeF-9Hahw5xECZr-USIA");
}

static void every_byte_is_plain_or_encoded_in_every_position(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t position = 0; position < 4; position++) {
            char key[4] = {'k', 'k', 'k', 'k'};
            char kind;
            key[position] = (char)byte;
            int plain = byte > 0x20 && byte != 0x7f && !(byte == '~' && position == 0);
            wire_length(larder_bytes(key, sizeof(key)), &kind);
            assert_int_equal(kind, plain ? 'p' : 'b');
        }
}

static void lengths_choose_the_form(void **state)
{
    (void)state;
    char kind;
    assert_int_equal(wire_length(repeated('a', 1), &kind), 1);
    assert_int_equal(kind, 'p');
    assert_int_equal(wire_length(repeated('a', 250), &kind), 250);
    assert_int_equal(kind, 'p');
    assert_int_equal(wire_length(repeated('a', 251), &kind), 45);
    assert_int_equal(kind, 'h');
    assert_int_equal(wire_length(repeated(' ', 185), &kind), 249);
    assert_int_equal(kind, 'b');
    assert_int_equal(wire_length(repeated(' ', 186), &kind), 250);
    assert_int_equal(kind, 'b');
    assert_int_equal(wire_length(repeated(' ', 187), &kind), 45);
    assert_int_equal(kind, 'h');
    assert_int_equal(wire_length(repeated('x', sizeof(long_key)), &kind), 45);
    assert_int_equal(kind, 'h');
}

static void no_bytes_are_no_key(void **state)
{
    (void)state;
    struct larder_wire_key wire;
    assert_int_equal(larder_key_encode(larder_bytes("", 0), 0, &wire), LARDER_BAD_KEY);
}

static void keys_of_larders_own_go_out_as_they_are(void **state)
{
    (void)state;
    assert_plain(larder_text("~g:main"), LARDER_SCOPE_OWN_KEY);
    assert_wire(larder_text("~g:main"), 0, "~bfmc6bWFpbg");
    /* but never an unchecked byte */
    assert_wire(larder_text("~g: "), LARDER_SCOPE_OWN_KEY, "~bfmc6IA");
}

/* All keys of up to two bytes over the alphabet that is most likely to collide. */
static void different_keys_have_different_wire_keys(void **state)
{
    (void)state;
    static const char alphabet[] = {'~', 'b', 'h', 'I', 'A', ' ', '\0', '\x7f', '-', '_'};
    enum { LETTERS = sizeof(alphabet), KEYS = LETTERS + LETTERS * LETTERS };
    static char keys[KEYS][2];
    static struct larder_wire_key wires[KEYS];
    size_t count = 0;
    for (size_t i = 0; i < LETTERS; i++, count++) {
        keys[count][0] = alphabet[i];
        assert_int_equal(larder_key_encode(larder_bytes(keys[count], 1), 0, &wires[count]), 0);
    }
    for (size_t i = 0; i < LETTERS * LETTERS; i++, count++) {
        keys[count][0] = alphabet[i / LETTERS];
        keys[count][1] = alphabet[i % LETTERS];
        assert_int_equal(larder_key_encode(larder_bytes(keys[count], 2), 0, &wires[count]), 0);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(wires[i].bytes.length == wires[j].bytes.length &&
                         memcmp(wires[i].bytes.data, wires[j].bytes.data, wires[i].bytes.length) ==
                             0);
}

static void assert_tag(const char *key, const char *expected)
{
    struct larder_slice tag = larder_key_tag(larder_text(key));
    assert_int_equal(tag.length, strlen(expected));
    assert_memory_equal(tag.data, expected, tag.length);
}

static void a_tag_stands_between_braces(void **state)
{
    (void)state;
    assert_tag("a{user}b", "user");
    assert_tag("{user}", "user");
    assert_tag("{a}{b}", "a");
    assert_tag("{}x", "{}x");
    assert_tag("{open", "{open");
    assert_tag("}{", "}{");
    assert_tag("plain", "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_hold),
        cmocka_unit_test(every_byte_is_plain_or_encoded_in_every_position),
        cmocka_unit_test(lengths_choose_the_form),
        cmocka_unit_test(no_bytes_are_no_key),
        cmocka_unit_test(keys_of_larders_own_go_out_as_they_are),
        cmocka_unit_test(different_keys_have_different_wire_keys),
        cmocka_unit_test(a_tag_stands_between_braces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
