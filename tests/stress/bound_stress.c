/*
 * The byte bound while everybody writes: four threads store values of every size up to the limit,
 * overwrite, append, delete, and let things expire, while a fifth looks every 10 ms at what the
 * cache counts and at what the process really holds. Also with views held, and with a reader that
 * stands still in the middle of a call.
 *
 *     bound_stress [MILLISECONDS]      of each run; LARDER_STRESS_SCALE multiplies the default
 */
#include <larder/larder.h>
#include <larder/traits.h>
#include <larder/util/deadline.h>

#include <malloc.h>
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
#include "parked_reader.h"
#include "sanitizer.h"
#include "stats.h"

enum { WRITERS = 4, KEYS = 3000, VIEWS = 6, SAMPLE_MS = 10 };

#define MIB (UINT64_C(1) << 20)
/* Of resident memory, beyond max_bytes: what the promise allows. */
#define RSS_PERCENT_MAX 110u
#define RSS_BEYOND_MAX (8 * MIB)
#define VIEWED_FROM 4097u /* bytes: smaller views are copies, and the caller's */

static uint64_t milliseconds_asked; /* 0: the default */

struct arena {
    struct larder_cache *cache;
    uint64_t max_bytes;
    uint64_t value_max;
    int holds_views;
    unsigned char *bytes;     /* value_max of them, to be stored; only read */
    _Atomic int over;         /* relaxed: the run ends */
    _Atomic uint64_t stored;  /* relaxed: counts */
    _Atomic uint64_t refused; /* NO_MEMORY */
    _Atomic uint64_t wrong;   /* any other answer that may not be */
    uint64_t rss_before;
    /* the sampler's, read when it was joined */
    uint64_t samples, most_bytes, most_rss;
};

struct writer {
    struct arena *arena;
    pthread_t thread;
    struct dice dice;
    struct larder_value view[VIEWS];
};

static uint64_t draw(struct writer *writer, uint64_t sides)
{
    return roll(&writer->dice, sides);
}

/* ---- samples ------------------------------------------------------------------------------- */

/* Anonymous memory that is resident, in bytes. */
static uint64_t rss_anon(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

/* Whether the cache's entries are malloc()'s. What is resident is then up to its arenas, which keep
 * what was freed for other threads and hand out what fits: no bound of the cache's holds for it. */
static int lives_in_the_heap(const struct arena *arena)
{
    static char uri[] = "memory:?max_bytes=8M";
    struct larder_cache *cache = NULL;
    const struct mallinfo2 before = mallinfo2();
    assert_int_equal(larder_open(uri, NULL, &cache, NULL, 0), LARDER_OK);
    for (char key = 'a'; key <= 'z'; key++)
        assert_int_equal(larder_set(cache, larder_bytes(&key, 1),
                                    larder_bytes(arena->bytes, 100000), LARDER_TTL_FOREVER),
                         LARDER_OK);
    const struct mallinfo2 after = mallinfo2();
    larder_close(cache);
    return after.uordblks + after.hblkhd > before.uordblks + before.hblkhd + 10 * 100000;
}

static void *sample(void *argument)
{
    struct arena *arena = argument;
    const struct timespec pause = {0, SAMPLE_MS * 1000000};
    while (!atomic_load_explicit(&arena->over, memory_order_relaxed)) {
        uint64_t bytes = stat_of(arena->cache, "bytes"), rss = rss_anon();
        arena->most_bytes = bytes > arena->most_bytes ? bytes : arena->most_bytes;
        arena->most_rss = rss > arena->most_rss ? rss : arena->most_rss;
        arena->samples++;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Of any order of magnitude, the small ones more often; now and then all there may be. */
static size_t random_length(struct writer *writer)
{
    uint64_t longest = writer->arena->value_max;
    uint64_t one = draw(writer, 20), other = draw(writer, 20);
    if (draw(writer, 2000) == 0)
        return longest;
    longest >>= one > other ? one : other;
    return longest > 0 ? draw(writer, longest) : 0;
}

static void note(struct writer *writer, enum larder_status status, enum larder_status other)
{
    struct arena *arena = writer->arena;
    if (status == LARDER_OK)
        atomic_fetch_add_explicit(&arena->stored, 1, memory_order_relaxed);
    else if (status == LARDER_NO_MEMORY)
        atomic_fetch_add_explicit(&arena->refused, 1, memory_order_relaxed);
    else if (status != other)
        atomic_fetch_add_explicit(&arena->wrong, 1, memory_order_relaxed);
}

static void store(struct writer *writer, struct larder_slice key, enum larder_mode mode,
                  size_t length, enum larder_status other)
{
    int64_t ttl_ms = draw(writer, 3) == 0 ? 1 + (int64_t)draw(writer, 300) : LARDER_TTL_FOREVER;
    struct larder_write write = larder_write_of(larder_bytes(writer->arena->bytes, length), ttl_ms);
    note(writer, larder_store(writer->arena->cache, mode, key, &write, NULL), other);
}

/* Values grow by appending until they are a quarter of the bound. */
static void append(struct writer *writer, struct larder_slice key)
{
    struct larder_info info = {0};
    enum larder_status status = larder_read(writer->arena->cache, key, NULL, 0, &info);
    if (status == LARDER_PARTIAL && info.length > writer->arena->value_max / 4)
        (void)larder_delete(writer->arena->cache, key, 0);
    store(writer, key, draw(writer, 2) == 0 ? LARDER_APPEND : LARDER_PREPEND,
          1 + draw(writer, 2000), LARDER_MISS);
}

/* Keeps views of large values, which pin memory of the cache; small ones are let go. */
static void hold(struct writer *writer, struct larder_slice key)
{
    struct larder_value *view = &writer->view[draw(writer, VIEWS)];
    larder_value_release(view);
    (void)!larder_get(writer->arena->cache, key, view);
    if (view->bytes.length < VIEWED_FROM)
        larder_value_release(view);
}

static void write_something(struct writer *writer)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "key %llu", (unsigned long long)draw(writer, KEYS));
    struct larder_slice key = larder_bytes(text, (size_t)length);
    uint64_t kind = draw(writer, 100);
    if (kind < 60)
        store(writer, key, LARDER_SET, random_length(writer), LARDER_OK);
    else if (kind < 70)
        store(writer, key, LARDER_REPLACE, random_length(writer), LARDER_MISS);
    else if (kind < 85)
        append(writer, key);
    else if (kind < 90)
        (void)larder_delete(writer->arena->cache, key, 0);
    else if (writer->arena->holds_views)
        hold(writer, key);
}

static void *write_on(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load_explicit(&writer->arena->over, memory_order_relaxed))
        write_something(writer);
    for (unsigned i = 0; i < VIEWS; i++)
        larder_value_release(&writer->view[i]);
    return NULL;
}

/* ---- runs ---------------------------------------------------------------------------------- */

static void rest(void)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    uint64_t milliseconds =
        milliseconds_asked != 0 ? milliseconds_asked : (uint64_t)(1000 * (scale > 0 ? scale : 1));
    struct timespec pause = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static void open_arena(struct arena *arena, uint64_t max_bytes)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    char uri[64];
    memset(arena, 0, sizeof(*arena));
    arena->max_bytes = max_bytes;
    arena->bytes = malloc(max_bytes);
    assert_non_null(arena->bytes);
    memset(arena->bytes, 'v', max_bytes);
    malloc_trim(0);
    arena->rss_before = rss_anon();
    options.clock = parking_clock();
    snprintf(uri, sizeof(uri), "memory:?max_bytes=%llu&bucket_interval=100ms",
             (unsigned long long)max_bytes);
    assert_int_equal(larder_open(uri, &options, &arena->cache, NULL, 0), LARDER_OK);
    arena->value_max = larder_describe(arena->cache)->value_max;
    assert_true(arena->value_max <= max_bytes);
}

typedef void *work_fn(void *writer);

/* The writers' stacks and what pthread keeps for them are small beside what is allowed. */
static void run_threads(struct arena *arena, work_fn *work, unsigned count)
{
    struct writer writers[WRITERS];
    pthread_t sampler;
    uint64_t seed = chosen_seed();
    memset(writers, 0, sizeof(writers));
    print_message("LARDER_SEED=%llu: ", (unsigned long long)seed);
    assert_int_equal(pthread_create(&sampler, NULL, sample, arena), 0);
    for (unsigned i = 0; i < count; i++) {
        writers[i].arena = arena;
        writers[i].dice.state = seed + i * UINT64_C(0x100000000);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, work, &writers[i]), 0);
    }
    rest();
    atomic_store_explicit(&arena->over, 1, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    assert_int_equal(pthread_join(sampler, NULL), 0);
}

static void run_writers(struct arena *arena)
{
    run_threads(arena, write_on, WRITERS);
}

static void check_bound(const struct arena *arena)
{
    uint64_t grown = arena->most_rss > arena->rss_before ? arena->most_rss - arena->rss_before : 0;
    uint64_t allowed = arena->max_bytes * RSS_PERCENT_MAX / 100 + RSS_BEYOND_MAX;
    print_message("bound %llu KiB: %llu stored, %llu refused; at most %llu KiB counted, %llu KiB "
                  "resident (%llu allowed), in %llu samples\n",
                  (unsigned long long)arena->max_bytes / 1024,
                  (unsigned long long)atomic_load_explicit(&arena->stored, memory_order_relaxed),
                  (unsigned long long)atomic_load_explicit(&arena->refused, memory_order_relaxed),
                  (unsigned long long)arena->most_bytes / 1024, (unsigned long long)grown / 1024,
                  (unsigned long long)allowed / 1024, (unsigned long long)arena->samples);
    assert_int_equal(atomic_load_explicit(&arena->wrong, memory_order_relaxed), 0);
    assert_true(arena->samples > 0 && arena->most_bytes > 0);
    assert_true(arena->most_bytes <= arena->max_bytes);
    assert_true(atomic_load_explicit(&arena->stored, memory_order_relaxed) > 0);
    if (SANITIZED) /* whose own memory is resident, too */
        return;
    if (!lives_in_the_heap(arena))
        assert_true(grown <= allowed);
    else if (grown > allowed)
        print_message("left out: resident memory of a cache in malloc()'s heap\n");
}

/* Whatever was pinned or parked: it is over, and the cache works as before. */
static void check_recovery(struct arena *arena)
{
    struct larder_slice key = larder_text("afterwards");
    size_t length = (size_t)arena->value_max / 2;
    char first = 0;
    assert_int_equal(larder_set(arena->cache, key, larder_bytes(arena->bytes, length), 0),
                     LARDER_OK);
    assert_int_equal(larder_read(arena->cache, key, &first, 1, NULL), LARDER_PARTIAL);
    assert_int_equal(first, 'v');
}

static void close_arena(struct arena *arena)
{
    larder_close(arena->cache);
    free(arena->bytes);
}

static const uint64_t bounds[] = {1 * MIB, 8 * MIB, 64 * MIB};
#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

static void the_bound_holds_while_everybody_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDS; i++) {
        struct arena arena;
        open_arena(&arena, bounds[i]);
        run_writers(&arena);
        check_bound(&arena);
        check_recovery(&arena);
        close_arena(&arena);
    }
}

static void the_bound_holds_while_views_pin_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDS; i++) {
        struct arena arena;
        open_arena(&arena, bounds[i]);
        arena.holds_views = 1;
        run_writers(&arena);
        check_bound(&arena);
        check_recovery(&arena);
        close_arena(&arena);
    }
}

typedef struct parked_reader *park_fn(struct larder_cache *cache, struct larder_slice key);

/* Writes may be refused while a reader stands, but not be held up by it. */
static void run_beside_parked(uint64_t max_bytes, park_fn *park, const char *where)
{
    struct larder_slice key = larder_text("parked");
    struct arena arena;
    open_arena(&arena, max_bytes);
    assert_int_equal(larder_set(arena.cache, key, larder_bytes(arena.bytes, 20000), 60000),
                     LARDER_OK);
    struct parked_reader *reader = park(arena.cache, key);
    if (reader == NULL) {
        print_message("left out: a reader can't be parked %s\n", where);
        close_arena(&arena);
        return;
    }
    run_writers(&arena);
    enum larder_status status = parked_reader_end(reader);
    assert_true(status == LARDER_OK || status == LARDER_MISS);
    check_bound(&arena);
    check_recovery(&arena);
    close_arena(&arena);
}

static void the_bound_holds_while_a_reader_stands_in_the_clock(void **state)
{
    (void)state;
    run_beside_parked(1 * MIB, parked_in_clock_start, "in the clock");
    run_beside_parked(8 * MIB, parked_in_clock_start, "in the clock");
}

static void the_bound_holds_while_a_reader_stands_in_its_read(void **state)
{
    (void)state;
    run_beside_parked(1 * MIB, parked_in_read_start, "inside of a read");
    run_beside_parked(8 * MIB, parked_in_read_start, "inside of a read");
}

/* ---- a cache as most use it ----------------------------------------------------------------- */

enum { FILLERS = 2, FILLED_KEYS = 1000000 };

/* Reads, and stores what is missing. The lower a number, the more often it comes. */
static void *fill(void *argument)
{
    struct writer *writer = argument;
    struct arena *arena = writer->arena;
    char value[100];
    while (!atomic_load_explicit(&arena->over, memory_order_relaxed)) {
        uint64_t number = roll(&writer->dice, 1 + roll(&writer->dice, FILLED_KEYS));
        struct larder_slice key = larder_bytes(&number, sizeof(number));
        enum larder_status status =
            larder_read(arena->cache, key, value, sizeof(value), &(struct larder_info){0});
        if (status == LARDER_MISS)
            status = larder_set(arena->cache, key, larder_bytes(arena->bytes, sizeof(value)),
                                LARDER_TTL_FOREVER);
        note(writer, status, LARDER_OK);
    }
    return NULL;
}

/* No view is held and no reader stands still: there is always something to be evicted, also while
 * another thread is at it. */
static void nothing_is_refused_where_all_can_be_evicted(void **state)
{
    (void)state;
    for (uint64_t max_bytes = MIB; max_bytes <= 16 * MIB; max_bytes *= 4) {
        struct arena arena;
        open_arena(&arena, max_bytes);
        run_threads(&arena, fill, FILLERS);
        check_bound(&arena);
        assert_int_equal(atomic_load_explicit(&arena.refused, memory_order_relaxed), 0);
        close_arena(&arena);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_refused_where_all_can_be_evicted),
        cmocka_unit_test(the_bound_holds_while_everybody_writes),
        cmocka_unit_test(the_bound_holds_while_views_pin_memory),
        cmocka_unit_test(the_bound_holds_while_a_reader_stands_in_the_clock),
        cmocka_unit_test(the_bound_holds_while_a_reader_stands_in_its_read),
    };
    if (count > 1)
        milliseconds_asked = strtoull(arguments[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
