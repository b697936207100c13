/* Reloads of caches on servers: what is known of a server stays, connections don't pile up. */
#include "support.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault_proxy.h"
#include "memcached_server.h"
#include "sanitizer.h"

struct fixture {
    char path[64];
    struct memcached_server *server;
    struct larder_cache *client;
};

static void write_file(struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* One section, to which main leads: "scheme:" server "rest". */
static void write_uri(struct fixture *fixture, const char *scheme, const char *rest)
{
    char text[512];
    snprintf(text, sizeof(text),
             "[pool]\nuri = %s:%s\n    %s\ntimeout = 60s\n[namespaces]\nmain = @pool\n", scheme,
             memcached_server_path(fixture->server), rest);
    write_file(fixture, text);
}

static void open_uri(struct fixture *fixture, const char *scheme, const char *rest)
{
    char message[256];
    write_uri(fixture, scheme, rest);
    if (larder_open_file(fixture->path, NULL, &fixture->client, message, sizeof(message)) !=
        LARDER_OK)
        fail_msg("%s", message);
}

static void reload_as_it_is(struct fixture *fixture)
{
    char message[256];
    if (larder_reload(fixture->client, NULL, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
}

static void reload_uri(struct fixture *fixture, const char *scheme, const char *rest)
{
    write_uri(fixture, scheme, rest);
    reload_as_it_is(fixture);
}

static uint64_t figure(struct fixture *fixture, const char *name)
{
    struct larder_stat rows[128];
    size_t count;
    assert_status(LARDER_OK, larder_stats(fixture->client, rows, 128, &count));
    for (size_t i = 0; i < count && i < 128; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return UINT64_MAX;
}

static void set(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, larder_text(key), larder_text(value), 0));
}

static enum larder_status look(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL)
        return 1;
    snprintf(fixture->path, sizeof(fixture->path), "/tmp/larder-reload-XXXXXX");
    int descriptor = mkstemp(fixture->path);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    fixture->server = memcached_server_start(NULL);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    larder_close(fixture->client);
    memcached_server_stop(fixture->server);
    int failed = unlink(fixture->path);
    free(fixture);
    return failed;
}

static const char *const schemes[] = {
    "memcached",
    "pooled-memcached",
#ifdef LARDER_WITH_META
    "meta",
#endif
};
#define SCHEME_COUNT (sizeof(schemes) / sizeof(schemes[0]))

static void entries_stay_on_the_servers_that_stay(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        open_uri(fixture, schemes[i], "?connect_timeout=1s");
        set(fixture->client, "k", "v");
        reload_uri(fixture, schemes[i], "?connect_timeout=2s");
        assert_int_equal(figure(fixture, "main.dials"), 0); /* it is another cache */
        assert_status(LARDER_OK, look(fixture->client, "k"));
        larder_close(fixture->client);
    }
    fixture->client = NULL;
}

/* Which of two servers a key is on is the ring's business: some of these are on the dead one. */
static void ask_for_many(struct fixture *fixture)
{
    char key[16];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        enum larder_status status =
            larder_set(fixture->client, larder_text(key), larder_text("v"), 0);
        assert_true(status == LARDER_OK || status == LARDER_UNAVAILABLE);
    }
}

static void a_server_that_is_down_stays_so_when_the_list_changes(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        open_uri(fixture, schemes[i], ",/nowhere/one.sock?probe=1h");
        ask_for_many(fixture);
        assert_int_equal(figure(fixture, "main.server.0.down"), 0);
        assert_int_equal(figure(fixture, "main.server.1.down"), 1);
        uint64_t failed = figure(fixture, "main.dials_failed");
        assert_int_not_equal(failed, 0);
        reload_uri(fixture, schemes[i], ",/nowhere/two.sock,/nowhere/one.sock?probe=1h");
        assert_int_equal(figure(fixture, "main.server.0.down"), 0);
        assert_int_equal(figure(fixture, "main.server.1.down"), 0);
        assert_int_equal(figure(fixture, "main.server.2.down"), 1);
        ask_for_many(fixture);
        /* the new one was dialled, once; the known one was not */
        assert_int_equal(figure(fixture, "main.dials_failed"), failed + 1);
        reload_uri(fixture, schemes[i], "");
        ask_for_many(fixture);
        assert_int_equal(figure(fixture, "main.server.0.down"), 0);
        assert_int_equal(figure(fixture, "main.server.1.down"), UINT64_MAX);
        larder_close(fixture->client);
    }
    fixture->client = NULL;
}

static void a_list_changes_in_place_below_a_tracker(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        open_uri(fixture, schemes[i], ",/nowhere/one.sock?probe=1h&tracker=on");
        ask_for_many(fixture);
        assert_int_equal(figure(fixture, "main.of.server.1.down"), 1);
        uint64_t lost = figure(fixture, "main.lost_keys");
        assert_in_range(lost, 1, 40);
        reload_uri(fixture, schemes[i], ",/nowhere/two.sock,/nowhere/one.sock?probe=1h&tracker=on");
        assert_int_equal(figure(fixture, "main.of.server.1.down"), 0);
        assert_int_equal(figure(fixture, "main.of.server.2.down"), 1); /* it is known */
        assert_int_equal(figure(fixture, "main.lost_keys"), lost);     /* and so are they */
        larder_close(fixture->client);
    }
    fixture->client = NULL;
}

/* Some of these are on each of two servers. */
static void set_many(struct fixture *fixture)
{
    char key[16];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        set(fixture->client, key, "v");
    }
}

static int found_of_many(struct fixture *fixture)
{
    char key[16];
    int found = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        found += look(fixture->client, key) == LARDER_OK;
    }
    return found;
}

static void a_list_that_changes_keeps_figures_and_lets_connections_go(void **state)
{
    struct fixture *fixture = *state;
    struct memcached_server *second = memcached_server_start(NULL);
    char more[256];
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int is_meta = strcmp(schemes[i], "meta") == 0;
        const char *size = strcmp(schemes[i], "memcached") == 0 ? "" : "?size=1";
        snprintf(more, sizeof(more), ",%s%s", memcached_server_path(second), size);
        open_uri(fixture, schemes[i], more);
        set_many(fixture);
        int both = descriptors();
        uint64_t dials = figure(fixture, "main.dials");
        assert_int_equal(dials, 2);
        reload_uri(fixture, schemes[i], size);
        set_many(fixture);
        assert_int_equal(found_of_many(fixture), 40);
        assert_int_equal(descriptors(), both - 1); /* that to the second is gone */
        dials += is_meta ? 0 : 1;                  /* a client of libmemcached's is made anew */
        assert_int_equal(figure(fixture, "main.dials"), dials);
        reload_uri(fixture, schemes[i], more);
        assert_in_range(found_of_many(fixture), 1, 40); /* those that stay on the first */
        dials += is_meta ? 1 : 2;
        assert_int_equal(figure(fixture, "main.dials"), dials);
        assert_int_equal(descriptors(), both);
        larder_close(fixture->client);
    }
    fixture->client = NULL;
    memcached_server_stop(second);
}

#ifdef LARDER_WITH_META
/* ---- writes under way ------------------------------------------------------------------------ */

struct writing {
    struct larder_cache *cache;
    enum larder_status status;
};

static void *write_once(void *argument)
{
    struct writing *writing = argument;
    writing->status = larder_set(writing->cache, larder_text("k"), larder_text("w"), 0);
    return NULL;
}

static void write_list(struct fixture *fixture, const char *servers, const char *options)
{
    char text[512];
    snprintf(text, sizeof(text),
             "[pool]\nuri = meta://%s?timeout=60s%s\n[namespaces]\nmain = @pool\n", servers,
             options);
    write_file(fixture, text);
}

/* The server stands still while it is asked, and the section changes meanwhile. */
static void change_under_a_write(struct fixture *fixture, struct fault_proxy *proxy,
                                 const char *servers, const char *options)
{
    const struct fault none = {.kind = FAULT_NONE};
    struct writing writing = {fixture->client, LARDER_PROTOCOL};
    pthread_t thread;
    set(fixture->client, "k", "v");
    fault_proxy_set(proxy, &none);
    memcached_server_pause(fixture->server);
    assert_int_equal(pthread_create(&thread, NULL, write_once, &writing), 0);
    while (fault_proxy_passed(proxy, FAULT_REQUEST) == 0)
        sched_yield();
    write_list(fixture, servers, options);
    reload_as_it_is(fixture);
    memcached_server_resume(fixture->server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_status(LARDER_OK, writing.status);
}

static void a_write_under_way_ends_by_its_own_deadline(void **state)
{
    struct fixture *fixture = *state;
    char proxied[64], more[128], message[256];
    struct fault_proxy *proxy = fault_proxy_start(memcached_server_path(fixture->server));
    snprintf(proxied, sizeof(proxied), "127.0.0.1:%u", fault_proxy_port(proxy));
    snprintf(more, sizeof(more), "/nowhere/one.sock,%s", proxied);
    write_list(fixture, proxied, "");
    if (larder_open_file(fixture->path, NULL, &fixture->client, message, sizeof(message)) !=
        LARDER_OK)
        fail_msg("%s", message);
    change_under_a_write(fixture, proxy, proxied, "&connect_timeout=3s"); /* another cache */
    change_under_a_write(fixture, proxy, proxied, "&connect_timeout=4s&size=1");
    change_under_a_write(fixture, proxy, memcached_server_path(fixture->server),
                         "&connect_timeout=4s&size=1"); /* the server leaves the list */
    reload_as_it_is(fixture);
    write_list(fixture, proxied, "");
    reload_as_it_is(fixture);
    change_under_a_write(fixture, proxy, more, ""); /* it stays in it */
    larder_close(fixture->client);
    fixture->client = NULL;
    fault_proxy_stop(proxy);
}
#endif

static void a_session_keeps_its_connection_over_a_reload(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *session, *next;
    open_uri(fixture, "pooled-memcached", "?size=1");
    int before = descriptors();
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    set(session, "k", "v");
    assert_int_equal(descriptors(), before + 1);
    reload_uri(fixture, "pooled-memcached", "?size=2");
    assert_status(LARDER_OK, look(session, "k"));
    assert_int_equal(descriptors(), before + 1);
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &next));
    assert_status(LARDER_OK, look(next, "k"));
    assert_int_equal(descriptors(), before + 2);
    larder_release(session); /* to a pool that is over: the connection goes */
    assert_int_equal(descriptors(), before + 1);
    larder_release(next);
    assert_int_equal(descriptors(), before + 1);
}

static void write_gutter(struct fixture *fixture, const char *ttl)
{
    char text[512];
    snprintf(text, sizeof(text),
             "[pool]\nuri = pooled-memcached:%s?size=1&timeout=1s\n[aside]\nuri = memory:\n"
             "[front]\nuri = gutter:?of=@pool&spare=@aside&ttl=%s\n"
             "[namespaces]\nmain = @front\n",
             memcached_server_path(fixture->server), ttl);
    write_file(fixture, text);
}

/* It holds the pool's only member, in a composition that a reload replaces over the same pool. */
static void a_session_goes_on_with_the_members_that_it_holds(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *session;
    char message[256] = "";
    write_gutter(fixture, "10s");
    assert_status(LARDER_OK, larder_open_file(fixture->path, NULL, &fixture->client, message,
                                              sizeof(message)));
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    set(session, "k", "v");
    write_gutter(fixture, "20s");
    assert_status(LARDER_OK, larder_reload(fixture->client, NULL, message, sizeof(message)));
    assert_status(LARDER_OK, look(session, "k"));
    set(session, "k", "w");
    larder_release(session);
    assert_status(LARDER_OK, look(fixture->client, "k"));
}

static void a_session_keeps_its_connection_until_a_shutdown(void **state)
{
    struct fixture *fixture = *state;
    struct larder_cache *session;
    open_uri(fixture, "pooled-memcached", "?size=1");
    int before = descriptors();
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    set(session, "k", "v");
    reload_uri(fixture, "pooled-memcached", "?size=2");
    larder_shutdown(fixture->client);
    assert_status(LARDER_CLOSED, look(session, "k"));
    larder_release(session);
    assert_int_equal(descriptors(), before);
}

static void connections_of_what_was_replaced_are_closed(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        open_uri(fixture, schemes[i], "?connect_timeout=1s");
        set(fixture->client, "k", "v");
        int before = descriptors();
        for (int j = 0; j < 20; j++) {
            reload_uri(fixture, schemes[i], j % 2 ? "?connect_timeout=1s" : "?connect_timeout=2s");
            assert_status(LARDER_OK, look(fixture->client, "k"));
        }
        assert_int_equal(descriptors(), before);
        larder_close(fixture->client);
    }
    fixture->client = NULL;
}

/* ---- what is left behind --------------------------------------------------------------------- */

static void reload_section(struct fixture *fixture, const char *uri)
{
    char text[512];
    struct larder_cache
        *session; /* its member is the old cache's, and goes back to it afterwards */
    assert_status(LARDER_OK, larder_acquire(fixture->client, 0, 0, &session));
    snprintf(text, sizeof(text), "[a]\nuri = %s\n[namespaces]\nmain = @a\n", uri);
    write_file(fixture, text);
    reload_as_it_is(fixture);
    set(fixture->client, "k", "v");
    larder_release(session);
}

/* By `times` replacements, each of which a session looks on at. */
static size_t bytes_more(struct fixture *fixture, const char *const uris[2], int times)
{
    reload_section(fixture, uris[0]);
    reload_section(fixture, uris[1]);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < times; i++)
        reload_section(fixture, uris[i % 2]);
    size_t after = mallinfo2().uordblks;
    return after > before ? after - before : 0;
}

/* What is counted once, as a thread's table of counters, is there after the first round. What is
 * left then is a libc's own: 16 KiB are less than a byte for each 100 that a shell has. */
static void replaced_caches_leave_nothing_behind(void **state)
{
    enum { TIMES = 500, BYTES = 16384 };
    struct fixture *fixture = *state;
    char pooled[2][128], plain[2][128], meta[2][128], listed[2][256];
    for (int i = 0; i < 2; i++) {
        const char *server = memcached_server_path(fixture->server);
        snprintf(pooled[i], sizeof(pooled[i]), "pooled-memcached:%s?timeout=60s&size=%d", server,
                 10 - i);
        snprintf(plain[i], sizeof(plain[i]), "memcached:%s?timeout=6%ds", server, i);
        snprintf(meta[i], sizeof(meta[i]), "meta:%s?timeout=6%ds", server, i);
        snprintf(listed[i], sizeof(listed[i]), "meta:%s%s?timeout=60s", server, i ? "*2" : "");
    }
    const struct {
        const char *name, *uris[2];
    } kinds[] = {
        {"a TTL alone", {"null:", "null:?default_ttl=1s"}},
        {"memory", {"memory:?max_bytes=1M", "memory:?max_bytes=1M&buckets=61"}},
        {"memory, 64M", {"memory:?max_bytes=64M", "memory:?max_bytes=64M&buckets=61"}},
        {"hot, with copies",
         {"hot:?of=@b\n[b]\nuri = null:", "hot:?of=@b&life=1s\n[b]\nuri = null:"}},
        {"memcached", {plain[0], plain[1]}},
        {"pooled-memcached", {pooled[0], pooled[1]}},
#ifdef LARDER_WITH_META
        {"meta", {meta[0], meta[1]}},
        {"meta, its list alone", {listed[0], listed[1]}},
#endif
    };
    open_uri(fixture, "memcached", "");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        (void)bytes_more(fixture, kinds[i].uris, 10);
        size_t bytes = bytes_more(fixture, kinds[i].uris, TIMES);
        print_message("%-22s %6zu bytes more after %d reloads\n", kinds[i].name, bytes, TIMES);
        if (!HAS_ADDRESS_SANITIZER)
            assert_in_range(bytes, 0, BYTES);
    }
}

#define RELOAD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(entries_stay_on_the_servers_that_stay),
        RELOAD_TEST(a_server_that_is_down_stays_so_when_the_list_changes),
        RELOAD_TEST(a_list_changes_in_place_below_a_tracker),
        RELOAD_TEST(a_list_that_changes_keeps_figures_and_lets_connections_go),
#ifdef LARDER_WITH_META
        RELOAD_TEST(a_write_under_way_ends_by_its_own_deadline),
#endif
        RELOAD_TEST(a_session_keeps_its_connection_over_a_reload),
        RELOAD_TEST(a_session_keeps_its_connection_until_a_shutdown),
        RELOAD_TEST(a_session_goes_on_with_the_members_that_it_holds),
        RELOAD_TEST(connections_of_what_was_replaced_are_closed),
        RELOAD_TEST(replaced_caches_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
