/*
 * migration and shadow over real servers, of which one is killed and restarted empty, or stopped
 * and goes on: whoever leads answers, and nobody else in its place; what the other side misses is
 * only counted; every call ends in time; and when the server is back, it gets what it is to get.
 */
#include "support.h"

#include <stdio.h>

#include <larder/migration.h>
#include <larder/shadow.h>
#include <larder/util/deadline.h>

#include "scripted_server.h"
#include "stats.h"
#include "two_servers.h"

/* A call may take both together: of the side that goes out, and of the one that stays, which is
 * never to be too slow on a busy machine. */
#define OUT_MS 60u
#define STAYS_MS 3000u
#define LATE_MS 2000u
/* For a server to be found back: it is probed every 50 ms. */
#define PATIENCE_MS 20000u

static const char *const pairs[][2] = {
#if defined(LARDER_WITH_META) && defined(LARDER_WITH_MEMCACHED)
    {"meta", "meta"},
    {"memcached", "meta"},
#elif defined(LARDER_WITH_META)
    {"meta", "meta"},
#else
    {"memcached", "memcached"},
#endif
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

struct outage {
    const char *name;
    void (*begin)(struct memcached_server *server);
    void (*end)(struct memcached_server *server);
    int empties;
};
static const struct outage outages[] = {
    {"killed", memcached_server_kill, memcached_server_restart, 1},
    {"stopped", memcached_server_pause, memcached_server_resume, 0},
};
#define OUTAGES (sizeof(outages) / sizeof(outages[0]))

/* One case. */
static struct stage {
    struct larder_cache *cache;     /* what is tried */
    struct larder_cache *direct[2]; /* beside it; a server that comes back is found at once */
    const struct outage *outage;
    int out, lead; /* which side; for a shadow, 0 is `of` */
    int follows;   /* the other side gets what is written */
} stage;

/* ---- calls, timed -------------------------------------------------------------------------- */

static uint64_t began_ns;

static void begin(void)
{
    began_ns = larder_monotonic_ns();
}

static enum larder_status in_time(enum larder_status status)
{
    uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000;
    if (took_ms > OUT_MS + STAYS_MS + LATE_MS)
        fail_msg("%llu ms", (unsigned long long)took_ms);
    return status;
}

static enum larder_status set(const char *key, const char *value)
{
    begin();
    return in_time(larder_set(stage.cache, larder_text(key), larder_text(value), 600000));
}

static enum larder_status drop(const char *key)
{
    begin();
    return in_time(larder_delete(stage.cache, larder_text(key), 0));
}

static enum larder_status read_text(struct larder_cache *cache, const char *key, char value[64])
{
    struct larder_info info = {0};
    enum larder_status status = larder_read(cache, larder_text(key), value, 63, &info);
    value[status == LARDER_OK ? info.length : 0] = '\0';
    return status;
}

static enum larder_status reads(const char *key, char value[64])
{
    begin();
    return in_time(read_text(stage.cache, key, value));
}

static void must_read(const char *key, const char *wanted)
{
    char value[64];
    assert_status(LARDER_OK, reads(key, value));
    assert_string_equal(value, wanted);
}

/* @param wanted  NULL: nothing */
static int has(int side, const char *key, const char *wanted)
{
    char value[64];
    enum larder_status status = read_text(stage.direct[side], key, value);
    return wanted == NULL ? status == LARDER_MISS
                          : status == LARDER_OK && strcmp(value, wanted) == 0;
}

static void must_have(int side, const char *key, const char *wanted)
{
    if (!has(side, key, wanted))
        fail_msg("side %d has not %s = %s", side, key, wanted != NULL ? wanted : "nothing");
}

static void plant(int side, const char *key, const char *value)
{
    assert_status(LARDER_OK,
                  larder_set(stage.direct[side], larder_text(key), larder_text(value), 600000));
}

/* Sets it until all sides that are to have it do. A side that is slow, or not yet found back,
 * misses some. */
static void settle(const char *key, const char *value)
{
    uint64_t end_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    for (;;) {
        if (set(key, value) == LARDER_OK && has(stage.lead, key, value) &&
            (!stage.follows || has(!stage.lead, key, value)))
            return;
        if (larder_monotonic_ns() > end_ns)
            fail_msg("%s does not reach the servers", key);
        scripted_pause(5);
    }
}

/* ---- opening ------------------------------------------------------------------------------- */

static struct larder_cache *open_side(const char *scheme, int side)
{
    return two_servers_open(scheme, (size_t)side, side == stage.out ? OUT_MS : STAYS_MS,
                            "&probe=50ms");
}

static void stage_open(const char *const schemes[2])
{
    for (int side = 0; side < 2; side++) {
        stage.direct[side] = two_servers_open(schemes[side], (size_t)side, 5000, "&exclusive=on");
        assert_status(LARDER_OK, larder_flush(stage.direct[side]));
    }
}

static void stage_close(void)
{
    larder_close(stage.cache);
    for (int side = 0; side < 2; side++)
        larder_close(stage.direct[side]);
}

static void begin_outage(void)
{
    stage.outage->begin(two_servers[stage.out]);
}

/* With another cache beside it, which knows of no outage. */
static void end_outage(const char *const schemes[2])
{
    stage.outage->end(two_servers[stage.out]);
    larder_close(stage.direct[stage.out]);
    stage.direct[stage.out] = two_servers_open(schemes[stage.out], (size_t)stage.out, 5000, "");
}

/* ---- migration ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum larder_migration_mode mode;
    int lead, follows;
    unsigned reads; /* this many populate some, far more than once; 0: none do */
} modes[] = {
    {"only_from", LARDER_MIGRATION_ONLY_FROM, 0, 0, 0},
    {"populate_writes", LARDER_MIGRATION_POPULATE_WRITES, 0, 1, 0},
    {"populate_reads_1_percent", LARDER_MIGRATION_POPULATE_READS_1_PERCENT, 0, 1, 2000},
    {"populate_reads_10_percent", LARDER_MIGRATION_POPULATE_READS_10_PERCENT, 0, 1, 200},
    {"use_to_update_from", LARDER_MIGRATION_USE_TO_UPDATE_FROM, 1, 1, 0},
    {"only_to", LARDER_MIGRATION_ONLY_TO, 1, 0, 0},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static void open_migration(const char *const schemes[2], size_t number)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    stage_open(schemes);
    options.from = open_side(schemes[0], 0);
    options.to = open_side(schemes[1], 1);
    options.mode = modes[number].name;
    stage.lead = modes[number].lead;
    stage.follows = modes[number].follows;
    assert_status(LARDER_OK, larder_migration_open(&options, NULL, &stage.cache, NULL, 0));
}

/* What the side that is never asked keeps is another value: it would show. */
static void write_before(void)
{
    static const char *const keys[] = {"kept", "before", "gone"};
    for (size_t i = 0; i < 3; i++) {
        settle(keys[i], "1");
        if (!stage.follows)
            plant(!stage.lead, keys[i], "other");
    }
}

/* The one that answers is up: nothing shows but in the figures. */
static void live_without_the_other(void)
{
    char text[64];
    for (unsigned i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "%u", i);
        assert_status(LARDER_OK, set("during", text));
        must_read("during", text);
        must_read("kept", "1");
    }
    assert_status(LARDER_OK, drop("gone"));
    assert_status(LARDER_MISS, reads("gone", text));
    uint64_t copies = stat_of(stage.cache, "copies");
    assert_true(stage.follows ? copies >= 9 : copies == 0);
    assert_int_equal(stat_of(stage.cache, "copies_failed") > 0, stage.follows);
}

/* The one that answers is out: nobody answers in its place. */
static void live_without_the_lead(void)
{
    char text[64];
    struct larder_row rows[2] = {{.key = larder_text("kept")}, {.key = larder_text("none")}};
    assert_true(set("before", "2") < 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(reads("kept", text) < 0);
    assert_true(drop("gone") < 0);
    begin();
    assert_true(in_time(larder_get_multi(stage.cache, rows, 2)) < 0);
    assert_true(rows[0].status < 0 && rows[1].status < 0);
    larder_rows_release(rows, 2);
    if (!stage.follows) {
        must_have(!stage.lead, "before", "other");
        must_have(!stage.lead, "gone", "other");
        return;
    }
    /* what was not taken is not handed on; what is not known is dropped; a delete always spreads */
    assert_true(has(!stage.lead, "before", "1") || has(!stage.lead, "before", NULL));
    must_have(!stage.lead, "gone", NULL);
}

/* Whoever switches has all that was written before, from the side that is up. */
static void switch_and_back(enum larder_migration_mode mode)
{
    enum larder_migration_mode other =
        stage.lead == 0 ? LARDER_MIGRATION_USE_TO_UPDATE_FROM : LARDER_MIGRATION_POPULATE_WRITES;
    assert_status(LARDER_OK, larder_migration_set_mode(stage.cache, other));
    must_read("kept", "1");
    assert_status(LARDER_OK, set("switched", "1"));
    must_read("switched", "1");
    assert_status(LARDER_OK, larder_migration_set_mode(stage.cache, mode));
}

static void populate_again(unsigned count)
{
    for (unsigned i = 0; i < count && !has(1, "kept", "1"); i++)
        must_read("kept", "1");
    must_have(1, "kept", "1");
    assert_true(stat_of(stage.cache, "populated") > 0);
}

static void heal(size_t mode)
{
    char text[64];
    int is_lost = stage.outage->empties && stage.out == stage.lead;
    settle("after", "3");
    must_read("after", "3");
    if (is_lost)
        assert_status(LARDER_MISS, reads("kept", text));
    else
        must_read("kept", "1");
    if (stage.outage->empties && stage.out != stage.lead && stage.follows) {
        must_have(stage.out, "kept", NULL);
        if (modes[mode].reads > 0)
            populate_again(modes[mode].reads);
    }
    assert_status(LARDER_OK, drop("after"));
    must_have(stage.lead, "after", NULL);
}

static void run_migration(const char *const schemes[2], size_t mode)
{
    print_message("%s to %s, %s, %s is %s\n", schemes[0], schemes[1], modes[mode].name,
                  stage.out == 0 ? "from" : "to", stage.outage->name);
    open_migration(schemes, mode);
    write_before();
    begin_outage();
    if (stage.out == stage.lead)
        live_without_the_lead();
    else
        live_without_the_other();
    if (stage.out == stage.lead && stage.follows)
        switch_and_back(modes[mode].mode);
    end_outage(schemes);
    heal(mode);
    stage_close();
}

static void a_migration_answers_by_its_lead_alone(void **state)
{
    (void)state;
    for (size_t pair = 0; pair < PAIRS; pair++)
        for (size_t mode = 0; mode < MODES; mode++)
            for (int out = 0; out < 2; out++)
                for (size_t i = 0; i < OUTAGES; i++) {
                    stage = (struct stage){.outage = &outages[i], .out = out};
                    run_migration(pairs[pair], mode);
                }
}

/* ---- shadow -------------------------------------------------------------------------------- */

static void open_shadow(const char *const schemes[2])
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    stage_open(schemes);
    options.of = open_side(schemes[0], 0);
    options.copy = open_side(schemes[1], 1);
    options.reads = 1;
    stage.follows = 1;
    assert_status(LARDER_OK, larder_shadow_open(&options, NULL, &stage.cache, NULL, 0));
}

/* When the copy is known to be down it costs nothing: far less than waiting for it each time. */
static void read_without_the_copy(void)
{
    uint64_t before_ns = larder_monotonic_ns();
    enum { READS = 200 };
    for (unsigned i = 0; i < READS; i++)
        must_read("kept", "1");
    assert_true((larder_monotonic_ns() - before_ns) / 1000000 < READS * OUT_MS / 2);
    assert_true(stat_of(stage.cache, "reads_failed") >= READS / 2);
    assert_int_equal(stat_of(stage.cache, "reads_differ"), 0);
}

static void compare_again(void)
{
    uint64_t same = stat_of(stage.cache, "reads_same"),
             missing = stat_of(stage.cache, "reads_missing");
    settle("after", "3");
    must_read("after", "3");
    assert_true(stat_of(stage.cache, "reads_same") > same);
    if (stage.outage->empties && stage.out == 1) {
        must_read("kept", "1");
        assert_true(stat_of(stage.cache, "reads_missing") > missing);
    }
}

static void run_shadow(const char *const schemes[2])
{
    print_message("%s shadowed by %s, %s is %s\n", schemes[0], schemes[1],
                  stage.out == 0 ? "of" : "copy", stage.outage->name);
    open_shadow(schemes);
    write_before();
    begin_outage();
    if (stage.out == 0) {
        live_without_the_lead();
    } else {
        live_without_the_other();
        read_without_the_copy();
    }
    end_outage(schemes);
    compare_again();
    stage_close();
}

static void a_shadow_answers_by_what_it_shadows_alone(void **state)
{
    (void)state;
    for (size_t pair = 0; pair < PAIRS; pair++)
        for (int out = 0; out < 2; out++)
            for (size_t i = 0; i < OUTAGES; i++) {
                stage = (struct stage){.outage = &outages[i], .out = out};
                run_shadow(pairs[pair]);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_answers_by_its_lead_alone),
        cmocka_unit_test(a_shadow_answers_by_what_it_shadows_alone),
    };
    return cmocka_run_group_tests(tests, two_servers_start, two_servers_stop);
}
