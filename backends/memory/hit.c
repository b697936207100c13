/*
 * Plain reads and gets: of what is there the value is copied out, and that is all. No lock, no
 * allocation but for a view, no system call; nothing is written that another thread writes but the
 * counter of an item that is not hot yet.
 *
 * A processor works on so many reads at once, while they wait for memory, as its window of
 * instructions holds: 256 on the machine that the figures in docs/performance.md are of, so one
 * instruction more than half of that, or than all of it, costs a third of all reads. Hence: what a
 * hit is is written out for each kind of scope, what the compiler knows of it makes it shorter; of
 * the entries of a bucket one is looked at, which nearly always is the one; and what only the ways
 * out need lies in memory. Compiled for each width, see variant.h.
 */
#include "operations.h"

#include <larder/util/kept.h>
#include <larder/util/tally.h>
#include <larder/util/value.h>

#include "plain.h"

#define HIT_ARGUMENTS                                                                  \
    struct larder_reader *reader, struct larder_slice name, void *buffer, size_t size, \
        const struct larder_scope *scope

/* ---- a hit --------------------------------------------------------------------------------- */

/* Not a hit, as far as one entry of its bucket tells. */
static enum larder_status look_further(HIT_ARGUMENTS);

/* A hit whose value is not of the length that most have. Ends the section. What it takes comes in
 * the order of a read's arguments: so the item lies where the scope came in, which nobody needs any
 * more, and no register has to be saved for it. */
__attribute__((noinline)) static enum larder_status hit_unusual(struct larder_reader *reader,
                                                                struct larder_slice name,
                                                                void *buffer, size_t size,
                                                                const struct item *item)
{
    struct larder_thread *thread = larder__own_thread;
    size_t length = item->value_length;
    if (__builtin_expect(length > size, 0)) {
        larder_epoch_leave(thread);
        return reader->read_otherwise(reader, name, buffer, size);
    }
    larder__copy_bytes(buffer, larder__item_key(item) + name.length, length);
    larder_epoch_leave(thread);
    return larder__hit_count(reader, thread, LARDER_OPERATION_READ);
}

/* What a read came with, on the stack, where the compiler may not keep it in registers: most of it
 * only the ways out need. */
struct kept {
    struct larder_reader *reader;
    const unsigned char *data;
    size_t length, size;
    void *buffer;
    const struct larder_scope *scope;
};

/* @param kept  name.data, size and scope, in any case
 * @param now_ms  TIMELESS: what ends is no hit
 * @param fences  whether it asks if readers need a fence
 * @param counts  whether it asks if hits are counted */
ALWAYS_INLINE enum larder_status hit(const struct memory *memory, const volatile struct kept *kept,
                                     struct larder_reader *reader, struct larder_slice name,
                                     void *buffer, uint32_t space, uint64_t now_ms,
                                     struct larder_thread *thread, bool fences, bool counts)
{
    struct wanted wanted = larder__want(memory, name, space, now_ms);
    struct plain plain;
    if (fences)
        larder_epoch_enter(&memory->epoch, thread);
    else
        larder_epoch_enter_asymmetric(&memory->epoch, thread);
    bool found = larder__find_plain(memory, larder__index_to_find(memory), &wanted, &plain);
    if (__builtin_expect(!found || !larder__plain_is_live(HEAD_EXPIRY(plain.head), now_ms), 0)) {
        larder_epoch_leave(thread);
        name.data = kept->data;
        return look_further(reader, name, buffer, kept->size, kept->scope);
    }
    if (counts)
        larder__item_hit(memory, plain.item, thread);
    size_t usual = larder__usual_length(memory), foretold = larder__as_foretold(usual);
    if (__builtin_expect(plain.item->value_length != usual || kept->size < usual, 0)) {
        name.data = kept->data;
        return hit_unusual(reader, name, buffer, kept->size, plain.item);
    }
    larder__copy_at_once(buffer, plain.value, foretold);
    larder_epoch_leave(thread);
    return larder__hit_count(reader, thread, LARDER_OPERATION_READ);
}

/* ---- any key, any scope -------------------------------------------------------------------- */

enum sought { SOUGHT_HIT, SOUGHT_MISSING, SOUGHT_OTHERWISE };

/* What lies under a key, whatever it is. Within a section, as those below. */
ALWAYS_INLINE enum sought seek_item(const struct look *look, const struct key *key,
                                    struct item **item)
{
    const struct index *index = larder__index(look->memory);
    if (__builtin_expect(index == NULL, 0))
        return SOUGHT_OTHERWISE;
    *item = larder__index_find(index, &look->memory->arena, key);
    return *item != NULL ? SOUGHT_HIT : SOUGHT_MISSING;
}

ALWAYS_INLINE enum sought seek(struct look *look, const struct key *key, void *buffer, size_t size)
{
    struct item *item;
    enum sought sought = seek_item(look, key, &item);
    if (sought != SOUGHT_HIT)
        return sought;
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
        return reader->read_otherwise(reader, name, buffer, size);
    struct key key = larder__look_key(&look, scope, name);
    larder_epoch_enter(&look.memory->epoch, look.thread);
    enum sought sought = seek(&look, &key, buffer, size);
    larder_epoch_leave(look.thread);
    larder__look_end(&look);
    if (sought == SOUGHT_HIT)
        return larder__hit_count(reader, look.thread, LARDER_OPERATION_READ);
    if (sought == SOUGHT_OTHERWISE)
        return reader->read_otherwise(reader, name, buffer, size);
    larder__policy_ask(&look.memory->policy, key.hash); /* what missed is often stored next */
    return reader->missed(reader, name, LARDER_OPERATION_READ);
}

/* ---- which of them -------------------------------------------------------------------------- */

ALWAYS_INLINE bool is_due(const struct memory *memory, uint64_t now_ms)
{
    return now_ms >= atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed);
}

/* When a call is, TIMELESS where nothing ends; does what is due. */
ALWAYS_INLINE uint64_t time_of_call(struct memory *memory, struct larder_thread *thread)
{
    if (atomic_load_explicit(&memory->arena.due_ms, memory_order_relaxed) == UINT64_MAX)
        return TIMELESS;
    uint64_t now_ms = larder__now_ms(memory);
    if (__builtin_expect(is_due(memory, now_ms), 0))
        larder__read_housekeeping(memory, thread, now_ms);
    return now_ms;
}

/* A key of any length, threads of any kind, and names of which it is not known where they lie. */
NO_CANARY __attribute__((noinline)) static enum larder_status hit_any(HIT_ARGUMENTS)
{
    struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL || name.length - 1 >= LARDER_KEY_BYTES_MAX, 0))
        return look_further(reader, name, buffer, size, scope);
    volatile struct kept kept;
    kept.data = name.data, kept.size = size, kept.scope = scope;
    uint64_t now_ms = time_of_call(memory, thread);
    return hit(memory, &kept, reader, name, buffer, larder__scope_space(memory, scope), now_ms,
               thread, true, true);
}

ALWAYS_INLINE uint32_t space_in(const struct larder_scope *scope, bool in_space)
{
    const _Atomic uint32_t *number = scope->hit_context;
    /* acquire: pairs with the release of a flush */
    uint32_t space = in_space ? atomic_load_explicit(number, memory_order_acquire) : SPACE_NONE;
    if (in_space != (space != SPACE_NONE))
        __builtin_unreachable();
    return space;
}

/* A key of the length that most have, where nothing ends. */
ALWAYS_INLINE enum larder_status hit_handy(HIT_ARGUMENTS, bool in_space, bool counts)
{
    const struct memory *memory = scope->self;
    struct larder_thread *thread = larder__own_thread;
    volatile struct kept kept;
    if (__builtin_expect(thread == NULL || !larder__is_handy(name.length), 0))
        return hit_any(reader, name, buffer, size, scope);
    kept.data = name.data, kept.size = size, kept.scope = scope;
    return hit(memory, &kept, reader, name, buffer, space_in(scope, in_space), TIMELESS, thread,
               false, counts);
}

/* Where hits are counted. */
NO_CANARY __attribute__((noinline)) static enum larder_status hit_counted(HIT_ARGUMENTS)
{
    return hit_handy(reader, name, buffer, size, scope, false, true);
}

NO_CANARY __attribute__((noinline)) static enum larder_status hit_counted_in_space(HIT_ARGUMENTS)
{
    return hit_handy(reader, name, buffer, size, scope, true, true);
}

/* Where something ends. What it came with lies on the stack while it looks at the clock: a store
 * and a load each. In registers that the clock keeps it would be a push, a pop and two moves. */
ALWAYS_INLINE enum larder_status hit_in_time(HIT_ARGUMENTS, bool in_space)
{
    const struct memory *before = scope->self;
    volatile struct kept kept;
    if (__builtin_expect(!larder__is_handy(name.length), 0))
        return hit_any(reader, name, buffer, size, scope);
    kept.reader = reader, kept.data = name.data, kept.length = name.length;
    kept.size = size, kept.buffer = buffer, kept.scope = scope;
    uint64_t clock_ms = larder__clock_read_ms(&before->clock);
    const struct larder_scope *same = kept.scope;
    struct memory *memory = same->self;
    struct larder_thread *thread = larder__own_thread;
    name = (struct larder_slice){kept.data, kept.length};
    uint64_t now_ms = clock_ms - memory->clock.birth_ms;
    if (__builtin_expect(thread == NULL || is_due(memory, now_ms), 0))
        return hit_any(kept.reader, name, kept.buffer, kept.size, same);
    if (!larder__is_handy(name.length) || now_ms == TIMELESS)
        __builtin_unreachable();
    return hit(memory, &kept, kept.reader, name, kept.buffer, space_in(same, in_space), now_ms,
               thread, false, true);
}

NO_CANARY __attribute__((noinline)) static enum larder_status hit_timed(HIT_ARGUMENTS)
{
    return hit_in_time(reader, name, buffer, size, scope, false);
}

NO_CANARY __attribute__((noinline)) static enum larder_status hit_timed_in_space(HIT_ARGUMENTS)
{
    return hit_in_time(reader, name, buffer, size, scope, true);
}

/* Which of these, where a read has something to look after. */
ALWAYS_INLINE enum larder_status hit_with_duties(HIT_ARGUMENTS, bool in_space, uint32_t duties)
{
    if ((duties & DUTY_TIME) != 0)
        return (in_space ? hit_timed_in_space : hit_timed)(reader, name, buffer, size, scope);
    if ((duties & DUTY_FENCE) != 0)
        return hit_any(reader, name, buffer, size, scope);
    return (in_space ? hit_counted_in_space : hit_counted)(reader, name, buffer, size, scope);
}

ALWAYS_INLINE enum larder_status hit_of_kind(HIT_ARGUMENTS, bool in_space)
{
    const struct memory *memory = scope->self;
    uint32_t duties = larder__duties(&memory->arena);
    if (duties != 0)
        return hit_with_duties(reader, name, buffer, size, scope, in_space, duties);
    return hit_handy(reader, name, buffer, size, scope, in_space, false);
}

NO_CANARY static enum larder_status hit_plain(HIT_ARGUMENTS)
{
    return hit_of_kind(reader, name, buffer, size, scope, false);
}

NO_CANARY static enum larder_status hit_in_space(HIT_ARGUMENTS)
{
    return hit_of_kind(reader, name, buffer, size, scope, true);
}

/* ---- views ---------------------------------------------------------------------------------- */

ALWAYS_INLINE void view_set(struct larder_value *value, const void *bytes, size_t length,
                            struct larder_owner *owner)
{
    *value = (struct larder_value){
        .bytes = larder_bytes(bytes, length),
        .info = {.length = length, .ttl_ms = LARDER_TTL_UNKNOWN, .idle_ms = -1},
        .owner = owner};
}

/* Enters a section, and finds a plain item. @return false: it may be anything else; in no section
 */
ALWAYS_INLINE bool find_within(struct memory *memory, struct larder_thread *thread,
                               const struct wanted *wanted, uint64_t now_ms, struct plain *plain)
{
    larder_epoch_enter(&memory->epoch, thread);
    bool found = larder__find_plain(memory, larder__index_to_find(memory), wanted, plain);
    if (__builtin_expect(found && larder__plain_is_live(HEAD_EXPIRY(plain->head), now_ms), 1))
        return true;
    larder_epoch_leave(thread);
    return false;
}

/* A value of any length. Within a section. */
ALWAYS_INLINE enum larder_status view_copy(struct larder_value *value, const struct item *item,
                                           const unsigned char *from)
{
    size_t length = item->value_length;
    unsigned char *bytes = larder_value_allocate(value, length);
    if (bytes == NULL)
        return LARDER_NO_MEMORY;
    larder__copy_bytes(bytes, from, length);
    return LARDER_OK;
}

/* Of another length than most have, or one for which no block is kept. Ends the section. */
__attribute__((noinline)) static enum larder_status
get_unusual(struct larder_reader *reader, struct larder_slice name, struct larder_value *value,
            const struct item *item, const unsigned char *from)
{
    struct larder_thread *thread = larder__own_thread;
    struct larder_value copy = {0};
    enum larder_status status = view_copy(&copy, item, from);
    larder_epoch_leave(thread);
    if (status != LARDER_OK)
        return reader->get_otherwise(reader, name, value);
    view_set(value, copy.bytes.data, copy.bytes.length, copy.owner);
    return larder__hit_count(reader, thread, LARDER_OPERATION_GET);
}

/* A view of anything that is there. Within a section. */
ALWAYS_INLINE enum sought seek_view(struct look *look, const struct key *key,
                                    struct larder_value *value)
{
    struct item *item;
    enum sought sought = seek_item(look, key, &item);
    if (sought != SOUGHT_HIT)
        return sought;
    bool is_there =
        larder__look_at(look, item) == SIGHT_CLEAR && larder__look_judge(look, item) == LARDER_OK;
    return is_there && larder__view(look, item, value) == LARDER_OK ? SOUGHT_HIT : SOUGHT_OTHERWISE;
}

/* Nothing that is plain at first sight. */
__attribute__((noinline)) static enum larder_status
get_further(struct larder_reader *reader, struct larder_slice name, struct larder_value *value,
            struct memory *memory, uint32_t space, uint64_t now_ms)
{
    struct look look = {memory, larder__own_thread, UINT64_MAX, now_ms == TIMELESS ? 0 : now_ms, 0};
    struct key key = {name.data, name.length, 0, space};
    key.hash = larder__hash(&memory->hash_key, name.data, name.length, space);
    view_set(value, NULL, 0, NULL);
    larder_epoch_enter(&memory->epoch, look.thread);
    enum sought sought = seek_view(&look, &key, value);
    larder_epoch_leave(look.thread);
    value->info.version = 0; /* nobody asked */
    if (sought == SOUGHT_HIT)
        return larder__hit_count(reader, look.thread, LARDER_OPERATION_GET);
    if (sought == SOUGHT_OTHERWISE)
        return reader->get_otherwise(reader, name, value);
    larder__policy_ask(&memory->policy, key.hash); /* what missed is often stored next */
    return reader->missed(reader, name, LARDER_OPERATION_GET);
}

/* As hit(), of any scope, into a block that the thread keeps. */
ALWAYS_INLINE enum larder_status get(struct larder_reader *reader, struct larder_slice name,
                                     struct larder_value *value, const struct larder_scope *scope,
                                     struct larder_thread *thread)
{
    struct memory *memory = scope->self;
    uint64_t now_ms = time_of_call(memory, thread);
    uint32_t space = larder__scope_space(memory, scope);
    struct wanted wanted = larder__want(memory, name, space, now_ms);
    struct plain plain;
    if (!find_within(memory, thread, &wanted, now_ms, &plain))
        return get_further(reader, name, value, memory, space, now_ms);
    larder__item_hit(memory, plain.item, thread);
    size_t usual = larder__usual_length(memory), foretold = larder__as_foretold(usual);
    struct larder_kept *block = NULL;
    if (__builtin_expect(plain.item->value_length == usual, 1))
        block = larder_kept_take(thread, usual);
    if (__builtin_expect(block == NULL, 0))
        return get_unusual(reader, name, value, plain.item, plain.value);
    larder__copy_at_once(block->bytes, plain.value, foretold);
    larder_epoch_leave(thread);
    view_set(value, block->bytes, usual, &block->owner);
    return larder__hit_count(reader, thread, LARDER_OPERATION_GET);
}

/* A key of any length, threads of any kind. */
NO_CANARY __attribute__((noinline)) static enum larder_status
get_any(struct larder_reader *reader, struct larder_slice name, struct larder_value *value,
        const struct larder_scope *scope)
{
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL || name.length - 1 >= LARDER_KEY_BYTES_MAX, 0))
        return reader->get_otherwise(reader, name, value);
    return get(reader, name, value, scope, thread);
}

/* A key of the length that most have. */
NO_CANARY static enum larder_status get_handy(struct larder_reader *reader,
                                              struct larder_slice name, struct larder_value *value,
                                              const struct larder_scope *scope)
{
    struct larder_thread *thread = larder__own_thread;
    if (__builtin_expect(thread == NULL || !larder__is_handy(name.length), 0))
        return get_any(reader, name, value, scope);
    return get(reader, name, value, scope, thread);
}

enum larder_status NAME_OF_WIDTH(larder__view_plain)(const struct look *look,
                                                     const struct larder_scope *scope,
                                                     struct larder_slice name,
                                                     struct larder_value *value)
{
    struct memory *memory = look->memory;
    uint64_t now_ms = look->now_ms != 0 ? look->now_ms : TIMELESS;
    struct wanted wanted = larder__want(memory, name, larder__scope_space(memory, scope), now_ms);
    struct plain plain;
    if (!find_within(memory, look->thread, &wanted, now_ms, &plain))
        return LARDER_MISS;
    larder__item_hit(memory, plain.item, look->thread);
    enum larder_status status = view_copy(value, plain.item, plain.value);
    if (status == LARDER_OK)
        value->info.version = plain.item->version;
    larder_epoch_leave(look->thread);
    return status;
}

/* ---- of a scope ---------------------------------------------------------------------------- */

void NAME_OF_WIDTH(larder__memory_hits_of)(struct larder_scope *scope, struct larder_hits *hits)
{
    hits->get = get_handy;
    hits->read = hit_plain;
    if (scope->space != NULL)
        hits->read = scope->hit_context != NULL ? hit_in_space : hit_any;
}
