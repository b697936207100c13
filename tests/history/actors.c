#include "actors.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "dice.h"

#define PARTS_MAX 80u /* of a value: more than a round can append */
#define TORN UINT64_C(0xdeaddeaddeaddead)

struct actor {
    struct stage *stage;
    pthread_t thread;
    uint32_t number;
    struct dice dice;
    struct event events[ACTOR_CALLS_MAX];
    /* for each key, what this actor read last, and the lease it got last */
    uint64_t seen[HISTORY_KEYS];
    uint64_t version[HISTORY_KEYS];
    struct larder_lease lease[HISTORY_KEYS];
    uint64_t *value;  /* one part, to be stored */
    uint64_t *buffer; /* PARTS_MAX parts, to be read into */
};

struct stage {
    struct larder_cache *cache;
    struct cast cast;
    _Atomic uint64_t stamp;   /* beginnings and ends in one order; seq_cst */
    _Atomic uint64_t number;  /* the last one stored; relaxed */
    _Atomic uint64_t round;   /* release: its keys are named; acquire: pairs with it. 0: the end */
    _Atomic uint32_t playing; /* release: an actor's events are written; acquire: pairs with it */
    char names[HISTORY_KEYS][32];
    struct larder_slice key[HISTORY_KEYS];
    struct actor actors[ACTORS_MAX];
};

/* ---- time ---------------------------------------------------------------------------------- */

static struct manual_clock the_clock;

static uint64_t now_ms(void)
{
    struct larder_clock clock = manual_clock_of(&the_clock);
    return clock.now_ns(clock.context) / 1000000;
}

static uint64_t now_amid_a_call(void *context)
{
    static _Thread_local uint32_t calls;
    struct larder_clock clock = manual_clock_of(context);
    uint64_t now_ns = clock.now_ns(clock.context);
    if ((++calls * UINT32_C(2654435761)) >> 30 == 0)
        sched_yield(); /* after the reading: it may be old by the time that it is used */
    return now_ns;
}

struct larder_clock stage_clock(void)
{
    struct larder_clock clock = {now_amid_a_call, &the_clock};
    manual_clock_init(&the_clock);
    return clock;
}

/* ---- values -------------------------------------------------------------------------------- */

static struct larder_slice make_value(struct actor *actor, uint64_t number)
{
    size_t part_bytes = actor->stage->cast.part_bytes;
    for (size_t i = 0; i < part_bytes / sizeof(number); i++)
        actor->value[i] = number;
    return larder_bytes(actor->value, part_bytes);
}

/* What was read: the numbers of its parts, all of whose words must agree. */
static uint64_t fingerprint_of(const struct actor *actor, struct larder_slice value)
{
    size_t part_bytes = actor->stage->cast.part_bytes;
    uint64_t print = FINGERPRINT_NONE, number, word;
    if (value.length == 0 || value.length % part_bytes != 0)
        return TORN;
    for (size_t at = 0; at < value.length; at += part_bytes) {
        memcpy(&number, (const char *)value.data + at, sizeof(number));
        for (size_t i = 0; i < part_bytes; i += sizeof(word)) {
            memcpy(&word, (const char *)value.data + at + i, sizeof(word));
            if (word != number)
                return TORN;
        }
        print = fingerprint(print, number);
    }
    return print;
}

static uint64_t counter_fingerprint_of(struct larder_slice value)
{
    char text[24] = "";
    if (value.length > 20)
        return TORN;
    memcpy(text, value.data, value.length);
    return counter_fingerprint(strtoull(text, NULL, 10));
}

static uint64_t seen_of(const struct actor *actor, uint32_t key, struct larder_slice value)
{
    return key == HISTORY_KEYS - 1 ? counter_fingerprint_of(value) : fingerprint_of(actor, value);
}

/* ---- calls --------------------------------------------------------------------------------- */

static enum larder_status call_read(struct actor *actor, struct event *event)
{
    struct stage *stage = actor->stage;
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    enum larder_status status = larder_read(stage->cache, stage->key[event->key], actor->buffer,
                                            stage->cast.part_bytes * PARTS_MAX, &info);
    if (status != LARDER_OK)
        return status;
    event->seen = seen_of(actor, event->key, larder_bytes(actor->buffer, info.length));
    actor->seen[event->key] = event->seen;
    actor->version[event->key] = info.version;
    return status;
}

static enum larder_status call_get(struct actor *actor, struct event *event)
{
    struct stage *stage = actor->stage;
    struct larder_value value = {.info = {.want = LARDER_WANT_VERSION}};
    struct larder_slice key = stage->key[event->key];
    enum larder_status status = event->act == ACT_GET_AND_TOUCH
                                    ? larder_get_and_touch(stage->cache, key, event->ttl_ms, &value)
                                    : larder_get(stage->cache, key, &value);
    if (status == LARDER_OK)
        event->seen = seen_of(actor, event->key, value.bytes);
    if (status == LARDER_OK && event->act == ACT_GET) {
        actor->seen[event->key] = event->seen;
        actor->version[event->key] = value.info.version;
    }
    larder_value_release(&value);
    return status;
}

static enum larder_status call_store(struct actor *actor, struct event *event)
{
    static const enum larder_mode modes[ACTS] = {[ACT_SET] = LARDER_SET,
                                                 [ACT_ADD] = LARDER_ADD,
                                                 [ACT_REPLACE] = LARDER_REPLACE,
                                                 [ACT_APPEND] = LARDER_APPEND,
                                                 [ACT_CAS] = LARDER_CAS};
    struct larder_write write = larder_write_of(make_value(actor, event->written), event->ttl_ms);
    write.version = event->act == ACT_CAS ? actor->version[event->key] : 0;
    event->seen = actor->seen[event->key];
    return larder_store(actor->stage->cache, modes[event->act], actor->stage->key[event->key],
                        &write, NULL);
}

static enum larder_status call_delete(struct actor *actor, struct event *event)
{
    event->seen = actor->seen[event->key];
    return larder_delete(actor->stage->cache, actor->stage->key[event->key],
                         event->act == ACT_DELETE ? 0 : actor->version[event->key]);
}

static enum larder_status call_touch(struct actor *actor, struct event *event)
{
    return larder_touch(actor->stage->cache, actor->stage->key[event->key], event->ttl_ms);
}

static enum larder_status call_count(struct actor *actor, struct event *event)
{
    const struct larder_initial from_zero = {0, event->ttl_ms, 0, 0};
    return larder_count(actor->stage->cache, actor->stage->key[event->key], LARDER_UP, 1,
                        &from_zero, &event->number);
}

static enum larder_status call_lease_get(struct actor *actor, struct event *event)
{
    struct larder_value value = {0};
    struct larder_lease *lease = &actor->lease[event->key];
    enum larder_status status = larder_lease_get(actor->stage->cache, actor->stage->key[event->key],
                                                 (uint32_t)event->ttl_ms, &value, lease);
    event->token = lease->token;
    if (status == LARDER_OK)
        event->seen = seen_of(actor, event->key, value.bytes);
    larder_value_release(&value);
    return status;
}

static enum larder_status call_lease_end(struct actor *actor, struct event *event)
{
    struct larder_lease lease = actor->lease[event->key];
    struct larder_write write = larder_write_of(make_value(actor, event->written), event->ttl_ms);
    event->token = lease.token;
    return event->act == ACT_LEASE_FILL
               ? larder_lease_fill(actor->stage->cache, actor->stage->key[event->key], lease,
                                   &write)
               : larder_lease_return(actor->stage->cache, actor->stage->key[event->key], lease);
}

static enum larder_status call_flush(struct actor *actor, struct event *event)
{
    (void)event;
    return larder_flush(actor->stage->cache);
}

static enum larder_status call_advance(struct actor *actor, struct event *event)
{
    (void)actor;
    manual_clock_advance(&the_clock, (uint64_t)event->ttl_ms);
    return LARDER_OK;
}

typedef enum larder_status call_fn(struct actor *actor, struct event *event);

static call_fn *const calls[ACTS] = {
    [ACT_GET] = call_read,
    [ACT_SET] = call_store,
    [ACT_ADD] = call_store,
    [ACT_REPLACE] = call_store,
    [ACT_APPEND] = call_store,
    [ACT_CAS] = call_store,
    [ACT_DELETE] = call_delete,
    [ACT_DELETE_VERSION] = call_delete,
    [ACT_TOUCH] = call_touch,
    [ACT_GET_AND_TOUCH] = call_get,
    [ACT_COUNT] = call_count,
    [ACT_LEASE_GET] = call_lease_get,
    [ACT_LEASE_FILL] = call_lease_end,
    [ACT_LEASE_RETURN] = call_lease_end,
    [ACT_FLUSH] = call_flush,
    [ACT_ADVANCE] = call_advance,
};

/* ---- what to do ---------------------------------------------------------------------------- */

static const enum act value_acts[] = {ACT_GET,          ACT_GET,           ACT_GET,
                                      ACT_SET,          ACT_SET,           ACT_ADD,
                                      ACT_CAS,          ACT_CAS,           ACT_DELETE,
                                      ACT_REPLACE,      ACT_APPEND,        ACT_DELETE_VERSION,
                                      ACT_TOUCH,        ACT_GET_AND_TOUCH, ACT_LEASE_GET,
                                      ACT_LEASE_GET,    ACT_LEASE_FILL,    ACT_LEASE_FILL,
                                      ACT_LEASE_RETURN, ACT_ADVANCE,       ACT_FLUSH};
static const enum act counter_acts[] = {ACT_COUNT, ACT_COUNT,  ACT_COUNT, ACT_COUNT,  ACT_GET,
                                        ACT_GET,   ACT_DELETE, ACT_TOUCH, ACT_ADVANCE};

/* Without a version or a lease there is nothing to do with one. */
static enum act sensible(const struct actor *actor, uint32_t key, enum act act)
{
    if ((act == ACT_CAS || act == ACT_DELETE_VERSION) && actor->version[key] == 0)
        return ACT_GET;
    if ((act == ACT_LEASE_FILL || act == ACT_LEASE_RETURN) && actor->lease[key].token == 0)
        return ACT_LEASE_GET;
    return act;
}

static struct event next_event(struct actor *actor)
{
    struct dice *dice = &actor->dice;
    struct event event = {.key = (uint32_t)roll(dice, HISTORY_KEYS), .thread = actor->number};
    event.act = event.key == HISTORY_KEYS - 1
                    ? counter_acts[roll(dice, sizeof(counter_acts) / sizeof(counter_acts[0]))]
                    : value_acts[roll(dice, sizeof(value_acts) / sizeof(value_acts[0]))];
    unsigned flushes = actor->stage->cast.flushes;
    if (event.act == ACT_FLUSH && (flushes == 0 || roll(dice, flushes) != 0))
        event.act = ACT_GET;
    event.act = sensible(actor, event.key, event.act);
    event.ttl_ms = roll(dice, 2) == 0 ? LARDER_TTL_FOREVER : 1 + (int64_t)roll(dice, 4);
    if (event.act == ACT_LEASE_GET || event.act == ACT_ADVANCE)
        event.ttl_ms = 1 + (int64_t)roll(dice, 4);
    if (event.act == ACT_FLUSH || event.act == ACT_ADVANCE)
        event.key = EVERY_KEY;
    event.written = atomic_fetch_add_explicit(&actor->stage->number, 1, memory_order_relaxed) + 1;
    return event;
}

/* One and the same read in its two forms. */
static call_fn *form_of(struct actor *actor, const struct event *event)
{
    return event->act == ACT_GET && roll(&actor->dice, 2) == 0 ? call_get : calls[event->act];
}

static void act_once(struct actor *actor, struct event *event)
{
    *event = next_event(actor);
    call_fn *call = form_of(actor, event);
    event->now_ms = now_ms();
    event->began = atomic_fetch_add(&actor->stage->stamp, 1);
    event->status = call(actor, event);
    event->ended = atomic_fetch_add(&actor->stage->stamp, 1);
}

/* ---- rounds -------------------------------------------------------------------------------- */

static void forget(struct actor *actor)
{
    memset(actor->seen, 0, sizeof(actor->seen));
    memset(actor->version, 0, sizeof(actor->version));
    memset(actor->lease, 0, sizeof(actor->lease));
}

/* There are more actors than processors: who waits lets others run. */
static uint64_t wait_for_round(struct actor *actor, uint64_t last)
{
    uint64_t round;
    while ((round = atomic_load_explicit(&actor->stage->round, memory_order_acquire)) == last)
        sched_yield();
    return round;
}

static void *act(void *argument)
{
    struct actor *actor = argument;
    uint64_t round = 1;
    while ((round = wait_for_round(actor, round)) != 0) {
        forget(actor);
        for (unsigned i = 0; i < actor->stage->cast.calls; i++)
            act_once(actor, &actor->events[i]);
        atomic_fetch_sub_explicit(&actor->stage->playing, 1, memory_order_release);
    }
    return NULL;
}

void stage_play(struct stage *stage, struct history *history)
{
    uint64_t round = atomic_load_explicit(&stage->round, memory_order_relaxed) + 1;
    for (unsigned i = 0; i < HISTORY_KEYS; i++) {
        int length = snprintf(stage->names[i], sizeof(stage->names[i]),
                              i % 2 == 0 ? "%llu.%u" : "of round %llu the entry %u",
                              (unsigned long long)round, i);
        stage->key[i] = larder_bytes(stage->names[i], (size_t)length);
    }
    history->now_ms = now_ms();
    history->count = 0;
    atomic_store_explicit(&stage->playing, stage->cast.actors, memory_order_relaxed);
    atomic_store_explicit(&stage->round, round, memory_order_release);
    while (atomic_load_explicit(&stage->playing, memory_order_acquire) > 0)
        sched_yield();
    for (unsigned i = 0; i < stage->cast.actors; i++)
        for (unsigned j = 0; j < stage->cast.calls; j++)
            history->events[history->count++] = stage->actors[i].events[j];
}

struct stage *stage_open(struct larder_cache *cache, const struct cast *cast)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    assert_non_null(stage);
    stage->cache = cache;
    stage->cast = *cast;
    atomic_init(&stage->round, 1);
    for (unsigned i = 0; i < cast->actors; i++) {
        struct actor *actor = &stage->actors[i];
        actor->stage = stage;
        actor->number = i;
        actor->dice.state = cast->seed + i * UINT64_C(0x100000000);
        actor->value = malloc(cast->part_bytes);
        actor->buffer = malloc(cast->part_bytes * PARTS_MAX);
        assert_true(actor->value != NULL && actor->buffer != NULL);
        assert_int_equal(pthread_create(&actor->thread, NULL, act, actor), 0);
    }
    return stage;
}

void stage_close(struct stage *stage)
{
    atomic_store_explicit(&stage->round, 0, memory_order_release);
    for (unsigned i = 0; i < stage->cast.actors; i++) {
        pthread_join(stage->actors[i].thread, NULL);
        free(stage->actors[i].value);
        free(stage->actors[i].buffer);
    }
    free(stage);
}
