/* The eviction policy. */
#include "policy.h"

#define FINGERPRINT_BITS 11u
#define SHARE_START 0.10
#define SHARE_MIN 0.01
#define SHARE_MAX 0.25
#define LEVEL_MAX 1.5
#define LEVEL_STEP 12.0   /* entries' worth of a returning ghost */
#define LEARNS_EVERY 4u   /* of them one tells, for so many: every thread reads what it changes */
#define LEARNS_ALL 4096.0 /* of fewer entries every one tells: else each step would be a leap */
#define GUARD_WEIGHT 256.0
#define NEW_SLOTS 3u    /* of 31: ghosts of about the last tenth tell about the share */
#define LEFT_HALVED 0.2 /* of all entries */
#define PROMOTION 2u    /* hits in the small queue that make a candidate for the main one */

static double load(const _Atomic double *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(_Atomic double *number, double value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static double clamp(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

void larder__policy_open(struct policy *policy, struct budget *budget)
{
    policy->budget = budget;
    atomic_init(&policy->ghosts, NULL);
    atomic_init(&policy->items, 1.0);
    atomic_init(&policy->share, SHARE_START);
    atomic_init(&policy->level, 1.0);
    atomic_init(&policy->guard, 0.0);
    for (int i = 0; i < GHOST_KINDS; i++)
        atomic_init(&policy->left[i], 1.0);
}

void larder__policy_close(struct policy *policy)
{
    larder__region_release(&policy->region);
}

/* Twice as many slots as entries. */
static uint32_t ghost_buckets(uint64_t items)
{
    uint64_t buckets = items * 2 / GHOST_SLOTS + 1;
    return buckets < UINT32_MAX ? (uint32_t)buckets : UINT32_MAX;
}

uint64_t larder__policy_ghost_bytes(uint64_t items)
{
    return larder__round_up((uint64_t)ghost_buckets(items) * sizeof(struct ghost_bucket),
                            larder__page_bytes());
}

bool larder__policy_make_ghost(struct policy *policy, uint64_t items)
{
    uint64_t bytes = larder__policy_ghost_bytes(items);
    if (policy->region.base != NULL)
        return true;
    if (!larder__budget_take(policy->budget, bytes))
        return false;
    if (!larder__region_reserve(&policy->region, bytes, false) ||
        !larder__region_commit(&policy->region, bytes)) {
        larder__region_release(&policy->region);
        larder__budget_give(policy->budget, bytes);
        return false;
    }
    policy->charged_bytes = bytes;
    policy->ghost_buckets = ghost_buckets(items);
    /* release: pairs with the acquire of whoever looks for a ghost */
    atomic_store_explicit(&policy->ghosts, (struct ghost_bucket *)(void *)policy->region.base,
                          memory_order_release);
    return true;
}

uint64_t larder__policy_bytes(const struct policy *policy)
{
    return policy->charged_bytes;
}

/* ---- the ghost ------------------------------------------------------------------------------ */

static uint16_t fingerprint_of(uint64_t hash)
{
    return (uint16_t)((hash >> (64 - FINGERPRINT_BITS)) << 5);
}

static unsigned cursor_of(const struct ghost_bucket *bucket)
{
    return atomic_load_explicit(&bucket->cursor, memory_order_relaxed);
}

static void ghost_put(struct policy *policy, uint64_t hash, enum ghost_kind kind, unsigned history)
{
    struct ghost_bucket *bucket = larder__ghost_bucket(policy, hash);
    if (bucket == NULL)
        return;
    unsigned cursor = cursor_of(bucket);
    uint16_t slot = (uint16_t)(fingerprint_of(hash) | history << 2 | kind);
    atomic_store_explicit(&bucket->slots[cursor], slot, memory_order_relaxed);
    cursor = cursor + 1 < GHOST_SLOTS ? cursor + 1 : 0;
    atomic_store_explicit(&bucket->cursor, (uint16_t)cursor, memory_order_relaxed);
}

struct ghost {
    enum ghost_kind kind;
    unsigned history;
    unsigned age; /* in slots of its bucket: 0 is the newest */
};

/* A bit for each slot with that fingerprint; a free one has a history of 0. */
#if LARDER_MATCHES_AT_ONCE /* as the tags of a bucket */
static uint32_t ghost_match(const struct ghost_bucket *bucket, uint16_t fingerprint)
{
    const __m128i *slots = (const __m128i *)(const void *)bucket;
    const __m128i wanted = _mm_set1_epi16((short)fingerprint), rest = _mm_set1_epi16(31);
    uint32_t found = 0;
    for (unsigned i = 0; i < 2; i++) {
        __m128i low = _mm_load_si128(slots + 2 * i), high = _mm_load_si128(slots + 2 * i + 1);
        __m128i free_slots = _mm_packs_epi16(_mm_cmpeq_epi16(low, _mm_setzero_si128()),
                                             _mm_cmpeq_epi16(high, _mm_setzero_si128()));
        __m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_andnot_si128(rest, low), wanted),
                                        _mm_cmpeq_epi16(_mm_andnot_si128(rest, high), wanted));
        equal = _mm_andnot_si128(free_slots, equal);
        found |= (uint32_t)_mm_movemask_epi8(equal) << 16 * i;
    }
    return found & ~(UINT32_C(1) << GHOST_SLOTS); /* behind them lies the cursor */
}
#else
static uint32_t ghost_match(const struct ghost_bucket *bucket, uint16_t fingerprint)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < GHOST_SLOTS; i++) {
        uint16_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_relaxed);
        found |= (uint32_t)((slot & ~31u) == fingerprint && slot != 0) << i;
    }
    return found;
}
#endif

/* Finds the newest, and takes it out. */
static bool ghost_take(const struct policy *policy, uint64_t hash, struct ghost *ghost)
{
    struct ghost_bucket *bucket = larder__ghost_bucket(policy, hash);
    uint32_t found = bucket != NULL ? ghost_match(bucket, fingerprint_of(hash)) : 0;
    if (found == 0)
        return false;
    unsigned cursor = cursor_of(bucket);
    uint32_t before = found & ((UINT32_C(1) << cursor) - 1); /* newer than what is behind it */
    unsigned number = 31u - (unsigned)__builtin_clz(before != 0 ? before : found);
    uint16_t slot = atomic_load_explicit(&bucket->slots[number], memory_order_relaxed);
    atomic_store_explicit(&bucket->slots[number], 0, memory_order_relaxed);
    unsigned age = number < cursor ? cursor - 1 - number : cursor + GHOST_SLOTS - 1 - number;
    *ghost = (struct ghost){(enum ghost_kind)(slot & 3), slot >> 2 & HISTORY_MAX, age};
    return slot != 0 && ghost->kind < GHOST_KINDS;
}

/* ---- what ghosts that come back tell -------------------------------------------------------- */

static uint32_t learns_every(const struct policy *policy)
{
    return load(&policy->items) < LEARNS_ALL ? 1 : LEARNS_EVERY;
}

/* Refused too much: admit more. Came back from the main queue: something better was pushed out. */
static void adjust_level(struct policy *policy, enum ghost_kind kind)
{
    double step = learns_every(policy) * LEVEL_STEP / load(&policy->items);
    if (kind == GHOST_REFUSED)
        store(&policy->level, clamp(load(&policy->level) - step, 0, LEVEL_MAX));
    else if (kind == GHOST_FROM_MAIN)
        store(&policy->level, clamp(load(&policy->level) + step, 0, LEVEL_MAX));
}

static void adjust_share(struct policy *policy, const struct ghost *ghost)
{
    double weight = learns_every(policy) / load(&policy->items);
    double small = load(&policy->left[GHOST_COLD]) + load(&policy->left[GHOST_REFUSED]);
    double from_main = load(&policy->left[GHOST_FROM_MAIN]);
    double step = ghost->kind == GHOST_FROM_MAIN ? -weight * clamp(small / from_main, 1, 50)
                                                 : weight * clamp(from_main / small, 1, 50);
    if (ghost->age < NEW_SLOTS)
        store(&policy->share, clamp(load(&policy->share) + step, SHARE_MIN, SHARE_MAX));
}

static void learn(struct policy *policy, const struct ghost *ghost)
{
    adjust_level(policy, ghost->kind);
    adjust_share(policy, ghost);
}

static bool is_admitted(const struct policy *policy, unsigned history)
{
    return history >= load(&policy->level) * load(&policy->guard);
}

static unsigned more_history(unsigned history, unsigned hits)
{
    history = (history & HISTORY_MAX) + hits;
    return history < HISTORY_MAX ? history : HISTORY_MAX;
}

enum queue larder__policy_admit(struct policy *policy, uint64_t hash, uint8_t *history)
{
    struct ghost ghost;
    *history = 1;
    if (!ghost_take(policy, hash, &ghost))
        return QUEUE_SMALL;
    *history = (uint8_t)more_history(ghost.history, 1);
    if ((hash >> 8) % learns_every(policy) == 0)
        learn(policy, &ghost);
    if (is_admitted(policy, *history))
        return QUEUE_MAIN;
    *history |= HISTORY_REFUSED;
    return QUEUE_SMALL;
}

/* ---- looking through the oldest ------------------------------------------------------------- */

bool larder__policy_keeps(struct policy *policy, enum queue queue, uint8_t *frequency,
                          uint8_t *history)
{
    if (queue == QUEUE_MAIN) {
        if (*frequency == 0)
            return false;
        (*frequency)--;
        *history = (uint8_t)more_history(*history, 1);
        return true;
    }
    unsigned more = more_history(*history, *frequency);
    if (*frequency < PROMOTION || !is_admitted(policy, more)) {
        *history = (uint8_t)(more | (*history & HISTORY_REFUSED));
        return false;
    }
    *frequency = 0;
    *history = (uint8_t)more;
    return true;
}

void larder__policy_forgets(struct policy *policy, struct forgotten *forgotten, enum queue queue,
                            uint64_t hash, uint8_t frequency, uint8_t history)
{
    enum ghost_kind kind = GHOST_FROM_MAIN;
    unsigned number = history & HISTORY_MAX;
    if (queue == QUEUE_SMALL)
        kind =
            frequency >= PROMOTION || (history & HISTORY_REFUSED) != 0 ? GHOST_REFUSED : GHOST_COLD;
    else if (frequency == 0) {
        forgotten->unhit++;
        forgotten->unhit_history += number;
    }
    ghost_put(policy, hash, kind, number > 0 ? number : 1);
    forgotten->left[kind]++;
}

static void count_left(struct policy *policy, const uint32_t more[GHOST_KINDS])
{
    double left[GHOST_KINDS], sum = 0;
    for (int i = 0; i < GHOST_KINDS; i++)
        sum += left[i] = load(&policy->left[i]) + more[i];
    double share = sum > load(&policy->items) * LEFT_HALVED ? 0.5 : 1;
    for (int i = 0; i < GHOST_KINDS; i++)
        store(&policy->left[i], left[i] * share);
}

/* The average of so many at once. */
static void average_guard(struct policy *policy, double unhit, double history)
{
    double guard = load(&policy->guard);
    double weight = unhit < GUARD_WEIGHT ? unhit / GUARD_WEIGHT : 1;
    store(&policy->guard, guard + (history / unhit - guard) * weight);
}

void larder__policy_learn_forgotten(struct policy *policy, struct forgotten *forgotten)
{
    if (forgotten->left[GHOST_COLD] + forgotten->left[GHOST_REFUSED] +
            forgotten->left[GHOST_FROM_MAIN] ==
        0)
        return;
    count_left(policy, forgotten->left);
    if (forgotten->unhit > 0)
        average_guard(policy, forgotten->unhit, forgotten->unhit_history);
    *forgotten = (struct forgotten){0};
}
