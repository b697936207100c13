/* Texts that know where they stand. */
#include "place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <larder/util/message.h>

#define WHAT_BYTES 1024

struct larder__text larder__text_of(const char *string, const struct larder__place *place)
{
    return (struct larder__text){string, strlen(string), 0, place};
}

struct larder__text larder__text_from(struct larder__text text, size_t from)
{
    if (from > text.length)
        from = text.length;
    return (struct larder__text){text.start + from, text.length - from, text.offset + from,
                                 text.place};
}

size_t larder__text_find(struct larder__text text, char byte)
{
    const char *found = text.length > 0 ? memchr(text.start, byte, text.length) : NULL;
    return found != NULL ? (size_t)(found - text.start) : text.length;
}

struct larder__text larder__text_take(struct larder__text *rest, char mark)
{
    struct larder__text taken = *rest;
    taken.length = larder__text_find(*rest, mark);
    *rest = larder__text_from(*rest, taken.length + 1);
    return taken;
}

int larder__in_file(struct larder__text text)
{
    return text.place != NULL && text.place->file != NULL;
}

int larder__text_is(struct larder__text text, const char *string)
{
    return text.length == strlen(string) && larder__text_starts(text, string);
}

int larder__text_starts(struct larder__text text, const char *string)
{
    size_t length = strlen(string);
    return text.length >= length && (length == 0 || memcmp(text.start, string, length) == 0);
}

static void format_where(struct larder__text where, char *text, size_t size)
{
    const struct larder__place *place = where.place;
    text[0] = '\0';
    if (place == NULL)
        return;
    if (place->file == NULL) {
        snprintf(text, size, "column %zu: ", where.offset + 1);
        return;
    }
    struct larder__piece piece = {0, 1, 1};
    for (size_t i = 0; i < place->piece_count && place->pieces[i].offset <= where.offset; i++)
        piece = place->pieces[i];
    snprintf(text, size, "%u:%zu: ", piece.line, piece.column + (where.offset - piece.offset));
}

enum larder_status larder__refuse(struct larder__text where, const struct larder_message *message,
                                  enum larder_status status, const char *format, ...)
{
    char numbers[64];
    char what[WHAT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    format_where(where, numbers, sizeof(numbers));
    const char *file = larder__in_file(where) ? where.place->file : NULL;
    return larder_fail(message, status, "%s%s%s%s", file != NULL ? file : "",
                       file != NULL ? ":" : "", numbers, what);
}
