/* Progress, on standard error, so that a redirected report stays clean. */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_CELLS 32
#define TERMINAL_STEP_NS UINT64_C(80000000)
#define PLAIN_STEP_NS UINT64_C(1000000000)

uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool colours_wanted(void)
{
    const char *off = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && (off == NULL || *off == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

void progress_begin(struct progress *progress, const char *job)
{
    const char *terminal = getenv("TERM");
    progress->job = job;
    progress->terminal =
        isatty(STDERR_FILENO) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
    progress->begun_ns = monotonic_ns();
    progress->shown_ns = progress->terminal ? 0 : progress->begun_ns;
}

static void draw_bar(double share)
{
    static const char *const parts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int eighths = (int)(share * BAR_CELLS * 8);
    for (int cell = 0; cell < BAR_CELLS; cell++) {
        int filled = eighths - cell * 8;
        fputs(filled >= 8 ? "█" : filled > 0 ? parts[filled] : "·", stderr);
    }
}

void progress_show(struct progress *progress, double share, const char *note)
{
    uint64_t now = monotonic_ns();
    if (now - progress->shown_ns < (progress->terminal ? TERMINAL_STEP_NS : PLAIN_STEP_NS))
        return;
    progress->shown_ns = now;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    if (!progress->terminal) {
        fprintf(stderr, "%s: %3.0f %%  %s\n", progress->job, share * 100, note);
        return;
    }
    fprintf(stderr, "\r%-34s ", progress->job);
    draw_bar(share);
    fprintf(stderr, " %3.0f %%  %s\033[K", share * 100, note);
    fflush(stderr);
}

void progress_end(struct progress *progress, const char *result)
{
    fprintf(stderr, "%s%s: %s\n", progress->terminal ? "\r\033[K" : "", progress->job, result);
}
