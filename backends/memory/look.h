/* What readers do: find an item within a section, judge it, copy it out. */
#ifndef LARDER_MEMORY_LOOK_H
#define LARDER_MEMORY_LOOK_H

#include "visit.h"

/** A reader on its way. */
struct look {
    struct memory *memory;
    struct larder_thread *thread;
    uint64_t due_ms; /* when housekeeping is due; UINT64_MAX: nothing in the cache ends */
    uint64_t now_ms; /* 0: nobody asked */
};

/** @return false when memory ran out */
static inline bool larder__look_begin(struct look *look, struct memory *memory)
{
    look->memory = memory;
    look->thread = larder_thread();
    /* relaxed: a hint. An item that ends, found by who saw nothing due, makes it ask the time. */
    look->due_ms = atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
    look->now_ms = look->due_ms != UINT64_MAX ? larder__now_ms(memory) : 0;
    return look->thread != NULL;
}

static inline void larder__look_end(const struct look *look)
{
    if (__builtin_expect(look->now_ms >= look->due_ms, 0))
        larder__read_housekeeping(look->memory, look->thread, look->now_ms);
}

static inline struct key larder__look_key(const struct look *look, const struct larder_scope *scope,
                                          struct larder_slice name)
{
    const struct memory *memory = look->memory;
    struct key key = {name.data, name.length, 0, larder__scope_space(memory, scope)};
    key.hash = larder__hash(&memory->hash_key, name.data, name.length, key.space);
    return key;
}

/** The time has to be known to judge this item. */
static inline bool larder__look_is_timeless(const struct look *look, const struct item *item)
{
    return look->now_ms == 0 && larder__item_expiry_ms(item) != UINT64_MAX;
}

/* A hit that finds the counter full writes nothing. */
static inline void larder__item_hit(struct item *item)
{
    uint8_t frequency = atomic_load_explicit(&item->frequency, memory_order_relaxed);
    if (frequency < FREQUENCY_MAX)
        atomic_store_explicit(&item->frequency, (uint8_t)(frequency + 1), memory_order_relaxed);
}

void larder__item_slide(struct memory *memory, struct item *item, uint64_t now_ms);

/** What an item, or none, answers to a reader; counts a hit. @return OK, MISS or ABSENT */
static inline enum larder_status larder__look_judge(const struct look *look, struct item *item)
{
    if (item == NULL || look->now_ms >= larder__item_expiry_ms(item))
        return LARDER_MISS;
    larder__item_hit(item);
    if (__builtin_expect((item->marks & (ITEM_ABSENT | ITEM_SLIDES)) == 0, 1))
        return LARDER_OK;
    if ((item->marks & ITEM_SLIDES) != 0)
        larder__item_slide(look->memory, item, look->now_ms);
    return (item->marks & ITEM_ABSENT) != 0 ? LARDER_ABSENT : LARDER_OK;
}

/* Like memcpy(), without the call for lengths that most values have. */
static inline void larder__copy_bytes(unsigned char *to, const unsigned char *from, size_t length)
{
    if (length < 32 || length > 256) {
        memcpy(to, from, length);
        return;
    }
    for (size_t i = 0; i + 32 < length; i += 32)
        memcpy(to + i, from + i, 32);
    memcpy(to + length - 32, from + length - 32, 32);
}

/** @return OK or PARTIAL */
static inline enum larder_status larder__copy_value(const struct look *look,
                                                    const struct item *item, void *buffer,
                                                    size_t size, struct larder_info *info)
{
    struct larder_slice value = larder__item_value(item);
    size_t copied = value.length < size ? value.length : size;
    if (copied > 0)
        larder__copy_bytes(buffer, value.data, copied);
    larder__item_info(look->memory, item, look->now_ms, info);
    return copied < value.length ? LARDER_PARTIAL : LARDER_OK;
}

/** Gives a view: a copy of a small value, a reference to a large one. Within a section.
 * @return OK or NO_MEMORY */
enum larder_status larder__view(const struct look *look, const struct item *item,
                                struct larder_value *value);

#endif
