/* The factory by URI. Where a password may have got to by mistake, messages give the place and do
 * not repeat the text. */
#include "uri.h"

#include <string.h>

#include <larder/util/message.h>

#include "ini_text.h"
#include "layers.h"
#include "registry.h"

/* ---- percent-encoding ---------------------------------------------------------------------- */

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The byte that %XX stands for, or -1. */
static int decode_byte(struct larder__text text)
{
    if (text.length < 3)
        return -1;
    int high = hex_digit(text.start[1]);
    int low = hex_digit(text.start[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static enum larder_status decode(struct larder__text text, struct larder__spec *spec,
                                 const char **decoded, const struct larder_message *message)
{
    char *out = larder__spec_hold(spec, text.length);
    *decoded = out;
    if (out == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    while (text.length > 0) {
        int byte = (unsigned char)text.start[0];
        size_t step = 1;
        if (byte == '%') {
            byte = decode_byte(text);
            step = 3;
        }
        if (byte <= 0)
            return larder__refuse(text, message, LARDER_BAD_ARGUMENT,
                                  byte == 0 ? "%%00 can't be part of a value"
                                            : "'%%' wants two hexadecimal digits, as in %%20");
        *out++ = (char)byte;
        text = larder__text_from(text, step);
    }
    return LARDER_OK;
}

/* ---- the parts of a URI -------------------------------------------------------------------- */

static enum larder_status refuse_space(struct larder__text space,
                                       const struct larder_message *message)
{
    if (larder__in_file(space) && larder__text_starts(space, " #"))
        return larder__refuse(space, message, LARDER_BAD_ARGUMENT,
                              "a space in a URI; " LARDER__NO_COMMENT);
    return larder__refuse(space, message, LARDER_BAD_ARGUMENT, "a space in a URI; write %%20");
}

/* Bytes that a URI can't hold as they are would hide in a message or end it. */
static enum larder_status check_bytes(struct larder__text text, int spaces,
                                      const struct larder_message *message)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.start[i];
        if (byte == ' ' && !spaces)
            return refuse_space(larder__text_from(text, i), message);
        if (byte < ' ' || byte == 0x7f)
            return larder__refuse(larder__text_from(text, i), message, LARDER_BAD_ARGUMENT,
                                  "a control character in a URI; write %%%02X", (unsigned)byte);
    }
    return LARDER_OK;
}

/* Whether somebody may have taken larder_open() for larder_open_file(). */
static int looks_like_path(struct larder__text text)
{
    static const char ending[] = ".conf";
    size_t length = sizeof(ending) - 1;
    if (larder__in_file(text))
        return 0;
    return larder__text_find(text, '/') < text.length ||
           (text.length > length &&
            larder__text_is(larder__text_from(text, text.length - length), ending));
}

static enum larder_status scheme_read(struct larder__text *rest, struct larder__spec *spec,
                                      const struct larder_message *message)
{
    char name[64] = "", why[512] = "";
    const struct larder_message inner = {why, sizeof(why)};
    size_t colon = larder__text_find(*rest, ':');
    if (rest->start[0] == '@')
        return larder__refuse(*rest, message, LARDER_BAD_ARGUMENT,
                              "'%.*s' refers to a section of a configuration file; a URI begins "
                              "with a scheme, as in memory:",
                              LARDER__QUOTE(*rest));
    if (colon == rest->length)
        return larder__refuse(larder__text_from(*rest, colon), message, LARDER_BAD_ARGUMENT,
                              "no ':' after the scheme; write a URI as in memory:?max_bytes=64M%s",
                              looks_like_path(*rest) ? ", or open a configuration file with "
                                                       "larder_open_file()"
                                                     : "");
    struct larder__text scheme = larder__text_take(rest, ':');
    const struct larder_backend *backend = larder__backend_find(scheme.start, scheme.length);
    if (backend != NULL)
        return larder__spec_init(spec, backend, message);
    memcpy(name, scheme.start, scheme.length < sizeof(name) ? scheme.length : sizeof(name) - 1);
    enum larder_status status = larder__backend_missing(name, &inner);
    return larder__refuse(scheme, message, status, "%s", why);
}

/* "//10.0.0.1,10.0.0.2/" is "10.0.0.1,10.0.0.2", "///run/x.sock" and "/run/x.sock" are both
 * "/run/x.sock". */
static enum larder_status strip_slashes(struct larder__text *servers,
                                        const struct larder_message *message)
{
    if (larder__text_starts(*servers, "//"))
        *servers = larder__text_from(*servers, 2);
    else if (servers->length > 0 && servers->start[0] != '/')
        return larder__refuse(*servers, message, LARDER_BAD_ARGUMENT,
                              "after the scheme come servers with //, a path with /, or options "
                              "with ?");
    int is_path = servers->length > 1 && servers->start[0] == '/';
    if (servers->length > 0 && servers->start[servers->length - 1] == '/' && !is_path)
        servers->length--;
    return LARDER_OK;
}

static enum larder_status servers_read(struct larder__text servers, struct larder__spec *spec,
                                       const struct larder_message *message)
{
    const char *decoded;
    enum larder_status status = strip_slashes(&servers, message);
    if (status != LARDER_OK || servers.length == 0)
        return status;
    status = decode(servers, spec, &decoded, message);
    if (status != LARDER_OK)
        return status;
    if (decoded[0] != '/' && strchr(decoded, '@') != NULL)
        return larder__refuse(servers, message, LARDER_BAD_ARGUMENT,
                              "'@' among the servers; names and passwords are options, by env: or "
                              "file: reference");
    return larder__spec_set_servers(spec, decoded, servers, message);
}

static enum larder_status option_read(struct larder__text part, struct larder__spec *spec,
                                      const struct larder_message *message)
{
    const char *decoded;
    size_t equals = larder__text_find(part, '=');
    if (part.length == 0)
        return larder__refuse(part, message, LARDER_BAD_ARGUMENT,
                              "an empty option; write name=value after '?' and each '&'");
    if (equals == part.length || equals == 0)
        return larder__refuse(part, message, LARDER_BAD_ARGUMENT, "no option; write name=value");
    struct larder__text name = larder__text_take(&part, '=');
    enum larder_status status = decode(part, spec, &decoded, message);
    return status == LARDER_OK ? larder__spec_set(spec, name, decoded, part, message) : status;
}

static enum larder_status query_read(struct larder__text query, struct larder__spec *spec,
                                     const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    int more = 1;
    while (more && status == LARDER_OK) {
        more = larder__text_find(query, '&') < query.length;
        status = option_read(larder__text_take(&query, '&'), spec, message);
    }
    return status;
}

static enum larder_status configuration_string_read(struct larder__text string,
                                                    struct larder__spec *spec,
                                                    const struct larder_message *message)
{
    enum larder_status status = check_bytes(string, 1, message);
    if (status != LARDER_OK)
        return status;
    char *copy = larder__spec_hold(spec, string.length);
    if (copy == NULL)
        return larder_fail(message, LARDER_NO_MEMORY, "no memory");
    memcpy(copy, string.start, string.length);
    return larder__spec_set_servers(spec, copy, string, message);
}

enum larder_status larder__uri_read(struct larder__text uri, struct larder__spec *spec,
                                    const struct larder_message *message)
{
    if (uri.length == 0)
        return larder__refuse(uri, message, LARDER_BAD_ARGUMENT,
                              "an empty URI; write one as in memory:?max_bytes=64M");
    if (uri.length > LARDER__URI_BYTES_MAX)
        return larder__refuse(uri, message, LARDER_BAD_ARGUMENT,
                              "a URI of more than %u bytes; write a shorter one",
                              LARDER__URI_BYTES_MAX);
    enum larder_status status = scheme_read(&uri, spec, message);
    if (status != LARDER_OK)
        return status;
    if (larder__text_starts(uri, "--SERVER") || larder__text_starts(uri, "--SOCKET"))
        return configuration_string_read(uri, spec, message);
    status = check_bytes(uri, 0, message);
    if (status != LARDER_OK)
        return status;
    int has_query = larder__text_find(uri, '?') < uri.length;
    status = servers_read(larder__text_take(&uri, '?'), spec, message);
    return status == LARDER_OK && has_query ? query_read(uri, spec, message) : status;
}

/* ---- the factory --------------------------------------------------------------------------- */

static const char *reference_find(const struct larder__spec *spec, struct larder__text *where)
{
    for (size_t i = 0; i < spec->backend->option_count; i++)
        if (spec->references[i] != NULL) {
            *where = spec->places[i];
            return spec->backend->options[i].name;
        }
    return larder__layers_reference(spec, where);
}

/* A URI by itself has no sections beside it. */
static enum larder_status refuse_references(const struct larder__spec *spec,
                                            const struct larder_message *message)
{
    struct larder__text where;
    const char *option = reference_find(spec, &where);
    if (option == NULL)
        return LARDER_OK;
    return larder__refuse(where, message, LARDER_BAD_ARGUMENT,
                          "%s refers to a section of a configuration file; open one with "
                          "larder_open_file(), or this cache with its own factory",
                          option);
}

enum larder_status larder_open(const char *uri, const struct larder_open_options *options,
                               struct larder_cache **cache, char *message, size_t message_size)
{
    const struct larder_message to = {message, message_size};
    const struct larder__place place = {NULL, NULL, 0};
    struct larder__spec spec = {0};
    larder_message_set(&to, "%s", "");
    if (cache != NULL)
        *cache = NULL;
    if (uri == NULL || cache == NULL)
        return larder_fail(&to, LARDER_BAD_ARGUMENT, "%s is NULL", uri == NULL ? "uri" : "cache");
    struct larder__text text = {uri, strnlen(uri, LARDER__URI_BYTES_MAX + 1), 0, &place};
    enum larder_status status = larder__uri_read(text, &spec, &to);
    if (status == LARDER_OK)
        status = refuse_references(&spec, &to);
    if (status == LARDER_OK)
        status = larder__layers_open(&spec, options, larder__text_of("", NULL), cache, &to);
    larder__spec_clean_up(&spec);
    return status;
}
