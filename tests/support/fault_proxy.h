/*
 * Stands between a client and a server and does one fault at one byte: closes, resets, stalls,
 * drips, or changes the byte. It listens on a port of 127.0.0.1, since a Unix socket can't be
 * reset, and speaks to a Unix socket, or a port. Each connection has a thread of its own.
 */
#ifndef TESTS_FAULT_PROXY_H
#define TESTS_FAULT_PROXY_H

#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_CUT,     /* closes */
    FAULT_RESET,   /* closes with a TCP reset */
    FAULT_STALL,   /* passes nothing on any more in that direction */
    FAULT_DRIP,    /* passes one byte at a time, with a pause before each */
    FAULT_CORRUPT, /* passes that byte with `mask` applied by exclusive or, and goes on */
    FAULT_LATE     /* passes the rest of the piece after a pause, and goes on */
};
#define FAULT_KINDS 7

enum fault_side { FAULT_REQUEST, FAULT_REPLY };

struct fault {
    enum fault_kind kind;
    enum fault_side side;
    size_t at;           /* so many bytes pass in that direction before */
    unsigned char mask;  /* CORRUPT; not 0 */
    unsigned pause_ms;   /* DRIP, LATE */
    unsigned connection; /* only of that number, from 1; 0: of each */
};

struct fault_proxy;

/** Ends the program with a message when it can't be started. @param path  of the server's socket;
 * must stay */
struct fault_proxy *fault_proxy_start(const char *path);
/** The same in front of a port of 127.0.0.1. */
struct fault_proxy *fault_proxy_start_tcp(unsigned port);
unsigned fault_proxy_port(const struct fault_proxy *proxy);
/** How many connections there were. */
unsigned fault_proxy_connections(const struct fault_proxy *proxy);
/** Arms a fault from now on, also for connections that stand: each counts its bytes from 0 again.
 * Call it while nothing is under way. */
void fault_proxy_set(struct fault_proxy *proxy, const struct fault *fault);

/** From now on each piece that is passed on, which is mostly one request or one reply, has one of
 * all faults by chance, at any of its bytes. Only first lines of replies are corrupted: nobody
 * could find a changed value, nor what a changed request does. Each connection draws on its own. */
struct fault_mix {
    uint64_t seed;
    unsigned per_mille; /* of the pieces of either side */
    unsigned late_ms;   /* LATE */
};
void fault_proxy_mix(struct fault_proxy *proxy, const struct fault_mix *mix);
/** How many faults of that kind were done by a mix. */
unsigned long fault_proxy_struck(const struct fault_proxy *proxy, enum fault_kind kind);

/** How many bytes have passed on that side since the last fault_proxy_set(), on all connections. */
size_t fault_proxy_passed(const struct fault_proxy *proxy, enum fault_side side);
void fault_proxy_stop(struct fault_proxy *proxy);

#endif
