/* Reading stanzas. The values of a stanza lie behind each other in one buffer, so a folded line is
 * simply appended to the last one. */
#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void trim_end(char *line, size_t *length)
{
    while (*length > 0 && strchr(" \t\r\n", line[*length - 1]) != NULL)
        (*length)--;
    line[*length] = '\0';
}

static void fold(struct stanza *stanza, const char *line)
{
    if (stanza->count == 0)
        return;
    stanza->bytes.length--; /* the terminator of the value so far */
    text_put(&stanza->bytes, "\n");
    text_add(&stanza->bytes, line + 1, strlen(line + 1) + 1);
}

static void begin_field(struct stanza *stanza, char *line)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || stanza->count == STANZA_FIELDS_MAX)
        return;
    *colon = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    stanza->fields[stanza->count].name = stanza->bytes.length;
    text_add(&stanza->bytes, line, strlen(line) + 1);
    stanza->fields[stanza->count].value = stanza->bytes.length;
    text_add(&stanza->bytes, value, strlen(value) + 1);
    stanza->count++;
}

bool stanza_read(struct stanza *stanza, FILE *file)
{
    text_clear(&stanza->bytes);
    stanza->count = 0;
    ssize_t read;
    while ((read = getline(&stanza->line, &stanza->line_size, file)) >= 0) {
        size_t length = (size_t)read;
        trim_end(stanza->line, &length);
        if (length == 0 && stanza->count > 0)
            return true;
        if (stanza->bytes.length + length > STANZA_BYTES_MAX)
            stanza->bytes.failed = true;
        if (stanza->bytes.failed)
            return false;
        if (stanza->line[0] == ' ' || stanza->line[0] == '\t')
            fold(stanza, stanza->line);
        else
            begin_field(stanza, stanza->line);
    }
    return stanza->count > 0;
}

const char *stanza_get(const struct stanza *stanza, const char *name)
{
    for (size_t i = 0; i < stanza->count; i++)
        if (strcasecmp(stanza->bytes.data + stanza->fields[i].name, name) == 0)
            return stanza->bytes.data + stanza->fields[i].value;
    return NULL;
}

void stanza_free(struct stanza *stanza)
{
    text_free(&stanza->bytes);
    free(stanza->line);
}
