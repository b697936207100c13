/*
 * TLS under a connection. tls.c does it with OpenSSL and is the only file that knows OpenSSL;
 * no_tls.c is built instead with -DLARDER_TLS=OFF, and refuses tls=on.
 *
 * Nothing here waits, raises a signal, or says goodbye: replies carry their lengths, so that an end
 * of the connection without close_notify can cut none unseen, and a child that drops what it
 * inherited writes nothing on its parent's connection.
 */
#ifndef META_TLS_H
#define META_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include <larder/meta.h>

/** What a cache trusts, and who it is. Any thread, at once. */
struct tls_context;
/** One server: its name, and the session that the next connection goes on with. Any thread. */
struct tls_peer;
/** One connection's. One thread at a time. */
struct tls;

/** @return OK; *context is NULL with tls=off. BAD_ARGUMENT, UNSUPPORTED with a message; NO_MEMORY
 */
enum larder_status meta_tls_open(const struct larder_meta_options *options,
                                 const struct larder_message *message,
                                 struct tls_context **context);
/** After all peers. NULL does nothing. */
void meta_tls_close(struct tls_context *context);

/** @param name  that its certificate must be for: a host name or an address; copied
 * @return OK, NO_MEMORY */
enum larder_status meta_tls_peer_open(struct tls_context *context, const char *name,
                                      struct tls_peer **peer);
/** After all connections. NULL does nothing. */
void meta_tls_peer_close(struct tls_peer *peer);

/** Begins on a connected socket, which stays the caller's. @return NULL: no memory */
struct tls *meta_tls_begin(struct tls_peer *peer, int descriptor);
/** Frees, and says nothing on the socket. NULL does nothing. */
void meta_tls_end(struct tls *tls);

/* The next three return -1 with errno EAGAIN when meta_tls_events() must come first, ECONNRESET at
 * the end of the connection, and EPROTO when meta_tls_failure() says what went wrong. */

/** @return 1 when the handshake is done, the server's certificate checked; -1 */
int meta_tls_handshake(struct tls *tls);
/** @param vectors  each ends where a request does, but for long values, which are vectors of their
 * own with their line end in another
 * @return how many bytes were taken, or -1. Until it answers otherwise than EAGAIN the bytes must
 * stay what they are. */
ssize_t meta_tls_send(struct tls *tls, const struct iovec *vectors, size_t count);
/** @return how many bytes there were; -1 */
ssize_t meta_tls_receive(struct tls *tls, void *bytes, size_t size);
/** What to poll(2) the socket for after EAGAIN. */
short meta_tls_events(const struct tls *tls);
/** 1 when there may be more to receive although poll(2) says nothing of it. */
int meta_tls_has_read_ahead(const struct tls *tls);
/** 1 when bytes have come that nobody asked for. */
int meta_tls_has_more(struct tls *tls);

/** 1 when the session was one from before. */
int meta_tls_is_resumed(const struct tls *tls);
/** Why it failed, for people, in static storage; NULL when it has not failed.
 * @param failure  LARDER_META_FAILURE_CERTIFICATE or LARDER_META_FAILURE_TLS then */
const char *meta_tls_failure(const struct tls *tls, enum larder_meta_failure *failure);

#endif
