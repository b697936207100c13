/*
 * The syntax of configuration files: sections of named values, as text that knows where it stands.
 *
 *     ; a comment, also with #
 *     [section]
 *     name = value          ; a comment after a value begins with " ;"
 *         more of the value
 *
 * A value goes on in indented lines, which are joined to it without a space (a URI is cut
 * anywhere), but with one in [namespaces] and before "--". What inih would cut, skip or take in two
 * ways is refused.
 */
#ifndef LARDER_INI_TEXT_H
#define LARDER_INI_TEXT_H

#include <larder/backend.h>
#include <larder/util/uthash.h>

#include "place.h"

/** The longest line, in bytes. Source: inih 55, INI_MAX_LINE: 200 with the line's end. */
#define LARDER__LINE_BYTES_MAX 196u
/** The longest name of a section or value, in bytes: that of a namespace. */
#define LARDER__NAME_BYTES_MAX LARDER_NAMESPACE_BYTES_MAX

/** The section that maps names to caches; its values are words between spaces. */
#define LARDER__NAMESPACES_SECTION "namespaces"

/** What to tell about " #" after something else, which is no comment. */
#define LARDER__NO_COMMENT "'#' begins no comment within a line, write ' ;'"

/** A name that stands in one line. */
struct larder__ini_name {
    char text[LARDER__NAME_BYTES_MAX + 1];
    struct larder__piece piece;
    struct larder__place place;
};

struct larder__ini_entry {
    struct larder__ini_name name;
    char *value;
    size_t length, capacity;
    struct larder__piece *pieces; /* a line each */
    size_t piece_capacity;
    struct larder__place place;
    UT_hash_handle hh; /* of its section, by name, in the file's order */
};

struct larder__ini_section {
    struct larder__ini_name name;
    struct larder__ini_entry *entries;
    UT_hash_handle hh; /* of the file, by name, in the file's order */
};

/** All zero is an empty one. */
struct larder__ini {
    struct larder__ini_section *sections;
};

/**
 * Reads a whole file.
 * @param file  its name, for messages; must live as long as `ini`
 * @param ini   empty; the caller cleans it up, also on failure
 * @return OK; BAD_ARGUMENT; NO_MEMORY
 */
enum larder_status larder__ini_read(const char *file, const char *bytes, size_t length,
                                    struct larder__ini *ini, const struct larder_message *message);
void larder__ini_clean_up(struct larder__ini *ini);

/** NULL when there is none. */
struct larder__ini_section *larder__ini_section(const struct larder__ini *ini, const char *name);
struct larder__ini_entry *larder__ini_entry(const struct larder__ini_section *section,
                                            const char *name);

struct larder__text larder__ini_name_text(const struct larder__ini_name *name);
struct larder__text larder__ini_value_text(const struct larder__ini_entry *entry);

#endif
