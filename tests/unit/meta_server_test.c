/* The meta protocol against a real memcached: every form that it speaks is written, read, and fits.
 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <larder/util/meta_wire.h>

#include "memcached_server.h"

#define FLAG(name) LARDER_META_FLAG_##name
#define VALUE_MAX (2u << 20)

static struct memcached_server *server;
static int descriptor;

static char received[VALUE_MAX + 4096];
static size_t received_length;
static struct larder_meta_reply reply;
static struct larder_slice value;

static void dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    received_length = 0;
}

static int start(void **state)
{
    (void)state;
    server = memcached_server_start(NULL);
    dial(memcached_server_path(server));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    close(descriptor);
    memcached_server_stop(server);
    return 0;
}

static void say(const void *bytes, size_t length)
{
    const char *left = bytes;
    while (length > 0) {
        ssize_t sent = send(descriptor, left, length, MSG_NOSIGNAL);
        assert_true(sent > 0);
        left += sent;
        length -= (size_t)sent;
    }
}

/* Reads one reply, a few bytes at a time, so that most replies come in pieces. */
static void hear(void)
{
    size_t needed = 0;
    received_length = 0;
    for (;;) {
        enum larder_meta_parse parse =
            larder_meta_parse(received, received_length, VALUE_MAX, &reply, &value, &needed);
        assert_int_not_equal(parse, LARDER_META_BROKEN);
        if (parse == LARDER_META_WHOLE)
            break;
        struct pollfd readable = {.fd = descriptor, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 5000), 1);
        ssize_t got = recv(descriptor, received + received_length, needed - received_length, 0);
        assert_true(got > 0);
        received_length += (size_t)got;
    }
    assert_int_equal(needed, received_length); /* never asked for more than there was */
}

static void send_request(const struct larder_meta_request *request, const char *bytes)
{
    char line[LARDER_META_REQUEST_BYTES_MAX];
    struct larder_meta_output output = {line, sizeof(line), 0};
    assert_status(LARDER_OK, larder_meta_write(&output, request));
    say(line, output.length);
    if (request->command != LARDER_META_STORE)
        return;
    say(bytes, request->value_length);
    say(LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES);
}

/* Sends a request, reads its answer, and checks that it is one. */
static void ask_with(struct larder_meta_request request, const char *bytes,
                     enum larder_meta_code code)
{
    request.value_length = bytes != NULL ? strlen(bytes) : 0;
    send_request(&request, bytes);
    hear();
    if (reply.code != code)
        fail_msg("got %.*s", (int)reply.line_length, received);
    assert_true(larder_meta_fits(&request, &reply));
}

static struct larder_meta_request request_of(enum larder_meta_command command, const char *key,
                                             uint32_t flags)
{
    return (struct larder_meta_request){.command = command,
                                        .flags = flags,
                                        .key = larder_text(key),
                                        .opaque = larder_text("0123456789abcdef0123456789abcde"),
                                        .hint_p = larder_text("/"),
                                        .hint_l = larder_text("x"),
                                        .delta = 1,
                                        .ttl = 90,
                                        .vivify_ttl = 30};
}

static void ask(enum larder_meta_command command, const char *key, uint32_t flags,
                enum larder_meta_code code)
{
    ask_with(request_of(command, key, flags), NULL, code);
}

static void put(const char *key, const char *bytes)
{
    ask_with(request_of(LARDER_META_STORE, key, 0), bytes, LARDER_META_HD);
}

static void assert_stored(const char *key, const char *bytes)
{
    ask(LARDER_META_GET, key, FLAG(VALUE), LARDER_META_VA);
    assert_slice(bytes, value);
}

static uint64_t version_of(const char *key)
{
    ask(LARDER_META_GET, key, FLAG(RETURN_VERSION), LARDER_META_HD);
    return reply.version;
}

/* ---- forms --------------------------------------------------------------------------------- */

static void a_read_tells_all_that_is_asked(void **state)
{
    (void)state;
    struct larder_meta_request store =
        request_of(LARDER_META_STORE, "all", FLAG(TTL) | FLAG(SET_FLAGS) | FLAG(RETURN_VERSION));
    store.set_flags = UINT32_MAX;
    ask_with(store, "hi", LARDER_META_HD);
    uint64_t version = reply.version;
    ask(LARDER_META_GET, "all",
        FLAG(KEY) | FLAG(OPAQUE) | FLAG(RETURN_TTL) | FLAG(RETURN_VERSION) | FLAG(RETURN_FLAGS) |
            FLAG(RETURN_SIZE) | FLAG(RETURN_HIT) | FLAG(RETURN_ACCESS) | FLAG(VALUE) |
            FLAG(NO_BUMP) | FLAG(HINT_P) | FLAG(HINT_L),
        LARDER_META_VA);
    assert_slice("hi", value);
    assert_true(reply.ttl_s >= 88 && reply.ttl_s <= 90);
    assert_true(reply.version == version && version != 0);
    assert_int_equal(reply.client_flags, UINT32_MAX);
    assert_int_equal(reply.size, 2);
    assert_int_equal(reply.hit_before, 0);
    ask(LARDER_META_GET, "nothing", FLAG(KEY) | FLAG(OPAQUE) | FLAG(VALUE), LARDER_META_EN);
}

/* ROW(…) of the header against the server: no flag is an error where the table says it can be. */
static void each_flag_is_taken_by_the_commands_of_the_table(void **state)
{
    (void)state;
    static const struct {
        uint32_t flag;
        unsigned commands;
    } flags[] = {
#define ROW(letter, name, bit, commands, later, version, sentence) \
    {LARDER_META_FLAG_##name, commands},
        LARDER_META_FLAG_TABLE(ROW)
#undef ROW
    };
    for (unsigned command = 0; command < LARDER_META_NOOP; command++)
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
            uint32_t flag = flags[i].flag;
            if ((flags[i].commands >> command & 1) == 0 || flag == FLAG(QUIET))
                continue;
            put("k", "1");
            int base64 = flag == FLAG(BASE64);
            struct larder_meta_request request =
                request_of((enum larder_meta_command)command, base64 ? "aw==" : "k", flag);
            request.mode = command == LARDER_META_COUNT ? 'I' : 'S';
            request.compare = version_of("k");
            if (command == LARDER_META_STORE && flag == FLAG(INVALIDATE))
                request.flags |= FLAG(COMPARE);
            if (command == LARDER_META_DELETE && flag == FLAG(TTL))
                request.flags |= FLAG(INVALIDATE);
            enum larder_meta_code code = LARDER_META_HD;
            if (flag == FLAG(VALUE))
                code = LARDER_META_VA;
            if (command == LARDER_META_DEBUG)
                code = LARDER_META_ME;
            ask_with(request, command == LARDER_META_STORE ? "1" : NULL, code);
        }
}

static void stores_answer_by_mode(void **state)
{
    (void)state;
    static const struct {
        char mode;
        enum larder_meta_code missing;
        enum larder_meta_code there;
        const char *after;
    } modes[] = {
        {'S', LARDER_META_HD, LARDER_META_HD, "new"},
        {'E', LARDER_META_HD, LARDER_META_NS, "old"},
        {'R', LARDER_META_NS, LARDER_META_HD, "new"},
        {'A', LARDER_META_NS, LARDER_META_HD, "oldnew"},
        {'P', LARDER_META_NS, LARDER_META_HD, "newold"},
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct larder_meta_request store =
            request_of(LARDER_META_STORE, "mode",
                       FLAG(MODE) | FLAG(KEY) | FLAG(OPAQUE) | FLAG(RETURN_VERSION));
        store.mode = modes[i].mode;
        ask_with(store, "new", modes[i].missing);
        put("mode", "old");
        ask_with(store, "new", modes[i].there);
        assert_stored("mode", modes[i].after);
        ask(LARDER_META_DELETE, "mode", 0, LARDER_META_HD);
    }
}

static void versions_decide(void **state)
{
    (void)state;
    struct larder_meta_request store = request_of(
        LARDER_META_STORE, "cas", FLAG(COMPARE) | FLAG(RETURN_VERSION) | FLAG(KEY) | FLAG(OPAQUE));
    store.compare = 1;
    ask_with(store, "x", LARDER_META_NF);
    put("cas", "1");
    store.compare = version_of("cas") + 1000;
    ask_with(store, "x", LARDER_META_EX);
    store.compare = version_of("cas");
    ask_with(store, "2", LARDER_META_HD);
    assert_true(reply.version == version_of("cas"));

    struct larder_meta_request count = request_of(LARDER_META_COUNT, "cas", FLAG(COMPARE));
    count.compare = 1;
    ask_with(count, NULL, LARDER_META_EX);
    struct larder_meta_request delete = request_of(LARDER_META_DELETE, "cas", FLAG(COMPARE));
    delete.compare = 1;
    ask_with(delete, NULL, LARDER_META_EX);
    delete.compare = version_of("cas");
    ask_with(delete, NULL, LARDER_META_HD);
    ask_with(delete, NULL, LARDER_META_NF);
}

static void counters_count(void **state)
{
    (void)state;
    uint32_t asked = FLAG(VALUE) | FLAG(RETURN_TTL) | FLAG(RETURN_VERSION) | FLAG(KEY);
    ask(LARDER_META_COUNT, "count", asked, LARDER_META_NF);
    struct larder_meta_request count =
        request_of(LARDER_META_COUNT, "count", asked | FLAG(VIVIFY) | FLAG(INITIAL) | FLAG(DELTA));
    count.initial = 13;
    count.delta = 5;
    ask_with(count, NULL, LARDER_META_VA);
    assert_slice("13", value);
    assert_int_equal(reply.ttl_s, 30);
    ask_with(count, NULL, LARDER_META_VA);
    assert_slice("18", value);
    count.flags |= FLAG(MODE);
    count.mode = '-';
    count.delta = 10;
    ask_with(count, NULL, LARDER_META_VA);
    assert_slice("8", value);
    assert_stored("count", "8 "); /* shortened: memcached pads what it keeps */
    ask(LARDER_META_COUNT, "count", FLAG(RETURN_TTL), LARDER_META_HD);
    put("text", "none");
    ask(LARDER_META_COUNT, "text", 0, LARDER_META_CLIENT_ERROR);
    assert_int_equal(reply.cause, LARDER_META_NOT_A_NUMBER);
    assert_true(larder_meta_in_step(&reply));
    assert_stored("text", "none"); /* it is */
}

static void a_lease_is_won_once(void **state)
{
    (void)state;
    uint32_t asked =
        FLAG(VIVIFY) | FLAG(RETURN_TTL) | FLAG(RETURN_VERSION) | FLAG(RETURN_FLAGS) | FLAG(VALUE);
    ask(LARDER_META_GET, "lease", asked, LARDER_META_VA);
    assert_int_equal(reply.marks, LARDER_META_WON);
    assert_int_equal(value.length, 0);
    assert_int_equal(reply.ttl_s, 30); /* t behind N */
    uint64_t token = reply.version;
    ask(LARDER_META_GET, "lease", asked, LARDER_META_VA);
    assert_int_equal(reply.marks, LARDER_META_LOST);
    struct larder_meta_request fill =
        request_of(LARDER_META_STORE, "lease", FLAG(COMPARE) | FLAG(SET_FLAGS));
    fill.compare = token;
    ask_with(fill, "filled", LARDER_META_HD);
    ask(LARDER_META_GET, "lease", asked, LARDER_META_VA);
    assert_int_equal(reply.marks, 0);
    assert_slice("filled", value);
}

static void a_stale_value_is_won_once(void **state)
{
    (void)state;
    put("stale", "old");
    ask(LARDER_META_DELETE, "stale", FLAG(INVALIDATE) | FLAG(TTL), LARDER_META_HD);
    ask(LARDER_META_GET, "stale", FLAG(VALUE), LARDER_META_VA);
    assert_int_equal(reply.marks, LARDER_META_WON | LARDER_META_STALE);
    ask(LARDER_META_GET, "stale", FLAG(VALUE), LARDER_META_VA);
    assert_int_equal(reply.marks, LARDER_META_LOST | LARDER_META_STALE);
    put("stale", "new");
    ask(LARDER_META_GET, "stale", FLAG(VALUE), LARDER_META_VA);
    assert_int_equal(reply.marks, 0);
}

static void an_early_reader_wins_although_it_touches(void **state)
{
    (void)state;
    ask_with(request_of(LARDER_META_STORE, "early", FLAG(TTL)), "v", LARDER_META_HD);
    struct larder_meta_request read = request_of(
        LARDER_META_GET, "early", FLAG(RECACHE) | FLAG(TTL) | FLAG(RETURN_TTL) | FLAG(VALUE));
    read.recache_s = 300;
    read.ttl = 600;
    ask_with(read, NULL, LARDER_META_VA);
    assert_int_equal(reply.marks, LARDER_META_WON);
    assert_int_equal(reply.ttl_s, 600);
}

static void base64_keys_name_bytes(void **state)
{
    (void)state;
    /* "two words", which no plain key can be */
    struct larder_meta_request store =
        request_of(LARDER_META_STORE, "dHdvIHdvcmRz", FLAG(BASE64) | FLAG(KEY));
    ask_with(store, "v", LARDER_META_HD);
    ask(LARDER_META_GET, "dHdvIHdvcmRz", FLAG(BASE64) | FLAG(KEY) | FLAG(VALUE), LARDER_META_VA);
    ask(LARDER_META_DEBUG, "dHdvIHdvcmRz", FLAG(BASE64), LARDER_META_ME);
    ask(LARDER_META_DELETE, "dHdvIHdvcmRz", FLAG(BASE64) | FLAG(KEY), LARDER_META_HD);
    ask(LARDER_META_GET, "dHdvIHdvcmRz", FLAG(BASE64) | FLAG(KEY) | FLAG(VALUE), LARDER_META_EN);
    /* the same item by both of its names */
    put("k", "v");
    ask(LARDER_META_GET, "aw==", FLAG(BASE64) | FLAG(KEY), LARDER_META_HD);
    ask_with(request_of(LARDER_META_STORE, "ams=", FLAG(BASE64) | FLAG(KEY)), "v", LARDER_META_HD);
    ask(LARDER_META_GET, "jk", FLAG(KEY), LARDER_META_HD);
}

static void debug_tells_of_an_item(void **state)
{
    (void)state;
    struct larder_meta_debug debug;
    ask(LARDER_META_DEBUG, "nothing", 0, LARDER_META_EN);
    ask_with(request_of(LARDER_META_STORE, "debug", FLAG(TTL)), "12345", LARDER_META_HD);
    uint64_t version = version_of("debug");
    ask(LARDER_META_DEBUG, "debug", 0, LARDER_META_ME);
    assert_true(larder_meta_parse_debug(reply.text, &debug));
    assert_true(debug.ttl_s >= 88 && debug.ttl_s <= 90);
    assert_true(debug.version == version);
    assert_int_equal(debug.fetched, 1);
    assert_true(debug.size > 5);
}

static void quiet_requests_answer_at_the_noop(void **state)
{
    (void)state;
    struct larder_meta_request quiet = request_of(LARDER_META_GET, "none", FLAG(QUIET));
    struct larder_meta_request noop = {.command = LARDER_META_NOOP};
    put("there", "v");
    send_request(&quiet, NULL); /* EN is hidden */
    quiet.key = larder_text("there");
    send_request(&quiet, NULL); /* HD is not */
    quiet.command = LARDER_META_DELETE;
    send_request(&quiet, NULL); /* HD is hidden */
    send_request(&quiet, NULL); /* NF is not */
    send_request(&noop, NULL);
    hear();
    assert_int_equal(reply.code, LARDER_META_HD);
    hear();
    assert_int_equal(reply.code, LARDER_META_NF);
    hear();
    assert_true(larder_meta_fits(&noop, &reply));
}

/* ---- the rest of the conversation ---------------------------------------------------------- */

static void classic_reads_are_read(void **state)
{
    (void)state;
    char line[64];
    struct larder_meta_output output = {line, sizeof(line), 0};
    put("one", "1");
    put("two", "");
    assert_status(LARDER_OK, larder_meta_write_get(&output, 1));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("one")));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("none")));
    assert_status(LARDER_OK, larder_meta_write_get_key(&output, larder_text("two")));
    assert_status(LARDER_OK, larder_meta_write_end(&output));
    say(line, output.length);
    hear();
    assert_int_equal(reply.code, LARDER_META_CLASSIC_VALUE);
    assert_slice("one", reply.key);
    assert_slice("1", value);
    assert_true(reply.version != 0);
    hear();
    assert_slice("two", reply.key);
    assert_slice("", value);
    hear();
    assert_int_equal(reply.code, LARDER_META_CLASSIC_END);
}

static void say_text(const char *text)
{
    say(text, strlen(text));
    hear();
}

static void version_figures_and_a_flush_are_read(void **state)
{
    (void)state;
    int seen = 0;
    say_text("version\r\n");
    assert_int_equal(reply.code, LARDER_META_CLASSIC_VERSION);
    assert_true(larder_meta_parse_version(reply.text) >= 10600);
    say_text("stats settings\r\n");
    while (reply.code == LARDER_META_CLASSIC_STAT) {
        seen +=
            reply.text.length == 21 && memcmp(reply.text.data, "item_size_max 1048576", 21) == 0;
        hear();
    }
    assert_int_equal(reply.code, LARDER_META_CLASSIC_END);
    assert_int_equal(seen, 1);
    say_text("flush_all\r\n");
    assert_int_equal(reply.code, LARDER_META_CLASSIC_OK);
}

static void errors_are_read_with_their_causes(void **state)
{
    (void)state;
    static char big[VALUE_MAX];
    memset(big, 'b', sizeof(big) - 1);
    put("big", "old");
    ask_with(request_of(LARDER_META_STORE, "big", 0), big, LARDER_META_SERVER_ERROR);
    assert_int_equal(reply.cause, LARDER_META_OBJECT_TOO_LARGE);
    assert_true(larder_meta_in_step(&reply));
    ask(LARDER_META_GET, "big", 0, LARDER_META_EN); /* in step; and the old value is gone */
    say_text("mX k\r\n");
    assert_int_equal(reply.cause, LARDER_META_BAD_COMMAND);
    say_text("mg k !\r\n");
    assert_int_equal(reply.cause, LARDER_META_BAD_REQUEST);
    say_text("mn\r\n");
    assert_int_equal(reply.code, LARDER_META_MN);
}

/* What 1.6.18 makes of the longest key and the longest opaque: the limits are its own. */
static void the_limits_are_the_servers(void **state)
{
    (void)state;
    char key[251] = "";
    memset(key, 'k', 250);
    put(key, "v");
    ask(LARDER_META_GET, key, FLAG(KEY) | FLAG(OPAQUE) | FLAG(VALUE), LARDER_META_VA);
    memset(key, 'A', 248);
    key[248] = '\0';
    ask_with(request_of(LARDER_META_STORE, key, FLAG(BASE64) | FLAG(KEY)), "v", LARDER_META_HD);
    ask(LARDER_META_GET, key, FLAG(BASE64) | FLAG(KEY) | FLAG(VALUE), LARDER_META_VA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_tells_all_that_is_asked),
        cmocka_unit_test(each_flag_is_taken_by_the_commands_of_the_table),
        cmocka_unit_test(stores_answer_by_mode),
        cmocka_unit_test(versions_decide),
        cmocka_unit_test(counters_count),
        cmocka_unit_test(a_lease_is_won_once),
        cmocka_unit_test(a_stale_value_is_won_once),
        cmocka_unit_test(an_early_reader_wins_although_it_touches),
        cmocka_unit_test(base64_keys_name_bytes),
        cmocka_unit_test(debug_tells_of_an_item),
        cmocka_unit_test(quiet_requests_answer_at_the_noop),
        cmocka_unit_test(classic_reads_are_read),
        cmocka_unit_test(version_figures_and_a_flush_are_read),
        cmocka_unit_test(errors_are_read_with_their_causes),
        cmocka_unit_test(the_limits_are_the_servers),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
