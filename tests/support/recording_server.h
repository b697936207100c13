/*
 * A server between larder and a real memcached that hands every request and reply on, keeps a log
 * of them, and cuts a connection where a test says. When a call returns, the log says what reached
 * memcached, and memcached has done whatever it will ever do with it.
 *
 * It speaks text and binary, one request at a time; of the text replies it knows those of one line
 * and of VALUEs, of the binary ones those of one packet.
 */
#ifndef TESTS_RECORDING_SERVER_H
#define TESTS_RECORDING_SERVER_H

#include <stddef.h>

#define RECORDING_REQUESTS_MAX 16

enum recording_kind {
    RECORDING_GREETING, /* version */
    RECORDING_READ,
    RECORDING_WRITE,
    RECORDING_QUIT /* is neither handed on nor logged */
};

/** Where a connection is cut, once. */
struct recording_cut {
    unsigned number; /* of the request among those of its kind, from 1; 0: nothing is cut */
    enum recording_kind kind;
    int in_reply; /* 0: so many bytes of the request reach memcached, none of a reply larder; 1: the
                     whole request reaches it, and so many bytes of the reply larder */
    size_t after; /* bytes; more than there are: all of them */
    int reset;    /* 0: larder reads the end of the connection; 1: ECONNRESET */
};

/** A request that came whole, in bytes. */
struct recording_request {
    enum recording_kind kind;
    size_t length;
    size_t forwarded;    /* that reached memcached */
    size_t reply_length; /* of memcached's answer */
    size_t answered;     /* of it, that larder was sent */
};

struct recording_log {
    size_t count; /* RECORDING_REQUESTS_MAX at most */
    struct recording_request requests[RECORDING_REQUESTS_MAX];
    size_t partial; /* requests that did not come whole */
    int cut;        /* it was made */
};

struct recording_server;

/** @param upstream  the socket of the real memcached, borrowed. Ends the program with a message
 * when it can't be started. */
struct recording_server *recording_server_start(const char *upstream);
/** Of its own socket. */
const char *recording_server_path(const struct recording_server *server);
/** Empties the log, and says what to cut from now on. */
void recording_server_arm(struct recording_server *server, const struct recording_cut *cut);
struct recording_log recording_server_log(struct recording_server *server);
/** NULL does nothing. */
void recording_server_stop(struct recording_server *server);

#endif
