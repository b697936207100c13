/* Records: a header of fixed fields, then a lease and tags where there are any. */
#include <larder/util/record_codec.h>

#include <string.h>

/* No digit, space or sign in front: a server refuses to count on from a record. */
static const unsigned char magic[3] = {0xc9, 'L', 'R'};

#define VERSION_AT 3u
#define MARK_LEASE 1u
#define CODEC_MAX 255u

/* ---- what can be --------------------------------------------------------------------------- */

static int tags_can_be(const struct larder_record *record)
{
    if (record->tag_count > LARDER_RECORD_TAGS_MAX)
        return 0;
    for (size_t i = 0; i < record->tag_count; i++)
        if (record->tags[i].name.length == 0 ||
            record->tags[i].name.length > LARDER_RECORD_TAG_BYTES_MAX)
            return 0;
    return 1;
}

static int has_life(const struct larder_record *record)
{
    return record->soft_ms != 0 || record->hard_ms != 0 || record->load_ms != 0;
}

static int is_bare(const struct larder_record *record)
{
    return record->payload.length == 0 && record->flags == 0 &&
           record->codec == LARDER_RECORD_CODEC_NONE;
}

static int kind_can_be(const struct larder_record *record)
{
    int leased = record->token != 0;
    switch (record->kind) {
    case LARDER_RECORD_VALUE:
        return 1;
    case LARDER_RECORD_PENDING:
        return leased && is_bare(record) && !has_life(record) && record->tag_count == 0;
    case LARDER_RECORD_ABSENT:
        return !leased && is_bare(record);
    }
    return 0;
}

static int record_can_be(const struct larder_record *record)
{
    if ((record->token != 0) != (record->lease_end_ms != 0) || record->codec > CODEC_MAX)
        return 0;
    if (record->hard_ms != 0 && record->soft_ms > record->hard_ms)
        return 0;
    return kind_can_be(record) && tags_can_be(record);
}

struct larder_record larder_record_of(struct larder_slice payload, uint32_t flags)
{
    struct larder_record record;
    memset(&record, 0, sizeof(record));
    record.kind = LARDER_RECORD_VALUE;
    record.flags = flags;
    record.payload = payload;
    return record;
}

int larder_record_is_raw(const struct larder_record *record)
{
    if (record->kind != LARDER_RECORD_VALUE || record->flags == LARDER_RECORD_FLAGS ||
        is_bare(record))
        return 0;
    return record->codec == LARDER_RECORD_CODEC_NONE && !has_life(record) && record->token == 0 &&
           record->tag_count == 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

struct writer {
    unsigned char *at;
};

/* The most significant byte first. */
static void put_number(struct writer *writer, uint64_t number, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--)
        *writer->at++ = (unsigned char)(number >> 8 * (i - 1));
}

static void put_tag(struct writer *writer, const struct larder_record_tag *tag)
{
    put_number(writer, tag->name.length, 1);
    memcpy(writer->at, tag->name.data, tag->name.length);
    writer->at += tag->name.length;
    put_number(writer, tag->generation, 8);
}

size_t larder_record_header(const struct larder_record *record,
                            unsigned char header[LARDER_RECORD_HEADER_MAX])
{
    struct writer writer = {header};
    if (!record_can_be(record))
        return 0;
    memcpy(writer.at, magic, sizeof(magic));
    writer.at += sizeof(magic);
    put_number(&writer, LARDER_RECORD_VERSION, 1);
    put_number(&writer, record->kind, 1);
    put_number(&writer, record->codec, 1);
    put_number(&writer, record->token != 0 ? MARK_LEASE : 0, 1);
    put_number(&writer, record->tag_count, 1);
    put_number(&writer, record->flags, 4);
    put_number(&writer, record->load_ms, 4);
    put_number(&writer, record->stored_ms, 8);
    put_number(&writer, record->soft_ms, 8);
    put_number(&writer, record->hard_ms, 8);
    if (record->token != 0) {
        put_number(&writer, record->token, 8);
        put_number(&writer, record->lease_end_ms, 8);
    }
    for (size_t i = 0; i < record->tag_count; i++)
        put_tag(&writer, &record->tags[i]);
    return (size_t)(writer.at - header);
}

/* ---- reading ------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *at;
    size_t left;
    int is_bad; /* more was asked for than there is, or what is there can not be */
};

static const unsigned char *take(struct reader *reader, size_t bytes)
{
    const unsigned char *taken = reader->at;
    if (bytes > reader->left) {
        reader->is_bad = 1;
        return NULL;
    }
    reader->at += bytes;
    reader->left -= bytes;
    return taken;
}

static uint64_t take_number(struct reader *reader, unsigned bytes)
{
    uint64_t number = 0;
    const unsigned char *at = take(reader, bytes);
    for (unsigned i = 0; at != NULL && i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static void take_tag(struct reader *reader, struct larder_record_tag *tag)
{
    size_t length = (size_t)take_number(reader, 1);
    tag->name = larder_bytes(take(reader, length), length);
    tag->generation = take_number(reader, 8);
}

static void take_lease(struct reader *reader, struct larder_record *record)
{
    record->token = take_number(reader, 8);
    record->lease_end_ms = take_number(reader, 8);
    if (record->token == 0) /* the mark says that there is one */
        reader->is_bad = 1;
}

/* What follows the version. */
static void take_fields(struct reader *reader, struct larder_record *record)
{
    record->kind = (enum larder_record_kind)take_number(reader, 1);
    record->codec = (uint32_t)take_number(reader, 1);
    uint64_t marks = take_number(reader, 1);
    size_t tag_count = (size_t)take_number(reader, 1);
    record->flags = (uint32_t)take_number(reader, 4);
    record->load_ms = (uint32_t)take_number(reader, 4);
    record->stored_ms = take_number(reader, 8);
    record->soft_ms = take_number(reader, 8);
    record->hard_ms = take_number(reader, 8);
    if ((marks & MARK_LEASE) != 0)
        take_lease(reader, record);
    if ((marks & ~(uint64_t)MARK_LEASE) != 0 || tag_count > LARDER_RECORD_TAGS_MAX)
        reader->is_bad = 1; /* nothing of this version has that */
    for (; !reader->is_bad && record->tag_count < tag_count; record->tag_count++)
        take_tag(reader, &record->tags[record->tag_count]);
    record->payload = larder_bytes(reader->at, reader->left);
}

static enum larder_record_form decode_enveloped(struct larder_slice bytes,
                                                struct larder_record *record)
{
    const unsigned char *start = bytes.data;
    struct reader reader = {start, bytes.length, 0};
    if (take(&reader, sizeof(magic)) == NULL || memcmp(start, magic, sizeof(magic)) != 0)
        return LARDER_RECORD_MALFORMED;
    if (take(&reader, 1) == NULL)
        return LARDER_RECORD_MALFORMED;
    if (start[VERSION_AT] != LARDER_RECORD_VERSION)
        return LARDER_RECORD_UNKNOWN;
    take_fields(&reader, record);
    if (!reader.is_bad && record_can_be(record))
        return LARDER_RECORD_ENVELOPED;
    memset(record, 0, sizeof(*record));
    return LARDER_RECORD_MALFORMED;
}

enum larder_record_form larder_record_decode(uint32_t flags, struct larder_slice bytes,
                                             struct larder_record *record)
{
    memset(record, 0, sizeof(*record));
    if (flags == LARDER_RECORD_FLAGS)
        return decode_enveloped(bytes, record);
    *record = larder_record_of(bytes, flags);
    return is_bare(record) ? LARDER_RECORD_PLACEHOLDER : LARDER_RECORD_RAW;
}
