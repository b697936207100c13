/*
 * How large a value a server takes. memcached drops the old value when it refuses a new one, so
 * what is too large is never sent: each server is asked for its largest item before the first store
 * that could be too large for any server, and again after it was away.
 */
#include "edge.h"

#include <stdlib.h>
#include <string.h>

/* Source: measured on memcached 1.6.18; exact for keys of 1 to 250 bytes. */
#define ITEM_HEADER_BYTES 59u
#define ITEM_FLAGS_BYTES 4u
/* The smallest -I that memcached takes, so no server need be asked about less. */
#define ITEM_MAX_SMALLEST 1024u
#define ITEM_MAX_DEFAULT 1048576u

struct settings_talk {
    struct talk talk;
    uint64_t item_max;
};

static memcached_return_t take_setting(const memcached_instance_st *server, const char *key,
                                       size_t key_length, const char *value, size_t value_length,
                                       void *context)
{
    static const char wanted[] = "item_size_max";
    struct settings_talk *settings = context;
    char digits[24] = "";
    (void)server;
    if (key_length != sizeof(wanted) - 1 || memcmp(key, wanted, key_length) != 0 ||
        value_length >= sizeof(digits))
        return MEMCACHED_SUCCESS;
    memcpy(digits, value, value_length);
    settings->item_max = strtoull(digits, NULL, 10);
    return MEMCACHED_SUCCESS;
}

static enum fate ask_settings(struct link *link, struct talk *talk)
{
    struct settings_talk *settings = (struct settings_talk *)talk;
    memcached_return_t code =
        memcached_stat_execute(link->handle, "settings", take_setting, settings);
    if (code != MEMCACHED_SUCCESS || !link_alive(link) ||
        memcached_last_error(link->handle) != MEMCACHED_SUCCESS)
        return link_fate(link, code);
    talk->status = LARDER_OK;
    return FATE_CLEAN;
}

static enum larder_status site_item_max(struct call *call, uint32_t index, uint64_t *item_max)
{
    struct site *site = &call->edge->sites[index];
    *item_max = atomic_load_explicit(&site->item_max, memory_order_relaxed);
    if (*item_max != 0)
        return LARDER_OK;
    struct settings_talk settings = {.talk = {.run = ask_settings, .is_read = 1}};
    enum larder_status status = converse(call, index, &settings.talk);
    if (status != LARDER_OK)
        return status;
    /* A proxy may not say. */
    *item_max = settings.item_max != 0 ? settings.item_max : ITEM_MAX_DEFAULT;
    atomic_store_explicit(&site->item_max, *item_max, memory_order_relaxed);
    return LARDER_OK;
}

enum larder_status limit_check(struct call *call, const struct target *target, size_t length,
                               uint32_t flags)
{
    uint64_t item_max;
    uint64_t item = ITEM_HEADER_BYTES + target->wire.bytes.length + length +
                    (flags != 0 ? ITEM_FLAGS_BYTES : 0);
    if (item <= ITEM_MAX_SMALLEST)
        return LARDER_OK;
    enum larder_status status = site_item_max(call, target->site, &item_max);
    if (status != LARDER_OK)
        return status;
    return item > item_max ? LARDER_TOO_LARGE : LARDER_OK;
}
