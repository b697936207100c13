#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/larder.h>

#define KEY_BYTES 16
#define STATS_MAX 512
#define FILLS_MAX 16       /* attempts to find max_bytes */
#define FILL_TURNS 3       /* capacities that are written to fill a cache */
#define FILL_SAMPLES 64    /* readings of `items` during the last of them */
#define CLOSE_ENOUGH 0.003 /* of the capacity */
#define OVERHEAD_BYTES 64  /* of an item, to begin with */

int replay_policy(const struct policy *policy, const struct trace *trace, uint64_t capacity,
                  double *ratio)
{
    double entries = (double)capacity / ((double)trace->weight / trace->objects);
    struct policy_input input = {.objects = trace->objects,
                                 .weights = trace->weights,
                                 .capacity = capacity,
                                 .entries = entries > 1 ? (uint32_t)entries : 1,
                                 .next = trace->next};
    void *self = policy->open(&input);
    if (self == NULL)
        return 0;
    uint64_t hits = 0;
    for (size_t i = 0; i < trace->requests; i++)
        if (trace->weights[trace->object[i]] <= capacity)
            hits += policy->ask(self, trace->object[i], i) && i >= trace->warm_up;
    policy->close(self);
    *ratio = (double)hits / (double)(trace->requests - trace->warm_up);
    return 1;
}

/* ---- a real cache -------------------------------------------------------------------------- */

/* One opened cache, and what its calls need. */
struct session {
    const struct replay_cache *given;
    const struct trace *trace;
    struct larder_cache *cache;
    char *value;
    size_t value_most;
    const char *message; /* the first failure */
};

static void key_of(uint32_t object, char key[KEY_BYTES + 1])
{
    snprintf(key, KEY_BYTES + 1, "object%010u", (unsigned)object);
}

static size_t value_length(const struct session *session, uint32_t object)
{
    return session->given->value_bytes > 0 ? session->given->value_bytes
                                           : session->trace->weights[object];
}

static int session_open(struct session *session, uint64_t max_bytes)
{
    char uri[512];
    const char *given = session->given->uri;
    snprintf(uri, sizeof(uri), "%s%cmax_bytes=%llu", given, strchr(given, '?') != NULL ? '&' : '?',
             (unsigned long long)max_bytes);
    if (larder_open(uri, NULL, &session->cache, NULL, 0) == LARDER_OK)
        return 1;
    session->message = "the cache does not open";
    return 0;
}

static int session_init(struct session *session, const struct replay_cache *given,
                        const struct trace *trace)
{
    *session = (struct session){.given = given, .trace = trace, .value_most = given->value_bytes};
    for (uint32_t i = 0; given->value_bytes == 0 && i < trace->objects; i++)
        if (session->value_most < trace->weights[i])
            session->value_most = trace->weights[i];
    session->value = calloc(1, session->value_most);
    if (session->value == NULL)
        session->message = "no memory";
    return session->value != NULL;
}

/* A set that the cache refuses for its size or for lack of room is a miss next time, no failure. */
static void store(struct session *session, uint32_t object)
{
    char key[KEY_BYTES + 1];
    key_of(object, key);
    enum larder_status status =
        larder_set(session->cache, larder_bytes(key, KEY_BYTES),
                   larder_bytes(session->value, value_length(session, object)), 0);
    if (status != LARDER_OK && status != LARDER_TOO_LARGE && status != LARDER_NO_MEMORY)
        session->message = "a set failed";
}

static int ask(struct session *session, uint32_t object)
{
    char key[KEY_BYTES + 1];
    key_of(object, key);
    enum larder_status status = larder_read(session->cache, larder_bytes(key, KEY_BYTES),
                                            session->value, session->value_most, NULL);
    if (status == LARDER_MISS)
        store(session, object);
    else if (status != LARDER_OK)
        session->message = "a read failed";
    return status == LARDER_OK;
}

static double items(struct session *session)
{
    struct larder_stat rows[STATS_MAX];
    size_t count = 0;
    if (larder_stats(session->cache, rows, STATS_MAX, &count) == LARDER_OK)
        for (size_t i = 0; i < count && i < STATS_MAX; i++)
            if (strcmp(rows[i].name, "items") == 0)
                return (double)rows[i].value;
    session->message = "the cache has no statistic `items`";
    return 0;
}

/* All objects in turn, but neighbours, who may be of one size, far from each other: the factor is a
 * prime. */
static uint32_t scattered(const struct trace *trace, uint32_t i)
{
    return (uint32_t)(i * UINT64_C(2654435761) % trace->objects);
}

/* How many objects a cache of max_bytes holds, on average, while new ones come in. */
static double fill(struct session *session, uint64_t max_bytes, double entries)
{
    uint32_t first = (uint32_t)(entries * (FILL_TURNS - 1)),
             last = (uint32_t)(entries * FILL_TURNS);
    uint32_t step = (last - first) / FILL_SAMPLES + 1, samples = 0;
    double sum = 0;
    if (!session_open(session, max_bytes)) {
        session->message = NULL; /* too few bytes: more will do, or calibrate() says so */
        return 0;
    }
    for (uint32_t i = 0; i < last && session->message == NULL; i++) {
        store(session, scattered(session->trace, i));
        if (i >= first && i % step == 0) {
            sum += items(session);
            samples++;
        }
    }
    larder_close(session->cache);
    return samples > 0 ? sum / samples : 0;
}

/* Newton's method would need a smooth function; this one has steps as high as a segment. */
static void calibrate(struct session *session, struct replay_cache *cache, uint64_t capacity)
{
    double mean = (double)session->trace->weight / session->trace->objects;
    double entries = (double)capacity / mean, low = 0, high = 0;
    double bytes = entries * (OVERHEAD_BYTES + KEY_BYTES +
                              (cache->value_bytes > 0 ? cache->value_bytes : mean));
    double best = 1e9;
    for (unsigned i = 0; i < FILLS_MAX && best > CLOSE_ENOUGH && session->message == NULL; i++) {
        double held = fill(session, (uint64_t)bytes, entries) / entries;
        double error = held > 1 ? held - 1 : 1 - held;
        if (held > 0 && error < best) {
            best = error;
            cache->held = held;
            cache->max_bytes = (uint64_t)bytes;
        }
        if (held < 1)
            low = bytes;
        else
            high = bytes;
        if (low > 0 && high > 0)
            bytes = (low + high) / 2;
        else
            bytes *= held > 0.5 && held < 2 ? 1.02 / held : held < 1 ? 2 : 0.5;
    }
    if (cache->max_bytes == 0 && session->message == NULL)
        session->message = "the cache does not open";
}

static double replay_all(struct session *session)
{
    const struct trace *trace = session->trace;
    uint64_t hits = 0;
    for (size_t i = 0; i < trace->requests && session->message == NULL; i++)
        hits += ask(session, trace->object[i]) && i >= trace->warm_up;
    return (double)hits / (double)(trace->requests - trace->warm_up);
}

int replay_cache(struct replay_cache *cache, const struct trace *trace, uint64_t capacity,
                 double *ratio, const char **message)
{
    struct session session;
    cache->max_bytes = 0;
    if (session_init(&session, cache, trace))
        calibrate(&session, cache, capacity);
    if (session.message == NULL && session_open(&session, cache->max_bytes)) {
        *ratio = replay_all(&session);
        larder_close(session.cache);
    }
    free(session.value);
    *message = session.message;
    return session.message == NULL;
}
