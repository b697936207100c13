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
    uint64_t now_ms;   /* read under the lock: nobody decides by a later time before us */
    struct item *item; /* found under the key; leases without a value too */
    struct slot slot;  /* of the item */
    enum presence presence;
    bool lacks_segment;      /* room has to be made, and the operation tried again */
    bool lacks_index;        /* likewise, for a bucket */
    uint64_t lacking_bytes;  /* likewise, for a large value */
    uint64_t reserved_bytes; /* taken from the budget for a large value */
    bool gives_up_old;       /* where there is no room for old and new, the old one goes first */
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
/** What is known of an item. */
void larder__item_info(const struct memory *memory, const struct item *item, uint64_t now_ms,
                       struct larder_info *info);
/** When what is stored now ends. */
uint64_t larder__expiry_after(const struct memory *memory, uint64_t now_ms, int64_t ttl_ms);
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
void larder__item_dies(struct memory *memory, struct item *item);

/** Appends a copy of a draft, found by nobody yet, and gives the lane locked; evict.c and
 * larder__visit_put() make it found, then unlock. @return NULL: no segment; nothing is locked */
struct item *larder__append_locked(struct memory *memory, struct lane *lane, enum queue queue,
                                   const struct draft *draft, const struct key *key,
                                   uint64_t now_ms, uint32_t reserve);

/* How many free segments an append leaves: to emptying a segment, which needs one to move into, and
 * to what only takes the place of something. */
#define RESERVE_FOR_NEW 2u
#define RESERVE_FOR_OVERWRITE 1u
#define RESERVE_FOR_SCAN 0u

/** Makes room for what the visit lacks. No lock is held. @return false when that does not go */
bool larder__make_room(struct visit *visit);
/** Makes room for a step of the index. @return false when that does not go */
bool larder__make_room_for_index(struct memory *memory, struct larder_thread *thread,
                                 uint64_t now_ms);
/** A segment's worth, where the next ones to store would find none, or the bound was lowered. */
void larder__evict_ahead(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** Empties a segment that has much dead in it, if there is one. */
void larder__clean(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);

#endif
