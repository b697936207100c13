/* Rows of a multi call that are made again on another part. */
#include <larder/util/parts.h>

#include <stdlib.h>
#include <string.h>

#include <larder/util/value.h>

/* Rows on their way. */
struct crowd {
    struct larder_again *again;
    struct larder_row *copies;
    struct larder_row **rows; /* whose copies they are */
    size_t room, count;
    struct larder_row one_copy; /* without memory */
    struct larder_row *one_row;
};

static void make_room(struct crowd *crowd, size_t room)
{
    crowd->room = room;
    crowd->copies = room > 1 ? malloc(room * sizeof(*crowd->copies)) : NULL;
    crowd->rows = room > 1 ? malloc(room * sizeof(struct larder_row *)) : NULL;
    if (crowd->copies != NULL && crowd->rows != NULL)
        return;
    free(crowd->copies);
    free(crowd->rows);
    crowd->room = 1;
    crowd->copies = &crowd->one_copy;
    crowd->rows = &crowd->one_row;
}

static void crowd_free(struct crowd *crowd)
{
    if (crowd->copies == &crowd->one_copy)
        return;
    free(crowd->copies);
    free(crowd->rows);
}

static void copy_row(const struct larder_row *row, struct larder_row *copy)
{
    memcpy(copy, row, sizeof(*copy));
    copy->value.bytes = larder_bytes(NULL, 0);
    copy->value.owner = NULL;
    larder_info_clear(&copy->value.info);
    copy->status = LARDER_ASKED;
}

static void crowd_send(struct crowd *crowd)
{
    struct larder_again *again = crowd->again;
    struct larder_rows rows = {crowd->copies, crowd->count, sizeof(*crowd->copies)};
    if (crowd->count == 0)
        return;
    again->scope->ops->many(again->scope, again->many, again->mode, &rows);
    for (size_t i = 0; i < crowd->count; i++)
        again->answered(again, crowd->rows[i], &crowd->copies[i]);
    crowd->count = 0;
}

static void crowd_add(struct crowd *crowd, struct larder_row *row, const struct larder_row *copy)
{
    memcpy(&crowd->copies[crowd->count], copy, sizeof(*copy));
    crowd->rows[crowd->count++] = row;
    if (crowd->count == crowd->room)
        crowd_send(crowd);
}

void larder_rows_again(struct larder_again *again, const struct larder_rows *rows)
{
    struct crowd crowd = {.again = again};
    struct larder_row copy;
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        copy_row(row, &copy);
        if (!again->takes(again, row, &copy))
            continue;
        if (crowd.room == 0)
            make_room(&crowd, rows->count - i);
        crowd_add(&crowd, row, &copy);
    }
    crowd_send(&crowd);
    crowd_free(&crowd);
}
