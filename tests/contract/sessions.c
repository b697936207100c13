/* Sessions: a handle for a block of calls, like any other handle; free where nothing is pooled. */
#include "contract.h"

#include <larder/util/deadline.h>

#include <time.h>

static int is_pooled(const struct fixture *fixture)
{
    return (fixture->traits->promises & LARDER_POOLED) != 0;
}

static void a_session_works_like_its_cache(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_cache *session = NULL;
    struct larder_value value = {0};
    enum larder_status hit = subject_is_null(fixture->subject) ? LARDER_MISS : LARDER_OK;
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 2000, 0, &session));
    expect_that(fixture, session != NULL && session != fixture->handle);
    expect(fixture, LARDER_OK, larder_set(session, there, larder_text("v"), 0));
    expect(fixture, hit, larder_get(session, there, &value));
    larder_value_release(&value);
    expect(fixture, hit, larder_get(fixture->handle, there, &value));
    larder_release(session);
    if (hit == LARDER_OK)
        expect_slice(fixture, larder_text("v"), value.bytes);
    larder_value_release(&value);
    if (hit == LARDER_OK)
        expect_text(fixture, there, "v");
}

static void a_session_describes_its_cache(struct fixture *fixture)
{
    struct larder_cache *session = NULL;
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 0, 0, &session));
    expect_number(fixture, larder_describe(fixture->handle)->can, larder_describe(session)->can);
    larder_release(session);
}

static void sessions_are_taken_and_given_back_often(struct fixture *fixture)
{
    struct larder_cache *session = NULL;
    for (unsigned i = 0; i < 200; i++) {
        expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 1000, 0, &session));
        expect_that(fixture,
                    larder_set(session, key(fixture, "k"), larder_text("v"), 0) == LARDER_OK);
        larder_release(session);
    }
}

static void close_and_shutdown_of_a_session_do_nothing(struct fixture *fixture)
{
    struct larder_cache *session = NULL;
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 0, 0, &session));
    larder_shutdown(session);
    larder_close(session);
    expect(fixture, LARDER_OK, larder_set(session, key(fixture, "k"), larder_text("v"), 0));
    larder_release(session);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), larder_text("v"), 0));
}

static void release_of_what_is_no_session_does_nothing(struct fixture *fixture)
{
    larder_release(NULL);
    larder_release(fixture->handle);
    larder_release(fixture->owner);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), larder_text("v"), 0));
}

static void a_session_whose_budget_is_spent_times_out(struct fixture *fixture)
{
    struct larder_cache *session = NULL;
    struct larder_slice there = key(fixture, "k");
    struct timespec rest = {0, 30 * 1000000};
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 20, 0, &session));
    nanosleep(&rest, NULL);
    enum larder_status status = larder_set(session, there, larder_text("v"), 0);
    larder_release(session);
    if ((fixture->traits->promises & LARDER_NEVER_BLOCKS) != 0)
        expect_that(fixture, status == LARDER_OK || status == LARDER_TIMEOUT);
    else
        expect(fixture, LARDER_TIMEOUT, status);
    if (status == LARDER_TIMEOUT && !subject_is_null(fixture->subject))
        expect_none(fixture, there, LARDER_MISS);
}

static void no_wait_never_waits_in_memory(struct fixture *fixture)
{
    struct larder_cache *session = NULL;
    if ((fixture->traits->promises & LARDER_NEVER_BLOCKS) == 0) {
        leave_out(fixture, "traits lack NEVER_BLOCKS");
        return;
    }
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 0, LARDER_NO_WAIT, &session));
    expect(fixture, LARDER_OK, larder_set(session, key(fixture, "k"), larder_text("v"), 0));
    larder_release(session);
}

/* Takes the members that are left (a subject that is a session has one), then asks for one more. */
static void an_empty_pool_refuses_in_time(struct fixture *fixture)
{
    struct larder_cache *taken[8] = {NULL}, *more = fixture->cache;
    unsigned count = 0;
    if (!is_pooled(fixture)) {
        leave_out(fixture, "traits lack POOLED");
        return;
    }
    while (count < 8 && larder_acquire(fixture->handle, 100, 0, &taken[count]) == LARDER_OK)
        count++;
    expect_number(fixture, subject_is_session(fixture->subject) ? 2 : 3, count);
    uint64_t before = larder_monotonic_ns();
    expect(fixture, LARDER_TIMEOUT, larder_acquire(fixture->handle, 100, 0, &more));
    expect_that(fixture, more == NULL);
    uint64_t waited_ms = (larder_monotonic_ns() - before) / 1000000;
    expect_that(fixture, waited_ms >= 99 && waited_ms < 2000);
    expect(fixture, LARDER_WOULD_BLOCK,
           larder_acquire(fixture->handle, 100, LARDER_NO_WAIT, &more));
    while (count > 0)
        larder_release(taken[--count]);
    expect(fixture, LARDER_OK, larder_acquire(fixture->handle, 100, 0, &more));
    larder_release(more);
}

static void session_arguments_are_checked(struct fixture *fixture)
{
    struct larder_cache *session = fixture->cache;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_acquire(fixture->handle, 0, 0, NULL));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_acquire(NULL, 0, 0, &session));
    expect_that(fixture, session == NULL);
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_acquire(fixture->handle, 0, LARDER_NO_REPLY, &session));
    expect(fixture, LARDER_BAD_ARGUMENT, larder_acquire(fixture->handle, 0, 0x80u, &session));
    expect_that(fixture, session == NULL);
}

const struct contract_test session_tests[] = {
    CONTRACT_TEST(a_session_works_like_its_cache),
    CONTRACT_TEST(a_session_describes_its_cache),
    CONTRACT_TEST(sessions_are_taken_and_given_back_often),
    CONTRACT_TEST(close_and_shutdown_of_a_session_do_nothing),
    CONTRACT_TEST(release_of_what_is_no_session_does_nothing),
    CONTRACT_TEST(a_session_whose_budget_is_spent_times_out),
    CONTRACT_TEST(no_wait_never_waits_in_memory),
    CONTRACT_TEST(an_empty_pool_refuses_in_time),
    CONTRACT_TEST(session_arguments_are_checked),
    CONTRACT_TESTS_END,
};
