/*
 * S3-FIFO: what is new stays in a small queue for a while, and gets into the main one only when it
 * was asked for twice meanwhile, or when it was dropped from the small one not long ago.
 *
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP '23, algorithm 1.
 * Small 10 % of the capacity; counters stop at 3; promoted at more than one hit, with the counter
 * cleared; the main queue puts back what has hits and takes one off; the ghost remembers as much
 * as the main queue holds, and forgets what comes back.
 */
#include "lists.h"

#include <stdlib.h>

#define HITS_MOST 3
#define HITS_TO_PROMOTE 2

enum { SMALL = 1, MAIN, GHOST };

struct s3fifo {
    struct lists lists;
    uint8_t *hits;
    uint64_t capacity, small, ghost;
};

static void s3fifo_close(void *self)
{
    struct s3fifo *s3fifo = self;
    lists_clean_up(&s3fifo->lists);
    free(s3fifo->hits);
    free(s3fifo);
}

static void *s3fifo_open(const struct policy_input *input)
{
    struct s3fifo *s3fifo = calloc(1, sizeof(*s3fifo));
    if (s3fifo == NULL)
        return NULL;
    s3fifo->capacity = input->capacity;
    s3fifo->small = input->capacity >= 10 ? input->capacity / 10 : 1;
    s3fifo->ghost = input->capacity - s3fifo->small;
    s3fifo->hits = calloc(input->objects, 1);
    if (lists_init(&s3fifo->lists, input) && s3fifo->hits != NULL)
        return s3fifo;
    s3fifo_close(s3fifo);
    return NULL;
}

static void remember(struct s3fifo *s3fifo, uint32_t object)
{
    lists_push(&s3fifo->lists, GHOST, object);
    while (s3fifo->lists.list[GHOST].weight > s3fifo->ghost)
        lists_pop(&s3fifo->lists, GHOST);
}

static void decide_in_small(struct s3fifo *s3fifo)
{
    uint32_t object = lists_pop(&s3fifo->lists, SMALL);
    if (s3fifo->hits[object] >= HITS_TO_PROMOTE) {
        s3fifo->hits[object] = 0;
        lists_push(&s3fifo->lists, MAIN, object);
    } else {
        remember(s3fifo, object);
    }
}

static void decide_in_main(struct s3fifo *s3fifo)
{
    uint32_t object = lists_pop(&s3fifo->lists, MAIN);
    if (s3fifo->hits[object] == 0)
        return;
    s3fifo->hits[object]--;
    lists_push(&s3fifo->lists, MAIN, object);
}

static void make_room(struct s3fifo *s3fifo, uint32_t weight)
{
    const struct list *small = &s3fifo->lists.list[SMALL], *main = &s3fifo->lists.list[MAIN];
    while (small->weight + main->weight + weight > s3fifo->capacity)
        if (small->weight >= s3fifo->small || main->weight == 0)
            decide_in_small(s3fifo);
        else
            decide_in_main(s3fifo);
}

static int s3fifo_ask(void *self, uint32_t object, size_t request)
{
    struct s3fifo *s3fifo = self;
    struct lists *lists = &s3fifo->lists;
    (void)request;
    if (lists->place[object] == SMALL || lists->place[object] == MAIN) {
        if (s3fifo->hits[object] < HITS_MOST)
            s3fifo->hits[object]++;
        return 1;
    }
    int known = lists->place[object] == GHOST;
    if (known)
        lists_remove(lists, object);
    make_room(s3fifo, lists->weights[object]);
    lists_push(lists, known ? MAIN : SMALL, object);
    s3fifo->hits[object] = 0;
    return 0;
}

const struct policy policy_s3fifo = {"S3-FIFO", "a small queue, a main queue, a ghost", s3fifo_open,
                                     s3fifo_ask, s3fifo_close};
