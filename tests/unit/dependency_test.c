/*
 * CacheDependency over memory, null, namespaces, and over a memory cache that the test can make
 * fail or can interrupt at any call.
 */
#include <larder/backend.h>
#include <larder/client.h>
#include <larder/dependency.h>
#include <larder/memory.h>
#include <larder/null.h>

#include "../support/clock.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOREVER LARDER_TTL_FOREVER

/* ---- a cache that fails and is interrupted on purpose -------------------------------------- */

/* Called before each call on the cache. @return OK to let it through, else its answer. */
typedef enum larder_status meddle_fn(struct larder_slice key);

static struct {
    struct larder_cache *inner;
    struct larder_traits traits;
    meddle_fn *meddle;         /* NULL: none */
    meddle_fn *meddle_deletes; /* deletes only, row by row */
    const char *casless;       /* keys that begin so are read without a version; NULL: none */
    unsigned calls;            /* a multi call is one */
} meddled;                     /* a test uses one at a time, in one thread */

static int key_is(struct larder_slice key, const char *text)
{
    return key.length == strlen(text) && memcmp(key.data, text, key.length) == 0;
}

static enum larder_status before_call(struct larder_slice key)
{
    meddled.calls++;
    return meddled.meddle != NULL ? meddled.meddle(key) : LARDER_OK;
}

static void take_version(struct larder_slice key, struct larder_info *info)
{
    const char *prefix = meddled.casless;
    if (prefix != NULL && info != NULL && key.length >= strlen(prefix) &&
        memcmp(key.data, prefix, strlen(prefix)) == 0)
        info->version = 0;
}

static larder_read_fn meddled_read;
static larder_get_fn meddled_get;
static larder_store_fn meddled_store;
static larder_remove_fn meddled_remove;
static larder_count_fn meddled_count;
static larder_many_fn meddled_many;
static larder_traits_fn meddled_traits;
static larder_close_fn meddled_close;
static larder_open_fn meddled_open;

static enum larder_status meddled_read(const struct larder_scope *scope, struct larder_slice key,
                                       void *buffer, size_t size, struct larder_info *info)
{
    enum larder_status status = before_call(key);
    (void)scope;
    if (status != LARDER_OK)
        return status;
    status = larder_read(meddled.inner, key, buffer, size, info);
    take_version(key, info);
    return status;
}

static enum larder_status meddled_get(const struct larder_scope *scope, struct larder_slice key,
                                      struct larder_value *value)
{
    enum larder_status status = before_call(key);
    (void)scope;
    return status != LARDER_OK ? status : larder_get(meddled.inner, key, value);
}

static enum larder_status meddled_store(const struct larder_scope *scope, enum larder_mode mode,
                                        struct larder_slice key, const struct larder_write *write,
                                        uint64_t *version)
{
    enum larder_status status = before_call(key);
    (void)scope;
    return status != LARDER_OK ? status : larder_store(meddled.inner, mode, key, write, version);
}

static enum larder_status delete_row(struct larder_slice key, uint64_t version)
{
    enum larder_status status = LARDER_OK;
    if (meddled.meddle_deletes != NULL)
        status = meddled.meddle_deletes(key);
    return status != LARDER_OK ? status : larder_delete(meddled.inner, key, version);
}

static enum larder_status meddled_remove(const struct larder_scope *scope, struct larder_slice key,
                                         uint64_t version)
{
    enum larder_status status = before_call(key);
    (void)scope;
    return status != LARDER_OK ? status : delete_row(key, version);
}

static enum larder_status meddled_count(const struct larder_scope *scope, struct larder_slice key,
                                        enum larder_direction direction, uint64_t delta,
                                        const struct larder_initial *initial, uint64_t *result)
{
    enum larder_status status = before_call(key);
    if (status != LARDER_OK)
        return status;
    return larder_count_with(meddled.inner, scope->call, key, direction, delta, initial, result);
}

static void answer_row(enum larder_many_kind many, enum larder_mode mode, struct larder_row *row)
{
    struct larder_cache *inner = meddled.inner;
    if (many == LARDER_MANY_GET)
        row->status = larder_get(inner, row->key, &row->value);
    else if (many == LARDER_MANY_READ)
        row->status = larder_read(inner, row->key, row->buffer, row->size, &row->value.info);
    else if (many == LARDER_MANY_STORE)
        row->status = larder_store(inner, mode, row->key, &row->write, &row->value.info.version);
    else if (many == LARDER_MANY_DELETE)
        row->status = delete_row(row->key, row->write.version);
    else
        row->status = larder_touch(inner, row->key, row->write.ttl_ms);
    take_version(row->key, &row->value.info);
}

static void meddled_many(const struct larder_scope *scope, enum larder_many_kind many,
                         enum larder_mode mode, const struct larder_rows *rows)
{
    enum larder_status status = before_call(larder_row_at(rows, 0)->key);
    (void)scope;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED && status != LARDER_OK)
            row->status = status;
        else if (row->status == LARDER_ASKED)
            answer_row(many, mode, row);
    }
}

static const struct larder_traits *meddled_traits(const void *self)
{
    (void)self;
    return &meddled.traits;
}

static void meddled_close(void *self)
{
    (void)self;
    larder_close(meddled.inner);
}

static enum larder_status meddled_open(const struct larder_host *host, const void *options,
                                       struct larder_message *message, void **self)
{
    (void)host;
    (void)options;
    (void)message;
    *self = &meddled;
    return LARDER_OK;
}

static const struct larder_ops meddled_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "meddled",
    .read = meddled_read,
    .store = meddled_store,
    .remove = meddled_remove,
    .traits = meddled_traits,
    .close = meddled_close,
    .get = meddled_get,
    .count = meddled_count,
    .many = meddled_many,
};

struct meddled_options {
    size_t struct_size;
};

static const struct larder_backend meddled_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "meddled",
    .sentence = "a memory cache that a test interrupts",
    .ops = &meddled_ops,
    .open = meddled_open,
    .options = NULL,
    .option_count = 0,
    .options_size = sizeof(struct meddled_options),
};

/* ---- what every test starts from ----------------------------------------------------------- */

static struct manual_clock manual;
static struct larder_cache *cache;

static struct larder_cache *open_memory(void)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *memory = NULL;
    options.clock = manual_clock_of(&manual);
    assert_int_equal(larder_memory_open(NULL, &options, &memory, NULL, 0), LARDER_OK);
    return memory;
}

static int set_up(void **state)
{
    (void)state;
    manual_clock_init(&manual);
    cache = open_memory();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    larder_close(cache);
    return 0;
}

/* What the meddled cache passes on. */
#define MEDDLED_CAN                                                                                \
    ((uint64_t)(LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_CAS | LARDER_CAN_DELETE_VERSION | \
                LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL | LARDER_CAN_STORE_VERSION))

static void open_meddled(uint64_t without, uint64_t delta_max)
{
    memset(&meddled, 0, sizeof(meddled));
    meddled.inner = open_memory();
    meddled.traits = *larder_describe(meddled.inner);
    meddled.traits.can &= MEDDLED_CAN & ~without;
    meddled.traits.steps = 0;
    meddled.traits.options &= (uint64_t)LARDER_TAKES_TOUCH;
    meddled.traits.delta_max = delta_max;
    assert_int_equal(larder_open_backend(&meddled_backend, NULL, NULL, &cache, NULL, 0), LARDER_OK);
}

static int set_up_meddled(void **state)
{
    (void)state;
    manual_clock_init(&manual);
    open_meddled(0, UINT64_MAX);
    return 0;
}

static void store(const char *key)
{
    assert_int_equal(larder_set(cache, larder_text(key), larder_text("value"), FOREVER), LARDER_OK);
}

static int lives_in(struct larder_cache *where, const char *key)
{
    enum larder_status status = larder_read(where, larder_text(key), NULL, 0, NULL);
    assert_true(status == LARDER_PARTIAL || status == LARDER_OK || status == LARDER_MISS);
    return status != LARDER_MISS;
}

static int lives(const char *key)
{
    return lives_in(cache, key);
}

static enum larder_status wire(const char *master, const char *key)
{
    return larder_dependency_add(cache, larder_text(master), larder_text(key), FOREVER);
}

static void store_wired(const char *master, const char *key)
{
    store(key);
    assert_int_equal(wire(master, key), LARDER_OK);
}

static enum larder_status set_under(const char *master, const char *key)
{
    struct larder_write write = larder_write_of(larder_text("value"), FOREVER);
    struct larder_slice masters[1] = {larder_text(master)};
    return larder_dependency_set(cache, larder_text(key), &write, masters, 1, FOREVER);
}

static enum larder_status delete_m(void)
{
    return larder_dependency_delete(cache, larder_text("m"), NULL);
}

static void assert_result(const struct larder_dependency_result *result, unsigned dropped,
                          unsigned missing, unsigned lost)
{
    assert_int_equal(result->dropped, dropped);
    assert_int_equal(result->missing, missing);
    assert_int_equal(result->lost, lost);
}

static void drop(const char *master, unsigned dropped, unsigned missing, unsigned lost)
{
    struct larder_dependency_result result;
    assert_int_equal(larder_dependency_delete(cache, larder_text(master), &result), LARDER_OK);
    assert_result(&result, dropped, missing, lost);
}

static void wire_numbered(const char *master, unsigned first, unsigned count)
{
    struct larder_slice *keys = calloc(count, sizeof(*keys));
    char(*names)[16] = calloc(count, sizeof(*names));
    assert_true(keys != NULL && names != NULL);
    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "key%u", first + i);
        keys[i] = larder_text(names[i]);
        assert_int_equal(larder_set(cache, keys[i], larder_text("v"), FOREVER), LARDER_OK);
    }
    assert_int_equal(larder_dependency_add_multi(cache, larder_text(master), keys, count, FOREVER),
                     LARDER_OK);
    free(keys);
    free(names);
}

static unsigned count_numbered(unsigned first, unsigned count)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "key%u", first + i);
        alive += (unsigned)lives(name);
    }
    return alive;
}

/* As an eviction would. */
static void evict(struct larder_cache *from, const char *key)
{
    assert_int_equal(larder_delete(from, larder_text(key), 0), LARDER_OK);
}

struct seen {
    unsigned count;
    unsigned stop_after;
    char text[256];
};

static int see(void *context, struct larder_slice key)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof(seen->text) - used, "%.*s ", (int)key.length,
             (const char *)key.data);
    return ++seen->count == seen->stop_after;
}

/* ---- wiring and deleting ------------------------------------------------------------------- */

static void deleting_a_master_deletes_its_keys_and_leaves_no_trace(void **state)
{
    (void)state;
    store("other");
    store_wired("m", "a");
    store_wired("m", "b");
    drop("m", 2, 0, 0);
    assert_false(lives("a"));
    assert_false(lives("b"));
    assert_true(lives("other"));
    assert_false(lives("~dc:m"));
    assert_false(lives("~ds:1:m"));
    assert_false(lives("~ds:2:m"));
}

static void room_for_more_figures_is_zeroed(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    memset(&result, 0xff, sizeof(result));
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    for (size_t i = 0; i < sizeof(result.reserved) / sizeof(result.reserved[0]); i++)
        assert_int_equal(result.reserved[i], 0);
}

static void an_unknown_master_is_no_failure(void **state)
{
    (void)state;
    drop("never heard of", 0, 0, 0);
}

static void a_wired_key_that_is_gone_is_counted_as_missing(void **state)
{
    (void)state;
    assert_int_equal(wire("m", "never stored"), LARDER_OK);
    drop("m", 0, 1, 0);
}

static void a_key_wired_twice_is_dropped_once(void **state)
{
    (void)state;
    store_wired("m", "a");
    assert_int_equal(wire("m", "a"), LARDER_OK);
    drop("m", 1, 1, 0);
}

static void a_master_can_be_used_again(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        store_wired("m", "a");
        drop("m", 1, 0, 0);
        assert_false(lives("a"));
    }
}

static void masters_that_look_alike_share_no_slot(void **state)
{
    static const char *const masters[] = {"k", "k1", "k:1", "1", "1:k", ":k", "11"};
    (void)state;
    for (size_t i = 0; i < sizeof(masters) / sizeof(masters[0]); i++)
        for (unsigned j = 0; j < 12; j++) {
            char key[32];
            snprintf(key, sizeof(key), "of %s, %u", masters[i], j);
            store_wired(masters[i], key);
        }
    for (size_t i = 0; i < sizeof(masters) / sizeof(masters[0]); i++)
        drop(masters[i], 12, 0, 0);
}

static void many_keys_are_wired_in_batches(void **state)
{
    (void)state;
    wire_numbered("m", 0, 700);
    drop("m", 700, 0, 0);
    assert_int_equal(count_numbered(0, 700), 0);
}

static void every_count_around_a_batch_is_dropped_whole(void **state)
{
    static const unsigned counts[] = {1, 31, 32, 223, 224, 225, 255, 256, 257, 288, 511, 512, 513};
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        wire_numbered("m", 0, counts[i]);
        drop("m", counts[i], 0, 0);
    }
}

static void wiring_no_keys_leaves_no_counter(void **state)
{
    (void)state;
    assert_int_equal(larder_dependency_add_multi(cache, larder_text("m"), NULL, 0, FOREVER),
                     LARDER_OK);
    assert_false(lives("~dc:m"));
}

static void keys_and_masters_are_any_bytes(void **state)
{
    struct larder_slice master = larder_bytes("m\0:\n\xff", 5);
    struct larder_slice key = larder_bytes("\0 k\0", 4);
    struct larder_dependency_result result;
    (void)state;
    assert_int_equal(larder_set(cache, key, larder_text("v"), FOREVER), LARDER_OK);
    assert_int_equal(larder_dependency_add(cache, master, key, FOREVER), LARDER_OK);
    assert_int_equal(larder_dependency_delete(cache, master, &result), LARDER_OK);
    assert_result(&result, 1, 0, 0);
}

static void the_longest_master_and_key_work(void **state)
{
    static char bytes[LARDER_KEY_BYTES_MAX];
    struct larder_slice master = larder_bytes(bytes, LARDER_DEPENDENCY_MASTER_BYTES_MAX);
    struct larder_slice key = larder_bytes(bytes, sizeof(bytes));
    struct larder_dependency_result result;
    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(larder_set(cache, key, larder_text("v"), FOREVER), LARDER_OK);
    assert_int_equal(larder_dependency_add(cache, master, key, FOREVER), LARDER_OK);
    assert_int_equal(larder_dependency_delete(cache, master, &result), LARDER_OK);
    assert_result(&result, 1, 0, 0);
}

static void several_masters_drop_at_once(void **state)
{
    struct larder_slice masters[3] = {larder_text("m"), larder_text("unknown"), larder_text("n")};
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    store_wired("n", "b");
    store_wired("n", "c");
    assert_int_equal(larder_dependency_delete_multi(cache, masters, 3, &result), LARDER_OK);
    assert_result(&result, 3, 0, 0);
    assert_int_equal(result.rounds, 3);
    assert_int_equal(larder_dependency_delete_multi(cache, NULL, 0, &result), LARDER_OK);
    assert_result(&result, 0, 0, 0);
}

static void one_failing_master_does_not_keep_the_others(void **state)
{
    struct larder_slice masters[3] = {larder_text("m"), larder_text("broken"), larder_text("n")};
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    store_wired("n", "b");
    store("~dc:broken");
    assert_int_equal(larder_dependency_delete_multi(cache, masters, 3, &result),
                     LARDER_NOT_A_NUMBER);
    assert_result(&result, 2, 0, 0);
}

static void a_wire_ends_at_its_ttl_and_is_counted_as_lost(void **state)
{
    (void)state;
    store("a");
    assert_int_equal(larder_dependency_add(cache, larder_text("m"), larder_text("a"), 1000),
                     LARDER_OK);
    store_wired("m", "b");
    manual_clock_advance(&manual, 1000);
    drop("m", 1, 0, 1);
    assert_true(lives("a"));
}

static void a_wire_without_ttl_outlives_any_time(void **state)
{
    (void)state;
    store_wired("m", "a");
    manual_clock_advance(&manual, UINT64_C(1000) * 86400 * 365);
    drop("m", 1, 0, 0);
}

static void wires_are_listed(void **state)
{
    struct seen seen = {0, 0, ""};
    (void)state;
    store_wired("m", "a");
    store_wired("m", "b");
    store_wired("n", "c");
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_string_equal(seen.text, "a b ");
    assert_true(lives("a"));
}

static void a_listing_ends_when_told_to(void **state)
{
    struct seen seen = {0, 1, ""};
    (void)state;
    store_wired("m", "a");
    store_wired("m", "b");
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_string_equal(seen.text, "a ");
}

static void an_unknown_master_lists_nothing(void **state)
{
    struct seen seen = {0, 0, ""};
    (void)state;
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_int_equal(seen.count, 0);
}

/* ---- storing under masters ----------------------------------------------------------------- */

static void a_value_is_dropped_with_any_of_its_masters(void **state)
{
    struct larder_slice masters[2] = {larder_text("m"), larder_text("n")};
    struct larder_write write = larder_write_of(larder_text("value"), 5000);
    (void)state;
    write.flags = 7;
    for (unsigned i = 0; i < 2; i++) {
        struct larder_info info = {.want = LARDER_WANT_TTL};
        char buffer[16];
        assert_int_equal(
            larder_dependency_set(cache, larder_text("a"), &write, masters, 2, FOREVER), LARDER_OK);
        assert_int_equal(larder_read(cache, larder_text("a"), buffer, sizeof(buffer), &info),
                         LARDER_OK);
        assert_int_equal(info.length, 5);
        assert_int_equal(info.flags, 7);
        assert_int_equal(info.ttl_ms, 5000);
        drop(i == 0 ? "m" : "n", 1, i, 0);
        assert_false(lives("a"));
    }
}

static void a_value_under_no_master_is_just_stored(void **state)
{
    struct larder_write write = larder_write_of(larder_text("value"), FOREVER);
    (void)state;
    assert_int_equal(larder_dependency_set(cache, larder_text("a"), &write, NULL, 0, FOREVER),
                     LARDER_OK);
    assert_true(lives("a"));
}

static enum larder_status refuse_to_store_a(struct larder_slice key)
{
    return key_is(key, "a") ? LARDER_UNAVAILABLE : LARDER_OK;
}

static void a_value_that_could_not_be_stored_is_wired_all_the_same(void **state)
{
    struct seen seen = {0, 0, ""};
    (void)state;
    meddled.meddle = refuse_to_store_a;
    assert_int_equal(set_under("m", "a"), LARDER_UNAVAILABLE);
    meddled.meddle = NULL;
    assert_false(lives("a"));
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_string_equal(seen.text, "a ");
}

static void nothing_is_stored_under_a_master_that_can_not_be_wired(void **state)
{
    (void)state;
    store("~dc:m");
    assert_int_equal(set_under("m", "a"), LARDER_NOT_A_NUMBER);
    assert_false(lives("a"));
}

static enum larder_status drop_m_when_a_is_written(struct larder_slice key)
{
    struct larder_dependency_result result;
    if (!key_is(key, "a") || !lives_in(meddled.inner, "~dc:m"))
        return LARDER_OK;
    assert_int_equal(larder_dependency_delete(meddled.inner, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 0, 1, 0);
    return LARDER_OK;
}

static void a_value_whose_master_is_deleted_before_it_is_stored_is_not_kept(void **state)
{
    (void)state;
    meddled.meddle = drop_m_when_a_is_written;
    assert_int_equal(set_under("m", "a"), LARDER_CONFLICT);
    assert_false(lives("a"));
}

static enum larder_status store_a_when_it_is_deleted(struct larder_slice key)
{
    static int inside;
    if (!key_is(key, "a") || inside || !lives_in(meddled.inner, "~ds:1:m"))
        return LARDER_OK;
    inside = 1; /* what the storing side does between d3 and d4 */
    assert_int_equal(larder_delete(meddled.inner, key, 0), LARDER_MISS);
    assert_int_equal(larder_set(meddled.inner, key, larder_text("v"), FOREVER), LARDER_OK);
    inside = 0;
    return LARDER_MISS;
}

static void a_value_stored_while_its_slot_is_being_deleted_goes_too(void **state)
{
    (void)state;
    assert_int_equal(wire("m", "a"), LARDER_OK);
    meddled.meddle_deletes = store_a_when_it_is_deleted;
    drop("m", 1, 0, 0);
    assert_false(lives("a"));
}

static enum larder_status lose_the_slot_and_the_server(struct larder_slice key)
{
    static int stored;
    if (key_is(key, "a") && !stored++)
        return LARDER_OK;
    return stored ? LARDER_TIMEOUT : LARDER_OK;
}

static void a_value_that_can_be_neither_checked_nor_deleted_is_unknown(void **state)
{
    (void)state;
    meddled.meddle = lose_the_slot_and_the_server;
    assert_int_equal(set_under("m", "a"), LARDER_UNKNOWN);
}

/* ---- losses -------------------------------------------------------------------------------- */

static void lost_slots_are_counted(void **state)
{
    (void)state;
    wire_numbered("m", 0, 10);
    evict(cache, "~ds:3:m");
    evict(cache, "~ds:10:m");
    drop("m", 8, 0, 2);
    assert_int_equal(count_numbered(0, 10), 2);
}

static void wires_survive_a_lost_counter(void **state)
{
    (void)state;
    wire_numbered("m", 0, 300);
    evict(cache, "~dc:m");
    drop("m", 300, 0, 0);
    assert_int_equal(count_numbered(0, 300), 0);
}

static void wires_survive_a_lost_counter_that_started_again(void **state)
{
    (void)state;
    wire_numbered("m", 0, 300);
    evict(cache, "~dc:m");
    store_wired("m", "a");
    drop("m", 301, 0, 211); /* 512 is the first number that doubling steps find free */
    assert_int_equal(count_numbered(0, 300), 0);
    assert_false(lives("a"));
}

static void wires_beyond_a_counter_that_started_again_are_found(void **state)
{
    (void)state;
    wire_numbered("m", 0, 40);
    evict(cache, "~dc:m");
    evict(cache, "~ds:1:m");
    store_wired("m", "a"); /* takes slot 1: the counter now says 1 */
    drop("m", 40, 0, 0);
    assert_int_equal(count_numbered(0, 40), 1); /* the wire that was evicted */
}

static void wires_of_a_lost_counter_are_listed(void **state)
{
    struct seen seen = {0, 0, ""};
    (void)state;
    store_wired("m", "a");
    evict(cache, "~dc:m");
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_string_equal(seen.text, "a ");
}

static void a_slot_with_something_else_in_it_is_harmless(void **state)
{
    (void)state;
    store_wired("m", "a");
    assert_int_equal(larder_set(cache, larder_text("~ds:1:m"), larder_text(""), FOREVER),
                     LARDER_OK);
    drop("m", 0, 0, 1);
    assert_int_equal(wire("m", "a"), LARDER_OK);
    drop("m", 1, 0, 1);
}

static void a_counter_that_is_no_number_is_left_alone(void **state)
{
    struct larder_dependency_result result;
    struct seen seen = {0, 0, ""};
    (void)state;
    store_wired("m", "a");
    store("~dc:m");
    assert_int_equal(wire("m", "b"), LARDER_NOT_A_NUMBER);
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result),
                     LARDER_NOT_A_NUMBER);
    assert_result(&result, 0, 0, 0);
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen),
                     LARDER_NOT_A_NUMBER);
    assert_true(lives("a"));
    evict(cache, "~dc:m");
    drop("m", 1, 0, 0);
}

static void a_master_with_too_many_wires_says_so_and_can_be_deleted(void **state)
{
    struct larder_slice keys[2] = {larder_text("a"), larder_text("b")};
    (void)state;
    assert_int_equal(larder_set(cache, larder_text("~dc:m"), larder_text("65535"), FOREVER),
                     LARDER_OK);
    assert_int_equal(wire("m", "a"), LARDER_OK);
    assert_int_equal(wire("m", "b"), LARDER_TOO_LARGE);
    assert_int_equal(larder_dependency_add_multi(cache, larder_text("m"), keys, 2, FOREVER),
                     LARDER_TOO_LARGE);
    assert_int_equal(set_under("m", "b"), LARDER_TOO_LARGE);
    assert_false(lives("b"));
    drop("m", 0, 1, 65535);
    store_wired("m", "b");
    drop("m", 1, 0, 0);
}

static void the_cap_can_be_filled_and_dropped(void **state)
{
    (void)state;
    wire_numbered("m", 0, LARDER_DEPENDENCY_WIRES_MAX);
    assert_int_equal(wire("m", "one more"), LARDER_TOO_LARGE);
    drop("m", LARDER_DEPENDENCY_WIRES_MAX, 0, 0);
    assert_false(lives("~ds:65536:m"));
    assert_false(lives("~dc:m"));
}

static void a_counter_under_a_maximal_ttl_lasts_as_long_as_its_newest_wire(void **state)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    (void)state;
    larder_close(cache);
    options.clock = manual_clock_of(&manual);
    assert_int_equal(larder_open("memory:?max_ttl=10s", &options, &cache, NULL, 0), LARDER_OK);
    wire_numbered("m", 0, 100);
    manual_clock_advance(&manual, 6000);
    wire_numbered("m", 100, 1);
    manual_clock_advance(&manual, 6000);
    assert_true(lives("~dc:m"));
    drop("m", 1, 0, 100);
}

/* ---- races, one interleaving each ---------------------------------------------------------- */

static unsigned evictions;

static enum larder_status evict_the_counter_after_slots(struct larder_slice key)
{
    if (evictions == 0 || !key_is(key, "~dc:m"))
        return LARDER_OK;
    /* The counter is there and so is slot 1: this is the confirmation. */
    if (lives_in(meddled.inner, "~ds:1:m") && lives_in(meddled.inner, "~dc:m")) {
        evictions--;
        evict(meddled.inner, "~dc:m");
    }
    return LARDER_OK;
}

static void an_add_whose_counter_is_lost_starts_again(void **state)
{
    (void)state;
    store("a");
    evictions = 1;
    meddled.meddle = evict_the_counter_after_slots;
    assert_int_equal(wire("m", "a"), LARDER_OK);
    assert_int_equal(evictions, 0);
    meddled.meddle = NULL;
    drop("m", 1, 1, 0);
}

static void an_add_whose_counter_is_lost_for_good_gives_up(void **state)
{
    (void)state;
    evictions = UINT32_MAX;
    meddled.meddle = evict_the_counter_after_slots;
    assert_int_equal(wire("m", "a"), LARDER_CONFLICT);
    assert_int_equal(set_under("m", "a"), LARDER_CONFLICT);
    assert_false(lives("a"));
}

/* A whole add, after a delete has looked at the slots. */
static enum larder_status wire_when_the_counter_goes(struct larder_slice key)
{
    static int inside;
    if (!key_is(key, "~dc:m") || inside || evictions == 0)
        return LARDER_OK;
    inside = 1;
    evictions--;
    assert_int_equal(
        larder_dependency_add(meddled.inner, larder_text("m"), larder_text("late"), FOREVER),
        LARDER_OK);
    inside = 0;
    return LARDER_OK;
}

static void a_wire_added_while_the_master_is_deleted_is_followed_in_another_round(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    store("late");
    evictions = 1;
    meddled.meddle_deletes = wire_when_the_counter_goes;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 2, 0, 0);
    assert_int_equal(result.rounds, 2);
    assert_false(lives("late"));
    assert_false(lives("~dc:m"));
}

static void a_delete_that_is_always_overtaken_says_so(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    evictions = UINT32_MAX;
    meddled.meddle_deletes = wire_when_the_counter_goes;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_CONFLICT);
    assert_false(lives("a"));
    assert_int_equal(result.dropped, 1);
    meddled.meddle_deletes = NULL;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    assert_int_equal(result.missing, 1);
}

/* An add in a thread of its own: it stops between its number and its slot, and goes on when a
 * delete that found no slot is about to take the counter away. The semaphores order all that the
 * two share. */
static struct {
    pthread_t thread;
    sem_t has_number;
    sem_t may_go_on;
    enum larder_status status;
    int joined;
} late_add;

static enum larder_status stop_before_the_slot(struct larder_slice key)
{
    if (!key_is(key, "~ds:2:m"))
        return LARDER_OK;
    meddled.meddle = NULL;
    sem_post(&late_add.has_number);
    while (sem_wait(&late_add.may_go_on) != 0)
        ;
    return LARDER_OK;
}

static enum larder_status let_the_add_finish(struct larder_slice key)
{
    if (!key_is(key, "~dc:m") || late_add.joined)
        return LARDER_OK;
    sem_post(&late_add.may_go_on);
    pthread_join(late_add.thread, NULL);
    late_add.joined = 1;
    return LARDER_OK;
}

static void *run_late_add(void *argument)
{
    (void)argument;
    late_add.status = wire("m", "late");
    return NULL;
}

static void an_add_that_finishes_between_look_and_delete_is_followed(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    store("late");
    late_add.joined = 0;
    assert_int_equal(sem_init(&late_add.has_number, 0, 0), 0);
    assert_int_equal(sem_init(&late_add.may_go_on, 0, 0), 0);
    meddled.meddle = stop_before_the_slot;
    assert_int_equal(pthread_create(&late_add.thread, NULL, run_late_add, NULL), 0);
    while (sem_wait(&late_add.has_number) != 0)
        ;
    meddled.meddle_deletes = let_the_add_finish;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    assert_int_equal(late_add.status, LARDER_OK);
    assert_int_equal(result.rounds, 2);
    assert_int_equal(result.dropped, 2);
    assert_int_equal(result.lost, 1); /* at most: slot 2 was empty when first looked at */
    assert_false(lives("late"));
    assert_false(lives("~ds:2:m"));
    sem_destroy(&late_add.has_number);
    sem_destroy(&late_add.may_go_on);
}

static unsigned takeovers;

/* Another delete gets there first, and its number 1 is given to somebody else. */
static enum larder_status reuse_slot_one(struct larder_slice key)
{
    if (!key_is(key, "~ds:1:m") || takeovers == 0)
        return LARDER_OK;
    takeovers--;
    assert_int_equal(larder_dependency_delete(meddled.inner, larder_text("m"), NULL), LARDER_OK);
    assert_int_equal(larder_set(meddled.inner, larder_text("new"), larder_text("v"), FOREVER),
                     LARDER_OK);
    assert_int_equal(
        larder_dependency_add(meddled.inner, larder_text("m"), larder_text("new"), FOREVER),
        LARDER_OK);
    assert_true(lives_in(meddled.inner, "~ds:1:m"));
    return LARDER_OK;
}

static void a_slot_that_was_given_out_again_is_not_taken_from_its_new_wire(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    takeovers = 1;
    meddled.meddle_deletes = reuse_slot_one;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 2, 0, 0);
    assert_int_equal(result.rounds, 2);
    assert_false(lives("new"));
}

/* ---- failures ------------------------------------------------------------------------------ */

static enum larder_status b_times_out(struct larder_slice key)
{
    return key_is(key, "b") ? LARDER_TIMEOUT : LARDER_OK;
}

static void a_key_that_can_not_be_deleted_stays_wired(void **state)
{
    struct larder_dependency_result result;
    (void)state;
    store_wired("m", "a");
    store_wired("m", "b");
    store_wired("m", "c");
    meddled.meddle_deletes = b_times_out;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_TIMEOUT);
    assert_result(&result, 2, 0, 0);
    assert_true(lives("b"));
    assert_true(lives("~dc:m"));
    meddled.meddle_deletes = NULL;
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 1, 0, 2);
    assert_false(lives("b"));
}

static unsigned calls_until_failure;

static enum larder_status fail_at_a_call(struct larder_slice key)
{
    (void)key;
    return calls_until_failure-- == 0 ? LARDER_UNAVAILABLE : LARDER_OK;
}

static void assert_nothing_escapes(unsigned failing_call)
{
    struct larder_dependency_result first;
    struct larder_dependency_result second;
    store_wired("m", "a");
    store_wired("m", "b");
    calls_until_failure = failing_call;
    meddled.meddle = fail_at_a_call;
    enum larder_status status = larder_dependency_delete(cache, larder_text("m"), &first);
    meddled.meddle = NULL;
    assert_int_equal(status, failing_call < 6 ? LARDER_UNAVAILABLE : LARDER_OK);
    assert_true(first.dropped == 0 || (!lives("a") && !lives("b")));
    assert_int_equal(larder_dependency_delete(cache, larder_text("m"), &second), LARDER_OK);
    assert_true(first.dropped + second.dropped <= 2);
    assert_false(lives("a"));
    assert_false(lives("b"));
}

static void a_delete_that_fails_at_any_call_can_be_repeated(void **state)
{
    (void)state;
    for (unsigned failing_call = 0; failing_call <= 6; failing_call++)
        assert_nothing_escapes(failing_call);
}

static void a_set_that_fails_at_any_call_leaves_no_value_without_wire(void **state)
{
    (void)state;
    for (unsigned failing_call = 0; failing_call <= 5; failing_call++) {
        calls_until_failure = failing_call;
        meddled.meddle = fail_at_a_call;
        assert_int_equal(set_under("m", "a"), failing_call < 5 ? LARDER_UNAVAILABLE : LARDER_OK);
        meddled.meddle = NULL;
        assert_int_equal(lives("a"), failing_call == 5);
        assert_int_equal(delete_m(), LARDER_OK);
        assert_false(lives("a"));
    }
}

static void round_trips_are_as_documented(void **state)
{
    struct larder_slice keys[2] = {larder_text("a"), larder_text("b")};
    (void)state;
    meddled.calls = 0;
    assert_int_equal(wire("m", "a"), LARDER_OK);
    assert_int_equal(meddled.calls, 4);
    meddled.calls = 0;
    assert_int_equal(larder_dependency_add_multi(cache, larder_text("m"), keys, 2, FOREVER),
                     LARDER_OK);
    assert_int_equal(meddled.calls, 4);
    meddled.calls = 0;
    assert_int_equal(set_under("m", "a"), LARDER_OK);
    assert_int_equal(meddled.calls, 5);
    meddled.calls = 0;
    assert_int_equal(delete_m(), LARDER_OK);
    assert_int_equal(meddled.calls, 6);
    meddled.calls = 0;
    assert_int_equal(delete_m(), LARDER_OK);
    assert_int_equal(meddled.calls, 2);
}

static void assert_refused(uint64_t without, uint64_t delta_max)
{
    larder_close(cache);
    open_meddled(without, delta_max);
    assert_int_equal(wire("m", "a"), LARDER_UNSUPPORTED);
    assert_int_equal(set_under("m", "a"), LARDER_UNSUPPORTED);
    assert_int_equal(delete_m(), LARDER_UNSUPPORTED);
    assert_int_equal(meddled.calls, 0);
}

static void a_cache_that_can_not_is_refused_before_anything_is_sent(void **state)
{
    (void)state;
    assert_refused(LARDER_CAN_ADD, UINT64_MAX);
    assert_refused(LARDER_CAN_COUNT, UINT64_MAX);
    assert_refused(LARDER_CAN_COUNT_INITIAL, UINT64_MAX);
    assert_refused(LARDER_CAN_DELETE_VERSION, UINT64_MAX);
    assert_refused(LARDER_CAN_CAS, UINT64_MAX);
    assert_refused(0, (UINT64_C(1) << 31) - 1);
}

/* Of several servers, some may have cas off: the counter's, a slot's, or all. */
static const char *const casless_prefixes[] = {"", "~dc:", "~ds:"};

static void a_wire_that_no_delete_could_follow_is_refused(void **state)
{
    struct larder_slice keys[2] = {larder_text("a"), larder_text("b")};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        meddled.casless = casless_prefixes[i];
        assert_int_equal(wire("m", "a"), LARDER_UNSUPPORTED);
        assert_int_equal(larder_dependency_add_multi(cache, larder_text("m"), keys, 2, FOREVER),
                         LARDER_UNSUPPORTED);
    }
}

static void a_value_whose_wire_no_delete_could_follow_is_not_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        meddled.casless = casless_prefixes[i];
        store("a");
        assert_int_equal(set_under("m", "a"), LARDER_UNSUPPORTED);
        assert_false(lives("a"));
    }
}

static void a_delete_without_versions_takes_no_slot(void **state)
{
    (void)state;
    store_wired("m", "a");
    for (size_t i = 0; i < 3; i++) {
        meddled.casless = casless_prefixes[i];
        assert_int_equal(delete_m(), LARDER_UNSUPPORTED);
        assert_true(lives("~dc:m") && lives("~ds:1:m"));
    }
    meddled.casless = NULL;
    drop("m", 1, 0, 0);
}

/* Memory runs out at the given allocation of the linked library, which the linker sends here. */
static long allocations_until_failure = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    if (allocations_until_failure >= 0 && allocations_until_failure-- == 0)
        return NULL;
    return __real_malloc(size);
}

static enum larder_status with_failing_allocation(long allocation, enum larder_status (*call)(void))
{
    allocations_until_failure = allocation;
    enum larder_status status = call();
    allocations_until_failure = -1;
    return status;
}

static enum larder_status set_a_under_two_masters(void)
{
    struct larder_slice masters[2] = {larder_text("m"), larder_text("n")};
    struct larder_write write = larder_write_of(larder_text("value"), FOREVER);
    return larder_dependency_set(cache, larder_text("a"), &write, masters, 2, FOREVER);
}

static void out_of_memory_leaves_no_value_without_wire(void **state)
{
    enum larder_status status = LARDER_NO_MEMORY;
    long allocation = 0;
    (void)state;
    for (; status != LARDER_OK && allocation < 1000; allocation++) {
        status = with_failing_allocation(allocation, set_a_under_two_masters);
        assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY);
        assert_int_equal(lives("a"), status == LARDER_OK);
    }
    assert_int_equal(status, LARDER_OK);
    assert_true(allocation > 3);
}

static void out_of_memory_leaves_what_is_not_deleted_wired(void **state)
{
    enum larder_status status = LARDER_NO_MEMORY;
    long allocation = 0;
    (void)state;
    for (; status != LARDER_OK && allocation < 1000; allocation++) {
        store_wired("m", "a");
        status = with_failing_allocation(allocation, delete_m);
        assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY);
        assert_int_equal(delete_m(), LARDER_OK);
        assert_false(lives("a"));
    }
    assert_int_equal(status, LARDER_OK);
    assert_true(allocation > 1);
}

/* ---- arguments ----------------------------------------------------------------------------- */

static void bad_arguments_are_refused(void **state)
{
    static char bytes[LARDER_KEY_BYTES_MAX + 1];
    struct larder_slice long_master = larder_bytes(bytes, LARDER_DEPENDENCY_MASTER_BYTES_MAX + 1);
    struct larder_slice long_key = larder_bytes(bytes, sizeof(bytes));
    struct larder_slice m = larder_text("m");
    struct larder_slice a = larder_text("a");
    struct larder_slice none = larder_text("");
    struct larder_dependency_result result = {9, 9, 9, 9, {9, 9, 9, 9}};
    struct larder_write write = larder_write_of(a, FOREVER);
    (void)state;
    assert_int_equal(larder_dependency_add(NULL, m, a, FOREVER), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_add(cache, none, a, FOREVER), LARDER_BAD_KEY);
    assert_int_equal(larder_dependency_add(cache, long_master, a, FOREVER), LARDER_BAD_KEY);
    assert_int_equal(larder_dependency_add(cache, m, none, FOREVER), LARDER_BAD_KEY);
    assert_int_equal(larder_dependency_add(cache, m, long_key, FOREVER), LARDER_BAD_KEY);
    assert_int_equal(larder_dependency_add(cache, m, a, -1), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_add(cache, m, a, LARDER_TTL_DEFAULT), LARDER_OK);
    assert_int_equal(larder_dependency_add_multi(cache, m, NULL, 1, FOREVER), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_set(cache, a, NULL, &m, 1, FOREVER), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_set(cache, a, &write, NULL, 1, FOREVER),
                     LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_set(cache, a, &write, &m, 257, FOREVER),
                     LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_set(cache, a, &write, &none, 1, FOREVER), LARDER_BAD_KEY);
    assert_int_equal(larder_dependency_delete(cache, none, &result), LARDER_BAD_KEY);
    assert_result(&result, 0, 0, 0);
    assert_int_equal(larder_dependency_delete_multi(cache, NULL, 1, NULL), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_keys(cache, m, NULL, NULL), LARDER_BAD_ARGUMENT);
}

static void a_cache_that_hides_failures_is_refused(void **state)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *hiding = NULL;
    (void)state;
    options.errors_as_miss = 1;
    assert_int_equal(larder_memory_open(NULL, &options, &hiding, NULL, 0), LARDER_OK);
    assert_int_equal(larder_dependency_add(hiding, larder_text("m"), larder_text("a"), FOREVER),
                     LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_dependency_delete(hiding, larder_text("m"), NULL), LARDER_BAD_ARGUMENT);
    larder_close(hiding);
}

static void a_cache_that_was_shut_down_answers_closed(void **state)
{
    (void)state;
    store_wired("m", "a");
    larder_shutdown(cache);
    assert_int_equal(wire("m", "b"), LARDER_CLOSED);
    assert_int_equal(set_under("m", "b"), LARDER_CLOSED);
    assert_int_equal(delete_m(), LARDER_CLOSED);
}

/* ---- over null, in namespaces, in a session ------------------------------------------------ */

static void over_null_everything_is_ok(void **state)
{
    struct larder_slice keys[2] = {larder_text("a"), larder_text("b")};
    struct seen seen = {0, 0, ""};
    (void)state;
    larder_close(cache);
    assert_int_equal(larder_null_open(NULL, &cache, NULL, 0), LARDER_OK);
    assert_int_equal(wire("m", "a"), LARDER_OK);
    assert_int_equal(larder_dependency_add_multi(cache, larder_text("m"), keys, 2, FOREVER),
                     LARDER_OK);
    assert_int_equal(set_under("m", "a"), LARDER_OK);
    assert_int_equal(larder_dependency_keys(cache, larder_text("m"), see, &seen), LARDER_OK);
    assert_int_equal(seen.count, 0);
    drop("m", 0, 0, 0);
}

static void namespaces_do_not_see_each_others_masters(void **state)
{
    struct larder_route routes[2] = {{"main", cache, LARDER_TTL_DEFAULT, 0},
                                     {"other", cache, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = NULL;
    struct larder_cache *other = NULL;
    struct larder_dependency_result result;
    (void)state;
    assert_int_equal(larder_client_open(NULL, NULL, routes, 2, &client, NULL, 0), LARDER_OK);
    cache = client;
    assert_int_equal(larder_bind(client, "other", &other), LARDER_OK);
    store_wired("m", "a");
    assert_int_equal(larder_set(other, larder_text("a"), larder_text("v"), FOREVER), LARDER_OK);
    assert_int_equal(larder_dependency_delete(other, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 0, 0, 0);
    assert_true(lives("a"));
    assert_int_equal(larder_dependency_add(other, larder_text("m"), larder_text("a"), FOREVER),
                     LARDER_OK);
    drop("m", 1, 0, 0);
    assert_true(lives_in(other, "a"));
    assert_int_equal(larder_dependency_delete(other, larder_text("m"), &result), LARDER_OK);
    assert_result(&result, 1, 0, 0);
    assert_false(lives_in(other, "a"));
}

static void a_session_serves_as_well(void **state)
{
    struct larder_cache *session = NULL;
    struct larder_dependency_result result;
    (void)state;
    store("a");
    assert_int_equal(larder_acquire(cache, 0, 0, &session), LARDER_OK);
    assert_int_equal(larder_dependency_add(session, larder_text("m"), larder_text("a"), FOREVER),
                     LARDER_OK);
    assert_int_equal(larder_dependency_delete(session, larder_text("m"), &result), LARDER_OK);
    larder_release(session);
    assert_result(&result, 1, 0, 0);
    assert_false(lives("a"));
}

#define PLAIN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define MEDDLED(name) cmocka_unit_test_setup_teardown(name, set_up_meddled, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(deleting_a_master_deletes_its_keys_and_leaves_no_trace),
        PLAIN(room_for_more_figures_is_zeroed),
        PLAIN(an_unknown_master_is_no_failure),
        PLAIN(a_wired_key_that_is_gone_is_counted_as_missing),
        PLAIN(a_key_wired_twice_is_dropped_once),
        PLAIN(a_master_can_be_used_again),
        PLAIN(masters_that_look_alike_share_no_slot),
        PLAIN(many_keys_are_wired_in_batches),
        PLAIN(every_count_around_a_batch_is_dropped_whole),
        PLAIN(wiring_no_keys_leaves_no_counter),
        PLAIN(keys_and_masters_are_any_bytes),
        PLAIN(the_longest_master_and_key_work),
        PLAIN(several_masters_drop_at_once),
        PLAIN(one_failing_master_does_not_keep_the_others),
        PLAIN(a_wire_ends_at_its_ttl_and_is_counted_as_lost),
        PLAIN(a_wire_without_ttl_outlives_any_time),
        PLAIN(wires_are_listed),
        PLAIN(a_listing_ends_when_told_to),
        PLAIN(an_unknown_master_lists_nothing),
        PLAIN(a_value_is_dropped_with_any_of_its_masters),
        PLAIN(a_value_under_no_master_is_just_stored),
        MEDDLED(a_value_that_could_not_be_stored_is_wired_all_the_same),
        PLAIN(nothing_is_stored_under_a_master_that_can_not_be_wired),
        MEDDLED(a_value_whose_master_is_deleted_before_it_is_stored_is_not_kept),
        MEDDLED(a_value_stored_while_its_slot_is_being_deleted_goes_too),
        MEDDLED(a_value_that_can_be_neither_checked_nor_deleted_is_unknown),
        PLAIN(lost_slots_are_counted),
        PLAIN(wires_survive_a_lost_counter),
        PLAIN(wires_survive_a_lost_counter_that_started_again),
        PLAIN(wires_beyond_a_counter_that_started_again_are_found),
        PLAIN(wires_of_a_lost_counter_are_listed),
        PLAIN(a_slot_with_something_else_in_it_is_harmless),
        PLAIN(a_counter_that_is_no_number_is_left_alone),
        PLAIN(a_master_with_too_many_wires_says_so_and_can_be_deleted),
        PLAIN(the_cap_can_be_filled_and_dropped),
        PLAIN(a_counter_under_a_maximal_ttl_lasts_as_long_as_its_newest_wire),
        MEDDLED(an_add_whose_counter_is_lost_starts_again),
        MEDDLED(an_add_whose_counter_is_lost_for_good_gives_up),
        MEDDLED(a_wire_added_while_the_master_is_deleted_is_followed_in_another_round),
        MEDDLED(a_delete_that_is_always_overtaken_says_so),
        MEDDLED(an_add_that_finishes_between_look_and_delete_is_followed),
        MEDDLED(a_slot_that_was_given_out_again_is_not_taken_from_its_new_wire),
        MEDDLED(a_key_that_can_not_be_deleted_stays_wired),
        MEDDLED(a_delete_that_fails_at_any_call_can_be_repeated),
        MEDDLED(a_set_that_fails_at_any_call_leaves_no_value_without_wire),
        MEDDLED(round_trips_are_as_documented),
        MEDDLED(a_cache_that_can_not_is_refused_before_anything_is_sent),
        MEDDLED(a_wire_that_no_delete_could_follow_is_refused),
        MEDDLED(a_value_whose_wire_no_delete_could_follow_is_not_kept),
        MEDDLED(a_delete_without_versions_takes_no_slot),
        PLAIN(out_of_memory_leaves_no_value_without_wire),
        PLAIN(out_of_memory_leaves_what_is_not_deleted_wired),
        PLAIN(bad_arguments_are_refused),
        PLAIN(a_cache_that_hides_failures_is_refused),
        PLAIN(a_cache_that_was_shut_down_answers_closed),
        PLAIN(over_null_everything_is_ok),
        PLAIN(namespaces_do_not_see_each_others_masters),
        PLAIN(a_session_serves_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
