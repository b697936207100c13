/* Placing keys: compatible rings, balanced scores, and tables that change while they are read. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>

#include <larder/util/placement.h>

#include "../../src/util/md5.h"

#include "uhashring_vectors.h"

enum { KEYS = 20000 };

static struct larder_placement_server server_of(const char *host, uint32_t port, uint32_t weight)
{
    return (struct larder_placement_server){{NULL, 0}, host, port, weight};
}

static struct larder_placement_server named(const char *identity, uint32_t weight)
{
    return (struct larder_placement_server){larder_text(identity), NULL, 0, weight};
}

static struct larder_placement *make(enum larder_placement_method method,
                                     const struct larder_placement_server *servers, size_t count)
{
    struct larder_placement *placement;
    const struct larder_placement_options options = {method, servers, count, NULL, NULL};
    assert_status(LARDER_OK, larder_placement_create(&options, &placement));
    assert_int_equal(larder_placement_count(placement), count);
    return placement;
}

static enum larder_status try(enum larder_placement_method method,
                              const struct larder_placement_server *servers, size_t count)
{
    struct larder_placement *placement;
    const struct larder_placement_options options = {method, servers, count, NULL, NULL};
    enum larder_status status = larder_placement_create(&options, &placement);
    assert_true((placement != NULL) == (status == LARDER_OK));
    larder_placement_release(placement);
    return status;
}

static uint32_t place(const struct larder_placement *placement, unsigned number)
{
    char key[32];
    int length = snprintf(key, sizeof(key), "key:%u", number);
    return larder_placement_of(placement, larder_bytes(key, (size_t)length));
}

/* Ten servers with names of their own. */
static void ten(struct larder_placement_server servers[10])
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    for (size_t i = 0; i < 10; i++)
        servers[i] = named(names[i], 1);
}

/* ---- hashes -------------------------------------------------------------------------------- */

static void assert_md5(const char *text, const char *expected)
{
    unsigned char digest[MD5_BYTES];
    char hex[2 * MD5_BYTES + 1];
    larder__md5(text, strlen(text), digest);
    for (size_t i = 0; i < MD5_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

/* Source: RFC 1321, A.5. */
static void md5_is_that_of_the_rfc(void **state)
{
    (void)state;
    assert_md5("", "d41d8cd98f00b204e9800998ecf8427e");
    assert_md5("a", "0cc175b9c0f1b6a831c399e269772661");
    assert_md5("abc", "900150983cd24fb0d6963f7d28e17f72");
    assert_md5("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    assert_md5("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b");
    assert_md5("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
               "d174ab98d277d9f5a5611c2c9f419d9f");
    assert_md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
               "57edf4a22be3c955ac49da2e2107b67a");
}

/* ---- uhashring ----------------------------------------------------------------------------- */

static void assert_uhashring(const struct larder_placement *ring, const unsigned char *places,
                             size_t count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), i % 7 == 0 ? "cl\xc3\xa9:%u" : "key:%u", i);
        if (i % 11 == 0) /* a point of the ring itself */
            length = snprintf(key, sizeof(key), "10.0.0.1:11211-%u", i % 160);
        assert_int_equal(larder_placement_of(ring, larder_bytes(key, (size_t)length)), places[i]);
    }
}

static void uhashring_places_as_the_original(void **state)
{
    (void)state;
    const struct larder_placement_server three[] = {server_of("10.0.0.1", 11211, 1),
                                                    server_of("10.0.0.2", 11211, 1),
                                                    server_of("10.0.0.3", 11211, 1)};
    const struct larder_placement_server mixed[] = {
        server_of("10.0.0.1", 11211, 1), server_of("::1", 11212, 3),
        server_of("cache.example", 11213, 2), server_of("/run/memcached.sock", 0, 1)};
    struct larder_placement_server forty[40];
    char names[40][16];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "server-%u", i);
        forty[i] = named(names[i], 1);
    }
    struct larder_placement *ring = make(LARDER_PLACEMENT_UHASHRING, three, 3);
    assert_uhashring(ring, uhashring_places_0, sizeof(uhashring_places_0));
    larder_placement_release(ring);
    ring = make(LARDER_PLACEMENT_UHASHRING, mixed, 4);
    assert_uhashring(ring, uhashring_places_1, sizeof(uhashring_places_1));
    larder_placement_release(ring);
    ring = make(LARDER_PLACEMENT_UHASHRING, forty, 40);
    assert_uhashring(ring, uhashring_places_2, sizeof(uhashring_places_2));
    larder_placement_release(ring);
}

/* ---- what every method keeps --------------------------------------------------------------- */

static const enum larder_placement_method methods[] = {
    LARDER_PLACEMENT_KETAMA, LARDER_PLACEMENT_KETAMA_WEIGHTED, LARDER_PLACEMENT_UHASHRING,
    LARDER_PLACEMENT_RENDEZVOUS, LARDER_PLACEMENT_JUMP};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static void every_server_gets_a_share(void **state)
{
    (void)state;
    struct larder_placement_server servers[10];
    ten(servers);
    for (size_t i = 0; i < METHODS; i++) {
        unsigned shares[10] = {0};
        struct larder_placement *placement = make(methods[i], servers, 10);
        for (unsigned key = 0; key < KEYS; key++)
            shares[place(placement, key)]++;
        /* rings are uneven; scores and jumps are not */
        unsigned slack = methods[i] >= LARDER_PLACEMENT_RENDEZVOUS ? KEYS / 100 : KEYS / 15;
        for (unsigned server = 0; server < 10; server++)
            assert_in_range(shares[server], KEYS / 10 - slack, KEYS / 10 + slack);
        larder_placement_release(placement);
    }
}

/* A key moves only to the server that came, or from the one that went. */
static void keys_move_only_where_they_must(void **state)
{
    (void)state;
    struct larder_placement_server servers[10];
    ten(servers);
    for (size_t i = 0; i < METHODS; i++) {
        struct larder_placement *ten_of = make(methods[i], servers, 10);
        struct larder_placement *nine = make(methods[i], servers, 9);
        unsigned moved = 0;
        for (unsigned key = 0; key < KEYS; key++) {
            uint32_t with = place(ten_of, key), without = place(nine, key);
            if (with == without)
                continue;
            assert_int_equal(with, 9);
            moved++;
        }
        assert_in_range(moved, KEYS / 30, KEYS / 5);
        larder_placement_release(ten_of);
        larder_placement_release(nine);
    }
}

/* But for jump, which counts them. */
static void the_order_of_the_list_does_not_matter(void **state)
{
    (void)state;
    struct larder_placement_server servers[10], turned[10];
    ten(servers);
    for (size_t i = 0; i < 10; i++)
        turned[i] = servers[9 - i];
    for (size_t i = 0; i < METHODS - 1; i++) {
        struct larder_placement *placement = make(methods[i], servers, 10);
        struct larder_placement *other = make(methods[i], turned, 10);
        for (unsigned key = 0; key < KEYS; key++)
            assert_int_equal(place(placement, key), 9 - place(other, key));
        larder_placement_release(placement);
        larder_placement_release(other);
    }
}

static void an_identity_outlives_an_address(void **state)
{
    (void)state;
    struct larder_placement_server before[2] = {server_of("10.0.0.1", 11211, 1),
                                                server_of("10.0.0.2", 11211, 1)};
    before[0].identity = larder_text("first");
    before[1].identity = larder_text("second");
    struct larder_placement_server after[2] = {before[0], before[1]};
    after[0].host = "10.9.9.9";
    after[0].port = 1234;
    for (size_t i = 0; i < METHODS; i++) {
        struct larder_placement *old = make(methods[i], before, 2);
        struct larder_placement *new = make(methods[i], after, 2);
        for (unsigned key = 0; key < 1000; key++)
            assert_int_equal(place(old, key), place(new, key));
        larder_placement_release(old);
        larder_placement_release(new);
    }
}

static void weights_are_shares(void **state)
{
    (void)state;
    const struct larder_placement_server servers[] = {named("a", 1), named("b", 2), named("c", 5)};
    static const enum larder_placement_method weighted[] = {
        LARDER_PLACEMENT_KETAMA, LARDER_PLACEMENT_KETAMA_WEIGHTED, LARDER_PLACEMENT_UHASHRING,
        LARDER_PLACEMENT_RENDEZVOUS};
    for (size_t i = 0; i < 4; i++) {
        unsigned shares[3] = {0};
        struct larder_placement *placement = make(weighted[i], servers, 3);
        for (unsigned key = 0; key < KEYS; key++)
            shares[place(placement, key)]++;
        unsigned slack = weighted[i] == LARDER_PLACEMENT_RENDEZVOUS ? KEYS / 80 : KEYS / 12;
        for (unsigned server = 0; server < 3; server++)
            assert_in_range(shares[server], KEYS * servers[server].weight / 8 - slack,
                            KEYS * servers[server].weight / 8 + slack);
        larder_placement_release(placement);
    }
}

/* Equal weights take a shorter way to the same servers. */
static void equal_weights_place_as_none(void **state)
{
    (void)state;
    struct larder_placement_server ones[10], threes[10];
    ten(ones);
    ten(threes);
    for (size_t i = 0; i < 10; i++)
        threes[i].weight = 3;
    struct larder_placement *placement = make(LARDER_PLACEMENT_RENDEZVOUS, ones, 10);
    struct larder_placement *heavy = make(LARDER_PLACEMENT_RENDEZVOUS, threes, 10);
    for (unsigned key = 0; key < KEYS; key++)
        assert_int_equal(place(placement, key), place(heavy, key));
    larder_placement_release(placement);
    larder_placement_release(heavy);
}

static uint32_t place_by_length(void *context, struct larder_slice key, uint32_t servers)
{
    assert_int_equal(servers, 3);
    ++*(unsigned *)context;
    return (uint32_t)key.length;
}

static void a_callers_function_places(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct larder_placement *placement;
    const struct larder_placement_server servers[] = {named("a", 1), named("b", 1), named("c", 1)};
    const struct larder_placement_options options = {LARDER_PLACEMENT_CALLER, servers, 3,
                                                     place_by_length, &calls};
    assert_status(LARDER_OK, larder_placement_create(&options, &placement));
    assert_int_equal(larder_placement_of(placement, larder_text("kk")), 2);
    assert_int_equal(larder_placement_of(placement, larder_text("kkkk")), 1); /* modulo */
    assert_int_equal(calls, 2);
    larder_placement_release(placement);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void lists_have_limits(void **state)
{
    (void)state;
    struct larder_placement_server servers[LARDER_SERVERS_MAX + 1];
    for (uint32_t i = 0; i <= LARDER_SERVERS_MAX; i++)
        servers[i] = server_of("h", i + 1, 1);
    for (size_t i = 0; i < METHODS; i++) {
        assert_status(LARDER_BAD_ARGUMENT, try(methods[i], servers, 0));
        assert_status(LARDER_OK, try(methods[i], servers, 1));
        assert_status(LARDER_OK, try(methods[i], servers, LARDER_SERVERS_MAX));
        assert_status(LARDER_BAD_ARGUMENT, try(methods[i], servers, LARDER_SERVERS_MAX + 1));
    }
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_CALLER, servers, 1));
    assert_status(LARDER_BAD_ARGUMENT, try((enum larder_placement_method)6, servers, 1));
}

static void servers_have_limits(void **state)
{
    (void)state;
    char identity[LARDER_PLACEMENT_IDENTITY_BYTES_MAX + 1];
    memset(identity, 'i', sizeof(identity));
    struct larder_placement_server servers[2] = {named("a", 1), named("b", 1)};
    servers[0].identity = larder_bytes(identity, sizeof(identity));
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_KETAMA, servers, 2));
    servers[0].identity.length--;
    assert_status(LARDER_OK, try(LARDER_PLACEMENT_KETAMA, servers, 2));
    servers[0] = servers[1];
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_KETAMA, servers, 2)); /* twice */
    servers[0] = server_of("", 1, 1);
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_KETAMA, servers, 2));
    servers[0] = server_of("h", 65536, 1);
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_KETAMA, servers, 2));
}

static void weights_have_limits(void **state)
{
    (void)state;
    struct larder_placement_server servers[2] = {named("a", 0), named("b", 1)};
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_RENDEZVOUS, servers, 2));
    servers[0].weight = LARDER_SERVER_WEIGHT_MAX + 1;
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_RENDEZVOUS, servers, 2));
    servers[0].weight = LARDER_SERVER_WEIGHT_MAX;
    assert_status(LARDER_OK, try(LARDER_PLACEMENT_RENDEZVOUS, servers, 2));
    servers[0].weight = 2;
    assert_status(LARDER_BAD_ARGUMENT, try(LARDER_PLACEMENT_JUMP, servers, 2));
    /* 160 points each: 6553 fit into 2^20 */
    servers[0].weight = 6552;
    assert_status(LARDER_OK, try(LARDER_PLACEMENT_UHASHRING, servers, 2));
    servers[0].weight = 6553;
    assert_status(LARDER_TOO_LARGE, try(LARDER_PLACEMENT_UHASHRING, servers, 2));
}

/* ---- replacement --------------------------------------------------------------------------- */

struct readers {
    struct larder_placement_slot slot;
    _Atomic int stop;
};

static void *read_tables(void *argument)
{
    struct readers *readers = argument;
    uintptr_t wrong = 0;
    while (!readers->stop) {
        struct larder_placement *held = larder_placement_slot_get(&readers->slot);
        wrong += place(held, 1) >= larder_placement_count(held);
        larder_placement_release(held);
    }
    return (void *)wrong;
}

static void a_table_is_replaced_under_its_readers(void **state)
{
    (void)state;
    struct readers readers = {.stop = 0};
    struct larder_placement_server servers[10];
    pthread_t threads[3];
    ten(servers);
    assert_status(LARDER_OK, larder_placement_slot_init(
                                 &readers.slot, make(LARDER_PLACEMENT_RENDEZVOUS, servers, 10)));
    struct larder_placement *old = larder_placement_slot_get(&readers.slot);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_tables, &readers), 0);
    for (unsigned i = 0; i < 300; i++)
        larder_placement_slot_replace(&readers.slot,
                                      make(LARDER_PLACEMENT_KETAMA, servers, 1 + i % 10));
    readers.stop = 1;
    for (size_t i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(larder_placement_count(old), 10); /* still whole */
    larder_placement_release(old);
    larder_placement_slot_clean_up(&readers.slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_is_that_of_the_rfc),
        cmocka_unit_test(uhashring_places_as_the_original),
        cmocka_unit_test(every_server_gets_a_share),
        cmocka_unit_test(keys_move_only_where_they_must),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(an_identity_outlives_an_address),
        cmocka_unit_test(weights_are_shares),
        cmocka_unit_test(equal_weights_place_as_none),
        cmocka_unit_test(a_callers_function_places),
        cmocka_unit_test(lists_have_limits),
        cmocka_unit_test(servers_have_limits),
        cmocka_unit_test(weights_have_limits),
        cmocka_unit_test(a_table_is_replaced_under_its_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
