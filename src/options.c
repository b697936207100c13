/* Options by table. Fields are reached by offset, with memcpy, which leaves alignment and aliasing
 * to the compiler. */
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "metadata.h"

#define LARDER_OPTIONS_STRUCT struct larder__common
static const struct larder_option common_rows[] = {
    LARDER__COMMON_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};
#undef LARDER_OPTIONS_STRUCT

const struct larder__options larder__common_options = {common_rows, sizeof(common_rows) /
                                                                        sizeof(common_rows[0])};

/* A struct larger than this is no struct of options. */
#define STRUCT_SIZE_MAX 65536u
/* From here on a bound is only what the type can hold, and not worth telling. */
#define UNBOUNDED ((uint64_t)INT64_MAX)

/* ---- fields -------------------------------------------------------------------------------- */

int larder__option_is_number(enum larder_option_type type)
{
    return type <= LARDER_OPTION_SWITCH;
}

static size_t field_size(const struct larder_option *option)
{
    return larder__option_is_number(option->type) ? sizeof(uint64_t) : sizeof(const char *);
}

static uint64_t number_of(const struct larder_option *option, const void *fields)
{
    uint64_t number;
    memcpy(&number, (const char *)fields + option->offset, sizeof(number));
    return number;
}

static const char *text_of(const struct larder_option *option, const void *fields)
{
    const char *text;
    memcpy(&text, (const char *)fields + option->offset, sizeof(text));
    return text;
}

static const struct larder_cache *cache_of(const struct larder_option *option, const void *fields)
{
    const struct larder_cache *cache;
    memcpy(&cache, (const char *)fields + option->offset, sizeof(cache));
    return cache;
}

static void set_number(const struct larder_option *option, void *fields, uint64_t number)
{
    memcpy((char *)fields + option->offset, &number, sizeof(number));
}

static void set_text(const struct larder_option *option, void *fields, const char *text)
{
    memcpy((char *)fields + option->offset, &text, sizeof(text));
}

void larder__option_set_cache(const struct larder_option *option, void *fields,
                              struct larder_cache *cache)
{
    memcpy((char *)fields + option->offset, &cache, sizeof(cache));
}

static void set_default(const struct larder_option *option, void *fields)
{
    if (larder__option_is_number(option->type))
        set_number(option, fields, option->number_default);
    else if (option->type == LARDER_OPTION_CACHE)
        larder__option_set_cache(option, fields, NULL);
    else
        set_text(option, fields, option->text_default);
}

int larder__option_equals(const struct larder_option *option, const void *fields,
                          const void *others)
{
    if (larder__option_is_number(option->type))
        return number_of(option, fields) == number_of(option, others);
    if (option->type == LARDER_OPTION_CACHE)
        return cache_of(option, fields) == cache_of(option, others);
    const char *text = text_of(option, fields), *other = text_of(option, others);
    return text == other || (text != NULL && other != NULL && strcmp(text, other) == 0);
}

void larder__options_default(struct larder__options options, void *fields)
{
    for (size_t i = 0; i < options.count; i++)
        set_default(&options.rows[i], fields);
}

const struct larder_option *larder__option_find(struct larder__options options, const char *name,
                                                size_t length)
{
    for (size_t i = 0; i < options.count; i++)
        if (strlen(options.rows[i].name) == length &&
            memcmp(options.rows[i].name, name, length) == 0)
            return &options.rows[i];
    return NULL;
}

/* ---- units --------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {{"T", UINT64_C(1) << 40},
                                         {"G", UINT64_C(1) << 30},
                                         {"M", UINT64_C(1) << 20},
                                         {"k", UINT64_C(1) << 10},
                                         {"K", UINT64_C(1) << 10},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum larder_option_type type)
{
    if (type == LARDER_OPTION_BYTES)
        return byte_units;
    return type == LARDER_OPTION_DURATION ? duration_units : no_units;
}

static const struct unit *unit_find(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++)
        if (strcmp(units->name, name) == 0)
            return units;
    return NULL;
}

void larder__option_format(enum larder_option_type type, uint64_t number, char *text, size_t size)
{
    const struct unit *unit = units_of(type);
    if (type == LARDER_OPTION_SWITCH) {
        snprintf(text, size, "%s", number != 0 ? "on" : "off");
        return;
    }
    while (unit->factor > 1 && (number == 0 || number % unit->factor != 0))
        unit++;
    snprintf(text, size, "%" PRIu64 "%s", number / unit->factor, number == 0 ? "" : unit->name);
}

/* "a|b|c" as "a, b or c". */
static void choices_format(const char *choices, char *text, size_t size)
{
    size_t length = 0;
    for (; *choices != '\0' && length + 5 < size; choices++)
        if (*choices == '|')
            length += (size_t)snprintf(text + length, size - length,
                                       strchr(choices + 1, '|') != NULL ? ", " : " or ");
        else
            text[length++] = *choices;
    text[length] = '\0';
}

void larder__option_range(const struct larder_option *option, char *text, size_t size)
{
    char smallest[32], largest[32];
    text[0] = '\0';
    if (option->type == LARDER_OPTION_SWITCH)
        snprintf(text, size, "on or off");
    else if (option->type == LARDER_OPTION_SECRET)
        snprintf(text, size, "env:NAME or file:/path");
    else if (option->type == LARDER_OPTION_METADATA)
        larder__metadata_range(text, size);
    else if (option->type == LARDER_OPTION_CACHE)
        snprintf(text, size, "@section of a configuration file");
    else if (!larder__option_is_number(option->type)) {
        if (option->choices != NULL)
            choices_format(option->choices, text, size);
    } else {
        larder__option_format(option->type, option->smallest, smallest, sizeof(smallest));
        larder__option_format(option->type, option->largest, largest, sizeof(largest));
        if (option->largest < UNBOUNDED)
            snprintf(text, size, "%s to %s", smallest, largest);
        else
            snprintf(text, size, "%s or more", smallest);
    }
}

void larder__names_join(const char *const *names, size_t count, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (length + strlen(names[i]) + sizeof(", , ...") > size) {
            snprintf(text + length, size - length, ", ...");
            return;
        }
        length +=
            (size_t)snprintf(text + length, size - length, "%s%s", i > 0 ? ", " : "", names[i]);
    }
}

/* ---- one option ---------------------------------------------------------------------------- */

/* Reads leading digits. @return how many there are */
static size_t digits_read(const char *text, uint64_t *number, int *overflow)
{
    size_t i = 0;
    *number = 0;
    *overflow = 0;
    for (; text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            *overflow = 1;
        *number = *number * 10 + digit;
    }
    return i;
}

static enum larder_status refuse_unit(const struct larder_option *option, const char *text,
                                      size_t digits, const struct larder_message *why)
{
    const char *rest = text + digits;
    int shown = (int)(digits < 20 ? digits : 20);
    if (rest[0] == '.' || rest[0] == ',')
        return larder_fail(why, LARDER_BAD_ARGUMENT,
                           "%s: '%.40s' has a fraction; write a whole number of a smaller unit",
                           option->name, text);
    if (option->type == LARDER_OPTION_DURATION && rest[0] == '\0')
        return larder_fail(why, LARDER_BAD_ARGUMENT,
                           "%s: '%.40s' has no unit; write %.*ss or %.*sms", option->name, text,
                           shown, text, shown, text);
    if (option->type == LARDER_OPTION_DURATION)
        return larder_fail(why, LARDER_BAD_ARGUMENT,
                           "%s: '%.40s' is no unit of time; write ms, s, m, h or d, as in 15s",
                           option->name, rest);
    if (option->type == LARDER_OPTION_BYTES)
        return larder_fail(
            why, LARDER_BAD_ARGUMENT,
            "%s: '%.40s' is no unit of size; write k, M, G or T (powers of 1024), as "
            "in 64M",
            option->name, rest);
    return larder_fail(why, LARDER_BAD_ARGUMENT,
                       "%s: '%.40s' after the number; write a plain whole number", option->name,
                       rest);
}

static enum larder_status check_number(const struct larder_option *option, uint64_t number,
                                       const struct larder_message *why)
{
    char shown[32], range[80];
    if (number >= option->smallest && number <= option->largest)
        return LARDER_OK;
    larder__option_format(option->type, number, shown, sizeof(shown));
    if (option->type == LARDER_OPTION_SWITCH)
        snprintf(shown, sizeof(shown), "%" PRIu64, number);
    larder__option_range(option, range, sizeof(range));
    return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: %s is too %s; write %s%s", option->name,
                       shown, number < option->smallest ? "small" : "large", range,
                       option->type == LARDER_OPTION_SWITCH ? " (1 or 0)" : "");
}

static enum larder_status number_read(const struct larder_option *option, const char *text,
                                      uint64_t *number, const struct larder_message *why)
{
    char range[80];
    int overflow = 0;
    size_t digits = digits_read(text, number, &overflow);
    larder__option_range(option, range, sizeof(range));
    if (digits == 0)
        return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: '%.40s' is no whole number; write %s",
                           option->name, text, range);
    const struct unit *unit = unit_find(units_of(option->type), text + digits);
    /* 0 is the same in every unit. */
    if (unit == NULL && *number == 0 && text[digits] == '\0')
        return check_number(option, 0, why);
    if (unit == NULL)
        return refuse_unit(option, text, digits, why);
    if (overflow || *number > UINT64_MAX / unit->factor)
        return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: '%.40s' is more than 64 bits hold",
                           option->name, text);
    *number *= unit->factor;
    return check_number(option, *number, why);
}

static enum larder_status switch_read(const struct larder_option *option, const char *text,
                                      uint64_t *number, const struct larder_message *why)
{
    *number = strcmp(text, "on") == 0;
    if (*number == 0 && strcmp(text, "off") != 0)
        return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: '%.40s' is neither on nor off",
                           option->name, text);
    return check_number(option, *number, why);
}

static int is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        size_t choice = strcspn(choices, "|");
        if (choice == length && memcmp(choices, text, length) == 0)
            return 1;
        if (choices[choice] == '\0')
            return 0;
        choices += choice + 1;
    }
    return 0;
}

static int is_environment_name(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return length > 0 && name[length] == '\0' && (name[0] < '0' || name[0] > '9');
}

static int is_secret_reference(const char *text)
{
    if (strncmp(text, "env:", 4) == 0)
        return is_environment_name(text + 4);
    return strncmp(text, "file:/", 6) == 0 && text[6] != '\0';
}

static enum larder_status check_text(const struct larder_option *option, const char *text,
                                     const struct larder_message *why)
{
    char range[256];
    uint32_t metadata;
    if (option->type == LARDER_OPTION_METADATA)
        return larder__metadata_read(option->name, text, &metadata, why);
    /* What was written may be the secret itself: it is never repeated. */
    if (option->type == LARDER_OPTION_SECRET && !is_secret_reference(text))
        return larder_fail(why, LARDER_BAD_ARGUMENT,
                           "%s: a secret is never written here; write where it is, env:NAME or "
                           "file:/absolute/path",
                           option->name);
    if (option->choices == NULL || is_choice(option->choices, text))
        return LARDER_OK;
    larder__option_range(option, range, sizeof(range));
    return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: '%.40s' is no choice; write %s", option->name,
                       text, range);
}

/* What it refers to is found when all sections are known. */
static enum larder_status check_reference(const struct larder_option *option, const char *text,
                                          const struct larder_message *why)
{
    if (text[0] == '@' && text[1] != '\0')
        return LARDER_OK;
    if (text[0] != '@' && strchr(text, ':') != NULL)
        return larder_fail(why, LARDER_BAD_ARGUMENT,
                           "%s: '%.40s' is a URI; give that cache a section of its own and write "
                           "@section here",
                           option->name, text);
    return larder_fail(why, LARDER_BAD_ARGUMENT,
                       "%s: '%.40s' is no reference; write @ and the name of a section",
                       option->name, text);
}

enum larder_status larder__option_read(const struct larder_option *option, const char *text,
                                       void *fields, const struct larder_message *why)
{
    enum larder_status status;
    uint64_t number = 0;
    if (text[0] == '\0')
        return larder_fail(why, LARDER_BAD_ARGUMENT, "%s has no value", option->name);
    if (option->type == LARDER_OPTION_CACHE)
        return check_reference(option, text, why);
    if (!larder__option_is_number(option->type)) {
        status = check_text(option, text, why);
        if (status == LARDER_OK)
            set_text(option, fields, text);
        return status;
    }
    if (option->type == LARDER_OPTION_SWITCH)
        status = switch_read(option, text, &number, why);
    else
        status = number_read(option, text, &number, why);
    if (status == LARDER_OK)
        set_number(option, fields, number);
    return status;
}

/* ---- a whole struct ------------------------------------------------------------------------ */

static enum larder_status check_field(const struct larder_option *option, size_t given_size,
                                      void *complete, const struct larder_message *message)
{
    if (option->offset < given_size && given_size < option->offset + field_size(option))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "options: struct_size %zu ends inside the field of %s", given_size,
                           option->name);
    if (larder__option_is_number(option->type))
        return check_number(option, number_of(option, complete), message);
    if (option->type == LARDER_OPTION_CACHE) /* parts.c looks at it */
        return LARDER_OK;
    if (text_of(option, complete) == NULL)
        set_default(option, complete);
    const char *text = text_of(option, complete);
    return text != NULL ? check_text(option, text, message) : LARDER_OK;
}

static enum larder_status take_given(const struct larder_backend *backend, const void *given,
                                     size_t given_size, void *complete,
                                     const struct larder_message *message)
{
    if (given_size < sizeof(size_t) || given_size > STRUCT_SIZE_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "options: struct_size %zu is not the size of a struct of %s options; "
                           "start from its initialiser",
                           given_size, backend->scheme);
    if (!larder_struct_read(given, given_size, sizeof(size_t), complete, backend->options_size))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "options: this %s is older than the program and does not know all that "
                           "it sets (%zu bytes of options; %zu are known)",
                           backend->scheme, given_size, backend->options_size);
    return LARDER_OK;
}

enum larder_status larder__options_complete(const struct larder_backend *backend, const void *given,
                                            void *complete, const struct larder_message *message)
{
    struct larder__options options = {backend->options, backend->option_count};
    size_t given_size = 0;
    enum larder_status status = LARDER_OK;
    if (backend->options_size > 0)
        memset(complete, 0, backend->options_size);
    larder__options_default(options, complete);
    if (given != NULL) {
        memcpy(&given_size, given, sizeof(given_size));
        status = take_given(backend, given, given_size, complete, message);
    }
    if (backend->options_size >= sizeof(size_t))
        memcpy(complete, &backend->options_size, sizeof(size_t));
    for (size_t i = 0; i < options.count && status == LARDER_OK; i++)
        status = check_field(&options.rows[i], given_size, complete, message);
    return status;
}
