#include "fake_servers.h"

#include <stddef.h>
#include <string.h>

#include <larder/memory.h>

static struct fake_servers *servers_of(const struct larder_scope *scope)
{
    return scope->self;
}

static uint32_t fake_place(const struct larder_scope *scope, struct larder_slice key)
{
    struct fake_servers *servers = servers_of(scope);
    if (scope->server != 0)
        return scope->server - 1;
    if (scope->call != NULL && scope->call->routing_key.length > 0)
        key = scope->call->routing_key;
    return ((const unsigned char *)key.data)[key.length - 1] % servers->count;
}

static uint32_t fake_servers_count(const struct larder_scope *scope)
{
    return servers_of(scope)->count;
}

/* @return the memory cache, or NULL and the status of a server that is down */
static struct larder_cache *reach(const struct larder_scope *scope, struct larder_slice key,
                                  enum larder_status *status)
{
    struct fake_servers *servers = servers_of(scope);
    uint32_t server = fake_place(scope, key);
    atomic_fetch_add(&servers->calls[server], 1);
    servers->seen_deadline_ns = scope->deadline_ns;
    *status = (enum larder_status)atomic_load(&servers->status[server]);
    return *status == LARDER_OK ? servers->memory[server] : NULL;
}

static enum larder_status fake_read(const struct larder_scope *scope, struct larder_slice key,
                                    void *buffer, size_t size, struct larder_info *info)
{
    struct fake_servers *servers = servers_of(scope);
    enum larder_status status;
    struct larder_cache *memory = reach(scope, key, &status);
    if (memory == NULL)
        return status;
    if (servers->before_get != NULL && servers->skip_gets-- == 0)
        servers->before_get(servers->before_get_context);
    status = larder_read(memory, key, buffer, size, info);
    if (servers->after_read != NULL)
        servers->after_read(servers->after_read_context, fake_place(scope, key), key);
    return status;
}

static enum larder_status fake_store(const struct larder_scope *scope, enum larder_mode mode,
                                     struct larder_slice key, const struct larder_write *write,
                                     uint64_t *version)
{
    enum larder_status status;
    struct larder_cache *memory = reach(scope, key, &status);
    return memory != NULL ? larder_store(memory, mode, key, write, version) : status;
}

static enum larder_status fake_remove(const struct larder_scope *scope, struct larder_slice key,
                                      uint64_t version)
{
    enum larder_status status;
    struct larder_cache *memory = reach(scope, key, &status);
    return memory != NULL ? larder_delete(memory, key, version) : status;
}

static enum larder_status fake_count(const struct larder_scope *scope, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    struct fake_servers *servers = servers_of(scope);
    enum larder_status status;
    struct larder_cache *memory = reach(scope, key, &status);
    if (memory == NULL)
        return status;
    status = larder_count(memory, key, direction, delta, initial, result);
    if (servers->after_count != NULL)
        servers->after_count(servers->after_count_context);
    return status;
}

static enum larder_status fake_one(const struct larder_scope *scope, enum larder_many_kind many,
                                   enum larder_mode mode, struct larder_row *row)
{
    switch (many) {
    case LARDER_MANY_READ:
        return fake_read(scope, row->key, row->buffer, row->size, &row->value.info);
    case LARDER_MANY_GET:
        return scope->ops->get(scope, row->key, &row->value);
    case LARDER_MANY_STORE:
        return fake_store(scope, mode, row->key, &row->write, &row->value.info.version);
    case LARDER_MANY_DELETE:
        return fake_remove(scope, row->key, row->write.version);
    case LARDER_MANY_TOUCH:
        return scope->ops->touch(scope, row->key, row->write.ttl_ms);
    }
    return LARDER_UNSUPPORTED;
}

static void fake_many(const struct larder_scope *scope, enum larder_many_kind many,
                      enum larder_mode mode, const struct larder_rows *rows)
{
    servers_of(scope)->many_calls++;
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            larder_row_at(rows, i)->status = fake_one(scope, many, mode, larder_row_at(rows, i));
}

static enum larder_status fake_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, size_t *length)
{
    (void)scope;
    *length = key.length;
    memcpy(buffer, key.data, key.length < size ? key.length : size);
    return key.length > size ? LARDER_PARTIAL : LARDER_OK;
}

static const struct larder_traits *fake_traits(const void *self)
{
    return &((const struct fake_servers *)self)->traits;
}

static void fake_shutdown(void *self)
{
    ((struct fake_servers *)self)->shut_down++;
}

static void fake_close(void *self)
{
    struct fake_servers *servers = self;
    servers->closed++;
    for (uint32_t i = 0; i < servers->count; i++)
        larder_close(servers->memory[i]);
}

struct fake_options {
    size_t struct_size;
    uint64_t address; /* of the struct fake_servers */
};

static const struct larder_option fake_options[] = {
    {LARDER_OPTION_COUNT, offsetof(struct fake_options, address), "address", "of the settings", 0,
     0, UINT64_MAX, NULL, NULL},
};

static enum larder_status fake_open(const struct larder_host *host, const void *options,
                                    struct larder_message *message, void **self)
{
    (void)host, (void)message;
    struct fake_servers *servers =
        (struct fake_servers *)(uintptr_t)((const struct fake_options *)options)->address;
    struct larder_open_options memory_options = LARDER_OPEN_OPTIONS_INIT;
    memory_options.clock = servers->clock;
    for (uint32_t i = 0; i < servers->count; i++) {
        enum larder_status status =
            larder_memory_open(NULL, &memory_options, &servers->memory[i], NULL, 0);
        if (status != LARDER_OK)
            return status;
    }
    *self = servers;
    return LARDER_OK;
}

static void fill_in(struct fake_servers *servers)
{
    servers->traits = (struct larder_traits){
        .size = sizeof(struct larder_traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |
               LARDER_CAN_DELETE_VERSION | LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL |
               LARDER_CAN_READ_TTL | LARDER_CAN_WIRE_KEY,
        .options = LARDER_TAKES_ROUTING_KEY | LARDER_TAKES_TIMEOUT,
        .value_max = 1 << 20,
        .delta_max = UINT64_MAX,
        .ttl_step_ms = 1,
        .key_max = LARDER_KEY_BYTES_MAX,
    };
    servers->ops = (struct larder_ops){
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_ops),
        .name = "fake",
        .read = fake_read,
        .store = fake_store,
        .remove = fake_remove,
        .traits = fake_traits,
        .close = fake_close,
        .shutdown = fake_shutdown,
    };
    if (servers->required_rows_only) {
        servers->traits.can &=
            ~(uint64_t)(LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL | LARDER_CAN_WIRE_KEY);
    } else {
        servers->ops.count = fake_count;
        servers->ops.many = fake_many;
        servers->ops.wire_key = fake_wire_key;
        servers->ops.servers = fake_servers_count;
        servers->ops.place = fake_place;
    }
    servers->traits.can &= ~servers->can_not;
    servers->traits.options |= servers->takes;
    servers->traits.timeout_ms = servers->timeout_ms;
}

enum larder_status fake_servers_open(struct fake_servers *servers,
                                     const struct larder_open_options *options,
                                     struct larder_cache **cache)
{
    fill_in(servers);
    servers->backend = (struct larder_backend){
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_backend),
        .scheme = "fake",
        .sentence = "for tests",
        .ops = &servers->ops,
        .open = fake_open,
        .options = fake_options,
        .option_count = 1,
        .options_size = sizeof(struct fake_options),
    };
    struct fake_options own = {sizeof(own), (uint64_t)(uintptr_t)servers};
    return larder_open_backend(&servers->backend, &own, options, cache, NULL, 0);
}
