/* A client of a configuration file that a test writes anew. */
#ifndef TESTS_FILE_CLIENT_H
#define TESTS_FILE_CLIENT_H

#include <larder/larder.h>

/** Where the file is, and what the last call said of it. */
extern char file_path[];
extern char message[512];

/** Group setup and teardown. */
int file_make(void **state);
int file_remove(void **state);

void write_file(const char *text);
/** @param clock  NULL: the machine's. Fails the cmocka test with the message when it does not open
 */
struct larder_cache *open_file(const char *text, const struct larder_clock *clock);
/** Likewise. */
void reload(struct larder_cache *client, const char *text);
struct larder_cache *bind(struct larder_cache *client, const char *name);
enum larder_status look(struct larder_cache *cache, const char *key);
/** Fails the test when `message` does not contain that. */
void assert_says(const char *what);

#endif
