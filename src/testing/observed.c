/*
 * The watched cache: every row is the public call of the same name on the inner cache, between two
 * hooks. What an observer may do to a call is here and nowhere else: answer it, and change its
 * status; outputs are made to fit.
 */
#include <larder/testing.h>

#include <stdlib.h>
#include <string.h>

#include <larder/backend.h>
#include <larder/client.h>
#include <larder/util/deadline.h>
#include <larder/util/message.h>
#include <larder/util/value.h>

struct observed {
    /* set while opening, then only read */
    struct larder_observer observer;
    struct larder_traits traits;
    struct larder_cache *inner;
    struct larder_cache *client; /* owns inner and gives its namespaces; NULL: plain keys only */
};

static struct observed *observed_of(const struct larder_scope *scope)
{
    return scope->self;
}

/* ---- where a call goes --------------------------------------------------------------------- */

static enum larder_status namespace_of(const struct observed *observed, struct larder_slice name,
                                       struct larder_cache **target)
{
    char text[LARDER_NAMESPACE_BYTES_MAX + 1];
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    return larder_bind(observed->client, text, target);
}

/* The public handle that stands for a scope without its session. */
static enum larder_status handle_of(const struct larder_scope *scope, struct larder_cache **target)
{
    const struct observed *observed = observed_of(scope);
    *target = observed->inner;
    if (observed->client == NULL || scope->space == NULL)
        return LARDER_OK;
    return namespace_of(observed, scope->space->name, target);
}

static enum larder_status target_of(const struct larder_scope *scope, struct larder_cache **target)
{
    if (scope->session == NULL || scope->session->owner != scope->self)
        return handle_of(scope, target);
    *target = scope->session->member;
    return LARDER_OK;
}

/* ---- one call, watched --------------------------------------------------------------------- */

struct watch {
    const struct larder_scope *scope;
    struct larder_cache *target;
    struct larder_call shortened; /* the call's options after a hook took time from them ... */
    int is_shortened;             /* ... if they are */
    struct larder_observed call;
    /* what the caller gets beside the status; NULL: nothing of that kind */
    const void *buffer; /* of `size` bytes */
    size_t size;
    struct larder_info *info; /* beside `buffer` */
    struct larder_value *value;
    uint64_t *number; /* a version, a counter */
    struct larder_lease *lease;
};

static void watch_init(struct watch *watch, const struct larder_scope *scope,
                       enum larder_operation operation, struct larder_slice key)
{
    memset(watch, 0, sizeof(*watch));
    watch->scope = scope;
    watch->call.size = sizeof(watch->call);
    watch->call.form = LARDER_FORM_SINGLE;
    watch->call.operation = operation;
    watch->call.status = LARDER_ANY_STATUS;
    watch->call.flags = larder_scope_no_wait(scope) ? LARDER_NO_WAIT : 0;
    watch->call.deadline_ns = larder_scope_deadline(scope, UINT64_MAX);
    watch->call.key = key;
    if (observed_of(scope)->client != NULL && scope->space != NULL)
        watch->call.name_space = scope->space->name;
}

static void watch_write(struct watch *watch, enum larder_mode mode,
                        const struct larder_write *write)
{
    watch->call.mode = mode;
    watch->call.value = write->value;
    watch->call.value_length = write->value.length;
    watch->call.ttl_ms = write->ttl_ms;
}

static int comes_with_value(const struct larder_observed *call)
{
    return call->status == LARDER_OK ||
           (call->status == LARDER_STALE && call->operation == LARDER_OPERATION_LEASE_GET);
}

/* After a hook decided on a status: what came out must fit it. */
static void watch_settle(struct watch *watch)
{
    int keeps = comes_with_value(&watch->call);
    if (!keeps && watch->number != NULL)
        *watch->number = 0;
    if (!keeps && watch->lease != NULL)
        watch->lease->token = watch->lease->reserved = 0;
    if (!keeps)
        larder_info_clear(watch->info);
    if (!keeps && watch->value != NULL) {
        larder_value_release(watch->value);
        larder_info_clear(&watch->value->info);
    }
    if (keeps && watch->value != NULL && watch->value->owner == NULL &&
        larder_value_copy(watch->value, NULL, 0) != LARDER_OK)
        watch->call.status = LARDER_NO_MEMORY;
}

/* The deadline is for the call and its hooks together. @return 0 when nothing is left of it */
static int watch_shorten(struct watch *watch)
{
    const struct larder_call *given = watch->scope->call;
    if (given == NULL || given->timeout_ms == 0)
        return 1;
    uint64_t left_ms = larder_deadline_left_ms(watch->call.deadline_ns);
    watch->call.status = LARDER_TIMEOUT;
    watch->shortened = *given;
    watch->shortened.size = sizeof(watch->shortened);
    if (left_ms < watch->shortened.timeout_ms)
        watch->shortened.timeout_ms = (uint32_t)left_ms;
    watch->is_shortened = 1;
    return left_ms > 0;
}

static const struct larder_call *options_of(const struct watch *watch)
{
    return watch->is_shortened ? &watch->shortened : watch->scope->call;
}

/* @return 1: ask watch->target, then watch_tells(); 0: watch->call.status is the answer */
static int watch_asks(struct watch *watch)
{
    const struct larder_observer *observer = &observed_of(watch->scope)->observer;
    enum larder_status status = target_of(watch->scope, &watch->target);
    if (status != LARDER_OK) {
        watch->call.status = status;
        return 0;
    }
    if (observer->before == NULL)
        return 1;
    if (observer->before(observer->context, &watch->call)) {
        watch_settle(watch);
        return 0;
    }
    return watch_shorten(watch);
}

/* Shows the observer what a read brought. */
static void watch_look(struct watch *watch)
{
    if (watch->value != NULL) {
        watch->call.value = watch->value->bytes;
        watch->call.value_length = watch->value->bytes.length;
    } else if (watch->info != NULL) {
        size_t length = watch->info->length;
        watch->call.value =
            larder_bytes(watch->buffer, length < watch->size ? length : watch->size);
        watch->call.value_length = length;
    }
}

/* @return what the caller gets for `status` */
static enum larder_status watch_tells(struct watch *watch, enum larder_status status)
{
    const struct larder_observer *observer = &observed_of(watch->scope)->observer;
    watch->call.status = status;
    watch_look(watch);
    if (observer->after != NULL)
        observer->after(observer->context, &watch->call);
    if (watch->call.status != status)
        watch_settle(watch);
    return watch->call.status;
}

/* ---- operations on one key ----------------------------------------------------------------- */

/* The end of each: the inner call, if the observer lets it through. */
#define WATCHED(inner_call) \
    return watch_asks(&watch) ? watch_tells(&watch, inner_call) : watch.call.status

static enum larder_status observed_read(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, struct larder_info *info)
{
    struct larder_info unwanted = {0};
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_READ, key);
    watch.buffer = buffer;
    watch.size = size;
    watch.info = info != NULL ? info : &unwanted;
    WATCHED(larder_read_with(watch.target, options_of(&watch), key, buffer, size, watch.info));
}

static enum larder_status observed_get(const struct larder_scope *scope, struct larder_slice key,
                                       struct larder_value *value)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_GET, key);
    watch.value = value;
    WATCHED(larder_get_with(watch.target, options_of(&watch), key, value));
}

static enum larder_status observed_store(const struct larder_scope *scope, enum larder_mode mode,
                                         struct larder_slice key, const struct larder_write *write,
                                         uint64_t *version)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_STORE, key);
    watch_write(&watch, mode, write);
    watch.number = version;
    WATCHED(larder_store_with(watch.target, options_of(&watch), mode, key, write, version));
}

static enum larder_status observed_remove(const struct larder_scope *scope, struct larder_slice key,
                                          uint64_t version)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_DELETE, key);
    WATCHED(larder_delete_with(watch.target, options_of(&watch), key, version));
}

static enum larder_status observed_touch(const struct larder_scope *scope, struct larder_slice key,
                                         int64_t ttl_ms)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_TOUCH, key);
    watch.call.ttl_ms = ttl_ms;
    WATCHED(larder_touch_with(watch.target, options_of(&watch), key, ttl_ms));
}

static enum larder_status observed_get_and_touch(const struct larder_scope *scope,
                                                 struct larder_slice key, int64_t ttl_ms,
                                                 struct larder_value *value)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_GET_AND_TOUCH, key);
    watch.call.ttl_ms = ttl_ms;
    watch.value = value;
    WATCHED(larder_get_and_touch_with(watch.target, options_of(&watch), key, ttl_ms, value));
}

static enum larder_status observed_count(const struct larder_scope *scope, struct larder_slice key,
                                         enum larder_direction direction, uint64_t delta,
                                         const struct larder_initial *initial, uint64_t *result)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_COUNT, key);
    watch.call.ttl_ms = initial != NULL ? initial->ttl_ms : 0;
    watch.number = result;
    WATCHED(larder_count_with(watch.target, options_of(&watch), key, direction, delta, initial,
                              result));
}

/* ---- leases -------------------------------------------------------------------------------- */

static enum larder_status observed_lease_get(const struct larder_scope *scope,
                                             struct larder_slice key, uint32_t lease_ms,
                                             struct larder_value *value, struct larder_lease *lease)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_LEASE_GET, key);
    watch.value = value;
    watch.lease = lease;
    WATCHED(larder_lease_get_with(watch.target, options_of(&watch), key, lease_ms, value, lease));
}

static enum larder_status observed_lease_fill(const struct larder_scope *scope,
                                              struct larder_slice key, struct larder_lease lease,
                                              const struct larder_write *write)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_LEASE_FILL, key);
    watch_write(&watch, LARDER_SET, write);
    WATCHED(larder_lease_fill(watch.target, key, lease, write));
}

static enum larder_status observed_lease_return(const struct larder_scope *scope,
                                                struct larder_slice key, struct larder_lease lease)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_LEASE_RETURN, key);
    WATCHED(larder_lease_return(watch.target, key, lease));
}

/* ---- many keys ----------------------------------------------------------------------------- */

/* A multi call on its way through. */
struct crowd {
    const struct larder_scope *scope;
    const struct larder_rows *rows;
    enum larder_many_kind many;
    enum larder_mode mode;
    size_t first; /* the row that was looked at first; SIZE_MAX: none yet */
};

static struct larder_row *watch_row(struct watch *watch, const struct crowd *crowd, size_t index)
{
    struct larder_row *row = larder_row_at(crowd->rows, index);
    watch_init(watch, crowd->scope, larder_many_operation(crowd->many), row->key);
    watch->call.form = index == crowd->first ? LARDER_FORM_FIRST_ROW : LARDER_FORM_NEXT_ROW;
    if (crowd->many == LARDER_MANY_READ) {
        watch->buffer = row->buffer;
        watch->size = row->size;
        watch->info = &row->value.info;
    } else if (crowd->many == LARDER_MANY_GET) {
        watch->value = &row->value;
    } else if (crowd->many == LARDER_MANY_STORE) {
        watch_write(watch, crowd->mode, &row->write);
        watch->number = &row->value.info.version;
    } else if (crowd->many == LARDER_MANY_TOUCH) {
        watch->call.ttl_ms = row->write.ttl_ms;
    }
    return row;
}

/* How many rows from `start` on go to the cache in one call. A row that the observer answers has
 * its answer and ends the run. `watch` is then that of the last row in it. */
static size_t run_length(struct crowd *crowd, size_t start, struct watch *last)
{
    size_t index = start;
    for (; index < crowd->rows->count; index++) {
        struct watch watch;
        if (larder_row_at(crowd->rows, index)->status != LARDER_ASKED)
            break;
        if (crowd->first == SIZE_MAX)
            crowd->first = index;
        struct larder_row *row = watch_row(&watch, crowd, index);
        if (!watch_asks(&watch)) {
            row->status = watch.call.status;
            break;
        }
        *last = watch;
    }
    return index - start;
}

static void send_run(const struct crowd *crowd, size_t start, size_t count,
                     const struct watch *last)
{
    larder_many(last->target, options_of(last), crowd->many, crowd->mode,
                larder_row_at(crowd->rows, start), count, crowd->rows->stride);
    for (size_t i = start; i < start + count; i++) {
        struct watch watch;
        struct larder_row *row = watch_row(&watch, crowd, i);
        row->status = watch_tells(&watch, row->status);
    }
}

static void observed_many(const struct larder_scope *scope, enum larder_many_kind many,
                          enum larder_mode mode, const struct larder_rows *rows)
{
    struct crowd crowd = {scope, rows, many, mode, SIZE_MAX};
    for (size_t start = 0; start < rows->count;) {
        struct watch last;
        size_t count = run_length(&crowd, start, &last);
        if (count > 0)
            send_run(&crowd, start, count, &last);
        start += count > 0 ? count : 1;
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum larder_status observed_flush(const struct larder_scope *scope)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_FLUSH, larder_bytes(NULL, 0));
    WATCHED(larder_flush(watch.target));
}

static enum larder_status observed_keys(const struct larder_scope *scope,
                                        struct larder_cursor *cursor, void *buffer, size_t size,
                                        struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct watch watch;
    watch_init(&watch, scope, LARDER_OPERATION_KEYS, larder_bytes(NULL, 0));
    if (!watch_asks(&watch))
        return watch.call.status;
    enum larder_status status =
        watch_tells(&watch, larder_keys(watch.target, cursor, buffer, size, keys, capacity, count));
    if (status != LARDER_OK)
        *count = 0;
    return status;
}

/* A figure of the contract, "get.OK": the wrapper has its own. */
static int is_contract_figure(const char *name)
{
    static const char *const starts[] = {
#define OPERATION_START(name, text) #text ".",
        LARDER_OPERATION_TABLE(OPERATION_START)
#undef OPERATION_START
    };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        size_t length = strlen(starts[i]);
        if (strncmp(name, starts[i], length) == 0 && name[length] >= 'A' && name[length] <= 'Z')
            return 1;
    }
    return 0;
}

/* Rows beyond what there was room for a moment ago wait for the next call. */
static void observed_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct larder_cache *target;
    size_t count = 0, capacity;
    if (target_of(scope, &target) != LARDER_OK ||
        larder_stats(target, NULL, 0, &capacity) != LARDER_OK)
        return;
    struct larder_stat *rows = calloc(capacity + 1, sizeof(*rows));
    if (rows == NULL)
        return;
    if (larder_stats(target, rows, capacity, &count) != LARDER_OK)
        count = 0;
    for (size_t i = 0; i < count && i < capacity; i++)
        if (!is_contract_figure(rows[i].name))
            larder_stat_add(out, rows[i].name, rows[i].value);
    free(rows);
}

static enum larder_status observed_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                         uint64_t *next_due_ms)
{
    return larder_purge(observed_of(scope)->inner, budget_ms, next_due_ms);
}

static enum larder_status observed_wire_key(const struct larder_scope *scope,
                                            struct larder_slice key, void *buffer, size_t size,
                                            size_t *length)
{
    struct larder_cache *target;
    enum larder_status status = target_of(scope, &target);
    return status == LARDER_OK ? larder_wire_key(target, key, buffer, size, length) : status;
}

/* ---- sessions ------------------------------------------------------------------------------ */

/* A session of the wrapper holds one of the inner cache. */
static enum larder_status observed_acquire(const struct larder_scope *scope,
                                           struct larder_session *session)
{
    struct larder_cache *target, *member;
    uint64_t budget_ms = 0;
    enum larder_status status = handle_of(scope, &target);
    if (status != LARDER_OK)
        return status;
    if (session->deadline_ns != LARDER_NEVER_NS) {
        budget_ms = larder_deadline_left_ms(session->deadline_ns);
        if (budget_ms == 0)
            return LARDER_TIMEOUT;
    }
    status = larder_acquire(target, (uint32_t)budget_ms, session->flags, &member);
    if (status == LARDER_OK) {
        session->owner = scope->self;
        session->member = member;
    }
    return status;
}

static void observed_release(const struct larder_scope *scope, struct larder_session *session)
{
    if (session->owner == scope->self)
        larder_release(session->member);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static const struct larder_traits *observed_traits(const void *self)
{
    return &((const struct observed *)self)->traits;
}

static struct larder_cache *owned(const struct observed *observed)
{
    return observed->client != NULL ? observed->client : observed->inner;
}

static void observed_shutdown(void *self)
{
    const struct observed *observed = self;
    larder_shutdown(owned(observed));
    if (observed->observer.wake != NULL)
        observed->observer.wake(observed->observer.context);
}

static void observed_close(void *self)
{
    larder_close(owned(self));
    free(self);
}

static void observed_fork(void *self, enum larder_fork_step step)
{
    const struct larder_observer *observer = &((const struct observed *)self)->observer;
    if (observer->hold != NULL)
        observer->hold(observer->context, step == LARDER_FORK_PREPARE);
}

static struct larder_ops observed_ops(const char *name)
{
    struct larder_ops ops = {
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_ops),
        .name = name != NULL ? name : "observed",
        .read = observed_read,
        .store = observed_store,
        .remove = observed_remove,
        .traits = observed_traits,
        .close = observed_close,
        .get = observed_get,
        .touch = observed_touch,
        .get_and_touch = observed_get_and_touch,
        .count = observed_count,
        .lease_get = observed_lease_get,
        .lease_fill = observed_lease_fill,
        .lease_return = observed_lease_return,
        .many = observed_many,
        .flush = observed_flush,
        .keys = observed_keys,
        .stats = observed_stats,
        .purge = observed_purge,
        .wire_key = observed_wire_key,
        .acquire = observed_acquire,
        .release = observed_release,
        .shutdown = observed_shutdown,
        .fork = observed_fork,
    };
    return ops;
}

static struct observed *observed_new(const struct larder_traits *traits,
                                     const struct larder_observer *observer, int namespaces)
{
    struct observed *observed = calloc(1, sizeof(*observed));
    if (observed == NULL)
        return NULL;
    observed->observer = *observer;
    observed->traits = *traits;
    observed->traits.promises &= ~observer->breaks;
    if (!namespaces) {
        observed->traits.can &= ~(uint64_t)LARDER_CAN_NAMESPACES;
        observed->traits.steps &= ~(uint64_t)LARDER_CAN_NAMESPACES;
    }
    return observed;
}

/* A client of our own takes every name and gives the handle of each. */
static enum larder_status client_open(struct observed *observed, struct larder_cache *inner)
{
    const struct larder_route route = {"*", inner, LARDER_TTL_DEFAULT, 0};
    return larder_client_open(NULL, NULL, &route, 1, &observed->client, NULL, 0);
}

/* Attaches first: what fails after a client took the inner cache could not give it back. */
static enum larder_status open_with(struct larder_cache *inner,
                                    const struct larder_observer *observer, int namespaces,
                                    const struct larder_open_options *open_options,
                                    struct larder_cache **cache, char *message, size_t size)
{
    struct larder_ops ops = observed_ops(observer->name);
    struct observed *observed = observed_new(larder_describe(inner), observer, namespaces);
    if (observed == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = larder_attach(&ops, observed, open_options, cache, message, size);
    if (status != LARDER_OK) {
        free(observed);
        return status;
    }
    if (namespaces)
        status = client_open(observed, inner);
    if (status == LARDER_OK) {
        observed->inner = inner;
    } else {
        larder_close(*cache);
        *cache = NULL;
    }
    return status;
}

enum larder_status larder_observed_open(struct larder_cache *inner,
                                        const struct larder_observer *observer,
                                        const struct larder_open_options *open_options,
                                        struct larder_cache **cache, char *text, size_t text_size)
{
    const struct larder_message message = {text, text_size};
    larder_message_set(&message, "%s", "");
    if (cache != NULL)
        *cache = NULL;
    if (inner == NULL || observer == NULL || cache == NULL ||
        observer->struct_size != sizeof(*observer))
        return larder_fail(&message, LARDER_BAD_ARGUMENT,
                           "a cache, an observer made of LARDER_OBSERVER_INIT, and where to put "
                           "the watched cache");
    enum larder_status status = LARDER_BAD_ARGUMENT;
    if (larder_can(larder_describe(inner), LARDER_CAN_NAMESPACES))
        status = open_with(inner, observer, 1, open_options, cache, text, text_size);
    /* a client, or a namespace of one: no client takes it */
    if (status == LARDER_BAD_ARGUMENT)
        status = open_with(inner, observer, 0, open_options, cache, text, text_size);
    if (status == LARDER_NO_MEMORY)
        larder_message_set(&message, "no memory");
    return status;
}
