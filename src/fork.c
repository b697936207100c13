#include "fork.h"

/* Lock order: this mutex before every other of the library, and only around fork() and in add and
 * remove, which hold no other. */
static pthread_mutex_t hooks_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fork_hook *hooks; /* guarded by hooks_mutex */
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void call_hooks(enum larder_fork_step step)
{
    for (struct fork_hook *hook = hooks; hook != NULL; hook = hook->next)
        hook->fork(hook->self, step);
}

static void before_fork(void)
{
    pthread_mutex_lock(&hooks_mutex);
    call_hooks(LARDER_FORK_PREPARE);
}

static void after_fork_in_parent(void)
{
    call_hooks(LARDER_FORK_PARENT);
    pthread_mutex_unlock(&hooks_mutex);
}

static void after_fork_in_child(void)
{
    call_hooks(LARDER_FORK_CHILD);
    pthread_mutex_unlock(&hooks_mutex);
}

/* glibc forgets the handlers of a library that is unloaded. */
static void install_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void larder__fork_hook_add(struct fork_hook *hook, larder_fork_fn *fork, void *self)
{
    pthread_once(&hooks_once, install_handlers);
    hook->fork = fork;
    hook->self = self;
    hook->previous = NULL;
    pthread_mutex_lock(&hooks_mutex);
    hook->next = hooks;
    if (hooks != NULL)
        hooks->previous = hook;
    hooks = hook;
    pthread_mutex_unlock(&hooks_mutex);
}

void larder__fork_hook_remove(struct fork_hook *hook)
{
    pthread_mutex_lock(&hooks_mutex);
    if (hook->previous != NULL)
        hook->previous->next = hook->next;
    else
        hooks = hook->next;
    if (hook->next != NULL)
        hook->next->previous = hook->previous;
    pthread_mutex_unlock(&hooks_mutex);
}

void larder__fork_mutex(pthread_mutex_t *mutex, enum larder_fork_step step)
{
    /* the thread that locked it is the one thread of the child */
    if (step == LARDER_FORK_PREPARE)
        pthread_mutex_lock(mutex);
    else
        pthread_mutex_unlock(mutex);
}
