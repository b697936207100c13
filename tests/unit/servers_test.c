/* Lists of servers, and names that become addresses outside of any call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <larder/util/deadline.h>
#include <larder/util/resolver.h>
#include <larder/util/servers.h>

static struct larder_server servers[LARDER_SERVERS_MAX];
static size_t count;
static char text[256];
static const struct larder_message message = {text, sizeof(text)};

static void read_list(const char *list, size_t expected)
{
    assert_int_equal(larder_servers_parse(list, servers, &count, &message), LARDER_OK);
    assert_int_equal(count, expected);
}

static void assert_server(size_t index, const char *host, uint32_t port, uint32_t weight)
{
    assert_string_equal(servers[index].host, host);
    assert_int_equal(servers[index].port, port);
    assert_int_equal(servers[index].weight, weight);
}

static void assert_refused(const char *list, const char *why)
{
    assert_int_equal(larder_servers_parse(list, servers, &count, &message), LARDER_BAD_ARGUMENT);
    if (strstr(text, why) == NULL)
        fail_msg("\"%s\" is refused with \"%s\", not for \"%s\"", list, text, why);
}

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    read_list(NULL, 1);
    assert_server(0, "127.0.0.1", 11211, 1);
    read_list("", 1);
    assert_server(0, "127.0.0.1", 11211, 1);
    read_list("cache-1.example", 1);
    assert_server(0, "cache-1.example", 11211, 1);
    read_list(":11300", 1);
    assert_server(0, "127.0.0.1", 11300, 1);
    read_list("*5", 1);
    assert_server(0, "127.0.0.1", 11211, 5);
}

static void a_list_mixes_all_kinds(void **state)
{
    (void)state;
    read_list("10.0.0.1:11212,cache2*3,[::1]:11213*2,[fe80::1],/run/m.sock,/run/n.sock*7", 6);
    assert_server(0, "10.0.0.1", 11212, 1);
    assert_server(1, "cache2", 11211, 3);
    assert_server(2, "::1", 11213, 2);
    assert_server(3, "fe80::1", 11211, 1);
    assert_server(4, "/run/m.sock", 0, 1);
    assert_server(5, "/run/n.sock", 0, 7);
    assert_true(larder_server_is_unix(&servers[5]));
    assert_false(larder_server_is_unix(&servers[3]));
}

static void the_slashes_of_a_uri_are_no_part_of_it(void **state)
{
    (void)state;
    read_list("//10.0.0.1:11212,10.0.0.2/", 2);
    assert_server(0, "10.0.0.1", 11212, 1);
    assert_server(1, "10.0.0.2", 11211, 1);
    read_list("///run/memcached.sock", 1);
    assert_server(0, "/run/memcached.sock", 0, 1);
    read_list("//", 1);
    assert_server(0, "127.0.0.1", 11211, 1);
    read_list("///", 1);
    assert_server(0, "127.0.0.1", 11211, 1);
}

static void a_wrong_server_is_named(void **state)
{
    (void)state;
    assert_refused("a,b:0", "\"b:0\"");
    assert_refused("b:65536", "65535");
    assert_refused("b:", "port");
    assert_refused("b:1x", "port");
    assert_refused("::1", "brackets");
    assert_refused("[::1", "brackets");
    assert_refused("[::g]", "IPv6");
    assert_refused("[::1]x", "port");
    assert_refused("[]", "IPv6");
    assert_refused("b*0", "weight");
    assert_refused("b*65536", "weight");
    assert_refused("b*", "weight");
    assert_refused("b*-1", "weight");
    assert_refused("a b", "\"a b\" is no server: servers are separated by commas, not by ' '");
    assert_refused("c,127.0.0.1:11211;127.0.0.2", "\"127.0.0.1:11211;127.0.0.2\" is no server: "
                                                  "servers are separated by commas, not by ';'");
    assert_refused("a:1*2;b:1*3", "commas, not by ';'");
    assert_refused("[::1]:1;[::2]", "commas, not by ';'");
    assert_refused("a|b", "commas, not by '|'");
    assert_refused("a\r\nflush_all", "no host");
    assert_refused("/run/\n", "control");
}

static void a_server_is_listed_once(void **state)
{
    (void)state;
    assert_refused("a,b,a:11211", "twice");
    assert_refused("a,,b,127.0.0.1", "twice");
    read_list("a:1,a:2", 2);
}

static void there_is_a_most(void **state)
{
    (void)state;
    char list[LARDER_SERVERS_MAX * 8 + 16] = "";
    size_t length = 0;
    for (unsigned i = 0; i < LARDER_SERVERS_MAX; i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%sh:%u", i > 0 ? "," : "",
                                   i + 1);
    read_list(list, LARDER_SERVERS_MAX);
    snprintf(list + length, sizeof(list) - length, ",h:999");
    assert_refused(list, "more than 100");
}

static void the_longest_names_fit(void **state)
{
    (void)state;
    char name[LARDER_SERVER_HOST_BYTES + 1];
    memset(name, 'h', sizeof(name));
    name[LARDER_SERVER_HOST_BYTES - 1] = '\0';
    read_list(name, 1);
    name[LARDER_SERVER_HOST_BYTES - 1] = 'h';
    name[LARDER_SERVER_HOST_BYTES] = '\0';
    assert_refused(name, "at most 255");
    memset(name, '/', sizeof(name));
    memset(name + 1, 'p', sizeof(name) - 1);
    name[LARDER_SERVER_PATH_MAX] = '\0';
    read_list(name, 1);
    name[LARDER_SERVER_PATH_MAX] = 'p';
    name[LARDER_SERVER_PATH_MAX + 1] = '\0';
    assert_refused(name, "longer than 107");
}

static void numbers_and_localhost_need_no_resolving(void **state)
{
    (void)state;
    char address[LARDER_ADDRESS_BYTES];
    assert_int_equal(larder_address_numeric("localhost", address), 1);
    assert_string_equal(address, "127.0.0.1");
    assert_int_equal(larder_address_numeric("::1", address), 1);
    assert_string_equal(address, "::1");
    assert_int_equal(larder_address_numeric("cache", address), 0);
    assert_int_equal(larder_address_numeric("127.1", address), 0);
}

/* "127.1" is no number to us, but the resolver knows it without a network. */
static void a_name_is_resolved_aside(void **state)
{
    (void)state;
    char address[LARDER_ADDRESS_BYTES];
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), 30000);
    struct larder_name *name = larder_name_resolve("127.1");
    assert_non_null(name);
    assert_int_equal(larder_name_wait(name, deadline_ns, address), 1);
    assert_string_equal(address, "127.0.0.1");
    assert_int_equal(larder_name_address(name, address), 1);
    larder_name_refresh(name);
    larder_name_release(name);
}

static void many_names_are_resolved_and_given_back_at_any_time(void **state)
{
    (void)state;
    enum { NAMES = 200 };
    struct larder_name *names[NAMES];
    char address[LARDER_ADDRESS_BYTES];
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), 30000);
    for (int i = 0; i < NAMES; i++) {
        names[i] = larder_name_resolve("127.2");
        assert_non_null(names[i]);
        if (i % 2 == 0)
            larder_name_release(names[i]);
    }
    for (int i = 1; i < NAMES; i += 2) {
        assert_int_equal(larder_name_wait(names[i], deadline_ns, address), 1);
        assert_string_equal(address, "127.0.0.2");
        larder_name_release(names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(a_list_mixes_all_kinds),
        cmocka_unit_test(the_slashes_of_a_uri_are_no_part_of_it),
        cmocka_unit_test(a_wrong_server_is_named),
        cmocka_unit_test(a_server_is_listed_once),
        cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(numbers_and_localhost_need_no_resolving),
        cmocka_unit_test(a_name_is_resolved_aside),
        cmocka_unit_test(many_names_are_resolved_and_given_back_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
