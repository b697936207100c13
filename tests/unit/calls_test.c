/* What the core does around a backend: checks, stand-ins, options, counting, closing. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

#include <larder/memory.h>
#include <larder/null.h>

#include "fake_servers.h"

static struct larder_cache *open_fake(struct fake_servers *servers, int required_rows_only)
{
    struct larder_cache *cache;
    memset(servers, 0, sizeof(*servers));
    servers->count = 1;
    servers->required_rows_only = required_rows_only;
    assert_status(LARDER_OK, fake_servers_open(servers, NULL, &cache));
    return cache;
}

static struct larder_cache *open_memory(const struct larder_open_options *options)
{
    struct larder_cache *cache;
    assert_status(LARDER_OK, larder_memory_open(NULL, options, &cache, NULL, 0));
    return cache;
}

static void a_backend_with_the_required_rows_alone_gets_the_rest_by_cas(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 1);
    struct larder_slice key = larder_text("key");
    const struct larder_traits *traits = larder_describe(cache);
    uint64_t result;
    assert_true((traits->steps & LARDER_CAN_TOUCH) != 0);
    assert_true((traits->steps & LARDER_CAN_COUNT) != 0);
    assert_true((traits->steps & LARDER_CAN_COUNT_INITIAL) != 0);
    assert_true((traits->steps & LARDER_CAN_GET_AND_TOUCH) != 0);

    struct larder_initial initial = {10, 5000, 7, 0};
    assert_status(LARDER_MISS, larder_incr(cache, key, 1, NULL, &result));
    assert_status(LARDER_OK, larder_incr(cache, key, 1, &initial, &result));
    assert_int_equal(11, result);
    assert_status(LARDER_OK, larder_decr(cache, key, 20, NULL, &result));
    assert_int_equal(0, result);

    struct larder_value value = {.info = {.want = LARDER_WANT_TTL}};
    assert_status(LARDER_OK, larder_get(cache, key, &value));
    assert_slice("0", value.bytes);
    assert_int_equal(7, value.info.flags);
    assert_true(value.info.ttl_ms > 0 && value.info.ttl_ms <= 5000);
    larder_value_release(&value);

    assert_status(LARDER_OK, larder_touch(cache, key, LARDER_TTL_FOREVER));
    assert_status(LARDER_OK, larder_get_and_touch(cache, key, 60000, &value));
    assert_true(value.info.ttl_ms > 5000);
    larder_value_release(&value);
    assert_status(LARDER_OK, larder_set(cache, key, larder_text("x1"), 0));
    assert_status(LARDER_NOT_A_NUMBER, larder_incr(cache, key, 1, NULL, &result));
    larder_close(cache);
}

static void stand_ins_honour_the_version_and_the_ttl_of_a_call(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache;
    memset(&servers, 0, sizeof(servers));
    servers.count = 1;
    servers.required_rows_only = 1;
    servers.takes = LARDER_TAKES_VERSION | LARDER_TAKES_TOUCH;
    assert_status(LARDER_OK, fake_servers_open(&servers, NULL, &cache));
    struct larder_slice key = larder_text("key");
    struct larder_info info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL};
    struct larder_initial initial = {1, 0, 0, 0};
    char text[32];
    uint64_t result;
    assert_status(LARDER_OK, larder_set(cache, key, larder_text("5"), 0));
    assert_status(LARDER_OK, larder_read(cache, key, text, sizeof(text), &info));

    struct larder_call call = LARDER_CALL_INIT;
    call.version = info.version + 1;
    assert_status(LARDER_CONFLICT, larder_touch_with(cache, &call, key, 1000));
    assert_status(LARDER_CONFLICT,
                  larder_count_with(cache, &call, key, LARDER_UP, 1, NULL, &result));
    assert_status(LARDER_MISS, larder_count_with(cache, &call, larder_text("none"), LARDER_UP, 1,
                                                 &initial, &result));
    call.version = info.version;
    call.touch_ttl_ms = 60000;
    assert_status(LARDER_OK, larder_count_with(cache, &call, key, LARDER_UP, 1, NULL, &result));
    assert_int_equal(6, result);
    assert_status(LARDER_OK, larder_read(cache, key, text, sizeof(text), &info));
    assert_in_range(info.ttl_ms, 50000, 60000);
    larder_close(cache);
}

static void add_behind_the_touch(void *context)
{
    struct fake_servers *servers = context;
    servers->before_get = NULL;
    assert_status(LARDER_OK,
                  larder_add(servers->memory[0], larder_text("key"), larder_text("v"), 0));
}

static void the_stand_in_for_get_and_touch_touches_what_it_gives(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 1);
    struct larder_value value = {.info = {.want = LARDER_WANT_TTL}};
    servers.before_get = add_behind_the_touch;
    servers.before_get_context = &servers;
    servers.skip_gets = 1; /* the touch's own */
    assert_status(LARDER_OK, larder_get_and_touch(cache, larder_text("key"), 60000, &value));
    assert_in_range(value.info.ttl_ms, 50000, 60000);
    larder_value_release(&value);
    larder_close(cache);
}

static void the_stand_in_for_get_grows_to_the_value(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 1);
    char *bytes = test_malloc(100000);
    memset(bytes, 'v', 100000);
    assert_status(LARDER_OK, larder_set(cache, larder_text("key"), larder_bytes(bytes, 100000), 0));
    struct larder_value value = {0};
    assert_status(LARDER_OK, larder_get(cache, larder_text("key"), &value));
    assert_int_equal(100000, value.bytes.length);
    assert_memory_equal(bytes, value.bytes.data, 100000);
    larder_value_release(&value);
    larder_value_release(&value);
    test_free(bytes);
    larder_close(cache);
}

static void what_the_traits_lack_is_unsupported(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 0);
    struct larder_value value = {0};
    struct larder_lease lease = {1, 0};
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[1];
    char buffer[8];
    size_t count;
    struct larder_slice key = larder_text("key");
    assert_status(LARDER_UNSUPPORTED, larder_lease_get(cache, key, 1000, &value, &lease));
    assert_int_equal(0, lease.token);
    assert_status(LARDER_UNSUPPORTED, larder_flush(cache));
    assert_status(LARDER_UNSUPPORTED, larder_keys(cache, &cursor, buffer, 8, keys, 1, &count));
    assert_status(LARDER_UNSUPPORTED, larder_set_absent(cache, key, 0));
    struct larder_call call = LARDER_CALL_INIT;
    call.flags = LARDER_NO_WAIT;
    assert_status(LARDER_UNSUPPORTED, larder_read_with(cache, &call, key, NULL, 0, NULL));
    assert_int_equal(0, servers.calls[0]);
    larder_close(cache);
}

static void options_that_make_no_sense_are_bad_arguments(void **state)
{
    (void)state;
    struct larder_cache *cache = open_memory(NULL);
    struct larder_slice key = larder_text("key");
    struct larder_call call = LARDER_CALL_INIT;
    call.recache_ms = 5;
    assert_status(LARDER_BAD_ARGUMENT, larder_read_with(cache, &call, key, NULL, 0, NULL));
    call = (struct larder_call)LARDER_CALL_INIT;
    call.version = 5;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_store_with(cache, &call, LARDER_SET, key, &write, NULL));
    call = (struct larder_call)LARDER_CALL_INIT;
    call.flags = 64;
    assert_status(LARDER_BAD_ARGUMENT, larder_delete_with(cache, &call, key, 0));
    call = (struct larder_call)LARDER_CALL_INIT;
    call.size = 8;
    assert_status(LARDER_BAD_ARGUMENT, larder_delete_with(cache, &call, key, 0));
    call.size = UINT32_MAX;
    assert_status(LARDER_BAD_ARGUMENT, larder_delete_with(cache, &call, key, 0));
    call = (struct larder_call)LARDER_CALL_INIT;
    call.touch_ttl_ms = -7;
    assert_status(LARDER_BAD_ARGUMENT, larder_read_with(cache, &call, key, NULL, 0, NULL));
    larder_close(cache);
}

/* A program that was compiled against a later larder. */
struct later_call {
    struct larder_call call;
    uint64_t added_later;
};

static void a_later_programs_options_are_taken_where_they_say_nothing_new(void **state)
{
    (void)state;
    struct larder_cache *cache = open_memory(NULL);
    struct later_call later = {LARDER_CALL_INIT, 0};
    later.call.size = sizeof(later);
    assert_status(LARDER_MISS,
                  larder_read_with(cache, &later.call, larder_text("key"), NULL, 0, NULL));
    later.added_later = 1;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_read_with(cache, &later.call, larder_text("key"), NULL, 0, NULL));
    larder_close(cache);
}

/* A row of a later larder. */
struct later_row {
    struct larder_row row;
    uint64_t added_later;
};

static void rows_may_grow(void **state)
{
    (void)state;
    struct larder_cache *cache = open_memory(NULL);
    struct later_row rows[3];
    memset(rows, 0, sizeof(rows));
    const char *names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        rows[i].row.key = larder_text(names[i]);
        rows[i].row.write = larder_write_of(larder_text(names[i]), 0);
        rows[i].added_later = 77;
    }
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, &rows[0].row,
                                         3, sizeof(rows[0])));
    assert_status(LARDER_OK, larder_many(cache, NULL, LARDER_MANY_GET, LARDER_SET, &rows[0].row, 3,
                                         sizeof(rows[0])));
    for (int i = 0; i < 3; i++) {
        assert_status(LARDER_OK, rows[i].row.status);
        assert_slice(names[i], rows[i].row.value.bytes);
        assert_int_equal(77, rows[i].added_later);
        larder_value_release(&rows[i].row.value);
    }
    assert_status(LARDER_BAD_ARGUMENT, larder_many(cache, NULL, LARDER_MANY_GET, LARDER_SET,
                                                   &rows[0].row, 3, sizeof(rows[0].row) - 8));
    larder_close(cache);
}

struct heard {
    int events;
    enum larder_status status;
    enum larder_operation operation;
};

static void listen(void *context, const struct larder_event *event)
{
    struct heard *heard = context;
    heard->events++;
    heard->status = event->status;
    heard->operation = event->operation;
}

static uint64_t figure(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[128];
    size_t count;
    assert_status(LARDER_OK, larder_stats(cache, rows, 128, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return 0;
}

static void errors_as_miss_hides_failed_reads_but_counts_and_tells_them(void **state)
{
    (void)state;
    struct heard heard = {0, LARDER_OK, LARDER_OPERATION_READ};
    struct fake_servers servers;
    memset(&servers, 0, sizeof(servers));
    servers.count = 1;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.errors_as_miss = 1;
    options.listener = listen;
    options.listener_context = &heard;
    struct larder_cache *cache;
    assert_status(LARDER_OK, fake_servers_open(&servers, &options, &cache));
    struct larder_slice key = larder_text("key");
    servers.status[0] = LARDER_UNAVAILABLE;
    assert_status(LARDER_MISS, larder_read(cache, key, NULL, 0, NULL));
    assert_int_equal(1, heard.events);
    assert_int_equal(LARDER_UNAVAILABLE, heard.status);
    assert_int_equal(LARDER_OPERATION_READ, heard.operation);
    assert_int_equal(1, figure(cache, "read.UNAVAILABLE"));
    assert_int_equal(0, figure(cache, "read.MISS"));
    struct larder_value value = {0};
    assert_status(LARDER_MISS, larder_get(cache, key, &value));
    assert_null(value.owner);
    assert_int_equal(2, heard.events);
    assert_int_equal(LARDER_OPERATION_GET, heard.operation);
    assert_int_equal(1, figure(cache, "get.UNAVAILABLE"));
    assert_status(LARDER_UNAVAILABLE, larder_set(cache, key, key, 0));
    assert_status(LARDER_UNAVAILABLE, larder_delete(cache, key, 0));
    assert_status(LARDER_BAD_KEY, larder_read(cache, larder_text(""), NULL, 0, NULL));
    struct larder_row row = {.key = key};
    assert_status(LARDER_OK, larder_read_multi(cache, &row, 1));
    assert_status(LARDER_MISS, row.status);
    larder_close(cache);
}

/* More than have a tally of their own, all alive at once. */
enum { CALLERS = 70, CALLS_OF_EACH = 3 };

static struct {
    struct larder_cache *cache, *other;
    pthread_barrier_t all_there;
} called;

static void *call_it(void *nothing)
{
    struct larder_value value = {0};
    char byte;
    (void)nothing;
    /* so that the thread is known, and `cache` alone has no tally of it */
    assert_status(LARDER_MISS, larder_get(called.other, larder_text("k"), &value));
    pthread_barrier_wait(&called.all_there);
    for (int i = 0; i < CALLS_OF_EACH; i++) {
        assert_status(LARDER_OK, larder_get(called.cache, larder_text("k"), &value));
        larder_value_release(&value);
    }
    assert_status(LARDER_OK, larder_read(called.cache, larder_text("k"), &byte, 1, NULL));
    assert_status(LARDER_MISS, larder_get(called.cache, larder_text("none"), &value));
    return NULL;
}

static void what_many_threads_call_is_counted_as_what_it_is(void **state)
{
    pthread_t threads[CALLERS];
    (void)state;
    called.cache = open_memory(NULL);
    assert_status(LARDER_OK, larder_null_open(NULL, &called.other, NULL, 0));
    assert_status(LARDER_OK, larder_set(called.cache, larder_text("k"), larder_text("v"), 0));
    assert_int_equal(pthread_barrier_init(&called.all_there, NULL, CALLERS), 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_it, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(CALLERS * CALLS_OF_EACH, figure(called.cache, "get.OK"));
    assert_int_equal(CALLERS, figure(called.cache, "get.MISS"));
    assert_int_equal(CALLERS, figure(called.cache, "read.OK"));
    pthread_barrier_destroy(&called.all_there);
    larder_close(called.cache);
    larder_close(called.other);
}

static void a_backend_that_makes_statuses_up_is_a_protocol_error(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 0);
    servers.status[0] = 4711;
    assert_status(LARDER_PROTOCOL, larder_read(cache, larder_text("key"), NULL, 0, NULL));
    servers.status[0] = -4711;
    assert_status(LARDER_PROTOCOL, larder_set(cache, larder_text("key"), larder_text("v"), 0));
    larder_close(cache);
}

static enum larder_status forgetful_open(const struct larder_host *host, const void *options,
                                         struct larder_message *message, void **self)
{
    (void)host, (void)options, (void)message;
    *self = NULL;
    return LARDER_OK;
}

static enum larder_status no_read(const struct larder_scope *scope, struct larder_slice key,
                                  void *buffer, size_t size, struct larder_info *info)
{
    (void)scope, (void)key, (void)buffer, (void)size, (void)info;
    return LARDER_MISS;
}

static enum larder_status no_store(const struct larder_scope *scope, enum larder_mode mode,
                                   struct larder_slice key, const struct larder_write *write,
                                   uint64_t *version)
{
    (void)scope, (void)mode, (void)key, (void)write, (void)version;
    return LARDER_OK;
}

static enum larder_status no_remove(const struct larder_scope *scope, struct larder_slice key,
                                    uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_OK;
}

static void forget_rows(const struct larder_scope *scope, enum larder_many_kind many,
                        enum larder_mode mode, const struct larder_rows *rows)
{
    (void)scope, (void)many, (void)mode, (void)rows;
}

static struct larder_traits small_traits = {.size = sizeof(struct larder_traits), .value_max = 10};

static const struct larder_traits *traits_of_forgetful(const void *self)
{
    (void)self;
    return &small_traits;
}

static void nothing_to_close(void *self)
{
    (void)self;
}

static struct larder_ops forgetful_ops(void)
{
    struct larder_ops ops = {.version = LARDER_BACKEND_VERSION,
                             .size = sizeof(struct larder_ops),
                             .name = "forgetful",
                             .read = no_read,
                             .store = no_store,
                             .remove = no_remove,
                             .traits = traits_of_forgetful,
                             .close = nothing_to_close,
                             .many = forget_rows};
    return ops;
}

static struct larder_backend backend_of(const struct larder_ops *ops)
{
    struct larder_backend backend = {.version = LARDER_BACKEND_VERSION,
                                     .size = sizeof(struct larder_backend),
                                     .scheme = "forgetful",
                                     .sentence = "for tests",
                                     .ops = ops,
                                     .open = forgetful_open,
                                     .options_size = sizeof(size_t)};
    return backend;
}

static void a_row_that_a_backend_forgot_never_passes_for_answered(void **state)
{
    (void)state;
    struct larder_ops ops = forgetful_ops();
    struct larder_backend backend = backend_of(&ops);
    struct larder_cache *cache;
    assert_status(LARDER_OK, larder_open_backend(&backend, NULL, NULL, &cache, NULL, 0));
    struct larder_row row = {.key = larder_text("key"), .write = {.value = {"v", 1}}};
    assert_status(LARDER_UNAVAILABLE, larder_get_multi(cache, &row, 1));
    assert_status(LARDER_UNAVAILABLE, row.status);
    assert_status(LARDER_UNKNOWN, larder_store_multi(cache, LARDER_SET, &row, 1));
    assert_status(LARDER_UNKNOWN, row.status);
    larder_close(cache);
}

/* A backend that begins to tell, and then fails. */
static struct {
    enum larder_status status;
    struct larder_owner owner;
    int released;
} sloppy;

static void count_release(struct larder_owner *owner)
{
    assert_ptr_equal(owner, &sloppy.owner);
    sloppy.released++;
}

static enum larder_status sloppy_get(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_value *value)
{
    (void)scope, (void)key;
    sloppy.owner.release = count_release;
    value->owner = &sloppy.owner;
    value->bytes = larder_text("half");
    value->info.length = value->info.flags = 4;
    value->info.version = 4;
    return sloppy.status;
}

static enum larder_status sloppy_get_and_touch(const struct larder_scope *scope,
                                               struct larder_slice key, int64_t ttl_ms,
                                               struct larder_value *value)
{
    (void)ttl_ms;
    return sloppy_get(scope, key, value);
}

static enum larder_status sloppy_read(const struct larder_scope *scope, struct larder_slice key,
                                      void *buffer, size_t size, struct larder_info *info)
{
    (void)scope, (void)key, (void)buffer, (void)size;
    if (info != NULL)
        info->length = info->flags = 4;
    return sloppy.status;
}

static void sloppy_many(const struct larder_scope *scope, enum larder_many_kind many,
                        enum larder_mode mode, const struct larder_rows *rows)
{
    (void)mode;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        row->status = many == LARDER_MANY_GET
                          ? sloppy_get(scope, row->key, &row->value)
                          : sloppy_read(scope, row->key, row->buffer, row->size, &row->value.info);
    }
}

static void assert_nothing(const struct larder_value *value)
{
    assert_null(value->owner);
    assert_null(value->bytes.data);
    assert_int_equal(value->bytes.length | value->info.length | value->info.flags, 0);
    assert_int_equal(value->info.version, 0);
}

static void assert_sloppy_tells_nothing(struct larder_cache *cache)
{
    struct larder_slice key = larder_text("key");
    struct larder_value value = {0};
    struct larder_info info = {0};
    struct larder_row row = {.key = key};
    char byte;
    sloppy.released = 0;
    assert_status(sloppy.status, larder_get(cache, key, &value));
    assert_nothing(&value);
    assert_status(sloppy.status, larder_get_with(cache, NULL, key, &value));
    assert_nothing(&value);
    assert_status(sloppy.status, larder_get_and_touch(cache, key, 1000, &value));
    assert_nothing(&value);
    assert_int_equal(sloppy.released, 3);
    (void)!larder_get_multi(cache, &row, 1);
    assert_status(sloppy.status, row.status);
    assert_nothing(&row.value);
    assert_int_equal(sloppy.released, 4);
    assert_status(sloppy.status, larder_read(cache, key, &byte, 1, &info));
    assert_int_equal(info.length | info.flags, 0);
    row.buffer = &byte, row.size = 1;
    (void)!larder_read_multi(cache, &row, 1);
    assert_status(sloppy.status, row.status);
    assert_nothing(&row.value);
}

static void what_a_backend_told_before_it_failed_is_taken_back(void **state)
{
    static const enum larder_status statuses[] = {LARDER_MISS, LARDER_ABSENT, LARDER_TIMEOUT,
                                                  LARDER_NO_MEMORY, LARDER_CLOSED};
    struct larder_ops ops = forgetful_ops();
    struct larder_backend backend = backend_of(&ops);
    struct larder_cache *cache;
    (void)state;
    small_traits.can = LARDER_CAN_GET_AND_TOUCH;
    ops.read = sloppy_read;
    ops.get = sloppy_get;
    ops.get_and_touch = sloppy_get_and_touch;
    ops.many = sloppy_many;
    assert_status(LARDER_OK, larder_open_backend(&backend, NULL, NULL, &cache, NULL, 0));
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        sloppy.status = statuses[i];
        assert_sloppy_tells_nothing(cache);
    }
    small_traits.can = 0;
    larder_close(cache);
}

static void an_incomplete_or_foreign_table_is_refused_with_its_reason(void **state)
{
    (void)state;
    char message[256];
    struct larder_cache *cache;
    struct larder_ops ops = forgetful_ops();
    struct larder_backend backend = backend_of(&ops);

    ops.remove = NULL;
    assert_status(LARDER_UNSUPPORTED,
                  larder_open_backend(&backend, NULL, NULL, &cache, message, sizeof(message)));
    assert_non_null(strstr(message, "remove"));
    assert_null(cache);

    ops = forgetful_ops();
    backend.version = LARDER_BACKEND_VERSION + 1;
    assert_status(LARDER_UNSUPPORTED,
                  larder_open_backend(&backend, NULL, NULL, &cache, message, sizeof(message)));
    assert_non_null(strstr(message, "version"));

    backend = backend_of(&ops);
    small_traits.can = LARDER_CAN_TOUCH;
    assert_status(LARDER_UNSUPPORTED,
                  larder_open_backend(&backend, NULL, NULL, &cache, message, sizeof(message)));
    assert_non_null(strstr(message, "touch"));
    small_traits.can = 0;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_open_backend(NULL, NULL, NULL, &cache, message, sizeof(message)));
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_open_backend(&backend, NULL, NULL, NULL, message, sizeof(message)));
}

static void open_options_out_of_bounds_are_refused(void **state)
{
    (void)state;
    char message[256];
    struct larder_cache *cache;
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.max_ttl_ms = -1;
    assert_status(LARDER_BAD_ARGUMENT,
                  larder_null_open(&options, &cache, message, sizeof(message)));
    assert_non_null(strstr(message, "max_ttl"));
    options = (struct larder_open_options)LARDER_OPEN_OPTIONS_INIT;
    options.errors_as_miss = 2;
    assert_status(LARDER_BAD_ARGUMENT, larder_null_open(&options, &cache, NULL, 0));
    options.struct_size = 1;
    assert_status(LARDER_BAD_ARGUMENT, larder_null_open(&options, &cache, NULL, 0));
    options.struct_size = SIZE_MAX;
    assert_status(LARDER_BAD_ARGUMENT, larder_null_open(&options, &cache, NULL, 0));
}

static void shutdown_reaches_the_backend_once_and_every_call_answers_closed(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct larder_cache *cache = open_fake(&servers, 0);
    struct larder_cache *session, *late;
    assert_status(LARDER_OK, larder_acquire(cache, 0, 0, &session));
    larder_shutdown(cache);
    larder_shutdown(cache);
    assert_int_equal(1, servers.shut_down);
    struct larder_slice key = larder_text("key");
    assert_status(LARDER_CLOSED, larder_read(cache, key, NULL, 0, NULL));
    assert_status(LARDER_CLOSED, larder_read(session, key, NULL, 0, NULL));
    assert_status(LARDER_CLOSED, larder_acquire(cache, 0, 0, &late));
    assert_null(late);
    larder_release(session);
    larder_close(cache);
    assert_int_equal(1, servers.closed);
    assert_int_equal(1, servers.shut_down);
}

static void namespaces_and_sessions_are_not_closed_by_close(void **state)
{
    (void)state;
    struct larder_cache *cache = open_memory(NULL);
    struct larder_cache *session, *second;
    assert_status(LARDER_OK, larder_acquire(cache, 0, 0, &session));
    assert_status(LARDER_BAD_ARGUMENT, larder_acquire(session, 0, 0, &second));
    larder_close(session);
    larder_shutdown(session);
    assert_status(LARDER_MISS, larder_read(session, larder_text("key"), NULL, 0, NULL));
    larder_release(session);
    larder_release(cache); /* no session: nothing happens */
    assert_status(LARDER_MISS, larder_read(cache, larder_text("key"), NULL, 0, NULL));
    larder_close(cache);
    larder_close(NULL);
    larder_shutdown(NULL);
    larder_release(NULL);
    larder_value_release(NULL);
}

static void every_status_has_a_name_a_sentence_and_a_class(void **state)
{
    (void)state;
    for (int status = LARDER_CLOSED; status <= LARDER_WOULD_BLOCK; status++) {
        assert_string_not_equal("?", larder_status_name((enum larder_status)status));
        assert_true(strlen(larder_status_sentence((enum larder_status)status)) > 3);
        assert_true((larder_status_class((enum larder_status)status) == LARDER_CLASS_ANSWER) ==
                    (status >= 0));
    }
    assert_string_equal("?", larder_status_name((enum larder_status)100));
    assert_string_equal("0.1.0", larder_version());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_with_the_required_rows_alone_gets_the_rest_by_cas),
        cmocka_unit_test(stand_ins_honour_the_version_and_the_ttl_of_a_call),
        cmocka_unit_test(the_stand_in_for_get_and_touch_touches_what_it_gives),
        cmocka_unit_test(the_stand_in_for_get_grows_to_the_value),
        cmocka_unit_test(what_the_traits_lack_is_unsupported),
        cmocka_unit_test(options_that_make_no_sense_are_bad_arguments),
        cmocka_unit_test(a_later_programs_options_are_taken_where_they_say_nothing_new),
        cmocka_unit_test(rows_may_grow),
        cmocka_unit_test(errors_as_miss_hides_failed_reads_but_counts_and_tells_them),
        cmocka_unit_test(what_many_threads_call_is_counted_as_what_it_is),
        cmocka_unit_test(a_backend_that_makes_statuses_up_is_a_protocol_error),
        cmocka_unit_test(a_row_that_a_backend_forgot_never_passes_for_answered),
        cmocka_unit_test(what_a_backend_told_before_it_failed_is_taken_back),
        cmocka_unit_test(an_incomplete_or_foreign_table_is_refused_with_its_reason),
        cmocka_unit_test(open_options_out_of_bounds_are_refused),
        cmocka_unit_test(shutdown_reaches_the_backend_once_and_every_call_answers_closed),
        cmocka_unit_test(namespaces_and_sessions_are_not_closed_by_close),
        cmocka_unit_test(every_status_has_a_name_a_sentence_and_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
