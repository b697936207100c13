/*
 * For compositions of two caches of which one leads and the other follows: the leader answers every
 * call, and what it took is put into the follower afterwards, whose answers nobody sees. A backend
 * embeds struct larder_pair, says in a struct larder_pair_kind which part leads and what follows,
 * and has the rows below in its table. backends/migration/ and backends/shadow/ are two.
 *
 * The follower gets the result of a write, not the operation: a version is the leader's, and
 * whether an add or a replace was taken is the leader's to say.
 *
 *     the leader                                     the follower
 *     stored (set, add, replace, cas, lease_fill)    set, with the same TTL
 *     joined or counted (append, prepend, count)     delete: the result, or its TTL, isn't known
 *     deleted, or missed it, or is down              delete; at a version only after OK
 *     touched, or missed it, or is down              touch; at a version only after OK
 *     UNKNOWN, or a condition on a write whose       delete; a touch is made
 *     answer nobody waited for (LARDER_NO_REPLY)
 *     anything else                                  nothing
 *
 * A set or a touch that the follower refuses although it is up becomes a delete, so that nothing
 * older stays there. What it misses while it is down stays: put a `tracker:` between.
 */
#ifndef LARDER_UTIL_PAIR_H
#define LARDER_UTIL_PAIR_H

#include <stdatomic.h>

#include <larder/util/parts.h>

#define LARDER_PAIR_PARTS 2

/* ROW(name): relaxed counters, they order nothing. A row of a multi call counts as a call. */
#define LARDER_PAIR_COUNTER_TABLE(ROW)                                        \
    ROW(copies)          /* sets, deletes and touches made on the follower */ \
    ROW(copies_failed)   /* of them, those that it did not take */            \
    ROW(copies_left_out) /* deletes in the place of what it can't hold */

struct larder_pair_kind;

struct larder_pair {
    atomic_int gate; /* first; enum larder_gate */
    /* set while opening, then only read */
    const struct larder_pair_kind *kind;
    const struct larder_part *parts; /* LARDER_PAIR_PARTS of them */
    struct larder_traits traits;     /* of the whole */

#define LARDER_PAIR_COUNTER_FIELD(name) _Atomic uint64_t name;
    LARDER_PAIR_COUNTER_TABLE(LARDER_PAIR_COUNTER_FIELD)
#undef LARDER_PAIR_COUNTER_FIELD
};

/** One call on its way. On the stack of its thread. */
struct larder_passage {
    struct larder_pair *pair;
    const struct larder_scope *scope; /* of the caller */
    unsigned lead;                    /* index of the part that answers */
    int follows;                      /* what is written goes to the other one, too */
    int looks;                        /* kind->look is called after a read */
    struct larder_scope of, other;    /* the leader's, the follower's */
    struct larder_call call;          /* options of the call, for the follower */
    struct larder_session alone;      /* for a follower of which a session holds nothing */
};

/** What is the composition's own. Static const. */
struct larder_pair_kind {
    /** Sets passage->lead, follows and looks. Once per call. @param reads  it is a read */
    void (*set_out)(struct larder_passage *passage, int reads);
    /** Whether the follower has to do with this key: a function of its arguments. NULL: always. */
    int (*has)(const struct larder_pair *pair, struct larder_slice key);
    /** After a read, when passage->looks: may do on passage->of and passage->other what it likes.
     * @param many  LARDER_MANY_READ or LARDER_MANY_GET: where the rows' bytes are */
    void (*look)(struct larder_passage *passage, enum larder_many_kind many,
                 const struct larder_rows *rows);
    /** 1: nobody ever reads the follower. A session holds nothing of it; the leader has all the
     * time of a call, and the follower what is left; a call that is asked not to wait is made all
     * the same, and the follower's part of it is lost where it would wait. */
    int only_copies;
};

/** @param self  filled with zeros */
void larder_pair_init(struct larder_pair *pair, const struct larder_pair_kind *kind,
                      const struct larder_part *parts);

/** Makes way for a call.
 * @param key            NULL: of many keys, or of the whole
 * @param reads, writes  what it does
 * @return OK; CLOSED; TIMEOUT when the caller's time was over before; WOULD_BLOCK */
enum larder_status larder_pair_begin(struct larder_passage *passage,
                                     const struct larder_scope *scope,
                                     const struct larder_slice *key, int reads, int writes);

/** Whether the follower has to do with this key. */
int larder_pair_has(const struct larder_passage *passage, struct larder_slice key);
/** The traits of the follower, as this call meets it. */
const struct larder_traits *larder_pair_other_traits(const struct larder_passage *passage);
/** The bytes of a row that a look is given, as many as there are. */
struct larder_slice larder_pair_bytes(enum larder_many_kind many, const struct larder_row *row);

larder_read_fn larder_pair_read;
larder_get_fn larder_pair_get;
larder_store_fn larder_pair_store;
larder_remove_fn larder_pair_remove;
larder_touch_fn larder_pair_touch;
larder_get_and_touch_fn larder_pair_get_and_touch;
larder_count_fn larder_pair_count;
larder_lease_get_fn larder_pair_lease_get;
larder_lease_fill_fn larder_pair_lease_fill;
larder_lease_return_fn larder_pair_lease_return;
larder_many_fn larder_pair_many;
larder_keys_fn larder_pair_keys;
larder_wire_key_fn larder_pair_wire_key;
larder_purge_fn larder_pair_purge;
larder_acquire_fn larder_pair_acquire;
larder_release_fn larder_pair_release;
larder_traits_fn larder_pair_traits;
/** The counters above and both parts' rows. */
larder_stats_fn larder_pair_stats;

/** The designated rows of a table, but for name, flush, stats, close and compose. */
#define LARDER_PAIR_ROWS                                                                          \
    .version = LARDER_BACKEND_VERSION, .size = sizeof(struct larder_ops),                         \
    .read = larder_pair_read, .get = larder_pair_get, .store = larder_pair_store,                 \
    .remove = larder_pair_remove, .touch = larder_pair_touch,                                     \
    .get_and_touch = larder_pair_get_and_touch, .count = larder_pair_count,                       \
    .lease_get = larder_pair_lease_get, .lease_fill = larder_pair_lease_fill,                     \
    .lease_return = larder_pair_lease_return, .many = larder_pair_many, .keys = larder_pair_keys, \
    .wire_key = larder_pair_wire_key, .purge = larder_pair_purge, .acquire = larder_pair_acquire, \
    .release = larder_pair_release, .traits = larder_pair_traits,                                 \
    .shutdown = larder_gate_shutdown, .retire = larder_gate_retire

#endif
