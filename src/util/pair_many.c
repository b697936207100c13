/* The row `many` of a pair: all rows go to the leader in one call, and what follows goes to the
 * follower in one call for each thing to do there. */
#include "pair_inside.h"

#include <larder/util/value.h>

/* Rows on their way to the follower. */
struct crowd {
    struct larder_passage *passage;
    enum larder_many_kind many;
    enum larder_mode mode;
    int touches;
    int64_t touch_ttl_ms;
    enum follow follow; /* those of which this follows */
};

static const enum larder_many_kind does[] = {
    [FOLLOW_SET] = LARDER_MANY_STORE,
    [FOLLOW_TOUCH] = LARDER_MANY_TOUCH,
    [FOLLOW_LEAVE_OUT] = LARDER_MANY_DELETE,
    [FOLLOW_DELETE] = LARDER_MANY_DELETE,
};

static int takes(struct larder_again *again, const struct larder_row *row, struct larder_row *copy)
{
    const struct crowd *crowd = again->context;
    const struct larder_passage *passage = crowd->passage;
    if (larder__pair_follow_row(passage, crowd->many, crowd->mode, crowd->touches, row) !=
        crowd->follow)
        return 0;
    if (crowd->touches)
        copy->write.ttl_ms = crowd->touch_ttl_ms;
    copy->write = larder__pair_write(passage, &copy->write);
    return 1;
}

static void answered(struct larder_again *again, struct larder_row *row, struct larder_row *copy)
{
    const struct crowd *crowd = again->context;
    (void)row;
    larder__pair_settle(crowd->passage, crowd->follow, copy->key, copy->status);
}

/* Deletes come last: of a key that is named twice nothing older stays. */
static void follow_rows(struct crowd *crowd, const struct larder_rows *rows)
{
    for (enum follow follow = FOLLOW_SET; follow <= FOLLOW_DELETE; follow++) {
        struct larder_again again = {
            &crowd->passage->other, does[follow], LARDER_SET, takes, answered, crowd};
        crowd->follow = follow;
        larder_rows_again(&again, rows);
    }
}

static void run_send(void *of, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_rows *rows)
{
    struct larder_passage *passage = of;
    int reads = many == LARDER_MANY_READ || many == LARDER_MANY_GET;
    struct crowd crowd = {.passage = passage, .many = many, .mode = mode};
    passage->of.ops->many(&passage->of, many, mode, rows);
    crowd.touches = reads && larder__pair_touches(passage->scope);
    if (crowd.touches)
        crowd.touch_ttl_ms = passage->scope->call->touch_ttl_ms;
    if (passage->follows)
        follow_rows(&crowd, rows);
    if (passage->looks)
        passage->pair->kind->look(passage, many, rows);
}

void larder_pair_many(const struct larder_scope *scope, enum larder_many_kind many,
                      enum larder_mode mode, const struct larder_rows *rows)
{
    struct larder_passage passage;
    int reads = many == LARDER_MANY_READ || many == LARDER_MANY_GET;
    enum larder_status status =
        larder_pair_begin(&passage, scope, NULL, reads, !reads || larder__pair_touches(scope));
    larder_rows_hand(rows, status, run_send, &passage, many, mode);
}

struct larder_slice larder_pair_bytes(enum larder_many_kind many, const struct larder_row *row)
{
    size_t length = row->value.info.length;
    if (many == LARDER_MANY_GET)
        return row->value.bytes;
    return larder_bytes(row->buffer, length < row->size ? length : row->size);
}
