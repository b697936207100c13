/*
 * A backend for tests that looks like a few cache servers: memory caches behind a table without
 * namespaces, placed by the key's last byte, each of which can be taken down. It counts calls.
 */
#ifndef TESTS_FAKE_SERVERS_H
#define TESTS_FAKE_SERVERS_H

#include <larder/backend.h>
#include <stdatomic.h>

#define FAKE_SERVERS_MAX 4

struct fake_servers {
    uint32_t count;
    int required_rows_only;                   /* leave every optional row out */
    uint64_t can_not;                         /* LARDER_CAN_* to take out of the traits */
    uint64_t takes;                           /* LARDER_TAKES_* to put in */
    struct larder_clock clock;                /* of the memory caches; default: monotonic */
    _Atomic int status[FAKE_SERVERS_MAX];     /* what calls answer instead; 0: the truth */
    _Atomic uint64_t calls[FAKE_SERVERS_MAX]; /* that reached the server */
    /* called in the middle of a read, after the value was read; NULL: nothing */
    void (*after_read)(void *context, uint32_t server, struct larder_slice key);
    void *after_read_context;
    /* called before the read number skip_gets, once */
    void (*before_get)(void *context);
    void *before_get_context;
    int skip_gets;
    /* the same in the middle of a count */
    void (*after_count)(void *context);
    void *after_count_context;
    struct larder_cache *memory[FAKE_SERVERS_MAX]; /* set by fake_servers_open() */
    uint64_t seen_deadline_ns;                     /* of the last call; 0: it had none */
    uint32_t timeout_ms;                           /* a trait */
    int many_calls;                                /* of the row many */
    int closed;                                    /* how often close was called */
    int shut_down;
    struct larder_traits traits;
    struct larder_ops ops;
    struct larder_backend backend;
};

/** Opens a cache over `servers`, whose settings are filled in. */
enum larder_status fake_servers_open(struct fake_servers *servers,
                                     const struct larder_open_options *options,
                                     struct larder_cache **cache);

#endif
