/* Reads a file, then opens what it names: first all caches, then the client that owns them. */
#include "file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <errno.h>

#include <larder/util/message.h>

#include "handle.h"

#define WHY_BYTES 512

/* ---- opening ------------------------------------------------------------------------------- */

/*
 * Options of [client] and of the caller that go on to the caches, or not: a default TTL gives way
 * to a section's own, so the cache has it and the client does not; a maximum holds beside a
 * section's, so the client has it; listener and errors=miss belong to the client, through whose
 * handles calls come.
 */
static void options_split(struct larder_open_options *client, struct larder_open_options *parts)
{
    *parts = *client;
    parts->listener = NULL;
    parts->listener_context = NULL;
    parts->errors_as_miss = 0;
    parts->max_ttl_ms = 0;
    client->default_ttl_ms = 0;
}

static enum larder_status caches_open(const struct larder__config *config,
                                      const struct larder_open_options *options,
                                      struct larder_cache **caches,
                                      const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    for (size_t i = 0; i < config->cache_count && status == LARDER_OK; i++) {
        const struct larder__planned_cache *planned = &config->caches[i];
        if (planned->alias == NULL)
            status = larder__spec_open(&planned->spec, options, planned->uri, &caches[i], message);
    }
    return status;
}

static enum larder_status client_open(const struct larder__config *config,
                                      const struct larder_open_options *options,
                                      struct larder_cache *const *caches,
                                      struct larder_cache **client,
                                      const struct larder_message *message)
{
    char text[WHY_BYTES] = "";
    struct larder_route *routes = calloc(config->route_count + 1, sizeof(*routes));
    if (routes == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    for (size_t i = 0; i < config->route_count; i++) {
        const struct larder__planned_route *planned = &config->routes[i];
        routes[i] = (struct larder_route){planned->name, caches[planned->cache - config->caches],
                                          planned->default_ttl_ms, planned->max_ttl_ms};
    }
    enum larder_status status = larder_client_open(&config->client, options, routes,
                                                   config->route_count, client, text, sizeof(text));
    free(routes);
    return status == LARDER_OK ? status : larder__refuse(config->map, message, status, "%s", text);
}

enum larder_status larder__config_open(const struct larder__config *config,
                                       const struct larder_open_options *options,
                                       struct larder_cache **client,
                                       const struct larder_message *message)
{
    struct larder_open_options open, parts;
    enum larder_status status = larder__open_options_read(options, &open, message);
    if (status != LARDER_OK)
        return status;
    open.struct_size = sizeof(open);
    larder__common_apply(&config->common, config->common_given, &open);
    options_split(&open, &parts);
    struct larder_cache **caches = calloc(config->cache_count + 1, sizeof(*caches));
    if (caches == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    status = caches_open(config, &parts, caches, message);
    if (status == LARDER_OK)
        status = client_open(config, &open, caches, client, message);
    for (size_t i = 0; i < config->cache_count && status != LARDER_OK; i++)
        larder_close(caches[i]);
    free(caches);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum larder_status read_all(int descriptor, char *bytes, size_t *length)
{
    *length = 0;
    while (*length <= LARDER__FILE_BYTES_MAX) {
        ssize_t got =
            read(descriptor, bytes + *length, (size_t)LARDER__FILE_BYTES_MAX + 1 - *length);
        if (got == 0)
            return LARDER_OK;
        if (got < 0 && errno != EINTR)
            return LARDER_UNAVAILABLE;
        *length += got > 0 ? (size_t)got : 0;
    }
    return LARDER_TOO_LARGE;
}

static enum larder_status load_open(int descriptor, const char *path, char *bytes, size_t *length,
                                    const struct larder_message *message)
{
    struct stat what;
    if (fstat(descriptor, &what) == 0 && !S_ISREG(what.st_mode))
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: not a regular file", path);
    switch (read_all(descriptor, bytes, length)) {
    case LARDER_OK:
        return LARDER_OK;
    case LARDER_TOO_LARGE:
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "%s:1:1: a configuration file of more than %u bytes", path,
                           LARDER__FILE_BYTES_MAX);
    default:
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: %m", path);
    }
}

/* A pipe that nobody writes to would block: without O_NONBLOCK already in open(). */
static enum larder_status load(const char *path, char *bytes, size_t *length,
                               const struct larder_message *message)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: %m", path);
    enum larder_status status = load_open(descriptor, path, bytes, length, message);
    close(descriptor);
    return status;
}

static enum larder_status open_loaded(const char *path, char *bytes,
                                      const struct larder_open_options *options,
                                      struct larder_cache **client,
                                      const struct larder_message *message)
{
    struct larder__config config = {0};
    size_t length = 0;
    enum larder_status status = load(path, bytes, &length, message);
    if (status != LARDER_OK)
        return status;
    status = larder__config_read(path, bytes, length, &config, message);
    if (status == LARDER_OK)
        status = larder__config_open(&config, options, client, message);
    larder__config_clean_up(&config);
    return status;
}

enum larder_status larder_open_file(const char *path, const struct larder_open_options *options,
                                    struct larder_cache **client, char *message,
                                    size_t message_size)
{
    const struct larder_message to = {message, message_size};
    larder_message_set(&to, "%s", "");
    if (client != NULL)
        *client = NULL;
    if (path == NULL || client == NULL)
        return larder_fail(&to, LARDER_BAD_ARGUMENT, "%s is NULL",
                           path == NULL ? "path" : "client");
    char *bytes = malloc((size_t)LARDER__FILE_BYTES_MAX + 1);
    if (bytes == NULL)
        return larder_fail(&to, LARDER_NO_MEMORY, "no memory");
    enum larder_status status = open_loaded(path, bytes, options, client, &to);
    free(bytes);
    return status;
}
