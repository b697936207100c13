#include "keyspace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <larder/util/counter.h>
#include <larder/util/deadline.h>
#include <larder/util/message.h>
#include <larder/util/value.h>

#include "fallback.h"
#include "item.h"
#include "metadata.h"
#include "monotonic.h"

/* After so many lost races, or half of its time, a delete takes whatever is there: deletes must get
 * through. */
#define DELETE_ROUNDS_MAX 32u

/* larder's own keys (a namespace's generation) have no metadata. */
static int is_own_key(const struct larder_scope *scope)
{
    return (scope->flags & LARDER_SCOPE_OWN_KEY) != 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum larder_status keyspace_get(const struct larder_scope *scope, struct larder_slice key,
                                       struct larder_value *value)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    struct larder_value view;
    struct item item;
    if (is_own_key(scope))
        return inner.ops->get(&inner, key, value);
    memset(&view, 0, sizeof(view));
    view.info.want = value->info.want & ~LARDER_WANT_TTL;
    larder_info_clear(&view.info);
    enum larder_status status = inner.ops->get(&inner, key, &view);
    if (status != LARDER_OK)
        return status;
    larder__item_of(larder__keyspace_of(scope), status, &view, &item);
    status = larder__item_deliver(larder__keyspace_of(scope), &item, value);
    larder__item_release(&item);
    return status;
}

/* Copies a value that was got into what a read was given. */
static enum larder_status read_value(struct larder_value *value, void *buffer, size_t size,
                                     struct larder_info *info)
{
    if (info != NULL) {
        uint32_t want = info->want;
        *info = value->info;
        info->want = want;
    }
    enum larder_status status =
        larder_copy_out(buffer, size, value->bytes.data, value->bytes.length, info);
    larder_value_release(value);
    return status;
}

static enum larder_status keyspace_read(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, struct larder_info *info)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    struct larder_value value;
    if (is_own_key(scope))
        return inner.ops->read(&inner, key, buffer, size, info);
    memset(&value, 0, sizeof(value));
    value.info.want = info != NULL ? info->want : 0;
    larder_info_clear(&value.info);
    enum larder_status status = keyspace_get(scope, key, &value);
    return status == LARDER_OK ? read_value(&value, buffer, size, info) : status;
}

/* ---- reading many -------------------------------------------------------------------------- */

static void answer_row(const struct larder_scope *scope, enum larder_many_kind many,
                       struct larder_row *inner, struct larder_row *row)
{
    struct item item;
    row->status = inner->status;
    if (inner->status != LARDER_OK)
        return;
    larder__item_of(larder__keyspace_of(scope), LARDER_OK, &inner->value, &item);
    row->status = larder__item_deliver(larder__keyspace_of(scope), &item, &row->value);
    larder__item_release(&item);
    if (row->status == LARDER_OK && many == LARDER_MANY_READ) {
        row->status = read_value(&row->value, row->buffer, row->size, &row->value.info);
        row->value.bytes = larder_bytes(NULL, 0);
    }
}

static void get_rows(const struct larder_scope *scope, enum larder_many_kind many,
                     const struct larder_rows *rows, struct larder_row *asked)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    struct larder_rows some = {asked, 0, sizeof(*asked)};
    for (size_t i = 0; i < rows->count; i++) {
        const struct larder_row *row = larder_row_at(rows, i);
        if (row->status != LARDER_ASKED)
            continue;
        asked[some.count].key = row->key;
        asked[some.count].status = LARDER_ASKED;
        asked[some.count].value.info.want = row->value.info.want & ~LARDER_WANT_TTL;
        larder_info_clear(&asked[some.count++].value.info);
    }
    inner.ops->many(&inner, LARDER_MANY_GET, LARDER_SET, &some);
    for (size_t i = 0, at = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            answer_row(scope, many, &asked[at++], larder_row_at(rows, i));
}

static void refuse_rows(const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            larder_row_at(rows, i)->status = LARDER_NO_MEMORY;
}

/* Reads take one round trip, whatever is read; what changes something goes row by row. */
static void keyspace_many(const struct larder_scope *scope, enum larder_many_kind many,
                          enum larder_mode mode, const struct larder_rows *rows)
{
    if (many != LARDER_MANY_READ && many != LARDER_MANY_GET) {
        larder__many_by_rows(scope, many, mode, rows);
        return;
    }
    struct larder_row *asked = calloc(rows->count, sizeof(*asked));
    if (asked == NULL) {
        refuse_rows(rows);
        return;
    }
    get_rows(scope, many, rows, asked);
    free(asked);
}

/* ---- changing ------------------------------------------------------------------------------ */

/* What one call does to an item. Each field is for those that need it. */
struct change {
    struct larder_slice key;
    enum larder_mode mode;
    const struct larder_write *write;
    uint64_t version; /* of a delete; 0: any */
    int64_t ttl_ms;   /* of a touch */
    enum larder_direction direction;
    uint64_t delta;
    const struct larder_initial *initial;
    uint64_t *result;
};

/* Does it to the item that was seen. CONFLICT: the item changed meanwhile, look again; an answer
 * of CONFLICT is final when *is_final is set. */
typedef enum larder_status change_fn(const struct steps *steps, const struct change *change,
                                     const struct item *item, int *is_final);

static enum larder_status change_round(const struct steps *steps, const struct change *change,
                                       change_fn *apply, int *is_final)
{
    struct item item;
    enum larder_status status = larder__item_look(steps, change->key, &item);
    if (status != LARDER_OK)
        return status;
    status = apply(steps, change, &item, is_final);
    larder__item_release(&item);
    return status;
}

static enum larder_status repeat(struct steps *steps, const struct change *change, change_fn *apply)
{
    for (;;) {
        int is_final = 0;
        enum larder_status status = change_round(steps, change, apply, &is_final);
        if (status != LARDER_CONFLICT || is_final)
            return status;
        status = larder__steps_again(steps);
        if (status != LARDER_OK)
            return status;
    }
}

static enum larder_status change_item(const struct larder_scope *scope, const struct change *change,
                                      change_fn *apply)
{
    struct steps steps;
    larder__steps_begin(&steps, scope);
    return repeat(&steps, change, apply);
}

/* Puts a record where the item was; what came in between is a conflict. */
static enum larder_status put_over(const struct steps *steps, struct larder_slice key,
                                   const struct larder_record *record, const struct item *item)
{
    enum larder_mode mode = item->state == ITEM_NONE ? LARDER_ADD : LARDER_CAS;
    enum larder_status status = larder__record_put(steps, mode, key, record, item->version);
    return status == LARDER_EXISTS || status == LARDER_MISS ? LARDER_CONFLICT : status;
}

/* The item's record with another payload: a store, so it voids the lease. */
static struct larder_record with_payload(const struct steps *steps, const struct item *item,
                                         struct larder_slice payload)
{
    struct larder_record record = item->record;
    record.payload = payload;
    record.stored_ms = larder__keyspace_now_ms(steps->keyspace);
    record.token = record.lease_end_ms = 0;
    return record;
}

static struct larder_record record_of_change(const struct steps *steps, const struct change *change)
{
    return larder__record_of_write(change->write, larder__keyspace_now_ms(steps->keyspace));
}

/* ---- store --------------------------------------------------------------------------------- */

static enum larder_status apply_add(const struct steps *steps, const struct change *change,
                                    const struct item *item, int *is_final)
{
    struct larder_record record = record_of_change(steps, change);
    (void)is_final;
    if (item->state == ITEM_LIVE)
        return LARDER_EXISTS;
    return put_over(steps, change->key, &record, item);
}

static enum larder_status apply_replace(const struct steps *steps, const struct change *change,
                                        const struct item *item, int *is_final)
{
    struct larder_record record = record_of_change(steps, change);
    if (item->state != ITEM_LIVE)
        return LARDER_MISS;
    *is_final = change->mode == LARDER_CAS && change->write->version != item->version;
    return *is_final ? LARDER_CONFLICT : put_over(steps, change->key, &record, item);
}

static void join(unsigned char *joined, struct larder_slice head, struct larder_slice tail)
{
    if (head.length > 0)
        memcpy(joined, head.data, head.length);
    if (tail.length > 0)
        memcpy(joined + head.length, tail.data, tail.length);
}

static enum larder_status apply_join(const struct steps *steps, const struct change *change,
                                     const struct item *item, int *is_final)
{
    struct larder_slice old = item->record.payload, added = change->write->value;
    (void)is_final;
    if (item->state != ITEM_LIVE)
        return LARDER_MISS;
    if (added.length > SIZE_MAX - 1 - old.length)
        return LARDER_TOO_LARGE;
    unsigned char *joined = malloc(old.length + added.length + 1);
    if (joined == NULL)
        return LARDER_NO_MEMORY;
    if (change->mode == LARDER_APPEND)
        join(joined, old, added);
    else
        join(joined, added, old);
    struct larder_record record =
        with_payload(steps, item, larder_bytes(joined, old.length + added.length));
    enum larder_status status = put_over(steps, change->key, &record, item);
    free(joined);
    return status;
}

/* Most of what is added is not there yet. */
static enum larder_status add(const struct larder_scope *scope, const struct change *change)
{
    struct steps steps;
    larder__steps_begin(&steps, scope);
    struct larder_record record = record_of_change(&steps, change);
    enum larder_status status = larder__record_put(&steps, LARDER_ADD, change->key, &record, 0);
    return status == LARDER_EXISTS ? repeat(&steps, change, apply_add) : status;
}

static enum larder_status set(const struct larder_scope *scope, const struct change *change)
{
    struct steps steps;
    larder__steps_begin(&steps, scope);
    struct larder_record record = record_of_change(&steps, change);
    return larder__record_put(&steps, LARDER_SET, change->key, &record, 0);
}

static enum larder_status keyspace_store(const struct larder_scope *scope, enum larder_mode mode,
                                         struct larder_slice key, const struct larder_write *write,
                                         uint64_t *version)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    const struct change change = {.key = key, .mode = mode, .write = write};
    if (is_own_key(scope))
        return inner.ops->store(&inner, mode, key, write, version);
    switch (mode) {
    case LARDER_SET:
        return set(scope, &change);
    case LARDER_ADD:
        return add(scope, &change);
    case LARDER_REPLACE:
    case LARDER_CAS:
        return change_item(scope, &change, apply_replace);
    case LARDER_APPEND:
    case LARDER_PREPEND:
        return change_item(scope, &change, apply_join);
    }
    return LARDER_UNSUPPORTED;
}

/* ---- delete and touch ---------------------------------------------------------------------- */

static int is_late(const struct steps *steps)
{
    return steps->rounds >= DELETE_ROUNDS_MAX ||
           (steps->rounds > 0 && larder_monotonic_ns() >= steps->late_ns);
}

/* Of what is missing to the caller a plain delete leaves nothing either: it kills leases and
 * negative entries. */
static enum larder_status apply_remove(const struct steps *steps, const struct change *change,
                                       const struct item *item, int *is_final)
{
    enum larder_status status = LARDER_MISS;
    if (item->state == ITEM_NONE || (change->version != 0 && item->state != ITEM_LIVE))
        return LARDER_MISS;
    *is_final = change->version != 0 && change->version != item->version;
    if (*is_final)
        return LARDER_CONFLICT;
    uint64_t version = item->version;
    if (change->version == 0 && is_late(steps)) {
        atomic_fetch_add_explicit(&steps->keyspace->forced, 1, memory_order_relaxed);
        version = 0;
    }
    status = steps->scope.ops->remove(&steps->scope, change->key, version);
    return status == LARDER_OK && item->state != ITEM_LIVE ? LARDER_MISS : status;
}

static enum larder_status keyspace_remove(const struct larder_scope *scope, struct larder_slice key,
                                          uint64_t version)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    const struct change change = {.key = key, .version = version};
    if (is_own_key(scope))
        return inner.ops->remove(&inner, key, version);
    return change_item(scope, &change, apply_remove);
}

static enum larder_status apply_touch(const struct steps *steps, const struct change *change,
                                      const struct item *item, int *is_final)
{
    struct larder_record record = item->record;
    (void)is_final;
    if (item->state != ITEM_LIVE)
        return LARDER_MISS;
    record.stored_ms = larder__keyspace_now_ms(steps->keyspace);
    record.hard_ms = larder__hard_after(record.stored_ms, change->ttl_ms);
    record.soft_ms = 0; /* it belonged to the old one */
    if (record.hard_ms == 0)
        record.load_ms = 0;
    return put_over(steps, change->key, &record, item);
}

static enum larder_status keyspace_touch(const struct larder_scope *scope, struct larder_slice key,
                                         int64_t ttl_ms)
{
    const struct change change = {.key = key, .ttl_ms = ttl_ms};
    return change_item(scope, &change, apply_touch);
}

/* ---- count --------------------------------------------------------------------------------- */

/* A counter that is raw is for ever, and the server counts it. */
static enum larder_status count_raw(const struct steps *steps, const struct change *change)
{
    enum larder_status status = steps->scope.ops->count(
        &steps->scope, change->key, change->direction, change->delta, NULL, change->result);
    /* it was one when it was looked at, and has changed */
    return status == LARDER_MISS || status == LARDER_NOT_A_NUMBER ? LARDER_CONFLICT : status;
}

static enum larder_status put_number(const struct steps *steps, const struct change *change,
                                     const struct item *item, const struct larder_record *record,
                                     uint64_t number)
{
    enum larder_status status = put_over(steps, change->key, record, item);
    if (status == LARDER_OK)
        *change->result = number;
    return status;
}

static enum larder_status count_from(const struct steps *steps, const struct change *change,
                                     const struct item *item)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    if (change->initial == NULL)
        return LARDER_MISS;
    uint64_t number = larder_counter_step(change->initial->value, change->direction, change->delta);
    struct larder_write write = larder_write_of(
        larder_bytes(text, larder_counter_format(number, text)), change->initial->ttl_ms);
    write.flags = change->initial->flags;
    struct larder_record record =
        larder__record_of_write(&write, larder__keyspace_now_ms(steps->keyspace));
    return put_number(steps, change, item, &record, number);
}

static enum larder_status apply_count(const struct steps *steps, const struct change *change,
                                      const struct item *item, int *is_final)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t number;
    (void)is_final;
    if (item->state != ITEM_LIVE)
        return count_from(steps, change, item);
    if (!larder_counter_parse(item->record.payload, &number))
        return LARDER_NOT_A_NUMBER;
    if (item->form == LARDER_RECORD_RAW &&
        larder_can(&steps->keyspace->inner_traits, LARDER_CAN_COUNT))
        return count_raw(steps, change);
    number = larder_counter_step(number, change->direction, change->delta);
    struct larder_record record =
        with_payload(steps, item, larder_bytes(text, larder_counter_format(number, text)));
    return put_number(steps, change, item, &record, number);
}

static enum larder_status keyspace_count(const struct larder_scope *scope, struct larder_slice key,
                                         enum larder_direction direction, uint64_t delta,
                                         const struct larder_initial *initial, uint64_t *result)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    const struct change change = {
        .key = key, .direction = direction, .delta = delta, .initial = initial, .result = result};
    if (is_own_key(scope))
        return inner.ops->count(&inner, key, direction, delta, initial, result);
    return change_item(scope, &change, apply_count);
}

/* ---- what is passed on --------------------------------------------------------------------- */

static enum larder_status keyspace_flush(const struct larder_scope *scope)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->flush(&inner);
}

static void keyspace_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct keyspace *keyspace = larder__keyspace_of(scope);
    struct larder_scope inner = larder__keyspace_inner(scope);
    larder_stat_add(out, "records.unknown",
                    atomic_load_explicit(&keyspace->unknown, memory_order_relaxed));
    larder_stat_add(out, "records.malformed",
                    atomic_load_explicit(&keyspace->malformed, memory_order_relaxed));
    larder_stat_add(out, "records.races",
                    atomic_load_explicit(&keyspace->races, memory_order_relaxed));
    larder_stat_add(out, "records.forced",
                    atomic_load_explicit(&keyspace->forced, memory_order_relaxed));
    inner.ops->stats(&inner, out);
}

static enum larder_status keyspace_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                         uint64_t *next_due_ms)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->purge(&inner, budget_ms, next_due_ms);
}

static enum larder_status keyspace_wire_key(const struct larder_scope *scope,
                                            struct larder_slice key, void *buffer, size_t size,
                                            size_t *length)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->wire_key(&inner, key, buffer, size, length);
}

static enum larder_status keyspace_acquire(const struct larder_scope *scope,
                                           struct larder_session *session)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->acquire(&inner, session);
}

static void keyspace_release(const struct larder_scope *scope, struct larder_session *session)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    inner.ops->release(&inner, session);
}

static uint32_t keyspace_servers(const struct larder_scope *scope)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->servers(&inner);
}

static uint32_t keyspace_place(const struct larder_scope *scope, struct larder_slice key)
{
    struct larder_scope inner = larder__keyspace_inner(scope);
    return inner.ops->place(&inner, key);
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct larder_traits *keyspace_traits(const void *self)
{
    return &((const struct keyspace *)self)->traits;
}

static void keyspace_shutdown(void *self)
{
    struct keyspace *keyspace = self;
    keyspace->inner_ops.shutdown(keyspace->inner_self);
}

static void keyspace_retire(void *self)
{
    struct keyspace *keyspace = self;
    keyspace->inner_ops.retire(keyspace->inner_self);
}

static void keyspace_fork(void *self, enum larder_fork_step step)
{
    struct keyspace *keyspace = self;
    keyspace->inner_ops.fork(keyspace->inner_self, step);
}

static void keyspace_close(void *self)
{
    struct keyspace *keyspace = self;
    keyspace->inner_ops.close(keyspace->inner_self);
    free(keyspace);
}

const struct larder_ops *larder__keyspace_ops(const struct keyspace *keyspace)
{
    return &keyspace->ops;
}

static struct larder_ops keyspace_ops(const char *name)
{
    struct larder_ops ops = {
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_ops),
        .name = name,
        .read = keyspace_read,
        .get = keyspace_get,
        .store = keyspace_store,
        .remove = keyspace_remove,
        .touch = keyspace_touch,
        .count = keyspace_count,
        .lease_get = larder__keyspace_lease_get,
        .lease_fill = larder__keyspace_lease_fill,
        .lease_return = larder__keyspace_lease_return,
        .many = keyspace_many,
        .flush = keyspace_flush,
        .stats = keyspace_stats,
        .purge = keyspace_purge,
        .wire_key = keyspace_wire_key,
        .acquire = keyspace_acquire,
        .release = keyspace_release,
        .servers = keyspace_servers,
        .place = keyspace_place,
        .traits = keyspace_traits,
        .shutdown = keyspace_shutdown,
        .retire = keyspace_retire,
        .fork = keyspace_fork,
        .close = keyspace_close,
    };
    return ops;
}

/* What has to look first. get and touch in one is the core's: touch, then get. */
#define KEYSPACE_STEPS                                                          \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS | \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL)

/* What the backend does with an item serves a record as well. */
#define KEYSPACE_PASSED \
    (LARDER_CAN_FLUSH | LARDER_CAN_NAMESPACES | LARDER_CAN_WIRE_KEY | LARDER_CAN_MANY_READ)

static struct larder_traits traits_over(const struct larder_traits *inner, uint32_t metadata)
{
    struct larder_traits traits = *inner;
    traits.can = (inner->can & KEYSPACE_PASSED) | LARDER_CAN_READ_TTL;
    traits.steps = (inner->steps & KEYSPACE_PASSED) | KEYSPACE_STEPS;
    traits.promises &= ~(uint64_t)LARDER_NEVER_BLOCKS;
    if (inner->timeout_ms == 0)
        traits.promises &= ~(uint64_t)LARDER_HARD_DEADLINE;
    traits.options &= LARDER_TAKES_NO_WAIT | LARDER_TAKES_TIMEOUT | LARDER_TAKES_ROUTING_KEY;
    if ((metadata & METADATA_NEGATIVE) != 0)
        traits.can |= LARDER_CAN_ABSENT;
    if ((metadata & METADATA_LEASES) != 0) {
        traits.steps |= LARDER_CAN_LEASE;
        traits.options |= LARDER_TAKES_RECACHE;
    }
    if (!larder_can(inner, LARDER_CAN_COUNT))
        traits.delta_max = UINT64_MAX;
    traits.value_max -= LARDER_RECORD_HEADER_UNTAGGED_MAX;
    return traits;
}

static enum larder_status carries_records(const struct larder_ops *ops,
                                          const struct larder_traits *traits,
                                          const struct larder_message *message)
{
    if (!larder_can(traits, LARDER_CAN_ADD | LARDER_CAN_CAS | LARDER_CAN_DELETE_VERSION))
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "metadata needs add, cas and delete at a version; %s lacks one of them",
                           ops->name);
    if (traits->value_max <= LARDER_RECORD_HEADER_UNTAGGED_MAX)
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "value_max leaves no room for values: with metadata %u bytes of it are "
                           "a record's header",
                           LARDER_RECORD_HEADER_UNTAGGED_MAX);
    return LARDER_OK;
}

/* A clock of the caller's goes on from the wall time that there is now. */
static uint64_t epoch_of(struct larder_clock clock)
{
    struct timespec now;
    if (larder__clock_is_default(clock))
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 - clock.now_ns(clock.context) / 1000000;
}

enum larder_status larder__keyspace_open(const struct larder_ops *ops, void *self,
                                         const struct larder_traits *traits,
                                         struct larder_clock clock, uint32_t metadata,
                                         const struct larder_message *message,
                                         struct keyspace **opened)
{
    enum larder_status status = carries_records(ops, traits, message);
    if (status != LARDER_OK)
        return status;
    struct keyspace *keyspace = calloc(1, sizeof(*keyspace));
    if (keyspace == NULL)
        return LARDER_NO_MEMORY;
    keyspace->inner_ops = *ops;
    keyspace->inner_self = self;
    keyspace->inner_traits = *traits;
    keyspace->traits = traits_over(traits, metadata);
    keyspace->ops = keyspace_ops(ops->name);
    keyspace->clock = clock;
    keyspace->epoch_ms = epoch_of(clock);
    keyspace->metadata = metadata;
    *opened = keyspace;
    return LARDER_OK;
}
