/* The writers' side of epochs. */
#include <larder/util/epoch.h>

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

bool larder__epoch_asymmetric;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint32_t domains; /* relaxed: only has to give each number once */
static _Atomic uint32_t turns;   /* where there is no membarrier: see larder_fence_threads() */

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static void start(void)
{
    larder__epoch_asymmetric =
        !LARDER_EPOCH_SYMMETRIC && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void larder_epoch_init(struct larder_epoch *epoch)
{
    pthread_once(&once, start);
    uint64_t domain = atomic_fetch_add_explicit(&domains, 1, memory_order_relaxed) + UINT64_C(1);
    atomic_init(&epoch->word, domain << 32 | 1);
    atomic_init(&epoch->ordered, 1);
}

uint32_t larder_epoch_advance(struct larder_epoch *epoch)
{
    uint64_t next, word = atomic_load_explicit(&epoch->word, memory_order_relaxed);
    do
        next = (word & ~(uint64_t)UINT32_MAX) | (uint32_t)(word + 1);
    /* release: pairs with the acquire of enter. A reader of the new epoch can't find what was
     * unlinked in the old one. acquire, so that what others unlinked before stays before. */
    while (!atomic_compare_exchange_weak_explicit(&epoch->word, &word, next, memory_order_acq_rel,
                                                  memory_order_relaxed));
    return (uint32_t)word;
}

/* For epochs: after this every reader has either shown its section or will find nothing that was
 * unlinked before. For locks: see brief.h. A child of fork() is registered as its parent was. */
void larder_fence_threads(void)
{
    if (larder__epoch_asymmetric)
        (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    else /* seq_cst: a full barrier between what was unlinked and the look at the sections; pairs
            with the seq_cst stores of enter and of larder__brief_unlock() */
        atomic_fetch_add_explicit(&turns, 1, memory_order_seq_cst);
}

void larder_epoch_order(struct larder_epoch *epoch, uint32_t number)
{
    /* acquire: pairs with the release below */
    uint32_t ordered = atomic_load_explicit(&epoch->ordered, memory_order_acquire);
    if (larder_epoch_passed(number, ordered))
        return;
    /* acquire: pairs with the release of advance; what was unlinked in epochs that are over comes
     * before the readers' fence */
    uint32_t current = (uint32_t)atomic_load_explicit(&epoch->word, memory_order_acquire);
    larder_fence_threads();
    while (larder_epoch_passed(ordered, current) &&
           !atomic_compare_exchange_weak_explicit(&epoch->ordered, &ordered, current,
                                                  memory_order_release, memory_order_relaxed))
        continue;
}

/* A reader that was ordered is seen in its section from then on, and one that enters later enters a
 * later epoch, or finds nothing that was unlinked before: so no further fence is needed. */
uint32_t larder_epoch_oldest(const struct larder_epoch *epoch)
{
    uint64_t domain = atomic_load_explicit(&epoch->word, memory_order_relaxed) >> 32;
    uint32_t oldest = atomic_load_explicit(&epoch->ordered, memory_order_acquire);
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next) {
        /* seq_cst: acquire to see that a section's reads are over; and, where there is no
         * membarrier, to be ordered with the seq_cst store of enter */
        uint64_t section = atomic_load_explicit(&thread->section, memory_order_seq_cst);
        if (section >> 32 == domain && larder_epoch_passed((uint32_t)section, oldest))
            oldest = (uint32_t)section;
    }
    return oldest;
}

uint32_t larder_visits_oldest(const struct larder_epoch *epoch)
{
    uint32_t oldest = (uint32_t)atomic_load_explicit(&epoch->word, memory_order_relaxed);
    larder_fence_threads();
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next) {
        /* seq_cst: as in larder_epoch_oldest() */
        uint64_t visit = atomic_load_explicit(&thread->visit, memory_order_seq_cst);
        if (visit != 0 && larder_epoch_passed((uint32_t)visit, oldest))
            oldest = (uint32_t)visit;
    }
    return oldest;
}

bool larder_calls_are_over(const struct larder_epoch *epoch)
{
    uint64_t domain = atomic_load_explicit(&epoch->word, memory_order_relaxed) >> 32;
    larder_fence_threads();
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next)
        if (thread != larder__own_thread &&
            atomic_load_explicit(&thread->call, memory_order_seq_cst) >> 32 == domain)
            return false;
    return true;
}

uint32_t larder_calls_oldest(const struct larder_epoch *epoch)
{
    uint64_t domain = atomic_load_explicit(&epoch->word, memory_order_relaxed) >> 32;
    uint32_t oldest = atomic_load_explicit(&epoch->ordered, memory_order_acquire);
    for (struct larder_thread *thread = larder_threads(); thread != NULL; thread = thread->next) {
        /* seq_cst: as in larder_epoch_oldest() */
        uint64_t call = atomic_load_explicit(&thread->call, memory_order_seq_cst);
        if (thread != larder__own_thread && call >> 32 == domain &&
            larder_epoch_passed((uint32_t)call, oldest))
            oldest = (uint32_t)call;
    }
    return oldest;
}
