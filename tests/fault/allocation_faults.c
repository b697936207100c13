/* The linker turns the library's allocations into those below. */
#include "allocation.h"

#include <stdlib.h>
#include <string.h>

static struct {
    int armed, for_ever;
    unsigned long left, failed;
} faults;

void faults_begin(unsigned long n, int for_ever)
{
    faults.left = n;
    faults.for_ever = for_ever;
    faults.failed = 0;
    faults.armed = 1;
}

unsigned long faults_end(void)
{
    faults.armed = 0;
    return faults.failed;
}

static int fails(void)
{
    if (!faults.armed || faults.left > 0) {
        faults.left -= faults.left > 0;
        return 0;
    }
    faults.armed = faults.for_ever;
    faults.failed++;
    return 1;
}

/* ---- what is live -------------------------------------------------------------------------- */
/* By address, since libmemcached gives blocks to our free() that it took from malloc() itself. */

#define SLOTS (1u << 20)

static const void *slots[SLOTS];
static size_t live;

static size_t home_of(const void *block)
{
    return (size_t)(((uintptr_t)block >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 44);
}

static size_t slot_of(const void *block)
{
    size_t slot = home_of(block);
    while (slots[slot] != NULL && slots[slot] != block)
        slot = (slot + 1) % SLOTS;
    return slot;
}

static void *remember(void *block)
{
    if (block == NULL || live == SLOTS / 2)
        return block;
    live++;
    slots[slot_of(block)] = block;
    return block;
}

/* Those behind move up, so that each is found from its home on. */
static void forget(const void *block)
{
    size_t hole = slot_of(block);
    if (block == NULL || slots[hole] == NULL)
        return;
    live--;
    slots[hole] = NULL;
    for (size_t slot = (hole + 1) % SLOTS; slots[slot] != NULL; slot = (slot + 1) % SLOTS) {
        const void *moved = slots[slot];
        slots[slot] = NULL;
        slots[slot_of(moved)] = moved;
    }
}

size_t faults_live_blocks(void)
{
    return live;
}

/* ---- allocations --------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

/* libmemcached 1.1.4 calls abort() when it has no memory to note an error: such a note, of which
 * nothing else here has the size, is never refused. */
#define ERROR_NOTE_BYTES 2088

static unsigned long spared;

unsigned long faults_spared(void)
{
    return spared;
}

static int is_spared(size_t size)
{
    int is_note = faults.armed && size == ERROR_NOTE_BYTES;
    spared += (unsigned long)is_note;
    return is_note;
}

void *__wrap_malloc(size_t size)
{
    return !is_spared(size) && fails() ? NULL : remember(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : remember(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    forget(block);
    return remember(__real_realloc(block, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : remember(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : remember(__real_strdup(text));
}

void __wrap_free(void *block)
{
    forget(block);
    __real_free(block);
}
