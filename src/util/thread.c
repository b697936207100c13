/* Records of threads: a list that only grows, taken and given by one word of each record. */
#include <larder/util/thread.h>

#include "kept.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define BUILT_IN 64

_Thread_local struct larder_thread *larder__own_thread __attribute__((tls_model("initial-exec")));

static struct larder_thread built_in[BUILT_IN];
/* Stored with release by whoever adds a record, loaded with acquire by whoever goes through. */
static _Atomic(struct larder_thread *) first_thread;
static _Atomic uint32_t thread_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool has_key; /* set once, then only read */

static void give(struct larder_thread *thread)
{
    atomic_store_explicit(&thread->section, 0, memory_order_release);
    atomic_store_explicit(&thread->call, 0, memory_order_release);
    atomic_store_explicit(&thread->visit, 0, memory_order_release);
    atomic_store_explicit(&thread->taken, 0, memory_order_release);
}

/* What it kept is freed while the record is its own still. */
static void thread_exits(void *thread)
{
    larder__own_thread = NULL;
    larder__kept_free(thread);
    give(thread);
}

static void add(struct larder_thread *thread)
{
    thread->number = atomic_fetch_add_explicit(&thread_count, 1, memory_order_relaxed);
    thread->cell = thread->number < LARDER_THREAD_CELLS ? thread->number : LARDER_THREAD_CELLS;
    struct larder_thread *first = atomic_load_explicit(&first_thread, memory_order_relaxed);
    do
        thread->next = first;
    /* release: pairs with the acquire of larder_threads() */
    while (!atomic_compare_exchange_weak_explicit(&first_thread, &first, thread,
                                                  memory_order_release, memory_order_relaxed));
}

/* The child has the forking thread alone; what the others were reading, nobody reads there. */
static void forget_others(void)
{
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next)
        if (thread != larder__own_thread) {
            thread->telling = NULL;
            larder__kept_lose(thread); /* it may have been changing them */
            give(thread);
        }
}

static void start(void)
{
    has_key = pthread_key_create(&exit_key, thread_exits) == 0;
    pthread_atfork(NULL, NULL, forget_others);
    for (int i = BUILT_IN - 1; i >= 0; i--)
        add(&built_in[i]);
}

static bool others_have_records(void)
{
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next)
        /* acquire: pairs with the release of give() */
        if (thread != larder__own_thread &&
            atomic_load_explicit(&thread->taken, memory_order_acquire) != 0)
            return true;
    return false;
}

/* When the library is unloaded, or the process exits. Then other threads may go on, and what they
 * are protected by stays. Threads that outlive the library must not call into it when they exit. */
__attribute__((destructor)) static void unload(void)
{
    if (has_key)
        pthread_key_delete(exit_key);
    if (others_have_records())
        return;
    struct larder_thread *thread = larder_threads();
    while (thread != NULL) {
        struct larder_thread *next = thread->next;
        larder__kept_free(thread);
        if (thread < built_in || thread >= built_in + BUILT_IN)
            free(thread);
        thread = next;
    }
    atomic_store_explicit(&first_thread, NULL, memory_order_relaxed);
    larder__own_thread = NULL;
}

struct larder_thread *larder_threads(void)
{
    return atomic_load_explicit(&first_thread, memory_order_acquire);
}

static bool take(struct larder_thread *thread)
{
    uint32_t free_record = 0;
    if (atomic_load_explicit(&thread->taken, memory_order_relaxed) != 0)
        return false;
    /* acquire: pairs with the release of the last owner's give() */
    return atomic_compare_exchange_strong_explicit(&thread->taken, &free_record, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

static struct larder_thread *find_free(void)
{
    struct larder_thread *thread = larder_threads();
    while (thread != NULL && !take(thread))
        thread = thread->next;
    return thread;
}

struct larder_thread *larder__thread_take(void)
{
    pthread_once(&once, start);
    struct larder_thread *thread = find_free();
    if (thread == NULL) {
        thread = aligned_alloc(LARDER_LINE_BYTES, sizeof(*thread));
        if (thread == NULL)
            return NULL;
        *thread = (struct larder_thread){.taken = 1};
        add(thread);
    }
    /* Without the key the record stays its thread's for ever: lost, and harmless. */
    if (has_key)
        (void)pthread_setspecific(exit_key, thread);
    larder__own_thread = thread;
    return thread;
}
