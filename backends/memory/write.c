/*
 * Storing, deleting, touching and counting. A store decides first and makes room afterwards, so
 * that nothing is evicted for a store that is refused. Whatever is stored is a new item with a new
 * version, which also voids a lease.
 */
#include "operations.h"

#include <larder/util/counter.h>

#include "visit.h"

/* ---- store --------------------------------------------------------------------------------- */

struct store_arguments {
    const struct larder_scope *scope;
    enum larder_mode mode;
    const struct larder_write *write;
    uint64_t *version;
};

static bool joins(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

/* Whether what is there lets the store go on. */
static enum larder_status admit(const struct visit *visit, const struct store_arguments *store)
{
    uint64_t version = 0;
    if (store->mode == LARDER_SET)
        return LARDER_OK;
    if (store->mode == LARDER_ADD)
        return visit->presence == PRESENT ? LARDER_EXISTS : LARDER_OK;
    if (visit->presence != PRESENT)
        return LARDER_MISS;
    if (store->mode == LARDER_CAS)
        version = store->write->version;
    else if (joins(store->mode))
        version = larder__call_version(store->scope);
    return version == 0 || version == visit->item->version ? LARDER_OK : LARDER_CONFLICT;
}

static void draft_of_write(const struct visit *visit, const struct larder_write *write,
                           struct draft *draft)
{
    *draft = (struct draft){.head = write->value.data,
                            .head_length = write->value.length,
                            .flags = write->flags,
                            .absent = (write->marks & LARDER_WRITE_ABSENT) != 0};
    larder__draft_expires(visit, draft, write->ttl_ms);
}

static void draft_of_joined(const struct visit *visit, const struct store_arguments *store,
                            struct draft *draft)
{
    struct larder_slice old = larder__item_value(visit->item);
    struct larder_slice more = store->write->value;
    bool behind = store->mode == LARDER_APPEND;
    *draft = (struct draft){.head = behind ? old.data : more.data,
                            .head_length = behind ? old.length : more.length,
                            .tail = behind ? more.data : old.data,
                            .tail_length = behind ? more.length : old.length,
                            .flags = larder__part_u32(visit->item, ITEM_FLAGS),
                            .slides_ms = larder__part_u32(visit->item, ITEM_SLIDES),
                            .expiry_ms = larder__item_expiry_ms(visit->item)};
}

static enum larder_status store_attempt(struct visit *visit, void *arguments)
{
    const struct store_arguments *store = arguments;
    enum larder_status status = admit(visit, store);
    if (status != LARDER_OK)
        return status;
    visit->gives_up_old = store->mode == LARDER_SET;
    struct draft draft;
    if (joins(store->mode))
        draft_of_joined(visit, store, &draft);
    else
        draft_of_write(visit, store->write, &draft);
    status = larder__visit_put(visit, &draft);
    if (status == LARDER_OK)
        *store->version = draft.version;
    return status;
}

enum larder_status larder__memory_store(const struct larder_scope *scope, enum larder_mode mode,
                                        struct larder_slice key, const struct larder_write *write,
                                        uint64_t *version)
{
    enum width width = larder__memory_of(scope)->hash_key.width;
    return PICK_BY_WIDTH(width, larder__memory_store)(scope, mode, key, write, version);
}

enum larder_status larder__store_generally(const struct larder_scope *scope, enum larder_mode mode,
                                           struct larder_slice key,
                                           const struct larder_write *write, uint64_t *version)
{
    struct store_arguments store = {scope, mode, write, version};
    return larder__visit_storing(scope, key, store_attempt, &store);
}

/* ---- delete -------------------------------------------------------------------------------- */

/* A plain delete also drops what others see as missing: a negative entry, a lease. */
static enum larder_status remove_found(struct visit *visit, uint64_t version)
{
    enum larder_status status = visit->presence == PRESENT ? LARDER_OK : LARDER_MISS;
    if (visit->item == NULL)
        return LARDER_MISS;
    if (version != 0 && status == LARDER_MISS)
        return LARDER_MISS;
    if (version != 0 && version != visit->item->version)
        return LARDER_CONFLICT;
    larder__visit_remove(visit);
    return status;
}

enum larder_status larder__memory_remove(const struct larder_scope *scope, struct larder_slice key,
                                         uint64_t version)
{
    struct visit visit;
    enum larder_status status = larder__visit_begin(&visit, scope, key);
    if (status != LARDER_OK)
        return status;
    status = remove_found(&visit, version);
    larder__visit_end(&visit);
    return status;
}

/* ---- touch --------------------------------------------------------------------------------- */

struct touch_arguments {
    uint64_t version;
    int64_t ttl_ms;
};

static enum larder_status touch_attempt(struct visit *visit, void *arguments)
{
    const struct touch_arguments *touch = arguments;
    if (visit->presence != PRESENT)
        return LARDER_MISS;
    if (touch->version != 0 && touch->version != visit->item->version)
        return LARDER_CONFLICT;
    return larder__visit_touch(visit, touch->ttl_ms);
}

enum larder_status larder__memory_touch(const struct larder_scope *scope, struct larder_slice key,
                                        int64_t ttl_ms)
{
    struct touch_arguments touch = {larder__call_version(scope), ttl_ms};
    return larder__visit_storing(scope, key, touch_attempt, &touch);
}

/* ---- count --------------------------------------------------------------------------------- */

struct count_arguments {
    const struct larder_scope *scope;
    enum larder_direction direction;
    uint64_t delta;
    const struct larder_initial *initial;
    uint64_t *result;
};

static enum larder_status put_number(struct visit *visit, struct draft *draft, uint64_t number,
                                     uint64_t *result)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    draft->head_length = larder_counter_format(number, text);
    draft->head = (const unsigned char *)text;
    enum larder_status status = larder__visit_put(visit, draft);
    if (status == LARDER_OK)
        *result = number;
    return status;
}

static enum larder_status count_first(struct visit *visit, const struct count_arguments *count)
{
    const struct larder_initial *initial = count->initial;
    if (initial == NULL || larder__call_version(count->scope) != 0)
        return LARDER_MISS;
    struct draft draft = {.flags = initial->flags};
    larder__draft_expires(visit, &draft, initial->ttl_ms);
    uint64_t number = larder_counter_step(initial->value, count->direction, count->delta);
    return put_number(visit, &draft, number, count->result);
}

static enum larder_status count_attempt(struct visit *visit, void *arguments)
{
    const struct count_arguments *count = arguments;
    const struct item *item = visit->item;
    uint64_t version = larder__call_version(count->scope);
    int64_t touch_ms = larder__call_touch(count->scope);
    uint64_t number;
    if (visit->presence != PRESENT)
        return count_first(visit, count);
    if (version != 0 && version != item->version)
        return LARDER_CONFLICT;
    if (!larder_counter_parse(larder__item_value(item), &number))
        return LARDER_NOT_A_NUMBER;
    struct draft draft = {.flags = larder__part_u32(item, ITEM_FLAGS),
                          .slides_ms = larder__part_u32(item, ITEM_SLIDES),
                          .expiry_ms = larder__item_expiry_ms(item)};
    if (touch_ms != LARDER_TTL_UNKNOWN)
        larder__draft_expires(visit, &draft, touch_ms);
    number = larder_counter_step(number, count->direction, count->delta);
    return put_number(visit, &draft, number, count->result);
}

enum larder_status larder__memory_count(const struct larder_scope *scope, struct larder_slice key,
                                        enum larder_direction direction, uint64_t delta,
                                        const struct larder_initial *initial, uint64_t *result)
{
    struct count_arguments count = {scope, direction, delta, initial, result};
    return larder__visit_storing(scope, key, count_attempt, &count);
}
