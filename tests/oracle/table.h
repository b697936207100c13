/* The entries, all under one lock, and how a call visits one key. */
#ifndef TESTS_ORACLE_TABLE_H
#define TESTS_ORACLE_TABLE_H

#include <larder/backend.h>
#include <larder/util/deadline.h>
#include <larder/util/uthash.h>

#include <pthread.h>
#include <stdbool.h>

/** A namespace's name, its length before it, and the key. */
#define ORACLE_KEY_BYTES_MAX (1u + LARDER_NAMESPACE_BYTES_MAX + LARDER_BACKEND_KEY_BYTES_MAX)

/** A lease lives beside the value or, where the value is dead (or never was), alone. */
struct oracle_entry {
    UT_hash_handle hh;
    unsigned char *value;
    size_t value_length;
    uint64_t version;
    uint64_t sequence;    /* of the key's first store: its place in a listing */
    uint64_t expiry_ns;   /* of the value; LARDER_NEVER_NS: none */
    uint64_t lease_token; /* 0: no lease */
    uint64_t lease_end_ns;
    uint32_t flags;
    bool absent; /* a negative entry */
    size_t key_length;
    unsigned char key[];
};

struct oracle {
    /* set when opened, then only read */
    struct larder_clock clock;
    struct larder_traits traits;
    pthread_mutex_t lock;
    struct {                        /* touched only while holding lock */
        struct oracle_entry *first; /* uthash's: entries hang in the order of their sequence */
        uint64_t version;           /* the last one given; leases have theirs from it, too */
        uint64_t sequence;
        bool closed;
    } guarded;
};

/** What stands under a key for everybody but leases. */
enum oracle_presence { ORACLE_MISSING, ORACLE_PRESENT, ORACLE_NEGATIVE };

/** One call on one key, under the lock. Lives on the caller's stack. */
struct oracle_visit {
    struct oracle *oracle;
    uint64_t now_ns;
    struct oracle_entry *entry; /* found under the key; one with nothing but a lease, too */
    enum oracle_presence presence;
    size_t key_length;
    unsigned char key[ORACLE_KEY_BYTES_MAX];
};

/** What is to be stored: the value is head and tail, one behind the other. */
struct oracle_draft {
    struct larder_slice head, tail;
    uint64_t expiry_ns;
    uint64_t lease_token;
    uint64_t lease_end_ns;
    uint32_t flags;
    bool absent;
};

/** Takes the lock and looks the key up. @return OK, or CLOSED and the lock is not held */
enum larder_status oracle_enter(struct oracle_visit *visit, const struct larder_scope *scope,
                                struct larder_slice name);
void oracle_leave(struct oracle_visit *visit);

/** What is known of the entry. `info` may be NULL. */
void oracle_tell(const struct oracle_visit *visit, struct larder_info *info);
/** Copies the value, and tells. @return OK or NO_MEMORY */
enum larder_status oracle_view(const struct oracle_visit *visit, struct larder_value *value);

/** Stores under the visit's key, with a new version. @return OK, TOO_LARGE or NO_MEMORY */
enum larder_status oracle_put(struct oracle_visit *visit, const struct oracle_draft *draft);
void oracle_drop(struct oracle *oracle, struct oracle_entry *entry);

bool oracle_lease_is_valid(const struct oracle_entry *entry, uint64_t now_ns);
/** Whether the entry is of that namespace; NULL: of any. */
bool oracle_is_in(const struct oracle_entry *entry, const struct larder_space *space);
/** The key as the caller gave it. */
struct larder_slice oracle_name(const struct oracle_entry *entry);
uint64_t oracle_expiry(uint64_t now_ns, int64_t ttl_ms);

/** Takes the lock. @return false, and it is not held, when the cache is closed */
bool oracle_lock(struct oracle *oracle);
uint64_t oracle_now_ns(const struct oracle *oracle);

#endif
