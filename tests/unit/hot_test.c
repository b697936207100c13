/* hot: which reads a copy answers, what drops it, and who asks anew. */
#include "support.h"
#include "stats.h"
#include "watched_memory.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <larder/client.h>
#include <larder/hot.h>
#include <larder/memory.h>

#define LIFE_MS 10000
#define FRESH_MS 5000
#define REELECT_MS 1000
#define START_NS UINT64_C(1000000000)
#define PATIENCE_S 60

/* ---- a cache whose entries are copied, and watched ----------------------------------------- */

#define GATES 2

/* Stops a GET after it was answered: the first one at the first gate, the next one at the next. */
struct gate {
    sem_t arrived, open[GATES];
    atomic_int closes; /* 1: the next one stops */
    atomic_int stopped;
};

struct place {
    struct larder_manual_clock *clock;
    struct larder_faults *faults;
    struct larder_recording *log;
    struct gate gate;
    struct larder_cache *of, *hot;
};

static void wait_for(sem_t *semaphore)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (sem_timedwait(semaphore, &until) != 0)
        if (errno != EINTR)
            fail_msg("nobody came");
}

static void gate_after(void *context, struct larder_observed *call)
{
    struct gate *gate = context;
    if (call->operation != LARDER_OPERATION_GET || !atomic_exchange(&gate->closes, 0))
        return;
    int number = atomic_fetch_add(&gate->stopped, 1);
    sem_post(&gate->arrived);
    wait_for(&gate->open[number]);
}

static struct larder_hot_options hot_options(void)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    options.one_in = 1;
    options.life_ms = LIFE_MS;
    options.fresh_ms = FRESH_MS;
    options.reelect_ms = REELECT_MS;
    options.seed = 1;
    return options;
}

static void place_open_with(struct place *place, struct larder_hot_options options)
{
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    struct larder_observer observer = LARDER_OBSERVER_INIT;
    place->clock = larder_manual_clock_new(START_NS);
    assert_non_null(place->clock);
    open.clock = larder_manual_clock_of(place->clock);
    sem_init(&place->gate.arrived, 0, 0);
    for (size_t i = 0; i < GATES; i++)
        sem_init(&place->gate.open[i], 0, 0);
    atomic_init(&place->gate.closes, 0);
    atomic_init(&place->gate.stopped, 0);
    observer.context = &place->gate;
    observer.after = gate_after;
    place->of = watch(watched_memory_open(open.clock, &place->faults, &place->log), &observer);
    options.of = place->of;
    assert_status(LARDER_OK, larder_hot_open(&options, &open, &place->hot, NULL, 0));
}

static void place_open(struct place *place)
{
    place_open_with(place, hot_options());
}

static void place_close(struct place *place)
{
    larder_close(place->hot); /* and its parts */
    larder_faults_free(place->faults);
    larder_recording_free(place->log);
    larder_manual_clock_free(place->clock);
    sem_destroy(&place->gate.arrived);
    for (size_t i = 0; i < GATES; i++)
        sem_destroy(&place->gate.open[i]);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

static void put(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, text(key), text(value), LARDER_TTL_FOREVER));
}

static void later(struct place *place, uint64_t milliseconds)
{
    larder_manual_clock_advance(place->clock, milliseconds);
}

/* Reads the key and checks the answer, and whether `of` was asked for it. */
#define expect_read(place, key, status, value, asks) \
    read_and_check(place, key, status, value, asks, __LINE__)

static void read_and_check(struct place *place, const char *key, enum larder_status wanted,
                           const char *value, size_t asks, int line)
{
    struct larder_info info = {0};
    char buffer[64] = "";
    size_t before = asked(place->log, LARDER_ON_READS, key);
    enum larder_status status =
        larder_read(place->hot, text(key), buffer, sizeof(buffer) - 1, &info);
    size_t count = asked(place->log, LARDER_ON_READS, key) - before;
    if (status != wanted || count != asks || (value != NULL && strcmp(value, buffer) != 0))
        fail_msg("line %d: %s gave %s \"%s\", and `of` was asked %zu times", line, key,
                 larder_status_name(status), buffer, count);
    if (value != NULL)
        assert_int_equal(info.length, strlen(value));
}

/* ---- copies -------------------------------------------------------------------------------- */

static void a_hit_leaves_a_copy_that_answers_from_then_on(void **state)
{
    struct place place;
    struct larder_write write = larder_write_of(text("a value"), LARDER_TTL_FOREVER);
    struct larder_info info = {0};
    struct larder_value value = {0};
    char byte = 0;
    (void)state;
    place_open(&place);
    write.flags = 77;
    assert_status(LARDER_OK, larder_store(place.of, LARDER_SET, text("k"), &write, NULL));
    expect_read(&place, "k", LARDER_OK, "a value", 1);
    expect_read(&place, "k", LARDER_OK, "a value", 0);
    assert_status(LARDER_PARTIAL, larder_read(place.hot, text("k"), &byte, 1, &info));
    assert_int_equal(byte, 'a');
    assert_int_equal(info.flags, 77);
    assert_int_equal(info.length, 7);
    assert_int_equal(info.version, 0);
    assert_status(LARDER_OK, larder_get(place.hot, text("k"), &value));
    assert_slice("a value", value.bytes);
    assert_int_equal(value.info.flags, 77);
    larder_value_release(&value);
    assert_int_equal(asked(place.log, LARDER_ON_READS, "k"), 1);
    assert_int_equal(stat_of(place.hot, "hits"), 3);
    assert_int_equal(stat_of(place.hot, "kept"), 1);
    place_close(&place);
}

static void a_value_of_any_size_is_copied_and_one_too_large_is_not(void **state)
{
    static const struct {
        size_t length;
        size_t asks; /* of a second read */
    } trials[] = {{0, 0}, {1, 0}, {4096, 0}, {4097, 0}, {1 << 20, 0}, {9 << 20, 1}};
    struct place place;
    char *bytes = calloc(1, 9 << 20);
    (void)state;
    assert_non_null(bytes);
    place_open(&place);
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct larder_value value = {0};
        struct larder_slice whole = larder_bytes(bytes, trials[i].length);
        memset(bytes, (int)('a' + i), trials[i].length);
        assert_status(LARDER_OK, larder_set(place.hot, text("k"), whole, LARDER_TTL_FOREVER));
        for (size_t j = 0; j < 2; j++) {
            size_t before = asked(place.log, LARDER_ON_READS, NULL);
            assert_status(LARDER_OK, larder_get(place.hot, text("k"), &value));
            assert_int_equal(value.bytes.length, whole.length);
            assert_memory_equal(value.bytes.data, whole.data, whole.length);
            larder_value_release(&value);
            assert_int_equal(asked(place.log, LARDER_ON_READS, NULL) - before,
                             j == 0 ? 1 : trials[i].asks);
        }
    }
    assert_int_equal(stat_of(place.hot, "not_kept"), 2);
    free(bytes);
    place_close(&place);
}

enum { DRAWS = 2000 };

/* Which of many keys have a copy after one read each. @return how many */
static size_t draw(uint64_t seed, unsigned char is_kept[DRAWS])
{
    struct place place;
    struct larder_hot_options options = hot_options();
    size_t count = 0;
    char key[16], byte;
    options.one_in = 10;
    options.seed = seed;
    place_open_with(&place, options);
    for (size_t i = 0; i < DRAWS; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        put(place.of, key, "v");
        uint64_t before = stat_of(place.hot, "kept");
        assert_status(LARDER_OK, larder_read(place.hot, text(key), &byte, 1, NULL));
        is_kept[i] = stat_of(place.hot, "kept") != before;
        count += is_kept[i];
    }
    place_close(&place);
    return count;
}

static void one_hit_in_so_many_leaves_a_copy_and_a_seed_repeats_which(void **state)
{
    static unsigned char first[DRAWS], second[DRAWS], other[DRAWS];
    (void)state;
    assert_in_range(draw(7, first), DRAWS / 10 - 60, DRAWS / 10 + 60); /* 4.5 deviations */
    assert_in_range(draw(7, second), 1, DRAWS);
    assert_in_range(draw(8, other), DRAWS / 10 - 60, DRAWS / 10 + 60);
    assert_memory_equal(first, second, DRAWS);
    assert_memory_not_equal(first, other, DRAWS);
}

/* Of a cache that can't tell when an entry was last read, and says nothing of it. */
static void reads_of_many_keys_leave_copies_as_well(void **state)
{
    static const char *const keys[] = {"a", "b", "c"};
    enum { KEYS = 3 };
    struct larder_hot_options options = hot_options();
    struct larder_cache *hot;
    char buffers[KEYS][8];
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
    for (size_t i = 0; i < KEYS; i++)
        put(options.of, keys[i], keys[i]);
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &hot, NULL, 0));
    for (size_t round = 0; round < 2; round++) {
        struct larder_row rows[KEYS] = {0};
        for (size_t i = 0; i < KEYS; i++) {
            rows[i].key = text(keys[i]);
            rows[i].buffer = buffers[i];
            rows[i].size = sizeof(buffers[i]);
        }
        assert_status(LARDER_OK, larder_read_multi(hot, rows, KEYS));
        for (size_t i = 0; i < KEYS; i++)
            assert_slice(keys[i], larder_bytes(buffers[i], rows[i].value.info.length));
    }
    assert_int_equal(stat_of(hot, "kept"), KEYS);
    assert_int_equal(stat_of(hot, "hits"), KEYS);
    larder_close(hot);
}

static void only_keys_with_a_prefix_are_copied(void **state)
{
    struct place place;
    struct larder_hot_options options = hot_options();
    (void)state;
    options.prefixes = "user:,p";
    place_open_with(&place, options);
    static const struct {
        const char *key;
        size_t asks; /* of a second read */
    } trials[] = {{"user:1", 0}, {"user:", 0}, {"user", 1}, {"page", 0}, {"q", 1}, {",", 1}};
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        put(place.hot, trials[i].key, "v");
        expect_read(&place, trials[i].key, LARDER_OK, "v", 1);
        expect_read(&place, trials[i].key, LARDER_OK, "v", trials[i].asks);
    }
    place_close(&place);
}

static void copies_that_fail_cost_nothing_but_hits(void **state)
{
    struct place place;
    struct larder_hot_options options = hot_options();
    struct larder_faults *faults;
    struct larder_recording *log;
    struct larder_clock clock = {NULL, NULL};
    (void)state;
    options.copies = watched_memory_open(clock, &faults, &log);
    place_open_with(&place, options);
    put(place.hot, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    assert_true(asked(log, 0, "k") > 0);
    answer(faults, 0, LARDER_NO_MEMORY);
    expect_read(&place, "k", LARDER_OK, "1", 1);
    put(place.hot, "k", "2"); /* and they don't hear of it */
    assert_status(LARDER_OK, larder_flush(place.hot));
    put(place.hot, "k", "3");
    larder_faults_reset(faults);
    expect_read(&place, "k", LARDER_OK, "3", 1);
    place_close(&place);
    larder_faults_free(faults);
    larder_recording_free(log);
}

/* ---- writes -------------------------------------------------------------------------------- */

struct write;
typedef enum larder_status write_fn(struct larder_cache *hot, const struct write *write,
                                    uint64_t version);

struct write {
    const char *name;
    write_fn *run;
    enum larder_status status; /* on a live "1" */
    const char *after;
    enum larder_mode mode;
    enum larder_many_kind many;
};

static enum larder_status do_store(struct larder_cache *hot, const struct write *write,
                                   uint64_t version)
{
    struct larder_write stored = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    stored.version = write->mode == LARDER_CAS ? version : 0;
    return larder_store(hot, write->mode, text("k"), &stored, NULL);
}

/* A row after another one. */
static enum larder_status do_many(struct larder_cache *hot, const struct write *write,
                                  uint64_t version)
{
    struct larder_row rows[2];
    (void)version;
    memset(rows, 0, sizeof(rows));
    rows[0].key = text("another");
    rows[1].key = text("k");
    rows[0].write = rows[1].write = larder_write_of(text("5"), 60000);
    (void)larder_many(hot, NULL, write->many, LARDER_SET, rows, 2, sizeof(rows[0]));
    return rows[1].status;
}

static enum larder_status do_delete(struct larder_cache *hot, const struct write *write,
                                    uint64_t version)
{
    (void)write, (void)version;
    return larder_delete(hot, text("k"), 0);
}

static enum larder_status do_delete_at(struct larder_cache *hot, const struct write *write,
                                       uint64_t version)
{
    (void)write;
    return larder_delete(hot, text("k"), version);
}

static enum larder_status do_touch(struct larder_cache *hot, const struct write *write,
                                   uint64_t version)
{
    (void)write, (void)version;
    return larder_touch(hot, text("k"), 60000);
}

static enum larder_status do_get_and_touch(struct larder_cache *hot, const struct write *write,
                                           uint64_t version)
{
    struct larder_value value = {0};
    (void)write, (void)version;
    enum larder_status status = larder_get_and_touch(hot, text("k"), 60000, &value);
    larder_value_release(&value);
    return status;
}

static enum larder_status do_read_and_touch(struct larder_cache *hot, const struct write *write,
                                            uint64_t version)
{
    struct larder_call call = LARDER_CALL_INIT;
    char buffer[8];
    (void)write, (void)version;
    call.touch_ttl_ms = 60000;
    return larder_read_with(hot, &call, text("k"), buffer, sizeof(buffer), NULL);
}

static enum larder_status do_count(struct larder_cache *hot, const struct write *write,
                                   uint64_t version)
{
    (void)write, (void)version;
    return larder_incr(hot, text("k"), 1, NULL, NULL);
}

static enum larder_status do_fill(struct larder_cache *hot, const struct write *write,
                                  uint64_t version)
{
    struct larder_write stored = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    const struct larder_lease lease = {1, 0};
    (void)write, (void)version;
    return larder_lease_fill(hot, text("k"), lease, &stored);
}

static enum larder_status do_flush(struct larder_cache *hot, const struct write *write,
                                   uint64_t version)
{
    (void)write, (void)version;
    return larder_flush(hot);
}

static const struct write writes[] = {
    {"set", do_store, LARDER_OK, "5", .mode = LARDER_SET},
    {"add", do_store, LARDER_EXISTS, "1", .mode = LARDER_ADD},
    {"replace", do_store, LARDER_OK, "5", .mode = LARDER_REPLACE},
    {"append", do_store, LARDER_OK, "15", .mode = LARDER_APPEND},
    {"prepend", do_store, LARDER_OK, "51", .mode = LARDER_PREPEND},
    {"cas", do_store, LARDER_OK, "5", .mode = LARDER_CAS},
    {"delete", do_delete, LARDER_OK, NULL, .mode = LARDER_SET},
    {"delete at a version", do_delete_at, LARDER_OK, NULL, .mode = LARDER_SET},
    {"touch", do_touch, LARDER_OK, "1", .mode = LARDER_SET},
    {"get_and_touch", do_get_and_touch, LARDER_OK, "1", .mode = LARDER_SET},
    {"read that touches", do_read_and_touch, LARDER_OK, "1", .mode = LARDER_SET},
    {"count", do_count, LARDER_OK, "2", .mode = LARDER_SET},
    {"lease_fill", do_fill, LARDER_CONFLICT, "1", .mode = LARDER_SET},
    {"flush", do_flush, LARDER_OK, NULL, .mode = LARDER_SET},
    {"set many", do_many, LARDER_OK, "5", .many = LARDER_MANY_STORE},
    {"delete many", do_many, LARDER_OK, NULL, .many = LARDER_MANY_DELETE},
    {"touch many", do_many, LARDER_OK, "1", .many = LARDER_MANY_TOUCH},
};
#define WRITES (sizeof(writes) / sizeof(writes[0]))

static uint64_t version_of(struct larder_cache *cache, const char *key)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char buffer[8];
    assert_status(LARDER_OK, larder_read(cache, text(key), buffer, sizeof(buffer), &info));
    return info.version;
}

/* @param when  LARDER_FAULT_AFTER: the write lands all the same */
static void write_with_fault(size_t index, enum larder_fault_when when, enum larder_status status)
{
    struct place place;
    struct larder_fault fault = LARDER_FAULT_INIT;
    print_message("%s: %s\n", writes[index].name, larder_status_name(status));
    place_open(&place);
    put(place.hot, "k", "1");
    uint64_t version = version_of(place.hot, "k");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    fault.when = when;
    fault.status = status;
    assert_status(LARDER_OK, larder_faults_add(place.faults, &fault));
    enum larder_status given = writes[index].run(place.hot, &writes[index], version);
    assert_status(status != LARDER_FAULT_NO_STATUS ? status : writes[index].status, given);
    larder_faults_reset(place.faults);
    const char *value = when == LARDER_FAULT_AFTER ? writes[index].after : "1";
    expect_read(&place, "k", value != NULL ? LARDER_OK : LARDER_MISS, value, 1);
    place_close(&place);
}

static void every_write_drops_the_copy_whatever_it_was_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < WRITES; i++) {
        write_with_fault(i, LARDER_FAULT_AFTER, LARDER_FAULT_NO_STATUS);
        write_with_fault(i, LARDER_FAULT_AFTER, LARDER_UNKNOWN);
        write_with_fault(i, LARDER_FAULT_BEFORE, LARDER_UNKNOWN);
        write_with_fault(i, LARDER_FAULT_BEFORE, LARDER_UNAVAILABLE);
        write_with_fault(i, LARDER_FAULT_BEFORE, LARDER_MISS);
    }
}

static void a_write_leaves_the_copies_of_other_keys(void **state)
{
    struct place place;
    (void)state;
    place_open(&place);
    put(place.hot, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    put(place.hot, "another", "2");
    expect_read(&place, "k", LARDER_OK, "1", 0);
    place_close(&place);
}

/* ---- a read that is overtaken -------------------------------------------------------------- */

struct reader {
    struct place *place;
    int is_many;
    int gate;
    pthread_t thread;
    enum larder_status status;
    char value[8];
};

static void *reader_run(void *given)
{
    struct reader *reader = given;
    struct larder_row row;
    struct larder_value value = {0};
    memset(&row, 0, sizeof(row));
    row.key = text("k");
    if (reader->is_many) {
        reader->status = larder_get_multi(reader->place->hot, &row, 1);
        value = row.value;
    } else {
        reader->status = larder_get(reader->place->hot, text("k"), &value);
    }
    if (reader->status == LARDER_OK)
        memcpy(reader->value, value.bytes.data, value.bytes.length);
    larder_value_release(&value);
    return NULL;
}

/* Starts a read, and returns when `of` has answered it and it does not know that yet. */
static void reader_start(struct reader *reader, struct place *place, int is_many)
{
    memset(reader, 0, sizeof(*reader));
    reader->place = place;
    reader->is_many = is_many;
    atomic_store(&place->gate.closes, 1);
    assert_int_equal(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
    wait_for(&place->gate.arrived);
    reader->gate = atomic_load(&place->gate.stopped) - 1;
}

static void reader_finish(struct reader *reader, const char *value)
{
    sem_post(&reader->place->gate.open[reader->gate]);
    assert_int_equal(pthread_join(reader->thread, NULL), 0);
    assert_status(LARDER_OK, reader->status);
    assert_string_equal(reader->value, value);
}

static void a_read_that_a_write_overtakes_puts_no_older_value_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * WRITES; i++) {
        struct place place;
        struct reader reader;
        const char *after = writes[i / 2].after;
        place_open(&place);
        put(place.hot, "k", "1");
        uint64_t version = version_of(place.hot, "k");
        reader_start(&reader, &place, i % 2 == 1);
        print_message("%s\n", writes[i / 2].name);
        assert_status(writes[i / 2].status, writes[i / 2].run(place.hot, &writes[i / 2], version));
        reader_finish(&reader, "1");
        expect_read(&place, "k", after != NULL ? LARDER_OK : LARDER_MISS, after, 1);
        place_close(&place);
    }
}

static void a_caller_that_asks_anew_and_is_overtaken_puts_no_older_value_back(void **state)
{
    struct place place;
    struct reader reader;
    (void)state;
    place_open(&place);
    put(place.hot, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    later(&place, FRESH_MS);
    reader_start(&reader, &place, 0);
    put(place.hot, "k", "2");
    expect_read(&place, "k", LARDER_OK, "2", 1);
    reader_finish(&reader, "1"); /* its call and the write were at one time */
    expect_read(&place, "k", LARDER_OK, "2", 0);
    place_close(&place);
}

/* ---- asking anew --------------------------------------------------------------------------- */

static void one_caller_asks_anew_while_the_others_are_served_the_copy(void **state)
{
    struct place place;
    struct reader reader;
    (void)state;
    for (int is_many = 0; is_many <= 1; is_many++) {
        place_open(&place);
        put(place.of, "k", "1");
        expect_read(&place, "k", LARDER_OK, "1", 1);
        put(place.of, "k", "2"); /* as another process would */
        later(&place, FRESH_MS - 1);
        expect_read(&place, "k", LARDER_OK, "1", 0);
        later(&place, 1);
        reader_start(&reader, &place, is_many);
        for (int i = 0; i < 10; i++)
            expect_read(&place, "k", LARDER_OK, "1", 0);
        reader_finish(&reader, "2");
        expect_read(&place, "k", LARDER_OK, "2", 0);
        assert_int_equal(stat_of(place.hot, "revalidations"), 1);
        assert_int_equal(stat_of(place.hot, "reelections"), 0);
        assert_int_equal(stat_of(place.hot, "stale_hits"), 10);
        later(&place, FRESH_MS); /* and so on */
        expect_read(&place, "k", LARDER_OK, "2", 1);
        place_close(&place);
    }
}

static void another_caller_is_elected_when_the_one_before_brings_nothing(void **state)
{
    struct place place;
    struct reader reader;
    (void)state;
    place_open(&place);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    put(place.of, "k", "2");
    later(&place, FRESH_MS);
    reader_start(&reader, &place, 0);
    later(&place, REELECT_MS - 1);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    later(&place, 1);
    expect_read(&place, "k", LARDER_OK, "2", 1);
    expect_read(&place, "k", LARDER_OK, "2", 0);
    reader_finish(&reader, "2");
    assert_int_equal(stat_of(place.hot, "revalidations"), 2);
    assert_int_equal(stat_of(place.hot, "reelections"), 1);
    place_close(&place);
}

static void one_that_comes_late_leaves_no_copy(void **state)
{
    (void)state;
    for (int is_many = 0; is_many <= 1; is_many++) {
        struct place place;
        struct reader late;
        place_open(&place);
        put(place.of, "k", "1");
        expect_read(&place, "k", LARDER_OK, "1", 1);
        later(&place, FRESH_MS);
        reader_start(&late, &place, is_many);
        put(place.of, "k", "2");
        later(&place, REELECT_MS);
        expect_read(&place, "k", LARDER_OK, "2", 1);
        reader_finish(&late, "1");
        expect_read(&place, "k", LARDER_OK, "2", 0);
        place_close(&place);
    }
}

static void one_that_comes_late_does_not_end_the_term_of_the_next(void **state)
{
    struct place place;
    struct reader late, next;
    (void)state;
    place_open(&place);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    later(&place, FRESH_MS);
    reader_start(&late, &place, 0);
    later(&place, REELECT_MS);
    reader_start(&next, &place, 0);
    reader_finish(&late, "1");
    expect_read(&place, "k", LARDER_OK, "1", 0);
    reader_finish(&next, "1");
    assert_int_equal(stat_of(place.hot, "revalidations"), 2);
    place_close(&place);
}

static void a_copy_is_served_to_the_end_of_its_life_when_nobody_answers(void **state)
{
    static const enum larder_status failures[] = {LARDER_UNAVAILABLE, LARDER_TIMEOUT,
                                                  LARDER_PROTOCOL};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct place place;
        place_open(&place);
        put(place.of, "k", "1");
        expect_read(&place, "k", LARDER_OK, "1", 1);
        answer(place.faults, 0, failures[i]);
        later(&place, FRESH_MS);
        expect_read(&place, "k", LARDER_OK, "1", 1); /* asks, and is served all the same */
        expect_read(&place, "k", LARDER_OK, "1", 0);
        later(&place, REELECT_MS);
        expect_read(&place, "k", LARDER_OK, "1", 1);
        later(&place, LIFE_MS - FRESH_MS - REELECT_MS - 1);
        expect_read(&place, "k", LARDER_OK, "1", 1);
        later(&place, 1);
        expect_read(&place, "k", failures[i], NULL, 1);
        assert_int_equal(stat_of(place.hot, "revalidations_failed"), 3);
        place_close(&place);
    }
}

static void what_is_gone_is_gone_when_somebody_asks(void **state)
{
    struct place place;
    (void)state;
    place_open(&place);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    assert_status(LARDER_OK, larder_delete(place.of, text("k"), 0));
    later(&place, FRESH_MS - 1);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    later(&place, 1);
    expect_read(&place, "k", LARDER_MISS, NULL, 1);
    answer(place.faults, 0, LARDER_UNAVAILABLE); /* there is no copy to serve */
    char byte;
    assert_status(LARDER_UNAVAILABLE, larder_read(place.hot, text("k"), &byte, 1, NULL));
    place_close(&place);
}

static void others_writes_are_seen_within_life(void **state)
{
    struct place place;
    struct larder_hot_options options = hot_options();
    (void)state;
    options.fresh_ms = LIFE_MS;
    place_open_with(&place, options);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    put(place.of, "k", "2");
    later(&place, LIFE_MS - 1);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    later(&place, 1);
    expect_read(&place, "k", LARDER_OK, "2", 1);
    assert_int_equal(stat_of(place.hot, "revalidations"), 0);
    place_close(&place);
}

static void a_copy_ends_with_its_entry(void **state)
{
    struct place place;
    (void)state;
    place_open(&place);
    assert_status(LARDER_OK, larder_set(place.hot, text("k"), text("1"), 1000));
    later(&place, 400);
    expect_read(&place, "k", LARDER_OK, "1", 1);
    later(&place, 598);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    later(&place, 2);
    expect_read(&place, "k", LARDER_MISS, NULL, 1);
    place_close(&place);
}

static void who_must_not_wait_is_not_elected(void **state)
{
    struct place place;
    struct larder_call call = LARDER_CALL_INIT;
    char byte;
    (void)state;
    place_open(&place);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    later(&place, FRESH_MS);
    call.flags = LARDER_NO_WAIT;
    assert_status(LARDER_OK, larder_read_with(place.hot, &call, text("k"), &byte, 1, NULL));
    assert_int_equal(stat_of(place.hot, "revalidations"), 0);
    expect_read(&place, "k", LARDER_OK, "1", 1);
    place_close(&place);
}

/* ---- what needs exactness ------------------------------------------------------------------ */

static void reads_that_want_a_version_or_a_ttl_pass_by(void **state)
{
    static const uint32_t wants[] = {LARDER_WANT_VERSION, LARDER_WANT_TTL};
    struct place place;
    (void)state;
    place_open(&place);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    put(place.of, "k", "2");
    for (size_t i = 0; i < 2; i++) {
        struct larder_info info = {.want = wants[i]};
        struct larder_value value = {.info.want = wants[i]};
        char byte = 0;
        assert_status(LARDER_OK, larder_read(place.hot, text("k"), &byte, 1, &info));
        assert_int_equal(byte, '2');
        assert_int_equal(info.want, wants[i]);
        assert_status(LARDER_OK, larder_get(place.hot, text("k"), &value));
        assert_slice("2", value.bytes);
        larder_value_release(&value);
    }
    expect_read(&place, "k", LARDER_OK, "1", 0);
    place_close(&place);
}

static void a_miss_of_such_a_read_drops_the_copy(void **state)
{
    struct place place;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char byte;
    (void)state;
    for (int leases = 0; leases <= 1; leases++) {
        place_open(&place);
        put(place.of, "k", "1");
        expect_read(&place, "k", LARDER_OK, "1", 1);
        assert_status(LARDER_OK, larder_delete(place.of, text("k"), 0));
        expect_read(&place, "k", LARDER_OK, "1", 0);
        if (leases)
            assert_status(LARDER_MISS,
                          larder_lease_get(place.hot, text("k"), 1000, &value, &lease));
        else
            assert_status(LARDER_MISS, larder_read(place.hot, text("k"), &byte, 1, &info));
        expect_read(&place, "k", LARDER_MISS, NULL, 1);
        place_close(&place);
    }
}

/* ---- many keys ----------------------------------------------------------------------------- */

enum { ROWS = 40 };

static void name_rows(struct larder_row rows[ROWS], char keys[ROWS][8], char buffers[ROWS][8])
{
    memset(rows, 0, ROWS * sizeof(rows[0]));
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        rows[i].key = text(keys[i]);
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
}

static int row_is(const struct larder_row *row, enum larder_many_kind many, const char *value)
{
    struct larder_slice bytes = many == LARDER_MANY_READ
                                    ? larder_bytes(row->buffer, row->value.info.length)
                                    : row->value.bytes;
    return bytes.length == strlen(value) && memcmp(bytes.data, value, bytes.length) == 0;
}

static size_t multi_calls(struct place *place)
{
    struct larder_match match = LARDER_MATCH_INIT;
    match.forms = LARDER_FORM_FIRST_ROW;
    return larder_recording_count(place->log, &match);
}

/* Every third has a copy, and every fifth is missing. */
static void many_are_answered_in_order_and_the_rest_is_asked_in_one_call(void **state)
{
    static const enum larder_many_kind kinds[] = {LARDER_MANY_READ, LARDER_MANY_GET};
    struct larder_row rows[ROWS];
    char keys[ROWS][8], buffers[ROWS][8];
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct place place;
        place_open(&place);
        for (int round = 0; round < 2; round++) {
            name_rows(rows, keys, buffers);
            for (size_t i = 0; i < ROWS && round == 0; i++) {
                if (i % 5 != 4)
                    put(place.of, keys[i], keys[i]);
                if (i % 3 == 2 && i % 5 != 4)
                    expect_read(&place, keys[i], LARDER_OK, keys[i], 1);
            }
            larder_recording_reset(place.log);
            assert_status(LARDER_OK, larder_many(place.hot, NULL, kinds[k], LARDER_SET, rows, ROWS,
                                                 sizeof(rows[0])));
            assert_int_equal(multi_calls(&place), 1);
            for (size_t i = 0; i < ROWS; i++) {
                int is_copied = i % 5 != 4 && (round == 1 || i % 3 == 2);
                assert_status(i % 5 == 4 ? LARDER_MISS : LARDER_OK, rows[i].status);
                assert_int_equal(asked(place.log, 0, keys[i]), !is_copied);
                assert_true(i % 5 == 4 || row_is(&rows[i], kinds[k], keys[i]));
                assert_int_equal(rows[i].value.info.want, 0);
            }
            larder_rows_release(rows, ROWS);
        }
        place_close(&place);
    }
}

/* Set: blocks for so many rows are refused. */
static size_t refused_rows;
static unsigned refusals;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    if (refused_rows == 0 || count != refused_rows)
        return __real_calloc(count, size);
    refusals++;
    return NULL;
}

static void many_without_memory_are_asked_some_at_a_time(void **state)
{
    struct place place;
    struct larder_row rows[ROWS];
    char keys[ROWS][8], buffers[ROWS][8];
    (void)state;
    place_open(&place);
    for (int round = 0; round < 2; round++) {
        name_rows(rows, keys, buffers);
        for (size_t i = 0; i < ROWS && round == 0; i++)
            put(place.of, keys[i], keys[i]);
        larder_recording_reset(place.log);
        refused_rows = ROWS;
        assert_status(LARDER_OK, larder_read_multi(place.hot, rows, ROWS));
        refused_rows = 0;
        for (size_t i = 0; i < ROWS; i++)
            assert_true(row_is(&rows[i], LARDER_MANY_READ, keys[i]));
        assert_int_equal(multi_calls(&place), round == 0 ? (ROWS + 15) / 16 : 0);
    }
    assert_true(refusals >= 2);
    place_close(&place);
}

static void rows_that_are_all_copies_ask_nobody(void **state)
{
    struct place place;
    struct larder_row rows[ROWS];
    char keys[ROWS][8], buffers[ROWS][8];
    (void)state;
    place_open(&place);
    name_rows(rows, keys, buffers);
    put(place.of, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    rows[0].key = rows[1].key = text("k");
    rows[1].size = 0;
    rows[2].key = text("");
    assert_status(LARDER_BAD_KEY, larder_read_multi(place.hot, rows, 3));
    assert_status(LARDER_OK, rows[0].status);
    assert_status(LARDER_PARTIAL, rows[1].status);
    assert_int_equal(multi_calls(&place), 0);
    place_close(&place);
}

static void rows_that_ask_anew_and_fail_are_served_their_copies(void **state)
{
    struct place place;
    struct larder_row rows[ROWS];
    char keys[ROWS][8], buffers[ROWS][8];
    (void)state;
    place_open(&place);
    name_rows(rows, keys, buffers);
    put(place.of, "k0", "0");
    put(place.of, "k1", "1");
    expect_read(&place, "k0", LARDER_OK, "0", 1);
    later(&place, FRESH_MS);
    answer(place.faults, 0, LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_get_multi(place.hot, rows, 2));
    assert_status(LARDER_OK, rows[0].status);
    assert_slice("0", rows[0].value.bytes);
    assert_status(LARDER_UNAVAILABLE, rows[1].status);
    larder_rows_release(rows, 2);
    later(&place, LIFE_MS - FRESH_MS);
    name_rows(rows, keys, buffers);
    assert_status(LARDER_UNAVAILABLE, larder_get_multi(place.hot, rows, 1));
    place_close(&place);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *prefixes, *message;
        uint64_t one_in, life_ms;
    } trials[] = {
        {"a,,b", "prefixes: one of no bytes; write them as in user:,page:", 1, 1},
        {"a,", "prefixes: one of no bytes", 1, 1},
        {"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
         "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a",
         "prefixes: at most 64", 1, 1},
        {NULL, "one_in", 0, 1},
        {NULL, "life", 1, 0},
        {NULL, "life", 1, LARDER_HOT_LIFE_MS_MAX + 1},
        {NULL, "of and copies are the same cache", 1, 1},
        {NULL, "of is missing", 1, 1},
    };
    const size_t count = sizeof(trials) / sizeof(trials[0]);
    char message[256];
    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
        struct larder_cache *hot = NULL;
        assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
        struct larder_cache *of = options.of;
        options.prefixes = trials[i].prefixes;
        options.one_in = trials[i].one_in;
        options.life_ms = trials[i].life_ms;
        if (i == count - 2)
            options.copies = of;
        if (i == count - 1)
            options.of = NULL;
        assert_status(LARDER_BAD_ARGUMENT,
                      larder_hot_open(&options, NULL, &hot, message, sizeof(message)));
        assert_null(hot);
        if (strncmp(message, trials[i].message, strlen(trials[i].message)) != 0)
            fail_msg("%s", message);
        larder_close(of); /* it is the caller's still */
    }
}

static void copies_that_others_share_are_refused(void **state)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *hot = NULL;
    char message[256];
    (void)state;
    if (larder_open("meta://127.0.0.1:1/", NULL, &options.copies, NULL, 0) != LARDER_OK) {
        print_message("skipped: copies that other processes share: this build has no meta:\n");
        skip();
    }
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
    assert_status(LARDER_BAD_ARGUMENT, larder_hot_open(&options, NULL, &hot, message, 256));
    assert_non_null(strstr(message, "copies: other processes share this cache"));
    larder_close(options.of);
    larder_close(options.copies);
}

static void two_hot_caches_may_have_their_copies_in_one(void **state)
{
    struct place first;
    struct larder_hot_options options = hot_options();
    struct larder_cache *second = NULL;
    char byte = 0;
    (void)state;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.copies, NULL, 0));
    place_open_with(&first, options);
    assert_status(LARDER_OK, larder_open("memory:", NULL, &options.of, NULL, 0));
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &second, NULL, 0));
    put(first.hot, "k", "1");
    put(second, "k", "2");
    for (int i = 0; i < 3; i++) {
        expect_read(&first, "k", LARDER_OK, "1", 1); /* they push each other out */
        assert_status(LARDER_OK, larder_read(second, text("k"), &byte, 1, NULL));
        assert_int_equal(byte, '2');
    }
    larder_close(second);
    place_close(&first);
}

static void after_shutdown_no_copy_is_served(void **state)
{
    struct place place;
    char byte;
    (void)state;
    place_open(&place);
    put(place.hot, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    larder_shutdown(place.hot);
    assert_status(LARDER_CLOSED, larder_read(place.hot, text("k"), &byte, 1, NULL));
    place_close(&place);
}

static void a_forked_child_has_copies_of_its_own(void **state)
{
    struct place place;
    int status = 0;
    (void)state;
    place_open(&place);
    put(place.hot, "k", "1");
    expect_read(&place, "k", LARDER_OK, "1", 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte = 0;
        int holds = larder_set(place.hot, text("k"), text("2"), 0) == LARDER_OK &&
                    larder_read(place.hot, text("k"), &byte, 1, NULL) == LARDER_OK && byte == '2';
        _exit(holds ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_read(&place, "k", LARDER_OK, "1", 0);
    place_close(&place);
}

/* ---- files --------------------------------------------------------------------------------- */

static char path[] = "/tmp/larder-hot-XXXXXX";

static void file_write(const char *options)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[a]\nuri = memory:\n[front]\nuri = hot:?of=@a&one_in=1%s\n"
            "[namespaces]\nmain = @front\nplain = @a\n",
            options);
    fclose(file);
}

static void a_reload_that_changes_the_section_keeps_no_copy(void **state)
{
    struct larder_cache *client = NULL, *front = NULL;
    char message[256] = "", byte = 0;
    (void)state;
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    file_write("");
    assert_status(LARDER_OK, larder_open_file(path, NULL, &client, message, sizeof(message)));
    assert_status(LARDER_OK, larder_bind(client, "main", &front));
    put(front, "k", "1");
    assert_status(LARDER_OK, larder_read(front, text("k"), &byte, 1, NULL));
    assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
    assert_status(LARDER_OK, larder_read(front, text("k"), &byte, 1, NULL));
    assert_int_equal(stat_of(front, "hits"), 1);
    file_write("&life=1m&prefixes=k,l");
    assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
    for (int i = 0; i < 2; i++)
        assert_status(LARDER_OK, larder_read(front, text("k"), &byte, 1, NULL));
    assert_int_equal(stat_of(front, "hits"), 2); /* figures go on */
    assert_int_equal(stat_of(front, "kept"), 2);
    larder_close(client);
    unlink(path);
}

/* Where the name was meanwhile, its writes dropped no copies. */
static void a_name_that_comes_back_finds_no_copy_of_before(void **state)
{
    static const char *const places[] = {"front", "a", "front"};
    struct larder_cache *client = NULL, *name = NULL;
    char message[256] = "", byte = 0, value[] = "0";
    (void)state;
    for (int i = 0; i < 3; i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file,
                "[a]\nuri = memory:\n[front]\nuri = hot:?of=@a&one_in=1&life=1h\n"
                "[namespaces]\nmain = @front\nmoves = @%s\n",
                places[i]);
        fclose(file);
        if (client == NULL) {
            assert_status(LARDER_OK,
                          larder_open_file(path, NULL, &client, message, sizeof(message)));
            assert_status(LARDER_OK, larder_bind(client, "moves", &name));
        } else {
            assert_status(LARDER_OK, larder_reload(client, NULL, message, sizeof(message)));
            assert_status(LARDER_OK, larder_read(name, text("k"), &byte, 1, NULL));
            assert_int_equal(byte, value[0]); /* what `of` has is as new as ever */
        }
        if (i == 2)
            break;
        value[0]++;
        put(name, "k", value);
        assert_status(LARDER_OK, larder_read(name, text("k"), &byte, 1, NULL));
    }
    larder_close(client);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_leaves_a_copy_that_answers_from_then_on),
        cmocka_unit_test(a_name_that_comes_back_finds_no_copy_of_before),
        cmocka_unit_test(a_value_of_any_size_is_copied_and_one_too_large_is_not),
        cmocka_unit_test(one_hit_in_so_many_leaves_a_copy_and_a_seed_repeats_which),
        cmocka_unit_test(reads_of_many_keys_leave_copies_as_well),
        cmocka_unit_test(only_keys_with_a_prefix_are_copied),
        cmocka_unit_test(copies_that_fail_cost_nothing_but_hits),
        cmocka_unit_test(every_write_drops_the_copy_whatever_it_was_answered),
        cmocka_unit_test(a_write_leaves_the_copies_of_other_keys),
        cmocka_unit_test(a_read_that_a_write_overtakes_puts_no_older_value_back),
        cmocka_unit_test(a_caller_that_asks_anew_and_is_overtaken_puts_no_older_value_back),
        cmocka_unit_test(one_caller_asks_anew_while_the_others_are_served_the_copy),
        cmocka_unit_test(another_caller_is_elected_when_the_one_before_brings_nothing),
        cmocka_unit_test(one_that_comes_late_leaves_no_copy),
        cmocka_unit_test(one_that_comes_late_does_not_end_the_term_of_the_next),
        cmocka_unit_test(a_copy_is_served_to_the_end_of_its_life_when_nobody_answers),
        cmocka_unit_test(what_is_gone_is_gone_when_somebody_asks),
        cmocka_unit_test(others_writes_are_seen_within_life),
        cmocka_unit_test(a_copy_ends_with_its_entry),
        cmocka_unit_test(who_must_not_wait_is_not_elected),
        cmocka_unit_test(reads_that_want_a_version_or_a_ttl_pass_by),
        cmocka_unit_test(a_miss_of_such_a_read_drops_the_copy),
        cmocka_unit_test(many_are_answered_in_order_and_the_rest_is_asked_in_one_call),
        cmocka_unit_test(many_without_memory_are_asked_some_at_a_time),
        cmocka_unit_test(rows_that_are_all_copies_ask_nobody),
        cmocka_unit_test(rows_that_ask_anew_and_fail_are_served_their_copies),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(copies_that_others_share_are_refused),
        cmocka_unit_test(two_hot_caches_may_have_their_copies_in_one),
        cmocka_unit_test(after_shutdown_no_copy_is_served),
        cmocka_unit_test(a_forked_child_has_copies_of_its_own),
        cmocka_unit_test(a_reload_that_changes_the_section_keeps_no_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
