/*
 * The contract suite: the promises of larder.h, once, for every cache of every kind.
 *
 * A subject is one kind of cache in one shape (a leaf, a session of it, a client, a namespace of a
 * client). A fixture is one open subject. Each test gets a fixture of its own and keys that no
 * other test uses. A subject that shares its backend with a sister namespace has a witness: every
 * key a test uses also exists there, with another value, and must be untouched when the test ends.
 */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <larder/larder.h>
#include <larder/traits.h>

#include "clock.h"

/* ---- subjects ------------------------------------------------------------------------------ */

enum leaf {
    LEAF_MEMORY,
    LEAF_ORACLE,          /* what memory is compared with */
    LEAF_MEMORY_OBSERVED, /* in a watched cache of larder/testing.h, with nobody watching */
    LEAF_GUTTER,          /* over two memory caches */
    LEAF_GUTTER_DEAD,     /* the same, and the first one is down */
    LEAF_TRACKER,         /* over memory */
    LEAF_HOT,             /* over memory; every hit leaves a copy */
    LEAF_EPHEMERAL,       /* over memory */
    LEAF_MIGRATION,       /* over two memory caches; reads are populated */
    LEAF_MIGRATION_TO,    /* the same, and the other one answers */
    LEAF_SHADOW,          /* over two memory caches, reads compared */
    LEAF_NULL,
    LEAF_MEMCACHED_TEXT,
    LEAF_MEMCACHED_BINARY,
    LEAF_POOLED_TEXT,
    LEAF_POOLED_BINARY,
    LEAF_META,
    LEAF_META_TCP,   /* with classic reads, too */
    LEAF_META_THREE, /* on three servers */
    LEAF_META_ONE,   /* with a pool of one */
    LEAF_META_LOGIN, /* on a server with -Y */
    LEAF_META_TLS,
    LEAF_MIGRATION_META,         /* a migration from meta to memory; reads are populated */
    LEAF_GUTTER_META,            /* a gutter over meta, with memory as its spare */
    LEAF_GUTTER_DEAD_META,       /* the same, whose server is gone: memory answers */
    LEAF_HOT_META,               /* as LEAF_HOT, over meta */
    LEAF_MEMCACHED_TEXT_RECORDS, /* this and what follows: with metadata=leases,negative */
    LEAF_MEMCACHED_BINARY_RECORDS,
    LEAF_POOLED_TEXT_RECORDS,
    LEAF_META_RECORDS
};

enum shape {
    SHAPE_BARE,             /* the leaf itself */
    SHAPE_SESSION,          /* a session of the leaf */
    SHAPE_CLIENT,           /* a client: its default namespace */
    SHAPE_NAMESPACE,        /* a namespace of a client, by its own handle */
    SHAPE_NAMESPACE_SESSION /* a session of that */
};

struct subject {
    const char *name;
    enum leaf leaf;
    enum shape shape;
};

extern const struct subject contract_subjects[];
extern const size_t contract_subject_count;

/** NULL when there is none of that name. */
const struct subject *subject_named(const char *name);

int subject_is_null(const struct subject *subject);
int subject_has_server(const struct subject *subject);
int subject_is_client(const struct subject *subject); /* larder's own prefix is before its keys */
int subject_is_session(const struct subject *subject);

/* ---- fixtures ------------------------------------------------------------------------------ */

struct named_key;

struct fixture {
    const struct subject *subject;
    const char *test;             /* for messages */
    struct larder_cache *cache;   /* what is tested */
    struct larder_cache *handle;  /* the same without a session */
    struct larder_cache *owner;   /* leaf or client: what is closed */
    struct larder_cache *witness; /* a sister namespace on the same backend; or NULL */
    const struct larder_traits *traits;
    struct manual_clock clock;    /* moves only caches without a server */
    struct larder_faults *faults; /* what makes a part dead; or NULL */
    struct named_key *keys;
    unsigned number; /* makes its keys its own */
};

/** Opens a subject. `options` are the application's: TTLs go to the leaf, listener and
 * errors_as_miss to the handle that the application uses. NULL: the defaults. */
void fixture_open(struct fixture *fixture, const struct subject *subject, const char *test,
                  const struct larder_open_options *options);
/** The same on another server, or on one that other programs use too. */
struct server_use {
    const char *path; /* of its socket; NULL: the one that all tests share */
    int shared;       /* not opened with exclusive=on: a flush must spare what others keep there */
};
void fixture_open_at(struct fixture *fixture, const struct subject *subject, const char *test,
                     const struct larder_open_options *options, struct server_use use);
/** Checks the witness. */
void fixture_check(struct fixture *fixture);
/** Closes what is open; a second time does nothing. */
void fixture_close(struct fixture *fixture);

/** Lets time pass: the manual clock's, or a server's real one. */
void fixture_wait(struct fixture *fixture, uint64_t milliseconds);
int fixture_has_manual_clock(const struct fixture *fixture);

/** A key of this fixture's own, also planted in the witness. Valid until it is closed. */
struct larder_slice key(struct fixture *fixture, const char *name);
/** Any bytes as a key, planted in the witness as well. The bytes must stay. */
struct larder_slice key_of(struct fixture *fixture, struct larder_slice bytes);
/** Lets go of all keys so far, checked or not: before a test frees bytes that it gave to key_of().
 */
void fixture_forget_keys(struct fixture *fixture);

/** Flushes `cache`: the handle or the session of the fixture. A client's flush drops all
 * namespaces, so the witness must be gone as well; it is planted again. */
enum larder_status flush(struct fixture *fixture, struct larder_cache *cache);

/** 1 when every operation in `bits` (LARDER_CAN_*) works here. */
int can(const struct fixture *fixture, uint64_t bits);
/** `status`, or UNSUPPORTED where the traits lack one of `bits`. */
enum larder_status if_can(const struct fixture *fixture, uint64_t bits, enum larder_status status);
/** Prints that a check was left out, and why. */
void leave_out(const struct fixture *fixture, const char *reason);

/* ---- checks -------------------------------------------------------------------------------- */
/* A failed one names subject, test, call, and both statuses, and ends the test. */

#define expect(fixture, wanted, call) \
    expect_status((fixture), (wanted), (call), #call, __FILE__, __LINE__)
#define expect_that(fixture, condition) \
    expect_true((fixture), (condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define expect_number(fixture, wanted, actual) \
    expect_equal((fixture), (uint64_t)(wanted), (uint64_t)(actual), #actual, __FILE__, __LINE__)
#define expect_slice(fixture, wanted, actual) \
    expect_bytes((fixture), (wanted), (actual), __FILE__, __LINE__)
/** Reads and gets `key`: both must give exactly these bytes. */
#define expect_value(fixture, key, wanted) \
    expect_stored((fixture), (key), (wanted), __FILE__, __LINE__)
#define expect_text(fixture, key, wanted) expect_value(fixture, key, larder_text(wanted))
/** Reads and gets `key`: both must answer `status` and hand out nothing. */
#define expect_none(fixture, key, status) \
    expect_nothing((fixture), (key), (status), __FILE__, __LINE__)

void expect_status(const struct fixture *fixture, enum larder_status wanted,
                   enum larder_status answered, const char *call, const char *file, int line);
void expect_true(const struct fixture *fixture, int condition, const char *text, const char *file,
                 int line);
void expect_equal(const struct fixture *fixture, uint64_t wanted, uint64_t actual, const char *text,
                  const char *file, int line);
void expect_bytes(const struct fixture *fixture, struct larder_slice wanted,
                  struct larder_slice actual, const char *file, int line);
void expect_stored(const struct fixture *fixture, struct larder_slice key,
                   struct larder_slice wanted, const char *file, int line);
void expect_nothing(const struct fixture *fixture, struct larder_slice key,
                    enum larder_status status, const char *file, int line);

/* ---- short forms for tests ----------------------------------------------------------------- */

/** Stores text for ever; it must work. */
void put(struct fixture *fixture, struct larder_slice key, const char *text);
/** The version of a live entry; never 0. */
uint64_t version_of(struct fixture *fixture, struct larder_slice key);
/** The flags of a live entry. */
uint32_t flags_of(struct fixture *fixture, struct larder_slice key);
/** A block of `length` bytes that differ by place and `seed`; free() it. */
unsigned char *filled(size_t length, unsigned seed);
/** Whether anything is live under a key; the call must not fail. */
enum larder_status peek(struct fixture *fixture, struct larder_slice key);
/** lease_get without the value. */
enum larder_status lease(struct fixture *fixture, struct larder_slice key, uint32_t lease_ms,
                         struct larder_lease *held);

/* ---- tests --------------------------------------------------------------------------------- */

typedef void contract_test_fn(struct fixture *fixture);

struct contract_test {
    const char *name;
    contract_test_fn *run;
};

/* clang-format off */
#define CONTRACT_TEST(name) {#name, name}
#define CONTRACT_TESTS_END {NULL, NULL}
/* clang-format on */

/* Each ends with CONTRACT_TESTS_END. */
extern const struct contract_test argument_tests[];
extern const struct contract_test call_tests[];
extern const struct contract_test counter_tests[];
extern const struct contract_test ending_tests[];
extern const struct contract_test key_tests[];
extern const struct contract_test lease_tests[];
extern const struct contract_test many_tests[];
extern const struct contract_test matrix_tests[];
extern const struct contract_test null_tests[];
extern const struct contract_test session_tests[];
extern const struct contract_test state_tests[];
extern const struct contract_test ttl_tests[];
extern const struct contract_test value_tests[];
extern const struct contract_test version_tests[];
extern const struct contract_test whole_tests[];

/** What is planted young, left alone for ageing_ms(), and looked at when it is old: all on one
 * fixture, so that a subject in real time waits once. */
struct ageing {
    const char *name;
    contract_test_fn *plant;
    contract_test_fn *check;
};

extern const struct ageing ageings[]; /* ends with NULLs */
/** How long entries with a TTL of AGEING_TTL_MS need until they must be gone. */
uint64_t ageing_ms(const struct fixture *fixture);
#define AGEING_TTL_MS 1000
#define AGEING_LONG_MS 600000

/** Why a test is not run on a subject, or NULL: it is. */
const char *reason_to_leave_out(const struct subject *subject, const char *test);

/* states.c: every operation on keys that expired. */
void states_plant_expiring(struct fixture *fixture);
void states_check_expired(struct fixture *fixture);

#endif
