#include "match.h"

#include <stdlib.h>
#include <string.h>

static int starts_with(struct larder_slice bytes, struct larder_slice start)
{
    return bytes.length >= start.length &&
           (start.length == 0 || memcmp(bytes.data, start.data, start.length) == 0);
}

static int is_same(struct larder_slice left, struct larder_slice right)
{
    return left.length == right.length && starts_with(left, right);
}

int larder__match(const struct larder_match *match, const struct larder_observed *call)
{
    if (match == NULL)
        return 1;
    return (match->operations == 0 || (match->operations & 1u << call->operation) != 0) &&
           (match->forms == 0 || (match->forms & call->form) != 0) &&
           (match->status == LARDER_ANY_STATUS || match->status == call->status) &&
           (match->key.length == 0 || is_same(call->key, match->key)) &&
           starts_with(call->key, match->key_prefix) &&
           (match->name_space == NULL || is_same(call->name_space, larder_text(match->name_space)));
}

int larder__match_by_key(const struct larder_match *match)
{
    return match != NULL &&
           (match->key.length > 0 || match->key_prefix.length > 0 || match->name_space != NULL);
}

/* Moves the bytes of a slice to `*free_bytes`. */
static struct larder_slice keep(struct larder_slice bytes, char **free_bytes)
{
    char *kept = *free_bytes;
    if (bytes.length > 0)
        memcpy(kept, bytes.data, bytes.length);
    *free_bytes += bytes.length;
    return larder_bytes(kept, bytes.length);
}

enum larder_status larder__match_copy(const struct larder_match *given, struct larder_match *match,
                                      void **texts)
{
    struct larder_slice name = larder_text(given->name_space);
    if (given->size != sizeof(*given) || given->key.length > LARDER_KEY_BYTES_MAX ||
        given->key_prefix.length > LARDER_KEY_BYTES_MAX || name.length > LARDER_NAMESPACE_BYTES_MAX)
        return LARDER_BAD_ARGUMENT;
    char *bytes = calloc(1, given->key.length + given->key_prefix.length + name.length + 1);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    *texts = bytes;
    *match = *given;
    match->key = keep(given->key, &bytes);
    match->key_prefix = keep(given->key_prefix, &bytes);
    if (given->name_space != NULL)
        match->name_space = keep(name, &bytes).data;
    return LARDER_OK;
}
