#include "lockstep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- telling ------------------------------------------------------------------------------- */

/* Every step is noted and hardly ever told, so it is put into words only then. */
static void note_step(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                      const struct model_answer *answer)
{
    struct lockstep_note *note = &lockstep->trail[lockstep->steps++ % LOCKSTEP_TRAIL];
    size_t length = answer->value.length;
    note->side = side;
    note->step = *step;
    note->status = answer->status;
    note->length = length < sizeof(note->start) ? length : sizeof(note->start);
    if (note->length > 0)
        memcpy(note->start, answer->value.data, note->length);
}

static void tell_note(const struct lockstep_note *note, uint64_t number)
{
    const struct model_step *step = &note->step;
    fprintf(stderr,
            "  %llu: side %u key %u %s \"%.*s\" (%zu bytes) flags %x ttl %lld size %zu %s %llu "
            "initial %llu: %s \"%.*s\"\n",
            (unsigned long long)number, note->side, step->key, model_does_name(step->does),
            (int)(step->value.length < 12 ? step->value.length : 12),
            step->value.data != NULL ? (const char *)step->value.data : "", step->value.length,
            (unsigned)step->flags, (long long)step->ttl_ms, step->size,
            step->direction == LARDER_UP ? "up" : "down", (unsigned long long)step->number,
            (unsigned long long)step->initial, larder_status_name(note->status), (int)note->length,
            note->start);
}

static void tell(const struct lockstep *lockstep)
{
    fprintf(stderr, "%s: LARDER_SEED=%llu; the last steps, as the model answers them:\n",
            lockstep->fixture.subject->name, (unsigned long long)lockstep->seed);
    uint64_t first = lockstep->steps > LOCKSTEP_TRAIL ? lockstep->steps - LOCKSTEP_TRAIL : 0;
    for (uint64_t i = first; i < lockstep->steps; i++)
        tell_note(&lockstep->trail[i % LOCKSTEP_TRAIL], i);
}

static int same_slices(struct larder_slice one, struct larder_slice other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

/* The model's time stands still; where the cache's doesn't, some of a TTL is gone. */
#define RUN_MS_MAX 60000u

static int same_number(const struct lockstep *lockstep, const struct model_step *step,
                       uint64_t wanted, uint64_t answered)
{
    if (step->does != MODEL_READ_TTL || fixture_has_manual_clock(&lockstep->fixture))
        return wanted == answered;
    return wanted - answered <= (wanted < RUN_MS_MAX ? wanted : RUN_MS_MAX);
}

static void compare(struct lockstep *lockstep, const struct model_step *step,
                    const struct model_answer *wanted, const struct model_answer *answer)
{
    const struct fixture *fixture = &lockstep->fixture;
    int same = wanted->status == answer->status && wanted->length == answer->length &&
               wanted->flags == answer->flags &&
               same_number(lockstep, step, wanted->number, answer->number) &&
               wanted->has_token == answer->has_token && same_slices(wanted->value, answer->value);
    if (same)
        return;
    tell(lockstep);
    expect_status(fixture, wanted->status, answer->status, model_does_name(step->does), __FILE__,
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
        lockstep->asker[side] = (struct asker){lockstep->cache[side],
                                               lockstep->key,
                                               lockstep->seen[side],
                                               lockstep->held[side],
                                               lockstep->buffer,
                                               MODEL_BYTES,
                                               0};
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

static void ask_in_lockstep(struct lockstep *lockstep, unsigned side, const struct model_step *step,
                            struct answered *answered)
{
    struct asker *asker = &lockstep->asker[side];
    if (lockstep->model[side].entries[step->key].seen == 0)
        asker->seen[step->key] = 0; /* a touch: whether it makes a new version is left open */
    memset(answered, 0, sizeof(*answered));
    if (step->does == MODEL_ADVANCE)
        fixture_wait(&lockstep->fixture, (uint64_t)step->ttl_ms);
    else
        ask(asker, step, answered);
}

void lockstep_run(struct lockstep *lockstep, unsigned side, const struct model_step *step)
{
    struct answered answered;
    struct model_answer wanted;
    ask_in_lockstep(lockstep, side, step, &answered);
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
