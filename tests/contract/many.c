/* Many keys at once: each row is answered as the single form would, and none stops another. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 300

struct rows {
    struct larder_row row[ROWS];
    char buffer[ROWS][32];
};

static struct larder_slice numbered(struct fixture *fixture, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), "row %u", number);
    return key(fixture, name);
}

static struct rows *make_rows(struct fixture *fixture)
{
    struct rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL)
        exit(1);
    for (unsigned i = 0; i < ROWS; i++) {
        rows->row[i].key = numbered(fixture, i);
        rows->row[i].buffer = rows->buffer[i];
        rows->row[i].size = sizeof(rows->buffer[i]);
        rows->row[i].write = larder_write_of(rows->row[i].key, AGEING_LONG_MS);
        rows->row[i].write.flags = i;
        rows->row[i].status = LARDER_WOULD_BLOCK;
    }
    return rows;
}

static void many_keys_are_stored_read_touched_and_deleted(struct fixture *fixture)
{
    struct rows *rows = make_rows(fixture);
    struct larder_row *row = rows->row;
    struct larder_cache *cache = fixture->cache;
    expect(fixture, LARDER_OK, larder_get_multi(cache, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++)
        expect(fixture, LARDER_MISS, row[i].status);
    expect(fixture, LARDER_OK, larder_store_multi(cache, LARDER_SET, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++)
        expect(fixture, LARDER_OK, row[i].status);
    expect(fixture, LARDER_OK, larder_read_multi(cache, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++) {
        expect(fixture, LARDER_OK, row[i].status);
        expect_slice(fixture, row[i].key, larder_bytes(row[i].buffer, row[i].value.info.length));
        expect_number(fixture, i, row[i].value.info.flags);
    }
    expect(fixture, LARDER_OK, larder_get_multi(cache, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++) {
        expect(fixture, LARDER_OK, row[i].status);
        expect_slice(fixture, row[i].key, row[i].value.bytes);
        expect_number(fixture, i, row[i].value.info.flags);
    }
    larder_rows_release(row, ROWS);
    expect(fixture, if_can(fixture, LARDER_CAN_TOUCH, LARDER_OK),
           larder_touch_multi(cache, row, ROWS));
    expect(fixture, LARDER_OK, larder_delete_multi(cache, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++)
        expect(fixture, LARDER_OK, row[i].status);
    expect(fixture, LARDER_OK, larder_delete_multi(cache, row, ROWS));
    for (unsigned i = 0; i < ROWS; i++)
        expect(fixture, LARDER_MISS, row[i].status);
    free(rows);
}

static void no_rows_is_ok(struct fixture *fixture)
{
    struct larder_row row = {.status = LARDER_WOULD_BLOCK};
    for (int many = LARDER_MANY_READ; many <= LARDER_MANY_TOUCH; many++) {
        expect(fixture, LARDER_OK,
               larder_many(fixture->cache, NULL, (enum larder_many_kind)many, LARDER_SET, NULL, 0,
                           sizeof(row)));
        expect(fixture, LARDER_OK,
               larder_many(fixture->cache, NULL, (enum larder_many_kind)many, LARDER_SET, &row, 0,
                           sizeof(row)));
    }
    expect(fixture, LARDER_WOULD_BLOCK, row.status);
}

static void a_key_named_twice_is_answered_twice(struct fixture *fixture)
{
    struct larder_row rows[4] = {{.key = key(fixture, "k")},
                                 {.key = key(fixture, "none")},
                                 {.key = key(fixture, "k")},
                                 {.key = key(fixture, "none")}};
    char buffer[4][8];
    put(fixture, rows[0].key, "v");
    for (unsigned i = 0; i < 4; i++) {
        rows[i].buffer = buffer[i];
        rows[i].size = 8;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        expect(fixture, LARDER_OK,
               pass == 0 ? larder_read_multi(fixture->cache, rows, 4)
                         : larder_get_multi(fixture->cache, rows, 4));
        for (unsigned i = 0; i < 4; i++)
            expect(fixture, i % 2 == 0 ? LARDER_OK : LARDER_MISS, rows[i].status);
        expect_slice(fixture, larder_text("v"),
                     pass == 0 ? larder_bytes(buffer[2], 1) : rows[2].value.bytes);
    }
    larder_rows_release(rows, 4);
    expect(fixture, LARDER_OK, larder_delete_multi(fixture->cache, rows, 4));
    expect(fixture, LARDER_OK, rows[0].status);
    expect(fixture, LARDER_MISS, rows[2].status);
    rows[0].write = rows[2].write = larder_write_of(larder_text("first"), 0);
    rows[2].write.value = larder_text("second");
    rows[1] = rows[2];
    expect(fixture, LARDER_OK, larder_store_multi(fixture->cache, LARDER_SET, rows, 2));
    expect_text(fixture, rows[0].key, "second");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, rows[0].key, 0));
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_OK),
           larder_store_multi(fixture->cache, LARDER_ADD, rows, 2));
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_OK), rows[0].status);
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_EXISTS), rows[1].status);
}

static void fill_mixed(struct fixture *fixture, struct larder_row rows[5])
{
    memset(rows, 0, 5 * sizeof(rows[0]));
    rows[0].key = key(fixture, "first");
    rows[1].key = larder_bytes("", 0);
    rows[2].key = key(fixture, "middle");
    rows[3].key = larder_bytes("k", LARDER_KEY_BYTES_MAX + 1);
    rows[4].key = key(fixture, "last");
    for (unsigned i = 0; i < 5; i++) {
        rows[i].status = LARDER_WOULD_BLOCK;
        rows[i].write = larder_write_of(larder_text("v"), 0);
    }
}

static void a_bad_key_stops_no_other(struct fixture *fixture)
{
    struct larder_row rows[5];
    for (int many = LARDER_MANY_READ; many <= LARDER_MANY_TOUCH; many++) {
        enum larder_status wanted =
            many == LARDER_MANY_TOUCH ? if_can(fixture, LARDER_CAN_TOUCH, LARDER_OK) : LARDER_OK;
        fill_mixed(fixture, rows);
        if (many != LARDER_MANY_STORE)
            for (unsigned i = 0; i < 5; i += 2)
                put(fixture, rows[i].key, "");
        expect(fixture, wanted < LARDER_BAD_KEY ? wanted : LARDER_BAD_KEY,
               larder_many(fixture->cache, NULL, (enum larder_many_kind)many, LARDER_SET, rows, 5,
                           sizeof(rows[0])));
        for (unsigned i = 0; i < 5; i++)
            expect(fixture, i % 2 == 0 ? wanted : LARDER_BAD_KEY, rows[i].status);
        larder_rows_release(rows, 5);
    }
}

static void the_whole_answers_the_lowest_failure(struct fixture *fixture)
{
    struct larder_row rows[5];
    fill_mixed(fixture, rows);
    rows[4].write.ttl_ms = -7;
    expect(fixture, LARDER_BAD_KEY, larder_store_multi(fixture->cache, LARDER_SET, rows, 5));
    expect(fixture, LARDER_BAD_ARGUMENT, rows[4].status);
    expect(fixture, LARDER_OK, rows[0].status);
    expect_none(fixture, rows[4].key, LARDER_MISS);
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_store_multi(fixture->cache, LARDER_SET, rows + 4, 1));
}

static void check_row(struct fixture *fixture, struct larder_row *row, int is_there, int is_read)
{
    expect(fixture, is_there ? LARDER_OK : LARDER_MISS, row->status);
    if (!is_there)
        return;
    expect_slice(fixture, row->key,
                 is_read ? larder_bytes(row->buffer, row->value.info.length) : row->value.bytes);
    larder_value_release(&row->value);
}

/* However many a cache takes at a time, and whichever of them are missing. */
static void any_count_of_rows_is_answered(struct fixture *fixture)
{
    static const unsigned counts[] = {1, 15, 16, 17, 31, 33, 63, 64, 65, 129};
    struct rows *rows = make_rows(fixture);
    struct larder_row *row = rows->row;
    for (unsigned i = 0; i < ROWS; i++)
        if (i % 3 != 0)
            expect(fixture, LARDER_OK, larder_set(fixture->cache, row[i].key, row[i].key, 0));
    for (unsigned i = 0; i < 2 * sizeof(counts) / sizeof(counts[0]); i++) {
        unsigned count = counts[i / 2];
        memset(rows->buffer, '#', sizeof(rows->buffer));
        row[count].status = LARDER_WOULD_BLOCK;
        expect(fixture, LARDER_OK,
               larder_many(fixture->cache, NULL, i % 2 == 0 ? LARDER_MANY_READ : LARDER_MANY_GET,
                           LARDER_SET, row, count, sizeof(row[0])));
        for (unsigned j = 0; j < count; j++)
            check_row(fixture, &row[j], j % 3 != 0, i % 2 == 0);
        expect(fixture, LARDER_WOULD_BLOCK, row[count].status);
    }
    free(rows);
}

static void a_small_buffer_is_partial_in_its_row_only(struct fixture *fixture)
{
    struct larder_row rows[3] = {
        {.key = key(fixture, "a")}, {.key = key(fixture, "b")}, {.key = key(fixture, "c")}};
    char buffer[3][5] = {"####", "####", "####"};
    for (unsigned i = 0; i < 3; i++) {
        put(fixture, rows[i].key, i == 1 ? "long" : "ok");
        rows[i].buffer = buffer[i];
        rows[i].size = 2;
    }
    expect(fixture, LARDER_OK, larder_read_multi(fixture->cache, rows, 3));
    expect(fixture, LARDER_OK, rows[0].status);
    expect(fixture, LARDER_PARTIAL, rows[1].status);
    expect(fixture, LARDER_OK, rows[2].status);
    expect_number(fixture, 4, rows[1].value.info.length);
    expect_slice(fixture, larder_text("lo##"), larder_bytes(buffer[1], 4));
    rows[1].buffer = NULL;
    expect(fixture, LARDER_BAD_ARGUMENT, larder_read_multi(fixture->cache, rows, 3));
    expect(fixture, LARDER_BAD_ARGUMENT, rows[1].status);
    expect(fixture, LARDER_OK, rows[2].status);
}

static void rows_carry_versions(struct fixture *fixture)
{
    struct larder_row rows[2] = {{.key = key(fixture, "a")}, {.key = key(fixture, "b")}};
    if (!can(fixture, LARDER_CAN_CAS)) {
        leave_out(fixture, "traits lack CAS");
        return;
    }
    put(fixture, rows[0].key, "1");
    put(fixture, rows[1].key, "1");
    rows[0].value.info.want = rows[1].value.info.want = LARDER_WANT_VERSION;
    expect(fixture, LARDER_OK, larder_get_multi(fixture->cache, rows, 2));
    for (unsigned i = 0; i < 2; i++) {
        expect_number(fixture, version_of(fixture, rows[i].key), rows[i].value.info.version);
        rows[i].write = larder_write_of(larder_text("2"), 0);
        rows[i].write.version = rows[i].value.info.version;
        larder_value_release(&rows[i].value);
    }
    put(fixture, rows[1].key, "another's");
    expect(fixture, LARDER_OK, larder_store_multi(fixture->cache, LARDER_CAS, rows, 2));
    expect(fixture, LARDER_OK, rows[0].status);
    expect(fixture, LARDER_CONFLICT, rows[1].status);
    if (can(fixture, LARDER_CAN_STORE_VERSION))
        expect_number(fixture, version_of(fixture, rows[0].key), rows[0].value.info.version);
    if (!can(fixture, LARDER_CAN_DELETE_VERSION))
        return;
    rows[0].write.version = version_of(fixture, rows[0].key);
    expect(fixture, LARDER_OK, larder_delete_multi(fixture->cache, rows, 2));
    expect(fixture, LARDER_OK, rows[0].status);
    expect(fixture, LARDER_CONFLICT, rows[1].status);
    expect_text(fixture, rows[1].key, "another's");
}

static void every_mode_has_a_multi_form(struct fixture *fixture)
{
    static const uint64_t needs[] = {0, LARDER_CAN_ADD, LARDER_CAN_REPLACE, LARDER_CAN_APPEND,
                                     LARDER_CAN_APPEND};
    static const char *const after[] = {"x", "ab", "x", "abx", "xab"};
    for (int mode = LARDER_SET; mode <= LARDER_PREPEND; mode++) {
        struct larder_row rows[2] = {{.key = key(fixture, "live")}, {.key = key(fixture, "none")}};
        put(fixture, rows[0].key, "ab");
        larder_invalidate(fixture->cache, rows[1].key);
        rows[0].write = rows[1].write = larder_write_of(larder_text("x"), 0);
        expect(fixture, if_can(fixture, needs[mode], LARDER_OK),
               larder_store_multi(fixture->cache, (enum larder_mode)mode, rows, 2));
        if (!can(fixture, needs[mode])) {
            expect_text(fixture, rows[0].key, "ab");
            continue;
        }
        expect(fixture, mode == LARDER_ADD ? LARDER_EXISTS : LARDER_OK, rows[0].status);
        expect(fixture, mode <= LARDER_ADD ? LARDER_OK : LARDER_MISS, rows[1].status);
        expect_text(fixture, rows[0].key, after[mode]);
    }
}

static void rows_may_have_grown(struct fixture *fixture)
{
    struct {
        struct larder_row row;
        char more[40];
    } grown[3];
    memset(grown, 0, sizeof(grown));
    for (unsigned i = 0; i < 3; i++) {
        grown[i].row.key = numbered(fixture, i);
        grown[i].row.write = larder_write_of(grown[i].row.key, 0);
        memset(grown[i].more, '#', sizeof(grown[i].more));
    }
    expect(fixture, LARDER_OK,
           larder_many(fixture->cache, NULL, LARDER_MANY_STORE, LARDER_SET, &grown[0].row, 3,
                       sizeof(grown[0])));
    expect(fixture, LARDER_OK,
           larder_many(fixture->cache, NULL, LARDER_MANY_GET, LARDER_SET, &grown[0].row, 3,
                       sizeof(grown[0])));
    for (unsigned i = 0; i < 3; i++) {
        expect(fixture, LARDER_OK, grown[i].row.status);
        expect_slice(fixture, grown[i].row.key, grown[i].row.value.bytes);
        expect_that(fixture, grown[i].more[0] == '#' && grown[i].more[39] == '#');
        larder_value_release(&grown[i].row.value);
    }
}

static void bad_multi_arguments_are_refused(struct fixture *fixture)
{
    struct larder_row row = {.key = key(fixture, "k")};
    struct larder_cache *cache = fixture->cache;
    const size_t size = sizeof(row);
    row.write = larder_write_of(larder_text("v"), 0);
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(cache, NULL, (enum larder_many_kind)5, LARDER_SET, &row, 1, size));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(cache, NULL, LARDER_MANY_STORE, (enum larder_mode)6, &row, 1, size));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, NULL, 1, size));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, &row, 1, size - 1));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(cache, NULL, LARDER_MANY_STORE, LARDER_SET, &row, 1, 0));
    expect(fixture, LARDER_BAD_ARGUMENT,
           larder_many(NULL, NULL, LARDER_MANY_STORE, LARDER_SET, &row, 1, size));
    expect_none(fixture, row.key, LARDER_MISS);
}

const struct contract_test many_tests[] = {
    CONTRACT_TEST(many_keys_are_stored_read_touched_and_deleted),
    CONTRACT_TEST(no_rows_is_ok),
    CONTRACT_TEST(a_key_named_twice_is_answered_twice),
    CONTRACT_TEST(a_bad_key_stops_no_other),
    CONTRACT_TEST(the_whole_answers_the_lowest_failure),
    CONTRACT_TEST(any_count_of_rows_is_answered),
    CONTRACT_TEST(a_small_buffer_is_partial_in_its_row_only),
    CONTRACT_TEST(rows_carry_versions),
    CONTRACT_TEST(every_mode_has_a_multi_form),
    CONTRACT_TEST(rows_may_have_grown),
    CONTRACT_TEST(bad_multi_arguments_are_refused),
    CONTRACT_TESTS_END,
};
