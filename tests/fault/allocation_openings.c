/* Calls that open something: each closes it again, also while allocations fail. */
#include "allocation.h"

#include <stdlib.h>
#include <string.h>

#include <larder/backend.h>
#include <larder/client.h>
#include <larder/ephemeral.h>
#include <larder/gutter.h>
#include <larder/hot.h>
#include <larder/migration.h>
#include <larder/shadow.h>
#include <larder/memcached.h>
#include <larder/memory.h>
#include <larder/null.h>
#include <larder/pool.h>
#include <larder/tracker.h>

extern const struct larder_backend larder_memory_backend;

static char message[256];

static enum larder_status closed(enum larder_status status, struct larder_cache *cache)
{
    expect((status == LARDER_OK) == (cache != NULL), "a cache for OK alone");
    expect(memchr(message, '\0', sizeof(message)) != NULL, "a message that ends");
    expect(status != LARDER_OK || message[0] == '\0', "no message for OK");
    larder_close(cache);
    return status;
}

static enum larder_status open_uri(const char *uri)
{
    struct larder_cache *cache = NULL;
    enum larder_status status = larder_open(uri, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_memory_uri(struct fixture *fixture)
{
    (void)fixture;
    return open_uri("memory:?max_bytes=1M&buckets=7&default_ttl=1h");
}

static enum larder_status run_null_uri(struct fixture *fixture)
{
    (void)fixture;
    return open_uri("null:");
}

static enum larder_status run_memory_typed(struct fixture *fixture)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)fixture;
    options.max_bytes = 1u << 20;
    enum larder_status status =
        larder_memory_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_null_typed(struct fixture *fixture)
{
    struct larder_cache *cache = NULL;
    (void)fixture;
    enum larder_status status = larder_null_open(NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_attach(struct fixture *fixture)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)fixture;
    enum larder_status status =
        larder_open_backend(&larder_memory_backend, &options, NULL, &cache, message, 256);
    return closed(status, cache);
}

typedef enum larder_status open_of_fn(struct larder_cache *first, struct larder_cache *second);

/* Opens something over two caches, which are its own when it could be opened. */
static enum larder_status open_over_two(open_of_fn *open)
{
    struct larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    struct larder_cache *first = NULL, *second = NULL;
    enum larder_status status = larder_memory_open(&options, NULL, &first, NULL, 0);
    if (status == LARDER_OK)
        status = larder_null_open(NULL, &second, NULL, 0);
    if (status == LARDER_OK)
        status = open(first, second);
    if (status != LARDER_OK) {
        larder_close(second);
        larder_close(first);
    }
    return status;
}

static enum larder_status open_gutter_of(struct larder_cache *first, struct larder_cache *second)
{
    struct larder_gutter_options options = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = first;
    options.spare = second;
    enum larder_status status =
        larder_gutter_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_gutter_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_two(open_gutter_of);
}

static enum larder_status open_migration_of(struct larder_cache *first, struct larder_cache *second)
{
    struct larder_migration_options options = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.from = first;
    options.to = second;
    enum larder_status status =
        larder_migration_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status open_shadow_of(struct larder_cache *first, struct larder_cache *second)
{
    struct larder_shadow_options options = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = first;
    options.copy = second;
    enum larder_status status =
        larder_shadow_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_shadow_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_two(open_shadow_of);
}

static enum larder_status run_migration_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_two(open_migration_of);
}

static enum larder_status open_hot_of(struct larder_cache *first, struct larder_cache *second)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    options.of = first;
    options.copies = second;
    options.prefixes = "a,b";
    enum larder_status status = larder_hot_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_hot_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_two(open_hot_of);
}

typedef enum larder_status open_over_fn(struct larder_cache *of, struct larder_cache **cache);

/* Opens something over one cache, which is its own when it could be opened. */
static enum larder_status open_over_one(open_over_fn *open)
{
    struct larder_cache *of = NULL, *cache = NULL;
    enum larder_status status = larder_null_open(NULL, &of, NULL, 0);
    if (status != LARDER_OK)
        return status;
    status = open(of, &cache);
    if (status != LARDER_OK)
        larder_close(of);
    return closed(status, cache);
}

static enum larder_status open_tracker_over(struct larder_cache *of, struct larder_cache **cache)
{
    struct larder_tracker_options options = LARDER_TRACKER_OPTIONS_INIT;
    options.of = of;
    return larder_tracker_open(&options, NULL, cache, message, sizeof(message));
}

static enum larder_status run_tracker_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_one(open_tracker_over);
}

/* Its copies are in a cache that the library opens. */
static enum larder_status open_hot_over(struct larder_cache *of, struct larder_cache **cache)
{
    struct larder_hot_options options = LARDER_HOT_OPTIONS_INIT;
    options.of = of;
    return larder_hot_open(&options, NULL, cache, message, sizeof(message));
}

static enum larder_status run_hot_by_itself(struct fixture *fixture)
{
    (void)fixture;
    return open_over_one(open_hot_over);
}

static enum larder_status open_ephemeral_over(struct larder_cache *of, struct larder_cache **cache)
{
    struct larder_ephemeral_options options = LARDER_EPHEMERAL_OPTIONS_INIT;
    options.of = of;
    return larder_ephemeral_open(&options, NULL, cache, message, sizeof(message));
}

static enum larder_status run_ephemeral_typed(struct fixture *fixture)
{
    (void)fixture;
    return open_over_one(open_ephemeral_over);
}

static enum larder_status run_file(struct fixture *fixture)
{
    struct larder_cache *client = NULL;
    (void)fixture;
    enum larder_status status =
        larder_open_file(cache_file(), NULL, &client, message, sizeof(message));
    return closed(status, client);
}

/* Both handles lead elsewhere, or neither does. */
static enum larder_status reload(struct larder_cache *client, struct larder_cache *kept)
{
    const struct larder_traits *before = larder_describe(client);
    const struct larder_traits *kept_before = larder_describe(kept);
    enum larder_status status = larder_reload(client, changed_file(), message, sizeof(message));
    expect((status == LARDER_OK) == (larder_describe(client) != before), "all or nothing");
    expect((status == LARDER_OK) == (larder_describe(kept) != kept_before), "all or nothing");
    expect(status == LARDER_OK || message[0] != '\0', "a message");
    return status;
}

static enum larder_status run_reload(struct fixture *fixture)
{
    struct larder_cache *client = NULL, *kept = NULL, *one = NULL, *off = NULL;
    (void)fixture;
    enum larder_status status =
        larder_open_file(cache_file(), NULL, &client, message, sizeof(message));
    if (status == LARDER_OK)
        status = larder_bind(client, "kept", &kept);
    if (status == LARDER_OK)
        status = larder_bind(client, "one", &one);
    if (status == LARDER_OK)
        status = larder_bind(client, "off", &off);
    if (status == LARDER_OK)
        status = reload(client, kept);
    larder_close(client);
    return status;
}

static enum larder_status open_client_of(struct larder_cache *first, struct larder_cache *second)
{
    const struct larder_route routes[] = {{"main", first, LARDER_TTL_DEFAULT, 0},
                                          {"second", second, LARDER_TTL_DEFAULT, 1000},
                                          {"third", first, LARDER_TTL_DEFAULT, 0}};
    struct larder_cache *client = NULL;
    enum larder_status status =
        larder_client_open(NULL, NULL, routes, 3, &client, message, sizeof(message));
    return closed(status, client);
}

static enum larder_status run_client(struct fixture *fixture)
{
    (void)fixture;
    return open_over_two(open_client_of);
}

/* One that is known already is as good. */
static enum larder_status run_register(struct fixture *fixture)
{
    static struct larder_backend backend;
    (void)fixture;
    backend = larder_memory_backend;
    backend.scheme = "allocation-test";
    enum larder_status status = larder_register_backend(&backend);
    return status == LARDER_EXISTS ? LARDER_OK : status;
}

/* ---- pools --------------------------------------------------------------------------------- */

static enum larder_status object_create(void *context, void **object)
{
    (void)context;
    *object = malloc(8);
    return *object != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

static void object_destroy(void *context, void *object)
{
    (void)context;
    free(object);
}

static enum larder_status borrow(struct larder_pool *pool, int broken)
{
    void *object = NULL;
    enum larder_status status = larder_pool_acquire(pool, 1000, &object);
    expect((status == LARDER_OK) == (object != NULL), "an object for OK alone");
    if (status == LARDER_OK)
        expect(larder_pool_release(pool, object, broken) == LARDER_OK, "release takes no memory");
    return status;
}

static enum larder_status run_pool(struct fixture *fixture)
{
    const struct larder_pool_options options = {sizeof(options), 3, object_create, object_destroy,
                                                NULL};
    struct larder_pool *pool = NULL;
    (void)fixture;
    enum larder_status status = larder_pool_open(&options, &pool);
    expect((status == LARDER_OK) == (pool != NULL), "a pool for OK alone");
    for (int i = 0; i < 6 && status == LARDER_OK; i++)
        status = borrow(pool, i < 3);
    larder_pool_close(pool);
    return status;
}

/* ---- servers ------------------------------------------------------------------------------- */

#ifdef LARDER_WITH_MEMCACHED
static enum larder_status run_memcached_uri(struct fixture *fixture)
{
    (void)fixture;
    return open_uri("memcached://127.0.0.1:1?binary=on&sasl_user=u&sasl_password=env:PATH");
}

static enum larder_status run_pooled_uri(struct fixture *fixture)
{
    char uri[512];
    (void)fixture;
    cache_uri(LEAF_POOLED, "", uri, sizeof(uri));
    return open_uri(uri);
}

static enum larder_status run_memcached_string(struct fixture *fixture)
{
    (void)fixture;
    return open_uri("memcached:--SERVER=127.0.0.1:1/?2 --SERVER=127.0.0.1:2");
}

static enum larder_status run_memcached_typed(struct fixture *fixture)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)fixture;
    options.servers = "127.0.0.1:1,[::1]:2*3";
    enum larder_status status =
        larder_memcached_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_pooled_typed(struct fixture *fixture)
{
    struct larder_pooled_memcached_options options = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    (void)fixture;
    options.servers = "127.0.0.1:1";
    enum larder_status status =
        larder_pooled_memcached_open(&options, NULL, &cache, message, sizeof(message));
    return closed(status, cache);
}

static enum larder_status run_memcached_register(struct fixture *fixture)
{
    (void)fixture;
    return larder_memcached_register();
}
#endif

#define OPENING(name, run)                                         \
    {                                                              \
        name, run, NULL, 0, 0, NULL, NULL, LARDER_OK, LARDER_OK, 0 \
    }

const struct call openings[] = {
    OPENING("memory by URI", run_memory_uri),
    OPENING("memory, typed", run_memory_typed),
    OPENING("null by URI", run_null_uri),
    OPENING("null, typed", run_null_typed),
    OPENING("a backend", run_attach),
    OPENING("gutter, typed", run_gutter_typed),
    OPENING("ephemeral, typed", run_ephemeral_typed),
    OPENING("migration, typed", run_migration_typed),
    OPENING("shadow, typed", run_shadow_typed),
    OPENING("tracker, typed", run_tracker_typed),
    OPENING("hot, typed", run_hot_typed),
    OPENING("hot, with its own copies", run_hot_by_itself),
    OPENING("a file", run_file),
    OPENING("a reload", run_reload),
    OPENING("a client", run_client),
    OPENING("register_backend", run_register),
    OPENING("a pool", run_pool),
#ifdef LARDER_WITH_MEMCACHED
    OPENING("memcached by URI", run_memcached_uri),
    OPENING("pooled by URI", run_pooled_uri),
    OPENING("memcached by libmemcached's string", run_memcached_string),
    OPENING("memcached, typed", run_memcached_typed),
    OPENING("pooled, typed", run_pooled_typed),
    OPENING("memcached_register", run_memcached_register),
#endif
};
const size_t opening_count = sizeof(openings) / sizeof(openings[0]);
