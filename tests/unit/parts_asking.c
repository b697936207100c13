#include "parts_asking.h"

#include <stdio.h>

#include <larder/backend.h>
#include <larder/util/deadline.h>

#include "watched_memory.h"

/* ---- a part -------------------------------------------------------------------------------- */

void watched_part_open(struct watched_part *part, struct larder_manual_clock *clock)
{
    part->cache = watched_memory_open(larder_manual_clock_of(clock), &part->faults, &part->log);
}

void watched_part_free(struct watched_part *part)
{
    larder_faults_free(part->faults);
    larder_recording_free(part->log);
}

void part_answers(struct watched_part *part, uint32_t operations, enum larder_status status)
{
    answer(part->faults, operations, status);
}

static struct larder_slice text(const char *string)
{
    return larder_text(string);
}

void put(struct larder_cache *cache, const char *key, const char *value)
{
    assert_status(LARDER_OK, larder_set(cache, text(key), text(value), LARDER_TTL_FOREVER));
}

size_t part_was_asked(const struct watched_part *part, uint32_t operations, const char *key)
{
    return asked(part->log, operations, key);
}

int64_t ttl_left(struct larder_cache *cache, const char *key)
{
    struct larder_info info = {.want = LARDER_WANT_TTL};
    char byte;
    enum larder_status status = larder_read(cache, text(key), &byte, 1, &info);
    assert_true(status == LARDER_OK || status == LARDER_PARTIAL);
    return info.ttl_ms;
}

/* ---- a part with a timeout ----------------------------------------------------------------- */

static enum larder_status timed_read(const struct larder_scope *scope, struct larder_slice key,
                                     void *buffer, size_t size, struct larder_info *info)
{
    (void)scope, (void)key, (void)buffer, (void)size, (void)info;
    return LARDER_MISS;
}

static enum larder_status timed_store(const struct larder_scope *scope, enum larder_mode mode,
                                      struct larder_slice key, const struct larder_write *write,
                                      uint64_t *version)
{
    struct timed_part *part = scope->self;
    (void)mode, (void)key, (void)version;
    part->ttl_ms = write->ttl_ms;
    part->deadline_ns = larder_scope_deadline(scope, part->traits.timeout_ms);
    return LARDER_OK;
}

static enum larder_status timed_remove(const struct larder_scope *scope, struct larder_slice key,
                                       uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_MISS;
}

static const struct larder_traits *timed_traits(const void *self)
{
    return &((const struct timed_part *)self)->traits;
}

static void timed_close(void *self)
{
    (void)self; /* the test's own */
}

struct larder_cache *timed_part_open(struct timed_part *part, uint32_t timeout_ms)
{
    static const struct larder_ops ops = {
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_ops),
        .name = "timed",
        .read = timed_read,
        .store = timed_store,
        .remove = timed_remove,
        .traits = timed_traits,
        .close = timed_close,
    };
    struct larder_cache *cache = NULL;
    memset(part, 0, sizeof(*part));
    part->traits.size = sizeof(part->traits);
    part->traits.options = LARDER_TAKES_TIMEOUT;
    part->traits.value_max = 1000;
    part->traits.can = LARDER_CAN_ADD;
    part->traits.timeout_ms = timeout_ms;
    assert_status(LARDER_OK, larder_attach(&ops, part, NULL, &cache, NULL, 0));
    return cache;
}

/* ---- the calls of the table ---------------------------------------------------------------- */

static void take(struct asking *asking, const void *data, const struct larder_info *info)
{
    size_t length = info->length < sizeof(asking->bytes) ? info->length : sizeof(asking->bytes);
    memcpy(asking->bytes, data, length);
    asking->value = larder_bytes(asking->bytes, length);
    asking->version = info->version;
}

/* A row between two that are answered without any cache. */
static enum larder_status ask_many(struct asking *asking, enum larder_many_kind many,
                                   const struct larder_write *write)
{
    struct larder_row rows[3];
    char buffer[16];
    memset(rows, 0, sizeof(rows));
    rows[1].key = text(asking->key);
    rows[1].buffer = buffer;
    rows[1].size = sizeof(buffer);
    rows[1].value.info.want = LARDER_WANT_VERSION;
    if (write != NULL)
        rows[1].write = *write;
    (void)larder_many(asking->cache, NULL, many, asking->call->mode, rows, 3, sizeof(rows[0]));
    assert_status(LARDER_BAD_KEY, rows[0].status);
    assert_status(LARDER_BAD_KEY, rows[2].status);
    if (rows[1].status == LARDER_OK && many == LARDER_MANY_READ)
        take(asking, buffer, &rows[1].value.info);
    if (rows[1].status == LARDER_OK && many == LARDER_MANY_GET)
        take(asking, rows[1].value.bytes.data, &rows[1].value.info);
    enum larder_status status = rows[1].status;
    larder_rows_release(rows, 3);
    return status;
}

static enum larder_status ask_read(struct asking *asking)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char buffer[16];
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_READ, NULL);
    enum larder_status status =
        larder_read(asking->cache, text(asking->key), buffer, sizeof(buffer), &info);
    if (status == LARDER_OK)
        take(asking, buffer, &info);
    return status;
}

static enum larder_status taken(struct asking *asking, enum larder_status status,
                                struct larder_value *value)
{
    if (status == LARDER_OK)
        take(asking, value->bytes.data, &value->info);
    larder_value_release(value);
    return status;
}

static enum larder_status ask_get(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_GET, NULL);
    return taken(asking, larder_get(asking->cache, text(asking->key), &value), &value);
}

static enum larder_status ask_get_and_touch(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    return taken(asking,
                 larder_get_and_touch(asking->cache, text(asking->key), LARDER_TTL_FOREVER, &value),
                 &value);
}

static enum larder_status ask_lease_get(struct asking *asking)
{
    struct larder_value value = {.info.want = LARDER_WANT_VERSION};
    return taken(asking,
                 larder_lease_get(asking->cache, text(asking->key), 60000, &value, &asking->lease),
                 &value);
}

static enum larder_status ask_store(struct asking *asking)
{
    struct larder_write write = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    uint64_t version = 0;
    if (asking->call->mode == LARDER_CAS)
        write.version = asking->given;
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_STORE, &write);
    enum larder_status status =
        larder_store(asking->cache, asking->call->mode, text(asking->key), &write, &version);
    asking->version = version;
    return status;
}

static enum larder_status ask_touch(struct asking *asking)
{
    const struct larder_write write = {.ttl_ms = LARDER_TTL_FOREVER};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_TOUCH, &write);
    return larder_touch(asking->cache, text(asking->key), LARDER_TTL_FOREVER);
}

static enum larder_status ask_delete(struct asking *asking)
{
    const struct larder_write write = {0};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_DELETE, &write);
    return larder_delete(asking->cache, text(asking->key), 0);
}

static enum larder_status ask_delete_at(struct asking *asking)
{
    const struct larder_write write = {.version = asking->given};
    if (asking->is_many)
        return ask_many(asking, LARDER_MANY_DELETE, &write);
    return larder_delete(asking->cache, text(asking->key), asking->given);
}

static enum larder_status ask_count(struct asking *asking)
{
    const struct larder_initial initial = {.value = 1, .ttl_ms = LARDER_TTL_FOREVER};
    return larder_incr(asking->cache, text(asking->key), 1, &initial, NULL);
}

static enum larder_status ask_fill(struct asking *asking)
{
    struct larder_write write = larder_write_of(text("5"), LARDER_TTL_FOREVER);
    return larder_lease_fill(asking->cache, text(asking->key), asking->lease, &write);
}

static enum larder_status ask_return(struct asking *asking)
{
    return larder_lease_return(asking->cache, text(asking->key), asking->lease);
}

const struct call calls[CALLS] = {
    {"read", ask_read, LARDER_ON(READ), 1, 1, 0, LARDER_SET},
    {"get", ask_get, LARDER_ON(GET), 1, 1, 0, LARDER_SET},
    {"get_and_touch", ask_get_and_touch, LARDER_ON(GET_AND_TOUCH), 1, 0, 1, LARDER_SET},
    {"lease_get", ask_lease_get, LARDER_ON(LEASE_GET), 1, 0, 0, LARDER_SET},
    {"set", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_SET},
    {"add", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_ADD},
    {"replace", ask_store, LARDER_ON(STORE), 0, 1, 1, LARDER_REPLACE},
    {"append", ask_store, LARDER_ON(STORE), 0, 1, 0, LARDER_APPEND},
    {"cas", ask_store, LARDER_ON(STORE), 0, 1, 0, LARDER_CAS},
    {"touch", ask_touch, LARDER_ON(TOUCH), 0, 1, 1, LARDER_SET},
    {"count", ask_count, LARDER_ON(COUNT), 0, 0, 1, LARDER_SET},
    {"delete", ask_delete, LARDER_ON(DELETE), 0, 1, 0, LARDER_SET},
    {"delete at a version", ask_delete_at, LARDER_ON(DELETE), 0, 1, 0, LARDER_SET},
    {"lease_fill", ask_fill, LARDER_ON(LEASE_FILL), 0, 0, 0, LARDER_SET},
    {"lease_return", ask_return, LARDER_ON(LEASE_RETURN), 0, 0, 0, LARDER_SET},
};
int is_about_a_lease(const struct call *call)
{
    return call->ask == ask_fill || call->ask == ask_return;
}

void asking_take_lease(struct asking *asking)
{
    assert_status(LARDER_MISS, ask_lease_get(asking));
    assert_true(asking->lease.token != 0);
}

int says(const char *cell, const char *word)
{
    return strstr(cell, word) != NULL;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define COLUMNS 5
#define STATUSES 3

static const struct {
    const char *title;
    enum larder_status statuses[STATUSES]; /* repeated where there are fewer */
} columns[COLUMNS] = {
    {"OK", {LARDER_OK, LARDER_OK, LARDER_OK}},
    {"another answer", {LARDER_MISS, LARDER_CONFLICT, LARDER_MISS}},
    {"UNAVAILABLE, TIMEOUT, PROTOCOL", {LARDER_UNAVAILABLE, LARDER_TIMEOUT, LARDER_PROTOCOL}},
    {"UNKNOWN", {LARDER_UNKNOWN, LARDER_UNKNOWN, LARDER_UNKNOWN}},
    {"another failure", {LARDER_NO_MEMORY, LARDER_TOO_LARGE, LARDER_UNSUPPORTED}},
};

/* Takes the text up to `mark` off *at, without spaces around it. */
static int next_part(char **at, char mark, char part[128])
{
    while (**at == ' ')
        ++*at;
    size_t length = strcspn(*at, (char[]){mark, '\n', '\0'});
    if (length == 0 || length >= 128)
        return 0;
    memcpy(part, *at, length);
    *at += length + ((*at)[length] == mark);
    while (length > 0 && part[length - 1] == ' ')
        length--;
    part[length] = '\0';
    return length > 0;
}

static int read_cells(char *line, char cells[COLUMNS + 1][128])
{
    if (line[0] != '|')
        return 0;
    char *at = line + 1;
    for (size_t i = 0; i <= COLUMNS; i++)
        if (!next_part(&at, '|', cells[i]))
            return 0;
    return 1;
}

static void check_call(const struct call *call, char cells[COLUMNS + 1][128], check_cell_fn *check)
{
    for (size_t column = 0; column < COLUMNS; column++)
        for (size_t i = 0; i < STATUSES; i++)
            for (int is_many = 0; is_many <= call->has_many; is_many++)
                check(call, is_many, columns[column].statuses[i], cells[column + 1]);
}

static const struct call *call_named(const char *name)
{
    for (size_t i = 0; i < CALLS; i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    fail_msg("a table has a call that is not tried: %s", name);
    return NULL;
}

static void check_row(char cells[COLUMNS + 1][128], unsigned checked[CALLS], check_cell_fn *check)
{
    char *at = cells[0], name[128];
    while (next_part(&at, ',', name)) {
        const struct call *call = call_named(name);
        check_call(call, cells, check);
        checked[call - calls]++;
    }
}

void every_cell(const char *page_path, check_cell_fn *check)
{
    char line[1024], cells[COLUMNS + 1][128];
    unsigned checked[CALLS] = {0};
    int in_table = 0;
    FILE *page = fopen(page_path, "r");
    assert_non_null(page);
    while (fgets(line, sizeof(line), page) != NULL) {
        int is_row = read_cells(line, cells);
        if (is_row && strcmp(cells[0], "call") == 0) {
            in_table = 1;
            for (size_t i = 0; i < COLUMNS; i++)
                assert_string_equal(cells[i + 1], columns[i].title);
        } else if (is_row && in_table && cells[0][0] != '-') {
            check_row(cells, checked, check);
        } else if (!is_row) {
            in_table = 0;
        }
    }
    fclose(page);
    for (size_t i = 0; i < CALLS; i++)
        if (checked[i] != 1)
            fail_msg("%s is in %u rows of %s", calls[i].name, checked[i], page_path);
}
