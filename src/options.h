/* Options by table: a backend's row says a value's type, bounds and choices; here they are read,
 * checked and told. */
#ifndef LARDER_OPTIONS_H
#define LARDER_OPTIONS_H

#include <larder/backend.h>

/* Options that every cache has in a URI, beside its backend's own. They end in
 * struct larder_open_options. (The parameter is not called TEXT, which is a type's name as well.)
 */
#define LARDER__COMMON_OPTIONS_TABLE(NUMBER, STRING)                         \
    NUMBER(DURATION, default_ttl, default_ttl_ms, 0, 0, INT64_MAX,           \
           "the TTL of what is stored with LARDER_TTL_DEFAULT; 0: for ever") \
    NUMBER(DURATION, max_ttl, max_ttl_ms, 0, 0, INT64_MAX,                   \
           "longer TTLs are cut to this; 0: no maximum")                     \
    STRING(TEXT, errors, errors, "report", "report|miss",                    \
           "miss: failed reads answer MISS, and are still counted and told to the listener")

struct larder__common {
    LARDER__COMMON_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};

/** A table of options. */
struct larder__options {
    const struct larder_option *rows;
    size_t count;
};

/** The most options of one backend, and the longest name of one. */
#define LARDER__OPTIONS_MAX 64u
#define LARDER__OPTION_NAME_MAX 32u

extern const struct larder__options larder__common_options;

/** Whether the option's field is a uint64_t (else a const char *, or a struct larder_cache *). */
int larder__option_is_number(enum larder_option_type type);

/** Writes every row's default. */
void larder__options_default(struct larder__options options, void *fields);

/** The row of that name, or NULL. */
const struct larder_option *larder__option_find(struct larder__options options, const char *name,
                                                size_t length);

/** Sets a field of the type CACHE, which no text can set. */
void larder__option_set_cache(const struct larder_option *option, void *fields,
                              struct larder_cache *cache);

/** Whether two structs have the same in an option's field. */
int larder__option_equals(const struct larder_option *option, const void *fields,
                          const void *others);

/**
 * Reads an option's text into its field. A text is borrowed: the field points to it. A reference to
 * a cache is only checked; larder__option_set_cache() sets the field.
 * @param why  what would be right, beginning with the option's name; a secret is never repeated
 * @return OK; BAD_ARGUMENT; UNSUPPORTED for metadata that this library can't keep
 */
enum larder_status larder__option_read(const struct larder_option *option, const char *text,
                                       void *fields, const struct larder_message *why);

/** A number as one would write it: "64M", "15s", "on". */
void larder__option_format(enum larder_option_type type, uint64_t number, char *text, size_t size);

/** Joins names by ", "; what does not fit is left out, and "..." says so. */
void larder__names_join(const char *const *names, size_t count, char *text, size_t size);

/** What may be written, for people: "64k to 8G", "report or miss". */
void larder__option_range(const struct larder_option *option, char *text, size_t size);

/**
 * Fills a struct of backend->options_size bytes: the table's defaults, then what the caller gave,
 * then every bound and choice is checked.
 * @param given  NULL, or the caller's struct; its first member, a size_t, says how much is there
 * @return OK; BAD_ARGUMENT; UNSUPPORTED as above
 */
enum larder_status larder__options_complete(const struct larder_backend *backend, const void *given,
                                            void *complete, const struct larder_message *message);

#endif
