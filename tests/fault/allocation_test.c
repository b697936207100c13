/*
 * Every call when allocation number n of the library fails, for n = 0, 1, 2 ... until none does,
 * once and from then on for ever: a documented status, nothing changed that the status does not
 * tell, no wrong value; then the same call works in another thread; nothing is leaked.
 */
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/dependency.h>
#include "allocation.h"

/* What runs, for the message of a failure. */
static struct trial {
    const struct cache_kind *kind;
    const struct call *call;
    int long_key, for_ever;
    int is_first; /* in which the peer may still take memory of its own */
    unsigned long n;
    enum larder_status status;
    const char *step;
} now;

static unsigned long runs, wrong, marked_down;

int expect(int holds, const char *what)
{
    if (holds)
        return 1;
    static struct trial last;
    static const char *last_what;
    int is_new = last.kind != now.kind || last.call != now.call || last_what != what;
    last = now;
    last_what = what;
    wrong++;
    if (is_new)
        fprintf(stderr, "%s: %s%s: n %lu%s: %s (%s): not so: %s\n", now.kind->name, now.call->name,
                now.long_key ? " (long key)" : "", now.n, now.for_ever ? " and on" : "",
                larder_status_name(now.status), now.step, what);
    return 0;
}

/* ---- what should be ------------------------------------------------------------------------ */

static int keeps_nothing(const struct fixture *fixture)
{
    return fixture->kind->leaf == LEAF_NULL;
}

static enum larder_status answer_of(const struct call *call, const struct fixture *fixture)
{
    if (fixture->cache == NULL)
        return call->answer;
    const struct larder_traits *traits = larder_describe(fixture->cache);
    if (!larder_can(traits, call->can) || (traits->options & call->takes) != call->takes)
        return LARDER_UNSUPPORTED;
    return keeps_nothing(fixture) ? call->null_answer : call->answer;
}

/* A failure that changes nothing, or of a write, UNKNOWN. */
static int is_documented(const struct fixture *fixture, const struct call *call,
                         enum larder_status status)
{
    if (status == LARDER_NO_MEMORY)
        return 1;
    if (!kind_is_remote(fixture->kind))
        return 0;
    return status == LARDER_UNAVAILABLE || status == LARDER_PROTOCOL ||
           (status == LARDER_UNKNOWN && (call->flags & CALL_WRITES) != 0);
}

static int is_there(const struct fixture *fixture, struct target *target, const char *text)
{
    char buffer[8192];
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(fixture->cache, larder_text(target->key), buffer, sizeof(buffer), &info);
    if (status == LARDER_MISS || status == LARDER_ABSENT || status != LARDER_OK)
        return text == NULL && (status == LARDER_MISS || status == LARDER_ABSENT);
    return text != NULL && info.length == strlen(text) && memcmp(buffer, text, info.length) == 0;
}

static void check_target(const struct fixture *fixture, const struct call *call,
                         struct target *target, enum larder_status answer)
{
    if (keeps_nothing(fixture)) {
        expect(is_there(fixture, target, NULL), "nothing is kept");
        return;
    }
    int is_done = target->status == answer && answer != LARDER_UNSUPPORTED;
    int is_either =
        target->status == LARDER_UNKNOWN || (!is_done && (call->flags & CALL_HAS_STEPS) != 0);
    if (is_either)
        expect(is_there(fixture, target, target->before) ||
                   is_there(fixture, target, target->after),
               "the value from before or after");
    else if (is_done)
        expect(is_there(fixture, target, target->after), "the value from after");
    else
        expect(is_there(fixture, target, target->before), "the value from before");
}

/* ---- setting up ---------------------------------------------------------------------------- */

static void targets_init(struct fixture *fixture, const struct call *call, int long_key)
{
    int has_rows = (call->flags & CALL_HAS_ROWS) != 0;
    fixture->count = fixture->cache == NULL ? 0 : has_rows ? TARGETS : 1;
    for (size_t i = 0; i < fixture->count; i++) {
        struct target *target = &fixture->targets[i];
        int length = long_key || (i & 1) != 0 ? 600 : 1;
        snprintf(target->key, sizeof(target->key), "%0*zu", length, i);
        target->before = call->before;
        target->after = call->after;
    }
}

static void set_up_target(struct fixture *fixture, const struct target *target)
{
    struct larder_slice key = larder_text(target->key);
    if (target->before == NULL)
        expect(larder_invalidate(fixture->preparer, key) == LARDER_OK, "delete works");
    else
        expect(larder_set(fixture->preparer, key, larder_text(target->before), 0) == LARDER_OK,
               "set works");
}

static void set_up(struct fixture *fixture, const struct call *call, enum larder_status answer)
{
    int can = answer != LARDER_UNSUPPORTED;
    if (can && (call->flags & CALL_DEPENDS) != 0)
        expect(larder_dependency_delete(fixture->preparer, call_master(), NULL) == LARDER_OK,
               "the master can be deleted");
    for (size_t i = 0; i < fixture->count; i++)
        set_up_target(fixture, &fixture->targets[i]);
    if (can && call->ready != NULL)
        expect(call->ready(fixture) == LARDER_OK, "what the call needs is there");
}

/* ---- one run ------------------------------------------------------------------------------- */

static enum larder_status call_run(struct fixture *fixture, const struct call *call)
{
    enum larder_status status = call->run(fixture);
    if ((call->flags & CALL_HAS_ROWS) == 0)
        fixture->targets[0].status = status;
    return status;
}

static int is_as_before(const struct fixture *fixture, enum larder_status answer)
{
    for (size_t i = 0; i < fixture->count; i++)
        if (fixture->targets[i].status == answer || fixture->targets[i].status == LARDER_UNKNOWN)
            return 0;
    return 1;
}

static void check_targets(struct fixture *fixture, const struct call *call,
                          enum larder_status answer)
{
    for (size_t i = 0; i < fixture->count; i++)
        check_target(fixture, call, &fixture->targets[i], answer);
}

/* Another thread: whatever lock is left behind holds it up. */
static void *works_afterwards(void *context)
{
    struct fixture *fixture = context;
    const struct call *call = now.call;
    enum larder_status answer = answer_of(call, fixture);
    if (fixture->cache != NULL)
        fixture->preparer = fixture->cache;
    now.step = "afterwards";
    check_targets(fixture, call, answer);
    now.step = "again";
    if (!is_as_before(fixture, answer))
        set_up(fixture, call, answer);
    enum larder_status status = call_run(fixture, call);
    now.status = status;
    for (size_t i = 0; i < fixture->count; i++)
        expect(fixture->targets[i].status == answer, "each key has its answer");
    expect(status == ((call->flags & CALL_HAS_ROWS) != 0 && answer > 0 ? LARDER_OK : answer),
           "the same call works");
    check_targets(fixture, call, answer);
    return NULL;
}

static void run_in_another_thread(struct fixture *fixture)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, works_afterwards, fixture) == 0)
        pthread_join(thread, NULL);
    else
        expect(0, "a thread can be started");
}

static void check_statuses(const struct fixture *fixture, const struct call *call,
                           unsigned long failed)
{
    enum larder_status answer = answer_of(call, fixture);
    for (size_t i = 0; i < (fixture->count > 0 ? fixture->count : 1); i++) {
        enum larder_status status = fixture->targets[i].status;
        expect(status == answer || (failed > 0 && is_documented(fixture, call, status)),
               "a documented status");
    }
}

/* After enough failures in a row a server counts as down, and answers so until it is probed; a
 * reply that there was no memory for is one, to libmemcached. */
static int is_marked_down(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->count; i++)
        if (fixture->targets[i].status == LARDER_UNAVAILABLE ||
            fixture->targets[i].status == LARDER_PROTOCOL)
            return ++marked_down, 1;
    return 0;
}

/* @return how many allocations failed */
static unsigned long run_once(const struct fixture *peer)
{
    struct fixture fixture;
    struct blocks before = faults_blocks();
    now.step = "setting up";
    fixture_open(&fixture, now.kind);
    targets_init(&fixture, now.call, now.long_key);
    fixture.lease.token = fixture.version = 1; /* for a cache that gives none */
    if (kind_is_remote(now.kind) && !now.kind->is_namespace)
        fixture.preparer = peer->cache; /* so that our own connections are still to be made */
    set_up(&fixture, now.call, answer_of(now.call, &fixture));
    now.step = "during";
    faults_begin(now.n, now.for_ever);
    now.status = call_run(&fixture, now.call);
    unsigned long failed = faults_end();
    check_statuses(&fixture, now.call, failed);
    if (!is_marked_down(&fixture))
        run_in_another_thread(&fixture);
    fixture_close(&fixture);
    now.step = "closed";
    if (!expect(now.is_first || faults_blocks().live == before.live, "nothing is leaked"))
        faults_print_left(before);
    runs++;
    return failed;
}

/* ---- all of them --------------------------------------------------------------------------- */

static int fits(const struct cache_kind *kind, const struct call *call)
{
    if ((call->flags & CALL_OF_CLIENT) != 0)
        return kind->is_namespace && !kind->is_session;
    return (call->flags & CALL_TAKES_ROOT) == 0 || !kind->is_session;
}

static void fail_each_allocation(const struct fixture *peer, int long_key, int for_ever)
{
    unsigned long failed = 1;
    now.long_key = long_key;
    now.for_ever = for_ever;
    now.is_first = 1;
    now.n = ULONG_MAX;
    run_once(peer);
    now.is_first = 0;
    for (now.n = 0; failed > 0 && now.n < 5000; now.n++)
        failed = run_once(peer);
    expect(failed == 0, "a run ends without a failure");
}

static void try_calls(const struct cache_kind *kind, const struct call *call, size_t count)
{
    struct fixture peer;
    unsigned long before = runs;
    fixture_open(&peer, kind);
    for (size_t i = 0; i < count; i++)
        for (int variant = 0; variant < 3 && fits(kind, &call[i]); variant++) {
            now = (struct trial){.kind = kind, .call = &call[i]};
            if ((variant & 1) == 0 || kind->leaf != LEAF_NOTHING)
                fail_each_allocation(&peer, variant & 1, variant >> 1);
        }
    fixture_close(&peer);
    print_message("%-36s %6lu runs\n", kind->name, runs - before);
}

/* LARDER_ALLOCATION_PART=N runs one of this many parts, so that they can run at once. */
#define PARTS 3u

static int is_ours(size_t number)
{
    const char *part = getenv("LARDER_ALLOCATION_PART");
    return part == NULL || number % PARTS == strtoul(part, NULL, 10);
}

static void every_opening_survives_every_failed_allocation(void **state)
{
    static const struct cache_kind nothing = {"open", LEAF_NOTHING, 0, 0, ""};
    (void)state;
    if (is_ours(0))
        try_calls(&nothing, openings, opening_count);
    assert_int_equal(wrong, 0);
}

static void every_call_survives_every_failed_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < cache_kind_count; i++)
        if (is_ours(i))
            try_calls(&cache_kinds[i], calls, call_count);
    print_message("%zu calls x %zu caches, %lu runs in all\n", call_count + opening_count,
                  cache_kind_count, runs);
    print_message("left out: %lu error notes of libmemcached, which aborts without them\n",
                  faults_spared());
    print_message("left out: after %lu runs a server counted as down\n", marked_down);
    assert_int_equal(wrong, 0);
}

static int start(void **state)
{
    (void)state;
    caches_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    caches_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_opening_survives_every_failed_allocation),
        cmocka_unit_test(every_call_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
