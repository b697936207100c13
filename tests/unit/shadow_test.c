/* shadow: the table of docs/shadow.md cell by cell, and what the page says beside it. */
#include "parts_asking.h"
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>

#include <larder/memory.h>
#include <larder/shadow.h>
#include <larder/util/deadline.h>

#define START_NS UINT64_C(1000000000)
#define HOUR_MS 3600000

struct pair {
    struct larder_manual_clock *clock;
    struct watched_part of, copy;
    struct larder_cache *cache;
};

static void pair_open(struct pair *pair, uint64_t share, int reads)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    pair->clock = larder_manual_clock_new(START_NS);
    assert_non_null(pair->clock);
    watched_part_open(&pair->of, pair->clock);
    watched_part_open(&pair->copy, pair->clock);
    options.of = pair->of.cache;
    options.copy = pair->copy.cache;
    options.share = share;
    options.reads = (uint64_t)reads;
    open.clock = larder_manual_clock_of(pair->clock);
    assert_status(LARDER_OK, larder_shadow_open(&options, &open, &pair->cache, NULL, 0));
}

static void pair_close(struct pair *pair)
{
    larder_close(pair->cache); /* and its parts */
    watched_part_free(&pair->of);
    watched_part_free(&pair->copy);
    larder_manual_clock_free(pair->clock);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

static enum larder_status look(struct larder_cache *cache, const char *key, char *byte)
{
    *byte = '\0';
    return larder_read(cache, text(key), byte, 1, NULL);
}

/* ---- one cell ------------------------------------------------------------------------------ */

/* The key is "1" in `of` and "7" in the copy, unless the call wants it to be missing. */
static void plant(struct pair *pair, struct asking *asking)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    put(pair->of.cache, "k", "1");
    put(pair->copy.cache, "k", "7");
    assert_status(LARDER_OK, larder_read(pair->of.cache, text("k"), &byte, 1, &info));
    asking->given = info.version;
    asking->key = asking->call->mode == LARDER_ADD ? "missing" : "k";
    if (is_about_a_lease(asking->call)) {
        asking->key = "missing";
        asking_take_lease(asking);
    }
}

static void check_copy(const struct pair *pair, const struct asking *asking, const char *cell,
                       int reads)
{
    static const struct {
        const char *word;
        uint32_t operation;
    } words[] = {{"set", LARDER_ON(STORE)},
                 {"delete", LARDER_ON(DELETE)},
                 {"touch", LARDER_ON(TOUCH)},
                 {"read", LARDER_ON(GET)}};
    size_t all = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t wanted = says(cell, words[i].word) && (i < 3 || reads);
        assert_int_equal(part_was_asked(&pair->copy, words[i].operation, asking->key), wanted);
        all += wanted;
    }
    assert_int_equal(part_was_asked(&pair->copy, 0, NULL), all);
}

static void check_answer(const struct call *call, int is_many, enum larder_status status,
                         const char *cell, uint64_t share, int reads)
{
    struct pair pair;
    pair_open(&pair, share, reads);
    struct asking asking = {.cache = pair.cache, .call = call, .is_many = is_many};
    plant(&pair, &asking);
    if (status != LARDER_OK)
        part_answers(&pair.of, call->operation, status);
    larder_recording_reset(pair.of.log);
    larder_recording_reset(pair.copy.log);
    enum larder_status given = call->ask(&asking);
    print_message("%s%s, %s: %s\n", call->name, is_many ? " (many)" : "",
                  larder_status_name(status), larder_status_name(given));
    assert_status(status, given);
    assert_int_equal(part_was_asked(&pair.of, call->operation, asking.key), 1);
    assert_int_equal(part_was_asked(&pair.of, 0, NULL), 1);
    if (call->reads && given == LARDER_OK)
        assert_memory_equal(asking.value.data, "1", 1);
    check_copy(&pair, &asking, cell, reads && status != LARDER_CONFLICT);
    pair_close(&pair);
}

static void check_cell(const struct call *call, int is_many, enum larder_status status,
                       const char *cell)
{
    static const char *const words[] = {"that",        "that, read",   "that, touch, read",
                                        "that, touch", "that, delete", "that, set"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        known += strcmp(cell, words[i]) == 0;
    assert_int_equal(known, 1);
    check_answer(call, is_many, status, cell, 100, 0);
    check_answer(call, is_many, status, cell, 100, 1);
}

static void every_cell_of_the_table_holds(void **state)
{
    (void)state;
    every_cell(LARDER_SOURCE_DIR "/docs/shadow.md", check_cell);
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void set_flags(struct larder_cache *cache, const char *key, const char *value,
                      uint32_t flags)
{
    struct larder_write write = larder_write_of(text(value), HOUR_MS);
    write.flags = flags;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, text(key), &write, NULL));
}

/* One key for each way in which two caches can differ. */
static void plant_differences(struct pair *pair)
{
    put(pair->cache, "same", "123");
    put(pair->of.cache, "bytes", "123");
    put(pair->copy.cache, "bytes", "124");
    put(pair->of.cache, "length", "1");
    put(pair->copy.cache, "length", "12");
    set_flags(pair->of.cache, "flags", "1", 1);
    set_flags(pair->copy.cache, "flags", "1", 2);
    put(pair->of.cache, "missing", "1");
    put(pair->copy.cache, "extra", "1");
}

static const char *const differences[] = {"same",    "bytes", "length", "flags",
                                          "missing", "extra", "neither"};
#define DIFFERENCES (sizeof(differences) / sizeof(differences[0]))

static void assert_compared(struct pair *pair, uint64_t times)
{
    assert_int_equal(stat_of(pair->cache, "reads_same"), 2 * times);
    assert_int_equal(stat_of(pair->cache, "reads_differ"), 3 * times);
    assert_int_equal(stat_of(pair->cache, "reads_missing"), times);
    assert_int_equal(stat_of(pair->cache, "reads_extra"), times);
    assert_int_equal(stat_of(pair->cache, "reads_failed"), 0);
}

static void reads_are_compared(void **state)
{
    struct pair pair;
    struct larder_value value = {0};
    char buffer[8];
    (void)state;
    pair_open(&pair, 100, 1);
    plant_differences(&pair);
    for (size_t i = 0; i < DIFFERENCES; i++)
        (void)!larder_read(pair.cache, text(differences[i]), buffer, sizeof(buffer), NULL);
    assert_compared(&pair, 1);
    for (size_t i = 0; i < DIFFERENCES; i++) {
        (void)!larder_get(pair.cache, text(differences[i]), &value);
        larder_value_release(&value);
    }
    assert_compared(&pair, 2);
    pair_close(&pair);
}

static void reads_of_many_keys_are_compared_together(void **state)
{
    static const enum larder_many_kind kinds[] = {LARDER_MANY_READ, LARDER_MANY_GET};
    struct pair pair;
    struct larder_row rows[DIFFERENCES];
    char buffers[DIFFERENCES][8];
    struct larder_match first = larder_match_of(LARDER_ON(GET), NULL, LARDER_ANY_STATUS);
    (void)state;
    first.forms = LARDER_FORM_FIRST_ROW;
    pair_open(&pair, 100, 1);
    plant_differences(&pair);
    for (uint64_t kind = 0; kind < 2; kind++) {
        memset(rows, 0, sizeof(rows));
        for (size_t i = 0; i < DIFFERENCES; i++) {
            rows[i].key = text(differences[i]);
            rows[i].buffer = buffers[i];
            rows[i].size = sizeof(buffers[i]);
        }
        assert_status(LARDER_OK, larder_many(pair.cache, NULL, kinds[kind], LARDER_SET, rows,
                                             DIFFERENCES, sizeof(rows[0])));
        larder_rows_release(rows, DIFFERENCES);
        assert_int_equal(larder_recording_count(pair.copy.log, &first), kind + 1);
        assert_compared(&pair, kind + 1);
    }
    pair_close(&pair);
}

/* What the caller did not read is not compared, but for its length. */
static void a_short_buffer_is_compared_as_far_as_it_goes(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    pair_open(&pair, 100, 1);
    put(pair.of.cache, "k", "123");
    put(pair.copy.cache, "k", "124");
    assert_status(LARDER_PARTIAL, look(pair.cache, "k", &byte));
    assert_status(LARDER_PARTIAL, larder_read(pair.cache, text("k"), NULL, 0, NULL));
    assert_int_equal(stat_of(pair.cache, "reads_same"), 2);
    put(pair.copy.cache, "k", "12");
    assert_status(LARDER_PARTIAL, look(pair.cache, "k", &byte));
    assert_int_equal(stat_of(pair.cache, "reads_differ"), 1);
    pair_close(&pair);
}

static void a_dead_copy_changes_no_answer(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    pair_open(&pair, 100, 1);
    part_answers(&pair.copy, 0, LARDER_UNAVAILABLE);
    put(pair.cache, "k", "1");
    assert_status(LARDER_OK, look(pair.cache, "k", &byte));
    assert_int_equal(byte, '1');
    assert_status(LARDER_OK, larder_delete(pair.cache, text("k"), 0));
    assert_status(LARDER_OK, larder_flush(pair.cache));
    assert_int_equal(stat_of(pair.cache, "copies_failed"), 2);
    assert_int_equal(stat_of(pair.cache, "reads_failed"), 1);
    assert_int_equal(stat_of(pair.cache, "flushes_failed"), 1);
    pair_close(&pair);
}

/* ---- what the copy gets -------------------------------------------------------------------- */

#define KEYS 10000

static void a_key_is_copied_always_or_never(void **state)
{
    struct pair small, large;
    char key[16], byte;
    unsigned copied[2] = {0, 0};
    (void)state;
    pair_open(&small, 5, 0);
    pair_open(&large, 20, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        put(small.cache, key, "1");
        put(large.cache, key, "1");
        int in_small = look(small.copy.cache, key, &byte) == LARDER_OK;
        int in_large = look(large.copy.cache, key, &byte) == LARDER_OK;
        assert_true(in_large || !in_small);
        assert_status(LARDER_OK, larder_delete(small.cache, text(key), 0));
        assert_status(LARDER_MISS, look(small.copy.cache, key, &byte));
        copied[0] += (unsigned)in_small;
        copied[1] += (unsigned)in_large;
    }
    assert_in_range(copied[0], KEYS * 4 / 100, KEYS * 6 / 100);
    assert_in_range(copied[1], KEYS * 19 / 100, KEYS * 21 / 100);
    assert_int_equal(stat_of(small.cache, "copies"), 2 * copied[0]);
    assert_int_equal(stat_of(large.cache, "copies"), copied[1]);
    pair_close(&small);
    pair_close(&large);
}

/* A copy with a shorter longest value and a maximum TTL. */
static void what_the_copy_cant_hold_is_deleted_there(void **state)
{
    struct larder_memory_options small = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *copy = NULL, *cache = NULL;
    char byte;
    (void)state;
    small.max_bytes = 1u << 20;
    open.max_ttl_ms = 5000;
    assert_status(LARDER_OK, larder_memory_open(NULL, NULL, &options.of, NULL, 0));
    assert_status(LARDER_OK, larder_memory_open(&small, &open, &copy, NULL, 0));
    options.copy = copy;
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &cache, NULL, 0));
    size_t length = (size_t)larder_describe(copy)->value_max + 1;
    char *value = calloc(1, length);
    assert_non_null(value);
    put(cache, "k", "1");
    assert_in_range(ttl_left(copy, "k"), 1, 5000);
    assert_int_equal(ttl_left(cache, "k"), LARDER_TTL_FOREVER);
    assert_status(LARDER_OK, larder_set(cache, text("k"), larder_bytes(value, length), 0));
    assert_status(LARDER_MISS, look(copy, "k", &byte));
    assert_int_equal(stat_of(cache, "copies_left_out"), 1);
    struct larder_row row = {.key = text("k"),
                             .write = larder_write_of(larder_bytes(value, length), 0)};
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_SET, &row, 1));
    assert_int_equal(stat_of(cache, "copies_left_out"), 2);
    assert_int_equal(stat_of(cache, "copies_failed"), 0);
    free(value);
    larder_close(cache);
}

/* Nobody says whether such an add was taken. */
static void a_condition_without_an_answer_has_no_result(void **state)
{
    struct pair pair;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("2"), HOUR_MS);
    char byte;
    (void)state;
    pair_open(&pair, 100, 0);
    call.flags = LARDER_NO_REPLY;
    assert_status(LARDER_OK,
                  larder_store_with(pair.cache, &call, LARDER_ADD, text("k"), &write, NULL));
    assert_status(LARDER_MISS, look(pair.copy.cache, "k", &byte));
    assert_status(LARDER_OK,
                  larder_store_with(pair.cache, &call, LARDER_SET, text("k"), &write, NULL));
    assert_status(LARDER_OK, look(pair.copy.cache, "k", &byte));
    pair_close(&pair);
}

/* The copy gets what is left of it. */
static void the_copy_takes_no_time_of_the_cache_that_answers(void **state)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("1"), HOUR_MS);
    struct timed_part of, copy;
    struct larder_cache *cache = NULL;
    (void)state;
    options.of = timed_part_open(&of, 30000);
    options.copy = timed_part_open(&copy, 30000);
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &cache, NULL, 0));
    assert_int_equal(larder_describe(cache)->timeout_ms, 60000);
    call.timeout_ms = 20000;
    assert_status(LARDER_OK, larder_store_with(cache, &call, LARDER_SET, text("k"), &write, NULL));
    assert_true(of.deadline_ns == copy.deadline_ns);
    assert_true(of.deadline_ns <= larder_monotonic_ns() + UINT64_C(20000000000));
    larder_close(cache);
}

/* A watched part may wait, as a server may. */
static void what_must_not_wait_is_not_refused_for_the_copys_sake(void **state)
{
    struct pair pair;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("1"), HOUR_MS);
    (void)state;
    pair_open(&pair, 100, 0);
    call.flags = LARDER_NO_WAIT;
    assert_status(LARDER_OK,
                  larder_store_with(pair.cache, &call, LARDER_SET, text("k"), &write, NULL));
    pair_close(&pair);
}

/* ---- sessions, traits, opening ------------------------------------------------------------- */

static void a_session_copies_as_well(void **state)
{
    struct pair pair;
    struct larder_cache *session = NULL;
    char byte;
    (void)state;
    pair_open(&pair, 100, 1);
    assert_status(LARDER_OK, larder_acquire(pair.cache, 1000, 0, &session));
    put(session, "k", "1");
    assert_status(LARDER_OK, look(session, "k", &byte));
    assert_status(LARDER_OK, look(pair.copy.cache, "k", &byte));
    assert_int_equal(stat_of(pair.cache, "reads_same"), 1);
    larder_release(session);
    pair_close(&pair);
}

static void traits_are_those_of_the_cache_that_answers(void **state)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
    assert_status(LARDER_OK, larder_open("null:", NULL, &options.copy, NULL, 0));
    const struct larder_traits of = *larder_describe(options.of);
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &cache, NULL, 0));
    assert_memory_equal(larder_describe(cache), &of, sizeof(of));
    larder_close(cache);
}

static void options_have_bounds(void **state)
{
    static const struct {
        uint64_t share;
        enum larder_status status;
    } trials[] = {
        {0, LARDER_BAD_ARGUMENT}, {1, LARDER_OK}, {100, LARDER_OK}, {101, LARDER_BAD_ARGUMENT}};
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
        struct larder_cache *cache = NULL;
        assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
        assert_status(LARDER_OK, larder_open("null:", NULL, &options.copy, NULL, 0));
        options.share = trials[i].share;
        assert_status(trials[i].status, larder_shadow_open(&options, NULL, &cache, NULL, 0));
        larder_close(cache);
        if (trials[i].status != LARDER_OK) { /* they are the caller's still */
            larder_close(options.of);
            larder_close(options.copy);
        }
    }
}

static void the_same_cache_twice_is_refused(void **state)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256];
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
    options.copy = options.of;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_shadow_open(&options, NULL, &cache, message, sizeof(message)));
    assert_string_equal(message, "of and copy are the same cache; a shadow is another one");
    larder_close(options.of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_holds),
        cmocka_unit_test(reads_are_compared),
        cmocka_unit_test(reads_of_many_keys_are_compared_together),
        cmocka_unit_test(a_short_buffer_is_compared_as_far_as_it_goes),
        cmocka_unit_test(a_dead_copy_changes_no_answer),
        cmocka_unit_test(a_key_is_copied_always_or_never),
        cmocka_unit_test(what_the_copy_cant_hold_is_deleted_there),
        cmocka_unit_test(a_condition_without_an_answer_has_no_result),
        cmocka_unit_test(the_copy_takes_no_time_of_the_cache_that_answers),
        cmocka_unit_test(what_must_not_wait_is_not_refused_for_the_copys_sake),
        cmocka_unit_test(a_session_copies_as_well),
        cmocka_unit_test(traits_are_those_of_the_cache_that_answers),
        cmocka_unit_test(options_have_bounds),
        cmocka_unit_test(the_same_cache_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
