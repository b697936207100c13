/*
 * The meaning of a configuration file: which caches there are and which namespaces go to them, as a
 * plain struct, checked to the last option. Nothing is opened here, so a reload can read a new file
 * and leave everything as it is when it is wrong.
 */
#ifndef LARDER_CONFIG_H
#define LARDER_CONFIG_H

#include <larder/client.h>

#include "ini_text.h"
#include "spec.h"

/** The largest file, in bytes. */
#define LARDER__FILE_BYTES_MAX 1048576u
/** The most sections that may refer to each other in a row. */
#define LARDER__ALIASES_MAX 16u

/** A cache: a section, or a URI that stands in [namespaces] itself; or a layer over it. */
struct larder__planned_cache {
    struct larder__text name; /* of the section; empty for a URI by itself */
    const char *line;         /* of a URI by itself: the name in whose line it stands; else NULL */
    unsigned layer;           /* 0: what the uri says; else a layer over it, from the inside out */
    struct larder__text uri;  /* of all layers */
    struct larder__spec spec; /* empty for an alias */
    struct larder__planned_cache *alias; /* what `uri = @name` refers to; else NULL */
    /* what options refer to, of each row of the backend's table; NULL: nothing, also the array */
    struct larder__planned_cache **parts;
    int used;                     /* a namespace leads here */
    unsigned height;              /* how many refer to each other from here on; 0: not yet known */
    struct larder__text followed; /* the reference that is being followed; empty: none */
    UT_hash_handle hh;            /* of a section, by name */
};

struct larder__planned_route {
    const char *name;
    const struct larder__planned_cache *cache; /* no alias */
    int64_t default_ttl_ms, max_ttl_ms;        /* as in struct larder_route */
};

/** All zero is an empty one. Texts point into `ini`. */
struct larder__config {
    struct larder__ini ini;
    struct larder__planned_cache *caches;
    size_t cache_count;
    struct larder__planned_cache *by_name; /* of each section the outermost layer */
    struct larder__planned_route *routes;
    size_t route_count;
    struct larder__text map; /* where [namespaces] stands */
    struct larder_client_options client;
    struct larder__common common;
    uint64_t client_given, common_given;
};

/**
 * Reads and checks a file.
 * @param file    its name, for messages; must live as long as `config`
 * @param config  empty; the caller cleans it up, also on failure
 * @return OK; BAD_ARGUMENT; UNSUPPORTED for a scheme that was not built; NO_MEMORY
 */
enum larder_status larder__config_read(const char *file, const char *bytes, size_t length,
                                       struct larder__config *config,
                                       const struct larder_message *message);
void larder__config_clean_up(struct larder__config *config);

/** The cache that stands behind aliases. */
struct larder__planned_cache *larder__planned_behind(struct larder__planned_cache *cache);

/** The options of [client] beside the common ones. For the reference. */
extern const struct larder__options larder__client_options;

#endif
