/* memory: what may change while it runs: its bound, and who is told of evictions. Through the
 * public calls, which find their way to the backend. */
#include <larder/client.h>
#include <larder/larder.h>
#include <larder/memory.h>
#include <larder/null.h>

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stats.h"

#define MIB (UINT64_C(1) << 20)

static struct larder_cache *open_memory(const char *uri)
{
    struct larder_cache *cache = NULL;
    char message[256] = "";
    assert_int_equal(larder_open(uri, NULL, &cache, message, sizeof(message)), LARDER_OK);
    return cache;
}

static enum larder_status set_numbered(struct larder_cache *cache, int number, size_t length)
{
    static const char bytes[100000];
    char key[32];
    snprintf(key, sizeof(key), "key%d", number);
    return larder_set(cache, larder_text(key), larder_bytes(bytes, length), LARDER_TTL_FOREVER);
}

static enum larder_status read_numbered(struct larder_cache *cache, int number)
{
    char key[32];
    snprintf(key, sizeof(key), "key%d", number);
    return larder_read(cache, larder_text(key), NULL, 0, NULL);
}

/* ---- the bound ----------------------------------------------------------------------------- */

static void a_raised_bound_counts_at_once(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=1M");
    (void)state;
    assert_int_equal(larder_memory_set_max_bytes(cache, 8 * MIB), LARDER_OK);
    assert_int_equal(stat_of(cache, "max_bytes"), 8 * MIB);
    for (int i = 0; i < 40000; i++) {
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
        assert_true(stat_of(cache, "bytes") <= 8 * MIB);
    }
    assert_int_equal(stat_of(cache, "evictions"), 0);
    assert_true(stat_of(cache, "bytes") > 4 * MIB);
    larder_close(cache);
}

static void after_a_bound_was_lowered_calls_shrink_the_cache(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=8M");
    (void)state;
    for (int i = 0; i < 40000; i++)
        assert_int_equal(set_numbered(cache, i, i % 50 == 0 ? 10000 : 60), LARDER_OK);
    assert_int_equal(larder_memory_set_max_bytes(cache, 1 * MIB), LARDER_OK);
    uint64_t before = stat_of(cache, "bytes"), segment = stat_of(cache, "segment_bytes");
    int calls = 0;
    for (; stat_of(cache, "bytes") > 1 * MIB && calls < 5000; calls++) {
        (void)set_numbered(cache, calls, 60);
        uint64_t bytes = stat_of(cache, "bytes");
        assert_true(bytes <= before + segment);
        before = bytes;
    }
    assert_true(calls > 100); /* in steps */
    assert_true(stat_of(cache, "bytes") <= 1 * MIB);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
        assert_true(stat_of(cache, "bytes") <= 1 * MIB);
    }
    larder_close(cache);
}

static void purge_shrinks_too(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=8M");
    (void)state;
    for (int i = 0; i < 60000; i++)
        assert_int_equal(set_numbered(cache, i, 60), LARDER_OK);
    assert_int_equal(larder_memory_set_max_bytes(cache, 1 * MIB), LARDER_OK);
    assert_true(stat_of(cache, "bytes") > 1 * MIB);
    assert_int_equal(larder_purge(cache, 20000, NULL), LARDER_OK);
    assert_true(stat_of(cache, "bytes") <= 1 * MIB);
    assert_true(stat_of(cache, "items") > 1000);
    larder_close(cache);
}

static void with_eviction_off_a_lower_bound_takes_nothing_away(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=2M&evict=off");
    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
    assert_int_equal(larder_memory_set_max_bytes(cache, MIB / 2), LARDER_OK);
    uint64_t before = stat_of(cache, "bytes");
    int more = 0; /* what is open is filled */
    while (more < 100 && set_numbered(cache, 5000 + more, 100) == LARDER_OK)
        more++;
    assert_int_equal(set_numbered(cache, 5000 + more, 100), LARDER_NO_MEMORY);
    assert_true(stat_of(cache, "bytes") <= before);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(read_numbered(cache, i), LARDER_PARTIAL);
    assert_int_equal(larder_flush(cache), LARDER_OK);
    assert_int_equal(set_numbered(cache, 5000, 100), LARDER_OK);
    assert_true(stat_of(cache, "bytes") <= MIB / 2);
    larder_close(cache);
}

static enum larder_status set_of_usual_length(struct larder_cache *cache, int number)
{
    char key[32], value[100] = "";
    snprintf(key, sizeof(key), "of the usual length %d", number);
    return larder_set(cache, larder_text(key), larder_bytes(value, sizeof(value)),
                      LARDER_TTL_FOREVER);
}

static void delete_of_usual_length(struct larder_cache *cache, int number)
{
    char key[32];
    snprintf(key, sizeof(key), "of the usual length %d", number);
    assert_int_equal(larder_delete(cache, larder_text(key), 0), LARDER_OK);
}

/* What is free goes, also where all that comes are stores that take no room. */
static void with_eviction_off_overwrites_give_back_what_is_free(void **state)
{
    enum { ALL = 40000, KEPT = 10000 };
    struct larder_cache *cache = open_memory("memory:?max_bytes=8M&evict=off");
    (void)state;
    for (int i = 0; i < ALL; i++)
        assert_int_equal(set_of_usual_length(cache, i), LARDER_OK);
    for (int i = KEPT; i < ALL; i++)
        delete_of_usual_length(cache, i);
    for (int i = 0; i < 20 * KEPT; i++) /* until there are places for all */
        assert_int_equal(set_of_usual_length(cache, i % KEPT), LARDER_OK);
    uint64_t bound = stat_of(cache, "bytes") - stat_of(cache, "segment_bytes");
    assert_int_equal(larder_memory_set_max_bytes(cache, bound), LARDER_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(set_of_usual_length(cache, i), LARDER_OK);
    assert_true(stat_of(cache, "bytes") <= bound);
    larder_close(cache);
}

static void a_bound_has_its_limits(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=8M");
    (void)state;
    assert_int_equal(larder_memory_set_max_bytes(cache, 1 * MIB - 1), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_memory_set_max_bytes(cache, 64 * MIB + 1), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_memory_set_max_bytes(cache, 0), LARDER_BAD_ARGUMENT);
    assert_int_equal(stat_of(cache, "max_bytes"), 8 * MIB);
    assert_int_equal(larder_memory_set_max_bytes(cache, 64 * MIB), LARDER_OK);
    assert_int_equal(larder_memory_set_max_bytes(cache, 1 * MIB), LARDER_OK);
    larder_close(cache);
    cache = open_memory("memory:?max_bytes=256K");
    assert_int_equal(larder_memory_set_max_bytes(cache, LARDER_MEMORY_BYTES_MIN - 1),
                     LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_memory_set_max_bytes(cache, LARDER_MEMORY_BYTES_MIN), LARDER_OK);
    larder_close(cache);
}

static void only_a_memory_leaf_has_a_bound_and_a_listener(void **state)
{
    struct larder_cache *cache = NULL;
    (void)state;
    assert_int_equal(larder_memory_set_max_bytes(NULL, MIB), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_memory_on_evicted(NULL, NULL, NULL), LARDER_BAD_ARGUMENT);
    cache = open_memory("null:");
    assert_int_equal(larder_memory_set_max_bytes(cache, MIB), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_memory_on_evicted(cache, NULL, NULL), LARDER_BAD_ARGUMENT);
    larder_close(cache);
    cache = open_memory("memory:?max_bytes=1M");
    larder_shutdown(cache);
    assert_int_equal(larder_memory_set_max_bytes(cache, MIB), LARDER_CLOSED);
    assert_int_equal(larder_memory_on_evicted(cache, NULL, NULL), LARDER_CLOSED);
    larder_close(cache);
}

static void without_a_bound_memory_is_taken_as_needed_and_given_back(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=0&huge_pages=off");
    (void)state;
    uint64_t empty = stat_of(cache, "bytes");
    assert_true(stat_of(cache, "max_bytes") > 100 * MIB); /* any machine of today's */
    assert_true(empty < 16 * MIB);
    for (int i = 0; i < 300000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
    for (int i = 300000; i < 300200; i++)
        assert_int_equal(set_numbered(cache, i, 100000), LARDER_OK);
    uint64_t full = stat_of(cache, "bytes");
    assert_true(full > 50 * MIB && full < 100 * MIB);
    assert_int_equal(stat_of(cache, "evictions"), 0);
    for (int i = 0; i < 300200; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key%d", i);
        assert_int_equal(larder_delete(cache, larder_text(key), 0), LARDER_OK);
    }
    assert_true(stat_of(cache, "bytes") < full / 3);
    larder_close(cache);
}

static void a_bound_below_the_smallest_is_refused(void **state)
{
    struct larder_cache *cache = NULL;
    char message[256] = "";
    (void)state;
    assert_int_equal(
        larder_open("memory:?max_bytes=262143", NULL, &cache, message, sizeof(message)),
        LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(message, "262144"));
    cache = open_memory("memory:?max_bytes=262144");
    larder_close(cache);
}

/* ---- namespaces ----------------------------------------------------------------------------- */

static enum larder_status read_whole(struct larder_cache *cache, int number)
{
    static char value[1000];
    char key[32];
    snprintf(key, sizeof(key), "key%d", number);
    return larder_read(cache, larder_text(key), value, sizeof(value), NULL);
}

/* Where a name has no room, a handle that is led there finds all the same what is stored later. */
static void names_that_had_no_room_at_first_can_be_read_later(void **state)
{
    enum { NAMES = 4000, SIZE = 1000 };
    struct larder_cache *leaf = open_memory("memory:?max_bytes=256K&evict=off"), *client;
    static struct larder_cache *handles[NAMES];
    struct larder_route route = {"*", leaf, LARDER_TTL_DEFAULT, 0};
    int filled = 0;
    (void)state;
    while (set_numbered(leaf, filled, SIZE) == LARDER_OK)
        filled++;
    assert_int_equal(larder_client_open(NULL, NULL, &route, 1, &client, NULL, 0), LARDER_OK);
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "name%d", i);
        assert_int_equal(larder_bind(client, name, &handles[i]), LARDER_OK);
        assert_int_equal(read_whole(handles[i], i), LARDER_MISS);
    }
    assert_int_equal(larder_flush(client), LARDER_OK);
    for (int i = 0; i < NAMES; i += NAMES / 10) {
        assert_int_equal(set_numbered(handles[i], i, SIZE), LARDER_OK);
        assert_int_equal(read_whole(handles[i], i), LARDER_OK);
        assert_int_equal(read_whole(handles[i + 1], i), LARDER_MISS);
    }
    larder_close(client);
}

/* ---- the listener --------------------------------------------------------------------------- */

struct told {
    struct larder_cache *cache; /* NULL: it is not used */
    uint64_t count, of_space, wrong;
    enum larder_status last;
};

static void note(void *context, struct larder_slice space, struct larder_slice key,
                 struct larder_slice value)
{
    struct told *told = context;
    told->count++;
    if (space.length == 5 && memcmp(space.data, "space", 5) == 0)
        told->of_space++;
    else
        told->wrong += space.length != 0;
    told->wrong += key.length < 4 || memcmp(key.data, "key", 3) != 0 || value.length != 100;
    if (told->cache == NULL)
        return;
    told->wrong += larder_read(told->cache, key, NULL, 0, NULL) != LARDER_MISS;
    told->last = larder_set(told->cache, key, value, LARDER_TTL_FOREVER);
    told->wrong += told->last != LARDER_OK && told->last != LARDER_NO_MEMORY;
    told->wrong += larder_delete(told->cache, larder_text("none"), 0) != LARDER_MISS;
}

static void the_listener_is_told_of_each_eviction(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=256K");
    struct told told = {0};
    (void)state;
    assert_int_equal(larder_memory_on_evicted(cache, note, &told), LARDER_OK);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
    assert_true(told.count > 5000);
    assert_int_equal(told.count, stat_of(cache, "evictions"));
    assert_int_equal(told.wrong, 0);
    assert_int_equal(larder_memory_on_evicted(cache, NULL, NULL), LARDER_OK);
    uint64_t count = told.count;
    for (int i = 0; i < 10000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
    assert_int_equal(told.count, count);
    larder_close(cache);
}

static void the_listener_is_told_of_no_other_end(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=1M");
    struct larder_lease lease;
    struct told told = {0};
    struct larder_value value = {0};
    (void)state;
    assert_int_equal(larder_memory_on_evicted(cache, note, &told), LARDER_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK); /* overwritten */
    assert_int_equal(larder_delete(cache, larder_text("key1"), 0), LARDER_OK);
    assert_int_equal(larder_flush(cache), LARDER_OK);
    assert_int_equal(told.count, 0);
    /* evicted, but no values */
    for (int i = 0; i < 60000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "none%d", i);
        if (i % 2 == 0)
            assert_int_equal(larder_set_absent(cache, larder_text(key), 0), LARDER_OK);
        else
            assert_int_equal(larder_lease_get(cache, larder_text(key), 60000, &value, &lease),
                             LARDER_MISS);
    }
    assert_true(stat_of(cache, "evictions") > 0);
    assert_int_equal(told.count, 0);
    larder_close(cache);
}

static void the_listener_may_use_the_cache_that_calls(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=256K");
    struct told told = {.cache = cache};
    (void)state;
    assert_int_equal(larder_memory_on_evicted(cache, note, &told), LARDER_OK);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(set_numbered(cache, i, 100), LARDER_OK);
        assert_true(stat_of(cache, "bytes") <= LARDER_MEMORY_BYTES_MIN);
    }
    assert_true(told.count > 5000);
    assert_int_equal(told.wrong, 0);
    larder_close(cache);
}

/* ---- while a listener stands still ---------------------------------------------------------- */

/* A thread stores into `outer`, whose listener stores into `inner`, whose listener stands still. */
struct chain {
    struct larder_cache *outer, *inner;
    size_t length; /* of outer's values */
    sem_t stands, goes_on;
    int stood; /* the thread's */
    enum larder_status status, inner_status;
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) /* EINTR */
        continue;
}

static void stand_still(void *context, struct larder_slice name, struct larder_slice key,
                        struct larder_slice value)
{
    struct chain *chain = context;
    (void)name, (void)key, (void)value;
    if (chain->stood++ > 0)
        return;
    sem_post(&chain->stands);
    wait_for(&chain->goes_on);
}

static void store_into_inner(void *context, struct larder_slice name, struct larder_slice key,
                             struct larder_slice value)
{
    struct chain *chain = context;
    (void)name, (void)key, (void)value;
    chain->inner_status = LARDER_OK;
    for (int i = 0; chain->stood == 0 && chain->inner_status == LARDER_OK; i++)
        chain->inner_status = set_numbered(chain->inner, i, 1000);
}

static void *store_into_outer(void *context)
{
    struct chain *chain = context;
    chain->status = LARDER_OK;
    for (int i = 0; chain->stood == 0 && chain->status == LARDER_OK; i++)
        chain->status = set_numbered(chain->outer, i, chain->length);
    if (chain->stood == 0)
        sem_post(&chain->stands); /* and what follows fails */
    return NULL;
}

static void start_chain(struct chain *chain, pthread_t *thread)
{
    sem_init(&chain->stands, 0, 0);
    sem_init(&chain->goes_on, 0, 0);
    assert_int_equal(pthread_create(thread, NULL, store_into_outer, chain), 0);
    wait_for(&chain->stands);
}

static void end_chain(struct chain *chain, pthread_t thread)
{
    sem_post(&chain->goes_on);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(chain->stood > 0);
    sem_destroy(&chain->stands);
    sem_destroy(&chain->goes_on);
}

/* The thread's record tells of its call in `inner` alone; what it is in the middle of in `outer`
 * is not to go all the same. */
static void a_shutdown_spares_whom_a_listener_took_elsewhere(void **state)
{
    struct chain chain = {.outer = open_memory("memory:?max_bytes=1M"),
                          .inner = open_memory("memory:?max_bytes=1M"),
                          .length = 1000};
    pthread_t thread;
    (void)state;
    assert_int_equal(larder_memory_on_evicted(chain.outer, store_into_inner, &chain), LARDER_OK);
    assert_int_equal(larder_memory_on_evicted(chain.inner, stand_still, &chain), LARDER_OK);
    start_chain(&chain, &thread);
    larder_shutdown(chain.outer);
    end_chain(&chain, thread);
    assert_int_equal(chain.inner_status, LARDER_OK);
    assert_true(chain.status == LARDER_OK || chain.status == LARDER_CLOSED);
    larder_close(chain.outer);
    larder_close(chain.inner);
}

static void fill_and_flush(struct larder_cache *cache)
{
    for (int i = 0; i % 1024 != 0 || stat_of(cache, "evictions") == 0; i++)
        assert_int_equal(set_numbered(cache, i, 10), LARDER_OK);
    assert_int_equal(larder_flush(cache), LARDER_OK);
}

/* What a flush takes away is given back also while a call is inside that began before it, so that a
 * full cache can be flushed again: but for the segment that the call looks through. */
static void a_call_that_stands_still_keeps_no_index(void **state)
{
    struct chain chain = {.outer = open_memory("memory:?max_bytes=4M"), .length = 10};
    pthread_t thread;
    (void)state;
    fill_and_flush(chain.outer);
    uint64_t flushed_bytes = stat_of(chain.outer, "bytes");
    uint64_t some_bytes = 8 * stat_of(chain.outer, "segment_bytes"); /* that one, and spare ones */
    assert_int_equal(larder_memory_on_evicted(chain.outer, stand_still, &chain), LARDER_OK);
    start_chain(&chain, &thread);
    assert_true(stat_of(chain.outer, "index_bytes") > 8 * some_bytes);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(larder_flush(chain.outer), LARDER_OK);
        assert_true(stat_of(chain.outer, "bytes") <= flushed_bytes + some_bytes);
    }
    end_chain(&chain, thread);
    assert_int_equal(chain.status, LARDER_OK);
    larder_close(chain.outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raised_bound_counts_at_once),
        cmocka_unit_test(after_a_bound_was_lowered_calls_shrink_the_cache),
        cmocka_unit_test(purge_shrinks_too),
        cmocka_unit_test(with_eviction_off_overwrites_give_back_what_is_free),
        cmocka_unit_test(with_eviction_off_a_lower_bound_takes_nothing_away),
        cmocka_unit_test(a_bound_has_its_limits),
        cmocka_unit_test(only_a_memory_leaf_has_a_bound_and_a_listener),
        cmocka_unit_test(without_a_bound_memory_is_taken_as_needed_and_given_back),
        cmocka_unit_test(a_bound_below_the_smallest_is_refused),
        cmocka_unit_test(names_that_had_no_room_at_first_can_be_read_later),
        cmocka_unit_test(the_listener_is_told_of_each_eviction),
        cmocka_unit_test(the_listener_is_told_of_no_other_end),
        cmocka_unit_test(the_listener_may_use_the_cache_that_calls),
        cmocka_unit_test(a_shutdown_spares_whom_a_listener_took_elsewhere),
        cmocka_unit_test(a_call_that_stands_still_keeps_no_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
