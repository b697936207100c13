/* As much of an HTTP client as the load generator needs: one connection that is kept alive. */
#ifndef PACKAGES_HTTP_CLIENT_H
#define PACKAGES_HTTP_CLIENT_H

#include <stdint.h>

#include "text.h"

struct http_client {
    int socket;
    struct text request;
    char *answer; /* headers and body, terminated */
    const char *body;
};

/** Connects to this machine. @return 0 or -1 */
int http_open(struct http_client *client, uint16_t port);
/** @return the answer's code, its body in client->body until the next call; -1 when the connection
 * broke, or the answer was malformed or took too long */
int http_get(struct http_client *client, const char *path);
/** @param form  percent-encoded */
int http_post(struct http_client *client, const char *path, const char *form);
void http_close(struct http_client *client);

#endif
