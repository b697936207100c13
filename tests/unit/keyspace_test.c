/*
 * A keyspace with metadata over a memory cache that stands for the server: `raw` is that server as
 * other programs see it, `cache` and `other` are two processes that share the keyspace. What
 * happens on the server between a look and what follows it, a test says with `meanwhile`.
 */
#include "support.h"

#include <stdlib.h>
#include <time.h>

#include <larder/backend.h>
#include <larder/util/record_codec.h>

#include "clock.h"
#include "handle.h"

static struct manual_clock clock_of_all;
static struct larder_cache *raw, *cache, *other;

/* ---- the server ---------------------------------------------------------------------------- */

typedef void meanwhile_fn(struct larder_slice key);
static meanwhile_fn *meanwhile; /* NULL: nothing */
static unsigned meanwhile_times;
static int has_no_versions;
static struct larder_ops server_ops;

static enum larder_status server_get(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_value *value)
{
    enum larder_status status = larder__target(raw)->scope.ops->get(scope, key, value);
    meanwhile_fn *happens = meanwhile;
    if (has_no_versions)
        value->info.version = 0;
    if (happens == NULL || meanwhile_times == 0)
        return status;
    meanwhile_times--;
    meanwhile = NULL; /* what happens may look as well */
    happens(key);
    meanwhile = happens;
    return status;
}

static void leave_open(void *self)
{
    (void)self;
}

static enum larder_status server_open(const struct larder_host *host, const void *options,
                                      struct larder_message *message, void **self)
{
    (void)host, (void)options, (void)message;
    *self = larder__target(raw)->scope.self;
    return LARDER_OK;
}

struct server_options {
    size_t struct_size;
    LARDER_METADATA_OPTION(LARDER_TEXT_FIELD)
};
#define LARDER_OPTIONS_STRUCT struct server_options
static const struct larder_option server_options[] = {LARDER_METADATA_OPTION(LARDER_TEXT_ROW)};

static const struct larder_backend server = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "server",
    .sentence = "stands for one",
    .ops = &server_ops,
    .open = server_open,
    .options = server_options,
    .option_count = 1,
    .options_size = sizeof(struct server_options),
};

static struct larder_cache *open_keyspace(const char *metadata)
{
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    const struct server_options options = {sizeof(options), metadata};
    struct larder_cache *opened = NULL;
    open.clock = manual_clock_of(&clock_of_all);
    assert_status(LARDER_OK, larder_open_backend(&server, &options, &open, &opened, NULL, 0));
    return opened;
}

static int start(void **state)
{
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    (void)state;
    manual_clock_init(&clock_of_all);
    open.clock = manual_clock_of(&clock_of_all);
    assert_status(LARDER_OK, larder_open("memory:?max_bytes=1M", &open, &raw, NULL, 0));
    server_ops = *larder__target(raw)->scope.ops;
    server_ops.get = server_get;
    server_ops.close = server_ops.shutdown = leave_open;
    server_ops.fork = NULL;
    server_ops.many = NULL;
    meanwhile = NULL;
    meanwhile_times = 0;
    has_no_versions = 0;
    cache = open_keyspace("leases,negative");
    other = open_keyspace("leases,negative");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    larder_close(cache);
    larder_close(other);
    larder_close(raw);
    return 0;
}

/* ---- short forms --------------------------------------------------------------------------- */

#define K larder_text("k")
#define LEASE_MS 10000u

static void expect_text(struct larder_cache *from, const char *text)
{
    struct larder_value value = {0};
    assert_status(LARDER_OK, larder_get(from, K, &value));
    assert_slice(text, value.bytes);
    larder_value_release(&value);
}

static void put_raw(const void *bytes, size_t length, uint32_t flags)
{
    struct larder_write write = larder_write_of(larder_bytes(bytes, length), 0);
    write.flags = flags;
    assert_status(LARDER_OK, larder_store(raw, LARDER_SET, K, &write, NULL));
}

/* What the server holds; its bytes stay until the next call. */
static enum larder_record_form on_server(struct larder_record *record)
{
    static unsigned char bytes[4096];
    struct larder_info info = {0};
    assert_status(LARDER_OK, larder_read(raw, K, bytes, sizeof(bytes), &info));
    return larder_record_decode(info.flags, larder_bytes(bytes, info.length), record);
}

static void put_record(const struct larder_record *record)
{
    unsigned char bytes[LARDER_RECORD_HEADER_MAX + 256];
    size_t length = larder_record_header(record, bytes);
    assert_true(length > 0 && record->payload.length <= 256);
    if (record->payload.length > 0)
        memcpy(bytes + length, record->payload.data, record->payload.length);
    put_raw(bytes, length + record->payload.length, LARDER_RECORD_FLAGS);
}

static enum larder_status lease_of(struct larder_cache *from, uint32_t recache_ms,
                                   struct larder_lease *lease)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_value value = {0};
    call.recache_ms = recache_ms;
    enum larder_status status = larder_lease_get_with(from, &call, K, LEASE_MS, &value, lease);
    larder_value_release(&value);
    return status;
}

static enum larder_status fill(struct larder_cache *by, struct larder_lease lease, const char *text,
                               int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(larder_text(text), ttl_ms);
    return larder_lease_fill(by, K, lease, &write);
}

static uint64_t figure(const char *name)
{
    struct larder_stat rows[256];
    size_t count;
    assert_status(LARDER_OK, larder_stats(cache, rows, 256, &count));
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("there is no figure %s", name);
    return 0;
}

/* To reads and to what needs a live entry. */
static void expect_missing(void)
{
    struct larder_value value = {0};
    uint64_t number;
    char byte = 'q';
    assert_status(LARDER_MISS, larder_get(cache, K, &value));
    assert_status(LARDER_MISS, larder_read(cache, K, &byte, 1, NULL));
    assert_int_equal(byte, 'q');
    assert_status(LARDER_MISS, larder_replace(cache, K, larder_text("v"), 0));
    assert_status(LARDER_MISS, larder_append(cache, K, larder_text("v")));
    assert_status(LARDER_MISS, larder_prepend(cache, K, larder_text("v")));
    assert_status(LARDER_MISS, larder_cas(cache, K, larder_text("v"), 0, 1));
    assert_status(LARDER_MISS, larder_touch(cache, K, 5000));
    assert_status(LARDER_MISS, larder_incr(cache, K, 1, NULL, &number));
    assert_status(LARDER_MISS, larder_delete(cache, K, 1));
}

/* ---- what goes out how --------------------------------------------------------------------- */

static void a_plain_value_is_raw_for_other_programs(void **state)
{
    (void)state;
    struct larder_info info = {0};
    char bytes[16];
    struct larder_write write = larder_write_of(larder_text("plain"), LARDER_TTL_FOREVER);
    write.flags = 77;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, K, &write, NULL));
    assert_status(LARDER_OK, larder_read(raw, K, bytes, sizeof(bytes), &info));
    assert_slice("plain", larder_bytes(bytes, info.length));
    assert_int_equal(info.flags, 77);
}

static void a_raw_value_of_another_program_is_read(void **state)
{
    (void)state;
    struct larder_value value = {.info = {.want = LARDER_WANT_TTL | LARDER_WANT_VERSION}};
    put_raw("theirs", 6, 3);
    assert_status(LARDER_OK, larder_get(cache, K, &value));
    assert_slice("theirs", value.bytes);
    assert_int_equal(value.info.flags, 3);
    assert_int_equal(value.info.ttl_ms, LARDER_TTL_FOREVER);
    assert_true(value.info.version != 0);
    larder_value_release(&value);
}

static void what_expires_is_a_record_with_its_end(void **state)
{
    (void)state;
    struct larder_record record;
    struct larder_info info = {.want = LARDER_WANT_TTL};
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    write.flags = 5;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, K, &write, NULL));
    assert_int_equal(on_server(&record), LARDER_RECORD_ENVELOPED);
    assert_int_equal(record.kind, LARDER_RECORD_VALUE);
    assert_int_equal(record.flags, 5);
    assert_int_equal(record.hard_ms, record.stored_ms + 60000);
    assert_slice("v", record.payload);
    manual_clock_advance(&clock_of_all, 59999);
    assert_status(LARDER_PARTIAL, larder_read(other, K, NULL, 0, &info));
    assert_int_equal(info.ttl_ms, 1);
    assert_int_equal(info.length, 1);
    manual_clock_advance(&clock_of_all, 1);
    assert_status(LARDER_MISS, larder_read(other, K, NULL, 0, &info));
}

static void what_could_be_mistaken_is_enveloped(void **state)
{
    (void)state;
    struct larder_record record;
    struct larder_info info = {0};
    struct larder_write write = larder_write_of(larder_text(""), LARDER_TTL_FOREVER);
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, K, &write, NULL));
    assert_int_equal(on_server(&record), LARDER_RECORD_ENVELOPED);
    expect_text(other, "");
    write = larder_write_of(larder_text("v"), LARDER_TTL_FOREVER);
    write.flags = LARDER_RECORD_FLAGS;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, K, &write, NULL));
    assert_int_equal(on_server(&record), LARDER_RECORD_ENVELOPED);
    assert_status(LARDER_PARTIAL, larder_read(other, K, NULL, 0, &info));
    assert_int_equal(info.flags, LARDER_RECORD_FLAGS);
}

static void a_change_keeps_the_end_and_touch_moves_it(void **state)
{
    (void)state;
    struct larder_record before, after;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    on_server(&before);
    manual_clock_advance(&clock_of_all, 1000);
    assert_status(LARDER_OK, larder_append(cache, K, larder_text("0")));
    assert_status(LARDER_OK, larder_prepend(cache, K, larder_text("1")));
    assert_status(LARDER_OK, larder_incr(cache, K, 1, NULL, NULL));
    expect_text(other, "111");
    on_server(&after);
    assert_int_equal(after.hard_ms, before.hard_ms);
    assert_int_equal(after.stored_ms, before.stored_ms + 1000);
    assert_status(LARDER_OK, larder_touch(cache, K, 5000));
    on_server(&after);
    assert_int_equal(after.hard_ms, after.stored_ms + 5000);
    assert_status(LARDER_OK, larder_touch(cache, K, LARDER_TTL_FOREVER));
    assert_int_equal(on_server(&after), LARDER_RECORD_RAW); /* nothing is left to say */
    assert_slice("111", after.payload);
}

/* A record from a host whose clock is ahead, or ours that went back. */
static void a_clock_that_went_back_adds_no_life(void **state)
{
    (void)state;
    struct larder_record record;
    struct larder_info info = {.want = LARDER_WANT_TTL};
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("v"), 60000));
    on_server(&record);
    record.stored_ms += 3600000;
    record.hard_ms += 3600000;
    record.payload = larder_text("v");
    put_record(&record);
    assert_status(LARDER_PARTIAL, larder_read(cache, K, NULL, 0, &info));
    assert_int_equal(info.ttl_ms, 60000);
}

static void the_longest_value_leaves_room_for_a_header(void **state)
{
    (void)state;
    uint64_t largest = larder_describe(cache)->value_max;
    assert_int_equal(largest, larder_describe(raw)->value_max - LARDER_RECORD_HEADER_UNTAGGED_MAX);
    char *bytes = calloc(1, largest + 1);
    assert_non_null(bytes);
    assert_status(LARDER_OK, larder_set(cache, K, larder_bytes(bytes, largest), 60000));
    assert_status(LARDER_TOO_LARGE, larder_set(cache, K, larder_bytes(bytes, largest + 1), 60000));
    assert_status(LARDER_OK, larder_set(cache, K, larder_bytes(bytes, largest - 1), 60000));
    free(bytes);
}

/* ---- what is nothing ----------------------------------------------------------------------- */

static void another_programs_placeholder_is_a_missing_key(void **state)
{
    (void)state;
    struct larder_lease lease;
    put_raw("", 0, 0);
    expect_missing();
    assert_status(LARDER_MISS, lease_of(cache, 0, &lease));
    assert_int_equal(lease.token, 0); /* somebody has it */
    assert_status(LARDER_MISS, larder_read(raw, larder_text("none"), NULL, 0, NULL));
    assert_status(LARDER_OK, larder_read(raw, K, NULL, 0, NULL)); /* nothing touched it */
    assert_status(LARDER_OK, larder_add(cache, K, larder_text("v"), 0));
    expect_text(cache, "v");
    put_raw("", 0, 0);
    assert_status(LARDER_MISS, larder_delete(cache, K, 0));
    assert_status(LARDER_MISS, larder_read(raw, K, NULL, 0, NULL)); /* the lease is killed */
    put_raw("", 0, 0);
    const struct larder_initial initial = {5, 0, 0, 0};
    assert_status(LARDER_OK, larder_incr(cache, K, 1, &initial, NULL));
    expect_text(cache, "6");
}

static void without_leases_no_bytes_are_a_value(void **state)
{
    (void)state;
    struct larder_cache *negative = open_keyspace("negative");
    put_raw("", 0, 0);
    expect_text(negative, "");
    assert_status(LARDER_EXISTS, larder_add(negative, K, larder_text("v"), 0));
    larder_close(negative);
}

static void a_negative_entry_is_missing_where_none_are_declared(void **state)
{
    (void)state;
    struct larder_value value = {0};
    struct larder_cache *leases = open_keyspace("leases");
    assert_status(LARDER_OK, larder_set_absent(cache, K, 60000));
    assert_status(LARDER_ABSENT, larder_get(other, K, &value));
    assert_status(LARDER_MISS, larder_get(leases, K, &value));
    assert_status(LARDER_UNSUPPORTED, larder_set_absent(leases, K, 60000));
    manual_clock_advance(&clock_of_all, 60000);
    assert_status(LARDER_MISS, larder_get(other, K, &value));
    larder_close(leases);
}

static void expect_unreadable(const char *name)
{
    uint64_t before = figure(name);
    struct larder_value value = {0};
    struct larder_lease lease;
    assert_status(LARDER_MISS, larder_get(cache, K, &value));
    assert_int_equal(figure(name), before + 1);
    expect_missing();
    assert_status(LARDER_MISS, lease_of(cache, 0, &lease));
    assert_true(lease.token != 0); /* it stands in nobody's way */
    assert_status(LARDER_OK, fill(cache, lease, "v", 0));
    expect_text(cache, "v");
}

static void what_can_not_be_read_is_missing_and_counted(void **state)
{
    (void)state;
    struct larder_record record = larder_record_of(larder_text("v"), 1);
    put_raw("\xc9LR\x02later", 9, LARDER_RECORD_FLAGS);
    expect_unreadable("records.unknown");
    record.codec = 1;
    put_record(&record);
    expect_unreadable("records.unknown");
    record.codec = 0;
    record.tags[record.tag_count++] = (struct larder_record_tag){larder_text("user"), 1};
    put_record(&record);
    expect_unreadable("records.unknown");
    put_raw("no header", 9, LARDER_RECORD_FLAGS);
    expect_unreadable("records.malformed");
    put_raw("", 0, LARDER_RECORD_FLAGS);
    expect_unreadable("records.malformed");
}

/* The server keeps it a little longer than it lives. */
static void plant_dead(uint64_t token, uint64_t lease_end_ms)
{
    struct larder_record record;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("dead"), 1000));
    on_server(&record);
    record.token = token;
    record.lease_end_ms = token != 0 ? record.stored_ms + lease_end_ms : 0;
    record.payload = larder_text("dead");
    put_record(&record);
    manual_clock_advance(&clock_of_all, 1000);
}

static void a_value_past_its_end_is_missing_though_the_server_has_it(void **state)
{
    (void)state;
    plant_dead(0, 0);
    expect_missing();
    assert_status(LARDER_PARTIAL, larder_read(raw, K, NULL, 0, NULL));
    assert_status(LARDER_OK, larder_add(cache, K, larder_text("new"), 0));
    expect_text(other, "new");
    plant_dead(0, 0);
    assert_status(LARDER_MISS, larder_delete(cache, K, 0));
    assert_status(LARDER_MISS, larder_read(raw, K, NULL, 0, NULL));
}

static void a_value_that_dies_while_it_is_renewed_is_pending(void **state)
{
    (void)state;
    struct larder_lease lease;
    plant_dead(7, 5000);
    expect_missing();
    assert_status(LARDER_MISS, lease_of(cache, 0, &lease));
    assert_int_equal(lease.token, 0);
    manual_clock_advance(&clock_of_all, 4000);
    assert_status(LARDER_MISS, lease_of(cache, 0, &lease));
    assert_true(lease.token != 0);
}

/* ---- leases -------------------------------------------------------------------------------- */

static void a_lease_of_one_process_holds_in_the_other(void **state)
{
    (void)state;
    struct larder_lease held, none;
    struct larder_record record;
    assert_status(LARDER_MISS, lease_of(cache, 0, &held));
    assert_int_equal(on_server(&record), LARDER_RECORD_ENVELOPED);
    assert_int_equal(record.kind, LARDER_RECORD_PENDING);
    assert_int_equal(record.token, held.token);
    assert_int_equal(record.lease_end_ms, record.stored_ms + LEASE_MS);
    assert_status(LARDER_MISS, lease_of(other, 0, &none));
    assert_int_equal(none.token, 0);
    manual_clock_advance(&clock_of_all, 250);
    assert_status(LARDER_OK, fill(other, held, "filled", 60000)); /* a token is a token */
    on_server(&record);
    assert_int_equal(record.load_ms, 250);
    expect_text(cache, "filled");
}

static void a_lease_that_ended_goes_to_the_next(void **state)
{
    (void)state;
    struct larder_lease dead, next;
    assert_status(LARDER_MISS, lease_of(cache, 0, &dead));
    manual_clock_advance(&clock_of_all, LEASE_MS - 1);
    assert_status(LARDER_MISS, lease_of(other, 0, &next));
    assert_int_equal(next.token, 0);
    manual_clock_advance(&clock_of_all, 1);
    assert_status(LARDER_CONFLICT, fill(cache, dead, "late", 0));
    assert_status(LARDER_MISS, lease_of(other, 0, &next));
    assert_true(next.token != 0 && next.token != dead.token);
    assert_status(LARDER_CONFLICT, fill(cache, dead, "late", 0));
    assert_status(LARDER_OK, fill(other, next, "fresh", 0));
}

static void one_caller_renews_and_all_are_served(void **state)
{
    (void)state;
    struct larder_lease held, none;
    struct larder_record record;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("old"), 60000));
    assert_status(LARDER_OK, lease_of(cache, 60000, &none));
    assert_int_equal(none.token, 0); /* 60000 ms are left, not less */
    manual_clock_advance(&clock_of_all, 1);
    assert_status(LARDER_OK, lease_of(cache, 60000, &held));
    assert_true(held.token != 0);
    assert_status(LARDER_OK, lease_of(other, 60000, &none));
    assert_int_equal(none.token, 0);
    expect_text(other, "old");
    assert_status(LARDER_OK, larder_lease_return(cache, K, held));
    on_server(&record);
    assert_int_equal(record.token, 0);
    expect_text(other, "old");
    assert_status(LARDER_OK, lease_of(other, 60000, &held));
    assert_true(held.token != 0);
    assert_status(LARDER_OK, fill(other, held, "new", 60000));
    expect_text(cache, "new");
}

static void a_renewal_is_void_once_the_value_changed(void **state)
{
    (void)state;
    struct larder_lease held;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    for (unsigned i = 0; i < 3; i++) {
        assert_status(LARDER_OK, lease_of(cache, 70000, &held));
        assert_true(held.token != 0);
        if (i == 0)
            assert_status(LARDER_OK, larder_append(other, K, larder_text("0")));
        if (i == 1)
            assert_status(LARDER_OK, larder_incr(other, K, 1, NULL, NULL));
        if (i == 2)
            assert_status(LARDER_OK, larder_delete(other, K, 0));
        assert_status(LARDER_CONFLICT, fill(cache, held, "late", 0));
    }
    assert_status(LARDER_MISS, larder_read(cache, K, NULL, 0, NULL));
}

static void a_touch_keeps_a_renewal(void **state)
{
    (void)state;
    struct larder_lease held;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("old"), 60000));
    assert_status(LARDER_OK, lease_of(cache, 70000, &held));
    assert_status(LARDER_OK, larder_touch(other, K, 50000));
    assert_status(LARDER_OK, fill(cache, held, "new", 0));
    expect_text(other, "new");
}

/* ---- lost races ---------------------------------------------------------------------------- */

static void happens(meanwhile_fn *what, unsigned times)
{
    meanwhile = what;
    meanwhile_times = times;
}

static void is_set(struct larder_slice key)
{
    assert_status(LARDER_OK, larder_set(other, key, larder_text("7"), 60000));
}

static void is_deleted(struct larder_slice key)
{
    larder_invalidate(other, key);
}

static void is_leased(struct larder_slice key)
{
    struct larder_lease lease;
    larder_invalidate(other, key);
    assert_int_equal(K.length, key.length);
    assert_status(LARDER_MISS, lease_of(other, 0, &lease));
    assert_true(lease.token != 0);
}

static void a_disturbed_change_looks_again(void **state)
{
    (void)state;
    uint64_t number = 0;
    struct larder_lease lease;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    happens(is_set, 1);
    assert_status(LARDER_OK, larder_append(cache, K, larder_text("0")));
    expect_text(cache, "70");
    happens(is_set, 1);
    assert_status(LARDER_OK, larder_incr(cache, K, 1, NULL, &number));
    assert_int_equal(number, 8);
    happens(is_set, 1);
    assert_status(LARDER_OK, larder_replace(cache, K, larder_text("new"), 60000));
    expect_text(cache, "new");
    happens(is_set, 1);
    assert_status(LARDER_OK, larder_touch(cache, K, 1000));
    expect_text(cache, "7");
    happens(is_set, 1);
    assert_status(LARDER_OK, larder_delete(cache, K, 0));
    happens(is_set, 1);
    assert_status(LARDER_OK, lease_of(cache, 0, &lease)); /* it was there in time */
    assert_int_equal(figure("records.races"), 6);
}

static void what_vanished_meanwhile_is_missing(void **state)
{
    (void)state;
    uint64_t number = 0;
    for (unsigned i = 0; i < 2; i++) {
        meanwhile_fn *gone = i == 0 ? is_deleted : is_leased;
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        happens(gone, 1);
        assert_status(LARDER_MISS, larder_append(cache, K, larder_text("0")));
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        happens(gone, 1);
        assert_status(LARDER_MISS, larder_incr(cache, K, 1, NULL, &number));
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), LARDER_TTL_FOREVER));
        happens(gone, 1);
        assert_status(LARDER_MISS, larder_incr(cache, K, 1, NULL, &number));
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        happens(gone, 1);
        assert_status(LARDER_MISS, larder_replace(cache, K, larder_text("0"), 0));
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        happens(gone, 1);
        assert_status(LARDER_MISS, larder_delete(cache, K, 0));
        assert_int_equal(number, 0);
    }
}

static void cas_tells_a_conflict_from_a_miss(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        static meanwhile_fn *const events[] = {is_set, is_deleted, is_leased};
        static const enum larder_status answers[] = {LARDER_CONFLICT, LARDER_MISS, LARDER_MISS};
        struct larder_info info = {.want = LARDER_WANT_VERSION};
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        assert_status(LARDER_PARTIAL, larder_read(cache, K, NULL, 0, &info));
        happens(events[i], 1);
        assert_status(answers[i], larder_cas(cache, K, larder_text("2"), 0, info.version));
        assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
        assert_status(LARDER_PARTIAL, larder_read(cache, K, NULL, 0, &info));
        happens(events[i], 1);
        assert_status(answers[i], larder_delete(cache, K, info.version));
    }
}

static void an_invalidation_while_a_lease_is_filled_wins(void **state)
{
    (void)state;
    struct larder_lease held;
    assert_status(LARDER_MISS, lease_of(cache, 0, &held));
    happens(is_deleted, 1);
    assert_status(LARDER_CONFLICT, fill(cache, held, "stale", 0));
    assert_status(LARDER_MISS, larder_read(cache, K, NULL, 0, NULL));
    assert_status(LARDER_MISS, lease_of(cache, 0, &held));
    happens(is_set, 1);
    assert_status(LARDER_CONFLICT, fill(cache, held, "stale", 0));
    expect_text(cache, "7");
    is_deleted(K);
    assert_status(LARDER_MISS, lease_of(cache, 0, &held));
    happens(is_leased, 1);
    assert_status(LARDER_CONFLICT, larder_lease_return(cache, K, held));
}

static void the_faster_of_two_gets_the_lease(void **state)
{
    (void)state;
    struct larder_lease lease;
    happens(is_leased, 1);
    assert_status(LARDER_MISS, lease_of(cache, 0, &lease));
    assert_int_equal(lease.token, 0);
}

static void a_call_that_is_always_disturbed_gives_up(void **state)
{
    (void)state;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    happens(is_set, 2000);
    assert_status(LARDER_UNAVAILABLE, larder_append(cache, K, larder_text("0")));
    assert_int_equal(meanwhile_times, 1000);
    happens(NULL, 0);
    expect_text(cache, "7");
}

static void a_delete_that_is_always_disturbed_gets_through(void **state)
{
    (void)state;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    happens(is_set, 2000);
    assert_status(LARDER_OK, larder_delete(cache, K, 0));
    assert_int_equal(meanwhile_times, 2000 - 33);
    assert_int_equal(figure("records.forced"), 1);
    happens(NULL, 0);
    assert_status(LARDER_MISS, larder_read(cache, K, NULL, 0, NULL));
}

static struct larder_traits poor_traits;

static const struct larder_traits *poor(const void *self)
{
    (void)self;
    return &poor_traits;
}

static void is_set_slowly(struct larder_slice key)
{
    const struct timespec pause = {0, 4000000};
    is_set(key);
    nanosleep(&pause, NULL);
}

static void a_disturbed_call_ends_with_its_deadline(void **state)
{
    (void)state;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_write write = larder_write_of(larder_text("0"), 0);
    poor_traits = *larder_describe(raw);
    poor_traits.timeout_ms = 60000;
    server_ops.traits = poor;
    struct larder_cache *timed = open_keyspace("leases");
    call.timeout_ms = 5;
    assert_status(LARDER_OK, larder_set(timed, K, larder_text("1"), 60000));
    happens(is_set, UINT32_MAX);
    enum larder_status status = larder_store_with(timed, &call, LARDER_APPEND, K, &write, NULL);
    meanwhile = NULL;
    assert_status(LARDER_TIMEOUT, status);
    expect_text(cache, "7"); /* nothing was written */
    call.timeout_ms = 20;
    happens(is_set_slowly, UINT32_MAX);
    status = larder_delete_with(timed, &call, K, 0);
    happens(NULL, 0);
    assert_status(LARDER_OK, status); /* in its second half it takes what there is */
    assert_status(LARDER_MISS, larder_read(cache, K, NULL, 0, NULL));
    larder_close(timed);
}

/* ---- what can't be ------------------------------------------------------------------------- */

static void a_server_without_versions_can_only_be_read_and_set(void **state)
{
    (void)state;
    struct larder_lease lease;
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("1"), 60000));
    has_no_versions = 1;
    expect_text(cache, "1");
    assert_status(LARDER_UNSUPPORTED, larder_append(cache, K, larder_text("0")));
    assert_status(LARDER_UNSUPPORTED, larder_delete(cache, K, 0));
    assert_status(LARDER_UNSUPPORTED, lease_of(cache, 0, &lease));
    expect_text(cache, "1");
}

static const struct {
    const char *metadata;
    enum larder_status status;
    const char *message;
} refused[] = {
    {"tags", LARDER_UNSUPPORTED,
     "metadata: this larder can\'t keep tags yet; what it can keep is leases, negative"},
    {"leases,codec", LARDER_UNSUPPORTED,
     "metadata: this larder can\'t keep codec yet; what it can keep is leases, negative"},
    {"lease", LARDER_BAD_ARGUMENT,
     "metadata: 'lease' is no metadata (did you mean leases?); write leases, negative; several "
     "with commas between"},
    {"", LARDER_BAD_ARGUMENT, NULL},
    {"leases,", LARDER_BAD_ARGUMENT, NULL},
    {",leases", LARDER_BAD_ARGUMENT, NULL},
    {"leases negative", LARDER_BAD_ARGUMENT, NULL},
    {"LEASES", LARDER_BAD_ARGUMENT, NULL},
    {"leases,negative,leases", LARDER_BAD_ARGUMENT,
     "metadata: leases is there twice; once is right"},
    {"a_word_that_is_much_longer_than_any_metadata_has_a_name", LARDER_BAD_ARGUMENT, NULL},
};

static void what_can_not_be_declared_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct server_options options = {sizeof(options), refused[i].metadata};
        struct larder_cache *opened = NULL;
        char message[256] = "";
        assert_status(refused[i].status, larder_open_backend(&server, &options, NULL, &opened,
                                                             message, sizeof(message)));
        assert_null(opened);
        assert_memory_equal(message, "metadata: ", 10);
        if (refused[i].message != NULL)
            assert_string_equal(message, refused[i].message);
    }
}

static void a_backend_that_carries_no_records_is_refused(void **state)
{
    (void)state;
    const struct server_options options = {sizeof(options), "leases"};
    struct larder_cache *opened = NULL;
    char message[256] = "";
    poor_traits = *larder_describe(raw);
    server_ops.traits = poor;
    poor_traits.can &= ~(uint64_t)LARDER_CAN_DELETE_VERSION;
    assert_status(LARDER_UNSUPPORTED,
                  larder_open_backend(&server, &options, NULL, &opened, message, sizeof(message)));
    assert_string_equal(message, "metadata needs add, cas and delete at a version; memory lacks "
                                 "one of them");
    poor_traits = *larder_describe(raw);
    poor_traits.value_max = LARDER_RECORD_HEADER_UNTAGGED_MAX;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_open_backend(&server, &options, NULL, &opened, message, sizeof(message)));
    poor_traits.value_max++;
    assert_status(LARDER_OK,
                  larder_open_backend(&server, &options, NULL, &opened, message, sizeof(message)));
    assert_int_equal(larder_describe(opened)->value_max, 1);
    larder_close(opened);
}

static void without_metadata_there_is_no_wrapper(void **state)
{
    (void)state;
    struct larder_cache *plain = open_keyspace(NULL);
    assert_ptr_equal(larder__target(plain)->scope.self, larder__target(raw)->scope.self);
    assert_status(LARDER_OK, larder_set(plain, K, larder_text(""), 60000));
    assert_status(LARDER_OK, larder_read(raw, K, NULL, 0, NULL));
    larder_close(plain);
}

/* A namespace's generation is there for those who declare nothing, too. */
static void keys_of_larders_own_have_no_metadata(void **state)
{
    (void)state;
    struct larder_scope scope = larder__target(cache)->scope;
    struct larder_write write = larder_write_of(larder_text(""), LARDER_TTL_FOREVER);
    struct larder_value value = {0};
    uint64_t version = 0;
    char byte;
    scope.flags |= LARDER_SCOPE_OWN_KEY;
    assert_status(LARDER_OK, scope.ops->store(&scope, LARDER_SET, K, &write, &version));
    assert_status(LARDER_OK, larder_read(raw, K, NULL, 0, NULL));
    assert_status(LARDER_OK, scope.ops->read(&scope, K, &byte, 1, NULL));
    assert_status(LARDER_OK, scope.ops->get(&scope, K, &value));
    larder_value_release(&value);
    assert_status(LARDER_OK, scope.ops->remove(&scope, K, 0));
    write.value = larder_text("1");
    write.ttl_ms = 60000;
    assert_status(LARDER_OK, scope.ops->store(&scope, LARDER_ADD, K, &write, &version));
    assert_status(LARDER_OK, scope.ops->count(&scope, K, LARDER_UP, 1, NULL, &version));
    expect_text(raw, "2");
}

static void many_reads_are_one_for_the_server(void **state)
{
    (void)state;
    char buffer[8];
    struct larder_row rows[4] = {{.key = K, .buffer = buffer, .size = sizeof(buffer)},
                                 {.key = larder_text("absent")},
                                 {.key = larder_text("none")},
                                 {.key = K, .buffer = buffer, .size = 2}};
    assert_status(LARDER_OK, larder_set(cache, K, larder_text("value"), 60000));
    assert_status(LARDER_OK, larder_set_absent(cache, larder_text("absent"), 60000));
    rows[0].value.info.want = LARDER_WANT_TTL;
    assert_status(LARDER_OK, larder_read_multi(cache, rows, 4));
    assert_status(LARDER_OK, rows[0].status);
    assert_int_equal(rows[0].value.info.length, 5);
    assert_int_equal(rows[0].value.info.ttl_ms, 60000);
    assert_memory_equal(buffer, "value", 5);
    assert_status(LARDER_ABSENT, rows[1].status);
    assert_status(LARDER_MISS, rows[2].status);
    assert_status(LARDER_PARTIAL, rows[3].status);
    assert_int_equal(rows[3].value.info.length, 5);
    assert_int_equal(rows[3].value.info.ttl_ms, LARDER_TTL_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_value_is_raw_for_other_programs),
        TEST(a_raw_value_of_another_program_is_read),
        TEST(what_expires_is_a_record_with_its_end),
        TEST(what_could_be_mistaken_is_enveloped),
        TEST(a_change_keeps_the_end_and_touch_moves_it),
        TEST(a_clock_that_went_back_adds_no_life),
        TEST(the_longest_value_leaves_room_for_a_header),
        TEST(another_programs_placeholder_is_a_missing_key),
        TEST(without_leases_no_bytes_are_a_value),
        TEST(a_negative_entry_is_missing_where_none_are_declared),
        TEST(what_can_not_be_read_is_missing_and_counted),
        TEST(a_value_past_its_end_is_missing_though_the_server_has_it),
        TEST(a_value_that_dies_while_it_is_renewed_is_pending),
        TEST(a_lease_of_one_process_holds_in_the_other),
        TEST(a_lease_that_ended_goes_to_the_next),
        TEST(one_caller_renews_and_all_are_served),
        TEST(a_renewal_is_void_once_the_value_changed),
        TEST(a_touch_keeps_a_renewal),
        TEST(a_disturbed_change_looks_again),
        TEST(what_vanished_meanwhile_is_missing),
        TEST(cas_tells_a_conflict_from_a_miss),
        TEST(an_invalidation_while_a_lease_is_filled_wins),
        TEST(the_faster_of_two_gets_the_lease),
        TEST(a_call_that_is_always_disturbed_gives_up),
        TEST(a_delete_that_is_always_disturbed_gets_through),
        TEST(a_disturbed_call_ends_with_its_deadline),
        TEST(a_server_without_versions_can_only_be_read_and_set),
        TEST(what_can_not_be_declared_is_refused),
        TEST(a_backend_that_carries_no_records_is_refused),
        TEST(without_metadata_there_is_no_wrapper),
        TEST(keys_of_larders_own_have_no_metadata),
        TEST(many_reads_are_one_for_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
