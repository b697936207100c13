/*
 * Runs the contract suite on the subjects named on the command line, or on all of them.
 *
 *     contract_test [SUBJECT...]
 */
#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memcached_server.h"

#define TESTS_MAX 400

/* One row of the run: a test on a subject, or something that ages on the subject's old fixture. */
struct running {
    const struct subject *subject;
    struct contract_test test;
    const struct ageing *ageing;
    struct fixture fixture;
};

static struct running runs[TESTS_MAX];
static struct CMUnitTest tests[TESTS_MAX];
static size_t run_count;
/* Planted before the first test, looked at after the last; on a server that nobody flushes. */
static struct fixture old;

static int is_left_out(const struct subject *subject, const char *test)
{
    const char *reason = reason_to_leave_out(subject, test);
    if (reason != NULL)
        printf("left out: %s: %s: %s\n", subject->name, test, reason);
    return reason != NULL;
}

static int open_fixture(void **state)
{
    struct running *running = *state;
    fixture_open(&running->fixture, running->subject, running->test.name, NULL);
    return 0;
}

static void run_one(void **state)
{
    struct running *running = *state;
    running->test.run(&running->fixture);
    fixture_check(&running->fixture);
}

static int close_fixture(void **state)
{
    struct running *running = *state;
    fixture_close(&running->fixture);
    return 0;
}

static void plant_ageings(void **state)
{
    (void)state;
    for (const struct ageing *ageing = ageings; ageing->name != NULL; ageing++) {
        old.test = ageing->name;
        if (!is_left_out(old.subject, ageing->name))
            ageing->plant(&old);
    }
}

static void let_it_age(void **state)
{
    (void)state;
    fixture_wait(&old, ageing_ms(&old));
}

static void check_ageing(void **state)
{
    struct running *running = *state;
    old.test = running->ageing->name;
    running->ageing->check(&old);
}

static void witness_of_ageing(void **state)
{
    (void)state;
    old.test = "the_witness_does_not_age";
    fixture_check(&old);
}

static struct running *add_run(const char *name, const struct subject *subject,
                               CMUnitTestFunction run)
{
    if (run_count == TESTS_MAX) {
        fprintf(stderr, "more than %d tests: raise TESTS_MAX\n", TESTS_MAX);
        exit(1);
    }
    struct running *running = &runs[run_count];
    memset(running, 0, sizeof(*running));
    running->subject = subject;
    running->test.name = name;
    tests[run_count] = (struct CMUnitTest){name, run, NULL, NULL, running};
    run_count++;
    return running;
}

static void add_tests(const struct contract_test *table, const struct subject *subject)
{
    for (; table->name != NULL; table++) {
        size_t at = run_count;
        if (is_left_out(subject, table->name))
            continue;
        add_run(table->name, subject, run_one)->test = *table;
        tests[at].setup_func = open_fixture;
        tests[at].teardown_func = close_fixture;
    }
}

static void add_suite(const struct subject *subject)
{
    add_run("everything_that_ages_is_planted", subject, plant_ageings);
    add_tests(state_tests, subject);
    add_tests(value_tests, subject);
    add_tests(version_tests, subject);
    add_tests(ttl_tests, subject);
    add_tests(counter_tests, subject);
    add_tests(key_tests, subject);
    add_tests(lease_tests, subject);
    add_tests(many_tests, subject);
    add_tests(whole_tests, subject);
    add_run("time_passes", subject, let_it_age);
    for (const struct ageing *ageing = ageings; ageing->name != NULL; ageing++)
        if (reason_to_leave_out(subject, ageing->name) == NULL)
            add_run(ageing->name, subject, check_ageing)->ageing = ageing;
    add_run("the_witness_does_not_age", subject, witness_of_ageing);
}

static int run_subject(const struct subject *subject)
{
    run_count = 0;
    add_tests(matrix_tests, subject);
    add_tests(argument_tests, subject);
    add_tests(call_tests, subject);
    add_tests(session_tests, subject);
    add_tests(ending_tests, subject);
    if (subject_is_null(subject))
        add_tests(null_tests, subject);
    else
        add_suite(subject);
    struct memcached_server *server =
        subject_has_server(subject) ? memcached_server_start(NULL) : NULL;
    fixture_open_at(&old, subject, "ageing", NULL,
                    (struct server_use){server != NULL ? memcached_server_path(server) : NULL, 0});
    int failed = _cmocka_run_group_tests(subject->name, tests, run_count, NULL, NULL);
    fixture_close(&old);
    memcached_server_stop(server);
    return failed;
}

int main(int count, char **names)
{
    int failed = 0;
    for (int i = 1; i < count; i++) {
        const struct subject *subject = subject_named(names[i]);
        if (subject == NULL) {
            fprintf(stderr, "no subject is called %s\n", names[i]);
            return 2;
        }
        failed += run_subject(subject);
    }
    for (size_t i = 0; count < 2 && i < contract_subject_count; i++)
        failed += run_subject(&contract_subjects[i]);
    return failed == 0 ? 0 : 1;
}
