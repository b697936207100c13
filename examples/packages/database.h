/* The database as the pages see it: typed questions, one connection per thread. */
#ifndef PACKAGES_DATABASE_H
#define PACKAGES_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "relation.h"

struct database; /* one connection with its prepared statements; one thread at a time */

/** Texts are the database's, valid until database_package() or database_end(); NULL where nothing
 * is known. */
struct package {
    int64_t id;
    const char *name;
    bool real; /* else only mentioned or provided by others, and all below is empty */
    const char *version, *architecture, *section, *priority, *maintainer, *homepage;
    const char *synopsis, *description;
    int64_t installed_kib, download_bytes;
};

/** A package as one row of a list shows it. Texts last until the next row. */
struct mention {
    int64_t id;
    const char *name;
    const char *synopsis; /* NULL: no package of that name */
    int kind;             /* enum relation_kind */
    int64_t place;        /* rows of one place are alternatives */
    const char *restriction;
    int64_t dependents;
};

/* The lists; the argument of database_list() is a package's id, or a prefix. */
enum list {
    LIST_DEPENDENCIES, /* of a package, in the order of its control stanza */
    LIST_DEPENDENTS,   /* of a name, those that most others depend on first */
    LIST_PROVIDERS,    /* of a name */
    LIST_PROVIDED,     /* by a package */
    LIST_POPULAR,      /* what most packages depend on; no argument */
    LIST_PREFIX,       /* packages whose names begin with a text, the most needed first */
    LISTS
};

struct closure {
    int64_t packages, installed_kib;
};

struct totals {
    int64_t packages, names, relations, edits;
};

/** @return NULL, and standard error says why */
struct database *database_open(const char *path);
void database_close(struct database *database);
/** A copy of the whole database in a new file, consistent even while others write. */
bool database_copy(struct database *database, const char *path);

/** Questions until database_end() see one state, the newest at the first of them. database_begin()
 * also forgets earlier failures. */
void database_begin(struct database *database);
void database_end(struct database *database);
/** Whether a question failed since database_begin(). */
bool database_failed(const struct database *database);
/** How many questions have been asked so far. */
uint64_t database_questions(const struct database *database);

/** @return false when the name is nowhere in the index */
bool database_package(struct database *database, const char *name, struct package *package);
/** What installing a package brings with it, itself included, first alternatives taken. */
struct closure database_closure(struct database *database, int64_t package);
/** How many packages name this one, by kind. */
void database_count_dependents(struct database *database, int64_t package,
                               int64_t counts[RELATION_KINDS]);
struct totals database_totals(struct database *database);

/** Begins a list; one at a time. @param text  for LIST_PREFIX, else NULL */
void database_list(struct database *database, enum list list, int64_t id, const char *text,
                   int64_t limit, int64_t offset);
/** @return false at the end of the list */
bool database_next(struct database *database, struct mention *mention);

/** Gives a package another synopsis. @return false when there is no such package, or it failed */
bool database_edit(struct database *database, int64_t package, const char *synopsis);
/** The number of the last edit. */
int64_t database_last_edit(struct database *database);
/** Begins the list of packages that were edited after edit number `after`. */
void database_edits_after(struct database *database, int64_t after);
/** @return false at the end */
bool database_next_edit(struct database *database, int64_t *package);

#endif
