/* The list of metadata that a keyspace declares. */
#include "metadata.h"

#include <stdio.h>
#include <string.h>

#include <larder/util/message.h>

static const struct {
    const char *text;
    uint32_t bit;
    int done;
} table[] = {
#define METADATA_ROW(name, bit, text, done) {text, 1u << bit, done},
    METADATA_TABLE(METADATA_ROW)
#undef METADATA_ROW
};
#define ROWS (sizeof(table) / sizeof(table[0]))

#define WORD_BYTES 32

/* Those that there is an implementation of. */
static size_t write_done(char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < ROWS && length < size; i++)
        if (table[i].done)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "",
                                       table[i].text);
    return length;
}

void larder__metadata_range(char *text, size_t size)
{
    size_t length = write_done(text, size);
    if (length < size)
        snprintf(text + length, size - length, "; several with commas between");
}

static size_t row_of(const char *word, size_t length)
{
    size_t i = 0;
    while (i < ROWS &&
           (strlen(table[i].text) != length || memcmp(table[i].text, word, length) != 0))
        i++;
    return i;
}

static enum larder_status refuse_word(const char *name, const char *word, size_t length,
                                      const struct larder_message *why)
{
    const char *names[ROWS];
    char shown[WORD_BYTES], range[128];
    for (size_t i = 0; i < ROWS; i++)
        names[i] = table[i].text;
    snprintf(shown, sizeof(shown), "%.*s", length < 24 ? (int)length : 24, word);
    larder__metadata_range(range, sizeof(range));
    const char *nearest = larder_nearest(shown, names, ROWS);
    return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: '%s' is no metadata%s%s%s; write %s", name,
                       shown, nearest != NULL ? " (did you mean " : "",
                       nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "", range);
}

static enum larder_status take_word(const char *name, const char *word, size_t length,
                                    uint32_t *metadata, const struct larder_message *why)
{
    char done[64];
    size_t row = row_of(word, length);
    if (row == ROWS)
        return refuse_word(name, word, length, why);
    write_done(done, sizeof(done));
    if (!table[row].done)
        return larder_fail(why, LARDER_UNSUPPORTED,
                           "%s: this larder can't keep %s yet; what it can keep is %s", name,
                           table[row].text, done);
    if ((*metadata & table[row].bit) != 0)
        return larder_fail(why, LARDER_BAD_ARGUMENT, "%s: %s is there twice; once is right", name,
                           table[row].text);
    *metadata |= table[row].bit;
    return LARDER_OK;
}

enum larder_status larder__metadata_read(const char *name, const char *text, uint32_t *metadata,
                                         const struct larder_message *why)
{
    enum larder_status status = LARDER_OK;
    *metadata = 0;
    while (text != NULL && status == LARDER_OK) {
        size_t length = strcspn(text, ",");
        status = take_word(name, text, length, metadata, why);
        text = text[length] == ',' ? text + length + 1 : NULL;
    }
    return status;
}

uint32_t larder__metadata_declared(const struct larder_backend *backend, const void *complete)
{
    uint32_t metadata = 0;
    for (size_t i = 0; i < backend->option_count; i++)
        if (backend->options[i].type == LARDER_OPTION_METADATA) {
            const char *text;
            memcpy(&text, (const char *)complete + backend->options[i].offset, sizeof(text));
            (void)larder__metadata_read("metadata", text, &metadata, NULL); /* checked before */
        }
    return metadata;
}
