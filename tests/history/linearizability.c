#include "linearizability.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

/* ---- one key, one call at a time ----------------------------------------------------------- */

/* What is under the key. All zero but for now_ms: nothing. No padding: states are compared bytewise
 */
struct state {
    uint64_t content;   /* fingerprint; 0: no value */
    uint64_t number;    /* of a counter */
    uint64_t early_ms;  /* it may be dead from here on, ... */
    uint64_t expiry_ms; /* ... and is from here on */
    uint64_t touched;   /* 1: since it was written; whether that made a new version is left open */
    uint64_t lease;     /* token; 0: none */
    uint64_t lease_early_ms;
    uint64_t lease_end_ms;
    uint64_t now_ms;
};

static int is_live(const struct state *state)
{
    return state->content != FINGERPRINT_NONE && state->now_ms < state->expiry_ms;
}

static int is_leased(const struct state *state)
{
    return state->lease != 0 && state->now_ms < state->lease_end_ms;
}

static uint64_t end_of(uint64_t now_ms, int64_t ttl_ms)
{
    return ttl_ms == LARDER_TTL_FOREVER ? NEVER : now_ms + (uint64_t)ttl_ms;
}

/* From when the call began at the earliest, from now at the latest. */
static void set_expiry(struct state *state, const struct event *event)
{
    state->early_ms = end_of(event->now_ms, event->ttl_ms);
    state->expiry_ms = end_of(state->now_ms, event->ttl_ms);
}

/* Whether value or lease may be over already. */
static int may_be_over(const struct state *state)
{
    return (state->content != FINGERPRINT_NONE && state->now_ms >= state->early_ms) ||
           (state->lease != 0 && state->now_ms >= state->lease_early_ms);
}

static void empty(struct state *state)
{
    const struct state nothing = {.now_ms = state->now_ms};
    *state = nothing;
}

static void write_state(struct state *state, uint64_t content, const struct event *event)
{
    empty(state);
    state->content = content;
    set_expiry(state, event);
}

static int happens_read(struct state *state, const struct event *event)
{
    if (!is_live(state))
        return event->status == LARDER_MISS;
    if (event->status != LARDER_OK || event->seen != state->content)
        return 0;
    if (event->act == ACT_GET_AND_TOUCH) {
        set_expiry(state, event);
        state->touched = 1;
    }
    return 1;
}

static int happens_touch(struct state *state, const struct event *event)
{
    if (!is_live(state))
        return event->status == LARDER_MISS;
    set_expiry(state, event);
    state->touched = 1;
    return event->status == LARDER_OK;
}

static int happens_store(struct state *state, const struct event *event)
{
    int live = is_live(state);
    if (event->act == ACT_ADD && live)
        return event->status == LARDER_EXISTS;
    if (event->act == ACT_REPLACE && !live)
        return event->status == LARDER_MISS;
    write_state(state, fingerprint(FINGERPRINT_NONE, event->written), event);
    return event->status == LARDER_OK;
}

static int happens_append(struct state *state, const struct event *event)
{
    if (!is_live(state))
        return event->status == LARDER_MISS;
    if (event->status == LARDER_TOO_LARGE) /* what is there stays */
        return 1;
    state->content = fingerprint(state->content, event->written);
    state->touched = state->lease = state->lease_early_ms = state->lease_end_ms = 0;
    return event->status == LARDER_OK;
}

/* cas, and delete at a version */
static int happens_at_version(struct state *state, const struct event *event)
{
    if (!is_live(state))
        return event->status == LARDER_MISS;
    int same = event->seen == state->content;
    if (event->status == LARDER_CONFLICT)
        return !same || state->touched;
    if (event->status != LARDER_OK || !same)
        return 0;
    if (event->act == ACT_CAS)
        write_state(state, fingerprint(FINGERPRINT_NONE, event->written), event);
    else
        empty(state);
    return 1;
}

static int happens_delete(struct state *state, const struct event *event)
{
    int live = is_live(state);
    empty(state); /* also a lease on nothing */
    return event->status == (live ? LARDER_OK : LARDER_MISS);
}

static int happens_count(struct state *state, const struct event *event)
{
    struct state before = *state;
    int live = is_live(state);
    uint64_t number = live ? before.number + 1 : 1;
    write_state(state, counter_fingerprint(number), event);
    state->number = number;
    if (live) { /* which keeps its TTL */
        state->early_ms = before.early_ms;
        state->expiry_ms = before.expiry_ms;
    }
    return event->status == LARDER_OK && event->number == number;
}

static int happens_lease_get(struct state *state, const struct event *event)
{
    if (is_live(state))
        return event->status == LARDER_OK && event->seen == state->content && event->token == 0;
    if (event->status != LARDER_MISS || is_leased(state) != (event->token == 0))
        return 0;
    if (event->token == 0)
        return 1;
    empty(state);
    state->lease = event->token;
    state->lease_early_ms = end_of(event->now_ms, event->ttl_ms);
    state->lease_end_ms = end_of(state->now_ms, event->ttl_ms);
    return 1;
}

static int happens_lease_end(struct state *state, const struct event *event)
{
    if (!is_leased(state) || state->lease != event->token)
        return event->status == LARDER_CONFLICT;
    if (event->act == ACT_LEASE_FILL)
        write_state(state, fingerprint(FINGERPRINT_NONE, event->written), event);
    else
        state->lease = state->lease_early_ms = state->lease_end_ms = 0;
    return event->status == LARDER_OK;
}

static int happens_flush(struct state *state, const struct event *event)
{
    empty(state);
    return event->status == LARDER_OK;
}

static int happens_advance(struct state *state, const struct event *event)
{
    state->now_ms += (uint64_t)event->ttl_ms;
    return 1;
}

typedef int happens_fn(struct state *state, const struct event *event);

static happens_fn *const happens[ACTS] = {
    [ACT_GET] = happens_read,
    [ACT_SET] = happens_store,
    [ACT_ADD] = happens_store,
    [ACT_REPLACE] = happens_store,
    [ACT_APPEND] = happens_append,
    [ACT_CAS] = happens_at_version,
    [ACT_DELETE] = happens_delete,
    [ACT_DELETE_VERSION] = happens_at_version,
    [ACT_TOUCH] = happens_touch,
    [ACT_GET_AND_TOUCH] = happens_read,
    [ACT_COUNT] = happens_count,
    [ACT_LEASE_GET] = happens_lease_get,
    [ACT_LEASE_FILL] = happens_lease_end,
    [ACT_LEASE_RETURN] = happens_lease_end,
    [ACT_FLUSH] = happens_flush,
    [ACT_ADVANCE] = happens_advance,
};

/* A store that was refused for want of room says nothing: it may have cost what was there, as an
 * eviction does. */
static int is_told(const struct event *event)
{
    return event->status != LARDER_NO_MEMORY;
}

/* ---- what was looked at -------------------------------------------------------------------- */

struct place {
    uint64_t happened; /* a bit for each event; 0: an empty slot, but for the beginning */
    struct state state;
};

struct memory {
    struct place *slots;
    size_t size; /* a power of two */
    size_t used;
};

static uint64_t hash_of(const struct place *place)
{
    const unsigned char *bytes = (const unsigned char *)place;
    uint64_t hash = 0, word;
    for (size_t i = 0; i < sizeof(*place); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* @return 1 when the place is new, 0 when it was there */
static int put_place(struct memory *memory, const struct place *place)
{
    size_t slot = hash_of(place) & (memory->size - 1);
    for (; memory->slots[slot].happened != 0; slot = (slot + 1) & (memory->size - 1))
        if (memcmp(&memory->slots[slot], place, sizeof(*place)) == 0)
            return 0;
    memory->slots[slot] = *place;
    memory->used++;
    return 1;
}

/* @return 0 when memory ran out, or the limit is reached */
static int grow(struct memory *memory)
{
    struct memory larger = {.size = memory->size * 2};
    if (memory->used >= LINEARIZABLE_STATES_MAX)
        return 0;
    larger.slots = calloc(larger.size, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return 0;
    for (size_t i = 0; i < memory->size; i++)
        if (memory->slots[i].happened != 0)
            (void)put_place(&larger, &memory->slots[i]);
    free(memory->slots);
    *memory = larger;
    return 1;
}

/* ---- the search ---------------------------------------------------------------------------- */

struct search {
    const struct event *events[LINEARIZABLE_EVENTS_MAX];
    size_t count;
    int evicts;
    struct memory memory;
};

static enum verdict search_from(struct search *search, const struct place *here);

static enum verdict search_after(struct search *search, const struct place *here, size_t number,
                                 int evicted)
{
    struct place next = *here;
    if (evicted)
        empty(&next.state);
    if (!happens[search->events[number]->act](&next.state, search->events[number]))
        return NOT_LINEARIZABLE;
    next.happened |= UINT64_C(1) << number;
    if (2 * search->memory.used >= search->memory.size && !grow(&search->memory))
        return UNDECIDED;
    return put_place(&search->memory, &next) ? search_from(search, &next) : NOT_LINEARIZABLE;
}

/* Whatever ended first among what has not happened yet: nothing that began later is before it. */
static uint64_t first_end(const struct search *search, uint64_t happened)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < search->count; i++)
        if ((happened >> i & 1) == 0 && search->events[i]->ended < first)
            first = search->events[i]->ended;
    return first;
}

static enum verdict search_from(struct search *search, const struct place *here)
{
    uint64_t limit = first_end(search, here->happened);
    if (limit == UINT64_MAX)
        return LINEARIZABLE;
    for (size_t i = 0; i < search->count; i++) {
        if ((here->happened >> i & 1) != 0 || search->events[i]->began > limit)
            continue;
        int may_vanish = search->evicts || may_be_over(&here->state);
        for (int evicted = 0; evicted <= may_vanish; evicted++) {
            enum verdict verdict = search_after(search, here, i, evicted);
            if (verdict != NOT_LINEARIZABLE)
                return verdict;
        }
    }
    return NOT_LINEARIZABLE;
}

static int concerns(const struct event *event, uint32_t key)
{
    return (event->key == key || event->key == EVERY_KEY) && is_told(event);
}

enum verdict linearizable(const struct event *events, size_t count, uint32_t key, uint64_t now_ms,
                          int evicts)
{
    struct search search = {.evicts = evicts, .memory = {NULL, 1024, 0}};
    const struct place beginning = {0, {.now_ms = now_ms}};
    for (size_t i = 0; i < count; i++) {
        if (concerns(&events[i], key) && search.count == LINEARIZABLE_EVENTS_MAX)
            return UNDECIDED;
        if (concerns(&events[i], key))
            search.events[search.count++] = &events[i];
    }
    search.memory.slots = calloc(search.memory.size, sizeof(search.memory.slots[0]));
    if (search.memory.slots == NULL)
        return UNDECIDED;
    enum verdict verdict = search_from(&search, &beginning);
    free(search.memory.slots);
    return verdict;
}

/* ---- telling ------------------------------------------------------------------------------- */

void tell_history(const struct event *events, size_t count, uint32_t key)
{
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        if (event->key != key && event->key != EVERY_KEY)
            continue;
        fprintf(stderr,
                "  %6llu to %6llu thread %u %s ttl %lld writes %llx (%llx) saw %llx number %llu "
                "token %llx: %s\n",
                (unsigned long long)event->began, (unsigned long long)event->ended, event->thread,
                act_name(event->act), (long long)event->ttl_ms, (unsigned long long)event->written,
                (unsigned long long)fingerprint(FINGERPRINT_NONE, event->written),
                (unsigned long long)event->seen, (unsigned long long)event->number,
                (unsigned long long)event->token, larder_status_name(event->status));
    }
}
