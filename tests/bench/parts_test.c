/* The parts of the benchmark that could be wrong without being noticed. */
#include "support.h"

#include <getopt.h>
#include <string.h>

#include "histogram.h"
#include "results.h"
#include "workload.h"

static void plan_of(struct plan *plan, unsigned keys, double theta)
{
    static char name[] = "bench", uri[] = "--uri", null[] = "null:";
    char *arguments[] = {name, uri, null, NULL};
    optind = 0; /* glibc: read from the start again */
    plan_read(plan, 3, arguments);
    plan->keys = keys;
    plan->theta = theta;
}

static void assert_draws(const uint32_t *expected, const struct plan *plan, unsigned thread,
                         enum workload_kind kind)
{
    struct workload workload;
    assert_true(workload_init(&workload, plan));
    assert_memory_equal(workload.texts + 32, "1d0b14e4db018fedb3466f8a7b81a989", 32);
    assert_memory_equal(workload.draw[thread][kind], expected, 8 * sizeof(*expected));
    workload_clean_up(&workload);
}

/* The first words of the files that the harness of the other caches reads. */
static void keys_and_draws_are_those_of_the_harness(void **state)
{
    (void)state;
    static const uint32_t zipf[] = {563997, 795765, 823317, 356582, 463009, 908389, 408181, 849455};
    static const uint32_t mix[] = {992795, 424805, 431935, 93879,
                                   495974, 808089, 917154, 2148431117};
    static const uint32_t uniform[] = {706648, 974126, 949658, 665495,
                                       493871, 211874, 869507, 279447};
    struct plan plan;
    plan_of(&plan, 1000000, 0.99);
    plan.threads[0] = 2;
    assert_draws(zipf, &plan, 0, WORKLOAD_PLAIN);
    assert_draws(mix, &plan, 1, WORKLOAD_MIX);
    plan.theta = 0;
    assert_draws(uniform, &plan, 0, WORKLOAD_PLAIN);
    plan_clean_up(&plan);
}

static void popular_keys_are_drawn_as_often_as_zipf_says(void **state)
{
    (void)state;
    struct plan plan;
    struct workload workload;
    unsigned counts[4] = {0}, most = 0;
    plan_of(&plan, 4, 1.0);
    assert_true(workload_init(&workload, &plan));
    for (size_t i = 0; i < workload.draws; i++)
        counts[workload.draw[0][WORKLOAD_PLAIN][i]]++;
    for (int i = 0; i < 4; i++)
        most = counts[i] > most ? counts[i] : most;
    /* 1 / (1 + 1/2 + 1/3 + 1/4) */
    assert_true(most > 0.47 * (double)workload.draws && most < 0.49 * (double)workload.draws);
    workload_clean_up(&workload);
    plan_clean_up(&plan);
}

static void one_draw_in_twenty_of_a_mix_is_a_set(void **state)
{
    (void)state;
    struct plan plan;
    struct workload workload;
    size_t sets = 0;
    plan_of(&plan, 1000, 0);
    assert_true(workload_init(&workload, &plan));
    for (size_t i = 0; i < workload.draws; i++)
        sets += workload.draw[0][WORKLOAD_MIX][i] >= WORKLOAD_SET;
    assert_true(sets > workload.draws / 21 && sets < workload.draws / 19);
    workload_clean_up(&workload);
    plan_clean_up(&plan);
}

static void short_keys_differ(void **state)
{
    (void)state;
    char one[8], other[8];
    workload_key(7, sizeof(one), one);
    workload_key(7 + (1 << 28), sizeof(other), other);
    assert_memory_not_equal(one, other, sizeof(one));
}

static void a_percentile_is_right_to_one_in_a_hundred(void **state)
{
    (void)state;
    static struct histogram histogram, upper;
    for (uint64_t i = 1; i <= 50000; i++)
        histogram_add(&histogram, i * 10);
    for (uint64_t i = 50001; i <= 100000; i++)
        histogram_add(&upper, i * 10);
    histogram_merge(&histogram, &upper);
    assert_int_equal(histogram.total, 100000);
    static const double quantiles[] = {0.5, 0.99, 0.999, 1};
    for (int i = 0; i < 4; i++) {
        double expected = quantiles[i] * 1e6;
        double found = (double)histogram_quantile(&histogram, quantiles[i]);
        assert_true(found > expected * 0.99 && found < expected * 1.01);
    }
}

static void small_and_huge_times_have_a_bucket(void **state)
{
    (void)state;
    static struct histogram histogram;
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1);
    histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram_quantile(&histogram, 0.3), 0);
    assert_int_equal(histogram_quantile(&histogram, 0.6), 1);
    assert_true(histogram_quantile(&histogram, 1) > UINT64_C(1) << 39);
}

static void every_bucket_is_followed_by_the_next(void **state)
{
    (void)state;
    size_t last = 0;
    for (uint64_t value = 0; value < 1 << 16; value++) {
        size_t bucket = histogram_bucket(value);
        assert_true(bucket == last || bucket == last + 1);
        last = bucket;
    }
    assert_int_equal(histogram_bucket((UINT64_C(1) << 40) - 1), HISTOGRAM_BUCKETS - 1);
}

static void a_median_of_an_even_number_lies_between(void **state)
{
    (void)state;
    static const double numbers[] = {4, 1, 3, 2};
    struct summary summary = summary_of(numbers, 4);
    assert_true(summary.median == 2.5 && summary.least == 1 && summary.most == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_draws_are_those_of_the_harness),
        cmocka_unit_test(popular_keys_are_drawn_as_often_as_zipf_says),
        cmocka_unit_test(one_draw_in_twenty_of_a_mix_is_a_set),
        cmocka_unit_test(short_keys_differ),
        cmocka_unit_test(a_percentile_is_right_to_one_in_a_hundred),
        cmocka_unit_test(small_and_huge_times_have_a_bucket),
        cmocka_unit_test(every_bucket_is_followed_by_the_next),
        cmocka_unit_test(a_median_of_an_even_number_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
