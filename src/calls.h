/* What every public call does before and after its backend: check, enter, finish. */
#ifndef LARDER_CALLS_H
#define LARDER_CALLS_H

#include <larder/util/value.h>

#include "grace.h"
#include "handle.h"

/** One call under way. */
struct entry {
    const struct target *target;
    const struct larder_scope *scope; /* what the backend gets */
    struct larder_scope with_call;    /* where it lies when the call has options */
    struct larder_call call;          /* those, complete and resolved */
};

/** @return OK, or BAD_KEY */
static inline enum larder_status larder__key_check(struct larder_slice key)
{
    return key.length - 1 < LARDER_KEY_BYTES_MAX && key.data != NULL ? LARDER_OK : LARDER_BAD_KEY;
}

/** What larder__enter() does where there are options. */
enum larder_status larder__enter_with(enum larder_operation operation,
                                      const struct larder_call *call, struct entry *entry);

/** Finds the target of a call and puts the call's options into its scope.
 * @return OK; BAD_ARGUMENT; CLOSED; UNSUPPORTED for an option that the cache doesn't take */
static inline enum larder_status larder__enter(struct larder_cache *cache,
                                               enum larder_operation operation,
                                               const struct larder_call *call, struct entry *entry)
{
    if (cache == NULL)
        return LARDER_BAD_ARGUMENT;
    entry->target = larder__target(cache);
    entry->scope = &entry->target->scope;
    if (entry->target->refusal != LARDER_OK)
        return entry->target->refusal;
    return call == NULL ? LARDER_OK : larder__enter_with(operation, call, entry);
}

/** 1 when a call is to be made again: a reload shut its backend down, and has led the handle
 * elsewhere. */
static inline int larder__is_overtaken(struct larder_cache *cache, const struct entry *entry,
                                       enum larder_status status)
{
    return status == LARDER_CLOSED && cache != NULL && larder__moved(cache, entry->target);
}

/** What larder__finish() does with anything but an answer. */
enum larder_status larder__finish_failure(struct larder_cache *cache,
                                          enum larder_operation operation, struct larder_slice key,
                                          enum larder_status status);

/** Counts, tells the listener, hides failed reads where that was asked for.
 * @return what the application gets */
static inline enum larder_status larder__finish(struct larder_cache *cache,
                                                enum larder_operation operation,
                                                struct larder_slice key, enum larder_status status)
{
    if (__builtin_expect(cache == NULL || status < 0 || status > LARDER_WOULD_BLOCK, 0))
        return larder__finish_failure(cache, operation, key, status);
    larder__count_call(cache->counters, operation, status);
    return status;
}

/** The option `version` holds for what is joined on: every other mode has a way of its own. */
static inline int larder__mode_takes_call(enum larder_mode mode, const struct larder_call *call)
{
    return call == NULL || call->version == 0 || mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

/** Checks `write` for `mode` and completes it: resolved TTL.
 * @return OK; BAD_ARGUMENT; TOO_LARGE; UNSUPPORTED */
enum larder_status larder__write_check(const struct target *target, enum larder_mode mode,
                                       const struct larder_write *write,
                                       struct larder_write *complete);

/** @return OK; BAD_ARGUMENT for unknown bits; UNSUPPORTED for what the cache can't tell */
enum larder_status larder__want_check(const struct target *target, uint32_t want);

static inline void larder__info_hide_but(struct larder_info *info, uint32_t want)
{
    if ((want & LARDER_WANT_VERSION) == 0)
        info->version = 0;
    if ((want & LARDER_WANT_TTL) == 0)
        info->ttl_ms = LARDER_TTL_UNKNOWN;
    if ((want & LARDER_WANT_ACCESS) == 0) {
        info->idle_ms = -1;
        info->marks &= ~LARDER_HIT_BEFORE;
    }
}

/** Takes out what `want` does not ask for: what was not asked for is not told, also where it would
 * cost nothing, so that a program that forgets to ask finds out on the first cache that it is tried
 * on. */
static inline void larder__info_hide(struct larder_info *info)
{
    if (info->want == 0) /* as nearly always: the compiler writes it out */
        larder__info_hide_but(info, 0);
    else
        larder__info_hide_but(info, info->want);
}

/** Empties a view but for info.want. */
void larder__value_clear(struct larder_value *value);

/** Of what was read what was asked for is told; nothing of what a backend began to tell before it
 * failed. */
static inline void larder__info_settle(struct larder_info *info, enum larder_status status)
{
    if (status == LARDER_OK || status == LARDER_PARTIAL)
        larder__info_hide(info);
    else
        larder_info_clear(info);
}

/** Likewise of a view, which a call that failed gives back. */
static inline void larder__view_settle(struct larder_value *value, enum larder_status status)
{
    if (status == LARDER_OK || status == LARDER_STALE) {
        larder__info_hide(&value->info);
    } else {
        larder_value_release(value);
        larder__value_clear(value);
    }
}

/** Resolves the TTL. @return OK; BAD_ARGUMENT; UNSUPPORTED */
enum larder_status larder__touch_check(const struct target *target, int64_t *ttl_ms);
/** @return OK; UNSUPPORTED */
enum larder_status larder__delete_check(const struct target *target, uint64_t version);

#endif
