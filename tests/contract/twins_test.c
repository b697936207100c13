/*
 * The memory cache in lockstep with the oracle: long random sequences of the whole contract, in a
 * cache that holds everything and in caches that hold 1 to 64 entries.
 *
 *     twins_test [STEPS]      of each test; LARDER_SEED=n repeats a run
 */
#include "twins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dice.h"
#include "sanitizer.h"

static uint64_t steps_asked; /* 0: the test's own number */

struct run {
    struct twins twins;
    struct dice dice;
    unsigned entries;        /* that fit a small cache; 0: all fit */
    struct larder_call call; /* of the step that was made last */
};

static uint64_t draw(struct run *run, uint64_t sides)
{
    return roll(&run->dice, sides);
}

/* ---- random steps -------------------------------------------------------------------------- */

static struct larder_slice random_text(struct run *run)
{
    static const char *const texts[] = {
        "",    "0",  "1", "9", "10", "99", "abc", "18446744073709551615", "18446744073709551616",
        "007", "9 ", " 9"};
    return larder_text(texts[draw(run, sizeof(texts) / sizeof(texts[0]))]);
}

/* In a small cache mostly as long as one of its entries may be; a little less than the longest
 * there is, which fits only where nothing at all is beside it, not even the small value it
 * replaces. */
#define ROOM_BESIDE 4096u

static struct larder_slice random_value(struct run *run)
{
    uint64_t longest = run->twins.value_max < 100000 ? run->twins.value_max : 100000;
    if (run->entries > 0) {
        longest = run->twins.value_max / run->entries;
        if (draw(run, 4) != 0)
            return twins_bytes(draw(run, UINT64_MAX), longest / 2 + draw(run, longest / 2));
    }
    switch (draw(run, 16)) {
    case 0:
        return twins_bytes(draw(run, UINT64_MAX), draw(run, longest));
    case 1:
        return twins_bytes(draw(run, UINT64_MAX), 3900 + draw(run, 400));
    case 2:
    case 3:
    case 4:
    case 5:
        return twins_bytes(draw(run, UINT64_MAX), draw(run, 300));
    default:
        return random_text(run);
    }
}

static int64_t random_ttl(struct run *run)
{
    static const int64_t ttls[] = {0,    0,     1,     2,      10,      100,      999,
                                   1000, 15000, 16000, 900000, 1000000, 90000000, INT64_MAX};
    if (run->entries > 0 && draw(run, 2) == 0)
        return LARDER_TTL_FOREVER;
    return ttls[draw(run, sizeof(ttls) / sizeof(ttls[0]))];
}

static uint64_t random_delta(struct run *run)
{
    static const uint64_t deltas[] = {0, 1, 1, 2, 9, 10, 91, 1000, UINT64_MAX};
    return deltas[draw(run, sizeof(deltas) / sizeof(deltas[0]))];
}

/* Options of the call that make sense for the step. */
static void add_options(struct run *run, struct model_step *step)
{
    const struct larder_call plain = LARDER_CALL_INIT;
    enum model_does does = step->does;
    run->call = plain;
    step->call = &run->call;
    switch (draw(run, 4)) {
    case 0:
        run->call.flags = LARDER_NO_WAIT;
        break;
    case 1:
        run->call.timeout_ms = 1000;
        break;
    case 2:
        run->call.routing_key = larder_text("elsewhere");
        break;
    default:
        break;
    }
    int counts = does == MODEL_COUNT || does == MODEL_COUNT_INITIAL;
    int joins = does == MODEL_APPEND || does == MODEL_PREPEND;
    if ((does == MODEL_READ || does == MODEL_GET || counts) && draw(run, 2) == 0)
        run->call.touch_ttl_ms = random_ttl(run);
    if ((does == MODEL_TOUCH || counts || joins) && draw(run, 2) == 0)
        run->call.version = 1; /* the one that was seen last */
    if (does == MODEL_LEASE_GET)
        run->call.recache_ms = (uint32_t)draw(run, 20000);
}

static struct model_step random_step(struct run *run)
{
    struct model_step step = {.key = (unsigned)draw(run, run->twins.shape->keys)};
    do
        step.does = (enum model_does)draw(run, MODEL_DOES);
    while (step.does == MODEL_FLUSH || step.does == MODEL_ADVANCE);
    if (run->entries > 0 && draw(run, 3) == 0)
        step.does = MODEL_SET; /* else it would never be full */
    step.value = random_value(run);
    step.flags = draw(run, 2) == 0 ? 0 : (uint32_t)draw(run, UINT64_C(1) << 32);
    step.ttl_ms = random_ttl(run);
    step.size = draw(run, 3) == 0 ? draw(run, 12) : SIZE_MAX;
    step.direction = draw(run, 2) == 0 ? LARDER_UP : LARDER_DOWN;
    step.number = random_delta(run);
    step.initial = draw(run, 4) == 0 ? UINT64_MAX : draw(run, 100);
    if (step.does == MODEL_LEASE_GET && (step.ttl_ms <= 0 || step.ttl_ms > UINT32_MAX))
        step.ttl_ms = 60000;
    int may_be_absent = step.does == MODEL_ADD || step.does == MODEL_REPLACE ||
                        step.does == MODEL_CAS || step.does == MODEL_LEASE_FILL;
    if (may_be_absent && draw(run, 8) == 0)
        step.marks = LARDER_WRITE_ABSENT;
    if (step.does == MODEL_SET_ABSENT || step.marks != 0)
        step.value = larder_bytes(NULL, 0);
    if (draw(run, 3) == 0)
        add_options(run, &step);
    return step;
}

static int has_many_form(enum model_does does)
{
    return does == MODEL_READ || does == MODEL_GET || does == MODEL_DELETE || does == MODEL_TOUCH ||
           does == MODEL_SET || does == MODEL_ADD || does == MODEL_REPLACE ||
           does == MODEL_APPEND || does == MODEL_PREPEND;
}

/* ---- what a turn does ---------------------------------------------------------------------- */

static void run_many(struct run *run, unsigned space)
{
    struct model_step steps[TWINS_ROWS_MAX];
    size_t count = 1 + draw(run, TWINS_ROWS_MAX);
    steps[0] = random_step(run);
    for (size_t i = 1; i < count; i++) {
        steps[i] = random_step(run);
        steps[i].does = steps[0].does;
    }
    for (size_t i = 0; i < count; i++) {
        steps[i].call = NULL;
        steps[i].marks = 0;
        if (steps[i].value.data == NULL)
            steps[i].value = larder_text("m");
    }
    if (has_many_form(steps[0].does))
        twins_run_many(&run->twins, space, steps, count);
}

/* A little; or to a moment before, at or after the end of an entry; or past everything. */
static void run_advance(struct run *run, unsigned space)
{
    struct model_step advance = {.does = MODEL_ADVANCE, .ttl_ms = (int64_t)draw(run, 12)};
    int64_t left =
        twins_ttl_left_ms(&run->twins, space, (unsigned)draw(run, run->twins.shape->keys));
    uint64_t kind = draw(run, 8);
    if (kind < 5 && left > 0 && left < 100000000)
        advance.ttl_ms = left - 1 + (int64_t)draw(run, 3);
    else if (kind == 7)
        advance.ttl_ms = (int64_t)draw(run, draw(run, 10) == 0 ? UINT64_C(10000000000) : 2000000);
    twins_run(&run->twins, space, &advance);
}

static void run_single(struct run *run, unsigned space)
{
    struct model_step step = random_step(run);
    const struct model_step get = {.does = MODEL_GET, .key = step.key};
    /* counting alone doesn't tell an evicted counter from one that is there */
    if (step.does == MODEL_COUNT_INITIAL && run->entries > 0)
        (void)twins_run(&run->twins, space, &get);
    enum larder_status status = twins_run(&run->twins, space, &step);
    if (step.does == MODEL_SET && status == LARDER_OK && draw(run, 4) == 0) {
        run->twins.must_be_there = 1; /* nothing came after it that could have evicted it */
        twins_run(&run->twins, space, &get);
    }
}

static void run_rarely(struct run *run, unsigned space)
{
    struct model_step flush = {.does = MODEL_FLUSH};
    switch (draw(run, 12)) {
    case 0:
        twins_run(&run->twins, space, &flush);
        break;
    case 1:
        if (draw(run, 3) == 0)
            twins_flush_all(&run->twins);
        break;
    case 2:
    case 3:
        assert_int_equal(LARDER_OK, larder_purge(run->twins.owner[TRIED], 1, NULL));
        break;
    default:
        twins_list(&run->twins, space, draw(run, 4096), 1 + draw(run, 16));
    }
}

static void run_turn(struct run *run)
{
    unsigned space = (unsigned)draw(run, run->twins.shape->spaces);
    uint64_t kind = draw(run, 400);
    if (kind == 0)
        run_rarely(run, space);
    else if (kind < 30)
        run_advance(run, space);
    else if (kind < 60)
        run_many(run, space);
    else if (kind < 70)
        twins_hold(&run->twins, space, (unsigned)draw(run, run->twins.shape->keys),
                   (unsigned)draw(run, TWINS_VIEWS));
    else if (kind < 71 || (kind < 80 && run->entries > 0))
        twins_let_go(&run->twins); /* a small cache is pinned whole by few */
    else
        run_single(run, space);
}

/* ---- runs ---------------------------------------------------------------------------------- */

static void run_seeded(const struct twins_shape *shape, unsigned entries, uint64_t steps,
                       uint64_t seed)
{
    static struct run run;
    run.dice.state = seed;
    run.entries = entries;
    printf("%s: LARDER_SEED=%llu, %llu steps", shape->name, (unsigned long long)run.dice.state,
           (unsigned long long)steps);
    twins_open(&run.twins, shape, run.dice.state);
    while (run.twins.steps < steps)
        run_turn(&run);
    twins_check(&run.twins);
    twins_close(&run.twins);
    printf(", %llu evicted, %llu refused\n", (unsigned long long)run.twins.forgiven,
           (unsigned long long)run.twins.refused);
}

static void run_twins(const struct twins_shape *shape, unsigned entries, uint64_t steps)
{
    steps = steps_asked != 0 ? steps_asked : steps / SLOWDOWN;
    run_seeded(shape, entries, steps, chosen_seed());
}

static void a_large_cache_answers_as_the_oracle(void **state)
{
    static const struct twins_shape shapes[] = {
        {"leaf", "memory:?max_bytes=256M", 1, 40, 0},
        {"fine buckets", "memory:?max_bytes=256M&buckets=4&bucket_interval=10ms", 1, 40, 0},
        {"namespaces", "memory:?max_bytes=256M", 3, 20, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run_twins(&shapes[i], 0, 300000);
}

static void a_small_cache_answers_as_the_oracle_but_for_evictions(void **state)
{
    static const struct {
        struct twins_shape shape;
        unsigned entries;
        uint64_t steps;
    } runs[] = {
        {{"1 entry", "memory:?max_bytes=1M", 1, 3, 1}, 1, 6000},
        {{"2 entries", "memory:?max_bytes=1M", 1, 6, 1}, 2, 10000},
        {{"4 entries", "memory:?max_bytes=1M", 1, 10, 1}, 4, 20000},
        {{"8 entries", "memory:?max_bytes=1M&buckets=4&bucket_interval=10ms", 1, 24, 1}, 8, 40000},
        {{"16 entries", "memory:?max_bytes=1M", 1, 50, 1}, 16, 60000},
        {{"64 entries", "memory:?max_bytes=1M", 1, 200, 1}, 64, 120000},
        {{"8 entries, namespaces", "memory:?max_bytes=1M", 3, 12, 1}, 8, 40000},
        {{"64 entries of 4M", "memory:?max_bytes=4M", 1, 200, 1}, 64, 40000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        run_twins(&runs[i].shape, runs[i].entries, runs[i].steps);
}

/* With keys that collide: the index wanted a bucket and the entry a segment, and there was room for
 * either, but not for both. */
static void a_bucket_and_a_segment_that_are_lacking_together_are_found(void **state)
{
    static const struct twins_shape shape = {
        "8 entries", "memory:?max_bytes=1M&buckets=4&bucket_interval=10ms", 1, 24, 1};
    (void)state;
    run_seeded(&shape, 8, 23000, UINT64_C(1795919529536253));
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_cache_answers_as_the_oracle),
        cmocka_unit_test(a_small_cache_answers_as_the_oracle_but_for_evictions),
        cmocka_unit_test(a_bucket_and_a_segment_that_are_lacking_together_are_found),
    };
    if (count > 1)
        steps_asked = strtoull(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
