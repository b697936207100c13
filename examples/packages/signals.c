/* Signals, without handlers. */
#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void signals_block(void)
{
    sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a visitor who leaves early is no reason to end */
}

void signals_restore_in_child(void)
{
    sigset_t set = ending_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGPIPE, SIG_DFL);
}

bool signals_pending(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
}

bool signals_wait(int milliseconds)
{
    sigset_t set = ending_signals();
    if (milliseconds < 0)
        return sigwaitinfo(&set, NULL) >= 0;
    struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    return sigtimedwait(&set, NULL, &wait) >= 0;
}
