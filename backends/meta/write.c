/*
 * Stores. Each is one operation of the server's; where entries are leased or stale, some look
 * first, and what was refused looks afterwards, see state.c.
 */
#include "meta.h"

/* What takes one request and depends on nothing is then sent and left; all else is acknowledged. So
 * is everything where there are several connections: what is said on another one could overtake it,
 * and an older value would replace a newer one. */
int meta_is_quiet(const struct call *call)
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
    request->command = LARDER_META_STORE;
    request->flags = LARDER_META_FLAG_RETURN_VERSION;
    request->key = wire;
    request->key_checked = 1;
    request->value_length = write->value.length;
    request->compare = write->version;
    request->set_flags = write->flags;
    request->ttl = meta_exptime_from_now(write->ttl_ms);
    request->ttl_before = 0;
    request->mode = modes[mode];
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

/* A value alone: somebody else's lease is left to him, and what is stale already as it is. */
static enum larder_status mark_live(struct call *call, const struct target *target,
                                    struct sight *sight, const void *what)
{
    (void)what;
    if (sight->state != STATE_LIVE)
        return LARDER_MISS;
    return meta_mark_at(call, target, sight->version, call->meta->stale_ms);
}

/* What was lost against is nobody's last word, if the options say so. A failure to mark it changes
 * nothing about the answer: nothing was stored. */
enum larder_status meta_lost(struct call *call, const struct target *target,
                             enum larder_status status)
{
    if (status == LARDER_CONFLICT && call->meta->stale_on_conflict)
        (void)meta_change(call, target, mark_live, NULL);
    return status;
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
    if (status == LARDER_CONFLICT)
        status = meta_refusal(call, target, status);
    return meta_lost(call, target, status);
}

enum larder_status meta_call_store(struct call *call, enum larder_mode mode,
                                   const struct target *target, const struct larder_write *write,
                                   uint64_t *version)
{
    const struct conditional conditional = {mode, write, version};
    struct store_question store;
    enum larder_status status =
        meta_limit_check(call, target->site, target->wire.bytes, write->value.length, write->flags);
    if (status != LARDER_OK)
        return status;
    if (meta_store_looks(call->meta, mode))
        return meta_change(call, target, is_joining(mode) ? join : replace, &conditional);
    meta_question_init(&store.question, take_stored, 0);
    meta_store_request(&store.question.request, mode, target->wire.bytes, write);
    store.mode = mode;
    store.version = 0;
    store.question.value = write->value;
    store.question.quiet = mode == LARDER_SET && meta_is_quiet(call);
    status = ask_to_store(call, target, &store, version);
    if (status == LARDER_OK)
        return status;
    return meta_store_afterthought(call, mode, target, write, version, status);
}

enum larder_status meta_store(const struct larder_scope *scope, enum larder_mode mode,
                              struct larder_slice key, const struct larder_write *write,
                              uint64_t *version)
{
    struct call call;
    struct target target;
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status == LARDER_OK)
        status = meta_call_store(&call, mode, &target, write, version);
    return status;
}
