/*
 * Doubly linked lists of numbered objects, each object in one list or in none: what queues, stacks
 * and ghosts of the policies are made of.
 */
#ifndef BENCH_POLICY_LISTS_H
#define BENCH_POLICY_LISTS_H

#include "policy.h"

#define LISTS_NONE UINT32_MAX /* no object */
#define LISTS_MAX 4
#define LISTS_OUT 0 /* list numbers start at 1 */

struct list {
    uint32_t newest, oldest;
    uint64_t weight; /* of all in it */
};

struct lists {
    const uint32_t *weights;
    struct list_link {
        uint32_t newer, older;
    } * links;
    uint8_t *place; /* the number of the list that an object is in, or LISTS_OUT */
    struct list list[LISTS_MAX];
};

/** @return 0 when memory ran out; lists_clean_up() is due in any case */
int lists_init(struct lists *lists, const struct policy_input *input);
void lists_clean_up(struct lists *lists);

/** Puts an object that is in no list at the newest end. */
void lists_push(struct lists *lists, unsigned number, uint32_t object);
/** Takes an object out of the list it is in. */
void lists_remove(struct lists *lists, uint32_t object);
/** Moves an object to the newest end of a list, which may be its own. */
void lists_move(struct lists *lists, unsigned number, uint32_t object);
/** Takes out the oldest. @return it, or LISTS_NONE */
uint32_t lists_pop(struct lists *lists, unsigned number);

#endif
