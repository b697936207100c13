/*
 * Belady's: whatever is asked for again last goes. No policy that must take in what it missed hits
 * more often when all objects weigh the same; with weights it is merely good.
 *
 * Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
 * Journal 1966.
 */
#include "policy.h"

#include <stdlib.h>

#define OUT UINT32_MAX

/* A heap of what is kept, the object that is asked for again last at the top. */
struct belady {
    const struct policy_input *input;
    uint32_t *heap;
    uint32_t *position; /* of each object in the heap, or OUT */
    uint32_t *next;     /* of each object, when it is asked for again */
    uint32_t count;
    uint64_t weight;
};

static void belady_close(void *self)
{
    struct belady *belady = self;
    free(belady->heap);
    free(belady->position);
    free(belady->next);
    free(belady);
}

static void *belady_open(const struct policy_input *input)
{
    struct belady *belady = calloc(1, sizeof(*belady));
    if (belady == NULL)
        return NULL;
    belady->input = input;
    belady->heap = calloc(input->objects, sizeof(*belady->heap));
    belady->position = calloc(input->objects, sizeof(*belady->position));
    belady->next = calloc(input->objects, sizeof(*belady->next));
    if (belady->heap == NULL || belady->position == NULL || belady->next == NULL) {
        belady_close(belady);
        return NULL;
    }
    for (uint32_t i = 0; i < input->objects; i++)
        belady->position[i] = OUT;
    return belady;
}

static void put(struct belady *belady, uint32_t position, uint32_t object)
{
    belady->heap[position] = object;
    belady->position[object] = position;
}

static void rise(struct belady *belady, uint32_t position)
{
    uint32_t object = belady->heap[position];
    while (position > 0) {
        uint32_t above = (position - 1) / 2;
        if (belady->next[belady->heap[above]] >= belady->next[object])
            break;
        put(belady, position, belady->heap[above]);
        position = above;
    }
    put(belady, position, object);
}

static void sink(struct belady *belady, uint32_t position)
{
    uint32_t object = belady->heap[position];
    for (uint32_t below; (below = 2 * position + 1) < belady->count; position = below) {
        if (below + 1 < belady->count &&
            belady->next[belady->heap[below + 1]] > belady->next[belady->heap[below]])
            below++;
        if (belady->next[belady->heap[below]] <= belady->next[object])
            break;
        put(belady, position, belady->heap[below]);
    }
    put(belady, position, object);
}

static void drop_top(struct belady *belady)
{
    uint32_t object = belady->heap[0];
    belady->position[object] = OUT;
    belady->weight -= belady->input->weights[object];
    if (--belady->count == 0)
        return;
    put(belady, 0, belady->heap[belady->count]);
    sink(belady, 0);
}

static int belady_ask(void *self, uint32_t object, size_t request)
{
    struct belady *belady = self;
    uint32_t weight = belady->input->weights[object];
    int hit = belady->position[object] != OUT;
    if (!hit) {
        while (belady->weight + weight > belady->input->capacity)
            drop_top(belady);
        belady->weight += weight;
        put(belady, belady->count++, object);
    }
    belady->next[object] = belady->input->next[request];
    rise(belady, belady->position[object]); /* later than before: never down */
    return hit;
}

const struct policy policy_belady = {"Belady", "what is asked for again last goes", belady_open,
                                     belady_ask, belady_close};
