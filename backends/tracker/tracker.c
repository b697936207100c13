/* tracker: opening, traits, and the rows for the whole cache. */
#include "inside.h"

#include <stdlib.h>

#include <larder/util/deadline.h>
#include <larder/util/message.h>

/* ---- traits -------------------------------------------------------------------------------- */

/* Of what `of` can, all; of what it promises, what lost keys leave of it. */
static void tracker_compose(const struct larder_traits *const *parts, size_t count,
                            struct larder_traits *traits)
{
    uint32_t size = traits->size;
    (void)count;
    *traits = *parts[0];
    traits->size = size;
    larder_traits_pass_namespaces(traits);
    if (traits->timeout_ms == 0 && (traits->promises & LARDER_NEVER_BLOCKS) == 0)
        traits->promises &= ~(uint64_t)LARDER_HARD_DEADLINE; /* each step has a time of its own */
    /* What isn't acknowledged can't be known to be lost; and a lost key is found by its name. */
    traits->options &= ~(uint64_t)(LARDER_TAKES_NO_REPLY | LARDER_TAKES_ROUTING_KEY);
}

static const struct larder_traits *tracker_traits(const void *self)
{
    return &((const struct tracker *)self)->traits;
}

/* ---- the whole cache ----------------------------------------------------------------------- */

static enum larder_status tracker_keys(const struct larder_scope *scope,
                                       struct larder_cursor *cursor, void *buffer, size_t size,
                                       struct larder_slice *keys, size_t capacity, size_t *count)
{
    struct passage passage;
    enum larder_status status = tracker_begin(&passage, scope);
    if (status == LARDER_OK)
        status = tracker_ready_around(&passage);
    return status == LARDER_OK
               ? passage.of.ops->keys(&passage.of, cursor, buffer, size, keys, capacity, count)
               : status;
}

static enum larder_status tracker_wire_key(const struct larder_scope *scope,
                                           struct larder_slice key, void *buffer, size_t size,
                                           size_t *length)
{
    struct passage passage;
    enum larder_status status = tracker_begin(&passage, scope);
    return status == LARDER_OK ? passage.of.ops->wire_key(&passage.of, key, buffer, size, length)
                               : status;
}

static void tracker_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct tracker *tracker = scope->self;
    struct journal_figures figures;
    journal_read(tracker->journal, &figures);
    larder_stat_add(out, "lost_keys", figures.keys);
    larder_stat_add(out, "lost_wholes", figures.wholes);
    larder_stat_add(out, "recorded", figures.recorded);
    larder_stat_add(out, "made_up", figures.made_up);
    larder_stat_add(out, "overflows", figures.overflows);
    larder_stat_add(out, "replays", atomic_load_explicit(&tracker->replays, memory_order_relaxed));
    larder_stat_add(out, "replays_failed",
                    atomic_load_explicit(&tracker->replays_failed, memory_order_relaxed));
    larder_stat_add(out, "refused", atomic_load_explicit(&tracker->refused, memory_order_relaxed));
    larder_parts_stats(scope, tracker->parts, 1, out);
}

/* What is lost is replayed, too. */
static enum larder_status tracker_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                        uint64_t *next_due_ms)
{
    const struct tracker *tracker = scope->self;
    struct passage passage;
    uint64_t until_ns = larder_deadline_after(larder_monotonic_ns(), budget_ms);
    if (tracker_begin(&passage, scope) == LARDER_OK)
        tracker_replay_some(&passage, until_ns);
    enum larder_status status =
        larder_parts_purge(scope, tracker->parts, 1, budget_ms, next_due_ms);
    if (!journal_is_empty(tracker->journal) && *next_due_ms > 1000)
        *next_due_ms = 1000; /* a server that is down is probed so often */
    return status;
}

static enum larder_status tracker_acquire(const struct larder_scope *scope,
                                          struct larder_session *session)
{
    const struct tracker *tracker = scope->self;
    return larder_parts_acquire(scope, tracker->parts, 1, session);
}

static void tracker_release(const struct larder_scope *scope, struct larder_session *session)
{
    const struct tracker *tracker = scope->self;
    larder_parts_release(scope, tracker->parts, 1, session);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void tracker_fork(void *self, enum larder_fork_step step)
{
    journal_fork(((struct tracker *)self)->journal, step);
}

static void tracker_close(void *self)
{
    struct tracker *tracker = self;
    journal_release(tracker->journal);
    free(tracker);
}

static const struct larder_ops tracker_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "tracker",
    .read = tracker_read,
    .get = tracker_get,
    .store = tracker_store,
    .remove = tracker_remove,
    .touch = tracker_touch,
    .get_and_touch = tracker_get_and_touch,
    .count = tracker_count,
    .lease_get = tracker_lease_get,
    .lease_fill = tracker_lease_fill,
    .lease_return = tracker_lease_return,
    .many = tracker_many,
    .flush = tracker_flush,
    .keys = tracker_keys,
    .stats = tracker_stats,
    .purge = tracker_purge,
    .wire_key = tracker_wire_key,
    .acquire = tracker_acquire,
    .release = tracker_release,
    .traits = tracker_traits,
    .shutdown = larder_gate_shutdown,
    .retire = larder_gate_retire,
    .fork = tracker_fork,
    .close = tracker_close,
    .compose = tracker_compose,
};

#define LARDER_OPTIONS_STRUCT struct larder_tracker_options
static const struct larder_option tracker_options[] = {
    LARDER_TRACKER_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_CACHE_ROW)};
#undef LARDER_OPTIONS_STRUCT

static void tracker_init(struct tracker *tracker, const struct larder_host *host,
                         const struct larder_tracker_options *options)
{
    const struct larder_traits *const parts[] = {host->parts[0].traits};
    tracker->parts = host->parts;
    tracker->clock = host->clock;
    tracker->keys_max = (size_t)options->keys;
    tracker->settle_ns = options->settle_ms * 1000000;
    tracker->on_lost = options->on_lost;
    tracker->lost_context = options->lost_context;
    tracker->traits.size = sizeof(tracker->traits);
    tracker_compose(parts, 1, &tracker->traits);
    atomic_init(&tracker->gate, LARDER_GATE_OPEN);
    atomic_init(&tracker->carry_ns, 0);
}

/* What is lost stays lost, also when the list of servers is another one. */
static enum larder_status tracker_succeed(const struct larder_host *host, const void *given,
                                          void *predecessor, struct larder_message *message,
                                          void **self)
{
    const struct tracker *before = predecessor;
    struct tracker *tracker = calloc(1, sizeof(*tracker));
    (void)message;
    if (tracker == NULL)
        return LARDER_NO_MEMORY;
    tracker_init(tracker, host, given);
    tracker->journal = before != NULL ? journal_share(before->journal) : journal_new();
    if (tracker->journal == NULL) {
        free(tracker);
        return LARDER_NO_MEMORY;
    }
    *self = tracker;
    return LARDER_OK;
}

static enum larder_status tracker_open(const struct larder_host *host, const void *given,
                                       struct larder_message *message, void **self)
{
    return tracker_succeed(host, given, NULL, message, self);
}

extern const struct larder_backend larder_tracker_backend;
const struct larder_backend larder_tracker_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "tracker",
    .sentence = "a cache whose lost writes are made up for before their keys are served again",
    .ops = &tracker_ops,
    .open = tracker_open,
    .options = tracker_options,
    .option_count = sizeof(tracker_options) / sizeof(tracker_options[0]),
    .options_size = sizeof(struct larder_tracker_options),
    .succeed = tracker_succeed,
};

enum larder_status larder_tracker_open(const struct larder_tracker_options *options,
                                       const struct larder_open_options *open_options,
                                       struct larder_cache **cache, char *message,
                                       size_t message_size)
{
    return larder_open_backend(&larder_tracker_backend, options, open_options, cache, message,
                               message_size);
}

enum larder_status larder_tracker_drain(struct larder_cache *cache, larder_lost_fn *each,
                                        void *context, size_t max, size_t *count)
{
    struct entry_copy copy;
    size_t drained = 0;
    void *self;
    enum larder_status status = larder_backend_object(cache, &larder_tracker_backend, &self);
    if (count != NULL)
        *count = 0;
    if (status != LARDER_OK)
        return status;
    struct journal *journal = ((struct tracker *)self)->journal;
    for (; drained < max && journal_next(journal, 1, &copy); drained++) {
        if (each != NULL)
            each(context, &copy.lost);
        free(copy.bytes);
    }
    if (count != NULL)
        *count = drained;
    return drained < max && !journal_is_empty(journal) ? LARDER_NO_MEMORY : LARDER_OK;
}
