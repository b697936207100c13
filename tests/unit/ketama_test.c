/* The two ketamas against libmemcached's own placements: every key of thousands, on server lists of
 * many lengths, ports and weights. */
#include "support.h"

#include <stdio.h>

#include <libmemcached/memcached.h>

#include <larder/util/placement.h>

enum { KEYS = 3000, SERVERS = 12 };

struct list {
    struct larder_placement_server servers[SERVERS];
    char hosts[SERVERS][64];
    size_t count;
};

/* Ports with and without libmemcached's quirk, names, Unix sockets. */
static void add_server(struct list *list, uint32_t weight)
{
    size_t i = list->count++;
    uint32_t port = i % 3 == 0 ? 11211 : 11211 + (uint32_t)i;
    if (i % 5 == 4) {
        snprintf(list->hosts[i], sizeof(list->hosts[i]), "/run/memcached-%zu.sock", i);
        port = 0;
    } else {
        snprintf(list->hosts[i], sizeof(list->hosts[i]), i % 2 == 0 ? "10.0.0.%zu" : "cache%zu", i);
    }
    list->servers[i] = (struct larder_placement_server){{NULL, 0}, list->hosts[i], port, weight};
}

static memcached_st *peer_of(const struct list *list, memcached_behavior_t behaviour)
{
    memcached_st *peer = memcached_create(NULL);
    assert_non_null(peer);
    assert_int_equal(memcached_behavior_set(peer, behaviour, 1), MEMCACHED_SUCCESS);
    for (size_t i = 0; i < list->count; i++) {
        const struct larder_placement_server *server = &list->servers[i];
        memcached_return_t code =
            server->port == 0
                ? memcached_server_add_unix_socket_with_weight(peer, server->host, server->weight)
                : memcached_server_add_with_weight(peer, server->host, (in_port_t)server->port,
                                                   server->weight);
        assert_int_equal(code, MEMCACHED_SUCCESS);
    }
    return peer;
}

static void compare(const struct list *list, memcached_behavior_t behaviour,
                    enum larder_placement_method method)
{
    struct larder_placement *ring;
    const struct larder_placement_options options = {method, list->servers, list->count, NULL,
                                                     NULL};
    memcached_st *peer = peer_of(list, behaviour);
    assert_status(LARDER_OK, larder_placement_create(&options, &ring));
    for (unsigned i = 0; i < KEYS; i++) {
        char key[64];
        int length = snprintf(key, sizeof(key), i % 4 == 0 ? "caf\xc3\xa9:%u:\xff" : "user:%u", i);
        if (i % 9 == 0) /* a point of the ring itself */
            length = snprintf(key, sizeof(key), "10.0.0.0-%u", i % 100);
        uint32_t ours = larder_placement_of(ring, larder_bytes(key, (size_t)length));
        uint32_t theirs = memcached_generate_hash(peer, key, (size_t)length);
        if (ours != theirs)
            fail_msg("%s of %zu servers: %u, not %u", key, list->count, ours, theirs);
    }
    larder_placement_release(ring);
    memcached_free(peer);
}

static void compare_both(const struct list *list)
{
    compare(list, MEMCACHED_BEHAVIOR_KETAMA, LARDER_PLACEMENT_KETAMA);
    compare(list, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, LARDER_PLACEMENT_KETAMA_WEIGHTED);
}

static void lists_without_weights_place_alike(void **state)
{
    (void)state;
    struct list list = {.count = 0};
    for (size_t i = 0; i < SERVERS; i++) {
        add_server(&list, 1);
        compare_both(&list);
    }
}

static void lists_with_weights_place_alike(void **state)
{
    (void)state;
    static const uint32_t weights[][SERVERS] = {{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                                {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
                                                {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3},
                                                {1, 1000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                                {7, 13, 64, 1, 100, 2, 9, 33, 5, 81, 4, 3}};
    for (size_t row = 0; row < sizeof(weights) / sizeof(weights[0]); row++) {
        struct list list = {.count = 0};
        for (size_t i = 0; i < SERVERS; i++) {
            add_server(&list, weights[row][i]);
            compare_both(&list);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_without_weights_place_alike),
        cmocka_unit_test(lists_with_weights_place_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
