/* Values that own their bytes: in one block with their owner, or adopted from malloc(). */
#include <larder/util/value.h>

#include <stdlib.h>
#include <string.h>

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

void *larder_value_allocate(struct larder_value *value, size_t length)
{
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
