/* The inside of ephemeral. */
#ifndef EPHEMERAL_INSIDE_H
#define EPHEMERAL_INSIDE_H

#include <stdatomic.h>

#include <larder/ephemeral.h>
#include <larder/util/parts.h>

struct ephemeral {
    atomic_int gate; /* first; enum larder_gate */
    /* set while opening, then only read */
    const struct larder_part *parts; /* one */
    struct larder_traits traits;
    int64_t ttl_ms;
};

/** One call on its way. On the stack of its thread. */
struct passage {
    struct ephemeral *ephemeral;
    struct larder_scope of;
    struct larder_call call; /* the options of the call, lowered */
};

/** @return OK or CLOSED */
enum larder_status ephemeral_begin(struct passage *passage, const struct larder_scope *scope);

larder_read_fn ephemeral_read;
larder_get_fn ephemeral_get;
larder_store_fn ephemeral_store;
larder_remove_fn ephemeral_remove;
larder_touch_fn ephemeral_touch;
larder_get_and_touch_fn ephemeral_get_and_touch;
larder_count_fn ephemeral_count;
larder_lease_get_fn ephemeral_lease_get;
larder_lease_fill_fn ephemeral_lease_fill;
larder_lease_return_fn ephemeral_lease_return;
larder_many_fn ephemeral_many;

#endif
