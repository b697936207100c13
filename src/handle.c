/* Handles: roots and what is derived from them. */
#include "handle.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "monotonic.h"

static void fork_derived(void *self, enum larder_fork_step step)
{
    struct larder_cache *root = self;
    larder__fork_mutex(&root->derived.mutex, step);
}

enum larder_status larder__root_init(struct larder_cache *cache, enum handle_kind kind,
                                     const struct larder_scope *scope,
                                     const struct larder_traits *traits,
                                     const struct larder_open_options *options)
{
    memset(cache, 0, sizeof(*cache));
    cache->counters = larder__counters_new();
    if (cache->counters == NULL)
        return LARDER_NO_MEMORY;
    cache->kind = kind;
    cache->open_scope = *scope;
    cache->traits = traits;
    cache->ttl.default_ms = options->default_ttl_ms;
    cache->ttl = larder__ttl_narrow(cache->ttl, LARDER_TTL_DEFAULT, options->max_ttl_ms);
    cache->ttl = larder__ttl_narrow(cache->ttl, LARDER_TTL_DEFAULT, traits->ttl_max_ms);
    cache->errors_as_miss = options->errors_as_miss;
    cache->listener = options->listener;
    cache->listener_context = options->listener_context;
    cache->root = cache;
    atomic_init(&cache->scope, &cache->open_scope);
    pthread_mutex_init(&cache->derived.mutex, NULL);
    larder__fork_hook_add(&cache->derived_fork, fork_derived, cache);
    return LARDER_OK;
}

void larder__root_clean_up(struct larder_cache *cache)
{
    larder__fork_hook_remove(&cache->derived_fork);
    pthread_mutex_destroy(&cache->derived.mutex);
    larder__counters_free(cache->counters);
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

static void close_scope(struct larder_cache *cache)
{
    /* release: pairs with the acquire of every call; nothing of ours is published, but a reload
     * stores here too and its readers need it */
    atomic_store_explicit(&cache->scope, &larder__closed_scope, memory_order_release);
}

int larder__root_close(struct larder_cache *root)
{
    pthread_mutex_lock(&root->derived.mutex);
    int first_time = !root->derived.closed;
    root->derived.closed = 1;
    close_scope(root);
    for (struct larder_cache *derived = root->derived.first; derived != NULL;
         derived = derived->next)
        close_scope(derived);
    pthread_mutex_unlock(&root->derived.mutex);
    return first_time;
}

int larder__is_closed(const struct larder_cache *cache)
{
    return atomic_load_explicit(&cache->scope, memory_order_acquire) == &larder__closed_scope;
}

int larder__hides_errors(const struct larder_cache *cache)
{
    return cache->errors_as_miss != 0;
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
