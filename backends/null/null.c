/*
 * null: keeps nothing. Writes are OK, reads MISS, a lease is granted to everybody. It has no state
 * at all, so any number of caches share one object, and there is nothing to lock or to free.
 */
#include <larder/null.h>

#define NULL_TOKEN UINT64_C(1) /* of every lease: nobody competes */
#define NULL_VERSION                                                            \
    UINT64_C(1) /* of every store: usable for cas, so that callers need no case \
                 */

#define NULL_CAN                                                                                  \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |                   \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT | \
     LARDER_CAN_COUNT_INITIAL | LARDER_CAN_LEASE | LARDER_CAN_ABSENT | LARDER_CAN_READ_TTL |      \
     LARDER_CAN_READ_ACCESS | LARDER_CAN_STORE_VERSION | LARDER_CAN_KEYS | LARDER_CAN_FLUSH |     \
     LARDER_CAN_NAMESPACES | LARDER_CAN_MANY_READ | LARDER_CAN_MANY_WRITE)

static const struct larder_traits null_descriptor = {
    .size = sizeof(struct larder_traits),
    .consistency = LARDER_LINEARIZABLE,
    .can = NULL_CAN,
    .promises =
        LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE | LARDER_KEEPS_NOTHING,
    .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_NO_REPLY | LARDER_TAKES_TIMEOUT |
               LARDER_TAKES_RECACHE | LARDER_TAKES_TOUCH | LARDER_TAKES_VERSION |
               LARDER_TAKES_ROUTING_KEY,
    .value_max = UINT32_MAX,
    .delta_max = UINT64_MAX,
    .ttl_step_ms = 1,
    .key_max = LARDER_KEY_BYTES_MAX,
};

static enum larder_status null_read(const struct larder_scope *scope, struct larder_slice key,
                                    void *buffer, size_t size, struct larder_info *info)
{
    (void)scope, (void)key, (void)buffer, (void)size, (void)info;
    return LARDER_MISS;
}

static enum larder_status null_get(const struct larder_scope *scope, struct larder_slice key,
                                   struct larder_value *value)
{
    (void)scope, (void)key, (void)value;
    return LARDER_MISS;
}

static enum larder_status null_store(const struct larder_scope *scope, enum larder_mode mode,
                                     struct larder_slice key, const struct larder_write *write,
                                     uint64_t *version)
{
    (void)scope, (void)mode, (void)key, (void)write;
    *version = NULL_VERSION;
    return LARDER_OK;
}

static enum larder_status null_remove(const struct larder_scope *scope, struct larder_slice key,
                                      uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_OK;
}

static enum larder_status null_touch(const struct larder_scope *scope, struct larder_slice key,
                                     int64_t ttl_ms)
{
    (void)scope, (void)key, (void)ttl_ms;
    return LARDER_MISS;
}

static enum larder_status null_get_and_touch(const struct larder_scope *scope,
                                             struct larder_slice key, int64_t ttl_ms,
                                             struct larder_value *value)
{
    (void)scope, (void)key, (void)ttl_ms, (void)value;
    return LARDER_MISS;
}

/* A miss with an initial value too: what was just "stored" would be gone at the next call. */
static enum larder_status null_count(const struct larder_scope *scope, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    (void)scope, (void)key, (void)direction, (void)delta, (void)initial, (void)result;
    return LARDER_MISS;
}

static enum larder_status null_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                         uint32_t lease_ms, struct larder_value *value,
                                         struct larder_lease *lease)
{
    (void)scope, (void)key, (void)lease_ms, (void)value;
    lease->token = NULL_TOKEN;
    return LARDER_MISS;
}

static enum larder_status null_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                          struct larder_lease lease,
                                          const struct larder_write *write)
{
    (void)scope, (void)key, (void)lease, (void)write;
    return LARDER_OK;
}

static enum larder_status null_lease_return(const struct larder_scope *scope,
                                            struct larder_slice key, struct larder_lease lease)
{
    (void)scope, (void)key, (void)lease;
    return LARDER_OK;
}

static enum larder_status null_flush(const struct larder_scope *scope)
{
    (void)scope;
    return LARDER_OK;
}

static enum larder_status null_keys(const struct larder_scope *scope, struct larder_cursor *cursor,
                                    void *buffer, size_t size, struct larder_slice *keys,
                                    size_t capacity, size_t *count)
{
    (void)scope, (void)cursor, (void)buffer, (void)size, (void)keys, (void)capacity;
    *count = 0;
    return LARDER_OK;
}

static const struct larder_traits *null_traits(const void *self)
{
    (void)self;
    return &null_descriptor;
}

static void null_close(void *self)
{
    (void)self;
}

static const struct larder_ops null_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "null",
    .read = null_read,
    .store = null_store,
    .remove = null_remove,
    .traits = null_traits,
    .close = null_close,
    .get = null_get,
    .touch = null_touch,
    .get_and_touch = null_get_and_touch,
    .count = null_count,
    .lease_get = null_lease_get,
    .lease_fill = null_lease_fill,
    .lease_return = null_lease_return,
    .flush = null_flush,
    .keys = null_keys,
};

struct null_options {
    size_t struct_size;
};

/* An object to point to: a handle's `self` is never NULL. */
static char null_object;

static enum larder_status null_open(const struct larder_host *host, const void *options,
                                    struct larder_message *message, void **self)
{
    (void)host, (void)options, (void)message;
    *self = &null_object;
    return LARDER_OK;
}

extern const struct larder_backend larder_null_backend;
const struct larder_backend larder_null_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "null",
    .sentence = "keeps nothing: for unit tests, and for switching a cache off",
    .ops = &null_ops,
    .open = null_open,
    .options = NULL,
    .option_count = 0,
    .options_size = sizeof(struct null_options),
};

enum larder_status larder_null_open(const struct larder_open_options *options,
                                    struct larder_cache **cache, char *message, size_t message_size)
{
    return larder_open_backend(&larder_null_backend, NULL, options, cache, message, message_size);
}
