/*
 * The request writer under a fuzzer: whatever is in a request, either nothing is written, or one
 * line is, with its end and no control character before it.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/meta_wire.h>

static void must(int holds)
{
    if (!holds)
        abort();
}

/* Takes bytes off the input; zeros when it is used up. */
static void take(const uint8_t **data, size_t *size, void *into, size_t length)
{
    size_t there = length < *size ? length : *size;
    memset(into, 0, length);
    memcpy(into, *data, there);
    *data += there;
    *size -= there;
}

static struct larder_slice take_slice(const uint8_t **data, size_t *size)
{
    uint8_t length;
    take(data, size, &length, 1);
    size_t there = length < *size ? length : *size;
    struct larder_slice slice = larder_bytes(*data, there);
    *data += there;
    *size -= there;
    return slice;
}

static void check_line(const char *bytes, size_t length)
{
    must(length >= 4 && length <= LARDER_META_REQUEST_BYTES_MAX);
    must(bytes[length - 2] == '\r' && bytes[length - 1] == '\n' && bytes[0] == 'm');
    for (size_t i = 0; i < length - 2; i++)
        must((unsigned char)bytes[i] >= 0x20 && bytes[i] != 0x7f);
    must(memchr(bytes, ' ', length - 2) != NULL || length == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct larder_meta_request request = {0};
    uint8_t command;
    take(&data, &size, &command, 1);
    take(&data, &size, &request.flags, sizeof(request.flags));
    take(&data, &size, &request.mode, 1);
    take(&data, &size, &request.ttl, sizeof(request.ttl));
    take(&data, &size, &request.delta, sizeof(request.delta));
    take(&data, &size, &request.value_length, sizeof(uint32_t));
    request.command = (enum larder_meta_command)(command % 8);
    request.ttl_before = command >> 6 & 1;
    request.recache_s = request.vivify_ttl = request.ttl;
    request.compare = request.initial = request.new_version = request.delta;
    request.opaque = take_slice(&data, &size);
    request.hint_p = take_slice(&data, &size);
    request.hint_l = request.hint_p;
    request.key = take_slice(&data, &size);

    char bytes[LARDER_META_REQUEST_BYTES_MAX];
    struct larder_meta_output output = {bytes, sizeof(bytes), 0};
    if (larder_meta_write(&output, &request) == LARDER_OK)
        check_line(bytes, output.length);
    else
        must(output.length == 0);
    return 0;
}
