/* Debian's control format: stanzas of "Field: value" lines, set apart by empty lines; a line that
 * starts with a space or tab goes on with the value before it. */
#ifndef PACKAGES_CONTROL_H
#define PACKAGES_CONTROL_H

#include <stdbool.h>
#include <stdio.h>

#include "text.h"

#define STANZA_FIELDS_MAX 64        /* more are left out */
#define STANZA_BYTES_MAX (1u << 20) /* what is longer is no package */

struct stanza {
    struct text bytes; /* names and values, each terminated */
    struct {
        size_t name, value; /* offsets into bytes */
    } fields[STANZA_FIELDS_MAX];
    size_t count;
    char *line; /* getline()'s */
    size_t line_size;
};

/** Reads the next stanza that has a field. @return false at the end, or for one over the bound
 * (then bytes.failed is set) */
bool stanza_read(struct stanza *stanza, FILE *file);
/** The value of a field, folded lines joined with '\n'; NULL when it is not there. Field names are
 * compared without case. */
const char *stanza_get(const struct stanza *stanza, const char *name);
void stanza_free(struct stanza *stanza);

#endif
