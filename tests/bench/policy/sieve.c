/*
 * SIEVE: one queue in order of arrival, one bit an object, and a hand that goes from the oldest to
 * the newest, clears bits and drops the first object that has none. Unlike CLOCK's, the object
 * that it spares stays where it is.
 *
 * Source: Zhang et al., "SIEVE is simpler than LRU", NSDI '24, algorithm 1.
 */
#include "lists.h"

#include <stdlib.h>

#define QUEUE 1

struct sieve {
    struct lists lists;
    uint8_t *visited;
    uint64_t capacity;
    uint32_t hand; /* where it goes on; LISTS_NONE: at the oldest */
};

static void sieve_close(void *self)
{
    struct sieve *sieve = self;
    lists_clean_up(&sieve->lists);
    free(sieve->visited);
    free(sieve);
}

static void *sieve_open(const struct policy_input *input)
{
    struct sieve *sieve = calloc(1, sizeof(*sieve));
    if (sieve == NULL)
        return NULL;
    sieve->capacity = input->capacity;
    sieve->hand = LISTS_NONE;
    sieve->visited = calloc(input->objects, 1);
    if (lists_init(&sieve->lists, input) && sieve->visited != NULL)
        return sieve;
    sieve_close(sieve);
    return NULL;
}

static void drop_one(struct sieve *sieve)
{
    const struct list *list = &sieve->lists.list[QUEUE];
    uint32_t object = sieve->hand != LISTS_NONE ? sieve->hand : list->oldest;
    while (sieve->visited[object]) {
        sieve->visited[object] = 0;
        object = sieve->lists.links[object].newer;
        if (object == LISTS_NONE)
            object = list->oldest;
    }
    sieve->hand = sieve->lists.links[object].newer;
    lists_remove(&sieve->lists, object);
}

static int sieve_ask(void *self, uint32_t object, size_t request)
{
    struct sieve *sieve = self;
    (void)request;
    if (sieve->lists.place[object] == QUEUE) {
        sieve->visited[object] = 1;
        return 1;
    }
    while (sieve->lists.list[QUEUE].weight + sieve->lists.weights[object] > sieve->capacity)
        drop_one(sieve);
    lists_push(&sieve->lists, QUEUE, object);
    sieve->visited[object] = 0;
    return 0;
}

const struct policy policy_sieve = {"SIEVE", "a hand drops what was not asked for since it passed",
                                    sieve_open, sieve_ask, sieve_close};
