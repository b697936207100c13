/* Handles: roots and what is derived from them. */
#include "handle.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/epoch.h>
#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "hit.h"
#include "monotonic.h"

static void fork_derived(void *self, enum larder_fork_step step)
{
    struct larder_cache *root = self;
    larder__fork_mutex(&root->derived.mutex, step);
}

/* A plain call looks at no refusal: it goes where every call is refused. */
const struct target larder__closed_target = {.refusal = LARDER_CLOSED,
                                             .hits = LARDER__HITS_REFUSED};
const struct target larder__unmapped_target = {.refusal = LARDER_BAD_ARGUMENT,
                                               .hits = LARDER__HITS_REFUSED};

/* ---- targets ------------------------------------------------------------------------------- */

void larder__target_init(struct target *target, const struct larder_scope *scope,
                         const struct larder_traits *traits,
                         const struct larder_open_options *options)
{
    memset(target, 0, sizeof(*target));
    target->scope = *scope;
    target->hits = larder__hits_of(&target->scope);
    target->traits = traits;
    target->ttl.default_ms = options->default_ttl_ms;
    target->ttl = larder__ttl_narrow(target->ttl, LARDER_TTL_DEFAULT, options->max_ttl_ms);
    target->ttl = larder__ttl_narrow(target->ttl, LARDER_TTL_DEFAULT, traits->ttl_max_ms);
    target->errors_as_miss = options->errors_as_miss;
    target->listener = options->listener;
    target->listener_context = options->listener_context;
}

/* A leaf's backend is never replaced: calls on it are no visits, and go there at once. */
static const struct larder_hits *hits_of(const struct larder_cache *cache,
                                         const struct target *target)
{
    if (cache->kind == HANDLE_LEAF)
        return &target->hits;
    return larder_fences_are_asymmetric() ? &larder__hits_on_visit : &larder__hits_on_fenced_visit;
}

void larder__lead_first(struct larder_cache *cache, const struct target *target)
{
    const struct larder_hits *hits = hits_of(cache, target);
    atomic_init(&cache->read_hit, hits->read);
    atomic_init(&cache->get_hit, hits->get);
    atomic_init(&cache->last, target);
    atomic_init(&cache->target, target);
}

void larder__lead_locked(struct larder_cache *cache, const struct target *target)
{
    const struct larder_hits *hits = hits_of(cache, target);
    /* release, all: what the target says is there for whoever loads it */
    if (target->refusal == LARDER_OK)
        atomic_store_explicit(&cache->last, target, memory_order_release);
    atomic_store_explicit(&cache->read_hit, hits->read, memory_order_release);
    atomic_store_explicit(&cache->get_hit, hits->get, memory_order_release);
    atomic_store_explicit(&cache->target, target, memory_order_release);
}

int larder__moved(struct larder_cache *cache, const struct target *target)
{
    if (larder__target(cache) != target)
        return 1;
    return (cache->kind == HANDLE_SESSION || cache->kind == HANDLE_BOUND) &&
           larder__session_follow(cache);
}

enum larder_status larder__counts_in(struct larder_cache *cache, struct larder_counters *counters)
{
    if (counters == NULL)
        return LARDER_NO_MEMORY;
    cache->counters = counters;
    cache->reader.read_otherwise = larder__read_otherwise;
    cache->reader.count = larder__hit_counted;
    cache->reader.missed = larder__hit_missed;
    cache->reader.get_otherwise = larder__get_otherwise;
    cache->reader.tallies = counters->own;
    return LARDER_OK;
}

/* ---- roots --------------------------------------------------------------------------------- */

enum larder_status larder__root_init(struct larder_cache *cache, enum handle_kind kind,
                                     const struct target *target)
{
    memset(cache, 0, sizeof(*cache));
    if (larder__counts_in(cache, larder__counters_new()) != LARDER_OK)
        return LARDER_NO_MEMORY;
    cache->kind = kind;
    cache->root = cache;
    larder__lead_first(cache, target);
    pthread_mutex_init(&cache->derived.mutex, NULL);
    larder__fork_hook_add(&cache->derived_fork, fork_derived, cache);
    return LARDER_OK;
}

void larder__root_clean_up(struct larder_cache *cache)
{
    if (cache->counters == NULL)
        return;
    larder__fork_hook_remove(&cache->derived_fork);
    pthread_mutex_destroy(&cache->derived.mutex);
    larder__counters_free(cache->counters);
    cache->counters = NULL;
}

enum larder_status larder__derive(struct larder_cache *root, struct larder_cache *derived)
{
    derived->root = root;
    derived->previous = NULL;
    pthread_mutex_lock(&root->derived.mutex);
    int closed = root->derived.closed;
    if (!closed) {
        derived->next = root->derived.first;
        if (derived->next != NULL)
            derived->next->previous = derived;
        root->derived.first = derived;
    }
    pthread_mutex_unlock(&root->derived.mutex);
    return closed ? LARDER_CLOSED : LARDER_OK;
}

void larder__underive(struct larder_cache *derived)
{
    struct larder_cache *root = derived->root;
    pthread_mutex_lock(&root->derived.mutex);
    if (derived->previous != NULL)
        derived->previous->next = derived->next;
    else
        root->derived.first = derived->next;
    if (derived->next != NULL)
        derived->next->previous = derived->previous;
    pthread_mutex_unlock(&root->derived.mutex);
}

int larder__root_close(struct larder_cache *root)
{
    pthread_mutex_lock(&root->derived.mutex);
    int first_time = !root->derived.closed;
    root->derived.closed = 1;
    larder__lead_locked(root, &larder__closed_target);
    for (struct larder_cache *derived = root->derived.first; derived != NULL;
         derived = derived->next)
        larder__lead_locked(derived, &larder__closed_target);
    pthread_mutex_unlock(&root->derived.mutex);
    return first_time;
}

int larder__is_closed(const struct larder_cache *cache)
{
    return larder__target(cache) == &larder__closed_target;
}

int larder__hides_errors(const struct larder_cache *cache)
{
    return larder__last_target(cache)->errors_as_miss != 0;
}

enum larder_status larder__open_options_read(const struct larder_open_options *given,
                                             struct larder_open_options *options,
                                             const struct larder_message *message)
{
    struct larder_open_options defaults = LARDER_OPEN_OPTIONS_INIT;
    *options = defaults;
    if (given != NULL &&
        (!larder_struct_read(given, given->struct_size,
                             LARDER_SIZE_UP_TO(struct larder_open_options, reserved), options,
                             sizeof(*options)) ||
         options->reserved != 0))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "open options: start from LARDER_OPEN_OPTIONS_INIT; or this library is "
                           "older than the program that fills them");
    options->clock = larder__clock_or_default(options->clock);
    if (options->default_ttl_ms < 0 || options->max_ttl_ms < 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "open options: default_ttl_ms and max_ttl_ms are 0 or more");
    if (options->errors_as_miss > 1)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "open options: errors_as_miss is 0 or 1");
    return LARDER_OK;
}

struct larder_open_options larder__open_options_of_part(const struct larder_open_options *options)
{
    struct larder_open_options part = *options;
    part.listener = NULL;
    part.listener_context = NULL;
    part.errors_as_miss = 0;
    part.default_ttl_ms = 0;
    part.max_ttl_ms = 0;
    return part;
}
