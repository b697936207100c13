/*
 * No wrong byte: sixteen readers and four writers in a cache that is always too small, on keys
 * whose values describe themselves. Writers store, append, count, touch, delete, flush and let time
 * pass; readers read by copy, by view (and keep views across evictions), in multi calls and by
 * listing keys, and check every byte and every version of what they get.
 *
 *     value_stress [READS]     verified reads; LARDER_STRESS_SCALE multiplies the default
 *
 * Each key has one writer, who publishes before a write is begun and after it is done what a reader
 * that begins now may still see: a value that was overwritten or deleted before the read began is
 * as wrong as a torn one.
 */
#include <larder/larder.h>
#include <larder/traits.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "dice.h"
#include "sanitizer.h"
#include "self_describing.h"
#include "stats.h"

enum { READERS = 16, WRITERS = 4, THREADS = READERS + WRITERS, KEYS = 512, VIEWS = 4, ROWS = 8 };
enum { VALUE_MAX = 65536, NAME_MAX_BYTES = 240, COUNTER_BASE_BITS = 20 };

#define READS_BY_DEFAULT (HAS_THREAD_SANITIZER ? 1e6 : 5e6)
static uint64_t reads_asked; /* 0: the default */

/* What a key's writer lets readers know. */
struct published {
    /* release when a write is done, acquire before a read begins: pairs with each other */
    _Atomic uint64_t oldest;  /* version that a read may see */
    _Atomic uint64_t reached; /* version that the newest record has, if there is one */
};

struct arena {
    struct larder_cache *cache;
    struct manual_clock clock;
    /* Held shared while a value that knows its expiry is stored, and alone while the clock moves:
     * so the cache reads the clock as we did. All other calls run across moves of the clock. */
    pthread_rwlock_t time;
    uint32_t keys;
    uint32_t longest; /* value, in bytes */
    uint32_t
        views_kept; /* one view in so many is kept: few entries are soon pinned by all readers */
    struct larder_slice name[KEYS];
    struct published published[KEYS];
    uint64_t reads;             /* how many are to be verified */
    _Atomic uint64_t verified;  /* relaxed: a count */
    _Atomic uint64_t asked;     /* relaxed: a count */
    _Atomic uint64_t wrong;     /* relaxed: a count */
    _Atomic(const char *) what; /* relaxed: the first wrong thing; static storage */
};

struct worker {
    struct arena *arena;
    pthread_t thread;
    uint32_t number;
    struct dice dice;
    struct larder_value view[VIEWS]; /* of readers */
    struct expectation viewed[VIEWS];
    uint64_t version[KEYS]; /* of writers, for their own keys: the last one that was begun */
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
};

static uint64_t draw(struct worker *worker, uint64_t sides)
{
    return roll(&worker->dice, sides);
}

static void blame(struct worker *worker, const char *what)
{
    const char *none = NULL;
    atomic_fetch_add_explicit(&worker->arena->wrong, 1, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&worker->arena->what, &none, what, memory_order_relaxed,
                                            memory_order_relaxed);
}

static void expect(struct worker *worker, int condition, const char *what)
{
    if (!condition)
        blame(worker, what);
}

/* ---- keys ---------------------------------------------------------------------------------- */

enum kind { COUNTER, TOUCHED, APPENDED, PLAIN };

static enum kind kind_of(uint32_t key)
{
    static const enum kind kinds[8] = {COUNTER, TOUCHED, APPENDED, APPENDED,
                                       PLAIN,   PLAIN,   PLAIN,    PLAIN};
    return kinds[key % 8];
}

/* Of one in two there are none. */
static uint32_t flags_of(uint32_t key)
{
    return key % 2 == 0 ? 0 : key;
}

static uint32_t own_key(struct worker *worker, enum kind kind)
{
    uint32_t key;
    do
        key = (uint32_t)(draw(worker, worker->arena->keys / 8 / WRITERS) * WRITERS +
                         worker->number % WRITERS) *
                  8 +
              (uint32_t)draw(worker, 8);
    while (kind_of(key) != kind);
    return key;
}

/* A name says its number twice; one in three is of the length that most keys have, one in three is
 * a long line. */
static void name_keys(struct arena *arena)
{
    static char names[KEYS][NAME_MAX_BYTES];
    for (uint32_t key = 0; key < KEYS; key++) {
        int length = snprintf(names[key], NAME_MAX_BYTES, "%u:%0*u", key,
                              (int)(key % 3 == 0   ? 1
                                    : key % 3 == 1 ? 20
                                                   : key % 200),
                              key);
        arena->name[key] = larder_bytes(names[key], (size_t)length);
    }
}

static int is_name(const struct arena *arena, struct larder_slice name)
{
    char text[NAME_MAX_BYTES + 1] = "";
    memcpy(text, name.data, name.length < NAME_MAX_BYTES ? name.length : NAME_MAX_BYTES);
    unsigned long key = strtoul(text, NULL, 10);
    return key < KEYS && name.length == arena->name[key].length &&
           memcmp(name.data, arena->name[key].data, name.length) == 0;
}

/* ---- time ---------------------------------------------------------------------------------- */

static uint64_t now_ms(struct arena *arena)
{
    struct larder_clock clock = manual_clock_of(&arena->clock);
    return clock.now_ns(clock.context) / 1000000;
}

/* The cache asks for the time in the middle of its calls: where a thread may well lose its turn. */
static uint64_t now_amid_a_call(void *context)
{
    static _Thread_local uint32_t calls;
    struct larder_clock clock = manual_clock_of(context);
    if (++calls % 64 == 0)
        sched_yield();
    return clock.now_ns(clock.context);
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct expectation expect_now(struct arena *arena, uint32_t key)
{
    struct expectation expected = {
        .key = key,
        .oldest = atomic_load_explicit(&arena->published[key].oldest, memory_order_acquire),
        .reached = atomic_load_explicit(&arena->published[key].reached, memory_order_acquire),
        .now_ms = now_ms(arena)};
    return expected;
}

/* Digits, of a number that its writer makes grow whatever happens to the entry. */
static const char *counter_is_wrong(struct larder_slice value, const struct expectation *expected)
{
    char text[24] = "", again[24];
    if (value.length == 0 || value.length > 20)
        return "a counter is cut short";
    memcpy(text, value.data, value.length);
    uint64_t number = strtoull(text, NULL, 10);
    snprintf(again, sizeof(again), "%llu", (unsigned long long)number);
    if (strcmp(text, again) != 0)
        return "a counter is torn";
    return number < expected->oldest ? "a counter went back" : NULL;
}

static void verify(struct worker *worker, struct larder_slice value, uint32_t flags,
                   const struct expectation *expected)
{
    const char *wrong = kind_of(expected->key) == COUNTER ? counter_is_wrong(value, expected)
                                                          : value_is_wrong(value, expected);
    if (wrong == NULL && flags != flags_of(expected->key))
        wrong = "the flags are another key's";
    if (wrong != NULL)
        blame(worker, wrong);
    atomic_fetch_add_explicit(&worker->arena->verified, 1, memory_order_relaxed);
}

static void read_one(struct worker *worker, uint32_t key)
{
    struct arena *arena = worker->arena;
    struct expectation expected = expect_now(arena, key);
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(arena->cache, arena->name[key], worker->room, sizeof(worker->room), &info);
    if (status == LARDER_OK)
        verify(worker, larder_bytes(worker->room, info.length), info.flags, &expected);
    else
        expect(worker, status == LARDER_MISS, "a read answers neither OK nor MISS");
}

/* Once more, after whatever happened to the entry meanwhile. */
static void drop_view(struct worker *worker, uint32_t slot)
{
    struct larder_value *view = &worker->view[slot];
    if (view->owner != NULL)
        verify(worker, view->bytes, view->info.flags, &worker->viewed[slot]);
    larder_value_release(view);
}

static void get_one(struct worker *worker, uint32_t key, int touch)
{
    struct arena *arena = worker->arena;
    uint32_t slot = (uint32_t)draw(worker, VIEWS);
    struct larder_value *view = &worker->view[slot];
    drop_view(worker, slot);
    worker->viewed[slot] = expect_now(arena, key);
    enum larder_status status = touch ? larder_get_and_touch(arena->cache, arena->name[key],
                                                             1 + (int64_t)draw(worker, 40), view)
                                      : larder_get(arena->cache, arena->name[key], view);
    if (status == LARDER_OK)
        verify(worker, view->bytes, view->info.flags, &worker->viewed[slot]);
    else
        expect(worker, status == LARDER_MISS || status == LARDER_NO_MEMORY,
               "a get answers neither OK nor MISS");
    if (draw(worker, arena->views_kept) != 0)
        drop_view(worker, slot);
}

static void ask_many(struct worker *worker, enum larder_many_kind many, struct larder_row *rows,
                     struct expectation *expected)
{
    struct arena *arena = worker->arena;
    memset(rows, 0, ROWS * sizeof(rows[0]));
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t key = (uint32_t)draw(worker, arena->keys);
        rows[i].key = arena->name[key];
        rows[i].buffer = (char *)worker->room + i * (VALUE_MAX / ROWS);
        rows[i].size = VALUE_MAX / ROWS;
        expected[i] = expect_now(arena, key);
    }
    enum larder_status status =
        larder_many(arena->cache, NULL, many, LARDER_SET, rows, ROWS, sizeof(rows[0]));
    expect(worker, status == LARDER_OK || status == LARDER_NO_MEMORY, "many answers no OK");
}

static void get_many(struct worker *worker)
{
    struct larder_row rows[ROWS];
    struct expectation expected[ROWS];
    ask_many(worker, LARDER_MANY_GET, rows, expected);
    for (uint32_t i = 0; i < ROWS; i++)
        if (rows[i].status == LARDER_OK)
            verify(worker, rows[i].value.bytes, rows[i].value.info.flags, &expected[i]);
    larder_rows_release(rows, ROWS);
}

static void read_many(struct worker *worker)
{
    struct larder_row rows[ROWS];
    struct expectation expected[ROWS];
    ask_many(worker, LARDER_MANY_READ, rows, expected);
    for (uint32_t i = 0; i < ROWS; i++)
        if (rows[i].status == LARDER_OK)
            verify(worker, larder_bytes(rows[i].buffer, rows[i].value.info.length),
                   rows[i].value.info.flags, &expected[i]);
}

static void list_keys(struct worker *worker)
{
    char buffer[1024];
    struct larder_slice keys[16];
    struct larder_cursor cursor = {{0}};
    size_t count = 1;
    for (uint32_t i = 0; i < 10 * KEYS && count > 0; i++) {
        enum larder_status status =
            larder_keys(worker->arena->cache, &cursor, buffer, sizeof(buffer), keys, 16, &count);
        expect(worker, status == LARDER_OK, "keys answers no OK");
        for (size_t j = 0; j < count; j++)
            expect(worker, is_name(worker->arena, keys[j]), "a key is listed that nobody stored");
    }
    expect(worker, count == 0, "a listing has no end");
}

static void read_something(struct worker *worker)
{
    uint32_t key = (uint32_t)draw(worker, worker->arena->keys);
    uint64_t kind = draw(worker, 1000);
    if (kind < 1)
        list_keys(worker);
    else if (kind < 80)
        get_many(worker);
    else if (kind < 160)
        read_many(worker);
    else if (kind < 500)
        get_one(worker, key, kind_of(key) == TOUCHED && draw(worker, 2) == 0);
    else
        read_one(worker, key);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void publish(_Atomic uint64_t *place, uint64_t version)
{
    uint64_t there = atomic_load_explicit(place, memory_order_relaxed);
    while (there < version)
        if (atomic_compare_exchange_weak_explicit(place, &there, version, memory_order_release,
                                                  memory_order_relaxed))
            return;
}

static size_t random_length(struct worker *worker)
{
    uint64_t longest = worker->arena->longest;
    if (draw(worker, 4) != 0)
        longest /= 4;
    return RECORD_BYTES_MIN + draw(worker, longest - RECORD_BYTES_MIN) / 8 * 8;
}

static struct larder_write next_write(struct worker *worker, uint32_t key, size_t length,
                                      int64_t ttl_ms)
{
    struct record record = {key, ++worker->version[key], RECORD_EXPIRY_UNKNOWN, length};
    if (ttl_ms != LARDER_TTL_FOREVER && kind_of(key) == PLAIN)
        record.expiry_ms = now_ms(worker->arena) + (uint64_t)ttl_ms;
    record_write(&record, worker->room);
    struct larder_write write = larder_write_of(larder_bytes(worker->room, length), ttl_ms);
    write.flags = flags_of(key);
    return write;
}

/* A store that was done: what was there before is gone. */
static void is_stored(struct worker *worker, uint32_t key, enum larder_status status)
{
    struct published *published = &worker->arena->published[key];
    if (status != LARDER_OK)
        return;
    publish(&published->reached, worker->version[key]);
    publish(&published->oldest, worker->version[key]);
}

static void write_one(struct worker *worker, enum larder_mode mode, uint32_t key)
{
    struct arena *arena = worker->arena;
    int64_t ttl_ms = draw(worker, 8) == 0 ? 1 + (int64_t)draw(worker, 40) : LARDER_TTL_FOREVER;
    pthread_rwlock_rdlock(&arena->time);
    struct larder_write write = next_write(worker, key, random_length(worker), ttl_ms);
    enum larder_status status = larder_store(arena->cache, mode, arena->name[key], &write, NULL);
    pthread_rwlock_unlock(&arena->time);
    is_stored(worker, key, status);
    expect(worker,
           status == LARDER_OK || status == LARDER_NO_MEMORY ||
               (mode == LARDER_ADD && status == LARDER_EXISTS) ||
               (mode == LARDER_REPLACE && status == LARDER_MISS),
           "a store answers what it can't");
}

static void let_time_pass(struct worker *worker)
{
    struct arena *arena = worker->arena;
    pthread_rwlock_wrlock(&arena->time);
    manual_clock_advance(&arena->clock, 1 + draw(worker, 4));
    pthread_rwlock_unlock(&arena->time);
}

static void store_many(struct worker *worker)
{
    struct arena *arena = worker->arena;
    struct larder_row rows[2];
    uint32_t key[2] = {own_key(worker, PLAIN), own_key(worker, APPENDED)};
    memset(rows, 0, sizeof(rows));
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t *room = worker->room + i * 100;
        struct record record = {key[i], ++worker->version[key[i]], RECORD_EXPIRY_UNKNOWN, 400};
        record_write(&record, room);
        rows[i].key = arena->name[key[i]];
        rows[i].write = larder_write_of(larder_bytes(room, 400), LARDER_TTL_FOREVER);
        rows[i].write.flags = flags_of(key[i]);
    }
    enum larder_status status = larder_store_multi(arena->cache, LARDER_SET, rows, 2);
    expect(worker, status == LARDER_OK || status == LARDER_NO_MEMORY, "a multi store fails");
    is_stored(worker, key[0], rows[0].status);
    is_stored(worker, key[1], rows[1].status);
}

/* Behind or before what is there, which grows no longer than a value may. */
static void append_one(struct worker *worker)
{
    struct arena *arena = worker->arena;
    uint32_t key = own_key(worker, APPENDED);
    struct larder_info info = {0};
    enum larder_status status = larder_read(arena->cache, arena->name[key], NULL, 0, &info);
    if (status == LARDER_PARTIAL && info.length + 400 > arena->longest) {
        write_one(worker, LARDER_SET, key);
        return;
    }
    struct larder_write write =
        next_write(worker, key, RECORD_BYTES_MIN + draw(worker, 40) * 8, LARDER_TTL_FOREVER);
    enum larder_mode mode = draw(worker, 2) == 0 ? LARDER_APPEND : LARDER_PREPEND;
    status = larder_store(arena->cache, mode, arena->name[key], &write, NULL);
    if (status == LARDER_OK)
        publish(&arena->published[key].reached, worker->version[key]);
    expect(worker, status == LARDER_OK || status == LARDER_MISS || status == LARDER_NO_MEMORY,
           "an append answers what it can't");
}

static void delete_one(struct worker *worker, uint32_t key)
{
    struct arena *arena = worker->arena;
    enum larder_status status = larder_delete(arena->cache, arena->name[key], 0);
    expect(worker, status == LARDER_OK || status == LARDER_MISS, "a delete fails");
    publish(&arena->published[key].oldest, ++worker->version[key]);
}

/* One more than last time or, when the counter was gone, than a new and higher beginning. */
static void count_one(struct worker *worker)
{
    struct arena *arena = worker->arena;
    uint32_t key = own_key(worker, COUNTER);
    uint64_t last = worker->version[key], number = 0;
    struct larder_initial initial = {((last >> COUNTER_BASE_BITS) + 1) << COUNTER_BASE_BITS,
                                     LARDER_TTL_FOREVER, flags_of(key), 0};
    enum larder_status status =
        larder_count(arena->cache, arena->name[key], LARDER_UP, 1, &initial, &number);
    if (status == LARDER_OK) {
        expect(worker, number == last + 1 || number == initial.value + 1, "a count is lost");
        worker->version[key] = number;
        publish(&arena->published[key].reached, number);
        publish(&arena->published[key].oldest, number);
    }
    expect(worker, status == LARDER_OK || status == LARDER_NO_MEMORY, "a count fails");
}

static void lease_one(struct worker *worker)
{
    struct arena *arena = worker->arena;
    uint32_t key = own_key(worker, PLAIN);
    struct expectation expected = expect_now(arena, key);
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    enum larder_status status =
        larder_lease_get(arena->cache, arena->name[key], 20, &value, &lease);
    if (status == LARDER_OK)
        verify(worker, value.bytes, value.info.flags, &expected);
    larder_value_release(&value);
    if (lease.token == 0)
        return;
    struct larder_write write = next_write(worker, key, random_length(worker), LARDER_TTL_FOREVER);
    status = larder_lease_fill(arena->cache, arena->name[key], lease, &write);
    is_stored(worker, key, status);
}

/* What was done before the flush began is gone when it is over. */
static void flush_all(struct worker *worker)
{
    struct arena *arena = worker->arena;
    uint64_t reached[KEYS];
    for (uint32_t key = 0; key < arena->keys; key++)
        reached[key] = atomic_load_explicit(&arena->published[key].reached, memory_order_acquire);
    expect(worker, larder_flush(arena->cache) == LARDER_OK, "a flush fails");
    for (uint32_t key = 0; key < arena->keys; key++)
        publish(&arena->published[key].oldest, reached[key] + 1);
}

static void touch_one(struct worker *worker)
{
    struct arena *arena = worker->arena;
    enum larder_status status = larder_touch(arena->cache, arena->name[own_key(worker, TOUCHED)],
                                             (int64_t)draw(worker, 40));
    expect(worker, status == LARDER_OK || status == LARDER_MISS, "a touch fails");
}

static void write_something(struct worker *worker)
{
    static const enum larder_mode modes[] = {LARDER_SET, LARDER_SET, LARDER_SET, LARDER_ADD,
                                             LARDER_REPLACE};
    uint64_t kind = draw(worker, 100);
    if (draw(worker, 20000) == 0)
        flush_all(worker);
    if (draw(worker, 200) == 0)
        let_time_pass(worker);
    if (kind < 50)
        write_one(worker, modes[draw(worker, 5)],
                  own_key(worker, draw(worker, 5) == 0 ? TOUCHED : PLAIN));
    else if (kind < 65)
        append_one(worker);
    else if (kind < 75)
        count_one(worker);
    else if (kind < 82)
        delete_one(worker, own_key(worker, (enum kind)draw(worker, PLAIN + 1)));
    else if (kind < 88)
        touch_one(worker);
    else if (kind < 94)
        lease_one(worker);
    else
        store_many(worker);
}

/* ---- runs ---------------------------------------------------------------------------------- */

static int has_lost_entries(const struct arena *arena)
{
    return stat_of(arena->cache, "evictions") > 0 && stat_of(arena->cache, "expirations") > 0;
}

/* Until enough was read, and entries have gone in either way meanwhile. A cache that keeps too
 * little is found out: it would never let the readers come to an end. */
static int has_work(struct arena *arena)
{
    uint64_t verified = atomic_load_explicit(&arena->verified, memory_order_relaxed);
    uint64_t asked = atomic_fetch_add_explicit(&arena->asked, 1, memory_order_relaxed);
    return (verified < arena->reads || !has_lost_entries(arena)) &&
           asked < 100000 + 20 * arena->reads;
}

static void *read_until_done(void *argument)
{
    struct worker *worker = argument;
    while (has_work(worker->arena))
        read_something(worker);
    for (uint32_t slot = 0; slot < VIEWS; slot++)
        drop_view(worker, slot);
    return NULL;
}

static void *write_until_done(void *argument)
{
    struct worker *worker = argument;
    while (has_work(worker->arena))
        write_something(worker);
    return NULL;
}

static void open_arena(struct arena *arena)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    manual_clock_init(&arena->clock);
    pthread_rwlock_init(&arena->time, NULL);
    options.clock.now_ns = now_amid_a_call;
    options.clock.context = &arena->clock;
    name_keys(arena);
    assert_int_equal(
        larder_open("memory:?max_bytes=1M&bucket_interval=10ms", &options, &arena->cache, NULL, 0),
        LARDER_OK);
}

static void run_threads(struct arena *arena, uint64_t seed)
{
    struct worker *workers = calloc(THREADS, sizeof(*workers));
    assert_non_null(workers);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].arena = arena;
        workers[i].number = i;
        workers[i].dice.state = seed + i * UINT64_C(0x100000000);
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i < WRITERS ? write_until_done : read_until_done,
                                        &workers[i]),
                         0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    free(workers);
}

/* The default, or what was asked for on the command line; `share` in percent of it. */
static uint64_t reads_of(uint64_t share)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    uint64_t reads =
        reads_asked != 0 ? reads_asked : (uint64_t)(READS_BY_DEFAULT * (scale > 0 ? scale : 1));
    return reads * share / 100 + 1;
}

static void run(uint32_t keys, uint32_t longest, uint32_t views_kept, uint64_t share)
{
    static struct arena arena;
    uint64_t seed = chosen_seed();
    memset(&arena, 0, sizeof(arena));
    arena.keys = keys;
    arena.longest = longest;
    arena.views_kept = views_kept;
    arena.reads = reads_of(share);
    open_arena(&arena);
    run_threads(&arena, seed);
    uint64_t verified = atomic_load_explicit(&arena.verified, memory_order_relaxed);
    print_message("LARDER_SEED=%llu: %llu reads verified in %llu calls, %llu evictions, %llu "
                  "expirations\n",
                  (unsigned long long)seed, (unsigned long long)verified,
                  (unsigned long long)atomic_load_explicit(&arena.asked, memory_order_relaxed),
                  (unsigned long long)stat_of(arena.cache, "evictions"),
                  (unsigned long long)stat_of(arena.cache, "expirations"));
    const char *what = atomic_load_explicit(&arena.what, memory_order_relaxed);
    uint64_t wrong = atomic_load_explicit(&arena.wrong, memory_order_relaxed);
    if (wrong > 0)
        fail_msg("%llu wrong; the first: %s", (unsigned long long)wrong, what);
    assert_true(verified >= arena.reads);
    assert_true(stat_of(arena.cache, "evictions") > 0);
    assert_true(stat_of(arena.cache, "expirations") > 0);
    larder_close(arena.cache);
    pthread_rwlock_destroy(&arena.time);
}

static void no_byte_is_wrong_among_hundreds_of_entries(void **state)
{
    (void)state;
    run(KEYS, 16384, 2, 90);
}

static void no_byte_is_wrong_among_a_few_entries(void **state)
{
    (void)state;
    run(128, VALUE_MAX, 64, 10);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_is_wrong_among_hundreds_of_entries),
        cmocka_unit_test(no_byte_is_wrong_among_a_few_entries),
    };
    if (count > 1)
        reads_asked = strtoull(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
