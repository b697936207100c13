/*
 * Many keys. Rows that a copy answers are answered first; copies of all others go to `of` in one
 * call, side by side, so that it has no row to pass over.
 */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/value.h>

/* A row that is left to `of`, and what is to be done with the answer. */
struct note {
    struct larder_row *row;
    int passes_by;              /* it was none for a copy */
    int may_leave;              /* a copy */
    enum hot_standing standing; /* HOT_ASKS: it was elected to */
    uint64_t office_ns;
    struct moment moment; /* when it was asked */
};

/* A call that reads. */
struct reading {
    struct passage *passage;
    enum larder_many_kind many;
    enum hot_form form;
    struct sight *sight;
    struct larder_row *left; /* copies of the rows that are left to `of` ... */
    struct note *notes;      /* ... and a note for each */
};

/* ---- answers from copies ------------------------------------------------------------------- */

static void row_serve(const struct reading *reading, struct larder_row *row)
{
    struct sight *sight = reading->sight;
    row->value.info = sight->info;
    if (reading->form == HOT_BYTES) {
        row->status = larder_copy_out(row->buffer, row->size, sight->bytes.data,
                                      sight->bytes.length, &row->value.info);
        hot_sight_release(sight);
        return;
    }
    row->status = LARDER_OK;
    row->value.bytes = sight->bytes;
    row->value.owner = sight->view.owner;
}

static void row_note(const struct reading *reading, struct larder_row *row,
                     enum hot_standing standing, struct note *note)
{
    struct passage *passage = reading->passage;
    note->standing = standing;
    note->office_ns = passage->office_ns;
    note->may_leave = standing == HOT_ASKS || hot_roll(passage->hot->table, passage->hot->one_in);
    if (!note->may_leave)
        return;
    note->moment = hot_moment(passage);
    row->value.info.want = hot_wants(passage);
}

/* @return 1: it is left to `of` */
static int row_begin(const struct reading *reading, struct larder_row *row, struct note *note)
{
    struct passage *passage = reading->passage;
    if (!hot_aim(passage, row->key) || !hot_may_serve(passage, row->value.info.want)) {
        note->passes_by = 1;
        return 1;
    }
    enum hot_standing standing = hot_find(passage, row->key, reading->form, reading->sight);
    if (standing == HOT_SERVES) {
        row_serve(reading, row);
        return 0;
    }
    if (standing == HOT_ASKS)
        hot_sight_release(reading->sight);
    row_note(reading, row, standing, note);
    return 1;
}

/* ---- answers of `of` ----------------------------------------------------------------------- */

static void row_keep(const struct reading *reading, const struct larder_row *row,
                     const struct note *note)
{
    struct larder_slice bytes = row->value.bytes;
    if (reading->form == HOT_BYTES)
        bytes = larder_bytes(row->buffer, row->value.info.length);
    hot_keep(reading->passage, row->key, &note->moment, bytes, &row->value.info);
}

/* A row whose buffer was too small leaves no copy. */
static void row_end(const struct reading *reading, struct larder_row *row, const struct note *note)
{
    struct passage *passage = reading->passage;
    if (note->passes_by)
        hot_passed_by(passage, row->key, row->status);
    if (!note->may_leave)
        return;
    (void)hot_aim(passage, row->key);
    passage->office_ns = note->office_ns;
    row->value.info.want = 0;
    if (row->status == LARDER_OK)
        row_keep(reading, row, note);
    if (note->standing == HOT_ASKS &&
        hot_stands(passage, row->key, row->status, reading->form, reading->sight)) {
        larder_value_release(&row->value);
        row_serve(reading, row);
    }
}

/* ---- the call ------------------------------------------------------------------------------ */

/* @return how many rows are left to `of` */
static size_t rows_begin(const struct reading *reading, const struct larder_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        struct note *note = &reading->notes[count];
        memset(note, 0, sizeof(*note));
        note->row = row;
        if (row->status != LARDER_ASKED || !row_begin(reading, row, note))
            continue;
        memcpy(&reading->left[count], row, sizeof(*row));
        count++;
    }
    return count;
}

static void rows_read(const struct reading *reading, const struct larder_rows *rows)
{
    const struct larder_scope *of = &reading->passage->of;
    const struct larder_rows left = {reading->left, rows_begin(reading, rows),
                                     sizeof(*reading->left)};
    if (left.count > 0)
        of->ops->many(of, reading->many, LARDER_SET, &left);
    for (size_t i = 0; i < left.count; i++) {
        const struct note *note = &reading->notes[i];
        note->row->status = reading->left[i].status;
        note->row->value = reading->left[i].value;
        row_end(reading, note->row, note);
    }
}

/* So many rows at a time need no memory. */
#define FEW_ROWS 16

static void rows_read_in_parts(const struct reading *whole, const struct larder_rows *rows)
{
    struct larder_row left[FEW_ROWS];
    struct note notes[FEW_ROWS];
    struct reading reading = *whole;
    reading.left = left;
    reading.notes = notes;
    for (size_t first = 0; first < rows->count; first += FEW_ROWS) {
        size_t count = rows->count - first < FEW_ROWS ? rows->count - first : FEW_ROWS;
        const struct larder_rows part = {larder_row_at(rows, first), count, rows->stride};
        rows_read(&reading, &part);
    }
}

static void run_read(struct passage *passage, enum larder_many_kind many,
                     const struct larder_rows *rows)
{
    struct sight sight;
    struct reading reading = {.passage = passage, .many = many, .sight = &sight};
    reading.form = many == LARDER_MANY_READ ? HOT_BYTES : HOT_VIEW;
    if (rows->count > FEW_ROWS) {
        reading.left = calloc(rows->count, sizeof(*reading.left));
        reading.notes = calloc(rows->count, sizeof(*reading.notes));
    }
    if (reading.left != NULL && reading.notes != NULL)
        rows_read(&reading, rows);
    else
        rows_read_in_parts(&reading, rows);
    free(reading.left);
    free(reading.notes);
}

static void run_write(struct passage *passage, enum larder_many_kind many, enum larder_mode mode,
                      const struct larder_rows *rows)
{
    passage->of.ops->many(&passage->of, many, mode, rows);
    for (size_t i = 0; i < rows->count; i++)
        hot_drop(passage, larder_row_at(rows, i)->key);
}

void hot_many(const struct larder_scope *scope, enum larder_many_kind many, enum larder_mode mode,
              const struct larder_rows *rows)
{
    struct passage passage;
    struct larder_rows run;
    size_t next = 0;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK) {
        larder_rows_refuse(rows, status);
        return;
    }
    if (many == LARDER_MANY_READ || many == LARDER_MANY_GET) {
        run_read(&passage, many, rows);
        return;
    }
    while (larder_rows_run(rows, &next, &run))
        run_write(&passage, many, mode, &run);
}
