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
    bool lacks_segment;      /* room has to be made, and the operation tried again */
    struct append append;    /* what the segment is for */
    bool lacks_index;        /* likewise, for a bucket */
    uint64_t lacking_bytes;  /* likewise, for a large value */
    uint64_t reserved_bytes; /* taken from the budget for a large value */
    bool needs_lease;        /* the operation is for who holds the item's lease */
    bool late;               /* the entry ended meanwhile: the operation is tried again at once */
    struct large *block;     /* made by an attempt that was late, for what is to be stored over the
                                entry of `block_version`; found by nobody */
    enum presence block_presence; /* what that was then */
    uint32_t block_version;       /* 0: over none */
    bool gives_up_old;  /* where there is no room for old and new, the old one goes first */
    uint64_t old_bytes; /* what that would give back of what is lacking */
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
void larder__draft_expires(const struct visit *visit, struct draft *draft, int64_t ttl_ms);
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

/** An item is found no more. Under its stripe's lock. */
void larder__item_dies(struct memory *memory, struct item *item, uint64_t hash);

/** What a draft needs in a segment. */
struct append larder__append_of(const struct memory *memory, enum queue queue,
                                const struct draft *draft, const struct key *key, uint64_t now_ms,
                                uint32_t reserve);
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
/** A segment's worth, where the next ones to store would find none, or the bound was lowered. */
void larder__evict_ahead(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** A step towards a bound that was lowered. @return true: there is more */
bool larder__shrink(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** Empties a segment that has much dead in it, if there is one. */
void larder__clean(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);

#endif
