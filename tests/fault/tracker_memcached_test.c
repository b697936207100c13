/*
 * tracker over real servers that are stopped and killed: what was written or deleted while a server
 * was away is not undone by its old entries when it is back. First step by step, then by threads
 * under random outages, whose values tell their version.
 *
 *     tracker_memcached_test [MILLISECONDS of the random outages; 4000]
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <larder/client.h>
#include <larder/gutter.h>
#include <larder/tracker.h>
#include <larder/util/deadline.h>

#include "dice.h"
#include "self_describing.h"
#include "two_servers.h"

#define TIMEOUT_MS 300u
#define SETTLE_MS 1000u
#define PATIENCE_MS 30000u

static unsigned long outage_ms = 4000;

/* ---- opening ------------------------------------------------------------------------------- */

static struct larder_cache *open_tracker(const char *scheme, uint64_t keys)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = two_servers_open(scheme, 0, TIMEOUT_MS, "&exclusive=on");
    options.settle_ms = SETTLE_MS;
    options.keys = keys;
    assert_status(LARDER_OK, larder_tracker_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_gutter(struct larder_cache *of, const char *scheme)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = of;
    options.spare = two_servers_open(scheme, 1, TIMEOUT_MS, "&exclusive=on");
    assert_status(LARDER_OK, larder_gutter_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *name(struct larder_cache *cache, int in_namespace)
{
    const struct larder_route route = {"main", cache, LARDER_TTL_DEFAULT, 0};
    struct larder_cache *client = NULL;
    if (!in_namespace)
        return cache;
    assert_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0));
    return client;
}

static void rest(unsigned long milliseconds)
{
    struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* ---- step by step -------------------------------------------------------------------------- */

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    return larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER);
}

static enum larder_status look(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

/* Asks until there is an answer: the server is back, and what is lost of the key is made up for. */
static enum larder_status look_until_answered(struct larder_cache *cache, const char *key)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    enum larder_status status = look(cache, key);
    while (status < LARDER_OK && larder_monotonic_ns() < end_ns) {
        rest(10);
        status = look(cache, key);
    }
    return status;
}

/* Loses one key by each kind of write, while the server is stopped. */
static void lose_while_stopped(struct larder_cache *cache)
{
    struct larder_row rows[2];
    memcached_server_pause(two_servers[0]);
    assert_true(set(cache, "set", "new") < LARDER_OK);
    assert_true(larder_delete(cache, larder_text("deleted"), 0) < LARDER_OK);
    assert_true(larder_touch(cache, larder_text("touched"), 1000) < LARDER_OK);
    memset(rows, 0, sizeof(rows));
    rows[0].key = larder_text("row 0");
    rows[1].key = larder_text("row 1");
    assert_true(larder_delete_multi(cache, rows, 2) < LARDER_OK);
    memcached_server_resume(two_servers[0]);
}

static const char *const lost_keys[] = {"set", "deleted", "touched", "row 0", "row 1"};
#define LOST_KEYS (sizeof(lost_keys) / sizeof(lost_keys[0]))

/* Sets until it is there: on a busy machine a server may be too slow at first. */
static void plant_one(struct larder_cache *cache, const char *key)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    enum larder_status status = set(cache, key, "old");
    while (status != LARDER_OK && larder_monotonic_ns() < end_ns) {
        rest(10);
        status = set(cache, key, "old");
    }
    assert_status(LARDER_OK, status);
}

static void plant(struct larder_cache *cache)
{
    for (size_t i = 0; i < LOST_KEYS; i++)
        plant_one(cache, lost_keys[i]);
    plant_one(cache, "kept");
}

static void what_was_lost_does_not_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++)
        for (int in_namespace = 0; in_namespace <= 1; in_namespace++) {
            struct larder_cache *cache = name(open_tracker(server_schemes[i], 100), in_namespace);
            print_message("%s%s\n", server_schemes[i], in_namespace ? ", in a namespace" : "");
            plant(cache);
            lose_while_stopped(cache);
            assert_status(LARDER_OK, look_until_answered(cache, "kept"));
            for (size_t j = 0; j < LOST_KEYS; j++)
                assert_status(LARDER_MISS, look_until_answered(cache, lost_keys[j]));
            larder_close(cache);
        }
}

/* The same without a tracker: what the promise is about. */
static void without_a_tracker_it_does(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct larder_cache *cache =
            two_servers_open(server_schemes[i], 0, TIMEOUT_MS, "&exclusive=on");
        plant(cache);
        memcached_server_pause(two_servers[0]);
        /* the first ones may have left: they land later */
        for (int round = 0; round < 5; round++)
            assert_true(larder_delete(cache, larder_text("another"), 0) < LARDER_OK);
        assert_status(LARDER_UNAVAILABLE, larder_delete(cache, larder_text("deleted"), 0));
        memcached_server_resume(two_servers[0]);
        assert_status(LARDER_OK, look_until_answered(cache, "deleted"));
        larder_close(cache);
    }
}

static void past_the_limit_all_is_flushed(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++)
        for (int in_namespace = 0; in_namespace <= 1; in_namespace++)
            for (uint64_t keys = LOST_KEYS - 1; keys <= LOST_KEYS; keys++) {
                struct larder_cache *cache =
                    name(open_tracker(server_schemes[i], keys), in_namespace);
                plant(cache);
                lose_while_stopped(cache);
                assert_status(keys < LOST_KEYS ? LARDER_MISS : LARDER_OK,
                              look_until_answered(cache, "kept"));
                for (size_t j = 0; j < LOST_KEYS; j++)
                    assert_status(LARDER_MISS, look_until_answered(cache, lost_keys[j]));
                larder_close(cache);
            }
}

static void a_killed_server_is_made_up_for_as_well(void **state)
{
    (void)state;
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct larder_cache *cache = open_tracker(server_schemes[i], 100);
        plant(cache);
        memcached_server_kill(two_servers[0]);
        assert_true(larder_delete(cache, larder_text("deleted"), 0) < LARDER_OK);
        memcached_server_restart(two_servers[0]);
        assert_status(LARDER_MISS, look_until_answered(cache, "deleted"));
        plant_one(cache, "deleted");
        assert_status(LARDER_OK, look_until_answered(cache, "deleted"));
        larder_close(cache);
    }
}

/* ---- a reload ------------------------------------------------------------------------------ */

static void write_file(const char *path, const char *scheme, unsigned keys)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[pool]\nuri = %s://%s?timeout=%ums\n[tracked]\nuri = tracker:?of=@pool&keys=%u\n"
            "[namespaces]\nmain = @tracked\n",
            scheme, memcached_server_path(two_servers[0]), TIMEOUT_MS, keys);
    fclose(file);
}

static void a_reload_forgets_nothing(void **state)
{
    char path[] = "/tmp/larder-tracker-XXXXXX";
    int descriptor = mkstemp(path);
    (void)state;
    assert_true(descriptor >= 0);
    close(descriptor);
    for (size_t i = 0; server_schemes[i] != NULL; i++) {
        struct larder_cache *client = NULL;
        char message[256] = "";
        write_file(path, server_schemes[i], 100);
        if (larder_open_file(path, NULL, &client, message, sizeof(message)) != LARDER_OK)
            fail_msg("%s", message);
        plant(client);
        memcached_server_pause(two_servers[0]);
        assert_true(larder_delete(client, larder_text("deleted"), 0) < LARDER_OK);
        write_file(path, server_schemes[i], 200);
        assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
        memcached_server_resume(two_servers[0]);
        assert_status(LARDER_OK, look_until_answered(client, "kept"));
        assert_status(LARDER_MISS, look_until_answered(client, "deleted"));
        larder_close(client);
    }
    unlink(path);
}

/* ---- random outages ------------------------------------------------------------------------ */

#define WRITERS 3u
#define READERS 2u
#define CROWD_KEYS 24u /* shared out among the writers */
#define VALUE_BYTES 64u

struct crowd {
    struct larder_cache *cache;
    atomic_int over;
    /* A read that begins now must not give less. Stored with release by the key's writer after an
     * acknowledgement, loaded with acquire by readers before they read. */
    _Atomic uint64_t floors[CROWD_KEYS];
    atomic_ulong reads, sets, deletes, failures, wrong;
};

struct member {
    struct crowd *crowd;
    unsigned number;
    uint64_t seed;
    pthread_t thread;
};

static struct larder_slice crowd_key(unsigned key, char text[16])
{
    return larder_bytes(text, (size_t)snprintf(text, 16, "crowd%u", key));
}

static void read_one(struct crowd *crowd, unsigned key)
{
    _Alignas(8) unsigned char value[VALUE_BYTES];
    char text[16];
    struct larder_info info = {0};
    uint64_t floor = atomic_load_explicit(&crowd->floors[key], memory_order_acquire);
    const struct expectation expected = {key, floor, floor, 0};
    enum larder_status status =
        larder_read(crowd->cache, crowd_key(key, text), value, sizeof(value), &info);
    if (status < LARDER_OK)
        atomic_fetch_add(&crowd->failures, 1);
    if (status != LARDER_OK)
        return;
    atomic_fetch_add(&crowd->reads, 1);
    const char *wrong = value_is_wrong(larder_bytes(value, info.length), &expected);
    if (wrong != NULL) {
        print_error("%s: %s (floor %llu)\n", text, wrong, (unsigned long long)floor);
        atomic_fetch_add(&crowd->wrong, 1);
    }
}

/* A set raises the floor to its version, a delete above all versions that were ever tried. */
static void write_one(struct crowd *crowd, unsigned key, uint64_t version, int is_delete)
{
    _Alignas(8) unsigned char value[VALUE_BYTES];
    char text[16];
    const struct record record = {key, version, RECORD_EXPIRY_UNKNOWN, sizeof(value)};
    record_write(&record, value);
    enum larder_status status =
        is_delete ? larder_delete(crowd->cache, crowd_key(key, text), 0)
                  : larder_set(crowd->cache, crowd_key(key, text),
                               larder_bytes(value, sizeof(value)), LARDER_TTL_FOREVER);
    if (status < LARDER_OK) {
        atomic_fetch_add(&crowd->failures, 1);
        return;
    }
    atomic_fetch_add(is_delete ? &crowd->deletes : &crowd->sets, 1);
    atomic_store_explicit(&crowd->floors[key], is_delete ? version + 1 : version,
                          memory_order_release);
}

static void *write_all(void *argument)
{
    const struct member *member = argument;
    struct dice dice = {member->seed};
    uint64_t versions[CROWD_KEYS] = {0};
    while (!atomic_load(&member->crowd->over)) {
        unsigned key = (unsigned)roll(&dice, CROWD_KEYS / WRITERS) * WRITERS + member->number;
        int is_delete = roll(&dice, 3) == 0;
        if (!is_delete)
            versions[key]++;
        write_one(member->crowd, key, versions[key], is_delete);
    }
    return NULL;
}

static void *read_all(void *argument)
{
    const struct member *member = argument;
    struct dice dice = {member->seed};
    while (!atomic_load(&member->crowd->over))
        read_one(member->crowd, (unsigned)roll(&dice, CROWD_KEYS));
    return NULL;
}

static unsigned live_through_outages(struct dice *dice)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), outage_ms);
    unsigned outages = 0;
    for (; larder_monotonic_ns() < end_ns; outages++) {
        rest(50 + (unsigned long)roll(dice, 400));
        if (roll(dice, 4) == 0) {
            memcached_server_kill(two_servers[0]);
            rest((unsigned long)roll(dice, 400));
            memcached_server_restart(two_servers[0]);
        } else {
            memcached_server_pause(two_servers[0]);
            rest(50 + (unsigned long)roll(dice, 600));
            memcached_server_resume(two_servers[0]);
        }
    }
    return outages;
}

static void run_crowd(const char *scheme, int in_namespace, uint64_t seed)
{
    struct crowd crowd = {0};
    struct member members[WRITERS + READERS];
    struct dice dice = {seed};
    crowd.cache = name(open_gutter(open_tracker(scheme, 65536), scheme), in_namespace);
    assert_status(LARDER_OK, larder_flush(crowd.cache));
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        members[i] = (struct member){.crowd = &crowd, .number = i, .seed = seed + i + 1};
        assert_int_equal(pthread_create(&members[i].thread, NULL,
                                        i < WRITERS ? write_all : read_all, &members[i]),
                         0);
    }
    unsigned outages = live_through_outages(&dice);
    atomic_store(&crowd.over, 1);
    for (unsigned i = 0; i < WRITERS + READERS; i++)
        pthread_join(members[i].thread, NULL);
    print_message("%s%s: %u outages, %lu values read, %lu sets and %lu deletes acknowledged, %lu "
                  "failures, %lu stale\n",
                  scheme, in_namespace ? ", in a namespace" : "", outages,
                  atomic_load(&crowd.reads), atomic_load(&crowd.sets), atomic_load(&crowd.deletes),
                  atomic_load(&crowd.failures), atomic_load(&crowd.wrong));
    larder_close(crowd.cache);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    assert_true(atomic_load(&crowd.reads) > 0 && atomic_load(&crowd.sets) > 0 &&
                atomic_load(&crowd.deletes) > 0 && atomic_load(&crowd.failures) > 0);
}

static void nothing_stale_is_served_in_random_outages(void **state)
{
    uint64_t seed = chosen_seed();
    (void)state;
    print_message("LARDER_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; server_schemes[i] != NULL; i++)
        for (int in_namespace = 0; in_namespace <= 1; in_namespace++)
            run_crowd(server_schemes[i], in_namespace, seed);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_lost_does_not_come_back),
        cmocka_unit_test(without_a_tracker_it_does),
        cmocka_unit_test(past_the_limit_all_is_flushed),
        cmocka_unit_test(a_killed_server_is_made_up_for_as_well),
        cmocka_unit_test(a_reload_forgets_nothing),
        cmocka_unit_test(nothing_stale_is_served_in_random_outages),
    };
    if (count > 1)
        outage_ms = strtoul(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, two_servers_start, two_servers_stop);
}
