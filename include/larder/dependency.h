/*
 * CacheDependency: wires keys to a master, so that one call drops them all, from any process that
 * knows the master's name. The state lives in the cache itself: a counter under the master, one
 * slot per wired key. docs/dependency.md shows it in use and says what is promised.
 *
 * It works over any cache through the public calls alone. Over a namespace (larder_bind()),
 * counter, slots and keys all live in that namespace. Over a cache that keeps nothing every call
 * answers OK.
 *
 * For every call, not repeated below:
 * - A master is 1 to LARDER_DEPENDENCY_MASTER_BYTES_MAX arbitrary bytes, else LARDER_BAD_KEY.
 * - BAD_ARGUMENT for a cache opened with `errors_as_miss`: a hidden failure would look like a wire
 *   that is not there.
 * - UNSUPPORTED, before anything is sent, for a cache that can't ADD, CAS, COUNT, COUNT_INITIAL,
 *   DELETE_VERSION, or counts in steps of less than 2^31 (traits: delta_max); afterwards, when a
 *   server turns out to have cas off: nothing counts as wired, a value to store is not kept, a
 *   delete takes no wire.
 * - NO_MEMORY, and whatever the cache itself answers (TIMEOUT, UNAVAILABLE, UNKNOWN, …), is handed
 *   on; repeating the call is always safe.
 * - Threads: any. Nothing is shared and no lock is held; a call blocks as long as the calls it
 * makes.
 */
#ifndef LARDER_DEPENDENCY_H
#define LARDER_DEPENDENCY_H

#include <larder/larder.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The longest master, in bytes: a batch of slot keys then stays about a mebibyte. */
#define LARDER_DEPENDENCY_MASTER_BYTES_MAX 4096u
/** The most wires that one master takes between two deletes; a key wired twice counts twice. */
#define LARDER_DEPENDENCY_WIRES_MAX 65536u
/** The most masters that one value is stored under. */
#define LARDER_DEPENDENCY_MASTERS_MAX 256u

/**
 * Wires a key to a master: the next larder_dependency_delete() of the master deletes the key.
 *
 * @param key          need not be there yet
 * @param wire_ttl_ms  how long the wire lasts; LARDER_TTL_FOREVER: until the master is deleted. A
 *                     wire that ends before its key lets the key escape
 * @return OK: wired, or deleted by a larder_dependency_delete() that ran at the same time;
 *         CONFLICT: the master was deleted or evicted again and again meanwhile: not wired;
 *         TOO_LARGE: the master has LARDER_DEPENDENCY_WIRES_MAX wires: not wired, delete it first;
 *         NOT_A_NUMBER: somebody else wrote under the counter's key: not wired;
 *         on a failure the key may be wired or not
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_dependency_add(struct larder_cache *cache,
                                                                    struct larder_slice master,
                                                                    struct larder_slice key,
                                                                    int64_t wire_ttl_ms);

/**
 * Wires many keys to one master, as larder_dependency_add() does one.
 * @return as larder_dependency_add(), OK when all are wired; else any number of them may be
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_dependency_add_multi(struct larder_cache *cache, struct larder_slice master,
                            const struct larder_slice *keys, size_t count, int64_t wire_ttl_ms);

/**
 * Stores a value that depends on masters: wires first, then stores, then sees that no master was
 * deleted in between. A crash may leave a wire without a value, which harms nobody.
 *
 * @param write        as for larder_store() with LARDER_SET
 * @param masters      0 to LARDER_DEPENDENCY_MASTERS_MAX of them, else BAD_ARGUMENT
 * @param wire_ttl_ms  as for larder_dependency_add(); not shorter than the value's
 * @return OK; CONFLICT: a master was deleted meanwhile, so the value may be out of date and is not
 *         kept; TOO_LARGE or NOT_A_NUMBER as larder_dependency_add(), nothing stored; what
 *         larder_store() says, nothing stored; UNKNOWN also when the value was stored and then
 *         neither its wires could be read nor it be deleted
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_dependency_set(struct larder_cache *cache, struct larder_slice key,
                      const struct larder_write *write, const struct larder_slice *masters,
                      size_t count, int64_t wire_ttl_ms);

/** What a delete did. */
struct larder_dependency_result {
    uint64_t dropped; /* keys deleted */
    uint64_t missing; /* wires whose key was gone already; a key wired twice is one of each */
    uint64_t lost;   /* wires that are gone without having been followed, at most: evicted, expired,
                        never finished, or taken by a delete that runs at the same time. Their keys
                        can't be known and may live */
    uint64_t rounds; /* 1 when nobody wired meanwhile */
    uint64_t reserved[4]; /* 0 */
};

/**
 * Deletes every key wired to a master, and the wires. A master that nobody knows is OK.
 *
 * @param result  may be NULL; written on every return: what was done until then
 * @return OK: every key wired before the call is deleted, or counted as lost;
 *         CONFLICT: the same, but keys kept being wired for all the rounds there are, so the master
 *         is still there and its next delete may count wires of this one as lost;
 *         NOT_A_NUMBER: somebody else wrote under the counter's key: nothing was changed (delete
 * that key, then call again: the wires are found without it); on a failure what could not be
 * deleted is still wired
 */
LARDER_API enum larder_status larder_dependency_delete(struct larder_cache *cache,
                                                       struct larder_slice master,
                                                       struct larder_dependency_result *result);

/**
 * Deletes what is wired to several masters, all of them even when one fails.
 * @param result  may be NULL; the sum
 * @return OK; else the failure with the lowest number, else NOT_A_NUMBER or CONFLICT
 */
LARDER_API enum larder_status
larder_dependency_delete_multi(struct larder_cache *cache, const struct larder_slice *masters,
                               size_t count, struct larder_dependency_result *result);

/** Is shown one wired key, borrowed for the call. @return 0 to go on, else the listing ends */
typedef int larder_dependency_key_fn(void *context, struct larder_slice key);

/**
 * Lists the keys wired to a master, in no order; a key wired twice comes twice, and whether it is
 * still there is not looked at. Keys wired or deleted meanwhile may be listed or not. `visit` may
 * use any cache.
 * @return OK, also for a master that nobody knows; NOT_A_NUMBER
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_dependency_keys(struct larder_cache *cache, struct larder_slice master,
                       larder_dependency_key_fn *visit, void *context);

#ifdef __cplusplus
}
#endif

#endif
