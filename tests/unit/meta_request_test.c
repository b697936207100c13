/* Requests of the meta protocol: the bytes that go out, and what never does. */
#include "support.h"

#include <stdio.h>

#include <larder/util/meta_wire.h>

static char bytes[4096];
static struct larder_meta_output output;

static int start(void **state)
{
    (void)state;
    output = (struct larder_meta_output){bytes, sizeof(bytes), 0};
    memset(bytes, '#', sizeof(bytes));
    return 0;
}

static void assert_written(const char *expected)
{
    assert_int_equal(output.length, strlen(expected));
    assert_memory_equal(bytes, expected, output.length);
    assert_int_equal(bytes[output.length], '#');
    output.length = 0;
    memset(bytes, '#', sizeof(bytes));
}

static void assert_request(const char *expected, struct larder_meta_request request)
{
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
    assert_written(expected);
}

static void assert_refused(enum larder_status status, struct larder_meta_request request)
{
    assert_status(status, larder_meta_write(&output, &request));
    assert_int_equal(output.length, 0);
    assert_int_equal(bytes[0], '#');
}

static struct larder_meta_request request_of(enum larder_meta_command command, uint32_t flags)
{
    struct larder_meta_request request = {.command = command, .flags = flags};
    if (command != LARDER_META_NOOP)
        request.key = larder_text("k");
    return request;
}

/* ---- forms --------------------------------------------------------------------------------- */

static void each_command_has_its_form(void **state)
{
    (void)state;
    struct larder_meta_request store = request_of(LARDER_META_STORE, 0);
    store.value_length = 1048576;
    assert_request("mg k\r\n", request_of(LARDER_META_GET, 0));
    assert_request("ms k 1048576\r\n", store);
    assert_request("md k\r\n", request_of(LARDER_META_DELETE, 0));
    assert_request("ma k\r\n", request_of(LARDER_META_COUNT, 0));
    assert_request("me k\r\n", request_of(LARDER_META_DEBUG, 0));
    assert_request("mn\r\n", request_of(LARDER_META_NOOP, 0));
}

/* A request with every field of its own, whatever its flags. */
static struct larder_meta_request full_request(enum larder_meta_command command, uint32_t flags)
{
    struct larder_meta_request request = request_of(command, flags);
    if ((flags & LARDER_META_FLAG_BASE64) != 0 && command != LARDER_META_NOOP)
        request.key = larder_text("aw==");
    request.opaque = larder_text("op");
    request.hint_p = larder_text("/path");
    request.hint_l = larder_text("z");
    request.compare = 11;
    request.new_version = 12;
    request.delta = 13;
    request.initial = UINT64_MAX;
    request.set_flags = UINT32_MAX;
    request.recache_s = 14;
    request.ttl = INT32_MAX;
    request.vivify_ttl = INT32_MIN;
    request.mode = command == LARDER_META_COUNT ? '-' : 'S';
    return request;
}

static const struct {
    const char *text;
    unsigned commands;
    unsigned later;
} flags[] = {
    {" b", 0x1f, 0},
    {" q", 0xf, 0},
    {" k", 0xf, 0},
    {" Oop", 0xf, 0},
    {" R14", LARDER_META_G, 0},
    {" T2147483647", 0xf, 0},
    {" N-2147483648", LARDER_META_G | LARDER_META_A, LARDER_META_S},
    {" E12", 0, 0xf},
    {" C11", 0xf & ~LARDER_META_G, 0},
    {" F4294967295", LARDER_META_S, 0},
    {" I", LARDER_META_S | LARDER_META_D, 0},
    {" M", LARDER_META_S | LARDER_META_A, 0},
    {" D13", LARDER_META_A, 0},
    {" J18446744073709551615", LARDER_META_A, 0},
    {" t", LARDER_META_G | LARDER_META_A, 0},
    {" c", 0xf & ~LARDER_META_D, LARDER_META_D},
    {" f", LARDER_META_G, 0},
    {" s", LARDER_META_G, LARDER_META_S},
    {" h", LARDER_META_G, 0},
    {" l", LARDER_META_G, 0},
    {" v", LARDER_META_G | LARDER_META_A, 0},
    {" u", LARDER_META_G, 0},
    {" x", 0, LARDER_META_D},
    {" P/path", 0xf, 0},
    {" Lz", 0xf, 0},
};
enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };

/* I of ms needs C, T of md needs I. */
static uint32_t with_company(enum larder_meta_command command, uint32_t flag)
{
    if (command == LARDER_META_STORE && flag == LARDER_META_FLAG_INVALIDATE)
        return flag | LARDER_META_FLAG_COMPARE;
    if (command == LARDER_META_DELETE && flag == LARDER_META_FLAG_TTL)
        return flag | LARDER_META_FLAG_INVALIDATE;
    return flag;
}

static void expect_flag(enum larder_meta_command command, unsigned bit)
{
    static const char *const commands[] = {"mg", "ms", "md", "ma", "me", "mn"};
    uint32_t flag = UINT32_C(1) << bit;
    struct larder_meta_request request = full_request(command, with_company(command, flag));
    char expected[128];
    unsigned takes = flags[bit].commands | flags[bit].later;
    if ((takes >> command & 1) == 0) {
        assert_refused(LARDER_BAD_ARGUMENT, request);
        return;
    }
    snprintf(expected, sizeof(expected), "%s %s%s%s%s%s%s\r\n", commands[command],
             flag == LARDER_META_FLAG_BASE64 ? "aw==" : "k",
             command == LARDER_META_STORE ? " 0" : "",
             request.flags != flag && command == LARDER_META_STORE ? " C11" : "", flags[bit].text,
             flag == LARDER_META_FLAG_MODE ? command == LARDER_META_STORE ? "S" : "-" : "",
             request.flags != flag && command == LARDER_META_DELETE ? " I" : "");
    assert_request(expected, request);
    assert_int_equal(larder_meta_version_needed(&request) > 10618,
                     (flags[bit].later >> command & 1) != 0);
}

static void each_flag_goes_out_with_the_commands_that_have_it_and_no_other(void **state)
{
    (void)state;
    for (unsigned command = 0; command < LARDER_META_COMMANDS; command++)
        for (unsigned bit = 0; bit < FLAGS; bit++)
            expect_flag((enum larder_meta_command)command, bit);
    for (unsigned bit = FLAGS; bit < 32; bit++)
        assert_refused(LARDER_BAD_ARGUMENT, request_of(LARDER_META_GET, UINT32_C(1) << bit));
}

static void flags_go_out_in_the_order_in_which_memcached_must_read_them(void **state)
{
    (void)state;
    uint32_t read = LARDER_META_FLAG_VALUE | LARDER_META_FLAG_RETURN_TTL | LARDER_META_FLAG_VIVIFY |
                    LARDER_META_FLAG_TTL | LARDER_META_FLAG_RECACHE |
                    LARDER_META_FLAG_RETURN_VERSION | LARDER_META_FLAG_BASE64;
    assert_request("mg aw== b R14 T2147483647 N-2147483648 t c v\r\n",
                   full_request(LARDER_META_GET, read));
}

/* memcached tells what t stands for when it comes to it. */
static void the_ttl_that_was_is_asked_for_first(void **state)
{
    (void)state;
    struct larder_meta_request request =
        full_request(LARDER_META_GET, LARDER_META_FLAG_KEY | LARDER_META_FLAG_TTL |
                                          LARDER_META_FLAG_RETURN_TTL | LARDER_META_FLAG_VALUE);
    request.ttl_before = 1;
    assert_request("mg k t k T2147483647 v\r\n", request);
    request.flags &= ~(uint32_t)LARDER_META_FLAG_RETURN_TTL;
    assert_request("mg k k T2147483647 v\r\n", request);
    output.length = 0;
    request = full_request(LARDER_META_STORE, LARDER_META_FLAG_RETURN_TTL);
    request.ttl_before = 1;
    assert_status(LARDER_BAD_ARGUMENT, larder_meta_write(&output, &request));
}

static void a_later_version_is_told(void **state)
{
    (void)state;
    struct larder_meta_request request = request_of(LARDER_META_GET, LARDER_META_FLAG_VALUE);
    assert_int_equal(larder_meta_version_needed(&request), 10618);
    request = request_of(LARDER_META_STORE, LARDER_META_FLAG_RETURN_SIZE);
    assert_int_equal(larder_meta_version_needed(&request), 10620);
    request.flags |= LARDER_META_FLAG_NEW_VERSION;
    assert_int_equal(larder_meta_version_needed(&request), 10627);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void no_byte_of_a_key_or_a_token_can_end_the_line(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t position = 0; position < 9; position++) {
            char text[9];
            memset(text, 'k', sizeof(text));
            text[position] = (char)byte;
            struct larder_meta_request request = request_of(LARDER_META_GET, 0);
            request.key = larder_bytes(text, sizeof(text));
            int valid = byte > 0x20 && byte != 0x7f;
            assert_int_equal(larder_meta_key_valid(request.key), valid);
            assert_status(valid ? LARDER_OK : LARDER_BAD_KEY, larder_meta_write(&output, &request));
            output.length = 0;

            request = full_request(LARDER_META_GET, LARDER_META_FLAG_OPAQUE);
            request.opaque = larder_bytes(text, sizeof(text));
            valid = byte > 0x20 && byte < 0x7f;
            assert_status(valid ? LARDER_OK : LARDER_BAD_ARGUMENT,
                          larder_meta_write(&output, &request));
            request = full_request(LARDER_META_GET, LARDER_META_FLAG_HINT_P);
            request.hint_p = larder_bytes(text, sizeof(text));
            assert_status(valid ? LARDER_OK : LARDER_BAD_ARGUMENT,
                          larder_meta_write(&output, &request));
            request = full_request(LARDER_META_GET, LARDER_META_FLAG_HINT_L);
            request.hint_l = larder_bytes(text, sizeof(text));
            assert_status(valid ? LARDER_OK : LARDER_BAD_ARGUMENT,
                          larder_meta_write(&output, &request));
            output.length = 0;
        }
}

static void every_mode_but_those_of_the_command_is_refused(void **state)
{
    (void)state;
    for (int mode = -128; mode < 128; mode++) {
        struct larder_meta_request request = request_of(LARDER_META_STORE, LARDER_META_FLAG_MODE);
        request.mode = (char)mode;
        int stores = mode != 0 && strchr("EAPRS", mode) != NULL;
        assert_status(stores ? LARDER_OK : LARDER_BAD_ARGUMENT,
                      larder_meta_write(&output, &request));
        request = request_of(LARDER_META_COUNT, LARDER_META_FLAG_MODE);
        request.mode = (char)mode;
        int counts = mode != 0 && strchr("I+D-", mode) != NULL;
        assert_status(counts ? LARDER_OK : LARDER_BAD_ARGUMENT,
                      larder_meta_write(&output, &request));
        output.length = 0;
    }
}

static void lengths_have_limits(void **state)
{
    (void)state;
    char text[252];
    memset(text, 'a', sizeof(text));
    struct larder_meta_request request = request_of(LARDER_META_GET, 0);
    request.key = larder_bytes(text, 0);
    assert_refused(LARDER_BAD_KEY, request);
    request.key = larder_bytes(text, 251);
    assert_refused(LARDER_BAD_KEY, request);
    request.key = larder_bytes(text, 250);
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
    start(NULL);
    request = request_of(LARDER_META_NOOP, 0);
    request.key = larder_bytes(text, 1);
    assert_refused(LARDER_BAD_KEY, request);

    request = request_of(LARDER_META_GET, LARDER_META_FLAG_OPAQUE);
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request.opaque = larder_bytes(text, 32);
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request.opaque = larder_bytes(text, 31);
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
    start(NULL);

    request = request_of(LARDER_META_STORE, 0);
    request.value_length = (size_t)LARDER_META_VALUE_BYTES_MAX + 1;
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request.value_length = LARDER_META_VALUE_BYTES_MAX;
    assert_request("ms k 1073741824\r\n", request);
}

static void what_memcached_would_drop_or_misread_is_refused(void **state)
{
    (void)state;
    assert_refused(LARDER_BAD_ARGUMENT, request_of(LARDER_META_STORE, LARDER_META_FLAG_INVALIDATE));
    assert_refused(LARDER_BAD_ARGUMENT, request_of(LARDER_META_DELETE, LARDER_META_FLAG_TTL));
    struct larder_meta_request request = request_of(LARDER_META_GET, LARDER_META_FLAG_RECACHE);
    request.recache_s = -1;
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request = request_of(LARDER_META_COUNT, LARDER_META_FLAG_COMPARE); /* C0 compares nothing */
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request = request_of(LARDER_META_COMMANDS, 0);
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request = request_of((enum larder_meta_command)77, 0);
    assert_refused(LARDER_BAD_ARGUMENT, request);
}

static uint32_t all_flags_of(enum larder_meta_command command)
{
    uint32_t all = 0;
    for (unsigned bit = 0; bit < FLAGS; bit++)
        if (((flags[bit].commands | flags[bit].later) >> command & 1) != 0)
            all |= UINT32_C(1) << bit;
    return all;
}

static void so_many_flags_and_no_more(void **state)
{
    (void)state;
    struct larder_meta_request request =
        full_request(LARDER_META_GET, all_flags_of(LARDER_META_GET));
    assert_int_equal(__builtin_popcount(request.flags), LARDER_META_FLAGS_MAX + 1);
    assert_refused(LARDER_BAD_ARGUMENT, request);
    request.flags &= ~(uint32_t)LARDER_META_FLAG_HINT_P;
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
    start(NULL);
    request = full_request(LARDER_META_STORE, all_flags_of(LARDER_META_STORE));
    assert_int_equal(__builtin_popcount(request.flags), LARDER_META_STORE_FLAGS_MAX - 1);
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
}

/* The bound of the writer's own buffer: each command's longest line, flag limit or not. */
static void the_longest_line_fits_its_bound(void **state)
{
    (void)state;
    static const char base64[] = "AAAA";
    char key[248], token[31];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = base64[i % 4];
    memset(token, 't', sizeof(token));
    for (unsigned command = 0; command < LARDER_META_NOOP; command++) {
        struct larder_meta_request request = {
            .command = (enum larder_meta_command)command,
            .flags = all_flags_of((enum larder_meta_command)command),
            .key = larder_bytes(key, sizeof(key)),
            .value_length = command == LARDER_META_STORE ? LARDER_META_VALUE_BYTES_MAX : 0,
            .opaque = larder_bytes(token, sizeof(token)),
            .hint_p = larder_bytes(token, sizeof(token)),
            .hint_l = larder_bytes(token, sizeof(token)),
            .compare = UINT64_MAX,
            .new_version = UINT64_MAX,
            .delta = UINT64_MAX,
            .initial = UINT64_MAX,
            .set_flags = UINT32_MAX,
            .recache_s = INT32_MAX,
            .ttl = INT32_MIN,
            .vivify_ttl = INT32_MIN,
            .mode = command == LARDER_META_COUNT ? '+' : 'S',
        };
        if (command == LARDER_META_GET) /* one over the limit: u has no argument */
            request.flags &= ~(uint32_t)LARDER_META_FLAG_NO_BUMP;
        output.length = 0;
        assert_status(LARDER_OK, larder_meta_write(&output, &request));
        assert_true(output.length + 2 <= LARDER_META_REQUEST_BYTES_MAX); /* of a key of 250 */
    }
}

static void what_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    struct larder_meta_request request = request_of(LARDER_META_GET, LARDER_META_FLAG_VALUE);
    for (size_t size = 0; size < 8; size++) {
        output.size = size;
        assert_refused(LARDER_TOO_LARGE, request);
    }
    output.size = 8;
    assert_request("mg k v\r\n", request);
    output.size = 15;
    assert_status(LARDER_OK, larder_meta_write(&output, &request));
    assert_status(LARDER_TOO_LARGE, larder_meta_write(&output, &request));
    assert_written("mg k v\r\n");
}

/* ---- base64 and classic -------------------------------------------------------------------- */

static void base64_keys_are_canonical(void **state)
{
    (void)state;
    static const char *const good[] = {"aw==", "a2s=", "a2tr", "+/+/", "AA==", "//8="};
    static const char *const bad[] = {"",     "a",    "aw",   "aw=",  "aw===", "=aw=", "a=w=",
                                      "====", "a===", "az==", "a2t=", "a-_=",  "a w=", "aw==a2tr"};
    char text[252];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(larder_meta_base64_valid(larder_text(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(larder_meta_base64_valid(larder_text(bad[i])));
    memset(text, 'A', sizeof(text));
    assert_true(larder_meta_base64_valid(larder_bytes(text, 248)));
    assert_false(larder_meta_base64_valid(larder_bytes(text, 252)));
    struct larder_meta_request request = request_of(LARDER_META_GET, LARDER_META_FLAG_BASE64);
    request.key = larder_text("az==");
    assert_refused(LARDER_BAD_KEY, request);
}

static void classic_reads_are_one_line(void **state)
{
    (void)state;
    assert_status(LARDER_OK, larder_meta_write_get(&output, 1));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("a")));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("caf\xc3\xa9")));
    assert_status(LARDER_BAD_KEY, larder_meta_write_get_key(&output, larder_text("a b")));
    assert_status(LARDER_BAD_KEY, larder_meta_write_get_key(&output, larder_text("a\r\n")));
    assert_status(LARDER_BAD_KEY, larder_meta_write_get_key(&output, larder_text("")));
    assert_status(LARDER_OK, larder_meta_write_end(&output));
    assert_written("gets a caf\xc3\xa9\r\n");
    assert_status(LARDER_OK, larder_meta_write_get(&output, 0));
    output.size = 6;
    assert_status(LARDER_TOO_LARGE, larder_meta_write_get_key(&output, larder_text("abc")));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("ab")));
    assert_status(LARDER_TOO_LARGE, larder_meta_write_end(&output));
    assert_written("get ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_command_has_its_form, start),
        cmocka_unit_test_setup(each_flag_goes_out_with_the_commands_that_have_it_and_no_other,
                               start),
        cmocka_unit_test_setup(flags_go_out_in_the_order_in_which_memcached_must_read_them, start),
        cmocka_unit_test_setup(the_ttl_that_was_is_asked_for_first, start),
        cmocka_unit_test_setup(a_later_version_is_told, start),
        cmocka_unit_test_setup(no_byte_of_a_key_or_a_token_can_end_the_line, start),
        cmocka_unit_test_setup(every_mode_but_those_of_the_command_is_refused, start),
        cmocka_unit_test_setup(lengths_have_limits, start),
        cmocka_unit_test_setup(what_memcached_would_drop_or_misread_is_refused, start),
        cmocka_unit_test_setup(so_many_flags_and_no_more, start),
        cmocka_unit_test_setup(the_longest_line_fits_its_bound, start),
        cmocka_unit_test_setup(what_does_not_fit_is_not_begun, start),
        cmocka_unit_test_setup(base64_keys_are_canonical, start),
        cmocka_unit_test_setup(classic_reads_are_one_line, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
