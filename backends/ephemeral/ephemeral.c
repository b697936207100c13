/* ephemeral: opening, traits, and the rows for the whole cache. */
#include "inside.h"

#include <stdlib.h>

#include <larder/util/lower.h>

/* What `of` can. Where TTLs are cut comes from the options, of which this knows nothing; in a
 * namespace the core takes it from the cache itself. */
static void ephemeral_compose(const struct larder_traits *const *parts, size_t count,
                              struct larder_traits *traits)
{
    uint32_t size = traits->size;
    (void)count;
    *traits = *parts[0];
    traits->size = size;
    larder_traits_pass_namespaces(traits);
}

static const struct larder_traits *ephemeral_traits(const void *self)
{
    return &((const struct ephemeral *)self)->traits;
}

/* ---- the whole cache ----------------------------------------------------------------------- */

static enum larder_status ephemeral_flush(const struct larder_scope *scope)
{
    struct passage passage;
    enum larder_status status = ephemeral_begin(&passage, scope);
    return status == LARDER_OK ? passage.of.ops->flush(&passage.of) : status;
}

static enum larder_status ephemeral_keys(const struct larder_scope *scope,
                                         struct larder_cursor *cursor, void *buffer, size_t size,
                                         struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct passage passage;
    enum larder_status status = ephemeral_begin(&passage, scope);
    return status == LARDER_OK
               ? passage.of.ops->keys(&passage.of, cursor, buffer, size, keys, capacity, count)
               : status;
}

static enum larder_status ephemeral_wire_key(const struct larder_scope *scope,
                                             struct larder_slice key, void *buffer, size_t size,
                                             size_t *length)
{
    struct passage passage;
    enum larder_status status = ephemeral_begin(&passage, scope);
    return status == LARDER_OK ? passage.of.ops->wire_key(&passage.of, key, buffer, size, length)
                               : status;
}

static void ephemeral_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    const struct ephemeral *ephemeral = scope->self;
    larder_parts_stats(scope, ephemeral->parts, 1, out);
}

static enum larder_status ephemeral_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                          uint64_t *next_due_ms)
{
    const struct ephemeral *ephemeral = scope->self;
    return larder_parts_purge(scope, ephemeral->parts, 1, budget_ms, next_due_ms);
}

static enum larder_status ephemeral_acquire(const struct larder_scope *scope,
                                            struct larder_session *session)
{
    const struct ephemeral *ephemeral = scope->self;
    return larder_parts_acquire(scope, ephemeral->parts, 1, session);
}

static void ephemeral_release(const struct larder_scope *scope, struct larder_session *session)
{
    const struct ephemeral *ephemeral = scope->self;
    larder_parts_release(scope, ephemeral->parts, 1, session);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void ephemeral_close(void *self)
{
    free(self);
}

static const struct larder_ops ephemeral_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "ephemeral",
    .read = ephemeral_read,
    .get = ephemeral_get,
    .store = ephemeral_store,
    .remove = ephemeral_remove,
    .touch = ephemeral_touch,
    .get_and_touch = ephemeral_get_and_touch,
    .count = ephemeral_count,
    .lease_get = ephemeral_lease_get,
    .lease_fill = ephemeral_lease_fill,
    .lease_return = ephemeral_lease_return,
    .many = ephemeral_many,
    .flush = ephemeral_flush,
    .keys = ephemeral_keys,
    .stats = ephemeral_stats,
    .purge = ephemeral_purge,
    .wire_key = ephemeral_wire_key,
    .acquire = ephemeral_acquire,
    .release = ephemeral_release,
    .traits = ephemeral_traits,
    .shutdown = larder_gate_shutdown,
    .retire = larder_gate_retire,
    .close = ephemeral_close,
    .compose = ephemeral_compose,
};

#define LARDER_OPTIONS_STRUCT struct larder_ephemeral_options
static const struct larder_option ephemeral_options[] = {
    LARDER_EPHEMERAL_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

static enum larder_status ephemeral_open(const struct larder_host *host, const void *given,
                                         struct larder_message *message, void **self)
{
    const struct larder_ephemeral_options *options = given;
    const struct larder_traits *const parts[] = {host->parts[0].traits};
    struct ephemeral *ephemeral = calloc(1, sizeof(*ephemeral));
    (void)message;
    if (ephemeral == NULL)
        return LARDER_NO_MEMORY;
    ephemeral->parts = host->parts;
    ephemeral->ttl_ms = larder_ttl_max_of((int64_t)options->ttl_ms, parts[0]->ttl_max_ms);
    ephemeral->traits.size = sizeof(ephemeral->traits);
    ephemeral_compose(parts, 1, &ephemeral->traits);
    ephemeral->traits.ttl_max_ms = ephemeral->ttl_ms;
    atomic_init(&ephemeral->gate, LARDER_GATE_OPEN);
    *self = ephemeral;
    return LARDER_OK;
}

extern const struct larder_backend larder_ephemeral_backend;
const struct larder_backend larder_ephemeral_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "ephemeral",
    .sentence = "a cache on which nothing lives longer than a given time",
    .ops = &ephemeral_ops,
    .open = ephemeral_open,
    .options = ephemeral_options,
    .option_count = sizeof(ephemeral_options) / sizeof(ephemeral_options[0]),
    .options_size = sizeof(struct larder_ephemeral_options),
};

enum larder_status larder_ephemeral_open(const struct larder_ephemeral_options *options,
                                         const struct larder_open_options *open_options,
                                         struct larder_cache **cache, char *message,
                                         size_t message_size)
{
    return larder_open_backend(&larder_ephemeral_backend, options, open_options, cache, message,
                               message_size);
}
