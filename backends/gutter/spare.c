/* What a gutter remembers of its spare. */
#include "gutter.h"

#include <stdlib.h>

#include <larder/util/deadline.h>

struct spare *gutter_spare_new(void)
{
    struct spare *spare = calloc(1, sizeof(*spare));
    if (spare == NULL)
        return NULL;
    atomic_init(&spare->users, 1);
    atomic_init(&spare->holds_until_ns, 0);
    atomic_init(&spare->unread_until_ns, 0);
    return spare;
}

struct spare *gutter_spare_share(struct spare *spare)
{
    atomic_fetch_add_explicit(&spare->users, 1, memory_order_relaxed);
    return spare;
}

void gutter_spare_release(struct spare *spare)
{
    /* acq_rel: the last one frees it after all the others are done with it */
    if (atomic_fetch_sub_explicit(&spare->users, 1, memory_order_acq_rel) == 1)
        free(spare);
}

static uint64_t now_ns(const struct gutter *gutter)
{
    return gutter->clock.now_ns(gutter->clock.context);
}

/* A moment only moves on. */
static void move(_Atomic uint64_t *until_ns, uint64_t to_ns)
{
    uint64_t there = atomic_load_explicit(until_ns, memory_order_relaxed);
    while (there < to_ns &&
           !atomic_compare_exchange_weak_explicit(until_ns, &there, to_ns, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static int is_past(const struct gutter *gutter, const _Atomic uint64_t *until_ns)
{
    uint64_t there = atomic_load_explicit(until_ns, memory_order_relaxed);
    return there == 0 || now_ns(gutter) >= there;
}

void gutter_spare_holds(struct gutter *gutter)
{
    move(&gutter->spare->holds_until_ns, larder_deadline_after(now_ns(gutter), gutter->linger_ms));
}

int gutter_spare_may_hold(const struct gutter *gutter)
{
    return !is_past(gutter, &gutter->spare->holds_until_ns);
}

void gutter_spare_missed(struct gutter *gutter)
{
    GUTTER_COUNT(gutter, drops_missed);
    move(&gutter->spare->unread_until_ns, larder_deadline_after(now_ns(gutter), gutter->linger_ms));
}

int gutter_spare_may_be_read(const struct gutter *gutter)
{
    return is_past(gutter, &gutter->spare->unread_until_ns);
}
