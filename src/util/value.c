/* Values that own their bytes: in one block with their owner, or adopted from malloc(). */
#include <larder/util/value.h>

#include <stdlib.h>
#include <string.h>

#include "kept.h"

/* Where AddressSanitizer watches none are kept, so that it finds who reads what was released. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_BLOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_BLOCKS 0
#endif
#endif
#ifndef KEEPS_BLOCKS
#define KEEPS_BLOCKS 1
#endif

#define KEPT_MAX 16 /* of each size class, a thread */

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
    unsigned size_class = block->size_class;
    if (thread == NULL || thread->kept_count[size_class] >= KEPT_MAX) {
        free(block);
        return;
    }
    block->next = thread->kept[size_class];
    thread->kept[size_class] = block;
    thread->kept_count[size_class]++;
}

static struct larder_kept *kept_new(unsigned size_class)
{
    struct larder_kept *block = malloc(sizeof(*block) + LARDER_KEPT_BYTES(size_class));
    if (block == NULL)
        return NULL;
    block->owner.release = kept_release;
    block->size_class = size_class;
    return block;
}

void larder__kept_free(struct larder_thread *thread)
{
    for (int size_class = 0; size_class < LARDER_KEPT_CLASSES; size_class++)
        while (thread->kept[size_class] != NULL) {
            struct larder_kept *block = thread->kept[size_class];
            thread->kept[size_class] = block->next;
            free(block);
        }
    larder__kept_lose(thread);
}

void larder__kept_lose(struct larder_thread *thread)
{
    memset(thread->kept, 0, sizeof(thread->kept));
    memset(thread->kept_count, 0, sizeof(thread->kept_count));
}

void larder_values_trim(void)
{
    if (larder__own_thread != NULL)
        larder__kept_free(larder__own_thread);
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

static void *allocate_kept(struct larder_value *value, struct larder_thread *thread, size_t length)
{
    struct larder_kept *block = larder_kept_take(thread, length);
    if (block == NULL)
        block = kept_new(larder_kept_class(length));
    if (block == NULL)
        return NULL;
    value_set(value, block->bytes, length, &block->owner);
    return block->bytes;
}

/* A thread that has no record keeps none: so in modules, which have a copy of this file. */
void *larder_value_allocate(struct larder_value *value, size_t length)
{
    struct larder_thread *thread = larder__own_thread;
    if (KEEPS_BLOCKS && thread != NULL && length <= LARDER_KEPT_BYTES_MAX)
        return allocate_kept(value, thread, length);
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
