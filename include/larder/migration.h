/*
 * migration: moves a keyspace from one cache to another while it is used, step by step, each of
 * which can be taken back.
 *
 *     [old]                                    [front]
 *     uri = memcached://10.0.0.1,10.0.0.2/     uri = migration:?from=@old&to=@new&mode=only_from
 *     [new]                                    [namespaces]
 *     uri = meta://10.0.1.1,10.0.1.2/          main = @front
 *
 * The modes, in the order in which they are gone through:
 *
 *     only_from                   everything goes to `from`; `to` is not asked
 *     populate_writes             `from` answers; what is written there goes to `to` as well
 *     populate_reads_1_percent    the same, and of the reads that `from` answers with a value, 1 %
 *                                 are added to `to` with the TTL left, where it has none
 *     populate_reads_10_percent   the same with 10 %
 *     use_to_update_from          `to` answers; what is written there goes to `from` as well, so
 *                                 that the way back is open
 *     only_to                     everything goes to `to`; `from` is not asked
 *
 * Whoever answers decides: versions, leases, counters and keys are that side's. The other one gets
 * the result of a write (larder/util/pair.h has the table): a set with the same TTL, a delete, a
 * touch; after incr, append and the like a delete, since the result or its TTL is not known. So
 * counters begin anew on the other side.
 *
 * docs/migration.md has a table of what is asked when, how to switch, and what is not promised.
 */
#ifndef LARDER_MIGRATION_H
#define LARDER_MIGRATION_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ROW(name, number, text, percent of reads that are populated) */
#define LARDER_MIGRATION_MODE_TABLE(ROW)                             \
    ROW(ONLY_FROM, 1, only_from, 0)                                  \
    ROW(POPULATE_WRITES, 2, populate_writes, 0)                      \
    ROW(POPULATE_READS_1_PERCENT, 3, populate_reads_1_percent, 1)    \
    ROW(POPULATE_READS_10_PERCENT, 4, populate_reads_10_percent, 10) \
    ROW(USE_TO_UPDATE_FROM, 5, use_to_update_from, 0)                \
    ROW(ONLY_TO, 6, only_to, 0)

enum larder_migration_mode {
#define LARDER_MIGRATION_MODE_ROW(name, number, text, percent) LARDER_MIGRATION_##name = number,
    LARDER_MIGRATION_MODE_TABLE(LARDER_MIGRATION_MODE_ROW)
#undef LARDER_MIGRATION_MODE_ROW
};

#define LARDER_MIGRATION_OPTIONS_TABLE(NUMBER, STRING, CACHE)                              \
    CACHE(from, from, 1, "the cache that is used so far")                                  \
    CACHE(to, to, 1, "the cache that is to be used")                                       \
    STRING(TEXT, mode, mode, "only_from",                                                  \
           "only_from|populate_writes|populate_reads_1_percent|populate_reads_10_percent|" \
           "use_to_update_from|only_to",                                                   \
           "which one answers, and what the other one gets")                               \
    NUMBER(DURATION, populate_ttl, populate_ttl_ms, 3600000, 1, 2592000000,                \
           "the TTL of a read that is populated, where `from` can't tell how much is left")

/** On OK the new cache holds `from` and `to`, as with larder_gutter_open(). */
struct larder_migration_options {
    size_t struct_size;
    LARDER_MIGRATION_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD, LARDER_CACHE_FIELD)
};
/* clang-format off */
#define LARDER_MIGRATION_OPTIONS_INIT \
    { sizeof(struct larder_migration_options) \
      LARDER_MIGRATION_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT, \
                                     LARDER_CACHE_DEFAULT) }
/* clang-format on */

/**
 * Opens a migration. Parameters and result else as larder_open_backend().
 * @return BAD_ARGUMENT also for one cache in both places
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_migration_open(const struct larder_migration_options *options,
                      const struct larder_open_options *open_options, struct larder_cache **cache,
                      char *message, size_t message_size);

/**
 * Puts another mode into force: calls that begin from now on follow it, those under way end as they
 * began. The row `mode` of larder_stats() has the number of the one in force.
 *
 * @param cache  what larder_migration_open() gave, or larder_open_backend() and the like
 * @return OK; BAD_ARGUMENT for what is no migration, or no mode; CLOSED
 *
 * Threads: any. Blocks: no.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_migration_set_mode(struct larder_cache *cache, enum larder_migration_mode mode);

#ifdef __cplusplus
}
#endif

#endif
