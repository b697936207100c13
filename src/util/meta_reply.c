/*
 * Replies of the meta protocol. One line is cut at single spaces; a word that memcached would not
 * say there, a number with a sign, a leading zero or an overflow, a flag twice: all of it is
 * BROKEN.
 */
#include <larder/util/meta_wire.h>

#include <string.h>

#include "text_bytes.h"

/* Words of a line that are still to be read; each has a space before it. */
struct words {
    const char *at;
    const char *end;
};

/* ---- words and numbers --------------------------------------------------------------------- */

static int at_end(const struct words *words)
{
    return words->at == words->end;
}

static int at_word_end(const struct words *words)
{
    return words->at == words->end || *words->at == ' ';
}

/* Steps over the space before a word. @return 0 at the end of the line, and for a word of no bytes
 */
static int begin_word(struct words *words)
{
    if (at_end(words) || *words->at != ' ')
        return 0;
    words->at++;
    return !at_word_end(words);
}

/* These begin in a word, and take what is left of it. */

static int take_token(struct words *words, size_t longest, struct larder_slice *token)
{
    const char *first = words->at;
    const char *space = memchr(first, ' ', (size_t)(words->end - first));
    words->at = space != NULL ? space : words->end;
    *token = larder_bytes(first, (size_t)(words->at - first));
    return token->length >= 1 && token->length <= longest;
}

static int take_number(struct words *words, uint64_t most, uint64_t *number)
{
    const char *first = words->at, *at = first;
    uint64_t sum = 0;
    for (; at != words->end && *at != ' '; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9 || __builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, digit, &sum))
            return 0;
    }
    words->at = at;
    *number = sum;
    return at != first && (*first != '0' || at == first + 1) && sum <= most;
}

static int take_small(struct words *words, uint32_t most, uint32_t *number)
{
    uint64_t wide;
    if (!take_number(words, most, &wide))
        return 0;
    *number = (uint32_t)wide;
    return 1;
}

static int take_ttl(struct words *words, int64_t *ttl_s)
{
    uint64_t number;
    if (words->end - words->at >= 2 && memcmp(words->at, "-1", 2) == 0) {
        words->at += 2;
        *ttl_s = -1;
        return at_word_end(words);
    }
    if (!take_number(words, UINT32_MAX, &number))
        return 0;
    *ttl_s = (int64_t)number;
    return 1;
}

/* The same of the next word. */

static int next_token(struct words *words, size_t longest, struct larder_slice *token)
{
    return begin_word(words) && take_token(words, longest, token);
}

static int next_number(struct words *words, uint64_t most, uint64_t *number)
{
    return begin_word(words) && take_number(words, most, number);
}

/* What is left, without the space before it. */
static struct larder_slice rest_of(const struct words *words)
{
    if (words->at == words->end)
        return larder_bytes(words->at, 0);
    return larder_bytes(words->at + 1, (size_t)(words->end - words->at - 1));
}

static int slice_is(struct larder_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

static int starts_with(struct larder_slice slice, const char *text)
{
    size_t length = strlen(text);
    return slice.length >= length && memcmp(slice.data, text, length) == 0;
}

/* ---- flags --------------------------------------------------------------------------------- */

/* @return the flag, when its argument can be; else 0 */
static uint32_t take_argument(struct larder_meta_reply *reply, char letter, struct words *words)
{
    switch (letter) {
    case 'b':
        return at_word_end(words) ? LARDER_META_FLAG_BASE64 : 0;
    case 'k':
        return take_token(words, LARDER_META_KEY_BYTES_MAX, &reply->key) ? LARDER_META_FLAG_KEY : 0;
    case 'O':
        return take_token(words, LARDER_META_TOKEN_BYTES_MAX, &reply->opaque)
                   ? LARDER_META_FLAG_OPAQUE
                   : 0;
    case 't':
        return take_ttl(words, &reply->ttl_s) ? LARDER_META_FLAG_RETURN_TTL : 0;
    case 'c':
        return take_number(words, UINT64_MAX, &reply->version) ? LARDER_META_FLAG_RETURN_VERSION
                                                               : 0;
    case 'f':
        return take_small(words, UINT32_MAX, &reply->client_flags) ? LARDER_META_FLAG_RETURN_FLAGS
                                                                   : 0;
    case 's':
        return take_number(words, UINT32_MAX, &reply->size) ? LARDER_META_FLAG_RETURN_SIZE : 0;
    case 'h':
        return take_small(words, 1, &reply->hit_before) ? LARDER_META_FLAG_RETURN_HIT : 0;
    case 'l':
        return take_number(words, UINT32_MAX, &reply->access_s) ? LARDER_META_FLAG_RETURN_ACCESS
                                                                : 0;
    default:
        return 0;
    }
}

static uint32_t mark_of(char letter)
{
    return letter == 'W'   ? LARDER_META_WON
           : letter == 'X' ? LARDER_META_STALE
           : letter == 'Z' ? LARDER_META_LOST
                           : 0;
}

static int take_mark(struct larder_meta_reply *reply, uint32_t mark)
{
    int twice = (reply->marks & mark) != 0;
    reply->marks |= mark;
    return !twice;
}

static int take_flag(struct larder_meta_reply *reply, struct words *words)
{
    char letter = *words->at++;
    uint32_t flag = take_argument(reply, letter, words);
    if (flag == 0)
        return at_word_end(words) && mark_of(letter) != 0 && take_mark(reply, mark_of(letter));
    int twice = (reply->present & flag) != 0;
    reply->present |= flag;
    return !twice;
}

static int take_flags(struct larder_meta_reply *reply, struct words *words)
{
    while (!at_end(words))
        if (!begin_word(words) || !take_flag(reply, words))
            return 0;
    return (reply->present & LARDER_META_FLAG_BASE64) == 0 ||
           ((reply->present & LARDER_META_FLAG_KEY) != 0 && larder_meta_base64_valid(reply->key));
}

/* ---- the rest of each line ----------------------------------------------------------------- */

static int take_length(struct larder_meta_reply *reply, struct words *words, size_t value_max)
{
    uint64_t length;
    if (!next_number(words, value_max, &length) || length > LARDER_META_VALUE_BYTES_MAX)
        return 0;
    reply->value_length = (size_t)length;
    return 1;
}

static int take_key(struct larder_meta_reply *reply, struct words *words)
{
    return next_token(words, LARDER_META_KEY_BYTES_MAX, &reply->key);
}

/* VALUE key flags length [version] */
static int take_classic_value(struct larder_meta_reply *reply, struct words *words,
                              size_t value_max)
{
    uint64_t client_flags;
    if (!take_key(reply, words) || !next_number(words, UINT32_MAX, &client_flags) ||
        !take_length(reply, words, value_max))
        return 0;
    reply->client_flags = (uint32_t)client_flags;
    reply->present = LARDER_META_FLAG_RETURN_FLAGS;
    if (at_end(words))
        return 1;
    reply->present |= LARDER_META_FLAG_RETURN_VERSION;
    return next_number(words, UINT64_MAX, &reply->version) && at_end(words);
}

static int take_text(struct larder_meta_reply *reply, const struct words *words)
{
    reply->text = rest_of(words);
    return 1;
}

static enum larder_meta_cause client_cause(struct larder_slice text)
{
    if (slice_is(text, "cannot increment or decrement non-numeric value"))
        return LARDER_META_NOT_A_NUMBER;
    if (slice_is(text, "unauthenticated") || slice_is(text, "authentication failure"))
        return LARDER_META_UNAUTHENTICATED;
    return LARDER_META_BAD_REQUEST;
}

static enum larder_meta_cause server_cause(struct larder_slice text)
{
    if (slice_is(text, "object too large for cache"))
        return LARDER_META_OBJECT_TOO_LARGE;
    if (slice_is(text, "out of memory storing object"))
        return LARDER_META_OUT_OF_MEMORY;
    return LARDER_META_SERVER_FAILED;
}

static enum larder_meta_cause cause_of(const struct larder_meta_reply *reply)
{
    switch (reply->code) {
    case LARDER_META_CLIENT_ERROR:
        return client_cause(reply->text);
    case LARDER_META_SERVER_ERROR:
        return server_cause(reply->text);
    case LARDER_META_ERROR:
        return starts_with(reply->text, "Too many open connections")
                   ? LARDER_META_TOO_MANY_CONNECTIONS
                   : LARDER_META_BAD_COMMAND;
    default:
        return LARDER_META_NO_ERROR;
    }
}

static int take_rest(struct larder_meta_reply *reply, struct words *words, size_t value_max)
{
    switch (reply->code) {
    case LARDER_META_VA:
        return take_length(reply, words, value_max) && take_flags(reply, words);
    case LARDER_META_HD:
    case LARDER_META_EN:
    case LARDER_META_NF:
    case LARDER_META_NS:
    case LARDER_META_EX:
        return take_flags(reply, words);
    case LARDER_META_ME:
        return take_key(reply, words) && take_text(reply, words);
    case LARDER_META_ERROR:
    case LARDER_META_CLIENT_ERROR:
    case LARDER_META_SERVER_ERROR:
    case LARDER_META_CLASSIC_VERSION:
    case LARDER_META_CLASSIC_STAT:
        return take_text(reply, words);
    case LARDER_META_CLASSIC_VALUE:
        return take_classic_value(reply, words, value_max);
    default: /* MN, END, OK, STORED stand alone */
        return at_end(words);
    }
}

/* ---- lines --------------------------------------------------------------------------------- */

/* The first word of a line. @return 0 when it is no code */
static int take_code(struct larder_meta_reply *reply, struct words *words)
{
    static const struct {
        const char *text;
        size_t length;
    } codes[] = {
#define CODE_ROW(name, text, sentence) {text, sizeof(text) - 1},
        LARDER_META_CODE_TABLE(CODE_ROW)
#undef CODE_ROW
    };
    struct larder_slice word;
    if (!take_token(words, LARDER_META_LINE_BYTES_MAX, &word))
        return 0;
    for (unsigned i = 0; i < LARDER_META_CODES; i++) {
        if (codes[i].length != word.length || memcmp(codes[i].text, word.data, word.length) != 0)
            continue;
        reply->code = (enum larder_meta_code)i;
        return 1;
    }
    return 0;
}

/* @return WHOLE when a line is there: its length is taken, and its words are still to be read */
static enum larder_meta_parse begin_line(const void *bytes, size_t length,
                                         struct larder_meta_reply *reply, struct words *line)
{
    static const struct larder_meta_reply nothing_yet = {.code = LARDER_META_CODES, .ttl_s = -1};
    size_t visible = length < LARDER_META_LINE_BYTES_MAX ? length : LARDER_META_LINE_BYTES_MAX;
    const char *first = bytes;
    const char *end = visible > 0 ? memchr(first, '\n', visible) : NULL;
    *reply = nothing_yet;
    if (end == NULL)
        return visible < LARDER_META_LINE_BYTES_MAX ? LARDER_META_MORE : LARDER_META_BROKEN;
    if (end == first || end[-1] != '\r')
        return LARDER_META_BROKEN;
    reply->line_length = (size_t)(end - first) + 1;
    *line = (struct words){first, end - 1};
    return LARDER_META_WHOLE;
}

enum larder_meta_parse larder_meta_parse_line(const void *bytes, size_t length, size_t value_max,
                                              struct larder_meta_reply *reply)
{
    struct words line;
    enum larder_meta_parse parse = begin_line(bytes, length, reply, &line);
    if (parse != LARDER_META_WHOLE)
        return parse;
    if (!larder__text_bytes_valid(line.at, (size_t)(line.end - line.at), 0x20) ||
        !take_code(reply, &line) || !take_rest(reply, &line, value_max))
        return LARDER_META_BROKEN;
    reply->cause = cause_of(reply);
    return LARDER_META_WHOLE;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* What a good answer tells of its request's flags, in the order of their bits, as they went out. */
#define ANSWERED                                                                    \
    (LARDER_META_FLAG_KEY | LARDER_META_FLAG_OPAQUE | LARDER_META_FLAG_RETURN_TTL | \
     LARDER_META_FLAG_RETURN_VERSION | LARDER_META_FLAG_RETURN_FLAGS |              \
     LARDER_META_FLAG_RETURN_SIZE | LARDER_META_FLAG_RETURN_HIT | LARDER_META_FLAG_RETURN_ACCESS)

/* A word that was sent: what it is made of was checked then. */
static int take_echo(struct words *words, struct larder_slice sent, struct larder_slice *word)
{
    *word = larder_bytes(words->at, sent.length);
    if ((size_t)(words->end - words->at) < sent.length ||
        memcmp(words->at, sent.data, sent.length) != 0)
        return 0;
    words->at += sent.length;
    return at_word_end(words);
}

static int take_told(struct words *words, const struct larder_meta_request *request, size_t bit,
                     struct larder_meta_reply *reply)
{
    static const char letters[] = {
#define LETTER(letter, name, bit, commands, later, version, sentence) [bit] = letter,
        LARDER_META_FLAG_TABLE(LETTER)
#undef LETTER
    };
    uint32_t flag = UINT32_C(1) << bit;
    if (!begin_word(words) || *words->at++ != letters[bit])
        return 0;
    if (flag == LARDER_META_FLAG_KEY)
        return take_echo(words, request->key, &reply->key);
    if (flag == LARDER_META_FLAG_OPAQUE)
        return take_echo(words, request->opaque, &reply->opaque);
    return take_argument(reply, letters[bit], words) == flag;
}

/* Nearly all requests are answered by just what they asked for: read so, a line costs a third.
 * @return 0 for any other line, which may answer the request as well */
static int take_expected(struct words *words, const struct larder_meta_request *request,
                         size_t value_max, struct larder_meta_reply *reply)
{
    int with_value = (request->flags & LARDER_META_FLAG_VALUE) != 0;
    if (request->command > LARDER_META_COUNT || request->ttl_before ||
        (request->flags & LARDER_META_FLAG_BASE64) != 0 || words->end - words->at < 2 ||
        memcmp(words->at, with_value ? "VA" : "HD", 2) != 0)
        return 0;
    words->at += 2;
    reply->code = with_value ? LARDER_META_VA : LARDER_META_HD;
    reply->present = request->flags & ANSWERED;
    if (with_value && !take_length(reply, words, value_max))
        return 0;
    for (uint32_t left = reply->present; left != 0; left &= left - 1)
        if (!take_told(words, request, (size_t)__builtin_ctz(left), reply))
            return 0;
    return at_end(words);
}

/* Flat: one frame in place of one for each word. */
__attribute__((flatten)) enum larder_meta_parse
larder_meta_parse_answer(const void *bytes, size_t length, size_t value_max,
                         const struct larder_meta_request *request, struct larder_meta_reply *reply)
{
    struct words line;
    enum larder_meta_parse parse = begin_line(bytes, length, reply, &line);
    if (parse != LARDER_META_WHOLE || take_expected(&line, request, value_max, reply))
        return parse;
    parse = larder_meta_parse_line(bytes, length, value_max, reply);
    return parse != LARDER_META_WHOLE || larder_meta_fits(request, reply) ? parse
                                                                          : LARDER_META_BROKEN;
}

/* ---- replies with their values --------------------------------------------------------------- */

enum larder_meta_parse larder_meta_parse(const void *bytes, size_t length, size_t value_max,
                                         struct larder_meta_reply *reply,
                                         struct larder_slice *value, size_t *needed)
{
    const char *first = bytes;
    *value = larder_bytes(first, 0);
    *needed = length + 1;
    enum larder_meta_parse parse = larder_meta_parse_line(bytes, length, value_max, reply);
    if (parse != LARDER_META_WHOLE)
        return parse;
    *needed = reply->line_length;
    if (!larder_meta_has_value(reply))
        return LARDER_META_WHOLE;
    *needed += reply->value_length + LARDER_META_LINE_END_BYTES;
    if (length < *needed)
        return LARDER_META_MORE;
    if (memcmp(first + *needed - LARDER_META_LINE_END_BYTES, LARDER_META_LINE_END,
               LARDER_META_LINE_END_BYTES) != 0)
        return LARDER_META_BROKEN;
    *value = larder_bytes(first + reply->line_length, reply->value_length);
    return LARDER_META_WHOLE;
}

/* ---- texts --------------------------------------------------------------------------------- */

static int number_of(struct larder_slice text, uint64_t most, uint64_t *number)
{
    struct words words = {text.data, (const char *)text.data + text.length};
    return take_number(&words, most, number) && at_end(&words);
}

/* exp is the seconds since it expired: below 0 it is still to come, and -1 when it never will. */
static int take_expiry(struct larder_slice text, int64_t *ttl_s)
{
    const char *bytes = text.data;
    uint64_t number;
    int negative = text.length > 0 && bytes[0] == '-';
    size_t sign = (size_t)negative;
    if (!number_of(larder_bytes(bytes + sign, text.length - sign), UINT32_MAX, &number))
        return 0;
    *ttl_s = negative ? (number == 1 ? -1 : (int64_t)number) : -(int64_t)number;
    return 1;
}

static int take_fetched(struct larder_slice text, uint64_t *fetched)
{
    int yes = slice_is(text, "yes");
    *fetched = (uint64_t)yes;
    return yes || slice_is(text, "no");
}

static int take_debug_word(struct larder_meta_debug *debug, struct larder_slice name,
                           struct larder_slice value)
{
    if (slice_is(name, "exp"))
        return take_expiry(value, &debug->ttl_s);
    if (slice_is(name, "fetch"))
        return take_fetched(value, &debug->fetched);
    if (slice_is(name, "la"))
        return number_of(value, UINT32_MAX, &debug->access_s);
    if (slice_is(name, "cas"))
        return number_of(value, UINT64_MAX, &debug->version);
    if (slice_is(name, "cls"))
        return number_of(value, UINT32_MAX, &debug->slab);
    return slice_is(name, "size") ? number_of(value, UINT32_MAX, &debug->size) : 1;
}

int larder_meta_parse_debug(struct larder_slice text, struct larder_meta_debug *debug)
{
    *debug = (struct larder_meta_debug){.ttl_s = -1};
    if (text.length == 0)
        return 0;
    const char *at = text.data;
    const char *end = at + text.length;
    const char *stop;
    for (;; at = stop + 1) {
        const char *space = at < end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
        stop = space != NULL ? space : end;
        const char *equals = at < stop ? memchr(at, '=', (size_t)(stop - at)) : NULL;
        if (equals == NULL ||
            !take_debug_word(debug, larder_bytes(at, (size_t)(equals - at)),
                             larder_bytes(equals + 1, (size_t)(stop - equals - 1))))
            return 0;
        if (space == NULL)
            return 1;
    }
}

/* 0 to 99 at *at, which moves on. */
static int version_part(const char **at, const char *end, uint32_t *part)
{
    const char *first = *at;
    *part = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - first < 3)
        *part = *part * 10 + (uint32_t)(*(*at)++ - '0');
    return *at > first && *part < 100;
}

uint32_t larder_meta_parse_version(struct larder_slice text)
{
    if (text.length == 0)
        return 0;
    const char *at = text.data;
    const char *end = at + text.length;
    uint32_t packed = 0;
    for (int i = 0; i < 3; i++) {
        uint32_t part;
        if (i > 0 && (at == end || *at++ != '.'))
            return 0;
        if (!version_part(&at, end, &part))
            return 0;
        packed = packed * 100 + part;
    }
    return packed;
}
