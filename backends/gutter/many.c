/*
 * Many keys: all rows go to `of` in one call, and those that turn to the spare in another one; so
 * do the deletes of outdated copies.
 */
#include "gutter.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/value.h>

/* Rows on their way to the spare. Without memory they go one at a time. */
struct crowd {
    struct passage *passage;
    enum larder_many_kind many;
    enum larder_mode mode;
    struct larder_row *rows; /* copies */
    struct larder_row **of;  /* whose copies they are */
    size_t room, count;
};

/* ---- which rows ---------------------------------------------------------------------------- */

typedef int choose_fn(const struct crowd *crowd, const struct larder_row *row);

static int turns(const struct crowd *crowd, const struct larder_row *row)
{
    if (crowd->many == LARDER_MANY_DELETE ||
        (crowd->many == LARDER_MANY_STORE && crowd->mode == LARDER_CAS))
        return 0;
    return gutter_is_down(row->status);
}

static int is_outdated(const struct crowd *crowd, const struct larder_row *row)
{
    if (crowd->many == LARDER_MANY_DELETE)
        return gutter_deletes(row->status, row->write.version);
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

/* A row that turns gets the spare's answer. */
static void take_answer(struct larder_row *row, const struct larder_row *copy)
{
    row->status = gutter_settle(row->status, copy->status);
    row->value = copy->value;
    row->value.info.version = 0;
}

static void send_turned(struct crowd *crowd)
{
    struct passage *passage = crowd->passage;
    struct larder_rows rows = {crowd->rows, crowd->count, sizeof(*crowd->rows)};
    passage->spare.ops->many(&passage->spare, crowd->many, crowd->mode, &rows);
    for (size_t i = 0; i < crowd->count; i++)
        take_answer(crowd->of[i], &crowd->rows[i]);
}

/* A row that was answered stays answered, whatever becomes of the spare's copy. */
static void send_dropped(struct crowd *crowd)
{
    struct passage *passage = crowd->passage;
    struct larder_rows rows = {crowd->rows, crowd->count, sizeof(*crowd->rows)};
    passage->spare.ops->many(&passage->spare, LARDER_MANY_DELETE, LARDER_SET, &rows);
    for (size_t i = 0; i < crowd->count; i++) {
        GUTTER_COUNT(passage->gutter, drops);
        if (crowd->rows[i].status != LARDER_OK && crowd->rows[i].status != LARDER_MISS)
            gutter_spare_missed(passage->gutter);
    }
}

static void copy_row(struct crowd *crowd, struct larder_row *row, int is_drop)
{
    struct larder_row *copy = &crowd->rows[crowd->count];
    larder_value_release(&row->value);
    memcpy(copy, row, sizeof(*copy));
    larder_info_clear(&copy->value.info);
    copy->status = LARDER_ASKED;
    copy->write.ttl_ms = gutter_lower(crowd->passage->gutter, row->write.ttl_ms);
    if (is_drop)
        copy->write.version = 0;
    crowd->of[crowd->count++] = row;
}

static void send_chosen(struct crowd *crowd, choose_fn *chooses, const struct larder_rows *rows,
                        void (*send)(struct crowd *crowd))
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (chooses(crowd, row))
            copy_row(crowd, row, send == send_dropped);
        if (crowd->count > 0 && (crowd->count == crowd->room || i + 1 == rows->count)) {
            send(crowd);
            crowd->count = 0;
        }
    }
}

static void send_again(struct crowd *crowd, choose_fn *chooses, const struct larder_rows *rows,
                       void (*send)(struct crowd *crowd))
{
    struct larder_row one_row, *one_of;
    crowd->room = rows->count;
    crowd->rows = calloc(crowd->room, sizeof(*crowd->rows));
    crowd->of = calloc(crowd->room, sizeof(struct larder_row *));
    struct larder_row *rows_there = crowd->rows;
    struct larder_row **of_there = crowd->of;
    if (rows_there == NULL || of_there == NULL) {
        crowd->room = 1;
        crowd->rows = &one_row;
        crowd->of = &one_of;
    }
    send_chosen(crowd, chooses, rows, send);
    free(rows_there);
    free(of_there);
}

/* ---- the call ------------------------------------------------------------------------------ */

/* All of the rows are asked. */
static void run_send(struct passage *passage, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_rows *rows)
{
    struct crowd crowd = {.passage = passage, .many = many, .mode = mode};
    int reads = many == LARDER_MANY_READ || many == LARDER_MANY_GET;
    passage->of.ops->many(&passage->of, many, mode, rows);
    if (any(&crowd, is_outdated, rows)) {
        gutter_ready_drop(passage);
        send_again(&crowd, is_outdated, rows, send_dropped);
    }
    if (any(&crowd, turns, rows) &&
        gutter_turns(passage, reads ? GUTTER_READ : GUTTER_WRITE, LARDER_UNAVAILABLE))
        send_again(&crowd, turns, rows, send_turned);
}

void gutter_many(const struct larder_scope *scope, enum larder_many_kind many,
                 enum larder_mode mode, const struct larder_rows *rows)
{
    struct passage passage;
    enum larder_status status = gutter_begin(&passage, scope);
    if (status != LARDER_OK) {
        larder_rows_refuse(rows, status);
        return;
    }
    size_t next = 0;
    struct larder_rows run;
    while (larder_rows_run(rows, &next, &run))
        run_send(&passage, many, mode, &run);
}
