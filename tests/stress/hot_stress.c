/*
 * A hot cache between threads. Whoever has seen a write end reads what it wrote, or something
 * newer, however reads and writes overlap: single keys and many, while copies are left, renewed and
 * dropped all the time. And one caller at a time asks anew.
 *
 * Every key has one writer, who makes its value grow by one and then raises the key's floor; a
 * reader looks at the floor first, and must not be answered less. `of` takes a rest now and then
 * when it has read, since a read of a microsecond is hardly ever overtaken.
 *
 * Built with LARDER_HOT_UNCHECKED it runs over a hot cache that lacks its check, and must find
 * that out.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1).
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <larder/hot.h>
#include <larder/testing.h>
#include <larder/util/counter.h>

#include "stats.h"

enum { KEYS = 8, WRITERS = 2, READERS = 4, THREADS = WRITERS + READERS };
#define READS 60000u /* of each reader */

#ifdef LARDER_HOT_UNCHECKED
#define IS_CHECKED 0
#else
#define IS_CHECKED 1
#endif

static struct arena {
    struct larder_cache *hot;
    size_t keys;                   /* in play; set before the threads are there */
    _Atomic uint64_t floors[KEYS]; /* raised with release when a write has ended, loaded with
                                      acquire before a read begins */
    _Atomic int over;              /* relaxed: the readers are done */
    /* relaxed: counts */
    _Atomic uint64_t too_old, failed, writes;
    _Atomic uint64_t inside, crowded; /* reads in `of` at the moment; how often there were two */
    _Atomic uint64_t asked;
} arena;

static uint64_t reads_asked(void)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? atof(factor) : 1.0;
    return (uint64_t)(READS * scale) + 1;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- `of` ---------------------------------------------------------------------------------- */

static int is_read(const struct larder_observed *call)
{
    return call->operation == LARDER_OPERATION_GET || call->operation == LARDER_OPERATION_READ;
}

static int enter(void *context, struct larder_observed *call)
{
    (void)context;
    if (!is_read(call))
        return 0;
    count(&arena.asked);
    if (atomic_fetch_add(&arena.inside, 1) > 0)
        count(&arena.crowded);
    return 0;
}

static void leave(void *context, struct larder_observed *call)
{
    (void)context;
    if (!is_read(call))
        return;
    for (int i = 0; i < 3; i++)
        sched_yield();
    atomic_fetch_sub(&arena.inside, 1);
}

static const char names[KEYS][3] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};

static struct larder_slice key_of(size_t number)
{
    return larder_bytes(names[number], 2);
}

static struct larder_hot_options hot_options(uint64_t one_in, uint64_t fresh_ms)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    options.one_in = one_in;
    options.life_ms = 600000;
    options.fresh_ms = fresh_ms;
    options.reelect_ms = 600000;
    return options;
}

static void arena_open(struct larder_hot_options options, size_t keys)
{
    struct larder_observer observer = LARDER_OBSERVER_INIT;
    struct larder_cache *memory = NULL;
    memset(&arena, 0, sizeof(arena));
    arena.keys = keys;
    observer.before = enter;
    observer.after = leave;
    assert_status(LARDER_OK, larder_open("memory:", NULL, &memory, NULL, 0));
    assert_status(LARDER_OK, larder_observed_open(memory, &observer, NULL, &options.of, NULL, 0));
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &arena.hot, NULL, 0));
    for (size_t i = 0; i < keys; i++)
        assert_status(LARDER_OK, larder_set(arena.hot, key_of(i), larder_text("0"), 0));
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum larder_status write_number(size_t number, uint64_t value)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    struct larder_row row;
    if (value % 3 == 1)
        return larder_incr(arena.hot, key_of(number), 1, NULL, NULL);
    struct larder_slice bytes = larder_bytes(text, larder_counter_format(value, text));
    if (value % 3 == 2)
        return larder_set(arena.hot, key_of(number), bytes, LARDER_TTL_FOREVER);
    memset(&row, 0, sizeof(row));
    row.key = key_of(number);
    row.write = larder_write_of(bytes, LARDER_TTL_FOREVER);
    return larder_store_multi(arena.hot, LARDER_SET, &row, 1);
}

static void write_next(size_t number)
{
    uint64_t value = atomic_load_explicit(&arena.floors[number], memory_order_relaxed) + 1;
    if (write_number(number, value) != LARDER_OK)
        count(&arena.failed);
    atomic_store_explicit(&arena.floors[number], value, memory_order_release);
    count(&arena.writes);
}

static void *writer_run(void *given)
{
    size_t first = *(size_t *)given;
    while (!atomic_load_explicit(&arena.over, memory_order_relaxed))
        for (size_t i = first; i < arena.keys; i += WRITERS) {
            write_next(i);
            sched_yield();
        }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void check(uint64_t floor, enum larder_status status, struct larder_slice bytes)
{
    uint64_t value = 0;
    if (status != LARDER_OK || !larder_counter_parse(bytes, &value))
        count(&arena.failed);
    else if (value < floor)
        count(&arena.too_old);
}

static uint64_t floor_of(size_t number)
{
    return atomic_load_explicit(&arena.floors[number], memory_order_acquire);
}

static void read_one(size_t number)
{
    char buffer[64];
    struct larder_info info = {0};
    uint64_t floor = floor_of(number);
    enum larder_status status =
        larder_read(arena.hot, key_of(number), buffer, sizeof(buffer), &info);
    check(floor, status, larder_bytes(buffer, info.length));
}

static void get_one(size_t number)
{
    struct larder_value value = {0};
    uint64_t floor = floor_of(number);
    enum larder_status status = larder_get(arena.hot, key_of(number), &value);
    check(floor, status, value.bytes);
    larder_value_release(&value);
}

static void get_all(void)
{
    struct larder_row rows[KEYS];
    uint64_t floors[KEYS];
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < arena.keys; i++) {
        rows[i].key = key_of(i);
        floors[i] = floor_of(i);
    }
    (void)larder_get_multi(arena.hot, rows, arena.keys);
    for (size_t i = 0; i < arena.keys; i++)
        check(floors[i], rows[i].status, rows[i].value.bytes);
    larder_rows_release(rows, arena.keys);
}

static int has_found_enough(void)
{
    return !IS_CHECKED && atomic_load_explicit(&arena.too_old, memory_order_relaxed) > 0;
}

static void *reader_run(void *given)
{
    size_t first = *(size_t *)given;
    uint64_t reads = reads_asked();
    for (uint64_t i = 0; i < reads && !has_found_enough(); i++)
        if (i % 16 == 0)
            get_all();
        else if (i % 2 == 0)
            get_one((first + i / 2) % arena.keys);
        else
            read_one((first + i / 2) % arena.keys);
    return NULL;
}

static void threads_run(size_t writers)
{
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    for (size_t i = 0; i < writers + READERS; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < writers ? writer_run : reader_run, &numbers[i]),
            0);
    }
    for (size_t i = writers; i < writers + READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    atomic_store_explicit(&arena.over, 1, memory_order_relaxed);
    for (size_t i = 0; i < writers; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void tell(uint64_t one_in, uint64_t fresh_ms)
{
    print_message(
        "one in %ju, fresh for %ju ms: %ju writes, %ju hits, %ju asked anew, %ju too late "
        "to keep; %ju too old\n",
        (uintmax_t)one_in, (uintmax_t)fresh_ms, (uintmax_t)arena.writes,
        (uintmax_t)stat_of(arena.hot, "hits"), (uintmax_t)stat_of(arena.hot, "revalidations"),
        (uintmax_t)stat_of(arena.hot, "not_kept"), (uintmax_t)arena.too_old);
}

static void whoever_saw_a_write_end_reads_nothing_older(void **state)
{
    static const struct {
        uint64_t one_in, fresh_ms;
    } trials[] = {{1, 600000}, {3, 600000}, {1, 0}};
    (void)state;
    for (size_t i = 0; i < (IS_CHECKED ? 3 : 1); i++) {
        arena_open(hot_options(trials[i].one_in, trials[i].fresh_ms), KEYS);
        threads_run(WRITERS);
        tell(trials[i].one_in, trials[i].fresh_ms);
        assert_int_equal(arena.failed, 0);
        assert_true((arena.too_old == 0) == IS_CHECKED);
        assert_true(stat_of(arena.hot, "hits") > 0);
        larder_close(arena.hot);
    }
}

/* Nobody writes, so there is a copy all the time, which is never fresh. */
static void one_caller_at_a_time_asks_anew(void **state)
{
    char byte;
    (void)state;
    arena_open(hot_options(1, 0), 1);
    assert_status(LARDER_OK, larder_read(arena.hot, key_of(0), &byte, 1, NULL));
    threads_run(0);
    tell(1, 0);
    assert_int_equal(arena.failed, 0);
    assert_int_equal(arena.crowded, 0);
    assert_int_equal(arena.asked, 1 + stat_of(arena.hot, "revalidations"));
    assert_true(stat_of(arena.hot, "stale_hits") > 0);
    larder_close(arena.hot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_saw_a_write_end_reads_nothing_older),
        cmocka_unit_test(one_caller_at_a_time_asks_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
