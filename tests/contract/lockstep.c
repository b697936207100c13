#include "lockstep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A version that no entry has: for when none was observed. */
#define NO_VERSION UINT64_C(0x7fedcba987654321)

static const char *const does_names[] = {
#define NAME_ROW(name) #name,
    MODEL_DOES_TABLE(NAME_ROW)
#undef NAME_ROW
};

/* What the cache answered, with the bytes that back it. */
struct answered {
    struct model_answer answer;
    char buffer[MODEL_BYTES + 8];
    struct larder_value view;
};

/* ---- telling ------------------------------------------------------------------------------- */

static void note_step(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                      const struct model_answer *answer)
{
    snprintf(lockstep->trail[lockstep->steps % LOCKSTEP_TRAIL], sizeof(lockstep->trail[0]),
             "%llu: side %u key %u %s \"%.*s\" (%zu bytes) flags %x ttl %lld size %zu %s %llu "
             "initial %llu: %s \"%.*s\"",
             (unsigned long long)lockstep->steps, side, step->key, does_names[step->does],
             (int)(step->value.length < 12 ? step->value.length : 12),
             step->value.data != NULL ? (const char *)step->value.data : "", step->value.length,
             (unsigned)step->flags, (long long)step->ttl_ms, step->size,
             step->direction == LARDER_UP ? "up" : "down", (unsigned long long)step->number,
             (unsigned long long)step->initial, larder_status_name(answer->status),
             (int)(answer->value.length < 24 ? answer->value.length : 24),
             answer->value.data != NULL ? (const char *)answer->value.data : "");
    lockstep->steps++;
}

static void tell(const struct lockstep *lockstep)
{
    fprintf(stderr, "%s: LARDER_SEED=%llu; the last steps, as the model answers them:\n",
            lockstep->fixture.subject->name, (unsigned long long)lockstep->seed);
    uint64_t first = lockstep->steps > LOCKSTEP_TRAIL ? lockstep->steps - LOCKSTEP_TRAIL : 0;
    for (uint64_t i = first; i < lockstep->steps; i++)
        fprintf(stderr, "  %s\n", lockstep->trail[i % LOCKSTEP_TRAIL]);
}

static int same_slices(struct larder_slice one, struct larder_slice other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

/* A server's clock goes on while the model's stands: no test runs for longer than a minute. */
#define TTL_SLACK_MS 60000u

static int same_number(const struct lockstep *lockstep, const struct model_step *step,
                       const struct model_answer *wanted, const struct model_answer *answer)
{
    if (wanted->number == answer->number)
        return 1;
    return step->does == MODEL_READ_TTL && !fixture_has_manual_clock(&lockstep->fixture) &&
           answer->number > 0 && answer->number < wanted->number &&
           wanted->number - answer->number <= TTL_SLACK_MS;
}

static void compare(struct lockstep *lockstep, const struct model_step *step,
                    const struct model_answer *wanted, const struct model_answer *answer)
{
    const struct fixture *fixture = &lockstep->fixture;
    int same = wanted->status == answer->status && wanted->length == answer->length &&
               wanted->flags == answer->flags && same_number(lockstep, step, wanted, answer) &&
               wanted->has_token == answer->has_token && same_slices(wanted->value, answer->value);
    if (same)
        return;
    tell(lockstep);
    expect_status(fixture, wanted->status, answer->status, does_names[step->does], __FILE__,
                  __LINE__);
    expect_bytes(fixture, wanted->value, answer->value, __FILE__, __LINE__);
    expect_number(fixture, wanted->length, answer->length);
    expect_number(fixture, wanted->flags, answer->flags);
    expect_number(fixture, wanted->number, answer->number);
    expect_number(fixture, wanted->has_token, answer->has_token);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void name_keys(struct lockstep *lockstep)
{
    static char long_key[300];
    memset(long_key, 'k', sizeof(long_key));
    const struct larder_slice keys[MODEL_KEYS] = {
        larder_text("a"),
        larder_text("b"),
        larder_text("spaces and \r\n"),
        larder_bytes("n\0l", 3),
        larder_bytes(long_key, sizeof(long_key)),
        larder_text("~bYQ"),
    };
    memcpy(lockstep->key, keys, sizeof(keys));
}

void lockstep_open(struct lockstep *lockstep, const struct subject *subject, const char *test,
                   uint64_t seed)
{
    memset(lockstep, 0, sizeof(*lockstep));
    fixture_open(&lockstep->fixture, subject, test, NULL);
    lockstep->seed = seed;
    lockstep->pads = subject_has_server(subject);
    lockstep->cache[0] = lockstep->fixture.cache;
    lockstep->cache[1] = lockstep->fixture.witness;
    lockstep->sides = lockstep->fixture.witness != NULL ? 2 : 1;
    lockstep->fixture.witness = NULL;
    name_keys(lockstep);
    for (unsigned side = 0; side < lockstep->sides; side++) {
        model_init(&lockstep->model[side]);
        lockstep->model[side].keeps_nothing = subject_is_null(subject);
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            larder_invalidate(lockstep->cache[side], lockstep->key[key]);
    }
}

void lockstep_close(struct lockstep *lockstep)
{
    fixture_close(&lockstep->fixture);
}

int lockstep_can(const struct lockstep *lockstep, enum model_does does)
{
    static const uint64_t needs[MODEL_DOES] = {
        [MODEL_OBSERVE] = LARDER_CAN_CAS,
        [MODEL_READ_TTL] = LARDER_CAN_READ_TTL,
        [MODEL_ADD] = LARDER_CAN_ADD,
        [MODEL_REPLACE] = LARDER_CAN_REPLACE,
        [MODEL_APPEND] = LARDER_CAN_APPEND,
        [MODEL_PREPEND] = LARDER_CAN_APPEND,
        [MODEL_CAS] = LARDER_CAN_CAS,
        [MODEL_SET_ABSENT] = LARDER_CAN_ABSENT,
        [MODEL_DELETE_VERSION] = LARDER_CAN_DELETE_VERSION,
        [MODEL_TOUCH] = LARDER_CAN_TOUCH,
        [MODEL_GET_AND_TOUCH] = LARDER_CAN_GET_AND_TOUCH,
        [MODEL_COUNT] = LARDER_CAN_COUNT,
        [MODEL_COUNT_INITIAL] = LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL,
        [MODEL_LEASE_GET] = LARDER_CAN_LEASE,
        [MODEL_LEASE_FILL] = LARDER_CAN_LEASE,
        [MODEL_LEASE_RETURN] = LARDER_CAN_LEASE,
        [MODEL_FLUSH] = LARDER_CAN_FLUSH,
    };
    if (does == MODEL_ADVANCE)
        return fixture_has_manual_clock(&lockstep->fixture);
    return can(&lockstep->fixture, needs[does]);
}

/* ---- the cache's answer -------------------------------------------------------------------- */

static void take_view(struct answered *answered)
{
    struct model_answer *answer = &answered->answer;
    answer->value = answered->view.bytes;
    answer->length = answered->view.info.length;
    answer->flags = answered->view.info.flags;
}

static void read_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                       struct answered *answered)
{
    struct larder_info info = {0};
    struct model_answer *answer = &answered->answer;
    size_t size = step->does == MODEL_READ ? step->size : MODEL_BYTES;
    info.want = step->does == MODEL_OBSERVE    ? LARDER_WANT_VERSION
                : step->does == MODEL_READ_TTL ? LARDER_WANT_TTL
                                               : 0;
    answer->status =
        larder_read(lockstep->cache[side], lockstep->key[step->key], answered->buffer, size, &info);
    answer->length = info.length;
    answer->flags = info.flags;
    answer->value = larder_bytes(answered->buffer, info.length < size ? info.length : size);
    if (step->does == MODEL_OBSERVE && answer->status == LARDER_OK)
        lockstep->seen[side][step->key] = info.version;
    if (step->does == MODEL_READ_TTL && answer->status == LARDER_OK)
        answer->number = (uint64_t)info.ttl_ms;
}

/* What the cache told when the model last observed the key, if it did. */
static uint64_t seen_version(const struct lockstep *lockstep, unsigned side, unsigned key)
{
    return lockstep->model[side].entries[key].seen != 0 ? lockstep->seen[side][key] : NO_VERSION;
}

static void store_in_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                           struct answered *answered)
{
    static const enum larder_mode modes[MODEL_DOES] = {
        [MODEL_SET] = LARDER_SET,         [MODEL_ADD] = LARDER_ADD,
        [MODEL_REPLACE] = LARDER_REPLACE, [MODEL_APPEND] = LARDER_APPEND,
        [MODEL_PREPEND] = LARDER_PREPEND, [MODEL_CAS] = LARDER_CAS,
        [MODEL_SET_ABSENT] = LARDER_SET};
    struct larder_write write = larder_write_of(step->value, step->ttl_ms);
    write.flags = step->flags;
    write.marks = step->does == MODEL_SET_ABSENT ? LARDER_WRITE_ABSENT : 0;
    write.version = step->does == MODEL_CAS ? seen_version(lockstep, side, step->key) : 0;
    answered->answer.status = larder_store(lockstep->cache[side], modes[step->does],
                                           lockstep->key[step->key], &write, NULL);
}

static void count_in_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                           struct answered *answered)
{
    const struct larder_initial initial = {step->initial, step->ttl_ms, step->flags, 0};
    answered->answer.status =
        larder_count(lockstep->cache[side], lockstep->key[step->key], step->direction, step->number,
                     step->does == MODEL_COUNT_INITIAL ? &initial : NULL, &answered->answer.number);
}

static void lease_in_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                           struct answered *answered)
{
    struct larder_lease held = {0, 0};
    answered->answer.status = larder_lease_get(lockstep->cache[side], lockstep->key[step->key],
                                               (uint32_t)step->ttl_ms, &answered->view, &held);
    take_view(answered);
    answered->answer.has_token = held.token != 0;
    if (held.token != 0)
        lockstep->held[side][step->key] = held;
}

static void end_lease_in_cache(struct lockstep *lockstep, unsigned side,
                               const struct model_step *step, struct answered *answered)
{
    const struct larder_lease made_up = {1, 0};
    struct larder_lease held = lockstep->held[side][step->key];
    struct larder_write write = larder_write_of(step->value, step->ttl_ms);
    write.flags = step->flags;
    if (held.token == 0)
        held = made_up;
    answered->answer.status =
        step->does == MODEL_LEASE_FILL
            ? larder_lease_fill(lockstep->cache[side], lockstep->key[step->key], held, &write)
            : larder_lease_return(lockstep->cache[side], lockstep->key[step->key], held);
}

static void get_from_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                           struct answered *answered)
{
    struct larder_cache *cache = lockstep->cache[side];
    struct larder_slice key = lockstep->key[step->key];
    answered->answer.status = step->does == MODEL_GET
                                  ? larder_get(cache, key, &answered->view)
                                  : larder_get_and_touch(cache, key, step->ttl_ms, &answered->view);
    take_view(answered);
}

static void delete_in_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                            struct answered *answered)
{
    uint64_t version = step->does == MODEL_DELETE ? 0 : seen_version(lockstep, side, step->key);
    answered->answer.status =
        larder_delete(lockstep->cache[side], lockstep->key[step->key], version);
}

static void touch_in_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                           struct answered *answered)
{
    answered->answer.status =
        larder_touch(lockstep->cache[side], lockstep->key[step->key], step->ttl_ms);
}

static void flush_cache(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                        struct answered *answered)
{
    (void)step;
    answered->answer.status = larder_flush(lockstep->cache[side]);
}

static void advance_clock(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                          struct answered *answered)
{
    (void)side, (void)answered;
    fixture_wait(&lockstep->fixture, (uint64_t)step->ttl_ms);
}

typedef void run_fn(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                    struct answered *answered);

static run_fn *const on_cache[MODEL_DOES] = {
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
    [MODEL_ADVANCE] = advance_clock,
};

/* Takes off what a server may have put behind a counter. */
static void trim_counter(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                         struct model_answer *answer)
{
    const char *bytes = answer->value.data;
    if (!lockstep->pads || !lockstep->model[side].entries[step->key].counted ||
        answer->length != answer->value.length)
        return;
    while (answer->length > 0 && bytes[answer->length - 1] == ' ')
        answer->length--;
    answer->value.length = answer->length;
}

/* ---- in step ------------------------------------------------------------------------------- */

/* The clock is one for all, and a client's flush drops every namespace. */
static void run_on_other_model(struct lockstep *lockstep, unsigned side,
                               const struct model_step *step)
{
    struct model_answer unused;
    int is_flush_of_all = step->does == MODEL_FLUSH && lockstep->sides == 2 &&
                          lockstep->cache[side] == lockstep->fixture.owner;
    if (lockstep->sides == 2 && (step->does == MODEL_ADVANCE || is_flush_of_all))
        model_run(&lockstep->model[1 - side], step, &unused);
}

void lockstep_run(struct lockstep *lockstep, unsigned side, const struct model_step *step)
{
    static struct answered answered; /* large; one thread runs this */
    struct model_answer wanted;
    memset(&answered.answer, 0, sizeof(answered.answer));
    memset(&answered.view, 0, sizeof(answered.view));
    on_cache[step->does](lockstep, side, step, &answered);
    model_run(&lockstep->model[side], step, &wanted);
    run_on_other_model(lockstep, side, step);
    note_step(lockstep, side, step, &wanted);
    trim_counter(lockstep, side, step, &answered.answer);
    compare(lockstep, step, &wanted, &answered.answer);
    larder_value_release(&answered.view);
}

static enum larder_many_kind many_of(enum model_does does)
{
    return does == MODEL_READ     ? LARDER_MANY_READ
           : does == MODEL_GET    ? LARDER_MANY_GET
           : does == MODEL_TOUCH  ? LARDER_MANY_TOUCH
           : does == MODEL_DELETE ? LARDER_MANY_DELETE
                                  : LARDER_MANY_STORE;
}

static enum larder_mode mode_of(enum model_does does)
{
    return does == MODEL_ADD       ? LARDER_ADD
           : does == MODEL_REPLACE ? LARDER_REPLACE
           : does == MODEL_APPEND  ? LARDER_APPEND
           : does == MODEL_PREPEND ? LARDER_PREPEND
                                   : LARDER_SET;
}

void lockstep_run_many(struct lockstep *lockstep, unsigned side, const struct model_step *steps,
                       size_t count)
{
    enum { MOST = 8 };
    static char buffers[MOST][MODEL_BYTES];
    struct larder_row rows[MOST];
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < count && i < MOST; i++) {
        rows[i].key = lockstep->key[steps[i].key];
        rows[i].write = larder_write_of(steps[i].value, steps[i].ttl_ms);
        rows[i].write.flags = steps[i].flags;
        rows[i].buffer = buffers[i];
        rows[i].size = steps[i].size;
    }
    expect(&lockstep->fixture, LARDER_OK,
           larder_many(lockstep->cache[side], NULL, many_of(steps[0].does), mode_of(steps[0].does),
                       rows, count, sizeof(rows[0])));
    for (size_t i = 0; i < count && i < MOST; i++) {
        struct model_answer wanted, answer = {.status = rows[i].status};
        const struct larder_info *info = &rows[i].value.info;
        if (steps[0].does == MODEL_GET || steps[0].does == MODEL_READ) {
            size_t copied = info->length < rows[i].size ? info->length : rows[i].size;
            answer.value =
                steps[0].does == MODEL_GET ? rows[i].value.bytes : larder_bytes(buffers[i], copied);
            answer.length = info->length;
            answer.flags = info->flags;
        }
        model_run(&lockstep->model[side], &steps[i], &wanted);
        note_step(lockstep, side, &steps[i], &wanted);
        trim_counter(lockstep, side, &steps[i], &answer);
        compare(lockstep, &steps[i], &wanted, &answer);
    }
    larder_rows_release(rows, count);
}

void lockstep_check(struct lockstep *lockstep)
{
    for (unsigned side = 0; side < lockstep->sides; side++)
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            struct model_step get = {.does = MODEL_GET, .key = key};
            lockstep_run(lockstep, side, &get);
        }
}
