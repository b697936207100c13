/*
 * tracker: remembers the writes that a cache missed while it was down, and makes up for them before
 * it serves those keys again.
 *
 *     [pool]                                   [tracked]
 *     uri = memcached://10.0.0.1,10.0.0.2/     uri = tracker:?of=@pool
 *
 * A server that was only cut off comes back with its old entries. So every key whose write failed
 * is *lost* until it was deleted on `of`: the next call on it does that first, and answers
 * UNAVAILABLE while it can't. All other keys are served as ever, and carry the replay of lost ones
 * along. Lost is what was set, replaced, appended, stored at a version, deleted, or touched to 50 s
 * or less, and failed; an add only when it is UNKNOWN.
 *
 * A write that is UNKNOWN may still be on its way when its server is back. Such a key is deleted a
 * second time, `settle` after the first, and not served in between.
 *
 * The promise: within a process, while at most `keys` keys are lost at once, no value is served
 * that is older than the last write that failed here, and none older than the last delete that was
 * acknowledged. Where more are lost than that, the namespace of the one too many (or all of `of`,
 * outside of namespaces) is lost as a whole, and flushed before it serves again.
 *
 * docs/tracker.md says more.
 */
#ifndef LARDER_TRACKER_H
#define LARDER_TRACKER_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A touch to this TTL or less is taken for a delete. */
#define LARDER_TRACKER_TOUCH_MS 50000

/** What was lost. Grows at the end. */
struct larder_lost {
    uint32_t size; /* sizeof(struct larder_lost) */
    enum larder_operation operation;
    enum larder_status status;      /* why */
    struct larder_slice name_space; /* empty: none */
    struct larder_slice key;        /* empty: the whole namespace, or all of the cache */
};

/** Told of each key when it gets lost (once, until it was made up for) or is drained. What it
 * points to is borrowed. Called with no lock held, from any thread; it may use any cache. */
typedef void larder_lost_fn(void *context, const struct larder_lost *lost);

#define LARDER_TRACKER_OPTIONS_TABLE(NUMBER, CACHE)                                          \
    CACHE(of, of, 1, "the cache whose lost writes are tracked")                              \
    NUMBER(COUNT, keys, keys, 65536, 1, 16777216,                                            \
           "so many lost keys are remembered; one more, and its whole namespace is flushed") \
    NUMBER(DURATION, settle, settle_ms, 100, 0, 60000,                                       \
           "within this a server that is back has done what was still on its way to it")

/** On OK the new cache holds `of`, as with larder_gutter_open(). */
struct larder_tracker_options {
    size_t struct_size;
    LARDER_TRACKER_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_CACHE_FIELD)
    larder_lost_fn *on_lost; /* NULL: nobody */
    void *lost_context;
};
/* clang-format off */
#define LARDER_TRACKER_OPTIONS_INIT \
    { sizeof(struct larder_tracker_options) \
      LARDER_TRACKER_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_CACHE_DEFAULT), NULL, NULL }
/* clang-format on */

/** Opens a tracker. Parameters and result else as larder_open_backend(). */
LARDER_API LARDER_MUST_USE enum larder_status
larder_tracker_open(const struct larder_tracker_options *options,
                    const struct larder_open_options *open_options, struct larder_cache **cache,
                    char *message, size_t message_size);

/**
 * Hands out what is lost and forgets it: whoever drains answers for it from now on, and it is
 * served again.
 *
 * @param cache  what larder_tracker_open() gave
 * @param each   called for each; may be NULL
 * @param max    how many at most
 * @param count  may be NULL; how many there were
 * @return OK; BAD_ARGUMENT for what is no tracker; CLOSED; NO_MEMORY
 *
 * Threads: any. Blocks: no.
 */
LARDER_API enum larder_status larder_tracker_drain(struct larder_cache *cache, larder_lost_fn *each,
                                                   void *context, size_t max, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
