/*
 * For those who write a backend. A backend is one table of operations and one descriptor; the core
 * checks arguments, applies TTL defaults, stands in for optional rows, counts, and dispatches, so a
 * backend does only what it alone can. docs/backends.md walks through one.
 *
 * Calls come from any thread, at once, until close, which comes last and alone. The core holds no
 * lock during a call. What the core has checked before: keys are 1 to LARDER_KEY_BYTES_MAX bytes
 * (plus larder's own prefix in a namespace: up to LARDER_BACKEND_KEY_BYTES_MAX), required pointers
 * are there, TTLs are resolved (0 for ever, else positive), cas versions are not 0, values are at
 * most traits.value_max, operations and options are among those of the traits.
 */
#ifndef LARDER_BACKEND_H
#define LARDER_BACKEND_H

#include <larder/larder.h>
#include <larder/traits.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of struct larder_ops, struct larder_backend and struct larder_host. */
#define LARDER_BACKEND_VERSION 1u

/** A key of the caller's and larder's own prefix. */
#define LARDER_BACKEND_KEY_BYTES_MAX (LARDER_KEY_BYTES_MAX + 64u)

/** A row of a multi call that is still to be answered has this status; rows that come in with any
 * other are left alone. It never reaches an application. */
#define LARDER_ASKED ((enum larder_status)127)

/** A namespace, as a backend that keeps them apart itself (LARDER_CAN_NAMESPACES) sees it. */
struct larder_space {
    uint32_t size; /* sizeof(struct larder_space) */
    uint32_t reserved;
    struct larder_slice name; /* 1 to LARDER_NAMESPACE_BYTES_MAX bytes; the default one included */
};

/** What a session holds. Owned by the core; one thread at a time. */
struct larder_session {
    uint32_t size;
    uint32_t flags;       /* LARDER_NO_WAIT */
    uint64_t deadline_ns; /* on CLOCK_MONOTONIC; UINT64_MAX: none */
    void *owner;          /* `self` of the backend whose member this is; NULL: none */
    void *member;         /* set by the owner's acquire */
};

struct larder_ops;

/** larder_scope.flags */
#define LARDER_SCOPE_OWN_KEY 1u /* the key is larder's own ("~g:…"): it goes out as it is */

/**
 * How a call reaches a backend. Constant during the call. A wrapper copies it, puts its part's
 * `ops` and `self` in, and passes it on: namespace, session and options travel along.
 */
struct larder_scope {
    const struct larder_ops *ops;     /* complete: no row is NULL */
    void *self;                       /* the backend's own object */
    const struct larder_space *space; /* NULL: none */
    struct larder_session *session;   /* NULL: none */
    const struct larder_call *call;   /* NULL: a plain call; else of the core's full size */
    uint32_t flags;                   /* LARDER_SCOPE_* */
    uint32_t server;                  /* 0: placed by the key; n: on server n - 1 (ops->servers) */
    uint64_t deadline_ns; /* of a call in several steps, on CLOCK_MONOTONIC; 0: each has its own */
    void *hit_context; /* what hits_of left there; in a copy for another backend it says nothing */
};

/** Rows of a multi call. */
struct larder_rows {
    struct larder_row *first;
    size_t count;
    size_t stride; /* bytes from row to row */
};

static inline struct larder_row *larder_row_at(const struct larder_rows *rows, size_t index)
{
    return (struct larder_row *)(void *)((char *)rows->first + index * rows->stride);
}

/** What a row of a multi call does. */
static inline enum larder_operation larder_many_operation(enum larder_many_kind many)
{
    switch (many) {
    case LARDER_MANY_READ:
        return LARDER_OPERATION_READ;
    case LARDER_MANY_GET:
        return LARDER_OPERATION_GET;
    case LARDER_MANY_STORE:
        return LARDER_OPERATION_STORE;
    case LARDER_MANY_DELETE:
        return LARDER_OPERATION_DELETE;
    case LARDER_MANY_TOUCH:
        break;
    }
    return LARDER_OPERATION_TOUCH;
}

/** Owns the bytes of a view. A backend embeds it in whatever holds the bytes; `release` may be
 * called from any thread, also after close. */
struct larder_owner {
    void (*release)(struct larder_owner *owner);
};

/** Where a message for people goes; see larder_message_set() in util/message.h. */
struct larder_message {
    char *text; /* may be NULL */
    size_t size;
};

/* ---- operations ---------------------------------------------------------------------------- */
/* Answers are those of the public call of the same name in larder.h. */

/** @param info  may be NULL; comes in emptied but for `want` */
typedef enum larder_status larder_read_fn(const struct larder_scope *scope, struct larder_slice key,
                                          void *buffer, size_t size, struct larder_info *info);
struct larder_reader;
/** A plain read: nothing is asked for but the value, no info either, which is what most calls are;
 * all others go by the row `read`. The core has seen that key and buffer are not NULL and that the
 * scope is a handle's own, and does nothing afterwards, so that the way to a hit is as short as it
 * can be made (larder/util/hit.h). The arguments come as larder_read() has them, the scope last:
 * each stays in its register. As a row it may be entered until close, after a shutdown too.
 * @param key  of any length, also one that no key has
 * @return of a hit, larder_hit_count(); of a key of a length that keys have which is known not to
 *         be there, what reader->missed() answers; of anything else, whatever the reason,
 *         reader->read_otherwise() */
typedef enum larder_status larder_read_hit_fn(struct larder_reader *reader, struct larder_slice key,
                                              void *buffer, size_t size,
                                              const struct larder_scope *scope);
/** A plain get: as a plain read, of a view.
 * @param value  comes in as the application had it, with a want of 0, which stays; on a hit written
 *               whole: bytes, owner, info's length and flags, the rest as larder_info_clear() does
 * @return of a hit, larder_hit_count(); of a key that is known not to be there, the value emptied,
 *         what reader->missed() answers; of anything else reader->get_otherwise() */
typedef enum larder_status larder_get_hit_fn(struct larder_reader *reader, struct larder_slice key,
                                             struct larder_value *value,
                                             const struct larder_scope *scope);
/** Which functions make the plain calls of a scope. */
struct larder_hits {
    larder_read_hit_fn *read;
    larder_get_hit_fn *get;
};
/** Names those that the backend has. Asked when something is led to the scope, by any thread, and
 * does not wait; the answer holds as long as that lasts.
 * @param scope  its hit_context, NULL before, is the backend's: what is found out once need not be
 *               by each call. It is freed, if need be, by close
 * @param hits   comes in with functions that call the rows `read` and `get`, with this scope alone
 */
typedef void larder_hits_of_fn(struct larder_scope *scope, struct larder_hits *hits);
/** @param value  comes in emptied but for info.want; on OK with an owner */
typedef enum larder_status larder_get_fn(const struct larder_scope *scope, struct larder_slice key,
                                         struct larder_value *value);
/** @param version  never NULL; comes in 0 */
typedef enum larder_status larder_store_fn(const struct larder_scope *scope, enum larder_mode mode,
                                           struct larder_slice key,
                                           const struct larder_write *write, uint64_t *version);
typedef enum larder_status larder_remove_fn(const struct larder_scope *scope,
                                            struct larder_slice key, uint64_t version);
typedef enum larder_status larder_touch_fn(const struct larder_scope *scope,
                                           struct larder_slice key, int64_t ttl_ms);
typedef enum larder_status larder_get_and_touch_fn(const struct larder_scope *scope,
                                                   struct larder_slice key, int64_t ttl_ms,
                                                   struct larder_value *value);
/** @param result  never NULL; comes in 0 */
typedef enum larder_status larder_count_fn(const struct larder_scope *scope,
                                           struct larder_slice key, enum larder_direction direction,
                                           uint64_t delta, const struct larder_initial *initial,
                                           uint64_t *result);
typedef enum larder_status larder_lease_get_fn(const struct larder_scope *scope,
                                               struct larder_slice key, uint32_t lease_ms,
                                               struct larder_value *value,
                                               struct larder_lease *lease);
typedef enum larder_status larder_lease_fill_fn(const struct larder_scope *scope,
                                                struct larder_slice key, struct larder_lease lease,
                                                const struct larder_write *write);
typedef enum larder_status larder_lease_return_fn(const struct larder_scope *scope,
                                                  struct larder_slice key,
                                                  struct larder_lease lease);
/** Answers every row whose status is LARDER_ASKED. */
typedef void larder_many_fn(const struct larder_scope *scope, enum larder_many_kind many,
                            enum larder_mode mode, const struct larder_rows *rows);
/** Drops what the scope sees: all, or the keys of scope->space. */
typedef enum larder_status larder_flush_fn(const struct larder_scope *scope);
typedef enum larder_status larder_keys_fn(const struct larder_scope *scope,
                                          struct larder_cursor *cursor, void *buffer, size_t size,
                                          struct larder_slice *keys, size_t capacity,
                                          size_t *count);
/** Appends own rows with larder_stat_add(). */
struct larder_stats_out;
typedef void larder_stats_fn(const struct larder_scope *scope, struct larder_stats_out *out);
typedef enum larder_status larder_purge_fn(const struct larder_scope *scope, uint32_t budget_ms,
                                           uint64_t *next_due_ms);
typedef enum larder_status larder_wire_key_fn(const struct larder_scope *scope,
                                              struct larder_slice key, void *buffer, size_t size,
                                              size_t *length);
/** Takes a member into session->owner and session->member, by session->deadline_ns. */
typedef enum larder_status larder_acquire_fn(const struct larder_scope *scope,
                                             struct larder_session *session);
typedef void larder_release_fn(const struct larder_scope *scope, struct larder_session *session);
/** How many servers there are; each keeps entries of its own. Constant. */
typedef uint32_t larder_servers_fn(const struct larder_scope *scope);
/** The number (from 0) of the server that an entry under this key is placed on. */
typedef uint32_t larder_place_fn(const struct larder_scope *scope, struct larder_slice key);
typedef const struct larder_traits *larder_traits_fn(const void *self);
/** Wakes running calls, lets new ones answer CLOSED, and frees what it can under the backend's own
 * protection. Any time, any thread; once. CLOSED says that the call has changed nothing: where a
 * reload led the handle elsewhere, it is made again there. */
typedef void larder_shutdown_fn(void *self);
/** After a reload nothing leads here any more: lets new calls answer CLOSED, and gives back what
 * nobody uses, while calls that speak with a server end as they would have. Close follows when they
 * are over; no shutdown. */
typedef void larder_retire_fn(void *self);
typedef void larder_close_fn(void *self);
/** What a composition can do over parts that can do this: a function of its arguments alone. The
 * core asks it about the parts as they are within a namespace of a client.
 * @param parts   one for each of larder_host.parts; NULL where the option was not given
 * @param traits  comes in empty but for its size */
typedef void larder_compose_fn(const struct larder_traits *const *parts, size_t count,
                               struct larder_traits *traits);

enum larder_fork_step { LARDER_FORK_PREPARE, LARDER_FORK_PARENT, LARDER_FORK_CHILD };
/** Called around fork() in the forking thread, for every open backend. */
typedef void larder_fork_fn(void *self, enum larder_fork_step step);

/** One backend's operations: static const, designated. Rows are only appended. */
struct larder_ops {
    uint32_t version; /* LARDER_BACKEND_VERSION; first, always */
    uint32_t size;    /* sizeof(struct larder_ops) */
    const char *name; /* static storage */
    /* required: a table without one of these is refused */
    larder_read_fn *read;
    larder_store_fn *store; /* LARDER_SET; other modes as traits.can says */
    larder_remove_fn *remove;
    larder_traits_fn *traits;
    larder_close_fn *close;
    /* optional; NULL means what the comment says */
    larder_get_fn *get;                     /* read into an owned buffer */
    larder_touch_fn *touch;                 /* read and cas, where READ_TTL and CAS; else
                                               UNSUPPORTED */
    larder_get_and_touch_fn *get_and_touch; /* touch, then get */
    larder_count_fn *count;                 /* read and cas, where READ_TTL and CAS; else
                                               UNSUPPORTED */
    larder_lease_get_fn *lease_get;         /* UNSUPPORTED */
    larder_lease_fill_fn *lease_fill;       /* UNSUPPORTED */
    larder_lease_return_fn *lease_return;   /* UNSUPPORTED */
    larder_many_fn *many;                   /* a row at a time */
    larder_flush_fn *flush;                 /* UNSUPPORTED */
    larder_keys_fn *keys;                   /* UNSUPPORTED */
    larder_stats_fn *stats;                 /* no rows of its own */
    larder_purge_fn *purge;                 /* nothing is due */
    larder_wire_key_fn *wire_key;           /* UNSUPPORTED */
    larder_acquire_fn *acquire;             /* nothing to hold */
    larder_release_fn *release;             /* nothing was held */
    larder_servers_fn *servers;             /* 1 */
    larder_place_fn *place;                 /* 0 */
    larder_shutdown_fn *shutdown;           /* nothing to wake */
    larder_fork_fn *fork;                   /* nothing to do */
    larder_compose_fn *compose;             /* in a namespace it can what it can outside */
    larder_retire_fn *retire;               /* shutdown */
    larder_hits_of_fn *hits_of;             /* plain calls go by read and get */
};

/** Collects statistics. */
void larder_stat_add(struct larder_stats_out *out, const char *name, uint64_t value);
struct larder_stats_out {
    struct larder_stat *rows;
    size_t capacity;
    size_t count;       /* how many there would be */
    const char *prefix; /* stands before each name, with a dot; NULL: nothing */
};

/* ---- options ------------------------------------------------------------------------------- */

/**
 * One table per backend makes its options struct, the struct's initialiser, its URI options and
 * its page of the reference:
 *
 *   #define LARDER_MEMORY_OPTIONS_TABLE(NUMBER, STRING)
 *       NUMBER(BYTES, max_bytes, max_bytes, 0, 0, UINT64_MAX, "…")
 *       STRING(SERVERS, servers, servers, "127.0.0.1", NULL, "…")
 *
 * NUMBER(type, URI name, field, default, smallest, largest, sentence): a uint64_t field
 * STRING(type, URI name, field, default, "choice|choice" or NULL, sentence): a const char * field
 * (not called TEXT, which is a type's name)
 */
enum larder_option_type {
    LARDER_OPTION_BYTES,    /* 64M: k, M, G, T are powers of 1024 */
    LARDER_OPTION_DURATION, /* 15s: ms, s, m, h, d; the field is in milliseconds */
    LARDER_OPTION_COUNT,    /* 10 */
    LARDER_OPTION_SWITCH,   /* on, off; the field is 1 or 0 */
    LARDER_OPTION_TEXT,
    LARDER_OPTION_SECRET,   /* env:NAME or file:/path, never the secret itself */
    LARDER_OPTION_SERVERS,  /* what stands between "scheme:" and "?" in a URI */
    LARDER_OPTION_METADATA, /* leases,negative: the core keeps these for a backend that only stores
                               bytes; see LARDER_METADATA_OPTION */
    LARDER_OPTION_CACHE /* @section of a configuration file; the field is a struct larder_cache *.
                           smallest is 1 where the backend can't do without; text_default is the URI
                           that the core opens where none is given, NULL: none; see
                           LARDER_CACHE_FIELD and struct larder_part */
};

struct larder_option {
    enum larder_option_type type;
    uint32_t offset;         /* of the field in the options struct */
    const char *name;        /* in a URI */
    const char *sentence;    /* for the reference */
    uint64_t number_default; /* NUMBER */
    uint64_t smallest, largest;
    const char *text_default; /* TEXT, CACHE; may be NULL */
    const char *choices;      /* TEXT: "a|b|c"; NULL: any */
};

/**
 * The row of a backend on whose servers a keyspace may declare metadata. Where a user does, the
 * core puts its records (docs/record-codec.md) between the backend and its callers; the backend
 * itself needs add, cas and delete at a version, and ignores the field. One row of a table at most.
 */
#define LARDER_METADATA_OPTION(STRING)                                                         \
    STRING(METADATA, metadata, metadata, NULL, NULL,                                           \
           "what this keyspace keeps beside its values; none: bytes and flags go out as they " \
           "are. All who share a keyspace declare the same")

/*
 * A backend whose options are caches has a table of three kinds of row, TABLE(NUMBER, STRING,
 * CACHE):
 *
 *       CACHE(URI name, field, 1 when it is required, sentence)
 *
 * and perhaps a fourth, for a part that the core opens by a URI where the caller gives none:
 *
 *       OPENED(URI name, field, "memory:?max_bytes=8M", sentence)
 *
 * What the caller gives is held by the core for as long as the new cache is open, and reaches the
 * backend as larder_host.parts, in the order of these rows.
 */

/* What a table becomes. */
#define LARDER_NUMBER_FIELD(type, name, field, value, smallest, largest, sentence) uint64_t field;
#define LARDER_TEXT_FIELD(type, name, field, value, choices, sentence) const char *field;
#define LARDER_NUMBER_DEFAULT(type, name, field, value, smallest, largest, sentence) , value
#define LARDER_TEXT_DEFAULT(type, name, field, value, choices, sentence) , value
#define LARDER_CACHE_FIELD(name, field, required, sentence) struct larder_cache *field;
#define LARDER_CACHE_DEFAULT(name, field, required, sentence) , NULL
/* in a .c file, with LARDER_OPTIONS_STRUCT defined as the struct's type */
#define LARDER_NUMBER_ROW(type, name, field, value, smallest, largest, sentence) \
    {LARDER_OPTION_##type,                                                       \
     (uint32_t)offsetof(LARDER_OPTIONS_STRUCT, field),                           \
     #name,                                                                      \
     sentence,                                                                   \
     value,                                                                      \
     smallest,                                                                   \
     largest,                                                                    \
     NULL,                                                                       \
     NULL},
#define LARDER_TEXT_ROW(type, name, field, value, choices, sentence) \
    {LARDER_OPTION_##type,                                           \
     (uint32_t)offsetof(LARDER_OPTIONS_STRUCT, field),               \
     #name,                                                          \
     sentence,                                                       \
     0,                                                              \
     0,                                                              \
     0,                                                              \
     value,                                                          \
     choices},

#define LARDER_CACHE_ROW(name, field, required, sentence) \
    {LARDER_OPTION_CACHE,                                 \
     (uint32_t)offsetof(LARDER_OPTIONS_STRUCT, field),    \
     #name,                                               \
     sentence,                                            \
     0,                                                   \
     required,                                            \
     1,                                                   \
     NULL,                                                \
     NULL},
/* Its other forms are those of LARDER_CACHE_FIELD and LARDER_CACHE_DEFAULT. */
#define LARDER_OPENED_CACHE_ROW(name, field, uri, sentence) \
    {LARDER_OPTION_CACHE,                                   \
     (uint32_t)offsetof(LARDER_OPTIONS_STRUCT, field),      \
     #name,                                                 \
     sentence,                                              \
     0,                                                     \
     0,                                                     \
     1,                                                     \
     uri,                                                   \
     NULL},

/* ---- the descriptor ------------------------------------------------------------------------ */

/**
 * A cache that an option names, as the backend calls it: with the scope that it was given, in which
 * it puts these (larder_part_scope() of util/parts.h does that). Calls don't go through the part's
 * own handle, so they are not counted there and its listener is not told; its max_ttl is in its
 * traits. One that the core opened itself has the clock of the new cache, and ends with it.
 */
struct larder_part {
    const char *name;             /* of the option */
    const struct larder_ops *ops; /* complete; NULL: the option was not given, and has no default */
    void *self;
    const struct larder_traits *traits;
    /* The same for calls in a namespace (scope->space): where the part doesn't keep namespaces
     * apart itself, the core does it here. Set before the first such call, then constant. */
    const struct larder_ops *space_ops;
    void *space_self;
    const struct larder_traits *space_traits;
};

/** What the core gives a backend when it is opened; valid until it is closed. */
struct larder_host {
    uint32_t version;          /* LARDER_BACKEND_VERSION */
    uint32_t size;             /* sizeof(struct larder_host) */
    struct larder_clock clock; /* now_ns is never NULL */
    /* For whoever reads the time often: the same clock, or one that is behind it by at most
     * coarse_ms milliseconds. */
    struct larder_clock coarse_clock;
    uint32_t coarse_ms;
    int32_t
        coarse_id; /* a clockid_t that clock_gettime() may be asked for in its place; -1: none */
    const struct larder_part *parts; /* one for each row of the type CACHE; they stay open until the
                                        backend is closed */
    size_t part_count;
};

/**
 * Opens one cache.
 * @param options  a filled struct of options_size bytes; its texts are borrowed for the call
 * @param self     on OK the backend's own object
 * @return OK; BAD_ARGUMENT with a message; NO_MEMORY; UNSUPPORTED
 */
typedef enum larder_status larder_open_fn(const struct larder_host *host, const void *options,
                                          struct larder_message *message, void **self);

/**
 * Opens a cache that follows another one of the same backend, with other options: what a reload
 * does about a section that changed. It may take over what `predecessor` knows (which servers are
 * down) or has; the predecessor goes on until the reload is done, then is shut down, or the new one
 * is closed because the reload failed. Parameters and result else as larder_open_fn.
 */
typedef enum larder_status larder_succeed_fn(const struct larder_host *host, const void *options,
                                             void *predecessor, struct larder_message *message,
                                             void **self);
/*
 * `relist` is the same where nothing differs but the option of the type SERVERS: what both have of
 * a server (connections, marks, figures) may then be one object, which the predecessor's retirement
 * leaves alone. So a list changes in place, but for calls under way, which go on with the one that
 * they began with.
 */

/** One backend: static const. Grows at the end. */
struct larder_backend {
    uint32_t version; /* LARDER_BACKEND_VERSION; first, always */
    uint32_t size;    /* sizeof(struct larder_backend) */
    const char *scheme;
    const char *sentence; /* for the reference */
    const struct larder_ops *ops;
    larder_open_fn *open;
    const struct larder_option *options;
    size_t option_count;
    size_t options_size; /* of the options struct, whose first member is size_t struct_size */
    /* optional */
    larder_succeed_fn *succeed; /* NULL: open, which knows nothing of the one before */
    larder_succeed_fn *relist;  /* NULL: succeed */
};

/**
 * What a module (a shared object in the module folder, named by its first backend's scheme) exports
 * under the name `larder_module`. A module doesn't link larder: it links the utility library, and
 * is handed what else it needs in struct larder_host. It is loaded when one of its schemes is first
 * asked for, refused with the reason when versions do not fit, and never unloaded.
 */
struct larder_module {
    uint32_t version;                             /* LARDER_BACKEND_VERSION; first, always */
    uint32_t size;                                /* sizeof(struct larder_module) */
    const struct larder_backend *const *backends; /* the last one NULL */
};

/**
 * Opens a cache of a backend that is linked into the program: what typed factories and third
 * parties' own ones are made of.
 * @param options       the backend's options struct, or NULL for the defaults; its first member
 * says how much of it there is
 * @return as larder_open(); UNSUPPORTED when versions do not fit or a required row is missing, with
 *         a message that says which
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_open_backend(const struct larder_backend *backend, const void *options,
                    const struct larder_open_options *open_options, struct larder_cache **cache,
                    char *message, size_t message_size);

/**
 * Makes a cache of an object that exists already: for wrappers, compositions and tests.
 * @param ops   copied
 * @param self  on OK the cache owns it and calls ops->close in larder_close(); on failure it stays
 *              the caller's
 * @return OK; BAD_ARGUMENT; UNSUPPORTED as above; NO_MEMORY
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_attach(const struct larder_ops *ops, void *self,
              const struct larder_open_options *open_options, struct larder_cache **cache,
              char *message, size_t message_size);

/**
 * Gives the object that a backend's open made: for operations that only this backend has, which are
 * its own functions and not rows of the table.
 *
 * @param cache    a leaf: what larder_open() and the like gave, no client, namespace or session
 * @param self     valid until the cache is closed; a shutdown may come at any time, as under a row
 * @return OK; BAD_ARGUMENT for a cache that is no leaf of this backend; CLOSED
 *
 * Threads: any; never blocks.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_backend_object(struct larder_cache *cache, const struct larder_backend *backend,
                      void **self);

/**
 * Opens a cache of the backend that a scheme names, loading its module if need be: what the typed
 * factories of components are made of. Parameters and result as larder_open_backend(); UNSUPPORTED
 * where the component is missing, with a message that names it.
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_open_scheme(const char *scheme, const void *options,
                   const struct larder_open_options *open_options, struct larder_cache **cache,
                   char *message, size_t message_size);

/**
 * Makes a backend's scheme known to larder_open() and configuration files. The descriptor must
 * stay. Threads: any. @return OK; EXISTS for a scheme that is known; UNSUPPORTED when versions do
 * not fit or a required row is missing (larder_open_backend() says which); NO_MEMORY
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_register_backend(const struct larder_backend *backend);

/** Registers all of an array whose last one is NULL; one that is known already is no failure.
 * @return OK, or the first failure */
LARDER_API enum larder_status
larder_register_backends(const struct larder_backend *const *backends);

#ifdef __cplusplus
}
#endif

#endif
