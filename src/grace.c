#include "grace.h"

struct larder_epoch larder__visits;
struct larder_thread larder__stranger;

/* Visits of threads without a record: while there are any, nothing is reclaimed. seq_cst, since
 * nobody orders them with a membarrier: whoever comes in shows it before it loads a target, whoever
 * reclaims has led all handles elsewhere before it looks. */
static _Atomic uint64_t strangers;

static void prepare(void)
{
    larder_epoch_init(&larder__visits);
}

void larder__grace_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
}

struct larder_thread *larder__visit_begin_slowly(void)
{
    struct larder_thread *thread = larder_thread();
    if (thread != NULL)
        return larder_visit_begin(&larder__visits, thread) ? thread : NULL;
    atomic_fetch_add_explicit(&strangers, 1, memory_order_seq_cst);
    return &larder__stranger;
}

void larder__stranger_leaves(void)
{
    atomic_fetch_sub_explicit(&strangers, 1, memory_order_seq_cst);
}

/* ---- retirement ---------------------------------------------------------------------------- */

void larder__retire_locked(struct retired *retired, struct retiree *retiree,
                           void (*free_it)(struct retiree *retiree))
{
    retiree->free = free_it;
    retiree->epoch = larder_epoch_advance(&larder__visits);
    retiree->next = retired->first;
    retired->first = retiree;
    retired->count++;
}

static bool is_over(const struct retiree *retiree, uint32_t oldest)
{
    return larder_epoch_passed(retiree->epoch, oldest) &&
           atomic_load_explicit(&retiree->holders, memory_order_acquire) == 0;
}

struct retiree *larder__reclaim_locked(struct retired *retired)
{
    struct retiree *over = NULL, **link = &retired->first;
    if (retired->first == NULL)
        return NULL;
    uint32_t oldest = larder_visits_oldest(&larder__visits);
    if (atomic_load_explicit(&strangers, memory_order_seq_cst) != 0)
        return NULL;
    while (*link != NULL) {
        struct retiree *retiree = *link;
        if (!is_over(retiree, oldest)) {
            link = &retiree->next;
            continue;
        }
        *link = retiree->next;
        retired->count--;
        retiree->next = over;
        over = retiree;
    }
    return over;
}

void larder__retirees_free(struct retiree *first)
{
    while (first != NULL) {
        struct retiree *retiree = first;
        first = retiree->next;
        retiree->free(retiree);
    }
}
