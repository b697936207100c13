/*
 * What is there is found: in a cache that has room for everything, readers and listings look for
 * keys that stay, and for keys that are overwritten all the time, while others come and go by the
 * ten thousands, so that whatever index there is grows, shrinks and moves things about; and a
 * single key with a TTL is overwritten without a pause while every form of reading looks for it.
 *
 *     presence_stress [MILLISECONDS]      LARDER_STRESS_SCALE multiplies the default
 */
#include <larder/larder.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dice.h"
#include "sanitizer.h"
#include "stats.h"

enum { STAYING = 1000, OVERWRITTEN = 50, LOOKED_FOR = STAYING + OVERWRITTEN };
enum { READERS = 4, OVERWRITERS = 2, COMERS = 2, LISTERS = 1 };
enum { THREADS = READERS + OVERWRITERS + COMERS + LISTERS, VALUE_MAX = 3000 };
#define COMING (SANITIZED ? 2000u : 40000u) /* of each comer, before they go again */

static uint64_t milliseconds_asked; /* 0: the default */

struct arena {
    struct larder_cache *cache;
    _Atomic int over;       /* relaxed: the run ends */
    _Atomic uint64_t looks; /* relaxed: counts */
    _Atomic uint64_t listings;
    _Atomic uint64_t came;
    _Atomic uint64_t missed; /* keys that were there */
    _Atomic uint64_t unlisted;
    _Atomic uint64_t wrong; /* answers or values */
};

struct worker {
    struct arena *arena;
    pthread_t thread;
    uint32_t number;
    struct dice dice;
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static int is_over(struct worker *worker)
{
    return atomic_load_explicit(&worker->arena->over, memory_order_relaxed);
}

/* ---- keys and values ----------------------------------------------------------------------- */

static struct larder_slice name_key(char text[32], char kind, uint32_t number)
{
    const char *format = number % 2 == 0 ? "%c%u" : "%c%u, of the usual length";
    return larder_bytes(text, (size_t)snprintf(text, 32, format, kind, number));
}

/* STAYING of one kind, and the others. */
static struct larder_slice name_looked_for(char text[32], uint32_t number)
{
    return number < STAYING ? name_key(text, 's', number) : name_key(text, 'o', number - STAYING);
}

/* Its number, as often as it takes. */
static enum larder_status store(struct worker *worker, struct larder_slice key, uint32_t number)
{
    uint32_t words[VALUE_MAX / sizeof(uint32_t)];
    size_t length = 1 + roll(&worker->dice, sizeof(words) / sizeof(words[0]));
    for (size_t i = 0; i < length; i++)
        words[i] = number;
    return larder_set(worker->arena->cache, key, larder_bytes(words, length * sizeof(words[0])),
                      roll(&worker->dice, 4) == 0 ? 3600000 : LARDER_TTL_FOREVER);
}

/* ---- what they do -------------------------------------------------------------------------- */

static void *look(void *argument)
{
    struct worker *worker = argument;
    char text[32];
    uint32_t words[VALUE_MAX / sizeof(uint32_t)];
    while (!is_over(worker)) {
        uint32_t number = (uint32_t)roll(&worker->dice, LOOKED_FOR);
        struct larder_info info = {0};
        enum larder_status status = larder_read(worker->arena->cache, name_looked_for(text, number),
                                                words, sizeof(words), &info);
        count(&worker->arena->looks);
        if (status == LARDER_MISS)
            count(&worker->arena->missed);
        else if (status != LARDER_OK || words[0] != number ||
                 words[info.length / sizeof(words[0]) - 1] != number)
            count(&worker->arena->wrong);
    }
    return NULL;
}

static void *overwrite(void *argument)
{
    struct worker *worker = argument;
    char text[32];
    while (!is_over(worker)) {
        uint32_t number = STAYING + (uint32_t)roll(&worker->dice, OVERWRITTEN);
        if (store(worker, name_looked_for(text, number), number) != LARDER_OK)
            count(&worker->arena->wrong);
    }
    return NULL;
}

static void *come_and_go(void *argument)
{
    struct worker *worker = argument;
    static const char kinds[] = "abcdefgh";
    char text[32];
    while (!is_over(worker)) {
        for (uint32_t i = 0; i < COMING && !is_over(worker); i++, count(&worker->arena->came))
            if (larder_set(worker->arena->cache, name_key(text, kinds[worker->number % 8], i),
                           larder_text("come"), LARDER_TTL_FOREVER) != LARDER_OK)
                count(&worker->arena->wrong);
        for (uint32_t i = 0; i < COMING; i++)
            (void)larder_invalidate(worker->arena->cache,
                                    name_key(text, kinds[worker->number % 8], i));
    }
    return NULL;
}

static void note_listed(struct larder_slice key, unsigned char seen[LOOKED_FOR])
{
    char text[32] = "";
    unsigned number = 0;
    memcpy(text, key.data, key.length < sizeof(text) - 1 ? key.length : sizeof(text) - 1);
    if (sscanf(text, "s%u", &number) == 1 && number < STAYING)
        seen[number] = 1;
    if (sscanf(text, "o%u", &number) == 1 && number < OVERWRITTEN)
        seen[STAYING + number] = 1;
}

static void *list(void *argument)
{
    struct worker *worker = argument;
    char buffer[1024];
    struct larder_slice keys[64];
    while (!is_over(worker)) {
        unsigned char seen[LOOKED_FOR] = {0};
        struct larder_cursor cursor = {{0}};
        size_t listed = 1;
        while (listed > 0) {
            if (larder_keys(worker->arena->cache, &cursor, buffer, sizeof(buffer), keys, 64,
                            &listed) != LARDER_OK)
                count(&worker->arena->wrong);
            for (size_t i = 0; i < listed; i++)
                note_listed(keys[i], seen);
        }
        count(&worker->arena->listings);
        for (uint32_t i = 0; i < LOOKED_FOR; i++)
            if (!seen[i])
                count(&worker->arena->unlisted);
    }
    return NULL;
}

/* ---- one key ------------------------------------------------------------------------------- */

enum { FORMS = 5 };

static const struct larder_slice one_key = {"overwritten", 11};

static enum larder_status read_row(struct larder_cache *cache, enum larder_many_kind many,
                                   int64_t *ttl_ms)
{
    uint32_t word = 0;
    struct larder_row row = {.key = one_key, .buffer = &word, .size = sizeof(word)};
    row.value.info.want = LARDER_WANT_TTL;
    (void)larder_many(cache, NULL, many, LARDER_SET, &row, 1, sizeof(row));
    *ttl_ms = row.value.info.ttl_ms;
    larder_value_release(&row.value);
    return row.status;
}

/* Each form of reading, but those that write. @return what it answered */
static enum larder_status look_in_form(struct larder_cache *cache, unsigned form, int64_t *ttl_ms)
{
    uint32_t word = 0;
    struct larder_value value = {.info = {.want = LARDER_WANT_TTL}};
    enum larder_status status;
    switch (form) {
    case 0:
        return larder_read(cache, one_key, &word, sizeof(word), NULL);
    case 1:
        status = larder_read(cache, one_key, &word, sizeof(word), &value.info);
        break;
    case 2:
        status = larder_get(cache, one_key, &value);
        break;
    default:
        return read_row(cache, form == 3 ? LARDER_MANY_READ : LARDER_MANY_GET, ttl_ms);
    }
    *ttl_ms = value.info.ttl_ms;
    larder_value_release(&value);
    return status;
}

static void *look_for_one(void *argument)
{
    struct worker *worker = argument;
    while (!is_over(worker)) {
        int64_t ttl_ms = 3600000;
        enum larder_status status =
            look_in_form(worker->arena->cache, (unsigned)roll(&worker->dice, FORMS), &ttl_ms);
        count(&worker->arena->looks);
        if (status == LARDER_MISS)
            count(&worker->arena->missed);
        else if (status != LARDER_OK || ttl_ms < 3500000)
            count(&worker->arena->wrong);
    }
    return NULL;
}

static void *overwrite_one(void *argument)
{
    struct worker *worker = argument;
    uint32_t word = worker->number;
    while (!is_over(worker))
        if (larder_set(worker->arena->cache, one_key, larder_bytes(&word, sizeof(word)), 3600000) !=
            LARDER_OK)
            count(&worker->arena->wrong);
    return NULL;
}

/* ---- the run ------------------------------------------------------------------------------- */

static void rest(void)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    uint64_t milliseconds =
        milliseconds_asked != 0 ? milliseconds_asked : (uint64_t)(3000 * (scale > 0 ? scale : 1));
    struct timespec pause = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

typedef void *work_fn(void *argument);

static work_fn *among_many(uint32_t number)
{
    return number < READERS                          ? look
           : number < READERS + OVERWRITERS          ? overwrite
           : number < READERS + OVERWRITERS + COMERS ? come_and_go
                                                     : list;
}

static work_fn *on_one(uint32_t number)
{
    return number < READERS ? look_for_one : overwrite_one;
}

static void open_arena(struct arena *arena, struct worker workers[THREADS], uint64_t seed)
{
    memset(arena, 0, sizeof(*arena));
    assert_int_equal(larder_open("memory:?max_bytes=256M", NULL, &arena->cache, NULL, 0),
                     LARDER_OK);
    for (uint32_t i = 0; i < THREADS; i++)
        workers[i] = (struct worker){
            .arena = arena, .number = i, .dice = {seed + i * UINT64_C(0x100000000)}};
}

static void run_threads(struct arena *arena, struct worker *workers, uint32_t threads,
                        work_fn *(*work_of)(uint32_t number))
{
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work_of(i), &workers[i]), 0);
    rest();
    atomic_store_explicit(&arena->over, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void close_arena(struct arena *arena, uint64_t seed)
{
    print_message("LARDER_SEED=%llu: %llu looks, %llu listings, %llu keys came and went\n",
                  (unsigned long long)seed, (unsigned long long)arena->looks,
                  (unsigned long long)arena->listings, (unsigned long long)arena->came);
    assert_int_equal(stat_of(arena->cache, "evictions"), 0);
    assert_int_equal(arena->missed, 0);
    assert_int_equal(arena->unlisted, 0);
    assert_int_equal(arena->wrong, 0);
    assert_true(arena->looks > 0);
    larder_close(arena->cache);
}

static struct arena the_arena;
static struct worker the_workers[THREADS];

static void what_stays_is_found_and_listed(void **state)
{
    uint64_t seed = chosen_seed();
    char text[32];
    (void)state;
    open_arena(&the_arena, the_workers, seed);
    for (uint32_t i = 0; i < LOOKED_FOR; i++)
        assert_int_equal(store(&the_workers[0], name_looked_for(text, i), i), LARDER_OK);
    run_threads(&the_arena, the_workers, THREADS, among_many);
    assert_true(the_arena.listings > 0 && the_arena.came > 0);
    close_arena(&the_arena, seed);
}

static void a_key_that_is_overwritten_with_a_ttl_is_found_in_every_form(void **state)
{
    uint64_t seed = chosen_seed();
    uint32_t word = 0;
    (void)state;
    open_arena(&the_arena, the_workers, seed);
    assert_int_equal(
        larder_set(the_arena.cache, one_key, larder_bytes(&word, sizeof(word)), 3600000),
        LARDER_OK);
    run_threads(&the_arena, the_workers, READERS + OVERWRITERS, on_one);
    close_arena(&the_arena, seed);
}

int main(int count_of, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_is_found_and_listed),
        cmocka_unit_test(a_key_that_is_overwritten_with_a_ttl_is_found_in_every_form),
    };
    if (count_of > 1)
        milliseconds_asked = strtoull(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
