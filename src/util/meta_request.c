/* Requests of the meta protocol. A line is made whole, or refused, before a byte of it goes out. */
#include <larder/util/meta_wire.h>

#include <string.h>

#include "text_bytes.h"

struct line {
    char bytes[LARDER_META_REQUEST_BYTES_MAX]; /* holds the longest there can be: see the test */
    size_t length;
};

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

static int flag_taken(size_t bit, enum larder_meta_command command)
{
    return bit < FLAGS && ((unsigned)(flags[bit].commands | flags[bit].later) >> command & 1) != 0;
}

static int has(const struct larder_meta_request *request, uint32_t flag)
{
    return (request->flags & flag) != 0;
}

/* How the flags go together. */
static int flags_valid(const struct larder_meta_request *request)
{
    unsigned most =
        request->command == LARDER_META_STORE ? LARDER_META_STORE_FLAGS_MAX : LARDER_META_FLAGS_MAX;
    if ((unsigned)__builtin_popcount(request->flags) > most)
        return 0;
    if (request->command == LARDER_META_STORE && has(request, LARDER_META_FLAG_INVALIDATE) &&
        !has(request, LARDER_META_FLAG_COMPARE))
        return 0;
    return request->command != LARDER_META_DELETE || !has(request, LARDER_META_FLAG_TTL) ||
           has(request, LARDER_META_FLAG_INVALIDATE);
}

static enum larder_status check_key(const struct larder_meta_request *request)
{
    if (request->command == LARDER_META_NOOP)
        return request->key.length == 0 ? LARDER_OK : LARDER_BAD_KEY;
    int valid = has(request, LARDER_META_FLAG_BASE64) ? larder_meta_base64_valid(request->key)
                                                      : larder_meta_key_valid(request->key);
    return valid ? LARDER_OK : LARDER_BAD_KEY;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void add_bytes(struct line *line, const void *bytes, size_t length)
{
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void add_slice(struct line *line, struct larder_slice slice)
{
    add_bytes(line, slice.data, slice.length);
}

static void add_byte(struct line *line, char byte)
{
    line->bytes[line->length++] = byte;
}

static void add_unsigned(struct line *line, uint64_t number)
{
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_bytes(line, digits + first, sizeof(digits) - first);
}

static void add_signed(struct line *line, int32_t number)
{
    if (number < 0)
        add_byte(line, '-');
    add_unsigned(line, (uint64_t)(number < 0 ? -(int64_t)number : number));
}

/* What stands behind a flag's letter. @return 0 when that can't be */
static int add_argument(struct line *line, const struct larder_meta_request *request, uint32_t flag)
{
    struct larder_slice token = request->opaque;
    switch (flag) {
    case LARDER_META_FLAG_RECACHE:
        add_signed(line, request->recache_s);
        return request->recache_s >= 0;
    case LARDER_META_FLAG_TTL:
        add_signed(line, request->ttl);
        return 1;
    case LARDER_META_FLAG_VIVIFY:
        add_signed(line, request->vivify_ttl);
        return 1;
    case LARDER_META_FLAG_NEW_VERSION:
        add_unsigned(line, request->new_version);
        return 1;
    case LARDER_META_FLAG_COMPARE:
        add_unsigned(line, request->compare);
        return request->compare != 0;
    case LARDER_META_FLAG_SET_FLAGS:
        add_unsigned(line, request->set_flags);
        return 1;
    case LARDER_META_FLAG_DELTA:
        add_unsigned(line, request->delta);
        return 1;
    case LARDER_META_FLAG_INITIAL:
        add_unsigned(line, request->initial);
        return 1;
    case LARDER_META_FLAG_MODE:
        add_byte(line, request->mode);
        return mode_valid(request->command, request->mode);
    case LARDER_META_FLAG_HINT_P:
        token = request->hint_p;
        break;
    case LARDER_META_FLAG_HINT_L:
        token = request->hint_l;
        break;
    case LARDER_META_FLAG_OPAQUE:
        break;
    default:
        return 1;
    }
    if (!token_valid(token))
        return 0;
    add_slice(line, token);
    return 1;
}

static enum larder_status add_flag(struct line *line, const struct larder_meta_request *request,
                                   size_t bit)
{
    if (!flag_taken(bit, request->command))
        return LARDER_BAD_ARGUMENT;
    add_byte(line, ' ');
    add_byte(line, flags[bit].letter);
    return add_argument(line, request, UINT32_C(1) << bit) ? LARDER_OK : LARDER_BAD_ARGUMENT;
}

static enum larder_status add_flags(struct line *line, const struct larder_meta_request *request)
{
    uint32_t first = request->ttl_before ? request->flags & LARDER_META_FLAG_RETURN_TTL : 0;
    enum larder_status status = LARDER_OK;
    if (first != 0)
        status = add_flag(line, request, (size_t)__builtin_ctz(first));
    for (uint32_t left = request->flags & ~first; left != 0 && status == LARDER_OK;
         left &= left - 1)
        status = add_flag(line, request, (size_t)__builtin_ctz(left));
    return status;
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

enum larder_status larder_meta_write(struct larder_meta_output *output,
                                     const struct larder_meta_request *request)
{
    static const char commands[][3] = {
#define COMMAND_TEXT(name, text, sentence) text,
        LARDER_META_COMMAND_TABLE(COMMAND_TEXT)
#undef COMMAND_TEXT
    };
    struct line line;
    if ((unsigned)request->command >= LARDER_META_COMMANDS || !flags_valid(request) ||
        (request->command == LARDER_META_STORE &&
         request->value_length > LARDER_META_VALUE_BYTES_MAX))
        return LARDER_BAD_ARGUMENT;
    if (check_key(request) != LARDER_OK)
        return LARDER_BAD_KEY;
    line.length = 0;
    add_bytes(&line, commands[request->command], 2);
    if (request->command != LARDER_META_NOOP) {
        add_byte(&line, ' ');
        add_slice(&line, request->key);
    }
    if (request->command == LARDER_META_STORE) {
        add_byte(&line, ' ');
        add_unsigned(&line, request->value_length);
    }
    if (add_flags(&line, request) != LARDER_OK)
        return LARDER_BAD_ARGUMENT;
    add_bytes(&line, LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES);
    return append(output, line.bytes, line.length);
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
