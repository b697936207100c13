/*
 * The inside of hot: what it remembers of keys, what a copy is, and how a read finds one.
 *
 * A copy is an entry of `copies` whose value begins with a stamp. It is served only while the stamp
 * says so, whatever `copies` does with it: so dropping a copy is one addition to the count of
 * writes that its stamp has to agree with, and there is no moment between looking and storing that
 * a write could fall into.
 */
#ifndef HOT_INSIDE_H
#define HOT_INSIDE_H

#include <larder/hot.h>
#include <larder/util/parts.h>
#include <larder/util/random.h>
#include <larder/util/thread.h>

enum { HOT_OF, HOT_COPIES, HOT_PARTS };

/* ---- table.c: what is remembered of keys --------------------------------------------------- */

/* ROW(name): figures; each thread adds to cells of its own */
#define HOT_FIGURE_TABLE(ROW)                                                          \
    ROW(hits)                 /* reads that a copy answered */                         \
    ROW(stale_hits)           /* of these, by one that is not fresh any more */        \
    ROW(kept)                 /* copies that were left or renewed */                   \
    ROW(not_kept)             /* those that were too late, too large or too much */    \
    ROW(revalidations)        /* callers that were elected to ask anew */              \
    ROW(revalidations_failed) /* of these, those that brought no answer */             \
    ROW(reelections)          /* of these, those elected because the one before did */ \
    ROW(drops)                /* writes, and misses, that void the copy of their key */

enum hot_figure {
#define HOT_FIGURE_NUMBER(name) HOT_##name,
    HOT_FIGURE_TABLE(HOT_FIGURE_NUMBER)
#undef HOT_FIGURE_NUMBER
        HOT_FIGURES
};

/* Written by one thread, a record's owner, at a time, but for the last of them. Relaxed: figures
 * order nothing. */
struct figures {
    alignas(LARDER_LINE_BYTES) _Atomic uint64_t cells[HOT_FIGURES];
};

#define HOT_SLOTS 4096u

/* Keys with one hash share a slot: a write of one then drops the copies of all, and only one of
 * them is asked about anew at a time. */
struct slot {
    /* How many writes of its keys were answered. Added to with release, after `of` has answered;
     * loaded with acquire before `of` is asked for what may be kept: whoever has this number, asks
     * after that answer. When a copy is served the load needs no order: a call that follows the
     * write's sees the addition by the program's own order, and one that overlaps may go either
     * way. */
    _Atomic uint64_t writes;
    /* By the clock, until when one caller is the one to ask anew; 0: nobody is. Exchanged with
     * acq_rel: the next one elected sees the copy that this one left. */
    _Atomic uint64_t elected_until_ns;
};

/* Shared by a hot cache and the one that a reload puts in its place, so that writes which are still
 * on their way through the old one are seen by the new one. */
struct table {
    struct figures figures[LARDER_THREAD_CELLS + 1];
    atomic_uint users;
    struct larder_hash_key hash; /* set when it is made, then only read; as is seed */
    uint64_t seed;
    _Atomic uint64_t rolls;   /* relaxed: every roll has a number of its own */
    _Atomic uint64_t flushes; /* as slot.writes, of all keys */
    struct slot slots[HOT_SLOTS];
};

/** @param seed  0: drawn anew @return NULL without memory */
struct table *hot_table_new(uint64_t seed);
struct table *hot_table_share(struct table *table);
void hot_table_release(struct table *table);

struct slot *hot_slot(struct table *table, const struct larder_space *space,
                      struct larder_slice key);
/** By chance 1, once in `one_in`. */
int hot_roll(struct table *table, uint64_t one_in);
void hot_count(struct table *table, enum hot_figure figure);
uint64_t hot_figure(const struct table *table, enum hot_figure figure);

/* ---- prefixes.c ---------------------------------------------------------------------------- */

struct prefixes {
    struct larder_slice *list; /* NULL: none, which is all keys */
    size_t count;
};

/** @return OK; BAD_ARGUMENT with a message; NO_MEMORY. On failure there is nothing to free */
enum larder_status hot_prefixes_read(const char *text, struct prefixes *prefixes,
                                     const struct larder_message *message);
void hot_prefixes_free(struct prefixes *prefixes);
int hot_prefixes_match(const struct prefixes *prefixes, struct larder_slice key);

/* ---- hot.c --------------------------------------------------------------------------------- */

struct hot {
    atomic_int gate; /* first; enum larder_gate */
    /* set while opening, then only read */
    const struct larder_part *parts;
    struct larder_traits traits;
    struct larder_clock clock;
    uint64_t identity; /* in the stamps of its copies: others have others */
    uint64_t one_in, life_ms, fresh_ms, reelect_ms, recent_ms;
    struct prefixes prefixes;
    struct table *table;
};

/** One call on its way. On the stack of its thread. */
struct passage {
    struct hot *hot;
    const struct larder_scope *scope; /* of the caller */
    struct larder_scope of, copies;
    struct slot *slot;  /* of the key that it is about at the moment */
    uint64_t office_ns; /* until when it is elected to ask about that one anew; 0: it isn't */
};

/** @return OK or CLOSED */
enum larder_status hot_begin(struct passage *passage, const struct larder_scope *scope);
/** What a part can do for this call. */
const struct larder_traits *hot_part_traits(const struct passage *passage, size_t part);

/* ---- copy.c -------------------------------------------------------------------------------- */

/* Before the bytes of a copy. Of this process alone, so it has no other form than in memory. */
struct stamp {
    uint64_t identity;
    uint64_t writes, flushes; /* as they were before `of` was asked */
    uint64_t asked_ns;        /* when that was */
    uint64_t end_ns;          /* it is not served from then on */
    uint32_t flags;           /* the entry's */
    uint32_t reserved;
};

/* Copies up to this size are read without an allocation. */
#define HOT_ROOM_BYTES 4096

enum hot_form {
    HOT_BYTES, /* are copied elsewhere at once */
    HOT_VIEW   /* goes to the caller */
};

/** What a read has found: a copy, or an answer of `of`. */
struct sight {
    struct larder_slice bytes;
    struct larder_info info;
    struct larder_value view; /* whose bytes these are, unless they are in `room` */
    uint64_t asked_ns;        /* of a copy: when its value was asked for */
    uint64_t now_ns;          /* ... and when it was found */
    unsigned char room[sizeof(struct stamp) + HOT_ROOM_BYTES];
};

/** What is to be known before `of` is asked for something that may be kept. */
struct moment {
    uint64_t writes, flushes, now_ns;
};

/** Chooses the key that `passage` is about. @return 0 when its entry is never copied */
int hot_aim(struct passage *passage, struct larder_slice key);
/** Whether a call with these options, and this `want`, may be answered by a copy. */
int hot_may_serve(const struct passage *passage, uint32_t want);
struct moment hot_moment(const struct passage *passage);
/** What a read that may leave a copy has to ask for beside: LARDER_WANT_TTL or 0. */
uint32_t hot_wants(const struct passage *passage);

/** Looks for a copy that may be served. @return 0: there is none, and nothing to release */
int hot_look(const struct passage *passage, struct larder_slice key, enum hot_form form,
             struct sight *sight);
int hot_is_fresh(const struct passage *passage, const struct sight *sight);
void hot_sight_release(struct sight *sight);

/** Leaves a copy of what `of` answered after `moment`, if it may. */
void hot_keep(const struct passage *passage, struct larder_slice key, const struct moment *moment,
              struct larder_slice bytes, const struct larder_info *info);
/** Voids the copy of a key, and those that are on their way. */
void hot_drop(struct passage *passage, struct larder_slice key);
/** Those of all keys. */
void hot_drop_all(const struct passage *passage);

/* ---- read.c, many.c, write.c --------------------------------------------------------------- */

enum hot_standing {
    HOT_NONE,   /* there is no copy */
    HOT_SERVES, /* a copy answers */
    HOT_ASKS    /* there is one, and this caller is elected to ask anew */
};

/** Looks for a copy, and holds an election where it is not fresh. */
enum hot_standing hot_find(struct passage *passage, struct larder_slice key, enum hot_form form,
                           struct sight *sight);
/** The one elected has an answer of `of`. @return 1 with another sight of the copy, which goes on
 * being served: the answer was none, and no write has voided it meanwhile */
int hot_stands(struct passage *passage, struct larder_slice key, enum larder_status status,
               enum hot_form form, struct sight *sight);
/** After a read that passed the copies by: voids the copy of what isn't there, or was touched. */
void hot_passed_by(struct passage *passage, struct larder_slice key, enum larder_status status);

larder_read_fn hot_read;
larder_get_fn hot_get;
larder_store_fn hot_store;
larder_remove_fn hot_remove;
larder_touch_fn hot_touch;
larder_get_and_touch_fn hot_get_and_touch;
larder_count_fn hot_count_up_or_down;
larder_lease_get_fn hot_lease_get;
larder_lease_fill_fn hot_lease_fill;
larder_lease_return_fn hot_lease_return;
larder_many_fn hot_many;
larder_flush_fn hot_flush;

#endif
