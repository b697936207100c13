/* Whether a server is up, in a time that the test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include <larder/util/markdown.h>

#define MS UINT64_C(1000000)
#define PERIOD_MS 1000u
#define CLAIM_MS 5000u

static struct larder_markdown markdown;
static uint64_t now_ns;
static uint64_t ticket;

static int open_markdown(void **state)
{
    (void)state;
    now_ns = 7000 * MS;
    return larder_markdown_init(&markdown, PERIOD_MS, CLAIM_MS);
}

static int close_markdown(void **state)
{
    (void)state;
    larder_markdown_clean_up(&markdown);
    return 0;
}

static enum larder_markdown_answer ask(void)
{
    return larder_markdown_ask(&markdown, now_ns, &ticket);
}

static void go_down(void)
{
    assert_int_equal(larder_markdown_failure(&markdown, 0, now_ns), 1);
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
}

static uint64_t become_prober(void)
{
    now_ns += PERIOD_MS * MS;
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
    assert_true(ticket != 0);
    return ticket;
}

static void a_server_is_up_at_first(void **state)
{
    (void)state;
    assert_true(larder_markdown_is_up(&markdown));
    assert_int_equal(ask(), LARDER_MARKDOWN_UP);
    assert_int_equal(ticket, 0);
}

static void a_refusal_marks_it_down_at_once(void **state)
{
    (void)state;
    go_down();
    assert_false(larder_markdown_is_up(&markdown));
    assert_int_equal(larder_markdown_failure(&markdown, 0, now_ns), 0);
}

static void three_timeouts_in_a_row_mark_it_down(void **state)
{
    (void)state;
    assert_int_equal(larder_markdown_timeout(&markdown, 0, now_ns), 0);
    assert_int_equal(larder_markdown_timeout(&markdown, 0, now_ns), 0);
    assert_int_equal(ask(), LARDER_MARKDOWN_UP);
    assert_int_equal(larder_markdown_timeout(&markdown, 0, now_ns), 1);
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
}

static void a_success_between_timeouts_starts_the_row_again(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(larder_markdown_timeout(&markdown, 0, now_ns), 0);
        assert_int_equal(larder_markdown_timeout(&markdown, 0, now_ns), 0);
        larder_markdown_success(&markdown, 0);
    }
    assert_int_equal(ask(), LARDER_MARKDOWN_UP);
}

static void each_period_has_one_prober(void **state)
{
    (void)state;
    go_down();
    now_ns += PERIOD_MS * MS - 1;
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
    now_ns += 1;
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
    uint64_t prober = ticket;
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
    assert_int_equal(larder_markdown_failure(&markdown, prober, now_ns), 0);
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
    become_prober();
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
}

static void a_probe_that_succeeds_brings_it_back(void **state)
{
    (void)state;
    go_down();
    larder_markdown_success(&markdown, become_prober());
    assert_true(larder_markdown_is_up(&markdown));
    assert_int_equal(ask(), LARDER_MARKDOWN_UP);
}

static void a_call_from_before_does_not_bring_it_back(void **state)
{
    (void)state;
    go_down();
    larder_markdown_success(&markdown, 0);
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
}

static void a_call_from_before_does_not_put_the_probe_off(void **state)
{
    (void)state;
    go_down();
    now_ns += PERIOD_MS * MS;
    larder_markdown_failure(&markdown, 0, now_ns);
    larder_markdown_timeout(&markdown, 0, now_ns);
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
}

static void a_prober_that_died_loses_its_claim(void **state)
{
    (void)state;
    go_down();
    uint64_t dead = become_prober();
    now_ns += CLAIM_MS * MS - 1;
    assert_int_equal(ask(), LARDER_MARKDOWN_DOWN);
    now_ns += 1;
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
    uint64_t second = ticket;
    assert_true(second != dead);
    /* and changes nothing when it reports after all */
    now_ns += 1;
    larder_markdown_failure(&markdown, dead, now_ns);
    larder_markdown_failure(&markdown, second, now_ns);
    now_ns += PERIOD_MS * MS;
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
}

static void a_prober_that_never_spoke_hands_its_claim_on(void **state)
{
    (void)state;
    go_down();
    larder_markdown_abandon(&markdown, become_prober(), now_ns);
    assert_int_equal(ask(), LARDER_MARKDOWN_PROBE);
}

static void figures_count_markdowns_and_probes(void **state)
{
    (void)state;
    struct larder_markdown_figures figures;
    go_down();
    larder_markdown_success(&markdown, become_prober());
    go_down();
    larder_markdown_read(&markdown, &figures);
    assert_int_equal(figures.down, 1);
    assert_int_equal(figures.markdowns, 2);
    assert_int_equal(figures.probes, 1);
}

#define ASKERS 8

static _Atomic unsigned probers;

static void *ask_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        uint64_t own;
        if (larder_markdown_ask(&markdown, now_ns, &own) == LARDER_MARKDOWN_PROBE)
            probers++;
    }
    return NULL;
}

static void of_many_askers_one_probes(void **state)
{
    (void)state;
    pthread_t threads[ASKERS];
    go_down();
    now_ns += PERIOD_MS * MS;
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(probers, 1);
}

static void a_follower_knows_what_the_older_one_knew(void **state)
{
    (void)state;
    struct larder_markdown follower;
    go_down();
    uint64_t prober = become_prober(); /* whose report is the older one's alone */
    assert_int_equal(larder_markdown_init(&follower, 2 * PERIOD_MS, CLAIM_MS), 0);
    larder_markdown_follow(&follower, &markdown, now_ns);
    larder_markdown_success(&markdown, prober);
    assert_false(larder_markdown_is_up(&follower));
    assert_int_equal(larder_markdown_ask(&follower, now_ns + 2 * PERIOD_MS * MS - 1, &ticket),
                     LARDER_MARKDOWN_DOWN);
    assert_int_equal(larder_markdown_ask(&follower, now_ns + 2 * PERIOD_MS * MS, &ticket),
                     LARDER_MARKDOWN_PROBE);
    larder_markdown_success(&follower, ticket);
    assert_true(larder_markdown_is_up(&follower));
    struct larder_markdown_figures figures;
    larder_markdown_read(&follower, &figures);
    assert_int_equal(figures.markdowns, 1);
    assert_int_equal(figures.probes, 2);
    larder_markdown_clean_up(&follower);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_markdown, close_markdown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_is_up_at_first),
        TEST(a_follower_knows_what_the_older_one_knew),
        TEST(a_refusal_marks_it_down_at_once),
        TEST(three_timeouts_in_a_row_mark_it_down),
        TEST(a_success_between_timeouts_starts_the_row_again),
        TEST(each_period_has_one_prober),
        TEST(a_probe_that_succeeds_brings_it_back),
        TEST(a_call_from_before_does_not_bring_it_back),
        TEST(a_call_from_before_does_not_put_the_probe_off),
        TEST(a_prober_that_died_loses_its_claim),
        TEST(a_prober_that_never_spoke_hands_its_claim_on),
        TEST(figures_count_markdowns_and_probes),
        TEST(of_many_askers_one_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
