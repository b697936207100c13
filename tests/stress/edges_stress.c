/*
 * The memory cache at its edges, through the public calls alone: keys that were chosen to collide,
 * memory that is pinned whole, threads that come and go by the ten thousands, views that outlive
 * their threads, and children that are forked in the middle of it all.
 */
#include <larder/larder.h>
#include <larder/traits.h>

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "colliding_keys.h"
#include "dice.h"
#include "sanitizer.h"
#include "stats.h"

#define MIB (UINT64_C(1) << 20)

static struct larder_cache *open_memory(const char *uri)
{
    struct larder_cache *cache = NULL;
    assert_int_equal(larder_open(uri, NULL, &cache, NULL, 0), LARDER_OK);
    return cache;
}

/* Of this thread, whatever else the machine does. */
static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- keys that collide --------------------------------------------------------------------- */

#define FLOOD (100000u / SLOWDOWN)
#define FLOOD_ROUNDS_MAX 4
/* Keys that really collide cost hundreds of times as much; the rest is for caches of the processor.
 */
#define FLOOD_FACTOR_MAX (SANITIZED ? 10u : 3u)

static const struct colliding_keys *flood; /* what make_key() makes; NULL: random keys */

static size_t make_key(uint32_t number, unsigned char *key, size_t length)
{
    struct dice dice = {number};
    if (flood != NULL)
        return flood->make(number, key);
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) { /* there is room for a word too many */
        uint64_t word = roll(&dice, UINT64_MAX);
        memcpy(key + i, &word, sizeof(word));
    }
    return length;
}

/* Only the stores are timed; all keys must be found afterwards. */
static uint64_t store_keys_ns(size_t length)
{
    static unsigned char keys[100000][COLLIDING_KEY_BYTES_MAX];
    struct larder_cache *cache = open_memory("memory:?max_bytes=256M");
    uint32_t found = 0;
    for (uint32_t i = 0; i < FLOOD; i++)
        length = make_key(i, keys[i], length);
    uint64_t began_ns = cpu_ns();
    for (uint32_t i = 0; i < FLOOD; i++)
        if (larder_set(cache, larder_bytes(keys[i], length), larder_text("v"), 0) != LARDER_OK)
            fail_msg("store %u fails", i);
    uint64_t took_ns = cpu_ns() - began_ns;
    for (uint32_t i = 0; i < FLOOD; i++)
        found += larder_read(cache, larder_bytes(keys[i], length), NULL, 0, NULL) == LARDER_PARTIAL;
    larder_close(cache);
    assert_int_equal(found, FLOOD);
    return took_ns;
}

/* What took longer than it should is measured again: a machine has other things to do, and keys
 * that collide do so each time. */
static int costs_what_random_keys_do(const struct colliding_keys *keys)
{
    unsigned char key[COLLIDING_KEY_BYTES_MAX];
    uint64_t chosen_ns = 0, random_ns = 0;
    for (int round = 0; round < FLOOD_ROUNDS_MAX; round++) {
        flood = keys;
        chosen_ns = store_keys_ns(0);
        flood = NULL;
        random_ns = store_keys_ns(keys->make(0, key));
        print_message("%s: %llu ns a store, %llu with random keys\n", keys->name,
                      (unsigned long long)(chosen_ns / FLOOD),
                      (unsigned long long)(random_ns / FLOOD));
        if (chosen_ns < FLOOD_FACTOR_MAX * random_ns)
            return 1;
    }
    return 0;
}

static void keys_chosen_to_collide_cost_what_others_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < colliding_keys_count; i++)
        assert_true(costs_what_random_keys_do(&colliding_keys[i]));
}

/* ---- pinned whole -------------------------------------------------------------------------- */

#define PINS_MAX 512u
#define PIN_BYTES 20000u
#define REFUSAL_NS_MAX (SANITIZED ? UINT64_C(200000000) : UINT64_C(20000000))

/* Stores and views until nothing more fits. @return how many */
static size_t pin_all(struct larder_cache *cache, const char *bytes, struct larder_value *views)
{
    size_t count = 0;
    char text[16];
    for (; count < PINS_MAX; count++) {
        int length = snprintf(text, sizeof(text), "pin %zu", count);
        struct larder_slice key = larder_bytes(text, (size_t)length);
        if (larder_set(cache, key, larder_bytes(bytes, PIN_BYTES), 0) != LARDER_OK)
            break;
        memset(&views[count], 0, sizeof(views[count]));
        assert_int_equal(larder_get(cache, key, &views[count]), LARDER_OK);
    }
    return count;
}

static void what_is_pinned_whole_refuses_at_once_and_recovers(void **state)
{
    static char bytes[PIN_BYTES];
    static struct larder_value views[PINS_MAX];
    struct larder_slice more = larder_bytes(bytes, sizeof(bytes));
    struct larder_cache *cache = open_memory("memory:?max_bytes=1M");
    (void)state;
    memset(bytes, 'p', sizeof(bytes));
    size_t count = pin_all(cache, bytes, views);
    assert_true(count > MIB / PIN_BYTES / 2 && count < PINS_MAX);
    for (int i = 0; i < 100; i++) {
        uint64_t began_ns = cpu_ns();
        assert_int_equal(larder_set(cache, larder_text("one more"), more, 0), LARDER_NO_MEMORY);
        assert_true(cpu_ns() - began_ns < REFUSAL_NS_MAX);
        assert_true(stat_of(cache, "bytes") <= MIB);
    }
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(views[i].bytes.data, bytes, PIN_BYTES);
    for (size_t i = 0; i < count; i++)
        larder_value_release(&views[i]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(larder_set(cache, larder_text("one more"), more, 0), LARDER_OK);
    larder_close(cache);
}

/* ---- threads that come and go -------------------------------------------------------------- */

enum { AT_ONCE = 8, STORED_BYTES = 6000 };
#define SHORT_LIVED (100000u / SLOWDOWN)

struct short_lived {
    struct larder_cache *cache;
    uint32_t number;
    int works;
    struct larder_value view; /* left to whoever joins the thread */
};

static void *live_shortly(void *argument)
{
    struct short_lived *life = argument;
    static const char bytes[STORED_BYTES];
    char text[32];
    int length = snprintf(text, sizeof(text), "of thread %u", life->number % 50);
    struct larder_slice key = larder_bytes(text, (size_t)length);
    enum larder_status stored =
        larder_set(life->cache, key, larder_bytes(bytes, sizeof(bytes)), 60000);
    enum larder_status got = larder_get(life->cache, key, &life->view);
    life->works = stored == LARDER_OK && (got == LARDER_OK || got == LARDER_MISS);
    return NULL;
}

static void live_at_once(struct larder_cache *cache, uint32_t first)
{
    pthread_t threads[AT_ONCE];
    struct short_lived lives[AT_ONCE];
    memset(lives, 0, sizeof(lives));
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        lives[i].cache = cache;
        lives[i].number = first + i;
        assert_int_equal(pthread_create(&threads[i], NULL, live_shortly, &lives[i]), 0);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(lives[i].works);
        larder_value_release(&lives[i].view); /* its thread is gone */
    }
}

/* What the first half leaves is there: dead entries up to the bound, and what glibc keeps. */
static void many_short_lives_leave_nothing_behind(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=1M");
    (void)state;
    for (uint32_t i = 0; i < SHORT_LIVED / 2; i += AT_ONCE)
        live_at_once(cache, i);
    size_t heap = mallinfo2().uordblks;
    for (uint32_t i = SHORT_LIVED / 2; i < SHORT_LIVED; i += AT_ONCE)
        live_at_once(cache, i);
    assert_true(stat_of(cache, "bytes") <= MIB);
    if (!SANITIZED)
        assert_true(mallinfo2().uordblks < heap + MIB / 16);
    larder_close(cache);
}

static void *get_and_leave(void *argument)
{
    struct short_lived *life = argument;
    life->works = larder_get(life->cache, larder_text("viewed"), &life->view) == LARDER_OK;
    return NULL;
}

static void a_view_outlives_its_thread_its_entry_and_its_cache(void **state)
{
    char bytes[STORED_BYTES], others[STORED_BYTES];
    pthread_t thread;
    struct short_lived life = {.cache = open_memory("memory:?max_bytes=1M")};
    (void)state;
    memset(bytes, 'v', sizeof(bytes));
    memset(others, 'o', sizeof(others));
    assert_int_equal(
        larder_set(life.cache, larder_text("viewed"), larder_bytes(bytes, sizeof(bytes)), 0),
        LARDER_OK);
    assert_int_equal(pthread_create(&thread, NULL, get_and_leave, &life), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(life.works);
    for (uint32_t i = 0; i < 1000; i++) /* over and over everything there is */
        assert_int_equal(larder_set(life.cache, larder_bytes(&i, sizeof(i)),
                                    larder_bytes(others, sizeof(others)), 0),
                         LARDER_OK);
    assert_memory_equal(life.view.bytes.data, bytes, sizeof(bytes));
    larder_close(life.cache);
    assert_memory_equal(life.view.bytes.data, bytes, sizeof(bytes));
    larder_value_release(&life.view);
}

/* ---- children ------------------------------------------------------------------------------ */

enum { TRAFFIC = 4, CHILDREN = 20, TRAFFIC_KEYS = 2000 };

struct traffic {
    struct larder_cache *cache;
    pthread_t thread;
    struct dice dice;
    _Atomic int *over; /* relaxed */
};

static void *drive(void *argument)
{
    struct traffic *traffic = argument;
    char bytes[9000] = {0};
    while (!atomic_load_explicit(traffic->over, memory_order_relaxed)) {
        uint32_t number = (uint32_t)roll(&traffic->dice, TRAFFIC_KEYS);
        struct larder_slice key = larder_bytes(&number, sizeof(number));
        struct larder_value view = {0};
        if (roll(&traffic->dice, 2) == 0)
            (void)!larder_set(traffic->cache, key,
                              larder_bytes(bytes, roll(&traffic->dice, sizeof(bytes))),
                              (int64_t)roll(&traffic->dice, 20));
        else
            (void)!larder_get(traffic->cache, key, &view);
        larder_value_release(&view);
    }
    return NULL;
}

/* @return 0, or the number of what does not work */
static int what_fails_in_child(struct larder_cache *cache, struct larder_value *inherited)
{
    char text[16];
    struct larder_info info = {0};
    if (larder_set(cache, larder_text("mine"), larder_text("child"), 0) != LARDER_OK)
        return 1;
    if (larder_read(cache, larder_text("mine"), text, sizeof(text), &info) != LARDER_OK ||
        info.length != 5 || memcmp(text, "child", 5) != 0)
        return 2;
    for (uint32_t i = 0; i < TRAFFIC_KEYS; i++) { /* through every part of it, and past the bound */
        enum larder_status status = larder_set(cache, larder_bytes(&i, sizeof(i)),
                                               larder_bytes(inherited->bytes.data, 5000), 0);
        if (status == LARDER_OK)
            continue;
        fprintf(stderr, "store %u of the child: %s\n", i, larder_status_name(status));
        return 3;
    }
    if (((const char *)inherited->bytes.data)[inherited->bytes.length - 1] != 'v')
        return 4;
    larder_value_release(inherited);
    if (larder_flush(cache) != LARDER_OK ||
        larder_read(cache, larder_text("mine"), NULL, 0, NULL) != LARDER_MISS)
        return 5;
    larder_close(cache);
    return 0;
}

static void fork_and_wait(struct larder_cache *cache, struct larder_value *view)
{
    int wait_status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(what_fails_in_child(cache, view));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 0);
}

static void a_child_forked_amid_traffic_has_a_cache_of_its_own(void **state)
{
    LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR();
    struct larder_cache *cache = open_memory("memory:?max_bytes=2M&bucket_interval=10ms");
    struct traffic traffic[TRAFFIC];
    struct larder_value view = {0};
    _Atomic int over = 0;
    char bytes[9000];
    (void)state;
    memset(bytes, 'v', sizeof(bytes));
    assert_int_equal(
        larder_set(cache, larder_text("viewed"), larder_bytes(bytes, sizeof(bytes)), 0), LARDER_OK);
    assert_int_equal(larder_get(cache, larder_text("viewed"), &view), LARDER_OK);
    for (unsigned i = 0; i < TRAFFIC; i++) {
        traffic[i].cache = cache;
        traffic[i].dice.state = i;
        traffic[i].over = &over;
        assert_int_equal(pthread_create(&traffic[i].thread, NULL, drive, &traffic[i]), 0);
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        fork_and_wait(cache, &view);
    atomic_store_explicit(&over, 1, memory_order_relaxed);
    for (unsigned i = 0; i < TRAFFIC; i++)
        assert_int_equal(pthread_join(traffic[i].thread, NULL), 0);
    assert_int_equal(larder_read(cache, larder_text("mine"), NULL, 0, NULL), LARDER_MISS);
    larder_value_release(&view);
    larder_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_chosen_to_collide_cost_what_others_do),
        cmocka_unit_test(what_is_pinned_whole_refuses_at_once_and_recovers),
        cmocka_unit_test(many_short_lives_leave_nothing_behind),
        cmocka_unit_test(a_view_outlives_its_thread_its_entry_and_its_cache),
        cmocka_unit_test(a_child_forked_amid_traffic_has_a_cache_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
