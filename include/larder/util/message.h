/* Messages for people, written into a buffer of the caller's. */
#ifndef LARDER_UTIL_MESSAGE_H
#define LARDER_UTIL_MESSAGE_H

#include <larder/backend.h>

/** Writes a message, cut to the buffer; a NULL message or buffer is fine. Control characters that
 * came from input are written as '?'. */
void larder_message_set(const struct larder_message *message, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The same, and gives `status` back: `return larder_fail(message, LARDER_BAD_ARGUMENT, …)`. */
enum larder_status larder_fail(const struct larder_message *message, enum larder_status status,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));

/** The nearest of `count` names, for "did you mean"; NULL when none is near. */
const char *larder_nearest(const char *word, const char *const *names, size_t count);

#endif
