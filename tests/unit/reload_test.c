/* Reloading a client's file: what stays, what goes, and what callers see meanwhile. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <larder/backend.h>
#include <larder/client.h>
#include <larder/memory.h>
#include <larder/util/message.h>

#include "client.h"

/* ---- a cache that can be looked into -------------------------------------------------------- */

/* "mirror": remembers one number, its `weight`, and answers every read with it. */
#define MIRROR_OPTIONS_TABLE(NUMBER, STRING)                        \
    NUMBER(COUNT, weight, weight, 1, 1, 1000, "what it answers")    \
    NUMBER(SWITCH, broken, broken, 0, 0, 1, "on: it can't be open") \
    STRING(SECRET, secret, secret, NULL, NULL, "nothing is done with it")

struct mirror_options {
    size_t struct_size;
    MIRROR_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};

struct mirror {
    uint64_t weight;
    int is_shut;
};

static struct {
    int opened, shut, closed;
    uint64_t followed;             /* the weight of what the last one follows; 0: nothing */
    struct larder_cache *reloaded; /* in the middle of the next call, that one is */
    const char *path;
} mirrors;

static void reload_meanwhile(void)
{
    struct larder_cache *client = mirrors.reloaded;
    mirrors.reloaded = NULL;
    if (client != NULL)
        assert_status(LARDER_OK, larder_reload(client, mirrors.path, NULL, 0));
}

static enum larder_status mirror_read(const struct larder_scope *scope, struct larder_slice key,
                                      void *buffer, size_t size, struct larder_info *info)
{
    const struct mirror *mirror = scope->self;
    (void)key;
    reload_meanwhile();
    if (mirror->is_shut)
        return LARDER_CLOSED;
    if (size >= sizeof(mirror->weight))
        memcpy(buffer, &mirror->weight, sizeof(mirror->weight));
    if (info != NULL)
        info->length = sizeof(mirror->weight);
    return LARDER_OK;
}

static enum larder_status mirror_store(const struct larder_scope *scope, enum larder_mode mode,
                                       struct larder_slice key, const struct larder_write *write,
                                       uint64_t *version)
{
    const struct mirror *mirror = scope->self;
    (void)mode, (void)key, (void)write, (void)version;
    reload_meanwhile();
    return mirror->is_shut ? LARDER_CLOSED : LARDER_OK;
}

static enum larder_status mirror_remove(const struct larder_scope *scope, struct larder_slice key,
                                        uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_OK;
}

static const struct larder_traits *mirror_traits(const void *self)
{
    static const struct larder_traits traits = {.size = sizeof(traits), .value_max = 1024};
    (void)self;
    return &traits;
}

static void mirror_shutdown(void *self)
{
    struct mirror *mirror = self;
    mirror->is_shut = 1;
    mirrors.shut++;
}

static void mirror_close(void *self)
{
    mirrors.closed++;
    free(self);
}

static enum larder_status mirror_succeed(const struct larder_host *host, const void *given,
                                         void *predecessor, struct larder_message *message,
                                         void **self)
{
    const struct mirror_options *options = given;
    const struct mirror *before = predecessor;
    (void)host;
    if (options->broken)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "broken: it can't be open");
    struct mirror *mirror = calloc(1, sizeof(*mirror));
    assert_non_null(mirror);
    mirror->weight = options->weight;
    mirrors.followed = before != NULL ? before->weight : 0;
    mirrors.opened++;
    *self = mirror;
    return LARDER_OK;
}

static enum larder_status mirror_open(const struct larder_host *host, const void *options,
                                      struct larder_message *message, void **self)
{
    return mirror_succeed(host, options, NULL, message, self);
}

static const struct larder_ops mirror_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "mirror",
    .read = mirror_read,
    .store = mirror_store,
    .remove = mirror_remove,
    .traits = mirror_traits,
    .close = mirror_close,
    .shutdown = mirror_shutdown,
};

#define LARDER_OPTIONS_STRUCT struct mirror_options
static const struct larder_option mirror_options[] = {
    MIRROR_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

static const struct larder_backend mirror_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "mirror",
    .sentence = "answers with its weight",
    .ops = &mirror_ops,
    .open = mirror_open,
    .options = mirror_options,
    .option_count = sizeof(mirror_options) / sizeof(mirror_options[0]),
    .options_size = sizeof(struct mirror_options),
    .succeed = mirror_succeed,
};

static uint64_t weight_of(struct larder_cache *cache)
{
    uint64_t weight = 0;
    assert_status(LARDER_OK, larder_read(cache, larder_text("k"), &weight, sizeof(weight), NULL));
    return weight;
}

/* ---- files ---------------------------------------------------------------------------------- */

struct fixture {
    char folder[64];
    char path[96], other_path[96];
    struct larder_cache *client;
    char message[256];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void open_options(struct fixture *fixture, const char *text,
                         const struct larder_open_options *options)
{
    write_file(fixture->path, text);
    if (larder_open_file(fixture->path, options, &fixture->client, fixture->message,
                         sizeof(fixture->message)) != LARDER_OK)
        fail_msg("%s", fixture->message);
}

static void open_text(struct fixture *fixture, const char *text)
{
    open_options(fixture, text, NULL);
}

static enum larder_status reload_text(struct fixture *fixture, const char *text)
{
    write_file(fixture->path, text);
    return larder_reload(fixture->client, NULL, fixture->message, sizeof(fixture->message));
}

static void reload_well(struct fixture *fixture, const char *text)
{
    if (reload_text(fixture, text) != LARDER_OK)
        fail_msg("%s", fixture->message);
    assert_string_equal(fixture->message, "");
}

static struct larder_cache *bind(struct fixture *fixture, const char *name)
{
    struct larder_cache *view;
    assert_status(LARDER_OK, larder_bind(fixture->client, name, &view));
    return view;
}

static void set(struct larder_cache *cache, const char *key)
{
    assert_status(LARDER_OK, larder_set(cache, larder_text(key), larder_text("v"), 0));
}

static enum larder_status look(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL)
        return 1;
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/larder-reload-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL)
        return 1;
    snprintf(fixture->path, sizeof(fixture->path), "%s/caches.conf", fixture->folder);
    snprintf(fixture->other_path, sizeof(fixture->other_path), "%s/other.conf", fixture->folder);
    memset(&mirrors, 0, sizeof(mirrors));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    larder_close(fixture->client);
    unlink(fixture->path);
    unlink(fixture->other_path);
    int failed = rmdir(fixture->folder);
    free(fixture);
    return failed;
}

/* ---- what stays and what goes ---------------------------------------------------------------- */

static void a_section_that_means_the_same_keeps_its_entries(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[hot]\nuri = memory:?max_bytes=1M&buckets=7\n"
                       "[namespaces]\nmain = @hot\nmembers = @hot\nown = memory:?buckets=9\n");
    struct larder_cache *members = bind(fixture, "members"), *own = bind(fixture, "own");
    set(fixture->client, "k");
    set(members, "k");
    set(own, "k");
    reload_well(fixture, "; written in another way\n[namespaces]\nown = memory:?buckets=9\n"
                         "members = @hot\nmain = @alias\n[alias]\nuri = @hot\n"
                         "[hot]\nuri = memory:\nbuckets = 7\nmax_bytes = 1024k\n");
    assert_status(LARDER_OK, look(fixture->client, "k"));
    assert_status(LARDER_OK, look(members, "k"));
    assert_status(LARDER_OK, look(own, "k"));
}

static void a_section_whose_ttls_alone_changed_keeps_its_entries(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\n");
    set(fixture->client, "before");
    reload_well(fixture, "[client]\nmax_ttl = 1h\n[hot]\nuri = memory:?default_ttl=5s\n"
                         "[namespaces]\nmain = @hot max_ttl=30m\n");
    assert_status(LARDER_OK, look(fixture->client, "before"));
    assert_int_equal(larder__target(fixture->client)->ttl.default_ms, 5000);
    assert_int_equal(larder_describe(fixture->client)->ttl_max_ms, 30 * 60000);
    struct larder_info info = {.want = LARDER_WANT_TTL};
    assert_status(LARDER_OK, larder_set(fixture->client, larder_text("k"), larder_text("v"),
                                        LARDER_TTL_DEFAULT));
    assert_status(LARDER_PARTIAL, larder_read(fixture->client, larder_text("k"), NULL, 0, &info));
    assert_in_range(info.ttl_ms, 1, 5000);
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\n");
    assert_status(LARDER_OK, look(fixture->client, "before"));
    assert_int_equal(larder__target(fixture->client)->ttl.default_ms, 0);
    assert_int_equal(larder_describe(fixture->client)->ttl_max_ms, 0);
}

static void a_maximum_ttl_that_a_section_was_opened_with_ends_with_it(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[hot]\nuri = memory:?max_ttl=10s\n[namespaces]\nmain = @hot\n");
    set(fixture->client, "before");
    assert_int_equal(larder_describe(fixture->client)->ttl_max_ms, 10000);
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\n");
    assert_status(LARDER_OK, look(fixture->client, "before"));
    assert_int_equal(larder_describe(fixture->client)->ttl_max_ms, 0);
}

static void a_section_that_changed_gets_a_cache_that_follows_the_old_one(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[a]\nuri = mirror:?weight=1\n[namespaces]\nmain = @a\n");
    assert_int_equal(weight_of(fixture->client), 1);
    reload_well(fixture, "[a]\nuri = mirror:?weight=2\n[namespaces]\nmain = @a\n");
    assert_int_equal(weight_of(fixture->client), 2);
    assert_int_equal(mirrors.followed, 1);
    assert_int_equal(mirrors.shut, 1);
    assert_int_equal(mirrors.closed, 1);
    larder_close(fixture->client);
    fixture->client = NULL;
    assert_int_equal(mirrors.opened, 2);
    assert_int_equal(mirrors.shut, 2);
    assert_int_equal(mirrors.closed, 2);
}

static void only_what_stood_in_the_same_place_is_followed(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[a]\nuri = mirror:?weight=1\n[namespaces]\nmain = @a\n");
    reload_well(fixture, "[b]\nuri = mirror:?weight=2\n[namespaces]\nmain = @b\n");
    assert_int_equal(mirrors.followed, 0);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=3\n");
    assert_int_equal(mirrors.followed, 0);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=4\n");
    assert_int_equal(mirrors.followed, 3);
    reload_well(fixture, "[b]\nuri = mirror:?weight=5\n[namespaces]\nmain = @b\n");
    assert_int_equal(mirrors.followed, 0);
    reload_well(fixture, "[b]\nuri = null:\n[namespaces]\nmain = @b\n");
    reload_well(fixture, "[b]\nuri = mirror:\n[namespaces]\nmain = @b\n");
    assert_int_equal(mirrors.followed, 0);
}

static void a_section_with_a_secret_is_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[a]\nuri = mirror:\nsecret = env:HOME\n[namespaces]\nmain = @a\n");
    reload_well(fixture, "[a]\nuri = mirror:\nsecret = env:HOME\n[namespaces]\nmain = @a\n");
    assert_int_equal(mirrors.opened, 2);
    reload_well(fixture, "[a]\nuri = mirror:\n[namespaces]\nmain = @a\n");
    assert_int_equal(mirrors.opened, 3);
    reload_well(fixture, "[a]\nuri = mirror:\n[namespaces]\nmain = @a\n");
    assert_int_equal(mirrors.opened, 3);
}

static void a_handle_stays_and_leads_to_its_new_cache(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = memory:\nmembers = memory:\n");
    struct larder_cache *members = bind(fixture, "members");
    const struct larder_traits *before = larder_describe(members);
    set(members, "k");
    reload_well(fixture, "[namespaces]\nmain = memory:\nmembers = null:\n");
    assert_status(LARDER_MISS, look(members, "k"));
    set(members, "k");
    assert_status(LARDER_MISS, look(members, "k"));
    assert_ptr_equal(bind(fixture, "members"), members);
    assert_int_equal(larder_describe(members)->promises & LARDER_KEEPS_UNTIL_EVICTED, 0);
    assert_int_not_equal(before->promises & LARDER_KEEPS_UNTIL_EVICTED, 0); /* still readable */
    reload_well(fixture, "[namespaces]\nmain = memory:\nmembers = memory:\n");
    assert_status(LARDER_MISS, look(members, "k"));
    set(members, "k");
    assert_status(LARDER_OK, look(members, "k"));
}

static void a_view_outlives_the_cache_that_a_reload_took_away(void **state)
{
    struct fixture *fixture = *state;
    struct larder_value value = {0};
    open_text(fixture, "[namespaces]\nmain = memory:\n");
    char large[8192] = "large";
    assert_status(LARDER_OK, larder_set(fixture->client, larder_text("k"),
                                        larder_bytes(large, sizeof(large)), 0));
    assert_status(LARDER_OK, larder_get(fixture->client, larder_text("k"), &value));
    reload_well(fixture, "[namespaces]\nmain = null:\n");
    assert_memory_equal(value.bytes.data, large, sizeof(large));
    larder_close(fixture->client);
    fixture->client = NULL;
    assert_memory_equal(value.bytes.data, large, sizeof(large));
    larder_value_release(&value);
}

static void options_of_the_client_change_with_the_file(void **state)
{
    struct fixture *fixture = *state;
    uint64_t weight;
    open_text(fixture, "[namespaces]\nmain = mirror:\none = mirror:?weight=7\n");
    reload_well(fixture, "[client]\ndefault_namespace = one\nerrors = miss\n"
                         "[namespaces]\nmain = mirror:\none = mirror:?weight=7\n");
    assert_int_equal(weight_of(fixture->client), 7);
    assert_ptr_equal(larder__target(fixture->client), larder__target(bind(fixture, "one")));
    assert_ptr_equal(bind(fixture, NULL), bind(fixture, "one"));
    assert_int_equal(larder__hides_errors(bind(fixture, "main")), 1);
    assert_int_equal(mirrors.opened, 2);
    reload_well(fixture, "[namespaces]\nmain = mirror:\none = mirror:?weight=7\n");
    assert_status(LARDER_OK, larder_read(fixture->client, larder_text("k"), &weight, 8, NULL));
    assert_int_equal(weight, 1);
    assert_int_equal(larder__hides_errors(bind(fixture, "main")), 0);
}

static void figures_go_on_over_a_reload(void **state)
{
    struct fixture *fixture = *state;
    struct larder_stat rows[64];
    size_t count;
    open_text(fixture, "[namespaces]\nmain = memory:\n");
    set(fixture->client, "k");
    reload_well(fixture, "[namespaces]\nmain = null:\n");
    set(fixture->client, "k");
    assert_status(LARDER_OK, larder_stats(fixture->client, rows, 64, &count));
    uint64_t stored = 0;
    for (size_t i = 0; i < count && i < 64; i++)
        if (strcmp(rows[i].name, "store.OK") == 0)
            stored = rows[i].value;
    assert_int_equal(stored, 2);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void a_name_out_of_the_map_is_a_bad_argument_until_it_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *again;
    open_text(fixture, "[namespaces]\nmain = memory:\nmembers = memory:\n");
    struct larder_cache *members = bind(fixture, "members");
    set(members, "k");
    reload_well(fixture, "[namespaces]\nmain = memory:\n");
    assert_status(LARDER_BAD_ARGUMENT, look(members, "k"));
    assert_status(LARDER_BAD_ARGUMENT, larder_flush(members));
    assert_status(LARDER_BAD_ARGUMENT, larder_acquire(members, 0, 0, &again));
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(fixture->client, "members", &again));
    assert_non_null(larder_describe(members));
    reload_well(fixture, "[namespaces]\nmain = memory:\n* = memory:\n");
    assert_ptr_equal(bind(fixture, "members"), members);
    assert_status(LARDER_MISS, look(members, "k"));
    set(members, "k");
    assert_status(LARDER_OK, look(members, "k"));
}

static void a_name_that_comes_back_to_a_cache_finds_nothing_of_before(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\nx = @hot\n");
    struct larder_cache *view = bind(fixture, "x");
    set(view, "k");
    set(fixture->client, "k");
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\nx = null:\n");
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\nx = @hot\n");
    assert_status(LARDER_MISS, look(view, "k"));
    assert_status(LARDER_OK, look(fixture->client, "k"));
    set(view, "k");
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\n");
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\n* = @hot\n");
    assert_status(LARDER_MISS, look(view, "k"));
    set(view, "k");
    reload_well(fixture, "[hot]\nuri = memory:\n[namespaces]\nmain = @hot\nx = @hot\n");
    assert_status(LARDER_OK, look(view, "k")); /* it never left */
}

/* ---- a file that is wrong -------------------------------------------------------------------- */

static void a_bad_file_changes_nothing_and_says_why(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"[namespaces\nmain = null:\n", ":1:"},
        {"[namespaces]\nmain = mirror:?weigth=3\n", "did you mean weight"},
        {"[namespaces]\nmain = nothing:\n", "nothing"},
        {"[a]\nuri = null:\n[namespaces]\nmain = mirror:?weight=9\n", "nothing refers to [a]"},
        {"[namespaces]\nmain = mirror:?weight=9\nx = mirror:?broken=on\n", ":3:"},
        {"[namespaces]\nx = mirror:?weight=9\n", "lacks the default namespace main"},
        {"", "no section [namespaces]"},
    };
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = mirror:\nx = memory:\n");
    struct larder_cache *view = bind(fixture, "x");
    set(view, "k");
    const struct target *target = larder__target(view);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(LARDER_BAD_ARGUMENT, reload_text(fixture, bad[i].text));
        if (strstr(fixture->message, bad[i].why) == NULL)
            fail_msg("%s", fixture->message);
        assert_non_null(strstr(fixture->message, fixture->path));
        assert_int_equal(weight_of(fixture->client), 1);
        assert_status(LARDER_OK, look(view, "k"));
        assert_ptr_equal(larder__target(view), target);
    }
    assert_int_equal(mirrors.opened - mirrors.closed, 1);
    unlink(fixture->path);
    assert_status(LARDER_UNAVAILABLE, larder_reload(fixture->client, NULL, fixture->message, 256));
    assert_non_null(strstr(fixture->message, "No such file"));
    assert_int_equal(weight_of(fixture->client), 1);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\nx = memory:\n");
    assert_int_equal(weight_of(fixture->client), 2);
    assert_status(LARDER_OK, look(view, "k"));
}

static void a_file_elsewhere_takes_the_place_of_the_first_if_it_is_good(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    write_file(fixture->other_path, "[namespaces]\nmain = mirror:?weight=\n");
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_reload(fixture->client, fixture->other_path, fixture->message, 256));
    assert_non_null(strstr(fixture->message, "other.conf:2:"));
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_int_equal(weight_of(fixture->client), 2);
    write_file(fixture->other_path, "[namespaces]\nmain = mirror:?weight=3\n");
    assert_status(LARDER_OK, larder_reload(fixture->client, fixture->other_path, NULL, 0));
    assert_int_equal(weight_of(fixture->client), 3);
    write_file(fixture->other_path, "[namespaces]\nmain = mirror:?weight=4\n");
    assert_status(LARDER_OK, larder_reload(fixture->client, NULL, NULL, 0));
    assert_int_equal(weight_of(fixture->client), 4);
}

static void a_relative_path_means_the_folder_of_the_opening(void **state)
{
    struct fixture *fixture = *state;
    char here[4096];
    assert_non_null(getcwd(here, sizeof(here)));
    write_file(fixture->path, "[namespaces]\nmain = mirror:\n");
    assert_int_equal(chdir(fixture->folder), 0);
    assert_status(LARDER_OK, larder_open_file("caches.conf", NULL, &fixture->client, NULL, 0));
    assert_int_equal(chdir(here), 0);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_int_equal(weight_of(fixture->client), 2);
    assert_status(LARDER_BAD_ARGUMENT, reload_text(fixture, "[namespaces]\nmain = mirror:?w=2\n"));
    assert_int_equal(strncmp(fixture->message, "caches.conf:2:", 14), 0);
}

static void what_has_no_file_is_not_reloaded(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *leaf, *client, *session;
    char message[256] = "";
    assert_status(LARDER_OK, larder_open("memory:", NULL, &leaf, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(leaf, NULL, message, sizeof(message)));
    assert_non_null(strstr(message, "larder_open_file"));
    const struct larder_route route = {"main", leaf, LARDER_TTL_DEFAULT, 0};
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(client, NULL, message, sizeof(message)));
    assert_non_null(strstr(message, "opened from routes"));
    larder_close(client);
    open_text(fixture, "[namespaces]\nmain = memory:\n");
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(NULL, NULL, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(bind(fixture, "main"), NULL, NULL, 0));
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(session, NULL, NULL, 0));
    larder_release(session);
}

static void after_a_shutdown_a_reload_is_closed(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    larder_shutdown(fixture->client);
    assert_status(LARDER_CLOSED, reload_text(fixture, "[namespaces]\nmain = mirror:?weight=2\n"));
    assert_string_not_equal(fixture->message, "");
    assert_status(LARDER_CLOSED, look(fixture->client, "k"));
    assert_int_equal(mirrors.opened, 1);
}

/* ---- calls under way ------------------------------------------------------------------------- */

/* The next call of a mirror is overtaken by a reload with this text. */
static void overtake(struct fixture *fixture, const char *text)
{
    write_file(fixture->other_path, text);
    mirrors.path = fixture->other_path;
    mirrors.reloaded = fixture->client;
}

static void a_call_that_a_reload_overtakes_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    struct larder_value value = {0};
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    overtake(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_int_equal(weight_of(fixture->client), 2);
    overtake(fixture, "[namespaces]\nmain = mirror:?weight=3\n");
    assert_status(LARDER_OK, larder_get(fixture->client, larder_text("k"), &value));
    assert_int_equal(*(const uint64_t *)value.bytes.data, 3);
    larder_value_release(&value);
    overtake(fixture, "[namespaces]\nmain = memory:\n");
    assert_status(LARDER_OK, larder_set(fixture->client, larder_text("k"), larder_text("v"), 0));
    assert_status(LARDER_OK, look(fixture->client, "k"));
}

static void a_call_that_loses_its_namespace_says_so(void **state)
{
    struct fixture *fixture = *state;
    uint64_t weight;
    open_text(fixture, "[namespaces]\nmain = mirror:\nx = mirror:\n");
    struct larder_cache *view = bind(fixture, "x");
    overtake(fixture, "[namespaces]\nmain = mirror:\n");
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_read(view, larder_text("k"), &weight, sizeof(weight), NULL));
}

static void rows_that_a_reload_overtakes_are_asked_again(void **state)
{
    struct fixture *fixture = *state;
    uint64_t weights[3] = {0, 0, 0};
    struct larder_row rows[3] = {{.key = larder_text("a"), .buffer = &weights[0], .size = 8},
                                 {.key = larder_bytes(NULL, 0)},
                                 {.key = larder_text("c"), .buffer = &weights[2], .size = 8}};
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    overtake(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_status(LARDER_BAD_KEY, larder_read_multi(fixture->client, rows, 3));
    assert_status(LARDER_OK, rows[0].status);
    assert_status(LARDER_BAD_KEY, rows[1].status);
    assert_status(LARDER_OK, rows[2].status);
    assert_int_equal(weights[0], 2);
    assert_int_equal(weights[2], 2);
}

static void a_version_of_the_cache_before_fits_nothing_in_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    open_text(fixture, "[namespaces]\nmain = memory:?buckets=7\n");
    set(fixture->client, "k");
    assert_status(LARDER_PARTIAL, larder_read(fixture->client, larder_text("k"), NULL, 0, &info));
    reload_well(fixture, "[namespaces]\nmain = memory:?buckets=8\n");
    set(fixture->client, "k");
    assert_status(LARDER_CONFLICT,
                  larder_cas(fixture->client, larder_text("k"), larder_text("w"), 0, info.version));
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void a_session_that_holds_nothing_follows_a_cache_that_was_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *session, *bound, *kept;
    open_text(fixture, "[namespaces]\nmain = mirror:\nx = mirror:?weight=5\ny = memory:\n");
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    assert_status(LARDER_OK, larder_bind(session, "x", &bound));
    assert_status(LARDER_OK, larder_bind(session, "y", &kept));
    set(kept, "k");
    reload_well(fixture,
                "[namespaces]\nmain = mirror:?weight=2\nx = mirror:?weight=6\ny = memory:\n");
    assert_int_equal(weight_of(session), 2);
    assert_int_equal(weight_of(bound), 6);
    assert_status(LARDER_OK, look(kept, "k"));
    assert_status(LARDER_OK, larder_bind(session, "x", &kept));
    assert_ptr_equal(kept, bound);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=3\n");
    assert_int_equal(weight_of(session), 3);
    assert_status(LARDER_BAD_ARGUMENT, look(bound, "k"));
    assert_non_null(larder_describe(bound));
    larder_shutdown(fixture->client);
    assert_status(LARDER_CLOSED, look(session, "k"));
    larder_release(session);
}

/* ---- when it is freed ------------------------------------------------------------------------ */

static void a_cache_is_closed_when_the_calls_in_it_are_over(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    overtake(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_int_equal(weight_of(fixture->client), 2); /* its first try stood in the one before */
    assert_int_equal(mirrors.shut, 1);
    assert_int_equal(mirrors.closed, 0);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_int_equal(mirrors.closed, 1);
}

static void a_cache_is_closed_when_the_sessions_that_saw_it_see_others(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *session, *bound;
    open_text(fixture, "[namespaces]\nmain = mirror:\nx = mirror:?weight=5\n");
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    assert_status(LARDER_OK, larder_bind(session, "x", &bound));
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\nx = mirror:?weight=6\n");
    assert_int_equal(mirrors.closed, 0);
    assert_int_equal(weight_of(bound), 6);
    assert_int_equal(weight_of(session), 2); /* what it acquired goes back where it came from */
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\nx = mirror:?weight=6\n");
    assert_int_equal(mirrors.closed, 1);
    larder_release(session);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\nx = mirror:?weight=6\n");
    assert_int_equal(mirrors.closed, 2);
}

static void a_name_that_left_the_map_keeps_what_it_led_to_until_it_is_back(void **state)
{
    struct fixture *fixture = *state;
    open_text(fixture, "[namespaces]\nmain = null:\nx = mirror:\n");
    struct larder_cache *view = bind(fixture, "x");
    for (int i = 0; i < 3; i++) {
        reload_well(fixture, "[namespaces]\nmain = null:\n");
        assert_status(LARDER_BAD_ARGUMENT, look(view, "k"));
        assert_int_equal(mirrors.closed, i);
        reload_well(fixture, "[namespaces]\nmain = null:\nx = mirror:?weight=2\n");
        assert_int_equal(weight_of(view), 2);
        assert_int_equal(mirrors.closed, i + 1);
    }
}

/* AddressSanitizer sees whoever reads what is gone. */
static void what_was_described_stays_readable(void **state)
{
    struct fixture *fixture = *state;
    const struct larder_traits *described[8];
    char text[128];
    open_text(fixture, "[namespaces]\nmain = memory:\n");
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "[namespaces]\nmain = memory:?max_ttl=%ds\n", i / 2 + 1);
        reload_well(fixture, text);
        described[i] = larder_describe(fixture->client);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(described[i]->ttl_max_ms, 1000 * (i / 2 + 1));
        assert_ptr_equal(described[i], described[i / 2 * 2]); /* the same is kept once */
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void so_many_replaced_caches_may_be_in_use_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *sessions[3];
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    larder__client_limit_retired(fixture->client->client, 2, 9);
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &sessions[0]));
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=2\n");
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &sessions[1]));
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=3\n");
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &sessions[2]));
    assert_status(LARDER_TOO_LARGE,
                  reload_text(fixture, "[namespaces]\nmain = mirror:?weight=4\n"));
    assert_non_null(strstr(fixture->message, "let them end"));
    assert_int_equal(weight_of(fixture->client), 3);
    assert_int_equal(mirrors.opened - mirrors.closed, 3);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=3\n"); /* replaces nothing */
    larder_release(sessions[0]);
    reload_well(fixture, "[namespaces]\nmain = mirror:?weight=4\n");
    assert_status(LARDER_TOO_LARGE,
                  reload_text(fixture, "[client]\nnamespace_poll = 2s\n"
                                       "[namespaces]\nmain = mirror:?weight=4\n"));
    larder_release(sessions[1]);
    larder_release(sessions[2]);
}

/* A reload replaces the map and here one handle's lead; two sessions hold one each. */
static void so_many_replaced_handles_may_be_in_use_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *sessions[2];
    open_text(fixture, "[namespaces]\nmain = null:?default_ttl=1s\n");
    larder__client_limit_retired(fixture->client->client, 9, 3);
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &sessions[0]));
    reload_well(fixture, "[namespaces]\nmain = null:?default_ttl=2s\n");
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &sessions[1]));
    reload_well(fixture, "[namespaces]\nmain = null:?default_ttl=3s\n");
    assert_status(LARDER_TOO_LARGE,
                  reload_text(fixture, "[namespaces]\nmain = null:?default_ttl=4s\n"));
    larder_release(sessions[0]);
    reload_well(fixture, "[namespaces]\nmain = null:?default_ttl=4s\n");
    larder_release(sessions[1]);
}

/* The last that can fail: caches are open, a handle for the new default namespace is made. What it
 * led to is gone: AddressSanitizer sees whoever still looks there. */
static void a_reload_that_fails_at_its_end_leaves_nothing_of_it(void **state)
{
    static const char *const other = "[client]\ndefault_namespace = new\nnamespace_poll = 2s\n"
                                     "[a]\nuri = mirror:\n"
                                     "[namespaces]\nnew = @a\nx = mirror:?weight=2\n";
    struct fixture *fixture = *state;
    struct larder_cache *view, *session;
    open_text(fixture, "[a]\nuri = mirror:\n[namespaces]\nmain = @a\nx = mirror:?weight=3\n");
    larder__client_limit_retired(fixture->client->client, 0, 9);
    assert_status(LARDER_TOO_LARGE, reload_text(fixture, other));
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(fixture->client, "new", &view));
    assert_int_equal(weight_of(bind(fixture, "x")), 3);
    assert_int_equal(mirrors.opened - mirrors.closed, 2);
    larder__client_limit_retired(fixture->client->client, 9, 9);
    assert_status(LARDER_OK, larder_acquire(bind(fixture, "x"), 0, 0, &session));
    reload_well(fixture, other);
    assert_int_equal(weight_of(fixture->client), 1);
    assert_int_equal(weight_of(bind(fixture, "x")), 2);
    assert_int_equal(mirrors.opened - mirrors.closed, 3);
    larder_release(session);
}

/* ---- two at once ----------------------------------------------------------------------------- */

static void *reload_often(void *context)
{
    struct fixture *fixture = context;
    for (int i = 0; i < 200; i++)
        if (larder_reload(fixture->client, i % 2 ? fixture->path : fixture->other_path, NULL, 0) !=
            LARDER_OK)
            return fixture;
    return NULL;
}

static void two_reloads_at_once_come_one_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[4];
    open_text(fixture, "[namespaces]\nmain = mirror:\n");
    write_file(fixture->other_path, "[namespaces]\nmain = mirror:?weight=2\nx = null:\n");
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reload_often, fixture), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_status(LARDER_OK, larder_reload(fixture->client, fixture->path, NULL, 0));
    assert_int_equal(weight_of(fixture->client), 1);
    assert_int_equal(mirrors.opened - mirrors.shut, 1);
}

#define RELOAD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(a_section_that_means_the_same_keeps_its_entries),
        RELOAD_TEST(a_section_whose_ttls_alone_changed_keeps_its_entries),
        RELOAD_TEST(a_maximum_ttl_that_a_section_was_opened_with_ends_with_it),
        RELOAD_TEST(a_section_that_changed_gets_a_cache_that_follows_the_old_one),
        RELOAD_TEST(only_what_stood_in_the_same_place_is_followed),
        RELOAD_TEST(a_section_with_a_secret_is_opened_anew),
        RELOAD_TEST(a_handle_stays_and_leads_to_its_new_cache),
        RELOAD_TEST(a_view_outlives_the_cache_that_a_reload_took_away),
        RELOAD_TEST(options_of_the_client_change_with_the_file),
        RELOAD_TEST(figures_go_on_over_a_reload),
        RELOAD_TEST(a_name_out_of_the_map_is_a_bad_argument_until_it_comes_back),
        RELOAD_TEST(a_name_that_comes_back_to_a_cache_finds_nothing_of_before),
        RELOAD_TEST(a_bad_file_changes_nothing_and_says_why),
        RELOAD_TEST(a_file_elsewhere_takes_the_place_of_the_first_if_it_is_good),
        RELOAD_TEST(a_relative_path_means_the_folder_of_the_opening),
        RELOAD_TEST(what_has_no_file_is_not_reloaded),
        RELOAD_TEST(after_a_shutdown_a_reload_is_closed),
        RELOAD_TEST(a_call_that_a_reload_overtakes_is_made_again),
        RELOAD_TEST(a_call_that_loses_its_namespace_says_so),
        RELOAD_TEST(rows_that_a_reload_overtakes_are_asked_again),
        RELOAD_TEST(a_version_of_the_cache_before_fits_nothing_in_the_next),
        RELOAD_TEST(a_session_that_holds_nothing_follows_a_cache_that_was_replaced),
        RELOAD_TEST(a_cache_is_closed_when_the_calls_in_it_are_over),
        RELOAD_TEST(a_cache_is_closed_when_the_sessions_that_saw_it_see_others),
        RELOAD_TEST(a_name_that_left_the_map_keeps_what_it_led_to_until_it_is_back),
        RELOAD_TEST(what_was_described_stays_readable),
        RELOAD_TEST(so_many_replaced_caches_may_be_in_use_and_no_more),
        RELOAD_TEST(so_many_replaced_handles_may_be_in_use_and_no_more),
        RELOAD_TEST(a_reload_that_fails_at_its_end_leaves_nothing_of_it),
        RELOAD_TEST(two_reloads_at_once_come_one_after_the_other),
    };
    if (larder_register_backend(&mirror_backend) != LARDER_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
