/*
 * W-TinyLFU with a fixed window: what is new goes through a small LRU window; what falls out of it
 * gets into the main part only if it was asked for more often than the object it would displace.
 * The main part is LRU in two segments: probation, and 80 % protected for what was hit there.
 *
 * Source: Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission policy", ACM
 * ToS 2017. A tie is the victim's, as in the paper. Caffeine, which adapts its window while it
 * runs, is another matter.
 */
#include "lists.h"
#include "sketch.h"

#include <stdlib.h>

enum { WINDOW = 1, PROBATION, PROTECTED };

struct tinylfu {
    struct lists lists;
    struct sketch sketch;
    uint64_t window, main, protected;
};

static void tinylfu_close(void *self)
{
    struct tinylfu *tinylfu = self;
    lists_clean_up(&tinylfu->lists);
    sketch_clean_up(&tinylfu->sketch);
    free(tinylfu);
}

static void *open_with(const struct policy_input *input, unsigned percent)
{
    struct tinylfu *tinylfu = calloc(1, sizeof(*tinylfu));
    if (tinylfu == NULL)
        return NULL;
    tinylfu->window = input->capacity * percent / 100;
    tinylfu->window += tinylfu->window == 0;
    tinylfu->main = input->capacity - tinylfu->window;
    tinylfu->protected = tinylfu->main * 4 / 5;
    if (lists_init(&tinylfu->lists, input) && sketch_init(&tinylfu->sketch, input->entries))
        return tinylfu;
    tinylfu_close(tinylfu);
    return NULL;
}

static void *open_1(const struct policy_input *input)
{
    return open_with(input, 1);
}

static void *open_10(const struct policy_input *input)
{
    return open_with(input, 10);
}

static uint32_t victim_of(const struct lists *lists)
{
    uint32_t victim = lists->list[PROBATION].oldest;
    return victim != LISTS_NONE ? victim : lists->list[PROTECTED].oldest;
}

/* The main part takes a candidate, or refuses it. */
static void admit(struct tinylfu *tinylfu, uint32_t candidate)
{
    struct lists *lists = &tinylfu->lists;
    while (lists->list[PROBATION].weight + lists->list[PROTECTED].weight +
               lists->weights[candidate] >
           tinylfu->main) {
        uint32_t victim = victim_of(lists);
        if (victim == LISTS_NONE ||
            sketch_of(&tinylfu->sketch, candidate) <= sketch_of(&tinylfu->sketch, victim))
            return;
        lists_remove(lists, victim);
    }
    lists_push(lists, PROBATION, candidate);
}

static void protect(struct tinylfu *tinylfu, uint32_t object)
{
    struct lists *lists = &tinylfu->lists;
    lists_move(lists, PROTECTED, object);
    while (lists->list[PROTECTED].weight > tinylfu->protected)
        lists_move(lists, PROBATION, lists->list[PROTECTED].oldest);
}

static int tinylfu_ask(void *self, uint32_t object, size_t request)
{
    struct tinylfu *tinylfu = self;
    struct lists *lists = &tinylfu->lists;
    (void)request;
    sketch_add(&tinylfu->sketch, object);
    if (lists->place[object] == WINDOW)
        lists_move(lists, WINDOW, object);
    else if (lists->place[object] != LISTS_OUT)
        protect(tinylfu, object);
    if (lists->place[object] != LISTS_OUT)
        return 1;
    lists_push(lists, WINDOW, object);
    while (lists->list[WINDOW].weight > tinylfu->window)
        admit(tinylfu, lists_pop(lists, WINDOW));
    return 0;
}

const struct policy policy_tinylfu_1 = {"W-TinyLFU 1%", "a window of 1 %, admission by frequency",
                                        open_1, tinylfu_ask, tinylfu_close};
const struct policy policy_tinylfu_10 = {"W-TinyLFU 10%",
                                         "a window of 10 %, admission by frequency", open_10,
                                         tinylfu_ask, tinylfu_close};
