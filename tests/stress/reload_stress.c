/*
 * Reloads, shutdowns and forks under the calls of eight threads. The section that main leads to is
 * memory, null, each cache on a server, these also with another list of servers alone, and a gutter
 * over a tracker over a pool in turn; [kept] is never touched, and each thread finds there exactly
 * what it wrote last. No call fails because of a reload; descriptors and memory stay flat.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1), LARDER_STRESS_SEED repeats a run's draws.
 */
#include "support.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/util/deadline.h>
#include <larder/util/random.h>

#include "memcached_server.h"
#include "sanitizer.h"

enum { THREADS = 8, RELOADS = 5000, KEYS = 16, ENDINGS = 300, FORKS = 60 };

/* What the section is in turn; "%s" is the server. Of the weights nothing but the list differs.
 * [kept] is the gutter's spare as well: a part that has names of its own. */
static const char *const kinds[] = {
    "memory:?max_bytes=1M",
    "null:",
#ifdef LARDER_WITH_MEMCACHED
    "pooled-memcached:%s?size=4&timeout=60s",
    "pooled-memcached:%s*2?size=4&timeout=60s",
    ("gutter:?of=@lost&spare=@kept\n[lost]\nuri = tracker:?of=@pool\n"
     "[pool]\nuri = pooled-memcached:%s?size=4&timeout=60s"),
#endif
#ifdef LARDER_WITH_META
    "meta:%s?size=4&timeout=60s",
    "meta:%s*2?size=4&timeout=60s",
#endif
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), NULL_KIND = 1 };

struct arena {
    char paths[KINDS][64];
    struct larder_cache *client;
    _Atomic uint64_t wrong;      /* answers that must not be; relaxed */
    _Atomic uint64_t calls;      /* relaxed */
    _Atomic uint64_t kept_reads; /* that found what was written last; relaxed */
    _Atomic int stop;            /* relaxed: the threads are joined anyhow */
    int may_close;               /* set before the threads start */
    uint64_t seed;
};

struct worker {
    struct arena *arena;
    struct larder_cache *kept, *moving; /* bound once */
    pthread_t thread;
    uint64_t random;
    uint32_t number;
    uint32_t written; /* the last number written under the own key of [kept] */
    int closed;       /* a call answered CLOSED */
};

static struct memcached_server *server; /* NULL: no kind needs one */

/* ---- files ---------------------------------------------------------------------------------- */

static void write_file(char path[64], const char *text)
{
    snprintf(path, 64, "/tmp/larder-reload-XXXXXX");
    int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* The name "now-and-then" is in all but one. */
static void write_files(struct arena *arena)
{
    for (int i = 0; i < KINDS; i++) {
        char uri[512], text[1024];
        const char *list = strstr(kinds[i], "%s");
        if (list == NULL)
            snprintf(uri, sizeof(uri), "%s", kinds[i]);
        else
            snprintf(uri, sizeof(uri), "%.*s%s%s", (int)(list - kinds[i]), kinds[i],
                     memcached_server_path(server), list + 2);
        snprintf(text, sizeof(text),
                 "[kept]\nuri = memory:?max_bytes=16M\n[moving]\nuri = %s\n"
                 "[namespaces]\nmain = @moving\nmoving = @moving\nkept = @kept\n%s",
                 uri, i != NULL_KIND ? "now-and-then = @kept\n" : "");
        write_file(arena->paths[i], text);
    }
}

static void open_arena(struct arena *arena)
{
    char message[256];
    const char *seed = getenv("LARDER_STRESS_SEED");
    memset(arena, 0, sizeof(*arena));
    arena->seed = seed != NULL ? strtoull(seed, NULL, 10) : larder_random() >> 16;
    print_message("LARDER_STRESS_SEED=%llu\n", (unsigned long long)arena->seed);
    write_files(arena);
    if (larder_open_file(arena->paths[0], NULL, &arena->client, message, sizeof(message)) !=
        LARDER_OK)
        fail_msg("%s", message);
}

static void close_arena(struct arena *arena)
{
    larder_close(arena->client);
    for (int i = 0; i < KINDS; i++)
        unlink(arena->paths[i]);
}

static void reload(struct arena *arena, uint64_t number)
{
    char message[256];
    enum larder_status status =
        larder_reload(arena->client, arena->paths[number % KINDS], message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("reload %llu: %s", (unsigned long long)number, message);
}

/* ---- calls ---------------------------------------------------------------------------------- */

struct value {
    uint64_t key;
    uint64_t number;
    uint64_t check; /* of both */
    char filler[40];
};

static uint64_t draw(struct worker *worker, uint64_t below)
{
    worker->random ^= worker->random << 13; /* xorshift64, Marsaglia 2003 */
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (worker->random >> 32) % below;
}

static struct value value_of(uint64_t key, uint64_t number)
{
    struct value value = {key, number, (key * 31 + number) * UINT64_C(0x9e3779b97f4a7c15), ""};
    memset(value.filler, (int)(number & 0xff), sizeof(value.filler));
    return value;
}

static int is_value_of(const void *bytes, size_t length, uint64_t key)
{
    struct value value, expected;
    if (length != sizeof(value))
        return 0;
    memcpy(&value, bytes, sizeof(value));
    expected = value_of(key, value.number);
    return memcmp(&value, &expected, sizeof(value)) == 0;
}

static void expect(struct worker *worker, int condition)
{
    if (!condition)
        atomic_fetch_add_explicit(&worker->arena->wrong, 1, memory_order_relaxed);
}

/* @return whether the status says nothing else than that the cache was shut down */
static int is_closed(struct worker *worker, enum larder_status status)
{
    if (status != LARDER_CLOSED)
        return 0;
    worker->closed = 1;
    expect(worker, worker->arena->may_close);
    return 1;
}

/* A write that was sent when a shutdown's grace was over. */
static int is_cut(const struct worker *worker, enum larder_status status)
{
    return status == LARDER_UNKNOWN && worker->arena->may_close;
}

static struct larder_slice name_of(char text[32], uint64_t key)
{
    return larder_bytes(text, (size_t)snprintf(text, 32, "key%llu", (unsigned long long)key));
}

static void check_read(struct worker *worker, enum larder_status status, const void *bytes,
                       size_t length, uint64_t key)
{
    if (!is_closed(worker, status))
        expect(worker,
               status == LARDER_MISS || (status == LARDER_OK && is_value_of(bytes, length, key)));
}

static void call_set(struct worker *worker, struct larder_cache *cache)
{
    char text[32];
    uint64_t key = draw(worker, KEYS);
    struct value value = value_of(key, draw(worker, 1000));
    enum larder_status status =
        larder_set(cache, name_of(text, key), larder_bytes(&value, sizeof(value)), 0);
    expect(worker, status == LARDER_OK || is_cut(worker, status) || is_closed(worker, status));
}

static void call_read(struct worker *worker, struct larder_cache *cache)
{
    char text[32];
    uint64_t key = draw(worker, KEYS);
    struct value value;
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(cache, name_of(text, key), &value, sizeof(value), &info);
    check_read(worker, status, &value, info.length, key);
}

static void call_get(struct worker *worker, struct larder_cache *cache)
{
    char text[32];
    uint64_t key = draw(worker, KEYS);
    struct larder_value value = {0};
    enum larder_status status = larder_get(cache, name_of(text, key), &value);
    check_read(worker, status, value.bytes.data, value.bytes.length, key);
    larder_value_release(&value);
}

static void call_many(struct worker *worker, struct larder_cache *cache)
{
    enum { ROWS = 4 };
    char texts[ROWS][32];
    struct value values[ROWS];
    struct larder_row rows[ROWS];
    memset(rows, 0, sizeof(rows));
    uint64_t first = draw(worker, KEYS);
    for (uint64_t i = 0; i < ROWS; i++) {
        rows[i].key = name_of(texts[i], (first + i) % KEYS);
        rows[i].buffer = &values[i];
        rows[i].size = sizeof(values[i]);
    }
    enum larder_status status = larder_read_multi(cache, rows, ROWS);
    expect(worker, status == LARDER_OK || is_closed(worker, status));
    for (uint64_t i = 0; i < ROWS; i++)
        check_read(worker, rows[i].status, &values[i], rows[i].value.info.length,
                   (first + i) % KEYS);
}

static void call_session(struct worker *worker)
{
    struct larder_cache *session, *bound;
    enum larder_status status = larder_acquire(worker->arena->client, 0, 0, &session);
    if (status != LARDER_OK) {
        expect(worker, is_closed(worker, status));
        return;
    }
    call_set(worker, session);
    status = larder_bind(session, "moving", &bound);
    expect(worker, status == LARDER_OK || is_closed(worker, status));
    if (status == LARDER_OK)
        call_read(worker, bound);
    call_read(worker, session);
    larder_release(session);
}

/* Nobody else writes this key, nobody reloads this section: what is read is what was written. */
static void call_kept(struct worker *worker)
{
    char text[32];
    uint64_t key = 1000 + worker->number;
    struct value value = value_of(key, ++worker->written);
    struct larder_slice name = name_of(text, key);
    enum larder_status status =
        larder_set(worker->kept, name, larder_bytes(&value, sizeof(value)), 0);
    if (is_closed(worker, status))
        return;
    expect(worker, status == LARDER_OK);
    memset(&value, 0, sizeof(value));
    status = larder_read(worker->kept, name, &value, sizeof(value), NULL);
    if (is_closed(worker, status))
        return;
    expect(worker, status == LARDER_OK && value.number == worker->written &&
                       is_value_of(&value, sizeof(value), key));
    atomic_fetch_add_explicit(&worker->arena->kept_reads, 1, memory_order_relaxed);
}

static void call_now_and_then(struct worker *worker)
{
    struct larder_cache *view;
    char byte;
    enum larder_status status = larder_bind(worker->arena->client, "now-and-then", &view);
    if (status == LARDER_OK)
        status = larder_read(view, larder_text("k"), &byte, 1, NULL);
    expect(worker,
           status == LARDER_MISS || status == LARDER_BAD_ARGUMENT || is_closed(worker, status));
}

static void call_whole(struct worker *worker)
{
    struct larder_stat rows[8];
    size_t count;
    enum larder_status status = larder_stats(worker->arena->client, rows, 8, &count);
    expect(worker, status == LARDER_OK || is_closed(worker, status));
    status = larder_flush(worker->moving);
    expect(worker, status == LARDER_OK || is_closed(worker, status));
    status = larder_purge(worker->arena->client, 0, NULL);
    expect(worker, status == LARDER_OK || is_closed(worker, status));
    expect(worker, larder_describe(worker->moving)->size > 0);
}

static void one_call(struct worker *worker)
{
    uint64_t what = draw(worker, 64);
    if (what < 16)
        call_set(worker, worker->moving);
    else if (what < 32)
        call_read(worker, worker->arena->client);
    else if (what < 40)
        call_get(worker, worker->moving);
    else if (what < 48)
        call_many(worker, worker->moving);
    else if (what < 52)
        call_session(worker);
    else if (what < 60)
        call_kept(worker);
    else if (what < 63)
        call_now_and_then(worker);
    else
        call_whole(worker);
    atomic_fetch_add_explicit(&worker->arena->calls, 1, memory_order_relaxed);
}

static void *work(void *context)
{
    struct worker *worker = context;
    while (!worker->closed && !atomic_load_explicit(&worker->arena->stop, memory_order_relaxed))
        one_call(worker);
    return NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static uint64_t scaled(uint64_t count)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    return (uint64_t)((double)count * (scale > 0 ? scale : 1)) + 1;
}

static void start(struct arena *arena, struct worker workers[THREADS])
{
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.arena = arena, .number = i};
        workers[i].random = (arena->seed * THREADS + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        assert_status(LARDER_OK, larder_bind(arena->client, "kept", &workers[i].kept));
        assert_status(LARDER_OK, larder_bind(arena->client, "moving", &workers[i].moving));
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void join(struct worker workers[THREADS])
{
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
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

static uint64_t heap_bytes(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

/* At any instant: what was there at first, and for each thread one connection to the pool, one to
 * the pool before, and a file being read. */
#define DESCRIPTORS_MORE (2 * THREADS + 1)

/* By so much the heap may differ after twice as many reloads; if each left the shell of a cache
 * behind (2 KB at least), it would be 10 MB. What [kept] needs for its entries is a part of it. */
#define HEAP_DIFFERENCE (UINT64_C(256) << 10)

struct flatness {
    int first_descriptors, most_descriptors;
    uint64_t reloads;
};

/* @return the bytes in use when the threads have left and the section is null again */
static uint64_t reload_under_load(struct arena *arena, struct flatness *flatness)
{
    struct worker workers[THREADS];
    atomic_store_explicit(&arena->stop, 0, memory_order_relaxed);
    start(arena, workers);
    for (uint64_t i = 1; i <= flatness->reloads; i++) {
        reload(arena, i);
        int now = descriptors();
        flatness->most_descriptors =
            now > flatness->most_descriptors ? now : flatness->most_descriptors;
    }
    atomic_store_explicit(&arena->stop, 1, memory_order_relaxed);
    join(workers);
    reload(arena, NULL_KIND);
    reload(arena, NULL_KIND);
    return heap_bytes();
}

static void reloads_under_load_lose_nothing_and_leave_nothing(void **state)
{
    struct arena arena;
    struct flatness flatness = {.reloads = scaled(RELOADS)};
    (void)state;
    open_arena(&arena);
    flatness.first_descriptors = descriptors();
    uint64_t began_ns = larder_monotonic_ns();
    uint64_t once = reload_under_load(&arena, &flatness);
    uint64_t twice = reload_under_load(&arena, &flatness);
    uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000 + 1;
    print_message("2 x %llu reloads in %llu ms, %llu calls, %llu kept values found\n",
                  (unsigned long long)flatness.reloads, (unsigned long long)took_ms,
                  (unsigned long long)arena.calls, (unsigned long long)arena.kept_reads);
    print_message("descriptors: %d at first, %d at most; heap: %llu bytes, then %llu\n",
                  flatness.first_descriptors, flatness.most_descriptors, (unsigned long long)once,
                  (unsigned long long)twice);
    assert_int_equal(arena.wrong, 0);
    assert_int_not_equal(arena.kept_reads, 0);
    assert_in_range(flatness.most_descriptors, flatness.first_descriptors,
                    flatness.first_descriptors + DESCRIPTORS_MORE);
    if (!HAS_ADDRESS_SANITIZER)
        assert_in_range(twice, 0, once + HEAP_DIFFERENCE);
    close_arena(&arena);
    assert_int_equal(descriptors(), flatness.first_descriptors);
}

static void a_shutdown_in_the_middle_of_calls_and_reloads_ends_them_all(void **state)
{
    uint64_t calls = 0;
    (void)state;
    for (uint64_t i = scaled(ENDINGS); i > 0; i--) {
        struct arena arena;
        struct worker workers[THREADS];
        open_arena(&arena);
        arena.may_close = 1;
        if (i % KINDS != 0)
            reload(&arena, i);
        start(&arena, workers);
        while (atomic_load_explicit(&arena.calls, memory_order_relaxed) < 40 + i)
            reload(&arena, i);
        larder_shutdown(arena.client);
        join(workers); /* each ends with CLOSED */
        enum larder_status status = larder_reload(arena.client, NULL, NULL, 0);
        assert_status(LARDER_CLOSED, status);
        assert_int_equal(arena.wrong, 0);
        calls += arena.calls;
        close_arena(&arena);
    }
    print_message("%llu calls, each ended by a shutdown\n", (unsigned long long)calls);
}

static void *reload_until_closed(void *context)
{
    struct arena *arena = context;
    enum larder_status status = LARDER_OK;
    for (int i = 0; status == LARDER_OK; i++)
        status = larder_reload(arena->client, arena->paths[i % KINDS], NULL, 0);
    return status == LARDER_CLOSED ? NULL : context;
}

static void a_shutdown_ends_reloads_under_way(void **state)
{
    (void)state;
    for (uint64_t i = scaled(ENDINGS); i > 0; i--) {
        struct arena arena;
        pthread_t threads[2];
        void *failed;
        char byte;
        open_arena(&arena);
        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, reload_until_closed, &arena), 0);
        uint64_t until_ns = larder_monotonic_ns() + arena.seed % 997 * i % 1000 * 1000;
        while (larder_monotonic_ns() < until_ns)
            assert_in_range(larder_read(arena.client, larder_text("k"), &byte, 1, NULL), LARDER_OK,
                            LARDER_MISS);
        larder_shutdown(arena.client);
        for (int j = 0; j < 2; j++) {
            assert_int_equal(pthread_join(threads[j], &failed), 0);
            assert_null(failed);
        }
        assert_status(LARDER_CLOSED, larder_read(arena.client, larder_text("k"), &byte, 1, NULL));
        close_arena(&arena);
    }
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* In the child a failed assertion would run the parent's tests: it counts instead. */
static int failures_in_child(struct arena *arena, struct larder_cache *kept)
{
    char text[32];
    int failures = 0;
    struct value value = value_of(2000, 1);
    struct larder_slice name = name_of(text, 2000), bytes = larder_bytes(&value, sizeof(value));
    failures += larder_set(kept, name, bytes, 0) != LARDER_OK;
    failures += larder_read(kept, name, &value, sizeof(value), NULL) != LARDER_OK;
    for (int i = 0; i < KINDS; i++) {
        failures += larder_reload(arena->client, arena->paths[i], NULL, 0) != LARDER_OK;
        failures += larder_set(arena->client, name, bytes, 0) != LARDER_OK;
        enum larder_status status = larder_read(arena->client, name, &value, sizeof(value), NULL);
        failures += status != (i == NULL_KIND ? LARDER_MISS : LARDER_OK) ||
                    !is_value_of(&value, sizeof(value), 2000);
    }
    failures += larder_read(kept, name, &value, sizeof(value), NULL) != LARDER_OK;
    larder_close(arena->client);
    return failures;
}

static void fork_and_check(struct arena *arena, struct larder_cache *kept)
{
    int ended;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60); /* a child that waits for a lock is a failure */
        _exit(failures_in_child(arena, kept) != 0);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
}

static void a_child_of_a_quiet_process_reloads_by_itself(void **state)
{
    struct arena arena;
    struct larder_cache *kept;
    (void)state;
    open_arena(&arena);
    assert_status(LARDER_OK, larder_bind(arena.client, "kept", &kept));
    for (uint64_t i = 0; i < 7; i++) {
        reload(&arena, i);
        fork_and_check(&arena, kept);
    }
    close_arena(&arena);
}

static void *reload_until_stopped(void *context)
{
    struct arena *arena = context;
    for (uint64_t i = 0; !atomic_load_explicit(&arena->stop, memory_order_relaxed) && i < 10; i++)
        if (larder_reload(arena->client, arena->paths[i % KINDS], NULL, 0) != LARDER_OK)
            return context;
    return NULL;
}

/* A few reloads at a time: ThreadSanitizer follows 64 locks in one thread's hands, and fork takes
 * those of every shell. */
static void a_child_of_a_busy_process_reloads_by_itself(void **state)
{
    (void)state;
    LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR();
    for (uint64_t i = scaled(FORKS); i > 0; i--) {
        struct arena arena;
        struct worker workers[THREADS];
        pthread_t reloader;
        void *failed;
        open_arena(&arena);
        start(&arena, workers);
        assert_int_equal(pthread_create(&reloader, NULL, reload_until_stopped, &arena), 0);
        fork_and_check(&arena, workers[0].kept);
        atomic_store_explicit(&arena.stop, 1, memory_order_relaxed);
        assert_int_equal(pthread_join(reloader, &failed), 0);
        join(workers);
        assert_null(failed);
        assert_int_equal(arena.wrong, 0);
        close_arena(&arena);
    }
}

static int start_server(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS && server == NULL; i++)
        if (strstr(kinds[i], "%s") != NULL)
            server = memcached_server_start(NULL);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    memcached_server_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reloads_under_load_lose_nothing_and_leave_nothing),
        cmocka_unit_test(a_shutdown_in_the_middle_of_calls_and_reloads_ends_them_all),
        cmocka_unit_test(a_shutdown_ends_reloads_under_way),
        cmocka_unit_test(a_child_of_a_quiet_process_reloads_by_itself),
        cmocka_unit_test(a_child_of_a_busy_process_reloads_by_itself),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
