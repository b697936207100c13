/*
 * Figures of a memory cache that no rate tells, each a line "what TAB value":
 *
 * load_1m, load_10m    resident bytes per item beyond key and value after loading so many items
 * over_5m_to_…         resident bytes after 5,000,000 random overwrites of 1,000,000 items, as a
 *                      ratio to what was resident after the load, and to key and value bytes
 * expiry_p99, _p99.9, _max   nanoseconds of one read, while 1,000,000 other items expire within a
 *                      second and a writer goes on
 *
 * memory-figures [URI options], as in memory-figures huge_pages=off
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/larder.h>

#include "figures.h"
#include "histogram.h"
#include "moment.h"

#define KEY_BYTES 32
#define VALUE_BYTES 100
#define MILLION 1000000u

static const char *more_options = "";

static struct larder_cache *open_cache(void)
{
    return open_memory("max_bytes=8G&bucket_interval=1s", more_options);
}

static void store(struct larder_cache *cache, uint32_t number, int64_t ttl_ms)
{
    char key[KEY_BYTES + 1], value[VALUE_BYTES] = {0};
    snprintf(key, sizeof(key), "%032u", number);
    memcpy(value, &number, sizeof(number));
    if (larder_set(cache, larder_bytes(key, KEY_BYTES), larder_bytes(value, sizeof(value)),
                   ttl_ms) != LARDER_OK)
        give_up("set");
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void figures_of_load(uint32_t items, const char *name)
{
    double before = moment_resident_bytes();
    struct larder_cache *cache = open_cache();
    for (uint32_t i = 0; i < items; i++)
        store(cache, i, 0);
    double loaded = moment_resident_bytes() - before;
    printf("%s\t%.1f\n", name, loaded / items - (KEY_BYTES + VALUE_BYTES));
    if (items == MILLION) {
        uint64_t state = 1;
        for (uint32_t i = 0; i < 5 * MILLION; i++)
            store(cache, draw(&state) % items, 0);
        double after = moment_resident_bytes() - before;
        printf("over_5m_to_load\t%.3f\n", after / loaded);
        printf("over_5m_to_bytes\t%.3f\n", after / items / (KEY_BYTES + VALUE_BYTES));
    }
    larder_close(cache);
}

struct storm {
    struct larder_cache *cache;
    _Atomic int ends;
    struct histogram histogram;
    uint64_t longest_ns;
};

static void *read_on(void *context)
{
    struct storm *storm = context;
    uint64_t state = 7;
    while (!atomic_load(&storm->ends)) {
        char key[KEY_BYTES + 1], value[VALUE_BYTES];
        snprintf(key, sizeof(key), "%032u", 2 * MILLION + draw(&state) % 100000);
        uint64_t begin_ns = moment_ns();
        if (larder_read(storm->cache, larder_bytes(key, KEY_BYTES), value, sizeof(value), NULL) !=
            LARDER_OK)
            give_up("read");
        uint64_t took_ns = moment_ns() - begin_ns;
        histogram_add(&storm->histogram, took_ns);
        storm->longest_ns = took_ns > storm->longest_ns ? took_ns : storm->longest_ns;
    }
    return NULL;
}

static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[512];
    size_t count;
    if (larder_stats(cache, rows, 512, &count) != LARDER_OK)
        give_up("stats");
    for (size_t i = 0; i < count && i < 512; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return 0;
}

/* A million items that end between 4 and 5 seconds from the start, and 100,000 that stay. */
static void figures_of_expiry(void)
{
    static struct storm storm;
    pthread_t reader;
    uint64_t state = 3, begin_ns = moment_ns();
    storm.cache = open_cache();
    for (uint32_t i = 0; i < 100000; i++)
        store(storm.cache, 2 * MILLION + i, 0);
    for (uint32_t i = 0; i < MILLION; i++) {
        int64_t since_ms = (int64_t)((moment_ns() - begin_ns) / 1000000);
        store(storm.cache, i, 4000 - since_ms + draw(&state) % 1000);
    }
    while (moment_ns() - begin_ns < UINT64_C(3900000000))
        continue;
    if (pthread_create(&reader, NULL, read_on, &storm) != 0)
        give_up("pthread_create");
    uint32_t number = 0;
    while (moment_ns() - begin_ns < UINT64_C(7000000000))
        store(storm.cache, 3 * MILLION + number++ % 1000, 0);
    atomic_store(&storm.ends, 1);
    pthread_join(reader, NULL);
    printf("expired\t%llu\n", (unsigned long long)figure(storm.cache, "expirations"));
    printf("expiry_p50\t%.0f\n", (double)histogram_quantile(&storm.histogram, 0.5));
    printf("expiry_p99\t%.0f\n", (double)histogram_quantile(&storm.histogram, 0.99));
    printf("expiry_p99.9\t%.0f\n", (double)histogram_quantile(&storm.histogram, 0.999));
    printf("expiry_max\t%llu\n", (unsigned long long)storm.longest_ns);
    larder_close(storm.cache);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        more_options = argv[1];
    figures_of_load(MILLION, "load_1m");
    figures_of_load(10 * MILLION, "load_10m");
    figures_of_expiry();
    return 0;
}
