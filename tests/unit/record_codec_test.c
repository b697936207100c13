/* The published record format: docs/record-codec.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <larder/util/record_codec.h>

#define R LARDER_RECORD_FLAGS

/* ---- vectors ------------------------------------------------------------------------------- */

struct vector {
    const char *header; /* in hexadecimal; the text after '+' is the payload as it is */
    struct larder_record record;
};

#define SLICE(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

/* 1700000000000 is 0x018bcfe56800. */
static const struct vector vectors[] = {
    {"c94c520100000000"
     "00000000"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000000000000000",
     {.kind = LARDER_RECORD_VALUE, .stored_ms = 1700000000000}},
    {"c94c520100000000"
     "0000002a"
     "000000fa"
     "0000018bcfe56800"
     "0000018bcfe64488"
     "0000018bcfe65260"
     "+hello",
     {.kind = LARDER_RECORD_VALUE,
      .flags = 42,
      .load_ms = 250,
      .stored_ms = 1700000000000,
      .soft_ms = 1700000056456,
      .hard_ms = 1700000060000,
      .payload = SLICE("hello")}},
    {"c94c520100000000"
     "a9d36c4b"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000000000000000"
     "+v",
     {.kind = LARDER_RECORD_VALUE, .flags = R, .stored_ms = 1700000000000, .payload = SLICE("v")}},
    {"c94c520101000100"
     "00000000"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000000000000000"
     "0123456789abcdef"
     "0000018bcfe58f10",
     {.kind = LARDER_RECORD_PENDING,
      .stored_ms = 1700000000000,
      .token = UINT64_C(0x0123456789abcdef),
      .lease_end_ms = 1700000010000}},
    {"c94c520102000000"
     "00000000"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000018bcfe65260",
     {.kind = LARDER_RECORD_ABSENT, .stored_ms = 1700000000000, .hard_ms = 1700000060000}},
    {"c94c520100000100"
     "00000007"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000018bcfe65260"
     "ffffffffffffffff"
     "0000018bcfe58f10"
     "+old",
     {.kind = LARDER_RECORD_VALUE,
      .flags = 7,
      .stored_ms = 1700000000000,
      .hard_ms = 1700000060000,
      .token = UINT64_MAX,
      .lease_end_ms = 1700000010000,
      .payload = SLICE("old")}},
    {"c94c520100030002"
     "00000000"
     "00000000"
     "0000018bcfe56800"
     "0000000000000000"
     "0000000000000000"
     "0475736572"
     "0000000000000001"
     "0170"
     "fffffffffffffffe"
     "+\x1f\x8b",
     {.kind = LARDER_RECORD_VALUE,
      .codec = 3,
      .stored_ms = 1700000000000,
      .tag_count = 2,
      .tags = {{SLICE("user"), 1}, {SLICE("p"), UINT64_MAX - 1}},
      .payload = SLICE("\x1f\x8b")}},
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static unsigned digit(char letter)
{
    return (unsigned)(letter <= '9' ? letter - '0' : letter - 'a' + 10);
}

/* @return how many bytes a vector stands for */
static size_t vector_bytes(const char *text, unsigned char *bytes)
{
    size_t length = 0;
    for (; *text != '\0' && *text != '+'; text += 2)
        bytes[length++] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
    for (text += *text == '+'; *text != '\0'; text++)
        bytes[length++] = (unsigned char)*text;
    return length;
}

static void assert_slice(struct larder_slice wanted, struct larder_slice actual)
{
    assert_int_equal(wanted.length, actual.length);
    if (wanted.length > 0)
        assert_memory_equal(wanted.data, actual.data, wanted.length);
}

static void assert_record(const struct larder_record *wanted, const struct larder_record *actual)
{
    assert_int_equal(wanted->kind, actual->kind);
    assert_int_equal(wanted->codec, actual->codec);
    assert_int_equal(wanted->flags, actual->flags);
    assert_int_equal(wanted->load_ms, actual->load_ms);
    assert_int_equal(wanted->stored_ms, actual->stored_ms);
    assert_int_equal(wanted->soft_ms, actual->soft_ms);
    assert_int_equal(wanted->hard_ms, actual->hard_ms);
    assert_int_equal(wanted->token, actual->token);
    assert_int_equal(wanted->lease_end_ms, actual->lease_end_ms);
    assert_int_equal(wanted->tag_count, actual->tag_count);
    for (size_t i = 0; i < wanted->tag_count; i++) {
        assert_slice(wanted->tags[i].name, actual->tags[i].name);
        assert_int_equal(wanted->tags[i].generation, actual->tags[i].generation);
    }
    assert_slice(wanted->payload, actual->payload);
}

static void the_published_vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        unsigned char bytes[256], header[LARDER_RECORD_HEADER_MAX];
        struct larder_record record;
        size_t length = vector_bytes(vectors[i].header, bytes);
        assert_int_equal(larder_record_decode(R, larder_bytes(bytes, length), &record),
                         LARDER_RECORD_ENVELOPED);
        assert_record(&vectors[i].record, &record);
        size_t written = larder_record_header(&vectors[i].record, header);
        assert_int_equal(written, length - vectors[i].record.payload.length);
        assert_memory_equal(header, bytes, written);
    }
}

static void the_published_numbers_hold(void **state)
{
    (void)state;
    assert_int_equal(LARDER_RECORD_FLAGS, 2849205323u);
    assert_int_equal(LARDER_RECORD_HEADER_MIN, 40);
    assert_int_equal(LARDER_RECORD_HEADER_UNTAGGED_MAX, 56);
    assert_int_equal(LARDER_RECORD_HEADER_MAX, 1224);
}

/* ---- raw ----------------------------------------------------------------------------------- */

static void a_plain_value_goes_raw(void **state)
{
    (void)state;
    struct larder_record plain = larder_record_of(larder_text("v"), 42);
    struct larder_record empty = larder_record_of(larder_text(""), 1);
    struct larder_record decoded;
    assert_true(larder_record_is_raw(&plain));
    assert_true(larder_record_is_raw(&empty));
    assert_int_equal(larder_record_decode(42, larder_text("v"), &decoded), LARDER_RECORD_RAW);
    assert_record(&plain, &decoded);
    assert_int_equal(larder_record_decode(1, larder_text(""), &decoded), LARDER_RECORD_RAW);
    assert_record(&empty, &decoded);
}

static void what_is_not_plain_is_enveloped(void **state)
{
    (void)state;
    struct larder_record record = larder_record_of(larder_text("v"), LARDER_RECORD_FLAGS);
    assert_false(larder_record_is_raw(&record));
    record = larder_record_of(larder_text(""), 0);
    assert_false(larder_record_is_raw(&record));
    const struct larder_record plain = larder_record_of(larder_text("v"), 0);
    assert_true(larder_record_is_raw(&plain));
    record = plain, record.hard_ms = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.soft_ms = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.load_ms = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.token = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.tag_count = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.codec = 1;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.kind = LARDER_RECORD_ABSENT;
    assert_false(larder_record_is_raw(&record));
    record = plain, record.stored_ms = 1; /* nobody needs it alone */
    assert_true(larder_record_is_raw(&record));
}

static void no_bytes_and_flags_0_are_a_placeholder(void **state)
{
    (void)state;
    struct larder_record decoded, wanted = larder_record_of(larder_text(""), 0);
    assert_int_equal(larder_record_decode(0, larder_text(""), &decoded), LARDER_RECORD_PLACEHOLDER);
    assert_record(&wanted, &decoded);
    assert_int_equal(larder_record_decode(0, larder_bytes(NULL, 0), &decoded),
                     LARDER_RECORD_PLACEHOLDER);
}

static void every_flag_but_one_is_raw(void **state)
{
    (void)state;
    struct larder_record decoded;
    unsigned char bytes[256];
    size_t length = vector_bytes(vectors[1].header, bytes);
    for (unsigned bit = 0; bit < 32; bit++)
        assert_int_equal(larder_record_decode(R ^ 1u << bit, larder_bytes(bytes, length), &decoded),
                         LARDER_RECORD_RAW);
}

/* ---- hostile input ------------------------------------------------------------------------- */

static const struct larder_record nothing;

static void expect_form(enum larder_record_form wanted, const void *bytes, size_t length)
{
    struct larder_record record;
    /* a block of its own, so that a sanitizer sees a byte too many */
    void *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    assert_int_equal(larder_record_decode(R, larder_bytes(copy, length), &record), wanted);
    assert_record(&nothing, &record);
    free(copy);
}

static void a_header_cut_short_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        unsigned char bytes[256];
        size_t whole = vector_bytes(vectors[i].header, bytes) - vectors[i].record.payload.length;
        for (size_t length = 0; length < whole; length++)
            expect_form(LARDER_RECORD_MALFORMED, bytes, length);
    }
}

static void every_other_version_is_unknown(void **state)
{
    (void)state;
    unsigned char bytes[256];
    size_t length = vector_bytes(vectors[1].header, bytes);
    for (unsigned version = 0; version < 256; version++) {
        bytes[3] = (unsigned char)version;
        if (version == LARDER_RECORD_VERSION)
            continue;
        expect_form(LARDER_RECORD_UNKNOWN, bytes, length);
        expect_form(LARDER_RECORD_UNKNOWN, bytes, 4); /* whatever follows it */
    }
}

/* Vector, byte, and what it can't be. */
static const struct {
    size_t vector, at;
    unsigned char byte;
} impossible[] = {
    {1, 0, 'C'}, {1, 1, 'l'},  {1, 2, 'r'}, /* the magic */
    {1, 4, 3},   {1, 4, 255},               /* the kind */
    {1, 6, 2},   {1, 6, 0x81},              /* marks */
    {1, 7, 17},  {1, 7, 255},  {1, 7, 1},   /* tags that are not there */
    {1, 4, 1},                              /* a pending value without a lease */
    {1, 4, 2},                              /* a negative one with flags and bytes */
    {4, 4, 1},                              /* a pending one without a lease */
    {3, 4, 2},                              /* a negative one with a lease */
    {3, 5, 1},   {4, 5, 1},                 /* nothing that a codec could be for */
    {3, 8, 1},   {4, 11, 1},                /* flags of no value */
    {3, 12, 1},  {3, 31, 1},   {3, 39, 1},  /* the life of no value */
    {1, 24, 1},                             /* renewed after its death */
    {6, 40, 0},                             /* a tag without a name */
    {6, 40, 65}, {6, 40, 255},              /* one with more bytes than there may be */
};

static void what_can_not_be_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        unsigned char bytes[512] = {0};
        vector_bytes(vectors[impossible[i].vector].header, bytes);
        size_t length = vector_bytes(vectors[impossible[i].vector].header, bytes);
        bytes[impossible[i].at] = impossible[i].byte;
        expect_form(LARDER_RECORD_MALFORMED, bytes, length);
    }
}

static void a_lease_needs_a_token_and_an_end(void **state)
{
    (void)state;
    unsigned char bytes[256];
    size_t length = vector_bytes(vectors[3].header, bytes);
    memset(bytes + 40, 0, 8);
    expect_form(LARDER_RECORD_MALFORMED, bytes, length);
    vector_bytes(vectors[3].header, bytes);
    memset(bytes + 48, 0, 8);
    expect_form(LARDER_RECORD_MALFORMED, bytes, length);
    memset(bytes + 40, 0, 16);
    expect_form(LARDER_RECORD_MALFORMED, bytes, length);
}

static void a_pending_or_negative_record_has_no_payload(void **state)
{
    (void)state;
    for (size_t i = 3; i < 5; i++) {
        unsigned char bytes[256];
        size_t length = vector_bytes(vectors[i].header, bytes);
        bytes[length] = 'x'; /* as a foreign append leaves it */
        expect_form(LARDER_RECORD_MALFORMED, bytes, length + 1);
    }
}

static void what_can_not_be_is_not_written(void **state)
{
    (void)state;
    unsigned char header[LARDER_RECORD_HEADER_MAX];
    struct larder_record record = vectors[1].record;
    record.codec = 256;
    assert_int_equal(larder_record_header(&record, header), 0);
    record.codec = 255;
    assert_int_equal(larder_record_header(&record, header), 40);
    record.token = 1;
    assert_int_equal(larder_record_header(&record, header), 0);
    record.lease_end_ms = 1;
    assert_int_equal(larder_record_header(&record, header), 56);
    record.token = 0;
    assert_int_equal(larder_record_header(&record, header), 0);
    record = vectors[1].record;
    record.soft_ms = record.hard_ms;
    assert_int_equal(larder_record_header(&record, header), 40);
    record.soft_ms++;
    assert_int_equal(larder_record_header(&record, header), 0);
    record = vectors[4].record;
    record.payload = larder_text("x");
    assert_int_equal(larder_record_header(&record, header), 0);
    record = vectors[0].record;
    record.kind = (enum larder_record_kind)3;
    assert_int_equal(larder_record_header(&record, header), 0);
}

/* ---- limits -------------------------------------------------------------------------------- */

static char long_name[LARDER_RECORD_TAG_BYTES_MAX + 1];

static struct larder_record tagged(size_t count, size_t length)
{
    struct larder_record record = vectors[5].record;
    memset(long_name, 't', sizeof(long_name));
    for (size_t i = 0; i < count && i < LARDER_RECORD_TAGS_MAX; i++)
        record.tags[i] = (struct larder_record_tag){larder_bytes(long_name, length), i};
    record.tag_count = count;
    return record;
}

static void a_record_has_up_to_sixteen_tags_of_up_to_64_bytes(void **state)
{
    (void)state;
    unsigned char bytes[LARDER_RECORD_HEADER_MAX + 3];
    struct larder_record decoded, record = tagged(16, 64);
    assert_int_equal(larder_record_header(&record, bytes), LARDER_RECORD_HEADER_MAX);
    memcpy(bytes + LARDER_RECORD_HEADER_MAX, "old", 3);
    assert_int_equal(larder_record_decode(R, larder_bytes(bytes, sizeof(bytes)), &decoded),
                     LARDER_RECORD_ENVELOPED);
    assert_record(&record, &decoded);
    record = tagged(1, 1);
    assert_int_equal(larder_record_header(&record, bytes), 56 + 10);
    record = tagged(15, 63);
    assert_int_equal(larder_record_header(&record, bytes), 56 + 15 * 72);
    record = tagged(17, 1);
    assert_int_equal(larder_record_header(&record, bytes), 0);
    record = tagged(1, 65);
    assert_int_equal(larder_record_header(&record, bytes), 0);
    record = tagged(1, 0);
    assert_int_equal(larder_record_header(&record, bytes), 0);
}

/* Whatever single byte goes wrong: what still decodes has the one form that it is written in. */
static void what_decodes_is_what_would_be_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        unsigned char bytes[256], header[LARDER_RECORD_HEADER_MAX];
        size_t length = vector_bytes(vectors[i].header, bytes);
        for (size_t at = 0; at < length; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                struct larder_record record;
                unsigned char kept = bytes[at];
                bytes[at] = (unsigned char)byte;
                if (larder_record_decode(R, larder_bytes(bytes, length), &record) ==
                    LARDER_RECORD_ENVELOPED) {
                    size_t written = larder_record_header(&record, header);
                    assert_int_equal(written + record.payload.length, length);
                    assert_memory_equal(header, bytes, written);
                }
                bytes[at] = kept;
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_hold),
        cmocka_unit_test(the_published_numbers_hold),
        cmocka_unit_test(a_plain_value_goes_raw),
        cmocka_unit_test(what_is_not_plain_is_enveloped),
        cmocka_unit_test(no_bytes_and_flags_0_are_a_placeholder),
        cmocka_unit_test(every_flag_but_one_is_raw),
        cmocka_unit_test(a_header_cut_short_is_malformed),
        cmocka_unit_test(every_other_version_is_unknown),
        cmocka_unit_test(what_can_not_be_is_malformed),
        cmocka_unit_test(a_lease_needs_a_token_and_an_end),
        cmocka_unit_test(a_pending_or_negative_record_has_no_payload),
        cmocka_unit_test(what_can_not_be_is_not_written),
        cmocka_unit_test(a_record_has_up_to_sixteen_tags_of_up_to_64_bytes),
        cmocka_unit_test(what_decodes_is_what_would_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
