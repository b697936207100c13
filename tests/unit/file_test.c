/* Configuration files: what they open, where they are wrong, and that nothing is left behind. */
#include "file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <larder/util/message.h>

#include "handle.h"
#include "mutation.h"
#include "scripted_backend.h"

static char text[1024];
static const struct larder_message message = {text, sizeof(text)};
static char directory[] = "/tmp/larder-file-test-XXXXXX";
static char path[64];

/* ---- failing allocations ------------------------------------------------------------------- */

static int allocations_left = -1; /* -1: any number */

static int may_allocate(void)
{
    if (allocations_left < 0)
        return 1;
    if (allocations_left == 0)
        return 0;
    allocations_left--;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    return may_allocate() ? __real_realloc(block, size) : NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Reads and opens a file's bytes without a file. */
static enum larder_status open_bytes(const char *bytes, size_t length, struct larder_cache **client)
{
    struct larder__config config = {0};
    text[0] = '\0';
    *client = NULL;
    enum larder_status status = larder__config_read("f.conf", bytes, length, &config, &message);
    if (status == LARDER_OK)
        status = larder__config_open(&config, NULL, client, &message);
    larder__config_clean_up(&config);
    return status;
}

static struct larder_cache *open_text(const char *bytes)
{
    struct larder_cache *client = NULL;
    scripted_reset();
    enum larder_status status = open_bytes(bytes, strlen(bytes), &client);
    if (status != LARDER_OK)
        print_error("%s\n", text);
    assert_int_equal(status, LARDER_OK);
    assert_non_null(client);
    return client;
}

static void close_all(struct larder_cache *client)
{
    larder_close(client);
    assert_int_equal(scripted.opened, scripted.closed);
}

static struct larder_cache *bind(struct larder_cache *client, const char *name)
{
    struct larder_cache *view = NULL;
    assert_int_equal(larder_bind(client, name, &view), LARDER_OK);
    return view;
}

static void write_file(const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* ---- what is right ------------------------------------------------------------------------- */

static void a_file_opens_as_a_client(void **state)
{
    const char bytes[] = "[hot]\nuri = memory:?max_bytes=1M\n"
                         "[namespaces]\nmain = @hot\nfunds = null:\n";
    struct larder_cache *client = NULL, *view = NULL;
    (void)state;
    write_file(bytes, sizeof(bytes) - 1);
    memset(text, 'x', sizeof(text));
    assert_int_equal(larder_open_file(path, NULL, &client, text, sizeof(text)), LARDER_OK);
    assert_string_equal(text, "");
    assert_ptr_equal(bind(client, NULL), bind(client, "main"));
    assert_ptr_not_equal(bind(client, "funds"), bind(client, "main"));
    assert_int_equal(larder_bind(client, "other", &view), LARDER_BAD_ARGUMENT);
    larder_close(client);
}

static void options_may_be_lines(void **state)
{
    (void)state;
    close_all(open_text("[a]\npatience = 2m\nmood = busy\nuri = scripted://h1,h2/?hands=9\n"
                        "note = 100% a&b ?\npassword = file:/etc/a password\n"
                        "[namespaces]\nmain = @a\n"));
    assert_string_equal(scripted.servers, "h1,h2");
    assert_int_equal(scripted.hands, 9);
    assert_int_equal(scripted.patience_ms, 120000);
    assert_string_equal(scripted.mood, "busy");
    assert_string_equal(scripted.note, "100% a&b ?"); /* a line is not percent-decoded */
    assert_string_equal(scripted.password, "file:/etc/a password");
}

static void a_long_value_goes_on_in_indented_lines(void **state)
{
    (void)state;
    close_all(open_text("[a]\nuri = scripted:\n    //h1,\n\th2 ; the second\n\n  # between\n"
                        "    ?hands=9\n     &mood=busy\n"
                        "[b]\nuri = scripted:--SERVER=a\n  --SERVER=b/?2\n"
                        "[namespaces]\nmain = @a\nother = @b\n  default_ttl=5s\n"));
    assert_string_equal(scripted.servers, "--SERVER=a --SERVER=b/?2");
    close_all(open_text("[a]\nuri = scripted:\n    //h1,\n\th2 ; the second\n\n  # between\n"
                        "    ?hands=9\n     &mood=busy\n[namespaces]\nmain = @a\n"));
    assert_string_equal(scripted.servers, "h1,h2");
    assert_int_equal(scripted.hands, 9);
    assert_string_equal(scripted.mood, "busy");
}

static void namespaces_of_one_section_share_its_cache(void **state)
{
    (void)state;
    struct larder_cache *client = open_text("[a]\nuri = scripted:\n[role]\nuri = @a\n"
                                            "[namespaces]\nmain = @a\none = @a\ntwo = @role\n"
                                            "* = scripted:\n");
    assert_int_equal(scripted.opened, 2); /* [a], and that of '*' */
    assert_ptr_not_equal(bind(client, "anything"), bind(client, "one"));
    close_all(client);
}

static void the_default_ttl_nearest_to_a_namespace_holds_and_the_least_maximum(void **state)
{
    (void)state;
    struct larder_cache *client =
        open_text("[client]\ndefault_ttl = 1m\nmax_ttl = 1h\n"
                  "[a]\nuri = null:?default_ttl=2m&max_ttl=2h\n[b]\nuri = null:\nmax_ttl = 30m\n"
                  "[namespaces]\nmain = @a\none = @b\ntwo = @b default_ttl=3m max_ttl=4m\n"
                  "three = @b\tmax_ttl=40m  default_ttl=0\n");
    assert_int_equal(larder__target(bind(client, "main"))->ttl.default_ms, 2 * 60000);
    assert_int_equal(larder__target(bind(client, "main"))->ttl.max_ms, 60 * 60000);
    assert_int_equal(larder__target(bind(client, "one"))->ttl.default_ms, 60000);
    assert_int_equal(larder__target(bind(client, "one"))->ttl.max_ms, 30 * 60000);
    assert_int_equal(larder__target(bind(client, "two"))->ttl.default_ms, 3 * 60000);
    assert_int_equal(larder__target(bind(client, "two"))->ttl.max_ms, 4 * 60000);
    assert_int_equal(larder__target(bind(client, "three"))->ttl.default_ms, 0);
    assert_int_equal(larder__target(bind(client, "three"))->ttl.max_ms, 30 * 60000);
    larder_close(client);
}

static void errors_may_be_misses_for_the_client(void **state)
{
    char buffer[8];
    (void)state;
    struct larder_cache *client = open_text("[client]\nerrors = miss\ndefault_namespace = a\n"
                                            "generation = off\nnamespace_poll = 50ms\n"
                                            "[namespaces]\na = scripted:\n");
    assert_int_equal(larder_read(bind(client, "a"), larder_text("k"), buffer, sizeof(buffer), NULL),
                     LARDER_MISS);
    close_all(client);
}

static void a_file_may_come_from_windows(void **state)
{
    const char bytes[] = "\xef\xbb\xbf[namespaces]\r\nmain = null:\r\n\r\n  default_ttl=5m\r";
    (void)state;
    larder_close(open_text(bytes));
}

/* ---- what is wrong ------------------------------------------------------------------------- */

#define MAP "[namespaces]\nmain = @a\n"
#define LAYER_OPTIONS "tracker, tracker_keys, tracker_settle, gutter, gutter_ttl"

static const struct wrong_file {
    const char *bytes, *message;
} wrong_files[] = {
    /* syntax */
    {"", "1:1: no section [namespaces]; write one that maps names to caches, as in main = "
         "memory:"},
    {"[Namespaces]\nmain = null:\n",
     "1:2: no section [namespaces]; did you mean it by [Namespaces]?"},
    {"[namespace]\nmain = null:\n",
     "1:2: no section [namespaces]; did you mean it by [namespace]?"},
    {"[namespace]\nuri = null:\n",
     "1:1: no section [namespaces]; write one that maps names to caches, as in main = "
     "memory:"},
    {"a = 1\n", "1:1: a value before the first section; write [name] above it"},
    {"[a]\nnothing\n", "2:1: neither [section] nor name = value"},
    {"[a]\nuri: null:\n", "2:1: a name ends with '='; write uri = ..."},
    {"[a]\nu ri = null:\n", "2:1: 'u ri' is no name; names are 1 to 32 letters, digits, _ and -"},
    {"[a]\n = null:\n", "2:2: an indented line continues a value, and there is none before; "
                        "begin at the start of the line"},
    {"[a]\nuri = null:\n max_ttl = 5s\n", "3:2: an indented line continues the value of uri; "
                                          "begin at the start of the line"},
    {"[a]\nuri = null:\n [b]\n", "3:2: an indented line continues the value of uri; begin at the "
                                 "start of the line"},
    {"[a\n", "1:2: a section's name is made of letters, digits, _ and -, and closed: [name]"},
    {"[]\n", "1:2: a section's name is made of letters, digits, _ and -, and closed: [name]"},
    {"[a] b\n", "1:4: ' b' after [a]; a section's line has nothing else on it"},
    {"[abcdefghijklmnopqrstuvwxyz0123456]\n", "1:2: a section's name of 33 bytes; at most 32"},
    {"[a]\nuri = null:\n[b]\nuri = null:\n[a]\n",
     "5:2: [a] is there a second time; the first is in line 1"},
    {"[a]\nuri = null:\nuri = null:\n", "3:1: uri is there a second time; the first is in line 2"},
    /* caches */
    {"[a]\n" MAP, "1:2: [a] has no uri; write one as in uri = memory:?max_bytes=64M"},
    {"[Client]\nmax_ttl = 5s\n[a]\nuri = null:\n" MAP,
     "1:2: [Client] has no uri; did you mean [client]?"},
    {"[name-spaces]\nmain = @a\n[a]\nuri = null:\n" MAP,
     "1:2: [name-spaces] has no uri; did you mean [namespaces]?"},
    {"[b]\nuri = a\n[a]\nuri = null:\n[namespaces]\nmain = @b\n",
     "2:7: no ':' after the scheme; did you mean @a?"},
    {"[a]\nuri =\n" MAP, "2:6: an empty URI; write one as in memory:?max_bytes=64M"},
    {"[a]\nuri = null:?error=miss\n" MAP,
     "2:13: null has no option 'error' (did you mean errors?); it has default_ttl, max_ttl, "
     "errors, " LAYER_OPTIONS},
    {"[a]\nuri = null:\n  ?max_ttl=\n  5x\n" MAP,
     "4:3: max_ttl: 'x' is no unit of time; write ms, s, m, h or d, as in 15s"},
    {"[a]\nuri = null: # comment\n" MAP,
     "2:12: a space in a URI; '#' begins no comment within a line, write ' ;'"},
    {"[a]\nuri = null: x\n" MAP, "2:12: a space in a URI; write %20"},
    {"[a]\nuri = null:\nmax_ttl = 5s # five\n" MAP,
     "3:14: max_ttl: '#' begins no comment within a line, write ' ;'"},
    {"[a]\nuri = null:\nmax_tll = 5s\n" MAP,
     "3:1: null has no option 'max_tll' (did you mean max_ttl?); it has default_ttl, max_ttl, "
     "errors, " LAYER_OPTIONS},
    {"[a]\nuri = null:?max_ttl=5s\nmax_ttl = 5s\n" MAP,
     "3:11: max_ttl is given a second time; once is right"},
    {"[a]\nuri = null:\nerrors = miss\n" MAP,
     "3:10: errors=miss on a cache that namespaces go to; write errors = miss in [client]"},
    {"[namespaces]\nmain = null:?errors=miss\n",
     "2:21: errors=miss on a cache that namespaces go to; write errors = miss in [client]"},
    /* references */
    {"[spool]\nuri = null:\n[namespaces]\nmain = @pool\n",
     "4:8: there is no section [pool]; did you mean @spool?"},
    {"[namespaces]\nmain = @pool\n", "2:8: there is no section [pool]; write one with its uri"},
    {"[a]\nuri = null:\n[b]\nuri = null:\n" MAP,
     "3:2: nothing refers to [b]; name @b in [namespaces], or remove it"},
    {"[a]\nuri = @a\n" MAP, "2:7: [a] refers to itself by way of @a; one of them needs a URI"},
    {"[a]\nuri = @b\n[b]\nuri = @c\n[c]\nuri = @a\n" MAP,
     "2:7: [a] refers to itself by way of @b; one of them needs a URI"},
    {"[a]\nuri = @b\nmax_ttl = 5s\n[b]\nuri = null:\n" MAP,
     "3:1: [a] stands for another section, which has the options; write max_ttl there"},
    {"[a]\nuri = @namespaces\n" MAP,
     "2:7: there is no section [namespaces]; write one with its uri"},
    {"[hot]\nuri = null:\n[namespaces]\nmain = hot\n",
     "4:8: no ':' after the scheme; did you mean @hot?"},
    {"[namespaces]\nmain = hot\n",
     "2:11: no ':' after the scheme; write a URI as in memory:?max_bytes=64M"},
    {"[namespaces]\nmain = caches.conf\n",
     "2:19: no ':' after the scheme; write a URI as in memory:?max_bytes=64M"},
    /* the map */
    {"[hot]\nuri = null:\n[namespaces]\nmain = @hot, default_ttl=5m\n",
     "4:12: no comma here; a space stands between words"},
    {"[hot]\nuri = null:\n[namespaces]\nmain = @hot,default_ttl=5m\n",
     "4:12: no comma here; a space stands between words"},
    {"[namespaces]\nmain = null:, default_ttl=5m\n",
     "2:13: no comma here; a space stands between words"},
    {"[namespaces]\nmain = null: default_ttl=5m, max_ttl=5m\n",
     "2:28: no comma here; a space stands between words"},
    {"[namespaces]\nmain = null: default_ttl=5m,\n",
     "2:28: no comma here; a space stands between words"},
    {"[namespaces]\nmain = null: # off\n", "2:14: '#' begins no comment within a line, write ' ;'"},
    {"[namespaces]\nfunds = null:\n", "1:2: [namespaces] lacks the default namespace main; write "
                                      "main = ... there, or default_namespace = ... in [client]"},
    {"[client]\ndefault_namespace = fund\n[namespaces]\nfunds = null:\n",
     "2:21: [namespaces] lacks the default namespace fund; write fund = ... there, or "
     "default_namespace = ... in [client]"},
    {"[namespaces]\nmain =\n", "2:7: main goes nowhere; write @section or a URI"},
    {"[namespaces]\nmain = null: default_tll=5m\n",
     "2:14: a namespace has no option 'default_tll' (did you mean default_ttl?); it has "
     "default_ttl, max_ttl"},
    {"[namespaces]\nmain = null: errors=miss\n",
     "2:14: a namespace has no option 'errors'; it has default_ttl, max_ttl"},
    {"[namespaces]\nmain = null: max_ttl=5\n", "2:22: max_ttl: '5' has no unit; write 5s or 5ms"},
    {"[namespaces]\nmain = null: max_ttl=5s max_ttl=5s\n",
     "2:33: max_ttl is given a second time; once is right"},
    {"[client]\nnamespace_pol = 1s\n[namespaces]\nmain = null:\n",
     "2:1: [client] has no option 'namespace_pol' (did you mean namespace_poll?); it has "
     "default_namespace, namespace_poll, generation, default_ttl, max_ttl, errors"},
    {"[client]\nnamespace_poll = 0\n[namespaces]\nmain = null:\n",
     "2:18: namespace_poll: 0 is too small; write 1ms to 1h"},
};

static void a_wrong_file_is_told_where_and_what_would_be_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong_files) / sizeof(wrong_files[0]); i++) {
        struct larder_cache *client = NULL;
        enum larder_status status =
            open_bytes(wrong_files[i].bytes, strlen(wrong_files[i].bytes), &client);
        if (status != LARDER_BAD_ARGUMENT)
            print_error("%s\n", wrong_files[i].bytes);
        assert_int_equal(status, LARDER_BAD_ARGUMENT);
        assert_null(client);
        assert_memory_equal(text, "f.conf:", 7);
        assert_string_equal(text + 7, wrong_files[i].message);
    }
}

static void a_cache_that_does_not_open_closes_those_before_it(void **state)
{
    const char bytes[] = "[a]\nuri = scripted:\n[b]\nuri = scripted:\n[c]\nuri = scripted:\n"
                         "[namespaces]\nmain = @a\nb = @b\nc = @c\n";
    struct larder_cache *client = NULL;
    (void)state;
    scripted_reset();
    scripted.fail_open_number = 3;
    assert_int_equal(open_bytes(bytes, sizeof(bytes) - 1, &client), LARDER_UNSUPPORTED);
    assert_null(client);
    assert_string_equal(text, "f.conf:6:7: servers: the script says no");
    assert_int_equal(scripted.opened, 2);
    assert_int_equal(scripted.closed, 2);
}

/* A backend whose open refuses with a message of the test's. */
static const char *refusal;

static enum larder_status refusing_open(const struct larder_host *host, const void *given,
                                        struct larder_message *to, void **self)
{
    (void)host, (void)given, (void)self;
    return larder_fail(to, LARDER_BAD_ARGUMENT, "%s", refusal);
}

static void what_a_backend_refuses_is_told_at_the_option_that_it_names(void **state)
{
    const struct {
        const char *lines, *refusal, *message;
    } rows[] = {
        {"uri = refusing:\nhands = 2\npassword = env:NO\n", "password: the environment has no NO",
         "4:12: password: the environment has no NO"},
        {"uri = refusing:?hands=2\n  &password=env:NO\n", "password: no NO",
         "3:13: password: no NO"},
        {"uri = refusing:\nmood = busy\n", "note and mood go together",
         "3:8: note and mood go together"},
        {"uri = refusing:\nmood = busy\n", "note goes with mood", "2:7: note goes with mood"},
        {"uri = refusing:\nmood = busy\n", "mood_x: no", "2:7: mood_x: no"},
        {"uri = refusing://h:1,\n  h:99,\n  h:9\n", "the port of \"h:9\" is wrong",
         "4:3: the port of \"h:9\" is wrong"},
        {"uri = refusing://h%20,h:9\n", "\"h \" is no host", "2:7: \"h \" is no host"},
        {"uri = refusing:\n", "the port of \"h:9\" is wrong", "2:7: the port of \"h:9\" is wrong"},
        {"uri = refusing://h\n", "\"\" is no \"h", "2:7: \"\" is no \"h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char bytes[256];
        struct larder_cache *client = NULL;
        snprintf(bytes, sizeof(bytes), "[a]\n%s" MAP, rows[i].lines);
        refusal = rows[i].refusal;
        assert_int_equal(open_bytes(bytes, strlen(bytes), &client), LARDER_BAD_ARGUMENT);
        assert_null(client);
        assert_memory_equal(text, "f.conf:", 7);
        assert_string_equal(text + 7, rows[i].message);
    }
}

static void an_allocation_that_fails_is_no_memory_and_leaves_nothing(void **state)
{
    const char bytes[] = "[client]\nmax_ttl = 1h\n[a]\nuri = scripted://h1/\n  ?note=x\n"
                         "[role]\nuri = @a\n[b]\nuri = null:\ndefault_ttl = 5m\n"
                         "tracker = on\ngutter = @c\n[c]\nuri = null:?tracker=on\n"
                         "[namespaces]\nmain = @role max_ttl=1m\nb = @b\n";
    enum larder_status status = LARDER_NO_MEMORY;
    int count = 0;
    (void)state;
    for (; status == LARDER_NO_MEMORY && count < 1000; count++) {
        struct larder_cache *client = NULL;
        scripted_reset();
        allocations_left = count;
        status = open_bytes(bytes, sizeof(bytes) - 1, &client);
        allocations_left = -1;
        assert_true((client != NULL) == (status == LARDER_OK));
        assert_true((text[0] == '\0') == (status == LARDER_OK));
        close_all(client);
    }
    assert_int_equal(status, LARDER_OK);
    assert_true(count > 20);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void a_line_has_at_most_196_bytes(void **state)
{
    const char start[] = "[a]\nuri = scripted:\nnote = ";
    const size_t line = strlen("note = ");
    char bytes[512];
    struct larder_cache *client = NULL;
    (void)state;
    memset(bytes, 'n', sizeof(bytes));
    memcpy(bytes, start, sizeof(start) - 1);
    char *end = bytes + sizeof(start) - 1 - line + LARDER__LINE_BYTES_MAX;
    memcpy(end, "\n" MAP, sizeof("\n" MAP));
    close_all(open_text(bytes));
    assert_int_equal(strlen(scripted.note), LARDER__LINE_BYTES_MAX - line);
    memcpy(end, "n\n" MAP, sizeof("n\n" MAP));
    assert_int_equal(open_bytes(bytes, strlen(bytes), &client), LARDER_BAD_ARGUMENT);
    assert_string_equal(text,
                        "f.conf:3:197: a line of more than 196 bytes; a value may go on in the "
                        "next line, indented");
}

static void a_nul_byte_is_refused(void **state)
{
    const char bytes[] = "[namespaces]\nmain = null:\0\n";
    struct larder_cache *client = NULL;
    (void)state;
    assert_int_equal(open_bytes(bytes, sizeof(bytes) - 1, &client), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "f.conf:2:13: a NUL byte; a configuration file is text");
}

static void at_most_16_sections_refer_to_each_other_in_a_row(void **state)
{
    char bytes[2048];
    struct larder_cache *client = NULL;
    (void)state;
    for (unsigned depth = LARDER__ALIASES_MAX; depth <= LARDER__ALIASES_MAX + 1; depth++) {
        size_t length = (size_t)sprintf(bytes, "[namespaces]\nmain = @s0\n");
        for (unsigned i = 0; i < depth; i++)
            length += (size_t)sprintf(bytes + length, "[s%u]\nuri = @s%u\n", i, i + 1);
        length += (size_t)sprintf(bytes + length, "[s%u]\nuri = null:\n", depth);
        enum larder_status status = open_bytes(bytes, length, &client);
        assert_int_equal(status, depth == LARDER__ALIASES_MAX ? LARDER_OK : LARDER_BAD_ARGUMENT);
        larder_close(client);
    }
    assert_string_equal(text, "f.conf:4:7: more than 16 sections refer to each other in a row");
}

static void a_file_has_at_most_a_mebibyte(void **state)
{
    const char start[] = "[namespaces]\nmain = null:\n";
    struct larder_cache *client = NULL;
    char *bytes = malloc(LARDER__FILE_BYTES_MAX + 1);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, '\n', LARDER__FILE_BYTES_MAX + 1);
    memcpy(bytes, start, sizeof(start) - 1);
    write_file(bytes, LARDER__FILE_BYTES_MAX);
    assert_int_equal(larder_open_file(path, NULL, &client, text, sizeof(text)), LARDER_OK);
    larder_close(client);
    write_file(bytes, LARDER__FILE_BYTES_MAX + 1);
    assert_int_equal(larder_open_file(path, NULL, &client, text, sizeof(text)),
                     LARDER_BAD_ARGUMENT);
    assert_null(client);
    assert_non_null(strstr(text, ":1:1: a configuration file of more than 1048576 bytes"));
    free(bytes);
}

/* ---- what is no file ----------------------------------------------------------------------- */

static void expect_unavailable(const char *name, const char *why)
{
    char expected[256];
    struct larder_cache *client = (struct larder_cache *)(void *)text;
    snprintf(expected, sizeof(expected), "%s: %s", name, why);
    assert_int_equal(larder_open_file(name, NULL, &client, text, sizeof(text)), LARDER_UNAVAILABLE);
    assert_null(client);
    assert_string_equal(text, expected);
}

static void what_is_no_readable_file_is_unavailable(void **state)
{
    (void)state;
    unlink(path);
    expect_unavailable(path, "No such file or directory");
    expect_unavailable(directory, "not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_unavailable(path, "not a regular file"); /* and it does not wait for a writer */
    unlink(path);
}

static void null_arguments_are_bad_arguments(void **state)
{
    struct larder_cache *client = (struct larder_cache *)(void *)text;
    (void)state;
    assert_int_equal(larder_open_file(NULL, NULL, &client, text, sizeof(text)),
                     LARDER_BAD_ARGUMENT);
    assert_null(client);
    assert_string_equal(text, "path is NULL");
    assert_int_equal(larder_open_file(path, NULL, NULL, text, sizeof(text)), LARDER_BAD_ARGUMENT);
    assert_string_equal(text, "client is NULL");
}

/* ---- any bytes ----------------------------------------------------------------------------- */

static void any_bytes_are_read_or_refused(void **state)
{
    static const char *const seeds[] = {
        "[client]\ndefault_namespace = a\nerrors = miss\n[hot]\nuri = memory:?max_bytes=64M\n"
        "[role]\nuri = @hot ; for now\n[namespaces]\na = @role default_ttl=5m\nb = null:\n* = "
        "@hot\n",
        "# pool\n[pool]\nuri = scripted://h1,h2/\n    ?hands=2\n    &mood=busy\npatience = 2m\n"
        "password = env:NAME\n[namespaces]\nmain = @pool max_ttl=1h\n  default_ttl=1m\n",
        "[a]\nuri = scripted:?tracker=on&tracker_keys=9\ngutter = @b\ngutter_ttl = 5s\n[b]\n"
        "uri = null:\ntracker = off\n[namespaces]\nmain = @a\nx = null:?tracker=on&gutter=@b\n",
        "\xef\xbb\xbf[x]\r\nuri=scripted:--SERVER=a/?5\r\n "
        "--SERVER=b\r\n[namespaces]\r\nmain=@x\r\n",
    };
    struct mutation mutation;
    int read = 0;
    (void)state;
    mutation_init(&mutation);
    for (int i = 0; i < 100000; i++) {
        const char *seed = seeds[i % 4];
        struct larder__config config = {0};
        mutation_make(&mutation, seed, strlen(seed));
        memset(text, 0, sizeof(text));
        enum larder_status status =
            larder__config_read("f.conf", mutation.bytes, mutation.length, &config, &message);
        read += status == LARDER_OK;
        if (status != LARDER_OK && strncmp(text, "f.conf:", 7) != 0)
            fail_msg("seed %llu, mutation %d: %s", mutation.seed, i, text);
        larder__config_clean_up(&config);
    }
    mutation_clean_up(&mutation);
    assert_true(read > 1000); /* or the mutations are too wild to say anything */
}

/* ---- the documentation --------------------------------------------------------------------- */

static void open_block(const char *name, int number, const char *language, const char *block)
{
    struct larder_cache *cache = NULL;
    enum larder_status status;
    if (strcmp(language, "ini") == 0) {
        write_file(block, strlen(block));
        status = larder_open_file(path, NULL, &cache, text, sizeof(text));
    } else {
        status = larder_open(block, NULL, &cache, text, sizeof(text));
    }
    if (status == LARDER_UNSUPPORTED && strstr(text, " is not installed: ") != NULL)
        print_message("skipped: block %d of %s: %s\n", number, name, text);
    else if (status != LARDER_OK)
        fail_msg("block %d of %s: %s\n%s", number, name, text, block);
    larder_close(cache);
}

/* Opens every ```ini block, and every line of every ```uri block. @return how many */
static int open_blocks(const char *name)
{
    enum { TEXT, INI, URI, OTHER } inside = TEXT;
    char line[1024], block[16384] = "";
    int count = 0;
    snprintf(line, sizeof(line), "%s/%s", LARDER_SOURCE_DIR, name);
    FILE *page = fopen(line, "r");
    if (page == NULL)
        fail_msg("no %s", line);
    while (fgets(line, sizeof(line), page) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0) {
            if (inside == INI)
                open_block(name, ++count, "ini", block);
            block[0] = '\0';
            if (inside != TEXT)
                inside = TEXT;
            else if (strcmp(line + 3, "ini") == 0)
                inside = INI;
            else
                inside = strcmp(line + 3, "uri") == 0 ? URI : OTHER;
        } else if (inside == INI) {
            assert_true(strlen(block) + strlen(line) + 1 < sizeof(block));
            strcat(strcat(block, line), "\n");
        } else if (inside == URI) {
            open_block(name, ++count, "uri", line);
        }
    }
    fclose(page);
    return count;
}

static void every_example_of_the_documentation_opens(void **state)
{
    struct larder_cache *client = NULL;
    (void)state;
    setenv("CACHE_PASSWORD", "secret", 1); /* an example refers to it */
    assert_int_equal(open_blocks("docs/configuration.md"), 15);
    assert_int_equal(open_blocks("docs/gutter.md"), 1);
    assert_int_equal(open_blocks("docs/tracker.md"), 2);
    assert_int_equal(open_blocks("docs/hot.md"), 2);
    assert_int_equal(open_blocks("docs/ephemeral.md"), 1);
    assert_int_equal(open_blocks("docs/migration.md"), 1);
    assert_int_equal(open_blocks("docs/shadow.md"), 1);
    print_message("README.md: %d examples\n", open_blocks("README.md"));
    enum larder_status status = larder_open_file(LARDER_SOURCE_DIR "/examples/larder.conf", NULL,
                                                 &client, text, sizeof(text));
    if (status != LARDER_OK)
        fail_msg("%s", text);
    larder_close(client);
}

/* -------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    static struct larder_backend refusing;
    (void)state;
    refusing = scripted_backend;
    refusing.scheme = "refusing";
    refusing.open = refusing_open;
    if (larder_register_backend(&refusing) != LARDER_OK)
        return -1;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/caches.conf", directory);
    return larder_register_backend(&scripted_backend) == LARDER_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_opens_as_a_client),
        cmocka_unit_test(options_may_be_lines),
        cmocka_unit_test(a_long_value_goes_on_in_indented_lines),
        cmocka_unit_test(namespaces_of_one_section_share_its_cache),
        cmocka_unit_test(the_default_ttl_nearest_to_a_namespace_holds_and_the_least_maximum),
        cmocka_unit_test(errors_may_be_misses_for_the_client),
        cmocka_unit_test(a_file_may_come_from_windows),
        cmocka_unit_test(a_wrong_file_is_told_where_and_what_would_be_right),
        cmocka_unit_test(a_cache_that_does_not_open_closes_those_before_it),
        cmocka_unit_test(what_a_backend_refuses_is_told_at_the_option_that_it_names),
        cmocka_unit_test(an_allocation_that_fails_is_no_memory_and_leaves_nothing),
        cmocka_unit_test(a_line_has_at_most_196_bytes),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(at_most_16_sections_refer_to_each_other_in_a_row),
        cmocka_unit_test(a_file_has_at_most_a_mebibyte),
        cmocka_unit_test(what_is_no_readable_file_is_unavailable),
        cmocka_unit_test(null_arguments_are_bad_arguments),
        cmocka_unit_test(any_bytes_are_read_or_refused),
        cmocka_unit_test(every_example_of_the_documentation_opens),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
