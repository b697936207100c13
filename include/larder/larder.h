/*
 * larder: one cache contract in front of interchangeable caches.
 *
 * Everything is a cache: a backend, a client that routes namespaces, one namespace of it, and a
 * session are all a `struct larder_cache *` with the same calls. Any number of threads may share a
 * cache (a session: one at a time). The contract in words, with a table, is in README.md; the
 * promises that a particular cache keeps are in its traits, see larder_describe().
 *
 * Rules for every call, not repeated below:
 * - Keys are 1 to LARDER_KEY_BYTES_MAX arbitrary bytes; anything else is LARDER_BAD_KEY.
 * - Keys, values and argument structs are borrowed for the call.
 * - A call blocks for at most the cache's `timeout` where its traits promise LARDER_HARD_DEADLINE,
 *   and not at all where they promise LARDER_NEVER_BLOCKS.
 * - Any call may answer, besides what it documents: BAD_ARGUMENT (a NULL that is not allowed, a
 *   number out of its bounds), NO_MEMORY, CLOSED after larder_shutdown(), UNSUPPORTED where the
 *   traits lack the operation; a remote cache also TIMEOUT, UNAVAILABLE, PROTOCOL, and for a write
 *   UNKNOWN.
 * - Output structs are written on every return, empty when there is nothing to say.
 */
#ifndef LARDER_LARDER_H
#define LARDER_LARDER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LARDER_API __attribute__((visibility("default")))
#define LARDER_MUST_USE __attribute__((warn_unused_result))
#else
#define LARDER_API
#define LARDER_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LARDER_VERSION_MAJOR 0
#define LARDER_VERSION_MINOR 1
#define LARDER_VERSION_PATCH 0

/** The longest key, in bytes; every backend takes it. */
#define LARDER_KEY_BYTES_MAX 65535u

/* ---- statuses ------------------------------------------------------------------------------ */

/**
 * Every answer of every call. Zero is done, positive is an answer, negative is a failure.
 * The enum, larder_status_name(), larder_status_sentence(), larder_status_class() and the table in
 * the documentation come from this one list. Append only: a published number never changes.
 *
 * ROW(name, number, class, sentence)
 */
#define LARDER_STATUS_TABLE(ROW)                                                                \
    ROW(OK, 0, ANSWER, "done")                                                                  \
    ROW(MISS, 1, ANSWER, "no live entry under that key")                                        \
    ROW(EXISTS, 2, ANSWER, "add found a live entry; nothing was changed")                       \
    ROW(CONFLICT, 3, ANSWER, "the entry has another version, or the lease is void")             \
    ROW(NOT_A_NUMBER, 4, ANSWER, "the value is not a counter; nothing was changed")             \
    ROW(STALE, 5, ANSWER, "an old value, served while a fresh one is on its way")               \
    ROW(PARTIAL, 6, ANSWER, "the buffer is smaller than the value; its start was copied")       \
    ROW(ABSENT, 7, ANSWER, "a negative entry: known to have no value")                          \
    ROW(WOULD_BLOCK, 8, ANSWER, "the call would have to wait, and was asked not to")            \
    ROW(BAD_ARGUMENT, -1, CALLER, "an argument is outside its documented bounds")               \
    ROW(BAD_KEY, -2, CALLER, "a key is 1 to 65535 bytes")                                       \
    ROW(TOO_LARGE, -3, CALLER, "over a limit of this cache; nothing was changed")               \
    ROW(NO_MEMORY, -4, RETRY, "memory ran out, or the byte bound leaves no room")               \
    ROW(TIMEOUT, -5, RETRY, "no answer before the deadline; nothing was written")               \
    ROW(UNAVAILABLE, -6, RETRY, "the server is down or marked down; nothing was written")       \
    ROW(UNSUPPORTED, -7, CALLER, "this cache cannot do that; its traits say so beforehand")     \
    ROW(PROTOCOL, -8, RETRY, "the server said something unexpected; the connection is gone")    \
    ROW(UNKNOWN, -9, UNCERTAIN, "the write left and no answer came: it may land, now or later") \
    ROW(CLOSED, -10, CALLER, "the cache was shut down")

enum larder_status {
#define LARDER_STATUS_ROW(name, number, class_name, sentence) LARDER_##name = number,
    LARDER_STATUS_TABLE(LARDER_STATUS_ROW)
#undef LARDER_STATUS_ROW
};

/** What a program does about a status. */
enum larder_status_class {
    LARDER_CLASS_ANSWER,   /* zero or positive: go on */
    LARDER_CLASS_CALLER,   /* the call itself is wrong: repeating it changes nothing */
    LARDER_CLASS_RETRY,    /* nothing was changed; do without, or try again later */
    LARDER_CLASS_UNCERTAIN /* it may or may not have happened */
};

/** The name without its prefix, as in "MISS"; "?" for a number that is no status. Static storage.
 */
LARDER_API const char *larder_status_name(enum larder_status status);
/** One sentence for people. Static storage. */
LARDER_API const char *larder_status_sentence(enum larder_status status);
LARDER_API enum larder_status_class larder_status_class(enum larder_status status);

/** "major.minor.patch" of the library that is loaded. Static storage. */
LARDER_API const char *larder_version(void);

/* ---- what travels -------------------------------------------------------------------------- */

struct larder_cache;  /* a leaf, a composition, a client, a namespace of it, or a session */
struct larder_traits; /* see traits.h */
struct larder_owner;  /* whoever owns the bytes of a view; opaque to applications */

/** Bytes that somebody else owns. */
struct larder_slice {
    const void *data;
    size_t length;
};

/** TTLs are relative, in milliseconds. Other negative numbers are LARDER_BAD_ARGUMENT. */
#define LARDER_TTL_FOREVER INT64_C(0)  /* under `max_ttl`: that maximum */
#define LARDER_TTL_DEFAULT INT64_MIN   /* the cache's `default_ttl` */
#define LARDER_TTL_UNKNOWN INT64_C(-1) /* only as an output: not asked, or not known */

/* larder_info.want */
#define LARDER_WANT_VERSION 1u
#define LARDER_WANT_TTL 2u
#define LARDER_WANT_ACCESS 4u /* idle_ms and the mark LARDER_HIT_BEFORE */

/* larder_info.marks */
#define LARDER_REFRESH_WANTED 1u /* the entry is near its end: whoever sees this may renew it */
#define LARDER_HIT_BEFORE 2u     /* it was read before, since it was stored */

/** What is known of an entry. `want` is read, everything else written. */
struct larder_info {
    uint32_t want;    /* LARDER_WANT_*: each may cost a round trip; what is not asked may be left
                         out, what the traits lack (CAS, READ_TTL, READ_ACCESS) is UNSUPPORTED */
    uint32_t flags;   /* the caller's 32 bits, as stored */
    size_t length;    /* of the whole value, in bytes, also on PARTIAL */
    uint64_t version; /* cas token; 0: not asked, or this copy can't be used for cas */
    int64_t ttl_ms;   /* left; LARDER_TTL_FOREVER; LARDER_TTL_UNKNOWN */
    uint32_t marks;   /* LARDER_REFRESH_WANTED | LARDER_HIT_BEFORE */
    uint32_t reserved;
    int64_t idle_ms; /* since the access before this one; -1: not asked, or not known. memcached
                        tells whole seconds, and notes reads once a minute */
};

/* larder_write.marks */
#define LARDER_WRITE_ABSENT 1u /* a negative entry: read, get and lease_get answer ABSENT */

/** What a store writes. Like larder_info and larder_value it is part of a row, and has its final
 * size. */
struct larder_write {
    struct larder_slice value; /* 0 bytes is a value; for a negative entry it must be empty */
    int64_t ttl_ms;            /* append and prepend keep the entry's own */
    uint64_t version;          /* LARDER_CAS: the version that must be there; else 0 */
    uint32_t flags;            /* the caller's 32 bits; append and prepend keep the entry's own */
    uint32_t marks;            /* LARDER_WRITE_ABSENT */
    uint64_t reserved[2];      /* 0 */
};

/** A view of a value. It stays readable until larder_value_release(), whatever becomes of the entry
 * or of the cache. */
struct larder_value {
    struct larder_slice bytes; /* data is never NULL on OK, also for a value of 0 bytes */
    struct larder_info info;
    struct larder_owner *owner;
};

/** One key of a multi call. The caller owns the array; `status` is set in every row, always. */
struct larder_row {
    struct larder_slice key;   /* in */
    enum larder_status status; /* out */
    uint32_t reserved;
    struct larder_write write; /* in: store; touch uses ttl_ms, delete uses version. ttl_ms is
                                  overwritten with the TTL that was applied */
    void *buffer;              /* in: read */
    size_t size;
    struct larder_value value; /* out: get; value.info: read (want is an input); store sets
                                  value.info.version where the traits can STORE_VERSION */
};

/** The right to compute one value. token 0: somebody else has it. */
struct larder_lease {
    uint64_t token;
    uint64_t reserved;
};

enum larder_mode {
    LARDER_SET,     /* OK */
    LARDER_ADD,     /* OK, or EXISTS on a live entry */
    LARDER_REPLACE, /* OK, or MISS */
    LARDER_APPEND,  /* OK, or MISS; keeps TTL and flags */
    LARDER_PREPEND, /* OK, or MISS; keeps TTL and flags */
    LARDER_CAS      /* OK, CONFLICT, or MISS; write.version must not be 0 */
};

enum larder_direction {
    LARDER_UP,  /* wraps at 2^64 */
    LARDER_DOWN /* stops at 0 */
};

/** What a counter starts from when there is none: `value` plus or minus the delta is stored. */
struct larder_initial {
    uint64_t value;
    int64_t ttl_ms;
    uint32_t flags;
    uint32_t reserved;
};

/** Every operation, for options, statistics and listeners. Append only. */
#define LARDER_OPERATION_TABLE(ROW)   \
    ROW(READ, read)                   \
    ROW(GET, get)                     \
    ROW(STORE, store)                 \
    ROW(DELETE, delete)               \
    ROW(TOUCH, touch)                 \
    ROW(GET_AND_TOUCH, get_and_touch) \
    ROW(COUNT, count)                 \
    ROW(LEASE_GET, lease_get)         \
    ROW(LEASE_FILL, lease_fill)       \
    ROW(LEASE_RETURN, lease_return)   \
    ROW(FLUSH, flush)                 \
    ROW(KEYS, keys)

enum larder_operation {
#define LARDER_OPERATION_ROW(name, text) LARDER_OPERATION_##name,
    LARDER_OPERATION_TABLE(LARDER_OPERATION_ROW)
#undef LARDER_OPERATION_ROW
        LARDER_OPERATIONS
};

/* larder_call.flags */
#define LARDER_NO_WAIT                                                           \
    1u /* WOULD_BLOCK rather than wait for a pooled member or the network; every \
          call over a network waits for it */
#define LARDER_NO_REPLY                                                      \
    2u /* a write need not be acknowledged: OK means that it was handed over \
        */

/**
 * Options of one call. Start from LARDER_CALL_INIT. What a cache can't honour is UNSUPPORTED (its
 * traits' `options` say so beforehand), what makes no sense for the operation BAD_ARGUMENT; nothing
 * is ignored. Grows at the end; `size` tells old callers from new.
 */
struct larder_call {
    uint32_t size;                   /* sizeof(struct larder_call) */
    uint32_t flags;                  /* LARDER_NO_WAIT | LARDER_NO_REPLY */
    uint32_t timeout_ms;             /* a shorter deadline; 0: the cache's */
    uint32_t recache_ms;             /* lease_get: with less TTL left than this, one caller gets a
                                        token beside the value; 0: off */
    int64_t touch_ttl_ms;            /* read, get, count: give a found entry this TTL;
                                        LARDER_TTL_UNKNOWN: leave it */
    uint64_t version;                /* touch, count, append, prepend: only at this version, else
                                        CONFLICT; 0: whatever is there */
    struct larder_slice routing_key; /* places the entry instead of its key; empty: the key does */
};
/* clang-format off */
#define LARDER_CALL_INIT { sizeof(struct larder_call), 0, 0, 0, LARDER_TTL_UNKNOWN, 0, { NULL, 0 } }
/* clang-format on */

/** A slice of `length` bytes at `data`. */
static inline struct larder_slice larder_bytes(const void *data, size_t length)
{
    struct larder_slice slice;
    slice.data = data;
    slice.length = length;
    return slice;
}

/** A slice of a string, without its terminator. */
static inline struct larder_slice larder_text(const char *text)
{
    size_t length = 0;
    while (text != NULL && text[length] != '\0')
        length++;
    return larder_bytes(text, length);
}

/** A plain write. */
static inline struct larder_write larder_write_of(struct larder_slice value, int64_t ttl_ms)
{
    struct larder_write write;
    write.value = value;
    write.ttl_ms = ttl_ms;
    write.version = 0;
    write.flags = 0;
    write.marks = 0;
    write.reserved[0] = write.reserved[1] = 0;
    return write;
}

/* ---- opening and closing ------------------------------------------------------------------- */

/** A clock: nanoseconds since an arbitrary point, never going back. Called from any thread, often,
 * and amid calls, which may hold locks: it makes no call on a cache that it is the clock of. */
typedef uint64_t larder_now_fn(void *context);

struct larder_clock {
    larder_now_fn *now_ns; /* NULL: CLOCK_MONOTONIC */
    void *context;
};

/** What a listener is told: a call that failed (a negative status), before `errors=miss` hides it.
 */
struct larder_event {
    uint32_t size; /* sizeof(struct larder_event) */
    enum larder_operation operation;
    enum larder_status status;
    struct larder_slice key; /* borrowed for the call; empty for flush and keys */
    const char *cache;       /* the backend's name; static storage */
};

/** Called in the thread of the failed call, with no lock held; it may use any cache but must not
 * close the one that calls. */
typedef void larder_listener_fn(void *context, const struct larder_event *event);

/**
 * What every factory takes beside its own options. NULL stands for LARDER_OPEN_OPTIONS_INIT. An
 * option of the same meaning in a URI wins. Grows at the end.
 */
struct larder_open_options {
    size_t struct_size;
    struct larder_clock clock;    /* for expiry and periods; waits always run on CLOCK_MONOTONIC */
    larder_listener_fn *listener; /* NULL: nobody */
    void *listener_context;
    int64_t default_ttl_ms;  /* what LARDER_TTL_DEFAULT means; 0: for ever; of a client, 0: what its
                                caches say */
    int64_t max_ttl_ms;      /* longer TTLs are cut to this; 0: no maximum */
    uint32_t errors_as_miss; /* 1: failed reads answer MISS (counted, told); only for a handle that
                                the application itself uses */
    uint32_t reserved;
};
/* clang-format off */
#define LARDER_OPEN_OPTIONS_INIT \
    { sizeof(struct larder_open_options), { NULL, NULL }, NULL, NULL, 0, 0, 0, 0 }
/* clang-format on */

/**
 * Opens the cache that a URI names, as in "memory:?max_bytes=64M" or
 * "pooled-memcached:///run/memcached.sock?size=10". docs/options.md lists schemes and options.
 *
 * @param uri           borrowed for the call
 * @param options       NULL for the defaults
 * @param cache         on OK an open cache, closed with larder_close(); else NULL
 * @param message       may be NULL; on failure what is wrong, where, and what would be right; else
 *                      an empty string
 * @param message_size  of `message`, in bytes; 256 is enough for most
 * @return OK; BAD_ARGUMENT for a URI that cannot be; UNSUPPORTED for a scheme that was not built;
 *         NO_MEMORY. A server that is down is no reason to fail.
 *
 * Threads: any. Blocks: for at most 100 ms, and only while the name of a host is looked up; a
 * server is not waited for.
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_open(const char *uri,
                                                          const struct larder_open_options *options,
                                                          struct larder_cache **cache,
                                                          char *message, size_t message_size);

/**
 * Opens a configuration file as a client: sections name caches, [namespaces] maps names to them.
 * docs/configuration.md describes the file. Parameters and result as for larder_open(); a message
 * starts with file:line: and UNAVAILABLE means that the file can't be read.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_open_file(const char *path, const struct larder_open_options *options,
                 struct larder_cache **client, char *message, size_t message_size);

/** So many replaced caches of one client may still be in use, by calls or sessions that began
 * before (one on a server counts, too, when namespace_poll or generation change). Each is closed by
 * the first reload that finds it unused, or with the client. */
#define LARDER_RETIRED_CACHES_MAX 16384u

/**
 * Reads the file of a client again, or another one, and puts it into force while calls run. Handles
 * stay what they are and lead to their new caches; calls under way end where they began, or are
 * made again where their handle leads now, with the time of that cache: none fails because of the
 * reload. A section that means the same keeps its cache with all entries; one whose servers changed
 * keeps those that stay, with their marks and its figures; one whose other options changed keeps
 * what is known of its servers. A cache to which no namespace leads any more lets no call in, and
 * is closed when those under way have ended. docs/configuration.md has the cases.
 *
 * A namespace that is not in the new map answers BAD_ARGUMENT until a reload brings it back. A
 * session goes on with what it was acquired on, until it is released or that is shut down; one that
 * holds a connection, with it.
 *
 * @param client   one that larder_open_file() gave, with the options given there
 * @param path     NULL: the file that it was read from last
 * @param message  as for larder_open()
 * @return OK; BAD_ARGUMENT, UNSUPPORTED, UNAVAILABLE and NO_MEMORY as larder_open_file(), and
 *         BAD_ARGUMENT for a client that was not opened from a file; TOO_LARGE past
 *         LARDER_RETIRED_CACHES_MAX, until what is in use has ended; CLOSED. On any failure nothing
 *         has changed.
 *
 * Threads: any, but not within a clock of the client; one reload of a client after the other.
 * Blocks: as larder_open_file(), while another one runs, and while what was replaced is freed.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_reload(struct larder_cache *client, const char *path, char *message, size_t message_size);

/**
 * Ends a cache's work: running calls end, within their deadline where the traits promise one, and
 * new ones answer CLOSED. The handle stays valid. Any time, any thread, any number of times. A
 * client shuts down all its caches, and a cache that is made of others those that nobody else
 * uses; on a namespace, a session, or a cache that a client or such a cache holds it does nothing.
 *
 * Blocks: for at most 0.2 s a cache, while calls under way end by themselves. A write on `meta`
 * that takes longer is cut, and UNKNOWN if it was sent.
 */
LARDER_API void larder_shutdown(struct larder_cache *cache);

/**
 * Shuts down and frees. Comes last and alone: no other call on the cache, its namespaces or its
 * sessions may be running or come later. Views stay readable. NULL, a namespace, a session, or a
 * cache that a client or a composition holds: does nothing (the last that holds it, and
 * larder_release(), free them).
 */
LARDER_API void larder_close(struct larder_cache *cache);

/* ---- one key ------------------------------------------------------------------------------- */
/*
 * Each call has a form with options, `larder_*_with`, whose `call` may be NULL. The plain form is
 * the fast one.
 */

/**
 * Copies a value into the caller's buffer: no allocation, no reference.
 *
 * @param buffer  receives the first `size` bytes; may be NULL when size is 0 (is it there?)
 * @param info    may be NULL
 * @return OK, MISS, ABSENT, or PARTIAL when the value is longer than `size`
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_read(struct larder_cache *cache,
                                                          struct larder_slice key, void *buffer,
                                                          size_t size, struct larder_info *info);
LARDER_API LARDER_MUST_USE enum larder_status
larder_read_with(struct larder_cache *cache, const struct larder_call *call,
                 struct larder_slice key, void *buffer, size_t size, struct larder_info *info);

/**
 * Gives a view of a value.
 *
 * @param value  info.want is read; on OK a view to release with larder_value_release(); on anything
 *               else empty, and releasing it does nothing
 * @return OK, MISS or ABSENT
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_get(struct larder_cache *cache, struct larder_slice key, struct larder_value *value);
LARDER_API LARDER_MUST_USE enum larder_status larder_get_with(struct larder_cache *cache,
                                                              const struct larder_call *call,
                                                              struct larder_slice key,
                                                              struct larder_value *value);

/** Gives a view back. Any thread, also after larder_close(); twice in a row, NULL or an empty value
 * is harmless. */
LARDER_API void larder_value_release(struct larder_value *value);

/**
 * Stores a value.
 *
 * @param mode     on what condition, see enum larder_mode
 * @param version  may be NULL; on OK the entry's new version where the traits can STORE_VERSION,
 *                 else 0
 * @return OK, EXISTS, MISS, CONFLICT, as the mode says; TOO_LARGE (traits: value_max), and what was
 *         there stays
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_store(struct larder_cache *cache, enum larder_mode mode, struct larder_slice key,
             const struct larder_write *write, uint64_t *version);
LARDER_API LARDER_MUST_USE enum larder_status
larder_store_with(struct larder_cache *cache, const struct larder_call *call, enum larder_mode mode,
                  struct larder_slice key, const struct larder_write *write, uint64_t *version);

/**
 * Deletes an entry.
 * @param version  0: whatever is there; else only that version
 * @return OK, MISS, or CONFLICT when another version is there
 */
LARDER_API enum larder_status larder_delete(struct larder_cache *cache, struct larder_slice key,
                                            uint64_t version);
LARDER_API enum larder_status larder_delete_with(struct larder_cache *cache,
                                                 const struct larder_call *call,
                                                 struct larder_slice key, uint64_t version);

/** Gives a live entry a new TTL. @return OK or MISS */
LARDER_API LARDER_MUST_USE enum larder_status larder_touch(struct larder_cache *cache,
                                                           struct larder_slice key, int64_t ttl_ms);
LARDER_API LARDER_MUST_USE enum larder_status larder_touch_with(struct larder_cache *cache,
                                                                const struct larder_call *call,
                                                                struct larder_slice key,
                                                                int64_t ttl_ms);

/** larder_get() and larder_touch() in one. @return OK, MISS or ABSENT (which is not touched) */
LARDER_API LARDER_MUST_USE enum larder_status larder_get_and_touch(struct larder_cache *cache,
                                                                   struct larder_slice key,
                                                                   int64_t ttl_ms,
                                                                   struct larder_value *value);
LARDER_API LARDER_MUST_USE enum larder_status
larder_get_and_touch_with(struct larder_cache *cache, const struct larder_call *call,
                          struct larder_slice key, int64_t ttl_ms, struct larder_value *value);

/**
 * Counts a counter up or down. A counter is 1 to 20 decimal digits of at most 2^64-1, then perhaps
 * spaces; TTL and flags are kept. A delta of 0 reads it as a number.
 *
 * @param initial  NULL: a missing counter is a MISS; else what it starts from
 * @param result   may be NULL; on OK the new value, else 0
 * @return OK, MISS, NOT_A_NUMBER; TOO_LARGE for a delta over the traits' delta_max
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_count(struct larder_cache *cache, struct larder_slice key, enum larder_direction direction,
             uint64_t delta, const struct larder_initial *initial, uint64_t *result);
LARDER_API LARDER_MUST_USE enum larder_status
larder_count_with(struct larder_cache *cache, const struct larder_call *call,
                  struct larder_slice key, enum larder_direction direction, uint64_t delta,
                  const struct larder_initial *initial, uint64_t *result);

/* ---- leases -------------------------------------------------------------------------------- */

/**
 * Reads like larder_get(), and elects one caller to compute what is missing. Until the holder fills
 * the lease, returns it, or `lease_ms` have passed, nobody else gets a token for that key. To every
 * other operation a key that is leased but empty is missing; one that has a value (recache_ms) is
 * there as ever. A plain store or delete voids the lease.
 *
 * Whoever gets a MISS and no token may wait a little and ask again, or compute without storing.
 *
 * @param lease_ms  how long the holder may take; at least 1. Like a TTL it lasts up to the traits'
 *                  ttl_late_ms longer, never shorter
 * @param value     as for larder_get(); on STALE a view as well
 * @param lease     token != 0: the caller holds the lease
 * @return OK; MISS; ABSENT; STALE: an old value, while somebody computes
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_lease_get(struct larder_cache *cache, struct larder_slice key, uint32_t lease_ms,
                 struct larder_value *value, struct larder_lease *lease);
LARDER_API LARDER_MUST_USE enum larder_status
larder_lease_get_with(struct larder_cache *cache, const struct larder_call *call,
                      struct larder_slice key, uint32_t lease_ms, struct larder_value *value,
                      struct larder_lease *lease);

/** Stores what the holder computed. @return OK, or CONFLICT when the lease is void: nothing stored
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_lease_fill(struct larder_cache *cache,
                                                                struct larder_slice key,
                                                                struct larder_lease lease,
                                                                const struct larder_write *write);

LARDER_API LARDER_MUST_USE enum larder_status
larder_lease_fill_with(struct larder_cache *cache, const struct larder_call *call,
                       struct larder_slice key, struct larder_lease lease,
                       const struct larder_write *write);

/** Gives the lease back unfilled, so that the next caller gets it. @return OK, or CONFLICT when it
 * was void */
LARDER_API enum larder_status
larder_lease_return(struct larder_cache *cache, struct larder_slice key, struct larder_lease lease);
LARDER_API enum larder_status larder_lease_return_with(struct larder_cache *cache,
                                                       const struct larder_call *call,
                                                       struct larder_slice key,
                                                       struct larder_lease lease);

/* ---- many keys at once --------------------------------------------------------------------- */

enum larder_many_kind {
    LARDER_MANY_READ,
    LARDER_MANY_GET,
    LARDER_MANY_STORE,
    LARDER_MANY_DELETE,
    LARDER_MANY_TOUCH
};

/**
 * One operation on many keys: one status per row, as the single form would answer it. Not atomic
 * across keys; a failing key stops nothing; a key named twice is answered twice; no rows is OK.
 *
 * @param mode      for LARDER_MANY_STORE; else LARDER_SET
 * @param row_size  sizeof(struct larder_row) of the caller, so that rows can grow; with one that
 * can't be, no row is touched
 * @return OK when every row has an answer, else the failure with the lowest number in a row
 */
LARDER_API enum larder_status larder_many(struct larder_cache *cache,
                                          const struct larder_call *call,
                                          enum larder_many_kind many, enum larder_mode mode,
                                          struct larder_row *rows, size_t count, size_t row_size);

static inline enum larder_status larder_read_multi(struct larder_cache *cache,
                                                   struct larder_row *rows, size_t count)
{
    return larder_many(cache, NULL, LARDER_MANY_READ, LARDER_SET, rows, count,
                       sizeof(struct larder_row));
}

static inline enum larder_status larder_get_multi(struct larder_cache *cache,
                                                  struct larder_row *rows, size_t count)
{
    return larder_many(cache, NULL, LARDER_MANY_GET, LARDER_SET, rows, count,
                       sizeof(struct larder_row));
}

static inline enum larder_status larder_store_multi(struct larder_cache *cache,
                                                    enum larder_mode mode, struct larder_row *rows,
                                                    size_t count)
{
    return larder_many(cache, NULL, LARDER_MANY_STORE, mode, rows, count,
                       sizeof(struct larder_row));
}

static inline enum larder_status larder_delete_multi(struct larder_cache *cache,
                                                     struct larder_row *rows, size_t count)
{
    return larder_many(cache, NULL, LARDER_MANY_DELETE, LARDER_SET, rows, count,
                       sizeof(struct larder_row));
}

static inline enum larder_status larder_touch_multi(struct larder_cache *cache,
                                                    struct larder_row *rows, size_t count)
{
    return larder_many(cache, NULL, LARDER_MANY_TOUCH, LARDER_SET, rows, count,
                       sizeof(struct larder_row));
}

/** Releases the views of `count` rows. */
static inline void larder_rows_release(struct larder_row *rows, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        larder_value_release(&rows[i].value);
}

/* ---- short forms --------------------------------------------------------------------------- */

static inline LARDER_MUST_USE enum larder_status larder_set(struct larder_cache *cache,
                                                            struct larder_slice key,
                                                            struct larder_slice value,
                                                            int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(value, ttl_ms);
    return larder_store(cache, LARDER_SET, key, &write, NULL);
}

static inline LARDER_MUST_USE enum larder_status larder_add(struct larder_cache *cache,
                                                            struct larder_slice key,
                                                            struct larder_slice value,
                                                            int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(value, ttl_ms);
    return larder_store(cache, LARDER_ADD, key, &write, NULL);
}

static inline LARDER_MUST_USE enum larder_status larder_replace(struct larder_cache *cache,
                                                                struct larder_slice key,
                                                                struct larder_slice value,
                                                                int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(value, ttl_ms);
    return larder_store(cache, LARDER_REPLACE, key, &write, NULL);
}

static inline LARDER_MUST_USE enum larder_status larder_cas(struct larder_cache *cache,
                                                            struct larder_slice key,
                                                            struct larder_slice value,
                                                            int64_t ttl_ms, uint64_t version)
{
    struct larder_write write = larder_write_of(value, ttl_ms);
    write.version = version;
    return larder_store(cache, LARDER_CAS, key, &write, NULL);
}

static inline LARDER_MUST_USE enum larder_status
larder_append(struct larder_cache *cache, struct larder_slice key, struct larder_slice value)
{
    struct larder_write write = larder_write_of(value, LARDER_TTL_FOREVER);
    return larder_store(cache, LARDER_APPEND, key, &write, NULL);
}

static inline LARDER_MUST_USE enum larder_status
larder_prepend(struct larder_cache *cache, struct larder_slice key, struct larder_slice value)
{
    struct larder_write write = larder_write_of(value, LARDER_TTL_FOREVER);
    return larder_store(cache, LARDER_PREPEND, key, &write, NULL);
}

/** Remembers that there is no value: read, get and lease_get answer ABSENT. */
static inline LARDER_MUST_USE enum larder_status
larder_set_absent(struct larder_cache *cache, struct larder_slice key, int64_t ttl_ms)
{
    struct larder_write write = larder_write_of(larder_bytes(NULL, 0), ttl_ms);
    write.marks = LARDER_WRITE_ABSENT;
    return larder_store(cache, LARDER_SET, key, &write, NULL);
}

/** larder_delete() for whoever only wants it gone: MISS reads as OK. */
static inline enum larder_status larder_invalidate(struct larder_cache *cache,
                                                   struct larder_slice key)
{
    enum larder_status status = larder_delete(cache, key, 0);
    return status == LARDER_MISS ? LARDER_OK : status;
}

static inline LARDER_MUST_USE enum larder_status
larder_incr(struct larder_cache *cache, struct larder_slice key, uint64_t delta,
            const struct larder_initial *initial, uint64_t *result)
{
    return larder_count(cache, key, LARDER_UP, delta, initial, result);
}

static inline LARDER_MUST_USE enum larder_status
larder_decr(struct larder_cache *cache, struct larder_slice key, uint64_t delta,
            const struct larder_initial *initial, uint64_t *result)
{
    return larder_count(cache, key, LARDER_DOWN, delta, initial, result);
}

/* ---- the whole cache ----------------------------------------------------------------------- */

/**
 * Drops every entry: of a leaf, of a namespace (only its keys, also where others share the
 * backend), or of a client (each distinct backend once, all of them even when one fails).
 * @return OK, or the failure with the lowest number; of a client UNSUPPORTED, with all known names
 *         flushed, where "*" leads to a server that can't be emptied (exclusive=on): it may hold
 *         namespaces that this client never heard of
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_flush(struct larder_cache *cache);

/** A place in an iteration over keys; all zero: the beginning. Plain data, free to copy. */
struct larder_cursor {
    uint64_t words[4];
};

/**
 * Lists keys, some at a time. An entry that is there from the first call to the last is listed at
 * least once; one that comes or goes meanwhile may be listed or not.
 *
 * @param cursor    zeroed for the first call, then left alone
 * @param buffer    receives the bytes of the keys
 * @param keys      receives up to `capacity` slices into `buffer`; in a client's namespace, keys as
 *                  the caller gave them
 * @param count     how many were listed; 0: that was all
 * @return OK; TOO_LARGE when not even the next key fits `size` bytes (the cursor stays)
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_keys(struct larder_cache *cache, struct larder_cursor *cursor, void *buffer, size_t size,
            struct larder_slice *keys, size_t capacity, size_t *count);

/** One figure: the contract's ("get.OK", "store.UNKNOWN"; those that are not 0), then the backend's
 * own rows. A client has the rows of all its caches, each behind the first namespace that is routed
 * there and a dot ("main.items"); the handle of a namespace has those of its own cache. */
struct larder_stat {
    char name[56];
    uint64_t value;
};

/**
 * Figures since the cache was opened. There may be more of them the next time.
 * @param rows      receives up to `capacity` rows; may be NULL when capacity is 0
 * @param count     how many there are in all
 * @return OK; CLOSED after a shutdown
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_stats(struct larder_cache *cache, struct larder_stat *rows, size_t capacity, size_t *count);

/**
 * Does due housekeeping (returns the memory of expired entries), for servers that have a timer; no
 * cache needs it.
 * @param budget_ms    stop after about this long; 0: one small step
 * @param next_due_ms  may be NULL; when to call again; UINT64_MAX: nothing is due
 * @return OK
 */
LARDER_API enum larder_status larder_purge(struct larder_cache *cache, uint32_t budget_ms,
                                           uint64_t *next_due_ms);

/** What this cache can do, how strongly, within what limits. Constant until it is closed; after a
 * larder_reload() a handle may have others, and those that were told before stay readable until the
 * client is closed (112 bytes for each that differs from all others). */
LARDER_API const struct larder_traits *larder_describe(const struct larder_cache *cache);

/**
 * The key as the server sees it, for other programs.
 * @param buffer  receives at most `size` bytes
 * @param length  of the whole wire key
 * @return OK; PARTIAL; UNSUPPORTED where there is no such thing (memory, null)
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_wire_key(struct larder_cache *cache,
                                                              struct larder_slice key, void *buffer,
                                                              size_t size, size_t *length);

/* ---- namespaces and sessions --------------------------------------------------------------- */

/**
 * Gives the handle of one namespace of a client: calls on it cost no look-up.
 *
 * @param client  what larder_open_file() or larder_client_open() made; or a session of it or of one
 * of its namespaces: then the handle has the session's deadline and, where it leads to the same
 * pool, its member
 * @param name    NULL or "": the default namespace
 * @param view    owned by the client (or the session), the same pointer each time, valid until that
 * is closed (or released)
 * @return OK; BAD_ARGUMENT for a name that the client's map does not know (never silently the
 *         default) or for a cache that is no client; TOO_LARGE past LARDER_NAMESPACES_MAX names,
 *         those included that a reload took out of the map
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_bind(struct larder_cache *client, const char *name, struct larder_cache **view);

/** The most namespaces that one client binds. */
#define LARDER_NAMESPACES_MAX 65536u
/** A namespace's name is 1 to this many bytes of [A-Za-z0-9_-]. */
#define LARDER_NAMESPACE_BYTES_MAX 32u

/**
 * Takes a session: a handle for a block of calls with one deadline and, where the cache is pooled,
 * one member, held until larder_release(). Free where nothing is pooled. One thread uses it at a
 * time. Using the outer cache meanwhile takes a second member.
 *
 * @param budget_ms  for the whole block, from now; 0: each call, and waiting for the member, has
 * the cache's own timeout
 * @param flags      LARDER_NO_WAIT: calls that would wait answer WOULD_BLOCK; else 0
 * @param session    on OK given back with larder_release(); else NULL
 * @return OK; TIMEOUT when no member came free in time; WOULD_BLOCK; BAD_ARGUMENT for a session
 */
LARDER_API LARDER_MUST_USE enum larder_status larder_acquire(struct larder_cache *cache,
                                                             uint32_t budget_ms, uint32_t flags,
                                                             struct larder_cache **session);

/** Ends a session. NULL, or a cache that is no session: does nothing. */
LARDER_API void larder_release(struct larder_cache *session);

#ifdef __cplusplus
}
#endif

#endif
