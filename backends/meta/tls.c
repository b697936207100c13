/* TLS by OpenSSL: see tls.h. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <larder/util/message.h>
#include <larder/util/meta_wire.h>
#include <larder/util/secret.h>

/* A record's payload. Source: RFC 8446, 5.1. */
#define RECORD_BYTES 16384u
/* recv() calls within one step: a server that never stops sending must not keep us from the clock.
 */
#define RECEIVES_MAX 16u
#define KEY_BYTES_MAX 65536u

/* A child must not inherit a lock of OpenSSL's that a thread of its parent holds, and those are the
 * process's: so no thread is in OpenSSL, on behalf of any cache, while the process forks. */
static struct {
    pthread_mutex_t door;    /* held by who goes in while he does, by fork() throughout */
    _Atomic unsigned inside; /* threads in OpenSSL; goes up only while `door` is held */
} gate = {.door = PTHREAD_MUTEX_INITIALIZER};
static pthread_once_t gate_once = PTHREAD_ONCE_INIT;

struct tls_context {
    SSL_CTX *openssl;
    BIO_METHOD *socket; /* send() and recv() that neither wait nor raise SIGPIPE */
    int verify;
};

struct tls_peer {
    struct tls_context *context;
    pthread_mutex_t mutex; /* a leaf, taken only by who is `inside` */
    SSL_SESSION *session;  /* guarded by mutex; NULL: none. Nobody else refers to it */
    int is_address;
    char name[];
};

struct tls {
    SSL *openssl;
    struct tls_peer *peer;
    int descriptor;
    short events;      /* that the last step waits for; 0: it waits for none */
    int over;          /* the connection has ended */
    unsigned receives; /* that this step may still make */
    enum larder_meta_failure failure;
    const char *why;
    char output[RECORD_BYTES]; /* small parts of a request become one record */
};

/* ---- the socket ---------------------------------------------------------------------------- */

static int wait_for(struct tls *tls, short events)
{
    tls->events = events;
    return -1;
}

static int socket_write(BIO *bio, const char *bytes, int length)
{
    struct tls *tls = BIO_get_data(bio);
    ssize_t sent;
    BIO_clear_retry_flags(bio);
    do {
        sent = send(tls->descriptor, bytes, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (int)sent;
    if (errno != EAGAIN) {
        tls->over = 1;
        return -1;
    }
    BIO_set_retry_write(bio);
    return wait_for(tls, POLLOUT);
}

static int socket_read(BIO *bio, char *bytes, int size)
{
    struct tls *tls = BIO_get_data(bio);
    ssize_t got = -1;
    BIO_clear_retry_flags(bio);
    errno = EAGAIN;
    if (tls->receives > 0)
        do {
            got = recv(tls->descriptor, bytes, (size_t)size, MSG_DONTWAIT);
        } while (got < 0 && errno == EINTR);
    if (got > 0) {
        tls->receives--;
        return (int)got;
    }
    if (got == 0 || errno != EAGAIN) {
        tls->over = 1;
        return (int)got;
    }
    BIO_set_retry_read(bio);
    return wait_for(tls, POLLIN);
}

static long socket_control(BIO *bio, int command, long number, void *argument)
{
    (void)bio;
    (void)number;
    (void)argument;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "larder socket");
    if (method == NULL)
        return NULL;
    BIO_meth_set_write(method, socket_write);
    BIO_meth_set_read(method, socket_read);
    BIO_meth_set_ctrl(method, socket_control);
    return method;
}

/* ---- the gate ------------------------------------------------------------------------------ */

/* Nobody waits inside, but for files when a cache is opened. */
static void gate_close(void)
{
    const struct timespec moment = {0, 50000};
    pthread_mutex_lock(&gate.door);
    while (atomic_load_explicit(&gate.inside, memory_order_acquire) != 0)
        nanosleep(&moment, NULL);
}

static void gate_open(void)
{
    pthread_mutex_unlock(&gate.door);
}

static void gate_install(void)
{
    pthread_atfork(gate_close, gate_open, gate_open);
}

static void gate_enter(void)
{
    pthread_mutex_lock(&gate.door);
    atomic_fetch_add_explicit(&gate.inside, 1, memory_order_relaxed);
    pthread_mutex_unlock(&gate.door);
}

static void gate_leave(void)
{
    /* release: pairs with the acquire in gate_close() */
    atomic_fetch_sub_explicit(&gate.inside, 1, memory_order_release);
}

/* ---- steps --------------------------------------------------------------------------------- */

/* The thread's queue of errors must be empty before, and is left so: OpenSSL's handshake empties it
 * anyhow. */
static void enter(struct tls *tls, unsigned receives)
{
    gate_enter();
    ERR_clear_error();
    tls->events = 0;
    tls->receives = receives;
}

static void leave(void)
{
    ERR_clear_error();
    gate_leave();
}

static void note_failure(struct tls *tls)
{
    long verdict = SSL_get_verify_result(tls->openssl);
    unsigned long error = ERR_peek_last_error();
    int untrusted = tls->peer->context->verify && verdict != X509_V_OK;
    tls->failure = untrusted ? LARDER_META_FAILURE_CERTIFICATE : LARDER_META_FAILURE_TLS;
    tls->why = untrusted ? X509_verify_cert_error_string(verdict) : ERR_reason_error_string(error);
    if (tls->why == NULL)
        tls->why = "TLS failed";
}

/* What came of a call. An end of the connection without close_notify leaves an error, too. */
static ssize_t judge(struct tls *tls, int result)
{
    if (result > 0)
        return result;
    if (tls->events != 0) {
        errno = EAGAIN;
    } else if (tls->over || ERR_peek_error() == 0) {
        errno = ECONNRESET;
    } else {
        note_failure(tls);
        errno = EPROTO;
    }
    return -1;
}

/* A session that led nowhere isn't tried again. */
static void forget_session(struct tls_peer *peer)
{
    pthread_mutex_lock(&peer->mutex);
    SSL_SESSION *session = peer->session;
    peer->session = NULL;
    SSL_SESSION_free(session);
    pthread_mutex_unlock(&peer->mutex);
}

int meta_tls_handshake(struct tls *tls)
{
    enter(tls, RECEIVES_MAX);
    ssize_t result = judge(tls, SSL_connect(tls->openssl));
    int error = errno;
    if (result < 0 && error != EAGAIN)
        forget_session(tls->peer);
    leave();
    errno = error;
    return (int)result;
}

static int is_line_end(const struct iovec *vector)
{
    return vector->iov_len == LARDER_META_LINE_END_BYTES &&
           memcmp(vector->iov_base, LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES) == 0;
}

/* The first vectors in one piece, the same each time while nothing has gone out: whole ones, but
 * for those that are longer than a record, and none behind a line end of its own. memcached 1.6.18
 * reads a value that it has only in part with a read of its own, and then waits for the socket,
 * whatever else of the record OpenSSL still holds for it: so a record must end where a long value
 * ends, and no request may go on from one record into the next. */
static const void *gather(struct tls *tls, const struct iovec *vectors, size_t count,
                          size_t *length)
{
    *length = vectors->iov_len < RECORD_BYTES ? vectors->iov_len : RECORD_BYTES;
    if (count == 1 || *length == RECORD_BYTES)
        return vectors->iov_base;
    *length = 0;
    for (size_t i = 0; i < count && *length < RECORD_BYTES; i++) {
        size_t room = RECORD_BYTES - *length;
        size_t part = vectors[i].iov_len < room ? vectors[i].iov_len : room;
        if (part < vectors[i].iov_len && vectors[i].iov_len <= RECORD_BYTES)
            break;
        if (part > 0)
            memcpy(tls->output + *length, vectors[i].iov_base, part);
        *length += part;
        if (is_line_end(&vectors[i]))
            break;
    }
    return tls->output;
}

ssize_t meta_tls_send(struct tls *tls, const struct iovec *vectors, size_t count)
{
    size_t length;
    const void *bytes = gather(tls, vectors, count, &length);
    enter(tls, RECEIVES_MAX);
    ssize_t result = judge(tls, SSL_write(tls->openssl, bytes, (int)length));
    int error = errno;
    leave();
    errno = error;
    return result;
}

static ssize_t receive(struct tls *tls, void *bytes, size_t size, unsigned receives)
{
    int most = size < RECORD_BYTES ? (int)size : (int)RECORD_BYTES;
    enter(tls, receives);
    ssize_t result = judge(tls, SSL_read(tls->openssl, bytes, most));
    int error = errno;
    leave();
    errno = error;
    return result;
}

ssize_t meta_tls_receive(struct tls *tls, void *bytes, size_t size)
{
    return receive(tls, bytes, size, RECEIVES_MAX);
}

short meta_tls_events(const struct tls *tls)
{
    return tls->events;
}

int meta_tls_has_read_ahead(const struct tls *tls)
{
    return SSL_has_pending(tls->openssl);
}

/* What OpenSSL has read ahead may be a session ticket; it has to look. */
int meta_tls_has_more(struct tls *tls)
{
    char byte;
    return SSL_has_pending(tls->openssl) && (receive(tls, &byte, 1, 0) >= 0 || errno != EAGAIN);
}

int meta_tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->openssl);
}

const char *meta_tls_failure(const struct tls *tls, enum larder_meta_failure *failure)
{
    *failure = tls->failure;
    return tls->why;
}

/* ---- connections --------------------------------------------------------------------------- */

/* Copies, so that no two threads have one session. @return 0: no memory */
static int resume(struct tls *tls)
{
    struct tls_peer *peer = tls->peer;
    pthread_mutex_lock(&peer->mutex);
    SSL_SESSION *copy = peer->session != NULL ? SSL_SESSION_dup(peer->session) : NULL;
    pthread_mutex_unlock(&peer->mutex);
    int taken = copy == NULL || SSL_set_session(tls->openssl, copy);
    SSL_SESSION_free(copy);
    return taken;
}

/* Called by OpenSSL, within a step. @return 0: the session stays OpenSSL's */
static int keep_session(SSL *openssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(openssl);
    struct tls_peer *peer = tls->peer;
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy == NULL)
        return 0;
    pthread_mutex_lock(&peer->mutex);
    SSL_SESSION *older = peer->session;
    peer->session = copy;
    SSL_SESSION_free(older);
    pthread_mutex_unlock(&peer->mutex);
    return 0;
}

static int expect_peer(SSL *openssl, const struct tls_peer *peer)
{
    if (peer->is_address) /* has no place in SNI */
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(openssl), peer->name);
    SSL_set_hostflags(openssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return peer->name[0] == '\0' || (SSL_set1_host(openssl, peer->name) == 1 &&
                                     SSL_set_tlsext_host_name(openssl, peer->name) == 1);
}

static int begin(struct tls *tls)
{
    struct tls_context *context = tls->peer->context;
    tls->openssl = SSL_new(context->openssl);
    BIO *bio = tls->openssl != NULL ? BIO_new(context->socket) : NULL;
    if (bio == NULL)
        return 0;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->openssl, bio, bio);
    return SSL_set_app_data(tls->openssl, tls) == 1 && expect_peer(tls->openssl, tls->peer) == 1 &&
           resume(tls);
}

struct tls *meta_tls_begin(struct tls_peer *peer, int descriptor)
{
    struct tls *tls = malloc(sizeof(*tls));
    if (tls == NULL)
        return NULL;
    tls->openssl = NULL;
    tls->peer = peer;
    tls->descriptor = descriptor;
    tls->over = 0;
    tls->failure = LARDER_META_FAILURE_TLS;
    tls->why = NULL;
    enter(tls, 0);
    int begun = begin(tls);
    leave();
    if (begun)
        return tls;
    meta_tls_end(tls);
    return NULL;
}

void meta_tls_end(struct tls *tls)
{
    if (tls == NULL)
        return;
    enter(tls, 0);
    if (tls->openssl != NULL) /* as if goodbyes had been said: else the session counts as bad */
        SSL_set_shutdown(tls->openssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->openssl);
    leave();
    free(tls);
}

/* ---- servers ------------------------------------------------------------------------------- */

static int is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

enum larder_status meta_tls_peer_open(struct tls_context *context, const char *name,
                                      struct tls_peer **peer)
{
    size_t length = strlen(name);
    *peer = calloc(1, sizeof(**peer) + length + 1);
    if (*peer == NULL)
        return LARDER_NO_MEMORY;
    if (pthread_mutex_init(&(*peer)->mutex, NULL) != 0) {
        free(*peer);
        *peer = NULL;
        return LARDER_NO_MEMORY;
    }
    (*peer)->context = context;
    (*peer)->is_address = is_address(name);
    memcpy((*peer)->name, name, length + 1);
    return LARDER_OK;
}

void meta_tls_peer_close(struct tls_peer *peer)
{
    if (peer == NULL)
        return;
    gate_enter();
    SSL_SESSION_free(peer->session);
    gate_leave();
    pthread_mutex_destroy(&peer->mutex);
    free(peer);
}

/* ---- the context --------------------------------------------------------------------------- */

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "it can't be read";
}

/* A key that wants a passphrase is refused; by default OpenSSL would ask for it on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static enum larder_status trust(SSL_CTX *openssl, const char *path,
                                const struct larder_message *message)
{
    struct stat state;
    int loaded;
    if (path == NULL)
        loaded = SSL_CTX_set_default_verify_paths(openssl);
    else if (stat(path, &state) == 0 && S_ISDIR(state.st_mode))
        loaded = SSL_CTX_load_verify_dir(openssl, path);
    else
        loaded = SSL_CTX_load_verify_file(openssl, path);
    if (loaded == 1)
        return LARDER_OK;
    return larder_fail(message, LARDER_BAD_ARGUMENT, "tls_ca: %s: %s",
                       path != NULL ? path : "the system's certificates", reason());
}

static int use_key(SSL_CTX *openssl, const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    int used = key != NULL && SSL_CTX_use_PrivateKey(openssl, key) == 1 &&
               SSL_CTX_check_private_key(openssl) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return used;
}

static enum larder_status identify(SSL_CTX *openssl, const struct larder_meta_options *options,
                                   const struct larder_message *message)
{
    char *key;
    if (options->tls_certificate == NULL && options->tls_key == NULL)
        return LARDER_OK;
    if (options->tls_certificate == NULL || options->tls_key == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "tls_certificate and tls_key go together");
    if (SSL_CTX_use_certificate_chain_file(openssl, options->tls_certificate) != 1)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "tls_certificate: %s: %s",
                           options->tls_certificate, reason());
    enum larder_status status =
        larder_secret_read("tls_key", options->tls_key, KEY_BYTES_MAX, message, &key);
    if (status != LARDER_OK)
        return status;
    if (!use_key(openssl, key))
        status = larder_fail(message, LARDER_BAD_ARGUMENT,
                             "tls_key: no key of this certificate: %s", reason());
    larder_secret_free(key);
    return status;
}

static enum larder_status set_up(SSL_CTX *openssl, const struct larder_meta_options *options,
                                 const struct larder_message *message)
{
    int verify = strcmp(options->tls_verify, "on") == 0;
    if (SSL_CTX_set_min_proto_version(openssl, TLS1_2_VERSION) != 1)
        return LARDER_NO_MEMORY;
    SSL_CTX_set_options(openssl, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(openssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(openssl, 1);
    SSL_CTX_set_default_passwd_cb(openssl, no_passphrase);
    SSL_CTX_set_session_cache_mode(openssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(openssl, keep_session);
    SSL_CTX_set_verify(openssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    enum larder_status status = verify ? trust(openssl, options->tls_ca, message) : LARDER_OK;
    return status == LARDER_OK ? identify(openssl, options, message) : status;
}

static enum larder_status make(struct tls_context *context,
                               const struct larder_meta_options *options,
                               const struct larder_message *message)
{
    ERR_set_mark();
    context->verify = strcmp(options->tls_verify, "on") == 0;
    context->openssl = SSL_CTX_new(TLS_client_method());
    context->socket = socket_method();
    enum larder_status status = LARDER_NO_MEMORY;
    if (context->openssl != NULL && context->socket != NULL)
        status = set_up(context->openssl, options, message);
    ERR_pop_to_mark();
    return status;
}

static enum larder_status refuse_without_tls(const struct larder_meta_options *options,
                                             const struct larder_message *message)
{
    int given = options->tls_ca != NULL || options->tls_name != NULL ||
                options->tls_certificate != NULL || options->tls_key != NULL ||
                strcmp(options->tls_verify, "on") != 0;
    return given ? larder_fail(message, LARDER_BAD_ARGUMENT, "the options tls_… need tls=on")
                 : LARDER_OK;
}

enum larder_status meta_tls_open(const struct larder_meta_options *options,
                                 const struct larder_message *message, struct tls_context **context)
{
    *context = NULL;
    if (options->tls == 0)
        return refuse_without_tls(options, message);
    if (options->tls_name != NULL && strlen(options->tls_name) > TLSEXT_MAXLEN_host_name)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "tls_name is longer than %d bytes",
                           TLSEXT_MAXLEN_host_name);
    struct tls_context *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return LARDER_NO_MEMORY;
    pthread_once(&gate_once, gate_install);
    gate_enter();
    enum larder_status status = make(made, options, message);
    gate_leave();
    if (status != LARDER_OK) {
        meta_tls_close(made);
        return status;
    }
    *context = made;
    return LARDER_OK;
}

void meta_tls_close(struct tls_context *context)
{
    if (context == NULL)
        return;
    gate_enter();
    SSL_CTX_free(context->openssl);
    BIO_meth_free(context->socket);
    gate_leave();
    free(context);
}
