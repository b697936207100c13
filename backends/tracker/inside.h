/* The inside of the tracker. */
#ifndef TRACKER_INSIDE_H
#define TRACKER_INSIDE_H

#include <stdatomic.h>

#include <larder/tracker.h>
#include <larder/util/parts.h>

#include "journal.h"

struct tracker {
    atomic_int gate; /* first; enum larder_gate */
    /* set while opening, then only read */
    const struct larder_part *parts; /* one */
    struct larder_traits traits;
    struct larder_clock clock;
    size_t keys_max;
    uint64_t settle_ns;
    larder_lost_fn *on_lost;
    void *lost_context;
    struct journal *journal;

    /* Relaxed, as is all that follows: it only spreads work. When the next call carries a replay
     * along, on CLOCK_MONOTONIC. */
    _Atomic uint64_t carry_ns;
    _Atomic uint64_t replays, replays_failed, refused;
};

/** One call on its way. On the stack of its thread. */
struct passage {
    struct tracker *tracker;
    struct larder_scope of;
    int is_calm; /* nothing was lost when it began: it replays nothing, and has no time for that */
};

/** @return OK or CLOSED */
enum larder_status tracker_begin(struct passage *passage, const struct larder_scope *scope);

/** Makes up for what was lost of a key. @return OK when it may be used; UNAVAILABLE, TIMEOUT,
 * NO_MEMORY, WOULD_BLOCK or CLOSED when not, and nothing was done */
enum larder_status tracker_ready(struct passage *passage, struct larder_slice key);
/** The same for its namespace and for everything, but not for the key itself. */
enum larder_status tracker_ready_around(struct passage *passage);

/** After a write: records the key when it is lost. @param doubtful  UNKNOWN means that a value may
 * still arrive */
void tracker_note(struct passage *passage, enum larder_operation operation, struct larder_slice key,
                  enum larder_status status, int doubtful);

/** After a call that went well: replays something else that is lost, if there is anything. */
void tracker_carry(struct passage *passage, enum larder_status status);
/** Replays what is lost until `until_ns`, or until one fails. */
void tracker_replay_some(struct passage *passage, uint64_t until_ns);

uint64_t tracker_now_ns(const struct tracker *tracker);

larder_read_fn tracker_read;
larder_get_fn tracker_get;
larder_store_fn tracker_store;
larder_remove_fn tracker_remove;
larder_touch_fn tracker_touch;
larder_get_and_touch_fn tracker_get_and_touch;
larder_count_fn tracker_count;
larder_lease_get_fn tracker_lease_get;
larder_lease_fill_fn tracker_lease_fill;
larder_lease_return_fn tracker_lease_return;
larder_many_fn tracker_many;
larder_flush_fn tracker_flush;

#endif
