/*
 * TLS in front of a real memcached on a Unix socket: for what memcached's own TLS can't be made to
 * do, and to have TLS where a test brings its own memcached. It listens on a port of 127.0.0.1.
 */
#ifndef TESTS_TLS_SERVER_H
#define TESTS_TLS_SERVER_H

struct tls_server;

enum tls_server_manner {
    TLS_SERVER_GOOD,
    TLS_SERVER_OLD,           /* speaks nothing newer than TLS 1.1 */
    TLS_SERVER_1_2,           /* nothing newer than TLS 1.2 */
    TLS_SERVER_WANTS_CLIENTS, /* asks for a certificate that the root has signed */
    TLS_SERVER_BABBLES        /* says a line that nobody asked for behind the first reply */
};

/** @param path         of the memcached's socket; must stay
 * @param certificate  a path with a certificate and its key
 * Ends the program with a message when it can't be started. */
struct tls_server *tls_server_start(const char *path, const char *certificate,
                                    enum tls_server_manner manner);
unsigned tls_server_port(const struct tls_server *server);
/** How many handshakes were made with a session from before. */
unsigned tls_server_resumed(const struct tls_server *server);
/** The name that the last client asked for, "" when it named none. Ask when nothing is under way.
 */
const char *tls_server_name(const struct tls_server *server);
void tls_server_stop(struct tls_server *server);

#endif
