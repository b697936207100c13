/* The rows of the tracker: first what is lost of the key, then the call, then what it lost. */
#include "inside.h"

/* Makes way for a call on one key, or answers. */
#define BEGIN(passage, scope, key)                                \
    enum larder_status status = tracker_begin(&(passage), scope); \
    if (status == LARDER_OK)                                      \
        status = tracker_ready(&(passage), key);                  \
    if (status != LARDER_OK)                                      \
    return status

/* A TTL this short is meant as a delete. */
static int deletes(int64_t ttl_ms)
{
    return ttl_ms > 0 && ttl_ms <= LARDER_TRACKER_TOUCH_MS;
}

static int call_deletes(const struct larder_scope *scope)
{
    return scope->call != NULL && deletes(scope->call->touch_ttl_ms);
}

/* ---- reading ------------------------------------------------------------------------------- */

enum larder_status tracker_read(const struct larder_scope *scope, struct larder_slice key,
                                void *buffer, size_t size, struct larder_info *info)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->read(&passage.of, key, buffer, size, info);
    if (call_deletes(scope))
        tracker_note(&passage, LARDER_OPERATION_READ, key, status, 0);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_get(const struct larder_scope *scope, struct larder_slice key,
                               struct larder_value *value)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->get(&passage.of, key, value);
    if (call_deletes(scope))
        tracker_note(&passage, LARDER_OPERATION_GET, key, status, 0);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                         int64_t ttl_ms, struct larder_value *value)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->get_and_touch(&passage.of, key, ttl_ms, value);
    if (deletes(ttl_ms))
        tracker_note(&passage, LARDER_OPERATION_GET_AND_TOUCH, key, status, 0);
    tracker_carry(&passage, status);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* An add that failed has left nothing old behind; one that is UNKNOWN may come after a delete. */
static void note_store(struct passage *passage, enum larder_mode mode, struct larder_slice key,
                       enum larder_status status)
{
    if (mode != LARDER_ADD || status == LARDER_UNKNOWN)
        tracker_note(passage, LARDER_OPERATION_STORE, key, status, 1);
}

enum larder_status tracker_store(const struct larder_scope *scope, enum larder_mode mode,
                                 struct larder_slice key, const struct larder_write *write,
                                 uint64_t *version)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->store(&passage.of, mode, key, write, version);
    note_store(&passage, mode, key, status);
    tracker_carry(&passage, status);
    return status;
}

/* A delete makes up for the key itself. */
static enum larder_status remove_lost(struct passage *passage, struct larder_slice key,
                                      const struct sight *sight)
{
    struct tracker *tracker = passage->tracker;
    enum larder_status status = passage->of.ops->remove(&passage->of, key, 0);
    if (status == LARDER_OK || status == LARDER_MISS)
        (void)journal_made_up(tracker->journal, passage->of.space, key, sight,
                              tracker_now_ns(tracker), tracker->settle_ns);
    return status;
}

enum larder_status tracker_remove(const struct larder_scope *scope, struct larder_slice key,
                                  uint64_t version)
{
    struct passage passage;
    struct sight sight = {0};
    enum larder_status status = tracker_begin(&passage, scope);
    if (status == LARDER_OK)
        status = version != 0 ? tracker_ready(&passage, key) : tracker_ready_around(&passage);
    if (status == LARDER_OK && version == 0 && !passage.is_calm)
        status = journal_look(passage.tracker->journal, LOST_KEY, scope->space, key, &sight);
    if (status == LARDER_CLOSED)
        return status;
    if (status == LARDER_OK && sight.number != 0)
        status = remove_lost(&passage, key, &sight);
    else if (status == LARDER_OK)
        status = passage.of.ops->remove(&passage.of, key, version);
    tracker_note(&passage, LARDER_OPERATION_DELETE, key, status, 0);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_touch(const struct larder_scope *scope, struct larder_slice key,
                                 int64_t ttl_ms)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->touch(&passage.of, key, ttl_ms);
    if (deletes(ttl_ms))
        tracker_note(&passage, LARDER_OPERATION_TOUCH, key, status, 0);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_count(const struct larder_scope *scope, struct larder_slice key,
                                 enum larder_direction direction, uint64_t delta,
                                 const struct larder_initial *initial, uint64_t *result)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->count(&passage.of, key, direction, delta, initial, result);
    tracker_carry(&passage, status);
    return status;
}

/* ---- leases -------------------------------------------------------------------------------- */

/* A fill that is late finds its lease void, or is in time: nothing is lost with it. */

enum larder_status tracker_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                     uint32_t lease_ms, struct larder_value *value,
                                     struct larder_lease *lease)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->lease_get(&passage.of, key, lease_ms, value, lease);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                      struct larder_lease lease, const struct larder_write *write)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->lease_fill(&passage.of, key, lease, write);
    tracker_carry(&passage, status);
    return status;
}

enum larder_status tracker_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                        struct larder_lease lease)
{
    struct passage passage;
    BEGIN(passage, scope, key);
    status = passage.of.ops->lease_return(&passage.of, key, lease);
    tracker_carry(&passage, status);
    return status;
}

/* ---- many keys ----------------------------------------------------------------------------- */

static void note_row(struct passage *passage, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_row *row)
{
    int reads = many == LARDER_MANY_READ || many == LARDER_MANY_GET;
    if (many == LARDER_MANY_STORE)
        note_store(passage, mode, row->key, row->status);
    else if (many == LARDER_MANY_DELETE ||
             (many == LARDER_MANY_TOUCH && deletes(row->write.ttl_ms)) ||
             (reads && call_deletes(&passage->of)))
        tracker_note(passage, larder_many_operation(many), row->key, row->status, 0);
}

/* Rows that can't be made ready are answered, and left alone by `of`. What a delete was to do is
 * noted even so. */
static void ready_rows(struct passage *passage, enum larder_many_kind many,
                       const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        enum larder_status status = tracker_ready(passage, row->key);
        if (status == LARDER_OK)
            continue;
        row->status = status;
        if (many == LARDER_MANY_DELETE)
            tracker_note(passage, LARDER_OPERATION_DELETE, row->key, status, 0);
    }
}

static void run_send(void *of, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_rows *rows)
{
    struct passage *passage = of;
    ready_rows(passage, many, rows);
    passage->of.ops->many(&passage->of, many, mode, rows);
    for (size_t i = 0; i < rows->count; i++)
        note_row(passage, many, mode, larder_row_at(rows, i));
    tracker_carry(passage, larder_row_at(rows, 0)->status);
}

void tracker_many(const struct larder_scope *scope, enum larder_many_kind many,
                  enum larder_mode mode, const struct larder_rows *rows)
{
    struct passage passage;
    enum larder_status status = tracker_begin(&passage, scope);
    larder_rows_hand(rows, status, run_send, &passage, many, mode);
}

/* ---- the whole ----------------------------------------------------------------------------- */

enum larder_status tracker_flush(const struct larder_scope *scope)
{
    const struct larder_slice none = {NULL, 0};
    struct passage passage;
    enum larder_status status = tracker_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    uint64_t number = journal_now(passage.tracker->journal);
    status = passage.of.ops->flush(&passage.of);
    if (status == LARDER_OK)
        journal_flushed(passage.tracker->journal, scope->space, number);
    tracker_note(&passage, LARDER_OPERATION_FLUSH, none, status, 0);
    return status;
}
