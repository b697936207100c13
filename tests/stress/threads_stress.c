/*
 * Threads that live for a call or two: what larder keeps for a thread goes on to the next one, so
 * many of them leave neither memory nor connections behind.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1).
 */
#include "support.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "memcached_server.h"
#include "sanitizer.h"

enum { THREADS = 100000, POOLED_THREADS = 10000, AT_ONCE = 8, WARM = 10, CACHES = 2 };

struct visitor {
    struct larder_cache *const *caches; /* two */
    uint32_t number;
    int failed;
};

static int visit_one(struct larder_cache *cache, uint32_t number)
{
    char key[32];
    uint32_t seen = 0;
    struct larder_slice name =
        larder_bytes(key, (size_t)snprintf(key, sizeof(key), "key%u", number % 100));
    struct larder_slice value = larder_bytes(&number, sizeof(number));
    return larder_set(cache, name, value, 0) == LARDER_OK &&
           larder_read(cache, name, &seen, sizeof(seen), NULL) == LARDER_OK &&
           seen % 100 == number % 100;
}

static void *visit(void *context)
{
    struct visitor *visitor = context;
    for (int i = 0; i < CACHES; i++)
        visitor->failed += !visit_one(visitor->caches[i], visitor->number);
    return NULL;
}

/* So many threads at once, which end before the next ones begin. @return how many failed */
static int visit_together(struct larder_cache *const caches[CACHES], uint32_t first)
{
    struct visitor visitors[AT_ONCE];
    pthread_t threads[AT_ONCE];
    int failed = 0;
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        visitors[i] = (struct visitor){caches, first + i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, visit, &visitors[i]), 0);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        failed += visitors[i].failed;
    }
    return failed;
}

static uint32_t rounds(uint32_t threads)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    return (uint32_t)(threads / AT_ONCE * (scale > 0 ? scale : 1)) + WARM;
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[64];
    size_t count;
    assert_status(LARDER_OK, larder_stats(cache, rows, 64, &count));
    for (size_t i = 0; i < count && i < 64; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return UINT64_MAX;
}

/* Source of the bound: glibc's arenas and stacks, which are there after the first threads. */
#define BYTES_MORE 65536u

/* A memory cache and another one, which dials `most_dials` times at most. */
static void run(const char *uri, uint32_t threads, uint64_t most_dials)
{
    struct larder_cache *caches[CACHES];
    int failed = 0;
    assert_status(LARDER_OK, larder_open("memory:?max_bytes=4M", NULL, &caches[0], NULL, 0));
    assert_status(LARDER_OK, larder_open(uri, NULL, &caches[1], NULL, 0));
    for (uint32_t i = 0; i < WARM; i++)
        failed += visit_together(caches, i * AT_ONCE);
    int first_descriptors = descriptors();
    uint64_t first_bytes = mallinfo2().uordblks;
    uint32_t last = rounds(threads);
    for (uint32_t i = WARM; i < last; i++)
        failed += visit_together(caches, i * AT_ONCE);
    uint64_t last_bytes = mallinfo2().uordblks;
    uint64_t dials = most_dials != 0 ? figure(caches[1], "dials") : 0;
    print_message("memory and %.16s: %u threads, %llu dials, heap: %lld bytes more\n", uri,
                  last * AT_ONCE, (unsigned long long)dials, (long long)(last_bytes - first_bytes));
    assert_int_equal(failed, 0);
    assert_in_range(dials, most_dials != 0, most_dials);
    assert_in_range(descriptors(), 0, first_descriptors + (int)most_dials);
    if (!HAS_ADDRESS_SANITIZER)
        assert_in_range(last_bytes, 0, first_bytes + BYTES_MORE);
    larder_close(caches[0]);
    larder_close(caches[1]);
}

#ifdef LARDER_WITH_MEMCACHED
/* Never more connections than threads that call at once, however many there were. */
static void many_threads_leave_nothing_behind(void **state)
{
    char uri[256];
    struct memcached_server *server = memcached_server_start(NULL);
    (void)state;
    snprintf(uri, sizeof(uri), "memcached:%s?timeout=60s", memcached_server_path(server));
    run(uri, THREADS, AT_ONCE);
    snprintf(uri, sizeof(uri), "pooled-memcached:%s?timeout=60s&size=3",
             memcached_server_path(server));
    run(uri, POOLED_THREADS, 3);
    memcached_server_stop(server);
}
#else
static void many_threads_leave_nothing_behind(void **state)
{
    (void)state;
    run("memory:", THREADS, 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
