/* migration: opening, modes, traits, and the rows that are its own. */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/message.h>
#include <larder/util/random.h>

/* ---- modes --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum larder_migration_mode mode;
    unsigned percent; /* of reads that are populated */
} modes[] = {
#define MODE_ROW(name, number, text, percent) {#text, LARDER_MIGRATION_##name, percent},
    LARDER_MIGRATION_MODE_TABLE(MODE_ROW)
#undef MODE_ROW
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static enum larder_migration_mode mode_of(const struct migration *migration)
{
    return (enum larder_migration_mode)atomic_load_explicit(&migration->mode, memory_order_relaxed);
}

static unsigned percent_of(enum larder_migration_mode mode)
{
    for (size_t i = 0; i < MODES; i++)
        if (modes[i].mode == mode)
            return modes[i].percent;
    return 0;
}

/* Of a hundred reads `percent` on the average, by their number. That is hashed, so that a program
 * which reads the same keys in turn does not have the same one populated each time. */
static int is_drawn(struct migration *migration, unsigned percent)
{
    static const struct larder_hash_key key;
    if (percent == 0)
        return 0;
    uint64_t number = atomic_fetch_add_explicit(&migration->reads, 1, memory_order_relaxed);
    return larder_hash(&key, 0, &number, sizeof(number)) % 100 < percent;
}

static void set_out(struct larder_passage *passage, int reads)
{
    struct migration *migration = (struct migration *)passage->pair;
    enum larder_migration_mode mode = mode_of(migration);
    passage->lead = mode >= LARDER_MIGRATION_USE_TO_UPDATE_FROM ? MIGRATION_TO : MIGRATION_FROM;
    passage->follows = mode != LARDER_MIGRATION_ONLY_FROM && mode != LARDER_MIGRATION_ONLY_TO;
    passage->looks = reads && larder_can(&migration->pair.traits, LARDER_CAN_ADD) &&
                     is_drawn(migration, percent_of(mode));
}

static const struct larder_pair_kind kind = {.set_out = set_out, .look = migration_populate};

/* ---- traits -------------------------------------------------------------------------------- */

/* The same in every mode, so that none takes an operation away. A write that is not acknowledged
 * has no result to put into the other side. */
static void migration_compose(const struct larder_traits *const *parts, size_t count,
                              struct larder_traits *traits)
{
    (void)count;
    larder_traits_join(parts[MIGRATION_FROM], parts[MIGRATION_TO], 0, traits);
    traits->options &= ~(uint64_t)LARDER_TAKES_NO_REPLY;
}

/* ---- the whole cache ----------------------------------------------------------------------- */

static enum larder_status migration_flush(const struct larder_scope *scope)
{
    struct larder_passage passage;
    enum larder_status status = larder_pair_begin(&passage, scope, NULL, 0, 1);
    if (status != LARDER_OK)
        return status;
    return passage.follows ? larder_parts_flush(scope, passage.pair->parts, LARDER_PAIR_PARTS)
                           : passage.of.ops->flush(&passage.of);
}

static void migration_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct migration *migration = scope->self;
    larder_stat_add(out, "mode", mode_of(migration));
    larder_stat_add(out, "populated",
                    atomic_load_explicit(&migration->populated, memory_order_relaxed));
    larder_stat_add(out, "populated_undone",
                    atomic_load_explicit(&migration->undone, memory_order_relaxed));
    larder_pair_stats(scope, out);
}

static void migration_close(void *self)
{
    free(self);
}

static const struct larder_ops migration_ops = {
    LARDER_PAIR_ROWS,         .name = "migration",      .flush = migration_flush,
    .stats = migration_stats, .close = migration_close, .compose = migration_compose,
};

/* ---- opening ------------------------------------------------------------------------------- */

#define LARDER_OPTIONS_STRUCT struct larder_migration_options
static const struct larder_option migration_options[] = {
    LARDER_MIGRATION_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW, LARDER_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

/* The core has checked that it is one. */
static enum larder_migration_mode mode_named(const char *name)
{
    for (size_t i = 0; i < MODES; i++)
        if (strcmp(modes[i].name, name) == 0)
            return modes[i].mode;
    return LARDER_MIGRATION_ONLY_FROM;
}

static void migration_init(struct migration *migration, const struct larder_host *host,
                           const struct larder_migration_options *options)
{
    const struct larder_traits *const parts[] = {host->parts[MIGRATION_FROM].traits,
                                                 host->parts[MIGRATION_TO].traits};
    larder_pair_init(&migration->pair, &kind, host->parts);
    migration_compose(parts, LARDER_PAIR_PARTS, &migration->pair.traits);
    migration->populate_ttl_ms = (int64_t)options->populate_ttl_ms;
    atomic_init(&migration->mode, (int)mode_named(options->mode));
    atomic_init(&migration->reads, 0);
    atomic_init(&migration->populated, 0);
    atomic_init(&migration->undone, 0);
}

static enum larder_status migration_open(const struct larder_host *host, const void *given,
                                         struct larder_message *message, void **self)
{
    const struct larder_part *parts = host->parts;
    if (parts[MIGRATION_FROM].ops == parts[MIGRATION_TO].ops) /* each cache has one of its own */
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "from and to are the same cache; there is nothing to migrate");
    struct migration *migration = calloc(1, sizeof(*migration));
    if (migration == NULL)
        return LARDER_NO_MEMORY;
    migration_init(migration, host, given);
    *self = migration;
    return LARDER_OK;
}

extern const struct larder_backend larder_migration_backend;
const struct larder_backend larder_migration_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "migration",
    .sentence = "moves a keyspace from one cache to another while it is used",
    .ops = &migration_ops,
    .open = migration_open,
    .options = migration_options,
    .option_count = sizeof(migration_options) / sizeof(migration_options[0]),
    .options_size = sizeof(struct larder_migration_options),
};

enum larder_status larder_migration_open(const struct larder_migration_options *options,
                                         const struct larder_open_options *open_options,
                                         struct larder_cache **cache, char *message,
                                         size_t message_size)
{
    return larder_open_backend(&larder_migration_backend, options, open_options, cache, message,
                               message_size);
}

enum larder_status larder_migration_set_mode(struct larder_cache *cache,
                                             enum larder_migration_mode mode)
{
    void *self;
    if (mode < LARDER_MIGRATION_ONLY_FROM || mode > LARDER_MIGRATION_ONLY_TO)
        return LARDER_BAD_ARGUMENT;
    enum larder_status status = larder_backend_object(cache, &larder_migration_backend, &self);
    if (status == LARDER_OK)
        atomic_store_explicit(&((struct migration *)self)->mode, (int)mode, memory_order_relaxed);
    return status;
}
