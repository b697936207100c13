/* Deadlines, on CLOCK_MONOTONIC whatever clock a cache was given: they bound real waits. */
#ifndef LARDER_UTIL_DEADLINE_H
#define LARDER_UTIL_DEADLINE_H

#include <larder/backend.h>

#define LARDER_NEVER_NS UINT64_MAX

/** CLOCK_MONOTONIC in nanoseconds. */
uint64_t larder_monotonic_ns(void);

/** `now` plus milliseconds, never past LARDER_NEVER_NS. */
uint64_t larder_deadline_after(uint64_t now_ns, uint64_t milliseconds);

/** The earliest of now + timeout_ms, the call's own timeout, its session's deadline, and the
 * deadline of the call that this is a step of. */
uint64_t larder_scope_deadline(const struct larder_scope *scope, uint64_t timeout_ms);
/** The same for who has just looked at the clock. */
uint64_t larder_scope_deadline_from(const struct larder_scope *scope, uint64_t now_ns,
                                    uint64_t timeout_ms);

/** Milliseconds left, rounded up; 0 when the deadline has passed. */
uint64_t larder_deadline_left_ms(uint64_t deadline_ns);

/** 1 when the call or its session was asked not to wait. */
static inline int larder_scope_no_wait(const struct larder_scope *scope)
{
    uint32_t flags = scope->call != NULL ? scope->call->flags : 0;
    if (scope->session != NULL)
        flags |= scope->session->flags;
    return (flags & LARDER_NO_WAIT) != 0;
}

#endif
