/* Brief locks: one thread has it at a time, and whoever waits is woken. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <larder/util/deadline.h>

#include "brief.h"

#define WAIT_NS UINT64_C(20000000000) /* for what takes microseconds */

enum { THREADS = 8, TURNS = 50000 };

static struct brief_lock lock;
static uint64_t turns; /* touched only while holding lock */

static void init(void)
{
    struct larder_epoch epoch;
    larder_epoch_init(&epoch); /* finds out how threads are ordered */
    lock = (struct brief_lock){0};
    turns = 0;
}

static void *take_turns(void *context)
{
    (void)context;
    for (int i = 0; i < TURNS; i++) {
        larder__brief_lock(&lock);
        turns++;
        if (i % 1000 == 0)
            sched_yield(); /* so that others find it taken for long */
        larder__brief_unlock(&lock);
    }
    return NULL;
}

static void start(pthread_t threads[THREADS], void *(*run)(void *), void *context)
{
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, context), 0);
}

static void finish(const pthread_t threads[THREADS])
{
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void one_thread_has_it_at_a_time(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    init();
    start(threads, take_turns, NULL);
    finish(threads);
    assert_int_equal(turns, (uint64_t)THREADS * TURNS);
    assert_int_equal(atomic_load(&lock.waiters), 0);
}

/* What the thread took of a processor, in ns. */
static uint64_t work_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *take_one_turn(void *context)
{
    _Atomic uint64_t *most_ns = context;
    larder__brief_lock(&lock);
    turns++;
    if (work_ns() > atomic_load(most_ns)) /* under the lock */
        atomic_store(most_ns, work_ns());
    larder__brief_unlock(&lock);
    return NULL;
}

static void await_waiters(uint32_t count)
{
    uint64_t until_ns = larder_monotonic_ns() + WAIT_NS;
    while (atomic_load(&lock.waiters) < count) {
        assert_true(larder_monotonic_ns() < until_ns);
        sched_yield();
    }
}

static void who_waits_sleeps_until_it_is_woken(void **state)
{
    static _Atomic uint64_t most_ns;
    pthread_t threads[THREADS];
    struct timespec held = {0, 300000000};
    (void)state;
    init();
    larder__brief_lock(&lock);
    start(threads, take_one_turn, (void *)&most_ns);
    await_waiters(THREADS);
    nanosleep(&held, NULL); /* what the test is about: it is held for long */
    larder__brief_unlock(&lock);
    finish(threads);
    assert_int_equal(turns, THREADS);
    assert_int_equal(atomic_load(&lock.waiters), 0);
    assert_true(atomic_load(&most_ns) < 150000000); /* of the 300 ms; it is some 50 us */
}

static void who_tries_is_refused_while_it_is_taken(void **state)
{
    (void)state;
    init();
    assert_true(larder__brief_try(&lock));
    assert_false(larder__brief_try(&lock));
    larder__brief_unlock(&lock);
    assert_true(larder__brief_try(&lock));
    larder__brief_unlock(&lock);
}

static void nobody_waits_in_the_child_of_a_fork(void **state)
{
    (void)state;
    init();
    larder__brief_lock(&lock);
    atomic_store(&lock.waiters, 3); /* as a child finds it whose parent has other threads */
    larder__brief_adopt(&lock);
    larder__brief_unlock(&lock);
    assert_int_equal(atomic_load(&lock.waiters), 0);
    assert_true(larder__brief_try(&lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_has_it_at_a_time),
        cmocka_unit_test(who_waits_sleeps_until_it_is_woken),
        cmocka_unit_test(who_tries_is_refused_while_it_is_taken),
        cmocka_unit_test(nobody_waits_in_the_child_of_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
