/*
 * Anything at all as a record: the first four bytes are the server's flags, the rest its bytes.
 * What decodes must lie inside of what was given, and be written again as the very same bytes.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/record_codec.h>

#define FLAG_BYTES 4u

static void must(int holds)
{
    if (!holds)
        abort();
}

static void must_lie_inside(struct larder_slice part, struct larder_slice whole)
{
    const unsigned char *start = whole.data, *from = part.data;
    must(part.length <= whole.length);
    must(part.length == 0 || (from >= start && from + part.length <= start + whole.length));
}

static void check_enveloped(const struct larder_record *record, struct larder_slice bytes)
{
    unsigned char header[LARDER_RECORD_HEADER_MAX];
    size_t length = larder_record_header(record, header);
    must(length >= LARDER_RECORD_HEADER_MIN && length + record->payload.length == bytes.length);
    must(memcmp(header, bytes.data, length) == 0);
    must_lie_inside(record->payload, bytes);
    for (size_t i = 0; i < record->tag_count; i++)
        must_lie_inside(record->tags[i].name, bytes);
}

static void check_nothing(const struct larder_record *record)
{
    static const struct larder_record nothing;
    must(memcmp(record, &nothing, sizeof(nothing)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct larder_record record;
    uint32_t flags = 0;
    if (size < FLAG_BYTES)
        return 0;
    for (size_t i = 0; i < FLAG_BYTES; i++)
        flags = flags << 8 | data[i];
    struct larder_slice bytes = larder_bytes(data + FLAG_BYTES, size - FLAG_BYTES);
    enum larder_record_form form = larder_record_decode(flags, bytes, &record);
    must((flags == LARDER_RECORD_FLAGS) ==
         (form != LARDER_RECORD_RAW && form != LARDER_RECORD_PLACEHOLDER));
    if (form == LARDER_RECORD_ENVELOPED)
        check_enveloped(&record, bytes);
    else if (form == LARDER_RECORD_RAW || form == LARDER_RECORD_PLACEHOLDER)
        must(larder_record_is_raw(&record) == (form == LARDER_RECORD_RAW));
    else
        check_nothing(&record);
    return 0;
}
