/* Opening caches. Nothing here, or anywhere else in this program, knows which backend it is. */
#include "caches.h"

#include <stdio.h>

#include <larder/client.h>

static void count_failure(void *context, const struct larder_event *event)
{
    struct caches *caches = context;
    (void)event;
    atomic_fetch_add_explicit(&caches->failures, 1, memory_order_relaxed);
}

static enum larder_status open_uri(struct caches *caches, const char *uri,
                                   const struct larder_open_options *options, char *message,
                                   size_t size)
{
    struct larder_cache *cache = NULL;
    enum larder_status status = larder_open(uri, NULL, &cache, message, size);
    if (status != LARDER_OK)
        return status;
    struct larder_client_options client = LARDER_CLIENT_OPTIONS_INIT;
    client.default_namespace = "pages";
    const struct larder_route routes[] = {
        {"pages", cache, LARDER_TTL_DEFAULT, 0},
        {"views", cache, LARDER_TTL_DEFAULT, 0},
    };
    status = larder_client_open(&client, options, routes, sizeof(routes) / sizeof(*routes),
                                &caches->client, message, size);
    if (status != LARDER_OK)
        larder_close(cache);
    return status;
}

static int bind_namespaces(struct caches *caches)
{
    if (larder_bind(caches->client, "pages", &caches->pages) == LARDER_OK &&
        larder_bind(caches->client, "views", &caches->views) == LARDER_OK)
        return 0;
    fprintf(stderr,
            "packages: %s: [namespaces] needs a line for pages and one for views, "
            "or one for *\n",
            caches->label);
    return -1;
}

int caches_open(struct caches *caches, const char *uri, const char *path)
{
    char message[512] = "";
    *caches = (struct caches){.label = path != NULL ? path : uri};
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    options.listener = count_failure;
    options.listener_context = caches;
    enum larder_status status =
        path != NULL ? larder_open_file(path, &options, &caches->client, message, sizeof(message))
                     : open_uri(caches, uri, &options, message, sizeof(message));
    if (status != LARDER_OK) {
        fprintf(stderr, "packages: %s\n",
                message[0] != '\0' ? message : larder_status_sentence(status));
        return -1;
    }
    if (bind_namespaces(caches) == 0)
        return 0;
    caches_close(caches);
    return -1;
}

void caches_close(struct caches *caches)
{
    larder_close(caches->client);
    caches->client = NULL;
}
