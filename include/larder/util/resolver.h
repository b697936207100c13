/*
 * Host names, resolved outside of any call: getaddrinfo() can't be given a deadline, so one thread
 * per process, started on demand and gone when nothing is left to do, calls it, and callers read
 * what it last found. A name server that hangs delays other names; it never delays a call.
 */
#ifndef LARDER_UTIL_RESOLVER_H
#define LARDER_UTIL_RESOLVER_H

#include <larder/backend.h>

/** "ffff:…:255.255.255.255%…" with its terminator. */
#define LARDER_ADDRESS_BYTES 64u

struct larder_name;

/** Writes the address of a host that needs no resolving: numeric, or "localhost" (127.0.0.1).
 * @return 1, or 0 when it has to be resolved */
int larder_address_numeric(const char *host, char address[LARDER_ADDRESS_BYTES]);

/** Starts to resolve a name. @return given back with larder_name_release(); NULL when memory, or
 * threads, ran out */
struct larder_name *larder_name_resolve(const char *host);
/** NULL does nothing. Never waits for the thread. */
void larder_name_release(struct larder_name *name);

/** @return 1 and the address that was found last, or 0 */
int larder_name_address(struct larder_name *name, char address[LARDER_ADDRESS_BYTES]);
/** Waits for a first answer, good or bad. @return as larder_name_address() */
int larder_name_wait(struct larder_name *name, uint64_t deadline_ns,
                     char address[LARDER_ADDRESS_BYTES]);
/** Asks again, at most once a second. Doesn't wait. */
void larder_name_refresh(struct larder_name *name);

#endif
