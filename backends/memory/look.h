/* What readers do: find an item within a section, judge it, copy it out. */
#ifndef LARDER_MEMORY_LOOK_H
#define LARDER_MEMORY_LOOK_H

#include "handy.h"
#include "visit.h"

/** A reader on its way. */
struct look {
    struct memory *memory;
    struct larder_thread *thread;
    uint64_t due_ms; /* when housekeeping is due; UINT64_MAX: nothing in the cache ends */
    uint64_t now_ms; /* 0: nobody asked */
    /* Of the item that was found, read once: a writer may claim it at any time, and what a reader
     * says of it must be true of one moment. */
    uint64_t expiry_ms;
};

/** @return false when memory ran out */
ALWAYS_INLINE bool larder__look_begin(struct look *look, struct memory *memory)
{
    look->memory = memory;
    look->thread = larder_thread();
    /* relaxed: a hint. An item that ends, found by who saw nothing due, makes it ask the time. */
    look->due_ms = atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
    look->now_ms = look->due_ms != UINT64_MAX ? larder__now_ms(memory) : 0;
    return look->thread != NULL;
}

ALWAYS_INLINE void larder__look_end(const struct look *look)
{
    if (__builtin_expect(look->now_ms >= look->due_ms, 0))
        larder__read_housekeeping(look->memory, look->thread, look->now_ms);
}

ALWAYS_INLINE struct key larder__look_key(const struct look *look, const struct larder_scope *scope,
                                          struct larder_slice name)
{
    struct memory *memory = look->memory;
    struct key key = {name.data, name.length, 0, larder__scope_space(memory, scope)};
    key.hash = larder__hash(&memory->hash_key, name.data, name.length, key.space);
    return key;
}

/** Of a writer, to whom the item is there: under the stripe's lock. */
static inline struct look larder__look_of_visit(const struct visit *visit)
{
    struct look look = {visit->memory, visit->thread, UINT64_MAX, visit->now_ms,
                        larder__item_expiry_ms(visit->item)};
    return look;
}

enum sight { SIGHT_CLEAR, SIGHT_TIMELESS, SIGHT_CLAIMED };

/** Looks at an item, or none, once, for larder__look_judge(). @return SIGHT_TIMELESS: the time has
 * to be known first; SIGHT_CLAIMED: likewise, and a writer has claimed it */
ALWAYS_INLINE enum sight larder__look_at(struct look *look, const struct item *item)
{
    look->expiry_ms = 0;
    if (item == NULL)
        return SIGHT_CLEAR;
    uint32_t expiry = larder__item_expiry(item);
    if (expiry == EXPIRY_CLAIMED)
        return SIGHT_CLAIMED;
    look->expiry_ms = larder__item_expiry_of(item, expiry);
    return look->now_ms == 0 && look->expiry_ms != UINT64_MAX ? SIGHT_TIMELESS : SIGHT_CLEAR;
}

/** Waits until the writer that has a key's stripe is done. In no section. */
void larder__await_writer(struct memory *memory, uint64_t hash);

/* A hit that finds the counter full writes nothing that is shared: it writes to the thread's own
 * line. A branch in place of the choice of address would wait for the item, and when it guessed
 * wrong all reads behind it would begin anew. A store whose place is known so late costs a tenth to
 * a fifth of all reads: so none where nothing will be evicted. */
ALWAYS_INLINE void larder__item_hit(const struct memory *memory, struct item *item,
                                    struct larder_thread *thread)
{
    _Atomic uint8_t *place = &thread->scratch;
    if ((larder__duties(&memory->arena) & DUTY_HITS) == 0)
        return;
    uint8_t frequency = atomic_load_explicit(&item->frequency, memory_order_relaxed);
    if (__builtin_expect_with_probability(frequency < FREQUENCY_MAX, 1, 0.5))
        place = &item->frequency;
    atomic_store_explicit(place, (uint8_t)(frequency + 1), memory_order_relaxed);
}

/** A hit gives an entry its TTL anew. @return when it ends; 0: a writer is deciding that */
uint64_t larder__item_slide(struct memory *memory, struct item *item, uint64_t now_ms);

/** What an item, or none, that was looked at answers to a reader; counts a hit. @return OK, MISS or
 * ABSENT */
ALWAYS_INLINE enum larder_status larder__look_judge(struct look *look, struct item *item)
{
    if (item == NULL || look->now_ms >= look->expiry_ms)
        return LARDER_MISS;
    larder__item_hit(look->memory, item, look->thread);
    if (__builtin_expect((item->marks & (ITEM_ABSENT | ITEM_SLIDES)) == 0, 1))
        return LARDER_OK;
    if ((item->marks & ITEM_SLIDES) != 0) {
        uint64_t expiry_ms = larder__item_slide(look->memory, item, look->now_ms);
        look->expiry_ms = expiry_ms != 0 ? expiry_ms : look->expiry_ms;
    }
    return (item->marks & ITEM_ABSENT) != 0 ? LARDER_ABSENT : LARDER_OK;
}

/** Of a time that is not known: only what never ends is live. */
#define TIMELESS UINT64_MAX

/* Of an expiry that has no upper half; 0 is never. */
ALWAYS_INLINE bool larder__plain_is_live(uint32_t expiry, uint64_t now_ms)
{
    return expiry - (uint64_t)1 >= now_ms;
}

/** Whether an item has no part but its space, and this key. @param head  what of it is to be as if
 * it never ended @param handy  of a key that is @param value  where it begins; set in any case */
ALWAYS_INLINE bool larder__plain_is_of(const struct item *item, uint64_t head,
                                       struct larder_slice name, struct handy handy, uint32_t space,
                                       const unsigned char **value)
{
    const unsigned char *key = larder__plain_key(item, space), *end = key + name.length;
    __asm__("" : "+r"(end)); /* one address, that others are told from */
    *value = end;
    if (head != larder__plain_head(name.length, space) ||
        (space != SPACE_NONE && larder__item_space(item) != space))
        return false;
    return __builtin_expect(larder__is_handy(name.length), 1)
               ? larder__handy_equal(handy, larder__handy_between(key, end))
               : larder__bytes_equal(key, name.data, name.length);
}

/** Gives a copy of a value that lies where most lie: see hit.c. In no section.
 * @return OK, NO_MEMORY; MISS: it may be anything else, and nothing was done */
typedef enum larder_status larder_view_plain_fn(const struct look *look,
                                                const struct larder_scope *scope,
                                                struct larder_slice name,
                                                struct larder_value *value);
larder_view_plain_fn larder__view_plain_narrow, larder__view_plain_wide, larder__view_plain_widest;

/** What is known of an item that was looked at. */
void larder__look_info(const struct look *look, const struct item *item, struct larder_info *info);

/** The length that most values have; LENGTH_UNUSUAL: they have not. What is compared with the
 * length of an item and what is then copied are two things to the compiler: else it would wait for
 * the item again, where a processor need not. */
ALWAYS_INLINE size_t larder__usual_length(const struct memory *memory)
{
    return atomic_load_explicit(&memory->usual_length, memory_order_relaxed);
}

ALWAYS_INLINE size_t larder__as_foretold(size_t length)
{
    __asm__("" : "+r"(length));
    return length;
}

/** @return OK or PARTIAL */
ALWAYS_INLINE enum larder_status larder__copy_value(const struct look *look,
                                                    const struct item *item, void *buffer,
                                                    size_t size, struct larder_info *info)
{
    const unsigned char *bytes = item->parts + item->key_length;
    size_t length = item->value_length;
    if (__builtin_expect((item->marks & ~ITEM_ABSENT) != 0, 0)) {
        struct larder_slice value = larder__item_value(item);
        bytes = value.data;
        length = value.length;
    }
    size_t copied = length < size ? length : size;
    if (copied > 0)
        larder__copy_bytes(buffer, bytes, copied);
    if (info != NULL)
        larder__look_info(look, item, info);
    return copied < length ? LARDER_PARTIAL : LARDER_OK;
}

/** Gives a view: a copy of a small value, a reference to a large one. Within a section.
 * @return OK or NO_MEMORY */
enum larder_status larder__view(const struct look *look, const struct item *item,
                                struct larder_value *value);

#endif
