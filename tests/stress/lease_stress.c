/*
 * Leases on a real memcached, between threads and processes: 4 processes of 64 threads on one cold
 * key, a holder that is killed, and invalidations between winning and filling. The processes are
 * forked before anything is opened, and meet in memory that they share. All of it once with leases
 * in records, over libmemcached, and once with those of the meta protocol.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memcached_server.h"

#define PROCESSES 4u
#define THREADS 64u
#define CALLERS (PROCESSES * THREADS)
#define LONG_MS 60000u
#define ROUNDS 40u

/* Shared by all processes. Counted and read with the default order: nothing here is fast. */
static struct shared {
    atomic_uint ready;    /* callers that stand at the start */
    atomic_uint asked;    /* that have asked once */
    atomic_uint tokens;   /* that got one */
    atomic_uint holders;  /* that have one now */
    atomic_uint crowded;  /* times that there was more than one holder */
    atomic_uint answered; /* that were given the value */
    atomic_uint wrong;    /* answers that can't be */
    atomic_uint rounds;
    atomic_uint forced; /* deletes that could not tell what they took */
    atomic_ulong token;
    atomic_ulong began_ms;
} * shared;

static struct memcached_server *server;
static struct larder_cache *cache;
static const char *scheme;  /* of what is tried */
static const char *options; /* with a '&' at their end */

static struct larder_slice cold(void)
{
    return larder_text("cold");
}

static void nap(void)
{
    struct timespec wait = {0, 1000000};
    nanosleep(&wait, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void expect(int holds)
{
    if (!holds)
        atomic_fetch_add(&shared->wrong, 1);
}

static void open_cache(void)
{
    char uri[256], message[256] = "";
    snprintf(uri, sizeof(uri), "%s://%s?%stimeout=20s&connect_timeout=20s", scheme,
             memcached_server_path(server), options);
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
}

static enum larder_status lease_get(uint32_t lease_ms, struct larder_lease *lease)
{
    struct larder_value value = {0};
    enum larder_status status = larder_lease_get(cache, cold(), lease_ms, &value, lease);
    if (status == LARDER_OK)
        expect(value.bytes.length == 8 && memcmp(value.bytes.data, "computed", 8) == 0);
    larder_value_release(&value);
    return status;
}

static enum larder_status fill(struct larder_lease lease)
{
    struct larder_write write = larder_write_of(larder_text("computed"), LONG_MS);
    return larder_lease_fill(cache, cold(), lease, &write);
}

/* ---- processes ----------------------------------------------------------------------------- */

static void run_threads(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    unsigned started = 0;
    while (started < THREADS && pthread_create(&threads[started], NULL, run, NULL) == 0)
        started++;
    expect(started == THREADS);
    if (started < THREADS) /* nobody will be ready: let the others go */
        atomic_fetch_add(&shared->ready, CALLERS);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* What only records need. */
static unsigned forced_deletes(void)
{
    struct larder_stat rows[256];
    size_t count = 0;
    if (options[0] == '\0')
        return 0;
    expect(larder_stats(cache, rows, 256, &count) == LARDER_OK && count <= 256);
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(rows[i].name, "records.forced") == 0)
            return (unsigned)rows[i].value;
    expect(0);
    return 0;
}

static void run_processes(void *(*run)(void *))
{
    pid_t children[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            open_cache();
            run_threads(run);
            atomic_fetch_add(&shared->forced, forced_deletes());
            larder_close(cache);
            _exit(0);
        }
        assert_true(children[i] > 0);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

static void wait_for_all(void)
{
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < CALLERS)
        sched_yield();
}

/* ---- one cold key -------------------------------------------------------------------------- */

/* The holder fills only when everybody has asked, so that all of them stood before a cold key. */
static void *ask_until_answered(void *unused)
{
    int has_asked = 0;
    (void)unused;
    wait_for_all();
    for (;;) {
        struct larder_lease lease = {0, 0};
        enum larder_status status = lease_get(LONG_MS, &lease);
        if (!has_asked)
            atomic_fetch_add(&shared->asked, 1);
        has_asked = 1;
        if (status == LARDER_OK) {
            atomic_fetch_add(&shared->answered, 1);
            return NULL;
        }
        expect(status == LARDER_MISS);
        if (status != LARDER_MISS)
            return NULL;
        if (lease.token == 0) {
            nap();
            continue;
        }
        atomic_fetch_add(&shared->tokens, 1);
        while (atomic_load(&shared->asked) < CALLERS && atomic_load(&shared->wrong) == 0)
            nap();
        expect(fill(lease) == LARDER_OK);
    }
}

static void one_of_many_callers_computes_a_cold_key(void **state)
{
    (void)state;
    run_processes(ask_until_answered);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(atomic_load(&shared->tokens), 1);
    assert_int_equal(atomic_load(&shared->answered), CALLERS);
    print_message("%u callers, 1 token\n", CALLERS);
}

/* ---- one holder after the other ------------------------------------------------------------ */

static void hold(struct larder_lease lease)
{
    unsigned holders = atomic_fetch_add(&shared->holders, 1) + 1;
    if (holders != 1)
        atomic_fetch_add(&shared->crowded, 1);
    atomic_fetch_add(&shared->tokens, 1);
    sched_yield();
    atomic_fetch_sub(&shared->holders, 1);
    unsigned round = atomic_fetch_add(&shared->rounds, 1) + 1;
    if (round < ROUNDS)
        expect(larder_lease_return(cache, cold(), lease) == LARDER_OK);
    else
        expect(fill(lease) == LARDER_OK);
}

static void *hold_and_return(void *unused)
{
    (void)unused;
    wait_for_all();
    for (;;) {
        struct larder_lease lease = {0, 0};
        enum larder_status status = lease_get(LONG_MS, &lease);
        expect(status == LARDER_OK || status == LARDER_MISS);
        if (status != LARDER_MISS)
            return NULL;
        if (lease.token != 0)
            hold(lease);
        else
            nap();
    }
}

static void there_is_one_holder_at_a_time(void **state)
{
    (void)state;
    run_processes(hold_and_return);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(atomic_load(&shared->crowded), 0);
    assert_int_equal(atomic_load(&shared->tokens), ROUNDS);
}

/* ---- a holder that dies -------------------------------------------------------------------- */

#define SHORT_MS 1200u

static void die_with_a_lease(void)
{
    struct larder_lease lease = {0, 0};
    open_cache();
    uint64_t began_ms = now_ms();
    expect(lease_get(SHORT_MS, &lease) == LARDER_MISS && lease.token != 0);
    atomic_store(&shared->token, lease.token);
    atomic_store(&shared->began_ms, began_ms);
    raise(SIGKILL);
}

static void *take_over(void *unused)
{
    (void)unused;
    wait_for_all();
    for (;;) {
        struct larder_lease lease = {0, 0};
        enum larder_status status = lease_get(LONG_MS, &lease);
        expect(status == LARDER_OK || status == LARDER_MISS);
        if (status != LARDER_MISS)
            return NULL;
        if (lease.token == 0) {
            nap();
            continue;
        }
        const struct larder_lease dead = {atomic_load(&shared->token), 0};
        expect(now_ms() >= atomic_load(&shared->began_ms) + SHORT_MS - 1); /* two clocks */
        atomic_fetch_add(&shared->tokens, 1);
        expect(fill(dead) == LARDER_CONFLICT);
        expect(fill(lease) == LARDER_OK);
    }
}

static void a_holder_that_died_is_replaced_when_its_lease_ends(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        die_with_a_lease();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    run_processes(take_over);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(atomic_load(&shared->tokens), 1);
}

/* ---- invalidations ------------------------------------------------------------------------- */

/* Every filler computes from a number that only grows, and every change of it is followed by an
 * invalidation: so once the last one is over, what is cached was computed from the last number. */
#define CHANGES 300u

static enum larder_status fill_number(struct larder_lease lease, unsigned number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    struct larder_write write = larder_write_of(larder_text(text), LONG_MS);
    return larder_lease_fill(cache, larder_text("number"), lease, &write);
}

static void read_through(void)
{
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    enum larder_status status =
        larder_lease_get(cache, larder_text("number"), LONG_MS, &value, &lease);
    larder_value_release(&value);
    expect(status == LARDER_OK || status == LARDER_MISS);
    if (lease.token == 0)
        return;
    unsigned number = atomic_load(&shared->rounds);
    sched_yield();
    status = fill_number(lease, number);
    expect(status == LARDER_OK || status == LARDER_CONFLICT);
    atomic_fetch_add(status == LARDER_OK ? &shared->answered : &shared->asked, 1);
}

static void *read_or_change(void *unused)
{
    (void)unused;
    unsigned number = atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < CALLERS)
        sched_yield();
    while (atomic_load(&shared->rounds) < CHANGES && atomic_load(&shared->wrong) == 0) {
        read_through();
        if (number % THREADS != 0)
            continue;
        nap();
        atomic_fetch_add(&shared->rounds, 1);
        expect(larder_invalidate(cache, larder_text("number")) == LARDER_OK);
    }
    read_through(); /* so that something is there in the end */
    return NULL;
}

static void an_invalidation_is_never_undone_by_an_older_fill(void **state)
{
    char text[16], last[16];
    struct larder_info info = {0};
    (void)state;
    run_processes(read_or_change);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    snprintf(last, sizeof(last), "%u", atomic_load(&shared->rounds));
    open_cache();
    enum larder_status status =
        larder_read(cache, larder_text("number"), text, sizeof(text), &info);
    larder_close(cache);
    print_message("%u fills, %u of them void\n",
                  atomic_load(&shared->answered) + atomic_load(&shared->asked),
                  atomic_load(&shared->asked));
    if (status == LARDER_OK)
        assert_slice(last, larder_bytes(text, info.length));
    else
        assert_status(LARDER_MISS, status);
}

/* ---- births and deaths --------------------------------------------------------------------- */

/* A value comes by an add or a fill that was OK, and goes by a delete that was OK. So at the end
 * there was one birth more than deaths, or as many, whatever leases were won and lost in between.
 */
#define STEPS 12u

static unsigned count_of(enum larder_status status)
{
    expect(status == LARDER_OK || status == LARDER_MISS || status == LARDER_EXISTS ||
           status == LARDER_CONFLICT);
    return status == LARDER_OK ? 1 : 0;
}

static unsigned try_to_fill(void)
{
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    enum larder_status status =
        larder_lease_get(cache, larder_text("life"), LONG_MS, &value, &lease);
    larder_value_release(&value);
    expect(status == LARDER_OK || status == LARDER_MISS);
    if (lease.token == 0)
        return 0;
    sched_yield();
    struct larder_write write = larder_write_of(larder_text("filled"), LONG_MS);
    return count_of(larder_lease_fill(cache, larder_text("life"), lease, &write));
}

static void step_of_life(unsigned step)
{
    struct larder_slice key = larder_text("life");
    switch (step % 4) {
    case 0:
        atomic_fetch_add(&shared->tokens,
                         count_of(larder_add(cache, key, larder_text("added"), LONG_MS)));
        break;
    case 1:
        atomic_fetch_add(&shared->tokens, try_to_fill());
        break;
    case 2: /* no birth and no death, but another version under all the others */
        count_of(larder_append(cache, key, larder_text("x")));
        break;
    default:
        atomic_fetch_add(&shared->answered, count_of(larder_delete(cache, key, 0)));
        break;
    }
}

static void *give_and_take(void *unused)
{
    unsigned number = atomic_fetch_add(&shared->asked, 1);
    (void)unused;
    wait_for_all();
    for (unsigned i = 0; i < STEPS; i++)
        step_of_life(number + i);
    return NULL;
}

static void every_birth_has_one_death(void **state)
{
    (void)state;
    run_processes(give_and_take);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    open_cache();
    enum larder_status last = larder_read(cache, larder_text("life"), NULL, 0, NULL);
    larder_close(cache);
    unsigned born = atomic_load(&shared->tokens), died = atomic_load(&shared->answered);
    unsigned forced = atomic_load(&shared->forced);
    print_message("%u births, %u deaths (%u forced), then %s\n", born, died, forced,
                  last == LARDER_MISS ? "nothing" : "a value");
    assert_in_range(died + (last == LARDER_MISS ? 0 : 1) + forced, born, born + 2 * forced);
}

/* ---- counters ------------------------------------------------------------------------------ */

#define COUNTS 5u

static void *count_up(void *unused)
{
    const struct larder_initial from_zero = {0, LONG_MS, 0, 0};
    (void)unused;
    wait_for_all();
    for (unsigned i = 0; i < COUNTS; i++)
        expect(larder_incr(cache, larder_text("hits"), 1, &from_zero, NULL) == LARDER_OK);
    return NULL;
}

/* It has a TTL, so where there are records it is in one, and each step is a cas that others
 * disturb. */
static void counting_with_a_ttl_loses_nothing(void **state)
{
    char text[16] = "";
    (void)state;
    run_processes(count_up);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    open_cache();
    assert_status(LARDER_OK, larder_read(cache, larder_text("hits"), text, sizeof(text) - 1, NULL));
    larder_close(cache);
    assert_int_equal(strtoul(text, NULL, 10), CALLERS * COUNTS);
}

/* -------------------------------------------------------------------------------------------- */

static int start(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    server = memcached_server_start(NULL);
    return shared == MAP_FAILED;
}

static int stop(void **state)
{
    (void)state;
    memcached_server_stop(server);
    return munmap(shared, sizeof(*shared));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

static const struct CMUnitTest tests[] = {
    TEST(one_of_many_callers_computes_a_cold_key),
    TEST(there_is_one_holder_at_a_time),
    TEST(a_holder_that_died_is_replaced_when_its_lease_ends),
    TEST(an_invalidation_is_never_undone_by_an_older_fill),
    TEST(every_birth_has_one_death),
    TEST(counting_with_a_ttl_loses_nothing),
};

int main(void)
{
    int failed = 0;
#ifdef LARDER_WITH_MEMCACHED
    scheme = "memcached";
    options = "metadata=leases&";
    failed += cmocka_run_group_tests_name("leases in records", tests, NULL, NULL);
#endif
#ifdef LARDER_WITH_META
    scheme = "meta";
    options = "";
    failed += cmocka_run_group_tests_name("leases of the protocol", tests, NULL, NULL);
#endif
    return failed;
}
