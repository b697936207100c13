/*
 * The reply parser under a fuzzer. The first byte chooses the limit of values and a request, the
 * rest is what the server says. Checked: no byte is read past the end, what is whole stays whole
 * with more behind it and was MORE at every shorter length, and what is told lies in what was
 * given.
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

static int within(struct larder_slice slice, const uint8_t *bytes, size_t length)
{
    const uint8_t *first = slice.data;
    return slice.length == 0 || (first >= bytes && first + slice.length <= bytes + length);
}

static void check_whole(const struct larder_meta_reply *reply, struct larder_slice value,
                        const uint8_t *bytes, size_t needed, size_t value_max)
{
    must((unsigned)reply->code < LARDER_META_CODES);
    must(reply->line_length <= LARDER_META_LINE_BYTES_MAX);
    must(value.length == reply->value_length && value.length <= value_max);
    must(within(value, bytes, needed) && within(reply->key, bytes, needed) &&
         within(reply->opaque, bytes, needed) && within(reply->text, bytes, needed));
}

/* Each shorter start asks for more, and never for more than there is. */
static void check_cuts(const uint8_t *bytes, size_t needed, size_t value_max)
{
    struct larder_meta_reply reply;
    struct larder_slice value;
    size_t step = needed / 64 + 1;
    for (size_t length = 0; length < needed; length += step) {
        size_t asked;
        must(larder_meta_parse(bytes, length, value_max, &reply, &value, &asked) ==
             LARDER_META_MORE);
        must(asked > length && asked <= needed);
    }
}

static void check_matches(const struct larder_meta_reply *reply, uint8_t choice)
{
    struct larder_meta_debug debug;
    const struct larder_meta_request request = {
        .command = (enum larder_meta_command)(choice % LARDER_META_COMMANDS),
        .flags = (choice & 8) != 0 ? LARDER_META_FLAG_KEY | LARDER_META_FLAG_OPAQUE : 0,
        .key = larder_text("k"),
        .opaque = larder_text("7"),
    };
    int echoes = request.command < LARDER_META_DEBUG; /* the others never do */
    if (larder_meta_fits(&request, reply) && echoes && reply->cause == LARDER_META_NO_ERROR)
        must((reply->present & LARDER_META_FLAG_KEY) == (request.flags & LARDER_META_FLAG_KEY));
    (void)larder_meta_in_step(reply);
    (void)larder_meta_parse_debug(reply->text, &debug);
    (void)larder_meta_parse_version(reply->text);
}

/* An answer is read as any line is, and then must fit. */
static void check_answer(const uint8_t *bytes, size_t length, size_t value_max, uint8_t choice)
{
    struct larder_meta_reply line, answer;
    const struct larder_meta_request request = {
        .command = (enum larder_meta_command)(choice % LARDER_META_COMMANDS),
        .flags = (choice & 8) != 0 ? LARDER_META_FLAG_KEY | LARDER_META_FLAG_RETURN_FLAGS
                                   : LARDER_META_FLAG_RETURN_VERSION,
        .key = larder_text("k"),
    };
    enum larder_meta_parse parsed = larder_meta_parse_line(bytes, length, value_max, &line);
    if (parsed == LARDER_META_WHOLE && !larder_meta_fits(&request, &line))
        parsed = LARDER_META_BROKEN;
    must(larder_meta_parse_answer(bytes, length, value_max, &request, &answer) == parsed);
    must(parsed != LARDER_META_WHOLE || memcmp(&answer, &line, sizeof(line)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct larder_meta_reply reply;
    struct larder_slice value;
    size_t needed;
    if (size == 0)
        return 0;
    size_t value_max = (data[0] & 0x80) != 0 ? 1048576 : 64;
    const uint8_t *bytes = data + 1;
    enum larder_meta_parse parse =
        larder_meta_parse(bytes, size - 1, value_max, &reply, &value, &needed);
    check_answer(bytes, size - 1, value_max, data[0]);
    if (parse == LARDER_META_MORE)
        must(needed > size - 1);
    if (parse != LARDER_META_WHOLE)
        return 0;
    must(needed <= size - 1);
    check_whole(&reply, value, bytes, needed, value_max);
    check_cuts(bytes, needed, value_max);
    check_matches(&reply, data[0]);
    return 0;
}
