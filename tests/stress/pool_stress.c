/*
 * Sixty-four threads on a pool of four, with a factory that fails every third time and every fifth
 * release broken.
 *
 * How the order is proved: the pool gives each waiter a condition variable of its own, made under
 * its lock just before the waiter joins the line, and signals it, under the same lock, when it
 * hands the waiter a slot. The linker turns both calls into the ones below, which keep a queue of
 * their own: a signal must always be for its head. That nobody gets past the line shows in the
 * figures: in every consistent picture of them either nothing is idle or nobody waits, and who does
 * not wait takes what is idle.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1), LARDER_STRESS_SEED repeats a run's
 * deadlines.
 */
#include <larder/pool.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <larder/util/deadline.h>

#define THREADS 64
#define SLOTS 4
#define ACQUIRES 1000000
#define ACQUIRES_WITH_DEADLINES 200000
#define LONG_MS 100000 /* never waited for, unless a test fails */
#define FAIL_EVERY 3
#define BREAK_EVERY 5
#define LOOK_EVERY 16
#define UNFAIR_TIMES 3 /* loose: strict order keeps threads within a few acquires of each other */

/* ---- the line as the pool's calls show it -------------------------------------------------- */

static struct {
    int watched; /* set while nobody waits */
    /* guarded by the pool's mutex */
    const pthread_cond_t *line[THREADS];
    size_t first, last;
    uint64_t handed_on, out_of_order;
} order;

int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    if (order.watched)
        order.line[order.last++ % THREADS] = condition;
    return __real_pthread_cond_init(condition, attributes);
}

int __real_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    if (order.watched) {
        order.handed_on++;
        order.out_of_order += order.line[order.first++ % THREADS] != condition;
    }
    return __real_pthread_cond_signal(condition);
}

/* ---- a factory that fails every third time ------------------------------------------------- */

struct thing {
    _Atomic int held;
};

/* Relaxed throughout: counters order nothing. */
struct workshop {
    _Atomic int open; /* 1: the pool is, and failures begin */
    _Atomic int calls, alive, over_size;
};

static enum larder_status thing_create(void *context, void **object)
{
    struct workshop *shop = context;
    int call = atomic_fetch_add_explicit(&shop->calls, 1, memory_order_relaxed);
    if (atomic_load_explicit(&shop->open, memory_order_relaxed) && call % FAIL_EVERY == 0)
        return LARDER_UNAVAILABLE;
    if (atomic_fetch_add_explicit(&shop->alive, 1, memory_order_relaxed) >= SLOTS)
        atomic_fetch_add_explicit(&shop->over_size, 1, memory_order_relaxed);
    *object = calloc(1, sizeof(struct thing));
    return LARDER_OK;
}

static void thing_destroy(void *context, void *object)
{
    struct workshop *shop = context;
    atomic_fetch_sub_explicit(&shop->alive, 1, memory_order_relaxed);
    free(object);
}

static struct larder_pool *pool_of(struct workshop *shop)
{
    struct larder_pool_options options = {.struct_size = sizeof(options),
                                          .size = SLOTS,
                                          .create = thing_create,
                                          .destroy = thing_destroy,
                                          .context = shop};
    struct larder_pool *pool = NULL;
    assert_int_equal(larder_pool_open(&options, &pool), LARDER_OK);
    shop->open = 1;
    return pool;
}

/* ---- the crowd ----------------------------------------------------------------------------- */

struct crowd {
    struct larder_pool *pool;
    _Atomic int64_t left;     /* acquires still to be tried */
    uint64_t deadline_us_max; /* 0: nobody gives up */
};

struct worker {
    pthread_t thread;
    struct crowd *crowd;
    uint64_t random; /* xorshift's state */
    uint64_t acquired, failed, timeouts;
    uint64_t shared, overtaken, unexpected; /* what must not be */
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t next_deadline(struct worker *worker)
{
    uint64_t now_ns = larder_monotonic_ns();
    if (worker->crowd->deadline_us_max == 0)
        return larder_deadline_after(now_ns, LONG_MS);
    return now_ns + next_random(&worker->random) % (worker->crowd->deadline_us_max * 1000);
}

static void use(struct worker *worker, struct thing *thing)
{
    struct larder_pool *pool = worker->crowd->pool;
    worker->shared += atomic_exchange_explicit(&thing->held, 1, memory_order_relaxed) != 0;
    if (++worker->acquired % LOOK_EVERY == 0) {
        struct larder_pool_figures stats;
        larder_pool_stats(pool, &stats);
        worker->overtaken += stats.idle > 0 && stats.waiting > 0;
    }
    atomic_store_explicit(&thing->held, 0, memory_order_relaxed);
    int broken = worker->acquired % BREAK_EVERY == 0;
    worker->unexpected += larder_pool_release(pool, thing, broken) != LARDER_OK;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct crowd *crowd = worker->crowd;
    while (atomic_fetch_sub_explicit(&crowd->left, 1, memory_order_relaxed) > 0) {
        void *object = NULL;
        enum larder_status status =
            larder_pool_acquire_until(crowd->pool, next_deadline(worker), &object);
        if (status == LARDER_OK)
            use(worker, object);
        worker->failed += status == LARDER_UNAVAILABLE;
        worker->timeouts += status == LARDER_TIMEOUT;
        worker->unexpected +=
            status != LARDER_OK && status != LARDER_UNAVAILABLE && status != LARDER_TIMEOUT;
    }
    return NULL;
}

/* Until everybody stands in line, or somebody's deadline has passed there: a thread that ran before
 * the others had started would meet nobody, and prove nothing. */
static void wait_for_a_line(const struct crowd *crowd)
{
    struct larder_pool_figures stats;
    do {
        sched_yield();
        larder_pool_stats(crowd->pool, &stats);
    } while (crowd->deadline_us_max == 0 ? stats.waiting < THREADS : stats.timeouts == 0);
}

static void run(struct crowd *crowd, struct worker *workers, uint64_t seed)
{
    void *objects[SLOTS];
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(larder_pool_acquire(crowd->pool, 0, &objects[i]), LARDER_OK);
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.crowd = crowd, .random = seed + 2 * i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    wait_for_a_line(crowd);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(larder_pool_release(crowd->pool, objects[i], 0), LARDER_OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

static struct worker sum_of(const struct worker *workers)
{
    struct worker sum = {0};
    for (int i = 0; i < THREADS; i++) {
        sum.acquired += workers[i].acquired;
        sum.failed += workers[i].failed;
        sum.timeouts += workers[i].timeouts;
        sum.shared += workers[i].shared;
        sum.overtaken += workers[i].overtaken;
        sum.unexpected += workers[i].unexpected;
    }
    return sum;
}

/* ---- what must hold afterwards ------------------------------------------------------------- */

static void assert_sound(struct larder_pool *pool, const struct workshop *shop,
                         const struct worker *sum)
{
    struct larder_pool_figures stats;
    larder_pool_stats(pool, &stats);
    assert_int_equal(sum->shared, 0);
    assert_int_equal(sum->overtaken, 0);
    assert_int_equal(sum->unexpected, 0);
    assert_int_equal(shop->over_size, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.idle, SLOTS);
    assert_int_equal(stats.acquired, sum->acquired + SLOTS); /* run() held them all once */
    assert_int_equal(stats.failed, sum->failed);
    assert_int_equal(stats.timeouts, sum->timeouts);
}

/* All slots can be held at once, and all objects are destroyed in the end. */
static void assert_no_slot_lost(struct larder_pool *pool, struct workshop *shop)
{
    void *objects[SLOTS];
    void *none = NULL;
    shop->open = 0; /* no more failures */
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(larder_pool_acquire(pool, 0, &objects[i]), LARDER_OK);
    assert_int_equal(larder_pool_acquire(pool, 0, &none), LARDER_WOULD_BLOCK);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(larder_pool_release(pool, objects[i], 0), LARDER_OK);
    larder_pool_close(pool);
    assert_int_equal(shop->alive, 0);
}

static int compare_tries(const void *left, const void *right)
{
    const struct worker *a = left, *b = right;
    uint64_t tries_a = a->acquired + a->failed, tries_b = b->acquired + b->failed;
    return (tries_a > tries_b) - (tries_a < tries_b);
}

static void assert_nobody_starved(struct worker *workers)
{
    uint64_t tries[THREADS];
    qsort(workers, THREADS, sizeof(*workers), compare_tries);
    for (int i = 0; i < THREADS; i++)
        tries[i] = workers[i].acquired + workers[i].failed;
    uint64_t median = tries[THREADS / 2];
    printf("served per thread: %ju to %ju, median %ju\n", (uintmax_t)tries[0],
           (uintmax_t)tries[THREADS - 1], (uintmax_t)median);
    assert_true(tries[THREADS - 1] <= UNFAIR_TIMES * median);
    assert_true(tries[0] >= median / UNFAIR_TIMES);
}

static int64_t scaled(int64_t count)
{
    const char *text = getenv("LARDER_STRESS_SCALE");
    double scale = text != NULL ? strtod(text, NULL) : 1;
    int64_t least = 100 * THREADS; /* below that the bounds above mean nothing */
    int64_t wanted = (int64_t)((double)count * scale);
    return wanted > least ? wanted : least;
}

static uint64_t seed_of_this_run(void)
{
    const char *text = getenv("LARDER_STRESS_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : larder_monotonic_ns();
    printf("LARDER_STRESS_SEED=%ju\n", (uintmax_t)seed);
    return seed | 1; /* xorshift never leaves 0 */
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_crowd_is_served_in_order_and_nobody_starves(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct workshop shop = {0};
    struct crowd crowd = {.pool = pool_of(&shop), .left = scaled(ACQUIRES)};
    uint64_t start_ns = larder_monotonic_ns();
    order.watched = 1;
    run(&crowd, workers, 1);
    order.watched = 0;
    double seconds = (double)(larder_monotonic_ns() - start_ns) / 1e9;

    struct worker sum = sum_of(workers);
    printf("%ju acquires, %ju failed, %ju handed on to a waiter, %.1f s, %.0f hand-offs/s\n",
           (uintmax_t)sum.acquired, (uintmax_t)sum.failed, (uintmax_t)order.handed_on, seconds,
           (double)order.handed_on / seconds);
    assert_sound(crowd.pool, &shop, &sum);
    assert_int_equal(sum.timeouts, 0);
    assert_true(sum.failed > 0);
    assert_true(order.handed_on > 0);
    assert_int_equal(order.first, order.last);
    assert_int_equal(order.out_of_order, 0);
    assert_nobody_starved(workers);
    assert_no_slot_lost(crowd.pool, &shop);
}

/* @return what they got together */
static struct worker crowd_with_deadlines(uint64_t deadline_us_max)
{
    static struct worker workers[THREADS];
    struct workshop shop = {0};
    struct crowd crowd = {.pool = pool_of(&shop),
                          .left = scaled(ACQUIRES_WITH_DEADLINES),
                          .deadline_us_max = deadline_us_max};
    run(&crowd, workers, seed_of_this_run());

    struct worker sum = sum_of(workers);
    printf("%ju acquires, %ju failed, %ju ended at their deadline\n", (uintmax_t)sum.acquired,
           (uintmax_t)sum.failed, (uintmax_t)sum.timeouts);
    assert_sound(crowd.pool, &shop, &sum);
    assert_no_slot_lost(crowd.pool, &shop);
    return sum;
}

/* On a machine that is busy nobody may get anything within the first of them. */
static void deadlines_in_a_crowd_lose_no_slot(void **state)
{
    uint64_t acquired = 0, timeouts = 0;
    (void)state;
    for (uint64_t us = 500; acquired == 0 && us <= 8000; us *= 4) {
        struct worker sum = crowd_with_deadlines(us);
        acquired += sum.acquired;
        timeouts += sum.timeouts;
    }
    assert_true(acquired > 0);
    assert_true(timeouts > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_is_served_in_order_and_nobody_starves),
        cmocka_unit_test(deadlines_in_a_crowd_lose_no_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
