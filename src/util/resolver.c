/*
 * Host names. One mutex guards the queue, its thread and every name. The thread works the queue off
 * and ends; it is detached and holds a reference to the name at hand, so nobody ever waits for it.
 */
#include <larder/util/resolver.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <larder/util/deadline.h>

#define REFRESH_MS 1000u

struct larder_name {          /* all guarded by mutex, but for the host */
    char *host;               /* set once */
    struct larder_name *next; /* in the queue */
    unsigned references;
    int queued; /* waits in the queue or is at hand */
    int answered;
    uint64_t asked_ns;
    char address[LARDER_ADDRESS_BYTES]; /* "": none was found yet */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static pthread_cond_t answer;                             /* on CLOCK_MONOTONIC */
static struct larder_name *queue;                         /* guarded by mutex */
static struct larder_name *at_hand;                       /* guarded by mutex */
static int running;                                       /* guarded by mutex */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void release_locked(struct larder_name *name)
{
    if (--name->references > 0)
        return;
    free(name->host);
    free(name);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static void make_condition(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&answer, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&mutex);
}

/* The next refresh asks at once. */
static void forget_locked(struct larder_name *name)
{
    name->queued = 0;
    name->asked_ns = 0;
    release_locked(name);
}

/* The thread is the parent's: nobody in the child works on what it had at hand or in the queue. */
static void after_fork_in_child(void)
{
    while (queue != NULL) {
        struct larder_name *name = queue;
        queue = name->next;
        forget_locked(name);
    }
    if (at_hand != NULL)
        forget_locked(at_hand);
    at_hand = NULL;
    running = 0;
    make_condition(); /* nobody waits in the child */
    pthread_mutex_unlock(&mutex);
}

static void set_up(void)
{
    make_condition();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* The first address that the system prefers, as text. */
static int look_up(const char *host, char address[LARDER_ADDRESS_BYTES])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0;
    int good = getnameinfo(found->ai_addr, found->ai_addrlen, address, LARDER_ADDRESS_BYTES, NULL,
                           0, NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    return good;
}

static void resolve_first_locked(void)
{
    struct larder_name *name = queue;
    char address[LARDER_ADDRESS_BYTES];
    queue = name->next;
    at_hand = name;
    pthread_mutex_unlock(&mutex);
    int found = look_up(name->host, address);
    pthread_mutex_lock(&mutex);
    at_hand = NULL;
    if (found)
        memcpy(name->address, address, sizeof(address));
    name->answered = 1;
    name->queued = 0;
    pthread_cond_broadcast(&answer);
    release_locked(name);
}

static void *work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&mutex);
    while (queue != NULL)
        resolve_first_locked();
    running = 0;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Signals are for the application's own threads. */
static int start_thread(void)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, work, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return 0;
    pthread_detach(thread);
    return 1;
}

static int enqueue_locked(struct larder_name *name)
{
    if (!running && !start_thread())
        return 0;
    running = 1;
    name->references++;
    name->queued = 1;
    name->asked_ns = larder_monotonic_ns();
    struct larder_name **last = &queue;
    while (*last != NULL)
        last = &(*last)->next;
    name->next = NULL;
    *last = name;
    return 1;
}

/* ---- names --------------------------------------------------------------------------------- */

int larder_address_numeric(const char *host, char address[LARDER_ADDRESS_BYTES])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, bytes) != 1 && inet_pton(AF_INET6, host, bytes) != 1)
        return 0;
    memcpy(address, host, strlen(host) + 1);
    return 1;
}

struct larder_name *larder_name_resolve(const char *host)
{
    pthread_once(&once, set_up);
    struct larder_name *name = calloc(1, sizeof(*name));
    if (name == NULL)
        return NULL;
    name->host = strdup(host);
    name->references = 1;
    pthread_mutex_lock(&mutex);
    if (name->host == NULL || !enqueue_locked(name)) {
        release_locked(name);
        name = NULL;
    }
    pthread_mutex_unlock(&mutex);
    return name;
}

void larder_name_release(struct larder_name *name)
{
    if (name == NULL)
        return;
    pthread_mutex_lock(&mutex);
    release_locked(name);
    pthread_mutex_unlock(&mutex);
}

static int address_locked(const struct larder_name *name, char address[LARDER_ADDRESS_BYTES])
{
    memcpy(address, name->address, LARDER_ADDRESS_BYTES);
    return name->address[0] != '\0';
}

int larder_name_address(struct larder_name *name, char address[LARDER_ADDRESS_BYTES])
{
    pthread_mutex_lock(&mutex);
    int known = address_locked(name, address);
    pthread_mutex_unlock(&mutex);
    return known;
}

int larder_name_wait(struct larder_name *name, uint64_t deadline_ns,
                     char address[LARDER_ADDRESS_BYTES])
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    pthread_mutex_lock(&mutex);
    /* asked for before a fork: nobody is at it */
    int failed = !name->answered && !name->queued && !enqueue_locked(name);
    while (!name->answered && failed == 0)
        failed = pthread_cond_timedwait(&answer, &mutex, &until);
    int known = address_locked(name, address);
    pthread_mutex_unlock(&mutex);
    return known;
}

void larder_name_refresh(struct larder_name *name)
{
    pthread_mutex_lock(&mutex);
    uint64_t due_ns = larder_deadline_after(name->asked_ns, REFRESH_MS);
    if (!name->queued && larder_monotonic_ns() >= due_ns)
        enqueue_locked(name);
    pthread_mutex_unlock(&mutex);
}
