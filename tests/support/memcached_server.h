/*
 * A real memcached for tests, on a Unix socket in a directory of its own, or on TCP where asked.
 * Whatever a test started is ended when it exits, also by a signal or a failed assertion; nothing
 * else is ever touched.
 */
#ifndef TESTS_MEMCACHED_SERVER_H
#define TESTS_MEMCACHED_SERVER_H

#include <sys/types.h>

struct memcached_server;

/** Starts one with `arguments` (NULL-terminated; NULL: none) beside its socket, and waits until it
 * answers. Ends the program with a message when memcached can't be started. */
struct memcached_server *memcached_server_start(const char *const *arguments);

/** The same on a port of 127.0.0.1 that nobody else has, and keeps over a restart: memcached speaks
 * TLS on no Unix socket. It answers when it has let a connection in. */
struct memcached_server *memcached_server_start_tcp(const char *const *arguments);
unsigned memcached_server_tcp_port(const struct memcached_server *server);

/** "/tmp/…/memcached.sock" */
const char *memcached_server_path(const struct memcached_server *server);
pid_t memcached_server_pid(const struct memcached_server *server);

/** SIGKILL, and waits until it is gone. The socket file stays, as after a crash. */
void memcached_server_kill(struct memcached_server *server);
/** Starts it again, empty, on the same socket. */
void memcached_server_restart(struct memcached_server *server);
/** SIGSTOP and SIGCONT. */
void memcached_server_pause(struct memcached_server *server);
void memcached_server_resume(struct memcached_server *server);
/** Ends it and removes its directory. NULL does nothing. */
void memcached_server_stop(struct memcached_server *server);

#endif
