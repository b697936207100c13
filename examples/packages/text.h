/* A string that grows: pages and answers are written into it. Running out of memory is remembered
 * in `failed` and looked at once, at the end. */
#ifndef PACKAGES_TEXT_H
#define PACKAGES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* NULL while empty; else terminated */
    size_t length;
    size_t capacity;
    bool failed;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_put(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Escaped for HTML, inside elements and quoted attributes; NULL is nothing. */
void text_html(struct text *text, const char *string);
/** Percent-encoded, but for letters, digits and -._~ */
void text_url(struct text *text, const char *string);
/** 12345 as 12 345, with thin spaces. */
void text_number(struct text *text, long long number);
/** Empties, and keeps the memory. */
void text_clear(struct text *text);
void text_free(struct text *text);

#endif
