/* migration: the tables of docs/migration.md cell by cell, and what the page says beside them. */
#include "parts_asking.h"
#include "stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <larder/client.h>
#include <larder/memory.h>
#include <larder/migration.h>
#include <larder/util/deadline.h>

#define START_NS UINT64_C(1000000000)
#define HOUR_MS 3600000

static const char *const mode_names[] = {
#define MODE_NAME(name, number, text, percent) #text,
    LARDER_MIGRATION_MODE_TABLE(MODE_NAME)
#undef MODE_NAME
};
#define MODES (sizeof(mode_names) / sizeof(mode_names[0]))

struct pair {
    struct larder_manual_clock *clock;
    struct watched_part from, to;
    struct larder_cache *cache;
};

static void pair_open(struct pair *pair, enum larder_migration_mode mode)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    pair->clock = larder_manual_clock_new(START_NS);
    assert_non_null(pair->clock);
    watched_part_open(&pair->from, pair->clock);
    watched_part_open(&pair->to, pair->clock);
    options.from = pair->from.cache;
    options.to = pair->to.cache;
    options.mode = mode_names[mode - 1];
    open.clock = larder_manual_clock_of(pair->clock);
    assert_status(LARDER_OK, larder_migration_open(&options, &open, &pair->cache, NULL, 0));
}

static void pair_close(struct pair *pair)
{
    larder_close(pair->cache); /* and its parts */
    watched_part_free(&pair->from);
    watched_part_free(&pair->to);
    larder_manual_clock_free(pair->clock);
}

static void reset(struct pair *pair)
{
    larder_recording_reset(pair->from.log);
    larder_recording_reset(pair->to.log);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

static struct watched_part *leader(struct pair *pair, enum larder_migration_mode mode)
{
    return mode >= LARDER_MIGRATION_USE_TO_UPDATE_FROM ? &pair->to : &pair->from;
}

static struct watched_part *follower(struct pair *pair, enum larder_migration_mode mode)
{
    return mode >= LARDER_MIGRATION_USE_TO_UPDATE_FROM ? &pair->from : &pair->to;
}

static enum larder_status look(struct larder_cache *cache, const char *key, char *byte)
{
    *byte = '\0';
    return larder_read(cache, text(key), byte, 1, NULL);
}

static void assert_is(struct larder_cache *cache, const char *key, char wanted)
{
    char byte;
    assert_status(LARDER_OK, look(cache, key, &byte));
    assert_int_equal(byte, wanted);
}

static void assert_missing(struct larder_cache *cache, const char *key)
{
    char byte;
    assert_status(LARDER_MISS, look(cache, key, &byte));
}

/* ---- one cell ------------------------------------------------------------------------------ */

/* The key is "1" where it is answered and "7" where not, unless the call wants it to be missing. */
static void plant(struct pair *pair, enum larder_migration_mode mode, struct asking *asking)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    put(leader(pair, mode)->cache, "k", "1");
    put(follower(pair, mode)->cache, "k", "7");
    assert_status(LARDER_OK, larder_read(pair->cache, text("k"), &byte, 1, &info));
    asking->given = info.version;
    asking->key = asking->call->mode == LARDER_ADD ? "missing" : "k";
    if (is_about_a_lease(asking->call)) {
        asking->key = "missing";
        asking_take_lease(asking);
    }
}

static uint32_t operation_said(const char *cell)
{
    static const struct {
        const char *word;
        uint32_t operation;
    } words[] = {{"that", 0},
                 {"that, set", LARDER_ON(STORE)},
                 {"that, delete", LARDER_ON(DELETE)},
                 {"that, touch", LARDER_ON(TOUCH)}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, cell) == 0)
            return words[i].operation;
    fail_msg("docs/migration.md has a cell of no meaning: %s", cell);
    return 0;
}

/* @param follow  LARDER_ON(…) of what the side that doesn't answer gets; 0: nothing */
static void check_answer(enum larder_migration_mode mode, const struct call *call, int is_many,
                         enum larder_status status, uint32_t follow)
{
    struct pair pair;
    pair_open(&pair, mode);
    struct asking asking = {.cache = pair.cache, .call = call, .is_many = is_many};
    plant(&pair, mode, &asking);
    if (status != LARDER_OK)
        part_answers(leader(&pair, mode), call->operation, status);
    reset(&pair);
    enum larder_status given = call->ask(&asking);
    print_message("%s, %s%s, %s: %s\n", mode_names[mode - 1], call->name, is_many ? " (many)" : "",
                  larder_status_name(status), larder_status_name(given));
    assert_status(status, given);
    assert_int_equal(part_was_asked(leader(&pair, mode), call->operation, asking.key), 1);
    assert_int_equal(part_was_asked(leader(&pair, mode), 0, NULL), 1);
    if (call->reads && given == LARDER_OK)
        assert_memory_equal(asking.value.data, "1", 1);
    const struct watched_part *other = follower(&pair, mode);
    assert_int_equal(part_was_asked(other, 0, NULL), follow != 0);
    if (follow != 0)
        assert_int_equal(part_was_asked(other, follow, asking.key), 1);
    pair_close(&pair);
}

static void check_cell(const struct call *call, int is_many, enum larder_status status,
                       const char *cell)
{
    uint32_t follow = operation_said(cell);
    check_answer(LARDER_MIGRATION_ONLY_FROM, call, is_many, status, 0);
    check_answer(LARDER_MIGRATION_POPULATE_WRITES, call, is_many, status, follow);
    check_answer(LARDER_MIGRATION_USE_TO_UPDATE_FROM, call, is_many, status, follow);
    check_answer(LARDER_MIGRATION_ONLY_TO, call, is_many, status, 0);
}

static void every_cell_of_the_table_holds_in_every_mode(void **state)
{
    (void)state;
    every_cell(LARDER_SOURCE_DIR "/docs/migration.md", check_cell);
}

/* ---- what the other side gets -------------------------------------------------------------- */

static void the_other_side_gets_the_result_with_its_ttl(void **state)
{
    struct pair pair;
    struct larder_write write = larder_write_of(text("5"), HOUR_MS);
    struct larder_info info = {0};
    uint64_t version = 0;
    char byte;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    write.flags = 77;
    assert_status(LARDER_OK, larder_store(pair.cache, LARDER_ADD, text("k"), &write, &version));
    put(pair.to.cache, "k", "0"); /* as if somebody else had been there */
    write.version = version;
    assert_status(LARDER_OK, larder_store(pair.cache, LARDER_CAS, text("k"), &write, NULL));
    assert_is(pair.to.cache, "k", '5');
    assert_int_equal(ttl_left(pair.to.cache, "k"), HOUR_MS);
    assert_status(LARDER_OK, larder_read(pair.to.cache, text("k"), &byte, 1, &info));
    assert_int_equal(info.flags, 77);
    assert_status(LARDER_OK, larder_touch(pair.cache, text("k"), 1000));
    assert_int_equal(ttl_left(pair.to.cache, "k"), 1000);
    assert_status(LARDER_OK, larder_set_absent(pair.cache, text("k"), HOUR_MS));
    assert_status(LARDER_ABSENT, larder_read(pair.to.cache, text("k"), &byte, 1, NULL));
    pair_close(&pair);
}

static void a_read_that_touches_touches_both(void **state)
{
    struct pair pair;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_row row;
    char byte;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_USE_TO_UPDATE_FROM);
    put(pair.cache, "k", "1");
    call.touch_ttl_ms = 2000;
    assert_status(LARDER_OK, larder_read_with(pair.cache, &call, text("k"), &byte, 1, NULL));
    assert_int_equal(ttl_left(pair.from.cache, "k"), 2000);
    call.touch_ttl_ms = 3000;
    memset(&row, 0, sizeof(row));
    row.key = text("k");
    row.buffer = &byte;
    row.size = 1;
    assert_status(LARDER_OK, larder_many(pair.cache, &call, LARDER_MANY_READ, LARDER_SET, &row, 1,
                                         sizeof(row)));
    assert_int_equal(ttl_left(pair.from.cache, "k"), 3000);
    assert_int_equal(ttl_left(pair.to.cache, "k"), 3000);
    pair_close(&pair);
}

static void failures_of_the_other_side_are_only_counted(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    part_answers(&pair.to, 0, LARDER_UNAVAILABLE);
    put(pair.cache, "k", "1");
    assert_status(LARDER_OK, larder_delete(pair.cache, text("k"), 0));
    assert_int_equal(stat_of(pair.cache, "copies"), 2);
    assert_int_equal(stat_of(pair.cache, "copies_failed"), 2);
    pair_close(&pair);
}

/* One that is up and refuses a value must not keep the one before. */
static void a_copy_that_is_refused_is_deleted(void **state)
{
    static const enum larder_status refusals[] = {LARDER_NO_MEMORY, LARDER_TOO_LARGE,
                                                  LARDER_UNKNOWN};
    (void)state;
    for (int is_many = 0; is_many <= 1; is_many++)
        for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
            struct pair pair;
            pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
            put(pair.cache, "k", "1");
            part_answers(&pair.to, LARDER_ON(STORE), refusals[i]);
            struct larder_row row = {.key = text("k"), .write = larder_write_of(text("2"), 0)};
            if (is_many)
                assert_status(LARDER_OK, larder_store_multi(pair.cache, LARDER_SET, &row, 1));
            else
                put(pair.cache, "k", "2");
            assert_missing(pair.to.cache, "k");
            assert_is(pair.cache, "k", '2');
            pair_close(&pair);
        }
}

static void rows_follow_together_and_a_delete_comes_last(void **state)
{
    struct pair pair;
    struct larder_row rows[4];
    static const char *const keys[] = {"a", "b", "a", "c"};
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.match = larder_match_of(LARDER_ON(STORE), "a", LARDER_ANY_STATUS);
    fault.status = LARDER_UNKNOWN;
    fault.from = 1;
    fault.times = 1;
    assert_status(LARDER_OK, larder_faults_add(pair.from.faults, &fault));
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 4; i++) {
        rows[i].key = text(keys[i]);
        rows[i].write = larder_write_of(text("5"), 0);
    }
    assert_status(LARDER_UNKNOWN, larder_store_multi(pair.cache, LARDER_SET, rows, 4));
    struct larder_match first = larder_match_of(LARDER_ON(STORE), NULL, LARDER_ANY_STATUS);
    first.forms = LARDER_FORM_FIRST_ROW;
    assert_int_equal(larder_recording_count(pair.to.log, &first), 1);
    assert_missing(pair.to.cache, "a");
    assert_is(pair.to.cache, "b", '5');
    assert_is(pair.to.cache, "c", '5');
    pair_close(&pair);
}

/* ---- populating reads ---------------------------------------------------------------------- */

#define READS 20000

static const struct {
    enum larder_migration_mode mode;
    unsigned least, most;
} shares[] = {{LARDER_MIGRATION_POPULATE_READS_1_PERCENT, 160, 240},
              {LARDER_MIGRATION_POPULATE_READS_10_PERCENT, 1900, 2100}};

/* Different keys, so that each read that is drawn adds one. */
static void the_share_of_reads_that_is_said_is_populated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        struct pair pair;
        char key[16], byte;
        pair_open(&pair, shares[i].mode);
        for (unsigned read = 0; read < READS; read++) {
            snprintf(key, sizeof(key), "%u", read);
            put(pair.from.cache, key, "1");
            assert_status(LARDER_OK, look(pair.cache, key, &byte));
        }
        assert_in_range(stat_of(pair.cache, "populated"), shares[i].least, shares[i].most);
        assert_int_equal(stat_of(pair.cache, "populated_undone"), 0);
        assert_int_equal(part_was_asked(&pair.to, LARDER_ON(STORE), NULL),
                         stat_of(pair.cache, "populated"));
        pair_close(&pair);
    }
}

/* A program that reads a hundred keys in turn has all of them populated in the end. */
static void keys_that_are_read_in_turn_are_all_populated(void **state)
{
    struct pair pair;
    char key[16], byte;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_READS_1_PERCENT);
    for (unsigned i = 0; i < 100 * 100 * 10; i++) {
        snprintf(key, sizeof(key), "%u", i % 100);
        if (i < 100)
            put(pair.from.cache, key, "1");
        assert_status(LARDER_OK, look(pair.cache, key, &byte));
    }
    assert_int_equal(stat_of(pair.cache, "populated"), 100);
    pair_close(&pair);
}

/* Reads a key until a read was drawn. */
static void read_until_drawn(struct pair *pair, const char *key)
{
    char byte;
    reset(pair);
    for (unsigned i = 0; i < 1000 && part_was_asked(&pair->to, LARDER_ON(STORE), key) == 0; i++)
        (void)look(pair->cache, key, &byte);
    assert_int_equal(part_was_asked(&pair->to, LARDER_ON(STORE), key), 1);
}

static void a_populated_read_has_the_ttl_that_is_left(void **state)
{
    static const int64_t ttls[] = {LARDER_TTL_FOREVER, 5000};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pair pair;
        pair_open(&pair, LARDER_MIGRATION_POPULATE_READS_10_PERCENT);
        assert_status(LARDER_OK, larder_set(pair.from.cache, text("k"), text("1"), ttls[i]));
        larder_manual_clock_advance(pair.clock, 1000);
        read_until_drawn(&pair, "k");
        assert_is(pair.to.cache, "k", '1');
        assert_int_equal(ttl_left(pair.to.cache, "k"), ttls[i] == 0 ? 0 : ttls[i] - 1000);
        pair_close(&pair);
    }
}

static void what_is_there_is_not_populated_over(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_READS_10_PERCENT);
    put(pair.from.cache, "k", "1");
    put(pair.to.cache, "k", "2");
    read_until_drawn(&pair, "k");
    assert_is(pair.to.cache, "k", '2');
    assert_int_equal(stat_of(pair.cache, "populated"), 0);
    pair_close(&pair);
}

/* Somebody writes between the look at the entry and the one after it was added. */
struct meddler {
    struct larder_cache *cache; /* what lies under the log of `from` */
    void (*meddle)(struct larder_cache *cache);
    unsigned gets;
};

static void delete_it(struct larder_cache *cache)
{
    (void)larder_delete(cache, text("k"), 0);
}

static void overwrite_it(struct larder_cache *cache)
{
    put(cache, "k", "2");
}

static void let_it_end(struct larder_cache *cache)
{
    assert_status(LARDER_OK, larder_touch(cache, text("k"), 1));
}

static void meddle_after_the_first_get(void *context, struct larder_observed *call)
{
    struct meddler *meddler = context;
    if (call->operation == LARDER_OPERATION_GET && meddler->gets++ == 0)
        meddler->meddle(meddler->cache);
}

static struct larder_cache *meddled_open(struct meddler *meddler)
{
    struct larder_observer observer = LARDER_OBSERVER_INIT;
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &meddler->cache, NULL, 0));
    observer.context = meddler;
    observer.after = meddle_after_the_first_get;
    assert_status(LARDER_OK,
                  larder_observed_open(meddler->cache, &observer, NULL, &cache, NULL, 0));
    return cache;
}

static void a_value_that_changed_meanwhile_is_not_left_there(void **state)
{
    static void (*const meddles[])(struct larder_cache *) = {delete_it, overwrite_it, let_it_end};
    (void)state;
    for (size_t i = 0; i < sizeof(meddles) / sizeof(meddles[0]); i++) {
        struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
        struct meddler meddler = {.meddle = meddles[i]};
        struct larder_cache *to = NULL, *cache = NULL;
        char byte;
        options.from = meddled_open(&meddler);
        assert_status(LARDER_OK, larder_open("memory:", NULL, &to, NULL, 0));
        options.to = to;
        options.mode = "populate_reads_10_percent";
        assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
        put(meddler.cache, "k", "1");
        for (unsigned read = 0; read < 1000 && meddler.gets == 0; read++)
            (void)look(cache, "k", &byte);
        assert_int_equal(meddler.gets, 2);
        assert_missing(to, "k");
        assert_int_equal(stat_of(cache, "populated_undone"), 1);
        larder_close(cache);
    }
}

static void many_reads_are_populated_together(void **state)
{
    enum { ROWS = 40 };
    struct pair pair;
    struct larder_row rows[ROWS];
    char keys[ROWS][8], bytes[ROWS];
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_READS_10_PERCENT);
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%zu", i);
        rows[i].key = text(keys[i]);
        rows[i].buffer = &bytes[i];
        rows[i].size = 1;
        if (i % 4 != 0) /* the others are missing */
            put(pair.from.cache, keys[i], "1");
    }
    for (unsigned i = 0; i < 1000 && stat_of(pair.cache, "populated") == 0; i++)
        assert_status(LARDER_OK, larder_read_multi(pair.cache, rows, ROWS));
    assert_int_equal(stat_of(pair.cache, "populated"), ROWS - ROWS / 4);
    for (size_t i = 0; i < ROWS; i++)
        if (i % 4 != 0)
            assert_is(pair.to.cache, keys[i], '1');
    pair_close(&pair);
}

/* ---- switching ----------------------------------------------------------------------------- */

/* Through all modes and back: what was written in one is read in the next. */
static void a_write_is_read_in_the_next_mode(void **state)
{
    static const enum larder_migration_mode way[] = {LARDER_MIGRATION_POPULATE_WRITES,
                                                     LARDER_MIGRATION_POPULATE_READS_1_PERCENT,
                                                     LARDER_MIGRATION_POPULATE_READS_10_PERCENT,
                                                     LARDER_MIGRATION_USE_TO_UPDATE_FROM,
                                                     LARDER_MIGRATION_POPULATE_WRITES,
                                                     LARDER_MIGRATION_USE_TO_UPDATE_FROM,
                                                     LARDER_MIGRATION_ONLY_TO};
    struct pair pair;
    char value[2] = "0";
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    put(pair.cache, "k", value);
    for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
        assert_status(LARDER_OK, larder_migration_set_mode(pair.cache, way[i]));
        assert_int_equal(stat_of(pair.cache, "mode"), way[i]);
        assert_is(pair.cache, "k", value[0]);
        value[0]++;
        put(pair.cache, "k", value);
    }
    pair_close(&pair);
}

/* A counter is not known on the other side: it is missing there, and never an old one. */
static void a_counter_begins_anew_on_the_other_side(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    put(pair.cache, "n", "5");
    assert_status(LARDER_OK, larder_incr(pair.cache, text("n"), 1, NULL, NULL));
    assert_status(LARDER_OK,
                  larder_migration_set_mode(pair.cache, LARDER_MIGRATION_USE_TO_UPDATE_FROM));
    assert_status(LARDER_MISS, larder_incr(pair.cache, text("n"), 1, NULL, NULL));
    pair_close(&pair);
}

static void a_version_of_the_side_before_is_refused(void **state)
{
    struct pair pair;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    put(pair.cache, "k", "1");
    assert_status(LARDER_OK, larder_read(pair.cache, text("k"), &byte, 1, &info));
    assert_status(LARDER_OK,
                  larder_migration_set_mode(pair.cache, LARDER_MIGRATION_USE_TO_UPDATE_FROM));
    assert_status(LARDER_CONFLICT, larder_cas(pair.cache, text("k"), text("2"), 0, info.version));
    pair_close(&pair);
}

/* While both are written, nothing is lost; after that nobody can say what was. */
static void a_lease_is_filled_where_it_was_taken_while_both_are_written(void **state)
{
    static const struct {
        enum larder_migration_mode then;
        enum larder_status wanted;
    } trials[] = {{LARDER_MIGRATION_USE_TO_UPDATE_FROM, LARDER_OK},
                  {LARDER_MIGRATION_ONLY_TO, LARDER_CONFLICT}};
    struct larder_write write = larder_write_of(text("5"), HOUR_MS);
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct pair pair;
        struct larder_value value = {0};
        struct larder_lease lease;
        pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
        assert_status(LARDER_MISS, larder_lease_get(pair.cache, text("k"), 60000, &value, &lease));
        assert_true(lease.token != 0);
        assert_status(LARDER_OK, larder_migration_set_mode(pair.cache, trials[i].then));
        assert_status(trials[i].wanted, larder_lease_fill(pair.cache, text("k"), lease, &write));
        if (trials[i].wanted == LARDER_OK) {
            assert_is(pair.from.cache, "k", '5');
            assert_is(pair.cache, "k", '5');
        } else {
            assert_missing(pair.cache, "k");
        }
        pair_close(&pair);
    }
}

static void a_mode_that_is_none_is_refused(void **state)
{
    struct pair pair;
    struct larder_cache *other = NULL;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_ONLY_FROM);
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_migration_set_mode(pair.cache, (enum larder_migration_mode)0));
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_migration_set_mode(pair.cache, (enum larder_migration_mode)7));
    assert_int_equal(stat_of(pair.cache, "mode"), LARDER_MIGRATION_ONLY_FROM);
    assert_status(LARDER_OK, larder_open("null:", NULL, &other, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_migration_set_mode(other, LARDER_MIGRATION_ONLY_TO));
    larder_close(other);
    larder_shutdown(pair.cache);
    assert_status(LARDER_CLOSED, larder_migration_set_mode(pair.cache, LARDER_MIGRATION_ONLY_TO));
    pair_close(&pair);
}

#define ROUNDS 5000

struct worker {
    struct larder_cache *cache;
    char key[8];
    atomic_int *done;
    unsigned failures;
};

/* Writes in several ways, and reads what it wrote. */
static void *write_and_read(void *context)
{
    struct worker *worker = context;
    struct larder_slice key = text(worker->key);
    for (unsigned round = 0; round < ROUNDS; round++) {
        char value[16], found[16] = "";
        snprintf(value, sizeof(value), "%u", round);
        if (round % 3 == 0)
            (void)larder_delete(worker->cache, key, 0);
        enum larder_status status = round % 3 == 0 ? larder_add(worker->cache, key, text(value), 0)
                                                   : larder_set(worker->cache, key, text(value), 0);
        worker->failures += status != LARDER_OK;
        status = larder_read(worker->cache, key, found, sizeof(found), NULL);
        worker->failures += status != LARDER_OK || strcmp(found, value) != 0;
    }
    atomic_fetch_add(worker->done, 1);
    return NULL;
}

static void what_a_thread_wrote_it_reads_through_every_switch(void **state)
{
    enum { WORKERS = 2 };
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct larder_cache *cache = NULL;
    atomic_int done = 0;
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.from, NULL, 0));
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.to, NULL, 0));
    options.mode = "populate_writes";
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.cache = cache, .done = &done};
        snprintf(workers[i].key, sizeof(workers[i].key), "%u", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &workers[i]), 0);
    }
    for (unsigned i = 0; atomic_load(&done) < WORKERS; i++) {
        enum larder_migration_mode mode =
            (enum larder_migration_mode)(LARDER_MIGRATION_POPULATE_WRITES + i % 4);
        assert_status(LARDER_OK, larder_migration_set_mode(cache, mode));
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    larder_close(cache);
}

/* As a file does it: the parts stay, and so do their entries. */
static void write_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[old]\nuri = memory:\n[new]\nuri = memory:\n"
            "[front]\nuri = migration:?from=@old&to=@new&mode=%s\n"
            "[namespaces]\nmain = @front\n",
            mode);
    fclose(file);
}

static void a_reload_puts_another_mode_into_force(void **state)
{
    char path[] = "/tmp/larder-migration-XXXXXX", message[256];
    struct larder_cache *client = NULL;
    int descriptor = mkstemp(path);
    (void)state;
    assert_true(descriptor >= 0);
    close(descriptor);
    write_file(path, "populate_writes");
    assert_status(LARDER_OK, larder_open_file(path, NULL, &client, message, sizeof(message)));
    put(client, "k", "1");
    write_file(path, "only_to");
    assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
    assert_is(client, "k", '1');
    put(client, "k", "2");
    write_file(path, "only_from");
    assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
    assert_is(client, "k", '1'); /* it was left alone */
    write_file(path, "sideways");
    assert_status(LARDER_BAD_ARGUMENT, larder_reload(client, NULL, message, sizeof(message)));
    assert_non_null(strstr(message, "mode"));
    larder_close(client);
    unlink(path);
}

/* ---- time ---------------------------------------------------------------------------------- */

static const struct larder_entry *the_entry(const struct watched_part *part, uint32_t operation)
{
    const struct larder_match match = larder_match_of(operation, "k", LARDER_ANY_STATUS);
    size_t at = larder_recording_find(part->log, &match, 0);
    assert_int_not_equal(at, LARDER_NOT_RECORDED);
    return larder_recording_at(part->log, at);
}

/* Neither has more than the caller gave for both. */
static void a_deadline_holds_for_both_together(void **state)
{
    struct pair pair;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("1"), HOUR_MS);
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    call.timeout_ms = 30000;
    uint64_t before_ns = larder_monotonic_ns();
    assert_status(LARDER_OK,
                  larder_store_with(pair.cache, &call, LARDER_SET, text("k"), &write, NULL));
    uint64_t end_ns = larder_monotonic_ns() + UINT64_C(30000000000);
    uint64_t of_ns = the_entry(&pair.from, LARDER_ON(STORE))->call.deadline_ns;
    uint64_t other_ns = the_entry(&pair.to, LARDER_ON(STORE))->call.deadline_ns;
    assert_true(of_ns > before_ns && of_ns <= end_ns);
    assert_true(other_ns >= of_ns && other_ns <= end_ns);
    pair_close(&pair);
}

/* A side that stalls leaves the other one its part. */
static void a_short_deadline_is_shared_out(void **state)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("1"), HOUR_MS);
    struct timed_part from, to;
    struct larder_cache *cache = NULL;
    (void)state;
    options.from = timed_part_open(&from, 10000);
    options.to = timed_part_open(&to, 30000);
    options.mode = "populate_writes";
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
    assert_int_equal(larder_describe(cache)->timeout_ms, 40000);
    call.timeout_ms = 20000;
    assert_status(LARDER_OK, larder_store_with(cache, &call, LARDER_SET, text("k"), &write, NULL));
    assert_true(from.deadline_ns <= larder_monotonic_ns() + UINT64_C(5000000000));
    assert_true(from.deadline_ns < to.deadline_ns);
    assert_true(to.deadline_ns <= larder_monotonic_ns() + UINT64_C(20000000000));
    larder_close(cache);
}

static void what_is_populated_ends_with_its_entry_where_the_other_side_tells_no_ttl(void **state)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct timed_part to;
    struct larder_cache *cache = NULL;
    char byte;
    (void)state;
    assert_status(LARDER_OK, larder_memory_open(NULL, NULL, &options.from, NULL, 0));
    options.to = timed_part_open(&to, 30000);
    options.mode = "populate_reads_10_percent";
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
    assert_status(LARDER_OK, larder_set(cache, text("k"), text("1"), HOUR_MS / 60));
    to.ttl_ms = 0;
    for (int i = 0; i < 1000 && to.ttl_ms == 0; i++)
        assert_status(LARDER_OK, look(cache, "k", &byte));
    assert_in_range(to.ttl_ms, 1, HOUR_MS / 60);
    larder_close(cache);
}

/* A watched part may wait, as a server may. */
static void a_write_that_must_not_wait_is_made_on_neither(void **state)
{
    struct pair pair;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(text("1"), HOUR_MS);
    char byte;
    (void)state;
    pair_open(&pair, LARDER_MIGRATION_POPULATE_WRITES);
    put(pair.cache, "k", "1");
    reset(&pair);
    call.flags = LARDER_NO_WAIT;
    assert_status(LARDER_WOULD_BLOCK,
                  larder_store_with(pair.cache, &call, LARDER_SET, text("k"), &write, NULL));
    assert_status(LARDER_WOULD_BLOCK, larder_delete_with(pair.cache, &call, text("k"), 0));
    assert_int_equal(part_was_asked(&pair.from, 0, NULL), 0);
    assert_int_equal(part_was_asked(&pair.to, 0, NULL), 0);
    assert_status(LARDER_OK, larder_read_with(pair.cache, &call, text("k"), &byte, 1, NULL));
    pair_close(&pair);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void a_flush_reaches_those_that_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODES; i++) {
        enum larder_migration_mode mode = (enum larder_migration_mode)(i + 1);
        int is_only = mode == LARDER_MIGRATION_ONLY_FROM || mode == LARDER_MIGRATION_ONLY_TO;
        struct pair pair;
        pair_open(&pair, mode);
        part_answers(follower(&pair, mode), LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
        put(leader(&pair, mode)->cache, "k", "1");
        assert_status(is_only ? LARDER_OK : LARDER_UNAVAILABLE, larder_flush(pair.cache));
        assert_missing(leader(&pair, mode)->cache, "k");
        pair_close(&pair);
    }
}

static void traits_are_the_lesser_of_both_in_every_mode(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODES; i++) {
        struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
        struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
        struct larder_cache *cache = NULL;
        open.max_ttl_ms = 7000;
        assert_status(LARDER_OK, larder_open("null:", &open, &options.from, NULL, 0));
        assert_status(LARDER_OK, larder_open("memory:", NULL, &options.to, NULL, 0));
        options.mode = mode_names[i];
        assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
        const struct larder_traits *traits = larder_describe(cache);
        assert_int_equal(traits->ttl_max_ms, 7000);
        assert_int_equal(traits->consistency, LARDER_EVENTUAL);
        assert_int_equal(traits->promises & (LARDER_KEEPS_NOTHING | LARDER_MISS_IS_ABSENCE), 0);
        assert_int_equal(traits->options & LARDER_TAKES_NO_REPLY, 0);
        larder_close(cache);
    }
}

static void the_same_cache_twice_is_refused(void **state)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256];
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.from, NULL, 0));
    options.to = options.from;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_migration_open(&options, NULL, &cache, message, sizeof(message)));
    assert_string_equal(message, "from and to are the same cache; there is nothing to migrate");
    options.to = NULL;
    assert_status(LARDER_BAD_ARGUMENT, larder_migration_open(&options, NULL, &cache, NULL, 0));
    larder_close(options.from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_holds_in_every_mode),
        cmocka_unit_test(the_other_side_gets_the_result_with_its_ttl),
        cmocka_unit_test(a_read_that_touches_touches_both),
        cmocka_unit_test(failures_of_the_other_side_are_only_counted),
        cmocka_unit_test(a_copy_that_is_refused_is_deleted),
        cmocka_unit_test(rows_follow_together_and_a_delete_comes_last),
        cmocka_unit_test(the_share_of_reads_that_is_said_is_populated),
        cmocka_unit_test(keys_that_are_read_in_turn_are_all_populated),
        cmocka_unit_test(a_populated_read_has_the_ttl_that_is_left),
        cmocka_unit_test(what_is_there_is_not_populated_over),
        cmocka_unit_test(a_value_that_changed_meanwhile_is_not_left_there),
        cmocka_unit_test(many_reads_are_populated_together),
        cmocka_unit_test(a_write_is_read_in_the_next_mode),
        cmocka_unit_test(a_counter_begins_anew_on_the_other_side),
        cmocka_unit_test(a_version_of_the_side_before_is_refused),
        cmocka_unit_test(a_lease_is_filled_where_it_was_taken_while_both_are_written),
        cmocka_unit_test(a_mode_that_is_none_is_refused),
        cmocka_unit_test(what_a_thread_wrote_it_reads_through_every_switch),
        cmocka_unit_test(a_reload_puts_another_mode_into_force),
        cmocka_unit_test(a_deadline_holds_for_both_together),
        cmocka_unit_test(a_short_deadline_is_shared_out),
        cmocka_unit_test(what_is_populated_ends_with_its_entry_where_the_other_side_tells_no_ttl),
        cmocka_unit_test(a_write_that_must_not_wait_is_made_on_neither),
        cmocka_unit_test(a_flush_reaches_those_that_are_written),
        cmocka_unit_test(traits_are_the_lesser_of_both_in_every_mode),
        cmocka_unit_test(the_same_cache_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
