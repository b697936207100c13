/*
 * The eager pool.
 *
 * A slot is at any time in one place: in the list of idle ones, in the table of loans, or in the
 * hands of one thread, which waits for it to be handed over, fills it, or empties it. A slot that
 * comes free goes straight to the first waiter; so there is never an idle slot while somebody is in
 * line, and a newcomer, who takes idle slots only, can't overtake.
 *
 * One mutex guards it all. It is never held over a callback, and no other lock is taken under it.
 */
#include <larder/pool.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include <larder/util/deadline.h>
#include <larder/util/growth.h>
#include <larder/util/pool_fork.h>
#include <larder/util/pool_order.h>

#define NS_PER_S UINT64_C(1000000000)

struct slot {
    void *object;             /* NULL: empty */
    struct slot *prev, *next; /* among the idle ones, or the loans of one bucket */
};

/* On the stack of the thread that waits. Each has a condition variable of its own: only a wake-up
 * that is meant for one thread keeps the order. */
struct waiter {
    pthread_cond_t ready;
    int in_line;       /* 0: was handed a slot, or sent away by shutdown */
    struct slot *slot; /* what it was handed */
    struct waiter *prev, *next;
};

struct larder_pool {
    /* Set in open(), then only read. */
    larder_pool_create_fn *create;
    larder_pool_destroy_fn *destroy;
    void *context;
    int newest_first;             /* set before the first acquire, likewise */
    pthread_condattr_t monotonic; /* for the waiters' condition variables */
    unsigned loan_bits;           /* 2^loan_bits buckets, at least one per slot */

    pthread_mutex_t mutex;
    /* Touched only while holding `mutex`; a slot in the hands of a thread, by that thread alone. */
    int closed;
    struct larder_pool_figures stats;
    struct slot *idle;      /* the one that is lent next is first */
    struct slot **loans;    /* by object: sized for every slot, since a release must not allocate */
    struct waiter *waiters; /* who has waited longest is first */
    struct slot slots[];
};

/* ---- slots; the caller holds the mutex ----------------------------------------------------- */

/* Source: the multiplier is 2^64 divided by the golden ratio, Knuth, "The Art of Computer
 * Programming", volume 3, section 6.4. */
static struct slot **bucket_of(struct larder_pool *pool, const void *object)
{
    uint64_t hash = (uint64_t)(uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15);
    return &pool->loans[hash >> (64 - pool->loan_bits)];
}

static void append_idle(struct larder_pool *pool, struct slot *slot)
{
    DL_APPEND(pool->idle, slot);
    pool->stats.idle++;
    pool->stats.empty += slot->object == NULL;
}

static void prepend_idle(struct larder_pool *pool, struct slot *slot)
{
    DL_PREPEND(pool->idle, slot);
    pool->stats.idle++;
}

static struct slot *take_idle(struct larder_pool *pool)
{
    struct slot *slot = pool->idle;
    DL_DELETE(pool->idle, slot);
    pool->stats.idle--;
    pool->stats.empty -= slot->object == NULL;
    return slot;
}

static void *lend(struct larder_pool *pool, struct slot *slot)
{
    struct slot **bucket = bucket_of(pool, slot->object);
    DL_PREPEND(*bucket, slot);
    pool->stats.acquired++;
    return slot->object;
}

/* NULL: that object is not on loan. */
static struct slot *take_back(struct larder_pool *pool, const void *object)
{
    struct slot **bucket = bucket_of(pool, object);
    struct slot *slot = *bucket;
    while (slot != NULL && slot->object != object)
        slot = slot->next;
    if (slot != NULL)
        DL_DELETE(*bucket, slot);
    return slot;
}

/* ---- the line; the caller holds the mutex -------------------------------------------------- */

static void join_line(struct larder_pool *pool, struct waiter *waiter)
{
    DL_APPEND(pool->waiters, waiter);
    pool->stats.waiting++;
    waiter->in_line = 1;
}

static void leave_line(struct larder_pool *pool, struct waiter *waiter)
{
    DL_DELETE(pool->waiters, waiter);
    pool->stats.waiting--;
    waiter->in_line = 0;
}

/* The signal is given before the mutex is let go: afterwards the waiter, awake by its deadline, may
 * have left, and its stack with it. */
static void call_up(struct larder_pool *pool, struct waiter *waiter, struct slot *slot)
{
    leave_line(pool, waiter);
    waiter->slot = slot;
    pthread_cond_signal(&waiter->ready);
}

static void hand_on(struct larder_pool *pool, struct slot *slot, int first)
{
    if (pool->waiters != NULL)
        call_up(pool, pool->waiters, slot);
    else if (first && slot->object != NULL)
        prepend_idle(pool, slot);
    else
        append_idle(pool, slot);
}

/* 0: woken up, perhaps for nothing; else the deadline has passed. */
static int sleep_until(struct larder_pool *pool, struct waiter *waiter, uint64_t deadline_ns)
{
    if (deadline_ns == LARDER_NEVER_NS)
        return pthread_cond_wait(&waiter->ready, &pool->mutex);
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    return pthread_cond_timedwait(&waiter->ready, &pool->mutex, &deadline);
}

/* Whoever was handed a slot has it, also when the deadline passed meanwhile: else it were lost. */
static enum larder_status stand_in_line(struct larder_pool *pool, uint64_t deadline_ns,
                                        struct slot **slot)
{
    struct waiter self = {.slot = NULL};
    if (pthread_cond_init(&self.ready, &pool->monotonic) != 0)
        return LARDER_NO_MEMORY;
    int cancel_state; /* a cancelled thread would leave its waiter behind, on a stack that is gone
                       */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);

    join_line(pool, &self);
    while (self.in_line && sleep_until(pool, &self, deadline_ns) == 0)
        continue;
    enum larder_status status = self.slot != NULL ? LARDER_OK : LARDER_CLOSED;
    if (self.in_line) {
        leave_line(pool, &self);
        pool->stats.timeouts++;
        status = LARDER_TIMEOUT;
    }
    *slot = self.slot;

    pthread_setcancelstate(cancel_state, NULL);
    pthread_cond_destroy(&self.ready);
    return status;
}

static enum larder_status take_slot(struct larder_pool *pool, uint64_t deadline_ns,
                                    struct slot **slot)
{
    if (pool->closed)
        return LARDER_CLOSED;
    if (pool->idle == NULL && deadline_ns == 0)
        return LARDER_WOULD_BLOCK;
    if (pool->idle == NULL)
        return stand_in_line(pool, deadline_ns, slot);
    *slot = take_idle(pool);
    return LARDER_OK;
}

/* ---- objects ------------------------------------------------------------------------------- */

/* Without the mutex. */
static enum larder_status create_object(struct larder_pool *pool, struct slot *slot)
{
    void *object = NULL;
    enum larder_status status = pool->create(pool->context, &object);
    if (status == LARDER_OK && object == NULL)
        status = LARDER_NO_MEMORY;
    if (status == LARDER_OK)
        slot->object = object;
    return status;
}

/* With the mutex, which is let go while the factory runs. A slot that could not be filled goes to
 * the end of the idle ones: in front it would fail every acquire while sound objects lie behind. */
static enum larder_status fill(struct larder_pool *pool, struct slot *slot)
{
    pthread_mutex_unlock(&pool->mutex);
    enum larder_status status = create_object(pool, slot);
    pthread_mutex_lock(&pool->mutex);
    if (status == LARDER_OK) {
        pool->stats.created++;
    } else {
        pool->stats.failed++;
        hand_on(pool, slot, 0);
    }
    return status;
}

/* With the mutex, which is let go meanwhile. The slot is handed on only after this, so that there
 * are never more objects than slots. */
static void empty(struct larder_pool *pool, struct slot *slot)
{
    pthread_mutex_unlock(&pool->mutex);
    pool->destroy(pool->context, slot->object);
    slot->object = NULL;
    pthread_mutex_lock(&pool->mutex);
}

/* With the mutex, which is let go meanwhile, of a pool that is closed: what comes back from now on
 * is destroyed by whoever brings it. */
static void empty_idle(struct larder_pool *pool)
{
    for (size_t left = pool->stats.idle; left > 0 && pool->idle != NULL; left--) {
        struct slot *slot = take_idle(pool);
        if (slot->object != NULL)
            empty(pool, slot);
        append_idle(pool, slot);
    }
}

/* ---- acquire and release ------------------------------------------------------------------- */

enum larder_status larder_pool_acquire_until(struct larder_pool *pool, uint64_t deadline_ns,
                                             void **object)
{
    if (object != NULL)
        *object = NULL;
    if (pool == NULL || object == NULL)
        return LARDER_BAD_ARGUMENT;

    struct slot *slot = NULL;
    pthread_mutex_lock(&pool->mutex);
    enum larder_status status = take_slot(pool, deadline_ns, &slot);
    if (status == LARDER_OK && slot->object == NULL)
        status = fill(pool, slot);
    if (status == LARDER_OK)
        *object = lend(pool, slot);
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

enum larder_status larder_pool_acquire(struct larder_pool *pool, uint64_t timeout_ms, void **object)
{
    uint64_t deadline_ns = 0;
    if (timeout_ms != 0)
        deadline_ns = larder_deadline_after(larder_monotonic_ns(), timeout_ms);
    return larder_pool_acquire_until(pool, deadline_ns, object);
}

static enum larder_status release(struct larder_pool *pool, void *object, int broken, int first)
{
    if (pool == NULL || object == NULL)
        return LARDER_BAD_ARGUMENT;

    pthread_mutex_lock(&pool->mutex);
    struct slot *slot = take_back(pool, object);
    if (slot != NULL) {
        if (broken || pool->closed)
            empty(pool, slot);
        hand_on(pool, slot, first && pool->newest_first);
    }
    pthread_mutex_unlock(&pool->mutex);
    return slot != NULL ? LARDER_OK : LARDER_BAD_ARGUMENT;
}

enum larder_status larder_pool_release(struct larder_pool *pool, void *object, int broken)
{
    return release(pool, object, broken, 1);
}

enum larder_status larder_pool_release_last(struct larder_pool *pool, void *object)
{
    return release(pool, object, 0, 0);
}

void larder_pool_stats(struct larder_pool *pool, struct larder_pool_figures *stats)
{
    if (stats == NULL)
        return;
    *stats = (struct larder_pool_figures){0};
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    *stats = pool->stats;
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- opening, ending, forking -------------------------------------------------------------- */

/* `context` ends the first published struct. */
static int options_read(const struct larder_pool_options *given,
                        struct larder_pool_options *options)
{
    size_t first_size = LARDER_SIZE_UP_TO(struct larder_pool_options, context);
    return larder_struct_read(given, given->struct_size, first_size, options, sizeof(*options)) &&
           options->size >= 1 && options->size <= LARDER_POOL_SIZE_MAX && options->create != NULL &&
           options->destroy != NULL;
}

static struct larder_pool *allocate(const struct larder_pool_options *options)
{
    struct larder_pool *pool = calloc(1, sizeof(*pool) + options->size * sizeof(pool->slots[0]));
    if (pool == NULL)
        return NULL;
    pool->create = options->create;
    pool->destroy = options->destroy;
    pool->context = options->context;
    pool->stats.size = options->size;
    pool->loan_bits = 1; /* a shift by all 64 bits is undefined */
    while ((size_t)1 << pool->loan_bits < options->size)
        pool->loan_bits++;
    pool->loans = calloc((size_t)1 << pool->loan_bits, sizeof(struct slot *));
    if (pool->loans == NULL) {
        free(pool);
        return NULL;
    }
    return pool;
}

static enum larder_status init_locks(struct larder_pool *pool)
{
    if (pthread_condattr_init(&pool->monotonic) != 0)
        return LARDER_NO_MEMORY;
    if (pthread_condattr_setclock(&pool->monotonic, CLOCK_MONOTONIC) != 0 ||
        pthread_mutex_init(&pool->mutex, NULL) != 0) {
        pthread_condattr_destroy(&pool->monotonic);
        return LARDER_NO_MEMORY;
    }
    return LARDER_OK;
}

/* On a failure what was created lies idle, and close() destroys it. */
static enum larder_status create_all(struct larder_pool *pool)
{
    for (size_t i = 0; i < pool->stats.size; i++) {
        enum larder_status status = create_object(pool, &pool->slots[i]);
        if (status != LARDER_OK)
            return status;
        pool->stats.created++;
        append_idle(pool, &pool->slots[i]);
    }
    return LARDER_OK;
}

static void free_pool(struct larder_pool *pool)
{
    free(pool->loans);
    free(pool);
}

enum larder_status larder_pool_open(const struct larder_pool_options *given,
                                    struct larder_pool **pool)
{
    struct larder_pool_options options = {0};
    if (pool == NULL)
        return LARDER_BAD_ARGUMENT;
    *pool = NULL;
    if (given == NULL || !options_read(given, &options))
        return LARDER_BAD_ARGUMENT;

    struct larder_pool *opened = allocate(&options);
    if (opened == NULL)
        return LARDER_NO_MEMORY;
    enum larder_status status = init_locks(opened);
    if (status != LARDER_OK) {
        free_pool(opened);
        return status;
    }
    status = create_all(opened);
    if (status != LARDER_OK) {
        larder_pool_close(opened);
        return status;
    }
    *pool = opened;
    return LARDER_OK;
}

void larder_pool_lend_newest(struct larder_pool *pool)
{
    pool->newest_first = 1;
}

void larder_pool_shutdown(struct larder_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->closed = 1;
    while (pool->waiters != NULL)
        call_up(pool, pool->waiters, NULL);
    empty_idle(pool);
    pthread_mutex_unlock(&pool->mutex);
}

void larder_pool_close(struct larder_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->idle != NULL) {
        struct slot *slot = take_idle(pool);
        if (slot->object != NULL)
            pool->destroy(pool->context, slot->object);
    }
    pthread_mutex_destroy(&pool->mutex);
    pthread_condattr_destroy(&pool->monotonic);
    free_pool(pool);
}

/* A slot that another thread of the parent's was filling or emptying comes back here too. */
static void forget_all(struct larder_pool *pool)
{
    for (size_t i = 0; i < (size_t)1 << pool->loan_bits; i++)
        pool->loans[i] = NULL;
    pool->waiters = NULL;
    pool->stats.waiting = 0;
    pool->idle = NULL;
    pool->stats.idle = 0;
    pool->stats.empty = 0;
    for (size_t i = 0; i < pool->stats.size; i++) {
        pool->slots[i].object = NULL;
        append_idle(pool, &pool->slots[i]);
    }
}

/* The forking thread took the mutex and is the child's only one: it may unlock what it locked. */
void larder_pool_fork(struct larder_pool *pool, enum larder_fork_step step)
{
    if (pool == NULL)
        return;
    if (step == LARDER_FORK_PREPARE) {
        pthread_mutex_lock(&pool->mutex);
        return;
    }
    if (step == LARDER_FORK_CHILD)
        forget_all(pool);
    pthread_mutex_unlock(&pool->mutex);
}
