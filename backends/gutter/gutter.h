/* The inside of the gutter: what it knows, and how a call turns from `of` to the spare. */
#ifndef GUTTER_GUTTER_H
#define GUTTER_GUTTER_H

#include <stdatomic.h>

#include <larder/gutter.h>
#include <larder/util/parts.h>

enum { GUTTER_OF, GUTTER_SPARE, GUTTER_PARTS };

/* ROW(name): relaxed counters, they order nothing */
#define GUTTER_COUNTER_TABLE(ROW)                                            \
    ROW(reads_turned) /* to the spare */                                     \
    ROW(writes_turned)                                                       \
    ROW(drops)         /* deletes of the spare's copy */                     \
    ROW(drops_missed)  /* after which the spare was not asked for a while */ \
    ROW(spare_avoided) /* calls that were left with the answer of a dead `of` */

struct gutter_counters {
#define GUTTER_COUNTER_FIELD(name) _Atomic uint64_t name;
    GUTTER_COUNTER_TABLE(GUTTER_COUNTER_FIELD)
#undef GUTTER_COUNTER_FIELD
};

#define GUTTER_COUNT(gutter, name) \
    atomic_fetch_add_explicit(&(gutter)->counters.name, 1, memory_order_relaxed)

/*
 * What is known of the spare, by the gutter's clock. Shared by a gutter and the one that a reload
 * puts in its place over the same spare.
 *
 * Relaxed: a call that another one follows has set them before it returned, so the program's own
 * order carries them there; calls that overlap may come in either order.
 */
struct spare {
    atomic_uint users;
    _Atomic uint64_t holds_until_ns;  /* this process may have left copies there until then */
    _Atomic uint64_t unread_until_ns; /* it missed a delete: what it had is gone by then */
};

struct gutter {
    atomic_int gate; /* first; enum larder_gate */
    /* set while opening, then only read */
    const struct larder_part *parts;
    struct larder_traits traits;
    struct larder_clock clock;
    int64_t ttl_ms;
    uint64_t linger_ms;     /* how long a copy on the spare can last */
    uint32_t of_ms, all_ms; /* timeouts: of `of`, of both; 0: none */
    int waits;              /* a call may wait */
    struct spare *spare;

    struct gutter_counters counters;
};

/* ---- spare.c ------------------------------------------------------------------------------- */

/** @return NULL without memory */
struct spare *gutter_spare_new(void);
struct spare *gutter_spare_share(struct spare *spare);
void gutter_spare_release(struct spare *spare);

/** A copy is about to be left there, or has been: it may have been long on its way. */
void gutter_spare_holds(struct gutter *gutter);
int gutter_spare_may_hold(const struct gutter *gutter);
/** It may have a copy that it should not. */
void gutter_spare_missed(struct gutter *gutter);
int gutter_spare_may_be_read(const struct gutter *gutter);

/* ---- call.c -------------------------------------------------------------------------------- */

/** One call on its way. On the stack of its thread. */
struct passage {
    struct gutter *gutter;
    const struct larder_scope *scope; /* of the caller */
    struct larder_scope of, spare;
    struct larder_call lowered; /* the options of the call, for the spare */
    int leaves;                 /* it has turned, and leaves or prolongs a copy there */
};

/** Makes way for a call on `of`. @return OK; CLOSED; TIMEOUT when the
 * caller's time was over before */
enum larder_status gutter_begin(struct passage *passage, const struct larder_scope *scope);

enum gutter_turn {
    GUTTER_READ,
    GUTTER_WRITE /* leaves or prolongs a copy */
};
/** After `of` answered `status`: 1 when the call is made again on passage->spare. */
int gutter_turns(struct passage *passage, enum gutter_turn turn, enum larder_status status);
/** What the caller is told when both were asked. */
enum larder_status gutter_settle(const struct passage *passage, enum larder_status of,
                                 enum larder_status spare);

/** Makes passage->spare ready without asking whether it may be read. */
void gutter_ready_spare(struct passage *passage);
/** The same, for deletes of copies that a write has outdated. */
void gutter_ready_drop(struct passage *passage);
/** Deletes the spare's copy. */
void gutter_drop(struct passage *passage, struct larder_slice key);
/** After `of` answered a write with `status`: whether the spare's copy is old by now. */
int gutter_outdates(const struct passage *passage, enum larder_status status);

/* ---- rows.c, many.c ------------------------------------------------------------------------ */

larder_read_fn gutter_read;
larder_get_fn gutter_get;
larder_store_fn gutter_store;
larder_remove_fn gutter_remove;
larder_touch_fn gutter_touch;
larder_get_and_touch_fn gutter_get_and_touch;
larder_count_fn gutter_count;
larder_lease_get_fn gutter_lease_get;
larder_lease_fill_fn gutter_lease_fill;
larder_lease_return_fn gutter_lease_return;
larder_many_fn gutter_many;

#endif
