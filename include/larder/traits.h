/*
 * What a cache can do, how strongly, and within what limits. One descriptor, constant from open to
 * close, readable before the first call; compositions compute theirs from their parts. Tests choose
 * their cases by it. docs/traits.md publishes the descriptor of every cache.
 */
#ifndef LARDER_TRAITS_H
#define LARDER_TRAITS_H

#include <larder/larder.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What can be native (traits.can) or take several atomic steps (traits.steps); in neither, it is
 * UNSUPPORTED. read, get, set and delete need no bit: every cache has them.
 *
 * ROW(name, bit, text)
 */
#define LARDER_CAN_TABLE(ROW)                                                             \
    ROW(ADD, 0, "add")                                                                    \
    ROW(REPLACE, 1, "replace")                                                            \
    ROW(APPEND, 2, "append, prepend")                                                     \
    ROW(CAS, 3, "cas")                                                                    \
    ROW(DELETE_VERSION, 4, "delete at a version")                                         \
    ROW(TOUCH, 5, "touch")                                                                \
    ROW(GET_AND_TOUCH, 6, "get and touch")                                                \
    ROW(COUNT, 7, "incr, decr")                                                           \
    ROW(COUNT_INITIAL, 8, "incr, decr with an initial value")                             \
    ROW(LEASE, 9, "leases")                                                               \
    ROW(ABSENT, 10, "negative entries")                                                   \
    ROW(READ_TTL, 11, "the TTL left can be read")                                         \
    ROW(STORE_VERSION, 12, "a store returns its new version")                             \
    ROW(KEYS, 13, "keys can be listed")                                                   \
    ROW(FLUSH, 14, "flush")                                                               \
    ROW(NAMESPACES, 15, "the backend keeps namespaces apart itself")                      \
    ROW(WIRE_KEY, 16, "keys have a wire form")                                            \
    ROW(MANY_READ, 17, "read, get of many keys in one round trip per server")             \
    ROW(MANY_WRITE, 18, "store, delete, touch of many keys in one round trip per server") \
    ROW(READ_ACCESS, 19, "when an entry was last read can be read")

enum larder_can {
#define LARDER_CAN_ROW(name, bit, text) LARDER_CAN_##name = 1 << bit,
    LARDER_CAN_TABLE(LARDER_CAN_ROW)
#undef LARDER_CAN_ROW
};

/**
 * What a cache promises beyond the contract.
 *
 * ROW(name, bit, text)
 */
#define LARDER_PROMISE_TABLE(ROW)                                                               \
    ROW(NEVER_BLOCKS, 0, "no call waits for the network or a pooled member")                    \
    ROW(HARD_DEADLINE, 1, "no call outlives its deadline")                                      \
    ROW(MISS_IS_ABSENCE, 2, "a miss proves that no live entry is there")                        \
    ROW(KEEPS_UNTIL_EVICTED, 3, "an entry stays until it expires, is evicted or deleted")       \
    ROW(KEEPS_NOTHING, 4, "nothing is ever kept (null)")                                        \
    ROW(OLD_TOKENS_CONFLICT, 5, "a version from before a restart of the server gives CONFLICT") \
    ROW(SHARED, 6, "other processes see the same entries")                                      \
    ROW(STRICT_COUNTERS, 7, "whatever is not digits and spaces is NOT_A_NUMBER")                \
    ROW(POOLED, 8, "a session holds a member of a pool")

enum larder_promise {
#define LARDER_PROMISE_ROW(name, bit, text) LARDER_##name = 1 << bit,
    LARDER_PROMISE_TABLE(LARDER_PROMISE_ROW)
#undef LARDER_PROMISE_ROW
};

/** Options of a call (struct larder_call) that a cache honours. ROW(name, bit, text) */
#define LARDER_TAKES_TABLE(ROW)   \
    ROW(NO_WAIT, 0, "no_wait")    \
    ROW(NO_REPLY, 1, "no_reply")  \
    ROW(TIMEOUT, 2, "timeout_ms") \
    ROW(RECACHE, 3, "recache_ms") \
    ROW(TOUCH, 4, "touch_ttl_ms") \
    ROW(VERSION, 5, "version")    \
    ROW(ROUTING_KEY, 6, "routing_key")

enum larder_takes {
#define LARDER_TAKES_ROW(name, bit, text) LARDER_TAKES_##name = 1 << bit,
    LARDER_TAKES_TABLE(LARDER_TAKES_ROW)
#undef LARDER_TAKES_ROW
};

/** How strongly the operations on one key are ordered. */
enum larder_consistency {
    LARDER_EVENTUAL,    /* may read an older value */
    LARDER_OWN_WRITES,  /* whoever wrote a value reads it or a newer one */
    LARDER_LINEARIZABLE /* as if every operation happened at one instant */
};

/** Grows at the end; `size` tells what is there. */
struct larder_traits {
    uint32_t size;        /* sizeof(struct larder_traits) */
    uint32_t consistency; /* enum larder_consistency, per key; multi calls are never atomic */
    uint64_t can;         /* LARDER_CAN_*: native */
    uint64_t steps;       /* LARDER_CAN_*: a sequence of atomic steps, not one */
    uint64_t promises;    /* enum larder_promise */
    uint64_t options;     /* LARDER_TAKES_*: honoured where they make sense */
    uint64_t value_max;   /* bytes; TOO_LARGE above, before anything is sent or lost */
    uint64_t delta_max;   /* of incr and decr; TOO_LARGE above */
    int64_t ttl_max_ms;   /* longer TTLs are cut to this; 0: no maximum */
    uint32_t ttl_step_ms; /* how fine expiry is: an entry lives its TTL, and at most ... */
    uint32_t ttl_late_ms; /* ... this much longer; never shorter */
    uint32_t key_max;     /* bytes that fit the backend without being encoded */
    uint32_t timeout_ms;  /* how long a call waits that has no timeout of its own; 0: none waits */
};

/** 1 when every operation in `bits` (LARDER_CAN_*) works, natively or in steps. */
static inline int larder_can(const struct larder_traits *traits, uint64_t bits)
{
    return ((traits->can | traits->steps) & bits) == bits;
}

/**
 * Writes a descriptor as text, a trait a line, as docs/traits.md publishes it.
 * @param text  receives at most `size` bytes, terminated when size > 0
 * @return the length of the whole text without its terminator
 */
LARDER_API size_t larder_traits_format(const struct larder_traits *traits, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
