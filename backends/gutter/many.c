/*
 * Many keys: all rows go to `of` in one call, and those that turn to the spare in another one; so
 * do the deletes of outdated copies.
 */
#include "gutter.h"

#include <larder/util/lower.h>
#include <larder/util/value.h>

/* Rows on their way to the spare. */
struct crowd {
    struct passage *passage;
    enum larder_many_kind many;
    enum larder_mode mode;
};

/* ---- which rows ---------------------------------------------------------------------------- */

typedef int choose_fn(const struct crowd *crowd, const struct larder_row *row);

static int turns(const struct crowd *crowd, const struct larder_row *row)
{
    if (crowd->many == LARDER_MANY_DELETE ||
        (crowd->many == LARDER_MANY_STORE && crowd->mode == LARDER_CAS))
        return 0;
    return larder_is_down(row->status);
}

static int is_outdated(const struct crowd *crowd, const struct larder_row *row)
{
    if (crowd->many == LARDER_MANY_DELETE)
        return larder_delete_spreads(row->status, row->write.version);
    return crowd->many == LARDER_MANY_STORE && gutter_outdates(crowd->passage, row->status);
}

static int any(const struct crowd *crowd, choose_fn *chooses, const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (chooses(crowd, larder_row_at(rows, i)))
            return 1;
    return 0;
}

/* ---- there and back ------------------------------------------------------------------------ */

static int takes_turned(struct larder_again *again, const struct larder_row *row,
                        struct larder_row *copy)
{
    const struct crowd *crowd = again->context;
    copy->write = larder_write_lowered(&row->write, crowd->passage->gutter->ttl_ms);
    return turns(crowd, row);
}

/* A row that turns gets the spare's answer. */
static void take_answer(struct larder_again *again, struct larder_row *row, struct larder_row *copy)
{
    const struct passage *passage = ((const struct crowd *)again->context)->passage;
    larder_value_release(&row->value);
    row->status = gutter_settle(passage, row->status, copy->status);
    row->value = copy->value;
    row->value.info.version = 0;
}

static int takes_dropped(struct larder_again *again, const struct larder_row *row,
                         struct larder_row *copy)
{
    copy->write.version = 0;
    return is_outdated(again->context, row);
}

/* A row that was answered stays answered, whatever becomes of the spare's copy. */
static void note_drop(struct larder_again *again, struct larder_row *row, struct larder_row *copy)
{
    struct gutter *gutter = ((const struct crowd *)again->context)->passage->gutter;
    (void)row;
    GUTTER_COUNT(gutter, drops);
    if (copy->status != LARDER_OK && copy->status != LARDER_MISS)
        gutter_spare_missed(gutter);
}

/* ---- the call ------------------------------------------------------------------------------ */

/* All of the rows are asked. */
static void run_send(void *of, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_rows *rows)
{
    struct passage *passage = of;
    struct crowd crowd = {.passage = passage, .many = many, .mode = mode};
    struct larder_again turned = {&passage->spare, many, mode, takes_turned, take_answer, &crowd};
    struct larder_again dropped = {&passage->spare, LARDER_MANY_DELETE, LARDER_SET,
                                   takes_dropped,   note_drop,          &crowd};
    int reads = many == LARDER_MANY_READ || many == LARDER_MANY_GET;
    passage->of.ops->many(&passage->of, many, mode, rows);
    if (any(&crowd, is_outdated, rows)) {
        gutter_ready_drop(passage);
        larder_rows_again(&dropped, rows);
    }
    if (any(&crowd, turns, rows) &&
        gutter_turns(passage, reads ? GUTTER_READ : GUTTER_WRITE, LARDER_UNAVAILABLE))
        larder_rows_again(&turned, rows);
}

void gutter_many(const struct larder_scope *scope, enum larder_many_kind many,
                 enum larder_mode mode, const struct larder_rows *rows)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    larder_rows_hand(rows, status, run_send, &passage, many, mode);
}
