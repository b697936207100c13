/* Reads of one key: with and without the value, with and without a new TTL. */
#include "meta.h"

#include <larder/util/value.h>

struct read_question {
    struct question question;
    const struct delivery *delivery;
    struct amends amends;
};

/* ---- what a read is ------------------------------------------------------------------------ */

/* A touch asks for the TTL that was, to put it back where what it met is missing. */
static void add_touch(struct larder_meta_request *request, int64_t ttl_ms)
{
    if (ttl_ms == LARDER_TTL_UNKNOWN)
        return;
    request->flags |= LARDER_META_FLAG_TTL | LARDER_META_FLAG_RETURN_TTL;
    request->ttl = meta_exptime_from_now(ttl_ms);
    request->ttl_before = 1;
}

void meta_read_request(struct larder_meta_request *request, struct larder_slice wire,
                       const struct delivery *delivery)
{
    const struct larder_info *info =
        delivery->value != NULL ? &delivery->value->info : delivery->info;
    request->command = LARDER_META_GET;
    request->flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_VALUE | LARDER_META_FLAG_RETURN_FLAGS;
    request->key = wire;
    request->key_checked = 1;
    request->ttl_before = 0;
    if (info != NULL && (info->want & LARDER_WANT_VERSION) != 0)
        request->flags |= LARDER_META_FLAG_RETURN_VERSION;
    if (info != NULL && (info->want & LARDER_WANT_TTL) != 0)
        request->flags |= LARDER_META_FLAG_RETURN_TTL;
    if (info != NULL && (info->want & LARDER_WANT_ACCESS) != 0)
        request->flags |= LARDER_META_FLAG_RETURN_HIT | LARDER_META_FLAG_RETURN_ACCESS;
    add_touch(request, delivery->touch_ttl_ms);
}

void meta_touch_request(struct larder_meta_request *request, struct larder_slice wire,
                        int64_t ttl_ms)
{
    *request =
        (struct larder_meta_request){.command = LARDER_META_GET,
                                     .flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_RETURN_FLAGS |
                                              LARDER_META_FLAG_RETURN_SIZE,
                                     .key = wire};
    add_touch(request, ttl_ms);
}

enum larder_status meta_touch_answer(const struct larder_meta_reply *reply)
{
    return meta_state_of(reply) == STATE_LIVE ? LARDER_OK : LARDER_MISS;
}

/* What is left at the least: the last second is under way, see meta_exptime_from_now(). Less than a
 * second is not "for ever". */
static int64_t ttl_ms_of(int64_t ttl_s)
{
    return ttl_s < 0 ? LARDER_TTL_FOREVER : ttl_s <= 1 ? 1 : (ttl_s - 1) * 1000;
}

static void take_info(struct larder_info *info, const struct delivery *delivery,
                      const struct larder_meta_reply *reply)
{
    if (info == NULL)
        return;
    info->flags = reply->client_flags;
    info->length = reply->value_length;
    if ((reply->present & LARDER_META_FLAG_RETURN_VERSION) != 0)
        info->version = reply->version;
    if ((reply->present & LARDER_META_FLAG_RETURN_TTL) != 0) /* or what it was before the touch */
        info->ttl_ms = delivery->touch_ttl_ms != LARDER_TTL_UNKNOWN ? delivery->touch_ttl_ms
                                                                    : ttl_ms_of(reply->ttl_s);
    if ((reply->present & LARDER_META_FLAG_RETURN_ACCESS) != 0)
        info->idle_ms = (int64_t)reply->access_s * 1000;
    if ((reply->present & LARDER_META_FLAG_RETURN_HIT) != 0 && reply->hit_before != 0)
        info->marks |= LARDER_HIT_BEFORE;
}

enum larder_status meta_deliver_value(const struct delivery *delivery,
                                      const struct larder_meta_reply *reply, void **sink,
                                      size_t *sink_size)
{
    size_t length = reply->value_length;
    if (delivery->value == NULL) {
        take_info(delivery->info, delivery, reply);
        *sink = delivery->buffer;
        *sink_size = length < delivery->size ? length : delivery->size;
        return length > delivery->size ? LARDER_PARTIAL : LARDER_OK;
    }
    *sink = larder_value_allocate(delivery->value, length);
    if (*sink == NULL)
        return LARDER_NO_MEMORY;
    *sink_size = length;
    take_info(&delivery->value->info, delivery, reply);
    return LARDER_OK;
}

enum larder_status meta_deliver(const struct delivery *delivery,
                                const struct larder_meta_reply *reply, void **sink,
                                size_t *sink_size)
{
    return meta_state_of(reply) == STATE_LIVE ? meta_deliver_value(delivery, reply, sink, sink_size)
                                              : LARDER_MISS;
}

void meta_undeliver(const struct delivery *delivery)
{
    struct larder_value *value = delivery->value;
    if (value == NULL) {
        larder_info_clear(delivery->info);
        return;
    }
    if (value->owner != NULL)
        value->owner->release(value->owner);
    value->owner = NULL;
    value->bytes = larder_bytes(NULL, 0);
    larder_info_clear(&value->info);
}

/* ---- read, get, touch ---------------------------------------------------------------------- */

static int take_read(struct question *question, const struct larder_meta_reply *reply, void **sink,
                     size_t *sink_size)
{
    struct read_question *read = (struct read_question *)(void *)question;
    read->amends = meta_amends_of(&question->request, reply);
    question->status = meta_deliver(read->delivery, reply, sink, sink_size);
    return 1;
}

enum larder_status meta_call_read(struct call *call, const struct target *target,
                                  const struct delivery *delivery)
{
    struct read_question read;
    meta_question_init(&read.question, take_read, delivery->touch_ttl_ms == LARDER_TTL_UNKNOWN);
    read.delivery = delivery;
    meta_read_request(&read.question.request, target->wire.bytes, delivery);
    enum larder_status status = meta_ask(call, target->site, &read.question);
    if (status < 0)
        meta_undeliver(delivery);
    else
        meta_make_amends(call, target, &read.amends);
    return status;
}

static enum larder_status read_by_scope(const struct larder_scope *scope, struct larder_slice key,
                                        const struct delivery *delivery)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status == LARDER_OK)
        status = meta_call_read(&call, &target, delivery);
    return status;
}

static int64_t touch_ttl_of(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->touch_ttl_ms : LARDER_TTL_UNKNOWN;
}

enum larder_status meta_read(const struct larder_scope *scope, struct larder_slice key,
                             void *buffer, size_t size, struct larder_info *info)
{
    const struct delivery delivery = {info, NULL, buffer, size, touch_ttl_of(scope)};
    return read_by_scope(scope, key, &delivery);
}

enum larder_status meta_get(const struct larder_scope *scope, struct larder_slice key,
                            struct larder_value *value)
{
    const struct delivery delivery = {NULL, value, NULL, 0, touch_ttl_of(scope)};
    return read_by_scope(scope, key, &delivery);
}

enum larder_status meta_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                      int64_t ttl_ms, struct larder_value *value)
{
    const struct delivery delivery = {NULL, value, NULL, 0, ttl_ms};
    return read_by_scope(scope, key, &delivery);
}

static int take_touch(struct question *question, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct read_question *touch = (struct read_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    touch->amends = meta_amends_of(&question->request, reply);
    question->status = meta_touch_answer(reply);
    return 1;
}

enum larder_status meta_touch(const struct larder_scope *scope, struct larder_slice key,
                              int64_t ttl_ms)
{
    struct call call;
    struct target target;
    struct read_question touch = {.question = {.answer = take_touch}};
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status != LARDER_OK)
        return status;
    meta_touch_request(&touch.question.request, target.wire.bytes, ttl_ms);
    status = meta_ask(&call, target.site, &touch.question);
    if (status >= 0)
        meta_make_amends(&call, &target, &touch.amends);
    return status;
}
