/* The caches that calls are tried on while allocations fail. */
#include "allocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <larder/backend.h>
#include <larder/client.h>
#include <larder/gutter.h>
#include <larder/hot.h>
#include <larder/memory.h>
#include <larder/migration.h>
#include <larder/null.h>
#include <larder/shadow.h>
#include <larder/tracker.h>
#include "clock.h"
#include "memcached_server.h"

extern const struct larder_backend larder_memory_backend;

/* clang-format off */
#define EVERY_SHAPE(name, leaf, options)                     \
    {name, leaf, 0, 0, options},                             \
    {name " session", leaf, 0, 1, options},                  \
    {name " namespace", leaf, 1, 0, options},                \
    {name " namespace session", leaf, 1, 1, options}

const struct cache_kind cache_kinds[] = {
    EVERY_SHAPE("memory", LEAF_MEMORY, ""),
    EVERY_SHAPE("sparse", LEAF_SPARSE, ""),
    EVERY_SHAPE("gutter", LEAF_GUTTER, ""),
    EVERY_SHAPE("hot", LEAF_HOT, ""),
    EVERY_SHAPE("migration", LEAF_MIGRATION, ""),
    EVERY_SHAPE("shadow", LEAF_SHADOW, ""),
    EVERY_SHAPE("null", LEAF_NULL, ""),
#ifdef LARDER_WITH_MEMCACHED
    {"memcached", LEAF_MEMCACHED, 0, 0, ""},
    {"memcached binary namespace", LEAF_MEMCACHED, 1, 0, "&binary=on"},
    {"pooled binary session", LEAF_POOLED, 0, 1, "&binary=on"},
    {"pooled namespace", LEAF_POOLED, 1, 0, ""},
    {"memcached records", LEAF_MEMCACHED, 0, 0, "&metadata=leases,negative"},
    {"pooled records namespace", LEAF_POOLED, 1, 0, "&metadata=leases,negative"},
#endif
#ifdef LARDER_WITH_META
    {"meta", LEAF_META, 0, 0, ""},
    {"meta namespace session", LEAF_META, 1, 1, ""},
#endif
};
/* clang-format on */
const size_t cache_kind_count = sizeof(cache_kinds) / sizeof(cache_kinds[0]);

int kind_is_remote(const struct cache_kind *kind)
{
    return kind->leaf >= LEAF_MEMCACHED;
}

static void must(enum larder_status status, const char *what)
{
    if (status == LARDER_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, larder_status_name(status));
    exit(1);
}

/* ---- servers and files --------------------------------------------------------------------- */

static char file_path[] = "/tmp/larder-allocation-XXXXXX";

static char changed_path[] = "/tmp/larder-allocation-XXXXXX";

const char *cache_file(void)
{
    return file_path;
}

const char *changed_file(void)
{
    return changed_path;
}

#if defined(LARDER_WITH_MEMCACHED) || defined(LARDER_WITH_META)
#define CHANGED_OPTION "&connect_timeout=4s" /* of what cache_uri() names */
static struct memcached_server *servers[2];

static void servers_start(void)
{
    servers[0] = memcached_server_start(NULL);
    servers[1] = memcached_server_start(NULL);
}

static void servers_stop(void)
{
    memcached_server_stop(servers[0]);
    memcached_server_stop(servers[1]);
}

/* The adapter places keys where there are two servers. Without libmemcached meta stands for all. */
void cache_uri(enum leaf leaf, const char *options, char *uri, size_t size)
{
    const char *first = memcached_server_path(servers[0]);
    const char *second = memcached_server_path(servers[1]);
#ifdef LARDER_WITH_MEMCACHED
    if (leaf == LEAF_MEMCACHED) {
        snprintf(uri, size, "memcached://%s?exclusive=on&timeout=5s%s", first, options);
        return;
    }
    const char *scheme = leaf == LEAF_META ? "meta" : "pooled-memcached";
#else
    const char *scheme = "meta";
    (void)leaf;
#endif
    snprintf(uri, size, "%s://%s,%s?exclusive=on&timeout=5s&size=2%s", scheme, first, second,
             options);
}
#else
#define CHANGED_OPTION "&buckets=7"

static void servers_start(void)
{
}

static void servers_stop(void)
{
}

/* Of files alone: no kind of cache is on a server. */
void cache_uri(enum leaf leaf, const char *options, char *uri, size_t size)
{
    (void)leaf;
    snprintf(uri, size, "memory:?max_bytes=1M%s", options);
}
#endif

static void file_write(char *path, const char *options, const char *lines, const char *map)
{
    char memcached[512], pooled[512];
    cache_uri(LEAF_MEMCACHED, options, memcached, sizeof(memcached));
    cache_uri(LEAF_POOLED, options, pooled, sizeof(pooled));
    int descriptor = mkstemp(path);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (file == NULL)
        must(LARDER_UNAVAILABLE, path);
    fprintf(file,
            "%s[hot]\nuri = memory:?max_bytes=1M\n[one]\nuri = %s\n[two]\nuri = %s\n"
            "[namespaces]\n%s",
            lines, memcached, pooled, map);
    fclose(file);
}

static void files_write(void)
{
    file_write(file_path, "",
               "[client]\ndefault_ttl = 1h\n[kept]\nuri = memory:\nbuckets = 7\n"
               "[lost]\nuri = tracker:?of=@one\n[warm]\nuri = hot:?of=@two\n[front]\nuri = "
               "gutter:?of=@lost&spare=@hot\n"
               "[whole]\nuri = memory:?buckets=9\ntracker = on\ngutter = @hot\nmax_ttl = 1h\n",
               "front = @front\nwarm = @warm\nwhole = @whole\nmain = @hot\none = @one  "
               "default_ttl=5m\ntwo = "
               "@two\noff = "
               "null:\nkept = @kept\n"
               "* = @hot\n");
    file_write(
        changed_path, CHANGED_OPTION,
        "[client]\ndefault_namespace = first\nnamespace_poll = 2s\n"
        "[kept]\nuri = memory:?buckets=7\n"
        "[lost]\nuri = tracker:?of=@two\n[warm]\nuri = hot:?of=@one&life=1m\n[front]\nuri = "
        "gutter:?of=@lost&spare=@hot\n"
        "[whole]\nuri = memory:?buckets=9&tracker=on&tracker_keys=9\n",
        "front = @front\nwarm = @warm\nwhole = @whole\nfirst = @one max_ttl=2h\none = @two\ntwo = "
        "@hot\nmain = null:\n"
        "kept = @kept max_ttl=1m\n");
}

void caches_start(void)
{
    servers_start();
    files_write();
}

void caches_stop(void)
{
    unlink(file_path);
    unlink(changed_path);
    servers_stop();
}

/* ---- opening ------------------------------------------------------------------------------- */

static struct larder_cache *open_memory(void)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.max_bytes = 1u << 20;
    must(larder_memory_open(&options, NULL, &cache, NULL, 0), "memory");
    return cache;
}

static struct larder_traits sparse_traits;

static const struct larder_traits *sparse_describe(const void *self)
{
    const uint64_t bits = LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT |
                          LARDER_CAN_COUNT_INITIAL | LARDER_CAN_NAMESPACES | LARDER_CAN_LEASE |
                          LARDER_CAN_KEYS | LARDER_CAN_WIRE_KEY;
    sparse_traits = *larder_memory_backend.ops->traits(self);
    sparse_traits.can &= ~bits;
    return &sparse_traits;
}

/* memory with the rows alone that every backend has: the core stands in for the rest, and the
 * adapter for namespaces. */
static struct larder_cache *open_sparse(void)
{
    const struct larder_ops *memory = larder_memory_backend.ops;
    const struct larder_ops ops = {
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(ops),
        .name = "sparse",
        .read = memory->read,
        .store = memory->store,
        .remove = memory->remove,
        .traits = sparse_describe,
        .close = memory->close,
        .flush = memory->flush,
    };
    static struct manual_clock clock;
    manual_clock_init(&clock);
    static struct larder_host host;
    host = (struct larder_host){
        .version = LARDER_BACKEND_VERSION, .size = sizeof(host), .clock = manual_clock_of(&clock)};
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    void *self = NULL;
    options.max_bytes = 1u << 20;
    must(larder_memory_backend.open(&host, &options, NULL, &self), "memory");
    must(larder_attach(&ops, self, NULL, &cache, NULL, 0), "sparse");
    return cache;
}

static struct larder_cache *open_gutter(void)
{
    struct larder_tracker_options tracker = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_gutter_options gutter = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    tracker.of = open_sparse();
    gutter.spare = open_memory();
    must(larder_tracker_open(&tracker, NULL, &gutter.of, NULL, 0), "tracker");
    must(larder_gutter_open(&gutter, NULL, &cache, NULL, 0), "gutter");
    return cache;
}

static struct larder_cache *open_hot(void)
{
    struct larder_hot_options hot = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    hot.of = open_sparse();
    hot.one_in = 1;
    hot.fresh_ms = 0;
    must(larder_hot_open(&hot, NULL, &cache, NULL, 0), "hot");
    return cache;
}

/* All reads that are drawn are populated, all writes copied. */
static struct larder_cache *open_migration(void)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.from = open_sparse();
    options.to = open_memory();
    options.mode = "populate_reads_10_percent";
    must(larder_migration_open(&options, NULL, &cache, NULL, 0), "migration");
    return cache;
}

static struct larder_cache *open_shadow(void)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = open_memory();
    options.copy = open_sparse();
    options.reads = 1;
    must(larder_shadow_open(&options, NULL, &cache, NULL, 0), "shadow");
    return cache;
}

static struct larder_cache *open_leaf(const struct cache_kind *kind)
{
    char uri[512], message[256] = "";
    struct larder_cache *cache = NULL;
    if (kind->leaf == LEAF_MEMORY)
        return open_memory();
    if (kind->leaf == LEAF_SPARSE)
        return open_sparse();
    if (kind->leaf == LEAF_GUTTER)
        return open_gutter();
    if (kind->leaf == LEAF_HOT)
        return open_hot();
    if (kind->leaf == LEAF_MIGRATION)
        return open_migration();
    if (kind->leaf == LEAF_SHADOW)
        return open_shadow();
    if (kind->leaf == LEAF_NULL) {
        must(larder_null_open(NULL, &cache, NULL, 0), "null");
        return cache;
    }
    cache_uri(kind->leaf, kind->options, uri, sizeof(uri));
    must(larder_open(uri, NULL, &cache, message, sizeof(message)), message);
    return cache;
}

/* A second after each use, so that every client reads the generation anew. */
static uint64_t second_by_second(void *context)
{
    static uint64_t now_ns;
    (void)context;
    return now_ns += UINT64_C(1000000000);
}

static void open_client(struct fixture *fixture)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    const struct larder_route routes[] = {{"main", fixture->leaf, LARDER_TTL_DEFAULT, 0},
                                          {"sister", fixture->leaf, LARDER_TTL_DEFAULT, 0},
                                          {"*", fixture->leaf, LARDER_TTL_DEFAULT, 0}};
    options.clock.now_ns = second_by_second;
    must(larder_client_open(NULL, &options, routes, 3, &fixture->client, NULL, 0), "client");
    must(larder_bind(fixture->client, "sister", &fixture->handle), "namespace");
    fixture->leaf = NULL;
}

void fixture_open(struct fixture *fixture, const struct cache_kind *kind)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->kind = kind;
    if (kind->leaf == LEAF_NOTHING)
        return;
    fixture->leaf = fixture->handle = open_leaf(kind);
    if (kind->is_namespace)
        open_client(fixture);
    fixture->cache = fixture->preparer = fixture->handle;
    if (kind->is_session)
        must(larder_acquire(fixture->handle, 0, 0, &fixture->cache), "session");
}

void fixture_close(struct fixture *fixture)
{
    if (fixture->cache != fixture->handle)
        larder_release(fixture->cache);
    larder_close(fixture->client);
    larder_close(fixture->leaf);
}
