/* Tracker and gutter as options of the cache that they are over: the same as in sections of their
 * own, in files, in URIs, and over reloads. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/backend.h>
#include <larder/tracker.h>

#include "clock.h"
#include "config.h"
#include "file_client.h"
#include "flaky_backend.h"
#include "handle.h"
#include "layers.h"

static struct manual_clock now;

static struct larder_cache *open_layers(const char *text)
{
    struct larder_clock clock = manual_clock_of(&now);
    return open_file(text, &clock);
}

static enum larder_status set(struct larder_cache *cache, const char *key)
{
    return larder_set(cache, larder_text(key), larder_text("v"), LARDER_TTL_FOREVER);
}

/* The sum of all figures whose names end so. */
static uint64_t figure(struct larder_cache *cache, const char *ending)
{
    struct larder_stat rows[512];
    size_t count = 0;
    uint64_t sum = 0;
    assert_status(LARDER_OK, larder_stats(cache, rows, 512, &count));
    for (size_t i = 0; i < count && i < 512; i++) {
        size_t length = strlen(rows[i].name);
        if (length >= strlen(ending) && strcmp(rows[i].name + length - strlen(ending), ending) == 0)
            sum += rows[i].value;
    }
    return sum;
}

/* The names of all figures, which say what is made of what. @return to be freed */
static char *shape(struct larder_cache *cache)
{
    struct larder_stat rows[512];
    size_t count = 0, size = 0;
    char *names = NULL;
    FILE *stream = open_memstream(&names, &size);
    assert_non_null(stream);
    assert_status(LARDER_OK, larder_stats(cache, rows, 512, &count));
    assert_in_range(count, 0, 512);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%s\n", rows[i].name);
    fclose(stream);
    return names;
}

#define A "[a]\nuri = flaky:\n"
#define B "[b]\nuri = memory:?max_bytes=1M\n"
#define MAIN "[namespaces]\nmain = @a\n"
#define BOTH "tracker = on\ngutter = @b\n"

/* ---- the same as the long form ------------------------------------------------------------- */

static void assert_same_shape(const char *file, const char *other)
{
    struct larder_cache *client = open_layers(file);
    char *one = shape(client);
    larder_close(client);
    client = open_layers(other);
    char *two = shape(client);
    larder_close(client);
    assert_string_equal(one, two);
    free(one);
    free(two);
}

static void a_short_form_makes_what_the_long_one_makes(void **state)
{
    static const char tracker[] = "[x]\nuri = flaky:\n[a]\nuri = tracker:?of=@x\n" MAIN;
    static const char gutter[] = "[x]\nuri = flaky:\n" B "[a]\nuri = gutter:?of=@x&spare=@b\n" MAIN;
    static const char both[] = "[x]\nuri = flaky:\n" B "[y]\nuri = tracker:?of=@x\n"
                               "[a]\nuri = gutter:?of=@y&spare=@b\n" MAIN;
    static const struct {
        const char *brief, *full;
    } pairs[] = {
        {A "tracker = on\n" MAIN, tracker},
        {"[a]\nuri = flaky:?tracker=on\n" MAIN, tracker},
        {"[namespaces]\nmain = flaky:?tracker=on default_ttl=5m\n", tracker},
        {A "gutter = @b\n" B MAIN, gutter},
        {MAIN B A "gutter = @b\ntracker = off\n", gutter},
        {A BOTH B MAIN, both},
        {B "[a]\ngutter = @b\ngutter_ttl = 5s\ntracker_keys = 9\ntracker = on\nuri = flaky:\n" MAIN,
         both},
        {"[a]\nuri = flaky:?gutter=@b&tracker=on\n" B MAIN, both},
        {"[namespaces]\nmain = flaky://h/?gutter=%40b&tracker=on\n" B, both},
        {A BOTH "[b]\nuri = @c\n[c]\nuri = memory:?max_bytes=1M\n" MAIN, both},
        {A "tracker = off\ntracker_keys = 9\n" MAIN, A MAIN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_same_shape(pairs[i].brief, pairs[i].full);
}

static void what_names_the_section_names_the_whole(void **state)
{
    static const char *const files[][2] = {
        {A "tracker = on\n" B "[c]\nuri = gutter:?of=@a&spare=@b\n[namespaces]\nmain = @c\n",
         "[x]\nuri = flaky:\n[a]\nuri = tracker:?of=@x\n" B
         "[c]\nuri = gutter:?of=@a&spare=@b\n[namespaces]\nmain = @c\n"},
        {A "tracker = on\n[c]\nuri = memory:?max_bytes=1M&gutter=@a\n[namespaces]\nmain = @c\n",
         "[x]\nuri = flaky:\n[a]\nuri = tracker:?of=@x\n[y]\nuri = memory:?max_bytes=1M\n"
         "[c]\nuri = gutter:?of=@y&spare=@a\n[namespaces]\nmain = @c\n"},
        {A "gutter = @b\n" B "[c]\nuri = @a\n[namespaces]\nmain = @c\nother = @a\n",
         "[x]\nuri = flaky:\n" B "[a]\nuri = gutter:?of=@x&spare=@b\n"
         "[namespaces]\nmain = @a\nother = @a\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_same_shape(files[i][0], files[i][1]);
}

static int has_name(const struct larder_backend *backend, const char *option)
{
    const struct larder__layer_option *row;
    for (size_t i = 0; (row = larder__layer_option(i)) != NULL; i++)
        if (larder__layer_backend(row) == backend && row->option != NULL &&
            strcmp(row->option, option) == 0)
            return 1;
    return 0;
}

static void every_option_of_a_layer_but_the_cache_below_has_a_name(void **state)
{
    const struct larder__layer_option *row;
    (void)state;
    for (size_t i = 0; (row = larder__layer_option(i)) != NULL; i++) {
        const struct larder_backend *backend = larder__layer_backend(row);
        assert_true(row->option == NULL || larder__layer_option_row(row) != NULL);
        for (size_t j = 0; j < backend->option_count; j++)
            assert_true(strcmp(backend->options[j].name, "of") == 0 ||
                        has_name(backend, backend->options[j].name));
    }
}

static void a_tracker_is_below_a_gutter(void **state)
{
    struct larder_cache *client =
        open_layers("[a]\ngutter = @b\ntracker = on\nuri = flaky:\n" B MAIN);
    char *names = shape(client);
    (void)state;
    assert_non_null(strstr(names, "reads_turned"));
    assert_null(strstr(names, "of.reads_turned"));
    assert_non_null(strstr(names, "of.lost_keys"));
    free(names);
    larder_close(client);
}

static void the_whole_answers_as_tracker_and_gutter_do(void **state)
{
    struct larder_cache *client = open_layers(A BOTH "gutter_ttl = 2s\n" B MAIN);
    (void)state;
    assert_status(LARDER_OK, set(client, "k"));
    assert_status(LARDER_OK, set(client, "l"));
    flaky.is_down = 1;
    assert_status(LARDER_OK, set(client, "k")); /* on the spare, and lost on the servers */
    assert_status(LARDER_OK, look(client, "k"));
    manual_clock_advance(&now, 2001);
    assert_status(LARDER_MISS, look(client, "k"));
    assert_int_equal(figure(client, "lost_keys"), 1);
    flaky.is_down = 0;
    assert_status(LARDER_MISS, look(client, "k")); /* never the old value */
    assert_status(LARDER_OK, look(client, "l"));
    assert_int_equal(figure(client, "made_up"), 1);
    larder_close(client);
}

static void options_reach_their_layer(void **state)
{
    struct larder_cache *client =
        open_layers("[a]\nuri = flaky:?tracker_keys=2\ntracker = on\ntracker_settle = 0\n" MAIN);
    (void)state;
    flaky.is_down = 1;
    assert_status(LARDER_UNAVAILABLE, set(client, "k"));
    assert_status(LARDER_UNAVAILABLE, set(client, "l"));
    assert_int_equal(figure(client, "overflows"), 0);
    assert_status(LARDER_UNAVAILABLE, set(client, "m"));
    assert_int_equal(figure(client, "overflows"), 1);
    larder_close(client);
}

static void ttls_of_the_section_are_those_of_the_whole(void **state)
{
    struct larder_cache *client =
        open_layers(A BOTH "default_ttl = 5m\nmax_ttl = 1h\n" B MAIN "other = @a max_ttl=1m\n");
    (void)state;
    assert_int_equal(larder__target(bind(client, "main"))->ttl.default_ms, 5 * 60000);
    assert_int_equal(larder__target(bind(client, "main"))->ttl.max_ms, 60 * 60000);
    assert_int_equal(larder__target(bind(client, "other"))->ttl.max_ms, 60000);
    larder_close(client);
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static const struct {
    const char *file, *what;
} wrong_files[] = {
    {A "tracker = yes\n" MAIN, ":3:11: tracker: 'yes' is neither on nor off"},
    {A "tracker = on # always\n" MAIN,
     ":3:14: tracker: '#' begins no comment within a line, write ' ;'"},
    {A "tracker = on\ntracker_keys = 0\n" MAIN,
     ":4:16: tracker_keys: 0 is too small; write 1 to 16777216"},
    {A "tracker = on\ntracker_settle = 5\n" MAIN,
     ":4:18: tracker_settle: '5' has no unit; write 5s or 5ms"},
    {A "gutter = @b\ngutter_ttl = 2d\n" B MAIN,
     ":4:14: gutter_ttl: 2d is too large; write 1ms to 1d"},
    {A "gutter = b\n" B MAIN, ":3:10: gutter: 'b' is no reference; write @"},
    {A "gutter = memory:\n" MAIN,
     ":3:10: gutter: 'memory:' is a URI; give that cache a section of its own"},
    {A "gutter = @c\n" B MAIN, ":3:10: there is no section [c]; did you mean @"},
    {"[a]\nuri = flaky:?tracker=on\ntracker = on\n" MAIN,
     ":3:11: tracker is given a second time; once is right"},
    {"[a]\nuri = flaky:?gutter=@b\n  &gutter_ttl=1s\ngutter_ttl = 1s\n" B MAIN,
     ":4:14: gutter_ttl is given a second time; once is right"},
    {A "gutter_tll = 1s\n" MAIN,
     ":3:1: flaky has no option 'gutter_tll' (did you mean gutter_ttl?); it has weight, "
     "default_ttl, max_ttl, errors, tracker, tracker_keys, tracker_settle, gutter, gutter_ttl"},
    {A "gutter_spare = @b\n" MAIN, ":3:1: flaky has no option 'gutter_spare'"},
    {A "tracker_keys = 5\n" MAIN,
     ":3:16: tracker_keys is for a cache with tracker=on, which this one lacks; write that as "
     "well"},
    {"[namespaces]\nmain = flaky:?gutter_ttl=1s\n",
     ":2:26: gutter_ttl is for a cache with gutter=@section, which this one lacks"},
    {"[c]\nuri = @a\ntracker = on\n" A MAIN,
     ":3:1: [c] stands for another section, which has the options; write tracker there"},
    {"[client]\ntracker = on\n" A MAIN, ":2:1: [client] has no option 'tracker'; it has "},
    /* references */
    {A "gutter = @a\n" MAIN, ":3:10: [a] refers to itself by way of @a"},
    {A "gutter = @b\n[b]\nuri = memory:\ngutter = @a\n" MAIN,
     ":3:10: [a] refers to itself by way of @b"},
    {"[a]\nuri = tracker:?of=@b\ntracker = on\n[b]\nuri = @a\n" MAIN,
     ":2:19: [a] refers to itself by way of @b"},
    {"[b]\nuri = @a\n[a]\nuri = memory:\ngutter = @b\n" MAIN,
     ":2:7: [b] refers to itself by way of @a"},
    {A "gutter = @b\n[b]\nuri = memory:?max_ttl=1s\n" MAIN,
     ":5:23: max_ttl on a cache that is a part of another"},
    {A "tracker = on\nmax_ttl = 5s\n" B "[c]\nuri = gutter:?of=@a&spare=@b\n"
       "[namespaces]\nmain = @c\n",
     ":4:11: max_ttl on a cache that is a part of another"},
    {A BOTH "errors = miss\n" B MAIN, ":5:10: errors=miss on a cache that namespaces go to"},
    {"[a]\nuri = flaky:\ntracker = on\n[namespaces]\nmain = memory:\n",
     ":1:2: nothing refers to [a]; name @a in [namespaces], or remove it"},
    /* what is only found when it is opened */
    {"[a]\nuri = flaky:\nweight = 0\n" BOTH B MAIN,
     ":3:10: weight: without one it can't be opened"},
    {A BOTH "[b]\nuri = memory:?max_bytes=1\n" MAIN, ":6:25: max_bytes"},
};

static void what_is_wrong_is_told_at_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong_files) / sizeof(wrong_files[0]); i++) {
        struct larder_cache *client = NULL;
        write_file(wrong_files[i].file);
        enum larder_status status =
            larder_open_file(file_path, NULL, &client, message, sizeof(message));
        if (status != LARDER_BAD_ARGUMENT)
            fail_msg("%s: %s", larder_status_name(status), wrong_files[i].file);
        assert_null(client);
        assert_says(wrong_files[i].what);
    }
}

/* Each with a tracker, so every one is two in a row; the last refers to a plain cache. */
static enum larder_status open_row(unsigned sections)
{
    struct larder_cache *client = NULL;
    char text[2048];
    size_t length = (size_t)sprintf(text, "[namespaces]\nmain = @s0\n");
    for (unsigned i = 0; i < sections; i++)
        length += (size_t)sprintf(text + length, "[s%u]\nuri = tracker:?of=@s%u\ntracker = on\n", i,
                                  i + 1);
    sprintf(text + length, "[s%u]\nuri = memory:?max_bytes=1M\n", sections);
    write_file(text);
    enum larder_status status =
        larder_open_file(file_path, NULL, &client, message, sizeof(message));
    larder_close(client);
    return status;
}

static void a_layer_counts_as_a_section_in_a_row_of_references(void **state)
{
    (void)state;
    assert_status(LARDER_OK, open_row(LARDER__ALIASES_MAX / 2));
    assert_status(LARDER_BAD_ARGUMENT, open_row(LARDER__ALIASES_MAX / 2 + 1));
    assert_says("more than 16 sections refer to each other in a row");
}

/* ---- a URI by itself ----------------------------------------------------------------------- */

static struct larder_cache *open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}

static void a_uri_by_itself_may_have_a_tracker(void **state)
{
    struct larder_cache *cache = open_uri("flaky:?tracker=on&tracker_keys=5&default_ttl=5m");
    size_t drained = 0;
    (void)state;
    assert_int_equal(larder__target(cache)->ttl.default_ms, 5 * 60000);
    assert_status(LARDER_OK, set(cache, "k"));
    flaky.is_down = 1;
    assert_status(LARDER_UNAVAILABLE, set(cache, "k"));
    flaky.is_down = 0;
    assert_int_equal(figure(cache, "lost_keys"), 1);
    assert_status(LARDER_OK, larder_tracker_drain(cache, NULL, NULL, 10, &drained));
    assert_int_equal(drained, 1);
    larder_close(cache);
    cache = open_uri("flaky:?tracker=on&errors=miss");
    flaky.is_down = 1;
    assert_status(LARDER_MISS, look(cache, "k"));
    larder_close(cache);
}

static void a_uri_by_itself_has_no_other_cache(void **state)
{
    static const struct {
        const char *uri, *what;
    } trials[] = {
        {"flaky:?gutter=@b", "column 15: gutter refers to a section of a configuration file"},
        {"flaky:?tracker=on&gutter=@b", "column 26: gutter refers to a section"},
        {"flaky:?gutter_ttl=1s", "column 19: gutter_ttl is for a cache with gutter=@section"},
        {"flaky:?tracker_keys=1", "column 21: tracker_keys is for a cache with tracker=on"},
        {"flaky:?tracker=maybe", "column 16: tracker: 'maybe' is neither on nor off"},
        {"flaky:?weight=0&tracker=on", "column 15: weight: without one it can't be opened"},
    };
    struct larder_cache *cache = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        assert_status(LARDER_BAD_ARGUMENT,
                      larder_open(trials[i].uri, NULL, &cache, message, sizeof(message)));
        assert_null(cache);
        assert_says(trials[i].what);
    }
}

static void names_of_layers_are_no_ones_else(void **state)
{
    static const struct larder_option option = {.type = LARDER_OPTION_COUNT,
                                                .name = "gutter_ttl",
                                                .offset = sizeof(size_t),
                                                .sentence = "x"};
    struct larder_backend backend = flaky_backend;
    struct larder_cache *cache = NULL;
    (void)state;
    backend.options = &option;
    backend.option_count = 1;
    assert_status(LARDER_UNSUPPORTED,
                  larder_open_backend(&backend, NULL, NULL, &cache, message, sizeof(message)));
    assert_says("option gutter_ttl has the name of an option that every cache has");
}

/* ---- reloads ------------------------------------------------------------------------------- */

static void a_layer_comes_and_goes_over_a_cache_that_stays(void **state)
{
    static const char *const files[] = {
        A "tracker = on\n" MAIN,
        A BOTH B MAIN,
        A BOTH B MAIN,
        B A "tracker_keys = 7\n" BOTH MAIN,
        A "gutter = @b\n" B MAIN,
        A BOTH "gutter_ttl = 1s\n[b]\nuri = memory:?max_bytes=2M\n" MAIN,
        A MAIN,
        A "tracker = off\n" MAIN,
    };
    struct larder_cache *client = open_layers(A MAIN);
    (void)state;
    assert_status(LARDER_OK, set(client, "k"));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        reload(client, files[i]);
        assert_status(LARDER_OK, look(client, "k"));
    }
    assert_int_equal(flaky.opened, 1);
    larder_close(client);
    assert_int_equal(flaky.closed, 1);
}

static void entries_of_this_process_stay_below_a_new_layer(void **state)
{
    static const char plain[] = "[a]\nuri = memory:?max_bytes=2M\n";
    char with[256];
    (void)state;
    snprintf(with, sizeof(with), "%stracker = on\ngutter = @b\n" B MAIN, plain);
    struct larder_cache *client = open_layers(with);
    assert_status(LARDER_OK, set(client, "k"));
    reload(client, "[a]\nuri = memory:?max_bytes=2M\n" MAIN);
    assert_status(LARDER_OK, look(client, "k"));
    reload(client, with);
    assert_status(LARDER_OK, look(client, "k"));
    larder_close(client);
}

#define LISTED(list) "[a]\nuri = flaky://" list "/\n" BOTH B MAIN

static void a_list_of_servers_changes_in_place_below_its_layers(void **state)
{
    struct larder_cache *client = open_layers(LISTED("h1,h2"));
    (void)state;
    assert_status(LARDER_OK, set(client, "k"));
    assert_status(LARDER_OK, set(client, "l"));
    flaky.is_down = 1;
    assert_status(LARDER_OK, set(client, "l"));
    reload(client, LISTED("h1,h2,h3"));
    assert_int_equal(flaky.relisted, 1);
    assert_int_equal(figure(client, "lost_keys"), 1); /* the tracker goes on */
    flaky.is_down = 0;
    assert_status(LARDER_OK, look(client, "k"));
    assert_status(LARDER_MISS, look(client, "l"));
    reload(client, "[a]\nuri = flaky://h4/?weight=2\n" BOTH B MAIN);
    assert_int_equal(flaky.relisted, 1);
    assert_int_equal(flaky.opened, 2);
    assert_status(LARDER_MISS, look(client, "k"));
    larder_close(client);
}

static void a_reload_that_fails_leaves_layers_as_they_are(void **state)
{
    static const char *const bad[] = {
        A BOTH "tracker_keys = 0\n" B MAIN,
        A "tracker = on\ngutter = @c\n" B MAIN,
        "[a]\nuri = flaky://other/\n" BOTH B "[c]\nuri = flaky:?weight=0&tracker=on\n" MAIN
        "c = @c\n",
        A "[c]\nuri = flaky:?weight=0\n" MAIN "c = @c\n",
    };
    struct larder_cache *client = open_layers(A BOTH B MAIN);
    (void)state;
    assert_status(LARDER_OK, set(client, "k"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(bad[i]);
        assert_status(LARDER_BAD_ARGUMENT, larder_reload(client, NULL, message, sizeof(message)));
        assert_status(LARDER_OK, look(client, "k"));
    }
    flaky.is_down = 1;
    assert_status(LARDER_OK, set(client, "k"));
    assert_int_equal(figure(client, "lost_keys"), 1);
    larder_close(client);
    assert_int_equal(flaky.closed, flaky.opened + flaky.relisted);
}

static void a_layer_of_a_namespaces_own_cache_goes_by_that_name(void **state)
{
    struct larder_cache *client = open_layers("[namespaces]\nmain = flaky:?tracker=on\n");
    (void)state;
    assert_status(LARDER_OK, set(client, "k"));
    flaky.is_down = 1;
    assert_status(LARDER_UNAVAILABLE, set(client, "k"));
    reload(client, "[namespaces]\nother = flaky:?tracker=on\n"
                   "main = flaky:?tracker_keys=5&tracker=on&gutter=@b\n" B);
    assert_int_equal(figure(client, "lost_keys"), 1);
    assert_int_equal(flaky.opened, 2);
    larder_close(client);
}

/* -------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    memset(&flaky, 0, sizeof(flaky));
    manual_clock_init(&now);
    return 0;
}

static int group_set_up(void **state)
{
    return file_make(state) != 0 || larder_register_backend(&flaky_backend) != LARDER_OK;
}

#define LAYERS_TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAYERS_TEST(a_short_form_makes_what_the_long_one_makes),
        LAYERS_TEST(what_names_the_section_names_the_whole),
        LAYERS_TEST(every_option_of_a_layer_but_the_cache_below_has_a_name),
        LAYERS_TEST(a_tracker_is_below_a_gutter),
        LAYERS_TEST(the_whole_answers_as_tracker_and_gutter_do),
        LAYERS_TEST(options_reach_their_layer),
        LAYERS_TEST(ttls_of_the_section_are_those_of_the_whole),
        LAYERS_TEST(what_is_wrong_is_told_at_its_place),
        LAYERS_TEST(a_layer_counts_as_a_section_in_a_row_of_references),
        LAYERS_TEST(a_uri_by_itself_may_have_a_tracker),
        LAYERS_TEST(a_uri_by_itself_has_no_other_cache),
        LAYERS_TEST(names_of_layers_are_no_ones_else),
        LAYERS_TEST(a_layer_comes_and_goes_over_a_cache_that_stays),
        LAYERS_TEST(entries_of_this_process_stay_below_a_new_layer),
        LAYERS_TEST(a_list_of_servers_changes_in_place_below_its_layers),
        LAYERS_TEST(a_reload_that_fails_leaves_layers_as_they_are),
        LAYERS_TEST(a_layer_of_a_namespaces_own_cache_goes_by_that_name),
    };
    return cmocka_run_group_tests(tests, group_set_up, file_remove);
}
