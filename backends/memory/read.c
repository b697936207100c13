/*
 * Reading: no lock, no allocation but for a view's own bytes, no system call, and nothing written
 * that another thread writes but the counter of an item that is not hot yet.
 */
#include "operations.h"

#include <larder/util/value.h>

#include "look.h"

static int64_t ttl_left_ms(const struct look *look)
{
    if (look->expiry_ms == UINT64_MAX)
        return LARDER_TTL_FOREVER;
    /* What was added because the clock is coarse is not told; what is there has something left. */
    uint64_t until_ms = look->now_ms + look->memory->clock.slack_ms;
    return look->expiry_ms > until_ms ? (int64_t)(look->expiry_ms - until_ms) : 1;
}

void larder__look_info(const struct look *look, const struct item *item, struct larder_info *info)
{
    if (info == NULL)
        return;
    info->flags = larder__part_u32(item, ITEM_FLAGS);
    info->length = larder__item_value(item).length;
    info->version = item->version;
    if ((info->want & LARDER_WANT_TTL) != 0)
        info->ttl_ms = ttl_left_ms(look);
}

enum larder_status larder__view(const struct look *look, const struct item *item,
                                struct larder_value *value)
{
    struct large *large = larder__item_block(item).large;
    struct larder_slice bytes = larder__item_value(item);
    if (large != NULL && large->value_length > VALUE_INLINE_MAX)
        larder__large_view(large, value);
    else if (larder_value_copy(value, bytes.data, bytes.length) != LARDER_OK)
        return LARDER_NO_MEMORY;
    larder__look_info(look, item, &value->info);
    return LARDER_OK;
}

/* ---- options of the call -------------------------------------------------------------------- */

struct touching {
    const struct larder_scope *scope;
    void *buffer;
    size_t size;
    struct larder_info *info;   /* of read */
    struct larder_value *value; /* of get; else NULL */
    int64_t ttl_ms;
};

static enum larder_status touching_attempt(struct visit *visit, void *arguments)
{
    const struct touching *touching = arguments;
    if (visit->presence != PRESENT)
        return visit->presence == NEGATIVE ? LARDER_ABSENT : LARDER_MISS;
    larder__item_hit(visit->memory, visit->item, visit->thread);
    enum larder_status status = larder__visit_touch(visit, touching->ttl_ms);
    if (status != LARDER_OK)
        return status;
    struct look look = larder__look_of_visit(visit);
    if (touching->value != NULL)
        return larder__view(&look, visit->item, touching->value);
    return larder__copy_value(&look, visit->item, touching->buffer, touching->size, touching->info);
}

static enum larder_status read_touching(const struct larder_scope *scope, struct larder_slice name,
                                        struct touching *touching)
{
    touching->scope = scope;
    return larder__visit_storing(scope, name, touching_attempt, touching);
}

/* Out of the way of plain reads. */
__attribute__((noinline)) static enum larder_status copy_touching(const struct larder_scope *scope,
                                                                  struct larder_slice name,
                                                                  void *buffer, size_t size,
                                                                  struct larder_info *info)
{
    struct touching touching = {
        .buffer = buffer, .size = size, .info = info, .ttl_ms = larder__call_touch(scope)};
    return read_touching(scope, name, &touching);
}

enum larder_status larder__memory_get_and_touch(const struct larder_scope *scope,
                                                struct larder_slice name, int64_t ttl_ms,
                                                struct larder_value *value)
{
    struct touching touching = {.value = value, .ttl_ms = ttl_ms};
    return read_touching(scope, name, &touching);
}

/* ---- read and get --------------------------------------------------------------------------- */

void larder__await_writer(struct memory *memory, uint64_t hash)
{
    struct call call;
    if (larder__call_begin(memory, &call) != LARDER_OK)
        return;
    struct stripe *stripe = larder__stripe_of(memory, hash);
    larder__brief_lock(&stripe->lock);
    larder__brief_unlock(&stripe->lock);
    larder__call_end(&call);
}

/* Enters a section, and finds and looks at what lies under the key. @return false: the cache is
 * closed, and the section was left */
ALWAYS_INLINE bool find(struct look *look, const struct key *key, struct item **item)
{
    struct memory *memory = look->memory;
    for (;;) {
        larder_epoch_enter(&memory->epoch, look->thread);
        const struct index *index = larder__index(memory);
        if (__builtin_expect(index == NULL, 0)) {
            larder_epoch_leave(look->thread);
            return false;
        }
        *item = larder__index_find(index, &memory->arena, key);
        enum sight sight = larder__look_at(look, *item);
        if (__builtin_expect(sight == SIGHT_CLEAR, 1))
            return true;
        /* neither a clock of anybody's nor a lock within a section */
        larder_epoch_leave(look->thread);
        if (sight == SIGHT_CLAIMED)
            larder__await_writer(memory, key->hash);
        look->now_ms = larder__now_ms(memory);
    }
}

enum larder_status larder__memory_read(const struct larder_scope *scope, struct larder_slice name,
                                       void *buffer, size_t size, struct larder_info *info)
{
    struct look look;
    struct item *item;
    if (__builtin_expect(larder__call_touch(scope) != LARDER_TTL_UNKNOWN, 0))
        return copy_touching(scope, name, buffer, size, info);
    if (!larder__look_begin(&look, scope->self))
        return LARDER_NO_MEMORY;
    struct key key = larder__look_key(&look, scope, name);
    if (!find(&look, &key, &item))
        return LARDER_CLOSED;
    enum larder_status status = larder__look_judge(&look, item);
    if (status == LARDER_OK)
        status = larder__copy_value(&look, item, buffer, size, info);
    larder_epoch_leave(look.thread);
    larder__look_end(&look);
    return status;
}

/* A view of anything. */
__attribute__((noinline)) static enum larder_status
get_any(struct look *look, const struct key *key, struct larder_value *value)
{
    struct item *item;
    if (!find(look, key, &item))
        return LARDER_CLOSED;
    enum larder_status status = larder__look_judge(look, item);
    if (status == LARDER_OK)
        status = larder__view(look, item, value);
    larder_epoch_leave(look->thread);
    return status;
}

enum larder_status larder__memory_get(const struct larder_scope *scope, struct larder_slice name,
                                      struct larder_value *value)
{
    struct look look;
    if (__builtin_expect(larder__call_touch(scope) != LARDER_TTL_UNKNOWN, 0))
        return larder__memory_get_and_touch(scope, name, larder__call_touch(scope), value);
    if (!larder__look_begin(&look, scope->self))
        return LARDER_NO_MEMORY;
    enum larder_status status = LARDER_MISS;
    if ((value->info.want & LARDER_WANT_TTL) == 0)
        status = PICK_BY_WIDTH(look.memory->hash_key.width, larder__view_plain)(&look, scope, name,
                                                                                value);
    if (status == LARDER_MISS) {
        struct key key = larder__look_key(&look, scope, name);
        status = get_any(&look, &key, value);
    }
    larder__look_end(&look);
    return status;
}
