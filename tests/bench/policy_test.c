/* The policies on sequences that can be followed by hand, and what feeds them. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "policy/ghost.h"
#include "policy/policy.h"
#include "policy/sketch.h"
#include "replay.h"
#include "trace.h"

#define LETTERS 26
#define LENGTH_MAX 256

static const uint32_t ones[LETTERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Each letter is an object. The outcome has a letter for each request: h for a hit, m for a miss.
 */
static const char *outcome_of(const struct policy *policy, uint64_t capacity, const char *sequence,
                              const uint32_t *weights)
{
    static char outcome[LENGTH_MAX];
    uint32_t next[LENGTH_MAX], later[LETTERS];
    size_t length = strlen(sequence);
    memset(later, 0xff, sizeof(later));
    for (size_t i = length; i-- > 0;) {
        next[i] = later[sequence[i] - 'a'];
        later[sequence[i] - 'a'] = (uint32_t)i;
    }
    struct policy_input input = {LETTERS, weights, capacity, (uint32_t)capacity, next};
    void *self = policy->open(&input);
    assert_non_null(self);
    for (size_t i = 0; i < length; i++)
        outcome[i] = policy->ask(self, (uint32_t)(sequence[i] - 'a'), i) ? 'h' : 'm';
    outcome[length] = '\0';
    policy->close(self);
    return outcome;
}

static unsigned misses_of(const struct policy *policy, uint64_t capacity, const char *sequence)
{
    unsigned misses = 0;
    for (const char *at = outcome_of(policy, capacity, sequence, ones); *at != '\0'; at++)
        misses += *at == 'm';
    return misses;
}

static int ends_with_a_hit(const struct policy *policy, uint64_t capacity, const char *sequence)
{
    const char *outcome = outcome_of(policy, capacity, sequence, ones);
    return outcome[strlen(outcome) - 1] == 'h';
}

/* ---- policies ------------------------------------------------------------------------------ */

/* The sequence of Belady's anomaly, and how often its pages fault in text books. */
static void textbook_faults_are_those_of_the_textbooks(void **state)
{
    (void)state;
    static const char anomaly[] = "abcdabeabcde";
    assert_int_equal(misses_of(&policy_fifo, 3, anomaly), 9);
    assert_int_equal(misses_of(&policy_fifo, 4, anomaly), 10);
    assert_int_equal(misses_of(&policy_lru, 3, anomaly), 10);
    assert_int_equal(misses_of(&policy_lru, 4, anomaly), 8);
    assert_int_equal(misses_of(&policy_belady, 3, anomaly), 7);
    assert_int_equal(misses_of(&policy_belady, 4, anomaly), 6);
}

static void a_hit_moves_nothing_in_fifo_and_to_the_front_in_lru(void **state)
{
    (void)state;
    assert_string_equal(outcome_of(&policy_fifo, 3, "abcadab", ones), "mmmhmmm");
    assert_string_equal(outcome_of(&policy_lru, 3, "abcadab", ones), "mmmhmhm");
}

static void weights_decide_how_many_go(void **state)
{
    (void)state;
    uint32_t weights[LETTERS] = {6, 3, 1, 9};
    assert_string_equal(outcome_of(&policy_fifo, 10, "abcabcdcb", weights), "mmmhhhmhm");
    assert_string_equal(outcome_of(&policy_belady, 10, "abcabcdcb", weights), "mmmhhhmhm");
}

/* d clears a's bit and drops b; e goes on from there and drops c. CLOCK and LRU would drop a. */
static void the_hand_of_sieve_goes_on_where_it_stopped(void **state)
{
    (void)state;
    assert_string_equal(outcome_of(&policy_sieve, 3, "aabcdea", ones), "mhmmmmh");
    assert_string_equal(outcome_of(&policy_sieve, 3, "aabcdeb", ones), "mhmmmmm");
    assert_string_equal(outcome_of(&policy_lru, 3, "aabcdea", ones), "mhmmmmm");
    /* past the newest it begins at the oldest again */
    assert_string_equal(outcome_of(&policy_sieve, 2, "aabca", ones), "mhmmh");
    assert_string_equal(outcome_of(&policy_sieve, 2, "aabcda", ones), "mhmmmm");
}

static void s3fifo_promotes_at_the_second_hit(void **state)
{
    (void)state;
    assert_true(ends_with_a_hit(&policy_s3fifo, 10, "aaabcdefghijklmnopqrstuvwxyza"));
    assert_false(ends_with_a_hit(&policy_s3fifo, 10, "aabcdefghijka"));
}

static void s3fifo_takes_what_its_ghost_knows_into_the_main_queue(void **state)
{
    (void)state;
    /* f to i drop a to d, which are what a ghost of four knows: a comes back into main to stay */
    assert_true(ends_with_a_hit(&policy_s3fifo, 5, "abcdefghiajklmnopqrsa"));
    /* j drops e as well, and a is forgotten: it comes back into the small queue */
    assert_false(ends_with_a_hit(&policy_s3fifo, 5, "abcdefghijaklmnopqrsta"));
}

/* Two hits bring a and b into main, and a goes at once for c. d comes back from the ghost, so that
 * main is full and f needs room there: b goes, or d, if b had a hit. */
static void s3fifo_gives_main_a_chance_for_each_hit(void **state)
{
    (void)state;
    assert_string_equal(outcome_of(&policy_s3fifo, 2, "aaabbbcbdedfb", ones), "mhhmhhmhmmmmh");
    assert_string_equal(outcome_of(&policy_s3fifo, 2, "aaabbbcdedfb", ones), "mhhmhhmmmmmm");
}

static void tinylfu_refuses_what_is_asked_for_less_often(void **state)
{
    (void)state;
    static const char known[] = "abcdefghiabcdefghiklmnopqrstabcdefghi";
    const char *outcome = outcome_of(&policy_tinylfu_10, 10, known, ones);
    assert_string_equal(outcome + strlen(outcome) - 9, "hhhhhhhhh");
    outcome = outcome_of(&policy_lru, 10, known, ones);
    assert_string_equal(outcome + strlen(outcome) - 9, "mmmmmmmmm");
}

static void tinylfu_admits_what_is_asked_for_more_often(void **state)
{
    (void)state;
    assert_true(ends_with_a_hit(&policy_tinylfu_10, 10, "abcdefghiabcdefghizzzzkz"));
    /* a tie is the victim's */
    assert_false(ends_with_a_hit(&policy_tinylfu_10, 10, "abcdefghiabcdefghizzkz"));
}

/* Of 10 objects 9 are in main by two hits each: a scan of any length leaves them there. */
static void a_scan_passes_segments_by(void **state)
{
    (void)state;
    assert_true(ends_with_a_hit(&policy_segments, 10, "aaabcdefghijklmnopqrstuvwxyza"));
    assert_false(ends_with_a_hit(&policy_segments, 10, "aabcdefghijklmnopqrstuvwxyza"));
}

static void what_comes_back_stays_in_segments(void **state)
{
    (void)state;
    assert_true(ends_with_a_hit(&policy_segments, 10, "abcdefghijkalmnopqrstuvwxyza"));
}

static void every_policy_keeps_all_when_all_fits(void **state)
{
    (void)state;
    static const struct policy *const all[] = {&policy_fifo,  &policy_lru,    &policy_s3fifo,
                                               &policy_sieve, &policy_belady, &policy_segments};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        assert_string_equal(outcome_of(all[i], 5, "abcdeabcde", ones), "mmmmmhhhhh");
}

/* ---- their parts --------------------------------------------------------------------------- */

static void a_sketch_counts_to_fifteen_and_fades(void **state)
{
    (void)state;
    struct sketch sketch;
    assert_true(sketch_init(&sketch, 4));
    for (unsigned i = 1; i <= 20; i++) {
        sketch_add(&sketch, 7);
        assert_int_equal(sketch_of(&sketch, 7), i < 15 ? i : 15);
    }
    assert_int_equal(sketch_of(&sketch, 8), 0);
    for (unsigned i = 20; i < 39; i++)
        sketch_add(&sketch, 9);
    assert_int_equal(sketch_of(&sketch, 7), 15);
    sketch_add(&sketch, 9); /* the fortieth: ten for each entry */
    assert_int_equal(sketch_of(&sketch, 7), 7);
    sketch_clean_up(&sketch);
}

static void a_ghost_tells_what_it_was_told(void **state)
{
    (void)state;
    struct ghost ghost;
    struct ghost_entry entry = {.kind = GHOST_DROPPED, .history = 7};
    assert_true(ghost_init(&ghost, 100));
    assert_int_equal(ghost.count, 4);
    ghost_put(&ghost, 5, &entry);
    entry = (struct ghost_entry){0};
    assert_false(ghost_take(&ghost, 6, &entry));
    assert_true(ghost_take(&ghost, 5, &entry));
    assert_int_equal(entry.kind, GHOST_DROPPED);
    assert_int_equal(entry.history, 7);
    assert_int_equal(entry.age, 0);
    assert_false(ghost_take(&ghost, 5, &entry));
    ghost_clean_up(&ghost);
}

static void a_ghost_forgets_the_oldest_of_a_bucket(void **state)
{
    (void)state;
    struct ghost ghost;
    struct ghost_entry entry = {.kind = GHOST_COLD, .history = 1};
    assert_true(ghost_init(&ghost, GHOST_RING));
    assert_int_equal(ghost.count, 1);
    for (uint32_t object = 0; object <= GHOST_RING; object++)
        ghost_put(&ghost, object, &entry);
    assert_false(ghost_take(&ghost, 0, &entry));
    assert_true(ghost_take(&ghost, 1, &entry));
    assert_int_equal(entry.age, GHOST_RING - 1);
    ghost_clean_up(&ghost);
}

/* ---- traces -------------------------------------------------------------------------------- */

static void write_record(FILE *file, uint64_t object, uint32_t size)
{
    unsigned char record[24] = {0};
    for (int i = 0; i < 8; i++)
        record[4 + i] = (unsigned char)(object >> (8 * i));
    for (int i = 0; i < 4; i++)
        record[12 + i] = (unsigned char)(size >> (8 * i));
    assert_int_equal(fwrite(record, sizeof(record), 1, file), 1);
}

static FILE *file_of_three(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    write_record(file, UINT64_C(0xfedcba9876543210), 512);
    write_record(file, 3, 0);
    write_record(file, UINT64_C(0xfedcba9876543210), 99);
    rewind(file);
    return file;
}

static void a_trace_numbers_its_objects_and_knows_when_they_come_again(void **state)
{
    (void)state;
    struct trace trace;
    const char *message;
    FILE *file = file_of_three();
    assert_true(trace_read(&trace, file, 1, &message));
    fclose(file);
    assert_int_equal(trace.requests, 3);
    assert_int_equal(trace.objects, 2);
    assert_memory_equal(trace.object, ((uint32_t[]){0, 1, 0}), 12);
    assert_memory_equal(trace.next, ((uint32_t[]){2, POLICY_NEVER, POLICY_NEVER}), 12);
    assert_memory_equal(trace.weights, ((uint32_t[]){512, 1}), 8); /* never 0 */
    assert_int_equal(trace.weight, 513);
    trace_clean_up(&trace);
}

static void a_trace_weighs_one_an_object_unless_sized(void **state)
{
    (void)state;
    struct trace trace;
    const char *message;
    FILE *file = file_of_three();
    assert_true(trace_read(&trace, file, 0, &message));
    fclose(file);
    assert_int_equal(trace.weight, 2);
    trace_clean_up(&trace);
}

static void many_objects_keep_their_numbers(void **state)
{
    (void)state;
    struct trace trace;
    const char *message;
    FILE *file = tmpfile();
    for (uint64_t i = 0; i < 10000; i++)
        write_record(file, (i % 5000) << 32, 1);
    rewind(file);
    assert_true(trace_read(&trace, file, 0, &message));
    fclose(file);
    assert_int_equal(trace.objects, 5000);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(trace.object[i], i % 5000);
    trace_clean_up(&trace);
}

static void a_cut_or_empty_trace_is_refused(void **state)
{
    (void)state;
    struct trace trace;
    const char *message;
    FILE *file = tmpfile();
    assert_false(trace_read(&trace, file, 0, &message));
    assert_string_equal(message, "there is no request in the file");
    trace_clean_up(&trace);
    write_record(file, 1, 1);
    fputc('x', file);
    rewind(file);
    assert_false(trace_read(&trace, file, 0, &message));
    assert_string_equal(message, "the file ends within a record");
    trace_clean_up(&trace);
    fclose(file);
}

static void a_loop_hits_nothing_in_lru_and_most_it_can_in_belady(void **state)
{
    (void)state;
    struct trace trace;
    double ratio;
    assert_true(trace_make(&trace, "loop", 1));
    assert_true(replay_policy(&policy_lru, &trace, 50000, &ratio));
    assert_true(ratio == 0);
    assert_true(replay_policy(&policy_belady, &trace, 50000, &ratio));
    assert_true(ratio > 0.48 && ratio < 0.49); /* half of 29 turns of 30 */
    trace_clean_up(&trace);
    assert_false(trace_make(&trace, "no such", 1));
}

/* ---- a real cache -------------------------------------------------------------------------- */

static void make_small(struct trace *trace)
{
    uint32_t state = 1;
    *trace = (struct trace){.requests = 60000, .objects = 10000};
    trace->object = malloc(trace->requests * sizeof(*trace->object));
    trace->weights = malloc(trace->objects * sizeof(*trace->weights));
    assert_non_null(trace->object);
    assert_non_null(trace->weights);
    for (uint32_t i = 0; i < trace->objects; i++)
        trace->weights[i] = 1;
    for (size_t i = 0; i < trace->requests; i++) {
        state = state * 1664525 + 1013904223;
        trace->object[i] = (state >> 8) % trace->objects;
    }
    assert_true(trace_link(trace));
}

/* Whatever its policy is: uniform requests hit as often as objects fit. */
static void a_cache_is_given_the_bytes_that_hold_the_capacity(void **state)
{
    (void)state;
    struct trace trace;
    struct replay_cache cache = {.uri = "memory:", .value_bytes = 100};
    const char *message;
    double ratio = 0;
    make_small(&trace);
    assert_true(replay_cache(&cache, &trace, 5000, &ratio, &message));
    assert_true(cache.held > 0.95 && cache.held < 1.05);
    assert_true(ratio > 0.42 && ratio < 0.52);
    trace_clean_up(&trace);
}

static void a_cache_that_cannot_be_filled_is_refused(void **state)
{
    (void)state;
    struct trace trace;
    struct replay_cache none = {.uri = "nowhere:", .value_bytes = 100};
    struct replay_cache null = {.uri = "null:", .value_bytes = 100};
    const char *message;
    double ratio = 0;
    make_small(&trace);
    assert_false(replay_cache(&none, &trace, 5000, &ratio, &message));
    assert_string_equal(message, "the cache does not open");
    assert_false(replay_cache(&null, &trace, 5000, &ratio, &message)); /* takes no max_bytes */
    assert_string_equal(message, "the cache does not open");
    trace_clean_up(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(textbook_faults_are_those_of_the_textbooks),
        cmocka_unit_test(a_hit_moves_nothing_in_fifo_and_to_the_front_in_lru),
        cmocka_unit_test(weights_decide_how_many_go),
        cmocka_unit_test(the_hand_of_sieve_goes_on_where_it_stopped),
        cmocka_unit_test(s3fifo_promotes_at_the_second_hit),
        cmocka_unit_test(s3fifo_takes_what_its_ghost_knows_into_the_main_queue),
        cmocka_unit_test(s3fifo_gives_main_a_chance_for_each_hit),
        cmocka_unit_test(tinylfu_refuses_what_is_asked_for_less_often),
        cmocka_unit_test(tinylfu_admits_what_is_asked_for_more_often),
        cmocka_unit_test(a_scan_passes_segments_by),
        cmocka_unit_test(what_comes_back_stays_in_segments),
        cmocka_unit_test(every_policy_keeps_all_when_all_fits),
        cmocka_unit_test(a_sketch_counts_to_fifteen_and_fades),
        cmocka_unit_test(a_ghost_tells_what_it_was_told),
        cmocka_unit_test(a_ghost_forgets_the_oldest_of_a_bucket),
        cmocka_unit_test(a_trace_numbers_its_objects_and_knows_when_they_come_again),
        cmocka_unit_test(a_trace_weighs_one_an_object_unless_sized),
        cmocka_unit_test(many_objects_keep_their_numbers),
        cmocka_unit_test(a_cut_or_empty_trace_is_refused),
        cmocka_unit_test(a_loop_hits_nothing_in_lru_and_most_it_can_in_belady),
        cmocka_unit_test(a_cache_is_given_the_bytes_that_hold_the_capacity),
        cmocka_unit_test(a_cache_that_cannot_be_filled_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
