/* gutter: opening, traits, and the rows for the whole cache. */
#include "gutter.h"

#include <stdlib.h>

#include <larder/util/lower.h>
#include <larder/util/message.h>

/* ---- traits -------------------------------------------------------------------------------- */

/* What only `of` is asked for. */
#define OF_ALONE                                                                               \
    (LARDER_CAN_CAS | LARDER_CAN_DELETE_VERSION | LARDER_CAN_STORE_VERSION | LARDER_CAN_KEYS | \
     LARDER_CAN_WIRE_KEY)

static void gutter_compose(const struct larder_traits *const *parts, size_t count,
                           struct larder_traits *traits)
{
    const struct larder_traits *of = parts[GUTTER_OF], *spare = parts[GUTTER_SPARE];
    (void)count;
    larder_traits_join(of, spare, OF_ALONE, traits);
    traits->promises |= of->promises & LARDER_OLD_TOKENS_CONFLICT;
    traits->ttl_max_ms = of->ttl_max_ms;
}

static const struct larder_traits *gutter_traits(const void *self)
{
    return &((const struct gutter *)self)->traits;
}

/* ---- the whole cache ----------------------------------------------------------------------- */

static enum larder_status gutter_flush(const struct larder_scope *scope)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    return status == LARDER_OK ? larder_parts_flush(scope, passage.gutter->parts, GUTTER_PARTS)
                               : status;
}

static enum larder_status gutter_keys(const struct larder_scope *scope,
                                      struct larder_cursor *cursor, void *buffer, size_t size,
                                      struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    return status == LARDER_OK
               ? passage.of.ops->keys(&passage.of, cursor, buffer, size, keys, capacity, count)
               : status;
}

static enum larder_status gutter_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                          void *buffer, size_t size, size_t *length)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    return status == LARDER_OK ? passage.of.ops->wire_key(&passage.of, key, buffer, size, length)
                               : status;
}

static void gutter_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct gutter *gutter = scope->self;
#define COUNTER_STAT(name) \
    larder_stat_add(out, #name, atomic_load_explicit(&gutter->counters.name, memory_order_relaxed));
    GUTTER_COUNTER_TABLE(COUNTER_STAT)
#undef COUNTER_STAT
    larder_parts_stats(scope, gutter->parts, GUTTER_PARTS, out);
}

static enum larder_status gutter_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                       uint64_t *next_due_ms)
{
    const struct gutter *gutter = scope->self;
    return larder_parts_purge(scope, gutter->parts, GUTTER_PARTS, budget_ms, next_due_ms);
}

static enum larder_status gutter_acquire(const struct larder_scope *scope,
                                         struct larder_session *session)
{
    const struct gutter *gutter = scope->self;
    return larder_parts_acquire(scope, gutter->parts, GUTTER_PARTS, session);
}

static void gutter_release(const struct larder_scope *scope, struct larder_session *session)
{
    const struct gutter *gutter = scope->self;
    larder_parts_release(scope, gutter->parts, GUTTER_PARTS, session);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void gutter_close(void *self)
{
    struct gutter *gutter = self;
    gutter_spare_release(gutter->spare);
    free(gutter);
}

static const struct larder_ops gutter_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "gutter",
    .read = gutter_read,
    .get = gutter_get,
    .store = gutter_store,
    .remove = gutter_remove,
    .touch = gutter_touch,
    .get_and_touch = gutter_get_and_touch,
    .count = gutter_count,
    .lease_get = gutter_lease_get,
    .lease_fill = gutter_lease_fill,
    .lease_return = gutter_lease_return,
    .many = gutter_many,
    .flush = gutter_flush,
    .keys = gutter_keys,
    .stats = gutter_stats,
    .purge = gutter_purge,
    .wire_key = gutter_wire_key,
    .acquire = gutter_acquire,
    .release = gutter_release,
    .traits = gutter_traits,
    .shutdown = larder_gate_shutdown,
    .retire = larder_gate_retire,
    .close = gutter_close,
    .compose = gutter_compose,
};

#define LARDER_OPTIONS_STRUCT struct larder_gutter_options
static const struct larder_option gutter_options[] = {
    LARDER_GUTTER_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

static void gutter_init(struct gutter *gutter, const struct larder_host *host,
                        const struct larder_gutter_options *options)
{
    const struct larder_traits *const parts[] = {host->parts[GUTTER_OF].traits,
                                                 host->parts[GUTTER_SPARE].traits};
    const struct larder_traits *spare = parts[GUTTER_SPARE];
    gutter->parts = host->parts;
    gutter->clock = host->clock;
    gutter->ttl_ms = larder_ttl_lowered((int64_t)options->ttl_ms, spare->ttl_max_ms);
    gutter->linger_ms = (uint64_t)gutter->ttl_ms + spare->ttl_late_ms + spare->ttl_step_ms;
    gutter->of_ms = parts[GUTTER_OF]->timeout_ms;
    gutter->all_ms = gutter->of_ms + spare->timeout_ms;
    gutter->traits.size = sizeof(gutter->traits);
    gutter_compose(parts, GUTTER_PARTS, &gutter->traits);
    gutter->waits = (gutter->traits.promises & LARDER_NEVER_BLOCKS) == 0;
    atomic_init(&gutter->gate, LARDER_GATE_OPEN);
}

static enum larder_status gutter_succeed(const struct larder_host *host, const void *given,
                                         void *predecessor, struct larder_message *message,
                                         void **self)
{
    const struct gutter *before = predecessor;
    const struct larder_part *parts = host->parts;
    if (parts[GUTTER_OF].ops == parts[GUTTER_SPARE].ops) /* each cache has a table of its own */
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "of and spare are the same cache; a spare is another one");
    struct gutter *gutter = calloc(1, sizeof(*gutter));
    if (gutter == NULL)
        return LARDER_NO_MEMORY;
    gutter_init(gutter, host, given);
    int same_spare = before != NULL && before->parts[GUTTER_SPARE].ops == parts[GUTTER_SPARE].ops;
    gutter->spare = same_spare ? gutter_spare_share(before->spare) : gutter_spare_new();
    if (gutter->spare == NULL) {
        free(gutter);
        return LARDER_NO_MEMORY;
    }
    *self = gutter;
    return LARDER_OK;
}

static enum larder_status gutter_open(const struct larder_host *host, const void *given,
                                      struct larder_message *message, void **self)
{
    return gutter_succeed(host, given, NULL, message, self);
}

extern const struct larder_backend larder_gutter_backend;
const struct larder_backend larder_gutter_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "gutter",
    .sentence = "a cache, and a spare that stands in for it for a while when it is down",
    .ops = &gutter_ops,
    .open = gutter_open,
    .options = gutter_options,
    .option_count = sizeof(gutter_options) / sizeof(gutter_options[0]),
    .options_size = sizeof(struct larder_gutter_options),
    .succeed = gutter_succeed,
};

enum larder_status larder_gutter_open(const struct larder_gutter_options *options,
                                      const struct larder_open_options *open_options,
                                      struct larder_cache **cache, char *message,
                                      size_t message_size)
{
    return larder_open_backend(&larder_gutter_backend, options, open_options, cache, message,
                               message_size);
}
