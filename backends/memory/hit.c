/*
 * Plain reads that hit: the value is copied out, and that is all. No lock, no allocation, no system
 * call; nothing is written that another thread writes but the counter of an item that is not hot
 * yet.
 */
#include "operations.h"

#include <larder/util/hit.h>

#include "handy.h"
#include "look.h"

/* What is looked for, each way of knowing it where it serves. */
struct wanted {
    struct larder_slice name;
    struct handy handy; /* where larder__is_handy() */
    uint32_t space;
    uint64_t hash;
    uint64_t known; /* what of its head is to be as if it never ended */
};

ALWAYS_INLINE bool is_wanted(const struct item *item, const struct wanted *wanted, uint64_t head)
{
    const unsigned char *key = larder__plain_key(item, wanted->space);
    size_t length = wanted->name.length;
    if ((head & wanted->known) != larder__plain_head(length, wanted->space) ||
        (wanted->space != 0 && larder__item_space(item) != wanted->space))
        return false;
    return larder__is_handy(length)
               ? larder__handy_equal(wanted->handy, larder__handy_load(key, length))
               : larder__bytes_equal(key, wanted->name.data, length);
}

/* An item with no part but its space, found in its own bucket. @return NULL: anything else */
ALWAYS_INLINE struct item *find_plain(const struct memory *memory, const struct index *index,
                                      const struct wanted *wanted, uint64_t *head)
{
    const struct bucket *bucket =
        larder__index_bucket(index, larder__index_shape(index), wanted->hash);
    unsigned found = larder__bucket_match_atomic(bucket, larder__tag_of(wanted->hash));
    for (; found != 0; found &= found - 1) {
        uint32_t location = larder__bucket_location(bucket, found);
        struct item *item = larder__item_at(&memory->arena, location);
        larder__prefetch_item(item);
        if (__builtin_expect(location == 0, 0))
            continue;
        *head = larder__item_head(item);
        if (__builtin_expect(is_wanted(item, wanted, *head), 1))
            return item;
    }
    return NULL;
}

#define TIMELESS 0 /* the time is not known, and readers need no fence: see arena.due_ms */

/* The end of a hit whose value is not of the length that most have. */
__attribute__((noinline)) static enum larder_status copy_any(void *buffer, const void *value,
                                                             size_t length,
                                                             struct larder_thread *thread,
                                                             const struct larder_reader *reader)
{
    larder__copy_bytes(buffer, value, length);
    larder_epoch_leave(thread);
    return larder_hit_count(reader, thread);
}

/* It is no hit. */
static inline enum larder_status leave(struct larder_thread *thread, struct larder_slice name,
                                       void *buffer, size_t size, struct larder_reader *reader)
{
    larder_epoch_leave(thread);
    return reader->otherwise(reader, name, buffer, size);
}

ALWAYS_INLINE struct wanted want(const struct memory *memory, struct larder_slice name,
                                 uint32_t space, uint64_t now_ms)
{
    struct wanted wanted = {.name = name, .space = space};
    if (larder__is_handy(name.length)) {
        wanted.handy = larder__handy_load(name.data, name.length);
        wanted.hash = larder__handy_hash(&memory->hash_key, wanted.handy, name.length, space);
    } else {
        wanted.hash = larder__hash(&memory->hash_key, name.data, name.length, space);
    }
    wanted.known = now_ms == TIMELESS ? HEAD_BUT_FREQUENCY : HEAD_KEY_AND_MARKS;
    return wanted;
}

/* @param now_ms  TIMELESS: what ends is no hit */
ALWAYS_INLINE enum larder_status hit(const struct memory *memory, struct larder_slice name,
                                     uint32_t space, uint64_t now_ms, void *buffer, size_t size,
                                     struct larder_thread *thread, struct larder_reader *reader)
{
    struct wanted wanted = want(memory, name, space, now_ms);
    uint64_t head = 0;
    struct item *item = NULL;
    if (now_ms == TIMELESS)
        larder_epoch_enter_asymmetric(&memory->epoch, thread);
    else
        larder_epoch_enter(&memory->epoch, thread);
    const struct index *index = larder__index(memory);
    if (__builtin_expect(index != NULL, 1))
        item = find_plain(memory, index, &wanted, &head);
    if (__builtin_expect(item == NULL || !larder__plain_is_live(HEAD_EXPIRY(head), now_ms), 0))
        return leave(thread, name, buffer, size, reader);
    size_t length = item->value_length;
    if (__builtin_expect(length > size, 0))
        return leave(thread, name, buffer, size, reader);
    larder__item_hit_at(item, HEAD_FREQUENCY(head), thread);
    const unsigned char *value = larder__plain_key(item, space) + name.length;
    if (__builtin_expect(!larder__copies_at_once(length), 0))
        return copy_any(buffer, value, length, thread, reader);
    larder__copy_at_once(buffer, value, length);
    larder_epoch_leave(thread);
    return larder_hit_count(reader, thread);
}

/* What lies on the stack is a time alone. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define NO_CANARY __attribute__((no_stack_protector))
#else
#define NO_CANARY
#endif

#define HIT_ARGUMENTS(of) \
    of, struct larder_slice name, void *buffer, size_t size, struct larder_reader *reader

/* Where something ends. */
ALWAYS_INLINE enum larder_status hit_at_its_time(HIT_ARGUMENTS(struct memory *memory),
                                                 uint32_t space)
{
    struct larder_thread *thread = larder_thread();
    if (__builtin_expect(thread == NULL, 0))
        return reader->otherwise(reader, name, buffer, size);
    uint64_t due_ms = atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
    uint64_t now_ms = due_ms != UINT64_MAX ? larder__now_ms(memory) : TIMELESS;
    if (__builtin_expect(now_ms >= due_ms, 0))
        larder__read_housekeeping(memory, thread, now_ms);
    return hit(memory, name, space, now_ms, buffer, size, thread, reader);
}

/* Of any key, in a namespace or in none. */
WIDE_AND_NARROW NO_CANARY __attribute__((noinline)) static enum larder_status
hit_any(HIT_ARGUMENTS(const struct larder_scope *scope))
{
    return hit_at_its_time(scope->self, name, buffer, size, reader,
                           larder__scope_space(scope->self, scope));
}

/* The key is of the length that most have; in a namespace. */
WIDE_AND_NARROW NO_CANARY __attribute__((noinline)) static enum larder_status
hit_in_space(HIT_ARGUMENTS(const struct larder_scope *scope))
{
    uint32_t space = larder__scope_space(scope->self, scope);
    if (!larder__is_handy(name.length) || space == SPACE_NONE)
        __builtin_unreachable();
    return hit_at_its_time(scope->self, name, buffer, size, reader, space);
}

/* Likewise, in none. */
WIDE_AND_NARROW NO_CANARY __attribute__((noinline)) static enum larder_status
hit_timed(HIT_ARGUMENTS(struct memory *memory))
{
    if (!larder__is_handy(name.length))
        __builtin_unreachable();
    return hit_at_its_time(memory, name, buffer, size, reader, SPACE_NONE);
}

/* Likewise, where nothing ends. */
WIDE_AND_NARROW __attribute__((noinline)) static enum larder_status
hit_timeless(HIT_ARGUMENTS(const struct memory *memory))
{
    struct larder_thread *thread = larder__own_thread;
    if (!larder__is_handy(name.length))
        __builtin_unreachable();
    if (__builtin_expect(thread == NULL, 0))
        return reader->otherwise(reader, name, buffer, size);
    return hit(memory, name, SPACE_NONE, TIMELESS, buffer, size, thread, reader);
}

/*
 * A processor works on so many reads at once, while they wait for memory, as it has room for their
 * instructions, and above all for their loads. So a hit is written out by itself, four times: what
 * the compiler knows of it makes it shorter. Everything else is left to larder__memory_read(),
 * which begins anew.
 */
WIDE_AND_NARROW enum larder_status
larder__memory_hit(HIT_ARGUMENTS(const struct larder_scope *scope))
{
    struct memory *memory = scope->self;
    if (!larder__is_handy(name.length))
        return hit_any(scope, name, buffer, size, reader);
    if (scope->space != NULL)
        return hit_in_space(scope, name, buffer, size, reader);
    if (atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed) != UINT64_MAX)
        return hit_timed(memory, name, buffer, size, reader);
    return hit_timeless(memory, name, buffer, size, reader);
}
