/*
 * Caches with a bug, to see that the checker finds it: wrappers around a cache that is right, each
 * wrong in one way that real caches have been.
 */
#ifndef TESTS_FLAWED_H
#define TESTS_FLAWED_H

#include <larder/larder.h>

enum flaw {
    FLAW_NONE,        /* the wrapper itself does no harm */
    FLAW_STALE_READ,  /* now and then a read answers what an older read saw */
    FLAW_LOST_UPDATE, /* cas and count are a read, a pause, and a set */
    FLAW_COMES_BACK,  /* a while after a delete the value is there again */
    FLAW_LIVES_ON,    /* an entry outlives its TTL by a millisecond */
    FLAW_TWO_LEASES   /* now and then a second caller gets a lease */
};

/** Wraps `inner`, which the wrapper owns then. Fails the cmocka test if it can't. */
struct larder_cache *flawed_open(struct larder_cache *inner, enum flaw flaw);

#endif
