/* Replies of the meta protocol: read whole, read in pieces, refused, and matched to requests. */
#include "support.h"

#include <stdlib.h>

#include <larder/util/meta_wire.h>

#define VALUE_MAX 1048576u

static struct larder_meta_reply reply;
static struct larder_slice value;
static size_t needed;

static enum larder_meta_parse parse(const char *text, size_t length)
{
    return larder_meta_parse(text, length, VALUE_MAX, &reply, &value, &needed);
}

static void read_whole(const char *text)
{
    assert_int_equal(parse(text, strlen(text)), LARDER_META_WHOLE);
    assert_int_equal(needed, strlen(text));
}

static void assert_broken(const char *text)
{
    if (parse(text, strlen(text)) != LARDER_META_BROKEN)
        fail_msg("\"%s\" is not refused", text);
}

/* ---- forms --------------------------------------------------------------------------------- */

/* Each is whole, and none is the start of another. */
static const struct {
    const char *text;
    enum larder_meta_code code;
} forms[] = {
    {"VA 2\r\nhi\r\n", LARDER_META_VA},
    {"VA 0 t30 c14 f0 W\r\n\r\n", LARDER_META_VA},
    {"VA 0 t29 c14 f0 Z\r\n\r\n", LARDER_META_VA},
    {"VA 2 t30 c10 X W\r\nhi\r\n", LARDER_META_VA},
    {"VA 2 t30 c10 Z X\r\nhi\r\n", LARDER_META_VA},
    {"VA 2 kk Oabc t90 c1 f30 s2 h0 l0\r\nhi\r\n", LARDER_META_VA},
    {"VA 4 t-1\r\n\r\n\r\n\r\n", LARDER_META_VA},
    {"VA 2 kaw== b\r\n\0\xff\r\n", LARDER_META_VA},
    {"HD\r\n", LARDER_META_HD},
    {"HD c18446744073709551615 kk Oabc\r\n", LARDER_META_HD},
    {"HD Z X\r\n", LARDER_META_HD},
    {"EN\r\n", LARDER_META_EN},
    {"EN kzz O1\r\n", LARDER_META_EN},
    {"NF c0 ka O1\r\n", LARDER_META_NF},
    {"NS c0 kn O3\r\n", LARDER_META_NS},
    {"EX c0\r\n", LARDER_META_EX},
    {"ME k exp=-90 la=0 cas=1 fetch=yes cls=1 size=66\r\n", LARDER_META_ME},
    {"MN\r\n", LARDER_META_MN},
    {"ERROR\r\n", LARDER_META_ERROR},
    {"ERROR Too many open connections\r\n", LARDER_META_ERROR},
    {"CLIENT_ERROR bad data chunk\r\n", LARDER_META_CLIENT_ERROR},
    {"SERVER_ERROR out of memory storing object\r\n", LARDER_META_SERVER_ERROR},
    {"VALUE n 0 2\r\n9 \r\n", LARDER_META_CLASSIC_VALUE},
    {"VALUE n 4294967295 2 6\r\n9 \r\n", LARDER_META_CLASSIC_VALUE},
    {"END\r\n", LARDER_META_CLASSIC_END},
    {"OK\r\n", LARDER_META_CLASSIC_OK},
    {"STORED\r\n", LARDER_META_CLASSIC_STORED},
    {"VERSION 1.6.18\r\n", LARDER_META_CLASSIC_VERSION},
    {"STAT item_size_max 1048576\r\n", LARDER_META_CLASSIC_STAT},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

/* One of them has a value with a NUL in it. */
static size_t form_length(size_t form)
{
    static const char binary[] = "VA 2 kaw== b\r\n\0\xff\r\n";
    return strncmp(forms[form].text, binary, 14) == 0 ? sizeof(binary) - 1
                                                      : strlen(forms[form].text);
}

static void each_form_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++) {
        assert_int_equal(parse(forms[i].text, form_length(i)), LARDER_META_WHOLE);
        assert_int_equal(reply.code, forms[i].code);
        assert_int_equal(needed, form_length(i));
    }
}

static void a_reply_cut_at_any_byte_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++)
        for (size_t length = 0; length < form_length(i); length++) {
            /* a block of just that size, so that a sanitizer sees one byte too many */
            char *cut = malloc(length + 1);
            assert_non_null(cut);
            memcpy(cut, forms[i].text, length);
            assert_int_equal(parse(cut, length), LARDER_META_MORE);
            assert_true(needed > length && needed <= form_length(i));
            free(cut);
        }
}

static void a_reply_is_read_with_another_behind_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++)
        for (size_t j = 0; j < FORMS; j++) {
            char both[256];
            size_t first = form_length(i), second = form_length(j);
            memcpy(both, forms[i].text, first);
            memcpy(both + first, forms[j].text, second);
            assert_int_equal(parse(both, first + second), LARDER_META_WHOLE);
            assert_int_equal(reply.code, forms[i].code);
            assert_int_equal(needed, first);
            assert_int_equal(parse(both + needed, second), LARDER_META_WHOLE);
            assert_int_equal(reply.code, forms[j].code);
        }
}

/* Whatever a byte becomes: no crash, and never a reply that is longer than what is there. */
static void any_corrupted_byte_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMS; i++)
        for (size_t position = 0; position < form_length(i); position++)
            for (unsigned byte = 0; byte < 256; byte++) {
                size_t length = form_length(i);
                char *text = malloc(length);
                assert_non_null(text);
                memcpy(text, forms[i].text, length);
                text[position] = (char)byte;
                enum larder_meta_parse outcome = parse(text, length);
                assert_true(outcome != LARDER_META_WHOLE || needed <= length);
                assert_true(outcome != LARDER_META_MORE || needed > length);
                free(text);
            }
}

/* ---- fields -------------------------------------------------------------------------------- */

static void each_flag_of_a_reply_is_taken(void **state)
{
    (void)state;
    read_whole(
        "VA 2 kkey Oabc t90 c18446744073709551615 f4294967295 s2 h1 l4294967295 W\r\nhi\r\n");
    assert_slice("key", reply.key);
    assert_slice("abc", reply.opaque);
    assert_slice("hi", value);
    assert_int_equal(reply.ttl_s, 90);
    assert_true(reply.version == UINT64_MAX);
    assert_int_equal(reply.client_flags, UINT32_MAX);
    assert_int_equal(reply.size, 2);
    assert_int_equal(reply.hit_before, 1);
    assert_int_equal(reply.access_s, UINT32_MAX);
    assert_int_equal(reply.marks, LARDER_META_WON);
    assert_int_equal(reply.present,
                     LARDER_META_FLAG_KEY | LARDER_META_FLAG_OPAQUE | LARDER_META_FLAG_RETURN_TTL |
                         LARDER_META_FLAG_RETURN_VERSION | LARDER_META_FLAG_RETURN_FLAGS |
                         LARDER_META_FLAG_RETURN_SIZE | LARDER_META_FLAG_RETURN_HIT |
                         LARDER_META_FLAG_RETURN_ACCESS);
    read_whole("HD t-1 Z X\r\n");
    assert_int_equal(reply.ttl_s, -1);
    assert_int_equal(reply.marks, LARDER_META_STALE | LARDER_META_LOST);
    read_whole("VA 0 kaw== b\r\n\r\n");
    assert_true((reply.present & LARDER_META_FLAG_BASE64) != 0);
    assert_slice("", value);
    assert_non_null(value.data);
}

static void classic_values_are_taken(void **state)
{
    (void)state;
    read_whole("VALUE key 7 2 18446744073709551615\r\nhi\r\n");
    assert_slice("key", reply.key);
    assert_int_equal(reply.client_flags, 7);
    assert_true(reply.version == UINT64_MAX);
    assert_int_equal(reply.present,
                     LARDER_META_FLAG_RETURN_FLAGS | LARDER_META_FLAG_RETURN_VERSION);
    read_whole("VALUE key 7 0\r\n\r\n");
    assert_int_equal(reply.present, LARDER_META_FLAG_RETURN_FLAGS);
    read_whole("STAT item_size_max 1048576\r\n");
    assert_slice("item_size_max 1048576", reply.text);
    read_whole("VERSION 1.6.18\r\n");
    assert_int_equal(larder_meta_parse_version(reply.text), 10618);
}

static void assert_cause(const char *text, enum larder_meta_cause cause, int in_step)
{
    read_whole(text);
    assert_int_equal(reply.cause, cause);
    assert_int_equal(larder_meta_in_step(&reply), in_step);
}

static void each_error_has_its_cause_and_its_fate(void **state)
{
    (void)state;
    assert_cause("HD\r\n", LARDER_META_NO_ERROR, 1);
    assert_cause("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
                 LARDER_META_NOT_A_NUMBER, 1);
    assert_cause("CLIENT_ERROR unauthenticated\r\n", LARDER_META_UNAUTHENTICATED, 0);
    assert_cause("CLIENT_ERROR authentication failure\r\n", LARDER_META_UNAUTHENTICATED, 0);
    assert_cause("CLIENT_ERROR bad command line format\r\n", LARDER_META_BAD_REQUEST, 0);
    assert_cause("CLIENT_ERROR\r\n", LARDER_META_BAD_REQUEST, 0);
    assert_cause("SERVER_ERROR object too large for cache\r\n", LARDER_META_OBJECT_TOO_LARGE, 1);
    assert_cause("SERVER_ERROR out of memory storing object\r\n", LARDER_META_OUT_OF_MEMORY, 1);
    assert_cause("SERVER_ERROR out of memory\r\n", LARDER_META_SERVER_FAILED, 0);
    assert_cause("SERVER_ERROR\r\n", LARDER_META_SERVER_FAILED, 0);
    assert_cause("ERROR\r\n", LARDER_META_BAD_COMMAND, 0);
    assert_cause("ERROR Too many open connections\r\n", LARDER_META_TOO_MANY_CONNECTIONS, 0);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void what_memcached_never_says_is_broken(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\r\n",
        "\n",
        "HD\n",
        "HDx\n",
        "MN \n",
        "hd\r\n",
        "H\r\n",
        "HDX\r\n",
        "HD \r\n",
        " HD\r\n",
        "HD  c1\r\n",
        "HD c1 \r\n",
        "HD\tc1\r\n",
        "HD c1\rc2\r\n",
        "XX\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "VA\r\n",
        "VA \r\n",
        "VA x\r\n",
        "VA -1\r\n",
        "VA +1\r\n",
        "VA 01\r\n",
        "VA 1e3\r\n",
        "VA 0x1\r\n",
        "VA 1,\r\n",
        "VA 18446744073709551616\r\n",
        "VA 99999999999999999999999\r\n",
        "VA 9223372036854775807\r\n",
        "VA 8589934592\r\n",
        "VA 1048577\r\n",
        "VA c1 2\r\n",
        "HD c\r\n",
        "HD c-1\r\n",
        "HD c18446744073709551616\r\n",
        "HD c007\r\n",
        "HD c1 c1\r\n",
        "HD f4294967296\r\n",
        "HD f-1\r\n",
        "HD t-2\r\n",
        "HD t4294967296\r\n",
        "HD t\r\n",
        "HD h2\r\n",
        "HD h\r\n",
        "HD l-1\r\n",
        "HD s4294967296\r\n",
        "HD k\r\n",
        "HD O\r\n",
        "HD O12345678901234567890123456789012\r\n",
        "HD WW\r\n",
        "HD W W\r\n",
        "HD b\r\n",
        "HD kaw= b\r\n",
        "HD kaw== bx\r\n",
        "HD y1\r\n",
        "HD 5\r\n",
        "HD =\r\n",
        "HD v\r\n",
        "MN 1\r\n",
        "MN \r\n",
        "ME\r\n",
        "ME  k\r\n",
        "END 1\r\n",
        "OK then\r\n",
        "STORED x\r\n",
        "VALUE\r\n",
        "VALUE k\r\n",
        "VALUE k 0\r\n",
        "VALUE k 0 -1\r\n",
        "VALUE k 0 2 3 4\r\n",
        "VALUE k 4294967296 2\r\n",
        "VALUE k 0 1048577\r\n",
        "VALUE  0 2\r\n",
        "VALUE k 0 2 x\r\n",
        "ERRORS\r\n",
        "CLIENT_ERROR bad\x01\r\n",
        "SERVER_ERROR \x7f\r\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_broken(lines[i]);
    assert_int_equal(parse("HD \0\r\n", 6), LARDER_META_BROKEN);
}

static void a_value_ends_where_its_length_says(void **state)
{
    (void)state;
    assert_broken("VA 2\r\nhiXX");
    assert_broken("VA 2\r\nhi\n\n");
    assert_broken("VA 2\r\nhi\rX");
    assert_broken("VA 1\r\nhi\r\n");
    assert_int_equal(parse("VA 3\r\nhi\r\n", 10), LARDER_META_MORE);
    assert_broken("VA 3\r\nhi\r\nHD\r\n");
}

static void a_value_has_the_limit_that_was_given(void **state)
{
    (void)state;
    static const char line[] = "VA 1073741824\r\n";
    assert_int_equal(larder_meta_parse_line("VA 9\r\n", 6, 8, &reply), LARDER_META_BROKEN);
    assert_int_equal(larder_meta_parse_line("VA 8\r\n", 6, 8, &reply), LARDER_META_WHOLE);
    assert_int_equal(larder_meta_parse_line("VA 7\r\n", 6, 8, &reply), LARDER_META_WHOLE);
    assert_int_equal(larder_meta_parse_line(line, sizeof(line) - 1, SIZE_MAX, &reply),
                     LARDER_META_WHOLE);
    assert_int_equal(reply.value_length, LARDER_META_VALUE_BYTES_MAX);
    assert_int_equal(larder_meta_parse_line("VA 1073741825\r\n", 15, SIZE_MAX, &reply),
                     LARDER_META_BROKEN);
}

static void a_line_has_a_limit(void **state)
{
    (void)state;
    static char text[LARDER_META_LINE_BYTES_MAX + 1];
    memset(text, 'e', sizeof(text));
    memcpy(text, "ERROR ", 6);
    assert_int_equal(parse(text, LARDER_META_LINE_BYTES_MAX - 1), LARDER_META_MORE);
    assert_int_equal(parse(text, LARDER_META_LINE_BYTES_MAX), LARDER_META_BROKEN);
    memcpy(text + LARDER_META_LINE_BYTES_MAX - 2, "\r\n", 2);
    assert_int_equal(parse(text, LARDER_META_LINE_BYTES_MAX), LARDER_META_WHOLE);
    memcpy(text + LARDER_META_LINE_BYTES_MAX - 2, "e\r\n", 3);
    assert_int_equal(parse(text, LARDER_META_LINE_BYTES_MAX + 1), LARDER_META_BROKEN);
}

static void keys_in_replies_have_a_limit(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'k', sizeof(text));
    memcpy(text, "HD k", 4);
    memcpy(text + 4 + 250, "\r\n", 2);
    assert_int_equal(parse(text, 256), LARDER_META_WHOLE);
    memcpy(text + 4 + 250, "k\r\n", 3);
    assert_int_equal(parse(text, 257), LARDER_META_BROKEN);
}

/* ---- matching ------------------------------------------------------------------------------ */

/* An answer is read as any line is, and then must fit. */
static void assert_read_alike(const char *text, const struct larder_meta_request *request)
{
    struct larder_meta_reply line, answer;
    for (size_t length = 0; length <= strlen(text); length++) {
        enum larder_meta_parse parsed = larder_meta_parse_line(text, length, VALUE_MAX, &line);
        if (parsed == LARDER_META_WHOLE && !larder_meta_fits(request, &line))
            parsed = LARDER_META_BROKEN;
        assert_int_equal(larder_meta_parse_answer(text, length, VALUE_MAX, request, &answer),
                         parsed);
        if (parsed == LARDER_META_WHOLE)
            assert_memory_equal(&answer, &line, sizeof(line));
    }
}

static int fits(const char *text, enum larder_meta_command command, uint32_t flags, const char *key)
{
    const struct larder_meta_request request = {
        .command = command, .flags = flags, .key = larder_text(key), .opaque = larder_text("7")};
    assert_int_equal(parse(text, strlen(text)), LARDER_META_WHOLE);
    int fit = larder_meta_fits(&request, &reply);
    if (command < LARDER_META_COMMANDS)
        assert_read_alike(text, &request);
    return fit;
}

#define FLAG(name) LARDER_META_FLAG_##name

static void codes_belong_to_commands(void **state)
{
    (void)state;
    static const char *const replies[] = {"HD\r\n", "EN\r\n",  "NF\r\n", "NS\r\n",    "EX\r\n",
                                          "MN\r\n", "END\r\n", "OK\r\n", "STORED\r\n"};
    static const char *const known[] = {
        [LARDER_META_GET] = "HD EN",       [LARDER_META_STORE] = "HD NF NS EX",
        [LARDER_META_DELETE] = "HD NF EX", [LARDER_META_COUNT] = "HD NF NS EX",
        [LARDER_META_DEBUG] = "EN",        [LARDER_META_NOOP] = "MN"};
    for (unsigned command = 0; command < LARDER_META_COMMANDS; command++)
        for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
            char code[8] = "";
            memcpy(code, replies[i], strlen(replies[i]) - 2);
            assert_int_equal(fits(replies[i], (enum larder_meta_command)command, 0, "k"),
                             strstr(known[command], code) != NULL);
        }
    assert_false(fits("HD\r\n", LARDER_META_COMMANDS, 0, "k"));
}

static void a_value_comes_when_it_was_asked_for_and_only_then(void **state)
{
    (void)state;
    assert_true(fits("VA 1\r\nx\r\n", LARDER_META_GET, FLAG(VALUE), "k"));
    assert_false(fits("VA 1\r\nx\r\n", LARDER_META_GET, 0, "k"));
    assert_false(fits("HD\r\n", LARDER_META_GET, FLAG(VALUE), "k"));
    assert_true(fits("VA 1\r\n5\r\n", LARDER_META_COUNT, FLAG(VALUE), "k"));
    assert_false(fits("HD\r\n", LARDER_META_COUNT, FLAG(VALUE), "k"));
    assert_false(fits("VA 1\r\n5\r\n", LARDER_META_STORE, 0, "k"));
    assert_false(fits("VALUE k 0 1\r\n5\r\n", LARDER_META_GET, FLAG(VALUE), "k"));
}

static void key_and_opaque_are_those_that_were_sent(void **state)
{
    (void)state;
    assert_true(fits("EN kk O7\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
    assert_false(fits("EN kk O8\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
    assert_false(fits("EN kj O7\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
    assert_false(fits("EN kk\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
    assert_false(fits("EN O7\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
    assert_false(fits("EN kk O7\r\n", LARDER_META_GET, FLAG(OPAQUE), "k"));
    assert_false(fits("EN\r\n", LARDER_META_GET, FLAG(OPAQUE), "k"));
    assert_true(fits("ERROR\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(OPAQUE), "k"));
}

/* Stored as text, asked for in base64, and the other way round: memcached tells the stored form. */
static void a_key_is_the_same_in_both_forms(void **state)
{
    (void)state;
    assert_true(fits("HD kaw== b\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(BASE64), "aw=="));
    assert_true(fits("HD kk\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(BASE64), "aw=="));
    assert_true(fits("HD kaw== b\r\n", LARDER_META_GET, FLAG(KEY), "k"));
    assert_true(fits("HD kPz4+Pw== b\r\n", LARDER_META_GET, FLAG(KEY), "?>>?"));
    assert_true(fits("HD kMA== b\r\n", LARDER_META_GET, FLAG(KEY), "0"));
    assert_true(fits("HD ka2tr b\r\n", LARDER_META_GET, FLAG(KEY), "kkk"));
    assert_true(fits("HD ka2s= b\r\n", LARDER_META_GET, FLAG(KEY), "kk"));
    assert_false(fits("HD ka2s= b\r\n", LARDER_META_GET, FLAG(KEY), "k"));
    assert_false(fits("HD kk\r\n", LARDER_META_GET, FLAG(KEY) | FLAG(BASE64), "a2s="));
    assert_false(fits("HD kaw==\r\n", LARDER_META_GET, FLAG(KEY), "k"));
}

static void all_that_was_asked_for_is_told_and_no_more(void **state)
{
    (void)state;
    uint32_t asked = FLAG(RETURN_TTL) | FLAG(RETURN_VERSION);
    assert_true(fits("HD t1 c2\r\n", LARDER_META_GET, asked, "k"));
    assert_false(fits("HD t1\r\n", LARDER_META_GET, asked, "k"));
    assert_false(fits("HD t1 c2 f0\r\n", LARDER_META_GET, asked, "k"));
    assert_true(fits("EN\r\n", LARDER_META_GET, asked, "k"));
    assert_true(fits("HD c2\r\n", LARDER_META_STORE, FLAG(RETURN_VERSION), "k"));
    assert_false(fits("HD\r\n", LARDER_META_STORE, FLAG(RETURN_VERSION), "k"));
    assert_true(fits("NS c0\r\n", LARDER_META_STORE, FLAG(RETURN_VERSION), "k"));
    assert_true(fits("NF\r\n", LARDER_META_COUNT, asked, "k"));
    assert_true(fits("HD\r\n", LARDER_META_DELETE, FLAG(RETURN_VERSION), "k"));
}

static void marks_come_with_hits_of_a_read_alone(void **state)
{
    (void)state;
    assert_true(fits("HD W\r\n", LARDER_META_GET, 0, "k"));
    assert_true(fits("HD X Z\r\n", LARDER_META_GET, 0, "k"));
    assert_false(fits("EN W\r\n", LARDER_META_GET, 0, "k"));
    assert_false(fits("HD W\r\n", LARDER_META_STORE, 0, "k"));
    assert_false(fits("HD X\r\n", LARDER_META_COUNT, 0, "k"));
}

static void debug_has_its_key(void **state)
{
    (void)state;
    assert_true(fits("ME k size=1\r\n", LARDER_META_DEBUG, 0, "k"));
    assert_false(fits("ME j size=1\r\n", LARDER_META_DEBUG, 0, "k"));
    assert_true(fits("ME k size=1\r\n", LARDER_META_DEBUG, FLAG(BASE64), "aw=="));
    assert_false(fits("EN kk\r\n", LARDER_META_DEBUG, 0, "k"));
}

static void an_answer_is_read_as_any_line(void **state)
{
    (void)state;
    const struct larder_meta_request request = {
        .command = LARDER_META_GET,
        .flags = FLAG(KEY) | FLAG(OPAQUE) | FLAG(RETURN_TTL) | FLAG(RETURN_VERSION) |
                 FLAG(RETURN_FLAGS) | FLAG(RETURN_SIZE) | FLAG(RETURN_HIT) | FLAG(RETURN_ACCESS) |
                 FLAG(VALUE),
        .key = larder_text("ab"),
        .opaque = larder_text("1f")};
    static const char *const texts[] = {
        "VA 2 kab O1f t9 c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t-1 c18446744073709551615 f4294967295 s4294967295 h0 l4294967295\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1 l3 W X\r\n",
        "VA 2 t9 kab O1f c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1 l3 \r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1  l3\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1 l3 l3\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h2 l3\r\n",
        "VA 2 kab O1f t9 c8 f4294967296 s2 h1 l3\r\n",
        "VA 2 kab O1f t9 c18446744073709551616 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t9 c08 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t-2 c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t-1x c8 f7 s2 h1 l3\r\n",
        "VA 2 kabc O1f t9 c8 f7 s2 h1 l3\r\n",
        "VA 2 ka O1f t9 c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1 t9 c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f0 t9 c8 f7 s2 h1 l3\r\n",
        "VA 1048577 kab O1f t9 c8 f7 s2 h1 l3\r\n",
        "VA  2 kab O1f t9 c8 f7 s2 h1 l3\r\n",
        "VAL 2 kab O1f t9 c8 f7 s2 h1 l3\r\n",
        "HD kab O1f t9 c8 f7 s2 h1 l3\r\n",
        "VA 2 kab O1f t9 c8 f7 s2 h1 l3\n",
        "VA\r\n",
        "V\r\n",
        "EN kab O1f\r\n",
        "EN\r\n",
        "SERVER_ERROR out of memory\r\n",
        "\r\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_read_alike(texts[i], &request);
}

/* ---- texts --------------------------------------------------------------------------------- */

static void a_debug_text_is_taken_apart(void **state)
{
    (void)state;
    struct larder_meta_debug debug;
    read_whole("ME k exp=-90 la=7 cas=18446744073709551615 fetch=yes cls=3 size=66\r\n");
    assert_slice("k", reply.key);
    assert_true(larder_meta_parse_debug(reply.text, &debug));
    assert_int_equal(debug.ttl_s, 90);
    assert_int_equal(debug.access_s, 7);
    assert_true(debug.version == UINT64_MAX);
    assert_int_equal(debug.fetched, 1);
    assert_int_equal(debug.slab, 3);
    assert_int_equal(debug.size, 66);
    assert_true(larder_meta_parse_debug(larder_text("exp=-1 fetch=no later=new"), &debug));
    assert_int_equal(debug.ttl_s, -1);
    assert_int_equal(debug.fetched, 0);
    static const char *const bad[] = {"",        "exp",    "exp=",        "exp=x",
                                      "exp=--1", "cas=-1", "size= 1",     "fetch=on",
                                      "la=1 ",   " la=1",  "la=1  cls=1", "cls=1 a b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(larder_meta_parse_debug(larder_text(bad[i]), &debug));
    assert_false(larder_meta_parse_debug(larder_bytes(NULL, 0), &debug));
}

static void versions_are_numbers(void **state)
{
    (void)state;
    assert_int_equal(larder_meta_parse_version(larder_bytes(NULL, 0)), 0);
    assert_int_equal(larder_meta_parse_version(larder_text("1.6.18")), 10618);
    assert_int_equal(larder_meta_parse_version(larder_text("1.6.9-beta")), 10609);
    assert_int_equal(larder_meta_parse_version(larder_text("2.0.0")), 20000);
    static const char *const bad[] = {"",     "1",     "1.6",   "1.6.",    "1.6.100", "1..6",
                                      ".1.6", "x.y.z", "1.6.x", "UNKNOWN", "1.6.1000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(larder_meta_parse_version(larder_text(bad[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(a_reply_cut_at_any_byte_asks_for_more),
        cmocka_unit_test(a_reply_is_read_with_another_behind_it),
        cmocka_unit_test(any_corrupted_byte_is_survived),
        cmocka_unit_test(each_flag_of_a_reply_is_taken),
        cmocka_unit_test(classic_values_are_taken),
        cmocka_unit_test(each_error_has_its_cause_and_its_fate),
        cmocka_unit_test(what_memcached_never_says_is_broken),
        cmocka_unit_test(a_value_ends_where_its_length_says),
        cmocka_unit_test(a_value_has_the_limit_that_was_given),
        cmocka_unit_test(a_line_has_a_limit),
        cmocka_unit_test(keys_in_replies_have_a_limit),
        cmocka_unit_test(codes_belong_to_commands),
        cmocka_unit_test(a_value_comes_when_it_was_asked_for_and_only_then),
        cmocka_unit_test(key_and_opaque_are_those_that_were_sent),
        cmocka_unit_test(a_key_is_the_same_in_both_forms),
        cmocka_unit_test(all_that_was_asked_for_is_told_and_no_more),
        cmocka_unit_test(marks_come_with_hits_of_a_read_alone),
        cmocka_unit_test(debug_has_its_key),
        cmocka_unit_test(an_answer_is_read_as_any_line),
        cmocka_unit_test(a_debug_text_is_taken_apart),
        cmocka_unit_test(versions_are_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
