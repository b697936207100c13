/* A piece of text and where it stands, so that every message can say "column 12" or
 * "caches.conf:3:7". */
#ifndef LARDER_PLACE_H
#define LARDER_PLACE_H

#include <larder/backend.h>

/** From this offset on, the text is that of this line and column (both counted from 1). */
struct larder__piece {
    size_t offset;
    unsigned line;
    unsigned column;
};

/** The source of a text. */
struct larder__place {
    const char *file; /* NULL: a URI by itself, whose offset 0 is column 1 */
    const struct larder__piece *pieces;
    size_t piece_count;
};

/** Bytes of a source; parts of it know where they stand. Borrowed. */
struct larder__text {
    const char *start;
    size_t length;
    size_t offset; /* of `start` in its source */
    const struct larder__place *place;
};

struct larder__text larder__text_of(const char *string, const struct larder__place *place);
/** All from byte `from` on; empty when there is no such byte. */
struct larder__text larder__text_from(struct larder__text text, size_t from);
/** Takes what stands before the first `mark` off the front of `rest`, and the mark as well.
 * @return what was taken: all when there is no mark */
struct larder__text larder__text_take(struct larder__text *rest, char mark);
/** Where the first `byte` is, or the text's length. */
size_t larder__text_find(struct larder__text text, char byte);
/** Whether the text stands in a file, and is no URI by itself. */
int larder__in_file(struct larder__text text);
int larder__text_is(struct larder__text text, const char *string);
int larder__text_starts(struct larder__text text, const char *string);

/** For "%.*s" in a message: no message is worth more of somebody's input than this. */
#define LARDER__QUOTE(text) (int)((text).length < 80 ? (text).length : 80), (text).start

/** Writes "where: what" and gives `status` back. @param where  the place of its first byte */
enum larder_status larder__refuse(struct larder__text where, const struct larder_message *message,
                                  enum larder_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
