/* The inside of a placement table. */
#ifndef UTIL_PLACEMENT_H
#define UTIL_PLACEMENT_H

#include <larder/util/placement.h>

#include <stdatomic.h>

/* "[host]:65535" or an identity, before "-" and a number. */
#define NAME_BYTES (LARDER_SERVER_HOST_BYTES + 16u)

/* The beginning of an arc of a ring. A 32-bit hash stands in the high half. */
struct point {
    uint64_t high;
    uint64_t low; /* of a 128-bit hash; else 0 */
    uint32_t server;
};

struct seat {
    uint64_t seed; /* the hash of its identity */
    uint32_t weight;
};

struct larder_placement { /* constant but for the count of its references */
    enum larder_placement_method method;
    uint32_t count;
    int weighted; /* some weight is not 1 */
    larder_placement_fn *place;
    void *context;
    struct point *points; /* of a ring, ascending */
    size_t point_count;
    _Atomic uint32_t references;
    struct seat seats[]; /* one per server */
};

/** What a server is called on the ring of a method. @return the length */
size_t larder__placement_name(enum larder_placement_method method,
                              const struct larder_placement_server *server, char name[NAME_BYTES]);
/** @return OK; TOO_LARGE; NO_MEMORY */
enum larder_status larder__ring_make(struct larder_placement *placement,
                                     const struct larder_placement_options *options);
uint32_t larder__ring_place(const struct larder_placement *placement, struct larder_slice key);

#endif
