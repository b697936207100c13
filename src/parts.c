#include "parts.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#include "attach.h"
#include "namespace.h"

#define WHY_BYTES 512

/* ---- taking -------------------------------------------------------------------------------- */

static size_t rows_of(const struct larder_backend *backend)
{
    size_t count = 0;
    for (size_t i = 0; i < backend->option_count; i++)
        count += backend->options[i].type == LARDER_OPTION_CACHE;
    return count;
}

static enum larder_status check_part(const struct larder_option *option,
                                     const struct larder_cache *cache,
                                     const struct larder_message *message)
{
    if (cache == NULL && option->smallest == 0)
        return LARDER_OK;
    if (cache == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "%s is missing; name a cache",
                           option->name);
    if (cache->kind != HANDLE_LEAF)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "%s: a client, a namespace or a session can't be a part of a cache",
                           option->name);
    if (larder__hides_errors(cache))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "%s: errors=miss belongs to the cache that the program uses, not to its "
                           "parts",
                           option->name);
    return LARDER_OK;
}

/* What the options name, or, where they name nothing, a new cache of the default. */
static enum larder_status part_find(struct parts *parts, const struct larder_option *option,
                                    const void *options, struct larder_clock clock,
                                    struct larder_cache **cache,
                                    const struct larder_message *message)
{
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    char why[WHY_BYTES];
    memcpy(cache, (const char *)options + option->offset, sizeof(*cache));
    if (*cache != NULL || option->text_default == NULL)
        return check_part(option, *cache, message);
    open.clock = clock;
    enum larder_status status = larder_open(option->text_default, &open, cache, why, sizeof(why));
    parts->opened[parts->count] = status == LARDER_OK;
    return status == LARDER_OK ? status : larder_fail(message, status, "%s: %s", option->name, why);
}

static enum larder_status part_take(struct parts *parts, const struct larder_option *option,
                                    const void *options, struct larder_clock clock,
                                    const struct larder_message *message)
{
    struct larder_part *part = &parts->list[parts->count];
    struct larder_cache *cache;
    part->name = option->name;
    enum larder_status status = part_find(parts, option, options, clock, &cache, message);
    if (status != LARDER_OK)
        return status;
    parts->caches[parts->count++] = cache;
    if (cache == NULL)
        return LARDER_OK;
    larder__leaf_hold(cache);
    const struct target *target = larder__last_target(cache);
    part->ops = part->space_ops = target->scope.ops;
    part->self = part->space_self = target->scope.self;
    part->traits = part->space_traits = target->traits;
    /* asked when it is held: from now on only its last user shuts it down */
    return !larder__is_closed(cache) ? LARDER_OK
                                     : larder_fail(message, LARDER_BAD_ARGUMENT,
                                                   "%s: this cache is shut down", option->name);
}

static enum larder_status parts_allocate(struct parts *parts, size_t count)
{
    parts->list = calloc(count, sizeof(*parts->list));
    parts->caches = calloc(count, sizeof(*parts->caches));
    parts->named = calloc(count, sizeof(*parts->named));
    parts->opened = calloc(count, sizeof(*parts->opened));
    if (parts->list != NULL && parts->caches != NULL && parts->named != NULL &&
        parts->opened != NULL)
        return LARDER_OK;
    larder__parts_give_back(parts);
    return LARDER_NO_MEMORY;
}

enum larder_status larder__parts_take(struct parts *parts, const struct larder_backend *backend,
                                      const void *options, struct larder_clock clock,
                                      const struct larder_message *message)
{
    size_t count = rows_of(backend);
    memset(parts, 0, sizeof(*parts));
    if (count == 0)
        return LARDER_OK;
    enum larder_status status = parts_allocate(parts, count);
    for (size_t i = 0; i < backend->option_count && status == LARDER_OK; i++)
        if (backend->options[i].type == LARDER_OPTION_CACHE)
            status = part_take(parts, &backend->options[i], options, clock, message);
    if (status != LARDER_OK)
        larder__parts_give_back(parts);
    return status;
}

/* ---- letting go ---------------------------------------------------------------------------- */

static void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        larder__namespaced_free(parts->named[i]);
    free(parts->list);
    free(parts->caches);
    free(parts->named);
    free(parts->opened);
    memset(parts, 0, sizeof(*parts));
}

void larder__parts_give_back(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (parts->caches[i] != NULL)
            larder__leaf_give_back(parts->caches[i]);
        if (parts->opened[i])
            larder__leaf_close(parts->caches[i]);
    }
    parts_free(parts);
}

void larder__parts_leave(struct parts *parts, int retires)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->caches[i] != NULL)
            larder__leaf_leave(parts->caches[i], retires);
}

void larder__parts_close(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->caches[i] != NULL)
            larder__leaf_let_go(parts->caches[i]);
    parts_free(parts);
}

/* ---- namespaces ---------------------------------------------------------------------------- */

static enum larder_status part_wrap(struct parts *parts, size_t index, uint64_t poll_ms,
                                    int generation)
{
    struct larder_part *part = &parts->list[index];
    const struct larder_scope plain = {part->ops, part->self, NULL, NULL, NULL, 0, 0, 0, NULL};
    struct namespaced *named = larder__namespaced_new(
        &plain, part->traits, larder__leaf_clock(parts->caches[index]), poll_ms, generation);
    if (named == NULL)
        return LARDER_NO_MEMORY;
    struct larder_scope scope = larder__namespaced_scope(named);
    parts->named[index] = named;
    part->space_ops = scope.ops;
    part->space_self = scope.self;
    part->space_traits = larder__namespaced_traits(named);
    return LARDER_OK;
}

static enum larder_status part_name(struct parts *parts, size_t index, uint64_t poll_ms,
                                    int generation)
{
    struct larder_part *part = &parts->list[index];
    struct larder_cache *cache = parts->caches[index];
    if (cache == NULL || parts->named[index] != NULL)
        return LARDER_OK;
    if (!larder_can(part->traits, LARDER_CAN_NAMESPACES))
        return part_wrap(parts, index, poll_ms, generation);
    enum larder_status status = larder__leaf_name(cache, poll_ms, generation);
    if (status == LARDER_OK)
        part->space_traits = larder__leaf_space_traits(cache);
    return status;
}

enum larder_status larder__parts_name(struct parts *parts, uint64_t poll_ms, int generation)
{
    for (size_t i = 0; i < parts->count; i++) {
        enum larder_status status = part_name(parts, i, poll_ms, generation);
        if (status != LARDER_OK)
            return status;
    }
    return LARDER_OK;
}

static enum larder_status flush_part(const struct parts *parts, size_t index,
                                     const struct larder_space *space,
                                     const struct larder_cache *kept)
{
    const struct larder_part *part = &parts->list[index];
    const struct parts *inner = larder__leaf_parts(parts->caches[index]);
    if (inner->count > 0)
        return larder__parts_flush_unshared(inner, space, kept);
    if ((part->traits->promises & LARDER_SHARED) != 0 || parts->caches[index] == kept)
        return LARDER_OK;
    const struct larder_scope scope = {
        part->space_ops, part->space_self, space, NULL, NULL, 0, 0, 0, NULL};
    enum larder_status status = scope.ops->flush(&scope);
    return status != LARDER_UNSUPPORTED ? status : LARDER_OK;
}

enum larder_status larder__parts_flush_unshared(const struct parts *parts,
                                                const struct larder_space *space,
                                                const struct larder_cache *kept)
{
    enum larder_status lowest = LARDER_OK;
    for (size_t i = 0; i < parts->count; i++) {
        enum larder_status status =
            parts->caches[i] != NULL ? flush_part(parts, i, space, kept) : LARDER_OK;
        lowest = status < lowest ? status : lowest;
    }
    return lowest;
}
