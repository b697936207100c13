/* tracker: what is lost, what is not, and that it is made up for before it is served. */
#include "support.h"
#include "watched_memory.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include <larder/client.h>
#include <larder/tracker.h>

#define SETTLE_MS 100
#define KEYS 4

/* ---- a cache that can be cut off ----------------------------------------------------------- */

static struct larder_manual_clock *manual;
static struct larder_faults *faults;
static struct larder_recording *events;
static struct larder_cache *of, *tracker;
static unsigned told;
static char told_key[64];

static void tell(void *context, const struct larder_lost *lost)
{
    (void)context;
    assert_int_equal(lost->size, sizeof(*lost));
    told++;
    snprintf(told_key, sizeof(told_key), "%.*s/%.*s", (int)lost->name_space.length,
             (const char *)lost->name_space.data, (int)lost->key.length,
             (const char *)lost->key.data);
}

static int start(void **state)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    (void)state;
    manual = larder_manual_clock_new(UINT64_C(1000000000));
    open.clock = larder_manual_clock_of(manual);
    of = watched_memory_open(open.clock, &faults, &events);
    options.of = of;
    options.keys = KEYS;
    options.settle_ms = SETTLE_MS;
    options.on_lost = tell;
    told = 0;
    assert_status(LARDER_OK, larder_tracker_open(&options, &open, &tracker, NULL, 0));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    larder_close(tracker);
    larder_faults_free(faults);
    larder_recording_free(events);
    larder_manual_clock_free(manual);
    return 0;
}

static void break_with(uint32_t operations, enum larder_status status)
{
    answer(faults, operations, status);
}

static void mend(void)
{
    larder_faults_reset(faults);
}

static enum larder_status set(struct larder_cache *cache, const char *key, const char *value)
{
    return larder_set(cache, larder_text(key), larder_text(value), LARDER_TTL_FOREVER);
}

static enum larder_status look(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

static uint64_t figure(const char *name)
{
    struct larder_stat rows[256];
    size_t count = 0;
    assert_status(LARDER_OK, larder_stats(tracker, rows, 256, &count));
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("no figure %s", name);
    return 0;
}

/* ---- what is lost -------------------------------------------------------------------------- */

static uint64_t version;

static enum larder_status store(enum larder_mode mode)
{
    struct larder_write write = larder_write_of(larder_text("new"), LARDER_TTL_FOREVER);
    write.version = mode == LARDER_CAS ? version : 0;
    return larder_store(tracker, mode, larder_text("k"), &write, NULL);
}

static enum larder_status do_set(void)
{
    return store(LARDER_SET);
}
static enum larder_status do_add(void)
{
    return store(LARDER_ADD);
}
static enum larder_status do_replace(void)
{
    return store(LARDER_REPLACE);
}
static enum larder_status do_append(void)
{
    return store(LARDER_APPEND);
}
static enum larder_status do_cas(void)
{
    return store(LARDER_CAS);
}
static enum larder_status do_delete(void)
{
    return larder_delete(tracker, larder_text("k"), 0);
}
static enum larder_status do_delete_at(void)
{
    return larder_delete(tracker, larder_text("k"), version);
}
static enum larder_status do_touch_long(void)
{
    return larder_touch(tracker, larder_text("k"), LARDER_TRACKER_TOUCH_MS + 1);
}
static enum larder_status do_touch(void)
{
    return larder_touch(tracker, larder_text("k"), LARDER_TRACKER_TOUCH_MS);
}
static enum larder_status do_touch_short(void)
{
    return larder_touch(tracker, larder_text("k"), 1);
}
static enum larder_status do_touch_for_ever(void)
{
    return larder_touch(tracker, larder_text("k"), LARDER_TTL_FOREVER);
}
static enum larder_status do_count(void)
{
    return larder_incr(tracker, larder_text("k"), 1, NULL, NULL);
}
static enum larder_status do_read(void)
{
    return look(tracker, "k");
}

static enum larder_status many(enum larder_many_kind kind)
{
    struct larder_row rows[2];
    char buffers[2][8];
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < 2; i++) {
        rows[i].key = larder_text(i == 0 ? "k" : "l");
        rows[i].write = larder_write_of(larder_text("new"), 1000);
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
    return larder_many(tracker, NULL, kind, LARDER_SET, rows, 2, sizeof(rows[0]));
}
static enum larder_status do_set_many(void)
{
    return many(LARDER_MANY_STORE);
}
static enum larder_status do_delete_many(void)
{
    return many(LARDER_MANY_DELETE);
}
static enum larder_status do_touch_many(void)
{
    return many(LARDER_MANY_TOUCH);
}
static enum larder_status do_read_many(void)
{
    return many(LARDER_MANY_READ);
}

static const struct {
    const char *name;
    enum larder_status (*run)(void);
    int lost, lost_when_unknown;
    unsigned keys;
} writes[] = {
    {"set", do_set, 1, 1, 1},
    {"add", do_add, 0, 1, 1},
    {"replace", do_replace, 1, 1, 1},
    {"append", do_append, 1, 1, 1},
    {"cas", do_cas, 1, 1, 1},
    {"delete", do_delete, 1, 1, 1},
    {"delete at a version", do_delete_at, 1, 1, 1},
    {"touch to 1 ms", do_touch_short, 1, 1, 1},
    {"touch to 50 s", do_touch, 1, 1, 1},
    {"touch to 50.001 s", do_touch_long, 0, 0, 1},
    {"touch for ever", do_touch_for_ever, 0, 0, 1},
    {"count", do_count, 0, 0, 1},
    {"read", do_read, 0, 0, 1},
    {"set many", do_set_many, 1, 1, 2},
    {"delete many", do_delete_many, 1, 1, 2},
    {"touch many", do_touch_many, 1, 1, 2},
    {"read many", do_read_many, 0, 0, 2},
};

static void plant(void)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char buffer[8];
    assert_status(LARDER_OK, set(of, "k", "1"));
    assert_status(LARDER_OK, set(of, "l", "1"));
    assert_status(LARDER_OK, larder_read(of, larder_text("k"), buffer, sizeof(buffer), &info));
    version = info.version;
}

static void a_write_that_was_lost_is_made_up_for_before_its_key_is_read(void **state)
{
    static const enum larder_status statuses[] = {LARDER_UNAVAILABLE, LARDER_TIMEOUT,
                                                  LARDER_PROTOCOL,    LARDER_UNKNOWN,
                                                  LARDER_NO_MEMORY,   LARDER_TOO_LARGE};
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        for (size_t j = 0; j < sizeof(statuses) / sizeof(statuses[0]); j++) {
            int is_lost = statuses[j] == LARDER_UNKNOWN ? writes[i].lost_when_unknown
                                                        : writes[i].lost && j < 4;
            print_message("%s, %s: %s\n", writes[i].name, larder_status_name(statuses[j]),
                          is_lost ? "lost" : "not lost");
            start(state);
            plant();
            break_with(0, statuses[j]);
            assert_status(statuses[j], writes[i].run());
            mend();
            assert_int_equal(figure("recorded"), is_lost ? writes[i].keys : 0);
            assert_int_equal(told, is_lost ? writes[i].keys : 0);
            if (is_lost && look(tracker, "k") == LARDER_UNAVAILABLE) /* it settles */
                larder_manual_clock_advance(manual, SETTLE_MS);
            assert_status(is_lost ? LARDER_MISS : LARDER_OK, look(tracker, "k"));
            stop(state);
        }
}

/* ---- meanwhile ----------------------------------------------------------------------------- */

static void a_lost_key_is_not_served_and_all_others_are(void **state)
{
    (void)state;
    plant();
    break_with(LARDER_ON(STORE), LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, set(tracker, "k", "2"));
    mend();
    break_with(LARDER_ON(DELETE), LARDER_UNAVAILABLE); /* reads would work */
    assert_status(LARDER_UNAVAILABLE, look(tracker, "k"));
    assert_status(LARDER_UNAVAILABLE, set(tracker, "k", "3"));
    assert_status(LARDER_UNAVAILABLE, larder_touch(tracker, larder_text("k"), 0));
    assert_status(LARDER_UNAVAILABLE, larder_delete(tracker, larder_text("k"), 0));
    assert_status(LARDER_OK, look(tracker, "l"));
    assert_status(LARDER_OK, set(tracker, "l", "4"));
    assert_int_equal(asked(events, LARDER_ON(READ), "k"), 1); /* that of plant() */
    mend();
    assert_status(LARDER_OK, set(tracker, "k", "5"));
    assert_status(LARDER_OK, look(tracker, "k"));
    assert_int_equal(figure("lost_keys"), 0);
}

static void a_key_is_lost_once(void **state)
{
    (void)state;
    break_with(0, LARDER_UNAVAILABLE);
    for (int i = 0; i < 5; i++)
        assert_status(LARDER_UNAVAILABLE, set(tracker, "k", "v"));
    assert_int_equal(told, 1);
    assert_string_equal(told_key, "/k");
    assert_int_equal(figure("lost_keys"), 1);
}

static void a_key_that_is_lost_again_while_it_is_made_up_for_stays_lost(void **state)
{
    (void)state;
    plant();
    break_with(0, LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, larder_delete(tracker, larder_text("k"), 0));
    assert_status(LARDER_UNAVAILABLE, larder_delete(tracker, larder_text("k"), 0));
    mend();
    assert_status(LARDER_OK, larder_delete(tracker, larder_text("k"), 0));
    assert_int_equal(figure("lost_keys"), 0);
    assert_status(LARDER_OK, set(tracker, "k", "2"));
    assert_status(LARDER_OK, look(tracker, "k"));
}

/* ---- what may still be on its way ---------------------------------------------------------- */

static void a_write_that_arrives_late_is_not_served(void **state)
{
    (void)state;
    break_with(LARDER_ON(STORE), LARDER_UNKNOWN);
    assert_status(LARDER_UNKNOWN, set(tracker, "k", "late"));
    mend();
    assert_status(LARDER_UNAVAILABLE, look(tracker, "k")); /* deleted, and left to settle */
    assert_status(LARDER_OK, set(of, "k", "late"));        /* it arrives */
    larder_manual_clock_advance(manual, SETTLE_MS - 1);
    assert_status(LARDER_UNAVAILABLE, look(tracker, "k"));
    larder_manual_clock_advance(manual, 1);
    assert_status(LARDER_MISS, look(tracker, "k"));
    assert_int_equal(asked(events, LARDER_ON(DELETE), "k"), 2);
    assert_int_equal(figure("lost_keys"), 0);
}

/* ---- the limit ----------------------------------------------------------------------------- */

static void lose(struct larder_cache *cache, unsigned first, unsigned count)
{
    char key[16];
    break_with(LARDER_ON(DELETE) | LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
    for (unsigned i = first; i < first + count; i++) {
        snprintf(key, sizeof(key), "lost%u", i);
        assert_status(LARDER_UNAVAILABLE, larder_delete(cache, larder_text(key), 0));
    }
    mend();
}

static void one_key_too_many_and_all_is_flushed(void **state)
{
    for (unsigned count = KEYS - 1; count <= KEYS + 1; count++) {
        start(state);
        plant();
        lose(tracker, 0, count);
        lose(tracker, 0, count); /* the same ones take no more room */
        int over = count > KEYS;
        assert_int_equal(figure("overflows") > 0, over);
        assert_int_equal(figure("lost_wholes"), over);
        assert_true(figure("lost_keys") <= KEYS);
        break_with(LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
        assert_status(over ? LARDER_UNAVAILABLE : LARDER_OK, look(tracker, "l"));
        mend();
        assert_status(over ? LARDER_MISS : LARDER_OK, look(tracker, "l"));
        assert_int_equal(asked(events, LARDER_ON(FLUSH), NULL) > 0, over);
        assert_int_equal(figure("lost_wholes"), 0);
        stop(state);
    }
}

static void one_namespace_too_full_leaves_the_others_alone(void **state)
{
    const struct larder_route route = {"*", tracker, LARDER_TTL_DEFAULT, 0};
    struct larder_client_options options = LARDER_CLIENT_OPTIONS_INIT;
    struct larder_cache *client = NULL, *full = NULL, *other = NULL;
    (void)state;
    assert_status(LARDER_OK, larder_client_open(&options, NULL, &route, 1, &client, NULL, 0));
    assert_status(LARDER_OK, larder_bind(client, "full", &full));
    assert_status(LARDER_OK, larder_bind(client, "other", &other));
    assert_status(LARDER_OK, set(full, "k", "v"));
    assert_status(LARDER_OK, set(other, "k", "v"));
    lose(other, 0, 1);
    lose(full, 0, KEYS);
    assert_string_equal(told_key, "full/");
    assert_status(LARDER_OK, look(other, "k"));
    assert_status(LARDER_MISS, look(full, "k"));
    assert_status(LARDER_OK, look(other, "k"));
    tracker = client; /* to be closed by stop() */
}

static void a_flush_that_failed_is_made_up_for(void **state)
{
    (void)state;
    plant();
    break_with(LARDER_ON(FLUSH), LARDER_UNKNOWN);
    assert_status(LARDER_UNKNOWN, larder_flush(tracker));
    assert_status(LARDER_UNAVAILABLE, look(tracker, "k"));
    mend();
    assert_status(LARDER_MISS, look(tracker, "k"));
    assert_int_equal(figure("lost_wholes"), 0);
}

static void a_flush_makes_up_for_all_keys(void **state)
{
    (void)state;
    lose(tracker, 0, KEYS);
    assert_status(LARDER_OK, larder_flush(tracker));
    assert_int_equal(figure("lost_keys"), 0);
}

static int memory_is_out;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return memory_is_out ? NULL : __real_calloc(count, size);
}

static void when_memory_runs_out_all_is_flushed(void **state)
{
    (void)state;
    plant();
    break_with(LARDER_ON(DELETE) | LARDER_ON(FLUSH), LARDER_UNAVAILABLE);
    memory_is_out = 1;
    assert_status(LARDER_UNAVAILABLE, larder_delete(tracker, larder_text("k"), 0));
    memory_is_out = 0;
    assert_string_equal(told_key, "/");
    assert_int_equal(figure("lost_wholes"), 1);
    assert_status(LARDER_UNAVAILABLE, look(tracker, "l"));
    mend();
    assert_status(LARDER_MISS, look(tracker, "l"));
    assert_status(LARDER_MISS, look(tracker, "k"));
    assert_int_equal(figure("lost_wholes"), 0);
}

/* ---- getting rid of it --------------------------------------------------------------------- */

static void other_calls_carry_replays_along(void **state)
{
    (void)state;
    plant();
    lose(tracker, 0, KEYS);
    for (int i = 0; i < KEYS; i++)
        assert_status(LARDER_OK, look(tracker, "l"));
    assert_int_equal(figure("lost_keys"), 0);
    assert_int_equal(figure("made_up"), KEYS);
}

static sem_t arrived, goes_on;

static void stop_after_read(void *context, struct larder_observed *call)
{
    (void)context;
    if (call->operation != LARDER_OPERATION_READ)
        return;
    sem_post(&arrived);
    sem_wait(&goes_on);
}

static void *look_at_another(void *answer)
{
    *(enum larder_status *)answer = look(tracker, "l");
    return NULL;
}

static void open_stopping(void)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_observer observer = LARDER_OBSERVER_INIT;
    manual = larder_manual_clock_new(UINT64_C(1000000000));
    of = watched_memory_open(larder_manual_clock_of(manual), &faults, &events);
    observer.after = stop_after_read;
    options.of = watch(of, &observer);
    assert_status(LARDER_OK, larder_tracker_open(&options, NULL, &tracker, NULL, 0));
    sem_init(&arrived, 0, 0);
    sem_init(&goes_on, 0, 0);
}

/* It has no time for that: its deadline was set for itself alone. */
static void a_call_carries_nothing_that_was_lost_after_it_began(void **state)
{
    enum larder_status status = LARDER_UNKNOWN;
    pthread_t thread;
    open_stopping();
    assert_int_equal(pthread_create(&thread, NULL, look_at_another, &status), 0);
    sem_wait(&arrived);
    lose(tracker, 0, 1);
    sem_post(&goes_on);
    pthread_join(thread, NULL);
    assert_status(LARDER_MISS, status);
    assert_int_equal(figure("lost_keys"), 1);
    assert_int_equal(figure("replays"), 0);
    sem_post(&goes_on);
    assert_status(LARDER_MISS, look(tracker, "l"));
    assert_int_equal(figure("lost_keys"), 0);
    sem_destroy(&arrived);
    sem_destroy(&goes_on);
    stop(state);
}

static void purge_replays_all_there_is(void **state)
{
    uint64_t next_due_ms = 0;
    (void)state;
    lose(tracker, 0, KEYS);
    break_with(LARDER_ON(DELETE), LARDER_UNAVAILABLE);
    assert_status(LARDER_OK, larder_purge(tracker, 1000, &next_due_ms));
    assert_int_equal(figure("lost_keys"), KEYS);
    assert_true(next_due_ms <= 1000);
    mend();
    assert_status(LARDER_OK, larder_purge(tracker, 1000, &next_due_ms));
    assert_int_equal(figure("lost_keys"), 0);
}

static void what_is_drained_is_the_callers_business(void **state)
{
    size_t count = 0;
    (void)state;
    plant();
    break_with(0, LARDER_UNAVAILABLE);
    assert_status(LARDER_UNAVAILABLE, set(tracker, "k", "2"));
    assert_status(LARDER_UNAVAILABLE, set(tracker, "l", "2"));
    mend();
    told = 0;
    assert_status(LARDER_OK, larder_tracker_drain(tracker, tell, NULL, 1, &count));
    assert_int_equal(count, 1);
    assert_string_equal(told_key, "/k");
    assert_status(LARDER_OK, larder_tracker_drain(tracker, tell, NULL, 100, &count));
    assert_int_equal(count, 1);
    assert_int_equal(told, 2);
    assert_int_equal(figure("lost_keys"), 0);
    assert_status(LARDER_OK, look(tracker, "k"));
    assert_status(LARDER_BAD_ARGUMENT, larder_tracker_drain(of, NULL, NULL, 1, NULL));
}

int main(void)
{
#define ON_ITS_OWN(test) cmocka_unit_test(test)
#define TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        ON_ITS_OWN(a_write_that_was_lost_is_made_up_for_before_its_key_is_read),
        TEST(a_lost_key_is_not_served_and_all_others_are),
        TEST(a_key_is_lost_once),
        TEST(a_key_that_is_lost_again_while_it_is_made_up_for_stays_lost),
        TEST(a_write_that_arrives_late_is_not_served),
        ON_ITS_OWN(one_key_too_many_and_all_is_flushed),
        TEST(one_namespace_too_full_leaves_the_others_alone),
        TEST(a_flush_that_failed_is_made_up_for),
        TEST(a_flush_makes_up_for_all_keys),
        TEST(when_memory_runs_out_all_is_flushed),
        TEST(other_calls_carry_replays_along),
        ON_ITS_OWN(a_call_carries_nothing_that_was_lost_after_it_began),
        TEST(purge_replays_all_there_is),
        TEST(what_is_drained_is_the_callers_business),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
