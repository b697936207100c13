/* Telling of evictions. */
#include "listener.h"

#include "visit.h"

struct listener larder__listener_of(struct memory *memory)
{
    struct listener listener = {NULL, NULL};
    /* relaxed: a hint; whoever set a listener before the entries were stored has its lock first */
    if (!larder__is_listening(memory))
        return listener;
    pthread_mutex_lock(&memory->listener_lock);
    listener = memory->listener;
    pthread_mutex_unlock(&memory->listener_lock);
    return listener;
}

bool larder__calls_are_over(const struct memory *memory)
{
    if (!larder_calls_are_over(&memory->epoch))
        return false;
    uint64_t tellings = atomic_load_explicit(&memory->tellings, memory_order_acquire);
    return (uint32_t)tellings == 0 && larder_calls_are_over(&memory->epoch) &&
           atomic_load_explicit(&memory->tellings, memory_order_acquire) == tellings;
}

void larder__listener_tell(const struct memory *memory, const struct listener *listener,
                           const struct item *item)
{
    struct key key = larder__key_of(item, 0);
    listener->evicted(listener->context, larder__space_name(&memory->spaces, key.space),
                      larder_bytes(key.bytes, key.length), larder__item_value(item));
}

void larder__listener_set(struct memory *memory, larder_memory_evicted_fn *evicted, void *context)
{
    pthread_mutex_lock(&memory->listener_lock);
    memory->listener = (struct listener){evicted, context};
    atomic_store_explicit(&memory->listens, evicted != NULL, memory_order_relaxed);
    pthread_mutex_unlock(&memory->listener_lock);
}
