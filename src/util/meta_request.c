/* Requests of the meta protocol. A line is made whole, or refused, before a byte of it goes out. */
#include <larder/util/meta_wire.h>

#include <string.h>

#include "text_bytes.h"

struct flag {
    char letter;
    unsigned char commands; /* LARDER_META_G and so on: that take it */
    unsigned char later;    /* that take it since `version` */
    uint32_t version;
};

static const struct flag flags[] = {
#define FLAG_ROW(letter, name, bit, commands, later, version, sentence) \
    [bit] = {letter, (unsigned char)(commands), (unsigned char)(later), version},
    LARDER_META_FLAG_TABLE(FLAG_ROW)
#undef FLAG_ROW
};
#define FLAGS (sizeof(flags) / sizeof(flags[0]))

/* ---- checks -------------------------------------------------------------------------------- */

int larder_meta_key_valid(struct larder_slice key)
{
    return key.length > 0 && key.length <= LARDER_META_KEY_BYTES_MAX &&
           larder__text_bytes_valid(key.data, key.length, 0x21);
}

static int base64_digit(unsigned char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

/* Only the canonical form: memcached decodes others too, and would echo another key. */
int larder_meta_base64_valid(struct larder_slice key)
{
    const unsigned char *bytes = key.data;
    size_t digits = key.length;
    if (key.length == 0 || key.length > LARDER_META_KEY_BYTES_MAX || key.length % 4 != 0)
        return 0;
    while (digits > key.length - 2 && bytes[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++)
        if (base64_digit(bytes[i]) < 0)
            return 0;
    unsigned unused = key.length - digits == 2 ? 15 : key.length - digits == 1 ? 3 : 0;
    return ((unsigned)base64_digit(bytes[digits - 1]) & unused) == 0;
}

static int token_valid(struct larder_slice token)
{
    const unsigned char *bytes = token.data;
    if (token.length == 0 || token.length > LARDER_META_TOKEN_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < token.length; i++)
        if (bytes[i] <= 0x20 || bytes[i] >= 0x7f)
            return 0;
    return 1;
}

static int mode_valid(enum larder_meta_command command, char mode)
{
    const char *modes = command == LARDER_META_STORE ? "EAPRS" : "I+D-";
    return mode != '\0' && strchr(modes, mode) != NULL;
}

static int has(const struct larder_meta_request *request, uint32_t flag)
{
    return (request->flags & flag) != 0;
}

/* The flags that a command has in some version. Each case is a constant. */
static uint32_t flags_of(enum larder_meta_command command)
{
#define FLAG_OF(letter, name, bit, commands, later, version, sentence) \
    | (((commands) | (later)) >> of & 1u) << (bit)
#define FLAGS_CASE(name, text, sentence)           \
    case LARDER_META_##name: {                     \
        enum { of = LARDER_META_##name };          \
        return 0u LARDER_META_FLAG_TABLE(FLAG_OF); \
    }
    switch (command) {
        LARDER_META_COMMAND_TABLE(FLAGS_CASE)
    default:
        return 0;
    }
#undef FLAGS_CASE
#undef FLAG_OF
}

/* Which flags there are, and how they go together. */
static int flags_valid(const struct larder_meta_request *request)
{
    int is_store = request->command == LARDER_META_STORE;
    int most = is_store ? LARDER_META_STORE_FLAGS_MAX : LARDER_META_FLAGS_MAX;
    if ((request->flags & ~flags_of(request->command)) != 0 ||
        __builtin_popcount(request->flags) > most)
        return 0;
    if (is_store && has(request, LARDER_META_FLAG_INVALIDATE) &&
        !has(request, LARDER_META_FLAG_COMPARE))
        return 0;
    return request->command != LARDER_META_DELETE || !has(request, LARDER_META_FLAG_TTL) ||
           has(request, LARDER_META_FLAG_INVALIDATE);
}

/* What stands behind the flags' letters. */
static int arguments_valid(const struct larder_meta_request *request)
{
    return (!has(request, LARDER_META_FLAG_OPAQUE) || token_valid(request->opaque)) &&
           (!has(request, LARDER_META_FLAG_HINT_P) || token_valid(request->hint_p)) &&
           (!has(request, LARDER_META_FLAG_HINT_L) || token_valid(request->hint_l)) &&
           (!has(request, LARDER_META_FLAG_RECACHE) || request->recache_s >= 0) &&
           (!has(request, LARDER_META_FLAG_COMPARE) || request->compare != 0) &&
           (!has(request, LARDER_META_FLAG_MODE) || mode_valid(request->command, request->mode));
}

static int key_valid(const struct larder_meta_request *request)
{
    if (request->command == LARDER_META_NOOP)
        return request->key.length == 0;
    if (has(request, LARDER_META_FLAG_BASE64))
        return larder_meta_base64_valid(request->key);
    return (request->key_checked && request->key.length - 1 < LARDER_META_KEY_BYTES_MAX) ||
           larder_meta_key_valid(request->key);
}

static enum larder_status check(const struct larder_meta_request *request)
{
    if ((unsigned)request->command >= LARDER_META_COMMANDS || !flags_valid(request) ||
        (request->command == LARDER_META_STORE &&
         request->value_length > LARDER_META_VALUE_BYTES_MAX))
        return LARDER_BAD_ARGUMENT;
    if (!key_valid(request))
        return LARDER_BAD_KEY;
    return arguments_valid(request) ? LARDER_OK : LARDER_BAD_ARGUMENT;
}

/* ---- writing: of what was checked; each returns where the next byte goes --------------------- */

/* Flags with something behind their letter. */
#define ARGUED                                                                              \
    (LARDER_META_FLAG_OPAQUE | LARDER_META_FLAG_HINT_P | LARDER_META_FLAG_HINT_L |          \
     LARDER_META_FLAG_RECACHE | LARDER_META_FLAG_TTL | LARDER_META_FLAG_VIVIFY |            \
     LARDER_META_FLAG_NEW_VERSION | LARDER_META_FLAG_COMPARE | LARDER_META_FLAG_SET_FLAGS | \
     LARDER_META_FLAG_DELTA | LARDER_META_FLAG_INITIAL | LARDER_META_FLAG_MODE)

static char *put_slice(char *at, struct larder_slice slice)
{
    memcpy(at, slice.data, slice.length);
    return at + slice.length;
}

static char *put_unsigned(char *at, uint64_t number)
{
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (first < sizeof(digits))
        *at++ = digits[first++];
    return at;
}

static char *put_signed(char *at, int32_t number)
{
    if (number < 0)
        *at++ = '-';
    return put_unsigned(at, (uint64_t)(number < 0 ? -(int64_t)number : number));
}

static char *put_argument(char *at, const struct larder_meta_request *request, uint32_t flag)
{
    switch (flag) {
    case LARDER_META_FLAG_OPAQUE:
        return put_slice(at, request->opaque);
    case LARDER_META_FLAG_HINT_P:
        return put_slice(at, request->hint_p);
    case LARDER_META_FLAG_HINT_L:
        return put_slice(at, request->hint_l);
    case LARDER_META_FLAG_RECACHE:
        return put_signed(at, request->recache_s);
    case LARDER_META_FLAG_TTL:
        return put_signed(at, request->ttl);
    case LARDER_META_FLAG_VIVIFY:
        return put_signed(at, request->vivify_ttl);
    case LARDER_META_FLAG_NEW_VERSION:
        return put_unsigned(at, request->new_version);
    case LARDER_META_FLAG_COMPARE:
        return put_unsigned(at, request->compare);
    case LARDER_META_FLAG_SET_FLAGS:
        return put_unsigned(at, request->set_flags);
    case LARDER_META_FLAG_DELTA:
        return put_unsigned(at, request->delta);
    case LARDER_META_FLAG_INITIAL:
        return put_unsigned(at, request->initial);
    case LARDER_META_FLAG_MODE:
        *at = request->mode;
        return at + 1;
    default:
        return at;
    }
}

static char *put_flags(char *at, const struct larder_meta_request *request, uint32_t left)
{
    for (; left != 0; left &= left - 1) {
        size_t bit = (size_t)__builtin_ctz(left);
        *at++ = ' ';
        *at++ = flags[bit].letter;
        if ((ARGUED >> bit & 1) != 0)
            at = put_argument(at, request, UINT32_C(1) << bit);
    }
    return at;
}

/* @return the length of the line */
static size_t put_line(char *line, const struct larder_meta_request *request)
{
    static const char commands[][3] = {
#define COMMAND_TEXT(name, text, sentence) text,
        LARDER_META_COMMAND_TABLE(COMMAND_TEXT)
#undef COMMAND_TEXT
    };
    uint32_t first = request->ttl_before ? request->flags & LARDER_META_FLAG_RETURN_TTL : 0;
    char *at = put_slice(line, larder_bytes(commands[request->command], 2));
    if (request->command != LARDER_META_NOOP) {
        *at++ = ' ';
        at = put_slice(at, request->key);
    }
    if (request->command == LARDER_META_STORE) {
        *at++ = ' ';
        at = put_unsigned(at, request->value_length);
    }
    if (first != 0)
        at = put_flags(at, request, first);
    at = put_flags(at, request, request->flags & ~first);
    at = put_slice(at, larder_bytes(LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES));
    return (size_t)(at - line);
}

static enum larder_status append(struct larder_meta_output *output, const void *bytes,
                                 size_t length)
{
    if (output->length > output->size || output->size - output->length < length)
        return LARDER_TOO_LARGE;
    memcpy(output->bytes + output->length, bytes, length);
    output->length += length;
    return LARDER_OK;
}

/* Flat: one frame in place of one for each step. */
__attribute__((flatten)) enum larder_status
larder_meta_write(struct larder_meta_output *output, const struct larder_meta_request *request)
{
    char line[LARDER_META_REQUEST_BYTES_MAX]; /* holds the longest there can be: see the test */
    enum larder_status status = check(request);
    if (status != LARDER_OK)
        return status;
    if (output->length > output->size || output->size - output->length < sizeof(line))
        return append(output, line, put_line(line, request));
    output->length += put_line(output->bytes + output->length, request);
    return LARDER_OK;
}

/* What was measured. */
#define MEASURED_VERSION 10618u

uint32_t larder_meta_version_needed(const struct larder_meta_request *request)
{
    uint32_t needed = MEASURED_VERSION;
    for (uint32_t left = request->flags; left != 0; left &= left - 1) {
        size_t bit = (size_t)__builtin_ctz(left);
        if (bit < FLAGS && (unsigned)request->command < LARDER_META_COMMANDS &&
            ((unsigned)flags[bit].later >> request->command & 1) != 0 &&
            flags[bit].version > needed)
            needed = flags[bit].version;
    }
    return needed;
}

/* ---- classic reads ------------------------------------------------------------------------- */

enum larder_status larder_meta_write_get(struct larder_meta_output *output, int with_version)
{
    return with_version ? append(output, "gets", 4) : append(output, "get", 3);
}

enum larder_status larder_meta_write_get_key(struct larder_meta_output *output,
                                             struct larder_slice key)
{
    if (!larder_meta_key_valid(key))
        return LARDER_BAD_KEY;
    if (output->length > output->size || output->size - output->length < key.length + 1)
        return LARDER_TOO_LARGE;
    output->bytes[output->length++] = ' ';
    return append(output, key.data, key.length);
}

enum larder_status larder_meta_write_end(struct larder_meta_output *output)
{
    return append(output, LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES);
}
