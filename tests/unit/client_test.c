/* Clients over caches that keep namespaces apart themselves, and what a client does as a whole. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/client.h>
#include <larder/memory.h>
#include <larder/null.h>

#include "clock.h"
#include "fake_servers.h"
#include "handle.h"

static struct larder_cache *memory_leaf(const struct larder_open_options *options)
{
    struct larder_cache *leaf;
    assert_status(LARDER_OK, larder_memory_open(NULL, options, &leaf, NULL, 0));
    return leaf;
}

static struct larder_cache *open_client(const struct larder_route *routes, size_t count)
{
    struct larder_cache *client;
    char message[256];
    enum larder_status status =
        larder_client_open(NULL, NULL, routes, count, &client, message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("%s", message);
    return client;
}

static struct larder_cache *bind(struct larder_cache *client, const char *name)
{
    struct larder_cache *view;
    assert_status(LARDER_OK, larder_bind(client, name, &view));
    return view;
}

static void set(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, larder_text(key), larder_text(value), 0));
}

static enum larder_status present(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

static void names_lead_to_their_caches_and_caches_may_be_shared(void **state)
{
    (void)state;
    struct larder_cache *hot = memory_leaf(NULL), *off;
    assert_status(LARDER_OK, larder_null_open(NULL, &off, NULL, 0));
    struct larder_route routes[] = {{"main", hot, LARDER_TTL_DEFAULT, 0},
                                    {"membership", hot, LARDER_TTL_DEFAULT, 0},
                                    {"funds", off, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 3);
    set(client, "k", "main");
    set(bind(client, "membership"), "k", "membership");
    set(bind(client, "funds"), "k", "funds");
    assert_status(LARDER_OK, present(client, "k"));
    assert_status(LARDER_MISS, present(bind(client, "funds"), "k"));
    assert_status(LARDER_OK, larder_delete(client, larder_text("k"), 0));
    assert_status(LARDER_OK, present(bind(client, "membership"), "k"));
    larder_close(client);
}

static void flushing_a_namespace_leaves_the_others_and_flushing_the_client_none(void **state)
{
    (void)state;
    struct larder_cache *hot = memory_leaf(NULL), *cold = memory_leaf(NULL);
    struct larder_route routes[] = {{"main", hot, LARDER_TTL_DEFAULT, 0},
                                    {"second", hot, LARDER_TTL_DEFAULT, 0},
                                    {"*", cold, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 3);
    struct larder_cache *second = bind(client, "second"), *other = bind(client, "other");
    set(client, "k", "1");
    set(second, "k", "2");
    set(other, "k", "3");
    assert_status(LARDER_OK, larder_flush(second));
    assert_status(LARDER_OK, present(client, "k"));
    assert_status(LARDER_MISS, present(second, "k"));
    assert_status(LARDER_OK, present(other, "k"));
    assert_status(LARDER_OK, larder_flush(client));
    assert_status(LARDER_MISS, present(client, "k"));
    assert_status(LARDER_MISS, present(other, "k"));
    larder_close(client);
}

static void flushing_a_client_reaches_every_cache_also_when_one_fails(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *broken, *hot = memory_leaf(NULL);
    memset(&servers, 0, sizeof(servers));
    servers.count = 1;
    assert_status(LARDER_OK, fake_servers_open(&servers, NULL, &broken));
    struct larder_route routes[] = {{"broken", broken, LARDER_TTL_DEFAULT, 0},
                                    {"main", hot, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 2);
    set(client, "k", "v");
    servers.status[0] = LARDER_UNAVAILABLE;
    assert_status(LARDER_UNAVAILABLE, larder_flush(client));
    assert_status(LARDER_MISS, present(client, "k"));
    larder_close(client);
}

static void a_star_takes_names_without_a_line_of_their_own(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *leaf;
    memset(&servers, 0, sizeof(servers));
    servers.count = 1;
    assert_status(LARDER_OK, fake_servers_open(&servers, NULL, &leaf));
    struct larder_route routes[] = {{"*", leaf, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 1);
    struct larder_cache *any = bind(client, "any"), *bound;
    assert_ptr_equal(any, bind(client, "any"));
    set(any, "k", "v");
    set(client, "k", "v");
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(client, "*", &bound));
    /* bound names are flushed, too; those that only others know can't be */
    assert_status(LARDER_UNSUPPORTED, larder_flush(client));
    assert_status(LARDER_MISS, present(any, "k"));
    assert_status(LARDER_MISS, present(client, "k"));
    larder_close(client);
}

static void a_namespace_has_a_default_and_a_maximum_ttl_of_its_own(void **state)
{
    (void)state;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.max_ttl_ms = 10000;
    options.default_ttl_ms = 8000;
    struct larder_cache *leaf = memory_leaf(&options);
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                    {"short", leaf, 2000, 3000},
                                    {"long", leaf, 20000, 50000}};
    struct larder_cache *client = open_client(routes, 3);
    const struct {
        const char *name;
        int64_t by_default, for_ever;
    } expected[] = {{"main", 8000, 10000}, {"short", 2000, 3000}, {"long", 10000, 10000}};
    for (size_t i = 0; i < 3; i++) {
        struct larder_cache *view = bind(client, expected[i].name);
        struct larder_info info = {.want = LARDER_WANT_TTL};
        char buffer[8];
        assert_status(LARDER_OK,
                      larder_set(view, larder_text("d"), larder_text("v"), LARDER_TTL_DEFAULT));
        assert_status(LARDER_OK, larder_read(view, larder_text("d"), buffer, 8, &info));
        assert_in_range(info.ttl_ms, expected[i].by_default - 1000, expected[i].by_default);
        assert_status(LARDER_OK, larder_set(view, larder_text("f"), larder_text("v"), 0));
        assert_status(LARDER_OK, larder_read(view, larder_text("f"), buffer, 8, &info));
        assert_in_range(info.ttl_ms, expected[i].for_ever - 1000, expected[i].for_ever);
    }
    larder_close(client);
}

static void expect_refusal(const struct larder_client_options *options,
                           const struct larder_route *routes, size_t count, const char *word)
{
    struct larder_cache *client;
    char message[256];
    assert_status(LARDER_BAD_ARGUMENT, larder_client_open(options, NULL, routes, count, &client,
                                                          message, sizeof(message)));
    assert_null(client);
    if (strstr(message, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message, word);
}

static void a_map_that_cannot_be_is_refused_and_the_caches_stay_the_callers(void **state)
{
    (void)state;
    struct larder_open_options hiding = LARDER_OPEN_OPTIONS_INIT;
    hiding.errors_as_miss = 1;
    struct larder_cache *leaf = memory_leaf(NULL), *hidden = memory_leaf(&hiding);
    struct larder_client_options options = LARDER_CLIENT_OPTIONS_INIT;

    expect_refusal(NULL, NULL, 0, "main");
    struct larder_route other[] = {{"other", leaf, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, other, 1, "main");
    struct larder_route twice[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                   {"main", leaf, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, twice, 2, "twice");
    struct larder_route bad_name[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                      {"a:b", leaf, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, bad_name, 2, "a:b");
    bad_name[1].name = "a-name-of-thirty-three-characters";
    expect_refusal(NULL, bad_name, 2, "32");
    bad_name[1].name = "a-name-of-thirty-two-characters-";
    bad_name[1].max_ttl_ms = -1;
    expect_refusal(NULL, bad_name, 2, "TTL");
    struct larder_route hides[] = {{"main", hidden, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, hides, 1, "errors=miss");
    struct larder_route none[] = {{"main", NULL, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, none, 1, "main");
    options.namespace_poll_ms = 0;
    expect_refusal(&options, other, 1, "namespace_poll");
    options = (struct larder_client_options)LARDER_CLIENT_OPTIONS_INIT;
    options.default_namespace = "no good";
    expect_refusal(&options, other, 1, "default_namespace");

    struct larder_route good[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(good, 1);
    expect_refusal(NULL, good, 1, "another client");
    struct larder_route nested[] = {{"main", client, LARDER_TTL_DEFAULT, 0}};
    expect_refusal(NULL, nested, 1, "main");
    larder_close(client);
    larder_close(hidden);
}

static void statistics_of_a_client_sum_its_namespaces_and_name_each_caches_rows(void **state)
{
    (void)state;
    struct larder_cache *leaf = memory_leaf(NULL);
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                    {"second", leaf, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 2);
    set(client, "a", "1");
    set(bind(client, NULL), "b", "1");
    set(bind(client, "second"), "c", "1");
    struct larder_stat rows[256];
    size_t count;
    uint64_t stores = 0, items = 0;
    assert_status(LARDER_OK, larder_stats(client, rows, 256, &count));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, "store.OK") == 0)
            stores = rows[i].value;
        if (strcmp(rows[i].name, "main.items") == 0)
            items = rows[i].value;
    }
    assert_int_equal(3, stores);
    assert_int_equal(3, items);
    size_t again;
    assert_status(LARDER_OK, larder_stats(client, NULL, 0, &again));
    assert_int_equal(count, again);
    larder_close(client);
}

static void shutting_a_client_down_closes_its_namespaces_and_sessions(void **state)
{
    (void)state;
    struct larder_route routes[] = {{"main", memory_leaf(NULL), LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 1), *session, *view = bind(client, "main");
    set(client, "k", "v");
    struct larder_value kept = {0};
    assert_status(LARDER_OK, larder_get(view, larder_text("k"), &kept));
    assert_status(LARDER_OK, larder_acquire(view, 0, 0, &session));
    larder_shutdown(view); /* not a root: nothing happens */
    assert_status(LARDER_OK, present(session, "k"));
    larder_shutdown(client);
    assert_status(LARDER_CLOSED, present(client, "k"));
    assert_status(LARDER_CLOSED, present(view, "k"));
    assert_status(LARDER_CLOSED, present(session, "k"));
    assert_status(LARDER_CLOSED, larder_bind(client, "main", &view));
    assert_status(LARDER_CLOSED, larder_flush(client));
    larder_release(session);
    larder_close(client);
    assert_slice("v", kept.bytes);
    larder_value_release(&kept);
}

#ifdef LARDER_WITH_MEMCACHED
static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[256];
    size_t count;
    assert_status(LARDER_OK, larder_stats(cache, rows, 256, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("no figure %s", name);
    return 0;
}

/* The one member of a pool whose server isn't there: who has it is told that, others wait for it.
 */
static void a_namespace_bound_through_a_session_uses_its_member(void **state)
{
    (void)state;
    struct larder_cache *pool, *session, *inside, *again, *unknown;
    assert_status(LARDER_OK, larder_open("pooled-memcached:///nowhere/at.sock?size=1&timeout=50ms",
                                         NULL, &pool, NULL, 0));
    struct larder_route routes[] = {{"main", pool, LARDER_TTL_DEFAULT, 0},
                                    {"members", pool, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 2);
    assert_status(LARDER_OK, larder_acquire(client, 0, 0, &session));
    assert_status(LARDER_OK, larder_bind(session, "members", &inside));
    assert_status(LARDER_OK, larder_bind(session, "members", &again));
    assert_ptr_equal(inside, again);
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(session, "nobody", &unknown));
    struct larder_cache *second;
    assert_status(LARDER_TIMEOUT, larder_acquire(client, 0, 0, &second)); /* not for ever */
    struct larder_session *held = larder__target(session)->scope.session;
    assert_ptr_equal(held, larder__target(inside)->scope.session);
    assert_non_null(held->member);
    assert_status(LARDER_UNAVAILABLE, present(inside, "k"));
    assert_int_equal(1, figure(client, "main.pool.timeouts")); /* the acquire; nobody else waited */
    assert_int_equal(1, figure(client, "main.pool.acquired"));
    larder_shutdown(client);
    assert_status(LARDER_CLOSED, present(inside, "k"));
    larder_release(session);
    larder_close(client);
}
#endif

static void a_session_of_a_namespace_binds_others_too(void **state)
{
    (void)state;
    struct larder_route routes[] = {{"*", memory_leaf(NULL), LARDER_TTL_DEFAULT, 0},
                                    {"main", memory_leaf(NULL), LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 2), *session, *inside, *view;
    assert_status(LARDER_OK, larder_acquire(bind(client, "one"), 0, 0, &session));
    assert_status(LARDER_OK, larder_bind(session, "two", &inside));
    set(inside, "k", "v");
    assert_status(LARDER_OK, present(bind(client, "two"), "k"));
    assert_status(LARDER_MISS, present(session, "k"));
    assert_status(LARDER_BAD_ARGUMENT, larder_bind(inside, "three", &view));
    larder_close(inside); /* the session's */
    assert_status(LARDER_OK, present(inside, "k"));
    larder_release(session);
    larder_close(client);
}

static void a_client_may_hide_errors_for_all_its_namespaces(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *leaf, *client;
    memset(&servers, 0, sizeof(servers));
    servers.count = 1;
    assert_status(LARDER_OK, fake_servers_open(&servers, NULL, &leaf));
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.errors_as_miss = 1;
    struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                    {"*", leaf, LARDER_TTL_DEFAULT, 0}};
    assert_status(LARDER_OK, larder_client_open(NULL, &options, routes, 2, &client, NULL, 0));
    servers.status[0] = LARDER_TIMEOUT;
    assert_status(LARDER_MISS, present(client, "k"));
    assert_status(LARDER_MISS, present(bind(client, "x"), "k"));
    assert_status(LARDER_UNAVAILABLE, larder_delete(client, larder_text("k"), 0));
    larder_close(client);
}

static void namespaces_are_bounded(void **state)
{
    (void)state;
    struct larder_cache *off, *view;
    assert_status(LARDER_OK, larder_null_open(NULL, &off, NULL, 0));
    struct larder_route routes[] = {{"*", off, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 1);
    char name[16];
    for (unsigned i = 0; i < LARDER_NAMESPACES_MAX - 1; i++) { /* the default one is bound */
        snprintf(name, sizeof(name), "n%u", i);
        assert_status(LARDER_OK, larder_bind(client, name, &view));
    }
    assert_status(LARDER_TOO_LARGE, larder_bind(client, "one-more", &view));
    assert_status(LARDER_OK, larder_bind(client, "n0", &view));
    larder_close(client);
}

/* ---- threads and processes ----------------------------------------------------------------- */

struct binder {
    struct larder_cache *client;
    struct larder_cache *bound[100];
};

static void *bind_a_hundred(void *context)
{
    struct binder *binder = context;
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        if (larder_bind(binder->client, name, &binder->bound[i]) != LARDER_OK)
            binder->bound[i] = NULL;
    }
    return NULL;
}

static void threads_that_bind_one_name_get_one_handle(void **state)
{
    (void)state;
    struct larder_route routes[] = {{"*", memory_leaf(NULL), LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 1);
    struct binder binders[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        binders[i].client = client;
        assert_int_equal(0, pthread_create(&threads[i], NULL, bind_a_hundred, &binders[i]));
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 100; i++) {
        assert_non_null(binders[0].bound[i]);
        for (int j = 1; j < 4; j++)
            assert_ptr_equal(binders[0].bound[i], binders[j].bound[i]);
    }
    larder_close(client);
}

static void after_a_fork_the_childs_client_is_a_copy_that_works(void **state)
{
    (void)state;
    struct larder_route routes[] = {{"main", memory_leaf(NULL), LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = open_client(routes, 1);
    set(client, "k", "parent");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct larder_cache *view;
        int good = larder_bind(client, "main", &view) == LARDER_OK &&
                   present(view, "k") == LARDER_OK &&
                   larder_delete(view, larder_text("k"), 0) == LARDER_OK &&
                   present(client, "k") == LARDER_MISS;
        larder_close(client);
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_status(LARDER_OK, present(client, "k"));
    larder_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_their_caches_and_caches_may_be_shared),
        cmocka_unit_test(flushing_a_namespace_leaves_the_others_and_flushing_the_client_none),
        cmocka_unit_test(flushing_a_client_reaches_every_cache_also_when_one_fails),
        cmocka_unit_test(a_star_takes_names_without_a_line_of_their_own),
        cmocka_unit_test(a_namespace_has_a_default_and_a_maximum_ttl_of_its_own),
        cmocka_unit_test(a_map_that_cannot_be_is_refused_and_the_caches_stay_the_callers),
        cmocka_unit_test(statistics_of_a_client_sum_its_namespaces_and_name_each_caches_rows),
        cmocka_unit_test(shutting_a_client_down_closes_its_namespaces_and_sessions),
#ifdef LARDER_WITH_MEMCACHED
        cmocka_unit_test(a_namespace_bound_through_a_session_uses_its_member),
#endif
        cmocka_unit_test(a_session_of_a_namespace_binds_others_too),
        cmocka_unit_test(a_client_may_hide_errors_for_all_its_namespaces),
        cmocka_unit_test(namespaces_are_bounded),
        cmocka_unit_test(threads_that_bind_one_name_get_one_handle),
        cmocka_unit_test(after_a_fork_the_childs_client_is_a_copy_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
