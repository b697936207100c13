/* The inside of the migration. */
#ifndef MIGRATION_INSIDE_H
#define MIGRATION_INSIDE_H

#include <larder/migration.h>
#include <larder/util/pair.h>

enum { MIGRATION_FROM, MIGRATION_TO };

struct migration {
    struct larder_pair pair; /* first */
    int64_t populate_ttl_ms; /* set while opening, then only read */

    /* Relaxed, all of it: nothing is handed on by the mode, and a call reads it once. */
    atomic_int mode;                    /* enum larder_migration_mode */
    _Atomic uint64_t reads;             /* how many were looked at in a mode that populates some */
    _Atomic uint64_t populated, undone; /* entries that were added, and deleted again */
};

/** Adds what was read to the other side. */
void migration_populate(struct larder_passage *passage, enum larder_many_kind many,
                        const struct larder_rows *rows);

#endif
