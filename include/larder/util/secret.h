/* Secrets of an open cache: read from where an option says they are, and wiped. */
#ifndef LARDER_UTIL_SECRET_H
#define LARDER_UTIL_SECRET_H

#include <larder/backend.h>

/**
 * Reads what an option of the type SECRET refers to. Line ends behind it are not part of it.
 * @param name       of the option, for the message, which never repeats the secret
 * @param reference  env:NAME or file:/path
 * @param bytes_max  a longer one is refused
 * @param secret     on OK the text, given back with larder_secret_free(); else NULL
 * @return OK; BAD_ARGUMENT with a message when it isn't there, is empty, too long, or holds a 0
 *         byte; NO_MEMORY
 * Threads: any, while nobody changes the environment. Blocks: on the file
 */
enum larder_status larder_secret_read(const char *name, const char *reference, size_t bytes_max,
                                      const struct larder_message *message, char **secret);

/** Wipes and frees. NULL does nothing. */
void larder_secret_free(char *secret);

#endif
