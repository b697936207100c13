/* What goes in comes out: bytes, lengths, flags, buffers and views. */
#include "contract.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BIG_BYTES 100000u

static void a_set_value_reads_back(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    put(fixture, there, "one");
    expect_text(fixture, there, "one");
    put(fixture, there, "another, longer one");
    expect_text(fixture, there, "another, longer one");
    put(fixture, there, "2");
    expect_text(fixture, there, "2");
}

static void a_value_of_no_bytes_is_a_value(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k"), null_data = key(fixture, "null");
    put(fixture, there, "not empty");
    put(fixture, there, "");
    expect_text(fixture, there, "");
    expect(fixture, LARDER_OK, larder_set(fixture->cache, null_data, larder_bytes(NULL, 0), 0));
    expect_text(fixture, null_data, "");
    expect(fixture, LARDER_OK, larder_read(fixture->cache, there, NULL, 0, NULL));
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_EXISTS),
           larder_add(fixture->cache, there, larder_text("x"), 0));
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
}

static void every_byte_round_trips(struct fixture *fixture)
{
    static const size_t lengths[] = {1, 2, 255, 256, 257, 4095, 4096, 4097, 65536, BIG_BYTES};
    unsigned char every[256];
    for (unsigned i = 0; i < 256; i++)
        every[i] = (unsigned char)i;
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key(fixture, "all"), larder_bytes(every, 256), 0));
    expect_value(fixture, key(fixture, "all"), larder_bytes(every, 256));
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        unsigned char *bytes = filled(lengths[i], i);
        struct larder_slice value = larder_bytes(bytes, lengths[i]);
        expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), value, 0));
        expect_value(fixture, key(fixture, "k"), value);
        free(bytes);
    }
}

static void protocol_words_are_only_bytes(struct fixture *fixture)
{
    static const char *const words[] = {
        "END\r\n", "\r\n", "STORED", "VALUE k 0 1\r\nx\r\nEND\r\n", "ERROR\r\n", "flush_all\r\n"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        put(fixture, key(fixture, "k"), words[i]);
        expect_text(fixture, key(fixture, "k"), words[i]);
    }
}

static void all_32_bits_of_flags_round_trip(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    for (unsigned bit = 0; bit < 34; bit++) {
        struct larder_value value = {0};
        write.flags = bit < 32 ? UINT32_C(1) << bit : bit == 32 ? UINT32_MAX : 0;
        expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_SET, there, &write, NULL));
        expect_number(fixture, write.flags, flags_of(fixture, there));
        expect(fixture, LARDER_OK, larder_get(fixture->cache, there, &value));
        expect_number(fixture, write.flags, value.info.flags);
        larder_value_release(&value);
    }
}

static void append_and_prepend_keep_flags(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_write write = larder_write_of(larder_text("b"), 0);
    if (!can(fixture, LARDER_CAN_APPEND)) {
        leave_out(fixture, "traits lack APPEND");
        return;
    }
    write.flags = 0xabcdef01u;
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_SET, there, &write, NULL));
    write = larder_write_of(larder_text("c"), 0);
    write.flags = 5;
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_APPEND, there, &write, NULL));
    write.value = larder_text("a");
    expect(fixture, LARDER_OK, larder_store(fixture->cache, LARDER_PREPEND, there, &write, NULL));
    expect_text(fixture, there, "abc");
    expect_number(fixture, 0xabcdef01u, flags_of(fixture, there));
    expect(fixture, LARDER_OK, larder_append(fixture->cache, there, larder_text("")));
    expect_text(fixture, there, "abc");
}

static void a_smaller_buffer_gets_the_start_of_a_value(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    put(fixture, there, "0123456789");
    for (size_t size = 0; size <= 12; size++) {
        char buffer[13] = "############";
        struct larder_info info = {0};
        expect(fixture, size < 10 ? LARDER_PARTIAL : LARDER_OK,
               larder_read(fixture->cache, there, buffer, size, &info));
        size_t copied = size < 10 ? size : 10;
        expect_number(fixture, 10, info.length);
        expect_slice(fixture, larder_bytes("0123456789", copied), larder_bytes(buffer, copied));
        expect_slice(fixture, larder_bytes("############", 12 - copied),
                     larder_bytes(buffer + copied, 12 - copied));
    }
    expect(fixture, LARDER_PARTIAL, larder_read(fixture->cache, there, NULL, 0, NULL));
}

static void a_miss_hands_out_nothing(struct fixture *fixture)
{
    expect_none(fixture, key(fixture, "never stored"), LARDER_MISS);
}

/* ---- views --------------------------------------------------------------------------------- */

static const size_t view_lengths[] = {0, 1, 4096, 4097, BIG_BYTES};
#define VIEWS (sizeof(view_lengths) / sizeof(view_lengths[0]))

static void take_views(struct fixture *fixture, struct larder_value views[VIEWS])
{
    for (unsigned i = 0; i < VIEWS; i++) {
        unsigned char *bytes = filled(view_lengths[i], i);
        char name[2] = {(char)('a' + i), '\0'};
        views[i] = (struct larder_value){0};
        expect(fixture, LARDER_OK,
               larder_set(fixture->cache, key(fixture, name), larder_bytes(bytes, view_lengths[i]),
                          0));
        expect(fixture, LARDER_OK, larder_get(fixture->cache, key(fixture, name), &views[i]));
        free(bytes);
    }
}

static void expect_views(struct fixture *fixture, const struct larder_value views[VIEWS])
{
    for (unsigned i = 0; i < VIEWS; i++) {
        unsigned char *bytes = filled(view_lengths[i], i);
        expect_slice(fixture, larder_bytes(bytes, view_lengths[i]), views[i].bytes);
        free(bytes);
    }
}

static void release_views(struct larder_value views[VIEWS])
{
    for (unsigned i = 0; i < VIEWS; i++)
        larder_value_release(&views[i]);
}

/* What comes in says nothing: neither what is in the view nor what was. */
static struct larder_value view_taken(struct fixture *fixture, struct larder_slice wanted)
{
    char nothing = 'q';
    struct larder_value view = {.bytes = larder_bytes(&nothing, 1),
                                .info = {0, 77, 77, 77, 77, 77, 0, 77}};
    expect(fixture, LARDER_OK, larder_get(fixture->cache, key(fixture, "k"), &view));
    expect_slice(fixture, wanted, view.bytes);
    expect_number(fixture, 0, view.info.flags | view.info.version | view.info.marks);
    expect_number(fixture, wanted.length, view.info.length);
    expect_number(fixture, 1, view.info.ttl_ms == LARDER_TTL_UNKNOWN && view.info.idle_ms == -1);
    return view;
}

/* Two are there at once; of one that was released a third may have the memory. */
static void views_of_any_length_are_each_their_own(struct fixture *fixture)
{
    static const size_t lengths[] = {0,   1,   47,  48,  49,  63,  64,  65,  100,
                                     112, 113, 127, 128, 129, 239, 240, 241, 600};
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        unsigned char *bytes = filled(lengths[i], i), *others = filled(lengths[i], i + 1);
        struct larder_slice wanted = larder_bytes(bytes, lengths[i]);
        struct larder_slice other = larder_bytes(others, lengths[i]);
        expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), wanted, 0));
        struct larder_value first = view_taken(fixture, wanted);
        struct larder_value second = view_taken(fixture, wanted);
        expect(fixture, LARDER_OK, larder_set(fixture->cache, key(fixture, "k"), other, 0));
        larder_value_release(&first);
        first = view_taken(fixture, other);
        expect_slice(fixture, wanted, second.bytes);
        larder_value_release(&second);
        expect_slice(fixture, other, first.bytes);
        larder_value_release(&first);
        free(bytes);
        free(others);
    }
}

static void views_outlive_overwrite_delete_and_flush(struct fixture *fixture)
{
    struct larder_value views[VIEWS];
    take_views(fixture, views);
    for (unsigned i = 0; i < VIEWS; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        put(fixture, key(fixture, name), "overwritten");
    }
    expect_views(fixture, views);
    release_views(views);
    take_views(fixture, views);
    for (unsigned i = 0; i < VIEWS; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        expect(fixture, LARDER_OK, larder_delete(fixture->cache, key(fixture, name), 0));
    }
    expect_views(fixture, views);
    release_views(views);
    take_views(fixture, views);
    if (can(fixture, LARDER_CAN_FLUSH))
        expect(fixture, LARDER_OK, flush(fixture, fixture->handle));
    expect_views(fixture, views);
    release_views(views);
}

static void views_outlive_close(struct fixture *fixture)
{
    struct larder_value views[VIEWS];
    take_views(fixture, views);
    fixture_check(fixture);
    fixture_close(fixture);
    expect_views(fixture, views);
    release_views(views);
}

static void a_view_is_released_twice_harmlessly(struct fixture *fixture)
{
    struct larder_slice there = key(fixture, "k");
    struct larder_value value = {0}, empty = {0};
    put(fixture, there, "v");
    expect(fixture, LARDER_OK, larder_get(fixture->cache, there, &value));
    larder_value_release(&value);
    larder_value_release(&value);
    expect_that(fixture, value.owner == NULL && value.bytes.length == 0);
    larder_value_release(&empty);
    larder_value_release(NULL);
    expect_text(fixture, there, "v");
}

static void *release_there(void *value)
{
    larder_value_release(value);
    return NULL;
}

static void a_view_is_released_in_another_thread(struct fixture *fixture)
{
    struct larder_value views[VIEWS];
    pthread_t thread;
    take_views(fixture, views);
    for (unsigned i = 0; i < VIEWS; i++) {
        expect_number(fixture, 0, pthread_create(&thread, NULL, release_there, &views[i]));
        expect_number(fixture, 0, pthread_join(thread, NULL));
    }
}

/* ---- the largest value --------------------------------------------------------------------- */

/* Asked for more than this, a test machine would only be measured. */
#define TRIED_BYTES_MAX (UINT64_C(32) << 20)

/* May evict everything else: it uses no witness. */
static void a_value_of_value_max_is_stored(struct fixture *fixture)
{
    size_t largest = (size_t)fixture->traits->value_max;
    struct larder_slice there = larder_text("of value_max");
    if (fixture->traits->value_max > TRIED_BYTES_MAX) {
        leave_out(fixture, "traits' value_max is over 32 MiB");
        return;
    }
    unsigned char *bytes = filled(largest, 1);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, larder_bytes(bytes, largest), 0));
    expect_value(fixture, there, larder_bytes(bytes, largest));
    expect(fixture, LARDER_OK, larder_delete(fixture->cache, there, 0));
    free(bytes);
}

static void refuse_in_every_mode(struct fixture *fixture, struct larder_slice too_large)
{
    struct larder_slice there = key(fixture, "k");
    static const struct {
        enum larder_mode mode;
        uint64_t needs;
    } modes[] = {{LARDER_SET, 0},
                 {LARDER_REPLACE, LARDER_CAN_REPLACE},
                 {LARDER_APPEND, LARDER_CAN_APPEND},
                 {LARDER_PREPEND, LARDER_CAN_APPEND},
                 {LARDER_CAS, LARDER_CAN_CAS}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct larder_write write = larder_write_of(too_large, 0);
        if (!can(fixture, modes[i].needs))
            continue;
        if (modes[i].mode == LARDER_CAS)
            write.version = version_of(fixture, there);
        expect(fixture, LARDER_TOO_LARGE,
               larder_store(fixture->cache, modes[i].mode, there, &write, NULL));
        expect_text(fixture, there, "old");
    }
}

static void a_larger_value_is_refused_and_the_old_one_stays(struct fixture *fixture)
{
    size_t largest = (size_t)fixture->traits->value_max;
    if (fixture->traits->value_max > TRIED_BYTES_MAX) {
        leave_out(fixture, "traits' value_max is over 32 MiB");
        return;
    }
    unsigned char *bytes = filled(largest + 1, 1);
    put(fixture, key(fixture, "k"), "old");
    refuse_in_every_mode(fixture, larder_bytes(bytes, largest + 1));
    expect(fixture, if_can(fixture, LARDER_CAN_ADD, LARDER_TOO_LARGE),
           larder_add(fixture->cache, key(fixture, "new"), larder_bytes(bytes, largest + 1), 0));
    expect_none(fixture, key(fixture, "new"), LARDER_MISS);
    free(bytes);
}

/* Well over it: a limit that counts a server's overhead may let some bytes more pass. */
#define WELL_OVER_BYTES 65536u

static void append_over_value_max_is_refused_and_the_old_one_stays(struct fixture *fixture)
{
    size_t largest = (size_t)fixture->traits->value_max;
    struct larder_slice there = key(fixture, "k");
    if (!can(fixture, LARDER_CAN_APPEND) || fixture->traits->value_max > TRIED_BYTES_MAX) {
        leave_out(fixture, "traits lack APPEND, or their value_max is over 32 MiB");
        return;
    }
    unsigned char *bytes = filled(largest, 1);
    struct larder_slice old = larder_bytes(bytes, WELL_OVER_BYTES);
    struct larder_slice more = larder_bytes(bytes, largest);
    expect(fixture, LARDER_OK, larder_set(fixture->cache, there, old, 0));
    expect(fixture, LARDER_TOO_LARGE, larder_append(fixture->cache, there, more));
    expect_value(fixture, there, old);
    expect(fixture, LARDER_TOO_LARGE, larder_prepend(fixture->cache, there, more));
    expect_value(fixture, there, old);
    free(bytes);
}

const struct contract_test value_tests[] = {
    CONTRACT_TEST(a_set_value_reads_back),
    CONTRACT_TEST(a_value_of_no_bytes_is_a_value),
    CONTRACT_TEST(every_byte_round_trips),
    CONTRACT_TEST(protocol_words_are_only_bytes),
    CONTRACT_TEST(all_32_bits_of_flags_round_trip),
    CONTRACT_TEST(append_and_prepend_keep_flags),
    CONTRACT_TEST(a_smaller_buffer_gets_the_start_of_a_value),
    CONTRACT_TEST(a_miss_hands_out_nothing),
    CONTRACT_TEST(views_of_any_length_are_each_their_own),
    CONTRACT_TEST(views_outlive_overwrite_delete_and_flush),
    CONTRACT_TEST(views_outlive_close),
    CONTRACT_TEST(a_view_is_released_twice_harmlessly),
    CONTRACT_TEST(a_view_is_released_in_another_thread),
    CONTRACT_TEST(a_value_of_value_max_is_stored),
    CONTRACT_TEST(a_larger_value_is_refused_and_the_old_one_stays),
    CONTRACT_TEST(append_over_value_max_is_refused_and_the_old_one_stays),
    CONTRACT_TESTS_END,
};
