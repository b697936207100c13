/*
 * meta under faults that change every few milliseconds: cuts, resets, stalls and drips at random
 * bytes of requests and replies. Whatever is read was written under that key; no call outlives its
 * deadline by more than a busy machine takes to wake a thread; no descriptor is left behind.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1), LARDER_STRESS_SEED repeats a run's draws;
 * how threads and faults meet is never the same.
 */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <larder/util/deadline.h>
#include <larder/util/random.h>

#include "fault_proxy.h"
#include "memcached_server.h"
#include "scripted_server.h"

enum { THREADS = 4, KEYS = 16, ROUNDS = 4, CALLS = 400 /* of a thread and round */ };
#define TIMEOUT_MS 20u
/* How much later than its deadline a call may end on an idle machine. How much later this machine
 * wakes a thread that only sleeps is measured beside it, and may come on top, for each of the few
 * times that a call waits. */
#define LATE_MS 20u
#define WAITS_OF_A_CALL 3u

struct worker {
    pthread_t thread;
    struct larder_cache *cache;
    uint64_t state;
    unsigned number;
    unsigned long calls, answers, wrong;
    uint64_t latest_ns; /* the longest call */
};

static _Atomic int running; /* workers that are not done yet */

/* Source: xorshift64, Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

/* ---- values that say whose they are -------------------------------------------------------- */

/* "key=" again and again, so that a byte out of place shows. */
static size_t make_value(const char *key, size_t length, char *value)
{
    size_t period = strlen(key) + 1;
    for (size_t i = 0; i < length; i++)
        value[i] = i % period == period - 1 ? '=' : key[i % period];
    return length;
}

static int is_value_of(const char *key, const char *value, size_t length)
{
    char expected[4096];
    return length <= sizeof(expected) && make_value(key, length, expected) == length &&
           memcmp(value, expected, length) == 0;
}

/* ---- workers ------------------------------------------------------------------------------- */

static void name_key(char key[24], uint64_t number)
{
    snprintf(key, 24, "stress:%llu", (unsigned long long)number);
}

static enum larder_status write_one(struct worker *worker)
{
    char key[24], value[4096];
    name_key(key, draw(&worker->state, KEYS));
    size_t length = make_value(key, draw(&worker->state, sizeof(value)), value);
    return larder_set(worker->cache, larder_text(key), larder_bytes(value, length), 60000);
}

static enum larder_status read_one(struct worker *worker)
{
    char key[24], value[4096];
    struct larder_info info = {0};
    name_key(key, draw(&worker->state, KEYS));
    enum larder_status status =
        larder_read(worker->cache, larder_text(key), value, sizeof(value), &info);
    if (status == LARDER_OK)
        worker->wrong += !is_value_of(key, value, info.length);
    return status;
}

static enum larder_status read_many(struct worker *worker)
{
    enum { ROWS = 5 };
    char keys[ROWS][24];
    struct larder_row rows[ROWS] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        name_key(keys[i], draw(&worker->state, KEYS));
        rows[i].key = larder_text(keys[i]);
    }
    enum larder_status status = larder_get_multi(worker->cache, rows, ROWS);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].status == LARDER_OK)
            worker->wrong +=
                !is_value_of(keys[i], rows[i].value.bytes.data, rows[i].value.bytes.length);
    larder_rows_release(rows, ROWS);
    return status;
}

static enum larder_status delete_one(struct worker *worker)
{
    char key[24];
    name_key(key, draw(&worker->state, KEYS));
    return larder_delete(worker->cache, larder_text(key), 0);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned i = 0; i < CALLS; i++) {
        uint64_t choice = draw(&worker->state, 20), began_ns = larder_monotonic_ns();
        enum larder_status status = choice < 8    ? read_one(worker)
                                    : choice < 15 ? write_one(worker)
                                    : choice < 19 ? read_many(worker)
                                                  : delete_one(worker);
        uint64_t took_ns = larder_monotonic_ns() - began_ns;
        worker->latest_ns = took_ns > worker->latest_ns ? took_ns : worker->latest_ns;
        worker->answers += status >= 0;
        if (status == LARDER_UNAVAILABLE) /* marked down: let the prober have its turn */
            scripted_pause(1);
        worker->calls++;
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* ---- the machine --------------------------------------------------------------------------- */

static _Atomic int measuring;

/* Keeps the longest that a sleep of a millisecond took. */
static void *sleep_beside(void *argument)
{
    uint64_t *longest_ns = argument;
    while (atomic_load(&measuring)) {
        uint64_t began_ns = larder_monotonic_ns();
        scripted_pause(1);
        uint64_t took_ns = larder_monotonic_ns() - began_ns;
        *longest_ns = took_ns > *longest_ns ? took_ns : *longest_ns;
    }
    return NULL;
}

/* ---- rounds -------------------------------------------------------------------------------- */

static void change_fault(struct fault_proxy *proxy, uint64_t *state)
{
    static const enum fault_kind kinds[] = {FAULT_NONE,  FAULT_NONE,  FAULT_CUT,
                                            FAULT_RESET, FAULT_STALL, FAULT_DRIP};
    const struct fault fault = {.kind = kinds[draw(state, 6)],
                                .side = (enum fault_side)draw(state, 2),
                                .at = draw(state, 3000),
                                .pause_ms = 1};
    fault_proxy_set(proxy, &fault);
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

static void run_round(struct memcached_server *server, uint64_t *state, struct worker *workers)
{
    char uri[256];
    struct fault_proxy *proxy = fault_proxy_start(memcached_server_path(server));
    struct larder_cache *cache = NULL;
    snprintf(uri, sizeof(uri), "meta://127.0.0.1:%u?timeout=%ums&size=3&probe=10ms%s",
             fault_proxy_port(proxy), TIMEOUT_MS, draw(state, 2) == 0 ? "" : "&classic_reads=on");
    assert_status(LARDER_OK, larder_open(uri, NULL, &cache, NULL, 0));
    atomic_store(&running, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].cache = cache;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    while (atomic_load(&running) > 0) {
        change_fault(proxy, state);
        scripted_pause(5);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    larder_close(cache);
    fault_proxy_stop(proxy);
}

static uint64_t chosen_seed(void)
{
    const char *text = getenv("LARDER_STRESS_SEED");
    return text != NULL ? strtoull(text, NULL, 0) | 1 : larder_random() | 1;
}

static unsigned rounds(void)
{
    const char *text = getenv("LARDER_STRESS_SCALE");
    double scale = text != NULL ? atof(text) : 1;
    return scale * ROUNDS > 1 ? (unsigned)(scale * ROUNDS) : 1;
}

static void no_value_is_wrong_and_no_call_late_under_changing_faults(void **unused)
{
    (void)unused;
    uint64_t state = chosen_seed(), latest_ns = 0;
    unsigned long calls = 0, answers = 0, wrong = 0;
    struct worker workers[THREADS] = {0};
    struct memcached_server *server = memcached_server_start(NULL);
    printf("LARDER_STRESS_SEED=%llu\n", (unsigned long long)state);
    unsigned before = descriptors();
    uint64_t sleeps_ns[THREADS] = {0}, slept_ns = 0;
    pthread_t sleepers[THREADS];
    atomic_store(&measuring, 1);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&sleepers[i], NULL, sleep_beside, &sleeps_ns[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].state = draw(&state, UINT64_MAX) | 1;
    for (unsigned round = rounds(); round > 0; round--)
        run_round(server, &state, workers);
    atomic_store(&measuring, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(sleepers[i], NULL);
        slept_ns = sleeps_ns[i] > slept_ns ? sleeps_ns[i] : slept_ns;
        calls += workers[i].calls;
        answers += workers[i].answers;
        wrong += workers[i].wrong;
        latest_ns = workers[i].latest_ns > latest_ns ? workers[i].latest_ns : latest_ns;
    }
    printf("%lu calls, %lu answered, %lu wrong values, the longest took %.1f ms of %u; a sleep of "
           "1 ms took up to %.1f\n",
           calls, answers, wrong, (double)latest_ns / 1e6, TIMEOUT_MS, (double)slept_ns / 1e6);
    assert_int_equal(wrong, 0);
    assert_true(answers > calls / 10);
    assert_true(latest_ns <
                (TIMEOUT_MS + LATE_MS) * UINT64_C(1000000) + WAITS_OF_A_CALL * slept_ns);
    assert_int_equal(descriptors(), before);
    memcached_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_is_wrong_and_no_call_late_under_changing_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
