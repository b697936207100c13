/* Every call on an open cache, and what it should answer. */
#include "allocation.h"

#include <stdio.h>
#include <string.h>

#include <larder/dependency.h>
#include <larder/traits.h>

static struct larder_slice key_of(const struct fixture *fixture, size_t index)
{
    return larder_text(fixture->targets[index].key);
}

static struct larder_slice first_key(const struct fixture *fixture)
{
    return key_of(fixture, 0);
}

static int is_text(struct larder_slice bytes, const char *text)
{
    return text != NULL && bytes.length == strlen(text) &&
           memcmp(bytes.data, text, bytes.length) == 0;
}

/* A view exactly where there is a value, and the right one; then gives it back. */
static enum larder_status checked(enum larder_status status, struct larder_value *value,
                                  const struct target *target)
{
    expect((status == LARDER_OK) == (value->owner != NULL), "a view for OK alone");
    expect(status == LARDER_OK || (value->bytes.data == NULL && value->bytes.length == 0 &&
                                   value->info.length == 0 && value->info.version == 0),
           "an empty view for all else");
    if (status == LARDER_OK)
        expect(is_text(value->bytes, target->before), "the value that was stored");
    larder_value_release(value);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum larder_status run_read(struct fixture *fixture)
{
    char buffer[64];
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(fixture->cache, first_key(fixture), buffer, sizeof(buffer), &info);
    if (status == LARDER_OK)
        expect(is_text(larder_bytes(buffer, info.length), fixture->targets[0].before),
               "the value that was stored");
    else
        expect(info.length == 0 && info.flags == 0 && info.version == 0, "nothing is told");
    return status;
}

static enum larder_status run_read_a_part(struct fixture *fixture)
{
    char buffer[2];
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(fixture->cache, first_key(fixture), buffer, sizeof(buffer), &info);
    if (status == LARDER_PARTIAL)
        expect(info.length == strlen(fixture->targets[0].before) &&
                   memcmp(buffer, fixture->targets[0].before, sizeof(buffer)) == 0,
               "the beginning of the value");
    return status;
}

static enum larder_status get_wanting(struct fixture *fixture, const struct larder_call *call,
                                      uint32_t want)
{
    struct larder_value value = {.info = {.want = want}};
    enum larder_status status = larder_get_with(fixture->cache, call, first_key(fixture), &value);
    return checked(status, &value, &fixture->targets[0]);
}

static enum larder_status run_get(struct fixture *fixture)
{
    return get_wanting(fixture, NULL, 0);
}

static enum larder_status run_plain_get(struct fixture *fixture)
{
    struct larder_value value = {.bytes = {fixture, 99}, .info = {0, 99, 99, 99, 99, 99, 0, 99}};
    enum larder_status status = larder_get(fixture->cache, first_key(fixture), &value);
    return checked(status, &value, &fixture->targets[0]);
}

static enum larder_status run_get_version(struct fixture *fixture)
{
    return get_wanting(fixture, NULL, LARDER_WANT_VERSION);
}

static enum larder_status run_get_touching(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.touch_ttl_ms = 60000;
    return get_wanting(fixture, &call, 0);
}

static enum larder_status run_get_and_touch(struct fixture *fixture)
{
    struct larder_value value = {.info = {.want = 0}};
    enum larder_status status =
        larder_get_and_touch(fixture->cache, first_key(fixture), 60000, &value);
    return checked(status, &value, &fixture->targets[0]);
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum larder_status store_with(struct fixture *fixture, const struct larder_call *call,
                                     enum larder_mode mode, const char *text)
{
    int keeps_ttl = mode == LARDER_APPEND || mode == LARDER_PREPEND;
    struct larder_write write =
        larder_write_of(larder_text(text), keeps_ttl ? LARDER_TTL_FOREVER : 60000);
    write.version = mode == LARDER_CAS ? fixture->version : 0;
    uint64_t version = 99;
    enum larder_status status =
        larder_store_with(fixture->cache, call, mode, first_key(fixture), &write, &version);
    expect(status == LARDER_OK || version == 0, "no version without a store");
    return status;
}

#define RUN_STORE(name, mode, text)                               \
    static enum larder_status run_##name(struct fixture *fixture) \
    {                                                             \
        return store_with(fixture, NULL, mode, text);             \
    }

RUN_STORE(set, LARDER_SET, "new")
RUN_STORE(add, LARDER_ADD, "new")
RUN_STORE(replace, LARDER_REPLACE, "new")
RUN_STORE(append, LARDER_APPEND, "+")
RUN_STORE(prepend, LARDER_PREPEND, "+")
RUN_STORE(cas, LARDER_CAS, "new")

static enum larder_status run_append_at_version(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.version = fixture->version;
    return store_with(fixture, &call, LARDER_APPEND, "+");
}

static enum larder_status run_set_absent(struct fixture *fixture)
{
    return larder_set_absent(fixture->cache, first_key(fixture), 60000);
}

static enum larder_status run_delete(struct fixture *fixture)
{
    return larder_delete(fixture->cache, first_key(fixture), 0);
}

static enum larder_status run_delete_version(struct fixture *fixture)
{
    return larder_delete(fixture->cache, first_key(fixture), fixture->version);
}

static enum larder_status run_touch(struct fixture *fixture)
{
    return larder_touch(fixture->cache, first_key(fixture), 60000);
}

static enum larder_status run_touch_at_version(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.version = fixture->version;
    return larder_touch_with(fixture->cache, &call, first_key(fixture), 60000);
}

static enum larder_status count_with(struct fixture *fixture, const struct larder_call *call,
                                     enum larder_direction direction,
                                     const struct larder_initial *initial, uint64_t result_expected)
{
    uint64_t result = 99;
    enum larder_status status =
        larder_count_with(fixture->cache, call, first_key(fixture), direction, 1, initial, &result);
    expect(result == (status == LARDER_OK ? result_expected : 0), "the number that was counted to");
    return status;
}

static enum larder_status run_incr(struct fixture *fixture)
{
    return count_with(fixture, NULL, LARDER_UP, NULL, 42);
}

static enum larder_status run_decr(struct fixture *fixture)
{
    return count_with(fixture, NULL, LARDER_DOWN, NULL, 40);
}

static enum larder_status run_incr_initial(struct fixture *fixture)
{
    struct larder_initial initial = {.value = 10, .ttl_ms = 60000};
    return count_with(fixture, NULL, LARDER_UP, &initial, 11);
}

static enum larder_status run_incr_at_version(struct fixture *fixture)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.version = fixture->version;
    return count_with(fixture, &call, LARDER_UP, NULL, 42);
}

/* ---- leases -------------------------------------------------------------------------------- */

static enum larder_status take_lease(struct fixture *fixture, struct larder_cache *cache)
{
    struct larder_value value = {.info = {.want = 0}};
    enum larder_status status =
        larder_lease_get(cache, first_key(fixture), 60000, &value, &fixture->lease);
    expect((status == LARDER_MISS) == (fixture->lease.token != 0), "a token for a miss alone");
    return checked(status, &value, &fixture->targets[0]);
}

static enum larder_status run_lease_get(struct fixture *fixture)
{
    return take_lease(fixture, fixture->cache);
}

static enum larder_status run_lease_hit(struct fixture *fixture)
{
    struct larder_value value = {.info = {.want = 0}};
    enum larder_status status =
        larder_lease_get(fixture->cache, first_key(fixture), 60000, &value, &fixture->lease);
    return checked(status, &value, &fixture->targets[0]);
}

static enum larder_status run_lease_refresh(struct fixture *fixture)
{
    struct larder_value value = {.info = {.want = 0}};
    struct larder_call call = LARDER_CALL_INIT;
    call.recache_ms = 3600000;
    enum larder_status status = larder_lease_get_with(fixture->cache, &call, first_key(fixture),
                                                      60000, &value, &fixture->lease);
    expect((status >= 0) == (fixture->lease.token != 0), "a token with an answer alone");
    expect((status == LARDER_OK) == ((value.info.marks & LARDER_REFRESH_WANTED) != 0), "a mark");
    return checked(status, &value, &fixture->targets[0]);
}

static enum larder_status ready_to_end(struct fixture *fixture)
{
    return larder_set(fixture->preparer, first_key(fixture),
                      larder_text(fixture->targets[0].before), 60000);
}

static enum larder_status ready_lease(struct fixture *fixture)
{
    enum larder_status status = take_lease(fixture, fixture->preparer);
    return status == LARDER_MISS ? LARDER_OK : status;
}

static enum larder_status run_lease_fill(struct fixture *fixture)
{
    struct larder_write write = larder_write_of(larder_text("new"), 60000);
    return larder_lease_fill(fixture->cache, first_key(fixture), fixture->lease, &write);
}

static enum larder_status run_lease_return(struct fixture *fixture)
{
    return larder_lease_return(fixture->cache, first_key(fixture), fixture->lease);
}

/* ---- many ---------------------------------------------------------------------------------- */

struct rows {
    struct larder_row row[TARGETS];
    char buffers[TARGETS][64];
};

static void rows_init(struct rows *rows, const struct fixture *fixture, const char *text)
{
    memset(rows, 0, sizeof(*rows));
    for (size_t i = 0; i < TARGETS; i++) {
        rows->row[i].key = key_of(fixture, i);
        rows->row[i].write = larder_write_of(larder_text(text), 60000);
        rows->row[i].buffer = rows->buffers[i];
        rows->row[i].size = sizeof(rows->buffers[i]);
    }
}

static enum larder_status run_rows(struct fixture *fixture, struct rows *rows,
                                   enum larder_many_kind many, enum larder_mode mode)
{
    enum larder_status lowest = LARDER_OK;
    enum larder_status status =
        larder_many(fixture->cache, NULL, many, mode, rows->row, TARGETS, sizeof(rows->row[0]));
    for (size_t i = 0; i < TARGETS; i++) {
        struct larder_row *row = &rows->row[i];
        struct target *target = &fixture->targets[i];
        target->status = row->status;
        lowest = row->status < lowest ? row->status : lowest;
        if (many == LARDER_MANY_GET)
            checked(row->status, &row->value, target);
        if (many == LARDER_MANY_READ && row->status == LARDER_OK)
            expect(is_text(larder_bytes(row->buffer, row->value.info.length), target->before),
                   "the value that was stored");
    }
    expect(status == lowest, "the lowest status of all rows");
    return status;
}

#define RUN_MANY(name, many, mode, text)                          \
    static enum larder_status run_##name(struct fixture *fixture) \
    {                                                             \
        struct rows rows;                                         \
        rows_init(&rows, fixture, text);                          \
        return run_rows(fixture, &rows, many, mode);              \
    }

RUN_MANY(read_many, LARDER_MANY_READ, LARDER_SET, "")
RUN_MANY(get_many, LARDER_MANY_GET, LARDER_SET, "")
RUN_MANY(set_many, LARDER_MANY_STORE, LARDER_SET, "new")
RUN_MANY(add_many, LARDER_MANY_STORE, LARDER_ADD, "new")
RUN_MANY(replace_many, LARDER_MANY_STORE, LARDER_REPLACE, "new")
RUN_MANY(append_many, LARDER_MANY_STORE, LARDER_APPEND, "+")
RUN_MANY(delete_many, LARDER_MANY_DELETE, LARDER_SET, "")
RUN_MANY(touch_many, LARDER_MANY_TOUCH, LARDER_SET, "")

/* ---- the whole cache ----------------------------------------------------------------------- */

static enum larder_status run_flush(struct fixture *fixture)
{
    return larder_flush(fixture->cache);
}

static enum larder_status run_flush_client(struct fixture *fixture)
{
    return larder_flush(fixture->client);
}

static enum larder_status run_keys(struct fixture *fixture)
{
    struct larder_cursor cursor = {{0}};
    char buffer[2000];
    struct larder_slice keys[8];
    size_t count = 0, found = 0;
    enum larder_status status = LARDER_OK;
    do {
        status = larder_keys(fixture->cache, &cursor, buffer, sizeof(buffer), keys, 8, &count);
        for (size_t i = 0; i < count; i++)
            found += (size_t)is_text(keys[i], fixture->targets[0].key);
    } while (status == LARDER_OK && count > 0);
    int keeps = (larder_describe(fixture->cache)->promises & (uint64_t)LARDER_KEEPS_NOTHING) == 0;
    expect(status != LARDER_OK || found == (size_t)keeps, "the key that is there is listed");
    return status;
}

static enum larder_status run_stats(struct fixture *fixture)
{
    struct larder_stat rows[8];
    size_t count = 0;
    return larder_stats(fixture->cache, rows, 8, &count);
}

static enum larder_status run_purge(struct fixture *fixture)
{
    uint64_t next_due_ms;
    return larder_purge(fixture->cache, 1, &next_due_ms);
}

static enum larder_status run_wire_key(struct fixture *fixture)
{
    char buffer[1000];
    size_t length = 0;
    return larder_wire_key(fixture->cache, first_key(fixture), buffer, sizeof(buffer), &length);
}

static enum larder_status run_acquire(struct fixture *fixture)
{
    struct larder_cache *session = NULL, *outer = fixture->cache;
    enum larder_status status = larder_acquire(outer, 60000, 0, &session);
    expect((status == LARDER_OK) == (session != NULL), "a session for OK alone");
    if (status != LARDER_OK)
        return status;
    fixture->cache = session;
    status = run_get(fixture);
    fixture->cache = outer;
    larder_release(session);
    return status;
}

/* Names that are new to the client: 40 make its tables grow. */
static enum larder_status run_bind(struct fixture *fixture)
{
    enum larder_status status = LARDER_OK;
    for (int i = 0; i < 40 && status == LARDER_OK; i++) {
        char name[16];
        struct larder_cache *view = NULL;
        snprintf(name, sizeof(name), "new%d", i);
        status = larder_bind(fixture->client, name, &view);
        expect((status == LARDER_OK) == (view != NULL), "a namespace for OK alone");
    }
    return status;
}

/* ---- dependencies -------------------------------------------------------------------------- */

struct larder_slice call_master(void)
{
    return larder_text("master");
}

static enum larder_status run_depend(struct fixture *fixture)
{
    return larder_dependency_add(fixture->cache, call_master(), first_key(fixture), 0);
}

static enum larder_status ready_wire(struct fixture *fixture)
{
    return larder_dependency_add(fixture->preparer, call_master(), first_key(fixture), 0);
}

static enum larder_status run_depend_many(struct fixture *fixture)
{
    struct larder_slice keys[TARGETS];
    for (size_t i = 0; i < TARGETS; i++)
        keys[i] = first_key(fixture);
    return larder_dependency_add_multi(fixture->cache, call_master(), keys, TARGETS, 0);
}

static enum larder_status run_depend_set(struct fixture *fixture)
{
    struct larder_write write = larder_write_of(larder_text("new"), 60000);
    struct larder_slice master = call_master();
    return larder_dependency_set(fixture->cache, first_key(fixture), &write, &master, 1, 0);
}

static enum larder_status run_depend_delete(struct fixture *fixture)
{
    struct larder_dependency_result result;
    return larder_dependency_delete(fixture->cache, call_master(), &result);
}

static enum larder_status run_depend_delete_many(struct fixture *fixture)
{
    struct larder_slice masters[] = {larder_text("nobody's"), call_master()};
    return larder_dependency_delete_multi(fixture->cache, masters, 2, NULL);
}

static int visit(void *context, struct larder_slice key)
{
    const struct fixture *fixture = context;
    expect(is_text(key, fixture->targets[0].key), "the key that was wired");
    return 0;
}

static enum larder_status run_depend_keys(struct fixture *fixture)
{
    return larder_dependency_keys(fixture->cache, call_master(), visit, fixture);
}

/* ---- the table ----------------------------------------------------------------------------- */

static enum larder_status ready_version(struct fixture *fixture)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    enum larder_status status = larder_read(fixture->preparer, first_key(fixture), NULL, 0, &info);
    fixture->version = status == LARDER_MISS ? 1 : info.version;
    return status == LARDER_PARTIAL || status == LARDER_MISS ? LARDER_OK : status;
}

#define X100                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxx"
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define LARGE X1000 X1000 X1000 X1000 X1000

#define CAN(bit) (uint64_t) LARDER_CAN_##bit
#define TAKES(bit) (uint64_t) LARDER_TAKES_##bit
#define DEPENDENCIES (CAN(ADD) | CAN(CAS) | CAN(COUNT) | CAN(COUNT_INITIAL) | CAN(DELETE_VERSION))
#define OK LARDER_OK
#define MISS LARDER_MISS
#define WRITES CALL_WRITES
#define ROWS CALL_HAS_ROWS
#define STEPS CALL_HAS_STEPS
#define WIRES (CALL_WRITES | CALL_HAS_STEPS | CALL_DEPENDS)

/* clang-format off */
const struct call calls[] = {
    {"read", run_read, NULL, 0, 0, "old", "old", OK, MISS, 0},
    {"read of nothing", run_read, NULL, 0, 0, NULL, NULL, MISS, MISS, 0},
    {"read of a part", run_read_a_part, NULL, 0, 0, "old", "old", LARDER_PARTIAL, MISS, 0},
    {"get", run_get, NULL, 0, 0, "old", "old", OK, MISS, 0},
    {"plain get", run_plain_get, NULL, 0, 0, "old", "old", OK, MISS, 0},
    {"plain get of nothing", run_plain_get, NULL, 0, 0, NULL, NULL, MISS, MISS, 0},
    {"plain get of much", run_plain_get, NULL, 0, 0, LARGE, LARGE, OK, MISS, 0},
    {"get of nothing", run_get, NULL, 0, 0, NULL, NULL, MISS, MISS, 0},
    {"get of much", run_get, NULL, 0, 0, LARGE, LARGE, OK, MISS, 0},
    {"get of a version", run_get_version, NULL, CAN(CAS), 0, "old", "old", OK, MISS, 0},
    {"get, touching", run_get_touching, NULL, CAN(TOUCH), TAKES(TOUCH), "old", "old", OK, MISS, WRITES},
    {"get_and_touch", run_get_and_touch, NULL, CAN(GET_AND_TOUCH), 0, "old", "old", OK, MISS, WRITES},
    {"set", run_set, NULL, 0, 0, NULL, "new", OK, OK, WRITES},
    {"set over", run_set, NULL, 0, 0, "old", "new", OK, OK, WRITES},
    {"add", run_add, NULL, CAN(ADD), 0, NULL, "new", OK, OK, WRITES},
    {"add over", run_add, NULL, CAN(ADD), 0, "old", "old", LARDER_EXISTS, OK, WRITES},
    {"replace", run_replace, NULL, CAN(REPLACE), 0, "old", "new", OK, OK, WRITES},
    {"append", run_append, NULL, CAN(APPEND), 0, "old", "old+", OK, OK, WRITES},
    {"append to much", run_append, NULL, CAN(APPEND), 0, LARGE, LARGE "+", OK, OK, WRITES},
    {"prepend", run_prepend, NULL, CAN(APPEND), 0, "old", "+old", OK, OK, WRITES},
    {"cas", run_cas, ready_version, CAN(CAS), 0, "old", "new", OK, OK, WRITES},
    {"append at a version", run_append_at_version, ready_version, CAN(APPEND) | CAN(CAS), TAKES(VERSION), "old", "old+", OK, OK, WRITES},
    {"set_absent", run_set_absent, NULL, CAN(ABSENT), 0, "old", NULL, OK, OK, WRITES},
    {"delete", run_delete, NULL, 0, 0, "old", NULL, OK, OK, WRITES},
    {"delete at a version", run_delete_version, ready_version, CAN(DELETE_VERSION) | CAN(CAS), 0, "old", NULL, OK, OK, WRITES},
    {"touch", run_touch, NULL, CAN(TOUCH), 0, "old", "old", OK, MISS, WRITES},
    {"touch at a version", run_touch_at_version, ready_version, CAN(TOUCH) | CAN(CAS), TAKES(VERSION), "old", "old", OK, MISS, WRITES},
    {"incr", run_incr, NULL, CAN(COUNT), 0, "41", "42", OK, MISS, WRITES},
    {"incr of nothing", run_incr, NULL, CAN(COUNT), 0, NULL, NULL, MISS, MISS, WRITES},
    {"decr", run_decr, NULL, CAN(COUNT), 0, "41", "40", OK, MISS, WRITES},
    {"incr from an initial value", run_incr_initial, NULL, CAN(COUNT_INITIAL), 0, NULL, "11", OK, MISS, WRITES},
    {"incr beside an initial value", run_incr, NULL, CAN(COUNT_INITIAL), 0, "41", "42", OK, MISS, WRITES},
    {"incr at a version", run_incr_at_version, ready_version, CAN(COUNT) | CAN(CAS), TAKES(VERSION), "41", "42", OK, MISS, WRITES},
    {"lease_get", run_lease_get, NULL, CAN(LEASE), 0, NULL, NULL, MISS, MISS, WRITES},
    {"lease_get of a value", run_lease_hit, NULL, CAN(LEASE), 0, "old", "old", OK, MISS, WRITES},
    {"lease_get of what soon ends", run_lease_refresh, ready_to_end, CAN(LEASE),
     LARDER_TAKES_RECACHE, "old", "old", OK, MISS, WRITES},
    {"lease_fill", run_lease_fill, ready_lease, CAN(LEASE), 0, NULL, "new", OK, OK, WRITES},
    {"lease_return", run_lease_return, ready_lease, CAN(LEASE), 0, NULL, NULL, OK, OK, WRITES},
    {"read of many", run_read_many, NULL, 0, 0, "old", "old", OK, MISS, ROWS},
    {"get of many", run_get_many, NULL, 0, 0, "old", "old", OK, MISS, ROWS},
    {"set of many", run_set_many, NULL, 0, 0, "old", "new", OK, OK, ROWS | WRITES},
    {"add of many", run_add_many, NULL, CAN(ADD), 0, NULL, "new", OK, OK, ROWS | WRITES},
    {"replace of many", run_replace_many, NULL, CAN(REPLACE), 0, "old", "new", OK, OK, ROWS | WRITES},
    {"append to many", run_append_many, NULL, CAN(APPEND), 0, "old", "old+", OK, OK, ROWS | WRITES},
    {"delete of many", run_delete_many, NULL, 0, 0, "old", NULL, OK, OK, ROWS | WRITES},
    {"touch of many", run_touch_many, NULL, CAN(TOUCH), 0, "old", "old", OK, MISS, ROWS | WRITES},
    {"flush", run_flush, NULL, CAN(FLUSH), 0, "old", NULL, OK, OK, WRITES | STEPS},
    {"flush of a client", run_flush_client, NULL, CAN(FLUSH), 0, "old", NULL, OK, OK, WRITES | STEPS | CALL_OF_CLIENT},
    {"keys", run_keys, NULL, CAN(KEYS), 0, "old", "old", OK, OK, 0},
    {"stats", run_stats, NULL, 0, 0, "old", "old", OK, OK, 0},
    {"purge", run_purge, NULL, 0, 0, "old", "old", OK, OK, 0},
    {"wire_key", run_wire_key, NULL, CAN(WIRE_KEY), 0, "old", "old", OK, OK, 0},
    {"acquire", run_acquire, NULL, 0, 0, "old", "old", OK, MISS, CALL_TAKES_ROOT},
    {"bind", run_bind, NULL, 0, 0, "old", "old", OK, OK, CALL_OF_CLIENT},
    {"dependency_add", run_depend, NULL, DEPENDENCIES, 0, "old", "old", OK, OK, WIRES},
    {"dependency_add_multi", run_depend_many, NULL, DEPENDENCIES, 0, "old", "old", OK, OK, WIRES},
    {"dependency_set", run_depend_set, NULL, DEPENDENCIES, 0, NULL, "new", OK, OK, WRITES | CALL_DEPENDS},
    {"dependency_delete", run_depend_delete, ready_wire, DEPENDENCIES, 0, "old", NULL, OK, OK, WIRES},
    {"dependency_delete_multi", run_depend_delete_many, ready_wire, DEPENDENCIES, 0, "old", NULL, OK, OK, WIRES},
    {"dependency_keys", run_depend_keys, ready_wire, DEPENDENCIES, 0, "old", "old", OK, OK, CALL_DEPENDS},
};
/* clang-format on */
const size_t call_count = sizeof(calls) / sizeof(calls[0]);
