/*
 * Generations: a number per namespace and server that is part of every wire key, so that counting
 * it up makes all older entries unreachable at once.
 *
 * It is kept on the server under "~g:name", starts at random (what an eviction or a restart lost is
 * started anew and never revives old entries), and is read again every poll period. Each server
 * keeps its own, so one that is down takes only its own entries along. While reading fails, the
 * last one counts for three periods; then the namespace's entries on that server are UNAVAILABLE.
 */
#ifndef LARDER_GENERATION_H
#define LARDER_GENERATION_H

#include <larder/backend.h>

#include "fork.h"

struct generations;

/** @param poll_ms  how long a generation counts without being read again */
struct generations *larder__generations_new(struct larder_clock clock, uint64_t poll_ms);
/** Last and alone. NULL does nothing. */
void larder__generations_free(struct generations *generations);

/**
 * The generation of scope->space on one server.
 *
 * @param scope  the call that wants to know, over the backend that keeps them; its deadline holds
 * for this too
 * @return OK; UNAVAILABLE; TIMEOUT when a session's time is over; NO_MEMORY; WOULD_BLOCK; CLOSED
 */
enum larder_status larder__generation_find(struct generations *generations,
                                           const struct larder_scope *scope, uint32_t server,
                                           uint32_t servers, uint64_t *generation);

/** Counts the generation of scope->space up, on every server. @return OK, or the failure with the
 * lowest number */
enum larder_status larder__generation_raise(struct generations *generations,
                                            const struct larder_scope *scope, uint32_t servers);

#endif
