/*
 * The parts of a composition: the caches that its options name. The core holds them for as long as
 * the composition is open, so that its backend knows nothing of who closes what.
 */
#ifndef LARDER_PARTS_H
#define LARDER_PARTS_H

#include <larder/backend.h>

struct namespaced;

/** All zero: none. Set while opening, then only read; named by the first client that takes the
 * composition, before the first call in a namespace. */
struct parts {
    struct larder_part *list;     /* one for each row of the type CACHE */
    struct larder_cache **caches; /* the handles; NULL where the option was not given */
    struct namespaced **named;    /* around those that don't keep namespaces apart themselves */
    unsigned char *opened;        /* 1: by larder__parts_take() itself, for nobody else */
    size_t count;
};

/**
 * Holds what the options name, and opens what they leave to their defaults.
 * @param options  complete
 * @param clock    for what is opened
 * @param message  says which option is wrong, beginning with its name
 * @return OK; BAD_ARGUMENT for what can't be a part; NO_MEMORY. On failure nothing is held
 */
enum larder_status larder__parts_take(struct parts *parts, const struct larder_backend *backend,
                                      const void *options, struct larder_clock clock,
                                      const struct larder_message *message);
/** Gives them back to whoever gave them, and closes the others: the composition was not opened. */
void larder__parts_give_back(struct parts *parts);

/** The composition is shut down: parts that nobody else uses are, too.
 * @param retires  as for larder__leaf_leave() */
void larder__parts_leave(struct parts *parts, int retires);
/** The composition is closed: parts that nobody else holds are, too. */
void larder__parts_close(struct parts *parts);

/** Makes the parts ready for calls in namespaces. A second time does nothing. @return OK or
 * NO_MEMORY */
enum larder_status larder__parts_name(struct parts *parts, uint64_t poll_ms, int generation);

/** Flushes a namespace in those parts, and theirs, that no other process shares.
 * @param kept  is left as it is; NULL: none
 * @return OK, or the failure with the lowest number */
enum larder_status larder__parts_flush_unshared(const struct parts *parts,
                                                const struct larder_space *space,
                                                const struct larder_cache *kept);

#endif
