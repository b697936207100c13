#include "layers.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#include "config.h"
#include "registry.h"

/* ---- which there are ----------------------------------------------------------------------- */

/* From the inside out: what a tracker can't answer yet, a gutter answers from its spare. */
enum { TRACKER, GUTTER };

static const struct {
    const char *scheme;
    const char *inner; /* its option that is the cache below */
    const char *asked; /* how it is asked for */
} kinds[LARDER__LAYERS] = {
    [TRACKER] = {"tracker", "of", "tracker=on"},
    [GUTTER] = {"gutter", "of", "gutter=@section"},
};

/* The first of each kind asks for the layer. */
static const struct larder__layer_option rows[LARDER__LAYER_OPTIONS] = {
    {"tracker", TRACKER, NULL},
    {"tracker_keys", TRACKER, "keys"},
    {"tracker_settle", TRACKER, "settle"},
    {"gutter", GUTTER, "spare"},
    {"gutter_ttl", GUTTER, "ttl"},
};

struct larder__layer {
    struct larder__spec spec;  /* without a backend: none of its options was given */
    const char *first;         /* the name of the first that was */
    struct larder__text place; /* and where its value stands */
    struct larder__text asked; /* the value that asks for it; empty: nothing does */
    uint64_t is_on;
    uint64_t switch_given;
    size_t inner; /* row of the cache below */
};

const struct larder__layer_option *larder__layer_option(size_t number)
{
    return number < LARDER__LAYER_OPTIONS ? &rows[number] : NULL;
}

const struct larder__layer_option *larder__layer_option_find(struct larder__text name)
{
    for (size_t i = 0; i < LARDER__LAYER_OPTIONS; i++)
        if (larder__text_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

static const struct larder_option *row_of(const struct larder_backend *backend, const char *name)
{
    const struct larder__options table = {backend->options, backend->option_count};
    return larder__option_find(table, name, strlen(name));
}

static const struct larder_backend *backend_of(unsigned kind)
{
    return larder__backend_find(kinds[kind].scheme, strlen(kinds[kind].scheme));
}

const struct larder_backend *larder__layer_backend(const struct larder__layer_option *option)
{
    return backend_of(option->kind);
}

const struct larder_option *larder__layer_option_row(const struct larder__layer_option *option)
{
    return option->option != NULL ? row_of(backend_of(option->kind), option->option) : NULL;
}

static int asks(const struct larder__layer_option *option)
{
    return option == rows || option[-1].kind != option->kind;
}

/* ---- options ------------------------------------------------------------------------------- */

/* The layer of that kind, made if need be. */
static enum larder_status layer_find(struct larder__spec *spec, unsigned kind,
                                     struct larder__layer **found,
                                     const struct larder_message *message)
{
    const struct larder_backend *backend = backend_of(kind);
    if (spec->layers == NULL)
        spec->layers = calloc(LARDER__LAYERS, sizeof(*spec->layers));
    if (spec->layers == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    struct larder__layer *layer = &spec->layers[kind];
    *found = layer;
    if (layer->spec.backend != NULL)
        return LARDER_OK;
    layer->inner = (size_t)(row_of(backend, kinds[kind].inner) - backend->options);
    return larder__spec_init(&layer->spec, backend, message);
}

static enum larder_status switch_set(struct larder__layer *layer,
                                     const struct larder__layer_option *option, const char *value,
                                     struct larder__text where,
                                     const struct larder_message *message)
{
    const struct larder_option row = {
        .type = LARDER_OPTION_SWITCH, .name = option->name, .largest = 1};
    const struct larder__options table = {&row, 1};
    return larder__option_set(table, &row, row.name, &layer->is_on, &layer->switch_given, value,
                              where, message);
}

static enum larder_status row_set(struct larder__layer *layer,
                                  const struct larder__layer_option *option, const char *value,
                                  struct larder__text where, const struct larder_message *message)
{
    const struct larder_option *row = row_of(layer->spec.backend, option->option);
    enum larder_status status =
        larder__spec_set_own(&layer->spec, row, option->name, value, where, message);
    if (status == LARDER_OK && asks(option))
        layer->is_on = 1;
    return status;
}

enum larder_status larder__layers_set(struct larder__spec *spec,
                                      const struct larder__layer_option *option, const char *value,
                                      struct larder__text where,
                                      const struct larder_message *message)
{
    struct larder__layer *layer = NULL;
    enum larder_status status = layer_find(spec, option->kind, &layer, message);
    if (status == LARDER_OK)
        status = option->option == NULL ? switch_set(layer, option, value, where, message)
                                        : row_set(layer, option, value, where, message);
    if (status != LARDER_OK)
        return status;
    if (layer->first == NULL) {
        layer->first = option->name;
        layer->place = where;
    }
    if (asks(option))
        layer->asked = where;
    return LARDER_OK;
}

const char *larder__layers_reference(const struct larder__spec *spec, struct larder__text *where)
{
    for (size_t i = 0; spec->layers != NULL && i < LARDER__LAYER_OPTIONS; i++) {
        const struct larder__spec *layer = &spec->layers[rows[i].kind].spec;
        const struct larder_option *row = larder__layer_option_row(&rows[i]);
        if (layer->backend == NULL || row == NULL)
            continue;
        size_t number = (size_t)(row - layer->backend->options);
        *where = layer->places[number];
        if (layer->references[number] != NULL)
            return rows[i].name;
    }
    return NULL;
}

/* ---- what is over a cache ------------------------------------------------------------------ */

/* Options of a layer that isn't there are a slip; one that is switched off may keep its own. */
static enum larder_status check_asked(const struct larder__layer *layer, size_t kind,
                                      const struct larder_message *message)
{
    if (layer->spec.backend == NULL || layer->asked.length > 0)
        return LARDER_OK;
    return larder__refuse(layer->place, message, LARDER_BAD_ARGUMENT,
                          "%s is for a cache with %s, which this one lacks; write that as well",
                          layer->first, kinds[kind].asked);
}

/* Finds the layers that are over the spec's cache, from the inside out, and hands what every cache
 * takes to the outermost. */
static enum larder_status layers_list(struct larder__spec *spec,
                                      struct larder__layer *list[LARDER__LAYERS], size_t *count,
                                      const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    *count = 0;
    for (size_t i = 0; spec->layers != NULL && i < LARDER__LAYERS && status == LARDER_OK; i++) {
        struct larder__layer *layer = &spec->layers[i];
        status = check_asked(layer, i, message);
        if (!layer->is_on)
            continue;
        layer->spec.places[layer->inner] = layer->asked;
        list[(*count)++] = layer;
    }
    if (status == LARDER_OK && *count > 0)
        larder__spec_hand_common(spec, &list[*count - 1]->spec);
    return status;
}

/* ---- in a file ----------------------------------------------------------------------------- */

/* @param layer  its spec is taken */
static enum larder_status layer_plan(struct larder__planned_cache *over,
                                     struct larder__planned_cache *below,
                                     struct larder__layer *layer,
                                     const struct larder_message *message)
{
    over->name = below->name;
    over->line = below->line;
    over->uri = below->uri;
    over->spec = layer->spec;
    memset(&layer->spec, 0, sizeof(layer->spec));
    over->parts = calloc(over->spec.backend->option_count, sizeof(struct larder__planned_cache *));
    if (over->parts == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    over->parts[layer->inner] = below;
    return LARDER_OK;
}

enum larder_status larder__layers_plan(struct larder__config *config,
                                       struct larder__planned_cache *cache,
                                       struct larder__planned_cache **whole,
                                       const struct larder_message *message)
{
    struct larder__layer *list[LARDER__LAYERS];
    size_t count;
    *whole = cache;
    enum larder_status status = layers_list(&cache->spec, list, &count, message);
    for (size_t i = 0; i < count && status == LARDER_OK; i++) {
        struct larder__planned_cache *over = &config->caches[config->cache_count++];
        over->layer = (unsigned)(list[i] - cache->spec.layers) + 1;
        status = layer_plan(over, *whole, list[i], message);
        *whole = over;
    }
    return status;
}

/* ---- in a URI by itself -------------------------------------------------------------------- */

/* @param cache  what is below; closed on failure. Then the layer over it */
static enum larder_status layer_open(struct larder__layer *layer,
                                     const struct larder_open_options *options,
                                     struct larder__text where, struct larder_cache **cache,
                                     const struct larder_message *message)
{
    struct larder_cache *below = *cache;
    larder__spec_set_cache(&layer->spec, layer->inner, below);
    enum larder_status status =
        larder__spec_open(&layer->spec, options, where, NOTHING_BEFORE, cache, message);
    if (status == LARDER_OK)
        return status;
    larder_close(below);
    *cache = NULL;
    return status;
}

enum larder_status larder__layers_open(struct larder__spec *spec,
                                       const struct larder_open_options *options,
                                       struct larder__text where, struct larder_cache **cache,
                                       const struct larder_message *message)
{
    struct larder__layer *list[LARDER__LAYERS];
    struct larder_open_options whole;
    size_t count;
    enum larder_status status = layers_list(spec, list, &count, message);
    if (status == LARDER_OK)
        status = larder__open_options_read(options, &whole, message);
    if (status != LARDER_OK)
        return status;
    whole.struct_size = sizeof(whole);
    const struct larder_open_options part = larder__open_options_of_part(&whole);
    status =
        larder__spec_open(spec, count > 0 ? &part : &whole, where, NOTHING_BEFORE, cache, message);
    for (size_t i = 0; i < count && status == LARDER_OK; i++)
        status = layer_open(list[i], i + 1 < count ? &part : &whole, where, cache, message);
    return status;
}

void larder__layers_free(struct larder__layer *layers)
{
    for (size_t i = 0; layers != NULL && i < LARDER__LAYERS; i++)
        larder__spec_clean_up(&layers[i].spec);
    free(layers);
}
