/*
 * meta against servers that fail: late replies, wrong opaques and keys, hostile lengths, full
 * connections, real servers killed and stopped. meta_sweep_test has every fault at every byte. What
 * is read is the value or a failure, never something else; no call outlives its deadline; what may
 * have left is UNKNOWN.
 */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/meta.h>
#include <larder/util/deadline.h>

#include "child_dials.h"
#include "meta_proxied.h"
#include "scripted_server.h"
#include "stats.h"

#define TIMEOUT_MS 60u
/* On a machine that is busy with other tests. */
#define LATE_MS 2000u

static struct larder_cache *open_proxied(const char *options)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "meta://127.0.0.1:%u?%s", fault_proxy_port(proxy), options);
    return open_uri(uri);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* ---- scripted replies ---------------------------------------------------------------------- */

/* What a scripted server answers to the first request of each connection; "%O" is its opaque. */
struct script {
    const char *reply;
    unsigned late_ms; /* before it */
};

/* In one piece, so that what is too much of it comes with the rest. */
static void say_reply(int descriptor, const char *reply, const char *opaque)
{
    char bytes[512];
    size_t length = 0;
    for (; *reply != '\0'; reply++)
        if (reply[0] == '%' && reply[1] == 'O') {
            length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "%s", opaque);
            reply++;
        } else {
            bytes[length++] = *reply;
        }
    scripted_send(descriptor, bytes, length);
}

static void serve_script(void *context, int descriptor, unsigned number)
{
    const struct script *script = context;
    char line[2048];
    (void)number;
    while (scripted_read_line(descriptor, line, sizeof(line)) != NULL) {
        const char *found = strstr(line, " O");
        char opaque[40] = "";
        if (found != NULL)
            snprintf(opaque, sizeof(opaque), "%.*s", (int)strcspn(found + 2, " "), found + 2);
        scripted_pause(script->late_ms);
        say_reply(descriptor, script->reply, opaque);
    }
}

static enum larder_status read_scripted(const char *reply, unsigned timeout_ms,
                                        struct larder_cache **cache,
                                        struct scripted_server **scripted)
{
    static struct script script;
    char uri[256], byte[8];
    script = (struct script){reply, 0};
    *scripted = scripted_server_start(serve_script, &script);
    snprintf(uri, sizeof(uri), "meta://%s?timeout=%ums", scripted_server_path(*scripted),
             timeout_ms);
    *cache = open_uri(uri);
    return larder_read(*cache, larder_text("k"), byte, sizeof(byte), NULL);
}

static void assert_scripted(const char *reply, enum larder_status expected)
{
    struct larder_cache *cache;
    struct scripted_server *scripted;
    unsigned timeout_ms = expected == LARDER_TIMEOUT ? 50 : 5000;
    enum larder_status status = read_scripted(reply, timeout_ms, &cache, &scripted);
    if (status != expected)
        fail_msg("\"%s\": %s, not %s", reply, larder_status_name(status),
                 larder_status_name(expected));
    /* kept when it was understood, and else closed */
    assert_int_equal(stat_of(cache, "connections"), expected >= 0);
    larder_close(cache);
    scripted_server_stop(scripted);
}

static void replies_of_another_kind_are_refused(void **state)
{
    (void)state;
    assert_scripted("EN kk O%O\r\n", LARDER_MISS);
    assert_scripted("VA 1 f0 kk O%O\r\nx\r\n", LARDER_OK);
    assert_scripted("VA 1 kk O%O f0\r\nx\r\n", LARDER_OK);
    assert_scripted("VA 1 f0 kk O999\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1 f0 kj O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1 f0 kk\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("EN\r\n", LARDER_PROTOCOL);
    assert_scripted("HD kk O%O\r\n", LARDER_PROTOCOL);
    assert_scripted("NF kk O%O\r\n", LARDER_PROTOCOL);
    assert_scripted("VALUE k 0 1\r\nx\r\nEND\r\n", LARDER_PROTOCOL);
    assert_scripted("END\r\n", LARDER_PROTOCOL);
    assert_scripted("NOT_FOUND\r\n", LARDER_PROTOCOL);
    assert_scripted("HTTP/1.1 400 Bad Request\r\n\r\n", LARDER_PROTOCOL);
    assert_scripted("ERROR\r\n", LARDER_PROTOCOL);
    assert_scripted("CLIENT_ERROR unauthenticated\r\n", LARDER_PROTOCOL);
    assert_scripted("SERVER_ERROR busy\r\n", LARDER_PROTOCOL);
    assert_scripted("SERVER_ERROR out of memory storing object\r\n", LARDER_PROTOCOL);
    assert_scripted("ERROR Too many open connections\r\n", LARDER_UNAVAILABLE);
}

/* @param pattern  of what rows a, b, a, c were answered: '+' OK, '-' MISS, '!' PROTOCOL */
static void assert_classic(const char *reply, const char *pattern)
{
    struct script script = {reply, 0};
    struct scripted_server *scripted = scripted_server_start(serve_script, &script);
    static const char *const names[] = {"a", "b", "a", "c"};
    struct larder_row rows[4] = {0};
    char uri[256], bytes[4][8];
    snprintf(uri, sizeof(uri), "meta://%s?timeout=5s&classic_reads=on",
             scripted_server_path(scripted));
    struct larder_cache *cache = open_uri(uri);
    for (size_t i = 0; i < 4; i++) {
        rows[i].key = larder_text(names[i]);
        rows[i].buffer = bytes[i];
        rows[i].size = sizeof(bytes[i]);
    }
    (void)!larder_many(cache, NULL, LARDER_MANY_READ, LARDER_SET, rows, 4,
                       sizeof(struct larder_row));
    for (size_t i = 0; i < 4; i++) {
        char mark = rows[i].status == LARDER_OK         ? '+'
                    : rows[i].status == LARDER_MISS     ? '-'
                    : rows[i].status == LARDER_PROTOCOL ? '!'
                                                        : '?';
        if (mark != pattern[i])
            fail_msg("\"%s\": row %zu is %s", reply, i, larder_status_name(rows[i].status));
        if (mark == '+')
            assert_int_equal(bytes[i][0], *names[i]);
    }
    larder_close(cache);
    scripted_server_stop(scripted);
}

static void classic_lines_answer_in_the_order_of_the_keys(void **state)
{
    (void)state;
    assert_classic("END\r\n", "----");
    assert_classic("VALUE a 0 1\r\na\r\nVALUE a 0 1\r\na\r\nEND\r\n", "+-+-");
    assert_classic("VALUE b 0 1\r\nb\r\nVALUE c 0 1\r\nc\r\nEND\r\n", "-+-+");
    assert_classic("VALUE c 0 1\r\nc\r\nEND\r\n", "---+");
    /* out of order, not asked for, with a version, too long, of another form, too much: all in
     * doubt */
    static const char *const replies[] = {"VALUE c 0 1\r\nc\r\nVALUE a 0 1\r\na\r\nEND\r\n",
                                          "VALUE b 0 1\r\nb\r\nVALUE x 0 1\r\nx\r\nEND\r\n",
                                          "VALUE b 0 1 5\r\nb\r\nEND\r\n",
                                          "VALUE b 0 1\r\nbb\r\nEND\r\n",
                                          "VALUE b 0 1\r\nb\r\nEN\r\n",
                                          "EN\r\n",
                                          "END\r\nEND\r\n"};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        assert_classic(replies[i], "!!!!");
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    assert_scripted("VA -1 f0 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1073741825 f0 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 9223372036854775807 f0 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 18446744073709551615 f0 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 99999999999999999999999 f0 kk O%O\r\nx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1 f0 kk O%O\r\nxx\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1 f0 kk O%O\r\nx\r\nEN kk O%O\r\n", LARDER_PROTOCOL);
    assert_scripted("VA 1073741824 f0 kk O%O\r\nx\r\n", LARDER_TIMEOUT); /* it may still come */
}

/* A reply that comes after its call has ended is nobody's. */
static void a_late_reply_answers_nobody(void **state)
{
    (void)state;
    struct script script = {"VA 1 f0 kk O%O\r\nx\r\n", 60};
    struct scripted_server *scripted = scripted_server_start(serve_script, &script);
    char uri[256], byte[8];
    snprintf(uri, sizeof(uri), "meta://%s?timeout=20ms&size=1", scripted_server_path(scripted));
    struct larder_cache *cache = open_uri(uri);
    for (int i = 0; i < 2; i++) {
        assert_status(LARDER_TIMEOUT,
                      larder_read(cache, larder_text("k"), byte, sizeof(byte), NULL));
        assert_int_equal(stat_of(cache, "connections"), 0);
    }
    assert_int_equal(stat_of(cache, "dials"), 2); /* when busy the server may not know yet */
    larder_close(cache);
    scripted_server_stop(scripted);
}

static void writes_that_were_misunderstood_are_unknown(void **state)
{
    (void)state;
    static const char *const replies[] = {"EN O%O\r\n", "HD c1 O999\r\n", "HD O%O\r\n",
                                          "STORED\r\n", "NS c0 O%O\r\n",  "ERROR\r\n"};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct script script = {replies[i], 0};
        struct scripted_server *scripted = scripted_server_start(serve_script, &script);
        char uri[256];
        snprintf(uri, sizeof(uri), "meta://%s?timeout=5s", scripted_server_path(scripted));
        struct larder_cache *cache = open_uri(uri);
        assert_status(LARDER_UNKNOWN, larder_set(cache, larder_text("k"), larder_text("v"), 0));
        larder_close(cache);
        scripted_server_stop(scripted);
    }
}

/* ---- real servers -------------------------------------------------------------------------- */

static struct larder_cache *open_real(const char *options)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "meta://%s?%s", memcached_server_path(server), options);
    return open_uri(uri);
}

static void a_restarted_server_costs_a_read_nothing(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=2s");
    char byte[8];
    assert_status(LARDER_OK, larder_set(cache, larder_text("r"), larder_text("v"), 0));
    memcached_server_restart(server);
    assert_status(LARDER_MISS, larder_read(cache, larder_text("r"), byte, sizeof(byte), NULL));
    assert_status(LARDER_OK, larder_set(cache, larder_text("r"), larder_text("v"), 0));
    assert_int_equal(stat_of(cache, "server.0.markdowns"), 0);
    larder_close(cache);
}

/* Nothing of a write goes out by a connection that is known to be closed: it may be made anew. */
static void a_restarted_server_costs_a_write_nothing(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct larder_cache *cache = open_real("timeout=20s&size=1");
    struct larder_row rows[COUNT] = {0};
    char texts[COUNT][8];
    assert_status(LARDER_OK, larder_set(cache, larder_text("r"), larder_text("v"), 0));
    memcached_server_restart(server);
    assert_status(LARDER_OK, larder_set(cache, larder_text("r"), larder_text("w"), 0));
    memcached_server_restart(server);
    assert_status(LARDER_MISS, larder_delete(cache, larder_text("r"), 0));
    memcached_server_restart(server);
    for (int i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof(texts[i]), "r%d", i);
        rows[i].key = larder_text(texts[i]);
        rows[i].write = larder_write_of(larder_text(texts[i]), 0);
    }
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, rows, COUNT,
                                         sizeof(rows[0])));
    assert_status(LARDER_OK, larder_read(cache, larder_text("r7"), texts[0], 2, NULL));
    assert_memory_equal(texts[0], "r7", 2);
    assert_int_equal(stat_of(cache, "dials"), 4);
    assert_int_equal(stat_of(cache, "server.0.failed.refused"), 0);
    assert_int_equal(stat_of(cache, "server.0.markdowns"), 0);
    larder_close(cache);
}

static void a_dead_server_is_marked_and_found_back(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=500ms&probe=50ms");
    char byte[8];
    assert_status(LARDER_OK, larder_set(cache, larder_text("d"), larder_text("v"), 0));
    memcached_server_kill(server);
    assert_status(LARDER_UNAVAILABLE,
                  larder_read(cache, larder_text("d"), byte, sizeof(byte), NULL));
    assert_status(LARDER_UNAVAILABLE, larder_set(cache, larder_text("d"), larder_text("v"), 0));
    assert_int_equal(stat_of(cache, "server.0.down"), 1);
    memcached_server_restart(server);
    for (int i = 0; i < 100 && stat_of(cache, "server.0.down"); i++) {
        scripted_pause(10);
        (void)!larder_read(cache, larder_text("d"), byte, sizeof(byte), NULL);
    }
    assert_int_equal(stat_of(cache, "server.0.down"), 0);
    assert_status(LARDER_OK, larder_set(cache, larder_text("d"), larder_text("v"), 0));
    larder_close(cache);
}

static void a_stopped_server_costs_the_deadline_and_then_nothing(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=60ms&probe=10s");
    char byte[8];
    assert_status(LARDER_OK, larder_set(cache, larder_text("p"), larder_text("old"), 0));
    memcached_server_pause(server);
    uint64_t began_ns = larder_monotonic_ns();
    assert_status(LARDER_UNKNOWN, larder_set(cache, larder_text("p"), larder_text("new"), 0));
    assert_status(LARDER_TIMEOUT, larder_read(cache, larder_text("p"), byte, sizeof(byte), NULL));
    assert_status(LARDER_TIMEOUT, larder_read(cache, larder_text("p"), byte, sizeof(byte), NULL));
    uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000;
    assert_in_range(took_ms, 3 * TIMEOUT_MS - 3, 3 * TIMEOUT_MS + LATE_MS);
    for (int i = 0; i < 100; i++)
        assert_status(LARDER_UNAVAILABLE,
                      larder_read(cache, larder_text("p"), byte, sizeof(byte), NULL));
    memcached_server_resume(server);
    larder_close(cache);
}

static void one_dead_server_of_three_takes_only_its_own_keys(void **state)
{
    (void)state;
    struct memcached_server *others[2] = {memcached_server_start(NULL),
                                          memcached_server_start(NULL)};
    char uri[400], keys[60][16];
    struct larder_row rows[60] = {0};
    unsigned down = 0;
    snprintf(uri, sizeof(uri), "meta://%s,%s,%s?timeout=1s", memcached_server_path(server),
             memcached_server_path(others[0]), memcached_server_path(others[1]));
    struct larder_cache *cache = open_uri(uri);
    for (size_t i = 0; i < 60; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key:%zu", i);
        rows[i].key = larder_text(keys[i]);
        rows[i].write = larder_write_of(rows[i].key, 60000);
    }
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, rows, 60,
                                         sizeof(struct larder_row)));
    memcached_server_kill(others[0]);
    assert_status(LARDER_UNAVAILABLE, larder_many(cache, NULL, LARDER_MANY_GET, LARDER_SET, rows,
                                                  60, sizeof(struct larder_row)));
    for (size_t i = 0; i < 60; i++) {
        if (rows[i].status == LARDER_UNAVAILABLE)
            down++;
        else {
            assert_status(LARDER_OK, rows[i].status);
            assert_slice(keys[i], rows[i].value.bytes);
        }
        larder_value_release(&rows[i].value);
    }
    assert_in_range(down, 5, 40);
    larder_close(cache);
    memcached_server_stop(others[0]);
    memcached_server_stop(others[1]);
}

/* Far more than all buffers between the two hold, in both directions at once. */
static void megabytes_in_both_directions_do_not_block(void **state)
{
    (void)state;
    enum { ROWS = 200, BYTES = 60000 };
    static char values[ROWS][BYTES];
    static char keys[ROWS][16];
    static struct larder_row rows[ROWS];
    struct larder_cache *cache = open_real("timeout=20s");
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "big:%zu", i);
        memset(values[i], 'a' + (int)(i % 26), BYTES);
        rows[i] = (struct larder_row){.key = larder_text(keys[i])};
        rows[i].write = larder_write_of(larder_bytes(values[i], BYTES), 60000);
    }
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, rows, ROWS,
                                         sizeof(struct larder_row)));
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_GET, LARDER_SET, rows, ROWS,
                                         sizeof(struct larder_row)));
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(rows[i].value.bytes.length, BYTES);
        assert_memory_equal(rows[i].value.bytes.data, values[i], BYTES);
        larder_value_release(&rows[i].value);
    }
    larder_close(cache);
}

/* ---- servers with limits of their own ------------------------------------------------------- */

static struct larder_cache *open_with(struct memcached_server **limited, const char *argument,
                                      const char *value, const char *options)
{
    const char *const arguments[] = {argument, value, NULL};
    char uri[256];
    *limited = memcached_server_start(arguments);
    snprintf(uri, sizeof(uri), "meta://%s?%s", memcached_server_path(*limited), options);
    return open_uri(uri);
}

/* memcached would drop the old value when it refuses the new one. */
static void what_is_too_large_for_the_server_is_never_sent(void **state)
{
    (void)state;
    static char large[600000];
    struct memcached_server *limited;
    struct larder_cache *cache = open_with(&limited, "-I", "512k", "timeout=5s");
    char text[8];
    struct larder_row rows[2] = {{.key = larder_text("k")}, {.key = larder_text("j")}};
    rows[0].write = larder_write_of(larder_bytes(large, sizeof(large)), 0);
    rows[1].write = larder_write_of(larder_text("v"), 0);
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("old"), 0));
    assert_status(LARDER_TOO_LARGE,
                  larder_set(cache, larder_text("k"), larder_bytes(large, sizeof(large)), 0));
    assert_status(LARDER_TOO_LARGE, larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, rows, 2,
                                                sizeof(struct larder_row)));
    assert_status(LARDER_OK, rows[1].status);
    assert_status(LARDER_OK, larder_read(cache, larder_text("k"), text, sizeof(text), NULL));
    assert_memory_equal(text, "old", 3);
    assert_status(LARDER_TOO_LARGE,
                  larder_append(cache, larder_text("k"), larder_bytes(large, 524227)));
    assert_status(LARDER_OK, larder_read(cache, larder_text("k"), text, sizeof(text), NULL));
    larder_close(cache);
    memcached_server_stop(limited);
}

static void an_idle_timeout_costs_a_read_nothing(void **state)
{
    (void)state;
    struct memcached_server *limited;
    struct larder_cache *cache = open_with(&limited, "-o", "idle_timeout=1", "timeout=5s&size=1");
    char text[8];
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    uint64_t replaced = stat_of(cache, "connections_replaced");
    for (int i = 0; i < 100 && stat_of(cache, "connections_replaced") == replaced; i++) {
        scripted_pause(i == 0 ? 2000 : 200); /* until the server has had its fill of waiting */
        assert_status(LARDER_OK, larder_read(cache, larder_text("k"), text, sizeof(text), NULL));
        assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    }
    assert_int_equal(stat_of(cache, "server.0.markdowns"), 0);
    larder_close(cache);
    memcached_server_stop(limited);
}

/* @return a connection that was let in; -1: there is none left */
static int dial_into(const struct memcached_server *limited)
{
    char line[64] = "";
    int descriptor = scripted_dial(memcached_server_path(limited));
    assert_true(descriptor >= 0);
    (void)!scripted_say(descriptor, "version\r\n"); /* it may have been closed already */
    if (scripted_read_line(descriptor, line, sizeof(line)) != NULL &&
        strncmp(line, "VERSION", 7) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static void a_server_without_a_connection_left_refuses_and_is_found_back(void **state)
{
    (void)state;
    enum { HELD_MAX = 256 };
    struct memcached_server *limited;
    char uri[256], text[8];
    int held[HELD_MAX], descriptor;
    size_t count = 0;
    struct larder_cache *early = open_with(&limited, "-c", "64", "timeout=5s&size=1");
    assert_status(LARDER_OK, larder_set(early, larder_text("k"), larder_text("v"), 0));
    while (count < HELD_MAX && (descriptor = dial_into(limited)) >= 0)
        held[count++] = descriptor;
    assert_in_range(count, 1, HELD_MAX - 1);
    snprintf(uri, sizeof(uri), "meta://%s?timeout=5s&probe=10ms", memcached_server_path(limited));
    struct larder_cache *late = open_uri(uri);
    uint64_t began_ns = larder_monotonic_ns();
    assert_status(LARDER_UNAVAILABLE, larder_set(late, larder_text("k"), larder_text("w"), 0));
    assert_status(LARDER_UNAVAILABLE, larder_read(late, larder_text("k"), text, 8, NULL));
    assert_true((larder_monotonic_ns() - began_ns) / 1000000 < 2 * LATE_MS);
    assert_int_equal(stat_of(late, "connections"), 0);
    /* who was let in before is served as ever */
    assert_status(LARDER_OK, larder_read(early, larder_text("k"), text, sizeof(text), NULL));
    assert_memory_equal(text, "v", 1);
    while (count > 0)
        close(held[--count]);
    for (int i = 0; i < 1000 && larder_set(late, larder_text("k"), larder_text("w"), 0) < 0; i++)
        scripted_pause(5);
    assert_status(LARDER_OK, larder_read(late, larder_text("k"), text, sizeof(text), NULL));
    assert_memory_equal(text, "w", 1);
    larder_close(late);
    larder_close(early);
    memcached_server_stop(limited);
}

/* ---- writes that nobody waits for ---------------------------------------------------------- */

static struct larder_call quiet_call(void)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.flags = LARDER_NO_REPLY;
    return call;
}

static void a_quiet_write_is_seen_by_what_follows_on_its_connection(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=20s&size=1");
    const struct larder_call call = quiet_call();
    char text[16], buffer[16];
    for (unsigned i = 0; i < 500; i++) {
        struct larder_info info = {0};
        snprintf(text, sizeof(text), "%u", i);
        struct larder_write write = larder_write_of(larder_text(text), 60000);
        assert_status(LARDER_OK,
                      larder_store_with(cache, &call, LARDER_SET, larder_text("q"), &write, NULL));
        if (i % 3 == 0) /* the one before settles what it is owed first */
            continue;
        assert_status(LARDER_OK,
                      larder_read(cache, larder_text("q"), buffer, sizeof(buffer), &info));
        assert_slice(text, larder_bytes(buffer, info.length));
    }
    assert_status(LARDER_OK, larder_delete_with(cache, &call, larder_text("q"), 0));
    assert_status(LARDER_MISS, larder_read(cache, larder_text("q"), NULL, 0, NULL));
    assert_int_equal(stat_of(cache, "quiet_lost"), 0);
    assert_int_equal(stat_of(cache, "connections_replaced"), 0);
    larder_close(cache);
}

static void a_quiet_write_that_is_lost_is_counted(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=20s&size=1");
    const struct larder_call call = quiet_call();
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    assert_status(LARDER_OK, larder_set(cache, larder_text("q"), larder_text("old"), 0));
    memcached_server_pause(server);
    assert_status(LARDER_OK,
                  larder_store_with(cache, &call, LARDER_SET, larder_text("q"), &write, NULL));
    memcached_server_restart(server);
    assert_status(LARDER_MISS, larder_read(cache, larder_text("q"), NULL, 0, NULL));
    assert_int_equal(stat_of(cache, "quiet_lost"), 1);
    larder_close(cache);
}

/* It says that its connection is closed, not that nobody takes new ones. */
static void a_quiet_write_that_is_lost_marks_no_server_down(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=20s&size=1&probe=10s");
    const struct larder_call call = quiet_call();
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    for (int i = 0; i < 3; i++) {
        assert_status(LARDER_OK,
                      larder_store_with(cache, &call, LARDER_SET, larder_text("q"), &write, NULL));
        memcached_server_restart(server);
    }
    assert_int_equal(stat_of(cache, "server.0.markdowns"), 0);
    assert_int_equal(stat_of(cache, "server.0.failed.refused"), 0);
    larder_close(cache);
}

static void *read_nothing(void *context)
{
    assert_status(LARDER_MISS, larder_read(context, larder_text("none"), NULL, 0, NULL));
    return NULL;
}

/* Two calls at once need two connections. */
static void connect_twice(struct larder_cache *cache)
{
    pthread_t threads[2];
    memcached_server_pause(server);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_nothing, cache), 0);
    for (int i = 0; i < 5000 && stat_of(cache, "dials") < 2; i++)
        scripted_pause(1);
    memcached_server_resume(server);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(stat_of(cache, "dials"), 2);
}

static void what_has_to_dial_is_used_after_what_is_connected(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=20s&size=2&probe=10s");
    struct larder_call brief = LARDER_CALL_INIT;
    brief.timeout_ms = 50;
    connect_twice(cache);
    memcached_server_pause(server);
    assert_status(LARDER_TIMEOUT,
                  larder_read_with(cache, &brief, larder_text("none"), NULL, 0, NULL));
    memcached_server_resume(server);
    assert_status(LARDER_MISS, larder_read(cache, larder_text("none"), NULL, 0, NULL));
    assert_int_equal(stat_of(cache, "dials"), 2);
    larder_close(cache);
}

/* Nothing is heard of a server that has stopped, however much is sent to it. */
static void quiet_writes_do_not_hide_a_server_that_has_stopped(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=60ms&size=1&probe=10s");
    const struct larder_call call = quiet_call();
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    enum larder_status status = LARDER_OK;
    assert_status(LARDER_OK, larder_set(cache, larder_text("q"), larder_text("old"), 0));
    memcached_server_pause(server);
    for (unsigned i = 0; i < 20 && status != LARDER_UNAVAILABLE; i++)
        status = larder_store_with(cache, &call, LARDER_SET, larder_text("q"), &write, NULL);
    assert_status(LARDER_UNAVAILABLE, status);
    memcached_server_resume(server);
    larder_close(cache);
}

/* ---- stale marks of others ----------------------------------------------------------------- */

/* What another program says to the same server. */
static void say_to_server(const char *request, char *line, size_t size)
{
    int descriptor = scripted_dial(memcached_server_path(server));
    assert_true(descriptor >= 0);
    assert_true(scripted_say(descriptor, request));
    assert_non_null(scripted_read_line(descriptor, line, size));
    close(descriptor);
}

static void a_stale_entry_is_a_miss_and_its_win_is_given_back(void **state)
{
    (void)state;
    char line[128], byte[8];
    struct larder_cache *cache = open_real("timeout=2s");
    for (int many = 0; many < 2; many++) {
        struct larder_row row = {.key = larder_text("st"), .buffer = byte, .size = sizeof(byte)};
        assert_status(LARDER_OK, larder_set(cache, larder_text("st"), larder_text("old"), 60000));
        say_to_server("md st I T30\r\n", line, sizeof(line));
        assert_string_equal(line, "HD");
        if (many)
            (void)!larder_many(cache, NULL, LARDER_MANY_READ, LARDER_SET, &row, 1,
                               sizeof(struct larder_row));
        else
            row.status = larder_read(cache, larder_text("st"), byte, sizeof(byte), NULL);
        assert_status(LARDER_MISS, row.status);
        say_to_server("mg st v\r\n", line, sizeof(line)); /* who can use the win gets it */
        assert_string_equal(line, "VA 3 X W");
    }
    assert_int_equal(stat_of(cache, "wins_returned"), 2);
    larder_close(cache);
}

static void a_placeholder_is_a_miss(void **state)
{
    (void)state;
    char line[128], byte[8];
    struct larder_cache *cache = open_real("timeout=2s");
    struct larder_value value = {0};
    say_to_server("mg lease N30 v\r\n", line, sizeof(line));
    assert_string_equal(line, "VA 0 W");
    assert_status(LARDER_MISS, larder_read(cache, larder_text("lease"), byte, sizeof(byte), NULL));
    assert_status(LARDER_MISS, larder_get(cache, larder_text("lease"), &value));
    /* but an empty value is a value */
    assert_status(LARDER_OK, larder_set(cache, larder_text("lease"), larder_text(""), 0));
    assert_status(LARDER_OK, larder_read(cache, larder_text("lease"), byte, sizeof(byte), NULL));
    larder_close(cache);
}

/* ---- pools, threads, fork ------------------------------------------------------------------ */

static void a_pool_of_one_is_waited_for_and_never_exceeded(void **state)
{
    (void)state;
    struct larder_cache *cache = open_proxied("timeout=60ms&size=1");
    const struct fault stall = {.kind = FAULT_STALL, .side = FAULT_REPLY, .at = 0};
    fault_proxy_set(proxy, &stall);
    unsigned before = fault_proxy_connections(proxy);
    char byte[8];
    for (int i = 0; i < 3; i++)
        assert_status(LARDER_TIMEOUT,
                      larder_read(cache, larder_text("k"), byte, sizeof(byte), NULL));
    for (int i = 0; i < 1000 && fault_proxy_connections(proxy) - before < 3; i++)
        scripted_pause(1); /* a busy proxy accepts what has long been given up */
    assert_int_equal(fault_proxy_connections(proxy) - before, 3);
    assert_int_equal(stat_of(cache, "connections"), 0);
    larder_close(cache);
}

struct worker {
    struct larder_cache *cache;
    unsigned number;
    unsigned wrong, answered;
};

/* Values that say whose they are. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned i = 0; i < 400; i++) {
        char key[24], text[48], buffer[64];
        struct larder_info info = {0};
        snprintf(key, sizeof(key), "w%u:%u", worker->number, i % 7);
        snprintf(text, sizeof(text), "%s=%u", key, i);
        enum larder_status status =
            larder_set(worker->cache, larder_text(key), larder_text(text), 60000);
        worker->answered += status == LARDER_OK;
        status = larder_read(worker->cache, larder_text(key), buffer, sizeof(buffer), &info);
        if (status == LARDER_OK)
            worker->wrong += strncmp(buffer, key, strlen(key)) != 0 || buffer[strlen(key)] != '=';
    }
    return NULL;
}

/* Replies that come too late for most: none may reach another call, and nothing may leak. */
static void under_faults_nobody_gets_anothers_value(void **state)
{
    (void)state;
    enum { WORKERS = 6 };
    struct larder_cache *cache = open_proxied("timeout=20ms&size=3&probe=10ms");
    const struct fault drip = {.kind = FAULT_DRIP, .side = FAULT_REPLY, .at = 300, .pause_ms = 1};
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    unsigned answered = 0;
    fault_proxy_set(proxy, &drip);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){cache, i, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
        answered += workers[i].answered;
    }
    assert_true(answered > 0);
    assert_true(stat_of(cache, "connections") <= 3);
    larder_close(cache);
}

/* Every way for a connection to end, many times over. */
static void no_descriptor_is_left_behind(void **state)
{
    (void)state;
    fault_proxy_stop(proxy); /* its last connections are closed with it */
    proxy = fault_proxy_start(memcached_server_path(server));
    unsigned before = descriptors();
    for (int round = 0; round < 30; round++) {
        struct script script = {round % 2 == 0 ? "HD\r\n" : "VA 9 f0 kk O%O\r\nx", 0};
        struct scripted_server *scripted = scripted_server_start(serve_script, &script);
        char uri[256], byte[8];
        snprintf(uri, sizeof(uri), "meta://%s,/nowhere/at-all.sock?timeout=10ms&size=2",
                 scripted_server_path(scripted));
        struct larder_cache *cache = open_uri(uri);
        for (char key = 'a'; key < 'g'; key++)
            (void)!larder_read(cache, larder_bytes(&key, 1), byte, sizeof(byte), NULL);
        larder_close(cache);
        scripted_server_stop(scripted);
    }
    assert_int_equal(descriptors(), before);
}

static void a_child_dials_its_own_connections(void **state)
{
    (void)state;
    struct larder_cache *cache = open_real("timeout=2s&size=1");
    child_must_dial(cache);
    larder_close(cache);
}

struct waiting {
    struct larder_cache *cache;
    enum larder_status status;
};

static void *wait_for_answer(void *argument)
{
    struct waiting *waiting = argument;
    char byte[8];
    waiting->status = larder_read(waiting->cache, larder_text("k"), byte, sizeof(byte), NULL);
    return NULL;
}

static void shutdown_ends_a_call_that_waits(void **state)
{
    (void)state;
    struct waiting waiting = {open_proxied("timeout=30s"), LARDER_OK};
    const struct fault stall = {.kind = FAULT_STALL, .side = FAULT_REPLY, .at = 0};
    pthread_t thread;
    fault_proxy_set(proxy, &stall);
    uint64_t began_ns = larder_monotonic_ns();
    assert_int_equal(pthread_create(&thread, NULL, wait_for_answer, &waiting), 0);
    while (fault_proxy_passed(proxy, FAULT_REQUEST) == 0)
        scripted_pause(1);
    larder_shutdown(waiting.cache);
    pthread_join(thread, NULL);
    assert_true((larder_monotonic_ns() - began_ns) / 1000000 < 10000);
    assert_status(LARDER_CLOSED, waiting.status); /* a read: nothing was changed */
    larder_close(waiting.cache);
}

/* ---- the caller's own connections ---------------------------------------------------------- */

struct dialler {
    const char *path;
    unsigned calls;
};

static int dial_for_us(void *context, const char *host, uint32_t port)
{
    struct dialler *dialler = context;
    dialler->calls++;
    assert_string_equal(host, "cache.example");
    assert_int_equal(port, 4711);
    return scripted_dial(dialler->path);
}

static void a_callers_function_may_connect(void **state)
{
    (void)state;
    struct dialler dialler = {memcached_server_path(server), 0};
    struct larder_meta_options options = LARDER_META_OPTIONS_INIT;
    struct larder_cache *cache;
    char message[256] = "";
    options.servers = "cache.example:4711";
    options.size = 1;
    options.connect = dial_for_us;
    options.connect_context = &dialler;
    assert_status(LARDER_OK, larder_meta_open(&options, NULL, &cache, message, sizeof(message)));
    assert_status(LARDER_OK, larder_set(cache, larder_text("c"), larder_text("v"), 0));
    assert_status(LARDER_OK, larder_set(cache, larder_text("c"), larder_text("v"), 0));
    assert_int_equal(dialler.calls, 1);
    larder_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_another_kind_are_refused),
        cmocka_unit_test(classic_lines_answer_in_the_order_of_the_keys),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(a_late_reply_answers_nobody),
        cmocka_unit_test(writes_that_were_misunderstood_are_unknown),
        cmocka_unit_test(a_restarted_server_costs_a_read_nothing),
        cmocka_unit_test(a_restarted_server_costs_a_write_nothing),
        cmocka_unit_test(a_dead_server_is_marked_and_found_back),
        cmocka_unit_test(a_stopped_server_costs_the_deadline_and_then_nothing),
        cmocka_unit_test(one_dead_server_of_three_takes_only_its_own_keys),
        cmocka_unit_test(megabytes_in_both_directions_do_not_block),
        cmocka_unit_test(what_is_too_large_for_the_server_is_never_sent),
        cmocka_unit_test(an_idle_timeout_costs_a_read_nothing),
        cmocka_unit_test(a_server_without_a_connection_left_refuses_and_is_found_back),
        cmocka_unit_test(a_quiet_write_is_seen_by_what_follows_on_its_connection),
        cmocka_unit_test(a_quiet_write_that_is_lost_is_counted),
        cmocka_unit_test(a_quiet_write_that_is_lost_marks_no_server_down),
        cmocka_unit_test(what_has_to_dial_is_used_after_what_is_connected),
        cmocka_unit_test(quiet_writes_do_not_hide_a_server_that_has_stopped),
        cmocka_unit_test(a_stale_entry_is_a_miss_and_its_win_is_given_back),
        cmocka_unit_test(a_placeholder_is_a_miss),
        cmocka_unit_test(a_pool_of_one_is_waited_for_and_never_exceeded),
        cmocka_unit_test(under_faults_nobody_gets_anothers_value),
        cmocka_unit_test(no_descriptor_is_left_behind),
        cmocka_unit_test(a_child_dials_its_own_connections),
        cmocka_unit_test(shutdown_ends_a_call_that_waits),
        cmocka_unit_test(a_callers_function_may_connect),
    };
    return cmocka_run_group_tests(tests, start_proxied, stop_proxied);
}
