/*
 * One number for the whole cache. Bytes are counted in before they are allocated and counted out
 * after they are freed, so the bound holds at every instant. The count is also what keeps the
 * ledger alive: the ledger counts itself until close, every chunk that will be counted out is in
 * it, so nobody is left when it reaches zero.
 */
#include "ledger.h"

#include <malloc.h>
#include <stdlib.h>

/* glibc's malloc: 8 bytes of header, multiples of 16, at least 32, and a remainder of 16 that no
 * chunk fits stays with its neighbour. Large ones are pages of their own with 16 bytes of header;
 * the size from which they are may grow while a program runs, and its start is the cautious guess.
 * Source: malloc/malloc.c, request2size(), _int_malloc() and sysmalloc_mmap(). */
#define CHUNK_HEADER 8u
#define CHUNK_STEP 16u
#define CHUNK_LEAST 32u
#define MAPPED_FROM (128u * 1024u)
#define PAGE 4096u

uint64_t larder__heap_bound(size_t size)
{
    uint64_t step = size < MAPPED_FROM ? CHUNK_STEP : PAGE;
    uint64_t header = size < MAPPED_FROM ? CHUNK_HEADER : 2 * CHUNK_HEADER;
    uint64_t bytes = ((uint64_t)size + header + step - 1) / step * step;
    return (bytes < CHUNK_LEAST ? CHUNK_LEAST : bytes) + CHUNK_STEP;
}

uint64_t larder__heap_bytes(void *allocation)
{
    uint64_t usable = malloc_usable_size(allocation);
    return usable + (usable < MAPPED_FROM ? CHUNK_HEADER : 2 * CHUNK_HEADER);
}

struct ledger *larder__ledger_open(uint64_t max_bytes, uint64_t bytes)
{
    struct ledger *ledger = malloc(sizeof(*ledger));
    if (ledger == NULL)
        return NULL;
    ledger->max_bytes = max_bytes;
    atomic_init(&ledger->bytes, bytes + larder__heap_bound(sizeof(*ledger)));
    return ledger;
}

uint64_t larder__ledger_bytes(const struct ledger *ledger)
{
    return atomic_load_explicit(&ledger->bytes, memory_order_relaxed);
}

bool larder__ledger_reserve(struct ledger *ledger, uint64_t bytes)
{
    return larder__ledger_exchange(ledger, 0, bytes);
}

bool larder__ledger_exchange(struct ledger *ledger, uint64_t less, uint64_t more)
{
    uint64_t before = atomic_load_explicit(&ledger->bytes, memory_order_relaxed);
    uint64_t after;
    do {
        after = before - less;
        if (more > ledger->max_bytes || after > ledger->max_bytes - more)
            return false;
        after += more;
        /* relaxed: the number alone is shared; who reserves is kept alive by what it holds. */
    } while (!atomic_compare_exchange_weak_explicit(&ledger->bytes, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void larder__ledger_release(struct ledger *ledger, uint64_t bytes)
{
    /* acq_rel: release puts our use of the ledger before the free, acquire shows the last one that
     * every other's is over. Pairs with itself. */
    if (atomic_fetch_sub_explicit(&ledger->bytes, bytes, memory_order_acq_rel) == bytes)
        free(ledger);
}

void larder__ledger_free(struct ledger *ledger, void *allocation)
{
    uint64_t bytes = larder__heap_bytes(allocation);
    free(allocation);
    larder__ledger_release(ledger, bytes);
}

void larder__ledger_close(struct ledger *ledger)
{
    larder__ledger_release(ledger, larder__heap_bound(sizeof(*ledger)));
}

/* @return false when that does not fit */
static bool hold_at_least(struct allowance *allowance, uint64_t bytes)
{
    allowance->lacking = bytes > allowance->held ? bytes - allowance->held : 0;
    return larder__allowance_reserve_lacking(allowance);
}

void *larder__allowance_allocate(struct allowance *allowance, size_t size)
{
    if (!hold_at_least(allowance, larder__heap_bound(size)))
        return NULL;
    void *allocation = malloc(size);
    if (allocation == NULL)
        return NULL;
    /* Another malloc() than glibc's may take more than the bound. */
    if (hold_at_least(allowance, larder__heap_bytes(allocation))) {
        allowance->held -= larder__heap_bytes(allocation);
        return allocation;
    }
    free(allocation);
    return NULL;
}

void larder__allowance_free(struct allowance *allowance, void *allocation)
{
    allowance->held += larder__heap_bytes(allocation);
    free(allocation);
}

bool larder__allowance_reserve_lacking(struct allowance *allowance)
{
    if (!larder__ledger_reserve(allowance->ledger, allowance->lacking))
        return false;
    allowance->held += allowance->lacking;
    allowance->lacking = 0;
    return true;
}

void larder__allowance_end(struct allowance *allowance)
{
    if (allowance->held > 0)
        larder__ledger_release(allowance->ledger, allowance->held);
    allowance->held = 0;
}
