/*
 * A loop that somebody wrote for one server by hand, as the peer of meta: one blocking socket for
 * each thread, one buffer for what goes out and one for what comes in, and the requests that meta
 * sends for the same calls. It checks that a reply is the wanted one, fits and ends as it must; no
 * key, no deadline, no mark-down, no pool, and one server: that is the point. Included by target.h.
 *
 * As bare-meta many keys go out as one mg each, all at once; as bare-meta-classic as one get line.
 */
#ifndef BENCH_TARGET_META_H
#define BENCH_TARGET_META_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bare.h"

struct target {
    struct bare_server server;
    int classic;
};

struct target_thread {
    int descriptor;
    int classic;
    uint32_t opaque; /* of the last request */
    char *output;
    char *input; /* what came and is not taken yet: from start to end */
    size_t input_size;
    size_t start;
    size_t end;
    size_t key_bytes;
    size_t value_bytes;
    time_t expiration;
};

/* ---- what goes out ------------------------------------------------------------------------- */

static inline char *target_append(char *at, const void *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

static inline char *target_append_opaque(struct target_thread *thread, char *at)
{
    uint32_t number = ++thread->opaque;
    int shift = 28;
    *at++ = 'O';
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[number >> shift & 15];
    return at;
}

/* "mg key k O1 f v" */
static inline char *target_append_mg(struct target_thread *thread, char *at, const char *key)
{
    at = target_append(at, "mg ", 3);
    at = target_append(at, key, thread->key_bytes);
    at = target_append(at, " k ", 3);
    at = target_append_opaque(thread, at);
    return target_append(at, " f v\r\n", 6);
}

/* "ms key 100 O1 T60 c", the value */
static inline char *target_append_ms(struct target_thread *thread, char *at, const char *key,
                                     const void *value)
{
    at = target_append(at, "ms ", 3);
    at = target_append(at, key, thread->key_bytes);
    at += sprintf(at, " %zu ", thread->value_bytes);
    at = target_append_opaque(thread, at);
    if (thread->expiration != 0)
        at += sprintf(at, " T%lld", (long long)thread->expiration);
    at = target_append(at, " c\r\n", 4);
    at = target_append(at, value, thread->value_bytes);
    return target_append(at, "\r\n", 2);
}

static inline int target_send(struct target_thread *thread, const char *end)
{
    size_t length = (size_t)(end - thread->output);
    return send(thread->descriptor, thread->output, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* ---- what comes in ------------------------------------------------------------------------- */

static inline int target_receive(struct target_thread *thread)
{
    size_t left = thread->end - thread->start;
    if (left == 0 || thread->end == thread->input_size) {
        memmove(thread->input, thread->input + thread->start, left);
        thread->start = 0;
        thread->end = left;
    }
    ssize_t got =
        recv(thread->descriptor, thread->input + thread->end, thread->input_size - thread->end, 0);
    thread->end += got > 0 ? (size_t)got : 0;
    return got > 0; /* nothing fits, and nothing comes, where a line is too long */
}

/* The next line, which stays until the next target_receive(); NULL on failure. */
static inline const char *target_line(struct target_thread *thread)
{
    for (;;) {
        char *line = thread->input + thread->start;
        char *end = memchr(line, '\n', thread->end - thread->start);
        if (end != NULL) {
            thread->start += (size_t)(end - line) + 1;
            return line;
        }
        if (!target_receive(thread))
            return NULL;
    }
}

/* The value behind a line that told its length: its first `size` bytes. */
static inline enum target_outcome target_value(struct target_thread *thread, unsigned long length,
                                               void *out, size_t size)
{
    if (length > thread->value_bytes)
        return TARGET_FAILED;
    while (thread->end - thread->start < length + 2)
        if (!target_receive(thread))
            return TARGET_FAILED;
    const char *value = thread->input + thread->start;
    memcpy(out, value, length < size ? length : size);
    thread->start += length + 2;
    return memcmp(value + length, "\r\n", 2) == 0 ? TARGET_HIT : TARGET_FAILED;
}

/* "VA 100 kkey O1 f0" and a value, or "EN" */
static inline enum target_outcome target_take_mg(struct target_thread *thread, void *out,
                                                 size_t size)
{
    const char *line = target_line(thread);
    if (line != NULL && memcmp(line, "VA ", 3) == 0)
        return target_value(thread, strtoul(line + 3, NULL, 10), out, size);
    return line != NULL && memcmp(line, "EN\r\n", 4) == 0 ? TARGET_MISS : TARGET_FAILED;
}

/* ---- calls --------------------------------------------------------------------------------- */

static inline enum target_outcome target_fetch(struct target_thread *thread, const char *key,
                                               void *out, size_t size)
{
    if (!target_send(thread, target_append_mg(thread, thread->output, key)))
        return TARGET_FAILED;
    return target_take_mg(thread, out, size);
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
    if (!target_send(thread, target_append_ms(thread, thread->output, key, value)))
        return TARGET_FAILED;
    const char *line = target_line(thread);
    return line != NULL && memcmp(line, "HD ", 3) == 0 ? TARGET_HIT : TARGET_FAILED;
}

static inline void target_many_meta(struct target_thread *thread, const char *keys, size_t count,
                                    char *buffers, enum target_outcome *outcomes)
{
    char *at = thread->output;
    for (size_t i = 0; i < count; i++)
        at = target_append_mg(thread, at, keys + i * thread->key_bytes);
    int sent = target_send(thread, at);
    for (size_t i = 0; i < count; i++) {
        void *buffer = buffers + i * thread->value_bytes;
        outcomes[i] = sent ? target_take_mg(thread, buffer, thread->value_bytes) : TARGET_FAILED;
    }
}

/* "VALUE key 0 100" and a value for each hit, in the order of the keys, then "END".
 * @return 0 on failure */
static inline int target_take_get(struct target_thread *thread, const char *keys, size_t count,
                                  char *buffers, enum target_outcome *outcomes)
{
    for (size_t i = 0;; i++) {
        char *flags;
        const char *line = target_line(thread);
        if (line == NULL || memcmp(line, "VALUE ", 6) != 0)
            return line != NULL && memcmp(line, "END\r\n", 5) == 0;
        while (i < count && memcmp(keys + i * thread->key_bytes, line + 6, thread->key_bytes) != 0)
            i++;
        if (i == count)
            return 0;
        strtoul(line + 6 + thread->key_bytes, &flags, 10);
        outcomes[i] = target_value(thread, strtoul(flags, NULL, 10),
                                   buffers + i * thread->value_bytes, thread->value_bytes);
    }
}

static inline void target_many_classic(struct target_thread *thread, const char *keys, size_t count,
                                       char *buffers, enum target_outcome *outcomes)
{
    char *at = target_append(thread->output, "get", 3);
    for (size_t i = 0; i < count; i++) {
        *at++ = ' ';
        at = target_append(at, keys + i * thread->key_bytes, thread->key_bytes);
        outcomes[i] = TARGET_MISS;
    }
    if (target_send(thread, target_append(at, "\r\n", 2)) &&
        target_take_get(thread, keys, count, buffers, outcomes))
        return;
    for (size_t i = 0; i < count; i++)
        outcomes[i] = TARGET_FAILED;
}

static inline void target_many(struct target_thread *thread, const char *keys, size_t count,
                               char *buffers, enum target_outcome *outcomes)
{
    if (thread->classic)
        target_many_classic(thread, keys, count, buffers, outcomes);
    else
        target_many_meta(thread, keys, count, buffers, outcomes);
}

#endif
