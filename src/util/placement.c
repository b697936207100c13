/* Tables that place keys: checks, lives, and the methods that are no ring. */
#include "placement.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/random.h>

/* ---- hashes -------------------------------------------------------------------------------- */

/* One that everybody has: keys are placed alike in every process. */
static const struct larder_hash_key placement_key = {{0, 0}};

static uint64_t hash_of(struct larder_slice bytes)
{
    return larder_hash(&placement_key, 0, bytes.data, bytes.length);
}

/* Source: the finalizer of SplitMix64, Steele, Lea and Flood, 2014. */
static uint64_t scramble(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* ---- rendezvous ---------------------------------------------------------------------------- */

#define FRACTION_BITS 32u

/* -log2(bits / 2^64), with 32 bits behind the point; `bits` is not 0. By squaring, in integers, so
 * that every machine finds the same. */
static uint64_t minus_log2(uint64_t bits)
{
    unsigned whole = (unsigned)__builtin_clzll(bits);
    uint64_t mantissa = bits << whole >> 32; /* 1 to 2, as 2^31 to 2^32 */
    uint64_t fraction = 0;
    for (unsigned i = 0; i < FRACTION_BITS; i++) {
        mantissa = mantissa * mantissa >> 31;
        fraction <<= 1;
        if (mantissa >> 32 != 0) {
            fraction |= 1;
            mantissa >>= 1;
        }
    }
    return ((uint64_t)(whole + 1) << FRACTION_BITS) - fraction;
}

/* The higher score wins. Source: weighted rendezvous hashing, weight / -log(u): Schindelhauer and
 * Schomaker, "Weighted distributed hash tables", 2005. */
static int scores_higher(uint64_t cost, uint32_t weight, uint64_t best_cost, uint32_t best_weight)
{
    return (unsigned __int128)cost * best_weight < (unsigned __int128)best_cost * weight;
}

static uint32_t place_rendezvous(const struct larder_placement *placement, struct larder_slice key)
{
    uint64_t hash = hash_of(key), best_bits = 0, best_cost = 0;
    uint32_t best = 0;
    for (uint32_t i = 0; i < placement->count; i++) {
        const struct seat *seat = &placement->seats[i];
        uint64_t bits = scramble(hash ^ seat->seed) | 1;
        if (!placement->weighted) { /* the same order without logarithms */
            if (bits > best_bits || (bits == best_bits && seat->seed > placement->seats[best].seed))
                best = i;
        } else {
            uint64_t cost = minus_log2(bits);
            if (i == 0 ||
                scores_higher(cost, seat->weight, best_cost, placement->seats[best].weight)) {
                best = i;
                best_cost = cost;
            }
        }
        if (best == i)
            best_bits = bits;
    }
    return best;
}

/* ---- jump ---------------------------------------------------------------------------------- */

/* Source: Lamping and Veach, "A fast, minimal memory, consistent hash algorithm", 2014. */
static uint32_t place_jump(uint32_t count, struct larder_slice key)
{
    uint64_t state = hash_of(key);
    uint64_t last = 0;
    for (uint64_t next = 0; next < count;) {
        last = next;
        state = state * UINT64_C(2862933555777941757) + 1;
        double spread = (double)(UINT64_C(1) << 31) / (double)((state >> 33) + 1);
        next = (uint64_t)((double)(last + 1) * spread);
    }
    return (uint32_t)last;
}

/* ---- placing ------------------------------------------------------------------------------- */

uint32_t larder_placement_of(const struct larder_placement *placement, struct larder_slice key)
{
    if (placement->count == 1)
        return 0;
    switch (placement->method) {
    case LARDER_PLACEMENT_RENDEZVOUS:
        return place_rendezvous(placement, key);
    case LARDER_PLACEMENT_JUMP:
        return place_jump(placement->count, key);
    case LARDER_PLACEMENT_CALLER:
        return placement->place(placement->context, key, placement->count) % placement->count;
    default:
        return larder__ring_place(placement, key);
    }
}

uint32_t larder_placement_count(const struct larder_placement *placement)
{
    return placement->count;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int takes_weights(enum larder_placement_method method)
{
    return method != LARDER_PLACEMENT_JUMP && method != LARDER_PLACEMENT_CALLER;
}

static int server_valid(const struct larder_placement_options *options, size_t index)
{
    const struct larder_placement_server *server = &options->servers[index];
    uint32_t heaviest = takes_weights(options->method) ? LARDER_SERVER_WEIGHT_MAX : 1;
    return server->weight >= 1 && server->weight <= heaviest && server->port <= 65535 &&
           server->identity.length <= LARDER_PLACEMENT_IDENTITY_BYTES_MAX &&
           (server->identity.length > 0 || (server->host != NULL && server->host[0] != '\0' &&
                                            strlen(server->host) < LARDER_SERVER_HOST_BYTES));
}

static int same_name(const struct larder_placement_options *options, size_t a, size_t b)
{
    char first[NAME_BYTES], second[NAME_BYTES];
    size_t length = larder__placement_name(options->method, &options->servers[a], first);
    return length == larder__placement_name(options->method, &options->servers[b], second) &&
           memcmp(first, second, length) == 0;
}

static int options_valid(const struct larder_placement_options *options)
{
    if (options->count == 0 || options->count > LARDER_SERVERS_MAX ||
        (unsigned)options->method > LARDER_PLACEMENT_CALLER ||
        (options->method == LARDER_PLACEMENT_CALLER && options->place == NULL))
        return 0;
    for (size_t i = 0; i < options->count; i++) {
        if (!server_valid(options, i))
            return 0;
        for (size_t j = 0; j < i; j++)
            if (same_name(options, i, j))
                return 0;
    }
    return 1;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void take_seats(struct larder_placement *placement,
                       const struct larder_placement_options *options)
{
    char name[NAME_BYTES];
    for (uint32_t i = 0; i < placement->count; i++) {
        size_t length = larder__placement_name(options->method, &options->servers[i], name);
        placement->seats[i].weight = options->servers[i].weight;
        placement->seats[i].seed = hash_of(larder_bytes(name, length));
        placement->weighted |= options->servers[i].weight != 1;
    }
}

enum larder_status larder_placement_create(const struct larder_placement_options *options,
                                           struct larder_placement **placement)
{
    *placement = NULL;
    if (!options_valid(options))
        return LARDER_BAD_ARGUMENT;
    struct larder_placement *made =
        calloc(1, sizeof(*made) + options->count * sizeof(made->seats[0]));
    if (made == NULL)
        return LARDER_NO_MEMORY;
    made->method = options->method;
    made->count = (uint32_t)options->count;
    made->place = options->place;
    made->context = options->context;
    atomic_init(&made->references, 1);
    take_seats(made, options);
    enum larder_status status = LARDER_OK;
    if (options->method <= LARDER_PLACEMENT_UHASHRING)
        status = larder__ring_make(made, options);
    if (status != LARDER_OK) {
        free(made);
        return status;
    }
    *placement = made;
    return LARDER_OK;
}

struct larder_placement *larder_placement_hold(struct larder_placement *placement)
{
    /* relaxed: whoever holds one already sees the table */
    atomic_fetch_add_explicit(&placement->references, 1, memory_order_relaxed);
    return placement;
}

void larder_placement_release(struct larder_placement *placement)
{
    /* acq_rel: release puts our reads of the table before the free; acquire shows the last holder
     * that every other one's reads are over. Pairs with itself. */
    if (placement == NULL ||
        atomic_fetch_sub_explicit(&placement->references, 1, memory_order_acq_rel) != 1)
        return;
    free(placement->points);
    free(placement);
}

enum larder_status larder_placement_slot_init(struct larder_placement_slot *slot,
                                              struct larder_placement *placement)
{
    if (pthread_mutex_init(&slot->mutex, NULL) != 0)
        return LARDER_NO_MEMORY;
    slot->current = placement;
    return LARDER_OK;
}

void larder_placement_slot_clean_up(struct larder_placement_slot *slot)
{
    larder_placement_release(slot->current);
    slot->current = NULL;
    pthread_mutex_destroy(&slot->mutex);
}

struct larder_placement *larder_placement_slot_get(struct larder_placement_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    struct larder_placement *held = larder_placement_hold(slot->current);
    pthread_mutex_unlock(&slot->mutex);
    return held;
}

void larder_placement_slot_replace(struct larder_placement_slot *slot,
                                   struct larder_placement *placement)
{
    pthread_mutex_lock(&slot->mutex);
    struct larder_placement *old = slot->current;
    slot->current = placement;
    pthread_mutex_unlock(&slot->mutex);
    larder_placement_release(old);
}
