/* The program's caches: one client, two namespaces. */
#ifndef PACKAGES_CACHES_H
#define PACKAGES_CACHES_H

#include <stdatomic.h>

#include <larder/larder.h>

struct caches {
    struct larder_cache *client; /* owns all below */
    struct larder_cache *pages;  /* rendered pages, and what ties them to packages */
    struct larder_cache *views;  /* counters */
    const char *label;           /* what the user asked for; borrowed */
    _Atomic uint64_t failures;   /* calls with a negative status; relaxed: a figure */
};

/** Opens the cache that `uri` names, with the namespaces "pages" and "views" over it; or, with a
 * `path`, a configuration file whose map knows both.
 * @return 0; or -1, and standard error says why */
int caches_open(struct caches *caches, const char *uri, const char *path);
void caches_close(struct caches *caches);

#endif
