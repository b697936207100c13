/*
 * Checks what larder-bench --json wrote: that it is JSON (RFC 8259), and that every
 * "operations_per_second" has a median above 0. Prints how many there were.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define RATE "operations_per_second"

struct reader {
    const char *at;
    int depth;
    int rate; /* inside of a RATE */
    int rates;
    int zero;
};

static int value(struct reader *reader);

static void space(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static int mark(struct reader *reader, char wanted)
{
    space(reader);
    if (*reader->at != wanted)
        return 0;
    reader->at++;
    return 1;
}

static int escape(const char **at)
{
    if (**at == 'u') {
        for (int i = 0; i < 4; i++)
            if (!isxdigit((unsigned char)*++*at))
                return 0;
    } else if (**at == '\0' || strchr("\"\\/bfnrt", **at) == NULL) {
        return 0;
    }
    ++*at;
    return 1;
}

static int string(struct reader *reader)
{
    if (!mark(reader, '"'))
        return 0;
    while (*reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20)
            return 0;
        if (*reader->at++ == '\\' && !escape(&reader->at))
            return 0;
    }
    reader->at++;
    return 1;
}

static int number(struct reader *reader, double *out)
{
    char *end;
    size_t length = strspn(reader->at, "+-.0123456789eE"); /* no "nan", "inf", "0x1" */
    *out = strtod(reader->at, &end);
    if (length == 0 || *reader->at == '+' || end != reader->at + length)
        return 0;
    reader->at = end;
    return 1;
}

static int word(struct reader *reader)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++)
        if (strncmp(reader->at, words[i], strlen(words[i])) == 0) {
            reader->at += strlen(words[i]);
            return 1;
        }
    return 0;
}

static int member(struct reader *reader)
{
    space(reader);
    const char *name = reader->at + 1;
    int outer = reader->rate;
    double median;
    if (!string(reader) || !mark(reader, ':'))
        return 0;
    space(reader);
    if (strncmp(name, RATE "\"", sizeof(RATE)) == 0)
        reader->rate = 1;
    if (reader->rate && strncmp(name, "median\"", 7) == 0) {
        struct reader ahead = *reader;
        reader->rates++;
        reader->zero |= !number(&ahead, &median) || !(median > 0);
    }
    int right = value(reader);
    reader->rate = outer;
    return right;
}

static int list(struct reader *reader, char last, int (*one)(struct reader *))
{
    reader->at++;
    if (mark(reader, last))
        return 1;
    do {
        if (!one(reader))
            return 0;
    } while (mark(reader, ','));
    return mark(reader, last);
}

static int value(struct reader *reader)
{
    double ignored;
    space(reader);
    if (reader->depth == DEPTH_MAX)
        return 0;
    reader->depth++;
    int right = *reader->at == '{'   ? list(reader, '}', member)
                : *reader->at == '[' ? list(reader, ']', value)
                : *reader->at == '"' ? string(reader)
                                     : word(reader) || number(reader, &ignored);
    reader->depth--;
    return right;
}

int main(void)
{
    static char text[1 << 20];
    size_t length = fread(text, 1, sizeof(text) - 1, stdin);
    text[length] = '\0';
    struct reader reader = {.at = text};
    if (!value(&reader) || mark(&reader, '\0') == 0 || strlen(text) != length) {
        fprintf(stderr, "not JSON at byte %zu: %.40s\n", (size_t)(reader.at - text), reader.at);
        return 1;
    }
    printf("%d measurements\n", reader.rates);
    return reader.rates == 0 || reader.zero;
}
