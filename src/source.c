/* Opens what a configuration names: first all caches, then the client that owns them. */
#include "source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <larder/util/message.h>

#include "attach.h"

#define WHY_BYTES 512

/* ---- options ------------------------------------------------------------------------------- */

/*
 * The options of [client] over those of the caller. What is about the program belongs to the
 * client, through whose handles calls come, and to its routes: a cache is opened without it, as a
 * part is, and goes on when a new file changes nothing else.
 */
static struct larder_open_options client_options(const struct larder__config *config,
                                                 const struct larder_open_options *options)
{
    struct larder_open_options open = *options;
    open.struct_size = sizeof(open);
    larder__common_apply(&config->common, config->common_given, &open);
    return open;
}

static int64_t smaller_maximum(int64_t one, int64_t other)
{
    if (one == 0 || other == 0)
        return one + other;
    return one < other ? one : other;
}

/* The default TTL that is nearest to the namespace counts, and the smallest maximum. */
static struct larder_route route_of(const struct larder__planned_route *planned,
                                    struct larder_cache *cache,
                                    const struct larder_open_options *options)
{
    const struct larder__spec *spec = &planned->cache->spec;
    struct larder_open_options section = *options;
    section.max_ttl_ms = 0;
    larder__common_apply(&spec->common, spec->common_given, &section);
    struct larder_route route = {planned->name, cache, planned->default_ttl_ms,
                                 smaller_maximum(planned->max_ttl_ms, section.max_ttl_ms)};
    if (route.default_ttl_ms == LARDER_TTL_DEFAULT)
        route.default_ttl_ms = section.default_ttl_ms;
    return route;
}

/* @return one for each of the configuration's, or NULL */
static struct larder_route *routes_of(const struct larder__config *config,
                                      struct larder_cache *const *caches,
                                      const struct larder_open_options *options)
{
    struct larder_route *routes = calloc(config->route_count + 1, sizeof(*routes));
    for (size_t i = 0; routes != NULL && i < config->route_count; i++) {
        const struct larder__planned_route *planned = &config->routes[i];
        routes[i] = route_of(planned, caches[planned->cache - config->caches], options);
    }
    return routes;
}

/* ---- what an older source has of it -------------------------------------------------------- */

/* A section goes by its name, a cache without one by the namespace in whose line it stands; each is
 * one cache, or one for each layer. */
static int is_same_place(const struct larder__planned_cache *cache,
                         const struct larder__planned_cache *other)
{
    if (cache->layer != other->layer)
        return 0;
    if (cache->line != NULL || other->line != NULL)
        return cache->line != NULL && other->line != NULL && strcmp(cache->line, other->line) == 0;
    return cache->name.length == other->name.length &&
           memcmp(cache->name.start, other->name.start, cache->name.length) == 0;
}

/* What stood in the same place, most likely at the same number.
 * @return its number in `before`, or that of its caches */
static size_t counterpart(const struct larder__planned_cache *cache, size_t number,
                          const struct larder_source *before)
{
    size_t count = before != NULL ? before->config.cache_count : 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = (number + i) % count;
        if (before->caches[at] != NULL && is_same_place(cache, &before->config.caches[at]))
            return at;
    }
    return count;
}

static int is_kept(const struct larder_cache *cache, const struct larder_source *before)
{
    for (size_t i = 0; before != NULL && i < before->config.cache_count; i++)
        if (before->caches[i] == cache)
            return 1;
    return 0;
}

/* ---- caches -------------------------------------------------------------------------------- */

/* A pass over a configuration that opens its caches. */
struct opening {
    struct larder__config *config;
    const struct larder_open_options *options;
    const struct larder_source *before; /* may be NULL */
    struct larder_cache **caches;
    const struct larder_message *message;
};

static int has_parts(const struct larder__planned_cache *planned)
{
    return planned->parts != NULL;
}

/* What parts on servers were made with: see larder__parts_name(). */
static int names_alike(const struct larder__config *config, const struct larder__config *other)
{
    return config->client.namespace_poll_ms == other->client.namespace_poll_ms &&
           config->client.generation == other->client.generation;
}

/* A composition is the same when its parts are the same open caches, too. */
static int means_the_same(const struct opening *opening,
                          const struct larder__planned_cache *planned,
                          const struct larder__planned_cache *old)
{
    return larder__spec_equals(&planned->spec, &old->spec) &&
           (!has_parts(planned) || names_alike(opening->config, &opening->before->config));
}

static enum larder_status cache_open(const struct opening *opening,
                                     const struct larder__planned_cache *planned, size_t number)
{
    const struct larder_source *before = opening->before;
    struct predecessor predecessor = NOTHING_BEFORE;
    size_t at = counterpart(planned, number, before);
    if (before != NULL && at < before->config.cache_count) {
        const struct larder__planned_cache *old = &before->config.caches[at];
        if (means_the_same(opening, planned, old)) {
            opening->caches[number] = before->caches[at];
            return LARDER_OK;
        }
        if (planned->spec.backend == old->spec.backend) {
            predecessor.leaf = before->caches[at];
            predecessor.differs_in_servers =
                larder__spec_equals_but_servers(&planned->spec, &old->spec);
        }
    }
    struct larder__spec spec = planned->spec;
    spec.common_given = 0;
    return larder__spec_open(&spec, opening->options, planned->uri, predecessor,
                             &opening->caches[number], opening->message);
}

/* First what it refers to. There is no cycle, and a chain is short. */
static enum larder_status whole_open(const struct opening *opening,
                                     struct larder__planned_cache *planned)
{
    size_t number = (size_t)(planned - opening->config->caches);
    if (opening->caches[number] != NULL)
        return LARDER_OK;
    for (size_t row = 0; has_parts(planned) && row < planned->spec.backend->option_count; row++) {
        if (planned->parts[row] == NULL)
            continue;
        struct larder__planned_cache *part = larder__planned_behind(planned->parts[row]);
        enum larder_status status = whole_open(opening, part);
        if (status != LARDER_OK)
            return status;
        larder__spec_set_cache(&planned->spec, row,
                               opening->caches[part - opening->config->caches]);
    }
    return cache_open(opening, planned, number);
}

/* Closes what is not from before. One that another holds is closed with that, so all of those are
 * passed over before any is closed. */
static void caches_close(const struct larder__config *config, const struct larder_source *before,
                         struct larder_cache **caches)
{
    for (size_t i = 0; i < config->cache_count; i++)
        if (caches[i] != NULL && (is_kept(caches[i], before) || larder__leaf_is_held(caches[i])))
            caches[i] = NULL;
    for (size_t i = 0; i < config->cache_count; i++)
        larder_close(caches[i]);
}

/* @param opening  its caches are all NULL; on failure none is left open that was not before */
static enum larder_status caches_open(const struct opening *opening)
{
    struct larder__config *config = opening->config;
    enum larder_status status = LARDER_OK;
    for (size_t i = 0; i < config->cache_count && status == LARDER_OK; i++)
        if (config->caches[i].alias == NULL)
            status = whole_open(opening, &config->caches[i]);
    if (status != LARDER_OK)
        caches_close(config, opening->before, opening->caches);
    return status;
}

/* ---- the client ---------------------------------------------------------------------------- */

static enum larder_status client_open(const struct larder__config *config,
                                      const struct larder_open_options *options,
                                      struct larder_cache *const *caches,
                                      struct larder_cache **client,
                                      const struct larder_message *message)
{
    char text[WHY_BYTES] = "";
    struct larder_route *routes = routes_of(config, caches, options);
    if (routes == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    struct larder_open_options own = *options;
    own.default_ttl_ms = 0; /* every route has one */
    enum larder_status status = larder_client_open(&config->client, &own, routes,
                                                   config->route_count, client, text, sizeof(text));
    free(routes);
    return status == LARDER_OK ? status : larder__refuse(config->map, message, status, "%s", text);
}

static enum larder_status config_open(struct larder__config *config,
                                      const struct larder_open_options *options,
                                      struct larder_cache **caches, struct larder_cache **client,
                                      const struct larder_message *message)
{
    struct larder_open_options open = client_options(config, options);
    struct larder_open_options parts = larder__open_options_of_part(&open);
    const struct opening opening = {config, &parts, NULL, caches, message};
    enum larder_status status = caches_open(&opening);
    if (status != LARDER_OK)
        return status;
    status = client_open(config, &open, caches, client, message);
    if (status != LARDER_OK)
        caches_close(config, NULL, caches);
    return status;
}

enum larder_status larder__config_open(struct larder__config *config,
                                       const struct larder_open_options *options,
                                       struct larder_cache **client,
                                       const struct larder_message *message)
{
    struct larder_open_options open;
    enum larder_status status = larder__open_options_read(options, &open, message);
    if (status != LARDER_OK)
        return status;
    struct larder_cache **caches = calloc(config->cache_count + 1, sizeof(*caches));
    if (caches == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    status = config_open(config, &open, caches, client, message);
    free(caches);
    return status;
}

/* ---- sources ------------------------------------------------------------------------------- */

/* Of what the caller may have given relative to a folder that he leaves later. */
static char *absolute(const char *path)
{
    char *folder = path[0] != '/' ? getcwd(NULL, 0) : NULL;
    if (folder == NULL)
        return strdup(path);
    size_t length = strlen(folder);
    char *whole = malloc(length + strlen(path) + 2);
    if (whole != NULL) {
        memcpy(whole, folder, length);
        whole[length] = '/';
        memcpy(whole + length + 1, path, strlen(path) + 1);
    }
    free(folder);
    return whole;
}

struct larder_source *larder__source_new(const char *path, const struct larder_source *before)
{
    struct larder_source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return NULL;
    source->name = strdup(path != NULL ? path : before->name);
    source->path = path != NULL ? absolute(path) : strdup(before->path);
    if (before != NULL)
        source->options = before->options;
    if (source->name != NULL && source->path != NULL)
        return source;
    larder__source_free(source);
    return NULL;
}

void larder__source_free(struct larder_source *source)
{
    if (source == NULL)
        return;
    larder__config_clean_up(&source->config);
    free(source->caches);
    free(source->path);
    free(source->name);
    free(source);
}

static enum larder_status caches_new(struct larder_source *source,
                                     const struct larder_message *message)
{
    source->caches = calloc(source->config.cache_count + 1, sizeof(struct larder_cache *));
    return source->caches != NULL ? LARDER_OK : larder_fail(message, LARDER_NO_MEMORY, "no memory");
}

enum larder_status larder__source_open(struct larder_source *source, struct larder_cache **client,
                                       const struct larder_message *message)
{
    enum larder_status status = caches_new(source, message);
    if (status == LARDER_OK)
        status = config_open(&source->config, &source->options, source->caches, client, message);
    if (status == LARDER_OK)
        larder__client_keep_source(*client, source);
    return status;
}

static enum larder_status reload(struct larder_source *source, struct larder_client *client,
                                 const struct larder_open_options *options,
                                 const struct larder_message *message)
{
    char text[WHY_BYTES] = "";
    const struct larder_message why = {text, sizeof(text)};
    const struct larder__config *config = &source->config;
    struct larder_route *routes = routes_of(config, source->caches, options);
    if (routes == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    struct larder_open_options own = *options;
    own.default_ttl_ms = 0; /* every route has one */
    enum larder_status status = larder__client_reload(client, &config->client, &own, routes,
                                                      config->route_count, source, &why);
    free(routes);
    if (status == LARDER_OK || text[0] == '\0')
        return status;
    return larder__refuse(config->map, message, status, "%s", text);
}

enum larder_status larder__source_enforce(struct larder_source *source,
                                          struct larder_client *client,
                                          const struct larder_message *message)
{
    struct larder_source *before = larder__client_source(client);
    struct larder_open_options open = client_options(&source->config, &source->options);
    struct larder_open_options parts = larder__open_options_of_part(&open);
    enum larder_status status = caches_new(source, message);
    const struct opening opening = {&source->config, &parts, before, source->caches, message};
    if (status == LARDER_OK)
        status = caches_open(&opening);
    if (status != LARDER_OK)
        return status;
    status = reload(source, client, &open, message);
    if (status == LARDER_OK)
        larder__source_free(before);
    else
        caches_close(&source->config, before, source->caches);
    return status;
}
