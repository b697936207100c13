#include "flaky_backend.h"

#include <stdlib.h>
#include <string.h>

#include <larder/memory.h>
#include <larder/util/message.h>

extern const struct larder_backend larder_memory_backend;

struct flaky_record flaky;

struct cache {
    void *memory;
    int users; /* caches of one list each */
};

/* The same in memory. */
static struct larder_scope inside(const struct larder_scope *scope)
{
    struct larder_scope inner = *scope;
    inner.self = ((struct cache *)scope->self)->memory;
    return inner;
}

static enum larder_status flaky_read(const struct larder_scope *scope, struct larder_slice key,
                                     void *buffer, size_t size, struct larder_info *info)
{
    struct larder_scope inner = inside(scope);
    return flaky.is_down ? LARDER_UNAVAILABLE
                         : larder_memory_backend.ops->read(&inner, key, buffer, size, info);
}

static enum larder_status flaky_store(const struct larder_scope *scope, enum larder_mode mode,
                                      struct larder_slice key, const struct larder_write *write,
                                      uint64_t *version)
{
    struct larder_scope inner = inside(scope);
    return flaky.is_down ? LARDER_UNAVAILABLE
                         : larder_memory_backend.ops->store(&inner, mode, key, write, version);
}

static enum larder_status flaky_remove(const struct larder_scope *scope, struct larder_slice key,
                                       uint64_t version)
{
    struct larder_scope inner = inside(scope);
    return flaky.is_down ? LARDER_UNAVAILABLE
                         : larder_memory_backend.ops->remove(&inner, key, version);
}

static enum larder_status flaky_flush(const struct larder_scope *scope)
{
    struct larder_scope inner = inside(scope);
    return flaky.is_down ? LARDER_UNAVAILABLE : larder_memory_backend.ops->flush(&inner);
}

static const struct larder_traits *flaky_traits(const void *self)
{
    static struct larder_traits traits;
    const struct cache *cache = self;
    const uint64_t lacks = LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT |
                           LARDER_CAN_COUNT_INITIAL | LARDER_CAN_NAMESPACES | LARDER_CAN_LEASE |
                           LARDER_CAN_KEYS | LARDER_CAN_WIRE_KEY;
    traits = *larder_memory_backend.ops->traits(cache->memory);
    traits.can &= ~lacks;
    traits.promises |= LARDER_SHARED;
    return &traits;
}

static void flaky_close(void *self)
{
    struct cache *cache = self;
    flaky.closed++;
    if (--cache->users > 0)
        return;
    larder_memory_backend.ops->shutdown(cache->memory);
    larder_memory_backend.ops->close(cache->memory);
    free(cache);
}

static enum larder_status flaky_open(const struct larder_host *host, const void *given,
                                     struct larder_message *message, void **self)
{
    const struct flaky_options *options = given;
    struct larder_memory_options memory = LARDER_MEMORY_OPTIONS_INIT;
    memory.max_bytes = 1u << 20;
    if (options->weight == 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "weight: without one it can't be opened");
    struct cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = larder_memory_backend.open(host, &memory, message, &cache->memory);
    if (status != LARDER_OK) {
        free(cache);
        return status;
    }
    cache->users = 1;
    flaky.opened++;
    *self = cache;
    return LARDER_OK;
}

static enum larder_status flaky_relist(const struct larder_host *host, const void *options,
                                       void *predecessor, struct larder_message *message,
                                       void **self)
{
    struct cache *before = predecessor;
    (void)host, (void)options, (void)message;
    before->users++;
    flaky.relisted++;
    *self = before;
    return LARDER_OK;
}

static enum larder_status flaky_succeed(const struct larder_host *host, const void *options,
                                        void *predecessor, struct larder_message *message,
                                        void **self)
{
    (void)predecessor;
    return flaky_open(host, options, message, self);
}

static const struct larder_ops flaky_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "flaky",
    .read = flaky_read,
    .store = flaky_store,
    .remove = flaky_remove,
    .flush = flaky_flush,
    .traits = flaky_traits,
    .close = flaky_close,
};

#define LARDER_OPTIONS_STRUCT struct flaky_options
static const struct larder_option flaky_options[] = {
    FLAKY_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

const struct larder_backend flaky_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "flaky",
    .sentence = "can be down",
    .ops = &flaky_ops,
    .open = flaky_open,
    .options = flaky_options,
    .option_count = sizeof(flaky_options) / sizeof(flaky_options[0]),
    .options_size = sizeof(struct flaky_options),
    .succeed = flaky_succeed,
    .relist = flaky_relist,
};
