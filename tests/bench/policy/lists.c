#include "lists.h"

#include <stdlib.h>

int lists_init(struct lists *lists, const struct policy_input *input)
{
    *lists = (struct lists){.weights = input->weights};
    for (unsigned i = 0; i < LISTS_MAX; i++)
        lists->list[i] = (struct list){LISTS_NONE, LISTS_NONE, 0};
    lists->links = calloc(input->objects, sizeof(*lists->links));
    lists->place = calloc(input->objects, sizeof(*lists->place));
    return lists->links != NULL && lists->place != NULL;
}

void lists_clean_up(struct lists *lists)
{
    free(lists->links);
    free(lists->place);
}

void lists_push(struct lists *lists, unsigned number, uint32_t object)
{
    struct list *list = &lists->list[number];
    lists->links[object] = (struct list_link){LISTS_NONE, list->newest};
    if (list->newest != LISTS_NONE)
        lists->links[list->newest].newer = object;
    else
        list->oldest = object;
    list->newest = object;
    list->weight += lists->weights[object];
    lists->place[object] = (uint8_t)number;
}

void lists_remove(struct lists *lists, uint32_t object)
{
    struct list *list = &lists->list[lists->place[object]];
    struct list_link link = lists->links[object];
    if (link.newer != LISTS_NONE)
        lists->links[link.newer].older = link.older;
    else
        list->newest = link.older;
    if (link.older != LISTS_NONE)
        lists->links[link.older].newer = link.newer;
    else
        list->oldest = link.newer;
    list->weight -= lists->weights[object];
    lists->place[object] = LISTS_OUT;
}

void lists_move(struct lists *lists, unsigned number, uint32_t object)
{
    lists_remove(lists, object);
    lists_push(lists, number, object);
}

uint32_t lists_pop(struct lists *lists, unsigned number)
{
    uint32_t object = lists->list[number].oldest;
    if (object != LISTS_NONE)
        lists_remove(lists, object);
    return object;
}
