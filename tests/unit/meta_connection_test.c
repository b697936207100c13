/* A connection of the meta backend by itself: as an event loop would use it, over each kind of
 * socket, and with more said on it than was asked. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <larder/util/deadline.h>

#include "../../backends/meta/connection.h"
#include "memcached_server.h"
#include "scripted_server.h"

/* ---- an exchange of any requests, whose replies are counted --------------------------------- */

struct talk {
    struct exchange exchange; /* first */
    struct iovec vector;
    unsigned codes[LARDER_META_CODES];
    char *sink;
    size_t sink_size;
};

static int take_reply(struct exchange *exchange, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct talk *talk = (struct talk *)(void *)exchange;
    talk->codes[reply->code]++;
    *sink = talk->sink;
    *sink_size = talk->sink_size;
    return 1;
}

static void talk_begin(struct talk *talk, const char *requests, size_t length, uint32_t due)
{
    *talk = (struct talk){.vector = {(void *)(uintptr_t)requests, length}};
    talk->exchange = (struct exchange){.reply = take_reply,
                                       .due = due,
                                       .unsent = &talk->vector,
                                       .unsent_count = 1,
                                       .value_max = LARDER_META_VALUE_BYTES_MAX};
}

static uint64_t soon(void)
{
    return larder_deadline_after(larder_monotonic_ns(), 10000);
}

static enum connection_step run(struct connection *connection, struct talk *talk)
{
    return meta_connection_run(connection, &talk->exchange, larder_monotonic_ns(), LARDER_NEVER_NS,
                               soon());
}

static void dial(struct connection *connection, const char *address, uint32_t port)
{
    const struct endpoint endpoint = {.address = address, .port = port, .nodelay = 1};
    meta_connection_init(connection);
    enum connection_step step = meta_connection_dial(connection, &endpoint);
    assert_true(step == STEP_OVER || step == STEP_WAIT);
}

static struct memcached_server *server;

static int start(void **state)
{
    (void)state;
    server = memcached_server_start(NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    memcached_server_stop(server);
    return 0;
}

/* ---- steps --------------------------------------------------------------------------------- */

/* Polls and steps, as an event loop does: no step may wait. 20 MB go each way. */
static void an_event_loop_steps_through_an_exchange(void **state)
{
    (void)state;
    enum { REQUESTS = 400, BYTES = 50000 };
    size_t length = 0, size = REQUESTS * (BYTES + 64u) * 2;
    char *requests = malloc(size), *value = malloc(BYTES);
    assert_non_null(requests);
    assert_non_null(value);
    memset(value, 'v', BYTES);
    for (unsigned i = 0; i < REQUESTS; i++) {
        length += (size_t)snprintf(requests + length, size - length, "ms k %d\r\n", BYTES);
        memcpy(requests + length, value, BYTES);
        length += BYTES;
        length += (size_t)snprintf(requests + length, size - length, "\r\nmg k v\r\n");
    }
    struct connection connection;
    struct talk talk;
    unsigned waits = 0;
    dial(&connection, memcached_server_path(server), 0);
    talk_begin(&talk, requests, length, 2 * REQUESTS);
    talk.sink = value;
    talk.sink_size = BYTES;
    for (;;) {
        short events = 0;
        enum connection_step step = meta_connection_step(&connection, &talk.exchange, &events);
        if (step == STEP_OVER)
            break;
        assert_int_equal(step, STEP_WAIT);
        struct pollfd polled = {.fd = connection.descriptor, .events = events};
        assert_int_equal(poll(&polled, 1, 10000), 1);
        waits++;
    }
    assert_true(waits > 1);
    assert_int_equal(talk.codes[LARDER_META_HD], REQUESTS);
    assert_int_equal(talk.codes[LARDER_META_VA], REQUESTS);
    assert_int_equal(talk.exchange.sent, length);
    meta_connection_close(&connection);
    free(requests);
    free(value);
}

static void a_connection_is_used_again_and_shows_news(void **state)
{
    (void)state;
    struct connection connection;
    struct talk talk;
    dial(&connection, memcached_server_path(server), 0);
    for (int i = 0; i < 3; i++) {
        talk_begin(&talk, "mn\r\n", 4, 1);
        assert_int_equal(run(&connection, &talk), STEP_OVER);
        assert_false(meta_connection_has_news(&connection));
    }
    memcached_server_restart(server);
    assert_true(meta_connection_has_news(&connection));
    talk_begin(&talk, "mn\r\n", 4, 1);
    assert_int_equal(run(&connection, &talk), STEP_CLOSED);
    meta_connection_close(&connection);
}

/* In one piece, so that both have come when the first is read. */
static void say_twice(void *context, int descriptor, unsigned number)
{
    char line[16];
    (void)context;
    (void)number;
    if (scripted_read_line(descriptor, line, sizeof(line)) != NULL)
        scripted_say(descriptor, "MN\r\nMN\r\n");
    scripted_wait_for_close(descriptor);
}

static void bytes_behind_the_last_reply_end_it(void **state)
{
    (void)state;
    struct scripted_server *scripted = scripted_server_start(say_twice, NULL);
    struct connection connection;
    struct talk talk;
    dial(&connection, scripted_server_path(scripted), 0);
    talk_begin(&talk, "mn\r\n", 4, 1);
    assert_int_equal(run(&connection, &talk), STEP_BROKEN);
    meta_connection_close(&connection);
    scripted_server_stop(scripted);
}

static void an_error_that_leaves_it_out_of_step_ends_it(void **state)
{
    (void)state;
    struct connection connection;
    struct talk talk;
    dial(&connection, memcached_server_path(server), 0);
    talk_begin(&talk, "mg k !\r\n", 8, 1);
    assert_int_equal(run(&connection, &talk), STEP_BROKEN);
    assert_int_equal(talk.exchange.cause, LARDER_META_BAD_REQUEST);
    meta_connection_close(&connection);
}

/* A value longer than the sink is read to its end, and no byte behind the sink is touched. */
static void a_sink_takes_what_fits(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 10, 4095, 4096, 4097, 16383, 16384, 16385, 200000};
    static char request[200100], sink[200001];
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (size_t fits = 0; fits <= 8192; fits += 4096) {
            struct connection connection;
            struct talk talk;
            int head = snprintf(request, sizeof(request), "ms k %zu\r\n", lengths[i]);
            memset(request + head, 'v', lengths[i]);
            memcpy(request + (size_t)head + lengths[i], "\r\nmg k v\r\n", 10);
            memset(sink, '#', sizeof(sink));
            dial(&connection, memcached_server_path(server), 0);
            talk_begin(&talk, request, (size_t)head + lengths[i] + 10, 2);
            talk.sink = sink;
            talk.sink_size = fits;
            assert_int_equal(run(&connection, &talk), STEP_OVER);
            size_t kept = lengths[i] < fits ? lengths[i] : fits;
            for (size_t j = 0; j < kept; j++)
                assert_int_equal(sink[j], 'v');
            assert_int_equal(sink[kept], '#');
            meta_connection_close(&connection);
        }
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void be_silent(void *context, int descriptor, unsigned number)
{
    (void)context;
    (void)number;
    scripted_wait_for_close(descriptor);
}

static void drip(void *context, int descriptor, unsigned number)
{
    (void)context;
    (void)number;
    for (int i = 0; i < 2000 && scripted_say(descriptor, "e"); i++)
        scripted_pause(2);
}

/* Each reply is as it should be, and none is the last. */
static void talk_without_end(void *context, int descriptor, unsigned number)
{
    static char lines[64 * 1024];
    (void)context;
    (void)number;
    for (size_t i = 0; i < sizeof(lines); i += 8)
        memcpy(lines + i, "STAT a\r\n", 8);
    while (scripted_send(descriptor, lines, sizeof(lines)))
        continue;
}

/* As a connection on TCP is. */
static void make_patient(struct connection *connection)
{
    const struct timeval patience = {0, PATIENCE_MS * 1000};
    int descriptor = connection->descriptor;
    assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
                     0);
    assert_int_equal(fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK), 0);
    connection->patient = 1;
}

static void assert_ends(scripted_serve_fn *serve, uint32_t due, int patient)
{
    static const uint64_t timeouts[] = {1, 15, 45, 90};
    struct scripted_server *scripted = scripted_server_start(serve, NULL);
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        struct connection connection;
        struct talk talk;
        dial(&connection, scripted_server_path(scripted), 0);
        if (patient)
            make_patient(&connection);
        talk_begin(&talk, "mn\r\n", 4, due);
        uint64_t began_ns = larder_monotonic_ns();
        assert_int_equal(meta_connection_run(&connection, &talk.exchange, began_ns, LARDER_NEVER_NS,
                                             larder_deadline_after(began_ns, timeouts[i])),
                         STEP_TIMEOUT);
        uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000;
        assert_in_range(took_ms, timeouts[i], timeouts[i] + 300); /* of a busy machine */
        meta_connection_close(&connection);
    }
    scripted_server_stop(scripted);
}

static void no_run_outlives_its_deadline(void **state)
{
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        assert_ends(be_silent, 1, patient);
        assert_ends(drip, 1, patient);
        assert_ends(talk_without_end, EXCHANGE_OPEN, patient);
    }
}

/* A listener whose queue is full lets nobody in, and refuses nobody. */
static void connecting_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct connection connections[8];
    struct talk talk;
    int waiting = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    for (size_t i = 0; i < 8; i++)
        dial(&connections[i], "127.0.0.1", ntohs(address.sin_port));
    for (size_t i = 0; i < 8; i++) {
        uint64_t now_ns = larder_monotonic_ns();
        talk_begin(&talk, "mn\r\n", 4, 1);
        enum connection_step step = meta_connection_run(
            &connections[i], &talk.exchange, now_ns, larder_deadline_after(now_ns, 20),
            larder_deadline_after(now_ns, connections[i].connecting ? 5000 : 1));
        assert_int_equal(step, STEP_TIMEOUT);
        if (connections[i].connecting) {
            waiting++;
            assert_int_equal(talk.exchange.sent, 0);
            assert_true(larder_monotonic_ns() - now_ns < 4000000000u);
        }
    }
    assert_true(waiting > 0);
    for (size_t i = 0; i < 8; i++)
        meta_connection_close(&connections[i]);
    close(listener);
}

/* ---- endpoints ----------------------------------------------------------------------------- */

static void *answer_one(void *argument)
{
    char line[64];
    int descriptor = accept4(*(int *)argument, NULL, NULL, SOCK_CLOEXEC);
    if (descriptor >= 0 && scripted_read_line(descriptor, line, sizeof(line)) != NULL)
        scripted_say(descriptor, "MN\r\n");
    if (descriptor >= 0)
        close(descriptor);
    return NULL;
}

static void ipv6_is_dialled(void **state)
{
    (void)state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof(address);
    struct connection connection;
    struct talk talk;
    pthread_t thread;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0) {
        print_message("skipped: this machine has no IPv6 loopback\n");
        close(listener);
        skip();
    }
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_one, &listener), 0);
    dial(&connection, "::1", ntohs(address.sin6_port));
    talk_begin(&talk, "mn\r\n", 4, 1);
    assert_int_equal(run(&connection, &talk), STEP_OVER);
    pthread_join(thread, NULL);
    meta_connection_close(&connection);
    close(listener);
}

static void nobody_there_is_closed_at_once(void **state)
{
    (void)state;
    static const struct endpoint nowhere[] = {{.address = "/nowhere/at-all.sock"},
                                              {.address = "not an address", .port = 11211},
                                              {.address = "", .port = 11211}};
    char path[200];
    struct connection connection;
    meta_connection_init(&connection);
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        assert_int_equal(meta_connection_dial(&connection, &nowhere[i]), STEP_CLOSED);
        assert_int_equal(connection.descriptor, -1);
    }
    memset(path, 'p', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    const struct endpoint too_long = {.address = path};
    assert_int_equal(meta_connection_dial(&connection, &too_long), STEP_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_loop_steps_through_an_exchange),
        cmocka_unit_test(a_connection_is_used_again_and_shows_news),
        cmocka_unit_test(bytes_behind_the_last_reply_end_it),
        cmocka_unit_test(an_error_that_leaves_it_out_of_step_ends_it),
        cmocka_unit_test(a_sink_takes_what_fits),
        cmocka_unit_test(no_run_outlives_its_deadline),
        cmocka_unit_test(connecting_has_a_deadline_of_its_own),
        cmocka_unit_test(ipv6_is_dialled),
        cmocka_unit_test(nobody_there_is_closed_at_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
