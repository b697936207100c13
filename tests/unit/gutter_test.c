/* gutter: the table of docs/gutter.md cell by cell, and what the page says beside it. */
#include "support.h"
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
    struct larder_faults *of_faults, *spare_faults;
    struct larder_recording *of_log, *spare_log;
    struct larder_cache *of, *spare, *gutter;
};

static void pair_open(struct pair *pair)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    pair->clock = larder_manual_clock_new(START_NS);
    assert_non_null(pair->clock);
    open.clock = larder_manual_clock_of(pair->clock);
    pair->of = watched_memory_open(open.clock, &pair->of_faults, &pair->of_log);
    pair->spare = watched_memory_open(open.clock, &pair->spare_faults, &pair->spare_log);
    options.of = pair->of;
    options.spare = pair->spare;
    options.ttl_ms = TTL_MS;
    assert_status(LARDER_OK, larder_gutter_open(&options, &open, &pair->gutter, NULL, 0));
}

static void pair_close(struct pair *pair)
{
    larder_close(pair->gutter); /* and its parts */
    larder_faults_free(pair->of_faults);
    larder_faults_free(pair->spare_faults);
    larder_recording_free(pair->of_log);
    larder_recording_free(pair->spare_log);
    larder_manual_clock_free(pair->clock);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

static void put(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, text(key), text(value), LARDER_TTL_FOREVER));
}

/* ---- the calls of the table ---------------------------------------------------------------- */

struct asking {
    struct pair *pair;
    const struct call *call;
    int is_many;
    const char *key;
    struct larder_slice value; /* what a read brought; of `bytes` */
    char bytes[16];
    uint64_t version; /* that came with it */
    uint64_t given;   /* the version that a call names */
    struct larder_lease lease;
};

typedef enum larder_status ask_fn(struct asking *asking);

struct call {
    const char *name;
    ask_fn *ask;
    uint32_t operation; /* LARDER_ON(…) as the parts see it */
    int reads, has_many, leaves_a_ttl;
    enum larder_mode mode;
};

static void take(struct asking *asking, const void *data, const struct larder_info *info)
{
    size_t length = info->length < sizeof(asking->bytes) ? info->length : sizeof(asking->bytes);
    memcpy(asking->bytes, data, length);
    asking->value = larder_bytes(asking->bytes, length);
    asking->version = info->version;
}

/* A row between two that are answered without any cache. */
static enum larder_status ask_many(struct asking *asking, enum larder_many_kind many,
                                   const struct larder_write *write)
{
    struct larder_row rows[3];
    char buffer[16];
    memset(rows, 0, sizeof(rows));
    rows[1].key = text(asking->key);
    rows[1].buffer = buffer;
    rows[1].size = sizeof(buffer);
    rows[1].value.info.want = LARDER_WANT_VERSION;
    if (write != NULL)
        rows[1].write = *write;
    (void)larder_many(asking->pair->gutter, NULL, many, asking->call->mode, rows, 3,
                      sizeof(rows[0]));
    assert_status(LARDER_BAD_KEY, rows[0].status);
    assert_status(LARDER_BAD_KEY, rows[2].status);
    if (rows[1].status == LARDER_OK && many == LARDER_MANY_READ)
        take(asking, buffer, &rows[1].value.info);
    if (rows[1].status == LARDER_OK && many == LARDER_MANY_GET)
        take(asking, rows[1].value.bytes.data, &rows[1].value.info);
    enum larder_status status = rows[1].status;
    larder_rows_release(rows, 3);
    return status;
}

static enum larder_status ask_read(struct asking *asking)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char buffer[16];
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_READ, NULL);
    enum larder_status status =
        larder_read(asking->pair->gutter, text(asking->key), buffer, sizeof(buffer), &info);
    if (status == LARDER_OK)
        take(asking, buffer, &info);
    return status;
}

static enum larder_status taken(struct asking *asking, enum larder_status status,
                                struct larder_value *value)
{
    if (status == LARDER_OK)
        take(asking, value->bytes.data, &value->info);
    larder_value_release(value);
    return status;
}

static enum larder_status ask_get(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_GET, NULL);
    return taken(asking, larder_get(asking->pair->gutter, text(asking->key), &value), &value);
}

static enum larder_status ask_get_and_touch(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    return taken(
        asking,
        larder_get_and_touch(asking->pair->gutter, text(asking->key), LARDER_TTL_FOREVER, &value),
        &value);
}

static enum larder_status ask_lease_get(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    return taken(
        asking,
        larder_lease_get(asking->pair->gutter, text(asking->key), 60000, &value, &asking->lease),
        &value);
}

static enum larder_status ask_store(struct asking *asking)
{
    struct larder_write write = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    uint64_t version = 0;
    if (asking->call->mode == LARDER_CAS)
        write.version = asking->given;
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_STORE, &write);
    enum larder_status status =
        larder_store(asking->pair->gutter, asking->call->mode, text(asking->key), &write, &version);
    asking->version = version;
    return status;
}

static enum larder_status ask_touch(struct asking *asking)
{
    const struct larder_write write = {.ttl_ms = LARDER_TTL_FOREVER};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_TOUCH, &write);
    return larder_touch(asking->pair->gutter, text(asking->key), LARDER_TTL_FOREVER);
}

static enum larder_status ask_delete(struct asking *asking)
{
    const struct larder_write write = {0};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_DELETE, &write);
    return larder_delete(asking->pair->gutter, text(asking->key), 0);
}

static enum larder_status ask_delete_at(struct asking *asking)
{
    const struct larder_write write = {.version = asking->given};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_DELETE, &write);
    return larder_delete(asking->pair->gutter, text(asking->key), asking->given);
}

static enum larder_status ask_count(struct asking *asking)
{
    const struct larder_initial initial = {.value = 1, .ttl_ms = LARDER_TTL_FOREVER};
    return larder_incr(asking->pair->gutter, text(asking->key), 1, &initial, NULL);
}

static enum larder_status ask_fill(struct asking *asking)
{
    struct larder_write write = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    return larder_lease_fill(asking->pair->gutter, text(asking->key), asking->lease, &write);
}

static enum larder_status ask_return(struct asking *asking)
{
    return larder_lease_return(asking->pair->gutter, text(asking->key), asking->lease);
}

static const struct call calls[] = {
    {"read", ask_read, LARDER_ON(READ), 1, 1, 0, LARDER_SET},
    {"get", ask_get, LARDER_ON(GET), 1, 1, 0, LARDER_SET},
    {"get_and_touch", ask_get_and_touch, LARDER_ON(GET_AND_TOUCH), 1, 0, 1, LARDER_SET},
    {"lease_get", ask_lease_get, LARDER_ON(LEASE_GET), 1, 0, 0, LARDER_SET},
    {"set", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_SET},
    {"add", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_ADD},
    {"replace", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_REPLACE},
    {"append", ask_store, LARDER_ON(STORE), 0, 1, 0, LARDER_APPEND},
    {"cas", ask_store, LARDER_ON(STORE), 0, 1, 0, LARDER_CAS},
    {"touch", ask_touch, LARDER_ON(TOUCH), 0, 1, 1, LARDER_SET},
    {"count", ask_count, LARDER_ON(COUNT), 0, 0, 1, LARDER_SET},
    {"delete", ask_delete, LARDER_ON(DELETE), 0, 1, 0, LARDER_SET},
    {"delete at a version", ask_delete_at, LARDER_ON(DELETE), 0, 1, 0, LARDER_SET},
    {"lease_fill", ask_fill, LARDER_ON(LEASE_FILL), 0, 0, 0, LARDER_SET},
    {"lease_return", ask_return, LARDER_ON(LEASE_RETURN), 0, 0, 0, LARDER_SET},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- one cell ------------------------------------------------------------------------------ */

static int is_about_a_lease(const struct call *call)
{
    return call->ask == ask_fill || call->ask == ask_return;
}

/* The key is "1" in `of` and "7" in the spare, unless the call wants it to be missing. */
static void plant(struct asking *asking)
{
    struct pair *pair = asking->pair;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    asking->key = "k";
    if (asking->call->mode == LARDER_ADD || is_about_a_lease(asking->call))
        asking->key = "missing";
    put(pair->of, "k", "1");
    put(pair->spare, "k", "7");
    assert_status(LARDER_OK, larder_read(pair->gutter, text("k"), &byte, 1, &info));
    asking->given = info.version;
    if (is_about_a_lease(asking->call)) {
        asking->key = "missing";
        assert_status(LARDER_MISS, ask_lease_get(asking));
        assert_true(asking->lease.token != 0);
    }
}

/* A write turns, so that the spare may hold copies. */
static void turn_once(struct pair *pair)
{
    answer(pair->of_faults, LARDER_ON(STORE), LARDER_UNAVAILABLE);
    put(pair->gutter, "another", "9");
    larder_faults_reset(pair->of_faults);
    put(pair->of, "another", "9");
}

static void assert_lowered(const struct asking *asking)
{
    struct larder_recording *log = asking->pair->spare_log;
    const struct larder_match match =
        larder_match_of(asking->call->operation, asking->key, LARDER_ANY_STATUS);
    size_t at = larder_recording_find(log, &match, 0);
    assert_int_not_equal(at, LARDER_NOT_RECORDED);
    if (asking->call->leaves_a_ttl)
        assert_int_equal(larder_recording_at(log, at)->call.ttl_ms, TTL_MS);
}

static int says(const char *cell, const char *word)
{
    return strstr(cell, word) != NULL;
}

static void check_spare(const struct asking *asking, const char *cell, int may_hold)
{
    struct larder_recording *log = asking->pair->spare_log;
    size_t deletes = says(cell, "delete") || (says(cell, "drop") && may_hold);
    if (says(cell, "spare")) {
        assert_int_equal(asked(log, asking->call->operation, asking->key), 1);
        assert_lowered(asking);
    }
    assert_int_equal(asked(log, LARDER_ON(DELETE), asking->key), deletes);
    assert_int_equal(asked(log, 0, NULL), deletes + (says(cell, "spare") ? 1 : 0));
}

/* @param status  what `of` answers; OK: it does so by itself */
static void check_cell(const struct call *call, int is_many, int may_hold,
                       enum larder_status status, const char *cell)
{
    struct pair pair;
    pair_open(&pair);
    struct asking asking = {.pair = &pair, .call = call, .is_many = is_many};
    if (may_hold)
        turn_once(&pair);
    plant(&asking);
    if (status != LARDER_OK)
        answer(pair.of_faults, call->operation, status);
    larder_recording_reset(pair.of_log);
    larder_recording_reset(pair.spare_log);
    enum larder_status given = call->ask(&asking);
    print_message("%s%s, %s%s: %s\n", call->name, is_many ? " (many)" : "",
                  larder_status_name(status), may_hold ? ", the spare may hold copies" : "",
                  larder_status_name(given));
    assert_status(says(cell, "spare") ? LARDER_OK : status, given);
    assert_int_equal(asked(pair.of_log, call->operation, asking.key), 1);
    if (call->reads && given == LARDER_OK)
        assert_memory_equal(asking.value.data, says(cell, "spare") ? "7" : "1", 1);
    if (says(cell, "spare"))
        assert_int_equal(asking.version, 0);
    check_spare(&asking, cell, may_hold);
    pair_close(&pair);
}

/* ---- the table ----------------------------------------------------------------------------- */

#define COLUMNS 5
#define STATUSES 3

static const struct {
    const char *title;
    enum larder_status statuses[STATUSES]; /* repeated where there are fewer */
} columns[COLUMNS] = {
    {"OK", {LARDER_OK, LARDER_OK, LARDER_OK}},
    {"another answer", {LARDER_MISS, LARDER_CONFLICT, LARDER_MISS}},
    {"UNAVAILABLE, TIMEOUT, PROTOCOL", {LARDER_UNAVAILABLE, LARDER_TIMEOUT, LARDER_PROTOCOL}},
    {"UNKNOWN", {LARDER_UNKNOWN, LARDER_UNKNOWN, LARDER_UNKNOWN}},
    {"another failure", {LARDER_NO_MEMORY, LARDER_TOO_LARGE, LARDER_UNSUPPORTED}},
};

/* Takes the text up to `mark` off *at, without spaces around it. */
static int next_part(char **at, char mark, char part[128])
{
    while (**at == ' ')
        ++*at;
    size_t length = strcspn(*at, (char[]){mark, '\n', '\0'});
    if (length == 0 || length >= 128)
        return 0;
    memcpy(part, *at, length);
    *at += length + ((*at)[length] == mark);
    while (length > 0 && part[length - 1] == ' ')
        length--;
    part[length] = '\0';
    return length > 0;
}

static int read_cells(char *line, char cells[COLUMNS + 1][128])
{
    if (line[0] != '|')
        return 0;
    char *at = line + 1;
    for (size_t i = 0; i <= COLUMNS; i++)
        if (!next_part(&at, '|', cells[i]))
            return 0;
    return 1;
}

static int is_a_word(const char *cell)
{
    static const char *const words[] = {"that", "that, drop", "that, delete", "spare"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(cell, words[i]) == 0)
            return 1;
    return 0;
}

static void check_call(const struct call *call, char cells[COLUMNS + 1][128])
{
    for (size_t column = 0; column < COLUMNS; column++) {
        const char *cell = cells[column + 1];
        assert_true(is_a_word(cell));
        for (size_t i = 0; i < STATUSES; i++)
            for (int is_many = 0; is_many <= call->has_many; is_many++)
                for (int may_hold = 0; may_hold <= 1; may_hold++)
                    check_cell(call, is_many, may_hold, columns[column].statuses[i], cell);
    }
}

static const struct call *call_named(const char *name)
{
    for (size_t i = 0; i < CALLS; i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    fail_msg("docs/gutter.md has a call that is not tried: %s", name);
    return NULL;
}

static void check_row(char cells[COLUMNS + 1][128], unsigned checked[CALLS])
{
    char *at = cells[0], name[128];
    while (next_part(&at, ',', name)) {
        const struct call *call = call_named(name);
        check_call(call, cells);
        checked[call - calls]++;
    }
}

static void every_cell_of_the_table_holds(void **state)
{
    char line[1024], cells[COLUMNS + 1][128];
    unsigned checked[CALLS] = {0};
    int in_table = 0;
    (void)state;
    FILE *page = fopen(LARDER_SOURCE_DIR "/docs/gutter.md", "r");
    assert_non_null(page);
    while (fgets(line, sizeof(line), page) != NULL) {
        int is_row = read_cells(line, cells);
        if (is_row && strcmp(cells[0], "call") == 0) {
            in_table = 1;
            for (size_t i = 0; i < COLUMNS; i++)
                assert_string_equal(cells[i + 1], columns[i].title);
        } else if (is_row && in_table && cells[0][0] != '-') {
            check_row(cells, checked);
        } else if (!is_row) {
            in_table = 0;
        }
    }
    fclose(page);
    for (size_t i = 0; i < CALLS; i++)
        if (checked[i] != 1)
            fail_msg("%s is in %u rows of docs/gutter.md", calls[i].name, checked[i]);
}

/* ---- both are down ------------------------------------------------------------------------- */

static void the_failure_of_the_first_is_told_when_both_are_down(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    pair_open(&pair);
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
    answer(pair.spare_faults, 0, LARDER_TIMEOUT);
    assert_status(LARDER_UNAVAILABLE, larder_read(pair.gutter, text("k"), &byte, 1, NULL));
    assert_status(LARDER_UNAVAILABLE, larder_set(pair.gutter, text("k"), text("v"), 0));
    larder_faults_reset(pair.spare_faults);
    answer(pair.spare_faults, LARDER_ON_WRITES, LARDER_UNKNOWN);
    assert_status(LARDER_UNKNOWN, larder_set(pair.gutter, text("k"), text("v"), 0));
    pair_close(&pair);
}

/* ---- what is on the spare ------------------------------------------------------------------ */

static int64_t ttl_left(struct larder_cache *cache, const char *key)
{
    struct larder_info info = {.want = LARDER_WANT_TTL};
    char byte;
    enum larder_status status = larder_read(cache, text(key), &byte, 1, &info);
    assert_true(status == LARDER_OK || status == LARDER_PARTIAL);
    return info.ttl_ms;
}

static void no_ttl_on_the_spare_is_longer(void **state)
{
    static const int64_t given[] = {1, TTL_MS - 1, TTL_MS, TTL_MS + 1, 86400000, INT64_MAX, 0};
    struct pair pair;
    (void)state;
    pair_open(&pair);
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        int64_t wanted = given[i] == 0 || given[i] > TTL_MS ? TTL_MS : given[i];
        struct larder_call call = LARDER_CALL_INIT;
        char byte;
        assert_status(LARDER_OK, larder_set(pair.gutter, text("k"), text("v"), given[i]));
        assert_int_equal(ttl_left(pair.spare, "k"), wanted);
        assert_status(LARDER_OK, larder_set(pair.spare, text("k"), text("v"), 0));
        call.touch_ttl_ms = given[i];
        assert_status(LARDER_OK, larder_read_with(pair.gutter, &call, text("k"), &byte, 1, NULL));
        assert_int_equal(ttl_left(pair.spare, "k"), wanted);
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
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_MISS, larder_lease_get(pair.gutter, text("k"), 60000, &value, &lease));
    assert_true(lease.token != 0);
    larder_faults_reset(pair.of_faults); /* `of` is back */
    assert_status(LARDER_OK, larder_lease_fill(pair.gutter, text("k"), lease, &write));
    assert_int_equal(ttl_left(pair.spare, "k"), TTL_MS);
    assert_status(LARDER_MISS, larder_read(pair.gutter, text("k"), &byte, 1, NULL));

    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
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
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
    put(pair.gutter, "k", "1");
    larder_faults_reset(pair.of_faults);
    put(pair.gutter, "k", "2");
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
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
    int64_t linger_ms = TTL_MS + larder_describe(pair.spare)->ttl_late_ms +
                        larder_describe(pair.spare)->ttl_step_ms;
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
    put(pair.gutter, "k", "1");
    larder_faults_reset(pair.of_faults);
    answer(pair.spare_faults, LARDER_ON(DELETE), LARDER_UNAVAILABLE);
    put(pair.of, "k", "2");
    assert_status(LARDER_OK, larder_delete(pair.gutter, text("k"), 0));
    larder_faults_reset(pair.spare_faults);
    answer(pair.of_faults, 0, LARDER_UNAVAILABLE);
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
    put(pair.of, "k", "1");
    put(pair.spare, "k", "7");
    answer(pair.of_faults, LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_flush(pair.gutter));
    assert_status(LARDER_MISS, larder_read(pair.spare, text("k"), &byte, 1, NULL));
    larder_faults_reset(pair.of_faults);
    assert_status(LARDER_OK, larder_flush(pair.gutter));
    assert_status(LARDER_MISS, larder_read(pair.of, text("k"), &byte, 1, NULL));
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
        put(pair.of, keys[i], "1");
        put(pair.spare, keys[i], "7");
        rows[i].key = text(keys[i]);
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
        fault.match.key = text(keys[i]);
        fault.status = LARDER_UNAVAILABLE;
        if (i % 2 == 1)
            assert_status(LARDER_OK, larder_faults_add(pair.of_faults, &fault));
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
        cmocka_unit_test(a_spare_that_missed_a_delete_is_not_read_until_it_has_forgotten),
        cmocka_unit_test(a_flush_reaches_both),
        cmocka_unit_test(rows_that_turn_are_sorted_from_those_that_dont),
        cmocka_unit_test(ttl_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
