/* Leaves: opening, shutting down and closing one backend. */
#include "attach.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "fallback.h"
#include "keyspace.h"
#include "metadata.h"
#include "monotonic.h"
#include "options.h"
#include "registry.h"

struct leaf {
    struct larder_cache handle; /* first: a handle of kind HANDLE_LEAF is a leaf */
    struct target target;
    /* set while opening, then only read */
    struct larder_host host;
    struct larder_ops ops;
    struct larder_traits traits;
    void *self;         /* what calls go to: the backend, or the keyspace around it */
    void *backend_self; /* for the backend that succeeds it; NULL: attached, not opened */
    const struct larder_backend *backend; /* whose object that is */
    struct fork_hook fork;
    struct parts parts;                /* of a composition */
    struct larder_traits space_traits; /* of a composition: in a namespace */
    atomic_int owned;                  /* acq_rel and release on itself: one client takes it */
    /* acq_rel: whoever comes last sees all that the others did */
    atomic_int holders; /* that have not let go */
    atomic_int users;   /* of them, those that have not left */
    atomic_int shut;    /* one of them left at a shutdown; release and acquire on itself */
    atomic_int named;   /* space_traits are set; release and acquire on itself */
};

static struct leaf *leaf_of(struct larder_cache *handle)
{
    return (struct leaf *)(void *)handle;
}

/* What a native bit needs in the table of its backend. */
static const char *missing_row(const struct larder_traits *traits, const struct larder_ops *own)
{
    if ((traits->can & LARDER_CAN_TOUCH) != 0 && own->touch == NULL)
        return "touch";
    if ((traits->can & LARDER_CAN_COUNT) != 0 && own->count == NULL)
        return "count";
    if ((traits->can & LARDER_CAN_GET_AND_TOUCH) != 0 && own->get_and_touch == NULL)
        return "get_and_touch";
    if ((traits->can & LARDER_CAN_LEASE) != 0 &&
        (own->lease_get == NULL || own->lease_fill == NULL || own->lease_return == NULL))
        return "lease_get, lease_fill, lease_return";
    if ((traits->can & LARDER_CAN_FLUSH) != 0 && own->flush == NULL)
        return "flush";
    if ((traits->can & LARDER_CAN_KEYS) != 0 && own->keys == NULL)
        return "keys";
    if ((traits->can & LARDER_CAN_WIRE_KEY) != 0 && own->wire_key == NULL)
        return "wire_key";
    return NULL;
}

/* The first published table ends with the last row that there was then. */
#define OPS_SIZE_LEAST (offsetof(struct larder_ops, fork) + sizeof(larder_fork_fn *))

static const char *missing_requirement(const struct larder_ops *ops)
{
    if (ops->name == NULL)
        return "name";
    if (ops->read == NULL)
        return "read";
    if (ops->store == NULL)
        return "store";
    if (ops->remove == NULL)
        return "remove";
    if (ops->traits == NULL)
        return "traits";
    return ops->close == NULL ? "close" : NULL;
}

enum larder_status larder__ops_check(const struct larder_ops *ops, const char *name,
                                     const struct larder_message *message)
{
    if (ops == NULL)
        return larder_fail(message, LARDER_UNSUPPORTED, "backend %s: no table of operations", name);
    if (ops->version != LARDER_BACKEND_VERSION || ops->size < OPS_SIZE_LEAST)
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "backend %s: operations of version %u (%u bytes); this library has "
                           "version %u (%zu bytes): build both from one release",
                           name, ops->version, ops->size, LARDER_BACKEND_VERSION, sizeof(*ops));
    const char *missing = missing_requirement(ops);
    if (missing != NULL)
        return larder_fail(message, LARDER_UNSUPPORTED, "backend %s: no %s in its operations", name,
                           missing);
    return LARDER_OK;
}

/* Sets leaf->ops and leaf->traits to what leaf->self can do by these rows. */
static enum larder_status leaf_complete(struct leaf *leaf, const struct larder_ops *given,
                                        const struct larder_message *message)
{
    struct larder_ops own;
    memset(&own, 0, sizeof(own));
    memcpy(&own, given, given->size < sizeof(own) ? given->size : sizeof(own));
    larder__ops_complete(&own, &leaf->ops);
    larder__traits_complete(own.traits(leaf->self), &own, &leaf->traits);
    const char *row = missing_row(&leaf->traits, &own);
    if (row != NULL)
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "backend %s claims an operation without its row: %s", own.name, row);
    return LARDER_OK;
}

/* Puts the handle around leaf->self. */
static enum larder_status leaf_attach(struct leaf *leaf, const struct larder_ops *given,
                                      const struct larder_open_options *open_options,
                                      const struct larder_message *message)
{
    enum larder_status status = leaf_complete(leaf, given, message);
    if (status != LARDER_OK)
        return status;
    struct larder_scope scope = {&leaf->ops, leaf->self, NULL, NULL, NULL, 0, 0, 0, NULL};
    larder__target_init(&leaf->target, &scope, &leaf->traits, open_options);
    status = larder__root_init(&leaf->handle, HANDLE_LEAF, &leaf->target);
    if (status != LARDER_OK)
        return status;
    leaf->traits.ttl_max_ms = leaf->target.ttl.max_ms; /* the backend's and the options' */
    leaf->space_traits = leaf->traits;
    larder__fork_hook_add(&leaf->fork, leaf->ops.fork, leaf->self);
    return LARDER_OK;
}

/* How a leaf follows its predecessor. @return NULL: it doesn't */
static larder_succeed_fn *succession(const struct larder_backend *backend,
                                     struct predecessor predecessor)
{
    larder_succeed_fn *succeed = NULL;
    if (predecessor.leaf == NULL)
        return NULL;
    if (backend->size >= LARDER_SIZE_UP_TO(struct larder_backend, succeed))
        succeed = backend->succeed;
    if (predecessor.differs_in_servers &&
        backend->size >= LARDER_SIZE_UP_TO(struct larder_backend, relist) &&
        backend->relist != NULL)
        succeed = backend->relist;
    return succeed;
}

/* Opens the backend, and says what metadata its options declare. */
static enum larder_status open_self(struct leaf *leaf, const struct larder_backend *backend,
                                    const void *options, struct predecessor predecessor,
                                    uint32_t *metadata, const struct larder_message *message)
{
    struct larder_message own = *message;
    void *complete = calloc(1, backend->options_size + 1);
    if (complete == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = larder__options_complete(backend, options, complete, message);
    if (status == LARDER_OK)
        status = larder__parts_take(&leaf->parts, backend, complete, leaf->host.clock, message);
    leaf->host.parts = leaf->parts.list;
    leaf->host.part_count = leaf->parts.count;
    larder_succeed_fn *succeed = succession(backend, predecessor);
    const struct leaf *before = (const struct leaf *)(const void *)predecessor.leaf;
    if (status == LARDER_OK && succeed != NULL)
        status = succeed(&leaf->host, complete, before->backend_self, &own, &leaf->self);
    else if (status == LARDER_OK)
        status = backend->open(&leaf->host, complete, &own, &leaf->self);
    if (status == LARDER_OK) {
        leaf->backend_self = leaf->self;
        leaf->backend = backend;
        *metadata = larder__metadata_declared(backend, complete);
    } else {
        larder__parts_give_back(&leaf->parts);
    }
    free(complete);
    return status;
}

/* Puts a keyspace with metadata around the backend, and its rows in the place of the backend's. */
static enum larder_status leaf_wrap(struct leaf *leaf, uint32_t metadata,
                                    const struct larder_ops **ops,
                                    const struct larder_message *message)
{
    struct keyspace *keyspace;
    enum larder_status status = leaf_complete(leaf, *ops, message);
    if (status == LARDER_OK)
        status = larder__keyspace_open(&leaf->ops, leaf->self, &leaf->traits, leaf->host.clock,
                                       metadata, message, &keyspace);
    if (status != LARDER_OK)
        return status;
    leaf->self = keyspace;
    *ops = larder__keyspace_ops(keyspace);
    return LARDER_OK;
}

static enum larder_status leaf_open(struct leaf *leaf, const struct larder_backend *backend,
                                    const void *options,
                                    const struct larder_open_options *open_options,
                                    struct predecessor predecessor,
                                    const struct larder_message *message)
{
    uint32_t metadata = 0;
    const struct larder_ops *ops = backend != NULL ? backend->ops : NULL;
    enum larder_status status = larder__backend_check(backend, message);
    if (status == LARDER_OK)
        status = open_self(leaf, backend, options, predecessor, &metadata, message);
    if (status != LARDER_OK)
        return status;
    if (metadata != 0)
        status = leaf_wrap(leaf, metadata, &ops, message);
    if (status == LARDER_OK)
        status = leaf_attach(leaf, ops, open_options, message);
    if (status != LARDER_OK) {
        ops->close(leaf->self);
        larder__parts_give_back(&leaf->parts);
    }
    return status;
}

/* @return a leaf without a backend, or NULL */
static struct leaf *leaf_new(struct larder_clock clock)
{
    struct leaf *leaf = calloc(1, sizeof(*leaf));
    if (leaf == NULL)
        return NULL;
    atomic_init(&leaf->owned, 0);
    atomic_init(&leaf->holders, 0);
    atomic_init(&leaf->users, 0);
    atomic_init(&leaf->shut, 0);
    atomic_init(&leaf->named, 0);
    leaf->host = (struct larder_host){
        .version = LARDER_BACKEND_VERSION, .size = sizeof(struct larder_host), .clock = clock};
    leaf->host.coarse_clock =
        larder__clock_coarse(clock, &leaf->host.coarse_ms, &leaf->host.coarse_id);
    return leaf;
}

/* Hands out the leaf, or frees it and sees that the message says something. */
static enum larder_status leaf_finish(struct leaf *leaf, enum larder_status status,
                                      struct larder_cache **cache,
                                      const struct larder_message *message)
{
    if (status == LARDER_OK) {
        *cache = &leaf->handle;
        return LARDER_OK;
    }
    free(leaf);
    if (message->text != NULL && message->size > 0 && message->text[0] == '\0')
        larder_message_set(message, "%s", larder_status_sentence(status));
    return status;
}

/* What all ways to open begin with. */
static enum larder_status leaf_begin(const struct larder_open_options *given,
                                     struct larder_open_options *open_options,
                                     struct larder_cache **cache, struct leaf **leaf,
                                     const struct larder_message *message)
{
    larder_message_set(message, "%s", "");
    if (cache == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "cache is NULL");
    *cache = NULL;
    enum larder_status status = larder__open_options_read(given, open_options, message);
    if (status != LARDER_OK)
        return status;
    *leaf = leaf_new(open_options->clock);
    return *leaf != NULL ? LARDER_OK : larder_fail(message, LARDER_NO_MEMORY, "no memory");
}

enum larder_status larder__leaf_open(const struct larder_backend *backend, const void *options,
                                     const struct larder_open_options *given,
                                     struct predecessor predecessor, struct larder_cache **cache,
                                     char *text, size_t text_size)
{
    struct larder_message message = {text, text_size};
    struct larder_open_options open_options;
    struct leaf *leaf;
    enum larder_status status = leaf_begin(given, &open_options, cache, &leaf, &message);
    if (status != LARDER_OK)
        return status;
    status = leaf_open(leaf, backend, options, &open_options, predecessor, &message);
    return leaf_finish(leaf, status, cache, &message);
}

enum larder_status larder_open_backend(const struct larder_backend *backend, const void *options,
                                       const struct larder_open_options *given,
                                       struct larder_cache **cache, char *text, size_t text_size)
{
    return larder__leaf_open(backend, options, given, NOTHING_BEFORE, cache, text, text_size);
}

enum larder_status larder_attach(const struct larder_ops *ops, void *self,
                                 const struct larder_open_options *given,
                                 struct larder_cache **cache, char *text, size_t text_size)
{
    struct larder_message message = {text, text_size};
    struct larder_open_options open_options;
    struct leaf *leaf;
    enum larder_status status = leaf_begin(given, &open_options, cache, &leaf, &message);
    if (status != LARDER_OK)
        return status;
    leaf->self = self;
    status = larder__ops_check(ops, ops != NULL && ops->name != NULL ? ops->name : "?", &message);
    if (status == LARDER_OK)
        status = leaf_attach(leaf, ops, &open_options, &message);
    return leaf_finish(leaf, status, cache, &message);
}

enum larder_status larder_backend_object(struct larder_cache *cache,
                                         const struct larder_backend *backend, void **self)
{
    if (self != NULL)
        *self = NULL;
    if (cache == NULL || backend == NULL || self == NULL || cache->kind != HANDLE_LEAF ||
        leaf_of(cache)->backend != backend)
        return LARDER_BAD_ARGUMENT;
    if (larder__is_closed(cache))
        return LARDER_CLOSED;
    *self = leaf_of(cache)->backend_self;
    return LARDER_OK;
}

struct larder_clock larder__leaf_clock(const struct larder_cache *leaf)
{
    return ((const struct leaf *)(const void *)leaf)->host.clock;
}

/* ---- compositions -------------------------------------------------------------------------- */

const struct parts *larder__leaf_parts(const struct larder_cache *leaf)
{
    return &((const struct leaf *)(const void *)leaf)->parts;
}

const struct larder_traits *larder__leaf_space_traits(const struct larder_cache *leaf)
{
    return &((const struct leaf *)(const void *)leaf)->space_traits;
}

/* What the composition can in a namespace, when its parts are named. */
static enum larder_status compose(struct leaf *leaf)
{
    struct larder_traits traits = {.size = sizeof(traits)};
    const struct larder_traits **parts = calloc(leaf->parts.count, sizeof(*parts));
    if (parts == NULL)
        return LARDER_NO_MEMORY;
    for (size_t i = 0; i < leaf->parts.count; i++)
        parts[i] = leaf->parts.list[i].space_traits;
    leaf->ops.compose(parts, leaf->parts.count, &traits);
    traits.ttl_max_ms = leaf->traits.ttl_max_ms;
    leaf->space_traits = traits;
    free(parts);
    return LARDER_OK;
}

enum larder_status larder__leaf_name(struct larder_cache *handle, uint64_t poll_ms, int generation)
{
    struct leaf *leaf = leaf_of(handle);
    if (atomic_load_explicit(&leaf->named, memory_order_acquire))
        return LARDER_OK;
    enum larder_status status = larder__parts_name(&leaf->parts, poll_ms, generation);
    if (status == LARDER_OK && leaf->parts.count > 0 && leaf->ops.compose != NULL)
        status = compose(leaf);
    if (status == LARDER_OK)
        atomic_store_explicit(&leaf->named, 1, memory_order_release);
    return status;
}

const struct larder_cache *larder__leaf_authority(const struct larder_cache *leaf)
{
    const struct parts *parts = larder__leaf_parts(leaf);
    if (parts->count == 0)
        return leaf;
    for (size_t i = 0; i < parts->count; i++)
        if (strcmp(parts->list[i].name, "of") == 0 && parts->caches[i] != NULL)
            return larder__leaf_authority(parts->caches[i]);
    return NULL;
}

static int are_alike(const struct larder_cache *leaf, const struct larder_cache *other)
{
    return leaf != NULL && other != NULL ? larder__leaf_is_alike(leaf, other) : leaf == other;
}

int larder__leaf_is_alike(const struct larder_cache *leaf, const struct larder_cache *other)
{
    const struct leaf *one = (const struct leaf *)(const void *)leaf;
    const struct leaf *two = (const struct leaf *)(const void *)other;
    if (one == two)
        return 1;
    if (one->backend != two->backend || one->parts.count == 0)
        return 0;
    for (size_t i = 0; i < one->parts.count; i++) /* of one backend: as many */
        if (!are_alike(one->parts.caches[i], two->parts.caches[i]))
            return 0;
    return 1;
}

/* ---- ending -------------------------------------------------------------------------------- */

static void leaf_end(struct leaf *leaf, int retires)
{
    if (!larder__root_close(&leaf->handle))
        return;
    if (retires)
        leaf->ops.retire(leaf->self);
    else
        leaf->ops.shutdown(leaf->self);
    larder__parts_leave(&leaf->parts, retires);
}

void larder__leaf_shutdown(struct larder_cache *handle)
{
    leaf_end(leaf_of(handle), 0);
}

void larder__leaf_close(struct larder_cache *handle)
{
    struct leaf *leaf = leaf_of(handle);
    larder__leaf_shutdown(handle);
    larder__fork_hook_remove(&leaf->fork);
    leaf->ops.close(leaf->self);
    larder__parts_close(&leaf->parts);
    larder__root_clean_up(handle);
    free(leaf);
}

/* ---- holding ------------------------------------------------------------------------------- */

void larder__leaf_hold(struct larder_cache *leaf)
{
    atomic_fetch_add_explicit(&leaf_of(leaf)->holders, 1, memory_order_acq_rel);
    atomic_fetch_add_explicit(&leaf_of(leaf)->users, 1, memory_order_acq_rel);
}

/* Those that others left meanwhile to this one alone are ended by it. */
void larder__leaf_give_back(struct larder_cache *handle)
{
    struct leaf *leaf = leaf_of(handle);
    int is_last = atomic_fetch_sub_explicit(&leaf->users, 1, memory_order_acq_rel) == 1;
    if (is_last && atomic_load_explicit(&leaf->holders, memory_order_acquire) > 1)
        leaf_end(leaf, !atomic_load_explicit(&leaf->shut, memory_order_acquire));
    atomic_fetch_sub_explicit(&leaf->holders, 1, memory_order_acq_rel);
}

void larder__leaf_leave(struct larder_cache *handle, int retires)
{
    struct leaf *leaf = leaf_of(handle);
    if (!retires)
        atomic_store_explicit(&leaf->shut, 1, memory_order_release);
    if (atomic_fetch_sub_explicit(&leaf->users, 1, memory_order_acq_rel) == 1)
        leaf_end(leaf, !atomic_load_explicit(&leaf->shut, memory_order_acquire));
}

void larder__leaf_let_go(struct larder_cache *leaf)
{
    if (atomic_fetch_sub_explicit(&leaf_of(leaf)->holders, 1, memory_order_acq_rel) == 1)
        larder__leaf_close(leaf);
}

int larder__leaf_is_held(const struct larder_cache *leaf)
{
    const struct leaf *held = (const struct leaf *)(const void *)leaf;
    return atomic_load_explicit(&held->holders, memory_order_acquire) > 0;
}

int larder__leaf_own(struct larder_cache *leaf)
{
    return atomic_exchange_explicit(&leaf_of(leaf)->owned, 1, memory_order_acq_rel) == 0;
}

void larder__leaf_disown(struct larder_cache *leaf)
{
    atomic_store_explicit(&leaf_of(leaf)->owned, 0, memory_order_release);
}
