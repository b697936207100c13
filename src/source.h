/*
 * What a client was opened from: a file, what the file means, and the caches that were opened for
 * it. A reload compares the new file with it, section by section: one that means the same keeps its
 * cache, one that changed gets a cache that follows the old one, where its backend knows how.
 */
#ifndef LARDER_SOURCE_H
#define LARDER_SOURCE_H

#include "client.h"
#include "config.h"

struct larder_source {
    char *name; /* of the file, as it was given, for messages */
    char *path; /* the same, so that a change of the working directory doesn't matter */
    struct larder_open_options options; /* of the caller; complete */
    struct larder__config config;
    struct larder_cache **caches; /* one for each of config.caches; NULL: an alias, or not opened */
};

/** @param path  NULL: that of `before` @return NULL without memory */
struct larder_source *larder__source_new(const char *path, const struct larder_source *before);

/** Opens what the source's configuration names.
 * @return as larder_open_file(); on failure nothing is left open */
enum larder_status larder__source_open(struct larder_source *source, struct larder_cache **client,
                                       const struct larder_message *message);

/** Puts the source into force in the place of the client's own, which is freed.
 * @return as larder_reload(); on failure nothing has changed, and what was opened is closed */
enum larder_status larder__source_enforce(struct larder_source *source,
                                          struct larder_client *client,
                                          const struct larder_message *message);

/** Frees it, but not its caches. NULL does nothing. */
void larder__source_free(struct larder_source *source);

/** Opens what a configuration names, without keeping it: the client can't be reloaded.
 * @param config   what its options refer to is set
 * @param options  may be NULL */
enum larder_status larder__config_open(struct larder__config *config,
                                       const struct larder_open_options *options,
                                       struct larder_cache **client,
                                       const struct larder_message *message);

#endif
