/* Secrets, from the environment or a file. No copy stays behind on the way. */
#include <larder/util/secret.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <larder/util/message.h>

void larder_secret_free(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* Not by stdio, whose buffer would keep a copy. @return the length, or `size` when there is more */
static size_t read_file(const char *path, char *bytes, size_t size)
{
    size_t length = 0;
    ssize_t got = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    while (length < size && (got = read(descriptor, bytes + length, size - length)) > 0)
        length += (size_t)got;
    close(descriptor);
    return got < 0 ? 0 : length;
}

static enum larder_status from_file(const char *name, const char *path, size_t bytes_max,
                                    const struct larder_message *message, char **secret)
{
    size_t size = bytes_max + 3; /* a line end, and the byte that is too much */
    char *bytes = calloc(1, size + 1);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    size_t length = read_file(path, bytes, size);
    int whole = length < size;
    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
        bytes[--length] = '\0';
    if (whole && length > 0 && length <= bytes_max && strlen(bytes) == length) {
        *secret = bytes;
        return LARDER_OK;
    }
    explicit_bzero(bytes, size);
    free(bytes);
    return larder_fail(message, LARDER_BAD_ARGUMENT,
                       "%s: %s can't be read as 1 to %zu bytes of text", name, path, bytes_max);
}

static enum larder_status from_environment(const char *name, const char *variable, size_t bytes_max,
                                           const struct larder_message *message, char **secret)
{
    const char *found = getenv(variable);
    if (found == NULL || found[0] == '\0')
        return larder_fail(message, LARDER_BAD_ARGUMENT, "%s: the environment has no %s", name,
                           variable);
    if (strlen(found) > bytes_max)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "%s: %s is longer than %zu bytes", name,
                           variable, bytes_max);
    *secret = strdup(found);
    return *secret != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

enum larder_status larder_secret_read(const char *name, const char *reference, size_t bytes_max,
                                      const struct larder_message *message, char **secret)
{
    *secret = NULL;
    if (strncmp(reference, "file:", 5) == 0)
        return from_file(name, reference + 5, bytes_max, message, secret);
    if (strncmp(reference, "env:", 4) == 0)
        return from_environment(name, reference + 4, bytes_max, message, secret);
    return larder_fail(message, LARDER_BAD_ARGUMENT, "%s is env:NAME or file:/path", name);
}
