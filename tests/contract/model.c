#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX
/* What 64 bits of nanoseconds can't say (584 years) is for ever. */
#define LAST_MS (UINT64_MAX / 1000000)

const char *model_does_name(enum model_does does)
{
    static const char *const names[] = {
#define NAME_ROW(name) #name,
        MODEL_DOES_TABLE(NAME_ROW)
#undef NAME_ROW
    };
    return names[does];
}

void model_init(struct model *model)
{
    memset(model, 0, sizeof(*model));
    model->now_ms = 1000000;
    model->next = 1;
}

struct model_entry *model_entry(struct model *model, unsigned key)
{
    struct model_entry *entry = &model->entries[key];
    if (entry->state != MODEL_GONE && model->now_ms >= entry->expiry_ms)
        entry->state = MODEL_GONE;
    return entry;
}

static uint64_t expiry_of(const struct model *model, int64_t ttl_ms)
{
    if (ttl_ms == LARDER_TTL_FOREVER || (uint64_t)ttl_ms > LAST_MS - model->now_ms)
        return NEVER;
    return model->now_ms + (uint64_t)ttl_ms;
}

static enum larder_status missing(const struct model_entry *entry)
{
    return entry->state == MODEL_NEGATIVE ? LARDER_ABSENT : LARDER_MISS;
}

static void write_entry(struct model *model, struct model_entry *entry, struct larder_slice value,
                        uint32_t flags, int64_t ttl_ms)
{
    entry->state = MODEL_LIVE;
    memmove(entry->bytes, value.data != NULL ? value.data : "", value.length);
    entry->length = value.length;
    entry->flags = flags;
    entry->expiry_ms = expiry_of(model, ttl_ms);
    entry->version = model->next++;
    entry->counted = 0;
}

/* ---- reads --------------------------------------------------------------------------------- */

static void answer_value(const struct model_entry *entry, size_t size, struct model_answer *answer)
{
    size_t copied = entry->length < size ? entry->length : size;
    answer->status = entry->length > size ? LARDER_PARTIAL : LARDER_OK;
    answer->value = larder_bytes(entry->bytes, copied);
    answer->length = entry->length;
    answer->flags = entry->flags;
}

static void run_read(struct model *model, const struct model_step *step,
                     struct model_answer *answer)
{
    struct model_entry *entry = model_entry(model, step->key);
    if (entry->state != MODEL_LIVE) {
        answer->status = missing(entry);
        return;
    }
    answer_value(entry, step->does == MODEL_READ ? step->size : SIZE_MAX, answer);
    if (step->does == MODEL_OBSERVE)
        entry->seen = entry->version;
    if (step->does == MODEL_READ_TTL && entry->expiry_ms != NEVER)
        answer->number = entry->expiry_ms - model->now_ms;
    if (step->does == MODEL_GET_AND_TOUCH) {
        entry->expiry_ms = expiry_of(model, step->ttl_ms);
        entry->seen = 0; /* whether a touch makes a new version is left open */
    }
}

/* ---- writes -------------------------------------------------------------------------------- */

static void join(struct model *model, struct model_entry *entry, struct larder_slice value,
                 int before)
{
    unsigned char joined[MODEL_BYTES];
    size_t length = entry->length + value.length;
    memcpy(joined + (before ? value.length : 0), entry->bytes, entry->length);
    memcpy(joined + (before ? 0 : entry->length), value.data, value.length);
    memcpy(entry->bytes, joined, length);
    entry->length = length;
    entry->version = model->next++;
}

static enum larder_status store_status(struct model *model, const struct model_step *step)
{
    struct model_entry *entry = model_entry(model, step->key);
    int live = entry->state == MODEL_LIVE;
    if (step->does == MODEL_ADD && live)
        return LARDER_EXISTS;
    if (step->does != MODEL_SET && step->does != MODEL_ADD && step->does != MODEL_SET_ABSENT &&
        !live)
        return LARDER_MISS;
    if (step->does == MODEL_CAS && entry->version != entry->seen)
        return LARDER_CONFLICT;
    if (step->does == MODEL_APPEND || step->does == MODEL_PREPEND) {
        join(model, entry, step->value, step->does == MODEL_PREPEND);
        return LARDER_OK;
    }
    write_entry(model, entry, step->value, step->flags, step->ttl_ms);
    if (step->does == MODEL_SET_ABSENT)
        entry->state = MODEL_NEGATIVE;
    return LARDER_OK;
}

static void run_store(struct model *model, const struct model_step *step,
                      struct model_answer *answer)
{
    answer->status = store_status(model, step);
}

static enum larder_status delete_status(struct model *model, const struct model_step *step)
{
    struct model_entry *entry = model_entry(model, step->key);
    if (entry->state != MODEL_LIVE) {
        if (step->does == MODEL_DELETE)
            entry->state = MODEL_GONE;
        return LARDER_MISS;
    }
    if (step->does == MODEL_DELETE_VERSION && entry->version != entry->seen)
        return LARDER_CONFLICT;
    entry->state = MODEL_GONE;
    return LARDER_OK;
}

static void run_delete(struct model *model, const struct model_step *step,
                       struct model_answer *answer)
{
    answer->status = delete_status(model, step);
}

static enum larder_status touch_status(struct model *model, const struct model_step *step)
{
    struct model_entry *entry = model_entry(model, step->key);
    if (entry->state != MODEL_LIVE)
        return LARDER_MISS;
    entry->expiry_ms = expiry_of(model, step->ttl_ms);
    entry->seen = 0;
    return LARDER_OK;
}

static void run_touch(struct model *model, const struct model_step *step,
                      struct model_answer *answer)
{
    answer->status = touch_status(model, step);
}

/* ---- counters ------------------------------------------------------------------------------ */

int model_number(const struct model_entry *entry, uint64_t *number)
{
    char text[32];
    size_t digits = 0;
    while (digits < entry->length && entry->bytes[digits] >= '0' && entry->bytes[digits] <= '9')
        digits++;
    for (size_t i = digits; i < entry->length; i++)
        if (entry->bytes[i] != ' ')
            return 0;
    if (digits == 0 || digits > 20)
        return 0;
    memcpy(text, entry->bytes, digits);
    text[digits] = '\0';
    *number = strtoull(text, NULL, 10);
    char again[32];
    snprintf(again, sizeof(again), "%0*llu", (int)digits, (unsigned long long)*number);
    return strcmp(text, again) == 0; /* else it was over 2^64-1 */
}

static uint64_t stepped(const struct model_step *step, uint64_t number)
{
    if (step->direction == LARDER_UP)
        return number + step->number;
    return number > step->number ? number - step->number : 0;
}

static void write_number(struct model *model, struct model_entry *entry, uint64_t number)
{
    char text[32];
    size_t length = (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    memcpy(entry->bytes, text, length);
    entry->length = length;
    entry->version = model->next++;
    entry->counted = 1;
}

static void run_count(struct model *model, const struct model_step *step,
                      struct model_answer *answer)
{
    struct model_entry *entry = model_entry(model, step->key);
    uint64_t number = step->initial;
    if (entry->state != MODEL_LIVE && step->does == MODEL_COUNT) {
        answer->status = LARDER_MISS;
        return;
    }
    if (entry->state == MODEL_LIVE && !model_number(entry, &number)) {
        answer->status = LARDER_NOT_A_NUMBER;
        return;
    }
    answer->number = stepped(step, number);
    if (entry->state != MODEL_LIVE)
        write_entry(model, entry, larder_bytes("", 0), step->flags, step->ttl_ms);
    write_number(model, entry, answer->number); /* by 0 too: "007" becomes "7" */
}

/* ---- leases -------------------------------------------------------------------------------- */

static void run_lease_get(struct model *model, const struct model_step *step,
                          struct model_answer *answer)
{
    struct model_entry *entry = model_entry(model, step->key);
    if (entry->state == MODEL_LIVE) {
        answer_value(entry, SIZE_MAX, answer);
        return;
    }
    answer->status = missing(entry);
    if (entry->state != MODEL_GONE)
        return;
    entry->state = MODEL_PENDING;
    entry->expiry_ms = expiry_of(model, step->ttl_ms);
    entry->lease = entry->held = model->next++;
    answer->has_token = 1;
}

static enum larder_status lease_end_status(struct model *model, const struct model_step *step)
{
    struct model_entry *entry = model_entry(model, step->key);
    if (entry->state != MODEL_PENDING || entry->held != entry->lease)
        return LARDER_CONFLICT;
    if (step->does == MODEL_LEASE_FILL)
        write_entry(model, entry, step->value, step->flags, step->ttl_ms);
    else
        entry->state = MODEL_GONE;
    return LARDER_OK;
}

static void run_lease_end(struct model *model, const struct model_step *step,
                          struct model_answer *answer)
{
    answer->status = lease_end_status(model, step);
}

/* ---- all ----------------------------------------------------------------------------------- */

static void run_nothing(const struct model_step *step, struct model_answer *answer)
{
    static const enum larder_status statuses[MODEL_DOES] = {
        [MODEL_READ] = LARDER_MISS,     [MODEL_GET] = LARDER_MISS,
        [MODEL_OBSERVE] = LARDER_MISS,  [MODEL_READ_TTL] = LARDER_MISS,
        [MODEL_TOUCH] = LARDER_MISS,    [MODEL_GET_AND_TOUCH] = LARDER_MISS,
        [MODEL_COUNT] = LARDER_MISS,    [MODEL_COUNT_INITIAL] = LARDER_MISS,
        [MODEL_LEASE_GET] = LARDER_MISS};
    answer->status = statuses[step->does];
    answer->has_token = step->does == MODEL_LEASE_GET;
}

static void run_flush(struct model *model, const struct model_step *step,
                      struct model_answer *answer)
{
    (void)step, (void)answer;
    for (unsigned key = 0; key < MODEL_KEYS; key++)
        model->entries[key].state = MODEL_GONE;
}

static void run_advance(struct model *model, const struct model_step *step,
                        struct model_answer *answer)
{
    (void)answer;
    model->now_ms += (uint64_t)step->ttl_ms;
}

typedef void run_fn(struct model *model, const struct model_step *step,
                    struct model_answer *answer);

static run_fn *const runs[MODEL_DOES] = {
    [MODEL_READ] = run_read,
    [MODEL_GET] = run_read,
    [MODEL_OBSERVE] = run_read,
    [MODEL_READ_TTL] = run_read,
    [MODEL_SET] = run_store,
    [MODEL_ADD] = run_store,
    [MODEL_REPLACE] = run_store,
    [MODEL_APPEND] = run_store,
    [MODEL_PREPEND] = run_store,
    [MODEL_CAS] = run_store,
    [MODEL_SET_ABSENT] = run_store,
    [MODEL_DELETE] = run_delete,
    [MODEL_DELETE_VERSION] = run_delete,
    [MODEL_TOUCH] = run_touch,
    [MODEL_GET_AND_TOUCH] = run_read,
    [MODEL_COUNT] = run_count,
    [MODEL_COUNT_INITIAL] = run_count,
    [MODEL_LEASE_GET] = run_lease_get,
    [MODEL_LEASE_FILL] = run_lease_end,
    [MODEL_LEASE_RETURN] = run_lease_end,
    [MODEL_FLUSH] = run_flush,
    [MODEL_ADVANCE] = run_advance,
};

void model_run(struct model *model, const struct model_step *step, struct model_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    if (model->keeps_nothing)
        run_nothing(step, answer);
    else
        runs[step->does](model, step, answer);
}
