/* Reads that are made on the copy as well, and what the two have to say. */
#include "inside.h"

#include <string.h>

/* Rows on their way to the copy. */
struct comparison {
    struct larder_passage *passage;
    enum larder_many_kind many; /* what the rows are, and so where their bytes are */
};

static int is_found(enum larder_status status)
{
    return status == LARDER_OK || status == LARDER_PARTIAL;
}

static int is_missing(enum larder_status status)
{
    return status == LARDER_MISS || status == LARDER_ABSENT;
}

/* As far as the caller has read it. */
static int is_same(const struct comparison *comparison, const struct larder_row *row,
                   const struct larder_value *copy)
{
    struct larder_slice bytes = larder_pair_bytes(comparison->many, row);
    return row->value.info.length == copy->bytes.length &&
           row->value.info.flags == copy->info.flags && bytes.length <= copy->bytes.length &&
           (bytes.length == 0 || memcmp(bytes.data, copy->bytes.data, bytes.length) == 0);
}

static void count(const struct comparison *comparison, const struct larder_row *row,
                  const struct larder_row *copy)
{
    struct shadow *shadow = (struct shadow *)comparison->passage->pair;
    if (copy->status != LARDER_OK && !is_missing(copy->status))
        SHADOW_COUNT(shadow, reads_failed);
    else if (copy->status == LARDER_OK && !is_found(row->status))
        SHADOW_COUNT(shadow, reads_extra);
    else if (copy->status != LARDER_OK && is_found(row->status))
        SHADOW_COUNT(shadow, reads_missing);
    else if (copy->status == LARDER_OK && !is_same(comparison, row, &copy->value))
        SHADOW_COUNT(shadow, reads_differ);
    else
        SHADOW_COUNT(shadow, reads_same);
}

/* What failed has nothing to compare with. */
static int takes(struct larder_again *again, const struct larder_row *row, struct larder_row *copy)
{
    const struct comparison *comparison = again->context;
    copy->value.info.want = 0;
    return (is_found(row->status) || is_missing(row->status)) &&
           larder_pair_has(comparison->passage, row->key);
}

static void answered(struct larder_again *again, struct larder_row *row, struct larder_row *copy)
{
    count(again->context, row, copy);
    larder_value_release(&copy->value);
}

void shadow_compare(struct larder_passage *passage, enum larder_many_kind many,
                    const struct larder_rows *rows)
{
    struct comparison comparison = {passage, many};
    struct larder_again again = {&passage->other, LARDER_MANY_GET, LARDER_SET,
                                 takes,           answered,        &comparison};
    larder_rows_again(&again, rows);
}
