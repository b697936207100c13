/* Deadlines on CLOCK_MONOTONIC. */
#include <larder/util/deadline.h>

#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

uint64_t larder_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t larder_deadline_after(uint64_t now_ns, uint64_t milliseconds)
{
    if (milliseconds > (LARDER_NEVER_NS - now_ns) / NS_PER_MS)
        return LARDER_NEVER_NS;
    return now_ns + milliseconds * NS_PER_MS;
}

uint64_t larder_scope_deadline(const struct larder_scope *scope, uint64_t timeout_ms)
{
    return larder_scope_deadline_from(scope, larder_monotonic_ns(), timeout_ms);
}

uint64_t larder_scope_deadline_from(const struct larder_scope *scope, uint64_t now_ns,
                                    uint64_t timeout_ms)
{
    if (scope->call != NULL && scope->call->timeout_ms != 0 && scope->call->timeout_ms < timeout_ms)
        timeout_ms = scope->call->timeout_ms;
    uint64_t deadline_ns = larder_deadline_after(now_ns, timeout_ms);
    if (scope->session != NULL && scope->session->deadline_ns < deadline_ns)
        deadline_ns = scope->session->deadline_ns;
    if (scope->deadline_ns != 0 && scope->deadline_ns < deadline_ns)
        deadline_ns = scope->deadline_ns;
    return deadline_ns;
}

uint64_t larder_deadline_left_ms(uint64_t deadline_ns)
{
    uint64_t now_ns = larder_monotonic_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ns = deadline_ns - now_ns;
    return left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);
}
