/* Waiting for a lock. */
#include "brief.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* About as long as a holder takes that is not stopped, and less than sleeping costs. */
#define SPINS_MAX 100

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool try_for_a_while(struct brief_lock *lock)
{
    for (int i = 0; i < SPINS_MAX; i++) {
        relax();
        /* relaxed: only so that the line is not taken from the holder */
        if (atomic_load_explicit(&lock->held, memory_order_relaxed) == 0 && larder__brief_try(lock))
            return true;
    }
    return false;
}

/* Should a fence have failed, which only a filter of system calls can bring about, nobody is woken:
 * so the lock is looked at this often in any case. */
#define SLEEP_NS 50000000L

/* Whatever it returns, the lock is looked at again. errno is the application's. */
static void futex(struct brief_lock *lock, int operation)
{
    int before = errno;
    const struct timespec most = {0, SLEEP_NS};
    (void)syscall(SYS_futex, &lock->held, operation, 1, &most, NULL, 0);
    errno = before;
}

void larder__brief_wait(struct brief_lock *lock)
{
    if (try_for_a_while(lock))
        return;
    atomic_fetch_add_explicit(&lock->waiters, 1, memory_order_seq_cst);
    larder_fence_threads();
    while (!larder__brief_try(lock))
        futex(lock, FUTEX_WAIT_PRIVATE); /* while `held` is 1 */
    atomic_fetch_sub_explicit(&lock->waiters, 1, memory_order_relaxed);
}

void larder__brief_wake(struct brief_lock *lock)
{
    futex(lock, FUTEX_WAKE_PRIVATE); /* 1 thread; the time says nothing there */
}
