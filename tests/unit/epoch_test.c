/* Epochs: what sections and calls keep, of which domain, and until when. */
#include "support.h"

#include <pthread.h>
#include <semaphore.h>

#include <larder/util/epoch.h>

/* A thread that is in a section or a call until it is told to leave. */
struct guest {
    struct larder_epoch *epoch;
    int calls; /* else it reads */
    pthread_t thread;
    sem_t is_in, leaves;
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) /* EINTR */
        continue;
}

static void *stay(void *context)
{
    struct guest *guest = context;
    struct larder_thread *thread = larder_thread();
    uint64_t outer = 0;
    if (guest->calls)
        outer = larder_call_begin(guest->epoch, thread);
    else
        larder_epoch_enter(guest->epoch, thread);
    sem_post(&guest->is_in);
    wait_for(&guest->leaves);
    if (guest->calls)
        larder_call_end(thread, outer);
    else
        larder_epoch_leave(thread);
    return NULL;
}

static void enter(struct guest *guest, struct larder_epoch *epoch, int calls)
{
    *guest = (struct guest){.epoch = epoch, .calls = calls};
    sem_init(&guest->is_in, 0, 0);
    sem_init(&guest->leaves, 0, 0);
    assert_int_equal(pthread_create(&guest->thread, NULL, stay, guest), 0);
    wait_for(&guest->is_in);
}

static void leave(struct guest *guest)
{
    sem_post(&guest->leaves);
    assert_int_equal(pthread_join(guest->thread, NULL), 0);
    sem_destroy(&guest->is_in);
    sem_destroy(&guest->leaves);
}

/* Whether what was unlinked in that epoch may go. */
static int may_go(struct larder_epoch *epoch, uint32_t number, int calls)
{
    larder_epoch_order(epoch, number);
    return larder_epoch_passed(number,
                               calls ? larder_calls_oldest(epoch) : larder_epoch_oldest(epoch));
}

static void what_was_there_before_is_kept_until_all_have_left(void **state)
{
    static struct larder_epoch epoch;
    static struct guest early, late;
    (void)state;
    larder_epoch_init(&epoch);
    for (int calls = 0; calls <= 1; calls++) {
        enter(&early, &epoch, calls);
        uint32_t number = larder_epoch_advance(&epoch);
        enter(&late, &epoch, calls);
        assert_false(may_go(&epoch, number, calls));
        leave(&early);
        assert_true(may_go(&epoch, number, calls));
        leave(&late);
    }
}

static void sections_and_calls_keep_nothing_of_each_other(void **state)
{
    static struct larder_epoch epoch;
    static struct guest guest;
    (void)state;
    larder_epoch_init(&epoch);
    for (int calls = 0; calls <= 1; calls++) {
        enter(&guest, &epoch, calls);
        uint32_t number = larder_epoch_advance(&epoch);
        assert_true(may_go(&epoch, number, !calls));
        assert_false(may_go(&epoch, number, calls));
        leave(&guest);
    }
}

static void another_domain_keeps_nothing(void **state)
{
    static struct larder_epoch epoch, other;
    static struct guest guest;
    (void)state;
    larder_epoch_init(&epoch);
    larder_epoch_init(&other);
    for (int calls = 0; calls <= 1; calls++) {
        enter(&guest, &other, calls);
        assert_true(may_go(&epoch, larder_epoch_advance(&epoch), calls));
        leave(&guest);
    }
}

/* Who asks is in a call, and looks at nothing. */
static void the_callers_own_call_keeps_nothing(void **state)
{
    struct larder_epoch epoch;
    (void)state;
    larder_epoch_init(&epoch);
    uint64_t outer = larder_call_begin(&epoch, larder_thread());
    assert_true(may_go(&epoch, larder_epoch_advance(&epoch), 1));
    assert_true(larder_calls_are_over(&epoch));
    larder_call_end(larder_thread(), outer);
}

static void calls_are_over_when_the_last_one_ends(void **state)
{
    static struct larder_epoch epoch;
    static struct guest guest;
    (void)state;
    larder_epoch_init(&epoch);
    enter(&guest, &epoch, 1);
    larder_epoch_advance(&epoch);
    assert_false(larder_calls_are_over(&epoch));
    leave(&guest);
    assert_true(larder_calls_are_over(&epoch));
}

/* A call that another one had hidden keeps what it kept, when that has ended. */
static void a_call_that_was_hidden_counts_again(void **state)
{
    static struct larder_epoch epoch, other;
    static struct guest guest;
    (void)state;
    larder_epoch_init(&epoch);
    larder_epoch_init(&other);
    enter(&guest, &epoch, 1);
    uint32_t number = larder_epoch_advance(&epoch);
    struct larder_thread *own = larder_thread();
    uint64_t outer = larder_call_begin(&epoch, own);
    uint64_t inner = larder_call_begin(&other, own);
    assert_int_equal(inner >> 32, atomic_load(&epoch.word) >> 32);
    larder_call_end(own, inner);
    assert_int_equal(atomic_load(&own->call), inner);
    larder_call_end(own, outer);
    assert_int_equal(atomic_load(&own->call), 0);
    assert_false(may_go(&epoch, number, 1));
    leave(&guest);
    assert_true(may_go(&epoch, number, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_there_before_is_kept_until_all_have_left),
        cmocka_unit_test(sections_and_calls_keep_nothing_of_each_other),
        cmocka_unit_test(another_domain_keeps_nothing),
        cmocka_unit_test(the_callers_own_call_keeps_nothing),
        cmocka_unit_test(calls_are_over_when_the_last_one_ends),
        cmocka_unit_test(a_call_that_was_hidden_counts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
