#include "asking.h"

#include <string.h>

/* A version that no entry has: for when none was observed. */
#define NO_VERSION UINT64_C(0x7fedcba987654321)

static uint64_t seen_version(const struct asker *asker, unsigned key)
{
    return asker->seen[key] != 0 ? asker->seen[key] : NO_VERSION;
}

/* The step's options, with the version that this cache gave. NULL: it has none. */
static const struct larder_call *options_of(const struct asker *asker,
                                            const struct model_step *step, struct larder_call *room)
{
    if (step->call == NULL)
        return NULL;
    *room = *step->call;
    if (room->version != 0)
        room->version = seen_version(asker, step->key);
    return room;
}

/* ---- reads --------------------------------------------------------------------------------- */

static void read_cache(struct asker *asker, const struct model_step *step,
                       const struct larder_call *call, struct answered *answered)
{
    struct larder_info *info = &answered->info;
    struct model_answer *answer = &answered->answer;
    size_t size = step->does == MODEL_READ && step->size < asker->size ? step->size : asker->size;
    info->want = asker->want;
    info->want |= step->does == MODEL_OBSERVE    ? LARDER_WANT_VERSION
                  : step->does == MODEL_READ_TTL ? LARDER_WANT_TTL
                                                 : 0;
    answer->status =
        larder_read_with(asker->cache, call, asker->key[step->key], asker->buffer, size, info);
    answer->length = info->length;
    answer->flags = info->flags;
    answer->value = larder_bytes(asker->buffer, info->length < size ? info->length : size);
    if (step->does == MODEL_OBSERVE && answer->status == LARDER_OK)
        asker->seen[step->key] = info->version;
    if (step->does == MODEL_READ_TTL && answer->status == LARDER_OK)
        answer->number = (uint64_t)info->ttl_ms;
}

static void take_view(struct answered *answered)
{
    struct model_answer *answer = &answered->answer;
    answered->info = answered->view.info;
    answer->value = answered->view.bytes;
    answer->length = answered->view.info.length;
    answer->flags = answered->view.info.flags;
}

static void get_from_cache(struct asker *asker, const struct model_step *step,
                           const struct larder_call *call, struct answered *answered)
{
    struct larder_slice key = asker->key[step->key];
    answered->view.info.want = asker->want;
    answered->answer.status =
        step->does == MODEL_GET
            ? larder_get_with(asker->cache, call, key, &answered->view)
            : larder_get_and_touch_with(asker->cache, call, key, step->ttl_ms, &answered->view);
    take_view(answered);
}

/* ---- writes -------------------------------------------------------------------------------- */

static void store_in_cache(struct asker *asker, const struct model_step *step,
                           const struct larder_call *call, struct answered *answered)
{
    static const enum larder_mode modes[MODEL_DOES] = {
        [MODEL_SET] = LARDER_SET,         [MODEL_ADD] = LARDER_ADD,
        [MODEL_REPLACE] = LARDER_REPLACE, [MODEL_APPEND] = LARDER_APPEND,
        [MODEL_PREPEND] = LARDER_PREPEND, [MODEL_CAS] = LARDER_CAS,
        [MODEL_SET_ABSENT] = LARDER_SET};
    struct larder_write write = larder_write_of(step->value, step->ttl_ms);
    write.flags = step->flags;
    write.marks = step->does == MODEL_SET_ABSENT ? LARDER_WRITE_ABSENT : step->marks;
    write.version = step->does == MODEL_CAS ? seen_version(asker, step->key) : 0;
    answered->answer.status =
        larder_store_with(asker->cache, call, modes[step->does], asker->key[step->key], &write,
                          &answered->info.version);
}

static void delete_in_cache(struct asker *asker, const struct model_step *step,
                            const struct larder_call *call, struct answered *answered)
{
    uint64_t version = step->does == MODEL_DELETE ? 0 : seen_version(asker, step->key);
    answered->answer.status =
        larder_delete_with(asker->cache, call, asker->key[step->key], version);
}

static void touch_in_cache(struct asker *asker, const struct model_step *step,
                           const struct larder_call *call, struct answered *answered)
{
    answered->answer.status =
        larder_touch_with(asker->cache, call, asker->key[step->key], step->ttl_ms);
}

static void count_in_cache(struct asker *asker, const struct model_step *step,
                           const struct larder_call *call, struct answered *answered)
{
    const struct larder_initial initial = {step->initial, step->ttl_ms, step->flags, 0};
    answered->answer.status = larder_count_with(
        asker->cache, call, asker->key[step->key], step->direction, step->number,
        step->does == MODEL_COUNT_INITIAL ? &initial : NULL, &answered->answer.number);
}

/* ---- leases -------------------------------------------------------------------------------- */

static void lease_in_cache(struct asker *asker, const struct model_step *step,
                           const struct larder_call *call, struct answered *answered)
{
    struct larder_lease held = {0, 0};
    answered->view.info.want = asker->want;
    answered->answer.status = larder_lease_get_with(asker->cache, call, asker->key[step->key],
                                                    (uint32_t)step->ttl_ms, &answered->view, &held);
    take_view(answered);
    answered->answer.has_token = held.token != 0;
    if (held.token != 0)
        asker->held[step->key] = held;
}

static void end_lease_in_cache(struct asker *asker, const struct model_step *step,
                               const struct larder_call *call, struct answered *answered)
{
    const struct larder_lease made_up = {1, 0};
    struct larder_lease held = asker->held[step->key];
    struct larder_write write = larder_write_of(step->value, step->ttl_ms);
    write.flags = step->flags;
    write.marks = step->marks;
    if (held.token == 0)
        held = made_up;
    answered->answer.status =
        step->does == MODEL_LEASE_FILL
            ? larder_lease_fill_with(asker->cache, call, asker->key[step->key], held, &write)
            : larder_lease_return_with(asker->cache, call, asker->key[step->key], held);
}

/* ---- all ----------------------------------------------------------------------------------- */

static void flush_cache(struct asker *asker, const struct model_step *step,
                        const struct larder_call *call, struct answered *answered)
{
    (void)step, (void)call;
    answered->answer.status = larder_flush(asker->cache);
}

typedef void ask_fn(struct asker *asker, const struct model_step *step,
                    const struct larder_call *call, struct answered *answered);

static ask_fn *const asks[MODEL_DOES] = {
    [MODEL_READ] = read_cache,
    [MODEL_GET] = get_from_cache,
    [MODEL_OBSERVE] = read_cache,
    [MODEL_READ_TTL] = read_cache,
    [MODEL_SET] = store_in_cache,
    [MODEL_ADD] = store_in_cache,
    [MODEL_REPLACE] = store_in_cache,
    [MODEL_APPEND] = store_in_cache,
    [MODEL_PREPEND] = store_in_cache,
    [MODEL_CAS] = store_in_cache,
    [MODEL_SET_ABSENT] = store_in_cache,
    [MODEL_DELETE] = delete_in_cache,
    [MODEL_DELETE_VERSION] = delete_in_cache,
    [MODEL_TOUCH] = touch_in_cache,
    [MODEL_GET_AND_TOUCH] = get_from_cache,
    [MODEL_COUNT] = count_in_cache,
    [MODEL_COUNT_INITIAL] = count_in_cache,
    [MODEL_LEASE_GET] = lease_in_cache,
    [MODEL_LEASE_FILL] = end_lease_in_cache,
    [MODEL_LEASE_RETURN] = end_lease_in_cache,
    [MODEL_FLUSH] = flush_cache,
};

void ask(struct asker *asker, const struct model_step *step, struct answered *answered)
{
    struct larder_call room;
    memset(answered, 0, sizeof(*answered));
    asks[step->does](asker, step, options_of(asker, step, &room), answered);
}
