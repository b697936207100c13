/*
 * memory: a cache in the process. Items lie in segments, which are appended to, and emptied and
 * given back as a whole; an index finds them; readers take no lock.
 *
 *   item.h       the bytes of an entry              policy.c   what is evicted
 *   index.c      from a key to its item             scan.c     emptying a segment
 *   segment.c    the life of a segment              room.c     making room under the bound
 *   wheel.c      segments by the time they are due  sweep.c    housekeeping, a step per call
 *   lane.c       where threads append               visit.c    one writer's operation on one key
 *   large.c      long values, which views hold      look.h     one reader's
 *   space.c      namespaces                         hit.c      plain reads
 *   recycle.c    places that are used again         group.c    many reads at once
 *   plain.h      what most entries are              store.c    plain stores
 *   handy.h      keys of the usual length           read.c, many.c, write.c, lease.c, keys.c,
 *   hash.h, budget.h, region.c                      whole.c    the other operations
 *   slide.c      TTLs that hits renew               listener.c who is told of evictions
 *   clock.h      the time                           brief.h    locks that are held briefly
 *                                                   width.h    what is compiled several times:
 *                                                              …_wide.c, …_widest.c
 *
 * util/epoch.h protects readers; memory.h has the order of locks.
 */
#include "memory.h"

#include <sched.h>
#include <unistd.h>
#include <stdlib.h>

#include <larder/util/deadline.h>
#include <larder/util/message.h>

#include "listener.h"
#include "operations.h"
#include "scan.h"

/* ---- traits -------------------------------------------------------------------------------- */

#define MEMORY_CAN                                                                                \
    (LARDER_CAN_ADD | LARDER_CAN_REPLACE | LARDER_CAN_APPEND | LARDER_CAN_CAS |                   \
     LARDER_CAN_DELETE_VERSION | LARDER_CAN_TOUCH | LARDER_CAN_GET_AND_TOUCH | LARDER_CAN_COUNT | \
     LARDER_CAN_COUNT_INITIAL | LARDER_CAN_LEASE | LARDER_CAN_ABSENT | LARDER_CAN_READ_TTL |      \
     LARDER_CAN_STORE_VERSION | LARDER_CAN_KEYS | LARDER_CAN_FLUSH | LARDER_CAN_NAMESPACES |      \
     LARDER_CAN_MANY_READ | LARDER_CAN_MANY_WRITE)

/* The longest value is what fits beside a key of this length. */
#define SMALL_KEY_BYTES 256u

static struct larder_traits make_traits(const struct memory *memory)
{
    struct larder_traits traits = {
        .size = sizeof(struct larder_traits),
        .consistency = LARDER_LINEARIZABLE,
        .can = MEMORY_CAN,
        .promises = LARDER_NEVER_BLOCKS | LARDER_HARD_DEADLINE | LARDER_MISS_IS_ABSENCE |
                    LARDER_KEEPS_UNTIL_EVICTED | LARDER_STRICT_COUNTERS,
        .options = LARDER_TAKES_NO_WAIT | LARDER_TAKES_NO_REPLY | LARDER_TAKES_TIMEOUT |
                   LARDER_TAKES_RECACHE | LARDER_TAKES_TOUCH | LARDER_TAKES_VERSION |
                   LARDER_TAKES_ROUTING_KEY,
        .value_max = memory->capacity_bytes - sizeof(struct large) - SMALL_KEY_BYTES,
        .delta_max = UINT64_MAX,
        .ttl_step_ms = 1,
        .ttl_late_ms = (uint32_t)(2 * memory->clock.slack_ms),
        .key_max = LARDER_KEY_BYTES_MAX,
    };
    return traits;
}

static const struct larder_traits *memory_traits(const void *self)
{
    const struct memory *memory = self;
    return &memory->traits;
}

/* ---- sizes --------------------------------------------------------------------------------- */

#define SEGMENT_SHIFT_MIN 12u
#define SEGMENT_SHIFT_MAX 20u
#define SEGMENTS_WANTED 1024u  /* at the bound: the policy works on whole segments */
#define SEGMENT_SHIFT_HUGE 21u /* a huge page: given back as a whole, and never half charged */
#define ARENA_BYTES_MAX ((UINT64_C(1) << 32) * ITEM_UNIT - (UINT64_C(1) << SEGMENT_SHIFT_HUGE))
#define GROWTH_FACTOR                                                                            \
    LARDER_MEMORY_GROWTH_FACTOR /* how far the bound may be raised later: addresses are reserved \
                                   for it */
#define LARGE_FACTOR 16u
#define HUGE_BYTES_MIN (UINT64_C(512) << 20) /* 256 segments, as the smallest cache has */
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)
#define STRIPE_BYTES (UINT64_C(1) << 16)
#define TOLD_BYTES_MIN 4096u
#define PLACE_SHARE_BYTES (UINT64_C(1) << 14) /* of the bound, for each place that waits */

struct sizes {
    unsigned segment_shift;
    uint64_t segments; /* at the bound */
    uint64_t arena_bytes;
    unsigned stripe_bits;
    uint32_t lanes;
    uint32_t places; /* that wait in a lane to be recycled; 0: none */
    bool huge;
};

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

static unsigned log2_of(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value | 1);
}

static struct sizes choose_sizes(const struct larder_memory_options *options)
{
    uint64_t max_bytes = options->max_bytes;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t cores = online > 0 ? (uint64_t)online : 1;
    struct sizes sizes = {.segment_shift = log2_of(max_bytes / SEGMENTS_WANTED),
                          .huge = options->huge_pages != 0 && max_bytes >= HUGE_BYTES_MIN};
    if (sizes.segment_shift < SEGMENT_SHIFT_MIN)
        sizes.segment_shift = SEGMENT_SHIFT_MIN;
    if (sizes.segment_shift > SEGMENT_SHIFT_MAX)
        sizes.segment_shift = SEGMENT_SHIFT_MAX;
    if (sizes.huge)
        sizes.segment_shift = SEGMENT_SHIFT_HUGE;
    sizes.segments = at_most(max_bytes, ARENA_BYTES_MAX) >> sizes.segment_shift;
    sizes.arena_bytes =
        max_bytes > ARENA_BYTES_MAX / GROWTH_FACTOR ? ARENA_BYTES_MAX : max_bytes * GROWTH_FACTOR;
    sizes.stripe_bits = log2_of(at_most(max_bytes / STRIPE_BYTES, STRIPES_MAX));
    sizes.lanes = 1;
    while (sizes.lanes < cores && sizes.lanes < LANES_MAX && sizes.lanes * 64 < sizes.segments)
        sizes.lanes *= 2;
    sizes.places =
        (uint32_t)at_most(max_bytes / PLACE_SHARE_BYTES / sizes.lanes, RECYCLE_PLACES_MAX);
    if (sizes.places < RECYCLE_PLACES_MIN)
        sizes.places = 0;
    return sizes;
}

/* ---- open ---------------------------------------------------------------------------------- */

static size_t stripes_size(unsigned stripe_bits)
{
    return sizeof(struct stripe) << stripe_bits;
}

static size_t places_size(const struct sizes *sizes)
{
    return sizes->lanes * larder__recycler_places(sizes->places) * sizeof(struct recycled_place);
}

static void *new_lines(size_t bytes)
{
    void *lines = aligned_alloc(2 * LARDER_LINE_BYTES,
                                larder__round_up(bytes, (size_t)2 * LARDER_LINE_BYTES));
    if (lines != NULL)
        memset(lines, 0, bytes);
    return lines;
}

static void init_stripes(struct memory *memory)
{
    /* a version read from one cache must not fit an entry of the one that follows it */
    for (uint32_t i = 0; i <= memory->stripe_mask; i++)
        memory->stripes[i].guarded.version = (uint32_t)larder_random();
}

static void init_lanes(struct memory *memory, const struct sizes *sizes, uint64_t max_bytes)
{
    uint64_t classes = sizes->segments / (sizes->lanes * 16);
    for (uint32_t i = 0; i <= memory->lane_mask; i++) {
        struct lane *lane = &memory->lanes[i];
        lane->number = (uint16_t)i;
        lane->classes = (uint16_t)at_most(classes > 0 ? classes : 1, LANE_CLASSES_MAX);
        lane->weight_max = max_bytes / 64;
        larder__recycler_open(&lane->guarded.recycler,
                              memory->places + i * larder__recycler_places(sizes->places),
                              sizes->places);
    }
}

static void init_times(struct memory *memory, const struct larder_host *host,
                       const struct larder_memory_options *options)
{
    larder__clock_open(&memory->clock, host);
    memory->interval_ms = options->bucket_interval_ms;
}

/* What a cache takes before anything is in it, but for its index. */
static uint64_t fixed_bytes_of(const struct sizes *sizes,
                               const struct larder_memory_options *options)
{
    return sizeof(struct memory) + sizeof(struct scan) + sizeof(struct large_store) +
           larder__index_least_bytes(sizes->stripe_bits) + /* so that a full cache can be flushed */
           stripes_size(sizes->stripe_bits) + sizes->lanes * sizeof(struct lane) +
           places_size(sizes) + larder__wheel_heads((uint32_t)options->buckets) * sizeof(uint32_t);
}

static bool allocate_parts(struct memory *memory, const struct sizes *sizes,
                           const struct larder_memory_options *options)
{
    memory->sweep = calloc(1, sizeof(*memory->sweep));
    memory->stripes = new_lines(stripes_size(sizes->stripe_bits));
    memory->lanes = new_lines(sizes->lanes * sizeof(struct lane));
    memory->places = malloc(places_size(sizes) + 1); /* there may be none */
    memory->wheel_heads =
        malloc(larder__wheel_heads((uint32_t)options->buckets) * sizeof(uint32_t));
    memory->large = larder__large_store_open(
        options->max_bytes, at_most(options->max_bytes, UINT64_C(1) << 40) * LARGE_FACTOR,
        &memory->epoch);
    return memory->sweep != NULL && memory->stripes != NULL && memory->lanes != NULL &&
           memory->places != NULL && memory->wheel_heads != NULL && memory->large != NULL;
}

static void free_parts(struct memory *memory)
{
    free(memory->wheel_heads);
    free(memory->places);
    free(memory->lanes);
    free(memory->stripes);
    free(memory->sweep);
}

/* Index and segments, and what is left for entries when they are as small as can be. */
static bool open_parts(struct memory *memory, const struct sizes *sizes,
                       const struct larder_memory_options *options)
{
    memory->budget = &memory->large->budget;
    memory->first_level = sizes->stripe_bits;
    memory->huge = sizes->huge;
    memory->index_reserved_bytes = (size_t)(sizes->arena_bytes / 2);
    memory->index_step_bytes =
        sizes->huge ? HUGE_PAGE_BYTES : (size_t)at_most(UINT64_C(1) << sizes->segment_shift, 65536);
    memory->fixed_bytes = fixed_bytes_of(sizes, options);
    if (!larder__budget_take(memory->budget, memory->fixed_bytes) ||
        !larder__arena_open(&memory->arena, memory->budget, &memory->epoch,
                            (size_t)sizes->arena_bytes, sizes->segment_shift, sizes->huge))
        return false;
    struct index *index = larder__index_new(memory, false);
    if (index == NULL) {
        larder__arena_close(&memory->arena);
        return false;
    }
    atomic_init(&memory->index, index);
    memory->guarded.prepaid = true;
    larder__wheel_init(&memory->arena.guarded.wheel, memory->wheel_heads,
                       (uint32_t)options->buckets, memory->interval_ms,
                       &memory->arena.segments[0].link, sizeof(struct segment));
    return true;
}

static void init_rest(struct memory *memory, const struct sizes *sizes,
                      const struct larder_memory_options *options)
{
    uint64_t needed = 4 * larder__segment_bytes(&memory->arena) + 4 * memory->index_step_bytes;
    uint64_t left = options->max_bytes - larder__budget_used(memory->budget);
    memory->capacity_bytes = left > 2 * needed ? left - needed : left / 2;
    memory->capacity_bytes -= memory->capacity_bytes % larder__page_bytes();
    memory->inline_bytes = larder__segment_bytes(&memory->arena) / 4;
    memory->inline_bytes = (size_t)at_most(memory->inline_bytes, 2 * VALUE_INLINE_MAX);
    memory->plain_value_max = (size_t)at_most(
        memory->inline_bytes - larder__item_bytes(sizeof(uint32_t), HANDY_BYTES_MAX, 0),
        VALUE_INLINE_MAX);
    memory->bound_least = options->max_bytes / GROWTH_FACTOR;
    if (memory->bound_least < LARDER_MEMORY_BYTES_MIN)
        memory->bound_least = LARDER_MEMORY_BYTES_MIN;
    memory->bound_most = at_most(options->max_bytes, UINT64_MAX / GROWTH_FACTOR) * GROWTH_FACTOR;
    memory->evicts = options->evict != 0;
    /* adding up what is alive takes a look at every stripe: not too often, and not too late */
    memory->told_bytes =
        (uint32_t)larder__segment_bytes(&memory->arena) >> (memory->stripe_bits / 2 + 2);
    if (memory->told_bytes < TOLD_BYTES_MIN)
        memory->told_bytes = TOLD_BYTES_MIN;
    memory->slides = options->sliding != 0;
    memory->token_mask = larder_random();
    memory->traits = make_traits(memory);
    init_lanes(memory, sizes, options->max_bytes);
}

static struct memory *new_memory(const struct larder_host *host,
                                 const struct larder_memory_options *options)
{
    struct sizes sizes = choose_sizes(options);
    struct memory *memory = new_lines(sizeof(*memory));
    if (memory == NULL)
        return NULL;
    larder_epoch_init(&memory->epoch);
    memory->stripe_bits = sizes.stripe_bits;
    memory->stripe_mask = (UINT32_C(1) << sizes.stripe_bits) - 1;
    memory->lane_mask = sizes.lanes - 1;
    atomic_init(&memory->usual_length, LENGTH_UNUSUAL);
    init_times(memory, host, options);
    larder__hash_key_init(&memory->hash_key);
    if (!allocate_parts(memory, &sizes, options) || !open_parts(memory, &sizes, options)) {
        if (memory->large != NULL)
            larder__large_store_close(memory->large);
        free_parts(memory);
        free(memory);
        return NULL;
    }
    pthread_mutex_init(&memory->growth, NULL);
    pthread_mutex_init(&memory->listener_lock, NULL);
    init_stripes(memory);
    larder__spaces_open(&memory->spaces, memory->budget);
    larder__policy_open(&memory->policy, memory->budget);
    init_rest(memory, &sizes, options);
    return memory;
}

/* The bound of a cache that has none of its own. */
static uint64_t half_of_the_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t bytes = pages > 0 ? (uint64_t)pages / 2 * larder__page_bytes() : 0;
    return bytes > LARDER_MEMORY_BYTES_MIN ? bytes : LARDER_MEMORY_BYTES_MIN;
}

static enum larder_status memory_open(const struct larder_host *host, const void *options,
                                      struct larder_message *message, void **self)
{
    struct larder_memory_options given = *(const struct larder_memory_options *)options;
    if (given.max_bytes == 0)
        given.max_bytes = half_of_the_machine();
    if (given.max_bytes < LARDER_MEMORY_BYTES_MIN)
        return larder_fail(
            message, LARDER_BAD_ARGUMENT, "max_bytes is %llu: it must be 0 or at least %llu",
            (unsigned long long)given.max_bytes, (unsigned long long)LARDER_MEMORY_BYTES_MIN);
    *self = new_memory(host, &given);
    return *self != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

/* ---- the end ------------------------------------------------------------------------------- */

#define SHUTDOWN_WAIT_NS UINT64_C(200000000) /* for calls that are inside */

/* With nobody inside, whatever the readers' sections say: the bulk goes. */
static void release_bulk(struct memory *memory)
{
    pthread_mutex_lock(&memory->growth);
    if (!memory->guarded.released) {
        larder__indexes_reclaim_locked(memory, true);
        larder__policy_close(&memory->policy);
        larder__arena_close(&memory->arena);
        larder__large_store_close(memory->large);
        free_parts(memory);
    }
    memory->guarded.released = true;
    pthread_mutex_unlock(&memory->growth);
}

static bool is_quiet(struct memory *memory)
{
    uint32_t current = (uint32_t)atomic_load_explicit(&memory->epoch.word, memory_order_relaxed);
    if (!larder__calls_are_over(memory))
        return false;
    larder_epoch_order(&memory->epoch, current - 1);
    return larder_epoch_oldest(&memory->epoch) == current;
}

/* @return false: it was closed before */
static bool close_to_calls(struct memory *memory)
{
    pthread_mutex_lock(&memory->growth);
    bool closes = !memory->guarded.released && !memory->stripes[0].guarded.closed;
    if (closes) {
        larder__stripes_lock(memory);
        for (uint32_t i = 0; i <= memory->stripe_mask; i++)
            memory->stripes[i].guarded.closed = true;
        larder__drop_all_locked(memory, NULL);
        (void)larder_epoch_advance(&memory->epoch);
        larder__stripes_unlock(memory);
    }
    pthread_mutex_unlock(&memory->growth);
    return closes;
}

/* Calls of before end, and those that begin find no index any more; then everything is given back
 * but the shell, which says so. Should somebody stand still inside, that waits for close. */
static void memory_shutdown(void *self)
{
    struct memory *memory = self;
    uint64_t until_ns = larder_monotonic_ns() + SHUTDOWN_WAIT_NS;
    if (!close_to_calls(memory))
        return;
    while (!is_quiet(memory)) {
        if (larder_monotonic_ns() > until_ns)
            return;
        sched_yield();
    }
    release_bulk(memory);
}

static void memory_close(void *self)
{
    struct memory *memory = self;
    memory_shutdown(memory);
    release_bulk(memory);
    larder__spaces_close(&memory->spaces);
    pthread_mutex_destroy(&memory->listener_lock);
    pthread_mutex_destroy(&memory->growth);
    free(memory);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static void lock_all(struct memory *memory)
{
    pthread_mutex_lock(&memory->growth);
    pthread_mutex_lock(&memory->spaces.lock);
    pthread_mutex_lock(&memory->listener_lock);
    if (memory->guarded.released)
        return;
    larder__stripes_lock(memory);
    for (uint32_t i = 0; i <= memory->lane_mask; i++)
        larder__brief_lock(&memory->lanes[i].lock);
    pthread_mutex_lock(&memory->large->lock);
    larder__brief_lock(&memory->arena.lock);
}

/* The one of growth last: whoever has it may free the others. */
static void unlock_all(struct memory *memory)
{
    if (!memory->guarded.released) {
        larder__brief_unlock(&memory->arena.lock);
        pthread_mutex_unlock(&memory->large->lock);
        for (uint32_t i = 0; i <= memory->lane_mask; i++)
            larder__brief_unlock(&memory->lanes[i].lock);
        larder__stripes_unlock(memory);
    }
    pthread_mutex_unlock(&memory->listener_lock);
    pthread_mutex_unlock(&memory->spaces.lock);
    pthread_mutex_unlock(&memory->growth);
}

/* How often the calling thread is telling the listener, one in the other. */
static uint64_t own_tellings(const struct memory *memory)
{
    uint64_t count = 0;
    const struct telling *telling = larder__own_thread != NULL ? larder__own_thread->telling : NULL;
    for (; telling != NULL; telling = telling->outer)
        count += telling->memory == memory;
    return count;
}

/* What other threads had in their hands in the parent is nobody's in the child: segments that they
 * were emptying are begun anew, nobody waits for a lock, and what they had reserved of the bound is
 * free. */
static void adopt(struct memory *memory)
{
    larder__stripes_adopt(memory);
    larder__lanes_adopt(memory->lanes, memory->lane_mask + 1);
    larder__segments_adopt(&memory->arena);
    memory->sweep->segment = NULL;
    atomic_store_explicit(&memory->sweeping, 0, memory_order_relaxed);
    atomic_store_explicit(&memory->evicting, 0, memory_order_relaxed);
    atomic_store_explicit(&memory->tellings, own_tellings(memory), memory_order_relaxed);
    if (larder__index(memory) != NULL)
        atomic_store_explicit(&memory->budget->used_bytes, larder__recount_locked(memory),
                              memory_order_relaxed);
}

/* The child has the forking thread alone, which holds every lock: no entry is half written. */
static void memory_fork(void *self, enum larder_fork_step step)
{
    struct memory *memory = self;
    if (step == LARDER_FORK_PREPARE) {
        lock_all(memory);
        return;
    }
    if (step == LARDER_FORK_CHILD && !memory->guarded.released)
        adopt(memory);
    unlock_all(memory);
}

/* ---- the descriptor ------------------------------------------------------------------------ */

/* Where a namespace's number lies. Within a call: entering a name is charged to what a shutdown
 * frees. */
static void find_number(struct memory *memory, struct larder_scope *scope)
{
    struct call call;
    if (larder__call_begin(memory, &call) != LARDER_OK)
        return;
    scope->hit_context = (void *)larder__space_number_at(&memory->spaces, scope->space->name);
    larder__call_end(&call);
}

static void memory_hits_of(struct larder_scope *scope, struct larder_hits *hits)
{
    if (scope->space != NULL)
        find_number(scope->self, scope);
    PICK_BY_WIDTH(larder__memory_of(scope)->hash_key.width, larder__memory_hits_of)(scope, hits);
}

static const struct larder_ops memory_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "memory",
    .read = larder__memory_read,
    .hits_of = memory_hits_of,
    .store = larder__memory_store,
    .remove = larder__memory_remove,
    .traits = memory_traits,
    .close = memory_close,
    .get = larder__memory_get,
    .touch = larder__memory_touch,
    .get_and_touch = larder__memory_get_and_touch,
    .count = larder__memory_count,
    .lease_get = larder__memory_lease_get,
    .lease_fill = larder__memory_lease_fill,
    .lease_return = larder__memory_lease_return,
    .many = larder__memory_many,
    .flush = larder__memory_flush,
    .keys = larder__memory_keys,
    .stats = larder__memory_stats,
    .purge = larder__memory_purge,
    .shutdown = memory_shutdown,
    .fork = memory_fork,
};

#define LARDER_OPTIONS_STRUCT struct larder_memory_options
static const struct larder_option memory_options[] = {
    LARDER_MEMORY_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

extern const struct larder_backend larder_memory_backend;
const struct larder_backend larder_memory_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "memory",
    .sentence = "an in-process cache with time-bucketed expiry and a byte bound",
    .ops = &memory_ops,
    .open = memory_open,
    .options = memory_options,
    .option_count = sizeof(memory_options) / sizeof(memory_options[0]),
    .options_size = sizeof(struct larder_memory_options),
};

static enum larder_status set_max_bytes(struct memory *memory, uint64_t max_bytes)
{
    struct call call;
    if (max_bytes < memory->bound_least || max_bytes > memory->bound_most)
        return LARDER_BAD_ARGUMENT;
    enum larder_status status = larder__call_begin(memory, &call);
    if (status != LARDER_OK)
        return status;
    atomic_store_explicit(&memory->budget->max_bytes, max_bytes, memory_order_relaxed);
    larder__housekeeping(memory, call.thread, larder__now_ms(memory));
    larder__call_end(&call);
    return LARDER_OK;
}

enum larder_status larder_memory_set_max_bytes(struct larder_cache *cache, uint64_t max_bytes)
{
    void *self;
    enum larder_status status = larder_backend_object(cache, &larder_memory_backend, &self);
    return status == LARDER_OK ? set_max_bytes(self, max_bytes) : status;
}

enum larder_status larder_memory_on_evicted(struct larder_cache *cache,
                                            larder_memory_evicted_fn *evicted, void *context)
{
    void *self;
    enum larder_status status = larder_backend_object(cache, &larder_memory_backend, &self);
    if (status == LARDER_OK)
        larder__listener_set(self, evicted, context);
    return status;
}

enum larder_status larder_memory_open(const struct larder_memory_options *options,
                                      const struct larder_open_options *open_options,
                                      struct larder_cache **cache, char *message,
                                      size_t message_size)
{
    return larder_open_backend(&larder_memory_backend, options, open_options, cache, message,
                               message_size);
}
