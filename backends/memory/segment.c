/* Segments: where they are in their life, under one lock that is held for a few instructions. */
#include "segment.h"

#if LARDER_WATCHED_ADDRESSES
#include <sanitizer/asan_interface.h>
#define POISON(place, bytes) ASAN_POISON_MEMORY_REGION(place, bytes)
#define UNPOISON(place, bytes) ASAN_UNPOISON_MEMORY_REGION(place, bytes)
#else
#define POISON(place, bytes) ((void)(place), (void)(bytes))
#define UNPOISON(place, bytes) ((void)(place), (void)(bytes))
#endif

#define HEADERS_STEP_BYTES 4096u

/* ---- lists --------------------------------------------------------------------------------- */

static void list_init(struct segment_list *list)
{
    *list = (struct segment_list){NO_SEGMENT, NO_SEGMENT, 0};
}

static void list_append(struct arena *arena, struct segment_list *list, uint32_t number)
{
    struct segment *segment = &arena->segments[number];
    segment->next = NO_SEGMENT;
    segment->previous = list->last;
    if (list->last != NO_SEGMENT)
        arena->segments[list->last].next = number;
    else
        list->first = number;
    list->last = number;
    list->count++;
}

static void list_prepend(struct arena *arena, struct segment_list *list, uint32_t number)
{
    struct segment *segment = &arena->segments[number];
    segment->previous = NO_SEGMENT;
    segment->next = list->first;
    if (list->first != NO_SEGMENT)
        arena->segments[list->first].previous = number;
    else
        list->last = number;
    list->first = number;
    list->count++;
}

static void list_remove(struct arena *arena, struct segment_list *list, uint32_t number)
{
    struct segment *segment = &arena->segments[number];
    if (segment->previous != NO_SEGMENT)
        arena->segments[segment->previous].next = segment->next;
    else
        list->first = segment->next;
    if (segment->next != NO_SEGMENT)
        arena->segments[segment->next].previous = segment->previous;
    else
        list->last = segment->previous;
    list->count--;
}

/* @return NO_SEGMENT when it is empty */
static uint32_t list_take(struct arena *arena, struct segment_list *list)
{
    uint32_t number = list->first;
    if (number != NO_SEGMENT)
        list_remove(arena, list, number);
    return number;
}

/* ---- opening and closing ------------------------------------------------------------------- */

bool larder__arena_open(struct arena *arena, struct budget *budget, struct larder_epoch *epoch,
                        size_t reserved_bytes, unsigned shift, bool huge)
{
    arena->budget = budget;
    arena->epoch = epoch;
    arena->shift = shift;
    arena->capacity = (uint32_t)(reserved_bytes >> shift);
    arena->header_bytes = 0;
    if (!larder__region_reserve_behind_zeros(&arena->guarded.items,
                                             (size_t)arena->capacity << shift, huge))
        return false;
    if (!larder__region_reserve(&arena->guarded.headers,
                                (size_t)arena->capacity * sizeof(struct segment), false)) {
        larder__region_release(&arena->guarded.items);
        return false;
    }
    arena->base = arena->guarded.items.base;
    arena->items = arena->base - sizeof(uint64_t);
    arena->segments = (struct segment *)(void *)arena->guarded.headers.base;
    for (int i = 0; i < QUEUES; i++)
        list_init(&arena->guarded.queues[i]);
    list_init(&arena->guarded.free);
    list_init(&arena->guarded.vacant);
    list_init(&arena->guarded.retired);
    arena->guarded.swept_due_ms = UINT64_MAX;
    atomic_init(&arena->due_ms, larder__epoch_asymmetric ? UINT64_MAX : DUE_NOT_YET);
    atomic_init(&arena->duties, larder__epoch_asymmetric ? 0 : DUTY_FENCE);
    atomic_init(&arena->ready, 0);
    atomic_init(&arena->spare, 0);
    return true;
}

void larder__arena_close(struct arena *arena)
{
    UNPOISON(arena->base, arena->guarded.items.committed_bytes);
    larder__region_release(&arena->guarded.items);
    larder__region_release(&arena->guarded.headers);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Headers get memory, and are charged for it, as segments are used for the first time. */
static bool commit_header_locked(struct arena *arena, uint32_t number)
{
    struct region *headers = &arena->guarded.headers;
    size_t bytes = ((size_t)number + 1) * sizeof(struct segment);
    if (bytes <= headers->committed_bytes)
        return true;
    bytes = larder__round_up(bytes, HEADERS_STEP_BYTES);
    size_t more = bytes - headers->committed_bytes;
    if (!larder__budget_take(arena->budget, more))
        return false;
    if (!larder__region_commit(headers, bytes)) {
        larder__budget_give(arena->budget, more);
        return false;
    }
    arena->header_bytes += more;
    return true;
}

/* What has to stay so that `reserve` segments are free, or could be. */
static uint64_t reserve_bytes_locked(const struct arena *arena, uint32_t reserve)
{
    uint32_t free_count = arena->guarded.free.count;
    return (uint64_t)(reserve > free_count ? reserve - free_count : 0) << arena->shift;
}

/* One that never had memory, or lost it. @return NO_SEGMENT: over the bound, or no memory */
static uint32_t vacant_take_locked(struct arena *arena, uint32_t reserve)
{
    size_t bytes = larder__segment_bytes(arena);
    uint32_t number = arena->guarded.vacant.first;
    if (number == NO_SEGMENT && arena->guarded.fresh == arena->capacity)
        return NO_SEGMENT;
    if (!larder__budget_take_leaving(arena->budget, bytes, reserve_bytes_locked(arena, reserve)))
        return NO_SEGMENT;
    if (number != NO_SEGMENT) {
        list_remove(arena, &arena->guarded.vacant, number);
        return number;
    }
    number = arena->guarded.fresh;
    if (!commit_header_locked(arena, number) ||
        !larder__region_commit(&arena->guarded.items, ((size_t)number + 1) << arena->shift)) {
        larder__budget_give(arena->budget, bytes);
        return NO_SEGMENT;
    }
    arena->guarded.fresh++;
    POISON(larder__segment_begin(arena, number), bytes);
    return number;
}

static void hint_locked(struct arena *arena)
{
    uint64_t due_ms = larder__wheel_due_ms(&arena->guarded.wheel);
    if (arena->guarded.swept_due_ms < due_ms)
        due_ms = arena->guarded.swept_due_ms;
    if (due_ms == UINT64_MAX && !larder__epoch_asymmetric)
        due_ms = DUE_NOT_YET;
    if (due_ms != atomic_load_explicit(&arena->due_ms, memory_order_relaxed))
        atomic_store_explicit(&arena->due_ms, due_ms, memory_order_relaxed);
    larder__set_duty(arena, DUTY_TIME, due_ms != UINT64_MAX && larder__epoch_asymmetric);
    atomic_store_explicit(&arena->ready, arena->guarded.free.count, memory_order_relaxed);
    atomic_store_explicit(&arena->spare, arena->guarded.free.count + arena->guarded.retired.count,
                          memory_order_relaxed);
    atomic_store_explicit(&arena->in_use,
                          arena->guarded.fresh - arena->guarded.vacant.count -
                              arena->guarded.free.count,
                          memory_order_relaxed);
}

static void set_state(struct segment *segment, enum segment_state state)
{
    atomic_store_explicit(&segment->state, (uint8_t)state, memory_order_release);
}

/* ---- the life of a segment ----------------------------------------------------------------- */

static void start_locked(struct arena *arena, uint32_t number, enum queue queue, uint16_t lane,
                         uint64_t due_ms)
{
    struct segment *segment = &arena->segments[number];
    atomic_store_explicit(&segment->used_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&segment->dead_bytes, 0, memory_order_relaxed);
    segment->first_end_ms = UINT64_MAX;
    atomic_store_explicit(&segment->life, larder__segment_life(segment) + 1, memory_order_relaxed);
    segment->queue = (uint8_t)queue;
    segment->lane = lane;
    segment->swept = segment->marked = false;
    segment->flushes = atomic_load_explicit(&arena->flushes, memory_order_relaxed);
    set_state(segment, SEGMENT_OPEN);
    arena->guarded.open[queue]++;
    larder__wheel_link(&arena->guarded.wheel, number, due_ms);
    UNPOISON(larder__segment_begin(arena, number), larder__segment_bytes(arena));
}

struct segment *larder__segment_open(struct arena *arena, enum queue queue, uint16_t lane,
                                     uint64_t due_ms, uint32_t reserve)
{
    uint32_t number = NO_SEGMENT;
    larder__brief_lock(&arena->lock);
    if (arena->guarded.free.count > reserve)
        number = list_take(arena, &arena->guarded.free);
    if (number == NO_SEGMENT)
        number = vacant_take_locked(arena, reserve);
    if (number != NO_SEGMENT) {
        start_locked(arena, number, queue, lane, due_ms);
        atomic_fetch_add_explicit(&arena->turnover, 1, memory_order_relaxed);
        hint_locked(arena);
    }
    larder__brief_unlock(&arena->lock);
    return number != NO_SEGMENT ? &arena->segments[number] : NULL;
}

/* What the next one's header takes. */
static uint64_t header_bytes_locked(const struct arena *arena)
{
    size_t bytes = ((size_t)arena->guarded.fresh + 1) * sizeof(struct segment);
    bool is_there =
        arena->guarded.vacant.count > 0 || bytes <= arena->guarded.headers.committed_bytes;
    return is_there ? 0 : HEADERS_STEP_BYTES;
}

bool larder__arena_has_room(struct arena *arena, uint32_t reserve)
{
    larder__brief_lock(&arena->lock);
    bool has_room = arena->guarded.free.count > reserve;
    if (!has_room && (arena->guarded.vacant.count > 0 || arena->guarded.fresh < arena->capacity))
        has_room = larder__budget_has(arena->budget, larder__segment_bytes(arena) +
                                                         header_bytes_locked(arena) +
                                                         reserve_bytes_locked(arena, reserve));
    larder__brief_unlock(&arena->lock);
    return has_room;
}

static void relink_locked(struct arena *arena, uint32_t number, uint64_t due_ms)
{
    if (arena->segments[number].link.due_ms == due_ms)
        return;
    larder__wheel_unlink(&arena->guarded.wheel, number);
    larder__wheel_link(&arena->guarded.wheel, number, due_ms);
}

void larder__segment_hurry(struct arena *arena, struct segment *segment, uint64_t end_ms)
{
    larder__brief_lock(&arena->lock);
    relink_locked(arena, larder__segment_number(arena, segment), end_ms);
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
}

void larder__segment_seal(struct arena *arena, struct segment *segment)
{
    uint32_t number = larder__segment_number(arena, segment);
    larder__brief_lock(&arena->lock);
    arena->guarded.open[segment->queue]--;
    set_state(segment, SEGMENT_SEALED);
    list_append(arena, &arena->guarded.queues[segment->queue], number);
    relink_locked(arena, number, segment->first_end_ms);
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
}

static void scan_locked(struct arena *arena, uint32_t number)
{
    struct segment *segment = &arena->segments[number];
    list_remove(arena, &arena->guarded.queues[segment->queue], number);
    larder__wheel_unlink(&arena->guarded.wheel, number);
    set_state(segment, SEGMENT_SCANNED);
    arena->guarded.scanned++;
    hint_locked(arena);
}

struct segment *larder__segment_scan(struct arena *arena, enum queue queue)
{
    larder__brief_lock(&arena->lock);
    uint32_t number = arena->guarded.queues[queue].first;
    if (number != NO_SEGMENT)
        scan_locked(arena, number);
    larder__brief_unlock(&arena->lock);
    return number != NO_SEGMENT ? &arena->segments[number] : NULL;
}

bool larder__segment_scan_this(struct arena *arena, struct segment *segment)
{
    larder__brief_lock(&arena->lock);
    bool sealed = larder__segment_state(segment) == SEGMENT_SEALED;
    if (sealed)
        scan_locked(arena, larder__segment_number(arena, segment));
    larder__brief_unlock(&arena->lock);
    return sealed;
}

static void unsweep_locked(struct arena *arena, struct segment *segment)
{
    if (segment->swept)
        arena->guarded.swept_due_ms = UINT64_MAX;
    segment->swept = false;
    arena->guarded.scanned--;
}

void larder__segment_unscan(struct arena *arena, struct segment *segment, uint64_t due_ms)
{
    uint32_t number = larder__segment_number(arena, segment);
    larder__brief_lock(&arena->lock);
    set_state(segment, SEGMENT_SEALED);
    unsweep_locked(arena, segment);
    list_prepend(arena, &arena->guarded.queues[segment->queue], number);
    larder__wheel_link(&arena->guarded.wheel, number, due_ms);
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
}

void larder__segment_retire(struct arena *arena, struct segment *segment)
{
    larder__brief_lock(&arena->lock);
    set_state(segment, SEGMENT_RETIRED);
    segment->retired_epoch = larder_epoch_advance(arena->epoch);
    unsweep_locked(arena, segment);
    list_append(arena, &arena->guarded.retired, larder__segment_number(arena, segment));
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
}

void larder__segments_adopt(struct arena *arena)
{
    larder__brief_adopt(&arena->lock);
    for (uint32_t number = 0; number < arena->guarded.fresh; number++) {
        struct segment *segment = &arena->segments[number];
        if (larder__segment_state(segment) != SEGMENT_SCANNED)
            continue;
        set_state(segment, SEGMENT_SEALED);
        unsweep_locked(arena, segment);
        list_prepend(arena, &arena->guarded.queues[segment->queue], number);
        larder__wheel_link(&arena->guarded.wheel, number, segment->first_end_ms);
    }
    hint_locked(arena);
}

void larder__segments_retire_all(struct arena *arena)
{
    larder__brief_lock(&arena->lock);
    uint32_t epoch = larder_epoch_advance(arena->epoch);
    for (int queue = 0; queue < QUEUES; queue++) {
        uint32_t number;
        while ((number = list_take(arena, &arena->guarded.queues[queue])) != NO_SEGMENT) {
            larder__wheel_unlink(&arena->guarded.wheel, number);
            set_state(&arena->segments[number], SEGMENT_RETIRED);
            arena->segments[number].retired_epoch = epoch;
            list_append(arena, &arena->guarded.retired, number);
        }
    }
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
}

uint64_t larder__segments_retired_bytes(struct arena *arena)
{
    larder__brief_lock(&arena->lock);
    uint64_t bytes = (uint64_t)arena->guarded.retired.count << arena->shift;
    larder__brief_unlock(&arena->lock);
    return bytes;
}

/* @return false: nothing is retired */
static bool latest_retired(struct arena *arena, uint32_t *epoch)
{
    larder__brief_lock(&arena->lock);
    uint32_t number = arena->guarded.retired.last;
    if (number != NO_SEGMENT)
        *epoch = arena->segments[number].retired_epoch;
    larder__brief_unlock(&arena->lock);
    return number != NO_SEGMENT;
}

uint32_t larder__segments_reclaim(struct arena *arena)
{
    uint32_t latest, reclaimed = 0;
    struct segment_list *retired = &arena->guarded.retired;
    if (!latest_retired(arena, &latest))
        return 0;
    /* not under the lock: it takes long */
    larder_epoch_order(arena->epoch, latest);
    uint32_t oldest = larder_epoch_oldest(arena->epoch);
    larder__brief_lock(&arena->lock);
    while (retired->count > 0 &&
           larder_epoch_passed(arena->segments[retired->first].retired_epoch, oldest)) {
        uint32_t number = list_take(arena, retired);
        set_state(&arena->segments[number], SEGMENT_FREE);
        POISON(larder__segment_begin(arena, number), larder__segment_bytes(arena));
        list_prepend(arena, &arena->guarded.free, number);
        reclaimed++;
    }
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
    return reclaimed;
}

uint64_t larder__segments_vacate(struct arena *arena, uint32_t count)
{
    uint64_t bytes = 0;
    larder__brief_lock(&arena->lock);
    for (; count > 0 && arena->guarded.free.count > 0; count--) {
        uint32_t number = list_take(arena, &arena->guarded.free);
        larder__region_forget(&arena->guarded.items, (size_t)number << arena->shift,
                              larder__segment_bytes(arena));
        set_state(&arena->segments[number], SEGMENT_VACANT);
        list_prepend(arena, &arena->guarded.vacant, number);
        bytes += larder__segment_bytes(arena);
    }
    larder__budget_give(arena->budget, bytes);
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
    return bytes;
}

#define TURNS_MAX 1024u /* past empty buckets; a turn is a few ns */

struct segment *larder__segment_due(struct arena *arena, uint64_t now_ms, uint32_t *open_in)
{
    uint32_t number = NO_SEGMENT;
    enum wheel_turn turn = WHEEL_MOVED;
    larder__brief_lock(&arena->lock);
    for (uint32_t i = 0; i < TURNS_MAX && turn == WHEEL_MOVED; i++)
        turn = larder__wheel_turn(&arena->guarded.wheel, now_ms, &number);
    *open_in = turn == WHEEL_DUE ? arena->segments[number].lane : LANE_NONE;
    if (turn == WHEEL_DUE && larder__segment_state(&arena->segments[number]) == SEGMENT_SEALED) {
        *open_in = LANE_NONE;
        arena->segments[number].swept = true;
        arena->guarded.swept_due_ms = larder__wheel_due_ms(&arena->guarded.wheel);
        scan_locked(arena, number);
    }
    hint_locked(arena);
    larder__brief_unlock(&arena->lock);
    return turn == WHEEL_DUE ? &arena->segments[number] : NULL;
}
