/*
 * What larder_describe() tells of a client's handles. It stays readable while handles are led
 * elsewhere, so it is kept apart from where they led to: equal ones once, and until the client is
 * closed only what somebody was shown.
 */
#ifndef LARDER_DESCRIPTION_H
#define LARDER_DESCRIPTION_H

#include <stdatomic.h>

#include <larder/traits.h>

/** In its client's list, all of which the client's mutex guards but for what says otherwise. */
struct description {
    struct larder_traits traits; /* first; constant */
    struct description *next;
    uint32_t users;
    /* Relaxed: set on a visit of a handle that leads to a user; read when that user is freed, which
     * the end of the visit comes before. */
    _Atomic uint32_t shown;
};

/** The one with these traits, made if need be, with one user more. @return NULL: no memory */
struct description *larder__description_find(struct description **list,
                                             const struct larder_traits *traits);
/** NULL does nothing. */
void larder__description_leave(struct description **list, struct description *description);
/** @param traits  of a description */
void larder__description_show(const struct larder_traits *traits);
void larder__descriptions_free(struct description **list);

#endif
