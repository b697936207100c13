/* A backend and its options, on the way from text to an open cache. */
#include "spec.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#include "attach.h"
#include "ini_text.h"
#include "layers.h"

#define WHY_BYTES 512

struct larder__held_text {
    struct larder__held_text *next;
    char bytes[];
};

enum larder_status larder__spec_init(struct larder__spec *spec,
                                     const struct larder_backend *backend,
                                     const struct larder_message *message)
{
    memset(spec, 0, sizeof(*spec));
    spec->backend = backend;
    larder__options_default(larder__common_options, &spec->common);
    spec->options = calloc(1, backend->options_size + 1);
    spec->places =
        calloc(backend->option_count + larder__common_options.count, sizeof(*spec->places));
    spec->references = calloc(backend->option_count + 1, sizeof(*spec->references));
    if (spec->options == NULL || spec->places == NULL || spec->references == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    return larder__options_complete(backend, NULL, spec->options, message);
}

void larder__spec_clean_up(struct larder__spec *spec)
{
    while (spec->held != NULL) {
        struct larder__held_text *next = spec->held->next;
        free(spec->held);
        spec->held = next;
    }
    larder__layers_free(spec->layers);
    free(spec->references);
    free(spec->places);
    free(spec->options);
    memset(spec, 0, sizeof(*spec));
}

char *larder__spec_hold(struct larder__spec *spec, size_t length)
{
    struct larder__held_text *held = calloc(1, sizeof(*held) + length + 1);
    if (held == NULL)
        return NULL;
    held->next = spec->held;
    spec->held = held;
    return held->bytes;
}

/* ---- one option ---------------------------------------------------------------------------- */

static size_t names_of(struct larder__options table, const char **names)
{
    size_t count = 0;
    /* Servers have a place of their own and no name to write. */
    for (size_t i = 0; i < table.count; i++)
        if (table.rows[i].type != LARDER_OPTION_SERVERS)
            names[count++] = table.rows[i].name;
    return count;
}

static size_t names_of_layers(const char **names)
{
    size_t count = 0;
    for (; larder__layer_option(count) != NULL; count++)
        names[count] = larder__layer_option(count)->name;
    return count;
}

/* @param layers  whether options of layers would be right, too */
static void refuse_unknown(const struct larder__options tables[2], int layers,
                           struct larder__text name, const char *owner,
                           const struct larder_message *message)
{
    const char *names[2 * LARDER__OPTIONS_MAX + LARDER__LAYER_OPTIONS];
    char list[1024], word[LARDER__OPTION_NAME_MAX + 8];
    size_t count = names_of(tables[0], names);
    count += names_of(tables[1], names + count);
    count += layers ? names_of_layers(names + count) : 0;
    size_t length = name.length < sizeof(word) - 1 ? name.length : sizeof(word) - 1;
    memcpy(word, name.start, length);
    word[length] = '\0';
    const char *nearest = larder_nearest(word, names, count);
    larder__names_join(names, count, list, sizeof(list));
    larder__refuse(name, message, LARDER_BAD_ARGUMENT, "%s has no option '%.*s'%s%s%s; it has %s",
                   owner, LARDER__QUOTE(name), nearest != NULL ? " (did you mean " : "",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "", list);
}

static const struct larder_option *look_up(const struct larder__options tables[2], int layers,
                                           struct larder__text name, const char *owner,
                                           const struct larder_message *message)
{
    for (int i = 0; i < 2; i++) {
        const struct larder_option *option =
            larder__option_find(tables[i], name.start, name.length);
        if (option != NULL && option->type == LARDER_OPTION_SERVERS) {
            larder__refuse(name, message, LARDER_BAD_ARGUMENT,
                           "%s are no option; write them as in %s://10.0.0.1,10.0.0.2",
                           option->name, owner);
            return NULL;
        }
        if (option != NULL)
            return option;
    }
    refuse_unknown(tables, layers, name, owner, message);
    return NULL;
}

const struct larder_option *larder__option_look_up(const struct larder__options tables[2],
                                                   struct larder__text name, const char *owner,
                                                   const struct larder_message *message)
{
    return look_up(tables, 0, name, owner, message);
}

/* A value that can't be read may have a comment after it, which is none. @return the '#', or the
 * length */
static size_t comment_find(struct larder__text value)
{
    for (size_t i = 0; i + 1 < value.length; i++)
        if (larder__text_starts(larder__text_from(value, i), " #"))
            return i + 1;
    return value.length;
}

enum larder_status larder__option_set(struct larder__options table,
                                      const struct larder_option *option, const char *name,
                                      void *fields, uint64_t *given, const char *value,
                                      struct larder__text where,
                                      const struct larder_message *message)
{
    char text[WHY_BYTES] = "";
    struct larder_message why = {text, sizeof(text)};
    uint64_t bit = UINT64_C(1) << (option - table.rows);
    if (*given & bit)
        return larder__refuse(where, message, LARDER_BAD_ARGUMENT,
                              "%s is given a second time; once is right", name);
    enum larder_status status = larder__option_read(option, value, fields, &why);
    size_t comment =
        status != LARDER_OK && larder__in_file(where) ? comment_find(where) : where.length;
    if (comment < where.length)
        return larder__refuse(larder__text_from(where, comment), message, status,
                              "%s: " LARDER__NO_COMMENT, name);
    if (status != LARDER_OK) /* it begins with the name in the table */
        return larder__refuse(where, message, status, "%s%s", name, text + strlen(option->name));
    *given |= bit;
    return LARDER_OK;
}

static struct larder__options own_options(const struct larder__spec *spec)
{
    return (struct larder__options){spec->backend->options, spec->backend->option_count};
}

enum larder_status larder__spec_set_own(struct larder__spec *spec,
                                        const struct larder_option *option, const char *name,
                                        const char *value, struct larder__text where,
                                        const struct larder_message *message)
{
    enum larder_status status = larder__option_set(own_options(spec), option, name, spec->options,
                                                   &spec->options_given, value, where, message);
    if (status != LARDER_OK)
        return status;
    spec->places[option - spec->backend->options] = where;
    if (option->type == LARDER_OPTION_CACHE)
        spec->references[option - spec->backend->options] = value;
    return LARDER_OK;
}

static enum larder_status common_set(struct larder__spec *spec, const struct larder_option *option,
                                     const char *value, struct larder__text where,
                                     const struct larder_message *message)
{
    size_t row = (size_t)(option - larder__common_options.rows);
    enum larder_status status =
        larder__option_set(larder__common_options, option, option->name, &spec->common,
                           &spec->common_given, value, where, message);
    if (status == LARDER_OK)
        spec->places[spec->backend->option_count + row] = where;
    return status;
}

enum larder_status larder__spec_set(struct larder__spec *spec, struct larder__text name,
                                    const char *value, struct larder__text where,
                                    const struct larder_message *message)
{
    struct larder__options tables[2] = {own_options(spec), larder__common_options};
    const struct larder__layer_option *layer = larder__layer_option_find(name);
    if (layer != NULL)
        return larder__layers_set(spec, layer, value, where, message);
    const struct larder_option *option = look_up(tables, 1, name, spec->backend->scheme, message);
    if (option == NULL)
        return LARDER_BAD_ARGUMENT;
    int own = larder__option_find(tables[0], name.start, name.length) == option;
    return own ? larder__spec_set_own(spec, option, option->name, value, where, message)
               : common_set(spec, option, value, where, message);
}

static const struct larder_option *servers_option(struct larder__options table)
{
    for (size_t i = 0; i < table.count; i++)
        if (table.rows[i].type == LARDER_OPTION_SERVERS)
            return &table.rows[i];
    return NULL;
}

enum larder_status larder__spec_set_servers(struct larder__spec *spec, const char *servers,
                                            struct larder__text where,
                                            const struct larder_message *message)
{
    const struct larder_option *option = servers_option(own_options(spec));
    if (option != NULL)
        return larder__spec_set_own(spec, option, option->name, servers, where, message);
    return larder__refuse(where, message, LARDER_BAD_ARGUMENT,
                          "%s has no servers; write %s: and its options after '?'",
                          spec->backend->scheme, spec->backend->scheme);
}

/* ---- places -------------------------------------------------------------------------------- */

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

/* Where the option of that name was given, or NULL. */
static const struct larder__text *place_of(const struct larder__spec *spec, const char *name,
                                           size_t length)
{
    struct larder__options own = own_options(spec);
    const struct larder_option *option = larder__option_find(own, name, length);
    if (option != NULL && spec->options_given >> (option - own.rows) & 1)
        return &spec->places[option - own.rows];
    option = larder__option_find(larder__common_options, name, length);
    if (option != NULL && spec->common_given >> (option - larder__common_options.rows) & 1)
        return &spec->places[own.count + (size_t)(option - larder__common_options.rows)];
    return NULL;
}

/* "name: ...", "name=value ...", "one and the other ...". */
static const struct larder__text *named_place(const struct larder__spec *spec, const char *what)
{
    static const char and[] = " and ";
    for (;;) {
        size_t length = strspn(what, NAME_BYTES);
        const struct larder__text *place = place_of(spec, what, length);
        if (place != NULL || strncmp(what + length, and, sizeof(and) - 1) != 0)
            return place;
        what += length + sizeof(and) - 1;
    }
}

/* Whether the word stands in `text` at that byte, and is no part of a longer one. */
static int is_word(struct larder__text text, size_t at, const char *word, size_t length)
{
    static const char other_byte[] = NAME_BYTES ".-:";
    if (text.length - at < length || memcmp(text.start + at, word, length) != 0)
        return 0;
    if (at > 0 && memchr(other_byte, text.start[at - 1], sizeof(other_byte) - 1) != NULL)
        return 0;
    return at + length == text.length ||
           memchr(other_byte, text.start[at + length], sizeof(other_byte) - 1) == NULL;
}

/* Finds what the message quotes among the servers: the port of "10.0.0.1:0" is ... */
static void find_quoted(const struct larder__spec *spec, const char *what,
                        struct larder__text *place)
{
    const struct larder_option *option = servers_option(own_options(spec));
    const char *quoted = strchr(what, '"');
    size_t length = quoted != NULL ? strcspn(++quoted, "\"") : 0;
    if (option == NULL || length == 0)
        return;
    struct larder__text servers = spec->places[option - spec->backend->options];
    for (size_t i = 0; i < servers.length; i++)
        if (is_word(servers, i, quoted, length)) {
            *place = larder__text_from(servers, i);
            return;
        }
}

enum larder_status larder__spec_refuse(const struct larder__spec *spec,
                                       struct larder__text otherwise,
                                       const struct larder_message *message,
                                       enum larder_status status, const char *what)
{
    struct larder__text where = otherwise;
    const struct larder__text *named = named_place(spec, what);
    if (named != NULL)
        where = *named;
    else
        find_quoted(spec, what, &where);
    return larder__refuse(where, message, status, "%s", what);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int is_given(uint64_t given, const char *name)
{
    const struct larder_option *option =
        larder__option_find(larder__common_options, name, strlen(name));
    return (int)(given >> (option - larder__common_options.rows) & 1);
}

const char *larder__spec_common_option(const struct larder__spec *spec)
{
    for (size_t i = 0; i < larder__common_options.count; i++)
        if ((spec->common_given >> i & 1) != 0)
            return larder__common_options.rows[i].name;
    return NULL;
}

void larder__spec_hand_common(struct larder__spec *spec, struct larder__spec *other)
{
    other->common = spec->common;
    other->common_given = spec->common_given;
    memcpy(other->places + other->backend->option_count, spec->places + spec->backend->option_count,
           larder__common_options.count * sizeof(*spec->places));
    spec->common_given = 0;
}

int larder__spec_hides_errors(const struct larder__spec *spec)
{
    return is_given(spec->common_given, "errors") && strcmp(spec->common.errors, "miss") == 0;
}

void larder__common_apply(const struct larder__common *common, uint64_t given,
                          struct larder_open_options *open)
{
    if (is_given(given, "default_ttl"))
        open->default_ttl_ms = (int64_t)common->default_ttl_ms;
    if (is_given(given, "max_ttl"))
        open->max_ttl_ms = (int64_t)common->max_ttl_ms;
    if (is_given(given, "errors"))
        open->errors_as_miss = strcmp(common->errors, "miss") == 0;
}

void larder__spec_set_cache(struct larder__spec *spec, size_t row, struct larder_cache *cache)
{
    larder__option_set_cache(&spec->backend->options[row], spec->options, cache);
}

static int equals_in(const struct larder__spec *spec, const struct larder__spec *other,
                     const struct larder_option *option)
{
    uint64_t row = (uint64_t)(option - spec->backend->options);
    if (option->type == LARDER_OPTION_SECRET && (spec->options_given >> row & 1) != 0)
        return 0;
    return larder__option_equals(option, spec->options, other->options);
}

int larder__spec_equals_but_servers(const struct larder__spec *spec,
                                    const struct larder__spec *other)
{
    struct larder__options own = own_options(spec);
    if (spec->backend != other->backend)
        return 0;
    for (size_t i = 0; i < own.count; i++)
        if (own.rows[i].type != LARDER_OPTION_SERVERS && !equals_in(spec, other, &own.rows[i]))
            return 0;
    return 1;
}

int larder__spec_equals(const struct larder__spec *spec, const struct larder__spec *other)
{
    if (!larder__spec_equals_but_servers(spec, other))
        return 0;
    const struct larder_option *servers = servers_option(own_options(spec));
    return servers == NULL || equals_in(spec, other, servers);
}

enum larder_status larder__spec_open(const struct larder__spec *spec,
                                     const struct larder_open_options *base,
                                     struct larder__text where, struct predecessor predecessor,
                                     struct larder_cache **cache,
                                     const struct larder_message *message)
{
    char why[2 * WHY_BYTES] = "";
    struct larder_open_options open;
    enum larder_status status = larder__open_options_read(base, &open, message);
    if (status != LARDER_OK)
        return status;
    open.struct_size = sizeof(open);
    larder__common_apply(&spec->common, spec->common_given, &open);
    const void *options = spec->backend->options_size >= sizeof(size_t) ? spec->options : NULL;
    status = larder__leaf_open(spec->backend, options, &open, predecessor, cache, why, sizeof(why));
    return status == LARDER_OK ? status : larder__spec_refuse(spec, where, message, status, why);
}
