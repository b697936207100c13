/* TLS in front of a memcached. */
#include "tls_server.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "certificates.h"
#include "scripted_server.h"

struct tls_server {
    struct scripted_server *server;
    const char *path;
    SSL_CTX *openssl;
    enum tls_server_manner manner;
    _Atomic unsigned resumed;
    char name[256]; /* written by the thread of a connection, before its first reply */
};

static void must(int good)
{
    if (good)
        return;
    fprintf(stderr, "tls_server: it can't be started\n");
    exit(1);
}

/* OpenSSL writes with write(), which may raise this in our thread. */
static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int write_all(SSL *openssl, const char *bytes, int length)
{
    return SSL_write(openssl, bytes, length) == length;
}

static int from_client(SSL *openssl, int upstream)
{
    char bytes[16384];
    do {
        int got = SSL_read(openssl, bytes, sizeof(bytes));
        if (got <= 0 || !scripted_send(upstream, bytes, (size_t)got))
            return 0;
    } while (SSL_pending(openssl) > 0);
    return 1;
}

static int to_client(const struct tls_server *server, SSL *openssl, int upstream)
{
    char bytes[16384];
    ssize_t got = recv(upstream, bytes, sizeof(bytes) - 8, 0);
    if (got <= 0)
        return 0;
    if (server->manner == TLS_SERVER_BABBLES) {
        memcpy(bytes + got, "MN\r\n", 4);
        got += 4;
    }
    return write_all(openssl, bytes, (int)got);
}

static void carry(const struct tls_server *server, SSL *openssl, int descriptor, int upstream)
{
    struct pollfd polled[2] = {{.fd = descriptor, .events = POLLIN},
                               {.fd = upstream, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, -1) < 0)
            continue;
        if (polled[0].revents != 0 && !from_client(openssl, upstream))
            return;
        if (polled[1].revents != 0 && !to_client(server, openssl, upstream))
            return;
    }
}

static void note(struct tls_server *server, const SSL *openssl)
{
    const char *name = SSL_get_servername(openssl, TLSEXT_NAMETYPE_host_name);
    snprintf(server->name, sizeof(server->name), "%s", name != NULL ? name : "");
    if (SSL_session_reused(openssl))
        atomic_fetch_add(&server->resumed, 1);
}

static void serve(void *context, int descriptor, unsigned number)
{
    struct tls_server *server = context;
    SSL *openssl = SSL_new(server->openssl);
    (void)number;
    block_sigpipe();
    must(openssl != NULL && SSL_set_fd(openssl, descriptor) == 1);
    if (SSL_accept(openssl) == 1) {
        int upstream = scripted_dial(server->path);
        note(server, openssl);
        if (upstream >= 0)
            carry(server, openssl, descriptor, upstream);
        close(upstream);
    }
    SSL_set_shutdown(openssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(openssl);
}

static void take_manner(SSL_CTX *openssl, enum tls_server_manner manner)
{
    if (manner == TLS_SERVER_OLD) {
        SSL_CTX_set_security_level(openssl, 0);
        must(SSL_CTX_set_min_proto_version(openssl, TLS1_VERSION) == 1);
        must(SSL_CTX_set_max_proto_version(openssl, TLS1_1_VERSION) == 1);
        must(SSL_CTX_set_cipher_list(openssl, "ALL:@SECLEVEL=0") == 1);
    } else if (manner == TLS_SERVER_1_2) {
        must(SSL_CTX_set_max_proto_version(openssl, TLS1_2_VERSION) == 1);
    } else if (manner == TLS_SERVER_WANTS_CLIENTS) {
        SSL_CTX_set_verify(openssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        must(SSL_CTX_load_verify_file(openssl, certificates_path(CERTIFICATES_ROOT)) == 1);
    }
}

struct tls_server *tls_server_start(const char *path, const char *certificate,
                                    enum tls_server_manner manner)
{
    static const unsigned char context[] = "larder";
    struct tls_server *server = calloc(1, sizeof(*server));
    must(server != NULL);
    server->path = path;
    server->manner = manner;
    server->openssl = SSL_CTX_new(TLS_server_method());
    must(server->openssl != NULL);
    must(SSL_CTX_use_certificate_chain_file(server->openssl, certificate) == 1);
    must(SSL_CTX_use_PrivateKey_file(server->openssl, certificate, SSL_FILETYPE_PEM) == 1);
    must(SSL_CTX_set_session_id_context(server->openssl, context, sizeof(context) - 1) == 1);
    take_manner(server->openssl, manner);
    server->server = scripted_server_start_tcp(serve, server);
    return server;
}

unsigned tls_server_port(const struct tls_server *server)
{
    return scripted_server_port(server->server);
}

unsigned tls_server_resumed(const struct tls_server *server)
{
    return atomic_load(&server->resumed);
}

const char *tls_server_name(const struct tls_server *server)
{
    return server->name;
}

void tls_server_stop(struct tls_server *server)
{
    if (server == NULL)
        return;
    scripted_server_stop(server->server);
    SSL_CTX_free(server->openssl);
    free(server);
}
