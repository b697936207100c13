/*
 * meta under faults by chance, each on one request or reply: cuts, resets, stalls, drips, corrupted
 * reply lines, and replies and requests that pass on after the deadline. Whatever is read was
 * written under that key, and is none that its writer was told was not written, nor older than what
 * was acknowledged when the read began; no call outlives its deadline by more than a busy machine
 * takes to wake a thread; no descriptor is left behind.
 *
 * Compiled with LARDER_STRESS_COMPOSITIONS the same of a tracker, a gutter before one, a hot cache,
 * a migration and a shadow, all over meta.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1: 40,000 calls; 25: a million),
 * LARDER_STRESS_SEED repeats a run's draws; how threads and faults meet is never the same.
 */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <larder/gutter.h>
#include <larder/hot.h>
#include <larder/migration.h>
#include <larder/shadow.h>
#include <larder/tracker.h>
#include <larder/util/deadline.h>
#include <larder/util/random.h>

#include "dice.h"
#include "fault_proxy.h"
#include "memcached_server.h"
#include "scripted_server.h"

enum { SERVERS = 2, THREADS = 8, SLEEPERS = 4, KEYS = 16, OWNED = KEYS / THREADS };
/* CALLS: of a thread and round that were not refused at once; ENTRIES: of a key and round */
#ifdef LARDER_STRESS_COMPOSITIONS
enum { ROUNDS = 5, ROUNDS_MIN = 5 /* each composition */, CALLS = 500 };
#define TIMEOUTS 2u /* a call may take those of both parts */
#else
enum { ROUNDS = 4, ROUNDS_MIN = 1, CALLS = 1250 };
#define TIMEOUTS 1u
#endif
enum { ENTRIES = 8192, VALUE_BYTES = 4096 };
#define TIMEOUT_MS 20u
/* How much later than its deadline a call may end on an idle machine. How much later this machine
 * wakes a thread that only sleeps is measured beside it, and may come on top, for each of the few
 * times that a call waits. */
#define LATE_MS 20u
#define WAITS_OF_A_CALL 3u
#define LATEST_MS (TIMEOUTS * TIMEOUT_MS + LATE_MS)
#define MS_NS UINT64_C(1000000)
/* Of the pieces that pass; a call has two of them, or some more. */
#define FAULTS_PER_MILLE 32u

static const struct {
    enum fault_kind kind;
    const char *name;
} kinds[] = {{FAULT_CUT, "cut"},      {FAULT_RESET, "reset"},       {FAULT_STALL, "stalled"},
             {FAULT_DRIP, "dripped"}, {FAULT_CORRUPT, "corrupted"}, {FAULT_LATE, "late"}};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- what was written ---------------------------------------------------------------------- */

enum fate { FATE_PENDING, FATE_DONE, FATE_UNKNOWN, FATE_NOT_WRITTEN };

/* Of a key; its owner alone writes it. Entry n is its nth write of the round, or delete. */
struct ledger {
    char name[24];
    unsigned begun;        /* the owner's */
    _Atomic unsigned done; /* the last that was acknowledged; its fate comes before */
    _Atomic unsigned char fates[ENTRIES];
};
static struct ledger ledgers[KEYS];

static void ledgers_begin(unsigned round)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct ledger *ledger = &ledgers[i];
        snprintf(ledger->name, sizeof(ledger->name), "stress:%u:%u", round, i);
        ledger->begun = 0;
        atomic_store(&ledger->done, 0);
        for (unsigned entry = 0; entry < ENTRIES; entry++)
            atomic_store_explicit(&ledger->fates[entry], FATE_PENDING, memory_order_relaxed);
    }
}

static enum fate fate_of(enum larder_status status)
{
    if (status >= 0)
        return FATE_DONE;
    return status == LARDER_UNKNOWN ? FATE_UNKNOWN : FATE_NOT_WRITTEN;
}

static enum larder_status ledger_note(struct ledger *ledger, enum fate fate,
                                      enum larder_status status)
{
    atomic_store(&ledger->fates[ledger->begun], (unsigned char)fate);
    if (fate == FATE_DONE)
        atomic_store(&ledger->done, ledger->begun);
    return status;
}

/* "name=entry;" again and again, so that a byte out of place shows. @return the period */
static size_t make_value(const struct ledger *ledger, unsigned entry, size_t length,
                         char value[VALUE_BYTES])
{
    char text[48];
    size_t period = (size_t)snprintf(text, sizeof(text), "%s=%u;", ledger->name, entry);
    for (size_t i = 0; i < length; i++)
        value[i] = text[i % period];
    return period;
}

/* @return 0 for bytes that nobody has written so; else which entry they are */
static unsigned entry_of(const struct ledger *ledger, const char *bytes, size_t length)
{
    char text[48] = "", expected[VALUE_BYTES];
    size_t name = strlen(ledger->name);
    if (length > sizeof(expected) || length < name + 3)
        return 0;
    memcpy(text, bytes, length < sizeof(text) - 1 ? length : sizeof(text) - 1);
    unsigned entry = (unsigned)strtoul(text + name + 1, NULL, 10);
    size_t period = make_value(ledger, entry, length, expected);
    return length >= period && memcmp(bytes, expected, length) == 0 ? entry : 0;
}

/* ---- workers ------------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct larder_cache *cache;
    struct dice dice;
    unsigned number;
    unsigned long calls, refused, answers, values, late;
    unsigned long foreign, unwritten, stale; /* wrong values, by why */
    uint64_t longest_ns;                     /* a call */
};

static struct ledger *any_key(struct worker *worker)
{
    return &ledgers[roll(&worker->dice, KEYS)];
}

static struct ledger *own_key(struct worker *worker)
{
    return &ledgers[worker->number * OWNED + roll(&worker->dice, OWNED)];
}

/* @param done  what was acknowledged before the read */
static void judge(struct worker *worker, const struct ledger *ledger, unsigned done,
                  const void *bytes, size_t length)
{
    unsigned entry = entry_of(ledger, bytes, length);
    unsigned char fate = FATE_PENDING;
    worker->values++;
    if (entry > 0 && entry < ENTRIES)
        fate = atomic_load(&ledger->fates[entry]);
    else
        worker->foreign++;
    worker->unwritten += fate == FATE_NOT_WRITTEN;
    worker->stale += fate == FATE_DONE && entry < done;
}

static enum larder_status read_one(struct worker *worker)
{
    struct ledger *ledger = any_key(worker);
    char value[VALUE_BYTES];
    struct larder_info info = {0};
    unsigned done = atomic_load(&ledger->done);
    enum larder_status status =
        larder_read(worker->cache, larder_text(ledger->name), value, sizeof(value), &info);
    if (status == LARDER_OK)
        judge(worker, ledger, done, value, info.length);
    return status;
}

static enum larder_status get_one(struct worker *worker)
{
    struct ledger *ledger = any_key(worker);
    struct larder_value value = {0};
    unsigned done = atomic_load(&ledger->done);
    enum larder_status status = larder_get(worker->cache, larder_text(ledger->name), &value);
    if (status == LARDER_OK)
        judge(worker, ledger, done, value.bytes.data, value.bytes.length);
    larder_value_release(&value);
    return status;
}

static enum larder_status get_many(struct worker *worker)
{
    enum { ROWS = 5 };
    struct ledger *chosen[ROWS];
    unsigned done[ROWS];
    struct larder_row rows[ROWS] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        chosen[i] = any_key(worker);
        done[i] = atomic_load(&chosen[i]->done);
        rows[i].key = larder_text(chosen[i]->name);
    }
    enum larder_status status = larder_get_multi(worker->cache, rows, ROWS);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].status == LARDER_OK)
            judge(worker, chosen[i], done[i], rows[i].value.bytes.data, rows[i].value.bytes.length);
    larder_rows_release(rows, ROWS);
    return status;
}

static enum larder_status write_one(struct worker *worker, int is_quiet)
{
    struct ledger *ledger = own_key(worker);
    struct larder_call call = LARDER_CALL_INIT;
    char value[VALUE_BYTES];
    if (ledger->begun + 1 == ENTRIES)
        return read_one(worker);
    size_t period = make_value(ledger, ++ledger->begun, 0, value);
    size_t length = period + roll(&worker->dice, sizeof(value) - period);
    make_value(ledger, ledger->begun, length, value);
    struct larder_write write = larder_write_of(larder_bytes(value, length), 600000);
    call.flags = is_quiet ? LARDER_NO_REPLY : 0;
    enum larder_status status = larder_store_with(worker->cache, &call, LARDER_SET,
                                                  larder_text(ledger->name), &write, NULL);
    /* what nobody waited for may arrive at any time, or never */
    enum fate fate = is_quiet && status == LARDER_OK ? FATE_UNKNOWN : fate_of(status);
    return ledger_note(ledger, fate, status);
}

static enum larder_status delete_one(struct worker *worker)
{
    struct ledger *ledger = own_key(worker);
    if (ledger->begun + 1 == ENTRIES)
        return read_one(worker);
    ledger->begun++;
    enum larder_status status = larder_delete(worker->cache, larder_text(ledger->name), 0);
    return ledger_note(ledger, fate_of(status), status);
}

static enum larder_status call_once(struct worker *worker)
{
    uint64_t choice = roll(&worker->dice, 100);
    if (choice < 35)
        return read_one(worker);
    if (choice < 50)
        return get_one(worker);
    if (choice < 62)
        return get_many(worker);
    if (choice < 90)
        return write_one(worker, choice >= 86);
    if (choice < 95)
        return larder_touch(worker->cache, larder_text(own_key(worker)->name), 500000);
    return delete_one(worker);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned i = 0; i < CALLS;) {
        uint64_t began_ns = larder_monotonic_ns();
        enum larder_status status = call_once(worker);
        uint64_t took_ns = larder_monotonic_ns() - began_ns;
        worker->longest_ns = took_ns > worker->longest_ns ? took_ns : worker->longest_ns;
        worker->late += took_ns > LATEST_MS * MS_NS;
        worker->answers += status >= 0;
        if (status == LARDER_UNAVAILABLE) { /* marked down: let the prober have its turn */
            worker->refused++;
            scripted_pause(1);
            continue;
        }
        worker->calls++;
        i++;
    }
    return NULL;
}

/* ---- the machine --------------------------------------------------------------------------- */

static _Atomic int measuring;

struct sleeper {
    pthread_t thread;
    uint64_t longest_ns;
    unsigned long sleeps, late;
};

/* How long sleeps of a millisecond take. */
static void *sleep_beside(void *argument)
{
    struct sleeper *sleeper = argument;
    while (atomic_load(&measuring)) {
        uint64_t began_ns = larder_monotonic_ns();
        scripted_pause(1);
        uint64_t took_ns = larder_monotonic_ns() - began_ns;
        sleeper->longest_ns = took_ns > sleeper->longest_ns ? took_ns : sleeper->longest_ns;
        sleeper->late += took_ns > (1 + LATE_MS) * MS_NS;
        sleeper->sleeps++;
    }
    return NULL;
}

static void sleepers_start(struct sleeper sleepers[SLEEPERS])
{
    atomic_store(&measuring, 1);
    for (unsigned i = 0; i < SLEEPERS; i++)
        assert_int_equal(pthread_create(&sleepers[i].thread, NULL, sleep_beside, &sleepers[i]), 0);
}

/* @return all of them together */
static struct sleeper sleepers_stop(struct sleeper sleepers[SLEEPERS])
{
    struct sleeper all = {0};
    atomic_store(&measuring, 0);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        pthread_join(sleepers[i].thread, NULL);
        all.longest_ns =
            sleepers[i].longest_ns > all.longest_ns ? sleepers[i].longest_ns : all.longest_ns;
        all.sleeps += sleepers[i].sleeps;
        all.late += sleepers[i].late;
    }
    return all;
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* ---- rounds -------------------------------------------------------------------------------- */

struct arena {
    struct memcached_server *servers[SERVERS];
    struct fault_proxy *proxies[SERVERS];
    struct dice dice;
    unsigned long struck[KINDS];
};

static struct larder_cache *open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_open(uri, NULL, &cache, NULL, 0));
    return cache;
}

static void write_options(struct arena *arena, char *text, size_t size)
{
    snprintf(text, size, "timeout=%ums&size=%u&probe=10ms%s", TIMEOUT_MS,
             (unsigned)(2 + roll(&arena->dice, THREADS - 1)),
             roll(&arena->dice, 2) == 0 ? "" : "&classic_reads=on");
}

#ifdef LARDER_STRESS_COMPOSITIONS
static struct larder_cache *open_part(struct arena *arena, size_t number)
{
    char uri[256], options[128];
    write_options(arena, options, sizeof(options));
    snprintf(uri, sizeof(uri), "meta://127.0.0.1:%u?%s", fault_proxy_port(arena->proxies[number]),
             options);
    return open_uri(uri);
}

static struct larder_cache *open_tracker(struct arena *arena)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = open_part(arena, 0);
    assert_status(LARDER_OK, larder_tracker_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_gutter_over(struct larder_cache *of, struct larder_cache *spare)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = of;
    options.spare = spare;
    assert_status(LARDER_OK, larder_gutter_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_gutter(struct arena *arena)
{
    return open_gutter_over(open_tracker(arena), open_part(arena, 1));
}

static struct larder_cache *open_hot(struct arena *arena)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = open_part(arena, 0);
    options.one_in = 1;
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_migration(struct arena *arena)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.from = open_part(arena, 0);
    options.to = open_part(arena, 1);
    options.mode = roll(&arena->dice, 2) == 0 ? "populate_reads_10_percent" : "use_to_update_from";
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static struct larder_cache *open_shadow(struct arena *arena)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = open_part(arena, 0);
    options.copy = open_part(arena, 1);
    options.reads = 1;
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

/* Each in its turn. */
static struct larder_cache *open_over(struct arena *arena, unsigned round)
{
    static struct larder_cache *(*const opens[])(struct arena *) = {
        open_tracker, open_gutter, open_hot, open_migration, open_shadow};
    return opens[round % (sizeof(opens) / sizeof(opens[0]))](arena);
}
#else
static struct larder_cache *open_over(struct arena *arena, unsigned round)
{
    char uri[256], options[128];
    (void)round;
    write_options(arena, options, sizeof(options));
    snprintf(uri, sizeof(uri), "meta://127.0.0.1:%u,127.0.0.1:%u?%s",
             fault_proxy_port(arena->proxies[0]), fault_proxy_port(arena->proxies[1]), options);
    return open_uri(uri);
}
#endif

static struct larder_cache *open_proxied(struct arena *arena, unsigned round)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        const struct fault_mix mix = {.seed = roll(&arena->dice, UINT64_MAX),
                                      .per_mille = FAULTS_PER_MILLE,
                                      .late_ms = TIMEOUT_MS + 5};
        arena->proxies[i] = fault_proxy_start(memcached_server_path(arena->servers[i]));
        fault_proxy_mix(arena->proxies[i], &mix);
    }
    return open_over(arena, round);
}

static void close_proxies(struct arena *arena)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        for (size_t kind = 0; kind < KINDS; kind++)
            arena->struck[kind] += fault_proxy_struck(arena->proxies[i], kinds[kind].kind);
        fault_proxy_stop(arena->proxies[i]);
    }
}

static void run_round(struct arena *arena, unsigned round, struct worker workers[THREADS])
{
    struct larder_cache *cache = open_proxied(arena, round);
    ledgers_begin(round);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].cache = cache;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    larder_close(cache);
    close_proxies(arena);
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("LARDER_STRESS_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : larder_random();
}

static unsigned rounds(void)
{
    const char *text = getenv("LARDER_STRESS_SCALE");
    double scale = text != NULL ? atof(text) : 1;
    return scale * ROUNDS > ROUNDS_MIN ? (unsigned)(scale * ROUNDS) : ROUNDS_MIN;
}

/* ---- the figures --------------------------------------------------------------------------- */

static struct worker add_up(const struct worker workers[THREADS])
{
    struct worker all = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        all.calls += workers[i].calls;
        all.refused += workers[i].refused;
        all.answers += workers[i].answers;
        all.values += workers[i].values;
        all.late += workers[i].late;
        all.foreign += workers[i].foreign;
        all.unwritten += workers[i].unwritten;
        all.stale += workers[i].stale;
        if (workers[i].longest_ns > all.longest_ns)
            all.longest_ns = workers[i].longest_ns;
    }
    return all;
}

/* @return how many faults there were */
static unsigned long print_faults(const struct arena *arena, unsigned long calls)
{
    unsigned long faults = 0;
    for (size_t kind = 0; kind < KINDS; kind++) {
        printf("%s%lu %s", kind == 0 ? "" : ", ", arena->struck[kind], kinds[kind].name);
        faults += arena->struck[kind];
    }
    printf(": %lu faults, %.1f for 100 calls\n", faults, 100.0 * (double)faults / (double)calls);
    return faults;
}

static void print_calls(const struct worker *all, const struct sleeper *slept)
{
    printf("%lu calls, %lu answered, and %lu refused at once while a server was marked down\n",
           all->calls, all->answers, all->refused);
    printf("%lu values read, wrong: %lu of another key or torn, %lu never written, %lu stale\n",
           all->values, all->foreign, all->unwritten, all->stale);
    printf("the longest call took %.1f ms of %u, %lu took over %u; the longest sleep of 1 ms took "
           "%.1f, %lu of %lu over %u\n",
           (double)all->longest_ns / 1e6, TIMEOUTS * TIMEOUT_MS, all->late, LATEST_MS,
           (double)slept->longest_ns / 1e6, slept->late, slept->sleeps, 1 + LATE_MS);
}

static void check(const struct worker *all, const struct sleeper *slept, unsigned long faults)
{
    assert_int_equal(all->foreign, 0);
    assert_int_equal(all->unwritten, 0);
    assert_int_equal(all->stale, 0);
    assert_true(all->answers > all->calls / 2);
    assert_true(faults > all->calls / 20);
    assert_true(all->longest_ns < LATEST_MS * MS_NS + WAITS_OF_A_CALL * slept->longest_ns);
}

static void no_value_is_wrong_and_no_call_late_under_faults_by_chance(void **unused)
{
    (void)unused;
    struct arena arena = {.dice = {seed_of_run()}};
    struct worker workers[THREADS] = {0};
    struct sleeper sleepers[SLEEPERS] = {0};
    printf("LARDER_STRESS_SEED=%llu\n", (unsigned long long)arena.dice.state);
    for (unsigned i = 0; i < SERVERS; i++)
        arena.servers[i] = memcached_server_start(NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].dice.state = roll(&arena.dice, UINT64_MAX);
    }
    unsigned before = descriptors(), count = rounds();
    sleepers_start(sleepers);
    for (unsigned round = 0; round < count; round++)
        run_round(&arena, round, workers);
    const struct sleeper slept = sleepers_stop(sleepers);
    const struct worker all = add_up(workers);
    print_calls(&all, &slept);
    unsigned long faults = print_faults(&arena, all.calls);
    printf("%u descriptors before, %u after\n", before, descriptors());
    check(&all, &slept, faults);
    assert_int_equal(descriptors(), before);
    for (unsigned i = 0; i < SERVERS; i++)
        memcached_server_stop(arena.servers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_is_wrong_and_no_call_late_under_faults_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
