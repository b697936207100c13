/* The traits descriptor: its published text, its limits, and the page that lists every cache's. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/client.h>
#include <larder/ephemeral.h>
#include <larder/gutter.h>
#include <larder/hot.h>
#include <larder/migration.h>
#include <larder/shadow.h>
#include <larder/tracker.h>

static const struct {
    struct larder_traits traits;
    const char *text;
} vectors[] = {
    {{.size = sizeof(struct larder_traits)},
     "consistency: eventual\ncan:\nsteps:\npromises:\noptions:\nvalue_max: 0\ndelta_max: 0\n"
     "ttl_max_ms: 0\nttl_step_ms: 0\nttl_late_ms: 0\nkey_max: 0\ntimeout_ms: 0\n"},
    {{.size = sizeof(struct larder_traits),
      .consistency = LARDER_LINEARIZABLE,
      .can = LARDER_CAN_ADD | LARDER_CAN_MANY_WRITE,
      .steps = LARDER_CAN_GET_AND_TOUCH,
      .promises = LARDER_NEVER_BLOCKS | LARDER_POOLED,
      .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_ROUTING_KEY,
      .value_max = UINT64_MAX,
      .delta_max = 4294967295,
      .ttl_max_ms = 1000,
      .ttl_step_ms = 1,
      .ttl_late_ms = 2000,
      .key_max = 250,
      .timeout_ms = 50},
     "consistency: linearizable\ncan: add many_write\nsteps: get_and_touch\n"
     "promises: never_blocks pooled\noptions: no_wait routing_key\n"
     "value_max: 18446744073709551615\ndelta_max: 4294967295\nttl_max_ms: 1000\nttl_step_ms: 1\n"
     "ttl_late_ms: 2000\nkey_max: 250\ntimeout_ms: 50\n"},
};

static void descriptors_are_written_as_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[1024];
        size_t length = larder_traits_format(&vectors[i].traits, text, sizeof(text));
        assert_string_equal(vectors[i].text, text);
        assert_int_equal(strlen(vectors[i].text), length);
    }
}

static void a_short_buffer_gets_the_start_and_the_length_of_the_whole(void **state)
{
    (void)state;
    size_t whole = strlen(vectors[1].text);
    for (size_t size = 0; size <= whole + 1; size++) {
        char text[1024];
        memset(text, 'x', sizeof(text));
        assert_int_equal(whole, larder_traits_format(&vectors[1].traits, text, size));
        if (size > 0) {
            assert_int_equal(size - 1 < whole ? size - 1 : whole, strlen(text));
            assert_memory_equal(vectors[1].text, text, strlen(text));
        }
        assert_int_equal('x', text[size]);
    }
}

/* ---- the page ------------------------------------------------------------------------------ */

static const char *const uris[] = {
    "memory:",
    "null:",
    "memcached:",
    "memcached:?binary=on",
    "pooled-memcached:",
    "memcached:?metadata=leases,negative",
    "meta:",
    "meta:?stale=30s",
    "meta:?classic_reads=on",
    "meta:?metadata=leases,negative",
};

static int is_all_built(void)
{
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        struct larder_cache *cache = NULL;
        if (larder_open(uris[i], NULL, &cache, NULL, 0) == LARDER_UNSUPPORTED)
            return 0;
        larder_close(cache);
    }
    return 1;
}

static void write_one(FILE *page, const char *name, struct larder_cache *cache)
{
    char text[2048];
    struct larder_traits traits = *larder_describe(cache);
    if (strstr(name, "memory:") != NULL) { /* the machine decides two of its figures */
        assert_in_range(traits.ttl_late_ms, 2, 20);
        traits.ttl_late_ms = 8;
        traits.value_max -= traits.value_max % (1u << 20);
    }
    assert_true(larder_traits_format(&traits, text, sizeof(text)) < sizeof(text));
    fprintf(page, "\n## `%s`\n\n```text\n%s```\n", name, text);
}

static void write_namespace(FILE *page, const char *uri)
{
    struct larder_cache *leaf, *client, *view;
    char name[64];
    assert_status(LARDER_OK, larder_open(uri, NULL, &leaf, NULL, 0));
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, routes, 1, &client, NULL, 0));
    assert_status(LARDER_OK, larder_bind(client, "main", &view));
    snprintf(name, sizeof(name), "a namespace on %s", uri);
    write_one(page, name, view);
    larder_close(client);
}

/* A composition, and a namespace of it. */
static void write_both(FILE *page, const char *name, struct larder_cache *composition)
{
    struct larder_cache *client, *view;
    char other_name[160];
    write_one(page, name, composition);
    struct larder_route routes[] = {{"main", composition, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, routes, 1, &client, NULL, 0));
    assert_status(LARDER_OK, larder_bind(client, "main", &view));
    snprintf(other_name, sizeof(other_name), "a namespace on %s", name);
    write_one(page, other_name, view);
    larder_close(client);
}

static struct larder_cache *open_part(const char *uri)
{
    struct larder_cache *part;
    assert_status(LARDER_OK, larder_open(uri, NULL, &part, NULL, 0));
    return part;
}

static void write_alone(FILE *page, const char *name, struct larder_cache *composition)
{
    write_one(page, name, composition);
    larder_close(composition);
}

static void write_gutter(FILE *page, const char *of, const char *spare)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *gutter;
    char name[128];
    options.of = open_part(of);
    options.spare = open_part(spare);
    assert_status(LARDER_OK, larder_gutter_open(&options, NULL, &gutter, NULL, 0));
    snprintf(name, sizeof(name), "gutter: with of %s and spare %s", of, spare);
    write_both(page, name, gutter);
}

static void write_hot(FILE *page, const char *of)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *hot;
    char name[128];
    options.of = open_part(of);
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &hot, NULL, 0));
    snprintf(name, sizeof(name), "hot: with of %s", of);
    write_both(page, name, hot);
}

static void write_tracker(FILE *page, const char *of)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_cache *tracker;
    char name[128];
    options.of = open_part(of);
    assert_status(LARDER_OK, larder_tracker_open(&options, NULL, &tracker, NULL, 0));
    snprintf(name, sizeof(name), "tracker: with of %s", of);
    write_alone(page, name, tracker);
}

static void write_ephemeral(FILE *page, const char *of)
{
    struct larder_ephemeral_options options = LARDER_EPHEMERAL_OPTIONS_INIT;
    struct larder_cache *ephemeral;
    char name[128];
    options.of = open_part(of);
    assert_status(LARDER_OK, larder_ephemeral_open(&options, NULL, &ephemeral, NULL, 0));
    snprintf(name, sizeof(name), "ephemeral: with of %s", of);
    write_alone(page, name, ephemeral);
}

static void write_migration(FILE *page, const char *from, const char *to)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_cache *migration;
    char name[128];
    options.from = open_part(from);
    options.to = open_part(to);
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &migration, NULL, 0));
    snprintf(name, sizeof(name), "migration: from %s to %s", from, to);
    write_alone(page, name, migration);
}

static void write_shadow(FILE *page, const char *of, const char *copy)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *shadow;
    char name[128];
    options.of = open_part(of);
    options.copy = open_part(copy);
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &shadow, NULL, 0));
    snprintf(name, sizeof(name), "shadow: with of %s and copy %s", of, copy);
    write_alone(page, name, shadow);
}

static char *generate(size_t *length)
{
    char *text = NULL;
    FILE *page = open_memstream(&text, length);
    assert_non_null(page);
    fputs(
        "# Traits\n\n"
        "What each cache can do, as `larder_describe()` says it beforehand. "
        "`include/larder/traits.h` explains every word;\n"
        "this page is written by `tests/unit/traits_test.c`, which fails when it is out of "
        "date.\n\n"
        "A keyspace with metadata has READ_TTL: whatever expires in it is a record that says when "
        "([record codec](record-codec.md)),\n"
        "and what is raw is for ever. A keyspace without metadata can't tell, as libmemcached's "
        "protocols don't; `meta:` can.\n\n"
        "`meta:` leases by the server's own means, so a lease has the server's clock as entries "
        "do: `lease_ms` is rounded up to\n"
        "whole seconds, and a dead holder is replaced after `lease_ms`, at most `ttl_late_ms` "
        "later. The lease on a value that is\n"
        "near its end (`recache_ms`), or stale, lasts as long as that value. With "
        "`classic_reads=on` nobody leases, and nothing is\n"
        "looked at before it is changed. Replace, append and prepend of many keys, and with "
        "`stale=` delete, go row by row where\n"
        "they take steps.\n\n"
        "The machine decides two figures of `memory:`. `value_max`, here rounded down to a MiB, is "
        "`max_bytes` less what index\n"
        "and segments need at least; `ttl_late_ms` is two ticks of the kernel's coarse clock, here "
        "at 250 ticks a second.\n",
        page);
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        struct larder_cache *cache;
        assert_status(LARDER_OK, larder_open(uris[i], NULL, &cache, NULL, 0));
        write_one(page, uris[i], cache);
        larder_close(cache);
    }
    write_namespace(page, "memory:");
    write_namespace(page, "memcached:");
    write_namespace(page, "meta:");
    write_gutter(page, "memory:", "null:");
    write_gutter(page, "meta:", "memcached:");
    write_hot(page, "meta:");
    write_hot(page, "memcached:");
    write_tracker(page, "meta:");
    write_ephemeral(page, "meta:");
    write_migration(page, "memcached:", "meta:");
    write_shadow(page, "meta:", "memcached:");
    fclose(page);
    return text;
}

static char *read_page(void)
{
    char *text = calloc(1, 1 << 16);
    FILE *page = fopen(LARDER_SOURCE_DIR "/docs/traits.md", "r");
    assert_non_null(text);
    if (page != NULL) {
        size_t length = fread(text, 1, (1 << 16) - 1, page);
        text[length] = '\0';
        fclose(page);
    }
    return text;
}

/* LARDER_UPDATE_PAGES=1 writes the page instead of comparing it. */
static void the_page_of_traits_is_up_to_date(void **state)
{
    (void)state;
    size_t length;
    if (!is_all_built()) {
        print_message("skipped: the page of traits: not every cache is part of this build\n");
        skip();
    }
    char *generated = generate(&length);
    if (getenv("LARDER_UPDATE_PAGES") != NULL) {
        FILE *page = fopen(LARDER_SOURCE_DIR "/docs/traits.md", "w");
        assert_non_null(page);
        assert_int_equal(length, fwrite(generated, 1, length, page));
        fclose(page);
    }
    char *checked_in = read_page();
    assert_string_equal(generated, checked_in);
    free(checked_in);
    free(generated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_written_as_published),
        cmocka_unit_test(a_short_buffer_gets_the_start_and_the_length_of_the_whole),
        cmocka_unit_test(the_page_of_traits_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
