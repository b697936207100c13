#include "item.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <larder/util/deadline.h>
#include <larder/util/random.h>
#include <larder/util/value.h>

#include "metadata.h"

#define NS_PER_MS UINT64_C(1000000)

/* Without a deadline a call gives up after so many lost races: an item that changes this often in
 * between is not getting anywhere. */
#define ROUNDS_MAX 1000u
/* The longest wait after a lost race grows with the races, up to 16 times this. */
#define WAIT_NS 40000u
#define WAIT_TIMES_MAX 16u

/* Records up to this length are put together without memory of their own. */
#define SMALL_BYTES 512u

struct keyspace *larder__keyspace_of(const struct larder_scope *scope)
{
    return scope->self;
}

struct larder_scope larder__keyspace_inner(const struct larder_scope *scope)
{
    struct larder_scope inner = *scope;
    inner.ops = &larder__keyspace_of(scope)->inner_ops;
    inner.self = larder__keyspace_of(scope)->inner_self;
    return inner;
}

uint64_t larder__keyspace_now_ms(const struct keyspace *keyspace)
{
    struct timespec now;
    if (keyspace->epoch_ms != 0)
        return keyspace->epoch_ms + keyspace->clock.now_ns(keyspace->clock.context) / NS_PER_MS;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* ---- steps --------------------------------------------------------------------------------- */

void larder__steps_begin(struct steps *steps, const struct larder_scope *scope)
{
    uint32_t timeout_ms = larder__keyspace_of(scope)->traits.timeout_ms;
    steps->scope = larder__keyspace_inner(scope);
    steps->keyspace = larder__keyspace_of(scope);
    steps->rounds = 0;
    steps->late_ns = LARDER_NEVER_NS;
    if (timeout_ms == 0)
        return;
    uint64_t now_ns = larder_monotonic_ns();
    uint64_t deadline_ns = larder_scope_deadline(scope, timeout_ms);
    steps->scope.deadline_ns = deadline_ns;
    steps->late_ns = deadline_ns > now_ns ? now_ns + (deadline_ns - now_ns) / 2 : now_ns;
}

enum larder_status larder__steps_again(struct steps *steps)
{
    uint32_t times = ++steps->rounds < WAIT_TIMES_MAX ? steps->rounds : WAIT_TIMES_MAX;
    struct timespec wait = {0, (long)(larder_random() % (times * WAIT_NS))};
    atomic_fetch_add_explicit(&steps->keyspace->races, 1, memory_order_relaxed);
    if (steps->rounds >= ROUNDS_MAX)
        return LARDER_UNAVAILABLE;
    if (steps->scope.deadline_ns != 0 && larder_deadline_left_ms(steps->scope.deadline_ns) == 0)
        return LARDER_TIMEOUT;
    nanosleep(&wait, NULL);
    return LARDER_OK;
}

/* ---- looking ------------------------------------------------------------------------------- */

int larder__lease_holds(const struct larder_record *record, uint64_t token, uint64_t now_ms)
{
    return token != 0 && record->token == token && now_ms < record->lease_end_ms;
}

static enum item_state state_of_record(const struct keyspace *keyspace,
                                       const struct larder_record *record)
{
    uint64_t now_ms = larder__keyspace_now_ms(keyspace);
    int is_live = record->hard_ms == 0 || now_ms < record->hard_ms;
    if (record->kind == LARDER_RECORD_VALUE && is_live)
        return ITEM_LIVE;
    if (record->kind == LARDER_RECORD_ABSENT && is_live &&
        (keyspace->metadata & METADATA_NEGATIVE) != 0)
        return ITEM_NEGATIVE;
    /* a value that died while it was renewed is pending */
    return larder__lease_holds(record, record->token, now_ms) ? ITEM_PENDING : ITEM_VACANT;
}

static enum item_state count_unreadable(_Atomic uint64_t *figure)
{
    atomic_fetch_add_explicit(figure, 1, memory_order_relaxed);
    return ITEM_VACANT;
}

static enum item_state state_of(struct keyspace *keyspace, const struct item *item)
{
    switch (item->form) {
    case LARDER_RECORD_RAW:
        return ITEM_LIVE;
    case LARDER_RECORD_PLACEHOLDER:
        return (keyspace->metadata & METADATA_LEASES) != 0 ? ITEM_PENDING : ITEM_LIVE;
    case LARDER_RECORD_ENVELOPED:
        /* a payload that this library can't open, or whose tags it can't compare */
        if (item->record.codec != LARDER_RECORD_CODEC_NONE || item->record.tag_count > 0)
            return count_unreadable(&keyspace->unknown);
        return state_of_record(keyspace, &item->record);
    case LARDER_RECORD_UNKNOWN:
        return count_unreadable(&keyspace->unknown);
    case LARDER_RECORD_MALFORMED:
        break;
    }
    return count_unreadable(&keyspace->malformed);
}

void larder__item_of(struct keyspace *keyspace, enum larder_status answer,
                     struct larder_value *view, struct item *item)
{
    memset(item, 0, sizeof(*item));
    if (answer != LARDER_OK)
        return;
    item->view = *view;
    view->owner = NULL;
    item->version = view->info.version;
    item->form = larder_record_decode(view->info.flags, view->bytes, &item->record);
    item->state = state_of(keyspace, item);
}

enum larder_status larder__item_look(const struct steps *steps, struct larder_slice key,
                                     struct item *item)
{
    struct larder_value view;
    memset(&view, 0, sizeof(view));
    view.info.want = LARDER_WANT_VERSION;
    larder_info_clear(&view.info);
    enum larder_status status = steps->scope.ops->get(&steps->scope, key, &view);
    larder__item_of(steps->keyspace, status, &view, item);
    if (status == LARDER_OK && item->version == 0) {
        larder__item_release(item);
        return LARDER_UNSUPPORTED;
    }
    return status == LARDER_MISS ? LARDER_OK : status;
}

void larder__item_release(struct item *item)
{
    larder_value_release(&item->view);
}

enum larder_status larder__item_deliver(const struct keyspace *keyspace, struct item *item,
                                        struct larder_value *value)
{
    if (item->state != ITEM_LIVE)
        return item->state == ITEM_NEGATIVE ? LARDER_ABSENT : LARDER_MISS;
    value->info.flags = item->record.flags;
    value->info.length = item->record.payload.length;
    value->info.version = item->version;
    value->info.ttl_ms = larder__record_ttl(&item->record, larder__keyspace_now_ms(keyspace));
    value->bytes = item->record.payload;
    value->owner = item->view.owner;
    item->view.owner = NULL;
    return LARDER_OK;
}

/* ---- putting ------------------------------------------------------------------------------- */

uint64_t larder__hard_after(uint64_t now_ms, int64_t ttl_ms)
{
    return ttl_ms == LARDER_TTL_FOREVER ? 0 : now_ms + (uint64_t)ttl_ms;
}

/* A clock that went back adds nothing: no record has more left than it had when it was made. */
static uint64_t not_before(const struct larder_record *record, uint64_t now_ms)
{
    return now_ms < record->stored_ms ? record->stored_ms : now_ms;
}

static int64_t until(uint64_t end_ms, uint64_t now_ms)
{
    uint64_t left_ms = end_ms > now_ms ? end_ms - now_ms : 1;
    return left_ms < INT64_MAX ? (int64_t)left_ms : INT64_MAX;
}

int64_t larder__record_ttl(const struct larder_record *record, uint64_t now_ms)
{
    return record->hard_ms == 0 ? LARDER_TTL_FOREVER
                                : until(record->hard_ms, not_before(record, now_ms));
}

/* How long the server must keep it: the value's life, and at least the lease's. */
static int64_t item_ttl(const struct larder_record *record, uint64_t now_ms)
{
    uint64_t end_ms = record->hard_ms;
    if (record->kind != LARDER_RECORD_PENDING && end_ms == 0)
        return LARDER_TTL_FOREVER;
    if (record->lease_end_ms > end_ms)
        end_ms = record->lease_end_ms;
    return until(end_ms, now_ms);
}

struct larder_record larder__record_of_write(const struct larder_write *write, uint64_t now_ms)
{
    struct larder_record record = larder_record_of(write->value, write->flags);
    if ((write->marks & LARDER_WRITE_ABSENT) != 0) {
        record.kind = LARDER_RECORD_ABSENT;
        record.flags = 0;
    }
    record.stored_ms = now_ms;
    record.hard_ms = larder__hard_after(now_ms, write->ttl_ms);
    return record;
}

static enum larder_status put_enveloped(const struct steps *steps, enum larder_mode mode,
                                        struct larder_slice key, const struct larder_record *record,
                                        struct larder_write *write)
{
    unsigned char small[SMALL_BYTES], header[LARDER_RECORD_HEADER_MAX];
    uint64_t unwanted = 0;
    size_t length = larder_record_header(record, header);
    if (length == 0 || record->payload.length > SIZE_MAX - length)
        return LARDER_TOO_LARGE;
    size_t whole = length + record->payload.length;
    unsigned char *bytes = whole <= sizeof(small) ? small : malloc(whole);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    memcpy(bytes, header, length);
    if (record->payload.length > 0)
        memcpy(bytes + length, record->payload.data, record->payload.length);
    write->value = larder_bytes(bytes, whole);
    write->flags = LARDER_RECORD_FLAGS;
    enum larder_status status = steps->scope.ops->store(&steps->scope, mode, key, write, &unwanted);
    if (bytes != small)
        free(bytes);
    return status;
}

enum larder_status larder__record_put(const struct steps *steps, enum larder_mode mode,
                                      struct larder_slice key, const struct larder_record *record,
                                      uint64_t version)
{
    uint64_t unwanted = 0;
    uint64_t now_ms = not_before(record, larder__keyspace_now_ms(steps->keyspace));
    struct larder_write write = larder_write_of(record->payload, item_ttl(record, now_ms));
    write.version = version;
    if (!larder_record_is_raw(record))
        return put_enveloped(steps, mode, key, record, &write);
    write.flags = record->flags;
    return steps->scope.ops->store(&steps->scope, mode, key, &write, &unwanted);
}
