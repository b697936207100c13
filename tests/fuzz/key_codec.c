/*
 * Anything at all as a key: the first byte says whether it is larder's own, the rest are its bytes.
 * What goes out fits memcached, has the form that its bytes and its length ask for, and where it is
 * not hashed it tells the key again.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/key_codec.h>

#define HASHED_BYTES 45u

static void must(int holds)
{
    if (!holds)
        abort();
}

/* As the format says it, without the library's tables. */
static int is_plain(const unsigned char *bytes, size_t length, int is_own)
{
    if (length == 0 || length > LARDER_WIRE_KEY_BYTES_MAX || (bytes[0] == '~' && !is_own))
        return 0;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] <= 0x20 || bytes[i] == 0x7f)
            return 0;
    return 1;
}

/* @return 64 for what is no digit */
static unsigned digit_of(char character)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *found = character != '\0' ? strchr(digits, character) : NULL;
    return found != NULL ? (unsigned)(found - digits) : 64;
}

/* Without padding, and with no bit left over. @return how many bytes */
static size_t decode(const char *text, size_t length, unsigned char *bytes)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = digit_of(text[i]);
        must(digit < 64);
        bits = bits << 6 | digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[count++] = (unsigned char)(bits >> held);
        }
    }
    must((bits & ((1u << held) - 1)) == 0);
    return count;
}

static void check_wire(struct larder_slice key, int is_own, struct larder_slice wire)
{
    const char *text = wire.data;
    unsigned char bytes[LARDER_WIRE_KEY_BYTES_MAX];
    must(larder_wire_key_valid(wire));
    must(is_plain(wire.data, wire.length, 1));
    if (is_plain(key.data, key.length, is_own)) {
        must(wire.data == key.data && wire.length == key.length);
        return;
    }
    must(wire.length >= 2 && text[0] == '~');
    must(text[1] == (key.length <= LARDER_WIRE_KEY_ENCODED_MAX ? 'b' : 'h'));
    size_t count = decode(text + 2, wire.length - 2, bytes);
    if (text[1] == 'h')
        must(wire.length == HASHED_BYTES && count == 32);
    else
        must(count == key.length && memcmp(bytes, key.data, count) == 0);
}

/* What places it lies inside of it, and is never nothing. */
static void check_tag(struct larder_slice key, struct larder_slice tag)
{
    const char *start = key.data, *from = tag.data;
    must(tag.length > 0 && from >= start && from + tag.length <= start + key.length);
    if (tag.length == key.length)
        return;
    must(from[-1] == '{' && from[tag.length] == '}');
    must(memchr(from, '}', tag.length) == NULL);
    must(memchr(start, '{', (size_t)(from - 1 - start)) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct larder_wire_key wire, again;
    if (size == 0)
        return 0;
    int is_own = (data[0] & 1) != 0;
    struct larder_slice key = larder_bytes(data + 1, size - 1);
    uint32_t flags = is_own ? LARDER_SCOPE_OWN_KEY : 0;
    enum larder_status status = larder_key_encode(key, flags, &wire);
    must(status == (key.length == 0 ? LARDER_BAD_KEY : LARDER_OK));
    if (status != LARDER_OK)
        return 0;
    check_wire(key, is_own, wire.bytes);
    must(larder_key_encode(key, flags, &again) == LARDER_OK);
    must(wire.bytes.length == again.bytes.length &&
         memcmp(wire.bytes.data, again.bytes.data, wire.bytes.length) == 0);
    check_tag(key, larder_key_tag(key));
    return 0;
}
