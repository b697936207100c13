/* Values that own their bytes: in one block with their owner, or adopted from malloc(). */
#include <larder/util/value.h>

#include <stdlib.h>
#include <string.h>

#include "kept.h"

/* Where AddressSanitizer watches none are kept, so that it finds who reads what was released. */
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_MAX 0u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEPT_MAX 0u
#endif
#endif
#ifndef KEPT_MAX
#define KEPT_MAX 16u /* a thread */
#endif
#define KEPT_BYTES 240u /* longer values are copied for longer than malloc() takes */

/* A block that is kept when it is released. */
struct larder_kept {
    struct larder_owner owner; /* first: a pointer to it is a pointer to the block */
    struct larder_kept *next;
    unsigned char bytes[KEPT_BYTES];
};

struct copied_value {
    struct larder_owner owner; /* first: a pointer to it is a pointer to the block */
    unsigned char bytes[];
};

struct adopted_value {
    struct larder_owner owner;
    void *data;
};

static void copied_release(struct larder_owner *owner)
{
    free(owner);
}

static void kept_release(struct larder_owner *owner)
{
    struct larder_kept *block = (struct larder_kept *)(void *)owner;
    struct larder_thread *thread = larder__own_thread;
    if (thread == NULL || thread->kept_count >= KEPT_MAX) {
        free(block);
        return;
    }
    block->next = thread->kept;
    thread->kept = block;
    thread->kept_count++;
}

/* One that is kept, or a new one. @return NULL: no memory */
static struct larder_kept *kept_take(void)
{
    struct larder_thread *thread = larder__own_thread;
    struct larder_kept *block = thread != NULL ? thread->kept : NULL;
    if (block == NULL) {
        block = malloc(sizeof(*block));
        if (block != NULL)
            block->owner.release = kept_release;
        return block;
    }
    thread->kept = block->next;
    thread->kept_count--;
    return block;
}

void larder_values_trim(void)
{
    if (larder__own_thread != NULL)
        larder__kept_free(larder__own_thread);
}

void larder__kept_free(struct larder_thread *thread)
{
    struct larder_kept *block = thread->kept;
    while (block != NULL) {
        struct larder_kept *next = block->next;
        free(block);
        block = next;
    }
    thread->kept = NULL;
    thread->kept_count = 0;
}

static void adopted_release(struct larder_owner *owner)
{
    struct adopted_value *adopted = (struct adopted_value *)(void *)owner;
    free(adopted->data);
    free(adopted);
}

static void value_set(struct larder_value *value, void *data, size_t length,
                      struct larder_owner *owner)
{
    value->bytes = larder_bytes(data, length);
    value->info.length = length;
    value->owner = owner;
}

static void *allocate_kept(struct larder_value *value, size_t length)
{
    struct larder_kept *block = kept_take();
    if (block == NULL)
        return NULL;
    value_set(value, block->bytes, length, &block->owner);
    return block->bytes;
}

void *larder_value_allocate(struct larder_value *value, size_t length)
{
    if (length <= KEPT_BYTES && KEPT_MAX > 0)
        return allocate_kept(value, length);
    if (length > SIZE_MAX - sizeof(struct copied_value) - 1)
        return NULL;
    struct copied_value *copied = malloc(sizeof(*copied) + length + 1);
    if (copied == NULL)
        return NULL;
    copied->owner.release = copied_release;
    value_set(value, copied->bytes, length, &copied->owner);
    return copied->bytes;
}

enum larder_status larder_value_copy(struct larder_value *value, const void *data, size_t length)
{
    void *bytes = larder_value_allocate(value, length);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    if (length > 0)
        memcpy(bytes, data, length);
    return LARDER_OK;
}

enum larder_status larder_value_adopt(struct larder_value *value, void *data, size_t length)
{
    struct adopted_value *adopted = malloc(sizeof(*adopted));
    if (adopted == NULL) {
        free(data);
        return LARDER_NO_MEMORY;
    }
    adopted->owner.release = adopted_release;
    adopted->data = data;
    /* libmemcached hands out NULL for a value of no bytes; a view's data is never NULL. */
    value_set(value, data != NULL ? data : (void *)adopted, length, &adopted->owner);
    return LARDER_OK;
}

enum larder_status larder_copy_out(void *buffer, size_t size, const void *data, size_t length,
                                   struct larder_info *info)
{
    size_t copied = length < size ? length : size;
    if (copied > 0)
        memcpy(buffer, data, copied);
    if (info != NULL)
        info->length = length;
    return length > size ? LARDER_PARTIAL : LARDER_OK;
}

void larder_info_clear(struct larder_info *info)
{
    if (info == NULL)
        return;
    uint32_t want = info->want;
    memset(info, 0, sizeof(*info));
    info->want = want;
    info->ttl_ms = LARDER_TTL_UNKNOWN;
    info->idle_ms = -1;
}
