/*
 * larder as one more program of the harness that measures other caches: it reads the harness's keys
 * and draws (keys.bin, zipf_t*.u32, mix_t*.u32, uni_t*.u32 in $PEERS_DATA) and prints lines
 * "peer TAB what TAB value". Give its path in PEERS_EXTRA.
 *
 * what: mem (bytes a item beyond key and value); get, uni, hot, mix, cap with the number of threads
 * (Mops/s) and with _hit (ratio); get with _p50 and _p99 (ns, every 16th call, the clock's own cost
 * taken off); set: pure sets of present keys. cap: a tenth of the bytes that all keys take, set on
 * miss. Beside it, as a peer of its own, larder_read_multi() of 64 keys at once.
 *
 * Given the argument `bounded` it measures cap alone, for profiles. Built several times: on small
 * pages and on huge ones, with a TTL of an hour on every entry, and through a client's namespace.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <larder/client.h>
#include <larder/larder.h>

#include "histogram.h"
#include "moment.h"

/* What the build chooses. */
#ifndef PEER_NAME
#define PEER_NAME "larder"
#endif
#ifndef PEER_PAGES
#define PEER_PAGES "off"
#endif
#ifndef PEER_TTL_MS
#define PEER_TTL_MS 0
#endif
#ifndef PEER_NAMESPACE
#define PEER_NAMESPACE 0
#endif

#define KEYS 1000000u
#define KEY_BYTES 32u
#define VALUE_BYTES 100u
#define OPERATIONS ((size_t)2 << 20)
#define WINDOW ((size_t)4 << 20) /* draws that belong together in the harness's files */
#define THREADS_MAX 2
#define BATCH 64
#define SAMPLE_EVERY 16
#define HOT_TIMES 5 /* one takes 0.02 s, which says little */
#define SET_MARK UINT32_C(0x80000000)

enum manner {
    READ,   /* what is there; set what is marked */
    FILL,   /* set what missed */
    SAMPLE, /* time some calls; a quarter of the operations */
    MULTI,  /* BATCH keys a call */
    SET     /* nothing but sets */
};

/* Set before the threads start, then only read. */
static struct larder_cache *cache, *opened; /* what calls go to; what is closed */
static const char *keys;
static const uint32_t *zipf[THREADS_MAX], *mix[THREADS_MAX], *uniform[THREADS_MAX];
static uint32_t *hot;
static pthread_barrier_t barrier;

/* Its thread's own until it is joined. */
struct job {
    enum manner manner;
    size_t operations;
    const uint32_t *draws;
    char *stream; /* the keys of the draws in a row */
    uint64_t begin_ns, end_ns, hits, reads, wrong;
    struct histogram histogram;
    pthread_t thread;
};

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static const void *map(const char *name)
{
    const char *directory = getenv("PEERS_DATA");
    char path[512];
    struct stat state;
    snprintf(path, sizeof(path), "%s/%s", directory != NULL ? directory : "/dev/shm/peers", name);
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &state) != 0)
        give_up(path);
    void *bytes =
        mmap(NULL, (size_t)state.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    close(descriptor);
    if (bytes == MAP_FAILED)
        give_up(path);
    return bytes;
}

static const uint32_t *map_draws(const char *name, int thread)
{
    char file[32];
    snprintf(file, sizeof(file), "%s_t%d.u32", name, thread);
    return map(file);
}

/* ---- one thread ---------------------------------------------------------------------------- */

static void store(const char *key, uint64_t id)
{
    char value[VALUE_BYTES] = {0};
    memcpy(value, &id, sizeof(id));
    enum larder_status status = larder_set(cache, larder_bytes(key, KEY_BYTES),
                                           larder_bytes(value, sizeof(value)), PEER_TTL_MS);
    if (status != LARDER_OK) {
        fprintf(stderr, "larder_set: %s\n", larder_status_name(status));
        exit(1);
    }
}

static void count(struct job *job, enum larder_status status, const char *value, uint32_t id)
{
    uint64_t word = id;
    if (status == LARDER_OK)
        memcpy(&word, value, sizeof(word));
    job->hits += status == LARDER_OK;
    job->wrong += word != id;
    job->reads++;
}

static void read_one(struct job *job, size_t i)
{
    char value[VALUE_BYTES];
    const char *key = job->stream + i * KEY_BYTES;
    enum larder_status status =
        larder_read(cache, larder_bytes(key, KEY_BYTES), value, sizeof(value), NULL);
    count(job, status, value, job->draws[i]);
}

static void sample_one(struct job *job, size_t i)
{
    uint64_t before = moment_ns();
    read_one(job, i);
    histogram_add(&job->histogram, moment_ns() - before);
}

/* Reads, and sets of keys that are marked or, where it fills, of those that missed, in a loop as
 * short as the other peers have it: what a loop does beside reading takes its place in the
 * processor, too. */
static void run_reads(struct job *job)
{
    struct larder_cache *const read = cache;
    const uint32_t *draws = job->draws, *end = draws + job->operations;
    const char *key = job->stream;
    const bool fills = job->manner == FILL;
    uint64_t wrong = 0, sets = 0, filled = 0;
    for (; draws < end; draws++, key += KEY_BYTES) {
        char value[VALUE_BYTES];
        uint64_t word = UINT64_MAX;
        if (__builtin_expect((*draws & SET_MARK) != 0, 0)) {
            store(key, *draws & ~SET_MARK);
            sets++;
            continue;
        }
        enum larder_status status =
            larder_read(read, larder_bytes(key, KEY_BYTES), value, sizeof(value), NULL);
        if (status == LARDER_OK)
            memcpy(&word, value, sizeof(word));
        else if (fills && status == LARDER_MISS) {
            store(key, word = *draws);
            filled++;
        }
        wrong += word != *draws;
    }
    job->reads = job->operations - sets;
    job->hits = job->reads - wrong - filled;
    job->wrong = wrong;
}

static void run_single(struct job *job)
{
    for (size_t i = 0; i < job->operations; i++) {
        if (job->manner == SET || (job->draws[i] & SET_MARK) != 0)
            store(job->stream + i * KEY_BYTES, job->draws[i] & ~SET_MARK);
        else if (job->manner == SAMPLE && i % SAMPLE_EVERY == 0)
            sample_one(job, i);
        else
            read_one(job, i);
    }
}

/* Likewise; and where its values go a row says once. */
static void run_multi(struct job *job)
{
    static _Thread_local char values[BATCH][VALUE_BYTES];
    struct larder_row rows[BATCH] = {0};
    const size_t end = job->operations / BATCH * BATCH;
    uint64_t wrong = 0, missed = 0;
    for (size_t n = 0; n < BATCH; n++) {
        rows[n].buffer = values[n];
        rows[n].size = VALUE_BYTES;
    }
    for (size_t i = 0; i < end; i += BATCH) {
        for (size_t n = 0; n < BATCH; n++)
            rows[n].key = larder_bytes(job->stream + (i + n) * KEY_BYTES, KEY_BYTES);
        larder_read_multi(cache, rows, BATCH);
        for (size_t n = 0; n < BATCH; n++) {
            uint64_t word;
            memcpy(&word, values[n], sizeof(word));
            bool hit = rows[n].status == LARDER_OK;
            missed += !hit;
            wrong += hit && word != job->draws[i + n];
        }
    }
    job->reads = end;
    job->hits = end - missed;
    job->wrong = wrong;
}

static void *job_main(void *context)
{
    struct job *job = context;
    pthread_barrier_wait(&barrier);
    job->begin_ns = moment_ns();
    if (job->manner == MULTI)
        run_multi(job);
    else if (job->manner == READ || job->manner == FILL)
        run_reads(job);
    else
        run_single(job);
    job->end_ns = moment_ns();
    return NULL;
}

/* ---- one measurement ----------------------------------------------------------------------- */

/* As the harness lays out its own streams: fetching a key is not to be measured. */
static char *huge_bytes(size_t size)
{
    char *bytes = aligned_alloc((size_t)2 << 20, (size + ((size_t)2 << 20) - 1) >> 21 << 21);
    if (bytes == NULL)
        give_up("aligned_alloc");
    (void)madvise(bytes, size, MADV_HUGEPAGE);
    return bytes;
}

static void lay_out(struct job *job)
{
    for (size_t i = 0; i < job->operations; i++)
        memcpy(job->stream + i * KEY_BYTES, keys + (job->draws[i] & ~SET_MARK) * (size_t)KEY_BYTES,
               KEY_BYTES);
}

static void print_rate(const char *peer, const char *what, const struct job *jobs, int threads)
{
    uint64_t begin = UINT64_MAX, end = 0, hits = 0, reads = 0;
    for (int i = 0; i < threads; i++) {
        begin = jobs[i].begin_ns < begin ? jobs[i].begin_ns : begin;
        end = jobs[i].end_ns > end ? jobs[i].end_ns : end;
        hits += jobs[i].hits;
        reads += jobs[i].reads;
    }
    printf("%s\t%s%d\t%.4f\n", peer, what, threads,
           (double)jobs[0].operations * threads / ((double)(end - begin) / 1e3));
    printf("%s\t%s%d_hit\t%.5f\n", peer, what, threads,
           reads > 0 ? (double)hits / (double)reads : 0);
}

static void print_latency(const char *peer, const char *what, const struct job *job, int threads)
{
    static const double quantiles[] = {0.5, 0.99};
    double cost = moment_cost_ns();
    for (int i = 0; i < 2; i++) {
        double time = (double)histogram_quantile(&job->histogram, quantiles[i]) - cost;
        printf("%s\t%s%d_p%.0f\t%.0f\n", peer, what, threads, quantiles[i] * 100,
               time > 0 ? time : 0);
    }
}

static void prepare(struct job *job, char **stream, const uint32_t *draws, enum manner manner)
{
    if (*stream == NULL)
        *stream = huge_bytes(OPERATIONS * KEY_BYTES);
    *job = (struct job){.manner = manner,
                        .operations = manner == SAMPLE ? OPERATIONS / 4 : OPERATIONS,
                        .draws = draws,
                        .stream = *stream};
    lay_out(job);
}

static void run_jobs(struct job *jobs, int threads)
{
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&jobs[i].thread, NULL, job_main, &jobs[i]) != 0)
            give_up("pthread_create");
    for (int i = 0; i < threads; i++)
        pthread_join(jobs[i].thread, NULL);
    pthread_barrier_destroy(&barrier);
}

static void run(const char *what, int threads, const uint32_t *const draws[THREADS_MAX],
                enum manner manner)
{
    static char *streams[THREADS_MAX];
    static struct job jobs[THREADS_MAX];
    const char *peer = manner == MULTI ? PEER_NAME "-many64" : PEER_NAME;
    for (int i = 0; i < threads; i++)
        prepare(&jobs[i], &streams[i], draws[i], manner);
    run_jobs(jobs, threads);
    for (int i = 0; i < threads; i++)
        if (jobs[i].wrong > 0) {
            fprintf(stderr, "%s %s: wrong values\n", peer, what);
            exit(1);
        }
    if (manner == SAMPLE)
        print_latency(peer, what, &jobs[0], threads);
    else
        print_rate(peer, what, jobs, threads);
    fflush(stdout);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void open_namespace(void)
{
    char message[256];
    struct larder_route route = {"main", opened, LARDER_TTL_DEFAULT, 0};
    if (larder_client_open(NULL, NULL, &route, 1, &opened, message, sizeof(message)) != LARDER_OK ||
        larder_bind(opened, "main", &cache) != LARDER_OK) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
}

static void open_cache(uint64_t max_bytes)
{
    char uri[96], message[256];
    snprintf(uri, sizeof(uri), "memory:?max_bytes=%llu&huge_pages=" PEER_PAGES,
             (unsigned long long)max_bytes);
    if (larder_open(uri, NULL, &opened, message, sizeof(message)) != LARDER_OK) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
    cache = opened;
    if (PEER_NAMESPACE)
        open_namespace();
}

static uint64_t bytes_used(void)
{
    struct larder_stat rows[512];
    size_t count_of_rows = 0;
    uint64_t bytes = 0;
    if (larder_stats(opened, rows, 512, &count_of_rows) != LARDER_OK)
        give_up("larder_stats");
    for (size_t i = 0; i < count_of_rows && i < 512; i++)
        if (strcmp(rows[i].name, PEER_NAMESPACE ? "main.bytes" : "bytes") == 0)
            bytes = rows[i].value;
    return bytes;
}

static void load(void)
{
    double before = moment_resident_bytes();
    for (uint32_t i = 0; i < KEYS; i++)
        store(keys + i * (size_t)KEY_BYTES, i);
    printf(PEER_NAME "\tmem\t%.1f\n",
           (moment_resident_bytes() - before) / KEYS - (KEY_BYTES + VALUE_BYTES));
}

static const uint32_t *const *window(const uint32_t *const draws[THREADS_MAX], size_t number)
{
    static const uint32_t *moved[THREADS_MAX];
    for (int i = 0; i < THREADS_MAX; i++)
        moved[i] = draws[i] + number * WINDOW;
    return moved;
}

static void run_full(void)
{
    const uint32_t *const hots[THREADS_MAX] = {hot, hot};
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        run("get", threads, window(zipf, 1), READ);
        run("uni", threads, uniform, READ);
        run("get", threads, window(zipf, 2), SAMPLE);
        run("get", threads, window(zipf, 1), MULTI);
        run("uni", threads, uniform, MULTI);
        run("hot", threads, hots, MULTI);
    }
    for (int i = 0; i < HOT_TIMES; i++)
        for (int threads = 1; threads <= THREADS_MAX; threads++)
            run("hot", threads, hots, READ);
    for (int threads = 1; threads <= THREADS_MAX; threads++)
        run("mix", threads, mix, READ);
    for (int threads = 1; threads <= THREADS_MAX; threads++)
        run("set", threads, uniform, SET);
}

static void run_bounded(void)
{
    for (size_t i = 0; i < WINDOW; i++) {
        char value[VALUE_BYTES];
        const char *key = keys + zipf[0][i] * (size_t)KEY_BYTES;
        if (larder_read(cache, larder_bytes(key, KEY_BYTES), value, sizeof(value), NULL) !=
            LARDER_OK)
            store(key, zipf[0][i]);
    }
    run("cap", 1, window(zipf, 2), FILL);
    run("cap", 2, window(zipf, 3), FILL);
}

int main(int count, char **arguments)
{
    int only_bounded = count > 1 && strcmp(arguments[1], "bounded") == 0;
    keys = map("keys.bin");
    for (int i = 0; i < THREADS_MAX; i++) {
        zipf[i] = map_draws("zipf", i);
        mix[i] = map_draws("mix", i);
        uniform[i] = map_draws("uni", i);
    }
    if ((hot = malloc(OPERATIONS * sizeof(*hot))) == NULL)
        give_up("malloc");
    for (size_t i = 0; i < OPERATIONS; i++)
        hot[i] = zipf[0][0];

    open_cache(UINT64_C(4) << 30);
    uint64_t empty = bytes_used();
    load();
    uint64_t full = bytes_used();
    if (!only_bounded)
        run_full();
    larder_close(opened);

    open_cache(empty + (full - empty) / 10);
    run_bounded();
    larder_close(opened);
    return 0;
}
