/* The fault proxy does what it says: each fault, at its byte, on its side. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault_proxy.h"
#include "scripted_server.h"

/* Sends back what comes. */
static void echo(void *context, int descriptor, unsigned number)
{
    char bytes[256];
    ssize_t got;
    (void)context;
    (void)number;
    while ((got = recv(descriptor, bytes, sizeof(bytes), 0)) > 0)
        if (!scripted_send(descriptor, bytes, (size_t)got))
            return;
}

static struct scripted_server *server;
static struct fault_proxy *proxy;

static int start(void **state)
{
    (void)state;
    server = scripted_server_start(echo, NULL);
    proxy = fault_proxy_start(scripted_server_path(server));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fault_proxy_stop(proxy);
    scripted_server_stop(server);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)fault_proxy_port(proxy)),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    return descriptor;
}

/* Reads until `length` bytes are there or the connection ends. @return how many came; -1: a reset
 */
static int hear(int descriptor, char *bytes, size_t length)
{
    size_t there = 0;
    while (there < length) {
        ssize_t got = recv(descriptor, bytes + there, length - there, 0);
        if (got < 0)
            return errno == ECONNRESET ? -1 : -2;
        if (got == 0)
            break;
        there += (size_t)got;
    }
    return (int)there;
}

static void without_a_fault_all_passes(void **state)
{
    (void)state;
    char bytes[8];
    int descriptor = dial();
    assert_true(scripted_say(descriptor, "hello"));
    assert_int_equal(hear(descriptor, bytes, 5), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(fault_proxy_passed(proxy, FAULT_REQUEST), 5);
    assert_int_equal(fault_proxy_passed(proxy, FAULT_REPLY), 5);
    assert_int_equal(fault_proxy_connections(proxy), 1);
    close(descriptor);
}

static void a_cut_comes_behind_its_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at <= 5; at++) {
        char bytes[8];
        const struct fault fault = {.kind = FAULT_CUT, .side = FAULT_REPLY, .at = at};
        fault_proxy_set(proxy, &fault);
        int descriptor = dial();
        assert_true(scripted_say(descriptor, "hello"));
        assert_int_equal(hear(descriptor, bytes, 6), at);
        close(descriptor);
    }
    const struct fault fault = {.kind = FAULT_CUT, .side = FAULT_REQUEST, .at = 3};
    char bytes[8];
    fault_proxy_set(proxy, &fault);
    int descriptor = dial();
    assert_true(scripted_say(descriptor, "hello"));
    int got = hear(descriptor, bytes, 6);
    assert_true(got == 0 || got == 3 || got == -1); /* the reply may be lost with the connection */
    assert_int_equal(fault_proxy_passed(proxy, FAULT_REQUEST), 3);
    close(descriptor);
}

static void a_reset_is_seen_as_one(void **state)
{
    (void)state;
    char bytes[8];
    const struct fault fault = {.kind = FAULT_RESET, .side = FAULT_REPLY, .at = 0};
    fault_proxy_set(proxy, &fault);
    int descriptor = dial();
    assert_true(scripted_say(descriptor, "hello"));
    assert_int_equal(hear(descriptor, bytes, 5), -1);
    close(descriptor);
}

static void a_stall_holds_the_rest_back(void **state)
{
    (void)state;
    char bytes[8];
    const struct fault fault = {.kind = FAULT_STALL, .side = FAULT_REPLY, .at = 2};
    fault_proxy_set(proxy, &fault);
    int descriptor = dial();
    assert_true(scripted_say(descriptor, "hello"));
    assert_int_equal(hear(descriptor, bytes, 2), 2);
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, 30), 0);
    close(descriptor);
}

static void a_drip_comes_byte_by_byte(void **state)
{
    (void)state;
    char bytes[8];
    const struct fault fault = {.kind = FAULT_DRIP, .side = FAULT_REPLY, .at = 1, .pause_ms = 2};
    fault_proxy_set(proxy, &fault);
    int descriptor = dial();
    assert_true(scripted_say(descriptor, "hello"));
    assert_int_equal(hear(descriptor, bytes, 5), 5);
    assert_memory_equal(bytes, "hello", 5);
    close(descriptor);
}

static void a_byte_is_changed_and_no_other(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        char bytes[8];
        const struct fault fault = {
            .kind = FAULT_CORRUPT, .side = (enum fault_side)side, .at = 4, .mask = 0x20};
        fault_proxy_set(proxy, &fault);
        int descriptor = dial();
        assert_true(scripted_say(descriptor, "hello!"));
        assert_int_equal(hear(descriptor, bytes, 6), 6);
        assert_memory_equal(bytes, "hellO!", 6);
        close(descriptor);
    }
}

static void a_fault_may_be_for_one_connection(void **state)
{
    (void)state;
    char bytes[8];
    const struct fault fault = {.kind = FAULT_CUT, .side = FAULT_REPLY, .at = 0, .connection = 2};
    fault_proxy_set(proxy, &fault);
    int first = dial();
    assert_true(scripted_say(first, "a"));
    assert_int_equal(hear(first, bytes, 1), 1);
    int second = dial();
    assert_true(scripted_say(second, "a"));
    assert_int_equal(hear(second, bytes, 1), 0);
    close(first);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_fault_all_passes, start, stop),
        cmocka_unit_test_setup_teardown(a_cut_comes_behind_its_byte, start, stop),
        cmocka_unit_test_setup_teardown(a_reset_is_seen_as_one, start, stop),
        cmocka_unit_test_setup_teardown(a_stall_holds_the_rest_back, start, stop),
        cmocka_unit_test_setup_teardown(a_drip_comes_byte_by_byte, start, stop),
        cmocka_unit_test_setup_teardown(a_byte_is_changed_and_no_other, start, stop),
        cmocka_unit_test_setup_teardown(a_fault_may_be_for_one_connection, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
