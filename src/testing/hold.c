#include "hold.h"

int larder__hold_init(struct hold *hold)
{
    hold->forking = 0;
    return pthread_mutex_init(&hold->mutex, NULL) == 0;
}

void larder__hold_clean_up(struct hold *hold)
{
    pthread_mutex_destroy(&hold->mutex);
}

void larder__hold(struct hold *hold, int held)
{
    if (held && hold->forking++ == 0)
        pthread_mutex_lock(&hold->mutex);
    else if (!held && --hold->forking == 0)
        pthread_mutex_unlock(&hold->mutex);
}
