/*
 * A program that calls libmemcached itself, as the peer of the memcached backends: one client per
 * thread on one server, the text protocol, TCP_NODELAY, everything else as it comes. No check
 * of keys, no deadline, no mark-down, no namespace, no pool: that is the point. Included by
 * target.h.
 */
#ifndef BENCH_TARGET_LIBMEMCACHED_H
#define BENCH_TARGET_LIBMEMCACHED_H

#include <stdlib.h>
#include <string.h>

#include <libmemcached/memcached.h>

#include "bare.h"

struct target {
    struct bare_server server;
};

struct target_thread {
    memcached_st *client;
    const char **keys; /* for target_many() */
    size_t *lengths;
    size_t key_bytes;
    size_t value_bytes;
    time_t expiration;
};

static inline enum target_outcome target_outcome_of(memcached_return_t result)
{
    if (result == MEMCACHED_SUCCESS)
        return TARGET_HIT;
    return result == MEMCACHED_NOTFOUND ? TARGET_MISS : TARGET_FAILED;
}

/* Copies at most `size` bytes out of what the library allocates for every value. */
static inline enum target_outcome target_fetch(struct target_thread *thread, const char *key,
                                               void *out, size_t size)
{
    size_t length;
    uint32_t flags;
    memcached_return_t result;
    char *value = memcached_get(thread->client, key, thread->key_bytes, &length, &flags, &result);
    if (value != NULL)
        memcpy(out, value, length < size ? length : size);
    free(value);
    return target_outcome_of(result);
}

static inline enum target_outcome target_read(struct target_thread *thread, const char *key,
                                              void *buffer)
{
    return target_fetch(thread, key, buffer, thread->value_bytes);
}

static inline enum target_outcome target_get(struct target_thread *thread, const char *key,
                                             uint64_t *word)
{
    return target_fetch(thread, key, word, sizeof(*word));
}

static inline enum target_outcome target_set(struct target_thread *thread, const char *key,
                                             const void *value)
{
    return target_outcome_of(memcached_set(thread->client, key, thread->key_bytes, value,
                                           thread->value_bytes, thread->expiration, 0));
}

/** One memcached_mget(); answers come in the order of the keys, without those that missed. */
static inline void target_many(struct target_thread *thread, const char *keys, size_t count,
                               char *buffers, enum target_outcome *outcomes)
{
    for (size_t i = 0; i < count; i++) {
        thread->keys[i] = keys + i * thread->key_bytes;
        thread->lengths[i] = thread->key_bytes;
        outcomes[i] = TARGET_MISS;
    }
    memcached_return_t result =
        memcached_mget(thread->client, thread->keys, thread->lengths, count);
    memcached_result_st answer;
    memcached_result_create(thread->client, &answer);
    for (size_t i = 0; memcached_fetch_result(thread->client, &answer, &result) != NULL; i++) {
        while (i < count &&
               memcmp(thread->keys[i], memcached_result_key_value(&answer), thread->key_bytes) != 0)
            i++;
        if (i == count)
            break;
        size_t length = memcached_result_length(&answer);
        memcpy(buffers + i * thread->value_bytes, memcached_result_value(&answer),
               length < thread->value_bytes ? length : thread->value_bytes);
        outcomes[i] = TARGET_HIT;
    }
    memcached_result_free(&answer);
    for (size_t i = 0; i < count && result != MEMCACHED_END && result != MEMCACHED_NOTFOUND; i++)
        if (outcomes[i] == TARGET_MISS)
            outcomes[i] = TARGET_FAILED;
}

#endif
