/*
 * memory under threads: everybody does everything to the same keys in a cache that is always too
 * small. Values describe themselves, so a torn one or another key's is seen at once.
 *
 * LARDER_STRESS_SCALE multiplies the work (default 1), LARDER_STRESS_SEED repeats a run's draws.
 */
#include <larder/memory.h>
#include <larder/util/counter.h>
#include <larder/util/deadline.h>
#include <larder/util/random.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sanitizer.h"

extern const struct larder_backend larder_memory_backend;

enum { THREADS = 8, KEYS = 4000, VIEWS = 4, CALLS = 60000, VALUE_MAX = 12000 };

struct arena {
    struct larder_scope scope;
    _Atomic uint64_t wrong;      /* answers that must not be; relaxed */
    _Atomic uint64_t verified;   /* values seen; relaxed */
    _Atomic uint64_t calls_left; /* relaxed */
    _Atomic int may_close;       /* relaxed: CLOSED is expected */
};

struct worker {
    struct arena *arena;
    pthread_t thread;
    uint32_t number;
    uint64_t random;
    struct larder_value views[VIEWS];
    uint32_t viewed[VIEWS]; /* keys */
};

/* ---- values -------------------------------------------------------------------------------- */

struct header {
    uint64_t checksum;
    uint32_t key, writer;
    uint64_t length;
};

static uint64_t checksum_of(const unsigned char *value, size_t length)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a, over all but itself */
    for (size_t i = sizeof(uint64_t); i < length; i++)
        sum = (sum ^ value[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void make_value(unsigned char *value, uint32_t key, uint32_t writer, size_t length)
{
    struct header header = {0, key, writer, length};
    memset(value, (int)(key + writer), length);
    memcpy(value, &header, sizeof(header));
    header.checksum = checksum_of(value, length);
    memcpy(value, &header, sizeof(header));
}

static int is_value_of(struct larder_slice value, uint32_t key)
{
    struct header header;
    if (value.length < sizeof(header))
        return 0;
    memcpy(&header, value.data, sizeof(header));
    return header.key == key && header.length == value.length &&
           header.checksum == checksum_of(value.data, value.length);
}

/* ---- one call ------------------------------------------------------------------------------ */

static uint32_t draw(struct worker *worker, uint32_t below)
{
    worker->random ^= worker->random << 13; /* xorshift64, Marsaglia 2003 */
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (uint32_t)(worker->random >> 32) % below;
}

static void expect(struct worker *worker, int condition)
{
    if (!condition)
        atomic_fetch_add_explicit(&worker->arena->wrong, 1, memory_order_relaxed);
}

static void verify(struct worker *worker, struct larder_slice value, uint32_t key)
{
    expect(worker, is_value_of(value, key));
    atomic_fetch_add_explicit(&worker->arena->verified, 1, memory_order_relaxed);
}

static struct larder_slice name_key(char text[32], char kind, uint32_t number)
{
    const char *format = number % 2 == 0 ? "%c%u" : "%c%u, of the usual length";
    return larder_bytes(text, (size_t)snprintf(text, 32, format, kind, number));
}

static int is_closed(struct worker *worker, enum larder_status status)
{
    return status == LARDER_CLOSED &&
           atomic_load_explicit(&worker->arena->may_close, memory_order_relaxed);
}

static void call_store(struct worker *worker, uint32_t number)
{
    static const enum larder_mode modes[] = {LARDER_SET, LARDER_SET, LARDER_ADD, LARDER_REPLACE};
    unsigned char value[VALUE_MAX];
    char text[32];
    uint64_t version = 0;
    size_t most = draw(worker, 8) == 0 ? VALUE_MAX : 500;
    size_t length = sizeof(struct header) + draw(worker, (uint32_t)(most - sizeof(struct header)));
    make_value(value, number, worker->number, length);
    struct larder_write write = larder_write_of(larder_bytes(value, length),
                                                draw(worker, 3) == 0 ? 1 + draw(worker, 30) : 0);
    enum larder_mode mode = modes[draw(worker, 4)];
    enum larder_status status = worker->arena->scope.ops->store(
        &worker->arena->scope, mode, name_key(text, 'v', number), &write, &version);
    expect(worker, status == LARDER_OK || status == LARDER_NO_MEMORY || is_closed(worker, status) ||
                       (mode == LARDER_ADD && status == LARDER_EXISTS) ||
                       (mode == LARDER_REPLACE && status == LARDER_MISS));
    expect(worker, (status == LARDER_OK) == (version != 0));
}

static void call_read(struct worker *worker, uint32_t number)
{
    unsigned char value[VALUE_MAX];
    char text[32];
    struct larder_info info;
    memset(&info, 0, sizeof(info));
    enum larder_status status = worker->arena->scope.ops->read(
        &worker->arena->scope, name_key(text, 'v', number), value, sizeof(value), &info);
    if (status == LARDER_OK)
        verify(worker, larder_bytes(value, info.length), number);
    else
        expect(worker, status == LARDER_MISS || is_closed(worker, status));
}

static void drop_view(struct worker *worker, uint32_t slot)
{
    struct larder_value *view = &worker->views[slot];
    if (view->owner == NULL)
        return;
    verify(worker, view->bytes, worker->viewed[slot]);
    view->owner->release(view->owner);
    view->owner = NULL;
}

static void call_get(struct worker *worker, uint32_t number)
{
    char text[32];
    uint32_t slot = draw(worker, VIEWS);
    drop_view(worker, slot);
    memset(&worker->views[slot], 0, sizeof(worker->views[slot]));
    worker->viewed[slot] = number;
    enum larder_status status = worker->arena->scope.ops->get(
        &worker->arena->scope, name_key(text, 'v', number), &worker->views[slot]);
    expect(worker, status == LARDER_OK || status == LARDER_MISS || is_closed(worker, status));
}

static void call_cas(struct worker *worker, uint32_t number)
{
    unsigned char value[300];
    char text[32];
    struct larder_info info;
    uint64_t version = 0;
    memset(&info, 0, sizeof(info));
    if (worker->arena->scope.ops->read(&worker->arena->scope, name_key(text, 'v', number), NULL, 0,
                                       &info) != LARDER_PARTIAL)
        return;
    make_value(value, number, worker->number, sizeof(value));
    struct larder_write write = larder_write_of(larder_bytes(value, sizeof(value)), 0);
    write.version = info.version;
    enum larder_status status = worker->arena->scope.ops->store(
        &worker->arena->scope, LARDER_CAS, name_key(text, 'v', number), &write, &version);
    expect(worker, status == LARDER_OK || status == LARDER_CONFLICT || status == LARDER_MISS ||
                       status == LARDER_NO_MEMORY || is_closed(worker, status));
}

static void call_lease(struct worker *worker, uint32_t number)
{
    unsigned char value[300];
    char text[32];
    struct larder_value seen;
    struct larder_lease lease = {0, 0};
    struct larder_slice key = name_key(text, 'v', number);
    memset(&seen, 0, sizeof(seen));
    enum larder_status status =
        worker->arena->scope.ops->lease_get(&worker->arena->scope, key, 5, &seen, &lease);
    if (status == LARDER_OK) {
        verify(worker, seen.bytes, number);
        seen.owner->release(seen.owner);
    }
    if (lease.token == 0)
        return;
    make_value(value, number, worker->number, sizeof(value));
    struct larder_write write = larder_write_of(larder_bytes(value, sizeof(value)), 0);
    status = draw(worker, 4) == 0
                 ? worker->arena->scope.ops->lease_return(&worker->arena->scope, key, lease)
                 : worker->arena->scope.ops->lease_fill(&worker->arena->scope, key, lease, &write);
    expect(worker, status == LARDER_OK || status == LARDER_CONFLICT || status == LARDER_NO_MEMORY ||
                       is_closed(worker, status));
}

static void call_count(struct worker *worker, uint32_t number)
{
    char text[32];
    struct larder_initial initial = {.value = 0};
    uint64_t result = 0;
    enum larder_status status = worker->arena->scope.ops->count(
        &worker->arena->scope, name_key(text, 'c', number), LARDER_UP, 1, &initial, &result);
    expect(worker, (status == LARDER_OK && result > 0) || status == LARDER_NO_MEMORY ||
                       is_closed(worker, status));
}

static void call_append(struct worker *worker, uint32_t number)
{
    char text[32];
    uint64_t version = 0;
    uint32_t words[2] = {number, number}, seen[256];
    struct larder_info info;
    struct larder_slice key = name_key(text, 'a', number);
    struct larder_write write = larder_write_of(larder_bytes(words, sizeof(words)), 0);
    memset(&info, 0, sizeof(info));
    enum larder_mode mode = draw(worker, 2) ? LARDER_APPEND : LARDER_PREPEND;
    enum larder_status status =
        worker->arena->scope.ops->store(&worker->arena->scope, mode, key, &write, &version);
    if (status == LARDER_MISS)
        status = worker->arena->scope.ops->store(&worker->arena->scope, LARDER_SET, key, &write,
                                                 &version);
    expect(worker, status == LARDER_OK || status == LARDER_NO_MEMORY || is_closed(worker, status));
    status = worker->arena->scope.ops->read(&worker->arena->scope, key, seen, sizeof(seen), &info);
    if (status != LARDER_OK && status != LARDER_PARTIAL)
        return;
    expect(worker, info.length % sizeof(words) == 0);
    for (size_t i = 0; i < info.length / sizeof(uint32_t) && i < 256; i++)
        expect(worker, seen[i] == number);
    if (status == LARDER_PARTIAL)
        (void)worker->arena->scope.ops->remove(&worker->arena->scope, key, 0);
}

static void call_keys(struct worker *worker)
{
    char buffer[256];
    struct larder_slice keys[8];
    struct larder_cursor cursor = {{0}};
    size_t count = 1;
    for (int i = 0; i < 20 && count > 0; i++) {
        enum larder_status status = worker->arena->scope.ops->keys(
            &worker->arena->scope, &cursor, buffer, sizeof(buffer), keys, 8, &count);
        expect(worker, status == LARDER_OK || is_closed(worker, status));
        for (size_t j = 0; status == LARDER_OK && j < count; j++)
            expect(worker, strchr("vca", *(const char *)keys[j].data) != NULL);
    }
}

static uint64_t stat_of(const struct larder_scope *scope, const char *name)
{
    struct larder_stat rows[32];
    struct larder_stats_out out = {rows, 32, 0, NULL};
    scope->ops->stats(scope, &out);
    for (size_t i = 0; i < out.count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return UINT64_MAX;
}

static void call_rarely(struct worker *worker)
{
    const struct larder_scope *scope = &worker->arena->scope;
    expect(worker, stat_of(scope, "bytes") <= stat_of(scope, "max_bytes"));
    switch (draw(worker, 200)) {
    case 0:
        (void)scope->ops->flush(scope);
        break;
    case 1:
        (void)scope->ops->purge(scope, 1, NULL);
        break;
    default:
        call_keys(worker);
    }
}

static void one_call(struct worker *worker)
{
    char text[32];
    uint32_t number = draw(worker, KEYS);
    switch (draw(worker, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        call_store(worker, number);
        break;
    case 4:
        (void)worker->arena->scope.ops->remove(&worker->arena->scope, name_key(text, 'v', number),
                                               0);
        break;
    case 5:
        (void)worker->arena->scope.ops->touch(&worker->arena->scope, name_key(text, 'v', number),
                                              1 + draw(worker, 20));
        break;
    case 6:
        call_cas(worker, number);
        break;
    case 7:
    case 8:
        call_lease(worker, number);
        break;
    case 9:
        call_count(worker, number);
        break;
    case 10:
        call_append(worker, number);
        break;
    case 11:
    case 12:
        call_get(worker, number);
        break;
    default:
        call_read(worker, number);
    }
    if (draw(worker, 200) == 0)
        call_rarely(worker);
}

/* ---- runs ---------------------------------------------------------------------------------- */

static uint64_t scaled(uint64_t calls)
{
    const char *factor = getenv("LARDER_STRESS_SCALE");
    double scale = factor != NULL ? strtod(factor, NULL) : 1;
    return (uint64_t)((double)calls * (scale > 0 ? scale : 1)) + 1;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("LARDER_STRESS_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : larder_random() >> 16;
    print_message("LARDER_STRESS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (uint64_t i = scaled(CALLS); i > 0; i--) {
        one_call(worker);
        atomic_fetch_sub_explicit(&worker->arena->calls_left, 1, memory_order_relaxed);
    }
    return NULL;
}

static uint64_t monotonic(void *context)
{
    (void)context;
    return larder_monotonic_ns();
}

static void open_arena(struct arena *arena, uint64_t max_bytes)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_host host = {
        .version = LARDER_BACKEND_VERSION, .size = sizeof(host), .clock = {monotonic, NULL}};
    memset(arena, 0, sizeof(*arena));
    options.max_bytes = max_bytes;
    options.bucket_interval_ms = 10;
    arena->scope.ops = larder_memory_backend.ops;
    assert_int_equal(larder_memory_backend.open(&host, &options, NULL, &arena->scope.self),
                     LARDER_OK);
    atomic_init(&arena->calls_left, THREADS * scaled(CALLS));
}

static void start(struct arena *arena, struct worker *workers)
{
    uint64_t seed = seed_of_run();
    for (uint32_t i = 0; i < THREADS; i++) {
        memset(&workers[i], 0, sizeof(workers[i]));
        workers[i].arena = arena;
        workers[i].number = i + 1;
        workers[i].random = (seed * THREADS + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void join(struct worker *workers)
{
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void drop_views(struct worker *workers)
{
    for (uint32_t i = 0; i < THREADS; i++)
        for (uint32_t j = 0; j < VIEWS; j++)
            drop_view(&workers[i], j);
}

/* Headers of segments that were used once, pages of the index and the ghost stay. */
static void assert_emptied(struct arena *arena, uint64_t empty)
{
    uint64_t headers = stat_of(&arena->scope, "max_bytes") / 4096 * 80;
    assert_int_equal(stat_of(&arena->scope, "items"), 0);
    assert_int_equal(stat_of(&arena->scope, "segments"), 0);
    assert_int_equal(stat_of(&arena->scope, "large_bytes"), 0);
    assert_true(stat_of(&arena->scope, "bytes") <=
                empty + headers + stat_of(&arena->scope, "ghost_bytes") + 4 * 4096);
}

static void no_value_is_torn_or_anothers_and_the_bound_holds(void **state)
{
    static const uint64_t bounds[] = {262144, 2097152};
    struct worker workers[THREADS];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct arena arena;
        open_arena(&arena, bounds[i]);
        uint64_t empty = stat_of(&arena.scope, "bytes");
        uint64_t began_ns = larder_monotonic_ns();
        start(&arena, workers);
        join(workers);
        uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000 + 1;
        drop_views(workers);
        print_message("%llu values verified, %llu evictions, %llu calls/s\n",
                      (unsigned long long)arena.verified,
                      (unsigned long long)stat_of(&arena.scope, "evictions"),
                      (unsigned long long)(THREADS * scaled(CALLS) * 1000 / took_ms));
        assert_int_equal(arena.wrong, 0);
        assert_true(arena.verified > 0);
        assert_true(stat_of(&arena.scope, "evictions") > 0);
        assert_int_equal(arena.scope.ops->flush(&arena.scope), LARDER_OK);
        assert_emptied(&arena, empty);
        arena.scope.ops->close(arena.scope.self);
    }
}

static void shutdown_may_come_at_any_time(void **state)
{
    struct arena arena;
    struct worker workers[THREADS];
    (void)state;
    open_arena(&arena, 262144);
    uint64_t half = atomic_load_explicit(&arena.calls_left, memory_order_relaxed) / 2;
    atomic_store_explicit(&arena.may_close, 1, memory_order_relaxed);
    start(&arena, workers);
    while (atomic_load_explicit(&arena.calls_left, memory_order_relaxed) > half)
        sched_yield();
    arena.scope.ops->shutdown(arena.scope.self);
    join(workers);
    arena.scope.ops->close(arena.scope.self);
    drop_views(workers); /* after close */
    assert_int_equal(arena.wrong, 0);
}

static int works_in_child(const struct larder_scope *scope)
{
    struct larder_write write = larder_write_of(larder_text("child"), 0);
    uint64_t version = 0;
    enum larder_status status =
        scope->ops->store(scope, LARDER_SET, larder_text("child"), &write, &version);
    return status == LARDER_OK || status == LARDER_NO_MEMORY;
}

static void a_child_forked_amid_calls_has_a_cache_that_works(void **state)
{
    LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR();
    struct arena arena;
    struct worker workers[THREADS];
    (void)state;
    open_arena(&arena, 2097152);
    start(&arena, workers);
    for (int i = 0; i < 10; i++) {
        int wait_status = 0;
        arena.scope.ops->fork(arena.scope.self, LARDER_FORK_PREPARE);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            arena.scope.ops->fork(arena.scope.self, LARDER_FORK_CHILD);
            _exit(works_in_child(&arena.scope) ? 0 : 1);
        }
        arena.scope.ops->fork(arena.scope.self, LARDER_FORK_PARENT);
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &wait_status, 0), child);
        assert_int_equal(wait_status, 0);
    }
    join(workers);
    drop_views(workers);
    arena.scope.ops->close(arena.scope.self);
    assert_int_equal(arena.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_is_torn_or_anothers_and_the_bound_holds),
        cmocka_unit_test(shutdown_may_come_at_any_time),
        cmocka_unit_test(a_child_forked_amid_calls_has_a_cache_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
