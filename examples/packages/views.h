/* How often each package's page was looked at: counters in the namespace "views". */
#ifndef PACKAGES_VIEWS_H
#define PACKAGES_VIEWS_H

#include <pthread.h>

#include <larder/larder.h>

#include "relation.h"

#define VIEWS_TOP 10

struct viewed {
    char name[PACKAGE_NAME_MAX + 1];
    uint64_t count; /* 0: an empty place */
};

struct views {
    struct larder_cache *cache; /* set once */
    pthread_mutex_t lock;       /* guards `top`; never held over a call */
    struct viewed top[VIEWS_TOP];
};

void views_init(struct views *views, struct larder_cache *cache);
void views_clean_up(struct views *views);
/** Counts one view. @param count  how many there are now; 0 where the cache does not count */
enum larder_status views_count(struct views *views, const char *package, uint64_t *count);
/** The most viewed, as this process has seen them, most first. */
void views_top(struct views *views, struct viewed top[VIEWS_TOP]);

#endif
