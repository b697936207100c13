/* Configuration files, from sections of text to caches and routes. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#include "layers.h"
#include "uri.h"

#define CLIENT_SECTION "client"

/* The parameter is not called TEXT, which is a type's name as well. */
#define CLIENT_OPTIONS_TABLE(NUMBER, STRING)                                                       \
    STRING(TEXT, default_namespace, default_namespace, "main", NULL,                               \
           "the namespace that NULL and \"\" stand for; it must be in [namespaces]")               \
    NUMBER(DURATION, namespace_poll, namespace_poll_ms, 1000, 1, 3600000,                          \
           "how often a namespace's generation is read from a server: a flush by another process " \
           "counts after at most this")                                                            \
    NUMBER(SWITCH, generation, generation, 1, 0, 1,                                                \
           "off: leave the generation out of wire keys, for other programs' sake; flush of a "     \
           "namespace on a server is then UNSUPPORTED")

#define LARDER_OPTIONS_STRUCT struct larder_client_options
static const struct larder_option client_rows[] = {
    CLIENT_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};
#undef LARDER_OPTIONS_STRUCT

const struct larder__options larder__client_options = {client_rows, sizeof(client_rows) /
                                                                        sizeof(client_rows[0])};

/* ---- sections ------------------------------------------------------------------------------ */

/* Which of `names` a section without a uri may be meant for, or NULL: [Client], [namespace]. */
static const char *meant_for(const struct larder__ini_section *section, const char *const *names,
                             size_t count)
{
    char word[LARDER__NAME_BYTES_MAX + 1] = "";
    if (larder__ini_entry(section, "uri") != NULL)
        return NULL;
    for (size_t i = 0; section->name.text[i] != '\0'; i++) {
        char byte = section->name.text[i];
        word[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
    }
    return larder_nearest(word, names, count);
}

static int is_cache(const struct larder__ini_section *section)
{
    return strcmp(section->name.text, CLIENT_SECTION) != 0 &&
           strcmp(section->name.text, LARDER__NAMESPACES_SECTION) != 0;
}

static enum larder_status client_read(struct larder__config *config,
                                      const struct larder__ini_section *section,
                                      const struct larder_message *message)
{
    const struct larder__options tables[2] = {larder__client_options, larder__common_options};
    enum larder_status status = LARDER_OK;
    const struct larder__ini_entry *entry = section->entries;
    for (; entry != NULL && status == LARDER_OK; entry = entry->hh.next) {
        struct larder__text name = larder__ini_name_text(&entry->name);
        struct larder__text value = larder__ini_value_text(entry);
        const struct larder_option *option =
            larder__option_look_up(tables, name, "[client]", message);
        if (option == NULL)
            return LARDER_BAD_ARGUMENT;
        int own = larder__option_find(tables[0], name.start, name.length) == option;
        status = own ? larder__option_set(tables[0], option, option->name, &config->client,
                                          &config->client_given, entry->value, value, message)
                     : larder__option_set(tables[1], option, option->name, &config->common,
                                          &config->common_given, entry->value, value, message);
    }
    return status;
}

/* Options as lines of their own, beside those in the URI. */
static enum larder_status lines_read(struct larder__planned_cache *cache,
                                     const struct larder__ini_section *section,
                                     const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    const struct larder__ini_entry *entry = section->entries;
    for (; entry != NULL && status == LARDER_OK; entry = entry->hh.next) {
        struct larder__text name = larder__ini_name_text(&entry->name);
        if (larder__text_is(name, "uri"))
            continue;
        if (larder__text_starts(cache->uri, "@"))
            return larder__refuse(name, message, LARDER_BAD_ARGUMENT,
                                  "[%s] stands for another section, which has the options; write "
                                  "%s there",
                                  section->name.text, entry->name.text);
        status = larder__spec_set(&cache->spec, name, entry->value, larder__ini_value_text(entry),
                                  message);
    }
    return status;
}

/* Whether the uri is the name of a section and lacks its '@'. */
static int lacks_at(const struct larder__config *config, struct larder__text uri)
{
    const struct larder__ini_section *section = NULL;
    HASH_FIND(hh, config->ini.sections, uri.start, uri.length, section);
    return section != NULL && is_cache(section);
}

static enum larder_status spec_read(const struct larder__config *config,
                                    struct larder__planned_cache *cache,
                                    const struct larder_message *message)
{
    if (larder__text_starts(cache->uri, "@"))
        return LARDER_OK;
    if (lacks_at(config, cache->uri))
        return larder__refuse(cache->uri, message, LARDER_BAD_ARGUMENT,
                              "no ':' after the scheme; did you mean @%.*s?",
                              LARDER__QUOTE(cache->uri));
    return larder__uri_read(cache->uri, &cache->spec, message);
}

/* errors=miss is the business of the handle that the application uses: the client. */
static enum larder_status check_tells_errors(const struct larder__planned_cache *cache,
                                             const struct larder_message *message)
{
    if (cache->spec.backend == NULL || !larder__spec_hides_errors(&cache->spec))
        return LARDER_OK;
    return larder__spec_refuse(&cache->spec, cache->uri, message, LARDER_BAD_ARGUMENT,
                               "errors=miss on a cache that namespaces go to; write errors = miss "
                               "in [client]");
}

static enum larder_status refuse_without_uri(const struct larder__ini_section *section,
                                             const struct larder_message *message)
{
    static const char *const names[] = {CLIENT_SECTION, LARDER__NAMESPACES_SECTION};
    struct larder__text place = larder__ini_name_text(&section->name);
    const char *name = meant_for(section, names, 2);
    if (name != NULL)
        return larder__refuse(place, message, LARDER_BAD_ARGUMENT,
                              "[%s] has no uri; did you mean [%s]?", section->name.text, name);
    return larder__refuse(place, message, LARDER_BAD_ARGUMENT,
                          "[%s] has no uri; write one as in uri = memory:?max_bytes=64M",
                          section->name.text);
}

static enum larder_status name_add(struct larder__config *config,
                                   struct larder__planned_cache *cache,
                                   const struct larder_message *message)
{
    HASH_ADD_KEYPTR(hh, config->by_name, cache->name.start, cache->name.length, cache);
    return larder_hash_added(cache) ? LARDER_OK
                                    : larder_fail(message, LARDER_NO_MEMORY, "no memory");
}

static enum larder_status section_read(struct larder__config *config,
                                       const struct larder__ini_section *section,
                                       const struct larder_message *message)
{
    struct larder__planned_cache *cache = &config->caches[config->cache_count++];
    const struct larder__ini_entry *uri = larder__ini_entry(section, "uri");
    cache->name = larder__ini_name_text(&section->name);
    if (uri == NULL)
        return refuse_without_uri(section, message);
    cache->uri = larder__ini_value_text(uri);
    enum larder_status status = spec_read(config, cache, message);
    if (status == LARDER_OK)
        status = lines_read(cache, section, message);
    if (status == LARDER_OK)
        status = check_tells_errors(cache, message);
    if (status == LARDER_OK)
        status = larder__layers_plan(config, cache, &cache, message);
    return status == LARDER_OK ? name_add(config, cache, message) : status;
}

/* ---- references ---------------------------------------------------------------------------- */

#define NEAREST_AMONG 256u

static const char *nearest_section(const struct larder__config *config, struct larder__text name)
{
    const char *names[NEAREST_AMONG];
    char word[LARDER__NAME_BYTES_MAX + 1] = "";
    size_t count = 0;
    if (name.length >= sizeof(word))
        return NULL;
    memcpy(word, name.start, name.length);
    const struct larder__planned_cache *cache = config->by_name;
    for (; cache != NULL && count < NEAREST_AMONG; cache = cache->hh.next)
        names[count++] = cache->name.start;
    return larder_nearest(word, names, count);
}

/* @param reference  "@name" @return NULL with a message when there is no such section */
static struct larder__planned_cache *refer(const struct larder__config *config,
                                           struct larder__text reference,
                                           const struct larder_message *message)
{
    struct larder__planned_cache *cache = NULL;
    struct larder__text name = larder__text_from(reference, 1);
    HASH_FIND(hh, config->by_name, name.start, name.length, cache);
    if (cache != NULL)
        return cache;
    const char *nearest = nearest_section(config, name);
    if (nearest != NULL)
        larder__refuse(reference, message, LARDER_BAD_ARGUMENT,
                       "there is no section [%.*s]; did you mean @%s?", LARDER__QUOTE(name),
                       nearest);
    else
        larder__refuse(reference, message, LARDER_BAD_ARGUMENT,
                       "there is no section [%.*s]; write one with its uri", LARDER__QUOTE(name));
    return NULL;
}

/* Finds what an option refers to, where it was given. */
static enum larder_status part_resolve(const struct larder__config *config,
                                       struct larder__planned_cache *cache, size_t row,
                                       const struct larder_message *message)
{
    const struct larder__spec *spec = &cache->spec;
    const char *reference = spec->references[row];
    if (reference == NULL)
        return LARDER_OK;
    if (cache->parts == NULL)
        cache->parts = calloc(spec->backend->option_count, sizeof(struct larder__planned_cache *));
    if (cache->parts == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    struct larder__text text = {reference, strlen(reference), spec->places[row].offset,
                                spec->places[row].place};
    cache->parts[row] = refer(config, text, message);
    return cache->parts[row] != NULL ? LARDER_OK : LARDER_BAD_ARGUMENT;
}

static size_t rows_of(const struct larder__planned_cache *cache)
{
    return cache->spec.backend != NULL ? cache->spec.backend->option_count : 0;
}

static enum larder_status references_resolve(const struct larder__config *config,
                                             struct larder__planned_cache *cache,
                                             const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    if (larder__text_starts(cache->uri, "@")) {
        cache->alias = refer(config, cache->uri, message);
        return cache->alias != NULL ? LARDER_OK : LARDER_BAD_ARGUMENT;
    }
    for (size_t row = 0; row < rows_of(cache) && status == LARDER_OK; row++)
        status = part_resolve(config, cache, row, message);
    return status;
}

static enum larder_status height_find(struct larder__planned_cache *cache, unsigned depth,
                                      const struct larder_message *message);

/* Follows a reference. @param text  where it stands */
static enum larder_status follow(struct larder__planned_cache *cache, struct larder__text text,
                                 struct larder__planned_cache *target, unsigned depth,
                                 const struct larder_message *message)
{
    cache->followed = text;
    enum larder_status status = height_find(target, depth + 1, message);
    cache->followed.length = 0;
    if (status == LARDER_OK && cache->height <= target->height)
        cache->height = target->height + 1;
    if (status == LARDER_OK && depth == 0 && cache->height > LARDER__ALIASES_MAX + 1)
        return larder__refuse(text, message, LARDER_BAD_ARGUMENT,
                              "more than %u sections refer to each other in a row",
                              LARDER__ALIASES_MAX);
    return status;
}

/* Finds how long the longest chain of references is that begins here: a cycle has no end. */
static enum larder_status height_find(struct larder__planned_cache *cache, unsigned depth,
                                      const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    if (cache->followed.length > 0)
        return larder__refuse(cache->followed, message, LARDER_BAD_ARGUMENT,
                              "[%.*s] refers to itself by way of %.*s; one of them needs a URI",
                              LARDER__QUOTE(cache->name), LARDER__QUOTE(cache->followed));
    if (depth > LARDER__ALIASES_MAX) /* the first one is too high already, whatever comes now */
        cache->height = 1;
    if (cache->height > 0)
        return LARDER_OK;
    if (cache->alias != NULL)
        status = follow(cache, cache->uri, cache->alias, depth, message);
    for (size_t row = 0; cache->parts != NULL && row < rows_of(cache) && status == LARDER_OK; row++)
        if (cache->parts[row] != NULL)
            status = follow(cache, cache->spec.places[row], cache->parts[row], depth, message);
    if (cache->height == 0)
        cache->height = 1;
    return status;
}

struct larder__planned_cache *larder__planned_behind(struct larder__planned_cache *cache)
{
    while (cache->alias != NULL)
        cache = cache->alias;
    return cache;
}

/* TTLs are the business of the cache that the program uses. */
static enum larder_status check_parts(const struct larder__planned_cache *cache,
                                      const struct larder_message *message)
{
    char what[160];
    for (size_t row = 0; cache->parts != NULL && row < rows_of(cache); row++) {
        if (cache->parts[row] == NULL)
            continue;
        const struct larder__planned_cache *part = larder__planned_behind(cache->parts[row]);
        const char *option = larder__spec_common_option(&part->spec);
        if (option == NULL)
            continue;
        snprintf(what, sizeof(what), "%s on a cache that is a part of another; write it there",
                 option);
        return larder__spec_refuse(&part->spec, part->uri, message, LARDER_BAD_ARGUMENT, what);
    }
    return LARDER_OK;
}

/* @param from  the number of the first cache that is new */
static enum larder_status references_check(const struct larder__config *config, size_t from,
                                           const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    for (size_t i = from; i < config->cache_count && status == LARDER_OK; i++)
        status = references_resolve(config, &config->caches[i], message);
    for (size_t i = from; i < config->cache_count && status == LARDER_OK; i++)
        status = height_find(&config->caches[i], 0, message);
    for (size_t i = from; i < config->cache_count && status == LARDER_OK; i++)
        status = check_parts(&config->caches[i], message);
    return status;
}

/* All that a namespace leads to. */
static void use(struct larder__planned_cache *cache)
{
    if (cache->used)
        return;
    cache->used = 1;
    if (cache->alias != NULL)
        use(cache->alias);
    for (size_t row = 0; cache->parts != NULL && row < rows_of(cache); row++)
        if (cache->parts[row] != NULL)
            use(cache->parts[row]);
}

static enum larder_status check_all_used(const struct larder__config *config,
                                         const struct larder_message *message)
{
    for (size_t i = 0; i < config->cache_count; i++)
        if (!config->caches[i].used)
            return larder__refuse(config->caches[i].name, message, LARDER_BAD_ARGUMENT,
                                  "nothing refers to [%s]; name @%s in [namespaces], or remove it",
                                  config->caches[i].name.start, config->caches[i].name.start);
    return LARDER_OK;
}

/* ---- [namespaces] -------------------------------------------------------------------------- */

/* Words stand between spaces: a comma after one is a slip, and so is a comment with '#'.
 * @param more  a comma at the end would be between words; at the end of a line it may be a URI's */
static enum larder_status check_word(struct larder__text word, int more,
                                     const struct larder_message *message)
{
    size_t comma = word.length - 1;
    if (larder__text_starts(word, "#"))
        return larder__refuse(word, message, LARDER_BAD_ARGUMENT, LARDER__NO_COMMENT);
    if (larder__text_starts(word, "@"))
        comma = larder__text_find(word, ',');
    else if (!more)
        return LARDER_OK;
    if (comma < word.length && word.start[comma] == ',')
        return larder__refuse(larder__text_from(word, comma), message, LARDER_BAD_ARGUMENT,
                              "no comma here; a space stands between words");
    return LARDER_OK;
}

/* default_ttl and max_ttl of one line. */
static enum larder_status route_options_read(struct larder__text words, struct larder__spec *spec,
                                             struct larder__common *common, uint64_t *given,
                                             const struct larder_message *message)
{
    const struct larder__options ttls = {larder__common_options.rows, 2};
    const struct larder__options tables[2] = {ttls, {NULL, 0}};
    enum larder_status status = LARDER_OK;
    while (words.length > 0 && status == LARDER_OK) {
        struct larder__text value = larder__text_take(&words, ' ');
        if (value.length == 0)
            continue;
        status = check_word(value, 1, message);
        if (status != LARDER_OK)
            return status;
        struct larder__text name = larder__text_take(&value, '=');
        const struct larder_option *option =
            larder__option_look_up(tables, name, "a namespace", message);
        if (option == NULL)
            return LARDER_BAD_ARGUMENT;
        char *copy = larder__spec_hold(spec, value.length);
        if (copy == NULL)
            return larder_fail(message, LARDER_NO_MEMORY, "no memory");
        memcpy(copy, value.start, value.length);
        status =
            larder__option_set(ttls, option, option->name, common, given, copy, value, message);
    }
    return status;
}

static enum larder_status route_ttls_read(struct larder__text words,
                                          struct larder__planned_route *route,
                                          const struct larder_message *message)
{
    struct larder__spec holder = {0};
    struct larder__common common = {0};
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    uint64_t given = 0;
    open.default_ttl_ms = LARDER_TTL_DEFAULT;
    enum larder_status status = route_options_read(words, &holder, &common, &given, message);
    larder__spec_clean_up(&holder);
    larder__common_apply(&common, given, &open);
    route->default_ttl_ms = open.default_ttl_ms;
    route->max_ttl_ms = open.max_ttl_ms;
    return status;
}

/* The cache that a line names: a section's, or a new one of its own. */
static enum larder_status target_read(struct larder__config *config, const char *line,
                                      struct larder__text target,
                                      struct larder__planned_cache **cache,
                                      const struct larder_message *message)
{
    if (larder__text_starts(target, "@")) {
        *cache = refer(config, target, message);
        if (*cache == NULL)
            return LARDER_BAD_ARGUMENT;
        use(*cache);
        *cache = larder__planned_behind(*cache);
        return LARDER_OK;
    }
    size_t from = config->cache_count++;
    struct larder__planned_cache *own = &config->caches[from];
    own->uri = target;
    own->line = line;
    enum larder_status status = spec_read(config, own, message);
    if (status == LARDER_OK)
        status = check_tells_errors(own, message);
    if (status == LARDER_OK)
        status = larder__layers_plan(config, own, cache, message);
    if (status == LARDER_OK)
        status = references_check(config, from, message);
    if (status == LARDER_OK)
        use(*cache);
    return status;
}

static enum larder_status route_read(struct larder__config *config,
                                     const struct larder__ini_entry *entry,
                                     const struct larder_message *message)
{
    struct larder__planned_route *route = &config->routes[config->route_count++];
    struct larder__planned_cache *cache = NULL;
    struct larder__text words = larder__ini_value_text(entry);
    struct larder__text target = larder__text_take(&words, ' ');
    if (target.length == 0)
        return larder__refuse(target, message, LARDER_BAD_ARGUMENT,
                              "%s goes nowhere; write @section or a URI", entry->name.text);
    enum larder_status status = check_word(target, words.length > 0, message);
    if (status == LARDER_OK)
        status = target_read(config, entry->name.text, target, &cache, message);
    if (status != LARDER_OK)
        return status;
    route->name = entry->name.text;
    route->cache = cache;
    return route_ttls_read(words, route, message);
}

static enum larder_status routes_read(struct larder__config *config,
                                      const struct larder__ini_section *section,
                                      const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    const struct larder__ini_entry *entry = section->entries;
    config->routes = calloc(HASH_COUNT(section->entries) + 1, sizeof(*config->routes));
    if (config->routes == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    for (; entry != NULL && status == LARDER_OK; entry = entry->hh.next)
        status = route_read(config, entry, message);
    return status;
}

/* Where the default namespace is named, or would be. */
static struct larder__text default_place(const struct larder__config *config)
{
    const struct larder__ini_section *client = larder__ini_section(&config->ini, CLIENT_SECTION);
    const struct larder__ini_entry *entry =
        client != NULL ? larder__ini_entry(client, "default_namespace") : NULL;
    return entry != NULL ? larder__ini_value_text(entry) : config->map;
}

static enum larder_status check_default(const struct larder__config *config,
                                        const struct larder__ini_section *map,
                                        const struct larder_message *message)
{
    const char *name = config->client.default_namespace;
    if (larder__ini_entry(map, name) != NULL || larder__ini_entry(map, "*") != NULL)
        return LARDER_OK;
    return larder__refuse(
        default_place(config), message, LARDER_BAD_ARGUMENT,
        "[namespaces] lacks the default namespace %.40s; write %.40s = ... there, "
        "or default_namespace = ... in [client]",
        name, name);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum larder_status sections_read(struct larder__config *config,
                                        const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    const struct larder__ini_section *section = larder__ini_section(&config->ini, CLIENT_SECTION);
    if (section != NULL)
        status = client_read(config, section, message);
    section = config->ini.sections;
    for (; section != NULL && status == LARDER_OK; section = section->hh.next)
        if (is_cache(section))
            status = section_read(config, section, message);
    return status == LARDER_OK ? references_check(config, 0, message) : status;
}

static enum larder_status map_read(struct larder__config *config,
                                   const struct larder__ini_section *map,
                                   const struct larder_message *message)
{
    config->map = larder__ini_name_text(&map->name);
    enum larder_status status = routes_read(config, map, message);
    if (status == LARDER_OK)
        status = check_default(config, map, message);
    return status == LARDER_OK ? check_all_used(config, message) : status;
}

static enum larder_status refuse_without_map(const char *file, const struct larder__ini *ini,
                                             const struct larder_message *message)
{
    static const char *const names[] = {LARDER__NAMESPACES_SECTION};
    const struct larder__ini_section *section = ini->sections;
    for (; section != NULL; section = section->hh.next)
        if (meant_for(section, names, 1) != NULL)
            return larder__refuse(
                larder__ini_name_text(&section->name), message, LARDER_BAD_ARGUMENT,
                "no section [namespaces]; did you mean it by [%s]?", section->name.text);
    return larder_fail(message, LARDER_BAD_ARGUMENT,
                       "%s:1:1: no section [namespaces]; write one that maps names to caches, as "
                       "in main = memory:",
                       file);
}

enum larder_status larder__config_read(const char *file, const char *bytes, size_t length,
                                       struct larder__config *config,
                                       const struct larder_message *message)
{
    const struct larder_client_options client = LARDER_CLIENT_OPTIONS_INIT;
    config->client = client;
    larder__options_default(larder__client_options, &config->client);
    larder__options_default(larder__common_options, &config->common);
    enum larder_status status = larder__ini_read(file, bytes, length, &config->ini, message);
    if (status != LARDER_OK)
        return status;
    const struct larder__ini_section *map =
        larder__ini_section(&config->ini, LARDER__NAMESPACES_SECTION);
    if (map == NULL)
        return refuse_without_map(file, &config->ini, message);
    size_t most = HASH_COUNT(config->ini.sections) + HASH_COUNT(map->entries);
    config->caches = calloc(most * (1 + LARDER__LAYERS), sizeof(*config->caches));
    if (config->caches == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    status = sections_read(config, message);
    return status == LARDER_OK ? map_read(config, map, message) : status;
}

void larder__config_clean_up(struct larder__config *config)
{
    HASH_CLEAR(hh, config->by_name);
    for (size_t i = 0; i < config->cache_count; i++) {
        larder__spec_clean_up(&config->caches[i].spec);
        free(config->caches[i].parts);
    }
    free(config->caches);
    free(config->routes);
    larder__ini_clean_up(&config->ini);
    memset(config, 0, sizeof(*config));
}
