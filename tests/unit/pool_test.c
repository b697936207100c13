/*
 * The eager pool. Order is made certain by looking at stats.waiting before the next caller comes,
 * and races by a pthread_cond_timedwait of our own, into which the linker turns the pool's.
 */
#include <larder/pool.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <larder/util/deadline.h>
#include <larder/util/pool_fork.h>
#include <larder/util/pool_order.h>

#define LINE_LENGTH 16
#define LONG_MS 30000 /* never waited for, unless a test fails */

/* ---- a factory that keeps the books -------------------------------------------------------- */

struct thing {
    int number; /* the first is 1 */
};

struct workshop {
    pthread_mutex_t mutex; /* guards the rest */
    struct larder_pool *pool;
    int calls, created, destroyed, alive_max;
    int fail_from, fail_to; /* these calls of create fail, counted from 1 */
    int callers[LINE_LENGTH];
    int caller_count;
};

static _Thread_local int caller_number;

static enum larder_status thing_create(void *context, void **object)
{
    struct workshop *shop = context;
    struct larder_pool_figures stats;
    larder_pool_stats(shop->pool, &stats); /* would never return, were the pool's lock held */

    pthread_mutex_lock(&shop->mutex);
    int call = ++shop->calls;
    int fails = call >= shop->fail_from && call <= shop->fail_to;
    if (shop->caller_count < LINE_LENGTH)
        shop->callers[shop->caller_count++] = caller_number;
    if (!fails) {
        struct thing *thing = malloc(sizeof(*thing));
        thing->number = ++shop->created;
        *object = thing;
        if (shop->created - shop->destroyed > shop->alive_max)
            shop->alive_max = shop->created - shop->destroyed;
    }
    pthread_mutex_unlock(&shop->mutex);
    return fails ? LARDER_UNAVAILABLE : LARDER_OK;
}

static void thing_destroy(void *context, void *object)
{
    struct workshop *shop = context;
    struct larder_pool_figures stats;
    larder_pool_stats(shop->pool, &stats);

    pthread_mutex_lock(&shop->mutex);
    shop->destroyed++;
    pthread_mutex_unlock(&shop->mutex);
    free(object);
}

static void workshop_init(struct workshop *shop)
{
    *shop = (struct workshop){.mutex = PTHREAD_MUTEX_INITIALIZER};
}

static struct larder_pool_options options_of(struct workshop *shop, size_t size)
{
    return (struct larder_pool_options){.struct_size = sizeof(struct larder_pool_options),
                                        .size = size,
                                        .create = thing_create,
                                        .destroy = thing_destroy,
                                        .context = shop};
}

static struct larder_pool *pool_of(struct workshop *shop, size_t size)
{
    workshop_init(shop);
    struct larder_pool_options options = options_of(shop, size);
    struct larder_pool *pool = NULL;
    assert_int_equal(larder_pool_open(&options, &pool), LARDER_OK);
    shop->pool = pool;
    return pool;
}

static void close_pool(struct larder_pool *pool, struct workshop *shop)
{
    shop->pool = NULL;
    larder_pool_close(pool);
    assert_int_equal(shop->created, shop->destroyed);
}

static struct thing *take(struct larder_pool *pool)
{
    void *object = NULL;
    assert_int_equal(larder_pool_acquire(pool, 0, &object), LARDER_OK);
    assert_non_null(object);
    return object;
}

static void give_back(struct larder_pool *pool, struct thing *thing)
{
    assert_int_equal(larder_pool_release(pool, thing, 0), LARDER_OK);
}

static void give_back_broken(struct larder_pool *pool, struct thing *thing)
{
    assert_int_equal(larder_pool_release(pool, thing, 1), LARDER_OK);
}

static void assert_refused(struct larder_pool *pool, enum larder_status expected)
{
    void *object = pool;
    assert_int_equal(larder_pool_acquire(pool, 0, &object), expected);
    assert_null(object);
}

static struct larder_pool_figures stats_of(struct larder_pool *pool)
{
    struct larder_pool_figures stats;
    larder_pool_stats(pool, &stats);
    return stats;
}

/* ---- what the linker puts in between ------------------------------------------------------- */

static _Atomic int callocs;      /* so far */
static _Atomic int failing = -1; /* the calloc that fails, counted from 0 */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return atomic_fetch_add(&callocs, 1) == failing ? NULL : __real_calloc(count, size);
}

/* What happens in the next wait, with the pool's lock let go as in a real one. */
static struct {
    void (*action)(void *context); /* NULL: a real wait */
    void *context;
    int result; /* of the wait */
} scene;

int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline)
{
    if (scene.action == NULL)
        return __real_pthread_cond_timedwait(condition, mutex, deadline);
    void (*action)(void *) = scene.action;
    scene.action = NULL;
    pthread_mutex_unlock(mutex);
    action(scene.context);
    pthread_mutex_lock(mutex);
    return scene.result;
}

/* ---- callers in line ----------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    struct larder_pool *pool;
    int number;
    int broken;          /* what it says at release */
    _Atomic int *served; /* callers served so far */
    int served_as;
    enum larder_status status;
};

static void *call(void *argument)
{
    struct caller *caller = argument;
    void *object = NULL;
    caller_number = caller->number;
    caller->status = larder_pool_acquire(caller->pool, LONG_MS, &object);
    caller->served_as = atomic_fetch_add(caller->served, 1);
    if (caller->status == LARDER_OK)
        larder_pool_release(caller->pool, object, caller->broken);
    return NULL;
}

static void wait_for_line(struct larder_pool *pool, size_t length)
{
    while (stats_of(pool).waiting != length)
        sched_yield();
}

/* Starts callers one after the other, so that their order in line is that of the array. */
static void line_up(struct larder_pool *pool, struct caller *callers, int count,
                    _Atomic int *served)
{
    for (int i = 0; i < count; i++) {
        int broken = callers[i].broken;
        callers[i] = (struct caller){.pool = pool, .number = i, .broken = broken, .served = served};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
        wait_for_line(pool, (size_t)i + 1);
    }
}

static void join_all(struct caller *callers, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(callers[i].thread, NULL);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void open_creates_all_objects_at_once(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 5);
    struct larder_pool_figures stats = stats_of(pool);
    assert_int_equal(shop.created, 5);
    assert_int_equal(stats.size, 5);
    assert_int_equal(stats.idle, 5);
    assert_int_equal(stats.empty, 0);
    assert_int_equal(stats.created, 5);
    assert_int_equal(stats.acquired, 0);
    close_pool(pool, &shop);
}

static void a_factory_that_fails_at_creation_unwinds(void **state)
{
    (void)state;
    for (int failed = 1; failed <= 8; failed++) {
        struct workshop shop;
        workshop_init(&shop);
        shop.fail_from = shop.fail_to = failed;
        struct larder_pool_options options = options_of(&shop, 8);
        struct larder_pool *pool = (struct larder_pool *)&options;
        assert_int_equal(larder_pool_open(&options, &pool), LARDER_UNAVAILABLE);
        assert_null(pool);
        assert_int_equal(shop.calls, failed);
        assert_int_equal(shop.created, failed - 1);
        assert_int_equal(shop.destroyed, failed - 1);
    }
}

static enum larder_status create_nothing(void *context, void **object)
{
    (void)context;
    (void)object;
    return LARDER_OK;
}

static void a_factory_that_gives_no_object_is_out_of_memory(void **state)
{
    (void)state;
    struct workshop shop;
    workshop_init(&shop);
    struct larder_pool_options options = options_of(&shop, 2);
    struct larder_pool *pool = NULL;
    options.create = create_nothing;
    assert_int_equal(larder_pool_open(&options, &pool), LARDER_NO_MEMORY);
    assert_null(pool);
    assert_int_equal(shop.destroyed, 0);
}

static void assert_open_refused(const struct larder_pool_options *options)
{
    struct larder_pool *pool = NULL;
    assert_int_equal(larder_pool_open(options, &pool), LARDER_BAD_ARGUMENT);
    assert_null(pool);
}

static void open_refuses_options_out_of_bounds(void **state)
{
    (void)state;
    struct workshop shop;
    workshop_init(&shop);
    struct larder_pool_options options = options_of(&shop, 0);
    assert_open_refused(&options);
    options = options_of(&shop, LARDER_POOL_SIZE_MAX + 1);
    assert_open_refused(&options);
    options = options_of(&shop, 1);
    options.create = NULL;
    assert_open_refused(&options);
    options = options_of(&shop, 1);
    options.destroy = NULL;
    assert_open_refused(&options);
    options = options_of(&shop, 1);
    options.struct_size--;
    assert_open_refused(&options);
    assert_open_refused(NULL);
    options = options_of(&shop, 1);
    assert_int_equal(larder_pool_open(&options, NULL), LARDER_BAD_ARGUMENT);
    assert_int_equal(shop.calls, 0);
}

static void larger_options_are_taken_when_their_tail_is_empty(void **state)
{
    (void)state;
    struct workshop shop;
    workshop_init(&shop);
    struct {
        struct larder_pool_options known;
        uint64_t unknown;
    } newer = {options_of(&shop, 1), 1};
    newer.known.struct_size = sizeof(newer);
    assert_open_refused(&newer.known);
    newer.unknown = 0;
    struct larder_pool *pool = NULL;
    assert_int_equal(larder_pool_open(&newer.known, &pool), LARDER_OK);
    close_pool(pool, &shop);
}

/* A size that no struct has is a mistake, whatever lies behind the options. */
static void options_of_more_than_64_kib_are_refused(void **state)
{
    static union {
        struct larder_pool_options options;
        char bytes[65537];
    } large;
    (void)state;
    struct workshop shop;
    workshop_init(&shop);
    large.options = options_of(&shop, 1);
    large.options.struct_size = sizeof(large.bytes);
    assert_open_refused(&large.options);
    assert_int_equal(shop.calls, 0);
}

static void memory_running_out_in_open_leaves_nothing_behind(void **state)
{
    (void)state;
    struct workshop shop;
    workshop_init(&shop);
    struct larder_pool_options options = options_of(&shop, 3);
    struct larder_pool *pool = NULL;
    enum larder_status status = LARDER_NO_MEMORY;
    int attempts = 0;
    for (; status != LARDER_OK; attempts++) {
        callocs = 0;
        failing = attempts;
        status = larder_pool_open(&options, &pool);
        failing = -1;
        assert_true(status == LARDER_OK || (status == LARDER_NO_MEMORY && pool == NULL));
        assert_int_equal(shop.created, status == LARDER_OK ? 3 : 0);
    }
    assert_true(attempts > 1);
    assert_true(callocs < attempts); /* success came when the failing one was not reached */
    close_pool(pool, &shop);
}

static void an_open_pool_never_allocates(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 64);
    struct thing *things[64];
    int before = callocs;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++)
            things[i] = take(pool);
        for (int i = 0; i < 64; i++)
            assert_int_equal(larder_pool_release(pool, things[i], i % 2), LARDER_OK);
    }
    assert_int_equal(callocs, before);
    close_pool(pool, &shop);
}

/* ---- lending ------------------------------------------------------------------------------- */

static void objects_are_lent_first_in_first_out(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 3);
    struct thing *one = take(pool), *two = take(pool), *three = take(pool);
    assert_int_equal(one->number, 1);
    assert_int_equal(two->number, 2);
    assert_int_equal(three->number, 3);
    give_back(pool, two);
    give_back(pool, three);
    give_back(pool, one);
    assert_ptr_equal(take(pool), two);
    give_back(pool, two);
    assert_ptr_equal(take(pool), three);
    assert_ptr_equal(take(pool), one);
    assert_ptr_equal(take(pool), two);
    give_back(pool, one);
    give_back(pool, two);
    give_back(pool, three);
    assert_int_equal(stats_of(pool).acquired, 7);
    close_pool(pool, &shop);
}

static void the_newest_are_lent_first_where_that_is_asked_for(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 3);
    larder_pool_lend_newest(pool);
    struct thing *one = take(pool);
    give_back(pool, one);
    assert_ptr_equal(take(pool), one);
    struct thing *two = take(pool), *three = take(pool);
    assert_int_equal(three->number, 3);
    give_back(pool, one);
    give_back(pool, three);
    assert_int_equal(larder_pool_release(pool, two, 1), LARDER_OK); /* the empty one comes last */
    assert_ptr_equal(take(pool), three);
    assert_ptr_equal(take(pool), one);
    struct thing *four = take(pool);
    assert_int_equal(four->number, 4);
    give_back(pool, one);
    give_back(pool, three);
    give_back(pool, four);
    close_pool(pool, &shop);
}

static void what_is_given_back_as_the_last_is_lent_after_all_that_is_idle(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 2);
    larder_pool_lend_newest(pool);
    struct thing *one = take(pool), *two = take(pool);
    give_back(pool, one);
    assert_int_equal(larder_pool_release_last(pool, two), LARDER_OK);
    assert_int_equal(larder_pool_release_last(pool, two), LARDER_BAD_ARGUMENT);
    assert_ptr_equal(take(pool), one);
    assert_ptr_equal(take(pool), two);
    give_back(pool, one);
    give_back(pool, two);
    close_pool(pool, &shop);
}

static void a_timeout_of_0_does_not_wait(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct thing *thing = take(pool);
    assert_refused(pool, LARDER_WOULD_BLOCK);
    assert_int_equal(stats_of(pool).timeouts, 0);
    give_back(pool, thing);
    assert_ptr_equal(take(pool), thing);
    give_back(pool, thing);
    close_pool(pool, &shop);
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    const uint64_t timeout_ms = 50, most_ms = 10 * timeout_ms; /* the machine may be busy */
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct thing *thing = take(pool);
    void *object = NULL;
    uint64_t start_ns = larder_monotonic_ns();
    assert_int_equal(larder_pool_acquire(pool, timeout_ms, &object), LARDER_TIMEOUT);
    uint64_t waited_ns = larder_monotonic_ns() - start_ns;
    assert_null(object);
    assert_true(waited_ns >= timeout_ms * 1000000);
    assert_true(waited_ns <= most_ms * 1000000);
    assert_int_equal(stats_of(pool).timeouts, 1);
    assert_int_equal(stats_of(pool).waiting, 0);
    give_back(pool, thing);
    assert_int_equal(stats_of(pool).idle, 1);
    close_pool(pool, &shop);
}

static void a_deadline_that_has_passed_takes_only_what_is_idle(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    void *object = NULL, *second = NULL;
    assert_int_equal(larder_pool_acquire_until(pool, 1, &object), LARDER_OK);
    assert_int_equal(larder_pool_acquire_until(pool, 1, &second), LARDER_TIMEOUT);
    assert_int_equal(larder_pool_acquire_until(pool, 0, &second), LARDER_WOULD_BLOCK);
    assert_null(second);
    give_back(pool, object);
    assert_int_equal(larder_pool_acquire_until(pool, LARDER_NEVER_NS, &object), LARDER_OK);
    give_back(pool, object);
    assert_int_equal(larder_pool_acquire(pool, LARDER_POOL_FOREVER, &object), LARDER_OK);
    give_back(pool, object);
    close_pool(pool, &shop);
}

static void *call_without_deadline(void *argument)
{
    struct caller *caller = argument;
    void *object = NULL;
    caller->status = larder_pool_acquire(caller->pool, LARDER_POOL_FOREVER, &object);
    return object;
}

static void a_waiter_without_a_deadline_is_served(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct thing *thing = take(pool);
    struct caller caller = {.pool = pool};
    void *object = NULL;
    assert_int_equal(pthread_create(&caller.thread, NULL, call_without_deadline, &caller), 0);
    wait_for_line(pool, 1);
    give_back(pool, thing);
    pthread_join(caller.thread, &object);
    assert_int_equal(caller.status, LARDER_OK);
    assert_ptr_equal(object, thing);
    give_back(pool, thing);
    close_pool(pool, &shop);
}

/* ---- the line ------------------------------------------------------------------------------ */

static void waiters_are_served_first_come_first_served(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct caller callers[LINE_LENGTH] = {0};
    _Atomic int served = 0;
    struct thing *thing = take(pool);
    for (int i = 0; i < LINE_LENGTH; i++)
        callers[i].broken = i % 3 == 0;
    line_up(pool, callers, LINE_LENGTH, &served);
    give_back(pool, thing);
    join_all(callers, LINE_LENGTH);
    for (int i = 0; i < LINE_LENGTH; i++) {
        assert_int_equal(callers[i].status, LARDER_OK);
        assert_int_equal(callers[i].served_as, i);
    }
    assert_int_equal(shop.alive_max, 1);
    close_pool(pool, &shop);
}

/* Takes its object and keeps it until the test is done looking. */
struct holder {
    struct caller caller;
    _Atomic int let_go;
};

static void *hold(void *argument)
{
    struct holder *holder = argument;
    void *object = NULL;
    holder->caller.status = larder_pool_acquire(holder->caller.pool, LONG_MS, &object);
    while (!holder->let_go)
        sched_yield();
    larder_pool_release(holder->caller.pool, object, 0);
    return NULL;
}

/* However late the waiter wakes up: what was released is its own from that moment. */
static void a_newcomer_does_not_overtake_a_waiter_that_still_sleeps(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    for (int round = 0; round < 200; round++) {
        struct holder holder = {.caller = {.pool = pool}};
        struct thing *thing = take(pool);
        assert_int_equal(pthread_create(&holder.caller.thread, NULL, hold, &holder), 0);
        wait_for_line(pool, 1);
        give_back(pool, thing);
        assert_refused(pool, LARDER_WOULD_BLOCK);
        assert_int_equal(stats_of(pool).waiting, 0);
        holder.let_go = 1;
        pthread_join(holder.caller.thread, NULL);
        assert_int_equal(holder.caller.status, LARDER_OK);
    }
    close_pool(pool, &shop);
}

struct returned {
    struct larder_pool *pool;
    struct thing *thing;
};

static void return_now(void *context)
{
    struct returned *returned = context;
    give_back(returned->pool, returned->thing);
}

static void an_object_handed_over_at_the_deadline_is_not_lost(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct returned returned = {pool, take(pool)};
    void *object = NULL;
    scene.action = return_now;
    scene.context = &returned;
    scene.result = ETIMEDOUT;
    assert_int_equal(larder_pool_acquire(pool, LONG_MS, &object), LARDER_OK);
    assert_ptr_equal(object, returned.thing);
    assert_int_equal(stats_of(pool).timeouts, 0);
    give_back(pool, object);
    assert_int_equal(stats_of(pool).idle, 1);
    close_pool(pool, &shop);
}

static void do_nothing(void *context)
{
    (void)context;
}

static void a_wake_up_for_nothing_goes_on_waiting(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct thing *thing = take(pool);
    void *object = NULL;
    uint64_t start_ns = larder_monotonic_ns();
    scene.action = do_nothing;
    scene.result = 0;
    assert_int_equal(larder_pool_acquire(pool, 10, &object), LARDER_TIMEOUT);
    assert_true(larder_monotonic_ns() - start_ns >= 10000000);
    give_back(pool, thing);
    close_pool(pool, &shop);
}

static void a_waiter_that_gave_up_leaves_the_line_to_the_others(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct caller callers[2] = {0};
    _Atomic int served = 0;
    struct thing *thing = take(pool);
    void *object = NULL;
    line_up(pool, callers, 2, &served);
    assert_int_equal(larder_pool_acquire(pool, 1, &object), LARDER_TIMEOUT);
    assert_int_equal(stats_of(pool).waiting, 2);
    give_back(pool, thing);
    join_all(callers, 2);
    assert_int_equal(callers[0].served_as, 0);
    assert_int_equal(callers[1].served_as, 1);
    close_pool(pool, &shop);
}

/* ---- what breaks --------------------------------------------------------------------------- */

static void a_broken_object_is_replaced_by_the_next_acquire(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    give_back_broken(pool, take(pool));
    assert_int_equal(shop.destroyed, 1);
    assert_int_equal(shop.calls, 1);
    assert_int_equal(stats_of(pool).idle, 1);
    assert_int_equal(stats_of(pool).empty, 1);
    struct thing *thing = take(pool);
    assert_int_equal(thing->number, 2);
    assert_int_equal(stats_of(pool).empty, 0);
    assert_int_equal(stats_of(pool).created, 2);
    assert_int_equal(shop.alive_max, 1);
    give_back(pool, thing);
    close_pool(pool, &shop);
}

static void a_failed_replacement_goes_behind_the_idle_objects(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 2);
    shop.fail_from = shop.fail_to = 3;
    struct thing *one = take(pool), *two = take(pool);
    give_back_broken(pool, one);
    give_back(pool, two);
    assert_refused(pool, LARDER_UNAVAILABLE);
    assert_int_equal(stats_of(pool).failed, 1);
    assert_int_equal(stats_of(pool).idle, 2);
    assert_int_equal(stats_of(pool).empty, 1);
    assert_ptr_equal(take(pool), two);
    struct thing *three = take(pool);
    assert_int_equal(three->number, 3);
    give_back(pool, two);
    give_back(pool, three);
    close_pool(pool, &shop);
}

/* One release of a broken object, then two failures: each passes the slot on, in order. */
static void a_failed_replacement_goes_to_the_next_waiter(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct caller callers[4] = {0};
    _Atomic int served = 0;
    struct thing *thing = take(pool);
    shop.fail_from = 2;
    shop.fail_to = 3;
    shop.caller_count = 0;
    line_up(pool, callers, 4, &served);
    give_back_broken(pool, thing);
    join_all(callers, 4);
    assert_int_equal(callers[0].status, LARDER_UNAVAILABLE);
    assert_int_equal(callers[1].status, LARDER_UNAVAILABLE);
    assert_int_equal(callers[2].status, LARDER_OK);
    assert_int_equal(callers[3].status, LARDER_OK);
    assert_int_equal(shop.caller_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(shop.callers[i], i);
    assert_int_equal(stats_of(pool).idle, 1);
    close_pool(pool, &shop);
}

static void a_release_of_what_is_not_on_loan_changes_nothing(void **state)
{
    (void)state;
    struct workshop shop, other_shop;
    struct larder_pool *pool = pool_of(&shop, 2), *other = pool_of(&other_shop, 1);
    struct thing *thing = take(pool), *foreign = take(other), stranger = {0};
    for (int broken = 0; broken <= 1; broken++) {
        assert_int_equal(larder_pool_release(pool, foreign, broken), LARDER_BAD_ARGUMENT);
        assert_int_equal(larder_pool_release(pool, &stranger, broken), LARDER_BAD_ARGUMENT);
        assert_int_equal(larder_pool_release(pool, NULL, broken), LARDER_BAD_ARGUMENT);
        assert_int_equal(larder_pool_release(NULL, thing, broken), LARDER_BAD_ARGUMENT);
    }
    give_back(pool, thing);
    assert_int_equal(larder_pool_release(pool, thing, 0), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_pool_release(pool, thing, 1), LARDER_BAD_ARGUMENT);
    assert_int_equal(stats_of(pool).idle, 2);
    assert_int_equal(stats_of(pool).empty, 0);
    assert_int_equal(shop.destroyed + other_shop.destroyed, 0);
    give_back(other, foreign);
    close_pool(other, &other_shop);
    close_pool(pool, &shop);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void shutdown_wakes_all_waiters(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 2);
    struct caller callers[LINE_LENGTH] = {0};
    _Atomic int served = 0;
    struct thing *one = take(pool), *two = take(pool);
    line_up(pool, callers, LINE_LENGTH, &served);
    larder_pool_shutdown(pool);
    join_all(callers, LINE_LENGTH);
    for (int i = 0; i < LINE_LENGTH; i++)
        assert_int_equal(callers[i].status, LARDER_CLOSED);
    assert_int_equal(stats_of(pool).waiting, 0);
    assert_int_equal(stats_of(pool).timeouts, 0);
    give_back(pool, one);
    give_back_broken(pool, two);
    assert_int_equal(shop.destroyed, 2);
    assert_refused(pool, LARDER_CLOSED);
    larder_pool_shutdown(pool);
    close_pool(pool, &shop);
}

static void shutdown_destroys_what_is_idle(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 4);
    struct thing *loan = take(pool);
    larder_pool_shutdown(pool);
    assert_int_equal(shop.destroyed, 3);
    assert_int_equal(stats_of(pool).idle, 3);
    assert_int_equal(stats_of(pool).empty, 3);
    larder_pool_shutdown(pool);
    assert_int_equal(shop.destroyed, 3);
    give_back(pool, loan);
    assert_int_equal(shop.destroyed, 4);
    close_pool(pool, &shop);
}

static void a_pool_that_is_null_is_harmless(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 1);
    struct larder_pool_figures stats = {.size = 1};
    assert_refused(NULL, LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_pool_acquire(pool, 0, NULL), LARDER_BAD_ARGUMENT);
    larder_pool_stats(NULL, &stats);
    assert_int_equal(stats.size, 0);
    larder_pool_stats(pool, NULL);
    larder_pool_shutdown(NULL);
    larder_pool_close(NULL);
    larder_pool_fork(NULL, LARDER_FORK_PREPARE);
    close_pool(pool, &shop);
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* In the child a failed assertion would run the parent's tests: it counts instead. */
static int failures_in_child(struct larder_pool *pool, struct workshop *shop, struct thing *loan)
{
    struct larder_pool_figures stats = stats_of(pool);
    int failures = stats.idle != 3 || stats.empty != 3 || stats.waiting != 0;
    for (int broken = 0; broken <= 1; broken++)
        failures += larder_pool_release(pool, loan, broken) != LARDER_BAD_ARGUMENT;
    void *objects[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++)
        failures += larder_pool_acquire(pool, 0, &objects[i]) != LARDER_OK || objects[i] == loan;
    failures += shop->created != 6;
    for (int i = 0; i < 3; i++)
        failures += larder_pool_release(pool, objects[i], 0) != LARDER_OK;
    failures += shop->destroyed != 0 || loan->number != 1;
    larder_pool_close(pool);
    failures += shop->destroyed != 3;
    return failures;
}

static int status_of_child(struct larder_pool *pool, struct workshop *shop, struct thing *loan)
{
    int status = -1;
    larder_pool_fork(pool, LARDER_FORK_PREPARE);
    pid_t child = fork();
    if (child == 0) {
        larder_pool_fork(pool, LARDER_FORK_CHILD);
        _exit(failures_in_child(pool, shop, loan));
    }
    larder_pool_fork(pool, LARDER_FORK_PARENT);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_forked_child_fills_the_pool_anew_and_touches_nothing_inherited(void **state)
{
    (void)state;
    struct workshop shop;
    struct larder_pool *pool = pool_of(&shop, 3);
    struct caller caller[1] = {0};
    _Atomic int served = 0;
    struct thing *one = take(pool), *two = take(pool), *three = take(pool);
    line_up(pool, caller, 1, &served);

    assert_int_equal(status_of_child(pool, &shop, one), 0);

    assert_int_equal(stats_of(pool).waiting, 1);
    give_back(pool, one);
    join_all(caller, 1);
    assert_int_equal(caller[0].status, LARDER_OK);
    give_back(pool, two);
    give_back(pool, three);
    assert_int_equal(shop.created, 3);
    close_pool(pool, &shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_creates_all_objects_at_once),
        cmocka_unit_test(a_factory_that_fails_at_creation_unwinds),
        cmocka_unit_test(a_factory_that_gives_no_object_is_out_of_memory),
        cmocka_unit_test(open_refuses_options_out_of_bounds),
        cmocka_unit_test(larger_options_are_taken_when_their_tail_is_empty),
        cmocka_unit_test(options_of_more_than_64_kib_are_refused),
        cmocka_unit_test(memory_running_out_in_open_leaves_nothing_behind),
        cmocka_unit_test(an_open_pool_never_allocates),
        cmocka_unit_test(objects_are_lent_first_in_first_out),
        cmocka_unit_test(the_newest_are_lent_first_where_that_is_asked_for),
        cmocka_unit_test(what_is_given_back_as_the_last_is_lent_after_all_that_is_idle),
        cmocka_unit_test(a_timeout_of_0_does_not_wait),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_deadline_that_has_passed_takes_only_what_is_idle),
        cmocka_unit_test(a_waiter_without_a_deadline_is_served),
        cmocka_unit_test(waiters_are_served_first_come_first_served),
        cmocka_unit_test(a_newcomer_does_not_overtake_a_waiter_that_still_sleeps),
        cmocka_unit_test(an_object_handed_over_at_the_deadline_is_not_lost),
        cmocka_unit_test(a_wake_up_for_nothing_goes_on_waiting),
        cmocka_unit_test(a_waiter_that_gave_up_leaves_the_line_to_the_others),
        cmocka_unit_test(a_broken_object_is_replaced_by_the_next_acquire),
        cmocka_unit_test(a_failed_replacement_goes_behind_the_idle_objects),
        cmocka_unit_test(a_failed_replacement_goes_to_the_next_waiter),
        cmocka_unit_test(a_release_of_what_is_not_on_loan_changes_nothing),
        cmocka_unit_test(shutdown_wakes_all_waiters),
        cmocka_unit_test(shutdown_destroys_what_is_idle),
        cmocka_unit_test(a_pool_that_is_null_is_harmless),
        cmocka_unit_test(a_forked_child_fills_the_pool_anew_and_touches_nothing_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
