/*
 * A server that does what a test tells it: cuts, stalls, lies. It listens on a Unix socket in a
 * directory of its own and calls the test's function for each connection, in a thread of its own.
 */
#ifndef TESTS_SCRIPTED_SERVER_H
#define TESTS_SCRIPTED_SERVER_H

#include <stddef.h>

struct scripted_server;

/** Serves one connection; when it returns, the connection is closed.
 * @param number  of the connection, from 1 */
typedef void scripted_serve_fn(void *context, int descriptor, unsigned number);

/** Ends the program with a message when it can't be started. */
struct scripted_server *scripted_server_start(scripted_serve_fn *serve, void *context);
/** The same on a port of 127.0.0.1. */
struct scripted_server *scripted_server_start_tcp(scripted_serve_fn *serve, void *context);
unsigned scripted_server_port(const struct scripted_server *server);
/** For the other kind. */
const char *scripted_server_path(const struct scripted_server *server);
/** How many connections were accepted. */
unsigned scripted_server_connections(const struct scripted_server *server);
/** Shuts every connection, waits for the threads, and removes the directory. */
void scripted_server_stop(struct scripted_server *server);

/** Connects to a Unix socket. @return -1 when nobody listens */
int scripted_dial(const char *path);
/** Connects to a port of 127.0.0.1. @return -1 when nobody listens */
int scripted_dial_tcp(unsigned port);
/** Reads up to a newline. @return the line without "\r\n"; NULL at the end of the connection */
char *scripted_read_line(int descriptor, char *line, size_t size);
/** @return 0 when the peer is gone */
int scripted_send(int descriptor, const void *bytes, size_t length);
int scripted_say(int descriptor, const char *text);
/** Reads the next line, having answered "version" as memcached does as often as it comes.
 * @return NULL also for "quit" */
char *scripted_next(int descriptor, char *line, size_t size);
/** Waits until the peer, or scripted_server_stop(), closes the connection; swallows what comes. */
void scripted_wait_for_close(int descriptor);
/** Sleeps; a server may be slow. */
void scripted_pause(unsigned milliseconds);

#endif
