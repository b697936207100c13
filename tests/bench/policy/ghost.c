#include "ghost.h"

#include <stdlib.h>

#define KIND_BITS 2
#define META_BITS 5 /* history above kind */

int ghost_init(struct ghost *ghost, uint64_t entries)
{
    ghost->count = (uint32_t)((entries + GHOST_RING - 1) / GHOST_RING);
    ghost->count += ghost->count == 0;
    ghost->buckets = calloc(ghost->count, sizeof(*ghost->buckets));
    return ghost->buckets != NULL;
}

void ghost_clean_up(struct ghost *ghost)
{
    free(ghost->buckets);
}

static uint64_t hash_of(uint32_t object)
{
    uint64_t mixed = ((uint64_t)object + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static struct ghost_bucket *bucket_of(const struct ghost *ghost, uint64_t hash)
{
    return &ghost->buckets[(hash >> 32) % ghost->count];
}

void ghost_put(struct ghost *ghost, uint32_t object, const struct ghost_entry *entry)
{
    uint64_t hash = hash_of(object);
    struct ghost_bucket *bucket = bucket_of(ghost, hash);
    bucket->ring[bucket->cursor] =
        (uint16_t)(hash << META_BITS | entry->history << KIND_BITS | entry->kind);
    bucket->cursor = (uint16_t)((bucket->cursor + 1) % GHOST_RING);
}

int ghost_take(struct ghost *ghost, uint32_t object, struct ghost_entry *entry)
{
    uint64_t hash = hash_of(object);
    struct ghost_bucket *bucket = bucket_of(ghost, hash);
    unsigned fingerprint = (uint16_t)(hash << META_BITS) >> META_BITS;
    for (unsigned age = 0; age < GHOST_RING; age++) {
        uint16_t *slot = &bucket->ring[(bucket->cursor + 2 * GHOST_RING - 1 - age) % GHOST_RING];
        unsigned bits = *slot;
        if (bits == 0 || bits >> META_BITS != fingerprint)
            continue;
        *entry = (struct ghost_entry){.kind = (enum ghost_kind)(bits & 3),
                                      .history = bits >> KIND_BITS & GHOST_HISTORY_MOST,
                                      .age = age};
        *slot = 0;
        return 1;
    }
    return 0;
}
