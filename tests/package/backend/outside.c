/* A backend from outside the tree, in a module: it forgets what is stored, and has one entry. */
#include <larder/backend.h>
#include <larder/util/hit.h>
#include <larder/util/message.h>
#include <larder/util/value.h>

#include <string.h>

static const char there[] = "there", value_there[] = "from outside";

static int is_there(struct larder_slice key)
{
    return key.length == strlen(there) && memcmp(key.data, there, key.length) == 0;
}

static enum larder_status outside_read(const struct larder_scope *scope, struct larder_slice key,
                                       void *buffer, size_t size, struct larder_info *info)
{
    (void)scope;
    return is_there(key) ? larder_copy_out(buffer, size, value_there, strlen(value_there), info)
                         : LARDER_MISS;
}

static enum larder_status outside_read_hit(struct larder_reader *reader, struct larder_slice key,
                                           void *buffer, size_t size,
                                           const struct larder_scope *scope)
{
    (void)scope;
    if (!is_there(key) || size < strlen(value_there))
        return reader->read_otherwise(reader, key, buffer, size);
    memcpy(buffer, value_there, strlen(value_there));
    return larder_hit_count(reader, LARDER_OPERATION_READ);
}

static enum larder_status outside_get_hit(struct larder_reader *reader, struct larder_slice key,
                                          struct larder_value *value,
                                          const struct larder_scope *scope)
{
    struct larder_value view = {0};
    (void)scope;
    larder_info_clear(&view.info);
    if (!is_there(key) || larder_value_copy(&view, value_there, strlen(value_there)) != LARDER_OK)
        return reader->get_otherwise(reader, key, value);
    *value = view;
    return larder_hit_count(reader, LARDER_OPERATION_GET);
}

static void outside_hits_of(struct larder_scope *scope, struct larder_hits *hits)
{
    (void)scope;
    hits->read = outside_read_hit;
    hits->get = outside_get_hit;
}

static enum larder_status outside_store(const struct larder_scope *scope, enum larder_mode mode,
                                        struct larder_slice key, const struct larder_write *write,
                                        uint64_t *version)
{
    (void)scope, (void)mode, (void)key, (void)write, (void)version;
    return LARDER_OK;
}

static enum larder_status outside_remove(const struct larder_scope *scope, struct larder_slice key,
                                         uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_MISS;
}

static const struct larder_traits *outside_traits(const void *self)
{
    static const struct larder_traits traits = {.size = sizeof(struct larder_traits),
                                                .value_max = 1 << 20};
    (void)self;
    return &traits;
}

static void outside_close(void *self)
{
    (void)self;
}

static enum larder_status outside_open(const struct larder_host *host, const void *options,
                                       struct larder_message *message, void **self)
{
    (void)options;
    if (host->clock.now_ns == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "a host without a clock");
    *self = NULL;
    return LARDER_OK;
}

static const struct larder_ops outside_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "outside",
    .read = outside_read,
    .store = outside_store,
    .remove = outside_remove,
    .traits = outside_traits,
    .close = outside_close,
    .hits_of = outside_hits_of,
};

static const struct larder_backend outside_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "outside",
    .sentence = "from outside the tree",
    .ops = &outside_ops,
    .open = outside_open,
    .options_size = sizeof(size_t),
};

static const struct larder_backend *const backends[] = {&outside_backend, NULL};

LARDER_API const struct larder_module larder_module = {OUTSIDE_VERSION,
                                                       sizeof(struct larder_module), backends};
