/* What a URI or a file's section asks for, checked and ready to be opened: a backend and its
 * options. */
#ifndef LARDER_SPEC_H
#define LARDER_SPEC_H

#include <larder/backend.h>

#include "attach.h"
#include "options.h"
#include "place.h"

struct larder__held_text;
struct larder__layer;

/** All zero is an empty one. */
struct larder__spec {
    const struct larder_backend *backend;
    void *options;                  /* backend->options_size bytes, owned */
    struct larder__common common;   /* what every cache takes */
    uint64_t options_given;         /* bit n: row n of the backend's table was given */
    uint64_t common_given;          /* the same of larder__common_options */
    struct larder__text *places;    /* of those given, one for each row of both tables, owned */
    struct larder__held_text *held; /* what the text options point to */
    const char **references; /* "@name", of each row of the backend's table; NULL: none; owned */
    struct larder__layer *layers; /* what is put over the cache; NULL: nothing; owned (layers.h) */
};

/** Chooses the backend and fills in its defaults. @return OK, BAD_ARGUMENT or NO_MEMORY */
enum larder_status larder__spec_init(struct larder__spec *spec,
                                     const struct larder_backend *backend,
                                     const struct larder_message *message);

/** Room for a text of `length` bytes that lives as long as the spec, zeroed; NULL: no memory. */
char *larder__spec_hold(struct larder__spec *spec, size_t length);

/**
 * Sets one option.
 * @param value  held by the spec; @param where  the place of it, which lives as long
 * @return OK; BAD_ARGUMENT for a name that is unknown or was given before, or for its value
 */
enum larder_status larder__spec_set(struct larder__spec *spec, struct larder__text name,
                                    const char *value, struct larder__text where,
                                    const struct larder_message *message);

/** Sets an option of the backend's own. @param name  that it was written by, for messages */
enum larder_status larder__spec_set_own(struct larder__spec *spec,
                                        const struct larder_option *option, const char *name,
                                        const char *value, struct larder__text where,
                                        const struct larder_message *message);

/** Sets the option of the type LARDER_OPTION_SERVERS. @return OK, or BAD_ARGUMENT where there is
 * none */
enum larder_status larder__spec_set_servers(struct larder__spec *spec, const char *servers,
                                            struct larder__text where,
                                            const struct larder_message *message);

/** Gives another spec all that this one was given of what every cache takes. */
void larder__spec_hand_common(struct larder__spec *spec, struct larder__spec *other);

/** The first option that every cache has and this spec was given, or NULL. */
const char *larder__spec_common_option(const struct larder__spec *spec);

/** Whether the option `errors` says miss. */
int larder__spec_hides_errors(const struct larder__spec *spec);

/**
 * Writes "where: what" and gives `status` back. The place is that of the option whose name `what`
 * begins with, or of the servers that it quotes; `otherwise` when neither was given.
 */
enum larder_status larder__spec_refuse(const struct larder__spec *spec,
                                       struct larder__text otherwise,
                                       const struct larder_message *message,
                                       enum larder_status status, const char *what);

/** Gives an option that refers to a section the cache of that section. */
void larder__spec_set_cache(struct larder__spec *spec, size_t row, struct larder_cache *cache);

/** Whether both ask for the same cache: backend and own options, whatever the common ones. One
 * with a secret is equal to none, since what it refers to may be another by now. */
int larder__spec_equals(const struct larder__spec *spec, const struct larder__spec *other);
/** Likewise, whatever the servers. */
int larder__spec_equals_but_servers(const struct larder__spec *spec,
                                    const struct larder__spec *other);

/**
 * Opens the cache.
 * @param base         what holds where the spec says nothing; may be NULL
 * @param where        the place of the whole, for messages
 */
enum larder_status larder__spec_open(const struct larder__spec *spec,
                                     const struct larder_open_options *base,
                                     struct larder__text where, struct predecessor predecessor,
                                     struct larder_cache **cache,
                                     const struct larder_message *message);

void larder__spec_clean_up(struct larder__spec *spec);

/* ---- shared with the settings of a file ---------------------------------------------------- */

/** Finds the row of that name; @return NULL with a message that names the nearest and lists all of
 * both tables. @param owner  whose options they are, as in "memory" */
const struct larder_option *larder__option_look_up(const struct larder__options tables[2],
                                                   struct larder__text name, const char *owner,
                                                   const struct larder_message *message);

/** Reads `value` into `fields` once: `given` remembers which rows were there.
 * @param name  that it was written by, for messages */
enum larder_status larder__option_set(struct larder__options table,
                                      const struct larder_option *option, const char *name,
                                      void *fields, uint64_t *given, const char *value,
                                      struct larder__text where,
                                      const struct larder_message *message);

/** Lays what was given of the common options over `open`. */
void larder__common_apply(const struct larder__common *common, uint64_t given,
                          struct larder_open_options *open);

#endif
