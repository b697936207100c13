/* hot over a server that knows when an entry was last read: what nobody had read before, or lately,
 * leaves no copy. */
#include "support.h"

#include <larder/hot.h>
#include <larder/util/value.h>

#include "stats.h"
#include "two_servers.h"

static struct larder_cache *open_hot(struct larder_cache *of, uint64_t recent_ms)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = of;
    options.one_in = 1;
    options.recent_ms = recent_ms;
    assert_status(LARDER_OK, larder_hot_open(&options, NULL, &cache, NULL, 0));
    return cache;
}

static void must_read(struct larder_cache *cache, const char *key)
{
    char byte;
    assert_status(LARDER_OK, larder_read(cache, larder_text(key), &byte, 1, NULL));
}

static void the_first_read_of_an_entry_leaves_no_copy(void **state)
{
    (void)state;
    struct larder_cache *cache = open_hot(two_servers_open("meta", 0, 5000, ""), 0);
    struct larder_row row = {.key = larder_text("k")};
    assert_status(LARDER_OK, larder_set(cache, larder_text("k"), larder_text("v"), 0));
    must_read(cache, "k");
    assert_int_equal(stat_of(cache, "kept"), 0);
    assert_int_equal(stat_of(cache, "not_kept"), 1);
    assert_status(LARDER_OK, larder_get_multi(cache, &row, 1));
    larder_rows_release(&row, 1);
    assert_int_equal(stat_of(cache, "kept"), 1);
    must_read(cache, "k");
    assert_int_equal(stat_of(cache, "hits"), 1);
    larder_close(cache);
}

/* ---- when it was last read ------------------------------------------------------------------ */

/* A cache of one value that was read before, `idle_ms` ago: a real server notes reads once a
 * minute, for which no test can wait. */
static int64_t idle_ms;

static enum larder_status idle_read(const struct larder_scope *scope, struct larder_slice key,
                                    void *buffer, size_t size, struct larder_info *info)
{
    (void)scope;
    (void)key;
    assert_int_not_equal(info->want & LARDER_WANT_ACCESS, 0);
    info->idle_ms = idle_ms;
    info->marks = LARDER_HIT_BEFORE;
    return larder_copy_out(buffer, size, "v", 1, info);
}

static enum larder_status idle_store(const struct larder_scope *scope, enum larder_mode mode,
                                     struct larder_slice key, const struct larder_write *write,
                                     uint64_t *version)
{
    (void)scope;
    (void)mode;
    (void)key;
    (void)write;
    (void)version;
    return LARDER_OK;
}

static enum larder_status idle_remove(const struct larder_scope *scope, struct larder_slice key,
                                      uint64_t version)
{
    (void)scope;
    (void)key;
    (void)version;
    return LARDER_MISS;
}

static const struct larder_traits *idle_traits(const void *self)
{
    static const struct larder_traits traits = {
        .size = sizeof(traits), .can = LARDER_CAN_READ_ACCESS, .key_max = 250, .value_max = 1024};
    (void)self;
    return &traits;
}

static void idle_close(void *self)
{
    (void)self;
}

static struct larder_cache *open_idle(void)
{
    static const struct larder_ops ops = {.version = LARDER_BACKEND_VERSION,
                                          .size = sizeof(ops),
                                          .name = "idle",
                                          .read = idle_read,
                                          .store = idle_store,
                                          .remove = idle_remove,
                                          .traits = idle_traits,
                                          .close = idle_close};
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_attach(&ops, NULL, NULL, &cache, NULL, 0));
    return cache;
}

static void a_read_after_long_leaves_no_copy(void **state)
{
    static const struct {
        int64_t idle_ms;
        uint64_t recent_ms, kept;
    } trials[] = {{1000, 1000, 1}, {2000, 1000, 0}, {1000000, 0, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct larder_cache *cache = open_hot(open_idle(), trials[i].recent_ms);
        idle_ms = trials[i].idle_ms;
        must_read(cache, "k");
        assert_int_equal(stat_of(cache, "kept"), trials[i].kept);
        assert_int_equal(stat_of(cache, "not_kept"), 1 - trials[i].kept);
        larder_close(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_read_of_an_entry_leaves_no_copy),
        cmocka_unit_test(a_read_after_long_leaves_no_copy),
    };
    return cmocka_run_group_tests(tests, two_servers_start, two_servers_stop);
}
