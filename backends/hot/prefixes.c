/* Which keys are copied at all. */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>

static size_t commas_in(const char *text)
{
    size_t count = 0;
    while ((text = strchr(text, ',')) != NULL) {
        count++;
        text++;
    }
    return count;
}

/* The list and what it points to are one block. */
static int list_allocate(struct prefixes *prefixes, const char *text)
{
    size_t bytes = prefixes->count * sizeof(*prefixes->list), length = strlen(text) + 1;
    prefixes->list = malloc(bytes + length);
    if (prefixes->list == NULL)
        return 0;
    memcpy((char *)prefixes->list + bytes, text, length);
    return 1;
}

static enum larder_status list_fill(struct prefixes *prefixes, const struct larder_message *message)
{
    const char *at = (const char *)(prefixes->list + prefixes->count);
    for (size_t i = 0; i < prefixes->count; i++) {
        prefixes->list[i] = larder_bytes(at, strcspn(at, ","));
        if (prefixes->list[i].length == 0)
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "prefixes: one of no bytes; write them as in user:,page:");
        at += prefixes->list[i].length + 1;
    }
    return LARDER_OK;
}

enum larder_status hot_prefixes_read(const char *text, struct prefixes *prefixes,
                                     const struct larder_message *message)
{
    memset(prefixes, 0, sizeof(*prefixes));
    if (text == NULL)
        return LARDER_OK;
    prefixes->count = commas_in(text) + 1;
    if (prefixes->count > LARDER_HOT_PREFIXES_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "prefixes: at most %d",
                           LARDER_HOT_PREFIXES_MAX);
    if (!list_allocate(prefixes, text))
        return LARDER_NO_MEMORY;
    enum larder_status status = list_fill(prefixes, message);
    if (status != LARDER_OK)
        hot_prefixes_free(prefixes);
    return status;
}

void hot_prefixes_free(struct prefixes *prefixes)
{
    free(prefixes->list);
    prefixes->list = NULL;
}

int hot_prefixes_match(const struct prefixes *prefixes, struct larder_slice key)
{
    for (size_t i = 0; i < prefixes->count; i++)
        if (key.length >= prefixes->list[i].length &&
            memcmp(key.data, prefixes->list[i].data, prefixes->list[i].length) == 0)
            return 1;
    return prefixes->count == 0;
}
