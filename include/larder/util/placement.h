/*
 * Which server a key belongs to. A table is made once from a list of servers and never changes; a
 * list that changes while calls run is a new table in the same slot.
 *
 *   KETAMA           as libmemcached's distribution "ketama" (1.1.4): 100 points a server, hashed
 *                    one byte at a time; with weights libmemcached's weighted points
 *   KETAMA_WEIGHTED  as libmemcached's KETAMA_WEIGHTED: 160 points a server, MD5
 *   UHASHRING        as the HashRing of the Python package uhashring with its defaults: 160 points
 * a server and weight, whole MD5s RENDEZVOUS       the server that scores highest for the key:
 * least movement, exact weights, time in proportion to the number of servers JUMP numbered servers,
 * without weights: servers are only added and removed at the end CALLER           a function of the
 * caller's
 *
 * What places a server on a ring is its identity, not its position in the list: where it has one of
 * its own, its address may change and its keys stay. Keys are placed by the bytes that are passed:
 * the wire key, or the tag in it (larder_key_tag() in util/key_codec.h), or a routing key.
 *
 * RENDEZVOUS and JUMP agree among machines of one byte order.
 */
#ifndef LARDER_UTIL_PLACEMENT_H
#define LARDER_UTIL_PLACEMENT_H

#include <pthread.h>

#include <larder/backend.h>
#include <larder/util/servers.h>

#ifdef __cplusplus
extern "C" {
#endif

enum larder_placement_method {
    LARDER_PLACEMENT_KETAMA,
    LARDER_PLACEMENT_KETAMA_WEIGHTED,
    LARDER_PLACEMENT_UHASHRING,
    LARDER_PLACEMENT_RENDEZVOUS,
    LARDER_PLACEMENT_JUMP,
    LARDER_PLACEMENT_CALLER
};

/** Of all points of a ring: 1 MiB of KETAMA, 20 MiB of UHASHRING, whose points are longer. */
#define LARDER_PLACEMENT_POINTS_MAX (UINT32_C(1) << 20)
#define LARDER_PLACEMENT_IDENTITY_BYTES_MAX 255u

struct larder_placement_server {
    struct larder_slice identity; /* empty: its address, as the method writes it */
    const char *host;             /* as in struct larder_server */
    uint32_t port;                /* 0: a Unix socket */
    uint32_t weight;              /* 1 to LARDER_SERVER_WEIGHT_MAX */
};

/** @return the number of a server, below `servers`; what is not is taken modulo it */
typedef uint32_t larder_placement_fn(void *context, struct larder_slice key, uint32_t servers);

struct larder_placement_options {
    enum larder_placement_method method;
    const struct larder_placement_server *servers; /* borrowed for the call */
    size_t count;                                  /* 1 to LARDER_SERVERS_MAX */
    larder_placement_fn *place;                    /* CALLER; from any thread, at once */
    void *context;                                 /* CALLER; must outlive the table */
};

struct larder_placement;

/**
 * Makes a table.
 * @param placement  on OK with one reference, given back with larder_placement_release(); else NULL
 * @return OK; BAD_ARGUMENT for no server or too many, an identity that is too long or twice there,
 * a weight out of its bounds, or of JUMP and CALLER other than 1; TOO_LARGE for too many points;
 * NO_MEMORY
 */
enum larder_status larder_placement_create(const struct larder_placement_options *options,
                                           struct larder_placement **placement);
/** @return the number of the server, from 0 in the order of the list. Allocates nothing, waits for
 * nothing */
uint32_t larder_placement_of(const struct larder_placement *placement, struct larder_slice key);
/** How many servers there are. */
uint32_t larder_placement_count(const struct larder_placement *placement);
/** One more reference. Any thread. @return the same */
struct larder_placement *larder_placement_hold(struct larder_placement *placement);
/** The last one frees the table. Any thread. NULL does nothing. */
void larder_placement_release(struct larder_placement *placement);

/** Where the table of the moment is kept. */
struct larder_placement_slot {
    pthread_mutex_t mutex;            /* a leaf: nothing is locked under it */
    struct larder_placement *current; /* guarded by mutex; the slot's own reference */
};

/** Takes over the reference. @return OK or NO_MEMORY: the reference stays the caller's */
enum larder_status larder_placement_slot_init(struct larder_placement_slot *slot,
                                              struct larder_placement *placement);
/** Last and alone. */
void larder_placement_slot_clean_up(struct larder_placement_slot *slot);
/** @return the table of the moment with a reference of the caller's. Any thread */
struct larder_placement *larder_placement_slot_get(struct larder_placement_slot *slot);
/** Puts another table there and takes over its reference; who holds the old one goes on with it.
 * Any thread. */
void larder_placement_slot_replace(struct larder_placement_slot *slot,
                                   struct larder_placement *placement);

#ifdef __cplusplus
}
#endif

#endif
