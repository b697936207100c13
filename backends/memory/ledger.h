/* The byte bound: what counts, and who may still allocate. */
#ifndef LARDER_MEMORY_LEDGER_H
#define LARDER_MEMORY_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger {
    uint64_t max_bytes;     /* set when made, then only read */
    _Atomic uint64_t bytes; /* reserved; never over max_bytes, at any instant */
};

/** The most that an allocation of `size` bytes can take from the heap, header and rounding
 * included. */
uint64_t larder__heap_bound(size_t size);
/** What this allocation takes. */
uint64_t larder__heap_bytes(void *allocation);

/** Makes a ledger that counts itself and `bytes` more. @return NULL without memory */
struct ledger *larder__ledger_open(uint64_t max_bytes, uint64_t bytes);

uint64_t larder__ledger_bytes(const struct ledger *ledger);

/** Counts `bytes` in, before they are allocated. @return false when they do not fit */
bool larder__ledger_reserve(struct ledger *ledger, uint64_t bytes);

/** Counts `more` in and `less` out in one step. @return false when that does not fit */
bool larder__ledger_exchange(struct ledger *ledger, uint64_t less, uint64_t more);

/** Counts `bytes` out, after they were freed. Whoever counts out the last byte frees the ledger. */
void larder__ledger_release(struct ledger *ledger, uint64_t bytes);

/** Frees what larder__allowance_allocate() made, and counts it out. */
void larder__ledger_free(struct ledger *ledger, void *allocation);

/** Counts the ledger itself out: it goes with the last view. */
void larder__ledger_close(struct ledger *ledger);

/** What one call has reserved ahead, while it held no lock. Owned by that call. */
struct allowance {
    struct ledger *ledger;
    uint64_t held;    /* bytes reserved, not yet spent */
    uint64_t lacking; /* bytes that the last refused spending was short of; 0: none was */
};

/** Allocates, spending the allowance and reserving what is short.
 * @return NULL with `lacking` set when the bound leaves no room, with `lacking` 0 when the heap
 * fails */
void *larder__allowance_allocate(struct allowance *allowance, size_t size);

/** Frees what larder__allowance_allocate() made, and holds its bytes. */
void larder__allowance_free(struct allowance *allowance, void *allocation);

/** Reserves what is lacking, and holds it. @return false when that does not fit; true: none lacks
 */
bool larder__allowance_reserve_lacking(struct allowance *allowance);

/** Gives what is left back to the ledger. */
void larder__allowance_end(struct allowance *allowance);

#endif
