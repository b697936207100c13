/* Builds the database from a package index. */
#ifndef PACKAGES_IMPORT_H
#define PACKAGES_IMPORT_H

/**
 * Makes the database at `path` unless there is one.
 * @param index_path  a file in the format of Packages files; NULL: this machine's own index
 * @return 0; or -1, and standard error says why
 */
int import_if_absent(const char *path, const char *index_path);

#endif
