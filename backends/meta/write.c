/*
 * Stores, deletes, counters, flush. Each is one operation of the server's; where entries are leased
 * or stale, some look first, and what was refused looks afterwards, see state.c.
 */
#include "meta.h"

#include <larder/util/counter.h>
#include <larder/util/value.h>

/* So often a counter that comes and goes between two steps is tried again. */
#define COUNT_ROUNDS 16
/* A delete that was disturbed so often takes whatever is there: deletes must get through. */
#define REMOVE_ROUNDS 32

/* What takes one request and depends on nothing is then sent and left; all else is acknowledged. So
 * is everything where there are several connections: what is said on another one could overtake it,
 * and an older value would replace a newer one. */
static int is_quiet(const struct call *call)
{
    return call->meta->in_order && call->scope->call != NULL &&
           (call->scope->call->flags & LARDER_NO_REPLY) != 0;
}

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
    if (code == LARDER_META_EX && (mode == LARDER_CAS || is_joining(mode)))
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

static enum larder_status ask_to_store(struct call *call, const struct target *target,
                                       struct store_question *store, uint64_t *version)
{
    enum larder_status status = meta_ask(call, target->site, &store->question);
    if (status == LARDER_OK)
        *version = store->version;
    if (status == LARDER_TOO_LARGE) /* the server's limit has changed */
        atomic_store_explicit(&target->site->item_max, 0, memory_order_relaxed);
    return status;
}

enum larder_status meta_store_at(struct call *call, enum larder_mode mode,
                                 const struct target *target, const struct larder_write *write,
                                 uint64_t at, uint64_t *version)
{
    struct store_question store = {.question = {.value = write->value, .answer = take_stored},
                                   .mode = at != 0 && !is_joining(mode) ? LARDER_CAS : mode};
    struct larder_meta_request *request = &store.question.request;
    meta_store_request(request, mode, target->wire.bytes, write);
    if (at != 0) {
        request->flags |= LARDER_META_FLAG_COMPARE;
        request->compare = at;
    }
    enum larder_status status = ask_to_store(call, target, &store, version);
    return status == LARDER_CONFLICT || status == LARDER_MISS || status == LARDER_EXISTS
               ? META_DISTURBED
               : status;
}

/* memcached refuses to join with NS both where nothing is and where the sum is too long. */
static enum larder_status why_not_joined(struct call *call, const struct target *target,
                                         size_t added)
{
    struct sight sight;
    enum larder_status status = meta_look(call, target, &sight);
    if (status == LARDER_OK && sight.won)
        meta_return_win(call, target, sight.version);
    if (status != LARDER_OK || sight.state != STATE_LIVE)
        return status == LARDER_OK ? LARDER_MISS : status; /* nothing was written either */
    status =
        meta_limit_check(call, target->site, target->wire.bytes, sight.length + added, sight.flags);
    return status == LARDER_TOO_LARGE ? LARDER_TOO_LARGE : LARDER_MISS;
}

/* ---- stores that depend on what is there ---------------------------------------------------- */

struct conditional {
    enum larder_mode mode;
    const struct larder_write *write;
    uint64_t *version;
};

static enum larder_status add(struct call *call, const struct target *target, struct sight *sight,
                              const void *what)
{
    const struct conditional *store = what;
    if (sight->state == STATE_LIVE)
        return LARDER_EXISTS;
    enum larder_mode mode = sight->state == STATE_NONE ? LARDER_ADD : LARDER_SET;
    enum larder_status status =
        meta_store_at(call, mode, target, store->write, sight->version, store->version);
    sight->won &= status != LARDER_OK;
    return status;
}

static enum larder_status replace(struct call *call, const struct target *target,
                                  struct sight *sight, const void *what)
{
    const struct conditional *store = what;
    enum larder_mode mode = sight->version != 0 ? LARDER_SET : LARDER_REPLACE;
    if (sight->state != STATE_LIVE)
        return LARDER_MISS;
    return meta_store_at(call, mode, target, store->write, sight->version, store->version);
}

static enum larder_status join(struct call *call, const struct target *target, struct sight *sight,
                               const void *what)
{
    const struct conditional *store = what;
    if (sight->state != STATE_LIVE)
        return LARDER_MISS;
    enum larder_status status =
        meta_limit_check(call, target->site, target->wire.bytes,
                         sight->length + store->write->value.length, sight->flags);
    if (status != LARDER_OK)
        return status;
    status = meta_store_at(call, store->mode, target, store->write, sight->version, store->version);
    if (status == META_DISTURBED &&
        why_not_joined(call, target, store->write->value.length) == LARDER_TOO_LARGE)
        return LARDER_TOO_LARGE;
    return status;
}

int meta_store_looks(const struct meta *meta, enum larder_mode mode)
{
    return meta->leases && (mode == LARDER_REPLACE || is_joining(mode));
}

enum larder_status meta_store_afterthought(struct call *call, enum larder_mode mode,
                                           const struct target *target,
                                           const struct larder_write *write, uint64_t *version,
                                           enum larder_status status)
{
    const struct conditional again = {mode, write, version};
    if (status == LARDER_TOO_LARGE) /* the server's limit has changed */
        atomic_store_explicit(&target->site->item_max, 0, memory_order_relaxed);
    if (status == LARDER_MISS && is_joining(mode))
        return why_not_joined(call, target, write->value.length);
    if (status == LARDER_EXISTS && call->meta->leases)
        return meta_change(call, target, add, &again);
    return status == LARDER_CONFLICT ? meta_refusal(call, target, status) : status;
}

enum larder_status meta_call_store(struct call *call, enum larder_mode mode,
                                   const struct target *target, const struct larder_write *write,
                                   uint64_t *version)
{
    const struct conditional conditional = {mode, write, version};
    struct store_question store = {.question = {.value = write->value, .answer = take_stored},
                                   .mode = mode};
    enum larder_status status =
        meta_limit_check(call, target->site, target->wire.bytes, write->value.length, write->flags);
    if (status != LARDER_OK)
        return status;
    if (meta_store_looks(call->meta, mode))
        return meta_change(call, target, is_joining(mode) ? join : replace, &conditional);
    meta_store_request(&store.question.request, mode, target->wire.bytes, write);
    store.question.quiet = mode == LARDER_SET && is_quiet(call);
    status = ask_to_store(call, target, &store, version);
    return meta_store_afterthought(call, mode, target, write, version, status);
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
        status = meta_call_store(&call, mode, &target, write, version);
    return status;
}

/* ---- delete -------------------------------------------------------------------------------- */

/* md does not tell whether it deleted a value or a placeholder. mg does, and with a TTL that is
 * over it deletes as well. */
void meta_remove_request(const struct meta *meta, struct larder_meta_request *request,
                         struct larder_slice wire, uint64_t version)
{
    if (version == 0 && meta->leases) {
        *request = (struct larder_meta_request){.command = LARDER_META_GET,
                                                .flags = LARDER_META_FLAG_TTL |
                                                         LARDER_META_FLAG_RETURN_FLAGS |
                                                         LARDER_META_FLAG_RETURN_SIZE,
                                                .key = wire,
                                                .ttl = -1};
        return;
    }
    *request = (struct larder_meta_request){
        .command = LARDER_META_DELETE, .key = wire, .compare = version};
    if (version != 0)
        request->flags |= LARDER_META_FLAG_COMPARE;
}

int meta_remove_answer(const struct larder_meta_reply *reply, enum larder_status *status)
{
    if (reply->code == LARDER_META_EN || (reply->present & LARDER_META_FLAG_RETURN_SIZE) != 0)
        *status = meta_state_of(reply) == STATE_LIVE ? LARDER_OK : LARDER_MISS;
    else
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

static enum larder_status ask_to_remove(struct call *call, const struct target *target,
                                        struct question *removal)
{
    enum larder_status status = meta_ask(call, target->site, removal);
    return status == LARDER_CONFLICT || status == LARDER_MISS ? META_DISTURBED : status;
}

enum larder_status meta_remove_at(struct call *call, const struct target *target, uint64_t at)
{
    struct question removal = {.request = {.command = LARDER_META_DELETE,
                                           .flags = at != 0 ? LARDER_META_FLAG_COMPARE : 0,
                                           .key = target->wire.bytes,
                                           .compare = at},
                               .answer = take_removed};
    return ask_to_remove(call, target, &removal);
}

enum larder_status meta_mark_at(struct call *call, const struct target *target, uint64_t at,
                                uint64_t stale_ms)
{
    struct question mark = {.request = {.command = LARDER_META_DELETE,
                                        .flags = LARDER_META_FLAG_INVALIDATE |
                                                 (at != 0 ? LARDER_META_FLAG_COMPARE : 0) |
                                                 (stale_ms != 0 ? LARDER_META_FLAG_TTL : 0),
                                        .key = target->wire.bytes,
                                        .compare = at,
                                        .ttl = meta_exptime_from_now((int64_t)stale_ms)},
                            .answer = take_removed};
    return ask_to_remove(call, target, &mark);
}

/* Marks a value stale, also one that is so already: whoever computes does it from what was before.
 */
static enum larder_status mark(struct call *call, const struct target *target, struct sight *sight,
                               const void *what)
{
    uint64_t version = *(const uint64_t *)what;
    uint64_t at = version == 0 && sight->round >= REMOVE_ROUNDS ? 0 : sight->version;
    int live = sight->state == STATE_LIVE;
    if (sight->state == STATE_NONE || (version != 0 && !live))
        return LARDER_MISS;
    if (version != 0 && version != sight->version)
        return LARDER_CONFLICT;
    enum larder_status status = sight->state == STATE_PENDING
                                    ? meta_remove_at(call, target, at)
                                    : meta_mark_at(call, target, at, call->meta->stale_ms);
    sight->won &= status != LARDER_OK;
    return status == LARDER_OK && !live ? LARDER_MISS : status;
}

int meta_remove_looks(const struct meta *meta)
{
    return meta->stale_ms != 0;
}

enum larder_status meta_remove_afterthought(struct call *call, const struct target *target,
                                            enum larder_status status)
{
    return status == LARDER_CONFLICT ? meta_refusal(call, target, status) : status;
}

enum larder_status meta_call_remove(struct call *call, const struct target *target,
                                    uint64_t version)
{
    struct question removal = {.answer = take_removed};
    if (meta_remove_looks(call->meta))
        return meta_change(call, target, mark, &version);
    meta_remove_request(call->meta, &removal.request, target->wire.bytes, version);
    removal.quiet = version == 0 && is_quiet(call);
    return meta_remove_afterthought(call, target, meta_ask(call, target->site, &removal));
}

enum larder_status meta_remove(const struct larder_scope *scope, struct larder_slice key,
                               uint64_t version)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status == LARDER_OK)
        status = meta_call_remove(&call, &target, version);
    return status;
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
    else if (reply->code == LARDER_META_EX)
        question->status = LARDER_CONFLICT;
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

/* What one call counts. */
struct counting {
    enum larder_direction direction;
    uint64_t delta;
    const struct larder_initial *initial;
    uint64_t *result;
};

/* @param at  0: whatever is there */
static enum larder_status count_once(struct call *call, const struct target *target,
                                     const struct counting *counting, uint64_t at)
{
    struct count_question count = {.question = {.answer = take_counted}};
    struct larder_meta_request *request = &count.question.request;
    count_request(request, target->wire.bytes, counting->direction, counting->delta,
                  counting->initial);
    if (call->scope->call != NULL && call->scope->call->touch_ttl_ms != LARDER_TTL_UNKNOWN) {
        request->flags |= LARDER_META_FLAG_TTL;
        request->ttl = meta_exptime_from_now(call->scope->call->touch_ttl_ms);
    }
    if (at != 0) {
        request->flags |= LARDER_META_FLAG_COMPARE;
        request->compare = at;
    }
    enum larder_status status = meta_ask(call, target->site, &count.question);
    if (status == LARDER_OK &&
        !larder_counter_parse(larder_bytes(count.text, count.length), counting->result))
        return LARDER_UNKNOWN;
    return status;
}

/* Where nothing is that has a value: a placeholder, a stale entry, or nothing at all. */
static enum larder_status count_start(struct call *call, const struct target *target,
                                      const struct counting *counting, const struct sight *sight)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t version = 0;
    const struct larder_initial *initial = counting->initial;
    uint64_t number = larder_counter_step(initial->value, counting->direction, counting->delta);
    struct larder_slice value = larder_bytes(text, larder_counter_format(number, text));
    struct larder_write write = larder_write_of(value, initial->ttl_ms);
    enum larder_mode mode = sight->state == STATE_NONE ? LARDER_ADD : LARDER_SET;
    write.flags = initial->flags;
    enum larder_status status = meta_store_at(call, mode, target, &write, sight->version, &version);
    if (status == LARDER_OK)
        *counting->result = number;
    return status;
}

static enum larder_status count_what_was_seen(struct call *call, const struct target *target,
                                              struct sight *sight, const void *what)
{
    const struct counting *counting = what;
    enum larder_status status;
    if (sight->state != STATE_LIVE && counting->initial == NULL)
        return LARDER_MISS;
    if (sight->state != STATE_LIVE) {
        status = count_start(call, target, counting, sight);
        sight->won &= status != LARDER_OK;
        return status;
    }
    status = count_once(call, target, counting, sight->version);
    return status == LARDER_CONFLICT || status == LARDER_MISS || status == LARDER_EXISTS
               ? META_DISTURBED
               : status;
}

static int counts_at_once(const struct meta *meta)
{
    return meta->stale_ms == 0;
}

static enum larder_status call_count(struct call *call, const struct target *target,
                                     const struct counting *counting)
{
    const struct sight none = {.state = STATE_NONE};
    for (int round = 0; round < COUNT_ROUNDS && counts_at_once(call->meta); round++) {
        enum larder_status status = count_once(call, target, counting, 0);
        if (status == LARDER_MISS && counting->initial != NULL) { /* it has flags */
            status = count_start(call, target, counting, &none);
            if (status == META_DISTURBED)
                status = LARDER_EXISTS;
        }
        if (status == LARDER_NOT_A_NUMBER && call->meta->leases)
            break; /* or it is a placeholder */
        if (status != LARDER_EXISTS)
            return status;
    }
    return meta_change(call, target, count_what_was_seen, counting);
}

enum larder_status meta_count(const struct larder_scope *scope, struct larder_slice key,
                              enum larder_direction direction, uint64_t delta,
                              const struct larder_initial *initial, uint64_t *result)
{
    const struct counting counting = {direction, delta, initial, result};
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status == LARDER_OK)
        status = meta_call_target(&call, key, &target);
    if (status == LARDER_OK)
        status = call_count(&call, &target, &counting);
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
        enum larder_status status = meta_ask(&call, &call.meta->sites[i], &flush);
        if (status < lowest)
            lowest = status;
    }
    return lowest;
}
