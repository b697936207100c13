/* What to measure: the command line as a struct. Everything is set by plan_read(), then only read.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define PLAN_URIS_MAX 16u
#define PLAN_THREADS_MAX 64u
#define PLAN_LIST_MAX 16u
#define PLAN_BATCH_MAX 4096u
#define PLAN_ROUNDS_MAX 1000u

/* Peers that are no cache of ours. ROW(NAME, scheme of its "URI" and option, suffix of its program)
 */
#define PLAN_PEER_TABLE(ROW)                                \
    ROW(LIBMEMCACHED, "bare-libmemcached", "-libmemcached") \
    ROW(META, "bare-meta", "-meta")                         \
    ROW(META_CLASSIC, "bare-meta-classic", "-meta")

enum plan_peer {
#define PLAN_PEER_ROW(NAME, scheme, program) PLAN_PEER_##NAME,
    PLAN_PEER_TABLE(PLAN_PEER_ROW)
#undef PLAN_PEER_ROW
        PLAN_PEERS /* or no peer */
};

/* ROW(NAME, name, sentence) */
#define PLAN_OPERATION_TABLE(ROW)                                              \
    ROW(READ, read, "larder_read() into a buffer")                             \
    ROW(GET, get, "larder_get() of a view, and its release")                   \
    ROW(SET, set, "larder_set() of a key that is there")                       \
    ROW(MIX, mix, "95 % read, 5 % set")                                        \
    ROW(MANY, many, "larder_read_multi() of --batch keys; counted by the key") \
    ROW(CHAIN, chain, "read, where each key depends on the value before it")   \
    ROW(MISS, miss, "read of keys that are not there")

enum plan_operation {
#define PLAN_OPERATION_ROW(NAME, name, sentence) PLAN_##NAME,
    PLAN_OPERATION_TABLE(PLAN_OPERATION_ROW)
#undef PLAN_OPERATION_ROW
        PLAN_OPERATIONS
};

struct plan {
    char *uris[PLAN_URIS_MAX]; /* as given; a peer's starts with its scheme */
    unsigned uri_count;
    unsigned operations[PLAN_LIST_MAX]; /* enum plan_operation */
    unsigned operation_count;
    unsigned threads[PLAN_LIST_MAX];
    unsigned threads_count;
    unsigned cores[PLAN_LIST_MAX];
    unsigned core_count; /* 0: not pinned */
    unsigned batch;
    unsigned keys;
    unsigned key_bytes;
    unsigned value_bytes;
    double theta; /* of the Zipf distribution; 0: uniform */
    int64_t ttl_ms;
    const char *namespace_name; /* NULL: the bare cache */
    int session;
    double seconds; /* of each pass */
    double warm_up;
    int latency; /* 0: no latency pass */
    int tcp;     /* a server that is started here listens on 127.0.0.1 */
    unsigned rounds;
    unsigned tries; /* so often a disturbed run is done again */
    unsigned seed;
    const char *json;
    /* for the process that measures one URI in one round */
    const char *subject; /* NULL: this process runs the rounds */
    int loaded;          /* the keys are there already */
};

/** Fills in the plan, or ends the program: with its help, or with what is wrong. */
void plan_read(struct plan *plan, int count, char **arguments);
void plan_clean_up(struct plan *plan);

const char *plan_operation_name(unsigned operation);
/** @return PLAN_PEERS for a cache */
enum plan_peer plan_peer_of(const char *uri);
/** What a peer's program is called behind this program's name; of PLAN_PEERS "". */
const char *plan_peer_program(enum plan_peer peer);
unsigned plan_threads_most(const struct plan *plan);

/** Puts the calling thread on the plan's core for thread `number`, or the process (number < 0) on
 * all of its cores. Does nothing without --pin. */
void plan_pin(const struct plan *plan, int number);

#endif
