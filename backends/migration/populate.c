/*
 * Reads that are added to the other side. Between reading an entry and adding it somebody may
 * delete or overwrite it, on both sides, and the old value would stay on the other one. So the
 * entry is read once more when it was added, and deleted there when it is no longer the same: a
 * write that comes later reaches the side that answers after that look, and the other side after
 * that. Where the other side answers by then, what was added is deleted.
 */
#include "inside.h"

#include <string.h>

#include <larder/util/lower.h>
#include <larder/util/value.h>

/* How many entries are on their way together; on the stack. */
#define CHUNK 16
/* A TTL that shrinks by more than a server's clock may be late was changed. */
#define SHRUNK_MS 2000

struct chunk {
    struct larder_passage *passage;
    struct larder_scope of; /* the side that answers, with what the other side gets of the call */
    struct larder_row found[CHUNK], put[CHUNK], later[CHUNK];
    size_t count;
};

/* ---- one step ------------------------------------------------------------------------------ */

/* Reads the entries of rows that are asked. */
static void read_rows(struct chunk *chunk, struct larder_row *rows)
{
    const struct larder_rows all = {rows, chunk->count, sizeof(rows[0])};
    chunk->of.ops->many(&chunk->of, LARDER_MANY_GET, LARDER_SET, &all);
}

static void row_ask(struct larder_row *row, struct larder_slice key, int is_asked, uint32_t want)
{
    memset(row, 0, sizeof(*row));
    row->key = key;
    row->status = is_asked ? LARDER_ASKED : LARDER_MISS;
    row->value.info.want = want;
    larder_info_clear(&row->value.info);
}

static struct larder_write write_of(const struct chunk *chunk, const struct larder_value *value)
{
    const struct migration *migration = (const struct migration *)chunk->passage->pair;
    int64_t ttl_ms = value->info.ttl_ms;
    if (ttl_ms == LARDER_TTL_UNKNOWN)
        ttl_ms = migration->populate_ttl_ms;
    struct larder_write write = larder_write_of(
        value->bytes, larder_ttl_lowered(ttl_ms, migration->pair.traits.ttl_max_ms));
    write.flags = value->info.flags;
    return write;
}

static void add_found(struct chunk *chunk)
{
    const struct larder_scope *other = &chunk->passage->other;
    const struct larder_rows all = {chunk->put, chunk->count, sizeof(chunk->put[0])};
    size_t value_max = chunk->passage->pair->traits.value_max;
    for (size_t i = 0; i < chunk->count; i++) {
        const struct larder_row *found = &chunk->found[i];
        int fits = found->status == LARDER_OK && found->value.bytes.length <= value_max;
        row_ask(&chunk->put[i], found->key, fits, 0);
        chunk->put[i].write = write_of(chunk, &found->value);
    }
    other->ops->many(other, LARDER_MANY_STORE, LARDER_ADD, &all);
}

/* ---- is it still the same? ----------------------------------------------------------------- */

static int has_shrunk(int64_t before_ms, int64_t ttl_ms)
{
    if (before_ms == LARDER_TTL_UNKNOWN || ttl_ms == LARDER_TTL_UNKNOWN ||
        ttl_ms == LARDER_TTL_FOREVER)
        return 0;
    return before_ms == LARDER_TTL_FOREVER || ttl_ms < before_ms - SHRUNK_MS;
}

static int is_same(const struct larder_row *found, const struct larder_row *later)
{
    const struct larder_value *before = &found->value, *after = &later->value;
    return later->status == LARDER_OK && before->info.flags == after->info.flags &&
           before->bytes.length == after->bytes.length &&
           memcmp(before->bytes.data, after->bytes.data, after->bytes.length) == 0 &&
           !has_shrunk(before->info.ttl_ms, after->info.ttl_ms);
}

/* Then writes come to the other side first, and what was just looked at may be older than they. */
static int has_switched(const struct migration *migration, const struct larder_passage *passage)
{
    int mode = atomic_load_explicit(&migration->mode, memory_order_relaxed);
    return passage->lead == MIGRATION_FROM && mode >= LARDER_MIGRATION_USE_TO_UPDATE_FROM;
}

static void undo_changed(struct chunk *chunk)
{
    struct migration *migration = (struct migration *)chunk->passage->pair;
    const struct larder_scope *other = &chunk->passage->other;
    const struct larder_rows all = {chunk->put, chunk->count, sizeof(chunk->put[0])};
    int switched = has_switched(migration, chunk->passage);
    uint64_t undone = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        struct larder_row *put = &chunk->put[i];
        if (put->status != LARDER_OK || (!switched && is_same(&chunk->found[i], &chunk->later[i])))
            continue;
        row_ask(put, put->key, 1, 0);
        undone++;
    }
    if (undone == 0)
        return;
    other->ops->many(other, LARDER_MANY_DELETE, LARDER_SET, &all);
    atomic_fetch_add_explicit(&migration->undone, undone, memory_order_relaxed);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static size_t count_added(const struct chunk *chunk)
{
    size_t added = 0;
    for (size_t i = 0; i < chunk->count; i++)
        added += chunk->put[i].status == LARDER_OK;
    return added;
}

/* An add whose outcome is not known is looked at as one that was made. */
static void look_again(struct chunk *chunk, uint32_t want)
{
    for (size_t i = 0; i < chunk->count; i++) {
        struct larder_row *put = &chunk->put[i];
        if (put->status == LARDER_UNKNOWN)
            put->status = LARDER_OK;
        row_ask(&chunk->later[i], put->key, put->status == LARDER_OK, want);
    }
    read_rows(chunk, chunk->later);
    undo_changed(chunk);
    larder_rows_release(chunk->later, chunk->count);
}

static void chunk_populate(struct chunk *chunk)
{
    struct migration *migration = (struct migration *)chunk->passage->pair;
    const struct larder_part *from = &migration->pair.parts[chunk->passage->lead];
    int tells = larder_can(chunk->of.space != NULL ? from->space_traits : from->traits,
                           LARDER_CAN_READ_TTL);
    uint32_t want = tells ? LARDER_WANT_TTL : 0;
    for (size_t i = 0; i < chunk->count; i++)
        row_ask(&chunk->found[i], chunk->found[i].key, 1, want);
    read_rows(chunk, chunk->found);
    add_found(chunk);
    atomic_fetch_add_explicit(&migration->populated, count_added(chunk), memory_order_relaxed);
    look_again(chunk, want);
    larder_rows_release(chunk->found, chunk->count);
    chunk->count = 0;
}

void migration_populate(struct larder_passage *passage, enum larder_many_kind many,
                        const struct larder_rows *rows)
{
    struct chunk chunk;
    (void)many;
    chunk.passage = passage;
    chunk.of = passage->of;
    chunk.of.call = passage->other.call;
    chunk.of.deadline_ns = passage->other.deadline_ns;
    chunk.count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_OK || row->status == LARDER_PARTIAL)
            chunk.found[chunk.count++].key = row->key;
        if (chunk.count == CHUNK)
            chunk_populate(&chunk);
    }
    if (chunk.count > 0)
        chunk_populate(&chunk);
}
