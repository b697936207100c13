/*
 * The memory cache under threads, call by call: thousands of short histories, each of which has to
 * be linearizable; and that the checker rejects caches with a bug.
 *
 *     history_test [HISTORIES]      of each kind; LARDER_SEED=n repeats the actors' choices
 */
#include "actors.h"
#include "flawed.h"
#include "linearizability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dice.h"
#include "sanitizer.h"
#include "stats.h"

static uint64_t histories_asked; /* 0: the test's own number */

/* ---- the checker --------------------------------------------------------------------------- */

#define SET_OF(number, from, to)                                            \
    {                                                                       \
        .act = ACT_SET, .written = (number), .began = (from), .ended = (to) \
    }
#define READ_OF(number, from, to)                                                        \
    {                                                                                    \
        .act = ACT_GET, .seen = fingerprint(0, (number)), .began = (from), .ended = (to) \
    }
#define MISS_OF(from, to)                                                     \
    {                                                                         \
        .act = ACT_GET, .status = LARDER_MISS, .began = (from), .ended = (to) \
    }
#define COUNT_OF(result, from, to)                                           \
    {                                                                        \
        .act = ACT_COUNT, .number = (result), .began = (from), .ended = (to) \
    }
#define ADVANCE_OF(ms, from, to)                                                             \
    {                                                                                        \
        .act = ACT_ADVANCE, .key = EVERY_KEY, .ttl_ms = (ms), .began = (from), .ended = (to) \
    }

#define VERDICT(events, evicts) \
    linearizable((events), sizeof(events) / sizeof((events)[0]), 0, 1000, (evicts))

static void calls_that_overlap_may_come_in_any_order(void **state)
{
    const struct event both[] = {SET_OF(1, 0, 9), SET_OF(2, 1, 8), READ_OF(1, 10, 11),
                                 READ_OF(1, 12, 13)};
    const struct event early[] = {SET_OF(1, 0, 9), READ_OF(1, 1, 2), READ_OF(1, 3, 4)};
    const struct event back[] = {SET_OF(1, 0, 1), SET_OF(2, 2, 9), READ_OF(2, 3, 4),
                                 READ_OF(1, 5, 6)};
    (void)state;
    assert_int_equal(VERDICT(both, 0), LINEARIZABLE);
    assert_int_equal(VERDICT(early, 0), LINEARIZABLE);
    assert_int_equal(VERDICT(back, 0), NOT_LINEARIZABLE);
}

static void a_stale_read_is_rejected(void **state)
{
    const struct event events[] = {SET_OF(1, 0, 1), SET_OF(2, 2, 3), READ_OF(1, 4, 5)};
    (void)state;
    assert_int_equal(VERDICT(events, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(events, 1), NOT_LINEARIZABLE);
}

static void a_lost_update_is_rejected(void **state)
{
    const struct event counts[] = {COUNT_OF(1, 0, 1), COUNT_OF(2, 2, 8), COUNT_OF(2, 3, 9)};
    const struct event sound[] = {COUNT_OF(1, 0, 1), COUNT_OF(3, 2, 8), COUNT_OF(2, 3, 9)};
    const struct event cas[] = {
        SET_OF(1, 0, 1),
        {.act = ACT_CAS, .written = 2, .seen = fingerprint(0, 1), .began = 2, .ended = 8},
        {.act = ACT_CAS, .written = 3, .seen = fingerprint(0, 1), .began = 3, .ended = 9}};
    (void)state;
    assert_int_equal(VERDICT(counts, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(sound, 0), LINEARIZABLE);
    assert_int_equal(VERDICT(cas, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(cas, 1), NOT_LINEARIZABLE);
}

static void what_comes_back_after_its_delete_is_rejected(void **state)
{
    const struct event events[] = {
        SET_OF(1, 0, 1), {.act = ACT_DELETE, .began = 2, .ended = 3}, READ_OF(1, 4, 5)};
    (void)state;
    assert_int_equal(VERDICT(events, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(events, 1), NOT_LINEARIZABLE);
}

static void an_eviction_explains_a_miss_where_there_may_be_one(void **state)
{
    const struct event gone[] = {SET_OF(1, 0, 1), MISS_OF(2, 3)};
    const struct event back[] = {SET_OF(1, 0, 1), MISS_OF(2, 3), READ_OF(1, 4, 5)};
    (void)state;
    assert_int_equal(VERDICT(gone, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(gone, 1), LINEARIZABLE);
    assert_int_equal(VERDICT(back, 1), NOT_LINEARIZABLE);
}

static void a_ttl_counts_from_a_moment_within_its_call(void **state)
{
    const struct event set = {
        .act = ACT_SET, .written = 1, .ttl_ms = 2, .now_ms = 1000, .ended = 8};
    const struct event early[] = {set, ADVANCE_OF(2, 1, 2), READ_OF(1, 3, 4), MISS_OF(9, 10)};
    const struct event back[] = {set, ADVANCE_OF(2, 1, 2), MISS_OF(9, 10), READ_OF(1, 11, 12)};
    const struct event touched[] = {
        {.act = ACT_SET, .written = 1, .ttl_ms = 2, .now_ms = 1000, .ended = 1},
        {.act = ACT_TOUCH, .now_ms = 1000, .began = 2, .ended = 9},
        ADVANCE_OF(2, 3, 4),
        MISS_OF(5, 6),
        READ_OF(1, 10, 11)};
    (void)state;
    assert_int_equal(VERDICT(early, 0), LINEARIZABLE);
    assert_int_equal(VERDICT(back, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(touched, 0), NOT_LINEARIZABLE);
}

static void an_entry_ends_at_its_deadline_and_not_before(void **state)
{
    const struct event set = {
        .act = ACT_SET, .written = 1, .ttl_ms = 2, .now_ms = 1000, .ended = 1};
    const struct event early[] = {set, ADVANCE_OF(1, 2, 3), MISS_OF(4, 5)};
    const struct event late[] = {set, ADVANCE_OF(2, 2, 3), READ_OF(1, 4, 5)};
    const struct event meanwhile[] = {set, ADVANCE_OF(2, 2, 9), READ_OF(1, 3, 8), MISS_OF(4, 7)};
    (void)state;
    assert_int_equal(VERDICT(early, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(late, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(meanwhile, 0), LINEARIZABLE);
}

static void a_lease_is_given_once(void **state)
{
    const struct event twice[] = {{.act = ACT_LEASE_GET,
                                   .status = LARDER_MISS,
                                   .token = 7,
                                   .ttl_ms = 5,
                                   .now_ms = 1000,
                                   .ended = 1},
                                  {.act = ACT_LEASE_GET,
                                   .status = LARDER_MISS,
                                   .token = 8,
                                   .ttl_ms = 5,
                                   .began = 2,
                                   .ended = 3}};
    const struct event late_fill[] = {
        {.act = ACT_LEASE_GET,
         .status = LARDER_MISS,
         .token = 7,
         .ttl_ms = 5,
         .now_ms = 1000,
         .ended = 1},
        {.act = ACT_DELETE, .status = LARDER_MISS, .began = 2, .ended = 3},
        {.act = ACT_LEASE_FILL, .token = 7, .written = 1, .began = 4, .ended = 5}};
    (void)state;
    assert_int_equal(VERDICT(twice, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(late_fill, 0), NOT_LINEARIZABLE);
    assert_int_equal(VERDICT(late_fill, 1), NOT_LINEARIZABLE);
}

static void more_events_than_it_can_hold_are_undecided(void **state)
{
    static struct event events[LINEARIZABLE_EVENTS_MAX + 1];
    (void)state;
    for (uint64_t i = 0; i <= LINEARIZABLE_EVENTS_MAX; i++)
        events[i] = (struct event)MISS_OF(2 * i, 2 * i + 1);
    assert_int_equal(linearizable(events, LINEARIZABLE_EVENTS_MAX, 0, 0, 0), LINEARIZABLE);
    assert_int_equal(linearizable(events, LINEARIZABLE_EVENTS_MAX + 1, 0, 0, 0), UNDECIDED);
}

/* ---- caches -------------------------------------------------------------------------------- */

struct tried {
    uint64_t histories;
    uint64_t overlaps; /* pairs of calls that met */
    uint64_t rejected;
    uint64_t undecided;
};

static uint64_t overlaps_in(const struct history *history)
{
    uint64_t count = 0;
    for (size_t i = 0; i < history->count; i++)
        for (size_t j = i + 1; j < history->count; j++)
            count += history->events[i].began < history->events[j].ended &&
                     history->events[j].began < history->events[i].ended;
    return count;
}

/* @return whether all keys' histories can be explained */
static int check(const struct history *history, int evicts, int tell, struct tried *tried)
{
    int sound = 1;
    for (uint32_t key = 0; key < HISTORY_KEYS; key++) {
        enum verdict verdict =
            linearizable(history->events, history->count, key, history->now_ms, evicts);
        tried->undecided += verdict == UNDECIDED;
        if (verdict != NOT_LINEARIZABLE)
            continue;
        sound = 0;
        if (tell) {
            fprintf(stderr, "key %u, from %llu ms on:\n", key, (unsigned long long)history->now_ms);
            tell_history(history->events, history->count, key);
        }
    }
    tried->rejected += !sound;
    return sound;
}

/* Plays until something is rejected. */
static struct tried try_cache(struct larder_cache *cache, const struct cast *cast, int evicts,
                              int tell, uint64_t histories)
{
    static struct history history;
    struct tried tried = {0};
    struct stage *stage = stage_open(cache, cast);
    do {
        stage_play(stage, &history);
        tried.histories++;
        tried.overlaps += overlaps_in(&history);
    } while (check(&history, evicts, tell, &tried) && tried.histories < histories);
    stage_close(stage);
    return tried;
}

static struct larder_cache *open_memory(const char *uri)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.clock = stage_clock();
    assert_int_equal(larder_open(uri, &options, &cache, NULL, 0), LARDER_OK);
    return cache;
}

static uint64_t histories_of(uint64_t histories)
{
    return histories_asked != 0 ? histories_asked : histories / SLOWDOWN;
}

static void try_sound(const char *name, const char *uri, struct cast cast, int evicts,
                      uint64_t histories)
{
    struct larder_cache *cache = open_memory(uri);
    cast.seed = chosen_seed();
    struct tried tried = try_cache(cache, &cast, evicts, 1, histories_of(histories));
    uint64_t evictions = stat_of(cache, "evictions");
    larder_close(cache);
    print_message(
        "%s: LARDER_SEED=%llu: %llu histories, with %llu overlapping pairs of calls each, "
        "%llu evictions\n",
        name, (unsigned long long)cast.seed, (unsigned long long)tried.histories,
        (unsigned long long)(tried.overlaps / tried.histories), (unsigned long long)evictions);
    assert_true((evictions > 0) == evicts);
    assert_int_equal(tried.rejected, 0);
    assert_int_equal(tried.undecided, 0);
}

static void histories_without_evictions_are_linearizable(void **state)
{
    (void)state;
    try_sound("2 actors", "memory:?max_bytes=64M", (struct cast){2, 8, 8, 4, 0}, 0, 10000);
    try_sound("4 actors", "memory:?max_bytes=64M", (struct cast){4, 8, 64, 4, 0}, 0, 10000);
    try_sound("8 actors", "memory:?max_bytes=64M&bucket_interval=10ms",
              (struct cast){8, 7, 8, 4, 0}, 0, 6000);
}

/* Room for one to three values, so that those in play are evicted and not those of rounds past. */
static void histories_with_evictions_are_linearizable(void **state)
{
    (void)state;
    try_sound("1 value fits", "memory:?max_bytes=1M", (struct cast){4, 8, 600000, 0, 0}, 1, 1000);
    try_sound("2 values fit", "memory:?max_bytes=1M", (struct cast){4, 8, 400000, 0, 0}, 1, 1500);
    try_sound("3 values fit", "memory:?max_bytes=1M", (struct cast){8, 7, 300000, 40, 0}, 1, 1500);
}

static void try_flaw(enum flaw flaw, uint64_t histories)
{
    const struct cast cast = {4, 8, 8, 4, 1};
    struct larder_cache *cache = flawed_open(open_memory("memory:?max_bytes=64M"), flaw);
    struct tried tried = try_cache(cache, &cast, 0, 0, histories);
    larder_close(cache);
    print_message("%llu histories, %llu rejected\n", (unsigned long long)tried.histories,
                  (unsigned long long)tried.rejected);
    assert_int_equal(tried.rejected, flaw == FLAW_NONE ? 0 : 1);
    assert_int_equal(tried.undecided, 0);
}

static void a_wrapper_without_a_flaw_is_not_rejected(void **state)
{
    (void)state;
    try_flaw(FLAW_NONE, histories_of(3000));
}

#define FLAW_TEST(name, flaw)      \
    static void name(void **state) \
    {                              \
        (void)state;               \
        try_flaw((flaw), 20000);   \
    }

FLAW_TEST(a_cache_with_stale_reads_is_rejected, FLAW_STALE_READ)
FLAW_TEST(a_cache_that_loses_updates_is_rejected, FLAW_LOST_UPDATE)
FLAW_TEST(a_cache_whose_values_come_back_is_rejected, FLAW_COMES_BACK)
FLAW_TEST(a_cache_whose_entries_live_on_is_rejected, FLAW_LIVES_ON)
FLAW_TEST(a_cache_that_gives_two_leases_is_rejected, FLAW_TWO_LEASES)

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_overlap_may_come_in_any_order),
        cmocka_unit_test(a_stale_read_is_rejected),
        cmocka_unit_test(a_lost_update_is_rejected),
        cmocka_unit_test(what_comes_back_after_its_delete_is_rejected),
        cmocka_unit_test(an_eviction_explains_a_miss_where_there_may_be_one),
        cmocka_unit_test(an_entry_ends_at_its_deadline_and_not_before),
        cmocka_unit_test(a_ttl_counts_from_a_moment_within_its_call),
        cmocka_unit_test(a_lease_is_given_once),
        cmocka_unit_test(more_events_than_it_can_hold_are_undecided),
        cmocka_unit_test(histories_without_evictions_are_linearizable),
        cmocka_unit_test(histories_with_evictions_are_linearizable),
        cmocka_unit_test(a_wrapper_without_a_flaw_is_not_rejected),
        cmocka_unit_test(a_cache_with_stale_reads_is_rejected),
        cmocka_unit_test(a_cache_that_loses_updates_is_rejected),
        cmocka_unit_test(a_cache_whose_values_come_back_is_rejected),
        cmocka_unit_test(a_cache_whose_entries_live_on_is_rejected),
        cmocka_unit_test(a_cache_that_gives_two_leases_is_rejected),
    };
    if (count > 1)
        histories_asked = strtoull(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
