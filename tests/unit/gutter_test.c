/* gutter: the table of docs/gutter.md cell by cell, and what the page says beside it. */
#include "parts_asking.h"
#include "stats.h"
#include "watched_memory.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/gutter.h>

#define TTL_MS 10000
#define START_NS UINT64_C(1000000000)

/* ---- two caches that can be broken, and watched -------------------------------------------- */

struct pair {
    struct larder_manual_clock *clock;
    struct watched_part of, spare;
    struct larder_cache *gutter;
};

/* @param watcher  of the spare; NULL: nobody */
static void pair_open_with(struct pair *pair, const struct larder_observer *watcher)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    pair->clock = larder_manual_clock_new(START_NS);
    assert_non_null(pair->clock);
    watched_part_open(&pair->of, pair->clock);
    watched_part_open(&pair->spare, pair->clock);
    options.of = pair->of.cache;
    if (watcher != NULL)
        pair->spare.cache = watch(pair->spare.cache, watcher);
    options.spare = pair->spare.cache;
    options.ttl_ms = TTL_MS;
    open.clock = larder_manual_clock_of(pair->clock);
    assert_status(LARDER_OK, larder_gutter_open(&options, &open, &pair->gutter, NULL, 0));
}

static void pair_open(struct pair *pair)
{
    pair_open_with(pair, NULL);
}

static void pair_close(struct pair *pair)
{
    larder_close(pair->gutter); /* and its parts */
    watched_part_free(&pair->of);
    watched_part_free(&pair->spare);
    larder_manual_clock_free(pair->clock);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

/* ---- one cell ------------------------------------------------------------------------------ */

/* The key is "1" in `of` and "7" in the spare, unless the call wants it to be missing. */
static void plant(struct pair *pair, struct asking *asking)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    asking->key = "k";
    if (asking->call->mode == LARDER_ADD || is_about_a_lease(asking->call))
        asking->key = "missing";
    put(pair->of.cache, "k", "1");
    put(pair->spare.cache, "k", "7");
    assert_status(LARDER_OK, larder_read(pair->gutter, text("k"), &byte, 1, &info));
    asking->given = info.version;
    if (is_about_a_lease(asking->call)) {
        asking->key = "missing";
        asking_take_lease(asking);
    }
}

/* A write turns, so that the spare may hold copies. */
static void turn_once(struct pair *pair)
{
    part_answers(&pair->of, LARDER_ON(STORE), LARDER_UNAVAILABLE);
    put(pair->gutter, "another", "9");
    larder_faults_reset(pair->of.faults);
    put(pair->of.cache, "another", "9");
}

static void assert_lowered(const struct pair *pair, const struct asking *asking)
{
    struct larder_recording *log = pair->spare.log;
    const struct larder_match match =
        larder_match_of(asking->call->operation, asking->key, LARDER_ANY_STATUS);
    size_t at = larder_recording_find(log, &match, 0);
    assert_int_not_equal(at, LARDER_NOT_RECORDED);
    if (asking->call->leaves_a_ttl)
        assert_int_equal(larder_recording_at(log, at)->call.ttl_ms, TTL_MS);
}

static void check_spare(const struct pair *pair, const struct asking *asking, const char *cell,
                        int may_hold)
{
    const struct watched_part *spare = &pair->spare;
    size_t deletes = says(cell, "delete") || (says(cell, "drop") && may_hold);
    if (says(cell, "spare")) {
        assert_int_equal(part_was_asked(spare, asking->call->operation, asking->key), 1);
        assert_lowered(pair, asking);
    }
    assert_int_equal(part_was_asked(spare, LARDER_ON(DELETE), asking->key), deletes);
    assert_int_equal(part_was_asked(spare, 0, NULL), deletes + (says(cell, "spare") ? 1 : 0));
}

/* @param status  what `of` answers; OK: it does so by itself */
static void check_answer(const struct call *call, int is_many, int may_hold,
                         enum larder_status status, const char *cell)
{
    struct pair pair;
    pair_open(&pair);
    struct asking asking = {.cache = pair.gutter, .call = call, .is_many = is_many};
    if (may_hold)
        turn_once(&pair);
    plant(&pair, &asking);
    if (status != LARDER_OK)
        part_answers(&pair.of, call->operation, status);
    larder_recording_reset(pair.of.log);
    larder_recording_reset(pair.spare.log);
    enum larder_status given = call->ask(&asking);
    print_message("%s%s, %s%s: %s\n", call->name, is_many ? " (many)" : "",
                  larder_status_name(status), may_hold ? ", the spare may hold copies" : "",
                  larder_status_name(given));
    assert_status(says(cell, "spare") ? LARDER_OK : status, given);
    assert_int_equal(part_was_asked(&pair.of, call->operation, asking.key), 1);
    if (call->reads && given == LARDER_OK)
        assert_memory_equal(asking.value.data, says(cell, "spare") ? "7" : "1", 1);
    if (says(cell, "spare"))
        assert_int_equal(asking.version, 0);
    check_spare(&pair, &asking, cell, may_hold);
    pair_close(&pair);
}

/* ---- the table ----------------------------------------------------------------------------- */

static void check_cell(const struct call *call, int is_many, enum larder_status status,
                       const char *cell)
{
    static const char *const words[] = {"that", "that, drop", "that, delete", "spare"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        known += strcmp(cell, words[i]) == 0;
    assert_int_equal(known, 1);
    for (int may_hold = 0; may_hold <= 1; may_hold++)
        check_answer(call, is_many, may_hold, status, cell);
}

static void every_cell_of_the_table_holds(void **state)
{
    (void)state;
    every_cell(LARDER_SOURCE_DIR "/docs/gutter.md", check_cell);
}

/* ---- both are down ------------------------------------------------------------------------- */

static void the_failure_of_the_first_is_told_when_both_are_down(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    pair_open(&pair);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    part_answers(&pair.spare, 0, LARDER_TIMEOUT);
    assert_status(LARDER_UNAVAILABLE, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    assert_status(LARDER_UNAVAILABLE, larder_set(pair.gutter, text("k"), text("v"), 0));
    larder_faults_reset(pair.spare.faults);
    part_answers(&pair.spare, LARDER_ON_WRITES, LARDER_UNKNOWN);
    assert_status(LARDER_UNKNOWN, larder_set(pair.gutter, text("k"), text("v"), 0));
    pair_close(&pair);
}

/* ---- what is on the spare ------------------------------------------------------------------ */

static void no_ttl_on_the_spare_is_longer(void **state)
{
    static const int64_t given[] = {1, TTL_MS - 1, TTL_MS, TTL_MS + 1, 86400000, INT64_MAX, 0};
    struct pair pair;
    (void)state;
    pair_open(&pair);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        int64_t wanted = given[i] == 0 || given[i] > TTL_MS ? TTL_MS : given[i];
        struct larder_call call = LARDER_CALL_INIT;
        char byte;
        assert_status(LARDER_OK, larder_set(pair.gutter, text("k"), text("v"), given[i]));
        assert_int_equal(ttl_left(pair.spare.cache, "k"), wanted);
        assert_status(LARDER_OK, larder_set(pair.spare.cache, text("k"), text("v"), 0));
        call.touch_ttl_ms = given[i];
        assert_status(LARDER_OK, larder_read_with(pair.gutter, &call, text("k"), &byte, 1, NULL));
        assert_int_equal(ttl_left(pair.spare.cache, "k"), wanted);
    }
    pair_close(&pair);
}

static void a_lease_of_the_spare_is_filled_there(void **state)
{
    struct pair pair;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_write write = larder_write_of(text("v"), LARDER_TTL_FOREVER);
    char byte;
    (void)state;
    pair_open(&pair);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_MISS, larder_lease_get(pair.gutter, text("k"), 60000, &value, &lease));
    assert_true(lease.token != 0);
    larder_faults_reset(pair.of.faults); /* `of` is back */
    assert_status(LARDER_OK, larder_lease_fill(pair.gutter, text("k"), lease, &write));
    assert_int_equal(ttl_left(pair.spare.cache, "k"), TTL_MS);
    assert_status(LARDER_MISS, larder_read(pair.gutter, text("k"), &byte, 1, NULL));

    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_MISS, larder_lease_get(pair.gutter, text("l"), 60000, &value, &lease));
    larder_manual_clock_advance(pair.clock, TTL_MS);
    assert_status(LARDER_CONFLICT, larder_lease_fill(pair.gutter, text("l"), lease, &write));
    pair_close(&pair);
}

static void a_later_write_outlives_the_spares_copy(void **state)
{
    struct pair pair;
    char byte = 0;
    (void)state;
    pair_open(&pair);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    put(pair.gutter, "k", "1");
    larder_faults_reset(pair.of.faults);
    put(pair.gutter, "k", "2");
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_MISS, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    pair_close(&pair);
}

#define ON_ITS_WAY_MS 500u

static int take_long(void *context, struct larder_observed *call)
{
    if (call->operation == LARDER_OPERATION_STORE)
        larder_manual_clock_advance(((struct pair *)context)->clock, ON_ITS_WAY_MS);
    return 0;
}

/* The copy lives from when it got there, not from when it was sent. */
static void a_copy_that_was_long_on_its_way_is_outdated_as_well(void **state)
{
    struct pair pair;
    struct larder_observer slow = LARDER_OBSERVER_INIT;
    char byte = 0;
    (void)state;
    slow.context = &pair;
    slow.before = take_long;
    pair_open_with(&pair, &slow);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    put(pair.gutter, "k", "1");
    larder_manual_clock_advance(pair.clock, TTL_MS - 1);
    assert_status(LARDER_OK, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    larder_faults_reset(pair.of.faults);
    put(pair.gutter, "k", "2");
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_MISS, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    pair_close(&pair);
}

/* At the millisecond before, and at it. */
static void a_spare_that_missed_a_delete_is_not_read_until_it_has_forgotten(void **state)
{
    struct pair pair;
    char byte = 0;
    (void)state;
    pair_open(&pair);
    int64_t linger_ms = TTL_MS + larder_describe(pair.spare.cache)->ttl_late_ms +
                        larder_describe(pair.spare.cache)->ttl_step_ms;
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    put(pair.gutter, "k", "1");
    larder_faults_reset(pair.of.faults);
    part_answers(&pair.spare, LARDER_ON(DELETE), LARDER_UNAVAILABLE);
    put(pair.of.cache, "k", "2");
    assert_status(LARDER_OK, larder_delete(pair.gutter, text("k"), 0));
    larder_faults_reset(pair.spare.faults);
    part_answers(&pair.of, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    assert_status(LARDER_UNAVAILABLE, larder_set(pair.gutter, text("k"), text("3"), 0));
    larder_manual_clock_advance(pair.clock, (uint64_t)linger_ms - 1);
    assert_status(LARDER_UNAVAILABLE, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    larder_manual_clock_advance(pair.clock, 1);
    assert_status(LARDER_MISS, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    assert_int_equal(stat_of(pair.gutter, "drops_missed"), 1);
    assert_int_equal(stat_of(pair.gutter, "spare_avoided"), 3);
    pair_close(&pair);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void a_flush_reaches_both(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    pair_open(&pair);
    put(pair.of.cache, "k", "1");
    put(pair.spare.cache, "k", "7");
    part_answers(&pair.of, LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_flush(pair.gutter));
    assert_status(LARDER_MISS, larder_read(pair.spare.cache, text("k"), &byte, 1, NULL));
    larder_faults_reset(pair.of.faults);
    assert_status(LARDER_OK, larder_flush(pair.gutter));
    assert_status(LARDER_MISS, larder_read(pair.of.cache, text("k"), &byte, 1, NULL));
    pair_close(&pair);
}

static void rows_that_turn_are_sorted_from_those_that_dont(void **state)
{
    struct pair pair;
    struct larder_row rows[5];
    char keys[5][4], buffers[5][4];
    (void)state;
    pair_open(&pair);
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 5; i++) {
        struct larder_fault fault = LARDER_FAULT_INIT;
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        put(pair.of.cache, keys[i], "1");
        put(pair.spare.cache, keys[i], "7");
        rows[i].key = text(keys[i]);
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
        fault.match.key = text(keys[i]);
        fault.status = LARDER_UNAVAILABLE;
        if (i % 2 == 1)
            assert_status(LARDER_OK, larder_faults_add(pair.of.faults, &fault));
    }
    assert_status(LARDER_OK, larder_read_multi(pair.gutter, rows, 5));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(buffers[i][0], i % 2 == 1 ? '7' : '1');
    assert_int_equal(stat_of(pair.gutter, "reads_turned"), 1);
    pair_close(&pair);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void ttl_has_bounds(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        enum larder_status status;
    } trials[] = {{0, LARDER_BAD_ARGUMENT},
                  {1, LARDER_OK},
                  {86400000, LARDER_OK},
                  {86400001, LARDER_BAD_ARGUMENT}};
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
        struct larder_cache *gutter = NULL;
        assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
        assert_status(LARDER_OK, larder_open("null:", NULL, &options.spare, NULL, 0));
        options.ttl_ms = trials[i].ttl_ms;
        assert_status(trials[i].status, larder_gutter_open(&options, NULL, &gutter, NULL, 0));
        larder_close(gutter);
        if (trials[i].status != LARDER_OK) { /* they are the caller's still */
            larder_close(options.of);
            larder_close(options.spare);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_holds),
        cmocka_unit_test(the_failure_of_the_first_is_told_when_both_are_down),
        cmocka_unit_test(no_ttl_on_the_spare_is_longer),
        cmocka_unit_test(a_lease_of_the_spare_is_filled_there),
        cmocka_unit_test(a_later_write_outlives_the_spares_copy),
        cmocka_unit_test(a_copy_that_was_long_on_its_way_is_outdated_as_well),
        cmocka_unit_test(a_spare_that_missed_a_delete_is_not_read_until_it_has_forgotten),
        cmocka_unit_test(a_flush_reaches_both),
        cmocka_unit_test(rows_that_turn_are_sorted_from_those_that_dont),
        cmocka_unit_test(ttl_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
