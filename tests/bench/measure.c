#include "measure.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "histogram.h"
#include "moment.h"
#include "target.h"
#include "workload.h"

#define CHUNK 256u /* operations between two looks at the clock */
#define HUGE_PAGE ((size_t)2 << 20)
#define FILLER 0x5a

struct worker;

/* Runs `count` operations from draw number `first` on. */
typedef void run_fn(struct worker *worker, size_t first, size_t count);

struct bench {
    const struct plan *plan; /* these three are set before any thread starts, then only read */
    struct workload workload;
    struct target target;
    pthread_barrier_t barrier; /* of the threads of one measurement */
};

struct tally {
    uint64_t hits;
    uint64_t misses;
    uint64_t failures;
    uint64_t wrong; /* values that belong to another key */
};

/* One thread of one measurement. Its own until it is joined. */
struct worker {
    struct bench *bench;
    unsigned number;
    unsigned operation;
    run_fn *run;
    size_t chunk; /* operations of one call of run */
    struct target_thread thread;
    const uint32_t *draws;
    char *keys; /* of the draws, laid out in a row, so that fetching a key is not measured */
    char *buffer;
    char *value;
    enum target_outcome *outcomes;
    size_t position; /* the next draw */
    struct tally tally;
    uint64_t operations;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint64_t cpu_ns;
    struct histogram histogram;
    pthread_t handle;
};

/* ---- operations ---------------------------------------------------------------------------- */

static inline const char *key_at(const struct worker *worker, size_t at)
{
    return worker->keys + at * worker->thread.key_bytes;
}

static inline uint64_t word_of(const void *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static inline void count(struct worker *worker, enum target_outcome outcome, uint64_t word,
                         uint32_t id)
{
    worker->tally.hits += outcome == TARGET_HIT;
    worker->tally.misses += outcome == TARGET_MISS;
    worker->tally.failures += outcome == TARGET_FAILED;
    worker->tally.wrong += outcome == TARGET_HIT && word != id;
}

static inline void read_one(struct worker *worker, size_t at)
{
    enum target_outcome outcome = target_read(&worker->thread, key_at(worker, at), worker->buffer);
    count(worker, outcome, word_of(worker->buffer), worker->draws[at]);
}

static inline void set_one(struct worker *worker, size_t at)
{
    uint64_t id = worker->draws[at] & ~WORKLOAD_SET;
    memcpy(worker->value, &id, sizeof(id));
    enum target_outcome outcome = target_set(&worker->thread, key_at(worker, at), worker->value);
    worker->tally.failures += outcome != TARGET_HIT;
}

static void run_read(struct worker *worker, size_t first, size_t number)
{
    for (size_t at = first; at < first + number; at++)
        read_one(worker, at);
}

static void run_get(struct worker *worker, size_t first, size_t number)
{
    for (size_t at = first; at < first + number; at++) {
        uint64_t word = 0;
        enum target_outcome outcome = target_get(&worker->thread, key_at(worker, at), &word);
        count(worker, outcome, word, worker->draws[at]);
    }
}

static void run_set(struct worker *worker, size_t first, size_t number)
{
    for (size_t at = first; at < first + number; at++)
        set_one(worker, at);
}

static void run_mix(struct worker *worker, size_t first, size_t number)
{
    for (size_t at = first; at < first + number; at++) {
        if (worker->draws[at] & WORKLOAD_SET)
            set_one(worker, at);
        else
            read_one(worker, at);
    }
}

static void run_many(struct worker *worker, size_t first, size_t number)
{
    size_t batch = worker->bench->plan->batch;
    for (size_t at = first; at < first + number; at += batch) {
        target_many(&worker->thread, key_at(worker, at), batch, worker->buffer, worker->outcomes);
        for (size_t i = 0; i < batch; i++)
            count(worker, worker->outcomes[i],
                  word_of(worker->buffer + i * worker->thread.value_bytes), worker->draws[at + i]);
    }
}

/* The difference is always 0, which the processor only knows once it has the value: no call can
 * begin before the one before has ended. */
static void run_chain(struct worker *worker, size_t first, size_t number)
{
    size_t mask = worker->bench->workload.draws - 1, at = first;
    for (size_t n = 0; n < number; n++) {
        uint32_t id = worker->draws[at];
        enum target_outcome outcome =
            target_read(&worker->thread, key_at(worker, at), worker->buffer);
        uint64_t word = outcome == TARGET_HIT ? word_of(worker->buffer) : id;
        count(worker, outcome, word, id);
        at = (at + 1 + (size_t)(word ^ id)) & mask;
    }
}

static run_fn *const runs[PLAN_OPERATIONS] = {
    [PLAN_READ] = run_read, [PLAN_GET] = run_get,     [PLAN_SET] = run_set,   [PLAN_MIX] = run_mix,
    [PLAN_MANY] = run_many, [PLAN_CHAIN] = run_chain, [PLAN_MISS] = run_read,
};

/* ---- one thread ---------------------------------------------------------------------------- */

static void step(struct worker *worker, size_t number)
{
    if (worker->position + number > worker->bench->workload.draws)
        worker->position = 0;
    worker->run(worker, worker->position, number);
    worker->position += number;
    worker->operations += number;
}

static uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void pass_begin(struct worker *worker)
{
    worker->operations = 0;
    pthread_barrier_wait(&worker->bench->barrier);
    worker->cpu_ns = moment_cpu_ns();
    worker->begin_ns = moment_ns();
}

static void throughput_pass(struct worker *worker, double seconds)
{
    pass_begin(worker);
    uint64_t deadline = worker->begin_ns + nanoseconds(seconds);
    do {
        step(worker, worker->chunk);
        worker->end_ns = moment_ns();
    } while (worker->end_ns < deadline);
    worker->cpu_ns = moment_cpu_ns() - worker->cpu_ns;
}

/* Every call is timed here, and only here: reading the clock twice would slow the other pass. */
static void latency_pass(struct worker *worker, double seconds)
{
    size_t number = worker->operation == PLAN_MANY ? worker->bench->plan->batch : 1;
    pass_begin(worker);
    uint64_t before = worker->begin_ns, deadline = before + nanoseconds(seconds);
    while (before < deadline) {
        before = moment_ns();
        step(worker, number);
        histogram_add(&worker->histogram, moment_ns() - before);
    }
}

static void lay_out(struct worker *worker)
{
    struct workload *workload = &worker->bench->workload;
    for (size_t i = 0; i < workload->draws; i++) {
        uint32_t id = worker->draws[i] & ~WORKLOAD_SET;
        char *key = worker->keys + i * workload->key_bytes;
        if (worker->operation == PLAN_MISS)
            workload_key(id + workload->keys, workload->key_bytes, key);
        else
            memcpy(key, workload->texts + id * workload->key_bytes, workload->key_bytes);
    }
}

static int allocate(struct worker *worker)
{
    const struct plan *plan = worker->bench->plan;
    size_t stream = worker->bench->workload.draws * plan->key_bytes;
    stream = (stream + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    worker->keys = aligned_alloc(HUGE_PAGE, stream);
    worker->buffer = calloc(plan->batch, plan->value_bytes);
    worker->value = malloc(plan->value_bytes);
    worker->outcomes = calloc(plan->batch, sizeof(*worker->outcomes));
    if (worker->keys == NULL || worker->buffer == NULL || worker->value == NULL ||
        worker->outcomes == NULL)
        return 0;
    madvise(worker->keys, stream, MADV_HUGEPAGE); /* a wish: fewer misses of the bench's own */
    memset(worker->value, FILLER, plan->value_bytes);
    return 1;
}

static void release(struct worker *worker)
{
    free(worker->keys);
    free(worker->buffer);
    free(worker->value);
    free(worker->outcomes);
}

static int enter(struct worker *worker)
{
    struct bench *bench = worker->bench;
    size_t batch = bench->plan->batch;
    plan_pin(bench->plan, (int)worker->number);
    worker->run = runs[worker->operation];
    worker->chunk = worker->operation == PLAN_MANY ? (CHUNK + batch - 1) / batch * batch : CHUNK;
    worker->draws =
        bench->workload
            .draw[worker->number][worker->operation == PLAN_MIX ? WORKLOAD_MIX : WORKLOAD_PLAIN];
    if (!allocate(worker))
        return 0;
    lay_out(worker);
    return target_enter(&bench->target, bench->plan, &worker->thread);
}

static void *worker_main(void *context)
{
    struct worker *worker = context;
    const struct plan *plan = worker->bench->plan;
    if (!enter(worker))
        exit(1); /* the other threads wait for this one at the barrier */
    if (plan->latency) {
        throughput_pass(worker, plan->warm_up);
        latency_pass(worker, plan->seconds);
    }
    throughput_pass(worker, plan->warm_up);
    uint64_t wrong = worker->tally.wrong, failures = worker->tally.failures;
    worker->tally = (struct tally){.wrong = wrong, .failures = failures};
    throughput_pass(worker, plan->seconds);
    pthread_barrier_wait(&worker->bench->barrier);
    target_leave(&worker->thread);
    release(worker);
    return NULL;
}

/* ---- one measurement ----------------------------------------------------------------------- */

/* From the first thread's begin to the last one's end. */
static double operations_per_second(const struct worker *workers, unsigned threads)
{
    uint64_t begin = UINT64_MAX, end = 0, operations = 0;
    for (unsigned i = 0; i < threads; i++) {
        operations += workers[i].operations;
        begin = workers[i].begin_ns < begin ? workers[i].begin_ns : begin;
        end = workers[i].end_ns > end ? workers[i].end_ns : end;
    }
    return (double)operations / ((double)(end - begin) / 1e9);
}

static double cpu_ns_per_operation(const struct worker *workers, unsigned threads)
{
    uint64_t cpu_ns = 0, operations = 0;
    for (unsigned i = 0; i < threads; i++) {
        cpu_ns += workers[i].cpu_ns;
        operations += workers[i].operations;
    }
    return (double)cpu_ns / (double)operations;
}

static struct tally print_measurement(struct worker *workers, unsigned operation, unsigned threads)
{
    struct tally all = {0};
    for (unsigned i = 0; i < threads; i++) {
        all.hits += workers[i].tally.hits;
        all.misses += workers[i].tally.misses;
        all.failures += workers[i].tally.failures;
        all.wrong += workers[i].tally.wrong;
        if (i > 0)
            histogram_merge(&workers[0].histogram, &workers[i].histogram);
    }
    const struct histogram *times = &workers[0].histogram;
    uint64_t reads = all.hits + all.misses;
    printf("%s\t%u\t%.6g\t%llu\t%llu\t%llu\t%.6g\t%.6f\t%llu\n", plan_operation_name(operation),
           threads, operations_per_second(workers, threads),
           (unsigned long long)histogram_quantile(times, 0.5),
           (unsigned long long)histogram_quantile(times, 0.99),
           (unsigned long long)histogram_quantile(times, 0.999),
           cpu_ns_per_operation(workers, threads), reads > 0 ? (double)all.hits / (double)reads : 0,
           (unsigned long long)all.failures);
    fflush(stdout);
    return all;
}

/* @return 0 when a value was wrong, or memory or threads ran out */
static int measure_one(struct bench *bench, unsigned operation, unsigned threads)
{
    struct worker *workers = calloc(threads, sizeof(*workers));
    if (workers == NULL || pthread_barrier_init(&bench->barrier, NULL, threads) != 0)
        return 0;
    for (unsigned i = 0; i < threads; i++) {
        workers[i].bench = bench;
        workers[i].number = i;
        workers[i].operation = operation;
        if (pthread_create(&workers[i].handle, NULL, worker_main, &workers[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].handle, NULL);
    struct tally all = print_measurement(workers, operation, threads);
    pthread_barrier_destroy(&bench->barrier);
    free(workers);
    if (all.wrong > 0)
        fprintf(stderr, "larder-bench: %llu wrong values\n", (unsigned long long)all.wrong);
    return all.wrong == 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int load(struct bench *bench)
{
    const struct plan *plan = bench->plan;
    struct target_thread thread;
    char *value = malloc(plan->value_bytes);
    if (value == NULL || !target_enter(&bench->target, plan, &thread)) {
        free(value);
        return 0;
    }
    memset(value, FILLER, plan->value_bytes);
    int loaded = 1;
    for (uint64_t id = 0; id < plan->keys && loaded; id++) {
        memcpy(value, &id, sizeof(id));
        loaded =
            target_set(&thread, bench->workload.texts + id * plan->key_bytes, value) == TARGET_HIT;
    }
    target_leave(&thread);
    free(value);
    if (!loaded)
        fprintf(stderr, "larder-bench: %s: a key could not be stored\n", plan->subject);
    return loaded;
}

static int load_and_weigh(struct bench *bench, double resident_before)
{
    if (bench->plan->loaded)
        return 1;
    if (!load(bench))
        return 0;
    if (target_is_local(&bench->target))
        printf("memory\t%.1f\n", (moment_resident_bytes() - resident_before) / bench->plan->keys);
    return 1;
}

static int measure_all(struct bench *bench)
{
    const struct plan *plan = bench->plan;
    int right = 1;
    printf("clock\t%.1f\n", moment_cost_ns());
    for (unsigned i = 0; i < plan->operation_count && right; i++)
        for (unsigned n = 0; n < plan->threads_count && right; n++)
            right = measure_one(bench, plan->operations[i], plan->threads[n]);
    return right;
}

int measure(const struct plan *plan)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL || !workload_init(&bench->workload, plan)) {
        fprintf(stderr, "larder-bench: no memory for the workload\n");
        free(bench);
        return 1;
    }
    bench->plan = plan;
    plan_pin(plan, -1);
    double resident_before = moment_resident_bytes();
    int right = target_open(&bench->target, plan);
    if (right) {
        right = load_and_weigh(bench, resident_before) && measure_all(bench);
        target_close(&bench->target);
    }
    workload_clean_up(&bench->workload);
    free(bench);
    return right ? 0 : 1;
}
