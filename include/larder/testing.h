/*
 * For tests of programs that use larder: a wrapper that makes any cache watched, three observers to
 * put into it (one counts, one injects faults, one records), and a clock that moves when told.
 * docs/testing.md shows a host's unit tests with each. It is a library of its own, larder-testing
 * (larder::testing), that no server needs to link.
 *
 *     struct larder_recording *log = larder_recording_new(0, 0, NULL);
 *     larder_observed_open(memory, larder_recording_observer(log), NULL, &cache, NULL, 0);
 *
 * A watched cache is a cache: give it to the code under test. An observer may watch several caches,
 * one in another (counting faults: wrap twice), and outlives them: it can be asked when the code
 * under test has closed its cache, and is freed by the test, last.
 *
 * What an observer sees are the calls that reach the cache: a call that larder itself refuses (a
 * bad key, an operation that the traits lack, CLOSED) does not. A multi call is seen a row at a
 * time. Statistics, housekeeping, wire keys and sessions are handed on unseen.
 */
#ifndef LARDER_TESTING_H
#define LARDER_TESTING_H

#include <larder/larder.h>
#include <larder/traits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a watched cache ----------------------------------------------------------------------- */

/* larder_observed.form, larder_match.forms */
#define LARDER_FORM_SINGLE 1u    /* a call on one key, or on the whole cache */
#define LARDER_FORM_FIRST_ROW 2u /* of a multi call: as many as there are multi calls */
#define LARDER_FORM_NEXT_ROW 4u  /* any other row of one */

/** One call, or one row of a multi call, as an observer sees it. All that it points to is borrowed
 * for the moment. Grows at the end. */
struct larder_observed {
    uint32_t size; /* sizeof(struct larder_observed) */
    uint32_t form; /* LARDER_FORM_* */
    enum larder_operation operation;
    enum larder_mode mode; /* of a store; else LARDER_SET */
    enum larder_status
        status;     /* before: to be set by whoever answers; after: what the cache said */
    uint32_t flags; /* LARDER_NO_WAIT, of the call or its session */
    struct larder_slice name_space; /* where the cache keeps namespaces itself; else empty */
    struct larder_slice key;        /* empty: flush, keys */
    struct larder_slice value;      /* to be stored; after a read, what there is of what was read */
    size_t value_length;            /* of the whole value, in bytes, also on PARTIAL */
    int64_t ttl_ms; /* of a store, touch, counter's start; 0: for ever, or none was asked for */
    uint64_t deadline_ns; /* the call's or its session's, on CLOCK_MONOTONIC; UINT64_MAX: none */
};

/**
 * Called before the cache is. May block until call->deadline_ns.
 * @return 0: go on; 1: call->status is the answer, the cache is not asked and nobody told after
 */
typedef int larder_before_fn(void *context, struct larder_observed *call);
/** Called with the cache's answer; the caller gets what call->status is then. */
typedef void larder_after_fn(void *context, struct larder_observed *call);
/** Called by larder_shutdown(): what blocks must end. */
typedef void larder_wake_fn(void *context);
/** Called with 1 before fork() and with 0 after it, in parent and child, for each cache that is
 * watched: locks are taken with the first 1 and given back with the last 0. */
typedef void larder_hold_fn(void *context, int held);

/**
 * Hooks around every call. Called from any thread, at once; no lock is held; they must not use the
 * watched cache. A NULL is nothing to do.
 */
struct larder_observer {
    size_t struct_size;
    const char *name; /* of the watched cache, for listeners; static storage; NULL: "observed" */
    void *context;
    larder_before_fn *before;
    larder_after_fn *after;
    larder_wake_fn *wake;
    larder_hold_fn *hold;
    uint64_t breaks; /* promises of the traits (LARDER_NEVER_BLOCKS …) that the hooks may break */
};
/* clang-format off */
#define LARDER_OBSERVER_INIT \
    { sizeof(struct larder_observer), NULL, NULL, NULL, NULL, NULL, NULL, 0 }
/* clang-format on */

/**
 * Wraps a cache. The wrapper answers as the cache does, with the cache's traits; only these differ:
 * - Namespaces. Where `inner` is a leaf that keeps them apart itself (memory, null), so does the
 *   wrapper, and observers see the namespace beside the caller's own key. Otherwise a client over
 *   the wrapper does it with keys "namespace:generation:key" and reads "~g:namespace" now and
 *   then; observers see that, and the longest keys are BAD_KEY. To watch one namespace of such a
 *   client, wrap what larder_bind() gave.
 * - What `open_options` of the inner cache say beside the clock belongs to the wrapper now: give
 *   default_ttl_ms, listener and errors_as_miss to it.
 *
 * @param inner         a leaf, a client or a namespace; no session, and in no client's map. On OK
 *                      the wrapper owns it as larder_close() does: closing the wrapper closes a
 *                      leaf or a client, and leaves a namespace to its client, which is to be
 *                      closed after the wrapper. On failure it stays the caller's
 * @param observer      copied; its context must outlive the wrapper
 * @param open_options  NULL for the defaults
 * @param cache         on OK an open cache, else NULL
 * @param message       may be NULL; on failure what is wrong
 * @return OK; BAD_ARGUMENT; NO_MEMORY
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_observed_open(struct larder_cache *inner, const struct larder_observer *observer,
                     const struct larder_open_options *open_options, struct larder_cache **cache,
                     char *message, size_t message_size);

/* ---- which calls --------------------------------------------------------------------------- */

/** A bit of larder_match.operations, as in LARDER_ON(GET) | LARDER_ON(STORE). */
#define LARDER_ON(operation) (1u << LARDER_OPERATION_##operation)
#define LARDER_ON_READS \
    (LARDER_ON(READ) | LARDER_ON(GET) | LARDER_ON(GET_AND_TOUCH) | LARDER_ON(LEASE_GET))
#define LARDER_ON_WRITES                                                          \
    (LARDER_ON(STORE) | LARDER_ON(DELETE) | LARDER_ON(TOUCH) | LARDER_ON(COUNT) | \
     LARDER_ON(LEASE_FILL) | LARDER_ON(LEASE_RETURN) | LARDER_ON(FLUSH))
#define LARDER_ANY_STATUS ((enum larder_status)127)

/** Chooses calls: by all of what it says. Grows at the end. */
struct larder_match {
    uint32_t size;                  /* sizeof(struct larder_match) */
    uint32_t operations;            /* LARDER_ON(…); 0: any */
    uint32_t forms;                 /* LARDER_FORM_*; 0: any */
    enum larder_status status;      /* or LARDER_ANY_STATUS; before the call only that matches */
    struct larder_slice key;        /* exactly; empty: any */
    struct larder_slice key_prefix; /* empty: any */
    const char *name_space;         /* NULL: any; "": none */
};
/* clang-format off */
#define LARDER_MATCH_INIT \
    { sizeof(struct larder_match), 0, 0, LARDER_ANY_STATUS, { NULL, 0 }, { NULL, 0 }, NULL }
/* clang-format on */

/** Operations (0: any) on a key (NULL: any) with a status (or LARDER_ANY_STATUS). */
static inline struct larder_match larder_match_of(uint32_t operations, const char *key,
                                                  enum larder_status status)
{
    struct larder_match match = LARDER_MATCH_INIT;
    match.operations = operations;
    match.key = larder_text(key);
    match.status = status;
    return match;
}

/* ---- counting ------------------------------------------------------------------------------ */

/** Counts calls by operation, form and status, and by key where asked. Threads: any. */
struct larder_counting;

/**
 * @param keys_max  how many different calls (by operation, form, status, namespace and key) are
 *                  told apart by key; 0: none, only operations are counted
 * @return NULL when memory ran out
 */
LARDER_API LARDER_MUST_USE struct larder_counting *larder_counting_new(size_t keys_max);
LARDER_API const struct larder_observer *
larder_counting_observer(const struct larder_counting *counting);

/** How many calls there were; `match` NULL: all. A match that names a key, a prefix or a namespace
 * needs a `keys_max`, without which it is 0. */
LARDER_API uint64_t larder_counting_count(struct larder_counting *counting,
                                          const struct larder_match *match);
/** How many calls were not counted by key: past `keys_max`, or memory ran out. */
LARDER_API uint64_t larder_counting_lost(struct larder_counting *counting);
/** Begins at 0 again. */
LARDER_API void larder_counting_reset(struct larder_counting *counting);
/** After the caches that it watches are closed. NULL does nothing. */
LARDER_API void larder_counting_free(struct larder_counting *counting);

/* ---- faults -------------------------------------------------------------------------------- */

/** Injects faults by rules that are added and dropped while it runs. Without a rule it changes
 * nothing. Threads: any. */
struct larder_faults;

enum larder_fault_when {
    LARDER_FAULT_BEFORE, /* the cache is not asked */
    LARDER_FAULT_AFTER   /* it is: a write lands, and the caller gets another status */
};

/** In larder_fault.status: the cache's own answer, perhaps late. */
#define LARDER_FAULT_NO_STATUS LARDER_ANY_STATUS

#define LARDER_FAULTS_MAX 64u
#define LARDER_FAULT_DELAY_MS_MAX 60000u

/**
 * A rule. Of the calls that match, those before the `from`-th are left alone, then every `every`-th
 * is hit, by chance if one is given, and at most `times` of them. Grows at the end.
 *
 * Rules are looked at in the order in which they were added; a call that gets a status from one is
 * not seen by those after it. OK without asking the cache is a value of 0 bytes for a read.
 */
struct larder_fault {
    uint32_t size;             /* sizeof(struct larder_fault) */
    uint32_t delay_ms;         /* 0 to LARDER_FAULT_DELAY_MS_MAX, really waited; see below */
    struct larder_match match; /* after: match.status is the cache's own answer */
    enum larder_fault_when when;
    enum larder_status status; /* what the caller gets, or LARDER_FAULT_NO_STATUS */
    uint64_t from;             /* 0, 1: the first */
    uint64_t every;            /* 0, 1: each; 3: the third, the sixth … of those from `from` on */
    uint64_t times;            /* 0: no limit */
    uint32_t chance_per_million; /* 0, 1000000: always */
    uint32_t reserved;
};
/* clang-format off */
#define LARDER_FAULT_INIT \
    { sizeof(struct larder_fault), 0, LARDER_MATCH_INIT, LARDER_FAULT_BEFORE, \
      LARDER_FAULT_NO_STATUS, 0, 0, 0, 0, 0 }
/* clang-format on */

/**
 * Delays end with the call's or session's deadline: the call then answers TIMEOUT, a write that was
 * delayed after it landed UNKNOWN. A call that was asked not to wait answers WOULD_BLOCK (UNKNOWN)
 * at once. larder_faults_reset(), and the shutdown of a cache it watches, end all delays; such
 * calls go on as if the time had passed. Delays of a multi call's rows add up.
 *
 * @param seed  the same seed and the same calls in the same order give the same faults
 * @return NULL when memory ran out
 */
LARDER_API LARDER_MUST_USE struct larder_faults *larder_faults_new(uint64_t seed);
LARDER_API const struct larder_observer *larder_faults_observer(const struct larder_faults *faults);

/**
 * Adds a rule, which counts calls from now on.
 * @param fault  copied with its texts
 * @return OK; BAD_ARGUMENT for what is out of bounds; TOO_LARGE past LARDER_FAULTS_MAX; NO_MEMORY
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_faults_add(struct larder_faults *faults,
                                                                const struct larder_fault *fault);
/** How often the rule that was added as number `rule` (from 0) hit; LARDER_FAULTS_MAX: all rules.
 */
LARDER_API uint64_t larder_faults_injected(struct larder_faults *faults, size_t rule);
/** Drops all rules and their counts. */
LARDER_API void larder_faults_reset(struct larder_faults *faults);
/** After the caches that it watches are closed. NULL does nothing. */
LARDER_API void larder_faults_free(struct larder_faults *faults);

/* ---- a clock ------------------------------------------------------------------------------- */

/** Stands still until it is told to go on; never goes back. Threads: any. */
struct larder_manual_clock;

/** @return a clock that shows `start_ns`, or NULL when memory ran out */
LARDER_API LARDER_MUST_USE struct larder_manual_clock *larder_manual_clock_new(uint64_t start_ns);
/** For larder_open_options.clock. */
LARDER_API struct larder_clock larder_manual_clock_of(struct larder_manual_clock *clock);
LARDER_API uint64_t larder_manual_clock_now_ns(struct larder_manual_clock *clock);
/** Goes on; stops at UINT64_MAX nanoseconds. */
LARDER_API void larder_manual_clock_advance(struct larder_manual_clock *clock,
                                            uint64_t milliseconds);
/** After the caches that run on it are closed. NULL does nothing. */
LARDER_API void larder_manual_clock_free(struct larder_manual_clock *clock);

/* ---- recording ----------------------------------------------------------------------------- */

/** Logs calls in the order in which they were answered. Threads: any. */
struct larder_recording;

#define LARDER_RECORDING_ENTRIES_MAX 1000000u
#define LARDER_NOT_RECORDED SIZE_MAX

/** One call in the log; its bytes are the log's own. */
struct larder_entry {
    uint64_t time_ns;            /* by the log's clock, when the call was answered */
    struct larder_observed call; /* value: as much as the log keeps of each */
};

/**
 * @param entries_max      the log's limit, up to LARDER_RECORDING_ENTRIES_MAX; later calls are only
 *                         counted as lost; 0: 10000
 * @param value_bytes_max  how much of each value is kept; 0: only lengths
 * @param clock            copied; NULL: CLOCK_MONOTONIC
 * @return NULL when memory ran out or entries_max is out of its bounds
 */
LARDER_API LARDER_MUST_USE struct larder_recording *
larder_recording_new(size_t entries_max, size_t value_bytes_max, const struct larder_clock *clock);
LARDER_API const struct larder_observer *
larder_recording_observer(const struct larder_recording *recording);

/** How many entries match; NULL: all. */
LARDER_API size_t larder_recording_count(struct larder_recording *recording,
                                         const struct larder_match *match);
/** The n-th entry, from 0; valid until the log is reset or freed. NULL: there are not so many. */
LARDER_API const struct larder_entry *larder_recording_at(struct larder_recording *recording,
                                                          size_t n);
/** The number of the first entry that matches, from number `from` on; else LARDER_NOT_RECORDED. */
LARDER_API size_t larder_recording_find(struct larder_recording *recording,
                                        const struct larder_match *match, size_t from);
/** Looks for entries that match one after the other, with any others in between.
 * @return how many were found in that order: `count` when all were */
LARDER_API size_t larder_recording_in_order(struct larder_recording *recording,
                                            const struct larder_match *matches, size_t count);
/** How many calls are not in the log: it was full, or memory ran out. */
LARDER_API uint64_t larder_recording_lost(struct larder_recording *recording);

/**
 * Writes the log as text, a call a line, for the message of a failing test.
 * @param text  receives at most `size` bytes, terminated when size > 0; may be NULL when size is 0
 * @return the length of the whole text without its terminator
 */
LARDER_API size_t larder_recording_format(struct larder_recording *recording, char *text,
                                          size_t size);
/** Empties the log. */
LARDER_API void larder_recording_reset(struct larder_recording *recording);
/** After the caches that it watches are closed. NULL does nothing. */
LARDER_API void larder_recording_free(struct larder_recording *recording);

#ifdef __cplusplus
}
#endif

#endif
