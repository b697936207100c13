/* A build without OpenSSL's libssl: see tls.h. */
#include "tls.h"

#include <errno.h>

#include <larder/util/message.h>

enum larder_status meta_tls_open(const struct larder_meta_options *options,
                                 const struct larder_message *message, struct tls_context **context)
{
    *context = NULL;
    if (options->tls == 0)
        return LARDER_OK;
    return larder_fail(message, LARDER_UNSUPPORTED,
                       "tls=on: this larder was built without TLS (LARDER_TLS=OFF)");
}

void meta_tls_close(struct tls_context *context)
{
    (void)context;
}

enum larder_status meta_tls_peer_open(struct tls_context *context, const char *name,
                                      struct tls_peer **peer)
{
    (void)context;
    (void)name;
    *peer = NULL;
    return LARDER_UNSUPPORTED;
}

void meta_tls_peer_close(struct tls_peer *peer)
{
    (void)peer;
}

struct tls *meta_tls_begin(struct tls_peer *peer, int descriptor)
{
    (void)peer;
    (void)descriptor;
    return NULL;
}

void meta_tls_end(struct tls *tls)
{
    (void)tls;
}

static int never(void)
{
    errno = EPROTO;
    return -1;
}

int meta_tls_handshake(struct tls *tls)
{
    (void)tls;
    return never();
}

ssize_t meta_tls_send(struct tls *tls, const struct iovec *vectors, size_t count)
{
    (void)tls;
    (void)vectors;
    (void)count;
    return never();
}

ssize_t meta_tls_receive(struct tls *tls, void *bytes, size_t size)
{
    (void)tls;
    (void)bytes;
    (void)size;
    return never();
}

short meta_tls_events(const struct tls *tls)
{
    (void)tls;
    return 0;
}

int meta_tls_has_read_ahead(const struct tls *tls)
{
    (void)tls;
    return 0;
}

int meta_tls_has_more(struct tls *tls)
{
    (void)tls;
    return 0;
}

int meta_tls_is_resumed(const struct tls *tls)
{
    (void)tls;
    return 0;
}

const char *meta_tls_failure(const struct tls *tls, enum larder_meta_failure *failure)
{
    (void)tls;
    (void)failure;
    return NULL;
}
