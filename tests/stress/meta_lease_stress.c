/*
 * Plain readers and writers of every form beside lease holders and deletes, all on the same few
 * keys of one memcached, at once and stale: nobody is ever given a placeholder for a value, stale
 * values come from lease_get alone, and in the end every key can be leased and filled.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1).
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "memcached_server.h"

enum { HOLDERS = 20, DELETERS = 2, READERS = 32, WRITERS = 10, STEPS = 200, KEYS = 3 };
enum { THREADS = HOLDERS + DELETERS + READERS + WRITERS };

static const char value_text[] = "value";
static const char *const keys[KEYS] = {"a", "b", "c"};

/* Counted and read with the default order: nothing here is fast. */
static struct {
    atomic_uint wrong, hits, misses, stale, tokens, filled, voided, returned;
} seen;

static struct larder_cache *cache; /* what is tried: it deletes at once, or to stale */

struct worker {
    pthread_t thread;
    unsigned number;
    void (*step)(unsigned draw);
};

static unsigned steps(void)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    return 1 + (unsigned)(STEPS * (scale > 0 ? scale : 1));
}

static void expect(int holds)
{
    if (!holds)
        atomic_fetch_add(&seen.wrong, 1);
}

static struct larder_slice key_of(unsigned draw)
{
    return larder_text(keys[draw % KEYS]);
}

static struct larder_write write_value(void)
{
    return larder_write_of(larder_text(value_text), 600000);
}

/* ---- what is read -------------------------------------------------------------------------- */

static void check_bytes(const void *bytes, size_t length)
{
    expect(length == strlen(value_text) && memcmp(bytes, value_text, length) == 0);
}

static void check_read(enum larder_status status, const void *bytes, size_t length)
{
    expect(status == LARDER_OK || status == LARDER_MISS);
    atomic_fetch_add(status == LARDER_OK ? &seen.hits : &seen.misses, 1);
    if (status == LARDER_OK)
        check_bytes(bytes, length);
}

static void read_one(unsigned draw)
{
    char buffer[32];
    struct larder_info info = {0};
    enum larder_status status = larder_read(cache, key_of(draw), buffer, sizeof(buffer), &info);
    check_read(status, buffer, info.length);
}

static void get_one(unsigned draw)
{
    struct larder_value value = {.info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL}};
    enum larder_status status = larder_get(cache, key_of(draw), &value);
    check_read(status, value.bytes.data, value.bytes.length);
    larder_value_release(&value);
}

static void get_and_touch_one(unsigned draw)
{
    struct larder_value value = {0};
    enum larder_status status = larder_get_and_touch(cache, key_of(draw), 600000, &value);
    check_read(status, value.bytes.data, value.bytes.length);
    larder_value_release(&value);
}

static void read_rows(unsigned draw)
{
    char buffers[KEYS][32];
    struct larder_row rows[KEYS] = {0};
    (void)draw;
    for (unsigned i = 0; i < KEYS; i++) {
        rows[i].key = key_of(i);
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
    expect(larder_read_multi(cache, rows, KEYS) == LARDER_OK);
    for (unsigned i = 0; i < KEYS; i++)
        check_read(rows[i].status, buffers[i], rows[i].value.info.length);
}

static void get_rows(unsigned draw)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_row rows[KEYS] = {0};
    for (unsigned i = 0; i < KEYS; i++)
        rows[i].key = key_of(i);
    call.touch_ttl_ms = draw % 2 == 0 ? 600000 : LARDER_TTL_UNKNOWN;
    expect(larder_many(cache, &call, LARDER_MANY_GET, LARDER_SET, rows, KEYS,
                       sizeof(struct larder_row)) == LARDER_OK);
    for (unsigned i = 0; i < KEYS; i++)
        check_read(rows[i].status, rows[i].value.bytes.data, rows[i].value.bytes.length);
    larder_rows_release(rows, KEYS);
}

static void step_of_reader(unsigned draw)
{
    static void (*const forms[])(unsigned) = {read_one, get_one, get_and_touch_one, read_rows,
                                              get_rows};
    forms[draw / KEYS % 5](draw);
}

/* ---- what is written ----------------------------------------------------------------------- */

static void step_of_writer(unsigned draw)
{
    struct larder_write write = write_value();
    enum larder_status status = LARDER_OK;
    switch (draw / KEYS % 5) {
    case 0:
        status = larder_store(cache, LARDER_ADD, key_of(draw), &write, NULL);
        expect(status == LARDER_OK || status == LARDER_EXISTS);
        break;
    case 1:
        status = larder_store(cache, LARDER_REPLACE, key_of(draw), &write, NULL);
        expect(status == LARDER_OK || status == LARDER_MISS);
        break;
    case 2:
        status = larder_append(cache, key_of(draw), larder_bytes("", 0));
        expect(status == LARDER_OK || status == LARDER_MISS);
        break;
    case 3:
        status = larder_touch(cache, key_of(draw), 600000);
        expect(status == LARDER_OK || status == LARDER_MISS);
        break;
    default:
        status = larder_incr(cache, key_of(draw), 1, NULL, NULL);
        expect(status == LARDER_NOT_A_NUMBER || status == LARDER_MISS);
        break;
    }
}

static void step_of_deleter(unsigned draw)
{
    enum larder_status status = larder_delete(cache, key_of(draw), 0);
    expect(status == LARDER_OK || status == LARDER_MISS);
    sched_yield();
}

/* ---- leases -------------------------------------------------------------------------------- */

static void end_lease(unsigned draw, struct larder_lease lease)
{
    struct larder_write write = write_value();
    atomic_fetch_add(&seen.tokens, 1);
    sched_yield();
    if (draw / KEYS % 4 == 0) {
        enum larder_status status = larder_lease_return(cache, key_of(draw), lease);
        expect(status == LARDER_OK || status == LARDER_CONFLICT);
        atomic_fetch_add(&seen.returned, 1);
        return;
    }
    enum larder_status status = larder_lease_fill(cache, key_of(draw), lease, &write);
    expect(status == LARDER_OK || status == LARDER_CONFLICT);
    atomic_fetch_add(status == LARDER_OK ? &seen.filled : &seen.voided, 1);
}

static void step_of_holder(unsigned draw)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    call.recache_ms = draw % 2 == 0 ? 900000 : 0;
    enum larder_status status =
        larder_lease_get_with(cache, &call, key_of(draw), 60000, &value, &lease);
    expect(status == LARDER_OK || status == LARDER_MISS || status == LARDER_STALE);
    if (status == LARDER_OK || status == LARDER_STALE)
        check_bytes(value.bytes.data, value.bytes.length);
    if (status == LARDER_STALE)
        atomic_fetch_add(&seen.stale, 1);
    larder_value_release(&value);
    if (lease.token != 0)
        end_lease(draw, lease);
}

/* ---- running ------------------------------------------------------------------------------- */

static void *work(void *argument)
{
    struct worker *worker = argument;
    unsigned count = steps();
    for (unsigned i = 0; i < count; i++)
        worker->step(worker->number + 7 * i);
    return NULL;
}

static void run_workers(void)
{
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].step = i < HOLDERS                        ? step_of_holder
                          : i < HOLDERS + DELETERS           ? step_of_deleter
                          : i < HOLDERS + DELETERS + WRITERS ? step_of_writer
                                                             : step_of_reader;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

/* Whatever was won was filled or given back, so nobody waits for a lease to end. */
static void every_key_can_be_had(void)
{
    struct larder_write write = write_value();
    for (unsigned i = 0; i < KEYS; i++) {
        struct larder_value value = {0};
        struct larder_lease lease = {0, 0};
        enum larder_status status = larder_lease_get(cache, key_of(i), 60000, &value, &lease);
        larder_value_release(&value);
        assert_true(status == LARDER_OK || lease.token != 0);
        if (lease.token != 0)
            assert_status(LARDER_OK, larder_lease_fill(cache, key_of(i), lease, &write));
    }
}

static void run(const char *options, int is_stale)
{
    char uri[256];
    struct memcached_server *server = memcached_server_start(NULL);
    snprintf(uri, sizeof(uri), "meta://%s?timeout=60s&connect_timeout=60s%s",
             memcached_server_path(server), options);
    memset(&seen, 0, sizeof(seen));
    assert_status(LARDER_OK, larder_open(uri, NULL, &cache, NULL, 0));
    run_workers();
    print_message("%u hits, %u misses, %u stale; %u leases: %u filled, %u void, %u given back\n",
                  atomic_load(&seen.hits), atomic_load(&seen.misses), atomic_load(&seen.stale),
                  atomic_load(&seen.tokens), atomic_load(&seen.filled), atomic_load(&seen.voided),
                  atomic_load(&seen.returned));
    assert_int_equal(atomic_load(&seen.wrong), 0);
    assert_true(atomic_load(&seen.hits) > 0 && atomic_load(&seen.tokens) > 0);
    if (!is_stale)
        assert_int_equal(atomic_load(&seen.stale), 0);
    every_key_can_be_had();
    larder_close(cache);
    memcached_server_stop(server);
}

static void nobody_is_given_a_placeholder(void **state)
{
    (void)state;
    run("", 0);
}

static void stale_values_are_served_by_leases_alone(void **state)
{
    (void)state;
    run("&stale=10m", 1);
    assert_true(atomic_load(&seen.stale) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_given_a_placeholder),
        cmocka_unit_test(stale_values_are_served_by_leases_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
