/* hot: opening, traits, and the rows for the whole cache. */
#include "inside.h"

#include <stdlib.h>

#include <larder/util/message.h>

/* ---- traits -------------------------------------------------------------------------------- */

#define BOTH_PROMISE (LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE)

/* A copy ends with its entry where the TTL left can be read with the value. */
static int knows_ends(const struct larder_traits *of)
{
    return (of->can & LARDER_CAN_READ_TTL) != 0;
}

static void hot_compose(const struct larder_traits *const *parts, size_t count,
                        struct larder_traits *traits)
{
    const struct larder_traits *of = parts[HOT_OF], *copies = parts[HOT_COPIES];
    uint32_t size = traits->size;
    (void)count;
    *traits = *of;
    traits->size = size;
    traits->can |= LARDER_CAN_NAMESPACES; /* where a part doesn't, the core does */
    traits->steps &= ~(uint64_t)LARDER_CAN_NAMESPACES;
    if (traits->consistency > LARDER_OWN_WRITES)
        traits->consistency = LARDER_OWN_WRITES;
    traits->promises &= copies->promises | ~(uint64_t)BOTH_PROMISE;
    traits->promises |= copies->promises & LARDER_POOLED;
    /* What is not acknowledged may land when its copy has long been dropped. */
    traits->options &= ~(uint64_t)LARDER_TAKES_NO_REPLY;
    if (!knows_ends(of))
        traits->ttl_late_ms += LARDER_HOT_LIFE_MS_MAX;
}

static const struct larder_traits *hot_traits(const void *self)
{
    return &((const struct hot *)self)->traits;
}

const struct larder_traits *hot_part_traits(const struct passage *passage, size_t part)
{
    const struct larder_part *parts = passage->hot->parts;
    return passage->scope->space != NULL ? parts[part].space_traits : parts[part].traits;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* The options of a call are about `of`. */
enum larder_status hot_begin(struct passage *passage, const struct larder_scope *scope)
{
    struct hot *hot = scope->self;
    if (larder_gate_enter(&hot->gate, scope) != LARDER_OK)
        return LARDER_CLOSED;
    passage->hot = hot;
    passage->scope = scope;
    passage->of = larder_part_scope(scope, hot->parts, HOT_OF);
    passage->copies = larder_part_scope(scope, hot->parts, HOT_COPIES);
    passage->copies.call = NULL;
    passage->copies.flags = passage->copies.server = 0;
    passage->slot = NULL;
    passage->office_ns = 0;
    return LARDER_OK;
}

static enum larder_status hot_keys(const struct larder_scope *scope, struct larder_cursor *cursor,
                                   void *buffer, size_t size, struct larder_slice *keys,
                                   size_t capacity, size_t *count)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    return status == LARDER_OK
               ? passage.of.ops->keys(&passage.of, cursor, buffer, size, keys, capacity, count)
               : status;
}

static enum larder_status hot_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                       void *buffer, size_t size, size_t *length)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    return status == LARDER_OK ? passage.of.ops->wire_key(&passage.of, key, buffer, size, length)
                               : status;
}

static void hot_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    const struct hot *hot = scope->self;
#define FIGURE_STAT(name) larder_stat_add(out, #name, hot_figure(hot->table, HOT_##name));
    HOT_FIGURE_TABLE(FIGURE_STAT)
#undef FIGURE_STAT
    larder_parts_stats(scope, hot->parts, HOT_PARTS, out);
}

static enum larder_status hot_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                    uint64_t *next_due_ms)
{
    const struct hot *hot = scope->self;
    return larder_parts_purge(scope, hot->parts, HOT_PARTS, budget_ms, next_due_ms);
}

static enum larder_status hot_acquire(const struct larder_scope *scope,
                                      struct larder_session *session)
{
    const struct hot *hot = scope->self;
    return larder_parts_acquire(scope, hot->parts, HOT_PARTS, session);
}

static void hot_release(const struct larder_scope *scope, struct larder_session *session)
{
    const struct hot *hot = scope->self;
    larder_parts_release(scope, hot->parts, HOT_PARTS, session);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void hot_close(void *self)
{
    struct hot *hot = self;
    hot_prefixes_free(&hot->prefixes);
    hot_table_release(hot->table);
    free(hot);
}

static const struct larder_ops hot_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "hot",
    .read = hot_read,
    .get = hot_get,
    .store = hot_store,
    .remove = hot_remove,
    .touch = hot_touch,
    .get_and_touch = hot_get_and_touch,
    .count = hot_count_up_or_down,
    .lease_get = hot_lease_get,
    .lease_fill = hot_lease_fill,
    .lease_return = hot_lease_return,
    .many = hot_many,
    .flush = hot_flush,
    .keys = hot_keys,
    .stats = hot_stats,
    .purge = hot_purge,
    .wire_key = hot_wire_key,
    .acquire = hot_acquire,
    .release = hot_release,
    .traits = hot_traits,
    .shutdown = larder_gate_shutdown,
    .retire = larder_gate_retire,
    .close = hot_close,
    .compose = hot_compose,
};

#define LARDER_OPTIONS_STRUCT struct larder_hot_options
static const struct larder_option hot_options[] = {LARDER_HOT_OPTIONS_TABLE(
    LARDER_NUMBER_ROW, LARDER_TEXT_ROW, LARDER_CACHE_ROW, LARDER_OPENED_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

static enum larder_status check_parts(const struct larder_part *parts,
                                      const struct larder_message *message)
{
    if (parts[HOT_OF].ops == parts[HOT_COPIES].ops) /* each cache has a table of its own */
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "of and copies are the same cache; copies have one of their own");
    if ((parts[HOT_COPIES].traits->promises & LARDER_SHARED) != 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "copies: other processes share this cache; name one of this process, as "
                           "memory: is");
    return LARDER_OK;
}

static void hot_init(struct hot *hot, const struct larder_host *host,
                     const struct larder_hot_options *options)
{
    const struct larder_traits *const parts[] = {host->parts[HOT_OF].traits,
                                                 host->parts[HOT_COPIES].traits};
    hot->parts = host->parts;
    hot->clock = host->clock;
    hot->identity = larder_random();
    hot->one_in = options->one_in;
    hot->life_ms = options->life_ms;
    hot->fresh_ms = options->fresh_ms;
    hot->reelect_ms = options->reelect_ms;
    hot->recent_ms = options->recent_ms;
    hot->traits.size = sizeof(hot->traits);
    hot_compose(parts, HOT_PARTS, &hot->traits);
    if (!knows_ends(parts[HOT_OF]))
        hot->traits.ttl_late_ms = parts[HOT_OF]->ttl_late_ms + (uint32_t)hot->life_ms;
    atomic_init(&hot->gate, LARDER_GATE_OPEN);
}

static enum larder_status hot_succeed(const struct larder_host *host, const void *given,
                                      void *predecessor, struct larder_message *message,
                                      void **self)
{
    const struct hot *before = predecessor;
    const struct larder_hot_options *options = given;
    enum larder_status status = check_parts(host->parts, message);
    if (status != LARDER_OK)
        return status;
    struct hot *hot = calloc(1, sizeof(*hot));
    if (hot == NULL)
        return LARDER_NO_MEMORY;
    hot_init(hot, host, options);
    status = hot_prefixes_read(options->prefixes, &hot->prefixes, message);
    if (status != LARDER_OK)
        goto free_hot;
    hot->table = before != NULL ? hot_table_share(before->table) : hot_table_new(options->seed);
    if (hot->table != NULL) {
        *self = hot;
        return LARDER_OK;
    }
    status = LARDER_NO_MEMORY;
    hot_prefixes_free(&hot->prefixes);
free_hot:
    free(hot);
    return status;
}

static enum larder_status hot_open(const struct larder_host *host, const void *given,
                                   struct larder_message *message, void **self)
{
    return hot_succeed(host, given, NULL, message, self);
}

extern const struct larder_backend larder_hot_backend;
const struct larder_backend larder_hot_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "hot",
    .sentence = "a cache whose hottest entries are copied into this process",
    .ops = &hot_ops,
    .open = hot_open,
    .options = hot_options,
    .option_count = sizeof(hot_options) / sizeof(hot_options[0]),
    .options_size = sizeof(struct larder_hot_options),
    .succeed = hot_succeed,
};

enum larder_status larder_hot_open(const struct larder_hot_options *options,
                                   const struct larder_open_options *open_options,
                                   struct larder_cache **cache, char *message, size_t message_size)
{
    return larder_open_backend(&larder_hot_backend, options, open_options, cache, message,
                               message_size);
}
