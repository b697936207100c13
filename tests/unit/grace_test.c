/* Grace: what is retired is given out when no visit of before is under way, and nobody holds it. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

#include <larder/util/epoch.h>
#include "grace.h"

static const struct larder_cache client = {.kind = HANDLE_CLIENT};
static const struct larder_cache leaf = {.kind = HANDLE_LEAF};

struct thing {
    struct retiree retiree; /* first */
    int freed;
};

static void thing_free(struct retiree *retiree)
{
    ((struct thing *)(void *)retiree)->freed++;
}

static void retire(struct retired *retired, struct thing *thing)
{
    larder__retire_locked(retired, &thing->retiree, thing_free);
}

static void reclaim(struct retired *retired)
{
    larder__retirees_free(larder__reclaim_locked(retired));
}

static void what_is_retired_waits_for_visits_of_before(void **state)
{
    struct retired retired = {NULL, 0, 9};
    struct thing first = {0}, second = {0};
    (void)state;
    struct larder_thread *visit = larder__visit_begin(&client);
    assert_non_null(visit);
    retire(&retired, &first);
    reclaim(&retired);
    assert_int_equal(first.freed, 0);
    assert_int_equal(retired.count, 1);
    larder__visit_end(&visit);
    visit = larder__visit_begin(&client); /* began after the first was retired */
    retire(&retired, &second);
    reclaim(&retired);
    assert_int_equal(first.freed, 1);
    assert_int_equal(second.freed, 0);
    larder__visit_end(&visit);
    reclaim(&retired);
    assert_int_equal(second.freed, 1);
    assert_int_equal(retired.count, 0);
}

static void a_visit_within_a_visit_is_a_part_of_it(void **state)
{
    struct retired retired = {NULL, 0, 9};
    struct thing thing = {0};
    (void)state;
    struct larder_thread *outer = larder__visit_begin(&client);
    retire(&retired, &thing);
    struct larder_thread *inner = larder__visit_begin(&client);
    assert_null(inner);
    larder__visit_end(&inner);
    reclaim(&retired);
    assert_int_equal(thing.freed, 0);
    larder__visit_end(&outer);
    reclaim(&retired);
    assert_int_equal(thing.freed, 1);
}

static void calls_on_a_leaf_are_no_visits(void **state)
{
    (void)state;
    assert_null(larder__visit_begin(&leaf));
    assert_null(larder__visit_begin(NULL));
}

static void what_somebody_holds_waits_for_him(void **state)
{
    struct retired retired = {NULL, 0, 9};
    struct thing held = {0}, other = {0};
    (void)state;
    larder__hold(&held.retiree);
    larder__hold(&held.retiree);
    retire(&retired, &held);
    retire(&retired, &other);
    larder__let_go(&held.retiree);
    reclaim(&retired);
    assert_int_equal(held.freed, 0);
    assert_int_equal(other.freed, 1);
    larder__let_go(&held.retiree);
    reclaim(&retired);
    assert_int_equal(held.freed, 1);
    larder__hold(NULL); /* a leaf has nothing to hold */
    larder__let_go(NULL);
}

/* ---- more threads than there are records ----------------------------------------------------- */

static int allocation_fails; /* set while one thread runs that allocates */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return allocation_fails ? NULL : __real_aligned_alloc(alignment, size);
}

static pthread_barrier_t all_have_records, all_may_leave;

static void *hold_record(void *has_one)
{
    *(int *)has_one = larder_thread() != NULL;
    pthread_barrier_wait(&all_have_records);
    pthread_barrier_wait(&all_may_leave);
    return NULL;
}

static void *visit_without_record(void *freed_meanwhile)
{
    struct retired retired = {NULL, 0, 9};
    struct thing thing = {0};
    struct larder_thread *visit = larder__visit_begin(&client);
    retire(&retired, &thing);
    reclaim(&retired);
    *(int *)freed_meanwhile = thing.freed;
    int is_stranger = visit == &larder__stranger;
    larder__visit_end(&visit);
    reclaim(&retired);
    return is_stranger && thing.freed == 1 ? NULL : freed_meanwhile;
}

static void a_thread_without_a_record_is_waited_for(void **state)
{
    enum { RECORDS = LARDER_THREAD_CELLS };
    pthread_t threads[RECORDS], stranger;
    int has[RECORDS], freed_meanwhile = 1;
    void *failed;
    (void)state;
    pthread_barrier_init(&all_have_records, NULL, RECORDS + 1);
    pthread_barrier_init(&all_may_leave, NULL, RECORDS + 1);
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_record, &has[i]), 0);
    pthread_barrier_wait(&all_have_records);
    allocation_fails = 1;
    assert_int_equal(pthread_create(&stranger, NULL, visit_without_record, &freed_meanwhile), 0);
    assert_int_equal(pthread_join(stranger, &failed), 0);
    allocation_fails = 0;
    pthread_barrier_wait(&all_may_leave);
    for (int i = 0; i < RECORDS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(has[i]);
    }
    assert_null(failed);
    assert_int_equal(freed_meanwhile, 0);
}

static int prepare(void **state)
{
    (void)state;
    larder__grace_prepare();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_retired_waits_for_visits_of_before),
        cmocka_unit_test(a_visit_within_a_visit_is_a_part_of_it),
        cmocka_unit_test(calls_on_a_leaf_are_no_visits),
        cmocka_unit_test(what_somebody_holds_waits_for_him),
        cmocka_unit_test(a_thread_without_a_record_is_waited_for),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
