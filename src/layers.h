/*
 * Layers: compositions that a cache's own options put over it, so that one section is the whole.
 *
 *     [a]                             [a1] uri = meta://10.0.0.1/
 *     uri = meta://10.0.0.1/          [a2] uri = tracker:?of=@a1&keys=1000
 *     tracker = on             for    [a]  uri = gutter:?of=@a2&spare=@b&ttl=10s
 *     tracker_keys = 1000
 *     gutter = @b
 *     gutter_ttl = 10s
 *
 * Every cache can have them, and none knows of it: what is written is read by the tables of the
 * compositions, each of which becomes a spec of its own. Their order is fixed, whatever the order
 * of the options. A further one is a line or two in layers.c.
 */
#ifndef LARDER_LAYERS_H
#define LARDER_LAYERS_H

#include "spec.h"

struct larder__config;
struct larder__planned_cache;

/** How many kinds of layer there are, and how many options they have together. */
#define LARDER__LAYERS 2u
#define LARDER__LAYER_OPTIONS 5u

/** One option of every cache that is about a layer. */
struct larder__layer_option {
    const char *name;   /* in a section or a URI: "gutter_ttl" */
    unsigned kind;      /* of layer, from the inside out */
    const char *option; /* the composition's own name of it; NULL: a switch that asks for it */
};

/** The one of that number; NULL when there are no more. */
const struct larder__layer_option *larder__layer_option(size_t number);
/** The one of that name, or NULL. */
const struct larder__layer_option *larder__layer_option_find(struct larder__text name);
/** The composition that it is about. */
const struct larder_backend *larder__layer_backend(const struct larder__layer_option *option);
/** What reads its value, or NULL for a switch. */
const struct larder_option *larder__layer_option_row(const struct larder__layer_option *option);

/**
 * Sets an option of a layer over the spec's cache. Parameters and result else as
 * larder__spec_set().
 */
enum larder_status larder__layers_set(struct larder__spec *spec,
                                      const struct larder__layer_option *option, const char *value,
                                      struct larder__text where,
                                      const struct larder_message *message);

/** The option of a layer that refers to a section, or NULL. @param where  its place */
const char *larder__layers_reference(const struct larder__spec *spec, struct larder__text *where);

/**
 * Makes the layers of a planned cache planned caches themselves, the cache the part of the
 * innermost, and what every cache takes a matter of the outermost.
 * @param config  has room for LARDER__LAYERS caches more
 * @param whole   the outermost; `cache` itself where nothing is over it
 * @return OK; BAD_ARGUMENT for options of a layer that nothing asks for; NO_MEMORY
 */
enum larder_status larder__layers_plan(struct larder__config *config,
                                       struct larder__planned_cache *cache,
                                       struct larder__planned_cache **whole,
                                       const struct larder_message *message);

/** Opens the spec's cache and what is over it; what every cache takes goes to the outermost. None
 * refers to a section. Parameters and result else as larder__spec_open(). */
enum larder_status larder__layers_open(struct larder__spec *spec,
                                       const struct larder_open_options *options,
                                       struct larder__text where, struct larder_cache **cache,
                                       const struct larder_message *message);

/** Of a spec that is cleaned up. NULL does nothing. */
void larder__layers_free(struct larder__layer *layers);

#endif
