/* The values of Depends and its like: "libc6 (>= 2.34), exim4 | mail-transport-agent, python3:any".
 * Commas join groups that are all needed; bars join alternatives of which one will do. */
#ifndef PACKAGES_RELATION_H
#define PACKAGES_RELATION_H

#include <stdbool.h>

enum relation_kind { PRE_DEPENDS, DEPENDS, RECOMMENDS, RELATION_KINDS };

#define PACKAGE_NAME_MAX 127 /* bytes; Debian's longest is far below */

struct relation {
    char name[PACKAGE_NAME_MAX + 1];
    char architecture[32]; /* "any" of "python3:any"; empty: none */
    char version[96];      /* ">= 2.34"; empty: any */
    unsigned group;        /* from 0 */
    unsigned alternative;  /* from 0, within its group */
};

struct relation_reader {
    const char *rest;
    unsigned group, alternative;
    unsigned malformed; /* how many were passed over */
};

/** A reader of one value; NULL reads as empty. The value is borrowed. */
struct relation_reader relation_reader(const char *value);
/** @return false at the end */
bool relation_read(struct relation_reader *reader, struct relation *relation);
/** 1 to PACKAGE_NAME_MAX lower-case letters, digits and + - . */
bool package_name_valid(const char *name);

#endif
