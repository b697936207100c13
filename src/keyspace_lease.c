/*
 * Leases under the key itself. A lease on a missing key is a pending record, added or put in the
 * place of what is void by cas, so one caller wins; one on a value near its end stands in that
 * value's record. The token is in the record: whatever else is written there voids the lease, and a
 * delete takes it away.
 */
#include "item.h"

#include <string.h>

#include <larder/util/random.h>

struct lease_wish {
    struct larder_slice key;
    uint32_t lease_ms;
    struct larder_lease *lease;
};

static uint64_t new_token(void)
{
    uint64_t token;
    do
        token = larder_random();
    while (token == 0);
    return token;
}

/* ---- taking -------------------------------------------------------------------------------- */

/* @return OK when the lease was taken; CONFLICT when another was faster */
static enum larder_status put_lease(const struct steps *steps, const struct lease_wish *wish,
                                    struct larder_record *record, const struct item *item)
{
    uint64_t now_ms = larder__keyspace_now_ms(steps->keyspace);
    enum larder_mode mode = item->state == ITEM_NONE ? LARDER_ADD : LARDER_CAS;
    record->token = new_token();
    record->lease_end_ms = now_ms + wish->lease_ms;
    record->stored_ms = now_ms;
    enum larder_status status = larder__record_put(steps, mode, wish->key, record, item->version);
    if (status == LARDER_OK)
        wish->lease->token = record->token;
    return status == LARDER_EXISTS || status == LARDER_MISS ? LARDER_CONFLICT : status;
}

static enum larder_status put_pending(const struct steps *steps, const struct lease_wish *wish,
                                      const struct item *item)
{
    struct larder_record pending;
    memset(&pending, 0, sizeof(pending));
    pending.kind = LARDER_RECORD_PENDING;
    enum larder_status status = put_lease(steps, wish, &pending, item);
    return status == LARDER_OK ? LARDER_MISS : status;
}

static int wants_refresh(const struct steps *steps, const struct item *item)
{
    uint64_t now_ms = larder__keyspace_now_ms(steps->keyspace);
    uint64_t recache_ms = steps->scope.call != NULL ? steps->scope.call->recache_ms : 0;
    if (recache_ms == 0 || item->record.hard_ms == 0)
        return 0;
    return (uint64_t)larder__record_ttl(&item->record, now_ms) < recache_ms &&
           !larder__lease_holds(&item->record, item->record.token, now_ms);
}

/* The value is there and is handed out, also when the lease on it could not be written.
 * @return CONFLICT: another was faster, look again */
static enum larder_status get_live(const struct steps *steps, const struct lease_wish *wish,
                                   struct item *item, struct larder_value *value)
{
    enum larder_status leased = LARDER_MISS;
    if (wants_refresh(steps, item)) {
        struct larder_record renewed = item->record;
        leased = put_lease(steps, wish, &renewed, item);
    }
    if (leased == LARDER_CONFLICT)
        return LARDER_CONFLICT;
    enum larder_status status = larder__item_deliver(steps->keyspace, item, value);
    if (leased == LARDER_OK) {
        value->info.marks |= LARDER_REFRESH_WANTED;
        value->info.version = 0; /* taking the lease made a new one, which nobody told us */
    }
    return status;
}

static enum larder_status get_round(const struct steps *steps, const struct lease_wish *wish,
                                    struct larder_value *value)
{
    struct item item;
    enum larder_status status = larder__item_look(steps, wish->key, &item);
    if (status != LARDER_OK)
        return status;
    switch (item.state) {
    case ITEM_LIVE:
        status = get_live(steps, wish, &item, value);
        break;
    case ITEM_NEGATIVE:
        status = LARDER_ABSENT;
        break;
    case ITEM_PENDING:
        status = LARDER_MISS;
        break;
    case ITEM_NONE:
    case ITEM_VACANT:
        status = put_pending(steps, wish, &item);
        break;
    }
    larder__item_release(&item);
    return status;
}

enum larder_status larder__keyspace_lease_get(const struct larder_scope *scope,
                                              struct larder_slice key, uint32_t lease_ms,
                                              struct larder_value *value,
                                              struct larder_lease *lease)
{
    struct steps steps;
    struct lease_wish wish = {key, lease_ms, lease};
    larder__steps_begin(&steps, scope);
    for (;;) {
        enum larder_status status = get_round(&steps, &wish, value);
        if (status != LARDER_CONFLICT)
            return status;
        status = larder__steps_again(&steps);
        if (status != LARDER_OK)
            return status;
    }
}

/* ---- ending -------------------------------------------------------------------------------- */

/* A change of an item whose lease the caller holds.
 * @return OK; MISS when it is gone; CONFLICT when it changed */
typedef enum larder_status ending_fn(const struct steps *steps, struct larder_slice key,
                                     const struct item *item, const struct larder_write *write);

/* @return OK; CONFLICT when the lease is void, and then *is_void is 1 */
static enum larder_status end_round(const struct steps *steps, struct larder_slice key,
                                    struct larder_lease lease, ending_fn *ending,
                                    const struct larder_write *write, int *is_void)
{
    struct item item;
    enum larder_status status = larder__item_look(steps, key, &item);
    if (status != LARDER_OK)
        return status;
    uint64_t now_ms = larder__keyspace_now_ms(steps->keyspace);
    *is_void = !larder__lease_holds(&item.record, lease.token, now_ms);
    status = *is_void ? LARDER_CONFLICT : ending(steps, key, &item, write);
    larder__item_release(&item);
    return status == LARDER_MISS ? LARDER_CONFLICT : status;
}

static enum larder_status end_lease(const struct larder_scope *scope, struct larder_slice key,
                                    struct larder_lease lease, ending_fn *ending,
                                    const struct larder_write *write)
{
    struct steps steps;
    larder__steps_begin(&steps, scope);
    for (;;) {
        int is_void = 0;
        enum larder_status status = end_round(&steps, key, lease, ending, write, &is_void);
        if (status != LARDER_CONFLICT || is_void)
            return status;
        status = larder__steps_again(&steps);
        if (status != LARDER_OK)
            return status;
    }
}

/* What was pending tells when its lease began, so how long computing took. */
static uint32_t load_ms(const struct item *item, uint64_t now_ms)
{
    uint64_t since_ms = item->record.stored_ms;
    if (now_ms <= since_ms)
        return 0;
    return now_ms - since_ms < UINT32_MAX ? (uint32_t)(now_ms - since_ms) : UINT32_MAX;
}

static enum larder_status fill(const struct steps *steps, struct larder_slice key,
                               const struct item *item, const struct larder_write *write)
{
    uint64_t now_ms = larder__keyspace_now_ms(steps->keyspace);
    struct larder_record record = larder__record_of_write(write, now_ms);
    if (record.hard_ms != 0) /* one that is for ever is never renewed early, and may go raw */
        record.load_ms = load_ms(item, now_ms);
    return larder__record_put(steps, LARDER_CAS, key, &record, item->version);
}

enum larder_status larder__keyspace_lease_fill(const struct larder_scope *scope,
                                               struct larder_slice key, struct larder_lease lease,
                                               const struct larder_write *write)
{
    return end_lease(scope, key, lease, fill, write);
}

static enum larder_status give_back(const struct steps *steps, struct larder_slice key,
                                    const struct item *item, const struct larder_write *write)
{
    struct larder_record value = item->record;
    (void)write;
    if (item->state != ITEM_LIVE)
        return steps->scope.ops->remove(&steps->scope, key, item->version);
    value.token = value.lease_end_ms = 0;
    return larder__record_put(steps, LARDER_CAS, key, &value, item->version);
}

enum larder_status larder__keyspace_lease_return(const struct larder_scope *scope,
                                                 struct larder_slice key, struct larder_lease lease)
{
    return end_lease(scope, key, lease, give_back, NULL);
}
