#include "generation.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/counter.h>
#include <larder/util/deadline.h>
#include <larder/util/random.h>
#include <larder/util/uthash.h>

#define KEY_PREFIX "~g:"
#define KEY_PREFIX_BYTES (sizeof(KEY_PREFIX) - 1)
#define KEY_BYTES_MAX (KEY_PREFIX_BYTES + LARDER_NAMESPACE_BYTES_MAX)
#define PERIODS_WITHOUT_READING 3
/* Rounds of read and add until both agree; each lost round means that somebody else won. */
#define ROUNDS_MAX 8

/* What is known of one server's number. */
struct known {
    int is_known;
    int reading; /* somebody reads it again; others go on with the old one */
    uint64_t generation;
    uint64_t asked_ns; /* by the cache's clock: when the question left, since a flush may come
                          between the server's answer and us */
    uint64_t raises;   /* flushes here: what was read before one is no longer news */
};

/* What a caller saw when it asked. */
struct seen {
    struct known *known; /* NULL: no memory */
    int will_do;         /* else the caller has to read */
    uint64_t generation;
    uint64_t raises;
    uint64_t now_ns;
};

struct state {
    UT_hash_handle hh;
    char name[LARDER_NAMESPACE_BYTES_MAX];
    uint32_t servers;
    struct known known[];
};

struct generations {
    struct larder_clock clock;
    uint64_t poll_ns;
    pthread_mutex_t mutex;    /* order: taken alone, never held over a call to the backend */
    struct {                  /* touched only while holding mutex */
        struct state *states; /* a state stays until the end */
    } guarded;
    struct fork_hook fork;
};

static void fork_generations(void *self, enum larder_fork_step step)
{
    struct generations *generations = self;
    larder__fork_mutex(&generations->mutex, step);
    if (step != LARDER_FORK_CHILD)
        return;
    struct state *state, *next;
    HASH_ITER(hh, generations->guarded.states, state, next)
    for (uint32_t i = 0; i < state->servers; i++)
        state->known[i].reading = 0; /* that thread is not here */
}

struct generations *larder__generations_new(struct larder_clock clock, uint64_t poll_ms)
{
    struct generations *generations = calloc(1, sizeof(*generations));
    if (generations == NULL)
        return NULL;
    generations->clock = clock;
    generations->poll_ns = poll_ms * 1000000;
    pthread_mutex_init(&generations->mutex, NULL);
    larder__fork_hook_add(&generations->fork, fork_generations, generations);
    return generations;
}

void larder__generations_free(struct generations *generations)
{
    if (generations == NULL)
        return;
    struct state *state, *next;
    larder__fork_hook_remove(&generations->fork);
    HASH_ITER(hh, generations->guarded.states, state, next)
    {
        HASH_DEL(generations->guarded.states, state);
        free(state);
    }
    pthread_mutex_destroy(&generations->mutex);
    free(generations);
}

/* ---- on the server ------------------------------------------------------------------------- */

static struct larder_slice generation_key(const struct larder_space *space,
                                          char bytes[KEY_BYTES_MAX])
{
    memcpy(bytes, KEY_PREFIX, KEY_PREFIX_BYTES);
    memcpy(bytes + KEY_PREFIX_BYTES, space->name.data, space->name.length);
    return larder_bytes(bytes, KEY_PREFIX_BYTES + space->name.length);
}

/* The call's deadline and patience hold for us too, nothing else of its options does. */
static struct larder_scope own_scope(const struct larder_scope *scope, uint32_t server,
                                     struct larder_call *call)
{
    struct larder_scope own = *scope;
    struct larder_call plain = LARDER_CALL_INIT;
    own.space = NULL;
    own.flags |= LARDER_SCOPE_OWN_KEY;
    own.server = server + 1;
    if (scope->call != NULL) {
        plain.flags = scope->call->flags & LARDER_NO_WAIT;
        plain.timeout_ms = scope->call->timeout_ms;
        *call = plain;
        own.call = call;
    }
    return own;
}

/* Below 2^63, so that no flush ever wraps it to where it was. */
static uint64_t random_start(void)
{
    return larder_random() >> 1 | 1;
}

static enum larder_status server_start(const struct larder_scope *own, struct larder_slice key,
                                       enum larder_mode mode, uint64_t *generation)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    uint64_t unwanted = 0;
    uint64_t start = random_start();
    struct larder_write write =
        larder_write_of(larder_bytes(text, larder_counter_format(start, text)), LARDER_TTL_FOREVER);
    enum larder_status status = own->ops->store(own, mode, key, &write, &unwanted);
    if (status == LARDER_OK)
        *generation = start;
    return status;
}

static enum larder_status server_read(const struct larder_scope *own, struct larder_slice key,
                                      uint64_t *generation)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        char text[LARDER_COUNTER_BYTES_MAX + 1];
        struct larder_info info;
        memset(&info, 0, sizeof(info));
        enum larder_status status = own->ops->read(own, key, text, sizeof(text), &info);
        if (status == LARDER_OK &&
            larder_counter_parse(larder_bytes(text, info.length), generation))
            return LARDER_OK;
        if (status == LARDER_MISS)
            status = server_start(own, key, LARDER_ADD, generation);
        else if (status == LARDER_OK || status == LARDER_PARTIAL)
            status = server_start(own, key, LARDER_SET, generation); /* overwritten by a stranger */
        if (status != LARDER_EXISTS)
            return status;
    }
    return LARDER_UNAVAILABLE;
}

static enum larder_status server_raise(const struct larder_scope *own, struct larder_slice key,
                                       uint64_t *generation)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum larder_status status = own->ops->count(own, key, LARDER_UP, 1, NULL, generation);
        if (status == LARDER_MISS)
            status = server_start(own, key, LARDER_ADD, generation);
        else if (status == LARDER_NOT_A_NUMBER)
            status = server_start(own, key, LARDER_SET, generation);
        if (status != LARDER_EXISTS)
            return status;
    }
    return LARDER_UNAVAILABLE;
}

/* ---- what is known of it ------------------------------------------------------------------- */

static struct state *state_new(const struct larder_space *space, uint32_t servers)
{
    struct state *state = calloc(1, sizeof(*state) + servers * sizeof(struct known));
    if (state == NULL)
        return NULL;
    memcpy(state->name, space->name.data, space->name.length);
    state->servers = servers;
    return state;
}

static struct state *state_find_locked(struct generations *generations,
                                       const struct larder_space *space, uint32_t servers)
{
    struct state *state;
    HASH_FIND(hh, generations->guarded.states, space->name.data, (unsigned)space->name.length,
              state);
    if (state != NULL)
        return state;
    state = state_new(space, servers);
    if (state == NULL)
        return NULL;
    HASH_ADD_KEYPTR(hh, generations->guarded.states, state->name, (unsigned)space->name.length,
                    state);
    if (larder_hash_added(state))
        return state;
    free(state);
    return NULL;
}

/* The clock may be an application's: it is read before the mutex is taken. */
static uint64_t now_of(const struct generations *generations)
{
    return generations->clock.now_ns(generations->clock.context);
}

static int is_younger(const struct known *known, uint64_t now_ns, uint64_t most_ns)
{
    uint64_t age_ns = now_ns > known->asked_ns ? now_ns - known->asked_ns : 0;
    return known->is_known && age_ns < most_ns;
}

/* @return 1 when what is known will do, 0 when the caller has to read */
static int known_will_do_locked(const struct generations *generations, struct known *known,
                                uint64_t now_ns)
{
    if (is_younger(known, now_ns, generations->poll_ns))
        return 1;
    if (known->reading && is_younger(known, now_ns, PERIODS_WITHOUT_READING * generations->poll_ns))
        return 1;
    known->reading = 1;
    return 0;
}

static void known_set_locked(struct known *known, const struct seen *seen, uint64_t generation)
{
    known->is_known = 1;
    known->generation = generation;
    known->asked_ns = seen->now_ns;
}

/* Takes what was read, unless a flush here came in between or somebody asked later: then what is
 * known is newer; and where such a flush left nothing known, what was read serves this call alone.
 */
static uint64_t known_after_read(struct generations *generations, const struct seen *seen,
                                 uint64_t generation)
{
    struct known *known = seen->known;
    pthread_mutex_lock(&generations->mutex);
    known->reading = 0;
    int is_newer = !known->is_known || known->asked_ns <= seen->now_ns;
    if (known->raises == seen->raises && is_newer)
        known_set_locked(known, seen, generation);
    else if (known->is_known)
        generation = known->generation;
    pthread_mutex_unlock(&generations->mutex);
    return generation;
}

/* A flush that may have counted leaves nothing that could be used unread; nor do two that
 * overlapped, since nobody knows which of their numbers is the last. */
static void known_after_raise(struct generations *generations, const struct seen *seen,
                              enum larder_status status, uint64_t generation)
{
    struct known *known = seen->known;
    pthread_mutex_lock(&generations->mutex);
    int overlapped = known->raises != seen->raises;
    known->raises++;
    if (overlapped || status == LARDER_UNKNOWN)
        known->is_known = 0;
    else if (status == LARDER_OK)
        known_set_locked(known, seen, generation);
    pthread_mutex_unlock(&generations->mutex);
}

/* Reading failed: @return 1 and the last number while it counts. */
static int known_after_failure(struct generations *generations, struct known *known,
                               uint64_t *generation)
{
    uint64_t now_ns = now_of(generations);
    pthread_mutex_lock(&generations->mutex);
    known->reading = 0;
    int counts = is_younger(known, now_ns, PERIODS_WITHOUT_READING * generations->poll_ns);
    *generation = known->generation;
    pthread_mutex_unlock(&generations->mutex);
    return counts;
}

static struct seen known_find(struct generations *generations, const struct larder_space *space,
                              uint32_t server, uint32_t servers, int is_reader)
{
    struct seen seen = {NULL, 0, 0, 0, now_of(generations)};
    pthread_mutex_lock(&generations->mutex);
    struct state *state = state_find_locked(generations, space, servers);
    if (state != NULL) {
        seen.known = &state->known[server];
        seen.will_do = is_reader && known_will_do_locked(generations, seen.known, seen.now_ns);
        seen.generation = seen.known->generation;
        seen.raises = seen.known->raises;
    }
    pthread_mutex_unlock(&generations->mutex);
    return seen;
}

/* Without a generation nothing can be asked of that server, whatever came of asking for it; unless
 * it was a session's time that ran out. */
static enum larder_status failure_of_find(const struct larder_scope *scope,
                                          enum larder_status status)
{
    if (status == LARDER_TIMEOUT && scope->session != NULL &&
        larder_deadline_left_ms(scope->session->deadline_ns) == 0)
        return LARDER_TIMEOUT;
    int is_servers =
        status == LARDER_TIMEOUT || status == LARDER_PROTOCOL || status == LARDER_UNKNOWN;
    return is_servers ? LARDER_UNAVAILABLE : status;
}

enum larder_status larder__generation_find(struct generations *generations,
                                           const struct larder_scope *scope, uint32_t server,
                                           uint32_t servers, uint64_t *generation)
{
    struct seen seen = known_find(generations, scope->space, server, servers, 1);
    *generation = seen.generation;
    if (seen.known == NULL)
        return LARDER_NO_MEMORY;
    if (seen.will_do)
        return LARDER_OK;
    char bytes[KEY_BYTES_MAX];
    struct larder_call call;
    struct larder_scope own = own_scope(scope, server, &call);
    enum larder_status status = server_read(&own, generation_key(scope->space, bytes), generation);
    if (status == LARDER_OK) {
        *generation = known_after_read(generations, &seen, *generation);
        return LARDER_OK;
    }
    if (known_after_failure(generations, seen.known, generation))
        return LARDER_OK;
    return failure_of_find(scope, status);
}

static enum larder_status raise_on(struct generations *generations,
                                   const struct larder_scope *scope, uint32_t server,
                                   uint32_t servers)
{
    struct seen seen = known_find(generations, scope->space, server, servers, 0);
    if (seen.known == NULL)
        return LARDER_NO_MEMORY;
    char bytes[KEY_BYTES_MAX];
    struct larder_call call;
    struct larder_scope own = own_scope(scope, server, &call);
    uint64_t generation = 0;
    enum larder_status status =
        server_raise(&own, generation_key(scope->space, bytes), &generation);
    known_after_raise(generations, &seen, status, generation);
    return status;
}

enum larder_status larder__generation_raise(struct generations *generations,
                                            const struct larder_scope *scope, uint32_t servers)
{
    enum larder_status lowest = LARDER_OK;
    for (uint32_t server = 0; server < servers; server++) {
        enum larder_status status = raise_on(generations, scope, server, servers);
        if (status < lowest)
            lowest = status;
    }
    return lowest;
}
