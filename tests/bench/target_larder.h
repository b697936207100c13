/* larder as an application uses it: included by target.h. */
#ifndef BENCH_TARGET_LARDER_H
#define BENCH_TARGET_LARDER_H

#include <string.h>

#include <larder/larder.h>

#include "plan.h"

struct target {
    struct larder_cache *opened; /* to be closed */
    struct larder_cache *cache;  /* the same, or a namespace of it */
};

struct target_thread {
    struct larder_cache *cache; /* the target's, or a session */
    struct larder_cache *session;
    struct larder_row *rows; /* for target_many() */
    size_t key_bytes;
    size_t value_bytes;
    int64_t ttl_ms;
};

static inline enum target_outcome target_outcome_of(enum larder_status status)
{
    if (status == LARDER_OK)
        return TARGET_HIT;
    return status == LARDER_MISS ? TARGET_MISS : TARGET_FAILED;
}

static inline enum target_outcome target_read(struct target_thread *thread, const char *key,
                                              void *buffer)
{
    return target_outcome_of(larder_read(thread->cache, larder_bytes(key, thread->key_bytes),
                                         buffer, thread->value_bytes, NULL));
}

static inline enum target_outcome target_get(struct target_thread *thread, const char *key,
                                             uint64_t *word)
{
    struct larder_value value;
    value.info.want = 0;
    enum larder_status status =
        larder_get(thread->cache, larder_bytes(key, thread->key_bytes), &value);
    if (status == LARDER_OK && value.bytes.length >= sizeof(*word))
        memcpy(word, value.bytes.data, sizeof(*word));
    larder_value_release(&value);
    return target_outcome_of(status);
}

static inline enum target_outcome target_set(struct target_thread *thread, const char *key,
                                             const void *value)
{
    return target_outcome_of(larder_set(thread->cache, larder_bytes(key, thread->key_bytes),
                                        larder_bytes(value, thread->value_bytes), thread->ttl_ms));
}

/** `count` keys in a row; value i goes to buffers + i * value_bytes. */
static inline void target_many(struct target_thread *thread, const char *keys, size_t count,
                               char *buffers, enum target_outcome *outcomes)
{
    for (size_t i = 0; i < count; i++) {
        thread->rows[i].key = larder_bytes(keys + i * thread->key_bytes, thread->key_bytes);
        thread->rows[i].buffer = buffers + i * thread->value_bytes;
        thread->rows[i].size = thread->value_bytes;
    }
    larder_read_multi(thread->cache, thread->rows, count);
    for (size_t i = 0; i < count; i++)
        outcomes[i] = target_outcome_of(thread->rows[i].status);
}

#endif
