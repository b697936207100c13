/*
 * A memory cache: its parts, and who may touch them.
 *
 * Lock order: growth, then a stripe, then a lane, then the innermost ones (the arena's, the large
 * store's, the index's, the names', the listener's), of which one is held at a time. Two stripes or
 * two lanes are never held at once, but for fork, flush and shutdown, which take growth and all
 * stripes: lanes and the rest are only ever taken under these, or for a few instructions by a
 * thread that then holds nothing else. That of the names is also tried under a client's mutex.
 */
#ifndef LARDER_MEMORY_MEMORY_H
#define LARDER_MEMORY_MEMORY_H

#include <pthread.h>

#include <larder/backend.h>
#include <larder/memory.h>

#include "brief.h"
#include "budget.h"
#include "clock.h"
#include "index.h"
#include "lane.h"
#include "large.h"
#include "policy.h"
#include "space.h"

#define STRIPES_MAX 256u
#define LANES_MAX 16u

/** What holds for the keys whose hashes end in the same bits. What every write needs lies in one
 * line: with two threads it often comes from the other's cache. */
struct stripe {
    alignas(2 * LARDER_LINE_BYTES) struct brief_lock lock;
    /* Relaxed: changed under lock, read by whoever wants to know about how much there is. */
    _Atomic uint64_t live_bytes; /* of the items that are found */
    _Atomic uint32_t items;      /* so many lie in 16 GiB at most */
    struct {                     /* touched only while holding lock */
        uint32_t version;        /* the last one given; 0 is never given */
        uint32_t died_bytes;     /* since arena.turnover was last raised */
        bool closed;
        uint64_t expired; /* entries that a writer met */
    } guarded;
};

_Static_assert(offsetof(struct stripe, guarded.expired) < LARDER_LINE_BYTES,
               "what every write needs lies in one line");

/** How many entries met which end in scans. */
struct ends {
    uint64_t expired;
    uint64_t evicted[QUEUES];
    uint64_t moved; /* by a scan that kept them */
};

/** Of all scans since the cache was opened. Relaxed: figures order nothing. */
struct ends_total {
    _Atomic uint64_t expired, evicted[QUEUES], moved;
};

static inline void larder__end_add(_Atomic uint64_t *total, uint64_t more)
{
    if (more > 0)
        atomic_fetch_add_explicit(total, more, memory_order_relaxed);
}

static inline void larder__ends_add(struct ends_total *total, const struct ends *ends)
{
    larder__end_add(&total->expired, ends->expired);
    for (int i = 0; i < QUEUES; i++)
        larder__end_add(&total->evicted[i], ends->evicted[i]);
    larder__end_add(&total->moved, ends->moved);
}

static inline void larder__stripe_live(struct stripe *stripe, int64_t more)
{
    uint64_t live = atomic_load_explicit(&stripe->live_bytes, memory_order_relaxed);
    atomic_store_explicit(&stripe->live_bytes, live + (uint64_t)more, memory_order_relaxed);
}

static inline uint64_t larder__stripe_items(const struct stripe *stripe)
{
    return atomic_load_explicit(&stripe->items, memory_order_relaxed);
}

static inline void larder__stripe_count(struct stripe *stripe, int more)
{
    atomic_store_explicit(&stripe->items,
                          (uint32_t)(larder__stripe_items(stripe) + (uint64_t)(int64_t)more),
                          memory_order_relaxed);
}

#define LENGTH_UNUSUAL UINT16_MAX

struct listener {
    larder_memory_evicted_fn *evicted;
    void *context;
};

struct memory {
    /* What every call reads. Set when opened, then only read. */
    uint32_t stripe_mask;
    uint32_t lane_mask;
    unsigned stripe_bits;
    uint64_t interval_ms;
    struct large_store *large;
    struct budget *budget; /* the large store's */
    struct lane *lanes;
    struct stripe *stripes;
    struct recycled_place *places; /* of all lanes' recyclers */
    struct hash_key hash_key;
    struct larder_traits traits;
    size_t inline_bytes;              /* the most that an item takes in a segment */
    size_t plain_value_max;           /* so that any plain entry lies there: see store.c */
    uint64_t bound_least, bound_most; /* what max_bytes may become */
    uint64_t capacity_bytes;          /* the most that one entry may be charged */
    uint64_t token_mask;              /* makes lease tokens out of versions */
    uint32_t told_bytes;              /* how many die in a stripe before arena.turnover is raised */
    bool evicts;
    bool slides; /* each hit gives an entry its TTL anew */
    uint64_t fixed_bytes;
    unsigned first_level; /* of the index */
    size_t index_reserved_bytes, index_step_bytes;
    bool huge;

    struct memory_clock clock;

    /* Read by every call, written now and then. */
    alignas(LARDER_LINE_BYTES) struct larder_epoch epoch;
    /* Swapped by a flush with every stripe's lock held: release, paired with the acquire of every
     * call. The old one is freed when its readers have left, and the calls that began before. Once
     * there is none it is larder__index_of_nothing. */
    _Atomic(struct index *) index;
    /* Relaxed, a hint: a length that many values have, so that a reader need not wait for an item
     * to know it; of those that are copied at once (look.h), or else LENGTH_UNUSUAL. */
    _Atomic uint16_t usual_length;

    struct arena arena;
    struct spaces spaces;
    struct policy policy;
    uint32_t *wheel_heads;
    struct ends_total ends;

    pthread_mutex_t growth;    /* of the index; see index.h */
    struct {                   /* touched only while holding growth */
        struct index *retired; /* those that were flushed */
        uint32_t trim_epoch;   /* of the latest merge */
        bool trims;
        bool released; /* the bulk is gone */
        bool prepaid;  /* the charge of the index that the next flush needs is taken */
    } guarded;

    _Atomic uint32_t cleaned_at; /* arena.turnover when there was last too little dead to clean */
    _Atomic uint32_t counted_at; /* arena.turnover when policy.items was last told */
    _Atomic uint32_t evicting;   /* 1: somebody evicts ahead; a hint */
    _Atomic uint32_t sweeping;   /* 1: somebody sweeps. Taken with acquire, given with release: what
                                    the last one left is seen by the next */
    struct scan *sweep;          /* whose `sweeping` is 1: what is being swept */

    /* How often the listener was told, in the upper half, and how many threads are telling it, in
     * the lower: see larder__calls_are_over(). */
    _Atomic uint64_t tellings;
    _Atomic bool listens;          /* relaxed: a hint, whether there is a listener */
    pthread_mutex_t listener_lock; /* innermost */
    struct listener listener;      /* touched only while holding listener_lock */
};

static inline const struct memory *larder__memory_of(const struct larder_scope *scope)
{
    return scope->self;
}

/** The cache's time, see clock.h. */
static inline uint64_t larder__now_ms(const struct memory *memory)
{
    return larder__clock_read_ms(&memory->clock) - memory->clock.birth_ms;
}

/** For who only looks for a key: where there is none any more, one in which nothing is found. */
static inline struct index *larder__index_to_find(const struct memory *memory)
{
    return atomic_load_explicit(&memory->index, memory_order_acquire);
}

/** NULL: there is none any more. */
static inline struct index *larder__index(const struct memory *memory)
{
    struct index *index = larder__index_to_find(memory);
    return index != &larder__index_of_nothing ? index : NULL;
}

static inline struct stripe *larder__stripe_of(const struct memory *memory, uint64_t hash)
{
    return &memory->stripes[hash & memory->stripe_mask];
}

/** Asks for what a writer of a hash needs first. Within a call, in which `index` was read. */
static inline void larder__ask_for_place(const struct memory *memory, const struct index *index,
                                         uint64_t hash)
{
    larder__ask_to_write(larder__stripe_of(memory, hash));
    larder__ask_to_write(larder__index_bucket(index, larder__index_shape(index), hash));
    larder__policy_ask(&memory->policy, hash);
}

/** The lane in which a thread appends. */
static inline struct lane *larder__lane_of(const struct memory *memory,
                                           const struct larder_thread *thread)
{
    return &memory->lanes[thread->number & memory->lane_mask];
}

/** 0 in no namespace. */
ALWAYS_INLINE uint32_t larder__scope_space(struct memory *memory, const struct larder_scope *scope)
{
    if (__builtin_expect(scope->space == NULL, 1))
        return 0;
    return larder__space_number(&memory->spaces, scope->space->name);
}

/** A call that may write, other than a visit. */
struct call {
    struct larder_thread *thread;
    uint64_t outer;
};

/** @return OK; CLOSED or NO_MEMORY, and there is nothing to end */
enum larder_status larder__call_begin(struct memory *memory, struct call *call);
static inline void larder__call_end(const struct call *call)
{
    larder_call_end(call->thread, call->outer);
}

/* whole.c */
/** @param prepaid  its charge is taken already @return NULL: no memory, or over the bound */
struct index *larder__index_new(struct memory *memory, bool prepaid);
void larder__stripes_lock(struct memory *memory);
void larder__stripes_unlock(struct memory *memory);
/** In the child of a fork, which has them: nobody waits for any. */
void larder__stripes_adopt(struct memory *memory);
/** Puts `fresh`, which may be NULL, in the place of the index, and retires everything. Under growth
 * and with all stripes locked. */
void larder__drop_all_locked(struct memory *memory, struct index *fresh);
/** Takes the memory of indexes that were replaced and that no reader is in, and frees those that no
 * writer looks at either; or all. Under growth. */
void larder__indexes_reclaim_locked(struct memory *memory, bool all);

/** What is charged, counted anew. With every lock held. */
uint64_t larder__recount_locked(const struct memory *memory);

/** About how many entries there are, with those that ended and were not swept. */
uint64_t larder__memory_items(const struct memory *memory);

/** What a write does now and then for the whole cache, holding no lock and no section: a bounded
 * step of what is due. Within its call. */
void larder__housekeeping(struct memory *memory, struct larder_thread *thread, uint64_t now_ms);
/** Likewise a read, which only sweeps. */
void larder__read_housekeeping(struct memory *memory, struct larder_thread *thread,
                               uint64_t now_ms);
/** Lets the index follow the number of entries: a stripe has got more, or fewer. Holding no lock
 * and no section; within a call. */
void larder__index_follow(struct memory *memory, struct larder_thread *thread,
                          const struct stripe *stripe, uint64_t now_ms);

/** Entries a stripe has where the index is as full as it should be. */
static inline uint64_t larder__full_stripe(const struct memory *memory, uint64_t shape)
{
    return (uint64_t)larder__shape_buckets(shape) * BUCKETS_PER_LOAD >> memory->stripe_bits;
}

/** Whether the index is as large as a stripe wants it. Within the call in which it was read. */
static inline bool larder__index_fits(const struct memory *memory, const struct index *index,
                                      const struct stripe *stripe)
{
    uint64_t shape = larder__index_shape(index);
    uint64_t full = larder__full_stripe(memory, shape), items = larder__stripe_items(stripe);
    bool small = larder__shape_buckets(shape) <= UINT32_C(1) << memory->first_level;
    return items <= full && (items >= full / 4 || small);
}

#endif
