#include "figures.h"

#include <stdio.h>
#include <stdlib.h>

void give_up(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

struct larder_cache *open_memory(const char *options, const char *more)
{
    char uri[256], message[256];
    struct larder_cache *cache;
    snprintf(uri, sizeof(uri), "memory:?%s%s%s", options, more[0] != '\0' ? "&" : "", more);
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        give_up(message);
    return cache;
}
