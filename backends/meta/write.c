/* Stores, deletes, counters, flush. Each is one operation of the server's. */
#include "meta.h"

#include <larder/util/counter.h>
#include <larder/util/value.h>

/* So often a counter that comes and goes between two steps is tried again. */
#define COUNT_ROUNDS 16

/* ---- stores -------------------------------------------------------------------------------- */

static int is_joining(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

void meta_store_request(struct larder_meta_request *request, enum larder_mode mode,
                        struct larder_slice wire, const struct larder_write *write)
{
    static const char modes[] = {
        [LARDER_SET] = 'S',    [LARDER_ADD] = 'E',     [LARDER_REPLACE] = 'R',
        [LARDER_APPEND] = 'A', [LARDER_PREPEND] = 'P', [LARDER_CAS] = 'S'};
    *request = (struct larder_meta_request){.command = LARDER_META_STORE,
                                            .flags = LARDER_META_FLAG_RETURN_VERSION,
                                            .key = wire,
                                            .value_length = write->value.length,
                                            .compare = write->version,
                                            .set_flags = write->flags,
                                            .ttl = meta_exptime_from_now(write->ttl_ms),
                                            .mode = modes[mode]};
    if (mode == LARDER_CAS)
        request->flags |= LARDER_META_FLAG_COMPARE;
    else if (mode != LARDER_SET)
        request->flags |= LARDER_META_FLAG_MODE;
    if (request->ttl != 0 && !is_joining(mode))
        request->flags |= LARDER_META_FLAG_TTL;
    if (write->flags != 0 && !is_joining(mode))
        request->flags |= LARDER_META_FLAG_SET_FLAGS;
}

/* What a code means to a mode; UNKNOWN: it is none of its answers. */
static enum larder_status refusal(enum larder_mode mode, enum larder_meta_code code)
{
    if (code == LARDER_META_NS && mode == LARDER_ADD)
        return LARDER_EXISTS;
    if (code == LARDER_META_NS && (mode == LARDER_REPLACE || is_joining(mode)))
        return LARDER_MISS;
    if (code == LARDER_META_EX && mode == LARDER_CAS)
        return LARDER_CONFLICT;
    if (code == LARDER_META_NF && mode == LARDER_CAS)
        return LARDER_MISS;
    return LARDER_UNKNOWN;
}

int meta_store_answer(enum larder_mode mode, const struct larder_meta_reply *reply,
                      enum larder_status *status)
{
    if (reply->code == LARDER_META_HD)
        *status = LARDER_OK;
    else if (reply->cause == LARDER_META_OBJECT_TOO_LARGE)
        *status = LARDER_TOO_LARGE;
    else if (reply->cause == LARDER_META_OUT_OF_MEMORY)
        *status = LARDER_NO_MEMORY;
    else
        *status = refusal(mode, reply->code);
    return *status != LARDER_UNKNOWN;
}

struct store_question {
    struct question question;
    enum larder_mode mode;
    uint64_t version;
};

static int take_stored(struct question *question, const struct larder_meta_reply *reply,
                       void **sink, size_t *sink_size)
{
    struct store_question *store = (struct store_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    if (reply->code == LARDER_META_HD)
        store->version = reply->version;
    return meta_store_answer(store->mode, reply, &question->status);
}

/* memcached refuses to join with NS both where nothing is and where the sum is too long. */
static enum larder_status why_not_joined(struct call *call, const struct target *target,
                                         size_t added)
{
    struct larder_info info = {0};
    const struct delivery delivery = {&info, NULL, NULL, 0};
    enum larder_status status = meta_call_read(call, target, &delivery, LARDER_TTL_UNKNOWN);
    if (status != LARDER_OK && status != LARDER_PARTIAL)
        return status; /* a MISS, or a failure after which nothing was written either */
    status =
        meta_limit_check(call, target->site, target->wire.bytes, info.length + added, info.flags);
    return status == LARDER_TOO_LARGE ? LARDER_TOO_LARGE : LARDER_MISS;
}

enum larder_status meta_store_afterthought(struct call *call, enum larder_mode mode,
                                           const struct target *target,
                                           const struct larder_write *write,
                                           enum larder_status status)
{
    if (status == LARDER_TOO_LARGE) /* the server's limit has changed */
        atomic_store_explicit(&target->site->item_max, 0, memory_order_relaxed);
    if (status == LARDER_MISS && is_joining(mode))
        return why_not_joined(call, target, write->value.length);
    return status;
}

static enum larder_status call_store(struct call *call, enum larder_mode mode,
                                     const struct target *target, const struct larder_write *write,
                                     uint64_t *version)
{
    struct store_question store = {.question = {.value = write->value, .answer = take_stored},
                                   .mode = mode};
    enum larder_status status =
        meta_limit_check(call, target->site, target->wire.bytes, write->value.length, write->flags);
    if (status != LARDER_OK)
        return status;
    meta_store_request(&store.question.request, mode, target->wire.bytes, write);
    status = meta_ask(call, target->site, &store.question);
    if (status == LARDER_OK)
        *version = store.version;
    return meta_store_afterthought(call, mode, target, write, status);
}

enum larder_status meta_store(const struct larder_scope *scope, enum larder_mode mode,
                              struct larder_slice key, const struct larder_write *write,
                              uint64_t *version)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status == LARDER_OK)
        status = call_store(&call, mode, &target, write, version);
    return status;
}

/* ---- delete -------------------------------------------------------------------------------- */

void meta_remove_request(struct larder_meta_request *request, struct larder_slice wire,
                         uint64_t version)
{
    *request = (struct larder_meta_request){
        .command = LARDER_META_DELETE, .key = wire, .compare = version};
    if (version != 0)
        request->flags |= LARDER_META_FLAG_COMPARE;
}

int meta_remove_answer(const struct larder_meta_reply *reply, enum larder_status *status)
{
    *status = reply->code == LARDER_META_HD   ? LARDER_OK
              : reply->code == LARDER_META_NF ? LARDER_MISS
              : reply->code == LARDER_META_EX ? LARDER_CONFLICT
                                              : LARDER_UNKNOWN;
    return *status != LARDER_UNKNOWN;
}

static int take_removed(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    (void)sink;
    (void)sink_size;
    return meta_remove_answer(reply, &question->status);
}

enum larder_status meta_remove(const struct larder_scope *scope, struct larder_slice key,
                               uint64_t version)
{
    struct call call;
    struct target target;
    struct question removal = {.answer = take_removed};
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status != LARDER_OK)
        return status;
    meta_remove_request(&removal.request, target.wire.bytes, version);
    return meta_ask(&call, target.site, &removal);
}

/* ---- count --------------------------------------------------------------------------------- */

struct count_question {
    struct question question;
    size_t length; /* of the number */
    char text[LARDER_COUNTER_BYTES_MAX];
};

static int take_counted(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    struct count_question *count = (struct count_question *)(void *)question;
    if (reply->cause == LARDER_META_NOT_A_NUMBER)
        question->status = LARDER_NOT_A_NUMBER;
    else if (reply->code == LARDER_META_NF)
        question->status = LARDER_MISS;
    else if (reply->code == LARDER_META_NS) /* somebody else made it at the same moment */
        question->status = LARDER_EXISTS;
    else if (reply->code == LARDER_META_VA && reply->value_length <= sizeof(count->text)) {
        *sink = count->text;
        *sink_size = sizeof(count->text);
        count->length = reply->value_length;
        question->status = LARDER_OK;
    } else {
        return 0;
    }
    return 1;
}

static void count_request(struct larder_meta_request *request, struct larder_slice wire,
                          enum larder_direction direction, uint64_t delta,
                          const struct larder_initial *initial)
{
    *request =
        (struct larder_meta_request){.command = LARDER_META_COUNT,
                                     .flags = LARDER_META_FLAG_VALUE | LARDER_META_FLAG_DELTA,
                                     .key = wire,
                                     .delta = delta,
                                     .mode = '-'};
    if (direction == LARDER_DOWN)
        request->flags |= LARDER_META_FLAG_MODE;
    if (initial == NULL || initial->flags != 0) /* ma makes counters without flags */
        return;
    request->flags |= LARDER_META_FLAG_VIVIFY | LARDER_META_FLAG_INITIAL;
    request->vivify_ttl = meta_exptime_from_now(initial->ttl_ms);
    request->initial = larder_counter_step(initial->value, direction, delta);
}

static enum larder_status count_once(struct call *call, const struct target *target,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    struct count_question count = {.question = {.answer = take_counted}};
    count_request(&count.question.request, target->wire.bytes, direction, delta, initial);
    if (call->scope->call != NULL && call->scope->call->touch_ttl_ms != LARDER_TTL_UNKNOWN) {
        count.question.request.flags |= LARDER_META_FLAG_TTL;
        count.question.request.ttl = meta_exptime_from_now(call->scope->call->touch_ttl_ms);
    }
    enum larder_status status = meta_ask(call, target->site, &count.question);
    if (status == LARDER_OK &&
        !larder_counter_parse(larder_bytes(count.text, count.length), result))
        return LARDER_UNKNOWN;
    return status;
}

static enum larder_status count_start(struct call *call, const struct target *target,
                                      const struct larder_initial *initial, uint64_t number)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t version = 0;
    struct larder_slice value = larder_bytes(text, larder_counter_format(number, text));
    struct larder_write write = larder_write_of(value, initial->ttl_ms);
    write.flags = initial->flags;
    return call_store(call, LARDER_ADD, target, &write, &version);
}

static enum larder_status call_count(struct call *call, const struct target *target,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    for (int round = 0; round < COUNT_ROUNDS; round++) {
        enum larder_status status = count_once(call, target, direction, delta, initial, result);
        if (status == LARDER_MISS && initial != NULL) { /* it has flags */
            uint64_t number = larder_counter_step(initial->value, direction, delta);
            status = count_start(call, target, initial, number);
            if (status == LARDER_OK)
                *result = number;
        }
        if (status != LARDER_EXISTS)
            return status;
    }
    return LARDER_TIMEOUT;
}

enum larder_status meta_count(const struct larder_scope *scope, struct larder_slice key,
                              enum larder_direction direction, uint64_t delta,
                              const struct larder_initial *initial, uint64_t *result)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status == LARDER_OK)
        status = call_count(&call, &target, direction, delta, initial, result);
    return status;
}

/* ---- flush --------------------------------------------------------------------------------- */

static int take_flushed(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    (void)sink;
    (void)sink_size;
    question->status = LARDER_OK;
    return reply->code == LARDER_META_CLASSIC_OK;
}

enum larder_status meta_flush(const struct larder_scope *scope)
{
    struct call call;
    enum larder_status lowest = meta_call_begin(&call, scope);
    if (lowest != LARDER_OK)
        return lowest;
    if (scope->server > call.meta->site_count)
        return LARDER_BAD_ARGUMENT;
    for (uint32_t i = 0; i < call.meta->site_count; i++) {
        struct question flush = {.answer = take_flushed, .text = "flush_all\r\n"};
        if (scope->server != 0 && scope->server - 1 != i)
            continue;
        enum larder_status status = meta_ask(&call, call.meta->sites[i], &flush);
        if (status < lowest)
            lowest = status;
    }
    return lowest;
}
