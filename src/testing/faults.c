/*
 * Injects faults. Rules are looked at under the lock, delays are waited out without it. Whether
 * chance hits is a function of the seed, the rule and the number of the call among those that the
 * rule matched, so that a run can be repeated.
 */
#include <larder/testing.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <larder/util/deadline.h>
#include <larder/util/random.h>

#include "hold.h"
#include "match.h"

#define MILLION 1000000u

struct rule {
    struct larder_fault fault;
    void *texts; /* of fault.match */
    uint64_t matched;
    uint64_t injected;
};

struct larder_faults {
    struct larder_observer observer; /* set in new(), then only read, as is seed */
    uint64_t seed;
    struct hold hold;
    struct { /* touched only while holding `hold` */
        struct rule rules[LARDER_FAULTS_MAX];
        size_t count;
    } guarded;
    /* Grows when delays must end. relaxed: it orders nothing; a delay compares it with what it was
     * when the rules were looked at. */
    _Atomic uint64_t wakes;
};

/* ---- which rules hit ----------------------------------------------------------------------- */

/* What the rules have in store for a call. */
struct decision {
    enum larder_status status;
    uint64_t delay_ms;
    uint64_t wakes;
};

static int chance_hits(const struct larder_faults *faults, size_t index, const struct rule *rule)
{
    const struct larder_hash_key key = {{faults->seed, index}};
    uint32_t chance = rule->fault.chance_per_million;
    if (chance == 0)
        return 1;
    return larder_hash(&key, 0, &rule->matched, sizeof(rule->matched)) % MILLION < chance;
}

/* rule->matched is the number of the call, from 1. */
static int rule_hits(const struct larder_faults *faults, size_t index, const struct rule *rule)
{
    const struct larder_fault *fault = &rule->fault;
    uint64_t from = fault->from != 0 ? fault->from : 1;
    uint64_t every = fault->every != 0 ? fault->every : 1;
    if (rule->matched < from || (rule->matched - from + 1) % every != 0)
        return 0;
    if (fault->times != 0 && rule->injected >= fault->times)
        return 0;
    return chance_hits(faults, index, rule);
}

static void decide_locked(struct larder_faults *faults, enum larder_fault_when when,
                          const struct larder_observed *call, struct decision *decision)
{
    for (size_t i = 0; i < faults->guarded.count; i++) {
        struct rule *rule = &faults->guarded.rules[i];
        if (rule->fault.when != when || !larder__match(&rule->fault.match, call))
            continue;
        rule->matched++;
        if (!rule_hits(faults, i, rule))
            continue;
        rule->injected++;
        decision->delay_ms += rule->fault.delay_ms;
        decision->status = rule->fault.status;
        if (decision->status != LARDER_FAULT_NO_STATUS)
            return;
    }
}

static struct decision decide(struct larder_faults *faults, enum larder_fault_when when,
                              const struct larder_observed *call)
{
    struct decision decision = {LARDER_FAULT_NO_STATUS, 0, 0};
    pthread_mutex_lock(&faults->hold.mutex);
    decision.wakes = atomic_load_explicit(&faults->wakes, memory_order_relaxed);
    decide_locked(faults, when, call, &decision);
    pthread_mutex_unlock(&faults->hold.mutex);
    return decision;
}

/* ---- delays -------------------------------------------------------------------------------- */

/* A short sleep at a time rather than a condition variable, which a forked child could not use. */
#define SLICE_NS UINT64_C(1000000)

static void sleep_until(uint64_t until_ns)
{
    uint64_t now_ns = larder_monotonic_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec slice = {0, (long)(left_ns < SLICE_NS ? left_ns : SLICE_NS)};
    nanosleep(&slice, NULL);
}

/* @return 1 when the delay is over, 0 when the call may not wait so long */
static int wait_out(const struct larder_faults *faults, const struct decision *decision,
                    const struct larder_observed *call)
{
    if (decision->delay_ms == 0)
        return 1;
    if ((call->flags & LARDER_NO_WAIT) != 0)
        return 0;
    uint64_t over_ns = larder_deadline_after(larder_monotonic_ns(), decision->delay_ms);
    int in_time = over_ns < call->deadline_ns;
    uint64_t until_ns = in_time ? over_ns : call->deadline_ns;
    while (larder_monotonic_ns() < until_ns) {
        if (atomic_load_explicit(&faults->wakes, memory_order_relaxed) != decision->wakes)
            return 1;
        sleep_until(until_ns);
    }
    return in_time;
}

static enum larder_status late(const struct larder_observed *call)
{
    return (call->flags & LARDER_NO_WAIT) != 0 ? LARDER_WOULD_BLOCK : LARDER_TIMEOUT;
}

static int is_write(const struct larder_observed *call)
{
    return (LARDER_ON_WRITES & 1u << call->operation) != 0;
}

/* ---- hooks --------------------------------------------------------------------------------- */

static int faults_before(void *context, struct larder_observed *call)
{
    struct larder_faults *faults = context;
    struct decision decision = decide(faults, LARDER_FAULT_BEFORE, call);
    if (!wait_out(faults, &decision, call))
        decision.status = late(call);
    if (decision.status == LARDER_FAULT_NO_STATUS)
        return 0;
    call->status = decision.status;
    return 1;
}

static void faults_after(void *context, struct larder_observed *call)
{
    struct larder_faults *faults = context;
    struct decision decision = decide(faults, LARDER_FAULT_AFTER, call);
    if (!wait_out(faults, &decision, call))
        decision.status = is_write(call) ? LARDER_UNKNOWN : late(call);
    if (decision.status != LARDER_FAULT_NO_STATUS)
        call->status = decision.status;
}

static void faults_wake(void *context)
{
    struct larder_faults *faults = context;
    atomic_fetch_add_explicit(&faults->wakes, 1, memory_order_relaxed);
}

static void faults_hold(void *context, int held)
{
    larder__hold(&((struct larder_faults *)context)->hold, held);
}

/* ---- rules --------------------------------------------------------------------------------- */

static int is_status(enum larder_status status)
{
    return status == LARDER_FAULT_NO_STATUS ||
           (status >= LARDER_CLOSED && status <= LARDER_WOULD_BLOCK);
}

static int fault_is_valid(const struct larder_fault *fault)
{
    return fault != NULL && fault->size == sizeof(*fault) &&
           fault->delay_ms <= LARDER_FAULT_DELAY_MS_MAX && is_status(fault->status) &&
           (unsigned)fault->when <= LARDER_FAULT_AFTER && fault->chance_per_million <= MILLION;
}

enum larder_status larder_faults_add(struct larder_faults *faults, const struct larder_fault *fault)
{
    struct rule rule = {0};
    if (!fault_is_valid(fault))
        return LARDER_BAD_ARGUMENT;
    rule.fault = *fault;
    enum larder_status status = larder__match_copy(&fault->match, &rule.fault.match, &rule.texts);
    if (status != LARDER_OK)
        return status;
    pthread_mutex_lock(&faults->hold.mutex);
    if (faults->guarded.count < LARDER_FAULTS_MAX)
        faults->guarded.rules[faults->guarded.count++] = rule;
    else
        status = LARDER_TOO_LARGE;
    pthread_mutex_unlock(&faults->hold.mutex);
    if (status != LARDER_OK)
        free(rule.texts);
    return status;
}

uint64_t larder_faults_injected(struct larder_faults *faults, size_t rule)
{
    uint64_t injected = 0;
    pthread_mutex_lock(&faults->hold.mutex);
    for (size_t i = 0; i < faults->guarded.count; i++)
        if (i == rule || rule == LARDER_FAULTS_MAX)
            injected += faults->guarded.rules[i].injected;
    pthread_mutex_unlock(&faults->hold.mutex);
    return injected;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct larder_faults *larder_faults_new(uint64_t seed)
{
    struct larder_faults *faults = calloc(1, sizeof(*faults));
    if (faults == NULL)
        return NULL;
    if (!larder__hold_init(&faults->hold)) {
        free(faults);
        return NULL;
    }
    faults->seed = seed;
    atomic_init(&faults->wakes, 0);
    faults->observer.struct_size = sizeof(faults->observer);
    faults->observer.name = "faults";
    faults->observer.context = faults;
    faults->observer.before = faults_before;
    faults->observer.after = faults_after;
    faults->observer.wake = faults_wake;
    faults->observer.hold = faults_hold;
    faults->observer.breaks = LARDER_NEVER_BLOCKS | LARDER_MISS_IS_ABSENCE;
    return faults;
}

const struct larder_observer *larder_faults_observer(const struct larder_faults *faults)
{
    return &faults->observer;
}

void larder_faults_reset(struct larder_faults *faults)
{
    pthread_mutex_lock(&faults->hold.mutex);
    for (size_t i = 0; i < faults->guarded.count; i++)
        free(faults->guarded.rules[i].texts);
    memset(&faults->guarded, 0, sizeof(faults->guarded));
    faults_wake(faults);
    pthread_mutex_unlock(&faults->hold.mutex);
}

void larder_faults_free(struct larder_faults *faults)
{
    if (faults == NULL)
        return;
    larder_faults_reset(faults);
    larder__hold_clean_up(&faults->hold);
    free(faults);
}
