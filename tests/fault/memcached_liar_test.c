/*
 * The memcached backend against servers that lie, cut and stall. The last tests run in a child
 * process and document what no wrapper of libmemcached 1.1.4 can close; each prints what it saw.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/memcached.h>
#include <larder/util/deadline.h>
#include "scripted_server.h"

#define LINE_BYTES 512

static struct larder_cache *open_with(const struct scripted_server *server, uint64_t timeout_ms,
                                      struct larder_memcached_options options)
{
    struct larder_cache *cache;
    char message[256];
    options.servers = scripted_server_path(server);
    options.timeout_ms = timeout_ms;
    if (larder_memcached_open(&options, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
    return cache;
}

static struct larder_cache *open_on(const struct scripted_server *server, uint64_t timeout_ms)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    options.probe_ms = 3600000; /* no test waits for it */
    return open_with(server, timeout_ms, options);
}

static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[256];
    size_t count;
    assert_int_equal(larder_stats(cache, rows, 256, &count), LARDER_OK);
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("no figure %s", name);
    return 0;
}

/* Answers every line with the next of a NULL-terminated list; "" closes the connection. The list
 * goes on over connections. */
struct script {
    const char *const *replies;
    _Atomic unsigned next;
};

static void serve_script(void *context, int descriptor, unsigned number)
{
    struct script *script = context;
    char line[LINE_BYTES];
    (void)number;
    while (scripted_next(descriptor, line, sizeof(line)) != NULL) {
        const char *reply = script->replies[script->next];
        if (reply == NULL || reply[0] == '\0')
            break;
        script->next++;
        if (!scripted_say(descriptor, reply))
            break;
    }
}

static enum larder_status read_key(struct larder_cache *cache, const char *key, char *buffer,
                                   size_t size)
{
    memset(buffer, 0, size);
    return larder_read(cache, larder_text(key), buffer, size - 1, NULL);
}

/* ---- replies to something else -------------------------------------------------------------- */

static void a_reply_to_another_key_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const replies[] = {"VALUE other 0 3\r\nbad\r\nEND\r\n",
                                          "VALUE k 0 4\r\ngood\r\nEND\r\n", NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 2000);
    char buffer[16];
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    assert_int_equal(figure(cache, "wrong_keys"), 1);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_OK);
    assert_string_equal(buffer, "good");
    assert_int_equal(scripted_server_connections(server), 2);
    larder_close(cache);
    scripted_server_stop(server);
}

static void a_stray_reply_is_never_taken_for_another_keys(void **state)
{
    (void)state;
    static const char *const replies[] = {
        /* behind the answer */
        "VALUE a 0 1\r\nA\r\nEND\r\nVALUE stray 0 1\r\nS\r\nEND\r\n", "VALUE a 0 1\r\nA\r\nEND\r\n",
        /* before it */
        "VALUE stray 0 1\r\nS\r\nEND\r\nVALUE b 0 1\r\nB\r\nEND\r\n", "VALUE b 0 1\r\nB\r\nEND\r\n",
        NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 2000);
    char buffer[16];
    assert_int_equal(read_key(cache, "a", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    assert_int_equal(read_key(cache, "a", buffer, sizeof(buffer)), LARDER_OK);
    assert_string_equal(buffer, "A");
    assert_int_equal(read_key(cache, "b", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    assert_int_equal(read_key(cache, "b", buffer, sizeof(buffer)), LARDER_OK);
    assert_string_equal(buffer, "B");
    larder_close(cache);
    scripted_server_stop(server);
}

static void a_key_answered_twice_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const replies[] = {"VALUE k 0 1\r\nA\r\nVALUE k 0 1\r\nB\r\nEND\r\n",
                                          "VALUE k 0 1\r\nA\r\nVALUE k 0 1\r\nB\r\nEND\r\n", NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 2000);
    struct larder_row rows[2];
    struct larder_value value = {.info = {.want = 0}};
    memset(rows, 0, sizeof(rows));
    rows[0].key = larder_text("k");
    rows[1].key = larder_text("m");
    assert_int_equal(larder_get(cache, rows[0].key, &value), LARDER_PROTOCOL);
    assert_null(value.owner);
    assert_int_equal(larder_get_multi(cache, rows, 2), LARDER_PROTOCOL);
    assert_int_equal(rows[0].status, LARDER_PROTOCOL);
    assert_null(rows[0].value.owner);
    assert_int_equal(rows[1].status, LARDER_PROTOCOL);
    larder_rows_release(rows, 2);
    larder_close(cache);
    scripted_server_stop(server);
}

static void an_unasked_key_spoils_a_multi_get(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "VALUE a 0 1\r\nA\r\nVALUE x 0 1\r\nX\r\nVALUE b 0 1\r\nB\r\nEND\r\n", NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 2000);
    struct larder_row rows[3];
    memset(rows, 0, sizeof(rows));
    rows[0].key = larder_text("a");
    rows[1].key = larder_text("b");
    rows[2].key = larder_text("c");
    assert_int_equal(larder_get_multi(cache, rows, 3), LARDER_PROTOCOL);
    assert_int_equal(rows[0].status, LARDER_PROTOCOL);
    assert_int_equal(rows[1].status, LARDER_PROTOCOL);
    assert_int_equal(rows[2].status, LARDER_PROTOCOL);
    larder_rows_release(rows, 3);
    larder_close(cache);
    scripted_server_stop(server);
}

/* ---- replies whose framing breaks ------------------------------------------------------------ */

/* libmemcached adds the two bytes of the line's end, and runs over. */
static void a_length_that_no_item_has_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const lengths[] = {"-1", "-2", "18446744073709551615",
                                          "18446744073709551614"};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char reply[64];
        snprintf(reply, sizeof(reply), "VALUE k 0 %s\r\nEND\r\n", lengths[i]);
        const char *const replies[] = {reply, reply, "VALUE k 0 1\r\nV\r\nEND\r\n", reply, NULL};
        struct script script = {replies, 0};
        struct scripted_server *server = scripted_server_start(serve_script, &script);
        struct larder_cache *cache = open_on(server, 2000);
        struct larder_value value = {.info = {.want = 0}};
        struct larder_row rows[2];
        char buffer[16];
        memset(rows, 0, sizeof(rows));
        rows[0].key = larder_text("k");
        rows[1].key = larder_text("m");
        assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_PROTOCOL);
        assert_string_equal(buffer, "");
        assert_int_equal(larder_get(cache, larder_text("k"), &value), LARDER_PROTOCOL);
        assert_null(value.owner);
        assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_OK);
        assert_int_equal(larder_get_multi(cache, rows, 2), LARDER_PROTOCOL);
        assert_int_equal(rows[0].status, LARDER_PROTOCOL);
        assert_int_equal(rows[1].status, LARDER_PROTOCOL);
        assert_int_equal(scripted_server_connections(server), 3);
        larder_close(cache);
        scripted_server_stop(server);
    }
}

/* Both rows end with `expected` and without bytes. */
static void assert_both_fail(const char *reply, enum larder_status expected)
{
    const char *const replies[] = {reply, reply, NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 300);
    struct larder_row rows[2];
    char buffers[2][16];
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < 2; i++) {
        rows[i].key = larder_text(i == 0 ? "a" : "b");
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
    assert_int_equal(larder_get_multi(cache, rows, 2), expected);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rows[i].status, expected);
        assert_null(rows[i].value.owner);
        assert_int_equal(rows[i].value.info.length, 0);
    }
    assert_int_equal(larder_read_multi(cache, rows, 2), expected);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rows[i].status, expected);
        assert_int_equal(rows[i].value.info.length, 0);
    }
    larder_close(cache);
    scripted_server_stop(server);
}

static void a_broken_reply_to_many_gives_no_row_a_value(void **state)
{
    (void)state;
    assert_both_fail("VALUE a 0 10\r\nabc\r\nVALUE b 0 3\r\nxyz\r\nEND\r\n", LARDER_PROTOCOL);
    assert_both_fail("VALUE a 0 3\r\nabc\r\nnonsense\r\n", LARDER_PROTOCOL);
    assert_both_fail("VALUE a 0 3\r\nabcXX", LARDER_TIMEOUT);
    assert_both_fail("VALUE a 0 3\r\nabc\r\nVALUE b 0 30\r\nxyz", LARDER_TIMEOUT);
}

/* More keys than one request takes. */
#define TWO_REQUESTS 1001
#define LONG_LINE_BYTES 20000

static void serve_one_request(void *context, int descriptor, unsigned number)
{
    char line[LONG_LINE_BYTES], reply[64];
    char *rest, *key;
    (void)context;
    (void)number;
    if (scripted_next(descriptor, line, sizeof(line)) == NULL)
        return;
    strtok_r(line, " ", &rest);
    while ((key = strtok_r(NULL, " ", &rest)) != NULL) {
        snprintf(reply, sizeof(reply), "VALUE %s 0 1\r\nV\r\n", key);
        scripted_say(descriptor, reply);
    }
    scripted_say(descriptor, "END\r\n");
    if (scripted_next(descriptor, line, sizeof(line)) != NULL)
        scripted_say(descriptor, "nonsense\r\n");
    scripted_wait_for_close(descriptor);
}

static void a_broken_reply_leaves_complete_ones_alone(void **state)
{
    (void)state;
    static struct larder_row rows[TWO_REQUESTS];
    static char keys[TWO_REQUESTS][8];
    struct scripted_server *server = scripted_server_start(serve_one_request, NULL);
    struct larder_cache *cache = open_on(server, 5000);
    memset(rows, 0, sizeof(rows));
    for (unsigned i = 0; i < TWO_REQUESTS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%u", i);
        rows[i].key = larder_text(keys[i]);
    }
    assert_int_equal(larder_get_multi(cache, rows, TWO_REQUESTS), LARDER_PROTOCOL);
    for (unsigned i = 0; i < TWO_REQUESTS - 1; i++) {
        assert_int_equal(rows[i].status, LARDER_OK);
        assert_memory_equal(rows[i].value.bytes.data, "V", 1);
    }
    assert_int_equal(rows[TWO_REQUESTS - 1].status, LARDER_PROTOCOL);
    larder_rows_release(rows, TWO_REQUESTS);
    larder_close(cache);
    scripted_server_stop(server);
}

/* ---- the same in binary ---------------------------------------------------------------------- */

#define BINARY_HEADER_BYTES 24
#define BINARY_GETK 0x0c
#define BINARY_VERSION 0x0b

static int read_exactly(int descriptor, unsigned char *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = recv(descriptor, bytes + done, length - done, 0);
        if (got <= 0)
            return 0;
        done += (size_t)got;
    }
    return 1;
}

static void say_binary(int descriptor, unsigned char opcode, const char *key, const char *value)
{
    unsigned char reply[BINARY_HEADER_BYTES + 64] = {0x81, opcode};
    size_t extras = opcode == BINARY_GETK ? 4 : 0;
    size_t body = extras + strlen(key) + strlen(value);
    reply[3] = (unsigned char)strlen(key);
    reply[4] = (unsigned char)extras;
    reply[11] = (unsigned char)body;
    memcpy(reply + BINARY_HEADER_BYTES + extras, key, strlen(key));
    memcpy(reply + BINARY_HEADER_BYTES + extras + strlen(key), value, strlen(value));
    scripted_send(descriptor, reply, BINARY_HEADER_BYTES + body);
}

/* Answers every read with the key and value that it was told. */
static void serve_binary(void *context, int descriptor, unsigned number)
{
    unsigned char request[BINARY_HEADER_BYTES + 256];
    const char *key = context;
    (void)number;
    while (read_exactly(descriptor, request, BINARY_HEADER_BYTES)) {
        if (!read_exactly(descriptor, request + BINARY_HEADER_BYTES, request[11]))
            break;
        if (request[1] == BINARY_VERSION)
            say_binary(descriptor, BINARY_VERSION, "", "1.6.18");
        else if (request[1] == BINARY_GETK)
            say_binary(descriptor, BINARY_GETK, key, "value");
        else
            break;
    }
}

static void a_binary_reply_to_another_key_is_a_protocol_error(void **state)
{
    (void)state;
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct scripted_server *server = scripted_server_start(serve_binary, "key");
    char buffer[16];
    options.binary = 1;
    struct larder_cache *cache = open_with(server, 2000, options);
    assert_int_equal(read_key(cache, "key", buffer, sizeof(buffer)), LARDER_OK);
    assert_string_equal(buffer, "value");
    assert_int_equal(read_key(cache, "kex", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    assert_string_equal(buffer, "");
    assert_int_equal(read_key(cache, "ke", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    assert_int_equal(figure(cache, "wrong_keys"), 2);
    assert_int_equal(read_key(cache, "key", buffer, sizeof(buffer)), LARDER_OK);
    larder_close(cache);
    scripted_server_stop(server);
}

/* ---- garbage ------------------------------------------------------------------------------- */

static void garbage_in_reply_to_a_read_is_no_miss(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "VALUE k 0 -1\r\n",
        "VALUE k 0 9223372036854775807\r\n",
        "VALUE k x y\r\n",
        "SERVER_ERROR busy\r\n",
        "CLIENT_ERROR unauthenticated\r\n",
        "STORED\r\n",
        "DELETED\r\n",
        "OK\r\n",
        "ERROR\r\n",
        "5\r\n",
        "\r\n",
    };
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        const char *const replies[] = {garbage[i], NULL};
        struct script script = {replies, 0};
        struct scripted_server *server = scripted_server_start(serve_script, &script);
        struct larder_cache *cache = open_on(server, 300);
        char buffer[16];
        enum larder_status status = read_key(cache, "k", buffer, sizeof(buffer));
        if (status >= 0)
            fail_msg("\"%s\" reads as %s", garbage[i], larder_status_name(status));
        larder_close(cache);
        scripted_server_stop(server);
    }
}

static void serve_long_line(void *context, int descriptor, unsigned number)
{
    char line[LINE_BYTES];
    char *long_line = context;
    (void)number;
    if (scripted_next(descriptor, line, sizeof(line)) != NULL)
        scripted_send(descriptor, long_line, 100000);
    scripted_wait_for_close(descriptor);
}

static void an_endless_line_is_a_protocol_error(void **state)
{
    (void)state;
    char *long_line = malloc(100000);
    assert_non_null(long_line);
    memset(long_line, 'x', 100000);
    struct scripted_server *server = scripted_server_start(serve_long_line, long_line);
    struct larder_cache *cache = open_on(server, 2000);
    char buffer[16];
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    larder_close(cache);
    scripted_server_stop(server);
    free(long_line);
}

/* ---- cuts ---------------------------------------------------------------------------------- */

struct cut {
    const char *reply;
    size_t length;
};

static void serve_cut(void *context, int descriptor, unsigned number)
{
    const struct cut *cut = context;
    char line[LINE_BYTES];
    (void)number;
    if (scripted_next(descriptor, line, sizeof(line)) != NULL)
        scripted_send(descriptor, cut->reply, cut->length);
}

static void a_read_cut_at_any_byte_gives_no_value(void **state)
{
    (void)state;
    static const char reply[] = "VALUE key 0 5\r\nhello\r\nEND\r\n";
    for (size_t length = 0; length < sizeof(reply); length++) {
        struct cut cut = {reply, length};
        struct scripted_server *server = scripted_server_start(serve_cut, &cut);
        struct larder_cache *cache = open_on(server, 2000);
        struct larder_value value = {.info = {.want = 0}};
        enum larder_status status = larder_get(cache, larder_text("key"), &value);
        if (length == sizeof(reply) - 1)
            assert_int_equal(status, LARDER_OK);
        else if (length < sizeof(reply) - 1)
            assert_int_equal(status, LARDER_UNAVAILABLE);
        assert_int_equal(value.owner != NULL, status == LARDER_OK);
        larder_value_release(&value);
        larder_close(cache);
        scripted_server_stop(server);
    }
}

static void a_write_cut_before_its_answer_is_unknown(void **state)
{
    (void)state;
    static const char reply[] = "STORED\r\n";
    for (size_t length = 0; length < sizeof(reply) - 1; length++) {
        struct cut cut = {reply, length};
        struct scripted_server *server = scripted_server_start(serve_cut, &cut);
        struct larder_cache *cache = open_on(server, 2000);
        assert_int_equal(larder_set(cache, larder_text("key"), larder_text("v"), 0),
                         LARDER_UNKNOWN);
        larder_close(cache);
        scripted_server_stop(server);
    }
}

/* ---- stalls -------------------------------------------------------------------------------- */

static void serve_nothing(void *context, int descriptor, unsigned number)
{
    (void)context;
    (void)number;
    scripted_wait_for_close(descriptor);
}

static void serve_greeting(void *context, int descriptor, unsigned number)
{
    char line[LINE_BYTES];
    (void)context;
    (void)number;
    scripted_next(descriptor, line, sizeof(line));
    scripted_wait_for_close(descriptor);
}

static void a_server_that_only_accepts_costs_three_timeouts(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_nothing, NULL);
    struct larder_cache *cache = open_on(server, 60);
    char buffer[16];
    /* nothing was sent but the greeting: a write that ends so has not happened */
    assert_int_equal(larder_set(cache, larder_text("k"), larder_text("v"), 0), LARDER_TIMEOUT);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_TIMEOUT);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_TIMEOUT);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_UNAVAILABLE);
    assert_int_equal(larder_set(cache, larder_text("k"), larder_text("v"), 0), LARDER_UNAVAILABLE);
    assert_int_equal(figure(cache, "server.0.down"), 1);
    larder_close(cache);
    scripted_server_stop(server);
}

static void a_write_without_an_answer_is_unknown(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_greeting, NULL);
    struct larder_cache *cache = open_on(server, 1000);
    uint64_t number;
    char buffer[16];
    assert_int_equal(larder_set(cache, larder_text("k"), larder_text("v"), 0), LARDER_UNKNOWN);
    assert_int_equal(larder_incr(cache, larder_text("k"), 1, NULL, &number), LARDER_UNKNOWN);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_TIMEOUT);
    assert_int_equal(larder_delete(cache, larder_text("k"), 0), LARDER_UNAVAILABLE);
    larder_close(cache);
    scripted_server_stop(server);
}

static void short_deadlines_do_not_mark_a_server_down(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_greeting, NULL);
    struct larder_cache *cache = open_on(server, 2000);
    struct larder_call call = LARDER_CALL_INIT;
    call.timeout_ms = 10;
    for (int i = 0; i < 5; i++)
        assert_int_equal(larder_read_with(cache, &call, larder_text("k"), NULL, 0, NULL),
                         LARDER_TIMEOUT);
    assert_int_equal(figure(cache, "server.0.down"), 0);
    larder_close(cache);
    scripted_server_stop(server);
}

static void *read_patiently(void *cache)
{
    char buffer[16];
    read_key(cache, "k", buffer, sizeof(buffer));
    return NULL;
}

static void more_callers_than_clients_are_unavailable(void **state)
{
    (void)state;
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct scripted_server *server = scripted_server_start(serve_greeting, NULL);
    pthread_t thread;
    char buffer[16];
    options.clients_max = 1;
    struct larder_cache *cache = open_with(server, 3000, options);
    assert_int_equal(pthread_create(&thread, NULL, read_patiently, cache), 0);
    while (figure(cache, "clients") == 0)
        scripted_pause(1);
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_UNAVAILABLE);
    assert_int_equal(figure(cache, "server.0.down"), 0);
    pthread_join(thread, NULL);
    larder_close(cache);
    scripted_server_stop(server);
}

static void serve_idle_close(void *context, int descriptor, unsigned number)
{
    char line[LINE_BYTES];
    (void)context;
    (void)number;
    if (scripted_next(descriptor, line, sizeof(line)) != NULL)
        scripted_say(descriptor, "VALUE k 0 1\r\nV\r\nEND\r\n");
    /* as with -o idle_timeout */
}

static void a_connection_closed_while_idle_costs_a_read_nothing(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_idle_close, NULL);
    struct larder_cache *cache = open_on(server, 2000);
    char buffer[16];
    for (int i = 0; i < 20; i++)
        assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_OK);
    assert_int_equal(figure(cache, "server.0.markdowns"), 0);
    larder_close(cache);
    scripted_server_stop(server);
}

/* ---- what stays open, each in a child process ----------------------------------------------- */

typedef int child_fn(const struct scripted_server *server);

/* @return what waitpid() says of a child that runs `child` */
static int run_child(const struct scripted_server *server, child_fn *child)
{
    int result = 0;
    fflush(NULL);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        alarm(30);
        _exit(child(server));
    }
    assert_int_equal(waitpid(process, &result, 0), process);
    return result;
}

static int child_sets(const struct scripted_server *server)
{
    struct larder_cache *cache = open_on(server, 1000);
    if (freopen("/dev/null", "w", stderr) == NULL)
        return 2;
    return larder_set(cache, larder_text("k"), larder_text("v"), 0) == LARDER_UNKNOWN ? 0 : 1;
}

static void a_well_formed_wrong_answer_to_a_store_aborts_inside_libmemcached(void **state)
{
    (void)state;
    static const char *const replies[] = {"OK\r\n", NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    int result = run_child(server, child_sets);
    print_message(
        "          documented: \"OK\" in answer to a set ends the process with signal %d\n",
        WIFSIGNALED(result) ? WTERMSIG(result) : 0);
    assert_true(WIFSIGNALED(result));
    assert_int_equal(WTERMSIG(result), SIGABRT);
    scripted_server_stop(server);
}

/* What a hostile server can write over inside libmemcached. The call ends as an error, if the
 * process lives that long. */
#define CHILD_WAS_FOOLED 42

static int child_reads_and_sets(struct larder_cache *cache)
{
    char buffer[16];
    if (freopen("/dev/null", "w", stderr) == NULL)
        return CHILD_WAS_FOOLED;
    return larder_set(cache, larder_text("key"), larder_text("v"), 0) == LARDER_OK ||
                   read_key(cache, "key", buffer, sizeof(buffer)) == LARDER_OK
               ? CHILD_WAS_FOOLED
               : 0;
}

static int child_speaks_binary(const struct scripted_server *server)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    options.binary = 1;
    return child_reads_and_sets(open_with(server, 1000, options));
}

static int child_speaks_text(const struct scripted_server *server)
{
    return child_reads_and_sets(open_on(server, 1000));
}

static void document_overrun(const char *what, scripted_serve_fn *serve, void *context,
                             child_fn *child)
{
    struct scripted_server *server = scripted_server_start(serve, context);
    int result = run_child(server, child);
    print_message("          documented: %s ends the process with signal %d, status %d\n", what,
                  WIFSIGNALED(result) ? WTERMSIG(result) : 0,
                  WIFEXITED(result) ? WEXITSTATUS(result) : 0);
    assert_false(WIFEXITED(result) && WEXITSTATUS(result) == CHILD_WAS_FOOLED);
    scripted_server_stop(server);
}

/* A binary reply whose lengths say what they like. */
struct overrun {
    unsigned char opcode; /* is answered so; others as memcached does */
    unsigned key_length;
    unsigned body_length;
};

static void say_overrun(int descriptor, const struct overrun *overrun)
{
    enum { BODY_BYTES = 4096 };
    unsigned char reply[BINARY_HEADER_BYTES + BODY_BYTES];
    memset(reply, 'x', sizeof(reply));
    memset(reply, 0, BINARY_HEADER_BYTES);
    reply[0] = 0x81;
    reply[1] = overrun->opcode;
    reply[2] = (unsigned char)(overrun->key_length >> 8);
    reply[3] = (unsigned char)overrun->key_length;
    reply[4] = overrun->opcode == BINARY_GETK ? 4 : 0;
    reply[10] = (unsigned char)(overrun->body_length >> 8);
    reply[11] = (unsigned char)overrun->body_length;
    scripted_send(descriptor, reply, sizeof(reply));
}

static void serve_overrun(void *context, int descriptor, unsigned number)
{
    const struct overrun *overrun = context;
    unsigned char request[BINARY_HEADER_BYTES + 256];
    (void)number;
    while (read_exactly(descriptor, request, BINARY_HEADER_BYTES) &&
           read_exactly(descriptor, request + BINARY_HEADER_BYTES, request[11])) {
        if (request[1] == overrun->opcode)
            say_overrun(descriptor, overrun);
        else if (request[1] == BINARY_VERSION)
            say_binary(descriptor, BINARY_VERSION, "", "1.6.18");
        else
            break;
    }
    scripted_wait_for_close(descriptor);
}

static void a_long_binary_version_overruns_the_stack_of_libmemcached(void **state)
{
    (void)state;
    struct overrun overrun = {BINARY_VERSION, 0, 4000};
    document_overrun("a version of 4,000 bytes", serve_overrun, &overrun, child_speaks_binary);
}

static void a_long_binary_key_overruns_a_result_of_libmemcached(void **state)
{
    (void)state;
    struct overrun overrun = {BINARY_GETK, 3000, 3009};
    document_overrun("a key of 3,000 bytes", serve_overrun, &overrun, child_speaks_binary);
}

static void a_binary_key_longer_than_its_body_overruns_libmemcached(void **state)
{
    (void)state;
    struct overrun overrun = {BINARY_GETK, 600, 100};
    document_overrun("a key longer than its body", serve_overrun, &overrun, child_speaks_binary);
}

static void a_long_text_key_overruns_a_result_of_libmemcached(void **state)
{
    (void)state;
    char reply[400] = "VALUE ";
    memset(reply + 6, 'x', 300);
    strcpy(reply + 306, " 0 1\r\nV\r\nEND\r\n");
    const char *const replies[] = {reply, reply, NULL};
    struct script script = {replies, 0};
    document_overrun("a text key of 300 bytes", serve_script, &script, child_speaks_text);
}

static void serve_drip(void *context, int descriptor, unsigned number)
{
    static const char reply[] = "VALUE k 0 8\r\n12345678\r\nEND\r\n";
    char line[LINE_BYTES];
    (void)context;
    (void)number;
    if (scripted_next(descriptor, line, sizeof(line)) == NULL)
        return;
    for (size_t i = 0; i < sizeof(reply) - 1; i++) {
        scripted_pause(20);
        if (!scripted_send(descriptor, reply + i, 1))
            return;
    }
    scripted_wait_for_close(descriptor);
}

static int child_reads_past_its_deadline(const struct scripted_server *server)
{
    char buffer[16];
    uint64_t took_ms = 0;
    enum larder_status status = LARDER_OK;
    struct larder_cache *cache = open_on(server, 200);
    /* On a busy machine a byte may come so late that the wait for it ends by the timeout. */
    for (int i = 0; i < 10 && took_ms < 400; i++) {
        uint64_t start_ns = larder_monotonic_ns();
        status = read_key(cache, "k", buffer, sizeof(buffer));
        took_ms = (larder_monotonic_ns() - start_ns) / 1000000;
    }
    print_message(
        "          documented: a dripping server held a read of 200 ms for %llu ms (%s)\n",
        (unsigned long long)took_ms, larder_status_name(status));
    int promised = (larder_describe(cache)->promises & LARDER_HARD_DEADLINE) != 0;
    larder_close(cache);
    fflush(NULL);
    return took_ms >= 400 && !promised ? 0 : 1;
}

static void a_dripping_server_outlasts_the_deadline(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_drip, NULL);
    assert_int_equal(run_child(server, child_reads_past_its_deadline), 0);
    scripted_server_stop(server);
}

static void on_signal(int number)
{
    (void)number;
}

/* Two signals make what is left of libmemcached's timeout negative, which poll() takes for ever;
 * a fourth one ends it. */
static int child_reads_under_signals(const struct scripted_server *server)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct sigaction action = {.sa_handler = on_signal};
    char buffer[16];
    uint64_t took_ms = 0;
    sigaction(SIGALRM, &action, NULL);
    options.probe_ms = 50;
    struct larder_cache *cache = open_with(server, 200, options);
    for (int i = 0; i < 10 && took_ms < 400; i++) {
        pid_t parent = getpid();
        pid_t signaller = fork();
        if (signaller == 0) {
            static const unsigned pauses_ms[] = {80, 60, 600, 300};
            for (size_t j = 0; j < sizeof(pauses_ms) / sizeof(pauses_ms[0]); j++) {
                scripted_pause(pauses_ms[j]);
                kill(parent, SIGALRM);
            }
            _exit(0);
        }
        uint64_t start_ns = larder_monotonic_ns();
        read_key(cache, "k", buffer, sizeof(buffer));
        took_ms = (larder_monotonic_ns() - start_ns) / 1000000;
        while (waitpid(signaller, NULL, 0) < 0)
            continue;
        scripted_pause(60); /* the next try is the prober's, if the server was marked down */
    }
    print_message("          documented: under signals a read of 200 ms took %llu ms\n",
                  (unsigned long long)took_ms);
    fflush(NULL);
    return took_ms >= 400 ? 0 : 1;
}

static void signals_outlast_the_deadline(void **state)
{
    (void)state;
    struct scripted_server *server = scripted_server_start(serve_greeting, NULL);
    assert_int_equal(run_child(server, child_reads_under_signals), 0);
    scripted_server_stop(server);
}

static void not_found_in_reply_to_a_read_is_taken_for_a_miss(void **state)
{
    (void)state;
    static const char *const replies[] = {"NOT_FOUND\r\n", NULL};
    struct script script = {replies, 0};
    struct scripted_server *server = scripted_server_start(serve_script, &script);
    struct larder_cache *cache = open_on(server, 1000);
    char buffer[16];
    enum larder_status status = read_key(cache, "k", buffer, sizeof(buffer));
    print_message("          documented: \"NOT_FOUND\" in answer to a read is %s\n",
                  larder_status_name(status));
    assert_int_equal(status, LARDER_MISS);
    assert_int_equal(larder_describe(cache)->promises & LARDER_MISS_IS_ABSENCE, 0);
    larder_close(cache);
    scripted_server_stop(server);
}

/* Stores the first value, says so twice, and refuses the others. */
static void serve_double_stored(void *context, int descriptor, unsigned number)
{
    char line[LINE_BYTES], data[LINE_BYTES];
    const char *reply = "STORED\r\nSTORED\r\n";
    (void)context;
    (void)number;
    while (scripted_next(descriptor, line, sizeof(line)) != NULL) {
        if (strncmp(line, "get", 3) == 0)
            scripted_say(descriptor, "VALUE k 0 1\r\nv\r\nEND\r\n");
        else if (scripted_read_line(descriptor, data, sizeof(data)) == NULL ||
                 !scripted_say(descriptor, reply))
            break;
        reply = "NOT_STORED\r\n";
    }
}

static void a_write_answered_twice_answers_the_next_write_as_well(void **state)
{
    (void)state;
    char buffer[16];
    struct scripted_server *server = scripted_server_start(serve_double_stored, NULL);
    struct larder_cache *cache = open_on(server, 1000);
    assert_int_equal(larder_add(cache, larder_text("k"), larder_text("v"), 0), LARDER_OK);
    enum larder_status status = larder_add(cache, larder_text("k"), larder_text("w"), 0);
    print_message("          documented: after \"STORED\" twice, a refused add is %s\n",
                  larder_status_name(status));
    assert_int_equal(status, LARDER_OK);
    /* the next read finds it out */
    assert_int_equal(read_key(cache, "k", buffer, sizeof(buffer)), LARDER_PROTOCOL);
    larder_close(cache);
    scripted_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_to_another_key_is_a_protocol_error),
        cmocka_unit_test(a_stray_reply_is_never_taken_for_another_keys),
        cmocka_unit_test(a_key_answered_twice_is_a_protocol_error),
        cmocka_unit_test(an_unasked_key_spoils_a_multi_get),
        cmocka_unit_test(a_length_that_no_item_has_is_a_protocol_error),
        cmocka_unit_test(a_broken_reply_to_many_gives_no_row_a_value),
        cmocka_unit_test(a_broken_reply_leaves_complete_ones_alone),
        cmocka_unit_test(a_binary_reply_to_another_key_is_a_protocol_error),
        cmocka_unit_test(garbage_in_reply_to_a_read_is_no_miss),
        cmocka_unit_test(an_endless_line_is_a_protocol_error),
        cmocka_unit_test(a_read_cut_at_any_byte_gives_no_value),
        cmocka_unit_test(a_write_cut_before_its_answer_is_unknown),
        cmocka_unit_test(a_server_that_only_accepts_costs_three_timeouts),
        cmocka_unit_test(a_write_without_an_answer_is_unknown),
        cmocka_unit_test(short_deadlines_do_not_mark_a_server_down),
        cmocka_unit_test(more_callers_than_clients_are_unavailable),
        cmocka_unit_test(a_connection_closed_while_idle_costs_a_read_nothing),
        cmocka_unit_test(a_well_formed_wrong_answer_to_a_store_aborts_inside_libmemcached),
        cmocka_unit_test(a_long_binary_version_overruns_the_stack_of_libmemcached),
        cmocka_unit_test(a_long_binary_key_overruns_a_result_of_libmemcached),
        cmocka_unit_test(a_binary_key_longer_than_its_body_overruns_libmemcached),
        cmocka_unit_test(a_long_text_key_overruns_a_result_of_libmemcached),
        cmocka_unit_test(not_found_in_reply_to_a_read_is_taken_for_a_miss),
        cmocka_unit_test(a_write_answered_twice_answers_the_next_write_as_well),
        cmocka_unit_test(a_dripping_server_outlasts_the_deadline),
        cmocka_unit_test(signals_outlast_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
