/* Where a package index comes from: a file in the format of Debian's Packages files, or this
 * machine's own, as `apt-cache dumpavail` prints it. */
#ifndef PACKAGES_INDEX_H
#define PACKAGES_INDEX_H

#include <stdint.h>
#include <stdio.h>

struct index {
    FILE *file; /* at its beginning */
    uint64_t bytes;
};

/** @param path  NULL: ask apt-cache
 *  @return 0; or -1, and standard error says why */
int index_open(struct index *index, const char *path);
void index_close(struct index *index);

/** Writes a made-up index of `count` packages: the same one each time, some needed by many, some
 * by none, with alternatives, versions, virtual packages and folded lines. */
void index_write_sample(FILE *file, unsigned count);

#endif
