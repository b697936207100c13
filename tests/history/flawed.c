#include "flawed.h"

#include <larder/backend.h>
#include <larder/util/counter.h>
#include <larder/util/value.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEPT_MAX 64u
#define KEPT_BYTES 256u
#define ONCE_IN 5u /* reads, deletes, leases that go wrong */

/* A value that is kept where none should be. */
struct kept {
    unsigned char key[32];
    size_t key_length;
    unsigned char value[KEPT_BYTES];
    size_t length;
    uint64_t version;
};

struct flawed {
    struct larder_cache *inner;
    struct larder_traits traits; /* of inner, without what no actor asks for */
    enum flaw flaw;
    pthread_mutex_t lock;
    struct { /* touched only while holding lock */
        struct kept kept[KEPT_MAX];
        unsigned next; /* of kept, to be overwritten */
        unsigned calls;
    } guarded;
};

static struct flawed *flawed_of(const struct larder_scope *scope)
{
    return scope->self;
}

static int goes_wrong(struct flawed *flawed, enum flaw flaw)
{
    if (flawed->flaw != flaw)
        return 0;
    pthread_mutex_lock(&flawed->lock);
    int wrong = ++flawed->guarded.calls % ONCE_IN == 0;
    pthread_mutex_unlock(&flawed->lock);
    return wrong;
}

/* ---- what is kept -------------------------------------------------------------------------- */

/* Call with the lock held. */
static struct kept *find_kept(struct flawed *flawed, struct larder_slice key)
{
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        struct kept *kept = &flawed->guarded.kept[i];
        if (kept->key_length == key.length && memcmp(kept->key, key.data, key.length) == 0)
            return kept;
    }
    return NULL;
}

static void keep(struct flawed *flawed, struct larder_slice key, const void *value, size_t length,
                 uint64_t version)
{
    if (key.length > sizeof(flawed->guarded.kept[0].key) || length > KEPT_BYTES)
        return;
    pthread_mutex_lock(&flawed->lock);
    if (find_kept(flawed, key) == NULL) {
        struct kept *kept = &flawed->guarded.kept[flawed->guarded.next++ % KEPT_MAX];
        memcpy(kept->key, key.data, key.length);
        memcpy(kept->value, value, length);
        kept->key_length = key.length;
        kept->length = length;
        kept->version = version;
    }
    pthread_mutex_unlock(&flawed->lock);
}

/* @return 1 and a copy, if something is kept */
static int recall(struct flawed *flawed, struct larder_slice key, struct kept *copy)
{
    pthread_mutex_lock(&flawed->lock);
    const struct kept *kept = find_kept(flawed, key);
    if (kept != NULL)
        *copy = *kept;
    pthread_mutex_unlock(&flawed->lock);
    return kept != NULL;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static enum larder_status flawed_read(const struct larder_scope *scope, struct larder_slice key,
                                      void *buffer, size_t size, struct larder_info *info)
{
    struct flawed *flawed = flawed_of(scope);
    struct larder_info told = {.want = LARDER_WANT_VERSION};
    struct kept old;
    enum larder_status status = larder_read(flawed->inner, key, buffer, size, &told);
    if (goes_wrong(flawed, FLAW_STALE_READ) && recall(flawed, key, &old)) {
        told.version = old.version;
        status = larder_copy_out(buffer, size, old.value, old.length, &told);
    } else if (status == LARDER_OK && flawed->flaw == FLAW_STALE_READ) {
        keep(flawed, key, buffer, told.length, told.version);
    }
    if (info != NULL)
        *info = told;
    return status;
}

static enum larder_status flawed_get(const struct larder_scope *scope, struct larder_slice key,
                                     struct larder_value *value)
{
    return larder_get(flawed_of(scope)->inner, key, value);
}

/* cas as it is written by who has none: look, then set. */
static enum larder_status cas_in_two_steps(struct flawed *flawed, struct larder_slice key,
                                           const struct larder_write *write)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    enum larder_status status = larder_read(flawed->inner, key, NULL, 0, &info);
    if (status != LARDER_PARTIAL)
        return status;
    if (info.version != write->version)
        return LARDER_CONFLICT;
    sched_yield();
    return larder_set(flawed->inner, key, write->value, write->ttl_ms);
}

static enum larder_status flawed_store(const struct larder_scope *scope, enum larder_mode mode,
                                       struct larder_slice key, const struct larder_write *write,
                                       uint64_t *version)
{
    struct flawed *flawed = flawed_of(scope);
    struct larder_write longer = *write;
    if (mode == LARDER_CAS && flawed->flaw == FLAW_LOST_UPDATE)
        return cas_in_two_steps(flawed, key, write);
    if (flawed->flaw == FLAW_LIVES_ON && write->ttl_ms != LARDER_TTL_FOREVER)
        longer.ttl_ms++;
    return larder_store(flawed->inner, mode, key, &longer, version);
}

/* As by the write of somebody who read before the delete, and was slow. */
static enum larder_status flawed_remove(const struct larder_scope *scope, struct larder_slice key,
                                        uint64_t version)
{
    struct flawed *flawed = flawed_of(scope);
    unsigned char old[KEPT_BYTES];
    struct larder_info info = {0};
    enum larder_status was = LARDER_MISS;
    int comes_back = goes_wrong(flawed, FLAW_COMES_BACK);
    if (comes_back)
        was = larder_read(flawed->inner, key, old, sizeof(old), &info);
    enum larder_status status = larder_delete(flawed->inner, key, version);
    if (comes_back && was == LARDER_OK && status == LARDER_OK)
        (void)!larder_set(flawed->inner, key, larder_bytes(old, info.length), LARDER_TTL_FOREVER);
    return status;
}

static enum larder_status flawed_touch(const struct larder_scope *scope, struct larder_slice key,
                                       int64_t ttl_ms)
{
    return larder_touch(flawed_of(scope)->inner, key, ttl_ms);
}

static enum larder_status flawed_get_and_touch(const struct larder_scope *scope,
                                               struct larder_slice key, int64_t ttl_ms,
                                               struct larder_value *value)
{
    return larder_get_and_touch(flawed_of(scope)->inner, key, ttl_ms, value);
}

/* Counting as it is written by who has no counters: read, add, set. */
static enum larder_status count_in_two_steps(struct flawed *flawed, struct larder_slice key,
                                             uint64_t delta, const struct larder_initial *initial,
                                             uint64_t *result)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    struct larder_info info = {.want = LARDER_WANT_TTL};
    uint64_t number = initial->value;
    int64_t ttl_ms = initial->ttl_ms;
    if (larder_read(flawed->inner, key, text, sizeof(text), &info) == LARDER_OK) {
        (void)larder_counter_parse(larder_bytes(text, info.length), &number);
        ttl_ms = info.ttl_ms;
    }
    sched_yield();
    *result = number + delta;
    return larder_set(flawed->inner, key, larder_bytes(text, larder_counter_format(*result, text)),
                      ttl_ms);
}

static enum larder_status flawed_count(const struct larder_scope *scope, struct larder_slice key,
                                       enum larder_direction direction, uint64_t delta,
                                       const struct larder_initial *initial, uint64_t *result)
{
    struct flawed *flawed = flawed_of(scope);
    if (flawed->flaw == FLAW_LOST_UPDATE && initial != NULL)
        return count_in_two_steps(flawed, key, delta, initial, result);
    return larder_count(flawed->inner, key, direction, delta, initial, result);
}

static enum larder_status flawed_lease_get(const struct larder_scope *scope,
                                           struct larder_slice key, uint32_t lease_ms,
                                           struct larder_value *value, struct larder_lease *lease)
{
    struct flawed *flawed = flawed_of(scope);
    enum larder_status status = larder_lease_get(flawed->inner, key, lease_ms, value, lease);
    if (status == LARDER_MISS && lease->token == 0 && goes_wrong(flawed, FLAW_TWO_LEASES))
        lease->token = 1;
    return status;
}

static enum larder_status flawed_lease_fill(const struct larder_scope *scope,
                                            struct larder_slice key, struct larder_lease lease,
                                            const struct larder_write *write)
{
    return larder_lease_fill(flawed_of(scope)->inner, key, lease, write);
}

static enum larder_status flawed_lease_return(const struct larder_scope *scope,
                                              struct larder_slice key, struct larder_lease lease)
{
    return larder_lease_return(flawed_of(scope)->inner, key, lease);
}

static enum larder_status flawed_flush(const struct larder_scope *scope)
{
    return larder_flush(flawed_of(scope)->inner);
}

static const struct larder_traits *flawed_traits(const void *self)
{
    const struct flawed *flawed = self;
    return &flawed->traits;
}

static void flawed_close(void *self)
{
    struct flawed *flawed = self;
    larder_close(flawed->inner);
    pthread_mutex_destroy(&flawed->lock);
    free(flawed);
}

static const struct larder_ops flawed_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "flawed",
    .read = flawed_read,
    .store = flawed_store,
    .remove = flawed_remove,
    .traits = flawed_traits,
    .close = flawed_close,
    .get = flawed_get,
    .touch = flawed_touch,
    .get_and_touch = flawed_get_and_touch,
    .count = flawed_count,
    .lease_get = flawed_lease_get,
    .lease_fill = flawed_lease_fill,
    .lease_return = flawed_lease_return,
    .flush = flawed_flush,
};

struct larder_cache *flawed_open(struct larder_cache *inner, enum flaw flaw)
{
    struct larder_cache *cache = NULL;
    struct flawed *flawed = calloc(1, sizeof(*flawed));
    char message[256] = "";
    assert_non_null(flawed);
    flawed->inner = inner;
    flawed->flaw = flaw;
    flawed->traits = *larder_describe(inner);
    flawed->traits.can &= ~(uint64_t)(LARDER_CAN_KEYS | LARDER_CAN_NAMESPACES);
    pthread_mutex_init(&flawed->lock, NULL);
    if (larder_attach(&flawed_ops, flawed, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
    return cache;
}
