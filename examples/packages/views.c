/* A cache can count, but it can't sort: the ten highest counts that came back are kept here. */
#include "views.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void views_init(struct views *views, struct larder_cache *cache)
{
    *views = (struct views){.cache = cache};
    pthread_mutex_init(&views->lock, NULL);
}

void views_clean_up(struct views *views)
{
    pthread_mutex_destroy(&views->lock);
}

/* The package's place, or the one with the lowest count. */
static struct viewed *place_for(struct views *views, const char *package)
{
    struct viewed *lowest = &views->top[0];
    for (size_t i = 0; i < VIEWS_TOP; i++) {
        struct viewed *viewed = &views->top[i];
        if (viewed->count > 0 && strcmp(viewed->name, package) == 0)
            return viewed;
        if (viewed->count < lowest->count)
            lowest = viewed;
    }
    return lowest;
}

static void remember(struct views *views, const char *package, uint64_t count)
{
    pthread_mutex_lock(&views->lock);
    struct viewed *viewed = place_for(views, package);
    if (count > viewed->count) {
        snprintf(viewed->name, sizeof(viewed->name), "%s", package);
        viewed->count = count;
    }
    pthread_mutex_unlock(&views->lock);
}

enum larder_status views_count(struct views *views, const char *package, uint64_t *count)
{
    const struct larder_initial from_zero = {.value = 0, .ttl_ms = LARDER_TTL_FOREVER};
    enum larder_status status =
        larder_incr(views->cache, larder_text(package), 1, &from_zero, count);
    if (status == LARDER_OK)
        remember(views, package, *count);
    return status;
}

static int most_first(const void *left, const void *right)
{
    const struct viewed *a = left;
    const struct viewed *b = right;
    return a->count < b->count ? 1 : a->count > b->count ? -1 : strcmp(a->name, b->name);
}

void views_top(struct views *views, struct viewed top[VIEWS_TOP])
{
    pthread_mutex_lock(&views->lock);
    memcpy(top, views->top, sizeof(views->top));
    pthread_mutex_unlock(&views->lock);
    qsort(top, VIEWS_TOP, sizeof(*top), most_first);
}
