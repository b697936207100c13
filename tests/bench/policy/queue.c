/*
 * FIFO: the oldest goes. LRU: whatever was asked for longest ago goes.
 */
#include "lists.h"

#include <stdlib.h>

#define QUEUE 1

struct queue {
    struct lists lists;
    uint64_t capacity;
};

static void queue_close(void *self)
{
    struct queue *queue = self;
    lists_clean_up(&queue->lists);
    free(queue);
}

static void *queue_open(const struct policy_input *input)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL)
        return NULL;
    queue->capacity = input->capacity;
    if (lists_init(&queue->lists, input))
        return queue;
    queue_close(queue);
    return NULL;
}

static void take_in(struct queue *queue, uint32_t object)
{
    struct list *list = &queue->lists.list[QUEUE];
    while (list->weight + queue->lists.weights[object] > queue->capacity)
        lists_pop(&queue->lists, QUEUE);
    lists_push(&queue->lists, QUEUE, object);
}

static int fifo_ask(void *self, uint32_t object, size_t request)
{
    struct queue *queue = self;
    (void)request;
    if (queue->lists.place[object] == QUEUE)
        return 1;
    take_in(queue, object);
    return 0;
}

static int lru_ask(void *self, uint32_t object, size_t request)
{
    struct queue *queue = self;
    int hit = fifo_ask(self, object, request);
    if (hit)
        lists_move(&queue->lists, QUEUE, object);
    return hit;
}

const struct policy policy_fifo = {"FIFO", "first in, first out", queue_open, fifo_ask,
                                   queue_close};
const struct policy policy_lru = {"LRU", "least recently used goes", queue_open, lru_ask,
                                  queue_close};
