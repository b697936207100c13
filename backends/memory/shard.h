/* A part of the cache: entries under one lock, and how a call visits them. */
#ifndef LARDER_MEMORY_SHARD_H
#define LARDER_MEMORY_SHARD_H

#include <larder/util/random.h>

#include <pthread.h>
#include <stdalign.h>

#include "table.h"
#include "wheel.h"

/* fork takes all locks; clang's ThreadSanitizer follows no more than 64 in one thread's hands. */
#define SHARDS_MAX 32u

struct shard {
    alignas(64)
        pthread_mutex_t lock; /* never two at once, but for fork, which takes all in order */
    _Atomic uint64_t due_ns;  /* relaxed: when the wheel wants a visit; a hint */
    struct {                  /* touched only while holding lock */
        struct table table;
        struct wheel wheel;
        uint64_t now_ns;   /* the latest clock reading seen here: time never goes back */
        uint64_t version;  /* the last one given; never given again */
        uint64_t sequence; /* likewise */
        uint64_t evictions;
        uint64_t expirations;
        bool closed;
    } guarded;
};

struct memory {
    /* set when opened, then only read */
    struct larder_clock clock;
    struct larder_traits traits;
    struct larder_hash_key hash_key;
    uint64_t token_mask;     /* makes lease tokens out of versions */
    uint64_t capacity_bytes; /* the most that one entry may be charged */
    uint64_t fixed_bytes;    /* what this struct, its shards and wheels are charged */
    struct ledger *ledger;
    struct entry **heads; /* of all wheels */
    uint32_t shard_count; /* a power of two */
    bool evicts;
    /* relaxed, all: hints */
    _Atomic uint64_t patrol_ns;      /* when to look next for shards that nobody visits */
    _Atomic uint32_t patrol_shard;   /* where to begin */
    _Atomic uint32_t eviction_shard; /* whose turn it is */
    struct shard shards[];
};

/** What stands under a key for everybody but leases. */
enum presence { MISSING, PRESENT, NEGATIVE };

/** One call on one shard. Lives on the caller's stack. */
struct visit {
    struct memory *memory;
    struct shard *shard;
    struct key key;
    uint64_t now_ns;     /* the shard's, while locked */
    struct entry *entry; /* found under the key; pending ones too */
    enum presence presence;
    struct allowance allowance;
};

/** Locks the shard of a key and looks the key up. @return OK, or CLOSED and nothing is locked */
enum larder_status larder__visit_begin(struct visit *visit, const struct larder_scope *scope,
                                       struct larder_slice name);
/** A small step of sweeping, unlocks, and looks after one other shard. `swept` entries at most. */
void larder__visit_end(struct visit *visit, uint32_t swept);
#define SWEPT_BY_READS 4u
#define SWEPT_BY_WRITES 16u

/** A call that stores. Answers NO_MEMORY with allowance.lacking set when room has to be made: then
 * it has changed nothing, and is called again, with the key looked up anew. */
typedef enum larder_status larder_attempt_fn(struct visit *visit, void *arguments);
enum larder_status larder__visit_storing(const struct larder_scope *scope, struct larder_slice name,
                                         larder_attempt_fn *attempt, void *arguments);

/** Puts a draft in the place of visit->entry. @return OK, TOO_LARGE, or NO_MEMORY and what was
 * there stays. On OK visit->entry is the new one. */
enum larder_status larder__visit_put(struct visit *visit, const struct draft *draft);

/** Gives the entry a new end of its value. */
void larder__visit_touch(struct visit *visit, int64_t ttl_ms);
void larder__visit_remove(struct visit *visit);
uint64_t larder__visit_token(struct visit *visit);

uint64_t larder__expiry_after(uint64_t now_ns, int64_t ttl_ms);
bool larder__lease_is_valid(const struct entry *entry, uint64_t token, uint64_t now_ns);
bool larder__entry_is_live(const struct entry *entry, uint64_t now_ns);

uint64_t larder__memory_now_ns(const struct memory *memory);
/** Locks; false, and nothing is locked, when the shard is closed. */
bool larder__shard_lock(struct shard *shard, uint64_t now_ns);
void larder__shard_unlock(struct shard *shard);

/* The rest is called with the shard's lock held. */
/** Returns memory of what has ended: at most about `entries`. @return how many it freed */
uint32_t larder__shard_sweep(struct shard *shard, uint32_t entries);
void larder__shard_unlink(struct shard *shard, struct entry *entry);

/** Sweeps a shard that is due and that nobody visits, now and then. No lock is held. */
void larder__patrol(struct memory *memory, uint64_t now_ns);

/** Fills the visit's allowance with what it lacks, by sweeping and evicting; never evicts what
 * visit->entry points to. No lock is held. @return false when that does not go */
bool larder__make_room(struct visit *visit);

#endif
