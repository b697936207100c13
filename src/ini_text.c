/*
 * Configuration files by inih. Its reader is ours: it hands inih a line at a time, without
 * comments, and begins the sections itself, since inih says nothing of an empty or repeated one,
 * cuts long names and takes an overlong line for two. So what inih decides is where a name ends and
 * a value begins, and that an indented line continues the value before.
 */
#include "ini_text.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define BLANKS " \t\v\f\r"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct reader {
    const char *file;
    const char *next, *end;
    struct larder__ini *ini;
    const struct larder_message *message;
    enum larder_status status; /* the first failure; nothing is read after it */
    struct larder__ini_section *section;
    struct larder__ini_entry *entry; /* the one before; NULL at the start of a section */
    char line[LARDER__LINE_BYTES_MAX + 1];
    unsigned line_number;
    int pending; /* inih has the line and has not yet made a value of it */
    struct larder__piece piece;
    struct larder__place place; /* what here() points to */
};

/* ---- places -------------------------------------------------------------------------------- */

/* The line that is being read, from its byte number `index` on. */
static struct larder__text here(struct reader *reader, size_t index)
{
    reader->piece = (struct larder__piece){0, reader->line_number, (unsigned)index + 1};
    reader->place = (struct larder__place){reader->file, &reader->piece, 1};
    return larder__text_of(reader->line + index, &reader->place);
}

static void name_set(struct larder__ini_name *name, struct larder__text text)
{
    memcpy(name->text, text.start, text.length);
    name->text[text.length] = '\0';
    name->piece = text.place->pieces[0];
    name->place = (struct larder__place){text.place->file, &name->piece, 1};
}

struct larder__text larder__ini_name_text(const struct larder__ini_name *name)
{
    return larder__text_of(name->text, &name->place);
}

struct larder__text larder__ini_value_text(const struct larder__ini_entry *entry)
{
    return (struct larder__text){entry->value, entry->length, 0, &entry->place};
}

static void no_memory(struct reader *reader)
{
    reader->status = larder_fail(reader->message, LARDER_NO_MEMORY, "no memory");
}

/* ---- sections ------------------------------------------------------------------------------ */

static void section_add(struct reader *reader, struct larder__text name)
{
    struct larder__ini_section *section = calloc(1, sizeof(*section));
    if (section == NULL) {
        no_memory(reader);
        return;
    }
    name_set(&section->name, name);
    HASH_ADD_STR(reader->ini->sections, name.text, section);
    if (!larder_hash_added(section)) {
        free(section);
        no_memory(reader);
        return;
    }
    reader->section = section;
    reader->entry = NULL;
}

static void section_read(struct reader *reader)
{
    struct larder__text name = here(reader, 1);
    name.length = strspn(name.start, NAME_BYTES);
    const char *rest = name.start + name.length;
    if (name.length == 0 || *rest != ']') {
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "a section's name is made of letters, digits, _ and -, "
                                        "and closed: [name]");
        return;
    }
    if (name.length > LARDER__NAME_BYTES_MAX) {
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "a section's name of %zu bytes; at most %u", name.length,
                                        LARDER__NAME_BYTES_MAX);
        return;
    }
    if (rest[1] != '\0') {
        reader->status =
            larder__refuse(here(reader, name.length + 2), reader->message, LARDER_BAD_ARGUMENT,
                           "'%s' after [%.*s]; a section's line has nothing else on it", rest + 1,
                           LARDER__QUOTE(name));
        return;
    }
    struct larder__ini_section *before = NULL;
    HASH_FIND(hh, reader->ini->sections, name.start, name.length, before);
    if (before != NULL)
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "[%s] is there a second time; the first is in line %u",
                                        before->name.text, before->name.piece.line);
    else
        section_add(reader, name);
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Makes every blank a space, and cuts comments: a line that begins with ; or #, and what follows a
 * blank and a ;. */
static void tidy(char *line)
{
    for (char *blank = strpbrk(line, BLANKS); blank != NULL; blank = strpbrk(blank + 1, BLANKS))
        *blank = ' ';
    size_t start = strspn(line, " ");
    size_t end = strlen(line);
    if (line[start] == ';' || line[start] == '#')
        end = start;
    for (size_t i = 1; i < end; i++)
        if (line[i] == ';' && line[i - 1] == ' ')
            end = i;
    while (end > 0 && line[end - 1] == ' ')
        end--;
    line[end] = '\0';
}

/* Copies the next line without its end. @return 0 when there is none, or it is refused */
static int line_take(struct reader *reader, size_t room)
{
    if (reader->next == reader->end)
        return 0;
    size_t left = (size_t)(reader->end - reader->next);
    const char *newline = memchr(reader->next, '\n', left);
    size_t length = newline != NULL ? (size_t)(newline - reader->next) : left;
    const char *start = reader->next;
    reader->next += length + (newline != NULL);
    reader->line_number++;
    if (length > 0 && start[length - 1] == '\r')
        length--;
    size_t taken = length < LARDER__LINE_BYTES_MAX ? length : LARDER__LINE_BYTES_MAX;
    memcpy(reader->line, start, taken);
    reader->line[taken] = '\0';
    if (length > LARDER__LINE_BYTES_MAX || length > room || room == 0) {
        reader->status = larder__refuse(here(reader, taken), reader->message, LARDER_BAD_ARGUMENT,
                                        "a line of more than %u bytes; a value may go on in the "
                                        "next line, indented",
                                        LARDER__LINE_BYTES_MAX);
        return 0;
    }
    return 1;
}

/* "name = value" with blanks around the '=': no continuation of anything that we know. */
static int looks_like_value(const char *text)
{
    size_t name = strspn(text, NAME_BYTES);
    size_t blanks = strspn(text + name, " ");
    return name > 0 && blanks > 0 && text[name + blanks] == '=';
}

static void check_indented(struct reader *reader, size_t indent)
{
    const char *text = reader->line + indent;
    if (reader->entry == NULL)
        reader->status = larder__refuse(here(reader, indent), reader->message, LARDER_BAD_ARGUMENT,
                                        "an indented line continues a value, and there is none "
                                        "before; begin at the start of the line");
    else if (text[0] == '[' || looks_like_value(text))
        reader->status = larder__refuse(here(reader, indent), reader->message, LARDER_BAD_ARGUMENT,
                                        "an indented line continues the value of %s; begin at the "
                                        "start of the line",
                                        reader->entry->name.text);
}

static void refuse_if_pending(struct reader *reader)
{
    if (reader->status == LARDER_OK && reader->pending)
        reader->status = larder__refuse(here(reader, 0), reader->message, LARDER_BAD_ARGUMENT,
                                        "neither [section] nor name = value");
}

/* An ini_reader: like fgets(). */
static char *reader_next(char *out, int size, void *stream)
{
    struct reader *reader = stream;
    refuse_if_pending(reader);
    /* size is a global of inih's that the program may have changed. */
    size_t room = size > 3 ? (size_t)size - 3 : 0;
    if (reader->status != LARDER_OK || !line_take(reader, room))
        return NULL;
    if (reader->line_number == 1 && strncmp(reader->line, BYTE_ORDER_MARK, 3) == 0)
        memmove(reader->line, reader->line + 3, strlen(reader->line + 3) + 1);
    tidy(reader->line);
    size_t indent = strspn(reader->line, " ");
    if (reader->line[0] == '[')
        section_read(reader);
    else if (indent > 0)
        check_indented(reader, indent);
    reader->pending = reader->line[0] != '[' && reader->line[indent] != '\0';
    if (reader->status != LARDER_OK)
        return NULL;
    size_t length = strlen(reader->line);
    memcpy(out, reader->line, length);
    memcpy(out + length, "\n", 2);
    return out;
}

/* ---- values -------------------------------------------------------------------------------- */

static int grow(void **block, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return 1;
    size_t larger = wanted * 2;
    void *grown = realloc(*block, larger * size);
    if (grown == NULL)
        return 0;
    *block = grown;
    *capacity = larger;
    return 1;
}

/* @param value  a part of reader->line */
static void value_append(struct reader *reader, const char *value)
{
    struct larder__ini_entry *entry = reader->entry;
    size_t length = strlen(value);
    size_t count = entry->place.piece_count;
    int words = strcmp(reader->section->name.text, LARDER__NAMESPACES_SECTION) == 0;
    int blank = entry->length > 0 && (words || strncmp(value, "--", 2) == 0);
    void *bytes = entry->value;
    void *pieces = entry->pieces;
    int grown = grow(&bytes, &entry->capacity, entry->length + length + 2, 1);
    entry->value = bytes;
    grown = grown && grow(&pieces, &entry->piece_capacity, count + 1, sizeof(struct larder__piece));
    entry->pieces = pieces;
    if (!grown) {
        no_memory(reader);
        return;
    }
    if (blank)
        entry->value[entry->length++] = ' ';
    entry->pieces[count] = (struct larder__piece){entry->length, reader->line_number,
                                                  (unsigned)(value - reader->line) + 1};
    memcpy(entry->value + entry->length, value, length + 1);
    entry->length += length;
    entry->place = (struct larder__place){reader->file, entry->pieces, count + 1};
}

static void entry_free(struct larder__ini_entry *entry)
{
    free(entry->value);
    free(entry->pieces);
    free(entry);
}

static void entry_add(struct reader *reader, struct larder__text name, const char *value)
{
    struct larder__ini_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        no_memory(reader);
        return;
    }
    name_set(&entry->name, name);
    HASH_ADD_STR(reader->section->entries, name.text, entry);
    if (!larder_hash_added(entry)) {
        entry_free(entry);
        no_memory(reader);
        return;
    }
    reader->entry = entry;
    value_append(reader, value);
}

static int is_name(struct larder__text name)
{
    return larder__text_is(name, "*") ||
           (name.length > 0 && name.length <= LARDER__NAME_BYTES_MAX &&
            strspn(name.start, NAME_BYTES) >= name.length);
}

static void entry_read(struct reader *reader, struct larder__text name, const char *value)
{
    struct larder__ini_entry *before = NULL;
    if (reader->section == NULL) {
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "a value before the first section; write [name] above it");
        return;
    }
    if (!is_name(name)) {
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "'%.*s' is no name; names are 1 to %u letters, digits, _ "
                                        "and -",
                                        LARDER__QUOTE(name), LARDER__NAME_BYTES_MAX);
        return;
    }
    HASH_FIND(hh, reader->section->entries, name.start, name.length, before);
    if (before != NULL)
        reader->status = larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                                        "%s is there a second time; the first is in line %u",
                                        before->name.text, before->name.piece.line);
    else
        entry_add(reader, name, value);
}

static void assignment_read(struct reader *reader)
{
    struct larder__text name = here(reader, 0);
    name.length = strcspn(reader->line, "=:");
    const char *value = reader->line + name.length + 1;
    value += strspn(value, " ");
    int colon = reader->line[name.length] == ':';
    while (name.length > 0 && name.start[name.length - 1] == ' ')
        name.length--;
    if (colon)
        reader->status =
            larder__refuse(name, reader->message, LARDER_BAD_ARGUMENT,
                           "a name ends with '='; write %.*s = ...", LARDER__QUOTE(name));
    else
        entry_read(reader, name, value);
}

/* An ini_handler. inih's copies of section and name may be cut, and how it cuts a value depends on
 * its version and globals: ours are used. */
static int value_found(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    size_t indent = strspn(reader->line, " ");
    (void)section;
    (void)name;
    if (reader->status != LARDER_OK || value == NULL)
        return 0; /* still pending: refused with the next line */
    reader->pending = 0;
    if (indent > 0)
        value_append(reader, reader->line + indent);
    else
        assignment_read(reader);
    return reader->status == LARDER_OK;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum larder_status check_no_nul(struct reader *reader, const char *bytes, size_t length)
{
    const char *nul = length > 0 ? memchr(bytes, '\0', length) : NULL;
    if (nul == NULL)
        return LARDER_OK;
    const char *line = bytes;
    for (const char *at = bytes; at < nul; at++)
        if (*at == '\n') {
            reader->line_number++;
            line = at + 1;
        }
    struct larder__piece piece = {0, reader->line_number + 1, (unsigned)(nul - line) + 1};
    struct larder__place place = {reader->file, &piece, 1};
    return larder__refuse(larder__text_of("", &place), reader->message, LARDER_BAD_ARGUMENT,
                          "a NUL byte; a configuration file is text");
}

enum larder_status larder__ini_read(const char *file, const char *bytes, size_t length,
                                    struct larder__ini *ini, const struct larder_message *message)
{
    struct reader reader = {
        .file = file, .next = bytes, .end = bytes + length, .ini = ini, .message = message};
    enum larder_status status = check_no_nul(&reader, bytes, length);
    if (status != LARDER_OK)
        return status;
    int result = ini_parse_stream(reader_next, &reader, value_found, &reader);
    refuse_if_pending(&reader);
    if (reader.status == LARDER_OK && result != 0)
        return larder_fail(message, result == -2 ? LARDER_NO_MEMORY : LARDER_BAD_ARGUMENT,
                           "%s:%d: not understood", file, result);
    return reader.status;
}

void larder__ini_clean_up(struct larder__ini *ini)
{
    struct larder__ini_section *section, *next_section;
    struct larder__ini_entry *entry, *next_entry;
    HASH_ITER(hh, ini->sections, section, next_section)
    {
        HASH_ITER(hh, section->entries, entry, next_entry)
        {
            HASH_DEL(section->entries, entry);
            entry_free(entry);
        }
        HASH_DEL(ini->sections, section);
        free(section);
    }
}

struct larder__ini_section *larder__ini_section(const struct larder__ini *ini, const char *name)
{
    struct larder__ini_section *section = NULL;
    HASH_FIND_STR(ini->sections, name, section);
    return section;
}

struct larder__ini_entry *larder__ini_entry(const struct larder__ini_section *section,
                                            const char *name)
{
    struct larder__ini_entry *entry = NULL;
    HASH_FIND_STR(section->entries, name, entry);
    return entry;
}
