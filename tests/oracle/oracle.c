#include "oracle.h"

#include <stdlib.h>

#include "operations.h"
#include "table.h"

#define ORACLE_CAN                                                                                \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |                   \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT | \
     LARDER_CAN_COUNT_INITIAL | LARDER_CAN_LEASE | LARDER_CAN_ABSENT | LARDER_CAN_READ_TTL |      \
     LARDER_CAN_STORE_VERSION | LARDER_CAN_KEYS | LARDER_CAN_FLUSH | LARDER_CAN_NAMESPACES |      \
     LARDER_CAN_MANY_READ | LARDER_CAN_MANY_WRITE)

static struct larder_traits make_traits(uint64_t value_max)
{
    struct larder_traits traits = {
        .size = sizeof(struct larder_traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = ORACLE_CAN,
        .promises = LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE |
                    LARDER_KEEPS_UNTIL_EVICTED | LARDER_STRICT_COUNTERS,
        .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_NO_REPLY | LARDER_TAKES_TIMEOUT |
                   LARDER_TAKES_RECACHE | LARDER_TAKES_TOUCH | LARDER_TAKES_VERSION |
                   LARDER_TAKES_ROUTING_KEY,
        .value_max = value_max,
        .delta_max = UINT64_MAX,
        .ttl_step_ms = 1,
        .key_max = LARDER_KEY_BYTES_MAX,
    };
    return traits;
}

static const struct larder_traits *oracle_traits(const void *self)
{
    const struct oracle *oracle = self;
    return &oracle->traits;
}

static enum larder_status open_oracle(const struct larder_host *host, const void *options,
                                      struct larder_message *message, void **self)
{
    const struct oracle_options *given = options;
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    (void)message;
    if (oracle == NULL)
        return LARDER_NO_MEMORY;
    oracle->clock = host->clock;
    oracle->traits = make_traits(given->value_max);
    pthread_mutex_init(&oracle->lock, NULL);
    *self = oracle;
    return LARDER_OK;
}

static void oracle_shutdown(void *self)
{
    struct oracle *oracle = self;
    pthread_mutex_lock(&oracle->lock);
    while (oracle->guarded.first != NULL)
        oracle_drop(oracle, oracle->guarded.first);
    oracle->guarded.closed = true;
    pthread_mutex_unlock(&oracle->lock);
}

static void oracle_close(void *self)
{
    struct oracle *oracle = self;
    oracle_shutdown(oracle);
    pthread_mutex_destroy(&oracle->lock);
    free(oracle);
}

/* The child has the forking thread alone, which holds the lock: nothing is half done. */
static void oracle_fork(void *self, enum larder_fork_step step)
{
    struct oracle *oracle = self;
    if (step == LARDER_FORK_PREPARE)
        pthread_mutex_lock(&oracle->lock);
    else
        pthread_mutex_unlock(&oracle->lock);
}

static const struct larder_ops oracle_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "oracle",
    .read = oracle_read,
    .store = oracle_store,
    .remove = oracle_remove,
    .traits = oracle_traits,
    .close = oracle_close,
    .get = oracle_get,
    .touch = oracle_touch,
    .get_and_touch = oracle_get_and_touch,
    .count = oracle_count,
    .lease_get = oracle_lease_get,
    .lease_fill = oracle_lease_fill,
    .lease_return = oracle_lease_return,
    .flush = oracle_flush,
    .keys = oracle_keys,
    .stats = oracle_stats,
    .purge = oracle_purge,
    .shutdown = oracle_shutdown,
    .fork = oracle_fork,
};

#define LARDER_OPTIONS_STRUCT struct oracle_options
static const struct larder_option oracle_option_table[] = {
    ORACLE_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

static const struct larder_backend oracle_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "oracle",
    .sentence = "the contract, simple enough to be seen to be right",
    .ops = &oracle_ops,
    .open = open_oracle,
    .options = oracle_option_table,
    .option_count = sizeof(oracle_option_table) / sizeof(oracle_option_table[0]),
    .options_size = sizeof(struct oracle_options),
};

enum larder_status oracle_register(void)
{
    return larder_register_backend(&oracle_backend);
}

enum larder_status oracle_open(const struct oracle_options *options,
                               const struct larder_open_options *open_options,
                               struct larder_cache **cache, char *message, size_t message_size)
{
    return larder_open_backend(&oracle_backend, options, open_options, cache, message,
                               message_size);
}
