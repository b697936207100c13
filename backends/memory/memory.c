/*
 * memory: a cache in the process. Entries live in shards, each a uthash table with its own lock and
 * its own time buckets; one ledger holds the byte bound for all of them.
 *
 *   ledger.c    what counts against the bound        sweep.c     housekeeping, a step per call
 *   entry.c     key, value, views                    eviction.c  making room
 *   table.c     the index of a shard                 read.c, write.c, lease.c, keys.c, whole.c
 *   wheel.c     time buckets                                     the operations
 *   shard.c     one call on one key
 *
 * Lock order: one shard's lock at a time, and nothing below it; fork alone takes all, in order.
 */
#include <larder/memory.h>

#include <stdlib.h>
#include <string.h>

#include "operations.h"
#include "shard.h"

#define BYTES_PER_SHARD (UINT64_C(1) << 20)
#define NS_PER_MS UINT64_C(1000000)

/* ---- traits -------------------------------------------------------------------------------- */

#define MEMORY_CAN                                                                                \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |                   \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT | \
     LARDER_CAN_COUNT_INITIAL | LARDER_CAN_LEASE | LARDER_CAN_ABSENT | LARDER_CAN_READ_TTL |      \
     LARDER_CAN_STORE_VERSION | LARDER_CAN_KEYS | LARDER_CAN_FLUSH | LARDER_CAN_NAMESPACES |      \
     LARDER_CAN_MANY_READ | LARDER_CAN_MANY_WRITE)

/* The longest value that fits beside a key of this length in a namespace. */
#define SMALL_KEY_BYTES 256u

static uint64_t value_max(uint64_t capacity_bytes)
{
    struct key key = {.space = larder_bytes(NULL, LARDER_NAMESPACE_BYTES_MAX),
                      .name = larder_bytes(NULL, SMALL_KEY_BYTES)};
    struct draft draft = {0};
    uint64_t length = capacity_bytes < ENTRY_VALUE_MAX ? capacity_bytes : ENTRY_VALUE_MAX;
    do { /* the bound is rounded up by less than two pages: a few rounds */
        draft.head.length = (size_t)length;
        uint64_t bound = larder__entry_bound(&key, &draft);
        if (bound <= capacity_bytes)
            return length;
        length -= bound - capacity_bytes < length ? bound - capacity_bytes : length;
    } while (length > 0);
    return 0;
}

static struct larder_traits make_traits(uint64_t capacity_bytes)
{
    struct larder_traits traits = {
        .size = sizeof(struct larder_traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = MEMORY_CAN,
        .promises = LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE |
                    LARDER_KEEPS_UNTIL_EVICTED | LARDER_STRICT_COUNTERS,
        .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_NO_REPLY | LARDER_TAKES_TIMEOUT |
                   LARDER_TAKES_RECACHE | LARDER_TAKES_TOUCH | LARDER_TAKES_VERSION |
                   LARDER_TAKES_ROUTING_KEY,
        .value_max = value_max(capacity_bytes),
        .delta_max = UINT64_MAX,
        .ttl_step_ms = 1,
        .key_max = LARDER_KEY_BYTES_MAX,
    };
    return traits;
}

static const struct larder_traits *memory_traits(const void *self)
{
    const struct memory *memory = self;
    return &memory->traits;
}

/* ---- open ---------------------------------------------------------------------------------- */

static uint32_t choose_shard_count(uint64_t max_bytes)
{
    uint32_t count = 1;
    while (count < SHARDS_MAX && max_bytes / BYTES_PER_SHARD >= 2 * (uint64_t)count)
        count *= 2;
    return count;
}

static size_t memory_size(uint32_t shard_count)
{
    return sizeof(struct memory) + shard_count * sizeof(struct shard);
}

static size_t heads_size(uint32_t shard_count, uint32_t buckets)
{
    return shard_count * larder__wheel_heads(buckets) * sizeof(struct entry *);
}

/* What is charged whether or not there are entries. aligned_alloc() may lose an alignment's worth.
 */
static uint64_t fixed_bytes_of(uint32_t shard_count, uint32_t buckets)
{
    return larder__heap_bound(memory_size(shard_count) + alignof(struct memory)) +
           larder__heap_bound(heads_size(shard_count, buckets));
}

static void init_shard(struct memory *memory, uint32_t number,
                       const struct larder_memory_options *options)
{
    struct shard *shard = &memory->shards[number];
    uint32_t buckets = (uint32_t)options->buckets;
    uint64_t now_ns = larder__memory_now_ns(memory);
    pthread_mutex_init(&shard->lock, NULL);
    atomic_init(&shard->due_ns, LARDER_NEVER_NS);
    shard->guarded.now_ns = now_ns;
    /* a version read from one cache must not fit an entry of the one that follows it */
    shard->guarded.version = larder_random() >> 1;
    shard->guarded.table.ledger = memory->ledger;
    larder__wheel_init(&shard->guarded.wheel, memory->heads + number * larder__wheel_heads(buckets),
                       buckets, options->bucket_interval_ms * NS_PER_MS, now_ns);
}

static bool allocate_parts(struct memory *memory, uint64_t max_bytes, uint32_t buckets)
{
    memory->heads = calloc(1, heads_size(memory->shard_count, buckets));
    memory->ledger = larder__ledger_open(max_bytes, memory->fixed_bytes);
    if (memory->heads != NULL && memory->ledger != NULL)
        return true;
    free(memory->heads);
    free(memory->ledger);
    return false;
}

static struct memory *new_memory(const struct larder_host *host,
                                 const struct larder_memory_options *options)
{
    uint32_t shard_count = choose_shard_count(options->max_bytes);
    uint32_t buckets = (uint32_t)options->buckets;
    struct memory *memory = aligned_alloc(alignof(struct memory), memory_size(shard_count));
    if (memory == NULL)
        return NULL;
    memset(memory, 0, memory_size(shard_count));
    memory->clock = host->clock;
    memory->shard_count = shard_count;
    memory->evicts = options->evict != 0;
    memory->hash_key = (struct larder_hash_key){{larder_random(), larder_random()}};
    memory->token_mask = larder_random();
    memory->fixed_bytes = fixed_bytes_of(shard_count, buckets);
    if (!allocate_parts(memory, options->max_bytes, buckets)) {
        free(memory);
        return NULL;
    }
    memory->capacity_bytes =
        options->max_bytes - larder__ledger_bytes(memory->ledger) - larder__table_least_bytes();
    memory->traits = make_traits(memory->capacity_bytes);
    for (uint32_t i = 0; i < shard_count; i++)
        init_shard(memory, i, options);
    return memory;
}

/* The smallest max_bytes is far more than the most buckets, an index and the longest key take. */
static enum larder_status memory_open(const struct larder_host *host, const void *options,
                                      struct larder_message *message, void **self)
{
    (void)message;
    *self = new_memory(host, options);
    return *self != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void close_shard(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    while (shard->guarded.table.oldest != NULL)
        larder__shard_unlink(shard, shard->guarded.table.oldest);
    shard->guarded.closed = true;
    larder__shard_unlock(shard);
}

static void memory_shutdown(void *self)
{
    struct memory *memory = self;
    for (uint32_t i = 0; i < memory->shard_count; i++)
        close_shard(&memory->shards[i]);
    free(memory->heads); /* nobody looks into the wheel of a closed shard */
    memory->heads = NULL;
}

static void memory_close(void *self)
{
    struct memory *memory = self;
    struct ledger *ledger = memory->ledger;
    uint64_t fixed_bytes = memory->fixed_bytes;
    memory_shutdown(memory);
    for (uint32_t i = 0; i < memory->shard_count; i++)
        pthread_mutex_destroy(&memory->shards[i].lock);
    free(memory);
    larder__ledger_release(ledger, fixed_bytes);
    larder__ledger_close(ledger);
}

/* The child has the forking thread alone, which holds every lock: nothing is half done, and
 * unlocking is all that either side needs. */
static void memory_fork(void *self, enum larder_fork_step step)
{
    struct memory *memory = self;
    for (uint32_t i = 0; i < memory->shard_count; i++) {
        if (step == LARDER_FORK_PREPARE)
            pthread_mutex_lock(&memory->shards[i].lock);
        else
            pthread_mutex_unlock(&memory->shards[i].lock);
    }
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static const struct larder_ops memory_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "memory",
    .read = larder__memory_read,
    .store = larder__memory_store,
    .remove = larder__memory_remove,
    .traits = memory_traits,
    .close = memory_close,
    .get = larder__memory_get,
    .touch = larder__memory_touch,
    .get_and_touch = larder__memory_get_and_touch,
    .count = larder__memory_count,
    .lease_get = larder__memory_lease_get,
    .lease_fill = larder__memory_lease_fill,
    .lease_return = larder__memory_lease_return,
    .flush = larder__memory_flush,
    .keys = larder__memory_keys,
    .stats = larder__memory_stats,
    .purge = larder__memory_purge,
    .shutdown = memory_shutdown,
    .fork = memory_fork,
};

#define LARDER_OPTIONS_STRUCT struct larder_memory_options
static const struct larder_option memory_options[] = {
    LARDER_MEMORY_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

extern const struct larder_backend larder_memory_backend;
const struct larder_backend larder_memory_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "memory",
    .sentence = "an in-process cache with time-bucketed expiry and a byte bound",
    .ops = &memory_ops,
    .open = memory_open,
    .options = memory_options,
    .option_count = sizeof(memory_options) / sizeof(memory_options[0]),
    .options_size = sizeof(struct larder_memory_options),
};

enum larder_status larder_memory_open(const struct larder_memory_options *options,
                                      const struct larder_open_options *open_options,
                                      struct larder_cache **cache, char *message,
                                      size_t message_size)
{
    return larder_open_backend(&larder_memory_backend, options, open_options, cache, message,
                               message_size);
}
