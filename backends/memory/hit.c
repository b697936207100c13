/*
 * Plain reads: of what is there the value is copied out, and that is all. No lock, no allocation
 * but for a view, no system call; nothing is written that another thread writes but the counter of
 * an item that is not hot yet.
 *
 * A processor works on so many reads at once, while they wait for memory, as its window of
 * instructions holds: 256 on the machine that the figures in docs/performance.md are of, so one
 * instruction more than half of that, or than all of it, costs a third of all reads. Hence: what a
 * hit is is written out for each kind of scope, what the compiler knows of it makes it shorter; of
 * the entries of a bucket one is looked at, which nearly always is the one; and what only the ways
 * out need lies in memory. Compiled twice, see hit_wide.c.
 */
#ifndef LARDER_WIDE
#define LARDER_WIDE 0
#endif

#include "operations.h"

#include <larder/util/hit.h>

#include <larder/util/value.h>

#include "look.h"

#if LARDER_WIDE
#include "handy_wide.h"
#define HIT_OF larder__memory_hit_of_wide
#define VIEW_HIT larder__view_hit_wide
#define HANDY_HASH larder__handy_hash_wide
#else
#include "handy.h"
#define HIT_OF larder__memory_hit_of
#define VIEW_HIT larder__view_hit_narrow
#define HANDY_HASH larder__handy_hash
#endif

#define HIT_ARGUMENTS                                                                      \
    const struct larder_scope *scope, struct larder_slice name, void *buffer, size_t size, \
        struct larder_reader *reader

/* ---- what is looked for -------------------------------------------------------------------- */

struct wanted {
    struct larder_slice name;
    struct handy handy; /* where larder__is_handy() */
    uint32_t space;
    uint64_t hash;
    tag_pattern tag;
    uint64_t known; /* what of its head is to be as if it never ended */
};

ALWAYS_INLINE void hash_handy(const struct memory *memory, struct wanted *wanted)
{
    const struct hash_key *key = &memory->hash_key;
    size_t length = wanted->name.length;
    wanted->handy = larder__handy_load(wanted->name.data, length);
#if LARDER_WIDE && LARDER_MATCHES_AT_ONCE /* the tag is the topmost byte, and not 0 */
    __m128i sum = larder__handy_sum_wide(key, wanted->handy, length, wanted->space);
    wanted->hash = (uint64_t)_mm_cvtsi128_si64(sum);
    sum = _mm_shuffle_epi8(sum, _mm_loadu_si128((const __m128i *)(const void *)key->topmost));
    wanted->tag = _mm_max_epu8(sum, _mm_loadu_si128((const __m128i *)(const void *)key->ones));
#else
    wanted->hash = HANDY_HASH(key, wanted->handy, length, wanted->space);
    wanted->tag = larder__tag_pattern(wanted->hash);
#endif
}

ALWAYS_INLINE struct wanted want(const struct memory *memory, struct larder_slice name,
                                 uint32_t space, uint64_t now_ms)
{
    struct wanted wanted = {.name = name, .space = space};
    if (larder__is_handy(name.length)) {
        hash_handy(memory, &wanted);
    } else {
        wanted.hash = larder__hash(&memory->hash_key, name.data, name.length, space);
        wanted.tag = larder__tag_pattern(wanted.hash);
    }
    wanted.known = now_ms == TIMELESS ? HEAD_BUT_FREQUENCY : HEAD_KEY_AND_MARKS;
    return wanted;
}

/* ---- where it lies ------------------------------------------------------------------------- */

/* An item with no part but its space, in its own bucket: of those whose tags fit, which is nearly
 * always one, the first. @return NULL: anything else */
ALWAYS_INLINE struct item *find_plain(const struct memory *memory, const struct index *index,
                                      const struct wanted *wanted, uint64_t *head)
{
    const struct bucket *bucket =
        larder__index_bucket(index, larder__index_shape(index), wanted->hash);
    unsigned found = larder__bucket_match_atomic(bucket, wanted->tag);
    if (__builtin_expect(found == 0, 0))
        return NULL;
    uint32_t location = larder__bucket_location(bucket, found);
    struct item *item = larder__item_at(&memory->arena, location);
    *head = location != 0 ? larder__item_head(item) : 0; /* of no key */
    bool found_it = larder__plain_is_of(item, *head & wanted->known, wanted->name, wanted->handy,
                                        wanted->space);
    return __builtin_expect(found_it, 1) ? item : NULL;
}

/* ---- a hit --------------------------------------------------------------------------------- */

/* Not a hit, as far as one entry of its bucket tells. */
static enum larder_status look_further(HIT_ARGUMENTS);

/* A hit whose value is not of the length that most have. Ends the section. */
__attribute__((noinline)) static enum larder_status hit_unusual(const struct item *item,
                                                                struct larder_slice name,
                                                                void *buffer, size_t size,
                                                                struct larder_reader *reader)
{
    struct larder_thread *thread = larder__own_thread;
    size_t length = item->value_length;
    if (__builtin_expect(length > size, 0)) {
        larder_epoch_leave(thread);
        return reader->otherwise(reader, name, buffer, size);
    }
    larder__copy_bytes(buffer, larder__item_key(item) + name.length, length);
    larder_epoch_leave(thread);
    return larder_hit_count(reader, thread);
}

/* @param now_ms  TIMELESS: what ends is no hit, and readers need no fence, see arena.due_ms */
ALWAYS_INLINE enum larder_status hit(const struct memory *memory, HIT_ARGUMENTS, uint32_t space,
                                     uint64_t now_ms, struct larder_thread *thread)
{
    /* Where the compiler may not keep it in registers: only the ways out need it. */
    const struct larder_scope *volatile scope_kept = scope;
    const unsigned char *volatile data_kept = name.data;
    volatile size_t size_kept = size;
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
    if (__builtin_expect(item == NULL || !larder__plain_is_live(HEAD_EXPIRY(head), now_ms), 0)) {
        larder_epoch_leave(thread);
        name.data = data_kept;
        return look_further(scope_kept, name, buffer, size_kept, reader);
    }
    larder__item_hit(memory, item, thread);
    size_t usual = larder__usual_length(memory), foretold = larder__as_foretold(usual);
    if (__builtin_expect(item->value_length != usual || size_kept < usual, 0)) {
        name.data = data_kept;
        return hit_unusual(item, name, buffer, size_kept, reader);
    }
    larder__copy_at_once(buffer, larder__plain_key(item, space) + name.length, foretold);
    larder_epoch_leave(thread);
    return larder_hit_count(reader, thread);
}

/* ---- any key, any scope -------------------------------------------------------------------- */

enum sought { SOUGHT_HIT, SOUGHT_MISSING, SOUGHT_OTHERWISE };

/* Within a section. */
ALWAYS_INLINE enum sought seek(struct look *look, const struct key *key, void *buffer, size_t size)
{
    const struct index *index = larder__index(look->memory);
    if (__builtin_expect(index == NULL, 0))
        return SOUGHT_OTHERWISE;
    struct item *item = larder__index_find(index, &look->memory->arena, key);
    if (item == NULL)
        return SOUGHT_MISSING;
    uint64_t head = larder__item_head(item), now_ms = look->now_ms != 0 ? look->now_ms : TIMELESS;
    size_t length = item->value_length;
    if (__builtin_expect((head & HEAD_KEY_AND_MARKS) !=
                                 larder__plain_head(key->length, key->space) ||
                             !larder__plain_is_live(HEAD_EXPIRY(head), now_ms) || length > size,
                         0))
        return SOUGHT_OTHERWISE;
    larder__item_hit(look->memory, item, look->thread);
    larder__copy_bytes(buffer, larder__plain_key(item, key->space) + key->length, length);
    return SOUGHT_HIT;
}

__attribute__((noinline)) static enum larder_status look_further(HIT_ARGUMENTS)
{
    struct look look;
    if (__builtin_expect(
            name.length - 1 >= LARDER_KEY_BYTES_MAX || !larder__look_begin(&look, scope->self), 0))
        return reader->otherwise(reader, name, buffer, size);
    struct key key = larder__look_key(&look, scope, name);
    larder_epoch_enter(&look.memory->epoch, look.thread);
    enum sought sought = seek(&look, &key, buffer, size);
    larder_epoch_leave(look.thread);
    larder__look_end(&look);
    if (sought == SOUGHT_HIT)
        return larder_hit_count(reader, look.thread);
    return sought == SOUGHT_MISSING ? reader->missed(reader, name)
                                    : reader->otherwise(reader, name, buffer, size);
}

/* ---- of a scope ---------------------------------------------------------------------------- */

/* What lies on the stack is a time, and a call. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define NO_CANARY __attribute__((no_stack_protector))
#else
#define NO_CANARY
#endif

/* When something may be due. */
ALWAYS_INLINE uint64_t time_in(struct memory *memory, struct larder_thread *thread, uint64_t due_ms)
{
    uint64_t now_ms = larder__now_ms(memory);
    if (__builtin_expect(now_ms >= due_ms, 0))
        larder__read_housekeeping(memory, thread, now_ms);
    return now_ms;
}

/* UINT64_MAX: nothing ends, and the time is of no interest. */
ALWAYS_INLINE uint64_t due_in(const struct memory *memory)
{
    return atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
}

/* A key of any length. */
NO_CANARY __attribute__((noinline)) static enum larder_status hit_any(HIT_ARGUMENTS)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL || name.length - 1 >= LARDER_KEY_BYTES_MAX, 0))
        return look_further(scope, name, buffer, size, reader);
    uint64_t due_ms = due_in(memory);
    uint64_t now_ms = due_ms != UINT64_MAX ? time_in(memory, thread, due_ms) : TIMELESS;
    return hit(memory, scope, name, buffer, size, reader, larder__scope_space(memory, scope),
               now_ms, thread);
}

/* A key of the length that most have, where something ends. */
ALWAYS_INLINE enum larder_status hit_in_time(HIT_ARGUMENTS, bool in_space)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    uint64_t now_ms = time_in(memory, thread, due_in(memory));
    uint32_t space = in_space ? larder__space_number(&memory->spaces, scope->space->name) : 0;
    if (!larder__is_handy(name.length) || now_ms == TIMELESS || in_space != (space != SPACE_NONE))
        __builtin_unreachable();
    return hit(memory, scope, name, buffer, size, reader, space, now_ms, thread);
}

NO_CANARY __attribute__((noinline)) static enum larder_status hit_timed(HIT_ARGUMENTS)
{
    return hit_in_time(scope, name, buffer, size, reader, false);
}

NO_CANARY __attribute__((noinline)) static enum larder_status hit_timed_in_space(HIT_ARGUMENTS)
{
    return hit_in_time(scope, name, buffer, size, reader, true);
}

/* Likewise, where nothing ends. */
ALWAYS_INLINE enum larder_status hit_at_any_time(HIT_ARGUMENTS, bool in_space)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL || !larder__is_handy(name.length), 0))
        return hit_any(scope, name, buffer, size, reader);
    if (due_in(memory) != UINT64_MAX)
        return (in_space ? hit_timed_in_space : hit_timed)(scope, name, buffer, size, reader);
    uint32_t space = in_space ? larder__space_number(&memory->spaces, scope->space->name) : 0;
    if (in_space != (space != SPACE_NONE))
        __builtin_unreachable();
    return hit(memory, scope, name, buffer, size, reader, space, TIMELESS, thread);
}

NO_CANARY static enum larder_status hit_plain(HIT_ARGUMENTS)
{
    return hit_at_any_time(scope, name, buffer, size, reader, false);
}

NO_CANARY static enum larder_status hit_in_space(HIT_ARGUMENTS)
{
    return hit_at_any_time(scope, name, buffer, size, reader, true);
}

/* ---- views ---------------------------------------------------------------------------------- */

/* Within a section. */
ALWAYS_INLINE enum larder_status view_plain(const struct memory *memory, struct item *item,
                                            const unsigned char *from, struct larder_thread *thread,
                                            struct larder_value *value)
{
    size_t length = item->value_length;
    unsigned char *bytes = larder_value_allocate(value, length);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    larder__item_hit(memory, item, thread);
    larder__copy_bytes(bytes, from, length);
    value->info.version = item->version;
    return LARDER_OK;
}

enum larder_status VIEW_HIT(const struct look *look, const struct larder_scope *scope,
                            struct larder_slice name, struct larder_value *value)
{
    struct memory *memory = look->memory;
    uint32_t space = larder__scope_space(memory, scope);
    uint64_t now_ms = look->now_ms != 0 ? look->now_ms : TIMELESS, head = 0;
    struct wanted wanted = want(memory, name, space, now_ms);
    struct item *item = NULL;
    enum larder_status status = LARDER_MISS;
    larder_epoch_enter(&memory->epoch, look->thread);
    const struct index *index = larder__index(memory);
    if (__builtin_expect(index != NULL, 1))
        item = find_plain(memory, index, &wanted, &head);
    if (__builtin_expect(item != NULL && larder__plain_is_live(HEAD_EXPIRY(head), now_ms), 1))
        status = view_plain(memory, item, larder__plain_key(item, space) + name.length,
                            look->thread, value);
    larder_epoch_leave(look->thread);
    return status;
}

#if !LARDER_WIDE
enum larder_status larder__view_hit(const struct look *look, const struct larder_scope *scope,
                                    struct larder_slice name, struct larder_value *value)
{
#if defined(__x86_64__)
    if (look->memory->hash_key.wide)
        return larder__view_hit_wide(look, scope, name, value);
#endif
    return larder__view_hit_narrow(look, scope, name, value);
}
#endif

larder_hit_fn *HIT_OF(const struct larder_scope *scope)
{
    return scope->space != NULL ? hit_in_space : hit_plain;
}
