/* The rows of a pair for one key, and for the whole. */
#include "pair_inside.h"

#include <larder/util/value.h>

/* Makes way for a call, or answers. */
#define BEGIN(passage, scope, key, reads, writes)                                                 \
    enum larder_status status = larder_pair_begin(&(passage), (scope), (key), (reads), (writes)); \
    if (status != LARDER_OK)                                                                      \
    return status

/* ---- reading ------------------------------------------------------------------------------- */

/* What comes after a read. @param row  as a multi call would have answered it */
static void after_read(struct larder_passage *passage, enum larder_many_kind many, int touches,
                       int64_t touch_ttl_ms, struct larder_row *row)
{
    const struct larder_write touch = {.ttl_ms = touch_ttl_ms};
    enum follow follow = larder__pair_follow_row(passage, many, LARDER_SET, touches, row);
    larder__pair_follow(passage, follow, row->key, &touch);
    const struct larder_rows rows = {row, 1, sizeof(*row)};
    if (passage->looks && larder_pair_has(passage, row->key))
        passage->pair->kind->look(passage, many, &rows);
}

static int64_t touch_ttl_of(const struct larder_scope *scope)
{
    return larder__pair_touches(scope) ? scope->call->touch_ttl_ms : 0;
}

enum larder_status larder_pair_read(const struct larder_scope *scope, struct larder_slice key,
                                    void *buffer, size_t size, struct larder_info *info)
{
    struct larder_passage passage;
    struct larder_info own = {0};
    int touches = larder__pair_touches(scope);
    BEGIN(passage, scope, &key, 1, touches);
    if (info == NULL && passage.looks)
        info = &own;
    status = passage.of.ops->read(&passage.of, key, buffer, size, info);
    if (passage.follows || passage.looks) {
        struct larder_row row = {.key = key, .status = status, .buffer = buffer, .size = size};
        if (info != NULL)
            row.value.info = *info;
        after_read(&passage, LARDER_MANY_READ, touches, touch_ttl_of(scope), &row);
    }
    return status;
}

static void after_get(struct larder_passage *passage, int touches, int64_t ttl_ms,
                      struct larder_slice key, enum larder_status status,
                      const struct larder_value *value)
{
    struct larder_row row = {.key = key, .status = status, .value = *value};
    if (passage->follows || passage->looks)
        after_read(passage, LARDER_MANY_GET, touches, ttl_ms, &row);
}

enum larder_status larder_pair_get(const struct larder_scope *scope, struct larder_slice key,
                                   struct larder_value *value)
{
    struct larder_passage passage;
    int touches = larder__pair_touches(scope);
    BEGIN(passage, scope, &key, 1, touches);
    status = passage.of.ops->get(&passage.of, key, value);
    after_get(&passage, touches, touch_ttl_of(scope), key, status, value);
    return status;
}

enum larder_status larder_pair_get_and_touch(const struct larder_scope *scope,
                                             struct larder_slice key, int64_t ttl_ms,
                                             struct larder_value *value)
{
    struct larder_passage passage;
    BEGIN(passage, scope, &key, 1, 1);
    status = passage.of.ops->get_and_touch(&passage.of, key, ttl_ms, value);
    after_get(&passage, 1, ttl_ms, key, status, value);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* What comes after a write of `many`'s kind. */
static void after_write(struct larder_passage *passage, enum larder_many_kind many,
                        enum larder_mode mode, struct larder_slice key, enum larder_status status,
                        const struct larder_write *write)
{
    const struct larder_row row = {.key = key, .status = status, .write = *write};
    enum follow follow = larder__pair_follow_row(passage, many, mode, 0, &row);
    larder__pair_follow(passage, follow, key, write);
}

enum larder_status larder_pair_store(const struct larder_scope *scope, enum larder_mode mode,
                                     struct larder_slice key, const struct larder_write *write,
                                     uint64_t *version)
{
    struct larder_passage passage;
    BEGIN(passage, scope, &key, 0, 1);
    status = passage.of.ops->store(&passage.of, mode, key, write, version);
    after_write(&passage, LARDER_MANY_STORE, mode, key, status, write);
    return status;
}

enum larder_status larder_pair_remove(const struct larder_scope *scope, struct larder_slice key,
                                      uint64_t version)
{
    struct larder_passage passage;
    const struct larder_write write = {.version = version};
    BEGIN(passage, scope, &key, 0, 1);
    status = passage.of.ops->remove(&passage.of, key, version);
    after_write(&passage, LARDER_MANY_DELETE, LARDER_SET, key, status, &write);
    return status;
}

enum larder_status larder_pair_touch(const struct larder_scope *scope, struct larder_slice key,
                                     int64_t ttl_ms)
{
    struct larder_passage passage;
    const struct larder_write write = {.ttl_ms = ttl_ms};
    BEGIN(passage, scope, &key, 0, 1);
    status = passage.of.ops->touch(&passage.of, key, ttl_ms);
    after_write(&passage, LARDER_MANY_TOUCH, LARDER_SET, key, status, &write);
    return status;
}

/* The number is known, but not its TTL: to the follower it is as a value that was joined on. */
enum larder_status larder_pair_count(const struct larder_scope *scope, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    struct larder_passage passage;
    const struct larder_write none = {0};
    BEGIN(passage, scope, &key, 0, 1);
    status = passage.of.ops->count(&passage.of, key, direction, delta, initial, result);
    after_write(&passage, LARDER_MANY_STORE, LARDER_APPEND, key, status, &none);
    return status;
}

/* ---- leases -------------------------------------------------------------------------------- */

enum larder_status larder_pair_lease_get(const struct larder_scope *scope, struct larder_slice key,
                                         uint32_t lease_ms, struct larder_value *value,
                                         struct larder_lease *lease)
{
    struct larder_passage passage;
    BEGIN(passage, scope, &key, 1, 0);
    status = passage.of.ops->lease_get(&passage.of, key, lease_ms, value, lease);
    larder_lease_sign(lease, passage.lead);
    after_get(&passage, 0, 0, key, status, value);
    return status;
}

/* The follower leads: each gets the other's place in time and the other's form of the options. */
static void turn_round(struct larder_passage *passage)
{
    struct larder_scope of = passage->of, other = passage->other;
    passage->of = other;
    passage->of.call = of.call;
    passage->of.deadline_ns = of.deadline_ns;
    passage->other = of;
    passage->other.call = other.call;
    passage->other.deadline_ns = other.deadline_ns;
    passage->lead = !passage->lead;
}

/* Makes way for a call with a lease, which leads to the part that gave it. One of a part that has
 * no part in writes any more is void: nobody has told it what was written since. */
static enum larder_status lease_begin(struct larder_passage *passage,
                                      const struct larder_scope *scope, struct larder_lease lease)
{
    enum larder_status status = larder_pair_begin(passage, scope, NULL, 0, 1);
    unsigned part = larder_lease_part(lease);
    if (status != LARDER_OK || part == passage->lead)
        return status;
    if (!passage->follows)
        return LARDER_CONFLICT;
    turn_round(passage);
    return LARDER_OK;
}

enum larder_status larder_pair_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                          struct larder_lease lease,
                                          const struct larder_write *write)
{
    struct larder_passage passage;
    enum larder_status status = lease_begin(&passage, scope, lease);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->lease_fill(&passage.of, key, larder_lease_unsigned(lease), write);
    after_write(&passage, LARDER_MANY_STORE, LARDER_SET, key, status, write);
    return status;
}

enum larder_status larder_pair_lease_return(const struct larder_scope *scope,
                                            struct larder_slice key, struct larder_lease lease)
{
    struct larder_passage passage;
    enum larder_status status = lease_begin(&passage, scope, lease);
    return status == LARDER_OK
               ? passage.of.ops->lease_return(&passage.of, key, larder_lease_unsigned(lease))
               : status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

enum larder_status larder_pair_keys(const struct larder_scope *scope, struct larder_cursor *cursor,
                                    void *buffer, size_t size, struct larder_slice *keys,
                                    size_t capacity, size_t *count)
{
    struct larder_passage passage;
    BEGIN(passage, scope, NULL, 0, 0);
    return passage.of.ops->keys(&passage.of, cursor, buffer, size, keys, capacity, count);
}

enum larder_status larder_pair_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, size_t *length)
{
    struct larder_passage passage;
    BEGIN(passage, scope, NULL, 0, 0);
    return passage.of.ops->wire_key(&passage.of, key, buffer, size, length);
}

/* Figures and housekeeping are no matter of a session, which may hold nothing of the follower. */
static struct larder_scope without_session(const struct larder_scope *scope)
{
    struct larder_scope plain = *scope;
    plain.session = NULL;
    return plain;
}

void larder_pair_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct larder_pair *pair = scope->self;
    struct larder_scope plain = without_session(scope);
#define COUNTER_STAT(name) \
    larder_stat_add(out, #name, atomic_load_explicit(&pair->name, memory_order_relaxed));
    LARDER_PAIR_COUNTER_TABLE(COUNTER_STAT)
#undef COUNTER_STAT
    larder_parts_stats(&plain, pair->parts, LARDER_PAIR_PARTS, out);
}

enum larder_status larder_pair_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                     uint64_t *next_due_ms)
{
    const struct larder_pair *pair = scope->self;
    struct larder_scope plain = without_session(scope);
    return larder_parts_purge(&plain, pair->parts, LARDER_PAIR_PARTS, budget_ms, next_due_ms);
}

/* Of how many parts a session holds something. */
static size_t held(const struct larder_pair *pair)
{
    return pair->kind->only_copies ? 1 : LARDER_PAIR_PARTS;
}

enum larder_status larder_pair_acquire(const struct larder_scope *scope,
                                       struct larder_session *session)
{
    const struct larder_pair *pair = scope->self;
    return larder_parts_acquire(scope, pair->parts, held(pair), session);
}

void larder_pair_release(const struct larder_scope *scope, struct larder_session *session)
{
    const struct larder_pair *pair = scope->self;
    larder_parts_release(scope, pair->parts, held(pair), session);
}

const struct larder_traits *larder_pair_traits(const void *self)
{
    return &((const struct larder_pair *)self)->traits;
}
