/* Caches that are options of others: what may be one, who closes it, files that refer to sections,
 * and reloads. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/client.h>
#include <larder/gutter.h>
#include <larder/memory.h>
#include <larder/null.h>
#include <larder/testing.h>

#include "attach.h"
#include "config.h"
#include "file_client.h"

static struct larder_cache *open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_open(uri, NULL, &cache, message, sizeof(message)));
    return cache;
}

static enum larder_status open_gutter(struct larder_cache *of, struct larder_cache *spare,
                                      struct larder_cache **gutter)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    options.of = of;
    options.spare = spare;
    return larder_gutter_open(&options, NULL, gutter, message, sizeof(message));
}

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    return larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER);
}

/* ---- what may be a part -------------------------------------------------------------------- */

static void refuse(struct larder_cache *of, struct larder_cache *spare, const char *what)
{
    struct larder_cache *gutter = NULL;
    assert_status(LARDER_BAD_ARGUMENT, open_gutter(of, spare, &gutter));
    assert_null(gutter);
    assert_says(what);
}

static void a_part_is_an_open_cache_that_tells_its_errors(void **state)
{
    struct larder_open_options hiding = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *hides = NULL, *client = NULL, *session = NULL, *view = NULL;
    struct larder_cache *good = open_uri("memory:"), *ended = open_uri("memory:");
    struct larder_route route = {"main", open_uri("memory:"), LARDER_TTL_DEFAULT, 0};
    (void)state;
    hiding.errors_as_miss = 1;
    assert_status(LARDER_OK, larder_memory_open(NULL, &hiding, &hides, NULL, 0));
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0));
    assert_status(LARDER_OK, larder_bind(client, "main", &view));
    assert_status(LARDER_OK, larder_acquire(good, 0, 0, &session));
    larder_shutdown(ended);
    refuse(NULL, good, "of is missing");
    refuse(good, NULL, "spare is missing");
    refuse(good, good, "the same cache");
    refuse(hides, good, "of: errors=miss");
    refuse(good, ended, "spare: this cache is shut down");
    refuse(client, good, "of: a client");
    refuse(view, good, "of: a client");
    refuse(session, good, "of: a client");
    assert_false(larder__leaf_is_held(good)); /* nothing was kept of it */
    assert_status(LARDER_OK, set(good, "k", "v"));
    larder_release(session);
    larder_close(client);
    larder_close(hides);
    larder_close(ended);
    larder_close(good);
}

/* ---- who closes it ------------------------------------------------------------------------- */

static void a_part_is_not_the_applications_to_end(void **state)
{
    struct larder_cache *of = open_uri("memory:"), *spare = open_uri("memory:"), *gutter = NULL;
    (void)state;
    assert_status(LARDER_OK, open_gutter(of, spare, &gutter));
    larder_shutdown(of);
    larder_close(of);
    larder_close(spare);
    assert_status(LARDER_OK, set(gutter, "k", "v"));
    assert_status(LARDER_OK, look(of, "k")); /* its own handle goes on working */
    larder_shutdown(gutter);
    assert_status(LARDER_CLOSED, look(gutter, "k"));
    assert_status(LARDER_CLOSED, look(of, "k"));
    assert_status(LARDER_CLOSED, look(spare, "k"));
    larder_close(gutter);
}

static void a_shared_part_ends_with_the_last_that_holds_it(void **state)
{
    struct larder_cache *of[2] = {open_uri("memory:"), open_uri("memory:")};
    struct larder_cache *spare = open_uri("memory:"), *gutters[2] = {NULL, NULL};
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_status(LARDER_OK, open_gutter(of[i], spare, &gutters[i]));
    assert_status(LARDER_OK, set(spare, "k", "v"));
    larder_shutdown(gutters[0]);
    larder_close(gutters[0]);
    assert_status(LARDER_OK, look(spare, "k"));
    larder_shutdown(gutters[1]);
    assert_status(LARDER_CLOSED, look(spare, "k"));
    larder_close(gutters[1]);
}

static void a_part_may_have_names_of_its_own(void **state)
{
    struct larder_cache *of = open_uri("memory:"), *spare = open_uri("memory:"), *gutter = NULL;
    struct larder_cache *client = NULL, *direct = NULL;
    (void)state;
    assert_status(LARDER_OK, open_gutter(of, spare, &gutter));
    const struct larder_route routes[] = {{"main", gutter, LARDER_TTL_DEFAULT, 0},
                                          {"direct", of, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK,
                  larder_client_open(NULL, NULL, routes, 2, &client, message, sizeof(message)));
    assert_status(LARDER_OK, larder_bind(client, "direct", &direct));
    assert_status(LARDER_OK, set(client, "k", "v"));
    assert_status(LARDER_MISS, look(direct, "k"));
    assert_status(LARDER_OK, set(direct, "k", "v"));
    assert_status(LARDER_OK, larder_flush(direct));
    assert_status(LARDER_OK, look(client, "k"));
    larder_close(client);
}

static void compositions_nest(void **state)
{
    struct larder_cache *a = open_uri("memory:"), *b = open_uri("memory:"),
                        *c = open_uri("memory:");
    struct larder_cache *inner = NULL, *outer = NULL;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_stat rows[256];
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    size_t count = 0, found = 0;
    (void)state;
    assert_status(LARDER_OK, open_gutter(a, b, &inner));
    assert_status(LARDER_OK, open_gutter(inner, c, &outer));
    assert_status(LARDER_MISS, larder_lease_get(outer, larder_text("k"), 1000, &value, &lease));
    assert_status(LARDER_OK, larder_lease_fill(outer, larder_text("k"), lease, &write));
    assert_status(LARDER_OK, look(a, "k"));
    assert_status(LARDER_OK, larder_stats(outer, rows, 256, &count));
    for (size_t i = 0; i < count && i < 256; i++)
        found += strncmp(rows[i].name, "of.of.", 6) == 0;
    assert_true(found > 0);
    struct larder_cache *session = NULL;
    assert_status(LARDER_OK, larder_acquire(outer, 1000, 0, &session));
    assert_status(LARDER_OK, look(session, "k"));
    larder_release(session);
    larder_close(outer);
}

/* ---- URIs and files ------------------------------------------------------------------------ */

static void a_uri_by_itself_refers_to_nothing(void **state)
{
    static const struct {
        const char *uri, *what;
    } trials[] = {
        {"gutter:?of=@a&spare=@b", "column 12: of refers to a section of a configuration file"},
        {"gutter:?of=memory:&spare=@b", "of: 'memory:' is a URI; give that cache a section"},
        {"gutter:?of=pool&spare=@b", "of: 'pool' is no reference; write @"},
        {"gutter:?of=@", "of: '@' is no reference"},
        {"gutter:", "of is missing"},
        {"gutter:?of=@a&of=@b", "of is given a second time"},
    };
    struct larder_cache *cache = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        assert_status(LARDER_BAD_ARGUMENT,
                      larder_open(trials[i].uri, NULL, &cache, message, sizeof(message)));
        assert_says(trials[i].what);
    }
}

#define A "[a]\nuri = memory:?max_bytes=4M\n"
#define B "[b]\nuri = memory:?max_bytes=5M\n"
#define B_CHANGED "[b]\nuri = memory:?max_bytes=6M\n"
#define FRONT "[front]\nuri = gutter:?of=@a&spare=@b\n"
#define MAIN "[namespaces]\nmain = @front\n"

static void sections_refer_to_each_other_in_any_order(void **state)
{
    static const char *const files[] = {
        A B FRONT MAIN,
        MAIN FRONT B A,
        A B MAIN "[front]\nuri = gutter:\nof = @a\nspare = @b\nttl = 3s\n",
        A B "[namespaces]\nmain = gutter:?of=@a&spare=@b default_ttl=5s\n",
        A B "[namespaces]\nmain = gutter:?of=%40a&spare=@b\n",
        A B FRONT "[x]\nuri = @a\n[y]\nuri = @x\n" MAIN
                  "other = gutter:?of=@y&spare=@b\nplain = @a\n",
        A B FRONT "[c]\nuri = null:\n[outer]\nuri = gutter:?of=@front&spare=@c\n"
                  "[namespaces]\nmain = @outer\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct larder_cache *client = open_file(files[i], NULL);
        assert_status(LARDER_OK, set(client, "k", "v"));
        assert_status(LARDER_OK, look(client, "k"));
        larder_close(client);
    }
}

static void a_file_that_can_not_be_is_refused_at_its_place(void **state)
{
    static const struct {
        const char *file, *what;
    } trials[] = {
        {A FRONT MAIN, "4:27: there is no section [b]"},
        {A "[b]\nuri = gutter:?of=@a&spare=@b\n[namespaces]\nmain = @b\n",
         "4:27: [b] refers to itself by way of @b"},
        {A "[b]\nuri = gutter:?of=@a&spare=@c\n[c]\nuri = gutter:?of=@b&spare=@a\n"
           "[namespaces]\nmain = @b\n",
         "4:27: [b] refers to itself by way of @c"},
        {A "[b]\nuri = @c\n[c]\nuri = gutter:?of=@b&spare=@a\n[namespaces]\nmain = @b\n",
         "4:7: [b] refers to itself by way of @c"},
        {A "[b]\nuri = gutter:?of=@a&spare=memory:\n[namespaces]\nmain = @b\n",
         "4:27: spare: 'memory:' is a URI; give that cache a section of its own"},
        {A "[front]\nuri = gutter:?of=@a&spare=@a\n" MAIN, "4:18: of and spare are the same cache"},
        {A "[x]\nuri = @a\n[front]\nuri = gutter:?of=@a&spare=@x\n" MAIN,
         "6:18: of and spare are the same cache"},
        {A "[front]\nuri = gutter:?of=@a\n" MAIN, "4:7: spare is missing"},
        {A "max_ttl = 5s\n" B FRONT MAIN, "3:11: max_ttl on a cache that is a part of another"},
        {A "errors = miss\n" B FRONT MAIN, "3:10: errors=miss on a cache"},
        {A B FRONT "[namespaces]\nmain = @a\n", "nothing refers to [b]"},
        {A B FRONT "[idle]\nuri = gutter:?of=@a&spare=@b\n" MAIN, "nothing refers to [idle]"},
    };
    struct larder_cache *client = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        write_file(trials[i].file);
        assert_status(LARDER_BAD_ARGUMENT,
                      larder_open_file(file_path, NULL, &client, message, sizeof(message)));
        assert_says(trials[i].what);
    }
}

/* A tower of gutters, each on the one before. */
static void write_tower(unsigned floors)
{
    char text[4096];
    size_t length = (size_t)sprintf(text, "[s0]\nuri = memory:\n[spare]\nuri = null:\n");
    for (unsigned i = 1; i <= floors; i++)
        length +=
            (size_t)sprintf(text + length, "[s%u]\nuri = gutter:?of=@s%u&spare=@spare\n", i, i - 1);
    sprintf(text + length, "[namespaces]\nmain = @s%u\n", floors);
    write_file(text);
}

static void a_tower_has_at_most_16_floors(void **state)
{
    (void)state;
    for (unsigned floors = LARDER__ALIASES_MAX - 1; floors <= LARDER__ALIASES_MAX + 1; floors++) {
        struct larder_cache *client = NULL;
        write_tower(floors);
        enum larder_status status =
            larder_open_file(file_path, NULL, &client, message, sizeof(message));
        assert_status(floors <= LARDER__ALIASES_MAX ? LARDER_OK : LARDER_BAD_ARGUMENT, status);
        if (status == LARDER_OK)
            assert_status(LARDER_OK, set(client, "k", "v"));
        larder_close(client);
    }
    assert_says("more than 16 sections refer to each other in a row");
}

/* ---- reloads ------------------------------------------------------------------------------- */

static void a_changed_part_leaves_the_others_their_entries(void **state)
{
    struct larder_cache *client = open_file(A B FRONT MAIN, NULL);
    (void)state;
    assert_status(LARDER_OK, set(client, "k", "v"));
    reload(client, A B_CHANGED FRONT MAIN); /* another spare */
    assert_status(LARDER_OK, look(client, "k"));
    reload(client, B_CHANGED MAIN A FRONT); /* nothing but the order */
    assert_status(LARDER_OK, look(client, "k"));
    reload(client, A B_CHANGED "[front]\nuri = gutter:?of=@a&spare=@b&ttl=1s\n" MAIN);
    assert_status(LARDER_OK, look(client, "k"));
    reload(client, "[a]\nuri = memory:?max_bytes=7M\n" B_CHANGED FRONT MAIN);
    assert_status(LARDER_MISS, look(client, "k"));
    larder_close(client);
}

static void a_gutter_comes_and_goes_over_a_cache_that_stays(void **state)
{
    struct larder_cache *client = open_file(A "[namespaces]\nmain = @a\n", NULL);
    (void)state;
    assert_status(LARDER_OK, set(client, "k", "v"));
    for (int round = 0; round < 3; round++) {
        reload(client, A B FRONT MAIN);
        assert_status(LARDER_OK, look(client, "k"));
        reload(client, A B FRONT MAIN "other = @a\n");
        assert_status(LARDER_OK, look(client, "k"));
        assert_status(LARDER_OK, set(bind(client, "other"), "k", "v"));
        reload(client, A "[namespaces]\nmain = @a\n");
        assert_status(LARDER_OK, look(client, "k"));
    }
    larder_close(client);
}

static void a_name_that_comes_back_by_way_of_a_gutter_finds_nothing(void **state)
{
    static const char away[] = A B FRONT "[c]\nuri = memory:?max_bytes=9M\n"
                                         "[namespaces]\nmain = @front\nx = @c\n";
    struct larder_cache *client = open_file(A "[namespaces]\nmain = @a\nx = @a\n", NULL);
    struct larder_cache *x = bind(client, "x");
    (void)state;
    assert_status(LARDER_OK, set(x, "k", "old"));
    assert_status(LARDER_OK, set(client, "k", "kept"));
    reload(client, away);
    assert_status(LARDER_OK, set(x, "k", "new"));
    reload(client, A B FRONT MAIN "x = @front\n");
    assert_status(LARDER_MISS, look(x, "k"));
    assert_status(LARDER_OK, look(client, "k"));
    reload(client, away);
    assert_status(LARDER_OK, set(x, "k", "new"));
    reload(client, A B FRONT MAIN "x = @a\n");
    assert_status(LARDER_MISS, look(x, "k"));
    larder_close(client);
}

/* One part is where the name was all the time; the other one has what it wrote long ago. */
static void a_name_that_comes_back_to_one_part_of_two_finds_nothing_in_it(void **state)
{
    struct larder_cache *client = open_file(A B "[namespaces]\nmain = @a\nx = @a\ny = @b\n", NULL);
    struct larder_cache *x = bind(client, "x");
    (void)state;
    assert_status(LARDER_OK, set(x, "k", "old"));
    reload(client, A B "[namespaces]\nmain = @a\nx = @b\n");
    assert_status(LARDER_OK, set(x, "k", "new"));
    reload(client, A B FRONT MAIN "x = @front\n"); /* of=@a */
    assert_status(LARDER_MISS, look(x, "k"));
    assert_status(LARDER_OK, set(x, "k", "newer"));
    reload(client, A B FRONT MAIN "x = @b\n"); /* a spare has not seen every write */
    assert_status(LARDER_MISS, look(x, "k"));
    larder_close(client);
}

static void a_cache_whose_client_is_closed_may_be_anothers(void **state)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *gutter, *client;
    (void)state;
    assert_status(LARDER_OK, larder_memory_open(NULL, NULL, &options.of, NULL, 0));
    assert_status(LARDER_OK, larder_memory_open(NULL, NULL, &options.spare, NULL, 0));
    assert_status(LARDER_OK, larder_gutter_open(&options, NULL, &gutter, NULL, 0));
    const struct larder_route routes[] = {{"main", options.of, LARDER_TTL_DEFAULT, 0}};
    for (int i = 0; i < 2; i++) {
        assert_status(LARDER_OK,
                      larder_client_open(NULL, NULL, routes, 1, &client, message, sizeof(message)));
        larder_close(client);
    }
    larder_close(gutter);
}

static void a_reload_that_fails_leaves_parts_as_they_are(void **state)
{
    static const char *const bad[] = {
        A B_CHANGED FRONT "[c]\nuri = gutter:?of=@front&spare=@front\n[namespaces]\nmain = @c\n",
        "[a]\nuri = memory:?max_bytes=8M\n" B FRONT "[c]\nuri = memory:?max_bytes=1\n" MAIN
        "c = @c\n",
        A FRONT MAIN,
    };
    struct larder_cache *client = open_file(A B FRONT MAIN, NULL);
    (void)state;
    assert_status(LARDER_OK, set(client, "k", "v"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(bad[i]);
        assert_status(LARDER_BAD_ARGUMENT, larder_reload(client, NULL, message, sizeof(message)));
        assert_status(LARDER_OK, look(client, "k"));
    }
    reload(client, A B_CHANGED FRONT MAIN);
    assert_status(LARDER_OK, look(client, "k"));
    larder_close(client);
}

static void sessions_of_a_gutter_survive_a_reload(void **state)
{
    struct larder_cache *client = open_file(A B FRONT MAIN, NULL), *session = NULL;
    (void)state;
    assert_status(LARDER_OK, larder_acquire(client, 0, 0, &session));
    assert_status(LARDER_OK, set(session, "k", "v"));
    reload(client, A B_CHANGED FRONT MAIN);
    assert_status(LARDER_OK, look(session, "k"));
    assert_status(LARDER_OK, set(session, "l", "v"));
    larder_release(session);
    assert_status(LARDER_OK, look(client, "l"));
    larder_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_an_open_cache_that_tells_its_errors),
        cmocka_unit_test(a_part_is_not_the_applications_to_end),
        cmocka_unit_test(a_shared_part_ends_with_the_last_that_holds_it),
        cmocka_unit_test(a_part_may_have_names_of_its_own),
        cmocka_unit_test(compositions_nest),
        cmocka_unit_test(a_uri_by_itself_refers_to_nothing),
        cmocka_unit_test(sections_refer_to_each_other_in_any_order),
        cmocka_unit_test(a_file_that_can_not_be_is_refused_at_its_place),
        cmocka_unit_test(a_tower_has_at_most_16_floors),
        cmocka_unit_test(a_changed_part_leaves_the_others_their_entries),
        cmocka_unit_test(a_gutter_comes_and_goes_over_a_cache_that_stays),
        cmocka_unit_test(a_name_that_comes_back_by_way_of_a_gutter_finds_nothing),
        cmocka_unit_test(a_name_that_comes_back_to_one_part_of_two_finds_nothing_in_it),
        cmocka_unit_test(a_cache_whose_client_is_closed_may_be_anothers),
        cmocka_unit_test(a_reload_that_fails_leaves_parts_as_they_are),
        cmocka_unit_test(sessions_of_a_gutter_survive_a_reload),
    };
    return cmocka_run_group_tests(tests, file_make, file_remove);
}
