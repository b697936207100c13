/* One operation of a writer on one key: under the lock of its stripe, from begin to end. */
#ifndef LARDER_MEMORY_VISIT_H
#define LARDER_MEMORY_VISIT_H

#include "memory.h"

/** What stands under a key for everybody but leases. */
enum presence { MISSING, PRESENT, NEGATIVE };

/** Lives on the caller's stack. */
struct visit {
    struct memory *memory;
    struct larder_thread *thread;
    uint64_t outer_call;
    struct stripe *stripe;
    struct index *index;
    struct key key;
    uint64_t now_ms;   /* read under the lock; a reader may have decided by a later time: see
                          larder__item_claim() */
    struct item *item; /* found under the key; leases without a value too */
    struct slot slot;  /* of the item */
    enum presence presence;
    /* From here on nothing, at first. */
    bool lacks_segment;      /* room has to be made, and the operation tried again */
    bool lacks_index;        /* likewise, for a bucket */
    bool needs_lease;        /* the operation is for who holds the item's lease */
    bool late;               /* the entry ended meanwhile: the operation is tried again at once */
    bool gives_up_old;       /* where there is no room for old and new, the old one goes first */
    uint64_t lacking_bytes;  /* as lacks_segment, for a large value */
    uint64_t reserved_bytes; /* taken from the budget for a large value */
    uint64_t old_bytes;      /* what giving up the old one would give back of what is lacking */
    struct large *block;     /* made by an attempt that was late, for what is to be stored over the
                                entry of `block_version`; found by nobody */
    /* From here on only set where it says something. */
    enum presence block_presence; /* what that was then */
    uint32_t block_version;       /* 0: over none */
    struct append append;         /* what lacks a segment, or a bucket */
};

/** Locks the stripe of a key and looks the key up. @return OK; CLOSED or NO_MEMORY and nothing is
 * locked */
enum larder_status larder__visit_begin(struct visit *visit, const struct larder_scope *scope,
                                       struct larder_slice name);
/** Unlocks, and does a step of what is due. */
void larder__visit_end(struct visit *visit);

/** A call that stores. Answers NO_MEMORY with something lacking when room has to be made: then it
 * has changed nothing, and is called again, with the key looked up anew. */
typedef enum larder_status larder_attempt_fn(struct visit *visit, void *arguments);
enum larder_status larder__visit_storing(const struct larder_scope *scope, struct larder_slice name,
                                         larder_attempt_fn *attempt, void *arguments);

/** Puts a draft in the place of visit->item, with a new version unless it has one.
 * @return OK; TOO_LARGE, or NO_MEMORY, and what was there stays */
enum larder_status larder__visit_put(struct visit *visit, struct draft *draft);

/** Gives the entry a new end of its value; in place where that goes. */
enum larder_status larder__visit_touch(struct visit *visit, int64_t ttl_ms);
void larder__visit_remove(struct visit *visit);
/** A number that no version and no other token of this key has. */
uint64_t larder__visit_token(struct visit *visit);

/** The value of an item, wherever it lies. */
struct larder_slice larder__item_value(const struct item *item);
/** Its key, wherever that lies. */
struct key larder__key_of(const struct item *item, uint64_t hash);
/** When what is stored now ends. */
uint64_t larder__expiry_after(const struct memory *memory, uint64_t now_ms, int64_t ttl_ms);
/** Lets a draft end so long after it is found. */
void larder__draft_expires_after(const struct visit *visit, struct draft *draft, int64_t ttl_ms);
static inline void larder__draft_expires(const struct visit *visit, struct draft *draft,
                                         int64_t ttl_ms)
{
    if (ttl_ms != LARDER_TTL_FOREVER || visit->memory->slides) {
        larder__draft_expires_after(visit, draft, ttl_ms);
        return;
    }
    draft->expiry_ms = UINT64_MAX;
    draft->ttl_ms = 0;
}
/** Whether somebody holds that lease; token 0: any. */
bool larder__lease_is_valid(const struct item *item, uint64_t token, uint64_t now_ms);

/** The version that a call insists on; 0: any. */
static inline uint64_t larder__call_version(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->version : 0;
}

/** The TTL that a call gives to what it finds; LARDER_TTL_UNKNOWN: none. */
static inline int64_t larder__call_touch(const struct larder_scope *scope)
{
    return scope->call != NULL ? scope->call->touch_ttl_ms : LARDER_TTL_UNKNOWN;
}

/** Whether what is stored again may lie where something else did: not where entries are about to be
 * evicted. What is stored goes to the end of its queue then, and outlives the call. */
static inline bool larder__recycles(const struct memory *memory)
{
    uint64_t max_bytes = larder__budget_max(memory->budget);
    return !memory->evicts || larder__budget_used(memory->budget) < max_bytes - max_bytes / 16;
}

static inline uint32_t larder__next_version(struct stripe *stripe)
{
    if (++stripe->guarded.version == 0)
        ++stripe->guarded.version;
    return stripe->guarded.version;
}

/** Tells what lengths values have: see look.h. */
static inline void larder__tell_length(struct memory *memory, size_t length)
{
    uint16_t told = larder__copies_at_once(length) ? (uint16_t)length : LENGTH_UNUSUAL;
    if (atomic_load_explicit(&memory->usual_length, memory_order_relaxed) != told)
        atomic_store_explicit(&memory->usual_length, told, memory_order_relaxed);
}

/** Whether a store of that version does what need not be done each time. */
static inline bool larder__is_occasion(uint32_t version)
{
    return version % 64 == 0;
}

/** An item of a stripe is found no more; its segment is told by the caller. Under the stripe's
 * lock.
 * @return the bytes that it took there */
uint32_t larder__item_leaves(struct memory *memory, struct stripe *stripe, struct item *item);
/** Likewise, and the segment is told. */
void larder__item_dies(struct memory *memory, struct item *item, uint64_t hash);

/** What a draft that was measured needs in a segment. */
static inline struct append larder__append_of(const struct memory *memory, enum queue queue,
                                              const struct draft *draft, uint64_t now_ms,
                                              uint32_t reserve)
{
    uint64_t end_ms = draft->expiry_ms; /* what is left of it then, a lease, goes elsewhere */
    if (draft->lease.token != 0 && end_ms <= now_ms)
        end_ms = draft->lease.end_ms;
    struct append append = {.queue = queue,
                            .now_ms = now_ms,
                            .end_ms = end_ms,
                            .interval_ms = memory->interval_ms,
                            .bytes = draft->bytes,
                            .weight = draft->large != NULL ? draft->large->charged_bytes : 0,
                            .reserve = reserve};
    return append;
}

/** Appends a copy of a draft, found by nobody yet, and gives the lane locked; whoever asked makes
 * it found, then unlocks. @return NULL: no segment; nothing is locked */
struct item *larder__append_locked(struct memory *memory, struct lane *lane,
                                   const struct append *append, const struct draft *draft,
                                   const struct key *key);

/* How many free segments an append leaves: to emptying a segment, which needs one to move into, and
 * to what only takes the place of something. */
#define RESERVE_FOR_NEW 2u
#define RESERVE_FOR_OVERWRITE 1u
#define RESERVE_FOR_SCAN 0u

/** What anything but segments leaves of the bound. */
static inline size_t larder__left_for_segments(const struct memory *memory)
{
    return RESERVE_FOR_NEW * larder__segment_bytes(&memory->arena);
}

/** Takes the charge of a large value, where that leaves what emptying segments needs. */
static inline bool larder__take_for_large(struct memory *memory, uint64_t bytes)
{
    return larder__budget_take_leaving(memory->budget, bytes, larder__left_for_segments(memory));
}

/** Makes room for what the visit lacks. No lock is held. @return false when that does not go */
bool larder__make_room(struct visit *visit);
/** Makes room for a step of the index. @return false when that does not go */
bool larder__make_room_for_index(struct memory *memory, struct larder_thread *thread,
                                 uint64_t now_ms);
/** Makes room for so many bytes, for whoever takes them first. No lock is held. @return false when
 * that does not go */
bool larder__make_room_for(struct memory *memory, struct larder_thread *thread, uint64_t now_ms,
                           uint64_t bytes);
/** At the bound, or over it after that was lowered; else there is room without evicting. */
static inline bool larder__is_full(const struct memory *memory)
{
    uint64_t room_bytes = larder__segment_bytes(&memory->arena) * SPARE_SEGMENTS;
    return larder__budget_used(memory->budget) + room_bytes > larder__budget_max(memory->budget);
}

/* Some segments are kept free, so that a thread that needs one finds it while another evicts: for
 * each that is taken one is evicted. Whether readers have left those is asked for a batch of them,
 * since that interrupts every other processor (epoch.h). Two threads that set what missed measured
 * 4 to 10 % faster with 1/96 of the cache in a batch than with 1/192, and some 4 % faster still
 * with 1/48; what stays empty for that costs 0.03 and 0.08 points of the hit ratio. */
#define SEGMENTS_PER_BATCH 96u
#define BATCH_MAX 32u

/** How many segments a full cache keeps free, those included that readers may still be in. Fewer
 * than larder__give_back() leaves. */
static inline uint32_t larder__spare_wanted(const struct memory *memory)
{
    uint32_t batch =
        atomic_load_explicit(&memory->arena.in_use, memory_order_relaxed) / SEGMENTS_PER_BATCH;
    return SPARE_SEGMENTS - 1 + (batch < 1 ? 1 : batch < BATCH_MAX ? batch : BATCH_MAX);
}

/** Whether a full cache has fewer free segments, and retired ones, than it should keep, or the
 * bound was lowered. */
static inline bool larder__is_short(const struct memory *memory)
{
    if (!larder__is_full(memory))
        return false;
    return larder__budget_is_over(memory->budget) ||
           (memory->evicts && atomic_load_explicit(&memory->arena.spare, memory_order_relaxed) <
                                  larder__spare_wanted(memory));
}

/** Where it is short: evicts a segment's worth, or takes a step towards a bound that was lowered.
 */
void larder__evict_ahead(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** A step towards a bound that was lowered. @return true: there is more */
bool larder__shrink(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/* How much turns over before it is worth a look at every stripe: of a cache with many segments a
 * share too small to matter. */
#define SEGMENTS_PER_LOOK 32u

static inline bool larder__has_turned_over(const struct memory *memory)
{
    uint32_t turnover = atomic_load_explicit(&memory->arena.turnover, memory_order_relaxed);
    uint32_t cleaned_at = atomic_load_explicit(&memory->cleaned_at, memory_order_relaxed);
    return turnover - cleaned_at >
           atomic_load_explicit(&memory->arena.in_use, memory_order_relaxed) / SEGMENTS_PER_LOOK;
}

/** Whether larder__housekeeping() has anything to do that can't wait for an occasion. */
static inline bool larder__has_chores(const struct memory *memory, const struct lane *lane)
{
    return larder__is_short(memory) || atomic_load_explicit(&lane->turns, memory_order_relaxed) ||
           atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed) != UINT64_MAX ||
           larder__has_turned_over(memory) || larder__large_retired_bytes(memory->large) > 0;
}

/** To be called where enough has turned over: empties a segment that has much dead in it, if there
 * is one. */
void larder__clean(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);

#endif
