/* Options by table: defaults, a caller's struct of any age, units, bounds. */
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scripted_backend.h"

static struct scripted_options complete;
static char text[512];
static const struct larder_message message = {text, sizeof(text)};

static enum larder_status take(const void *given)
{
    memset(text, 0, sizeof(text));
    return larder__options_complete(&scripted_backend, given, &complete, &message);
}

static struct scripted_options defaults(void)
{
    assert_int_equal(take(NULL), LARDER_OK);
    return complete;
}

static void nothing_given_is_all_defaults(void **state)
{
    (void)state;
    memset(&complete, 0xff, sizeof(complete));
    assert_int_equal(take(NULL), LARDER_OK);
    assert_int_equal(complete.struct_size, sizeof(complete));
    assert_string_equal(complete.servers, "127.0.0.1");
    assert_int_equal(complete.room_bytes, 65536);
    assert_int_equal(complete.patience_ms, 15000);
    assert_int_equal(complete.hands, 4);
    assert_int_equal(complete.polite, 1);
    assert_string_equal(complete.mood, "calm");
    assert_null(complete.note);
    assert_null(complete.password);
}

static void what_is_given_replaces_the_default(void **state)
{
    struct scripted_options given = defaults();
    (void)state;
    given.hands = 64;
    given.mood = "busy";
    given.password = "env:SCRIPTED_PASSWORD";
    assert_int_equal(take(&given), LARDER_OK);
    assert_int_equal(complete.hands, 64);
    assert_string_equal(complete.mood, "busy");
    assert_string_equal(complete.password, "env:SCRIPTED_PASSWORD");
}

static void an_older_callers_struct_leaves_newer_fields_to_their_defaults(void **state)
{
    struct scripted_options given = defaults();
    (void)state;
    given.struct_size = offsetof(struct scripted_options, hands);
    given.patience_ms = 20;
    given.hands = 9;
    assert_int_equal(take(&given), LARDER_OK);
    assert_int_equal(complete.patience_ms, 20);
    assert_int_equal(complete.hands, 4);
    assert_int_equal(complete.struct_size, sizeof(complete));
}

static void a_newer_callers_struct_is_taken_while_its_tail_is_zero(void **state)
{
    struct {
        struct scripted_options known;
        uint64_t tail;
    } given = {defaults(), 0};
    (void)state;
    given.known.struct_size = sizeof(given);
    assert_int_equal(take(&given), LARDER_OK);
    given.tail = 1;
    assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "older than the program"));
}

static void a_struct_size_that_cannot_be_is_refused(void **state)
{
    const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 65537, SIZE_MAX};
    struct scripted_options given = defaults();
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        given.struct_size = sizes[i];
        assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    }
    given.struct_size = offsetof(struct scripted_options, hands) + 3;
    assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, " ends inside the field of hands"));
}

static void a_number_out_of_bounds_is_refused_with_the_bounds(void **state)
{
    struct scripted_options given = defaults();
    (void)state;
    given.patience_ms = 9;
    assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "patience: 9ms is too small; write 10ms to 1d");
    given.patience_ms = 86400001;
    assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "patience: 86400001ms is too large; write 10ms to 1d");
    given = defaults();
    given.polite = 2;
    assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "polite: 2 is too large; write on or off (1 or 0)");
}

static void a_text_outside_its_choices_is_refused_with_the_choices(void **state)
{
    const char *const moods[] = {"", "cal", "calmer", "calm|busy", "busy|", "|"};
    struct scripted_options given = defaults();
    (void)state;
    for (size_t i = 0; i < sizeof(moods) / sizeof(moods[0]); i++) {
        given.mood = moods[i];
        assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
        assert_non_null(strstr(text, "is no choice; write calm or busy"));
    }
}

static void a_null_text_is_the_default(void **state)
{
    struct scripted_options given = defaults();
    (void)state;
    given.mood = NULL;
    given.servers = NULL;
    assert_int_equal(take(&given), LARDER_OK);
    assert_string_equal(complete.mood, "calm");
    assert_string_equal(complete.servers, "127.0.0.1");
}

static void a_secret_written_out_is_refused_and_not_repeated(void **state)
{
    const char *const secrets[] = {"hunter2",      "env:",   "env:2hunter2", "env:hunter-2",
                                   "file:hunter2", "file:/", "ENV:hunter2"};
    struct scripted_options given = defaults();
    (void)state;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        given.password = secrets[i];
        assert_int_equal(take(&given), LARDER_BAD_ARGUMENT);
        assert_null(strstr(text, "hunter"));
        assert_non_null(strstr(text, "env:NAME or file:/absolute/path"));
    }
    given.password = "file:/etc/scripted/password";
    assert_int_equal(take(&given), LARDER_OK);
}

/* ---- texts --------------------------------------------------------------------------------- */

static enum larder_status read_text(const char *name, const char *value)
{
    struct larder__options options = {scripted_backend.options, scripted_backend.option_count};
    const struct larder_option *option = larder__option_find(options, name, strlen(name));
    assert_non_null(option);
    memset(text, 0, sizeof(text));
    return larder__option_read(option, value, &complete, &message);
}

static void sizes_are_powers_of_1024(void **state)
{
    const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"1024", 1024},      {"1k", 1024},       {"1K", 1024},
                {"64M", 64 << 20},   {"3G", 3221225472}, {"1T", UINT64_C(1) << 40},
                {"0000002048", 2048}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text("room", rows[i].text), LARDER_OK);
        assert_int_equal(complete.room_bytes, rows[i].bytes);
    }
}

static void durations_carry_their_unit(void **state)
{
    const struct {
        const char *text;
        uint64_t milliseconds;
    } rows[] = {{"10ms", 10}, {"60s", 60000}, {"2m", 120000}, {"3h", 10800000}, {"1d", 86400000}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text("patience", rows[i].text), LARDER_OK);
        assert_int_equal(complete.patience_ms, rows[i].milliseconds);
    }
}

static void zero_needs_no_unit(void **state)
{
    const struct larder_option *option =
        larder__option_find(larder__common_options, "max_ttl", strlen("max_ttl"));
    struct larder__common common;
    (void)state;
    larder__options_default(larder__common_options, &common);
    common.max_ttl_ms = 7;
    assert_int_equal(larder__option_read(option, "0", &common, &message), LARDER_OK);
    assert_int_equal(common.max_ttl_ms, 0);
}

static void a_bad_value_is_refused_with_what_would_be_right(void **state)
{
    const struct {
        const char *name, *value, *message;
    } rows[] = {
        {"patience", "60", "patience: '60' has no unit; write 60s or 60ms"},
        {"patience", "1.5s",
         "patience: '1.5s' has a fraction; write a whole number of a smaller unit"},
        {"patience", "5min",
         "patience: 'min' is no unit of time; write ms, s, m, h or d, as in 15s"},
        {"patience", "5S", "patience: 'S' is no unit of time; write ms, s, m, h or d, as in 15s"},
        {"patience", "", "patience has no value"},
        {"patience", "-1s", "patience: '-1s' is no whole number; write 10ms to 1d"},
        {"patience", " 1s", "patience: ' 1s' is no whole number; write 10ms to 1d"},
        {"patience", "9999999999999999d",
         "patience: '9999999999999999d' is more than 64 bits hold"},
        {"room", "64MB",
         "room: 'MB' is no unit of size; write k, M, G or T (powers of 1024), as in 64M"},
        {"room", "1kiB",
         "room: 'kiB' is no unit of size; write k, M, G or T (powers of 1024), as in 64M"},
        {"room", "18446744073709551616", "room: '18446744073709551616' is more than 64 bits hold"},
        {"room", "16777216T", "room: '16777216T' is more than 64 bits hold"},
        {"room", "1023", "room: 1023 is too small; write 1k to 1T"},
        {"hands", "65", "hands: 65 is too large; write 1 to 64"},
        {"hands", "4k", "hands: 'k' after the number; write a plain whole number"},
        {"hands", "0x4", "hands: 'x4' after the number; write a plain whole number"},
        {"polite", "yes", "polite: 'yes' is neither on nor off"},
        {"polite", "1", "polite: '1' is neither on nor off"},
        {"mood", "sad", "mood: 'sad' is no choice; write calm or busy"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scripted_options before = defaults();
        assert_int_equal(read_text(rows[i].name, rows[i].value), LARDER_BAD_ARGUMENT);
        assert_string_equal(text, rows[i].message);
        assert_memory_equal(&before, &complete, sizeof(before));
    }
}

static void a_number_is_told_in_its_largest_whole_unit(void **state)
{
    const struct {
        enum larder_option_type type;
        uint64_t number;
        const char *text;
    } rows[] = {
        {LARDER_OPTION_BYTES, 67108864, "64M"},
        {LARDER_OPTION_BYTES, 1536, "1536"},
        {LARDER_OPTION_BYTES, 0, "0"},
        {LARDER_OPTION_DURATION, 15000, "15s"},
        {LARDER_OPTION_DURATION, 1500, "1500ms"},
        {LARDER_OPTION_DURATION, 172800000, "2d"},
        {LARDER_OPTION_DURATION, 0, "0"},
        {LARDER_OPTION_COUNT, 86400000, "86400000"},
        {LARDER_OPTION_SWITCH, 1, "on"},
        {LARDER_OPTION_SWITCH, 0, "off"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        larder__option_format(rows[i].type, rows[i].number, text, sizeof(text));
        assert_string_equal(text, rows[i].text);
    }
}

static void choices_and_bounds_are_told_in_words(void **state)
{
    struct larder_option option = {.type = LARDER_OPTION_TEXT, .choices = "a|bc|d"};
    char range[64], cut[8];
    (void)state;
    larder__option_range(&option, range, sizeof(range));
    assert_string_equal(range, "a, bc or d");
    larder__option_range(&option, cut, sizeof(cut));
    assert_true(strlen(cut) < sizeof(cut));
    option = (struct larder_option){
        .type = LARDER_OPTION_BYTES, .smallest = 65536, .largest = UINT64_MAX / 2};
    larder__option_range(&option, range, sizeof(range));
    assert_string_equal(range, "64k or more");
}

static void joined_names_that_do_not_fit_end_in_dots(void **state)
{
    const char *const names[] = {"alpha", "beta", "gamma", "delta"};
    char joined[23];
    (void)state;
    larder__names_join(names, 4, joined, sizeof(joined));
    assert_string_equal(joined, "alpha, beta, ...");
    larder__names_join(names, 2, joined, sizeof(joined));
    assert_string_equal(joined, "alpha, beta");
    larder__names_join(names, 0, joined, sizeof(joined));
    assert_string_equal(joined, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_all_defaults),
        cmocka_unit_test(what_is_given_replaces_the_default),
        cmocka_unit_test(an_older_callers_struct_leaves_newer_fields_to_their_defaults),
        cmocka_unit_test(a_newer_callers_struct_is_taken_while_its_tail_is_zero),
        cmocka_unit_test(a_struct_size_that_cannot_be_is_refused),
        cmocka_unit_test(a_number_out_of_bounds_is_refused_with_the_bounds),
        cmocka_unit_test(a_text_outside_its_choices_is_refused_with_the_choices),
        cmocka_unit_test(a_null_text_is_the_default),
        cmocka_unit_test(a_secret_written_out_is_refused_and_not_repeated),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(durations_carry_their_unit),
        cmocka_unit_test(zero_needs_no_unit),
        cmocka_unit_test(a_bad_value_is_refused_with_what_would_be_right),
        cmocka_unit_test(a_number_is_told_in_its_largest_whole_unit),
        cmocka_unit_test(choices_and_bounds_are_told_in_words),
        cmocka_unit_test(joined_names_that_do_not_fit_end_in_dots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
