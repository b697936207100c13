/* A mutex that is held over fork(), also when several caches share what it guards. */
#ifndef LARDER_TESTING_HOLD_H
#define LARDER_TESTING_HOLD_H

#include <pthread.h>

struct hold {
    pthread_mutex_t mutex; /* order: taken alone; held over no call, callback or wait */
    unsigned forking;      /* touched only around fork(), one at a time */
};

int larder__hold_init(struct hold *hold); /* @return 0 when it failed */
void larder__hold_clean_up(struct hold *hold);
/** What a larder_hold_fn does. */
void larder__hold(struct hold *hold, int held);

#endif
