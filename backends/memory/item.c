/* Writing items. */
#include "item.h"

#include "large.h"

static unsigned char *put(unsigned char *place, const void *bytes, size_t length)
{
    larder__copy_bytes(place, bytes, length);
    return place + length;
}

static unsigned char *put_parts(unsigned char *place, const struct draft *draft,
                                const struct key *key)
{
    unsigned marks = draft->marks;
    uint32_t far = (uint32_t)(draft->expiry_ms >> 32);
    struct item_block block = {draft->large, key->hash};
    if ((marks & ITEM_FLAGS) != 0)
        place = put(place, &draft->flags, sizeof(draft->flags));
    if ((marks & ITEM_SPACE) != 0)
        place = put(place, &key->space, sizeof(key->space));
    if ((marks & ITEM_FAR) != 0)
        place = put(place, &far, sizeof(far));
    if ((marks & ITEM_SLIDES) != 0)
        place = put(place, &draft->slides_ms, sizeof(draft->slides_ms));
    if ((marks & ITEM_LEASE) != 0)
        place = put(place, &draft->lease, sizeof(draft->lease));
    if ((marks & ITEM_LARGE) != 0)
        place = put(place, &block, sizeof(block));
    return place;
}

void larder__draft_write(const struct draft *draft, const struct key *key, struct item *item)
{
    unsigned char *place = item->parts;
    atomic_init(&item->expiry, larder__expiry_word(draft->expiry_ms));
    item->version = draft->version;
    atomic_init(&item->frequency, draft->frequency);
    item->marks = (uint8_t)draft->marks;
    atomic_init(&item->history, draft->history);
    item->zero = 0;
    item->key_length = item->value_length = 0;
    if ((draft->marks & ~ITEM_ABSENT) != 0)
        place = put_parts(place, draft, key);
    if (draft->large != NULL)
        return;
    item->key_length = (uint16_t)key->length;
    item->value_length = (uint16_t)(draft->head_length + draft->tail_length);
    place = put(place, key->bytes, key->length);
    place = put(place, draft->head, draft->head_length);
    if (draft->tail_length > 0)
        put(place, draft->tail, draft->tail_length);
}

void larder__draft_of_item(const struct item *item, struct draft *draft)
{
    *draft = (struct draft){
        .expiry_ms = larder__item_expiry_ms(item),
        .large = larder__item_block(item).large,
        .head = larder__item_key(item) + item->key_length,
        .head_length = item->value_length,
        .flags = larder__part_u32(item, ITEM_FLAGS),
        .slides_ms = larder__part_u32(item, ITEM_SLIDES),
        .version = item->version,
        .frequency = atomic_load_explicit(&item->frequency, memory_order_relaxed),
        .history = atomic_load_explicit(&item->history, memory_order_relaxed),
        .absent = (item->marks & ITEM_ABSENT) != 0,
    };
}
