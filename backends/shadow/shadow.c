/* shadow: opening, traits, and the rows that are its own. */
#include "inside.h"

#include <stdlib.h>

#include <larder/util/message.h>
#include <larder/util/random.h>

/* ---- what is copied ------------------------------------------------------------------------ */

static void set_out(struct larder_passage *passage, int reads)
{
    passage->lead = SHADOW_OF;
    passage->follows = 1;
    passage->looks = reads && ((const struct shadow *)passage->pair)->reads;
}

/* By a hash without a secret: all processes choose the same keys. */
static int has(const struct larder_pair *pair, struct larder_slice key)
{
    static const struct larder_hash_key open;
    uint64_t share = ((const struct shadow *)pair)->share;
    return share >= 100 || larder_hash(&open, 0, key.data, key.length) % 100 < share;
}

static const struct larder_pair_kind kind = {
    .set_out = set_out, .has = has, .look = shadow_compare, .only_copies = 1};

/* ---- traits -------------------------------------------------------------------------------- */

/* Those of `of`, which answers; but a call takes as long as both, and may wait for either. */
static void shadow_compose(const struct larder_traits *const *parts, size_t count,
                           struct larder_traits *traits)
{
    const uint64_t both = LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE;
    uint32_t size = traits->size;
    (void)count;
    *traits = *parts[SHADOW_OF];
    traits->size = size;
    traits->promises &= ~both | parts[SHADOW_COPY]->promises;
    traits->timeout_ms += parts[SHADOW_COPY]->timeout_ms;
    larder_traits_pass_namespaces(traits);
}

/* ---- the whole cache ----------------------------------------------------------------------- */

/* Of the copy as well, if it can: else it keeps what `of` has no more. */
static enum larder_status shadow_flush(const struct larder_scope *scope)
{
    struct larder_passage passage;
    enum larder_status status = larder_pair_begin(&passage, scope, NULL, 0, 1);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->flush(&passage.of);
    if (passage.other.ops->flush(&passage.other) != LARDER_OK)
        SHADOW_COUNT((struct shadow *)passage.pair, flushes_failed);
    return status;
}

static void shadow_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct shadow *shadow = scope->self;
#define COUNTER_STAT(name) \
    larder_stat_add(out, #name, atomic_load_explicit(&shadow->name, memory_order_relaxed));
    SHADOW_COUNTER_TABLE(COUNTER_STAT)
#undef COUNTER_STAT
    larder_pair_stats(scope, out);
}

static void shadow_close(void *self)
{
    free(self);
}

static const struct larder_ops shadow_ops = {
    LARDER_PAIR_ROWS,      .name = "shadow",      .flush = shadow_flush,
    .stats = shadow_stats, .close = shadow_close, .compose = shadow_compose,
};

/* ---- opening ------------------------------------------------------------------------------- */

#define LARDER_OPTIONS_STRUCT struct larder_shadow_options
static const struct larder_option shadow_options[] = {
    LARDER_SHADOW_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

static void shadow_init(struct shadow *shadow, const struct larder_host *host,
                        const struct larder_shadow_options *options)
{
    const struct larder_traits *const parts[] = {host->parts[SHADOW_OF].traits,
                                                 host->parts[SHADOW_COPY].traits};
    larder_pair_init(&shadow->pair, &kind, host->parts);
    shadow_compose(parts, LARDER_PAIR_PARTS, &shadow->pair.traits);
    shadow->share = options->share;
    shadow->reads = options->reads != 0;
#define COUNTER_INIT(name) atomic_init(&shadow->name, 0);
    SHADOW_COUNTER_TABLE(COUNTER_INIT)
#undef COUNTER_INIT
}

static enum larder_status shadow_open(const struct larder_host *host, const void *given,
                                      struct larder_message *message, void **self)
{
    if (host->parts[SHADOW_OF].ops == host->parts[SHADOW_COPY].ops) /* each has one of its own */
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "of and copy are the same cache; a shadow is another one");
    struct shadow *shadow = calloc(1, sizeof(*shadow));
    if (shadow == NULL)
        return LARDER_NO_MEMORY;
    shadow_init(shadow, host, given);
    *self = shadow;
    return LARDER_OK;
}

extern const struct larder_backend larder_shadow_backend;
const struct larder_backend larder_shadow_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "shadow",
    .sentence = "a cache, and a copy of its traffic on another one that nobody depends on",
    .ops = &shadow_ops,
    .open = shadow_open,
    .options = shadow_options,
    .option_count = sizeof(shadow_options) / sizeof(shadow_options[0]),
    .options_size = sizeof(struct larder_shadow_options),
};

enum larder_status larder_shadow_open(const struct larder_shadow_options *options,
                                      const struct larder_open_options *open_options,
                                      struct larder_cache **cache, char *message,
                                      size_t message_size)
{
    return larder_open_backend(&larder_shadow_backend, options, open_options, cache, message,
                               message_size);
}
