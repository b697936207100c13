/* The inside of the shadow. */
#ifndef SHADOW_INSIDE_H
#define SHADOW_INSIDE_H

#include <larder/shadow.h>
#include <larder/util/pair.h>

enum { SHADOW_OF, SHADOW_COPY };

/* ROW(name): relaxed counters, they order nothing; of keys that are in the share */
#define SHADOW_COUNTER_TABLE(ROW)                                    \
    ROW(reads_same)    /* both have it, or neither */                \
    ROW(reads_differ)  /* both have it, with other bytes or flags */ \
    ROW(reads_missing) /* the copy has it not */                     \
    ROW(reads_extra)   /* only the copy has it */                    \
    ROW(reads_failed)  /* the copy did not say */                    \
    ROW(flushes_failed)

struct shadow {
    struct larder_pair pair; /* first */
    uint64_t share;          /* set while opening, then only read, as is what follows */
    int reads;
#define SHADOW_COUNTER_FIELD(name) _Atomic uint64_t name;
    SHADOW_COUNTER_TABLE(SHADOW_COUNTER_FIELD)
#undef SHADOW_COUNTER_FIELD
};

#define SHADOW_COUNT(shadow, name) \
    atomic_fetch_add_explicit(&(shadow)->name, 1, memory_order_relaxed)

/** Reads on the copy what was read, and counts what it has. */
void shadow_compare(struct larder_passage *passage, enum larder_many_kind many,
                    const struct larder_rows *rows);

#endif
