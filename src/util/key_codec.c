/* Keys as memcached takes them. */
#include <larder/util/key_codec.h>

#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "text_bytes.h"

#define SHA256_BYTES 32u

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static inline int is_valid(struct larder_slice key)
{
    return key.length > 0 && key.length <= LARDER_WIRE_KEY_BYTES_MAX &&
           larder__text_bytes_valid(key.data, key.length, 0x21);
}

int larder_wire_key_valid(struct larder_slice key)
{
    return is_valid(key);
}

/* Appends `length` bytes in unpadded base64url. */
static void append_base64url(struct larder_wire_key *wire, const unsigned char *bytes,
                             size_t length)
{
    char *out = wire->buffer + wire->bytes.length;
    uint32_t bits = 0;
    unsigned held = 0; /* how many of `bits` are still to go out */
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = base64url[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *out++ = base64url[bits << (6 - held) & 63];
    wire->bytes.length = (size_t)(out - wire->buffer);
}

static void begin_encoded(struct larder_wire_key *wire, char kind)
{
    wire->buffer[0] = '~';
    wire->buffer[1] = kind;
    wire->bytes = larder_bytes(wire->buffer, 2);
}

/* SHA-256, once it was fetched; kept until the process ends. Every load acquires, which pairs with
 * the release of whoever stores it first. */
static _Atomic(EVP_MD *) sha256;

enum larder_status larder_key_codec_prepare(void)
{
    EVP_MD *none = NULL;
    if (atomic_load_explicit(&sha256, memory_order_acquire) != NULL)
        return LARDER_OK;
    EVP_MD *fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (fetched == NULL)
        return LARDER_NO_MEMORY;
    if (!atomic_compare_exchange_strong_explicit(&sha256, &none, fetched, memory_order_acq_rel,
                                                 memory_order_acquire))
        EVP_MD_free(fetched); /* another thread was first */
    return LARDER_OK;
}

static enum larder_status encode_hashed(struct larder_slice key, struct larder_wire_key *wire)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    enum larder_status status = larder_key_codec_prepare();
    if (status != LARDER_OK)
        return status;
    const EVP_MD *md = atomic_load_explicit(&sha256, memory_order_acquire);
    if (EVP_Digest(key.data, key.length, digest, NULL, md, NULL) != 1)
        return LARDER_NO_MEMORY;
    begin_encoded(wire, 'h');
    append_base64url(wire, digest, SHA256_BYTES);
    return LARDER_OK;
}

static enum larder_status encode_other(struct larder_slice key, struct larder_wire_key *wire)
{
    if (key.length == 0)
        return LARDER_BAD_KEY;
    if (key.length > LARDER_WIRE_KEY_ENCODED_MAX)
        return encode_hashed(key, wire);
    begin_encoded(wire, 'b');
    append_base64url(wire, key.data, key.length);
    return LARDER_OK;
}

enum larder_status larder_key_encode(struct larder_slice key, uint32_t scope_flags,
                                     struct larder_wire_key *wire)
{
    int own = (scope_flags & LARDER_SCOPE_OWN_KEY) != 0;
    if (!is_valid(key) || (!own && *(const char *)key.data == '~'))
        return encode_other(key, wire);
    wire->bytes = key;
    return LARDER_OK;
}

struct larder_slice larder_key_tag(struct larder_slice key)
{
    const char *open = memchr(key.data, '{', key.length);
    if (open == NULL)
        return key;
    const char *end = (const char *)key.data + key.length;
    const char *close = memchr(open + 1, '}', (size_t)(end - open - 1));
    if (close == NULL || close == open + 1)
        return key;
    return larder_bytes(open + 1, (size_t)(close - open - 1));
}
