/* Reading relations between packages. Source: Debian Policy, sections 5.6.7 and 7.1. */
#include "relation.h"

#include <string.h>

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";

bool package_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= PACKAGE_NAME_MAX && strspn(name, name_characters) == length;
}

struct relation_reader relation_reader(const char *value)
{
    return (struct relation_reader){.rest = value != NULL ? value : ""};
}

static void skip_space(struct relation_reader *reader)
{
    reader->rest += strspn(reader->rest, " \t\n");
}

/* Takes `length` bytes into a field of `size`. */
static bool take(struct relation_reader *reader, size_t length, char *field, size_t size)
{
    if (length == 0 || length >= size)
        return false;
    memcpy(field, reader->rest, length);
    field[length] = '\0';
    reader->rest += length;
    return true;
}

/* "(>= 2.34)", without its brackets. */
static bool take_version(struct relation_reader *reader, struct relation *relation)
{
    reader->rest++;
    skip_space(reader);
    if (!take(reader, strcspn(reader->rest, ")"), relation->version, sizeof(relation->version)))
        return false;
    if (*reader->rest != ')')
        return false;
    reader->rest++;
    return true;
}

/* Which architectures or build profiles it is for: of no meaning in an index of one machine. */
static bool skip_restriction(struct relation_reader *reader, char end)
{
    const char *closing = strchr(reader->rest, end);
    if (closing == NULL)
        return false;
    reader->rest = closing + 1;
    return true;
}

static bool take_relation(struct relation_reader *reader, struct relation *relation)
{
    if (!take(reader, strspn(reader->rest, name_characters), relation->name,
              sizeof(relation->name)))
        return false;
    if (*reader->rest == ':') {
        reader->rest++;
        if (!take(reader, strcspn(reader->rest, " \t\n,|([<"), relation->architecture,
                  sizeof(relation->architecture)))
            return false;
    }
    for (skip_space(reader); strchr(",|", *reader->rest) == NULL; skip_space(reader)) {
        bool taken = *reader->rest == '('   ? take_version(reader, relation)
                     : *reader->rest == '[' ? skip_restriction(reader, ']')
                     : *reader->rest == '<' ? skip_restriction(reader, '>')
                                            : false;
        if (!taken)
            return false;
    }
    return true;
}

/* Steps over the separator behind a relation, well-formed or not. */
static void next_place(struct relation_reader *reader)
{
    reader->rest += strcspn(reader->rest, ",|");
    if (*reader->rest == '|') {
        reader->alternative++;
    } else {
        reader->group++;
        reader->alternative = 0;
    }
    if (*reader->rest != '\0')
        reader->rest++;
}

bool relation_read(struct relation_reader *reader, struct relation *relation)
{
    for (;;) {
        skip_space(reader);
        if (*reader->rest == '\0')
            return false;
        *relation = (struct relation){.group = reader->group, .alternative = reader->alternative};
        bool taken = take_relation(reader, relation);
        next_place(reader);
        if (taken)
            return true;
        reader->malformed++;
    }
}
