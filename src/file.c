/* Files, and what is done with one: a client is opened from it, or led by it from now on. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <larder/util/message.h>

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

static enum larder_status load_open(int descriptor, const char *name, char *bytes, size_t *length,
                                    const struct larder_message *message)
{
    struct stat what;
    if (fstat(descriptor, &what) == 0 && !S_ISREG(what.st_mode))
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: not a regular file", name);
    switch (read_all(descriptor, bytes, length)) {
    case LARDER_OK:
        return LARDER_OK;
    case LARDER_TOO_LARGE:
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "%s:1:1: a configuration file of more than %u bytes", name,
                           LARDER__FILE_BYTES_MAX);
    default:
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: %m", name);
    }
}

/* A pipe that nobody writes to would block: without O_NONBLOCK already in open(). */
static enum larder_status load(const struct larder_source *source, char *bytes, size_t *length,
                               const struct larder_message *message)
{
    int descriptor = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return larder_fail(message, LARDER_UNAVAILABLE, "%s: %m", source->name);
    enum larder_status status = load_open(descriptor, source->name, bytes, length, message);
    close(descriptor);
    return status;
}

enum larder_status larder__file_read(struct larder_source *source,
                                     const struct larder_message *message)
{
    size_t length = 0;
    char *bytes = malloc((size_t)LARDER__FILE_BYTES_MAX + 1);
    if (bytes == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    enum larder_status status = load(source, bytes, &length, message);
    if (status == LARDER_OK)
        status = larder__config_read(source->name, bytes, length, &source->config, message);
    free(bytes);
    return status;
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum larder_status source_open(struct larder_source *source,
                                      const struct larder_open_options *options,
                                      struct larder_cache **client,
                                      const struct larder_message *message)
{
    enum larder_status status = larder__open_options_read(options, &source->options, message);
    if (status == LARDER_OK)
        status = larder__file_read(source, message);
    return status == LARDER_OK ? larder__source_open(source, client, message) : status;
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
    struct larder_source *source = larder__source_new(path, NULL);
    if (source == NULL)
        return larder_fail(&to, LARDER_NO_MEMORY, "no memory");
    enum larder_status status = source_open(source, options, client, &to);
    if (status != LARDER_OK)
        larder__source_free(source);
    return status;
}

/* ---- reloading ----------------------------------------------------------------------------- */

static enum larder_status reload_alone(struct larder_client *client, const char *path,
                                       const struct larder_message *message)
{
    const struct larder_source *before = larder__client_source(client);
    if (before == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "the client was opened from routes; larder_open_file() opens one that "
                           "can be reloaded");
    struct larder_source *source = larder__source_new(path, before);
    if (source == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    enum larder_status status = larder__file_read(source, message);
    if (status == LARDER_OK)
        status = larder__source_enforce(source, client, message);
    if (status != LARDER_OK)
        larder__source_free(source);
    return status;
}

enum larder_status larder_reload(struct larder_cache *cache, const char *path, char *text,
                                 size_t text_size)
{
    const struct larder_message message = {text, text_size};
    larder_message_set(&message, "%s", "");
    if (cache == NULL || cache->kind != HANDLE_CLIENT)
        return larder_fail(&message, LARDER_BAD_ARGUMENT,
                           "a client is reloaded, as larder_open_file() gives one");
    enum larder_status status = larder__client_reload_begin(cache->client);
    if (status == LARDER_OK) {
        status = reload_alone(cache->client, path, &message);
        larder__client_reload_end(cache->client);
    }
    if (status != LARDER_OK && larder__is_closed(cache)) { /* whatever that made go wrong */
        larder_message_set(&message, "%s", "");
        status = LARDER_CLOSED;
    }
    if (status != LARDER_OK && text != NULL && text_size > 0 && text[0] == '\0')
        larder_message_set(&message, "%s", larder_status_sentence(status));
    return status;
}
