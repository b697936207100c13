/* What the load generator asks for: every package, those that most others depend on first, drawn
 * with Zipf's law, as visitors do. */
#ifndef PACKAGES_CATALOGUE_H
#define PACKAGES_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "database.h"

struct catalogue_entry {
    int64_t id;
    char *name;
    char *synopsis; /* before the demo's first edit */
};

/* Made once, then only read. */
struct catalogue {
    struct catalogue_entry *entries;
    double *weights; /* cumulative; the last is the sum of all */
    size_t count;
    int64_t largest_id;
};

int catalogue_load(struct catalogue *catalogue, struct database *database);
void catalogue_free(struct catalogue *catalogue);
/** Draws one. @param random  the caller's state, not 0 */
const struct catalogue_entry *catalogue_draw(const struct catalogue *catalogue, uint64_t *random);
/** 64 bits. Source: Marsaglia's xorshift64, with Vigna's multiplier (2016). */
uint64_t catalogue_random(uint64_t *state);

#endif
