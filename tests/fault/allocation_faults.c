/* The linker turns the library's allocations into those below. */
#include "allocation.h"

#include <stdio.h>
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

static struct slot {
    const void *block; /* NULL: none */
    size_t size;
    unsigned long number; /* how many came before it */
} slots[SLOTS];
static size_t live;
static unsigned long made;

static size_t home_of(const void *block)
{
    return (size_t)(((uintptr_t)block >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 44);
}

static size_t slot_of(const void *block)
{
    size_t slot = home_of(block);
    while (slots[slot].block != NULL && slots[slot].block != block)
        slot = (slot + 1) % SLOTS;
    return slot;
}

/* One that is there already was freed by somebody whose free() is not ours. */
static void *remember(void *block, size_t size)
{
    if (block == NULL || live == SLOTS / 2)
        return block;
    struct slot *slot = &slots[slot_of(block)];
    live += slot->block == NULL;
    *slot = (struct slot){block, size, made++};
    return block;
}

/* Those behind move up, so that each is found from its home on. */
static void forget(const void *block)
{
    size_t hole = slot_of(block);
    if (block == NULL || slots[hole].block == NULL)
        return;
    live--;
    slots[hole] = (struct slot){0};
    for (size_t slot = (hole + 1) % SLOTS; slots[slot].block != NULL; slot = (slot + 1) % SLOTS) {
        struct slot moved = slots[slot];
        slots[slot] = (struct slot){0};
        slots[slot_of(moved.block)] = moved;
    }
}

struct blocks faults_blocks(void)
{
    return (struct blocks){live, made};
}

void faults_print_left(struct blocks before)
{
    fprintf(stderr, "%zu blocks before, %zu after; left of those that came since:", before.live,
            live);
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL && slots[i].number >= before.made)
            fprintf(stderr, " %zu bytes (no. %lu)", slots[i].size, slots[i].number - before.made);
    fprintf(stderr, "\n");
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
    return !is_spared(size) && fails() ? NULL : remember(__real_malloc(size), size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : remember(__real_calloc(count, size), count * size);
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    forget(block);
    return remember(__real_realloc(block, size), size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : remember(__real_aligned_alloc(alignment, size), size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : remember(__real_strdup(text), strlen(text) + 1);
}

void __wrap_free(void *block)
{
    forget(block);
    __real_free(block);
}
