/*
 * Counts calls. Totals are a table that never loses a call; counts by key are cells in a map, one
 * for every different call that was seen.
 */
#include <larder/testing.h>

#include <stdlib.h>
#include <string.h>

#include <larder/util/uthash.h>

#include "hold.h"
#include "match.h"

#define FORMS 3
#define LOWEST_STATUS LARDER_CLOSED
#define STATUSES (LARDER_WOULD_BLOCK - LOWEST_STATUS + 1)

/* What makes calls different, but for the key. */
struct kind {
    uint8_t operation;
    uint8_t form;   /* 0 to FORMS - 1 */
    uint8_t status; /* from LOWEST_STATUS on */
    uint8_t name_length;
};

struct cell {
    UT_hash_handle hh;
    uint64_t calls;
    size_t key_length;
    struct kind kind;      /* what is hashed begins here: kind, namespace, key */
    unsigned char bytes[]; /* the namespace's, then the key's */
};

struct larder_counting {
    struct larder_observer observer; /* set in new(), then only read, as is keys_max */
    size_t keys_max;
    struct hold hold;
    struct { /* touched only while holding `hold` */
        uint64_t totals[LARDER_OPERATIONS][FORMS][STATUSES];
        struct cell *cells;
        uint64_t lost;
    } guarded;
};

/* ---- kinds --------------------------------------------------------------------------------- */

static struct kind kind_of(const struct larder_observed *call)
{
    struct kind kind = {(uint8_t)call->operation, (uint8_t)(call->form / 2),
                        (uint8_t)(call->status - LOWEST_STATUS), (uint8_t)call->name_space.length};
    return kind;
}

/* The call that a kind stands for. */
static struct larder_observed call_of(struct kind kind)
{
    struct larder_observed call = {sizeof(call),
                                   1u << kind.form,
                                   (enum larder_operation)kind.operation,
                                   LARDER_SET,
                                   (enum larder_status)(kind.status + LOWEST_STATUS),
                                   0,
                                   {NULL, 0},
                                   {NULL, 0},
                                   {NULL, 0},
                                   0,
                                   0,
                                   UINT64_MAX};
    return call;
}

/* ---- counting ------------------------------------------------------------------------------ */

static struct cell *cell_new(struct kind kind, const struct larder_observed *call)
{
    struct cell *cell = malloc(sizeof(*cell) + call->name_space.length + call->key.length);
    if (cell == NULL)
        return NULL;
    memset(cell, 0, sizeof(*cell));
    cell->kind = kind;
    cell->key_length = call->key.length;
    if (call->name_space.length > 0)
        memcpy(cell->bytes, call->name_space.data, call->name_space.length);
    if (call->key.length > 0)
        memcpy(cell->bytes + call->name_space.length, call->key.data, call->key.length);
    return cell;
}

/* @return the cell of that kind and key, `cell` itself if it is the first, or NULL */
static struct cell *cell_put_locked(struct larder_counting *counting, struct cell *cell)
{
    struct cell *known;
    size_t length = sizeof(cell->kind) + cell->kind.name_length + cell->key_length;
    HASH_FIND(hh, counting->guarded.cells, &cell->kind, length, known);
    if (known != NULL)
        return known;
    if (HASH_COUNT(counting->guarded.cells) >= counting->keys_max)
        return NULL;
    HASH_ADD_KEYPTR(hh, counting->guarded.cells, &cell->kind, length, cell);
    return larder_hash_added(cell) ? cell : NULL;
}

static void count_key_locked(struct larder_counting *counting, struct cell *cell)
{
    struct cell *counted = cell != NULL ? cell_put_locked(counting, cell) : NULL;
    if (counted != NULL)
        counted->calls++;
    else
        counting->guarded.lost++;
    if (counted != cell)
        free(cell);
}

static void counting_after(void *context, struct larder_observed *call)
{
    struct larder_counting *counting = context;
    struct kind kind = kind_of(call);
    struct cell *cell = counting->keys_max > 0 ? cell_new(kind, call) : NULL;
    pthread_mutex_lock(&counting->hold.mutex);
    counting->guarded.totals[kind.operation][kind.form][kind.status]++;
    if (counting->keys_max > 0)
        count_key_locked(counting, cell);
    pthread_mutex_unlock(&counting->hold.mutex);
}

/* ---- asking -------------------------------------------------------------------------------- */

static uint64_t count_totals_locked(const struct larder_counting *counting,
                                    const struct larder_match *match)
{
    uint64_t count = 0;
    for (uint8_t operation = 0; operation < LARDER_OPERATIONS; operation++)
        for (uint8_t form = 0; form < FORMS; form++)
            for (uint8_t status = 0; status < STATUSES; status++) {
                struct larder_observed call = call_of((struct kind){operation, form, status, 0});
                if (larder__match(match, &call))
                    count += counting->guarded.totals[operation][form][status];
            }
    return count;
}

static uint64_t count_cells_locked(const struct larder_counting *counting,
                                   const struct larder_match *match)
{
    uint64_t count = 0;
    for (const struct cell *cell = counting->guarded.cells; cell != NULL; cell = cell->hh.next) {
        struct larder_observed call = call_of(cell->kind);
        call.name_space = larder_bytes(cell->bytes, cell->kind.name_length);
        call.key = larder_bytes(cell->bytes + cell->kind.name_length, cell->key_length);
        if (larder__match(match, &call))
            count += cell->calls;
    }
    return count;
}

uint64_t larder_counting_count(struct larder_counting *counting, const struct larder_match *match)
{
    pthread_mutex_lock(&counting->hold.mutex);
    uint64_t count = larder__match_by_key(match) ? count_cells_locked(counting, match)
                                                 : count_totals_locked(counting, match);
    pthread_mutex_unlock(&counting->hold.mutex);
    return count;
}

uint64_t larder_counting_lost(struct larder_counting *counting)
{
    pthread_mutex_lock(&counting->hold.mutex);
    uint64_t lost = counting->guarded.lost;
    pthread_mutex_unlock(&counting->hold.mutex);
    return lost;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void counting_hold(void *context, int held)
{
    larder__hold(&((struct larder_counting *)context)->hold, held);
}

struct larder_counting *larder_counting_new(size_t keys_max)
{
    struct larder_counting *counting = calloc(1, sizeof(*counting));
    if (counting == NULL)
        return NULL;
    if (!larder__hold_init(&counting->hold)) {
        free(counting);
        return NULL;
    }
    counting->keys_max = keys_max;
    counting->observer.struct_size = sizeof(counting->observer);
    counting->observer.name = "counting";
    counting->observer.context = counting;
    counting->observer.after = counting_after;
    counting->observer.hold = counting_hold;
    return counting;
}

const struct larder_observer *larder_counting_observer(const struct larder_counting *counting)
{
    return &counting->observer;
}

void larder_counting_reset(struct larder_counting *counting)
{
    struct cell *cell, *next;
    pthread_mutex_lock(&counting->hold.mutex);
    HASH_ITER(hh, counting->guarded.cells, cell, next)
    {
        HASH_DEL(counting->guarded.cells, cell);
        free(cell);
    }
    memset(&counting->guarded, 0, sizeof(counting->guarded));
    pthread_mutex_unlock(&counting->hold.mutex);
}

void larder_counting_free(struct larder_counting *counting)
{
    if (counting == NULL)
        return;
    larder_counting_reset(counting);
    larder__hold_clean_up(&counting->hold);
    free(counting);
}
