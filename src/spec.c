/* A backend and its options, on the way from text to an open cache. */
#include "spec.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#include "handle.h"

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
    if (spec->options == NULL)
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

static void refuse_unknown(const struct larder__options tables[2], struct larder__text name,
                           const char *owner, const struct larder_message *message)
{
    const char *names[2 * LARDER__OPTIONS_MAX];
    char list[1024], word[LARDER__OPTION_NAME_MAX + 8];
    size_t count = names_of(tables[0], names);
    count += names_of(tables[1], names + count);
    size_t length = name.length < sizeof(word) - 1 ? name.length : sizeof(word) - 1;
    memcpy(word, name.start, length);
    word[length] = '\0';
    const char *nearest = larder_nearest(word, names, count);
    larder__names_join(names, count, list, sizeof(list));
    larder__refuse(name, message, LARDER_BAD_ARGUMENT, "%s has no option '%.*s'%s%s%s; it has %s",
                   owner, LARDER__QUOTE(name), nearest != NULL ? " (did you mean " : "",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "", list);
}

const struct larder_option *larder__option_look_up(const struct larder__options tables[2],
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
    refuse_unknown(tables, name, owner, message);
    return NULL;
}

enum larder_status larder__option_set(struct larder__options table,
                                      const struct larder_option *option, void *fields,
                                      uint64_t *given, const char *value, struct larder__text where,
                                      const struct larder_message *message)
{
    char text[WHY_BYTES] = "";
    struct larder_message why = {text, sizeof(text)};
    uint64_t bit = UINT64_C(1) << (option - table.rows);
    if (*given & bit)
        return larder__refuse(where, message, LARDER_BAD_ARGUMENT,
                              "%s is given a second time; once is right", option->name);
    enum larder_status status = larder__option_read(option, value, fields, &why);
    if (status != LARDER_OK)
        return larder__refuse(where, message, status, "%s", text);
    *given |= bit;
    return LARDER_OK;
}

static struct larder__options own_options(const struct larder__spec *spec)
{
    return (struct larder__options){spec->backend->options, spec->backend->option_count};
}

enum larder_status larder__spec_set(struct larder__spec *spec, struct larder__text name,
                                    const char *value, struct larder__text where,
                                    const struct larder_message *message)
{
    struct larder__options tables[2] = {own_options(spec), larder__common_options};
    const struct larder_option *option =
        larder__option_look_up(tables, name, spec->backend->scheme, message);
    if (option == NULL)
        return LARDER_BAD_ARGUMENT;
    if (larder__option_find(tables[0], name.start, name.length) == option)
        return larder__option_set(tables[0], option, spec->options, &spec->options_given, value,
                                  where, message);
    return larder__option_set(tables[1], option, &spec->common, &spec->common_given, value, where,
                              message);
}

enum larder_status larder__spec_set_servers(struct larder__spec *spec, const char *servers,
                                            struct larder__text where,
                                            const struct larder_message *message)
{
    struct larder__options own = own_options(spec);
    for (size_t i = 0; i < own.count; i++)
        if (own.rows[i].type == LARDER_OPTION_SERVERS)
            return larder__option_set(own, &own.rows[i], spec->options, &spec->options_given,
                                      servers, where, message);
    return larder__refuse(where, message, LARDER_BAD_ARGUMENT,
                          "%s has no servers; write %s: and its options after '?'",
                          spec->backend->scheme, spec->backend->scheme);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int is_given(uint64_t given, const char *name)
{
    const struct larder_option *option =
        larder__option_find(larder__common_options, name, strlen(name));
    return (int)(given >> (option - larder__common_options.rows) & 1);
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

enum larder_status larder__spec_open(const struct larder__spec *spec,
                                     const struct larder_open_options *base,
                                     struct larder_cache **cache,
                                     const struct larder_message *message)
{
    struct larder_open_options open;
    enum larder_status status = larder__open_options_read(base, &open, message);
    if (status != LARDER_OK)
        return status;
    open.struct_size = sizeof(open);
    larder__common_apply(&spec->common, spec->common_given, &open);
    const void *options = spec->backend->options_size >= sizeof(size_t) ? spec->options : NULL;
    return larder_open_backend(spec->backend, options, &open, cache, message->text, message->size);
}
