#include "namespace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>

#include "fallback.h"
#include "generation.h"

struct namespaced {
    /* set while opening, then only read */
    struct larder_scope inner;
    struct larder_ops ops; /* complete */
    struct larder_traits traits;
    uint32_t servers;
    struct generations *generations; /* NULL: generations are off */
};

/* ---- wire keys ----------------------------------------------------------------------------- */

/* name, ':', 16 digits, ':' */
#define PREFIX_BYTES_MAX (LARDER_NAMESPACE_BYTES_MAX + 18)
#define SMALL_BYTES 320

/* One key on its way in: where it goes and how it is called there. */
struct wire {
    struct larder_scope scope;
    struct larder_slice key;
    char *allocated; /* NULL: the key lies in small */
    char small[SMALL_BYTES];
};

static size_t prefix_write(char prefix[PREFIX_BYTES_MAX + 1], const struct larder_space *space,
                           int has_generation, uint64_t generation)
{
    char number[18] = "";
    if (has_generation)
        snprintf(number, sizeof(number), "%llx:", (unsigned long long)generation);
    return (size_t)snprintf(prefix, PREFIX_BYTES_MAX + 1, "%.*s:%s", (int)space->name.length,
                            (const char *)space->name.data, number);
}

static enum larder_status wire_key_set(struct wire *wire, const char *prefix, size_t prefix_length,
                                       struct larder_slice key)
{
    char *bytes = wire->small;
    wire->allocated = NULL;
    if (prefix_length + key.length > SMALL_BYTES) {
        bytes = wire->allocated = malloc(prefix_length + key.length);
        if (bytes == NULL)
            return LARDER_NO_MEMORY;
    }
    memcpy(bytes, prefix, prefix_length);
    memcpy(bytes + prefix_length, key.data, key.length);
    wire->key = larder_bytes(bytes, prefix_length + key.length);
    return LARDER_OK;
}

static void wire_release(struct wire *wire)
{
    free(wire->allocated);
    wire->allocated = NULL;
}

static const struct namespaced *namespaced_of(const struct larder_scope *scope)
{
    return scope->self;
}

/* The same call, on the backend below. */
static struct larder_scope inner_scope(const struct larder_scope *scope)
{
    struct larder_scope inner = *scope;
    inner.ops = namespaced_of(scope)->inner.ops;
    inner.self = namespaced_of(scope)->inner.self;
    inner.space = NULL;
    return inner;
}

/* The same call with one deadline for all its steps: reading generations, server after server. */
static struct larder_scope timed_scope(const struct larder_scope *scope)
{
    struct larder_scope timed = *scope;
    uint32_t timeout_ms = namespaced_of(scope)->traits.timeout_ms;
    if (timeout_ms != 0)
        timed.deadline_ns = larder_scope_deadline(scope, timeout_ms);
    return timed;
}

/* Where name:key is placed. */
static enum larder_status wire_place(const struct larder_scope *scope, struct larder_slice key,
                                     struct wire *wire, uint32_t *server)
{
    char prefix[PREFIX_BYTES_MAX + 1];
    *server = 0;
    wire->allocated = NULL;
    wire->scope = inner_scope(scope);
    if (namespaced_of(scope)->servers == 1)
        return LARDER_OK;
    enum larder_status status =
        wire_key_set(wire, prefix, prefix_write(prefix, scope->space, 0, 0), key);
    if (status != LARDER_OK)
        return status;
    *server = wire->scope.ops->place(&wire->scope, wire->key);
    wire->scope.server = *server + 1;
    wire_release(wire);
    return LARDER_OK;
}

static enum larder_status wire_generation(const struct larder_scope *scope, uint32_t server,
                                          uint64_t *generation)
{
    const struct namespaced *namespaced = namespaced_of(scope);
    struct larder_scope inner = inner_scope(scope);
    inner.space = scope->space;
    return larder__generation_find(namespaced->generations, &inner, server, namespaced->servers,
                                   generation);
}

/* On OK the caller uses wire->scope and wire->key, then wire_release(). */
static enum larder_status wire_set(const struct larder_scope *scope, struct larder_slice key,
                                   struct wire *wire)
{
    char prefix[PREFIX_BYTES_MAX + 1];
    uint32_t server;
    uint64_t generation = 0;
    int has_generation = namespaced_of(scope)->generations != NULL;
    struct larder_scope timed = timed_scope(scope);
    enum larder_status status = wire_place(&timed, key, wire, &server);
    if (status == LARDER_OK && has_generation)
        status = wire_generation(&timed, server, &generation);
    if (status == LARDER_OK)
        status = wire_key_set(wire, prefix,
                              prefix_write(prefix, scope->space, has_generation, generation), key);
    return status;
}

/* ---- operations on one key ----------------------------------------------------------------- */

/* Each is its inner call with the wire key. */
#define FORWARD(row, ...)                                       \
    struct wire wire;                                           \
    enum larder_status status = wire_set(scope, key, &wire);    \
    if (status == LARDER_OK) {                                  \
        status = wire.scope.ops->row(&wire.scope, __VA_ARGS__); \
        wire_release(&wire);                                    \
    }                                                           \
    return status

static enum larder_status namespaced_read(const struct larder_scope *scope, struct larder_slice key,
                                          void *buffer, size_t size, struct larder_info *info)
{
    FORWARD(read, wire.key, buffer, size, info);
}

static enum larder_status namespaced_get(const struct larder_scope *scope, struct larder_slice key,
                                         struct larder_value *value)
{
    FORWARD(get, wire.key, value);
}

static enum larder_status namespaced_store(const struct larder_scope *scope, enum larder_mode mode,
                                           struct larder_slice key,
                                           const struct larder_write *write, uint64_t *version)
{
    FORWARD(store, mode, wire.key, write, version);
}

static enum larder_status namespaced_remove(const struct larder_scope *scope,
                                            struct larder_slice key, uint64_t version)
{
    FORWARD(remove, wire.key, version);
}

static enum larder_status namespaced_touch(const struct larder_scope *scope,
                                           struct larder_slice key, int64_t ttl_ms)
{
    FORWARD(touch, wire.key, ttl_ms);
}

static enum larder_status namespaced_get_and_touch(const struct larder_scope *scope,
                                                   struct larder_slice key, int64_t ttl_ms,
                                                   struct larder_value *value)
{
    FORWARD(get_and_touch, wire.key, ttl_ms, value);
}

static enum larder_status namespaced_count(const struct larder_scope *scope,
                                           struct larder_slice key, enum larder_direction direction,
                                           uint64_t delta, const struct larder_initial *initial,
                                           uint64_t *result)
{
    FORWARD(count, wire.key, direction, delta, initial, result);
}

static enum larder_status namespaced_lease_get(const struct larder_scope *scope,
                                               struct larder_slice key, uint32_t lease_ms,
                                               struct larder_value *value,
                                               struct larder_lease *lease)
{
    FORWARD(lease_get, wire.key, lease_ms, value, lease);
}

static enum larder_status namespaced_lease_fill(const struct larder_scope *scope,
                                                struct larder_slice key, struct larder_lease lease,
                                                const struct larder_write *write)
{
    FORWARD(lease_fill, wire.key, lease, write);
}

static enum larder_status namespaced_lease_return(const struct larder_scope *scope,
                                                  struct larder_slice key,
                                                  struct larder_lease lease)
{
    FORWARD(lease_return, wire.key, lease);
}

static enum larder_status namespaced_wire_key(const struct larder_scope *scope,
                                              struct larder_slice key, void *buffer, size_t size,
                                              size_t *length)
{
    FORWARD(wire_key, wire.key, buffer, size, length);
}

/* ---- many keys ----------------------------------------------------------------------------- */

/* A row on its way in. */
struct wired_row {
    struct larder_row *outer;
    struct larder_slice key;
    uint32_t server;
};

/* What stands before every key on one server, in one call. */
struct prefix {
    int is_set;
    enum larder_status status;
    size_t length;
    char bytes[PREFIX_BYTES_MAX + 1];
};

/* A multi call under way: all of its rows at once, so that a server is asked once. */
struct batch {
    const struct larder_scope *scope;
    struct wired_row *wired; /* the rows that are asked */
    size_t count;
    struct larder_row *inner; /* those of one server */
    struct prefix *prefixes;  /* one a server */
    char *keys;               /* all wire keys, one after the other */
};

static const struct prefix *prefix_of(struct batch *batch, uint32_t server)
{
    const struct namespaced *namespaced = namespaced_of(batch->scope);
    struct prefix *prefix = &batch->prefixes[server];
    if (prefix->is_set)
        return prefix;
    uint64_t generation = 0;
    int has_generation = namespaced->generations != NULL;
    prefix->is_set = 1;
    prefix->status =
        has_generation ? wire_generation(batch->scope, server, &generation) : LARDER_OK;
    prefix->length = prefix_write(prefix->bytes, batch->scope->space, has_generation, generation);
    return prefix;
}

/* Writes a row's wire key at `at`. @return its length; 0: the row was answered */
static size_t wire_row(struct batch *batch, struct larder_row *row, char *at)
{
    struct wired_row *wired = &batch->wired[batch->count];
    struct wire wire;
    enum larder_status status = wire_place(batch->scope, row->key, &wire, &wired->server);
    const struct prefix *prefix = status == LARDER_OK ? prefix_of(batch, wired->server) : NULL;
    if (status == LARDER_OK)
        status = prefix->status;
    if (status != LARDER_OK) {
        row->status = status;
        return 0;
    }
    memcpy(at, prefix->bytes, prefix->length);
    memcpy(at + prefix->length, row->key.data, row->key.length);
    wired->outer = row;
    wired->key = larder_bytes(at, prefix->length + row->key.length);
    batch->count++;
    return wired->key.length;
}

static void wire_rows(struct batch *batch, const struct larder_rows *rows)
{
    char *at = batch->keys;
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            at += wire_row(batch, larder_row_at(rows, i), at);
}

static struct larder_row row_with_key(const struct larder_row *outer, struct larder_slice key)
{
    struct larder_row row;
    memcpy(&row, outer, sizeof(row));
    row.key = key;
    row.status = LARDER_ASKED;
    return row;
}

/* The rows of one server go out together. */
static void send_server(const struct batch *batch, uint32_t server, enum larder_many_kind many,
                        enum larder_mode mode)
{
    struct larder_scope scope = inner_scope(batch->scope);
    size_t used = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->wired[i].server == server)
            batch->inner[used++] = row_with_key(batch->wired[i].outer, batch->wired[i].key);
    if (used == 0)
        return;
    if (namespaced_of(batch->scope)->servers > 1)
        scope.server = server + 1;
    struct larder_rows some = {batch->inner, used, sizeof(*batch->inner)};
    scope.ops->many(&scope, many, mode, &some);
    used = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->wired[i].server == server) {
            batch->wired[i].outer->status = batch->inner[used].status;
            batch->wired[i].outer->value = batch->inner[used++].value;
        }
}

static void refuse_rows(const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            larder_row_at(rows, i)->status = LARDER_NO_MEMORY;
}

static size_t key_bytes(const struct larder_rows *rows)
{
    size_t bytes = 1;
    for (size_t i = 0; i < rows->count; i++)
        if (larder_row_at(rows, i)->status == LARDER_ASKED)
            bytes += PREFIX_BYTES_MAX + larder_row_at(rows, i)->key.length;
    return bytes;
}

static void namespaced_many(const struct larder_scope *scope, enum larder_many_kind many,
                            enum larder_mode mode, const struct larder_rows *rows)
{
    uint32_t servers = namespaced_of(scope)->servers;
    struct larder_scope timed = timed_scope(scope);
    struct batch batch = {.scope = &timed,
                          .wired = calloc(rows->count, sizeof(*batch.wired)),
                          .inner = calloc(rows->count, sizeof(*batch.inner)),
                          .prefixes = calloc(servers, sizeof(*batch.prefixes)),
                          .keys = malloc(key_bytes(rows))};
    if (batch.wired == NULL || batch.inner == NULL || batch.prefixes == NULL ||
        batch.keys == NULL) {
        refuse_rows(rows);
    } else {
        wire_rows(&batch, rows);
        for (uint32_t server = 0; server < servers; server++)
            send_server(&batch, server, many, mode);
    }
    free(batch.wired);
    free(batch.inner);
    free(batch.prefixes);
    free(batch.keys);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum larder_status namespaced_flush(const struct larder_scope *scope)
{
    const struct namespaced *namespaced = namespaced_of(scope);
    struct larder_scope timed = timed_scope(scope);
    struct larder_scope inner = inner_scope(&timed);
    inner.space = scope->space;
    if (namespaced->generations == NULL)
        return LARDER_UNSUPPORTED;
    return larder__generation_raise(namespaced->generations, &inner, namespaced->servers);
}

static void namespaced_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct larder_scope inner = inner_scope(scope);
    inner.ops->stats(&inner, out);
}

static enum larder_status namespaced_purge(const struct larder_scope *scope, uint32_t budget_ms,
                                           uint64_t *next_due_ms)
{
    struct larder_scope inner = inner_scope(scope);
    return inner.ops->purge(&inner, budget_ms, next_due_ms);
}

static enum larder_status namespaced_acquire(const struct larder_scope *scope,
                                             struct larder_session *session)
{
    struct larder_scope inner = inner_scope(scope);
    return inner.ops->acquire(&inner, session);
}

static void namespaced_release(const struct larder_scope *scope, struct larder_session *session)
{
    struct larder_scope inner = inner_scope(scope);
    inner.ops->release(&inner, session);
}

static uint32_t namespaced_servers(const struct larder_scope *scope)
{
    return namespaced_of(scope)->servers;
}

static uint32_t namespaced_place(const struct larder_scope *scope, struct larder_slice key)
{
    struct wire wire;
    uint32_t server;
    /* out of memory: any server is as good as another, the call itself will say NO_MEMORY */
    return wire_place(scope, key, &wire, &server) == LARDER_OK ? server : 0;
}

static struct larder_ops namespaced_ops(const char *name)
{
    struct larder_ops ops = {
        .version = LARDER_BACKEND_VERSION,
        .size = sizeof(struct larder_ops),
        .name = name,
        .read = namespaced_read,
        .get = namespaced_get,
        .store = namespaced_store,
        .remove = namespaced_remove,
        .touch = namespaced_touch,
        .get_and_touch = namespaced_get_and_touch,
        .count = namespaced_count,
        .lease_get = namespaced_lease_get,
        .lease_fill = namespaced_lease_fill,
        .lease_return = namespaced_lease_return,
        .many = namespaced_many,
        .flush = namespaced_flush,
        .stats = namespaced_stats,
        .purge = namespaced_purge,
        .wire_key = namespaced_wire_key,
        .acquire = namespaced_acquire,
        .release = namespaced_release,
        .servers = namespaced_servers,
        .place = namespaced_place,
    };
    return ops;
}

/* Flushing needs a counter and a way to start it. */
static struct larder_traits namespaced_traits(const struct larder_traits *inner, int generation)
{
    struct larder_traits traits = *inner;
    traits.can |= LARDER_CAN_NAMESPACES;
    traits.can &= ~(uint64_t)(LARDER_CAN_FLUSH | LARDER_CAN_KEYS);
    traits.steps &= ~(uint64_t)(LARDER_CAN_FLUSH | LARDER_CAN_KEYS);
    if (generation && larder_can(inner, LARDER_CAN_COUNT | LARDER_CAN_ADD)) {
        traits.steps |= LARDER_CAN_FLUSH;
        if (inner->timeout_ms == 0) /* then each step has a time of its own that nobody knows */
            traits.promises &= ~(uint64_t)LARDER_HARD_DEADLINE;
    }
    return traits;
}

struct namespaced *larder__namespaced_new(const struct larder_scope *inner,
                                          const struct larder_traits *traits,
                                          struct larder_clock clock, uint64_t poll_ms,
                                          int generation)
{
    struct namespaced *namespaced = calloc(1, sizeof(*namespaced));
    if (namespaced == NULL)
        return NULL;
    namespaced->inner = *inner;
    namespaced->traits = namespaced_traits(traits, generation);
    namespaced->servers = inner->ops->servers(inner);
    struct larder_ops own = namespaced_ops(inner->ops->name);
    larder__ops_complete(&own, &namespaced->ops);
    if (generation && larder_can(&namespaced->traits, LARDER_CAN_FLUSH)) {
        namespaced->generations = larder__generations_new(clock, poll_ms);
        if (namespaced->generations == NULL) {
            free(namespaced);
            return NULL;
        }
    }
    return namespaced;
}

void larder__namespaced_free(struct namespaced *namespaced)
{
    if (namespaced == NULL)
        return;
    larder__generations_free(namespaced->generations);
    free(namespaced);
}

struct larder_scope larder__namespaced_scope(struct namespaced *namespaced)
{
    struct larder_scope scope = namespaced->inner;
    scope.ops = &namespaced->ops;
    scope.self = namespaced;
    return scope;
}

const struct larder_traits *larder__namespaced_traits(const struct namespaced *namespaced)
{
    return &namespaced->traits;
}
