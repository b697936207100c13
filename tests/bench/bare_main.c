/* The measuring loop over a bare peer: larder-bench starts it for --bare-libmemcached and so on. */
#include "measure.h"

#include <stdio.h>

int main(int count, char **arguments)
{
    struct plan plan;
    plan_read(&plan, count, arguments);
    int status = 2;
    if (plan.subject != NULL)
        status = measure(&plan);
    else
        fprintf(stderr, "%s is started by larder-bench\n", arguments[0]);
    plan_clean_up(&plan);
    return status;
}
