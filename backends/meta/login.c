/*
 * Login of memcached with -Y: a classic set whose value is "user password", before anything else on
 * a connection. A server without -Y takes it for a set: hence a key that no caller can have, and an
 * exptime that is over, so that it forgets at once what it should never have been told.
 */
#include "meta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>
#include <larder/util/secret.h>

#define LOGIN_BYTES_MAX 1024u
#define LOGIN_FORM "set ~login 0 -1 %zu\r\n%s\r\n"

static int is_login(const char *text)
{
    const char *space = strchr(text, ' ');
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return 0;
    return space != NULL && space != text && space[1] != '\0';
}

static enum larder_status write_request(const char *text, struct larder_slice *request)
{
    size_t size = sizeof(LOGIN_FORM) + 20 + strlen(text);
    char *bytes = malloc(size);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    int length = snprintf(bytes, size, LOGIN_FORM, strlen(text), text);
    *request = larder_bytes(bytes, (size_t)length);
    return LARDER_OK;
}

enum larder_status meta_login_open(const char *reference, const struct larder_message *message,
                                   struct larder_slice *request)
{
    char *text;
    *request = larder_bytes(NULL, 0);
    if (reference == NULL)
        return LARDER_OK;
    enum larder_status status =
        larder_secret_read("login", reference, LOGIN_BYTES_MAX, message, &text);
    if (status != LARDER_OK)
        return status;
    if (is_login(text))
        status = write_request(text, request);
    else
        status = larder_fail(message, LARDER_BAD_ARGUMENT,
                             "login: %s holds no user, space, password on one line", reference);
    larder_secret_free(text);
    return status;
}

void meta_login_close(struct larder_slice request)
{
    char *bytes = (char *)(uintptr_t)request.data;
    if (bytes != NULL)
        explicit_bzero(bytes, request.length);
    free(bytes);
}
