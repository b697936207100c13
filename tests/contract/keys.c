/* Keys are bytes: any bytes, 1 to 65,535 of them, and never anything but a name. */
#include "contract.h"

#include <stdlib.h>
#include <string.h>

/* Stores, counts, joins, reads and deletes under one key: it is a key like any other. */
static void live_a_life(struct fixture *fixture, struct larder_slice there)
{
    key_of(fixture, there);
    larder_invalidate(fixture->cache, there);
    expect_none(fixture, there, LARDER_MISS);
    expect(fixture, LARDER_MISS, larder_delete(fixture->cache, there, 0));
    expect(fixture, if_can(fixture, LARDER_CAN_REPLACE, LARDER_MISS),
           larder_replace(fixture->cache, there, larder_text("1"), 0));
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_OK),
           larder_add(fixture->cache, there, larder_text("1"), 0));
    put(fixture, there, "1");
    expect(fixture, if_can(fixture, LARDER_CAN_COUNT, LARDER_OK),
           larder_incr(fixture->cache, there, 1, NULL, NULL));
    expect(fixture, if_can(fixture, LARDER_CAN_TOUCH, LARDER_OK),
           larder_touch(fixture->cache, there, AGEING_LONG_MS));
    put(fixture, there, "v");
    expect(fixture, if_can(fixture, LARDER_CAN_APPEND, LARDER_OK),
           larder_append(fixture->cache, there, larder_text("")));
    expect_text(fixture, there, "v");
    struct larder_row row = {.key = there};
    expect(fixture, LARDER_OK, larder_get_multi(fixture->cache, &row, 1));
    expect(fixture, LARDER_OK, row.status);
    larder_rows_release(&row, 1);
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    expect_none(fixture, there, LARDER_MISS);
}

static void keys_of_every_length_work(struct fixture *fixture)
{
    static const size_t lengths[] = {1,   2,   127, 128, 184, 185,  186,
                                     249, 250, 251, 255, 256, 4096, LARDER_KEY_BYTES_MAX};
    for (unsigned kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            unsigned char *bytes = filled(lengths[i], (unsigned)i);
            if (kind == 0)
                memset(bytes, 'k', lengths[i]);
            live_a_life(fixture, larder_bytes(bytes, lengths[i]));
            fixture_check(fixture);
            struct larder_slice there = larder_bytes(bytes, lengths[i]);
            if (fixture->witness != NULL)
                expect(fixture, LARDER_OK, larder_delete(fixture->witness, there, 0));
            fixture_forget_keys(fixture);
            free(bytes);
        }
}

static void long_keys_differ_by_one_byte(struct fixture *fixture)
{
    static const size_t places[] = {0, 1, 249, 250, 32768, LARDER_KEY_BYTES_MAX - 1};
    unsigned char *bytes = malloc(LARDER_KEY_BYTES_MAX);
    if (bytes == NULL)
        exit(1);
    memset(bytes, 'k', LARDER_KEY_BYTES_MAX);
    struct larder_slice there = larder_bytes(bytes, LARDER_KEY_BYTES_MAX);
    put(fixture, there, "one");
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        bytes[places[i]] = 'K';
        expect_none(fixture, there, LARDER_MISS);
        bytes[places[i]] = 'k';
    }
    expect_none(fixture, larder_bytes(bytes, LARDER_KEY_BYTES_MAX - 1), LARDER_MISS);
    expect_text(fixture, there, "one");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    free(bytes);
}

static unsigned char one_byte[256];

static struct larder_slice key_of_byte(unsigned byte)
{
    one_byte[byte] = (unsigned char)byte;
    return larder_bytes(&one_byte[byte], 1);
}

static void each_byte_is_a_key_of_its_own(struct fixture *fixture)
{
    unsigned char value;
    for (unsigned byte = 0; byte < 256; byte++) {
        value = (unsigned char)(255 - byte);
        expect(fixture, LARDER_OK,
               larder_set(fixture->cache, key_of(fixture, key_of_byte(byte)),
                          larder_bytes(&value, 1), 0));
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        value = (unsigned char)(255 - byte);
        expect_value(fixture, key_of_byte(byte), larder_bytes(&value, 1));
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, key_of_byte(byte), 0));
    }
}

static void every_byte_stands_in_every_place(struct fixture *fixture)
{
    unsigned char bytes[] = "first-middle-last";
    static const size_t places[] = {0, 8, sizeof(bytes) - 2};
    struct larder_slice there = larder_bytes(bytes, sizeof(bytes) - 1);
    for (size_t place = 0; place < 3; place++)
        for (unsigned byte = 0; byte < 256; byte++) {
            unsigned char kept = bytes[places[place]], value = (unsigned char)byte;
            bytes[places[place]] = (unsigned char)byte;
            expect(fixture, LARDER_OK,
                   larder_set(fixture->cache, there, larder_bytes(&value, 1), 0));
            expect_value(fixture, there, larder_bytes(&value, 1));
            expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
            bytes[places[place]] = kept;
        }
}

static void a_key_with_a_command_in_it_is_only_a_key(struct fixture *fixture)
{
    static const char *const evil[] = {"q\r\nget victim", "q\r\nflush_all", "q\r\ndelete victim",
                                       "q\nflush_all\n",  "q flush_all",    "victim 0 0 1\r\nx",
                                       "victim noreply",  "victim\r\n",     " victim",
                                       "victim "};
    struct larder_slice victim = key_of(fixture, larder_text("victim"));
    put(fixture, victim, "safe");
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        live_a_life(fixture, larder_text(evil[i]));
        expect_text(fixture, victim, "safe");
    }
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, victim, 0));
}

static void a_key_with_nul_in_it_is_whole(struct fixture *fixture)
{
    struct larder_slice head = key_of(fixture, larder_text("head"));
    struct larder_slice whole = key_of(fixture, larder_bytes("head\0tail", 9));
    put(fixture, head, "1");
    put(fixture, whole, "2");
    expect_text(fixture, head, "1");
    expect_text(fixture, whole, "2");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, head, 0));
    expect_text(fixture, whole, "2");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, whole, 0));
}

/* '~' starts what larder itself writes to a server: a caller's key of that shape is the caller's.
 */
static void a_key_like_larders_own_is_the_callers(struct fixture *fixture)
{
    static const char *const names[] = {"~",
                                        "~~",
                                        "~g:main",
                                        "~g:sister",
                                        "~bYQ",
                                        "~h",
                                        "~b",
                                        "~x",
                                        "main:0:k",
                                        "sister:0:k",
                                        "~hAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct larder_slice there = key(fixture, "k");
    put(fixture, there, "stays");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        live_a_life(fixture, larder_text(names[i]));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        put(fixture, larder_text(names[i]), names[i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect_text(fixture, larder_text(names[i]), names[i]);
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, larder_text(names[i]), 0));
    }
    expect_text(fixture, there, "stays");
}

static void a_key_of_no_bytes_or_too_many_is_refused(struct fixture *fixture)
{
    struct larder_slice too_long = {calloc(1, LARDER_KEY_BYTES_MAX + 1), LARDER_KEY_BYTES_MAX + 1};
    struct larder_slice bad[3] = {larder_bytes("k", 0), larder_bytes(NULL, 0), too_long};
    struct larder_value value = {0};
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_lease held = {1, 0};
    for (size_t i = 0; i < 3; i++) {
        struct larder_cache *cache = fixture->cache;
        char byte;
        expect(fixture, LARDER_BAD_KEY, larder_read(cache, bad[i], &byte, 1, NULL));
        expect(fixture, LARDER_BAD_KEY, larder_get(cache, bad[i], &value));
        expect(fixture, LARDER_BAD_KEY, larder_store(cache, LARDER_SET, bad[i], &write, NULL));
        expect(fixture, LARDER_BAD_KEY, larder_store(cache, LARDER_ADD, bad[i], &write, NULL));
        expect(fixture, LARDER_BAD_KEY, larder_delete(cache, bad[i], 0));
        expect(fixture, LARDER_BAD_KEY, larder_invalidate(cache, bad[i]));
        expect(fixture, LARDER_BAD_KEY, larder_touch(cache, bad[i], 0));
        expect(fixture, LARDER_BAD_KEY, larder_get_and_touch(cache, bad[i], 0, &value));
        expect(fixture, LARDER_BAD_KEY, larder_incr(cache, bad[i], 1, NULL, NULL));
        expect(fixture, LARDER_BAD_KEY, lease(fixture, bad[i], 1000, &held));
        held.token = 1;
        expect(fixture, LARDER_BAD_KEY, larder_lease_fill(cache, bad[i], held, &write));
        expect(fixture, LARDER_BAD_KEY, larder_lease_return(cache, bad[i], held));
        size_t length;
        expect(fixture, LARDER_BAD_KEY, larder_wire_key(cache, bad[i], &byte, 1, &length));
    }
    free((void *)(uintptr_t)too_long.data);
}

static void a_wire_key_is_short_printable_and_its_own(struct fixture *fixture)
{
    char wire[512], again[512];
    size_t length = 99, other = 99;
    struct larder_slice plain = key(fixture, "plain");
    struct larder_slice wild = key_of(fixture, larder_bytes("wild \r\n\0", 8));
    enum larder_status wanted = if_can(fixture, LARDER_CAN_WIRE_KEY, LARDER_OK);
    expect(fixture, wanted, larder_wire_key(fixture->cache, wild, wire, sizeof(wire), &length));
    if (wanted != LARDER_OK) {
        expect_number(fixture, 0, length);
        return;
    }
    expect_that(fixture, length > 0 && length <= fixture->traits->key_max);
    for (size_t i = 0; i < length; i++)
        expect_that(fixture, (unsigned char)wire[i] > 0x20 && wire[i] != 0x7f);
    expect(fixture, LARDER_OK, larder_wire_key(fixture->cache, wild, again, sizeof(again), &other));
    expect_slice(fixture, larder_bytes(wire, length), larder_bytes(again, other));
    memset(again, '#', sizeof(again));
    expect(fixture, LARDER_PARTIAL,
           larder_wire_key(fixture->cache, wild, again, length - 1, &other));
    expect_number(fixture, length, other);
    expect_slice(fixture, larder_bytes(wire, length - 1), larder_bytes(again, length - 1));
    expect_that(fixture, again[length - 1] == '#');
    expect(fixture, LARDER_OK,
           larder_wire_key(fixture->cache, plain, again, sizeof(again), &other));
    if (!subject_is_client(fixture->subject))
        expect_slice(fixture, plain, larder_bytes(again, other));
    /* the wire form of one key is not another key's name */
    put(fixture, wild, "wild");
    expect_none(fixture, key_of(fixture, larder_bytes(wire, length)), LARDER_MISS);
    put(fixture, larder_bytes(wire, length), "the wire form as a key");
    expect_text(fixture, wild, "wild");
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, larder_bytes(wire, length), 0));
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, wild, 0));
    fixture_check(fixture);
    fixture_forget_keys(fixture);
}

const struct contract_test key_tests[] = {
    CONTRACT_TEST(keys_of_every_length_work),
    CONTRACT_TEST(long_keys_differ_by_one_byte),
    CONTRACT_TEST(each_byte_is_a_key_of_its_own),
    CONTRACT_TEST(every_byte_stands_in_every_place),
    CONTRACT_TEST(a_key_with_a_command_in_it_is_only_a_key),
    CONTRACT_TEST(a_key_with_nul_in_it_is_whole),
    CONTRACT_TEST(a_key_like_larders_own_is_the_callers),
    CONTRACT_TEST(a_key_of_no_bytes_or_too_many_is_refused),
    CONTRACT_TEST(a_wire_key_is_short_printable_and_its_own),
    CONTRACT_TESTS_END,
};
