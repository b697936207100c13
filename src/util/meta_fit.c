/* Whether a reply can be the answer to a request, and what becomes of the connection. */
#include <larder/util/meta_wire.h>

#include <string.h>

#define ECHOES (LARDER_META_FLAG_KEY | LARDER_META_FLAG_OPAQUE)
#define TOLD                                                                                      \
    (LARDER_META_FLAG_RETURN_TTL | LARDER_META_FLAG_RETURN_VERSION |                              \
     LARDER_META_FLAG_RETURN_FLAGS | LARDER_META_FLAG_RETURN_SIZE | LARDER_META_FLAG_RETURN_HIT | \
     LARDER_META_FLAG_RETURN_ACCESS)

static int same(struct larder_slice a, struct larder_slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* Both are valid, so a digit is one of these. */
static unsigned digit_of(char byte)
{
    if (byte >= 'a')
        return (unsigned)(byte - 'a') + 26;
    if (byte >= 'A')
        return byte == '=' ? 0 : (unsigned)(byte - 'A');
    return byte >= '0' ? (unsigned)(byte - '0') + 52 : byte == '+' ? 62 : 63;
}

static size_t decode(struct larder_slice text, unsigned char bytes[LARDER_META_KEY_BYTES_MAX])
{
    const char *digits = text.data;
    size_t length = 0;
    for (size_t i = 0; i < text.length; i += 4) {
        uint32_t group = 0;
        for (size_t j = 0; j < 4; j++)
            group = group << 6 | (digits[i + j] == '=' ? 0 : digit_of(digits[i + j]));
        bytes[length++] = (unsigned char)(group >> 16);
        bytes[length++] = (unsigned char)(group >> 8);
        bytes[length++] = (unsigned char)group;
    }
    return length - (digits[text.length - 1] == '=') - (digits[text.length - 2] == '=');
}

/* memcached tells the key as it was stored: an item that was stored as text answers to its base64
 * form with its text, and the other way round. */
static int same_key(const struct larder_meta_request *request,
                    const struct larder_meta_reply *reply)
{
    unsigned char bytes[LARDER_META_KEY_BYTES_MAX];
    int asked = (request->flags & LARDER_META_FLAG_BASE64) != 0;
    int answered = (reply->present & LARDER_META_FLAG_BASE64) != 0;
    if (asked == answered)
        return same(request->key, reply->key);
    struct larder_slice coded = asked ? request->key : reply->key;
    struct larder_slice plain = asked ? reply->key : request->key;
    if (!larder_meta_base64_valid(coded))
        return 0;
    return same(larder_bytes(bytes, decode(coded, bytes)), plain);
}

/* ---- answers ------------------------------------------------------------------------------- */

#define CODE(name) (1u << LARDER_META_##name)

/* What a command can be answered with, when it went well and when not. */
static const struct {
    unsigned good;
    unsigned bad;
} answers[LARDER_META_COMMANDS] = {
    [LARDER_META_GET] = {CODE(VA) | CODE(HD), CODE(EN)},
    [LARDER_META_STORE] = {CODE(HD), CODE(NS) | CODE(EX) | CODE(NF)},
    [LARDER_META_DELETE] = {CODE(HD), CODE(NF) | CODE(EX)},
    [LARDER_META_COUNT] = {CODE(VA) | CODE(HD), CODE(NF) | CODE(NS) | CODE(EX)},
    [LARDER_META_DEBUG] = {CODE(ME), CODE(EN)},
    [LARDER_META_NOOP] = {CODE(MN), 0},
};

/* What 1.6.18 leaves out: the version of md; and of ma and md all but the echoes, when they fail.
 */
static uint32_t must_tell(const struct larder_meta_request *request, int good)
{
    uint32_t told = request->command == LARDER_META_DELETE ? 0 : request->flags & TOLD;
    return good ? told : 0;
}

static int value_fits(const struct larder_meta_request *request,
                      const struct larder_meta_reply *reply)
{
    int wanted = (request->flags & LARDER_META_FLAG_VALUE) != 0;
    return wanted == (reply->code == LARDER_META_VA);
}

static int echoes_fit(const struct larder_meta_request *request,
                      const struct larder_meta_reply *reply)
{
    if ((request->flags & ECHOES) != (reply->present & ECHOES))
        return 0;
    if ((reply->present & LARDER_META_FLAG_KEY) != 0 && !same_key(request, reply))
        return 0;
    return (reply->present & LARDER_META_FLAG_OPAQUE) == 0 || same(request->opaque, reply->opaque);
}

static int flags_fit(const struct larder_meta_request *request,
                     const struct larder_meta_reply *reply, int good)
{
    uint32_t told = reply->present & TOLD;
    return (told & ~request->flags) == 0 && (must_tell(request, good) & ~told) == 0 &&
           (reply->marks == 0 || (good && request->command == LARDER_META_GET));
}

/* me has its key always, and base64 only tells how it was asked for. */
static int debug_fits(const struct larder_meta_request *request,
                      const struct larder_meta_reply *reply)
{
    if (reply->code == LARDER_META_EN)
        return reply->present == 0;
    return (request->flags & LARDER_META_FLAG_BASE64) != 0 || same(request->key, reply->key);
}

int larder_meta_fits(const struct larder_meta_request *request,
                     const struct larder_meta_reply *reply)
{
    if ((unsigned)request->command >= LARDER_META_COMMANDS)
        return 0;
    if (reply->cause != LARDER_META_NO_ERROR)
        return 1;
    int good = (answers[request->command].good >> reply->code & 1) != 0;
    if (!good && (answers[request->command].bad >> reply->code & 1) == 0)
        return 0;
    if (request->command == LARDER_META_DEBUG)
        return debug_fits(request, reply);
    if (good && request->command != LARDER_META_NOOP && !value_fits(request, reply))
        return 0;
    return request->command == LARDER_META_NOOP ||
           (echoes_fit(request, reply) && flags_fit(request, reply, good));
}
