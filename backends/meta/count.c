/* Counters. */
#include "meta.h"

#include <larder/util/counter.h>

/* So often a counter that comes and goes between two steps is tried again before it is looked at.
 */
#define COUNT_ROUNDS 16

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
    enum larder_status status = meta_call_begin_on(&call, scope, key, &target);
    if (status == LARDER_OK)
        status = call_count(&call, &target, &counting);
    return status;
}
