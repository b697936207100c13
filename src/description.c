#include "description.h"

#include <stdlib.h>
#include <string.h>

struct description *larder__description_find(struct description **list,
                                             const struct larder_traits *traits)
{
    struct description *description = *list;
    /* they have no gaps: what is equal is equal byte by byte */
    while (description != NULL && memcmp(&description->traits, traits, sizeof(*traits)) != 0)
        description = description->next;
    if (description == NULL) {
        description = calloc(1, sizeof(*description));
        if (description == NULL)
            return NULL;
        description->traits = *traits;
        description->next = *list;
        *list = description;
    }
    description->users++;
    return description;
}

void larder__description_leave(struct description **list, struct description *description)
{
    if (description == NULL || --description->users > 0 ||
        atomic_load_explicit(&description->shown, memory_order_relaxed))
        return;
    while (*list != description)
        list = &(*list)->next;
    *list = description->next;
    free(description);
}

void larder__description_show(const struct larder_traits *traits)
{
    struct description *description = (struct description *)(uintptr_t)traits;
    atomic_store_explicit(&description->shown, 1, memory_order_relaxed);
}

void larder__descriptions_free(struct description **list)
{
    while (*list != NULL) {
        struct description *description = *list;
        *list = description->next;
        free(description);
    }
}
