/*
 * For compositions, backends whose options are caches (struct larder_part): how a call is passed on
 * to a part, and the rows that are the same for all of them.
 *
 * A session of a composition holds one session of each part, so a scope's session is exchanged on
 * the way for that of the part.
 */
#ifndef LARDER_UTIL_PARTS_H
#define LARDER_UTIL_PARTS_H

#include <stdatomic.h>

#include <larder/backend.h>

/** The same call on part number `index`. */
struct larder_scope larder_part_scope(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t index);

/**
 * Shares the time of a call that asks two parts one after the other: a deadline shorter than both
 * timeouts together is shared out in proportion to them, so that a first one that stalls leaves the
 * second its part.
 * @param first_ms   timeout of the first; 0: none
 * @param all_ms     of both together; 0: none
 * @param first_ns   set, as is second_ns, where there is a deadline
 * @return OK, or TIMEOUT when nothing is left
 */
enum larder_status larder_parts_share_time(const struct larder_scope *scope, uint32_t first_ms,
                                           uint32_t all_ms, uint64_t *first_ns,
                                           uint64_t *second_ns);

/* ---- the end ------------------------------------------------------------------------------- */

/** Whether a composition lets calls in. Its `shutdown` row sets SHUT, its `retire` row RETIRED:
 * then sessions that were taken from it go on to the members that they hold. Relaxed: calls that
 * overlap the end may miss it. */
enum larder_gate { LARDER_GATE_OPEN, LARDER_GATE_RETIRED, LARDER_GATE_SHUT };

/** @return OK or CLOSED */
static inline enum larder_status larder_gate_enter(const atomic_int *gate,
                                                   const struct larder_scope *scope)
{
    int state = atomic_load_explicit(gate, memory_order_relaxed);
    int is_member = scope->session != NULL && scope->session->owner == scope->self;
    return state == LARDER_GATE_OPEN || (state == LARDER_GATE_RETIRED && is_member) ? LARDER_OK
                                                                                    : LARDER_CLOSED;
}

/** These rows, of an object whose first member is its gate. */
larder_shutdown_fn larder_gate_shutdown;
larder_retire_fn larder_gate_retire;

/* ---- traits -------------------------------------------------------------------------------- */

/** A composition passes namespaces on; where a part doesn't keep them apart, the core does it. */
void larder_traits_pass_namespaces(struct larder_traits *traits);
/** What two parts can, and promise, that serve together: the lesser of both. Consistency is
 * EVENTUAL, and there is no promise about misses, since there are two places.
 * @param alone   LARDER_CAN_* that only `one` is asked for
 * @param traits  all but its size is set */
void larder_traits_join(const struct larder_traits *one, const struct larder_traits *other,
                        uint64_t alone, struct larder_traits *traits);

/* ---- answers ------------------------------------------------------------------------------- */

/** 1 when a part is down and has changed nothing. */
static inline int larder_is_down(enum larder_status status)
{
    return status == LARDER_UNAVAILABLE || status == LARDER_TIMEOUT || status == LARDER_PROTOCOL;
}

/** After one part answered a delete at `version` (0: of whatever is there), or a touch: whether the
 * other part's copy is to be deleted, or touched, too. */
int larder_delete_spreads(enum larder_status status, uint64_t version);

/* A lease remembers in the lowest bit of `reserved` which of two parts gave it; above it is what
 * that part remembers, which may be a composition itself. */
static inline void larder_lease_sign(struct larder_lease *lease, unsigned part)
{
    if (lease->token != 0)
        lease->reserved = lease->reserved << 1 | part;
}

static inline unsigned larder_lease_part(struct larder_lease lease)
{
    return lease.reserved & 1;
}

static inline struct larder_lease larder_lease_unsigned(struct larder_lease lease)
{
    lease.reserved >>= 1;
    return lease;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/** A row `acquire`: takes a session of every part, or of none. @return as the first part that has
 * none to give; NO_MEMORY */
enum larder_status larder_parts_acquire(const struct larder_scope *scope,
                                        const struct larder_part *parts, size_t count,
                                        struct larder_session *session);
/** A row `release`. */
void larder_parts_release(const struct larder_scope *scope, const struct larder_part *parts,
                          size_t count, struct larder_session *session);

/** A row `flush`: of every part, also when one fails. @return OK, or the failure with the lowest
 * number */
enum larder_status larder_parts_flush(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count);

/** A row `stats`: every part's rows, each under its option's name and a dot. */
void larder_parts_stats(const struct larder_scope *scope, const struct larder_part *parts,
                        size_t count, struct larder_stats_out *out);

/** A row `purge`: every part has `budget_ms`. */
enum larder_status larder_parts_purge(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count,
                                      uint32_t budget_ms, uint64_t *next_due_ms);

/** For a row `many`: the next rows in a row that are to be answered. Those that came in answered
 * are left alone; what is between them is passed on by itself.
 * @param next  0 at first; where to go on from
 * @return 0: there are no more */
int larder_rows_run(const struct larder_rows *rows, size_t *next, struct larder_rows *run);
/** What a composition does with such a run. @param passage  its own */
typedef void larder_run_fn(void *passage, enum larder_many_kind many, enum larder_mode mode,
                           const struct larder_rows *run);
/** A row `many`, after its composition began with `status`: hands every run to `each`, or answers
 * all with what is no OK. */
void larder_rows_hand(const struct larder_rows *rows, enum larder_status status,
                      larder_run_fn *each, void *passage, enum larder_many_kind many,
                      enum larder_mode mode);
/** Answers all that are to be answered. */
void larder_rows_refuse(const struct larder_rows *rows, enum larder_status status);

/** For a row `many`: rows that are made again on another part, in one call where memory allows,
 * else one at a time. */
struct larder_again {
    const struct larder_scope *scope; /* of that part */
    enum larder_many_kind many;       /* what they do there */
    enum larder_mode mode;
    /* @param copy  the row, still to be answered and without a value; may be changed
     * @return whether it is made again */
    int (*takes)(struct larder_again *again, const struct larder_row *row, struct larder_row *copy);
    /* @param copy  answered; its view is the callback's to release or to hand over */
    void (*answered)(struct larder_again *again, struct larder_row *row, struct larder_row *copy);
    void *context; /* the callbacks' own */
};
void larder_rows_again(struct larder_again *again, const struct larder_rows *rows);

#endif
