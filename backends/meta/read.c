/* Reads of one key: with and without the value, with and without a new TTL. */
#include "meta.h"

#include <larder/util/value.h>

struct read_question {
    struct question question;
    const struct delivery *delivery;
    int won;
};

/* ---- what a read is ------------------------------------------------------------------------ */

void meta_read_request(struct larder_meta_request *request, struct larder_slice wire,
                       const struct larder_info *info, int64_t touch_ttl_ms)
{
    *request = (struct larder_meta_request){.command = LARDER_META_GET,
                                            .flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_VALUE |
                                                     LARDER_META_FLAG_RETURN_FLAGS,
                                            .key = wire};
    if (info != NULL && (info->want & LARDER_WANT_VERSION) != 0)
        request->flags |= LARDER_META_FLAG_RETURN_VERSION;
    if (info != NULL && (info->want & LARDER_WANT_TTL) != 0)
        request->flags |= LARDER_META_FLAG_RETURN_TTL;
    if (touch_ttl_ms != LARDER_TTL_UNKNOWN) {
        request->flags |= LARDER_META_FLAG_TTL;
        request->ttl = meta_exptime_from_now(touch_ttl_ms);
    }
}

/* Stale, or the placeholder of a lease: nothing that a plain read may see. */
static int is_missing(const struct larder_meta_reply *reply)
{
    return reply->code == LARDER_META_EN || (reply->marks & LARDER_META_STALE) != 0 ||
           (reply->marks != 0 && reply->value_length == 0 && reply->client_flags == 0);
}

int meta_is_unwanted_win(const struct larder_meta_reply *reply)
{
    return (reply->marks & LARDER_META_WON) != 0;
}

/* What is left at the least: the last second is under way, see meta_exptime_from_now(). Less than a
 * second is not "for ever". */
static int64_t ttl_ms_of(int64_t ttl_s)
{
    return ttl_s < 0 ? LARDER_TTL_FOREVER : ttl_s <= 1 ? 1 : (ttl_s - 1) * 1000;
}

static void take_info(struct larder_info *info, const struct larder_meta_reply *reply)
{
    if (info == NULL)
        return;
    info->flags = reply->client_flags;
    info->length = reply->value_length;
    if ((reply->present & LARDER_META_FLAG_RETURN_VERSION) != 0)
        info->version = reply->version;
    if ((reply->present & LARDER_META_FLAG_RETURN_TTL) != 0)
        info->ttl_ms = ttl_ms_of(reply->ttl_s);
}

int meta_deliver(const struct delivery *delivery, const struct larder_meta_reply *reply,
                 void **sink, size_t *sink_size, enum larder_status *status)
{
    *status = LARDER_MISS;
    if (is_missing(reply))
        return 1;
    size_t length = reply->value_length;
    if (delivery->value == NULL) {
        take_info(delivery->info, reply);
        *sink = delivery->buffer;
        *sink_size = length < delivery->size ? length : delivery->size;
        *status = length > delivery->size ? LARDER_PARTIAL : LARDER_OK;
        return 1;
    }
    *sink = larder_value_allocate(delivery->value, length);
    *sink_size = *sink != NULL ? length : 0;
    *status = *sink != NULL ? LARDER_OK : LARDER_NO_MEMORY;
    if (*sink != NULL)
        take_info(&delivery->value->info, reply);
    return 1;
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

/* ---- wins that nobody asked for ------------------------------------------------------------ */

struct version_question {
    struct question question;
    uint64_t version; /* 0: it is not stale any more */
};

static int take_version(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    struct version_question *wanted = (struct version_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    if ((reply->marks & LARDER_META_STALE) != 0)
        wanted->version = reply->version;
    question->status = LARDER_OK;
    return 1;
}

static int take_return(struct question *question, const struct larder_meta_reply *reply,
                       void **sink, size_t *sink_size)
{
    (void)reply; /* gone, or replaced meanwhile: just as well */
    (void)sink;
    (void)sink_size;
    question->status = LARDER_OK;
    return 1;
}

/* By its version, so that a value which was stored meanwhile is left alone. A failure costs the
 * next readers their turn until the stale entry dies, and nothing else. */
void meta_return_win(struct call *call, const struct target *target)
{
    struct version_question wanted = {
        .question = {
            .request = {.command = LARDER_META_GET,
                        .flags = LARDER_META_FLAG_RETURN_VERSION | LARDER_META_FLAG_NO_BUMP,
                        .key = target->wire.bytes},
            .answer = take_version,
            .is_read = 1}};
    if (meta_ask(call, target->site, &wanted.question) != LARDER_OK || wanted.version == 0)
        return;
    struct question back = {
        .request = {.command = LARDER_META_DELETE,
                    .flags = LARDER_META_FLAG_INVALIDATE | LARDER_META_FLAG_COMPARE,
                    .key = target->wire.bytes,
                    .compare = wanted.version},
        .answer = take_return};
    if (meta_ask(call, target->site, &back) == LARDER_OK)
        META_COUNT(call->meta, wins_returned);
}

/* ---- read, get, touch ---------------------------------------------------------------------- */

static int take_read(struct question *question, const struct larder_meta_reply *reply, void **sink,
                     size_t *sink_size)
{
    struct read_question *read = (struct read_question *)(void *)question;
    read->won = meta_is_unwanted_win(reply);
    return meta_deliver(read->delivery, reply, sink, sink_size, &question->status);
}

enum larder_status meta_call_read(struct call *call, const struct target *target,
                                  const struct delivery *delivery, int64_t touch_ttl_ms)
{
    const struct larder_info *info =
        delivery->value != NULL ? &delivery->value->info : delivery->info;
    struct read_question read = {.question = {.answer = take_read,
                                              .is_read = touch_ttl_ms == LARDER_TTL_UNKNOWN,
                                              .status = LARDER_MISS},
                                 .delivery = delivery};
    meta_read_request(&read.question.request, target->wire.bytes, info, touch_ttl_ms);
    enum larder_status status = meta_ask(call, target->site, &read.question);
    if (status < 0)
        meta_undeliver(delivery);
    else if (read.won)
        meta_return_win(call, target);
    return status;
}

static enum larder_status read_by_scope(const struct larder_scope *scope, struct larder_slice key,
                                        const struct delivery *delivery, int64_t touch_ttl_ms)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status == LARDER_OK)
        status = meta_call_read(&call, &target, delivery, touch_ttl_ms);
    return status;
}

static int64_t touch_ttl_of(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->touch_ttl_ms : LARDER_TTL_UNKNOWN;
}

enum larder_status meta_read(const struct larder_scope *scope, struct larder_slice key,
                             void *buffer, size_t size, struct larder_info *info)
{
    const struct delivery delivery = {info, NULL, buffer, size};
    return read_by_scope(scope, key, &delivery, touch_ttl_of(scope));
}

enum larder_status meta_get(const struct larder_scope *scope, struct larder_slice key,
                            struct larder_value *value)
{
    const struct delivery delivery = {NULL, value, NULL, 0};
    return read_by_scope(scope, key, &delivery, touch_ttl_of(scope));
}

enum larder_status meta_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                      int64_t ttl_ms, struct larder_value *value)
{
    const struct delivery delivery = {NULL, value, NULL, 0};
    return read_by_scope(scope, key, &delivery, ttl_ms);
}

static int take_touch(struct question *question, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct read_question *touch = (struct read_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    touch->won = meta_is_unwanted_win(reply);
    question->status = reply->code == LARDER_META_EN || (reply->marks & LARDER_META_STALE) != 0
                           ? LARDER_MISS
                           : LARDER_OK;
    return 1;
}

enum larder_status meta_touch(const struct larder_scope *scope, struct larder_slice key,
                              int64_t ttl_ms)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status != LARDER_OK)
        return status;
    struct read_question touch = {
        .question = {.request = {.command = LARDER_META_GET,
                                 .flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_TTL,
                                 .key = target.wire.bytes,
                                 .ttl = meta_exptime_from_now(ttl_ms)},
                     .answer = take_touch}};
    status = meta_ask(&call, target.site, &touch.question);
    if (touch.won)
        meta_return_win(&call, &target);
    return status;
}
